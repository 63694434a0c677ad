/* op_unnest.c: UNNEST: a row in, a row out for each element of its ARRAY or entry of its MAP.
 *
 * The rows that come out are new ones (batch.h (1)): origin.rows tells which row of the source's batch each was made of, and the
 * watermark that the source's row saw goes with them. So lateness, dead letters, the ledger and the ties of first_value go by the
 * source's row, however many were made of it; in the ledger it counts once (exec.c, marks). A row without elements counts as filtered.
 * Batches are full ones: a large array gives many, whose texts borrow from the batch that came in.
 */
#include "exec/exec_graph.h"

#include "base/heap.h"
#include "batch/nested.h"

#define POOL_SOFT_LIMIT 64u

/* A batch under construction. */
struct unnest {
    struct wr_exec *exec;
    struct wr_op *op;
    struct wr_batch *parent;
    struct wr_type type;  /* of the value */
    struct wr_batch *out; /* NULL: none is begun */
    uint32_t *from;       /* per row of out: the parent's row */
    /* What elements fill: WR_NO_COLUMN, or the column of the whole element, of its number, of each field (a MAP's: key, value). */
    uint32_t element;
    uint32_t ordinality;
    uint32_t fields[WR_NESTED_FIELDS_MAX];
    uint32_t field_count; /* up to the last one that is read */
};

static void find_columns(struct unnest *u)
{
    const struct wr_plan_node *node = u->op->node;
    u->element = WR_NO_COLUMN;
    u->ordinality = WR_NO_COLUMN;
    u->field_count = 0;
    for (uint32_t c = 0; c < node->schema.count; c++) {
        const uint32_t code = node->unnest.columns[c];
        if (code == WR_UNNEST_ELEMENT) {
            u->element = c;
        } else if (code == WR_UNNEST_ORDINALITY) {
            u->ordinality = c;
        } else if (code >= WR_UNNEST_FIELD) {
            const uint32_t field = code - WR_UNNEST_FIELD;
            for (; u->field_count <= field; u->field_count++) {
                u->fields[u->field_count] = WR_NO_COLUMN;
            }
            u->fields[field] = c;
        }
    }
}

wr_status wr_op_unnest_create(struct wr_exec *exec, struct wr_op *op, struct wr_error *err)
{
    op->eval_count = 1;
    op->evals = wr_calloc(1, sizeof *op->evals);
    WR_TRY(wr_eval_create(&op->evals[0], op->node->unnest.value,
                          &exec->plan->nodes[op->node->inputs[0]].schema, exec->plan->text, err));
    op->pool = wr_batch_pool_create(&op->node->schema, WR_BATCH_ROWS_MAX, POOL_SOFT_LIMIT);
    return WR_OK;
}

static void begin(struct unnest *u)
{
    const struct wr_batch *parent = u->parent;
    struct wr_batch *out = wr_batch_take(u->op->pool);
    out->parent = u->parent;
    wr_batch_retain(u->parent);
    out->origin = parent->origin;
    out->origin.rows = NULL;
    out->ingest_us = parent->ingest_us;
    out->records = parent->records;
    if (out->records != NULL) {
        wr_records_retain(out->records);
    }
    u->out = out;
    u->from = wr_arena_alloc(&out->arena, WR_BATCH_ROWS_MAX * sizeof *u->from);
}

#define SPREAD(type)                                                                               \
    do {                                                                                           \
        const type *source = from->values;                                                         \
        type *target = to->values;                                                                 \
        for (uint32_t i = 0; i < rows; i++) {                                                      \
            target[i] = source[u->from[i]];                                                        \
        }                                                                                          \
    } while (0)

/* A column of the input, repeated for the rows made of each of its rows. */
static void spread(struct unnest *u, uint32_t column, const struct wr_column *from)
{
    struct pair {
        uint64_t a;
        uint64_t b;
    };
    const uint32_t rows = u->out->rows;
    struct wr_column *to = &u->out->columns[column];
    switch (wr_type_width(to->type)) {
    case 1: SPREAD(uint8_t); break;
    case 2: SPREAD(uint16_t); break;
    case 4: SPREAD(uint32_t); break;
    case 8: SPREAD(uint64_t); break;
    default: SPREAD(struct pair); break;
    }
    for (uint32_t i = 0; from->validity != NULL && i < rows; i++) {
        if (!wr_bit_get(from->validity, u->from[i])) {
            wr_bit_clear(wr_batch_nullable(u->out, column), i);
        }
    }
}

