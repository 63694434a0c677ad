#include "run/control.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/heap.h"
#include "base/log.h"
#include "run/ledger_view.h"
#include "run/owner.h"
#include "run/plan_compare.h"
#include "run/recovery.h"
#include "run/replay.h"
#include "run/sink_worker.h"
#include "run/worker.h"
#include "state/snapshot.h"
#include "store/store.h"

/* Source upkeep and the stop of a run are looked at this often. */
#define CONTROL_TURN_NS (20 * WR_NS_PER_MS)
/* Old snapshots deleted after one epoch: a request each on an object store, next to no time beside its interval. */
#define GARBAGE_PER_EPOCH 4u
/* Of a start, at a state that does not answer. */
#define CLAIM_ATTEMPTS 3u
/* Without any progress for so long a replay is not going to end. */
#define REPLAY_PATIENCE_NS (30 * WR_NS_PER_S)

void wr_control_init(struct wr_control *c, struct wr_pipeline *p)
{
    *c = (struct wr_control){ .p = p };
    wr_backoff_init(&c->backoff);
    c->published = wr_calloc(p->plan->sink_count + 1, sizeof *c->published);
}

void wr_control_deinit(struct wr_control *c)
{
    wr_recovery_destroy(c->p->recovery);
    c->p->recovery = NULL;
    wr_seat_close(c->seat);
    wr_store_close(c->store);
    wr_epoch_cut_deinit(&c->taken);
    wr_buf_deinit(&c->object);
    for (uint32_t i = 0; i < c->garbage_count; i++) {
        free(c->garbage[i]);
    }
    free(c->garbage);
    free(c->stored);
    free(c->published);
    *c = (struct wr_control){ 0 };
}

/* ---- the state ---- */

/* True when the step is to be tried again later; false: err ends the run. */
static bool back_off(struct wr_control *c, const struct wr_error *err, const char *what)
{
    const int64_t delay_ns = wr_policy_delay_ns(&c->backoff, err, what, c->stop);
    c->retry_ns = wr_clock_now().mono_ns + (delay_ns > 0 ? delay_ns : 0);
    return delay_ns >= 0;
}

static void works_again(struct wr_control *c, const char *what)
{
    wr_backoff_reset(&c->backoff, what);
    c->retry_ns = 0;
}

/* Before anything is written: operators that are others now would lose their state. */
static wr_status accept_plan(void *ctx, const struct wr_manifest *head, struct wr_error *err)
{
    const struct wr_pipeline *p = ctx;
    return wr_plan_accept(head, p->plan, err);
}

static wr_status claim_once(struct wr_control *c, int64_t *next_ns, struct wr_error *err)
{
    struct wr_pipeline *p = c->p;
    if (c->seat == NULL) {
        const struct wr_seat_config config = { .url = p->config.state_url,
                                               .options = p->config.control_options,
                                               .pipeline = p->config.name,
                                               .owner_id = p->owner,
                                               .owner_timeout_us = p->config.owner_timeout_us,
                                               .standby = p->config.standby,
                                               .accept = accept_plan,
                                               .accept_ctx = p };
        WR_TRY(wr_seat_open(&c->seat, &config, err));
    }
    if (c->store == NULL) {
        WR_TRY(wr_store_open(&c->store, p->config.state_url, p->config.control_options, NULL, err));
    }
    return wr_seat_claim(c->seat, wr_clock_now(), next_ns, err);
}

/* A start tells soon that the state cannot be reached; a standby's whole purpose is to be patient. */
static wr_status claim_later(struct wr_control *c, int64_t *next_ns, struct wr_error *err)
{
    const bool patient = c->p->config.standby && c->seat != NULL;
    if (err->cls != WR_CLASS_RETRY || (c->backoff.attempt >= CLAIM_ATTEMPTS && !patient) ||
        !back_off(c, err, "state")) {
        return WR_FAIL;
    }
    *next_ns = c->retry_ns;
    return WR_END;
}

