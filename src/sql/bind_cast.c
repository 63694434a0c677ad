/* bind_cast.c: expression nodes, implicit and explicit casts, folding of constants.
 *
 * Implicit casts follow PostgreSQL's, with three things on top: a constant integer that is not
 * negative may become an UNSIGNED; TIMESTAMPTZ may become TIMESTAMP (both are UTC here); and JSON
 * may become text or a number, since a dotted path into JSON is meant as a value where one is
 * needed.
 */
#include "base/assert.h"
#include "base/buf.h"
#include "batch/nested_json.h"
#include "batch/text.h"
#include "sql/bind.h"

#define DAY_US 86400000000LL

struct wr_expr *wr_expr_new(struct wr_arena *arena, enum wr_expr_kind kind, struct wr_type type,
                            uint32_t at, uint32_t end, uint32_t arg_count)
{
    struct wr_expr *expr = WR_ARENA_NEW(arena, struct wr_expr);
    expr->kind = kind;
    expr->type = type;
    expr->at = at;
    expr->at_bytes = end > at ? end - at : 0;
    expr->arg_count = arg_count;
    if (arg_count > 0) {
        expr->args = WR_ARENA_ARRAY(arena, struct wr_expr *, arg_count);
    }
    return expr;
}

struct wr_expr *wr_expr_column(struct wr_arena *arena, uint32_t column, struct wr_type type,
                               bool nullable, uint32_t at, uint32_t end)
{
    struct wr_expr *expr = wr_expr_new(arena, WR_EXPR_COLUMN, type, at, end, 0);
    expr->column = column;
    expr->nullable = nullable;
    return expr;
}

struct wr_expr *wr_expr_text_const(struct wr_arena *arena, struct wr_slice text, uint32_t at,
                                   uint32_t end)
{
    struct wr_expr *expr = wr_expr_new(arena, WR_EXPR_CONST, wr_type_of(WR_TYPE_TEXT), at, end, 0);
    expr->value.view = wr_view_of(wr_arena_strndup(arena, text.data, text.bytes), text.bytes);
    return expr;
}

struct wr_expr *wr_expr_int64(struct wr_arena *arena, int64_t value)
{
    struct wr_expr *expr = wr_expr_new(arena, WR_EXPR_CONST, wr_type_of(WR_TYPE_INT64), 0, 0, 0);
    expr->value.i64 = value;
    return expr;
}

struct wr_expr *wr_expr_interval(struct wr_arena *arena, int64_t us)
{
    struct wr_expr *expr = wr_expr_new(arena, WR_EXPR_CONST, wr_type_of(WR_TYPE_INTERVAL), 0, 0, 0);
    expr->value.interval.us = us;
    return expr;
}

struct wr_expr *wr_expr_call(struct wr_arena *arena, enum wr_function function, struct wr_type type,
                             struct wr_expr *a, struct wr_expr *b)
{
    const uint32_t end = b != NULL ? b->at + b->at_bytes : a->at + a->at_bytes;
    struct wr_expr *expr = wr_expr_new(arena, WR_EXPR_CALL, type, a->at, end, b != NULL ? 2 : 1);
    expr->function = function;
    expr->args[0] = a;
    expr->nullable = a->nullable;
    if (b != NULL) {
        expr->args[1] = b;
        expr->nullable = a->nullable || b->nullable;
    }
    return expr;
}

const char *wr_bind_type_name(struct wr_binder *binder, struct wr_type type)
{
    char name[32];
    if (type.id == WR_TYPE_NULL) {
        return "NULL";
    }
    if (wr_type_is_nested(type)) {
        return wr_nested_of(type)->text;
    }
    return wr_arena_strdup(binder->arena, wr_type_name(type, name, sizeof(name)));
}

static bool is_constant(const struct wr_expr *expr, enum wr_type_id id)
{
    return expr->kind == WR_EXPR_CONST && !expr->is_null && expr->type.id == id;
}

static bool is_natural(const struct wr_expr *expr)
{
    return (is_constant(expr, WR_TYPE_INT32) && expr->value.i32 >= 0) ||
           (is_constant(expr, WR_TYPE_INT64) && expr->value.i64 >= 0);
}

