/* parquet.h: batches -> one Parquet file, written forward only through a callback.
 *
 * Each column encodes and compresses a page as soon as it is full, so that what an open row group holds in
 * memory is compressed pages, dictionaries and one open page per column, not rows.
 *
 * How types are stored (all columns that are not NOT NULL are OPTIONAL):
 *   BOOLEAN -> BOOLEAN; SMALLINT, INTEGER, their UNSIGNED, DATE -> INT32; BIGINT (UNSIGNED) -> INT64, each with its
 *   logical type; REAL -> FLOAT; DOUBLE PRECISION -> DOUBLE; TEXT -> STRING; JSON -> JSON; BYTEA -> BYTE_ARRAY;
 *   NUMERIC(p,s) -> DECIMAL as INT32 (p <= 9), INT64 (p <= 18) or FIXED_LEN_BYTE_ARRAY;
 *   TIMESTAMP, TIMESTAMPTZ -> INT64 microseconds, isAdjustedToUTC (Weir's TIMESTAMP is UTC, and Delta's
 *   `timestamp` is the adjusted one; option timestamp_local makes TIMESTAMP a local time);
 *   INTERVAL -> STRING in PostgreSQL's text ("1 day 02:03:04"): Parquet's own INTERVAL has no microseconds and
 *   no negative parts, and an INT64 has no months.
 *
 *   STRUCT, ARRAY, MAP -> groups of leaf columns with definition and repetition levels (parquet_tree.h).
 *
 * Limits of pages and row groups that are told in rows count, for leaves of nested columns, levels (elements of lists, NULLs): a
 * page or group ends behind the row with which one of its leaves reaches it.
 *
 * Statistics: a chunk or page of floats that holds a NaN has no minimum and maximum, because readers do
 * not agree on the order of NaN; long texts are cut (a maximum rounded up) and marked as inexact.
 *
 * Ownership: append copies what it needs; the batch may be released after it returns. schema is borrowed until
 * destroy.
 * Threads: one at a time; a wr_parquet_shared belongs to one thread.
 * Invariants: (1) after a WR_FAIL the file is broken: only destroy may follow
 */
#ifndef WR_ENCODE_PARQUET_H
#define WR_ENCODE_PARQUET_H

#include "base/status.h"
#include "batch/batch.h"
#include "encode/parquet_bounds.h"

struct wr_parquet_writer;
struct wr_parquet_shared;

struct wr_parquet_pair {
    const char *key;
    const char *value; /* NULL: a key without a value */
};

/* A zeroed one means all defaults (dictionaries on). Copied, texts too. */
struct wr_parquet_options {
    int zstd_level;               /* 1 to 22; 0: 1 */
    uint64_t row_group_bytes;     /* raw bytes of a row group's values; 0: 32 MiB */
    uint32_t row_group_rows;      /* of the leaf with the most levels; 0: 1,048,576 */
    uint32_t page_bytes;          /* raw bytes of a page; 0: 256 KiB */
    uint32_t page_rows;           /* nested: levels; 0: 16,384 */
    bool no_dictionary;
    bool plain_only;              /* no encodings younger than Parquet 1.0: for very old readers */
    bool timestamp_local;         /* TIMESTAMP (not TIMESTAMPTZ) is written isAdjustedToUTC = false */
    bool json_as_text;            /* JSON is annotated as STRING: in tables, where polars expects just that */
    bool page_crc;                /* CRC-32 of each page, which readers may check */
    const char *created_by;       /* NULL: "weir version 0.1.0 (build ...)" */
    const struct wr_parquet_pair *pairs; /* key-value metadata of the footer */
    uint32_t pairs_count;
    /* Working memory and what was learned about the columns, for many files of one schema that one thread writes,
     * at the same time or in turn. NULL: the writer makes its own. Outlives the writer. */
    struct wr_parquet_shared *shared;
};

/* Takes all n bytes or fails. Called from append, flush and finish only. */
typedef wr_status (*wr_parquet_write_fn)(void *ctx, const void *bytes, size_t n,
                                         struct wr_error *err);

struct wr_parquet_shared *wr_parquet_shared_create(const struct wr_schema *schema);
void wr_parquet_shared_destroy(struct wr_parquet_shared *shared); /* NULL is fine */
uint64_t wr_parquet_shared_bytes(const struct wr_parquet_shared *shared);

/* skip: one byte per column of the schema, not 0 = the column is not written (a partition column); NULL: all are
 * written. A schema without any written column or with a type that Parquet cannot hold is refused. */
WR_NODISCARD wr_status wr_parquet_create(const struct wr_schema *schema, const uint8_t *skip,
                                         const struct wr_parquet_options *options,
                                         wr_parquet_write_fn write, void *ctx,
                                         struct wr_parquet_writer **writer, struct wr_error *err);

/* Appends the live rows of the batch, whose columns are the schema's. */
WR_NODISCARD wr_status wr_parquet_append(struct wr_parquet_writer *writer,
                                         const struct wr_batch *batch, struct wr_error *err);
/* Appends rows[0..count) of the batch, in that order (row numbers, not positions in sel). */
WR_NODISCARD wr_status wr_parquet_append_rows(struct wr_parquet_writer *writer,
                                              const struct wr_batch *batch, const uint32_t *rows,
                                              uint32_t count, struct wr_error *err);

/* Ends the row group that is open, if it has rows: under memory pressure. */
WR_NODISCARD wr_status wr_parquet_flush_row_group(struct wr_parquet_writer *writer,
                                                  struct wr_error *err);
/* Ends the row group and writes indexes and footer: the file is complete. Only destroy may follow. */
WR_NODISCARD wr_status wr_parquet_finish(struct wr_parquet_writer *writer, struct wr_error *err);
void wr_parquet_destroy(struct wr_parquet_writer *writer); /* NULL is fine; finished or not */

/* What a finished file holds: the statistics of its row groups taken together, leaf by leaf. */
struct wr_parquet_column_summary {
    uint32_t index; /* of the column in the schema */
    uint32_t leaf;  /* number among that column's leaves, in the order of its type; 0: flat, or the first */
    enum wr_bounds_kind kind;
    uint32_t width; /* of WR_BOUNDS_WIDE, for wr_bounds_min and _max */
    uint64_t nulls; /* also those where what is around is NULL, and empty lists */
    struct wr_bounds bounds; /* of the values that are not NULL; wr_bounds_usable says whether they hold */
};
struct wr_parquet_summary {
    uint64_t rows;
    uint64_t bytes; /* of the file */
    struct wr_parquet_column_summary *columns; /* leaves that were written, in the schema's order */
    uint32_t columns_count;
};

/* After wr_parquet_finish. Fills summary, which owns its memory and outlives the writer. */
void wr_parquet_summarize(const struct wr_parquet_writer *writer,
                          struct wr_parquet_summary *summary);
void wr_parquet_summary_deinit(struct wr_parquet_summary *summary); /* zeroed is fine */

uint64_t wr_parquet_rows(const struct wr_parquet_writer *writer);           /* appended so far */
uint64_t wr_parquet_bytes(const struct wr_parquet_writer *writer);          /* given to write so far */
uint64_t wr_parquet_buffered_bytes(const struct wr_parquet_writer *writer); /* memory held, without shared */
/* What the file would be if it were finished now, roughly: for rolling files by size. */
uint64_t wr_parquet_estimated_bytes(const struct wr_parquet_writer *writer);

#endif
