/* exec.h: the operators of a plan on one worker, pushed by run (interface).
 *
 * One wr_exec per worker holds its instance of every operator. Rows enter at scans, leave through the host's emit
 * (to a sink) or send (to another worker); window state lives in between. The worker's turn drives it:
 *
 *   push(source, batch)       rows of one split, in order; their origin says how late is late
 *   watermark(source, wm)     this worker's minimum over its active splits of that source
 *   receive(exchange, from, message)   from another worker's ring: rows, watermark or barrier
 *   step(budget)              closes windows in bounded chunks; true while there is more
 *   barrier(epoch)            flushes what is cached before exchanges, sends barriers
 *
 * Ownership: push takes over one reference of the batch; emit and send give one away. receive only BORROWS the message
 * and its batch for the call: the batch belongs to another worker's pool, whose counts this thread must not touch; run
 * sends it home afterwards. (With one worker exec calls itself and releases as usual.)
 * Threads: the worker. wr_exec never waits and never sees a full ring: run holds what a ring does not take and stops
 * polling sources.
 * Invariants:
 *   (1) a watermark is forwarded only after all results that it releases
 *   (2) lateness is judged before any exchange, row by row, by the row's own split (design.md, "late")
 *   (3) what a window holds depends only on the rows and their origins, never on batch borders, workers or timing
 *   (4) after barrier(epoch) no row before the cut is cached before an exchange
 *   (5) with one worker nothing is exchanged: partials are the final state
 *
 * Snapshots (config.snapshots): at a barrier each WINDOW node whose query takes part in the epoch tells the host what changed in
 * its state since its last snapshot, as self-delimiting records (window_snapshot.h tells their format). They are about keys,
 * never about workers: any number of workers can restore them, each takes its own shards.
 *   (6) all records of a node up to epoch E, applied in epoch order, give its state at E's cut; those of epochs before
 *       wr_exec_snapshot_base of all workers are not needed any more
 *   (7) after restore the operators behave as if the process had never ended
 *   (8) what wr_exec_snapshot_base, _needed and wr_exec_node_watermark tell is as of the node's last barrier: it belongs
 *       into the manifest of that epoch, together with the records
 */
#ifndef WR_EXEC_EXEC_H
#define WR_EXEC_EXEC_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "batch/batch.h"
#include "obs/ledger.h"
#include "plan/plan.h"

enum wr_exchange_kind { WR_EXCHANGE_ROWS, WR_EXCHANGE_WATERMARK, WR_EXCHANGE_BARRIER };

struct wr_exchange_message {
    enum wr_exchange_kind kind;
    uint32_t exchange;
    struct wr_batch *batch;  /* ROWS */
    int64_t watermark_us;    /* WATERMARK */
    uint64_t epoch;          /* BARRIER */
};

/* What run gives the operators. */
struct wr_exec_host {
    void *ctx;
    /* Results or rows for a sink. Takes the reference. sel may be set. closing_ingest_us: wall time at which the event that
     * released the result arrived (latency), or batch->ingest_us for plain rows. */
    void (*emit)(void *ctx, uint32_t sink, struct wr_batch *batch);
    /* To worker `to` (never oneself: exec handles its own share by a plain call). */
    void (*send)(void *ctx, uint32_t to, const struct wr_exchange_message *message);
    /* A late row of a source batch, for all sinks that are fed by this window (one call each; the ledger has been counted). */
    void (*late)(void *ctx, uint32_t sink, const struct wr_batch *batch, uint32_t row,
                 int64_t lateness_us);
    /* A row with an error (expression, NULL event time for a window), once for all sinks that the operator feeds.
     * batch->origin.source == UINT32_MAX: a result row. */
    void (*fault)(void *ctx, const uint32_t *sinks, uint32_t sink_count, const struct wr_batch *batch,
                  uint32_t row, const char *message, const char *field);
    /* The counts of (sink, source, split) on this worker; stable pointers. */
    struct wr_ledger_counts *(*ledger)(void *ctx, uint32_t sink, uint32_t source, uint32_t split);
    /* Whole records of node's snapshot of the epoch at hand, in pieces of about a MiB; copied by the callee. Called within
     * wr_exec_barrier and wr_exec_barrier_aligned only. Pieces may be joined, in order, but not cut. NULL without snapshots. */
    void (*snapshot)(void *ctx, uint32_t node, const void *records, size_t bytes);
};

struct wr_exec_config {
    uint32_t worker;        /* 0..workers-1 */
    uint32_t workers;
    uint32_t batch_rows;    /* capacity of batches that exec makes */
    uint64_t memory_bytes;  /* soft: pre-aggregation flushes earlier under it */
    bool snapshots;         /* host->snapshot is called; changes are tracked */
    const uint32_t *snapshot_every; /* per node: takes part in every n-th epoch (0 and 1: in each); borrowed */
};

struct wr_exec;

