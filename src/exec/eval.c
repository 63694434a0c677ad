/* eval.c: compiles bound expressions to nodes and runs them over batches (eval.h).
 *
 * A sub-tree of constants is computed once, when it is compiled, and broadcast; one that fails
 * stays as it is and fails for the rows that reach it. Functions of the wall clock are never
 * folded.
 */
#include "exec/eval.h"
#include "base/arena.h"
#include "base/heap.h"
#include "exec/eval_node.h"
#include <stdio.h>

/* A message names at most this much of the SQL text. */
#define TEXT_SHOWN_MAX 80u
#define FAULTS_FIRST_CAPACITY 16u

struct wr_eval {
    struct wr_node *root;
    struct wr_arena memory;   /* nodes, columns, constants */
    struct wr_arena texts;    /* results' texts where the caller gives no arena */
    struct node_list {
        struct wr_node **items;
        uint32_t count;
        uint32_t capacity;
    } all; /* for destroy: state of nodes */
};

struct compiler {
    struct wr_eval *eval;
    const struct wr_schema *schema;
    struct wr_slice sql_text;
    struct wr_error *err;
};

#define WR_X(id, name, signature, flags) wr_kernel_##id,
static const wr_kernel_fn kernels[WR_FUNCTION_COUNT_] = { WR_FUNCTION_TABLE(WR_X) };
#undef WR_X

/* ---- faults ---- */

void wr_eval_faults_deinit(struct wr_eval_faults *faults)
{
    if (faults != NULL) {
        free(faults->items);
        *faults = (struct wr_eval_faults){ 0 };
    }
}

static struct wr_eval_fault *add_fault(struct wr_eval_faults *faults, uint32_t row)
{
    if (faults->count == faults->capacity) {
        faults->capacity = faults->capacity == 0 ? FAULTS_FIRST_CAPACITY : faults->capacity * 2;
        faults->items = wr_realloc(faults->items, faults->capacity * sizeof *faults->items);
    }
    struct wr_eval_fault *fault = &faults->items[faults->count++];
    fault->row = row;
    return fault;
}

/* Marks the row as failed; true when it is its first failure, whose message counts. */
static bool mark_fault(struct wr_run *run, uint32_t row)
{
    const uint64_t bit = (uint64_t)1 << (row % 64);
    const bool first = (run->faulted[row / 64] & bit) == 0;
    run->faulted[row / 64] |= bit;
    run->any_fault = true;
    return first;
}

/* Bytes of text up to max that end at a UTF-8 boundary. */
static size_t cut_utf8(const char *text, size_t bytes, size_t max)
{
    if (bytes <= max) {
        return bytes;
    }
    size_t end = max;
    while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80) {
        end--;
    }
    return end;
}

static void fill_message(struct wr_eval_fault *fault, const struct wr_node *node, const char *what)
{
    char message[2 * sizeof fault->message];
    int length;
    if (node->text.bytes == 0) {
        length = snprintf(message, sizeof message, "%s", what);
    } else {
        length = snprintf(message, sizeof message, "%s in \"%.*s\"", what,
                          WR_SLICE_ARG(node->text));
    }
    const size_t bytes = length < 0 ? 0 : (size_t)length;
    const size_t held = bytes < sizeof message ? bytes : sizeof message - 1;
    const size_t kept = cut_utf8(message, held, sizeof fault->message - 1);
    memcpy(fault->message, message, kept);
    fault->message[kept] = '\0';
}

void wr_node_fail(struct wr_node *node, struct wr_run *run, uint32_t row, const char *what)
{
    if (mark_fault(run, row)) {
        fill_message(add_fault(run->faults, row), node, what);
    }
}

void wr_result_fail(struct wr_call *call, uint32_t row, const char *fmt, ...)
{
    if (call->node->expr->kind == WR_EXPR_CAST && call->node->expr->try_cast) {
        wr_result_null(call, row);
        return;
    }
    char what[160];
    va_list args;
    va_start(args, fmt);
    const int length = vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    if (length >= (int)sizeof what) {
        what[cut_utf8(what, sizeof what - 1, sizeof what - 2)] = '\0';
    }
    wr_node_fail(call->node, call->run, row, what);
    wr_result_null(call, row);
}

