#include "base/rand.h"
#include "encode/parquet_decode.h"
#include "encode/parquet_encoding.h"
#include "encode/thrift.h"
#include "encode/thrift_tree.h"
#include <criterion/criterion.h>

static struct wr_slice all(const struct wr_buf *buf)
{
    return (struct wr_slice){ buf->data, buf->bytes };
}

Test(parquet_decode, hybrid_reads_back_what_was_written)
{
    struct wr_rand rand;
    static uint32_t in[1000];
    static uint32_t out[1000];
    wr_rand_seed(&rand, 1);
    for (uint32_t round = 0; round < 2000; round++) {
        const uint32_t width = 1 + (uint32_t)wr_rand_below(&rand, 32);
        const uint32_t count = 1 + (uint32_t)wr_rand_below(&rand, 999);
        const uint64_t run = 1 + wr_rand_below(&rand, 100);
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t mask = width == 32 ? UINT32_MAX : (1u << width) - 1;
            in[i] = i % run != 0 ? in[i - 1] : (uint32_t)wr_rand_next(&rand) & mask;
        }
        struct wr_buf buf = { 0 };
        wr_hybrid_append(&buf, wr_kernels_pick(), in, count, width);
        struct wr_slice rest = all(&buf);
        cr_assert(wr_hybrid_take(&rest, width, count, out));
        cr_assert_eq(memcmp(in, out, count * sizeof *in), 0);
        for (size_t cut = 0; cut < buf.bytes; cut += 1 + buf.bytes / 7) { /* from an exact copy: a sanitizer sees the end */
            char *copy = malloc(cut + 1);
            memcpy(copy, buf.data, cut);
            rest = (struct wr_slice){ copy, cut };
            (void)wr_hybrid_take(&rest, width, count, out);
            free(copy);
        }
        wr_buf_deinit(&buf);
    }
}

Test(parquet_decode, differences_read_back_at_the_ends_of_the_range)
{
    struct wr_rand rand;
    static int64_t in[700];
    static int64_t out[700];
    wr_rand_seed(&rand, 2);
    for (uint32_t round = 0; round < 1000; round++) {
        const uint32_t count = (uint32_t)wr_rand_below(&rand, 700);
        const uint32_t shift = (uint32_t)wr_rand_below(&rand, 64);
        for (uint32_t i = 0; i < count; i++) {
            in[i] = (int64_t)(wr_rand_next(&rand) >> shift);
            in[i] = wr_rand_below(&rand, 50) == 0 ? INT64_MIN : wr_rand_below(&rand, 50) == 0 ? INT64_MAX : in[i];
        }
        struct wr_buf buf = { 0 };
        wr_delta_append_i64(&buf, wr_kernels_pick(), in, count);
        struct wr_slice rest = all(&buf);
        cr_assert(wr_delta_take(&rest, count, out));
        cr_assert_eq(memcmp(in, out, count * sizeof *in), 0);
        rest = all(&buf);
        cr_assert_not(wr_delta_take(&rest, count + 1, out));
        wr_buf_deinit(&buf);
    }
}

Test(parquet_decode, texts_read_back_in_all_three_encodings)
{
    struct wr_arena arena;
    const char texts[] = "aabacusabacuszzz";
    const uint32_t lengths[] = { 1, 6, 6, 0, 3 };
    struct wr_slice out[5];
    uint32_t prefixes[10];
    struct wr_buf buf[3] = { 0 };
    wr_arena_init(&arena, 0);
    wr_plain_text_append(&buf[0], lengths, texts, 5);
    wr_delta_length_append(&buf[1], wr_kernels_pick(), lengths, texts, 5);
    wr_delta_text_append(&buf[2], wr_kernels_pick(), lengths, texts, 5, prefixes);
    for (uint32_t way = 0; way < 3; way++) {
        struct wr_slice rest = all(&buf[way]);
        cr_assert(way == 0   ? wr_plain_text_take(&rest, 5, out)
                  : way == 1 ? wr_delta_length_take(&rest, 5, out)
                             : wr_delta_text_take(&rest, 5, &arena, out));
        cr_assert(wr_slice_is(out[0], "a") && wr_slice_is(out[1], "abacus") &&
                  wr_slice_is(out[2], "abacus") && out[3].bytes == 0 && wr_slice_is(out[4], "zzz"));
        rest = (struct wr_slice){ buf[way].data, buf[way].bytes - 1 };
        cr_assert_not(way == 0   ? wr_plain_text_take(&rest, 5, out)
                      : way == 1 ? wr_delta_length_take(&rest, 5, out)
                                 : wr_delta_text_take(&rest, 5, &arena, out));
        wr_buf_deinit(&buf[way]);
    }
    wr_arena_deinit(&arena);
}

