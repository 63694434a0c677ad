/* bind_nested.c: STRUCT, ARRAY and MAP in expressions: fields, elements, constructors, functions, comparison; and fields of a
 * source's column that become columns of its scan.
 *
 * payload.user.id of a declared STRUCT column is bound to a column of its own ("payload.user.id") which is added to the SCAN, and to
 * every FILTER, PROJECT and UNNEST between it and the place where the name stands. shape.c decides whether it is decoded by its path
 * or, when something needs the whole struct, computed from that.
 */
#include "base/buf.h"
#include "base/limits.h"
#include "batch/nested.h"
#include "config/suggest.h"
#include "sql/bind.h"
#include "sql/parse.h"

/* Values of one ARRAY[…], MAP[…] or ROW(…). */
#define PARTS_MAX 1024u

/* ---- fields as columns of a scan ---- */

static const char *dotted(struct wr_binder *binder, const char *name, const char *field)
{
    return wr_arena_printf(binder->arena, "%s.%s", name, field);
}

static struct wr_field *add_field(struct wr_binder *binder, struct wr_schema *schema,
                                  struct wr_field field)
{
    struct wr_field *grown = WR_ARENA_ARRAY(binder->arena, struct wr_field, schema->count + 1);
    if (schema->count > 0) {
        memcpy(grown, schema->fields, schema->count * sizeof(*grown));
    }
    schema->fields = grown;
    grown[schema->count++] = field;
    return &grown[schema->count - 1];
}

static uint32_t add_scan_column(struct wr_binder *binder, struct wr_draft *scan, uint32_t column,
                                uint32_t field)
{
    const struct wr_plan_source *source = &binder->plan->sources[scan->source];
    const struct wr_sql_format *format = wr_bind_format(binder, source->format);
    const struct wr_field *whole = &scan->schema.fields[column];
    const uint32_t first = scan->schema.count - scan->path_count;
    for (uint32_t i = 0; i < scan->path_count; i++) {
        if (scan->paths[i].column == column && scan->paths[i].field == field) {
            return first + i;
        }
    }
    if (format == NULL || format->flat || whole->path_count == 0 ||
        (column < first && source->computed[column] != NULL) ||
        scan->schema.count >= 2 * WR_COLUMNS_MAX) {
        return WR_NO_COLUMN;
    }
    const struct wr_nested_field *part = &wr_nested_of(whole->type)->fields[field];
    const char **path = WR_ARENA_ARRAY(binder->arena, const char *, whole->path_count + 1);
    memcpy(path, whole->path, whole->path_count * sizeof(*path));
    path[whole->path_count] = part->name;
    scan->paths = WR_GROW(binder->arena, scan->paths, scan->path_count);
    scan->paths[scan->path_count++] = (struct wr_draft_path){.column = column, .field = field};
    (void)add_field(binder, &scan->schema,
                    (struct wr_field){.name = dotted(binder, whole->name, part->name),
                                      .path = path,
                                      .path_count = whole->path_count + 1,
                                      .type = part->type,
                                      .declared = UINT32_MAX,
                                      .field_id = whole->field_id});
    return scan->schema.count - 1;
}

static uint32_t field_column(struct wr_binder *binder, struct wr_draft *draft, uint32_t column,
                             uint32_t field);

