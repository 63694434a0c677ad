/* What a manifest means for a plan: starts, skips, marks; and the manifest that follows it. */
#include "base/clock.h"
#include "base/heap.h"
#include "run/commit.h"
#include "run/epoch_cut.h"
#include "run/recovery.h"
#include <criterion/criterion.h>

static struct wr_plan_source source = { .name = "clicks",
                                        .late_sink = UINT32_MAX,
                                        .error_sink = 2,
                                        .on_error = WR_ON_ERROR_SINK };
static uint32_t fed_by[] = { 0 };
static struct wr_plan_sink sinks[4] = {
    { .name = "fast", .connector = "x", .sources = fed_by, .source_count = 1 },
    { .name = "slow", .connector = "x", .sources = fed_by, .source_count = 1 },
    { .name = "bad", .connector = "x", .feed = WR_FEED_ERRORS },
    { .name = "added", .connector = "x", .sources = fed_by, .source_count = 1 },
};
static struct wr_plan plan = { .sources = &source, .source_count = 1, .sinks = sinks, .sink_count = 3 };

/* Splits "a" (in both cuts) and "b" (only in the newer one): fast and bad stand at epoch 5, slow at 3. */
static struct wr_manifest_split old_splits[] = {
    { .name = "a", .position = 100, .watermark_us = 1000, .max_event_us = 1100 },
};
static struct wr_manifest_split new_splits[] = {
    { .name = "a", .position = 250, .watermark_us = 2500, .max_event_us = 2600, .idle = true },
    { .name = "b", .position = 40, .watermark_us = 900, .max_event_us = 950 },
};
static struct wr_manifest_source old_source = { "clicks", 800, old_splits, 1 };
static struct wr_manifest_source new_source = { "clicks", 850, new_splits, 2 };
static struct wr_manifest_cut cuts[] = { { 3, &old_source, 1 }, { 5, &new_source, 1 } };
static struct wr_manifest_activation activations[] = { { "clicks", "a", 170, 1700 },
                                                       { "clicks", "a", 250, 2400 } };
static struct wr_manifest_sink manifest_sinks[] = {
    { .name = "fast", .connector = "x", .cut = 5 },
    { .name = "slow", .connector = "x", .cut = 3 },
    { .name = "bad", .connector = "x", .cut = 5 },
};
static struct wr_manifest_ledger ledger[] = {
    { "fast", "clicks", "a", .read = 250, .landed = 240, .filtered = 10 },
    { "slow", "clicks", "a", .read = 100, .landed = 100 },
    { "fast", "clicks", "b", .read = 40, .landed = 40 },
};
static struct wr_manifest manifest = {
    .owner = { .id = "0123456789abcdef", .host = "h", .boot = "b" },
    .format = WR_MANIFEST_FORMAT, .uuid = "5e9c3d1e-7d0e-4f6e-9a55-3a1b6a6f2b11", .epoch = 6,
    .pipeline = "p", .cuts = cuts, .cut_count = 2, .activations = activations,
    .activation_count = 2, .sinks = manifest_sinks, .sink_count = 3, .ledger = ledger,
    .ledger_count = 3,
};

Test(recovery, a_split_starts_at_the_oldest_cut_in_use_and_marks_where_sinks_join_in)
{
    plan.sink_count = 3;
    struct wr_recovery *r = wr_recovery_create(&plan, &manifest);
    const struct wr_split_resume *a = wr_recovery_split(r, 0, "a");
    cr_assert_not_null(a);
    cr_expect(a->has_start);
    cr_expect_eq(a->at.position, 100);
    cr_expect_eq(a->at.watermark_us, 1000);
    cr_expect_not(a->at.idle);
    cr_expect_eq(a->skip[0], 250);
    cr_expect_eq(a->skip[1], 100);
    cr_expect_eq(a->skip[2], 250, "the side sink has its rows up to the newest cut");
    cr_assert_eq(a->mark_count, 2);
    cr_expect_eq(a->marks[0].position, 170);
    cr_expect_eq(a->marks[0].floor_us, 1700);
    cr_expect_eq(a->marks[1].position, 250);
    cr_expect_eq(a->ledger[0].passed, 240);
    cr_expect_eq(a->ledger[1].read, 100);
    cr_expect_eq(r->sources[0].emitted_us, 850);
    wr_recovery_destroy(r);
}

