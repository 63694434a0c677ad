/* source_block.h: counted buffers that records borrow their bytes from, and the pool that bounds
 * them.
 *
 * Ownership: a block lives as long as somebody holds a reference; refs is a plain number of the
 * worker that owns the reader. A block of a pool goes back to it, one without (too long a line, an
 * HTTP body) is freed.
 * Threads: one at a time; a block without a pool may be made on another thread and handed over
 * whole.
 */
#ifndef WR_SOURCE_BLOCK_H
#define WR_SOURCE_BLOCK_H

#include "io/loop.h"
#include <stdbool.h>

struct wr_block_pool;

struct wr_block {
    struct wr_block *next; /* in the pool, or in its holder's queue */
    struct wr_block_pool *pool; /* NULL: freed at the last release */
    uint32_t refs;
    bool ready;       /* the read into it is over */
    size_t capacity;  /* of data */
    size_t begin;     /* bytes [begin, end) of data are filled; before them is headroom */
    size_t end;
    size_t wanted;    /* reads: end when all that was asked for has come */
    int64_t position; /* in the split, of data[begin] */
    struct wr_io_op op;
    char data[];
};

struct wr_block_pool {
    struct wr_block *free;
    size_t block_bytes; /* capacity of each, headroom included */
    size_t headroom;    /* begin of a block just taken */
    uint32_t made;
    uint32_t limit; /* at most so many blocks exist */
};

void wr_block_pool_init(struct wr_block_pool *pool, size_t block_bytes, size_t headroom,
                        uint32_t limit);
void wr_block_pool_deinit(struct wr_block_pool *pool); /* all blocks are back; a zeroed one is
                                                        * fine */
/* An empty block with one reference, or NULL when all are out (backpressure). */
struct wr_block *wr_block_take(struct wr_block_pool *pool);
/* An empty block without a pool. */
struct wr_block *wr_block_create(size_t capacity);

static inline void wr_block_retain(struct wr_block *block)
{
    block->refs++;
}

void wr_block_release(struct wr_block *block); /* NULL is fine */

#endif
