/* bind_call.c: which function or operator is meant (overload resolution), and the types that
 * NUMERIC results have.
 *
 * Of the rows of function.h with the name and the number of arguments the one whose implicit casts
 * cost least is taken (wr_bind_cost); among equals the first. That gives PostgreSQL's choices
 * without its categories: the costs put exact before wider, and DOUBLE before REAL where INTEGER
 * meets REAL.
 *
 * NUMERIC(p,s): + - % and comparisons cast both sides to the common scale; + and - give one digit
 * more; * gives p1+p2, s1+s2 (the scale is cut where p would pass 38); / gives NUMERIC(38, max(s1,
 * s2, 6)); ceil, floor and round(x) give scale 0, round(x, n) scale n. A kernel reads the scales
 * from the argument and result types.
 */
#include "base/buf.h"
#include "config/suggest.h"
#include "sql/bind.h"

#define ARGS_MAX 64u

static bool has_name(const struct wr_function_row *row, const char *name, bool is_operator)
{
    return ((row->flags & WR_FN_OPERATOR) != 0) == is_operator && row->name[0] != '$' &&
           !wr_function_is_nested(row) && strcmp(row->name, name) == 0;
}

/* The letter of argument i, 0 when the row does not take that many. */
static char letter_at(const char *signature, uint32_t i)
{
    for (const char *at = signature; *at != '>'; at++) {
        if (at[1] == '*') {
            return *at; /* for this one and all that follow */
        }
        if (i-- == 0) {
            return *at;
        }
    }
    return '\0';
}

static bool takes_count(const char *signature, uint32_t count)
{
    const char *end = strchr(signature, '>');
    const bool many = end > signature && end[-1] == '*';
    const uint32_t least = (uint32_t)(end - signature) - many;
    return many ? count >= least : count == least;
}

static struct wr_type result_type(const char *signature)
{
    return wr_function_type(strchr(signature, '>')[1]);
}

static uint32_t row_cost(const struct wr_function_row *row, struct wr_expr **args, uint32_t count)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t cost = wr_bind_cost(args[i], wr_function_type(letter_at(row->signature, i)));
        if (cost == WR_COST_NONE) {
            return WR_COST_NONE;
        }
        total += cost;
    }
    return total;
}

static void signature_text(struct wr_buf *buf, const struct wr_function_row *row)
{
    char name[32];
    wr_buf_printf(buf, "%s(", row->name);
    for (const char *at = row->signature; *at != '>'; at++) {
        if (*at == '*') {
            wr_buf_text(buf, ", …");
            continue;
        }
        const struct wr_type type = wr_function_type(*at);
        wr_buf_printf(buf, "%s%s", at == row->signature ? "" : ", ",
                      type.id == WR_TYPE_DECIMAL ? "NUMERIC"
                                                 : wr_type_name(type, name, sizeof(name)));
    }
    wr_buf_byte(buf, ')');
}

static void hint_signatures(struct wr_binder *binder, const char *name)
{
    struct wr_buf buf = {0};
    uint32_t shown = 0;
    for (uint32_t f = 0; f < WR_FUNCTION_COUNT_; f++) {
        if (has_name(&wr_functions[f], name, false) && shown++ < 6) {
            wr_buf_text(&buf, shown > 1 ? " or " : "");
            signature_text(&buf, &wr_functions[f]);
        }
    }
    wr_bind_hint(binder, "there is %s", wr_buf_cstr(&buf));
    wr_buf_deinit(&buf);
}

static void fail_unknown(struct wr_binder *binder, const char *name, uint32_t at)
{
    struct wr_suggest suggest;
    wr_suggest_init(&suggest, wr_slice_of(name));
    for (uint32_t f = 0; f < WR_FUNCTION_COUNT_; f++) {
        if (!(wr_functions[f].flags & WR_FN_OPERATOR) && wr_functions[f].name[0] != '$') {
            wr_suggest_offer(&suggest, wr_slice_of(wr_functions[f].name));
        }
    }
    wr_bind_offer_aggregates(&suggest);
    wr_suggest_offer(&suggest, WR_SLICE_LITERAL("coalesce"));
    wr_suggest_offer(&suggest, WR_SLICE_LITERAL("nullif"));
    wr_bind_fail(binder, at, "unknown function \"%s\"", name);
    if (strncmp(name, "tumble_", 7) == 0 || strncmp(name, "hop_", 4) == 0) {
        wr_bind_hint(binder, "read window_start and window_end FROM TUMBLE(source, time, size)");
    } else if (strcmp(name, "unnest") == 0 || strcmp(name, "explode") == 0 ||
               strcmp(name, "flatten") == 0) {
        wr_bind_hint(binder, "UNNEST stands in FROM: FROM source, UNNEST(items) AS item");
    } else if (suggest.best.bytes > 0) {
        wr_bind_hint(binder, "did you mean %.*s?", WR_SLICE_ARG(suggest.best));
    } else {
        wr_bind_hint(binder, "functions are PostgreSQL's for text, numbers and time; "
                             "there are no user-defined ones");
    }
}

