/* bind_select.c: SELECT: rows, or groups of a window.
 *
 * Everything is bound over FROM's columns first. In a grouped SELECT the outcome is then rewritten
 * over what the WINDOW node gives (window_start, window_end, keys, aggregates): a part that equals
 * a GROUP BY expression becomes its column, an aggregate its own, and any other column is an error.
 */
#include "base/buf.h"
#include "base/limits.h"
#include "sql/bind.h"

struct item {
    struct wr_expr *expr;
    const char *name;
    bool named; /* by AS or a column: not renamed when it is there twice */
    const char *group;
    const struct wr_ast_item *ast;
    enum wr_time_role role;
    int64_t reach_us;
};

struct select {
    struct wr_binder *binder;
    const struct wr_ast_select *ast;
    struct wr_scope *scope;
    struct wr_bind bind;
    struct item *items;
    uint32_t item_count;
    struct wr_expr **keys;
    uint32_t key_count;
    struct wr_expr *start; /* over the scope: what means the window's start and end in GROUP BY */
    struct wr_expr *end;
    bool groups_window;
    int64_t reach_us; /* of the results' windows */
};

static void fail_hint(struct select *s, uint32_t at, const char *what, const char *hint)
{
    wr_bind_fail(s->binder, at, "%s", what);
    wr_bind_hint(s->binder, "%s", hint);
}

/* Replaces window_start and window_end by what TUMBLE computes from a row's time. */
static struct wr_expr *per_row(struct select *s, struct wr_expr *expr)
{
    struct wr_arena *arena = s->binder->arena;
    const struct wr_scope_window *w = s->bind.window;
    if (expr->kind == WR_EXPR_COLUMN) {
        if (expr->column < WR_BIND_WINDOW_START) {
            return expr;
        }
        if (w->kind != WR_WINDOW_TUMBLE) {
            fail_hint(s, expr->at, "a row is in several such windows: it has no window of its own",
                      "group by window_start, window_end; conditions on them go into HAVING");
            return NULL;
        }
        struct wr_expr *time =
            wr_expr_column(arena, w->time, w->time_type, true, expr->at, expr->at + expr->at_bytes);
        time = wr_bind_cast(s->binder, time, wr_type_of(WR_TYPE_TIMESTAMP), true, false);
        struct wr_expr *call = wr_expr_new(arena, WR_EXPR_CALL, wr_type_of(WR_TYPE_TIMESTAMP),
                                           expr->at, expr->at + expr->at_bytes, 3);
        call->function =
            expr->column == WR_BIND_WINDOW_START ? WR_FN_WINDOW_START_OF : WR_FN_WINDOW_END_OF;
        call->args[0] = time;
        call->args[1] = wr_expr_int64(arena, w->size_us);
        call->args[2] = wr_expr_int64(arena, w->offset_us);
        call->nullable = true;
        return wr_bind_cast(s->binder, call, w->time_type, true, false);
    }
    struct wr_expr *copy = WR_ARENA_NEW(arena, struct wr_expr);
    *copy = *expr;
    copy->args = WR_ARENA_ARRAY(arena, struct wr_expr *, expr->arg_count + 1);
    for (uint32_t i = 0; i < expr->arg_count; i++) {
        copy->args[i] = per_row(s, expr->args[i]);
        if (copy->args[i] == NULL) {
            return NULL;
        }
    }
    return copy;
}

/* Names of results that nobody named: a column's or function's own. */
static const char *default_name(struct select *s, const struct wr_ast_expr *ast, bool *named)
{
    *named = false;
    while (ast->kind == WR_AST_CAST) {
        ast = ast->args[0];
    }
    if (ast->kind == WR_AST_NAME || ast->kind == WR_AST_FIELD) {
        *named = true;
        return wr_bind_fold(s->binder->arena, &ast->parts[ast->part_count - 1]);
    }
    if (ast->kind == WR_AST_CALL) {
        return wr_bind_fold(s->binder->arena, &ast->parts[0]);
    }
    if (ast->kind == WR_AST_CASE) {
        return "case";
    }
    return wr_arena_printf(s->binder->arena, "column_%u", s->item_count + 1);
}

static struct item *add_item(struct select *s)
{
    const uint32_t n = s->item_count;
    if (n == 0 || (n >= 4 && (n & (n - 1)) == 0)) {
        struct item *grown = WR_ARENA_ARRAY(s->binder->arena, struct item, n == 0 ? 4 : n * 2);
        if (n > 0) {
            memcpy(grown, s->items, n * sizeof(*grown));
        }
        s->items = grown;
    }
    s->item_count++;
    return &s->items[n];
}

