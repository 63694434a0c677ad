#include "run/pipeline.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/rand.h"
#include "net/http_server.h"
#include "run/admin_http.h"
#include "run/cadence.h"
#include "run/control.h"
#include "run/early_stop.h"
#include "run/ledger_view.h"
#include "run/memory_trim.h"
#include "run/policy.h"
#include "run/recovery.h"
#include "run/replay.h"
#include "run/report.h"
#include "run/restore.h"
#include "run/sink_worker.h"
#include "run/status_block.h"
#include "run/worker.h"
#include "state/seen_set.h"
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct controller {
    struct wr_control control;
    int signal_fd;
    struct wr_io_op signal_op;
    bool signal_armed;
    struct signalfd_siginfo signal_info;
    struct wr_status_block *status;
    struct wr_memory_trim trim;
};

/* ---- layout ---- */

uint32_t wr_pipeline_sink_worker(const struct wr_pipeline *p, uint32_t sink, uint32_t worker)
{
    const struct wr_sink_ops *ops = p->sink_ops[sink];
    if (!ops->bulk) {
        return p->express_worker;
    }
    return ops->parallel ? worker : 0;
}

uint64_t wr_pipeline_writer_bytes(const struct wr_pipeline *p)
{
    uint32_t writers = 0;
    for (uint32_t k = 0; k < p->plan->sink_count; k++) {
        if (p->sink_ops[k]->bulk) {
            writers += p->sink_ops[k]->parallel ? p->config.workers : 1;
        }
    }
    /* A quarter of the memory for all writers together. */
    return p->config.memory_bytes / 4 / (writers == 0 ? 1 : writers);
}

bool wr_pipeline_joins(const struct wr_pipeline *p, uint32_t sink, uint64_t epoch, bool final)
{
    return final || epoch == p->full_epoch || epoch % p->sink_every[sink] == 0;
}

bool wr_pipeline_node_joins(const struct wr_pipeline *p, uint32_t node, uint64_t epoch, bool final)
{
    return final || epoch == p->full_epoch || epoch % p->node_every[node] == 0;
}

static void lay_out(struct wr_pipeline *p)
{
    bool bulk = false;
    bool parallel = false;
    bool express = false;
    for (uint32_t k = 0; k < p->plan->sink_count; k++) {
        bulk = bulk || p->sink_ops[k]->bulk;
        parallel = parallel || (p->sink_ops[k]->bulk && p->sink_ops[k]->parallel);
        express = express || !p->sink_ops[k]->bulk;
    }
    p->bulk_lanes = parallel ? p->config.workers : (bulk ? 1 : 0);
    p->express_worker = express ? p->bulk_lanes : UINT32_MAX;
    p->sink_worker_count = p->bulk_lanes + (express ? 1 : 0);
}

/* ---- rejects and result rows ---- */

static const struct wr_plan_source *error_source(const struct wr_pipeline *p, uint32_t sink)
{
    const struct wr_plan_sink *plan = &p->plan->sinks[sink];
    for (uint32_t i = 0; i < plan->source_count; i++) {
        if (p->plan->sources[plan->sources[i]].on_error == WR_ON_ERROR_SINK) {
            return &p->plan->sources[plan->sources[i]];
        }
    }
    return plan->source_count > 0 ? &p->plan->sources[plan->sources[0]] : NULL;
}

void wr_pipeline_result_fault(struct wr_pipeline *p, struct wr_side_rows *side, uint32_t sink,
                              const char *message, const char *field, struct wr_slice value)
{
    const struct wr_plan_source *source = error_source(p, sink);
    atomic_fetch_add_explicit(&p->result_faults, 1, memory_order_relaxed);
    if (source != NULL && source->on_error == WR_ON_ERROR_SINK) {
        const struct wr_side_origin origin = { .source_name = source->name,
                                               .timestamp_us = WR_RECORD_NO_TIME,
                                               .ingest_us = wr_clock_now().wall_us };
        wr_side_rows_dead_letter(side, source->error_sink, &origin, value, message, field);
        return;
    }
    wr_log_warn("run", "sink \"%s\": a result row failed: %s%s%s", p->plan->sinks[sink].name,
                message, field != NULL && field[0] != '\0' ? ", in " : "",
                field != NULL ? field : "");
}

