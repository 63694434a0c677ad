/* window_key.c: how a window's rows lie in memory; keys, arguments and filters of a batch; the
 * update of states. */
#include "exec/window.h"

#include "base/assert.h"
#include "base/heap.h"
#include <math.h>

/* Links before the key: HOP: next entry and slice, or (running) front, its newest slice, back;
 * SESSION: next, start, last, due time. */
#define HOP_PREFIX 24u
#define SESSION_PREFIX 32u

static uint32_t prefix_of(enum wr_window_kind kind)
{
    switch (kind) {
    case WR_WINDOW_HOP: return HOP_PREFIX;
    case WR_WINDOW_SESSION: return SESSION_PREFIX;
    case WR_WINDOW_TUMBLE:
    case WR_WINDOW_INHERIT: break;
    }
    return 0;
}

/* Few rows per chunk where there are many tables (slices, inner sessions), more where there are
 * few. */
static uint32_t chunk_shift_of(enum wr_window_kind kind)
{
    switch (kind) {
    case WR_WINDOW_HOP: return 5;
    case WR_WINDOW_INHERIT: return 3;
    case WR_WINDOW_TUMBLE: return 8;
    case WR_WINDOW_SESSION: break;
    }
    return 7;
}

static wr_status column_create(struct wr_window *w, struct wr_window_column *column,
                               const struct wr_expr *expr, struct wr_error *err)
{
    column->bare = UINT32_MAX;
    if (expr == NULL) {
        return WR_OK;
    }
    const struct wr_plan *plan = w->exec->plan;
    WR_TRY(wr_eval_create(&column->eval, expr, &plan->nodes[w->op->node->inputs[0]].schema,
                          plan->text, err));
    column->bare = wr_eval_bare_column(column->eval);
    return WR_OK;
}

/* Views first, so that comparisons know where they are; then the rest in order; NULL bits behind.
 */
static uint32_t layout_keys(struct wr_window *w)
{
    uint32_t at = 0;
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t k = 0; k < w->key_count; k++) {
            struct wr_window_key *key = &w->keys[k];
            if (wr_type_is_view(key->type) == (pass == 0)) {
                key->offset = at;
                at += key->width;
                w->shape.view_count += pass == 0;
            }
        }
    }
    uint32_t bits = at * 8;
    w->key_bits_word = at / 8;
    for (uint32_t k = 0; k < w->key_count; k++) {
        if (w->plan->keys[k]->nullable) {
            w->keys[k].null_bit = bits++;
        } else {
            w->keys[k].null_bit = UINT32_MAX;
        }
    }
    return bits;
}

static void layout_states(struct wr_window *w, uint32_t key_bits)
{
    uint32_t bit = w->shape.key_offset * 8 + key_bits;
    for (uint32_t a = 0; a < w->aggs.count; a++) {
        w->aggs.items[a].bit = bit;
        bit += w->aggs.items[a].bits;
    }
    uint32_t at = (bit + 7) / 8;
    for (uint32_t a = 0; a < w->aggs.count; a++) {
        w->aggs.items[a].offset = at;
        at += w->aggs.items[a].bytes;
    }
    at = at < 8 ? 8 : at;
    /* Words at their own boundaries are a little faster; worth an eighth of the row, not more. */
    const uint32_t rounded = (at + 7) & ~7u;
    w->shape.stride = rounded - at <= at / 16 ? rounded : at;
}

wr_status wr_window_layout(struct wr_window *w, struct wr_error *err)
{
    const struct wr_plan_window *plan = w->plan;
    w->key_count = plan->key_count;
    w->keys = wr_calloc(plan->key_count + 1, sizeof *w->keys);
    w->args = wr_calloc(plan->aggregate_count + 1, sizeof *w->args);
    w->aggs.items = wr_calloc(plan->aggregate_count + 1, sizeof *w->aggs.items);
    w->aggs.count = plan->aggregate_count;
    for (uint32_t k = 0; k < plan->key_count; k++) {
        w->keys[k].type = plan->keys[k]->type;
        w->keys[k].width = wr_type_width(w->keys[k].type);
        WR_TRY(column_create(w, &w->keys[k].in, plan->keys[k], err));
    }
    for (uint32_t a = 0; a < plan->aggregate_count; a++) {
        const struct wr_plan_aggregate *aggregate = &plan->aggregates[a];
        wr_agg_init(&w->aggs.items[a], aggregate, &w->pool);
        w->aggs.has_blocks |= w->aggs.items[a].ops->release != NULL;
        WR_TRY(column_create(w, &w->args[a].value, aggregate->arg, err));
        WR_TRY(column_create(w, &w->args[a].filter, aggregate->filter, err));
    }
    w->shape.pool = &w->pool;
    w->shape.presize = plan->kind == WR_WINDOW_TUMBLE;
    w->shape.keys_in_pool = plan->kind == WR_WINDOW_SESSION;
    w->shape.key_offset = prefix_of(plan->kind);
    w->shape.chunk_shift = chunk_shift_of(plan->kind);
    const uint32_t key_bits = layout_keys(w);
    w->shape.key_words = key_bits == 0 ? 1 : (key_bits + 63) / 64;
    const uint32_t tail = key_bits - 64 * (w->shape.key_words - 1);
    w->shape.last_mask = tail == 64 ? UINT64_MAX : (UINT64_C(1) << tail) - 1;
    layout_states(w, key_bits);
    return WR_OK;
}

