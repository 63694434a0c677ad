/* Encodings against decoders written from parquet-format's Encodings.md, which know nothing of the encoder; with both
 * sets of kernels. */
#include "base/rand.h"
#include "encode/parquet_encoding.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define COUNT_MAX 5000u

struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

static uint64_t read_varint(struct reader *in)
{
    uint64_t value = 0;
    for (uint32_t shift = 0;; shift += 7) {
        cr_assert_lt(in->at, in->end);
        const uint8_t byte = *in->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return value;
        }
    }
}

static int64_t read_zigzag(struct reader *in)
{
    const uint64_t value = read_varint(in);
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* Bit by bit, so that it cannot share a mistake with the packer. */
static uint64_t read_bits(const uint8_t *from, size_t bit, uint32_t width)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < width; i++, bit++) {
        value |= (uint64_t)(from[bit / 8] >> (bit % 8) & 1) << i;
    }
    return value;
}

static void decode_hybrid(struct reader *in, uint32_t *values, uint32_t count, uint32_t width)
{
    uint32_t done = 0;
    while (done < count) {
        const uint64_t head = read_varint(in);
        cr_assert_gt(head, 1u);
        if (head & 1) {
            const uint64_t n = (head >> 1) * 8;
            for (uint64_t i = 0; i < n; i++) {
                const uint64_t value = read_bits(in->at, i * width, width);
                if (done < count) {
                    values[done++] = (uint32_t)value;
                } else {
                    cr_assert_eq(value, 0u, "the last group is filled up with zeros");
                }
            }
            in->at += n / 8 * width;
        } else {
            uint32_t value = 0;
            memcpy(&value, in->at, (width + 7) / 8);
            in->at += (width + 7) / 8;
            cr_assert_leq(head >> 1, count - done);
            for (uint64_t i = 0; i < head >> 1; i++) {
                values[done++] = value;
            }
        }
        cr_assert_leq(in->at, in->end);
    }
}

static void decode_delta(struct reader *in, int64_t *values, uint32_t count, bool narrow)
{
    cr_assert_eq(read_varint(in), 128u);
    cr_assert_eq(read_varint(in), 4u);
    cr_assert_eq(read_varint(in), count);
    uint64_t value = (uint64_t)read_zigzag(in);
    uint32_t done = 0;
    if (count > 0) {
        values[done++] = narrow ? (int32_t)value : (int64_t)value;
    }
    while (done < count) {
        const uint64_t min = (uint64_t)read_zigzag(in);
        const uint8_t *widths = in->at;
        in->at += 4;
        for (uint32_t m = 0; m < 4; m++) {
            cr_assert_leq(widths[m], done == count ? 0 : narrow ? 32 : 64);
            for (uint32_t i = 0; i < 32 && done < count; i++) {
                value += min + read_bits(in->at, (size_t)i * widths[m], widths[m]);
                values[done++] = narrow ? (int32_t)value : (int64_t)value;
            }
            in->at += widths[m] * 4;
        }
        cr_assert_leq(in->at, in->end);
    }
}

static const struct wr_kernels *kernels(int which)
{
    return which == 0 ? &wr_kernels_baseline : wr_kernels_pick();
}

static void hybrid_round_trip(const uint32_t *values, uint32_t count, uint32_t width)
{
    static uint32_t read[COUNT_MAX];
    for (int which = 0; which < 2; which++) {
        struct wr_buf buf = { 0 };
        wr_hybrid_append(&buf, kernels(which), values, count, width);
        struct reader in = { (uint8_t *)buf.data, (uint8_t *)buf.data + buf.bytes };
        decode_hybrid(&in, read, count, width);
        cr_assert_eq(in.at, in.end);
        for (uint32_t i = 0; i < count; i++) {
            cr_assert_eq(read[i], values[i], "width %u, count %u, value %u", width, count, i);
        }
        wr_buf_deinit(&buf);
    }
}

Test(parquet_encoding, hybrid_reads_back_at_every_width)
{
    struct wr_rand rand;
    wr_rand_seed(&rand, 1);
    static uint32_t values[COUNT_MAX];
    const uint32_t counts[] = { 1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 1000 };
    for (uint32_t width = 1; width <= 32; width++) {
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            for (uint32_t i = 0; i < counts[c]; i++) {
                values[i] = (uint32_t)(wr_rand_next(&rand) >> (64 - width));
            }
            hybrid_round_trip(values, counts[c], width);
        }
    }
}