/* Steps between integers: up only; from UNSIGNED to the next larger signed. */
static uint32_t integer_cost(const struct wr_expr *expr, uint8_t from, uint8_t to)
{
    static const uint8_t bits[] = {
        [WR_TYPE_INT16] = 16,  [WR_TYPE_INT32] = 32,  [WR_TYPE_INT64] = 64,
        [WR_TYPE_UINT16] = 16, [WR_TYPE_UINT32] = 32, [WR_TYPE_UINT64] = 64};
    const bool from_unsigned = from >= WR_TYPE_UINT16;
    const bool to_unsigned = to >= WR_TYPE_UINT16;
    if (from_unsigned == to_unsigned) {
        return bits[to] > bits[from] ? bits[to] / bits[from] / 2u : WR_COST_NONE;
    }
    if (from_unsigned) {
        return bits[to] > bits[from] ? bits[to] / bits[from] / 2u : WR_COST_NONE;
    }
    return is_natural(expr) && bits[to] >= bits[from] ? (uint32_t)bits[to] / bits[from]
                                                      : WR_COST_NONE;
}

static uint32_t number_cost(const struct wr_expr *expr, uint8_t from, uint8_t to)
{
    const bool integer = from >= WR_TYPE_INT16 && from <= WR_TYPE_UINT64;
    const bool to_integer = to >= WR_TYPE_INT16 && to <= WR_TYPE_UINT64;
    if (integer && to_integer) {
        return integer_cost(expr, from, to);
    }
    if (integer) {
        return to == WR_TYPE_DECIMAL ? 6 : to == WR_TYPE_FLOAT64 ? 20 : 30;
    }
    if (from == WR_TYPE_DECIMAL) {
        return to == WR_TYPE_FLOAT64 ? 8 : to == WR_TYPE_FLOAT32 ? 40 : WR_COST_NONE;
    }
    return from == WR_TYPE_FLOAT32 && to == WR_TYPE_FLOAT64 ? 3 : WR_COST_NONE;
}

/* JSON's numbers may have a fraction whatever they are compared with, so NUMERIC comes before the
 * integers. */
static uint32_t json_cost(uint8_t to)
{
    switch (to) {
    case WR_TYPE_TEXT:
        return 10;
    case WR_TYPE_DECIMAL:
        return 12;
    case WR_TYPE_FLOAT64:
        return 13;
    case WR_TYPE_INT64:
        return 24;
    case WR_TYPE_BOOL:
    case WR_TYPE_TIMESTAMP:
    case WR_TYPE_TIMESTAMPTZ:
    case WR_TYPE_DATE:
        return 26;
    default:
        return WR_COST_NONE;
    }
}

uint32_t wr_bind_cost(const struct wr_expr *expr, struct wr_type to)
{
    const uint8_t from = expr->type.id;
    if (from == to.id && wr_type_is_nested(to) && !wr_type_equal(expr->type, to)) {
        return wr_bind_adapts_nested(expr, to) ? 2 : WR_COST_NONE;
    }
    if (from == to.id) {
        return 0;
    }
    if (from == WR_TYPE_NULL || is_constant(expr, WR_TYPE_TEXT)) {
        return 1; /* a literal without a type takes the one that is needed */
    }
    if (wr_type_is_numeric(expr->type) && wr_type_is_numeric(to)) {
        return number_cost(expr, from, to.id);
    }
    if (from == WR_TYPE_DATE && wr_type_is_timestamp(to)) {
        return to.id == WR_TYPE_TIMESTAMP ? 3 : 4;
    }
    if (from == WR_TYPE_TIMESTAMP && to.id == WR_TYPE_TIMESTAMPTZ) {
        return 3;
    }
    if (from == WR_TYPE_TIMESTAMPTZ && to.id == WR_TYPE_TIMESTAMP) {
        return 8;
    }
    return from == WR_TYPE_JSON ? json_cost(to.id) : WR_COST_NONE;
}

/* May a value of one type be asked to become the other? */
bool wr_bind_can_cast(struct wr_type from, struct wr_type to)
{
    const bool times = from.id == WR_TYPE_DATE || wr_type_is_timestamp(from);
    const bool to_times = to.id == WR_TYPE_DATE || wr_type_is_timestamp(to);
    if (wr_type_is_nested(from) && wr_type_is_nested(to)) {
        return wr_type_equal(from, to) || wr_bind_can_cast_nested(from, to);
    }
    if (wr_type_is_nested(from) || wr_type_is_nested(to)) {
        const uint8_t other = wr_type_is_nested(from) ? to.id : from.id;
        return other == WR_TYPE_TEXT || other == WR_TYPE_JSON || other == WR_TYPE_NULL;
    }
    if (from.id == to.id || from.id == WR_TYPE_NULL || from.id == WR_TYPE_TEXT ||
        to.id == WR_TYPE_TEXT) {
        return true;
    }
    if ((wr_type_is_numeric(from) && wr_type_is_numeric(to)) || (times && to_times)) {
        return true;
    }
    if (from.id == WR_TYPE_BOOL || to.id == WR_TYPE_BOOL) {
        return wr_type_is_integer(from) || wr_type_is_integer(to) || from.id == WR_TYPE_JSON;
    }
    return from.id == WR_TYPE_JSON && (wr_type_is_numeric(to) || to_times);
}

