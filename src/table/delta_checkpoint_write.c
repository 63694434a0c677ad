/* delta_checkpoint_write.c: the state of a log as one Parquet file (PROTOCOL.md, "Checkpoints"): the classic single file.
 *
 * One action a row: of the five structs exactly one is not NULL. Encodings are the oldest, because a table's readers may be.
 */
#include "table/delta_log.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/heap.h"
#include "batch/batch.h"
#include "batch/nested.h"
#include "encode/parquet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WEEK_MS         604800000LL /* Delta's default retention of removed files */
#define LAST_CHECKPOINT "_delta_log/_last_checkpoint"
#define GROUP_RAW_BYTES (64u << 20) /* a checkpoint's reader holds a row group in memory */
#define BATCH_ROWS      256u

/* ---- the schema ---- */

enum action { TXN, ADD, REMOVE, METADATA, PROTOCOL, ACTIONS_ };

#define FIELDS_MAX 8u

/* T text, N number, I a small one, B boolean, M map of texts, L list of texts, F format of the data files. */
static const struct {
    const char *name;
    struct {
        const char *name;
        char kind;
    } fields[FIELDS_MAX];
} actions[ACTIONS_] = {
    [TXN] = { "txn", { { "appId", 'T' }, { "version", 'N' }, { "lastUpdated", 'N' } } },
    [ADD] = { "add",
              { { "path", 'T' }, { "partitionValues", 'M' }, { "size", 'N' },
                { "modificationTime", 'N' }, { "dataChange", 'B' }, { "stats", 'T' },
                { "tags", 'M' } } },
    [REMOVE] = { "remove",
                 { { "path", 'T' }, { "deletionTimestamp", 'N' }, { "dataChange", 'B' },
                   { "extendedFileMetadata", 'B' }, { "partitionValues", 'M' }, { "size", 'N' } } },
    [METADATA] = { "metaData",
                   { { "id", 'T' }, { "name", 'T' }, { "description", 'T' }, { "format", 'F' },
                     { "schemaString", 'T' }, { "partitionColumns", 'L' }, { "configuration", 'M' },
                     { "createdTime", 'N' } } },
    [PROTOCOL] = { "protocol",
                   { { "minReaderVersion", 'I' }, { "minWriterVersion", 'I' },
                     { "readerFeatures", 'L' }, { "writerFeatures", 'L' } } },
};

struct types {
    struct wr_type map;
    struct wr_type list;
    struct wr_type format;
    struct wr_type actions[ACTIONS_];
};

static struct wr_type type_of(const struct types *types, char kind)
{
    switch (kind) {
    case 'N':
        return wr_type_of(WR_TYPE_INT64);
    case 'I':
        return wr_type_of(WR_TYPE_INT32);
    case 'B':
        return wr_type_of(WR_TYPE_BOOL);
    case 'M':
        return types->map;
    case 'L':
        return types->list;
    case 'F':
        return types->format;
    default:
        return wr_type_of(WR_TYPE_TEXT);
    }
}

/* The same few types for all tables of the process: they are found again. */
static wr_status make_types(struct types *types, struct wr_error *err)
{
    const struct wr_type text = wr_type_of(WR_TYPE_TEXT);
    WR_TRY(wr_nested_map(text, text, &types->map, err));
    WR_TRY(wr_nested_array(text, &types->list, err));
    const struct wr_nested_field format[] = { { "provider", text }, { "options", types->map } };
    WR_TRY(wr_nested_struct(format, 2, &types->format, err));
    for (uint32_t i = 0; i < ACTIONS_; i++) {
        struct wr_nested_field fields[FIELDS_MAX];
        uint32_t count = 0;
        for (; count < FIELDS_MAX && actions[i].fields[count].name != NULL; count++) {
            fields[count].name = actions[i].fields[count].name;
            fields[count].type = type_of(types, actions[i].fields[count].kind);
        }
        WR_TRY(wr_nested_struct(fields, count, &types->actions[i], err));
    }
    return WR_OK;
}

