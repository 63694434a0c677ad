/* test_exec_window.c: windows against a brute-force reference: random rows of several splits, late
 * ones, NULLs, one to four workers, any batch size, all keys colliding. Each failure names its
 * seed.
 */
#include "exec_bed.h"

#include "base/hash.h"

/* ---- the reference: lists of rows per window and key ---- */

struct group {
    char key[160];
    const struct bed_row **rows;
    uint32_t count;
    uint32_t capacity;
};

struct reference {
    struct group *groups;
    uint32_t count;
    uint32_t capacity;
    struct wr_ledger_counts ledger[BED_SPLITS];
};

static void group_add(struct reference *ref, const char *key, const struct bed_row *row)
{
    struct group *g = NULL;
    /* Rows of one window and key come close together: the newest groups first. */
    for (uint32_t i = ref->count; i-- > 0;) {
        if (strcmp(ref->groups[i].key, key) == 0) {
            g = &ref->groups[i];
            break;
        }
    }
    if (g == NULL) {
        if (ref->count == ref->capacity) {
            ref->capacity = ref->capacity == 0 ? 256 : ref->capacity * 2;
            ref->groups = wr_realloc(ref->groups, ref->capacity * sizeof *ref->groups);
        }
        g = &ref->groups[ref->count++];
        memset(g, 0, sizeof *g);
        snprintf(g->key, sizeof g->key, "%s", key);
    }
    if (g->count == g->capacity) {
        g->capacity = g->capacity == 0 ? 8 : g->capacity * 2;
        g->rows = wr_realloc(g->rows, g->capacity * sizeof(*g->rows));
    }
    g->rows[g->count++] = row;
}

static void key_text(const struct bed_row *r, int64_t start, int64_t end, const uint32_t *keys,
                     uint32_t key_count, char out[160])
{
    int at = snprintf(out, 160, "0|%lld|%lld", (long long)start, (long long)end);
    for (uint32_t k = 0; k < key_count; k++) {
        if (r->null[keys[k]]) {
            at += snprintf(out + at, 160 - (size_t)at, "|NULL");
        } else if (keys[k] == C_K) {
            at += snprintf(out + at, 160 - (size_t)at, "|%lld", (long long)r->k);
        } else {
            at += snprintf(out + at, 160 - (size_t)at, "|%s", r->name);
        }
    }
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static void reference_sliced(struct reference *ref, const struct wr_plan_window *win, int64_t late,
                             const struct bed_row *rows, uint32_t count, const uint32_t *keys,
                             uint32_t key_count)
{
    const int64_t slide = win->kind == WR_WINDOW_HOP ? win->slide_us : win->size_us;
    for (uint32_t i = 0; i < count; i++) {
        const struct bed_row *r = &rows[i];
        struct wr_ledger_counts *l = &ref->ledger[r->split];
        l->read++;
        if (r->null[C_TS]) {
            l->dead_lettered++;
            continue;
        }
        uint32_t in = 0;
        uint32_t missed = 0;
        for (int64_t k = floor_div(r->ts - win->offset_us, slide);
             win->offset_us + k * slide + win->size_us > r->ts; k--) {
            const int64_t start = win->offset_us + k * slide;
            if (r->wm != WR_TIME_MIN && start + win->size_us + late <= r->wm) {
                missed++;
                continue;
            }
            in++;
            char key[160];
            key_text(r, start, start + win->size_us, keys, key_count, key);
            group_add(ref, key, r);
        }
        l->passed += in > 0;
        l->late += in == 0;
        l->partly_late += in > 0 && missed > 0;
    }
}

static const uint32_t *sort_keys;
static uint32_t sort_key_count;

static int by_key_and_time(const void *a, const void *b)
{
    const struct bed_row *x = *(const struct bed_row *const *)a;
    const struct bed_row *y = *(const struct bed_row *const *)b;
    char xk[160];
    char yk[160];
    key_text(x, 0, 0, sort_keys, sort_key_count, xk);
    key_text(y, 0, 0, sort_keys, sort_key_count, yk);
    const int order = strcmp(xk, yk);
    return order != 0 ? order : (x->ts > y->ts) - (x->ts < y->ts);
}

static void reference_session(struct reference *ref, const struct wr_plan_window *win, int64_t late,
                              const struct bed_row *rows, uint32_t count, const uint32_t *keys,
                              uint32_t key_count)
{
    const struct bed_row **sorted = wr_calloc(count, sizeof(*sorted));
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct bed_row *r = &rows[i];
        struct wr_ledger_counts *l = &ref->ledger[r->split];
        l->read++;
        if (r->null[C_TS]) {
            l->dead_lettered++;
        } else if (r->ts + late < r->wm) {
            l->late++;
        } else {
            l->passed++;
            sorted[kept++] = r;
        }
    }
    sort_keys = keys;
    sort_key_count = key_count;
    qsort(sorted, kept, sizeof(*sorted), by_key_and_time);
    for (uint32_t i = 0; i < kept;) {
        uint32_t end = i + 1;
        char key[160];
        char next[160];
        key_text(sorted[i], 0, 0, keys, key_count, key);
        for (; end < kept; end++) {
            key_text(sorted[end], 0, 0, keys, key_count, next);
            if (strcmp(key, next) != 0 || sorted[end]->ts - sorted[end - 1]->ts >= win->size_us) {
                break;
            }
        }
        key_text(sorted[i], sorted[i]->ts, sorted[end - 1]->ts + win->size_us, keys, key_count, key);
        for (; i < end; i++) {
            group_add(ref, key, sorted[i]);
        }
    }
    free(sorted);
}

