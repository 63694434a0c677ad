/* agg_number.c: count, sum, avg, variance, bool_and, bool_or.
 *
 * A sum of integers is 64 bits in the row; the first overflow moves it into a 128-bit block and
 * sets the second flag: such sums are rare, 8 bytes per open key are not. Sums of NUMERIC have 192
 * bits, so that a sum that leaves 38 digits on its way and comes back is right in whatever order
 * the rows arrive.
 */
#include "exec/agg.h"

#include "base/assert.h"
#include <math.h>

#define LOAD(type, at) ({ type loaded_; memcpy(&loaded_, (at), sizeof loaded_); loaded_; })
#define STORE(type, at, value)                                                                     \
    do {                                                                                           \
        const type stored_ = (value);                                                              \
        memcpy((at), &stored_, sizeof stored_);                                                    \
    } while (0)

/* Runs BODY with `v` (a value of the C type T) and `row` for each input row. */
#define EACH_ROW(T, BODY)                                                                          \
    do {                                                                                           \
        /* Locals: for all the compiler knows, a store through row could change in. */             \
        const T *const values_ = in->column->values;                                               \
        const uint32_t *const sel_ = in->sel;                                                      \
        uint8_t *const *const rows_ = in->rows;                                                    \
        const uint32_t count_ = in->count;                                                         \
        for (uint32_t i_ = 0; i_ < count_; i_++) {                                                 \
            const T v = values_[sel_[i_]];                                                         \
            uint8_t *const row = rows_[i_];                                                        \
            BODY;                                                                                  \
        }                                                                                          \
    } while (0)

#define EACH_INTEGER(BODY)                                                                         \
    switch (agg->arg.id) {                                                                         \
    case WR_TYPE_INT16: EACH_ROW(int16_t, BODY); break;                                            \
    case WR_TYPE_INT32: EACH_ROW(int32_t, BODY); break;                                            \
    case WR_TYPE_INT64: EACH_ROW(int64_t, BODY); break;                                            \
    case WR_TYPE_UINT16: EACH_ROW(uint16_t, BODY); break;                                          \
    case WR_TYPE_UINT32: EACH_ROW(uint32_t, BODY); break;                                          \
    case WR_TYPE_UINT64: EACH_ROW(uint64_t, BODY); break;                                          \
    default: wr_assert_failed("integer argument", __FILE__, __LINE__);                             \
    }

/* ---- count ---- */

static void count_update(const struct wr_agg *agg, const struct wr_agg_input *in)
{
    const uint32_t offset = agg->offset;
    uint8_t *const *const rows = in->rows;
    const uint32_t count = in->count;
    for (uint32_t i = 0; i < count; i++) {
        STORE(uint64_t, rows[i] + offset, LOAD(uint64_t, rows[i] + offset) + 1);
    }
}

static void count_merge(const struct wr_agg *agg, uint8_t *into, const uint8_t *row)
{
    STORE(uint64_t, into + agg->offset,
          LOAD(uint64_t, into + agg->offset) + LOAD(uint64_t, row + agg->offset));
}

static bool count_emit(const struct wr_agg *agg, const uint8_t *row, void *value,
                       struct wr_arena *arena, const char **error)
{
    memcpy(value, row + agg->offset, 8);
    return true;
}

const struct wr_agg_ops wr_agg_count_ops = { count_update, count_merge, count_emit,
                                             NULL, NULL, NULL };

/* ---- sums of integers ---- */

static __int128 integer_sum(const struct wr_agg *agg, const uint8_t *row)
{
    if (wr_agg_flag(row, agg->bit + 1)) {
        const char *block = LOAD(char *, row + agg->offset);
        return LOAD(__int128, block);
    }
    return LOAD(int64_t, row + agg->offset);
}

/* An addition that does not fit 64 bits, or any once the sum is wide. */
static __attribute__((noinline)) void integer_add_wide(const struct wr_agg *agg, uint8_t *row,
                                                       __int128 value)
{
    const __int128 sum = integer_sum(agg, row) + value;
    if (!wr_agg_flag(row, agg->bit + 1)) {
        STORE(char *, row + agg->offset, wr_state_alloc(agg->pool, sizeof sum));
        wr_agg_flag_set(row, agg->bit + 1);
    }
    STORE(__int128, LOAD(char *, row + agg->offset), sum);
}

