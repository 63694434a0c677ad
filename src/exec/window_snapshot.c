/* window_snapshot.c: changed rows to records, at barriers; sweeps that make old records obsolete. */
#include "exec/window_snapshot.h"

#include "base/assert.h"
#include "base/heap.h"
#include "exec/window.h"

#define PIECE_BYTES ((size_t)1 << 20)
/* Recovery reads at most about this much beyond twice the live state ... */
#define READ_BYTES_FLOOR (UINT64_C(4) << 20)
/* ... in at most about this many objects, and one more per so many live bytes: a request costs as much as
 * reading them. */
#define READ_EPOCHS_FLOOR 64u
#define BYTES_PER_EPOCH (UINT64_C(4) << 20)
/* A faster sweep's rows per epoch: a few hundred microseconds, or a 64th of the state. */
#define SWEEP_ROWS_MIN 4096u
#define SWEEP_SHARE 64u
#define EPOCH_TO_COME UINT64_MAX

/* ---- pieces and records ---- */

static void piece_done(struct wr_window *w)
{
    struct wr_window_snapshot *s = &w->snapshot;
    s->in_cell = false;
    if (s->out.bytes == 0) {
        return;
    }
    if (s->cutting) {
        const struct wr_exec_host *host = &w->exec->host;
        host->snapshot(host->ctx, w->op->node->index, s->out.data, s->out.bytes);
        s->cut_bytes += s->out.bytes;
        s->out.bytes = 0;
        return;
    }
    if (s->waiting_count == s->waiting_capacity) {
        s->waiting_capacity = s->waiting_capacity == 0 ? 4 : s->waiting_capacity * 2;
        s->waiting = wr_realloc(s->waiting, s->waiting_capacity * sizeof *s->waiting);
    }
    s->waiting[s->waiting_count++] = s->out;
    s->out = (struct wr_buf){ 0 };
}

/* Returns where the record's size goes once it is known. */
static size_t record_begin(struct wr_buf *out, uint8_t kind)
{
    const size_t at = out->bytes;
    static const uint32_t unknown = 0;
    wr_buf_append(out, &unknown, sizeof unknown);
    wr_buf_byte(out, kind);
    return at;
}

static void record_end(struct wr_window *w, size_t at)
{
    struct wr_window_snapshot *s = &w->snapshot;
    const size_t bytes = s->out.bytes - at - 5;
    wr_assert(bytes <= UINT32_MAX);
    const uint32_t size = (uint32_t)bytes;
    memcpy(s->out.data + at, &size, sizeof size);
    s->rows++;
    s->bytes += bytes + 5;
    if (s->out.bytes >= PIECE_BYTES) {
        piece_done(w);
    }
}

static void record_row(struct wr_window *w, const struct wr_cell *cell, uint32_t number)
{
    struct wr_window_snapshot *s = &w->snapshot;
    if (!s->in_cell || s->order != cell->order || s->sub != cell->sub) {
        const uint32_t size = 16;
        wr_buf_append(&s->out, &size, sizeof size);
        wr_buf_byte(&s->out, WR_RECORD_CELL);
        wr_buf_append(&s->out, &cell->order, sizeof cell->order);
        wr_buf_append(&s->out, &cell->sub, sizeof cell->sub);
        s->in_cell = true;
        s->order = cell->order;
        s->sub = cell->sub;
    }
    const size_t at = record_begin(&s->out, WR_RECORD_ROW);
    wr_window_save_row(w, wr_table_row(&cell->table, number), &s->out);
    record_end(w, at);
}

static void record_sessions(struct wr_window *w, uint32_t number)
{
    struct wr_buf *out = &w->snapshot.out;
    const uint8_t *session = wr_table_row(&w->owned.sessions, number);
    const size_t at = record_begin(out, WR_RECORD_SESSIONS);
    const size_t count_at = out->bytes;
    uint32_t count = 0;
    wr_buf_append(out, &count, sizeof count);
    while (session != NULL) {
        int64_t times[2];
        const uint8_t *row = session;
        session = wr_session_next(row, &times[0], &times[1]);
        wr_buf_append(out, times, sizeof times);
        const size_t size_at = out->bytes;
        uint32_t size = 0;
        wr_buf_append(out, &size, sizeof size);
        wr_window_save_row(w, row, out);
        const size_t bytes = out->bytes - size_at - sizeof size;
        wr_assert(bytes <= UINT32_MAX);
        size = (uint32_t)bytes;
        memcpy(out->data + size_at, &size, sizeof size);
        count++;
    }
    memcpy(out->data + count_at, &count, sizeof count);
    record_end(w, at);
}

