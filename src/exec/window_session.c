/* window_session.c: sessions: rows of a key closer together than the gap.
 *
 * A key's first session is its row in the table; more of them (rows out of order, not yet joined)
 * hang on it as blocks of the same layout. The heap `due` has an entry per key for the earliest
 * time at which one of its sessions may leave; a session that has grown meanwhile goes back with
 * its new time, so a row costs the heap nothing.
 * Invariants:
 *   (1) sessions of one key are at least the gap apart: from one's last to the other's start
 *   (2) a key's due time is at most that of each of its sessions, and an entry with it is in the
 *   heap
 */
#include "exec/window.h"

#include "base/heap.h"

enum { NEXT = 0, START = 8, LAST = 16, DUE = 24 };

static int64_t field(const uint8_t *row, uint32_t at)
{
    return (int64_t)wr_load_u64(row + at);
}

static void set_field(uint8_t *row, uint32_t at, int64_t value)
{
    wr_store_u64(row + at, (uint64_t)value);
}

static uint8_t *next_of(const uint8_t *row)
{
    return (uint8_t *)(uintptr_t)wr_load_u64(row + NEXT);
}

static void set_next(uint8_t *row, uint8_t *next)
{
    wr_store_u64(row + NEXT, (uint64_t)(uintptr_t)next);
}

/* ---- the heap ---- */

static void due_push(struct wr_side *side, int64_t time_us, uint32_t row)
{
    if (side->due_count == side->due_capacity) {
        side->due_capacity = side->due_capacity == 0 ? 64 : side->due_capacity * 2;
        side->due = wr_realloc(side->due, side->due_capacity * sizeof *side->due);
    }
    uint32_t at = side->due_count++;
    while (at > 0 && side->due[(at - 1) / 2].time_us > time_us) {
        side->due[at] = side->due[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    side->due[at] = (struct wr_session_due){ .time_us = time_us, .row = row };
}

static struct wr_session_due due_pop(struct wr_side *side)
{
    const struct wr_session_due top = side->due[0];
    const struct wr_session_due moved = side->due[--side->due_count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= side->due_count) {
            break;
        }
        if (child + 1 < side->due_count &&
            side->due[child + 1].time_us < side->due[child].time_us) {
            child++;
        }
        if (side->due[child].time_us >= moved.time_us) {
            break;
        }
        side->due[at] = side->due[child];
        at = child;
    }
    if (side->due_count > 0) {
        side->due[at] = moved;
    }
    return top;
}

/* When a session leaves its side: from `owned` at its end; from `local` as soon as it has begun,
 * for the owner must know of every session that reaches into one that it closes. */
static int64_t due_of(const struct wr_window *w, const struct wr_side *side, const uint8_t *session)
{
    return side == &w->local ? field(session, START) : field(session, LAST) + w->size_us;
}

/* ---- joining ---- */

/* Comparisons may read up to a word beyond a row's end. */
static size_t block_bytes(const struct wr_window *w)
{
    return w->shape.stride + (size_t)8;
}

static void block_free(struct wr_window *w, uint8_t *block)
{
    wr_state_free(&w->pool, block, block_bytes(w));
}

static bool joins(const struct wr_window *w, const uint8_t *session, int64_t start, int64_t last)
{
    return start - field(session, LAST) < w->size_us &&
           field(session, START) - last < w->size_us;
}

static void widen(uint8_t *session, int64_t start, int64_t last)
{
    if (start < field(session, START)) {
        set_field(session, START, start);
    }
    if (last > field(session, LAST)) {
        set_field(session, LAST, last);
    }
}

/* A further session of head's key, empty. */
static uint8_t *block_make(struct wr_window *w, uint8_t *head, int64_t start, int64_t last)
{
    const uint32_t key_end = (w->aggs.count > 0 ? w->aggs.items[0].bit : w->shape.stride * 8) / 8;
    uint8_t *block = wr_state_alloc(&w->pool, block_bytes(w));
    memset(block, 0, block_bytes(w));
    memcpy(block + w->shape.key_offset, head + w->shape.key_offset,
           key_end - w->shape.key_offset);
    if (w->aggs.count > 0 && (w->aggs.items[0].bit & 7) != 0) {
        const uint8_t mask = (uint8_t)((1u << (w->aggs.items[0].bit & 7)) - 1);
        block[key_end] = head[key_end] & mask;
    }
    set_field(block, START, start);
    set_field(block, LAST, last);
    set_next(block, next_of(head));
    set_next(head, block);
    return block;
}

/* Takes `absorbed` (which follows `before`) into `into`; states found earlier in this push move
 * along. */
static void absorb(struct wr_window *w, uint8_t *into, uint8_t *before, uint8_t *absorbed,
                   uint32_t found)
{
    widen(into, field(absorbed, START), field(absorbed, LAST));
    wr_agg_merge_row(&w->aggs, into, absorbed);
    wr_agg_release_row(&w->aggs, absorbed);
    set_next(before, next_of(absorbed));
    for (uint32_t i = 0; i < found; i++) {
        if (w->states[i] == absorbed) {
            w->states[i] = into;
        }
    }
    block_free(w, absorbed);
}

/* The session of [start, last] for the key of head: joined to all that are near, or new. */
static uint8_t *join(struct wr_window *w, uint8_t *head, int64_t start, int64_t last,
                     uint32_t found)
{
    uint8_t *into = NULL;
    uint8_t *before = NULL;
    for (uint8_t *session = head; session != NULL;) {
        uint8_t *next = next_of(session);
        if (!joins(w, session, start, last)) {
            before = session;
        } else if (into == NULL) {
            into = session;
            widen(into, start, last);
            before = session;
        } else {
            absorb(w, into, before, session, found);
        }
        session = next;
    }
    return into != NULL ? into : block_make(w, head, start, last);
}

/* States found earlier in this push: `found` of them, in w->states. */
static uint8_t *session_of(struct wr_window *w, struct wr_side *side, const uint64_t *image,
                           uint64_t hash, int64_t start, int64_t last, uint32_t found)
{
    struct wr_table *table = &side->sessions;
    uint32_t number;
    uint8_t *head = wr_table_find(table, image, hash, &number);
    uint8_t *session;
    if (head == NULL) {
        head = wr_table_insert_new(table, image, hash, &number);
        set_field(head, START, start);
        set_field(head, LAST, last);
        set_field(head, DUE, INT64_MAX);
        session = head;
    } else {
        session = join(w, head, start, last, found);
        wr_table_mark(table, number);
    }
    const int64_t due = due_of(w, side, session);
    if (due < field(head, DUE)) {
        set_field(head, DUE, due);
        due_push(side, due, number);
    }
    return session;
}

void wr_session_add_rows(struct wr_window *w, struct wr_side *side, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const int64_t time = w->time[w->rows[i]];
        w->states[i] = session_of(w, side, w->images + (size_t)i * w->shape.key_words,
                                  w->hashes[i], time, time, i);
    }
}