static bool add_star(struct select *s, const struct wr_ast_item *ast)
{
    const struct wr_ast_expr *star = ast->expr;
    uint32_t meant = 0;
    for (uint32_t i = 0; i < s->scope->count; i++) {
        const struct wr_scope_column *column = &s->scope->columns[i];
        if (star->part_count == 1 &&
            !wr_slice_equal_nocase(star->parts[0].text, wr_bind_relation(s->scope, column))) {
            continue;
        }
        meant++;
        if (column->hidden) {
            continue;
        }
        struct item *item = add_item(s);
        struct wr_expr *expr = WR_ARENA_NEW(s->binder->arena, struct wr_expr);
        *expr = *column->expr;
        expr->at = star->at;
        expr->at_bytes = star->end - star->at;
        *item = (struct item){.expr = expr,
                              .name = column->name,
                              .named = true,
                              .group = column->group,
                              .ast = ast,
                              .role = column->role,
                              .reach_us = column->reach_us};
    }
    if (star->part_count > 1 || (star->part_count == 1 && meant == 0)) {
        fail_hint(s, star->at, "this * names nothing in FROM", "write * alone");
        return false;
    }
    return true;
}

/* A window as one item stands for its start and end. */
static bool add_window_item(struct select *s, const struct wr_ast_item *ast, struct wr_expr *start,
                            struct wr_expr *end, const char *group, int64_t reach_us)
{
    static const char *const suffix[] = {"start", "end"};
    struct wr_expr *const exprs[] = {start, end};
    for (uint32_t k = 0; k < 2; k++) {
        struct item *item = add_item(s);
        *item = (struct item){
            .expr = exprs[k],
            .name = wr_arena_printf(s->binder->arena, "%s_%s", group, suffix[k]),
            .named = true,
            .group = group,
            .ast = ast,
            .role = k == 0 ? WR_ROLE_WINDOW_START : WR_ROLE_WINDOW_END,
            .reach_us = reach_us,
        };
    }
    return true;
}

/* The scope's column that is the start or end of the group `name`; NULL: none. */
static const struct wr_scope_column *
find_group(const struct wr_scope *scope, const struct wr_ast_expr *ast, enum wr_time_role role)
{
    for (uint32_t i = 0; ast->kind == WR_AST_NAME && ast->part_count == 1 && i < scope->count;
         i++) {
        const struct wr_scope_column *column = &scope->columns[i];
        if (column->group != NULL && column->role == role &&
            wr_bind_name_matches(&ast->parts[0], column->group, false)) {
            return column;
        }
    }
    return NULL;
}

static struct wr_expr *virtual_column(struct select *s, uint32_t column,
                                      const struct wr_ast_expr *ast)
{
    return wr_expr_column(s->binder->arena, column, s->bind.window->time_type, false, ast->at,
                          ast->end);
}

static const char *group_name(struct select *s, const struct wr_ast_item *ast)
{
    return ast->alias.text.bytes > 0 ? wr_bind_fold(s->binder->arena, &ast->alias) : "window";
}

static void set_role(struct select *s, struct item *item)
{
    for (uint32_t i = 0; i < s->scope->count; i++) {
        const struct wr_scope_column *column = &s->scope->columns[i];
        if (column->role != WR_ROLE_NONE && wr_expr_equal(column->expr, item->expr)) {
            item->role = column->role;
            item->reach_us = column->reach_us;
            item->group = NULL;
            return;
        }
    }
}

static bool bind_item(struct select *s, const struct wr_ast_item *ast)
{
    const struct wr_scope_column *start = find_group(s->scope, ast->expr, WR_ROLE_WINDOW_START);
    const struct wr_scope_column *end = find_group(s->scope, ast->expr, WR_ROLE_WINDOW_END);
    if (ast->expr->kind == WR_AST_STAR) {
        return add_star(s, ast);
    }
    if (wr_bind_is_window_call(ast->expr)) {
        return wr_bind_window_call(&s->bind, ast->expr) &&
               add_window_item(s, ast, virtual_column(s, WR_BIND_WINDOW_START, ast->expr),
                               virtual_column(s, WR_BIND_WINDOW_END, ast->expr), group_name(s, ast),
                               s->bind.window->size_us);
    }
    if (start != NULL && end != NULL) {
        return add_window_item(s, ast, start->expr, end->expr, group_name(s, ast), start->reach_us);
    }
    struct wr_expr *expr = wr_bind_expr(&s->bind, ast->expr);
    if (expr == NULL) {
        return false;
    }
    if (expr->type.id == WR_TYPE_NULL) {
        expr = wr_bind_cast(s->binder, expr, wr_type_of(WR_TYPE_TEXT), false, false);
    }
    bool named = true;
    const char *name = ast->alias.text.bytes > 0 ? wr_bind_fold(s->binder->arena, &ast->alias)
                                                 : default_name(s, ast->expr, &named);
    struct item *item = add_item(s);
    *item = (struct item){.expr = expr, .name = name, .named = named, .ast = ast};
    set_role(s, item);
    /* A bare column keeps the case that it was declared with: userid of "userId" is called userId.
     */
    uint32_t used;
    if (ast->alias.text.bytes == 0 && ast->expr->kind == WR_AST_NAME) {
        const int32_t c =
            wr_bind_find_column(s->scope, ast->expr->parts, ast->expr->part_count, &used);
        if (c >= 0 && used == ast->expr->part_count &&
            strchr(s->scope->columns[c].name, '.') == NULL) {
            item->name = s->scope->columns[c].name;
        }
    }
    return true;
}

