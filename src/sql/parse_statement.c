/* clang-format off */
/* parse_statement.c: statements: recursive descent with two tokens of look-ahead.
 *
 * The grammar (EBNF; words in capitals are keywords by place, any of them may be a column's name
 * unless wr_parse_is_reserved lists it):
 *
 *   pipeline   = { [ statement ] ";" } ;
 *   statement  = CREATE [ OR REPLACE ] [ TEMPORARY ] ( source | sink | table | view )
 *              | insert | set ;
 *   source     = SOURCE [ IF NOT EXISTS ] name [ columns ] [ with ] ;
 *   sink       = SINK [ IF NOT EXISTS ] name [ columns ] { partition | with }
 *                [ AS query { partition | with } ] ;
 *   table      = TABLE [ IF NOT EXISTS ] name [ columns ] { partition | with } ;
 *   view       = VIEW [ IF NOT EXISTS ] name AS query ;
 *   insert     = INSERT INTO name [ "(" name { "," name } ")" ] query ;
 *   set        = SET ( path | string ) ( "=" | TO ) value ;
 *   columns    = "(" [ column { "," column } ] ")" ;
 *   column     = path ( type { NOT NULL | NULL | VIRTUAL | METADATA [ FROM string ]
 *                            | GENERATED ALWAYS AS "(" expr ")" [ STORED | VIRTUAL ] }
 *                     | AS expr )
 *              | WATERMARK FOR name [ AS expr ] ;
 *   with       = WITH "(" [ option { "," option } ] ")" ;
 *   option     = ( path | string ) "=" value ;
 *   value      = string | [ "-" ] number | name ;
 *   partition  = PARTITIONED BY "(" items ")" ;
 *
 *   query      = branch { UNION ALL branch } ;
 *   branch     = "(" query ")"
 *              | SELECT [ ALL ] items FROM from [ [ AS ] name ] { unnest } [ WHERE expr ]
 *                [ GROUP BY expr { "," expr } ] [ HAVING expr ] [ EMIT ON WINDOW CLOSE ] ;
 *   items      = expr [ [ AS ] name ] { "," expr [ [ AS ] name ] } ;
 *   from       = name | "(" query ")" | window | TABLE "(" window ")" ;
 *   unnest     = ( "," | CROSS JOIN | [ INNER | LEFT [ OUTER ] ] JOIN ) [ LATERAL ] UNNEST "(" expr ")"
 *                [ WITH ORDINALITY ] [ [ AS ] name [ "(" name { "," name } ")" ] ] [ ON TRUE ] ;
 *   window     = ( TUMBLE | HOP | SESSION ) "(" argument { "," argument } ")" ;
 *   argument   = [ name "=>" ] ( [ TABLE ] from | DESCRIPTOR "(" expr ")" | expr ) ;
 *
 *   expr       = expr OR expr | expr AND expr | NOT expr | expr IS [ NOT ] test
 *              | expr ISNULL | expr NOTNULL
 *              | expr compare expr | expr [ NOT ] BETWEEN expr AND expr
 *              | expr [ NOT ] IN "(" expr { "," expr } ")"
 *              | expr [ NOT ] ( LIKE | ILIKE ) expr [ ESCAPE expr ]
 *              | expr operator expr | ( "-" | "+" | "~" ) expr | expr "::" type | expr "." name
 *              | expr "[" expr "]" | ( ARRAY | MAP ) "[" [ expr { "," expr } ] "]"
 *              | ( ROW | STRUCT ) "(" expr [ AS name ] { "," expr [ AS name ] } ")"
 *              | "(" expr ")" | path | path ".*" | "*" | constant | call | case | cast ;
 *   compare    = "=" | "==" | "<>" | "!=" | "<" | "<=" | ">" | ">=" ;
 *   test       = NULL | TRUE | FALSE | UNKNOWN | DISTINCT FROM expr ;
 *   operator   = "||" | "->" | "->>" | "~" | "~*" | "!~" | "!~*" | "&" | "|" | "#" | "<<" | ">>"
 *              | "+" | "-" | "*" | "/" | "%" | "^" ;
 *   call       = name "(" [ "*" | [ DISTINCT ] expr { "," expr } ] ")"
 *                [ FILTER "(" WHERE expr ")" ]
 *              | EXTRACT "(" ( name | string ) FROM expr ")" | POSITION "(" expr IN expr ")"
 *              | SUBSTRING "(" expr [ FROM expr ] [ FOR expr ] ")"
 *              | TRIM "(" [ BOTH | LEADING | TRAILING ] [ expr ] FROM expr ")" ;
 *   case       = CASE [ expr ] WHEN expr THEN expr { WHEN expr THEN expr } [ ELSE expr ] END ;
 *   cast       = ( CAST | TRY_CAST ) "(" expr AS type ")" | type string ; (* no sizes *)
 *   constant   = number | string | NULL | TRUE | FALSE | INTERVAL string [ unit ] ;
 *   path       = name { "." name } ;
 *
 * Precedence, least first: OR, AND, NOT, IS, comparison (not chained), BETWEEN IN LIKE (not
 * chained), other operators and prefix ~, + -, * / %, ^, unary - and +, "::", as PostgreSQL's. The
 * first bound of BETWEEN and both sides of POSITION are PostgreSQL's b_expr: LIKE, IN, NOT, AND, OR
 * and IS NULL stand in parentheses there.
 */
