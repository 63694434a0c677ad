/* test_eval_nested.c: STRUCT, ARRAY and MAP in expressions, from SQL text to values: x is a column j of JSON text cast to a type; the
 * expression over it gives a text, NULL, or "!" and the beginning of the row's error. Each runs as a whole batch of rows, of which some
 * are dead, and twice, over what the first run left behind. */
#include "../sql/catalog.h"

#include "batch/nested.h"
#include "batch/text.h"
#include "exec/eval.h"

#include <criterion/criterion.h>

#define ROWS 70u

struct value_case {
    const char *type;
    const char *json; /* NULL: the column is NULL */
    const char *expr;
    const char *expected;
};

static struct wr_plan *plan_of(const char *type, const char *expr)
{
    struct wr_buf sql = { 0 };
    struct wr_plan *plan = NULL;
    struct wr_error err = { 0 };
    wr_buf_printf(&sql,
                  "CREATE SOURCE s (j TEXT) WITH (connector = 'kafka', brokers = 'h', topic = 't');\n"
                  "CREATE SINK o WITH (connector = 'stdout') AS\n"
                  "SELECT %s AS y FROM (SELECT CAST(j AS %s) AS x FROM s);",
                  expr, type);
    const wr_status status =
        wr_sql_plan("t.sql", wr_slice_of(wr_buf_cstr(&sql)), &catalog, NULL, 0, &plan, &err);
    cr_assert_eq(status, WR_OK, "%s\n%s\n%s", err.message, err.detail, err.hint);
    wr_buf_deinit(&sql);
    return plan;
}

static void show(struct wr_buf *got, const struct wr_column *result,
                 const struct wr_eval_faults *faults, uint32_t row)
{
    for (uint32_t i = 0; i < faults->count; i++) {
        if (faults->items[i].row == row) {
            wr_buf_printf(got, "!%s", faults->items[i].message);
            cr_assert(wr_column_is_null(result, row));
            return;
        }
    }
    if (wr_column_is_null(result, row)) {
        wr_buf_text(got, "NULL");
        return;
    }
    const char *value = (const char *)result->values + (size_t)row * wr_type_width(result->type);
    if (wr_type_is_nested(result->type)) {
        cr_assert(wr_nested_check(result->type, wr_view_slice((const struct wr_view *)value)));
    }
    wr_text_format(got, result->type, value);
}

/* The evaluators of the sink's PROJECT and of one below it, where x is used more than once. */
struct chain {
    struct wr_eval *outer;
    struct wr_eval *inner; /* NULL: there is none */
};

static struct wr_eval *eval_of(const struct wr_plan *plan, const struct wr_plan_node *node)
{
    struct wr_eval *eval = NULL;
    struct wr_error err;
    cr_assert_eq(node->kind, WR_NODE_PROJECT);
    cr_assert_eq(wr_eval_create(&eval, node->project[0], &plan->nodes[node->inputs[0]].schema,
                                plan->text, &err),
                 WR_OK, "%s", err.message);
    return eval;
}

static struct chain chain_of(const struct wr_plan *plan)
{
    const struct wr_plan_node *node = &plan->nodes[plan->sinks[0].node];
    const struct wr_plan_node *input = &plan->nodes[node->inputs[0]];
    struct chain chain = { eval_of(plan, node), NULL };
    if (input->kind == WR_NODE_PROJECT) {
        chain.inner = eval_of(plan, input);
    }
    return chain;
}

static void run(const struct chain *chain, const struct wr_batch *batch, struct wr_arena *arena,
                struct wr_eval_faults *faults, struct wr_column *result)
{
    struct wr_column column;
    struct wr_batch between = *batch;
    for (int twice = 0; twice < 2; twice++) {
        faults->count = 0;
        if (chain->inner != NULL) {
            wr_eval_run(chain->inner, batch, 0, arena, faults, &column);
            between.columns = &column;
        }
        wr_eval_run(chain->outer, &between, 0, arena, faults, result);
    }
}

