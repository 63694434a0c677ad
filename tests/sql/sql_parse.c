/* sql_parse.c: what Weir's parser makes of queries. Reads queries from standard input, each ended
 * by a NUL byte, and prints a line for each: "accept", a tab and the query written anew from the
 * syntax tree, with every grouping in parentheses and every column in double quotes; or "reject", a
 * tab and the message. Nothing is bound: names and types of columns do not matter.
 * test_pg_oracle.py holds it against PostgreSQL's own parser. */
#include "base/buf.h"
#include "sql/parse.h"

#include <stdio.h>
#include <stdlib.h>

static const char prefix[] = "CREATE VIEW v AS ";
static bool star_misplaced; /* the parser leaves it to the binder where a bare * may stand */

static void write_query(struct wr_buf *out, const struct wr_ast_query *query);
static void write_expr(struct wr_buf *out, const struct wr_ast_expr *e);

static void write_quoted(struct wr_buf *out, struct wr_slice text, char quote)
{
    wr_buf_byte(out, (uint8_t)quote);
    for (size_t i = 0; i < text.bytes; i++) {
        wr_buf_byte(out, (uint8_t)text.data[i]);
        if (text.data[i] == quote) {
            wr_buf_byte(out, (uint8_t)quote);
        }
    }
    wr_buf_byte(out, (uint8_t)quote);
}

/* Quoted in any case, so that PostgreSQL's reserved words can be names as in Weir. */
static void write_name(struct wr_buf *out, const struct wr_ast_name *name)
{
    const size_t begin = out->bytes;
    write_quoted(out, name->text, '"');
    for (size_t i = begin; i < out->bytes && !name->quoted; i++) {
        out->data[i] = (char)(out->data[i] >= 'A' && out->data[i] <= 'Z' ? out->data[i] | 0x20
                                                                         : out->data[i]);
    }
}

static void write_parts(struct wr_buf *out, const struct wr_ast_expr *e)
{
    for (uint32_t i = 0; i < e->part_count; i++) {
        wr_buf_text(out, i > 0 ? "." : "");
        write_name(out, &e->parts[i]);
    }
}

static void write_args(struct wr_buf *out, const struct wr_ast_expr *e, uint32_t from,
                       const char *between)
{
    for (uint32_t i = from; i < e->arg_count; i++) {
        wr_buf_text(out, i > from ? between : "");
        write_expr(out, e->args[i]);
    }
}

static void write_alias(struct wr_buf *out, const struct wr_ast_name *alias)
{
    if (alias->text.bytes > 0) {
        wr_buf_text(out, " AS ");
        write_name(out, alias);
    }
}

static void write_call(struct wr_buf *out, const struct wr_ast_expr *e)
{
    if (e->parts[0].quoted) {
        write_name(out, &e->parts[0]);
    } else { /* as written: coalesce and its like are words of the grammar */
        wr_buf_append(out, e->parts[0].text.data, e->parts[0].text.bytes);
    }
    wr_buf_text(out, e->star ? "(*" : e->distinct ? "(DISTINCT " : "(");
    const bool position = !e->parts[0].quoted && e->arg_count == 2 &&
                          wr_slice_equal_nocase(e->parts[0].text, wr_slice_of("position"));
    write_args(out, e, 0, position ? " IN " : ", ");
    wr_buf_text(out, ")");
    if (e->filter != NULL) {
        wr_buf_text(out, " FILTER (WHERE ");
        write_expr(out, e->filter);
        wr_buf_text(out, ")");
    }
}

static void write_case(struct wr_buf *out, const struct wr_ast_expr *e)
{
    const uint32_t end = e->arg_count - e->has_else;
    uint32_t i = 0;
    wr_buf_text(out, "CASE ");
    if (e->has_operand) {
        write_expr(out, e->args[i++]);
    }
    for (; i + 1 < end; i += 2) {
        wr_buf_text(out, " WHEN ");
        write_expr(out, e->args[i]);
        wr_buf_text(out, " THEN ");
        write_expr(out, e->args[i + 1]);
    }
    if (e->has_else) {
        wr_buf_text(out, " ELSE ");
        write_expr(out, e->args[end]);
    }
    wr_buf_text(out, " END");
}

static void write_infix(struct wr_buf *out, const struct wr_ast_expr *e, const char *op)
{
    write_expr(out, e->args[0]);
    wr_buf_printf(out, "%s%s ", e->negated ? " NOT " : " ", op);
}