void wr_session_add_partial(struct wr_window *w, struct wr_side *side, int64_t start, int64_t last,
                            const uint8_t *row)
{
    uint64_t image[w->shape.key_words];
    wr_table_image(&w->shape, row, image);
    const uint64_t hash = wr_table_hash(&w->shape, image);
    uint8_t *session = session_of(w, side, image, hash, start, last, 0);
    wr_agg_merge_row(&w->aggs, session, row);
}

/* ---- closing ---- */

/* The first session of a key leaves: the next one moves into the key's row. false: there is none.
 */
static bool move_up(struct wr_window *w, uint8_t *head)
{
    uint8_t *next = next_of(head);
    if (next == NULL) {
        return false;
    }
    const int64_t due = field(head, DUE);
    const uint32_t offset = w->shape.key_offset;
    set_field(head, START, field(next, START));
    set_field(head, LAST, field(next, LAST));
    memcpy(head + offset, next + offset, w->shape.stride - offset);
    set_next(head, next_of(next));
    set_field(head, DUE, due);
    block_free(w, next);
    return true;
}

static int64_t earliest_due(const struct wr_window *w, const struct wr_side *side,
                            const uint8_t *head)
{
    int64_t due = INT64_MAX;
    for (const uint8_t *session = head; session != NULL; session = next_of(session)) {
        const int64_t time = due_of(w, side, session);
        due = time < due ? time : due;
    }
    return due;
}

/* Closes what is due of one key; when a session remains, its earliest end goes back into the heap.
 */
static void close_key(struct wr_window *w, struct wr_side *side, uint32_t number, int64_t limit,
                      uint32_t *budget,
                      void (*close)(struct wr_window *, int64_t, int64_t, uint8_t *))
{
    uint8_t *head = wr_table_row(&side->sessions, number);
    for (uint8_t *before = head; next_of(before) != NULL;) {
        uint8_t *session = next_of(before);
        if (due_of(w, side, session) > limit) {
            before = session;
            continue;
        }
        close(w, field(session, START), field(session, LAST), session);
        wr_agg_release_row(&w->aggs, session);
        set_next(before, next_of(session));
        block_free(w, session);
        *budget -= *budget > 0;
    }
    if (due_of(w, side, head) <= limit) {
        close(w, field(head, START), field(head, LAST), head);
        wr_agg_release_row(&w->aggs, head);
        *budget -= *budget > 0;
        if (!move_up(w, head)) {
            wr_table_remove(&side->sessions, number);
            return;
        }
    }
    const int64_t due = earliest_due(w, side, head);
    set_field(head, DUE, due);
    due_push(side, due, number);
}