static void sum_integer_update(const struct wr_agg *agg, const struct wr_agg_input *in)
{
    const uint32_t offset = agg->offset;
    const uint32_t seen = agg->bit;
    const uint32_t wide = agg->bit + 1;
    EACH_INTEGER({
        int64_t sum;
        wr_agg_flag_set(row, seen);
        if (__builtin_expect(wr_agg_flag(row, wide) ||
                             __builtin_add_overflow(LOAD(int64_t, row + offset), v, &sum), 0)) {
            integer_add_wide(agg, row, (__int128)v);
        } else {
            STORE(int64_t, row + offset, sum);
        }
    })
}

static void integer_add(const struct wr_agg *agg, uint8_t *into, const uint8_t *row)
{
    int64_t sum;
    if (wr_agg_flag(into, agg->bit + 1) || wr_agg_flag(row, agg->bit + 1) ||
        __builtin_add_overflow(LOAD(int64_t, into + agg->offset),
                               LOAD(int64_t, row + agg->offset), &sum)) {
        integer_add_wide(agg, into, integer_sum(agg, row));
    } else {
        STORE(int64_t, into + agg->offset, sum);
    }
}

static void sum_integer_merge(const struct wr_agg *agg, uint8_t *into, const uint8_t *row)
{
    if (wr_agg_flag(row, agg->bit)) {
        wr_agg_flag_set(into, agg->bit);
        integer_add(agg, into, row);
    }
}

static bool sum_integer_emit(const struct wr_agg *agg, const uint8_t *row, void *value,
                             struct wr_arena *arena, const char **error)
{
    if (!wr_agg_flag(row, agg->bit)) {
        return false;
    }
    const __int128 sum = integer_sum(agg, row);
    if (sum < INT64_MIN || sum > INT64_MAX) {
        *error = "sum is out of range of BIGINT";
        return false;
    }
    STORE(int64_t, value, (int64_t)sum);
    return true;
}

static void integer_release(const struct wr_agg *agg, uint8_t *row)
{
    if (wr_agg_flag(row, agg->bit + 1)) {
        wr_state_free(agg->pool, LOAD(char *, row + agg->offset), sizeof(__int128));
        wr_agg_flag_clear(row, agg->bit + 1);
    }
    STORE(int64_t, row + agg->offset, 0);
}

static void integer_save(const struct wr_agg *agg, const uint8_t *row, struct wr_buf *into)
{
    if (wr_agg_flag(row, agg->bit + 1)) {
        wr_buf_append(into, LOAD(char *, row + agg->offset), sizeof(__int128));
    }
}

static const char *integer_load(const struct wr_agg *agg, uint8_t *row, const char *from,
                                const char *end)
{
    if (!wr_agg_flag(row, agg->bit + 1)) {
        return from;
    }
    if ((size_t)(end - from) < sizeof(__int128)) {
        return NULL;
    }
    char *block = wr_state_alloc(agg->pool, sizeof(__int128));
    memcpy(block, from, sizeof(__int128));
    STORE(char *, row + agg->offset, block);
    return from + sizeof(__int128);
}

const struct wr_agg_ops wr_agg_sum_integer_ops = { sum_integer_update, sum_integer_merge,
                                                   sum_integer_emit,   integer_release,
                                                   integer_save,       integer_load };

/* avg: the sum as above, then the count; the first flag is not used, for the count says it. */
static void avg_integer_update(const struct wr_agg *agg, const struct wr_agg_input *in)
{
    sum_integer_update(agg, in);
    for (uint32_t i = 0; i < in->count; i++) {
        uint8_t *at = in->rows[i] + agg->offset + 8;
        STORE(uint64_t, at, LOAD(uint64_t, at) + 1);
    }
}

static void avg_integer_merge(const struct wr_agg *agg, uint8_t *into, const uint8_t *row)
{
    sum_integer_merge(agg, into, row);
    uint8_t *at = into + agg->offset + 8;
    STORE(uint64_t, at, LOAD(uint64_t, at) + LOAD(uint64_t, row + agg->offset + 8));
}

static bool avg_integer_emit(const struct wr_agg *agg, const uint8_t *row, void *value,
                             struct wr_arena *arena, const char **error)
{
    const uint64_t count = LOAD(uint64_t, row + agg->offset + 8);
    if (count == 0) {
        return false;
    }
    /* 64 bits of mantissa: exact up to the one rounding for all sums below 2^64. */
    STORE(double, value, (double)((long double)integer_sum(agg, row) / (long double)count));
    return true;
}