/* ---- a batch's keys, arguments and filters ---- */

static void evaluate(struct wr_window *w, struct wr_window_column *column,
                     const struct wr_batch *batch, const uint32_t *rows, uint32_t count)
{
    if (column->bare != UINT32_MAX) {
        column->result = batch->columns[column->bare];
        return;
    }
    if (column->eval == NULL) {
        return;
    }
    /* The same batch with the rows that still count: errors of others do not exist. */
    struct wr_batch seen = *batch;
    seen.sel = (uint32_t *)(uintptr_t)rows;
    seen.sel_count = count;
    /* Long texts lie in the pushed batch's arena until it goes home; states copy what they keep. */
    wr_eval_run(column->eval, &seen, w->exec->now.wall_us,
                &((struct wr_batch *)(uintptr_t)batch)->arena, &w->exec->faults, &column->result);
}

static inline bool is_true(const struct wr_column *column, uint32_t row)
{
    return ((const uint8_t *)column->values)[row] != 0 && !wr_column_is_null(column, row);
}

static uint32_t select_true(const struct wr_column *column, const uint32_t *rows, uint32_t count,
                            uint32_t *into)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        into[kept] = rows[i];
        kept += is_true(column, rows[i]);
    }
    return kept;
}

uint32_t wr_window_evaluate(struct wr_window *w, const struct wr_batch *batch, uint32_t count)
{
    w->exec->faults.count = 0;
    for (uint32_t k = 0; k < w->key_count; k++) {
        evaluate(w, &w->keys[k].in, batch, w->rows, count);
    }
    for (uint32_t a = 0; a < w->aggs.count; a++) {
        struct wr_window_arg *arg = &w->args[a];
        if (arg->filter.eval == NULL) {
            evaluate(w, &arg->value, batch, w->rows, count);
            continue;
        }
        evaluate(w, &arg->filter, batch, w->rows, count);
        const uint32_t kept = select_true(&arg->filter.result, w->rows, count, w->agg_rows);
        evaluate(w, &arg->value, batch, w->agg_rows, kept);
    }
    return wr_exec_drop_faults(w->exec, w->op, batch, w->rows, count);
}

/* ---- images ---- */

/* Equal values must have equal bytes: -0 and 0, and all NaNs. */
static uint64_t canonical_double(double value)
{
    if (isnan(value)) {
        value = (double)NAN;
    }
    value += 0.0; /* -0 + 0 is 0 */
    return wr_load_u64(&value);
}

static void image_fixed(const struct wr_window *w, const struct wr_window_key *key, uint32_t count)
{
    const char *values = key->in.result.values;
    const size_t step = 8 * (size_t)w->shape.key_words;
    char *into = (char *)w->images + key->offset;
    const uint32_t width = key->width;
    const uint32_t *const rows = w->rows; /* a local: stores could change w, it seems to gcc */
#define COPY(WIDTH)                                                                                \
    for (uint32_t i = 0; i < count; i++, into += step) {                                           \
        memcpy(into, values + (size_t)rows[i] * (WIDTH), (WIDTH));                                 \
    }                                                                                              \
    break
    switch (width) {
    case 1: COPY(1);
    case 2: COPY(2);
    case 4: COPY(4);
    case 8: COPY(8);
    case 16: COPY(16);
    default: wr_assert_failed("key width", __FILE__, __LINE__);
    }
#undef COPY
}

