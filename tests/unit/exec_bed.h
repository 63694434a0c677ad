/* exec_bed.h: a bed for tests of exec: plans built by hand, random rows of several splits, several
 * workers stepped in one thread with messages delivered in random order between pairs, and the
 * results as text.
 */
#ifndef WR_TEST_EXEC_BED_H
#define WR_TEST_EXEC_BED_H

#include "base/heap.h"
#include "base/rand.h"
#include "batch/text.h"
#include "exec/exec.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#define SECOND 1000000LL
#define BED_SPLITS 4u
#define BED_AGGS_MAX 32u

enum { C_TS, C_K, C_NAME, C_V, C_D, C_T, C_B, C_DEC, C_COUNT };

struct bed_row {
    uint32_t split;
    int64_t position;
    int64_t wm; /* of the split, before this row */
    int64_t ts;
    int64_t k;
    int64_t v;
    double d;
    __int128 dec;
    char name[40];
    char t[40];
    bool b;
    bool null[C_COUNT];
};

struct bed_result { /* one result row */
    char key[160];  /* sink, start, end, keys */
    uint32_t count;
    char cell[BED_AGGS_MAX][80]; /* "NULL" or the value's text */
};

struct bed_results {
    struct bed_result *items;
    uint32_t count;
    uint32_t capacity;
};

static inline struct bed_result *bed_results_add(struct bed_results *r)
{
    if (r->count == r->capacity) {
        r->capacity = r->capacity == 0 ? 256 : r->capacity * 2;
        r->items = wr_realloc(r->items, r->capacity * sizeof *r->items);
    }
    memset(&r->items[r->count], 0, sizeof *r->items);
    return &r->items[r->count++];
}

static inline int bed_result_order(const void *a, const void *b)
{
    return strcmp(((const struct bed_result *)a)->key, ((const struct bed_result *)b)->key);
}

static inline void bed_results_sort(struct bed_results *r)
{
    if (r->count > 0) {
        qsort(r->items, r->count, sizeof *r->items, bed_result_order);
    }
}

/* ---- plans ---- */

struct bed_plan {
    struct wr_plan plan;
    struct wr_plan_source source;
    struct wr_plan_sink sinks[4];
    struct wr_plan_node nodes[8];
    uint32_t inputs[8];
    uint32_t sink_lists[8];
};

static inline struct wr_schema bed_schema(struct wr_arena *arena)
{
    static const char *names[] = { "ts", "k", "name", "v", "d", "t", "b", "dec" };
    static const enum wr_type_id ids[] = { WR_TYPE_TIMESTAMP, WR_TYPE_INT64,   WR_TYPE_TEXT,
                                           WR_TYPE_INT64,     WR_TYPE_FLOAT64, WR_TYPE_TEXT,
                                           WR_TYPE_BOOL,      WR_TYPE_DECIMAL };
    struct wr_schema schema = { WR_ARENA_ARRAY(arena, struct wr_field, C_COUNT), C_COUNT };
    for (uint32_t i = 0; i < C_COUNT; i++) {
        schema.fields[i].name = names[i];
        schema.fields[i].type = wr_type_of(ids[i]);
    }
    schema.fields[C_DEC].type.precision = 20;
    schema.fields[C_DEC].type.scale = 2;
    return schema;
}

static inline struct wr_expr *bed_column(struct bed_plan *p, const struct wr_schema *schema,
                                         uint32_t column)
{
    struct wr_expr *e = WR_ARENA_NEW(&p->plan.arena, struct wr_expr);
    e->kind = WR_EXPR_COLUMN;
    e->type = schema->fields[column].type;
    e->nullable = !schema->fields[column].not_null;
    e->column = column;
    return e;
}

static inline struct wr_plan_node *bed_node(struct bed_plan *p, enum wr_node_kind kind,
                                            uint32_t input)
{
    const uint32_t index = p->plan.node_count++;
    struct wr_plan_node *node = &p->nodes[index];
    node->kind = kind;
    node->index = index;
    node->name = "node";
    if (kind != WR_NODE_SCAN) {
        p->inputs[index] = input;
        node->inputs = &p->inputs[index];
        node->input_count = 1;
        node->schema = p->nodes[input].schema;
    }
    return node;
}

