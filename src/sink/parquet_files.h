/* parquet_files.h: the Parquet files that one writer has under way: one per partition (or one in
 * all), filled, finished, sent. The directory sink and the table sink share it; they differ in who
 * makes a finished file count.
 *
 * What the encoder makes gathers in the file's buffer and goes to the store in pieces; a file is
 * opened in the store only when the first piece goes there, so that thousands of small partitions
 * need neither descriptors nor connections.
 *
 *   OPEN      takes rows                           [write]
 *   FINISHED  has its footer; bytes still to send  [finish]  when full, squeezed out, or prepare
 *   BEGUN     the store works at it                [begin]   at the next write, or prepare
 *   DURABLE   the store has it                     [settle]  likewise, after all others were begun
 *   (gone)    its sink published it                [drop]
 *
 * All files that wait are begun before the first is waited for: an epoch of thousands of partitions
 * takes the store's time once, not thousands of times.
 *
 * Names: part-OWNER-SINK-LANE-EPOCH-N.zstd.parquet: SINK is a hash of the sink's name (two sinks
 * may share a directory, and each clears up only after itself), EPOCH the earliest that the file
 * can be part of (0: not known), N unique in the process.
 *
 * Ownership: env's plan and texts are borrowed; the store too. Threads: one.
 * Invariants:
 *   (1) encoding never waits for the store: the store is asked before a batch is taken, so that a
 *       failure there takes nothing of the batch and may be tried again; so may prepare
 *   (2) held == sum of file->held of all open files
 *   (3) done is in order of finishing; files without an epoch are at its end
 *   (4) a file that an epoch may have been committed with is never removed
 */
#ifndef WR_SINK_PARQUET_FILES_H
#define WR_SINK_PARQUET_FILES_H

#include "encode/parquet.h"
#include "sink/hive_partitions.h"
#include "store/store.h"
#include "store/store_options.h"
#include "weir/sink.h"

/* The options that both connectors take. */
/* clang-format off */
#define WR_PARQUET_FILES_OPTION_ROWS                                                               \
    { "compression", WR_OPTION_ENUM, "zstd", "The codec of the pages.", .enum_words = "zstd" },    \
    { "compression_level", WR_OPTION_INT, "1", "zstd's level: higher is smaller and slower.",      \
      .min = 1, .max = 22 },                                                                       \
    { "row_group_size", WR_OPTION_SIZE, "32MiB",                                                   \
      "Bytes of values, before encoding, after which a row group ends.", .min = 64 << 10,          \
      .max = 2LL << 30 },                                                                          \
    { "max_open_partitions", WR_OPTION_INT, "2000",                                                \
      "Partitions that may be open at once per worker; above it the one unused longest is closed.",\
      .min = 1, .max = 100000 },                                                                   \
    WR_STORE_OPTION_ROWS
/* clang-format on */

/* What a sink does its own way. */
struct wr_parquet_files_way {
    /* Finished files become objects at once (a table's: nobody looks at one that the log does not
     * name); else they are uploads that wait for their publication. */
    bool at_once;
    bool json_as_text;               /* JSON columns are annotated as texts (parquet.h) */
    wr_hive_text_fn *partition_text; /* NULL: as SQL writes values */
    /* Appends the file's statistics as JSON text; NULL: nobody asks for them. */
    void (*stats)(const struct wr_parquet_summary *summary, const struct wr_schema *schema,
                  struct wr_buf *into);
};

struct wr_parquet_file {
    struct wr_parquet_file *next; /* done */
    struct wr_parquet_file *next_pending; /* pending, or begun */
    struct wr_parquet_files *files;
    struct wr_hive_partition *partition; /* while open; NULL: the only one */
    struct wr_parquet_writer *parquet;   /* while open */
    struct wr_upload *upload;            /* once the first piece is sent */
    struct wr_buf out;                   /* encoded, not yet sent */
    char *key;
    char *values; /* partition values, a JSON object (way.partition_text) */
    char *stats;  /* way.stats, once finished */
    uint64_t held;
    uint64_t bytes;
    int64_t modified_ms; /* when it became durable */
    uint64_t used_at; /* number of the write that used it last */
    uint64_t epoch;   /* prepared in; 0: not yet */
    uint32_t index;   /* in files->open */
    bool pending;
    bool finished;
    bool begun; /* all bytes are the upload's */
    bool durable;
};

struct wr_parquet_files {
    const struct wr_sink_env *env;
    struct wr_parquet_files_way way;
    struct wr_store *store;
    struct wr_parquet_shared *shared;
    struct wr_parquet_options options;
    struct wr_parquet_pair pairs[2];
    struct wr_hive_partitions hive;
    struct wr_row_json *reject_json; /* made when first needed */
    uint8_t *skip;                   /* per column: not written to files */
    char *mark;                      /* OWNER-SINK of this run's names */
    uint64_t target_bytes;
    uint64_t piece_bytes; /* what goes to the store at once */
    uint32_t open_max;
    struct wr_parquet_file **open;
    uint32_t open_count;
    uint32_t open_capacity;
    struct wr_parquet_file *single;  /* without partitions: the open file */
    struct wr_parquet_file *pending; /* has something to send */
    struct wr_parquet_file *begun;   /* to be settled */
    struct wr_parquet_file *done_first;
    struct wr_parquet_file *done_last;
    uint64_t held;
    uint64_t writes;
    uint64_t rows;       /* taken */
    uint64_t next_epoch; /* the earliest that a new file can be part of; 0: not known */
    bool warned_partitions;
};

/* Options that neither can have: formats, partitions that leave no column, a path that is none. */
WR_NODISCARD wr_status wr_parquet_files_check(const struct wr_plan_sink *plan, uint32_t *bad_at,
                                              struct wr_error *err);

void wr_parquet_files_init(struct wr_parquet_files *files, const struct wr_sink_env *env,
                           const struct wr_parquet_files_way *way, struct wr_store *store);
/* Removes what is neither published nor perhaps committed (4). Before the store is closed. */
void wr_parquet_files_deinit(struct wr_parquet_files *files); /* zeroed is fine */

/* All live rows of the batch; class RETRY: none of them (1). */
WR_NODISCARD wr_status wr_parquet_files_write(struct wr_parquet_files *files,
                                              const struct wr_batch *batch, struct wr_error *err);
/* Finishes and sends all that is open: durable, and of epoch, unless of an earlier one. */
WR_NODISCARD wr_status wr_parquet_files_prepare(struct wr_parquet_files *files, uint64_t epoch,
                                                struct wr_error *err);
/* The oldest file of epoch or an earlier one; NULL: none is left. */
struct wr_parquet_file *wr_parquet_files_committed(const struct wr_parquet_files *files,
                                                   uint64_t epoch);
/* The oldest file is published: forgets it. */
void wr_parquet_files_drop(struct wr_parquet_files *files);

uint64_t wr_parquet_files_held(const struct wr_parquet_files *files);

/* How names of this sink's files by that owner begin, behind "part-": "OWNER-SINK". Appends to
 * into. */
void wr_parquet_files_mark(const struct wr_plan_sink *plan, const char *owner, struct wr_buf *into);

#endif