static void check(const struct value_case *c)
{
    struct wr_plan *plan = plan_of(c->type, c->expr);
    const struct chain chain = chain_of(plan);
    struct wr_arena arena = { 0 };
    struct wr_view views[ROWS];
    uint32_t sel[ROWS];
    uint8_t validity[WR_BITMAP_BYTES(ROWS)] = { 0 };
    struct wr_column column = { .values = views, .type = wr_type_of(WR_TYPE_TEXT) };
    struct wr_batch batch = { .columns = &column, .columns_count = 1, .rows = ROWS, .sel = sel };
    struct wr_eval_faults faults = { 0 };
    struct wr_column result;
    memset(views, 0, sizeof views);
    for (uint32_t row = 1; row < ROWS; row += 3) { /* the rows between are dead */
        sel[batch.sel_count++] = row;
        views[row] = c->json == NULL ? wr_view_of("", 0) : wr_view_of(c->json, strlen(c->json));
    }
    column.validity = c->json == NULL ? validity : NULL;
    run(&chain, &batch, &arena, &faults, &result);
    for (uint32_t i = 0; i < batch.sel_count; i += 5) {
        struct wr_buf got = { 0 };
        show(&got, &result, &faults, sel[i]);
        const char *text = wr_buf_cstr(&got);
        const bool fails = c->expected[0] == '!';
        cr_expect(fails ? strncmp(text, c->expected, strlen(c->expected)) == 0
                        : strcmp(text, c->expected) == 0,
                  "%s of %s (%s): expected %s, got %s", c->expr, c->json, c->type, c->expected, text);
        wr_buf_deinit(&got);
    }
    wr_eval_faults_deinit(&faults);
    wr_eval_destroy(chain.outer);
    wr_eval_destroy(chain.inner);
    wr_arena_deinit(&arena);
    wr_plan_destroy(plan);
}

#define CHECK(cases)                                                                               \
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases)[0]; i++) {                                \
        check(&(cases)[i]);                                                                        \
    }

#define USER "STRUCT<id BIGINT, name TEXT, geo STRUCT<lat DOUBLE PRECISION>, tags TEXT[]>"

Test(eval_nested, fields_elements_and_values_are_taken_by_name_number_and_key)
{
    static const struct value_case cases[] = {
        { USER, "{\"id\":7,\"name\":\"a name that is not short\"}", "x.id", "7" },
        { USER, "{\"id\":7,\"name\":\"a name that is not short\"}", "x.name", "a name that is not short" },
        { USER, "{\"geo\":{\"lat\":-0.5},\"id\":null}", "(x.geo).lat", "-0.5" },
        { USER, "{\"geo\":null}", "x.geo.lat", "NULL" },
        { USER, "{\"ID\":1}", "x.id", "NULL" }, /* names of data are exact */
        { USER, "{\"tags\":[\"p\",\"q\"]}", "x.tags[2]", "q" },
        { USER, NULL, "x.tags[2]", "NULL" },
        { USER, "{\"id\":1}", "x['id']", "1" },
        { "TEXT[]", "[\"a\",null,\"c\"]", "x[1]", "a" },
        { "TEXT[]", "[\"a\",null,\"c\"]", "x[2]", "NULL" },
        { "TEXT[]", "[\"a\",null,\"c\"]", "x[4]", "NULL" },
        { "TEXT[]", "[\"a\",null,\"c\"]", "x[0]", "NULL" },
        { "TEXT[]", "[\"a\",null,\"c\"]", "x[-1]", "NULL" },
        { "TEXT[]", "[\"a\"]", "x[9223372036854775807]", "NULL" },
        { "BIGINT[][]", "[[1,2],[],[3]]", "x[3][1]", "3" },
        { "BIGINT[][]", "[[1,2],[],[3]]", "x[2][1]", "NULL" },
        { "MAP<TEXT, BIGINT>", "{\"a\":1,\"b\":null,\"a\":3}", "x['a']", "3" },
        { "MAP<TEXT, BIGINT>", "{\"a\":1,\"b\":null}", "x['b']", "NULL" },
        { "MAP<TEXT, BIGINT>", "{\"a\":1,\"b\":null}", "x['c']", "NULL" },
        { "MAP<BIGINT, TEXT>", "{\"-5\":\"minus\",\"05\":\"five\"}", "x[5]", "five" },
        { "MAP<DATE, STRUCT<n INT>[]>", "{\"2024-01-31\":[{\"n\":4}]}", "x[DATE '2024-01-31'][1].n", "4" },
        { "STRUCT<a NUMERIC(10,2), b BOOLEAN, c TIMESTAMP>", "{\"a\":1.005,\"b\":true}", "x.a", "1.01" },
        { "STRUCT<c TIMESTAMP>", "{\"c\":\"2024-01-31T10:00:00Z\"}", "x.c", "2024-01-31T10:00:00Z" },
        { "STRUCT<j JSON>", "{\"j\":{\"k\":[1,2]}}", "x.j.k", "[1,2]" },
        { "STRUCT<a BYTEA>", "{\"a\":\"aGk=\"}", "x.a", "\\x6869" },
    };
    CHECK(cases);
}

