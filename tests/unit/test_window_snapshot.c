/* test_window_snapshot.c: runs that are cut, crash and go on with another number of workers give what an
 * uninterrupted run gives, each result once. Random plans and rows; each failure names its seed.
 */
#include "exec_bed.h"

#include "base/hash.h"

static const struct bed_agg all_aggs[] = {
    { WR_AGG_COUNT_STAR, 0, -1, 0 },
    { WR_AGG_COUNT, C_V, C_B, 0 },
    { WR_AGG_SUM, C_V, -1, 0 },
    { WR_AGG_AVG, C_V, -1, 0 },
    { WR_AGG_MIN, C_V, -1, 0 },
    { WR_AGG_MAX, C_V, C_B, 0 },
    { WR_AGG_SUM, C_D, -1, 0 },
    { WR_AGG_MAX, C_D, -1, 0 },
    { WR_AGG_MIN, C_T, -1, 0 },
    { WR_AGG_MAX, C_T, C_B, 0 },
    { WR_AGG_SUM, C_DEC, -1, 0 },
    { WR_AGG_AVG, C_DEC, -1, 0 },
    { WR_AGG_STDDEV_POP, C_D, -1, 0 },
    { WR_AGG_BOOL_AND, C_B, -1, 0 },
    { WR_AGG_COUNT_DISTINCT, C_V, -1, 0 },
    { WR_AGG_COUNT_DISTINCT, C_T, C_B, 0 },
    { WR_AGG_SUM_DISTINCT, C_V, -1, 0 },
    { WR_AGG_FIRST_VALUE, C_T, -1, 0 },
    { WR_AGG_LAST_VALUE, C_V, -1, 0 },
    { WR_AGG_APPROX_COUNT_DISTINCT, C_V, -1, 0 },
    { WR_AGG_APPROX_COUNT_DISTINCT, C_T, -1, 0 },
    { WR_AGG_APPROX_PERCENTILE, C_D, -1, 0.5 },
};
#define ALL_AGGS (sizeof all_aggs / sizeof *all_aggs)

/* ---- plans ---- */

enum shape { TUMBLE, HOP, ODD_HOP, FINE_HOP, SESSION, INHERIT, OUTER_HOP, OUTER_SESSION, SHAPES };

static const char *const shape_names[] = { "tumble",  "hop",       "odd hop",      "fine hop",
                                           "session", "inherit",   "outer hop",    "outer session" };

static const struct wr_plan_window windows[] = {
    [TUMBLE] = { .kind = WR_WINDOW_TUMBLE, .size_us = 10 * SECOND },
    [HOP] = { .kind = WR_WINDOW_HOP, .size_us = 10 * SECOND, .slide_us = 2 * SECOND },
    [ODD_HOP] = { .kind = WR_WINDOW_HOP, .size_us = 7 * SECOND, .slide_us = 3 * SECOND },
    [FINE_HOP] = { .kind = WR_WINDOW_HOP, .size_us = 5 * SECOND, .slide_us = SECOND / 5 },
    [SESSION] = { .kind = WR_WINDOW_SESSION, .size_us = 2 * SECOND },
};

