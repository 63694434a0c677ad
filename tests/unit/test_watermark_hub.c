/* What is emitted of a source's watermark over several workers. */
#include "base/clock.h"
#include "run/watermark_hub.h"
#include <criterion/criterion.h>

#define WORKERS 3

static struct wr_io *loops[WORKERS];

static void open_hub(struct wr_hub *hub)
{
    for (int i = 0; i < WORKERS; i++) {
        cr_assert_eq(wr_io_create(&loops[i], WR_IO_EPOLL, 4, NULL), WR_OK);
    }
    wr_hub_init(hub, 1, WORKERS, loops);
}

static void close_hub(struct wr_hub *hub)
{
    wr_hub_deinit(hub);
    for (int i = 0; i < WORKERS; i++) {
        wr_io_destroy(loops[i]);
    }
}

Test(watermark_hub, nothing_is_emitted_before_every_worker_has_looked)
{
    struct wr_hub hub;
    open_hub(&hub);
    cr_expect_eq(wr_hub_report(&hub, 0, 0, true, false, 100), WR_TIME_MIN);
    cr_expect_eq(wr_hub_report(&hub, 0, 1, true, false, 50), WR_TIME_MIN);
    cr_expect_eq(wr_hub_report(&hub, 0, 2, false, false, 0), 50);
    close_hub(&hub);
}

Test(watermark_hub, it_never_falls_and_follows_the_slowest_active_worker)
{
    struct wr_hub hub;
    open_hub(&hub);
    wr_hub_report(&hub, 0, 0, true, false, 100);
    wr_hub_report(&hub, 0, 1, true, false, 200);
    cr_expect_eq(wr_hub_report(&hub, 0, 2, false, false, 0), 100);
    cr_expect_eq(wr_hub_report(&hub, 0, 0, true, false, 150), 150);
    cr_expect_eq(wr_hub_report(&hub, 0, 0, false, false, 0), 200);
    cr_expect_eq(wr_hub_emitted(&hub, 0), 200);
    close_hub(&hub);
}

Test(watermark_hub, a_waking_split_holds_the_world_at_its_floor)
{
    struct wr_hub hub;
    open_hub(&hub);
    wr_hub_report(&hub, 0, 0, true, false, 100);
    wr_hub_report(&hub, 0, 1, false, false, 0);
    wr_hub_report(&hub, 0, 2, false, false, 0);
    cr_expect_eq(wr_hub_activate(&hub, 0, 1), 100);
    cr_expect_eq(wr_hub_report(&hub, 0, 0, true, false, 900), 100);
    cr_expect_eq(wr_hub_report(&hub, 0, 1, true, false, 300), 300);
    close_hub(&hub);
}

Test(watermark_hub, the_end_comes_when_all_have_finished)
{
    struct wr_hub hub;
    open_hub(&hub);
    wr_hub_report(&hub, 0, 0, true, false, 100);
    wr_hub_report(&hub, 0, 1, false, true, 0);
    cr_expect_eq(wr_hub_report(&hub, 0, 2, false, true, 0), 100);
    cr_expect_eq(wr_hub_report(&hub, 0, 0, false, true, 0), WR_TIME_MAX);
    close_hub(&hub);
}

Test(watermark_hub, idle_workers_without_an_end_keep_what_was_emitted)
{
    struct wr_hub hub;
    open_hub(&hub);
    wr_hub_report(&hub, 0, 0, true, false, 100);
    wr_hub_report(&hub, 0, 1, false, true, 0);
    wr_hub_report(&hub, 0, 2, false, true, 0);
    cr_expect_eq(wr_hub_report(&hub, 0, 0, false, false, 0), 100);
    close_hub(&hub);
}
