/* The writer's contract; what is in the files is for the readers of tests/parquet to say. */
#include "base/hash.h"
#include "encode/parquet.h"

#include <criterion/criterion.h>

static struct wr_field fields[] = {
    { .name = "id", .type = { .id = WR_TYPE_INT64 }, .field_id = 1 },
    { .name = "name", .type = { .id = WR_TYPE_TEXT }, .field_id = 2 },
};
static const struct wr_schema schema = { fields, 2 };

struct output {
    uint64_t bytes;
    uint64_t fail_after;
    char tail[8];
};

static wr_status take(void *ctx, const void *bytes, size_t n, struct wr_error *err)
{
    struct output *out = ctx;
    out->bytes += n;
    if (n >= 8) {
        memcpy(out->tail, (const char *)bytes + n - 8, 8);
    }
    return out->fail_after > 0 && out->bytes > out->fail_after
               ? wr_fail(err, WR_CLASS_RETRY, "disk full")
               : WR_OK;
}

static struct wr_batch *batch_of(struct wr_batch_pool *pool, uint64_t first)
{
    struct wr_batch *batch = wr_batch_take(pool);
    batch->rows = WR_BATCH_ROWS_MAX;
    for (uint32_t i = 0; i < batch->rows; i++) {
        ((int64_t *)batch->columns[0].values)[i] = (int64_t)((first + i) * 0x9e3779b97f4a7c15ULL);
        const unsigned long long mixed = wr_hash_u64(first + i);
        char *text = wr_arena_printf(&batch->arena, "%016llx%016llx", mixed, ~mixed);
        ((struct wr_view *)batch->columns[1].values)[i] = wr_view_of(text, 32);
    }
    return batch;
}

Test(parquet, an_empty_file_is_magic_footer_magic)
{
    struct output out = { 0 };
    struct wr_error err;
    struct wr_parquet_writer *writer;
    cr_assert_eq(wr_parquet_create(&schema, NULL, NULL, take, &out, &writer, &err), WR_OK);
    cr_assert_eq(out.bytes, 0u, "creating writes nothing");
    cr_assert_eq(wr_parquet_finish(writer, &err), WR_OK);
    uint32_t footer;
    memcpy(&footer, out.tail, 4);
    cr_assert_eq(out.bytes, 4u + footer + 8u);
    cr_assert_arr_eq(out.tail + 4, "PAR1", 4);
    cr_assert_eq(wr_parquet_bytes(writer), out.bytes);
    wr_parquet_destroy(writer);
}

Test(parquet, memory_stays_level_from_row_group_to_row_group)
{
    struct output out = { 0 };
    struct wr_error err;
    struct wr_parquet_writer *writer;
    const struct wr_parquet_options options = {
        .row_group_rows = 20 * WR_BATCH_ROWS_MAX,
        .shared = wr_parquet_shared_create(&schema),
    };
    struct wr_batch_pool *pool = wr_batch_pool_create(&schema, WR_BATCH_ROWS_MAX, 1);
    cr_assert_eq(wr_parquet_create(&schema, NULL, &options, take, &out, &writer, &err), WR_OK);
    uint64_t after_two = 0;
    for (uint64_t i = 0; i < 20 * 10; i++) {
        struct wr_batch *batch = batch_of(pool, i * WR_BATCH_ROWS_MAX);
        cr_assert_eq(wr_parquet_append(writer, batch, &err), WR_OK);
        wr_batch_release(batch);
        if (i == 20 * 2) {
            after_two = wr_parquet_buffered_bytes(writer) + wr_parquet_shared_bytes(options.shared);
        }
    }
    cr_assert_eq(wr_parquet_rows(writer), 200u * WR_BATCH_ROWS_MAX);
    /* Only what the footer will say of each row group may come on top. */
    const uint64_t after_ten = wr_parquet_buffered_bytes(writer) + wr_parquet_shared_bytes(options.shared);
    cr_assert(after_ten >= after_two && after_ten - after_two < 8 * 4096, "%d bytes more",
              (int)(after_ten - after_two));
    const uint64_t estimated = wr_parquet_estimated_bytes(writer);
    cr_assert_eq(wr_parquet_finish(writer, &err), WR_OK);
    cr_assert(estimated > out.bytes * 9 / 10 && estimated < out.bytes * 11 / 10);
    wr_parquet_destroy(writer);
    wr_parquet_shared_destroy(options.shared);
    wr_batch_pool_destroy(pool);
}

