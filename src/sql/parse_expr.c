/* parse_expr.c: expressions, by operator precedence (Pratt, "Top down operator precedence", POPL
 * 1973), with PostgreSQL's levels. The grammar is at the head of parse_statement.c. */
#include "base/limits.h"
#include "sql/parse.h"

#include <stdio.h>

/* Each part of a.b.c is one more step into JSON, and steps nest. */
#define NAME_PARTS_MAX 64u

/* What binds less stands first. */
enum level {
    LEVEL_OR = 1,
    LEVEL_AND,
    LEVEL_NOT,
    LEVEL_IS,
    LEVEL_COMPARE,
    LEVEL_LIKE, /* BETWEEN, IN, LIKE */
    LEVEL_OTHER,
    LEVEL_ADD,
    LEVEL_MULTIPLY,
    LEVEL_POWER,
    LEVEL_UNARY,
};

struct sign_row {
    const char *sign;
    const char *op; /* as the function table spells it; "!~" is NOT of "~" */
    enum level level;
};

static const struct sign_row signs[] = {
    {"=", "=", LEVEL_COMPARE},   {"==", "=", LEVEL_COMPARE},  {"<>", "<>", LEVEL_COMPARE},
    {"!=", "<>", LEVEL_COMPARE}, {"<", "<", LEVEL_COMPARE},   {"<=", "<=", LEVEL_COMPARE},
    {">", ">", LEVEL_COMPARE},   {">=", ">=", LEVEL_COMPARE}, {"||", "||", LEVEL_OTHER},
    {"->", "->", LEVEL_OTHER},   {"->>", "->>", LEVEL_OTHER}, {"~", "~", LEVEL_OTHER},
    {"~*", "~*", LEVEL_OTHER},   {"!~", "!~", LEVEL_OTHER},   {"!~*", "!~*", LEVEL_OTHER},
    {"&", "&", LEVEL_OTHER},     {"|", "|", LEVEL_OTHER},     {"#", "#", LEVEL_OTHER},
    {"<<", "<<", LEVEL_OTHER},   {">>", ">>", LEVEL_OTHER},   {"+", "+", LEVEL_ADD},
    {"-", "-", LEVEL_ADD},       {"*", "*", LEVEL_MULTIPLY},  {"/", "/", LEVEL_MULTIPLY},
    {"%", "%", LEVEL_MULTIPLY},  {"^", "^", LEVEL_POWER},
};

static struct wr_ast_expr *parse_level(struct wr_parser *p, enum level least);

static struct wr_ast_expr *new_node(struct wr_parser *p, enum wr_ast_expr_kind kind, uint32_t at)
{
    struct wr_ast_expr *node = WR_ARENA_NEW(p->arena, struct wr_ast_expr);
    node->kind = kind;
    node->at = at;
    node->end = p->previous_end;
    node->height = 1;
    return node;
}

/* Adds an argument and watches the height: left-deep chains (a + b + c …) do not nest the parser,
 * but they nest everybody who walks the tree later. */
static void add_arg(struct wr_parser *p, struct wr_ast_expr *node, struct wr_ast_expr *arg)
{
    node->args = WR_GROW(p->arena, node->args, node->arg_count);
    node->args[node->arg_count++] = arg;
    if (arg->height + 1 > node->height) {
        node->height = arg->height + 1;
    }
    if (node->height > WR_SQL_DEPTH_MAX) {
        wr_parser_fail(p, node->at, "this expression is more than %u levels deep",
                       WR_SQL_DEPTH_MAX);
        wr_parser_hint(p, "split it with CREATE VIEW, or group its operands with parentheses");
    }
    node->end = p->previous_end;
}

static struct wr_ast_expr *node_of(struct wr_parser *p, enum wr_ast_expr_kind kind, uint32_t at,
                                   struct wr_ast_expr *a, struct wr_ast_expr *b)
{
    struct wr_ast_expr *node = new_node(p, kind, at);
    add_arg(p, node, a);
    if (b != NULL) {
        add_arg(p, node, b);
    }
    return node;
}

static struct wr_ast_expr *new_text(struct wr_parser *p, enum wr_ast_expr_kind kind)
{
    struct wr_ast_expr *node = new_node(p, kind, p->token.at);
    node->text = p->token.text;
    wr_parser_advance(p);
    node->end = p->previous_end;
    return node;
}

