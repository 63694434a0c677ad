/* counter.h: counters and gauges that one thread writes and any thread reads (relaxed atomics: each value
 * is right by itself, two values may be of different moments). No locked instructions. */
#ifndef WR_OBS_COUNTER_H
#define WR_OBS_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

struct wr_counter {
    _Atomic uint64_t value;
};

/* @thread the one writer */
static inline void wr_counter_add(struct wr_counter *c, uint64_t n)
{
    const uint64_t v = atomic_load_explicit(&c->value, memory_order_relaxed);
    atomic_store_explicit(&c->value, v + n, memory_order_relaxed);
}

/* @thread the one writer */
static inline void wr_counter_set(struct wr_counter *c, uint64_t v)
{
    atomic_store_explicit(&c->value, v, memory_order_relaxed);
}

/* @thread any */
static inline uint64_t wr_counter_get(const struct wr_counter *c)
{
    return atomic_load_explicit(&c->value, memory_order_relaxed);
}

#endif
