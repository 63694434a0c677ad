/* expr.c: see expr.h. The text is SQL as a reader would write it: operators infix, with parentheses
 * only where an operator stands inside another. */
#include "plan/expr.h"

#include "base/buf.h"
#include "batch/nested.h"
#include "batch/text.h"

static bool constants_equal(const struct wr_expr *a, const struct wr_expr *b)
{
    if (a->is_null || b->is_null) {
        return a->is_null == b->is_null;
    }
    if (wr_type_is_view(a->type)) {
        return wr_view_equal(&a->value.view, &b->value.view);
    }
    const uint32_t width = wr_type_width(a->type);
    return memcmp(&a->value, &b->value, width) == 0;
}

bool wr_expr_equal(const struct wr_expr *a, const struct wr_expr *b)
{
    if (a == b) {
        return true;
    }
    if (a->kind != b->kind || !wr_type_equal(a->type, b->type) || a->arg_count != b->arg_count) {
        return false;
    }
    switch (a->kind) {
    case WR_EXPR_COLUMN:
        return a->column == b->column;
    case WR_EXPR_CONST:
        return constants_equal(a, b);
    case WR_EXPR_CALL:
        if (a->function != b->function) {
            return false;
        }
        break;
    case WR_EXPR_CAST:
        if (a->try_cast != b->try_cast) {
            return false;
        }
        break;
    default:
        break;
    }
    for (uint32_t i = 0; i < a->arg_count; i++) {
        if (!wr_expr_equal(a->args[i], b->args[i])) {
            return false;
        }
    }
    return true;
}

void wr_expr_columns(const struct wr_expr *expr, void (*visit)(void *ctx, uint32_t column),
                     void *ctx)
{
    if (expr->kind == WR_EXPR_COLUMN) {
        visit(ctx, expr->column);
    }
    for (uint32_t i = 0; i < expr->arg_count; i++) {
        wr_expr_columns(expr->args[i], visit, ctx);
    }
}

void wr_type_text(struct wr_buf *buf, struct wr_type type)
{
    char name[32];
    wr_buf_text(buf, wr_type_is_nested(type) ? wr_nested_of(type)->text
                                             : wr_type_name(type, name, sizeof(name)));
}

static void const_text(struct wr_buf *buf, const struct wr_expr *expr)
{
    if (expr->is_null) {
        wr_buf_text(buf, "NULL");
        return;
    }
    if (expr->type.id == WR_TYPE_INTERVAL) {
        wr_buf_text(buf, "INTERVAL ");
    }
    if (expr->type.id == WR_TYPE_BOOL || wr_type_is_numeric(expr->type)) {
        wr_text_format(buf, expr->type, &expr->value);
        return;
    }
    wr_buf_byte(buf, '\'');
    struct wr_buf plain = {0};
    wr_text_format(&plain, expr->type, &expr->value);
    for (size_t i = 0; i < plain.bytes; i++) {
        const uint8_t c = (uint8_t)plain.data[i];
        if (c == '\'') {
            wr_buf_byte(buf, '\'');
        }
        wr_buf_byte(buf, c < ' ' ? ' ' : c); /* one line each */
    }
    wr_buf_deinit(&plain);
    wr_buf_byte(buf, '\'');
}

static void list_text(struct wr_buf *buf, const struct wr_expr *expr, uint32_t from,
                      const char *between, const struct wr_schema *schema)
{
    for (uint32_t i = from; i < expr->arg_count; i++) {
        if (i > from) {
            wr_buf_text(buf, between);
        }
        wr_expr_text(buf, expr->args[i], schema);
    }
}

static bool is_infix(const struct wr_expr *expr)
{
    switch (expr->kind) {
    case WR_EXPR_CALL:
        return (wr_functions[expr->function].flags & WR_FN_OPERATOR) != 0;
    case WR_EXPR_AND:
    case WR_EXPR_OR:
    case WR_EXPR_NOT:
    case WR_EXPR_IS_NULL:
    case WR_EXPR_IS_NOT_NULL:
    case WR_EXPR_IS_TRUE:
    case WR_EXPR_IS_FALSE:
    case WR_EXPR_IS_DISTINCT:
    case WR_EXPR_IN:
        return true;
    default:
        return false;
    }
}

/* An operand: in parentheses when it is itself an operator's result. */
static void operand_text(struct wr_buf *buf, const struct wr_expr *expr,
                         const struct wr_schema *schema)
{
    const bool inside = is_infix(expr);
    wr_buf_text(buf, inside ? "(" : "");
    wr_expr_text(buf, expr, schema);
    wr_buf_text(buf, inside ? ")" : "");
}

static void operands_text(struct wr_buf *buf, const struct wr_expr *expr, const char *between,
                          const struct wr_schema *schema)
{
    for (uint32_t i = 0; i < expr->arg_count; i++) {
        if (i > 0) {
            wr_buf_printf(buf, " %s ", between);
        }
        operand_text(buf, expr->args[i], schema);
    }
}

