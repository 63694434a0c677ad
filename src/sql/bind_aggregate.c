/* bind_aggregate.c: aggregates of a SELECT. A call becomes the column WR_BIND_AGGREGATE + i until
 * bind_select.c knows where the WINDOW puts it; equal ones are computed once. */
#include "base/limits.h"
#include "config/suggest.h"
#include "sql/bind.h"

/* What an aggregate's argument may be. */
enum argument { ARGUMENT_ANY, ARGUMENT_NUMBER, ARGUMENT_BOOLEAN, ARGUMENT_ORDERED };

static const struct {
    const char *name;
    enum wr_aggregate kind;
    enum argument argument;
} rows[] = {
    {"count", WR_AGG_COUNT, ARGUMENT_ANY},
    {"sum", WR_AGG_SUM, ARGUMENT_NUMBER},
    {"avg", WR_AGG_AVG, ARGUMENT_NUMBER},
    {"mean", WR_AGG_AVG, ARGUMENT_NUMBER},
    {"min", WR_AGG_MIN, ARGUMENT_ORDERED},
    {"max", WR_AGG_MAX, ARGUMENT_ORDERED},
    {"stddev", WR_AGG_STDDEV_SAMP, ARGUMENT_NUMBER},
    {"stddev_samp", WR_AGG_STDDEV_SAMP, ARGUMENT_NUMBER},
    {"stddev_pop", WR_AGG_STDDEV_POP, ARGUMENT_NUMBER},
    {"variance", WR_AGG_VAR_SAMP, ARGUMENT_NUMBER},
    {"var_samp", WR_AGG_VAR_SAMP, ARGUMENT_NUMBER},
    {"var_pop", WR_AGG_VAR_POP, ARGUMENT_NUMBER},
    {"bool_and", WR_AGG_BOOL_AND, ARGUMENT_BOOLEAN},
    {"every", WR_AGG_BOOL_AND, ARGUMENT_BOOLEAN},
    {"bool_or", WR_AGG_BOOL_OR, ARGUMENT_BOOLEAN},
    {"first_value", WR_AGG_FIRST_VALUE, ARGUMENT_ANY},
    {"last_value", WR_AGG_LAST_VALUE, ARGUMENT_ANY},
    {"approx_count_distinct", WR_AGG_APPROX_COUNT_DISTINCT, ARGUMENT_ANY},
    {"approx_distinct", WR_AGG_APPROX_COUNT_DISTINCT, ARGUMENT_ANY},
    {"approx_percentile", WR_AGG_APPROX_PERCENTILE, ARGUMENT_NUMBER},
    {"approx_percentile_cont", WR_AGG_APPROX_PERCENTILE, ARGUMENT_NUMBER},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static size_t find_row(const struct wr_ast_name *name)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (wr_slice_equal_nocase(name->text, wr_slice_of(rows[i].name))) {
            return i;
        }
    }
    return ROWS;
}

bool wr_bind_is_aggregate_name(const struct wr_ast_name *name)
{
    return find_row(name) < ROWS;
}

void wr_bind_offer_aggregates(void *suggest)
{
    for (size_t i = 0; i < ROWS; i++) {
        wr_suggest_offer(suggest, wr_slice_of(rows[i].name));
    }
}

static struct wr_type sum_type(struct wr_type t)
{
    if (t.id == WR_TYPE_DECIMAL) {
        return (struct wr_type){.id = WR_TYPE_DECIMAL, .precision = 38, .scale = t.scale};
    }
    return wr_type_of(wr_type_is_float(t) ? WR_TYPE_FLOAT64 : WR_TYPE_INT64);
}

static struct wr_type result_type(enum wr_aggregate kind, struct wr_type arg)
{
    switch (kind) {
    case WR_AGG_COUNT_STAR:
    case WR_AGG_COUNT:
    case WR_AGG_COUNT_DISTINCT:
    case WR_AGG_APPROX_COUNT_DISTINCT:
        return wr_type_of(WR_TYPE_INT64);
    case WR_AGG_SUM:
    case WR_AGG_SUM_DISTINCT:
        return sum_type(arg);
    case WR_AGG_AVG:
        if (arg.id == WR_TYPE_DECIMAL) {
            return (struct wr_type){
                .id = WR_TYPE_DECIMAL, .precision = 38, .scale = arg.scale > 6 ? arg.scale : 6};
        }
        return wr_type_of(WR_TYPE_FLOAT64);
    case WR_AGG_MIN:
    case WR_AGG_MAX:
    case WR_AGG_FIRST_VALUE:
    case WR_AGG_LAST_VALUE:
        return arg;
    case WR_AGG_BOOL_AND:
    case WR_AGG_BOOL_OR:
        return wr_type_of(WR_TYPE_BOOL);
    default:
        return wr_type_of(WR_TYPE_FLOAT64);
    }
}