static void set_part(struct wr_parser *p, struct wr_ast_expr *node, struct wr_ast_name name)
{
    if (node->part_count >= NAME_PARTS_MAX) {
        wr_parser_fail(p, name.at, "a name has at most %u parts", NAME_PARTS_MAX);
        wr_parser_hint(p, "take deep parts of JSON apart in two steps, with CREATE VIEW");
        return;
    }
    node->parts = WR_GROW(p->arena, node->parts, node->part_count);
    node->parts[node->part_count++] = name;
    node->end = p->previous_end;
}

static struct wr_ast_expr *new_call(struct wr_parser *p, const char *name, uint32_t at,
                                    uint32_t end)
{
    struct wr_ast_expr *call = new_node(p, WR_AST_CALL, at);
    set_part(p, call, (struct wr_ast_name){.text = wr_slice_of(name), .at = at, .end = end});
    return call;
}

static struct wr_ast_expr *number_node(struct wr_parser *p, const char *text, uint32_t at)
{
    struct wr_ast_expr *node = new_node(p, WR_AST_NUMBER, at);
    node->text = wr_slice_of(text);
    return node;
}

/* SUBSTRING(x FROM a FOR b), and with commas. */
static struct wr_ast_expr *parse_substring(struct wr_parser *p, struct wr_ast_expr *call)
{
    if (wr_parser_take_sign(p, ")")) {
        return call; /* the binder tells how many arguments it takes */
    }
    add_arg(p, call, wr_parse_expr(p));
    const bool words = wr_parser_is(p, "from") || wr_parser_is(p, "for");
    if (wr_parser_take(p, "from")) {
        add_arg(p, call, wr_parse_expr(p));
    } else if (words) {
        add_arg(p, call, number_node(p, "1", p->token.at));
    }
    if (words && wr_parser_take(p, "for")) {
        add_arg(p, call, wr_parse_expr(p));
    }
    while (!words && wr_parser_take_sign(p, ",")) {
        add_arg(p, call, wr_parse_expr(p));
    }
    wr_parser_need_sign(p, ")", "after the arguments of substring");
    return call;
}

/* TRIM([BOTH|LEADING|TRAILING] [chars] FROM x), TRIM(x [, chars]). */
static struct wr_ast_expr *parse_trim(struct wr_parser *p, struct wr_ast_expr *call)
{
    if (wr_parser_take(p, "leading")) {
        call->parts[0].text = wr_slice_of("ltrim");
    } else if (wr_parser_take(p, "trailing")) {
        call->parts[0].text = wr_slice_of("rtrim");
    } else {
        (void)wr_parser_take(p, "both");
    }
    struct wr_ast_expr *first = NULL;
    if (!wr_parser_take(p, "from")) {
        first = wr_parse_expr(p);
        if (!wr_parser_take(p, "from")) {
            add_arg(p, call, first);
            if (wr_parser_take_sign(p, ",")) {
                add_arg(p, call, wr_parse_expr(p));
            }
            wr_parser_need_sign(p, ")", "after the arguments of trim");
            return call;
        }
    }
    add_arg(p, call, wr_parse_expr(p));
    if (first != NULL) {
        add_arg(p, call, first);
    }
    wr_parser_need_sign(p, ")", "after the arguments of trim");
    return call;
}

static struct wr_ast_expr *parse_extract(struct wr_parser *p, uint32_t at, uint32_t end)
{
    struct wr_ast_expr *call = new_call(p, "date_part", at, end);
    if (!wr_parser_is_name(p) && p->token.kind != WR_TOKEN_STRING) {
        wr_parser_expected(p, "a field such as HOUR or EPOCH");
        return call;
    }
    add_arg(p, call, new_text(p, WR_AST_STRING));
    wr_parser_need(p, "FROM");
    add_arg(p, call, wr_parse_expr(p));
    wr_parser_need_sign(p, ")", "after EXTRACT(field FROM value");
    return call;
}

/* Where IN or AND is a word of the form around it and no operator: PostgreSQL's b_expr. */
static struct wr_ast_expr *parse_bound(struct wr_parser *p)
{
    const bool outer = p->bound;
    p->bound = true;
    struct wr_ast_expr *bound = parse_level(p, LEVEL_IS);
    p->bound = outer;
    return bound;
}

static struct wr_ast_expr *parse_position(struct wr_parser *p, struct wr_ast_expr *call)
{
    add_arg(p, call, parse_bound(p));
    wr_parser_need(p, "IN");
    add_arg(p, call, parse_bound(p));
    wr_parser_need_sign(p, ")", "after POSITION(what IN text");
    return call;
}

