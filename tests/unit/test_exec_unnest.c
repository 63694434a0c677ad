/* test_exec_unnest.c: UNNEST among the operators: how many rows come out, what the ledger says of the source's rows, lateness, dead
 * letters and windows over the elements, with one worker and several; nested keys in snapshots, whole and damaged. */
#include "exec_bed.h"

#include "batch/nested.h"

enum { C_ELEMENT = C_COUNT, C_ORDINALITY, C_ALL };

static struct wr_type array_of(struct wr_type element)
{
    struct wr_type type;
    cr_assert_eq(wr_nested_array(element, &type, NULL), WR_OK);
    return type;
}

static struct wr_type bigint(void)
{
    return wr_type_of(WR_TYPE_INT64);
}

static struct wr_type pair(void)
{
    const struct wr_nested_field fields[] = { { "a", bigint() }, { "b", wr_type_of(WR_TYPE_TEXT) } };
    struct wr_type type;
    cr_assert_eq(wr_nested_struct(fields, 2, &type, NULL), WR_OK);
    return type;
}

/* UNNEST(CAST(t AS element[])) over node input: its columns, the element, its number. */
static struct wr_plan_node *add_unnest(struct bed_plan *p, uint32_t input, struct wr_type element,
                                       bool outer)
{
    struct wr_plan_node *node = bed_node(p, WR_NODE_UNNEST, input);
    struct wr_arena *arena = &p->plan.arena;
    struct wr_expr *cast = WR_ARENA_NEW(arena, struct wr_expr);
    cast->kind = WR_EXPR_CAST;
    cast->type = array_of(element);
    cast->nullable = true;
    cast->args = WR_ARENA_ARRAY(arena, struct wr_expr *, 1);
    cast->args[0] = bed_column(p, &p->nodes[input].schema, C_T);
    cast->arg_count = 1;
    node->schema = (struct wr_schema){ WR_ARENA_ARRAY(arena, struct wr_field, C_ALL), C_ALL };
    memcpy(node->schema.fields, p->nodes[input].schema.fields, C_COUNT * sizeof(struct wr_field));
    node->schema.fields[C_ELEMENT] = (struct wr_field){ .name = "element", .type = element };
    node->schema.fields[C_ORDINALITY] = (struct wr_field){ .name = "ordinality", .type = bigint() };
    node->unnest = (struct wr_plan_unnest){ .value = cast, .outer = outer };
    node->unnest.columns = WR_ARENA_ARRAY(arena, uint32_t, C_ALL);
    for (uint32_t c = 0; c < C_COUNT; c++) {
        node->unnest.columns[c] = c;
    }
    node->unnest.columns[C_ELEMENT] = WR_UNNEST_ELEMENT;
    node->unnest.columns[C_ORDINALITY] = WR_UNNEST_ORDINALITY;
    return node;
}

static const struct bed_shape usual = { .rows = 3000, .keys = 7, .step_us = 100000,
                                        .jitter_us = 1000000, .delay_us = 1000000,
                                        .late = 0.03, .nulls = 0.05 };

struct scene {
    struct bed_plan plan;
    struct bed bed;
    struct bed_row *rows;
    struct wr_rand rand;
};

/* v: how many elements t has; element i is i - zeros, so that some are 0. */
static void set_elements(struct wr_rand *rand, struct bed_row *rows, uint32_t count, bool structs)
{
    for (uint32_t i = 0; i < count; i++) {
        struct bed_row *r = &rows[i];
        const uint32_t n = (uint32_t)wr_rand_below(rand, structs ? 2 : 5);
        size_t at = (size_t)snprintf(r->t, sizeof r->t, "[");
        for (uint32_t e = 0; e < n; e++) {
            at += (size_t)(structs ? snprintf(r->t + at, sizeof r->t - at, "{\"a\":%d,\"b\":\"%s\"}",
                                              (int)wr_rand_below(rand, 3), r->b ? "long text one" : "s")
                                   : snprintf(r->t + at, sizeof r->t - at, "%s%u", e > 0 ? "," : "", e));
        }
        (void)snprintf(r->t + at, sizeof r->t - at, "]");
        r->v = r->null[C_T] ? 0 : (int64_t)n;
        r->null[C_V] = false;
    }
}

static struct scene *scene_make(uint64_t seed, bool structs)
{
    struct scene *s = wr_calloc(1, sizeof *s);
    wr_rand_seed(&s->rand, seed);
    bed_plan_init(&s->plan, 0);
    s->rows = bed_rows(&s->rand, &usual);
    set_elements(&s->rand, s->rows, usual.rows, structs);
    return s;
}

