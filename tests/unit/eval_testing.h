/* eval_testing.h: expressions from a small notation, for tables of cases.
 *
 *   case      = literal | NAME ["<" type ">"] "(" [case {"," case}] ")"
 *   literal   = type ":" value     value: NULL, 'quoted' ('' is a quote), or bare up to , or )
 *   type      = a letter of plan/function.h's signatures; n with precision.scale: n10.2
 *   NAME      = a row of the function table, or AND OR NOT IS_NULL IS_NOT_NULL IS_TRUE IS_FALSE
 * IS_DISTINCT CASE
 *               COALESCE NULLIF IN CAST TRY_CAST (those whose type does not follow say it in < >)
 *
 * Each case is evaluated three times: with its literals as constants (so it is folded, where that
 * is possible), with the literals as columns of a batch of many rows, and with those under a
 * selection whose other rows are dead. All must give the expected text: the value's SQL text, NULL,
 * or "!" and the beginning of the row's error.
 */
#ifndef WR_TESTS_EVAL_TESTING_H
#define WR_TESTS_EVAL_TESTING_H

#include "base/arena.h"
#include "batch/text.h"
#include "exec/eval.h"
#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>

struct eval_case {
    const char *text;
    const char *expected;
};

#define CASE_ROWS 133u
#define CASE_COLUMNS_MAX 32u

struct case_parser {
    struct wr_arena arena;
    const char *text;
    const char *at;
};

static struct wr_expr *parse_case(struct case_parser *p);

static void skip_blanks(struct case_parser *p)
{
    while (*p->at == ' ') {
        p->at++;
    }
}

static struct wr_type parse_type(struct case_parser *p)
{
    struct wr_type type = wr_function_type(*p->at);
    cr_assert_neq(type.id, WR_TYPE_NULL, "unknown type at %s", p->at);
    p->at++;
    if (type.id == WR_TYPE_DECIMAL && isdigit((unsigned char)*p->at)) {
        char *end;
        type.precision = (uint8_t)strtoul(p->at, &end, 10);
        cr_assert_eq(*end, '.');
        type.scale = (uint8_t)strtoul(end + 1, &end, 10);
        p->at = end;
    } else if (type.id == WR_TYPE_DECIMAL) {
        type.precision = 38;
    }
    return type;
}

static struct wr_slice parse_value(struct case_parser *p, bool *null)
{
    char *out = wr_arena_alloc(&p->arena, strlen(p->at) + 1);
    size_t bytes = 0;
    *null = false;
    if (*p->at == '\'') {
        p->at++;
        while (*p->at != '\0' && (*p->at != '\'' || p->at[1] == '\'')) {
            p->at += *p->at == '\'';
            out[bytes++] = *p->at++;
        }
        p->at++;
        return (struct wr_slice){ out, bytes };
    }
    while (*p->at != '\0' && *p->at != ',' && *p->at != ')') {
        out[bytes++] = *p->at++;
    }
    *null = bytes == 4 && memcmp(out, "NULL", 4) == 0;
    return (struct wr_slice){ out, bytes };
}

static struct wr_expr *parse_literal(struct case_parser *p)
{
    struct wr_expr *expr = WR_ARENA_NEW(&p->arena, struct wr_expr);
    expr->kind = WR_EXPR_CONST;
    expr->type = parse_type(p);
    cr_assert_eq(*p->at, ':', "expected ':' at %s", p->at);
    p->at++;
    const struct wr_slice value = parse_value(p, &expr->is_null);
    if (!expr->is_null) {
        cr_assert(wr_text_parse(expr->type, value, &expr->value), "bad literal in %s", p->text);
    }
    return expr;
}

static bool named(const char *name, size_t bytes, const char *wanted)
{
    return strlen(wanted) == bytes && memcmp(name, wanted, bytes) == 0;
}

