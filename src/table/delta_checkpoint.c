/* delta_checkpoint.c: reads checkpoints, of any engine, also those in parts (PROTOCOL.md, "Checkpoints"): one action a row, of
 * the structs exactly one is not NULL. delta_checkpoint_write.c writes them.
 */
#include "table/delta_log.h"

#include "base/heap.h"
#include "encode/parquet_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the leaves, in order ---- */

enum leaf {
    TXN_APP, TXN_VERSION, TXN_UPDATED,
    ADD_PATH, ADD_PARTITION_KEY, ADD_PARTITION_VALUE, ADD_SIZE, ADD_MODIFIED, ADD_CHANGE, ADD_STATS,
    ADD_TAG_KEY, ADD_TAG_VALUE,
    REMOVE_PATH, REMOVE_DELETED, REMOVE_CHANGE, REMOVE_EXTENDED, REMOVE_PARTITION_KEY,
    REMOVE_PARTITION_VALUE, REMOVE_SIZE,
    META_ID, META_NAME, META_DESCRIPTION, META_PROVIDER, META_OPTION_KEY, META_OPTION_VALUE,
    META_SCHEMA, META_PARTITION, META_CONFIG_KEY, META_CONFIG_VALUE, META_CREATED,
    PROTOCOL_READER, PROTOCOL_WRITER, PROTOCOL_READER_FEATURES, PROTOCOL_WRITER_FEATURES,
    LEAVES_
};

/* How a reader finds them: names as the protocol has them; maps and lists have inner names that differ by engine: '<' key, '>'
 * value, '*' element. */
static const char *const leaf_paths[LEAVES_] = {
    "txn.appId", "txn.version", "txn.lastUpdated",
    "add.path", "add.partitionValues.<", "add.partitionValues.>", "add.size",
    "add.modificationTime", "add.dataChange", "add.stats", "add.tags.<", "add.tags.>",
    "remove.path", "remove.deletionTimestamp", "remove.dataChange", "remove.extendedFileMetadata",
    "remove.partitionValues.<", "remove.partitionValues.>", "remove.size",
    "metaData.id", "metaData.name", "metaData.description", "metaData.format.provider",
    "metaData.format.options.<", "metaData.format.options.>", "metaData.schemaString",
    "metaData.partitionColumns.*", "metaData.configuration.<", "metaData.configuration.>",
    "metaData.createdTime",
    "protocol.minReaderVersion", "protocol.minWriterVersion", "protocol.readerFeatures.*",
    "protocol.writerFeatures.*",
};

/* ---- reading ---- */

struct column {
    bool present;
    struct wr_parquet_leaf leaf;
    uint32_t at;       /* level */
    uint32_t value_at;
};

/* The entries of one row: levels [from, to), values from value_from on. */
struct cell {
    const struct column *column;
    uint32_t from;
    uint32_t to;
    uint32_t value_from;
};

struct rows {
    const char *name; /* of the object */
    struct column columns[LEAVES_];
    struct cell cells[LEAVES_];
};

static wr_status damaged(const struct rows *rows, struct wr_error *err, const char *what)
{
    return wr_fail(err, WR_CLASS_FATAL, "the table's log is damaged: %s: %s", rows->name, what);
}

/* 0: the file has no such column. */
static uint32_t find_leaf(const struct wr_parquet_reader *r, const char *path)
{
    uint32_t count;
    uint32_t node = 0;
    const struct wr_parquet_node *nodes = wr_parquet_nodes(r, &count);
    while (*path != '\0') {
        char name[64];
        const size_t bytes = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)bytes, path);
        if (name[0] == '<' || name[0] == '>' || name[0] == '*') {
            const uint32_t repeated = wr_parquet_child(r, node, NULL, 0);
            if (repeated == 0) {
                return 0;
            }
            node = nodes[repeated].physical >= 0
                       ? repeated
                       : wr_parquet_child(r, repeated, NULL, name[0] == '>' ? 1 : 0);
        } else {
            node = wr_parquet_child(r, node, name, 0);
        }
        if (node == 0) {
            return 0;
        }
        path += bytes + (path[bytes] == '.');
    }
    return nodes[node].physical >= 0 ? node : 0;
}

static bool wants_number(uint32_t leaf)
{
    switch (leaf) {
    case TXN_VERSION:
    case TXN_UPDATED:
    case ADD_SIZE:
    case ADD_MODIFIED:
    case ADD_CHANGE:
    case REMOVE_DELETED:
    case REMOVE_CHANGE:
    case REMOVE_EXTENDED:
    case REMOVE_SIZE:
    case META_CREATED:
    case PROTOCOL_READER:
    case PROTOCOL_WRITER:
        return true;
    default:
        return false;
    }
}

