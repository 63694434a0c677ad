/* bind_expr.c: AST expressions to bound ones: every node gets its type, every cast is put in. */
#include "batch/text.h"
#include "sql/bind.h"

static const struct wr_type bool_type = {.id = WR_TYPE_BOOL};

static struct wr_expr *new_expr(struct wr_bind *bind, enum wr_expr_kind kind, struct wr_type type,
                                const struct wr_ast_expr *ast, uint32_t args)
{
    return wr_expr_new(bind->binder->arena, kind, type, ast->at, ast->end, args);
}

static bool bind_args(struct wr_bind *bind, const struct wr_ast_expr *ast, struct wr_expr **args)
{
    for (uint32_t i = 0; i < ast->arg_count; i++) {
        args[i] = wr_bind_expr(bind, ast->args[i]);
        if (args[i] == NULL) {
            return false;
        }
    }
    return true;
}

static struct wr_expr **bind_all(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    struct wr_expr **args =
        WR_ARENA_ARRAY(bind->binder->arena, struct wr_expr *, ast->arg_count + 1);
    return bind_args(bind, ast, args) ? args : NULL;
}

static struct wr_expr *bind_number(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    const struct wr_slice text = ast->text;
    const bool exponent =
        memchr(text.data, 'e', text.bytes) != NULL || memchr(text.data, 'E', text.bytes) != NULL;
    const char *point = memchr(text.data, '.', text.bytes);
    struct wr_expr *expr = new_expr(bind, WR_EXPR_CONST, wr_type_of(WR_TYPE_INT32), ast, 0);
    int64_t integer;
    if (!exponent && point == NULL && wr_text_parse_int64(text, &integer)) {
        if (integer <= INT32_MAX) {
            expr->value.i32 = (int32_t)integer;
        } else {
            expr->type = wr_type_of(WR_TYPE_INT64);
            expr->value.i64 = integer;
        }
        return expr;
    }
    const size_t digits = text.bytes - (point != NULL);
    if (!exponent && digits <= 38) {
        const size_t scale = point == NULL ? 0 : (size_t)(text.data + text.bytes - point - 1);
        expr->type = (struct wr_type){
            .id = WR_TYPE_DECIMAL, .precision = (uint8_t)digits, .scale = (uint8_t)scale};
        if (wr_text_parse_decimal(text, (uint32_t)digits, (uint32_t)scale, &expr->value.decimal)) {
            return expr;
        }
    }
    expr->type = wr_type_of(WR_TYPE_FLOAT64);
    if (!wr_text_parse_double(text, &expr->value.f64) || expr->value.f64 - expr->value.f64 != 0) {
        wr_bind_fail(bind->binder, ast->at, "this number is too large");
        wr_bind_hint(bind->binder, "numbers go up to about 1.8e308");
        return NULL;
    }
    return expr;
}

static struct wr_expr *bind_interval(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    struct wr_expr *expr = new_expr(bind, WR_EXPR_CONST, wr_type_of(WR_TYPE_INTERVAL), ast, 0);
    struct wr_slice text = ast->text;
    double amount;
    if (ast->unit.bytes > 0) {
        if (!wr_text_parse_double(text, &amount)) {
            wr_bind_fail(bind->binder, ast->at, "the text before %.*s must be a number",
                         WR_SLICE_ARG(ast->unit));
            wr_bind_hint(bind->binder, "write INTERVAL '10' %.*s or INTERVAL '10 seconds'",
                         WR_SLICE_ARG(ast->unit));
            return NULL;
        }
        text = wr_slice_of(wr_arena_printf(bind->binder->arena, "%.*s %.*s", WR_SLICE_ARG(text),
                                           WR_SLICE_ARG(ast->unit)));
    }
    if (!wr_text_parse_interval(text, &expr->value.interval)) {
        wr_bind_fail(bind->binder, ast->at, "'%.*s' is not an interval",
                     (int)(text.bytes > 60 ? 60 : text.bytes), text.data);
        wr_bind_hint(bind->binder, "write INTERVAL '10 seconds' or INTERVAL '10' SECOND");
        return NULL;
    }
    return expr;
}

