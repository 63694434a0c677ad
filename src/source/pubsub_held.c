/* pubsub_held.c: see pubsub_held.h. The ring grows to the longest span of positions; the index is chained and grows with the
 * number of entries. */
#include "source/pubsub_held.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/heap.h"
#include <string.h>

#define RING_LEAST 1024u
#define FRAMING_BYTES 6u /* a field's number and length */

void wr_pubsub_held_init(struct wr_pubsub_held *held, int64_t next)
{
    *held = (struct wr_pubsub_held){ .mask = RING_LEAST - 1, .bucket_mask = RING_LEAST - 1, .first = next, .settled = next, .next = next };
    held->ring = wr_calloc(RING_LEAST, sizeof *held->ring);
    held->buckets = wr_calloc(RING_LEAST, sizeof *held->buckets);
    held->bytes = 2 * RING_LEAST * sizeof(void *);
}

static void free_entry(struct wr_pubsub_entry *entry)
{
    free(entry->ack_id);
    free(entry);
}

void wr_pubsub_held_deinit(struct wr_pubsub_held *held)
{
    for (int64_t p = held->first; held->ring != NULL && p < held->next; p++) {
        if (held->ring[(uint64_t)p & held->mask] != NULL) {
            free_entry(held->ring[(uint64_t)p & held->mask]);
        }
    }
    free(held->ring);
    free(held->buckets);
    *held = (struct wr_pubsub_held){ 0 };
}

static uint64_t cost_of(const struct wr_pubsub_entry *entry)
{
    return sizeof *entry + entry->id_bytes + entry->ack_bytes;
}

static struct wr_pubsub_entry *at(const struct wr_pubsub_held *held, int64_t position)
{
    return held->ring[(uint64_t)position & held->mask];
}

static void grow_ring(struct wr_pubsub_held *held)
{
    const uint64_t size = (held->mask + 1) * 2;
    struct wr_pubsub_entry **ring = wr_calloc(size, sizeof *ring);
    for (int64_t p = held->first; p < held->next; p++) {
        ring[(uint64_t)p & (size - 1)] = at(held, p);
    }
    free(held->ring);
    held->ring = ring;
    held->bytes += (size / 2) * sizeof *ring;
    held->mask = size - 1;
}

static void grow_buckets(struct wr_pubsub_held *held)
{
    const uint64_t size = (held->bucket_mask + 1) * 2;
    struct wr_pubsub_entry **buckets = wr_calloc(size, sizeof *buckets);
    for (uint64_t b = 0; b <= held->bucket_mask; b++) {
        for (struct wr_pubsub_entry *entry = held->buckets[b], *same; entry != NULL; entry = same) {
            same = entry->same;
            entry->same = buckets[entry->hash & (size - 1)];
            buckets[entry->hash & (size - 1)] = entry;
        }
    }
    free(held->buckets);
    held->buckets = buckets;
    held->bytes += (size / 2) * sizeof *buckets;
    held->bucket_mask = size - 1;
}

static void set_ack_id(struct wr_pubsub_held *held, struct wr_pubsub_entry *entry, struct wr_slice ack_id)
{
    held->bytes -= entry->ack_bytes;
    free(entry->ack_id);
    entry->ack_id = wr_malloc(ack_id.bytes + 1);
    memcpy(entry->ack_id, ack_id.data, ack_id.bytes);
    entry->ack_bytes = (uint32_t)ack_id.bytes;
    held->bytes += entry->ack_bytes;
}

static struct wr_pubsub_entry *find(const struct wr_pubsub_held *held, uint64_t hash, struct wr_slice id)
{
    struct wr_pubsub_entry *entry = held->buckets[hash & held->bucket_mask];
    while (entry != NULL && (entry->hash != hash || entry->id_bytes != id.bytes || memcmp(entry->id, id.data, id.bytes) != 0)) {
        entry = entry->same;
    }
    return entry;
}

static void renew(struct wr_pubsub_held *held, struct wr_pubsub_entry *entry, struct wr_slice ack_id, int64_t lease_ns)
{
    entry->renewed = entry->state == WR_PUBSUB_ACKING;
    if (entry->state == WR_PUBSUB_LOST) {
        entry->state = WR_PUBSUB_SETTLED;
        held->ready++;
    }
    entry->lease_ns = lease_ns;
    set_ack_id(held, entry, ack_id);
}

