/* op_rows.c: the operators that work row by row: filter and projection. */
#include "exec/exec_graph.h"

#include "base/assert.h"
#include "base/heap.h"

/* A derived batch lives as long as its rows wait for a sink; pools grow beyond this and say so to
 * nobody, because backpressure acts on the source's batches, which derived ones hold. */
#define POOL_SOFT_LIMIT 64u

static const struct wr_schema *input_schema(const struct wr_exec *exec, const struct wr_op *op)
{
    return &exec->plan->nodes[op->node->inputs[0]].schema;
}

wr_status wr_op_rows_create(struct wr_exec *exec, struct wr_op *op, struct wr_error *err)
{
    const bool filter = op->node->kind == WR_NODE_FILTER;
    const struct wr_schema *schema = input_schema(exec, op);
    op->eval_count = filter ? 1 : op->node->schema.count;
    op->evals = wr_calloc(op->eval_count, sizeof *op->evals);
    for (uint32_t i = 0; i < op->eval_count; i++) {
        const struct wr_expr *expr = filter ? op->node->filter : op->node->project[i];
        WR_TRY(wr_eval_create(&op->evals[i], expr, schema, exec->plan->text, err));
    }
    op->pool = wr_batch_pool_create(&op->node->schema, WR_BATCH_ROWS_MAX, POOL_SOFT_LIMIT);
    return WR_OK;
}

/* A batch of op's pool with the parent's rows, origin and selection, and none of its columns yet.
 * Takes over the caller's reference of parent. */
static struct wr_batch *derive(struct wr_op *op, struct wr_batch *parent)
{
    struct wr_batch *batch = wr_batch_take(op->pool);
    batch->parent = parent;
    batch->rows = parent->rows;
    batch->origin = parent->origin;
    batch->ingest_us = parent->ingest_us;
    batch->records = parent->records;
    if (batch->records != NULL) {
        wr_records_retain(batch->records);
    }
    batch->sel = parent->sel;
    batch->sel_count = parent->sel_count;
    return batch;
}

static uint32_t copy_selection(const struct wr_batch *batch, uint32_t *into)
{
    const uint32_t live = wr_batch_live(batch);
    if (batch->sel != NULL) {
        memcpy(into, batch->sel, live * sizeof *into);
    } else {
        for (uint32_t i = 0; i < live; i++) {
            into[i] = i;
        }
    }
    return live;
}

/* Counts the rows that were in before and are not in after (both ascending), faulty ones apart. */
static void count_filtered(struct wr_exec *exec, const struct wr_op *op,
                           const struct wr_batch *batch, const uint32_t *before,
                           uint32_t before_count, const uint32_t *after, uint32_t after_count)
{
    if (batch->origin.source == UINT32_MAX) {
        return;
    }
    uint32_t kept = 0;
    uint32_t dropped = 0;
    for (uint32_t i = 0; i < before_count; i++) {
        if (kept < after_count && before[i] == after[kept]) {
            kept++;
        } else {
            exec->dead_rows[dropped++] = before[i];
        }
    }
    for (uint32_t f = 0; f < exec->faults.count && dropped > 0; f++) {
        for (uint32_t i = 0; i < dropped; i++) {
            if (exec->dead_rows[i] == exec->faults.items[f].row) {
                memmove(exec->dead_rows + i, exec->dead_rows + i + 1,
                        (dropped - i - 1) * sizeof *exec->dead_rows);
                dropped--;
                break;
            }
        }
    }
    wr_exec_count(exec, op, batch, exec->dead_rows, dropped, WR_ROW_FILTERED);
}

void wr_op_filter_push(struct wr_exec *exec, struct wr_op *op, struct wr_batch *batch)
{
    uint32_t before[WR_BATCH_ROWS_MAX];
    uint32_t after[WR_BATCH_ROWS_MAX];
    after[0] = 0; /* gcc 12 at -O2 does not see that eval_filter reads only what memcpy wrote */
    const uint32_t live = copy_selection(batch, before);
    memcpy(after, before, live * sizeof *after);
    exec->faults.count = 0;
    uint32_t count = wr_eval_filter(op->evals[0], batch, exec->now.wall_us, &batch->arena,
                                    &exec->faults, after, live, after);
    count_filtered(exec, op, batch, before, live, after, count);
    count = wr_exec_drop_faults(exec, op, batch, after, count);
    if (count == 0) {
        wr_batch_release(batch);
        return;
    }
    if (count < live) {
        if (batch->refs > 1) {
            /* Others see all rows: a batch of its own selection, with the same columns. */
            struct wr_batch *narrowed = derive(op, batch);
            memcpy(narrowed->columns, batch->columns,
                   batch->columns_count * sizeof *batch->columns);
            batch = narrowed;
        }
        memcpy(batch->sel_storage, after, count * sizeof *after);
        batch->sel = batch->sel_storage;
        batch->sel_count = count;
    }
    wr_exec_deliver(exec, op, batch);
}

/* The evaluator's result goes into the batch's own column: the evaluator reuses its memory. */
static void keep_column(struct wr_batch *batch, uint32_t column, const struct wr_column *result)
{
    struct wr_column *own = &batch->columns[column];
    memcpy(own->values, result->values, (size_t)batch->rows * wr_type_width(own->type));
    if (result->validity != NULL) {
        memcpy(wr_batch_nullable(batch, column), result->validity, ((size_t)batch->rows + 7) / 8);
    }
}

void wr_op_project_push(struct wr_exec *exec, struct wr_op *op, struct wr_batch *parent)
{
    struct wr_batch *batch = derive(op, parent);
    exec->faults.count = 0;
    for (uint32_t i = 0; i < op->eval_count; i++) {
        const uint32_t bare = wr_eval_bare_column(op->evals[i]);
        if (bare != UINT32_MAX) {
            const struct wr_type type = batch->columns[i].type;
            batch->columns[i] = parent->columns[bare];
            batch->columns[i].type = type;
            continue;
        }
        struct wr_column result;
        wr_eval_run(op->evals[i], parent, exec->now.wall_us, &batch->arena, &exec->faults,
                    &result);
        keep_column(batch, i, &result);
    }
    if (exec->faults.count > 0) {
        uint32_t rows[WR_BATCH_ROWS_MAX];
        uint32_t count = copy_selection(batch, rows);
        count = wr_exec_drop_faults(exec, op, batch, rows, count);
        memcpy(batch->sel_storage, rows, count * sizeof *rows);
        batch->sel = batch->sel_storage;
        batch->sel_count = count;
    }
    if (wr_batch_live(batch) == 0) {
        wr_batch_release(batch);
        return;
    }
    wr_exec_deliver(exec, op, batch);
}
