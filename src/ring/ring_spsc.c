/* ring_spsc.c: see ring_spsc.h. */
#include "ring/ring_spsc.h"

#include "base/assert.h"
#include <stddef.h>

static uint32_t min_count(uint32_t count, uint64_t limit)
{
    return count < limit ? count : (uint32_t)limit;
}

void wr_ring_init(struct wr_ring *ring, void **slots, uint32_t capacity)
{
    wr_assert(capacity > 0 && (capacity & (capacity - 1)) == 0);
    atomic_init(&ring->pushed, 0);
    ring->popped_seen = 0;
    atomic_init(&ring->popped, 0);
    ring->pushed_seen = 0;
    ring->slots = slots;
    ring->mask = capacity - 1;
}

uint32_t wr_ring_push(struct wr_ring *ring, void *const *items, uint32_t count)
{
    const uint64_t pushed = atomic_load_explicit(&ring->pushed, memory_order_relaxed);
    const uint64_t capacity = ring->mask + 1;

    /* Touch the consumer's cache line only when the last look at it says we may not fit. */
    if (pushed + count > ring->popped_seen + capacity) {
        /* Acquire pairs with wr_ring_pop's release: those slots have been read before reuse. */
        ring->popped_seen = atomic_load_explicit(&ring->popped, memory_order_acquire);
    }
    wr_assert(pushed - ring->popped_seen <= capacity); /* (1) */

    const uint32_t taken = min_count(count, ring->popped_seen + capacity - pushed);
    for (uint32_t i = 0; i < taken; i++) {
        wr_dassert(items[i] != NULL);
        ring->slots[(pushed + i) & ring->mask] = items[i];
    }
    /* One release publishes the whole run: slots first, then the count that uncovers them. */
    atomic_store_explicit(&ring->pushed, pushed + taken, memory_order_release);
    return taken;
}

/* How many items lie there for the consumer, looking at the producer's line only for want of
 * them. */
static uint64_t available(struct wr_ring *ring, uint64_t popped, uint32_t wanted)
{
    if (ring->pushed_seen - popped < wanted) {
        /* Acquire pairs with wr_ring_push's release: the slots below pushed are filled. */
        ring->pushed_seen = atomic_load_explicit(&ring->pushed, memory_order_acquire);
    }
    wr_assert(ring->pushed_seen - popped <= ring->mask + 1); /* (1) */
    return ring->pushed_seen - popped;
}

uint32_t wr_ring_pop(struct wr_ring *ring, void **items, uint32_t count)
{
    const uint64_t popped = atomic_load_explicit(&ring->popped, memory_order_relaxed);
    const uint32_t taken = min_count(count, available(ring, popped, count));
    for (uint32_t i = 0; i < taken; i++) {
        items[i] = ring->slots[(popped + i) & ring->mask];
    }
    /* Release pairs with wr_ring_push's acquire: the slots are free only once they have been
     * read. */
    atomic_store_explicit(&ring->popped, popped + taken, memory_order_release);
    return taken;
}

void *wr_ring_peek(struct wr_ring *ring)
{
    const uint64_t popped = atomic_load_explicit(&ring->popped, memory_order_relaxed);
    return available(ring, popped, 1) == 0 ? NULL : ring->slots[popped & ring->mask];
}

uint32_t wr_ring_room(struct wr_ring *ring)
{
    const uint64_t pushed = atomic_load_explicit(&ring->pushed, memory_order_relaxed);
    /* Acquire as in wr_ring_push, which may rely on what is seen here. */
    ring->popped_seen = atomic_load_explicit(&ring->popped, memory_order_acquire);
    return (uint32_t)(ring->popped_seen + ring->mask + 1 - pushed);
}

uint32_t wr_ring_depth(const struct wr_ring *ring)
{
    /* popped first: read the other way round, the difference could come out negative. */
    const uint64_t popped = atomic_load_explicit(&ring->popped, memory_order_acquire);
    const uint64_t pushed = atomic_load_explicit(&ring->pushed, memory_order_relaxed);
    const uint64_t capacity = ring->mask + 1;
    return (uint32_t)(pushed - popped < capacity ? pushed - popped : capacity);
}