Test(eval_nested, functions_count_look_and_take_apart)
{
    static const struct value_case cases[] = {
        { "TEXT[]", "[]", "cardinality(x)", "0" },
        { "TEXT[]", "[null,\"b\"]", "cardinality(x)", "2" },
        { "TEXT[]", NULL, "cardinality(x)", "NULL" },
        { "TEXT[]", "null", "cardinality(x)", "NULL" },
        { "MAP<TEXT, INT>", "{\"a\":1,\"a\":2}", "cardinality(x)", "1" },
        { "TEXT[]", "[]", "array_length(x, 1)", "NULL" }, /* PostgreSQL's */
        { "TEXT[]", "[]", "array_length(x)", "0" },
        { "TEXT[]", "[\"q\"]", "array_length(x, 1)", "1" },
        { "INT[]", "[1,null,3]", "array_contains(x, 3)", "true" },
        { "INT[]", "[1,null,3]", "array_contains(x, 2)", "false" },
        { "INT[]", "[1,null,3]", "array_contains(x, NULL)", "NULL" },
        { "DOUBLE PRECISION[]", "[0,1]", "array_contains(x, -0e0)", "true" },
        { "TEXT[]", "[\"a text that is long enough\"]", "array_contains(x, 'a text that is long enough')", "true" },
        { "MAP<TEXT, INT>", "{\"a\":1,\"b\":null}", "map_keys(x)", "[\"a\",\"b\"]" },
        { "MAP<TEXT, INT>", "{\"a\":1,\"b\":null}", "map_values(x)", "[1,null]" },
        { "MAP<TEXT, INT[]>", "{\"a\":[1]}", "map_values(x)[1][1]", "1" },
        { "INT[]", "[1]", "x IS NULL", "false" },
        { "INT[]", NULL, "x IS NULL", "true" },
        { "INT[]", NULL, "coalesce(x, ARRAY[7])", "[7]" },
        { "INT[]", "[2]", "CASE WHEN x[1] = 2 THEN x ELSE ARRAY[0] END", "[2]" },
    };
    CHECK(cases);
}

Test(eval_nested, constructors_make_values)
{
    static const struct value_case cases[] = {
        { "INT", "5", "ARRAY[x, NULL, 7]", "[5,null,7]" },
        { "INT", "5", "ARRAY[ARRAY[x], ARRAY[1, 2]]", "[[5],[1,2]]" },
        { "INT", "5", "ROW(x, 'a' AS \"Name\")", "{\"x\":5,\"Name\":\"a\"}" },
        { "INT", "5", "STRUCT(x + 1, 'a')", "{\"f1\":6,\"f2\":\"a\"}" },
        { "INT", "5", "(ROW(x AS a)).a", "5" },
        { "INT", "5", "ROW(NULL AS n)", "{\"n\":null}" },
        { "INT", "5", "MAP['k', x, 'l', NULL, 'k', 6]", "{\"l\":null,\"k\":6}" },
        { "TEXT", NULL, "MAP[x, 1]", "!a key of a MAP is NULL" },
        { "INT", "5", "CAST(ROW(x, '6') AS STRUCT<a BIGINT, b INT>)", "{\"a\":5,\"b\":6}" },
        { "INT", "5", "ARRAY[x] = ARRAY[5]", "true" },
        { "BIGINT[]", "[5]", "x = ARRAY[5]", "true" },
        { "BIGINT[]", "[5]", "x = '[5]'", "true" },
    };
    CHECK(cases);
}

