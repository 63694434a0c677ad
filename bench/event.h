/* event.h: the click event that every benchmark uses, and the oracle's sums over it.
 *
 * An event is a pure function of (shape, index): any process that knows both can say what was
 * sent without keeping it. Events are about 155 bytes of JSON with 8 fields, always in the same
 * order: event_id, user_id, type, amount, country, page, device, ts (and, where asked for, pad, and
 * sent_us in open loop).
 * Ownership: nothing here allocates. Threads: a shape is read-only, totals belong to one thread.
 */
#ifndef WR_BENCH_EVENT_H
#define WR_BENCH_EVENT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    WR_BENCH_TYPES = 5,
    WR_BENCH_COUNTRIES = 20,
    WR_BENCH_USERS = 100000,
    WR_BENCH_PAD_BYTES_MAX = 64,
    WR_BENCH_EVENT_BYTES_MAX = 320, /* the longest event is below 230 bytes, and 74 of a pad */
};

/* 2025-01-01T00:00:00Z: a multiple of 100 s, so windows of 10 and 100 s start with the data. */
#define WR_BENCH_START_MS INT64_C(1735689600000)

struct wr_bench_shape {
    uint64_t seed;
    int64_t start_us;         /* event time of event 0, Unix microseconds */
    uint64_t rate;            /* events per second of event time; > 0 */
    uint32_t disorder_ppm;    /* share of events moved back by up to disorder_ms: not late */
    uint32_t disorder_ms;     /* > 0 when disorder_ppm is */
    uint32_t late_ppm;        /* share of events moved back by late_ms to 2 x late_ms */
    uint32_t late_ms;         /* > 0 when late_ppm is */
    uint32_t pad_bytes;       /* also write pad, so many random hex digits: bigger rows; 0: none */
    int stamp_sent;           /* also write sent_us, the intended send time */
};

struct wr_bench_event {
    uint64_t id;
    uint32_t user_id;
    uint32_t amount_cents;
    uint16_t page;
    uint8_t type;
    uint8_t country;
    uint8_t device;
    uint8_t disordered;
    uint8_t late;
    int64_t intended_us; /* when the event should leave; its event time before disorder */
    int64_t ts_ms;
};

struct wr_bench_group {
    uint64_t events;
    uint64_t amount_cents;
};

struct wr_bench_totals {
    uint64_t events;
    uint64_t bytes;
    uint64_t amount_cents;
    uint64_t user_id_sum;
    uint64_t page_sum;
    uint64_t device_bytes;
    int64_t ts_offset_sum; /* of ts_ms - WR_BENCH_START_MS */
    uint64_t event_id_xor; /* with the count: every event once, whatever the order */
    uint64_t disordered;
    uint64_t late;
    int64_t ts_ms_min;
    int64_t ts_ms_max;
    struct wr_bench_group groups[WR_BENCH_TYPES][WR_BENCH_COUNTRIES];
};

extern const char *const wr_bench_types[WR_BENCH_TYPES];
extern const char *const wr_bench_countries[WR_BENCH_COUNTRIES];

/* The intended time of event index: exact for every index below 2^63 / 10^6. */
int64_t wr_bench_event_intended_us(const struct wr_bench_shape *shape, uint64_t index);

void wr_bench_event_make(const struct wr_bench_shape *shape, uint64_t index,
                         struct wr_bench_event *event);

/* Writes the event as JSON without a line end into out, which holds WR_BENCH_EVENT_BYTES_MAX
 * bytes; returns the length. */
size_t wr_bench_event_format(const struct wr_bench_shape *shape,
                             const struct wr_bench_event *event, char *out);

void wr_bench_totals_add(struct wr_bench_totals *totals, const struct wr_bench_event *event,
                         size_t bytes);

/* Prints the totals as JSON members ("events": …, "groups": […]) without the outer braces. */
void wr_bench_totals_print(const struct wr_bench_totals *totals, FILE *out);

#endif
