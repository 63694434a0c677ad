/* test_exec.c: how operators stand together: filters, projections, several sinks, unions, windows
 * over windows, errors of rows and of results, the ledger, memory.
 */
#include "exec_bed.h"

#include <malloc.h>

static struct wr_expr *constant(struct bed_plan *p, int64_t value)
{
    struct wr_expr *e = WR_ARENA_NEW(&p->plan.arena, struct wr_expr);
    e->kind = WR_EXPR_CONST;
    e->type = wr_type_of(WR_TYPE_INT64);
    e->value.i64 = value;
    return e;
}

static struct wr_expr *call(struct bed_plan *p, enum wr_function function, enum wr_type_id type,
                            struct wr_expr *a, struct wr_expr *b)
{
    struct wr_expr *e = WR_ARENA_NEW(&p->plan.arena, struct wr_expr);
    e->kind = WR_EXPR_CALL;
    e->type = wr_type_of(type);
    e->nullable = true;
    e->function = function;
    e->args = WR_ARENA_ARRAY(&p->plan.arena, struct wr_expr *, 2);
    e->args[0] = a;
    e->args[1] = b;
    e->arg_count = 2;
    return e;
}

/* v > 0, or 100 / v > 0 (fails for v = 0) */
static void add_filter(struct bed_plan *p, uint32_t input, bool failing)
{
    struct wr_plan_node *node = bed_node(p, WR_NODE_FILTER, input);
    struct wr_expr *v = bed_column(p, &p->nodes[0].schema, C_V);
    if (failing) {
        v = call(p, WR_FN_DIV_I64, WR_TYPE_INT64, constant(p, 100), v);
    }
    node->filter = call(p, WR_FN_GT_I64, WR_TYPE_BOOL, v, constant(p, 0));
}

struct counts {
    uint64_t total;
    uint64_t positive;
    uint64_t zero;
    uint64_t null_or_negative;
};

static struct counts count_rows(const struct bed_row *rows, uint32_t count)
{
    struct counts c = { .total = count };
    for (uint32_t i = 0; i < count; i++) {
        const bool null = rows[i].null[C_V];
        c.positive += !null && rows[i].v > 0;
        c.zero += !null && rows[i].v == 0;
        c.null_or_negative += null || rows[i].v < 0;
    }
    return c;
}

static struct wr_ledger_counts total(const struct bed *bed, uint32_t sink)
{
    struct wr_ledger_counts sum = { 0 };
    for (uint32_t s = 0; s < BED_SPLITS; s++) {
        cr_assert(wr_ledger_balances(&bed->ledger[sink][s]), "sink %u, split %u", sink, s);
        wr_ledger_add(&sum, &bed->ledger[sink][s]);
    }
    return sum;
}

struct scene {
    struct bed_plan plan;
    struct bed bed;
    struct bed_row *rows;
    struct wr_rand rand;
};

static const struct bed_shape usual = { .rows = 3000, .keys = 7, .step_us = 100000,
                                        .jitter_us = 1000000, .delay_us = 1000000,
                                        .late = 0.03, .nulls = 0.05 };

static struct scene *scene_make(uint64_t seed, const struct bed_shape *shape)
{
    struct scene *s = wr_calloc(1, sizeof *s);
    wr_rand_seed(&s->rand, seed);
    bed_plan_init(&s->plan, 0);
    s->rows = bed_rows(&s->rand, shape);
    return s;
}

static void scene_run(struct scene *s, uint32_t workers, uint32_t batch_rows, uint32_t rows)
{
    const struct bed_run run = { workers, batch_rows, 100, true };
    bed_open(&s->bed, &s->plan, &run);
    bed_feed(&s->bed, &s->rand, &run, s->rows, rows);
    bed_results_sort(&s->bed.results);
}

static void scene_free(struct scene *s)
{
    bed_close(&s->bed);
    bed_plan_deinit(&s->plan);
    free(s->rows);
    free(s);
}