static void write_operation(struct wr_buf *out, const struct wr_ast_expr *e)
{
    char type[64];
    switch (e->kind) {
    case WR_AST_UNARY:
        wr_buf_printf(out, "%s ", e->op + 1); /* "u-" */
        write_expr(out, e->args[0]);
        return;
    case WR_AST_NOT:
        wr_buf_text(out, "NOT ");
        write_expr(out, e->args[0]);
        return;
    case WR_AST_BINARY:
        write_infix(out, e, e->op);
        write_expr(out, e->args[1]);
        return;
    case WR_AST_AND:
    case WR_AST_OR:
        write_args(out, e, 0, e->kind == WR_AST_AND ? " AND " : " OR ");
        return;
    case WR_AST_IS:
        write_expr(out, e->args[0]);
        wr_buf_printf(out, " IS%s %s", e->negated ? " NOT" : "", e->op);
        return;
    case WR_AST_DISTINCT_FROM:
        write_expr(out, e->args[0]);
        wr_buf_printf(out, " IS%s DISTINCT FROM ", e->negated ? " NOT" : "");
        write_expr(out, e->args[1]);
        return;
    case WR_AST_BETWEEN:
        write_infix(out, e, "BETWEEN");
        write_args(out, e, 1, " AND ");
        return;
    case WR_AST_IN:
        write_infix(out, e, "IN (");
        write_args(out, e, 1, ", ");
        wr_buf_text(out, ")");
        return;
    case WR_AST_LIKE:
        write_infix(out, e, e->op);
        write_args(out, e, 1, " ESCAPE ");
        return;
    case WR_AST_CAST:
        wr_buf_text(out, e->try_cast ? "TRY_CAST(" : "CAST(");
        write_expr(out, e->args[0]);
        wr_buf_printf(out, " AS %s)", wr_type_name(e->type, type, sizeof(type)));
        return;
    case WR_AST_INDEX:
        wr_buf_text(out, "(");
        write_expr(out, e->args[0]);
        wr_buf_text(out, ")[");
        write_expr(out, e->args[1]);
        wr_buf_text(out, "]");
        return;
    case WR_AST_ARRAY:
    case WR_AST_MAP:
        wr_buf_text(out, e->kind == WR_AST_ARRAY ? "ARRAY[" : "MAP[");
        write_args(out, e, 0, ", ");
        wr_buf_text(out, "]");
        return;
    case WR_AST_ROW:
        wr_buf_text(out, "ROW(");
        for (uint32_t i = 0; i < e->arg_count; i++) {
            wr_buf_text(out, i > 0 ? ", " : "");
            write_expr(out, e->args[i]);
            write_alias(out, &e->parts[i]);
        }
        wr_buf_text(out, ")");
        return;
    default: /* (a).b: PostgreSQL tells it from a.b */
        wr_buf_text(out, "(");
        write_expr(out, e->args[0]);
        wr_buf_text(out, ").");
        write_parts(out, e);
        return;
    }
}

static void write_expr(struct wr_buf *out, const struct wr_ast_expr *e)
{
    switch (e->kind) {
    case WR_AST_NAME:
        write_parts(out, e);
        return;
    case WR_AST_STAR:
        star_misplaced = star_misplaced || e->part_count == 0;
        write_parts(out, e);
        wr_buf_text(out, e->part_count > 0 ? ".*" : "*");
        return;
    case WR_AST_NUMBER:
        wr_buf_append(out, e->text.data, e->text.bytes);
        return;
    case WR_AST_STRING:
        write_quoted(out, e->text, '\'');
        return;
    case WR_AST_NULL:
    case WR_AST_TRUE:
    case WR_AST_FALSE:
        wr_buf_text(out, e->kind == WR_AST_NULL   ? "NULL"
                         : e->kind == WR_AST_TRUE ? "TRUE"
                                                  : "FALSE");
        return;
    case WR_AST_INTERVAL:
        wr_buf_text(out, "INTERVAL ");
        write_quoted(out, e->text, '\'');
        wr_buf_printf(out, " %.*s", WR_SLICE_ARG(e->unit));
        return;
    case WR_AST_CALL:
        write_call(out, e);
        return;
    case WR_AST_CASE:
        write_case(out, e);
        return;
    default:
        wr_buf_text(out, "(");
        write_operation(out, e);
        wr_buf_text(out, ")");
        return;
    }
}

static void write_from(struct wr_buf *out, const struct wr_ast_from *from);

