/* seen_set.h: which keys a source has seen within a span of event time: deduplicate_by (interface).
 *
 * One set per source, shared by all workers: the copies of an event may come through different splits. A key is 128 bits of XXH3 of its
 * value; it is kept until the watermark has passed its event time by `within`. 64 shards, a mutex each, taken once per run of
 * keys of that shard (callers bring whole batches).
 *
 * Exactly once: each worker logs what it put in; the log of the rows before its cut is its part of the epoch's snapshot. A row
 * that another worker put in behind that one's own cut is therefore not in the epoch, although it already hides its copies: after a
 * crash it is read again and lands, the copies before the cut stay filtered.
 * Ownership: the set owns its memory. Threads: any, per function.
 * Invariants:
 *   (1) of all rows with one key within the span exactly one call answers "new", in any interleaving
 *   (2) restoring the logs of all workers of all epochs up to E (from the base on) gives what the set knew at E's cut
 */
#ifndef WR_STATE_SEEN_SET_H
#define WR_STATE_SEEN_SET_H

#include "base/buf.h"
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

struct wr_seen_set;

struct wr_seen_key {
    uint64_t high, low;
    int64_t event_us; /* of the row */
};

/* within_us > 0; workers: who log. */
struct wr_seen_set *wr_seen_set_create(int64_t within_us, uint32_t workers);
/* Keys without an event time: event_us is the position of the row, a copy is one at any distance, and they are forgotten by
 * wr_seen_set_expire_before. */
struct wr_seen_set *wr_seen_set_create_by_position(uint32_t workers);
void wr_seen_set_destroy(struct wr_seen_set *set); /* NULL is fine */
/* Without state: nothing is logged, snapshot is never called. Before the first check. @thread any */
void wr_seen_set_log_nothing(struct wr_seen_set *set);

/* fresh[i] = no row of keys[i]'s key was there whose event time is at most `within` away, and now this one is. @thread worker */
void wr_seen_set_check(struct wr_seen_set *set, uint32_t worker, const struct wr_seen_key *keys,
                       uint32_t count, bool *fresh);
/* Forgets what the watermark has left behind; a bounded piece of work per call. watermark_us: the source's, over all its splits and
 * workers (a copy may still come through the slowest). @thread worker */
void wr_seen_set_expire(struct wr_seen_set *set, uint32_t worker, int64_t watermark_us);
/* Forgets keys of smaller positions. @thread worker */
void wr_seen_set_expire_before(struct wr_seen_set *set, uint32_t worker, int64_t position);
/* Appends this worker's log since the last call (records of snapshot.h) and empties it; also rewrites a part of the shards that this worker
 * owns, so that old epochs become unneeded. epoch: the one being cut; no worker may go on to the next before all have cut it.
 * @thread worker, at its cut */
void wr_seen_set_snapshot(struct wr_seen_set *set, uint32_t worker, uint64_t epoch, struct wr_buf *into);
/* The oldest epoch whose records are still needed, as of the newest cut, once all workers have cut it; UINT64_MAX: none was cut yet. At most
 * some 320 epochs behind. @thread any */
uint64_t wr_seen_set_base(struct wr_seen_set *set);
/* Before the start, in epoch order, all workers' records of each. @thread any, one at a time */
WR_NODISCARD wr_status wr_seen_set_restore(struct wr_seen_set *set, uint64_t epoch, const void *records,
                                           size_t bytes, struct wr_error *err);
uint64_t wr_seen_set_bytes(struct wr_seen_set *set);
uint64_t wr_seen_set_count(struct wr_seen_set *set);

#endif