Test(exec, a_filter_passes_what_is_true_and_counts_the_rest)
{
    for (uint64_t seed = 0; seed < 4; seed++) {
        struct scene *s = scene_make(seed, &usual);
        add_filter(&s->plan, 0, false);
        bed_sink(&s->plan, 1);
        scene_run(s, 1, seed == 0 ? 1 : 100, usual.rows);
        const struct counts want = count_rows(s->rows, usual.rows);
        const struct wr_ledger_counts got = total(&s->bed, 0);
        cr_assert_eq(got.read, want.total);
        cr_assert_eq(got.passed, want.positive);
        cr_assert_eq(got.filtered, want.zero + want.null_or_negative);
        cr_assert_eq(s->bed.results.count, want.positive);
        scene_free(s);
    }
}

Test(exec, rows_whose_filter_fails_are_dead_lettered)
{
    struct scene *s = scene_make(1, &usual);
    add_filter(&s->plan, 0, true);
    bed_sink(&s->plan, 1);
    scene_run(s, 1, 128, usual.rows);
    const struct counts want = count_rows(s->rows, usual.rows);
    const struct wr_ledger_counts got = total(&s->bed, 0);
    cr_assert_eq(got.dead_lettered, want.zero);
    cr_assert_eq(got.filtered, want.null_or_negative);
    cr_assert_eq(got.passed, want.positive);
    cr_assert_eq(s->bed.fault_calls, want.zero);
    cr_assert(strstr(s->bed.last_fault, "division by zero") != NULL, "%s", s->bed.last_fault);
    scene_free(s);
}

Test(exec, several_sinks_share_a_scan_and_each_sees_its_rows)
{
    struct scene *s = scene_make(2, &usual);
    add_filter(&s->plan, 0, false);           /* node 1 */
    struct wr_plan_node *project = bed_node(&s->plan, WR_NODE_PROJECT, 1); /* node 2 */
    struct wr_schema *schema = &project->schema;
    schema->count = 2;
    schema->fields = WR_ARENA_ARRAY(&s->plan.plan.arena, struct wr_field, 2);
    schema->fields[0] = s->plan.nodes[0].schema.fields[C_NAME];
    schema->fields[1] = s->plan.nodes[0].schema.fields[C_V];
    project->project = WR_ARENA_ARRAY(&s->plan.plan.arena, struct wr_expr *, 2);
    project->project[0] = bed_column(&s->plan, &s->plan.nodes[0].schema, C_NAME);
    project->project[1] = call(&s->plan, WR_FN_ADD_I64, WR_TYPE_INT64,
                               bed_column(&s->plan, &s->plan.nodes[0].schema, C_V),
                               constant(&s->plan, 1000));
    bed_sink(&s->plan, 0);
    bed_sink(&s->plan, 1);
    bed_sink(&s->plan, 2);
    scene_run(s, 1, 100, usual.rows);
    const struct counts want = count_rows(s->rows, usual.rows);
    cr_assert_eq(total(&s->bed, 0).passed, want.total);
    cr_assert_eq(total(&s->bed, 1).passed, want.positive);
    cr_assert_eq(total(&s->bed, 2).passed, want.positive);
    cr_assert_eq(s->bed.results.count, want.total + 2 * want.positive);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s->bed.results.count; i++) {
        if (s->bed.results.items[i].key[0] == '2') {
            sum += (uint64_t)atoll(strrchr(s->bed.results.items[i].key, '|') + 1);
        }
    }
    uint64_t expected = 0;
    for (uint32_t i = 0; i < usual.rows; i++) {
        const struct bed_row *r = &s->rows[i];
        expected += !r->null[C_V] && r->v > 0 ? (uint64_t)r->v + 1000 : 0;
    }
    cr_assert_eq(sum, expected);
    scene_free(s);
}

Test(exec, a_row_that_reaches_a_sink_on_two_paths_counts_once)
{
    struct scene *s = scene_make(3, &usual);
    add_filter(&s->plan, 0, false);
    add_filter(&s->plan, 0, true);
    struct wr_plan_node *both = bed_node(&s->plan, WR_NODE_UNION, 1);
    both->inputs = WR_ARENA_ARRAY(&s->plan.plan.arena, uint32_t, 2);
    both->inputs[0] = 1;
    both->inputs[1] = 2;
    both->input_count = 2;
    bed_sink(&s->plan, 3);
    scene_run(s, 1, 100, usual.rows);
    const struct counts want = count_rows(s->rows, usual.rows);
    const struct wr_ledger_counts got = total(&s->bed, 0);
    cr_assert_eq(got.passed, want.positive);
    cr_assert_eq(got.dead_lettered, want.zero);
    cr_assert_eq(got.filtered, want.null_or_negative);
    cr_assert_eq(s->bed.results.count, 2 * want.positive);
    scene_free(s);
}

