/* nested.h: STRUCT, ARRAY and MAP: their types and how one value lies in memory (interface).
 *
 * A column of a nested type holds 16-byte views, as TEXT does; a view's bytes are the value's body, written by a
 * wr_nested_writer. So whatever moves texts (pools, exchange, partial states, snapshots, compaction of batches) moves nested values
 * without knowing them, and only decoders, field access, UNNEST and encoders look inside. Columns of children (Arrow's layout) would
 * make Parquet's shredding cheaper and everything else dearer; a field that a query names is decoded into a column of its own anyway
 * (wr_field.path).
 *
 *   slot   := 0x00                                  NULL
 *           | 0x01 value
 *   value  := the scalar's wr_type_width bytes      fixed width, little endian, not aligned
 *           | bytes:u32 payload                     TEXT, BYTEA, JSON; nested: payload is its body
 *   STRUCT body := slot of each field, in order
 *   ARRAY  body := count:u32, slot of each element
 *   MAP    body := count:u32, then of each entry: the key's slot (never NULL) and the value's slot; of equal keys the last one counts
 *                  (writers drop the earlier ones)
 *
 * Shapes (what a nested type consists of) are interned for the whole process and never freed: equal types have equal ids, so that
 * wr_type stays four plain bytes and wr_type_equal stays as it is. Their number is bounded (WR_NESTED_SHAPES_MAX); nothing that
 * comes over the wire makes one, only schemas that somebody declared.
 *
 * Ownership: shapes live for ever; a writer owns its buffer. Threads: shapes may be made and read by all threads; a writer belongs to one.
 * Invariants:
 *   (1) a body that a writer finished is well formed for its type: readers of bodies assert, they do not check
 *   (2) nesting is at most WR_NESTED_DEPTH_MAX deep; making a deeper type is refused
 *   (3) a map's key is a scalar that is not a float
 *   (4) wr_type_name of equal nested types is the same text, and parsing that text (SQL's type syntax) gives the type back:
 *       STRUCT<a BIGINT, "B c" TEXT[]>, ARRAY is TEXT[] or ARRAY<TEXT>, MAP<TEXT, DOUBLE PRECISION>
 */
#ifndef WR_BATCH_NESTED_H
#define WR_BATCH_NESTED_H

#include "base/buf.h"
#include "base/status.h"
#include "batch/type.h"

#define WR_NESTED_DEPTH_MAX 16u
#define WR_NESTED_FIELDS_MAX 1024u
#define WR_NESTED_SHAPES_MAX 65535u

struct wr_nested_field {
    const char *name; /* STRUCT; ARRAY: "element"; MAP: "key", "value" */
    struct wr_type type;
};

/* What a nested type consists of. */
struct wr_nested {
    uint8_t id;                           /* WR_TYPE_STRUCT, _ARRAY or _MAP */
    uint8_t depth;                        /* 1: all fields are scalars */
    uint32_t field_count;                 /* STRUCT: 1 or more; ARRAY: 1; MAP: 2 (key, value) */
    const struct wr_nested_field *fields;
    const char *text;                     /* the whole type as SQL spells it */
};

/* @thread any */
const struct wr_nested *wr_nested_of(struct wr_type type);

/* Makes or finds the type. Names are copied. WR_FAIL, class USER: too deep, too many fields, two fields of one name (case counts), a map
 * key that is not allowed, too many shapes. @thread any */
WR_NODISCARD wr_status wr_nested_struct(const struct wr_nested_field *fields, uint32_t count,
                                        struct wr_type *type, struct wr_error *err);
WR_NODISCARD wr_status wr_nested_array(struct wr_type element, struct wr_type *type,
                                       struct wr_error *err);
WR_NODISCARD wr_status wr_nested_map(struct wr_type key, struct wr_type value, struct wr_type *type,
                                     struct wr_error *err);

/* Index of a STRUCT's field, or -1: exact name first, else the only one that is equal without case. */
int32_t wr_nested_find(const struct wr_nested *nested, struct wr_slice name);

/* ---- writing: decoders, casts, constructors ---- */

struct wr_nested_writer {
    struct wr_buf buf;
    struct {
        size_t at;      /* where the body begins */
        uint32_t count; /* of slots so far */
        uint8_t id;
    } open[WR_NESTED_DEPTH_MAX];
    uint32_t depth;
};

void wr_nested_writer_deinit(struct wr_nested_writer *w); /* zeroed is fine */
/* Begins a body: the whole value's when none is open, else that of a nested slot. Emptied before a whole value. */
void wr_nested_open(struct wr_nested_writer *w, struct wr_type type);
void wr_nested_put_null(struct wr_nested_writer *w);
/* A scalar as it lies in a column (a wr_view for texts); a nested value as a view of its body. */
void wr_nested_put(struct wr_nested_writer *w, struct wr_type type, const void *value);
/* TEXT, BYTEA, JSON without a view. */
void wr_nested_put_bytes(struct wr_nested_writer *w, const char *data, size_t bytes);
/* Ends the innermost body. When it was the whole value's: its bytes, valid until the writer is used again. */
struct wr_slice wr_nested_close(struct wr_nested_writer *w);

/* ---- reading ---- */

/* Walks the slots of a body: a STRUCT's fields, an ARRAY's elements, a MAP's keys and values in turn. */
struct wr_nested_cursor {
    const struct wr_nested *nested;
    const char *at;
    const char *end;
    uint32_t index; /* of the next slot */
    uint32_t count; /* of all slots; a MAP's: two per entry */
};

void wr_nested_walk(struct wr_nested_cursor *cursor, struct wr_type type, struct wr_slice body);
/* The next slot's value as it lies in a column, into value (16 bytes; views borrow the body); *type: its type. False behind the last
 * one. *null: value is zero. */
bool wr_nested_next(struct wr_nested_cursor *cursor, struct wr_type *type, void *value, bool *null);

/* A STRUCT's field, an ARRAY's element (from 0). False: NULL or not there. */
bool wr_nested_at(struct wr_type type, struct wr_slice body, uint32_t index, void *value);
/* A MAP's value under the key (as it lies in a column of the key's type). False: NULL or not there. */
bool wr_nested_lookup(struct wr_type type, struct wr_slice body, const void *key, void *value);
/* Elements of an ARRAY, entries of a MAP, fields of a STRUCT. */
uint32_t wr_nested_count(struct wr_type type, struct wr_slice body);

/* Bytes from outside (a damaged snapshot): whether they are a well-formed body of the type. */
bool wr_nested_check(struct wr_type type, struct wr_slice body);

/* As JSON text: objects, arrays, objects by the key's text. */
void wr_nested_format_json(struct wr_buf *buf, struct wr_type type, struct wr_slice body);

#endif
