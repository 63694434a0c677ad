#include "run/ledger_view.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/heap.h"
#include "run/recovery.h"

struct landed {
    uint32_t source;
    uint32_t split;
    uint64_t rows;
};

struct landed_list {
    struct landed *items;
    uint32_t count;
    uint32_t capacity;
};

struct wr_ledger_view {
    const struct wr_plan *plan;
    const struct wr_recovery *recovery; /* NULL: no state */
    struct wr_epoch_cut newest;
    struct wr_epoch_cut *waiting; /* published, positions not released; oldest first */
    uint32_t waiting_count;
    uint32_t waiting_capacity;
    struct landed_list *landed; /* per sink */
    uint64_t *published;        /* per sink: newest epoch */
};

struct wr_ledger_view *wr_ledger_view_create(const struct wr_plan *plan,
                                             const struct wr_recovery *recovery)
{
    struct wr_ledger_view *view = wr_calloc(1, sizeof *view);
    view->plan = plan;
    view->recovery = recovery;
    view->landed = wr_calloc(plan->sink_count + 1, sizeof *view->landed);
    view->published = wr_calloc(plan->sink_count + 1, sizeof *view->published);
    return view;
}

void wr_ledger_view_destroy(struct wr_ledger_view *view)
{
    if (view == NULL) {
        return;
    }
    for (uint32_t i = 0; i < view->waiting_count; i++) {
        wr_epoch_cut_deinit(&view->waiting[i]);
    }
    for (uint32_t k = 0; k < view->plan->sink_count; k++) {
        free(view->landed[k].items);
    }
    wr_epoch_cut_deinit(&view->newest);
    free(view->waiting);
    free(view->landed);
    free(view->published);
    free(view);
}

static const char *split_name(const struct wr_epoch_cut *cut, uint32_t source, uint32_t split)
{
    for (uint32_t i = 0; i < cut->splits.count; i++) {
        const struct wr_split_cut *at = &cut->splits.items[i];
        if (at->source == source && at->split == split) {
            return at->name;
        }
    }
    return "";
}

/* Before the first publication of this run: what earlier ones had landed. */
static uint64_t landed_before(const struct wr_ledger_view *view, const struct wr_epoch_cut *cut,
                              uint32_t sink, uint32_t source, uint32_t split)
{
    const struct wr_split_resume *resume =
        wr_recovery_split(view->recovery, source, split_name(cut, source, split));
    return resume != NULL ? resume->ledger[sink].passed : 0;
}

static struct landed *landed_at(struct wr_ledger_view *view, const struct wr_epoch_cut *cut,
                                uint32_t sink, uint32_t source, uint32_t split)
{
    struct landed_list *list = &view->landed[sink];
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->items[i].source == source && list->items[i].split == split) {
            return &list->items[i];
        }
    }
    if (list->count == list->capacity) {
        list->capacity = list->capacity * 2 + 8;
        list->items = wr_realloc(list->items, list->capacity * sizeof *list->items);
    }
    list->items[list->count] = (struct landed){
        .source = source, .split = split, .rows = landed_before(view, cut, sink, source, split)
    };
    return &list->items[list->count++];
}

/* A split that moved between workers has a line from each: they add up. */
static void take_landed(struct wr_ledger_view *view, const struct wr_epoch_cut *cut, uint32_t sink)
{
    for (uint32_t i = 0; i < cut->ledger.count; i++) {
        const struct wr_ledger_cut *at = &cut->ledger.items[i];
        if (at->sink == sink) {
            landed_at(view, cut, sink, at->source, at->split)->rows = 0;
        }
    }
    for (uint32_t i = 0; i < cut->ledger.count; i++) {
        const struct wr_ledger_cut *at = &cut->ledger.items[i];
        if (at->sink == sink) {
            landed_at(view, cut, sink, at->source, at->split)->rows += at->counts.passed;
        }
    }
}

/* Only positions are needed later. */
static void copy_cut(struct wr_epoch_cut *into, const struct wr_epoch_cut *cut)
{
    *into = (struct wr_epoch_cut){ 0 };
    wr_epoch_cut_begin(into, cut->epoch, cut->final);
    into->oldest_open_us = cut->oldest_open_us;
    for (uint32_t i = 0; i < cut->splits.count; i++) {
        wr_epoch_cut_split(into, &cut->splits.items[i]);
    }
}

void wr_ledger_view_take(struct wr_ledger_view *view, struct wr_epoch_cut *cut,
                         const uint64_t *published)
{
    for (uint32_t k = 0; k < view->plan->sink_count; k++) {
        view->published[k] = published[k];
        if (published[k] == cut->epoch) {
            take_landed(view, cut, k);
        }
    }
    if (view->waiting_count == view->waiting_capacity) {
        view->waiting_capacity = view->waiting_capacity * 2 + 8;
        view->waiting =
            wr_realloc(view->waiting, view->waiting_capacity * sizeof *view->waiting);
    }
    copy_cut(&view->waiting[view->waiting_count++], cut);
    wr_epoch_cut_deinit(&view->newest);
    view->newest = *cut;
    *cut = (struct wr_epoch_cut){ 0 };
}

