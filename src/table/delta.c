/* delta.c: opening a table and committing to it. */
#include "table/delta.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/heap.h"
#include "batch/text.h"
#include "table/delta_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So many lost races in a row mean that something else is wrong. */
#define ATTEMPTS_MAX 10000u

/* Far below the shortest time for which anybody keeps a log. */
#define ASLEEP_MS 600000

static int64_t now_ms(void)
{
    return wr_clock_now().wall_us / 1000;
}

/* ---- texts of actions ---- */

static void put_string(struct wr_buf *out, const char *text)
{
    if (text == NULL) {
        wr_buf_text(out, "null");
    } else {
        wr_text_json_string(out, text, strlen(text));
    }
}

static const char *engine_of(const struct wr_delta *table)
{
    return table->spec != NULL && table->spec->engine != NULL ? table->spec->engine : "weir";
}

/* parameters: a JSON object's text. */
static void put_commit_info(struct wr_buf *out, const struct wr_delta *table,
                            const char *operation, const char *parameters, const char *txn_id)
{
    wr_buf_printf(out, "{\"commitInfo\":{\"timestamp\":%lld,\"operation\":", (long long)now_ms());
    put_string(out, operation);
    wr_buf_printf(out, ",\"operationParameters\":%s,\"engineInfo\":", parameters);
    put_string(out, engine_of(table));
    wr_buf_printf(out, ",\"txnId\":\"%s\"}}\n", txn_id);
}

static void put_json(struct wr_buf *out, const char *action, const json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT);
    wr_buf_printf(out, "{\"%s\":", action);
    wr_buf_text(out, text);
    wr_buf_text(out, "}\n");
    free(text);
}

static int by_column(const void *a, const void *b)
{
    const struct wr_delta_partition_value *const *x = a;
    const struct wr_delta_partition_value *const *y = b;
    return strcmp((*x)->column, (*y)->column);
}

#define PARTITIONS_MAX 64u

/* As json_dumps sorts keys, so that our texts equal those that were read. */
static void put_partition(struct wr_buf *out, const struct wr_delta_add *add)
{
    const struct wr_delta_partition_value *sorted[PARTITIONS_MAX];
    const uint32_t count =
        add->partition_count < PARTITIONS_MAX ? add->partition_count : PARTITIONS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        sorted[i] = &add->partition[i];
    }
    qsort(sorted, count, sizeof *sorted, by_column);
    wr_buf_byte(out, '{');
    for (uint32_t i = 0; i < count; i++) {
        wr_buf_text(out, i == 0 ? "" : ",");
        put_string(out, sorted[i]->column);
        wr_buf_byte(out, ':');
        put_string(out, sorted[i]->value);
    }
    wr_buf_byte(out, '}');
}

static void put_add(struct wr_buf *out, const struct wr_delta_add *add, bool data_change)
{
    struct wr_buf path = { 0 };
    wr_delta_path_encode(add->path, &path);
    wr_buf_printf(out, "{\"add\":{\"path\":\"%s\",\"partitionValues\":", wr_buf_cstr(&path));
    put_partition(out, add);
    wr_buf_printf(out, ",\"size\":%llu,\"modificationTime\":%lld,\"dataChange\":%s",
                  (unsigned long long)add->bytes, (long long)add->modified_ms,
                  data_change ? "true" : "false");
    if (add->stats != NULL) {
        wr_buf_text(out, ",\"stats\":");
        put_string(out, add->stats);
    }
    wr_buf_text(out, "}}\n");
    wr_buf_deinit(&path);
}

static void put_remove(struct wr_buf *out, const struct wr_delta_file *file)
{
    wr_buf_text(out, "{\"remove\":{\"path\":");
    put_string(out, file->path);
    wr_buf_printf(out,
                  ",\"deletionTimestamp\":%lld,\"dataChange\":false,\"extendedFileMetadata\":true,"
                  "\"partitionValues\":",
                  (long long)now_ms());
    wr_buf_text(out, file->partition);
    wr_buf_printf(out, ",\"size\":%llu}}\n", (unsigned long long)file->bytes);
}

/* ---- committing ---- */

/* Reads what others have committed; *mine: the version whose txnId is ours, untouched when there is none. */
static wr_status catch_up(struct wr_delta *table, const char *txn_id, int64_t *mine,
                          struct wr_error *err)
{
    for (;;) {
        const wr_status status = wr_delta_read_next(table, err);
        if (status == WR_END) {
            table->current_ms = now_ms();
        }
        if (status != WR_OK) {
            return status == WR_END ? WR_OK : status;
        }
        if (txn_id != NULL && strcmp(table->state.last_txn_id, txn_id) == 0) {
            *mine = table->state.version;
        }
    }
}

