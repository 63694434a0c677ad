#include "obs/histogram.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct wr_histogram h;

Test(histogram, an_empty_one_answers_zero)
{
    cr_assert_eq(wr_histogram_quantile_us(&h, 0.0), 0);
    cr_assert_eq(wr_histogram_quantile_us(&h, 0.5), 0);
    cr_assert_eq(wr_histogram_quantile_us(&h, 1.0), 0);
}

Test(histogram, small_values_are_exact)
{
    for (int64_t v = 1; v <= 100; v++) {
        wr_histogram_record(&h, v, 1);
    }
    cr_assert_eq(wr_histogram_quantile_us(&h, 0.0), 1);
    cr_assert_eq(wr_histogram_quantile_us(&h, 0.01), 1);
    cr_assert_eq(wr_histogram_quantile_us(&h, 0.5), 50);
    cr_assert_eq(wr_histogram_quantile_us(&h, 0.99), 99);
    cr_assert_eq(wr_histogram_quantile_us(&h, 1.0), 100);
    cr_assert_eq(wr_counter_get(&h.sum_us), 5050);
}

Test(histogram, every_magnitude_stays_within_its_relative_error)
{
    for (int64_t v = 1; v < 1LL << 40; v += 1 + v / 7) {
        wr_histogram_reset(&h);
        wr_histogram_record(&h, v, 1);
        wr_histogram_record(&h, (1LL << 40) - 1, 1); /* so that the maximum caps nothing */
        const int64_t got = wr_histogram_quantile_us(&h, 0.5);
        cr_assert(got >= v && got - v <= v / 64, "%ld for %ld", (long)got, (long)v);
    }
}

Test(histogram, buckets_follow_each_other_without_a_gap)
{
    /* Quantiles never fall when values rise: around every power of two and at bucket edges. */
    int64_t last = -1;
    for (int64_t v = 0; v < 100000; v++) {
        wr_histogram_reset(&h);
        wr_histogram_record(&h, v, 1);
        wr_histogram_record(&h, 1LL << 39, 1);
        const int64_t got = wr_histogram_quantile_us(&h, 0.5);
        cr_assert_geq(got, last);
        last = got;
    }
}

Test(histogram, clamps_what_is_out_of_range)
{
    wr_histogram_record(&h, -5, 1);
    cr_assert_eq(wr_histogram_quantile_us(&h, 1.0), 0);
    wr_histogram_record(&h, INT64_MAX, 1);
    wr_histogram_record(&h, INT64_MIN, 1);
    cr_assert_eq(wr_histogram_quantile_us(&h, 1.0), (1LL << 40) - 1);
    cr_assert_eq(wr_counter_get(&h.count), 3);
    cr_assert_eq(wr_histogram_quantile_us(&h, 0.5), 0);
}

Test(histogram, weights_count_as_so_many_values)
{
    wr_histogram_record(&h, 10, 990);
    wr_histogram_record(&h, 1000, 10);
    wr_histogram_record(&h, 5, 0);
    cr_assert_eq(wr_counter_get(&h.count), 1000);
    cr_assert_eq(wr_histogram_quantile_us(&h, 0.99), 10);
    cr_assert_gt(wr_histogram_quantile_us(&h, 0.991), 990);
    cr_assert_eq(wr_histogram_quantile_us(&h, 1.0), 1000);
}

Test(histogram, merging_equals_recording_into_one)
{
    struct wr_histogram *parts = calloc(2, sizeof(*parts));
    for (int64_t i = 0; i < 10000; i++) {
        const int64_t v = i * i % 1000003;
        wr_histogram_record(&h, v, 1);
        wr_histogram_record(&parts[i & 1], v, 1);
    }
    wr_histogram_merge(&parts[0], &parts[1]);
    cr_assert_eq(memcmp(&h, &parts[0], sizeof(h)), 0);
    wr_histogram_reset(&parts[0]);
    cr_assert_eq(wr_histogram_quantile_us(&parts[0], 1.0), 0);
    free(parts);
}
