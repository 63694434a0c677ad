/* fn_regexp.c: regular expressions by PCRE2, compiled by its JIT.
 *
 * The syntax is PCRE2's; the defaults are PostgreSQL's: . matches a newline too, ^ and $ match at
 * the text's ends only, \w and \d are ASCII. Flags: i (ignore case), c (mind it), g (all matches,
 * regexp_replace), n or m (newline ends lines), s (the default), x (white space and comments in the
 * pattern). Ill-formed UTF-8 matches nothing, it is never undefined. A match that takes more than
 * MATCH_LIMIT steps is an error of the row: a pattern cannot hang a worker.
 *
 * Constant patterns are compiled once, with the evaluator; others are kept in a small table by
 * their hash.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "base/hash.h"
#include "base/heap.h"
#include "exec/eval_node.h"
#include "exec/eval_utf8.h"
#include <pcre2.h>
#include <stdio.h>

/* About 10 ms of backtracking on today's processors; honest patterns over records need far fewer.
 * */
#define MATCH_LIMIT 1000000u
#define JIT_STACK_FIRST_BYTES (32u << 10)
#define JIT_STACK_MAX_BYTES (1u << 20)
#define CACHE_SLOTS 16u

/* A longer pattern is data by mistake; compiling it could take the worker's time. */
#define PATTERN_BYTES_MAX (32u << 10)

struct program {
    pcre2_code *code;
    pcre2_match_data *match;
    struct wr_buf pattern; /* flags, a zero byte, pattern: what the program was made of */
    bool all;              /* flag g */
};

struct regexp {
    struct program slots[CACHE_SLOTS];
    struct program *fixed; /* the constant pattern's, or NULL */
    pcre2_match_context *context;
    pcre2_jit_stack *jit_stack;
    struct wr_buf key;
    struct wr_buf result;
};

static void free_program(struct program *program)
{
    pcre2_code_free(program->code);
    pcre2_match_data_free(program->match);
    wr_buf_deinit(&program->pattern);
    *program = (struct program){ 0 };
}

static void free_regexp(void *state)
{
    struct regexp *r = state;
    for (uint32_t i = 0; i < CACHE_SLOTS; i++) {
        free_program(&r->slots[i]);
    }
    pcre2_match_context_free(r->context);
    pcre2_jit_stack_free(r->jit_stack);
    wr_buf_deinit(&r->key);
    wr_buf_deinit(&r->result);
    free(r);
}

/* ---- compiling ---- */

/* False: an unknown flag. */
static bool options_of(struct wr_slice flags, bool ignore_case, uint32_t *options, bool *all)
{
    *options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY |
               (ignore_case ? PCRE2_CASELESS : 0);
    *all = false;
    for (size_t i = 0; i < flags.bytes; i++) {
        switch (flags.data[i]) {
        case 'i':
            *options |= PCRE2_CASELESS;
            break;
        case 'c':
            *options &= ~(uint32_t)PCRE2_CASELESS;
            break;
        case 'g':
            *all = true;
            break;
        case 'm':
        case 'n':
            *options &= ~(uint32_t)(PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY);
            *options |= PCRE2_MULTILINE;
            break;
        case 's':
            break;
        case 'x':
            *options |= PCRE2_EXTENDED;
            break;
        default:
            return false;
        }
    }
    return true;
}