wr_status wr_control_claim(struct wr_control *c, int64_t *next_ns, struct wr_error *err)
{
    struct wr_pipeline *p = c->p;
    if (p->config.state_url == NULL) {
        return WR_OK;
    }
    const wr_status status = claim_once(c, next_ns, err);
    if (status == WR_FAIL) {
        return claim_later(c, next_ns, err);
    }
    works_again(c, "state");
    if (status != WR_OK) {
        return status;
    }
    const struct wr_manifest *head = wr_seat_head(c->seat);
    c->epoch = head->epoch;
    p->recovery = wr_recovery_create(p->plan, head);
    if (p->config.replay == NULL) {
        wr_replay_set_aside(p->recovery);
    } else {
        WR_TRY(wr_replay_accept(p->config.replay, err));
    }
    if (p->recovery->resumed) {
        wr_log_info("run", "state %s: going on behind epoch %llu", p->config.state_url,
                    (unsigned long long)head->cuts[head->cut_count - 1].epoch);
    }
    return WR_OK;
}

void wr_control_release(struct wr_control *c)
{
    struct wr_error err;
    if (c->seat != NULL && wr_seat_release(c->seat, &err) != WR_OK) {
        wr_log_error(WR_LOG_WARN, "run", &err); /* the next owner waits for the time-out then */
    }
}

/* Puts what the workers' state changed, one object after the other. WR_END: not all yet, again at retry_ns. */
static wr_status store_snapshots(struct wr_control *c, struct wr_error *err)
{
    struct wr_pipeline *p = c->p;
    if (!c->snapshots_taken) {
        c->snapshots_taken = wr_epoch_take_snapshots(&p->board, &c->taken);
        if (!c->snapshots_taken) {
            return WR_END;
        }
    }
    while (c->taken.snapshots.count > 0) {
        struct wr_snapshot_cut *last = &c->taken.snapshots.items[c->taken.snapshots.count - 1];
        struct wr_stored_snapshot stored;
        if (c->object.bytes == 0) {
            WR_TRY(wr_snapshot_finish(last->writer, &c->object, err));
        }
        wr_snapshot_key(c->epoch, p->owner, last->worker, stored.key);
        stored.bytes = c->object.bytes;
        if (wr_store_put(c->store, stored.key, c->object.data, c->object.bytes, WR_PUT_ALWAYS,
                         err) != WR_OK) {
            wr_error_prefix(err, "state: storing a snapshot");
            return back_off(c, err, "state") ? WR_END : WR_FAIL;
        }
        works_again(c, "state");
        c->object.bytes = 0;
        wr_snapshot_writer_destroy(last->writer);
        c->taken.snapshots.count--;
        if (c->stored_count == c->stored_capacity) {
            c->stored_capacity = c->stored_capacity * 2 + 8;
            c->stored = wr_realloc(c->stored, c->stored_capacity * sizeof *c->stored);
        }
        c->stored[c->stored_count++] = stored;
        WR_FAULT("epoch.after_snapshot");
    }
    return WR_OK;
}

static void throw_away(struct wr_control *c, const struct wr_manifest *head,
                       const struct wr_manifest *next)
{
    for (uint32_t i = 0; i < head->snapshot_count; i++) {
        bool kept = false;
        for (uint32_t j = 0; j < next->snapshot_count && !kept; j++) {
            kept = strcmp(head->snapshots[i].key, next->snapshots[j].key) == 0;
        }
        if (kept) {
            continue;
        }
        if (c->garbage_count == c->garbage_capacity) {
            c->garbage_capacity = c->garbage_capacity * 2 + 16;
            c->garbage = wr_realloc(c->garbage, c->garbage_capacity * sizeof *c->garbage);
        }
        c->garbage[c->garbage_count++] = wr_strdup(head->snapshots[i].key);
    }
}

/* Behind the commit and nobody waits for it: a failure only leaves an object that a later reset removes.
 * False: the store does not answer. */
