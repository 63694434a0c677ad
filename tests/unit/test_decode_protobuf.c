/* The Protobuf decoder: .proto text and descriptors, what becomes of values, absence, oneofs, evolution, and bytes that lie. */
#include "base/proto_wire.h"
#include "batch/nested.h"
#include "decode/protobuf.h"
#include "decode/protobuf_internal.h"
#include "decode_bed.h"

static char paths[16][40];

struct want {
    const char *path;
    struct wr_type type;
    bool not_null;
};

static const struct wr_type text_type = { .id = WR_TYPE_TEXT };
static const struct wr_type json_type = { .id = WR_TYPE_JSON };
static const struct wr_type int64_type = { .id = WR_TYPE_INT64 };
static const struct wr_type int32_type = { .id = WR_TYPE_INT32 };
static const struct wr_type double_type = { .id = WR_TYPE_FLOAT64 };
static const struct wr_type time_type = { .id = WR_TYPE_TIMESTAMP };

static wr_status try_open(struct bed *bed, struct wr_slice schema, const struct want *wants, uint32_t count,
                          struct wr_error *err)
{
    memset(bed, 0, sizeof(*bed));
    for (uint32_t i = 0; i < count; i++) {
        strcpy(paths[i], wants[i].path);
        bed_column(bed, paths[i], wants[i].type, wants[i].not_null);
    }
    const wr_status status = wr_protobuf_create_for(&bed->decoder, &bed->schema, schema, NULL, err);
    if (status == WR_OK) {
        bed->pool = wr_batch_pool_create(&bed->schema, 4, 4);
    }
    return status;
}

static void open_bed(struct bed *bed, const char *schema, const struct want *wants, uint32_t count)
{
    struct wr_error err = { 0 };
    cr_assert_eq(try_open(bed, wr_slice_of(schema), wants, count, &err), WR_OK, "%s", err.message);
}

#define OPEN(bed, schema, ...)                                                                     \
    do {                                                                                           \
        const struct want wants_[] = { __VA_ARGS__ };                                              \
        open_bed((bed), (schema), wants_, sizeof(wants_) / sizeof(wants_[0]));                     \
    } while (0)

#define CHECK(bed, literal, wanted) bed_check((bed), (literal), sizeof(literal) - 1, (wanted))
#define FAULT(bed, literal, field, message)                                                        \
    bed_check_fault((bed), (literal), sizeof(literal) - 1, (field), (message))

#define PROTO3(body) "syntax = \"proto3\"; " body

