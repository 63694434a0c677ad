/* json_walk.h: the fast way through a record, compiled once per instruction set (see
 * json_walk_*.c).
 *
 * Before it is included: simd_special and simd_equal as below. Everything here may read
 * WR_JSON_PADDING bytes behind the record and so compares with end before it believes what it read.
 *   static uint32_t simd_special(const char *at): a bit for each of 32 bytes that is '"', '\\',
 * below 0x20 or above 0x7f
 *   static bool simd_equal(const char *at, const char *glue, uint64_t mask): the first bytes
 * agree, one per
 *       bit of mask; false for WR_JSON_NO_GLUE
 */
#include "batch/json_scan.h"
#include "decode/json_values.h"

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

static void take_record(struct wr_json_decoder *d)
{
    for (uint32_t w = 0; w < d->seen_words; w++) {
        d->seen[w] = 0;
    }
    if (walk_record(d) && !row_complete(d)) {
        wr_json_fill_nulls(d);
    }
}

#if defined(MATCH_TEMPLATES)
/* Fills lanes with the records of rows [from, to) that may be of t. */
static inline uint32_t find_lanes(struct wr_json_decoder *d, const struct wr_json_template *t,
                                  const struct wr_record *items, uint32_t from, uint32_t to,
                                  struct lane *lanes)
{
    uint32_t count = 0;
    uint16_t *into = d->marks;
    const uint16_t *const limit = into + WR_JSON_LANES_MARKS;
    for (uint32_t row = from; row < to; row++) {
        const char *start = items[row].data;
        const uint32_t bytes = items[row].bytes;
        struct wr_json_marks marks = { .at = into };
        if (UNLIKELY(!wr_json_readable(&items[row]) || bytes > WR_JSON_TEMPLATE_BYTES_MAX ||
                     into > limit || !simd_marks(start, bytes, &marks))) {
            continue;
        }
        if (UNLIKELY(marks.doubtful || !counts_match(t, &marks, bytes))) {
            continue;
        }
        lanes[count++] = (struct lane){ start, into, row };
        into += marks.quotes + 2;
    }
    for (uint32_t i = count; count > 0 && i < count + 3; i++) {
        lanes[i] = lanes[0];
    }
    return count;
}

static __attribute__((noinline)) void take_alone(struct wr_json_decoder *d,
                                                 const struct wr_record *record)
{
    if (!wr_json_open(d, record) || match_record(d) != MATCH_NONE) {
        return;
    }
    const uint32_t faults = d->faults->count;
    take_record(d);
    if (d->faults->count == faults && d->templates.learns_left > 0) {
        wr_json_template_learn(d);
    }
}

/* Rows [from, to): those of the template that fitted last together, then the others one by one,
 * so that faults come in order. */
static inline void run_matching(struct wr_json_decoder *d, const struct wr_record *items,
                                uint32_t from, uint32_t to)
{
    struct wr_json_templates *all = &d->templates;
    struct wr_json_template *t = all->items[all->recent];
    struct lane lanes[WR_JSON_LANES + 3];
    uint32_t rows = 0; /* a bit per row that is done */
    if (LIKELY(t != NULL)) {
        const uint32_t count = find_lanes(d, t, items, from, to, lanes);
        const uint32_t taken = match_all(d, t, lanes, count);
        for (uint32_t i = 0; i < count; i++) {
            rows |= (taken >> i & 1) << (lanes[i].row - from);
        }
    }
    const uint32_t hits = (uint32_t)__builtin_popcount(rows);
    const uint32_t wanted = (1u << (to - from)) - 1;
    all->tries += to - from;
    all->hits += hits;
    if (t != NULL) {
        t->hits += hits;
    }
    if (LIKELY(rows == wanted && t->complete)) {
        return;
    }
    all->pinned = t;
    for (uint32_t row = from; row < to; row++) {
        d->row = row;
        if ((rows >> (row - from) & 1) == 0) {
            take_alone(d, &items[row]);
        } else if (!t->complete) {
            memcpy(d->seen, t->seen, d->seen_words * sizeof(d->seen[0]));
            wr_json_fill_nulls(d);
        }
    }
    all->pinned = NULL;
}
#endif

static inline void run_walking(struct wr_json_decoder *d, const struct wr_records *records,
                               uint32_t from, uint32_t to)
{
    for (uint32_t row = from; row < to; row++) {
        d->row = row;
        if (wr_json_open(d, &records->items[row])) {
            take_record(d);
        }
    }
}

static inline void run_records(struct wr_json_decoder *d, const struct wr_records *records)
{
#if defined(MATCH_TEMPLATES)
    for (uint32_t row = 0; row < records->count && d->templates.rest == 0; row += WR_JSON_LANES) {
        const uint32_t left = records->count - row;
        run_matching(d, records->items, row, row + (left < WR_JSON_LANES ? left : WR_JSON_LANES));
    }
    if (d->templates.rest > 0) {
        run_walking(d, records, 0, records->count);
    }
#else
    run_walking(d, records, 0, records->count);
#endif
}