/* ---- results ---- */

uint8_t *wr_node_nullable(struct wr_node *node, uint32_t words)
{
    if (node->column.validity != node->validity) {
        if (node->column.validity == NULL) {
            memset(node->validity, 0xFF, (size_t)words * 8);
        } else {
            memcpy(node->validity, node->column.validity, (size_t)words * 8);
        }
        node->column.validity = node->validity;
    }
    return node->validity;
}

void wr_result_null(struct wr_call *call, uint32_t row)
{
    struct wr_node *node = call->node;
    wr_bit_clear(wr_node_nullable(node, call->words), row);
    memset((char *)node->values + (size_t)row * node->width, 0, node->width);
}

char *wr_result_room(struct wr_call *call, size_t bytes)
{
    return wr_arena_alloc(call->run->arena, bytes);
}

void wr_result_text(struct wr_call *call, uint32_t row, const char *data, size_t bytes)
{
    if (bytes > WR_VIEW_INLINE_BYTES) {
        char *copy = wr_result_room(call, bytes);
        memcpy(copy, data, bytes);
        data = copy;
    }
    wr_result_borrow(call, row, data, bytes);
}

static void free_buf(void *state)
{
    wr_buf_deinit(state);
    free(state);
}

struct wr_buf *wr_node_buf(struct wr_node *node)
{
    if (node->state == NULL) {
        node->state = wr_calloc(1, sizeof(struct wr_buf));
        node->state_free = free_buf;
    }
    struct wr_buf *buf = node->state;
    buf->bytes = 0;
    return buf;
}

/* ---- running ---- */

static void run_column(struct wr_node *node, struct wr_run *run, const uint64_t *live)
{
    node->column = run->batch->columns[node->expr->column];
}

static void run_constant(struct wr_node *node, struct wr_run *run, const uint64_t *live)
{
}

/* Validity of a strict call: the arguments' bitmaps combined; live_valid: live and not NULL. */
static void combine_validity(struct wr_node *node, const struct wr_run *run, const uint64_t *live,
                             uint64_t *live_valid)
{
    bool any = false;
    for (uint32_t w = 0; w < run->words; w++) {
        live_valid[w] = live[w] & ~run->faulted[w];
    }
    for (uint32_t i = 0; i < node->arg_count; i++) {
        const uint8_t *validity = node->args[i]->column.validity;
        if (validity == NULL) {
            continue;
        }
        for (uint32_t w = 0; w < run->words; w++) {
            const uint64_t word = wr_word_get(validity, w);
            wr_word_put(node->validity, w, any ? wr_word_get(node->validity, w) & word : word);
            live_valid[w] &= word;
        }
        any = true;
    }
    node->column.validity = any ? node->validity : NULL;
}

static void run_call(struct wr_node *node, struct wr_run *run, const uint64_t *live)
{
    for (uint32_t i = 0; i < node->arg_count; i++) {
        wr_node_run(node->args[i], run, live);
    }
    uint64_t computed[WR_LIVE_WORDS];
    struct wr_call call = { node, run, run->rows, run->words, computed };
    node->column.values = node->values;
    if (node->sees_nulls) {
        node->column.validity = NULL;
        for (uint32_t w = 0; w < run->words; w++) {
            computed[w] = live[w] & ~run->faulted[w];
        }
    } else {
        combine_validity(node, run, live, computed);
    }
    if (wr_type_is_view(node->column.type)) {
        memset(node->values, 0, (size_t)run->rows * sizeof(struct wr_view));
    }
    if (!wr_words_empty(computed, run->words)) {
        node->kernel(&call);
    }
}

void wr_node_run(struct wr_node *node, struct wr_run *run, const uint64_t *live)
{
    node->run(node, run, live);
}

/* Rows that failed anywhere are NULL in the result. */
static void null_failed_rows(struct wr_node *root, const struct wr_run *run)
{
    if (!run->any_fault || root->validity == NULL) {
        return;
    }
    uint8_t *validity = wr_node_nullable(root, run->words);
    for (uint32_t w = 0; w < run->words; w++) {
        wr_word_put(validity, w, wr_word_get(validity, w) & ~run->faulted[w]);
    }
}