static bool compile_program(struct program *program, struct wr_slice pattern,
                            struct wr_slice flags, bool ignore_case, char *why, size_t why_bytes)
{
    uint32_t options;
    if (pattern.bytes > PATTERN_BYTES_MAX) {
        snprintf(why, why_bytes, "a regular expression of %zu bytes (limit: %u)", pattern.bytes,
                 PATTERN_BYTES_MAX);
        return false;
    }
    if (!options_of(flags, ignore_case, &options, &program->all)) {
        snprintf(why, why_bytes, "unknown flag in '%.*s' (known: i c g n m s x)",
                 (int)(flags.bytes < 16 ? flags.bytes : 16), flags.data);
        return false;
    }
    int error = 0;
    PCRE2_SIZE at = 0;
    program->code =
        pcre2_compile((PCRE2_SPTR)pattern.data, pattern.bytes, options, &error, &at, NULL);
    if (program->code == NULL) {
        PCRE2_UCHAR text[96] = "";
        pcre2_get_error_message(error, text, sizeof text);
        snprintf(why, why_bytes, "bad regular expression at character %zu: %s", (size_t)at + 1,
                 text);
        return false;
    }
    /* Without JIT (a kernel that forbids executable memory) the interpreter serves. */
    (void)pcre2_jit_compile(program->code, PCRE2_JIT_COMPLETE);
    program->match = pcre2_match_data_create_from_pattern(program->code, NULL);
    if (program->match == NULL) {
        snprintf(why, why_bytes, "out of memory for a regular expression");
        return false;
    }
    return true;
}

/* The program of the pattern, from the table or new; NULL: why says. */
static struct program *get_program(struct regexp *r, struct wr_slice pattern, struct wr_slice flags,
                                   bool ignore_case, char *why, size_t why_bytes)
{
    r->key.bytes = 0;
    wr_buf_append(&r->key, flags.data, flags.bytes);
    wr_buf_byte(&r->key, 0);
    wr_buf_append(&r->key, pattern.data, pattern.bytes);
    struct program *program = &r->slots[wr_hash_bytes(r->key.data, r->key.bytes) % CACHE_SLOTS];
    if (program->code != NULL &&
        wr_slice_equal((struct wr_slice){ program->pattern.data, program->pattern.bytes },
                       (struct wr_slice){ r->key.data, r->key.bytes })) {
        return program;
    }
    free_program(program);
    if (!compile_program(program, pattern, flags, ignore_case, why, why_bytes)) {
        free_program(program);
        return NULL;
    }
    wr_buf_append(&program->pattern, r->key.data, r->key.bytes);
    return program;
}

/* Which argument holds the flags; 0: none. */
static uint32_t flags_argument(const struct wr_node *node)
{
    return node->expr->function == WR_FN_REGEXP_LIKE_FLAGS      ? 2
           : node->expr->function == WR_FN_REGEXP_REPLACE_FLAGS ? 3
                                                                : 0;
}

static bool ignores_case(const struct wr_node *node)
{
    return node->expr->function == WR_FN_REGEXP_IMATCH_OP;
}

wr_status wr_prepare_regexp(struct wr_node *node, struct wr_error *err)
{
    struct regexp *r = wr_calloc(1, sizeof *r);
    node->state = r;
    node->state_free = free_regexp;
    r->context = pcre2_match_context_create(NULL);
    r->jit_stack = pcre2_jit_stack_create(JIT_STACK_FIRST_BYTES, JIT_STACK_MAX_BYTES, NULL);
    wr_ensure(r->context != NULL, err, WR_CLASS_FATAL, "out of memory for a regular expression");
    pcre2_set_match_limit(r->context, MATCH_LIMIT);
    pcre2_set_depth_limit(r->context, MATCH_LIMIT);
    if (r->jit_stack != NULL) {
        pcre2_jit_stack_assign(r->context, NULL, r->jit_stack);
    }
    struct wr_slice pattern;
    struct wr_slice flags = { "", 0 };
    const uint32_t flags_arg = flags_argument(node);
    if (!wr_node_constant_text(node->args[1], &pattern) ||
        (flags_arg != 0 && !wr_node_constant_text(node->args[flags_arg], &flags))) {
        return WR_OK;
    }
    char why[192];
    r->fixed = get_program(r, pattern, flags, ignores_case(node), why, sizeof why);
    if (r->fixed == NULL) {
        return wr_fail(err, WR_CLASS_USER, "'%.*s': %s", WR_SLICE_ARG(pattern), why);
    }
    return WR_OK;
}