static void plan_make(struct bed_plan *plan, enum shape shape, struct wr_rand *rand)
{
    static const uint32_t key_sets[4][2] = { { C_K, C_NAME }, { C_NAME, 0 }, { C_K, 0 }, { 0, 0 } };
    static const uint32_t key_counts[4] = { 2, 1, 1, 0 };
    const uint32_t set = (uint32_t)wr_rand_below(rand, 4);
    const int64_t lateness = (int64_t)wr_rand_below(rand, 3) * 2 * SECOND;
    struct wr_plan_window window = windows[shape < INHERIT ? shape : TUMBLE];
    if (shape >= INHERIT) {
        window.size_us = SECOND;
    }
    window.lateness_us = lateness;
    window.time_column = C_TS;
    window.offset_us = wr_rand_below(rand, 2) == 0 ? 0 : 1234567;
    bed_plan_init(plan, lateness);
    bed_window(plan, 0, window, key_sets[set], key_counts[set], all_aggs, ALL_AGGS);
    bed_sink(plan, 1);
    if (shape < INHERIT) {
        return;
    }
    const uint32_t first = 2 + key_counts[set];
    const struct bed_agg outer_aggs[] = {
        { WR_AGG_COUNT_STAR, 0, -1, 0 }, { WR_AGG_SUM, first, -1, 0 },
        { WR_AGG_MAX, first + 8, -1, 0 }, { WR_AGG_COUNT_DISTINCT, first + 17, -1, 0 },
    };
    struct wr_plan_window outer = { .kind = WR_WINDOW_INHERIT, .time_column = 0, .end_column = 1,
                                    .lateness_us = lateness, .outer = true };
    if (shape == OUTER_HOP) {
        outer = (struct wr_plan_window){ .kind = WR_WINDOW_HOP, .size_us = 10 * SECOND,
                                         .slide_us = 2 * SECOND, .time_column = 0,
                                         .lateness_us = lateness, .hold_us = SECOND - 1, .outer = true };
    } else if (shape == OUTER_SESSION) {
        outer = (struct wr_plan_window){ .kind = WR_WINDOW_SESSION, .size_us = 3 * SECOND / 2,
                                         .time_column = 0, .lateness_us = lateness,
                                         .hold_us = SECOND - 1, .outer = true };
    }
    const uint32_t key = 2;
    bed_window(plan, 1, outer, &key, key_counts[set] > 0 ? 1 : 0, outer_aggs, 4);
    bed_sink(plan, 2);
}

/* ---- a history ---- */

enum forget { FORGET_NOTHING, FORGET_BEFORE_BASE, FORGET_UNNEEDED };

struct history {
    const char *name;
    uint64_t seed;
    struct wr_rand rand;
    struct bed_plan plan;
    struct bed_shape rows_shape;
    struct bed_row *rows;
    struct bed *bed;
    struct wr_batch_pool *pool;
    struct bed_run run;
    uint32_t every;
    uint32_t every_of[8];
    enum forget forget;
    struct bed_store store;
    uint32_t cursor[BED_SPLITS];
    bool ended[BED_SPLITS];
    uint64_t epoch;
    /* Of the last committed epoch. */
    uint64_t cut_epoch;
    uint32_t cut_cursor[BED_SPLITS];
    bool cut_ended[BED_SPLITS];
    int64_t cut_watermark[8];
    struct wr_ledger_counts cut_ledger[4][BED_SPLITS];
    struct bed_results results; /* committed */
    uint32_t crashes;
};

static void drop_pieces(struct bed_store *store, bool (*drop)(struct history *, uint64_t),
                        struct history *h)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < store->count; i++) {
        if (drop(h, store->items[i].epoch)) {
            free(store->items[i].data);
        } else {
            store->items[kept++] = store->items[i];
        }
    }
    store->count = kept;
}

static bool is_uncommitted(struct history *h, uint64_t epoch)
{
    return epoch > h->cut_epoch;
}

static bool is_forgotten(struct history *h, uint64_t epoch)
{
    bool needed = h->forget == FORGET_NOTHING;
    for (uint32_t w = 0; w < h->bed->workers; w++) {
        const struct wr_exec *exec = h->bed->worker[w].exec;
        const bool mine = wr_exec_snapshot_needed(exec, epoch);
        cr_assert(!mine || epoch >= wr_exec_snapshot_base(exec));
        needed |= h->forget == FORGET_UNNEEDED ? mine : epoch >= wr_exec_snapshot_base(exec);
    }
    return !needed;
}

static void commit(struct history *h)
{
    h->cut_epoch = h->epoch;
    memcpy(h->cut_cursor, h->cursor, sizeof h->cursor);
    memcpy(h->cut_ended, h->ended, sizeof h->ended);
    memcpy(h->cut_ledger, h->bed->ledger, sizeof h->cut_ledger);
    for (uint32_t n = 0; n < h->plan.plan.node_count; n++) {
        h->cut_watermark[n] = WR_TIME_MIN;
        for (uint32_t w = 0; w < h->bed->workers; w++) {
            const int64_t wm = wr_exec_node_watermark(h->bed->worker[w].exec, n);
            h->cut_watermark[n] = wm > h->cut_watermark[n] ? wm : h->cut_watermark[n];
        }
    }
    for (uint32_t i = 0; i < h->bed->results.count; i++) {
        *bed_results_add(&h->results) = h->bed->results.items[i];
    }
    h->bed->results.count = 0;
    drop_pieces(&h->store, is_forgotten, h);
}