static void set_kind(struct wr_expr *expr, const char *name, size_t bytes)
{
    static const struct {
        const char *name;
        enum wr_expr_kind kind;
    } kinds[] = {
        { "AND", WR_EXPR_AND },           { "OR", WR_EXPR_OR },
        { "NOT", WR_EXPR_NOT },           { "IS_NULL", WR_EXPR_IS_NULL },
        { "IS_NOT_NULL", WR_EXPR_IS_NOT_NULL }, { "IS_TRUE", WR_EXPR_IS_TRUE },
        { "IS_FALSE", WR_EXPR_IS_FALSE }, { "IS_DISTINCT", WR_EXPR_IS_DISTINCT },
        { "CASE", WR_EXPR_CASE },         { "COALESCE", WR_EXPR_COALESCE },
        { "NULLIF", WR_EXPR_NULLIF },     { "IN", WR_EXPR_IN },
        { "CAST", WR_EXPR_CAST },         { "TRY_CAST", WR_EXPR_CAST },
    };
    expr->try_cast = named(name, bytes, "TRY_CAST");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (named(name, bytes, kinds[i].name)) {
            expr->kind = kinds[i].kind;
            expr->type = wr_type_of(WR_TYPE_BOOL);
            return;
        }
    }
    expr->kind = WR_EXPR_CALL;
    for (uint32_t f = 0; f < WR_FUNCTION_COUNT_; f++) {
        if (named(name, bytes, wr_functions[f].id)) {
            expr->function = (enum wr_function)f;
            expr->type = wr_function_type(strchr(wr_functions[f].signature, '>')[1]);
            return;
        }
    }
    cr_assert_fail("unknown name %.*s", (int)bytes, name);
}

static struct wr_expr *parse_node(struct case_parser *p)
{
    struct wr_expr *expr = WR_ARENA_NEW(&p->arena, struct wr_expr);
    struct wr_expr *args[64];
    const char *name = p->at;
    while (isalnum((unsigned char)*p->at) || *p->at == '_') {
        p->at++;
    }
    set_kind(expr, name, (size_t)(p->at - name));
    if (*p->at == '<') {
        p->at++;
        expr->type = parse_type(p);
        cr_assert_eq(*p->at++, '>');
    }
    cr_assert_eq(*p->at, '(', "expected '(' at %s", p->at);
    p->at++;
    for (skip_blanks(p); *p->at != ')'; skip_blanks(p)) {
        args[expr->arg_count++] = parse_case(p);
        skip_blanks(p);
        if (*p->at == ',') {
            p->at++;
        }
    }
    p->at++;
    expr->args = WR_ARENA_ARRAY(&p->arena, struct wr_expr *, expr->arg_count + 1);
    memcpy(expr->args, args, expr->arg_count * sizeof *args);
    if (expr->kind == WR_EXPR_NULLIF || expr->kind == WR_EXPR_COALESCE) {
        expr->type = expr->args[0]->type;
    }
    return expr;
}

static struct wr_expr *parse_case(struct case_parser *p)
{
    skip_blanks(p);
    const char *start = p->at;
    const char *colon = p->at;
    while (isalnum((unsigned char)*colon) || *colon == '.') {
        colon++;
    }
    struct wr_expr *expr = *colon == ':' ? parse_literal(p) : parse_node(p);
    expr->at = (uint32_t)(start - p->text);
    expr->at_bytes = (uint32_t)(p->at - start);
    return expr;
}

/* ---- literals as columns ---- */

struct case_batch {
    struct wr_batch batch;
    struct wr_column columns[CASE_COLUMNS_MAX];
    struct wr_field fields[CASE_COLUMNS_MAX];
    struct wr_schema schema;
    uint32_t sel[CASE_ROWS];
};

static void literal_to_column(struct case_parser *p, struct case_batch *b, struct wr_expr *expr)
{
    for (uint32_t i = 0; i < expr->arg_count; i++) {
        literal_to_column(p, b, expr->args[i]);
    }
    if (expr->kind != WR_EXPR_CONST) {
        return;
    }
    const uint32_t number = b->batch.columns_count++;
    cr_assert_lt(number, CASE_COLUMNS_MAX);
    const uint32_t width = wr_type_width(expr->type);
    struct wr_column *column = &b->columns[number];
    column->type = expr->type;
    column->values = wr_arena_zalloc(&p->arena, (size_t)width * CASE_ROWS);
    for (uint32_t i = 0; i < wr_batch_live(&b->batch); i++) {
        const uint32_t row = wr_batch_row(&b->batch, i);
        if (!expr->is_null) {
            memcpy((char *)column->values + (size_t)row * width, &expr->value, width);
        }
    }
    if (expr->is_null) {
        column->validity = wr_arena_zalloc(&p->arena, WR_BITMAP_BYTES(CASE_ROWS));
    }
    b->fields[number] = (struct wr_field){ .name = "c", .type = expr->type };
    b->schema.count = b->batch.columns_count;
    expr->kind = WR_EXPR_COLUMN;
    expr->column = number;
}

