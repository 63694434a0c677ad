/* window_cell.c: the open cells of a window, sorted by when they close. */
#include "exec/window.h"

#include "base/assert.h"
#include "base/heap.h"

/* A spare cell keeps its memory up to this. */
#define SPARE_BYTES_MAX (1u << 20)

static uint32_t cache_slot(int64_t order, int64_t sub)
{
    return (uint32_t)((uint64_t)sub + ((uint64_t)(order ^ sub) >> 3)) % WR_CELL_CACHE;
}

static bool before(const struct wr_cell *a, const struct wr_cell *b, bool by_sub)
{
    const int64_t a1 = by_sub ? a->sub : a->order;
    const int64_t b1 = by_sub ? b->sub : b->order;
    if (a1 != b1) {
        return a1 < b1;
    }
    return by_sub ? a->order < b->order : a->sub < b->sub;
}

/* First place in items[first..first+count) whose cell is not before probe. */
static uint32_t lower_bound(const struct wr_cell_queue *queue, const struct wr_cell *probe,
                            bool by_sub)
{
    uint32_t low = queue->first;
    uint32_t high = queue->first + queue->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (before(queue->items[middle], probe, by_sub)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void wr_queue_insert(struct wr_cell_queue *queue, struct wr_cell *cell, bool by_sub)
{
    if (queue->first + queue->count == queue->capacity) {
        if (queue->first > queue->capacity / 2) {
            memmove(queue->items, queue->items + queue->first,
                    queue->count * sizeof *queue->items);
            queue->first = 0;
        } else {
            queue->capacity = queue->capacity == 0 ? 16 : queue->capacity * 2;
            queue->items = wr_realloc(queue->items, queue->capacity * sizeof *queue->items);
        }
    }
    const uint32_t at = lower_bound(queue, cell, by_sub);
    const uint32_t end = queue->first + queue->count;
    memmove(queue->items + at + 1, queue->items + at, (end - at) * sizeof *queue->items);
    queue->items[at] = cell;
    queue->count++;
}

struct wr_cell *wr_queue_pop(struct wr_cell_queue *queue)
{
    struct wr_cell *cell = queue->items[queue->first++];
    if (--queue->count == 0) {
        queue->first = 0;
    }
    return cell;
}

struct wr_cell *wr_cell_get(struct wr_window *w, struct wr_side *side, int64_t order, int64_t sub)
{
    struct wr_cell **cached = &side->cache[cache_slot(order, sub)];
    if (*cached != NULL && (*cached)->order == order && (*cached)->sub == sub) {
        return *cached;
    }
    const struct wr_cell probe = { .order = order, .sub = sub };
    struct wr_cell_queue *queue = &side->cells;
    if (queue->count > 0) {
        const uint32_t at = lower_bound(queue, &probe, false);
        if (at < queue->first + queue->count && queue->items[at]->order == order &&
            queue->items[at]->sub == sub) {
            *cached = queue->items[at];
            return *cached;
        }
    }
    struct wr_cell *cell;
    if (side->spare_count > 0) {
        cell = side->spare[--side->spare_count];
    } else {
        cell = wr_calloc(1, sizeof *cell);
        wr_table_init(&cell->table, &w->shape);
        cell->table.tracked = side->tracked;
    }
    cell->sweep = (struct wr_sweep){ 0 };
    cell->order = order;
    cell->sub = sub;
    wr_queue_insert(queue, cell, false);
    *cached = cell;
    return cell;
}

void wr_cell_release_states(struct wr_window *w, struct wr_cell *cell)
{
    if (!w->aggs.has_blocks) {
        return;
    }
    for (uint32_t r = 0; r < cell->table.rows; r++) {
        wr_agg_release_row(&w->aggs, wr_table_row(&cell->table, r));
    }
}

/* The cell has left the queue and its states are released. */
void wr_cell_retire(struct wr_window *w, struct wr_side *side, struct wr_cell *cell)
{
    struct wr_cell **cached = &side->cache[cache_slot(cell->order, cell->sub)];
    if (*cached == cell) {
        *cached = NULL;
    }
    /* A large one gives its memory back: several windows' worth of it would count as state that never leaves. */
    const bool large = cell->table.counted_bytes > SPARE_BYTES_MAX;
    wr_table_empty(&cell->table);
    if (side->spare_count < WR_CELL_CACHE && !large) {
        side->spare[side->spare_count++] = cell;
    } else {
        wr_table_deinit(&cell->table);
        free(cell);
    }
}

int64_t wr_cell_close_us(const struct wr_window *w, int64_t order)
{
    if (w->plan->kind == WR_WINDOW_INHERIT) {
        return order;
    }
    return w->plan->offset_us + order * w->slide_us + w->size_us;
}

void wr_side_deinit(struct wr_window *w, struct wr_side *side)
{
    while (side->cells.count > 0) {
        struct wr_cell *cell = wr_queue_pop(&side->cells);
        wr_cell_release_states(w, cell);
        wr_table_deinit(&cell->table);
        free(cell);
    }
    for (uint32_t i = 0; i < side->spare_count; i++) {
        wr_table_deinit(&side->spare[i]->table);
        free(side->spare[i]);
    }
    free(side->cells.items);
    wr_session_deinit(w, side);
    memset(side, 0, sizeof *side);
}