static const struct wr_ast_item *item_by_name(const struct select *s, const struct wr_ast_expr *ast)
{
    for (uint32_t i = 0; ast->kind == WR_AST_NAME && ast->part_count == 1 && i < s->ast->item_count;
         i++) {
        const struct wr_ast_item *item = &s->ast->items[i];
        if (item->alias.text.bytes > 0 &&
            wr_slice_equal_nocase(item->alias.text, ast->parts[0].text)) {
            return item;
        }
    }
    return NULL;
}

/* GROUP BY 2, GROUP BY alias, GROUP BY expression: which expression is meant; NULL with an error.
 */
static const struct wr_ast_expr *group_target(struct select *s, const struct wr_ast_expr *ast)
{
    if (ast->kind == WR_AST_NUMBER) {
        uint32_t n = 0;
        for (size_t i = 0; i < ast->text.bytes && i < 6; i++) {
            const char c = ast->text.data[i];
            n = c >= '0' && c <= '9' ? n * 10 + (uint32_t)(c - '0') : 1000000;
        }
        if (n < 1 || n > s->ast->item_count) {
            wr_bind_fail(s->binder, ast->at, "GROUP BY %.*s: SELECT has %u columns",
                         WR_SLICE_ARG(ast->text), s->ast->item_count);
            wr_bind_hint(s->binder, "a number in GROUP BY counts the columns of SELECT, from 1");
            return NULL;
        }
        return s->ast->items[n - 1].expr;
    }
    uint32_t used = 0;
    const bool is_column = ast->kind == WR_AST_NAME &&
                           wr_bind_find_column(s->scope, ast->parts, ast->part_count, &used) != -1;
    const struct wr_ast_item *item = is_column ? NULL : item_by_name(s, ast);
    return item != NULL ? item->expr : ast;
}

static bool add_key(struct select *s, struct wr_expr *key)
{
    for (uint32_t k = 0; k < s->key_count; k++) {
        if (wr_expr_equal(s->keys[k], key)) {
            return true;
        }
    }
    s->keys[s->key_count++] = key;
    return true;
}

static bool is_window_part(const struct wr_expr *expr)
{
    if (expr->kind == WR_EXPR_COLUMN) {
        return expr->column == WR_BIND_WINDOW_START || expr->column == WR_BIND_WINDOW_END;
    }
    return expr->kind == WR_EXPR_CALL && expr->arg_count == 2 &&
           (expr->function == WR_FN_SUB_TIMESTAMP_INTERVAL ||
            expr->function == WR_FN_SUB_TIMESTAMPTZ_INTERVAL) &&
           expr->args[0]->kind == WR_EXPR_COLUMN && expr->args[0]->column == WR_BIND_WINDOW_END &&
           expr->args[1]->kind == WR_EXPR_CONST && expr->args[1]->value.interval.us == 1;
}

/* Does the expression name the window that made the rows? Then GROUP BY goes by that one. */
static bool is_inherited(const struct select *s, const struct wr_expr *expr)
{
    for (uint32_t i = 0; s->bind.window == NULL && i < s->scope->count; i++) {
        const enum wr_time_role role = s->scope->columns[i].role;
        if ((role == WR_ROLE_WINDOW_START || role == WR_ROLE_WINDOW_END) &&
            wr_expr_equal(s->scope->columns[i].expr, expr)) {
            return true;
        }
    }
    return false;
}

static bool bind_group(struct select *s, const struct wr_ast_expr *written)
{
    const struct wr_ast_expr *ast = group_target(s, written);
    if (ast == NULL) {
        return false;
    }
    if (wr_bind_is_window_call(ast)) {
        s->groups_window = true;
        return wr_bind_window_call(&s->bind, ast);
    }
    if (find_group(s->scope, ast, WR_ROLE_WINDOW_START) != NULL) {
        s->groups_window = true;
        return true;
    }
    if (ast->kind == WR_AST_STAR) {
        fail_hint(s, ast->at, "* cannot be grouped by", "name the columns");
        return false;
    }
    s->bind.aggregates_allowed = false;
    s->bind.where = "GROUP BY";
    struct wr_expr *expr = wr_bind_expr(&s->bind, ast);
    s->bind.aggregates_allowed = true;
    if (expr == NULL) {
        return false;
    }
    if (is_window_part(expr) || is_inherited(s, expr)) {
        s->groups_window = true;
        return true;
    }
    if (expr->type.id == WR_TYPE_JSON) {
        expr = wr_bind_cast(s->binder, expr, wr_type_of(WR_TYPE_TEXT), true, false);
    } else if (expr->type.id == WR_TYPE_NULL) {
        expr = wr_bind_cast(s->binder, expr, wr_type_of(WR_TYPE_TEXT), false, false);
    }
    return expr != NULL && wr_bind_comparable(s->binder, expr, "GROUP BY") && add_key(s, expr);
}

