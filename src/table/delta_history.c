/* delta_history.c: what was committed to a table, and clearing up behind it. */
#include "table/delta_load.h"

#include "base/clock.h"
#include "base/heap.h"

#include <stdlib.h>
#include <string.h>

#define DAY_MS            86400000LL
#define LOG_RETENTION_MS  (30 * DAY_MS) /* Delta's default of delta.logRetentionDuration */

/* ---- history ---- */

struct tally {
    struct wr_delta_event event;
    char operation[64];
    char engine[128];
};

static void copy_text(char *into, size_t room, const char *text)
{
    const size_t bytes = text == NULL ? 0 : strnlen(text, room - 1);
    memcpy(into, text == NULL ? "" : text, bytes);
    into[bytes] = '\0';
}

/* Rows of an add by its statistics; -1: they do not tell. */
static int64_t rows_of(const json_t *add)
{
    const char *text = json_string_value(json_object_get(add, "stats"));
    json_t *stats = text == NULL ? NULL : json_loads(text, 0, NULL);
    const json_t *number = json_object_get(stats, "numRecords");
    const int64_t rows = json_is_integer(number) ? json_integer_value(number) : -1;
    json_decref(stats);
    return rows;
}

static void count_add(struct tally *t, const json_t *add)
{
    const int64_t rows = rows_of(add);
    const int64_t bytes = json_integer_value(json_object_get(add, "size"));
    t->event.adds++;
    t->event.bytes += bytes > 0 ? (uint64_t)bytes : 0;
    if (rows < 0 || t->event.rows < 0 ||
        __builtin_add_overflow(t->event.rows, rows, &t->event.rows)) {
        t->event.rows = -1;
    }
}

static void count_line(struct tally *t, const char *line, size_t bytes)
{
    json_t *action = json_loadb(line, bytes, JSON_ALLOW_NUL, NULL);
    const json_t *info = json_object_get(action, "commitInfo");
    if (json_object_get(action, "add") != NULL) {
        count_add(t, json_object_get(action, "add"));
    } else if (json_object_get(action, "remove") != NULL) {
        t->event.removes++;
    } else if (info != NULL) {
        t->event.timestamp_ms = json_integer_value(json_object_get(info, "timestamp"));
        copy_text(t->operation, sizeof t->operation,
                  json_string_value(json_object_get(info, "operation")));
        copy_text(t->engine, sizeof t->engine,
                  json_string_value(json_object_get(info, "engineInfo")));
        if (t->engine[0] == '\0') { /* delta-rs */
            copy_text(t->engine, sizeof t->engine,
                      json_string_value(json_object_get(info, "clientVersion")));
        }
    }
    json_decref(action);
}

/* WR_END: the commit was cleared away meanwhile. */
static wr_status read_event(struct wr_store *store, int64_t version, struct tally *t,
                            struct wr_error *err)
{
    char key[64];
    struct wr_buf text = { 0 };
    *t = (struct tally){ .event = { .version = version } };
    t->event.operation = t->operation;
    t->event.engine = t->engine;
    const wr_status status =
        wr_store_get(store, wr_delta_key(version, ".json", key, sizeof key), &text, err);
    for (size_t at = 0; status == WR_OK && at < text.bytes;) {
        const char *line = text.data + at;
        const char *stop = memchr(line, '\n', text.bytes - at);
        const size_t bytes = stop == NULL ? text.bytes - at : (size_t)(stop - line);
        if (bytes > 0) {
            count_line(t, line, bytes);
        }
        at += bytes + 1;
    }
    wr_buf_deinit(&text);
    return status;
}

wr_status wr_delta_history(struct wr_store *store, uint32_t newest,
                           void (*show)(void *ctx, const struct wr_delta_event *event), void *ctx,
                           struct wr_error *err)
{
    struct wr_delta_listing listing;
    wr_status status = wr_delta_list(store, -1, &listing, err);
    const int64_t *commits = (const void *)listing.commits.data;
    const size_t count = listing.commits.bytes / sizeof *commits;
    if (status == WR_OK && count == 0) {
        status = wr_fail(err, WR_CLASS_USER, "there is no Delta table (no _delta_log)");
        wr_error_hint(err, "check the path");
    }
    for (size_t i = 0; status == WR_OK && i < count && i < newest; i++) {
        struct tally tally;
        status = read_event(store, commits[count - 1 - i], &tally, err);
        if (status == WR_OK) {
            show(ctx, &tally.event);
        }
        status = status == WR_END ? WR_OK : status;
    }
    wr_delta_listing_deinit(&listing);
    return status;
}

