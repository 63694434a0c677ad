/* windows.c: see windows.h. */
#include "windows.h"

#include "row.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS = WR_BENCH_TYPES * WR_BENCH_COUNTRIES, ARRIVALS_PER_WINDOW = 3 * GROUPS };

/* The first event whose intended time is not before us: the inverse of the intended time. */
static uint64_t first_event_at(const struct wr_bench_shape *shape, int64_t us)
{
    if (us <= shape->start_us) {
        return 0;
    }
    const uint64_t after_us = (uint64_t)(us - shape->start_us);
    uint64_t index = after_us / 1000000 * shape->rate + after_us % 1000000 * shape->rate / 1000000;
    while (wr_bench_event_intended_us(shape, index) < us) {
        index++; /* the division rounded down */
    }
    return index;
}

int64_t wr_bench_windows_closing_us(const struct wr_bench_windows *windows, int64_t end_ms)
{
    const int64_t closes_us = (end_ms + windows->delay_ms) * 1000;
    const uint64_t first = first_event_at(&windows->shape, closes_us);
    return wr_bench_event_intended_us(&windows->shape, first + (uint64_t)windows->partitions - 1);
}

/* Adds every event to all windows that hold it. */
static void expect_events(struct wr_bench_windows *windows)
{
    const int64_t overlap = windows->size_ms / windows->slide_ms;
    for (uint64_t i = 0; i < windows->count_events; i++) {
        struct wr_bench_event event;
        wr_bench_event_make(&windows->shape, i, &event);
        const int64_t since_ms = event.ts_ms - (windows->first_end_ms - windows->slide_ms);
        const int64_t first = since_ms / windows->slide_ms;
        for (int64_t w = first; w < first + overlap && w < (int64_t)windows->count; w++) {
            windows->windows[w].events_expected++;
            windows->windows[w].cents_expected += event.amount_cents;
            windows->events_expected++;
        }
    }
}

int wr_bench_windows_init(struct wr_bench_windows *windows)
{
    const int64_t start_ms = windows->shape.start_us / 1000;
    const uint64_t partitions = (uint64_t)windows->partitions;
    windows->first_end_ms = start_ms + windows->slide_ms;
    windows->count = 0;
    if (windows->count_events >= partitions) {
        /* The last event of the last but (partitions - 1) closes what all partitions close. */
        const int64_t closed_ms =
            wr_bench_event_intended_us(&windows->shape, windows->count_events - partitions) / 1000 -
            windows->delay_ms;
        if (closed_ms >= windows->first_end_ms) {
            windows->count = (size_t)((closed_ms - start_ms) / windows->slide_ms);
        }
    }
    windows->windows = calloc(windows->count + 1, sizeof(*windows->windows));
    windows->latency_capacity = (windows->count + 1) * WR_BENCH_TYPES * WR_BENCH_COUNTRIES;
    windows->latencies_us = calloc(windows->latency_capacity, sizeof(*windows->latencies_us));
    if (windows->windows == NULL || windows->latencies_us == NULL) {
        return -1;
    }
    if (windows->repeats) {
        windows->rows_first = calloc((windows->count + 1) * GROUPS, sizeof(*windows->rows_first));
        windows->arrival_capacity = ARRIVALS_PER_WINDOW * (windows->count + 1);
        windows->arrivals = calloc(windows->arrival_capacity, sizeof(*windows->arrivals));
        if (windows->rows_first == NULL || windows->arrivals == NULL) {
            return -1;
        }
    }
    expect_events(windows);
    return 0;
}

