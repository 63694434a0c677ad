/* sim_main.c: weir-sim: crash histories of a whole pipeline in a simulated world, one seed each.
 *
 * A history: the same pipeline is started again and again in the same world. Each incarnation is a forked child that runs the
 * real worker, epoch, state and sink code in one thread, step by step, and ends by a crash at a point that the seed chose; the
 * last one reads to the end. Then every sink must hold what the reference says (sim_verify.c). While it runs the invariants of
 * design.md, section 4 are checked at every operation of the store (sim_check.c).
 */
#include "sim_check.h"
#include "sim_host.h"
#include "sim_scenario.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/hash.h"
#include "run/catalog.h"
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORLD_BYTES ((size_t)192 << 20)
#define CHILD_SECONDS_MAX 20u /* of real time: a turn that never ends */
#define STARTS_MAX 100u
#define FAILURES_MAX 20 /* of one shard: then it is clear that something is wrong */
#define SLICES_MAX 20000u

struct options {
    uint64_t seed;
    uint64_t count;
    uint32_t shards;
    uint32_t bug;
    bool trace;
};

struct process {
    pid_t pid;
    uint32_t run;
    uint32_t number; /* in sim->lives, from 1 */
    uint32_t slices; /* of others since it froze */
    bool alive;
    bool asleep;
    bool company; /* others lived while it did */
    bool again;   /* its supervisor starts it again */
};

/* The process at hand and zombies of before. */
struct cast {
    const struct wr_plan *plan;
    struct process others[SIM_RUNS_MAX];
    uint32_t count;
};

static bool failed(const char *fmt, ...) WR_PRINTF(1, 2);
static bool failed(const char *fmt, ...)
{
    if (sim->violation[0] == '\0') {
        va_list args;
        va_start(args, fmt);
        vsnprintf(sim->violation, sizeof sim->violation, fmt, args);
        va_end(args);
        sim_trace("VIOLATION: %s", sim->violation);
    }
    return false;
}

static void start_process(const struct wr_plan *plan, struct process *process, uint32_t run)
{
    sim->run_now = run;
    sim->lives[sim->process_count++] = true;
    sim->alive++;
    *process = (struct process){ .run = run,
                                 .number = sim->process_count,
                                 .alive = true,
                                 .company = sim->alive > 1 };
    sim_trace("==== run %u starts on host %u: %u workers%s%s", run, sim->runs[run].host,
              sim->scenario.workers[run], sim->runs[run].standby ? ", standby" : "",
              sim->runs[run].bounded ? ", to the end" : "");
    process->pid = fork();
    if (process->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody is left behind, stopped for ever */
        alarm(CHILD_SECONDS_MAX);
        _exit((int)sim_host_run(plan));
    }
}

static bool judge_exit(struct process *process, int status)
{
    sim->run_now = process->run;
    if (WIFSIGNALED(status)) {
        return failed("run %u: %s", process->run,
                      WTERMSIG(status) == SIGALRM ? "a turn never ends" : strsignal(WTERMSIG(status)));
    }
    switch (WEXITSTATUS(status)) {
    case SIM_EXIT_DONE: sim_trace("==== run %u is done", process->run); return true;
    case SIM_EXIT_CRASH: return true;
    case SIM_EXIT_RETRY: process->again = true; return true;
    case SIM_EXIT_FAILED: /* refused by, or fenced off from, another owner */
        sim_trace("==== run %u has failed", process->run);
        process->again = !sim->runs[process->run].frozen;
        return process->company || sim->runs[process->run].frozen ||
               failed("run %u: the pipeline failed: %s", process->run, sim->failure);
    case SIM_EXIT_VIOLATION: return false;
    case SIM_EXIT_STUCK: return failed("run %u comes to no end", process->run);
    default: return failed("run %u: exit code %d", process->run, WEXITSTATUS(status));
    }
}

/* Until it stops itself or ends. */
static bool wait_for(struct process *process)
{
    int status = 0;
    while (waitpid(process->pid, &status, WUNTRACED) < 0) {
    }
    if (WIFSTOPPED(status)) {
        return true;
    }
    process->alive = false;
    sim->lives[process->number - 1] = false;
    sim->alive--;
    return judge_exit(process, status);
}

static bool slice(struct process *process)
{
    process->company = process->company || sim->alive > 1;
    sim->run_now = process->run;
    kill(process->pid, SIGCONT);
    return wait_for(process);
}

/* Zombies that are due wake and go on for a while. all: whether due or not. */
static bool slice_others(struct cast *cast, bool all)
{
    for (uint32_t i = 0; i < cast->count; i++) {
        struct process *other = &cast->others[i];
        other->slices++;
        if (!other->alive || (!all && other->slices < sim->runs[other->run].wakes_after)) {
            continue;
        }
        if (!slice(other)) {
            return false;
        }
    }
    return true;
}

static bool any_other(const struct cast *cast)
{
    for (uint32_t i = 0; i < cast->count; i++) {
        if (cast->others[i].alive) {
            return true;
        }
    }
    return false;
}