/* clang-format on */
#include "sql/parse.h"

#include "config/suggest.h"

static void fail_hint(struct wr_parser *p, uint32_t at, const char *what, const char *hint)
{
    wr_parser_fail(p, at, "%s", what);
    wr_parser_hint(p, "%s", hint);
}

static void skip_if_not_exists(struct wr_parser *p)
{
    if (wr_parser_is2(p, "if", "not")) {
        wr_parser_advance(p);
        wr_parser_advance(p);
        wr_parser_need(p, "EXISTS");
    }
}

static void parse_watermark(struct wr_parser *p, struct wr_ast_statement *s)
{
    const uint32_t at = p->token.at;
    wr_parser_advance(p);
    wr_parser_need(p, "FOR");
    if (s->watermark_column.text.bytes > 0) {
        fail_hint(p, at, "a source has one WATERMARK", "keep one of them");
    }
    s->watermark_column = wr_parser_name(p, "the event time column after WATERMARK FOR");
    if (wr_parser_take(p, "as")) {
        s->watermark = wr_parse_expr(p);
    }
}

static bool parse_generated(struct wr_parser *p, struct wr_ast_column *column)
{
    if (!wr_parser_take(p, "generated")) {
        return false;
    }
    wr_parser_need(p, "ALWAYS");
    wr_parser_need(p, "AS");
    wr_parser_need_sign(p, "(", "before the expression");
    column->computed = wr_parse_expr(p);
    wr_parser_need_sign(p, ")", "after the expression");
    if (!wr_parser_take(p, "stored")) {
        (void)wr_parser_take(p, "virtual");
    }
    return true;
}

static bool parse_metadata(struct wr_parser *p, struct wr_ast_column *column)
{
    if (!wr_parser_take(p, "metadata")) {
        return false;
    }
    column->metadata = column->parts[column->part_count - 1];
    if (wr_parser_take(p, "from")) {
        if (p->token.kind != WR_TOKEN_STRING) {
            wr_parser_expected(p, "a string such as 'timestamp' after METADATA FROM");
        }
        column->metadata.text = p->token.text;
        column->metadata.at = p->token.at;
        wr_parser_advance(p);
    }
    (void)wr_parser_take(p, "virtual");
    return true;
}

static void parse_constraints(struct wr_parser *p, struct wr_ast_column *column)
{
    for (;;) {
        if (wr_parser_take(p, "not")) {
            wr_parser_need(p, "NULL");
            column->not_null = true;
        } else if (wr_parser_is2(p, "primary", "key")) {
            fail_hint(p, p->token.at, "PRIMARY KEY is not there",
                      "leave it out: rows are appended, never updated");
        } else if (wr_parser_is(p, "default")) {
            fail_hint(p, p->token.at, "DEFAULT is not there",
                      "missing fields are NULL; use coalesce(column, value) in SELECT");
        } else if (wr_parser_take(p, "comment")) {
            if (p->token.kind != WR_TOKEN_STRING) {
                wr_parser_expected(p, "a string after COMMENT");
            }
            wr_parser_advance(p);
        } else if (!parse_generated(p, column) && !parse_metadata(p, column) &&
                   !wr_parser_take(p, "null")) {
            return;
        }
    }
}

