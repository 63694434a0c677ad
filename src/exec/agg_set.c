/* agg_set.c: count(distinct) and sum(distinct): exact sets, a block per group that doubles as it
 * fills.
 *
 * A block is a head, then a control byte per slot (0: empty, else a tag of the hash), then the
 * values. Up to eight values the block is searched from its start, which for so few is as good as
 * hashing.
 */
#include "exec/agg.h"

#include "base/assert.h"
#include "base/hash.h"
#include <math.h>

#define FIRST_CAPACITY 8u

struct set {
    uint32_t count;
    uint32_t capacity; /* a power of two */
};

static struct set *set_of(const struct wr_agg *agg, const uint8_t *row)
{
    struct set *set;
    memcpy(&set, row + agg->offset, sizeof set);
    return set;
}

static void put_set(const struct wr_agg *agg, uint8_t *row, const struct set *set)
{
    memcpy(row + agg->offset, &set, sizeof set);
}

static size_t set_bytes(const struct wr_agg *agg, uint32_t capacity)
{
    return sizeof(struct set) + (size_t)capacity * (1 + agg->width);
}

static uint8_t *control(const struct set *set)
{
    return (uint8_t *)(uintptr_t)(set + 1);
}

static char *slot_value(const struct wr_agg *agg, const struct set *set, uint32_t slot)
{
    return (char *)control(set) + set->capacity + (size_t)slot * agg->width;
}

static struct set *set_make(const struct wr_agg *agg, uint32_t capacity)
{
    struct set *set = wr_state_alloc(agg->pool, set_bytes(agg, capacity));
    set->count = 0;
    set->capacity = capacity;
    memset(control(set), 0, capacity);
    return set;
}

/* Equal values must have equal bytes. */
static void canonical(const struct wr_agg *agg, const void *value, char out[16])
{
    memcpy(out, value, agg->width);
    if (agg->arg.id == WR_TYPE_FLOAT64) {
        double d;
        memcpy(&d, value, 8);
        d = isnan(d) ? (double)NAN : d + 0.0;
        memcpy(out, &d, 8);
    } else if (agg->arg.id == WR_TYPE_FLOAT32) {
        float f;
        memcpy(&f, value, 4);
        f = isnan(f) ? NAN : f + 0.0f;
        memcpy(out, &f, 4);
    }
}

static uint64_t value_hash(const struct wr_agg *agg, const char *value)
{
    if (wr_type_is_view(agg->arg)) {
        struct wr_view view;
        memcpy(&view, value, sizeof view);
        return wr_hash_bytes(wr_view_data(&view), view.bytes);
    }
    uint64_t words[2] = { 0, 0 };
    memcpy(words, value, agg->width);
    return wr_hash_u64(words[0] ^ (words[1] * 0x9e3779b97f4a7c15ULL));
}

static bool value_equal(const struct wr_agg *agg, const char *a, const char *b)
{
    if (wr_type_is_view(agg->arg)) {
        struct wr_view x;
        struct wr_view y;
        memcpy(&x, a, sizeof x);
        memcpy(&y, b, sizeof y);
        return wr_view_equal(&x, &y);
    }
    return memcmp(a, b, agg->width) == 0;
}

static uint8_t tag_of(uint64_t hash)
{
    return (uint8_t)(0x80 | (hash >> 57));
}

/* The slot of value, or the empty one where it belongs. */
static uint32_t find_slot(const struct wr_agg *agg, const struct set *set, const char *value,
                          uint64_t hash, bool *found)
{
    const uint32_t mask = set->capacity - 1;
    const uint8_t tag = tag_of(hash);
    uint32_t slot = set->capacity == FIRST_CAPACITY ? 0 : (uint32_t)hash & mask;
    for (;; slot = (slot + 1) & mask) {
        if (control(set)[slot] == 0) {
            *found = false;
            return slot;
        }
        if (control(set)[slot] == tag && value_equal(agg, slot_value(agg, set, slot), value)) {
            *found = true;
            return slot;
        }
    }
}

/* value: canonical, not in the set; its text (if any) is the set's already. There is room. */
static void put_value(const struct wr_agg *agg, struct set *set, const char *value, uint64_t hash)
{
    bool found;
    const uint32_t slot = find_slot(agg, set, value, hash, &found);
    control(set)[slot] = tag_of(hash);
    memcpy(slot_value(agg, set, slot), value, agg->width);
    set->count++;
}

static struct set *grow(const struct wr_agg *agg, uint8_t *row, struct set *old)
{
    struct set *set = set_make(agg, old->capacity * 2);
    for (uint32_t slot = 0; slot < old->capacity; slot++) {
        if (control(old)[slot] != 0) {
            const char *value = slot_value(agg, old, slot);
            put_value(agg, set, value, value_hash(agg, value));
        }
    }
    wr_state_free(agg->pool, old, set_bytes(agg, old->capacity));
    put_set(agg, row, set);
    return set;
}

static void set_add(const struct wr_agg *agg, uint8_t *row, const void *given)
{
    char value[16];
    canonical(agg, given, value);
    const uint64_t hash = value_hash(agg, value);
    struct set *set = set_of(agg, row);
    if (set == NULL) {
        set = set_make(agg, FIRST_CAPACITY);
        put_set(agg, row, set);
    }
    bool found;
    find_slot(agg, set, value, hash, &found);
    if (found) {
        return;
    }
    /* One slot stays empty to end searches; larger sets are at most 7/8 full. */
    if (set->count + 1 > set->capacity / 8 * 7) {
        wr_assert(set->capacity < UINT32_C(1) << 30);
        set = grow(agg, row, set);
    }
    if (wr_type_is_view(agg->arg)) {
        struct wr_view view;
        memcpy(&view, value, sizeof view);
        if (view.bytes > WR_VIEW_INLINE_BYTES) {
            char *copy = wr_state_alloc(agg->pool, view.bytes);
            memcpy(copy, view.data, view.bytes);
            view.data = copy;
            memcpy(value, &view, sizeof view);
        }
    }
    put_value(agg, set, value, hash);
}

