/* protobuf_driver: the Protobuf decoder as a filter, for comparison with other implementations and for measuring.
 *
 *   protobuf_driver SCHEMA MESSAGE [--bench ROUNDS] PATH[:TYPE]... < RECORDS > ROWS
 *
 * Without TYPE a column, which must be a field of the message itself, has the type that the schema gives it. RECORDS: each a
 * 4-byte little-endian length and that many bytes. ROWS: a JSON object per record, with the paths as keys, or {"fault": why,
 * "field": path}. With --bench nothing is printed but the nanoseconds per record of the best round.
 */
#include "base/clock.h"
#include "base/heap.h"
#include "batch/text.h"
#include "decode/protobuf.h"
#include "decode/protobuf_internal.h"
#include <stdio.h>

#define ROWS        1024u
#define COLUMNS_MAX 64u
#define PATH_MAX_   8u

struct driver {
    struct wr_field fields[COLUMNS_MAX];
    const char *paths[COLUMNS_MAX][PATH_MAX_];
    char *names[COLUMNS_MAX];
    struct wr_schema schema;
    struct wr_buf input;
    struct wr_record *records;
    size_t count;
};

static const struct {
    const char *name;
    struct wr_type type;
} types[] = {
    { "boolean", { .id = WR_TYPE_BOOL } },   { "integer", { .id = WR_TYPE_INT32 } },
    { "bigint", { .id = WR_TYPE_INT64 } },   { "double", { .id = WR_TYPE_FLOAT64 } },
    { "text", { .id = WR_TYPE_TEXT } },      { "timestamp", { .id = WR_TYPE_TIMESTAMP } },
    { "json", { .id = WR_TYPE_JSON } },      { "date", { .id = WR_TYPE_DATE } },
    { "interval", { .id = WR_TYPE_INTERVAL } },
    { "numeric", { .id = WR_TYPE_DECIMAL, .precision = 38, .scale = 6 } },
};

static void read_all(FILE *file, struct wr_buf *into)
{
    size_t got;
    while ((got = fread(wr_buf_reserve(into, 1 << 16), 1, 1 << 16, file)) > 0) {
        into->bytes += got;
    }
}

static bool type_named(const char *name, struct wr_type *type)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i].name, name) == 0) {
            *type = types[i].type;
            return true;
        }
    }
    return false;
}

static bool add_column(struct driver *d, const char *spec, const struct wr_protobuf_message *message)
{
    const uint32_t c = d->schema.count++;
    struct wr_field *field = &d->fields[c];
    const char *colon = strrchr(spec, ':');
    if (c == COLUMNS_MAX) {
        return false;
    }
    d->names[c] = wr_strdup(spec);
    d->names[c][colon != NULL ? (size_t)(colon - spec) : strlen(spec)] = '\0';
    *field = (struct wr_field){ .name = wr_strdup(d->names[c]), .path = d->paths[c], .declared = c };
    for (char *part = strtok(d->names[c], "."); part != NULL && field->path_count < PATH_MAX_;
         part = strtok(NULL, ".")) {
        d->paths[c][field->path_count++] = part;
    }
    if (colon != NULL) {
        return type_named(colon + 1, &field->type);
    }
    const struct wr_protobuf_field *own = wr_protobuf_field_named(message, field->name);
    field->type = own != NULL ? wr_protobuf_column_type(message, own) : wr_type_of(WR_TYPE_TEXT);
    return own != NULL;
}

static void cut_records(struct driver *d)
{
    size_t capacity = 0;
    for (size_t at = 0; at + 4 <= d->input.bytes;) {
        uint32_t bytes;
        memcpy(&bytes, d->input.data + at, 4);
        if (bytes > d->input.bytes - at - 4) {
            break;
        }
        if (d->count == capacity) {
            capacity = capacity * 2 + ROWS;
            d->records = wr_realloc(d->records, capacity * sizeof(struct wr_record));
        }
        d->records[d->count++] = (struct wr_record){ .data = d->input.data + at + 4, .bytes = bytes };
        at += 4 + bytes;
    }
}