static uint32_t through_project(struct wr_binder *binder, struct wr_draft *draft, uint32_t column,
                                uint32_t field)
{
    const struct wr_expr *expr = draft->project[column];
    if (expr->kind != WR_EXPR_COLUMN || draft->schema.count >= 2 * WR_COLUMNS_MAX) {
        return WR_NO_COLUMN;
    }
    const uint32_t below = field_column(binder, draft->inputs[0], expr->column, field);
    if (below == WR_NO_COLUMN) {
        return WR_NO_COLUMN;
    }
    for (uint32_t c = 0; c < draft->schema.count; c++) {
        if (draft->project[c]->kind == WR_EXPR_COLUMN && draft->project[c]->column == below) {
            return c;
        }
    }
    const struct wr_type type = draft->inputs[0]->schema.fields[below].type;
    const uint32_t n = draft->schema.count;
    struct wr_expr **grown = WR_ARENA_ARRAY(binder->arena, struct wr_expr *, n + 2);
    memcpy(grown, draft->project, n * sizeof(struct wr_expr *));
    grown[n] = wr_expr_column(binder->arena, below, type, true, expr->at, expr->at + expr->at_bytes);
    draft->project = grown;
    const char *name = wr_nested_of(expr->type)->fields[field].name;
    (void)add_field(binder, &draft->schema,
                    (struct wr_field){.name = dotted(binder, draft->schema.fields[column].name, name),
                                      .type = type,
                                      .declared = n,
                                      .field_id = n + 1});
    return n;
}

static uint32_t through_unnest(struct wr_binder *binder, struct wr_draft *draft, uint32_t column,
                               uint32_t field)
{
    uint32_t code = draft->unnest.columns[column];
    const struct wr_nested_field *part =
        &wr_nested_of(draft->schema.fields[column].type)->fields[field];
    if (draft->schema.count >= 2 * WR_COLUMNS_MAX) {
        return WR_NO_COLUMN;
    }
    if (code == WR_UNNEST_ELEMENT) {
        code = WR_UNNEST_FIELD + field;
    } else {
        code = code >= WR_UNNEST_FIELD ? WR_NO_COLUMN
                                       : field_column(binder, draft->inputs[0], code, field);
    }
    const uint32_t n = draft->schema.count;
    for (uint32_t c = 0; c < n; c++) {
        if (code == WR_NO_COLUMN || draft->unnest.columns[c] == code) {
            return code == WR_NO_COLUMN ? WR_NO_COLUMN : c;
        }
    }
    uint32_t *grown = WR_ARENA_ARRAY(binder->arena, uint32_t, n + 1);
    memcpy(grown, draft->unnest.columns, n * sizeof(*grown));
    grown[n] = code;
    draft->unnest.columns = grown;
    (void)add_field(
        binder, &draft->schema,
        (struct wr_field){.name = dotted(binder, draft->schema.fields[column].name, part->name),
                          .type = part->type,
                          .declared = n,
                          .field_id = n + 1});
    return n;
}

/* The draft's column that holds a field of its STRUCT column; WR_NO_COLUMN: that has to be computed. */
static uint32_t field_column(struct wr_binder *binder, struct wr_draft *draft, uint32_t column,
                             uint32_t field)
{
    switch (draft->kind) {
    case WR_NODE_SCAN:
        return add_scan_column(binder, draft, column, field);
    case WR_NODE_FILTER: {
        const uint32_t below = field_column(binder, draft->inputs[0], column, field);
        for (uint32_t c = draft->schema.count; c < draft->inputs[0]->schema.count; c++) {
            (void)add_field(binder, &draft->schema, draft->inputs[0]->schema.fields[c]);
        }
        return below;
    }
    case WR_NODE_PROJECT:
        return through_project(binder, draft, column, field);
    case WR_NODE_UNNEST:
        return through_unnest(binder, draft, column, field);
    case WR_NODE_WINDOW:
    case WR_NODE_UNION:
        break;
    }
    return WR_NO_COLUMN;
}

/* The other way round: the draft's column that has the wanted one as a field; WR_NO_COLUMN: it is none's. */
static uint32_t find_carrier(const struct wr_draft *draft, uint32_t below)
{
    for (uint32_t c = 0; below != WR_NO_COLUMN && c < draft->schema.count; c++) {
        const bool carries =
            draft->kind == WR_NODE_UNNEST
                ? draft->unnest.columns[c] == below
                : draft->project[c]->kind == WR_EXPR_COLUMN && draft->project[c]->column == below;
        if (carries) {
            return c;
        }
    }
    return WR_NO_COLUMN;
}