/* Hands on what is in the batch. */
static void finish(struct unnest *u)
{
    struct wr_batch *out = u->out;
    const struct wr_origin *origin = &u->parent->origin;
    if (out == NULL) {
        return;
    }
    for (uint32_t c = 0; c < out->columns_count; c++) {
        const uint32_t code = u->op->node->unnest.columns[c];
        if (code < WR_UNNEST_FIELD) {
            spread(u, c, &u->parent->columns[code]);
        }
    }
    if (origin->wm_before != NULL) {
        for (uint32_t i = 0; i < out->rows; i++) {
            out->wm_storage[i] = origin->wm_before[u->from[i]];
        }
        out->origin.wm_before = out->wm_storage;
    }
    if (origin->source != UINT32_MAX) { /* results have no rows of a source */
        for (uint32_t i = 0; origin->rows != NULL && i < out->rows; i++) {
            u->from[i] = origin->rows[u->from[i]];
        }
        out->origin.rows = u->from;
    }
    u->out = NULL;
    wr_exec_deliver(u->exec, u->op, out);
}

static void put(struct unnest *u, uint32_t column, const void *value, bool null)
{
    if (column == WR_NO_COLUMN) {
        return;
    }
    const uint32_t row = u->out->rows - 1;
    const struct wr_column *to = &u->out->columns[column];
    const uint32_t width = wr_type_width(to->type);
    memcpy((char *)to->values + (size_t)row * width, value, width);
    if (null) {
        wr_bit_clear(wr_batch_nullable(u->out, column), row);
    }
}

static void begin_row(struct unnest *u, uint32_t parent_row)
{
    if (u->out == NULL) {
        begin(u);
    }
    u->from[u->out->rows++] = parent_row;
}

static void end_row(struct unnest *u)
{
    if (u->out->rows == WR_BATCH_ROWS_MAX) {
        finish(u);
    }
}

/* A row without elements, where those are wanted too. */
static void add_nulls(struct unnest *u, uint32_t parent_row)
{
    static const char zero[16] __attribute__((aligned(16)));
    begin_row(u, parent_row);
    put(u, u->element, zero, true);
    put(u, u->ordinality, zero, true);
    for (uint32_t f = 0; f < u->field_count; f++) {
        put(u, u->fields[f], zero, true);
    }
    end_row(u);
}

/* The fields of an element that is a STRUCT, in one walk. */
static void put_fields(struct unnest *u, struct wr_type element, const void *value, bool null)
{
    struct wr_nested_cursor cursor;
    struct wr_type type;
    char field[16] __attribute__((aligned(16))) = { 0 };
    if (!null) {
        wr_nested_walk(&cursor, element, wr_view_slice(value));
    }
    for (uint32_t f = 0; f < u->field_count; f++) {
        bool field_null = true;
        if (!null) {
            (void)wr_nested_next(&cursor, &type, field, &field_null);
        }
        put(u, u->fields[f], field, field_null);
    }
}

/* The rows of one row's elements; false: it has none. */
static bool add_elements(struct unnest *u, uint32_t row, const struct wr_view *body)
{
    const bool entries = u->type.id == WR_TYPE_MAP;
    char value[16] __attribute__((aligned(16)));
    struct wr_nested_cursor cursor;
    struct wr_type type;
    bool null;
    int64_t ordinality = 0;
    wr_nested_walk(&cursor, u->type, wr_view_slice(body));
    while (wr_nested_next(&cursor, &type, value, &null)) {
        begin_row(u, row);
        ordinality++;
        put(u, u->element, value, null);
        put(u, u->ordinality, &ordinality, false);
        if (entries) {
            put(u, u->field_count > 0 ? u->fields[0] : WR_NO_COLUMN, value, null);
            (void)wr_nested_next(&cursor, &type, value, &null);
            put(u, u->field_count > 1 ? u->fields[1] : WR_NO_COLUMN, value, null);
        } else if (u->field_count > 0) {
            put_fields(u, type, value, null);
        }
        end_row(u);
    }
    return ordinality > 0;
}

void wr_op_unnest_push(struct wr_exec *exec, struct wr_op *op, struct wr_batch *parent)
{
    uint32_t rows[WR_BATCH_ROWS_MAX];
    uint32_t empty[WR_BATCH_ROWS_MAX];
    uint32_t empty_count = 0;
    struct wr_column values;
    struct unnest u;
    u.exec = exec;
    u.op = op;
    u.parent = parent;
    u.type = op->node->unnest.value->type;
    u.out = NULL;
    u.from = NULL;
    find_columns(&u);
    exec->faults.count = 0;
    wr_eval_run(op->evals[0], parent, exec->now.wall_us, &parent->arena, &exec->faults, &values);
    uint32_t count = wr_batch_live(parent);
    for (uint32_t i = 0; i < count; i++) {
        rows[i] = wr_batch_row(parent, i);
    }
    count = wr_exec_drop_faults(exec, op, parent, rows, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct wr_view *body = (const struct wr_view *)values.values + rows[i];
        if (!wr_column_is_null(&values, rows[i]) && add_elements(&u, rows[i], body)) {
            continue;
        }
        if (op->node->unnest.outer) {
            add_nulls(&u, rows[i]);
        } else {
            empty[empty_count++] = rows[i];
        }
    }
    finish(&u);
    wr_exec_count(exec, op, parent, empty, empty_count, WR_ROW_FILTERED);
    wr_batch_release(parent);
}
