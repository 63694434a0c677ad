#include "run/worker.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/heap.h"
#include "base/log.h"
#include "run/restore.h"
#include "run/sink_worker.h"
#include "state/snapshot.h"
#include <sched.h>

/* Rows polled from one source per turn: several batches, so that a turn's fixed costs vanish, yet watermarks move
 * and results leave within a fraction of a millisecond. */
#define TURN_ROWS 8192u
/* Rows of results emitted per turn: ingest must not starve while a big window closes. */
#define TURN_EMIT_ROWS 4096u
/* Envelopes taken from one inbound lane per turn. */
#define TURN_ENVELOPES 64u
/* A worker without anything to do looks up this often, so that no lost wake-up can last. */
#define IDLE_SLEEP_NS (200 * WR_NS_PER_MS)
/* Paced sources are polled at this grain at most: at 100,000 rows a second a turn for each would be all turns and no rows. */
#define PACE_GRAIN_NS (WR_NS_PER_MS / 2)

/* ---- ledger ---- */

struct wr_ledger_counts *wr_worker_ledger(struct wr_worker *w, uint32_t sink, uint32_t source,
                                          uint32_t split)
{
    const uint32_t cell = sink * w->pipeline->plan->source_count + source;
    if (split >= w->ledger_splits[cell]) {
        const uint32_t count = split + 1 + split / 2 + 4;
        w->ledger[cell] = wr_realloc(w->ledger[cell], count * sizeof(struct wr_ledger_counts *));
        for (uint32_t i = w->ledger_splits[cell]; i < count; i++) {
            w->ledger[cell][i] = NULL;
        }
        w->ledger_splits[cell] = count;
    }
    if (w->ledger[cell][split] == NULL) {
        w->ledger[cell][split] = wr_calloc(1, sizeof(struct wr_ledger_counts));
    }
    return w->ledger[cell][split];
}

static void cut_ledger(const struct wr_worker *w, struct wr_epoch_cut *cut)
{
    const uint32_t sources = w->pipeline->plan->source_count;
    for (uint32_t cell = 0; cell < sources * w->pipeline->plan->sink_count; cell++) {
        for (uint32_t split = 0; split < w->ledger_splits[cell]; split++) {
            const struct wr_ledger_counts *counts = w->ledger[cell][split];
            if (counts == NULL) {
                continue;
            }
            /* design.md, section 4, invariant 5: it balances at every cut. */
            wr_assert(wr_ledger_balances(counts));
            const struct wr_ledger_cut line = {
                .sink = cell / sources, .source = cell % sources, .split = split, .counts = *counts
            };
            wr_epoch_cut_ledger(cut, &line);
        }
    }
}

/* ---- what exec asks of its host ---- */

void wr_worker_emit(void *ctx, uint32_t sink, struct wr_batch *batch)
{
    struct wr_worker *w = ctx;
    const uint32_t to = wr_pipeline_sink_worker(w->pipeline, sink, w->index);
    wr_counter_add(&w->changes, 1);
    struct wr_envelope *envelope = wr_envelope_take(&w->stock, WR_ENVELOPE_ROWS, sink);
    envelope->batch = batch;
    wr_lane_send(&w->to_sinks[to], envelope);
}

static void host_send(void *ctx, uint32_t to, const struct wr_exchange_message *message)
{
    struct wr_worker *w = ctx;
    static const enum wr_envelope_kind kinds[] = { [WR_EXCHANGE_ROWS] = WR_ENVELOPE_ROWS,
                                                   [WR_EXCHANGE_WATERMARK] = WR_ENVELOPE_WATERMARK,
                                                   [WR_EXCHANGE_BARRIER] = WR_ENVELOPE_BARRIER };
    struct wr_envelope *envelope =
        wr_envelope_take(&w->stock, kinds[message->kind], message->exchange);
    envelope->batch = message->batch;
    envelope->watermark_us = message->watermark_us;
    envelope->epoch = message->epoch;
    wr_lane_send(&w->to_workers[message->exchange * w->pipeline->config.workers + to], envelope);
}

static void host_late(void *ctx, uint32_t sink, const struct wr_batch *batch, uint32_t row,
                      int64_t lateness_us)
{
    struct wr_worker *w = ctx;
    wr_scan_late(&w->scans[batch->origin.source], batch, row, sink, lateness_us);
}

