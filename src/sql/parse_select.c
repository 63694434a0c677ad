/* parse_select.c: SELECT, FROM and the window functions in it. The grammar is at the head of
 * parse_statement.c. */
#include "sql/parse.h"

/* In one FROM: they nest the binder. */
#define UNNESTS_MAX 32u

static bool is_window_function(const struct wr_token *token)
{
    return wr_token_is(token, "tumble") || wr_token_is(token, "hop") ||
           wr_token_is(token, "session");
}

static void refuse(struct wr_parser *p, const char *what, const char *hint)
{
    wr_parser_fail(p, p->token.at, "%s", what);
    wr_parser_hint(p, "%s", hint);
}

void wr_parse_item_list(struct wr_parser *p, struct wr_ast_item **items, uint32_t *count)
{
    do {
        struct wr_ast_item item = {.expr = wr_parse_expr(p)};
        if (wr_parser_take(p, "as")) {
            item.alias = wr_parser_name(p, "a name after AS");
        } else if (wr_parser_is_name(p) &&
                   (p->token.kind == WR_TOKEN_QUOTED || !wr_parse_is_reserved(p->token.text))) {
            item.alias = wr_parser_name(p, "a name");
        }
        *items = WR_GROW(p->arena, *items, *count);
        (*items)[(*count)++] = item;
    } while (wr_parser_take_sign(p, ","));
}

static struct wr_ast_from *parse_from_item(struct wr_parser *p);

/* The argument that says over what: t, TABLE t, TABLE (SELECT …), (SELECT …). */
static struct wr_ast_from *parse_window_input(struct wr_parser *p)
{
    if (wr_parser_is(p, "table") && !wr_token_is_sign(wr_parser_ahead(p, 1), ",")) {
        wr_parser_advance(p);
    }
    struct wr_ast_from *input = parse_from_item(p);
    if (wr_parser_is(p, "partition")) {
        refuse(p, "PARTITION BY is not taken here", "the keys of a window are those of GROUP BY");
    }
    return input;
}

static struct wr_ast_expr *parse_window_value(struct wr_parser *p)
{
    if (wr_parser_is(p, "descriptor") && wr_token_is_sign(wr_parser_ahead(p, 1), "(")) {
        wr_parser_advance(p);
        wr_parser_advance(p);
        struct wr_ast_expr *column = wr_parse_expr(p);
        wr_parser_need_sign(p, ")", "after DESCRIPTOR(column");
        return column;
    }
    return wr_parse_expr(p);
}

/* Named arguments, Flink's names too. */
static void set_named(struct wr_parser *p, struct wr_ast_from *window, const struct wr_token *name)
{
    static const char *const names[] = {"data",        "input", "table", "timecol", "ts",
                                        "time_column", "size",  "gap",   "slide",   "offset"};
    size_t i = 0;
    while (i < 10 && !wr_token_is(name, names[i])) {
        i++;
    }
    if (i < 3) {
        window->input = parse_window_input(p);
        return;
    }
    struct wr_ast_expr *value = parse_window_value(p);
    if (i < 6) {
        window->time = value;
    } else if (i < 8) {
        window->size = value;
    } else if (i == 8) {
        window->slide = value;
    } else if (i == 9) {
        window->offset = value;
    } else {
        wr_parser_fail(p, name->at, "%.*s has no argument named \"%.*s\"",
                       WR_SLICE_ARG(window->name.text), WR_SLICE_ARG(name->text));
        wr_parser_hint(
            p, "its arguments are data, timecol, %s",
            wr_slice_equal_nocase(window->name.text, wr_slice_of("hop")) ? "slide, size, offset"
            : wr_slice_equal_nocase(window->name.text, wr_slice_of("session")) ? "gap"
                                                                               : "size, offset");
    }
}

static void set_positional(struct wr_parser *p, struct wr_ast_from *window, uint32_t index)
{
    const bool hop = wr_slice_equal_nocase(window->name.text, wr_slice_of("hop"));
    const bool session = wr_slice_equal_nocase(window->name.text, wr_slice_of("session"));
    const uint32_t most = hop ? 5 : session ? 3 : 4;
    if (index >= most) {
        wr_parser_fail(p, p->token.at, "too many arguments");
        wr_parser_hint(p, hop       ? "HOP(source, time, slide, size [, offset])"
                          : session ? "SESSION(source, time, gap)"
                                    : "TUMBLE(source, time, size [, offset])");
        return;
    }
    if (index == 0) {
        window->input = parse_window_input(p);
        return;
    }
    struct wr_ast_expr *value = parse_window_value(p);
    if (index == 1) {
        window->time = value;
    } else if (hop && index == 2) {
        window->slide = value;
    } else if (index == (hop ? 3u : 2u)) {
        window->size = value;
    } else {
        window->offset = value;
    }
}