static const struct wr_scope_column *inherited(const struct select *s, enum wr_time_role role)
{
    for (uint32_t i = 0; i < s->scope->count; i++) {
        if (s->scope->columns[i].role == role &&
            s->scope->columns[i].expr->kind == WR_EXPR_COLUMN) {
            return &s->scope->columns[i];
        }
    }
    return NULL;
}

/* A field of a STRUCT that is grouped by as a whole, over the WINDOW's columns; NULL: the column is no such field. */
static struct wr_expr *field_of_key(struct select *s, const struct wr_expr *expr, uint32_t column)
{
    struct wr_arena *arena = s->binder->arena;
    uint32_t field = 0;
    const uint32_t whole = wr_bind_whole_of(s->scope->node, column, &field);
    if (whole == WR_NO_COLUMN) {
        return NULL;
    }
    struct wr_expr *of = NULL;
    for (uint32_t k = 0; k < s->key_count && of == NULL; k++) {
        if (s->keys[k]->kind == WR_EXPR_COLUMN && s->keys[k]->column == whole) {
            of = wr_expr_column(arena, 2 + k, s->keys[k]->type, s->keys[k]->nullable, expr->at,
                                expr->at + expr->at_bytes);
        }
    }
    of = of != NULL ? of : field_of_key(s, expr, whole);
    return of == NULL ? NULL
                      : wr_bind_field_of(arena, of, field, expr->at, expr->at + expr->at_bytes);
}

/* Over the WINDOW's columns; NULL with an error for a column that is neither grouped nor
 * aggregated. */
static struct wr_expr *over_window(struct select *s, struct wr_expr *expr)
{
    struct wr_arena *arena = s->binder->arena;
    uint32_t column = WR_NO_COLUMN;
    for (uint32_t k = 0; k < s->key_count && column == WR_NO_COLUMN; k++) {
        column = wr_expr_equal(s->keys[k], expr) ? 2 + k : column;
    }
    if (expr->kind == WR_EXPR_COLUMN && expr->column >= WR_BIND_AGGREGATE) {
        column = 2 + s->key_count + (expr->column - WR_BIND_AGGREGATE);
    } else if (expr->kind == WR_EXPR_COLUMN && expr->column >= WR_BIND_WINDOW_START) {
        column = expr->column - WR_BIND_WINDOW_START;
    } else if (s->start != NULL && wr_expr_equal(s->start, expr)) {
        column = 0;
    } else if (s->end != NULL && wr_expr_equal(s->end, expr)) {
        column = 1;
    }
    if (column != WR_NO_COLUMN) {
        return wr_expr_column(arena, column, expr->type, expr->nullable, expr->at,
                              expr->at + expr->at_bytes);
    }
    if (expr->kind == WR_EXPR_COLUMN) {
        struct wr_expr *field = field_of_key(s, expr, expr->column);
        if (field != NULL) {
            return field;
        }
        wr_bind_fail(s->binder, expr->at,
                     "column \"%s\" is neither in GROUP BY nor inside an aggregate",
                     s->scope->node->schema.fields[expr->column].name);
        wr_bind_hint(s->binder, "add it to GROUP BY, or write last_value(%s)",
                     s->scope->node->schema.fields[expr->column].name);
        return NULL;
    }
    struct wr_expr *copy = WR_ARENA_NEW(arena, struct wr_expr);
    *copy = *expr;
    copy->args = WR_ARENA_ARRAY(arena, struct wr_expr *, expr->arg_count + 1);
    for (uint32_t i = 0; i < expr->arg_count; i++) {
        copy->args[i] = over_window(s, expr->args[i]);
        if (copy->args[i] == NULL) {
            return NULL;
        }
    }
    return copy;
}

static int64_t largest_lateness(const struct wr_binder *binder, const struct wr_draft *node)
{
    int64_t most = node->kind == WR_NODE_SCAN ? binder->plan->sources[node->source].lateness_us : 0;
    for (uint32_t i = 0; i < node->input_count; i++) {
        const int64_t below = largest_lateness(binder, node->inputs[i]);
        most = below > most ? below : most;
    }
    return most;
}