Test(eval_nested, casts_read_json_and_write_it)
{
    static const struct value_case cases[] = {
        { USER, "{\"x\":1, \"id\" : \"12\" ,\"name\":34,\"tags\":[ 1 , {\"a\":[]} , null ]}", "CAST(x AS TEXT)",
          "{\"id\":12,\"name\":\"34\",\"geo\":null,\"tags\":[\"1\",\"{\\\"a\\\":[]}\",null]}" },
        { "TEXT[]", " [ ] ", "x", "[]" },
        { "TEXT[]", "[\"\\u00e9\\n\\\"\"]", "x[1]", "é\n\"" },
        { "INT[]", "[1,2", "x", "!not JSON" },
        { "INT[]", "", "x", "!not JSON" },
        { "INT[]", "[1,2] 3", "x", "!not JSON" },
        { "INT[]", "{\"a\":1}", "x", "!no JSON array for INTEGER[]" },
        { "STRUCT<a INT>", "[1]", "x", "!no JSON object for STRUCT<a INTEGER>" },
        { "STRUCT<a INT, qty INT>", "{\"qty\":\"many\"}", "x", "!invalid INTEGER in qty" },
        { "STRUCT<a INT, qty INT>", "{\"qty\":4294967296}", "x", "!invalid INTEGER in qty" },
        { "MAP<INT, INT>", "{\"one\":1}", "x", "!invalid INTEGER in a key" },
        { "STRUCT<a BYTEA>", "{\"a\":\"***\"}", "x", "!invalid BYTEA in a" },
        { "TEXT", "{\"qty\":\"many\"}", "TRY_CAST(x AS STRUCT<qty INT>)", "NULL" },
        { "STRUCT<a INT, b TEXT>", "{\"a\":1,\"b\":\"z\"}", "CAST(x AS STRUCT<b TEXT, a BIGINT>)", "{\"b\":\"z\",\"a\":1}" },
        { "STRUCT<a TEXT>", "{\"a\":\"z\"}", "CAST(x AS STRUCT<a INT>)", "!invalid INTEGER in a" },
        { "INT[]", "[1]", "CAST(x AS JSON) -> 0", "1" },
        { "INT[]", "[1]", "x || ' text'", "[1] text" },
        { "DOUBLE PRECISION[]", "[\"NaN\",1e300,-0.0]", "x", "[\"NaN\",1e+300,-0]" },
        { "MAP<TIMESTAMP, NUMERIC(38,9)>", "{\"2024-01-31 10:00:00\":12345678901234567890.5}", "x",
          "{\"2024-01-31T10:00:00Z\":12345678901234567890.500000000}" },
    };
    CHECK(cases);
}

Test(eval_nested, values_of_one_type_are_equal_when_their_bodies_are)
{
    static const struct value_case cases[] = {
        { "INT[]", "[1,2]", "x = ARRAY[1,2]", "true" },
        { "INT[]", "[1,2]", "x <> ARRAY[1,3]", "true" },
        { "INT[]", "[1,null]", "x = ARRAY[1,NULL]", "true" }, /* PostgreSQL's arrays too */
        { "INT[]", "null", "x = ARRAY[1]", "NULL" },
        { "INT[]", "null", "x IS DISTINCT FROM ARRAY[1]", "true" },
        { "INT[]", "[1]", "x IN (ARRAY[2], ARRAY[1])", "true" },
        { "INT[]", "[1]", "nullif(x, ARRAY[1])", "NULL" },
        { "STRUCT<a TEXT>", "{\"a\":\"p\"}", "x = ROW('p' AS a)", "true" },
        { "DOUBLE PRECISION[]", "[-0.0]", "x = CAST('[0]' AS DOUBLE PRECISION[])", "false" },
        { "DOUBLE PRECISION[]", "[\"NaN\"]", "x = CAST('[\"NaN\"]' AS DOUBLE PRECISION[])", "true" },
    };
    CHECK(cases);
}

Test(eval_nested, a_value_may_be_larger_than_its_json_but_not_without_bound)
{
    struct wr_buf type = { 0 };
    struct wr_buf json = { 0 };
    wr_buf_text(&type, "STRUCT<f0 INT");
    for (int i = 1; i < 1000; i++) {
        wr_buf_printf(&type, ", f%d INT", i);
    }
    wr_buf_text(&type, ">[]");
    wr_buf_byte(&json, '[');
    for (int i = 0; i < 70000; i++) { /* each {} asks for a thousand NULLs */
        wr_buf_text(&json, i > 0 ? ",{}" : "{}");
    }
    wr_buf_byte(&json, ']');
    const struct value_case c = { wr_buf_cstr(&type), wr_buf_cstr(&json), "x IS NULL",
                                  "!too large for" };
    check(&c);
    wr_buf_deinit(&type);
    wr_buf_deinit(&json);
}
