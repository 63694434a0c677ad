/* Plans of whole pipelines, looked at through EXPLAIN and the plan's own fields. */
#include "../sql/catalog.h"

#include "base/assert.h"
#include "base/buf.h"

#include <criterion/criterion.h>

#define CLICKS                                                                                 \
    "CREATE SOURCE clicks (event_id TEXT, user_id BIGINT NOT NULL, type TEXT,\n"               \
    "  amount DOUBLE PRECISION, price NUMERIC(10,2), small SMALLINT, total BIGINT UNSIGNED,\n" \
    "  payload JSON, \"userName\" TEXT, ts TIMESTAMP, day DATE,\n"                             \
    "  WATERMARK FOR ts AS ts - INTERVAL '1 second')\n"                                        \
    "WITH (connector = 'kafka', brokers = 'h:9092', topic = 'clicks');\n"
#define OUT "CREATE SINK out WITH (connector = 'stdout') AS "

static struct wr_plan *plan_of(const char *sql)
{
    struct wr_plan *plan = NULL;
    struct wr_error err = {0};
    const wr_status status = wr_sql_plan("t.sql", wr_slice_of(sql), &catalog, NULL, 0, &plan, &err);
    cr_assert_eq(status, WR_OK, "%s\n%s\n%s", err.message, err.detail, err.hint);
    return plan;
}

static void expect_error(const char *sql, const char *message)
{
    struct wr_plan *plan = NULL;
    struct wr_error err = {0};
    cr_assert_eq(wr_sql_plan("t.sql", wr_slice_of(sql), &catalog, NULL, 0, &plan, &err), WR_FAIL,
                 "accepted: %s", sql);
    cr_assert_eq(err.cls, WR_CLASS_USER);
    cr_assert(strstr(err.message, message) != NULL, "%s", err.message);
}

/* The expression of SELECT's first column over clicks, with its type. */
static void expect_expr(const char *expr, const char *text, const char *type)
{
    struct wr_buf sql = {0};
    struct wr_buf got = {0};
    char name[32];
    wr_buf_printf(&sql, CLICKS OUT "SELECT %s AS x FROM clicks", expr);
    struct wr_plan *plan = plan_of(wr_buf_cstr(&sql));
    const struct wr_plan_node *node = &plan->nodes[plan->sinks[0].node];
    cr_assert_eq(node->kind, WR_NODE_PROJECT);
    wr_expr_text(&got, node->project[0], &plan->nodes[node->inputs[0]].schema);
    cr_assert_str_eq(wr_buf_cstr(&got), text);
    cr_assert_str_eq(wr_type_name(node->project[0]->type, name, sizeof(name)), type, "%s: %s", expr,
                     name);
    wr_buf_deinit(&sql);
    wr_buf_deinit(&got);
    wr_plan_destroy(plan);
}

Test(binder, a_pass_through_of_all_columns_adds_no_operator)
{
    struct wr_plan *plan = plan_of(CLICKS OUT "SELECT * FROM clicks");
    cr_assert_eq(plan->node_count, 1);
    cr_assert_eq(plan->nodes[0].kind, WR_NODE_SCAN);
    cr_assert_eq(plan->sinks[0].node, 0);
    cr_assert_eq(plan->sinks[0].visible, 11);
    wr_plan_destroy(plan);
}

Test(binder, only_used_columns_are_scanned)
{
    struct wr_plan *plan =
        plan_of(CLICKS OUT "SELECT upper(type) AS t FROM clicks WHERE user_id > 5");
    const struct wr_plan_source *source = &plan->sources[0];
    cr_assert_eq(source->scan.count, 3);
    cr_assert_str_eq(source->scan.fields[0].name, "user_id");
    cr_assert_eq(source->scan.fields[0].declared, 1);
    cr_assert_str_eq(source->scan.fields[1].name, "type");
    cr_assert_str_eq(source->scan.fields[2].name, "ts");
    cr_assert_eq(source->event_time, 2);
    cr_assert_eq(source->watermark_delay_us, 1000000);
    wr_plan_destroy(plan);
}