/* NULL rows hold zero, so that who groups or hashes need not look at them. */
static void zero_null_rows(struct wr_node *root, const struct wr_run *run)
{
    if (root->column.validity == NULL || root->column.values != root->values || root->constant) {
        return;
    }
    char *values = root->values;
    for (uint32_t w = 0; w < run->words; w++) {
        const uint32_t left = run->rows - w * 64;
        uint64_t null = ~wr_word_get(root->column.validity, w);
        null &= left >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << left) - 1;
        for (; null != 0; null &= null - 1) {
            const size_t row = w * 64 + (uint32_t)__builtin_ctzll(null);
            memset(values + row * root->width, 0, root->width);
        }
    }
}

/* Live words of count selected rows; sel == NULL: all rows. */
static void live_of_selection(const uint32_t *sel, uint32_t count, uint32_t rows, uint64_t *live)
{
    const uint32_t words = (rows + 63) / 64;
    if (sel != NULL) {
        memset(live, 0, (size_t)words * 8);
        for (uint32_t i = 0; i < count; i++) {
            live[sel[i] / 64] |= (uint64_t)1 << (sel[i] % 64);
        }
        return;
    }
    memset(live, 0xFF, (size_t)words * 8);
    if (rows % 64 != 0) {
        live[words - 1] = ((uint64_t)1 << (rows % 64)) - 1;
    }
}

static void run_root(struct wr_eval *eval, struct wr_run *run, const uint64_t *live)
{
    wr_assert(run->rows <= WR_BATCH_ROWS_MAX);
    if (run->arena == NULL) {
        wr_arena_reset(&eval->texts);
        run->arena = &eval->texts;
    }
    wr_node_run(eval->root, run, live);
    null_failed_rows(eval->root, run);
    zero_null_rows(eval->root, run);
}

void wr_eval_run(struct wr_eval *eval, const struct wr_batch *batch, int64_t wall_us,
                 struct wr_arena *arena, struct wr_eval_faults *faults, struct wr_column *result)
{
    struct wr_run run = { .batch = batch, .rows = batch->rows, .words = (batch->rows + 63) / 64,
                          .wall_us = wall_us, .arena = arena, .faults = faults };
    uint64_t live[WR_LIVE_WORDS];
    if (eval->root->run != run_column) {
        live_of_selection(batch->sel, batch->sel_count, batch->rows, live);
    }
    run_root(eval, &run, live);
    *result = eval->root->column;
}

uint32_t wr_eval_bare_column(const struct wr_eval *eval)
{
    return eval->root->run == run_column ? eval->root->expr->column : UINT32_MAX;
}

/* Keeps the rows whose bit in keep is set. */
static uint32_t narrow(const uint32_t *sel, uint32_t count, const uint64_t *keep, uint32_t words,
                       uint32_t *out)
{
    uint32_t kept = 0;
    if (sel == NULL) {
        WR_FOR_EACH_LIVE(keep, words, row)
        {
            out[kept++] = row;
        }
        return kept;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t row = sel[i];
        out[kept] = row;
        kept += (uint32_t)(keep[row / 64] >> (row % 64)) & 1u;
    }
    return kept;
}

uint32_t wr_eval_filter(struct wr_eval *eval, const struct wr_batch *batch, int64_t wall_us,
                        struct wr_arena *arena, struct wr_eval_faults *faults,
                        const uint32_t *sel_in, uint32_t count, uint32_t *sel_out)
{
    if (eval->root->expr->type.id == WR_TYPE_NULL) {
        return 0; /* WHERE NULL */
    }
    wr_assert(eval->root->expr->type.id == WR_TYPE_BOOL);
    struct wr_run run = { .batch = batch, .rows = batch->rows, .words = (batch->rows + 63) / 64,
                          .wall_us = wall_us, .arena = arena, .faults = faults };
    uint64_t live[WR_LIVE_WORDS];
    live_of_selection(sel_in, count, batch->rows, live);
    run_root(eval, &run, live);

    uint64_t keep[WR_LIVE_WORDS];
    wr_bools_pack(eval->root->column.values, run.rows, keep);
    for (uint32_t w = 0; w < run.words; w++) {
        keep[w] &= live[w] & wr_valid_word(&eval->root->column, w) & ~run.faulted[w];
    }
    return narrow(sel_in, count, keep, run.words, sel_out);
}