static struct wr_expr *bind_constant(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    struct wr_expr *expr = new_expr(bind, WR_EXPR_CONST, bool_type, ast, 0);
    if (ast->kind == WR_AST_NULL) {
        expr->type = wr_type_of(WR_TYPE_NULL);
        expr->is_null = true;
        expr->nullable = true;
    } else {
        expr->value.b = ast->kind == WR_AST_TRUE;
    }
    return expr;
}

/* `small = 5`: the constant takes the column's narrower type when it fits, which changes nothing
 * but speed. */
static void adapt_constant(struct wr_binder *binder, struct wr_expr **constant,
                           const struct wr_expr *other)
{
    const struct wr_expr *c = *constant;
    if (c->kind != WR_EXPR_CONST || c->is_null || other->kind == WR_EXPR_CONST ||
        !wr_type_is_integer(c->type) || !wr_type_is_integer(other->type)) {
        return;
    }
    const int64_t value = c->type.id == WR_TYPE_INT32 ? c->value.i32 : c->value.i64;
    static const int64_t low[] = {
        [WR_TYPE_INT16] = INT16_MIN, [WR_TYPE_INT32] = INT32_MIN, [WR_TYPE_INT64] = INT64_MIN,
        [WR_TYPE_UINT16] = 0,        [WR_TYPE_UINT32] = 0,        [WR_TYPE_UINT64] = 0};
    static const int64_t high[] = {
        [WR_TYPE_INT16] = INT16_MAX,   [WR_TYPE_INT32] = INT32_MAX,   [WR_TYPE_INT64] = INT64_MAX,
        [WR_TYPE_UINT16] = UINT16_MAX, [WR_TYPE_UINT32] = UINT32_MAX, [WR_TYPE_UINT64] = INT64_MAX};
    if ((c->type.id == WR_TYPE_INT32 || c->type.id == WR_TYPE_INT64) &&
        value >= low[other->type.id] && value <= high[other->type.id]) {
        struct wr_expr *cast = wr_bind_cast(binder, *constant, other->type, true, false);
        *constant = cast != NULL ? cast : *constant;
    }
}

static bool is_comparison(const char *op)
{
    return op[0] == '=' || op[0] == '<' || op[0] == '>'
               ? op[1] == '\0' || op[1] == '=' || op[1] == '>'
               : false;
}

static struct wr_expr *bind_operator(struct wr_bind *bind, const char *op, struct wr_expr **args,
                                     uint32_t count, const struct wr_ast_expr *ast)
{
    struct wr_binder *binder = bind->binder;
    const bool compares =
        count == 2 && is_comparison(op) && strcmp(op, "<<") != 0 && strcmp(op, ">>") != 0;
    if (compares) {
        if (wr_type_is_nested(args[0]->type) || wr_type_is_nested(args[1]->type)) {
            return wr_bind_nested_equal(binder, op, args, ast->at, ast->end);
        }
        adapt_constant(binder, &args[0], args[1]);
        adapt_constant(binder, &args[1], args[0]);
        const uint8_t a = args[0]->type.id;
        const uint8_t b = args[1]->type.id;
        if (a == WR_TYPE_JSON && (b == WR_TYPE_JSON || b == WR_TYPE_NULL)) {
            args[0] = wr_bind_cast(binder, args[0], wr_type_of(WR_TYPE_TEXT), true, false);
            args[1] = wr_bind_cast(binder, args[1], wr_type_of(WR_TYPE_TEXT), true, false);
        }
    }
    if (strcmp(op, "||") == 0) {
        for (uint32_t i = 0; i < 2; i++) {
            const bool other_text = args[1 - i]->type.id == WR_TYPE_TEXT;
            if (other_text && args[i]->type.id != WR_TYPE_TEXT) {
                args[i] = wr_bind_cast(binder, args[i], wr_type_of(WR_TYPE_TEXT), true, false);
                if (args[i] == NULL) {
                    return NULL;
                }
            }
        }
    }
    return wr_bind_resolve(binder, op, true, args, count, ast->at, ast->end);
}