static bool value_of(const struct bed_row *r, uint32_t column, double *number)
{
    if (r->null[column]) {
        return false;
    }
    *number = column == C_V ? (double)r->v : column == C_D ? r->d : (double)(int64_t)r->dec / 100.0;
    return true;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool earlier(const struct bed_row *a, const struct bed_row *b)
{
    if (a->ts != b->ts) {
        return a->ts < b->ts;
    }
    return a->split != b->split ? a->split < b->split : a->position < b->position;
}

static void edge_text(const struct group *g, const struct bed_agg *agg, char out[80])
{
    const struct bed_row *best = NULL;
    for (uint32_t i = 0; i < g->count; i++) {
        const struct bed_row *r = g->rows[i];
        if (agg->filter >= 0 && (r->null[agg->filter] || !r->b)) {
            continue;
        }
        if (best == NULL ||
            (agg->kind == WR_AGG_FIRST_VALUE ? earlier(r, best) : earlier(best, r))) {
            best = r;
        }
    }
    if (best == NULL || best->null[agg->column]) {
        snprintf(out, 80, "NULL");
    } else if (agg->column == C_T) {
        snprintf(out, 80, "%s", best->t);
    } else {
        snprintf(out, 80, "%lld", (long long)best->v);
    }
}

static void text_aggregate(const struct group *g, const struct bed_agg *agg, char out[80])
{
    const char *best = NULL;
    uint32_t distinct = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        const struct bed_row *r = g->rows[i];
        if (r->null[C_T] || (agg->filter >= 0 && (r->null[agg->filter] || !r->b))) {
            continue;
        }
        bool seen = false;
        for (uint32_t j = 0; j < i && !seen; j++) {
            const struct bed_row *o = g->rows[j];
            const bool counts = !o->null[C_T] &&
                                !(agg->filter >= 0 && (o->null[agg->filter] || !o->b));
            seen = counts && strcmp(o->t, r->t) == 0;
        }
        distinct += !seen;
        if (best == NULL ||
            (agg->kind == WR_AGG_MIN ? strcmp(r->t, best) < 0 : strcmp(r->t, best) > 0)) {
            best = r->t;
        }
    }
    if (agg->kind == WR_AGG_COUNT_DISTINCT || agg->kind == WR_AGG_APPROX_COUNT_DISTINCT) {
        snprintf(out, 80, "%u", distinct);
    } else {
        snprintf(out, 80, "%s", best == NULL ? "NULL" : best);
    }
}

static void bool_aggregate(const struct group *g, const struct bed_agg *agg, char out[80])
{
    uint32_t seen = 0;
    uint32_t trues = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        seen += !g->rows[i]->null[C_B];
        trues += !g->rows[i]->null[C_B] && g->rows[i]->b;
    }
    const bool value = agg->kind == WR_AGG_BOOL_AND ? trues == seen : trues > 0;
    snprintf(out, 80, "%s", seen == 0 ? "NULL" : value ? "true" : "false");
}