void wr_pipeline_stop_with(struct wr_pipeline *p, const struct wr_error *err)
{
    pthread_mutex_lock(&p->stop_lock);
    if (!atomic_load_explicit(&p->stop_asked, memory_order_relaxed)) {
        p->stop_error = *err;
        atomic_store_explicit(&p->stop_asked, true, memory_order_release);
        atomic_store_explicit(&p->stopping, true, memory_order_relaxed);
    }
    pthread_mutex_unlock(&p->stop_lock);
    wr_io_wake(p->control_io);
}

void wr_pipeline_take_rejects(struct wr_pipeline *p, struct wr_side_rows *side)
{
    for (struct wr_reject *r; (r = wr_rejects_take(&p->rejects)) != NULL;) {
        wr_pipeline_result_fault(p, side, r->sink, r->message, NULL,
                                 (struct wr_slice){ r->row_json, r->bytes });
        wr_reject_free(r);
    }
}

/* ---- opening ---- */

#define PATIENCE_LEAST_MS 5
#define PATIENCE_MOST_MS 50

/* A tenth of the commit interval where all sinks of the source are bulky ones; side sinks do not count. */
static uint32_t patience_ms(const struct wr_pipeline *p, uint32_t source)
{
    for (uint32_t k = 0; k < p->plan->sink_count; k++) {
        const struct wr_plan_sink *sink = &p->plan->sinks[k];
        for (uint32_t i = 0; i < sink->source_count && sink->feed == WR_FEED_QUERY; i++) {
            if (sink->sources[i] == source && !p->sink_ops[k]->bulk) {
                return 0;
            }
        }
    }
    const int64_t tenth = p->epoch_interval_us / 10 / 1000;
    return (uint32_t)(tenth < PATIENCE_LEAST_MS  ? PATIENCE_LEAST_MS
                      : tenth > PATIENCE_MOST_MS ? PATIENCE_MOST_MS
                                                 : tenth);
}

static void wake_worker(void *ctx, uint32_t worker)
{
    struct wr_pipeline *p = ctx;
    /* Acquire pairs with wr_worker_open_loop's release: a source's threads may call before all loops are there. */
    struct wr_io *io = __atomic_load_n(&p->worker_ios[worker], __ATOMIC_ACQUIRE);
    if (io != NULL) {
        wr_io_wake(io);
    }
}

wr_status wr_pipeline_open_sources(struct wr_pipeline *p, struct wr_error *err)
{
    for (uint32_t s = 0; s < p->plan->source_count; s++) {
        const struct wr_plan_source *plan = &p->plan->sources[s];
        const bool resumed = p->recovery != NULL && p->recovery->resumed;
        const struct wr_source_resume *from = resumed ? &p->recovery->sources[s] : NULL;
        const struct wr_source_env env = { .plan = plan,
                                           .resumed = resumed,
                                           .starts = resumed ? from->starts : NULL,
                                           .start_count = resumed ? from->start_count : 0,
                                           .state_directory = p->config.state_directory,
                                           .has_state = p->recovery != NULL,
                                           .state_uuid = wr_recovery_uuid(p->recovery),
                                           .workers = p->config.workers,
                                           .batch_rows = p->config.batch_rows,
                                           .memory_bytes = p->config.memory_bytes / 8 /
                                                           p->plan->source_count,
                                           .bounded = p->config.bounded,
                                           .preview = p->config.preview_rows > 0,
                                           .patience_ms = p->config.preview_rows > 0 ? 0 : patience_ms(p, s),
                                           .http = p->http,
                                           .wake = wake_worker,
                                           .wake_ctx = p };
        WR_TRY_IN(p->source_ops[s]->open(&p->sources[s], &env, err), err, "source \"%s\" (%s)",
                  plan->name, plan->connector);
    }
    return WR_OK;
}