/* ---- vacuum: data files ---- */

struct sweep {
    struct wr_store *store;
    struct wr_delta_map needed; /* keys of live files, and of removed ones within the retention */
    struct wr_delta_map expired; /* keys of removed files beyond it */
    struct wr_delta_map found;   /* keys that no version needs */
    struct wr_buf sizes;         /* uint64_t each, in the order of finding */
    struct wr_buf keys;          /* const char * each, borrowed from found */
    int64_t before_ms;
};

static void need(struct wr_delta_map *set, const char *path)
{
    struct wr_buf key = { 0 };
    if (wr_delta_path_decode(path, &key)) {
        wr_delta_set_add(set, wr_buf_cstr(&key));
    }
    wr_buf_deinit(&key);
}

static void collect(struct sweep *s, const struct wr_delta_state *state)
{
    for (uint32_t i = 0; i < state->files.slot_count; i++) {
        const struct wr_delta_file *file = wr_delta_map_at(&state->files, i);
        if (file != NULL) {
            need(&s->needed, file->path);
        }
    }
    for (uint32_t i = 0; i < state->tombs.slot_count; i++) {
        const struct wr_delta_tomb *tomb = wr_delta_map_at(&state->tombs, i);
        if (tomb != NULL) {
            need(tomb->deleted_ms > s->before_ms ? &s->needed : &s->expired, tomb->path);
        }
    }
}

/* Hidden names are not the table's: logs, change data, indexes, other programs'. A partition's directory may begin so. */
static bool is_hidden(const char *key)
{
    for (const char *at = key; at != NULL; at = strchr(at, '/')) {
        at += *at == '/';
        const size_t bytes = strcspn(at, "/");
        if (at[0] == '.' || (at[0] == '_' && memchr(at, '=', bytes) == NULL)) {
            return true;
        }
    }
    return false;
}

static void look_at(void *ctx, const char *key, uint64_t bytes)
{
    struct sweep *s = ctx;
    if (!is_hidden(key) && wr_delta_map_find(&s->needed, key) == NULL &&
        wr_delta_set_add(&s->found, key)) {
        const char *kept;
        memcpy(&kept, wr_delta_map_find(&s->found, key), sizeof kept);
        wr_buf_append(&s->keys, &kept, sizeof kept);
        wr_buf_append(&s->sizes, &bytes, sizeof bytes);
    }
}

/* A file that the log never named may be one that a writer is about to commit: only its age tells. */
static wr_status is_old(struct sweep *s, const char *key, bool *old, struct wr_error *err)
{
    int64_t modified_ms = 0;
    *old = wr_delta_map_find(&s->expired, key) != NULL;
    if (*old) {
        return WR_OK;
    }
    const wr_status status = wr_store_modified(s->store, key, &modified_ms, err);
    *old = status == WR_OK && modified_ms <= s->before_ms;
    return status == WR_FAIL ? WR_FAIL : WR_OK;
}

static wr_status sweep_files(struct sweep *s, bool dry_run,
                             void (*found)(void *ctx, const char *path, uint64_t bytes), void *ctx,
                             struct wr_error *err)
{
    WR_TRY(wr_store_list(s->store, "", NULL, look_at, s, err));
    const char *const *keys = (const void *)s->keys.data;
    const uint64_t *sizes = (const void *)s->sizes.data;
    for (size_t i = 0; i < s->keys.bytes / sizeof *keys; i++) {
        bool old;
        WR_TRY(is_old(s, keys[i], &old, err));
        if (old) {
            found(ctx, keys[i], sizes[i]);
            if (!dry_run) {
                WR_TRY(wr_store_delete(s->store, keys[i], err));
            }
        }
    }
    return WR_OK;
}

/* ---- vacuum: the log ---- */

