/* agg_value.c: min and max, first_value and last_value: aggregates that keep one of their
 * arguments. */
#include "exec/agg.h"

#include "base/assert.h"
#include "batch/nested.h"
#include <math.h>

#define LOAD(type, at) ({ type loaded_; memcpy(&loaded_, (at), sizeof loaded_); loaded_; })
#define STORE(type, at, value)                                                                     \
    do {                                                                                           \
        const type stored_ = (value);                                                              \
        memcpy((at), &stored_, sizeof stored_);                                                    \
    } while (0)
#define THREE_WAY(a, b) (((a) > (b)) - ((a) < (b)))

/* PostgreSQL's order: NaN equals itself and is above all else. */
static int compare_double(double a, double b)
{
    if (isnan(a) || isnan(b)) {
        return (isnan(a) != 0) - (isnan(b) != 0);
    }
    return THREE_WAY(a, b);
}

static __int128 interval_us(struct wr_interval v)
{
    return ((__int128)v.months * 30 + v.days) * 86400000000LL + v.us;
}

int wr_agg_compare(struct wr_type type, const void *a, const void *b)
{
    switch ((enum wr_type_id)type.id) {
    case WR_TYPE_BOOL: return THREE_WAY(LOAD(uint8_t, a), LOAD(uint8_t, b));
    case WR_TYPE_INT16: return THREE_WAY(LOAD(int16_t, a), LOAD(int16_t, b));
    case WR_TYPE_INT32:
    case WR_TYPE_DATE: return THREE_WAY(LOAD(int32_t, a), LOAD(int32_t, b));
    case WR_TYPE_INT64:
    case WR_TYPE_TIMESTAMP:
    case WR_TYPE_TIMESTAMPTZ: return THREE_WAY(LOAD(int64_t, a), LOAD(int64_t, b));
    case WR_TYPE_UINT16: return THREE_WAY(LOAD(uint16_t, a), LOAD(uint16_t, b));
    case WR_TYPE_UINT32: return THREE_WAY(LOAD(uint32_t, a), LOAD(uint32_t, b));
    case WR_TYPE_UINT64: return THREE_WAY(LOAD(uint64_t, a), LOAD(uint64_t, b));
    case WR_TYPE_FLOAT32:
        return compare_double((double)LOAD(float, a), (double)LOAD(float, b));
    case WR_TYPE_FLOAT64: return compare_double(LOAD(double, a), LOAD(double, b));
    case WR_TYPE_DECIMAL: return THREE_WAY(LOAD(__int128, a), LOAD(__int128, b));
    case WR_TYPE_INTERVAL: {
        const __int128 x = interval_us(LOAD(struct wr_interval, a));
        const __int128 y = interval_us(LOAD(struct wr_interval, b));
        return THREE_WAY(x, y);
    }
    case WR_TYPE_TEXT:
    case WR_TYPE_BYTES:
    case WR_TYPE_JSON:
    case WR_TYPE_STATE:
    case WR_TYPE_STRUCT:
    case WR_TYPE_ARRAY:
    case WR_TYPE_MAP: {
        const struct wr_view x = LOAD(struct wr_view, a);
        const struct wr_view y = LOAD(struct wr_view, b);
        return wr_view_compare(&x, &y);
    }
    case WR_TYPE_NULL:
    case WR_TYPE_COUNT_: break;
    }
    return 0;
}

__int128 wr_agg_to_int128(struct wr_type type, const void *value)
{
    switch ((enum wr_type_id)type.id) {
    case WR_TYPE_INT16: return LOAD(int16_t, value);
    case WR_TYPE_INT32: return LOAD(int32_t, value);
    case WR_TYPE_INT64: return LOAD(int64_t, value);
    case WR_TYPE_UINT16: return LOAD(uint16_t, value);
    case WR_TYPE_UINT32: return LOAD(uint32_t, value);
    case WR_TYPE_UINT64: return LOAD(uint64_t, value);
    default: return LOAD(__int128, value);
    }
}

double wr_agg_to_double(struct wr_type type, const void *value)
{
    if (type.id == WR_TYPE_FLOAT64) {
        return LOAD(double, value);
    }
    if (type.id == WR_TYPE_FLOAT32) {
        return (double)LOAD(float, value);
    }
    long double number = (long double)wr_agg_to_int128(type, value);
    for (uint32_t i = 0; type.id == WR_TYPE_DECIMAL && i < type.scale; i++) {
        number /= 10;
    }
    return (double)number;
}

