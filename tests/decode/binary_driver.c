/* binary_driver: the Avro and Protobuf decoders as a filter, for comparison with other implementations and for measuring.
 *
 *   binary_driver avro WRITER.avsc READER.avsc|- [--bench ROUNDS] PATH:TYPE... < RECORDS > ROWS
 *   binary_driver protobuf SCHEMA MESSAGE [--bench ROUNDS] PATH:TYPE... < RECORDS > ROWS
 *
 * TYPE may be `nested`: what the schema (of Avro's two the reader's) makes of a column that nobody declares.
 * RECORDS: each a 4-byte little-endian length and that many bytes. ROWS: a JSON object per record, with the paths as keys,
 * or {"fault": why, "field": path}. With --bench nothing is printed but the nanoseconds per record of the best round.
 */
#include "base/clock.h"
#include "base/heap.h"
#include "batch/nested.h"
#include "batch/text.h"
#include "decode/avro.h"
#include "decode/protobuf.h"
#include "decode/protobuf_internal.h"
#include <stdio.h>

#define ROWS 1024u
#define COLUMNS_MAX 64u

struct driver {
    struct wr_field fields[COLUMNS_MAX];
    const char *paths[COLUMNS_MAX][8];
    char *names[COLUMNS_MAX];
    struct wr_schema schema;
    struct wr_schema derived;
    struct wr_arena arena;
    struct wr_buf text; /* of the schema */
    struct wr_buf reader; /* Avro's */
    struct wr_buf input;
    struct wr_record *records;
    size_t count;
};

static const struct {
    const char *name;
    struct wr_type type;
} types[] = {
    { "boolean", { .id = WR_TYPE_BOOL } },     { "smallint", { .id = WR_TYPE_INT16 } },
    { "integer", { .id = WR_TYPE_INT32 } },    { "bigint", { .id = WR_TYPE_INT64 } },
    { "real", { .id = WR_TYPE_FLOAT32 } },     { "double", { .id = WR_TYPE_FLOAT64 } },
    { "text", { .id = WR_TYPE_TEXT } },        { "bytea", { .id = WR_TYPE_BYTES } },
    { "date", { .id = WR_TYPE_DATE } },        { "timestamp", { .id = WR_TYPE_TIMESTAMP } },
    { "json", { .id = WR_TYPE_JSON } },        { "interval", { .id = WR_TYPE_INTERVAL } },
    { "numeric", { .id = WR_TYPE_DECIMAL, .precision = 38, .scale = 6 } },
};

static void read_all(FILE *file, struct wr_buf *into)
{
    size_t got;
    while ((got = fread(wr_buf_reserve(into, 1 << 16), 1, 1 << 16, file)) > 0) {
        into->bytes += got;
    }
}

static struct wr_slice read_schema(const char *path, struct wr_buf *text)
{
    FILE *file = strcmp(path, "-") == 0 ? NULL : fopen(path, "rb");
    if (file != NULL) {
        read_all(file, text);
        fclose(file);
    }
    return (struct wr_slice){ text->data != NULL ? text->data : "", text->bytes };
}

static bool add_column(struct driver *d, const char *spec)
{
    const uint32_t c = d->schema.count++;
    struct wr_field *field = &d->fields[c];
    const char *colon = strrchr(spec, ':');
    if (colon == NULL || c == COLUMNS_MAX) {
        return false;
    }
    d->names[c] = wr_strdup(spec);
    d->names[c][colon - spec] = '\0';
    *field = (struct wr_field){ .name = wr_strdup(d->names[c]), .path = d->paths[c], .declared = c };
    for (char *part = strtok(d->names[c], "."); part != NULL && field->path_count < 8;
         part = strtok(NULL, ".")) {
        d->paths[c][field->path_count++] = part;
    }
    for (uint32_t i = 0; strcmp(colon + 1, "nested") == 0 && i < d->derived.count; i++) {
        if (strcmp(d->derived.fields[i].name, field->name) == 0) {
            field->type = d->derived.fields[i].type;
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i].name, colon + 1) == 0) {
            field->type = types[i].type;
            return true;
        }
    }
    return false;
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
            fprintf(stderr, "binary_driver: %s: a body that is not well formed\n", d->fields[c].name);
            abort();
        }
        wr_text_format_json(out, column->type, value);
    }
    wr_buf_text(out, "}\n");
    fwrite(out->data, 1, out->bytes, stdout);
}

