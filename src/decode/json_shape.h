/* json_shape.h: what the JSON decoder's files share (private to them).
 *
 * The decoder expects each event to look like the one before. A node stands for an object that
 * holds columns; its shape lists the members that such objects had lately, in order, each with its
 * *glue*: all bytes from the end of the value before (or from the '{') to the start of its own
 * value, such as `,"type":`. One comparison of the glue replaces scanning white space, comma, key
 * and colon, and looking the key up. Where the glue differs, the members behind are tried (a field
 * was left out), then the text is parsed by the grammar and the shape learns it.
 *
 * Values keep their length more often than not (ids, codes, times). Where they do, the walk goes
 * on from the length that is expected and only checks it: then the processor need not wait for one
 * value's end to be found before it starts on the next. A member whose length changes often is
 * found out batch by batch and not bet on.
 *
 * The walk (json_walk.h) takes the fast way only where a value is of the plain form of its
 * column's type; everything else goes through wr_json_value_slow, which is complete by itself.
 */
#ifndef WR_DECODE_JSON_SHAPE_H
#define WR_DECODE_JSON_SHAPE_H

#include "base/arena.h"
#include "decode/decoder.h"
#include "decode/json_template.h"
#include "decode/nested_build.h"
#include <stdalign.h>

/* Longest glue that a shape keeps: two vector registers. */
#define WR_JSON_GLUE_BYTES 64u
/* Members that a shape may list beyond the object's columns: fields that nobody asked for. */
#define WR_JSON_SHAPE_SPARE 64u
/* How far behind the expected member a left-out field is looked for. */
#define WR_JSON_LOOKAHEAD 16u
/* The walk may read this many bytes behind a record, and a template WR_JSON_LEAD_BYTES before it:
 * so records are copied unless these lie in the same page. */
#define WR_JSON_PADDING 64u

enum wr_json_kind {
    WR_JSON_SKIP, /* no column */
    WR_JSON_TEXT,
    WR_JSON_INT64,
    WR_JSON_INT, /* the narrower and unsigned ones */
    WR_JSON_DOUBLE,
    WR_JSON_BOOL,
    WR_JSON_TIME,    /* timestamps */
    WR_JSON_DECIMAL,
    WR_JSON_CHILD,   /* an object that holds columns */
    WR_JSON_OTHER,   /* always the slow way */
};

struct wr_json_field {
    struct wr_type type;
    uint32_t column;
    uint32_t width;
    uint32_t seen_word;
    uint64_t seen_bit;
    void *values; /* of the batch at hand */
    bool not_null;
    const char *dotted;
    struct wr_json_field *next; /* another column of the same path */
};

struct wr_json_member {
    alignas(32) char glue[WR_JSON_GLUE_BYTES];
    uint64_t glue_mask; /* a bit per byte, up to 32; WR_JSON_NO_GLUE: longer, left to resync */
    uint32_t glue_bytes;
    enum wr_json_kind kind;
    uint32_t length; /* of the value in the event before */
    uint32_t misses; /* how often length was wrong in this batch */
    bool steady;     /* length is worth betting on */
    bool opens;      /* the glue begins with the object's '{': it must not match further on */
    void *values;    /* the three of the field, near at hand */
    uint64_t seen_bit;
    uint64_t *seen;
    struct wr_json_field *field; /* may be NULL */
    struct wr_json_node *child;  /* may be NULL */
};

/* A bit that no comparison of 32 bytes sets: such a member never matches. Also the mask of the
 * member that ends a shape. */
#define WR_JSON_NO_GLUE (1ull << 32)

/* A key that leads to a column or to an object with columns. */
struct wr_json_key {
    struct wr_slice name;
    struct wr_json_field *field;
    struct wr_json_node *child;
    struct wr_json_key *next;
};

struct wr_json_node {
    struct wr_json_key *keys;
    struct wr_json_member *shape;
    uint32_t shape_count;    /* shape[shape_count] is there too and never matches */
    uint32_t shape_capacity;
    uint32_t depth;   /* objects open inside it, itself included */
    uint32_t entered; /* 1 + the row that had it last: a second time is a duplicate key */
    uint32_t learns;  /* the templates' count when one was learnt from it last: the same for them */
};

struct wr_json_decoder {
    struct wr_decoder base;
    const struct wr_schema *schema;
    struct wr_arena arena;
    struct wr_json_node *root;
    struct wr_json_field *fields; /* field_count of them, in the schema's order */
    uint32_t field_count;
    uint32_t seen_words;
    uint64_t seen[WR_COLUMNS_MAX / 64]; /* columns of the row at hand that have a value */
    uint64_t all[WR_COLUMNS_MAX / 64];
    struct wr_json_member passing; /* for keys that no shape can hold */
    struct wr_json_templates templates;
    uint16_t *marks; /* WR_JSON_MARKS_ROOM of them */
    uint32_t unit_digits;
    int64_t unit_multiplier; /* of integer timestamps to us; 0: not a plain multiplication */
    /* The day that RFC 3339 texts had last: its ten characters as words, and its days since
     * 1970. */
    uint64_t day_head;
    uint64_t day_tail;
    int64_t day_us;
    void (*run)(struct wr_json_decoder *d, const struct wr_records *records);
    /* the batch at hand */
    struct wr_batch *batch;
    struct wr_faults *faults;
    /* the record at hand */
    uint32_t row;
    const char *start;
    const char *end;
    uint32_t batches; /* decoded so far */
    uint32_t rows_before;
    ptrdiff_t origin; /* add to a pointer into the text at hand to get the record's own bytes */
    char *copy;       /* copy_capacity bytes */
    size_t copy_capacity;
    struct wr_nested_writer writer;
    struct wr_buf spans; /* see json_nested.c */
    struct wr_json_checks *checks; /* NULL: none were asked for */
};