static bool fail_no_window(struct select *s)
{
    const uint32_t at = s->ast->group_count > 0 ? s->ast->group[0]->at : s->ast->at;
    if (s->bind.window != NULL) {
        fail_hint(s, at, "an aggregate over a window must be grouped by it",
                  "add window_start, window_end to GROUP BY");
    } else if (s->ast->group_count > 0) {
        fail_hint(
            s, at, "a GROUP BY without a window would never have a final result",
            "read FROM TUMBLE(source, time, INTERVAL '10 seconds') and group by window_start, "
            "window_end too");
    } else {
        fail_hint(s, at, "an aggregate over an endless stream never has a result",
                  "read FROM TUMBLE(source, time, INTERVAL '10 seconds') and add GROUP BY "
                  "window_start, window_end");
    }
    return false;
}

/* Which window: the one of FROM, that of tumble(interval …), or the rows' own. */
static bool set_window(struct select *s, struct wr_plan_window *w, struct wr_type *time_type)
{
    const struct wr_scope_window *from = s->bind.window;
    if (!s->groups_window) {
        return fail_no_window(s);
    }
    w->lateness_us = largest_lateness(s->binder, s->scope->node);
    if (from != NULL) {
        w->kind = from->kind;
        w->size_us = from->size_us;
        w->slide_us = from->slide_us;
        w->offset_us = from->offset_us;
        w->time_column = from->time;
        w->outer = from->time_role != WR_ROLE_EVENT_TIME;
        w->hold_us = from->time_role == WR_ROLE_WINDOW_START ? from->time_reach_us - 1 : 0;
        *time_type = from->time_type;
        s->reach_us = from->kind == WR_WINDOW_SESSION ? -1 : from->size_us;
        return true;
    }
    const struct wr_scope_column *start = inherited(s, WR_ROLE_WINDOW_START);
    const struct wr_scope_column *end = inherited(s, WR_ROLE_WINDOW_END);
    if (start == NULL || end == NULL) {
        fail_hint(s, s->ast->group[0]->at,
                  "grouping by an inner window needs its start and its end",
                  "select window_start and window_end in the sub-query");
        return false;
    }
    w->kind = WR_WINDOW_INHERIT;
    w->time_column = start->expr->column;
    w->end_column = end->expr->column;
    w->outer = true;
    s->start = start->expr;
    s->end = end->expr;
    s->reach_us = start->reach_us;
    *time_type = start->expr->type;
    return true;
}

static const char *unique_name(struct select *s, const struct wr_schema *schema, uint32_t count,
                               const char *wanted)
{
    const char *name = wanted;
    for (uint32_t n = count + 1;;
         n++) { /* "sum_3" is the third column, unless something is called so */
        bool taken = false;
        for (uint32_t i = 0; i < count; i++) {
            taken = taken || strcmp(schema->fields[i].name, name) == 0;
        }
        if (!taken) {
            return name;
        }
        name = wr_arena_printf(s->binder->arena, "%s_%u", wanted, n);
    }
}

static void add_window_field(struct select *s, struct wr_draft *draft, uint32_t *n,
                             const char *name, struct wr_type type, bool not_null)
{
    draft->schema.fields[*n] = (struct wr_field){.name = unique_name(s, &draft->schema, *n, name),
                                                 .type = type,
                                                 .not_null = not_null,
                                                 .declared = *n,
                                                 .field_id = *n + 1};
    (*n)++;
}

static bool inputs_per_row(struct select *s, struct wr_plan_window *w)
{
    for (uint32_t k = 0; k < s->key_count; k++) {
        w->keys[k] = per_row(s, s->keys[k]);
        if (w->keys[k] == NULL) {
            return false;
        }
    }
    for (uint32_t a = 0; a < w->aggregate_count; a++) {
        struct wr_plan_aggregate *agg = &w->aggregates[a];
        if ((agg->arg != NULL && (agg->arg = per_row(s, agg->arg)) == NULL) ||
            (agg->filter != NULL && (agg->filter = per_row(s, agg->filter)) == NULL)) {
            return false;
        }
    }
    return true;
}