uint32_t wr_bind_whole_of(const struct wr_draft *draft, uint32_t column, uint32_t *field)
{
    const uint32_t first = draft->schema.count - draft->path_count;
    switch (draft->kind) {
    case WR_NODE_SCAN:
        if (column < first) {
            return WR_NO_COLUMN;
        }
        *field = draft->paths[column - first].field;
        return draft->paths[column - first].column;
    case WR_NODE_FILTER:
        return wr_bind_whole_of(draft->inputs[0], column, field);
    case WR_NODE_PROJECT:
        return draft->project[column]->kind != WR_EXPR_COLUMN
                   ? WR_NO_COLUMN
                   : find_carrier(draft, wr_bind_whole_of(draft->inputs[0],
                                                          draft->project[column]->column, field));
    case WR_NODE_UNNEST: {
        const uint32_t code = draft->unnest.columns[column];
        if (code < WR_UNNEST_FIELD) {
            return find_carrier(draft, wr_bind_whole_of(draft->inputs[0], code, field));
        }
        *field = code - WR_UNNEST_FIELD;
        return code >= WR_UNNEST_ELEMENT || draft->unnest.value->type.id != WR_TYPE_ARRAY
                   ? WR_NO_COLUMN
                   : find_carrier(draft, WR_UNNEST_ELEMENT);
    }
    case WR_NODE_WINDOW:
    case WR_NODE_UNION:
        break;
    }
    return WR_NO_COLUMN;
}

struct wr_expr *wr_bind_field_of(struct wr_arena *arena, struct wr_expr *whole, uint32_t field,
                                 uint32_t at, uint32_t end)
{
    struct wr_expr *index = wr_expr_new(arena, WR_EXPR_CONST, wr_type_of(WR_TYPE_INT32), at, end, 0);
    index->value.i32 = (int32_t)field;
    struct wr_expr *step = wr_expr_call(arena, WR_FN_STRUCT_FIELD,
                                        wr_nested_of(whole->type)->fields[field].type, whole, index);
    step->at = at;
    step->at_bytes = end - at;
    step->nullable = true;
    return step;
}

/* ---- fields, elements, values ---- */

static void fail_field(struct wr_binder *binder, const struct wr_nested *nested,
                       const struct wr_ast_name *name)
{
    struct wr_suggest suggest;
    struct wr_buf all = {0};
    wr_suggest_init(&suggest, name->text);
    for (uint32_t i = 0; i < nested->field_count; i++) {
        wr_suggest_offer(&suggest, wr_slice_of(nested->fields[i].name));
        if (i < 12) {
            wr_buf_printf(&all, "%s%s", i > 0 ? ", " : "", nested->fields[i].name);
        }
    }
    wr_bind_fail(binder, name->at, "there is no field \"%.*s\" in this STRUCT",
                 WR_SLICE_ARG(name->text));
    if (suggest.best.bytes > 0) {
        wr_bind_hint(binder, "did you mean \"%.*s\"?", WR_SLICE_ARG(suggest.best));
    } else {
        wr_bind_hint(binder, "its fields are %s%s", wr_buf_cstr(&all),
                     nested->field_count > 12 ? ", …" : "");
    }
    wr_buf_deinit(&all);
}

/* As columns are found: exactly as folded, else the only one that is equal without case; quoted names are exact. */
static int32_t find_field(const struct wr_nested *nested, const struct wr_ast_name *name)
{
    for (uint32_t pass = 0; pass < 2; pass++) {
        int32_t found = -1;
        uint32_t count = 0;
        for (uint32_t i = 0; i < nested->field_count; i++) {
            if (wr_bind_name_matches(name, nested->fields[i].name, pass == 0)) {
                found = (int32_t)i;
                count++;
            }
        }
        if (count > 0) {
            return count == 1 ? found : -2;
        }
    }
    return -1;
}

