/* parquet_encoding.h: Parquet's encodings of a run of values (parquet-format, Encodings.md). Each appends to buf.
 *
 * The functions know nothing of pages or columns. Values lie densely: NULLs have been left out.
 */
#ifndef WR_ENCODE_PARQUET_ENCODING_H
#define WR_ENCODE_PARQUET_ENCODING_H

#include "base/buf.h"
#include "encode/kernels.h"

/* The numbers are those of the format. */
enum wr_parquet_encoding {
    WR_PARQUET_PLAIN = 0,
    WR_PARQUET_RLE = 3,
    WR_PARQUET_DELTA_BINARY_PACKED = 5,
    WR_PARQUET_DELTA_LENGTH_BYTE_ARRAY = 6,
    WR_PARQUET_DELTA_BYTE_ARRAY = 7,
    WR_PARQUET_RLE_DICTIONARY = 8,
    WR_PARQUET_BYTE_STREAM_SPLIT = 9,
    WR_PARQUET_ENCODINGS_ = 10,
};

/* RLE / bit-packing hybrid of values below 2^width, width 1 to 32. Runs are found in steps of 32 values. */
void wr_hybrid_append(struct wr_buf *buf, const struct wr_kernels *k, const uint32_t *values,
                      uint32_t count, uint32_t width);
/* The same for single bits in bitmap order: definition levels of a flat column are its validity bitmap.
 * Reads whole bytes only; bits beyond count in the last byte must be zero. */
void wr_hybrid_append_bits(struct wr_buf *buf, const uint8_t *bits, uint32_t count);
/* One run of one value. */
void wr_hybrid_append_run(struct wr_buf *buf, uint32_t value, uint32_t count, uint32_t width);

/* DELTA_BINARY_PACKED; count may be 0. */
void wr_delta_append_i32(struct wr_buf *buf, const struct wr_kernels *k, const int32_t *values,
                         uint32_t count);
void wr_delta_append_i64(struct wr_buf *buf, const struct wr_kernels *k, const int64_t *values,
                         uint32_t count);

/* DELTA_LENGTH_BYTE_ARRAY: texts are lengths[i] bytes each, one after the other. */
void wr_delta_length_append(struct wr_buf *buf, const struct wr_kernels *k, const uint32_t *lengths,
                            const char *texts, uint32_t count);
/* DELTA_BYTE_ARRAY: what a text shares with the one before it is left out. prefixes: room for 2 x count. */
void wr_delta_text_append(struct wr_buf *buf, const struct wr_kernels *k, const uint32_t *lengths,
                          const char *texts, uint32_t count, uint32_t *prefixes);
/* Sum of the prefixes that neighbours share. */
uint64_t wr_shared_prefix_bytes(const uint32_t *lengths, const char *texts, uint32_t count);

/* PLAIN of BYTE_ARRAY: each text after its length as four bytes. */
void wr_plain_text_append(struct wr_buf *buf, const uint32_t *lengths, const char *texts,
                          uint32_t count);
/* PLAIN of BOOLEAN: bits, least significant first; values are bytes 0 or 1. */
void wr_plain_bool_append(struct wr_buf *buf, const uint8_t *values, uint32_t count);
/* PLAIN of DECIMAL as FIXED_LEN_BYTE_ARRAY(width): big-endian two's complement. */
void wr_plain_decimal_append(struct wr_buf *buf, const __int128 *values, uint32_t count,
                             uint32_t width);

#endif