/* ---- rows ---- */

struct checkpoint {
    struct types types;
    struct wr_field fields[ACTIONS_];
    struct wr_schema schema;
    struct wr_batch_pool *pool;
    struct wr_batch *batch;
    struct wr_parquet_writer *writer;
    struct wr_nested_writer row; /* of the action that is being written */
    struct wr_buf file;
};

static wr_status append_batch(struct checkpoint *c, struct wr_error *err)
{
    const wr_status status = wr_parquet_append(c->writer, c->batch, err);
    wr_batch_release(c->batch);
    c->batch = wr_batch_take(c->pool);
    return status;
}

static void begin_row(struct checkpoint *c, enum action action)
{
    wr_nested_open(&c->row, c->types.actions[action]);
}

static wr_status end_row(struct checkpoint *c, enum action action, struct wr_error *err)
{
    const struct wr_slice body = wr_nested_close(&c->row);
    const uint32_t row = c->batch->rows++;
    for (uint32_t i = 0; i < ACTIONS_; i++) {
        struct wr_view *view = (struct wr_view *)c->batch->columns[i].values + row;
        memset(view, 0, sizeof *view);
        if (i == action) {
            *view = wr_view_of(wr_arena_strndup(&c->batch->arena, body.data, body.bytes),
                               body.bytes);
            wr_bit_set(wr_batch_nullable(c->batch, i), row);
        } else {
            wr_bit_clear(wr_batch_nullable(c->batch, i), row);
        }
    }
    return c->batch->rows == BATCH_ROWS ? append_batch(c, err) : WR_OK;
}

static void put_text(struct checkpoint *c, const char *text)
{
    if (text == NULL) {
        wr_nested_put_null(&c->row);
    } else {
        wr_nested_put_bytes(&c->row, text, strlen(text));
    }
}

static void put_number(struct checkpoint *c, int64_t value)
{
    wr_nested_put(&c->row, wr_type_of(WR_TYPE_INT64), &value);
}

static void put_bool(struct checkpoint *c, bool value)
{
    const uint8_t byte = value;
    wr_nested_put(&c->row, wr_type_of(WR_TYPE_BOOL), &byte);
}

/* Anything but an object is NULL. */
static void put_map(struct checkpoint *c, const json_t *map)
{
    const char *key;
    json_t *value;
    if (!json_is_object(map)) {
        wr_nested_put_null(&c->row);
        return;
    }
    wr_nested_open(&c->row, c->types.map);
    json_object_foreach((json_t *)map, key, value) {
        put_text(c, key);
        put_text(c, json_string_value(value));
    }
    (void)wr_nested_close(&c->row);
}

/* The same from the object's text; NULL: no map. */
static void put_map_text(struct checkpoint *c, const char *text)
{
    json_t *map = text == NULL ? NULL : json_loads(text, 0, NULL);
    put_map(c, map);
    json_decref(map);
}

static void put_list(struct checkpoint *c, const json_t *list)
{
    if (!json_is_array(list)) {
        wr_nested_put_null(&c->row);
        return;
    }
    wr_nested_open(&c->row, c->types.list);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        put_text(c, text == NULL ? "" : text);
    }
    (void)wr_nested_close(&c->row);
}

/* ---- actions ---- */

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static wr_status put_protocol(struct checkpoint *c, const json_t *p, struct wr_error *err)
{
    const int32_t reader = (int32_t)json_integer_value(json_object_get(p, "minReaderVersion"));
    const int32_t writer = (int32_t)json_integer_value(json_object_get(p, "minWriterVersion"));
    begin_row(c, PROTOCOL);
    wr_nested_put(&c->row, wr_type_of(WR_TYPE_INT32), &reader);
    wr_nested_put(&c->row, wr_type_of(WR_TYPE_INT32), &writer);
    put_list(c, json_object_get(p, "readerFeatures"));
    put_list(c, json_object_get(p, "writerFeatures"));
    return end_row(c, PROTOCOL, err);
}