enum case_mode { CASE_CONSTANTS, CASE_COLUMNS, CASE_SELECTION, CASE_MODES };

static void result_text(struct wr_buf *buf, const struct wr_column *result,
                        const struct wr_eval_faults *faults, uint32_t row)
{
    for (uint32_t i = 0; i < faults->count; i++) {
        if (faults->items[i].row == row) {
            wr_buf_byte(buf, '!');
            wr_buf_text(buf, faults->items[i].message);
            cr_assert(wr_column_is_null(result, row), "a failed row is NULL");
            return;
        }
    }
    if (wr_column_is_null(result, row)) {
        wr_buf_text(buf, "NULL");
        return;
    }
    const uint32_t width = wr_type_width(result->type);
    wr_text_format(buf, result->type, (const char *)result->values + (size_t)row * width);
}

static void expect(const struct eval_case *c, enum case_mode mode, const char *got)
{
    const bool fails = c->expected[0] == '!';
    const bool same = fails ? strncmp(c->expected, got, strlen(c->expected)) == 0
                            : strcmp(c->expected, got) == 0;
    cr_expect(same, "%s (mode %d): expected %s, got %s", c->text, (int)mode, c->expected, got);
}

static void check_rows(const struct eval_case *c, enum case_mode mode, struct case_parser *p,
                       struct case_batch *b, struct wr_eval *eval)
{
    struct wr_eval_faults faults = { 0 };
    struct wr_column result;
    for (int run = 0; run < 2; run++) { /* the second time over what the first left behind */
        faults.count = 0;
        wr_eval_run(eval, &b->batch, 1700000000000000, &p->arena, &faults, &result);
        for (uint32_t i = 0; i < faults.count; i++) {
            bool live = false;
            for (uint32_t k = 0; k < wr_batch_live(&b->batch); k++) {
                live |= wr_batch_row(&b->batch, k) == faults.items[i].row;
            }
            cr_expect(live, "%s: row %u is not selected and failed", c->text, faults.items[i].row);
        }
        for (uint32_t i = 0; i < wr_batch_live(&b->batch); i += 11) {
            struct wr_buf got = { 0 };
            result_text(&got, &result, &faults, wr_batch_row(&b->batch, i));
            expect(c, mode, wr_buf_cstr(&got));
            wr_buf_deinit(&got);
        }
    }
    wr_eval_faults_deinit(&faults);
}

static void check_case(const struct eval_case *c, enum case_mode mode)
{
    static struct case_batch b;
    struct case_parser p = { .text = c->text, .at = c->text };
    memset(&b, 0, sizeof b);
    b.batch.columns = b.columns;
    b.schema.fields = b.fields;
    b.batch.rows = mode == CASE_CONSTANTS ? 1 : CASE_ROWS;
    if (mode == CASE_SELECTION) {
        b.batch.sel = b.sel;
        for (uint32_t row = 1; row < CASE_ROWS; row += 3) {
            b.sel[b.batch.sel_count++] = row;
        }
    }
    struct wr_expr *expr = parse_case(&p);
    cr_assert_eq(*p.at, '\0', "trailing text in %s: %s", c->text, p.at);
    if (mode != CASE_CONSTANTS) {
        literal_to_column(&p, &b, expr);
    }
    struct wr_eval *eval = NULL;
    struct wr_error err;
    if (wr_eval_create(&eval, expr, &b.schema, wr_slice_of(c->text), &err) != WR_OK) {
        struct wr_buf got = { 0 };
        wr_buf_printf(&got, "!%s", err.message);
        expect(c, mode, wr_buf_cstr(&got));
        wr_buf_deinit(&got);
    } else {
        check_rows(c, mode, &p, &b, eval);
        wr_eval_destroy(eval);
    }
    wr_arena_deinit(&p.arena);
}

static void check_cases(const struct eval_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (int mode = 0; mode < CASE_MODES; mode++) {
            check_case(&cases[i], (enum case_mode)mode);
        }
    }
}

#define CHECK_CASES(cases) check_cases(cases, sizeof(cases) / sizeof(cases)[0])

#endif
