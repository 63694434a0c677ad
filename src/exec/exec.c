/* exec.c: builds a worker's operators from the plan and passes rows, watermarks and barriers
 * between them. */
#include "exec/exec_graph.h"

#include "base/assert.h"
#include "base/heap.h"
#include "exec/window.h"

/* ---- the graph ---- */

static void connect_edges(struct wr_exec *exec)
{
    const struct wr_plan *plan = exec->plan;
    for (uint32_t n = 0; n < plan->node_count; n++) {
        const struct wr_plan_node *node = &plan->nodes[n];
        for (uint32_t i = 0; i < node->input_count; i++) {
            struct wr_op *from = &exec->ops[node->inputs[i]];
            from->edges =
                wr_realloc(from->edges, (from->edge_count + 1) * sizeof *from->edges);
            from->edges[from->edge_count++] = (struct wr_edge){ .op = n, .slot = i };
        }
    }
}

/* Sinks below a node: its own and those of its consumers, which have larger indexes (plan.h (1)).
 */
static void find_sinks(struct wr_exec *exec)
{
    const struct wr_plan *plan = exec->plan;
    bool *reached = wr_calloc(plan->sink_count + 1, sizeof *reached);
    for (uint32_t n = plan->node_count; n-- > 0;) {
        struct wr_op *op = &exec->ops[n];
        memset(reached, 0, plan->sink_count * sizeof *reached);
        for (uint32_t i = 0; i < op->node->sink_count; i++) {
            reached[op->node->sinks[i]] = true;
        }
        for (uint32_t e = 0; e < op->edge_count; e++) {
            const struct wr_op *next = &exec->ops[op->edges[e].op];
            for (uint32_t i = 0; i < next->sink_below_count; i++) {
                reached[next->sinks_below[i]] = true;
            }
        }
        op->sinks_below = wr_calloc(plan->sink_count + 1, sizeof *op->sinks_below);
        for (uint32_t s = 0; s < plan->sink_count; s++) {
            if (reached[s]) {
                op->sinks_below[op->sink_below_count++] = s;
            }
        }
    }
    free(reached);
}

/* Sinks that some scan reaches on more than one path count row by row; so do those behind an UNNEST, where several rows are one. */
static void find_several_paths(struct wr_exec *exec)
{
    const struct wr_plan *plan = exec->plan;
    uint32_t *paths = wr_calloc(plan->node_count + 1, sizeof *paths);
    for (uint32_t s = 0; s < plan->sink_count; s++) {
        for (uint32_t n = plan->node_count; n-- > 0;) {
            const struct wr_op *op = &exec->ops[n];
            paths[n] = 0;
            for (uint32_t i = 0; i < op->node->sink_count; i++) {
                paths[n] += op->node->sinks[i] == s;
            }
            for (uint32_t e = 0; e < op->edge_count; e++) {
                paths[n] += paths[op->edges[e].op];
            }
            paths[n] *= op->node->kind == WR_NODE_UNNEST ? 2 : 1;
            paths[n] = paths[n] > 2 ? 2 : paths[n];
            if (op->node->kind == WR_NODE_SCAN && paths[n] > 1 && exec->sinks[s].marks == NULL) {
                exec->sinks[s].marks = wr_calloc(WR_BATCH_ROWS_MAX, 1);
            }
        }
    }
    free(paths);
}

static wr_status op_create(struct wr_exec *exec, uint32_t index, struct wr_error *err)
{
    struct wr_op *op = &exec->ops[index];
    op->node = &exec->plan->nodes[index];
    op->watermark_us = WR_TIME_MIN;
    const uint32_t inputs = op->node->input_count > 0 ? op->node->input_count : 1;
    op->watermarks = wr_calloc(inputs, sizeof *op->watermarks);
    for (uint32_t i = 0; i < inputs; i++) {
        op->watermarks[i] = WR_TIME_MIN;
    }
    switch (op->node->kind) {
    case WR_NODE_FILTER:
    case WR_NODE_PROJECT: return wr_op_rows_create(exec, op, err);
    case WR_NODE_UNNEST: return wr_op_unnest_create(exec, op, err);
    case WR_NODE_WINDOW:
        exec->exchange_ops[op->node->window.exchange] = index;
        return wr_window_create(exec, op, err);
    case WR_NODE_SCAN:
    case WR_NODE_UNION: break;
    }
    return WR_OK;
}

