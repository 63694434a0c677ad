/* window_judge.c: which rows a window counts, and where: event times, lateness (design.md, section
 * 2, "late"). */
#include "exec/window.h"

/* Event times beyond +/- 73,000 years leave room for sizes, gaps and lateness in 64 bits; such a
 * row is a broken clock, dead-lettered with that reason. */
#define TIME_LIMIT (INT64_C(1) << 61)

static inline int64_t floor_div(int64_t a, int64_t b)
{
    const int64_t q = a / b;
    return q - (a % b < 0);
}

static inline int64_t wm_of(const struct wr_batch *batch, uint32_t row)
{
    return batch->origin.wm_before != NULL ? batch->origin.wm_before[row] : batch->origin.wm_low;
}

/* How late; a watermark of WR_TIME_MAX (the split has ended) would overflow. */
static int64_t wm_distance(int64_t wm, int64_t time)
{
    int64_t distance;
    return __builtin_sub_overflow(wm, time, &distance) ? INT64_MAX : distance;
}

/* Is this a time that windows can work with? */
static inline bool in_range(int64_t time)
{
    return time > -TIME_LIMIT && time < TIME_LIMIT;
}

static const char *time_name(const struct wr_window *window)
{
    const struct wr_plan_node *input =
        &window->exec->plan->nodes[window->op->node->inputs[0]];
    return input->schema.fields[window->plan->time_column].name;
}

/* Dead-letters rows without a usable event time. */
static uint32_t drop_unusable(struct wr_window *window, const struct wr_batch *batch,
                              uint32_t count)
{
    const struct wr_column *column = &batch->columns[window->plan->time_column];
    const int64_t *time = column->values;
    uint32_t *rows = window->rows;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t row = rows[i];
        const bool null = wr_column_is_null(column, row);
        if (__builtin_expect(null || !in_range(time[row]), 0)) {
            wr_exec_fault(window->exec, window->op, batch, row,
                          null ? "no event time" : "event time is out of range",
                          time_name(window));
            continue;
        }
        rows[kept++] = row;
    }
    return kept;
}

struct range {
    int64_t low;
    int64_t high;
};

static struct range range_of(const int64_t *time, const uint32_t *rows, uint32_t count)
{
    struct range range = { INT64_MAX, INT64_MIN };
    for (uint32_t i = 0; i < count; i++) {
        const int64_t t = time[rows[i]];
        range.low = t < range.low ? t : range.low;
        range.high = t > range.high ? t : range.high;
    }
    return range;
}

/* The first window (by number) that a slice (by number) lies in. */
static int64_t first_window(const struct wr_window *w, int64_t slice)
{
    return floor_div(slice * w->slice_us - w->size_us, w->slide_us) + 1;
}

int64_t wr_window_first_of_slice(const struct wr_window *w, int64_t slice)
{
    return first_window(w, slice);
}

int64_t wr_window_last_of_slice(const struct wr_window *w, int64_t slice)
{
    return floor_div(slice, w->slide_us / w->slice_us);
}

int64_t wr_window_last_closed(const struct wr_window *w, int64_t limit)
{
    return floor_div(limit - w->plan->offset_us - w->size_us, w->slide_us);
}

/* The first window that is still open at watermark wm (not WR_TIME_MIN or MAX). */
static int64_t first_open(const struct wr_window *w, int64_t wm, int64_t lateness)
{
    return floor_div(wm - lateness - w->plan->offset_us - w->size_us, w->slide_us) + 1;
}

/* What all times of one slice have in common: they lie in the same windows. */
struct slice {
    int64_t number;
    int64_t begin;
    int64_t first;     /* window */
    int64_t first_end; /* lateness included, as last_end */
    int64_t last_end;
};

static struct slice slice_at(const struct wr_window *w, int64_t time, int64_t lateness)
{
    const int64_t offset = w->plan->offset_us;
    struct slice slice;
    slice.number = floor_div(time - offset, w->slice_us);
    slice.begin = offset + slice.number * w->slice_us;
    slice.first = first_window(w, slice.number);
    slice.first_end = offset + slice.first * w->slide_us + w->size_us + lateness;
    slice.last_end =
        offset + floor_div(time - offset, w->slide_us) * w->slide_us + w->size_us + lateness;
    return slice;
}