static void open_bed(struct history *h)
{
    h->run.workers = 1 + (uint32_t)wr_rand_below(&h->rand, 4);
    h->run.store = &h->store;
    bed_open(h->bed, &h->plan, &h->run);
    h->pool = wr_batch_pool_create(&h->plan.source.scan, h->run.batch_rows, 8);
}

static void close_bed(struct history *h)
{
    bed_close(h->bed);
    cr_assert_eq(wr_batch_pool_out(h->pool), 0u);
    wr_batch_pool_destroy(h->pool);
}

static void restore(struct history *h)
{
    memcpy(h->cursor, h->cut_cursor, sizeof h->cursor);
    memcpy(h->ended, h->cut_ended, sizeof h->ended);
    memcpy(h->bed->ledger, h->cut_ledger, sizeof h->cut_ledger);
    for (uint32_t w = 0; w < h->bed->workers; w++) {
        struct wr_exec *exec = h->bed->worker[w].exec;
        for (uint32_t n = 0; n < h->plan.plan.node_count; n++) {
            for (uint32_t i = 0; i < h->store.count; i++) {
                const struct bed_piece *piece = &h->store.items[i];
                struct wr_error err;
                if (piece->node == n) {
                    cr_assert_eq(wr_exec_restore(exec, n, piece->epoch, piece->data, piece->bytes, &err),
                                 WR_OK, "%s, seed %llu: %s", h->name, (unsigned long long)h->seed,
                                 err.message);
                }
            }
            wr_exec_restored(exec, n, h->cut_watermark[n]);
        }
    }
}

static void crash(struct history *h)
{
    close_bed(h);
    drop_pieces(&h->store, is_uncommitted, h);
    h->epoch = h->cut_epoch;
    h->crashes++;
    open_bed(h);
    restore(h);
}

/* One turn: rows of a split, its watermark, some messages and emissions. */
static void turn(struct history *h)
{
    const uint32_t split = (uint32_t)wr_rand_below(&h->rand, BED_SPLITS);
    struct bed *bed = h->bed;
    const uint32_t count = h->rows_shape.rows;
    struct bed_worker *w = &bed->worker[split % bed->workers];
    struct wr_batch *batch =
        bed_batch(h->pool, h->rows, count, split, &h->cursor[split],
                  1 + (uint32_t)wr_rand_below(&h->rand, h->run.batch_rows),
                  h->plan.source.lateness_us);
    if (batch != NULL) {
        for (uint32_t s = 0; s < h->plan.plan.sink_count; s++) {
            bed->ledger[s][split].read += batch->rows;
        }
        wr_exec_push(w->exec, 0, batch, (struct wr_time){ 0 });
    } else {
        h->ended[split] = true;
    }
    int64_t wm = WR_TIME_MAX;
    for (uint32_t s = w->index; s < BED_SPLITS; s += bed->workers) {
        const int64_t own = bed_split_wm(h->rows, count, s, h->cursor[s]);
        wm = own < wm ? own : wm;
    }
    if (wr_rand_below(&h->rand, 3) > 0 && wm != WR_TIME_MAX) {
        wr_exec_watermark(w->exec, 0, wm, 0, (struct wr_time){ 0 });
    }
    for (uint32_t i = 0; i < 3; i++) {
        bed_deliver_one(bed, (uint32_t)wr_rand_below(&h->rand, bed->workers),
                        (uint32_t)wr_rand_below(&h->rand, bed->workers));
    }
    if (wr_rand_below(&h->rand, 4) == 0) {
        bed_step_all(bed, h->run.budget);
    }
}

static bool all_ended(const struct history *h)
{
    for (uint32_t s = 0; s < BED_SPLITS; s++) {
        if (!h->ended[s]) {
            return false;
        }
    }
    return true;
}

