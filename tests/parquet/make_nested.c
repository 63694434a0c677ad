/* make_nested.c: rows given as JSON -> a Parquet file, for test_nested.py; "json" and "csv": the same rows as lines.
 *
 *   make_nested FILE FORMAT [OPTION=NUMBER...]
 *
 * Standard input: a line [[name, type as SQL spells it, not null], ...], then a line per row: an array of the columns' values
 * (nested_json.h). Options: batch, group_rows, group_bytes, page_rows, page_bytes, no_dict, plain, crc, flush, skip (a column).
 */
#include "base/heap.h"
#include "batch/batch.h"
#include "encode/parquet.h"
#include "encode/row_csv.h"
#include "encode/row_json.h"
#include "nested_json.h"

#define COLUMNS_MAX 64u

struct setup {
    struct wr_parquet_options options;
    uint32_t batch;
    uint32_t flush;
    uint8_t skip[COLUMNS_MAX];
};

static void option(struct setup *s, const char *key, uint32_t value)
{
    const struct {
        const char *key;
        uint32_t *into;
    } numbers[] = {
        { "batch", &s->batch },
        { "flush", &s->flush },
        { "group_rows", &s->options.row_group_rows },
        { "page_rows", &s->options.page_rows },
        { "page_bytes", &s->options.page_bytes },
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (strcmp(key, numbers[i].key) == 0) {
            *numbers[i].into = value;
            return;
        }
    }
    if (strcmp(key, "skip") == 0) {
        s->skip[value] = 1;
    } else if (strcmp(key, "group_bytes") == 0) {
        s->options.row_group_bytes = value;
    } else if (strcmp(key, "no_dict") == 0) {
        s->options.no_dictionary = value != 0;
    } else if (strcmp(key, "plain") == 0) {
        s->options.plain_only = value != 0;
    } else {
        wr_assert(strcmp(key, "crc") == 0);
        s->options.page_crc = value != 0;
    }
}

static char *line;
static size_t room;

