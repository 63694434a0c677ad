#include "encode/kernels.h"
#include "encode/parquet_bounds.h"

#include <criterion/criterion.h>
#include <math.h>

struct written {
    bool has;
    bool exact;
    uint32_t bytes;
    char data[WR_BOUND_BYTES + 8];
};

static struct written maximum(const struct wr_bounds *b, enum wr_bounds_kind kind)
{
    struct written w = { 0 };
    w.has = wr_bounds_max(b, kind, 16, w.data, &w.bytes, &w.exact);
    return w;
}

static struct written minimum(const struct wr_bounds *b, enum wr_bounds_kind kind)
{
    struct written w = { 0 };
    w.has = wr_bounds_min(b, kind, 16, w.data, &w.bytes, &w.exact);
    return w;
}

static void add_f64(struct wr_bounds *b, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    wr_bounds_add_keys(b, wr_order_f64(bits), wr_order_f64(bits));
}

static double as_f64(const struct written *w)
{
    double value;
    cr_assert_eq(w->bytes, 8u);
    memcpy(&value, w->data, 8);
    return value;
}

Test(parquet_bounds, no_values_no_bounds)
{
    const struct wr_bounds b = { 0 };
    cr_assert_not(maximum(&b, WR_BOUNDS_64).has);
    cr_assert_not(minimum(&b, WR_BOUNDS_TEXT).has);
}

Test(parquet_bounds, zeros_are_written_so_that_both_signs_lie_within)
{
    struct wr_bounds b = { 0 };
    add_f64(&b, 0.0);
    struct written low = minimum(&b, WR_BOUNDS_F64);
    cr_assert(signbit(as_f64(&low)) != 0);
    struct wr_bounds n = { 0 };
    add_f64(&n, -0.0);
    struct written high = maximum(&n, WR_BOUNDS_F64);
    cr_assert(signbit(as_f64(&high)) == 0);
}

Test(parquet_bounds, floats_order_by_value_and_a_nan_takes_the_bounds_away)
{
    struct wr_bounds b = { 0 };
    add_f64(&b, -1.5);
    add_f64(&b, -INFINITY);
    add_f64(&b, 5e-324);
    struct written low = minimum(&b, WR_BOUNDS_F64);
    struct written high = maximum(&b, WR_BOUNDS_F64);
    cr_assert(as_f64(&low) == -INFINITY && as_f64(&high) == 5e-324);
    struct wr_bounds p = b;
    add_f64(&p, NAN);
    cr_assert_not(maximum(&p, WR_BOUNDS_F64).has);
    struct wr_bounds m = b;
    add_f64(&m, -NAN);
    cr_assert_not(minimum(&m, WR_BOUNDS_F64).has);
    cr_assert_not(maximum(&m, WR_BOUNDS_F64).has);
}

static struct wr_bounds of_text(const char *text, size_t bytes)
{
    struct wr_bounds b = { 0 };
    wr_bounds_add_text(&b, (struct wr_slice){ text, bytes }, (struct wr_slice){ text, bytes });
    return b;
}

Test(parquet_bounds, short_texts_are_exact)
{
    const struct wr_bounds b = of_text("abc", 3);
    const struct written high = maximum(&b, WR_BOUNDS_TEXT);
    cr_assert(high.has && high.exact && high.bytes == 3);
    const struct wr_bounds empty = of_text("", 0);
    const struct written low = minimum(&empty, WR_BOUNDS_TEXT);
    cr_assert(low.has && low.exact && low.bytes == 0);
}

Test(parquet_bounds, a_cut_maximum_is_raised_at_a_character)
{
    char text[100];
    memset(text, 'a', sizeof text);
    struct wr_bounds b = of_text(text, sizeof text);
    struct written high = maximum(&b, WR_BOUNDS_TEXT);
    cr_assert(high.has && !high.exact && high.bytes == 64);
    cr_assert_eq(high.data[63], 'b');
    struct written low = minimum(&b, WR_BOUNDS_TEXT);
    cr_assert(low.has && !low.exact && low.bytes == 64 && low.data[63] == 'a');

    /* A euro sign (3 bytes) lies across the cut: it goes, and the letter before it is raised. */
    memcpy(text + 62, "\xe2\x82\xac", 3);
    b = of_text(text, sizeof text);
    high = maximum(&b, WR_BOUNDS_TEXT);
    low = minimum(&b, WR_BOUNDS_TEXT);
    cr_assert(high.has && high.bytes == 62 && high.data[61] == 'b');
    cr_assert(low.bytes == 62 && low.data[61] == 'a');
}

Test(parquet_bounds, raising_skips_what_is_no_character)
{
    char text[100];
    memset(text, 'a', sizeof text);
    memcpy(text + 61, "\xed\x9f\xbf", 3); /* U+D7FF: the next are surrogates */
    struct wr_bounds b = of_text(text, sizeof text);
    struct written high = maximum(&b, WR_BOUNDS_TEXT);
    cr_assert(high.has && high.bytes == 64);
    cr_assert_arr_eq(high.data + 61, "\xee\x80\x80", 3);
    for (size_t i = 0; i < 100; i += 4) {
        memcpy(text + i, "\xf4\x8f\xbf\xbf", 4); /* U+10FFFF, the last one, all along */
    }
    b = of_text(text, sizeof text);
    cr_assert_not(maximum(&b, WR_BOUNDS_TEXT).has);
    cr_assert(minimum(&b, WR_BOUNDS_TEXT).has);
}

Test(parquet_bounds, bytes_are_raised_at_the_last_that_can_be)
{
    char text[100];
    memset(text, 0xff, sizeof text);
    struct wr_bounds b = of_text(text, sizeof text);
    cr_assert_not(maximum(&b, WR_BOUNDS_BYTES).has);
    text[10] = 3;
    b = of_text(text, sizeof text);
    const struct written high = maximum(&b, WR_BOUNDS_BYTES);
    cr_assert(high.has && high.bytes == 11 && high.data[10] == 4);
}

Test(parquet_bounds, merging_keeps_the_outer_ones)
{
    struct wr_bounds b = of_text("m", 1);
    const struct wr_bounds low = of_text("a", 1);
    const struct wr_bounds high = of_text("z", 1);
    wr_bounds_merge(&b, &low, WR_BOUNDS_TEXT);
    wr_bounds_merge(&b, &high, WR_BOUNDS_TEXT);
    cr_assert_eq(minimum(&b, WR_BOUNDS_TEXT).data[0], 'a');
    cr_assert_eq(maximum(&b, WR_BOUNDS_TEXT).data[0], 'z');
    struct wr_bounds w = { 0 };
    const __int128 values[] = { 5, -((__int128)1 << 100), (__int128)1 << 100 };
    wr_bounds_add_wide(&w, values, 3);
    cr_assert_eq((uint8_t)minimum(&w, WR_BOUNDS_WIDE).data[0], 0xff);
    cr_assert_eq((uint8_t)maximum(&w, WR_BOUNDS_WIDE).data[0], 0);
}