static struct wr_ast_expr *parse_cast(struct wr_parser *p, uint32_t at, bool try_cast)
{
    struct wr_ast_expr *value = wr_parse_expr(p);
    struct wr_ast_expr *cast = node_of(p, WR_AST_CAST, at, value, NULL);
    wr_parser_need(p, "AS");
    cast->type = wr_parse_type(p);
    cast->try_cast = try_cast;
    wr_parser_need_sign(p, ")", "after CAST(value AS type");
    return cast;
}

static struct wr_ast_expr *parse_case(struct wr_parser *p)
{
    struct wr_ast_expr *node = new_node(p, WR_AST_CASE, p->token.at);
    wr_parser_advance(p);
    if (!wr_parser_is(p, "when")) {
        node->has_operand = true;
        add_arg(p, node, wr_parse_expr(p));
    }
    if (!wr_parser_is(p, "when")) {
        wr_parser_expected(p, "WHEN");
    }
    while (wr_parser_take(p, "when")) {
        add_arg(p, node, wr_parse_expr(p));
        wr_parser_need(p, "THEN");
        add_arg(p, node, wr_parse_expr(p));
    }
    if (wr_parser_take(p, "else")) {
        node->has_else = true;
        add_arg(p, node, wr_parse_expr(p));
    }
    if (!wr_parser_take(p, "end")) {
        wr_parser_expected(p, "WHEN, ELSE or END of this CASE");
        wr_parser_hint(p, "the form is CASE WHEN condition THEN value ELSE value END");
    }
    node->end = p->previous_end;
    return node;
}

static bool is_interval_unit(const struct wr_token *token)
{
    static const char *const units[] = {"year",        "month",  "week",   "day",
                                        "hour",        "minute", "second", "millisecond",
                                        "microsecond", "quarter"};
    if (token->kind != WR_TOKEN_NAME) {
        return false;
    }
    struct wr_slice singular = token->text;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (wr_slice_equal_nocase(singular, wr_slice_of(units[i])) ||
            (singular.bytes == strlen(units[i]) + 1 &&
             (singular.data[singular.bytes - 1] | 0x20) == 's' &&
             wr_slice_equal_nocase((struct wr_slice){singular.data, singular.bytes - 1},
                                   wr_slice_of(units[i])))) {
            return true;
        }
    }
    return false;
}

/* INTERVAL '10 seconds' | INTERVAL '10' SECOND[S] */
static struct wr_ast_expr *parse_interval(struct wr_parser *p)
{
    const uint32_t at = p->token.at;
    wr_parser_advance(p);
    if (p->token.kind == WR_TOKEN_NUMBER) {
        const struct wr_slice number = p->token.text;
        const struct wr_token unit = *wr_parser_ahead(p, 1);
        const bool known = is_interval_unit(&unit);
        wr_parser_fail(p, p->token.at, "the text of an INTERVAL stands in quotes");
        wr_parser_hint(p, "write INTERVAL '%.*s%s%.*s'", WR_SLICE_ARG(number),
                       known ? " " : " seconds", known ? (int)unit.text.bytes : 0, unit.text.data);
    }
    struct wr_ast_expr *node = new_text(p, WR_AST_INTERVAL);
    node->at = at;
    if (is_interval_unit(&p->token)) {
        node->unit = p->token.text;
        wr_parser_advance(p);
        if (wr_parser_is(p, "to")) {
            wr_parser_fail(p, p->token.at, "an INTERVAL has one unit here, not a range of units");
            wr_parser_hint(p, "write all in the text: INTERVAL '1 day 02:03:04'");
        }
        if (wr_parser_is_sign(p, "(")) {
            wr_parser_fail(p, p->token.at, "an INTERVAL's unit takes no precision");
            wr_parser_hint(p, "leave the parentheses out");
        }
    }
    node->end = p->previous_end;
    return node;
}

static void refuse_after_call(struct wr_parser *p)
{
    if (wr_parser_is(p, "over")) {
        wr_parser_fail(p, p->token.at, "window functions with OVER are not there");
        wr_parser_hint(p, "aggregate over TUMBLE, HOP or SESSION windows with GROUP BY");
    } else if (wr_parser_is2(p, "within", "group")) {
        wr_parser_fail(p, p->token.at, "WITHIN GROUP is not there");
        wr_parser_hint(p, "write approx_percentile(x, 0.99)");
    }
}

