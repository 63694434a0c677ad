/* histogram.h: log-linear histogram of durations (HdrHistogram's bucket layout, Tene 2012): values
 * in microseconds from 0 to 2^40, relative error at most 1/64 (1.6 %), fixed size.
 *
 * Threads: one writer (record), any reader (relaxed counters); merge and quantile work on copies.
 */
#ifndef WR_OBS_HISTOGRAM_H
#define WR_OBS_HISTOGRAM_H

#include "obs/counter.h"
#include <stdint.h>

#define WR_HISTOGRAM_SUB_BITS 6
#define WR_HISTOGRAM_BUCKETS ((40 - WR_HISTOGRAM_SUB_BITS + 2) << WR_HISTOGRAM_SUB_BITS)

struct wr_histogram {
    struct wr_counter buckets[WR_HISTOGRAM_BUCKETS];
    struct wr_counter count;
    struct wr_counter sum_us;
    struct wr_counter max_us;
};

/* Negative values count as 0, larger ones as the largest. times: how many events took value_us. */
void wr_histogram_record(struct wr_histogram *h, int64_t value_us, uint64_t times);
/* into += from. @thread owner of into */
void wr_histogram_merge(struct wr_histogram *into, const struct wr_histogram *from);
/* q in [0, 1]; the highest value equivalent to that bucket, 0 when empty; q = 1 gives the exact max. */
int64_t wr_histogram_quantile_us(const struct wr_histogram *h, double q);
void wr_histogram_reset(struct wr_histogram *h);

#endif