/* Windows that feed op with no other window between: each tells its barrier on. */
static uint32_t count_upstream(const struct wr_exec *exec, const struct wr_op *op)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < op->node->input_count; i++) {
        const struct wr_op *input = &exec->ops[op->node->inputs[i]];
        count += input->window != NULL ? 1 : count_upstream(exec, input);
    }
    return count;
}

/* How much older than op's event times the source rows behind them may be. */
static int64_t reach_of(const struct wr_exec *exec, const struct wr_op *op)
{
    int64_t reach = 0;
    for (uint32_t i = 0; i < op->node->input_count; i++) {
        const struct wr_op *input = &exec->ops[op->node->inputs[i]];
        int64_t below = reach_of(exec, input);
        const struct wr_plan_window *window =
            input->window != NULL ? &input->node->window : NULL;
        if (window != NULL && window->kind == WR_WINDOW_SESSION) {
            below = WR_TIME_MAX; /* a session is as long as its rows make it */
        } else if (window != NULL && window->kind != WR_WINDOW_INHERIT && below != WR_TIME_MAX) {
            below += window->size_us;
        }
        reach = below > reach ? below : reach;
    }
    return reach;
}

wr_status wr_exec_create(struct wr_exec **out, const struct wr_plan *plan,
                         const struct wr_exec_config *config, const struct wr_exec_host *host,
                         struct wr_error *err)
{
    wr_assert(config->workers >= 1 && config->workers <= WR_WORKERS_MAX);
    wr_assert(config->worker < config->workers);
    wr_assert(!config->snapshots || host->snapshot != NULL);
    wr_assert(config->batch_rows >= 1 && config->batch_rows <= WR_BATCH_ROWS_MAX);
    struct wr_exec *exec = wr_calloc(1, sizeof *exec);
    *out = NULL;
    exec->plan = plan;
    exec->config = *config;
    exec->host = *host;
    exec->ops = wr_calloc(plan->node_count + 1, sizeof *exec->ops);
    exec->sinks = wr_calloc(plan->sink_count + 1, sizeof *exec->sinks);
    exec->exchange_ops = wr_calloc(plan->exchange_count + 1, sizeof *exec->exchange_ops);
    exec->dead_rows = wr_malloc(WR_BATCH_ROWS_MAX * sizeof *exec->dead_rows);
    for (uint32_t n = 0; n < plan->node_count; n++) {
        const wr_status status = op_create(exec, n, err);
        if (status != WR_OK) {
            wr_exec_destroy(exec);
            return status;
        }
    }
    connect_edges(exec);
    find_sinks(exec);
    find_several_paths(exec);
    for (uint32_t n = 0; n < plan->node_count; n++) {
        if (exec->ops[n].window != NULL) {
            exec->ops[n].window->upstream_windows = count_upstream(exec, &exec->ops[n]);
            exec->ops[n].window->reach_us = reach_of(exec, &exec->ops[n]);
        }
    }
    *out = exec;
    return WR_OK;
}

void wr_exec_destroy(struct wr_exec *exec)
{
    if (exec == NULL) {
        return;
    }
    for (uint32_t n = 0; n < exec->plan->node_count; n++) {
        struct wr_op *op = &exec->ops[n];
        wr_window_destroy(op->window);
        for (uint32_t i = 0; i < op->eval_count; i++) {
            wr_eval_destroy(op->evals[i]);
        }
        free(op->evals);
        free(op->edges);
        free(op->sinks_below);
        free(op->watermarks);
    }
    /* Derived batches hold their parents: all go home before any pool does. */
    for (uint32_t n = exec->plan->node_count; n-- > 0;) {
        wr_batch_pool_destroy(exec->ops[n].pool);
    }
    for (uint32_t s = 0; s < exec->plan->sink_count; s++) {
        free(exec->sinks[s].marks);
    }
    wr_eval_faults_deinit(&exec->faults);
    free(exec->ops);
    free(exec->sinks);
    free(exec->exchange_ops);
    free(exec->log.items);
    free(exec->dead_rows);
    free(exec);
}

