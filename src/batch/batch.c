/* batch.c: see batch.h. A pool makes a batch when none is free and keeps it for good: after the
 * first full turn nothing is allocated. */
#include "batch/batch.h"

#include "base/assert.h"
#include "base/heap.h"

/* A batch with what only its pool knows. */
struct slot {
    struct wr_batch batch;
    struct slot *next_made;     /* every batch of the pool, for accounting and destroy */
    struct wr_column columns[]; /* own storage; batch.columns may point elsewhere while out */
};

struct wr_batch_pool {
    const struct wr_schema *schema;
    uint32_t rows;
    uint32_t soft_limit;
    uint32_t out;
    struct wr_batch *free;
    struct slot *made;
    uint64_t batch_bytes; /* of one batch without its arena */
    uint64_t fixed_bytes; /* of all batches without their arenas */
};

static uint64_t batch_bytes(const struct wr_schema *schema, uint32_t rows)
{
    uint64_t bytes = sizeof(struct slot) + rows * (sizeof(uint32_t) + sizeof(int64_t));
    for (uint32_t i = 0; i < schema->count; i++) {
        bytes += sizeof(struct wr_column) + 2 * sizeof(void *) + WR_BITMAP_BYTES(rows) +
                 (uint64_t)rows * wr_type_width(schema->fields[i].type);
    }
    return bytes;
}

struct wr_batch_pool *wr_batch_pool_create(const struct wr_schema *schema, uint32_t rows,
                                           uint32_t soft_limit)
{
    wr_assert(rows > 0 && rows <= WR_BATCH_ROWS_MAX);
    struct wr_batch_pool *pool = wr_calloc(1, sizeof(*pool));
    pool->schema = schema;
    pool->rows = rows;
    pool->soft_limit = soft_limit;
    pool->batch_bytes = batch_bytes(schema, rows);
    return pool;
}

static void slot_destroy(struct slot *slot, uint32_t columns)
{
    for (uint32_t i = 0; i < columns; i++) {
        free(slot->batch.values_storage[i]);
        free(slot->batch.validity_storage[i]);
    }
    free(slot->batch.values_storage);
    free(slot->batch.validity_storage);
    free(slot->batch.sel_storage);
    free(slot->batch.wm_storage);
    wr_arena_deinit(&slot->batch.arena);
    free(slot);
}

void wr_batch_pool_destroy(struct wr_batch_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    wr_assert(pool->out == 0);
    struct slot *slot = pool->made;
    while (slot != NULL) {
        struct slot *next = slot->next_made;
        slot_destroy(slot, pool->schema->count);
        slot = next;
    }
    free(pool);
}

bool wr_batch_pool_has_room(const struct wr_batch_pool *pool)
{
    return pool->out < pool->soft_limit;
}

uint32_t wr_batch_pool_out(const struct wr_batch_pool *pool)
{
    return pool->out;
}

uint64_t wr_batch_pool_bytes(const struct wr_batch_pool *pool)
{
    uint64_t bytes = sizeof(*pool) + pool->fixed_bytes;
    for (const struct slot *slot = pool->made; slot != NULL; slot = slot->next_made) {
        bytes += slot->batch.arena.held_bytes;
    }
    return bytes;
}

static struct wr_batch *slot_create(struct wr_batch_pool *pool)
{
    const uint32_t count = pool->schema->count;
    struct slot *slot = wr_calloc(1, sizeof(*slot) + count * sizeof(struct wr_column));
    struct wr_batch *batch = &slot->batch;
    batch->pool = pool;
    batch->sel_storage = wr_calloc_aligned(pool->rows * sizeof(uint32_t));
    batch->wm_storage = wr_calloc_aligned(pool->rows * sizeof(int64_t));
    batch->validity_storage = wr_calloc(count, sizeof(uint8_t *));
    batch->values_storage = wr_calloc(count, sizeof(void *));
    for (uint32_t i = 0; i < count; i++) {
        const size_t width = wr_type_width(pool->schema->fields[i].type);
        batch->values_storage[i] = wr_calloc_aligned(pool->rows * width);
        batch->validity_storage[i] = wr_calloc_aligned(WR_BITMAP_BYTES(pool->rows));
    }
    wr_arena_init(&batch->arena, 16u << 10); /* a few large texts per batch fit one chunk */
    slot->next_made = pool->made;
    pool->made = slot;
    pool->fixed_bytes += pool->batch_bytes;
    return batch;
}

