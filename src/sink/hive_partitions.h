/* hive_partitions.h: rows -> Hive directories (`country=DE/day=2024-01-31`).
 *
 * A table of the partitions that rows were seen of since it was last cleared, found by the bytes
 * of their values; the directory's text is made once per partition. Values are escaped as Hive
 * does (%XX); NULL is __HIVE_DEFAULT_PARTITION__, and a text that says so has its first character
 * escaped. A table's log has values too, as JSON text, where its way of writing them is given.
 *
 * Ownership: the table owns its partitions; file is its user's. Threads: one.
 */
#ifndef WR_SINK_HIVE_PARTITIONS_H
#define WR_SINK_HIVE_PARTITIONS_H

#include "batch/batch.h"
#include "plan/plan.h"

/* File systems allow 255 bytes a name; S3 1,024 bytes a key, of which prefix and file name need
 * their part. */
#define WR_HIVE_NAME_BYTES_MAX 255u
#define WR_HIVE_DIRECTORY_BYTES_MAX 768u

/* Appends a value's text; false: nothing, it counts as NULL. */
typedef bool wr_hive_text_fn(struct wr_type type, const void *value, struct wr_buf *into);

struct wr_hive_partition {
    uint64_t hash;
    char *key; /* bytes of the values, to compare */
    uint32_t key_bytes;
    char *directory; /* ends with a slash; NULL: its rows are refused */
    char *values;    /* {"column":"text",...} where a text function is given, else NULL */
    const char *refused; /* why */
    void *file;      /* what is open for it, or NULL */
    uint32_t rows;   /* of the batch in hand */
    uint32_t begin;  /* where they begin among the grouped rows */
};

struct wr_hive_partitions {
    const struct wr_plan_sink *plan;
    wr_hive_text_fn *text;
    struct wr_hive_partition **slots; /* open addressing, power of two, at most half full */
    uint32_t slot_count;
    uint32_t count;
    struct wr_buf scratch;
    /* Of the batch in hand: its partitions in order of first appearance, and its rows grouped by
     * them. */
    struct wr_hive_partition **touched;
    uint32_t touched_count;
    struct wr_hive_partition **of_row;
    uint32_t *grouped;
};

/* text: how values are written; NULL: as SQL does. */
void wr_hive_init(struct wr_hive_partitions *table, const struct wr_plan_sink *plan,
                  wr_hive_text_fn *text);
void wr_hive_deinit(struct wr_hive_partitions *table); /* zeroed is fine */

/* Fills touched and grouped for the live rows of the batch. */
void wr_hive_group(struct wr_hive_partitions *table, const struct wr_batch *batch);

/* Forgets the partitions that have no file (all: unless a batch is in hand). */
void wr_hive_forget_closed(struct wr_hive_partitions *table);

/* Appends text as one part of a Hive directory's name. */
void wr_hive_escape(struct wr_buf *buf, const char *text, size_t bytes);

#endif