static struct wr_expr *negate_constant(struct wr_bind *bind, struct wr_expr *arg,
                                       const struct wr_ast_expr *ast)
{
    if (arg->kind != WR_EXPR_CONST || arg->is_null) {
        return NULL;
    }
    struct wr_expr *expr = WR_ARENA_NEW(bind->binder->arena, struct wr_expr);
    *expr = *arg;
    expr->at = ast->at;
    expr->at_bytes = ast->end - ast->at;
    switch (arg->type.id) {
    case WR_TYPE_INT32:
        expr->value.i32 = -arg->value.i32; /* literals are never negative, so nothing overflows */
        return arg->value.i32 >= 0 ? expr : NULL;
    case WR_TYPE_INT64:
        expr->value.i64 = -arg->value.i64;
        return arg->value.i64 >= 0 ? expr : NULL;
    case WR_TYPE_FLOAT64:
        expr->value.f64 = -arg->value.f64;
        return expr;
    case WR_TYPE_DECIMAL:
        expr->value.decimal = -arg->value.decimal;
        return expr;
    default:
        return NULL;
    }
}

static struct wr_expr *bind_unary(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    struct wr_expr *args[1];
    if (!bind_args(bind, ast, args)) {
        return NULL;
    }
    if (strcmp(ast->op, "u+") == 0) {
        return args[0];
    }
    struct wr_expr *folded = ast->op[1] == '-' && ast->args[0]->kind == WR_AST_NUMBER
                                 ? negate_constant(bind, args[0], ast)
                                 : NULL;
    return folded != NULL ? folded : bind_operator(bind, ast->op, args, 1, ast);
}

static struct wr_expr *bind_binary(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    struct wr_expr *args[2];
    if (!bind_args(bind, ast, args)) {
        return NULL;
    }
    /* There is one kernel for both orders of a number and an INTERVAL. */
    if (strcmp(ast->op, "*") == 0 && args[1]->type.id == WR_TYPE_INTERVAL &&
        wr_type_is_numeric(args[0]->type)) {
        struct wr_expr *number = args[0];
        args[0] = args[1];
        args[1] = number;
    }
    return bind_operator(bind, ast->op, args, 2, ast);
}

static struct wr_expr *must_be_boolean(struct wr_bind *bind, struct wr_expr *expr, const char *what)
{
    struct wr_binder *binder = bind->binder;
    if (expr->type.id == WR_TYPE_BOOL) {
        return expr;
    }
    if (wr_bind_cost(expr, bool_type) == WR_COST_NONE) {
        wr_bind_fail(binder, expr->at, "%s takes a BOOLEAN, not %s", what,
                     wr_bind_type_name(binder, expr->type));
        wr_bind_hint(binder, "compare it with something: … = …, or … IS NOT NULL");
        return NULL;
    }
    return wr_bind_cast(binder, expr, bool_type, false, false);
}

struct wr_expr *wr_bind_boolean(struct wr_bind *bind, const struct wr_ast_expr *ast,
                                const char *what)
{
    struct wr_expr *expr = wr_bind_expr(bind, ast);
    return expr == NULL ? NULL : must_be_boolean(bind, expr, what);
}

static struct wr_expr *bind_logic(struct wr_bind *bind, const struct wr_ast_expr *ast,
                                  enum wr_expr_kind kind, const char *what)
{
    struct wr_expr *expr = new_expr(bind, kind, bool_type, ast, ast->arg_count);
    for (uint32_t i = 0; i < ast->arg_count; i++) {
        expr->args[i] = wr_bind_boolean(bind, ast->args[i], what);
        if (expr->args[i] == NULL) {
            return NULL;
        }
        expr->nullable = expr->nullable || expr->args[i]->nullable;
    }
    return expr;
}

static struct wr_expr *negate(struct wr_bind *bind, struct wr_expr *expr, bool negated,
                              const struct wr_ast_expr *ast)
{
    if (expr == NULL || !negated) {
        return expr;
    }
    struct wr_expr *not_expr = new_expr(bind, WR_EXPR_NOT, bool_type, ast, 1);
    not_expr->args[0] = expr;
    not_expr->nullable = expr->nullable;
    return not_expr;
}

