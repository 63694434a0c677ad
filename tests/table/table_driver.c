/* table_driver: a Delta table behind a line protocol, for the Python tests.
 *
 *   table_driver URL [OPTION=VALUE...]     then commands on standard input, one per line, words parted by tabs
 *
 * Each command answers one line: OK[\t...], END, or FAIL\tclass\tmessage\tdetail\thint. Rows are files of lines, values parted by
 * tabs as SQL's text (nested ones as JSON, nested_json.h), \N for NULL. The commands are at the end of this file.
 */
#include "base/clock.h"
#include "batch/batch.h"
#include "batch/text.h"
#include "store/store_ops.h"
#include "table/delta.h"
#include "table/delta_stats.h"
#include "../parquet/nested_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORDS_MAX   64
#define LINE_BYTES  (1 << 16)
#define ADDS_MAX    4096
#define COLUMNS_MAX 64
#define ROWS_MAX    1024

/* ---- a store that fails on purpose ---- */

static struct wr_store *inner;
static int fault_puts;       /* so many conditional puts are answered with a failure ... */
static bool fault_applies;   /* ... after they were done */

static wr_status faulty_put(struct wr_store *store, const char *key, const void *data, size_t bytes,
                            enum wr_put_condition condition, struct wr_error *err)
{
    if (condition == WR_PUT_IF_ABSENT && fault_puts > 0) {
        fault_puts--;
        if (fault_applies) {
            const wr_status status = wr_store_put(inner, key, data, bytes, condition, err);
            if (status != WR_OK) {
                return status;
            }
        }
        return wr_fail(err, WR_CLASS_RETRY, "the answer was lost");
    }
    return wr_store_put(inner, key, data, bytes, condition, err);
}

static wr_status faulty_get(struct wr_store *store, const char *key, struct wr_buf *into,
                            struct wr_error *err)
{
    return wr_store_get(inner, key, into, err);
}

static wr_status faulty_get_range(struct wr_store *store, const char *key, uint64_t offset,
                                  uint64_t bytes, struct wr_buf *into, struct wr_error *err)
{
    return wr_store_get_range(inner, key, offset, bytes, into, err);
}

static wr_status faulty_erase(struct wr_store *store, const char *key, struct wr_error *err)
{
    return wr_store_delete(inner, key, err);
}

static wr_status faulty_modified(struct wr_store *store, const char *key, int64_t *ms,
                                 struct wr_error *err)
{
    return wr_store_modified(inner, key, ms, err);
}

static wr_status faulty_list(struct wr_store *store, const char *prefix, const char *start_after,
                             void (*found)(void *ctx, const char *key, uint64_t bytes), void *ctx,
                             struct wr_error *err)
{
    return wr_store_list(inner, prefix, start_after, found, ctx, err);
}

static wr_status faulty_upload_open(struct wr_upload **upload, struct wr_store *store,
                                    const char *key, struct wr_error *err)
{
    return wr_upload_open(upload, inner, key, err);
}

static const struct wr_store_ops faulty_ops = {
    .put = faulty_put,
    .get = faulty_get,
    .get_range = faulty_get_range,
    .erase = faulty_erase,
    .modified = faulty_modified,
    .list = faulty_list,
    .upload_open = faulty_upload_open,
};
static struct wr_store faulty = { &faulty_ops };

/* ---- state ---- */

static struct wr_arena arena;
static struct wr_schema schema;
static struct wr_field fields[COLUMNS_MAX];
static uint32_t partition[COLUMNS_MAX];
static uint32_t partition_count;
static struct wr_delta *table;
static struct wr_delta_add adds[ADDS_MAX];
static uint32_t add_count;
static int file_number;

static void answer(wr_status status, const struct wr_error *err)
{
    if (status == WR_FAIL) {
        printf("FAIL\t%d\t%s\t%s\t%s\n", (int)err->cls, err->message, err->detail, err->hint);
    } else {
        printf("%s\n", status == WR_OK ? "OK" : status == WR_END ? "END" : "AGAIN");
    }
}

