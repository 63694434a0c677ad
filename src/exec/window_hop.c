/* window_hop.c: a HOP's results from slices, at a cost per event that does not grow with the
 * overlap.
 *
 * Slices enter when the first window that counts them is emitted and leave with the last. Each key
 * has its own two stacks ("two-stack" sliding aggregation, as in Tangwongsan et al., DEBS 2017):
 * entries are the rows of the slices' cells themselves, linked per key. In the front, oldest first,
 * each entry's state is the combination of itself and all newer ones of the front; the back, newest
 * first, has one combination of all in the running row. A result is the first of the front with the
 * back. When the front runs out the back is turned over in place. So every aggregate works that can
 * merge; nothing is subtracted, no float drifts; a key costs about three merges per slice it occurs
 * in.
 *
 * Transitions of an entry: cell queue -> [enter] back, or front for a partly late one -> [turn]
 * front -> [leave] gone.
 * Invariants:
 *   (1) front ascends by slice, back descends, and each of the front is at or before each of the
 *   back
 *   (2) a key is in `running` exactly when it has an entry
 */
#include "exec/window.h"

#include "base/assert.h"
#include "base/heap.h"

enum { NEXT = 0, SLICE = 8 }; /* of an entry */
/* Of a running row; NEWEST: slice of the front's last. */
enum { FRONT = 0, NEWEST = 8, BACK = 16 };

static uint8_t *link_of(const uint8_t *row, uint32_t at)
{
    return (uint8_t *)(uintptr_t)wr_load_u64(row + at);
}

static void set_link(uint8_t *row, uint32_t at, const uint8_t *to)
{
    wr_store_u64(row + at, (uint64_t)(uintptr_t)to);
}

static int64_t slice_of(const uint8_t *entry)
{
    return (int64_t)wr_load_u64(entry + SLICE);
}

void wr_hop_init(struct wr_window *w)
{
    w->hop.shape = w->shape;
    w->hop.shape.keys_in_pool = true;
    wr_table_init(&w->hop.running, &w->hop.shape);
    w->hop.scratch = wr_calloc(1, w->shape.stride + (size_t)8);
}

/* Makes all states of a row empty; what they own is somebody else's by now, or released. */
static void clear_states(const struct wr_window *w, uint8_t *row)
{
    for (uint32_t a = 0; a < w->aggs.count; a++) {
        const struct wr_agg *agg = &w->aggs.items[a];
        for (uint32_t bit = 0; bit < agg->bits; bit++) {
            wr_agg_flag_clear(row, agg->bit + bit);
        }
        memset(row + agg->offset, 0, agg->bytes);
    }
}

/* A key whose back is being turned over. */
struct turning {
    uint8_t *running;
    uint8_t *entry; /* next to turn */
    uint8_t *newer; /* the one before it */
};

/* Turns backs over: newest to oldest, each entry takes in the one after it. Keys that occur in
 * every slice run out together, and each entry lies in a slice of its own, far from the others: in
 * step, one key's miss hides behind the others' work. */
static void turn(struct wr_window *w, struct turning *keys, uint32_t count)
{
    for (uint32_t left = count; left > 0;) {
        left = 0;
        for (uint32_t k = 0; k < count; k++) {
            uint8_t *entry = keys[k].entry;
            uint8_t *newer = keys[k].newer;
            if (entry == NULL) {
                continue;
            }
            uint8_t *older = link_of(entry, NEXT);
            __builtin_prefetch(older, 1);
            set_link(entry, NEXT, newer);
            if (newer != NULL) {
                wr_agg_merge_row(&w->aggs, entry, newer);
            }
            keys[k].newer = entry;
            keys[k].entry = older;
            left += older != NULL;
        }
    }
    for (uint32_t k = 0; k < count; k++) {
        uint8_t *running = keys[k].running;
        set_link(running, FRONT, keys[k].newer);
        set_link(running, BACK, NULL);
        wr_agg_release_row(&w->aggs, running);
        clear_states(w, running);
    }
}