static struct wr_expr *bind_is(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    struct wr_expr *arg = wr_bind_expr(bind, ast->args[0]);
    if (arg == NULL) {
        return NULL;
    }
    const bool null = strcmp(ast->op, "null") == 0;
    const bool unknown = strcmp(ast->op, "unknown") == 0;
    if (!null) {
        arg = must_be_boolean(bind, arg, "IS TRUE, FALSE or UNKNOWN");
        if (arg == NULL) {
            return NULL;
        }
    }
    enum wr_expr_kind kind = strcmp(ast->op, "true") == 0 ? WR_EXPR_IS_TRUE : WR_EXPR_IS_FALSE;
    if (null || unknown) {
        kind = ast->negated ? WR_EXPR_IS_NOT_NULL : WR_EXPR_IS_NULL;
    }
    struct wr_expr *expr = new_expr(bind, kind, bool_type, ast, 1);
    if (arg->type.id == WR_TYPE_NULL) {
        arg = wr_bind_cast(bind->binder, arg, wr_type_of(WR_TYPE_TEXT), true, false);
    }
    expr->args[0] = arg;
    return negate(bind, expr, ast->negated && !null && !unknown, ast);
}

static struct wr_expr *bind_distinct(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    struct wr_expr *expr = new_expr(bind, WR_EXPR_IS_DISTINCT, bool_type, ast, 2);
    if (!bind_args(bind, ast, expr->args) ||
        !wr_bind_common(bind->binder, expr->args, 2, "IS DISTINCT FROM") ||
        !wr_bind_comparable(bind->binder, expr->args[0], "IS DISTINCT FROM")) {
        return NULL;
    }
    return negate(bind, expr, ast->negated, ast);
}

/* What stands once in the text and twice in the tree must be small, or nesting would double it each
 * time. */
#define REPEATED_NODES_MAX 200u

static bool is_small(const struct wr_expr *expr, uint32_t *left)
{
    if (*left == 0) {
        return false;
    }
    (*left)--;
    for (uint32_t i = 0; i < expr->arg_count; i++) {
        if (!is_small(expr->args[i], left)) {
            return false;
        }
    }
    return true;
}

static bool check_repeated(struct wr_bind *bind, const struct wr_expr *expr, const char *what)
{
    uint32_t left = REPEATED_NODES_MAX;
    if (is_small(expr, &left)) {
        return true;
    }
    wr_bind_fail(bind->binder, expr->at, "the value that %s tests is too long", what);
    wr_bind_hint(bind->binder, "compute it in a sub-query first");
    return false;
}

/* a BETWEEN b AND c is a >= b AND a <= c. */
static struct wr_expr *bind_between(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    struct wr_expr **args = bind_all(bind, ast);
    if (args == NULL || !check_repeated(bind, args[0], "BETWEEN")) {
        return NULL;
    }
    struct wr_expr *low[2] = {args[0], args[1]};
    struct wr_expr *high[2] = {args[0], args[2]};
    struct wr_expr *expr = new_expr(bind, WR_EXPR_AND, bool_type, ast, 2);
    expr->args[0] = bind_operator(bind, ">=", low, 2, ast);
    expr->args[1] = expr->args[0] == NULL ? NULL : bind_operator(bind, "<=", high, 2, ast);
    if (expr->args[1] == NULL) {
        return NULL;
    }
    expr->nullable = expr->args[0]->nullable || expr->args[1]->nullable;
    return negate(bind, expr, ast->negated, ast);
}

static struct wr_expr *bind_in(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    struct wr_expr *expr = new_expr(bind, WR_EXPR_IN, bool_type, ast, ast->arg_count);
    if (!bind_args(bind, ast, expr->args)) {
        return NULL;
    }
    for (uint32_t i = 1; i < ast->arg_count; i++) {
        adapt_constant(bind->binder, &expr->args[i], expr->args[0]);
    }
    if (!wr_bind_common(bind->binder, expr->args, ast->arg_count, "IN") ||
        !wr_bind_comparable(bind->binder, expr->args[0], "IN")) {
        return NULL;
    }
    for (uint32_t i = 0; i < ast->arg_count; i++) {
        expr->nullable = expr->nullable || expr->args[i]->nullable;
    }
    return negate(bind, expr, ast->negated, ast);
}

static struct wr_expr *bind_like(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    struct wr_expr **args = bind_all(bind, ast);
    if (args == NULL) {
        return NULL;
    }
    struct wr_expr *expr =
        wr_bind_resolve(bind->binder, ast->op, true, args, ast->arg_count, ast->at, ast->end);
    return negate(bind, expr, ast->negated, ast);
}

/* One condition of CASE: as written, or operand = value. */
static struct wr_expr *bind_when(struct wr_bind *bind, struct wr_expr *operand,
                                 const struct wr_ast_expr *when)
{
    if (operand == NULL) {
        return wr_bind_boolean(bind, when, "WHEN");
    }
    struct wr_expr *sides[2] = {operand, wr_bind_expr(bind, when)};
    return sides[1] == NULL ? NULL : bind_operator(bind, "=", sides, 2, when);
}