static struct wr_expr *fail_literal(struct wr_binder *binder, const struct wr_expr *expr,
                                    struct wr_type to)
{
    const struct wr_slice text = wr_view_slice(&expr->value.view);
    wr_bind_fail(binder, expr->at, "'%.*s' is not a valid %s",
                 (int)(text.bytes > 60 ? 60 : text.bytes), text.data,
                 wr_bind_type_name(binder, to));
    switch (to.id) {
    case WR_TYPE_TIMESTAMP:
    case WR_TYPE_TIMESTAMPTZ:
        wr_bind_hint(binder, "write it as '2024-01-31 10:00:00' or '2024-01-31T10:00:00Z'");
        break;
    case WR_TYPE_DATE:
        wr_bind_hint(binder, "write it as '2024-01-31'");
        break;
    case WR_TYPE_INTERVAL:
        wr_bind_hint(binder, "write it as '10 seconds' or '1 day 02:03:04'");
        break;
    case WR_TYPE_BOOL:
        wr_bind_hint(binder, "write true or false");
        break;
    case WR_TYPE_STRUCT:
    case WR_TYPE_MAP:
        wr_bind_hint(binder, "write it as a JSON object: '{\"a\": 1}'");
        break;
    case WR_TYPE_ARRAY:
        wr_bind_hint(binder, "write it as a JSON array: '[1, 2]'");
        break;
    default:
        wr_bind_hint(binder, "compare and compute with values of the same type");
        break;
    }
    return NULL;
}

/* A constant STRUCT, ARRAY or MAP from its JSON text. */
static bool fold_nested(struct wr_binder *binder, struct wr_slice text, struct wr_expr *folded)
{
    struct wr_nested_writer writer = {0};
    struct wr_slice body;
    char why[96];
    const bool good =
        wr_nested_parse_json(&writer, folded->type, text, &body, why, sizeof(why));
    if (good) {
        folded->value.view =
            wr_view_of(wr_arena_strndup(binder->arena, body.data, body.bytes), body.bytes);
    }
    wr_nested_writer_deinit(&writer);
    return good;
}

static struct wr_expr *fold_text(struct wr_binder *binder, struct wr_expr *expr, struct wr_type to,
                                 bool try_cast)
{
    struct wr_expr *folded =
        wr_expr_new(binder->arena, WR_EXPR_CONST, to, expr->at, expr->at + expr->at_bytes, 0);
    const struct wr_slice text = wr_view_slice(&expr->value.view);
    const struct wr_slice kept = {wr_arena_strndup(binder->arena, text.data, text.bytes),
                                  text.bytes};
    if (wr_type_is_nested(to) ? !fold_nested(binder, kept, folded)
                              : !wr_text_parse(to, kept, &folded->value)) {
        if (!try_cast) {
            return fail_literal(binder, expr, to);
        }
        folded->is_null = true;
        folded->nullable = true;
    }
    return folded;
}

/* A constant number or time in another type, when its text reads back there; NULL: leave it to the
 * row. */
static struct wr_expr *fold_value(struct wr_binder *binder, const struct wr_expr *expr,
                                  struct wr_type to)
{
    const bool numbers = wr_type_is_numeric(expr->type) && wr_type_is_numeric(to);
    struct wr_expr *folded =
        wr_expr_new(binder->arena, WR_EXPR_CONST, to, expr->at, expr->at + expr->at_bytes, 0);
    if (expr->type.id == WR_TYPE_DATE && wr_type_is_timestamp(to)) {
        folded->value.i64 = expr->value.i32 * DAY_US;
        return folded;
    }
    if (wr_type_is_timestamp(expr->type) && wr_type_is_timestamp(to)) {
        folded->value = expr->value;
        return folded;
    }
    if (!numbers) {
        return NULL;
    }
    struct wr_buf text = {0};
    wr_text_format(&text, expr->type, &expr->value);
    const bool good =
        wr_text_parse(to, (struct wr_slice){wr_buf_cstr(&text), text.bytes}, &folded->value);
    wr_buf_deinit(&text);
    return good ? folded : NULL;
}