static void host_fault(void *ctx, const uint32_t *sinks, uint32_t sink_count,
                       const struct wr_batch *batch, uint32_t row, const char *message,
                       const char *field)
{
    struct wr_worker *w = ctx;
    if (batch->origin.source != UINT32_MAX) {
        const struct wr_batch *root = batch;
        while (root->parent != NULL) {
            root = root->parent;
        }
        wr_scan_dead_letter(&w->scans[batch->origin.source], root, row, sinks, sink_count, message,
                            field);
        return;
    }
    for (uint32_t i = 0; i < sink_count; i++) {
        wr_pipeline_result_fault(w->pipeline, w->side, sinks[i], message, field,
                                 (struct wr_slice){ 0 });
    }
}

static struct wr_ledger_counts *host_ledger(void *ctx, uint32_t sink, uint32_t source,
                                            uint32_t split)
{
    return wr_worker_ledger(ctx, sink, source, split);
}

static void host_snapshot(void *ctx, uint32_t node, const void *records, size_t bytes)
{
    struct wr_worker *w = ctx;
    wr_snapshot_add(w->snapshot, w->pipeline->plan->nodes[node].name, records, bytes);
}

/* ---- opening and closing ---- */

wr_status wr_worker_open_loop(struct wr_worker *w, struct wr_error *err)
{
    struct wr_pipeline *p = w->pipeline;
    const wr_status status =
        wr_io_create(&w->io, p->config.stepped ? WR_IO_SIM : WR_IO_AUTO, 256, err);
    __atomic_store_n(&p->worker_ios[w->index], w->io, __ATOMIC_RELEASE);
    return status;
}

void wr_worker_open_lanes(struct wr_worker *w)
{
    struct wr_pipeline *p = w->pipeline;
    const uint32_t workers = p->config.workers;
    const uint32_t exchanges = p->plan->exchange_count;
    const uint32_t capacity = p->config.lane_batches;
    w->to_sinks = wr_calloc_aligned(p->sink_worker_count * sizeof(struct wr_lane));
    w->from_sinks = wr_calloc_aligned(p->sink_worker_count * sizeof(struct wr_lane));
    for (uint32_t k = 0; k < p->sink_worker_count; k++) {
        /* Bulk sinks encode: a quarter of the lane at a time saves most of the switches between threads. */
        const uint32_t depth = k < p->bulk_lanes ? capacity / 4 : 1;
        wr_lane_init(&w->to_sinks[k], capacity, depth > 0 ? depth : 1, p->sink_workers[k].io);
        wr_lane_init(&w->from_sinks[k], capacity * 2, 0, w->io);
    }
    w->to_workers = wr_calloc_aligned((size_t)exchanges * workers * sizeof(struct wr_lane) + 1);
    for (uint32_t x = 0; x < exchanges; x++) {
        for (uint32_t o = 0; o < workers; o++) {
            wr_lane_init(&w->to_workers[x * workers + o], capacity, 1, p->worker_ios[o]);
        }
    }
    w->home_to = wr_calloc_aligned(workers * sizeof(struct wr_lane));
    for (uint32_t o = 0; o < workers; o++) {
        wr_lane_init(&w->home_to[o], capacity * 2, 0, p->worker_ios[o]);
    }
    w->barrier_seen = wr_calloc((size_t)exchanges * workers + 1, sizeof(uint64_t));
    w->max_seen = wr_calloc((size_t)exchanges * workers + 1, sizeof(uint64_t));
}

void wr_worker_init(struct wr_worker *w, struct wr_pipeline *p, uint32_t index)
{
    w->pipeline = p;
    w->index = index;
    wr_epoch_cut_begin(&w->activations, 0, false);
    const uint32_t cells = p->plan->source_count * p->plan->sink_count;
    w->ledger = wr_calloc(cells + 1, sizeof(struct wr_ledger_counts **));
    w->ledger_splits = wr_calloc(cells + 1, sizeof(uint32_t));
    w->source_counters = wr_calloc(p->plan->source_count + 1, sizeof *w->source_counters);
    w->sink_watermark_us = wr_calloc(p->plan->sink_count + 1, sizeof(_Atomic int64_t));
    for (uint32_t k = 0; k < p->plan->sink_count; k++) {
        atomic_init(&w->sink_watermark_us[k], WR_TIME_MIN);
    }
}