struct wr_batch *wr_batch_take(struct wr_batch_pool *pool)
{
    struct wr_batch *batch = pool->free;
    if (batch != NULL) {
        pool->free = batch->next_free;
    } else {
        batch = slot_create(pool);
    }
    pool->out++;
    batch->next_free = NULL;
    batch->columns = ((struct slot *)batch)->columns;
    batch->columns_count = pool->schema->count;
    for (uint32_t i = 0; i < batch->columns_count; i++) {
        batch->columns[i] = (struct wr_column){ .values = batch->values_storage[i],
                                                .type = pool->schema->fields[i].type };
    }
    batch->rows = 0;
    batch->sel = NULL;
    batch->sel_count = 0;
    batch->refs = 1;
    memset(&batch->origin, 0, sizeof(batch->origin));
    batch->ingest_us = 0;
    batch->records = NULL;
    batch->parent = NULL;
    batch->attachment = NULL;
    return batch;
}

/* What a batch of unusually large texts needed is given back: kept in every batch of a pool it would add up. */
#define KEPT_BYTES (16u << 20)

void wr_batch_release(struct wr_batch *batch)
{
    /* A loop, not recursion: a chain of derived batches is as long as the plan. */
    while (batch != NULL) {
        wr_assert(batch->refs > 0);
        if (--batch->refs > 0) {
            return;
        }
        struct wr_batch *parent = batch->parent;
        struct wr_records *records = batch->records;
        batch->parent = NULL;
        batch->records = NULL;
        if (batch->arena.held_bytes <= KEPT_BYTES) {
            wr_arena_reset(&batch->arena);
        } else {
            wr_arena_deinit(&batch->arena);
        }
        batch->next_free = batch->pool->free;
        batch->pool->free = batch;
        batch->pool->out--;
        wr_records_release(records);
        batch = parent;
    }
}

uint8_t *wr_batch_nullable(struct wr_batch *batch, uint32_t column)
{
    wr_dassert(column < batch->columns_count);
    struct wr_column *c = &batch->columns[column];
    if (c->validity == NULL) {
        c->validity = batch->validity_storage[column];
        memset(c->validity, 0xff, WR_BITMAP_BYTES(batch->pool->rows));
    }
    return c->validity;
}

#define GATHER(type)                                                                               \
    do {                                                                                           \
        const type *source = from->values;                                                         \
        type *target = into;                                                                       \
        for (uint32_t i = 0; i < count; i++) {                                                     \
            target[i] = source[sel[i]];                                                            \
        }                                                                                          \
    } while (0)

static void gather(const struct wr_column *from, const uint32_t *sel, uint32_t count, void *into)
{
    struct pair {
        uint64_t a;
        uint64_t b;
    };
    switch (wr_type_width(from->type)) {
    case 1:
        GATHER(uint8_t);
        break;
    case 2:
        GATHER(uint16_t);
        break;
    case 4:
        GATHER(uint32_t);
        break;
    case 8:
        GATHER(uint64_t);
        break;
    case 16:
        GATHER(struct pair);
        break;
    default:
        break;
    }
}

struct wr_batch *wr_batch_compact(struct wr_batch *batch, struct wr_batch_pool *pool)
{
    if (batch->sel == NULL) {
        return batch;
    }
    const uint32_t count = batch->sel_count;
    wr_assert(count <= pool->rows && batch->columns_count == pool->schema->count);
    struct wr_batch *made = wr_batch_take(pool);
    made->rows = count;
    made->ingest_us = batch->ingest_us;
    made->origin = batch->origin;
    if (batch->origin.wm_before != NULL) {
        for (uint32_t i = 0; i < count; i++) {
            made->wm_storage[i] = batch->origin.wm_before[batch->sel[i]];
        }
        made->origin.wm_before = made->wm_storage;
    }
    if (batch->origin.rows != NULL) {
        uint32_t *rows = wr_arena_alloc(&made->arena, count * sizeof *rows);
        for (uint32_t i = 0; i < count; i++) {
            rows[i] = batch->origin.rows[batch->sel[i]];
        }
        made->origin.rows = rows;
    }
    for (uint32_t c = 0; c < batch->columns_count; c++) {
        const struct wr_column *from = &batch->columns[c];
        gather(from, batch->sel, count, made->columns[c].values);
        for (uint32_t i = 0; from->validity != NULL && i < count; i++) {
            if (!wr_bit_get(from->validity, batch->sel[i])) {
                wr_bit_clear(wr_batch_nullable(made, c), i);
            }
        }
    }
    /* The caller's reference moves to the new batch: views and records stay alive with it. Records
     * are not taken over, since row i is no longer made of record i. */
    made->parent = batch;
    return made;
}
