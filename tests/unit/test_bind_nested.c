/* test_bind_nested.c: nested types in SQL text and in plans: their names read back, fields become columns of the scan, UNNEST. */
#include "../sql/catalog.h"

#include "base/rand.h"
#include "batch/nested.h"
#include "sql/parse.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define EVENTS                                                                                 \
    "CREATE SOURCE events (id BIGINT, ts TIMESTAMP, tags TEXT[], attributes MAP<TEXT, BIGINT>,\n" \
    "  payload STRUCT<\"user\" STRUCT<id BIGINT, name TEXT>, items STRUCT<sku TEXT, qty INT>[]>,\n" \
    "  WATERMARK FOR ts)\n"                                                                    \
    "WITH (connector = 'kafka', brokers = 'h:9092', topic = 't', format = 'json'%s);\n"
#define OUT "CREATE SINK out WITH (connector = 'stdout') AS "

static struct wr_plan *plan_of(const char *options, const char *query)
{
    struct wr_buf sql = {0};
    struct wr_plan *plan = NULL;
    struct wr_error err = {0};
    wr_buf_printf(&sql, EVENTS "%s", options, query);
    const wr_status status =
        wr_sql_plan("t.sql", wr_slice_of(wr_buf_cstr(&sql)), &catalog, NULL, 0, &plan, &err);
    cr_assert_eq(status, WR_OK, "%s\n%s\n%s", err.message, err.detail, err.hint);
    wr_buf_deinit(&sql);
    return plan;
}

static struct wr_type parse_type(const char *text)
{
    struct wr_arena arena = {0};
    struct wr_error err = {0};
    struct wr_parser p;
    const struct wr_sql_text sql = {"t.sql", wr_slice_of(text)};
    wr_parser_init(&p, &sql, &arena, &err);
    const struct wr_type type = wr_parse_type(&p);
    cr_assert(!p.failed, "%s: %s", text, err.message);
    cr_assert_eq(p.token.kind, WR_TOKEN_END, "%s", text);
    wr_arena_deinit(&arena);
    return type;
}

static struct wr_type random_type(struct wr_rand *rand, uint32_t depth)
{
    static const char *const names[] = {"a", "B c", "select", "x\"y", "Ünï", "a.b", "_1", "KEY"};
    static const enum wr_type_id scalars[] = {
        WR_TYPE_BOOL,   WR_TYPE_INT16,   WR_TYPE_INT32, WR_TYPE_INT64,     WR_TYPE_UINT16,
        WR_TYPE_UINT32, WR_TYPE_UINT64,  WR_TYPE_TEXT,  WR_TYPE_BYTES,     WR_TYPE_DATE,
        WR_TYPE_JSON,   WR_TYPE_FLOAT32, WR_TYPE_FLOAT64, WR_TYPE_TIMESTAMP, WR_TYPE_TIMESTAMPTZ,
        WR_TYPE_INTERVAL};
    struct wr_type type;
    struct wr_nested_field fields[4];
    const uint64_t kind = depth == 0 ? 9 : wr_rand_below(rand, 10);
    if (kind < 3) {
        const uint32_t count = 1 + (uint32_t)wr_rand_below(rand, 4);
        const uint64_t first = wr_rand_below(rand, 8);
        for (uint32_t i = 0; i < count; i++) {
            fields[i] = (struct wr_nested_field){names[(first + i) % 8], random_type(rand, depth - 1)};
        }
        cr_assert_eq(wr_nested_struct(fields, count, &type, NULL), WR_OK);
    } else if (kind < 5) {
        cr_assert_eq(wr_nested_array(random_type(rand, depth - 1), &type, NULL), WR_OK);
    } else if (kind < 7) {
        const struct wr_type key = wr_type_of(scalars[wr_rand_below(rand, 10)]);
        cr_assert_eq(wr_nested_map(key, random_type(rand, depth - 1), &type, NULL), WR_OK);
    } else if (kind == 8) {
        type = (struct wr_type){.id = WR_TYPE_DECIMAL, .precision = 20, .scale = 3};
    } else {
        type = wr_type_of(scalars[wr_rand_below(rand, 16)]);
    }
    return type;
}

/* nested.h (4) */
Test(bind_nested, the_name_of_a_type_reads_back_as_the_type)
{
    struct wr_rand rand;
    wr_rand_seed(&rand, 7);
    for (uint32_t i = 0; i < 500; i++) {
        const struct wr_type type = random_type(&rand, 1 + i % 6);
        if (wr_type_is_nested(type)) {
            const char *text = wr_nested_of(type)->text;
            cr_assert(wr_type_equal(parse_type(text), type), "%s", text);
        }
    }
}