wr_status wr_worker_open_parts(struct wr_worker *w, struct wr_error *err)
{
    struct wr_pipeline *p = w->pipeline;
    w->side = wr_side_rows_create(p->plan, p->config.batch_rows, wr_worker_emit, w);
    const struct wr_exec_config config = { .worker = w->index,
                                           .workers = p->config.workers,
                                           .batch_rows = p->config.batch_rows,
                                           .memory_bytes = p->config.memory_bytes / 2,
                                           .snapshots = p->recovery != NULL,
                                           .snapshot_every = p->node_every };
    const struct wr_exec_host host = { .ctx = w,
                                       .emit = wr_worker_emit,
                                       .send = host_send,
                                       .late = host_late,
                                       .fault = host_fault,
                                       .ledger = host_ledger,
                                       .snapshot = host_snapshot };
    WR_TRY(wr_exec_create(&w->exec, p->plan, &config, &host, err));
    if (p->recovery != NULL) {
        w->snapshot = wr_snapshot_writer_create();
        WR_TRY(wr_restore_operators(p, w->exec, err));
    }
    w->scans = wr_calloc(p->plan->source_count + 1, sizeof *w->scans);
    for (uint32_t s = 0; s < p->plan->source_count; s++) {
        WR_TRY(wr_scan_open(&w->scans[s], w, s, err));
    }
    return WR_OK;
}

static void discard(struct wr_worker *w, struct wr_envelope *envelope)
{
    wr_batch_release(envelope->batch);
    envelope->batch = NULL;
    wr_envelope_give(&w->stock, envelope);
}

static void drain_own(struct wr_worker *w, struct wr_lane *lane)
{
    if (lane->slots == NULL) {
        return;
    }
    for (struct wr_envelope *e; (e = wr_lane_pop(lane)) != NULL;) {
        discard(w, e);
    }
    while (lane->pending != NULL) {
        struct wr_envelope *e = lane->pending;
        lane->pending = e->next;
        discard(w, e);
    }
}

/* All threads have ended: whatever is still on a lane goes home from here, whoever consumed it. */
void wr_worker_drain_lanes(struct wr_worker *w)
{
    struct wr_pipeline *p = w->pipeline;
    const uint32_t workers = p->config.workers;
    for (uint32_t k = 0; w->to_sinks != NULL && k < p->sink_worker_count; k++) {
        drain_own(w, &w->to_sinks[k]);
        drain_own(w, &w->from_sinks[k]);
    }
    for (uint32_t i = 0; w->to_workers != NULL && i < p->plan->exchange_count * workers; i++) {
        drain_own(w, &w->to_workers[i]);
    }
    for (uint32_t o = 0; o < workers; o++) { /* mine, on the others' lanes to me */
        if (p->workers[o].home_to != NULL) {
            drain_own(w, &p->workers[o].home_to[w->index]);
        }
    }
}

static void close_lanes(struct wr_lane *lanes, uint32_t count)
{
    for (uint32_t i = 0; lanes != NULL && i < count; i++) {
        wr_lane_deinit(&lanes[i]);
    }
    free(lanes);
}

void wr_worker_close_parts(struct wr_worker *w)
{
    struct wr_pipeline *p = w->pipeline;
    wr_exec_destroy(w->exec);
    for (uint32_t s = 0; w->scans != NULL && s < p->plan->source_count; s++) {
        wr_scan_close(&w->scans[s]);
    }
    free(w->scans);
    wr_side_rows_destroy(w->side);
    close_lanes(w->to_sinks, p->sink_worker_count);
    close_lanes(w->from_sinks, p->sink_worker_count);
    close_lanes(w->to_workers, p->plan->exchange_count * p->config.workers);
    close_lanes(w->home_to, p->config.workers);
    free(w->barrier_seen);
    free(w->max_seen);
    wr_envelope_stock_deinit(&w->stock);
    wr_epoch_cut_deinit(&w->cut);
    wr_epoch_cut_deinit(&w->activations);
    wr_snapshot_writer_destroy(w->snapshot);
    if (w->io != NULL) {
        wr_io_turn(w->io, 0); /* what closing has cancelled completes here, on the owner */
    }
}