static void put_format(struct checkpoint *c, const json_t *format)
{
    const json_t *options = json_object_get(format, "options");
    if (!json_is_object(format)) {
        wr_nested_put_null(&c->row);
        return;
    }
    wr_nested_open(&c->row, c->types.format);
    put_text(c, text_of(format, "provider"));
    if (options != NULL) {
        put_map(c, options);
    } else {
        put_map_text(c, "{}");
    }
    (void)wr_nested_close(&c->row);
}

static wr_status put_metadata(struct checkpoint *c, const json_t *m, struct wr_error *err)
{
    const json_t *created = json_object_get(m, "createdTime");
    begin_row(c, METADATA);
    put_text(c, text_of(m, "id"));
    put_text(c, text_of(m, "name"));
    put_text(c, text_of(m, "description"));
    put_format(c, json_object_get(m, "format"));
    put_text(c, text_of(m, "schemaString"));
    put_list(c, json_object_get(m, "partitionColumns"));
    put_map(c, json_object_get(m, "configuration"));
    if (json_is_integer(created)) {
        put_number(c, json_integer_value(created));
    } else {
        wr_nested_put_null(&c->row);
    }
    return end_row(c, METADATA, err);
}

static wr_status put_app(struct checkpoint *c, const struct wr_delta_app *app, struct wr_error *err)
{
    begin_row(c, TXN);
    put_text(c, app->path);
    put_number(c, app->version);
    if (app->updated_ms != 0) {
        put_number(c, app->updated_ms);
    } else {
        wr_nested_put_null(&c->row);
    }
    return end_row(c, TXN, err);
}

static wr_status put_file(struct checkpoint *c, const struct wr_delta_file *file,
                          struct wr_error *err)
{
    begin_row(c, ADD);
    put_text(c, file->path);
    put_map_text(c, file->partition);
    put_number(c, (int64_t)file->bytes);
    put_number(c, file->modified_ms);
    put_bool(c, false); /* actions of a checkpoint change no data, says the protocol */
    put_text(c, file->stats);
    put_map_text(c, file->tags);
    return end_row(c, ADD, err);
}

static wr_status put_tomb(struct checkpoint *c, const struct wr_delta_tomb *tomb,
                          struct wr_error *err)
{
    begin_row(c, REMOVE);
    put_text(c, tomb->path);
    put_number(c, tomb->deleted_ms);
    put_bool(c, false);
    put_bool(c, tomb->partition != NULL && tomb->bytes >= 0);
    put_map_text(c, tomb->partition);
    if (tomb->bytes >= 0) {
        put_number(c, tomb->bytes);
    } else {
        wr_nested_put_null(&c->row);
    }
    return end_row(c, REMOVE, err);
}

static wr_status put_state(struct checkpoint *c, const struct wr_delta_state *state,
                           struct wr_error *err)
{
    WR_TRY(put_protocol(c, state->protocol, err));
    WR_TRY(put_metadata(c, state->metadata, err));
    for (uint32_t i = 0; i < state->apps.slot_count; i++) {
        if (wr_delta_map_at(&state->apps, i) != NULL) {
            WR_TRY(put_app(c, wr_delta_map_at(&state->apps, i), err));
        }
    }
    for (uint32_t i = 0; i < state->tombs.slot_count; i++) {
        if (wr_delta_map_at(&state->tombs, i) != NULL) {
            WR_TRY(put_tomb(c, wr_delta_map_at(&state->tombs, i), err));
        }
    }
    for (uint32_t i = 0; i < state->files.slot_count; i++) {
        if (wr_delta_map_at(&state->files, i) != NULL) {
            WR_TRY(put_file(c, wr_delta_map_at(&state->files, i), err));
        }
    }
    WR_TRY(append_batch(c, err));
    return wr_parquet_finish(c->writer, err);
}

/* ---- the file ---- */

static wr_status into_buf(void *ctx, const void *bytes, size_t n, struct wr_error *err)
{
    wr_buf_append(ctx, bytes, n);
    return WR_OK;
}