static void barrier(struct history *h, bool final)
{
    bed_barrier_of(h->bed, ++h->epoch, final);
    if (!final && wr_rand_below(&h->rand, 8) == 0) {
        crash(h); /* before the commit */
    } else if (final || h->epoch % h->every == 0) {
        commit(h);
    }
}

static void finish(struct history *h)
{
    for (uint32_t w = 0; w < h->bed->workers; w++) {
        wr_exec_watermark(h->bed->worker[w].exec, 0, WR_TIME_MAX, 0, (struct wr_time){ 0 });
    }
    bed_drain(h->bed, h->run.budget);
    barrier(h, true);
    for (uint32_t n = 1; n < h->plan.plan.node_count; n++) {
        cr_assert_lt(h->cut_watermark[n], WR_TIME_MAX);
        cr_assert_gt(h->cut_watermark[n], WR_TIME_MIN);
    }
    crash(h); /* a later start finds everything closed and tells nothing again */
    for (uint32_t w = 0; w < h->bed->workers; w++) {
        cr_assert_eq(wr_exec_open_windows(h->bed->worker[w].exec), 0u, "%s, seed %llu: open windows",
                     h->name, (unsigned long long)h->seed);
        wr_exec_watermark(h->bed->worker[w].exec, 0, WR_TIME_MAX, 0, (struct wr_time){ 0 });
    }
    bed_drain(h->bed, h->run.budget);
    cr_assert_eq(h->bed->results.count, 0u);
}

static struct bed_results run_plain(struct history *h)
{
    const struct bed_run run = { .workers = 1, .batch_rows = 64, .budget = 100000 };
    struct bed *bed = wr_calloc(1, sizeof *bed);
    bed_open(bed, &h->plan, &run);
    bed_feed(bed, &h->rand, &run, h->rows, h->rows_shape.rows);
    struct bed_results results = bed->results;
    bed->results = (struct bed_results){ 0 };
    bed_results_sort(&results);
    for (uint32_t s = 0; s < h->plan.plan.sink_count; s++) {
        for (uint32_t split = 0; split < BED_SPLITS; split++) {
            cr_assert(memcmp(&bed->ledger[s][split], &h->cut_ledger[s][split],
                             sizeof bed->ledger[s][split]) == 0,
                      "%s, seed %llu: the ledger differs", h->name, (unsigned long long)h->seed);
        }
    }
    bed_close(bed);
    free(bed);
    return results;
}

static bool same_value(const char *a, const char *b)
{
    if (strcmp(a, b) == 0) {
        return true;
    }
    char *a_end;
    char *b_end;
    const double x = strtod(a, &a_end);
    const double y = strtod(b, &b_end);
    return *a_end == 0 && *b_end == 0 && strchr(a, '.') != NULL &&
           fabs(x - y) <= 1e-9 * (fabs(x) + 1); /* sums of floats: to rounding */
}

static void compare(struct history *h)
{
    struct bed_results want = run_plain(h);
    bed_results_sort(&h->results);
    for (uint32_t i = 0; i < want.count && i < h->results.count; i++) {
        const struct bed_result *g = &h->results.items[i];
        const struct bed_result *w = &want.items[i];
        cr_assert_str_eq(g->key, w->key, "%s, seed %llu: got %s, expected %s", h->name,
                         (unsigned long long)h->seed, g->key, w->key);
        for (uint32_t a = 0; a < w->count; a++) {
            cr_assert(same_value(g->cell[a], w->cell[a]), "%s, seed %llu, %s, %u: got %s, expected %s",
                      h->name, (unsigned long long)h->seed, w->key, a, g->cell[a], w->cell[a]);
        }
    }
    cr_assert_eq(h->results.count, want.count, "%s, seed %llu: %u results, expected %u", h->name,
                 (unsigned long long)h->seed, h->results.count, want.count);
    cr_assert_gt(want.count, 0u);
    free(want.items);
}

