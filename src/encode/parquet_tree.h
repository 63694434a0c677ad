/* parquet_tree.h: a schema as the elements that a Parquet file has of it: groups and leaves, with their levels (Dremel).
 *
 * How nested types lie in a file (parquet-format, LogicalTypes.md; all optional inside, because nothing says otherwise):
 *   STRUCT -> optional group of its fields
 *   ARRAY  -> optional group (LIST) { repeated group list { optional element } }
 *   MAP    -> optional group (MAP) { repeated group key_value { required key, optional value } }
 *
 * Field ids: a column has its own; what lies in columns is numbered on behind the largest of those, in the order in which
 * Iceberg numbers a new table: all fields of a struct before what lies in them, an element before what lies in it, key before value.
 * The groups `list` and `key_value` have none.
 *
 * Ownership: names are the schema's and the types'. Threads: read-only after init.
 * Invariants: (1) children follow their parent, leaves are numbered in the same order
 */
#ifndef WR_ENCODE_PARQUET_TREE_H
#define WR_ENCODE_PARQUET_TREE_H

#include "base/status.h"
#include "batch/schema.h"

/* Leaves of one schema: each costs about a kilobyte in every open file. */
#define WR_PARQUET_LEAVES_MAX 16384u
/* Elements above a leaf: a nested type has two for each of its levels. */
#define WR_PARQUET_DEPTH_MAX 40u

enum wr_parquet_kind {
    WR_PARQUET_LEAF,
    WR_PARQUET_STRUCT,
    WR_PARQUET_LIST,
    WR_PARQUET_MAP,
    WR_PARQUET_ENTRIES, /* the repeated group in the two before */
};

struct wr_parquet_element {
    const char *name;
    struct wr_type type;  /* ENTRIES: that of its list or map */
    uint8_t kind;         /* enum wr_parquet_kind */
    uint8_t repetition;   /* 0 required, 1 optional, 2 repeated */
    uint8_t definition;   /* level at which it is not NULL */
    uint8_t repeat;       /* level of repetition */
    uint32_t column;      /* of the schema */
    uint32_t children;
    uint32_t parent;      /* index; its own: a column */
    uint32_t end;         /* index behind its last descendant */
    uint32_t leaf;        /* number of the first leaf in it */
    uint32_t leaf_end;
    uint32_t field_id;    /* 0: none */
};

struct wr_parquet_tree {
    struct wr_parquet_element *elements;
    uint32_t count;
    uint32_t leaf_count;
    uint32_t widest;  /* most leaves of one nested column; 0: all are flat */
    uint32_t *roots;  /* element of each column */
    uint32_t *leaves; /* element of each leaf */
};

/* Leaves that a type has; stops counting beyond WR_PARQUET_LEAVES_MAX. */
uint32_t wr_parquet_leaves_of(struct wr_type type);
/* USER: the schema has more than WR_PARQUET_LEAVES_MAX leaves. */
WR_NODISCARD wr_status wr_parquet_tree_fits(const struct wr_schema *schema, struct wr_error *err);
/* The schema must fit; its types need not be ones that Parquet can hold. */
void wr_parquet_tree_init(struct wr_parquet_tree *tree, const struct wr_schema *schema);
void wr_parquet_tree_deinit(struct wr_parquet_tree *tree); /* zeroed is fine */

/* The element's names from its column down; returns how many (at most WR_PARQUET_DEPTH_MAX). */
uint32_t wr_parquet_path(const struct wr_parquet_tree *tree, uint32_t element,
                         const char *names[WR_PARQUET_DEPTH_MAX]);

#endif
