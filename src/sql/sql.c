/* sql.c: see sql.h. Parses all statements, gathers their names, binds sources, then sinks with what
 * they read. */
#include "sql/sql.h"

#include "base/heap.h"
#include "base/limits.h"
#include "sql/bind.h"
#include "sql/parse.h"

/* Names are looked up one by one: enough for any pipeline, few enough to stay quick. */
#define STATEMENTS_MAX 4096u

static bool fail_bytes(struct wr_binder *binder, size_t at, const char *what, const char *hint)
{
    wr_bind_fail(binder, (uint32_t)at, "%s", what);
    wr_bind_hint(binder, "%s", hint);
    return false;
}

/* The text is somebody's file: anything may be in it. */
static bool check_text(struct wr_binder *binder)
{
    const struct wr_slice text = binder->sql.text;
    if (text.bytes > WR_SQL_BYTES_MAX) {
        wr_bind_fail(binder, WR_SQL_NOWHERE, "the SQL is longer than %u MiB",
                     WR_SQL_BYTES_MAX >> 20);
        wr_bind_hint(binder, "is this the pipeline's file, and not a data file?");
        return false;
    }
    const char *nul = text.bytes > 0 ? memchr(text.data, '\0', text.bytes) : NULL;
    if (nul != NULL) {
        return fail_bytes(binder, (size_t)(nul - text.data), "there is a NUL byte here",
                          "is this the pipeline's file, and is it saved as UTF-8?");
    }
    if (wr_utf8_valid(text.data, text.bytes)) {
        return true;
    }
    size_t good = 0; /* the longest valid beginning, by halves of what is left */
    for (size_t step = text.bytes; step > 0; step /= 2) {
        while (good + step <= text.bytes && wr_utf8_valid(text.data, good + step)) {
            good += step;
        }
    }
    return fail_bytes(binder, good, "these bytes are not UTF-8", "save the file as UTF-8");
}

static const char *kind_name(const struct wr_object *object)
{
    static const char *const names[] = {"source", "sink", "view", "table"};
    return names[object->kind];
}

static struct wr_object *add_object(struct wr_binder *binder, const struct wr_ast_statement *s,
                                    enum wr_object_kind kind)
{
    const struct wr_object *other = wr_bind_find_object(binder, &s->name);
    if (other != NULL) {
        uint32_t line;
        uint32_t column;
        wr_sql_locate(binder->sql.text, other->written.at, &line, &column);
        wr_bind_fail(binder, s->name.at, "\"%s\" is already there: a %s in line %u", other->name,
                     kind_name(other), line);
        wr_bind_hint(binder, "give one of them another name");
        return NULL;
    }
    struct wr_object *object = &binder->objects[binder->object_count++];
    *object = (struct wr_object){.kind = kind, .written = s->name, .statement = s};
    object->name = wr_bind_fold(binder->arena, &s->name);
    object->inserts = WR_ARENA_ARRAY(binder->arena, const struct wr_ast_statement *, 1);
    return object;
}

/* Is something inserted into this table? Flink's tables do not say whether they are read or
 * written. */
static bool is_inserted_into(const struct wr_binder *binder, const struct wr_ast_statement *s)
{
    for (uint32_t i = 0; i < binder->ast.count; i++) {
        const struct wr_ast_statement *other = &binder->ast.statements[i];
        if (other->kind == WR_AST_INSERT && wr_slice_equal_nocase(other->name.text, s->name.text)) {
            return true;
        }
    }
    return false;
}

static bool table_kind(struct wr_binder *binder, const struct wr_ast_statement *s,
                       enum wr_object_kind *kind)
{
    *kind = WR_OBJECT_TABLE;
    bool has_connector = false;
    for (uint32_t i = 0; i < s->option_count; i++) {
        const struct wr_ast_option *option = &s->options[i];
        has_connector = has_connector || wr_slice_is(option->name, "connector");
        if (!wr_slice_is(option->name, "type")) {
            continue;
        }
        if (wr_slice_is(option->value, "source") || wr_slice_is(option->value, "sink")) {
            *kind = wr_slice_is(option->value, "sink") ? WR_OBJECT_SINK : WR_OBJECT_SOURCE;
            return true;
        }
        wr_bind_fail(binder, option->value_at, "type of a table is 'source' or 'sink'");
        wr_bind_hint(binder, "or write CREATE SOURCE or CREATE SINK");
        return false;
    }
    if (has_connector || s->option_count > 0) {
        *kind = is_inserted_into(binder, s) ? WR_OBJECT_SINK : WR_OBJECT_SOURCE;
    }
    return true;
}

static bool gather_object(struct wr_binder *binder, const struct wr_ast_statement *s)
{
    enum wr_object_kind kind = WR_OBJECT_VIEW;
    switch (s->kind) {
    case WR_AST_CREATE_SOURCE:
        kind = WR_OBJECT_SOURCE;
        break;
    case WR_AST_CREATE_SINK:
        kind = WR_OBJECT_SINK;
        break;
    case WR_AST_CREATE_TABLE:
        if (!table_kind(binder, s, &kind)) {
            return false;
        }
        break;
    case WR_AST_CREATE_VIEW:
        break;
    case WR_AST_INSERT:
    case WR_AST_SET:
        return true;
    }
    struct wr_object *object = add_object(binder, s, kind);
    if (object == NULL) {
        return false;
    }
    if (kind == WR_OBJECT_SOURCE) {
        object->index = binder->plan->source_count++;
    } else if (kind == WR_OBJECT_SINK) {
        object->index = binder->plan->sink_count++;
    }
    return true;
}