static inline void bed_plan_init(struct bed_plan *p, int64_t lateness_us)
{
    memset(p, 0, sizeof *p);
    wr_arena_init(&p->plan.arena, 0);
    p->plan.file = "test.sql";
    p->plan.sources = &p->source;
    p->plan.source_count = 1;
    p->plan.sinks = p->sinks;
    p->plan.nodes = p->nodes;
    p->source.name = "events";
    p->source.scan = bed_schema(&p->plan.arena);
    p->source.declared = p->source.scan;
    p->source.lateness_us = lateness_us;
    struct wr_plan_node *scan = bed_node(p, WR_NODE_SCAN, 0);
    scan->schema = p->source.scan;
}

static inline uint32_t bed_sink(struct bed_plan *p, uint32_t node)
{
    const uint32_t sink = p->plan.sink_count++;
    p->sinks[sink].name = "sink";
    p->sinks[sink].feed = WR_FEED_QUERY;
    p->sinks[sink].node = node;
    p->sinks[sink].schema = p->nodes[node].schema;
    p->sink_lists[node] = sink;
    p->nodes[node].sinks = &p->sink_lists[node];
    p->nodes[node].sink_count = 1;
    return sink;
}

struct bed_agg {
    enum wr_aggregate kind;
    uint32_t column; /* of the input */
    int filter;      /* BOOLEAN column or -1 */
    double parameter;
};

static inline struct wr_type bed_result_type(enum wr_aggregate kind, struct wr_type arg)
{
    switch (kind) {
    case WR_AGG_COUNT_STAR:
    case WR_AGG_COUNT:
    case WR_AGG_COUNT_DISTINCT:
    case WR_AGG_APPROX_COUNT_DISTINCT: return wr_type_of(WR_TYPE_INT64);
    case WR_AGG_SUM:
    case WR_AGG_SUM_DISTINCT:
        if (arg.id == WR_TYPE_DECIMAL) {
            return (struct wr_type){ WR_TYPE_DECIMAL, 38, arg.scale, 0 };
        }
        return wr_type_of(wr_type_is_float(arg) ? WR_TYPE_FLOAT64 : WR_TYPE_INT64);
    case WR_AGG_AVG:
        if (arg.id == WR_TYPE_DECIMAL) {
            return (struct wr_type){ WR_TYPE_DECIMAL, 38, arg.scale > 6 ? arg.scale : 6, 0 };
        }
        return wr_type_of(WR_TYPE_FLOAT64);
    case WR_AGG_STDDEV_POP:
    case WR_AGG_STDDEV_SAMP:
    case WR_AGG_VAR_POP:
    case WR_AGG_VAR_SAMP:
    case WR_AGG_APPROX_PERCENTILE: return wr_type_of(WR_TYPE_FLOAT64);
    case WR_AGG_BOOL_AND:
    case WR_AGG_BOOL_OR: return wr_type_of(WR_TYPE_BOOL);
    default: return arg;
    }
}