int64_t wr_pubsub_held_add(struct wr_pubsub_held *held, struct wr_slice id, struct wr_slice ack_id, int64_t lease_ns)
{
    id.bytes = id.bytes > UINT16_MAX ? UINT16_MAX : id.bytes;
    const struct wr_slice named = id.bytes > 0 ? id : ack_id; /* no service leaves the id out, but nothing may be lost */
    const uint64_t hash = wr_hash_bytes(named.data, named.bytes > UINT16_MAX ? UINT16_MAX : named.bytes);
    const struct wr_slice key = { named.data, named.bytes > UINT16_MAX ? UINT16_MAX : named.bytes };
    struct wr_pubsub_entry *entry = find(held, hash, key);
    if (entry != NULL) {
        renew(held, entry, ack_id, lease_ns);
        return -1;
    }
    if ((uint64_t)(held->next - held->first) > held->mask) {
        grow_ring(held);
    }
    if (held->count > held->bucket_mask) {
        grow_buckets(held);
    }
    entry = wr_calloc(1, sizeof *entry + key.bytes);
    entry->hash = hash;
    entry->position = held->next++; /* (1) */
    entry->lease_ns = lease_ns;
    entry->id_bytes = (uint16_t)key.bytes;
    memcpy(entry->id, key.data, key.bytes);
    entry->same = held->buckets[hash & held->bucket_mask];
    held->buckets[hash & held->bucket_mask] = entry;
    held->ring[(uint64_t)entry->position & held->mask] = entry;
    held->count++;
    held->bytes += cost_of(entry);
    set_ack_id(held, entry, ack_id);
    return entry->position;
}

void wr_pubsub_held_settle(struct wr_pubsub_held *held, int64_t position)
{
    position = position < held->next ? position : held->next;
    for (; held->settled < position; held->settled++) {
        struct wr_pubsub_entry *entry = at(held, held->settled);
        if (entry != NULL && entry->state == WR_PUBSUB_HELD) {
            entry->state = WR_PUBSUB_SETTLED;
            held->ready++;
        }
    }
}

uint32_t wr_pubsub_held_take(struct wr_pubsub_held *held, struct wr_pubsub_entry **into, uint32_t count, size_t bytes)
{
    uint32_t taken = 0;
    size_t used = 0;
    for (int64_t p = held->first; p < held->settled && taken < count && held->ready > 0; p++) {
        struct wr_pubsub_entry *entry = at(held, p);
        if (entry == NULL || entry->state != WR_PUBSUB_SETTLED) {
            continue;
        }
        if (taken > 0 && used + entry->ack_bytes + FRAMING_BYTES > bytes) {
            break;
        }
        used += entry->ack_bytes + FRAMING_BYTES;
        entry->state = WR_PUBSUB_ACKING;
        entry->renewed = false;
        held->ready--;
        into[taken++] = entry;
    }
    return taken;
}

static void drop(struct wr_pubsub_held *held, struct wr_pubsub_entry *entry)
{
    struct wr_pubsub_entry **link = &held->buckets[entry->hash & held->bucket_mask];
    while (*link != entry) {
        link = &(*link)->same;
    }
    *link = entry->same;
    held->ring[(uint64_t)entry->position & held->mask] = NULL;
    held->count--;
    held->bytes -= cost_of(entry);
    free_entry(entry);
    while (held->first < held->settled && at(held, held->first) == NULL) {
        held->first++;
    }
}

void wr_pubsub_held_retry(struct wr_pubsub_held *held, struct wr_pubsub_entry *entry)
{
    wr_assert(entry->state == WR_PUBSUB_ACKING);
    entry->state = WR_PUBSUB_SETTLED;
    entry->renewed = false;
    held->ready++;
}

void wr_pubsub_held_done(struct wr_pubsub_held *held, struct wr_pubsub_entry *entry)
{
    wr_assert(entry->state == WR_PUBSUB_ACKING);
    if (entry->renewed) {
        wr_pubsub_held_retry(held, entry);
    } else {
        drop(held, entry);
    }
}

void wr_pubsub_held_lose(struct wr_pubsub_held *held, struct wr_pubsub_entry *entry, int64_t now_ns)
{
    if (entry->renewed) {
        wr_pubsub_held_retry(held, entry);
        return;
    }
    entry->state = WR_PUBSUB_LOST;
    entry->lease_ns = now_ns;
}

void wr_pubsub_held_forget(struct wr_pubsub_held *held, int64_t before_ns)
{
    const int64_t end = held->settled;
    for (int64_t p = held->first; p < end; p++) {
        struct wr_pubsub_entry *entry = at(held, p);
        if (entry != NULL && entry->state == WR_PUBSUB_LOST && entry->lease_ns < before_ns) {
            drop(held, entry);
        }
    }
}

struct wr_pubsub_entry *wr_pubsub_held_walk(const struct wr_pubsub_held *held, int64_t *from)
{
    for (int64_t p = *from < held->first ? held->first : *from; p < held->next; p++) {
        struct wr_pubsub_entry *entry = at(held, p);
        if (entry != NULL && (entry->state == WR_PUBSUB_HELD || entry->state == WR_PUBSUB_SETTLED)) {
            *from = p + 1;
            return entry;
        }
    }
    *from = held->next;
    return NULL;
}
