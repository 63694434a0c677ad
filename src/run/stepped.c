#include "run/stepped.h"

#include "base/heap.h"
#include "run/control.h"
#include "run/restore.h"
#include "run/sink_worker.h"
#include "run/worker.h"

struct wr_stepped {
    struct wr_pipeline *p;
    struct wr_control control;
    bool allocated;
};

wr_status wr_stepped_create(struct wr_stepped **stepped, const struct wr_plan *plan,
                            const struct wr_run_config *config, struct wr_error *err)
{
    struct wr_stepped *s = wr_calloc(1, sizeof *s);
    struct wr_run_config own = *config;
    own.stepped = true;
    *stepped = s;
    WR_TRY(wr_pipeline_create(&s->p, plan, &own, err));
    wr_control_init(&s->control, s->p);
    return wr_io_create(&s->p->control_io, WR_IO_SIM, 16, err);
}

wr_status wr_stepped_claim(struct wr_stepped *s, int64_t *next_ns, struct wr_error *err)
{
    return wr_control_claim(&s->control, next_ns, err);
}

wr_status wr_stepped_start(struct wr_stepped *s, struct wr_error *err)
{
    struct wr_pipeline *p = s->p;
    wr_pipeline_allocate(p);
    s->allocated = true;
    WR_TRY(wr_restore_shared(p, err));
    WR_TRY(wr_pipeline_open_sources(p, err));
    for (uint32_t k = 0; k < p->sink_worker_count; k++) {
        WR_TRY(wr_sink_worker_open_loop(&p->sink_workers[k], err));
    }
    for (uint32_t w = 0; w < p->config.workers; w++) {
        WR_TRY(wr_worker_open_loop(&p->workers[w], err));
    }
    for (uint32_t w = 0; w < p->config.workers; w++) {
        wr_worker_open_lanes(&p->workers[w]);
    }
    for (uint32_t w = 0; w < p->config.workers; w++) {
        WR_TRY(wr_worker_open_parts(&p->workers[w], err));
    }
    for (uint32_t k = 0; k < p->sink_worker_count; k++) {
        WR_TRY(wr_sink_worker_open(&p->sink_workers[k], err));
    }
    wr_control_begin(&s->control);
    return WR_OK;
}

uint32_t wr_stepped_parts(const struct wr_stepped *s)
{
    return 1 + s->p->config.workers + s->p->sink_worker_count;
}

wr_status wr_stepped_turn(struct wr_stepped *s, uint32_t part, int64_t *next_ns, struct wr_error *err)
{
    struct wr_pipeline *p = s->p;
    const struct wr_time now = wr_clock_now();
    if (part == 0) {
        wr_io_turn(p->control_io, 0);
        return wr_control_turn(&s->control, now, next_ns, err);
    }
    if (part <= p->config.workers) {
        struct wr_worker *w = &p->workers[part - 1];
        *next_ns = wr_worker_turn(w, now);
        wr_io_turn(w->io, 0);
        return WR_OK;
    }
    struct wr_sink_worker *sw = &p->sink_workers[part - 1 - p->config.workers];
    *next_ns = wr_sink_worker_turn(sw, now);
    wr_io_turn(sw->io, 0);
    return WR_OK;
}

bool wr_stepped_done(const struct wr_stepped *s)
{
    return s->control.final_done;
}

void wr_stepped_stop(struct wr_stepped *s)
{
    s->control.stop = true;
    atomic_store_explicit(&s->p->stopping, true, memory_order_relaxed);
}

struct wr_pipeline *wr_stepped_pipeline(struct wr_stepped *s)
{
    return s->p;
}

static void close_parts(struct wr_pipeline *p)
{
    for (uint32_t k = 0; k < p->sink_worker_count; k++) {
        wr_sink_worker_close(&p->sink_workers[k]);
    }
    for (uint32_t w = 0; w < p->config.workers; w++) {
        wr_worker_drain_lanes(&p->workers[w]);
    }
    for (uint32_t w = 0; w < p->config.workers; w++) {
        wr_worker_close_parts(&p->workers[w]);
    }
}

void wr_stepped_destroy(struct wr_stepped *s)
{
    if (s == NULL) {
        return;
    }
    if (s->allocated) {
        close_parts(s->p);
        wr_pipeline_release(s->p);
        wr_control_release(&s->control);
    }
    if (s->control.p != NULL) {
        wr_control_deinit(&s->control);
    }
    wr_pipeline_destroy(s->p);
    free(s);
}