Test(parquet, flushing_gives_the_memory_back)
{
    struct output out = { 0 };
    struct wr_error err;
    struct wr_parquet_writer *writer;
    struct wr_batch_pool *pool = wr_batch_pool_create(&schema, WR_BATCH_ROWS_MAX, 1);
    cr_assert_eq(wr_parquet_create(&schema, NULL, NULL, take, &out, &writer, &err), WR_OK);
    const uint64_t idle = wr_parquet_buffered_bytes(writer);
    for (uint64_t i = 0; i < 50; i++) {
        struct wr_batch *batch = batch_of(pool, i * WR_BATCH_ROWS_MAX);
        cr_assert_eq(wr_parquet_append(writer, batch, &err), WR_OK);
        wr_batch_release(batch);
    }
    cr_assert_gt(wr_parquet_buffered_bytes(writer), idle + 100000);
    cr_assert_eq(wr_parquet_flush_row_group(writer, &err), WR_OK);
    cr_assert_lt(wr_parquet_buffered_bytes(writer), idle + 10000);
    cr_assert_eq(wr_parquet_flush_row_group(writer, &err), WR_OK); /* nothing to do */
    cr_assert_eq(wr_parquet_finish(writer, &err), WR_OK);
    wr_parquet_destroy(writer);
    wr_batch_pool_destroy(pool);
}

Test(parquet, a_summary_takes_the_row_groups_together)
{
    struct output out = { 0 };
    struct wr_error err;
    struct wr_parquet_writer *writer;
    struct wr_batch_pool *pool = wr_batch_pool_create(&schema, WR_BATCH_ROWS_MAX, 1);
    const struct wr_parquet_options options = { .row_group_rows = 3 };
    cr_assert_eq(wr_parquet_create(&schema, NULL, &options, take, &out, &writer, &err), WR_OK);
    for (int64_t i = 0; i < 10; i++) { /* 0 -1 2 -3 ..., every fourth text NULL */
        static const char *const texts[] = { "", "b", "zz", "y" };
        struct wr_batch *batch = wr_batch_take(pool);
        batch->rows = 1;
        ((int64_t *)batch->columns[0].values)[0] = i % 2 == 0 ? i : -i;
        ((struct wr_view *)batch->columns[1].values)[0] =
            wr_view_of(texts[i % 4], (uint32_t)strlen(texts[i % 4]));
        if (i % 4 == 0) {
            wr_bit_clear(wr_batch_nullable(batch, 1), 0);
        }
        cr_assert_eq(wr_parquet_append(writer, batch, &err), WR_OK);
        wr_batch_release(batch);
    }
    cr_assert_eq(wr_parquet_finish(writer, &err), WR_OK);
    struct wr_parquet_summary summary;
    wr_parquet_summarize(writer, &summary);
    wr_parquet_destroy(writer);
    cr_assert_eq(summary.rows, 10);
    cr_assert_eq(summary.bytes, out.bytes);
    cr_assert_eq(summary.columns_count, 2);
    cr_assert_eq(summary.columns[0].bounds.min, -9);
    cr_assert_eq(summary.columns[0].bounds.max, 8);
    cr_assert_eq(summary.columns[0].nulls, 0);
    cr_assert_eq(summary.columns[1].index, 1);
    cr_assert_eq(summary.columns[1].kind, WR_BOUNDS_TEXT);
    cr_assert_eq(summary.columns[1].nulls, 3);
    char text[WR_BOUND_BYTES + 8];
    uint32_t bytes;
    bool exact;
    cr_assert(wr_bounds_min(&summary.columns[1].bounds, WR_BOUNDS_TEXT, 0, text, &bytes, &exact));
    cr_assert(bytes == 1 && text[0] == 'b' && exact);
    cr_assert(wr_bounds_max(&summary.columns[1].bounds, WR_BOUNDS_TEXT, 0, text, &bytes, &exact));
    cr_assert(bytes == 2 && memcmp(text, "zz", 2) == 0);
    wr_parquet_summary_deinit(&summary);
    wr_batch_pool_destroy(pool);
}

