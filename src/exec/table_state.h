/* table_state.h: memory for what does not fit into a window's rows: sets, sketches, long texts.
 * Power-of-two classes, carved from slabs and kept for reuse, so that a steady state allocates
 * nothing.
 *
 * Ownership: the pool owns all blocks; free takes the size that alloc was given.
 * Threads: the worker that owns the operator.
 */
#ifndef WR_EXEC_TABLE_STATE_H
#define WR_EXEC_TABLE_STATE_H

#include <stddef.h>
#include <stdint.h>

/* Classes 16, 32, … 32 KiB; larger blocks go to malloc: they are few and the kernel should get
 * them back. */
#define WR_STATE_CLASSES 12u

struct wr_state_pool {
    void *free[WR_STATE_CLASSES];
    void *slabs;        /* list, through the first word */
    char *fresh;        /* unused rest of the newest slab */
    size_t fresh_bytes;
    size_t used_bytes;  /* handed out, rounded to classes */
};

void *wr_state_alloc(struct wr_state_pool *pool, size_t bytes); /* aligned to 16, not cleared */
void wr_state_free(struct wr_state_pool *pool, void *block, size_t bytes); /* NULL is fine */
void wr_state_deinit(struct wr_state_pool *pool); /* large blocks must have been freed */

#endif
