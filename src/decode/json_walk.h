/* json_walk.h: the fast way through a record, compiled once per instruction set (see
 * json_walk_avx2.c, json_walk_plain.c).
 *
 * Before it is included: simd_special and simd_equal as below. Everything here may read WR_JSON_PADDING bytes
 * behind the record and so compares with end before it believes what it read.
 *   static uint32_t simd_special(const char *at): a bit for each of 32 bytes that is '"', '\\',
 * below 0x20 or above 0x7f
 *   static bool simd_equal(const char *at, const char *glue, uint64_t mask): the first bytes
 * agree, one per
 *       bit of mask; false for WR_JSON_NO_GLUE
 */
#include "batch/json_scan.h"
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

/* at: behind the opening quote. The closing quote of a string of plain ASCII without escapes, else
 * NULL. */
static inline const char *find_quote(const char *at, const char *end)
{
    for (;;) {
        const uint32_t special = simd_special(at);
        if (special != 0) {
            at += __builtin_ctz(special);
            return LIKELY(*at == '"' && at < end) ? at : NULL;
        }
        at += 32;
        if (UNLIKELY(at >= end)) {
            return NULL;
        }
    }
}

static inline const char *skip_value(struct wr_json_decoder *d, const char *at, uint32_t depth)
{
    if (*at == '"') {
        const char *quote = find_quote(at + 1, d->end);
        if (LIKELY(quote != NULL)) {
            return quote + 1;
        }
    } else if ((uint8_t)(*at - '0') <= 9 || *at == '-') {
        struct plain_number n;
        const char *after = read_plain(at, false, &n);
        if (LIKELY(after != NULL)) {
            return after;
        }
    }
    return wr_json_value_slow(d, NULL, at, depth);
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

/* A value in the plain form of its column; NULL: not that. */
static inline const char *fast_text(struct wr_json_decoder *d, const struct wr_json_member *m,
                                    uint32_t row, const char *at)
{
    if (UNLIKELY(*at != '"')) {
        return NULL;
    }
    const char *quote = find_quote(at + 1, d->end);
    if (UNLIKELY(quote == NULL)) {
        return NULL;
    }
    struct wr_view *views = m->values;
    put_view(&views[row], at + 1, (uint64_t)(quote - at - 1), d->origin);
    return quote + 1;
}

static inline const char *fast_value(struct wr_json_decoder *d, const struct wr_json_member *m,
                                     uint32_t row, const char *at)
{
    struct plain_number n;
    switch (m->kind) {
    case WR_JSON_TEXT:
        return fast_text(d, m, row, at);
    case WR_JSON_INT64:
        at = read_plain(at, true, &n);
        ((int64_t *)m->values)[row] = n.negative ? -(int64_t)n.digits : (int64_t)n.digits;
        return at;
    case WR_JSON_DOUBLE:
        at = read_plain(at, false, &n);
        return LIKELY(at != NULL && store_double(m->values, row, n)) ? at : NULL;
    case WR_JSON_TIME:
        if (*at == '"') {
            return fast_time_text(d, m->values, row, at);
        }
        at = read_plain(at, true, &n);
        return LIKELY(at != NULL && store_time(d, m->values, row, n)) ? at : NULL;
    case WR_JSON_BOOL: {
        const bool yes = load32(at) == 0x65757274u; /* "true" */
        const bool no = load32(at + 1) == 0x65736c61u && *at == 'f';
        ((uint8_t *)m->values)[row] = yes;
        return LIKELY(yes || no) ? at + 5 - yes : NULL;
    }
    case WR_JSON_INT:
        at = read_plain(at, true, &n);
        return LIKELY(at != NULL && store_int(m->field, row, n)) ? at : NULL;
    case WR_JSON_DECIMAL:
        at = read_plain(at, false, &n);
        return LIKELY(at != NULL && store_decimal(m->field, row, n)) ? at : NULL;
    default:
        return NULL;
    }
}

static const char *walk_object(struct wr_json_decoder *d, struct wr_json_node *node,
                               const char *at);

static __attribute__((noinline)) const char *walk_child(struct wr_json_decoder *d,
                                                        const struct wr_json_member *member,
                                                        uint32_t depth, const char *at)
{
    struct wr_json_node *child = member->child;
    struct wr_json_field *field = member->field; /* the shape may move while the child is walked */
    if (child->entered == d->row + 1) {
        wr_json_forget(d, child);
    }
    child->entered = d->row + 1;
    at = wr_json_skip_space(at, d->end);
    if (at == d->end || *at != '{') {
        return wr_json_value_slow(d, field, at, depth);
    }
    const char *after = walk_object(d, child, at);
    if (after != NULL && field != NULL && !wr_json_store(d, field, at, after)) {
        return NULL;
    }
    return after;
}

/* after, but where the member's bet on its length holds without waiting for it: the processor
 * predicts the comparison and so knows the next position at once. */
static inline const char *go_on(struct wr_json_member *m, const char *at, const char *after)
{
    if (m->steady) {
        uint64_t length = m->length;
        const uint64_t found = (uint64_t)(after - at);
        /* Hides that it is what was compared: else the compiler would use found. */
        __asm__("" : "+r"(length));
        if (LIKELY(found == m->length)) {
            return at + length;
        }
        m->length = (uint32_t)found;
        m->misses++;
    }
    return after;
}

/* at: at the '{'. Returns the byte behind the '}', NULL after a fault. */
static const char *walk_object(struct wr_json_decoder *d, struct wr_json_node *node, const char *at)
{
    const char *const end = d->end;
    const uint32_t row = d->row;
    struct wr_json_member *next = node->shape;
    bool first = true;
    for (;;) {
        struct wr_json_member *m = next;
        if (LIKELY(simd_equal(at, m->glue, m->glue_mask) && m->opens == first)) {
            at += m->glue_bytes;
            next = m + 1;
        } else if (*at == '}' && at < end && !first) {
            return at + 1;
        } else {
            at = wr_json_resync(d, node, at, first, &m);
            if (at == NULL || m == NULL) {
                return at;
            }
            next = m == &d->passing ? next : m + 1;
        }
        first = false;
        /* The only check against the end: a value is followed by glue, and behind a value that ran
         * over the end at most WR_JSON_PADDING bytes were looked at. */
        if (UNLIKELY(at >= end)) {
            return wr_json_fault(d, end, "ends inside an object");
        }
        if (m->kind == WR_JSON_SKIP) {
            const char *after = skip_value(d, at, node->depth);
            if (LIKELY(after != NULL)) {
                at = go_on(m, at, after);
                continue;
            }
            return NULL;
        } else if (UNLIKELY(m->kind == WR_JSON_CHILD)) {
            at = walk_child(d, m, node->depth, at);
        } else {
            const char *after = fast_value(d, m, row, at);
            if (LIKELY(after != NULL)) {
                *m->seen |= m->seen_bit;
                at = go_on(m, at, after);
                continue;
            }
            at = wr_json_value_slow(d, m->field, at, node->depth);
        }
        if (UNLIKELY(at == NULL)) {
            return NULL;
        }
    }
}

static bool walk_record(struct wr_json_decoder *d)
{
    const char *at = d->start;
    while (at < d->end && UNLIKELY(*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) {
        at++;
    }
    if (at == d->end || *at != '{') {
        wr_json_fault(d, at, "the record is not an object");
        return false;
    }
    at = walk_object(d, d->root, at);
    if (at == NULL) {
        return false;
    }
    while (at < d->end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) {
        at++;
    }
    if (at != d->end) {
        wr_json_fault(d, at, "something follows the object");
        return false;
    }
    return true;
}

static inline void run_records(struct wr_json_decoder *d, const struct wr_records *records)
{
    for (uint32_t row = 0; row < records->count; row++) {
        d->row = row;
        bool complete = true;
        for (uint32_t w = 0; w < d->seen_words; w++) {
            d->seen[w] = 0;
        }
        if (!wr_json_open(d, &records->items[row]) || !walk_record(d)) {
            continue;
        }
        for (uint32_t w = 0; w < d->seen_words; w++) {
            complete &= d->seen[w] == d->all[w];
        }
        if (!complete) {
            wr_json_fill_nulls(d);
        }
    }
}
