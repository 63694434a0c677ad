/* batch.h: up to WR_BATCH_ROWS_MAX rows in columns, Arrow's layout: validity bitmap, values, 16-byte
 * string views that borrow from the records or from the batch's arena (interface).
 *
 * Ownership: batches come from a worker's pool and go back to it. refs counts holders; it is a plain
 * number that only the home worker touches: another thread that got a batch through a ring sends it
 * back through a ring and the home worker releases it. A derived batch (projection, filter) retains its
 * parent, whose columns it may borrow. A batch retains the records that its views borrow from.
 * Threads: see above. The columns are read-only once the batch has been handed on.
 * Invariants:
 *   (1) row i of a batch with records is made of records->items[i]; rows are never renumbered on a worker:
 *       rows that fall away (bad record, filter) only leave the selection. UNNEST alone makes several rows of one:
 *       origin.rows tells of which
 *   (2) sel == NULL means rows 0..rows-1; else sel[0..sel_count) ascending are the live ones
 *   (3) a column's values array holds rows entries, also for dead and NULL rows (defined bytes: dead and NULL
 *       rows hold zero), so that kernels may compute all rows without looking
 *   (4) validity == NULL means that no live row is NULL
 *   (5) all rows of a batch with origin context come from one split
 */
#ifndef WR_BATCH_BATCH_H
#define WR_BATCH_BATCH_H

#include "base/arena.h"
#include "base/bitmap.h"
#include "base/limits.h"
#include "batch/records.h"
#include "batch/schema.h"

struct wr_batch_pool;

struct wr_column {
    void *values;      /* rows x wr_type_width(type) */
    uint8_t *validity; /* bit set = not NULL; NULL = all valid */
    struct wr_type type;
};

/* Where the rows come from, for lateness, the ledger and dead letters. */
struct wr_origin {
    uint32_t source; /* index in the plan; UINT32_MAX for results of a window */
    uint32_t split;
    /* Split watermark as the rows before each row left it (design.md "late"). wm_before[i] for row i; NULL
     * when every row of the batch sees wm_low == wm_high. wm_low: what row 0 sees; wm_high: what the
     * last row sees. */
    const int64_t *wm_before;
    int64_t wm_low;
    int64_t wm_high;
    int64_t lateness_us;    /* the source's allowed_lateness */
    int64_t position_first; /* of row 0 where there are no records (generators): + row index */
    /* Row i of the batch that came from the source is what row i was made of; NULL: it is row i itself. Ascending. Lies in the arena of
     * the batch, or of a parent. */
    const uint32_t *rows;
};

struct wr_batch {
    struct wr_column *columns; /* columns_count of them; may point into parent's memory */
    uint32_t columns_count;
    uint32_t rows;
    uint32_t *sel; /* NULL or sel_count ascending row numbers; storage for rows of them: sel_storage */
    uint32_t sel_count;
    uint32_t refs;
    struct wr_origin origin;
    int64_t ingest_us;          /* wall: the newest record's (or generator's intended) time; latency starts here */
    struct wr_records *records; /* retained; NULL for generators and results */
    struct wr_batch *parent;    /* retained; NULL for batches that own all their columns */
    struct wr_arena arena;      /* texts made by expressions; reset when the batch goes home */
    struct wr_batch_pool *pool;
    /* pool-owned storage */
    uint32_t *sel_storage;
    int64_t *wm_storage;
    uint8_t **validity_storage; /* one bitmap per column */
    void **values_storage;      /* one array per column; NULL where the column is always borrowed */
    struct wr_batch *next_free;
    void *attachment; /* whoever holds the batch may hang one thing here (run: sink ring context) */
};

/* Number of live rows. */
static inline uint32_t wr_batch_live(const struct wr_batch *b)
{
    return b->sel != NULL ? b->sel_count : b->rows;
}

/* The row number of the i-th live row. */
static inline uint32_t wr_batch_row(const struct wr_batch *b, uint32_t i)
{
    return b->sel != NULL ? b->sel[i] : i;
}

/* The row of the source's batch that a row was made of. */
static inline uint32_t wr_batch_source_row(const struct wr_batch *b, uint32_t row)
{
    return b->origin.rows != NULL ? b->origin.rows[row] : row;
}

static inline bool wr_column_is_null(const struct wr_column *c, uint32_t row)
{
    return c->validity != NULL && !wr_bit_get(c->validity, row);
}

/* Gives column c of the batch a validity bitmap with all rows valid (idempotent): call before the first
 * NULL is put in. */
uint8_t *wr_batch_nullable(struct wr_batch *batch, uint32_t column);

/* Copies the live rows together so that sel == NULL; columns that were borrowed become owned. Returns batch itself
 * when there is nothing to do, else a new batch from pool (of the same schema) and releases the given
 * one. Long views still borrow: the new batch keeps the old one as parent. */
struct wr_batch *wr_batch_compact(struct wr_batch *batch, struct wr_batch_pool *pool);

static inline void wr_batch_retain(struct wr_batch *batch)
{
    batch->refs++;
}

/* @thread home */
void wr_batch_release(struct wr_batch *batch); /* NULL is fine */

/* ---- pool: one per (worker, schema) ---- */

/* schema: borrowed for the pool's life. rows: capacity of each batch (<= WR_BATCH_ROWS_MAX). soft_limit: how many
 * batches may be out before wr_batch_pool_has_room says no (backpressure); take itself never
 * fails, because a turn that has begun must be able to end. */
struct wr_batch_pool *wr_batch_pool_create(const struct wr_schema *schema, uint32_t rows,
                                           uint32_t soft_limit);
void wr_batch_pool_destroy(struct wr_batch_pool *pool); /* all batches must be home; NULL is fine */
bool wr_batch_pool_has_room(const struct wr_batch_pool *pool);
uint32_t wr_batch_pool_out(const struct wr_batch_pool *pool);
uint64_t wr_batch_pool_bytes(const struct wr_batch_pool *pool); /* all memory held */

/* A batch with refs == 1, rows == 0, sel == NULL, columns set to its own storage with validity == NULL,
 * origin zeroed. @thread home */
struct wr_batch *wr_batch_take(struct wr_batch_pool *pool);

#endif