/* ---- the ledger ---- */

static struct wr_ledger_counts *counts_of(struct wr_exec *exec, uint32_t sink)
{
    struct wr_exec_sink *s = &exec->sinks[sink];
    if (s->counts == NULL) {
        const struct wr_origin *origin = &exec->source_batch->origin;
        s->counts = exec->host.ledger(exec->host.ctx, sink, origin->source, origin->split);
    }
    return s->counts;
}

static inline bool is_muted(const struct wr_exec *exec, uint32_t sink)
{
    return __builtin_expect(exec->muted != NULL, 0) && exec->muted[sink];
}

static void add_outcome(struct wr_ledger_counts *counts, enum wr_outcome outcome, uint64_t rows)
{
    switch (outcome) {
    case WR_ROW_FILTERED: counts->filtered += rows; break;
    case WR_ROW_DEAD: counts->dead_lettered += rows; break;
    case WR_ROW_LATE: counts->late += rows; break;
    case WR_ROW_PASSED: counts->passed += rows; break;
    case WR_ROW_KINDS_: break;
    }
}

static void mark(struct wr_exec_sink *sink, uint32_t row, enum wr_outcome outcome)
{
    sink->marked = true;
    if ((sink->marks[row] & WR_ROW_OUTCOME) < outcome) {
        sink->marks[row] = (uint8_t)((sink->marks[row] & ~WR_ROW_OUTCOME) | outcome);
    }
}

