/* agg_sketch.c: approx_count_distinct (HyperLogLog) and approx_percentile (log-linear buckets, as
 * DDSketch).
 *
 * Both are functions of the set (multiset) of values alone, so they merge in any order to the same
 * bytes' worth of information and give the same result whatever the number of workers.
 *
 * HyperLogLog: 2^12 registers (standard error 1.6 %), as (register, rank) pairs in a small hash
 * block while there are few; estimated by Ertl's improved raw estimator (arXiv:1702.01284,
 * algorithm 6), which needs no table of biases. Percentiles: 64 buckets per octave, both signs,
 * zero, infinities and NaN (greatest, as in ORDER BY): the middle of a bucket is within 1/128 < 1 %
 * of every value in it.
 */
#include "exec/agg.h"

#include "base/assert.h"
#include "base/hash.h"
#include <math.h>
#include <stdlib.h>

/* ---- HyperLogLog ---- */

#define PRECISION 12u
#define REGISTERS (1u << PRECISION)
#define RANKS (64 - PRECISION + 1) /* ranks 1..RANKS */
#define SPARSE_FIRST 8u
#define SPARSE_MAX 512u /* 2 KiB of pairs: half of the registers' 4 KiB */

struct hll {
    uint32_t count;    /* pairs; unused when dense */
    uint32_t capacity; /* pairs: a power of two; REGISTERS: dense, one byte each */
};

static struct hll *hll_of(const struct wr_agg *agg, const uint8_t *row)
{
    struct hll *hll;
    memcpy(&hll, row + agg->offset, sizeof hll);
    return hll;
}

static void put_hll(const struct wr_agg *agg, uint8_t *row, const struct hll *hll)
{
    memcpy(row + agg->offset, &hll, sizeof hll);
}

static size_t hll_bytes(uint32_t capacity)
{
    return sizeof(struct hll) + (capacity == REGISTERS ? REGISTERS : (size_t)capacity * 4);
}

static uint32_t *pairs(const struct hll *hll)
{
    return (uint32_t *)(uintptr_t)(hll + 1);
}

static uint8_t *registers(const struct hll *hll)
{
    return (uint8_t *)(uintptr_t)(hll + 1);
}

static struct hll *hll_make(const struct wr_agg *agg, uint32_t capacity)
{
    struct hll *hll = wr_state_alloc(agg->pool, hll_bytes(capacity));
    memset(hll, 0, hll_bytes(capacity));
    hll->capacity = capacity;
    return hll;
}

static void hll_put(const struct wr_agg *agg, uint8_t *row, uint32_t index, uint32_t rank);

static void hll_grow(const struct wr_agg *agg, uint8_t *row, struct hll *old)
{
    const uint32_t capacity = old->capacity == SPARSE_MAX ? REGISTERS : old->capacity * 2;
    put_hll(agg, row, hll_make(agg, capacity));
    for (uint32_t i = 0; i < old->capacity; i++) {
        if (pairs(old)[i] != 0) {
            hll_put(agg, row, pairs(old)[i] >> 8, pairs(old)[i] & 0xff);
        }
    }
    wr_state_free(agg->pool, old, hll_bytes(old->capacity));
}

static void hll_put(const struct wr_agg *agg, uint8_t *row, uint32_t index, uint32_t rank)
{
    struct hll *hll = hll_of(agg, row);
    if (hll == NULL) {
        hll = hll_make(agg, SPARSE_FIRST);
        put_hll(agg, row, hll);
    }
    if (hll->capacity == REGISTERS) {
        uint8_t *at = registers(hll) + index;
        *at = rank > *at ? (uint8_t)rank : *at;
        return;
    }
    const uint32_t mask = hll->capacity - 1;
    uint32_t slot = index & mask;
    while (pairs(hll)[slot] != 0 && pairs(hll)[slot] >> 8 != index) {
        slot = (slot + 1) & mask;
    }
    if (pairs(hll)[slot] != 0) {
        if ((pairs(hll)[slot] & 0xff) < rank) {
            pairs(hll)[slot] = index << 8 | rank;
        }
        return;
    }
    pairs(hll)[slot] = index << 8 | rank;
    if (++hll->count > hll->capacity / 4 * 3) {
        hll_grow(agg, row, hll);
    }
}