struct wr_expr *wr_bind_struct_field(struct wr_bind *bind, struct wr_expr *value,
                                     const struct wr_ast_name *name, uint32_t at)
{
    struct wr_binder *binder = bind->binder;
    const struct wr_nested *nested = wr_nested_of(value->type);
    const int32_t field = find_field(nested, name);
    if (field == -2) {
        wr_bind_fail(binder, name->at, "field \"%.*s\" is ambiguous: more than one has this name",
                     WR_SLICE_ARG(name->text));
        wr_bind_hint(binder, "write the one that you mean in double quotes");
        return NULL;
    }
    if (field < 0) {
        fail_field(binder, nested, name);
        return NULL;
    }
    const struct wr_type type = nested->fields[field].type;
    if (value->kind == WR_EXPR_COLUMN && value->column < WR_BIND_WINDOW_START &&
        bind->scope->node != NULL) {
        const uint32_t column =
            field_column(binder, bind->scope->node, value->column, (uint32_t)field);
        if (column != WR_NO_COLUMN) {
            return wr_expr_column(binder->arena, column, type, true, at, name->end);
        }
    }
    return wr_bind_field_of(binder->arena, value, (uint32_t)field, at, name->end);
}

static struct wr_expr *call_of(struct wr_binder *binder, enum wr_function function,
                               struct wr_type type, struct wr_expr **args, uint32_t count,
                               const struct wr_ast_expr *ast)
{
    struct wr_expr *call = wr_expr_new(binder->arena, WR_EXPR_CALL, type, ast->at, ast->end, count);
    call->function = function;
    memcpy(call->args, args, count * sizeof(*args));
    call->nullable = true;
    return call;
}

static struct wr_expr *json_index(struct wr_bind *bind, struct wr_expr **args,
                                  const struct wr_ast_expr *ast)
{
    const bool key = args[1]->type.id == WR_TYPE_TEXT;
    args[1] = wr_bind_cast(bind->binder, args[1], wr_type_of(key ? WR_TYPE_TEXT : WR_TYPE_INT32),
                           false, false);
    return args[1] == NULL ? NULL
                           : call_of(bind->binder, key ? WR_FN_JSON_GET : WR_FN_JSON_GET_INDEX,
                                     wr_type_of(WR_TYPE_JSON), args, 2, ast);
}

struct wr_expr *wr_bind_index(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    struct wr_binder *binder = bind->binder;
    struct wr_expr *args[2] = {wr_bind_expr(bind, ast->args[0]), NULL};
    args[1] = args[0] == NULL ? NULL : wr_bind_expr(bind, ast->args[1]);
    if (args[1] == NULL) {
        return NULL;
    }
    const struct wr_type type = args[0]->type;
    if (type.id == WR_TYPE_JSON) {
        return json_index(bind, args, ast);
    }
    if (type.id == WR_TYPE_STRUCT && ast->args[1]->kind == WR_AST_STRING) { /* DuckDB */
        const struct wr_ast_name name = {.text = ast->args[1]->text,
                                         .quoted = true,
                                         .at = ast->args[1]->at,
                                         .end = ast->end};
        return wr_bind_struct_field(bind, args[0], &name, ast->at);
    }
    if (type.id != WR_TYPE_ARRAY && type.id != WR_TYPE_MAP) {
        wr_bind_fail(binder, ast->at, "this is %s: it has no elements",
                     wr_bind_type_name(binder, type));
        wr_bind_hint(binder, type.id == WR_TYPE_STRUCT
                                 ? "a STRUCT's fields are taken by name: a.b"
                                 : "a[1] takes an element of an ARRAY, m['key'] a value of a MAP");
        return NULL;
    }
    const bool map = type.id == WR_TYPE_MAP;
    const struct wr_nested *nested = wr_nested_of(type);
    if (!map && args[1]->type.id == WR_TYPE_TEXT) {
        wr_bind_fail(binder, args[1]->at, "an element of an ARRAY is taken by its number");
        wr_bind_hint(binder, "write a[1] for the first one");
        return NULL;
    }
    args[1] = wr_bind_cast(binder, args[1],
                           map ? nested->fields[0].type : wr_type_of(WR_TYPE_INT64), false, false);
    return args[1] == NULL ? NULL
                           : call_of(binder, map ? WR_FN_MAP_VALUE : WR_FN_ARRAY_ELEMENT,
                                     nested->fields[map].type, args, 2, ast);
}