static void parse_call_args(struct wr_parser *p, struct wr_ast_expr *call)
{
    if (wr_parser_take_sign(p, ")")) {
        return;
    }
    if (wr_parser_take_sign(p, "*")) {
        call->star = true;
        wr_parser_need_sign(p, ")", "after *");
        return;
    }
    call->distinct = wr_parser_take(p, "distinct");
    if (!call->distinct) {
        (void)wr_parser_take(p, "all");
    }
    do {
        if (p->token.kind == WR_TOKEN_NAME && wr_token_is_sign(wr_parser_ahead(p, 1), "=>")) {
            wr_parser_fail(p, p->token.at,
                           "named arguments are for TUMBLE, HOP and SESSION in FROM");
            wr_parser_hint(p, "give this function's arguments in order, without names");
        }
        add_arg(p, call, wr_parse_expr(p));
    } while (wr_parser_take_sign(p, ","));
    if (wr_parser_is(p, "order")) {
        wr_parser_fail(p, p->token.at, "aggregates take no ORDER BY");
        wr_parser_hint(p, "first_value and last_value go by event time");
    }
    wr_parser_need_sign(p, ")", "or \",\" after an argument");
}

static struct wr_ast_expr *parse_call(struct wr_parser *p)
{
    const struct wr_token word = p->token;
    const struct wr_ast_name name = wr_parser_name(p, "a function");
    wr_parser_advance(p); /* ( */
    struct wr_ast_expr *call = new_node(p, WR_AST_CALL, word.at);
    set_part(p, call, name);
    if (wr_token_is(&word, "cast")) {
        return parse_cast(p, word.at, false);
    }
    if (wr_token_is(&word, "try_cast")) {
        return parse_cast(p, word.at, true);
    }
    if (wr_token_is(&word, "extract")) {
        return parse_extract(p, word.at, word.end);
    }
    if (wr_token_is(&word, "position")) {
        return parse_position(p, call);
    }
    if (wr_token_is(&word, "substring")) {
        return parse_substring(p, call);
    }
    if (wr_token_is(&word, "trim")) {
        return parse_trim(p, call);
    }
    if (wr_token_is(&word, "exists")) {
        wr_parser_fail(p, word.at, "EXISTS (sub-query) is not there");
        wr_parser_hint(p, "sub-queries stand in FROM only");
    }
    parse_call_args(p, call);
    if (wr_parser_is(p, "filter") && wr_token_is_sign(wr_parser_ahead(p, 1), "(")) {
        wr_parser_advance(p);
        wr_parser_advance(p);
        wr_parser_need(p, "WHERE");
        call->filter = wr_parse_expr(p);
        if (call->filter->height + 1 > call->height) {
            call->height = call->filter->height + 1;
        }
        wr_parser_need_sign(p, ")", "after FILTER (WHERE condition");
    }
    refuse_after_call(p);
    call->end = p->previous_end;
    return call;
}

bool wr_parse_is_reserved(struct wr_slice word)
{
    static const char *const words[] = {
        "all",
        "and",
        "as",
        "asc",
        "asof",
        "between",
        "by",
        "case",
        "create",
        "cross",
        "desc",
        "distinct",
        "else",
        "emit",
        "except",
        "fetch",
        "from",
        "full",
        "group",
        "having",
        "ilike",
        "in",
        "inner",
        "insert",
        "intersect",
        "into",
        "is",
        "join",
        "lateral",
        "left",
        "like",
        "limit",
        "natural",
        "not",
        "null",
        "on",
        "or",
        "order",
        "outer",
        "right",
        "select",
        "then",
        "union",
        "using",
        "when",
        "where",
        "with",
        "qualify",
        "offset",
        "over",
        "tablesample",
        "partition",
        "match_recognize",
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (wr_slice_equal_nocase(word, wr_slice_of(words[i]))) {
            return true;
        }
    }
    return false;
}

static struct wr_ast_expr *parse_name(struct wr_parser *p)
{
    struct wr_ast_expr *node = new_node(p, WR_AST_NAME, p->token.at);
    set_part(p, node, wr_parser_name(p, "a column"));
    while (wr_parser_take_sign(p, ".")) {
        if (wr_parser_take_sign(p, "*")) {
            node->kind = WR_AST_STAR;
            node->end = p->previous_end;
            return node;
        }
        set_part(p, node, wr_parser_name(p, "a field's name after \".\""));
    }
    return node;
}

/* The values between ARRAY or MAP and "]"; the current token is the word. */
static struct wr_ast_expr *parse_list(struct wr_parser *p, enum wr_ast_expr_kind kind)
{
    struct wr_ast_expr *node = new_node(p, kind, p->token.at);
    wr_parser_advance(p);
    wr_parser_advance(p);
    if (!wr_parser_take_sign(p, "]")) {
        do {
            add_arg(p, node, wr_parse_expr(p));
        } while (wr_parser_take_sign(p, ","));
        wr_parser_need_sign(p, "]", "or \",\" after a value");
    }
    node->end = p->previous_end;
    return node;
}