static void parse_column(struct wr_parser *p, struct wr_ast_statement *s)
{
    if (wr_parser_is2(p, "primary", "key") || wr_parser_is2(p, "unique", "key")) {
        fail_hint(p, p->token.at, "PRIMARY KEY is not there",
                  "leave it out: rows are appended, never updated");
    }
    struct wr_ast_column column = {.at = p->token.at};
    do {
        column.parts = WR_GROW(p->arena, column.parts, column.part_count);
        column.parts[column.part_count++] = wr_parser_name(p, "a column's name");
    } while (wr_parser_take_sign(p, "."));
    if (wr_parser_take(p, "as")) {
        column.computed = wr_parse_expr(p);
    } else {
        column.type = wr_parse_type(p);
        column.has_type = true;
        parse_constraints(p, &column);
    }
    s->columns = WR_GROW(p->arena, s->columns, s->column_count);
    s->columns[s->column_count++] = column;
}

static void parse_columns(struct wr_parser *p, struct wr_ast_statement *s)
{
    if (!wr_parser_take_sign(p, "(")) {
        return;
    }
    if (wr_parser_take_sign(p, ")")) {
        return;
    }
    do {
        if (wr_parser_is2(p, "watermark", "for")) {
            parse_watermark(p, s);
        } else {
            parse_column(p, s);
        }
    } while (wr_parser_take_sign(p, ","));
    wr_parser_need_sign(p, ")", "or \",\" after a column");
}

/* 'a.b' or a.b.c: dotted keys are joined. */
static struct wr_slice parse_key(struct wr_parser *p, const char *what)
{
    if (p->token.kind == WR_TOKEN_STRING) {
        const struct wr_slice text = p->token.text;
        wr_parser_advance(p);
        return text;
    }
    struct wr_ast_name name = wr_parser_name(p, what);
    struct wr_slice key = name.text;
    while (wr_parser_is_sign(p, ".") || wr_parser_is_sign(p, "-")) {
        const char *join = p->token.text.data;
        wr_parser_advance(p);
        const struct wr_ast_name next = wr_parser_name(p, "the rest of the option's name");
        char *joined = wr_arena_printf(p->arena, "%.*s%c%.*s", WR_SLICE_ARG(key), *join,
                                       WR_SLICE_ARG(next.text));
        key = wr_slice_of(joined);
    }
    return key;
}

static void parse_value(struct wr_parser *p, struct wr_ast_option *option)
{
    option->value_at = p->token.at;
    const bool minus = wr_parser_take_sign(p, "-");
    if (!minus && p->token.kind == WR_TOKEN_STRING) {
        option->value = p->token.text;
        /* Nothing was undone in it: places inside it are places in the text. */
        option->literal = p->token.end - p->token.at == p->token.text.bytes + 2;
    } else if (p->token.kind == WR_TOKEN_NUMBER) {
        option->value = p->token.text;
        if (minus) {
            option->value =
                wr_slice_of(wr_arena_printf(p->arena, "-%.*s", WR_SLICE_ARG(p->token.text)));
        }
    } else if (!minus && wr_parser_is_name(p)) {
        option->value = p->token.text;
    } else {
        wr_parser_expected(p, "a value in quotes");
        wr_parser_hint(p, "write name = 'value'");
        return;
    }
    wr_parser_advance(p);
}

static void parse_with(struct wr_parser *p, struct wr_ast_statement *s)
{
    if (s->has_options) {
        wr_parser_expected(p, "one WITH clause");
    }
    s->has_options = true;
    wr_parser_advance(p);
    wr_parser_need_sign(p, "(", "after WITH");
    if (wr_parser_take_sign(p, ")")) {
        return;
    }
    do {
        struct wr_ast_option option = {.name_at = p->token.at};
        option.name = parse_key(p, "an option's name");
        if (!wr_parser_take_sign(p, "=")) {
            wr_parser_expected(p, "\"=\" after the option's name");
        }
        parse_value(p, &option);
        s->options = WR_GROW(p->arena, s->options, s->option_count);
        s->options[s->option_count++] = option;
    } while (wr_parser_take_sign(p, ","));
    wr_parser_need_sign(p, ")", "or \",\" after an option");
}