/* Not wr_hash_u64: the test switch that makes all hashes collide must not change an estimate. */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ULL;
    return x ^ (x >> 33);
}

static uint64_t value_hash(const struct wr_agg *agg, const char *value)
{
    if (wr_type_is_view(agg->arg)) {
        struct wr_view view;
        memcpy(&view, value, sizeof view);
        return wr_hash_bytes_raw(wr_view_data(&view), view.bytes);
    }
    if (wr_type_is_float(agg->arg)) {
        double number = wr_agg_to_double(agg->arg, value);
        number = isnan(number) ? (double)NAN : number + 0.0;
        uint64_t bits;
        memcpy(&bits, &number, sizeof bits);
        return mix(bits + 1);
    }
    uint64_t words[2] = { 0, 0 };
    memcpy(words, value, agg->width);
    return mix(words[0] + 1 + mix(words[1]));
}

static void hll_update(const struct wr_agg *agg, const struct wr_agg_input *in)
{
    const char *values = in->column->values;
    for (uint32_t i = 0; i < in->count; i++) {
        const uint64_t hash = value_hash(agg, values + (size_t)in->sel[i] * agg->width);
        const uint64_t rest = hash << PRECISION | UINT64_C(1) << (PRECISION - 1);
        hll_put(agg, in->rows[i], (uint32_t)(hash >> (64 - PRECISION)),
                (uint32_t)__builtin_clzll(rest) + 1);
    }
}

static void hll_merge(const struct wr_agg *agg, uint8_t *into, const uint8_t *row)
{
    const struct hll *hll = hll_of(agg, row);
    if (hll == NULL) {
        return;
    }
    struct hll *to = hll_of(agg, into);
    if (hll->capacity == REGISTERS && to != NULL && to->capacity == REGISTERS) {
        uint8_t *a = registers(to);
        const uint8_t *b = registers(hll);
        for (uint32_t i = 0; i < REGISTERS; i++) {
            a[i] = b[i] > a[i] ? b[i] : a[i];
        }
        return;
    }
    for (uint32_t i = 0; i < hll->capacity; i++) {
        if (hll->capacity == REGISTERS) {
            if (registers(hll)[i] != 0) {
                hll_put(agg, into, i, registers(hll)[i]);
            }
        } else if (pairs(hll)[i] != 0) {
            hll_put(agg, into, pairs(hll)[i] >> 8, pairs(hll)[i] & 0xff);
        }
    }
}

static double ertl_tau(double x)
{
    if (x == 0.0 || x == 1.0) {
        return 0.0;
    }
    double y = 1.0;
    double z = 1.0 - x;
    for (;;) {
        x = sqrt(x);
        const double before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if (before == z) {
            return z / 3.0;
        }
    }
}

static double ertl_sigma(double x)
{
    if (x == 1.0) {
        return (double)INFINITY;
    }
    double y = 1.0;
    double z = x;
    for (;;) {
        x *= x;
        const double before = z;
        z += x * y;
        y += y;
        if (before == z) {
            return z;
        }
    }
}

static bool hll_emit(const struct wr_agg *agg, const uint8_t *row, void *value,
                     struct wr_arena *arena, const char **error)
{
    const struct hll *hll = hll_of(agg, row);
    uint32_t histogram[RANKS + 1] = { 0 };
    int64_t estimate = 0;
    if (hll != NULL) {
        for (uint32_t i = 0; i < hll->capacity; i++) {
            histogram[hll->capacity == REGISTERS ? registers(hll)[i] : pairs(hll)[i] & 0xff]++;
        }
        histogram[0] += REGISTERS - hll->capacity;
        const double m = REGISTERS;
        double z = m * ertl_tau(1.0 - histogram[RANKS] / m);
        for (uint32_t rank = RANKS - 1; rank >= 1; rank--) {
            z = 0.5 * (z + histogram[rank]);
        }
        z += m * ertl_sigma(histogram[0] / m);
        estimate = (int64_t)llround(m * m / (2.0 * M_LN2 * z));
    }
    memcpy(value, &estimate, sizeof estimate);
    return true;
}

