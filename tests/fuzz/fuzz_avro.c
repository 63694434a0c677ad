/* The Avro decoder over any bytes. The first byte says how: with a fixed schema that has every kind of type, twice (the
 * columns one by one, and the records within as JSON), the rest is records cut at newlines; or the rest up to a newline is a
 * schema's text, whose columns are then asked of the records behind it. */
#include "batch/nested.h"
#include "decode/avro.h"
#include "fuzz_bed.h"

static const char schema[] =
    "{\"type\":\"record\",\"name\":\"r\",\"fields\":["
    "{\"name\":\"a\",\"type\":\"long\"},"
    "{\"name\":\"b\",\"type\":[\"null\",\"string\"]},"
    "{\"name\":\"c\",\"type\":{\"type\":\"record\",\"name\":\"n\",\"fields\":["
    "{\"name\":\"d\",\"type\":\"double\"},{\"name\":\"e\",\"type\":[\"null\",\"n\"]},"
    "{\"name\":\"f\",\"type\":{\"type\":\"map\",\"values\":\"float\"}}]}},"
    "{\"name\":\"g\",\"type\":{\"type\":\"array\",\"items\":[\"null\",\"int\",\"n\"]}},"
    "{\"name\":\"h\",\"type\":{\"type\":\"enum\",\"name\":\"s\",\"symbols\":[\"X\",\"Y\"]}},"
    "{\"name\":\"i\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":20,\"scale\":3}},"
    "{\"name\":\"j\",\"type\":{\"type\":\"fixed\",\"name\":\"u\",\"size\":16,\"logicalType\":\"uuid\"}},"
    "{\"name\":\"k\",\"type\":[\"long\",\"boolean\",\"string\"]},"
    "{\"name\":\"l\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}},"
    "{\"name\":\"m\",\"type\":\"bytes\"},"
    "{\"name\":\"o\",\"type\":{\"type\":\"int\",\"logicalType\":\"time-millis\"}}]}";

static const struct fuzz_column columns[] = {
    { { "a" }, 1, { .id = WR_TYPE_INT64 } },      { { "b" }, 1, { .id = WR_TYPE_TEXT } },
    { { "c", "d" }, 2, { .id = WR_TYPE_FLOAT64 } }, { { "c" }, 1, { .id = WR_TYPE_JSON } },
    { { "c", "e", "d" }, 3, { .id = WR_TYPE_FLOAT32 } }, { { "g" }, 1, { .id = WR_TYPE_TEXT } },
    { { "h" }, 1, { .id = WR_TYPE_TEXT } },       { { "i" }, 1, { .id = WR_TYPE_DECIMAL, .precision = 22, .scale = 1 } },
    { { "j" }, 1, { .id = WR_TYPE_TEXT } },       { { "k" }, 1, { .id = WR_TYPE_TEXT } },
    { { "l" }, 1, { .id = WR_TYPE_TIMESTAMP } },  { { "m" }, 1, { .id = WR_TYPE_TEXT } },
    { { "o" }, 1, { .id = WR_TYPE_INTERVAL } },   { { "missing" }, 1, { .id = WR_TYPE_TEXT } },
    { { "c", "f", "k" }, 3, { .id = WR_TYPE_FLOAT32 } },
};

/* Of the fixed schema: c and g once more, as nested values. */
static uint32_t add_nested(struct fuzz_bed *bed, uint32_t count)
{
    static const char *const paths[] = { "g" };
    struct wr_type floats, record, items;
    wr_assert(wr_nested_map(wr_type_of(WR_TYPE_TEXT), wr_type_of(WR_TYPE_FLOAT64), &floats, NULL) == WR_OK);
    const struct wr_nested_field fields[] = { { "f", floats }, { "none", wr_type_of(WR_TYPE_TEXT) }, { "d", wr_type_of(WR_TYPE_TEXT) } };
    wr_assert(wr_nested_struct(fields, 3, &record, NULL) == WR_OK);
    wr_assert(wr_nested_array(record, &items, NULL) == WR_OK);
    bed->fields[count] = (struct wr_field){ .name = "g", .path = paths, .path_count = 1, .declared = count, .type = items };
    return count + 1;
}

static void check_bodies(const struct fuzz_bed *bed)
{
    for (uint32_t c = 0; c < bed->schema.count; c++) {
        const struct wr_view *views = bed->batch->columns[c].values;
        for (uint32_t i = 0; wr_type_is_nested(bed->schema.fields[c].type) && i < wr_batch_live(bed->batch); i++) {
            const uint32_t row = wr_batch_row(bed->batch, i);
            wr_assert(wr_column_is_null(&bed->batch->columns[c], row) ||
                      wr_nested_check(bed->schema.fields[c].type, wr_view_slice(&views[row])));
        }
    }
}

static bool open_bed(struct fuzz_bed *bed, struct wr_slice text, uint32_t count, bool nested)
{
    for (uint32_t c = 0; c < count; c++) {
        bed->fields[c] = (struct wr_field){ .name = columns[c].path[0],
                                            .path = columns[c].path,
                                            .path_count = columns[c].path_count,
                                            .declared = c,
                                            .type = columns[c].type };
    }
    count = nested ? add_nested(bed, count) : count;
    bed->schema = (struct wr_schema){ bed->fields, count };
    const struct wr_slice none = { "", 0 };
    if (wr_avro_create_for(&bed->decoder, &bed->schema, text, none, NULL) != WR_OK) {
        return false;
    }
    bed->pool = wr_batch_pool_create(&bed->schema, FUZZ_ROWS, 2);
    bed->records.items = bed->items;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_bed bed = { 0 };
    struct wr_slice text = WR_SLICE_LITERAL(schema);
    uint32_t count = sizeof(columns) / sizeof(columns[0]);
    if (bytes == 0) {
        return 0;
    }
    const bool own = data[0] == '{';
    if (own) {
        const uint8_t *end = memchr(data, '\n', bytes);
        const size_t length = end != NULL ? (size_t)(end - data) : bytes;
        text = (struct wr_slice){ (const char *)data, length };
        data += length;
        bytes -= length;
        count = 6;
    }
    if (!open_bed(&bed, text, count, !own)) {
        wr_assert(own);
        return 0;
    }
    if (bytes > 0) {
        fuzz_cut(&bed, data + 1, bytes - 1, '\n');
    }
    fuzz_decode(&bed);
    check_bodies(&bed);
    fuzz_done(&bed);
    fuzz_close(&bed);
    return 0;
}
