#include "run/sink_worker.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/heap.h"
#include "base/log.h"
#include "run/policy.h"
#include "run/worker.h"

/* Envelopes handled from one lane before the next lane's turn. */
#define LANE_ENVELOPES 32u
#define IDLE_SLEEP_NS (200 * WR_NS_PER_MS)
/* Bulk sink workers are not woken for every batch (lane.h, invariant 3): they look this often. */
#define BULK_SLEEP_NS (10 * WR_NS_PER_MS)

static bool ending(const struct wr_sink_worker *sw)
{
    return atomic_load_explicit(&sw->pipeline->stopping, memory_order_relaxed);
}

static bool give_up(const struct wr_sink_worker *sw)
{
    return atomic_load_explicit(&sw->pipeline->sinks_end, memory_order_relaxed);
}

static void fail(struct wr_sink_slot *slot, struct wr_error *err)
{
    wr_error_prefix(err, "sink \"%s\" (%s)", slot->worker->pipeline->plan->sinks[slot->sink].name,
                    slot->ops->name);
    wr_epoch_fail(&slot->worker->pipeline->board, err);
}

/* ---- what writers ask of run ---- */

static void host_visible(void *ctx, int64_t ingest_us, uint64_t rows)
{
    struct wr_sink_slot *slot = ctx;
    if (ingest_us <= 0) {
        return; /* released by the end of the input, not by an event */
    }
    wr_histogram_record(&slot->result_us, wr_clock_now().wall_us - ingest_us, rows);
}

static void host_reject(void *ctx, const char *row_json, size_t bytes, const char *message)
{
    struct wr_sink_slot *slot = ctx;
    wr_rejects_put(&slot->worker->pipeline->rejects, slot->sink, row_json, bytes, message);
}

/* ---- slots ---- */

void wr_sink_worker_init(struct wr_sink_worker *sw, struct wr_pipeline *p, uint32_t index)
{
    sw->pipeline = p;
    sw->index = index;
    sw->slots = wr_calloc(p->plan->sink_count + 1, sizeof *sw->slots);
    sw->barrier_seen = wr_calloc(p->config.workers, sizeof(uint64_t));
    for (uint32_t k = 0; k < p->plan->sink_count; k++) {
        bool here = false;
        for (uint32_t w = 0; w < p->config.workers; w++) {
            here = here || wr_pipeline_sink_worker(p, k, w) == index;
        }
        if (here) {
            sw->slots[sw->slot_count++] = (struct wr_sink_slot){ .sink = k,
                                                                 .ops = p->sink_ops[k],
                                                                 .worker = sw };
        }
    }
}

void wr_sink_worker_deinit(struct wr_sink_worker *sw)
{
    for (uint32_t i = 0; i < sw->slot_count; i++) {
        free(sw->slots[i].arrivals);
        wr_buf_deinit(&sw->slots[i].receipt);
    }
    free(sw->slots);
    free(sw->barrier_seen);
    wr_io_destroy(sw->io);
    *sw = (struct wr_sink_worker){ 0 };
}

static wr_status open_slots(struct wr_sink_worker *sw, struct wr_error *err)
{
    struct wr_pipeline *p = sw->pipeline;
    for (uint32_t i = 0; i < sw->slot_count; i++) {
        struct wr_sink_slot *slot = &sw->slots[i];
        const struct wr_plan_sink *plan = &p->plan->sinks[slot->sink];
        const int64_t own = plan->commit_interval_us > 0 ? plan->commit_interval_us
                            : slot->ops->commit_interval_us > 0 ? slot->ops->commit_interval_us
                                                                : p->config.commit_interval_us;
        slot->epoch_every = (uint64_t)(own / p->epoch_interval_us);
        slot->epoch_every = slot->epoch_every == 0 ? 1 : slot->epoch_every;
        const bool many = slot->ops->parallel;
        const struct wr_sink_env env = { .plan = plan,
                                         .pipeline = p->config.name,
                                         .owner = p->owner,
                                         .lane = many ? sw->index : 0,
                                         .lanes = many ? p->bulk_lanes : 1,
                                         .io = sw->io,
                                         .memory_bytes = wr_pipeline_writer_bytes(p),
                                         .terminal = stdout,
                                         .visible = host_visible,
                                         .reject = host_reject,
                                         .ctx = slot };
        WR_TRY_IN(slot->ops->open(&slot->writer, &env, err), err, "sink \"%s\" (%s)", plan->name,
                  slot->ops->name);
    }
    return WR_OK;
}

static struct wr_sink_slot *slot_of(struct wr_sink_worker *sw, uint32_t sink)
{
    for (uint32_t i = 0; i < sw->slot_count; i++) {
        if (sw->slots[i].sink == sink) {
            return &sw->slots[i];
        }
    }
    wr_assert(false);
    return NULL;
}