Test(binder, sinks_share_one_scan_and_late_rows_keep_every_column)
{
    struct wr_plan *plan = plan_of(
        "CREATE SOURCE s (a BIGINT, b TEXT, ts TIMESTAMP, WATERMARK FOR ts)\n"
        "WITH (connector = 'kafka', brokers = 'h', topic = 't', on_late = 'late', on_error = "
        "'bad');\n"
        "CREATE SINK late WITH (connector = 'stdout');\n"
        "CREATE SINK bad WITH (connector = 'stdout');\n"
        "CREATE SINK one WITH (connector = 'stdout') AS SELECT a FROM s;\n"
        "CREATE SINK two WITH (connector = 'stdout') AS SELECT window_start, count(*) AS n\n"
        "FROM TUMBLE(s, ts, INTERVAL '10' MINUTES) GROUP BY 1, window_end;\n");
    const struct wr_plan_source *source = &plan->sources[0];
    cr_assert_eq(source->scan.count, 3);
    cr_assert_eq(plan->nodes[source->scan_node].consumer_count, 2);
    cr_assert_eq(source->late_sink, 0);
    cr_assert_eq(source->error_sink, 1);
    cr_assert_eq(source->on_error, WR_ON_ERROR_SINK);
    cr_assert_eq(plan->sinks[0].feed, WR_FEED_LATE);
    cr_assert_eq(plan->sinks[0].schema.count, 8);
    cr_assert_str_eq(plan->sinks[0].schema.fields[7].name, "_lateness_us");
    cr_assert_eq(plan->sinks[1].feed, WR_FEED_ERRORS);
    cr_assert_eq(plan->sinks[1].schema.count, 11);
    cr_assert_str_eq(plan->sinks[1].schema.fields[10].name, "_sinks");
    cr_assert(plan->sinks[3].windowed && !plan->sinks[2].windowed);
    for (uint32_t n = 0; n < plan->node_count; n++) {
        if (plan->nodes[n].kind == WR_NODE_WINDOW) {
            cr_assert_eq(plan->nodes[n].window.size_us, 600000000);
            cr_assert_not(plan->nodes[n].window.outer);
        }
    }
    wr_plan_destroy(plan);
}

Test(binder, windows_over_windows_are_held_back_by_their_time_column)
{
    struct wr_plan *plan = plan_of(
        CLICKS
        "CREATE VIEW v AS SELECT window_start, window_end, window_time, type, count(*) AS n\n"
        "FROM HOP(clicks, ts, INTERVAL '1 second', INTERVAL '10 seconds')\n"
        "GROUP BY window_start, window_end, type;\n"
        "CREATE SINK a WITH (connector = 'stdout') AS SELECT window_start, max(n) AS m\n"
        "FROM TUMBLE(v, window_start, INTERVAL '1 minute') GROUP BY window_start, window_end;\n"
        "CREATE SINK b WITH (connector = 'stdout') AS SELECT window_start, max(n) AS m\n"
        "FROM TUMBLE(v, window_time, INTERVAL '1 minute') GROUP BY window_start, window_end;\n"
        "CREATE SINK c WITH (connector = 'stdout') AS SELECT window_end, max(n) AS m\n"
        "FROM v GROUP BY window_start, window_end;\n");
    uint32_t seen = 0;
    for (uint32_t n = 0; n < plan->node_count; n++) {
        const struct wr_plan_window *w = &plan->nodes[n].window;
        if (plan->nodes[n].kind != WR_NODE_WINDOW || !w->outer) {
            continue;
        }
        seen++;
        cr_assert_eq(w->hold_us, seen == 1 ? 9999999 : 0);
        cr_assert_eq(w->kind, seen == 3 ? WR_WINDOW_INHERIT : WR_WINDOW_TUMBLE);
        const struct wr_schema *in = &plan->nodes[plan->nodes[n].inputs[0]].schema;
        cr_assert_str_eq(in->fields[w->time_column].name,
                         seen == 2 ? "window_time" : "window_start");
    }
    cr_assert_eq(seen, 3);
    cr_assert_eq(plan->exchange_count, 6);
    wr_plan_destroy(plan);
}