/* ---- windows over windows ---- */

static const struct bed_agg count_only[] = { { WR_AGG_COUNT_STAR, 0, -1, 0 } };

/* Sum of the first cell, and of the second cells, over all results of a sink. */
static int64_t sum_cells(const struct bed *bed, char sink, uint32_t cell)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < bed->results.count; i++) {
        if (bed->results.items[i].key[0] == sink) {
            sum += atoll(bed->results.items[i].cell[cell]);
        }
    }
    return sum;
}

static void check_nested(struct wr_plan_window inner, struct wr_plan_window outer, uint64_t seed,
                         uint32_t workers, int64_t copies)
{
    struct scene *s = scene_make(seed, &usual);
    const uint32_t key = C_K;
    bed_window(&s->plan, 0, inner, &key, 1, count_only, 1);  /* node 1: start, end, k, n */
    const struct bed_agg aggs[] = { { WR_AGG_COUNT_STAR, 0, -1, 0 }, { WR_AGG_SUM, 3, -1, 0 },
                                    { WR_AGG_FIRST_VALUE, 3, -1, 0 } };
    bed_window(&s->plan, 1, outer, NULL, 0, aggs, 3);        /* node 2 */
    bed_sink(&s->plan, 1);
    bed_sink(&s->plan, 2);
    scene_run(s, workers, 64, usual.rows);
    uint32_t inner_rows = 0;
    for (uint32_t i = 0; i < s->bed.results.count; i++) {
        inner_rows += s->bed.results.items[i].key[0] == '0';
        if (i > 0) {
            cr_assert(strcmp(s->bed.results.items[i].key, s->bed.results.items[i - 1].key) != 0,
                      "seed %llu: %s twice", (unsigned long long)seed, s->bed.results.items[i].key);
        }
    }
    cr_assert_eq(sum_cells(&s->bed, '1', 0), (int64_t)inner_rows * copies,
                 "seed %llu, %u workers: %lld, expected %u x %lld", (unsigned long long)seed, workers,
                 (long long)sum_cells(&s->bed, '1', 0), inner_rows, (long long)copies);
    cr_assert_eq(sum_cells(&s->bed, '1', 1), sum_cells(&s->bed, '0', 0) * copies);
    cr_assert_eq(total(&s->bed, 0).passed, total(&s->bed, 1).passed);
    cr_assert_eq(total(&s->bed, 0).late, total(&s->bed, 1).late);
    scene_free(s);
}

static const struct wr_plan_window inner_tumble = { .kind = WR_WINDOW_TUMBLE, .size_us = SECOND,
                                                    .time_column = C_TS };
static const struct wr_plan_window inner_hop = { .kind = WR_WINDOW_HOP, .size_us = 2 * SECOND,
                                                 .slide_us = SECOND, .time_column = C_TS };

Test(exec, a_window_over_a_window_counts_every_result_once)
{
    const struct wr_plan_window outer = { .kind = WR_WINDOW_TUMBLE, .size_us = 10 * SECOND,
                                          .time_column = 0, .hold_us = SECOND - 1, .outer = true };
    const struct wr_plan_window outer_hop = { .kind = WR_WINDOW_HOP, .size_us = 10 * SECOND,
                                              .slide_us = 2 * SECOND, .time_column = 0,
                                              .hold_us = SECOND - 1, .outer = true };
    for (uint64_t seed = 0; seed < 8; seed++) {
        check_nested(inner_tumble, outer, seed, 1 + (uint32_t)seed % 4, 1);
        check_nested(inner_tumble, outer_hop, seed, 1 + (uint32_t)seed % 4, 5);
    }
}

Test(exec, grouping_by_the_inner_windows_bounds)
{
    const struct wr_plan_window outer = { .kind = WR_WINDOW_INHERIT, .time_column = 0,
                                          .end_column = 1, .outer = true };
    for (uint64_t seed = 0; seed < 8; seed++) {
        check_nested(inner_tumble, outer, seed, 1 + (uint32_t)seed % 4, 1);
        check_nested(inner_hop, outer, seed, 1 + (uint32_t)seed % 4, 1);
    }
}