/* A WINDOW over node `input` with the given key columns. */
static inline struct wr_plan_node *bed_window(struct bed_plan *p, uint32_t input,
                                              struct wr_plan_window window, const uint32_t *keys,
                                              uint32_t key_count, const struct bed_agg *aggs,
                                              uint32_t agg_count)
{
    struct wr_plan_node *node = bed_node(p, WR_NODE_WINDOW, input);
    const struct wr_schema *in = &p->nodes[input].schema;
    struct wr_arena *arena = &p->plan.arena;
    window.exchange = p->plan.exchange_count++;
    window.keys = WR_ARENA_ARRAY(arena, struct wr_expr *, key_count + 1);
    window.key_count = key_count;
    window.aggregates = WR_ARENA_ARRAY(arena, struct wr_plan_aggregate, agg_count + 1);
    window.aggregate_count = agg_count;
    struct wr_schema out = { WR_ARENA_ARRAY(arena, struct wr_field, 2 + key_count + agg_count),
                             2 + key_count + agg_count };
    out.fields[0] = (struct wr_field){ .name = "window_start",
                                       .type = wr_type_of(WR_TYPE_TIMESTAMP), .not_null = true };
    out.fields[1] = (struct wr_field){ .name = "window_end",
                                       .type = wr_type_of(WR_TYPE_TIMESTAMP), .not_null = true };
    for (uint32_t k = 0; k < key_count; k++) {
        window.keys[k] = bed_column(p, in, keys[k]);
        out.fields[2 + k] = in->fields[keys[k]];
    }
    for (uint32_t a = 0; a < agg_count; a++) {
        struct wr_plan_aggregate *aggregate = &window.aggregates[a];
        aggregate->kind = aggs[a].kind;
        aggregate->parameter = aggs[a].parameter;
        struct wr_type type = wr_type_of(WR_TYPE_NULL);
        if (aggs[a].kind != WR_AGG_COUNT_STAR) {
            aggregate->arg = bed_column(p, in, aggs[a].column);
            type = aggregate->arg->type;
        }
        if (aggs[a].filter >= 0) {
            aggregate->filter = bed_column(p, in, (uint32_t)aggs[a].filter);
        }
        aggregate->type = bed_result_type(aggs[a].kind, type);
        out.fields[2 + key_count + a] = (struct wr_field){ .name = "agg", .type = aggregate->type };
    }
    node->schema = out;
    node->window = window;
    return node;
}

static inline void bed_plan_deinit(struct bed_plan *p)
{
    wr_arena_deinit(&p->plan.arena);
}

/* ---- rows ---- */

struct bed_shape {
    uint32_t rows;
    uint32_t keys;       /* distinct k */
    int64_t step_us;     /* mean advance of event time per row of a split */
    int64_t jitter_us;   /* out of order by at most this */
    int64_t delay_us;    /* of the watermark */
    double late;         /* share of rows far behind */
    double nulls;
};

/* Rows of all splits, each split's in order. wm: the greatest time so far - delay. */
static inline struct bed_row *bed_rows(struct wr_rand *rand, const struct bed_shape *shape)
{
    struct bed_row *rows = wr_calloc(shape->rows, sizeof *rows);
    int64_t clock[BED_SPLITS] = { 0 };
    int64_t wm[BED_SPLITS];
    int64_t position[BED_SPLITS] = { 0 };
    for (uint32_t s = 0; s < BED_SPLITS; s++) {
        wm[s] = WR_TIME_MIN;
        clock[s] = 1000 * SECOND + (int64_t)wr_rand_below(rand, 5) * SECOND;
    }
    for (uint32_t i = 0; i < shape->rows; i++) {
        struct bed_row *r = &rows[i];
        r->split = (uint32_t)wr_rand_below(rand, BED_SPLITS);
        r->position = position[r->split]++;
        r->wm = wm[r->split];
        clock[r->split] += (int64_t)wr_rand_below(rand, (uint64_t)shape->step_us * 2 + 1);
        r->ts = clock[r->split] - (int64_t)wr_rand_below(rand, (uint64_t)shape->jitter_us + 1);
        if (wr_rand_unit(rand) < shape->late) {
            r->ts -= (int64_t)wr_rand_below(rand, 40 * SECOND);
        }
        r->k = (int64_t)wr_rand_below(rand, shape->keys) - 3;
        r->v = (int64_t)wr_rand_below(rand, 50) - 20;
        r->d = (double)(int64_t)wr_rand_below(rand, 2001) / 8.0 - 100.0;
        r->dec = (__int128)(int64_t)wr_rand_below(rand, 100000) - 50000;
        r->b = wr_rand_below(rand, 2) == 0;
        const uint64_t n = wr_rand_below(rand, 3);
        snprintf(r->name, sizeof r->name, n == 0 ? "n%d" : n == 1 ? "key%d" : "a longer name of key %d",
                 (int)wr_rand_below(rand, 2));
        if (n == 1) {
            r->name[0] = 0; /* the empty text is a key of its own */
        }
        snprintf(r->t, sizeof r->t, n == 1 ? "t%d" : "text that is not short %d",
                 (int)wr_rand_below(rand, 30));
        for (uint32_t c = 0; c < C_COUNT; c++) {
            r->null[c] = wr_rand_unit(rand) < (c == C_TS ? shape->nulls / 10 : shape->nulls);
        }
        if (!r->null[C_TS] && r->ts - shape->delay_us > wm[r->split]) {
            wm[r->split] = r->ts - shape->delay_us;
        }
    }
    return rows;
}