static struct wr_expr *bind_argument(struct wr_bind *bind, const struct wr_ast_expr *ast,
                                     size_t row)
{
    struct wr_binder *binder = bind->binder;
    struct wr_expr *arg = wr_bind_expr(bind, ast);
    if (arg == NULL) {
        return NULL;
    }
    if (arg->type.id == WR_TYPE_NULL) {
        arg = wr_bind_cast(binder, arg, wr_type_of(WR_TYPE_TEXT), false, false);
    }
    if (rows[row].argument == ARGUMENT_BOOLEAN) {
        return wr_bind_cast(binder, arg, wr_type_of(WR_TYPE_BOOL), false, false);
    }
    if (rows[row].argument == ARGUMENT_NUMBER && arg->type.id == WR_TYPE_JSON) {
        return wr_bind_cast(binder, arg, wr_type_of(WR_TYPE_FLOAT64), true, false);
    }
    if (rows[row].argument == ARGUMENT_ORDERED && arg->type.id == WR_TYPE_JSON) {
        return wr_bind_cast(binder, arg, wr_type_of(WR_TYPE_TEXT), true, false);
    }
    if (rows[row].argument == ARGUMENT_ORDERED && wr_type_is_nested(arg->type)) {
        wr_bind_fail(binder, ast->at, "%s takes values that have an order, not %s", rows[row].name,
                     wr_bind_type_name(binder, arg->type));
        wr_bind_hint(binder, "take a part of it: %s(a.b)", rows[row].name);
        return NULL;
    }
    if (rows[row].argument == ARGUMENT_NUMBER && !wr_type_is_numeric(arg->type)) {
        wr_bind_fail(binder, ast->at, "%s takes a number, not %s", rows[row].name,
                     wr_bind_type_name(binder, arg->type));
        wr_bind_hint(binder, "cast it: %s(CAST(x AS DOUBLE PRECISION))", rows[row].name);
        return NULL;
    }
    return arg;
}

static bool bind_fraction(struct wr_bind *bind, const struct wr_ast_expr *ast, double *fraction)
{
    struct wr_expr *expr = wr_bind_expr(bind, ast);
    if (expr == NULL) {
        return false;
    }
    if (expr->kind == WR_EXPR_CONST && wr_type_is_numeric(expr->type)) {
        expr = wr_bind_cast(bind->binder, expr, wr_type_of(WR_TYPE_FLOAT64), true, false);
        if (expr == NULL) {
            return false;
        }
        *fraction = expr->value.f64;
        if (expr->kind == WR_EXPR_CONST && *fraction >= 0 && *fraction <= 1) {
            return true;
        }
    }
    wr_bind_fail(bind->binder, ast->at, "the percentile must be a number from 0 to 1");
    wr_bind_hint(bind->binder, "write approx_percentile(x, 0.99)");
    return false;
}

static bool check_place(struct wr_bind *bind, const struct wr_ast_expr *ast, const char *name)
{
    if (bind->in_aggregate) {
        wr_bind_fail(bind->binder, ast->at, "an aggregate cannot stand inside another");
        wr_bind_hint(bind->binder, "compute the inner one in a sub-query with its own window");
        return false;
    }
    if (!bind->aggregates_allowed) {
        wr_bind_fail(bind->binder, ast->at, "%s cannot stand in %s", name, bind->where);
        wr_bind_hint(bind->binder, "put conditions on aggregates into HAVING");
        return false;
    }
    return true;
}

static bool check_count(struct wr_bind *bind, const struct wr_ast_expr *ast, size_t row)
{
    const bool percentile = rows[row].kind == WR_AGG_APPROX_PERCENTILE;
    const uint32_t wanted = ast->star ? 0 : percentile ? 2 : 1;
    if (ast->arg_count == wanted && (!ast->star || rows[row].kind == WR_AGG_COUNT)) {
        return true;
    }
    wr_bind_fail(bind->binder, ast->at, "%s takes %s", rows[row].name,
                 percentile ? "a number and a percentile" : "one argument");
    wr_bind_hint(bind->binder, percentile ? "write approx_percentile(x, 0.99)" : "write %s(x)%s",
                 rows[row].name, rows[row].kind == WR_AGG_COUNT ? " or count(*)" : "");
    return false;
}

