/* eval_time.h: calendar arithmetic that kernels share (private to exec's kernels). Times are
 * microseconds since 1970, read as UTC; the calendar is proleptic Gregorian. */
#ifndef WR_EXEC_EVAL_TIME_H
#define WR_EXEC_EVAL_TIME_H

#include "batch/type.h"

#define WR_US_PER_DAY 86400000000LL
#define WR_US_PER_HOUR 3600000000LL
#define WR_US_PER_MINUTE 60000000LL

/* How long an interval counts in comparisons, as PostgreSQL's interval_cmp_value: a month is 30
 * days, a day 24 hours. */
static inline __int128 wr_interval_span(struct wr_interval interval)
{
    return ((__int128)interval.months * 30 + interval.days) * WR_US_PER_DAY + interval.us;
}

static inline int64_t wr_floor_div(int64_t value, int64_t divisor)
{
    const int64_t quotient = value / divisor;
    return quotient - (value % divisor != 0 && (value < 0) != (divisor < 0));
}

/* The day that holds the time. */
static inline int64_t wr_day_of_us(int64_t us)
{
    return wr_floor_div(us, WR_US_PER_DAY);
}

/* us + interval as PostgreSQL: months first (the day is cut to the month's last), then days, then
 * time. False when the result does not fit. */
bool wr_time_add_interval(int64_t us, struct wr_interval interval, int64_t *out);

#endif