/* A struct with every type, long and short lists, a nested struct. */
static void write_sample(struct wr_buf *buf)
{
    struct wr_thrift t;
    wr_thrift_init(&t, buf);
    wr_thrift_bool(&t, 1, true);
    wr_thrift_bool(&t, 2, false);
    wr_thrift_i8(&t, 3, -5);
    wr_thrift_i16(&t, 20, -300);
    wr_thrift_i64(&t, 21, INT64_MIN);
    wr_thrift_text(&t, 22, "text");
    wr_thrift_begin_list(&t, 23, WR_THRIFT_I32, 20);
    for (int32_t i = 0; i < 20; i++) {
        wr_thrift_element_i32(&t, i - 10);
    }
    wr_thrift_begin_list(&t, 24, WR_THRIFT_STRUCT, 2);
    for (int32_t i = 0; i < 2; i++) {
        wr_thrift_begin_element(&t);
        wr_thrift_i32(&t, 1, i);
        wr_thrift_end_struct(&t);
    }
    wr_thrift_begin_list(&t, 25, WR_THRIFT_TRUE, 3);
    wr_thrift_element_bool(&t, true);
    wr_thrift_element_bool(&t, false);
    wr_thrift_element_bool(&t, true);
    wr_thrift_end(&t);
}

Test(thrift_tree, what_is_read_is_written_again_to_the_byte)
{
    struct wr_arena arena;
    struct wr_buf buf = { 0 };
    struct wr_buf again = { 0 };
    struct wr_thrift_node node;
    uint32_t count;
    wr_arena_init(&arena, 0);
    write_sample(&buf);
    cr_assert_eq(wr_thrift_tree_read(buf.data, buf.data + buf.bytes, &arena, &node), buf.data + buf.bytes);
    cr_assert_eq(wr_thrift_number(&node, 1, 9), 1);
    cr_assert_eq(wr_thrift_number(&node, 2, 9), 0);
    cr_assert_eq(wr_thrift_number(&node, 3, 9), -5);
    cr_assert_eq(wr_thrift_number(&node, 20, 9), -300);
    cr_assert_eq(wr_thrift_number(&node, 21, 9), INT64_MIN);
    cr_assert_eq(wr_thrift_number(&node, 26, 9), 9);
    cr_assert(wr_slice_is(wr_thrift_bytes(&node, 22), "text"));
    const struct wr_thrift_node *list = wr_thrift_list(&node, 23, &count);
    cr_assert(count == 20 && list[19].number == 9);
    wr_thrift_tree_append(&node, &again);
    cr_assert(again.bytes == buf.bytes && memcmp(again.data, buf.data, buf.bytes) == 0);
    wr_thrift_drop(&node, 20);
    wr_thrift_set(&node, 21, 7);
    again.bytes = 0;
    wr_thrift_tree_append(&node, &again);
    cr_assert(wr_thrift_tree_read(again.data, again.data + again.bytes, &arena, &node) != NULL);
    cr_assert(wr_thrift_field(&node, 20) == NULL && wr_thrift_number(&node, 21, 9) == 7);
    wr_buf_deinit(&buf);
    wr_buf_deinit(&again);
    wr_arena_deinit(&arena);
}

Test(thrift_tree, cut_and_flipped_bytes_are_refused_or_read_but_never_beyond_the_end)
{
    struct wr_arena arena;
    struct wr_buf buf = { 0 };
    struct wr_thrift_node node;
    struct wr_rand rand;
    wr_arena_init(&arena, 0);
    wr_rand_seed(&rand, 3);
    write_sample(&buf);
    for (size_t cut = 0; cut < buf.bytes; cut++) {
        char *copy = malloc(cut + 1);
        memcpy(copy, buf.data, cut);
        cr_assert(wr_thrift_tree_read(copy, copy + cut, &arena, &node) == NULL);
        for (uint32_t round = 0; round < 200 && cut > 0; round++) {
            memcpy(copy, buf.data, cut);
            copy[wr_rand_below(&rand, cut)] = (char)wr_rand_next(&rand);
            wr_arena_reset(&arena);
            (void)wr_thrift_tree_read(copy, copy + cut, &arena, &node);
        }
        free(copy);
    }
    wr_buf_deinit(&buf);
    wr_arena_deinit(&arena);
}
