#include "run/lane.h"

#include "base/assert.h"
#include "base/heap.h"

void wr_lane_init(struct wr_lane *lane, uint32_t capacity, struct wr_io *consumer)
{
    lane->slots = wr_calloc(capacity, sizeof(void *));
    wr_ring_init(&lane->ring, lane->slots, capacity);
    lane->pending = NULL;
    lane->pending_tail = NULL;
    lane->pending_count = 0;
    lane->wake_due = false;
    lane->consumer = consumer;
}

void wr_lane_deinit(struct wr_lane *lane)
{
    free(lane->slots);
    lane->slots = NULL;
}

void wr_lane_send(struct wr_lane *lane, struct wr_envelope *envelope)
{
    void *item = envelope;
    if (lane->pending == NULL && wr_ring_push(&lane->ring, &item, 1) == 1) {
        lane->wake_due = true;
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
        void *item = lane->pending;
        if (wr_ring_push(&lane->ring, &item, 1) == 0) {
            break;
        }
        lane->pending = next;
        lane->pending_count--;
        lane->wake_due = true;
    }
    if (lane->wake_due) {
        lane->wake_due = false;
        wr_io_wake(lane->consumer);
    }
    return lane->pending == NULL;
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
