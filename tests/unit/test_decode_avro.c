/* The Avro decoder: schemas, what becomes of values, resolution, and bytes that lie. */
#include "batch/nested.h"
#include "decode/avro.h"
#include "decode/avro_schema.h"
#include "decode_bed.h"

static char paths[16][40];

struct want {
    const char *path;
    struct wr_type type;
    bool not_null;
};

static const struct wr_type text_type = { .id = WR_TYPE_TEXT };
static const struct wr_type document_type = { .id = WR_TYPE_JSON };
static const struct wr_type int64_type = { .id = WR_TYPE_INT64 };
static const struct wr_type int32_type = { .id = WR_TYPE_INT32 };
static const struct wr_type double_type = { .id = WR_TYPE_FLOAT64 };
static const struct wr_type time_type = { .id = WR_TYPE_TIMESTAMP };

static wr_status try_open(struct bed *bed, const char *writer, const char *reader,
                          const struct want *wants, uint32_t count, struct wr_error *err)
{
    memset(bed, 0, sizeof(*bed));
    for (uint32_t i = 0; i < count; i++) {
        strcpy(paths[i], wants[i].path);
        bed_column(bed, paths[i], wants[i].type, wants[i].not_null);
    }
    const wr_status status = wr_avro_create_for(&bed->decoder, &bed->schema, wr_slice_of(writer),
                                                wr_slice_of(reader != NULL ? reader : ""), err);
    if (status == WR_OK) {
        bed->pool = wr_batch_pool_create(&bed->schema, 4, 4);
    }
    return status;
}

static void open_bed(struct bed *bed, const char *writer, const char *reader,
                     const struct want *wants, uint32_t count)
{
    struct wr_error err = { 0 };
    cr_assert_eq(try_open(bed, writer, reader, wants, count, &err), WR_OK, "%s", err.message);
}

#define OPEN(bed, writer, reader, ...)                                                             \
    do {                                                                                           \
        const struct want wants_[] = { __VA_ARGS__ };                                              \
        open_bed((bed), (writer), (reader), wants_, sizeof(wants_) / sizeof(wants_[0]));           \
    } while (0)

#define CHECK(bed, literal, wanted) bed_check((bed), (literal), sizeof(literal) - 1, (wanted))
#define FAULT(bed, literal, field, message)                                                        \
    bed_check_fault((bed), (literal), sizeof(literal) - 1, (field), (message))

#define RECORD(fields) "{\"type\":\"record\",\"name\":\"r\",\"fields\":[" fields "]}"
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"

Test(decode_avro, primitives_and_what_nobody_asked_for)
{
    struct bed bed;
    OPEN(&bed,
         RECORD(FIELD("skipped", "\"string\"") "," FIELD("n", "\"long\"") "," FIELD("d", "\"double\"") ","
                FIELD("also", "{\"type\":\"array\",\"items\":\"int\"}") "," FIELD("s", "\"string\"") ","
                FIELD("b", "\"boolean\"") "," FIELD("f", "\"float\"") "," FIELD("y", "\"bytes\"") ","
                FIELD("i", "\"int\"")),
         NULL, { "n", int64_type }, { "d", double_type }, { "s", text_type }, { "b", { .id = WR_TYPE_BOOL } },
         { "f", { .id = WR_TYPE_FLOAT32 } }, { "y", { .id = WR_TYPE_BYTES } }, { "i", int32_type },
         { "absent", text_type });
    CHECK(&bed, "\x04zz" "\xac\x02" "\0\0\0\0\0\0\xf8\x3f" "\x02\x0e\0" "\x06" "abc" "\x01" "\0\0\x20\x40"
                "\x04\xff\x01" "\x03",
          "150|1.5|abc|true|2.5|\\xff01|-2|NULL");
    /* The same with the array's block told in bytes. */
    CHECK(&bed, "\0" "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" "\0\0\0\0\0\0\xf8\x3f" "\x01\x02\x0e\0"
                "\x1a" "thirteenbytes" "\0" "\0\0\x20\x40" "\0" "\x03",
          "-9223372036854775808|1.5|thirteenbytes|false|2.5|\\x|-2|NULL");
    FAULT(&bed, "\x04zz\xac", "n", "too early");
    FAULT(&bed, "\x04zz\xac\x02\0\0\0\0\0\0\xf8\x3f\x02\x0e\0\x06" "abc\x02", "b", "neither 0 nor 1");
    FAULT(&bed, "\x04zz\xac\x02\0\0\0\0\0\0\xf8\x3f\x02\x0e\0\x02\xff", "s", "UTF-8");
    FAULT(&bed, "\x03", "", "negative");
    FAULT(&bed, "", "", "too early");
    FAULT(&bed, "\0\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02", "n", "64 bits");
    bed_close(&bed);
}