static void decimal_text(__int128 value, uint32_t scale, char out[80])
{
    char text[48];
    const uint32_t bytes = wr_text_decimal(text, value, scale);
    snprintf(out, 80, "%.*s", (int)bytes, text);
}

static void number_aggregate(const struct group *g, const struct bed_agg *agg, char out[80])
{
    double *values = wr_calloc(g->count + 1, sizeof *values);
    uint32_t n = 0;
    double sum = 0;
    __int128 exact = 0;
    for (uint32_t i = 0; i < g->count; i++) {
        const struct bed_row *r = g->rows[i];
        double v;
        if ((agg->filter >= 0 && (r->null[agg->filter] || !r->b)) || !value_of(r, agg->column, &v)) {
            continue;
        }
        values[n++] = v;
        sum += v;
        exact += agg->column == C_DEC ? r->dec : agg->column == C_V ? r->v : 0;
    }
    qsort(values, n, sizeof *values, compare_doubles);
    double mean = n > 0 ? sum / n : 0;
    double m2 = 0;
    uint32_t distinct = 0;
    double distinct_sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        m2 += (values[i] - mean) * (values[i] - mean);
        if (i == 0 || values[i] != values[i - 1]) {
            distinct++;
            distinct_sum += values[i];
        }
    }
    const bool whole = agg->column == C_V;
    snprintf(out, 80, "NULL");
    switch (agg->kind) {
    case WR_AGG_COUNT: snprintf(out, 80, "%u", n); break;
    case WR_AGG_COUNT_DISTINCT:
    case WR_AGG_APPROX_COUNT_DISTINCT: snprintf(out, 80, "%u", distinct); break;
    default: break;
    }
    if (n > 0) {
        switch (agg->kind) {
        case WR_AGG_SUM:
            if (agg->column == C_DEC) {
                decimal_text(exact, 2, out);
            } else {
                snprintf(out, 80, whole ? "%.0f" : "%.17g", sum);
            }
            break;
        case WR_AGG_SUM_DISTINCT: snprintf(out, 80, whole ? "%.0f" : "%.17g", distinct_sum); break;
        case WR_AGG_AVG:
            if (agg->column == C_DEC) {
                const __int128 scaled = exact * 10000;
                const __int128 half = (scaled < 0 ? -1 : 1) * (__int128)(n / 2);
                /* Half away from zero: for odd n no remainder is exactly a half. */
                decimal_text(n % 2 == 0 ? (scaled + half) / n : (scaled * 2 + half * 2 + (scaled < 0 ? -1 : 1)) / (2 * (__int128)n), 6, out);
            } else {
                snprintf(out, 80, "%.17g", mean);
            }
            break;
        case WR_AGG_MIN: snprintf(out, 80, whole ? "%.0f" : "%.17g", values[0]); break;
        case WR_AGG_MAX: snprintf(out, 80, whole ? "%.0f" : "%.17g", values[n - 1]); break;
        case WR_AGG_STDDEV_POP: snprintf(out, 80, "%.17g", sqrt(m2 / n)); break;
        case WR_AGG_VAR_SAMP:
            if (n > 1) {
                snprintf(out, 80, "%.17g", m2 / (n - 1));
            }
            break;
        case WR_AGG_APPROX_PERCENTILE: {
            double rank = ceil(agg->parameter * n);
            rank = rank < 1 ? 1 : rank;
            snprintf(out, 80, "%.17g", values[(uint32_t)rank - 1]);
            break;
        }
        default: break;
        }
    }
    free(values);
}

static void aggregate_text(const struct group *g, const struct bed_agg *agg, char out[80])
{
    if (agg->kind == WR_AGG_COUNT_STAR) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < g->count; i++) {
            n += agg->filter < 0 || (!g->rows[i]->null[agg->filter] && g->rows[i]->b);
        }
        snprintf(out, 80, "%u", n);
    } else if (agg->kind == WR_AGG_FIRST_VALUE || agg->kind == WR_AGG_LAST_VALUE) {
        edge_text(g, agg, out);
    } else if (agg->kind == WR_AGG_BOOL_AND || agg->kind == WR_AGG_BOOL_OR) {
        bool_aggregate(g, agg, out);
    } else if (agg->column == C_T) {
        text_aggregate(g, agg, out);
    } else {
        number_aggregate(g, agg, out);
    }
}