static struct wr_expr *fail_cast(struct wr_binder *binder, const struct wr_expr *expr,
                                 struct wr_type to, bool explicit_cast)
{
    wr_bind_fail(binder, expr->at, explicit_cast ? "%s cannot be cast to %s" : "this is %s, not %s",
                 wr_bind_type_name(binder, expr->type), wr_bind_type_name(binder, to));
    if (wr_type_is_integer(expr->type) && wr_type_is_timestamp(to)) {
        wr_bind_hint(binder, "use from_epoch_ms(x) or to_timestamp(seconds)");
    } else if (wr_type_is_timestamp(expr->type) && wr_type_is_integer(to)) {
        wr_bind_hint(binder, "use epoch_ms(x) or extract(epoch FROM x)");
    } else if (explicit_cast && wr_type_is_nested(expr->type) && wr_type_is_nested(to)) {
        wr_bind_hint(binder, "fields are cast by name: each one of the target must be there");
    } else if (!explicit_cast && wr_bind_can_cast(expr->type, to)) {
        wr_bind_hint(binder, "cast it: CAST(… AS %s)", wr_bind_type_name(binder, to));
    } else {
        wr_bind_hint(binder, "choose a column or function of that type");
    }
    return NULL;
}

/* payload -> 'a' as a value: the last step gives the text. */
static struct wr_expr *json_to_text(struct wr_binder *binder, struct wr_expr *expr)
{
    if (expr->kind != WR_EXPR_CALL ||
        (expr->function != WR_FN_JSON_GET && expr->function != WR_FN_JSON_GET_INDEX)) {
        return NULL;
    }
    struct wr_expr *text = WR_ARENA_NEW(binder->arena, struct wr_expr);
    *text = *expr;
    text->type = wr_type_of(WR_TYPE_TEXT);
    text->function =
        expr->function == WR_FN_JSON_GET ? WR_FN_JSON_GET_TEXT : WR_FN_JSON_GET_INDEX_TEXT;
    return text;
}

static struct wr_type as_decimal(struct wr_type t)
{
    static const uint8_t digits[] = {
        [WR_TYPE_INT16] = 5,  [WR_TYPE_INT32] = 10,  [WR_TYPE_INT64] = 19,
        [WR_TYPE_UINT16] = 5, [WR_TYPE_UINT32] = 10, [WR_TYPE_UINT64] = 20};
    if (t.id == WR_TYPE_DECIMAL) {
        return t;
    }
    if (!wr_type_is_integer(t)) { /* text, floats, JSON: as bare NUMERIC */
        return (struct wr_type){.id = WR_TYPE_DECIMAL, .precision = 38, .scale = 9};
    }
    return (struct wr_type){.id = WR_TYPE_DECIMAL, .precision = digits[t.id]};
}

static struct wr_expr *make_cast(struct wr_binder *binder, struct wr_expr *expr, struct wr_type to,
                                 bool try_cast)
{
    struct wr_expr *cast =
        wr_expr_new(binder->arena, WR_EXPR_CAST, to, expr->at, expr->at + expr->at_bytes, 1);
    cast->args[0] = expr;
    cast->nullable = expr->nullable || try_cast || expr->type.id == WR_TYPE_JSON;
    cast->try_cast = try_cast;
    return cast;
}