Test(parquet_encoding, hybrid_mixes_runs_and_packed_groups)
{
    struct wr_rand rand;
    static uint32_t values[COUNT_MAX];
    for (uint64_t seed = 0; seed < 200; seed++) {
        wr_rand_seed(&rand, seed);
        uint32_t count = 0;
        while (count < 3000) {
            const uint64_t n = 1 + wr_rand_below(&rand, wr_rand_below(&rand, 2) ? 300 : 4);
            const uint32_t value = (uint32_t)wr_rand_below(&rand, 8);
            for (uint64_t i = 0; i < n; i++) {
                values[count++] = value;
            }
        }
        hybrid_round_trip(values, count - (uint32_t)(seed % 40), 3);
    }
}

Test(parquet_encoding, a_constant_column_is_one_run)
{
    static uint32_t values[COUNT_MAX];
    struct wr_buf buf = { 0 };
    wr_hybrid_append(&buf, wr_kernels_pick(), values, COUNT_MAX, 3);
    cr_assert_eq(buf.bytes, 3u); /* two bytes of length, one of value */
    wr_buf_deinit(&buf);
}

Test(parquet_encoding, levels_read_back)
{
    struct wr_rand rand;
    static uint8_t bits[COUNT_MAX / 8 + 8];
    static uint32_t read[COUNT_MAX];
    for (uint64_t seed = 0; seed < 300; seed++) {
        wr_rand_seed(&rand, seed);
        const uint32_t count = 1 + (uint32_t)wr_rand_below(&rand, COUNT_MAX - 1);
        memset(bits, 0, sizeof bits);
        uint32_t i = 0;
        while (i < count) {
            const uint64_t n = 1 + wr_rand_below(&rand, seed % 3 == 0 ? 3 : 400);
            const bool bit = wr_rand_below(&rand, 2);
            for (uint64_t j = 0; j < n && i < count; j++, i++) {
                bits[i / 8] = (uint8_t)(bits[i / 8] | bit << (i % 8));
            }
        }
        struct wr_buf buf = { 0 };
        wr_hybrid_append_bits(&buf, bits, count);
        struct reader in = { (uint8_t *)buf.data, (uint8_t *)buf.data + buf.bytes };
        decode_hybrid(&in, read, count, 1);
        cr_assert_eq(in.at, in.end);
        for (i = 0; i < count; i++) {
            cr_assert_eq(read[i], (uint32_t)(bits[i / 8] >> (i % 8) & 1), "seed %d, bit %u", (int)seed, i);
        }
        wr_buf_deinit(&buf);
    }
}

static void delta_round_trip(const int64_t *values, uint32_t count)
{
    static int64_t read[COUNT_MAX];
    static int32_t narrow[COUNT_MAX];
    for (int which = 0; which < 4; which++) {
        struct wr_buf buf = { 0 };
        for (uint32_t i = 0; i < count; i++) {
            narrow[i] = (int32_t)values[i];
        }
        if (which < 2) {
            wr_delta_append_i64(&buf, kernels(which), values, count);
        } else {
            wr_delta_append_i32(&buf, kernels(which - 2), narrow, count);
        }
        struct reader in = { (uint8_t *)buf.data, (uint8_t *)buf.data + buf.bytes };
        decode_delta(&in, read, count, which >= 2);
        cr_assert_eq(in.at, in.end);
        for (uint32_t i = 0; i < count; i++) {
            cr_assert_eq(read[i], which < 2 ? values[i] : narrow[i], "kernels %d, count %u, value %u", which,
                         count, i);
        }
        wr_buf_deinit(&buf);
    }
}

Test(parquet_encoding, delta_reads_back_at_every_count_and_spread)
{
    struct wr_rand rand;
    wr_rand_seed(&rand, 2);
    static int64_t values[COUNT_MAX];
    const uint32_t counts[] = { 0, 1, 2, 32, 33, 34, 128, 129, 130, 161, 256, 257, 1000 };
    for (uint32_t width = 0; width <= 64; width++) {
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            for (uint32_t i = 0; i < counts[c]; i++) {
                values[i] = width == 0 ? 42 : (int64_t)(wr_rand_next(&rand) >> (64 - width));
            }
            delta_round_trip(values, counts[c]);
        }
    }
}

Test(parquet_encoding, delta_of_extremes_wraps_around)
{
    const int64_t extremes[] = { INT64_MIN, INT64_MAX, 0, -1, 1, INT32_MIN, INT32_MAX, UINT32_MAX };
    struct wr_rand rand;
    static int64_t values[COUNT_MAX];
    for (uint64_t seed = 0; seed < 100; seed++) {
        wr_rand_seed(&rand, seed);
        for (uint32_t i = 0; i < 500; i++) {
            values[i] = extremes[wr_rand_below(&rand, 8)];
        }
        delta_round_trip(values, 1 + (uint32_t)seed * 4);
    }
}