Test(decode_protobuf, scalars_absent_and_there)
{
    struct bed bed;
    OPEN(&bed,
         PROTO3("message M { int64 a = 1; sint32 b = 2; double c = 3; float d = 4; bool e = 5; string f = 6; bytes g = 7;"
                "fixed32 h = 8; sfixed64 i = 9; E j = 10; optional int32 k = 11; uint64 l = 12; enum E { X = 0; Y = 5; } }"),
         { "a", int64_type }, { "b", int32_type }, { "c", double_type }, { "d", double_type }, { "e", { .id = WR_TYPE_BOOL } },
         { "f", text_type }, { "g", { .id = WR_TYPE_BYTES } }, { "h", int64_type }, { "i", int64_type }, { "j", text_type },
         { "k", int32_type }, { "l", { .id = WR_TYPE_UINT64 } });
    CHECK(&bed, "", "0|0|0|0|false||\\x|0|0|X|NULL|0");
    CHECK(&bed, "\x08\x96\x01" "\x10\x03" "\x19\0\0\0\0\0\0\xf8\x3f" "\x25\0\0\x20\x40" "\x28\x01" "\x32\x03" "abc"
                "\x3a\x02\xff\x01" "\x45\xff\xff\xff\xff" "\x49\xff\xff\xff\xff\xff\xff\xff\xff" "\x50\x05" "\x58\0"
                "\x60\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
          "150|-2|1.5|2.5|true|abc|\\xff01|4294967295|-1|Y|0|18446744073709551615");
    /* The last one wins; unknown fields and groups are stepped over; a wire type that the field has not is an unknown field. */
    CHECK(&bed, "\x08\x01" "\x08\x02" "\xa0\x06\x07" "\xa3\x06\x08\x01\xa4\x06" "\x0a\x01z" "\x50\x07",
          "2|0|0|0|false||\\x|0|0|7|NULL|0");
    FAULT(&bed, "\x08", "a", "too early");
    FAULT(&bed, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "a", "ten bytes");
    FAULT(&bed, "\x32\x05" "abc", "f", "too early");
    FAULT(&bed, "\x32\x01\xff", "f", "UTF-8");
    FAULT(&bed, "\x19\0", "c", "too early");
    FAULT(&bed, "\x0c", "a", "not well formed");
    FAULT(&bed, "\x07\x01", "", "not well formed");
    FAULT(&bed, "\xa3\x06\x08\x01", "", "not well formed");
    FAULT(&bed, "\xa2\x06\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "", "not well formed");
    bed_close(&bed);
}

Test(decode_protobuf, in_proto2_absent_is_null)
{
    struct bed bed;
    OPEN(&bed,
         "message M { optional int32 a = 1 [default = 5]; required string b = 2; repeated int32 c = 3 [packed=true];"
         " optional group Inner = 4 { optional int32 x = 1; } }",
         { "a", int32_type }, { "b", text_type, true }, { "c", text_type }, { "inner.x", int32_type }, { "inner", json_type });
    CHECK(&bed, "\x12\x01z", "NULL|z|[]|NULL|NULL");
    CHECK(&bed, "\x12\x01z\x1a\x02\x01\x02\x18\x03" "\x23\x08\x07\x24", "NULL|z|[1,2,3]|7|{\"x\":7}");
    FAULT(&bed, "\x08\x01", "b", "NOT NULL");
    bed_close(&bed);
}

Test(decode_protobuf, a_oneof_keeps_its_last_member)
{
    struct bed bed;
    OPEN(&bed,
         PROTO3("message M { oneof k { int32 a = 1; string b = 2; In c = 3; bool d = 4; } message In { int32 x = 1; int32 y = 2; } }"),
         { "a", int32_type }, { "b", text_type }, { "c.x", int32_type }, { "c", text_type });
    CHECK(&bed, "", "NULL|NULL|NULL|NULL");
    CHECK(&bed, "\x08\0", "0|NULL|NULL|NULL");
    CHECK(&bed, "\x08\x01\x12\x01z", "NULL|z|NULL|NULL");
    CHECK(&bed, "\x12\x01z\x1a\0", "NULL|NULL|0|{\"x\":0,\"y\":0}");
    CHECK(&bed, "\x1a\x02\x08\x07\x1a\x02\x10\x08", "NULL|NULL|7|{\"x\":7,\"y\":8}");
    /* One that nobody asked for takes them back too. */
    CHECK(&bed, "\x1a\x02\x08\x07\x20\x01", "NULL|NULL|NULL|NULL");
    bed_close(&bed);
}

Test(decode_protobuf, messages_that_mean_more)
{
    struct bed bed;
    OPEN(&bed,
         PROTO3("import 'google/protobuf/timestamp.proto'; import \"google/protobuf/duration.proto\";"
                "import 'google/protobuf/wrappers.proto'; import 'google/protobuf/struct.proto';"
                "message M { google.protobuf.Timestamp t = 1; google.protobuf.Duration d = 2; google.protobuf.Int64Value w = 3;"
                "google.protobuf.Value v = 4; google.protobuf.Timestamp u = 5; google.protobuf.Struct s = 6; int64 ms = 7; }"),
         { "t", time_type }, { "d", { .id = WR_TYPE_INTERVAL } }, { "w", int32_type }, { "v", json_type }, { "u", text_type },
         { "s", text_type }, { "ms", time_type });
    CHECK(&bed, "", "NULL|NULL|NULL|NULL|NULL|NULL|1970-01-01T00:00:00Z");
    CHECK(&bed, "\x0a\x05\x08\x01\x10\xf4\x03\x12\0\x1a\0\x22\0\x2a\x02\x08\x05\x32\x0c\x0a\x0a\x0a\x01k\x12\x05\x1a\x03" "abc\x38\x05",
          "1970-01-01T00:00:01Z|00:00:00|0|null|1970-01-01T00:00:05Z|{\"k\":\"abc\"}|1970-01-01T00:00:00.005Z");
    /* Pieces of one message are merged; before 1970 the nanoseconds count forward. */
    CHECK(&bed, "\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x0a\x06\x10\x80\xe8\xed\xa1\x01",
          "1969-12-31T23:59:59.339440Z|NULL|NULL|NULL|NULL|NULL|1970-01-01T00:00:00Z");
    FAULT(&bed, "\x0a\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x10\x01", "t", "out of range");
    FAULT(&bed, "\x0a\x02\x08", "t", "too early");
    FAULT(&bed, "\x1a\x06\x08\xff\xff\xff\xff\x7f", "w", "34359738367 is not a valid INTEGER");
    FAULT(&bed, "\x32\x03\x0a\x05\x0a", "s", "not well formed");
    bed_close(&bed);
}

static struct wr_type nested_type(const char *schema, const char *name)
{
    struct wr_protobuf_schema *parsed = NULL;
    struct wr_error err = { 0 };
    cr_assert_eq(wr_protobuf_schema_of_bytes(&parsed, wr_slice_of(schema), &err), WR_OK, "%s", err.message);
    const struct wr_protobuf_message *m = parsed->files->messages[0];
    const struct wr_type type = wr_protobuf_column_type(m, wr_protobuf_field_named(m, name));
    wr_protobuf_schema_destroy(parsed);
    return type;
}

Test(decode_protobuf, nested_values)
{
    static const char schema[] =
        PROTO3("message M { repeated Item items = 1; map<string, Item> by = 2; repeated sint32 n = 3; M self = 4;"
               "  message Item { string sku = 1; optional int64 count = 2; repeated string tags = 3; } map<bool, int32> flags = 5; }");
    struct bed bed;
    cr_assert_str_eq(wr_nested_of(nested_type(schema, "items"))->text, "STRUCT<sku TEXT, count BIGINT, tags TEXT[]>[]");
    cr_assert_eq(nested_type(schema, "self").id, WR_TYPE_JSON);
    OPEN(&bed, schema, { "items", nested_type(schema, "items") }, { "by", nested_type(schema, "by") },
         { "n", nested_type(schema, "n") }, { "flags", nested_type(schema, "flags") }, { "self.n", json_type });
    CHECK(&bed, "", "[]|{}|[]|{}|NULL");
    CHECK(&bed, "\x0a\x05\x0a\x01x\x10\x07" "\x0a\0" "\x12\x07\x0a\x01k\x12\x02\x10\x01" "\x12\x03\x0a\x01k" "\x1a\x02\x01\x02\x18\x05"
                "\x2a\x02\x10\x09" "\x2a\x04\x08\x01\x10\x08" "\x22\x02\x18\x01",
          "[{\"sku\":\"x\",\"count\":7,\"tags\":[]},{\"sku\":\"\",\"count\":null,\"tags\":[]}]|"
          "{\"k\":{\"sku\":\"\",\"count\":null,\"tags\":[]}}|[-1,1,-3]|{\"false\":9,\"true\":8}|[-1]");
    FAULT(&bed, "\x0a\0\x0a\x03\x0a\x01\xff", "items[1].sku", "UTF-8");
    FAULT(&bed, "\x12\x05\x0a\x01k\x12\x01", "by", "not well formed");
    FAULT(&bed, "\x1a\x02\x01\x80", "n[1]", "not well formed");
    bed_close(&bed);
}

Test(decode_protobuf, values_that_do_not_fit_name_their_place)
{
    static const char schema[] = PROTO3("message M { repeated A a = 1; message A { string s = 1; } }");
    const struct wr_nested_field field = { "s", { .id = WR_TYPE_INT16 } };
    struct wr_type inner;
    struct wr_type array;
    struct bed bed;
    cr_assert_eq(wr_nested_struct(&field, 1, &inner, NULL), WR_OK);
    cr_assert_eq(wr_nested_array(inner, &array, NULL), WR_OK);
    OPEN(&bed, schema, { "a", array });
    CHECK(&bed, "\x0a\x03\x0a\x01" "7", "[{\"s\":7}]");
    FAULT(&bed, "\x0a\x03\x0a\x01" "7\x0a\x03\x0a\x01x", "a[1].s", "\"x\" is not a valid SMALLINT");
    bed_close(&bed);
}

static void check_refused(const char *schema, const char *path, struct wr_type type, bool not_null, const char *message)
{
    struct bed bed;
    struct wr_error err = { 0 };
    const struct want want = { path, type, not_null };
    cr_assert_eq(try_open(&bed, wr_slice_of(schema), &want, 1, &err), WR_FAIL, "%s", message);
    cr_assert(strstr(err.message, message) != NULL, "%s", err.message);
    cr_assert_eq(err.cls, WR_CLASS_USER);
}

Test(decode_protobuf, columns_that_cannot_be_filled_refuse_to_start)
{
    static const char schema[] = PROTO3("message M { repeated int32 a = 1; bytes b = 2; In c = 3; map<int32, string> d = 4; }"
                                        "message In { string x = 1; } message N {}");
    struct wr_error err;
    struct bed bed;
    const struct want want = { "a", int64_type, false };
    cr_assert_eq(try_open(&bed, wr_slice_of(schema), &want, 1, &err), WR_FAIL);
    cr_assert(strstr(err.message, "several messages") != NULL && strstr(err.hint, "M, In, N") != NULL, "%s", err.message);
    static const char one[] = PROTO3("message M { repeated int32 a = 1; bytes b = 2; In c = 3; map<int32, string> d = 4;"
                                     "message In { string x = 1; } }");
    check_refused(one, "a", int64_type, false, "column \"a\": the schema has repeated int32 here, which cannot become BIGINT");
    check_refused(one, "b", int64_type, false, "bytes here");
    check_refused(one, "c", int64_type, false, "message M.In here");
    check_refused(one, "d", double_type, false, "map here");
    check_refused(one, "a.x", int64_type, false, "which has no field \"x\"");
    check_refused(one, "e", int64_type, true, "NOT NULL");
}

Test(decode_protobuf, lies_about_sizes_cost_little)
{
    static const char schema[] = PROTO3("message M { M m = 1; repeated int32 n = 2; }");
    struct bed bed;
    OPEN(&bed, schema, { "m", json_type }, { "n", json_type });
    struct wr_buf deep = { 0 };
    for (uint32_t i = 0; i < 200; i++) {
        const size_t inside = deep.bytes;
        struct wr_buf outer = { 0 };
        wr_proto_put_bytes(&outer, 1, deep.data != NULL ? deep.data : "", inside);
        wr_buf_deinit(&deep);
        deep = outer;
    }
    bed_check_fault(&bed, deep.data, deep.bytes, "m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m.m",
                "nest deeper");
    wr_buf_deinit(&deep);
    FAULT(&bed, "\x0a\xff\xff\xff\xff\x0f", "m", "too early");
    bed_close(&bed);
}

static void check_schema(const char *text, const char *wrong)
{
    struct wr_protobuf_schema *schema = NULL;
    struct wr_error err = { 0 };
    const wr_status status = wr_protobuf_schema_of_bytes(&schema, wr_slice_of(text), &err);
    cr_assert_eq(status, wrong == NULL ? WR_OK : WR_FAIL, "%s: %s", text, err.message);
    cr_assert(wrong == NULL || strstr(err.message, wrong) != NULL, "%s: %s", text, err.message);
    wr_protobuf_schema_destroy(schema);
}

Test(decode_protobuf, texts_that_are_schemas)
{
    check_schema("message M {}", NULL);
    check_schema("\xef\xbb\xbf// a comment\n/* and * another */ syntax = \"proto3\"; package a . b", "expected");
    check_schema("edition = \"2023\"; option features.field_presence = IMPLICIT;"
                 "message M { int32 a = 1 [features.field_presence = EXPLICIT, json_name = \"x]\"]; reserved 2, 4 to max; reserved \"z\"; }", NULL);
    check_schema("syntax='proto2'; import public 'google/protobuf/descriptor.proto'; extend google.protobuf.FieldOptions { optional string x = 50000; }"
                 "message message { optional message message = 1; extensions 100 to max [verification = DECLARATION]; optional .message b = 0x10;"
                 " extend message { optional int32 q = 100; } oneof o { option (x) = { a: [1, 2] b { c: '}' } }; int32 one = 017; } }"
                 "service S { option deprecated = true; rpc A (stream message) returns (message) { option (http) = { get: \"/{a}\" }; } }", NULL);
    check_schema("message A { B.C c = 1; message B { enum C { option allow_alias = true; X = 0; Y = -1; Z = 0 [deprecated = true]; reserved 5; } } }", NULL);
}

Test(decode_protobuf, texts_that_are_none)
{
    check_schema("", NULL); /* a file without a message: choosing one fails */
    check_schema("message M { int32 a = 1 }", "line 1, column 25: expected \";\", found \"}\"");
    check_schema("\n\nmessage M { int32 a = 0; }", "has the number 0");
    check_schema("message M { int32 a = 536870912; }", "field's number");
    check_schema("message M { int32 a = 1; string b = 1; }", "two fields with the number 1");
    check_schema("message M { int32 a = 1; string a = 2; }", "two fields \"a\"");
    check_schema("message M { Foo a = 1; }", "there is no type \"Foo\"");
    check_schema("message M {} message M {}", "declared twice");
    check_schema("message M { map<double, int32> a = 1; }", "no entry of a map");
    check_schema("enum E {}", "no values");
    check_schema("message M { /* ", "does not end");
    check_schema("message M { string a = 1 [default = \"x]; }", "does not end");
    check_schema("syntax = \"proto4\";", "none of proto2");
    check_schema("hello world;", "another declaration");
    struct wr_buf deep = { 0 };
    for (uint32_t i = 0; i < 100; i++) {
        wr_buf_text(&deep, "message M { ");
    }
    check_schema(wr_buf_cstr(&deep), "deeper than 32");
    wr_buf_deinit(&deep);
}

/* FileDescriptorSet { file { name: "x" message_type { name: "M" field { name: "a" number: 3 label: 1 type: 9 } } syntax: "proto3" } } */
static const char set[] = "\x0a\x22\x0a\x01x\x22\x11\x0a\x01M\x12\x0c\x0a\x01" "a\x18\x03 \x01(\x09" "\x3a\x01z" "b\x06proto3";

Test(decode_protobuf, descriptor_sets)
{
    struct bed bed;
    struct wr_error err = { 0 };
    const struct want want = { "a", text_type, false };
    const struct wr_slice whole = { set, sizeof set - 1 };
    struct wr_slice fixed = whole;
    char copy[sizeof set];
    memcpy(copy, set, sizeof set);
    copy[1] = (char)(sizeof set - 3);
    fixed.data = copy;
    cr_assert_eq(try_open(&bed, fixed, &want, 1, &err), WR_OK, "%s", err.message);
    CHECK(&bed, "\x1a\x02hi", "hi");
    CHECK(&bed, "", "");
    bed_close(&bed);
    for (size_t cut = 3; cut + 1 < sizeof set; cut++) { /* cut off anywhere it is refused or still a schema, never more */
        struct wr_protobuf_schema *schema = NULL;
        copy[1] = (char)(cut - 2);
        if (wr_protobuf_schema_of_bytes(&schema, (struct wr_slice){ copy, cut }, NULL) == WR_OK) {
            wr_protobuf_schema_destroy(schema);
        }
    }
}

/* What a registry may give instead of text: a FileDescriptorProto in base64; and texts whose imports came before. */
Test(decode_protobuf, answers_of_a_registry)
{
    void *schema = NULL;
    struct wr_error err = { 0 };
    struct wr_buf base64 = { 0 };
    wr_text_base64(&base64, set + 2, sizeof set - 3);
    struct wr_slice texts[] = { WR_SLICE_LITERAL("syntax = 'proto3'; package geo; message Geo { string c = 1; }"),
                                { base64.data, base64.bytes },
                                WR_SLICE_LITERAL("import 'geo.proto'; message N { optional geo.Geo g = 1; optional M m = 2; }") };
    const struct wr_registry_schema answer = { "PROTOBUF", texts, 3 };
    cr_assert_eq(wr_schema_of_answer(&wr_protobuf_format, &schema, &answer, &err), WR_OK, "%s", err.message);
    const uint32_t first = 0;
    cr_assert_str_eq(wr_protobuf_at(schema, &first, 1)->name, "N");
    cr_assert_not_null(wr_protobuf_find(schema, "Geo"));
    wr_protobuf_schema_destroy(schema);
    texts[1] = WR_SLICE_LITERAL("AAAA");
    cr_assert_eq(wr_schema_of_answer(&wr_protobuf_format, &schema, &answer, &err), WR_FAIL);
    texts[1] = WR_SLICE_LITERAL("////");
    cr_assert_eq(wr_schema_of_answer(&wr_protobuf_format, &schema, &answer, &err), WR_FAIL);
    const struct wr_registry_schema other = { "AVRO", texts, 1 };
    cr_assert_eq(wr_schema_of_answer(&wr_protobuf_format, &schema, &other, &err), WR_FAIL);
    cr_assert(strstr(err.message, "type AVRO, not PROTOBUF") != NULL, "%s", err.message);
    wr_buf_deinit(&base64);
}

static void check_evolved(const char *writer, const char *reader, const char *column, struct wr_type type, const char *data,
                          size_t bytes, const char *wanted)
{
    struct wr_protobuf_schema *schemas[2] = { 0 };
    struct wr_protobuf_program *program = NULL;
    struct wr_error err = { 0 };
    const char *field;
    char name[40];
    const char *path[] = { strcpy(name, column) };
    const struct wr_schema_column asked = { .path = path, .path_count = 1, .dotted = column, .type = type };
    struct wr_field own = { .name = name, .path = path, .path_count = 1, .type = type };
    const struct wr_schema batch_schema = { &own, 1 };
    cr_assert_eq(wr_protobuf_schema_of_bytes(&schemas[0], wr_slice_of(writer), &err), WR_OK, "%s", err.message);
    cr_assert_eq(wr_protobuf_schema_of_bytes(&schemas[1], wr_slice_of(reader), &err), WR_OK, "%s", err.message);
    const wr_status status = wr_protobuf_compile(&program, schemas[0]->files->messages[0], schemas[1]->files->messages[0],
                                                 &asked, 1, 3, &field, &err);
    if (status == WR_FAIL) {
        cr_assert(strstr(err.message, wanted) != NULL, "%s", err.message);
    } else {
        struct wr_batch_pool *pool = wr_batch_pool_create(&batch_schema, 4, 4);
        struct wr_batch *batch = wr_batch_take(pool);
        struct wr_protobuf_run run = { .batch = batch };
        struct wr_buf text = { 0 };
        run.values = &batch->columns[0].values;
        cr_assert(wr_protobuf_run_record(program, &run, data, bytes, 0), "%s", run.message);
        if (wr_column_is_null(&batch->columns[0], 0)) {
            wr_buf_text(&text, "NULL");
        } else {
            wr_text_format(&text, type, batch->columns[0].values);
        }
        cr_assert_str_eq(wr_buf_cstr(&text), wanted);
        wr_buf_deinit(&text);
        run.values = NULL;
        wr_protobuf_run_deinit(&run);
        wr_batch_release(batch);
        wr_batch_pool_destroy(pool);
    }
    wr_protobuf_program_destroy(program);
    wr_protobuf_schema_destroy(schemas[0]);
    wr_protobuf_schema_destroy(schemas[1]);
}

Test(decode_protobuf, names_of_the_reader_lead_to_numbers_of_the_writer)
{
    static const char reader[] = PROTO3("message M { int64 a = 1; optional string s = 2; E e = 3; enum E { Z = 0; } }");
    check_evolved(PROTO3("message M { int32 old = 1; }"), reader, "a", int64_type, "\x08\x05", 2, "5");
    check_evolved(PROTO3("message M { int32 a = 4; }"), reader, "a", int64_type, "\x20\x05", 2, "0");
    check_evolved(PROTO3("message M { int32 a = 4; }"), reader, "s", text_type, "", 0, "NULL");
    check_evolved(PROTO3("message M { int32 a = 4; }"), reader, "e", text_type, "", 0, "Z");
    check_evolved(PROTO3("message M { int32 a = 4; }"), reader, "nobody", text_type, "", 0, "NULL");
    check_evolved(PROTO3("message M { M a = 1; }"), reader, "a", int64_type, "", 0, "cannot become BIGINT");
}
