#include "encode/row_json.h"

#include <criterion/criterion.h>
#include <math.h>

static struct wr_field fields[] = {
    { .name = "id", .type = { .id = WR_TYPE_INT64 } },
    { .name = "a \"b\"\n", .type = { .id = WR_TYPE_TEXT } },
    { .name = "x", .type = { .id = WR_TYPE_FLOAT64 } },
    { .name = "t", .type = { .id = WR_TYPE_TIMESTAMP } },
    { .name = "ok", .type = { .id = WR_TYPE_BOOL } },
    { .name = "doc", .type = { .id = WR_TYPE_JSON } },
    { .name = "p", .type = { .id = WR_TYPE_DECIMAL, .precision = 10, .scale = 2 } },
    { .name = "raw", .type = { .id = WR_TYPE_BYTES } },
};
static const struct wr_schema schema = { fields, 8 };

static struct wr_batch *two_rows(struct wr_batch_pool *pool)
{
    struct wr_batch *b = wr_batch_take(pool);
    b->rows = 2;
    for (uint32_t c = 0; c < 8; c++) {
        memset(b->columns[c].values, 0, 2 * wr_type_width(fields[c].type));
        wr_bit_clear(wr_batch_nullable(b, c), 1);
    }
    ((int64_t *)b->columns[0].values)[0] = INT64_MIN;
    ((struct wr_view *)b->columns[1].values)[0] = wr_view_of("say \"hi\"\tand more", 17);
    ((double *)b->columns[2].values)[0] = 0.1;
    ((int64_t *)b->columns[3].values)[0] = 1706695200123456;
    ((uint8_t *)b->columns[4].values)[0] = 1;
    ((struct wr_view *)b->columns[5].values)[0] = wr_view_of("{\"k\":[1,2]}", 11);
    ((__int128 *)b->columns[6].values)[0] = -1205;
    ((struct wr_view *)b->columns[7].values)[0] = wr_view_of("\xff\x00", 2);
    return b;
}

static void expect(struct wr_buf *buf, const char *text)
{
    cr_assert_str_eq(wr_buf_cstr(buf), text);
    buf->bytes = 0;
}

Test(row_json, a_row_has_every_type_and_nulls)
{
    struct wr_batch_pool *pool = wr_batch_pool_create(&schema, 8, 1);
    struct wr_batch *batch = two_rows(pool);
    struct wr_row_json *json = wr_row_json_create(&schema, NULL, 0);
    struct wr_buf buf = { 0 };
    wr_row_json_append(json, &buf, batch, 0);
    expect(&buf, "{\"id\":-9223372036854775808,\"a \\\"b\\\"\\n\":\"say \\\"hi\\\"\\tand more\",\"x\":0.1,"
                 "\"t\":\"2024-01-31T10:00:00.123456Z\",\"ok\":true,\"doc\":{\"k\":[1,2]},\"p\":-12.05,"
                 "\"raw\":\"/wA=\"}");
    wr_row_json_append(json, &buf, batch, 1);
    expect(&buf, "{\"id\":null,\"a \\\"b\\\"\\n\":null,\"x\":null,\"t\":null,\"ok\":null,\"doc\":null,\"p\":null,"
                 "\"raw\":null}");
    wr_row_json_destroy(json);
    wr_buf_deinit(&buf);
    wr_batch_release(batch);
    wr_batch_pool_destroy(pool);
}

Test(row_json, chosen_columns_come_in_the_chosen_order_and_dead_rows_do_not)
{
    struct wr_batch_pool *pool = wr_batch_pool_create(&schema, 8, 1);
    struct wr_batch *batch = two_rows(pool);
    ((double *)batch->columns[2].values)[0] = NAN;
    const uint32_t columns[] = { 4, 2 };
    struct wr_row_json *json = wr_row_json_create(&schema, columns, 2);
    struct wr_row_json *none = wr_row_json_create(&schema, columns, 0);
    struct wr_buf buf = { 0 };
    wr_row_json_append_batch(json, &buf, batch);
    expect(&buf, "{\"ok\":true,\"x\":\"NaN\"}\n{\"ok\":null,\"x\":null}\n");
    batch->sel = batch->sel_storage;
    batch->sel[0] = 1;
    batch->sel_count = 1;
    wr_row_json_append_batch(json, &buf, batch);
    expect(&buf, "{\"ok\":null,\"x\":null}\n");
    wr_row_json_append(none, &buf, batch, 0);
    expect(&buf, "{}");
    wr_row_json_destroy(json);
    wr_row_json_destroy(none);
    wr_buf_deinit(&buf);
    wr_batch_release(batch);
    wr_batch_pool_destroy(pool);
}
