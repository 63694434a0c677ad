/* avro_value.h: one Avro value out of bytes that are not to be trusted: read, converted to a column's type, written as JSON,
 * stepped over. What avro_run.c has no step of its own for.
 *
 * A value is first read as its natural type (what the schema says it is: TEXT of a string, TIMESTAMPTZ of timestamp-millis),
 * then converted as SQL's casts would.
 *
 * Threads: pure functions over the caller's cursor. Invariants:
 *   (1) nothing outside [at, end) is read
 *   (2) the work is bounded by the cursor's budget: items without bytes (nulls, empty records) cost too
 */
#ifndef WR_DECODE_AVRO_VALUE_H
#define WR_DECODE_AVRO_VALUE_H

#include "base/buf.h"
#include "batch/type.h"
#include "decode/avro_schema.h"
#include "decode/scalar_convert.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are read as they lie");

struct wr_avro_cursor {
    const uint8_t *at;
    const uint8_t *end;
    uint64_t budget;     /* values that may still be looked at */
    const char *problem; /* what is wrong, static text; set by whatever returns false */
};

/* What a record of that many bytes may cost. The constant is for schemas whose values are mostly null. */
static inline uint64_t wr_avro_budget(size_t bytes)
{
    return 100000 + 16 * (uint64_t)bytes;
}

/* (2) Before each value that is looked at. */
static inline bool wr_avro_spend(struct wr_avro_cursor *c)
{
    if (c->budget == 0) {
        c->problem = "too many values for the record's size";
        return false;
    }
    c->budget--;
    return true;
}

/* Zigzag varint of up to 64 bits. */
WR_NODISCARD bool wr_avro_long_slow(struct wr_avro_cursor *c, int64_t *value);

/* On copies, so that a caller's cursor can stay in registers. */
static inline bool wr_avro_long_apart(struct wr_avro_cursor *c, int64_t *value)
{
    struct wr_avro_cursor copy = *c;
    int64_t number = 0;
    const bool read = wr_avro_long_slow(&copy, &number);
    c->at = copy.at;
    c->problem = copy.problem;
    *value = number;
    return read;
}

__attribute__((always_inline)) static inline bool wr_avro_long(struct wr_avro_cursor *c, int64_t *value)
{
    uint64_t raw;
    if (__builtin_expect(c->at < c->end && *c->at < 0x80, 1)) {
        raw = *c->at++;
        *value = (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
        return true;
    }
    if (c->end - c->at < 8) {
        return wr_avro_long_apart(c, value);
    }
    /* Up to eight bytes at once: the sevens of bits are pushed together pairwise. */
    memcpy(&raw, c->at, 8);
    const uint64_t stops = ~raw & 0x8080808080808080u;
    if (stops == 0) {
        return wr_avro_long_apart(c, value);
    }
    const uint32_t last = (uint32_t)__builtin_ctzll(stops); /* the top bit of the last byte */
    c->at += last / 8 + 1;
    raw &= (UINT64_MAX >> (63 - last)) & 0x7f7f7f7f7f7f7f7fu;
    raw = (raw & 0x007f007f007f007fu) | (raw & 0x7f007f007f007f00u) >> 1;
    raw = (raw & 0x00003fff00003fffu) | (raw & 0x3fff00003fff0000u) >> 2;
    raw = (raw & 0x000000000fffffffu) | (raw & 0x0fffffff00000000u) >> 4;
    *value = (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
    return true;
}

/* A length and that many bytes. */
WR_NODISCARD bool wr_avro_bytes(struct wr_avro_cursor *c, struct wr_slice *text);

/* The next block of an array or map: its items, 0 at the end. bytes: its size where the writer told it, else -1. */
WR_NODISCARD bool wr_avro_block(struct wr_avro_cursor *c, uint64_t *items, int64_t *bytes);

/* The type of a scalar as the schema means it; WR_TYPE_JSON for records, arrays, maps and unions; WR_TYPE_NULL for null. */
struct wr_type wr_avro_natural(const struct wr_avro_node *node);

/* Whether values of a scalar can become that type. */
bool wr_avro_converts(const struct wr_avro_node *node, struct wr_type type);

/* Reads a scalar as the given type; texts borrow from the record or lie in arena. False: problem says why; *shown, when
 * not empty, is the value that does not fit. */
bool wr_avro_read(struct wr_avro_cursor *c, const struct wr_avro_node *node, struct wr_type type,
                  uint32_t unit_digits, struct wr_arena *arena, union wr_scalar *value,
                  char shown[64]);

/* The same of a default in the schema's JSON. */
bool wr_avro_default(const struct wr_avro_node *node, const json_t *json, struct wr_type type,
                     uint32_t unit_digits, struct wr_arena *arena, union wr_scalar *value);

/* Appends any value as JSON. depth: levels open already. */
WR_NODISCARD bool wr_avro_json(struct wr_avro_cursor *c, const struct wr_avro_node *node,
                               uint32_t depth, struct wr_buf *into);

WR_NODISCARD bool wr_avro_skip(struct wr_avro_cursor *c, const struct wr_avro_node *node,
                               uint32_t depth);

#endif
