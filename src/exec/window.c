/* window.c: a WINDOW node's life: rows in, watermarks in, results out. */
#include "exec/window.h"

#include "base/assert.h"
#include "base/heap.h"

/* Pre-aggregated rows are sent off early beyond this many keys: a cache larger than L2 saves
 * nothing. */
#define LOCAL_KEYS_MAX 65536u

static int64_t greatest_divisor(int64_t a, int64_t b)
{
    while (b != 0) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static void scratch_create(struct wr_window *w)
{
    const size_t n = WR_BATCH_ROWS_MAX;
    w->rows = wr_malloc(n * sizeof *w->rows);
    w->runs = wr_malloc(n * sizeof *w->runs);
    w->images = wr_calloc(n * w->shape.key_words, sizeof *w->images);
    w->hashes = wr_malloc(n * sizeof *w->hashes);
    w->states = wr_malloc(n * sizeof(*w->states));
    w->agg_rows = wr_malloc(n * sizeof *w->agg_rows);
    w->agg_states = wr_malloc(n * sizeof(*w->agg_states));
    w->emission.good = wr_malloc(n * sizeof *w->emission.good);
}

static void scratch_destroy(struct wr_window *w)
{
    free(w->rows);
    free(w->runs);
    free(w->images);
    free(w->hashes);
    free(w->states);
    free(w->agg_rows);
    free(w->agg_states);
    free(w->emission.good);
}

wr_status wr_window_create(struct wr_exec *exec, struct wr_op *op, struct wr_error *err)
{
    struct wr_window *w = wr_calloc(1, sizeof *w);
    op->window = w;
    w->exec = exec;
    w->op = op;
    w->plan = &op->node->window;
    w->size_us = w->plan->size_us;
    w->slide_us = w->plan->kind == WR_WINDOW_HOP ? w->plan->slide_us : w->size_us;
    w->slice_us = w->size_us;
    if (w->plan->kind == WR_WINDOW_TUMBLE || w->plan->kind == WR_WINDOW_HOP) {
        wr_assert(w->size_us > 0 && w->slide_us > 0);
        w->slice_us = greatest_divisor(w->size_us, w->slide_us);
    }
    w->local_wm = WR_TIME_MIN;
    w->ready_wm = WR_TIME_MIN;
    w->finite_wm = WR_TIME_MIN;
    w->newest_us = WR_TIME_MIN;
    w->snapshot.watermark_us = WR_TIME_MIN;
    w->emission.order = INT64_MIN;
    for (uint32_t i = 0; i < WR_WORKERS_MAX; i++) {
        w->peer_wm[i] = WR_TIME_MIN;
    }
    WR_TRY(wr_window_layout(w, err));
    scratch_create(w);
    wr_table_init(&w->local.sessions, &w->shape);
    wr_table_init(&w->owned.sessions, &w->shape);
    w->owned.tracked = exec->config.snapshots;
    w->owned.sessions.tracked = exec->config.snapshots;
    w->blob_row = wr_calloc(1, w->shape.stride + 16);
    if (w->plan->kind == WR_WINDOW_HOP) {
        wr_hop_init(w);
    }
    op->pool = wr_batch_pool_create(&op->node->schema, exec->config.batch_rows, 64);
    return exec->config.workers > 1 ? wr_window_exchange_create(w, err) : WR_OK;
}

void wr_window_destroy(struct wr_window *w)
{
    if (w == NULL) {
        return;
    }
    wr_batch_release(w->emission.out);
    wr_hop_deinit(w);
    wr_side_deinit(w, &w->local);
    wr_side_deinit(w, &w->owned);
    wr_window_exchange_destroy(w);
    wr_window_snapshot_deinit(w);
    free(w->blob_row);
    for (uint32_t k = 0; k < w->key_count; k++) {
        wr_eval_destroy(w->keys[k].in.eval);
    }
    for (uint32_t a = 0; w->args != NULL && a < w->aggs.count; a++) {
        wr_eval_destroy(w->args[a].value.eval);
        wr_eval_destroy(w->args[a].filter.eval);
    }
    free(w->keys);
    free(w->args);
    free(w->aggs.items);
    scratch_destroy(w);
    wr_table_shape_deinit(&w->shape);
    wr_state_deinit(&w->pool);
    free(w);
}

/* ---- rows ---- */

static uint32_t live_rows(struct wr_window *w, const struct wr_batch *batch)
{
    const uint32_t live = wr_batch_live(batch);
    if (batch->sel != NULL) {
        memcpy(w->rows, batch->sel, live * sizeof *w->rows);
    } else {
        for (uint32_t i = 0; i < live; i++) {
            w->rows[i] = i;
        }
    }
    return live;
}

void wr_window_push(struct wr_window *w, struct wr_batch *batch)
{
    struct wr_exec *exec = w->exec;
    uint32_t count = live_rows(w, batch);
    count = wr_window_judge(w, batch, count);
    count = count > 0 ? wr_window_evaluate(w, batch, count) : 0;
    if (count > 0) {
        wr_exec_count(exec, w->op, batch, w->rows, count, WR_ROW_PASSED);
        wr_window_images(w, count);
        struct wr_side *side = exec->config.workers > 1 ? &w->local : &w->owned;
        if (w->plan->kind == WR_WINDOW_SESSION) {
            wr_session_add_rows(w, side, count);
        } else {
            const uint32_t made = wr_window_find(w, side, count);
            w->local_keys += side == &w->local ? made : 0;
        }
        wr_window_update(w, batch, count);
    }
    wr_batch_release(batch);
    if (exec->config.workers > 1) {
        wr_window_send_if_large(w, LOCAL_KEYS_MAX);
    }
}

/* ---- watermarks and results ---- */

static int64_t saturating_sub(int64_t a, int64_t b)
{
    int64_t result;
    if (a == WR_TIME_MIN || a == WR_TIME_MAX) {
        return a;
    }
    return __builtin_sub_overflow(a, b, &result) ? WR_TIME_MIN : result;
}

int64_t wr_window_limit_us(const struct wr_window *w, int64_t watermark_us)
{
    return saturating_sub(watermark_us, w->plan->lateness_us);
}

void wr_window_refresh(struct wr_window *w)
{
    int64_t ready = w->local_wm;
    for (uint32_t i = 0; i < w->exec->config.workers; i++) {
        if (i != w->exec->config.worker && w->peer_wm[i] < ready) {
            ready = w->peer_wm[i];
        }
    }
    if (ready > w->ready_wm) {
        w->ready_wm = ready;
        w->finite_wm = ready < WR_TIME_MAX ? ready : w->finite_wm;
    }
}

void wr_window_watermark(struct wr_window *w, int64_t watermark_us)
{
    const int64_t held = saturating_sub(watermark_us, w->plan->hold_us);
    if (held <= w->local_wm) {
        return;
    }
    w->local_wm = held;
    if (w->exec->config.workers > 1) {
        wr_window_send(w, held);
        wr_window_announce(w, held);
    }
    wr_window_refresh(w);
}

/* Emits rows of the cells that close, oldest first. */
static bool step_cells(struct wr_window *w, int64_t limit, uint32_t *budget)
{
    struct wr_cell_queue *queue = &w->owned.cells;
    while (queue->count > 0) {
        struct wr_cell *cell = queue->items[queue->first];
        const int64_t end = wr_cell_close_us(w, cell->order);
        if (end > limit) {
            return false;
        }
        const int64_t start =
            w->plan->kind == WR_WINDOW_INHERIT ? cell->sub : end - w->size_us;
        w->newest_us = end; /* cells are sorted by it */
        for (; w->emission.row < cell->table.rows; w->emission.row++) {
            if (*budget == 0) {
                return true;
            }
            uint8_t *row = wr_table_row(&cell->table, w->emission.row);
            wr_window_emit(w, start, end, row);
            wr_agg_release_row(&w->aggs, row);
            (*budget)--;
        }
        w->emission.row = 0;
        wr_cell_retire(w, &w->owned, wr_queue_pop(queue));
    }
    return false;
}

static void emit_session(struct wr_window *w, int64_t start, int64_t last, uint8_t *row)
{
    const int64_t end = last + w->size_us;
    w->newest_us = end > w->newest_us ? end : w->newest_us;
    wr_window_emit(w, start, end, row);
}

bool wr_window_step(struct wr_window *w, uint32_t *budget)
{
    if (w->ready_wm == w->op->watermark_us && !w->emission.open) {
        return false;
    }
    const int64_t limit = wr_window_limit_us(w, w->ready_wm);
    bool more = false;
    switch (w->plan->kind) {
    case WR_WINDOW_TUMBLE:
    case WR_WINDOW_INHERIT: more = step_cells(w, limit, budget); break;
    case WR_WINDOW_HOP: more = wr_hop_step(w, limit, budget); break;
    case WR_WINDOW_SESSION:
        more = wr_session_close(w, &w->owned, limit, budget, emit_session);
        break;
    }
    wr_window_flush(w);
    w->emission.open = more;
    if (!more) {
        wr_exec_forward(w->exec, w->op, w->ready_wm); /* (2) */
    }
    return more;
}

/* ---- what is held ---- */

/* The earliest time that a cell's rows may have. */
static int64_t cell_begin(const struct wr_window *w, const struct wr_cell *cell)
{
    if (w->plan->kind == WR_WINDOW_INHERIT) {
        return cell->sub;
    }
    return w->plan->offset_us + cell->sub * w->slice_us;
}

static int64_t queue_oldest(const struct wr_window *w, const struct wr_cell_queue *queue,
                            int64_t oldest)
{
    for (uint32_t i = 0; i < queue->count; i++) {
        const int64_t begin = cell_begin(w, queue->items[queue->first + i]);
        oldest = begin < oldest ? begin : oldest;
    }
    return oldest;
}

int64_t wr_window_oldest_us(const struct wr_window *w)
{
    int64_t oldest = WR_TIME_MAX;
    if (w->plan->kind == WR_WINDOW_SESSION) {
        const int64_t local = wr_session_oldest_us(&w->local);
        oldest = wr_session_oldest_us(&w->owned);
        oldest = local < oldest ? local : oldest;
    } else {
        oldest = queue_oldest(w, &w->local.cells, oldest);
        oldest = queue_oldest(w, &w->owned.cells, oldest);
        oldest = queue_oldest(w, &w->hop.active, oldest);
    }
    if (oldest == WR_TIME_MAX) {
        return oldest;
    }
    return w->reach_us == WR_TIME_MAX ? WR_TIME_MIN : saturating_sub(oldest, w->reach_us);
}

uint64_t wr_window_open_keys(const struct wr_window *w)
{
    return w->shape.live - w->hop.active_keys + w->hop.running.live;
}

uint64_t wr_window_state_bytes(const struct wr_window *w)
{
    const uint64_t due = (uint64_t)w->local.due_capacity + w->owned.due_capacity;
    return w->shape.bytes + w->hop.shape.bytes + w->pool.used_bytes +
           due * sizeof(struct wr_session_due);
}
