/* spool.h: bodies of one split, written to disk before they are answered for, and read again by the
 * next run (internal to the connector 'http').
 *
 * A split's spool is a row of segment files `SPLIT-POSITION.spool`: frames one after the other, whose
 * positions count on through all segments; POSITION (20 digits) is that of the segment's first
 * frame. A frame (little endian):
 *
 *     OFFSET  SIZE  FIELD
 *          0     4  "WSP1"
 *          4     4  CRC-32C of what follows
 *          8     8  n: bytes of the body
 *         16     8  when it arrived: microseconds since 1970
 *         24     n  the body
 *
 * Appends go out in batches: all bodies that came while the last batch was on its way share one
 * write and one sync (group commit). A failed batch leaves its segment: the next one begins a new
 * segment at the same position, and where a segment begins the one before it ends, whatever stands
 * behind in it.
 *
 * Ownership: the spool owns its files; bodies are borrowed until their batch is over.
 * Threads: open on control; append, turn and read on the worker; wr_spool_forget on control at any
 * time (lock).
 * Invariants:
 *   (1) bytes [first segment's position, end) are durable and hold whole frames
 *   (2) at most one batch is under way; it is written at end
 *   (3) the newest segment is never removed: it tells the position to the next run
 */
#ifndef WR_SOURCE_SPOOL_H
#define WR_SOURCE_SPOOL_H

#include "base/buf.h"
#include "io/loop.h"
#include "source/source_block.h"
#include <pthread.h>

#define WR_SPOOL_FRAME_BYTES 24

struct wr_spool;

/* Opens a split's spool in directory (made where it is missing). start: the position that is
 * committed; -1: everything that is there is still to be read. */
WR_NODISCARD wr_status wr_spool_open(struct wr_spool **spool, const char *directory, uint32_t split,
                                     int64_t start, struct wr_error *err);
/* Nothing is under way (wr_spool_stop). NULL is fine. */
void wr_spool_close(struct wr_spool *spool);

/* Calls found for each split that has files in directory (a missing one has none). Returns 0 or an
 * errno. */
int wr_spool_find(const char *directory, void (*found)(void *ctx, uint32_t split), void *ctx);

/* Where reading begins: the start that was given, or the oldest frame. */
int64_t wr_spool_start(const struct wr_spool *spool);

/* ---- on the worker ---- */

/* Is no batch under way? */
bool wr_spool_is_idle(const struct wr_spool *spool);
/* Adds a body to the next batch; returns the position of its first byte. Only while idle. */
int64_t wr_spool_add(struct wr_spool *spool, const void *body, size_t bytes, int64_t arrived_us);
/* Bytes of the next batch. */
size_t wr_spool_added(const struct wr_spool *spool);
/* Writes and syncs what was added; done is called from the loop with 0 or an errno (then nothing of
 * the batch counts as written, and its positions are given again). It may add and commit anew. */
void wr_spool_commit(struct wr_spool *spool, struct wr_io *io, void (*done)(void *ctx, int error),
                     void *ctx);
/* What earlier runs left, body by body: WR_OK: *block (the caller's) holds the rest of one that
 * begins at or behind the start; WR_AGAIN: a read is under way in io, which will wake the worker; WR_END:
 * no more. */
WR_NODISCARD wr_status wr_spool_next(struct wr_spool *spool, struct wr_io *io,
                                     struct wr_block **block, int64_t *arrived_us,
                                     struct wr_error *err);
/* Waits for what is under way; done is called. */
void wr_spool_stop(struct wr_spool *spool, struct wr_io *io);

/* ---- on control ---- */

/* Removes segments that lie wholly before position. */
void wr_spool_forget(struct wr_spool *spool, int64_t position);

#endif
