/* histogram.c: see histogram.h.
 *
 * Layout: values below 2 * 2^SUB_BITS have a bucket each; above, each power of two is divided into
 * 2^SUB_BITS equal buckets. Bucket number = (octave << SUB_BITS) + the value's leading bits, where
 * the value shifted right by octave lies in [2^SUB_BITS, 2^(SUB_BITS + 1)). */
#include "obs/histogram.h"


#define SUB_BITS  WR_HISTOGRAM_SUB_BITS
#define SUB_COUNT (1u << SUB_BITS)
#define VALUE_MAX ((1LL << 40) - 1)

static uint32_t bucket_of(uint64_t value)
{
    if (value < SUB_COUNT) {
        return (uint32_t)value;
    }
    const uint32_t octave = 63 - (uint32_t)__builtin_clzll(value) - SUB_BITS;
    return (octave << SUB_BITS) + (uint32_t)(value >> octave);
}

/* The largest value that falls into the bucket. */
static int64_t bucket_highest(uint32_t bucket)
{
    if (bucket < 2 * SUB_COUNT) {
        return bucket;
    }
    const uint32_t octave = (bucket >> SUB_BITS) - 1;
    const uint64_t lead = bucket - ((uint64_t)octave << SUB_BITS);
    return (int64_t)(((lead + 1) << octave) - 1);
}

_Static_assert(WR_HISTOGRAM_BUCKETS >= ((40 - SUB_BITS + 1) << SUB_BITS), "VALUE_MAX has a bucket");

void wr_histogram_record(struct wr_histogram *h, int64_t value_us, uint64_t times)
{
    if (times == 0) {
        return;
    }
    const int64_t clamped = value_us < 0 ? 0 : value_us > VALUE_MAX ? VALUE_MAX : value_us;
    const uint64_t value = (uint64_t)clamped;
    wr_counter_add(&h->buckets[bucket_of(value)], times);
    wr_counter_add(&h->count, times);
    wr_counter_add(&h->sum_us, value * times);
    if (value > wr_counter_get(&h->max_us)) {
        wr_counter_set(&h->max_us, value);
    }
}

void wr_histogram_merge(struct wr_histogram *into, const struct wr_histogram *from)
{
    for (uint32_t i = 0; i < WR_HISTOGRAM_BUCKETS; i++) {
        const uint64_t n = wr_counter_get(&from->buckets[i]);
        if (n > 0) {
            wr_counter_add(&into->buckets[i], n);
        }
    }
    wr_counter_add(&into->count, wr_counter_get(&from->count));
    wr_counter_add(&into->sum_us, wr_counter_get(&from->sum_us));
    const uint64_t max_us = wr_counter_get(&from->max_us);
    if (max_us > wr_counter_get(&into->max_us)) {
        wr_counter_set(&into->max_us, max_us);
    }
}

int64_t wr_histogram_quantile_us(const struct wr_histogram *h, double q)
{
    /* The buckets' own sum, not count: a writer may be between the two. */
    uint64_t total = 0;
    for (uint32_t i = 0; i < WR_HISTOGRAM_BUCKETS; i++) {
        total += wr_counter_get(&h->buckets[i]);
    }
    const int64_t max_us = (int64_t)wr_counter_get(&h->max_us);
    if (total == 0 || !(q < 1.0)) {
        return total == 0 ? 0 : max_us;
    }
    const double exact_rank = q <= 0 ? 0 : q * (double)total;
    uint64_t rank = (uint64_t)exact_rank;
    rank += (double)rank < exact_rank || rank == 0; /* rounded up, at least the first value */

    uint64_t seen = 0;
    for (uint32_t i = 0; i < WR_HISTOGRAM_BUCKETS; i++) {
        seen += wr_counter_get(&h->buckets[i]);
        if (seen >= rank) {
            const int64_t highest = bucket_highest(i);
            return highest < max_us ? highest : max_us;
        }
    }
    return max_us;
}

void wr_histogram_reset(struct wr_histogram *h)
{
    for (uint32_t i = 0; i < WR_HISTOGRAM_BUCKETS; i++) {
        wr_counter_set(&h->buckets[i], 0);
    }
    wr_counter_set(&h->count, 0);
    wr_counter_set(&h->sum_us, 0);
    wr_counter_set(&h->max_us, 0);
}
