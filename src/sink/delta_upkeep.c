#include "sink/delta_upkeep.h"

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "store/store.h"
#include "table/delta.h"
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A group of small files that could still grow to a full one is left alone this long: each byte is
 * merged once as a rule, and the rest within a minute after the last row. */
#define SETTLE_MS 10000
/* Between two looks at the log: each is a request. */
#define PAUSE_MIN_MS 500
#define PAUSE_MAX_MS 5000
#define FAILED_PAUSE_MAX_MS 60000

struct wr_delta_upkeep {
    const struct wr_plan_sink *plan;
    struct wr_delta_upkeep_options options;
    pthread_t thread;
    pthread_mutex_t lock; /* stop */
    pthread_cond_t wake;
    bool stop;
    /* the thread's own */
    struct wr_store *store;
    struct wr_delta *table;
    bool warned; /* until it works again */
};

static wr_status open_table(struct wr_delta_upkeep *u, struct wr_error *err)
{
    if (u->store == NULL) {
        WR_TRY(wr_store_open(&u->store, wr_options_text(u->plan->options, "path"),
                             u->plan->options, NULL, err));
    }
    return u->table != NULL ? WR_OK : wr_delta_open(&u->table, u->store, NULL, err);
}

static void close_table(struct wr_delta_upkeep *u)
{
    wr_delta_close(u->table);
    wr_store_close(u->store);
    u->table = NULL;
    u->store = NULL;
}

/* *more: the next step has something to do for sure. */
static wr_status step(struct wr_delta_upkeep *u, bool *more, struct wr_error *err)
{
    struct wr_delta_compact_result result = { 0 };
    WR_TRY(open_table(u, err));
    if (u->options.compact) {
        const struct wr_delta_compact_options options = {
            .target_bytes = u->options.target_bytes,
            .settle_ms = SETTLE_MS,
            .mark = u->options.mark
        };
        WR_TRY_IN(wr_delta_compact(u->table, &options, &result, err), err, "merging small files");
    } else {
        WR_TRY(wr_delta_refresh(u->table, err));
    }
    if (result.files_before > 0) {
        wr_log_debug("delta", "sink \"%s\": %u files merged into %u", u->plan->name,
                     result.files_before, result.files_after);
    }
    *more = result.more;
    WR_TRY_IN(wr_delta_checkpoint(u->table, u->options.checkpoint_every, err), err,
              "writing a checkpoint");
    return WR_OK;
}

static void tell_failure(struct wr_delta_upkeep *u, struct wr_error *err)
{
    wr_error_prefix(err, "sink \"%s\": upkeep of the table", u->plan->name);
    wr_log_error(u->warned ? WR_LOG_DEBUG : WR_LOG_WARN, "delta", err);
    u->warned = true;
}

/* The pause before the next step, from the last one. */
static int64_t pause_after(struct wr_delta_upkeep *u, int64_t last_ms)
{
    struct wr_error err;
    bool more = false;
    const uint64_t began = u->table == NULL ? 0 : (uint64_t)wr_delta_version(u->table);
    if (step(u, &more, &err) != WR_OK) {
        tell_failure(u, &err);
        close_table(u);
        const int64_t pause = last_ms < PAUSE_MAX_MS ? PAUSE_MAX_MS : last_ms * 2;
        return pause < FAILED_PAUSE_MAX_MS ? pause : FAILED_PAUSE_MAX_MS;
    }
    u->warned = false;
    if (more) {
        return 0;
    }
    if ((uint64_t)wr_delta_version(u->table) != began || last_ms < PAUSE_MIN_MS) {
        return PAUSE_MIN_MS;
    }
    return last_ms * 2 < PAUSE_MAX_MS ? last_ms * 2 : PAUSE_MAX_MS;
}

/* False: it is time to stop. */
static bool pause_ms(struct wr_delta_upkeep *u, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= WR_NS_PER_S) {
        until.tv_nsec -= WR_NS_PER_S;
        until.tv_sec++;
    }
    pthread_mutex_lock(&u->lock);
    int woken = 0;
    while (!u->stop && woken == 0 && ms > 0) {
        woken = pthread_cond_timedwait(&u->wake, &u->lock, &until);
    }
    const bool go_on = !u->stop;
    pthread_mutex_unlock(&u->lock);
    return go_on;
}

/* Runs when nobody else wants to; where the kernel refuses, nice still helps. */
static void lower_priority(void)
{
    const struct sched_param none = { 0 };
    (void)pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19);
}

static void *upkeep_main(void *arg)
{
    struct wr_delta_upkeep *u = arg;
    int64_t pause = PAUSE_MIN_MS;
    pthread_setname_np(pthread_self(), "weir-upkeep");
    lower_priority();
    while (pause_ms(u, pause)) {
        pause = pause_after(u, pause);
    }
    close_table(u);
    return NULL;
}

static void destroy(struct wr_delta_upkeep *u)
{
    pthread_cond_destroy(&u->wake);
    pthread_mutex_destroy(&u->lock);
    free(u);
}

struct wr_delta_upkeep *wr_delta_upkeep_start(const struct wr_plan_sink *plan,
                                              const struct wr_delta_upkeep_options *options)
{
    struct wr_delta_upkeep *u = wr_calloc(1, sizeof *u);
    pthread_condattr_t attributes;
    u->plan = plan;
    u->options = *options;
    pthread_mutex_init(&u->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&u->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&u->thread, NULL, upkeep_main, u) != 0) {
        wr_log_warn("delta", "sink \"%s\": no thread could be started to merge small files; use: "
                    "weir table compact", plan->name);
        destroy(u);
        return NULL;
    }
    return u;
}

void wr_delta_upkeep_stop(struct wr_delta_upkeep *u)
{
    if (u == NULL) {
        return;
    }
    pthread_mutex_lock(&u->lock);
    u->stop = true;
    pthread_cond_signal(&u->wake);
    pthread_mutex_unlock(&u->lock);
    pthread_join(u->thread, NULL);
    destroy(u);
}
