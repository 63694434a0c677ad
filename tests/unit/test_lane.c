/* A lane keeps order and loses nothing when its ring is full. */
#include "base/clock.h"
#include "run/lane.h"
#include <criterion/criterion.h>

Test(lane, order_is_kept_past_a_full_ring)
{
    struct wr_io *io = NULL;
    struct wr_lane lane = { 0 };
    struct wr_envelope_stock stock = { 0 };
    cr_assert_eq(wr_io_create(&io, WR_IO_EPOLL, 4, NULL), WR_OK);
    wr_lane_init(&lane, 4, 1, io);
    uint64_t next = 0;
    for (uint64_t i = 0; i < 100; i++) {
        struct wr_envelope *e = wr_envelope_take(&stock, WR_ENVELOPE_BARRIER, 0);
        e->epoch = i;
        wr_lane_send(&lane, e);
        if (i % 3 == 0) {
            struct wr_envelope *got = wr_lane_pop(&lane);
            cr_assert_not_null(got);
            cr_assert_eq(got->epoch, next++);
            wr_envelope_give(&stock, got);
            (void)wr_lane_flush(&lane);
        }
    }
    cr_expect_not(wr_lane_clear(&lane));
    while (next < 100) {
        struct wr_envelope *got = wr_lane_pop(&lane);
        cr_assert_not_null(got);
        cr_assert_eq(got->epoch, next++);
        wr_envelope_give(&stock, got);
        (void)wr_lane_flush(&lane);
    }
    cr_expect(wr_lane_clear(&lane));
    cr_expect_null(wr_lane_pop(&lane));
    wr_lane_deinit(&lane);
    wr_envelope_stock_deinit(&stock);
    wr_io_destroy(io);
}

Test(lane, a_flush_wakes_a_sleeping_consumer)
{
    struct wr_io *io = NULL;
    struct wr_lane lane = { 0 };
    struct wr_envelope_stock stock = { 0 };
    cr_assert_eq(wr_io_create(&io, WR_IO_EPOLL, 4, NULL), WR_OK);
    wr_lane_init(&lane, 4, 1, io);
    wr_lane_send(&lane, wr_envelope_take(&stock, WR_ENVELOPE_ROWS, 1));
    (void)wr_lane_flush(&lane);
    const int64_t before = wr_clock_now().mono_ns;
    wr_io_turn(io, 20 * WR_NS_PER_S);
    cr_expect_lt(wr_clock_now().mono_ns - before, 10 * WR_NS_PER_S);
    wr_envelope_give(&stock, wr_lane_pop(&lane));
    wr_lane_deinit(&lane);
    wr_envelope_stock_deinit(&stock);
    wr_io_destroy(io);
}
