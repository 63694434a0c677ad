/* bind_scope.c: names.
 *
 * An unquoted identifier folds to lower case, as in PostgreSQL, and first means a column of exactly
 * that name; when there is none, the one column that is equal without regard to case ("userId" for
 * userid). A quoted one is exact.
 */
#include "base/buf.h"
#include "config/suggest.h"
#include "sql/bind.h"

#include <stdio.h>

bool wr_bind_fail(struct wr_binder *binder, uint32_t at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)wr_sql_vfail(&binder->sql, at, binder->err, fmt, args);
    va_end(args);
    return false;
}

void wr_bind_hint(struct wr_binder *binder, const char *fmt, ...)
{
    if (binder->err == NULL) {
        return;
    }
    char hint[sizeof(binder->err->hint)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(hint, sizeof(hint), fmt, args);
    va_end(args);
    wr_error_hint(binder->err, "%s", hint);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

const char *wr_bind_fold(struct wr_arena *arena, const struct wr_ast_name *name)
{
    char *text = wr_arena_strndup(arena, name->text.data, name->text.bytes);
    for (size_t i = 0; !name->quoted && i < name->text.bytes; i++) {
        text[i] = lower(text[i]);
    }
    return text;
}

const char *wr_bind_column_name(struct wr_arena *arena, const struct wr_ast_name *name)
{
    bool small = false;
    for (size_t i = 0; i < name->text.bytes; i++) {
        small = small || (name->text.data[i] >= 'a' && name->text.data[i] <= 'z');
    }
    return small ? wr_arena_strndup(arena, name->text.data, name->text.bytes)
                 : wr_bind_fold(arena, name);
}

bool wr_bind_name_matches(const struct wr_ast_name *name, const char *column, bool exact)
{
    if (name->quoted) {
        return wr_slice_is(name->text, column);
    }
    if (!exact) {
        return wr_slice_equal_nocase(name->text, wr_slice_of(column));
    }
    if (strlen(column) != name->text.bytes) {
        return false;
    }
    for (size_t i = 0; i < name->text.bytes; i++) {
        if (lower(name->text.data[i]) != column[i]) {
            return false;
        }
    }
    return true;
}

struct wr_object *wr_bind_find_object(struct wr_binder *binder, const struct wr_ast_name *name)
{
    const char *folded = wr_bind_fold(binder->arena, name);
    for (uint32_t i = 0; i < binder->object_count; i++) {
        if (strcmp(binder->objects[i].name, folded) == 0) {
            return &binder->objects[i];
        }
    }
    return NULL;
}

/* Do parts[0..count) spell the column's name, with its dots? */
static bool parts_match(const struct wr_ast_name *parts, uint32_t count, const char *column,
                        bool exact)
{
    const char *at = column;
    for (uint32_t i = 0; i < count; i++) {
        const size_t bytes = parts[i].text.bytes;
        char segment[256];
        if (strlen(at) < bytes || bytes >= sizeof(segment)) {
            return false;
        }
        memcpy(segment, at, bytes);
        segment[bytes] = '\0';
        if (!wr_bind_name_matches(&parts[i], segment, exact) ||
            at[bytes] != (i + 1 < count ? '.' : '\0')) {
            return false;
        }
        at += bytes + 1;
    }
    return true;
}

/* window.start: a column that is part of a group. */
static bool group_matches(const struct wr_ast_name *parts, uint32_t count,
                          const struct wr_scope_column *column)
{
    if (count != 2 || column->group == NULL ||
        !wr_bind_name_matches(&parts[0], column->group, false)) {
        return false;
    }
    return wr_bind_name_matches(&parts[1], column->role == WR_ROLE_WINDOW_START ? "start" : "end",
                                false);
}

struct wr_slice wr_bind_relation(const struct wr_scope *scope,
                                 const struct wr_scope_column *column)
{
    return column->relation.bytes > 0 ? column->relation : scope->alias;
}

/* relation: only its columns; NULL: any. */
static int32_t find_exactly(const struct wr_scope *scope, const struct wr_ast_name *relation,
                            const struct wr_ast_name *parts, uint32_t count, bool exact)
{
    int32_t found = -1;
    for (uint32_t i = 0; i < scope->count; i++) {
        const struct wr_scope_column *column = &scope->columns[i];
        if (relation != NULL &&
            !wr_slice_equal_nocase(relation->text, wr_bind_relation(scope, column))) {
            continue;
        }
        if (parts_match(parts, count, column->name, exact) ||
            (!exact && group_matches(parts, count, column))) {
            if (found >= 0) {
                return -2;
            }
            found = (int32_t)i;
        }
    }
    return found;
}

int32_t wr_bind_find_column(const struct wr_scope *scope, const struct wr_ast_name *parts,
                            uint32_t part_count, uint32_t *used)
{
    /* As PostgreSQL: relation.column before column.field. Then the longest name first: payload.user.id before payload. */
    for (uint32_t skip = part_count > 1 ? 2 : 1; skip-- > 0;) {
        for (uint32_t count = part_count - skip; count > 0; count--) {
            const struct wr_ast_name *relation = skip > 0 ? parts : NULL;
            int32_t found = find_exactly(scope, relation, parts + skip, count, true);
            if (found == -1) {
                found = find_exactly(scope, relation, parts + skip, count, false);
            }
            if (found != -1) {
                *used = skip + count;
                return found;
            }
        }
    }
    return -1;
}

void wr_bind_unknown_column(struct wr_binder *binder, const struct wr_scope *scope,
                            const struct wr_ast_expr *ast)
{
    struct wr_suggest suggest;
    const struct wr_ast_name *last = &ast->parts[ast->part_count - 1];
    wr_suggest_init(&suggest, last->text);
    struct wr_buf all = {0};
    uint32_t shown = 0;
    for (uint32_t i = 0; i < scope->count; i++) {
        wr_suggest_offer(&suggest, wr_slice_of(scope->columns[i].name));
        if (!scope->columns[i].hidden && shown++ < 12) {
            wr_buf_printf(&all, "%s%s", shown > 1 ? ", " : "", scope->columns[i].name);
        }
    }
    const struct wr_slice text = {binder->sql.text.data + ast->at, last->end - ast->at};
    wr_bind_fail(binder, ast->at, "unknown column \"%.*s\"", WR_SLICE_ARG(text));
    if (suggest.best.bytes > 0) {
        wr_bind_hint(binder, "did you mean \"%.*s\"?", WR_SLICE_ARG(suggest.best));
    } else if (ast->part_count == 1 && shown > 0) {
        wr_bind_hint(binder, "columns here are %s%s", wr_buf_cstr(&all), shown > 12 ? ", …" : "");
    } else {
        wr_bind_hint(binder, "fields of objects are declared by path (payload.user.id BIGINT), or "
                             "read from a JSON column");
    }
    wr_buf_deinit(&all);
}

static void fail_ambiguous(struct wr_binder *binder, const struct wr_scope *scope,
                           const struct wr_ast_expr *ast)
{
    const struct wr_ast_name *last = &ast->parts[ast->part_count - 1];
    struct wr_slice relation = {NULL, 0};
    bool several = false; /* from different relations: the name can be qualified */
    for (uint32_t i = 0; i < scope->count; i++) {
        const struct wr_slice other = wr_bind_relation(scope, &scope->columns[i]);
        if (wr_slice_equal_nocase(last->text, wr_slice_of(scope->columns[i].name))) {
            several = several || (relation.bytes > 0 && !wr_slice_equal_nocase(relation, other));
            relation = relation.bytes > 0 ? relation : other;
        }
    }
    wr_bind_fail(binder, ast->at, "column \"%.*s\" is ambiguous: more than one has this name",
                 WR_SLICE_ARG(last->text));
    if (several) {
        wr_bind_hint(binder, "write of which: %.*s.%.*s", WR_SLICE_ARG(relation),
                     WR_SLICE_ARG(last->text));
    } else {
        wr_bind_hint(binder, "write the one that you mean in double quotes, or give them names "
                             "with AS");
    }
}

/* payload.user.id on a JSON column: -> for each step. */
static struct wr_expr *json_path(struct wr_bind *bind, struct wr_expr *value,
                                 const struct wr_ast_expr *ast, uint32_t from)
{
    struct wr_arena *arena = bind->binder->arena;
    for (uint32_t i = from; i < ast->part_count; i++) {
        struct wr_expr *key =
            wr_expr_text_const(arena, ast->parts[i].text, ast->parts[i].at, ast->parts[i].end);
        struct wr_expr *step =
            wr_expr_call(arena, WR_FN_JSON_GET, wr_type_of(WR_TYPE_JSON), value, key);
        step->at = ast->at;
        step->at_bytes = ast->parts[i].end - ast->at;
        step->nullable = true;
        value = step;
    }
    return value;
}

static void hint_no_field(struct wr_binder *binder, struct wr_type type,
                          const struct wr_ast_name *field)
{
    if (type.id == WR_TYPE_ARRAY) {
        wr_bind_hint(binder, "take one element, a[1].%.*s, or all of them: FROM source, UNNEST(a)",
                     WR_SLICE_ARG(field->text));
    } else if (type.id == WR_TYPE_MAP) {
        wr_bind_hint(binder, "a map's values are taken by key: m['%.*s']", WR_SLICE_ARG(field->text));
    } else {
        wr_bind_hint(binder, "declare the column as JSON, or the field by its path");
    }
}

struct wr_expr *wr_bind_name(struct wr_bind *bind, const struct wr_ast_expr *ast)
{
    struct wr_binder *binder = bind->binder;
    uint32_t used = 0;
    const int32_t found = wr_bind_find_column(bind->scope, ast->parts, ast->part_count, &used);
    if (found == -2) {
        fail_ambiguous(binder, bind->scope, ast);
        return NULL;
    }
    if (found < 0) {
        wr_bind_unknown_column(binder, bind->scope, ast);
        return NULL;
    }
    const struct wr_expr *column = bind->scope->columns[found].expr;
    struct wr_expr *expr = WR_ARENA_NEW(binder->arena, struct wr_expr);
    *expr = *column;
    expr->at = ast->at;
    expr->at_bytes = ast->parts[used - 1].end - ast->at;
    if (used == ast->part_count) {
        return expr;
    }
    while (used < ast->part_count && expr->type.id == WR_TYPE_STRUCT) {
        expr = wr_bind_struct_field(bind, expr, &ast->parts[used++], ast->at);
        if (expr == NULL) {
            return NULL;
        }
    }
    if (used == ast->part_count) {
        return expr;
    }
    if (expr->type.id != WR_TYPE_JSON) {
        const struct wr_ast_name *next = &ast->parts[used];
        const struct wr_slice name = {binder->sql.text.data + ast->at, next->at - 1 - ast->at};
        wr_bind_fail(binder, next->at, "%s \"%.*s\" is %s: it has no field \"%.*s\"",
                     used == 1 ? "column" : "field", WR_SLICE_ARG(name),
                     wr_bind_type_name(binder, expr->type), WR_SLICE_ARG(next->text));
        hint_no_field(binder, expr->type, next);
        return NULL;
    }
    return json_path(bind, expr, ast, used);
}