/* One incarnation from its start to its end, or until it freezes: then it becomes one of the others. */
static bool run_process(struct cast *cast, struct process *process, uint32_t run)
{
    start_process(cast->plan, process, run);
    const bool was_frozen = sim->runs[run].frozen;
    if (!wait_for(process)) {
        return false;
    }
    while (process->alive) {
        if (sim->runs[run].frozen && !was_frozen) {
            cast->others[cast->count++] = *process;
            return true;
        }
        if (!slice_others(cast, false) || !slice(process)) {
            return false;
        }
    }
    return true;
}

static bool run_until_it_is_over(struct cast *cast, uint32_t run)
{
    struct process process;
    for (uint32_t starts = 0; starts < STARTS_MAX; starts++) {
        if (!run_process(cast, &process, run)) {
            return false;
        }
        if (process.alive || !process.again) {
            return true;
        }
        for (uint32_t i = 0; i < 20 && any_other(cast); i++) { /* it was refused perhaps */
            if (!slice_others(cast, false)) {
                return false;
            }
        }
        sim->now_ns += sim_between(1, 1000) * WR_NS_PER_MS;
    }
    return failed("run %u does not come up in %u starts: %s", run, STARTS_MAX, sim->failure);
}

static int64_t last_event_ns(void)
{
    int64_t last = 0;
    for (uint32_t s = 0; s < sim->scenario.split_count; s++) {
        const struct sim_split *split = &sim->splits[s];
        const int64_t at = split->events[split->count - 1].produced_ns;
        last = at > last ? at : last;
    }
    return last;
}

/* Somebody deletes the state: the next run begins anew, under another uuid, with all rows. */
static void lose_state(void)
{
    sim_trace("==== the state is lost");
    for (uint32_t i = sim_object_lower("state/"); i < sim->object_count;) {
        if (strncmp(sim->objects[i].key, "state/", 6) != 0) {
            break;
        }
        sim_object_delete(sim->objects[i].key);
    }
    sim->head = (struct sim_head){ 0 };
    sim->activation_count = 0;
    sim->lost++;
}

static bool end_of(struct cast *cast)
{
    for (uint32_t i = 0; i < SLICES_MAX && any_other(cast); i++) {
        if (!slice_others(cast, true)) {
            return false;
        }
    }
    return !any_other(cast) || failed("a zombie comes to no end");
}

static bool run_cast(struct cast *cast)
{
    sim->quiet_ns = last_event_ns() + 3 * WR_NS_PER_S;
    for (uint32_t run = 0; run <= sim->scenario.crashes; run++) {
        if (sim->runs[run].bounded && sim->now_ns < last_event_ns()) {
            sim->now_ns = last_event_ns();
        }
        if (sim->runs[run].lose_state && sim->alive == 0) {
            lose_state();
        }
        if (!run_until_it_is_over(cast, run)) {
            return false;
        }
        sim->now_ns += sim_between(1, 500) * WR_NS_PER_MS;
    }
    return end_of(cast);
}

static void kill_others(struct cast *cast)
{
    for (uint32_t i = 0; i < cast->count; i++) {
        if (cast->others[i].alive) {
            kill(cast->others[i].pid, SIGKILL);
            waitpid(cast->others[i].pid, NULL, 0);
        }
    }
}

static bool run_history(const struct wr_plan *plan)
{
    struct cast cast = { .plan = plan };
    const bool ran = run_cast(&cast);
    kill_others(&cast);
    if (!ran) {
        return false;
    }
    sim->calm = true;
    sim_verify();
    return sim->violation[0] == '\0';
}

/* Everything of one seed. False: sim->violation says why. */
static bool history(uint64_t seed)
{
    sim_world_reset(seed);
    sim_scenario_draw();
    wr_hash_mask = sim->scenario.zero_hash ? 0 : UINT64_MAX;
    struct wr_buf sql = { 0 };
    struct wr_plan *plan = NULL;
    struct wr_error err = { 0 };
    sim_scenario_sql(&sql);
    if (sim->trace) {
        printf("seed %llu\n%s", (unsigned long long)seed, wr_buf_cstr(&sql));
        fflush(stdout);
    }
    bool good;
    if (wr_catalog_plan("sim.sql", (struct wr_slice){ sql.data, sql.bytes }, NULL, 0, &plan, &err) !=
        WR_OK) {
        good = failed("SQL: %s", err.message);
    } else {
        good = run_history(plan);
    }
    wr_plan_destroy(plan);
    wr_buf_deinit(&sql);
    return good;
}

/* ---- shards ---- */

/* A seed that finds the bug must be one that finds nothing without it. */
static bool innocent(const struct options *o, uint64_t index)
{
    char violation[sizeof sim->violation];
    memcpy(violation, sim->violation, sizeof violation);
    sim->bug = SIM_BUG_NONE;
    const bool good = history(o->seed + index);
    sim->bug = o->bug;
    memcpy(sim->violation, violation, sizeof violation);
    return good;
}

static atomic_ullong *ran; /* histories, of all shards */

