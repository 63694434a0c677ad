/* pace.h: when generated rows are due: an open loop that never waits for the reader.
 *
 * Row n is intended for start + n / rate. What could not be taken in time is given late with its
 * intended time: the schedule is never moved (no coordinated omission). With rate 0 rows are due at
 * once. Row n belongs to split n % splits, as its row n / splits.
 * Threads: read-only after wr_pace_start.
 */
#ifndef WR_SOURCE_PACE_H
#define WR_SOURCE_PACE_H

#include "base/clock.h"
#include <stdbool.h>

struct wr_pace {
    int64_t rate;      /* rows a second over all splits; 0: no limit */
    uint64_t rows;     /* in all; UINT64_MAX: no end */
    int64_t until_ns;  /* rate 0 with a duration: no row after; INT64_MAX: none */
    uint32_t splits;
    bool given_times;  /* rate 0: event times step by 1 us from start_us */
    int64_t start_us;  /* event time of row 0 */
    int64_t start_ns;
};

/* rows, duration_us: 0 is no limit. start_us 0: now. now: the moment of the first start, also when
 * it lies in a run before this one. */
void wr_pace_start(struct wr_pace *pace, struct wr_time now, int64_t rate, int64_t rows,
                   int64_t duration_us, uint32_t splits, int64_t start_us);

/* How many rows split has until now, from its first one on. */
uint64_t wr_pace_due(const struct wr_pace *pace, uint32_t split, struct wr_time now);
/* Has the split no row after the first `given`? */
bool wr_pace_ended(const struct wr_pace *pace, uint32_t split, uint64_t given, struct wr_time now);
/* Microseconds after start_us at which row n is intended. */
int64_t wr_pace_offset_us(const struct wr_pace *pace, uint64_t n);
/* Monotonic time of row n. */
int64_t wr_pace_at_ns(const struct wr_pace *pace, uint64_t n);

#endif
