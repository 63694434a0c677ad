/* json_match.h: matches records with templates (json_template.h); part of json_walk.h, for the
 * instruction sets where it is faster than the walk.
 *
 * Before it is included, besides what json_walk.h asks for:
 *   static bool simd_marks(const char *at, uint32_t bytes, struct wr_json_marks *marks): finds the
 *       quotes of a record; false: it holds a backslash
 *   simd_word, static simd_word simd_zero(void), static bool simd_is_zero(simd_word w)
 *   static simd_word simd_differs(simd_word w, const char *at, const struct wr_json_piece *piece):
 *       w, and bits where a byte at at that counts differs from the piece's
 *   static bool simd_integer, simd_number(const char *at, uint32_t bytes, struct plain_number *n):
 *       the whole text is an integer, a number without an exponent; false may also mean: too long
 *   static bool simd_is_number(const char *at, uint32_t bytes): the same without the value.
 *       These three read nothing when bytes is 0 or above WR_JSON_PADDING / 2.
 *   static void simd_put_view(struct wr_view *into, const char *at, uint32_t bytes, ptrdiff_t
 *       origin)
 */
#include "decode/json_values.h"

enum match {
    MATCH_NONE, /* left to the walk */
    MATCH_ROW,
    MATCH_FAULT, /* the row has its fault */
};

/* A leaf's bytes; of a string, what is between its quotes. */
struct span {
    const char *at;
    uint32_t bytes;
};

/* One of the records that are matched side by side: leaf by leaf, so that all that a leaf needs
 * stays in registers. */
struct lane {
    const char *start;
    const uint16_t *at; /* its marks */
    uint32_t row;
};

static inline struct span span_of(const struct lane *lane, const struct wr_json_leaf *leaf)
{
    const uint16_t *at = lane->at + leaf->mark;
    return (struct span){ lane->start + at[0] + leaf->before,
                          (uint32_t)at[1] - at[0] - leaf->around };
}

static inline bool counts_match(const struct wr_json_template *t, const struct wr_json_marks *marks,
                                uint32_t bytes)
{
    return t->quotes == marks->quotes && bytes >= t->bytes_min &&
           bytes - marks->at[t->tail_mark] == t->tail_bytes;
}

/* Whether everything but the leaves' own bytes is as in the template, for four lanes: a bit for
 * each where it is not. */
static inline uint32_t frames_differ(const struct wr_json_template *t, const struct lane *lanes)
{
    const struct wr_json_piece *piece = t->pieces;
    const struct wr_json_place *place = t->places;
    const struct wr_json_place *last = place + t->piece_count;
    const struct lane a = lanes[0];
    const struct lane b = lanes[1];
    const struct lane c = lanes[2];
    const struct lane e = lanes[3];
    simd_word differ_a = simd_zero();
    simd_word differ_b = simd_zero();
    simd_word differ_c = simd_zero();
    simd_word differ_e = simd_zero();
    for (; place < last; place++, piece++) {
        const ptrdiff_t from = (ptrdiff_t)place->offset - WR_JSON_LEAD_BYTES;
        const size_t mark = place->mark;
        differ_a = simd_differs(differ_a, a.start + a.at[mark] + from, piece);
        differ_b = simd_differs(differ_b, b.start + b.at[mark] + from, piece);
        differ_c = simd_differs(differ_c, c.start + c.at[mark] + from, piece);
        differ_e = simd_differs(differ_e, e.start + e.at[mark] + from, piece);
    }
    return (uint32_t)!simd_is_zero(differ_a) | (uint32_t)!simd_is_zero(differ_b) << 1 |
           (uint32_t)!simd_is_zero(differ_c) << 2 | (uint32_t)!simd_is_zero(differ_e) << 3;
}

static inline bool match_time_text(struct wr_json_decoder *d, const struct wr_json_leaf *leaf,
                                   uint32_t row, struct span s)
{
    return leaf->string && fast_time_text(d, leaf->values, row, s.at - 1) == s.at + s.bytes + 1;
}