static bool is_known(const char *name)
{
    for (uint32_t f = 0; f < WR_FUNCTION_COUNT_; f++) {
        const struct wr_function_row *row = &wr_functions[f];
        if (has_name(row, name, false) ||
            (wr_function_is_nested(row) && row->name[0] != '$' && strcmp(row->name, name) == 0)) {
            return true;
        }
    }
    return false;
}

static struct wr_expr *fail_types(struct wr_binder *binder, const char *name, bool is_operator,
                                  struct wr_expr **args, uint32_t count, uint32_t at)
{
    struct wr_buf types = {0};
    for (uint32_t i = 0; i < count; i++) {
        wr_buf_printf(&types, "%s%s",
                      i == 0        ? ""
                      : is_operator ? " and "
                                    : ", ",
                      wr_bind_type_name(binder, args[i]->type));
    }
    if (is_operator) {
        const char *sign = name[0] == 'u' && name[1] != '\0' ? name + 1 : name;
        wr_bind_fail(binder, at, "operator %s does not take %s", sign, wr_buf_cstr(&types));
        if (strchr("=<>", sign[0]) != NULL && strcmp(sign, "<<") != 0 && strcmp(sign, ">>") != 0) {
            wr_bind_hint(binder, "cast one side to the other's type: CAST(x AS %s)",
                         wr_bind_type_name(binder, args[0]->type));
        } else if (strchr("+-*/%^", sign[0]) != NULL && sign[1] == '\0') {
            wr_bind_hint(binder, "cast text to a number first: CAST(x AS DOUBLE PRECISION)%s",
                         sign[0] == '+' ? "; || joins texts" : "");
        } else {
            wr_bind_hint(binder,
                         "cast its sides to types that it takes: CAST(x AS TEXT), for example");
        }
    } else {
        wr_bind_fail(binder, at, "function %s does not take (%s)", name, wr_buf_cstr(&types));
        hint_signatures(binder, name);
    }
    wr_buf_deinit(&types);
    return NULL;
}

static struct wr_type decimal_of(uint32_t precision, uint32_t scale)
{
    if (precision > 38) { /* digits before the point are kept first */
        const uint32_t over = precision - 38;
        scale = scale > over ? scale - over : 0;
        precision = 38;
    }
    if (precision < scale) {
        precision = scale;
    }
    return (struct wr_type){.id = WR_TYPE_DECIMAL,
                            .precision = (uint8_t)(precision == 0 ? 1 : precision),
                            .scale = (uint8_t)scale};
}

static bool constant_int(const struct wr_expr *expr, int64_t *value)
{
    if (expr->kind != WR_EXPR_CONST || expr->is_null) {
        return false;
    }
    *value = expr->type.id == WR_TYPE_INT32 ? expr->value.i32 : expr->value.i64;
    return expr->type.id == WR_TYPE_INT32 || expr->type.id == WR_TYPE_INT64;
}

static struct wr_type decimal_result(enum wr_function f, struct wr_expr **args, uint32_t count)
{
    const struct wr_type a = args[0]->type;
    const struct wr_type b = count > 1 ? args[1]->type : a;
    int64_t digits;
    switch (f) {
    case WR_FN_ADD_DECIMAL:
    case WR_FN_SUB_DECIMAL:
        return decimal_of(a.precision < 38 ? a.precision + 1u : 38, a.scale);
    case WR_FN_MUL_DECIMAL:
        return decimal_of((uint32_t)a.precision + b.precision, (uint32_t)a.scale + b.scale);
    case WR_FN_DIV_DECIMAL: {
        const uint8_t scale = a.scale > b.scale ? a.scale : b.scale;
        return (struct wr_type){
            .id = WR_TYPE_DECIMAL, .precision = 38, .scale = scale > 6 ? scale : 6};
    }
    case WR_FN_CEIL_DECIMAL:
    case WR_FN_FLOOR_DECIMAL:
    case WR_FN_ROUND_DECIMAL:
        return decimal_of(a.precision - a.scale + 1u, 0);
    case WR_FN_ROUND_DECIMAL_N:
        if (constant_int(args[1], &digits) && digits < a.scale) {
            const uint32_t scale = digits < 0 ? 0 : (uint32_t)digits;
            return decimal_of(a.precision - a.scale + 1u + scale, scale);
        }
        return a;
    default:
        return a;
    }
}