/* a.b, a[1], m['k'], ARRAY[…], ROW(…), MAP[…]. False: another call. */
static bool nested_text(struct wr_buf *buf, const struct wr_expr *expr,
                        const struct wr_schema *schema)
{
    const char *open = NULL;
    switch (expr->function) {
    case WR_FN_STRUCT_FIELD:
        operand_text(buf, expr->args[0], schema);
        wr_buf_printf(buf, ".%s", wr_nested_of(expr->args[0]->type)
                                      ->fields[expr->args[1]->value.i32].name);
        return true;
    case WR_FN_ARRAY_ELEMENT:
    case WR_FN_MAP_VALUE:
        operand_text(buf, expr->args[0], schema);
        wr_buf_byte(buf, '[');
        wr_expr_text(buf, expr->args[1], schema);
        wr_buf_byte(buf, ']');
        return true;
    case WR_FN_MAKE_ARRAY:
        open = "ARRAY[";
        break;
    case WR_FN_MAKE_MAP:
        open = "MAP[";
        break;
    case WR_FN_MAKE_STRUCT:
        wr_buf_text(buf, "ROW(");
        for (uint32_t i = 0; i < expr->arg_count; i++) {
            wr_buf_text(buf, i > 0 ? ", " : "");
            wr_expr_text(buf, expr->args[i], schema);
            wr_buf_printf(buf, " AS %s", wr_nested_of(expr->type)->fields[i].name);
        }
        wr_buf_byte(buf, ')');
        return true;
    default:
        return false;
    }
    wr_buf_text(buf, open);
    list_text(buf, expr, 0, ", ", schema);
    wr_buf_byte(buf, ']');
    return true;
}

static void call_text(struct wr_buf *buf, const struct wr_expr *expr,
                      const struct wr_schema *schema)
{
    const struct wr_function_row *row = &wr_functions[expr->function];
    const char *name = row->name;
    if (nested_text(buf, expr, schema)) {
        return;
    }
    if (!(row->flags & WR_FN_OPERATOR)) {
        wr_buf_printf(buf, "%s(", name);
        list_text(buf, expr, 0, ", ", schema);
        wr_buf_byte(buf, ')');
        return;
    }
    if (expr->arg_count == 1) {
        wr_buf_text(buf, name[0] == 'u' ? name + 1 : name);
        operand_text(buf, expr->args[0], schema);
        return;
    }
    operand_text(buf, expr->args[0], schema);
    wr_buf_printf(buf, " %s ",
                  strcmp(name, "like") == 0    ? "LIKE"
                  : strcmp(name, "ilike") == 0 ? "ILIKE"
                                               : name);
    operand_text(buf, expr->args[1], schema);
    if (expr->arg_count == 3) {
        wr_buf_text(buf, " ESCAPE ");
        operand_text(buf, expr->args[2], schema);
    }
}

static void case_text(struct wr_buf *buf, const struct wr_expr *expr,
                      const struct wr_schema *schema)
{
    wr_buf_text(buf, "CASE");
    uint32_t i = 0;
    for (; i + 1 < expr->arg_count; i += 2) {
        wr_buf_text(buf, " WHEN ");
        wr_expr_text(buf, expr->args[i], schema);
        wr_buf_text(buf, " THEN ");
        wr_expr_text(buf, expr->args[i + 1], schema);
    }
    if (i < expr->arg_count) {
        wr_buf_text(buf, " ELSE ");
        wr_expr_text(buf, expr->args[i], schema);
    }
    wr_buf_text(buf, " END");
}

static void column_text(struct wr_buf *buf, uint32_t column, const struct wr_schema *schema)
{
    if (schema != NULL && column < schema->count && schema->fields[column].name != NULL) {
        wr_buf_text(buf, schema->fields[column].name);
    } else {
        wr_buf_printf(buf, "$%u", column);
    }
}

static void suffix_text(struct wr_buf *buf, const struct wr_expr *expr, const char *suffix,
                        const struct wr_schema *schema)
{
    operand_text(buf, expr->args[0], schema);
    wr_buf_text(buf, suffix);
}

static void wrapped_text(struct wr_buf *buf, const char *name, const struct wr_expr *expr,
                         const struct wr_schema *schema)
{
    wr_buf_printf(buf, "%s(", name);
    list_text(buf, expr, 0, ", ", schema);
    if (expr->kind == WR_EXPR_CAST) {
        wr_buf_text(buf, " AS ");
        wr_type_text(buf, expr->type);
    }
    wr_buf_byte(buf, ')');
}

void wr_expr_text(struct wr_buf *buf, const struct wr_expr *expr, const struct wr_schema *schema)
{
    switch (expr->kind) {
    case WR_EXPR_COLUMN:
        column_text(buf, expr->column, schema);
        break;
    case WR_EXPR_CONST:
        const_text(buf, expr);
        break;
    case WR_EXPR_CALL:
        call_text(buf, expr, schema);
        break;
    case WR_EXPR_CAST:
        wrapped_text(buf, expr->try_cast ? "TRY_CAST" : "CAST", expr, schema);
        break;
    case WR_EXPR_AND:
        operands_text(buf, expr, "AND", schema);
        break;
    case WR_EXPR_OR:
        operands_text(buf, expr, "OR", schema);
        break;
    case WR_EXPR_NOT:
        wr_buf_text(buf, "NOT ");
        operand_text(buf, expr->args[0], schema);
        break;
    case WR_EXPR_IS_NULL:
        suffix_text(buf, expr, " IS NULL", schema);
        break;
    case WR_EXPR_IS_NOT_NULL:
        suffix_text(buf, expr, " IS NOT NULL", schema);
        break;
    case WR_EXPR_IS_TRUE:
        suffix_text(buf, expr, " IS TRUE", schema);
        break;
    case WR_EXPR_IS_FALSE:
        suffix_text(buf, expr, " IS FALSE", schema);
        break;
    case WR_EXPR_IS_DISTINCT:
        operands_text(buf, expr, "IS DISTINCT FROM", schema);
        break;
    case WR_EXPR_CASE:
        case_text(buf, expr, schema);
        break;
    case WR_EXPR_COALESCE:
        wrapped_text(buf, "coalesce", expr, schema);
        break;
    case WR_EXPR_NULLIF:
        wrapped_text(buf, "nullif", expr, schema);
        break;
    case WR_EXPR_IN:
        suffix_text(buf, expr, " IN (", schema);
        list_text(buf, expr, 1, ", ", schema);
        wr_buf_byte(buf, ')');
        break;
    }
}