static bool set_kind(struct wr_bind *bind, const struct wr_ast_expr *ast, size_t row,
                     struct wr_plan_aggregate *made)
{
    made->kind = ast->star ? WR_AGG_COUNT_STAR : rows[row].kind;
    if (!ast->distinct) {
        return true;
    }
    switch (made->kind) {
    case WR_AGG_COUNT:
        made->kind = WR_AGG_COUNT_DISTINCT;
        return true;
    case WR_AGG_SUM:
        made->kind = WR_AGG_SUM_DISTINCT;
        return true;
    case WR_AGG_MIN:
    case WR_AGG_MAX:
    case WR_AGG_BOOL_AND:
    case WR_AGG_BOOL_OR:
    case WR_AGG_APPROX_COUNT_DISTINCT:
        return true; /* DISTINCT changes nothing */
    default:
        wr_bind_fail(bind->binder, ast->at, "%s takes no DISTINCT", rows[row].name);
        wr_bind_hint(bind->binder, "count(DISTINCT x) and sum(DISTINCT x) are there");
        return false;
    }
}

static bool same_aggregate(const struct wr_plan_aggregate *a, const struct wr_plan_aggregate *b)
{
    return a->kind == b->kind && a->parameter == b->parameter &&
           (a->arg == NULL) == (b->arg == NULL) &&
           (a->arg == NULL || wr_expr_equal(a->arg, b->arg)) &&
           (a->filter == NULL) == (b->filter == NULL) &&
           (a->filter == NULL || wr_expr_equal(a->filter, b->filter));
}

/* UINT32_MAX: too many. */
static uint32_t add_aggregate(struct wr_bind *bind, const struct wr_plan_aggregate *made,
                              uint32_t at)
{
    if (bind->aggregate_count >= WR_COLUMNS_MAX) {
        wr_bind_fail(bind->binder, at, "more than %u aggregates", WR_COLUMNS_MAX);
        wr_bind_hint(bind->binder, "split the query into two sinks");
        return UINT32_MAX;
    }
    for (uint32_t i = 0; i < bind->aggregate_count; i++) {
        if (same_aggregate(&bind->aggregates[i], made)) {
            return i;
        }
    }
    const uint32_t n = bind->aggregate_count;
    if (n == 0 || (n >= 4 && (n & (n - 1)) == 0)) {
        struct wr_plan_aggregate *grown =
            WR_ARENA_ARRAY(bind->binder->arena, struct wr_plan_aggregate, n == 0 ? 4 : n * 2);
        if (n > 0) {
            memcpy(grown, bind->aggregates, n * sizeof(*grown));
        }
        bind->aggregates = grown;
    }
    bind->aggregates[bind->aggregate_count++] = *made;
    return n;
}

/* Argument, filter and percentile; in_aggregate is set meanwhile. */
static bool bind_inputs(struct wr_bind *bind, const struct wr_ast_expr *ast, size_t row,
                        struct wr_plan_aggregate *made)
{
    if (!ast->star) {
        made->arg = bind_argument(bind, ast->args[0], row);
        const bool compares =
            made->kind == WR_AGG_COUNT_DISTINCT || made->kind == WR_AGG_APPROX_COUNT_DISTINCT;
        if (made->arg == NULL ||
            (compares && !wr_bind_comparable(bind->binder, made->arg, "a distinct count"))) {
            return false;
        }
    }
    if (made->kind == WR_AGG_APPROX_PERCENTILE) {
        if (!bind_fraction(bind, ast->args[1], &made->parameter)) {
            return false;
        }
        made->arg = wr_bind_cast(bind->binder, made->arg, wr_type_of(WR_TYPE_FLOAT64), true, false);
    }
    if (ast->filter != NULL) {
        made->filter = wr_bind_boolean(bind, ast->filter, "FILTER (WHERE …)");
        return made->filter != NULL;
    }
    return true;
}

struct wr_expr *wr_bind_aggregate(struct wr_bind *bind, const struct wr_ast_expr *ast, bool *is)
{
    const size_t row = find_row(&ast->parts[0]);
    struct wr_plan_aggregate made = {0};
    *is = row < ROWS;
    if (!*is || !check_place(bind, ast, rows[row].name) || !check_count(bind, ast, row) ||
        !set_kind(bind, ast, row, &made)) {
        return NULL;
    }
    bind->in_aggregate = true;
    const bool good = bind_inputs(bind, ast, row, &made);
    bind->in_aggregate = false;
    if (!good) {
        return NULL;
    }
    made.type =
        result_type(made.kind, made.arg != NULL ? made.arg->type : wr_type_of(WR_TYPE_NULL));
    const uint32_t index = add_aggregate(bind, &made, ast->at);
    if (index == UINT32_MAX) {
        return NULL;
    }
    const bool counts = made.kind == WR_AGG_COUNT || made.kind == WR_AGG_COUNT_STAR ||
                        made.kind == WR_AGG_COUNT_DISTINCT ||
                        made.kind == WR_AGG_APPROX_COUNT_DISTINCT;
    return wr_expr_column(bind->binder->arena, WR_BIND_AGGREGATE + index, made.type, !counts,
                          ast->at, ast->end);
}