/* False: not of the column's plain form. */
static inline __attribute__((always_inline)) bool
match_leaf(struct wr_json_decoder *d, const struct wr_json_leaf *leaf, enum wr_json_kind kind,
           uint32_t row, struct span s)
{
    struct plain_number n;
    switch (kind) {
    case WR_JSON_SKIP:
        return simd_is_number(s.at, s.bytes);
    case WR_JSON_INT64:
        if (UNLIKELY(!simd_integer(s.at, s.bytes, &n))) {
            return false;
        }
        ((int64_t *)leaf->values)[row] = n.negative ? -(int64_t)n.digits : (int64_t)n.digits;
        return true;
    case WR_JSON_DOUBLE:
        return simd_number(s.at, s.bytes, &n) && store_double(leaf->values, row, n);
    case WR_JSON_TIME:
        if (leaf->string) {
            return match_time_text(d, leaf, row, s);
        }
        return simd_integer(s.at, s.bytes, &n) && store_time(d, leaf->values, row, n);
    case WR_JSON_BOOL: {
        const bool yes = s.bytes == 4 && load32(s.at) == 0x65757274u; /* "true" */
        const bool no = s.bytes == 5 && load32(s.at + 1) == 0x65736c61u && *s.at == 'f';
        ((uint8_t *)leaf->values)[row] = yes;
        return yes || no;
    }
    case WR_JSON_INT:
        return simd_integer(s.at, s.bytes, &n) && store_int(leaf->field, row, n);
    case WR_JSON_DECIMAL:
        return simd_number(s.at, s.bytes, &n) && store_decimal(leaf->field, row, n);
    default:
        return false;
    }
}

/* A bit for each lane whose value is not of the plain form. */
static inline __attribute__((always_inline)) uint32_t
match_lanes(struct wr_json_decoder *d, const struct wr_json_leaf *from, enum wr_json_kind kind,
            const struct lane *lanes, uint32_t count)
{
    const struct wr_json_leaf leaf = *from; /* what is stored cannot be it */
    uint32_t bad = 0;
    for (uint32_t i = 0; i < count; i++) {
        const bool taken = match_leaf(d, &leaf, kind, lanes[i].row, span_of(&lanes[i], &leaf));
        bad |= (uint32_t)!taken << i;
    }
    return bad;
}

static inline uint32_t match_column(struct wr_json_decoder *d, const struct wr_json_leaf *leaf,
                                    const struct lane *lanes, uint32_t count)
{
    switch (leaf->kind) {
    case WR_JSON_SKIP:
        return match_lanes(d, leaf, WR_JSON_SKIP, lanes, count);
    case WR_JSON_INT64:
        return match_lanes(d, leaf, WR_JSON_INT64, lanes, count);
    case WR_JSON_DOUBLE:
        return match_lanes(d, leaf, WR_JSON_DOUBLE, lanes, count);
    case WR_JSON_TIME:
        return match_lanes(d, leaf, WR_JSON_TIME, lanes, count);
    case WR_JSON_BOOL:
        return match_lanes(d, leaf, WR_JSON_BOOL, lanes, count);
    case WR_JSON_INT:
        return match_lanes(d, leaf, WR_JSON_INT, lanes, count);
    case WR_JSON_DECIMAL:
        return match_lanes(d, leaf, WR_JSON_DECIMAL, lanes, count);
    default:
        return UINT32_MAX;
    }
}

static inline void put_texts(const struct wr_json_leaf *leaf, const struct lane *lanes,
                             uint32_t count)
{
    struct wr_view *views = leaf->values;
    const size_t mark = leaf->mark;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t from = lanes[i].at[mark] + 1u;
        simd_put_view(&views[lanes[i].row], lanes[i].start + from, lanes[i].at[mark + 1] - from, 0);
    }
}

