/* lane.h: one direction between two threads of a pipeline: an SPSC ring of envelopes plus what did not fit.
 *
 * Ownership: an envelope belongs to the worker that made it (its home). It travels to another thread, is handled there
 * and comes back on a return lane, where the home worker releases the batch and keeps the envelope for reuse.
 * Threads: send, flush and pending on the producer; pop and peek on the consumer.
 * Invariants:
 *   (1) order is kept: nothing is pushed past what is pending
 *   (2) pending is bounded by what one turn of a worker can make, because a worker with pending envelopes does not poll
 *   (3) a consumer that sleeps is woken for what it waits for, not for each envelope: barriers and watermarks at once; rows when
 *       wake_depth of them lie there (1 where latency counts; more for bulk sinks, which look by themselves every few
 *       milliseconds); what goes home only when the home worker said that it starves
 */
#ifndef WR_RUN_LANE_H
#define WR_RUN_LANE_H

#include "batch/batch.h"
#include "io/loop.h"
#include "ring/ring_spsc.h"
#include <stdatomic.h>

enum wr_envelope_kind { WR_ENVELOPE_ROWS, WR_ENVELOPE_WATERMARK, WR_ENVELOPE_BARRIER };

struct wr_envelope {
    enum wr_envelope_kind kind;
    uint32_t target; /* ROWS to a sink: its index; on exchange lanes: the exchange */
    struct wr_batch *batch;
    int64_t watermark_us;
    uint64_t epoch;
    bool final; /* BARRIER: the last epoch of the run, every sink takes part */
    struct wr_envelope *next;
};

struct wr_lane {
    struct wr_ring ring;
    void **slots;
    struct wr_envelope *pending; /* oldest first */
    struct wr_envelope *pending_tail;
    uint32_t pending_count;
    uint32_t wake_depth; /* rows: wake the consumer when so many lie there; 0: only when starving */
    bool wake_due;
    atomic_bool starving; /* set by the consumer before it sleeps without room or envelopes */
    struct wr_io *consumer; /* woken by flush; not owned */
};

/* capacity: a power of two. */
void wr_lane_init(struct wr_lane *lane, uint32_t capacity, uint32_t wake_depth,
                  struct wr_io *consumer);
void wr_lane_deinit(struct wr_lane *lane); /* zeroed is fine; it must be empty */

void wr_lane_send(struct wr_lane *lane, struct wr_envelope *envelope);
/* Pushes what fits and wakes the consumer if anything was pushed; true when nothing is pending. */
bool wr_lane_flush(struct wr_lane *lane);
static inline bool wr_lane_clear(const struct wr_lane *lane)
{
    return lane->pending == NULL;
}
struct wr_envelope *wr_lane_pop(struct wr_lane *lane); /* NULL when empty */
/* The consumer is about to sleep and needs what comes on this lane: the next flush wakes it. False: something lies there
 * already, do not sleep. @thread consumer */
bool wr_lane_starve(struct wr_lane *lane);

/* Envelopes of one worker, reused. */
struct wr_envelope_stock {
    struct wr_envelope *free;
};
struct wr_envelope *wr_envelope_take(struct wr_envelope_stock *stock, enum wr_envelope_kind kind,
                                     uint32_t target);
void wr_envelope_give(struct wr_envelope_stock *stock, struct wr_envelope *envelope);
void wr_envelope_stock_deinit(struct wr_envelope_stock *stock);

#endif