/* ---- matching ---- */

/* The program for row; NULL after a failure. */
static struct program *row_program(struct wr_call *call, uint32_t row)
{
    struct regexp *r = call->node->state;
    if (r->fixed != NULL) {
        return r->fixed;
    }
    const uint32_t flags_arg = flags_argument(call->node);
    const struct wr_slice flags =
        flags_arg == 0 ? (struct wr_slice){ "", 0 } : wr_arg_text(call, flags_arg, row);
    char why[128];
    struct program *program = get_program(r, wr_arg_text(call, 1, row), flags,
                                          ignores_case(call->node), why, sizeof why);
    if (program == NULL) {
        wr_result_fail(call, row, "%s", why);
    }
    return program;
}

enum found { FOUND, NOT_FOUND, FAILED };

static enum found match_from(struct wr_call *call, uint32_t row, struct program *program,
                             struct wr_slice text, size_t from)
{
    const struct regexp *r = call->node->state;
    const int count = pcre2_match(program->code, (PCRE2_SPTR)text.data, text.bytes, from, 0,
                                  program->match, r->context);
    if (count >= 0) {
        return FOUND;
    }
    if (count == PCRE2_ERROR_NOMATCH) {
        return NOT_FOUND;
    }
    if (count == PCRE2_ERROR_MATCHLIMIT || count == PCRE2_ERROR_DEPTHLIMIT ||
        count == PCRE2_ERROR_HEAPLIMIT || count == PCRE2_ERROR_JIT_STACKLIMIT) {
        wr_result_fail(call, row, "the regular expression takes too many steps on this text");
    } else {
        PCRE2_UCHAR message[96] = "";
        pcre2_get_error_message(count, message, sizeof message);
        wr_result_fail(call, row, "regular expression: %s", (const char *)message);
    }
    return FAILED;
}

static void match_rows(struct wr_call *call)
{
    uint8_t *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        struct program *program = row_program(call, row);
        if (program != NULL) {
            const enum found found =
                match_from(call, row, program, wr_arg_text(call, 0, row), 0);
            out[row] = found == FOUND;
        }
    }
}

void wr_kernel_REGEXP_MATCH_OP(struct wr_call *call)
{
    match_rows(call);
}

void wr_kernel_REGEXP_IMATCH_OP(struct wr_call *call)
{
    match_rows(call);
}

void wr_kernel_REGEXP_LIKE(struct wr_call *call)
{
    match_rows(call);
}

void wr_kernel_REGEXP_LIKE_FLAGS(struct wr_call *call)
{
    match_rows(call);
}

/* Group number of the last match; false when it took no part. */
static bool group_of(const struct program *program, struct wr_slice text, uint32_t number,
                     struct wr_slice *group)
{
    const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(program->match);
    if (number >= pcre2_get_ovector_count(program->match) ||
        offsets[2 * number] == PCRE2_UNSET || offsets[2 * number] > offsets[2 * number + 1]) {
        return false;
    }
    *group = (struct wr_slice){ text.data + offsets[2 * number],
                                offsets[2 * number + 1] - offsets[2 * number] };
    return true;
}

/* NULL where nothing matches or the group took no part. */
static void extract(struct wr_call *call, uint32_t row, int32_t group)
{
    struct program *program = row_program(call, row);
    if (program == NULL) {
        return;
    }
    if (group < 0 || (uint32_t)group >= pcre2_get_ovector_count(program->match)) {
        wr_result_fail(call, row, "the regular expression has no group %d", group);
        return;
    }
    const struct wr_slice text = wr_arg_text(call, 0, row);
    const enum found found = match_from(call, row, program, text, 0);
    struct wr_slice part;
    if (found == FOUND && group_of(program, text, (uint32_t)group, &part)) {
        wr_result_borrow(call, row, part.data, part.bytes);
    } else if (found != FAILED) {
        wr_result_null(call, row);
    }
}