/* "id BIGINT!;name TEXT": '!' is NOT NULL. */
static void set_schema(char *text)
{
    schema = (struct wr_schema){ fields, 0 };
    for (char *at = strtok(text, ";"); at != NULL; at = strtok(NULL, ";")) {
        char *space = strrchr(at, '|');
        char *bang = strrchr(at, '!');
        *space = '\0';
        if (bang != NULL) {
            *bang = '\0';
        }
        const char *type = space + 1;
        fields[schema.count] = (struct wr_field){
            .name = wr_arena_strdup(&arena, at),
            .type = nested_json_type(&type),
            .not_null = bang != NULL,
            .declared = schema.count,
            .field_id = schema.count + 1,
        };
        schema.count++;
    }
}

static void set_partition(char *text)
{
    partition_count = 0;
    for (char *at = strtok(text, ";"); at != NULL; at = strtok(NULL, ";")) {
        partition[partition_count++] = (uint32_t)wr_schema_find(&schema, at);
    }
}

/* open SCHEMA PARTITION FLAGS(c: create, e: evolve) */
static wr_status open_table(char **word, struct wr_error *err)
{
    set_schema(word[1]);
    set_partition(word[2]);
    wr_delta_close(table);
    const struct wr_delta_spec spec = {
        .name = "t",
        .schema = &schema,
        .partition = partition,
        .partition_count = partition_count,
        .create = strchr(word[3], 'c') != NULL,
        .evolve = strchr(word[3], 'e') != NULL,
        .engine = "weir/test",
    };
    return wr_delta_open(&table, &faulty, &spec, err);
}

/* ---- rows ---- */

static bool is_partition(uint32_t column)
{
    for (uint32_t i = 0; i < partition_count; i++) {
        if (partition[i] == column) {
            return true;
        }
    }
    return false;
}

static wr_status into_buf(void *ctx, const void *bytes, size_t n, struct wr_error *err)
{
    wr_buf_append(ctx, bytes, n);
    return WR_OK;
}

static void set_value(struct wr_batch *batch, uint32_t column, uint32_t row, const char *text)
{
    struct wr_column *c = &batch->columns[column];
    const uint32_t width = wr_type_width(c->type);
    if (strcmp(text, "\\N") == 0) {
        memset((char *)c->values + (size_t)row * width, 0, width);
        wr_bit_clear(wr_batch_nullable(batch, column), row);
        return;
    }
    if (wr_type_is_nested(c->type)) {
        json_t *json = json_loads(text, 0, NULL);
        nested_json_value(c->type, json, &batch->arena, (char *)c->values + (size_t)row * width);
        json_decref(json);
        return;
    }
    char *kept = wr_arena_strdup(&batch->arena, text);
    if (!wr_text_parse(c->type, wr_slice_of(kept), (char *)c->values + (size_t)row * width)) {
        fprintf(stderr, "bad value %s\n", text);
        abort();
    }
}

static void fill(struct wr_batch *batch, char *line)
{
    const uint32_t row = batch->rows++;
    for (uint32_t c = 0; c < schema.count; c++) {
        const size_t bytes = strcspn(line, "\t");
        const bool last = line[bytes] == '\0';
        line[bytes] = '\0';
        set_value(batch, c, row, line);
        line += bytes + !last;
    }
}

static void hive(struct wr_buf *path, const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || strchr("\"#%'*/:=?\\{[]^\x7f", *text) != NULL) {
            wr_buf_printf(path, "%%%02X", (unsigned char)*text);
        } else {
            wr_buf_byte(path, (uint8_t)*text);
        }
    }
}

/* All rows of a batch have the partition of the first. */
static void place(const struct wr_batch *batch, struct wr_delta_add *add, const char *name)
{
    struct wr_buf path = { 0 };
    struct wr_delta_partition_value *values =
        WR_ARENA_ARRAY(&arena, struct wr_delta_partition_value, partition_count + 1);
    for (uint32_t i = 0; i < partition_count; i++) {
        const struct wr_column *c = &batch->columns[partition[i]];
        struct wr_buf text = { 0 };
        const bool there = !wr_column_is_null(c, 0) &&
                           wr_delta_partition_text(c->type, c->values, &text);
        values[i].column = fields[partition[i]].name;
        values[i].value = there ? wr_arena_strdup(&arena, wr_buf_cstr(&text)) : NULL;
        wr_buf_printf(&path, "%s=", values[i].column);
        if (there) {
            hive(&path, values[i].value);
        } else {
            wr_buf_text(&path, "__HIVE_DEFAULT_PARTITION__");
        }
        wr_buf_byte(&path, '/');
        wr_buf_deinit(&text);
    }
    wr_buf_text(&path, name);
    *add = (struct wr_delta_add){ .path = wr_arena_strdup(&arena, wr_buf_cstr(&path)),
                                  .partition = values,
                                  .partition_count = partition_count };
    wr_buf_deinit(&path);
}