Test(bind_nested, all_spellings_of_a_type_are_one_type)
{
    static const char *const same[][2] = {
        {"STRUCT<a BIGINT, \"B c\" TEXT[]>", "ROW(A INT8, \"B c\" ARRAY<STRING>)"},
        {"STRUCT<a BIGINT>[]", "ARRAY(STRUCT(a: BIGINT NULL))"},
        {"MAP<TEXT, DOUBLE PRECISION>", "map(varchar(10) NOT NULL, float8)"},
        {"MAP<TEXT, TEXT[][]>", "MAP<TEXT,ARRAY<ARRAY<TEXT>>>"},
        {"STRUCT<a STRUCT<b MAP<TEXT, NUMERIC(10,2)>>>", "STRUCT<a STRUCT<b MAP<TEXT,DECIMAL(10,2)>>>"},
        {"TIMESTAMPTZ[]", "TIMESTAMP(3) WITH TIME ZONE[]"},
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        const struct wr_type type = parse_type(same[i][1]);
        cr_assert_str_eq(wr_nested_of(type)->text, same[i][0]);
        cr_assert(wr_type_equal(parse_type(same[i][0]), type));
    }
}

static const struct wr_field *scanned(const struct wr_plan *plan, const char *name)
{
    const int32_t c = wr_schema_find(&plan->sources[0].scan, name);
    return c < 0 ? NULL : &plan->sources[0].scan.fields[c];
}

Test(bind_nested, a_field_used_alone_is_decoded_alone)
{
    struct wr_plan *plan = plan_of("", "CREATE VIEW v AS SELECT id, payload AS p FROM events e "
                       "WHERE e.payload.user.id > 0;" OUT
                       "SELECT v.p.user.id AS uid, cardinality(p.items) AS n FROM v");
    cr_assert_null(scanned(plan, "payload"));
    const struct wr_field *id = scanned(plan, "payload.user.id");
    cr_assert_not_null(id);
    cr_assert_eq(id->type.id, WR_TYPE_INT64);
    cr_assert_eq(id->path_count, 3u);
    cr_assert_str_eq(id->path[0], "payload");
    cr_assert_str_eq(id->path[1], "user");
    cr_assert_str_eq(id->path[2], "id");
    cr_assert_eq(scanned(plan, "payload.items")->path_count, 2u);
    cr_assert_null(scanned(plan, "payload.user"));
    wr_plan_destroy(plan);
}

Test(bind_nested, a_field_of_a_struct_that_is_needed_whole_is_taken_out_of_it)
{
    static const char *const wholes[] = {
        OUT "SELECT payload, payload.user.id AS uid FROM events",
        OUT "SELECT payload.user.id AS uid FROM events WHERE payload IS NOT NULL",
        "CREATE SINK o2 WITH (connector = 'stdout') AS SELECT payload FROM events;" OUT
        "SELECT payload.user.id AS uid FROM events",
    };
    for (size_t i = 0; i < 4; i++) {
        struct wr_plan *plan =
            i < 3 ? plan_of("", wholes[i])
                  : plan_of(", on_late = 'late'",
                            "CREATE SINK late WITH (connector = 'stdout');" OUT
                            "SELECT payload.user.id AS uid FROM events");
        const struct wr_plan_source *source = &plan->sources[0];
        const int32_t id = wr_schema_find(&source->scan, "payload.user.id");
        cr_assert_geq(id, 0);
        cr_assert_not_null(scanned(plan, "payload"));
        cr_assert_eq(source->scan.fields[id].path_count, 0u, "it is not decoded a second time");
        cr_assert_not_null(source->computed[id]);
        cr_assert_eq(source->scan.fields[id].declared, UINT32_MAX);
        wr_plan_destroy(plan);
    }
}

Test(bind_nested, the_larger_of_two_fields_gives_the_smaller)
{
    struct wr_plan *plan = plan_of("", OUT "SELECT payload.user AS u, payload.user.id AS uid FROM events");
    cr_assert_null(scanned(plan, "payload"));
    cr_assert_eq(scanned(plan, "payload.user")->path_count, 2u);
    cr_assert_eq(scanned(plan, "payload.user.id")->path_count, 0u);
    wr_plan_destroy(plan);
}

Test(bind_nested, computed_columns_read_fields)
{
    struct wr_plan *plan = NULL;
    struct wr_error err = {0};
    const char *sql =
        "CREATE SOURCE s (p STRUCT<at TIMESTAMP, n INT>, ts AS p.at, WATERMARK FOR ts)\n"
        "WITH (connector = 'kafka', brokers = 'h', topic = 't', format = 'json');\n"
        OUT "SELECT p, ts FROM s";
    cr_assert_eq(wr_sql_plan("t.sql", wr_slice_of(sql), &catalog, NULL, 0, &plan, &err), WR_OK, "%s",
                 err.message);
    const struct wr_plan_source *source = &plan->sources[0];
    const int32_t field = wr_schema_find(&source->scan, "p.at");
    const int32_t ts = wr_schema_find(&source->scan, "ts");
    cr_assert_geq(field, 0);
    cr_assert_not_null(source->computed[field], "p is needed whole");
    cr_assert_lt(field, ts, "columns are computed in order: a field before what reads it");
    cr_assert_eq(source->event_time, (uint32_t)ts);
    wr_plan_destroy(plan);
}

