#include "run/lane.h"

#include "base/assert.h"
#include "base/heap.h"

void wr_lane_init(struct wr_lane *lane, uint32_t capacity, uint32_t wake_depth,
                  struct wr_io *consumer)
{
    lane->slots = wr_calloc(capacity, sizeof(void *));
    wr_ring_init(&lane->ring, lane->slots, capacity);
    lane->pending = NULL;
    lane->pending_tail = NULL;
    lane->pending_count = 0;
    lane->wake_depth = wake_depth;
    lane->wake_due = false;
    atomic_init(&lane->starving, false);
    lane->consumer = consumer;
}

void wr_lane_deinit(struct wr_lane *lane)
{
    free(lane->slots);
    lane->slots = NULL;
}

/* (3) */
static bool push(struct wr_lane *lane, struct wr_envelope *envelope)
{
    const bool urgent = envelope->kind != WR_ENVELOPE_ROWS; /* read before the consumer may change it */
    void *item = envelope;
    if (wr_ring_push(&lane->ring, &item, 1) == 0) {
        return false;
    }
    if (lane->wake_depth > 0 && !lane->wake_due) {
        lane->wake_due = urgent || lane->wake_depth == 1 ||
                         wr_ring_depth(&lane->ring) >= lane->wake_depth;
    }
    return true;
}

void wr_lane_send(struct wr_lane *lane, struct wr_envelope *envelope)
{
    if (lane->pending == NULL && push(lane, envelope)) {
        return;
    }
    envelope->next = NULL;
    if (lane->pending == NULL) {
        lane->pending = envelope;
    } else {
        lane->pending_tail->next = envelope;
    }
    lane->pending_tail = envelope;
    lane->pending_count++;
}

bool wr_lane_flush(struct wr_lane *lane)
{
    while (lane->pending != NULL) {
        struct wr_envelope *next = lane->pending->next; /* before the consumer may change it */
        if (!push(lane, lane->pending)) {
            lane->wake_due = lane->wake_depth > 0; /* full: whoever drains it should be awake */
            break;
        }
        lane->pending = next;
        lane->pending_count--;
    }
    /* Pairs with wr_lane_starve's fence: either this sees the flag, or the consumer sees what was pushed. */
    atomic_thread_fence(memory_order_seq_cst);
    if (lane->wake_due || atomic_load_explicit(&lane->starving, memory_order_relaxed)) {
        lane->wake_due = false;
        atomic_store_explicit(&lane->starving, false, memory_order_relaxed);
        wr_io_wake(lane->consumer);
    }
    return lane->pending == NULL;
}

bool wr_lane_starve(struct wr_lane *lane)
{
    atomic_store_explicit(&lane->starving, true, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    if (wr_ring_peek(&lane->ring) == NULL) {
        return true;
    }
    atomic_store_explicit(&lane->starving, false, memory_order_relaxed);
    return false;
}

struct wr_envelope *wr_lane_pop(struct wr_lane *lane)
{
    void *item = NULL;
    return wr_ring_pop(&lane->ring, &item, 1) == 1 ? item : NULL;
}

struct wr_envelope *wr_envelope_take(struct wr_envelope_stock *stock, enum wr_envelope_kind kind,
                                     uint32_t target)
{
    struct wr_envelope *envelope = stock->free;
    if (envelope != NULL) {
        stock->free = envelope->next;
    } else {
        envelope = wr_malloc(sizeof *envelope);
    }
    *envelope = (struct wr_envelope){ .kind = kind, .target = target };
    return envelope;
}

void wr_envelope_give(struct wr_envelope_stock *stock, struct wr_envelope *envelope)
{
    wr_assert(envelope->batch == NULL);
    envelope->next = stock->free;
    stock->free = envelope;
}

void wr_envelope_stock_deinit(struct wr_envelope_stock *stock)
{
    while (stock->free != NULL) {
        struct wr_envelope *envelope = stock->free;
        stock->free = envelope->next;
        free(envelope);
    }
}