static struct wr_expr *bind_case(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    const uint32_t first = ast->has_operand;
    const uint32_t count = ast->arg_count - first;
    struct wr_expr *expr = new_expr(bind, WR_EXPR_CASE, bool_type, ast, count);
    struct wr_expr **values = WR_ARENA_ARRAY(bind->binder->arena, struct wr_expr *, count / 2 + 1);
    uint32_t value_count = 0;
    struct wr_expr *operand = ast->has_operand ? wr_bind_expr(bind, ast->args[0]) : NULL;
    if (ast->has_operand && (operand == NULL || !check_repeated(bind, operand, "CASE"))) {
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct wr_ast_expr *part = ast->args[first + i];
        const bool is_when = i % 2 == 0 && !(ast->has_else && i + 1 == count);
        expr->args[i] = is_when ? bind_when(bind, operand, part) : wr_bind_expr(bind, part);
        if (expr->args[i] == NULL) {
            return NULL;
        }
        if (!is_when) {
            values[value_count++] = expr->args[i];
        }
    }
    if (!wr_bind_common(bind->binder, values, value_count, "CASE")) {
        return NULL;
    }
    expr->type = values[0]->type;
    expr->nullable = !ast->has_else;
    for (uint32_t i = 0; i < value_count; i++) {
        expr->nullable = expr->nullable || values[i]->nullable;
        expr->args[i * 2 + 1 < count ? i * 2 + 1 : count - 1] = values[i];
    }
    return expr;
}

static struct wr_expr *bind_cast(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    struct wr_expr *arg = wr_bind_expr(bind, ast->args[0]);
    if (arg == NULL) {
        return NULL;
    }
    struct wr_expr *cast = wr_bind_cast(bind->binder, arg, ast->type, true, ast->try_cast);
    if (cast != NULL && cast != arg) {
        cast->at = ast->at;
        cast->at_bytes = ast->end - ast->at;
    }
    return cast;
}

/* (expr).field: of a STRUCT or JSON, or .start and .end of tumble(interval …). */
static struct wr_expr *bind_field(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    struct wr_binder *binder = bind->binder;
    const struct wr_ast_name *field = &ast->parts[0];
    if (wr_bind_is_window_call(ast->args[0])) {
        const bool start = wr_bind_name_matches(field, "start", false);
        if (!wr_bind_window_call(bind, ast->args[0])) {
            return NULL;
        }
        if (!start && !wr_bind_name_matches(field, "end", false)) {
            wr_bind_fail(binder, field->at, "a window has no field \"%.*s\"",
                         WR_SLICE_ARG(field->text));
            wr_bind_hint(binder, "its fields are start and end");
            return NULL;
        }
        return wr_expr_column(binder->arena, start ? WR_BIND_WINDOW_START : WR_BIND_WINDOW_END,
                              bind->window->time_type, false, ast->at, ast->end);
    }
    struct wr_expr *value = wr_bind_expr(bind, ast->args[0]);
    if (value == NULL) {
        return NULL;
    }
    if (value->type.id == WR_TYPE_STRUCT) {
        return wr_bind_struct_field(bind, value, field, ast->at);
    }
    if (value->type.id != WR_TYPE_JSON) {
        wr_bind_fail(binder, field->at, "this is %s: it has no field \"%.*s\"",
                     wr_bind_type_name(binder, value->type), WR_SLICE_ARG(field->text));
        wr_bind_hint(binder, value->type.id == WR_TYPE_ARRAY ? "take one of its elements: a[1].b"
                             : value->type.id == WR_TYPE_MAP ? "take a value by key: m['key']"
                                                             : "STRUCT and JSON values have fields");
        return NULL;
    }
    struct wr_expr *key = wr_expr_text_const(binder->arena, field->text, field->at, field->end);
    struct wr_expr *step =
        wr_expr_call(binder->arena, WR_FN_JSON_GET, wr_type_of(WR_TYPE_JSON), value, key);
    step->nullable = true;
    return step;
}