Test(decode_avro, what_is_left_over_is_a_fault)
{
    struct bed bed;
    OPEN(&bed, RECORD(FIELD("a", "\"int\"")), NULL, { "a", int32_type });
    CHECK(&bed, "\x02", "1");
    FAULT(&bed, "\x02\x02", "", "1 bytes are left");
    FAULT(&bed, "\x80\x80\x80\x80\x20", "a", "4294967296 is not a valid INTEGER");
    bed_close(&bed);
}

Test(decode_avro, unions)
{
    struct bed bed;
    OPEN(&bed,
         RECORD(FIELD("a", "[\"null\",\"long\"]") "," FIELD("b", "[\"string\",\"null\"]") ","
                FIELD("c", "[\"null\",\"string\",\"long\",{\"type\":\"array\",\"items\":\"long\"}]") ","
                FIELD("unused", "[\"null\",\"long\"]")),
         NULL, { "a", int64_type }, { "b", text_type, true }, { "c", text_type });
    CHECK(&bed, "\x02\x0a" "\0\x02x" "\0" "\0", "5|x|NULL");
    CHECK(&bed, "\0" "\0\x02x" "\x02\x04yy" "\x02\x02", "NULL|x|yy");
    CHECK(&bed, "\0" "\0\x02x" "\x04\x0e" "\x02\x02", "NULL|x|7");
    CHECK(&bed, "\0" "\0\x02x" "\x06\x02\x0e\0" "\x02\x02", "NULL|x|[7]");
    FAULT(&bed, "\0\x02", "b", "NOT NULL");
    FAULT(&bed, "\x04", "a", "index");
    FAULT(&bed, "\x01", "a", "index");
    FAULT(&bed, "\0\0\x02x\x08", "", "index");
    bed_close(&bed);
}

Test(decode_avro, a_branch_that_fits_no_column_is_a_fault_of_its_records_alone)
{
    struct bed bed;
    struct wr_error err;
    OPEN(&bed, RECORD(FIELD("a", "[\"long\",\"boolean\"]")), NULL, { "a", int64_type });
    CHECK(&bed, "\0\x0a", "5");
    FAULT(&bed, "\x02\x01", "a", "boolean here, which cannot become BIGINT");
    bed_close(&bed);
    const struct want wants[] = { { "a", int64_type } };
    cr_assert_eq(try_open(&bed, RECORD(FIELD("a", "[\"null\",\"boolean\"]")), NULL, wants, 1, &err), WR_FAIL);
    cr_assert(strstr(err.message, "column \"a\"") != NULL, "%s", err.message);
    cr_assert_eq(err.cls, WR_CLASS_USER);
}

