/* windows.h: what an open-loop run's windows must hold, which event closes each, and what came.
 *
 * The events are a pure function of shape and index, so everything expected is computed, not
 * remembered. Windows are named by index: window w ends at first_end_ms + w x slide_ms.
 * Threads: wr_bench_windows_take on the results' tail, wr_bench_windows_missing on any other; the
 * rest before the tail starts or after it has stopped.
 */
#ifndef WR_BENCH_WINDOWS_H
#define WR_BENCH_WINDOWS_H

#include "event.h"

#include <stdatomic.h>

struct wr_bench_window {
    uint64_t events_expected;
    uint64_t cents_expected;
    uint64_t events;
    uint64_t cents;
    uint64_t rows;
};

/* Results of one window that were sent and could be read at the same moment. */
struct wr_bench_arrival {
    int64_t received_us;
    int64_t sent_ms; /* the message's own time: when its producer took it */
    int64_t end_ms;
    uint32_t rows;
};

struct wr_bench_windows {
    struct wr_bench_shape shape;
    uint64_t count_events;
    int partitions;
    int64_t size_ms;
    int64_t slide_ms;
    int64_t delay_ms;        /* the watermark's distance behind the newest event */
    int repeats;             /* a row may come again (at least once, over a crash), the same then */
    int64_t latencies_after_us; /* windows that end before are the warm-up */
    int64_t first_end_ms;
    size_t count;            /* windows that the run's events close */
    struct wr_bench_window *windows;
    uint32_t *latencies_us;  /* one per result row of the windows after the warm-up */
    size_t latency_count;
    size_t latency_capacity;
    struct wr_bench_group *rows_first; /* with repeats: per window, type and country; else NULL */
    uint64_t rows_repeated;
    uint64_t rows_changed;   /* came again as another one */
    struct wr_bench_arrival *arrivals; /* with repeats: in the order of arrival; else NULL */
    size_t arrival_count;
    size_t arrival_capacity;
    uint64_t rows_unread;    /* rows that could not be understood or named no window of the run */
    uint64_t before_cause;   /* rows that came before their closing event was due: a wrong clock */
    atomic_ullong events_seen; /* the sum over all windows, for the wait at the end */
    uint64_t events_expected;
};

/* shape, count_events, partitions, size_ms, slide_ms, delay_ms, repeats, latencies_after_us are set
 * by the caller; the start of the shape is a multiple of slide_ms. Returns 0, or -1 when out of memory. */
int wr_bench_windows_init(struct wr_bench_windows *windows);

/* Intended time of the event that closes the window: the last over the partitions of the first
 * event whose time is at or after the window's end plus the delay. */
int64_t wr_bench_windows_closing_us(const struct wr_bench_windows *windows, int64_t end_ms);

/* Takes a result row, JSON with window_end, events and revenue (with repeats: type and country). */
void wr_bench_windows_take(struct wr_bench_windows *windows, const char *row, size_t bytes,
                           int64_t sent_ms, int64_t received_us);

/* Events that the results do not hold yet. @thread any */
uint64_t wr_bench_windows_missing(struct wr_bench_windows *windows);

/* Windows whose counts or sums are not what they must be. */
size_t wr_bench_windows_wrong(const struct wr_bench_windows *windows);

void wr_bench_windows_deinit(struct wr_bench_windows *windows);

#endif