static struct wr_expr *fail_star(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    wr_bind_fail(bind->binder, ast->at, "* stands for all columns: it is no value");
    wr_bind_hint(bind->binder, "write SELECT * alone, or count(*)");
    return NULL;
}

static struct wr_expr *bind_call(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    if (!wr_bind_is_window_call(ast)) {
        return wr_bind_call(bind, ast);
    }
    wr_bind_fail(bind->binder, ast->at, "a window is no value here");
    wr_bind_hint(bind->binder,
                 "write %.*s(…) AS window in SELECT, and window.start or window.end "
                 "of it in an outer query",
                 WR_SLICE_ARG(ast->parts[0].text));
    return NULL;
}

struct wr_expr *wr_bind_expr(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    switch (ast->kind) {
    case WR_AST_NAME:
        return wr_bind_name(bind, ast);
    case WR_AST_STAR:
        return fail_star(bind, ast);
    case WR_AST_NUMBER:
        return bind_number(bind, ast);
    case WR_AST_STRING:
        return wr_expr_text_const(bind->binder->arena, ast->text, ast->at, ast->end);
    case WR_AST_NULL:
    case WR_AST_TRUE:
    case WR_AST_FALSE:
        return bind_constant(bind, ast);
    case WR_AST_INTERVAL:
        return bind_interval(bind, ast);
    case WR_AST_CALL:
        return bind_call(bind, ast);
    case WR_AST_UNARY:
        return bind_unary(bind, ast);
    case WR_AST_BINARY:
        return bind_binary(bind, ast);
    case WR_AST_AND:
        return bind_logic(bind, ast, WR_EXPR_AND, "AND");
    case WR_AST_OR:
        return bind_logic(bind, ast, WR_EXPR_OR, "OR");
    case WR_AST_NOT:
        return bind_logic(bind, ast, WR_EXPR_NOT, "NOT");
    case WR_AST_IS:
        return bind_is(bind, ast);
    case WR_AST_DISTINCT_FROM:
        return bind_distinct(bind, ast);
    case WR_AST_BETWEEN:
        return bind_between(bind, ast);
    case WR_AST_IN:
        return bind_in(bind, ast);
    case WR_AST_LIKE:
        return bind_like(bind, ast);
    case WR_AST_CASE:
        return bind_case(bind, ast);
    case WR_AST_CAST:
        return bind_cast(bind, ast);
    case WR_AST_FIELD:
        return bind_field(bind, ast);
    case WR_AST_INDEX:
        return wr_bind_index(bind, ast);
    case WR_AST_ARRAY:
    case WR_AST_MAP:
    case WR_AST_ROW:
        return wr_bind_constructor(bind, ast);
    }
    return NULL;
}

bool wr_bind_interval_us(struct wr_binder *binder, const struct wr_ast_expr *ast, const char *what,
                         bool zero_allowed, int64_t *us)
{
    static const struct wr_scope nothing;
    struct wr_bind bind = {.binder = binder, .scope = &nothing, .where = what};
    struct wr_expr *expr = wr_bind_expr(&bind, ast);
    if (expr == NULL) {
        return false;
    }
    if (expr->kind == WR_EXPR_CONST && expr->type.id == WR_TYPE_TEXT && !expr->is_null) {
        expr = wr_bind_cast(binder, expr, wr_type_of(WR_TYPE_INTERVAL), false, false);
        if (expr == NULL) {
            return false;
        }
    }
    if (expr->kind != WR_EXPR_CONST || expr->type.id != WR_TYPE_INTERVAL || expr->is_null) {
        wr_bind_fail(binder, ast->at, "%s must be an INTERVAL constant", what);
        wr_bind_hint(binder, "write INTERVAL '10 seconds'");
        return false;
    }
    const struct wr_interval v = expr->value.interval;
    const __int128 sum = (__int128)v.days * 86400000000LL + v.us;
    if (v.months != 0) {
        wr_bind_fail(binder, ast->at, "%s cannot have months or years: their length varies", what);
        wr_bind_hint(binder, "use days, such as INTERVAL '30 days'");
        return false;
    }
    if (sum < 0 || (sum == 0 && !zero_allowed) || sum > INT64_MAX / 4) {
        wr_bind_fail(binder, ast->at, "%s must be longer than zero", what);
        wr_bind_hint(binder, "write INTERVAL '10 seconds'");
        return false;
    }
    *us = (int64_t)sum;
    return true;
}