Test(decode_avro, logical_types)
{
    struct bed bed;
    OPEN(&bed,
         RECORD(FIELD("d", "{\"type\":\"int\",\"logicalType\":\"date\"}") ","
                FIELD("t", "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}") ","
                FIELD("u", "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}") ","
                FIELD("l", "{\"type\":\"long\",\"logicalType\":\"local-timestamp-nanos\"}") ","
                FIELD("m", "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":10,\"scale\":2}") ","
                FIELD("h", "{\"type\":\"int\",\"logicalType\":\"time-millis\"}") ","
                FIELD("id", "{\"type\":\"fixed\",\"name\":\"f\",\"size\":16,\"logicalType\":\"uuid\"}") ","
                FIELD("w", "{\"type\":\"fixed\",\"name\":\"g\",\"size\":12,\"logicalType\":\"duration\"}")),
         NULL, { "d", { .id = WR_TYPE_DATE } }, { "t", time_type }, { "u", text_type }, { "l", time_type },
         { "m", { .id = WR_TYPE_DECIMAL, .precision = 12, .scale = 3 } }, { "h", text_type },
         { "id", text_type }, { "w", { .id = WR_TYPE_INTERVAL } });
    CHECK(&bed, "\xb2\xb7\x02" "\xd0\x0f" "\x02" "\x01" "\x04\xff\x85" "\x80\xbb\xae\x02"
                "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef" "\x01\0\0\0\x02\0\0\0\xe8\x03\0\0",
          "2024-07-25|1970-01-01T00:00:01Z|1970-01-01T00:00:00.000001Z|1969-12-31T23:59:59.999999Z|-1.230|"
          "00:41:17.760|01234567-89ab-cdef-0123-456789abcdef|1 mon 2 days 00:00:01");
    bed_close(&bed);
}

Test(decode_avro, nested_records_by_path_and_as_json)
{
    struct bed bed;
    OPEN(&bed,
         RECORD(FIELD("p", "[\"null\",{\"type\":\"record\",\"name\":\"q\",\"fields\":[" FIELD("x", "\"int\"") ","
                      FIELD("z", "{\"type\":\"map\",\"values\":\"double\"}") "]}]") ","
                FIELD("again", "[\"null\",\"q\"]")),
         NULL, { "p.x", int64_type }, { "p", document_type }, { "again.x", int32_type }, { "p.z", text_type },
         { "P.X", text_type });
    CHECK(&bed, "\x02\x06\x02\x04k\"\0\0\0\0\0\0\xf0\x3f\0" "\x02\x08\0",
          "3|{\"x\":3,\"z\":{\"k\\\"\":1}}|4|{\"k\\\"\":1}|3");
    CHECK(&bed, "\0\0", "NULL|NULL|NULL|NULL|NULL");
    bed_close(&bed);
}

Test(decode_avro, paths_lead_through_maps)
{
    struct bed bed;
    OPEN(&bed,
         RECORD(FIELD("m", "{\"type\":\"map\",\"values\":[\"null\",{\"type\":\"record\",\"name\":\"v\",\"fields\":["
                      FIELD("x", "\"int\"") "," FIELD("in", "{\"type\":\"map\",\"values\":\"long\"}") "]}]}") ","
                FIELD("n", "\"int\"")),
         NULL, { "m.a.x", int64_type }, { "m", text_type }, { "m.b.x", int32_type }, { "n", int32_type },
         { "m.a.in.k", int64_type });
    CHECK(&bed, "\x06\x02" "c" "\0" "\x02" "b" "\x02\x06\0" "\x02" "a" "\x02\x08\x02\x02k\x0e\0" "\0" "\x02",
          "4|{\"c\":null,\"b\":{\"x\":3,\"in\":{}},\"a\":{\"x\":4,\"in\":{\"k\":7}}}|3|1|7");
    /* In two blocks, one of them told in bytes; a key that is null. */
    CHECK(&bed, "\x01\x06\x02" "b" "\0" "\x02\x02" "d" "\x02\x08\0" "\0" "\x02",
          "NULL|{\"b\":null,\"d\":{\"x\":4,\"in\":{}}}|NULL|1|NULL");
    CHECK(&bed, "\0\x02", "NULL|{}|NULL|1|NULL");
    FAULT(&bed, "\x02\x02" "a" "\x02", "m", "too early");
    bed_close(&bed);
}