static const struct bed_agg all_aggs[] = {
    { WR_AGG_COUNT_STAR, 0, -1, 0 },
    { WR_AGG_COUNT_STAR, 0, C_B, 0 },
    { WR_AGG_COUNT, C_V, -1, 0 },
    { WR_AGG_SUM, C_V, -1, 0 },
    { WR_AGG_SUM, C_V, C_B, 0 },
    { WR_AGG_AVG, C_V, -1, 0 },
    { WR_AGG_MIN, C_V, -1, 0 },
    { WR_AGG_MAX, C_V, C_B, 0 },
    { WR_AGG_SUM, C_D, -1, 0 },
    { WR_AGG_AVG, C_D, -1, 0 },
    { WR_AGG_MIN, C_D, -1, 0 },
    { WR_AGG_MAX, C_D, -1, 0 },
    { WR_AGG_MIN, C_T, -1, 0 },
    { WR_AGG_MAX, C_T, C_B, 0 },
    { WR_AGG_SUM, C_DEC, -1, 0 },
    { WR_AGG_AVG, C_DEC, -1, 0 },
    { WR_AGG_STDDEV_POP, C_D, -1, 0 },
    { WR_AGG_VAR_SAMP, C_V, -1, 0 },
    { WR_AGG_BOOL_AND, C_B, -1, 0 },
    { WR_AGG_BOOL_OR, C_B, -1, 0 },
    { WR_AGG_COUNT_DISTINCT, C_V, -1, 0 },
    { WR_AGG_COUNT_DISTINCT, C_T, C_B, 0 },
    { WR_AGG_SUM_DISTINCT, C_V, -1, 0 },
    { WR_AGG_FIRST_VALUE, C_T, -1, 0 },
    { WR_AGG_LAST_VALUE, C_V, -1, 0 },
    { WR_AGG_LAST_VALUE, C_T, C_B, 0 },
    { WR_AGG_APPROX_COUNT_DISTINCT, C_V, -1, 0 },
    { WR_AGG_APPROX_COUNT_DISTINCT, C_T, -1, 0 },
    { WR_AGG_APPROX_PERCENTILE, C_D, -1, 0.5 },
    { WR_AGG_APPROX_PERCENTILE, C_V, C_B, 0.99 },
};
#define ALL_AGGS (sizeof all_aggs / sizeof *all_aggs)

static bool close_enough(const struct bed_agg *agg, const char *got, const char *want)
{
    if (strcmp(got, want) == 0) {
        return true;
    }
    if (strcmp(got, "NULL") == 0 || strcmp(want, "NULL") == 0) {
        return false;
    }
    char *got_end;
    char *want_end;
    const double g = strtod(got, &got_end);
    const double w = strtod(want, &want_end);
    if (*got_end != 0 || *want_end != 0) {
        return false;
    }
    double allowed = 0;
    if (agg->kind == WR_AGG_APPROX_PERCENTILE) {
        allowed = 0.01 * fabs(w);
    } else if (agg->kind == WR_AGG_APPROX_COUNT_DISTINCT) {
        allowed = w < 100 ? 1 : 0.1 * w; /* small sets are nearly exact */
    } else if (agg->column == C_D || agg->kind == WR_AGG_AVG || agg->kind == WR_AGG_VAR_SAMP) {
        allowed = agg->column == C_DEC ? 0 : 1e-9 * (fabs(w) + 1);
    }
    return fabs(g - w) <= allowed;
}

static int group_order(const void *a, const void *b)
{
    return strcmp(((const struct group *)a)->key, ((const struct group *)b)->key);
}

