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

/* Dead-letters rows without a usable event time; finds the range of the others. */
static uint32_t check_times(struct wr_window *window, const struct wr_batch *batch, uint32_t count,
                            int64_t *lowest, int64_t *highest)
{
    const struct wr_column *column = &batch->columns[window->plan->time_column];
    const int64_t *time = column->values;
    uint32_t *rows = window->rows;
    int64_t low = INT64_MAX;
    int64_t high = INT64_MIN;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t row = rows[i];
        const int64_t t = time[row];
        const bool null = wr_column_is_null(column, row);
        if (__builtin_expect(null || !in_range(t), 0)) {
            wr_exec_fault(window->exec, window->op, batch, row,
                          null ? "no event time" : "event time is out of range",
                          time_name(window));
            continue;
        }
        rows[kept++] = row;
        low = t < low ? t : low;
        high = t > high ? t : high;
    }
    *lowest = low;
    *highest = high;
    return kept;
}

/* The first window (by number) that a slice (by number) lies in. */
static int64_t first_window(const struct wr_window *w, int64_t slice)
{
    return floor_div(slice * w->slice_us - w->size_us, w->slide_us) + 1;
}

/* The first window that is still open at watermark wm (not WR_TIME_MIN or MAX). */
static int64_t first_open(const struct wr_window *w, int64_t wm, int64_t lateness)
{
    return floor_div(wm - lateness - w->plan->offset_us - w->size_us, w->slide_us) + 1;
}

/* Places one row whose slice is known; false when it is late. */
static bool place(struct wr_window *w, const struct wr_batch *batch, uint32_t row, int64_t slice)
{
    const int64_t since = w->time[row] - w->plan->offset_us;
    const int64_t first = first_window(w, slice);
    const int64_t last = floor_div(since, w->slide_us);
    const int64_t wm = wm_of(batch, row);
    const int64_t lateness = batch->origin.lateness_us;
    w->sub[row] = slice;
    w->order[row] = first;
    if (wm == WR_TIME_MIN || batch->origin.source == UINT32_MAX) {
        return true;
    }
    const int64_t last_end = w->plan->offset_us + last * w->slide_us + w->size_us;
    if (last_end + lateness <= wm) {
        wr_exec_late(w->exec, w->op, row, wm_distance(wm, last_end + lateness));
        return false;
    }
    const int64_t open = first_open(w, wm < -TIME_LIMIT ? -TIME_LIMIT : wm, lateness);
    if (open > first) {
        w->order[row] = open;
        wr_exec_count_partly_late(w->exec, w->op, row);
    }
    return true;
}

/* Can no row be late, not even for its first window? */
static bool nobody_late(const struct wr_window *w, const struct wr_batch *batch, int64_t lowest)
{
    const int64_t wm = batch->origin.wm_high;
    if (batch->origin.source == UINT32_MAX || wm == WR_TIME_MIN) {
        return true;
    }
    const int64_t slice = floor_div(lowest - w->plan->offset_us, w->slice_us);
    const int64_t first_end =
        w->plan->offset_us + first_window(w, slice) * w->slide_us + w->size_us;
    return first_end + batch->origin.lateness_us > wm;
}

/* All rows in time: their cells, remembering the last slice, because neighbours share it. */
static void place_all(struct wr_window *w, uint32_t count, int64_t lowest, int64_t highest)
{
    const int64_t offset = w->plan->offset_us;
    int64_t slice = floor_div(lowest - offset, w->slice_us);
    int64_t first = first_window(w, slice);
    int64_t begin = offset + slice * w->slice_us;
    const bool one = highest < begin + w->slice_us;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t row = w->rows[i];
        if (!one && (uint64_t)(w->time[row] - begin) >= (uint64_t)w->slice_us) {
            slice = floor_div(w->time[row] - offset, w->slice_us);
            first = first_window(w, slice);
            begin = offset + slice * w->slice_us;
        }
        w->order[row] = first;
        w->sub[row] = slice;
    }
}

static uint32_t judge_sliced(struct wr_window *w, const struct wr_batch *batch, uint32_t count,
                             int64_t lowest, int64_t highest)
{
    if (nobody_late(w, batch, lowest)) {
        place_all(w, count, lowest, highest);
        return count;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t row = w->rows[i];
        const int64_t slice = floor_div(w->time[row] - w->plan->offset_us, w->slice_us);
        if (place(w, batch, row, slice)) {
            w->rows[kept++] = row;
        }
    }
    return kept;
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
            wr_exec_late(w->exec, w->op, row, wm_distance(wm, w->time[row]));
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
        w->order[row] = end[row];
        w->sub[row] = w->time[row];
    }
}

uint32_t wr_window_judge(struct wr_window *w, const struct wr_batch *batch, uint32_t count)
{
    int64_t lowest;
    int64_t highest;
    w->time = batch->columns[w->plan->time_column].values;
    count = check_times(w, batch, count, &lowest, &highest);
    if (count == 0) {
        return 0;
    }
    switch (w->plan->kind) {
    case WR_WINDOW_TUMBLE:
    case WR_WINDOW_HOP: return judge_sliced(w, batch, count, lowest, highest);
    case WR_WINDOW_SESSION: return judge_session(w, batch, count, lowest);
    case WR_WINDOW_INHERIT: place_inherited(w, batch, count); break;
    }
    return count;
}