Test(binder, operators_widen_as_postgresql_does)
{
    expect_expr("small + 1", "CAST(small AS INTEGER) + 1", "INTEGER");
    expect_expr("user_id * small", "user_id * CAST(small AS BIGINT)", "BIGINT");
    expect_expr("user_id / 2.0", "CAST(user_id AS NUMERIC(19,0)) / 2.0", "NUMERIC(38,6)");
    expect_expr("amount + 1", "amount + 1", "DOUBLE PRECISION");
    expect_expr("price * 2", "price * 2", "NUMERIC(20,2)");
    expect_expr("price + 1.005", "CAST(price AS NUMERIC(11,3)) + 1.005", "NUMERIC(12,3)");
    expect_expr("total + user_id", "CAST(total AS NUMERIC(20,0)) + CAST(user_id AS NUMERIC(20,0))",
                "NUMERIC(21,0)");
    expect_expr("small = 5", "small = 5", "BOOLEAN");
    expect_expr("small = 70000", "CAST(small AS INTEGER) = 70000", "BOOLEAN");
    expect_expr("-5", "-5", "INTEGER");
    expect_expr("9223372036854775807", "9223372036854775807", "BIGINT");
    expect_expr("ts - INTERVAL '10' MINUTES", "ts - INTERVAL '00:10:00'", "TIMESTAMP");
    expect_expr("ts - '2024-01-01'", "ts - '2024-01-01T00:00:00Z'", "INTERVAL");
    expect_expr("day + 1", "day + 1", "DATE");
    expect_expr("type || user_id", "type || CAST(user_id AS TEXT)", "TEXT");
}

Test(binder, words_of_sql_are_bound_to_functions)
{
    expect_expr("extract(hour FROM ts)", "date_part('hour', ts)", "DOUBLE PRECISION");
    expect_expr("position('a' IN type)", "position('a', type)", "INTEGER");
    expect_expr("substring(type FROM 2 FOR 3)", "substring(type, 2, 3)", "TEXT");
    expect_expr("trim(LEADING 'x' FROM type)", "ltrim(type, 'x')", "TEXT");
    expect_expr("user_id BETWEEN 1 AND 5", "(user_id >= 1) AND (user_id <= 5)", "BOOLEAN");
    expect_expr("type NOT LIKE 'a!%' ESCAPE '!'", "NOT (type LIKE 'a!%' ESCAPE '!')", "BOOLEAN");
    expect_expr("CASE small WHEN 1 THEN 'a' END", "CASE WHEN small = 1 THEN 'a' END", "TEXT");
    expect_expr("coalesce(small, user_id)", "coalesce(CAST(small AS BIGINT), user_id)", "BIGINT");
    expect_expr("TRY_CAST(type AS INT)", "TRY_CAST(type AS INTEGER)", "INTEGER");
    expect_expr("'5'::int", "5", "INTEGER");
    expect_expr("user_id IS NOT DISTINCT FROM 5", "NOT (user_id IS DISTINCT FROM 5)", "BOOLEAN");
}

Test(binder, json_paths_become_values_where_one_is_needed)
{
    expect_expr("payload.user.id", "(payload -> 'user') -> 'id'", "JSON");
    expect_expr("payload.user.id = 'a'", "((payload -> 'user') ->> 'id') = 'a'", "BOOLEAN");
    expect_expr("payload.user.id::bigint", "CAST((payload -> 'user') ->> 'id' AS BIGINT)",
                "BIGINT");
    expect_expr("payload.n > 1.5", "CAST(payload ->> 'n' AS NUMERIC(38,9)) > 1.500000000",
                "BOOLEAN");
    expect_expr("payload -> 'a' ->> 0", "(payload -> 'a') ->> 0", "TEXT");
}

Test(binder, unquoted_names_fold_and_match_one_column_of_another_case)
{
    expect_expr("USERNAME", "userName", "TEXT");
    expect_expr("clicks.userName", "userName", "TEXT");
    expect_expr("\"userName\"", "userName", "TEXT");
    expect_error(CLICKS OUT "SELECT \"username\" FROM clicks", "unknown column");
}

Test(binder, precedence_is_postgresqls)
{
    expect_expr("NOT small = 1 AND small = 2 OR small = 3",
                "((NOT (small = 1)) AND (small = 2)) OR (small = 3)", "BOOLEAN");
    expect_expr("1 + 2 * 3 - 4", "(1 + (2 * 3)) - 4", "INTEGER");
    expect_expr("2 * -small", "2 * CAST(-small AS INTEGER)", "INTEGER");
    expect_expr("type || 'a' = 'b' IS NULL", "((type || 'a') = 'b') IS NULL", "BOOLEAN");
    expect_expr("NOT type IS NULL", "NOT (type IS NULL)", "BOOLEAN");
}