Test(parquet_encoding, constant_steps_cost_next_to_nothing)
{
    static int64_t values[COUNT_MAX];
    for (uint32_t i = 0; i < COUNT_MAX; i++) {
        values[i] = 1735689600000000 + (int64_t)i * 1000;
    }
    struct wr_buf buf = { 0 };
    wr_delta_append_i64(&buf, wr_kernels_pick(), values, COUNT_MAX);
    cr_assert_lt(buf.bytes, COUNT_MAX / 16);
    wr_buf_deinit(&buf);
}

Test(parquet_encoding, texts_are_lengths_then_bytes)
{
    const uint32_t lengths[] = { 3, 0, 2 };
    int64_t read[3];
    struct wr_buf buf = { 0 };
    wr_delta_length_append(&buf, wr_kernels_pick(), lengths, "abcde", 3);
    struct reader in = { (uint8_t *)buf.data, (uint8_t *)buf.data + buf.bytes };
    decode_delta(&in, read, 3, true);
    cr_assert(read[0] == 3 && read[1] == 0 && read[2] == 2);
    cr_assert_eq(in.end - in.at, 5);
    cr_assert_arr_eq(in.at, "abcde", 5);
    wr_buf_deinit(&buf);
}

Test(parquet_encoding, front_coding_leaves_out_what_neighbours_share)
{
    const uint32_t lengths[] = { 12, 12, 0, 14, 13 };
    const char *texts = "axis-0000000axis-0000001axis-000000122axis-00000013";
    uint32_t scratch[10];
    int64_t prefixes[5];
    int64_t suffixes[5];
    struct wr_buf buf = { 0 };
    cr_assert_eq(wr_shared_prefix_bytes(lengths, texts, 5), 11u + 0 + 0 + 12);
    wr_delta_text_append(&buf, wr_kernels_pick(), lengths, texts, 5, scratch);
    struct reader in = { (uint8_t *)buf.data, (uint8_t *)buf.data + buf.bytes };
    decode_delta(&in, prefixes, 5, true);
    decode_delta(&in, suffixes, 5, true);
    char text[64] = "";
    size_t at = 0;
    for (int i = 0; i < 5; i++) {
        memcpy(text + prefixes[i], in.at, (size_t)suffixes[i]);
        in.at += suffixes[i];
        cr_assert_eq((uint32_t)(prefixes[i] + suffixes[i]), lengths[i]);
        cr_assert_eq(memcmp(text, texts + at, lengths[i]), 0, "text %d", i);
        at += lengths[i];
    }
    cr_assert_eq(in.at, in.end);
    wr_buf_deinit(&buf);
}

Test(parquet_encoding, booleans_are_packed_from_the_lowest_bit)
{
    const uint8_t values[] = { 1, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1 };
    struct wr_buf buf = { 0 };
    wr_plain_bool_append(&buf, values, 11);
    cr_assert_eq(buf.bytes, 2u);
    cr_assert_arr_eq(buf.data, "\x81\x06", 2);
    wr_buf_deinit(&buf);
}

Test(parquet_encoding, decimals_are_big_endian_twos_complement)
{
    const __int128 values[] = { 1, -1, (__int128)1 << 70 };
    struct wr_buf buf = { 0 };
    wr_plain_decimal_append(&buf, values, 3, 9);
    cr_assert_eq(buf.bytes, 27u);
    cr_assert_arr_eq(buf.data, "\0\0\0\0\0\0\0\0\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\x40\0\0\0\0\0\0\0\0", 27);
    wr_buf_deinit(&buf);
}

Test(parquet_encoding, kernels_agree_on_bounds_and_splits)
{
    struct wr_rand rand;
    wr_rand_seed(&rand, 3);
    static uint64_t values[1000];
    for (uint32_t n = 1; n < 1000; n += 37) {
        for (uint32_t i = 0; i < n; i++) {
            values[i] = wr_rand_next(&rand);
        }
        int64_t bounds[2][12];
        static uint8_t split[2][8000];
        for (int which = 0; which < 2; which++) {
            const struct wr_kernels *k = kernels(which);
            int64_t *b = bounds[which];
            k->bounds_i32((const int32_t *)values, n, &b[0], &b[1]);
            k->bounds_u32((const uint32_t *)values, n, &b[2], &b[3]);
            k->bounds_i64((const int64_t *)values, n, &b[4], &b[5]);
            k->bounds_u64(values, n, &b[6], &b[7]);
            k->bounds_f32((const uint32_t *)values, n, &b[8], &b[9]);
            k->bounds_f64(values, n, &b[10], &b[11]);
            k->split8((const uint8_t *)values, n, split[which]);
        }
        cr_assert_arr_eq(bounds[0], bounds[1], sizeof bounds[0]);
        cr_assert_arr_eq(split[0], split[1], n * 8);
        for (uint32_t i = 0; i < n; i++) {
            cr_assert_eq(split[0][i], (uint8_t)values[i]);
            cr_assert_geq(wr_order_u64(values[i]), bounds[0][6]);
        }
    }
}
