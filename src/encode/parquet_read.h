/* parquet_read.h: reads leaves of nested Parquet files, of any writer: for the checkpoints of tables' logs.
 *
 * A leaf comes as its levels and its values that are not NULL (Dremel's encoding); whoever asks puts rows together. Read
 * are BOOLEAN, INT32, INT64 and BYTE_ARRAY; data pages v1 and v2; PLAIN, dictionaries, RLE and the DELTA encodings; no compression, snappy,
 * zstd, gzip. Anything else is refused by name.
 *
 * Ownership: the file's bytes are borrowed until close; a leaf's values live until its deinit.
 * Every byte is hostile: lengths are checked, sizes limited, nothing is trusted to agree with anything else.
 */
#ifndef WR_ENCODE_PARQUET_READ_H
#define WR_ENCODE_PARQUET_READ_H

#include "base/arena.h"
#include "base/status.h"
#include "encode/parquet_column.h"

struct wr_parquet_reader;

/* One element of the schema, in the file's order: children follow their parent. */
struct wr_parquet_node {
    struct wr_slice name;
    int32_t physical;    /* enum wr_parquet_physical; -1: a group */
    uint8_t repetition;  /* 0 required, 1 optional, 2 repeated */
    uint8_t definition;  /* level at which it is not NULL */
    uint8_t repeat;      /* level of repetition */
    uint32_t child_count;
    uint32_t end;        /* index after its last descendant */
    uint32_t leaf;       /* number among leaves */
};

struct wr_parquet_leaf {
    uint32_t count; /* of levels */
    uint8_t *definition;
    uint8_t *repeat;
    uint32_t value_count; /* levels at the highest definition */
    int64_t *numbers;        /* of numbers and booleans, else NULL */
    struct wr_slice *texts;  /* of BYTE_ARRAY, else NULL */
    uint8_t definition_max;
    uint8_t repeat_max;
    struct wr_arena arena; /* what texts point into */
};

WR_NODISCARD wr_status wr_parquet_open(struct wr_parquet_reader **reader, const void *data,
                                       size_t bytes, struct wr_error *err);
void wr_parquet_close(struct wr_parquet_reader *reader); /* NULL is fine */

uint32_t wr_parquet_groups(const struct wr_parquet_reader *reader);
uint64_t wr_parquet_group_rows(const struct wr_parquet_reader *reader, uint32_t group);
/* Node 0 is the root. */
const struct wr_parquet_node *wr_parquet_nodes(const struct wr_parquet_reader *reader,
                                               uint32_t *count);
/* The index of parent's child with that name, or of its at-th child (name NULL); 0: none. parent 0: the root. */
uint32_t wr_parquet_child(const struct wr_parquet_reader *reader, uint32_t parent, const char *name,
                          uint32_t at);

/* Reads the leaf at node of a row group. into: uninitialised before, needs deinit after WR_OK only. */
WR_NODISCARD wr_status wr_parquet_read_leaf(const struct wr_parquet_reader *reader, uint32_t group,
                                            uint32_t node, struct wr_parquet_leaf *into,
                                            struct wr_error *err);
void wr_parquet_leaf_deinit(struct wr_parquet_leaf *leaf); /* zeroed is fine */

#endif