/* cell == NULL: of the sessions. */
static void record(struct wr_window *w, const struct wr_cell *cell, uint32_t number)
{
    if (cell != NULL) {
        record_row(w, cell, number);
    } else {
        record_sessions(w, number);
    }
}

/* ---- sweeps ---- */

/* Clean rows from the cursor on, up to *budget of them. */
static void sweep_rows(struct wr_window *w, const struct wr_table *table,
                       const struct wr_cell *cell, struct wr_sweep *sweep, uint64_t epoch,
                       uint32_t *budget)
{
    const bool removes = table->shape->key_offset > 0 && cell == NULL;
    if (sweep->began == 0) {
        sweep->began = epoch;
        sweep->row = 0;
    }
    while (sweep->row < table->rows && *budget > 0) {
        const uint32_t number = sweep->row++;
        if (wr_table_is_marked(table, number) || (removes && !wr_table_is_live(table, number))) {
            continue;
        }
        record(w, cell, number);
        sweep->last = epoch;
        (*budget)--;
    }
    if (sweep->row == table->rows) {
        sweep->base = sweep->began; /* (1) */
        sweep->began = 0;
    }
}

/* Changed rows lie apart, so each is a miss or two: they are asked for together. */
static uint32_t record_marked(struct wr_window *w, const struct wr_table *table,
                              const struct wr_cell *cell)
{
    enum { AHEAD = 32 };
    uint32_t numbers[AHEAD];
    uint32_t recorded = 0;
    uint32_t next = wr_table_next_marked(table, 0);
    while (next != UINT32_MAX) {
        uint32_t count = 0;
        for (; next != UINT32_MAX && count < AHEAD; next = wr_table_next_marked(table, next + 1)) {
            const uint8_t *row = wr_table_row(table, next);
            __builtin_prefetch(row);
            __builtin_prefetch(row + table->shape->stride - 1);
            numbers[count++] = next;
        }
        for (uint32_t i = 0; i < count; i++) {
            record(w, cell, numbers[i]);
        }
        recorded += count;
    }
    return recorded;
}

/* What has changed in a table, and the sweep's share. */
static void cut_table(struct wr_window *w, struct wr_table *table, const struct wr_cell *cell,
                      struct wr_sweep *sweep, uint64_t epoch)
{
    if (table->live == 0) {
        *sweep = (struct wr_sweep){ 0 };
        wr_table_unmark_all(table);
        return;
    }
    uint32_t dirty = record_marked(w, table, cell);
    if (dirty > 0) {
        sweep->base = sweep->base == 0 ? epoch : sweep->base;
        sweep->last = epoch;
        if (w->snapshot.sweeping) {
            sweep_rows(w, table, cell, sweep, epoch, &dirty);
        }
        if (sweep->base < w->snapshot.cutoff) {
            sweep_rows(w, table, cell, sweep, epoch, &w->snapshot.extra);
        }
        wr_table_unmark_all(table);
    } else if (sweep->base < w->snapshot.cutoff && w->snapshot.extra > 0) {
        sweep_rows(w, table, cell, sweep, epoch, &w->snapshot.extra);
    }
}

/* ---- slices that have entered a HOP's running combination ---- */

void wr_window_keep_cell(struct wr_window *w, struct wr_cell *cell)
{
    if (wr_table_next_marked(&cell->table, 0) == UINT32_MAX) {
        return; /* what is written is all that there is */
    }
    for (uint32_t r = 0; r < cell->table.rows; r++) {
        record_row(w, cell, r);
    }
    wr_table_unmark_all(&cell->table);
    cell->sweep = (struct wr_sweep){ .base = EPOCH_TO_COME, .last = EPOCH_TO_COME };
}

void wr_window_keep_entered(struct wr_window *w)
{
    const struct wr_cell_queue *active = &w->hop.active;
    for (uint32_t i = 0; i < active->count; i++) {
        wr_window_keep_cell(w, active->items[active->first + i]);
    }
}