static void decode_all(struct driver *d, struct wr_decoder *decoder, struct wr_batch_pool *pool,
                       bool print)
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

static void measure(struct driver *d, struct wr_decoder *decoder, struct wr_batch_pool *pool,
                    int rounds)
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

/* ---- formats ---- */

/* The columns that the schema gives, or a decoder of the columns that are asked for. The two arguments are the format's. */
struct format {
    const char *name;
    wr_status (*derive)(struct driver *d, struct wr_slice schema, const char *second, struct wr_error *err);
    wr_status (*open)(struct driver *d, struct wr_slice schema, const char *second, struct wr_decoder **decoder,
                      struct wr_error *err);
};

static wr_status derive_avro(struct driver *d, struct wr_slice schema, const char *second, struct wr_error *err)
{
    const struct wr_slice reader = read_schema(second, &d->reader);
    return wr_avro_columns_for(reader.bytes > 0 ? reader : schema, &d->arena, &d->derived, err);
}

static wr_status open_avro(struct driver *d, struct wr_slice schema, const char *second, struct wr_decoder **decoder,
                           struct wr_error *err)
{
    const struct wr_slice reader = { d->reader.data != NULL ? d->reader.data : "", d->reader.bytes };
    return wr_avro_create_for(decoder, &d->schema, schema, reader, err);
}

static wr_status derive_protobuf(struct driver *d, struct wr_slice schema, const char *second, struct wr_error *err)
{
    struct wr_protobuf_schema *parsed = NULL;
    const struct wr_protobuf_message *message = NULL;
    wr_status status = wr_protobuf_schema_of_bytes(&parsed, schema, err);
    if (status == WR_OK) {
        status = wr_protobuf_choose(parsed, second, false, &message, err);
    }
    if (status == WR_OK) {
        d->derived.fields = WR_ARENA_ARRAY(&d->arena, struct wr_field, message->field_count + 1);
        d->derived.count = message->field_count;
    }
    for (uint32_t i = 0; i < d->derived.count; i++) {
        d->derived.fields[i] = wr_schema_field(message->fields[i].name, i, &d->arena);
        d->derived.fields[i].type = wr_protobuf_column_type(message, &message->fields[i]);
    }
    wr_protobuf_schema_destroy(parsed);
    return status;
}

static wr_status open_protobuf(struct driver *d, struct wr_slice schema, const char *second,
                               struct wr_decoder **decoder, struct wr_error *err)
{
    return wr_protobuf_create_for(decoder, &d->schema, schema, second, err);
}

static const struct format formats[] = { { "avro", derive_avro, open_avro },
                                         { "protobuf", derive_protobuf, open_protobuf } };

static int fail(const char *what, const char *more)
{
    fprintf(stderr, "binary_driver: %s%s\n", what, more);
    return 1;
}

static int run(struct driver *d, const struct format *format, int argc, char **argv)
{
    struct wr_decoder *decoder = NULL;
    struct wr_error err = { 0 };
    int rounds = 0;
    const struct wr_slice schema = read_schema(argv[2], &d->text);
    if (format->derive(d, schema, argv[3], &err) != WR_OK) {
        return fail("", err.message);
    }
    d->schema.fields = d->fields;
    for (int i = 4; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0 && i + 1 < argc) {
            rounds = atoi(argv[++i]);
        } else if (!add_column(d, argv[i])) {
            return fail("what is ", argv[i]);
        }
    }
    if (format->open(d, schema, argv[3], &decoder, &err) != WR_OK) {
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
    const struct format *format = NULL;
    for (size_t i = 0; argc > 4 && i < sizeof formats / sizeof formats[0]; i++) {
        format = strcmp(formats[i].name, argv[1]) == 0 ? &formats[i] : format;
    }
    if (format == NULL) {
        return fail("a format, its schema, a reader or message, and columns are needed", "");
    }
    wr_arena_init(&d.arena, 0);
    const int code = run(&d, format, argc, argv);
    for (uint32_t c = 0; c < d.schema.count; c++) {
        free((char *)d.fields[c].name);
        free(d.names[c]);
    }
    free(d.records);
    wr_buf_deinit(&d.input);
    wr_buf_deinit(&d.text);
    wr_buf_deinit(&d.reader);
    wr_arena_deinit(&d.arena);
    return code;
}