static void print_row(const struct driver *d, const struct wr_batch *batch, uint32_t row,
                      const struct wr_row_fault *fault, struct wr_buf *out)
{
    out->bytes = 0;
    if (fault != NULL) {
        wr_buf_text(out, "{\"fault\":");
        wr_text_json_string(out, fault->message, strlen(fault->message));
        wr_buf_text(out, ",\"field\":");
        wr_text_json_string(out, fault->field, strlen(fault->field));
    }
    for (uint32_t c = 0; fault == NULL && c < d->schema.count; c++) {
        const struct wr_column *column = &batch->columns[c];
        const char *value = (const char *)column->values + (size_t)row * wr_type_width(column->type);
        wr_buf_byte(out, c == 0 ? '{' : ',');
        wr_text_json_string(out, d->fields[c].name, strlen(d->fields[c].name));
        wr_buf_byte(out, ':');
        if (wr_column_is_null(column, row)) {
            wr_buf_text(out, "null");
            continue;
        }
        if (wr_type_is_nested(column->type) &&
            !wr_nested_check(column->type, wr_view_slice((const struct wr_view *)(const void *)value))) {
            fprintf(stderr, "protobuf_driver: %s: a body that is not well formed\n", d->fields[c].name);
            abort();
        }
        wr_text_format_json(out, column->type, value);
    }
    wr_buf_text(out, "}\n");
    fwrite(out->data, 1, out->bytes, stdout);
}

static void decode_all(struct driver *d, struct wr_decoder *decoder, struct wr_batch_pool *pool, bool print)
{
    struct wr_faults faults = { 0 };
    struct wr_buf out = { 0 };
    for (size_t first = 0; first < d->count; first += ROWS) {
        const uint32_t count = (uint32_t)(d->count - first < ROWS ? d->count - first : ROWS);
        const struct wr_records records = { .items = &d->records[first], .count = count, .refs = 1 };
        struct wr_batch *batch = wr_batch_take(pool);
        wr_decoder_decode(decoder, &records, batch, &faults);
        uint32_t next = 0;
        for (uint32_t row = 0; print && row < count; row++) {
            const bool bad = next < faults.count && faults.items[next].row == row;
            print_row(d, batch, row, bad ? &faults.items[next] : NULL, &out);
            next += bad;
        }
        wr_batch_release(batch);
    }
    wr_faults_deinit(&faults);
    wr_buf_deinit(&out);
}

static void measure(struct driver *d, struct wr_decoder *decoder, struct wr_batch_pool *pool, int rounds)
{
    double best = 1e18;
    for (int i = 0; i < rounds; i++) {
        const int64_t begun = wr_clock_cpu_ns();
        decode_all(d, decoder, pool, false);
        const double ns = (double)(wr_clock_cpu_ns() - begun) / (double)d->count;
        best = ns < best ? ns : best;
    }
    printf("%.1f\n", best);
}

static int fail(const char *what, const char *more)
{
    fprintf(stderr, "protobuf_driver: %s %s\n", what, more);
    return 1;
}

static int run(struct driver *d, const struct wr_protobuf_schema *schema, struct wr_slice text, int argc, char **argv)
{
    struct wr_decoder *decoder = NULL;
    struct wr_error err = { 0 };
    int rounds = 0;
    const struct wr_protobuf_message *message = wr_protobuf_find(schema, argv[2]);
    if (message == NULL) {
        return fail("no message", argv[2]);
    }
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0 && i + 1 < argc) {
            rounds = atoi(argv[++i]);
        } else if (!add_column(d, argv[i], message)) {
            return fail("what is", argv[i]);
        }
    }
    if (wr_protobuf_create_for(&decoder, &d->schema, text, argv[2], &err) != WR_OK) {
        return fail("", err.message);
    }
    struct wr_batch_pool *pool = wr_batch_pool_create(&d->schema, ROWS, 2);
    read_all(stdin, &d->input);
    cut_records(d);
    if (rounds > 0) {
        measure(d, decoder, pool, rounds);
    } else {
        decode_all(d, decoder, pool, true);
    }
    wr_decoder_destroy(decoder);
    wr_batch_pool_destroy(pool);
    return 0;
}

int main(int argc, char **argv)
{
    static struct driver d;
    struct wr_buf text = { 0 };
    struct wr_protobuf_schema *schema = NULL;
    struct wr_error err = { 0 };
    FILE *file = argc < 4 ? NULL : fopen(argv[1], "rb");
    if (file == NULL) {
        return fail("a schema that can be read, a message and columns are needed", "");
    }
    read_all(file, &text);
    fclose(file);
    d.schema.fields = d.fields;
    const struct wr_slice bytes = { text.data != NULL ? text.data : "", text.bytes };
    const int code = wr_protobuf_schema_of_bytes(&schema, bytes, &err) == WR_OK ? run(&d, schema, bytes, argc, argv)
                                                                               : fail(argv[1], err.message);
    wr_protobuf_schema_destroy(schema);
    for (uint32_t c = 0; c < d.schema.count; c++) {
        free((char *)d.fields[c].name);
        free(d.names[c]);
    }
    free(d.records);
    wr_buf_deinit(&d.input);
    wr_buf_deinit(&text);
    return code;
}
