#include "table/delta_log.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/heap.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- the map ---- */

static const char *key_of(const void *entry)
{
    const char *key;
    memcpy(&key, entry, sizeof key);
    return key;
}

static uint32_t slot_of(const struct wr_delta_map *map, const char *key)
{
    return (uint32_t)wr_hash_bytes(key, strlen(key)) & (map->slot_count - 1);
}

/* The slot with the key, or the free one where it belongs. */
static uint32_t find_slot(const struct wr_delta_map *map, const char *key)
{
    uint32_t i = slot_of(map, key);
    while (map->slots[i] != NULL && strcmp(key_of(map->slots[i]), key) != 0) {
        i = (i + 1) & (map->slot_count - 1);
    }
    return i;
}

void *wr_delta_map_find(const struct wr_delta_map *map, const char *key)
{
    return map->count == 0 ? NULL : map->slots[find_slot(map, key)];
}

static void map_grow(struct wr_delta_map *map)
{
    const struct wr_delta_map old = *map;
    map->slot_count = old.slot_count == 0 ? 64 : old.slot_count * 2;
    map->slots = wr_calloc(map->slot_count, sizeof *map->slots);
    for (uint32_t i = 0; i < old.slot_count; i++) {
        if (old.slots[i] != NULL) {
            map->slots[find_slot(map, key_of(old.slots[i]))] = old.slots[i];
        }
    }
    free(old.slots);
}

/* Takes entry; frees the one that had its key. */
static void map_put(struct wr_delta_map *map, void *entry)
{
    if ((map->count + 1) * 2 > map->slot_count) {
        map_grow(map);
    }
    const uint32_t i = find_slot(map, key_of(entry));
    map->count += map->slots[i] == NULL;
    free(map->slots[i]);
    map->slots[i] = entry;
}

static void map_drop(struct wr_delta_map *map, const char *key)
{
    if (map->count == 0) {
        return;
    }
    uint32_t hole = find_slot(map, key);
    if (map->slots[hole] == NULL) {
        return;
    }
    free(map->slots[hole]);
    map->slots[hole] = NULL;
    map->count--;
    /* Entries behind the hole move up, so that searches that passed it still find them. */
    const uint32_t mask = map->slot_count - 1;
    for (uint32_t i = (hole + 1) & mask; map->slots[i] != NULL; i = (i + 1) & mask) {
        const uint32_t home = slot_of(map, key_of(map->slots[i]));
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            map->slots[hole] = map->slots[i];
            map->slots[i] = NULL;
            hole = i;
        }
    }
}

void wr_delta_map_deinit(struct wr_delta_map *map)
{
    for (uint32_t i = 0; i < map->slot_count; i++) {
        free(map->slots[i]);
    }
    free(map->slots);
    *map = (struct wr_delta_map){ 0 };
}

/* ---- entries: a struct with its texts behind it ---- */

/* Copies text to *at and moves on; NULL stays NULL. */
static const char *keep(char **at, const char *text)
{
    if (text == NULL) {
        return NULL;
    }
    const size_t bytes = strlen(text) + 1;
    char *copy = memcpy(*at, text, bytes);
    *at += bytes;
    return copy;
}

