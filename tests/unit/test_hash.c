#include "base/hash.h"
#include <criterion/criterion.h>

Test(hash, is_xxh3_with_seed_zero)
{
    cr_assert_eq(wr_hash_bytes("", 0), 0x2d06800538d394c2ULL); /* the specification's empty value */
    cr_assert_neq(wr_hash_bytes("a", 1), wr_hash_bytes("b", 1));
    cr_assert_eq(wr_hash_bytes("abc", 3), wr_hash_bytes_raw("abc", 3));
}

Test(hash, spreads_consecutive_integers)
{
    int buckets[64] = { 0 };
    for (uint64_t i = 0; i < 6400; i++) {
        buckets[wr_hash_u64(i) & 63]++;
    }
    for (int i = 0; i < 64; i++) {
        cr_assert(buckets[i] > 50 && buckets[i] < 150);
    }
}

Test(hash, order_matters_in_combining)
{
    cr_assert_neq(wr_hash_combine(1, 2), wr_hash_combine(2, 1));
}

Test(hash, the_test_switch_makes_all_keys_collide)
{
    wr_hash_mask = 0;
    cr_assert_eq(wr_hash_bytes("a", 1), 0);
    cr_assert_eq(wr_hash_u64(17), 0);
    cr_assert_eq(wr_hash_combine(1, 2), 0);
    wr_hash_mask = UINT64_MAX;
}
