/* JSON Schema: what complies, where and why something does not, what is refused, and the columns that it gives. */
#include "batch/nested.h"
#include "decode/json_schema.h"
#include "decode/json_schema_columns.h"
#include <criterion/criterion.h>

static struct wr_json_schema *parse(const char *text)
{
    struct wr_json_schema *schema = NULL;
    struct wr_error err = { 0 };
    cr_assert_eq(wr_json_schema_parse(&schema, wr_slice_of(text), &err), WR_OK, "%s: %s", text, err.message);
    return schema;
}

/* pointer NULL: it complies. */
static void check(const char *text, const char *value, const char *pointer, const char *message)
{
    struct wr_json_schema *schema = parse(text);
    struct wr_json_checker *checker = wr_json_checker_create();
    struct wr_json_violation violation = { 0 };
    const bool fine = wr_json_check(checker, schema, wr_slice_of(value), &violation);
    cr_assert_eq(fine, pointer == NULL, "%s: %s: %s", text, value, fine ? "complies" : violation.message);
    if (!fine) {
        cr_assert_str_eq(violation.pointer, pointer, "%s: %s", value, violation.message);
        cr_assert_not_null(strstr(violation.message, message), "%s: %s", value, violation.message);
    }
    wr_json_checker_destroy(checker);
    wr_json_schema_destroy(schema);
}

static void refused(const char *text, const char *message)
{
    struct wr_json_schema *schema = NULL;
    struct wr_error err = { 0 };
    cr_assert_eq(wr_json_schema_parse(&schema, wr_slice_of(text), &err), WR_FAIL, "%s", text);
    cr_assert_not_null(strstr(err.message, message), "%s", err.message);
}

Test(json_schema, types)
{
    check("{\"type\":\"integer\"}", "5", NULL, NULL);
    check("{\"type\":\"integer\"}", " 5.0\n", NULL, NULL);
    check("{\"type\":\"integer\"}", "5.5", "", "type integer: 5.5");
    check("{\"type\":\"number\"}", "5", NULL, NULL);
    check("{\"type\":\"number\"}", "\"5\"", "", "type number: \"5\"");
    check("{\"type\":[\"string\",\"null\"]}", "null", NULL, NULL);
    check("{\"type\":[\"string\",\"null\"]}", "{}", "", "type string null: {}");
    check("true", "{\"a\":[1,{}]}", NULL, NULL);
    check("false", "1", "", "false: 1");
    check("{}", "\"anything\"", NULL, NULL);
}

Test(json_schema, numbers_and_texts)
{
    check("{\"minimum\":0,\"maximum\":10}", "0", NULL, NULL);
    check("{\"minimum\":0}", "-5", "", "minimum 0: -5");
    check("{\"exclusiveMinimum\":0}", "0", "", "exclusiveMinimum 0: 0");
    check("{\"minimum\":0,\"exclusiveMinimum\":true}", "0", "", "minimum 0 (exclusive)");
    check("{\"maximum\":1.5}", "1.51", "", "maximum 1.5: 1.51");
    check("{\"minLength\":2,\"maxLength\":3}", "\"\\u00fc\xc3\xbc\"", NULL, NULL);
    check("{\"minLength\":2}", "\"\xc3\xbc\"", "", "minLength 2");
    check("{\"pattern\":\"^[a-z]+$\"}", "\"ab\\u0063\"", NULL, NULL);
    check("{\"pattern\":\"^[a-z]+$\"}", "\"ab1\"", "", "pattern ^[a-z]+$: \"ab1\"");
    check("{\"pattern\":\"^(a+)+$\"}", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\"", "", "pattern");
    check("{\"enum\":[1,\"a\",null,{\"b\":[1]}]}", "{\"b\":[1.0]}", NULL, NULL);
    check("{\"enum\":[1,\"a\"]}", "\"b\"", "", "enum: \"b\"");
    check("{\"const\":9007199254740993}", "9007199254740992", "", "const");
}

#define ORDER                                                                                      \
    "{\"type\":\"object\",\"required\":[\"id\",\"items\"],\"properties\":{\"id\":{\"type\":\"integer\"},\"items\":{\"type\":\"array\",\"minItems\":1," \
    "\"items\":{\"$ref\":\"#/definitions/item\"}}},\"additionalProperties\":false,\"definitions\":{\"item\":{\"type\":\"object\","                      \
    "\"properties\":{\"price\":{\"type\":\"number\",\"minimum\":0},\"a/b~\":{\"type\":\"null\"},\"inner\":{\"$ref\":\"#/definitions/item\"}}}}}"

Test(json_schema, objects_arrays_and_references_with_pointers)
{
    check(ORDER, "{\"id\":1,\"items\":[{\"price\":1}]}", NULL, NULL);
    check(ORDER, "{\"items\":[{}]}", "", "required \"id\"");
    check(ORDER, "{\"id\":1,\"items\":[]}", "/items", "minItems 1: []");
    check(ORDER, "{\"id\":1,\"items\":[{},{},{},{\"price\":-5}]}", "/items/3/price", "minimum 0: -5");
    check(ORDER, "{\"id\":1,\"items\":[{\"inner\":{\"inner\":{\"a/b~\":1}}}]}", "/items/0/inner/inner/a~1b~0", "type null: 1");
    check(ORDER, "{\"id\":1,\"items\":[{}],\"more\":2}", "/more", "additionalProperties false: 2");
    check("{\"additionalProperties\":{\"type\":\"integer\"}}", "{\"a\":1,\"b\":\"x\"}", "/b", "type integer");
    check("{\"minProperties\":1,\"maxProperties\":1}", "{\"a\":1,\"b\":2}", "", "maxProperties 1");
}