/* ---- min, max of fixed widths; first flag: seen ---- */

#define EXTREME_ROWS(T, BETTER)                                                                    \
    do {                                                                                           \
        const T *const values_ = in->column->values;                                               \
        const uint32_t *const sel_ = in->sel;                                                      \
        uint8_t *const *const rows_ = in->rows;                                                    \
        const uint32_t count_ = in->count;                                                         \
        for (uint32_t i_ = 0; i_ < count_; i_++) {                                                 \
            const T v = values_[sel_[i_]];                                                         \
            uint8_t *const row = rows_[i_];                                                        \
            const T old = LOAD(T, row + offset);                                                   \
            /* No branch: for random values it would be guessed wrong as often as not. */          \
            const bool better = !wr_agg_flag(row, seen) | (BETTER);                                \
            STORE(T, row + offset, better ? v : old);                                              \
            wr_agg_flag_set(row, seen);                                                            \
        }                                                                                          \
    } while (0)
#define EXTREME(T)                                                                                 \
    do {                                                                                           \
        if (agg->kind == WR_AGG_MAX) {                                                             \
            EXTREME_ROWS(T, v > old);                                                              \
        } else {                                                                                   \
            EXTREME_ROWS(T, v < old);                                                              \
        }                                                                                          \
    } while (0)

static void extreme_put(const struct wr_agg *agg, uint8_t *row, const void *value)
{
    const int order = wr_agg_compare(agg->arg, value, row + agg->offset);
    if (!wr_agg_flag(row, agg->bit) || (agg->kind == WR_AGG_MAX ? order > 0 : order < 0)) {
        memcpy(row + agg->offset, value, agg->width);
        wr_agg_flag_set(row, agg->bit);
    }
}

static void extreme_update(const struct wr_agg *agg, const struct wr_agg_input *in)
{
    const uint32_t offset = agg->offset;
    const uint32_t seen = agg->bit;
    switch ((enum wr_type_id)agg->arg.id) {
    case WR_TYPE_INT16: EXTREME(int16_t); return;
    case WR_TYPE_INT32:
    case WR_TYPE_DATE: EXTREME(int32_t); return;
    case WR_TYPE_INT64:
    case WR_TYPE_TIMESTAMP:
    case WR_TYPE_TIMESTAMPTZ: EXTREME(int64_t); return;
    case WR_TYPE_UINT16: EXTREME(uint16_t); return;
    case WR_TYPE_UINT32: EXTREME(uint32_t); return;
    case WR_TYPE_UINT64: EXTREME(uint64_t); return;
    case WR_TYPE_BOOL: EXTREME(uint8_t); return;
    case WR_TYPE_FLOAT64:
        if (agg->kind == WR_AGG_MAX) {
            EXTREME_ROWS(double, v > old || (isnan(v) && !isnan(old)));
        } else {
            EXTREME_ROWS(double, v < old || (isnan(old) && !isnan(v)));
        }
        return;
    default: break;
    }
    const char *values = in->column->values;
    for (uint32_t i = 0; i < in->count; i++) {
        extreme_put(agg, in->rows[i], values + (size_t)in->sel[i] * agg->width);
    }
}

static void extreme_merge(const struct wr_agg *agg, uint8_t *into, const uint8_t *row)
{
    if (wr_agg_flag(row, agg->bit)) {
        extreme_put(agg, into, row + agg->offset);
    }
}

static bool extreme_emit(const struct wr_agg *agg, const uint8_t *row, void *value,
                         struct wr_arena *arena, const char **error)
{
    if (!wr_agg_flag(row, agg->bit)) {
        return false;
    }
    memcpy(value, row + agg->offset, agg->width);
    return true;
}

const struct wr_agg_ops wr_agg_extreme_ops = { extreme_update, extreme_merge, extreme_emit,
                                               NULL, NULL, NULL };

/* ---- a view that the state owns ---- */

static void view_free(const struct wr_agg *agg, const void *at)
{
    const struct wr_view view = LOAD(struct wr_view, at);
    if (view.bytes > WR_VIEW_INLINE_BYTES) {
        wr_state_free(agg->pool, (void *)(uintptr_t)view.data, view.bytes);
    }
}

static void view_put(const struct wr_agg *agg, uint8_t *at, struct wr_view view)
{
    if (view.bytes > WR_VIEW_INLINE_BYTES) {
        char *copy = wr_state_alloc(agg->pool, view.bytes);
        memcpy(copy, view.data, view.bytes);
        view.data = copy;
    }
    STORE(struct wr_view, at, view);
}