/* ---- compiling ---- */

static void *storage(struct wr_eval *eval, size_t bytes)
{
    /* A cache line more than needed, so that the values begin on one: vector loads do not straddle.
     * */
    const uintptr_t at = (uintptr_t)wr_arena_zalloc(&eval->memory, bytes + WR_CACHE_LINE);
    return (void *)((at + WR_CACHE_LINE - 1) & ~(uintptr_t)(WR_CACHE_LINE - 1));
}

static void give_storage(struct wr_eval *eval, struct wr_node *node)
{
    node->values = storage(eval, (size_t)node->width * WR_BATCH_ROWS_MAX);
    node->validity = storage(eval, WR_BITMAP_BYTES(WR_BATCH_ROWS_MAX));
    node->column.values = node->values;
}

/* The expression's own text on one line: white space between its words becomes one space. */
static struct wr_slice shown_text(struct wr_eval *eval, const char *text, uint32_t bytes)
{
    const size_t read = cut_utf8(text, bytes, 4 * TEXT_SHOWN_MAX);
    char *shown = wr_arena_alloc(&eval->memory, read + 1);
    size_t length = 0;
    for (size_t i = 0; i < read; i++) {
        const bool space = (unsigned char)text[i] <= ' ';
        if (!space || (length > 0 && shown[length - 1] != ' ')) {
            shown[length++] = space ? ' ' : text[i];
        }
    }
    return (struct wr_slice){ shown, cut_utf8(shown, length, TEXT_SHOWN_MAX) };
}

static struct wr_node *new_node(struct compiler *c, const struct wr_expr *expr)
{
    struct wr_eval *eval = c->eval;
    struct wr_node *node = WR_ARENA_NEW(&eval->memory, struct wr_node);
    node->expr = expr;
    node->width = expr->type.id == WR_TYPE_NULL ? 1 : wr_type_width(expr->type);
    node->column.type = expr->type;
    node->arg_count = expr->arg_count;
    node->args = WR_ARENA_ARRAY(&eval->memory, struct wr_node *, expr->arg_count);
    if (expr->at_bytes > 0 && (size_t)expr->at + expr->at_bytes <= c->sql_text.bytes) {
        node->text = shown_text(eval, c->sql_text.data + expr->at, expr->at_bytes);
    }
    struct node_list *all = &eval->all;
    if (all->count == all->capacity) {
        all->capacity = all->capacity == 0 ? 16 : all->capacity * 2;
        all->items = wr_realloc(all->items, all->capacity * sizeof(struct wr_node *));
    }
    all->items[all->count++] = node;
    return node;
}

/* Repeats row 0 of the node's own storage in every row. */
static void broadcast(struct wr_node *node)
{
    char *values = node->values;
    size_t filled = node->width;
    const size_t total = (size_t)node->width * WR_BATCH_ROWS_MAX;
    while (filled < total) {
        const size_t more = filled <= total - filled ? filled : total - filled;
        memcpy(values + filled, values, more);
        filled += more;
    }
}

static void make_constant(struct wr_node *node, bool null)
{
    node->run = run_constant;
    node->constant = true;
    node->null_constant = null;
    node->column.values = node->values;
    node->column.validity = NULL;
    if (null) {
        memset(node->values, 0, (size_t)node->width * WR_BATCH_ROWS_MAX);
        memset(node->validity, 0, WR_BITMAP_BYTES(WR_BATCH_ROWS_MAX));
        node->column.validity = node->validity;
    } else {
        broadcast(node);
    }
}