static bool sweep(struct wr_control *c)
{
    bool works = true; /* else the next epoch's turn: control does not wait for a dead store several times */
    for (uint32_t n = 0; n < GARBAGE_PER_EPOCH && c->garbage_count > 0 && works; n++) {
        struct wr_error err;
        char *key = c->garbage[--c->garbage_count];
        works = wr_store_delete(c->store, key, &err) != WR_FAIL;
        if (!works) {
            wr_log_error(WR_LOG_DEBUG, "state", &err);
        }
        free(key);
    }
    return works;
}

/* The commit point. WR_END: not yet, again at retry_ns. */
static wr_status put_manifest(struct wr_control *c, struct wr_error *err)
{
    if (c->seat == NULL) {
        return WR_OK;
    }
    const wr_status stored = store_snapshots(c, err);
    if (stored != WR_OK) {
        return stored; /* (1) */
    }
    struct wr_manifest next;
    const struct wr_manifest *head = wr_seat_head(c->seat);
    wr_commit_build(c->p, head, wr_epoch_cut_of(&c->p->board), c->stored, c->stored_count, &next);
    const uint32_t garbage_before = c->garbage_count;
    throw_away(c, head, &next);
    const wr_status status = wr_seat_commit(c->seat, &next, err);
    if (status == WR_OK) {
        works_again(c, "state");
        wr_assert(wr_seat_head(c->seat)->epoch == c->epoch);
        return WR_OK;
    }
    while (c->garbage_count > garbage_before) { /* it is named anew with the next attempt */
        free(c->garbage[--c->garbage_count]);
    }
    wr_manifest_deinit(&next);
    return back_off(c, err, "state") ? WR_END : WR_FAIL;
}

/* ---- epochs ---- */

static void wake_all(struct wr_pipeline *p)
{
    for (uint32_t w = 0; w < p->config.workers; w++) {
        wr_io_wake(p->worker_ios[w]);
    }
    for (uint32_t k = 0; k < p->sink_worker_count; k++) {
        wr_io_wake(p->sink_workers[k].io);
    }
}

/* A counter of all workers. */
static uint64_t sum_of(const struct wr_pipeline *p, size_t counter_offset)
{
    uint64_t sum = 0;
    for (uint32_t w = 0; w < p->config.workers; w++) {
        const char *worker = (const char *)&p->workers[w];
        sum += wr_counter_get((const struct wr_counter *)(worker + counter_offset));
    }
    return sum;
}

static void request_epoch(struct wr_control *c, struct wr_time now, bool final)
{
    const uint64_t opened = sum_of(c->p, offsetof(struct wr_worker, splits_opened));
    c->epoch++;
    if (opened != c->opened_at_request) {
        c->opened_at_request = opened;
        c->p->full_epoch = c->epoch;
    }
    c->epoch_open = true;
    c->snapshots_taken = false;
    c->stored_count = 0;
    c->next_epoch_ns = now.mono_ns + c->p->epoch_interval_us * 1000;
    wr_epoch_request(&c->p->board, c->epoch, final);
    wake_all(c->p);
}

/* Whether an epoch would commit anything: idle pipelines write no manifests but their owner's sign of life. */
static bool is_worth(struct wr_control *c)
{
    const uint64_t at = sum_of(c->p, offsetof(struct wr_worker, changes));
    if (at != c->changes_at_request) {
        c->changes_at_request = at;
        c->unsettled = 1;
        for (uint32_t k = 0; k < c->p->plan->sink_count; k++) {
            c->unsettled = c->p->sink_every[k] > c->unsettled ? c->p->sink_every[k] : c->unsettled;
        }
        return true;
    }
    if (c->unsettled > 0) {
        c->unsettled--; /* by then every sink has taken part once */
        return true;
    }
    return c->seat == NULL;
}