static void avg_integer_release(const struct wr_agg *agg, uint8_t *row)
{
    integer_release(agg, row);
}

const struct wr_agg_ops wr_agg_avg_integer_ops = { avg_integer_update, avg_integer_merge,
                                                   avg_integer_emit,   avg_integer_release,
                                                   integer_save,       integer_load };

/* ---- sums of floats ---- */

static void sum_float_update(const struct wr_agg *agg, const struct wr_agg_input *in)
{
    const uint32_t offset = agg->offset;
    const uint32_t seen = agg->bit;
#define ADD                                                                                        \
    {                                                                                              \
        wr_agg_flag_set(row, seen);                                                                \
        STORE(double, row + offset, LOAD(double, row + offset) + (double)v);                       \
    }
    if (agg->arg.id == WR_TYPE_FLOAT32) {
        EACH_ROW(float, ADD);
    } else {
        EACH_ROW(double, ADD);
    }
#undef ADD
}

static void sum_float_merge(const struct wr_agg *agg, uint8_t *into, const uint8_t *row)
{
    if (wr_agg_flag(row, agg->bit)) {
        wr_agg_flag_set(into, agg->bit);
        STORE(double, into + agg->offset,
              LOAD(double, into + agg->offset) + LOAD(double, row + agg->offset));
    }
}

static bool sum_float_emit(const struct wr_agg *agg, const uint8_t *row, void *value,
                           struct wr_arena *arena, const char **error)
{
    if (!wr_agg_flag(row, agg->bit)) {
        return false;
    }
    memcpy(value, row + agg->offset, 8);
    return true;
}

const struct wr_agg_ops wr_agg_sum_float_ops = { sum_float_update, sum_float_merge, sum_float_emit,
                                                 NULL, NULL, NULL };

static void avg_float_update(const struct wr_agg *agg, const struct wr_agg_input *in)
{
    const uint32_t offset = agg->offset;
#define ADD                                                                                        \
    {                                                                                              \
        STORE(double, row + offset, LOAD(double, row + offset) + (double)v);                       \
        STORE(uint64_t, row + offset + 8, LOAD(uint64_t, row + offset + 8) + 1);                   \
    }
    if (agg->arg.id == WR_TYPE_FLOAT32) {
        EACH_ROW(float, ADD);
    } else {
        EACH_ROW(double, ADD);
    }
#undef ADD
}

static void avg_float_merge(const struct wr_agg *agg, uint8_t *into, const uint8_t *row)
{
    uint8_t *a = into + agg->offset;
    const uint8_t *b = row + agg->offset;
    STORE(double, a, LOAD(double, a) + LOAD(double, b));
    STORE(uint64_t, a + 8, LOAD(uint64_t, a + 8) + LOAD(uint64_t, b + 8));
}

static bool avg_float_emit(const struct wr_agg *agg, const uint8_t *row, void *value,
                           struct wr_arena *arena, const char **error)
{
    const uint64_t count = LOAD(uint64_t, row + agg->offset + 8);
    if (count == 0) {
        return false;
    }
    STORE(double, value, LOAD(double, row + agg->offset) / (double)count);
    return true;
}

const struct wr_agg_ops wr_agg_avg_float_ops = { avg_float_update, avg_float_merge, avg_float_emit,
                                                 NULL, NULL, NULL };

/* ---- NUMERIC ---- */

