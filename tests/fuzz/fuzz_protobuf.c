/* The Protobuf decoder over any bytes. A first byte of 'p', 's' or another says how: the rest is .proto text, a descriptor set, both
 * only parsed and, where they are a schema, asked for columns of its first message; or records cut at newlines, of a fixed
 * schema with every kind of type, as columns of their own types, as JSON and by path. Nested values must be well formed. */
#include "batch/nested.h"
#include "decode/protobuf.h"
#include "decode/protobuf_internal.h"
#include "fuzz_bed.h"

static const char schema[] =
    "syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\"; import \"google/protobuf/struct.proto\";"
    "import \"google/protobuf/wrappers.proto\"; import \"google/protobuf/duration.proto\";"
    "message M { int64 a = 1; optional string b = 2; In c = 3; repeated sint32 d = 4; map<string, In> e = 5;"
    "  oneof k { double f = 6; In g = 7; bool h = 8; } E i = 9; google.protobuf.Timestamp j = 10; google.protobuf.Value l = 11;"
    "  repeated In m = 12; google.protobuf.StringValue n = 13; google.protobuf.Duration o = 14; bytes q = 2000; map<int32, float> r = 16;"
    "  message In { int32 x = 1; M y = 2; repeated fixed32 z = 3; oneof w { string s = 4; bytes t = 5; } } enum E { A = 0; B = 1; } }";

/* Without a type: the schema's. */
static const struct fuzz_column columns[] = {
    { { "a" }, 1, { .id = WR_TYPE_INT32 } },  { { "b" }, 1, { .id = WR_TYPE_TEXT } },
    { { "c", "x" }, 2, { .id = WR_TYPE_INT64 } }, { { "c" }, 1, { 0 } },
    { { "d" }, 1, { 0 } },                    { { "e" }, 1, { 0 } },
    { { "f" }, 1, { .id = WR_TYPE_FLOAT32 } }, { { "g", "y", "a" }, 3, { .id = WR_TYPE_TEXT } },
    { { "i" }, 1, { .id = WR_TYPE_TEXT } },   { { "j" }, 1, { .id = WR_TYPE_TIMESTAMP } },
    { { "l" }, 1, { .id = WR_TYPE_JSON } },   { { "m" }, 1, { 0 } },
    { { "n" }, 1, { .id = WR_TYPE_TEXT } },   { { "o" }, 1, { .id = WR_TYPE_INTERVAL } },
    { { "q" }, 1, { .id = WR_TYPE_TEXT } },   { { "r" }, 1, { .id = WR_TYPE_JSON } },
};

static void open_fixed(struct fuzz_bed *bed)
{
    struct wr_protobuf_schema *parsed = NULL;
    const struct wr_slice text = WR_SLICE_LITERAL(schema);
    wr_assert(wr_protobuf_schema_of_bytes(&parsed, text, NULL) == WR_OK);
    const struct wr_protobuf_message *m = parsed->files->messages[0];
    bed->schema = (struct wr_schema){ bed->fields, sizeof columns / sizeof columns[0] };
    for (uint32_t c = 0; c < bed->schema.count; c++) {
        const struct wr_type own = wr_protobuf_column_type(m, wr_protobuf_field_named(m, columns[c].path[0]));
        bed->fields[c] = (struct wr_field){ .name = columns[c].path[0],
                                            .path = columns[c].path,
                                            .path_count = columns[c].path_count,
                                            .declared = c,
                                            .type = columns[c].type.id == 0 ? own : columns[c].type };
    }
    wr_protobuf_schema_destroy(parsed);
    wr_assert(wr_protobuf_create_for(&bed->decoder, &bed->schema, text, NULL, NULL) == WR_OK);
}

/* Columns of the types that the schema gives: it must be able to fill them. */
static void open_own(struct fuzz_bed *bed, const struct wr_protobuf_message *m, struct wr_slice text)
{
    for (uint32_t i = 0; i < m->field_count && i < FUZZ_COLUMNS_MAX; i++) {
        static const char *names[FUZZ_COLUMNS_MAX];
        names[i] = m->fields[i].name;
        bed->fields[i] = (struct wr_field){ .name = names[i], .path = &names[i], .path_count = 1, .declared = i };
        bed->fields[i].type = wr_protobuf_column_type(m, &m->fields[i]);
        bed->schema.count = i + 1;
    }
    bed->schema.fields = bed->fields;
    wr_assert(wr_protobuf_create_for(&bed->decoder, &bed->schema, text, m->name, NULL) == WR_OK);
}

static void check_nested(const struct fuzz_bed *bed)
{
    for (uint32_t c = 0; c < bed->schema.count; c++) {
        const struct wr_column *column = &bed->batch->columns[c];
        for (uint32_t i = 0; wr_type_is_nested(column->type) && i < wr_batch_live(bed->batch); i++) {
            const uint32_t row = wr_batch_row(bed->batch, i);
            wr_assert(wr_column_is_null(column, row) ||
                      wr_nested_check(column->type, wr_view_slice(&((const struct wr_view *)column->values)[row])));
        }
    }
}

static void decode(struct fuzz_bed *bed, const uint8_t *data, size_t bytes)
{
    bed->pool = wr_batch_pool_create(&bed->schema, FUZZ_ROWS, 2);
    bed->records.items = bed->items;
    fuzz_cut(bed, data, bytes, '\n');
    fuzz_decode(bed);
    check_nested(bed);
    fuzz_done(bed);
    fuzz_close(bed);
}

/* A schema, and behind a line with a dot alone records of its first message. */
static void parse(const uint8_t *data, size_t bytes, bool text)
{
    struct fuzz_bed bed = { 0 };
    struct wr_protobuf_schema *parsed = wr_protobuf_schema_create();
    const uint8_t *mark = memmem(data, bytes, "\n.\n", 3);
    const size_t length = mark != NULL ? (size_t)(mark - data) : bytes;
    const struct wr_slice slice = { (const char *)data, length };
    const wr_status added = text ? wr_protobuf_add_text(parsed, "", slice, NULL)
                                 : wr_protobuf_add_set(parsed, slice, NULL);
    const wr_status linked = added == WR_OK ? wr_protobuf_link(parsed, NULL) : WR_FAIL;
    if (linked == WR_OK && text && parsed->files->message_count > 0 && parsed->files->messages[0]->field_count > 0) {
        open_own(&bed, parsed->files->messages[0], slice);
        decode(&bed, mark != NULL ? mark + 3 : data, mark != NULL ? bytes - length - 3 : 0);
    }
    wr_protobuf_schema_destroy(parsed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_bed bed = { 0 };
    if (bytes == 0) {
        return 0;
    }
    if (data[0] == 'p' || data[0] == 's') {
        parse(data + 1, bytes - 1, data[0] == 'p');
        return 0;
    }
    open_fixed(&bed);
    decode(&bed, data + 1, bytes - 1);
    return 0;
}
