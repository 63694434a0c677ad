#include "base/bitmap.h"
#include <criterion/criterion.h>

Test(bitmap, uses_arrows_bit_order)
{
    uint8_t bits[8] = { 0 };
    wr_bit_set(bits, 0);
    wr_bit_set(bits, 9);
    cr_assert_eq(bits[0], 1);
    cr_assert_eq(bits[1], 2);
    cr_assert(wr_bit_get(bits, 9));
    wr_bit_clear(bits, 9);
    cr_assert_not(wr_bit_get(bits, 9));
    wr_bit_put(bits, 15, true);
    cr_assert_eq(bits[1], 0x80);
    wr_bit_put(bits, 15, false);
    wr_bit_put(bits, 14, false);
    cr_assert_eq(bits[1], 0);
}

Test(bitmap, counts_only_the_first_bits)
{
    uint8_t bits[WR_BITMAP_BYTES(200)];
    memset(bits, 0xff, sizeof(bits));
    for (uint32_t count = 0; count <= 200; count++) {
        cr_assert_eq(wr_bit_count(bits, count), count);
    }
    wr_bit_clear(bits, 63);
    wr_bit_clear(bits, 64);
    cr_assert_eq(wr_bit_count(bits, 63), 63);
    cr_assert_eq(wr_bit_count(bits, 64), 63);
    cr_assert_eq(wr_bit_count(bits, 130), 128);
}

Test(bitmap, rounds_up_to_whole_words)
{
    cr_assert_eq(WR_BITMAP_BYTES(0), 0);
    cr_assert_eq(WR_BITMAP_BYTES(1), 8);
    cr_assert_eq(WR_BITMAP_BYTES(64), 8);
    cr_assert_eq(WR_BITMAP_BYTES(65), 16);
}
