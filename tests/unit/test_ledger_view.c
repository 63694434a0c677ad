/* When source positions may be told to the outside. */
#include "base/clock.h"
#include "run/ledger_view.h"
#include <criterion/criterion.h>

static struct wr_plan_source source = { .name = "s" };
static uint32_t fed_by[] = { 0 };
static struct wr_plan_sink sinks[2] = {
    { .name = "plain", .sources = fed_by, .source_count = 1 },
    { .name = "windows", .sources = fed_by, .source_count = 1, .windowed = true },
};
static struct wr_plan plan = { .sources = &source, .source_count = 1, .sinks = sinks };

struct told {
    int64_t position;
    uint32_t calls;
};

static void tell(void *ctx, uint32_t s, const struct wr_split_position *positions, uint32_t count)
{
    struct told *told = ctx;
    cr_assert_eq(count, 1);
    told->position = positions[0].next_position;
    told->calls++;
}

static void cut_at(struct wr_epoch_cut *cut, uint64_t epoch, int64_t position, int64_t newest_us,
                   int64_t oldest_open_us, uint64_t passed)
{
    *cut = (struct wr_epoch_cut){ 0 };
    wr_epoch_cut_begin(cut, epoch, false);
    cut->oldest_open_us = oldest_open_us;
    wr_epoch_cut_split(cut, &(struct wr_split_cut){ .next_position = position,
                                                    .max_event_us = newest_us,
                                                    .name = "s/0" });
    wr_epoch_cut_ledger(cut, &(struct wr_ledger_cut){ .counts = { .read = passed, .passed = passed } });
}

Test(ledger_view, positions_wait_until_every_sink_has_published)
{
    plan.sink_count = 1;
    struct wr_ledger_view *view = wr_ledger_view_create(&plan, NULL);
    struct wr_epoch_cut cut;
    struct told told = { 0 };
    cut_at(&cut, 1, 10, 100, WR_TIME_MAX, 10);
    wr_ledger_view_take(view, &cut, (uint64_t[]){ 0 });
    wr_ledger_view_release(view, tell, &told);
    cr_expect_eq(told.calls, 0);
    cut_at(&cut, 2, 25, 200, WR_TIME_MAX, 25);
    wr_ledger_view_take(view, &cut, (uint64_t[]){ 2 });
    wr_ledger_view_release(view, tell, &told);
    cr_expect_eq(told.position, 25);
    wr_ledger_view_destroy(view);
}

Test(ledger_view, positions_wait_for_windows_that_hold_older_rows)
{
    plan.sink_count = 2;
    struct wr_ledger_view *view = wr_ledger_view_create(&plan, NULL);
    struct wr_epoch_cut cut;
    struct told told = { 0 };
    cut_at(&cut, 1, 10, 100, 90, 10); /* a window that began at 90 is open */
    wr_ledger_view_take(view, &cut, (uint64_t[]){ 1, 1 });
    wr_ledger_view_release(view, tell, &told);
    cr_expect_eq(told.calls, 0);
    cut_at(&cut, 2, 20, 150, 110, 20); /* it has closed: rows up to epoch 1 are out */
    wr_ledger_view_take(view, &cut, (uint64_t[]){ 2, 2 });
    wr_ledger_view_release(view, tell, &told);
    cr_expect_eq(told.position, 10);
    cut_at(&cut, 3, 30, 180, WR_TIME_MAX, 30);
    wr_ledger_view_take(view, &cut, (uint64_t[]){ 3, 3 });
    wr_ledger_view_release(view, tell, &told);
    cr_expect_eq(told.position, 30);
    wr_ledger_view_destroy(view);
}

static void line_is(void *ctx, const struct wr_ledger_line *line)
{
    const uint64_t *expected = ctx;
    cr_expect_eq(line->landed, expected[0]);
    cr_expect_eq(line->in_flight, expected[1]);
    cr_expect_str_eq(line->split, "s/0");
}

Test(ledger_view, what_is_not_published_is_in_flight)
{
    plan.sink_count = 1;
    struct wr_ledger_view *view = wr_ledger_view_create(&plan, NULL);
    struct wr_epoch_cut cut;
    cut_at(&cut, 1, 10, 100, WR_TIME_MAX, 10);
    wr_ledger_view_take(view, &cut, (uint64_t[]){ 1 });
    cut_at(&cut, 2, 25, 200, WR_TIME_MAX, 25);
    wr_ledger_view_take(view, &cut, (uint64_t[]){ 1 }); /* the sink joins every other epoch */
    wr_ledger_view_each(view, line_is, (uint64_t[]){ 10, 15 });
    wr_ledger_view_destroy(view);
}