static wr_status write_batch(const struct wr_batch *batch, struct wr_error *err)
{
    uint8_t skip[COLUMNS_MAX] = { 0 };
    char name[64];
    struct wr_parquet_writer *writer = NULL;
    struct wr_parquet_summary summary = { 0 };
    struct wr_buf file = { 0 };
    struct wr_buf stats = { 0 };
    struct wr_delta_add *add = &adds[add_count++];
    for (uint32_t i = 0; i < schema.count; i++) {
        skip[i] = is_partition(i);
    }
    snprintf(name, sizeof name, "part-%016llx-%d.zstd.parquet",
             (unsigned long long)wr_clock_now().wall_us, file_number++);
    place(batch, add, name);
    const struct wr_parquet_options options = { .zstd_level = 1, .json_as_text = true };
    WR_TRY(wr_parquet_create(&schema, skip, &options, into_buf, &file, &writer, err));
    wr_status status = wr_parquet_append(writer, batch, err);
    if (status == WR_OK) {
        status = wr_parquet_finish(writer, err);
    }
    if (status == WR_OK) {
        wr_parquet_summarize(writer, &summary);
        wr_delta_stats(&summary, &schema, &stats);
        add->stats = wr_arena_strdup(&arena, wr_buf_cstr(&stats));
        add->bytes = file.bytes;
        add->modified_ms = wr_clock_now().wall_us / 1000;
        status = wr_store_put(inner, add->path, file.data, file.bytes, WR_PUT_ALWAYS, err);
    }
    wr_parquet_summary_deinit(&summary);
    wr_parquet_destroy(writer);
    wr_buf_deinit(&file);
    wr_buf_deinit(&stats);
    return status;
}

/* rows FILE: one data file of them, for the next append */
static wr_status rows_command(char **word, struct wr_error *err)
{
    static char line[LINE_BYTES];
    FILE *file = fopen(word[1], "r");
    struct wr_batch_pool *pool = wr_batch_pool_create(&schema, ROWS_MAX, 4);
    struct wr_batch *batch = wr_batch_take(pool);
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        fill(batch, line);
    }
    if (file != NULL) {
        fclose(file);
    }
    const wr_status status = write_batch(batch, err);
    wr_batch_release(batch);
    wr_batch_pool_destroy(pool);
    return status;
}

/* append APP VERSION (APP empty: without txn); answers the table's version first */
static wr_status append_command(char **word, struct wr_error *err)
{
    int64_t version = -1;
    const struct wr_delta_commit commit = {
        .app_id = word[1][0] == '\0' ? NULL : word[1],
        .version = atoll(word[2]),
        .operation = "STREAMING UPDATE",
        .adds = adds,
        .add_count = add_count,
    };
    const wr_status status = wr_delta_append(table, &commit, &version, err);
    if (status == WR_OK) {
        add_count = 0;
        printf("%lld\t", (long long)version);
    }
    return status;
}

static wr_status txn_command(char **word, struct wr_error *err)
{
    int64_t version;
    WR_TRY(wr_delta_txn(table, word[1], &version, err));
    printf("%lld\t", (long long)version);
    return WR_OK;
}

/* compact TARGET SETTLE_MS FLAGS(a: everything); answers before, after, more */
static wr_status compact_command(char **word, struct wr_error *err)
{
    const struct wr_delta_compact_options options = {
        .target_bytes = strtoull(word[1], NULL, 10),
        .settle_ms = atoll(word[2]),
        .everything = strchr(word[3], 'a') != NULL,
    };
    struct wr_delta_compact_result result;
    WR_TRY(wr_delta_compact(table, &options, &result, err));
    printf("%u\t%u\t%d\t", result.files_before, result.files_after, result.more);
    return WR_OK;
}

static void show_event(void *ctx, const struct wr_delta_event *event)
{
    printf("%lld;%s;%s;%u;%u;%lld;%llu\t", (long long)event->version, event->operation,
           event->engine, event->adds, event->removes, (long long)event->rows,
           (unsigned long long)event->bytes);
}

static void show_file(void *ctx, const char *path, uint64_t bytes)
{
    printf("%s\t", path);
}

static void tell_version(void)
{
    printf("%lld\t", (long long)wr_delta_version(table));
}