/* The current token is the function's name. */
static struct wr_ast_from *parse_window(struct wr_parser *p)
{
    struct wr_ast_from *window = WR_ARENA_NEW(p->arena, struct wr_ast_from);
    window->kind = WR_AST_FROM_WINDOW;
    window->at = p->token.at;
    window->name = wr_parser_name(p, "a window function");
    wr_parser_need_sign(p, "(", "after the window function's name");
    uint32_t index = 0;
    do {
        const struct wr_token name = p->token;
        if (name.kind == WR_TOKEN_NAME && wr_token_is_sign(wr_parser_ahead(p, 1), "=>")) {
            wr_parser_advance(p);
            wr_parser_advance(p);
            set_named(p, window, &name);
        } else {
            set_positional(p, window, index++);
        }
    } while (wr_parser_take_sign(p, ","));
    wr_parser_need_sign(p, ")", "or \",\" after a window function's argument");
    window->end = p->previous_end;
    return window;
}

static struct wr_ast_from *parse_sub_query(struct wr_parser *p)
{
    struct wr_ast_from *from = WR_ARENA_NEW(p->arena, struct wr_ast_from);
    from->kind = WR_AST_FROM_QUERY;
    from->at = p->token.at;
    wr_parser_advance(p); /* ( */
    from->query = wr_parse_query(p);
    wr_parser_need_sign(p, ")", "after the sub-query");
    from->end = p->previous_end;
    return from;
}

static struct wr_ast_from *parse_named_from(struct wr_parser *p)
{
    struct wr_ast_from *from = WR_ARENA_NEW(p->arena, struct wr_ast_from);
    from->kind = WR_AST_FROM_NAME;
    from->at = p->token.at;
    if (p->token.kind == WR_TOKEN_NAME && wr_parse_is_reserved(p->token.text)) {
        wr_parser_expected(p, "a source, view or sub-query");
    }
    from->name = wr_parser_name(p, "a source, view or sub-query");
    if (wr_parser_is_sign(p, "(") && wr_slice_equal_nocase(from->name.text, wr_slice_of("unnest"))) {
        wr_parser_fail(p, from->at, "UNNEST takes an array apart for the rows of a source before it");
        wr_parser_hint(p, "write FROM source, UNNEST(items) AS item");
    }
    if (wr_parser_is_sign(p, "(")) {
        wr_parser_fail(p, from->at, "unknown table function \"%.*s\"",
                       WR_SLICE_ARG(from->name.text));
        wr_parser_hint(p, "window functions in FROM are TUMBLE, HOP and SESSION");
    }
    if (wr_parser_is_sign(p, ".")) {
        refuse(p, "names have no schema here", "write the source's or view's name alone");
    }
    from->end = p->previous_end;
    return from;
}

static struct wr_ast_from *parse_from_item(struct wr_parser *p)
{
    if (wr_parser_is_sign(p, "(")) {
        return parse_sub_query(p);
    }
    const struct wr_token *next = wr_parser_ahead(p, 1);
    if (is_window_function(&p->token) && wr_token_is_sign(next, "(")) {
        return parse_window(p);
    }
    if (wr_parser_is(p, "table") && wr_token_is_sign(next, "(")) { /* Flink */
        wr_parser_advance(p);
        wr_parser_advance(p);
        if (!is_window_function(&p->token)) {
            wr_parser_expected(p, "TUMBLE, HOP or SESSION inside TABLE( )");
        }
        struct wr_ast_from *window = parse_window(p);
        wr_parser_need_sign(p, ")", "after TABLE(window function");
        return window;
    }
    return parse_named_from(p);
}

static void parse_alias(struct wr_parser *p, struct wr_ast_from *from)
{
    if (wr_parser_is(p, "asof")) { /* PostgreSQL would take it as the alias of what stands before */
        refuse(p, "ASOF JOIN is not there", "joins come later; aggregate each source by window");
    } else if (wr_parser_take(p, "as")) {
        from->alias = wr_parser_name(p, "a name after AS");
    } else if (wr_parser_is_name(p) &&
               (p->token.kind == WR_TOKEN_QUOTED || !wr_parse_is_reserved(p->token.text))) {
        from->alias = wr_parser_name(p, "a name");
    }
}

