/* report.h: what a run tells at its end and on SIGUSR1: the --stats JSON and the summary on the terminal.
 * Threads: control. */
#ifndef WR_RUN_REPORT_H
#define WR_RUN_REPORT_H

#include "base/buf.h"
#include "run/pipeline.h"

/* Sums of all threads' counters at this moment. */
struct wr_totals {
    uint64_t events;
    uint64_t bytes;
    uint64_t late;
    uint64_t dead;
    uint64_t open_windows;
    uint64_t state_bytes;
    uint64_t state_peak_bytes;
    uint64_t split_pauses;
    uint64_t held_turns;
    int64_t lag;           /* records behind the sources' ends; -1 unknown */
    int64_t lag_ms;        /* the worst source that tells times; -1 unknown */
    int64_t watermark_us;  /* smallest of all sources; WR_TIME_MIN: none yet */
};
void wr_report_totals(const struct wr_pipeline *p, struct wr_totals *totals);

/* Latencies over all sinks. */
void wr_report_latency(const struct wr_pipeline *p, struct wr_histogram *result,
                       struct wr_histogram *durable);

/* Writes the --stats file (to a temporary name, then renamed). final: the run is over. */
void wr_report_stats(const struct wr_pipeline *p, bool final);

/* --stats, and the summary unless --quiet. */
void wr_report_end(const struct wr_pipeline *p, bool ok);

/* "librdkafka 2.8.0" and so on, one call each. */
void wr_report_versions(void (*show)(void *ctx, const char *library, const char *version), void *ctx);

/* 12,345,678 and 1.2 MB for people. into: 32 bytes. */
const char *wr_human_count(uint64_t n, char *into);
const char *wr_human_bytes(uint64_t n, char *into);

/* Most memory that the process has had resident. */
uint64_t wr_report_peak_rss_bytes(void);

#endif
