/* test_plan_compare.c: what each change of a pipeline does to its state. */
#include "../sql/catalog.h"

#include "base/log.h"
#include "run/plan_compare.h"
#include <criterion/criterion.h>

#define SOURCE                                                                                     \
    "CREATE SOURCE clicks (type TEXT, amount BIGINT, price DOUBLE PRECISION, ts TIMESTAMP,\n"      \
    "  WATERMARK FOR ts AS ts)\n"                                                                  \
    "WITH (connector = 'kafka', brokers = 'h:9092', topic = 'clicks');\n"
#define SINK(name) "CREATE SINK " name " WITH (connector = 'stdout') AS "
#define TUMBLE(size, list, keys)                                                                   \
    "SELECT window_start, " list " FROM TUMBLE(clicks, ts, INTERVAL '" size "') GROUP BY "        \
    "window_start, window_end" keys ";\n"
#define COUNTS SOURCE SINK("counts") TUMBLE("10 seconds", "type, count(*) AS n", ", type")

static struct wr_error err;

static struct wr_plan *plan_of(const char *sql)
{
    struct wr_plan *plan = NULL;
    cr_assert_eq(wr_sql_plan("t.sql", wr_slice_of(sql), &catalog, NULL, 0, &plan, &err), WR_OK,
                 "%s\n%s\n%s", err.message, err.detail, err.hint);
    return plan;
}

/* "keep source clicks; …", reasons left out. */
static const char *compared(const struct wr_manifest *old, const char *sql)
{
    static struct wr_buf text;
    struct wr_changes changes;
    struct wr_plan *plan = plan_of(sql);
    text.bytes = 0;
    cr_assert_eq(wr_plan_compare(old, plan, &changes, &err), WR_OK, "%s", err.message);
    for (uint32_t i = 0; i < changes.count; i++) {
        const struct wr_change *change = &changes.items[i];
        wr_buf_printf(&text, "%s%s %s %s", i > 0 ? "; " : "", wr_change_verdict_name(change->verdict),
                      wr_change_subject_name(change->subject), change->name);
        cr_assert_gt(strlen(change->reason), 5);
    }
    wr_changes_deinit(&changes);
    wr_plan_destroy(plan);
    return wr_buf_cstr(&text);
}

static void expect(const char *before, const char *after, const char *changes)
{
    struct wr_manifest old;
    struct wr_plan *plan = plan_of(before);
    wr_plan_describe(plan, &old);
    cr_assert_str_eq(compared(&old, after), changes);
    wr_manifest_deinit(&old);
    wr_plan_destroy(plan);
}

Test(plan_compare, the_same_pipeline_keeps_all)
{
    expect(COUNTS, COUNTS, "keep source clicks; keep operator counts/window; keep sink counts");
}

Test(plan_compare, what_an_operators_state_is_made_of_must_stay)
{
    static const char refused[] = "keep source clicks; refuse operator counts/window; keep sink counts";
    expect(COUNTS, SOURCE SINK("counts") TUMBLE("20 seconds", "type, count(*) AS n", ", type"), refused);
    expect(COUNTS, SOURCE SINK("counts") TUMBLE("10 seconds", "count(*) AS n", ""), refused);
    expect(COUNTS, SOURCE SINK("counts") TUMBLE("10 seconds", "type, sum(amount) AS n", ", type"), refused);
    expect(SOURCE SINK("counts") TUMBLE("10 seconds", "sum(amount) AS n", ""),
           SOURCE SINK("counts") TUMBLE("10 seconds", "sum(price) AS n", ""), refused);
    expect(COUNTS,
           SOURCE SINK("counts") "SELECT window_start, type, count(*) AS n FROM HOP(clicks, ts, INTERVAL "
                                 "'5 seconds', INTERVAL '10 seconds') GROUP BY window_start, window_end, type;",
           refused);
}