Test(json_schema, combinations)
{
    const char *any = "{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"object\",\"required\":[\"a\"]}]}";
    check(any, "{\"a\":1}", NULL, NULL);
    check(any, "{}", "", "anyOf: none fits");
    check("{\"oneOf\":[{\"type\":\"integer\"},{\"minimum\":5}]}", "3", NULL, NULL);
    check("{\"oneOf\":[{\"type\":\"integer\"},{\"minimum\":5}]}", "7", "", "oneOf: more than one fits");
    check("{\"allOf\":[{\"minimum\":1},{\"maximum\":3}]}", "4", "", "maximum 3");
    check("{\"not\":{\"type\":\"string\"}}", "\"x\"", "", "not");
}

Test(json_schema, what_goes_round_or_costs_too_much_ends)
{
    check("{\"$ref\":\"#\"}", "1", "", "nested too deep");
    char deep[5000] = "";
    for (int i = 0; i < 200; i++) {
        strcat(deep, "[");
    }
    for (int i = 0; i < 200; i++) {
        strcat(deep, "]");
    }
    check("{\"items\":{\"$ref\":\"#\"}}", deep, NULL, NULL);
    /* Each level asks twice: 2^200 without a bound. */
    check("{\"items\":{\"not\":{\"anyOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}}, \"not\":{\"anyOf\":[{\"items\":{\"$ref\":\"#\"}},{\"items\":{\"$ref\":\"#\"}}]}}",
          deep, "", "takes too long");
}

Test(json_schema, what_is_not_checked_is_refused_by_name)
{
    refused("{\"patternProperties\":{}}", "\"patternProperties\" is not checked by weir");
    refused("{\"properties\":{\"a\":{\"if\":{}}}}", "\"if\" is not checked by weir");
    refused("{\"requird\":[]}", "\"requird\"");
    refused("{\"items\":[{}]}", "\"items\" as a list");
    refused("{\"$ref\":\"http://x/y\"}", "leads out of the document");
    refused("{\"$ref\":\"#/definitions/none\"}", "leads nowhere");
    refused("{\"type\":\"text\"}", "\"type\"");
    refused("{\"pattern\":\"(\"}", "pattern");
    refused("[1]", "a schema is an object");
    refused("{", "line 1");
    wr_json_schema_destroy(parse("{\"title\":\"x\",\"connect.type\":\"int8\",\"x-any\":1,\"format\":\"uuid\",\"$defs\":{\"unused\":{\"if\":1}}}"));
}

Test(json_schema, columns)
{
    struct wr_json_schema *schema = parse(
        "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"integer\"},\"price\":{\"type\":[\"null\",\"number\"]},\"ts\":{\"type\":\"string\",\"format\":\"date-time\"},"
        "\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},\"geo\":{\"oneOf\":[{\"type\":\"null\"},{\"$ref\":\"#/definitions/geo\"}]},"
        "\"counts\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}},\"any\":{},\"both\":{\"type\":[\"string\",\"integer\"]},"
        "\"self\":{\"$ref\":\"#/definitions/node\"}},"
        "\"definitions\":{\"geo\":{\"type\":\"object\",\"properties\":{\"lat\":{\"type\":\"number\"},\"on\":{\"type\":\"boolean\"}}},"
        "\"node\":{\"properties\":{\"next\":{\"$ref\":\"#/definitions/node\"},\"n\":{\"type\":\"integer\"}}}}}");
    static const char *const wanted[][2] = { { "id", "BIGINT" }, { "price", "DOUBLE PRECISION" }, { "ts", "TIMESTAMPTZ" }, { "tags", "TEXT[]" },
                                             { "geo", "STRUCT<lat DOUBLE PRECISION, on BOOLEAN>" }, { "counts", "MAP<TEXT, BIGINT>" }, { "any", "JSON" },
                                             { "both", "JSON" }, { "self", "STRUCT<next JSON, n BIGINT>" } };
    struct wr_arena arena;
    struct wr_schema columns = { 0 };
    char name[200];
    wr_arena_init(&arena, 0);
    cr_assert_eq(wr_json_schema_columns(schema, &arena, &columns, NULL), WR_OK);
    cr_assert_eq(columns.count, sizeof wanted / sizeof wanted[0]);
    for (uint32_t i = 0; i < columns.count; i++) {
        cr_assert_str_eq(columns.fields[i].name, wanted[i][0]);
        cr_assert_str_eq(wr_type_name(columns.fields[i].type, name, sizeof name), wanted[i][1], "%s: %s", wanted[i][0], name);
    }
    wr_arena_deinit(&arena);
    wr_json_schema_destroy(schema);
}