void wr_pipeline_allocate(struct wr_pipeline *p)
{
    const struct wr_plan *plan = p->plan;
    p->sources = wr_calloc(plan->source_count + 1, sizeof(struct wr_source *));
    p->seen = wr_calloc(plan->source_count + 1, sizeof *p->seen);
    p->worker_ios = wr_calloc(p->config.workers + 1, sizeof(struct wr_io *));
    p->workers = wr_calloc_aligned(p->config.workers * sizeof *p->workers);
    p->sink_workers = wr_calloc_aligned((p->sink_worker_count + 1) * sizeof *p->sink_workers);
    wr_hub_init(&p->hub, plan->source_count, p->config.workers, p->worker_ios);
    for (uint32_t s = 0; s < plan->source_count; s++) {
        if (p->recovery != NULL) {
            p->hub.sources[s].emitted_us = p->recovery->sources[s].emitted_us;
        }
        if (plan->sources[s].dedup_column != WR_NO_COLUMN) {
            p->seen[s] = plan->sources[s].dedup_message_id
                             ? wr_seen_set_create_by_position(p->config.workers)
                             : wr_seen_set_create(plan->sources[s].dedup_within_us, p->config.workers);
            if (p->recovery == NULL) {
                wr_seen_set_log_nothing(p->seen[s]);
            }
        }
    }
    wr_rejects_init(&p->rejects);
    wr_gate_init(&p->gate, p->config.workers + p->sink_worker_count + 1);
    wr_end_gate_init(&p->gate_end, p->config.workers);
    wr_epoch_board_init(&p->board, p->config.workers, p->sink_worker_count, p->control_io);
    p->ledger = wr_ledger_view_create(plan, p->recovery);
    for (uint32_t k = 0; k < p->sink_worker_count; k++) {
        wr_sink_worker_init(&p->sink_workers[k], p, k);
    }
    for (uint32_t w = 0; w < p->config.workers; w++) {
        wr_worker_init(&p->workers[w], p, w);
    }
}

static wr_status start_threads(struct wr_pipeline *p, struct wr_error *err)
{
    for (uint32_t k = 0; k < p->sink_worker_count; k++) {
        WR_TRY(wr_sink_worker_start(&p->sink_workers[k], err));
    }
    for (uint32_t w = 0; w < p->config.workers; w++) {
        WR_TRY(wr_worker_start(&p->workers[w], err));
    }
    bool go = true;
    for (int stage = 0; stage < WR_STAGE_COUNT_ && go; stage++) {
        go = wr_gate_pass(&p->gate, (enum wr_gate_stage)stage, WR_OK, NULL);
    }
    if (!go) {
        *err = p->gate.failure;
        return WR_FAIL;
    }
    return WR_OK;
}

/* ---- signals ---- */

static void arm_signals(struct controller *c);

static void on_signal(struct wr_io_op *op)
{
    struct controller *c = op->ctx;
    c->signal_armed = false;
    if (op->result < 0 ||
        read(c->signal_fd, &c->signal_info, sizeof c->signal_info) != sizeof c->signal_info) {
        return;
    }
    if (c->signal_info.ssi_signo == SIGUSR1) {
        wr_report_stats(c->control.p, false);
        return;
    }
    if (c->control.stop) {
        _exit(WR_EXIT_FAILED); /* the second one: at once; the next start recovers */
    }
    c->control.stop = true;
    /* At once, not with the final epoch: the one under way may wait for a sink that only gives up in the end. */
    atomic_store_explicit(&c->control.p->stopping, true, memory_order_relaxed);
    wr_log_info("run", "stopping: committing what was read (again to stop at once)");
}

static void arm_signals(struct controller *c)
{
    if (!c->signal_armed) {
        c->signal_op = (struct wr_io_op){ .kind = WR_IO_POLL,
                                          .fd = c->signal_fd,
                                          .done = on_signal,
                                          .ctx = c };
        c->signal_armed = true;
        wr_io_submit(c->control.p->control_io, &c->signal_op);
    }
}

static wr_status block_signals(struct controller *c, struct wr_error *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    c->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    wr_ensure(c->signal_fd >= 0, err, WR_CLASS_FATAL, "signalfd: %s", strerror(errno));
    return WR_OK;
}

/* ---- the loop ---- */

static void wait_until(struct controller *c, int64_t until_ns)
{
    arm_signals(c);
    const int64_t wait_ns = until_ns - wr_clock_now().mono_ns;
    wr_io_turn(c->control.p->control_io, wait_ns > 0 ? wait_ns : 0);
}