static struct wr_draft *make_window(struct select *s)
{
    struct wr_binder *binder = s->binder;
    const uint32_t columns = 2 + s->key_count + s->bind.aggregate_count;
    struct wr_draft *draft = wr_bind_draft(binder, WR_NODE_WINDOW, s->scope->node, columns);
    struct wr_plan_window *w = &draft->window;
    struct wr_type time_type;
    w->keys = WR_ARENA_ARRAY(binder->arena, struct wr_expr *, s->key_count + 1);
    w->key_count = s->key_count;
    w->aggregates = s->bind.aggregates;
    w->aggregate_count = s->bind.aggregate_count;
    if (!set_window(s, w, &time_type) || !inputs_per_row(s, w)) {
        return NULL;
    }
    uint32_t n = 0;
    add_window_field(s, draft, &n, "window_start", time_type, true);
    add_window_field(s, draft, &n, "window_end", time_type, true);
    for (uint32_t k = 0; k < s->key_count; k++) {
        const struct wr_expr *key = s->keys[k];
        const char *name = key->kind == WR_EXPR_COLUMN && key->column < WR_BIND_WINDOW_START
                               ? s->scope->node->schema.fields[key->column].name
                               : NULL;
        for (uint32_t i = 0; i < s->item_count && name == NULL; i++) {
            name = wr_expr_equal(s->items[i].expr, key) ? s->items[i].name : NULL;
        }
        add_window_field(s, draft, &n, name != NULL ? name : "key", key->type, !key->nullable);
    }
    for (uint32_t a = 0; a < s->bind.aggregate_count; a++) {
        const enum wr_aggregate kind = s->bind.aggregates[a].kind;
        add_window_field(s, draft, &n, wr_aggregate_name(kind), s->bind.aggregates[a].type,
                         kind <= WR_AGG_COUNT_DISTINCT || kind == WR_AGG_APPROX_COUNT_DISTINCT);
    }
    return draft;
}

static struct wr_scope *finish(struct select *s, struct wr_draft *node)
{
    struct wr_binder *binder = s->binder;
    struct wr_expr **exprs = WR_ARENA_ARRAY(binder->arena, struct wr_expr *, s->item_count + 1);
    const char **names = WR_ARENA_ARRAY(binder->arena, const char *, s->item_count + 1);
    struct wr_scope *scope = WR_ARENA_NEW(binder->arena, struct wr_scope);
    struct wr_schema seen = {WR_ARENA_ARRAY(binder->arena, struct wr_field, s->item_count + 1), 0};
    scope->columns = WR_ARENA_ARRAY(binder->arena, struct wr_scope_column, s->item_count + 1);
    scope->count = s->item_count;
    if (s->item_count > WR_COLUMNS_MAX) {
        wr_bind_fail(binder, s->ast->at, "more than %u columns", WR_COLUMNS_MAX);
        wr_bind_hint(binder, "select fewer, or keep them in one JSON column");
        return NULL;
    }
    for (uint32_t i = 0; i < s->item_count; i++) {
        const struct item *item = &s->items[i];
        exprs[i] = item->expr;
        names[i] = item->named ? item->name : unique_name(s, &seen, seen.count, item->name);
        seen.fields[seen.count++].name = names[i];
        scope->columns[i] = (struct wr_scope_column){
            .name = names[i],
            .group = item->group,
            .expr = wr_expr_column(binder->arena, i, item->expr->type, item->expr->nullable,
                                   item->expr->at, item->expr->at + item->expr->at_bytes),
            .role = item->role,
            .reach_us = item->reach_us,
        };
    }
    scope->node = wr_bind_project(binder, node, exprs, names, s->item_count);
    return scope;
}

static void set_result_role(struct select *s, struct item *item)
{
    item->role = WR_ROLE_NONE;
    item->reach_us = s->reach_us;
    const struct wr_expr *e = item->expr;
    if (e->kind == WR_EXPR_COLUMN && e->column <= 1) {
        item->role = e->column == 0 ? WR_ROLE_WINDOW_START : WR_ROLE_WINDOW_END;
        return;
    }
    item->group = NULL;
    if (e->kind == WR_EXPR_CALL && e->arg_count == 2 && e->args[0]->kind == WR_EXPR_COLUMN &&
        e->args[0]->column == 1 && wr_type_is_timestamp(e->type) &&
        (e->function == WR_FN_SUB_TIMESTAMP_INTERVAL ||
         e->function == WR_FN_SUB_TIMESTAMPTZ_INTERVAL) &&
        e->args[1]->kind == WR_EXPR_CONST && e->args[1]->value.interval.us == 1 &&
        e->args[1]->value.interval.days == 0 && e->args[1]->value.interval.months == 0) {
        item->role = WR_ROLE_WINDOW_TIME;
    }
}

static struct wr_scope *grouped(struct select *s, struct wr_expr *having)
{
    for (uint32_t i = 0; i < s->item_count; i++) {
        if (s->items[i].ast->expr->kind == WR_AST_STAR) {
            fail_hint(s, s->items[i].ast->expr->at, "SELECT * cannot be grouped",
                      "name the columns and aggregates");
            return NULL;
        }
    }
    struct wr_draft *node = make_window(s);
    if (node == NULL) {
        return NULL;
    }
    if (having != NULL) {
        having = over_window(s, having);
        if (having == NULL) {
            return NULL;
        }
        node = wr_bind_filter(s->binder, node, having);
    }
    for (uint32_t i = 0; i < s->item_count; i++) {
        s->items[i].expr = over_window(s, s->items[i].expr);
        if (s->items[i].expr == NULL) {
            return NULL;
        }
        set_result_role(s, &s->items[i]);
    }
    return finish(s, node);
}