/* ---- running ---- */

struct bed_message {
    struct wr_exchange_message message;
    struct bed_message *next;
};

struct bed_worker {
    struct bed *bed;
    uint32_t index;
    struct wr_exec *exec;
    int64_t wm;
};

/* What workers told to host.snapshot: one piece. */
struct bed_piece {
    uint64_t epoch;
    uint32_t node;
    size_t bytes;
    char *data;
};

struct bed_store {
    struct bed_piece *items;
    uint32_t count;
    uint32_t capacity;
    uint64_t epoch; /* at hand */
    uint64_t told;  /* bytes, ever */
};

struct bed {
    struct bed_store *store; /* NULL: no snapshots */
    struct bed_plan *plan;
    uint32_t workers;
    struct bed_worker worker[WR_WORKERS_MAX];
    struct bed_message *first[8][8]; /* from, to */
    struct bed_message *last[8][8];
    struct bed_results results;
    struct wr_ledger_counts ledger[4][BED_SPLITS];
    uint64_t late_calls;
    uint64_t fault_calls;
    char last_fault[160];
    int64_t late_sum_us;
    int64_t emitted_end; /* newest window_end that came */
};

static inline void bed_value_text(struct wr_type type, const struct wr_column *c, uint32_t row,
                                  char *out, size_t bytes)
{
    if (wr_column_is_null(c, row)) {
        snprintf(out, bytes, "NULL");
        return;
    }
    if (type.id == WR_TYPE_FLOAT64) {
        snprintf(out, bytes, "%.17g", ((const double *)c->values)[row]);
        return;
    }
    struct wr_buf buf = { 0 };
    wr_text_format(&buf, type, (const char *)c->values + (size_t)row * wr_type_width(type));
    snprintf(out, bytes, "%.*s", (int)buf.bytes, buf.data != NULL ? buf.data : "");
    wr_buf_deinit(&buf);
}

static inline void bed_emit(void *ctx, uint32_t sink, struct wr_batch *batch)
{
    struct bed_worker *w = ctx;
    struct bed *bed = w->bed;
    const struct wr_plan_node *node = &bed->plan->nodes[bed->plan->sinks[sink].node];
    const uint32_t keys = node->kind == WR_NODE_WINDOW ? node->window.key_count : 0;
    for (uint32_t i = 0; i < wr_batch_live(batch); i++) {
        const uint32_t row = wr_batch_row(batch, i);
        struct bed_result *r = bed_results_add(&bed->results);
        int at = snprintf(r->key, sizeof r->key, "%u", sink);
        const uint32_t lead = node->kind == WR_NODE_WINDOW ? 2 + keys : node->schema.count;
        for (uint32_t c = 0; c < node->schema.count; c++) {
            char text[80];
            bed_value_text(node->schema.fields[c].type, &batch->columns[c], row, text, sizeof text);
            if (c < 2 && node->kind == WR_NODE_WINDOW) {
                snprintf(text, sizeof text, "%lld",
                         (long long)((const int64_t *)batch->columns[c].values)[row]);
            }
            if (c < lead) {
                at += snprintf(r->key + at, sizeof r->key - (size_t)at, "|%s", text);
            } else {
                snprintf(r->cell[r->count++], 80, "%s", text);
            }
        }
    }
    wr_batch_release(batch);
}

