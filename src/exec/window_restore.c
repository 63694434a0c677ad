/* window_restore.c: records back to state. They come from a disk: every length and number is checked. */
#include "exec/window.h"

/* As window_judge.c: leaves room for sizes, gaps and lateness. */
#define TIME_LIMIT (INT64_C(1) << 61)

/* Where a walk through a piece stands. */
struct reader {
    const char *at;
    const char *end;
    struct wr_error *err;
    bool in_cell;
    int64_t order;
    int64_t sub;
    struct wr_cell *cell; /* of in_cell; NULL: not made yet */
    uint64_t epoch;
    uint64_t taken; /* bytes of records of this worker's shards */
};

static wr_status damaged(const struct wr_window *w, struct reader *r, const char *what)
{
    wr_fail(r->err, WR_CLASS_FATAL, "snapshot of \"%s\": %s", w->op->node->name, what);
    wr_error_hint(r->err, "the state was written by another version or is damaged: "
                          "`weir state show` tells what it holds, `weir state reset` begins anew");
    return WR_FAIL;
}

static bool take(struct reader *r, void *into, size_t bytes)
{
    if ((size_t)(r->end - r->at) < bytes) {
        return false;
    }
    memcpy(into, r->at, bytes);
    r->at += bytes;
    return true;
}

static bool is_mine(const struct wr_window *w, uint64_t hash)
{
    return (uint32_t)(hash % WR_SHARDS) % w->exec->config.workers == w->exec->config.worker;
}

static bool is_time(__int128 time)
{
    return time > -TIME_LIMIT && time < TIME_LIMIT;
}

static bool is_cell(const struct wr_window *w, int64_t order, int64_t sub)
{
    if (w->plan->kind == WR_WINDOW_INHERIT) {
        return is_time(order) && is_time(sub);
    }
    return w->plan->kind != WR_WINDOW_SESSION &&
           is_time((__int128)order * w->slide_us + w->plan->offset_us + w->size_us) &&
           is_time((__int128)sub * w->slice_us + w->plan->offset_us) &&
           order <= wr_window_last_of_slice(w, sub) && order >= wr_window_first_of_slice(w, sub);
}

/* ---- rows of cells ---- */

static wr_status read_cell(struct wr_window *w, struct reader *r)
{
    if (!take(r, &r->order, 8) || !take(r, &r->sub, 8) || r->at != r->end ||
        !is_cell(w, r->order, r->sub)) {
        return damaged(w, r, "a window that cannot be");
    }
    r->in_cell = true;
    r->cell = NULL;
    return WR_OK;
}

static void note_epoch(struct wr_sweep *sweep, uint64_t epoch)
{
    sweep->base = sweep->base == 0 ? epoch : sweep->base;
    sweep->last = epoch;
}

static wr_status read_row(struct wr_window *w, struct reader *r)
{
    uint8_t *row = r->in_cell ? wr_window_load_row(w, r->at, (size_t)(r->end - r->at)) : NULL;
    if (row == NULL) {
        return damaged(w, r, "a row that does not fit the operator");
    }
    uint64_t image[w->shape.key_words];
    wr_table_image(&w->shape, row, image);
    const uint64_t hash = wr_table_hash(&w->shape, image);
    if (!is_mine(w, hash)) {
        wr_agg_release_row(&w->aggs, row);
        return WR_OK;
    }
    if (r->cell == NULL) {
        r->cell = wr_cell_get(w, &w->owned, r->order, r->sub);
        note_epoch(&r->cell->sweep, r->epoch);
    }
    bool made;
    uint8_t *into = wr_table_get(&r->cell->table, image, hash, &made);
    wr_agg_release_row(&w->aggs, into);
    wr_window_take_states(w, into, row);
    r->taken += (uint64_t)(r->end - r->at) + 5;
    w->snapshot.rows++;
    return WR_OK;
}

/* ---- sessions ---- */

/* One session of a key, which all of a record must share; mine: is the key this worker's? */
static bool read_session(struct wr_window *w, struct reader *r, bool first, bool *mine)
{
    int64_t times[2];
    uint32_t bytes;
    if (!take(r, times, sizeof times) || !take(r, &bytes, sizeof bytes) ||
        bytes > (size_t)(r->end - r->at) || !is_time(times[0]) || !is_time(times[1]) ||
        times[0] > times[1]) {
        return false;
    }
    uint8_t *row = wr_window_load_row(w, r->at, bytes);
    if (row == NULL) {
        return false;
    }
    r->at += bytes;
    uint64_t image[w->shape.key_words];
    wr_table_image(&w->shape, row, image);
    const uint64_t hash = wr_table_hash(&w->shape, image);
    const bool other =
        !first && *mine && wr_table_find(&w->owned.sessions, image, hash, NULL) == NULL;
    *mine = is_mine(w, hash) && (first || *mine);
    if (!*mine || other) {
        wr_agg_release_row(&w->aggs, row);
        return !other;
    }
    wr_session_put(w, times[0], times[1], row, first);
    return true;
}