static void count_for(struct wr_exec *exec, uint32_t sink, const struct wr_batch *batch,
                      const uint32_t *rows, uint32_t count, enum wr_outcome outcome)
{
    struct wr_exec_sink *s = &exec->sinks[sink];
    if (is_muted(exec, sink)) {
        return;
    }
    if (s->marks == NULL) {
        add_outcome(counts_of(exec, sink), outcome, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        mark(s, wr_batch_source_row(batch, rows != NULL ? rows[i] : i), outcome);
    }
}

void wr_exec_count(struct wr_exec *exec, const struct wr_op *op, const struct wr_batch *batch,
                   const uint32_t *rows, uint32_t count, enum wr_outcome outcome)
{
    if (batch->origin.source == UINT32_MAX || count == 0) {
        return;
    }
    for (uint32_t i = 0; i < op->sink_below_count; i++) {
        count_for(exec, op->sinks_below[i], batch, rows, count, outcome);
    }
}

void wr_exec_count_partly_late(struct wr_exec *exec, const struct wr_op *op,
                               const struct wr_batch *batch, uint32_t row)
{
    row = wr_batch_source_row(batch, row);
    for (uint32_t i = 0; i < op->sink_below_count; i++) {
        struct wr_exec_sink *s = &exec->sinks[op->sinks_below[i]];
        if (is_muted(exec, op->sinks_below[i])) {
            continue;
        }
        if (s->marks == NULL) {
            counts_of(exec, op->sinks_below[i])->partly_late++;
        } else {
            s->marked = true;
            s->marks[row] |= WR_ROW_PARTLY;
        }
    }
}

/* Rows that reached a sink on several paths have their one outcome now. */
static void settle_marks(struct wr_exec *exec, uint32_t rows)
{
    for (uint32_t s = 0; s < exec->plan->sink_count; s++) {
        struct wr_exec_sink *sink = &exec->sinks[s];
        if (!sink->marked) {
            continue;
        }
        for (uint32_t row = 0; row < rows; row++) {
            const uint32_t outcome = sink->marks[row] & WR_ROW_OUTCOME;
            if (outcome != 0) {
                add_outcome(counts_of(exec, s), (enum wr_outcome)outcome, 1);
            }
            counts_of(exec, s)->partly_late +=
                outcome == WR_ROW_PASSED && (sink->marks[row] & WR_ROW_PARTLY) != 0;
        }
        memset(sink->marks, 0, rows);
        sink->marked = false;
    }
}

/* Has the source's row been shown to the sink's side in this way? Only rows that UNNEST made many of can have been. */
static bool was_shown(struct wr_exec *exec, uint32_t sink, const struct wr_batch *batch,
                      uint32_t row, uint8_t how)
{
    struct wr_exec_sink *s = &exec->sinks[sink];
    if (batch->origin.rows == NULL || s->marks == NULL) {
        return false;
    }
    const bool shown = (s->marks[row] & how) != 0;
    s->marks[row] |= how;
    s->marked = true;
    return shown;
}

void wr_exec_late(struct wr_exec *exec, const struct wr_op *op, const struct wr_batch *batch,
                  uint32_t row, int64_t lateness_us)
{
    const uint32_t source_row = wr_batch_source_row(batch, row);
    wr_exec_count(exec, op, batch, &row, 1, WR_ROW_LATE);
    for (uint32_t i = 0; i < op->sink_below_count; i++) {
        const uint32_t sink = op->sinks_below[i];
        if (!is_muted(exec, sink) && !was_shown(exec, sink, batch, source_row, WR_ROW_SHOWN_LATE)) {
            exec->host.late(exec->host.ctx, sink, exec->source_batch, source_row, lateness_us);
        }
    }
}

void wr_exec_fault(struct wr_exec *exec, const struct wr_op *op, const struct wr_batch *batch,
                   uint32_t row, const char *message, const char *field)
{
    const bool result = batch->origin.source == UINT32_MAX;
    const uint32_t source_row = result ? row : wr_batch_source_row(batch, row);
    uint32_t sinks[op->sink_below_count + 1];
    uint32_t count = 0;
    wr_exec_count(exec, op, batch, &row, 1, WR_ROW_DEAD);
    for (uint32_t i = 0; i < op->sink_below_count; i++) {
        const uint32_t sink = op->sinks_below[i];
        if (result || (!is_muted(exec, sink) &&
                       !was_shown(exec, sink, batch, source_row, WR_ROW_SHOWN_DEAD))) {
            sinks[count++] = sink;
        }
    }
    if (count > 0) {
        exec->host.fault(exec->host.ctx, sinks, count, result ? batch : exec->source_batch,
                         source_row, message, field);
    }
}

uint32_t wr_exec_drop_faults(struct wr_exec *exec, const struct wr_op *op,
                             const struct wr_batch *batch, uint32_t *rows, uint32_t count)
{
    if (exec->faults.count == 0) {
        return count;
    }
    uint64_t dead[WR_BATCH_ROWS_MAX / 64] = { 0 };
    for (uint32_t i = 0; i < exec->faults.count; i++) {
        const struct wr_eval_fault *fault = &exec->faults.items[i];
        const uint64_t bit = UINT64_C(1) << (fault->row & 63);
        if ((dead[fault->row >> 6] & bit) == 0) { /* a row's first error is its cause */
            dead[fault->row >> 6] |= bit;
            wr_exec_fault(exec, op, batch, fault->row, fault->message, NULL);
        }
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        rows[kept] = rows[i];
        kept += ((dead[rows[i] >> 6] >> (rows[i] & 63)) & 1) == 0;
    }
    exec->faults.count = 0;
    return kept;
}

/* ---- rows ---- */

static void op_push(struct wr_exec *exec, struct wr_op *op, struct wr_batch *batch)
{
    switch (op->node->kind) {
    case WR_NODE_FILTER: wr_op_filter_push(exec, op, batch); return;
    case WR_NODE_PROJECT: wr_op_project_push(exec, op, batch); return;
    case WR_NODE_WINDOW: wr_window_push(op->window, batch); return;
    case WR_NODE_UNNEST: wr_op_unnest_push(exec, op, batch); return;
    case WR_NODE_SCAN:
    case WR_NODE_UNION: wr_exec_deliver(exec, op, batch); return;
    }
}

/* Source rows while some sinks are muted: only to those that are not, and to operators that feed one. */
static void deliver_unmuted(struct wr_exec *exec, struct wr_op *op, struct wr_batch *batch)
{
    uint32_t uses = 0;
    for (uint32_t i = 0; i < op->node->sink_count; i++) {
        uses += !exec->muted[op->node->sinks[i]];
    }
    for (uint32_t i = 0; i < op->edge_count; i++) {
        uses += !exec->ops[op->edges[i].op].muted;
    }
    if (uses == 0 || wr_batch_live(batch) == 0) {
        wr_batch_release(batch);
        return;
    }
    batch->refs += uses - 1;
    for (uint32_t i = 0; i < op->node->sink_count; i++) {
        const uint32_t sink = op->node->sinks[i];
        if (!exec->muted[sink]) {
            count_for(exec, sink, batch, batch->sel, wr_batch_live(batch), WR_ROW_PASSED);
            exec->host.emit(exec->host.ctx, sink, batch);
        }
    }
    for (uint32_t i = 0; i < op->edge_count; i++) {
        if (!exec->ops[op->edges[i].op].muted) {
            op_push(exec, &exec->ops[op->edges[i].op], batch);
        }
    }
}

void wr_exec_deliver(struct wr_exec *exec, struct wr_op *op, struct wr_batch *batch)
{
    if (__builtin_expect(exec->muted != NULL, 0) && batch->origin.source != UINT32_MAX) {
        deliver_unmuted(exec, op, batch);
        return;
    }
    const uint32_t sinks = op->node->sink_count;
    const uint32_t uses = sinks + op->edge_count;
    if (uses == 0 || wr_batch_live(batch) == 0) {
        wr_batch_release(batch);
        return;
    }
    batch->refs += uses - 1; /* one each; the last user may find itself alone and narrow in place */
    for (uint32_t i = 0; i < sinks; i++) {
        if (batch->origin.source != UINT32_MAX) {
            count_for(exec, op->node->sinks[i], batch, batch->sel, wr_batch_live(batch),
                      WR_ROW_PASSED);
        }
        exec->host.emit(exec->host.ctx, op->node->sinks[i], batch);
    }
    for (uint32_t i = 0; i < op->edge_count; i++) {
        op_push(exec, &exec->ops[op->edges[i].op], batch);
    }
}

void wr_exec_mute(struct wr_exec *exec, const bool *muted)
{
    exec->muted = muted;
    for (uint32_t n = 0; n < exec->plan->node_count; n++) {
        struct wr_op *op = &exec->ops[n];
        op->muted = muted != NULL;
        for (uint32_t i = 0; i < op->sink_below_count && op->muted; i++) {
            op->muted = muted[op->sinks_below[i]];
        }
    }
}

void wr_exec_push(struct wr_exec *exec, uint32_t source, struct wr_batch *batch,
                  struct wr_time now)
{
    wr_dassert(batch->origin.source == source);
    exec->now = now;
    exec->source_batch = batch;
    for (uint32_t s = 0; s < exec->plan->sink_count; s++) {
        exec->sinks[s].counts = NULL;
    }
    wr_batch_retain(batch); /* late rows and dead letters are shown in it until the end */
    const uint32_t rows = batch->rows;
    wr_exec_deliver(exec, &exec->ops[exec->plan->sources[source].scan_node], batch);
    settle_marks(exec, rows);
    exec->source_batch = NULL;
    wr_batch_release(batch);
}

/* ---- watermarks ---- */

static void op_watermark(struct wr_exec *exec, struct wr_op *op, uint32_t slot,
                         int64_t watermark_us)
{
    if (watermark_us <= op->watermarks[slot]) {
        return;
    }
    op->watermarks[slot] = watermark_us;
    int64_t lowest = watermark_us;
    for (uint32_t i = 0; i < op->node->input_count; i++) {
        lowest = op->watermarks[i] < lowest ? op->watermarks[i] : lowest;
    }
    if (op->window != NULL) {
        wr_window_watermark(op->window, lowest);
    } else {
        wr_exec_forward(exec, op, lowest);
    }
}

void wr_exec_forward(struct wr_exec *exec, struct wr_op *op, int64_t watermark_us)
{
    if (watermark_us <= op->watermark_us) {
        return;
    }
    op->watermark_us = watermark_us;
    for (uint32_t i = 0; i < op->edge_count; i++) {
        op_watermark(exec, &exec->ops[op->edges[i].op], op->edges[i].slot, watermark_us);
    }
}

void wr_exec_watermark(struct wr_exec *exec, uint32_t source, int64_t watermark_us,
                       int64_t trigger_ingest_us, struct wr_time now)
{
    exec->now = now;
    exec->trigger_ingest_us = trigger_ingest_us;
    wr_exec_forward(exec, &exec->ops[exec->plan->sources[source].scan_node], watermark_us);
}

bool wr_exec_step(struct wr_exec *exec, uint32_t budget, struct wr_time now)
{
    exec->now = now;
    bool more = false;
    for (uint32_t n = 0; n < exec->plan->node_count; n++) {
        if (exec->ops[n].window != NULL) {
            more |= wr_window_step(exec->ops[n].window, &budget);
        }
    }
    return more;
}

/* ---- other workers ---- */

void wr_exec_receive(struct wr_exec *exec, uint32_t from, const struct wr_exchange_message *message,
                     struct wr_time now)
{
    exec->now = now;
    struct wr_window *window = exec->ops[exec->exchange_ops[message->exchange]].window;
    switch (message->kind) {
    case WR_EXCHANGE_ROWS:
        wr_window_receive(window, message->batch); /* only reads: its home is another worker */
        return;
    case WR_EXCHANGE_WATERMARK:
        if (message->watermark_us > window->peer_wm[from]) {
            window->peer_wm[from] = message->watermark_us;
            wr_window_refresh(window);
        }
        return;
    case WR_EXCHANGE_BARRIER: return; /* run aligns them and calls wr_exec_barrier_aligned */
    }
}

/* Sends what this worker has gathered for others, and the barrier behind it. */
static void pass_barrier(struct wr_window *window, uint64_t epoch)
{
    struct wr_exec *exec = window->exec;
    window->aligned = 0;
    wr_window_send(window, WR_TIME_MAX);
    const struct wr_exchange_message message = { .kind = WR_EXCHANGE_BARRIER,
                                                 .exchange = window->plan->exchange,
                                                 .epoch = epoch };
    for (uint32_t i = 0; i < exec->config.workers; i++) {
        if (i != exec->config.worker) {
            exec->host.send(exec->host.ctx, i, &message);
        }
    }
}

/* All rows before the cut have come to this window. */
static void cut(struct wr_exec *exec, struct wr_window *window, uint64_t epoch)
{
    const uint32_t node = window->op->node->index;
    const uint32_t *every = exec->config.snapshot_every;
    if (exec->config.snapshots &&
        (exec->final || every == NULL || every[node] <= 1 || epoch % every[node] == 0)) {
        wr_window_cut(window, epoch);
    }
}

void wr_exec_barrier(struct wr_exec *exec, uint64_t epoch, bool final, struct wr_time now)
{
    exec->now = now;
    exec->final = final;
    for (uint32_t n = 0; n < exec->plan->node_count; n++) {
        struct wr_window *window = exec->ops[n].window;
        if (window == NULL) {
            continue;
        }
        if (exec->config.workers == 1) {
            cut(exec, window, epoch); /* inner windows have smaller indexes: plan.h (1) */
        } else if (window->upstream_windows == 0) {
            pass_barrier(window, epoch);
        }
    }
}

/* Tells the windows that op's rows reach without another window between. */
static void tell_downstream(struct wr_exec *exec, const struct wr_op *op, uint64_t epoch)
{
    for (uint32_t i = 0; i < op->edge_count; i++) {
        struct wr_op *next = &exec->ops[op->edges[i].op];
        if (next->window == NULL) {
            tell_downstream(exec, next, epoch);
        } else if (++next->window->aligned == next->window->upstream_windows) {
            pass_barrier(next->window, epoch);
        }
    }
}

void wr_exec_barrier_aligned(struct wr_exec *exec, uint32_t exchange, uint64_t epoch,
                             struct wr_time now)
{
    if (exec->config.workers == 1) {
        return; /* wr_exec_barrier has done it all */
    }
    struct wr_op *op = &exec->ops[exec->exchange_ops[exchange]];
    exec->now = now;
    cut(exec, op->window, epoch);
    tell_downstream(exec, op, epoch);
}

/* ---- snapshots ---- */

static struct wr_window *window_of(const struct wr_exec *exec, uint32_t node)
{
    return node < exec->plan->node_count ? exec->ops[node].window : NULL;
}

int64_t wr_exec_node_watermark(const struct wr_exec *exec, uint32_t node)
{
    const struct wr_window *window = window_of(exec, node);
    return window != NULL ? window->snapshot.watermark_us : WR_TIME_MIN;
}

uint64_t wr_exec_snapshot_base(const struct wr_exec *exec)
{
    uint64_t base = UINT64_MAX;
    for (uint32_t n = 0; n < exec->plan->node_count; n++) {
        if (exec->ops[n].window != NULL) {
            const uint64_t epoch = wr_window_snapshot_base(exec->ops[n].window);
            base = epoch < base ? epoch : base;
        }
    }
    return base;
}

bool wr_exec_snapshot_needed(const struct wr_exec *exec, uint64_t epoch)
{
    for (uint32_t n = 0; n < exec->plan->node_count; n++) {
        if (exec->ops[n].window != NULL &&
            wr_window_snapshot_needed(exec->ops[n].window, epoch)) {
            return true;
        }
    }
    return false;
}

wr_status wr_exec_restore(struct wr_exec *exec, uint32_t node, uint64_t epoch, const void *records,
                          size_t bytes, struct wr_error *err)
{
    struct wr_window *window = window_of(exec, node);
    wr_ensure(window != NULL, err, WR_CLASS_FATAL, "snapshot of node %u, which keeps no state",
              node);
    wr_ensure(epoch > 0 && epoch < UINT64_MAX, err, WR_CLASS_FATAL,
              "snapshot of \"%s\": an epoch that cannot be", window->op->node->name);
    return wr_window_restore(window, epoch, records, bytes, err);
}

void wr_exec_restored(struct wr_exec *exec, uint32_t node, int64_t watermark_us)
{
    struct wr_window *window = window_of(exec, node);
    if (window != NULL) {
        wr_window_restored(window, watermark_us);
    }
}

/* ---- figures ---- */

uint64_t wr_exec_open_windows(const struct wr_exec *exec)
{
    uint64_t keys = 0;
    for (uint32_t n = 0; n < exec->plan->node_count; n++) {
        keys += exec->ops[n].window != NULL ? wr_window_open_keys(exec->ops[n].window) : 0;
    }
    return keys;
}

uint64_t wr_exec_state_bytes(const struct wr_exec *exec)
{
    uint64_t bytes = 0;
    for (uint32_t n = 0; n < exec->plan->node_count; n++) {
        bytes += exec->ops[n].window != NULL ? wr_window_state_bytes(exec->ops[n].window) : 0;
    }
    return bytes;
}

int64_t wr_exec_sink_watermark(const struct wr_exec *exec, uint32_t sink)
{
    const struct wr_plan_sink *plan = &exec->plan->sinks[sink];
    return plan->feed == WR_FEED_QUERY ? exec->ops[plan->node].watermark_us : WR_TIME_MIN;
}

int64_t wr_exec_oldest_open_us(const struct wr_exec *exec)
{
    int64_t oldest = WR_TIME_MAX;
    for (uint32_t n = 0; n < exec->plan->node_count; n++) {
        if (exec->ops[n].window != NULL) {
            const int64_t time = wr_window_oldest_us(exec->ops[n].window);
            oldest = time < oldest ? time : oldest;
        }
    }
    return oldest;
}