/* ROW(a, b AS name), STRUCT(…); the current token is the word. */
static struct wr_ast_expr *parse_row(struct wr_parser *p)
{
    struct wr_ast_expr *node = new_node(p, WR_AST_ROW, p->token.at);
    wr_parser_advance(p);
    wr_parser_advance(p);
    if (wr_parser_take_sign(p, ")")) {
        node->end = p->previous_end;
        return node; /* the binder tells that it needs a field */
    }
    do {
        struct wr_ast_name name = {.at = p->token.at};
        add_arg(p, node, wr_parse_expr(p));
        if (wr_parser_take(p, "as")) {
            name = wr_parser_name(p, "a field's name after AS");
        }
        node->parts = WR_GROW(p->arena, node->parts, node->part_count);
        node->parts[node->part_count++] = name;
    } while (wr_parser_take_sign(p, ","));
    wr_parser_need_sign(p, ")", "or \",\" after a field of a row");
    node->end = p->previous_end;
    return node;
}

/* DATE '2024-01-31': a type and a string. A size between them would look like a call. */
static bool is_typed_literal(struct wr_parser *p)
{
    if (p->token.kind != WR_TOKEN_NAME || !wr_parse_is_type(p->token.text)) {
        return false;
    }
    const struct wr_token *next = wr_parser_ahead(p, 1);
    if (next->kind == WR_TOKEN_NAME) {
        const struct wr_token *after = wr_parser_ahead(p, 2);
        if (wr_parser_is(p, "timestamp") &&
            (wr_token_is(next, "with") || wr_token_is(next, "without"))) {
            return wr_token_is(after, "time");
        }
        return (wr_token_is(next, "precision") || wr_token_is(next, "varying")) &&
               after->kind == WR_TOKEN_STRING;
    }
    return next->kind == WR_TOKEN_STRING;
}

static struct wr_ast_expr *parse_typed_literal(struct wr_parser *p)
{
    const uint32_t at = p->token.at;
    const struct wr_type type = wr_parse_type(p);
    if (p->token.kind != WR_TOKEN_STRING) {
        wr_parser_expected(p, "a string after the type");
    }
    struct wr_ast_expr *text = new_text(p, WR_AST_STRING);
    struct wr_ast_expr *cast = node_of(p, WR_AST_CAST, at, text, NULL);
    cast->type = type;
    return cast;
}

static struct wr_ast_expr *parse_word(struct wr_parser *p)
{
    static const struct {
        const char *word;
        enum wr_ast_expr_kind kind;
    } constants[] = {{"null", WR_AST_NULL}, {"true", WR_AST_TRUE}, {"false", WR_AST_FALSE}};
    static const char *const clocks[] = {"current_timestamp", "localtimestamp"};
    const struct wr_token *next = wr_parser_ahead(p, 1);
    const bool quoted = p->token.kind == WR_TOKEN_QUOTED;
    for (size_t i = 0; i < 3; i++) {
        if (wr_parser_is(p, constants[i].word)) {
            return new_text(p, constants[i].kind);
        }
    }
    for (size_t i = 0; i < 2; i++) {
        if (wr_parser_is(p, clocks[i]) && !wr_token_is_sign(next, "(")) {
            struct wr_ast_expr *call = new_call(p, "now", p->token.at, p->token.end);
            wr_parser_advance(p);
            return call;
        }
    }
    if (wr_parser_is(p, "case")) {
        return parse_case(p);
    }
    if (wr_parser_is(p, "interval") &&
        (next->kind == WR_TOKEN_STRING || next->kind == WR_TOKEN_NUMBER)) {
        return parse_interval(p);
    }
    if (is_typed_literal(p)) {
        return parse_typed_literal(p);
    }
    if (wr_token_is_sign(next, "[") && (wr_parser_is(p, "array") || wr_parser_is(p, "map"))) {
        return parse_list(p, wr_parser_is(p, "array") ? WR_AST_ARRAY : WR_AST_MAP);
    }
    if (wr_token_is_sign(next, "(") && (wr_parser_is(p, "row") || wr_parser_is(p, "struct"))) {
        return parse_row(p);
    }
    const bool reserved = !quoted && wr_parse_is_reserved(p->token.text);
    /* left() and right() are functions, though the words are reserved for joins. */
    const bool side = wr_parser_is(p, "left") || wr_parser_is(p, "right");
    if (wr_token_is_sign(next, "(") && (side || !reserved)) {
        return parse_call(p);
    }
    if (reserved) {
        const bool comma = p->previous_end > 0 && p->sql.text.data[p->previous_end - 1] == ',';
        wr_parser_expected(p, "an expression");
        wr_parser_hint(p, comma ? "remove the comma before it, or name one more column"
                                : "a column of this name is written in double quotes");
    }
    return parse_name(p);
}