static void image_float(const struct wr_window *w, const struct wr_window_key *key, uint32_t count)
{
    const size_t step = 8 * (size_t)w->shape.key_words;
    char *into = (char *)w->images + key->offset;
    for (uint32_t i = 0; i < count; i++) {
        if (key->width == 8) {
            const uint64_t bits =
                canonical_double(((const double *)key->in.result.values)[w->rows[i]]);
            memcpy(into + i * step, &bits, 8);
        } else {
            float value = ((const float *)key->in.result.values)[w->rows[i]];
            value = isnan(value) ? NAN : value + 0.0f;
            memcpy(into + i * step, &value, 4);
        }
    }
}

/* NULL: zero bytes and the bit, whatever the evaluator left there. */
static void image_nulls(const struct wr_window *w, const struct wr_window_key *key, uint32_t count)
{
    const struct wr_column *column = &key->in.result;
    for (uint32_t i = 0; i < count; i++) {
        if (!wr_bit_get(column->validity, w->rows[i])) {
            uint8_t *image = (uint8_t *)(w->images + (size_t)i * w->shape.key_words);
            memset(image + key->offset, 0, key->width);
            wr_dassert(key->null_bit != UINT32_MAX);
            image[key->null_bit >> 3] =
                (uint8_t)(image[key->null_bit >> 3] | 1u << (key->null_bit & 7));
        }
    }
}

static inline __attribute__((always_inline)) void
hash_rows(uint32_t views, uint32_t words, const uint64_t *images, uint64_t *hashes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        hashes[i] = wr_table_hash_of(views, words, images + (size_t)i * words);
    }
}

static void hash_all(struct wr_window *w, uint32_t count)
{
#define HASH(VIEWS, WORDS) hash_rows(VIEWS, WORDS, w->images, w->hashes, count)
    WR_KEY_SHAPES(&w->shape, HASH)
#undef HASH
}

void wr_window_images(struct wr_window *w, uint32_t count)
{
    const uint32_t words = w->shape.key_words;
    uint64_t *const images = w->images;
    for (uint32_t word = w->key_bits_word; word < words; word++) {
        for (uint32_t i = 0; i < count; i++) {
            images[(size_t)i * words + word] = 0;
        }
    }
    for (uint32_t k = 0; k < w->key_count; k++) {
        const struct wr_window_key *key = &w->keys[k];
        if (wr_type_is_float(key->type)) {
            image_float(w, key, count);
        } else {
            image_fixed(w, key, count);
        }
    }
    for (uint32_t k = 0; k < w->key_count; k++) {
        if (w->keys[k].in.result.validity != NULL) {
            image_nulls(w, &w->keys[k], count);
        }
    }
    hash_all(w, count);
}

/* ---- states ---- */

static bool keeps_nulls(const struct wr_agg *agg)
{
    return agg->kind == WR_AGG_FIRST_VALUE || agg->kind == WR_AGG_LAST_VALUE ||
           agg->kind == WR_AGG_COUNT_STAR;
}

/* Rows that the filter and NULL leave, with their states, close together. */
static uint32_t compact(struct wr_window *w, const struct wr_window_arg *arg, bool drop_nulls,
                        uint32_t count)
{
    const bool filtered = arg->filter.eval != NULL;
    const struct wr_column *filter = &arg->filter.result;
    const struct wr_column *value = &arg->value.result;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t row = w->rows[i];
        w->agg_rows[kept] = row;
        w->agg_states[kept] = w->states[i];
        kept += (!filtered || is_true(filter, row)) &&
                (!drop_nulls || wr_bit_get(value->validity, row));
    }
    return kept;
}

void wr_window_update(struct wr_window *w, const struct wr_batch *batch, uint32_t count)
{
    for (uint32_t a = 0; a < w->aggs.count; a++) {
        const struct wr_agg *agg = &w->aggs.items[a];
        const struct wr_window_arg *arg = &w->args[a];
        struct wr_agg_input in = {
            .rows = w->states,
            .sel = w->rows,
            .count = count,
            .column = arg->value.eval != NULL ? &arg->value.result : NULL,
            .batch = batch,
            .time = w->time,
        };
        const bool drop_nulls =
            !keeps_nulls(agg) && in.column != NULL && in.column->validity != NULL;
        if (arg->filter.eval != NULL || drop_nulls) {
            in.count = compact(w, arg, drop_nulls, count);
            in.rows = w->agg_states;
            in.sel = w->agg_rows;
        }
        if (in.count > 0) {
            agg->ops->update(agg, &in);
        }
    }
}