Test(decode_avro, resolution)
{
    struct bed bed;
    OPEN(&bed,
         RECORD(FIELD("old", "\"int\"") "," FIELD("when", "\"long\"") "," FIELD("color",
                "{\"type\":\"enum\",\"name\":\"c\",\"symbols\":[\"RED\",\"PUCE\"]}")),
         RECORD("{\"name\":\"fresh\",\"aliases\":[\"x\",\"old\"],\"type\":\"long\"},"
                "{\"name\":\"when\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}},"
                "{\"name\":\"color\",\"type\":{\"type\":\"enum\",\"name\":\"c\",\"symbols\":[\"RED\",\"OTHER\"],"
                "\"default\":\"OTHER\"}},"
                "{\"name\":\"n\",\"type\":\"double\",\"default\":1.5},"
                "{\"name\":\"s\",\"type\":[\"null\",\"string\"],\"default\":null},"
                "{\"name\":\"t\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"},\"default\":1000},"
                "{\"name\":\"in\",\"type\":{\"type\":\"record\",\"name\":\"i\",\"fields\":["
                "{\"name\":\"deep\",\"type\":\"string\",\"default\":\"inner\"}]},\"default\":{}}"),
         { "fresh", int64_type, true }, { "when", time_type }, { "color", text_type }, { "n", double_type, true },
         { "s", text_type }, { "t", time_type }, { "in.deep", text_type }, { "unknown", text_type });
    CHECK(&bed, "\x02\x02\x02", "1|1970-01-01T00:00:00.000001Z|OTHER|1.5|NULL|1970-01-01T00:00:01Z|inner|NULL");
    CHECK(&bed, "\x02\x02\0", "1|1970-01-01T00:00:00.000001Z|RED|1.5|NULL|1970-01-01T00:00:01Z|inner|NULL");
    bed_close(&bed);
    struct wr_error err;
    const struct want wants[] = { { "b", int64_type, true } };
    cr_assert_eq(try_open(&bed, RECORD(FIELD("a", "\"int\"")), NULL, wants, 1, &err), WR_FAIL);
    cr_assert(strstr(err.message, "NOT NULL") != NULL, "%s", err.message);
}

Test(decode_avro, numbers_and_texts_become_what_the_column_is)
{
    struct bed bed;
    OPEN(&bed, RECORD(FIELD("n", "\"long\"") "," FIELD("s", "\"string\"") "," FIELD("d", "\"double\"")), NULL,
         { "n", { .id = WR_TYPE_DECIMAL, .precision = 5, .scale = 2 } }, { "s", { .id = WR_TYPE_UINT16 } },
         { "d", int32_type });
    CHECK(&bed, "\x02\x06" "123" "\0\0\0\0\0\0\x08\x40", "1.00|123|3");
    FAULT(&bed, "\xd0\x0f\x06" "123" "\0\0\0\0\0\0\x08\x40", "n", "1000 is not a valid NUMERIC(5,2)");
    FAULT(&bed, "\x02\x06" "x23" "\0\0\0\0\0\0\x08\x40", "s", "\"x23\" is not a valid SMALLINT UNSIGNED");
    FAULT(&bed, "\x02\x06" "123" "\0\0\0\0\0\0\x0c\x40", "d", "3.5 is not a valid INTEGER");
    bed_close(&bed);
}