static void hll_release(const struct wr_agg *agg, uint8_t *row)
{
    struct hll *hll = hll_of(agg, row);
    if (hll != NULL) {
        wr_state_free(agg->pool, hll, hll_bytes(hll->capacity));
        put_hll(agg, row, NULL);
    }
}

/* A block is position-independent: it travels as it is. Its capacity tells its size; 0: no block.
 */
static void hll_save(const struct wr_agg *agg, const uint8_t *row, struct wr_buf *into)
{
    static const struct hll none = { 0, 0 };
    const struct hll *hll = hll_of(agg, row);
    if (hll == NULL) {
        wr_buf_append(into, &none, sizeof none);
    } else {
        wr_buf_append(into, hll, hll_bytes(hll->capacity));
    }
}

/* Searches must end (empty slots) and registers and ranks lie in their tables. */
static bool hll_is_sound(const struct hll *hll)
{
    if (hll->capacity == REGISTERS) {
        for (uint32_t i = 0; i < REGISTERS; i++) {
            if (registers(hll)[i] > RANKS) {
                return false;
            }
        }
        return true;
    }
    uint32_t used = 0;
    for (uint32_t i = 0; i < hll->capacity; i++) {
        const uint32_t pair = pairs(hll)[i];
        if (pair >> 8 >= REGISTERS || (pair & 0xff) > RANKS) {
            return false;
        }
        used += pair != 0;
    }
    return used == hll->count && used <= hll->capacity / 4 * 3;
}

static bool hll_is_capacity(uint32_t capacity)
{
    return (capacity & (capacity - 1)) == 0 && capacity >= SPARSE_FIRST &&
           (capacity <= SPARSE_MAX || capacity == REGISTERS);
}

static const char *hll_load(const struct wr_agg *agg, uint8_t *row, const char *from,
                            const char *end)
{
    struct hll head;
    put_hll(agg, row, NULL);
    if ((size_t)(end - from) < sizeof head) {
        return NULL;
    }
    memcpy(&head, from, sizeof head);
    if (head.capacity == 0) {
        return from + sizeof head;
    }
    if (!hll_is_capacity(head.capacity) || (size_t)(end - from) < hll_bytes(head.capacity)) {
        return NULL;
    }
    struct hll *hll = wr_state_alloc(agg->pool, hll_bytes(head.capacity));
    memcpy(hll, from, hll_bytes(head.capacity));
    if (!hll_is_sound(hll)) {
        wr_state_free(agg->pool, hll, hll_bytes(head.capacity));
        return NULL;
    }
    put_hll(agg, row, hll);
    return from + hll_bytes(head.capacity);
}

const struct wr_agg_ops wr_agg_hll_ops = { hll_update,  hll_merge, hll_emit,
                                           hll_release, hll_save,  hll_load };

/* ---- percentiles ---- */

#define BUCKET_SHIFT 46      /* 6 bits of mantissa stay: 64 buckets per octave */
#define SUBNORMAL_OCTAVES 54 /* subnormal numbers are scaled by 2^54 and their buckets moved down */
#define MAGNITUDE_BIAS 4096  /* keeps the smallest subnormal's bucket above zero's */
#define BUCKET_NAN INT32_MAX
#define BUCKETS_FIRST 8u

struct bucket {
    int32_t number;
    uint32_t reserved;
    uint64_t count; /* 0: empty slot */
};

struct sketch {
    uint32_t count; /* buckets in use */
    uint32_t capacity;
    uint64_t values;
};

static int32_t bucket_of(double value)
{
    if (isnan(value)) {
        return BUCKET_NAN;
    }
    double magnitude = fabs(value);
    if (magnitude == 0.0) {
        return 0;
    }
    int32_t moved = 0;
    if (magnitude < 0x1p-1022) {
        magnitude *= 0x1p54;
        moved = SUBNORMAL_OCTAVES * 64;
    }
    uint64_t bits;
    memcpy(&bits, &magnitude, sizeof bits);
    const int32_t number = (int32_t)(bits >> BUCKET_SHIFT) - moved + MAGNITUDE_BIAS;
    return value < 0 ? -number : number;
}

