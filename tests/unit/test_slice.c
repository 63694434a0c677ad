#include "base/slice.h"
#include <criterion/criterion.h>

#define S(text) WR_SLICE_LITERAL(text)

Test(slice, compares_by_bytes)
{
    cr_assert(wr_slice_equal(S("abc"), wr_slice_of("abc")));
    cr_assert_not(wr_slice_equal(S("abc"), S("abcd")));
    cr_assert_not(wr_slice_equal(S("a\0c"), S("a\0d")));
    cr_assert(wr_slice_equal(wr_slice_of(NULL), S("")));
    cr_assert(wr_slice_is(S("x"), "x"));
}

Test(slice, folds_ascii_case_only)
{
    cr_assert(wr_slice_equal_nocase(S("SeLeCt_1"), S("sElEcT_1")));
    cr_assert_not(wr_slice_equal_nocase(S("a["), S("a{"))); /* 32 apart, but no letters */
    cr_assert_not(wr_slice_equal_nocase(S("\xc3\x84"), S("\xc3\xa4")));
    cr_assert_not(wr_slice_equal_nocase(S("a"), S("ab")));
}

Test(slice, measures_typing_errors)
{
    cr_assert_eq(wr_slice_distance(S("count"), S("count"), 3), 0);
    cr_assert_eq(wr_slice_distance(S("count"), S("COUNT"), 3), 0);
    cr_assert_eq(wr_slice_distance(S("cuont"), S("count"), 3), 1); /* a swap is one error */
    cr_assert_eq(wr_slice_distance(S("coun"), S("count"), 3), 1);
    cr_assert_eq(wr_slice_distance(S("ccount"), S("count"), 3), 1);
    cr_assert_eq(wr_slice_distance(S("kitten"), S("sitting"), 9), 3);
    cr_assert_eq(wr_slice_distance(S("ca"), S("abc"), 9), 3); /* optimal string alignment, not 2 */
    cr_assert_eq(wr_slice_distance(S(""), S("abc"), 9), 3);
    cr_assert_eq(wr_slice_distance(S(""), S(""), 9), 0);
    cr_assert_eq(wr_slice_distance(S("abcdef"), S("uvwxyz"), 2), 3); /* cut off at max + 1 */
}

Test(slice, gives_up_on_long_texts)
{
    char text[80];
    memset(text, 'a', sizeof(text));
    const struct wr_slice at_limit = { text, 64 };
    const struct wr_slice over = { text, 65 };
    cr_assert_eq(wr_slice_distance(at_limit, at_limit, 2), 0);
    cr_assert_eq(wr_slice_distance(over, over, 2), 3);
}

static bool valid(struct wr_slice s)
{
    /* At every alignment against the eight-byte path. */
    char padded[64];
    const size_t pads[] = { 0, 1, 5, 7, 8, 9 };
    const bool alone = wr_utf8_valid(s.data, s.bytes);
    for (size_t i = 0; i < sizeof(pads) / sizeof(pads[0]); i++) {
        memset(padded, 'x', sizeof(padded));
        memcpy(padded + pads[i], s.data, s.bytes);
        cr_assert_eq(wr_utf8_valid(padded, pads[i] + s.bytes), alone);
    }
    return alone;
}

Test(slice, accepts_well_formed_utf8)
{
    cr_assert(valid(S("")));
    cr_assert(valid(S("plain text \0 with nul")));
    cr_assert(valid(S("\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xef\xbf\xbf")));
    cr_assert(valid(S("\xed\x9f\xbf \xee\x80\x80")));                 /* around the surrogates */
    cr_assert(valid(S("\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf")));         /* first and last of four */
}

Test(slice, refuses_ill_formed_utf8)
{
    cr_assert_not(valid(S("\x80")));             /* a lone continuation */
    cr_assert_not(valid(S("\xc0\xaf")));         /* overlong */
    cr_assert_not(valid(S("\xc1\xbf")));         /* overlong */
    cr_assert_not(valid(S("\xe0\x9f\xbf")));     /* overlong */
    cr_assert_not(valid(S("\xf0\x8f\xbf\xbf"))); /* overlong */
    cr_assert_not(valid(S("\xed\xa0\x80")));     /* surrogate */
    cr_assert_not(valid(S("\xf4\x90\x80\x80"))); /* above U+10FFFF */
    cr_assert_not(valid(S("\xf5\x80\x80\x80")));
    cr_assert_not(valid(S("\xff")));
    cr_assert_not(valid(S("\xc3")));             /* cut off */
    cr_assert_not(valid(S("\xe2\x82")));
    cr_assert_not(valid(S("\xf0\x9f\x98")));
    cr_assert_not(valid(S("\xe2\x28\xa1")));
}
