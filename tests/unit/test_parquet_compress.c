#include "base/rand.h"
#include "encode/parquet_compress.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <zstd.h>

#define PAGE (300u << 10)

static char raw[PAGE];
static char back[PAGE];

static size_t round_trip(struct wr_compressor *c, struct wr_compress_choice *choice, size_t bytes)
{
    struct wr_buf out = { 0 };
    struct wr_error err;
    cr_assert_eq(wr_compress_page(c, 1, choice, &out, raw, bytes, &err), WR_OK);
    memset(back, 0, sizeof back);
    cr_assert_eq(ZSTD_getFrameContentSize(out.data, out.bytes), bytes);
    cr_assert_eq(ZSTD_decompress(back, sizeof back, out.data, out.bytes), bytes);
    cr_assert_eq(memcmp(back, raw, bytes), 0);
    const size_t used = out.bytes;
    wr_buf_deinit(&out);
    return used;
}

static void fill(const char *alphabet, uint64_t size)
{
    struct wr_rand rand;
    wr_rand_seed(&rand, 1);
    for (size_t i = 0; i < sizeof raw; i++) {
        raw[i] = alphabet == NULL ? (char)wr_rand_next(&rand) : alphabet[wr_rand_below(&rand, size)];
    }
}

Test(parquet_compress, random_bytes_are_stored_and_read_back)
{
    struct wr_compressor *c = wr_compressor_create();
    struct wr_compress_choice choice = { 0 };
    fill(NULL, 0);
    const size_t sizes[] = { 0, 1, 5, 2047, 2048, 131071, 131072, 131073, 262144, PAGE };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        cr_assert_leq(round_trip(c, &choice, sizes[i]), sizes[i] + 9 + 3 * 3);
    }
    cr_assert_eq(choice.way, WR_COMPRESS_STORED);
    wr_compressor_destroy(c);
}

Test(parquet_compress, hex_is_packed_and_shrinks_to_half)
{
    struct wr_compressor *c = wr_compressor_create();
    struct wr_compress_choice choice = { 0 };
    for (int turn = 0; turn < 2; turn++) {
    fill(turn == 0 ? "0123456789abcdef" : "0123456789ABCDEF", 16);
    memset(raw, 0, 100); /* as levels and lengths stand before the texts */
    for (int i = 0; i < 20; i++) {
        const size_t used = round_trip(c, &choice, PAGE);
        cr_assert(used > PAGE * 49 / 100 && used < PAGE * 52 / 100, "%zu bytes", used);
        cr_assert_eq(choice.way, WR_COMPRESS_HEX);
    }
    for (size_t bytes = 2048; bytes < 2048 + 40; bytes++) {
        round_trip(c, &choice, bytes);
    }
    round_trip(c, &choice, 131072 + 1024);
    round_trip(c, &choice, 131072 + 1023);
    choice.trusts = 10;
    raw[PAGE - 1] = 'g'; /* and one page that is not as the others */
    round_trip(c, &choice, PAGE);
    choice = (struct wr_compress_choice){ 0 };
    }
    wr_compressor_destroy(c);
}

Test(parquet_compress, other_small_alphabets_are_only_entropy_coded)
{
    struct wr_compressor *c = wr_compressor_create();
    struct wr_compress_choice choice = { 0 };
    fill("GHJKLMNPQRSTVWXYZ23456789", 25);
    for (int i = 0; i < 3; i++) {
        round_trip(c, &choice, PAGE);
        cr_assert_eq(choice.way, WR_COMPRESS_ENTROPY);
    }
    wr_compressor_destroy(c);
}

Test(parquet_compress, text_that_repeats_is_compressed_in_full_and_a_change_is_noticed)
{
    struct wr_compressor *c = wr_compressor_create();
    struct wr_compress_choice choice = { 0 };
    for (size_t i = 0; i < sizeof raw; i++) {
        raw[i] = "https://example.org/"[i % 20];
    }
    cr_assert_lt(round_trip(c, &choice, PAGE), 1000u);
    cr_assert_eq(choice.way, WR_COMPRESS_FULL);
    fill(NULL, 0);
    for (int i = 0; i < 17; i++) {
        round_trip(c, &choice, PAGE);
    }
    cr_assert_eq(choice.way, WR_COMPRESS_STORED);
    wr_compressor_destroy(c);
}