static bool foldable(const struct wr_node *node)
{
    const struct wr_expr *expr = node->expr;
    if (node->constant || expr->kind == WR_EXPR_COLUMN ||
        (expr->kind == WR_EXPR_CALL && (wr_functions[expr->function].flags & WR_FN_VOLATILE))) {
        return false;
    }
    for (uint32_t i = 0; i < node->arg_count; i++) {
        if (!node->args[i]->constant) {
            return false;
        }
    }
    return true;
}

/* Computes a node of constants once. Its texts go to the evaluator's memory. */
static void fold(struct wr_eval *eval, struct wr_node *node)
{
    struct wr_eval_faults faults = { 0 };
    struct wr_batch one = { .rows = 1 };
    struct wr_run run = { .batch = &one, .rows = 1, .words = 1, .arena = &eval->memory,
                          .faults = &faults };
    const uint64_t live[WR_LIVE_WORDS] = { 1 };
    wr_node_run(node, &run, live);
    if (!run.any_fault) {
        const bool null = wr_column_is_null(&node->column, 0);
        if (node->column.values != node->values) {
            memcpy(node->values, node->column.values, node->width);
        }
        make_constant(node, null);
    }
    wr_eval_faults_deinit(&faults);
}

static wr_status compile(struct compiler *c, const struct wr_expr *expr, uint32_t depth,
                         struct wr_node **out);

static wr_status compile_args(struct compiler *c, struct wr_node *node, uint32_t depth)
{
    for (uint32_t i = 0; i < node->arg_count; i++) {
        WR_TRY(compile(c, node->expr->args[i], depth + 1, &node->args[i]));
    }
    return WR_OK;
}

static wr_status compile_column(struct compiler *c, struct wr_node *node)
{
    const struct wr_expr *expr = node->expr;
    wr_ensure(c->schema != NULL && expr->column < c->schema->count, c->err, WR_CLASS_FATAL,
              "internal: an expression names column %u, the input has %u", expr->column,
              c->schema == NULL ? 0 : c->schema->count);
    node->run = run_column;
    return WR_OK;
}

static wr_status compile_constant(struct compiler *c, struct wr_node *node)
{
    const struct wr_expr *expr = node->expr;
    give_storage(c->eval, node);
    const bool null = expr->is_null || expr->type.id == WR_TYPE_NULL;
    if (!null) {
        memcpy(node->values, &expr->value, node->width);
    }
    make_constant(node, null);
    return WR_OK;
}

static wr_status compile_call(struct compiler *c, struct wr_node *node)
{
    const struct wr_expr *expr = node->expr;
    wr_ensure((uint32_t)expr->function < WR_FUNCTION_COUNT_, c->err, WR_CLASS_FATAL,
              "internal: an expression calls function %u", (unsigned)expr->function);
    node->run = run_call;
    node->kernel = kernels[expr->function];
    node->sees_nulls = (wr_functions[expr->function].flags & WR_FN_NULLS) != 0;
    give_storage(c->eval, node);
    const wr_prepare_fn prepare = wr_function_prepare(expr->function);
    return prepare == NULL ? WR_OK : prepare(node, c->err);
}

/* The bytes of both types mean the same: no work at all. */
static bool same_bytes(struct wr_type from, struct wr_type to)
{
    return wr_type_equal(from, to) || (wr_type_is_timestamp(from) && wr_type_is_timestamp(to));
}

static void run_relabel(struct wr_node *node, struct wr_run *run, const uint64_t *live)
{
    wr_node_run(node->args[0], run, live);
    node->column.values = node->args[0]->column.values;
    node->column.validity = node->args[0]->column.validity;
}

static wr_status compile_cast(struct compiler *c, struct wr_node *node)
{
    wr_assert(node->arg_count == 1);
    const struct wr_type from = node->args[0]->expr->type;
    give_storage(c->eval, node);
    if (same_bytes(from, node->expr->type)) {
        node->run = run_relabel;
        return WR_OK;
    }
    node->run = run_call;
    node->kernel = wr_cast_kernel(from, node->expr->type);
    if (node->kernel == NULL) {
        char from_name[32];
        char to_name[32];
        return wr_fail(c->err, WR_CLASS_USER, "cannot cast %s to %s",
                       wr_type_name(from, from_name, sizeof from_name),
                       wr_type_name(node->expr->type, to_name, sizeof to_name));
    }
    return WR_OK;
}

