/* parquet_nested.h: writes Parquet files with structs, maps and lists, value by value: the checkpoints of tables' logs.
 *
 * Slow beside parquet.h and simple: whoever calls gives each leaf its levels (Dremel's encoding) and values, PLAIN pages are
 * compressed with zstd. A row is what lies between two calls of wr_nested_row_end; in it each leaf gets at least
 * one entry.
 *
 * Ownership: the schema is borrowed until destroy; texts are copied.
 */
#ifndef WR_ENCODE_PARQUET_NESTED_H
#define WR_ENCODE_PARQUET_NESTED_H

#include "base/status.h"
#include "encode/parquet.h"

enum wr_nested_kind {
    WR_NESTED_GROUP,
    WR_NESTED_MAP,  /* its child: a repeated group of key and value */
    WR_NESTED_LIST, /* its child: a repeated group of one element */
    WR_NESTED_TEXT,
    WR_NESTED_INT32,
    WR_NESTED_INT64,
    WR_NESTED_BOOL,
};

/* Element of a schema in the file's order, the root left out: children follow their parent. */
struct wr_nested_node {
    const char *name;
    enum wr_nested_kind kind;
    uint8_t repetition; /* 0 required, 1 optional, 2 repeated */
    uint8_t children;
};

struct wr_nested_writer;

/* root_children: how many of the nodes are columns of their own. */
struct wr_nested_writer *wr_nested_create(const struct wr_nested_node *nodes, uint32_t count,
                                          uint32_t root_children, wr_parquet_write_fn write,
                                          void *ctx);
void wr_nested_destroy(struct wr_nested_writer *writer); /* NULL is fine */

/* leaf: number among the leaves. definition: level at which it ends, below the leaf's own. */
void wr_nested_null(struct wr_nested_writer *writer, uint32_t leaf, uint32_t definition,
                    uint32_t repeat);
void wr_nested_number(struct wr_nested_writer *writer, uint32_t leaf, uint32_t repeat,
                      int64_t value);
void wr_nested_text(struct wr_nested_writer *writer, uint32_t leaf, uint32_t repeat,
                    struct wr_slice text);
/* Ends the row; writes a row group when there is enough for one. */
WR_NODISCARD wr_status wr_nested_row_end(struct wr_nested_writer *writer, struct wr_error *err);
WR_NODISCARD wr_status wr_nested_finish(struct wr_nested_writer *writer, struct wr_error *err);
uint64_t wr_nested_bytes(const struct wr_nested_writer *writer); /* given to write so far */
uint64_t wr_nested_rows(const struct wr_nested_writer *writer);

#endif