/* Puts the next version (delta.h (1)). WR_OK: it is in the log, *version says where, and if that is behind the state's version it
 * has been replayed (*replayed). WR_AGAIN: somebody else took the number; what they wrote has been read. */
static wr_status put_next(struct wr_delta *table, const struct wr_buf *text, const char *txn_id,
                          int64_t *version, bool *replayed, struct wr_error *err)
{
    char key[64];
    const int64_t next = table->state.version + 1;
    struct wr_error put_err = { 0 };
    wr_delta_key(next, ".json", key, sizeof key);
    *replayed = false;
    WR_FAULT("delta.before_put");
    const wr_status status =
        wr_store_put(table->store, key, text->data, text->bytes, WR_PUT_IF_ABSENT, &put_err);
    WR_FAULT("delta.after_put");
    if (status == WR_OK) {
        table->current_ms = now_ms();
        *version = next;
        return WR_OK;
    }
    if (status == WR_FAIL && put_err.cls != WR_CLASS_RETRY) {
        *(err != NULL ? err : &put_err) = put_err;
        return WR_FAIL;
    }
    /* Lost, or not known: what lies there says it. */
    int64_t mine = -1;
    WR_TRY(catch_up(table, txn_id, &mine, err));
    if (mine >= 0) {
        *version = mine;
        *replayed = true;
        return WR_OK;
    }
    if (status == WR_FAIL && table->state.version < next) {
        *(err != NULL ? err : &put_err) = put_err;
        return WR_FAIL; /* not there, but it may still come: only a repeated call with its txn is safe */
    }
    return WR_AGAIN;
}

/* No back-off: each lost race has read what the winner wrote, and one of the racers always wins. */
static wr_status lost_too_often(uint32_t attempt, struct wr_error *err)
{
    wr_ensure(attempt < ATTEMPTS_MAX, err, WR_CLASS_RETRY,
              "the table's log is written faster than it can be read: %u commits were lost to others",
              attempt);
    return WR_OK;
}

/* Adds the columns that the table does not have. */
static wr_status evolve(struct wr_delta *table, struct wr_error *err)
{
    char txn_id[37];
    struct wr_buf text = { 0 };
    json_t *metadata = wr_delta_make_metadata(table->spec, table->state.metadata);
    int64_t version;
    bool replayed;
    wr_delta_uuid(txn_id);
    put_commit_info(&text, table, "ADD COLUMNS", "{}", txn_id);
    put_json(&text, "metaData", metadata);
    json_decref(metadata);
    wr_status status = put_next(table, &text, txn_id, &version, &replayed, err);
    if (status == WR_OK && !replayed) {
        status = wr_delta_replay(&table->state, version, text.data, text.bytes, "our commit", err);
    }
    wr_buf_deinit(&text);
    return status;
}

/* The table as it is now against what we write; evolves it. (4) */
static wr_status settle_schema(struct wr_delta *table, struct wr_error *err)
{
    for (uint32_t attempt = 0;; attempt++) {
        bool adds = false;
        WR_TRY(wr_delta_check_protocol(&table->state, err));
        if (table->spec == NULL) {
            return WR_OK;
        }
        WR_TRY(wr_delta_check_spec(&table->state, table->spec, &adds, err));
        if (!adds) {
            return WR_OK;
        }
        WR_TRY(lost_too_often(attempt, err));
        if (evolve(table, err) == WR_FAIL) {
            return WR_FAIL;
        }
    }
}

/* Others may clear their log away behind a checkpoint. A handle that has slept through that finds no next version, and would
 * write where one was: so after a long sleep the log is listed anew. */
static wr_status wake(struct wr_delta *table, struct wr_error *err)
{
    if (now_ms() - table->current_ms <= ASLEEP_MS) {
        return WR_OK;
    }
    WR_TRY(wr_delta_load(table, err));
    wr_ensure(table->state.version >= 0, err, WR_CLASS_FATAL, "the table is gone (no _delta_log)");
    table->current_ms = now_ms();
    return settle_schema(table, err);
}

static bool already_there(const struct wr_delta *table, const struct wr_delta_commit *commit)
{
    const struct wr_delta_app *app =
        commit->app_id == NULL ? NULL : wr_delta_map_find(&table->state.apps, commit->app_id);
    return app != NULL && app->version >= commit->version;
}