static wr_status open_checkpoint(struct checkpoint *c, struct wr_error *err)
{
    const struct wr_parquet_options options = { .row_group_bytes = GROUP_RAW_BYTES,
                                                .plain_only = true };
    WR_TRY(make_types(&c->types, err));
    for (uint32_t i = 0; i < ACTIONS_; i++) {
        c->fields[i] = (struct wr_field){ .name = actions[i].name,
                                          .type = c->types.actions[i],
                                          .declared = i };
    }
    c->schema = (struct wr_schema){ c->fields, ACTIONS_ };
    WR_TRY(wr_parquet_create(&c->schema, NULL, &options, into_buf, &c->file, &c->writer, err));
    c->pool = wr_batch_pool_create(&c->schema, BATCH_ROWS, 2);
    c->batch = wr_batch_take(c->pool);
    return WR_OK;
}

static void close_checkpoint(struct checkpoint *c)
{
    wr_batch_release(c->batch);
    wr_batch_pool_destroy(c->pool);
    wr_parquet_destroy(c->writer);
    wr_nested_writer_deinit(&c->row);
    wr_buf_deinit(&c->file);
}

/* Says where readers may begin, unless another writer has said something newer. */
static wr_status point_at(struct wr_delta *table, uint64_t rows, size_t bytes,
                          struct wr_error *err)
{
    struct wr_buf text = { 0 };
    wr_status status = wr_store_get(table->store, LAST_CHECKPOINT, &text, err);
    json_t *old = status == WR_OK ? json_loadb(text.data, text.bytes, 0, NULL) : NULL;
    const int64_t newest = json_integer_value(json_object_get(old, "version"));
    json_decref(old);
    text.bytes = 0;
    if (status != WR_FAIL && newest <= table->state.version) {
        wr_buf_printf(&text,
                      "{\"version\":%lld,\"size\":%llu,\"sizeInBytes\":%zu,\"numOfAddFiles\":%u}",
                      (long long)table->state.version, (unsigned long long)rows, bytes,
                      table->state.files.count);
        status = wr_store_put(table->store, LAST_CHECKPOINT, text.data, text.bytes, WR_PUT_ALWAYS,
                              err);
    }
    wr_buf_deinit(&text);
    return status == WR_FAIL ? WR_FAIL : WR_OK;
}

static wr_status write_checkpoint(struct wr_delta *table, struct wr_error *err)
{
    char key[64];
    struct checkpoint c = { .batch = NULL };
    wr_status status = open_checkpoint(&c, err);
    if (status == WR_OK) {
        status = put_state(&c, &table->state, err);
    }
    if (status == WR_OK) {
        wr_delta_key(table->state.version, WR_DELTA_CHECKPOINT_SUFFIX, key, sizeof key);
        /* If there is one already, another writer was quicker: it says the same. */
        status = wr_store_put(table->store, key, c.file.data, c.file.bytes, WR_PUT_IF_ABSENT, err);
    }
    if (status == WR_OK) {
        status = point_at(table, wr_parquet_rows(c.writer), c.file.bytes, err);
    }
    close_checkpoint(&c);
    return status == WR_FAIL ? WR_FAIL : WR_OK;
}

wr_status wr_delta_checkpoint(struct wr_delta *table, uint32_t every, struct wr_error *err)
{
    const int64_t last = table->checkpoint_version < 0 ? 0 : table->checkpoint_version;
    if (table->state.version - last < (int64_t)every ||
        table->state.version == table->checkpoint_version) {
        return WR_OK;
    }
    const int64_t retention_ms = wr_delta_config_interval_ms(
        &table->state, "delta.deletedFileRetentionDuration", WEEK_MS);
    wr_delta_drop_tombs(&table->state, wr_clock_now().wall_us / 1000 - retention_ms);
    WR_TRY(write_checkpoint(table, err));
    table->checkpoint_version = table->state.version;
    return WR_OK;
}