/* + - % and comparisons want one scale. */
static bool wants_common_scale(enum wr_function f)
{
    const char *name = wr_functions[f].name;
    return strcmp(wr_functions[f].signature, "nn>n") == 0
               ? strchr("+-%", name[0]) != NULL
               : strcmp(wr_functions[f].signature, "nn>b") == 0;
}

static struct wr_expr *make_call(struct wr_binder *binder, enum wr_function f,
                                 struct wr_expr **args, uint32_t count, uint32_t at, uint32_t end)
{
    const struct wr_function_row *row = &wr_functions[f];
    bool nullable = false;
    for (uint32_t i = 0; i < count; i++) {
        args[i] = wr_bind_cast(binder, args[i], wr_function_type(letter_at(row->signature, i)),
                               false, false);
        if (args[i] == NULL) {
            return NULL;
        }
        nullable = nullable || args[i]->nullable;
    }
    if (wants_common_scale(f) && !wr_bind_common(binder, args, count, row->name)) {
        return NULL;
    }
    struct wr_type type = result_type(row->signature);
    if (type.id == WR_TYPE_DECIMAL) {
        type = decimal_result(f, args, count);
    }
    struct wr_expr *call = wr_expr_new(binder->arena, WR_EXPR_CALL, type, at, end, count);
    call->function = f;
    if (count > 0) {
        memcpy(call->args, args, count * sizeof(*args));
    }
    call->nullable = nullable || strchr(row->signature, 'j') != NULL;
    return call;
}

static bool best_differs(uint32_t best)
{
    return wr_functions[best].signature[0] != wr_functions[best].signature[1];
}

struct wr_expr *wr_bind_resolve(struct wr_binder *binder, const char *name, bool is_operator,
                                struct wr_expr **args, uint32_t count, uint32_t at, uint32_t end)
{
    uint32_t least = WR_COST_NONE;
    uint32_t best = WR_FUNCTION_COUNT_;
    for (uint32_t f = 0; f < WR_FUNCTION_COUNT_; f++) {
        const struct wr_function_row *row = &wr_functions[f];
        if (!has_name(row, name, is_operator) || !takes_count(row->signature, count)) {
            continue;
        }
        const uint32_t cost = row_cost(row, args, count);
        /* PostgreSQL: in an operator a literal without a type takes the other side's, where that
         * fits. */
        const bool alike = count == 2 && is_operator && row->signature[0] == row->signature[1];
        if (cost < least ||
            (cost == least && alike && cost != WR_COST_NONE && best_differs(best))) {
            least = cost;
            best = f;
        }
    }
    if (best == WR_FUNCTION_COUNT_) {
        return fail_types(binder, name, is_operator, args, count, at);
    }
    return make_call(binder, (enum wr_function)best, args, count, at, end);
}

/* concat takes anything, as PostgreSQL's. */
static bool to_text(struct wr_binder *binder, struct wr_expr **args, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        args[i] = wr_bind_cast(binder, args[i], wr_type_of(WR_TYPE_TEXT), true, false);
        if (args[i] == NULL) {
            return false;
        }
    }
    return true;
}

/* date_trunc('hur', ts): a unit that is a constant is checked now, not row by row. */
static bool check_unit(struct wr_binder *binder, const char *name, const struct wr_expr *unit)
{
    static const char *const units[] = {
        "microseconds", "milliseconds", "second", "minute", "hour",    "day",        "week",
        "month",        "quarter",      "year",   "decade", "century", "millennium", NULL,
    };
    static const char *const fields[] = {"epoch",   "dow",    "isodow", "doy",
                                         "isoyear", "julian", NULL};
    const bool part = strcmp(name, "date_part") == 0;
    if ((!part && strcmp(name, "date_trunc") != 0) || unit->kind != WR_EXPR_CONST ||
        unit->is_null || unit->type.id != WR_TYPE_TEXT) {
        return true;
    }
    const struct wr_slice text = wr_view_slice(&unit->value.view);
    struct wr_suggest suggest;
    wr_suggest_init(&suggest, text);
    for (const char *const *list = units; list != NULL;
         list = list == units && part ? fields : NULL) {
        for (const char *const *word = list; *word != NULL; word++) {
            struct wr_slice plural = text;
            if (plural.bytes > 1 && (plural.data[plural.bytes - 1] | 0x20) == 's') {
                plural.bytes--;
            }
            if (wr_slice_equal_nocase(text, wr_slice_of(*word)) ||
                wr_slice_equal_nocase(plural, wr_slice_of(*word)) ||
                (strlen(*word) == text.bytes + 1 && (*word)[text.bytes] == 's' &&
                 wr_slice_equal_nocase(text, (struct wr_slice){*word, text.bytes}))) {
                return true;
            }
            wr_suggest_offer(&suggest, wr_slice_of(*word));
        }
    }
    wr_bind_fail(binder, unit->at, "\"%.*s\" is not a field of time", WR_SLICE_ARG(text));
    if (suggest.best.bytes > 0) {
        wr_bind_hint(binder, "did you mean %.*s?", WR_SLICE_ARG(suggest.best));
    } else {
        wr_bind_hint(binder, "fields are second, minute, hour, day, week, month, quarter, year%s",
                     part ? ", epoch, dow, doy" : "");
    }
    return false;
}