/* WR_END: a signal came while another owner was being waited for. */
static wr_status claim(struct controller *c, struct wr_error *err)
{
    for (;;) {
        int64_t next_ns = 0;
        const wr_status status = wr_control_claim(&c->control, &next_ns, err);
        if (status != WR_END || c->control.stop) {
            return status;
        }
        wait_until(c, next_ns);
    }
}

static wr_status control_loop(struct controller *c, struct wr_error *err)
{
    wr_control_begin(&c->control);
    for (;;) {
        const struct wr_time now = wr_clock_now();
        int64_t next_ns = 0;
        WR_TRY(wr_control_turn(&c->control, now, &next_ns, err));
        if (c->control.final_done) {
            return wr_epoch_failed(&c->control.p->board, err) ? WR_FAIL : WR_OK;
        }
        wr_status_block_tick(c->status, now);
        wr_memory_trim_tick(&c->trim, now);
        wait_until(c, next_ns);
    }
}

/* ---- ending ---- */

static void stop_threads(struct wr_pipeline *p)
{
    atomic_store(&p->stopping, true);
    atomic_store_explicit(&p->sinks_end, true, memory_order_release);
    for (uint32_t k = 0; k < p->sink_worker_count; k++) {
        wr_sink_worker_join(&p->sink_workers[k]);
    }
    atomic_store_explicit(&p->workers_end, true, memory_order_release);
    for (uint32_t w = 0; w < p->config.workers; w++) {
        if (p->workers[w].thread_started && p->worker_ios[w] != NULL) {
            wr_io_wake(p->worker_ios[w]);
        }
    }
    for (uint32_t w = 0; w < p->config.workers; w++) {
        wr_worker_join(&p->workers[w]);
    }
}

void wr_pipeline_release(struct wr_pipeline *p)
{
    wr_http_server_stop(p->http); /* before the sources: its handlers use them */
    for (uint32_t s = 0; s < p->plan->source_count; s++) {
        if (p->sources[s] != NULL) {
            p->source_ops[s]->close(p->sources[s]);
        }
    }
    for (uint32_t w = 0; w < p->config.workers; w++) {
        wr_worker_deinit(&p->workers[w]);
    }
    for (uint32_t k = 0; k < p->sink_worker_count; k++) {
        wr_sink_worker_deinit(&p->sink_workers[k]);
    }
    for (uint32_t s = 0; s < p->plan->source_count; s++) {
        wr_seen_set_destroy(p->seen[s]);
    }
    free(p->seen);
    wr_ledger_view_destroy(p->ledger);
    wr_epoch_board_deinit(&p->board);
    wr_hub_deinit(&p->hub);
    wr_rejects_deinit(&p->rejects);
    wr_gate_deinit(&p->gate);
    wr_end_gate_deinit(&p->gate_end);
    free(p->sources);
    free(p->worker_ios);
    free(p->workers);
    free(p->sink_workers);
}

static wr_status find_connectors(struct wr_pipeline *p, struct wr_error *err)
{
    p->source_ops = wr_calloc(p->plan->source_count + 1, sizeof(struct wr_source_ops *));
    p->sink_ops = wr_calloc(p->plan->sink_count + 1, sizeof(struct wr_sink_ops *));
    for (uint32_t s = 0; s < p->plan->source_count; s++) {
        for (uint32_t i = 0; wr_sources[i] != NULL; i++) {
            if (strcmp(wr_sources[i]->name, p->plan->sources[s].connector) == 0) {
                p->source_ops[s] = wr_sources[i];
            }
        }
        wr_ensure(p->source_ops[s] != NULL, err, WR_CLASS_USER, "no source connector '%s'",
                  p->plan->sources[s].connector);
    }
    for (uint32_t k = 0; k < p->plan->sink_count; k++) {
        for (uint32_t i = 0; wr_sinks[i] != NULL; i++) {
            if (strcmp(wr_sinks[i]->name, p->plan->sinks[k].connector) == 0) {
                p->sink_ops[k] = wr_sinks[i];
            }
        }
        wr_ensure(p->sink_ops[k] != NULL, err, WR_CLASS_USER, "no sink connector '%s'",
                  p->plan->sinks[k].connector);
        if (p->config.preview_rows > 0) {
            p->sink_ops[k] = wr_preview_ops(p->config.preview_rows, &p->preview_full,
                                            p->plan->sink_count);
        }
    }
    return WR_OK;
}