Test(exec, results_do_not_depend_on_the_number_of_workers)
{
    const struct wr_plan_window outer = { .kind = WR_WINDOW_INHERIT, .time_column = 0,
                                          .end_column = 1, .outer = true };
    struct bed_results first = { 0 };
    for (uint32_t workers = 1; workers <= 4; workers++) {
        struct scene *s = scene_make(77, &usual);
        const uint32_t key = C_NAME;
        const struct bed_agg aggs[] = { { WR_AGG_COUNT_STAR, 0, -1, 0 },
                                        { WR_AGG_LAST_VALUE, C_T, -1, 0 },
                                        { WR_AGG_APPROX_COUNT_DISTINCT, C_T, -1, 0 } };
        bed_window(&s->plan, 0, inner_hop, &key, 1, aggs, 3);
        const struct bed_agg outer_aggs[] = { { WR_AGG_MAX, 4, -1, 0 }, { WR_AGG_LAST_VALUE, 3, -1, 0 } };
        bed_window(&s->plan, 1, outer, NULL, 0, outer_aggs, 2);
        bed_sink(&s->plan, 1);
        bed_sink(&s->plan, 2);
        scene_run(s, workers, 50, usual.rows);
        if (workers == 1) {
            first = s->bed.results;
            s->bed.results = (struct bed_results){ 0 };
        } else {
            cr_assert_eq(s->bed.results.count, first.count);
            for (uint32_t i = 0; i < first.count; i++) {
                cr_assert(memcmp(&first.items[i], &s->bed.results.items[i], sizeof first.items[i]) == 0,
                          "%s differs with %u workers", first.items[i].key, workers);
            }
        }
        scene_free(s);
    }
    free(first.items);
}

/* ---- errors of results ---- */

Test(exec, a_sum_beyond_bigint_is_an_error_of_the_result_row_only)
{
    for (uint32_t workers = 1; workers <= 2; workers++) {
        struct bed_shape shape = usual;
        shape.rows = 400;
        shape.nulls = 0;
        shape.late = 0;
        struct scene *s = scene_make(5, &shape);
        uint32_t big = 0;
        for (uint32_t i = 0; i < shape.rows; i++) {
            s->rows[i].ts = 1000 * SECOND;
            s->rows[i].wm = WR_TIME_MIN;
            s->rows[i].k = i % 2;
            s->rows[i].v = i % 2 == 0 ? INT64_MAX / 4 : i % 4 == 1 ? INT64_MAX : -INT64_MAX;
            big += i % 2 == 0;
        }
        const uint32_t key = C_K;
        const struct bed_agg aggs[] = { { WR_AGG_SUM, C_V, -1, 0 }, { WR_AGG_AVG, C_V, -1, 0 } };
        bed_window(&s->plan, 0, inner_tumble, &key, 1, aggs, 2);
        bed_sink(&s->plan, 1);
        scene_run(s, workers, 16, shape.rows);
        cr_assert_eq(big, 200u);
        cr_assert_eq(s->bed.results.count, 1u); /* key 1: sums beyond 64 bits on the way, 0 at the end */
        cr_assert_str_eq(s->bed.results.items[0].cell[0], "0");
        cr_assert_eq(s->bed.fault_calls, 1u);
        cr_assert_str_eq(s->bed.last_fault, "sum is out of range of BIGINT");
        cr_assert_eq(total(&s->bed, 0).passed, shape.rows);
        scene_free(s);
    }
}

Test(exec, rows_without_or_beyond_event_time_are_dead_lettered)
{
    struct bed_shape shape = usual;
    shape.rows = 40;
    shape.nulls = 0;
    struct scene *s = scene_make(6, &shape);
    for (uint32_t i = 0; i < shape.rows; i++) {
        s->rows[i].wm = WR_TIME_MIN;
        s->rows[i].null[C_TS] = i % 4 == 0;
        if (i % 4 == 1) {
            s->rows[i].ts = i % 8 == 1 ? INT64_MAX : INT64_MIN;
        }
    }
    bed_window(&s->plan, 0, inner_tumble, NULL, 0, count_only, 1);
    bed_sink(&s->plan, 1);
    scene_run(s, 1, 8, shape.rows);
    cr_assert_eq(total(&s->bed, 0).dead_lettered, 20u);
    cr_assert_eq(total(&s->bed, 0).passed, 20u);
    scene_free(s);
}