/* The newest version whose commit is older than before_ms; -1: none. Times ascend nearly, which is enough here: what is
 * kept is decided by a checkpoint. */
static wr_status last_before(struct wr_store *store, const struct wr_delta_listing *listing,
                             int64_t before_ms, int64_t *version, struct wr_error *err)
{
    const int64_t *commits = (const void *)listing->commits.data;
    size_t low = 0;
    size_t high = listing->commits.bytes / sizeof *commits;
    while (low < high) {
        struct tally tally;
        const size_t middle = low + (high - low) / 2;
        const wr_status status = read_event(store, commits[middle], &tally, err);
        if (status == WR_FAIL) {
            return WR_FAIL;
        }
        if (status == WR_OK && tally.event.timestamp_ms < before_ms &&
            tally.event.timestamp_ms > 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *version = low == 0 ? -1 : commits[low - 1];
    return WR_OK;
}

static int64_t newest_checkpoint_at(const struct wr_delta_listing *listing, int64_t version)
{
    const struct wr_delta_checkpoint_seen *all = (const void *)listing->checkpoints.data;
    int64_t newest = -1;
    for (size_t i = 0; i < listing->checkpoints.bytes / sizeof *all; i++) {
        const bool complete = all[i].seen == (all[i].parts == 0 ? 1 : all[i].parts);
        if (complete && all[i].version <= version && all[i].version > newest) {
            newest = all[i].version;
        }
    }
    return newest;
}

struct log_sweep {
    int64_t below;
    struct wr_delta_map found;
};

static void look_at_log(void *ctx, const char *key, uint64_t bytes)
{
    struct log_sweep *s = ctx;
    int64_t version;
    const char *suffix;
    if (wr_delta_key_parse(key, &version, &suffix) && version < s->below) {
        wr_delta_set_add(&s->found, key);
    }
}

/* Everything before the newest checkpoint that is itself older than the retention goes. */
static wr_status sweep_log(struct wr_delta *table, bool dry_run, struct wr_error *err)
{
    struct wr_delta_listing listing;
    struct log_sweep s = { .below = -1 };
    int64_t version = -1;
    const int64_t retention_ms =
        wr_delta_config_interval_ms(&table->state, "delta.logRetentionDuration", LOG_RETENTION_MS);
    wr_status status = wr_delta_list(table->store, -1, &listing, err);
    if (status == WR_OK) {
        status = last_before(table->store, &listing,
                             wr_clock_now().wall_us / 1000 - retention_ms, &version, err);
    }
    if (status == WR_OK && version >= 0) {
        s.below = newest_checkpoint_at(&listing, version);
    }
    if (status == WR_OK && s.below > 0) {
        status = wr_store_list(table->store, "_delta_log/", NULL, look_at_log, &s, err);
    }
    for (uint32_t i = 0; status == WR_OK && !dry_run && i < s.found.slot_count; i++) {
        const void *entry = wr_delta_map_at(&s.found, i);
        if (entry != NULL) {
            const char *key;
            memcpy(&key, entry, sizeof key);
            status = wr_store_delete(table->store, key, err);
        }
    }
    wr_delta_map_deinit(&s.found);
    wr_delta_listing_deinit(&listing);
    return status;
}

wr_status wr_delta_vacuum(struct wr_store *store, int64_t retention_ms, bool dry_run,
                          void (*found)(void *ctx, const char *path, uint64_t bytes), void *ctx,
                          struct wr_error *err)
{
    struct wr_delta *table;
    struct sweep s = { .store = store,
                       .before_ms = wr_clock_now().wall_us / 1000 - retention_ms };
    WR_TRY(wr_delta_open(&table, store, NULL, err));
    collect(&s, &table->state);
    wr_status status = sweep_files(&s, dry_run, found, ctx, err);
    if (status == WR_OK) {
        status = sweep_log(table, dry_run, err);
    }
    wr_delta_map_deinit(&s.needed);
    wr_delta_map_deinit(&s.expired);
    wr_delta_map_deinit(&s.found);
    wr_buf_deinit(&s.sizes);
    wr_buf_deinit(&s.keys);
    wr_delta_close(table);
    return status;
}
