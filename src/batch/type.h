/* type.h: the value types of Weir and how one value lies in memory (interface).
 *
 * A type is four plain bytes; nothing is allocated. A nested type (STRUCT, ARRAY, MAP) names its interned shape by number: nested.h.
 */
#ifndef WR_BATCH_TYPE_H
#define WR_BATCH_TYPE_H

#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum wr_type_id {
    WR_TYPE_NULL = 0,    /* the type of a bare NULL literal; never a column's */
    WR_TYPE_BOOL,        /* uint8_t 0 or 1: a byte, not Arrow's bit, so that kernels stay branch-free */
    WR_TYPE_INT16,       /* SMALLINT */
    WR_TYPE_INT32,       /* INTEGER */
    WR_TYPE_INT64,       /* BIGINT */
    WR_TYPE_UINT16,      /* SMALLINT UNSIGNED */
    WR_TYPE_UINT32,      /* INTEGER UNSIGNED */
    WR_TYPE_UINT64,      /* BIGINT UNSIGNED */
    WR_TYPE_FLOAT32,     /* REAL */
    WR_TYPE_FLOAT64,     /* DOUBLE PRECISION */
    WR_TYPE_DECIMAL,     /* NUMERIC(p,s): __int128, value x 10^s, p <= 38 */
    WR_TYPE_TEXT,        /* struct wr_view, UTF-8 */
    WR_TYPE_BYTES,       /* struct wr_view, BYTEA */
    WR_TYPE_DATE,        /* int32_t days since 1970-01-01 */
    WR_TYPE_TIMESTAMP,   /* int64_t microseconds since 1970, read as UTC, no zone */
    WR_TYPE_TIMESTAMPTZ, /* the same, an instant */
    WR_TYPE_INTERVAL,    /* struct wr_interval */
    WR_TYPE_JSON,        /* struct wr_view over well-formed JSON text */
    WR_TYPE_STATE,       /* struct wr_view over an aggregate's partial state; inside exec only */
    WR_TYPE_STRUCT,      /* struct wr_view over the value's body, nested.h; so are the next two */
    WR_TYPE_ARRAY,
    WR_TYPE_MAP,
    WR_TYPE_COUNT_
};

struct wr_type {
    uint8_t id;        /* enum wr_type_id */
    uint8_t precision; /* DECIMAL: 1 to 38; nested: low byte of the shape's number; else 0 */
    uint8_t scale;     /* DECIMAL: 0 to precision; nested: high byte of it; else 0 */
    uint8_t reserved;
};

/* Arrow's interval month_day_nano with microseconds: PostgreSQL's own layout of INTERVAL. */
struct wr_interval {
    int32_t months;
    int32_t days;
    int64_t us;
};

/* A 16-byte string view (as in Arrow's StringView and Umbra, CIDR 2020): short texts lie inside and so
 * outlive what they came from; long ones borrow. Unused inline bytes are zero, so that two short views are
 * equal exactly when their 16 bytes are. */
#define WR_VIEW_INLINE_BYTES 12u
struct wr_view {
    uint32_t bytes;
    char prefix[4]; /* the first four bytes in both forms */
    union {
        char rest[8];     /* bytes 4 to 11 when bytes <= 12 */
        const char *data; /* the whole text when bytes > 12 */
    };
};
_Static_assert(sizeof(struct wr_view) == 16, "views are two words");
_Static_assert(sizeof(struct wr_interval) == 16, "as PostgreSQL's");

static inline const char *wr_view_data(const struct wr_view *view)
{
    return view->bytes <= WR_VIEW_INLINE_BYTES ? view->prefix : view->data;
}

static inline struct wr_slice wr_view_slice(const struct wr_view *view)
{
    return (struct wr_slice){ wr_view_data(view), view->bytes };
}

/* bytes must fit uint32_t: records are limited to WR_RECORD_BYTES_MAX. Long texts are borrowed. */
static inline struct wr_view wr_view_of(const char *data, size_t bytes)
{
    struct wr_view view;
    memset(&view, 0, sizeof view);
    view.bytes = (uint32_t)bytes;
    if (bytes <= WR_VIEW_INLINE_BYTES) {
        memcpy((char *)&view + 4, data, bytes);
    } else {
        memcpy(view.prefix, data, 4);
        view.data = data;
    }
    return view;
}

static inline bool wr_view_equal(const struct wr_view *a, const struct wr_view *b)
{
    uint64_t a0;
    uint64_t b0;
    memcpy(&a0, a, 8);
    memcpy(&b0, b, 8);
    if (a0 != b0) {
        return false; /* length or first four bytes differ */
    }
    if (a->bytes <= WR_VIEW_INLINE_BYTES) {
        return memcmp(a->rest, b->rest, 8) == 0;
    }
    return memcmp(a->data, b->data, a->bytes) == 0;
}

/* Bytewise order (C collation): <0, 0, >0. */
int wr_view_compare(const struct wr_view *a, const struct wr_view *b);

/* Bytes of one value in a column's values array; 0 for WR_TYPE_NULL. */
uint32_t wr_type_width(struct wr_type type);

static inline struct wr_type wr_type_of(enum wr_type_id id)
{
    return (struct wr_type){ .id = (uint8_t)id };
}

static inline bool wr_type_equal(struct wr_type a, struct wr_type b)
{
    return a.id == b.id && a.precision == b.precision && a.scale == b.scale;
}

static inline bool wr_type_is_nested(struct wr_type t)
{
    return t.id >= WR_TYPE_STRUCT && t.id <= WR_TYPE_MAP;
}

static inline bool wr_type_is_view(struct wr_type t)
{
    return t.id == WR_TYPE_TEXT || t.id == WR_TYPE_BYTES || t.id == WR_TYPE_JSON ||
           t.id == WR_TYPE_STATE || wr_type_is_nested(t);
}

static inline bool wr_type_is_integer(struct wr_type t)
{
    return t.id >= WR_TYPE_INT16 && t.id <= WR_TYPE_UINT64;
}

static inline bool wr_type_is_float(struct wr_type t)
{
    return t.id == WR_TYPE_FLOAT32 || t.id == WR_TYPE_FLOAT64;
}

static inline bool wr_type_is_numeric(struct wr_type t)
{
    return (t.id >= WR_TYPE_INT16 && t.id <= WR_TYPE_DECIMAL);
}

static inline bool wr_type_is_timestamp(struct wr_type t)
{
    return t.id == WR_TYPE_TIMESTAMP || t.id == WR_TYPE_TIMESTAMPTZ;
}

/* "BIGINT", "NUMERIC(10,2)": SQL's own spelling. into holds at least 32 bytes; a nested type's longer name is cut
 * ("STRUCT<a BIGINT, b TEXT..."; wr_nested_of has it whole). Returns into. */
const char *wr_type_name(struct wr_type type, char *into, size_t bytes);

#endif