void wr_worker_deinit(struct wr_worker *w)
{
    struct wr_pipeline *p = w->pipeline;
    if (p == NULL) {
        return;
    }
    for (uint32_t c = 0; c < p->plan->source_count * p->plan->sink_count; c++) {
        for (uint32_t i = 0; i < w->ledger_splits[c]; i++) {
            free(w->ledger[c][i]);
        }
        free(w->ledger[c]);
    }
    free(w->ledger);
    free(w->ledger_splits);
    free(w->source_counters);
    free(w->sink_watermark_us);
    wr_io_destroy(w->io);
    *w = (struct wr_worker){ 0 };
}

/* ---- the turn ---- */

static void take_home(struct wr_worker *w, struct wr_lane *lane)
{
    for (struct wr_envelope *e; (e = wr_lane_pop(lane)) != NULL;) {
        discard(w, e);
    }
}

static void take_all_home(struct wr_worker *w)
{
    struct wr_pipeline *p = w->pipeline;
    for (uint32_t k = 0; k < p->sink_worker_count; k++) {
        take_home(w, &w->from_sinks[k]);
    }
    for (uint32_t o = 0; o < p->config.workers && p->plan->exchange_count > 0; o++) {
        take_home(w, &p->workers[o].home_to[w->index]);
    }
}

static bool lanes_clear(const struct wr_worker *w)
{
    const struct wr_pipeline *p = w->pipeline;
    for (uint32_t k = 0; k < p->sink_worker_count; k++) {
        if (!wr_lane_clear(&w->to_sinks[k])) {
            return false;
        }
    }
    for (uint32_t i = 0; i < p->plan->exchange_count * p->config.workers; i++) {
        if (!wr_lane_clear(&w->to_workers[i])) {
            return false;
        }
    }
    return true;
}

static void flush_lanes(struct wr_worker *w)
{
    struct wr_pipeline *p = w->pipeline;
    for (uint32_t k = 0; k < p->sink_worker_count; k++) {
        (void)wr_lane_flush(&w->to_sinks[k]);
    }
    for (uint32_t i = 0; i < p->plan->exchange_count * p->config.workers; i++) {
        (void)wr_lane_flush(&w->to_workers[i]);
    }
    for (uint32_t o = 0; o < p->config.workers && p->plan->exchange_count > 0; o++) {
        (void)wr_lane_flush(&w->home_to[o]);
    }
}

/* One message of worker `from`; the envelope goes home. */
static void handle_inbound(struct wr_worker *w, uint32_t exchange, uint32_t from,
                           struct wr_envelope *e, struct wr_time now)
{
    const uint32_t cell = exchange * w->pipeline->config.workers + from;
    struct wr_exchange_message message = { .exchange = exchange,
                                           .batch = e->batch,
                                           .watermark_us = e->watermark_us,
                                           .epoch = e->epoch };
    switch (e->kind) {
    case WR_ENVELOPE_ROWS: message.kind = WR_EXCHANGE_ROWS; break;
    case WR_ENVELOPE_WATERMARK:
        message.kind = WR_EXCHANGE_WATERMARK;
        w->max_seen[cell] = e->watermark_us == WR_TIME_MAX;
        break;
    case WR_ENVELOPE_BARRIER: w->barrier_seen[cell] = e->epoch; break;
    }
    if (e->kind != WR_ENVELOPE_BARRIER) {
        wr_exec_receive(w->exec, from, &message, now);
    }
    wr_lane_send(&w->home_to[from], e);
}

static bool drain_inbound(struct wr_worker *w, struct wr_time now)
{
    struct wr_pipeline *p = w->pipeline;
    const uint32_t workers = p->config.workers;
    bool any = false;
    for (uint32_t x = 0; x < p->plan->exchange_count; x++) {
        for (uint32_t from = 0; from < workers; from++) {
            if (from == w->index) {
                continue;
            }
            struct wr_lane *lane = &p->workers[from].to_workers[x * workers + w->index];
            for (uint32_t n = 0; n < TURN_ENVELOPES; n++) {
                if (w->barrier_seen[x * workers + from] > w->epoch_done) {
                    break; /* (2) */
                }
                struct wr_envelope *e = wr_lane_pop(lane);
                if (e == NULL) {
                    break;
                }
                handle_inbound(w, x, from, e, now);
                any = true;
            }
        }
    }
    return any;
}

/* ---- barrier ---- */