/* ---- sinks that have had the rows ---- */

/* Everything that was counted for a sink; the bed counts what is read even for a muted one. */
static struct wr_ledger_counts counted(const struct bed *bed, uint32_t sink)
{
    struct wr_ledger_counts sum = { 0 };
    for (uint32_t split = 0; split < BED_SPLITS; split++) {
        sum.passed += bed->ledger[sink][split].passed;
        sum.late += bed->ledger[sink][split].late;
        sum.dead_lettered += bed->ledger[sink][split].dead_lettered;
        sum.filtered += bed->ledger[sink][split].filtered;
    }
    return sum;
}

Test(exec, muted_sinks_and_what_feeds_them_alone_see_nothing)
{
    struct scene *s = scene_make(3, &usual);
    const uint32_t key = C_K;
    add_filter(&s->plan, 0, true);                                  /* node 1: rows with v == 0 fail */
    bed_window(&s->plan, 0, inner_tumble, &key, 1, count_only, 1);  /* node 2 */
    bed_sink(&s->plan, 0);
    bed_sink(&s->plan, 1);
    bed_sink(&s->plan, 2);
    const struct bed_run run = { .workers = 1, .batch_rows = 64, .budget = 100000 };
    bed_open(&s->bed, &s->plan, &run);
    const bool muted[3] = { false, true, true };
    wr_exec_mute(s->bed.worker[0].exec, muted);
    bed_feed(&s->bed, &s->rand, &run, s->rows, usual.rows);
    cr_assert_eq(s->bed.results.count, usual.rows);
    cr_assert_eq(counted(&s->bed, 0).passed, usual.rows);
    cr_assert_eq(s->bed.fault_calls, 0u);
    cr_assert_eq(s->bed.late_calls, 0u);
    for (uint32_t sink = 1; sink < 3; sink++) {
        const struct wr_ledger_counts got = counted(&s->bed, sink);
        cr_assert_eq(got.passed + got.late + got.dead_lettered + got.filtered, 0u);
    }
    scene_free(s);
}

Test(exec, a_muted_sink_beside_another_of_the_same_filter_counts_nothing)
{
    struct scene *s = scene_make(4, &usual);
    add_filter(&s->plan, 0, true);
    add_filter(&s->plan, 1, false);
    bed_sink(&s->plan, 1);
    bed_sink(&s->plan, 2);
    const struct bed_run run = { .workers = 1, .batch_rows = 64, .budget = 100000 };
    bed_open(&s->bed, &s->plan, &run);
    const bool muted[2] = { true, false };
    wr_exec_mute(s->bed.worker[0].exec, muted);
    bed_feed(&s->bed, &s->rand, &run, s->rows, usual.rows);
    const struct counts want = count_rows(s->rows, usual.rows);
    cr_assert_eq(s->bed.results.count, want.positive);
    cr_assert_eq(s->bed.fault_calls, want.zero); /* once, for the sink that listens */
    cr_assert_eq(counted(&s->bed, 1).passed, want.positive);
    cr_assert_eq(counted(&s->bed, 1).dead_lettered, want.zero);
    cr_assert_eq(counted(&s->bed, 0).passed + counted(&s->bed, 0).dead_lettered, 0u);
    wr_exec_mute(s->bed.worker[0].exec, NULL);
    s->bed.results.count = 0;
    struct wr_batch_pool *pool = wr_batch_pool_create(&s->plan.source.scan, 64, 8);
    uint32_t cursor = 0;
    wr_exec_push(s->bed.worker[0].exec, 0, bed_batch(pool, s->rows, usual.rows, 0, &cursor, 64, 0),
                 (struct wr_time){ 0 });
    cr_assert_gt(counted(&s->bed, 0).passed, 0u);
    wr_batch_pool_destroy(pool);
    scene_free(s);
}

/* ---- what state depends on ---- */