static struct wr_ast_expr *parse_primary(struct wr_parser *p)
{
    const uint32_t at = p->token.at;
    switch (p->token.kind) {
    case WR_TOKEN_NUMBER:
        return new_text(p, WR_AST_NUMBER);
    case WR_TOKEN_STRING:
        return new_text(p, WR_AST_STRING);
    case WR_TOKEN_NAME:
    case WR_TOKEN_QUOTED:
        return parse_word(p);
    default:
        break;
    }
    if (wr_parser_take_sign(p, "(")) {
        if (wr_parser_is(p, "select")) {
            wr_parser_fail(p, p->token.at, "a sub-query cannot stand inside an expression");
            wr_parser_hint(p, "sub-queries stand in FROM only");
        }
        if (wr_parser_is_sign(p, "*")) {
            wr_parser_expected(p, "an expression");
        }
        struct wr_ast_expr *inner = wr_parse_expr(p);
        if (!wr_parser_take_sign(p, ")")) {
            wr_parser_expected(p, "\")\" to close the parenthesis");
            wr_parser_hint(p, "add the \")\", or an operator and a further value");
        }
        return inner;
    }
    if (wr_parser_is_sign(p, "*")) {
        return new_text(p, WR_AST_STAR); /* whether a star may stand here the binder decides */
    }
    wr_parser_expected(p, "an expression");
    return new_node(p, WR_AST_NULL, at);
}

/* The current token is "::". */
static struct wr_ast_expr *parse_colons(struct wr_parser *p, struct wr_ast_expr *value)
{
    wr_parser_advance(p);
    struct wr_ast_expr *cast = node_of(p, WR_AST_CAST, value->at, value, NULL);
    cast->type = wr_parse_type(p);
    cast->end = p->previous_end;
    return cast;
}

static struct wr_ast_expr *parse_postfix(struct wr_parser *p)
{
    const uint32_t at = p->token.at;
    struct wr_ast_expr *value = parse_primary(p);
    for (;;) {
        if (wr_parser_is_sign(p, "::")) {
            value = parse_colons(p, value);
            value->at = at; /* with the parenthesis that it may begin with */
        } else if (wr_parser_is_sign(p, ".") && value->kind != WR_AST_NUMBER) {
            wr_parser_advance(p);
            value = node_of(p, WR_AST_FIELD, at, value, NULL);
            set_part(p, value, wr_parser_name(p, "a field's name after \".\""));
        } else if (wr_parser_is2(p, "at", "time")) {
            wr_parser_fail(p, p->token.at, "AT TIME ZONE is not there: timestamps are UTC");
            wr_parser_hint(p, "add or subtract an INTERVAL for a fixed offset");
        } else if (wr_parser_is_sign(p, "[")) {
            wr_parser_advance(p);
            value = node_of(p, WR_AST_INDEX, at, value, wr_parse_expr(p));
            if (wr_parser_is_sign(p, ":")) {
                wr_parser_fail(p, p->token.at, "slices of arrays are not there");
                wr_parser_hint(p, "take single elements, a[1], or UNNEST the array");
            }
            wr_parser_need_sign(p, "]", "after \"[\" and a value");
            value->end = p->previous_end;
        } else {
            value->end = p->previous_end > value->end ? p->previous_end : value->end;
            return value;
        }
    }
}

static struct wr_ast_expr *parse_unary(struct wr_parser *p)
{
    static const char *const unary[][2] = {{"-", "u-"}, {"+", "u+"}};
    const uint32_t at = p->token.at;
    if (!wr_parser_enter(p)) {
        return new_node(p, WR_AST_NULL, at);
    }
    struct wr_ast_expr *node = NULL;
    for (size_t i = 0; i < 2 && node == NULL; i++) {
        if (wr_parser_take_sign(p, unary[i][0])) {
            node = node_of(p, WR_AST_UNARY, at, parse_unary(p), NULL);
            node->op = unary[i][1];
        }
    }
    if (node == NULL && wr_parser_take_sign(p, "~")) { /* binds as the other operators do */
        node = node_of(p, WR_AST_UNARY, at, parse_level(p, LEVEL_OTHER + 1), NULL);
        node->op = "u~";
    }
    if (node == NULL && p->bound && wr_parser_is(p, "not")) {
        wr_parser_fail(p, at, "NOT stands in parentheses here");
        wr_parser_hint(p, "write (NOT …)");
    }
    if (node == NULL && wr_parser_take(p, "not")) {
        node = node_of(p, WR_AST_NOT, at, parse_level(p, LEVEL_NOT), NULL);
    }
    if (node == NULL) {
        node = parse_postfix(p);
    }
    wr_parser_leave(p);
    return node;
}