static inline void bed_send(void *ctx, uint32_t to, const struct wr_exchange_message *message)
{
    struct bed_worker *w = ctx;
    cr_assert_neq(to, w->index);
    struct bed_message *m = wr_calloc(1, sizeof *m);
    m->message = *message;
    struct bed *bed = w->bed;
    if (bed->last[w->index][to] != NULL) {
        bed->last[w->index][to]->next = m;
    } else {
        bed->first[w->index][to] = m;
    }
    bed->last[w->index][to] = m;
}

static inline void bed_late(void *ctx, uint32_t sink, const struct wr_batch *batch, uint32_t row,
                            int64_t lateness_us)
{
    struct bed_worker *w = ctx;
    cr_assert_geq(lateness_us, 0);
    cr_assert_lt(row, batch->rows);
    cr_assert_eq(batch->columns_count, (uint32_t)C_COUNT);
    w->bed->late_calls++;
    w->bed->late_sum_us += lateness_us;
}

static inline void bed_fault(void *ctx, const uint32_t *sinks, uint32_t sink_count,
                             const struct wr_batch *batch, uint32_t row, const char *message,
                             const char *field)
{
    struct bed_worker *w = ctx;
    cr_assert_lt(row, batch->rows);
    w->bed->fault_calls += sink_count;
    snprintf(w->bed->last_fault, sizeof w->bed->last_fault, "%s", message);
}

static inline struct wr_ledger_counts *bed_ledger(void *ctx, uint32_t sink, uint32_t source,
                                                  uint32_t split)
{
    struct bed_worker *w = ctx;
    cr_assert_eq(source, 0u);
    return &w->bed->ledger[sink][split];
}

static inline void bed_snapshot(void *ctx, uint32_t node, const void *records, size_t bytes)
{
    struct bed_store *store = ((struct bed_worker *)ctx)->bed->store;
    if (store->count == store->capacity) {
        store->capacity = store->capacity == 0 ? 64 : store->capacity * 2;
        store->items = wr_realloc(store->items, store->capacity * sizeof *store->items);
    }
    struct bed_piece *piece = &store->items[store->count++];
    *piece = (struct bed_piece){ store->epoch, node, bytes, wr_malloc(bytes) };
    memcpy(piece->data, records, bytes);
    store->told += bytes;
}

static inline void bed_store_deinit(struct bed_store *store)
{
    for (uint32_t i = 0; i < store->count; i++) {
        free(store->items[i].data);
    }
    free(store->items);
    memset(store, 0, sizeof *store);
}

static inline bool bed_deliver_one(struct bed *bed, uint32_t from, uint32_t to)
{
    struct bed_message *m = bed->first[from][to];
    if (m == NULL) {
        return false;
    }
    bed->first[from][to] = m->next;
    if (m->next == NULL) {
        bed->last[from][to] = NULL;
    }
    if (m->message.kind != WR_EXCHANGE_BARRIER) {
        wr_exec_receive(bed->worker[to].exec, from, &m->message, (struct wr_time){ 0 });
    }
    wr_batch_release(m->message.batch);
    free(m);
    return true;
}

static inline void bed_fill(struct wr_batch *batch, uint32_t at, const struct bed_row *r)
{
    const struct wr_view views[2] = {
        wr_view_of(wr_arena_strdup(&batch->arena, r->name), strlen(r->name)),
        wr_view_of(wr_arena_strdup(&batch->arena, r->t), strlen(r->t)),
    };
    const uint8_t b = r->b;
    const void *values[C_COUNT] = { &r->ts, &r->k, &views[0], &r->v, &r->d, &views[1], &b, &r->dec };
    for (uint32_t c = 0; c < C_COUNT; c++) {
        const uint32_t width = wr_type_width(batch->columns[c].type);
        char *into = (char *)batch->columns[c].values + (size_t)at * width;
        if (r->null[c]) {
            memset(into, 0, width);
            wr_bit_clear(wr_batch_nullable(batch, c), at);
        } else {
            memcpy(into, values[c], width);
        }
    }
}