/* What joins an UNNEST to what stands before it, up to and with the word JOIN or the comma; false: none is there. */
static bool take_join(struct wr_parser *p, bool *outer, bool *condition)
{
    *outer = wr_parser_is(p, "left");
    *condition = *outer;
    if (wr_parser_take_sign(p, ",")) {
        return true;
    }
    if (wr_parser_is2(p, "cross", "join") || wr_parser_is2(p, "inner", "join") ||
        wr_parser_is2(p, "left", "join") || wr_parser_is2(p, "left", "outer")) {
        *condition = !wr_parser_is(p, "cross");
        wr_parser_advance(p);
        (void)wr_parser_take(p, "outer");
    } else {
        *condition = wr_parser_is(p, "join");
    }
    return wr_parser_take(p, "join");
}

/* Does an UNNEST follow what joins it? Two tokens of look-ahead are not enough for LEFT OUTER JOIN LATERAL UNNEST, so the words are
 * read on a copy of the lexer. */
static bool is_unnest_join(struct wr_parser *p)
{
    struct wr_parser probe = *p;
    struct wr_error ignored;
    bool outer;
    bool condition;
    probe.err = &ignored;
    if (!take_join(&probe, &outer, &condition)) {
        return false;
    }
    (void)wr_parser_take(&probe, "lateral");
    return wr_parser_is(&probe, "unnest") && wr_token_is_sign(wr_parser_ahead(&probe, 1), "(");
}

static void parse_unnest_names(struct wr_parser *p, struct wr_ast_from *from)
{
    if (!wr_parser_take_sign(p, "(")) {
        return;
    }
    do {
        from->names = WR_GROW(p->arena, from->names, from->name_count);
        from->names[from->name_count++] = wr_parser_name(p, "a column's name");
    } while (wr_parser_take_sign(p, ","));
    wr_parser_need_sign(p, ")", "or \",\" after a column's name");
}

static struct wr_ast_from *parse_unnest(struct wr_parser *p, struct wr_ast_from *input)
{
    struct wr_ast_from *from = WR_ARENA_NEW(p->arena, struct wr_ast_from);
    bool condition;
    from->kind = WR_AST_FROM_UNNEST;
    from->input = input;
    (void)take_join(p, &from->outer, &condition);
    (void)wr_parser_take(p, "lateral");
    from->at = p->token.at;
    from->name = wr_parser_name(p, "UNNEST");
    wr_parser_need_sign(p, "(", "after UNNEST");
    from->value = wr_parse_expr(p);
    if (wr_parser_is_sign(p, ",")) {
        refuse(p, "UNNEST takes one array or map", "write one UNNEST after the other");
    }
    wr_parser_need_sign(p, ")", "after UNNEST(value");
    if (wr_parser_is2(p, "with", "ordinality")) {
        wr_parser_advance(p);
        wr_parser_advance(p);
        from->ordinality = true;
    }
    parse_alias(p, from);
    parse_unnest_names(p, from);
    if (condition && wr_parser_is(p, "on")) {
        wr_parser_advance(p);
        if (!wr_parser_take(p, "true")) {
            wr_parser_expected(p, "TRUE after ON");
            wr_parser_hint(p, "UNNEST is joined ON TRUE; conditions go into WHERE");
        }
    } else if (condition) {
        wr_parser_expected(p, "ON TRUE after JOIN UNNEST( )");
        wr_parser_hint(p, "write CROSS JOIN UNNEST(…), or LEFT JOIN UNNEST(…) AS item ON TRUE");
    }
    from->end = p->previous_end;
    return from;
}

static void refuse_after_from(struct wr_parser *p)
{
    static const char *const joins[] = {"join", "inner", "left",    "right",
                                        "full", "cross", "natural", "asof"};
    for (size_t i = 0; i < sizeof(joins) / sizeof(joins[0]); i++) {
        if (wr_parser_is(p, joins[i])) {
            refuse(p, "joins are not there",
                   "read one source, view or sub-query; combine alike "
                   "ones with UNION ALL");
        }
    }
    if (wr_parser_is_sign(p, ",")) {
        refuse(p, "FROM takes one source, view or sub-query", "combine alike ones with UNION ALL");
    }
    if (wr_parser_is(p, "for") || wr_parser_is(p, "tablesample") ||
        wr_parser_is(p, "match_recognize")) {
        refuse(p, "this clause is not there", "after FROM come WHERE, GROUP BY and HAVING");
    }
}

static void parse_group(struct wr_parser *p, struct wr_ast_select *select)
{
    select->grouped = true;
    if (wr_parser_is(p, "rollup") || wr_parser_is(p, "cube") || wr_parser_is(p, "grouping")) {
        refuse(p, "grouping sets are not there", "write one query for each GROUP BY");
    }
    do {
        select->group = WR_GROW(p->arena, select->group, select->group_count);
        select->group[select->group_count++] = wr_parse_expr(p);
    } while (wr_parser_take_sign(p, ","));
}