Test(exec, a_fingerprint_names_what_the_state_depends_on)
{
    struct scene *s = scene_make(5, &usual);
    const uint32_t keys[] = { C_K, C_NAME };
    const struct bed_agg aggs[] = { { WR_AGG_COUNT_DISTINCT, C_T, C_B, 0 },
                                    { WR_AGG_APPROX_PERCENTILE, C_D, -1, 0.5 } };
    bed_window(&s->plan, 0, inner_hop, keys, 2, aggs, 2);
    bed_sink(&s->plan, 1);
    struct wr_buf text = { 0 };
    wr_exec_fingerprint(&s->plan.plan, 1, &text);
    cr_assert_str_eq(
        wr_buf_cstr(&text),
        "{\"format\":1,\"kind\":\"hop\",\"size_us\":2000000,\"slide_us\":1000000,\"offset_us\":0,"
        "\"time\":\"ts\",\"keys\":[{\"expr\":\"k\",\"type\":\"BIGINT\",\"nullable\":true},"
        "{\"expr\":\"name\",\"type\":\"TEXT\",\"nullable\":true}],\"aggregates\":["
        "{\"function\":\"count\",\"distinct\":true,\"arg\":\"t\",\"arg_type\":\"TEXT\","
        "\"filter\":\"b\",\"type\":\"BIGINT\"},{\"function\":\"approx_percentile\",\"arg\":\"d\","
        "\"arg_type\":\"DOUBLE PRECISION\",\"fraction\":0.5,\"type\":\"DOUBLE PRECISION\"}]}");
    wr_buf_deinit(&text);
    bed_plan_deinit(&s->plan);
    free(s->rows);
    free(s);
}

/* ---- memory ---- */

Test(exec, a_steady_state_allocates_nothing)
{
    struct bed_plan plan;
    bed_plan_init(&plan, 0);
    const uint32_t keys[] = { C_NAME, C_K };
    const struct bed_agg aggs[] = { { WR_AGG_COUNT_STAR, 0, -1, 0 }, { WR_AGG_SUM, C_D, -1, 0 },
                                    { WR_AGG_MAX, C_T, -1, 0 }, { WR_AGG_COUNT_DISTINCT, C_V, -1, 0 } };
    bed_window(&plan, 0, inner_hop, keys, 2, aggs, 4);
    bed_sink(&plan, 1);
    struct bed *bed = wr_calloc(1, sizeof *bed);
    const struct bed_run run = { 1, 256, 100000, false };
    bed_open(bed, &plan, &run);
    struct wr_batch_pool *pool = wr_batch_pool_create(&plan.source.scan, 256, 8);
    struct wr_rand rand;
    wr_rand_seed(&rand, 9);
    const struct bed_shape shape = { .rows = 256, .keys = 20, .step_us = 100, .nulls = 0.0 };
    struct bed_row *rows = bed_rows(&rand, &shape);
    size_t held = 0;
    bed->results.items = wr_calloc(400000, sizeof *bed->results.items);
    bed->results.capacity = 400000;
    for (uint32_t turn = 0; turn < 3000; turn++) {
        struct wr_batch *batch = wr_batch_take(pool);
        for (uint32_t i = 0; i < 256; i++) {
            rows[i].ts = (int64_t)turn * SECOND / 20 + i;
            bed_fill(batch, i, &rows[i]);
        }
        batch->rows = 256;
        batch->origin.wm_low = batch->origin.wm_high = turn == 0 ? WR_TIME_MIN : rows[0].ts - SECOND;
        wr_exec_push(bed->worker[0].exec, 0, batch, (struct wr_time){ 0 });
        wr_exec_watermark(bed->worker[0].exec, 0, rows[0].ts - SECOND, 0, (struct wr_time){ 0 });
        bed_step_all(bed, 100000);
        if (turn == 1000) {
            held = mallinfo2().uordblks;
        }
    }
    cr_assert_lt(bed->results.count, bed->results.capacity);
    cr_assert_gt(bed->results.count, 1000u);
    cr_assert_leq(mallinfo2().uordblks, held + 4096, "memory in use grew by %zu",
                  mallinfo2().uordblks - held);
    cr_assert_leq(wr_exec_open_windows(bed->worker[0].exec), 1000u);
    bed_close(bed);
    wr_batch_pool_destroy(pool);
    free(rows);
    free(bed);
    bed_plan_deinit(&plan);
}
