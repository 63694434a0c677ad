/* delta.h: a Delta Lake table over a store: create or check, append with exactly-once, checkpoints, compaction, history, vacuum
 * (interface). Protocol: github.com/delta-io/delta PROTOCOL.md, reader 1 / writer 2 (timestamp_ntz: features, 3/7).
 *
 * An opened table keeps a replay of its log (live files, txn versions, schema, protocol) and goes on reading from where it stands.
 * Ownership: strings in wr_delta_add are borrowed for the call; what a spec points at until close. Threads: a table handle belongs to one thread; several
 * handles (also of other processes and engines) may write the same table.
 * Invariants:
 *   (1) a commit is one put-if-absent of _delta_log/%020d.json; an ambiguous answer is settled by reading it back and comparing txnId
 *   (2) an append with (app_id, version) is in the table at most once, whoever tries, in whatever order
 *   (3) a compaction removes only files that are still live at its commit; it changes no data (dataChange=false)
 *   (4) tables with features that we do not write are refused, by name, before anything is written
 */
#ifndef WR_TABLE_DELTA_H
#define WR_TABLE_DELTA_H

#include "base/buf.h"
#include "base/status.h"
#include "batch/schema.h"
#include "store/store.h"

struct wr_delta;

/* What the writer needs of a table: made when the table does not exist, compared when it does. */
struct wr_delta_spec {
    const char *name;               /* for messages */
    const struct wr_schema *schema; /* all columns, partition columns among them */
    const uint32_t *partition;      /* indexes in schema */
    uint32_t partition_count;
    bool create;        /* WR_FAIL (USER) when there is no table and this is false */
    bool evolve;        /* columns, and fields of STRUCTs, that the table does not have are added (nullable) */
    const char *engine; /* "weir/0.1.0" */
};

struct wr_delta_partition_value {
    const char *column;
    const char *value; /* as Delta writes it; NULL: null */
};

struct wr_delta_add {
    const char *path; /* relative to the table, not yet URI-encoded (the directory is already Hive-escaped) */
    const struct wr_delta_partition_value *partition;
    uint32_t partition_count;
    uint64_t bytes;
    int64_t modified_ms;
    const char *stats; /* JSON text, or NULL */
};

struct wr_delta_commit {
    const char *app_id; /* NULL: without txn */
    int64_t version;    /* of app_id: the epoch */
    const char *operation; /* "STREAMING UPDATE" */
    const struct wr_delta_add *adds;
    uint32_t add_count;
    /* compaction: files that the adds replace (paths as in the log's live files, texts of the caller's own); dataChange is false
     * then, and the append answers WR_END when one of them is no longer live: nothing was done */
    const char *const *removes;
    uint32_t remove_count;
};

/* Without touching the store: types that Delta cannot hold (USER, with the column's name). */
WR_NODISCARD wr_status wr_delta_check_types(const struct wr_delta_spec *spec, struct wr_error *err);

/* Opens the table at the store's root and reads its log. spec NULL: any existing table (for maintenance). */
WR_NODISCARD wr_status wr_delta_open(struct wr_delta **table, struct wr_store *store,
                                     const struct wr_delta_spec *spec, struct wr_error *err);
void wr_delta_close(struct wr_delta *table); /* NULL is fine */

/* Commits; conflicts are resolved by going on behind the others' commits. WR_OK: it is in the table (also when it already was, by (2)).
 * *version: the table's version of it, -1 when it had been there. USER: the others changed the schema so that ours does not fit. RETRY: the store. */
WR_NODISCARD wr_status wr_delta_append(struct wr_delta *table, const struct wr_delta_commit *commit,
                                       int64_t *version, struct wr_error *err);
/* The newest version that app_id has committed; -1: none. Reads on in the log first. */
WR_NODISCARD wr_status wr_delta_txn(struct wr_delta *table, const char *app_id, int64_t *version,
                                    struct wr_error *err);
/* app ids that end in "/<suffix>" but are not app_id: the table was written by another state; NULL: no such. */
const char *wr_delta_other_writer(const struct wr_delta *table, const char *app_id, const char *suffix);
/* Reads what others have committed. */
WR_NODISCARD wr_status wr_delta_refresh(struct wr_delta *table, struct wr_error *err);
int64_t wr_delta_version(const struct wr_delta *table);
/* The keys in the store of all live files, in no order, and of those that a compaction has replaced and no vacuum has removed as far as
 * the log knows: together all rows as they were written. */
void wr_delta_each_file(const struct wr_delta *table, void (*found)(void *ctx, const char *key),
                        void *ctx);

/* Writes a checkpoint when `every` or more versions (0: any) have passed since the last one. Best effort for callers in a hurry. */
WR_NODISCARD wr_status wr_delta_checkpoint(struct wr_delta *table, uint32_t every, struct wr_error *err);

/* ---- maintenance (delta_compact.c, delta_history.c) ---- */

struct wr_delta_compact_options {
    uint64_t target_bytes; /* files below half of it are merged up to it */
    int64_t settle_ms;     /* groups that could still grow to a full target are left alone this long after their newest file */
    const char *mark;      /* part of the names of what is made: whose upload it is, should it stay unfinished; NULL: nobody's */
    bool everything;       /* by command: also groups that do not reach the target */
};
struct wr_delta_compact_result {
    uint32_t files_before, files_after;
    uint64_t bytes;
    bool more; /* another call would find work */
};
/* Merges one group of small files of one partition by copying their row groups (parquet_merge.h) and commits. A lost conflict is no
 * error: nothing was done. @thread maintenance */
WR_NODISCARD wr_status wr_delta_compact(struct wr_delta *table,
                                        const struct wr_delta_compact_options *options,
                                        struct wr_delta_compact_result *result, struct wr_error *err);
struct wr_delta_event {
    int64_t version;
    int64_t timestamp_ms;
    const char *operation;
    const char *engine;
    uint32_t adds, removes;
    int64_t rows; /* added, from statistics; -1 unknown */
    uint64_t bytes;
};
WR_NODISCARD wr_status wr_delta_history(struct wr_store *store, uint32_t newest,
                                        void (*show)(void *ctx, const struct wr_delta_event *event),
                                        void *ctx, struct wr_error *err);
/* Deletes files that no live version needs and that are older than retention; dry_run only calls found. Also log files behind the last checkpoint that
 * are older than the table's logRetentionDuration. */
WR_NODISCARD wr_status wr_delta_vacuum(struct wr_store *store, int64_t retention_ms, bool dry_run,
                                       void (*found)(void *ctx, const char *path, uint64_t bytes),
                                       void *ctx, struct wr_error *err);

#endif