static void distinct_update(const struct wr_agg *agg, const struct wr_agg_input *in)
{
    const char *values = in->column->values;
    for (uint32_t i = 0; i < in->count; i++) {
        set_add(agg, in->rows[i], values + (size_t)in->sel[i] * agg->width);
    }
}

static void distinct_merge(const struct wr_agg *agg, uint8_t *into, const uint8_t *row)
{
    const struct set *set = set_of(agg, row);
    for (uint32_t slot = 0; set != NULL && slot < set->capacity; slot++) {
        if (control(set)[slot] != 0) {
            set_add(agg, into, slot_value(agg, set, slot));
        }
    }
}

static bool sum_set(const struct wr_agg *agg, const struct set *set, void *value,
                    const char **error)
{
    struct wr_wide wide = { { 0, 0, 0 } };
    double sum = 0;
    for (uint32_t slot = 0; slot < set->capacity; slot++) {
        if (control(set)[slot] == 0) {
            continue;
        }
        const char *at = slot_value(agg, set, slot);
        if (wr_type_is_float(agg->arg)) {
            sum += wr_agg_to_double(agg->arg, at);
        } else {
            wr_wide_add(&wide, wr_agg_to_int128(agg->arg, at));
        }
    }
    if (wr_type_is_float(agg->arg)) {
        memcpy(value, &sum, sizeof sum);
        return true;
    }
    __int128 narrow;
    const bool decimal = agg->type.id == WR_TYPE_DECIMAL;
    if (!wr_wide_to_int128(&wide, &narrow) ||
        (decimal ? !wr_decimal_fits(narrow, 38) : narrow < INT64_MIN || narrow > INT64_MAX)) {
        *error = decimal ? "sum is out of range of NUMERIC(38)"
                         : "sum is out of range of BIGINT";
        return false;
    }
    memcpy(value, &narrow, decimal ? sizeof narrow : sizeof(int64_t)); /* little-endian */
    return true;
}

static bool distinct_emit(const struct wr_agg *agg, const uint8_t *row, void *value,
                          struct wr_arena *arena, const char **error)
{
    const struct set *set = set_of(agg, row);
    if (agg->kind == WR_AGG_COUNT_DISTINCT) {
        const int64_t count = set != NULL ? set->count : 0;
        memcpy(value, &count, sizeof count);
        return true;
    }
    return set != NULL && sum_set(agg, set, value, error);
}

static void distinct_release(const struct wr_agg *agg, uint8_t *row)
{
    struct set *set = set_of(agg, row);
    if (set == NULL) {
        return;
    }
    for (uint32_t slot = 0; wr_type_is_view(agg->arg) && slot < set->capacity; slot++) {
        if (control(set)[slot] == 0) {
            continue;
        }
        struct wr_view view;
        memcpy(&view, slot_value(agg, set, slot), sizeof view);
        if (view.bytes > WR_VIEW_INLINE_BYTES) {
            wr_state_free(agg->pool, (void *)(uintptr_t)view.data, view.bytes);
        }
    }
    wr_state_free(agg->pool, set, set_bytes(agg, set->capacity));
    put_set(agg, row, NULL);
}

/* count, then the values; behind each long view its text. */
static void distinct_save(const struct wr_agg *agg, const uint8_t *row, struct wr_buf *into)
{
    const struct set *set = set_of(agg, row);
    const uint32_t count = set != NULL ? set->count : 0;
    wr_buf_append(into, &count, sizeof count);
    for (uint32_t slot = 0; set != NULL && slot < set->capacity; slot++) {
        if (control(set)[slot] == 0) {
            continue;
        }
        wr_buf_append(into, slot_value(agg, set, slot), agg->width);
        if (wr_type_is_view(agg->arg)) {
            struct wr_view view;
            memcpy(&view, slot_value(agg, set, slot), sizeof view);
            if (view.bytes > WR_VIEW_INLINE_BYTES) {
                wr_buf_append(into, view.data, view.bytes);
            }
        }
    }
}

/* One value of distinct_save's; NULL: the bytes end too early. */
static const char *load_value(const struct wr_agg *agg, uint8_t *row, const char *from,
                              const char *end)
{
    char value[16];
    if ((size_t)(end - from) < agg->width) {
        return NULL;
    }
    memcpy(value, from, agg->width);
    from += agg->width;
    if (wr_type_is_view(agg->arg)) {
        struct wr_view view;
        memcpy(&view, value, sizeof view);
        if (view.bytes > WR_VIEW_INLINE_BYTES) {
            if ((size_t)(end - from) < view.bytes) {
                return NULL;
            }
            view.data = from;
            from += view.bytes;
            memcpy(value, &view, sizeof view);
        }
    }
    set_add(agg, row, value);
    return from;
}

static const char *distinct_load(const struct wr_agg *agg, uint8_t *row, const char *from,
                                 const char *end)
{
    uint32_t count;
    put_set(agg, row, NULL);
    if ((size_t)(end - from) < sizeof count) {
        return NULL;
    }
    memcpy(&count, from, sizeof count);
    from += sizeof count;
    for (uint32_t i = 0; i < count; i++) {
        from = load_value(agg, row, from, end);
        if (from == NULL) {
            distinct_release(agg, row);
            return NULL;
        }
    }
    return from;
}

const struct wr_agg_ops wr_agg_distinct_ops = { distinct_update,  distinct_merge, distinct_emit,
                                                distinct_release, distinct_save,  distinct_load };