/* A partly late entry that will leave before the front does: all older ones take it in. */
static void enter_front(struct wr_window *w, uint8_t *running, uint8_t *entry, int64_t slice)
{
    uint8_t *before = NULL;
    uint8_t *after = link_of(running, FRONT);
    while (after != NULL && slice_of(after) <= slice) {
        wr_agg_merge_row(&w->aggs, after, entry);
        before = after;
        after = link_of(after, NEXT);
    }
    if (after != NULL) {
        wr_agg_merge_row(&w->aggs, entry, after);
    }
    set_link(entry, NEXT, after);
    if (before != NULL) {
        set_link(before, NEXT, entry);
    } else {
        set_link(running, FRONT, entry);
    }
}

static void enter_back(struct wr_window *w, uint8_t *running, uint8_t *entry, int64_t slice)
{
    wr_agg_merge_row(&w->aggs, running, entry);
    uint8_t *after = link_of(running, BACK);
    if (after == NULL || slice_of(after) <= slice) {
        set_link(entry, NEXT, after);
        set_link(running, BACK, entry);
        return;
    }
    while (link_of(after, NEXT) != NULL && slice_of(link_of(after, NEXT)) > slice) {
        after = link_of(after, NEXT);
    }
    set_link(entry, NEXT, link_of(after, NEXT));
    set_link(after, NEXT, entry);
}

/* The newest cell's rows stay as they are until the next leave: they are written then, or at a barrier
 * before it, and not while results wait. */
static bool stays_raw(const struct wr_window *w, const struct wr_cell *cell)
{
    const struct wr_cell_queue *active = &w->hop.active;
    return active->count == 0 ||
           active->items[active->first + active->count - 1]->sub < cell->sub;
}

static void enter_cell(struct wr_window *w, struct wr_cell *cell)
{
    if (w->owned.tracked && !stays_raw(w, cell)) {
        wr_window_keep_cell(w, cell);
    }
    uint64_t image[w->shape.key_words];
    for (uint32_t r = 0; r < cell->table.rows; r++) {
        uint8_t *entry = wr_table_row(&cell->table, r);
        wr_store_u64(entry + SLICE, (uint64_t)cell->sub);
        wr_table_image(&w->shape, entry, image);
        bool made;
        uint8_t *running =
            wr_table_get(&w->hop.running, image, wr_table_hash(&w->shape, image), &made);
        if (link_of(running, FRONT) != NULL &&
            cell->sub <= (int64_t)wr_load_u64(running + NEWEST)) {
            enter_front(w, running, entry, cell->sub);
        } else {
            enter_back(w, running, entry, cell->sub);
        }
    }
    w->hop.active_keys += cell->table.rows;
    wr_queue_insert(&w->hop.active, cell, true);
}

enum { LEAVE_ROWS = 16 };

/* The oldest entry of each of these keys leaves. */
static void leave_rows(struct wr_window *w, const struct wr_cell *cell, uint32_t first,
                       uint32_t count)
{
    uint64_t image[w->shape.key_words];
    uint8_t *running[LEAVE_ROWS];
    uint32_t numbers[LEAVE_ROWS];
    struct turning ran_out[LEAVE_ROWS];
    uint32_t ran_out_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        wr_table_image(&w->shape, wr_table_row(&cell->table, first + i), image);
        running[i] = wr_table_find(&w->hop.running, image, wr_table_hash(&w->shape, image),
                                   &numbers[i]);
        wr_assert(running[i] != NULL);
        if (link_of(running[i], FRONT) == NULL) {
            uint8_t *newest = link_of(running[i], BACK);
            wr_store_u64(running[i] + NEWEST, (uint64_t)slice_of(newest));
            ran_out[ran_out_count++] = (struct turning){ .running = running[i], .entry = newest };
        }
    }
    turn(w, ran_out, ran_out_count);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *oldest = link_of(running[i], FRONT);
        wr_dassert(slice_of(oldest) <= cell->sub);
        set_link(running[i], FRONT, link_of(oldest, NEXT));
        if (link_of(running[i], FRONT) == NULL && link_of(running[i], BACK) == NULL) {
            wr_agg_release_row(&w->aggs, running[i]);
            wr_table_remove(&w->hop.running, numbers[i]); /* (2) */
        }
    }
}