static void cut_operators(struct wr_worker *w)
{
    const struct wr_plan *plan = w->pipeline->plan;
    for (uint32_t n = 0; n < plan->node_count; n++) {
        if (plan->nodes[n].kind == WR_NODE_WINDOW) {
            wr_epoch_cut_operator(&w->cut, n, wr_exec_node_watermark(w->exec, n));
        }
    }
    for (uint64_t e = wr_exec_snapshot_base(w->exec); e < w->epoch_now; e++) {
        if (wr_exec_snapshot_needed(w->exec, e)) {
            wr_epoch_cut_needed(&w->cut, e);
        }
    }
    if (!wr_snapshot_is_empty(w->snapshot)) {
        wr_epoch_cut_snapshot(&w->cut, w->index, w->snapshot);
        w->snapshot = wr_snapshot_writer_create();
    }
}

static void barrier_finish(struct wr_worker *w)
{
    struct wr_pipeline *p = w->pipeline;
    wr_side_rows_flush(w->side);
    w->cut.oldest_open_us = wr_exec_oldest_open_us(w->exec);
    cut_ledger(w, &w->cut);
    if (p->recovery != NULL) {
        cut_operators(w);
    }
    wr_epoch_report(&p->board, &w->cut);
    for (uint32_t k = 0; k < p->sink_worker_count; k++) {
        struct wr_envelope *e = wr_envelope_take(&w->stock, WR_ENVELOPE_BARRIER, 0);
        e->epoch = w->epoch_now;
        e->final = w->epoch_final;
        wr_lane_send(&w->to_sinks[k], e);
    }
    w->epoch_done = w->epoch_now;
    w->epoch_now = 0;
    WR_FAULT("worker.after_barrier");
}

static bool barrier_came_from_all(const struct wr_worker *w, uint32_t exchange)
{
    const uint32_t workers = w->pipeline->config.workers;
    for (uint32_t from = 0; from < workers; from++) {
        if (from != w->index && w->barrier_seen[exchange * workers + from] < w->epoch_now) {
            return false;
        }
    }
    return true;
}

static void barrier_advance(struct wr_worker *w, struct wr_time now)
{
    while (w->epoch_now != 0 && w->exchanges_aligned < w->pipeline->plan->exchange_count) {
        if (!barrier_came_from_all(w, w->exchanges_aligned)) {
            return;
        }
        wr_exec_barrier_aligned(w->exec, w->exchanges_aligned, w->epoch_now, now);
        w->exchanges_aligned++;
    }
    if (w->epoch_now != 0) {
        barrier_finish(w);
    }
}

static void barrier_begin(struct wr_worker *w, struct wr_time now)
{
    struct wr_epoch_board *board = &w->pipeline->board;
    /* Acquire pairs with wr_epoch_request's release. */
    const uint64_t epoch = atomic_load_explicit(&board->requested, memory_order_acquire);
    if (epoch <= w->epoch_done || w->epoch_now != 0) {
        return;
    }
    w->epoch_now = epoch;
    w->epoch_final = atomic_load_explicit(&board->requested_final, memory_order_relaxed);
    w->exchanges_aligned = 0;
    wr_epoch_cut_begin(&w->cut, epoch, w->epoch_final);
    wr_epoch_cut_merge(&w->cut, &w->activations);
    wr_epoch_cut_begin(&w->activations, 0, false);
    for (uint32_t s = 0; s < w->pipeline->plan->source_count; s++) {
        wr_scan_cut(&w->scans[s], &w->cut);
    }
    wr_exec_barrier(w->exec, epoch, w->epoch_final || epoch == w->pipeline->full_epoch, now);
    if (w->pipeline->config.workers == 1) {
        w->exchanges_aligned = w->pipeline->plan->exchange_count;
    }
}

/* ---- polling and the end ---- */

static uint32_t poll_sources(struct wr_worker *w, struct wr_time now)
{
    uint32_t read = 0;
    for (uint32_t s = 0; s < w->pipeline->plan->source_count; s++) {
        struct wr_scan *scan = &w->scans[s];
        struct wr_error err;
        wr_status status;
        read += wr_scan_poll(scan, now, TURN_ROWS, &status, &err);
        if (status == WR_FAIL) {
            wr_error_prefix(&err, "source \"%s\" (%s)", scan->plan->name, scan->ops->name);
            wr_epoch_fail(&w->pipeline->board, &err);
            scan->finished = true; /* the run ends; do not poll it again */
        }
    }
    return read;
}

