/* clock.c: see clock.h. */
#include "base/clock.h"

#include <errno.h>
#include <stddef.h>
#include <time.h>

static struct wr_time (*simulated)(void *ctx);
static void *simulated_ctx;

static int64_t read_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now); /* cannot fail for the three clocks used here */
    return (int64_t)now.tv_sec * WR_NS_PER_S + now.tv_nsec;
}

struct wr_time wr_clock_now(void)
{
    if (simulated != NULL) {
        return simulated(simulated_ctx);
    }
    return (struct wr_time){ .wall_us = read_ns(CLOCK_REALTIME) / 1000,
                             .mono_ns = read_ns(CLOCK_MONOTONIC) };
}

void wr_clock_simulate(struct wr_time (*read)(void *ctx), void *ctx)
{
    simulated = read;
    simulated_ctx = ctx;
}

int64_t wr_clock_cpu_ns(void)
{
    return read_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void wr_clock_sleep_ms(uint32_t ms)
{
    struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}