WR_NODISCARD wr_status wr_exec_create(struct wr_exec **exec, const struct wr_plan *plan,
                                      const struct wr_exec_config *config,
                                      const struct wr_exec_host *host, struct wr_error *err);
void wr_exec_destroy(struct wr_exec *exec); /* NULL is fine; all batches it emitted must be home */

/* now: this turn's clock. @thread worker */
void wr_exec_push(struct wr_exec *exec, uint32_t source, struct wr_batch *batch, struct wr_time now);

/* This worker's watermark of a source; only ever grows. WR_TIME_MAX: the source has ended here. trigger_ingest_us: arrival
 * time of the event that moved it (for latency of results). */
void wr_exec_watermark(struct wr_exec *exec, uint32_t source, int64_t watermark_us,
                       int64_t trigger_ingest_us, struct wr_time now);

/* A message from another worker. BARRIER: run calls it only when the barriers of all other workers and its own have come
 * for that exchange (see wr_exec_barrier). */
void wr_exec_receive(struct wr_exec *exec, uint32_t from, const struct wr_exchange_message *message,
                     struct wr_time now);

/* Starts the barrier of an epoch on this worker: flushes the caches of windows whose exchange is fed by scans only, and sends
 * BARRIER(exchange, epoch) for those to all other workers. With one worker: does everything at once.
 * run aligns: when all other workers' BARRIER for exchange x have arrived (their later messages wait in the rings), it calls
 * wr_exec_barrier_aligned(x), which snapshots and passes the barrier on to exchanges that x feeds. Between a worker's barrier and the
 * alignment of its last exchange run calls nothing but receive.
 * final: all nodes take part, whatever snapshot_every says. Emissions that are under way are finished before a node's snapshot. */
void wr_exec_barrier(struct wr_exec *exec, uint64_t epoch, bool final, struct wr_time now);
void wr_exec_barrier_aligned(struct wr_exec *exec, uint32_t exchange, uint64_t epoch,
                             struct wr_time now);

/* After the barrier of an epoch in which the node took part: the watermark through which its windows have been emitted
 * (WR_TIME_MIN: none). It goes into the manifest: restore needs it. All workers tell the same, except at the end of the input: the
 * manifest gets the greatest. With the end of the input (WR_TIME_MAX) it is the close time of the
 * newest window that was emitted instead, so that a later start can go on. */
int64_t wr_exec_node_watermark(const struct wr_exec *exec, uint32_t node);
/* The oldest epoch whose records this worker's state still needs; UINT64_MAX: none. */
uint64_t wr_exec_snapshot_base(const struct wr_exec *exec);
/* Finer: does this worker's state, as of its last barrier, need records of that epoch? A HOP with long windows keeps a few old epochs; those
 * between may go. An epoch's object can be deleted when no worker needs it. */
bool wr_exec_snapshot_needed(const struct wr_exec *exec, uint64_t epoch);

/* Restoring, before the first push and watermark: for each node that has state, its records in epoch order (of all workers of the past; this one
 * takes the keys of its shards), then wr_exec_restored. epoch: whose snapshot the records are of. WR_FAIL: they do not fit the node (FATAL). */
WR_NODISCARD wr_status wr_exec_restore(struct wr_exec *exec, uint32_t node, uint64_t epoch,
                                       const void *records, size_t bytes, struct wr_error *err);
/* watermark_us: what wr_exec_node_watermark told when the newest of them was taken. */
void wr_exec_restored(struct wr_exec *exec, uint32_t node, int64_t watermark_us);
/* What of a WINDOW node must stay the same for its records to be restored (kind, size, keys, aggregates with types), as one
 * line of JSON: {"kind":…,"keys":[…],"aggregates":[…],…}. Goes into the manifest; `weir plan` compares it. */
void wr_exec_fingerprint(const struct wr_plan *plan, uint32_t node, struct wr_buf *into);

/* One flag per sink: which the following pushes are not for (they have had these rows already: a replay for other sinks); NULL: none. Borrowed
 * until the next call. Operators that feed muted sinks alone do not see the rows; nothing is counted for muted sinks. Results of windows
 * are never muted: a window that has had the rows was not given them. */
void wr_exec_mute(struct wr_exec *exec, const bool *muted);

/* Emits results of closed windows: at most about budget rows; true when more is waiting. */
bool wr_exec_step(struct wr_exec *exec, uint32_t budget, struct wr_time now);

/* For metrics: open windows (window x key entries), state bytes, emitted watermark of a sink (WR_TIME_MIN: none). */
uint64_t wr_exec_open_windows(const struct wr_exec *exec);
uint64_t wr_exec_state_bytes(const struct wr_exec *exec);
int64_t wr_exec_sink_watermark(const struct wr_exec *exec, uint32_t sink);
/* The smallest event time that any open window or cached partial may hold (its window start; WR_TIME_MAX: nothing is open):
 * source positions whose rows are all older may be committed although there is no snapshot of the windows. */
int64_t wr_exec_oldest_open_us(const struct wr_exec *exec);

#endif