static wr_status compile_logic(struct compiler *c, struct wr_node *node)
{
    node->run = wr_logic_run_fn(node->expr->kind);
    wr_ensure(node->run != NULL, c->err, WR_CLASS_FATAL, "internal: an expression of kind %u",
              (unsigned)node->expr->kind);
    give_storage(c->eval, node);
    return wr_logic_prepare(node, c->err);
}

static wr_status compile(struct compiler *c, const struct wr_expr *expr, uint32_t depth,
                         struct wr_node **out)
{
    /* Twice the parser's limit: binding adds casts between the levels. */
    wr_ensure(depth <= 2 * WR_SQL_DEPTH_MAX, c->err, WR_CLASS_USER,
              "the expression is nested more than %u levels deep", 2 * WR_SQL_DEPTH_MAX);
    struct wr_node *node = new_node(c, expr);
    *out = node;
    WR_TRY(compile_args(c, node, depth));
    switch (expr->kind) {
    case WR_EXPR_COLUMN:
        WR_TRY(compile_column(c, node));
        break;
    case WR_EXPR_CONST:
        WR_TRY(compile_constant(c, node));
        break;
    case WR_EXPR_CALL:
        WR_TRY(compile_call(c, node));
        break;
    case WR_EXPR_CAST:
        WR_TRY(compile_cast(c, node));
        break;
    default:
        WR_TRY(compile_logic(c, node));
        break;
    }
    if (foldable(node)) {
        fold(c->eval, node);
    }
    return WR_OK;
}

wr_status wr_eval_create(struct wr_eval **eval, const struct wr_expr *expr,
                         const struct wr_schema *schema, struct wr_slice sql_text,
                         struct wr_error *err)
{
    struct wr_eval *made = wr_calloc(1, sizeof *made);
    wr_arena_init(&made->memory, 64u << 10);
    struct compiler c = { made, schema, sql_text, err };
    const wr_status status = compile(&c, expr, 0, &made->root);
    if (status != WR_OK) {
        wr_eval_destroy(made);
        return status;
    }
    *eval = made;
    return WR_OK;
}

void wr_eval_destroy(struct wr_eval *eval)
{
    if (eval == NULL) {
        return;
    }
    for (uint32_t i = 0; i < eval->all.count; i++) {
        struct wr_node *node = eval->all.items[i];
        if (node->state_free != NULL) {
            node->state_free(node->state);
        }
    }
    free(eval->all.items);
    wr_arena_deinit(&eval->memory);
    wr_arena_deinit(&eval->texts);
    free(eval);
}

bool wr_node_constant_text(const struct wr_node *node, struct wr_slice *text)
{
    if (!node->constant || node->null_constant) {
        return false;
    }
    *text = wr_view_slice(node->column.values);
    return true;
}

wr_prepare_fn wr_function_prepare(enum wr_function function)
{
    switch (function) {
    case WR_FN_LIKE:
    case WR_FN_ILIKE:
    case WR_FN_LIKE_ESCAPE:
    case WR_FN_ILIKE_ESCAPE:
        return wr_prepare_pattern;
    case WR_FN_REGEXP_MATCH_OP:
    case WR_FN_REGEXP_IMATCH_OP:
    case WR_FN_REGEXP_LIKE:
    case WR_FN_REGEXP_LIKE_FLAGS:
    case WR_FN_REGEXP_REPLACE:
    case WR_FN_REGEXP_REPLACE_FLAGS:
    case WR_FN_REGEXP_SUBSTR:
    case WR_FN_REGEXP_COUNT:
    case WR_FN_REGEXP_EXTRACT:
        return wr_prepare_regexp;
    case WR_FN_DATE_TRUNC:
    case WR_FN_DATE_TRUNC_TZ:
    case WR_FN_EXTRACT:
    case WR_FN_EXTRACT_TZ:
    case WR_FN_EXTRACT_DATE:
    case WR_FN_EXTRACT_INTERVAL:
        return wr_prepare_time;
    default:
        return NULL;
    }
}
