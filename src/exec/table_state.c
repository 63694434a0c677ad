/* table_state.c: size-class memory of window state. */
#include "exec/table_state.h"

#include "base/heap.h"
#include <string.h>

#define SLAB_BYTES ((size_t)128 << 10) /* four blocks of the largest class */
#define LARGEST ((size_t)16 << (WR_STATE_CLASSES - 1))

static uint32_t class_of(size_t bytes)
{
    if (bytes <= 16) {
        return 0;
    }
    return 60u - (uint32_t)__builtin_clzll(bytes - 1);
}

static void *carve(struct wr_state_pool *pool, size_t bytes)
{
    if (pool->fresh_bytes < bytes) {
        /* The rest of the old slab is given up: at most one block of a class per slab. */
        char *slab = wr_malloc(SLAB_BYTES + 16);
        memcpy(slab, &pool->slabs, sizeof pool->slabs);
        pool->slabs = slab;
        pool->fresh = slab + 16;
        pool->fresh_bytes = SLAB_BYTES;
    }
    void *block = pool->fresh;
    pool->fresh += bytes;
    pool->fresh_bytes -= bytes;
    return block;
}

void *wr_state_alloc(struct wr_state_pool *pool, size_t bytes)
{
    if (bytes > LARGEST) {
        pool->used_bytes += bytes;
        return wr_malloc(bytes);
    }
    const uint32_t cls = class_of(bytes);
    const size_t rounded = (size_t)16 << cls;
    pool->used_bytes += rounded;
    void *block = pool->free[cls];
    if (block == NULL) {
        return carve(pool, rounded);
    }
    memcpy(&pool->free[cls], block, sizeof(void *));
    return block;
}

void wr_state_free(struct wr_state_pool *pool, void *block, size_t bytes)
{
    if (block == NULL) {
        return;
    }
    if (bytes > LARGEST) {
        pool->used_bytes -= bytes;
        free(block);
        return;
    }
    const uint32_t cls = class_of(bytes);
    pool->used_bytes -= (size_t)16 << cls;
    memcpy(block, &pool->free[cls], sizeof(void *));
    pool->free[cls] = block;
}

void wr_state_deinit(struct wr_state_pool *pool)
{
    void *slab = pool->slabs;
    while (slab != NULL) {
        void *next;
        memcpy(&next, slab, sizeof next);
        free(slab);
        slab = next;
    }
    memset(pool, 0, sizeof *pool);
}