static void release_positions(void *ctx, uint32_t source,
                              const struct wr_split_position *positions, uint32_t count)
{
    struct wr_pipeline *p = ctx;
    struct wr_error err;
    if (p->source_ops[source]->commit == NULL || p->config.preview_rows > 0) {
        return;
    }
    if (p->source_ops[source]->commit(p->sources[source], positions, count, &err) == WR_FAIL) {
        wr_error_prefix(&err, "source \"%s\": committing positions", p->plan->sources[source].name);
        wr_log_error(WR_LOG_WARN, p->plan->sources[source].connector, &err);
    }
}

/* The newest epoch that all writers of each sink have published. */
static void gather_published(struct wr_control *c)
{
    struct wr_pipeline *p = c->p;
    for (uint32_t k = 0; k < p->plan->sink_count; k++) {
        c->published[k] = UINT64_MAX;
    }
    for (uint32_t t = 0; t < p->sink_worker_count; t++) {
        for (uint32_t i = 0; i < p->sink_workers[t].slot_count; i++) {
            struct wr_sink_slot *slot = &p->sink_workers[t].slots[i];
            const uint64_t at =
                atomic_load_explicit(&slot->published_epoch, memory_order_acquire);
            c->published[slot->sink] = at < c->published[slot->sink] ? at : c->published[slot->sink];
        }
    }
}

static void finish_epoch(struct wr_control *c)
{
    struct wr_pipeline *p = c->p;
    struct wr_epoch_cut cut;
    wr_epoch_take_cut(&p->board, &cut);
    gather_published(c);
    /* Rows that were refused within the final epoch become dead letters in one more. */
    c->final_done = cut.final && atomic_load_explicit(&p->rejects.put, memory_order_relaxed) ==
                                     c->rejects_at_final;
    wr_ledger_view_take(p->ledger, &cut, c->published);
    wr_ledger_view_release(p->ledger, release_positions, p);
    c->epoch_open = false;
    if (c->seat != NULL) {
        wr_seat_published(c->seat); /* recovery need not look at what is known to be published */
        if (sweep(c)) {
            wr_seat_prune(c->seat);
        }
    }
}

/* While a split replays no epoch is taken (recovery.h). A split of the state that the source does not give holds it up: said, and after a
 * while given up. */
static bool is_replaying(struct wr_control *c, struct wr_time now)
{
    struct wr_pipeline *p = c->p;
    if (p->recovery == NULL || c->replay_given_up ||
        atomic_load_explicit(&p->recovery->replaying, memory_order_relaxed) == 0) {
        return false;
    }
    const uint64_t at = sum_of(p, offsetof(struct wr_worker, changes));
    if (at != c->changes_in_replay || c->replay_moved_ns == 0) {
        c->changes_in_replay = at;
        c->replay_moved_ns = now.mono_ns;
    }
    if (now.mono_ns - c->replay_moved_ns < REPLAY_PATIENCE_NS && !wr_epoch_all_finished(&p->board)) {
        return true;
    }
    c->replay_given_up = true;
    wr_log_warn("run", "splits that the state knows are not given by their sources any more: sinks that had read less of them "
                "than others stay without those rows (weir state show tells positions)");
    return false;
}

static wr_status request_if_due(struct wr_control *c, struct wr_time now, struct wr_error *err)
{
    struct wr_pipeline *p = c->p;
    if (c->seat != NULL && wr_seat_must_write(c->seat, now)) {
        if (wr_seat_touch(c->seat, err) != WR_OK) {
            return back_off(c, err, "state") ? WR_OK : WR_FAIL;
        }
        works_again(c, "state");
        c->epoch = wr_seat_head(c->seat)->epoch;
    }
    /* Acquire pairs with wr_pipeline_stop_with's release. */
    const bool asked = c->stop || p->preview_full ||
                       (p->config.replay != NULL && wr_replay_done(p->config.replay)) ||
                       atomic_load_explicit(&p->stop_asked, memory_order_acquire);
    const bool ended = wr_epoch_all_finished(&p->board) || asked;
    const uint64_t refused = atomic_load_explicit(&p->rejects.put, memory_order_relaxed);
    const bool rejects = atomic_load_explicit(&p->rejects.any, memory_order_relaxed);
    if (is_replaying(c, now)) {
        if (asked) {
            wr_log_warn("run", "stopped while rows were replayed for sinks that lag behind: nothing new is committed");
            c->final_done = true;
        }
        return WR_OK;
    }
    if (ended && !rejects) {
        atomic_store_explicit(&p->stopping, asked, memory_order_relaxed);
        c->rejects_at_final = refused;
        request_epoch(c, now, true);
    } else if (now.mono_ns >= c->next_epoch_ns) {
        c->next_epoch_ns = now.mono_ns + p->epoch_interval_us * 1000;
        if (is_worth(c)) {
            request_epoch(c, now, false);
        }
    }
    return WR_OK;
}

