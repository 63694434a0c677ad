/* pubsub_held.h: the messages of a subscription that came and are not acknowledged yet: position -> ack id, and which message
 * ids they are, so that one that is delivered again meanwhile is known.
 *
 * A message's way:
 *   HELD      came, and its epoch is not committed         add, renew (delivered again: the newer ack id counts)
 *   SETTLED   committed: to be acknowledged                settle; wr_pubsub_held_retry: the answer was "again"
 *   ACKING    in an Acknowledge that is under way          wr_pubsub_held_take
 *   LOST      the service refused its ack id for good: it comes again, and is settled then by renew; forgotten after a while
 *   (gone)    acknowledged                                 wr_pubsub_held_done
 *
 * Ownership: the table owns its entries; pointers to them are valid while they are ACKING, else until the next call.
 * Threads: none; guarded by its user.
 * Invariants:
 *   (1) positions are given out one by one, in the order of add; first <= every entry's position < next
 *   (2) no two entries have one message id
 */
#ifndef WR_SOURCE_PUBSUB_HELD_H
#define WR_SOURCE_PUBSUB_HELD_H

#include "base/slice.h"
#include <stdint.h>

enum wr_pubsub_held_state { WR_PUBSUB_HELD, WR_PUBSUB_SETTLED, WR_PUBSUB_ACKING, WR_PUBSUB_LOST };

struct wr_pubsub_entry {
    struct wr_pubsub_entry *same; /* of the same bucket */
    uint64_t hash;
    int64_t position;
    int64_t lease_ns; /* since when the present lease runs; LOST: since when it is so */
    char *ack_id;
    uint32_t ack_bytes;
    uint16_t id_bytes;
    uint8_t state;
    bool renewed; /* ACKING: it came again under another ack id, which must be acknowledged as well */
    char id[];
};

struct wr_pubsub_held {
    struct wr_pubsub_entry **ring; /* by position; NULL: gone */
    uint64_t mask;
    int64_t first, settled, next;  /* SETTLED and beyond are before settled */
    struct wr_pubsub_entry **buckets;
    uint64_t bucket_mask;
    uint64_t count; /* entries */
    uint64_t ready; /* of them SETTLED */
    uint64_t bytes; /* that all this takes */
};

/* next: the first position to be given out. */
void wr_pubsub_held_init(struct wr_pubsub_held *held, int64_t next);
void wr_pubsub_held_deinit(struct wr_pubsub_held *held);

/* A message came. Its position; -1: it is known and was renewed. Ids of 65,535 bytes and more are cut off (the service's have 20). */
int64_t wr_pubsub_held_add(struct wr_pubsub_held *held, struct wr_slice id, struct wr_slice ack_id, int64_t lease_ns);
/* Everything before position is committed. */
void wr_pubsub_held_settle(struct wr_pubsub_held *held, int64_t position);
/* Takes SETTLED ones (they become ACKING): at most count, whose ids and framing have at most bytes (but one at least). */
uint32_t wr_pubsub_held_take(struct wr_pubsub_held *held, struct wr_pubsub_entry **into, uint32_t count, size_t bytes);
/* The outcome for an ACKING one. */
void wr_pubsub_held_done(struct wr_pubsub_held *held, struct wr_pubsub_entry *entry);
void wr_pubsub_held_retry(struct wr_pubsub_held *held, struct wr_pubsub_entry *entry);
void wr_pubsub_held_lose(struct wr_pubsub_held *held, struct wr_pubsub_entry *entry, int64_t now_ns);
/* Forgets LOST ones since before then. */
void wr_pubsub_held_forget(struct wr_pubsub_held *held, int64_t before_ns);
/* Walks those of [from, next) that have an ack id and no answer under way; NULL: no more. *from: where to go on. */
struct wr_pubsub_entry *wr_pubsub_held_walk(const struct wr_pubsub_held *held, int64_t *from);

#endif
