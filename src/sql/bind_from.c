/* bind_from.c: what stands in FROM: sources, views, tables, sub-queries, and windows over them. */
#include "base/buf.h"
#include "base/limits.h"
#include "config/suggest.h"
#include "sql/bind.h"

/* Views are inlined, so that a few lines could ask for 2^n operators. */
#define DRAFTS_MAX 4096u

struct wr_draft *wr_bind_draft(struct wr_binder *binder, enum wr_node_kind kind,
                               struct wr_draft *input, uint32_t columns)
{
    struct wr_draft *draft = WR_ARENA_NEW(binder->arena, struct wr_draft);
    draft->kind = kind;
    draft->name = binder->naming;
    draft->index = WR_NO_NODE;
    binder->drafts++;
    if (input != NULL) {
        draft->inputs = WR_ARENA_ARRAY(binder->arena, struct wr_draft *, 1);
        draft->inputs[0] = input;
        draft->input_count = 1;
    }
    draft->schema.fields = WR_ARENA_ARRAY(binder->arena, struct wr_field, columns + 1);
    draft->schema.count = columns;
    return draft;
}

struct wr_draft *wr_bind_filter(struct wr_binder *binder, struct wr_draft *node,
                                struct wr_expr *condition)
{
    struct wr_draft *draft = wr_bind_draft(binder, WR_NODE_FILTER, node, node->schema.count);
    memcpy(draft->schema.fields, node->schema.fields, node->schema.count * sizeof(struct wr_field));
    draft->filter = condition;
    return draft;
}

struct wr_draft *wr_bind_project(struct wr_binder *binder, struct wr_draft *node,
                                 struct wr_expr **exprs, const char *const *names, uint32_t count)
{
    struct wr_draft *draft = wr_bind_draft(binder, WR_NODE_PROJECT, node, count);
    draft->project = WR_ARENA_ARRAY(binder->arena, struct wr_expr *, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        draft->project[i] = exprs[i];
        draft->schema.fields[i] = (struct wr_field){.name = names[i],
                                                    .type = exprs[i]->type,
                                                    .not_null = !exprs[i]->nullable,
                                                    .declared = i,
                                                    .field_id = i + 1};
    }
    return draft;
}

static struct wr_scope *new_scope(struct wr_binder *binder, struct wr_draft *node, uint32_t columns)
{
    struct wr_scope *scope = WR_ARENA_NEW(binder->arena, struct wr_scope);
    scope->node = node;
    scope->columns = WR_ARENA_ARRAY(binder->arena, struct wr_scope_column, columns + 1);
    scope->count = columns;
    return scope;
}

static struct wr_scope *source_scope(struct wr_binder *binder, struct wr_object *object)
{
    const struct wr_plan_source *source = &binder->plan->sources[object->index];
    struct wr_draft *scan = object->draft;
    struct wr_scope *scope = new_scope(binder, scan, scan->schema.count);
    for (uint32_t i = 0; i < scope->count; i++) {
        const struct wr_field *field = &scan->schema.fields[i];
        scope->columns[i] = (struct wr_scope_column){
            .name = field->name,
            .expr = wr_expr_column(binder->arena, i, field->type, !field->not_null, 0, 0),
            .role = i == source->event_time ? WR_ROLE_EVENT_TIME : WR_ROLE_NONE,
            .hidden = i >= source->declared.count,
        };
    }
    return scope;
}

bool wr_bind_check_size(struct wr_binder *binder, uint32_t at)
{
    if (binder->drafts > DRAFTS_MAX) {
        wr_bind_fail(binder, at, "this makes more than %u operators", DRAFTS_MAX);
        wr_bind_hint(binder, "each use of a view and each branch of UNION ALL counts; use fewer");
        return false;
    }
    return true;
}