static int index_of(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

static void note_arrival(struct wr_bench_windows *windows, int64_t end_ms, int64_t sent_ms,
                         int64_t received_us)
{
    struct wr_bench_arrival *last =
        windows->arrival_count > 0 ? &windows->arrivals[windows->arrival_count - 1] : NULL;
    if (last != NULL && last->end_ms == end_ms && last->sent_ms == sent_ms &&
        last->received_us == received_us) {
        last->rows++;
    } else if (windows->arrival_count < windows->arrival_capacity) {
        windows->arrivals[windows->arrival_count++] =
            (struct wr_bench_arrival){received_us, sent_ms, end_ms, 1};
    }
}

/* Whether the row came before; then it has to be the same. -1: it does not name its group. */
static int is_repeated(struct wr_bench_windows *windows, size_t index, const char *row,
                       size_t bytes, uint64_t events, uint64_t cents)
{
    char type[32];
    char country[32];
    if (wr_bench_row_text(row, bytes, "type", type, sizeof(type)) != 0 ||
        wr_bench_row_text(row, bytes, "country", country, sizeof(country)) != 0) {
        return -1;
    }
    const int t = index_of(wr_bench_types, WR_BENCH_TYPES, type);
    const int c = index_of(wr_bench_countries, WR_BENCH_COUNTRIES, country);
    if (t < 0 || c < 0) {
        return -1;
    }
    struct wr_bench_group *first =
        &windows->rows_first[index * GROUPS + (size_t)(t * WR_BENCH_COUNTRIES + c)];
    if (first->events == 0) { /* no result counts nothing */
        *first = (struct wr_bench_group){events, cents};
        return 0;
    }
    windows->rows_repeated++;
    windows->rows_changed += first->events != events || first->amount_cents != cents;
    return 1;
}

void wr_bench_windows_take(struct wr_bench_windows *windows, const char *row, size_t bytes,
                           int64_t sent_ms, int64_t received_us)
{
    int64_t end_us = 0;
    double events = 0;
    double revenue = 0;
    if (wr_bench_row_time_us(row, bytes, "window_end", &end_us) != 0 ||
        wr_bench_row_number(row, bytes, "events", &events) != 0 ||
        wr_bench_row_number(row, bytes, "revenue", &revenue) != 0 || events < 0 || revenue < 0) {
        windows->rows_unread++;
        return;
    }
    const int64_t end_ms = end_us / 1000;
    const int64_t since_ms = end_ms - windows->first_end_ms;
    const int64_t index = since_ms / windows->slide_ms;
    if (since_ms < 0 || since_ms % windows->slide_ms != 0) {
        windows->rows_unread++;
        return;
    }
    if (index >= (int64_t)windows->count) {
        return; /* a window that only the end of the pipeline closes */
    }
    if (windows->repeats) {
        const int repeated = is_repeated(windows, (size_t)index, row, bytes, (uint64_t)events,
                                         (uint64_t)llround(revenue * 100));
        windows->rows_unread += repeated < 0;
        note_arrival(windows, end_ms, sent_ms, received_us);
        if (repeated != 0) {
            return;
        }
    }
    struct wr_bench_window *window = &windows->windows[index];
    window->rows++;
    window->events += (uint64_t)events;
    window->cents += (uint64_t)llround(revenue * 100);
    /* Release pairs with the acquire in missing: the window's sums are complete by then. */
    atomic_fetch_add_explicit(&windows->events_seen, (uint64_t)events, memory_order_release);

    const int64_t latency_us = received_us - wr_bench_windows_closing_us(windows, end_ms);
    if (latency_us < 0) {
        windows->before_cause++;
    }
    if (end_us > windows->latencies_after_us &&
        windows->latency_count < windows->latency_capacity) {
        windows->latencies_us[windows->latency_count++] =
            latency_us < 0 ? 0 : latency_us > UINT32_MAX ? UINT32_MAX : (uint32_t)latency_us;
    }
}

uint64_t wr_bench_windows_missing(struct wr_bench_windows *windows)
{
    const uint64_t seen = atomic_load_explicit(&windows->events_seen, memory_order_acquire);
    return seen < windows->events_expected ? windows->events_expected - seen : 0;
}

size_t wr_bench_windows_wrong(const struct wr_bench_windows *windows)
{
    size_t wrong = 0;
    for (size_t w = 0; w < windows->count; w++) {
        const struct wr_bench_window *window = &windows->windows[w];
        wrong += window->events != window->events_expected ||
                 window->cents != window->cents_expected;
    }
    return wrong;
}

void wr_bench_windows_deinit(struct wr_bench_windows *windows)
{
    free(windows->windows);
    free(windows->latencies_us);
    free(windows->rows_first);
    free(windows->arrivals);
    windows->windows = NULL;
    windows->latencies_us = NULL;
    windows->rows_first = NULL;
    windows->arrivals = NULL;
}