static bool gather_insert(struct wr_binder *binder, const struct wr_ast_statement *s)
{
    struct wr_object *object = wr_bind_find_object(binder, &s->name);
    if (object != NULL && (object->kind == WR_OBJECT_SINK || object->kind == WR_OBJECT_TABLE)) {
        object->inserts = WR_GROW(binder->arena, object->inserts, object->insert_count);
        object->inserts[object->insert_count++] = s;
        return true;
    }
    if (object != NULL) {
        wr_bind_fail(binder, s->name.at, "\"%s\" is a %s: nothing can be inserted into it",
                     object->name, kind_name(object));
        wr_bind_hint(binder, "insert into a sink, or into a table without a connector");
        return false;
    }
    wr_bind_fail(binder, s->name.at, "there is no sink or table \"%.*s\"",
                 WR_SLICE_ARG(s->name.text));
    wr_bind_hint(binder, "write CREATE SINK %.*s WITH (connector = '…') before it",
                 WR_SLICE_ARG(s->name.text));
    return false;
}

/* All names first, so that the order of statements does not matter. */
static bool gather(struct wr_binder *binder)
{
    if (binder->ast.count > STATEMENTS_MAX) {
        wr_bind_fail(binder, binder->ast.statements[STATEMENTS_MAX].at, "more than %u statements",
                     STATEMENTS_MAX);
        wr_bind_hint(binder, "run several pipelines");
        return false;
    }
    binder->objects = WR_ARENA_ARRAY(binder->arena, struct wr_object, binder->ast.count + 1);
    for (uint32_t i = 0; i < binder->ast.count; i++) {
        if (!gather_object(binder, &binder->ast.statements[i])) {
            return false;
        }
    }
    for (uint32_t i = 0; i < binder->ast.count; i++) {
        const struct wr_ast_statement *s = &binder->ast.statements[i];
        if (s->kind == WR_AST_INSERT && !gather_insert(binder, s)) {
            return false;
        }
    }
    struct wr_plan *plan = binder->plan;
    plan->sources = WR_ARENA_ARRAY(binder->arena, struct wr_plan_source, plan->source_count + 1);
    plan->sinks = WR_ARENA_ARRAY(binder->arena, struct wr_plan_sink, plan->sink_count + 1);
    return true;
}

static bool check_views(struct wr_binder *binder)
{
    /* A view that no sink reads is still checked: its errors are errors of the file. */
    for (uint32_t i = 0; i < binder->object_count; i++) {
        struct wr_object *object = &binder->objects[i];
        if (object->kind == WR_OBJECT_VIEW) {
            binder->naming = object->name;
            object->busy = true;
            const bool good = wr_bind_query(binder, object->statement->query) != NULL;
            object->busy = false;
            if (!good) {
                return false;
            }
        }
    }
    return true;
}

static bool shape(struct wr_binder *binder)
{
    struct wr_plan *plan = binder->plan;
    struct wr_draft **tops = WR_ARENA_ARRAY(binder->arena, struct wr_draft *, plan->sink_count + 1);
    bool any = false;
    for (uint32_t i = 0; i < binder->object_count; i++) {
        const struct wr_object *object = &binder->objects[i];
        if (object->kind == WR_OBJECT_SINK && plan->sinks[object->index].feed == WR_FEED_QUERY) {
            tops[object->index] = object->draft;
            any = true;
        }
    }
    if (!any) {
        wr_bind_fail(binder, WR_SQL_NOWHERE, "nothing to run: no sink reads anything");
        wr_bind_hint(binder, "add CREATE SINK out WITH (connector = 'stdout') AS SELECT * FROM …");
        return false;
    }
    return wr_shape_plan(binder, tops);
}

static bool bind(struct wr_binder *binder, const struct wr_option_pair *overrides,
                 uint32_t override_count)
{
    return check_text(binder) &&
           wr_parse(&binder->sql, binder->arena, &binder->ast, binder->err) == WR_OK &&
           wr_bind_settings(binder, overrides, override_count) && gather(binder) &&
           wr_bind_sources(binder) && check_views(binder) && wr_bind_sinks(binder) && shape(binder);
}

wr_status wr_sql_plan(const char *file, struct wr_slice text, const struct wr_sql_catalog *catalog,
                      const struct wr_option_pair *overrides, uint32_t override_count,
                      struct wr_plan **plan, struct wr_error *err)
{
    struct wr_plan *made = wr_calloc(1, sizeof(*made));
    wr_arena_init(&made->arena, 64 * 1024);
    made->file = wr_arena_strdup(&made->arena, file);
    const size_t kept = text.bytes <= WR_SQL_BYTES_MAX ? text.bytes : 0;
    made->text = (struct wr_slice){wr_arena_strndup(&made->arena, text.data, kept), text.bytes};
    struct wr_binder binder = {.sql = {made->file, made->text},
                               .catalog = catalog,
                               .plan = made,
                               .arena = &made->arena,
                               .err = err};
    if (!bind(&binder, overrides, override_count)) {
        wr_plan_destroy(made);
        return WR_FAIL;
    }
    *plan = made;
    return WR_OK;
}

void wr_sql_error_at(const struct wr_plan *plan, uint32_t at, struct wr_error *err)
{
    const struct wr_sql_text sql = {plan->file, plan->text};
    wr_sql_place(&sql, at, err);
}
