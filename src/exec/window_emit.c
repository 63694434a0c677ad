/* window_emit.c: states to result rows. */
#include "exec/window.h"

#include "base/assert.h"

/* Results carry the event time window_end - 1 us; as rows of a batch they have no origin of their
 * own. */
static struct wr_batch *take_batch(struct wr_window *w)
{
    struct wr_batch *batch = wr_batch_take(w->op->pool);
    batch->origin.source = UINT32_MAX;
    batch->ingest_us = w->exec->trigger_ingest_us;
    w->emission.good_count = 0;
    return batch;
}

static void put_null(struct wr_batch *batch, uint32_t column, uint32_t row)
{
    struct wr_column *c = &batch->columns[column];
    const uint32_t width = wr_type_width(c->type);
    memset((char *)c->values + (size_t)row * width, 0, width);
    wr_bit_clear(wr_batch_nullable(batch, column), row);
}

static void put_key(struct wr_batch *batch, uint32_t column, uint32_t at,
                    const struct wr_window_key *key, const uint8_t *image)
{
    if (key->null_bit != UINT32_MAX && wr_agg_flag(image, key->null_bit)) {
        put_null(batch, column, at);
        return;
    }
    char *into = (char *)batch->columns[column].values + (size_t)at * key->width;
    memcpy(into, image + key->offset, key->width);
    if (wr_type_is_view(key->type)) {
        struct wr_view view;
        memcpy(&view, into, sizeof view);
        if (view.bytes > WR_VIEW_INLINE_BYTES) {
            /* The result may wait for its sink longer than the window lives. */
            char *copy = wr_arena_alloc(&batch->arena, view.bytes);
            memcpy(copy, view.data, view.bytes);
            view.data = copy;
            memcpy(into, &view, sizeof view);
        }
    }
}

static void put_aggregates(struct wr_window *w, struct wr_batch *batch, uint32_t at,
                           const uint8_t *row)
{
    bool good = true;
    for (uint32_t a = 0; a < w->aggs.count; a++) {
        const struct wr_agg *agg = &w->aggs.items[a];
        const uint32_t column = 2 + w->key_count + a;
        struct wr_column *c = &batch->columns[column];
        const char *error = NULL;
        if (!agg->ops->emit(agg, row, (char *)c->values + (size_t)at * wr_type_width(c->type),
                            &batch->arena, &error)) {
            put_null(batch, column, at);
        }
        if (error != NULL && good) {
            good = false;
            batch->rows = at + 1; /* the host looks at the row */
            wr_exec_fault(w->exec, w->op, batch, at, error,
                          w->op->node->schema.fields[column].name);
        }
    }
    if (good) {
        w->emission.good[w->emission.good_count++] = at;
    }
}

void wr_window_emit(struct wr_window *w, int64_t start, int64_t end, const uint8_t *row)
{
    if (w->emission.out == NULL) {
        w->emission.out = take_batch(w);
    }
    struct wr_batch *batch = w->emission.out;
    const uint32_t at = batch->rows;
    ((int64_t *)batch->columns[0].values)[at] = start;
    ((int64_t *)batch->columns[1].values)[at] = end;
    for (uint32_t k = 0; k < w->key_count; k++) {
        put_key(batch, 2 + k, at, &w->keys[k], row + w->shape.key_offset);
    }
    put_aggregates(w, batch, at, row);
    batch->rows = at + 1;
    if (batch->rows == w->exec->config.batch_rows) {
        wr_window_flush(w);
    }
}

void wr_window_flush(struct wr_window *w)
{
    struct wr_batch *batch = w->emission.out;
    if (batch == NULL) {
        return;
    }
    w->emission.out = NULL;
    if (w->emission.good_count == 0) {
        wr_batch_release(batch);
        return;
    }
    if (w->emission.good_count < batch->rows) {
        memcpy(batch->sel_storage, w->emission.good,
               w->emission.good_count * sizeof *w->emission.good);
        batch->sel = batch->sel_storage;
        batch->sel_count = w->emission.good_count;
    }
    wr_exec_deliver(w->exec, w->op, batch);
}
