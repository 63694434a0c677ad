/* fn_like.c: LIKE and ILIKE.
 *
 * A pattern is cut at its % into segments. Without _ in it the first segment is compared at the
 * text's start, the last at its end, and those between are searched one after the other, each at
 * its leftmost place, which is always right for this kind of pattern: so prefix, suffix and
 * contains cost one memcmp or memmem. _ (any one character) makes a segment's comparison go
 * character by character. ILIKE folds pattern and text to lower case first.
 */
#include "base/heap.h"
#include "exec/eval_node.h"
#include "exec/eval_utf8.h"

/* A segment: bytes of text, where the byte WILD_BYTE (never part of UTF-8) means any one character.
 * */
#define WILD_BYTE '\xFF'

struct segment {
    uint32_t at; /* in bytes.data */
    uint32_t bytes;
    bool wild;
};

struct pattern {
    struct wr_buf bytes; /* all segments */
    struct segment *segments;
    uint32_t count; /* at least one; n segments have n - 1 % between them */
    uint32_t capacity;
    struct wr_buf folded; /* ILIKE: the text (or pattern) in lower case */
    struct wr_buf last;   /* the pattern as it was given, to see whether it is the same again */
    struct wr_slice last_escape;
    char escape_room[4];
    bool ready;
};

static void free_pattern(void *state)
{
    struct pattern *p = state;
    wr_buf_deinit(&p->bytes);
    wr_buf_deinit(&p->folded);
    wr_buf_deinit(&p->last);
    free(p->segments);
    free(p);
}

/* ---- compiling ---- */

static void open_segment(struct pattern *p)
{
    if (p->count == p->capacity) {
        p->capacity = p->capacity == 0 ? 4 : p->capacity * 2;
        p->segments = wr_realloc(p->segments, p->capacity * sizeof *p->segments);
    }
    p->segments[p->count++] = (struct segment){ .at = (uint32_t)p->bytes.bytes };
}

/* A byte that UTF-8 does not have would read as the wild card; it cannot match well-formed text
 * anyway. */
static void add_literal(struct pattern *p, const char *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        wr_buf_byte(&p->bytes, (uint8_t)(at[i] == WILD_BYTE ? '\xFE' : at[i]));
    }
}

static bool at_escape(const char *at, const char *end, struct wr_slice escape)
{
    return escape.bytes > 0 && (size_t)(end - at) >= escape.bytes &&
           memcmp(at, escape.data, escape.bytes) == 0;
}

/* NULL, or what is wrong. escape: one character or empty. */
static const char *compile_pattern(struct pattern *p, struct wr_slice text, struct wr_slice escape)
{
    const char *end = text.data + text.bytes;
    p->bytes.bytes = 0;
    p->count = 0;
    open_segment(p);
    for (const char *at = text.data; at < end;) {
        struct segment *segment = &p->segments[p->count - 1];
        if (at_escape(at, end, escape)) {
            at += escape.bytes;
            if (at == end) {
                return "the pattern must not end with the escape character";
            }
        } else if (*at == '%') {
            at++;
            segment->bytes = (uint32_t)p->bytes.bytes - segment->at;
            open_segment(p);
            continue;
        } else if (*at == '_') {
            at++;
            segment->wild = true;
            wr_buf_byte(&p->bytes, (uint8_t)WILD_BYTE);
            continue;
        }
        const char *next = wr_utf8_next(at, end);
        add_literal(p, at, (size_t)(next - at));
        at = next;
    }
    struct segment *last = &p->segments[p->count - 1];
    last->bytes = (uint32_t)p->bytes.bytes - last->at;
    return NULL;
}

/* ---- matching ---- */

/* Does the segment match at at? Returns the end of what it took, or NULL. */
static const char *match_here(const struct pattern *p, const struct segment *s, const char *at,
                              const char *end)
{
    const char *want = p->bytes.data + s->at;
    if (!s->wild) {
        return (size_t)(end - at) >= s->bytes && (s->bytes == 0 || memcmp(at, want, s->bytes) == 0)
                   ? at + s->bytes
                   : NULL;
    }
    for (uint32_t i = 0; i < s->bytes; i++) {
        if (at == end) {
            return NULL;
        }
        if (want[i] == WILD_BYTE) {
            at = wr_utf8_next(at, end);
        } else if (*at++ != want[i]) {
            return NULL;
        }
    }
    return at;
}

/* The end of the leftmost place in [at, end) where the segment matches, or NULL. */
static const char *match_leftmost(const struct pattern *p, const struct segment *s, const char *at,
                                  const char *end)
{
    if (!s->wild) {
        if (s->bytes == 0) {
            return at;
        }
        at = memmem(at, (size_t)(end - at), p->bytes.data + s->at, s->bytes);
        return at == NULL ? NULL : at + s->bytes;
    }
    for (;; at = wr_utf8_next(at, end)) {
        const char *found = match_here(p, s, at, end);
        if (found != NULL || at == end) {
            return found;
        }
    }
}

