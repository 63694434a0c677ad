#include "run/sink_worker.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/heap.h"
#include "base/log.h"
#include "run/recovery.h"
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
    wr_backoff_init(&sw->backoff);
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

static void fill_env(struct wr_sink_worker *sw, struct wr_sink_slot *slot, struct wr_sink_env *env)
{
    struct wr_pipeline *p = sw->pipeline;
    const bool many = slot->ops->parallel;
    *env = (struct wr_sink_env){ .plan = &p->plan->sinks[slot->sink],
                                 .pipeline = p->config.name,
                                 .owner = p->owner,
                                 .state_uuid = wr_recovery_uuid(p->recovery),
                                 .state_url = p->config.state_url,
                                 .state_options = p->config.state_options,
                                 .exactly_once = p->exactly_once[slot->sink],
                                 .first_epoch = p->recovery != NULL ? p->recovery->manifest->epoch + 1 : 0,
                                 .background = !p->config.stepped,
                                 .lane = many ? sw->index : 0,
                                 .lanes = many ? p->bulk_lanes : 1,
                                 .io = sw->io,
                                 .memory_bytes = wr_pipeline_writer_bytes(p),
                                 .terminal = stdout,
                                 .visible = host_visible,
                                 .reject = host_reject,
                                 .ctx = slot };
}

wr_status wr_sink_worker_open_loop(struct wr_sink_worker *sw, struct wr_error *err)
{
    return wr_io_create(&sw->io, sw->pipeline->config.stepped ? WR_IO_SIM : WR_IO_AUTO, 64, err);
}