static void date_active(struct wr_window *w, uint64_t epoch)
{
    const struct wr_cell_queue *active = &w->hop.active;
    for (uint32_t i = 0; i < active->count; i++) {
        struct wr_sweep *sweep = &active->items[active->first + i]->sweep;
        if (sweep->base == EPOCH_TO_COME) {
            sweep->base = epoch;
            sweep->last = epoch;
        }
    }
}

/* ---- what is needed ---- */

static void need(struct wr_window_snapshot *s, uint64_t from, uint64_t to)
{
    for (uint32_t i = s->need_count; i-- > 0;) {
        if (s->needs[i].from <= from && s->needs[i].to >= to) {
            return;
        }
    }
    if (s->need_count == s->need_capacity) {
        s->need_capacity = s->need_capacity == 0 ? 16 : s->need_capacity * 2;
        s->needs = wr_realloc(s->needs, s->need_capacity * sizeof *s->needs);
    }
    s->needs[s->need_count++] = (struct wr_epoch_range){ from, to };
}

void wr_window_note_needs(struct wr_window *w)
{
    struct wr_window_snapshot *s = &w->snapshot;
    uint64_t base = w->owned.sweep.base > 0 ? w->owned.sweep.base : UINT64_MAX;
    const struct wr_cell_queue *queue = &w->owned.cells;
    for (uint32_t i = 0; i < queue->count; i++) {
        const uint64_t cell = queue->items[queue->first + i]->sweep.base;
        base = cell > 0 && cell < base ? cell : base;
    }
    s->need_count = 0;
    if (base != UINT64_MAX) {
        need(s, base, UINT64_MAX);
    }
    const struct wr_cell_queue *active = &w->hop.active;
    for (uint32_t i = 0; i < active->count; i++) {
        const struct wr_sweep *sweep = &active->items[active->first + i]->sweep;
        need(s, sweep->base, sweep->last);
    }
}

uint64_t wr_window_snapshot_base(const struct wr_window *w)
{
    uint64_t base = UINT64_MAX;
    for (uint32_t i = 0; i < w->snapshot.need_count; i++) {
        base = w->snapshot.needs[i].from < base ? w->snapshot.needs[i].from : base;
    }
    return base;
}

bool wr_window_snapshot_needed(const struct wr_window *w, uint64_t epoch)
{
    for (uint32_t i = 0; i < w->snapshot.need_count; i++) {
        if (w->snapshot.needs[i].from <= epoch && epoch <= w->snapshot.needs[i].to) {
            return true;
        }
    }
    return false;
}

/* ---- how much a recovery would read ---- */

void wr_snapshot_log_add(struct wr_exec *exec, uint64_t epoch, uint64_t bytes)
{
    struct wr_snapshot_log *log = &exec->log;
    uint32_t at = log->count;
    while (at > 0 && log->items[at - 1].epoch > epoch) {
        at--;
    }
    if (at > 0 && log->items[at - 1].epoch == epoch) {
        log->items[at - 1].bytes += bytes;
        return;
    }
    if (bytes == 0) {
        return;
    }
    if (log->count == log->capacity) {
        log->capacity = log->capacity == 0 ? 64 : log->capacity * 2;
        log->items = wr_realloc(log->items, log->capacity * sizeof *log->items);
    }
    memmove(log->items + at + 1, log->items + at, (log->count - at) * sizeof *log->items);
    log->items[at].epoch = epoch;
    log->items[at].bytes = bytes;
    log->count++;
}

/* Epochs that nobody needs are not read. */
static void log_prune(struct wr_exec *exec, uint64_t newest)
{
    struct wr_snapshot_log *log = &exec->log;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < log->count; i++) {
        if (log->items[i].epoch == newest ||
            wr_exec_snapshot_needed(exec, log->items[i].epoch)) {
            log->items[kept++] = log->items[i];
        }
    }
    log->count = kept;
}

static uint64_t live_bytes(const struct wr_exec *exec)
{
    uint64_t bytes = 0;
    for (uint32_t n = 0; n < exec->plan->node_count; n++) {
        const struct wr_window *w = exec->ops[n].window;
        if (w != NULL && w->snapshot.rows > 0) {
            const double mean = (double)w->snapshot.bytes / (double)w->snapshot.rows;
            bytes += (uint64_t)((double)w->shape.live * mean);
        }
    }
    return bytes;
}

static uint64_t recorded_bytes(const struct wr_exec *exec)
{
    uint64_t recorded = 0;
    for (uint32_t i = 0; i < exec->log.count; i++) {
        recorded += exec->log.items[i].bytes;
    }
    return recorded;
}