static void compare(const char *name, uint64_t seed, struct bed *bed, struct reference *ref)
{
    bed_results_sort(&bed->results);
    if (ref->count > 0) {
        qsort(ref->groups, ref->count, sizeof *ref->groups, group_order);
    }
    for (uint32_t i = 0; i < ref->count && i < bed->results.count; i++) {
        cr_assert_str_eq(bed->results.items[i].key, ref->groups[i].key, "%s, seed %llu, row %u: got %s, expected %s",
                         name, (unsigned long long)seed, i, bed->results.items[i].key, ref->groups[i].key);
        for (uint32_t a = 0; a < ALL_AGGS; a++) {
            char want[80];
            aggregate_text(&ref->groups[i], &all_aggs[a], want);
            cr_assert(close_enough(&all_aggs[a], bed->results.items[i].cell[a], want),
                      "%s, seed %llu, %s, aggregate %u: got %s, expected %s", name,
                      (unsigned long long)seed, ref->groups[i].key, a,
                      bed->results.items[i].cell[a], want);
        }
    }
    cr_assert_eq(bed->results.count, ref->count, "%s, seed %llu: %u results, expected %u", name,
                 (unsigned long long)seed, bed->results.count, ref->count);
    for (uint32_t s = 0; s < BED_SPLITS; s++) {
        const struct wr_ledger_counts *got = &bed->ledger[0][s];
        const struct wr_ledger_counts *want = &ref->ledger[s];
        cr_assert(memcmp(got, want, sizeof *got) == 0,
                  "%s, seed %llu, split %u: passed %llu/%llu late %llu/%llu partly %llu/%llu dead %llu/%llu",
                  name, (unsigned long long)seed, s, (unsigned long long)got->passed,
                  (unsigned long long)want->passed, (unsigned long long)got->late,
                  (unsigned long long)want->late, (unsigned long long)got->partly_late,
                  (unsigned long long)want->partly_late, (unsigned long long)got->dead_lettered,
                  (unsigned long long)want->dead_lettered);
        cr_assert(wr_ledger_balances(got));
    }
}

static void reference_deinit(struct reference *ref)
{
    for (uint32_t i = 0; i < ref->count; i++) {
        free(ref->groups[i].rows);
    }
    free(ref->groups);
}

/* One random case: window, rows, workers, batch size all from the seed. */
static void check_window(const char *name, struct wr_plan_window window, uint64_t seed,
                         uint32_t workers, uint32_t rows_count)
{
    struct wr_rand rand;
    wr_rand_seed(&rand, seed);
    static const uint32_t key_sets[4][2] = { { C_K, C_NAME }, { C_NAME, 0 }, { C_K, 0 }, { 0, 0 } };
    const uint32_t key_counts[4] = { 2, 1, 1, 0 };
    const uint32_t set = (uint32_t)wr_rand_below(&rand, 4);
    const int64_t lateness = (int64_t)wr_rand_below(&rand, 3) * 2 * SECOND;
    static const uint32_t sizes[] = { 1, 2, 7, 64, 1024 };
    const struct bed_run run = {
        .workers = workers,
        .batch_rows = sizes[wr_rand_below(&rand, 5)],
        .budget = (uint32_t[]){ 1, 5, 100000 }[wr_rand_below(&rand, 3)],
        .barriers = wr_rand_below(&rand, 2) == 0,
    };
    const struct bed_shape shape = {
        .rows = rows_count,
        .keys = 1 + (uint32_t)wr_rand_below(&rand, 12),
        .step_us = 20000 + (int64_t)wr_rand_below(&rand, 300000),
        .jitter_us = (int64_t)wr_rand_below(&rand, 3 * SECOND),
        .delay_us = (int64_t)wr_rand_below(&rand, 2) * SECOND,
        .late = wr_rand_below(&rand, 2) == 0 ? 0.05 : 0.0,
        .nulls = wr_rand_below(&rand, 2) == 0 ? 0.1 : 0.0,
    };
    window.lateness_us = lateness;
    window.time_column = C_TS;
    window.offset_us = wr_rand_below(&rand, 2) == 0 ? 0 : 1234567;
    struct bed_plan plan;
    bed_plan_init(&plan, lateness);
    bed_window(&plan, 0, window, key_sets[set], key_counts[set], all_aggs, ALL_AGGS);
    bed_sink(&plan, 1);
    struct bed_row *rows = bed_rows(&rand, &shape);
    struct bed *bed = wr_calloc(1, sizeof *bed);
    bed_open(bed, &plan, &run);
    bed_feed(bed, &rand, &run, rows, rows_count);
    struct reference ref = { 0 };
    if (window.kind == WR_WINDOW_SESSION) {
        reference_session(&ref, &window, lateness, rows, rows_count, key_sets[set], key_counts[set]);
    } else {
        reference_sliced(&ref, &window, lateness, rows, rows_count, key_sets[set], key_counts[set]);
    }
    cr_assert_gt(bed->results.count, 0u, "%s, seed %llu: no results", name, (unsigned long long)seed);
    compare(name, seed, bed, &ref);
    uint64_t late = 0;
    for (uint32_t s = 0; s < BED_SPLITS; s++) {
        late += ref.ledger[s].late;
    }
    cr_assert_eq(bed->late_calls, late);
    for (uint32_t w = 0; w < workers; w++) {
        cr_assert_eq(wr_exec_open_windows(bed->worker[w].exec), 0u);
        cr_assert_eq(wr_exec_oldest_open_us(bed->worker[w].exec), WR_TIME_MAX);
        cr_assert_eq(wr_exec_sink_watermark(bed->worker[w].exec, 0), WR_TIME_MAX);
    }
    reference_deinit(&ref);
    bed_close(bed);
    free(bed);
    free(rows);
    bed_plan_deinit(&plan);
}