static bool enter_object(struct wr_binder *binder, struct wr_object *object, uint32_t at)
{
    if (object->busy) {
        wr_bind_fail(binder, at, "\"%s\" reads itself", object->name);
        wr_bind_hint(binder, "a view or table cannot be made from its own rows");
        return false;
    }
    if (binder->depth >= WR_SQL_DEPTH_MAX / 2) {
        wr_bind_fail(binder, at, "views are nested more than %u deep", WR_SQL_DEPTH_MAX / 2);
        wr_bind_hint(binder, "merge some of them");
        return false;
    }
    if (!wr_bind_check_size(binder, at)) {
        return false;
    }
    object->busy = true;
    binder->depth++;
    return true;
}

static void leave_object(struct wr_binder *binder, struct wr_object *object)
{
    object->busy = false;
    binder->depth--;
}

/* A table without a connector is a view of what is inserted: its columns' names and types, by
 * position. */
static struct wr_scope *cast_to_table(struct wr_binder *binder, const struct wr_object *object,
                                      const struct wr_ast_statement *insert, struct wr_scope *rows)
{
    const struct wr_ast_statement *s = object->statement;
    if (s->column_count == 0) {
        return rows;
    }
    if (rows->count != s->column_count) {
        wr_bind_fail(binder, insert->query->at, "\"%s\" has %u columns, but the query gives %u",
                     object->name, s->column_count, rows->count);
        wr_bind_hint(binder, "columns are inserted by position");
        return NULL;
    }
    struct wr_expr **exprs = WR_ARENA_ARRAY(binder->arena, struct wr_expr *, rows->count);
    const char **names = WR_ARENA_ARRAY(binder->arena, const char *, rows->count);
    struct wr_scope *scope = new_scope(binder, NULL, rows->count);
    for (uint32_t i = 0; i < rows->count; i++) {
        const struct wr_ast_column *column = &s->columns[i];
        exprs[i] = wr_bind_cast(binder, rows->columns[i].expr, column->type, true, false);
        if (exprs[i] == NULL) {
            return NULL;
        }
        names[i] = wr_bind_column_name(binder->arena, &column->parts[column->part_count - 1]);
        scope->columns[i] = rows->columns[i];
        scope->columns[i].name = names[i];
        scope->columns[i].expr =
            wr_expr_column(binder->arena, i, exprs[i]->type, exprs[i]->nullable, 0, 0);
        if (exprs[i] != rows->columns[i].expr && !wr_type_is_timestamp(column->type)) {
            scope->columns[i].role = WR_ROLE_NONE;
        }
    }
    scope->node = wr_bind_project(binder, rows->node, exprs, names, rows->count);
    return scope;
}

static struct wr_scope *table_scope(struct wr_binder *binder, struct wr_object *object, uint32_t at)
{
    if (object->insert_count == 0) {
        wr_bind_fail(binder, at, "nothing is inserted into table \"%s\"", object->name);
        wr_bind_hint(binder, "write INSERT INTO %s SELECT …, or give it a connector in WITH ( )",
                     object->name);
        return NULL;
    }
    struct wr_scope **rows = WR_ARENA_ARRAY(binder->arena, struct wr_scope *, object->insert_count);
    uint32_t *ats = WR_ARENA_ARRAY(binder->arena, uint32_t, object->insert_count);
    for (uint32_t i = 0; i < object->insert_count; i++) {
        rows[i] = wr_bind_query(binder, object->inserts[i]->query);
        ats[i] = object->inserts[i]->query->at;
        if (rows[i] != NULL) {
            rows[i] = cast_to_table(binder, object, object->inserts[i], rows[i]);
        }
        if (rows[i] == NULL) {
            return NULL;
        }
    }
    return object->insert_count == 1 ? rows[0]
                                     : wr_bind_union(binder, rows, object->insert_count, ats);
}