static void parse_emit(struct wr_parser *p)
{
    if (!wr_parser_take(p, "emit")) {
        return;
    }
    if (!wr_parser_is(p, "on")) {
        refuse(p, "only EMIT ON WINDOW CLOSE is there",
               "results appear once, when their window closes");
    }
    wr_parser_need(p, "ON");
    wr_parser_need(p, "WINDOW");
    wr_parser_need(p, "CLOSE");
}

/* "SELECT * FORM clicks": a misspelled FROM was read as the last column's name. */
static void suspect_alias(struct wr_parser *p, const struct wr_ast_select *select)
{
    const struct wr_ast_name *alias = &select->items[select->item_count - 1].alias;
    if (alias->text.bytes > 0 && !alias->quoted && wr_parser_is_name(p) &&
        wr_slice_distance(alias->text, WR_SLICE_LITERAL("from"), 2) <= 2) {
        wr_parser_fail(p, alias->at, "expected FROM, found \"%.*s\"", WR_SLICE_ARG(alias->text));
        wr_parser_hint(p, "did you mean FROM?");
    }
}

static void parse_branch(struct wr_parser *p, struct wr_ast_select *select)
{
    select->at = p->token.at;
    if (wr_parser_take_sign(p, "(")) {
        select->nested = wr_parse_query(p);
        wr_parser_need_sign(p, ")", "after the query");
        return;
    }
    wr_parser_need(p, "SELECT");
    if (wr_parser_is(p, "distinct")) {
        refuse(p, "SELECT DISTINCT is not there",
               "group by the columns over a window, or use count(DISTINCT x)");
    }
    (void)wr_parser_take(p, "all");
    wr_parse_item_list(p, &select->items, &select->item_count);
    if (wr_parser_is(p, "into")) {
        refuse(p, "SELECT … INTO is not there",
               "write INSERT INTO sink SELECT …, or "
               "CREATE SINK name WITH (…) AS SELECT …");
    }
    if (!wr_parser_take(p, "from")) {
        suspect_alias(p, select);
        wr_parser_expected(p, "FROM, or \",\" and a further column");
        return;
    }
    select->from = parse_from_item(p);
    parse_alias(p, select->from);
    for (uint32_t n = 0; is_unnest_join(p); n++) {
        if (n == UNNESTS_MAX) {
            refuse(p, "too many UNNESTs in one FROM", "take some of them apart in a sub-query");
            return;
        }
        select->from = parse_unnest(p, select->from);
    }
    refuse_after_from(p);
    if (wr_parser_take(p, "where")) {
        select->where = wr_parse_expr(p);
    }
    if (wr_parser_is2(p, "group", "by")) {
        wr_parser_advance(p);
        wr_parser_advance(p);
        parse_group(p, select);
    }
    if (wr_parser_take(p, "having")) {
        select->having = wr_parse_expr(p);
    }
    parse_emit(p);
}

static void refuse_after_select(struct wr_parser *p)
{
    if (wr_parser_is(p, "order")) {
        refuse(p, "ORDER BY has no meaning for an endless stream",
               "leave it out; results come in the order of their windows");
    } else if (wr_parser_is(p, "limit") || wr_parser_is(p, "fetch") || wr_parser_is(p, "offset")) {
        refuse(p, "LIMIT has no meaning for an endless stream",
               "leave it out; `weir preview --rows N` shows the first rows");
    } else if (wr_parser_is(p, "except") || wr_parser_is(p, "intersect")) {
        refuse(p, "only UNION ALL combines queries", "write a condition in WHERE instead");
    } else if (wr_parser_is(p, "window")) {
        refuse(p, "the WINDOW clause is not there", "use TUMBLE, HOP or SESSION in FROM");
    } else if (wr_parser_is(p, "qualify")) {
        refuse(p, "QUALIFY is not there", "window functions with OVER are not there either");
    }
}

struct wr_ast_query *wr_parse_query(struct wr_parser *p)
{
    struct wr_ast_query *query = WR_ARENA_NEW(p->arena, struct wr_ast_query);
    query->at = p->token.at;
    if (!wr_parser_enter(p)) {
        return query;
    }
    if (wr_parser_is(p, "with")) {
        refuse(p, "WITH queries are not there", "write CREATE VIEW name AS SELECT …");
    }
    for (;;) {
        query->branches = WR_GROW(p->arena, query->branches, query->branch_count);
        parse_branch(p, &query->branches[query->branch_count++]);
        refuse_after_select(p);
        if (!wr_parser_take(p, "union")) {
            break;
        }
        if (!wr_parser_take(p, "all")) {
            refuse(p, "UNION without ALL would need all rows ever seen", "write UNION ALL");
        }
    }
    wr_parser_leave(p);
    return query;
}