/* Does the segment match up to the very end, beginning at or after at? */
static bool match_end(const struct pattern *p, const struct segment *s, const char *at,
                      const char *end)
{
    if (!s->wild) {
        return (size_t)(end - at) >= s->bytes &&
               (s->bytes == 0 ||
                memcmp(end - s->bytes, p->bytes.data + s->at, s->bytes) == 0);
    }
    for (;; at = wr_utf8_next(at, end)) {
        if (match_here(p, s, at, end) == end) {
            return true;
        }
        if (at == end) {
            return false;
        }
    }
}

static bool matches(const struct pattern *p, struct wr_slice text)
{
    const char *end = text.data + text.bytes;
    const char *at = match_here(p, &p->segments[0], text.data, end);
    if (at == NULL || p->count == 1) {
        return at == end;
    }
    for (uint32_t i = 1; i + 1 < p->count; i++) {
        at = match_leftmost(p, &p->segments[i], at, end);
        if (at == NULL) {
            return false;
        }
    }
    return match_end(p, &p->segments[p->count - 1], at, end);
}

/* ---- the functions ---- */

static bool ignores_case(const struct wr_node *node)
{
    return node->expr->function == WR_FN_ILIKE || node->expr->function == WR_FN_ILIKE_ESCAPE;
}

static struct wr_slice fold_case(struct pattern *p, struct wr_slice text)
{
    p->folded.bytes = 0;
    char *into = wr_buf_reserve(&p->folded, text.bytes + 1);
    return (struct wr_slice){ into, wr_case_lower_text(text.data, text.bytes, into) };
}

/* Compiles unless it is the pattern of the row before. NULL, or what is wrong. */
static const char *use_pattern(struct pattern *p, struct wr_slice text, struct wr_slice escape,
                               bool fold)
{
    if (p->ready && wr_slice_equal(text, (struct wr_slice){ p->last.data, p->last.bytes }) &&
        wr_slice_equal(escape, p->last_escape)) {
        return NULL;
    }
    if (escape.bytes > 0 &&
        wr_utf8_next(escape.data, escape.data + escape.bytes) != escape.data + escape.bytes) {
        return "the escape must be one character";
    }
    p->ready = false;
    p->last.bytes = 0;
    wr_buf_append(&p->last, text.data, text.bytes);
    memcpy(p->escape_room, escape.data, escape.bytes);
    p->last_escape = (struct wr_slice){ p->escape_room, escape.bytes };
    /* The escape stays as it is: a letter as escape is folded with the pattern. */
    char folded_escape[4];
    if (fold) {
        escape.bytes = wr_case_lower_text(escape.data, escape.bytes, folded_escape);
        escape.data = folded_escape;
        text = fold_case(p, text);
    }
    const char *wrong = compile_pattern(p, text, escape);
    p->ready = wrong == NULL;
    return wrong;
}

wr_status wr_prepare_pattern(struct wr_node *node, struct wr_error *err)
{
    struct pattern *p = wr_calloc(1, sizeof *p);
    node->state = p;
    node->state_free = free_pattern;
    struct wr_slice text;
    struct wr_slice escape = WR_SLICE_LITERAL("\\");
    if (!wr_node_constant_text(node->args[1], &text) ||
        (node->arg_count > 2 && !wr_node_constant_text(node->args[2], &escape))) {
        return WR_OK;
    }
    const char *wrong = use_pattern(p, text, escape, ignores_case(node));
    if (wrong != NULL) {
        return wr_fail(err, WR_CLASS_USER, "LIKE '%.*s': %s", WR_SLICE_ARG(text), wrong);
    }
    return WR_OK;
}

static void match_rows(struct wr_call *call)
{
    struct pattern *p = call->node->state;
    uint8_t *out = wr_result_values(call);
    const bool fold = ignores_case(call->node);
    const bool has_escape = call->node->arg_count > 2;
    const bool fixed = wr_arg_constant(call, 1) && (!has_escape || wr_arg_constant(call, 2));
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const struct wr_slice text = wr_arg_text(call, 0, row);
        if (!fixed) {
            const char *wrong =
                use_pattern(p, wr_arg_text(call, 1, row),
                            has_escape ? wr_arg_text(call, 2, row) : WR_SLICE_LITERAL("\\"), fold);
            if (wrong != NULL) {
                wr_result_fail(call, row, "%s", wrong);
                continue;
            }
        }
        out[row] = matches(p, fold ? fold_case(p, text) : text);
    }
}

void wr_kernel_LIKE(struct wr_call *call)
{
    match_rows(call);
}

void wr_kernel_ILIKE(struct wr_call *call)
{
    match_rows(call);
}

void wr_kernel_LIKE_ESCAPE(struct wr_call *call)
{
    match_rows(call);
}

void wr_kernel_ILIKE_ESCAPE(struct wr_call *call)
{
    match_rows(call);
}
