/* window_find.c: the states of a batch's rows, one cell after the other.
 *
 * The loop over a cell's rows is made once for each common shape of keys, with and without asking
 * the memory ahead, and keeps the table's fields in locals: a row costs a few nanoseconds, and
 * loads and loops of unknown length would be most of them.
 */
#include "exec/window.h"

#include "base/assert.h"

/* Index slots and rows of larger tables miss the cache: both are asked for some rows ahead, the
 * slot first. */
enum { SLOT_AHEAD = 16, ROW_AHEAD = 8, LARGE_LOG2 = 12 };

static inline void prefetch_ahead(const struct wr_table *table, const uint64_t *hashes,
                                  uint32_t at, uint32_t end)
{
    const uint32_t log2 = table->index_log2;
    if (at + SLOT_AHEAD < end) {
        const uint32_t top = (uint32_t)(hashes[at + SLOT_AHEAD] >> 32);
        __builtin_prefetch(table->index + (top >> (32 - log2)));
    }
    if (at + ROW_AHEAD < end) {
        const uint32_t top = (uint32_t)(hashes[at + ROW_AHEAD] >> 32);
        const uint32_t number = table->index[top >> (32 - log2)] & ((1u << log2) - 1);
        if (number != 0) {
            __builtin_prefetch(wr_table_row(table, number - 1));
        }
    }
}

/* Rows [at, end) that the table has, up to the first that it lacks; returns where that is. */
static inline __attribute__((always_inline)) uint32_t
find_known(uint32_t views, uint32_t words, bool large, const struct wr_window *w,
           const struct wr_table *table, uint32_t at, uint32_t end)
{
    const struct wr_table_shape shape = *table->shape;
    const uint32_t *const index = table->index;
    uint8_t *const *const chunks = table->chunks;
    const uint64_t *const hashes = w->hashes;
    const uint64_t *image = w->images + (size_t)at * words;
    uint8_t **const states = w->states;
    uint64_t *const dirty = table->dirty;
    const uint32_t log2 = table->index_log2;
    const uint32_t mask = (1u << log2) - 1;
    const uint32_t chunk_mask = (1u << shape.chunk_shift) - 1;
    for (; at < end; at++, image += words) {
        if (large) {
            prefetch_ahead(table, hashes, at, end);
        }
        const uint32_t top = (uint32_t)(hashes[at] >> 32);
        const uint32_t tag = top << log2;
        uint32_t slot = top >> (32 - log2);
        for (;; slot = (slot + 1) & mask) {
            const uint32_t entry = index[slot];
            if (__builtin_expect(entry == 0, 0)) {
                return at;
            }
            if ((entry & ~mask) == tag) {
                const uint32_t number = (entry & mask) - 1;
                uint8_t *row = chunks[number >> shape.chunk_shift] +
                               (size_t)(number & chunk_mask) * shape.stride;
                if (wr_table_key_equal_of(views, words, &shape, row, image)) {
                    states[at] = row;
                    if (dirty != NULL) { /* wr_table_mark */
                        dirty[number >> 6] |= UINT64_C(1) << (number & 63);
                    }
                    break;
                }
            }
        }
    }
    return at;
}

static uint32_t find_in(struct wr_window *w, struct wr_table *table, uint32_t at, uint32_t end)
{
    uint32_t made = 0;
    while (at < end) {
        if (table->index != NULL && table->index_log2 > LARGE_LOG2) {
#define FIND(VIEWS, WORDS) at = find_known(VIEWS, WORDS, true, w, table, at, end)
            WR_KEY_SHAPES(table->shape, FIND)
#undef FIND
        } else if (table->index != NULL) {
#define FIND(VIEWS, WORDS) at = find_known(VIEWS, WORDS, false, w, table, at, end)
            WR_KEY_SHAPES(table->shape, FIND)
#undef FIND
        }
        if (at < end) {
            const uint64_t *image = w->images + (size_t)at * w->shape.key_words;
            w->states[at] = wr_table_insert_new(table, image, w->hashes[at], NULL);
            made++;
            at++;
        }
    }
    return made;
}

/* Rows have fallen away since the runs were made: their ends move. */
static void shorten_runs(struct wr_window *w, uint32_t count)
{
    uint32_t at = 0;
    for (uint32_t r = 0; r < w->run_count; r++) {
        while (at < count && w->rows[at] <= w->runs[r].last) {
            at++;
        }
        w->runs[r].end = at;
    }
    wr_dassert(at == count);
}

uint32_t wr_window_find(struct wr_window *w, struct wr_side *side, uint32_t count)
{
    if (w->runs[w->run_count - 1].end != count) {
        shorten_runs(w, count);
    }
    uint32_t made = 0;
    uint32_t at = 0;
    for (uint32_t r = 0; r < w->run_count; r++) {
        const struct wr_window_run *run = &w->runs[r];
        if (run->end > at) {
            struct wr_cell *cell = wr_cell_get(w, side, run->order, run->sub);
            made += find_in(w, &cell->table, at, run->end);
            at = run->end;
        }
    }
    return made;
}
