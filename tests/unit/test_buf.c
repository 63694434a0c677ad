#include "base/buf.h"
#include <criterion/criterion.h>

Test(buf, grows_and_keeps_its_contents)
{
    struct wr_buf buf = { 0 };
    for (int i = 0; i < 10000; i++) {
        wr_buf_byte(&buf, (uint8_t)i);
    }
    cr_assert_eq(buf.bytes, 10000);
    for (int i = 0; i < 10000; i++) {
        cr_assert_eq((uint8_t)buf.data[i], (uint8_t)i);
    }
    wr_buf_deinit(&buf);
    cr_assert_eq(buf.data, NULL);
    cr_assert_eq(buf.capacity, 0);
    wr_buf_deinit(&buf);
}

Test(buf, formats_and_ends_with_nul_outside_its_bytes)
{
    struct wr_buf buf = { 0 };
    cr_assert_str_eq(wr_buf_cstr(&buf), "");
    wr_buf_text(&buf, "a=");
    wr_buf_printf(&buf, "%d,%s", 42, "b");
    wr_buf_append(&buf, NULL, 0);
    cr_assert_eq(buf.bytes, 6);
    cr_assert_str_eq(wr_buf_cstr(&buf), "a=42,b");
    cr_assert_eq(buf.bytes, 6);
    wr_buf_deinit(&buf);
}

Test(buf, formats_a_text_longer_than_its_first_capacity)
{
    struct wr_buf buf = { 0 };
    wr_buf_printf(&buf, "%*d", 5000, 7);
    cr_assert_eq(buf.bytes, 5000);
    cr_assert_eq(buf.data[4999], '7');
    wr_buf_deinit(&buf);
}

Test(buf, reserves_without_filling)
{
    struct wr_buf buf = { 0 };
    char *at = wr_buf_reserve(&buf, 1000);
    memset(at, 'x', 1000);
    cr_assert_eq(buf.bytes, 0);
    buf.bytes += 1000;
    cr_assert_geq(buf.capacity, 1000);
    cr_assert_eq(wr_buf_reserve(&buf, 1) - buf.data, 1000);
    wr_buf_deinit(&buf);
}
