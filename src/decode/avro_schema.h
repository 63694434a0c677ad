/* avro_schema.h: an Avro schema (specification 1.12) as a tree, with all that avro-c's parser drops: defaults, aliases,
 * logical types.
 *
 * Ownership: everything lies in the schema's arena and in the JSON it keeps. Threads: read-only after parsing.
 * Invariants:
 *   (1) every named type occurs once; a name that is used again points to it, so trees may be recursive
 *   (2) a logical type that its base cannot carry is left out, as the specification asks
 *   (3) a union's branches are no unions, and nothing nests deeper than WR_AVRO_DEPTH_MAX in the text
 */
#ifndef WR_DECODE_AVRO_SCHEMA_H
#define WR_DECODE_AVRO_SCHEMA_H

#include "base/arena.h"
#include "base/status.h"
#include <jansson.h>

/* Nesting of schema text and of values: both are walked by recursion. */
#define WR_AVRO_DEPTH_MAX 64u

/* A schema longer than this is a mistake. */
#define WR_AVRO_SCHEMA_BYTES_MAX (4u << 20)

enum wr_avro_kind {
    WR_AVRO_NULL,
    WR_AVRO_BOOLEAN,
    WR_AVRO_INT,
    WR_AVRO_LONG,
    WR_AVRO_FLOAT,
    WR_AVRO_DOUBLE,
    WR_AVRO_BYTES,
    WR_AVRO_STRING,
    WR_AVRO_FIXED,
    WR_AVRO_ENUM,
    WR_AVRO_RECORD,
    WR_AVRO_ARRAY,
    WR_AVRO_MAP,
    WR_AVRO_UNION,
};

enum wr_avro_logical {
    WR_AVRO_PLAIN,
    WR_AVRO_DECIMAL,
    WR_AVRO_UUID,
    WR_AVRO_DATE,
    WR_AVRO_TIME_MILLIS,
    WR_AVRO_TIME_MICROS,
    WR_AVRO_TIMESTAMP_MILLIS, /* an instant */
    WR_AVRO_TIMESTAMP_MICROS,
    WR_AVRO_TIMESTAMP_NANOS,
    WR_AVRO_LOCAL_MILLIS, /* without a zone */
    WR_AVRO_LOCAL_MICROS,
    WR_AVRO_LOCAL_NANOS,
    WR_AVRO_DURATION,
};

struct wr_avro_node;

struct wr_avro_field {
    const char *name;
    const char *const *aliases;
    uint32_t alias_count;
    const struct wr_avro_node *type;
    const json_t *otherwise; /* "default"; NULL: none */
};

struct wr_avro_node {
    enum wr_avro_kind kind;
    enum wr_avro_logical logical;
    uint32_t precision; /* DECIMAL */
    uint32_t scale;
    uint32_t size;    /* FIXED: bytes */
    const char *name; /* full name of a named type, else NULL */
    const char *namespace_;
    struct wr_avro_field *fields;      /* RECORD: count of them */
    const struct wr_avro_node **types; /* UNION: count branches; ARRAY, MAP: the one of items */
    struct wr_slice *symbols;          /* ENUM: count of them */
    int32_t symbol_default;            /* ENUM: -1: none */
    uint32_t count;
};

struct wr_avro_schema {
    struct wr_arena arena;
    const struct wr_avro_node *root;
    json_t **texts; /* text_count: kept for the defaults */
    uint32_t text_count;
};

/* texts: the schema last, before it those that it refers to by name, in the order in which they build on each other. */
WR_NODISCARD wr_status wr_avro_schema_parse(struct wr_avro_schema **schema,
                                            const struct wr_slice *texts, uint32_t text_count,
                                            struct wr_error *err);
void wr_avro_schema_destroy(struct wr_avro_schema *schema); /* NULL is fine */

/* "string", "record com.example.Click": for messages. into holds at least 32 bytes. */
const char *wr_avro_type_text(const struct wr_avro_node *node, char *into, size_t bytes);

/* The one other branch of a union of null and one type, with the null's index; NULL for anything else. */
const struct wr_avro_node *wr_avro_optional(const struct wr_avro_node *node, uint32_t *null_index);

/* The field of that name or, when reader_field is given, of one of its aliases; else the only one whose name differs in
 * letter case alone; NULL. */
const struct wr_avro_field *wr_avro_find_field(const struct wr_avro_node *record, const char *name,
                                               const struct wr_avro_field *reader_field);

#endif
