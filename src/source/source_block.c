/* source_block.c: see source_block.h. */
#include "source/source_block.h"

#include "base/assert.h"
#include "base/heap.h"

void wr_block_pool_init(struct wr_block_pool *pool, size_t block_bytes, size_t headroom,
                        uint32_t limit)
{
    wr_assert(headroom < block_bytes && limit > 0);
    *pool = (struct wr_block_pool){ .block_bytes = block_bytes,
                                    .headroom = headroom,
                                    .limit = limit };
}

void wr_block_pool_deinit(struct wr_block_pool *pool)
{
    while (pool->free != NULL) {
        struct wr_block *block = pool->free;
        pool->free = block->next;
        free(block);
        pool->made--;
    }
    wr_assert(pool->made == 0);
}

struct wr_block *wr_block_create(size_t capacity)
{
    struct wr_block *block = wr_malloc(sizeof *block + capacity);
    *block = (struct wr_block){ .refs = 1, .capacity = capacity };
    return block;
}

struct wr_block *wr_block_take(struct wr_block_pool *pool)
{
    struct wr_block *block = pool->free;
    if (block == NULL) {
        if (pool->made == pool->limit) {
            return NULL;
        }
        block = wr_block_create(pool->block_bytes);
        block->pool = pool;
        pool->made++;
    } else {
        pool->free = block->next;
    }
    block->next = NULL;
    block->refs = 1;
    block->ready = false;
    block->begin = pool->headroom;
    block->end = pool->headroom;
    block->position = 0;
    return block;
}

void wr_block_release(struct wr_block *block)
{
    if (block == NULL || --block->refs > 0) {
        return;
    }
    if (block->pool == NULL) {
        free(block);
        return;
    }
    block->next = block->pool->free;
    block->pool->free = block;
}