struct wr_expr *wr_bind_cast(struct wr_binder *binder, struct wr_expr *expr, struct wr_type to,
                             bool explicit_cast, bool try_cast)
{
    if (to.id == WR_TYPE_DECIMAL && to.precision == 0) {
        to = as_decimal(expr->type);
    }
    if (wr_type_equal(expr->type, to)) {
        return expr;
    }
    struct wr_expr *adapted =
        wr_type_is_nested(to) ? wr_bind_adapt_nested(binder, expr, to, explicit_cast, try_cast) : NULL;
    if (adapted != NULL) {
        return adapted;
    }
    const bool allowed =
        explicit_cast ? wr_bind_can_cast(expr->type, to) : wr_bind_cost(expr, to) != WR_COST_NONE;
    if (!allowed) {
        return fail_cast(binder, expr, to, explicit_cast);
    }
    if (expr->kind == WR_EXPR_CONST && (expr->is_null || expr->type.id == WR_TYPE_NULL)) {
        struct wr_expr *null =
            wr_expr_new(binder->arena, WR_EXPR_CONST, to, expr->at, expr->at + expr->at_bytes, 0);
        null->is_null = true;
        null->nullable = true;
        return null;
    }
    if (is_constant(expr, WR_TYPE_TEXT)) {
        return fold_text(binder, expr, to, try_cast);
    }
    if (expr->kind == WR_EXPR_CONST) {
        struct wr_expr *folded = fold_value(binder, expr, to);
        if (folded != NULL) {
            return folded;
        }
    }
    if (expr->kind == WR_EXPR_CAST && to.id == WR_TYPE_DECIMAL && !expr->try_cast &&
        wr_type_is_integer(expr->args[0]->type) &&
        wr_type_equal(expr->type, as_decimal(expr->args[0]->type)) &&
        to.precision - to.scale >= expr->type.precision) {
        expr = expr->args[0]; /* widened twice: once is enough */
    }
    if (expr->type.id == WR_TYPE_JSON) {
        struct wr_expr *text = json_to_text(binder, expr);
        if (text != NULL && to.id == WR_TYPE_TEXT) {
            return text;
        }
        expr = text != NULL ? text : expr;
    }
    return make_cast(binder, expr, to, try_cast);
}

static bool adapts(const struct wr_expr *expr)
{
    return expr->type.id == WR_TYPE_NULL || is_constant(expr, WR_TYPE_TEXT);
}

/* NUMERIC of both: as many digits before and after the point as either. */
static struct wr_type wider_decimal(struct wr_type a, struct wr_type b)
{
    const uint32_t whole_a = (uint32_t)a.precision - a.scale;
    const uint32_t whole_b = (uint32_t)b.precision - b.scale;
    const uint32_t scale = a.scale > b.scale ? a.scale : b.scale;
    const uint32_t whole = whole_a > whole_b ? whole_a : whole_b;
    const uint32_t precision = whole + scale > 38 ? 38 : whole + scale;
    return (struct wr_type){.id = WR_TYPE_DECIMAL,
                            .precision = (uint8_t)precision,
                            .scale = (uint8_t)(scale > precision ? precision : scale)};
}

static struct wr_type common_type(const struct wr_expr *a, struct wr_type so_far, bool *good)
{
    const struct wr_type t = a->type;
    struct wr_expr probe = {.kind = WR_EXPR_COLUMN, .type = so_far};
    if (t.id == WR_TYPE_DECIMAL && wr_type_is_integer(so_far)) {
        return wider_decimal(t, as_decimal(so_far));
    }
    if (so_far.id == WR_TYPE_DECIMAL && (wr_type_is_integer(t) || t.id == WR_TYPE_DECIMAL)) {
        return wider_decimal(so_far, as_decimal(t));
    }
    if (wr_bind_cost(a, so_far) != WR_COST_NONE) {
        return so_far;
    }
    if (wr_bind_cost(&probe, t) != WR_COST_NONE) {
        return t;
    }
    if (wr_type_is_integer(t) && wr_type_is_integer(so_far)) { /* BIGINT and BIGINT UNSIGNED */
        return wr_bind_cost(a, wr_type_of(WR_TYPE_INT64)) != WR_COST_NONE &&
                       so_far.id == WR_TYPE_UINT32
                   ? wr_type_of(WR_TYPE_INT64)
                   : wider_decimal(as_decimal(t), as_decimal(so_far));
    }
    *good = false;
    return so_far;
}

bool wr_bind_common(struct wr_binder *binder, struct wr_expr **exprs, uint32_t count,
                    const char *what)
{
    struct wr_type type = wr_type_of(WR_TYPE_TEXT); /* all without a type: text */
    bool found = false;
    for (uint32_t i = 0; i < count; i++) {
        if (adapts(exprs[i])) {
            continue;
        }
        bool good = true;
        const struct wr_type next = found ? common_type(exprs[i], type, &good) : exprs[i]->type;
        if (!good) {
            wr_bind_fail(binder, exprs[i]->at, "%s cannot mix %s and %s", what,
                         wr_bind_type_name(binder, type),
                         wr_bind_type_name(binder, exprs[i]->type));
            wr_bind_hint(binder, "cast one side: CAST(… AS %s)", wr_bind_type_name(binder, type));
            return false;
        }
        type = next;
        found = true;
    }
    for (uint32_t i = 0; i < count; i++) {
        exprs[i] = wr_bind_cast(binder, exprs[i], type, false, false);
        if (exprs[i] == NULL) {
            return false;
        }
    }
    return true;
}