static bool wants_repeated(uint32_t leaf)
{
    return strpbrk(leaf_paths[leaf], "<>*") != NULL;
}

static wr_status read_column(const struct wr_parquet_reader *r, uint32_t group, uint32_t leaf,
                             struct rows *rows, struct wr_error *err)
{
    struct column *c = &rows->columns[leaf];
    const uint32_t node = find_leaf(r, leaf_paths[leaf]);
    *c = (struct column){ .present = node != 0 };
    if (node == 0) {
        return WR_OK;
    }
    const wr_status status = wr_parquet_read_leaf(r, group, node, &c->leaf, err);
    c->present = status == WR_OK;
    if (status != WR_OK) {
        wr_error_prefix(err, "%s: %s", rows->name, leaf_paths[leaf]);
        return status;
    }
    const bool fits = (c->leaf.numbers != NULL || c->leaf.value_count == 0 || !wants_number(leaf)) &&
                      (c->leaf.texts != NULL || c->leaf.value_count == 0 || wants_number(leaf)) &&
                      c->leaf.repeat_max == (wants_repeated(leaf) ? 1 : 0);
    return fits ? WR_OK : damaged(rows, err, leaf_paths[leaf]);
}

/* Moves every column to its next row. */
static wr_status next_row(struct rows *rows, struct wr_error *err)
{
    for (uint32_t i = 0; i < LEAVES_; i++) {
        struct column *c = &rows->columns[i];
        struct cell *cell = &rows->cells[i];
        *cell = (struct cell){ .column = c, .value_from = c->value_at };
        if (!c->present) {
            continue;
        }
        if (c->at == c->leaf.count) {
            return damaged(rows, err, leaf_paths[i]);
        }
        cell->from = c->at;
        do {
            c->value_at += c->leaf.definition[c->at] == c->leaf.definition_max;
            c->at++;
        } while (c->at < c->leaf.count && c->leaf.repeat[c->at] > 0);
        cell->to = c->at;
    }
    return WR_OK;
}

static bool is_null(const struct cell *cell)
{
    return cell->from == cell->to ||
           cell->column->leaf.definition[cell->from] != cell->column->leaf.definition_max;
}

static int64_t number_of(const struct rows *rows, uint32_t leaf, int64_t fallback)
{
    const struct cell *cell = &rows->cells[leaf];
    return is_null(cell) ? fallback : cell->column->leaf.numbers[cell->value_from];
}

/* NUL-terminated in arena; NULL when NULL. */
static const char *string_of(const struct rows *rows, uint32_t leaf, struct wr_arena *arena)
{
    const struct cell *cell = &rows->cells[leaf];
    if (is_null(cell)) {
        return NULL;
    }
    const struct wr_slice text = cell->column->leaf.texts[cell->value_from];
    return wr_arena_strndup(arena, text.data, text.bytes);
}

static json_t *json_of(const struct rows *rows, uint32_t leaf)
{
    const struct cell *cell = &rows->cells[leaf];
    if (is_null(cell)) {
        return json_null();
    }
    const struct wr_slice text = cell->column->leaf.texts[cell->value_from];
    json_t *value = json_stringn(text.data, text.bytes);
    return value != NULL ? value : json_null(); /* not UTF-8 */
}

/* The map of the row; NULL: there is none. The caller owns it. */
static json_t *map_of(const struct rows *rows, uint32_t key_leaf)
{
    const struct cell *keys = &rows->cells[key_leaf];
    const struct cell *values = &rows->cells[key_leaf + 1];
    if (keys->from == keys->to || values->to - values->from != keys->to - keys->from) {
        return NULL;
    }
    const struct wr_parquet_leaf *k = &keys->column->leaf;
    const struct wr_parquet_leaf *v = &values->column->leaf;
    json_t *map = json_object();
    uint32_t value = values->value_from;
    uint32_t key = keys->value_from;
    for (uint32_t i = 0; i < keys->to - keys->from; i++) {
        const bool has_key = k->definition[keys->from + i] == k->definition_max;
        const bool has_value = v->definition[values->from + i] == v->definition_max;
        const struct wr_slice text = has_key ? k->texts[key++] : (struct wr_slice){ "", 0 };
        const struct wr_slice to = has_value ? v->texts[value++] : (struct wr_slice){ "", 0 };
        json_t *item = has_value ? json_stringn(to.data, to.bytes) : json_null();
        if (has_key) {
            json_object_setn_new(map, text.data, text.bytes, item != NULL ? item : json_null());
        } else {
            json_decref(item);
        }
    }
    return map;
}