static double bucket_middle(int32_t number)
{
    if (number == BUCKET_NAN) {
        return (double)NAN;
    }
    if (number == 0) {
        return 0.0;
    }
    int32_t magnitude = (number < 0 ? -number : number) - MAGNITUDE_BIAS;
    double scale = number < 0 ? -1.0 : 1.0;
    if (magnitude >= 2047 * 64) {
        return scale * (double)INFINITY;
    }
    if (magnitude < 64) {
        magnitude += SUBNORMAL_OCTAVES * 64;
        scale *= 0x1p-54;
    }
    const uint64_t bits =
        (uint64_t)magnitude << BUCKET_SHIFT | UINT64_C(1) << (BUCKET_SHIFT - 1);
    double middle;
    memcpy(&middle, &bits, sizeof middle);
    return middle * scale;
}

static struct sketch *sketch_of(const struct wr_agg *agg, const uint8_t *row)
{
    struct sketch *sketch;
    memcpy(&sketch, row + agg->offset, sizeof sketch);
    return sketch;
}

static void put_sketch(const struct wr_agg *agg, uint8_t *row, const struct sketch *sketch)
{
    memcpy(row + agg->offset, &sketch, sizeof sketch);
}

static size_t sketch_bytes(uint32_t capacity)
{
    return sizeof(struct sketch) + capacity * sizeof(struct bucket);
}

static struct bucket *buckets(const struct sketch *sketch)
{
    return (struct bucket *)(uintptr_t)(sketch + 1);
}

static struct sketch *sketch_make(const struct wr_agg *agg, uint32_t capacity)
{
    struct sketch *sketch = wr_state_alloc(agg->pool, sketch_bytes(capacity));
    memset(sketch, 0, sketch_bytes(capacity));
    sketch->capacity = capacity;
    return sketch;
}

static struct bucket *bucket_find(const struct sketch *sketch, int32_t number)
{
    const uint32_t mask = sketch->capacity - 1;
    uint32_t slot = ((uint32_t)number * 0x9e3779b1u >> 8) & mask;
    while (buckets(sketch)[slot].count != 0 && buckets(sketch)[slot].number != number) {
        slot = (slot + 1) & mask;
    }
    return &buckets(sketch)[slot];
}

static void sketch_add(const struct wr_agg *agg, uint8_t *row, int32_t number, uint64_t count)
{
    struct sketch *sketch = sketch_of(agg, row);
    if (sketch == NULL) {
        sketch = sketch_make(agg, BUCKETS_FIRST);
        put_sketch(agg, row, sketch);
    }
    sketch->values += count;
    struct bucket *bucket = bucket_find(sketch, number);
    if (bucket->count != 0) {
        bucket->count += count;
        return;
    }
    *bucket = (struct bucket){ .number = number, .count = count };
    if (++sketch->count <= sketch->capacity / 4 * 3) {
        return;
    }
    struct sketch *larger = sketch_make(agg, sketch->capacity * 2);
    larger->count = sketch->count;
    larger->values = sketch->values;
    for (uint32_t i = 0; i < sketch->capacity; i++) {
        if (buckets(sketch)[i].count != 0) {
            *bucket_find(larger, buckets(sketch)[i].number) = buckets(sketch)[i];
        }
    }
    wr_state_free(agg->pool, sketch, sketch_bytes(sketch->capacity));
    put_sketch(agg, row, larger);
}

static void percentile_update(const struct wr_agg *agg, const struct wr_agg_input *in)
{
    const char *values = in->column->values;
    for (uint32_t i = 0; i < in->count; i++) {
        const double value =
            wr_agg_to_double(agg->arg, values + (size_t)in->sel[i] * agg->width);
        sketch_add(agg, in->rows[i], bucket_of(value), 1);
    }
}