static struct wr_scope *ungrouped(struct select *s)
{
    const struct wr_scope_window *w = s->bind.window;
    if (w != NULL && w->kind != WR_WINDOW_TUMBLE) {
        fail_hint(s, w->at, "this window needs GROUP BY: a row can be in several of its windows",
                  "add GROUP BY window_start, window_end and aggregates, or use TUMBLE");
        return NULL;
    }
    for (uint32_t i = 0; i < s->item_count; i++) {
        s->items[i].expr = per_row(s, s->items[i].expr);
        if (s->items[i].expr == NULL) {
            return NULL;
        }
        if (w != NULL && s->items[i].role != WR_ROLE_EVENT_TIME) {
            s->items[i].role = WR_ROLE_NONE; /* computed per row: no result's window */
            s->items[i].group = NULL;
        }
    }
    return finish(s, s->scope->node);
}

static bool bind_where(struct select *s)
{
    if (s->ast->where == NULL) {
        return true;
    }
    s->bind.aggregates_allowed = false;
    s->bind.where = "WHERE";
    struct wr_expr *where = wr_bind_boolean(&s->bind, s->ast->where, "WHERE");
    s->bind.aggregates_allowed = true;
    if (where == NULL || (where = per_row(s, where)) == NULL) {
        return false;
    }
    s->scope->node = wr_bind_filter(s->binder, s->scope->node, where);
    return true;
}

/* Arroyo's tumble(interval …) over results goes by their own time, which may have to be computed
 * first. */
static bool add_result_time(struct select *s)
{
    bool calls = false;
    for (uint32_t i = 0; i < s->ast->item_count; i++) {
        calls = calls || wr_bind_is_window_call(s->ast->items[i].expr);
    }
    for (uint32_t i = 0; i < s->ast->group_count; i++) {
        calls = calls || wr_bind_is_window_call(s->ast->group[i]);
    }
    const struct wr_scope_column *end = inherited(s, WR_ROLE_WINDOW_END);
    if (!calls || end == NULL || inherited(s, WR_ROLE_WINDOW_TIME) != NULL) {
        return true;
    }
    const uint32_t n = s->scope->node->schema.count;
    struct wr_expr **exprs = WR_ARENA_ARRAY(s->binder->arena, struct wr_expr *, n + 1);
    const char **names = WR_ARENA_ARRAY(s->binder->arena, const char *, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        const struct wr_field *field = &s->scope->node->schema.fields[i];
        exprs[i] = wr_expr_column(s->binder->arena, i, field->type, !field->not_null, 0, 0);
        names[i] = field->name;
    }
    struct wr_expr *time = wr_bind_window_time(s->binder, end->expr);
    exprs[n] = time;
    names[n] = "window_time";
    s->scope->node = wr_bind_project(s->binder, s->scope->node, exprs, names, n + 1);
    struct wr_scope_column *columns =
        WR_ARENA_ARRAY(s->binder->arena, struct wr_scope_column, s->scope->count + 1);
    memcpy(columns, s->scope->columns, s->scope->count * sizeof(*columns));
    columns[s->scope->count++] = (struct wr_scope_column){
        .name = "$window_time",
        .expr = wr_expr_column(s->binder->arena, n, time->type, false, 0, 0),
        .role = WR_ROLE_WINDOW_TIME,
        .reach_us = end->reach_us,
        .hidden = true,
    };
    s->scope->columns = columns;
    return true;
}

static struct wr_scope *bind_select(struct wr_binder *binder, const struct wr_ast_select *ast)
{
    if (ast->nested != NULL) {
        return wr_bind_query(binder, ast->nested);
    }
    struct select s = {.binder = binder, .ast = ast};
    if (ast->item_count > WR_COLUMNS_MAX || ast->group_count > WR_COLUMNS_MAX) {
        fail_hint(&s, ast->at, "this SELECT has more than 1024 columns",
                  "select fewer, or keep them in one JSON column");
        return NULL;
    }
    if (!wr_bind_check_size(binder, ast->at)) {
        return NULL;
    }
    s.scope = wr_bind_from(binder, ast->from);
    if (s.scope == NULL || !add_result_time(&s)) {
        return NULL;
    }
    s.bind = (struct wr_bind){.binder = binder,
                              .scope = s.scope,
                              .aggregates_allowed = true,
                              .where = "SELECT",
                              .window = s.scope->window};
    s.keys = WR_ARENA_ARRAY(binder->arena, struct wr_expr *, ast->group_count + 1);
    if (!bind_where(&s)) {
        return NULL;
    }
    s.bind.window_calls = s.scope->window == NULL;
    for (uint32_t i = 0; i < ast->group_count; i++) {
        if (!bind_group(&s, ast->group[i])) {
            return NULL;
        }
    }
    for (uint32_t i = 0; i < ast->item_count; i++) {
        if (!bind_item(&s, &ast->items[i])) {
            return NULL;
        }
    }
    struct wr_expr *having = NULL;
    if (ast->having != NULL) {
        having = wr_bind_boolean(&s.bind, ast->having, "HAVING");
        if (having == NULL) {
            return NULL;
        }
    }
    const bool called = s.bind.window != NULL && s.scope->window == NULL;
    return ast->grouped || having != NULL || s.bind.aggregate_count > 0 || called
               ? grouped(&s, having)
               : ungrouped(&s);
}