/* The next rows of a split, at most rows_max; advances *cursor. Returns the split's watermark
 * after them. */
static inline struct wr_batch *bed_batch(struct wr_batch_pool *pool, const struct bed_row *rows,
                                         uint32_t count, uint32_t split, uint32_t *cursor,
                                         uint32_t rows_max, int64_t lateness_us)
{
    struct wr_batch *batch = NULL;
    while (*cursor < count && (batch == NULL || batch->rows < rows_max)) {
        const struct bed_row *r = &rows[(*cursor)++];
        if (r->split != split) {
            continue;
        }
        if (batch == NULL) {
            batch = wr_batch_take(pool);
            batch->origin.split = split;
            batch->origin.wm_low = r->wm;
            batch->origin.lateness_us = lateness_us;
            batch->origin.position_first = r->position;
        }
        batch->origin.wm_high = r->wm;
        batch->wm_storage[batch->rows] = r->wm;
        bed_fill(batch, batch->rows, r);
        batch->rows++;
    }
    if (batch != NULL && batch->origin.wm_low != batch->origin.wm_high) {
        batch->origin.wm_before = batch->wm_storage;
    }
    return batch;
}

struct bed_run {
    uint32_t workers;
    uint32_t batch_rows;
    uint32_t budget;
    bool barriers;
    struct bed_store *store;        /* may be NULL */
    const uint32_t *snapshot_every; /* may be NULL */
};

/* wm_end of a split after its rows up to cursor. */
static inline int64_t bed_split_wm(const struct bed_row *rows, uint32_t count, uint32_t split,
                                   uint32_t cursor)
{
    for (uint32_t i = cursor; i < count; i++) {
        if (rows[i].split == split) {
            return rows[i].wm;
        }
    }
    return WR_TIME_MAX;
}

static inline void bed_step_all(struct bed *bed, uint32_t budget)
{
    for (uint32_t w = 0; w < bed->workers; w++) {
        wr_exec_step(bed->worker[w].exec, budget, (struct wr_time){ 0 });
    }
}

static inline void bed_drain(struct bed *bed, uint32_t budget)
{
    bool more = true;
    while (more) {
        more = false;
        for (uint32_t from = 0; from < bed->workers; from++) {
            for (uint32_t to = 0; to < bed->workers; to++) {
                while (bed_deliver_one(bed, from, to)) {
                    more = true;
                }
            }
        }
        for (uint32_t w = 0; w < bed->workers; w++) {
            more |= wr_exec_step(bed->worker[w].exec, budget, (struct wr_time){ 0 });
        }
        for (uint32_t i = 0; i < 64; i++) {
            more |= bed->first[i / 8][i % 8] != NULL; /* what the steps have just sent */
        }
    }
}

static inline void bed_barrier_of(struct bed *bed, uint64_t epoch, bool final)
{
    if (bed->store != NULL) {
        bed->store->epoch = epoch;
    }
    for (uint32_t w = 0; w < bed->workers; w++) {
        wr_exec_barrier(bed->worker[w].exec, epoch, final, (struct wr_time){ 0 });
    }
    for (uint32_t x = 0; x < bed->plan->plan.exchange_count; x++) {
        for (uint32_t from = 0; from < bed->workers; from++) {
            for (uint32_t to = 0; to < bed->workers; to++) {
                while (bed_deliver_one(bed, from, to)) {
                }
            }
        }
        for (uint32_t w = 0; w < bed->workers; w++) {
            wr_exec_barrier_aligned(bed->worker[w].exec, x, epoch, (struct wr_time){ 0 });
        }
    }
}

static inline void bed_barrier(struct bed *bed, uint64_t epoch)
{
    bed_barrier_of(bed, epoch, false);
}

