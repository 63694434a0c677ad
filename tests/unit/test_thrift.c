#include "encode/thrift.h"

#include <criterion/criterion.h>

static void expect(struct wr_buf *buf, const char *bytes, size_t count)
{
    cr_assert_eq(buf->bytes, count, "%zu bytes, not %zu", buf->bytes, count);
    cr_assert_arr_eq(buf->data, bytes, count);
    wr_buf_deinit(buf);
}

Test(thrift, varints_hold_seven_bits_a_byte)
{
    struct wr_buf buf = { 0 };
    wr_varint_append(&buf, 0);
    wr_varint_append(&buf, 127);
    wr_varint_append(&buf, 300);
    wr_varint_append(&buf, UINT64_MAX);
    expect(&buf, "\x00\x7f\xac\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 14);
}

Test(thrift, zigzag_maps_extremes)
{
    cr_assert_eq(wr_zigzag(0), 0u);
    cr_assert_eq(wr_zigzag(-1), 1u);
    cr_assert_eq(wr_zigzag(1), 2u);
    cr_assert_eq(wr_zigzag(INT64_MAX), UINT64_MAX - 1);
    cr_assert_eq(wr_zigzag(INT64_MIN), UINT64_MAX);
}

Test(thrift, near_ids_share_a_byte_with_the_type_and_far_ones_do_not)
{
    struct wr_buf buf = { 0 };
    struct wr_thrift t;
    wr_thrift_init(&t, &buf);
    wr_thrift_i32(&t, 1, -1);
    wr_thrift_bool(&t, 2, true);
    wr_thrift_bool(&t, 17, false);
    wr_thrift_i64(&t, 40, 5); /* 23 after 17 */
    wr_thrift_end(&t);
    expect(&buf, "\x15\x01\x11\xf2\x06\x50\x0a\x00", 8);
}

Test(thrift, ids_start_anew_in_an_inner_struct_and_go_on_after_it)
{
    struct wr_buf buf = { 0 };
    struct wr_thrift t;
    wr_thrift_init(&t, &buf);
    wr_thrift_begin_struct(&t, 3);
    wr_thrift_i8(&t, 1, 7);
    wr_thrift_i16(&t, 2, 1);
    wr_thrift_end_struct(&t);
    wr_thrift_text(&t, 4, "ab");
    wr_thrift_end(&t);
    expect(&buf, "\x3c\x13\x07\x14\x02\x00\x18\x02"
                 "ab\x00",
           11);
}

Test(thrift, short_lists_have_their_count_in_the_head)
{
    struct wr_buf buf = { 0 };
    struct wr_thrift t;
    wr_thrift_init(&t, &buf);
    wr_thrift_begin_list(&t, 1, WR_THRIFT_I32, 2);
    wr_thrift_element_i32(&t, 1);
    wr_thrift_element_i32(&t, -2);
    wr_thrift_begin_list(&t, 2, WR_THRIFT_TRUE, 15);
    for (int i = 0; i < 15; i++) {
        wr_thrift_element_bool(&t, i % 2 == 0);
    }
    wr_thrift_begin_list(&t, 3, WR_THRIFT_STRUCT, 1);
    wr_thrift_begin_element(&t);
    wr_thrift_i64(&t, 1, 1);
    wr_thrift_end_struct(&t);
    wr_thrift_end(&t);
    expect(&buf, "\x19\x25\x02\x03\x19\xf1\x0f\x01\x02\x01\x02\x01\x02\x01\x02\x01\x02\x01\x02\x01\x02\x01"
                 "\x19\x1c\x16\x02\x00\x00",
           28);
}