Test(recovery, a_split_that_a_sink_does_not_know_is_read_from_its_beginning)
{
    plan.sink_count = 3;
    struct wr_recovery *r = wr_recovery_create(&plan, &manifest);
    const struct wr_split_resume *b = wr_recovery_split(r, 0, "b");
    cr_assert_not_null(b);
    cr_expect_not(b->has_start);
    cr_expect_eq(b->skip[0], 40);
    cr_expect_eq(b->skip[1], INT64_MIN);
    cr_assert_eq(b->mark_count, 1);
    cr_expect_eq(b->marks[0].position, 40);
    cr_expect_eq(r->sources[0].start_count, 1, "only a has a start");
    cr_expect_null(wr_recovery_split(r, 0, "c"));
    wr_recovery_destroy(r);
}

Test(recovery, a_sink_that_is_new_begins_at_the_newest_cut)
{
    plan.sink_count = 4;
    struct wr_recovery *r = wr_recovery_create(&plan, &manifest);
    cr_expect_eq(wr_recovery_split(r, 0, "a")->skip[3], 250);
    wr_recovery_destroy(r);
}

static void cut_of(struct wr_epoch_cut *cut, uint64_t epoch, int64_t position, int64_t emitted_us)
{
    *cut = (struct wr_epoch_cut){ 0 };
    wr_epoch_cut_begin(cut, epoch, false);
    wr_epoch_cut_split(cut, &(struct wr_split_cut){ .next_position = position,
                                                    .watermark_us = 3000,
                                                    .max_event_us = 3100,
                                                    .name = "a" });
    wr_epoch_cut_ledger(cut, &(struct wr_ledger_cut){
                                 .counts = { .read = 300, .passed = 290, .filtered = 10 } });
    wr_epoch_cut_ledger(cut, &(struct wr_ledger_cut){
                                 .sink = 1, .counts = { .read = 300, .passed = 300 } });
    wr_epoch_cut_source(cut, 0, emitted_us);
}

Test(commit, who_takes_part_stands_at_the_new_cut_the_others_stay)
{
    plan.sink_count = 3;
    struct wr_pipeline p = { .plan = &plan,
                             .config = { .name = "p" },
                             .full_epoch = 1,
                             .sink_every = (uint64_t[]){ 1, 3, 1 },
                             .exactly_once = (bool[]){ true, true, true } };
    struct wr_epoch_cut cut;
    struct wr_manifest next;
    struct wr_error err;
    cut_of(&cut, 7, 300, 860);
    wr_commit_build(&p, &manifest, &cut, NULL, 0, &next);
    next.epoch = 7;
    next.owner = (struct wr_owner){ .id = "0123456789abcdef", .host = "h", .boot = "b" };
    cr_expect_eq(next.cut_count, 2, "5 is in use by nobody any more");
    cr_expect_eq(next.cuts[0].epoch, 3);
    cr_expect_eq(next.cuts[1].epoch, 7);
    cr_expect_eq(wr_manifest_sink_of(&next, "fast")->cut, 7);
    cr_expect_eq(wr_manifest_sink_of(&next, "slow")->cut, 3);
    const struct wr_manifest_source *s = wr_manifest_source_of(&next.cuts[1], "clicks");
    cr_expect_eq(wr_manifest_split_of(s, "a")->position, 300);
    cr_expect_eq(wr_manifest_split_of(s, "b")->position, 40, "not read now, carried on");
    cr_expect_eq(next.activation_count, 2, "slow's cut lies before both");
    cr_assert_eq(next.ledger_count, 3);
    for (uint32_t i = 0; i < next.ledger_count; i++) {
        const struct wr_manifest_ledger *line = &next.ledger[i];
        const bool fast_a = strcmp(line->sink, "fast") == 0 && strcmp(line->split, "a") == 0;
        cr_expect_eq(line->read, fast_a ? 300 : strcmp(line->sink, "slow") == 0 ? 100 : 40);
    }
    cr_expect_eq(wr_manifest_check(&next, &err), WR_OK, "%s", err.message);
    wr_manifest_deinit(&next);
    wr_epoch_cut_deinit(&cut);
}