static void scene_run(struct scene *s, uint32_t workers, uint32_t batch_rows)
{
    const struct bed_run run = { workers, batch_rows, 100, true };
    bed_open(&s->bed, &s->plan, &run);
    bed_feed(&s->bed, &s->rand, &run, s->rows, usual.rows);
    bed_results_sort(&s->bed.results);
}

static void scene_free(struct scene *s)
{
    bed_close(&s->bed);
    bed_plan_deinit(&s->plan);
    free(s->rows);
    free(s);
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

Test(exec_unnest, a_row_gives_a_row_for_each_element_and_counts_once)
{
    for (uint64_t seed = 0; seed < 4; seed++) {
        struct scene *s = scene_make(seed, false);
        const bool outer = seed % 2 == 1;
        uint64_t elements = 0;
        uint64_t empty = 0;
        (void)add_unnest(&s->plan, 0, bigint(), outer);
        bed_sink(&s->plan, 1);
        scene_run(s, 1, seed == 0 ? 1 : 300);
        for (uint32_t i = 0; i < usual.rows; i++) {
            elements += (uint64_t)s->rows[i].v;
            empty += s->rows[i].v == 0;
        }
        const struct wr_ledger_counts got = total(&s->bed, 0);
        cr_assert_eq(s->bed.results.count, elements + (outer ? empty : 0));
        cr_assert_eq(got.read, usual.rows);
        cr_assert_eq(got.passed, outer ? usual.rows : usual.rows - empty);
        cr_assert_eq(got.filtered, outer ? 0 : empty);
        scene_free(s);
    }
}

/* v > 0 */
static void add_positive(struct bed_plan *p)
{
    struct wr_plan_node *node = bed_node(p, WR_NODE_FILTER, 0);
    struct wr_arena *arena = &p->plan.arena;
    struct wr_expr *zero = WR_ARENA_NEW(arena, struct wr_expr);
    struct wr_expr *greater = WR_ARENA_NEW(arena, struct wr_expr);
    zero->kind = WR_EXPR_CONST;
    zero->type = bigint();
    *greater = (struct wr_expr){ .kind = WR_EXPR_CALL, .type = wr_type_of(WR_TYPE_BOOL),
                                 .function = WR_FN_GT_I64, .arg_count = 2 };
    greater->args = WR_ARENA_ARRAY(arena, struct wr_expr *, 2);
    greater->args[0] = bed_column(p, &p->nodes[0].schema, C_V);
    greater->args[1] = zero;
    node->filter = greater;
}

static const struct wr_plan_window tumble = { .kind = WR_WINDOW_TUMBLE, .size_us = 10 * SECOND,
                                              .slide_us = 10 * SECOND, .time_column = C_TS };

/* Counting elements in windows is adding up their numbers row by row: results, ledger and late rows are the same. */
Test(exec_unnest, windows_over_elements_judge_them_by_their_row)
{
    static const uint32_t keys[] = { C_K };
    for (uint64_t seed = 0; seed < 6; seed++) {
        struct scene *unnested = scene_make(seed, false);
        struct scene *summed = scene_make(seed, false);
        const struct bed_agg count = { WR_AGG_COUNT_STAR, 0, -1, 0 };
        const struct bed_agg sum = { WR_AGG_SUM, C_V, -1, 0 };
        (void)add_unnest(&unnested->plan, 0, bigint(), false);
        (void)bed_window(&unnested->plan, 1, tumble, keys, 1, &count, 1);
        bed_sink(&unnested->plan, 2);
        add_positive(&summed->plan);
        (void)bed_window(&summed->plan, 1, tumble, keys, 1, &sum, 1);
        bed_sink(&summed->plan, 2);
        scene_run(unnested, 1 + (uint32_t)seed % 4, 200);
        scene_run(summed, 1, 100);
        const struct bed_results *a = &unnested->bed.results;
        const struct bed_results *b = &summed->bed.results;
        cr_assert_gt(a->count, 20u);
        cr_assert_eq(a->count, b->count, "seed %llu", (unsigned long long)seed);
        for (uint32_t i = 0; i < a->count; i++) {
            cr_assert_str_eq(a->items[i].key, b->items[i].key);
            cr_assert_str_eq(a->items[i].cell[0], b->items[i].cell[0], "%s", a->items[i].key);
        }
        const struct wr_ledger_counts one = total(&unnested->bed, 0);
        const struct wr_ledger_counts two = total(&summed->bed, 0);
        cr_assert_gt(one.late, 0u);
        cr_assert_eq(one.passed, two.passed);
        cr_assert_eq(one.late, two.late);
        cr_assert_eq(one.filtered, two.filtered);
        cr_assert_eq(one.dead_lettered, two.dead_lettered);
        cr_assert_eq(unnested->bed.late_calls, summed->bed.late_calls);
        cr_assert_eq(unnested->bed.late_sum_us, summed->bed.late_sum_us);
        cr_assert_eq(unnested->bed.fault_calls, summed->bed.fault_calls);
        scene_free(unnested);
        scene_free(summed);
    }
}

Test(exec_unnest, an_element_that_fails_is_dead_lettered_with_its_row_once)
{
    struct scene *s = scene_make(1, false);
    struct wr_arena *arena = &s->plan.plan.arena;
    uint64_t with_elements = 0;
    uint64_t elements = 0;
    uint64_t lost = 0;
    (void)add_unnest(&s->plan, 0, bigint(), false);
    /* 1 / (element * element - element) fails for 0 and 1, and is never NULL: two elements of most rows fail. */
    struct wr_plan_node *node = bed_node(&s->plan, WR_NODE_PROJECT, 1);
    struct wr_expr *e = bed_column(&s->plan, &s->plan.nodes[1].schema, C_ELEMENT);
    static const enum wr_function functions[] = { WR_FN_MUL_I64, WR_FN_SUB_I64, WR_FN_DIV_I64 };
    struct wr_expr *made = e;
    for (uint32_t i = 0; i < 3; i++) {
        struct wr_expr *call = WR_ARENA_NEW(arena, struct wr_expr);
        *call = (struct wr_expr){ .kind = WR_EXPR_CALL, .type = bigint(), .nullable = true,
                                  .function = functions[i], .arg_count = 2 };
        call->args = WR_ARENA_ARRAY(arena, struct wr_expr *, 2);
        call->args[0] = i == 2 ? e : made;
        call->args[1] = i == 2 ? made : e;
        made = call;
    }
    node->project = WR_ARENA_ARRAY(arena, struct wr_expr *, 1);
    node->project[0] = made;
    node->schema = (struct wr_schema){ WR_ARENA_ARRAY(arena, struct wr_field, 1), 1 };
    node->schema.fields[0] = (struct wr_field){ .name = "x", .type = bigint() };
    bed_sink(&s->plan, 2);
    scene_run(s, 1, 100);
    for (uint32_t i = 0; i < usual.rows; i++) {
        with_elements += s->rows[i].v > 0;
        lost += s->rows[i].v > 0 && s->rows[i].v <= 2; /* all of its elements fail */
        elements += s->rows[i].v > 2 ? (uint64_t)s->rows[i].v - 2 : 0;
    }
    const struct wr_ledger_counts got = total(&s->bed, 0);
    cr_assert_eq(s->bed.results.count, elements);
    cr_assert_eq(s->bed.fault_calls, with_elements, "each row has the element 0, and is shown once");
    cr_assert_eq(got.dead_lettered, lost);
    cr_assert_eq(got.passed, with_elements - lost);
    cr_assert(strstr(s->bed.last_fault, "division by zero") != NULL, "%s", s->bed.last_fault);
    scene_free(s);
}

Test(exec_unnest, a_large_array_comes_in_full_batches)
{
    struct scene *s = scene_make(3, false);
    struct wr_plan_node *node = add_unnest(&s->plan, 0, bigint(), false);
    struct wr_nested_writer w = { 0 };
    struct wr_expr *constant = WR_ARENA_NEW(&s->plan.plan.arena, struct wr_expr);
    wr_nested_open(&w, array_of(bigint()));
    for (int64_t i = 0; i < 5000; i++) {
        wr_nested_put(&w, bigint(), &i);
    }
    const struct wr_slice body = wr_nested_close(&w);
    constant->kind = WR_EXPR_CONST;
    constant->type = array_of(bigint());
    constant->value.view = wr_view_of(body.data, body.bytes);
    node->unnest.value = constant;
    bed_sink(&s->plan, 1);
    const struct bed_run run = { 1, 3, 100, false };
    bed_open(&s->bed, &s->plan, &run);
    bed_feed(&s->bed, &s->rand, &run, s->rows, 7);
    cr_assert_eq(s->bed.results.count, 7u * 5000u);
    cr_assert_eq(total(&s->bed, 0).passed, 7u);
    wr_nested_writer_deinit(&w);
    scene_free(s);
}

/* ---- nested keys and values in snapshots ---- */

static void add_grouped(struct bed_plan *p)
{
    static const uint32_t keys[] = { C_ELEMENT };
    static const struct bed_agg aggs[] = { { WR_AGG_COUNT_STAR, 0, -1, 0 },
                                           { WR_AGG_LAST_VALUE, C_ELEMENT, -1, 0 },
                                           { WR_AGG_COUNT_DISTINCT, C_ELEMENT, -1, 0 } };
    (void)add_unnest(p, 0, pair(), false);
    (void)bed_window(p, 1, tumble, keys, 1, aggs, 3);
    bed_sink(p, 2);
}

static void restore_damaged(struct scene *s, const struct bed_store *store, uint64_t *refused)
{
    struct bed_plan plan;
    struct bed bed;
    const struct bed_run run = { 1, 100, 100, false };
    bed_plan_init(&plan, 0);
    add_grouped(&plan);
    bed_open(&bed, &plan, &run);
    bool good = true;
    for (uint32_t i = 0; i < store->count && good; i++) {
        const struct bed_piece *piece = &store->items[i];
        char *data = wr_malloc(piece->bytes);
        struct wr_error err;
        memcpy(data, piece->data, piece->bytes);
        for (uint32_t k = 0; k < 3; k++) {
            data[wr_rand_below(&s->rand, piece->bytes)] ^= (char)(1u << wr_rand_below(&s->rand, 8));
        }
        good = wr_exec_restore(bed.worker[0].exec, piece->node, piece->epoch, data, piece->bytes,
                               &err) == WR_OK;
        free(data);
    }
    *refused += !good;
    if (good) { /* what was taken can be emitted: results are formatted as text */
        wr_exec_restored(bed.worker[0].exec, 2, WR_TIME_MIN);
        wr_exec_watermark(bed.worker[0].exec, 0, WR_TIME_MAX, 0, (struct wr_time){ 0 });
        bed_drain(&bed, 100);
    }
    bed_close(&bed);
    bed_plan_deinit(&plan);
}

Test(exec_unnest, nested_keys_survive_a_snapshot_and_damaged_ones_are_refused)
{
    struct scene *s = scene_make(5, true);
    struct bed_store store = { 0 };
    add_grouped(&s->plan);
    const struct bed_run run = { .workers = 1, .batch_rows = 100, .budget = 100, .store = &store };
    struct wr_batch_pool *pool = wr_batch_pool_create(&s->plan.source.scan, 100, 8);
    bed_open(&s->bed, &s->plan, &run);
    for (uint32_t split = 0; split < BED_SPLITS; split++) {
        uint32_t cursor = 0;
        struct wr_batch *batch = bed_batch(pool, s->rows, 400, split, &cursor, 100, 0);
        wr_exec_push(s->bed.worker[0].exec, 0, batch, (struct wr_time){ 0 });
    }
    bed_barrier(&s->bed, 1);
    cr_assert_gt(store.count, 0u);
    /* Whole: a second life gives what the first one would have given. */
    struct bed_plan plan;
    struct bed bed;
    bed_plan_init(&plan, 0);
    add_grouped(&plan);
    const struct bed_run plain = { 1, 100, 100, false };
    bed_open(&bed, &plan, &plain);
    for (uint32_t i = 0; i < store.count; i++) {
        struct wr_error err;
        cr_assert_eq(wr_exec_restore(bed.worker[0].exec, store.items[i].node, store.items[i].epoch,
                                     store.items[i].data, store.items[i].bytes, &err), WR_OK, "%s",
                     err.message);
    }
    wr_exec_restored(bed.worker[0].exec, 2, WR_TIME_MIN);
    wr_exec_watermark(bed.worker[0].exec, 0, WR_TIME_MAX, 0, (struct wr_time){ 0 });
    wr_exec_watermark(s->bed.worker[0].exec, 0, WR_TIME_MAX, 0, (struct wr_time){ 0 });
    bed_drain(&bed, 100);
    bed_drain(&s->bed, 100);
    bed_results_sort(&bed.results);
    bed_results_sort(&s->bed.results);
    cr_assert_gt(bed.results.count, 5u);
    cr_assert_eq(bed.results.count, s->bed.results.count);
    for (uint32_t i = 0; i < bed.results.count; i++) {
        cr_assert_str_eq(bed.results.items[i].key, s->bed.results.items[i].key);
        cr_assert_str_eq(bed.results.items[i].cell[1], s->bed.results.items[i].cell[1]);
        cr_assert(strchr(bed.results.items[i].cell[1], '{') != NULL);
    }
    bed_close(&bed);
    bed_plan_deinit(&plan);
    uint64_t refused = 0;
    for (uint32_t i = 0; i < 300; i++) {
        restore_damaged(s, &store, &refused);
    }
    cr_assert_gt(refused, 50u);
    wr_batch_pool_destroy(pool);
    bed_store_deinit(&store);
    scene_free(s);
}