static void write_unnest(struct wr_buf *out, const struct wr_ast_from *from)
{
    write_from(out, from->input);
    wr_buf_text(out, from->outer ? " LEFT JOIN UNNEST(" : " CROSS JOIN UNNEST(");
    write_expr(out, from->value);
    wr_buf_text(out, from->ordinality ? ") WITH ORDINALITY" : ")");
    write_alias(out, &from->alias);
    for (uint32_t i = 0; i < from->name_count; i++) {
        wr_buf_text(out, i > 0 ? ", " : "(");
        write_name(out, &from->names[i]);
    }
    wr_buf_text(out, from->name_count > 0 ? ")" : "");
    wr_buf_text(out, from->outer ? " ON TRUE" : "");
}

static void write_from(struct wr_buf *out, const struct wr_ast_from *from)
{
    if (from->kind == WR_AST_FROM_UNNEST) {
        write_unnest(out, from);
        return;
    }
    if (from->kind == WR_AST_FROM_QUERY) {
        wr_buf_text(out, "(");
        write_query(out, from->query);
        wr_buf_text(out, ")");
    } else { /* of a window function only the name: PostgreSQL has none */
        write_name(out, &from->name);
    }
    write_alias(out, &from->alias);
}

static void write_select(struct wr_buf *out, const struct wr_ast_select *select)
{
    if (select->nested != NULL) {
        write_query(out, select->nested);
        return;
    }
    wr_buf_text(out, "SELECT ");
    for (uint32_t i = 0; i < select->item_count; i++) {
        wr_buf_text(out, i > 0 ? ", " : "");
        const struct wr_ast_item *item = &select->items[i];
        if (item->expr->kind == WR_AST_STAR && item->expr->part_count == 0 &&
            item->alias.text.bytes == 0) {
            wr_buf_text(out, "*");
        } else {
            write_expr(out, item->expr);
            write_alias(out, &item->alias);
        }
    }
    wr_buf_text(out, " FROM ");
    write_from(out, select->from);
    if (select->where != NULL) {
        wr_buf_text(out, " WHERE ");
        write_expr(out, select->where);
    }
    for (uint32_t i = 0; i < select->group_count; i++) {
        wr_buf_text(out, i > 0 ? ", " : " GROUP BY ");
        write_expr(out, select->group[i]);
    }
    if (select->having != NULL) {
        wr_buf_text(out, " HAVING ");
        write_expr(out, select->having);
    }
}

static void write_query(struct wr_buf *out, const struct wr_ast_query *query)
{
    for (uint32_t i = 1; i < query->branch_count; i++) {
        wr_buf_text(out, "(");
    }
    for (uint32_t i = 0; i < query->branch_count; i++) {
        wr_buf_text(out, i > 0 ? " UNION ALL (" : "(");
        write_select(out, &query->branches[i]);
        wr_buf_text(out, i > 0 ? "))" : ")");
    }
}

/* One query is one line: a line break in it goes as the unit separator, which text never has. */
static void print_line(const char *verdict, struct wr_slice text)
{
    printf("%s\t", verdict);
    for (size_t i = 0; i < text.bytes; i++) {
        putchar(text.data[i] == '\n' ? 0x1f : text.data[i]);
    }
    putchar('\n');
}

static void parse_one(const char *query, size_t bytes)
{
    struct wr_buf text = {0};
    wr_buf_text(&text, prefix);
    wr_buf_append(&text, query, bytes);
    const struct wr_sql_text sql = {"q", {text.data, text.bytes}};
    struct wr_arena arena;
    wr_arena_init(&arena, 16 * 1024);
    struct wr_ast ast;
    struct wr_error err = {0};
    if (wr_parse(&sql, &arena, &ast, &err) != WR_OK) {
        print_line("reject", wr_slice_of(err.message));
    } else if (ast.count != 1 || ast.statements[0].has_options) {
        print_line("reject", wr_slice_of("not one query"));
    } else {
        struct wr_buf out = {0};
        star_misplaced = false;
        write_query(&out, ast.statements[0].query);
        print_line(star_misplaced ? "reject" : "accept",
                   star_misplaced ? wr_slice_of("misplaced *")
                                  : (struct wr_slice){out.data, out.bytes});
        wr_buf_deinit(&out);
    }
    wr_arena_deinit(&arena);
    wr_buf_deinit(&text);
}

int main(void)
{
    char *query = NULL;
    size_t room = 0;
    ssize_t bytes;
    while ((bytes = getdelim(&query, &room, '\0', stdin)) >= 0) {
        if (bytes > 0 && query[bytes - 1] == '\0') {
            bytes--;
        }
        parse_one(query, (size_t)bytes);
    }
    free(query);
    return 0;
}