/* PostgreSQL's ISNULL and NOTNULL are IS NULL and IS NOT NULL. */
static bool is_test(struct wr_parser *p)
{
    if (!p->bound) {
        return wr_parser_is(p, "is") || wr_parser_is(p, "isnull") || wr_parser_is(p, "notnull");
    }
    return wr_parser_is2(p, "is", "distinct") ||
           (wr_parser_is2(p, "is", "not") && wr_token_is(wr_parser_ahead(p, 2), "distinct"));
}

static struct wr_ast_expr *parse_distinct_from(struct wr_parser *p, struct wr_ast_expr *left)
{
    wr_parser_need(p, "FROM");
    struct wr_ast_expr *node =
        node_of(p, WR_AST_DISTINCT_FROM, left->at, left, parse_level(p, LEVEL_IS + 1));
    if (is_test(p)) {
        wr_parser_fail(p, p->token.at, "IS DISTINCT FROM cannot be chained");
        wr_parser_hint(p, "put what belongs together in parentheses");
    }
    return node;
}

static struct wr_ast_expr *parse_is(struct wr_parser *p, struct wr_ast_expr *left)
{
    static const char *const whats[] = {"null", "true", "false", "unknown"};
    const bool notnull = wr_parser_take(p, "notnull");
    struct wr_ast_expr *node = NULL;
    if (notnull || wr_parser_take(p, "isnull")) {
        node = node_of(p, WR_AST_IS, left->at, left, NULL);
        node->op = whats[0];
        node->negated = notnull;
        return node;
    }
    wr_parser_advance(p);
    const bool negated = wr_parser_take(p, "not");
    if (wr_parser_take(p, "distinct")) {
        node = parse_distinct_from(p, left);
    }
    for (size_t i = 0; i < 4 && node == NULL; i++) {
        if (wr_parser_take(p, whats[i])) {
            node = node_of(p, WR_AST_IS, left->at, left, NULL);
            node->op = whats[i];
        }
    }
    if (node == NULL) {
        wr_parser_expected(p, "NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM after IS");
        return left;
    }
    node->negated = negated;
    return node;
}

static struct wr_ast_expr *parse_in(struct wr_parser *p, struct wr_ast_expr *left)
{
    struct wr_ast_expr *node = node_of(p, WR_AST_IN, left->at, left, NULL);
    wr_parser_need_sign(p, "(", "after IN");
    if (wr_parser_is(p, "select")) {
        wr_parser_fail(p, p->token.at, "IN (sub-query) is not there");
        wr_parser_hint(p, "sub-queries stand in FROM only; IN takes a list of values");
    }
    do {
        add_arg(p, node, wr_parse_expr(p));
    } while (wr_parser_take_sign(p, ","));
    wr_parser_need_sign(p, ")", "or \",\" in the list of IN");
    node->end = p->previous_end;
    return node;
}

/* The word of [NOT] BETWEEN | IN | LIKE | ILIKE, when one of them stands here. */
static bool is_like_level(struct wr_parser *p, struct wr_token *word)
{
    static const char *const words[] = {"like", "ilike", "in", "between"};
    *word = wr_parser_is(p, "not") ? *wr_parser_ahead(p, 1) : p->token;
    for (size_t i = 0; i < 4; i++) {
        if (wr_token_is(word, words[i])) {
            return true;
        }
    }
    return false;
}

static struct wr_ast_expr *parse_between(struct wr_parser *p, struct wr_ast_expr *left)
{
    const struct wr_token next = *wr_parser_ahead(p, 1);
    const bool plain = wr_token_is(&next, "and") ||
                       (next.kind == WR_TOKEN_SIGN && !wr_token_is_sign(&next, "("));
    if (!plain && wr_parser_is(p, "symmetric")) {
        wr_parser_fail(p, p->token.at, "BETWEEN SYMMETRIC is not there");
        wr_parser_hint(p, "write BETWEEN least(a, b) AND greatest(a, b)");
    } else if (!plain) {
        (void)wr_parser_take(p, "asymmetric"); /* as without it */
    }
    struct wr_ast_expr *node = node_of(p, WR_AST_BETWEEN, left->at, left, parse_bound(p));
    wr_parser_need(p, "AND");
    add_arg(p, node, parse_level(p, LEVEL_OTHER));
    return node;
}