static bool removes_live(const struct wr_delta *table, const struct wr_delta_commit *commit)
{
    for (uint32_t i = 0; i < commit->remove_count; i++) {
        if (wr_delta_map_find(&table->state.files, commit->removes[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static void put_parameters(struct wr_buf *out, const struct wr_delta_commit *commit)
{
    if (commit->app_id == NULL) {
        wr_buf_text(out, "{}");
        return;
    }
    wr_buf_text(out, "{\"outputMode\":\"Append\",\"queryId\":");
    put_string(out, commit->app_id);
    wr_buf_printf(out, ",\"epochId\":\"%lld\"}", (long long)commit->version);
}

static void put_commit(struct wr_buf *out, const struct wr_delta *table,
                       const struct wr_delta_commit *commit, const char *txn_id)
{
    struct wr_buf parameters = { 0 };
    out->bytes = 0;
    put_parameters(&parameters, commit);
    put_commit_info(out, table, commit->operation, wr_buf_cstr(&parameters), txn_id);
    wr_buf_deinit(&parameters);
    if (commit->app_id != NULL) {
        wr_buf_text(out, "{\"txn\":{\"appId\":");
        put_string(out, commit->app_id);
        wr_buf_printf(out, ",\"version\":%lld,\"lastUpdated\":%lld}}\n", (long long)commit->version,
                      (long long)now_ms());
    }
    for (uint32_t i = 0; i < commit->remove_count; i++) {
        put_remove(out, wr_delta_map_find(&table->state.files, commit->removes[i]));
    }
    for (uint32_t i = 0; i < commit->add_count; i++) {
        put_add(out, &commit->adds[i], commit->remove_count == 0);
    }
}

static void apply_removes(struct wr_delta *table, const struct wr_delta_commit *commit)
{
    for (uint32_t i = 0; i < commit->remove_count; i++) {
        const struct wr_delta_file *file =
            wr_delta_map_find(&table->state.files, commit->removes[i]);
        const struct wr_delta_tomb tomb = {
            .path = file->path,
            .partition = file->partition,
            .deleted_ms = now_ms(),
            .bytes = (int64_t)file->bytes,
        };
        wr_delta_apply_remove(&table->state, &tomb);
    }
}

/* The same as replaying the text, without parsing it: a commit may have thousands of adds. */
static void apply_commit(struct wr_delta *table, const struct wr_delta_commit *commit,
                         int64_t version)
{
    struct wr_buf path = { 0 };
    struct wr_buf partition = { 0 };
    apply_removes(table, commit);
    for (uint32_t i = 0; i < commit->add_count; i++) {
        const struct wr_delta_add *add = &commit->adds[i];
        path.bytes = partition.bytes = 0;
        wr_delta_path_encode(add->path, &path);
        put_partition(&partition, add);
        const struct wr_delta_file file = {
            .path = wr_buf_cstr(&path),
            .partition = wr_buf_cstr(&partition),
            .stats = add->stats,
            .bytes = add->bytes,
            .modified_ms = add->modified_ms,
        };
        wr_delta_apply_add(&table->state, &file);
    }
    if (commit->app_id != NULL) {
        wr_delta_apply_txn(&table->state, commit->app_id, commit->version, now_ms());
    }
    table->state.version = version;
    wr_buf_deinit(&path);
    wr_buf_deinit(&partition);
}

static wr_status commit_once(struct wr_delta *table, const struct wr_delta_commit *commit,
                             struct wr_buf *text, const char *txn_id, int64_t *version,
                             struct wr_error *err)
{
    bool replayed;
    *version = -1;
    if (already_there(table, commit)) { /* (2) */
        return WR_OK;
    }
    if (!removes_live(table, commit)) { /* (3) */
        return WR_END;
    }
    put_commit(text, table, commit, txn_id);
    WR_TRY(put_next(table, text, txn_id, version, &replayed, err));
    if (!replayed) {
        apply_commit(table, commit, *version);
    }
    return WR_OK;
}

wr_status wr_delta_commit_files(struct wr_delta *table, const struct wr_delta_commit *commit,
                                int64_t *version, struct wr_error *err)
{
    char txn_id[37];
    struct wr_buf text = { 0 };
    wr_status status = WR_AGAIN;
    WR_TRY(wake(table, err));
    wr_delta_uuid(txn_id);
    for (uint32_t attempt = 0; status == WR_AGAIN; attempt++) {
        const uint64_t changes = table->state.metadata_changes;
        status = commit_once(table, commit, &text, txn_id, version, err);
        if (status == WR_AGAIN && table->state.metadata_changes != changes &&
            settle_schema(table, err) != WR_OK) {
            status = WR_FAIL;
        }
        if (status == WR_AGAIN && lost_too_often(attempt, err) != WR_OK) {
            status = WR_FAIL;
        }
    }
    wr_buf_deinit(&text);
    return status;
}

wr_status wr_delta_append(struct wr_delta *table, const struct wr_delta_commit *commit,
                          int64_t *version, struct wr_error *err)
{
    int64_t at;
    for (uint32_t i = 0; i < commit->add_count; i++) {
        wr_assert(commit->adds[i].partition_count <= PARTITIONS_MAX);
    }
    const wr_status status = wr_delta_commit_files(table, commit, &at, err);
    if (version != NULL) {
        *version = at;
    }
    return status;
}

/* ---- opening ---- */

static wr_status create(struct wr_delta *table, struct wr_error *err)
{
    char txn_id[37];
    struct wr_buf text = { 0 };
    WR_TRY(wr_delta_check_types(table->spec, err));
    json_t *metadata = wr_delta_make_metadata(table->spec, NULL);
    json_t *protocol = json_pack("{s:i, s:i}", "minReaderVersion", 1, "minWriterVersion", 2);
    int64_t version;
    bool replayed;
    wr_delta_uuid(txn_id);
    put_commit_info(&text, table, "CREATE TABLE", "{}", txn_id);
    put_json(&text, "protocol", protocol);
    put_json(&text, "metaData", metadata);
    json_decref(protocol);
    json_decref(metadata);
    wr_status status = put_next(table, &text, txn_id, &version, &replayed, err);
    if (status == WR_OK && !replayed) {
        status = wr_delta_replay(&table->state, version, text.data, text.bytes, "our commit", err);
    }
    wr_buf_deinit(&text);
    return status == WR_AGAIN ? WR_OK : status; /* somebody else made it: it is compared like any other */
}

static wr_status open_table(struct wr_delta *table, struct wr_error *err)
{
    if (table->spec != NULL) {
        WR_TRY(wr_delta_check_types(table->spec, err));
    }
    WR_TRY(wr_delta_load(table, err));
    table->current_ms = now_ms();
    if (table->state.version < 0) {
        if (table->spec == NULL || !table->spec->create) {
            wr_fail(err, WR_CLASS_USER, "there is no Delta table (no _delta_log)");
            wr_error_hint(err, table->spec == NULL ? "check the path" : "check the path, or let it be made: "
                          "create = true");
            return WR_FAIL;
        }
        WR_TRY(create(table, err));
    }
    return settle_schema(table, err);
}

wr_status wr_delta_open(struct wr_delta **out, struct wr_store *store,
                        const struct wr_delta_spec *spec, struct wr_error *err)
{
    struct wr_delta *table = wr_calloc(1, sizeof *table);
    *out = NULL;
    table->store = store;
    table->checkpoint_version = -1;
    if (spec != NULL) {
        table->spec_copy = *spec;
        table->spec = &table->spec_copy;
    }
    wr_delta_state_init(&table->state);
    const wr_status status = open_table(table, err);
    if (status != WR_OK) {
        if (spec != NULL && spec->name != NULL) {
            wr_error_prefix(err, "table \"%s\"", spec->name);
        }
        wr_delta_close(table);
        return WR_FAIL;
    }
    *out = table;
    return WR_OK;
}

void wr_delta_close(struct wr_delta *table)
{
    if (table != NULL) {
        wr_delta_state_deinit(&table->state);
        free(table);
    }
}

/* ---- questions ---- */

wr_status wr_delta_refresh(struct wr_delta *table, struct wr_error *err)
{
    WR_TRY(wake(table, err));
    const uint64_t changes = table->state.metadata_changes;
    WR_TRY(catch_up(table, NULL, NULL, err));
    return table->state.metadata_changes == changes ? WR_OK : settle_schema(table, err);
}

wr_status wr_delta_txn(struct wr_delta *table, const char *app_id, int64_t *version,
                       struct wr_error *err)
{
    WR_TRY(wr_delta_refresh(table, err));
    const struct wr_delta_app *app = wr_delta_map_find(&table->state.apps, app_id);
    *version = app == NULL ? -1 : app->version;
    return WR_OK;
}

const char *wr_delta_other_writer(const struct wr_delta *table, const char *app_id,
                                  const char *suffix)
{
    const struct wr_delta_map *apps = &table->state.apps;
    const struct wr_delta_app *newest = NULL;
    for (uint32_t i = 0; i < apps->slot_count; i++) {
        const struct wr_delta_app *app = wr_delta_map_at(apps, i);
        const size_t bytes = app == NULL ? 0 : strlen(app->path);
        const size_t end = strlen(suffix);
        if (bytes > end && app->path[bytes - end - 1] == '/' &&
            strcmp(app->path + bytes - end, suffix) == 0 && strcmp(app->path, app_id) != 0 &&
            (newest == NULL || app->updated_ms > newest->updated_ms)) {
            newest = app;
        }
    }
    return newest == NULL ? NULL : newest->path;
}

int64_t wr_delta_version(const struct wr_delta *table)
{
    return table->state.version;
}