Test(binder, partition_expressions_are_columns_that_the_query_does_not_show)
{
    struct wr_plan *plan =
        plan_of(CLICKS "CREATE SINK lake WITH (connector = 'parquet', path = 'x',\n"
                       "partition_by = 'type, date(ts) AS dt') AS SELECT * FROM clicks;");
    const struct wr_plan_sink *sink = &plan->sinks[0];
    cr_assert_eq(sink->visible, 11);
    cr_assert_eq(sink->schema.count, 12);
    cr_assert_str_eq(sink->schema.fields[11].name, "dt");
    cr_assert_eq(sink->schema.fields[11].type.id, WR_TYPE_DATE);
    cr_assert_eq(sink->partition_count, 2);
    cr_assert_eq(sink->partition[0], 2);
    cr_assert_eq(sink->partition[1], 11);
    cr_assert_eq(sink->commit_interval_us, 60000000);
    wr_plan_destroy(plan);
}

Test(binder, sub_queries_and_views_merge_into_one_project)
{
    struct wr_plan *plan = plan_of(
        CLICKS "CREATE VIEW v AS SELECT user_id + 1 AS u, type FROM clicks WHERE small > 1;\n" OUT
               "SELECT u * 2 AS w FROM (SELECT u FROM v WHERE type = 'a') s WHERE true;");
    cr_assert_eq(plan->node_count, 3);
    cr_assert_eq(plan->nodes[0].kind, WR_NODE_SCAN);
    cr_assert_eq(plan->nodes[1].kind, WR_NODE_FILTER);
    cr_assert_eq(plan->nodes[2].kind, WR_NODE_PROJECT);
    wr_plan_destroy(plan);
}

Test(binder, inserts_into_one_sink_are_a_union_cast_to_its_columns)
{
    struct wr_plan *plan = plan_of(
        CLICKS
        "CREATE TABLE o (a TEXT, b DOUBLE PRECISION) WITH (connector = 'stdout', type = 'sink');\n"
        "INSERT INTO o SELECT user_id, small FROM clicks;\n"
        "INSERT INTO o (b) SELECT amount FROM clicks;\n");
    const struct wr_plan_node *top = &plan->nodes[plan->sinks[0].node];
    cr_assert_eq(top->kind, WR_NODE_UNION);
    cr_assert_eq(top->input_count, 2);
    cr_assert_eq(plan->sinks[0].schema.fields[0].type.id, WR_TYPE_TEXT);
    cr_assert_eq(plan->sinks[0].schema.fields[1].type.id, WR_TYPE_FLOAT64);
    wr_plan_destroy(plan);
}

Test(binder, flink_and_arroyo_spellings_give_the_same_window)
{
    static const char *const spellings[] = {
        CLICKS OUT
        "SELECT window_start, window_end, count(*) AS n FROM TABLE(TUMBLE(TABLE clicks,\n"
        "DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end",
        CLICKS OUT
        "SELECT window_start, window_end, count(*) AS n FROM TUMBLE(clicks, size =>\n"
        "INTERVAL '10 seconds', timecol => DESCRIPTOR(ts)) GROUP BY 1, 2 EMIT ON WINDOW CLOSE",
        CLICKS OUT "SELECT tumble(interval '10 seconds') AS window, count(*) AS n FROM clicks\n"
                   "GROUP BY window",
        CLICKS OUT
        "SELECT tumble(interval '10 seconds') AS window, count(*) AS n FROM clicks GROUP BY 1",
        CLICKS OUT
        "SELECT window.start AS window_start, window.end AS window_end, n FROM (SELECT\n"
        "tumble(interval '10 seconds') AS window, count(*) AS n FROM clicks GROUP BY window)",
    };
    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
        struct wr_plan *plan = plan_of(spellings[i]);
        const struct wr_plan_sink *sink = &plan->sinks[0];
        cr_assert_eq(sink->schema.count, 3);
        cr_assert_str_eq(sink->schema.fields[0].name, "window_start");
        cr_assert_str_eq(sink->schema.fields[1].name, "window_end");
        cr_assert_eq(plan->node_count, 3);
        cr_assert_eq(plan->nodes[1].kind, WR_NODE_WINDOW);
        cr_assert_eq(plan->nodes[1].window.size_us, 10000000);
        wr_plan_destroy(plan);
    }
}

