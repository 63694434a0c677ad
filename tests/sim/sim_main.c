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

#include "base/log.h"
#include "base/hash.h"
#include "run/catalog.h"
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORLD_BYTES ((size_t)192 << 20)
#define CHILD_SECONDS_MAX 20u /* of real time: a turn that never ends */
#define STARTS_MAX 60u

struct options {
    uint64_t seed;
    uint64_t count;
    uint32_t shards;
    uint32_t bug;
    bool trace;
    bool quiet;
};

struct process {
    pid_t pid;
    uint32_t run;
    bool alive;
    bool again; /* its supervisor starts it again */
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

static pid_t start_process(const struct wr_plan *plan, uint32_t run)
{
    sim->run_now = run;
    sim_trace("==== run %u starts: %u workers%s", run, sim->scenario.workers[run],
              sim->runs[run].bounded ? ", to the end" : "");
    const pid_t pid = fork();
    if (pid == 0) {
        alarm(CHILD_SECONDS_MAX);
        _exit(sim_host_run(plan));
    }
    return pid;
}

/* True: it ended in a way that a process may; *stopped: it is only stopped. */
static bool wait_for(struct process *process, bool *stopped)
{
    int status = 0;
    *stopped = false;
    while (waitpid(process->pid, &status, WUNTRACED) < 0) {
    }
    if (WIFSTOPPED(status)) {
        *stopped = true;
        return true;
    }
    process->alive = false;
    sim->alive--;
    if (WIFSIGNALED(status)) {
        return failed("run %u: %s", process->run,
                      WTERMSIG(status) == SIGALRM ? "a turn never ends" : strsignal(WTERMSIG(status)));
    }
    switch (WEXITSTATUS(status)) {
    case SIM_EXIT_DONE: sim_trace("==== run %u is done", process->run); return true;
    case SIM_EXIT_CRASH:
    case SIM_EXIT_RETRY: process->again = WEXITSTATUS(status) == SIM_EXIT_RETRY; return true;
    case SIM_EXIT_FAILED:
        sim_trace("==== run %u has failed", process->run);
        return sim->runs[process->run].frozen ||
               failed("run %u: the pipeline failed: %s", process->run, sim->failure);
    case SIM_EXIT_VIOLATION: return false;
    case SIM_EXIT_STUCK: return failed("run %u comes to no end", process->run);
    default: return failed("run %u: exit code %d", process->run, WEXITSTATUS(status));
    }
}

static bool run_alone(const struct wr_plan *plan, uint32_t run)
{
    bool stopped;
    struct process process = { .run = run };
    for (uint32_t starts = 0; starts < STARTS_MAX; starts++) {
        process.alive = true;
        process.again = false;
        sim->alive++;
        process.pid = start_process(plan, run);
        if (!wait_for(&process, &stopped)) {
            return false;
        }
        if (!process.again) {
            return true;
        }
    }
    return failed("run %u does not come up in %u starts", run, STARTS_MAX);
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

static bool run_history(const struct wr_plan *plan)
{
    sim->quiet_ns = last_event_ns() + 3 * WR_NS_PER_S;
    for (uint32_t run = 0; run <= sim->scenario.crashes; run++) {
        if (sim->runs[run].bounded && sim->now_ns < last_event_ns()) {
            sim->now_ns = last_event_ns();
        }
        if (!run_alone(plan, run)) {
            return false;
        }
        sim->now_ns += sim_between(1, 500) * WR_NS_PER_MS;
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

/* Runs seeds first, first + step, … ; returns failures. With a bug: ends at the first, which is a success. */
static int run_shard(const struct options *o, uint32_t shard)
{
    int failures = 0;
    sim_world_create(WORLD_BYTES);
    sim->trace = o->trace;
    sim->bug = o->bug;
    for (uint64_t i = shard; i < o->count && failures < 20; i += o->shards) {
        if (history(o->seed + i)) {
            continue;
        }
        failures++;
        if (!o->quiet) {
            printf("seed %llu: %s\n", (unsigned long long)(o->seed + i), sim->violation);
            fflush(stdout);
        }
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

/* Each bug must be found by one of o->count seeds. */
static int hunt(const struct options *given)
{
    int missed = 0;
    for (uint32_t bug = 1; bug < SIM_BUG_COUNT_; bug++) {
        struct options o = *given;
        o.bug = bug;
        const int found = run_shards(&o);
        printf("bug %s (%s): %s\n", bug_names[bug], bug_texts[bug], found > 0 ? "found" : "NOT FOUND");
        fflush(stdout);
        missed += found == 0;
    }
    printf("%u of %u seeded bugs found\n", SIM_BUG_COUNT_ - 1 - (uint32_t)missed, SIM_BUG_COUNT_ - 1);
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
    if (hunting) {
        o.quiet = true;
        return hunt(&o) > 0 ? 1 : 0;
    }
    const time_t began = time(NULL);
    const int failures = run_shards(&o);
    printf("%llu histories from seed %llu, %d failed, %lld s\n", (unsigned long long)o.count,
           (unsigned long long)o.seed, failures, (long long)(time(NULL) - began));
    return failures > 0 ? 1 : 0;
}