static wr_status drive_epoch(struct wr_control *c, struct wr_time now, struct wr_error *err)
{
    struct wr_pipeline *p = c->p;
    if (c->retry_ns > now.mono_ns) {
        return WR_OK;
    }
    switch (wr_epoch_phase_now(&p->board)) {
    case WR_EPOCH_CUT: return c->seat != NULL && store_snapshots(c, err) == WR_FAIL ? WR_FAIL : WR_OK;
    case WR_EPOCH_PREPARED: {
        WR_FAULT("epoch.before_commit");
        const wr_status status = put_manifest(c, err);
        if (status == WR_OK) {
            WR_FAULT("epoch.after_commit");
            wr_epoch_commit(&p->board); /* (2) */
            wake_all(p);
        }
        return status == WR_FAIL ? WR_FAIL : WR_OK;
    }
    case WR_EPOCH_COMMITTED: return WR_OK;
    case WR_EPOCH_IDLE:
        if (c->epoch_open) {
            finish_epoch(c);
            WR_FAULT("epoch.after_publish");
        }
        return c->final_done ? WR_OK : request_if_due(c, now, err);
    }
    return WR_OK;
}

static void tick_sources(struct wr_pipeline *p, struct wr_time now)
{
    for (uint32_t s = 0; s < p->plan->source_count; s++) {
        struct wr_error err;
        if (p->source_ops[s]->tick != NULL &&
            p->source_ops[s]->tick(p->sources[s], now, &err) == WR_FAIL) {
            wr_error_prefix(&err, "source \"%s\" (%s)", p->plan->sources[s].name,
                            p->plan->sources[s].connector);
            if (err.cls == WR_CLASS_RETRY) {
                wr_log_error(WR_LOG_WARN, p->plan->sources[s].connector, &err);
            } else {
                wr_epoch_fail(&p->board, &err);
            }
        }
    }
}

void wr_control_begin(struct wr_control *c)
{
    c->next_epoch_ns = wr_clock_now().mono_ns + c->p->epoch_interval_us * 1000;
    atomic_store_explicit(&c->p->ready, true, memory_order_relaxed);
}

wr_status wr_control_turn(struct wr_control *c, struct wr_time now, int64_t *next_ns,
                          struct wr_error *err)
{
    struct wr_pipeline *p = c->p;
    if (wr_epoch_failed(&p->board, err)) {
        return WR_FAIL;
    }
    tick_sources(p, now);
    WR_TRY(drive_epoch(c, now, err));
    *next_ns = now.mono_ns + CONTROL_TURN_NS;
    if (!c->epoch_open && c->next_epoch_ns < *next_ns) {
        *next_ns = c->next_epoch_ns;
    }
    if (c->retry_ns > now.mono_ns && c->retry_ns < *next_ns) {
        *next_ns = c->retry_ns;
    }
    if (c->final_done) {
        *next_ns = now.mono_ns;
        if (atomic_load_explicit(&p->stop_asked, memory_order_acquire)) {
            *err = p->stop_error; /* all is committed; still it is a failure */
            return WR_FAIL;
        }
    }
    return WR_OK;
}