static struct wr_scope *fail_relation(struct wr_binder *binder, const struct wr_ast_name *name)
{
    struct wr_suggest suggest;
    wr_suggest_init(&suggest, name->text);
    struct wr_buf all = {0};
    for (uint32_t i = 0; i < binder->object_count; i++) {
        if (binder->objects[i].kind != WR_OBJECT_SINK) {
            wr_suggest_offer(&suggest, wr_slice_of(binder->objects[i].name));
            wr_buf_printf(&all, "%s%s", all.bytes > 0 ? ", " : "", binder->objects[i].name);
        }
    }
    wr_bind_fail(binder, name->at, "there is no source or view \"%.*s\"", WR_SLICE_ARG(name->text));
    if (suggest.best.bytes > 0) {
        wr_bind_hint(binder, "did you mean \"%.*s\"?", WR_SLICE_ARG(suggest.best));
    } else if (all.bytes > 0) {
        wr_bind_hint(binder, "there are %s", wr_buf_cstr(&all));
    } else {
        wr_bind_hint(binder, "write CREATE SOURCE %.*s (…) WITH (connector = '…')",
                     WR_SLICE_ARG(name->text));
    }
    wr_buf_deinit(&all);
    return NULL;
}

static struct wr_scope *named_scope(struct wr_binder *binder, const struct wr_ast_from *from)
{
    struct wr_object *object = wr_bind_find_object(binder, &from->name);
    if (object == NULL) {
        return fail_relation(binder, &from->name);
    }
    if (object->kind == WR_OBJECT_SINK) {
        wr_bind_fail(binder, from->at, "\"%s\" is a sink: it cannot be read", object->name);
        wr_bind_hint(binder, "put its query into a view, and read that");
        return NULL;
    }
    if (object->kind == WR_OBJECT_SOURCE) {
        return source_scope(binder, object);
    }
    if (!enter_object(binder, object, from->at)) {
        return NULL;
    }
    struct wr_scope *scope = object->kind == WR_OBJECT_VIEW
                                 ? wr_bind_query(binder, object->statement->query)
                                 : table_scope(binder, object, from->at);
    leave_object(binder, object);
    return scope;
}

static bool find_time(struct wr_binder *binder, const struct wr_scope *scope,
                      const struct wr_ast_from *from, int32_t *found)
{
    *found = -1;
    if (from->time != NULL) {
        uint32_t used = 0;
        if (from->time->kind != WR_AST_NAME) {
            wr_bind_fail(binder, from->time->at, "the time of a window must be a column");
            wr_bind_hint(binder, "write %.*s(source, event_time_column, INTERVAL '10 seconds')",
                         WR_SLICE_ARG(from->name.text));
            return false;
        }
        *found = wr_bind_find_column(scope, from->time->parts, from->time->part_count, &used);
        if (*found < 0 || used != from->time->part_count) {
            wr_bind_unknown_column(binder, scope, from->time);
            return false;
        }
        return true;
    }
    for (uint32_t i = 0; i < scope->count; i++) {
        if (scope->columns[i].role == WR_ROLE_EVENT_TIME) {
            *found = (int32_t)i;
        }
    }
    if (*found < 0) {
        wr_bind_fail(binder, from->at, "%.*s needs the event time column",
                     WR_SLICE_ARG(from->name.text));
        wr_bind_hint(binder, "write %.*s(source, time, INTERVAL '10 seconds')",
                     WR_SLICE_ARG(from->name.text));
        return false;
    }
    return true;
}

/* Can windows be ordered by this column? */
static bool check_time(struct wr_binder *binder, const struct wr_scope *scope,
                       const struct wr_scope_column *column, uint32_t at)
{
    if (!wr_type_is_timestamp(column->expr->type)) {
        wr_bind_fail(binder, at, "column \"%s\" is %s: windows go by a TIMESTAMP", column->name,
                     wr_bind_type_name(binder, column->expr->type));
        wr_bind_hint(binder,
                     "declare it as TIMESTAMP, or compute one in the source: "
                     "ts TIMESTAMP GENERATED ALWAYS AS (from_epoch_ms(%s))",
                     column->name);
        return false;
    }
    if (column->role == WR_ROLE_NONE) {
        wr_bind_fail(binder, at, "column \"%s\" is not an event time", column->name);
        if (wr_bind_is_windowed(scope->node)) {
            wr_bind_hint(binder, "a window over results goes by window_end or window_time of the "
                                 "inner window; select one of them there");
        } else {
            wr_bind_hint(binder, "add WATERMARK FOR %s AS %s - INTERVAL '1 second' to its source",
                         column->name, column->name);
        }
        return false;
    }
    if (column->role == WR_ROLE_WINDOW_START && column->reach_us < 0) {
        wr_bind_fail(binder, at, "a session's start says nothing about when results end");
        wr_bind_hint(binder, "use window_end or window_time of the inner window");
        return false;
    }
    return true;
}