/* ---- constructors ---- */

static struct wr_expr *fail_made(struct wr_binder *binder, const struct wr_ast_expr *ast,
                                 const struct wr_error *err)
{
    wr_bind_fail(binder, ast->at, "%s", err->message);
    wr_bind_hint(binder, ast->kind == WR_AST_ROW ? "name the fields: ROW(a AS x, b AS y)"
                                                 : "cast the values to another type");
    return NULL;
}

/* Every second one of args from first on, to one type. */
static bool settle(struct wr_binder *binder, struct wr_expr **args, uint32_t count, uint32_t first,
                   uint32_t step, const char *what)
{
    struct wr_expr **some = WR_ARENA_ARRAY(binder->arena, struct wr_expr *, count + 1);
    uint32_t n = 0;
    for (uint32_t i = first; i < count; i += step) {
        some[n++] = args[i];
    }
    if (!wr_bind_common(binder, some, n, what)) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        args[first + i * step] = some[i];
    }
    return true;
}

static struct wr_expr *make_array(struct wr_binder *binder, struct wr_expr **args, uint32_t count,
                                  const struct wr_ast_expr *ast)
{
    struct wr_type type;
    struct wr_error err = {0};
    if (count == 0) {
        wr_bind_fail(binder, ast->at, "an empty array has no type");
        wr_bind_hint(binder, "write CAST('[]' AS TEXT[]), for example");
        return NULL;
    }
    if (!settle(binder, args, count, 0, 1, "ARRAY[ ]")) {
        return NULL;
    }
    if (wr_nested_array(args[0]->type, &type, &err) != WR_OK) {
        return fail_made(binder, ast, &err);
    }
    return call_of(binder, WR_FN_MAKE_ARRAY, type, args, count, ast);
}

static struct wr_expr *make_map(struct wr_binder *binder, struct wr_expr **args, uint32_t count,
                                const struct wr_ast_expr *ast)
{
    struct wr_type type;
    struct wr_error err = {0};
    if (count == 0 || count % 2 != 0) {
        wr_bind_fail(binder, ast->at, "MAP[ ] takes keys and values in turn, one pair at least");
        wr_bind_hint(binder, "write MAP['a', 1, 'b', 2]");
        return NULL;
    }
    if (!settle(binder, args, count, 0, 2, "the keys of MAP[ ]") ||
        !settle(binder, args, count, 1, 2, "the values of MAP[ ]")) {
        return NULL;
    }
    if (wr_nested_map(args[0]->type, args[1]->type, &type, &err) != WR_OK) {
        return fail_made(binder, ast, &err);
    }
    return call_of(binder, WR_FN_MAKE_MAP, type, args, count, ast);
}

static const char *part_name(struct wr_binder *binder, const struct wr_ast_expr *ast, uint32_t i)
{
    const struct wr_ast_expr *part = ast->args[i];
    if (ast->parts[i].text.bytes > 0) {
        return wr_bind_column_name(binder->arena, &ast->parts[i]);
    }
    if (part->kind == WR_AST_NAME || part->kind == WR_AST_FIELD) {
        return wr_bind_fold(binder->arena, &part->parts[part->part_count - 1]);
    }
    return wr_arena_printf(binder->arena, "f%u", i + 1); /* PostgreSQL's */
}