static void expect_explain(const char *query, const char *part)
{
    struct wr_plan *plan = plan_of("", query);
    struct wr_buf text = {0};
    wr_plan_explain(plan, &text);
    cr_assert(strstr(wr_buf_cstr(&text), part) != NULL, "%s is not in\n%s", part, wr_buf_cstr(&text));
    wr_buf_deinit(&text);
    wr_plan_destroy(plan);
}

Test(bind_nested, unnest_stands_in_explain_with_what_it_gives)
{
    expect_explain(OUT "SELECT id, item.sku FROM events CROSS JOIN UNNEST(payload.items) AS item",
                   "    unnest payload.items AS item.sku\n");
    expect_explain(OUT "SELECT e.id, t.item, n FROM events e, UNNEST(payload.items) "
                       "WITH ORDINALITY AS t(item, n)",
                   "unnest payload.items AS item, t.n\n");
    expect_explain(OUT "SELECT a, b FROM events, UNNEST(payload.items) AS t(a, b)",
                   "unnest payload.items AS t.a, t.b\n");
    expect_explain(OUT "SELECT key, value FROM events, UNNEST(attributes)",
                   "unnest attributes AS unnest.key, unnest.value\n");
    expect_explain(OUT "SELECT id, tag FROM events LEFT JOIN UNNEST(tags) AS tag ON TRUE",
                   "unnest (rows without elements too) tags AS tag\n");
    expect_explain(OUT "SELECT id, item FROM events, UNNEST(payload.items) AS item",
                   "unnest payload.items AS item\n");
}

Test(bind_nested, conditions_on_the_row_go_below_unnest)
{
    expect_explain(OUT "SELECT id, item.sku FROM events, UNNEST(payload.items) AS item "
                       "WHERE id > 5 AND item.qty > 1 AND payload.user.name = 'x'",
                   "filter item.qty > 1\n"
                   "      unnest payload.items AS item.sku, item.qty\n"
                   "        filter (id > 5) AND (payload.user.name = 'x')\n");
    /* 1 / id may fail: not for rows that the condition before it refuses. */
    expect_explain(OUT "SELECT id, item.sku FROM events, UNNEST(payload.items) AS item "
                       "WHERE item.qty > 1 AND 1 / id > 0",
                   "filter (item.qty > 1) AND ((1 / id) > 0)\n");
}

Test(bind_nested, windows_stand_over_unnested_rows_and_unnest_over_results)
{
    expect_explain(OUT "SELECT window_start, item.sku, sum(item.qty) AS q "
                       "FROM TUMBLE(events, ts, INTERVAL '10 seconds') AS e, UNNEST(e.payload.items) AS item "
                       "GROUP BY window_start, window_end, item.sku",
                   "by item.sku\n");
    expect_explain(OUT "SELECT w, tag FROM (SELECT window_end AS w, last_value(tags) AS l FROM "
                       "TUMBLE(events, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end) AS r, "
                       "UNNEST(r.l) AS tag",
                   "unnest last_value AS tag\n");
    expect_explain(OUT "SELECT n, tag, t2 FROM (SELECT id AS n, tags FROM events) AS e, UNNEST(tags) AS tag, "
                       "UNNEST(e.tags) AS t2",
                   "unnest tags AS t2\n");
}

Test(bind_nested, a_relation_comes_before_a_column_of_its_name)
{
    expect_explain(OUT "SELECT item.sku, e.item AS own FROM (SELECT payload.items AS items, id AS item FROM events) e, "
                       "UNNEST(e.items) AS item",
                   "project item.sku AS sku, item AS own\n");
    expect_explain(OUT "SELECT i.* FROM events, UNNEST(payload.items) AS i", "columns sku, qty\n");
}

Test(bind_nested, a_sink_is_partitioned_by_a_field_as_by_an_expression)
{
    struct wr_plan *plan = plan_of("", "CREATE SINK out PARTITIONED BY (payload.user.name) "
                                       "WITH (connector = 'stdout') AS SELECT id, payload FROM events");
    const struct wr_plan_sink *sink = &plan->sinks[0];
    cr_assert_eq(sink->visible, 2u);
    cr_assert_eq(sink->partition_count, 1u);
    cr_assert_eq(sink->partition[0], 2u);
    cr_assert_str_eq(sink->schema.fields[2].name, "name");
    cr_assert_eq(plan->nodes[sink->node].schema.count, 3u);
    wr_plan_destroy(plan);
}

Test(bind_nested, a_struct_that_is_grouped_by_gives_its_fields)
{
    expect_explain(OUT "SELECT payload.user.id AS uid, count(*) AS n FROM TUMBLE(events, ts, INTERVAL '1 second') "
                       "GROUP BY window_start, window_end, payload",
                   "project payload.user.id AS uid, count AS n\n");
    expect_explain(OUT "SELECT item.sku, count(*) AS n FROM TUMBLE(events, ts, INTERVAL '1 second') AS e, "
                       "UNNEST(e.payload.items) AS item GROUP BY window_start, window_end, item",
                   "project item.sku AS sku, count AS n\n");
}