static struct wr_ast_expr *parse_like_level(struct wr_parser *p, struct wr_ast_expr *left)
{
    struct wr_token word;
    if (p->bound || !is_like_level(p, &word)) {
        return NULL;
    }
    const bool negated = wr_parser_take(p, "not");
    const bool in = wr_token_is(&word, "in");
    struct wr_ast_expr *node = NULL;
    wr_parser_advance(p);
    if (in) {
        node = parse_in(p, left);
    } else if (wr_token_is(&word, "between")) {
        node = parse_between(p, left);
    } else {
        node = node_of(p, WR_AST_LIKE, left->at, left, parse_level(p, LEVEL_OTHER));
        node->op = wr_token_is(&word, "like") ? "like" : "ilike";
        if (wr_parser_take(p, "escape")) {
            add_arg(p, node, parse_level(p, LEVEL_OTHER));
        }
    }
    node->negated = negated;
    if (!in && is_like_level(p, &word)) {
        wr_parser_fail(p, p->token.at, "BETWEEN, IN and LIKE cannot be chained");
        wr_parser_hint(p, "put what belongs together in parentheses");
    }
    return node;
}

static struct wr_ast_expr *parse_logic(struct wr_parser *p, struct wr_ast_expr *left, bool is_and)
{
    const enum wr_ast_expr_kind kind = is_and ? WR_AST_AND : WR_AST_OR;
    struct wr_ast_expr *node = node_of(p, kind, left->at, left, NULL);
    while (wr_parser_take(p, is_and ? "and" : "or")) { /* flat, so that long lists are not deep */
        add_arg(p, node, parse_level(p, is_and ? LEVEL_AND + 1 : LEVEL_OR + 1));
    }
    return node;
}

static const struct sign_row *find_sign(const struct wr_parser *p)
{
    for (size_t i = 0; p->token.kind == WR_TOKEN_SIGN && i < sizeof(signs) / sizeof(signs[0]);
         i++) {
        if (wr_slice_is(p->token.text, signs[i].sign)) {
            return &signs[i];
        }
    }
    return NULL;
}

static struct wr_ast_expr *parse_sign(struct wr_parser *p, struct wr_ast_expr *left,
                                      const struct sign_row *row)
{
    wr_parser_advance(p);
    struct wr_ast_expr *node =
        node_of(p, WR_AST_BINARY, left->at, left, parse_level(p, row->level + 1));
    node->op = row->op;
    if (row->op[0] == '!') {
        node->op = row->op + 1;
        node = node_of(p, WR_AST_NOT, node->at, node, NULL);
    }
    const struct sign_row *next = find_sign(p);
    if (row->level == LEVEL_COMPARE && next != NULL && next->level == LEVEL_COMPARE) {
        wr_parser_fail(p, p->token.at, "comparisons cannot be chained");
        wr_parser_hint(p, "write a < b AND b < c");
    }
    return node;
}

static struct wr_ast_expr *parse_level(struct wr_parser *p, enum level least)
{
    struct wr_ast_expr *left = parse_unary(p);
    for (;;) {
        const struct sign_row *row = find_sign(p);
        if (row != NULL) {
            if (row->level < least) {
                return left;
            }
            left = parse_sign(p, left, row);
            continue;
        }
        struct wr_ast_expr *next = least <= LEVEL_LIKE ? parse_like_level(p, left) : NULL;
        if (next != NULL) {
            left = next;
        } else if (least <= LEVEL_IS && is_test(p)) {
            left = parse_is(p, left);
        } else if (least <= LEVEL_AND && wr_parser_is(p, "and")) {
            left = parse_logic(p, left, true);
        } else if (least <= LEVEL_OR && wr_parser_is(p, "or")) {
            left = parse_logic(p, left, false);
        } else if (wr_parser_is_sign(p, "::")) { /* a IS NULL::text casts the answer */
            left = parse_colons(p, left);
        } else {
            return left;
        }
    }
}

struct wr_ast_expr *wr_parse_expr(struct wr_parser *p)
{
    if (!wr_parser_enter(p)) {
        return new_node(p, WR_AST_NULL, p->token.at);
    }
    const bool outer = p->bound;
    p->bound = false;
    struct wr_ast_expr *expr = parse_level(p, LEVEL_OR);
    p->bound = outer;
    wr_parser_leave(p);
    return expr;
}