static struct wr_expr *make_row(struct wr_binder *binder, struct wr_expr **args, uint32_t count,
                                const struct wr_ast_expr *ast)
{
    struct wr_nested_field *fields =
        WR_ARENA_ARRAY(binder->arena, struct wr_nested_field, count + 1);
    struct wr_type type;
    struct wr_error err = {0};
    for (uint32_t i = 0; i < count; i++) {
        if (args[i]->type.id == WR_TYPE_NULL) {
            args[i] = wr_bind_cast(binder, args[i], wr_type_of(WR_TYPE_TEXT), false, false);
        }
        fields[i] = (struct wr_nested_field){part_name(binder, ast, i), args[i]->type};
    }
    if (wr_nested_struct(fields, count, &type, &err) != WR_OK) {
        return fail_made(binder, ast, &err);
    }
    return call_of(binder, WR_FN_MAKE_STRUCT, type, args, count, ast);
}

struct wr_expr *wr_bind_constructor(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    struct wr_binder *binder = bind->binder;
    const uint32_t count = ast->arg_count;
    if (count > PARTS_MAX) {
        wr_bind_fail(binder, ast->at, "more than %u values", PARTS_MAX);
        wr_bind_hint(binder, "cast JSON text to the type: CAST('[…]' AS BIGINT[])");
        return NULL;
    }
    struct wr_expr **args = WR_ARENA_ARRAY(binder->arena, struct wr_expr *, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        args[i] = wr_bind_expr(bind, ast->args[i]);
        if (args[i] == NULL) {
            return NULL;
        }
    }
    struct wr_expr *made = ast->kind == WR_AST_ARRAY ? make_array(binder, args, count, ast)
                           : ast->kind == WR_AST_MAP ? make_map(binder, args, count, ast)
                                                     : make_row(binder, args, count, ast);
    if (made != NULL) {
        made->nullable = false;
    }
    return made;
}

bool wr_bind_adapts_nested(const struct wr_expr *expr, struct wr_type to)
{
    if (expr->kind != WR_EXPR_CALL || expr->type.id != to.id) {
        return false;
    }
    const struct wr_nested *nested = wr_nested_of(to);
    if (expr->function == WR_FN_MAKE_STRUCT && expr->arg_count != nested->field_count) {
        return false;
    }
    if (expr->function != WR_FN_MAKE_STRUCT && expr->function != WR_FN_MAKE_ARRAY) {
        return false;
    }
    for (uint32_t i = 0; i < expr->arg_count; i++) {
        const struct wr_type type = nested->fields[to.id == WR_TYPE_STRUCT ? i : 0].type;
        if (wr_bind_cost(expr->args[i], type) == WR_COST_NONE) {
            return false;
        }
    }
    return true;
}

struct wr_expr *wr_bind_adapt_nested(struct wr_binder *binder, struct wr_expr *expr,
                                     struct wr_type to, bool explicit_cast, bool try_cast)
{
    const struct wr_nested *nested = wr_nested_of(to);
    const bool made =
        expr->kind == WR_EXPR_CALL && expr->type.id == to.id &&
        (expr->function == WR_FN_MAKE_ARRAY ||
         (expr->function == WR_FN_MAKE_STRUCT && expr->arg_count == nested->field_count));
    if (!made) {
        return NULL;
    }
    for (uint32_t i = 0; i < expr->arg_count; i++) {
        const struct wr_type type = nested->fields[to.id == WR_TYPE_STRUCT ? i : 0].type;
        if (explicit_cast ? !wr_bind_can_cast(expr->args[i]->type, type)
                          : wr_bind_cost(expr->args[i], type) == WR_COST_NONE) {
            return NULL;
        }
    }
    struct wr_expr *copy = wr_expr_new(binder->arena, WR_EXPR_CALL, to, expr->at,
                                       expr->at + expr->at_bytes, expr->arg_count);
    copy->function = expr->function;
    copy->nullable = expr->nullable;
    for (uint32_t i = 0; i < expr->arg_count; i++) {
        const struct wr_type type = nested->fields[to.id == WR_TYPE_STRUCT ? i : 0].type;
        copy->args[i] = wr_bind_cast(binder, expr->args[i], type, explicit_cast, try_cast);
        if (copy->args[i] == NULL) {
            return NULL;
        }
    }
    return copy;
}

