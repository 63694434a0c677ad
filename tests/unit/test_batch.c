/* Batches, their pool, and compaction. */
#include "base/arena.h"
#include "batch/batch.h"
#include <criterion/criterion.h>

static struct wr_field fields[] = { { .name = "n", .type = { .id = WR_TYPE_INT64 } },
                                    { .name = "t", .type = { .id = WR_TYPE_TEXT } },
                                    { .name = "b", .type = { .id = WR_TYPE_BOOL } } };
static const struct wr_schema schema = { fields, 3 };

static int released;

static void note_release(struct wr_records *records)
{
    released++;
}

Test(batch, a_pool_reuses_what_came_home)
{
    struct wr_batch_pool *pool = wr_batch_pool_create(&schema, 16, 2);
    struct wr_batch *a = wr_batch_take(pool);
    cr_assert(wr_batch_pool_has_room(pool));
    struct wr_batch *b = wr_batch_take(pool);
    cr_assert(!wr_batch_pool_has_room(pool));
    struct wr_batch *c = wr_batch_take(pool); /* beyond the soft limit still works */
    cr_assert_eq(wr_batch_pool_out(pool), 3);
    wr_arena_alloc(&a->arena, 100);
    const uint64_t bytes = wr_batch_pool_bytes(pool);
    cr_assert_gt(bytes, 3 * 16 * (8 + 16 + 1));
    wr_batch_release(b);
    wr_batch_release(a);
    wr_batch_release(c);
    cr_assert_eq(wr_batch_take(pool), c);
    cr_assert_eq(wr_batch_pool_bytes(pool), bytes);
    cr_assert(c->refs == 1 && c->rows == 0 && c->sel == NULL && c->columns_count == 3);
    wr_batch_release(c);
    wr_batch_release(NULL);
    cr_assert_eq(wr_batch_pool_out(pool), 0);
    wr_batch_pool_destroy(pool);
    wr_batch_pool_destroy(NULL);
}

Test(batch, the_last_holder_releases_records_and_parents)
{
    struct wr_batch_pool *pool = wr_batch_pool_create(&schema, 16, 2);
    struct wr_records records = { .refs = 1, .release = note_release };
    struct wr_batch *parent = wr_batch_take(pool);
    parent->records = &records;
    struct wr_batch *child = wr_batch_take(pool);
    child->parent = parent;
    wr_batch_retain(child);
    wr_batch_release(child);
    cr_assert_eq(released, 0);
    wr_batch_release(child);
    cr_assert_eq(released, 1);
    cr_assert_eq(wr_batch_pool_out(pool), 0);
    wr_batch_pool_destroy(pool);
}

Test(batch, validity_appears_all_valid_also_the_second_time)
{
    struct wr_batch_pool *pool = wr_batch_pool_create(&schema, 70, 2);
    for (int round = 0; round < 2; round++) {
        struct wr_batch *batch = wr_batch_take(pool);
        cr_assert_null(batch->columns[1].validity);
        uint8_t *bits = wr_batch_nullable(batch, 1);
        cr_assert_eq(wr_bit_count(bits, 70), 70);
        wr_bit_clear(bits, 3);
        cr_assert_eq(wr_batch_nullable(batch, 1), bits);
        cr_assert(wr_column_is_null(&batch->columns[1], 3));
        wr_batch_release(batch);
    }
    wr_batch_pool_destroy(pool);
}

Test(batch, compaction_keeps_the_live_rows)
{
    static const char long_text[] = "longer than twelve bytes";
    struct wr_batch_pool *pool = wr_batch_pool_create(&schema, 16, 4);
    struct wr_batch *batch = wr_batch_take(pool);
    cr_assert_eq(wr_batch_compact(batch, pool), batch);
    batch->rows = 10;
    for (uint32_t i = 0; i < 10; i++) {
        ((int64_t *)batch->columns[0].values)[i] = i * 10;
        ((struct wr_view *)batch->columns[1].values)[i] = wr_view_of(long_text, i + 10);
        ((uint8_t *)batch->columns[2].values)[i] = i % 2;
        batch->wm_storage[i] = i;
    }
    batch->origin.wm_before = batch->wm_storage;
    wr_bit_clear(wr_batch_nullable(batch, 0), 7);
    wr_bit_clear(wr_batch_nullable(batch, 2), 6); /* not live: the column stays without NULLs */
    batch->sel = batch->sel_storage;
    batch->sel[0] = 2;
    batch->sel[1] = 7;
    batch->sel[2] = 9;
    batch->sel_count = 3;
    struct wr_batch *made = wr_batch_compact(batch, pool);
    cr_assert(made != batch && made->rows == 3 && made->sel == NULL && made->parent == batch);
    cr_assert_eq(((int64_t *)made->columns[0].values)[2], 90);
    cr_assert_eq(((struct wr_view *)made->columns[1].values)[1].bytes, 17);
    cr_assert_eq(((uint8_t *)made->columns[2].values)[0], 0);
    cr_assert_eq(made->origin.wm_before[1], 7);
    cr_assert(wr_column_is_null(&made->columns[0], 1) && !wr_column_is_null(&made->columns[0], 2));
    cr_assert_null(made->columns[2].validity);
    wr_batch_release(made);
    cr_assert_eq(wr_batch_pool_out(pool), 0);
    wr_batch_pool_destroy(pool);
}
