/* pace.c: see pace.h. */
#include "source/pace.h"

void wr_pace_start(struct wr_pace *p, struct wr_time now, int64_t rate, int64_t rows,
                   int64_t duration_us, uint32_t splits, int64_t start_us)
{
    *p = (struct wr_pace){ .rate = rate,
                           .rows = rows > 0 ? (uint64_t)rows : UINT64_MAX,
                           .until_ns = INT64_MAX,
                           .splits = splits,
                           .given_times = start_us != 0,
                           .start_us = start_us != 0 ? start_us : now.wall_us,
                           .start_ns = now.mono_ns };
    if (duration_us > 0 && rate > 0) {
        const uint64_t most = (uint64_t)((__int128)duration_us * rate / WR_US_PER_S);
        p->rows = most < p->rows ? most : p->rows;
    } else if (duration_us > 0) {
        p->until_ns = now.mono_ns + duration_us * 1000;
    }
}

/* Rows n < all with n % splits == split. */
static uint64_t rows_of(const struct wr_pace *p, uint32_t split, uint64_t all)
{
    return all > split ? (all - split - 1) / p->splits + 1 : 0;
}

uint64_t wr_pace_due(const struct wr_pace *p, uint32_t split, struct wr_time now)
{
    uint64_t all = p->rows;
    if (p->rate > 0) {
        const int64_t elapsed = now.mono_ns - p->start_ns;
        const unsigned __int128 due =
            elapsed < 0 ? 0 : (unsigned __int128)elapsed * (uint64_t)p->rate / WR_NS_PER_S + 1;
        all = due < p->rows ? (uint64_t)due : p->rows;
    } else if (now.mono_ns >= p->until_ns) {
        all = 0;
    }
    return rows_of(p, split, all);
}

bool wr_pace_ended(const struct wr_pace *p, uint32_t split, uint64_t given, struct wr_time now)
{
    if (now.mono_ns >= p->until_ns) {
        return true;
    }
    return p->rows != UINT64_MAX && given >= rows_of(p, split, p->rows);
}

int64_t wr_pace_offset_us(const struct wr_pace *p, uint64_t n)
{
    if (p->rate == 0) {
        return (int64_t)n; /* a million rows a second of event time */
    }
    return (int64_t)((unsigned __int128)n * WR_US_PER_S / (uint64_t)p->rate);
}

int64_t wr_pace_at_ns(const struct wr_pace *p, uint64_t n)
{
    if (p->rate == 0) {
        return p->start_ns;
    }
    return p->start_ns + (int64_t)((unsigned __int128)n * WR_NS_PER_S / (uint64_t)p->rate);
}