void wr_wide_add_wide(struct wr_wide *wide, const struct wr_wide *other)
{
    unsigned __int128 carry = 0;
    for (uint32_t i = 0; i < 3; i++) {
        carry += (unsigned __int128)wide->words[i] + other->words[i];
        wide->words[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

void wr_wide_add(struct wr_wide *wide, __int128 value)
{
    const struct wr_wide other = { { (uint64_t)value, (uint64_t)((unsigned __int128)value >> 64),
                                     value < 0 ? UINT64_MAX : 0 } };
    wr_wide_add_wide(wide, &other);
}

bool wr_wide_to_int128(const struct wr_wide *wide, __int128 *value)
{
    *value = (__int128)(((unsigned __int128)wide->words[1] << 64) | wide->words[0]);
    return wide->words[2] == (*value < 0 ? UINT64_MAX : 0);
}

bool wr_decimal_fits(__int128 value, uint32_t precision)
{
    unsigned __int128 limit = 1;
    for (uint32_t i = 0; i < precision; i++) {
        limit *= 10;
    }
    const unsigned __int128 magnitude =
        value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
    return magnitude < limit;
}

static void sum_decimal_update(const struct wr_agg *agg, const struct wr_agg_input *in)
{
    const uint32_t offset = agg->offset;
    EACH_ROW(__int128, {
        struct wr_wide sum = LOAD(struct wr_wide, row + offset);
        wr_wide_add(&sum, v);
        STORE(struct wr_wide, row + offset, sum);
        wr_agg_flag_set(row, agg->bit);
    });
}

static void sum_decimal_merge(const struct wr_agg *agg, uint8_t *into, const uint8_t *row)
{
    if (wr_agg_flag(row, agg->bit)) {
        struct wr_wide sum = LOAD(struct wr_wide, into + agg->offset);
        const struct wr_wide other = LOAD(struct wr_wide, row + agg->offset);
        wr_wide_add_wide(&sum, &other);
        STORE(struct wr_wide, into + agg->offset, sum);
        wr_agg_flag_set(into, agg->bit);
    }
}

static bool sum_decimal_emit(const struct wr_agg *agg, const uint8_t *row, void *value,
                             struct wr_arena *arena, const char **error)
{
    if (!wr_agg_flag(row, agg->bit)) {
        return false;
    }
    const struct wr_wide sum = LOAD(struct wr_wide, row + agg->offset);
    __int128 narrow;
    if (!wr_wide_to_int128(&sum, &narrow) || !wr_decimal_fits(narrow, 38)) {
        *error = "sum is out of range of NUMERIC(38)";
        return false;
    }
    STORE(__int128, value, narrow);
    return true;
}

const struct wr_agg_ops wr_agg_sum_decimal_ops = { sum_decimal_update, sum_decimal_merge,
                                                   sum_decimal_emit,   NULL,
                                                   NULL,               NULL };

static void avg_decimal_update(const struct wr_agg *agg, const struct wr_agg_input *in)
{
    sum_decimal_update(agg, in);
    for (uint32_t i = 0; i < in->count; i++) {
        uint8_t *at = in->rows[i] + agg->offset + 24;
        STORE(uint64_t, at, LOAD(uint64_t, at) + 1);
    }
}

static void avg_decimal_merge(const struct wr_agg *agg, uint8_t *into, const uint8_t *row)
{
    sum_decimal_merge(agg, into, row);
    uint8_t *at = into + agg->offset + 24;
    STORE(uint64_t, at, LOAD(uint64_t, at) + LOAD(uint64_t, row + agg->offset + 24));
}

/* words / divisor in place, school division by words; returns the remainder. */
static uint64_t wide_divide(struct wr_wide *wide, uint64_t divisor)
{
    uint64_t rest = 0;
    for (uint32_t i = 3; i-- > 0;) {
        const unsigned __int128 part = ((unsigned __int128)rest << 64) | wide->words[i];
        wide->words[i] = (uint64_t)(part / divisor);
        rest = (uint64_t)(part % divisor);
    }
    return rest;
}

/* sum / count with digits more digits after the point, rounded half away from zero. */
static bool wide_average(struct wr_wide sum, uint64_t count, uint32_t digits, __int128 *average)
{
    const bool negative = sum.words[2] >> 63;
    if (negative) {
        const struct wr_wide one = { { 1, 0, 0 } };
        for (uint32_t i = 0; i < 3; i++) {
            sum.words[i] = ~sum.words[i];
        }
        wr_wide_add_wide(&sum, &one);
    }
    uint64_t rest = wide_divide(&sum, count);
    __int128 quotient;
    if (!wr_wide_to_int128(&sum, &quotient)) {
        return false;
    }
    for (uint32_t i = 0; i < digits; i++) {
        const unsigned __int128 scaled = (unsigned __int128)rest * 10;
        const int digit = (int)(scaled / count);
        rest = (uint64_t)(scaled % count);
        if (__builtin_mul_overflow(quotient, (__int128)10, &quotient) ||
            __builtin_add_overflow(quotient, (__int128)digit, &quotient)) {
            return false;
        }
    }
    if (rest >= count - rest) {
        quotient++;
    }
    *average = negative ? -quotient : quotient;
    return wr_decimal_fits(*average, 38);
}

static bool avg_decimal_emit(const struct wr_agg *agg, const uint8_t *row, void *value,
                             struct wr_arena *arena, const char **error)
{
    const uint64_t count = LOAD(uint64_t, row + agg->offset + 24);
    if (count == 0) {
        return false;
    }
    const struct wr_wide sum = LOAD(struct wr_wide, row + agg->offset);
    __int128 average = 0;
    if (!wide_average(sum, count, (uint32_t)(agg->type.scale - agg->arg.scale), &average)) {
        *error = "avg is out of range of NUMERIC(38)";
        return false;
    }
    STORE(__int128, value, average);
    return true;
}

const struct wr_agg_ops wr_agg_avg_decimal_ops = { avg_decimal_update, avg_decimal_merge,
                                                   avg_decimal_emit,   NULL,
                                                   NULL,               NULL };

/* ---- variance: count, mean, sum of squared distances (Welford; Chan's formula merges) ---- */

struct moments {
    double count;
    double mean;
    double m2;
};

static void variance_update(const struct wr_agg *agg, const struct wr_agg_input *in)
{
    const char *values = in->column->values;
    for (uint32_t i = 0; i < in->count; i++) {
        const double v =
            wr_agg_to_double(agg->arg, values + (size_t)in->sel[i] * agg->width);
        struct moments m = LOAD(struct moments, in->rows[i] + agg->offset);
        m.count += 1;
        const double delta = v - m.mean;
        m.mean += delta / m.count;
        m.m2 += delta * (v - m.mean);
        STORE(struct moments, in->rows[i] + agg->offset, m);
    }
}

static void variance_merge(const struct wr_agg *agg, uint8_t *into, const uint8_t *row)
{
    struct moments a = LOAD(struct moments, into + agg->offset);
    const struct moments b = LOAD(struct moments, row + agg->offset);
    if (b.count == 0) {
        return;
    }
    const double count = a.count + b.count;
    const double delta = b.mean - a.mean;
    a.mean += delta * (b.count / count);
    a.m2 += b.m2 + delta * delta * (a.count * b.count / count);
    a.count = count;
    STORE(struct moments, into + agg->offset, a);
}

static bool variance_emit(const struct wr_agg *agg, const uint8_t *row, void *value,
                          struct wr_arena *arena, const char **error)
{
    const struct moments m = LOAD(struct moments, row + agg->offset);
    const bool sample = agg->kind == WR_AGG_STDDEV_SAMP || agg->kind == WR_AGG_VAR_SAMP;
    const double divisor = sample ? m.count - 1 : m.count;
    if (divisor <= 0) {
        return false;
    }
    const double variance = m.m2 / divisor;
    const bool root = agg->kind == WR_AGG_STDDEV_SAMP || agg->kind == WR_AGG_STDDEV_POP;
    STORE(double, value, root ? sqrt(variance) : variance);
    return true;
}

const struct wr_agg_ops wr_agg_variance_ops = { variance_update, variance_merge, variance_emit,
                                                NULL, NULL, NULL };

/* ---- bool_and, bool_or: first flag: seen; second: the value that decides was there ---- */

static void bool_update(const struct wr_agg *agg, const struct wr_agg_input *in)
{
    const uint8_t deciding = agg->kind == WR_AGG_BOOL_OR;
    EACH_ROW(uint8_t, {
        wr_agg_flag_set(row, agg->bit);
        if (v == deciding) {
            wr_agg_flag_set(row, agg->bit + 1);
        }
    });
}

static void bool_merge(const struct wr_agg *agg, uint8_t *into, const uint8_t *row)
{
    for (uint32_t bit = agg->bit; bit < agg->bit + 2; bit++) {
        if (wr_agg_flag(row, bit)) {
            wr_agg_flag_set(into, bit);
        }
    }
}

static bool bool_emit(const struct wr_agg *agg, const uint8_t *row, void *value,
                      struct wr_arena *arena, const char **error)
{
    const bool decided = wr_agg_flag(row, agg->bit + 1);
    *(uint8_t *)value = agg->kind == WR_AGG_BOOL_OR ? decided : !decided;
    return wr_agg_flag(row, agg->bit);
}

const struct wr_agg_ops wr_agg_bool_ops = { bool_update, bool_merge, bool_emit, NULL, NULL, NULL };
