/* sink_worker.h: a thread that encodes, compresses, writes and uploads, so that none of it delays a window.
 *
 * It drains one lane per worker, gives batches to its writers and sends them home, prepares its writers when the barrier of
 * all workers has come, and publishes when control has committed.
 * The turn is a function of (state, completions, time), as a worker's: what fails with RETRY is tried again in a later turn, the lanes
 * wait meanwhile. Writers themselves may wait (HTTP, fsync).
 *
 * Work of a turn, in this order, each only when the one before it is done:
 *   recover   once: lane 0 of each sink publishes what the manifest found committed (design.md, section 4, invariant 4)
 *   drain     rows into writers
 *   prepare   when all workers' barriers have come
 *   publish   when control has committed
 * Threads: its own. Invariants:
 *   (1) a lane whose barrier has come is not drained until all lanes' have: no row of epoch E+1 is in a writer at prepare(E)
 *   (2) a batch goes home exactly once, after write has returned for good
 */
#ifndef WR_RUN_SINK_WORKER_H
#define WR_RUN_SINK_WORKER_H

#include "run/lane.h"
#include "run/pipeline.h"
#include "run/policy.h"

/* Rows that became durable at a publish: how many arrived when (latency). */
struct wr_arrival {
    int64_t ingest_us;
    uint64_t rows;
};

struct wr_sink_slot {
    uint32_t sink; /* of the plan */
    const struct wr_sink_ops *ops;
    struct wr_writer *writer;
    struct wr_sink_worker *worker;
    int64_t next_tick_ns;
    uint32_t lane;
    atomic_bool recovered;
    uint64_t prepared;          /* newest prepared epoch */
    uint64_t published;         /* newest published epoch of this writer */
    struct wr_buf receipt;      /* of it */
    struct wr_arrival *arrivals; /* transactional: written since the last prepare, then until publish */
    uint32_t arrival_count;
    uint32_t arrival_capacity;
    uint32_t arrivals_prepared; /* how many of them the prepared epoch covers */
    /* for other threads */
    struct wr_counter rows;
    struct wr_counter files;
    struct wr_counter bytes;
    struct wr_counter held_bytes;
    _Atomic uint64_t published_epoch;
    struct wr_histogram result_us;  /* event -> result */
    struct wr_histogram durable_us; /* event -> durable */
};

struct wr_sink_worker {
    struct wr_pipeline *pipeline;
    uint32_t index;
    pthread_t thread;
    bool thread_started;
    struct wr_io *io;
    struct wr_sink_slot *slots; /* writers of this thread */
    uint32_t slot_count;
    uint64_t *barrier_seen; /* per worker: newest epoch on its lane */
    uint64_t prepared;
    uint64_t published;
    bool final;
    /* a batch whose writer could not take it yet */
    struct wr_envelope *stuck;
    uint32_t stuck_from; /* worker */
    struct wr_backoff backoff;
    int64_t retry_ns; /* nothing that may fail before then; 0: at once */
};

/* @thread control */
void wr_sink_worker_init(struct wr_sink_worker *sink_worker, struct wr_pipeline *pipeline,
                         uint32_t index);
void wr_sink_worker_deinit(struct wr_sink_worker *sink_worker); /* zeroed is fine */
WR_NODISCARD wr_status wr_sink_worker_start(struct wr_sink_worker *sink_worker, struct wr_error *err);
void wr_sink_worker_join(struct wr_sink_worker *sink_worker);

/* The thread's parts, for a pipeline that is stepped by one thread (stepped.h). */
WR_NODISCARD wr_status wr_sink_worker_open_loop(struct wr_sink_worker *sink_worker,
                                                struct wr_error *err);
WR_NODISCARD wr_status wr_sink_worker_open(struct wr_sink_worker *sink_worker, struct wr_error *err);
void wr_sink_worker_close(struct wr_sink_worker *sink_worker);
/* One turn without the sleep; returns the monotonic time until which it may sleep (now: not at all). */
int64_t wr_sink_worker_turn(struct wr_sink_worker *sink_worker, struct wr_time now);

/* The receipts that all lanes of a sink left for an epoch; count of them in *count; the array is the caller's to free. After
 * wr_epoch_prepared of all sink workers and before the epoch is published. @thread control, sink worker */
struct wr_receipt *wr_sink_receipts(const struct wr_pipeline *pipeline, uint32_t sink, uint64_t epoch,
                                    uint32_t *count);

#endif
