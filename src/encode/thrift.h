/* thrift.h: Thrift's compact protocol, writing only: Parquet's headers and footer are written in it
 * (thrift/doc/specs/thrift-compact-protocol.md).
 *
 * A struct is begin_struct, fields in ascending order of id, end_struct. Appends to a buffer of the caller.
 */
#ifndef WR_ENCODE_THRIFT_H
#define WR_ENCODE_THRIFT_H

#include "base/buf.h"

#define WR_THRIFT_DEPTH_MAX 12u /* FileMetaData > RowGroup > ColumnChunk > ColumnMetaData > ... is 7 */

enum wr_thrift_type {
    WR_THRIFT_TRUE = 1,
    WR_THRIFT_FALSE = 2,
    WR_THRIFT_BYTE = 3,
    WR_THRIFT_I16 = 4,
    WR_THRIFT_I32 = 5,
    WR_THRIFT_I64 = 6,
    WR_THRIFT_DOUBLE = 7,
    WR_THRIFT_BINARY = 8,
    WR_THRIFT_LIST = 9,
    WR_THRIFT_STRUCT = 12,
};

struct wr_thrift {
    struct wr_buf *buf;
    uint32_t depth;
    int16_t last_id[WR_THRIFT_DEPTH_MAX]; /* of the open structs: ids are written as differences */
};

/* Starts with the outermost struct open. */
void wr_thrift_init(struct wr_thrift *out, struct wr_buf *buf);
/* Ends the outermost struct; asserts that no inner one is open. */
void wr_thrift_end(struct wr_thrift *out);

void wr_thrift_bool(struct wr_thrift *out, int16_t id, bool value);
void wr_thrift_i8(struct wr_thrift *out, int16_t id, int8_t value);
void wr_thrift_i16(struct wr_thrift *out, int16_t id, int16_t value);
void wr_thrift_i32(struct wr_thrift *out, int16_t id, int32_t value);
void wr_thrift_i64(struct wr_thrift *out, int16_t id, int64_t value);
void wr_thrift_binary(struct wr_thrift *out, int16_t id, const void *data, size_t bytes);
void wr_thrift_text(struct wr_thrift *out, int16_t id, const char *text);
void wr_thrift_begin_struct(struct wr_thrift *out, int16_t id);
void wr_thrift_end_struct(struct wr_thrift *out);

/* A list's head; then count elements: element functions below, or begin_element .. end_struct. */
void wr_thrift_begin_list(struct wr_thrift *out, int16_t id, enum wr_thrift_type element,
                          size_t count);
void wr_thrift_element_bool(struct wr_thrift *out, bool value);
void wr_thrift_element_i32(struct wr_thrift *out, int32_t value);
void wr_thrift_element_i64(struct wr_thrift *out, int64_t value);
void wr_thrift_element_binary(struct wr_thrift *out, const void *data, size_t bytes);
void wr_thrift_begin_element(struct wr_thrift *out);

/* Unsigned LEB128, which Parquet's encodings use too. */
void wr_varint_append(struct wr_buf *buf, uint64_t value);

static inline uint64_t wr_zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

#endif