wr_status wr_sink_worker_open(struct wr_sink_worker *sw, struct wr_error *err)
{
    for (uint32_t i = 0; i < sw->slot_count; i++) {
        struct wr_sink_slot *slot = &sw->slots[i];
        struct wr_sink_env env;
        fill_env(sw, slot, &env);
        slot->lane = env.lane;
        WR_TRY_IN(slot->ops->open(&slot->writer, &env, err), err, "sink \"%s\" (%s)",
                  env.plan->name, slot->ops->name);
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

/* A step of slot failed: true when it is to be tried again at sw->retry_ns; false: the run fails. */
static bool back_off(struct wr_sink_slot *slot, struct wr_error *err)
{
    struct wr_sink_worker *sw = slot->worker;
    const int64_t delay_ns = wr_policy_delay_ns(&sw->backoff, err, slot->ops->name, ending(sw));
    if (delay_ns < 0) {
        fail(slot, err);
        return false;
    }
    sw->retry_ns = wr_clock_now().mono_ns + delay_ns;
    return true;
}

static void works_again(struct wr_sink_slot *slot)
{
    wr_backoff_reset(&slot->worker->backoff, slot->ops->name);
    slot->worker->retry_ns = 0;
}

/* False: the writer cannot take it yet. */
static bool write_rows(struct wr_sink_worker *sw, const struct wr_envelope *e)
{
    struct wr_sink_slot *slot = slot_of(sw, e->target);
    struct wr_error err;
    if (slot->ops->write(slot->writer, e->batch, wr_clock_now(), &err) != WR_OK) {
        return !back_off(slot, &err); /* the run fails: rows go home unwritten */
    }
    works_again(slot);
    if (slot->ops->transactional || sw->pipeline->exactly_once[slot->sink]) {
        remember_arrival(slot, e->batch->ingest_us, wr_batch_live(e->batch));
    }
    slot->next_tick_ns = 0;
    return true;
}

/* True when the envelope is dealt with. */
static bool handle(struct wr_sink_worker *sw, struct wr_worker *from, struct wr_envelope *e)
{
    if (e->kind == WR_ENVELOPE_BARRIER) {
        sw->barrier_seen[from->index] = e->epoch;
        sw->final = e->final;
    } else if (!wr_epoch_failed(&sw->pipeline->board, NULL) && !write_rows(sw, e)) {
        sw->stuck = e;
        sw->stuck_from = from->index;
        return false;
    }
    wr_lane_send(&from->from_sinks[sw->index], e); /* (2) */
    return true;
}

static bool drain_lane(struct wr_sink_worker *sw, struct wr_worker *from)
{
    struct wr_lane *lane = &from->to_sinks[sw->index];
    bool any = false;
    for (uint32_t n = 0; n < LANE_ENVELOPES && sw->stuck == NULL; n++) {
        if (sw->barrier_seen[from->index] > sw->prepared) {
            break; /* (1) */
        }
        struct wr_envelope *e = wr_lane_pop(lane);
        if (e == NULL) {
            break;
        }
        any = handle(sw, from, e) || any;
    }
    (void)wr_lane_flush(&from->from_sinks[sw->index]);
    return any;
}

static bool drain(struct wr_sink_worker *sw)
{
    struct wr_pipeline *p = sw->pipeline;
    bool any = false;
    if (sw->stuck != NULL) {
        struct wr_envelope *e = sw->stuck;
        sw->stuck = NULL;
        any = handle(sw, &p->workers[sw->stuck_from], e);
    }
    for (uint32_t w = 0; w < p->config.workers && sw->stuck == NULL; w++) {
        any = drain_lane(sw, &p->workers[w]) || any;
    }
    return any;
}

/* ---- epochs ---- */

struct wr_receipt *wr_sink_receipts(const struct wr_pipeline *p, uint32_t sink, uint64_t epoch,
                                    uint32_t *count)
{
    struct wr_receipt *receipts = wr_calloc(p->sink_worker_count + 1, sizeof *receipts);
    *count = 0;
    for (uint32_t t = 0; t < p->sink_worker_count; t++) {
        for (uint32_t i = 0; i < p->sink_workers[t].slot_count; i++) {
            const struct wr_sink_slot *slot = &p->sink_workers[t].slots[i];
            if (slot->sink == sink && slot->prepared == epoch && slot->receipt.bytes > 0) {
                receipts[(*count)++] =
                    (struct wr_receipt){ slot->receipt.data, slot->receipt.bytes };
            }
        }
    }
    return receipts;
}

/* False: not all are recovered yet. */
static bool recover(struct wr_sink_worker *sw)
{
    struct wr_pipeline *p = sw->pipeline;
    for (uint32_t i = 0; i < sw->slot_count; i++) {
        struct wr_sink_slot *slot = &sw->slots[i];
        struct wr_sink_recovery what;
        if (slot->recovered) {
            continue;
        }
        if (slot->lane == 0 && slot->ops->recover != NULL &&
            wr_recovery_of_sink(p->recovery, p->plan->sinks[slot->sink].name, &what)) {
            struct wr_error err;
            if (slot->ops->recover(slot->writer, &what, &err) != WR_OK) {
                wr_error_prefix(&err, "recovering");
                (void)back_off(slot, &err);
                return false;
            }
            works_again(slot);
        }
        slot->recovered = true;
    }
    return true;
}

static void prepare_if_aligned(struct wr_sink_worker *sw)
{
    struct wr_pipeline *p = sw->pipeline;
    uint64_t epoch = UINT64_MAX;
    for (uint32_t w = 0; w < p->config.workers; w++) {
        epoch = sw->barrier_seen[w] < epoch ? sw->barrier_seen[w] : epoch;
    }
    if (epoch <= sw->prepared || wr_epoch_failed(&p->board, NULL)) {
        return;
    }
    for (uint32_t i = 0; i < sw->slot_count; i++) {
        struct wr_sink_slot *slot = &sw->slots[i];
        if (slot->prepared == epoch || !wr_pipeline_joins(p, slot->sink, epoch, sw->final)) {
            continue;
        }
        struct wr_error err;
        slot->receipt.bytes = 0;
        if (slot->ops->prepare(slot->writer, epoch, &slot->receipt, &err) != WR_OK) {
            slot->receipt.bytes = 0;
            (void)back_off(slot, &err);
            return; /* tried again, or the run is ending and the epoch stays unprepared */
        }
        works_again(slot);
        slot->prepared = epoch;
        slot->arrivals_prepared = slot->arrival_count;
        tell(slot);
    }
    sw->prepared = epoch;
    WR_FAULT("sink.after_prepare");
    wr_epoch_prepared(&p->board);
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

static wr_status publish(struct wr_sink_slot *slot, uint64_t epoch, struct wr_error *err)
{
    uint32_t count = 0;
    struct wr_receipt *receipts = NULL;
    if (slot->lane == 0) {
        receipts = wr_sink_receipts(slot->worker->pipeline, slot->sink, epoch, &count);
    }
    const wr_status status = slot->ops->publish(slot->writer, epoch, receipts, count, err);
    free(receipts);
    return status;
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
        if (slot->prepared != through || slot->published == through) {
            continue; /* not part of this epoch, or done */
        }
        struct wr_error err;
        if (publish(slot, through, &err) != WR_OK) {
            (void)back_off(slot, &err);
            return;
        }
        works_again(slot);
        slot->published = through;
        if (slot->arrivals_prepared > 0) {
            record_durable(slot);
        }
        tell(slot);
        atomic_store_explicit(&slot->published_epoch, through, memory_order_release);
        WR_FAULT("sink.after_publish");
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

int64_t wr_sink_worker_turn(struct wr_sink_worker *sw, struct wr_time now)
{
    bool any = false;
    if (sw->retry_ns <= now.mono_ns && recover(sw)) {
        any = drain(sw);
        if (sw->stuck == NULL) {
            prepare_if_aligned(sw);
        }
        if (sw->retry_ns <= now.mono_ns) {
            publish_if_committed(sw);
        }
    }
    int64_t next = tick(sw, now);
    if (sw->retry_ns > now.mono_ns && sw->retry_ns < next) {
        next = sw->retry_ns;
    }
    return any ? now.mono_ns : next;
}

static void run_loop(struct wr_sink_worker *sw)
{
    while (!atomic_load_explicit(&sw->pipeline->sinks_end, memory_order_acquire)) {
        const int64_t next = wr_sink_worker_turn(sw, wr_clock_now());
        const int64_t wait_ns = next - wr_clock_now().mono_ns;
        wr_io_turn(sw->io, wait_ns > 0 ? wait_ns : 0);
    }
}

void wr_sink_worker_close(struct wr_sink_worker *sw)
{
    if (sw->stuck != NULL) { /* its batch goes home with what still lies on the lane */
        wr_lane_send(&sw->pipeline->workers[sw->stuck_from].from_sinks[sw->index], sw->stuck);
        (void)wr_lane_flush(&sw->pipeline->workers[sw->stuck_from].from_sinks[sw->index]);
        sw->stuck = NULL;
    }
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

    wr_status status = wr_sink_worker_open_loop(sw, &err);
    (void)wr_gate_pass(&p->gate, WR_STAGE_LOOPS, status, &err);
    if (wr_gate_pass(&p->gate, WR_STAGE_LANES, WR_OK, NULL)) {
        status = wr_sink_worker_open(sw, &err);
        if (wr_gate_pass(&p->gate, WR_STAGE_OPEN, status, &err)) {
            run_loop(sw);
        }
    }
    wr_sink_worker_close(sw);
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