static bool all_ended(const struct wr_worker *w)
{
    const struct wr_pipeline *p = w->pipeline;
    const uint32_t workers = p->config.workers;
    for (uint32_t s = 0; s < p->plan->source_count; s++) {
        if (w->scans[s].passed_us != WR_TIME_MAX || !w->scans[s].finished) {
            return false;
        }
    }
    for (uint32_t x = 0; x < p->plan->exchange_count && workers > 1; x++) {
        for (uint32_t from = 0; from < workers; from++) {
            if (from != w->index && !w->max_seen[x * workers + from]) {
                return false;
            }
        }
    }
    return true;
}

static void tell_gauges(struct wr_worker *w)
{
    wr_counter_set(&w->open_windows, wr_exec_open_windows(w->exec));
    wr_counter_set(&w->state_bytes, wr_exec_state_bytes(w->exec));
    uint64_t pools = 0;
    for (uint32_t s = 0; s < w->pipeline->plan->source_count; s++) {
        pools += wr_batch_pool_bytes(w->scans[s].pool);
    }
    wr_counter_set(&w->pool_bytes, pools);
    for (uint32_t k = 0; k < w->pipeline->plan->sink_count; k++) {
        atomic_store_explicit(&w->sink_watermark_us[k], wr_exec_sink_watermark(w->exec, k),
                              memory_order_relaxed);
    }
}

/* Window state may take half of the memory. From two thirds of that on splits that are ahead wait; what still does not fit would end
 * in a kill: better a stop with a name. */
static void check_state(struct wr_worker *w)
{
    struct wr_pipeline *p = w->pipeline;
    uint64_t all = 0;
    for (uint32_t i = 0; i < p->config.workers; i++) {
        all += wr_counter_get(&p->workers[i].state_bytes);
    }
    if (all > wr_counter_get(&w->state_peak_bytes)) {
        wr_counter_set(&w->state_peak_bytes, all);
    }
    const uint64_t most = p->config.memory_bytes / 2;
    if (all > most - most / 3) {
        atomic_store_explicit(&p->pressed, true, memory_order_relaxed);
    } else if (all < most / 2) {
        atomic_store_explicit(&p->pressed, false, memory_order_relaxed);
    }
    if (all <= most) {
        return;
    }
    struct wr_error err;
    char names[256] = "";
    for (uint32_t k = 0; k < p->plan->sink_count; k++) {
        if (p->plan->sinks[k].windowed) {
            const size_t at = strlen(names);
            snprintf(names + at, sizeof names - at, "%s\"%s\"", at > 0 ? ", " : "",
                     p->plan->sinks[k].name);
        }
    }
    (void)wr_fail(&err, WR_CLASS_FATAL, "the open windows of sink %s need more than half of the memory",
                  names);
    wr_error_detail(&err, "state %llu MiB, memory %llu MiB", (unsigned long long)(all >> 20),
                    (unsigned long long)(p->config.memory_bytes >> 20));
    wr_error_hint(&err, "give more (--memory), use fewer keys or shorter windows, or see what holds the "
                        "watermark back");
    wr_pipeline_stop_with(p, &err);
}

static int64_t sleep_until(const struct wr_worker *w, struct wr_time now)
{
    int64_t until = now.mono_ns + IDLE_SLEEP_NS;
    for (uint32_t s = 0; s < w->pipeline->plan->source_count; s++) {
        const int64_t deadline = wr_scan_deadline_ns(&w->scans[s]);
        until = deadline < until ? deadline : until;
    }
    return until < now.mono_ns + PACE_GRAIN_NS ? now.mono_ns + PACE_GRAIN_NS : until;
}

static bool short_of_batches(const struct wr_worker *w)
{
    if (!lanes_clear(w)) {
        return true;
    }
    for (uint32_t s = 0; s < w->pipeline->plan->source_count; s++) {
        if (w->scans[s].ready == NULL && !wr_batch_pool_has_room(w->scans[s].pool)) {
            return true;
        }
    }
    return false;
}

/* Only batches that come home, or lanes that empty (which shows by envelopes that come home), let this worker go on. False:
 * some have come already. */
static bool starve(struct wr_worker *w)
{
    struct wr_pipeline *p = w->pipeline;
    bool empty = true;
    for (uint32_t k = 0; k < p->sink_worker_count; k++) {
        empty = wr_lane_starve(&w->from_sinks[k]) && empty;
    }
    for (uint32_t o = 0; o < p->config.workers && p->plan->exchange_count > 0; o++) {
        empty = wr_lane_starve(&p->workers[o].home_to[w->index]) && empty;
    }
    return empty;
}

