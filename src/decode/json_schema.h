/* json_schema.h: JSON Schema (drafts 4 to 2020-12) as a tree that JSON text is checked against.
 *
 * The subset: type, enum, const, properties, required, additionalProperties, minProperties, maxProperties, items (one schema for all),
 * minItems, maxItems, minimum, maximum, exclusiveMinimum, exclusiveMaximum, minLength, maxLength, pattern (PCRE2), allOf, anyOf, oneOf,
 * not, $ref within the document, true and false. Annotations, `format` among them, are passed over. Every other keyword is refused by
 * name: what is not checked must not look as if it were.
 *
 * Ownership: a schema owns its nodes; a checker, which keeps what matching needs, belongs to one thread and borrows its schema.
 * Threads: schemas are read-only after parsing.
 * Invariants:
 *   (1) a check ends: its work is bounded by the text's length, its depth by WR_JSON_SCHEMA_DEPTH_MAX
 */
#ifndef WR_DECODE_JSON_SCHEMA_H
#define WR_DECODE_JSON_SCHEMA_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include <jansson.h>
#include <stdbool.h>

#define WR_JSON_SCHEMA_BYTES_MAX (4u << 20)
/* Of values and of schemas that lead to others, together: both are walked by recursion. */
#define WR_JSON_SCHEMA_DEPTH_MAX 600u

/* Bits of a node's types. */
enum {
    WR_JSON_IS_NULL = 1,
    WR_JSON_IS_BOOLEAN = 2,
    WR_JSON_IS_INTEGER = 4,
    WR_JSON_IS_NUMBER = 8, /* those that are no integers too */
    WR_JSON_IS_STRING = 16,
    WR_JSON_IS_ARRAY = 32,
    WR_JSON_IS_OBJECT = 64,
};

struct wr_json_bound {
    bool set;
    bool exclusive;
    double value;
    const char *keyword;
};

struct wr_json_property {
    struct wr_slice name;
    const struct wr_json_schema_node *node; /* NULL: only required */
    bool required;
};

struct wr_json_schema_nodes {
    const struct wr_json_schema_node **items;
    uint32_t count;
};

struct wr_json_schema_node {
    const json_t *from; /* where it stands; a node per place, so that references may go round */
    bool never;         /* the schema `false` */
    uint8_t types;      /* 0: any */
    struct wr_json_bound low;
    struct wr_json_bound high;
    int64_t length_min; /* of strings, in characters; -1: none */
    int64_t length_max;
    int64_t items_min;
    int64_t items_max;
    int64_t properties_min;
    int64_t properties_max;
    void *pattern; /* pcre2_code; NULL: none */
    const char *pattern_text;
    const json_t *any_of_values; /* enum: an array */
    const json_t *one_value;     /* const */
    struct wr_json_property *properties;
    uint32_t property_count;
    uint32_t required_count;
    const struct wr_json_schema_node *other_properties; /* NULL: any */
    const struct wr_json_schema_node *items;            /* NULL: any */
    struct wr_json_schema_nodes all;
    struct wr_json_schema_nodes any;
    struct wr_json_schema_nodes one;
    const struct wr_json_schema_node *not_this;
    const struct wr_json_schema_node *reference;
    const char *format; /* for columns; never checked */
    struct wr_json_schema_node *next; /* all of the schema */
};

struct wr_json_schema {
    struct wr_arena arena;
    json_t *json;
    struct wr_json_schema_node *nodes;
    uint32_t node_count;
    const struct wr_json_schema_node *root;
};

/* WR_FAIL, class DATA: no JSON, no schema, or a keyword that is not checked. */
WR_NODISCARD wr_status wr_json_schema_parse(struct wr_json_schema **schema, struct wr_slice text,
                                            struct wr_error *err);
void wr_json_schema_destroy(struct wr_json_schema *schema); /* NULL is fine */

/* ---- checking ---- */

struct wr_json_checker;

struct wr_json_checker *wr_json_checker_create(void);
void wr_json_checker_destroy(struct wr_json_checker *checker); /* NULL is fine */

/* Where and why a text does not comply. */
struct wr_json_violation {
    char pointer[120]; /* RFC 6901: "/items/3/price"; "" is the whole */
    char message[160]; /* begins with the rule: "minimum 0: -5" */
};

/* text: one well-formed value, with white space around it at most. */
bool wr_json_check(struct wr_json_checker *checker, const struct wr_json_schema *schema,
                   struct wr_slice text, struct wr_json_violation *violation);

#endif