static json_t *read_line(void)
{
    const ssize_t bytes = getline(&line, &room, stdin);
    json_error_t why;
    if (bytes <= 0) {
        return NULL;
    }
    json_t *json = json_loadb(line, (size_t)bytes, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (json == NULL) {
        fprintf(stderr, "make_nested: %s\n", why.text);
        abort();
    }
    return json;
}

static void read_schema(struct wr_schema *schema)
{
    json_t *columns = read_line();
    wr_assert(json_array_size(columns) <= COLUMNS_MAX);
    for (size_t i = 0; i < json_array_size(columns); i++) {
        const json_t *column = json_array_get(columns, i);
        const char *type = json_string_value(json_array_get(column, 1));
        schema->fields[schema->count] = (struct wr_field){
            .name = wr_strdup(json_string_value(json_array_get(column, 0))),
            .type = nested_json_type(&type),
            .not_null = json_is_true(json_array_get(column, 2)),
            .declared = schema->count,
            .field_id = schema->count + 1,
        };
        schema->count++;
    }
    json_decref(columns);
}

static bool fill(struct wr_batch *batch, const struct wr_schema *schema, uint32_t rows)
{
    while (batch->rows < rows) {
        json_t *row = read_line();
        if (row == NULL) {
            break;
        }
        const uint32_t r = batch->rows++;
        for (uint32_t c = 0; c < schema->count; c++) {
            const uint32_t width = wr_type_width(schema->fields[c].type);
            char *value = (char *)batch->columns[c].values + (size_t)r * width;
            const json_t *json = json_array_get(row, c);
            memset(value, 0, width);
            if (json_is_null(json)) {
                wr_bit_clear(wr_batch_nullable(batch, c), r);
            } else {
                nested_json_value(schema->fields[c].type, json, &batch->arena, value);
            }
        }
        json_decref(row);
    }
    return batch->rows > 0;
}

static wr_status to_file(void *ctx, const void *bytes, size_t n, struct wr_error *err)
{
    return fwrite(bytes, 1, n, ctx) == n ? WR_OK : wr_fail(err, WR_CLASS_FATAL, "cannot write");
}

static void must(wr_status status, const struct wr_error *err)
{
    if (status != WR_OK) {
        fprintf(stderr, "make_nested: %s\n", err->message);
        exit(1);
    }
}

static void write_parquet(struct setup *s, const struct wr_schema *schema, struct wr_batch_pool *pool,
                          FILE *file)
{
    struct wr_error err = { 0 };
    struct wr_parquet_writer *writer;
    uint64_t held_max = 0;
    uint32_t batches = 0;
    must(wr_parquet_create(schema, s->skip, &s->options, to_file, file, &writer, &err), &err);
    struct wr_batch *batch = wr_batch_take(pool);
    while (fill(batch, schema, s->batch)) {
        must(wr_parquet_append(writer, batch, &err), &err);
        const uint64_t held = wr_parquet_buffered_bytes(writer);
        held_max = held > held_max ? held : held_max;
        wr_batch_release(batch);
        batch = wr_batch_take(pool);
        if (s->flush > 0 && ++batches % s->flush == 0) {
            must(wr_parquet_flush_row_group(writer, &err), &err);
        }
    }
    wr_batch_release(batch);
    must(wr_parquet_finish(writer, &err), &err);
    wr_assert(wr_parquet_bytes(writer) == (uint64_t)ftell(file));
    printf("%llu rows, %llu bytes, %llu buffered\n", (unsigned long long)wr_parquet_rows(writer),
           (unsigned long long)wr_parquet_bytes(writer), (unsigned long long)held_max);
    wr_parquet_destroy(writer);
}

static void write_lines(const struct wr_schema *schema, struct wr_batch_pool *pool, bool csv, FILE *file)
{
    struct wr_buf text = { 0 };
    struct wr_row_json *json_rows = wr_row_json_create(schema, NULL, 0);
    struct wr_row_csv *csv_rows = wr_row_csv_create(schema, NULL, 0);
    struct wr_batch *batch = wr_batch_take(pool);
    while (fill(batch, schema, WR_BATCH_ROWS_MAX)) {
        if (csv) {
            wr_row_csv_append_batch(csv_rows, &text, batch);
        } else {
            wr_row_json_append_batch(json_rows, &text, batch);
        }
        wr_batch_release(batch);
        batch = wr_batch_take(pool);
    }
    wr_batch_release(batch);
    wr_assert(fwrite(text.data, 1, text.bytes, file) == text.bytes);
    wr_row_json_destroy(json_rows);
    wr_row_csv_destroy(csv_rows);
    wr_buf_deinit(&text);
}

int main(int argc, char **argv)
{
    struct setup s = { .batch = WR_BATCH_ROWS_MAX };
    struct wr_schema schema = { .fields = wr_calloc(COLUMNS_MAX, sizeof(struct wr_field)) };
    wr_assert(argc > 2);
    for (int i = 3; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        wr_assert(equals != NULL);
        *equals = '\0';
        option(&s, argv[i], (uint32_t)strtoul(equals + 1, NULL, 10));
    }
    read_schema(&schema);
    struct wr_batch_pool *pool = wr_batch_pool_create(&schema, WR_BATCH_ROWS_MAX, 4);
    FILE *file = fopen(argv[1], "wb");
    wr_assert(file != NULL);
    if (strcmp(argv[2], "parquet") == 0) {
        write_parquet(&s, &schema, pool, file);
    } else {
        write_lines(&schema, pool, strcmp(argv[2], "csv") == 0, file);
    }
    fclose(file);
    wr_batch_pool_destroy(pool);
    for (uint32_t i = 0; i < schema.count; i++) {
        free((char *)schema.fields[i].name);
    }
    free(schema.fields);
    free(line);
    return 0;
}