/* ---- casts ---- */

bool wr_bind_can_cast_nested(struct wr_type from, struct wr_type to)
{
    if (from.id != to.id) {
        return false;
    }
    const struct wr_nested *a = wr_nested_of(from);
    const struct wr_nested *b = wr_nested_of(to);
    for (uint32_t i = 0; i < b->field_count; i++) {
        int32_t found = (int32_t)i;
        if (from.id == WR_TYPE_STRUCT) { /* by name */
            found = -1;
            for (uint32_t k = 0; k < a->field_count; k++) {
                found = strcmp(a->fields[k].name, b->fields[i].name) == 0 ? (int32_t)k : found;
            }
        }
        if (found < 0 || !wr_bind_can_cast(a->fields[found].type, b->fields[i].type)) {
            return false;
        }
    }
    return true;
}

/* ---- comparison ---- */

static bool has_map(struct wr_type type)
{
    if (!wr_type_is_nested(type)) {
        return false;
    }
    const struct wr_nested *nested = wr_nested_of(type);
    bool found = type.id == WR_TYPE_MAP;
    for (uint32_t i = 0; i < nested->field_count && !found; i++) {
        found = has_map(nested->fields[i].type);
    }
    return found;
}

bool wr_bind_comparable(struct wr_binder *binder, const struct wr_expr *expr, const char *what)
{
    if (!has_map(expr->type)) {
        return true;
    }
    wr_bind_fail(binder, expr->at, "%s does not take a MAP: its entries have no order", what);
    wr_bind_hint(binder, "compare single values, m['key'], or CAST(m AS TEXT)");
    return false;
}

struct wr_expr *wr_bind_nested_equal(struct wr_binder *binder, const char *op,
                                     struct wr_expr **args, uint32_t at, uint32_t end)
{
    const bool equal = strcmp(op, "=") == 0;
    if (!equal && strcmp(op, "<>") != 0) {
        wr_bind_fail(binder, at, "operator %s does not take %s", op,
                     wr_bind_type_name(binder, args[!wr_type_is_nested(args[0]->type)]->type));
        wr_bind_hint(binder, "they can be compared with = and <>; order goes by their fields");
        return NULL;
    }
    if (!wr_bind_comparable(binder, args[0], op) || !wr_bind_comparable(binder, args[1], op) ||
        !wr_bind_common(binder, args, 2, op)) {
        return NULL;
    }
    struct wr_expr *call = wr_expr_call(binder->arena, equal ? WR_FN_EQ_NESTED : WR_FN_NE_NESTED,
                                        wr_type_of(WR_TYPE_BOOL), args[0], args[1]);
    call->at = at;
    call->at_bytes = end - at;
    return call;
}

/* ---- functions ---- */

static const struct {
    const char *name;
    uint32_t count;
    enum wr_type_id of;
    enum wr_function function;
} functions[] = {
    {"cardinality", 1, WR_TYPE_ARRAY, WR_FN_CARDINALITY_ARRAY},
    {"cardinality", 1, WR_TYPE_MAP, WR_FN_CARDINALITY_MAP},
    {"array_length", 1, WR_TYPE_ARRAY, WR_FN_ARRAY_LENGTH},
    {"array_length", 2, WR_TYPE_ARRAY, WR_FN_ARRAY_LENGTH},
    {"array_contains", 2, WR_TYPE_ARRAY, WR_FN_ARRAY_CONTAINS},
    {"map_keys", 1, WR_TYPE_MAP, WR_FN_MAP_KEYS},
    {"map_values", 1, WR_TYPE_MAP, WR_FN_MAP_VALUES},
};

#define FUNCTIONS (sizeof(functions) / sizeof(functions[0]))