static int64_t newest_event(const struct wr_epoch_cut *cut)
{
    int64_t newest = WR_TIME_MIN;
    for (uint32_t i = 0; i < cut->splits.count; i++) {
        newest = cut->splits.items[i].max_event_us > newest ? cut->splits.items[i].max_event_us : newest;
    }
    return newest;
}

/* (2). The newest cut tells what is still open; the windows that are not have been emitted before it and are published. */
static bool releasable(const struct wr_ledger_view *view, const struct wr_epoch_cut *cut)
{
    bool windowed = false;
    for (uint32_t k = 0; k < view->plan->sink_count; k++) {
        const struct wr_plan_sink *sink = &view->plan->sinks[k];
        if (sink->feed == WR_FEED_UNUSED) {
            continue;
        }
        windowed = windowed || sink->windowed;
        const uint64_t need = sink->windowed ? view->newest.epoch : cut->epoch;
        if (view->published[k] < need) {
            return false;
        }
    }
    return !windowed || view->recovery != NULL || view->newest.oldest_open_us == WR_TIME_MAX ||
           view->newest.oldest_open_us > newest_event(cut);
}

static void release_cut(const struct wr_ledger_view *view, const struct wr_epoch_cut *cut,
                        void (*release)(void *, uint32_t, const struct wr_split_position *, uint32_t),
                        void *ctx)
{
    struct wr_split_position *positions = wr_malloc((cut->splits.count + 1) * sizeof *positions);
    for (uint32_t s = 0; s < view->plan->source_count; s++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < cut->splits.count; i++) {
            if (cut->splits.items[i].source == s) {
                positions[count++] = (struct wr_split_position){ cut->splits.items[i].split,
                                                                 cut->splits.items[i].next_position };
            }
        }
        if (count > 0) {
            release(ctx, s, positions, count);
        }
    }
    free(positions);
}

void wr_ledger_view_release(struct wr_ledger_view *view,
                            void (*release)(void *ctx, uint32_t source,
                                            const struct wr_split_position *positions,
                                            uint32_t count),
                            void *ctx)
{
    uint32_t safe = view->waiting_count;
    while (safe > 0 && !releasable(view, &view->waiting[safe - 1])) {
        safe--;
    }
    if (safe == 0) {
        return;
    }
    release_cut(view, &view->waiting[safe - 1], release, ctx);
    for (uint32_t i = 0; i < safe; i++) {
        wr_epoch_cut_deinit(&view->waiting[i]);
    }
    view->waiting_count -= safe;
    memmove(view->waiting, view->waiting + safe, view->waiting_count * sizeof *view->waiting);
}

static uint64_t landed_rows(const struct wr_ledger_view *view, const struct wr_epoch_cut *cut,
                            const struct wr_ledger_cut *at)
{
    const struct landed_list *list = &view->landed[at->sink];
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->items[i].source == at->source && list->items[i].split == at->split) {
            return list->items[i].rows;
        }
    }
    return landed_before(view, cut, at->sink, at->source, at->split);
}

void wr_ledger_view_each(const struct wr_ledger_view *view,
                         void (*show)(void *ctx, const struct wr_ledger_line *line), void *ctx)
{
    const struct wr_epoch_cut *cut = &view->newest;
    for (uint32_t i = 0; i < cut->ledger.count; i++) {
        const struct wr_ledger_cut *at = &cut->ledger.items[i];
        bool seen = false;
        for (uint32_t j = 0; j < i && !seen; j++) {
            seen = cut->ledger.items[j].sink == at->sink && cut->ledger.items[j].source == at->source &&
                   cut->ledger.items[j].split == at->split;
        }
        if (seen) {
            continue;
        }
        struct wr_ledger_line line = { .sink = at->sink,
                                       .source = at->source,
                                       .split = split_name(cut, at->source, at->split) };
        for (uint32_t j = i; j < cut->ledger.count; j++) {
            if (cut->ledger.items[j].sink == at->sink && cut->ledger.items[j].source == at->source &&
                cut->ledger.items[j].split == at->split) {
                wr_ledger_add(&line.counts, &cut->ledger.items[j].counts);
            }
        }
        line.landed = landed_rows(view, cut, at);
        wr_assert(line.landed <= line.counts.passed);
        line.in_flight = line.counts.passed - line.landed; /* (1) */
        show(ctx, &line);
    }
}

struct sum_ctx {
    uint32_t sink;
    struct wr_ledger_line *sum;
};

static void add_line(void *ctx, const struct wr_ledger_line *line)
{
    const struct sum_ctx *s = ctx;
    if (line->sink == s->sink) {
        wr_ledger_add(&s->sum->counts, &line->counts);
        s->sum->landed += line->landed;
        s->sum->in_flight += line->in_flight;
    }
}

void wr_ledger_view_sum(const struct wr_ledger_view *view, uint32_t sink, struct wr_ledger_line *sum)
{
    *sum = (struct wr_ledger_line){ .sink = sink };
    struct sum_ctx ctx = { sink, sum };
    wr_ledger_view_each(view, add_line, &ctx);
}