static void tell(struct wr_sink_slot *slot)
{
    struct wr_sink_stats stats = { 0 };
    slot->ops->stats(slot->writer, &stats);
    wr_counter_set(&slot->rows, stats.rows);
    wr_counter_set(&slot->files, stats.files);
    wr_counter_set(&slot->bytes, stats.bytes);
    if (slot->ops->held_bytes != NULL) {
        wr_counter_set(&slot->held_bytes, slot->ops->held_bytes(slot->writer));
    }
}

/* ---- writing ---- */

static void remember_arrival(struct wr_sink_slot *slot, int64_t ingest_us, uint64_t rows)
{
    if (slot->arrival_count == slot->arrival_capacity) {
        slot->arrival_capacity = slot->arrival_capacity * 2 + 64;
        slot->arrivals =
            wr_realloc(slot->arrivals, slot->arrival_capacity * sizeof *slot->arrivals);
    }
    slot->arrivals[slot->arrival_count++] = (struct wr_arrival){ ingest_us, rows };
}

static void write_rows(struct wr_sink_worker *sw, const struct wr_envelope *e)
{
    struct wr_sink_slot *slot = slot_of(sw, e->target);
    struct wr_backoff backoff;
    wr_backoff_init(&backoff);
    struct wr_error err;
    while (!give_up(sw)) {
        const wr_status status = slot->ops->write(slot->writer, e->batch, wr_clock_now(), &err);
        if (status == WR_OK) {
            wr_backoff_reset(&backoff, slot->ops->name);
            if (slot->ops->transactional) {
                remember_arrival(slot, e->batch->ingest_us, wr_batch_live(e->batch));
            }
            slot->next_tick_ns = 0;
            return;
        }
        if (!wr_policy_retry(&backoff, &err, slot->ops->name, ending(sw))) {
            fail(slot, &err);
            return;
        }
    }
}

static bool drain_lane(struct wr_sink_worker *sw, struct wr_worker *from)
{
    struct wr_lane *lane = &from->to_sinks[sw->index];
    struct wr_lane *home = &from->from_sinks[sw->index];
    bool any = false;
    for (uint32_t n = 0; n < LANE_ENVELOPES; n++) {
        if (sw->barrier_seen[from->index] > sw->prepared) {
            break; /* (1) */
        }
        struct wr_envelope *e = wr_lane_pop(lane);
        if (e == NULL) {
            break;
        }
        any = true;
        if (e->kind == WR_ENVELOPE_BARRIER) {
            sw->barrier_seen[from->index] = e->epoch;
            sw->final = e->final;
        } else if (!wr_epoch_failed(&sw->pipeline->board, NULL)) {
            write_rows(sw, e);
        }
        wr_lane_send(home, e); /* (2) */
    }
    (void)wr_lane_flush(home);
    return any;
}

/* ---- epochs ---- */

/* Calls prepare or publish until it works or the policy gives up. */
static bool insist(struct wr_sink_slot *slot, uint64_t epoch, bool publish)
{
    struct wr_backoff backoff;
    wr_backoff_init(&backoff);
    struct wr_error err;
    while ((publish ? slot->ops->publish(slot->writer, epoch, NULL, 0, &err)
                    : slot->ops->prepare(slot->writer, epoch, &slot->receipt, &err)) != WR_OK) {
        slot->receipt.bytes = 0;
        if (give_up(slot->worker) ||
            !wr_policy_retry(&backoff, &err, slot->ops->name, ending(slot->worker))) {
            fail(slot, &err);
            return false;
        }
    }
    wr_backoff_reset(&backoff, slot->ops->name);
    return true;
}

static void prepare_if_aligned(struct wr_sink_worker *sw)
{
    uint64_t epoch = UINT64_MAX;
    for (uint32_t w = 0; w < sw->pipeline->config.workers; w++) {
        epoch = sw->barrier_seen[w] < epoch ? sw->barrier_seen[w] : epoch;
    }
    if (epoch <= sw->prepared || wr_epoch_failed(&sw->pipeline->board, NULL)) {
        return;
    }
    for (uint32_t i = 0; i < sw->slot_count; i++) {
        struct wr_sink_slot *slot = &sw->slots[i];
        if (!sw->final && epoch % slot->epoch_every != 0) {
            continue;
        }
        if (!insist(slot, epoch, false)) {
            return; /* the run is ending; the epoch stays unprepared */
        }
        slot->prepared = epoch;
        slot->arrivals_prepared = slot->arrival_count;
        tell(slot);
    }
    sw->prepared = epoch;
    WR_FAULT("sink.after_prepare");
    wr_epoch_prepared(&sw->pipeline->board);
}

