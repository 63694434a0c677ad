/* worker.h: one worker: its loop, its scans, its operators, its lanes to the others.
 *
 * The turn (design.md, section 3): read the clock once; take home returned batches; drain inbound lanes; start or go on
 * with a barrier; poll sources if nothing is stuck; advance watermarks; emit; flush lanes; sleep in one place.
 * wr_worker_turn is a function of (state, completions, time): a test may step it without the thread.
 *
 * Barrier of an epoch on this worker, transitions and who performs them:
 *   NONE -> CUT         barrier_begin: positions and nothing new polled; BARRIER sent on exchanges fed by scans
 *   CUT -> ALIGNED(x)   barrier_advance: all others' BARRIER for exchange x seen; passed on
 *   … -> NONE           barrier_finish: after the last exchange: report to the board, BARRIER to sink workers
 * Invariants:
 *   (1) with pending envelopes on any lane no source is polled; inbound lanes are always drained, except
 *   (2) a lane whose BARRIER for its exchange is ahead of the others' is not drained until they have come
 *   (3) between CUT and the end of the barrier no source is polled
 */
#ifndef WR_RUN_WORKER_H
#define WR_RUN_WORKER_H

#include "run/lane.h"
#include "run/scan.h"

/* What one source gave on this worker; outlives the scan for the report. */
struct wr_source_counters {
    struct wr_counter rows; /* read */
    struct wr_counter bytes;
    struct wr_counter late;
    struct wr_counter dead;
    struct wr_counter pauses; /* splits held back for lack of memory */
};

struct wr_worker {
    struct wr_pipeline *pipeline;
    uint32_t index;
    pthread_t thread;
    bool thread_started;
    struct wr_io *io;
    struct wr_exec *exec;
    struct wr_scan *scans; /* one per source */
    struct wr_side_rows *side;
    struct wr_envelope_stock stock;

    struct wr_lane *to_sinks;      /* [sink worker]; this worker produces */
    struct wr_lane *from_sinks;    /* [sink worker]; returns home */
    struct wr_lane *to_workers;    /* [exchange * workers + other]; this worker produces */
    struct wr_lane *home_to;       /* [other]: envelopes of others going home; this worker produces */

    struct wr_ledger_counts ***ledger; /* [sink * sources + source] -> by split, each allocated once */
    uint32_t *ledger_splits;

    /* barrier */
    uint64_t epoch_done;   /* newest epoch whose barrier has left this worker */
    uint64_t epoch_now;    /* 0: no barrier in progress */
    bool epoch_final;
    uint32_t exchanges_aligned;
    uint64_t *barrier_seen; /* [exchange * workers + from]: newest epoch */
    uint64_t *max_seen;     /* [exchange * workers + from]: 1 after the end watermark */
    struct wr_epoch_cut cut;
    struct wr_epoch_cut activations; /* since the last cut; only that list is used */
    struct wr_snapshot_writer *snapshot; /* of the epoch at hand; NULL without state */

    bool finished_told;
    bool step_more;
    int64_t last_now_ns;
    /* for other threads */
    struct wr_source_counters *source_counters; /* per source */
    struct wr_counter open_windows;
    struct wr_counter state_bytes;
    struct wr_counter state_peak_bytes; /* of all workers together, as this one has seen it */
    struct wr_counter pool_bytes;
    struct wr_counter turns;
    struct wr_counter changes; /* grows with all that an epoch could commit */
    struct wr_counter splits_opened;
    struct wr_counter held; /* turns in which a full lane kept sources from being polled */
    _Atomic int64_t *sink_watermark_us; /* per sink */
};

/* Control's part: what outlives the thread. @thread control */
void wr_worker_init(struct wr_worker *worker, struct wr_pipeline *pipeline, uint32_t index);
void wr_worker_deinit(struct wr_worker *worker); /* the thread has ended; zeroed is fine */

/* The thread opens its loop, lanes, scans and operators itself and waits at the pipeline's gate. @thread control */
WR_NODISCARD wr_status wr_worker_start(struct wr_worker *worker, struct wr_error *err);
void wr_worker_join(struct wr_worker *worker);

/* The thread's parts, for a pipeline that is stepped by one thread (stepped.h): in this order, each for all workers before the
 * next; closing likewise. */
WR_NODISCARD wr_status wr_worker_open_loop(struct wr_worker *worker, struct wr_error *err);
void wr_worker_open_lanes(struct wr_worker *worker);
WR_NODISCARD wr_status wr_worker_open_parts(struct wr_worker *worker, struct wr_error *err);
void wr_worker_drain_lanes(struct wr_worker *worker);
void wr_worker_close_parts(struct wr_worker *worker);

/* One turn without the sleep; returns the monotonic time until which it may sleep (now: not at all). */
int64_t wr_worker_turn(struct wr_worker *worker, struct wr_time now);

/* For wr_exec_host and scans. */
struct wr_ledger_counts *wr_worker_ledger(struct wr_worker *worker, uint32_t sink, uint32_t source,
                                          uint32_t split);
void wr_worker_emit(void *worker, uint32_t sink, struct wr_batch *batch);

#endif