/* Half of what recovery may read more than the state itself is there: from now on clean rows go along with changed ones. Before, a
 * change of 1 % costs 1 %. */
static bool wants_sweep(const struct wr_exec *exec)
{
    const uint64_t live = live_bytes(exec);
    return recorded_bytes(exec) > live + (live + READ_BYTES_FLOOR) / 2 ||
           exec->log.count > (READ_EPOCHS_FLOOR + live / BYTES_PER_EPOCH) / 2;
}

/* The epoch before which bases are too old: 0 while what is recorded is at most twice the state and
 * a little, else where its newer half begins. */
static uint64_t cutoff_of(const struct wr_exec *exec)
{
    const struct wr_snapshot_log *log = &exec->log;
    const uint64_t live = live_bytes(exec);
    const uint64_t bytes_max = 2 * live + READ_BYTES_FLOOR;
    const uint64_t epochs_max = READ_EPOCHS_FLOOR + live / BYTES_PER_EPOCH;
    if (recorded_bytes(exec) <= bytes_max && log->count <= epochs_max) {
        return 0;
    }
    uint64_t newer = 0;
    uint32_t at = log->count;
    while (at > 0 && newer + log->items[at - 1].bytes <= bytes_max / 2 &&
           log->count - at < epochs_max / 2) {
        newer += log->items[--at].bytes;
    }
    return at < log->count ? log->items[at].epoch : UINT64_MAX;
}

/* ---- the cut ---- */

static void tell_waiting(struct wr_window *w)
{
    struct wr_window_snapshot *s = &w->snapshot;
    const struct wr_exec_host *host = &w->exec->host;
    for (uint32_t i = 0; i < s->waiting_count; i++) {
        host->snapshot(host->ctx, w->op->node->index, s->waiting[i].data, s->waiting[i].bytes);
        s->cut_bytes += s->waiting[i].bytes;
        wr_buf_deinit(&s->waiting[i]);
    }
    s->waiting_count = 0;
}

static void finish_emission(struct wr_window *w)
{
    uint32_t budget;
    do {
        budget = UINT32_MAX;
    } while (wr_window_step(w, &budget));
}

/* With the end of the input all is closed: as if at the end of the newest window that was emitted. */
static int64_t watermark_of(const struct wr_window *w)
{
    int64_t newest;
    if (w->ready_wm != WR_TIME_MAX || w->newest_us == WR_TIME_MIN ||
        __builtin_add_overflow(w->newest_us, w->plan->lateness_us, &newest)) {
        return w->finite_wm;
    }
    return newest > w->finite_wm ? newest : w->finite_wm;
}

void wr_window_cut(struct wr_window *w, uint64_t epoch)
{
    struct wr_window_snapshot *s = &w->snapshot;
    finish_emission(w);
    s->cutoff = cutoff_of(w->exec);
    s->sweeping = wants_sweep(w->exec);
    const uint64_t share = w->shape.live / SWEEP_SHARE;
    s->extra = share < SWEEP_ROWS_MIN ? SWEEP_ROWS_MIN
               : share < UINT32_MAX   ? (uint32_t)share
                                      : UINT32_MAX;
    s->cut_bytes = 0;
    s->cutting = true;
    tell_waiting(w);
    wr_window_keep_entered(w);
    date_active(w, epoch);
    const struct wr_cell_queue *queue = &w->owned.cells;
    for (uint32_t i = 0; i < queue->count; i++) {
        struct wr_cell *cell = queue->items[queue->first + i];
        cut_table(w, &cell->table, cell, &cell->sweep, epoch);
    }
    if (w->plan->kind == WR_WINDOW_SESSION) {
        cut_table(w, &w->owned.sessions, NULL, &w->owned.sweep, epoch);
    }
    piece_done(w);
    s->cutting = false;
    s->watermark_us = watermark_of(w);
    wr_window_note_needs(w);
    wr_snapshot_log_add(w->exec, epoch, s->cut_bytes);
    log_prune(w->exec, epoch);
}

void wr_window_snapshot_deinit(struct wr_window *w)
{
    struct wr_window_snapshot *s = &w->snapshot;
    for (uint32_t i = 0; i < s->waiting_count; i++) {
        wr_buf_deinit(&s->waiting[i]);
    }
    free(s->waiting);
    free(s->needs);
    wr_buf_deinit(&s->out);
}