static void percentile_merge(const struct wr_agg *agg, uint8_t *into, const uint8_t *row)
{
    const struct sketch *sketch = sketch_of(agg, row);
    for (uint32_t i = 0; sketch != NULL && i < sketch->capacity; i++) {
        if (buckets(sketch)[i].count != 0) {
            sketch_add(agg, into, buckets(sketch)[i].number, buckets(sketch)[i].count);
        }
    }
}

static int compare_buckets(const void *a, const void *b)
{
    const int32_t x = ((const struct bucket *)a)->number;
    const int32_t y = ((const struct bucket *)b)->number;
    return (x > y) - (x < y);
}

/* The nearest rank: the first value below or at which the fraction lies (percentile_disc). */
static bool percentile_emit(const struct wr_agg *agg, const uint8_t *row, void *value,
                            struct wr_arena *arena, const char **error)
{
    const struct sketch *sketch = sketch_of(agg, row);
    if (sketch == NULL) {
        return false;
    }
    const size_t bytes = sketch->count * sizeof(struct bucket);
    struct bucket *sorted = wr_state_alloc(agg->pool, bytes);
    uint32_t used = 0;
    for (uint32_t i = 0; i < sketch->capacity; i++) {
        if (buckets(sketch)[i].count != 0) {
            sorted[used++] = buckets(sketch)[i];
        }
    }
    wr_assert(used == sketch->count);
    qsort(sorted, used, sizeof *sorted, compare_buckets);
    const double wanted = ceil(agg->parameter * (double)sketch->values);
    uint64_t below = 0;
    uint32_t at = 0;
    while (at + 1 < used && (double)(below + sorted[at].count) < wanted) {
        below += sorted[at++].count;
    }
    const double middle = bucket_middle(sorted[at].number);
    memcpy(value, &middle, sizeof middle);
    wr_state_free(agg->pool, sorted, bytes);
    return true;
}

static void percentile_release(const struct wr_agg *agg, uint8_t *row)
{
    struct sketch *sketch = sketch_of(agg, row);
    if (sketch != NULL) {
        wr_state_free(agg->pool, sketch, sketch_bytes(sketch->capacity));
        put_sketch(agg, row, NULL);
    }
}

static void percentile_save(const struct wr_agg *agg, const uint8_t *row, struct wr_buf *into)
{
    static const struct sketch none = { 0, 0, 0 };
    const struct sketch *sketch = sketch_of(agg, row);
    if (sketch == NULL) {
        wr_buf_append(into, &none, sizeof none);
    } else {
        wr_buf_append(into, sketch, sketch_bytes(sketch->capacity));
    }
}

static bool sketch_is_sound(const struct sketch *sketch)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < sketch->capacity; i++) {
        used += buckets(sketch)[i].count != 0;
    }
    return used == sketch->count && used > 0 && used <= sketch->capacity / 4 * 3;
}

static const char *percentile_load(const struct wr_agg *agg, uint8_t *row, const char *from,
                                   const char *end)
{
    struct sketch head;
    put_sketch(agg, row, NULL);
    if ((size_t)(end - from) < sizeof head) {
        return NULL;
    }
    memcpy(&head, from, sizeof head);
    if (head.capacity == 0) {
        return from + sizeof head;
    }
    if (head.capacity < BUCKETS_FIRST || (head.capacity & (head.capacity - 1)) != 0 ||
        (size_t)(end - from) < sketch_bytes(head.capacity)) {
        return NULL;
    }
    struct sketch *sketch = wr_state_alloc(agg->pool, sketch_bytes(head.capacity));
    memcpy(sketch, from, sketch_bytes(head.capacity));
    if (!sketch_is_sound(sketch)) {
        wr_state_free(agg->pool, sketch, sketch_bytes(head.capacity));
        return NULL;
    }
    put_sketch(agg, row, sketch);
    return from + sketch_bytes(head.capacity);
}

const struct wr_agg_ops wr_agg_percentile_ops = { percentile_update,  percentile_merge,
                                                  percentile_emit,    percentile_release,
                                                  percentile_save,    percentile_load };