/* Runs seeds first, first + step, … ; returns failures. With a bug: ends at the first, which is a success. */
static int run_shard(const struct options *o, uint32_t shard)
{
    int failures = 0;
    if (sim == NULL) {
        sim_world_create(WORLD_BYTES);
    }
    sim->trace = o->trace;
    sim->bug = o->bug;
    for (uint64_t i = shard; i < o->count && failures < FAILURES_MAX; i += o->shards) {
        const bool good = history(o->seed + i);
        atomic_fetch_add(ran, 1);
        if (good) {
            continue;
        }
        if (o->bug != SIM_BUG_NONE && !innocent(o, i)) {
            continue;
        }
        failures++;
        printf("seed %llu: %s\n", (unsigned long long)(o->seed + i), sim->violation);
        fflush(stdout);
        if (o->bug != SIM_BUG_NONE) {
            break;
        }
    }
    return failures;
}

static int run_shards(const struct options *o)
{
    int failures = 0;
    fflush(stdout);
    for (uint32_t shard = 0; shard < o->shards; shard++) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            exit(run_shard(o, shard));
        }
    }
    int status;
    while (wait(&status) > 0) {
        failures += WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    }
    return failures;
}

static const char *const bug_names[] = { "none",
#define BUG(name, text) #name,
                                         SIM_BUGS(BUG)
#undef BUG
};
static const char *const bug_texts[] = { "",
#define BUG(name, text) text,
                                         SIM_BUGS(BUG)
#undef BUG
};

static bool hunt_one(const struct options *given, uint32_t bug)
{
    struct options o = *given;
    o.bug = bug;
    o.shards = 1;
    const bool found = run_shard(&o, 0) > 0;
    printf("bug %s (%s): %s\n", bug_names[bug], bug_texts[bug], found ? "found" : "NOT FOUND");
    fflush(stdout);
    return found;
}

/* Each bug must be found by one of o->count seeds. Returns how many were not. */
static int hunt(const struct options *o)
{
    int missed = 0;
    int status;
    fflush(stdout);
    for (uint32_t shard = 0; shard < o->shards; shard++) {
        if (fork() == 0) {
            int mine = 0;
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (uint32_t bug = 1 + shard; bug < SIM_BUG_COUNT_; bug += o->shards) {
                mine += !hunt_one(o, bug);
            }
            exit(mine);
        }
    }
    while (wait(&status) > 0) {
        missed += WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    }
    printf("seeded bugs:\n%d passed, %d failed\n", SIM_BUG_COUNT_ - 1 - missed, missed);
    return missed;
}

static const char help[] =
    "usage: weir-sim [--count N] [--seed N] [--shards N] [--trace] [--bug NAME] [--hunt]\n"
    "\n"
    "  --count N   histories (default 100; with --hunt: at most so many per bug)\n"
    "  --seed N    the first seed (default 1)\n"
    "  --shards N  processes (default: one per core)\n"
    "  --trace     prints every step: use it with --seed and --count 1\n"
    "  --bug NAME  with this bug built in\n"
    "  --hunt      with each seeded bug in turn: fails unless all are found\n";

static bool parse(int argc, char **argv, struct options *o, bool *hunting)
{
    static const struct option long_options[] = {
        { "count", required_argument, NULL, 'c' }, { "seed", required_argument, NULL, 's' },
        { "shards", required_argument, NULL, 'p' }, { "trace", no_argument, NULL, 't' },
        { "bug", required_argument, NULL, 'b' },   { "hunt", no_argument, NULL, 'h' },
        { 0 },
    };
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (option) {
        case 'c': o->count = strtoull(optarg, NULL, 10); break;
        case 's': o->seed = strtoull(optarg, NULL, 10); break;
        case 'p': o->shards = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 't': o->trace = true; break;
        case 'h': *hunting = true; break;
        case 'b':
            for (uint32_t i = 0; i < SIM_BUG_COUNT_; i++) {
                o->bug = strcmp(bug_names[i], optarg) == 0 ? i : o->bug;
            }
            break;
        default: return false;
        }
    }
    return o->shards > 0 && optind == argc;
}

int main(int argc, char **argv)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct options o = { .seed = 1, .count = 100, .shards = cores > 0 ? (uint32_t)cores : 1 };
    bool hunting = false;
    if (!parse(argc, argv, &o, &hunting)) {
        fputs(help, stderr);
        return 2;
    }
    o.shards = o.trace || o.count < o.shards ? 1 : o.shards;
    wr_log_setup(o.trace ? WR_LOG_DEBUG : WR_LOG_OFF, WR_LOG_TEXT);
    wr_clock_simulate(sim_now, NULL);
    ran = mmap(NULL, sizeof *ran, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    wr_assert(ran != MAP_FAILED);
    if (hunting) {
        return hunt(&o) > 0 ? 1 : 0;
    }
    const time_t began = time(NULL);
    const int failures = run_shards(&o);
    printf("histories from seed %llu, in %lld s:\n%lld passed, %d failed\n", (unsigned long long)o.seed,
           (long long)(time(NULL) - began), (long long)atomic_load(ran) - failures, failures);
    return failures > 0 ? 1 : 0;
}