static size_t room(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

bool wr_delta_set_add(struct wr_delta_map *set, const char *text)
{
    struct {
        const char *key;
    } *entry;
    if (wr_delta_map_find(set, text) != NULL) {
        return false;
    }
    entry = wr_malloc(sizeof *entry + room(text));
    char *at = (char *)(entry + 1);
    entry->key = keep(&at, text);
    map_put(set, entry);
    return true;
}

void wr_delta_apply_add(struct wr_delta_state *state, const struct wr_delta_file *file)
{
    struct wr_delta_file *f = wr_malloc(sizeof *f + room(file->path) + room(file->partition) +
                                        room(file->stats) + room(file->tags));
    char *at = (char *)(f + 1);
    *f = *file;
    f->path = keep(&at, file->path);
    f->partition = keep(&at, file->partition);
    f->stats = keep(&at, file->stats);
    f->tags = keep(&at, file->tags);
    map_drop(&state->tombs, f->path);
    map_put(&state->files, f); /* (1) */
}

void wr_delta_apply_remove(struct wr_delta_state *state, const struct wr_delta_tomb *tomb)
{
    struct wr_delta_tomb *t = wr_malloc(sizeof *t + room(tomb->path) + room(tomb->partition));
    char *at = (char *)(t + 1);
    *t = *tomb;
    t->path = keep(&at, tomb->path);
    t->partition = keep(&at, tomb->partition);
    map_drop(&state->files, t->path);
    map_put(&state->tombs, t); /* (1) */
}

void wr_delta_apply_txn(struct wr_delta_state *state, const char *app_id, int64_t version,
                        int64_t updated_ms)
{
    struct wr_delta_app *a = wr_malloc(sizeof *a + room(app_id));
    char *at = (char *)(a + 1);
    *a = (struct wr_delta_app){ .version = version, .updated_ms = updated_ms };
    a->path = keep(&at, app_id);
    map_put(&state->apps, a);
}

void wr_delta_drop_tombs(struct wr_delta_state *state, int64_t before_ms)
{
    struct wr_delta_map kept = { 0 };
    for (uint32_t i = 0; i < state->tombs.slot_count; i++) {
        struct wr_delta_tomb *tomb = state->tombs.slots[i];
        if (tomb != NULL && tomb->deleted_ms >= before_ms) {
            state->tombs.slots[i] = NULL;
            map_put(&kept, tomb);
        }
    }
    wr_delta_map_deinit(&state->tombs);
    state->tombs = kept;
}

void wr_delta_state_init(struct wr_delta_state *state)
{
    *state = (struct wr_delta_state){ .version = -1 };
}

void wr_delta_state_deinit(struct wr_delta_state *state)
{
    wr_delta_map_deinit(&state->files);
    wr_delta_map_deinit(&state->tombs);
    wr_delta_map_deinit(&state->apps);
    json_decref(state->protocol);
    json_decref(state->metadata);
    wr_delta_state_init(state);
}

/* ---- actions ---- */

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* Engines write integers, but a JSON number may also come as 1.0. */
static int64_t int_of(const json_t *object, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_integer(value)) {
        return json_integer_value(value);
    }
    if (json_is_real(value)) {
        const double real = json_real_value(value);
        return real > -9e18 && real < 9e18 ? (int64_t)real : fallback;
    }
    return fallback;
}

static wr_status bad(struct wr_error *err, const char *name, const char *what)
{
    return wr_fail(err, WR_CLASS_FATAL, "the table's log is damaged: %s: %s", name, what);
}

