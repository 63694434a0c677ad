/* sink_worker.h: a thread that encodes, compresses, writes and uploads, so that none of it delays a window.
 *
 * It drains one lane per worker, gives batches to its writers and sends them home, prepares its writers when the barrier of
 * all workers has come, and publishes when control has committed.
 * Threads: its own; it may wait (back-off, HTTP, fsync).
 * Invariants:
 *   (1) a lane whose barrier has come is not drained until all lanes' have: no row of epoch E+1 is in a writer at prepare(E)
 *   (2) a batch goes home exactly once, after write has returned for good
 */
#ifndef WR_RUN_SINK_WORKER_H
#define WR_RUN_SINK_WORKER_H

#include "run/lane.h"
#include "run/pipeline.h"

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
    uint64_t epoch_every;       /* takes part in every n-th epoch */
    uint64_t prepared;          /* newest prepared epoch */
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
};

/* @thread control */
void wr_sink_worker_init(struct wr_sink_worker *sink_worker, struct wr_pipeline *pipeline,
                         uint32_t index);
void wr_sink_worker_deinit(struct wr_sink_worker *sink_worker); /* zeroed is fine */
WR_NODISCARD wr_status wr_sink_worker_start(struct wr_sink_worker *sink_worker, struct wr_error *err);
void wr_sink_worker_join(struct wr_sink_worker *sink_worker);

#endif