enum wr_json_kind wr_json_kind_of(struct wr_type type);
/* NULL: nobody asks for it. */
struct wr_json_key *wr_json_find_key(const struct wr_json_node *node, struct wr_slice name);
/* Stores a value of any form, or skips it when field is NULL. Returns the byte after it, NULL
 * after a fault. */
const char *wr_json_value_slow(struct wr_json_decoder *d, struct wr_json_field *field,
                               const char *at, uint32_t depth);
/* Stores the value at [at, after), which is well-formed. */
bool wr_json_store(struct wr_json_decoder *d, struct wr_json_field *field, const char *at,
                   const char *after);
/* A string's contents, [at, after) with its quotes; escaped ones are decoded into the batch's arena. *own: not borrowed from
 * the text. */
struct wr_slice wr_json_contents(struct wr_json_decoder *d, const char *at, const char *after,
                                 bool *own);
/* A scalar's text as the type, which is neither TEXT nor JSON; false: it is none. */
bool wr_json_convert(struct wr_json_decoder *d, struct wr_type type, const char *at,
                     const char *after, void *out);
/* The fault of a value that its type does not take. where: column or path. */
void wr_json_ill_typed(struct wr_json_decoder *d, const char *where, struct wr_type wanted,
                       const char *at, const char *after);
/* A value of a nested column, which is well-formed JSON, not null, and followed by something (it stands in the record's object). */
bool wr_json_nested(struct wr_json_decoder *d, const struct wr_json_field *field, const char *at,
                    struct wr_view *out);
/* The glue at at is not *member's: finds or learns the member that it belongs to, from first (the
 * object just opened) or behind a value. Returns where the value starts; with *member == NULL the
 * byte after the object; NULL after a fault. */
const char *wr_json_resync(struct wr_json_decoder *d, struct wr_json_node *node, const char *at,
                           bool first, struct wr_json_member **member);
/* The row's columns without a value become NULL; false after a fault (NOT NULL). */
bool wr_json_fill_nulls(struct wr_json_decoder *d);
/* Forgets the values found under node in this row (its key came again). */
void wr_json_forget(struct wr_json_decoder *d, struct wr_json_node *node);
/* Adds a fault of the record at hand. at: where; NULL: nowhere in particular. Returns NULL. */
const char *wr_json_fault(struct wr_json_decoder *d, const char *at, const char *what);
/* Sets start, end and origin so that WR_JSON_PADDING bytes behind end may be read: the record lies
 * at the end of a page and so is copied, or it is refused: false. */
bool wr_json_open_slow(struct wr_json_decoder *d, const struct wr_record *record);

/* Sanitizers count every byte behind a record as foreign, so under them each record is copied. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WR_JSON_ALWAYS_COPY true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define WR_JSON_ALWAYS_COPY true
#endif
#endif
#ifndef WR_JSON_ALWAYS_COPY
#define WR_JSON_ALWAYS_COPY false
#endif

/* Reading on within the pages of the first and the last byte cannot fault; what is read there
 * decides nothing. */
static inline bool wr_json_readable(const struct wr_record *record)
{
    const uintptr_t last = (uintptr_t)record->data + record->bytes - 1;
    return __builtin_expect(!WR_JSON_ALWAYS_COPY && (last & 4095) + WR_JSON_PADDING <= 4095 &&
                                ((uintptr_t)record->data & 4095) >= WR_JSON_LEAD_BYTES &&
                                record->bytes - 1 < WR_RECORD_BYTES_MAX && record->data != NULL,
                            1);
}

static inline bool wr_json_open(struct wr_json_decoder *d, const struct wr_record *record)
{
    if (!wr_json_readable(record)) {
        return wr_json_open_slow(d, record);
    }
    d->start = record->data;
    d->end = record->data + record->bytes;
    d->origin = 0;
    return true;
}

/* See json_walk.h. The first matches templates before it walks. */
void wr_json_run_avx512(struct wr_json_decoder *d, const struct wr_records *records);
void wr_json_run_avx2(struct wr_json_decoder *d, const struct wr_records *records);
void wr_json_run_plain(struct wr_json_decoder *d, const struct wr_records *records);
/* Whether this machine can run them. */
bool wr_json_has_avx512(void);
bool wr_json_has_avx2(void);

#endif