static int64_t slept_ms;

static struct wr_time later(void *ctx)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const int64_t us = now.tv_sec * 1000000 + now.tv_nsec / 1000 + slept_ms * 1000;
    return (struct wr_time){ .wall_us = us, .mono_ns = us * 1000 };
}

static wr_status command(char **word, struct wr_error *err)
{
    if (strcmp(word[0], "open") == 0) {
        return open_table(word, err);
    }
    if (strcmp(word[0], "attach") == 0) {
        wr_delta_close(table);
        return wr_delta_open(&table, &faulty, NULL, err);
    }
    if (strcmp(word[0], "rows") == 0) {
        return rows_command(word, err);
    }
    if (strcmp(word[0], "append") == 0) {
        return append_command(word, err);
    }
    if (strcmp(word[0], "txn") == 0) {
        return txn_command(word, err);
    }
    if (strcmp(word[0], "other") == 0) { /* other APP SUFFIX */
        const char *other = wr_delta_other_writer(table, word[1], word[2]);
        printf("%s\t", other == NULL ? "-" : other);
        return WR_OK;
    }
    if (strcmp(word[0], "refresh") == 0) {
        WR_TRY(wr_delta_refresh(table, err));
        tell_version();
        return WR_OK;
    }
    if (strcmp(word[0], "checkpoint") == 0) {
        return wr_delta_checkpoint(table, (uint32_t)atoi(word[1]), err);
    }
    if (strcmp(word[0], "compact") == 0) {
        return compact_command(word, err);
    }
    if (strcmp(word[0], "history") == 0) {
        return wr_delta_history(&faulty, (uint32_t)atoi(word[1]), show_event, NULL, err);
    }
    if (strcmp(word[0], "vacuum") == 0) { /* vacuum RETENTION_MS FLAGS(d: dry run) */
        return wr_delta_vacuum(&faulty, atoll(word[1]), strchr(word[2], 'd') != NULL, show_file,
                               NULL, err);
    }
    if (strcmp(word[0], "sleep") == 0) { /* sleep MS: by the clock alone */
        slept_ms += atoll(word[1]);
        wr_clock_simulate(later, NULL);
        return WR_OK;
    }
    if (strcmp(word[0], "fault") == 0) { /* fault N FLAGS(a: the puts are applied) */
        fault_puts = atoi(word[1]);
        fault_applies = strchr(word[2], 'a') != NULL;
        return WR_OK;
    }
    return wr_fail(err, WR_CLASS_USER, "no command %s", word[0]);
}

static void split(char *line, char **word)
{
    static char none[] = "";
    uint32_t count = 0;
    line[strcspn(line, "\n")] = '\0';
    for (char *at = line; at != NULL && count < WORDS_MAX; count++) {
        word[count] = at;
        at = strchr(at, '\t');
        if (at != NULL) {
            *at++ = '\0';
        }
    }
    for (; count < WORDS_MAX; count++) {
        word[count] = none;
    }
}

static wr_status open_store(int argc, char **argv, struct wr_error *err)
{
    struct wr_option_pair *pairs = WR_ARENA_ARRAY(&arena, struct wr_option_pair, argc);
    const struct wr_option *const tables[] = { wr_store_options, NULL };
    struct wr_options *options = NULL;
    uint32_t count = 0;
    for (int i = 2; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        *equals = '\0';
        pairs[count++] = (struct wr_option_pair){ argv[i], equals + 1, equals + 1, UINT32_MAX,
                                                  UINT32_MAX };
    }
    WR_TRY(wr_options_parse(tables, "store", pairs, count, &arena, &options, NULL, err));
    return wr_store_open(&inner, argv[1], options, NULL, err);
}

int main(int argc, char **argv)
{
    static char line[LINE_BYTES];
    char *word[WORDS_MAX];
    struct wr_error err = { 0 };
    setvbuf(stdout, NULL, _IOLBF, 1 << 16);
    wr_arena_init(&arena, 0);
    if (argc < 2) {
        return 2;
    }
    wr_status status = open_store(argc, argv, &err);
    answer(status, &err);
    while (status == WR_OK && fgets(line, sizeof line, stdin) != NULL) {
        split(line, word);
        err = (struct wr_error){ 0 };
        answer(command(word, &err), &err);
    }
    wr_delta_close(table);
    wr_store_close(inner);
    wr_arena_deinit(&arena);
    return 0;
}