static void record_durable(struct wr_sink_slot *slot)
{
    const int64_t now_us = wr_clock_now().wall_us;
    for (uint32_t i = 0; i < slot->arrivals_prepared; i++) {
        wr_histogram_record(&slot->durable_us, now_us - slot->arrivals[i].ingest_us,
                            slot->arrivals[i].rows);
    }
    slot->arrival_count -= slot->arrivals_prepared;
    memmove(slot->arrivals, slot->arrivals + slot->arrivals_prepared,
            slot->arrival_count * sizeof *slot->arrivals);
    slot->arrivals_prepared = 0;
}

static void publish_if_committed(struct wr_sink_worker *sw)
{
    /* Acquire pairs with wr_epoch_commit's release. */
    const uint64_t through =
        atomic_load_explicit(&sw->pipeline->board.publish_through, memory_order_acquire);
    if (through <= sw->published) {
        return;
    }
    for (uint32_t i = 0; i < sw->slot_count; i++) {
        struct wr_sink_slot *slot = &sw->slots[i];
        if (slot->prepared != through) {
            continue; /* not part of this epoch */
        }
        if (!insist(slot, through, true)) {
            return;
        }
        if (slot->arrivals_prepared > 0) {
            record_durable(slot);
        }
        tell(slot);
        atomic_store_explicit(&slot->published_epoch, through, memory_order_release);
    }
    sw->published = through;
    wr_epoch_published(&sw->pipeline->board);
}

static int64_t tick(struct wr_sink_worker *sw, struct wr_time now)
{
    const bool bulk = sw->index < sw->pipeline->bulk_lanes;
    int64_t next = now.mono_ns + (bulk ? BULK_SLEEP_NS : IDLE_SLEEP_NS);
    for (uint32_t i = 0; i < sw->slot_count; i++) {
        struct wr_sink_slot *slot = &sw->slots[i];
        if (slot->ops->tick == NULL) {
            continue;
        }
        if (slot->next_tick_ns <= now.mono_ns) {
            struct wr_error err;
            int64_t at = INT64_MAX;
            if (slot->ops->tick(slot->writer, now, &at, &err) == WR_FAIL &&
                err.cls != WR_CLASS_RETRY) {
                fail(slot, &err);
            }
            slot->next_tick_ns = at;
            tell(slot);
        }
        next = slot->next_tick_ns < next ? slot->next_tick_ns : next;
    }
    return next;
}

static void run_loop(struct wr_sink_worker *sw)
{
    struct wr_pipeline *p = sw->pipeline;
    while (!atomic_load_explicit(&p->sinks_end, memory_order_acquire)) {
        bool any = false;
        for (uint32_t w = 0; w < p->config.workers; w++) {
            any = drain_lane(sw, &p->workers[w]) || any;
        }
        prepare_if_aligned(sw);
        publish_if_committed(sw);
        const struct wr_time now = wr_clock_now();
        const int64_t next = tick(sw, now);
        wr_io_turn(sw->io, any || next <= now.mono_ns ? 0 : next - now.mono_ns);
    }
}

static void close_slots(struct wr_sink_worker *sw)
{
    for (uint32_t i = 0; i < sw->slot_count; i++) {
        if (sw->slots[i].writer != NULL) {
            tell(&sw->slots[i]);
            sw->slots[i].ops->close(sw->slots[i].writer);
            sw->slots[i].writer = NULL;
        }
    }
}

static void *sink_worker_main(void *arg)
{
    struct wr_sink_worker *sw = arg;
    struct wr_pipeline *p = sw->pipeline;
    struct wr_error err;
    char name[16];
    snprintf(name, sizeof name, "weir-sink-%u", sw->index);
    pthread_setname_np(pthread_self(), name);

    wr_status status = wr_io_create(&sw->io, WR_IO_AUTO, 64, &err);
    (void)wr_gate_pass(&p->gate, WR_STAGE_LOOPS, status, &err);
    if (wr_gate_pass(&p->gate, WR_STAGE_LANES, WR_OK, NULL)) {
        status = open_slots(sw, &err);
        if (wr_gate_pass(&p->gate, WR_STAGE_OPEN, status, &err)) {
            run_loop(sw);
        }
    }
    close_slots(sw);
    return NULL; /* the loop is destroyed by deinit: workers may still wake it */
}

wr_status wr_sink_worker_start(struct wr_sink_worker *sw, struct wr_error *err)
{
    wr_ensure(pthread_create(&sw->thread, NULL, sink_worker_main, sw) == 0, err, WR_CLASS_FATAL,
              "cannot start sink worker thread %u", sw->index);
    sw->thread_started = true;
    return WR_OK;
}

void wr_sink_worker_join(struct wr_sink_worker *sw)
{
    if (sw->thread_started) {
        if (sw->io != NULL) {
            wr_io_wake(sw->io);
        }
        pthread_join(sw->thread, NULL);
        sw->thread_started = false;
    }
}