static bool window_sizes(struct wr_binder *binder, const struct wr_ast_from *from,
                         struct wr_scope_window *window)
{
    const char *name = window->kind == WR_WINDOW_TUMBLE ? "TUMBLE"
                       : window->kind == WR_WINDOW_HOP  ? "HOP"
                                                        : "SESSION";
    const char *what = window->kind == WR_WINDOW_SESSION ? "the gap" : "the window's size";
    if (from->size == NULL || (window->kind == WR_WINDOW_HOP && from->slide == NULL)) {
        wr_bind_fail(binder, from->at, "%s needs %s", name,
                     window->kind == WR_WINDOW_HOP ? "a slide and a size" : what);
        wr_bind_hint(binder, "write %s(source, time, %sINTERVAL '10 seconds')", name,
                     window->kind == WR_WINDOW_HOP ? "INTERVAL '1 second', " : "");
        return false;
    }
    if (!wr_bind_interval_us(binder, from->size, what, false, &window->size_us)) {
        return false;
    }
    window->slide_us = window->size_us;
    if (from->slide != NULL) {
        if (window->kind != WR_WINDOW_HOP) {
            wr_bind_fail(binder, from->slide->at, "%s has no slide", name);
            wr_bind_hint(binder, "use HOP(source, time, slide, size)");
            return false;
        }
        if (!wr_bind_interval_us(binder, from->slide, "the slide", false, &window->slide_us)) {
            return false;
        }
        if (window->slide_us > window->size_us) {
            wr_bind_fail(binder, from->slide->at, "the slide is longer than the window");
            wr_bind_hint(binder,
                         "the order is HOP(source, time, slide, size); rows between windows "
                         "would be in none");
            return false;
        }
    }
    return from->offset == NULL ||
           wr_bind_interval_us(binder, from->offset, "the offset", true, &window->offset_us);
}

static enum wr_window_kind window_kind(const struct wr_ast_name *name)
{
    return wr_slice_equal_nocase(name->text, wr_slice_of("tumble")) ? WR_WINDOW_TUMBLE
           : wr_slice_equal_nocase(name->text, wr_slice_of("hop"))  ? WR_WINDOW_HOP
                                                                    : WR_WINDOW_SESSION;
}

struct wr_expr *wr_bind_window_time(struct wr_binder *binder, struct wr_expr *end)
{
    const enum wr_function f = end->type.id == WR_TYPE_TIMESTAMP ? WR_FN_SUB_TIMESTAMP_INTERVAL
                                                                 : WR_FN_SUB_TIMESTAMPTZ_INTERVAL;
    return wr_expr_call(binder->arena, f, end->type, end, wr_expr_interval(binder->arena, 1));
}