static struct wr_draft *cast_branch(struct wr_binder *binder, struct wr_scope *branch,
                                    struct wr_expr **exprs, struct wr_scope *first)
{
    const char **names = WR_ARENA_ARRAY(binder->arena, const char *, first->count + 1);
    for (uint32_t c = 0; c < first->count; c++) {
        names[c] = first->columns[c].name;
    }
    return wr_bind_project(binder, branch->node, exprs, names, first->count);
}

/* A column keeps its role when it has the same one in all branches. */
static void merge_roles(struct wr_scope *all, struct wr_scope **branches, uint32_t count)
{
    for (uint32_t c = 0; c < all->count; c++) {
        struct wr_scope_column *column = &all->columns[c];
        for (uint32_t b = 1; b < count; b++) {
            const struct wr_scope_column *other = &branches[b]->columns[c];
            if (other->role != column->role) {
                column->role = WR_ROLE_NONE;
                column->group = NULL;
            }
            if (other->reach_us < 0 || column->reach_us < 0) {
                column->reach_us = -1;
            } else if (other->reach_us > column->reach_us) {
                column->reach_us = other->reach_us;
            }
        }
    }
}

struct wr_scope *wr_bind_union(struct wr_binder *binder, struct wr_scope **branches, uint32_t count,
                               const uint32_t *ats)
{
    struct wr_scope *first = branches[0];
    struct wr_expr **exprs =
        WR_ARENA_ARRAY(binder->arena, struct wr_expr *, (size_t)count * first->count + 1);
    for (uint32_t b = 1; b < count; b++) {
        if (branches[b]->count != first->count) {
            wr_bind_fail(binder, ats[b], "the branches of UNION ALL have %u and %u columns",
                         first->count, branches[b]->count);
            wr_bind_hint(binder, "select the same number of columns in each");
            return NULL;
        }
    }
    struct wr_expr **column = WR_ARENA_ARRAY(binder->arena, struct wr_expr *, count);
    for (uint32_t c = 0; c < first->count; c++) {
        for (uint32_t b = 0; b < count; b++) {
            column[b] = branches[b]->columns[c].expr;
        }
        if (!wr_bind_common(binder, column, count, "UNION ALL")) {
            return NULL;
        }
        for (uint32_t b = 0; b < count; b++) {
            exprs[b * first->count + c] = column[b];
        }
    }
    struct wr_draft *node = wr_bind_draft(binder, WR_NODE_UNION, NULL, first->count);
    node->inputs = WR_ARENA_ARRAY(binder->arena, struct wr_draft *, count);
    node->input_count = count;
    for (uint32_t b = 0; b < count; b++) {
        node->inputs[b] = cast_branch(binder, branches[b], exprs + (size_t)b * first->count, first);
    }
    struct wr_scope *scope = WR_ARENA_NEW(binder->arena, struct wr_scope);
    scope->node = node;
    scope->count = first->count;
    scope->columns = WR_ARENA_ARRAY(binder->arena, struct wr_scope_column, first->count + 1);
    for (uint32_t c = 0; c < first->count; c++) {
        bool nullable = false;
        for (uint32_t b = 0; b < count; b++) {
            nullable = nullable || exprs[b * first->count + c]->nullable;
        }
        node->schema.fields[c] = node->inputs[0]->schema.fields[c];
        node->schema.fields[c].not_null = !nullable;
        scope->columns[c] = first->columns[c];
        scope->columns[c].expr =
            wr_expr_column(binder->arena, c, node->schema.fields[c].type, nullable, 0, 0);
    }
    merge_roles(scope, branches, count);
    return scope;
}

struct wr_scope *wr_bind_query(struct wr_binder *binder, const struct wr_ast_query *query)
{
    struct wr_scope **branches =
        WR_ARENA_ARRAY(binder->arena, struct wr_scope *, query->branch_count);
    uint32_t *ats = WR_ARENA_ARRAY(binder->arena, uint32_t, query->branch_count);
    for (uint32_t i = 0; i < query->branch_count; i++) {
        branches[i] = bind_select(binder, &query->branches[i]);
        ats[i] = query->branches[i].at;
        if (branches[i] == NULL) {
            return NULL;
        }
    }
    return query->branch_count == 1 ? branches[0]
                                    : wr_bind_union(binder, branches, query->branch_count, ats);
}