Test(binder, computed_columns_and_metadata_are_scanned_when_used)
{
    struct wr_plan *plan =
        plan_of("CREATE TABLE t (ms BIGINT, et AS from_epoch_ms(ms), rt TIMESTAMP METADATA FROM "
                "'timestamp',\n"
                "WATERMARK FOR et) WITH (connector = 'kafka', brokers = 'h', topic = 't', type = "
                "'source');\n" OUT "SELECT et, rt, _offset FROM t");
    const struct wr_plan_source *source = &plan->sources[0];
    cr_assert_eq(source->scan.count, 5);
    cr_assert_neq(source->metadata_column[WR_META_OFFSET], WR_NO_COLUMN);
    cr_assert_neq(source->metadata_column[WR_META_TIMESTAMP], WR_NO_COLUMN);
    cr_assert_eq(source->metadata_column[WR_META_KEY], WR_NO_COLUMN);
    cr_assert_null(source->computed[0]);
    cr_assert_not_null(source->computed[1]);
    cr_assert_eq(source->watermark_delay_us, 0);
    wr_plan_destroy(plan);
}

Test(binder, settings_are_checked_and_the_command_line_wins)
{
    const struct wr_option_pair override = {"workers", "3", "3", UINT32_MAX, UINT32_MAX};
    struct wr_plan *plan = NULL;
    struct wr_error err = {0};
    const char *sql = "SET workers = 2; SET state = 'x';" CLICKS OUT "SELECT * FROM clicks";
    cr_assert_eq(wr_sql_plan("t.sql", wr_slice_of(sql), &catalog, &override, 1, &plan, &err), WR_OK,
                 "%s", err.message);
    cr_assert_eq(plan->setting_count, 2);
    cr_assert_str_eq(plan->settings[0].value, "3");
    wr_plan_destroy(plan);
    expect_error("SET workers = 'x';" CLICKS OUT "SELECT * FROM clicks", "is not an integer");
}

Test(binder, secrets_never_reach_the_explain_text)
{
    struct wr_plan *plan = plan_of(
        "CREATE SOURCE s (a BIGINT) WITH (connector = 'kafka', brokers = 'h', topic = '${TOPIC}',\n"
        "password = '${KAFKA_PASSWORD}');\n" OUT "SELECT * FROM s");
    struct wr_buf text = {0};
    cr_assert_str_eq(wr_options_text(plan->sources[0].options, "password"), "hunter2");
    wr_plan_explain(plan, &text);
    cr_assert_null(strstr(wr_buf_cstr(&text), "hunter2"));
    cr_assert_not_null(strstr(wr_buf_cstr(&text), "topic = '${TOPIC}', password = '***'"));
    wr_buf_deinit(&text);
    wr_plan_destroy(plan);
}

Test(binder, what_would_grow_without_bound_is_refused)
{
    struct wr_buf sql = {0};
    wr_buf_text(&sql, CLICKS "CREATE VIEW v0 AS SELECT * FROM clicks;");
    for (int i = 1; i < 40; i++) { /* 2^39 reads of clicks */
        wr_buf_printf(&sql, "CREATE VIEW v%d AS SELECT * FROM v%d UNION ALL SELECT * FROM v%d;", i,
                      i - 1, i - 1);
    }
    wr_buf_text(&sql, OUT "SELECT * FROM v39");
    expect_error(wr_buf_cstr(&sql), "more than 4096 operators");
    sql.bytes = 0;
    wr_buf_text(&sql, CLICKS OUT "SELECT ");
    for (int i = 0; i < 60; i++) { /* each level would double the one below */
        wr_buf_text(&sql, "CASE ");
    }
    wr_buf_text(&sql, "small");
    for (int i = 0; i < 60; i++) {
        wr_buf_text(&sql, " WHEN 1 THEN 1 WHEN 2 THEN 2 END");
    }
    wr_buf_text(&sql, " FROM clicks");
    expect_error(wr_buf_cstr(&sql), "too long");
    wr_buf_deinit(&sql);
}
