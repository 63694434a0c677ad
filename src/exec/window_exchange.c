/* window_exchange.c: partial states on their way to the worker that owns their key.
 *
 * An exchange batch has three columns: what says where the partial belongs (order and sub of a
 * cell, or start and last of a session) and the row itself as one self-contained run of bytes
 * (window_blob.c).
 * Invariant (1): a worker's watermark is announced after all partials that it releases.
 */
#include "exec/window.h"

#include "base/assert.h"
#include "base/heap.h"

static struct wr_field exchange_fields[] = {
    { .name = "order", .type = { .id = WR_TYPE_INT64 }, .not_null = true },
    { .name = "sub", .type = { .id = WR_TYPE_INT64 }, .not_null = true },
    { .name = "row", .type = { .id = WR_TYPE_STATE }, .not_null = true },
};
static const struct wr_schema exchange_schema = { .fields = exchange_fields, .count = 3 };

wr_status wr_window_exchange_create(struct wr_window *w, struct wr_error *err)
{
    (void)err;
    w->exchange_pool =
        wr_batch_pool_create(&exchange_schema, w->exec->config.batch_rows, 64);
    w->outgoing = wr_calloc(w->exec->config.workers, sizeof(*w->outgoing));
    return WR_OK;
}

void wr_window_exchange_destroy(struct wr_window *w)
{
    for (uint32_t i = 0; w->outgoing != NULL && i < w->exec->config.workers; i++) {
        wr_batch_release(w->outgoing[i]);
    }
    free(w->outgoing);
    wr_buf_deinit(&w->blob);
    wr_batch_pool_destroy(w->exchange_pool);
}

/* ---- sending ---- */

static void send_batch(struct wr_window *w, uint32_t to)
{
    struct wr_batch *batch = w->outgoing[to];
    if (batch == NULL) {
        return;
    }
    w->outgoing[to] = NULL;
    const struct wr_exchange_message message = { .kind = WR_EXCHANGE_ROWS,
                                                 .exchange = w->plan->exchange,
                                                 .batch = batch };
    w->exec->host.send(w->exec->host.ctx, to, &message);
}

static void send_row(struct wr_window *w, uint32_t to, int64_t order, int64_t sub,
                     const uint8_t *row)
{
    if (w->outgoing[to] == NULL) {
        w->outgoing[to] = wr_batch_take(w->exchange_pool);
        w->outgoing[to]->origin.source = UINT32_MAX;
    }
    struct wr_batch *batch = w->outgoing[to];
    w->blob.bytes = 0;
    wr_window_save_row(w, row, &w->blob);
    char *bytes = wr_arena_alloc(&batch->arena, w->blob.bytes + 1);
    memcpy(bytes, w->blob.data, w->blob.bytes);
    const uint32_t at = batch->rows++;
    ((int64_t *)batch->columns[0].values)[at] = order;
    ((int64_t *)batch->columns[1].values)[at] = sub;
    ((struct wr_view *)batch->columns[2].values)[at] = wr_view_of(bytes, w->blob.bytes);
    if (batch->rows == w->exec->config.batch_rows) {
        send_batch(w, to);
    }
}

static void add_to_cell(struct wr_window *w, int64_t order, int64_t sub, const uint8_t *row,
                        const uint64_t *image, uint64_t hash)
{
    struct wr_cell *cell = wr_cell_get(w, &w->owned, order, sub);
    bool made;
    uint8_t *into = wr_table_get(&cell->table, image, hash, &made);
    wr_agg_merge_row(&w->aggs, into, row);
}

/* A row of `local` goes where its key belongs: to another worker, or by a plain call into `owned`.
 */
static void send_partial(struct wr_window *w, int64_t order, int64_t sub, const uint8_t *row)
{
    uint64_t image[w->shape.key_words];
    wr_table_image(&w->shape, row, image);
    const uint64_t hash = wr_table_hash(&w->shape, image);
    const uint32_t owner = (uint32_t)(hash % WR_SHARDS) % w->exec->config.workers;
    if (owner != w->exec->config.worker) {
        send_row(w, owner, order, sub, row);
    } else if (w->plan->kind == WR_WINDOW_SESSION) {
        wr_session_add_partial(w, &w->owned, order, sub, row);
    } else {
        add_to_cell(w, order, sub, row, image, hash);
    }
}

static void send_session(struct wr_window *w, int64_t start, int64_t last, uint8_t *row)
{
    send_partial(w, start, last, row);
}

static void send_cell(struct wr_window *w, struct wr_cell *cell)
{
    for (uint32_t r = 0; r < cell->table.rows; r++) {
        uint8_t *row = wr_table_row(&cell->table, r);
        send_partial(w, cell->order, cell->sub, row);
        wr_agg_release_row(&w->aggs, row);
    }
    w->local_keys -= cell->table.rows;
    wr_cell_retire(w, &w->local, cell);
}

void wr_window_send(struct wr_window *w, int64_t watermark_us)
{
    int64_t limit = watermark_us;
    if (limit != WR_TIME_MIN && limit != WR_TIME_MAX &&
        __builtin_sub_overflow(limit, w->plan->lateness_us, &limit)) {
        limit = WR_TIME_MIN;
    }
    if (w->plan->kind == WR_WINDOW_SESSION) {
        uint32_t all = UINT32_MAX;
        while (wr_session_close(w, &w->local, limit, &all, send_session)) {
            all = UINT32_MAX;
        }
    } else {
        struct wr_cell_queue *queue = &w->local.cells;
        while (queue->count > 0 &&
               wr_cell_close_us(w, queue->items[queue->first]->order) <= limit) {
            send_cell(w, wr_queue_pop(queue));
        }
    }
    for (uint32_t i = 0; i < w->exec->config.workers; i++) {
        send_batch(w, i);
    }
}

void wr_window_send_if_large(struct wr_window *w, uint32_t keys_max)
{
    if (w->local.sessions.live + w->local_keys > keys_max) {
        wr_window_send(w, WR_TIME_MAX);
    }
}

void wr_window_announce(struct wr_window *w, int64_t watermark_us)
{
    const struct wr_exchange_message message = { .kind = WR_EXCHANGE_WATERMARK,
                                                 .exchange = w->plan->exchange,
                                                 .watermark_us = watermark_us };
    for (uint32_t i = 0; i < w->exec->config.workers; i++) {
        if (i != w->exec->config.worker) {
            w->exec->host.send(w->exec->host.ctx, i, &message);
        }
    }
}

/* ---- receiving ---- */

void wr_window_receive(struct wr_window *w, const struct wr_batch *batch)
{
    uint64_t image[w->shape.key_words];
    for (uint32_t i = 0; i < batch->rows; i++) {
        const int64_t order = ((const int64_t *)batch->columns[0].values)[i];
        const int64_t sub = ((const int64_t *)batch->columns[1].values)[i];
        const struct wr_view *blob = (const struct wr_view *)batch->columns[2].values + i;
        uint8_t *row = wr_window_load_row(w, wr_view_data(blob), blob->bytes);
        wr_assert(row != NULL);
        if (w->plan->kind == WR_WINDOW_SESSION) {
            wr_session_add_partial(w, &w->owned, order, sub, row);
        } else {
            wr_table_image(&w->shape, row, image);
            add_to_cell(w, order, sub, row, image, wr_table_hash(&w->shape, image));
        }
        wr_agg_release_row(&w->aggs, row);
    }
}