static void parse_partitioned(struct wr_parser *p, struct wr_ast_statement *s)
{
    wr_parser_advance(p);
    wr_parser_need(p, "BY");
    wr_parser_need_sign(p, "(", "after PARTITIONED BY");
    wr_parse_item_list(p, &s->partition, &s->partition_count);
    wr_parser_need_sign(p, ")", "or \",\" in PARTITIONED BY");
}

static void parse_clauses(struct wr_parser *p, struct wr_ast_statement *s)
{
    for (;;) {
        if (wr_parser_is(p, "with")) {
            parse_with(p, s);
        } else if (wr_parser_is(p, "partitioned")) {
            parse_partitioned(p, s);
        } else {
            return;
        }
    }
}

static void parse_create_body(struct wr_parser *p, struct wr_ast_statement *s)
{
    skip_if_not_exists(p);
    s->name = wr_parser_name(p, "a name");
    parse_columns(p, s);
    parse_clauses(p, s);
    if (s->kind == WR_AST_CREATE_VIEW && s->column_count > 0) {
        fail_hint(p, s->columns[0].at, "a view has no column list",
                  "name its columns in SELECT: a AS b");
    }
    if (wr_parser_take(p, "as")) {
        if (s->kind == WR_AST_CREATE_SOURCE) {
            fail_hint(p, p->previous_end, "a source has no query",
                      "write CREATE VIEW … AS SELECT …");
        }
        if (s->kind == WR_AST_CREATE_TABLE) {
            fail_hint(p, p->previous_end, "CREATE TABLE … AS is not there",
                      "write CREATE SINK … AS SELECT … or CREATE VIEW … AS SELECT …");
        }
        s->query = wr_parse_query(p);
        parse_clauses(p, s); /* RisingWave writes WITH after the query */
    } else if (s->kind == WR_AST_CREATE_VIEW) {
        wr_parser_expected(p, "AS and a query");
    }
}

static void parse_create(struct wr_parser *p, struct wr_ast_statement *s)
{
    static const struct {
        const char *word;
        enum wr_ast_statement_kind kind;
    } kinds[] = {{"source", WR_AST_CREATE_SOURCE},
                 {"sink", WR_AST_CREATE_SINK},
                 {"table", WR_AST_CREATE_TABLE},
                 {"view", WR_AST_CREATE_VIEW}};
    wr_parser_advance(p);
    if (wr_parser_take(p, "or")) {
        wr_parser_need(p, "REPLACE");
    }
    if (!wr_parser_take(p, "temporary")) {
        (void)wr_parser_take(p, "temp");
    }
    if (wr_parser_is2(p, "materialized", "view")) {
        fail_hint(p, p->token.at, "materialized views are not there",
                  "write CREATE VIEW for a name, or CREATE SINK … AS to keep the rows");
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (wr_parser_take(p, kinds[i].word)) {
            s->kind = kinds[i].kind;
            parse_create_body(p, s);
            return;
        }
    }
    wr_parser_expected(p, "SOURCE, SINK, TABLE or VIEW after CREATE");
}

static void parse_insert(struct wr_parser *p, struct wr_ast_statement *s)
{
    s->kind = WR_AST_INSERT;
    wr_parser_advance(p);
    wr_parser_need(p, "INTO");
    s->name = wr_parser_name(p, "a sink's or table's name");
    if (wr_parser_is_sign(p, "(") && !wr_token_is(wr_parser_ahead(p, 1), "select")) {
        wr_parser_advance(p);
        do {
            s->insert_columns = WR_GROW(p->arena, s->insert_columns, s->insert_column_count);
            s->insert_columns[s->insert_column_count++] = wr_parser_name(p, "a column's name");
        } while (wr_parser_take_sign(p, ","));
        wr_parser_need_sign(p, ")", "or \",\" after a column");
    }
    if (wr_parser_is(p, "values")) {
        fail_hint(p, p->token.at, "INSERT … VALUES is not there",
                  "use the datagen source to make rows for a test");
    }
    s->query = wr_parse_query(p);
}

