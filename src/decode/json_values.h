/* json_values.h: values in their columns' plain forms, for the walk (json_walk.h) and for templates
 * (json_match.h). Reads up to WR_JSON_PADDING bytes behind the record. */
#ifndef WR_DECODE_JSON_VALUES_H
#define WR_DECODE_JSON_VALUES_H

#include "decode/json_shape.h"

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

static inline uint64_t load64(const char *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

static inline uint32_t load32(const char *at)
{
    uint32_t word;
    memcpy(&word, at, 4);
    return word;
}

/* Eight ASCII digits, first in the lowest byte; zero bytes count as '0'. */
static inline uint64_t eight_digits(uint64_t word)
{
    word = (word & 0x0f0f0f0f0f0f0f0fu) * 2561 >> 8;
    word = (word & 0x00ff00ff00ff00ffu) * 6553601 >> 16;
    return (word & 0x0000ffff0000ffffu) * 42949672960001u >> 32;
}

/* The high bit of each byte that is no digit (above the first one there may be false ones). */
static inline uint64_t not_digits(uint64_t word)
{
    const uint64_t t = word ^ 0x3030303030303030u;
    return ((t + 0x7676767676767676u) | t) & 0x8080808080808080u;
}

static const uint64_t tens_u64[] = { 1,
                                     10,
                                     100,
                                     1000,
                                     10000,
                                     100000,
                                     1000000,
                                     10000000,
                                     100000000,
                                     1000000000,
                                     10000000000,
                                     100000000000,
                                     1000000000000,
                                     10000000000000,
                                     100000000000000,
                                     1000000000000000,
                                     10000000000000000 };

/* Reads digits; *count of them, 0 to 15. 16: there are more, value is not set. */
static inline uint64_t read_digits(const char *at, uint32_t *count)
{
    const uint64_t w0 = load64(at);
    const uint64_t n0 = not_digits(w0);
    if (LIKELY(n0 != 0)) {
        const uint32_t n = (uint32_t)__builtin_ctzll(n0) / 8;
        *count = n;
        return eight_digits(w0 << (56 - 8 * n) << 8); /* in two steps, since n may be 0 */
    }
    const uint64_t w1 = load64(at + 8);
    const uint64_t n1 = not_digits(w1);
    if (UNLIKELY(n1 == 0)) {
        *count = 16;
        return 0;
    }
    const uint32_t n = (uint32_t)__builtin_ctzll(n1) / 8;
    *count = 8 + n;
    return eight_digits(w0) * tens_u64[n] + eight_digits(w1 << (56 - 8 * n) << 8);
}

struct plain_number {
    uint64_t digits;
    uint32_t fraction; /* how many of the digits stand behind the point */
    bool negative;
};

/* A number without an exponent and with at most 18 digits; NULL when it is not of that form (which
 * is no error: the slow way decides). whole: a point ends the attempt too. */
static inline const char *read_plain(const char *at, bool whole, struct plain_number *n)
{
    uint32_t count;
    n->negative = *at == '-';
    n->fraction = 0;
    at += n->negative;
    n->digits = read_digits(at, &count);
    /* Nothing, too many, or a leading zero. */
    if (UNLIKELY(count - 1 > 14 || (count > 1 && *at == '0'))) {
        return NULL;
    }
    at += count;
    if (*at == '.') {
        uint32_t behind;
        const uint64_t more = read_digits(at + 1, &behind);
        if (UNLIKELY(whole || behind - 1 > 14 || count + behind > 18)) {
            return NULL;
        }
        n->digits = n->digits * tens_u64[behind] + more;
        n->fraction = behind;
        at += 1 + behind;
    }
    return UNLIKELY((*at | 0x20) == 'e') ? NULL : at;
}

/* The view of a text of bytes at at, whose record's own bytes are at source. Both forms without a
 * branch: text lengths are not predictable. */
static inline void put_view(struct wr_view *into, const char *at, uint64_t bytes, ptrdiff_t origin)
{
    static const uint64_t masks[13][2] = {
        { 0, 0 },
        { 0xff00000000u, 0 },
        { 0xffff00000000u, 0 },
        { 0xffffff00000000u, 0 },
        { 0xffffffff00000000u, 0 },
        { 0xffffffff00000000u, 0xff },
        { 0xffffffff00000000u, 0xffff },
        { 0xffffffff00000000u, 0xffffff },
        { 0xffffffff00000000u, 0xffffffffu },
        { 0xffffffff00000000u, 0xffffffffffu },
        { 0xffffffff00000000u, 0xffffffffffffu },
        { 0xffffffff00000000u, 0xffffffffffffffu },
        { 0xffffffff00000000u, 0xffffffffffffffffu },
    };
    const uint64_t *mask = masks[bytes < 12 ? bytes : 12];
    uint64_t words[2];
    words[0] = bytes | ((uint64_t)load32(at) << 32 & mask[0]);
    const uint64_t rest = load64(at + 4) & mask[1];
    const uint64_t data = (uint64_t)((uintptr_t)at + (uintptr_t)origin);
    words[1] = bytes > WR_VIEW_INLINE_BYTES ? data : rest;
    memcpy(into, words, 16);
}

static inline bool store_int(const struct wr_json_field *field, uint32_t row,
                             struct plain_number n)
{
    /* 15 digits: no overflow anywhere. */
    const int64_t value = n.negative ? -(int64_t)n.digits : (int64_t)n.digits;
    switch (field->type.id) {
    case WR_TYPE_INT16:
        ((int16_t *)field->values)[row] = (int16_t)value;
        return value == (int16_t)value;
    case WR_TYPE_INT32:
        ((int32_t *)field->values)[row] = (int32_t)value;
        return value == (int32_t)value;
    case WR_TYPE_UINT16:
        ((uint16_t *)field->values)[row] = (uint16_t)value;
        return value == (uint16_t)value;
    case WR_TYPE_UINT32:
        ((uint32_t *)field->values)[row] = (uint32_t)value;
        return value == (uint32_t)value;
    default:
        ((uint64_t *)field->values)[row] = n.digits;
        return !n.negative;
    }
}

static inline bool store_double(double *values, uint32_t row, struct plain_number n)
{
    static const double tens[] = { 1e0, 1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8, 1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };
    /* Both operands are exact, so one rounding gives the right result (Clinger). */
    const double value = (double)(int64_t)n.digits / tens[n.fraction];
    values[row] = n.negative ? -value : value;
    return n.digits <= 1ull << 53;
}

static inline bool store_time(const struct wr_json_decoder *d, int64_t *values, uint32_t row,
                              struct plain_number n)
{
    const int64_t value = n.negative ? -(int64_t)n.digits : (int64_t)n.digits;
    return !__builtin_mul_overflow(value, d->unit_multiplier, &values[row]) &&
           d->unit_multiplier != 0;
}

static inline bool store_decimal(const struct wr_json_field *field, uint32_t row,
                                 struct plain_number n)
{
    const uint32_t scale = field->type.scale;
    if (n.fraction > scale || scale - n.fraction > 15) {
        return false;
    }
    __int128 value = (__int128)n.digits * (__int128)tens_u64[scale - n.fraction];
    /* Precisions beyond 18 have room for any 18 digits scaled by 10^15 only when wide; the slow
     * way checks those. */
    if (field->type.precision > 16 ? value >= (__int128)tens_u64[16]
                                   : value >= (__int128)tens_u64[field->type.precision]) {
        return false;
    }
    value = n.negative ? -value : value;
    memcpy((char *)field->values + (size_t)row * 16, &value, 16);
    return true;
}

/* "YYYY-MM-DDThh:mm:ss[.ffffff][Z]" on the day that came last; NULL: anything else. */
static inline const char *fast_time_text(const struct wr_json_decoder *d, int64_t *values,
                                         uint32_t row, const char *at)
{
    const uint64_t tail = load64(at + 9);
    const char separator = (char)(tail >> 16);
    /* hh:mm:ss: what is left of digits is at most 9, of colons 0. */
    const uint64_t t = load64(at + 12) ^ 0x30303a30303a3030u;
    if (load64(at + 1) != d->day_head || (tail & 0xffff) != d->day_tail ||
        (separator != 'T' && separator != ' ') ||
        (((t + 0x76767f76767f7676u) | t) & 0x8080808080808080u) != 0) {
        return NULL;
    }
    const uint64_t hours = (t & 15) * 10 + (t >> 8 & 15);
    const uint64_t minutes = (t >> 24 & 15) * 10 + (t >> 32 & 15);
    const uint64_t seconds = (t >> 48 & 15) * 10 + (t >> 56);
    uint64_t us = 0;
    at += 20;
    if (*at == '.') {
        uint32_t count;
        us = read_digits(at + 1, &count);
        if (count - 1 > 5) {
            return NULL;
        }
        us *= tens_u64[6 - count];
        at += 1 + count;
    }
    at += *at == 'Z';
    us += ((hours * 60 + minutes) * 60 + seconds) * 1000000;
    values[row] = d->day_us + (int64_t)us;
    return hours < 24 && minutes < 60 && seconds < 60 && *at == '"' ? at + 1 : NULL;
}

static inline bool row_complete(const struct wr_json_decoder *d)
{
    bool complete = true;
    for (uint32_t w = 0; w < d->seen_words; w++) {
        complete &= d->seen[w] == d->all[w];
    }
    return complete;
}

#endif