/* The row at place `at` belongs to a cell: the last run's, or one of its own. */
static inline void put(struct wr_window *w, int64_t order, int64_t sub, uint32_t at)
{
    struct wr_window_run *run = &w->runs[w->run_count];
    if (w->run_count > 0 && run[-1].order == order && run[-1].sub == sub) {
        run--;
    } else {
        w->run_count++;
        run->order = order;
        run->sub = sub;
    }
    run->end = at + 1;
    run->last = w->rows[at];
}

/* Some row may be late, at least for its first window. */
static uint32_t judge_each(struct wr_window *w, const struct wr_batch *batch, uint32_t count)
{
    const int64_t lateness = batch->origin.lateness_us;
    struct slice slice = slice_at(w, w->time[w->rows[0]], lateness);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t row = w->rows[i];
        const int64_t wm = wm_of(batch, row);
        if ((uint64_t)(w->time[row] - slice.begin) >= (uint64_t)w->slice_us) {
            slice = slice_at(w, w->time[row], lateness);
        }
        int64_t order = slice.first;
        if (slice.last_end <= wm) {
            wr_exec_late(w->exec, w->op, batch, row, wm_distance(wm, slice.last_end));
            continue;
        }
        if (slice.first_end <= wm) {
            order = first_open(w, wm < -TIME_LIMIT ? -TIME_LIMIT : wm, lateness);
            wr_exec_count_partly_late(w->exec, w->op, batch, row);
        }
        w->rows[kept++] = row;
        put(w, order, slice.number, kept - 1);
    }
    return kept;
}

static uint32_t judge_sliced(struct wr_window *w, const struct wr_batch *batch, uint32_t count,
                             struct range range)
{
    const int64_t wm =
        batch->origin.source == UINT32_MAX ? WR_TIME_MIN : batch->origin.wm_high;
    struct slice slice = slice_at(w, range.low, batch->origin.lateness_us);
    if (slice.first_end <= wm) {
        return judge_each(w, batch, count);
    }
    const uint64_t width = (uint64_t)w->slice_us;
    if ((uint64_t)(range.high - slice.begin) < width) { /* most batches */
        put(w, slice.first, slice.number, count - 1);
        return count;
    }
    for (uint32_t i = 0; i < count; i++) {
        const int64_t time = w->time[w->rows[i]];
        if ((uint64_t)(time - slice.begin) >= width) {
            slice = slice_at(w, time, 0);
        }
        put(w, slice.first, slice.number, i);
    }
    return count;
}

static uint32_t judge_session(struct wr_window *w, const struct wr_batch *batch, uint32_t count,
                              int64_t lowest)
{
    const int64_t lateness = batch->origin.lateness_us;
    if (batch->origin.source == UINT32_MAX || lowest + lateness >= batch->origin.wm_high) {
        return count;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t row = w->rows[i];
        const int64_t wm = wm_of(batch, row);
        if (w->time[row] + lateness < wm) {
            wr_exec_late(w->exec, w->op, batch, row, wm_distance(wm, w->time[row]));
            continue;
        }
        w->rows[kept++] = row;
    }
    return kept;
}

static void place_inherited(struct wr_window *w, const struct wr_batch *batch, uint32_t count)
{
    const int64_t *end = batch->columns[w->plan->end_column].values;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t row = w->rows[i];
        put(w, end[row], w->time[row], i);
    }
}

uint32_t wr_window_judge(struct wr_window *w, const struct wr_batch *batch, uint32_t count)
{
    const struct wr_column *column = &batch->columns[w->plan->time_column];
    w->time = column->values;
    w->run_count = 0;
    struct range range = range_of(w->time, w->rows, count);
    if (column->validity != NULL || !in_range(range.low) || !in_range(range.high)) {
        count = drop_unusable(w, batch, count);
        range = range_of(w->time, w->rows, count);
    }
    if (count == 0) {
        return 0;
    }
    switch (w->plan->kind) {
    case WR_WINDOW_TUMBLE:
    case WR_WINDOW_HOP: return judge_sliced(w, batch, count, range);
    case WR_WINDOW_SESSION: return judge_session(w, batch, count, range.low);
    case WR_WINDOW_INHERIT: place_inherited(w, batch, count); break;
    }
    return count;
}