Test(plan_compare, new_ones_start_empty_and_removed_ones_are_dropped)
{
    expect(COUNTS, COUNTS SINK("sums") TUMBLE("1 minute", "sum(amount) AS s", ""),
           "keep source clicks; keep operator counts/window; rebuild operator sums/window; keep sink counts; "
           "rebuild sink sums");
    expect(COUNTS, SOURCE SINK("plain") "SELECT * FROM clicks;",
           "keep source clicks; drop operator counts/window; rebuild sink plain; drop sink counts");
}

Test(plan_compare, rows_that_may_not_be_visible_yet_are_not_forgotten)
{
    struct wr_manifest old;
    struct wr_plan *plan = plan_of(COUNTS);
    wr_plan_describe(plan, &old);
    old.sinks[0].connector = "delta";
    old.sinks[0].exactly_once = true;
    cr_assert_str_eq(compared(&old, COUNTS),
                     "keep source clicks; keep operator counts/window; rebuild sink counts");
    struct wr_slice receipt = WR_SLICE_LITERAL("{}");
    old.sinks[0].receipts = &receipt;
    old.sinks[0].receipt_count = 1;
    old.sinks[0].published = false;
    cr_assert_str_eq(compared(&old, COUNTS),
                     "keep source clicks; keep operator counts/window; refuse sink counts");
    cr_assert_str_eq(compared(&old, SOURCE SINK("plain") "SELECT * FROM clicks;"),
                     "keep source clicks; drop operator counts/window; rebuild sink plain; refuse sink counts");
    wr_manifest_deinit(&old);
    wr_plan_destroy(plan);
}

Test(plan_compare, what_does_not_shape_the_state_may_change)
{
    struct wr_manifest old;
    struct wr_plan *plan = plan_of(COUNTS);
    wr_plan_describe(plan, &old);
    const char *text = old.operators[0].fingerprint;
    old.operators[0].fingerprint =
        wr_arena_printf(&old.arena, "%.*s,\"lateness_us\":5}", (int)strlen(text) - 1, text);
    cr_assert_str_eq(compared(&old, COUNTS),
                     "keep source clicks; migrate operator counts/window; keep sink counts");
    old.operators[0].fingerprint = "{\"kind\":";
    struct wr_changes changes;
    cr_assert_eq(wr_plan_compare(&old, plan, &changes, &err), WR_FAIL);
    cr_assert_eq(err.cls, WR_CLASS_FATAL);
    wr_changes_deinit(&changes);
    wr_manifest_deinit(&old);
    wr_plan_destroy(plan);
}

Test(plan_compare, a_start_is_refused_with_all_reasons_and_a_way_out)
{
    struct wr_manifest old;
    struct wr_plan *before = plan_of(COUNTS SINK("sums") TUMBLE("1 minute", "sum(amount) AS s", ""));
    struct wr_plan *after = plan_of(SOURCE SINK("counts") TUMBLE("20 seconds", "type, count(*) AS n", ", type")
                                        SINK("sums") TUMBLE("1 minute", "max(amount) AS s", ""));
    wr_log_setup(WR_LOG_OFF, WR_LOG_TEXT);
    wr_plan_describe(before, &old);
    cr_assert_eq(wr_plan_accept(&old, before, &err), WR_OK);
    cr_assert_eq(wr_plan_accept(&old, after, &err), WR_FAIL);
    cr_assert_eq(err.cls, WR_CLASS_USER);
    cr_assert_not_null(strstr(err.message, "operator \"counts/window\": the window's size changed"), "%s",
                       err.message);
    cr_assert_not_null(strstr(err.detail, "operator \"sums/window\": its aggregates changed"), "%s", err.detail);
    cr_assert_not_null(strstr(err.hint, "another name"));
    old.cut_count = 0;
    cr_assert_eq(wr_plan_accept(&old, after, &err), WR_OK, "nothing has been committed yet");
    wr_manifest_deinit(&old);
    wr_plan_destroy(before);
    wr_plan_destroy(after);
}