static void view_replace(const struct wr_agg *agg, uint8_t *at, struct wr_view view)
{
    view_free(agg, at);
    view_put(agg, at, view);
}

static void view_emit(const uint8_t *at, void *value, struct wr_arena *arena)
{
    struct wr_view view = LOAD(struct wr_view, at);
    if (view.bytes > WR_VIEW_INLINE_BYTES) {
        char *copy = wr_arena_alloc(arena, view.bytes);
        memcpy(copy, view.data, view.bytes);
        view.data = copy;
    }
    STORE(struct wr_view, value, view);
}

static void view_save(const uint8_t *at, struct wr_buf *into)
{
    const struct wr_view view = LOAD(struct wr_view, at);
    if (view.bytes > WR_VIEW_INLINE_BYTES) {
        wr_buf_append(into, view.data, view.bytes);
    }
}

static const char *view_load(const struct wr_agg *agg, uint8_t *at, const char *from,
                             const char *end)
{
    struct wr_view view = LOAD(struct wr_view, at);
    const bool inside = view.bytes <= WR_VIEW_INLINE_BYTES;
    if (!inside && (size_t)(end - from) < view.bytes) {
        return NULL;
    }
    /* Readers of bodies do not check: what a damaged snapshot holds must not come to them. */
    const struct wr_slice body = { inside ? wr_view_data(&view) : from, view.bytes };
    if (view.bytes > 0 && wr_type_is_nested(agg->arg) && !wr_nested_check(agg->arg, body)) {
        return NULL;
    }
    if (inside) {
        return from;
    }
    view.data = from;
    view_put(agg, at, view);
    return from + view.bytes;
}

/* ---- min, max of texts ---- */

static void extreme_view_put(const struct wr_agg *agg, uint8_t *row, struct wr_view view)
{
    if (wr_agg_flag(row, agg->bit)) {
        const struct wr_view old = LOAD(struct wr_view, row + agg->offset);
        const int order = wr_view_compare(&view, &old);
        if (agg->kind == WR_AGG_MAX ? order <= 0 : order >= 0) {
            return;
        }
    }
    wr_agg_flag_set(row, agg->bit);
    view_replace(agg, row + agg->offset, view);
}

static void extreme_view_update(const struct wr_agg *agg, const struct wr_agg_input *in)
{
    const struct wr_view *views = in->column->values;
    for (uint32_t i = 0; i < in->count; i++) {
        extreme_view_put(agg, in->rows[i], views[in->sel[i]]);
    }
}

static void extreme_view_merge(const struct wr_agg *agg, uint8_t *into, const uint8_t *row)
{
    if (wr_agg_flag(row, agg->bit)) {
        extreme_view_put(agg, into, LOAD(struct wr_view, row + agg->offset));
    }
}

static bool extreme_view_emit(const struct wr_agg *agg, const uint8_t *row, void *value,
                              struct wr_arena *arena, const char **error)
{
    if (!wr_agg_flag(row, agg->bit)) {
        return false;
    }
    view_emit(row + agg->offset, value, arena);
    return true;
}

static void extreme_view_release(const struct wr_agg *agg, uint8_t *row)
{
    view_free(agg, row + agg->offset);
    memset(row + agg->offset, 0, 16);
    wr_agg_flag_clear(row, agg->bit);
}

static void extreme_view_save(const struct wr_agg *agg, const uint8_t *row, struct wr_buf *into)
{
    view_save(row + agg->offset, into);
}

static const char *extreme_view_load(const struct wr_agg *agg, uint8_t *row, const char *from,
                                     const char *end)
{
    return view_load(agg, row + agg->offset, from, end);
}

const struct wr_agg_ops wr_agg_extreme_view_ops = { extreme_view_update,  extreme_view_merge,
                                                    extreme_view_emit,    extreme_view_release,
                                                    extreme_view_save,    extreme_view_load };

/* ---- first_value, last_value: the place in the stream, then the value. Flags: seen, value is not
 * NULL ---- */

struct place {
    int64_t time;
    uint64_t split; /* source << 32 | split */
    int64_t position;
};

static int place_compare(const struct place *a, const struct place *b)
{
    if (a->time != b->time) {
        return THREE_WAY(a->time, b->time);
    }
    if (a->split != b->split) {
        return THREE_WAY(a->split, b->split);
    }
    return THREE_WAY(a->position, b->position);
}

/* value == NULL: SQL NULL. Results of windows have no position: equal places go to the smaller
 * value, NULL last. */