static wr_status apply_add(struct wr_delta_state *state, const json_t *add, const char *name,
                           struct wr_error *err)
{
    struct wr_delta_file file = {
        .path = text_of(add, "path"),
        .stats = text_of(add, "stats"),
        .modified_ms = int_of(add, "modificationTime", 0),
    };
    const json_t *values = json_object_get(add, "partitionValues");
    const json_t *tags = json_object_get(add, "tags");
    const int64_t bytes = int_of(add, "size", 0);
    if (file.path == NULL || file.path[0] == '\0' || bytes < 0 ||
        (values != NULL && !json_is_object(values) && !json_is_null(values))) {
        return bad(err, name, "an add without path, size or partitionValues");
    }
    const json_t *vector = json_object_get(add, "deletionVector");
    if (vector != NULL && !json_is_null(vector)) {
        return wr_fail(err, WR_CLASS_USER, "%s: the table has deletion vectors, which this "
                       "version of Weir does not know", name);
    }
    char *partition = json_is_object(values) ? json_dumps(values, JSON_COMPACT | JSON_SORT_KEYS)
                                             : wr_strdup("{}");
    char *tags_text = json_is_object(tags) ? json_dumps(tags, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    file.bytes = (uint64_t)bytes;
    file.partition = partition;
    file.tags = tags_text;
    if (partition != NULL) {
        wr_delta_apply_add(state, &file);
    }
    free(partition);
    free(tags_text);
    return partition != NULL ? WR_OK : bad(err, name, "partitionValues that are no texts");
}

static wr_status apply_remove(struct wr_delta_state *state, const json_t *remove, const char *name,
                              struct wr_error *err)
{
    const json_t *values = json_object_get(remove, "partitionValues");
    struct wr_delta_tomb tomb = {
        .path = text_of(remove, "path"),
        .deleted_ms = int_of(remove, "deletionTimestamp", 0),
        .bytes = int_of(remove, "size", -1),
        .data_change = !json_is_false(json_object_get(remove, "dataChange")),
    };
    if (tomb.path == NULL || tomb.path[0] == '\0') {
        return bad(err, name, "a remove without path");
    }
    char *partition =
        json_is_object(values) ? json_dumps(values, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    tomb.partition = partition;
    wr_delta_apply_remove(state, &tomb);
    free(partition);
    return WR_OK;
}

static wr_status apply_metadata(struct wr_delta_state *state, json_t *metadata, const char *name,
                                struct wr_error *err)
{
    if (text_of(metadata, "schemaString") == NULL || text_of(metadata, "id") == NULL) {
        return bad(err, name, "a metaData without id or schemaString");
    }
    json_decref(state->metadata);
    state->metadata = json_incref(metadata);
    state->metadata_changes++;
    return WR_OK;
}

wr_status wr_delta_apply(struct wr_delta_state *state, json_t *action, const char *name,
                         struct wr_error *err)
{
    json_t *body;
    if (json_is_object(body = json_object_get(action, "add"))) {
        return apply_add(state, body, name, err);
    }
    if (json_is_object(body = json_object_get(action, "remove"))) {
        return apply_remove(state, body, name, err);
    }
    if (json_is_object(body = json_object_get(action, "metaData"))) {
        return apply_metadata(state, body, name, err);
    }
    if (json_is_object(body = json_object_get(action, "protocol"))) {
        json_decref(state->protocol);
        state->protocol = json_incref(body);
        state->metadata_changes++;
        return WR_OK;
    }
    if (json_is_object(body = json_object_get(action, "txn"))) {
        if (text_of(body, "appId") == NULL) {
            return bad(err, name, "a txn without appId");
        }
        wr_delta_apply_txn(state, text_of(body, "appId"), int_of(body, "version", -1),
                           int_of(body, "lastUpdated", 0));
        return WR_OK;
    }
    if (json_is_object(body = json_object_get(action, "commitInfo"))) {
        const char *id = text_of(body, "txnId");
        state->last_txn_id[0] = '\0';
        if (id != NULL && strlen(id) < sizeof state->last_txn_id) {
            memcpy(state->last_txn_id, id, strlen(id) + 1);
        }
        state->last_timestamp_ms = int_of(body, "timestamp", 0);
    }
    return WR_OK; /* cdc, domainMetadata and what comes later: nothing that an appending writer needs */
}

static wr_status replay_line(struct wr_delta_state *state, const char *line, size_t bytes,
                             const char *name, struct wr_error *err)
{
    json_error_t json_error;
    json_t *action = json_loadb(line, bytes, JSON_ALLOW_NUL, &json_error);
    if (!json_is_object(action)) {
        json_decref(action);
        bad(err, name, "a line is not a JSON object");
        wr_error_detail(err, "%s", json_error.text);
        return WR_FAIL;
    }
    const wr_status status = wr_delta_apply(state, action, name, err);
    json_decref(action);
    return status;
}

wr_status wr_delta_replay(struct wr_delta_state *state, int64_t version, const char *text,
                          size_t bytes, const char *name, struct wr_error *err)
{
    const char *end = text + bytes;
    state->last_txn_id[0] = '\0';
    state->last_timestamp_ms = 0;
    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        stop = stop == NULL ? end : stop;
        size_t length = (size_t)(stop - text);
        while (length > 0 && (text[length - 1] == '\r' || text[length - 1] == ' ')) {
            length--;
        }
        if (length > 0) {
            WR_TRY(replay_line(state, text, length, name, err));
        }
        text = stop < end ? stop + 1 : end;
    }
    state->version = version;
    return WR_OK;
}
