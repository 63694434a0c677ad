/* sim_host.c: see sim_host.h. */
#include "sim_host.h"

#include "base/heap.h"
#include "run/owner_self.h"
#include "run/stepped.h"
#include "sim_check.h"
#include <signal.h>

#define STEPS_MAX 60000u
#define CLAIM_LOOKS_MAX 20000u
#define PARTS_MAX 64u
/* Steps of one process before another one that lives gets its turn. */
#define QUANTUM_MAX 60u
/* Nothing to do for anybody: time goes on by at most this much at once. */
#define IDLE_NS (20 * WR_NS_PER_MS)

static void configure(struct wr_run_config *config)
{
    const struct sim_scenario *s = &sim->scenario;
    const struct sim_run *run = &sim->runs[sim->run_now];
    *config = (struct wr_run_config){
        .file = "sim.sql",
        .name = "sim",
        .bounded = run->bounded,
        .workers = s->workers[sim->run_now],
        .memory_bytes = 64 << 20,
        .batch_rows = s->batch_rows,
        .lane_batches = s->lane_batches,
        .commit_interval_us = s->sinks[0].interval_ms * 1000,
        .quiet = true,
        .state_url = "sim://state",
        .owner_timeout_us = 10 * WR_US_PER_S,
        .standby = run->standby,
        .stepped = true,
    };
}

/* Who this process is to owners of the state, and who lives, as the machine would say. */
static bool lives(void *unused, const struct wr_owner *owner)
{
    return owner->pid > 0 && owner->pid <= SIM_PROCESSES_MAX && sim->lives[owner->pid - 1];
}

static void settle_identity(void)
{
    static struct wr_owner self;
    static char host[16];
    static char boot[16];
    const uint32_t number = sim->runs[sim->run_now].host;
    snprintf(host, sizeof host, "host%u", number);
    snprintf(boot, sizeof boot, "boot%u", number);
    self = (struct wr_owner){ .host = host,
                              .boot = boot,
                              .pid = sim->process_count,
                              .pid_start = sim->process_count,
                              .pid_namespace = 1 };
    wr_owner_simulate(&self, lives, NULL);
}

/* Others live: after some steps it is their turn. */
static void give_way(void)
{
    static uint64_t left;
    if (sim->alive > 1 && left-- == 0) {
        left = sim_below(QUANTUM_MAX) + 1;
        const uint32_t me = sim->run_now;
        raise(SIGSTOP);
        sim->run_now = me;
    }
}

static void step_done(void)
{
    sim->runs[sim->run_now].steps++;
    sim_point(SIM_POINT_STEP, "the end of a step");
    give_way();
}

static enum sim_exit failed(const struct wr_error *err)
{
    sim_trace("the pipeline failed (%s): %s", err->cls == WR_CLASS_RETRY ? "RETRY" : "for good",
              err->message);
    snprintf(sim->failure, sizeof sim->failure, "%.250s", err->message);
    return err->cls == WR_CLASS_RETRY ? SIM_EXIT_RETRY : SIM_EXIT_FAILED;
}

static wr_status claim(struct wr_stepped *stepped, struct wr_error *err)
{
    for (uint32_t looks = 0; looks < CLAIM_LOOKS_MAX; looks++) {
        int64_t next_ns = 0;
        const wr_status status = wr_stepped_claim(stepped, &next_ns, err);
        if (status != WR_END) {
            return status;
        }
        if (sim->alive - sim->asleep == 1 && next_ns > sim->now_ns) {
            sim->now_ns = next_ns; /* nobody else does anything meanwhile */
        } else {
            sim->now_ns += (int64_t)sim_below(2 * WR_NS_PER_MS);
        }
        step_done();
    }
    _exit(SIM_EXIT_STUCK);
}

struct turns {
    uint32_t parts;
    int64_t next_ns[PARTS_MAX];
    uint32_t idle; /* turns in a row after which nobody wanted another one at once */
};

/* Time goes on a little with each turn; when all only wait it jumps to the first that does not. */
static void pass_time(struct turns *turns)
{
    const uint64_t dice = sim_below(100);
    sim->now_ns += dice < 75   ? (int64_t)sim_below(200000)
                   : dice < 97 ? (int64_t)sim_below(4 * WR_NS_PER_MS)
                               : (int64_t)sim_below(30 * WR_NS_PER_MS);
    if (turns->idle < 2 * turns->parts) {
        return;
    }
    int64_t first = sim->now_ns + IDLE_NS;
    for (uint32_t i = 0; i < turns->parts; i++) {
        first = turns->next_ns[i] < first ? turns->next_ns[i] : first;
    }
    sim->now_ns = first > sim->now_ns ? first : sim->now_ns;
    turns->idle = 0;
}

static wr_status run_parts(struct wr_stepped *stepped, struct wr_error *err)
{
    const struct sim_run *run = &sim->runs[sim->run_now];
    struct turns turns = { .parts = wr_stepped_parts(stepped) };
    uint64_t steps = 0;
    bool stopping = false;
    while (!wr_stepped_done(stepped)) {
        const uint32_t part = (uint32_t)sim_below(turns.parts);
        const int64_t before_ns = sim->now_ns;
        WR_TRY(wr_stepped_turn(stepped, part, &turns.next_ns[part], err));
        turns.idle = turns.next_ns[part] > before_ns ? turns.idle + 1 : 0;
        pass_time(&turns);
        step_done();
        if (++steps == STEPS_MAX) {
            _exit(SIM_EXIT_STUCK);
        }
        if (!stopping && run->stop_after > 0 && steps >= run->stop_after) {
            sim_trace("a stop is asked for");
            stopping = true;
            wr_stepped_stop(stepped);
        }
        if (!run->bounded && !stopping && sim->now_ns > sim->quiet_ns) {
            sim_point_now("the log's end"); /* nothing more will happen */
        }
    }
    return WR_OK;
}

enum sim_exit sim_host_run(const struct wr_plan *plan)
{
    struct wr_run_config config;
    struct wr_stepped *stepped = NULL;
    struct wr_error err = { 0 };
    configure(&config);
    settle_identity();
    sim_starting = true;
    wr_status status = wr_stepped_create(&stepped, plan, &config, &err);
    if (status == WR_OK) {
        status = claim(stepped, &err);
    }
    if (status == WR_OK) {
        status = wr_stepped_start(stepped, &err);
    }
    sim_starting = false;
    if (status == WR_OK) {
        status = run_parts(stepped, &err);
    }
    if (status == WR_FAIL) {
        return failed(&err);
    }
    wr_stepped_destroy(stepped); /* a stop in order gives the state free */
    return SIM_EXIT_DONE;
}