static bool edge_better(const struct wr_agg *agg, const uint8_t *row, const struct place *place,
                        const void *value)
{
    if (!wr_agg_flag(row, agg->bit)) {
        return true;
    }
    const struct place old = LOAD(struct place, row + agg->offset);
    const int order = place_compare(place, &old);
    if (order != 0) {
        return agg->kind == WR_AGG_LAST_VALUE ? order > 0 : order < 0;
    }
    if (value == NULL || !wr_agg_flag(row, agg->bit + 1)) {
        return value != NULL;
    }
    return wr_agg_compare(agg->arg, value, row + agg->offset + sizeof old) < 0;
}

static void edge_put(const struct wr_agg *agg, uint8_t *row, const struct place *place,
                     const void *value)
{
    if (!edge_better(agg, row, place, value)) {
        return;
    }
    uint8_t *at = row + agg->offset + sizeof *place;
    const bool views = wr_type_is_view(agg->arg);
    if (views) {
        view_free(agg, at);
    }
    wr_agg_flag_set(row, agg->bit);
    STORE(struct place, row + agg->offset, *place);
    if (value == NULL) {
        wr_agg_flag_clear(row, agg->bit + 1);
        memset(at, 0, agg->width);
        return;
    }
    wr_agg_flag_set(row, agg->bit + 1);
    if (views) {
        view_put(agg, at, LOAD(struct wr_view, value));
    } else {
        memcpy(at, value, agg->width);
    }
}

static void edge_update(const struct wr_agg *agg, const struct wr_agg_input *in)
{
    const struct wr_batch *batch = in->batch;
    const bool result = batch->origin.source == UINT32_MAX;
    const char *values = in->column->values;
    struct place place = {
        .split = result ? 0 : (uint64_t)batch->origin.source << 32 | batch->origin.split,
    };
    for (uint32_t i = 0; i < in->count; i++) {
        const uint32_t at = in->sel[i];
        place.time = in->time[at];
        if (!result) {
            const uint32_t row = wr_batch_source_row(batch, at);
            place.position = batch->records != NULL ? batch->records->items[row].position
                                                    : batch->origin.position_first + row;
        }
        edge_put(agg, in->rows[i], &place,
                 wr_column_is_null(in->column, at) ? NULL : values + (size_t)at * agg->width);
    }
}

static void edge_merge(const struct wr_agg *agg, uint8_t *into, const uint8_t *row)
{
    if (wr_agg_flag(row, agg->bit)) {
        const struct place place = LOAD(struct place, row + agg->offset);
        edge_put(agg, into, &place,
                 wr_agg_flag(row, agg->bit + 1) ? row + agg->offset + sizeof place : NULL);
    }
}

static bool edge_emit(const struct wr_agg *agg, const uint8_t *row, void *value,
                      struct wr_arena *arena, const char **error)
{
    if (!wr_agg_flag(row, agg->bit + 1)) {
        return false;
    }
    const uint8_t *at = row + agg->offset + sizeof(struct place);
    if (wr_type_is_view(agg->arg)) {
        view_emit(at, value, arena);
    } else {
        memcpy(value, at, agg->width);
    }
    return true;
}

static void edge_release(const struct wr_agg *agg, uint8_t *row)
{
    if (wr_type_is_view(agg->arg)) {
        view_free(agg, row + agg->offset + sizeof(struct place));
        memset(row + agg->offset, 0, agg->bytes);
        wr_agg_flag_clear(row, agg->bit);
        wr_agg_flag_clear(row, agg->bit + 1);
    }
}

static void edge_save(const struct wr_agg *agg, const uint8_t *row, struct wr_buf *into)
{
    if (wr_type_is_view(agg->arg)) {
        view_save(row + agg->offset + sizeof(struct place), into);
    }
}

static const char *edge_load(const struct wr_agg *agg, uint8_t *row, const char *from,
                             const char *end)
{
    uint8_t *at = row + agg->offset + sizeof(struct place);
    if (!wr_type_is_view(agg->arg)) {
        return from;
    }
    if (wr_type_is_nested(agg->arg) && wr_agg_flag(row, agg->bit + 1) &&
        LOAD(struct wr_view, at).bytes == 0) {
        return NULL; /* no body is empty */
    }
    return view_load(agg, at, from, end);
}

const struct wr_agg_ops wr_agg_edge_ops = { edge_update,  edge_merge, edge_emit,
                                            edge_release, edge_save,  edge_load };