/* array_length(a, 1): PostgreSQL's, which is NULL for an empty one. */
static struct wr_expr *length_of_dimension(struct wr_binder *binder, struct wr_expr **args,
                                           const struct wr_ast_expr *ast)
{
    if (args[1]->kind != WR_EXPR_CONST || args[1]->type.id != WR_TYPE_INT32 ||
        args[1]->value.i32 != 1) {
        wr_bind_fail(binder, args[1]->at, "the dimension of array_length can only be 1");
        wr_bind_hint(binder, "an array of arrays is taken apart by a[1] or UNNEST");
        return NULL;
    }
    struct wr_expr *length =
        call_of(binder, WR_FN_ARRAY_LENGTH, wr_type_of(WR_TYPE_INT32), args, 1, ast);
    struct wr_expr *zero =
        wr_expr_new(binder->arena, WR_EXPR_CONST, length->type, ast->at, ast->end, 0);
    struct wr_expr *nullif =
        wr_expr_new(binder->arena, WR_EXPR_NULLIF, length->type, ast->at, ast->end, 2);
    nullif->args[0] = length;
    nullif->args[1] = zero;
    nullif->nullable = true;
    return nullif;
}

static struct wr_type nested_result(enum wr_function function, struct wr_type arg)
{
    struct wr_type type = wr_type_of(WR_TYPE_INT32);
    struct wr_error err = {0};
    if (function == WR_FN_ARRAY_CONTAINS) {
        return wr_type_of(WR_TYPE_BOOL);
    }
    if (function == WR_FN_MAP_KEYS || function == WR_FN_MAP_VALUES) {
        /* Never deeper than the map itself. */
        const struct wr_nested *nested = wr_nested_of(arg);
        const wr_status status =
            wr_nested_array(nested->fields[function == WR_FN_MAP_VALUES].type, &type, &err);
        return status == WR_OK ? type : wr_type_of(WR_TYPE_NULL);
    }
    return type;
}

struct wr_expr *wr_bind_nested_call(struct wr_binder *binder, const char *name,
                                    struct wr_expr **args, uint32_t count,
                                    const struct wr_ast_expr *ast, bool *is)
{
    const struct wr_expr *first = count > 0 ? args[0] : NULL;
    *is = false;
    for (size_t i = 0; i < FUNCTIONS; i++) {
        if (strcmp(functions[i].name, name) != 0) {
            continue;
        }
        *is = true;
        if (functions[i].count != count || first->type.id != functions[i].of) {
            continue;
        }
        if (functions[i].function == WR_FN_ARRAY_LENGTH && count == 2) {
            return length_of_dimension(binder, args, ast);
        }
        const struct wr_type type = nested_result(functions[i].function, first->type);
        if (functions[i].function == WR_FN_ARRAY_CONTAINS) {
            args[1] = wr_bind_cast(binder, args[1], wr_nested_of(first->type)->fields[0].type,
                                   false, false);
            if (args[1] == NULL || !wr_bind_comparable(binder, args[1], name)) {
                return NULL;
            }
        }
        if (type.id == WR_TYPE_NULL) {
            wr_bind_fail(binder, ast->at, "too many nested types");
            wr_bind_hint(binder, "declare rarely used parts as JSON");
            return NULL;
        }
        return call_of(binder, functions[i].function, type, args, count, ast);
    }
    if (*is) {
        const bool map = strncmp(name, "map_", 4) == 0;
        wr_bind_fail(binder, ast->at, "%s takes %s%s, not %s", name,
                     map                             ? "a MAP"
                     : strcmp(name, "cardinality") == 0 ? "an ARRAY or a MAP"
                                                     : "an ARRAY",
                     strcmp(name, "array_contains") == 0 ? " and a value" : "",
                     first == NULL ? "nothing" : wr_bind_type_name(binder, first->type));
        wr_bind_hint(binder, first != NULL && first->type.id == WR_TYPE_JSON
                                 ? "cast the JSON first: CAST(x AS TEXT[]), for example"
                                 : "write cardinality(a), array_contains(a, x), map_keys(m)");
    }
    return NULL;
}