int64_t wr_worker_turn(struct wr_worker *w, struct wr_time now)
{
    struct wr_pipeline *p = w->pipeline;
    const uint32_t sources = p->plan->source_count;
    take_all_home(w);
    const bool received = drain_inbound(w, now);
    if (lanes_clear(w)) { /* rows before the cut must not be stuck behind it */
        barrier_begin(w, now);
    }
    barrier_advance(w, now);
    uint32_t read = 0;
    const bool stopping = atomic_load_explicit(&p->stopping, memory_order_relaxed);
    const bool clear = lanes_clear(w);
    if (clear && w->epoch_now == 0 && !stopping) { /* (1), (3) */
        read = poll_sources(w, now);
    } else if (!stopping) {
        wr_counter_add(&w->held, 1);
    }
    for (uint32_t s = 0; s < sources && w->epoch_now == 0 && !stopping; s++) {
        wr_scan_watermark(&w->scans[s], now);
        wr_scan_hold_back(&w->scans[s]);
    }
    /* Results that leave after the cut belong to the next epoch: none while the barrier travels. */
    w->step_more = clear && w->epoch_now == 0 && wr_exec_step(w->exec, TURN_EMIT_ROWS, now);
    if (w->index == 0) {
        wr_pipeline_take_rejects(p, w->side);
    }
    wr_side_rows_flush(w->side);
    flush_lanes(w);
    wr_counter_add(&w->turns, 1);
    wr_counter_add(&w->changes, read + w->step_more + received);
    tell_gauges(w);
    check_state(w);
    if (!w->finished_told && clear && !w->step_more && w->epoch_now == 0 && all_ended(w) &&
        lanes_clear(w)) {
        w->finished_told = true;
        wr_epoch_worker_finished(&p->board);
    }
    /* Whoever waited for the lanes has not polled: what is there wakes nobody, so the lanes' room is a reason to go on. */
    const bool busy = read > 0 || w->step_more || received || !clear;
    if ((busy && lanes_clear(w)) || (short_of_batches(w) && !starve(w))) {
        return now.mono_ns;
    }
    wr_dassert(clear || !lanes_clear(w)); /* who sleeps has polled, or waits for somebody who wakes it */
    return sleep_until(w, now);
}

static void run_loop(struct wr_worker *w)
{
    while (!atomic_load_explicit(&w->pipeline->workers_end, memory_order_acquire)) {
        const struct wr_time now = wr_clock_now();
        const int64_t until = wr_worker_turn(w, now);
        wr_io_turn(w->io, until <= now.mono_ns ? 0 : until - now.mono_ns);
    }
}

/* A ring of io_uring belongs to the thread that made it: everything is opened and closed here. The stages keep
 * the threads in step; see start_gate.h. */
static void *worker_main(void *arg)
{
    struct wr_worker *w = arg;
    struct wr_pipeline *p = w->pipeline;
    struct wr_error err;
    char name[16];
    snprintf(name, sizeof name, "weir-work-%u", w->index);
    pthread_setname_np(pthread_self(), name);

    wr_status status = wr_worker_open_loop(w, &err);
    if (wr_gate_pass(&p->gate, WR_STAGE_LOOPS, status, &err)) {
        wr_worker_open_lanes(w);
    }
    if (wr_gate_pass(&p->gate, WR_STAGE_LANES, WR_OK, NULL)) {
        status = wr_worker_open_parts(w, &err);
        if (wr_gate_pass(&p->gate, WR_STAGE_OPEN, status, &err)) {
            run_loop(w);
        }
    }
    wr_gate_wait(&p->gate_end);
    wr_worker_drain_lanes(w);
    wr_gate_wait(&p->gate_end);
    wr_worker_close_parts(w);
    return NULL; /* the loop outlives the thread: others may still wake it; deinit destroys it */
}

wr_status wr_worker_start(struct wr_worker *w, struct wr_error *err)
{
    wr_ensure(pthread_create(&w->thread, NULL, worker_main, w) == 0, err, WR_CLASS_FATAL,
              "cannot start worker thread %u", w->index);
    w->thread_started = true;
    return WR_OK;
}

void wr_worker_join(struct wr_worker *w)
{
    if (w->thread_started) {
        wr_io_wake(w->io);
        pthread_join(w->thread, NULL);
        w->thread_started = false;
    }
}