Test(decode_avro, lies_about_sizes_cost_little)
{
    struct bed bed;
    OPEN(&bed,
         RECORD(FIELD("a", "{\"type\":\"array\",\"items\":\"null\"}") "," FIELD("n", "\"int\"") ","
                FIELD("l", "{\"type\":\"record\",\"name\":\"l\",\"fields\":[{\"name\":\"next\",\"type\":[\"null\",\"l\"]}]}")),
         NULL, { "a", document_type }, { "l", document_type });
    CHECK(&bed, "\x04\0" "\x02" "\x02\0", "[null,null]|{\"next\":{\"next\":null}}");
    FAULT(&bed, "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\x02\0", "a", "too many values");
    FAULT(&bed, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x02\0", "a", "block");
    char deep[400];
    memset(deep, 2, sizeof deep);
    deep[0] = 0;
    bed_check_fault(&bed, deep, sizeof deep, "l", "too deep");
    bed_close(&bed);
}

static void check_schema(const char *text, const char *wrong)
{
    struct wr_avro_schema *schema = NULL;
    struct wr_error err = { 0 };
    const struct wr_slice slice = wr_slice_of(text);
    const wr_status status = wr_avro_schema_parse(&schema, &slice, 1, &err);
    cr_assert_eq(status, wrong == NULL ? WR_OK : WR_FAIL, "%s: %s", text, err.message);
    cr_assert(wrong == NULL || strstr(err.message, wrong) != NULL, "%s: %s", text, err.message);
    wr_avro_schema_destroy(schema);
}

Test(decode_avro, schemas_that_are_none)
{
    check_schema("{\"type\":{\"type\":\"string\"}}", NULL);
    check_schema("{\"type\":\"error\",\"name\":\"a.b\",\"fields\":[" FIELD("x", "\"a.b\"") "]}", NULL);
    check_schema(RECORD(FIELD("x", "\"r\"")), NULL);
    check_schema("", "line");
    check_schema("{\"type\":\"record\"", "line");
    check_schema("7", "a type is");
    check_schema("\"strnig\"", "no type \"strnig\"");
    check_schema("{\"type\":\"record\",\"name\":\"r\"}", "no fields");
    check_schema("{\"type\":\"record\",\"fields\":[]}", "no name");
    check_schema("{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[]}", "no symbols");
    check_schema("{\"type\":\"fixed\",\"name\":\"e\",\"size\":-1}", "no size");
    check_schema("[]", "no branches");
    check_schema("[[\"null\"]]", "union");
    check_schema(RECORD(FIELD("x", "{\"type\":\"fixed\",\"name\":\"r\",\"size\":1}")), "twice");
    char deep[600] = "";
    for (uint32_t i = 0; i < 100; i++) {
        strcat(deep, "[[[[[");
    }
    check_schema(deep, "line");
    struct wr_buf nested = { 0 };
    for (uint32_t i = 0; i < 100; i++) {
        wr_buf_text(&nested, "{\"type\":\"array\",\"items\":");
    }
    wr_buf_text(&nested, "\"int\"");
    for (uint32_t i = 0; i < 100; i++) {
        wr_buf_text(&nested, "}");
    }
    check_schema(wr_buf_cstr(&nested), "deeper");
    wr_buf_deinit(&nested);
}

/* ---- nested columns ---- */

static struct wr_type struct_of(const struct wr_nested_field *fields, uint32_t count)
{
    struct wr_type type;
    cr_assert_eq(wr_nested_struct(fields, count, &type, NULL), WR_OK);
    return type;
}

static struct wr_type array_of(struct wr_type element)
{
    struct wr_type type;
    cr_assert_eq(wr_nested_array(element, &type, NULL), WR_OK);
    return type;
}

static struct wr_type map_of(struct wr_type key, struct wr_type value)
{
    struct wr_type type;
    cr_assert_eq(wr_nested_map(key, value, &type, NULL), WR_OK);
    return type;
}

#define ITEM                                                                                       \
    "{\"type\":\"record\",\"name\":\"item\",\"fields\":[" FIELD("n", "\"int\"") "," FIELD("s", "[\"null\",\"string\"]") "]}"

Test(decode_avro, records_arrays_and_maps_become_nested_values)
{
    struct bed bed;
    const struct wr_nested_field in_order[] = { { "n", int64_type }, { "gone", double_type }, { "s", text_type } };
    const struct wr_nested_field turned[] = { { "s", text_type }, { "n", text_type } };
    OPEN(&bed, RECORD(FIELD("a", "{\"type\":\"array\",\"items\":" ITEM "}") "," FIELD("m", "[\"null\",{\"type\":\"map\",\"values\":\"long\"}]") ","
                      FIELD("e", "{\"type\":\"array\",\"items\":{\"type\":\"enum\",\"name\":\"c\",\"symbols\":[\"RED\",\"BLUE\"]}}")),
         NULL, { "a", array_of(struct_of(in_order, 3)) }, { "a", array_of(struct_of(turned, 2)) }, { "m", map_of(text_type, int64_type) },
         { "m", map_of(int32_type, time_type) }, { "e", array_of(text_type) });
    CHECK(&bed, "\x04\x02\x02\x02x\x04\0\0" "\x02\x02\x02" "7\xd0\x0f\0" "\x02\x02\x01\x02\0\0",
          "[{\"n\":1,\"gone\":null,\"s\":\"x\"},{\"n\":2,\"gone\":null,\"s\":null}]|[{\"s\":\"x\",\"n\":\"1\"},{\"s\":null,\"n\":\"2\"}]|"
          "{\"7\":1000}|{\"7\":\"1970-01-01T00:00:01Z\"}|[\"BLUE\",\"RED\"]");
    CHECK(&bed, "\0" "\x02\x04\x02" "7\x02\x02" "7\x04\0" "\0",
          "[]|[]|{\"7\":2}|{\"7\":\"1970-01-01T00:00:00.002Z\"}|[]");
    CHECK(&bed, "\0" "\0" "\0", "[]|[]|NULL|NULL|[]");
    FAULT(&bed, "\x04\x02\x02\x02x\x04\x02\x02\xff\0" "\0" "\0", "a[1].s", "not UTF-8");
    FAULT(&bed, "\0" "\x02\x02\x02" "x\x02\0" "\0", "m['x']", "a map's key is not a valid INTEGER");
    FAULT(&bed, "\0" "\0" "\x02\x08\0", "e[0]", "an enum's index is out of range");
    FAULT(&bed, "\x02\x02\x04", "a[0].s", "a union's index is out of range");
    bed_close(&bed);
}

Test(decode_avro, resolution_goes_on_within_nested_values)
{
    struct bed bed;
    const struct wr_nested_field inner[] = { { "fresh", int64_type }, { "when", time_type }, { "tags", array_of(text_type) },
                                             { "d", double_type }, { "color", text_type } };
    OPEN(&bed,
         RECORD(FIELD("in", "{\"type\":\"record\",\"name\":\"i\",\"fields\":[" FIELD("old", "\"int\"") "," FIELD("extra", "\"string\"") ","
                FIELD("color", "{\"type\":\"enum\",\"name\":\"c\",\"symbols\":[\"RED\",\"PUCE\"]}") "," FIELD("when", "\"long\"") "]}")),
         RECORD("{\"name\":\"in\",\"type\":{\"type\":\"record\",\"name\":\"i\",\"fields\":["
                "{\"name\":\"fresh\",\"aliases\":[\"old\"],\"type\":\"long\"},"
                "{\"name\":\"when\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}},"
                "{\"name\":\"tags\",\"type\":{\"type\":\"array\",\"items\":\"string\"},\"default\":[\"a\",\"b\"]},"
                "{\"name\":\"d\",\"type\":\"double\",\"default\":0.5},"
                "{\"name\":\"color\",\"type\":{\"type\":\"enum\",\"name\":\"c\",\"symbols\":[\"RED\",\"OTHER\"],\"default\":\"OTHER\"}}]}},"
                "{\"name\":\"m\",\"type\":{\"type\":\"map\",\"values\":\"i\"},\"default\":{\"k\":{\"fresh\":9,\"color\":\"RED\",\"when\":1}}}"),
         { "in", struct_of(inner, 5) }, { "m", map_of(text_type, struct_of(inner, 2)) });
    CHECK(&bed, "\x02\x02x\x02\x04", "{\"fresh\":1,\"when\":\"1970-01-01T00:00:00.000002Z\",\"tags\":[\"a\",\"b\"],\"d\":0.5,\"color\":\"OTHER\"}|"
          "{\"k\":{\"fresh\":9,\"when\":\"1970-01-01T00:00:00.000001Z\"}}");
    bed_close(&bed);
}

Test(decode_avro, unions_in_nested_values_refuse_only_what_does_not_fit)
{
    struct bed bed;
    struct wr_error err;
    OPEN(&bed, RECORD(FIELD("a", "{\"type\":\"array\",\"items\":[\"null\",\"long\",\"double\",{\"type\":\"array\",\"items\":\"int\"}]}")), NULL,
         { "a", array_of(int64_type) }, { "a", array_of(document_type) });
    CHECK(&bed, "\x06\0\x02\x06\x04\0\0\0\0\0\0\x08\x40\0", "[null,3,3]|[null,3,3]");
    FAULT(&bed, "\x04\0\x06\0\0", "a[1]", "array here, which cannot become BIGINT");
    bed_close(&bed);
    const struct wr_nested_field fields[] = { { "x", array_of(int64_type) } };
    const struct want wants[] = { { "r", struct_of(fields, 1) } };
    cr_assert_eq(try_open(&bed, RECORD(FIELD("r", "{\"type\":\"record\",\"name\":\"q\",\"fields\":[" FIELD("x", "\"long\"") "]}")),
                          NULL, wants, 1, &err), WR_FAIL);
    cr_assert(strstr(err.message, "field \"x\": the schema has long here, which cannot become BIGINT[]") != NULL, "%s", err.message);
}

Test(decode_avro, nested_lies_about_sizes_cost_little)
{
    struct bed bed;
    OPEN(&bed, RECORD(FIELD("a", "{\"type\":\"array\",\"items\":\"null\"}")), NULL, { "a", array_of(array_of(text_type)) });
    FAULT(&bed, "\xfe\xff\xff\xff\xff\xff\xff\xff\x7f\0", "a[100159]", "too many values");
    bed_close(&bed);
}

Test(decode_avro, columns_left_out_are_nested_types)
{
    struct wr_arena arena;
    struct wr_schema columns = { 0 };
    struct wr_error err = { 0 };
    char name[200];
    wr_arena_init(&arena, 0);
    const char *schema =
        RECORD(FIELD("id", "\"int\"") "," FIELD("items", "[\"null\",{\"type\":\"array\",\"items\":" ITEM "}]") ","
               FIELD("m", "{\"type\":\"map\",\"values\":{\"type\":\"array\",\"items\":\"item\"}}") ","
               FIELD("self", "{\"type\":\"record\",\"name\":\"node\",\"fields\":[" FIELD("next", "[\"null\",\"node\"]") "," FIELD("B c", "\"double\"") "]}") ","
               FIELD("u", "[\"null\",\"string\",\"long\"]"));
    cr_assert_eq(wr_avro_columns_for(wr_slice_of(schema), &arena, &columns, &err), WR_OK, "%s", err.message);
    const char *const wanted[] = { "INTEGER", "STRUCT<n INTEGER, s TEXT>[]", "MAP<TEXT, STRUCT<n INTEGER, s TEXT>[]>",
                                   "STRUCT<next JSON, \"B c\" DOUBLE PRECISION>", "JSON" };
    cr_assert_eq(columns.count, 5);
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_str_eq(wr_type_name(columns.fields[i].type, name, sizeof name), wanted[i]);
    }
    wr_arena_deinit(&arena);
}