static void parse_set(struct wr_parser *p, struct wr_ast_statement *s)
{
    s->kind = WR_AST_SET;
    wr_parser_advance(p);
    s->setting.name_at = p->token.at;
    s->setting.name = parse_key(p, "a setting's name");
    if (!wr_parser_take_sign(p, "=") && !wr_parser_take(p, "to")) {
        wr_parser_expected(p, "\"=\" after the setting's name");
    }
    parse_value(p, &s->setting);
}

static void fail_statement(struct wr_parser *p)
{
    static const char *const words[] = {"CREATE", "INSERT", "SET"};
    struct wr_suggest suggest;
    wr_suggest_init(&suggest, p->token.text);
    for (size_t i = 0; i < 3; i++) {
        wr_suggest_offer(&suggest, wr_slice_of(words[i]));
    }
    const bool select = wr_parser_is(p, "select") || wr_parser_is(p, "with");
    wr_parser_expected(p, "CREATE, INSERT or SET");
    if (select) {
        wr_parser_hint(
            p, "to see rows, write CREATE SINK out WITH (connector = 'stdout') AS SELECT …");
    } else if (suggest.best.bytes > 0) {
        wr_parser_hint(p, "did you mean %.*s?", WR_SLICE_ARG(suggest.best));
    }
}

static void parse_statement(struct wr_parser *p, struct wr_ast *ast)
{
    struct wr_ast_statement s = {.at = p->token.at};
    if (wr_parser_is(p, "create")) {
        parse_create(p, &s);
    } else if (wr_parser_is(p, "insert")) {
        parse_insert(p, &s);
    } else if (wr_parser_is(p, "set")) {
        parse_set(p, &s);
    } else {
        fail_statement(p);
        return;
    }
    if (!wr_parser_is_sign(p, ";") && p->token.kind != WR_TOKEN_END) {
        wr_parser_expected(p, "\";\" at the end of the statement");
        wr_parser_hint(p, "end the statement before with a semicolon");
    }
    ast->statements = WR_GROW(p->arena, ast->statements, ast->count);
    ast->statements[ast->count++] = s;
}

wr_status wr_parse(const struct wr_sql_text *sql, struct wr_arena *arena, struct wr_ast *ast,
                   struct wr_error *err)
{
    struct wr_parser p;
    wr_parser_init(&p, sql, arena, err);
    *ast = (struct wr_ast){NULL, 0};
    while (!p.failed && p.token.kind != WR_TOKEN_END) {
        if (!wr_parser_take_sign(&p, ";")) {
            parse_statement(&p, ast);
        }
    }
    return p.failed ? WR_FAIL : WR_OK;
}

wr_status wr_parse_items(const struct wr_sql_text *sql, struct wr_slice text, uint32_t at,
                         struct wr_arena *arena, struct wr_ast_item **items, uint32_t *count,
                         struct wr_error *err)
{
    struct wr_parser p;
    /* The lexer stops at the text's end; offsets are those of the whole SQL when the text lies in
     * it. */
    const struct wr_sql_text part = {sql->file, {sql->text.data, (size_t)at + text.bytes}};
    const struct wr_sql_text alone = {sql->file, text};
    wr_parser_init(&p, at != WR_SQL_NOWHERE ? &part : &alone, arena, err);
    p.sql = at != WR_SQL_NOWHERE ? *sql : alone;
    if (at != WR_SQL_NOWHERE) {
        p.lexer.at = at;
        p.token = wr_lexer_next(&p.lexer);
    }
    *items = NULL;
    *count = 0;
    wr_parse_item_list(&p, items, count);
    if (p.token.kind != WR_TOKEN_END) {
        wr_parser_expected(&p, "\",\" or the end of the list");
    }
    if (p.failed && err != NULL && err->hint[0] == '\0') {
        wr_error_hint(err, "write a list such as 'country, date(ts) AS day'");
    }
    return p.failed ? WR_FAIL : WR_OK;
}