static void history_make(struct history *h, enum shape shape, uint64_t seed)
{
    static const uint32_t sizes[] = { 1, 7, 64, 256 };
    h->name = shape_names[shape];
    h->seed = seed;
    wr_rand_seed(&h->rand, seed);
    plan_make(&h->plan, shape, &h->rand);
    h->rows_shape = (struct bed_shape){
        .rows = 1000,
        .keys = 1 + (uint32_t)wr_rand_below(&h->rand, wr_rand_below(&h->rand, 2) == 0 ? 4 : 200),
        .step_us = 20000 + (int64_t)wr_rand_below(&h->rand, 300000),
        .jitter_us = (int64_t)wr_rand_below(&h->rand, 3 * SECOND),
        .delay_us = (int64_t)wr_rand_below(&h->rand, 2) * SECOND,
        .late = wr_rand_below(&h->rand, 2) == 0 ? 0.05 : 0.0,
        .nulls = wr_rand_below(&h->rand, 2) == 0 ? 0.1 : 0.0,
    };
    h->rows = bed_rows(&h->rand, &h->rows_shape);
    h->run.batch_rows = sizes[wr_rand_below(&h->rand, 4)];
    h->run.budget = (uint32_t[]){ 1, 5, 100000 }[wr_rand_below(&h->rand, 3)];
    h->every = wr_rand_below(&h->rand, 3) == 0 ? 3 : 1;
    for (uint32_t n = 0; n < 8; n++) {
        h->every_of[n] = h->every;
        h->cut_watermark[n] = WR_TIME_MIN;
    }
    h->run.snapshot_every = h->every_of;
    h->forget = (enum forget)wr_rand_below(&h->rand, 3);
    h->bed = wr_calloc(1, sizeof *h->bed);
}

static uint32_t check_history(enum shape shape, uint64_t seed)
{
    struct history *h = wr_calloc(1, sizeof *h);
    history_make(h, shape, seed);
    const uint32_t often = 2 + (uint32_t)wr_rand_below(&h->rand, 30);
    open_bed(h);
    while (!all_ended(h)) {
        turn(h);
        if (wr_rand_below(&h->rand, often) == 0) {
            barrier(h, false);
        }
        if (wr_rand_below(&h->rand, often * 8) == 0 && h->crashes < 20) {
            crash(h);
        }
    }
    finish(h);
    const uint32_t crashes = h->crashes;
    compare(h);
    close_bed(h);
    bed_store_deinit(&h->store);
    free(h->results.items);
    free(h->bed);
    free(h->rows);
    bed_plan_deinit(&h->plan);
    free(h);
    return crashes;
}

static void check_many(enum shape shape, uint64_t first)
{
    uint32_t crashes = 0;
    for (uint64_t seed = first; seed < first + 60; seed++) {
        crashes += check_history(shape, seed);
    }
    cr_assert_gt(crashes, 120u, "%u crashes prove little", crashes);
}

Test(window_snapshot, tumbles_go_on_after_crashes, .timeout = 110)
{
    check_many(TUMBLE, 1000);
}

Test(window_snapshot, hops_go_on_after_crashes, .timeout = 110)
{
    check_many(HOP, 2000);
}

Test(window_snapshot, hops_whose_size_is_no_multiple_of_the_slide, .timeout = 110)
{
    check_many(ODD_HOP, 3000);
}

Test(window_snapshot, hops_with_many_slices, .timeout = 110)
{
    check_many(FINE_HOP, 4000);
}

Test(window_snapshot, sessions_go_on_after_crashes, .timeout = 110)
{
    check_many(SESSION, 5000);
}

Test(window_snapshot, windows_over_windows_go_on_after_crashes, .timeout = 110)
{
    check_many(INHERIT, 6000);
    check_many(OUTER_HOP, 7000);
    check_many(OUTER_SESSION, 8000);
}

Test(window_snapshot, nothing_changes_when_all_keys_collide, .timeout = 110)
{
    wr_hash_mask = 0;
    for (uint32_t shape = 0; shape < SHAPES; shape++) {
        for (uint64_t seed = 0; seed < 8; seed++) {
            check_history((enum shape)shape, 9000 + shape * 100 + seed);
        }
    }
    wr_hash_mask = UINT64_MAX;
}