static void check_many(const char *name, struct wr_plan_window window, uint64_t first_seed)
{
    static const uint32_t workers[] = { 1, 2, 4, 3 };
    for (uint64_t seed = first_seed; seed < first_seed + 32; seed++) {
        check_window(name, window, seed, workers[seed % 4], 1500);
    }
}

Test(exec_window, tumbles_equal_the_reference, .timeout = 100)
{
    check_many("tumble", (struct wr_plan_window){ .kind = WR_WINDOW_TUMBLE, .size_us = 10 * SECOND },
               100);
}

Test(exec_window, short_tumbles_equal_the_reference, .timeout = 100)
{
    check_many("short tumble",
               (struct wr_plan_window){ .kind = WR_WINDOW_TUMBLE, .size_us = SECOND / 2 }, 200);
}

Test(exec_window, hops_equal_the_reference, .timeout = 100)
{
    check_many("hop",
               (struct wr_plan_window){ .kind = WR_WINDOW_HOP, .size_us = 10 * SECOND,
                                        .slide_us = 2 * SECOND },
               300);
}

Test(exec_window, hops_whose_size_is_no_multiple_of_the_slide, .timeout = 100)
{
    check_many("odd hop",
               (struct wr_plan_window){ .kind = WR_WINDOW_HOP, .size_us = 7 * SECOND,
                                        .slide_us = 3 * SECOND },
               400);
}

Test(exec_window, hops_with_many_slices_equal_the_reference, .timeout = 100)
{
    check_many("fine hop",
               (struct wr_plan_window){ .kind = WR_WINDOW_HOP, .size_us = 5 * SECOND,
                                        .slide_us = SECOND / 5 },
               500);
}

Test(exec_window, sessions_equal_the_reference, .timeout = 100)
{
    check_many("session",
               (struct wr_plan_window){ .kind = WR_WINDOW_SESSION, .size_us = 2 * SECOND }, 600);
}

Test(exec_window, short_sessions_equal_the_reference, .timeout = 100)
{
    check_many("short session",
               (struct wr_plan_window){ .kind = WR_WINDOW_SESSION, .size_us = SECOND / 4 }, 700);
}

Test(exec_window, nothing_changes_when_all_keys_collide, .timeout = 100)
{
    wr_hash_mask = 0;
    check_many("tumble, hash 0",
               (struct wr_plan_window){ .kind = WR_WINDOW_TUMBLE, .size_us = 10 * SECOND }, 800);
    check_many("hop, hash 0",
               (struct wr_plan_window){ .kind = WR_WINDOW_HOP, .size_us = 10 * SECOND,
                                        .slide_us = 2 * SECOND },
               900);
    check_many("session, hash 0",
               (struct wr_plan_window){ .kind = WR_WINDOW_SESSION, .size_us = SECOND }, 1000);
    wr_hash_mask = UINT64_MAX;
}
