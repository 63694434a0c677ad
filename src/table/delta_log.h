/* delta_log.h: what the log of a table amounts to (internal to table/).
 *
 * delta_log.c replays: texts of actions in, state out. It knows nothing of stores.
 * Ownership: the state owns all its texts. Threads: none; it belongs to the table's.
 * Invariants:
 *   (1) a path is in files or in tombs, never in both
 *   (2) paths are kept as the log spells them (URI-encoded): engines compare them as texts
 */
#ifndef WR_TABLE_DELTA_LOG_H
#define WR_TABLE_DELTA_LOG_H

#include "base/buf.h"
#include "base/status.h"
#include "batch/schema.h"
#include "store/store.h"
#include "table/delta.h"

#include <jansson.h>

/* A live file. The texts lie behind the struct, in the same piece of memory. */
struct wr_delta_file {
    const char *path;
    const char *partition; /* JSON object, keys sorted: equal texts are equal partitions */
    const char *stats;     /* JSON text or NULL */
    const char *tags;      /* JSON object or NULL */
    uint64_t bytes;
    int64_t modified_ms;
    bool leave_alone; /* compaction has seen that it cannot be merged */
};

/* A file that was removed: kept for other engines' vacuum until its retention is over. */
struct wr_delta_tomb {
    const char *path;
    const char *partition; /* NULL: not told */
    int64_t deleted_ms;
    int64_t bytes; /* -1: not told */
    bool data_change;
};

struct wr_delta_app {
    const char *path; /* the app id: named so that one map does for all three */
    int64_t version;
    int64_t updated_ms; /* 0: not told */
};

/* Open addressing over structs that begin with their key. */
struct wr_delta_map {
    void **slots;
    uint32_t slot_count; /* a power of two, at most half full */
    uint32_t count;
};

struct wr_delta_state {
    int64_t version; /* -1: no table */
    json_t *protocol;
    json_t *metadata;
    struct wr_delta_map files;
    struct wr_delta_map tombs;
    struct wr_delta_map apps;
    uint64_t metadata_changes; /* counts protocol and metaData actions */
    /* of the commit that was replayed last */
    char last_txn_id[64];
    int64_t last_timestamp_ms;
};

struct wr_delta {
    struct wr_store *store;
    const struct wr_delta_spec *spec; /* NULL: maintenance */
    struct wr_delta_spec spec_copy;
    struct wr_delta_state state;
    int64_t checkpoint_version; /* -1: none known */
    int64_t current_ms;         /* when the log was last seen to end behind the state's version */
};

/* ---- delta_log.c ---- */

void *wr_delta_map_find(const struct wr_delta_map *map, const char *key);
/* The i-th slot's entry or NULL, i < slot_count: for walking through. */
static inline void *wr_delta_map_at(const struct wr_delta_map *map, uint32_t i)
{
    return map->slots[i];
}

void wr_delta_map_deinit(struct wr_delta_map *map); /* frees the entries; zeroed is fine */
/* A map as a set of texts: false when it was in. */
bool wr_delta_set_add(struct wr_delta_map *set, const char *text);

void wr_delta_state_init(struct wr_delta_state *state);
void wr_delta_state_deinit(struct wr_delta_state *state); /* zeroed is fine */
/* Replays one commit's text; name: of its object, for messages. */
WR_NODISCARD wr_status wr_delta_replay(struct wr_delta_state *state, int64_t version,
                                       const char *text, size_t bytes, const char *name,
                                       struct wr_error *err);
/* One action that has been parsed: {"add": {...}}. */
WR_NODISCARD wr_status wr_delta_apply(struct wr_delta_state *state, json_t *action,
                                      const char *name, struct wr_error *err);
void wr_delta_apply_add(struct wr_delta_state *state, const struct wr_delta_file *file);
void wr_delta_apply_remove(struct wr_delta_state *state, const struct wr_delta_tomb *tomb);
void wr_delta_apply_txn(struct wr_delta_state *state, const char *app_id, int64_t version,
                        int64_t updated_ms);
/* Forgets files that were removed before that time. */
void wr_delta_drop_tombs(struct wr_delta_state *state, int64_t before_ms);

/* ---- delta_path.c ---- */

/* Percent-encodes all but unreserved characters, '/' and '='. */
void wr_delta_path_encode(const char *path, struct wr_buf *into);
/* false: ill-formed, or absolute (a file outside of the table). */
bool wr_delta_path_decode(const char *path, struct wr_buf *into);
/* "_delta_log/00000000000000000007" and suffix. */
const char *wr_delta_key(int64_t version, const char *suffix, char *into, size_t bytes);
/* The version of a key of the log; *suffix: what follows the digits (".json"). false: another object. */
bool wr_delta_key_parse(const char *key, int64_t *version, const char **suffix);
void wr_delta_uuid(char into[37]);

/* ---- delta_protocol.c ---- */

/* Whether this program may write the table. */
WR_NODISCARD wr_status wr_delta_check_protocol(const struct wr_delta_state *state,
                                               struct wr_error *err);
/* An interval of the table's configuration ("interval 30 days") in milliseconds. */
int64_t wr_delta_config_interval_ms(const struct wr_delta_state *state, const char *key,
                                    int64_t fallback_ms);
bool wr_delta_append_only(const struct wr_delta_state *state);

/* ---- delta_schema.c ---- */

/* The fields of the table's schema; NULL: the log is damaged. The caller owns the result. */
json_t *wr_delta_fields(const struct wr_delta_state *state, struct wr_error *err);
/* How the spec fits: missing columns, or fields of structs, are to be added when *adds. */
WR_NODISCARD wr_status wr_delta_check_spec(const struct wr_delta_state *state,
                                           const struct wr_delta_spec *spec, bool *adds,
                                           struct wr_error *err);
WR_NODISCARD wr_status wr_delta_check_types(const struct wr_delta_spec *spec, struct wr_error *err);
/* A new metaData object; base NULL: of a new table. The caller owns it. */
json_t *wr_delta_make_metadata(const struct wr_delta_spec *spec, const json_t *base);
/* The wr_schema that a table's columns amount to, in arena; columns that have no type of ours have WR_TYPE_NULL.
 * partition (may be NULL): a flag per column. */
WR_NODISCARD wr_status wr_delta_table_schema(const struct wr_delta_state *state,
                                             struct wr_arena *arena, struct wr_schema *schema,
                                             uint8_t **partition, struct wr_error *err);

/* ---- delta_checkpoint.c ---- */

#define WR_DELTA_CHECKPOINT_SUFFIX ".checkpoint.parquet"

/* Loads a checkpoint of `parts` parts (0: the single file) into an empty state. */
WR_NODISCARD wr_status wr_delta_checkpoint_load(struct wr_store *store, int64_t version,
                                                uint32_t parts, struct wr_delta_state *state,
                                                struct wr_error *err);

/* ---- delta.c, for the maintenance files ---- */

/* As wr_delta_append; WR_END: a file to be removed is no longer live (nothing was done). */
WR_NODISCARD wr_status wr_delta_commit_files(struct wr_delta *table,
                                             const struct wr_delta_commit *commit,
                                             int64_t *version, struct wr_error *err);

#endif