Test(commit, the_end_of_the_input_stands_at_the_close_of_the_newest_window)
{
    plan.sink_count = 3;
    struct wr_pipeline p = { .plan = &plan,
                             .config = { .name = "p" },
                             .full_epoch = 1,
                             .sink_every = (uint64_t[]){ 1, 1, 1 },
                             .exactly_once = (bool[]){ true, true, true } };
    struct wr_epoch_cut cut;
    struct wr_manifest next;
    cut_of(&cut, 7, 300, WR_TIME_MAX);
    wr_epoch_cut_operator(&cut, 0, 10000);
    wr_commit_build(&p, &manifest, &cut, NULL, 0, &next);
    const struct wr_manifest_source *s = wr_manifest_source_of(&next.cuts[next.cut_count - 1], "clicks");
    cr_expect_eq(s->emitted_us, 10000);
    cr_expect_eq(wr_manifest_split_of(s, "a")->watermark_us, 10000);
    cr_expect_eq(next.activation_count, 0, "nobody replays");
    wr_manifest_deinit(&next);
    wr_epoch_cut_deinit(&cut);
}

/* A worker whose own splits have ended tells its operators WR_TIME_MAX; the other one still reads. */
static void cut_of_two_workers(struct wr_epoch_cut *cut, int64_t slow_us)
{
    struct wr_epoch_cut part = { 0 };
    cut_of(cut, 7, 300, WR_TIME_MAX);
    cut->splits.items[0].idle = true;
    wr_epoch_cut_begin(&part, 7, false);
    wr_epoch_cut_split(&part, &(struct wr_split_cut){ .split = 1,
                                                      .next_position = 60,
                                                      .watermark_us = 1200,
                                                      .max_event_us = 1300,
                                                      .name = "b" });
    wr_epoch_cut_source(&part, 0, slow_us);
    wr_epoch_cut_operator(&part, 0, 1000);
    wr_epoch_cut_merge(cut, &part);
    wr_epoch_cut_deinit(&part);
}

static void build_for_two_workers(int64_t slow_us, struct wr_manifest *next)
{
    struct wr_pipeline p = { .plan = &plan,
                             .config = { .name = "p" },
                             .full_epoch = 1,
                             .sink_every = (uint64_t[]){ 1, 1, 1 },
                             .exactly_once = (bool[]){ true, true, true } };
    struct wr_epoch_cut cut;
    plan.sink_count = 3;
    cut_of_two_workers(&cut, slow_us);
    wr_commit_build(&p, &manifest, &cut, NULL, 0, next);
    wr_epoch_cut_deinit(&cut);
}

Test(commit, a_worker_at_its_end_raises_no_split_that_another_one_still_reads)
{
    struct wr_manifest next;
    build_for_two_workers(1200, &next);
    const struct wr_manifest_source *s = wr_manifest_source_of(&next.cuts[next.cut_count - 1], "clicks");
    cr_expect_eq(wr_manifest_split_of(s, "a")->watermark_us, 3000);
    cr_expect_eq(wr_manifest_split_of(s, "b")->watermark_us, 1200, "its rows are not late after a crash");
    cr_expect_eq(s->emitted_us, 1200);
    wr_manifest_deinit(&next);
}

Test(commit, the_input_has_ended_when_all_workers_say_so)
{
    struct wr_manifest next;
    build_for_two_workers(WR_TIME_MAX, &next);
    const struct wr_manifest_source *s = wr_manifest_source_of(&next.cuts[next.cut_count - 1], "clicks");
    cr_expect_eq(wr_manifest_split_of(s, "a")->watermark_us, 3000);
    cr_expect_eq(wr_manifest_split_of(s, "b")->watermark_us, 3000);
    cr_expect_eq(s->emitted_us, 3000);
    wr_manifest_deinit(&next);
}