/* One entry of each key in the cell leaves: its oldest, by (1). */
static void leave_cell(struct wr_window *w, const struct wr_cell *cell)
{
    for (uint32_t r = 0; r < cell->table.rows; r += LEAVE_ROWS) {
        const uint32_t left = cell->table.rows - r;
        leave_rows(w, cell, r, left < LEAVE_ROWS ? left : LEAVE_ROWS);
    }
}

/* Expired cells leave together: entries of one slice may be linked in another order than their
 * cells are sorted. */
static void leave_before(struct wr_window *w, int64_t slice)
{
    struct wr_cell_queue *active = &w->hop.active;
    uint32_t expired = 0;
    while (expired < active->count && active->items[active->first + expired]->sub < slice) {
        leave_cell(w, active->items[active->first + expired++]);
    }
    for (; expired > 0; expired--) {
        struct wr_cell *cell = wr_queue_pop(active);
        w->hop.active_keys -= cell->table.rows;
        wr_cell_release_states(w, cell);
        wr_cell_retire(w, &w->owned, cell);
    }
}

static void emit_key(struct wr_window *w, int64_t start, uint8_t *running)
{
    const uint8_t *front = link_of(running, FRONT);
    const int64_t end = start + w->size_us;
    if (front == NULL) {
        wr_window_emit(w, start, end, running);
        return;
    }
    if (link_of(running, BACK) == NULL) {
        wr_window_emit(w, start, end, front);
        return;
    }
    uint8_t *both = w->hop.scratch;
    memcpy(both, running, w->shape.stride);
    clear_states(w, both);
    wr_agg_merge_row(&w->aggs, both, front);
    wr_agg_merge_row(&w->aggs, both, running);
    wr_window_emit(w, start, end, both);
    wr_agg_release_row(&w->aggs, both);
}

/* Goes to the next window that has rows and may be emitted; false: there is none. */
static bool enter_window(struct wr_window *w, int64_t limit)
{
    struct wr_cell_queue *queue = &w->owned.cells;
    int64_t next;
    if (w->hop.running.live == 0 && queue->count == 0) {
        return false;
    }
    /* Restored slices may have been in windows that were emitted before. */
    const int64_t first = queue->count > 0 ? queue->items[queue->first]->order : INT64_MIN;
    next = w->emission.order == INT64_MIN ? first : w->emission.order + 1;
    if (w->hop.running.live == 0 && first > next) {
        next = first;
    }
    if (wr_cell_close_us(w, next) > limit) {
        return false;
    }
    if (w->owned.tracked) {
        wr_window_keep_entered(w);
    }
    w->newest_us = wr_cell_close_us(w, next);
    w->emission.order = next;
    w->emission.row = 0;
    w->emission.inside = true;
    leave_before(w, next * (w->slide_us / w->slice_us));
    while (queue->count > 0 && queue->items[queue->first]->order <= next) {
        enter_cell(w, wr_queue_pop(queue));
    }
    return true;
}

bool wr_hop_step(struct wr_window *w, int64_t limit, uint32_t *budget)
{
    struct wr_table *running = &w->hop.running;
    while (w->emission.inside || enter_window(w, limit)) {
        const int64_t start = w->plan->offset_us + w->emission.order * w->slide_us;
        for (; w->emission.row < running->rows; w->emission.row++) {
            if (*budget == 0) {
                return true;
            }
            if (wr_table_is_live(running, w->emission.row)) {
                emit_key(w, start, wr_table_row(running, w->emission.row));
                (*budget)--;
            }
        }
        w->emission.inside = false;
    }
    return false;
}

void wr_hop_deinit(struct wr_window *w)
{
    struct wr_table *running = &w->hop.running;
    for (uint32_t r = 0; running->shape != NULL && r < running->rows; r++) {
        if (wr_table_is_live(running, r)) {
            wr_agg_release_row(&w->aggs, wr_table_row(running, r));
            wr_table_remove(running, r);
        }
    }
    while (w->hop.active.count > 0) {
        struct wr_cell *cell = wr_queue_pop(&w->hop.active);
        wr_cell_release_states(w, cell);
        wr_cell_retire(w, &w->owned, cell);
    }
    free(w->hop.active.items);
    free(w->hop.scratch);
    wr_table_deinit(running);
    wr_table_shape_deinit(&w->hop.shape);
}