/* The input's columns, then window_start, window_end, window_time. */
static struct wr_scope *add_window_columns(struct wr_binder *binder, struct wr_scope *input,
                                           struct wr_scope_window *window)
{
    static const char *const names[] = {"window_start", "window_end", "window_time"};
    static const enum wr_time_role roles[] = {WR_ROLE_WINDOW_START, WR_ROLE_WINDOW_END,
                                              WR_ROLE_WINDOW_TIME};
    struct wr_scope *scope = new_scope(binder, input->node, input->count + 3);
    uint32_t n = 0;
    for (uint32_t i = 0; i < input->count; i++) {
        bool shadowed = false; /* the inner window's columns give way to this one's */
        for (uint32_t k = 0; k < 3; k++) {
            shadowed = shadowed || strcmp(input->columns[i].name, names[k]) == 0;
        }
        if (!shadowed) {
            scope->columns[n] = input->columns[i];
            if (scope->columns[n].role != WR_ROLE_EVENT_TIME) {
                scope->columns[n].role = WR_ROLE_NONE;
            }
            scope->columns[n++].group = NULL;
        }
    }
    for (uint32_t k = 0; k < 3; k++) {
        struct wr_expr *expr =
            wr_expr_column(binder->arena, k == 0 ? WR_BIND_WINDOW_START : WR_BIND_WINDOW_END,
                           window->time_type, false, 0, 0);
        scope->columns[n++] = (struct wr_scope_column){
            .name = names[k],
            .expr = k == 2 ? wr_bind_window_time(binder, expr) : expr,
            .role = roles[k],
            .hidden = k == 2,
        };
    }
    scope->count = n;
    scope->window = window;
    return scope;
}

static struct wr_scope *window_scope(struct wr_binder *binder, const struct wr_ast_from *from)
{
    struct wr_scope_window *window = WR_ARENA_NEW(binder->arena, struct wr_scope_window);
    window->kind = window_kind(&from->name);
    window->at = from->at;
    if (from->input == NULL) {
        wr_bind_fail(binder, from->at, "%.*s needs a source to read",
                     WR_SLICE_ARG(from->name.text));
        wr_bind_hint(binder, "write %.*s(source, time, INTERVAL '10 seconds')",
                     WR_SLICE_ARG(from->name.text));
        return NULL;
    }
    struct wr_scope *input = wr_bind_from(binder, from->input);
    if (input == NULL) {
        return NULL;
    }
    if (input->window != NULL) {
        wr_bind_fail(binder, from->input->at, "a window directly over a window");
        wr_bind_hint(binder, "group the inner one in a sub-query first");
        return NULL;
    }
    int32_t time;
    if (!find_time(binder, input, from, &time)) {
        return NULL;
    }
    const struct wr_scope_column *column = &input->columns[time];
    const uint32_t at = from->time != NULL ? from->time->at : from->at;
    if (!check_time(binder, input, column, at) || !window_sizes(binder, from, window)) {
        return NULL;
    }
    window->time = column->expr->column;
    window->time_role = column->role;
    window->time_reach_us = column->reach_us;
    window->time_type = column->expr->type;
    return add_window_columns(binder, input, window);
}

struct wr_scope *wr_bind_from(struct wr_binder *binder, const struct wr_ast_from *from)
{
    struct wr_scope *scope = NULL;
    switch (from->kind) {
    case WR_AST_FROM_NAME:
        scope = named_scope(binder, from);
        break;
    case WR_AST_FROM_QUERY:
        scope = wr_bind_query(binder, from->query);
        break;
    case WR_AST_FROM_WINDOW:
        scope = window_scope(binder, from);
        break;
    case WR_AST_FROM_UNNEST:
        return wr_bind_unnest(binder, from);
    }
    if (scope == NULL) {
        return NULL;
    }
    /* A copy: one view may stand in several FROMs under several names. */
    struct wr_scope *named = WR_ARENA_NEW(binder->arena, struct wr_scope);
    *named = *scope;
    named->alias = from->alias.text.bytes > 0       ? from->alias.text
                   : from->kind == WR_AST_FROM_NAME ? from->name.text
                   : from->kind == WR_AST_FROM_WINDOW && from->input->kind == WR_AST_FROM_NAME
                       ? from->input->name.text
                       : (struct wr_slice){NULL, 0};
    return named;
}

bool wr_bind_is_windowed(const struct wr_draft *node)
{
    if (node->kind == WR_NODE_WINDOW) {
        return true;
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (wr_bind_is_windowed(node->inputs[i])) {
            return true;
        }
    }
    return false;
}

bool wr_bind_same_window(const struct wr_scope_window *a, const struct wr_scope_window *b)
{
    return a->kind == b->kind && a->size_us == b->size_us && a->slide_us == b->slide_us &&
           a->offset_us == b->offset_us && a->time == b->time;
}