/* Files (and generators with a row count) alone: the pipeline ends by itself. */
static void decide_bounded(struct wr_pipeline *p)
{
    bool all = true;
    for (uint32_t s = 0; s < p->plan->source_count; s++) {
        all = all && p->source_ops[s]->always_bounded;
    }
    p->config.bounded = p->config.bounded || all;
}

static wr_status run_threads(struct controller *c, struct wr_error *err)
{
    struct wr_pipeline *p = c->control.p;
    struct wr_early_stop early = { 0 };
    wr_early_stop_begin(&early, c->signal_fd);
    wr_status status = wr_pipeline_open_sources(p, err);
    if (status != WR_OK) {
        wr_early_stop_end(&early);
    } else {
        status = start_threads(p, err);
        wr_early_stop_end(&early);
        if (status == WR_OK) {
            c->status = wr_status_block_create(p);
            wr_memory_trim_init(&c->trim, p->config.memory_bytes);
            status = control_loop(c, err);
            wr_memory_trim_deinit(&c->trim);
            wr_status_block_destroy(c->status);
        }
        stop_threads(p);
    }
    return status;
}

static wr_status run_owned(struct controller *c, struct wr_error *err)
{
    struct wr_pipeline *p = c->control.p;
    const wr_status claimed = claim(c, err);
    if (claimed != WR_OK) {
        return claimed == WR_END ? WR_OK : WR_FAIL;
    }
    wr_pipeline_allocate(p);
    wr_status status = wr_restore_shared(p, err);
    if (status == WR_OK) {
        status = run_threads(c, err);
    }
    wr_report_end(p, status == WR_OK);
    wr_pipeline_release(p);
    wr_control_release(&c->control);
    return status;
}

wr_status wr_pipeline_create(struct wr_pipeline **pipeline, const struct wr_plan *plan,
                             const struct wr_run_config *config, struct wr_error *err)
{
    struct wr_pipeline *p = wr_calloc_aligned(sizeof *p);
    *pipeline = p;
    pthread_mutex_init(&p->stop_lock, NULL);
    p->plan = plan;
    p->config = *config;
    p->started_ns = wr_clock_now().mono_ns;
    p->started_wall_us = wr_clock_now().wall_us;
    p->started_cpu_ns = wr_clock_cpu_ns();
    snprintf(p->owner, sizeof p->owner, "%016llx", (unsigned long long)wr_rand_entropy());
    WR_TRY(find_connectors(p, err));
    if (p->config.replay != NULL) {
        wr_replay_attach(p->config.replay, p);
    }
    decide_bounded(p);
    lay_out(p);
    wr_cadence_settle(p);
    if (p->config.replay != NULL) {
        wr_replay_settle_cadence(p);
    }
    return WR_OK;
}

void wr_pipeline_destroy(struct wr_pipeline *p)
{
    wr_io_destroy(p->control_io);
    free(p->source_ops);
    free(p->sink_ops);
    free(p->sink_every);
    free(p->node_every);
    free(p->exactly_once);
    pthread_mutex_destroy(&p->stop_lock);
    free(p);
}

int wr_pipeline_run(const struct wr_plan *plan, const struct wr_run_config *config)
{
    struct wr_pipeline *p;
    struct controller c = { .signal_fd = -1 };
    struct wr_error err = { 0 };
    wr_status status = wr_pipeline_create(&p, plan, config, &err);
    if (status == WR_OK) {
        wr_control_init(&c.control, p);
        status = block_signals(&c, &err);
    }
    if (status == WR_OK) {
        status = wr_io_create(&p->control_io, WR_IO_AUTO, 16, &err);
    }
    if (status == WR_OK && p->config.listen != NULL) {
        status = wr_admin_start(p, &err);
    }
    if (status == WR_OK) {
        status = run_owned(&c, &err);
    }
    if (status == WR_FAIL) {
        wr_log_error(WR_LOG_ERROR, NULL, &err);
    }
    if (c.control.p != NULL) {
        wr_control_deinit(&c.control);
    }
    if (c.signal_fd >= 0) {
        close(c.signal_fd);
    }
    wr_pipeline_destroy(p);
    return status == WR_OK ? WR_EXIT_OK : wr_policy_exit_code(&err);
}