/* Feeds all rows in a random interleaving of splits and messages; closes everything at the end. */
static inline void bed_feed(struct bed *bed, struct wr_rand *rand, const struct bed_run *run,
                            const struct bed_row *rows, uint32_t count)
{
    struct wr_batch_pool *pool = wr_batch_pool_create(&bed->plan->source.scan, run->batch_rows, 8);
    uint32_t cursor[BED_SPLITS] = { 0 };
    bool ended[BED_SPLITS] = { false };
    uint32_t open = BED_SPLITS;
    uint64_t epoch = 0;
    while (open > 0) {
        const uint32_t split = (uint32_t)wr_rand_below(rand, BED_SPLITS);
        struct bed_worker *w = &bed->worker[split % run->workers];
        const uint32_t size = 1 + (uint32_t)wr_rand_below(rand, run->batch_rows);
        struct wr_batch *batch = bed_batch(pool, rows, count, split, &cursor[split], size,
                                           bed->plan->source.lateness_us);
        if (batch != NULL) {
            for (uint32_t s = 0; s < bed->plan->plan.sink_count; s++) {
                bed->ledger[s][split].read += batch->rows;
            }
            wr_exec_push(w->exec, 0, batch, (struct wr_time){ 0 });
        } else if (!ended[split]) {
            ended[split] = true;
            open--;
        }
        int64_t wm = WR_TIME_MAX;
        for (uint32_t s = w->index; s < BED_SPLITS; s += run->workers) {
            const int64_t own = bed_split_wm(rows, count, s, cursor[s]);
            wm = own < wm ? own : wm;
        }
        wr_exec_watermark(w->exec, 0, wm, 0, (struct wr_time){ 0 });
        for (uint32_t i = 0; i < 3; i++) {
            bed_deliver_one(bed, (uint32_t)wr_rand_below(rand, run->workers),
                            (uint32_t)wr_rand_below(rand, run->workers));
        }
        if (wr_rand_below(rand, 4) == 0) {
            bed_step_all(bed, run->budget);
        }
        if (run->barriers && wr_rand_below(rand, 40) == 0) {
            bed_barrier(bed, ++epoch);
        }
    }
    for (uint32_t w = 0; w < run->workers; w++) {
        wr_exec_watermark(bed->worker[w].exec, 0, WR_TIME_MAX, 0, (struct wr_time){ 0 });
    }
    bed_drain(bed, run->budget);
    cr_assert_eq(wr_batch_pool_out(pool), 0u);
    wr_batch_pool_destroy(pool);
}

static inline void bed_open(struct bed *bed, struct bed_plan *plan, const struct bed_run *run)
{
    memset(bed, 0, sizeof *bed);
    bed->store = run->store;
    bed->plan = plan;
    bed->workers = run->workers;
    for (uint32_t i = 0; i < run->workers; i++) {
        struct bed_worker *w = &bed->worker[i];
        w->bed = bed;
        w->index = i;
        const struct wr_exec_config config = { .worker = i,
                                               .workers = run->workers,
                                               .batch_rows = run->batch_rows,
                                               .snapshots = run->store != NULL,
                                               .snapshot_every = run->snapshot_every };
        const struct wr_exec_host host = { w,         bed_emit,  bed_send,    bed_late,
                                           bed_fault, bed_ledger, bed_snapshot };
        struct wr_error err;
        cr_assert_eq(wr_exec_create(&w->exec, &plan->plan, &config, &host, &err), WR_OK, "%s",
                     err.message);
    }
}

/* Ends as a crash does: what is on its way is lost. */
static inline void bed_close(struct bed *bed)
{
    for (uint32_t i = 0; i < 64; i++) {
        for (struct bed_message *m = bed->first[i / 8][i % 8], *next; m != NULL; m = next) {
            next = m->next;
            wr_batch_release(m->message.batch);
            free(m);
        }
    }
    for (uint32_t i = 0; i < bed->workers; i++) {
        wr_exec_destroy(bed->worker[i].exec);
    }
    free(bed->results.items);
}

#endif