/* Of count lanes, count + 3 of them filled; a bit for each lane that is a row now. The leaves of
 * lanes whose frame differs are read too, and forgotten: a string leaf lies in the record in any
 * case, of a bare one only the length is believed, until it is small and thus lies there too. */
static inline uint32_t match_all(struct wr_json_decoder *d, const struct wr_json_template *t,
                                 const struct lane *lanes, uint32_t count)
{
    uint32_t bad = 0;
    for (uint32_t i = 0; i < count; i += 4) {
        bad |= frames_differ(t, lanes + i) << i;
    }
    for (uint32_t i = 0; i < t->text_count; i++) {
        put_texts(&t->texts[i], lanes, count);
    }
    for (uint32_t i = 0; i < t->leaf_count; i++) {
        bad |= match_column(d, &t->leaves[i], lanes, count);
    }
    return ~bad & ((1u << count) - 1);
}

/* The leaves of one record whose frame matches, of any form. */
static enum match match_leaves(struct wr_json_decoder *d, const struct wr_json_template *t,
                               const struct lane *lane)
{
    for (uint32_t w = 0; w < d->seen_words; w++) {
        d->seen[w] = t->seen[w];
    }
    for (uint32_t i = 0; i < t->text_count; i++) {
        const struct wr_json_leaf *leaf = &t->texts[i];
        const struct span s = span_of(lane, leaf);
        simd_put_view((struct wr_view *)leaf->values + d->row, s.at, s.bytes, d->origin);
    }
    for (uint32_t i = 0; i < t->leaf_count; i++) {
        const struct wr_json_leaf *leaf = &t->leaves[i];
        const struct span s = span_of(lane, leaf);
        if (match_leaf(d, leaf, leaf->kind, d->row, s)) {
            continue;
        }
        const enum wr_json_leaf_result result = wr_json_leaf_slow(
            d, leaf, s.at - leaf->string, s.at + (int32_t)s.bytes + leaf->string);
        if (result != WR_JSON_LEAF_TAKEN) {
            return result == WR_JSON_LEAF_FAULT ? MATCH_FAULT : MATCH_NONE;
        }
    }
    return row_complete(d) || wr_json_fill_nulls(d) ? MATCH_ROW : MATCH_FAULT;
}

/* UTF-8 without control characters. */
static bool all_text(const char *at, const char *end)
{
    uint8_t least = UINT8_MAX;
    for (const char *c = at; c < end; c++) {
        least = (uint8_t)*c < least ? (uint8_t)*c : least;
    }
    return least >= 0x20 && wr_utf8_valid(at, (size_t)(end - at));
}

/* The record at hand, alone. */
static enum match match_record(struct wr_json_decoder *d)
{
    struct wr_json_templates *all = &d->templates;
    const size_t bytes = (size_t)(d->end - d->start);
    struct wr_json_marks marks = { .at = d->marks };
    if (bytes > WR_JSON_TEMPLATE_BYTES_MAX || !simd_marks(d->start, (uint32_t)bytes, &marks) ||
        (marks.doubtful && !all_text(d->start, d->end))) {
        return MATCH_NONE;
    }
    const struct lane lane = { d->start, marks.at, d->row };
    const struct lane lanes[4] = { lane, lane, lane, lane };
    for (uint32_t i = 0; i < WR_JSON_TEMPLATES; i++) {
        const uint32_t place = (all->recent + i) % WR_JSON_TEMPLATES;
        struct wr_json_template *t = all->items[place];
        if (t == NULL || !counts_match(t, &marks, (uint32_t)bytes) ||
            frames_differ(t, lanes) != 0) {
            continue;
        }
        const enum match found = match_leaves(d, t, &lane);
        if (found != MATCH_NONE) {
            all->recent = place;
            t->hits++;
            all->hits++;
        }
        return found;
    }
    return MATCH_NONE;
}