bool wr_session_close(struct wr_window *w, struct wr_side *side, int64_t limit, uint32_t *budget,
                      void (*close)(struct wr_window *window, int64_t start, int64_t last,
                                    uint8_t *row))
{
    while (side->due_count > 0 && side->due[0].time_us <= limit) {
        if (*budget == 0) {
            return true;
        }
        const struct wr_session_due due = due_pop(side);
        if (!wr_table_is_live(&side->sessions, due.row) ||
            field(wr_table_row(&side->sessions, due.row), DUE) != due.time_us) {
            continue; /* the key has left, or is due at another time: that entry counts */
        }
        close_key(w, side, due.row, limit, budget, close);
    }
    return false;
}

/* ---- snapshots ---- */

const uint8_t *wr_session_next(const uint8_t *session, int64_t *start, int64_t *last)
{
    *start = field(session, START);
    *last = field(session, LAST);
    return next_of(session);
}

static void forget_key(struct wr_window *w, struct wr_table *table, uint8_t *head, uint32_t number)
{
    do {
        wr_agg_release_row(&w->aggs, head);
    } while (move_up(w, head));
    wr_table_remove(table, number);
}

void wr_session_put(struct wr_window *w, int64_t start, int64_t last, const uint8_t *row, bool first)
{
    struct wr_table *table = &w->owned.sessions;
    uint64_t image[w->shape.key_words];
    wr_table_image(&w->shape, row, image);
    const uint64_t hash = wr_table_hash(&w->shape, image);
    uint32_t number;
    uint8_t *head = wr_table_find(table, image, hash, &number);
    if (head != NULL && first) {
        forget_key(w, table, head, number);
    }
    uint8_t *session;
    if (first) {
        session = wr_table_insert_new(table, image, hash, &number);
        set_field(session, START, start);
        set_field(session, LAST, last);
        set_field(session, DUE, INT64_MAX);
    } else {
        session = block_make(w, head, start, last);
    }
    wr_window_take_states(w, session, row);
}

/* Drops the key's sessions that have ended; false: none is left. */
static bool drop_ended(struct wr_window *w, uint8_t *head, int64_t limit)
{
    for (uint8_t *before = head; next_of(before) != NULL;) {
        uint8_t *session = next_of(before);
        if (due_of(w, &w->owned, session) > limit) {
            before = session;
            continue;
        }
        wr_agg_release_row(&w->aggs, session);
        set_next(before, next_of(session));
        block_free(w, session);
    }
    if (due_of(w, &w->owned, head) > limit) {
        return true;
    }
    wr_agg_release_row(&w->aggs, head);
    return move_up(w, head);
}

void wr_session_restored(struct wr_window *w, int64_t limit)
{
    struct wr_table *table = &w->owned.sessions;
    for (uint32_t r = 0; r < table->rows; r++) {
        if (!wr_table_is_live(table, r)) {
            continue;
        }
        uint8_t *head = wr_table_row(table, r);
        if (!drop_ended(w, head, limit)) {
            wr_table_remove(table, r);
            continue;
        }
        set_field(head, DUE, earliest_due(w, &w->owned, head)); /* (2) */
        due_push(&w->owned, field(head, DUE), r);
    }
    wr_table_unmark_all(table);
}

int64_t wr_session_oldest_us(const struct wr_side *side)
{
    int64_t oldest = WR_TIME_MAX;
    for (uint32_t r = 0; r < side->sessions.rows; r++) {
        if (!wr_table_is_live(&side->sessions, r)) {
            continue;
        }
        const uint8_t *session = wr_table_row(&side->sessions, r);
        for (; session != NULL; session = next_of(session)) {
            oldest = field(session, START) < oldest ? field(session, START) : oldest;
        }
    }
    return oldest;
}

void wr_session_deinit(struct wr_window *w, struct wr_side *side)
{
    struct wr_table *table = &side->sessions;
    for (uint32_t r = 0; table->shape != NULL && r < table->rows; r++) {
        if (table->shape->key_offset < 16 || !wr_table_is_live(table, r)) {
            continue;
        }
        uint8_t *head = wr_table_row(table, r);
        forget_key(w, table, head, r);
    }
    wr_table_deinit(table);
    free(side->due);
    side->due = NULL;
}