/* COALESCE, NULLIF: nodes of their own, since they evaluate lazily. NULL and *is false: another
 * function. */
static struct wr_expr *bind_lazy(struct wr_binder *binder, const char *name, struct wr_expr **args,
                                 uint32_t count, const struct wr_ast_expr *ast, bool *is)
{
    const bool coalesce = strcmp(name, "coalesce") == 0 || strcmp(name, "ifnull") == 0;
    const bool nullif = strcmp(name, "nullif") == 0;
    *is = coalesce || nullif;
    if (!*is) {
        return NULL;
    }
    if (nullif ? count != 2 : count < 1) {
        wr_bind_fail(binder, ast->at, "%s takes %s", name,
                     nullif ? "two values" : "one or more values");
        wr_bind_hint(binder, nullif ? "nullif(a, b) is NULL when a = b, else a"
                                    : "coalesce(a, b, …) is the first that is not NULL");
        return NULL;
    }
    if (!wr_bind_common(binder, args, count, name) ||
        (nullif && !wr_bind_comparable(binder, args[0], name))) {
        return NULL;
    }
    struct wr_expr *expr = wr_expr_new(binder->arena, coalesce ? WR_EXPR_COALESCE : WR_EXPR_NULLIF,
                                       args[0]->type, ast->at, ast->end, count);
    memcpy(expr->args, args, count * sizeof(*args));
    expr->nullable = true;
    for (uint32_t i = 0; coalesce && i < count; i++) {
        expr->nullable = expr->nullable && args[i]->nullable;
    }
    return expr;
}

struct wr_expr *wr_bind_call(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    struct wr_binder *binder = bind->binder;
    struct wr_expr *args[ARGS_MAX];
    const char *name = wr_bind_fold(binder->arena, &ast->parts[0]);
    bool is = false;
    struct wr_expr *aggregate = wr_bind_aggregate(bind, ast, &is);
    if (is) {
        return aggregate;
    }
    if (!is_known(name) && strcmp(name, "coalesce") != 0 && strcmp(name, "nullif") != 0 &&
        strcmp(name, "ifnull") != 0) {
        fail_unknown(binder, name, ast->at); /* before its arguments: they may only look wrong */
        return NULL;
    }
    if (ast->distinct || ast->filter != NULL || ast->star) {
        wr_bind_fail(binder, ast->at, "%s is not an aggregate: it takes no %s", name,
                     ast->star       ? "*"
                     : ast->distinct ? "DISTINCT"
                                     : "FILTER");
        wr_bind_hint(binder, "aggregates are count, sum, min, max, avg and others");
        return NULL;
    }
    if (ast->arg_count > ARGS_MAX) {
        wr_bind_fail(binder, ast->at, "more than %u arguments", ARGS_MAX);
        wr_bind_hint(binder, "nest two calls");
        return NULL;
    }
    for (uint32_t i = 0; i < ast->arg_count; i++) {
        args[i] = wr_bind_expr(bind, ast->args[i]);
        if (args[i] == NULL) {
            return NULL;
        }
    }
    struct wr_expr *lazy = bind_lazy(binder, name, args, ast->arg_count, ast, &is);
    if (is) {
        return lazy;
    }
    struct wr_expr *nested = wr_bind_nested_call(binder, name, args, ast->arg_count, ast, &is);
    if (is) {
        return nested;
    }
    if (strncmp(name, "concat", 6) == 0 && !to_text(binder, args, ast->arg_count)) {
        return NULL;
    }
    if (ast->arg_count == 2 && !check_unit(binder, name, args[0])) {
        return NULL;
    }
    return wr_bind_resolve(binder, name, false, args, ast->arg_count, ast->at, ast->end);
}