static wr_status read_sessions(struct wr_window *w, struct reader *r)
{
    const char *begin = r->at;
    uint32_t count;
    bool mine = false;
    if (w->plan->kind != WR_WINDOW_SESSION || !take(r, &count, sizeof count) || count == 0) {
        return damaged(w, r, "sessions that cannot be");
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!read_session(w, r, i == 0, &mine)) {
            return damaged(w, r, "a session that does not fit the operator");
        }
    }
    if (r->at != r->end) {
        return damaged(w, r, "a record of another length than told");
    }
    if (mine) {
        note_epoch(&w->owned.sweep, r->epoch);
        r->taken += (uint64_t)(r->end - begin) + 5;
        w->snapshot.rows++;
    }
    return WR_OK;
}

/* ---- pieces ---- */

/* Keys' index slots are misses in large tables: they are asked for some records ahead. Keys with
 * texts are left out; they cost more elsewhere. */
enum { SCOUT_AHEAD = 16 };

struct scout {
    const char *at; /* a record's begin, always ahead of the reader or with it */
    const char *end;
    uint32_t ahead; /* records that it is in front */
};

static void scout_step(const struct wr_window *w, const struct wr_table *table,
                       struct scout *scout)
{
    const uint32_t key_bytes = 8 * w->shape.key_words;
    while (scout->ahead < SCOUT_AHEAD && scout->end - scout->at >= 5) {
        uint32_t size;
        memcpy(&size, scout->at, sizeof size);
        const char *blob = scout->at + 5;
        if (size > (size_t)(scout->end - blob)) {
            break; /* damaged: its reader tells */
        }
        if (scout->at[4] == WR_RECORD_ROW && size >= key_bytes && table->index != NULL) {
            uint64_t image[w->shape.key_words];
            memcpy(image, blob, key_bytes);
            image[w->shape.key_words - 1] &= w->shape.last_mask;
            const uint64_t hash = wr_table_hash(&w->shape, image);
            __builtin_prefetch(table->index + (hash >> (64 - table->index_log2)), 1);
        }
        scout->at = blob + size;
        scout->ahead++;
    }
}

static wr_status read_record(struct wr_window *w, struct reader *r, uint8_t kind)
{
    switch (kind) {
    case WR_RECORD_CELL: return read_cell(w, r);
    case WR_RECORD_ROW: return read_row(w, r);
    case WR_RECORD_SESSIONS: return read_sessions(w, r);
    default: return damaged(w, r, "a record of an unknown kind");
    }
}

wr_status wr_window_restore(struct wr_window *w, uint64_t epoch, const void *records, size_t bytes,
                            struct wr_error *err)
{
    const char *at = records;
    const char *const end = at + bytes;
    struct reader r = { .err = err, .epoch = epoch };
    struct scout scout = { at, end, 0 };
    while (at < end) {
        uint32_t size;
        if ((size_t)(end - at) < 5) {
            return damaged(w, &r, "it ends within a record");
        }
        memcpy(&size, at, sizeof size);
        const uint8_t kind = (uint8_t)at[4];
        at += 5;
        if ((size_t)(end - at) < size) {
            return damaged(w, &r, "it ends within a record");
        }
        if (r.cell != NULL && w->shape.view_count == 0) {
            scout_step(w, &r.cell->table, &scout);
            scout.ahead -= scout.ahead > 0;
        } else {
            scout = (struct scout){ at + size, end, 0 };
        }
        r.at = at;
        r.end = at + size;
        WR_TRY(read_record(w, &r, kind));
        at += size;
    }
    w->snapshot.bytes += r.taken;
    wr_snapshot_log_add(w->exec, epoch, r.taken);
    return WR_OK;
}

/* ---- when all records have been read ---- */

static bool has_closed(const struct wr_window *w, const struct wr_cell *cell, int64_t limit)
{
    if (w->plan->kind == WR_WINDOW_HOP) {
        return wr_window_last_of_slice(w, cell->sub) <= w->emission.order;
    }
    return wr_cell_close_us(w, cell->order) <= limit;
}

/* Also clears the marks: what was restored is written already. */
static void drop_closed(struct wr_window *w, int64_t limit)
{
    struct wr_cell_queue *queue = &w->owned.cells;
    const uint32_t count = queue->count;
    struct wr_cell **const items = queue->items + queue->first;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct wr_cell *cell = items[i];
        if (has_closed(w, cell, limit)) {
            wr_cell_release_states(w, cell);
            wr_cell_retire(w, &w->owned, cell);
        } else {
            wr_table_unmark_all(&cell->table);
            items[kept++] = cell;
        }
    }
    queue->count = kept;
}

void wr_window_restored(struct wr_window *w, int64_t watermark_us)
{
    /* A watermark out of range would be a damaged manifest's. */
    int64_t wm = watermark_us < TIME_LIMIT ? watermark_us : TIME_LIMIT;
    wm = wm > -TIME_LIMIT ? wm : WR_TIME_MIN;
    const int64_t limit = wr_window_limit_us(w, wm);
    if (w->plan->kind == WR_WINDOW_HOP && wm != WR_TIME_MIN) {
        w->emission.order = wr_window_last_closed(w, limit);
    }
    if (w->plan->kind == WR_WINDOW_SESSION) {
        wr_session_restored(w, limit);
    } else {
        drop_closed(w, limit);
    }
    w->ready_wm = wm;
    w->finite_wm = wm;
    w->snapshot.watermark_us = wm;
    wr_window_note_needs(w);
}