static json_t *list_of(const struct rows *rows, uint32_t leaf)
{
    const struct cell *cell = &rows->cells[leaf];
    if (cell->from == cell->to) {
        return NULL;
    }
    const struct wr_parquet_leaf *l = &cell->column->leaf;
    json_t *list = json_array();
    uint32_t value = cell->value_from;
    for (uint32_t i = cell->from; i < cell->to; i++) {
        if (l->definition[i] == l->definition_max) {
            const struct wr_slice text = l->texts[value++];
            json_array_append_new(list, json_stringn(text.data, text.bytes));
        }
    }
    return list;
}

static char *map_text(const struct rows *rows, uint32_t key_leaf)
{
    json_t *map = map_of(rows, key_leaf);
    char *text = map == NULL ? NULL : json_dumps(map, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(map);
    return text;
}

static wr_status load_add(const struct rows *rows, struct wr_arena *arena,
                          struct wr_delta_state *state, struct wr_error *err)
{
    char *partition = map_text(rows, ADD_PARTITION_KEY);
    char *tags = map_text(rows, ADD_TAG_KEY);
    const int64_t bytes = number_of(rows, ADD_SIZE, -1);
    const struct wr_delta_file file = {
        .path = string_of(rows, ADD_PATH, arena),
        .partition = partition == NULL ? "{}" : partition,
        .stats = string_of(rows, ADD_STATS, arena),
        .tags = tags == NULL || strcmp(tags, "{}") == 0 ? NULL : tags,
        .bytes = (uint64_t)bytes,
        .modified_ms = number_of(rows, ADD_MODIFIED, 0),
    };
    if (bytes >= 0 && file.path[0] != '\0') {
        wr_delta_apply_add(state, &file);
    }
    const wr_status status =
        bytes >= 0 && file.path[0] != '\0' ? WR_OK : damaged(rows, err, "an add without path or size");
    free(partition);
    free(tags);
    return status;
}

static void load_remove(const struct rows *rows, struct wr_arena *arena,
                        struct wr_delta_state *state)
{
    char *partition = map_text(rows, REMOVE_PARTITION_KEY);
    const struct wr_delta_tomb tomb = {
        .path = string_of(rows, REMOVE_PATH, arena),
        .partition = number_of(rows, REMOVE_EXTENDED, 0) != 0 ? partition : NULL,
        .deleted_ms = number_of(rows, REMOVE_DELETED, 0),
        .bytes = number_of(rows, REMOVE_SIZE, -1),
    };
    wr_delta_apply_remove(state, &tomb);
    free(partition);
}

static json_t *metadata_of(const struct rows *rows)
{
    json_t *options = map_of(rows, META_OPTION_KEY);
    json_t *partition = list_of(rows, META_PARTITION);
    json_t *configuration = map_of(rows, META_CONFIG_KEY);
    json_t *m = json_object();
    json_object_set_new(m, "id", json_of(rows, META_ID));
    if (!is_null(&rows->cells[META_NAME])) {
        json_object_set_new(m, "name", json_of(rows, META_NAME));
    }
    if (!is_null(&rows->cells[META_DESCRIPTION])) {
        json_object_set_new(m, "description", json_of(rows, META_DESCRIPTION));
    }
    json_object_set_new(m, "format",
                        json_pack("{s:o, s:o}", "provider", json_of(rows, META_PROVIDER),
                                  "options", options != NULL ? options : json_object()));
    json_object_set_new(m, "schemaString", json_of(rows, META_SCHEMA));
    json_object_set_new(m, "partitionColumns", partition != NULL ? partition : json_array());
    json_object_set_new(m, "configuration",
                        configuration != NULL ? configuration : json_object());
    if (!is_null(&rows->cells[META_CREATED])) {
        json_object_set_new(m, "createdTime", json_integer(number_of(rows, META_CREATED, 0)));
    }
    return m;
}

static json_t *protocol_of(const struct rows *rows)
{
    json_t *p = json_pack("{s:I, s:I}", "minReaderVersion",
                          (json_int_t)number_of(rows, PROTOCOL_READER, 1), "minWriterVersion",
                          (json_int_t)number_of(rows, PROTOCOL_WRITER, 1));
    if (number_of(rows, PROTOCOL_READER, 1) >= 3) {
        json_object_set_new(p, "readerFeatures", list_of(rows, PROTOCOL_READER_FEATURES));
    }
    if (number_of(rows, PROTOCOL_WRITER, 1) >= 7) {
        json_object_set_new(p, "writerFeatures", list_of(rows, PROTOCOL_WRITER_FEATURES));
    }
    return p;
}

static wr_status load_row(const struct rows *rows, struct wr_arena *arena,
                          struct wr_delta_state *state, struct wr_error *err)
{
    if (!is_null(&rows->cells[ADD_PATH])) {
        return load_add(rows, arena, state, err);
    }
    if (!is_null(&rows->cells[REMOVE_PATH])) {
        if (rows->columns[REMOVE_PATH].leaf.texts[rows->cells[REMOVE_PATH].value_from].bytes == 0) {
            return damaged(rows, err, "a remove without path");
        }
        load_remove(rows, arena, state);
        return WR_OK;
    }
    if (!is_null(&rows->cells[TXN_APP])) {
        wr_delta_apply_txn(state, string_of(rows, TXN_APP, arena), number_of(rows, TXN_VERSION, -1),
                           number_of(rows, TXN_UPDATED, 0));
        return WR_OK;
    }
    json_t *action = NULL;
    if (!is_null(&rows->cells[META_ID])) {
        action = json_pack("{s:o}", "metaData", metadata_of(rows));
    } else if (!is_null(&rows->cells[PROTOCOL_READER])) {
        action = json_pack("{s:o}", "protocol", protocol_of(rows));
    }
    const wr_status status =
        action == NULL ? WR_OK : wr_delta_apply(state, action, rows->name, err);
    json_decref(action);
    return status;
}

static wr_status load_group(const struct wr_parquet_reader *r, uint32_t group, struct rows *rows,
                            struct wr_delta_state *state, struct wr_error *err)
{
    struct wr_arena arena;
    wr_status status = WR_OK;
    memset(rows->columns, 0, sizeof rows->columns);
    wr_arena_init(&arena, 16 << 10);
    for (uint32_t i = 0; i < LEAVES_ && status == WR_OK; i++) {
        status = read_column(r, group, i, rows, err);
    }
    if (status == WR_OK && !rows->columns[ADD_PATH].present) {
        status = damaged(rows, err, "it has no add.path");
    }
    /* By the levels that are there, not by what the footer says. */
    while (status == WR_OK &&
           rows->columns[ADD_PATH].at < rows->columns[ADD_PATH].leaf.count) {
        wr_arena_reset(&arena);
        status = next_row(rows, err);
        if (status == WR_OK) {
            status = load_row(rows, &arena, state, err);
        }
    }
    for (uint32_t i = 0; i < LEAVES_; i++) {
        if (rows->columns[i].present) {
            wr_parquet_leaf_deinit(&rows->columns[i].leaf);
        }
    }
    wr_arena_deinit(&arena);
    return status;
}

static wr_status load_file(struct wr_store *store, const char *key, struct wr_delta_state *state,
                           struct wr_error *err)
{
    struct wr_buf file = { 0 };
    struct wr_parquet_reader *r = NULL;
    struct rows *rows = wr_calloc(1, sizeof *rows);
    rows->name = key;
    wr_status status = wr_store_get(store, key, &file, err);
    if (status == WR_END) {
        status = damaged(rows, err, "it is not there");
    }
    if (status == WR_OK) {
        status = wr_parquet_open(&r, file.data, file.bytes, err);
        if (status != WR_OK) {
            wr_error_prefix(err, "%s", key);
        }
    }
    for (uint32_t i = 0; status == WR_OK && i < wr_parquet_groups(r); i++) {
        status = load_group(r, i, rows, state, err);
    }
    wr_parquet_close(r);
    wr_buf_deinit(&file);
    free(rows);
    return status;
}

wr_status wr_delta_checkpoint_load(struct wr_store *store, int64_t version, uint32_t parts,
                                   struct wr_delta_state *state, struct wr_error *err)
{
    char key[128];
    char suffix[64];
    if (parts == 0) {
        return load_file(store, wr_delta_key(version, WR_DELTA_CHECKPOINT_SUFFIX, key, sizeof key), state,
                         err);
    }
    for (uint32_t i = 1; i <= parts; i++) {
        snprintf(suffix, sizeof suffix, ".checkpoint.%010u.%010u.parquet", i, parts);
        WR_TRY(load_file(store, wr_delta_key(version, suffix, key, sizeof key), state, err));
    }
    return WR_OK;
}