void wr_kernel_REGEXP_SUBSTR(struct wr_call *call)
{
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        extract(call, row, 0);
    }
}

void wr_kernel_REGEXP_EXTRACT(struct wr_call *call)
{
    const int32_t *groups = wr_arg_values(call, 2);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        extract(call, row, groups[row]);
    }
}

/* ---- all matches ---- */

/* Where to look after the last match: an empty one moves on by a character. SIZE_MAX: nowhere. */
static size_t after_match(const struct program *program, struct wr_slice text)
{
    const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(program->match);
    /* \K can put a match's start behind its end; the end still moves. */
    const size_t end = offsets[1];
    if (offsets[0] < end) {
        return end;
    }
    if (end >= text.bytes) {
        return SIZE_MAX;
    }
    return (size_t)(wr_utf8_next(text.data + end, text.data + text.bytes) - text.data);
}

void wr_kernel_REGEXP_COUNT(struct wr_call *call)
{
    int32_t *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        struct program *program = row_program(call, row);
        const struct wr_slice text = wr_arg_text(call, 0, row);
        int32_t count = 0;
        size_t from = program == NULL ? SIZE_MAX : 0;
        while (from != SIZE_MAX && match_from(call, row, program, text, from) == FOUND) {
            count++;
            from = after_match(program, text);
        }
        out[row] = count;
    }
}

/* \1 to \9 are groups, \& the whole match, \\ a backslash. */
static void append_replacement(struct wr_buf *buf, const struct program *program,
                               struct wr_slice text, struct wr_slice with)
{
    for (size_t i = 0; i < with.bytes; i++) {
        const char c = with.data[i];
        if (c != '\\' || i + 1 == with.bytes) {
            wr_buf_byte(buf, (uint8_t)c);
            continue;
        }
        const char next = with.data[++i];
        struct wr_slice group;
        if (next == '&' || (next >= '1' && next <= '9')) {
            if (group_of(program, text, next == '&' ? 0 : (uint32_t)(next - '0'), &group)) {
                wr_buf_append(buf, group.data, group.bytes);
            }
        } else {
            if (next != '\\') {
                wr_buf_byte(buf, '\\');
            }
            wr_buf_byte(buf, (uint8_t)next);
        }
    }
}

static void replace(struct wr_call *call, uint32_t row, struct program *program)
{
    struct regexp *r = call->node->state;
    const struct wr_slice text = wr_arg_text(call, 0, row);
    const struct wr_slice with = wr_arg_text(call, 2, row);
    size_t from = 0;
    size_t copied = 0;
    enum found found = NOT_FOUND;
    r->result.bytes = 0;
    while (from != SIZE_MAX && (found = match_from(call, row, program, text, from)) == FOUND) {
        const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(program->match);
        const size_t start = offsets[0] < offsets[1] ? offsets[0] : offsets[1];
        if (start >= copied) {
            wr_buf_append(&r->result, text.data + copied, start - copied);
            append_replacement(&r->result, program, text, with);
            copied = offsets[1];
        }
        if (r->result.bytes > WR_RECORD_BYTES_MAX) {
            wr_result_fail(call, row, "the resulting text is too long");
            return;
        }
        from = program->all ? after_match(program, text) : SIZE_MAX;
    }
    if (found == FAILED) {
        return;
    }
    wr_buf_append(&r->result, text.data + copied, text.bytes - copied);
    wr_result_text(call, row, wr_buf_cstr(&r->result), r->result.bytes);
}

static void replace_rows(struct wr_call *call)
{
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        struct program *program = row_program(call, row);
        if (program != NULL) {
            replace(call, row, program);
        }
    }
}

void wr_kernel_REGEXP_REPLACE(struct wr_call *call)
{
    replace_rows(call);
}

void wr_kernel_REGEXP_REPLACE_FLAGS(struct wr_call *call)
{
    replace_rows(call);
}
