#include "encode/row_csv.h"

#include <criterion/criterion.h>

static struct wr_field fields[] = {
    { .name = "id", .type = { .id = WR_TYPE_INT64 } },
    { .name = "a,b", .type = { .id = WR_TYPE_TEXT } },
    { .name = "x", .type = { .id = WR_TYPE_FLOAT64 } },
};
static const struct wr_schema schema = { fields, 3 };

static struct wr_batch *texts(struct wr_batch_pool *pool, const char *const *values, uint32_t count)
{
    struct wr_batch *b = wr_batch_take(pool);
    b->rows = count;
    for (uint32_t c = 0; c < 3; c++) {
        memset(b->columns[c].values, 0, count * wr_type_width(fields[c].type));
    }
    for (uint32_t i = 0; i < count; i++) {
        ((int64_t *)b->columns[0].values)[i] = i;
        if (values[i] == NULL) {
            wr_bit_clear(wr_batch_nullable(b, 1), i);
        } else {
            ((struct wr_view *)b->columns[1].values)[i] = wr_view_of(values[i], strlen(values[i]));
        }
        ((double *)b->columns[2].values)[i] = 1.5;
    }
    return b;
}

Test(row_csv, fields_are_quoted_when_they_must_be)
{
    struct wr_batch_pool *pool = wr_batch_pool_create(&schema, 8, 1);
    const char *const values[] = { "plain", "a,b", "say \"hi\"", "two\nlines", "", NULL, "caf\xc3\xa9", "cr\r" };
    struct wr_batch *batch = texts(pool, values, 8);
    struct wr_row_csv *csv = wr_row_csv_create(&schema, NULL, 0);
    struct wr_buf buf = { 0 };
    wr_row_csv_append_header(csv, &buf);
    wr_row_csv_append_batch(csv, &buf, batch);
    cr_assert_str_eq(wr_buf_cstr(&buf), "id,\"a,b\",x\n0,plain,1.5\n1,\"a,b\",1.5\n2,\"say \"\"hi\"\"\",1.5\n"
                                        "3,\"two\nlines\",1.5\n4,\"\",1.5\n5,,1.5\n6,caf\xc3\xa9,1.5\n7,\"cr\r\",1.5\n");
    wr_row_csv_destroy(csv);
    wr_buf_deinit(&buf);
    wr_batch_release(batch);
    wr_batch_pool_destroy(pool);
}

Test(row_csv, a_lone_null_is_not_an_empty_line)
{
    struct wr_batch_pool *pool = wr_batch_pool_create(&schema, 8, 1);
    const char *const values[] = { NULL, "a" };
    struct wr_batch *batch = texts(pool, values, 2);
    const uint32_t column = 1;
    struct wr_row_csv *csv = wr_row_csv_create(&schema, &column, 1);
    struct wr_buf buf = { 0 };
    wr_row_csv_append_batch(csv, &buf, batch);
    cr_assert_str_eq(wr_buf_cstr(&buf), "\"\"\na\n");
    wr_row_csv_destroy(csv);
    wr_buf_deinit(&buf);
    wr_batch_release(batch);
    wr_batch_pool_destroy(pool);
}
