/* clock.h: the only place that reads time. A worker reads it once a turn and passes the value on; a test
 * replaces it by a simulated one. */
#ifndef WR_BASE_CLOCK_H
#define WR_BASE_CLOCK_H

#include <stdint.h>

struct wr_time {
    int64_t wall_us; /* microseconds since 1970, UTC */
    int64_t mono_ns; /* monotonic nanoseconds */
};

/* now() of the process: the real clock, or what wr_clock_simulate was given. */
struct wr_time wr_clock_now(void);

/* read == NULL goes back to the real clock. For tests, before threads start. */
void wr_clock_simulate(struct wr_time (*read)(void *ctx), void *ctx);

/* CPU time of the process (user + system), nanoseconds. */
int64_t wr_clock_cpu_ns(void);

/* Sleeps; real clock only. For back-off on threads that may wait. */
void wr_clock_sleep_ms(uint32_t ms);

#define WR_US_PER_S 1000000LL
#define WR_NS_PER_S 1000000000LL
#define WR_NS_PER_MS 1000000LL
#define WR_TIME_MIN INT64_MIN /* "no event time yet" of watermarks */
#define WR_TIME_MAX INT64_MAX /* the watermark after the last row */

#endif