Test(parquet, an_output_that_fails_is_reported_and_the_writer_can_go)
{
    struct wr_batch_pool *pool = wr_batch_pool_create(&schema, WR_BATCH_ROWS_MAX, 1);
    for (uint64_t limit = 1; limit < 50000; limit = limit * 3 + 1) {
        struct output out = { .fail_after = limit };
        struct wr_error err = { 0 };
        struct wr_parquet_writer *writer;
        const struct wr_parquet_options options = { .row_group_rows = 4000 };
        wr_status status = wr_parquet_create(&schema, NULL, &options, take, &out, &writer, &err);
        for (uint64_t i = 0; status == WR_OK && i < 20; i++) {
            struct wr_batch *batch = batch_of(pool, i * WR_BATCH_ROWS_MAX);
            status = wr_parquet_append(writer, batch, &err);
            wr_batch_release(batch);
        }
        status = status == WR_OK ? wr_parquet_finish(writer, &err) : status;
        cr_assert_eq(status, WR_FAIL);
        cr_assert_str_eq(err.message, "disk full");
        cr_assert_eq(err.cls, WR_CLASS_RETRY);
        wr_parquet_destroy(writer);
    }
    wr_batch_pool_destroy(pool);
}

Test(parquet, a_null_in_a_not_null_column_is_an_error)
{
    struct wr_field needed[] = { { .name = "id", .type = { .id = WR_TYPE_INT64 }, .not_null = true } };
    const struct wr_schema strict = { needed, 1 };
    struct wr_batch_pool *pool = wr_batch_pool_create(&strict, WR_BATCH_ROWS_MAX, 1);
    struct wr_batch *batch = wr_batch_take(pool);
    batch->rows = 10;
    memset(batch->columns[0].values, 0, 80);
    wr_bit_clear(wr_batch_nullable(batch, 0), 5);
    struct output out = { 0 };
    struct wr_error err = { 0 };
    struct wr_parquet_writer *writer;
    cr_assert_eq(wr_parquet_create(&strict, NULL, NULL, take, &out, &writer, &err), WR_OK);
    cr_assert_eq(wr_parquet_append(writer, batch, &err), WR_FAIL);
    cr_assert(strstr(err.message, "\"id\" is NOT NULL") != NULL);
    wr_parquet_destroy(writer);
    wr_batch_release(batch);
    wr_batch_pool_destroy(pool);
}

Test(parquet, what_cannot_be_written_is_refused)
{
    struct wr_error err = { 0 };
    struct wr_parquet_writer *writer = NULL;
    struct wr_field state[] = { { .name = "s", .type = { .id = WR_TYPE_STATE } } };
    const struct wr_schema inner = { state, 1 };
    cr_assert_eq(wr_parquet_create(&inner, NULL, NULL, take, NULL, &writer, &err), WR_FAIL);
    const uint8_t skip[] = { 1, 1 };
    cr_assert_eq(wr_parquet_create(&schema, skip, NULL, take, NULL, &writer, &err), WR_FAIL);
    cr_assert_eq(err.cls, WR_CLASS_USER);
    const struct wr_parquet_options level = { .zstd_level = 23 };
    cr_assert_eq(wr_parquet_create(&schema, NULL, &level, take, NULL, &writer, &err), WR_FAIL);
    cr_assert(strstr(err.message, "23") != NULL);
}
