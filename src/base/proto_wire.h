/* proto_wire.h: Protocol Buffers' wire format (protobuf.dev/programming-guides/encoding), read and written by hand: what Pub/Sub's
 * messages, Kinesis' aggregated records and Protobuf payloads have in common.
 *
 * Ownership: a reader borrows the bytes; a writer appends to the caller's buffer. Threads: none.
 * Invariants: (1) a reader never looks beyond end; the first thing that is not well formed sets bad and ends the walk
 *   (2) groups (wire types 3 and 4, deprecated) are skipped whole, WR_PROTO_GROUPS_MAX deep at most
 */
#ifndef WR_BASE_PROTO_WIRE_H
#define WR_BASE_PROTO_WIRE_H

#include "base/buf.h"
#include <stdbool.h>

#define WR_PROTO_GROUPS_MAX 32u

enum wr_proto_kind {
    WR_PROTO_VARINT = 0,
    WR_PROTO_FIXED64 = 1,
    WR_PROTO_BYTES = 2,
    WR_PROTO_GROUP = 3,
    WR_PROTO_GROUP_END = 4,
    WR_PROTO_FIXED32 = 5,
};

struct wr_proto_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

/* One field as it stands on the wire. */
struct wr_proto_field {
    uint32_t number;
    enum wr_proto_kind kind; /* never GROUP_END */
    uint64_t value;          /* VARINT, FIXED64, FIXED32 */
    struct wr_slice bytes;   /* BYTES; GROUP: what is inside */
};

static inline struct wr_proto_reader wr_proto_read(struct wr_slice message)
{
    return (struct wr_proto_reader){ (const uint8_t *)message.data,
                                     (const uint8_t *)message.data + message.bytes, false };
}

/* False: bad is set (cut off, or longer than ten bytes). */
static inline bool wr_proto_varint(struct wr_proto_reader *r, uint64_t *value)
{
    uint64_t sum = 0;
    for (uint32_t shift = 0; shift < 70 && r->at < r->end; shift += 7) {
        const uint8_t byte = *r->at++;
        sum |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
        if (byte < 0x80) {
            *value = sum;
            return true;
        }
    }
    r->bad = true;
    return false;
}

/* The next field; false at the end or when bad is set. */
bool wr_proto_next(struct wr_proto_reader *r, struct wr_proto_field *field);

static inline int64_t wr_proto_zigzag(uint64_t value)
{
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* ---- writing ---- */

void wr_proto_put_raw_varint(struct wr_buf *buf, uint64_t value);
void wr_proto_put_varint(struct wr_buf *buf, uint32_t number, uint64_t value);
void wr_proto_put_bytes(struct wr_buf *buf, uint32_t number, const void *data, size_t bytes);
/* A message inside: begin tells where it starts, end puts its length in front (the contents move by at most 9 bytes). */
size_t wr_proto_begin(struct wr_buf *buf, uint32_t number);
void wr_proto_end(struct wr_buf *buf, size_t begun);

#endif
