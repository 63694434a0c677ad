/* snapshot.h: the object that holds what one worker's keyed state changed in one epoch (interface).
 *
 * Layout, little endian: "WRSN" u32 version=1; then blocks; then an end block. Block: u32 name bytes, name (the operator's; empty in the
 * end block), u32 raw bytes, u32 packed bytes, u32 CRC32C of the packed bytes, the packed bytes (one zstd frame, level 1). The end block has
 * raw bytes = number of blocks, no bytes, and as CRC that of all that is not packed bytes before it (magic, version and the blocks'
 * headers). Records told by one call stay in one block. Blocks of one operator follow each other in the order in which they were told.
 * Ownership: the writer owns its buffers; what read calls back with is borrowed for the call. Threads: one at a time.
 * Invariants: (1) a truncated or changed object is told as such, never restored in part: read checks all before it calls back
 */
#ifndef WR_STATE_SNAPSHOT_H
#define WR_STATE_SNAPSHOT_H

#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include <stdbool.h>

struct wr_snapshot_writer;

struct wr_snapshot_writer *wr_snapshot_writer_create(void);
void wr_snapshot_writer_destroy(struct wr_snapshot_writer *writer); /* NULL is fine */
/* Gathers records in blocks of about a MiB. Cheap for the caller: memory grows by what is told, and from a few MiB on by what that
 * packs to (some milliseconds a block). @thread worker */
void wr_snapshot_add(struct wr_snapshot_writer *writer, const char *operator_name, const void *records,
                     size_t bytes);
bool wr_snapshot_is_empty(const struct wr_snapshot_writer *writer);
uint64_t wr_snapshot_raw_bytes(const struct wr_snapshot_writer *writer);
/* Compresses and appends the whole object; the writer is empty afterwards. @thread control */
WR_NODISCARD wr_status wr_snapshot_finish(struct wr_snapshot_writer *writer, struct wr_buf *object,
                                          struct wr_error *err);

/* Calls found for each block; its WR_FAIL ends the walk. */
WR_NODISCARD wr_status wr_snapshot_read(struct wr_slice object,
                                        wr_status (*found)(void *ctx, const char *operator_name,
                                                           const void *records, size_t bytes,
                                                           struct wr_error *err),
                                        void *ctx, struct wr_error *err);
/* snapshot/%020d-OWNER-WORKER.wrsn */
void wr_snapshot_key(uint64_t epoch, const char *owner, uint32_t worker, char key[96]);
/* False when key is not a snapshot's. */
bool wr_snapshot_key_epoch(const char *key, uint64_t *epoch);

#endif
