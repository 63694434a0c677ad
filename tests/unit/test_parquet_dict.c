#include "base/rand.h"
#include "encode/parquet_dict.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct wr_dict_scratch scratch;
static uint32_t indexes[WR_BATCH_ROWS_MAX];

Test(parquet_dict, numbers_get_indexes_in_order_of_first_appearance)
{
    struct wr_dict dict = { 0 };
    wr_dict_reset(&dict);
    const uint64_t values[] = { 7, 0, 7, UINT64_MAX, 0 };
    cr_assert_eq(wr_dict_index_u64(&dict, &scratch, values, 5, indexes), 5u);
    const uint32_t expected[] = { 0, 1, 0, 2, 1 };
    cr_assert_arr_eq(indexes, expected, sizeof expected);
    cr_assert_eq(wr_dict_u64(&dict, 2), UINT64_MAX);
    wr_dict_deinit(&dict);
}

Test(parquet_dict, many_values_survive_growth_and_a_reset_forgets_them)
{
    struct wr_dict dict = { 0 };
    for (int turn = 0; turn < 2; turn++) {
        struct wr_rand rand;
        wr_rand_seed(&rand, (uint64_t)turn);
        wr_dict_reset(&dict);
        uint64_t values[1024];
        for (int batch = 0; batch < 100; batch++) {
            for (int i = 0; i < 1024; i++) {
                values[i] = wr_rand_below(&rand, 30000) << 40;
            }
            cr_assert_eq(wr_dict_index_u64(&dict, &scratch, values, 1024, indexes), 1024u);
            for (int i = 0; i < 1024; i++) {
                cr_assert_eq(wr_dict_u64(&dict, indexes[i]), values[i]);
            }
        }
        cr_assert_leq(dict.count, 30000u);
    }
    wr_dict_deinit(&dict);
}

Test(parquet_dict, it_says_where_it_became_full)
{
    struct wr_dict dict = { 0 };
    wr_dict_reset(&dict);
    uint64_t next = 0;
    uint32_t done = 1024;
    while (done == 1024) {
        uint64_t values[1024];
        for (int i = 0; i < 1024; i++) {
            values[i] = next++;
        }
        done = wr_dict_index_u64(&dict, &scratch, values, 1024, indexes);
    }
    cr_assert_eq(dict.count, WR_DICT_ENTRIES_MAX);
    cr_assert_eq(next - 1024 + done, WR_DICT_ENTRIES_MAX);
    wr_dict_deinit(&dict);
}

Test(parquet_dict, texts_of_every_length_are_told_apart_by_their_last_byte)
{
    struct wr_dict dict = { 0 };
    wr_dict_reset(&dict);
    static char texts[100][2][100];
    struct wr_view views[200];
    for (uint32_t n = 0; n < 100; n++) {
        for (uint32_t j = 0; j < 2; j++) {
            memset(texts[n][j], 'x', 100);
            if (n > 0) {
                texts[n][j][n - 1] = (char)('a' + j);
            }
            views[n * 2 + j] = wr_view_of(texts[n][j], n);
        }
    }
    for (int turn = 0; turn < 2; turn++) {
        cr_assert_eq(wr_dict_index_views(&dict, &scratch, views, 200, indexes), 200u);
        cr_assert_eq(dict.count, 199u); /* the empty text twice */
        for (uint32_t i = 0; i < 200; i++) {
            const struct wr_slice text = wr_dict_text(&dict, indexes[i]);
            cr_assert(wr_slice_equal(text, wr_view_slice(&views[i])), "text %u", i);
        }
    }
    wr_dict_deinit(&dict);
}

Test(parquet_dict, a_text_larger_than_a_dictionary_fills_it)
{
    struct wr_dict dict = { 0 };
    wr_dict_reset(&dict);
    char *large = calloc(1, WR_DICT_BYTES_MAX);
    const struct wr_view views[] = { wr_view_of("a", 1), wr_view_of(large, WR_DICT_BYTES_MAX) };
    cr_assert_eq(wr_dict_index_views(&dict, &scratch, views, 2, indexes), 1u);
    free(large);
    wr_dict_deinit(&dict);
}

Test(parquet_dict, decimals_compare_in_full)
{
    struct wr_dict dict = { 0 };
    wr_dict_reset(&dict);
    const __int128 values[] = { 1, (__int128)1 << 64, -1, 1, ((__int128)1 << 64) + 1 };
    cr_assert_eq(wr_dict_index_i128(&dict, &scratch, values, 5, indexes), 5u);
    const uint32_t expected[] = { 0, 1, 2, 0, 3 };
    cr_assert_arr_eq(indexes, expected, sizeof expected);
    wr_dict_deinit(&dict);
}
