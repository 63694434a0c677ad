/* ring_spsc.h: a bounded ring of pointers between exactly two threads.
 *
 * Ownership: push moves the caller's references in, pop moves them out. What a full ring did not take
 * stays with the caller; that refusal is Weir's backpressure.
 * Threads: push only on the producer, pop only on the consumer. The ring never blocks or wakes;
 * run/worker.c decides when to sleep.
 * Invariants, over the counts of items ever pushed and popped:
 *   (1) popped <= pushed <= popped + capacity
 *   (2) slots[i & mask] holds a live item exactly when popped <= i < pushed
 *   (3) popped_seen <= popped and pushed_seen <= pushed: stale is safe, it only under-reports
 */
#ifndef WR_RING_SPSC_H
#define WR_RING_SPSC_H

#include "base/limits.h"
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct wr_ring {
    alignas(WR_CACHE_LINE) _Atomic uint64_t pushed; /* stored by the producer only */
    uint64_t popped_seen;
    alignas(WR_CACHE_LINE) _Atomic uint64_t popped; /* stored by the consumer only */
    uint64_t pushed_seen;
    alignas(WR_CACHE_LINE) void **slots; /* this line is read-only after init */
    uint64_t mask;
};
_Static_assert(sizeof(struct wr_ring) == 3 * WR_CACHE_LINE, "one line per writer, one shared");

/* capacity: a power of two. slots: capacity entries, borrowed until the ring is done with. */
void wr_ring_init(struct wr_ring *ring, void **slots, uint32_t capacity);

/* Moves a prefix of items[0..count) in; returns how many. @thread producer */
uint32_t wr_ring_push(struct wr_ring *ring, void *const *items, uint32_t count);

/* Moves up to count items out, oldest first; returns how many. @thread consumer */
uint32_t wr_ring_pop(struct wr_ring *ring, void **items, uint32_t count);

/* The oldest item without taking it, NULL when empty. @thread consumer */
void *wr_ring_peek(struct wr_ring *ring);

/* Free slots, at least. @thread producer */
uint32_t wr_ring_room(struct wr_ring *ring);

/* A moment's guess for metrics. @thread any */
uint32_t wr_ring_depth(const struct wr_ring *ring);

#endif
