/* bind_unnest.c: FROM source, UNNEST(items) AS item.
 *
 * The UNNEST keeps its input's columns, in order, so that what was bound over the input stays right; the elements' columns follow. Of
 * an array of STRUCT come the fields, as in PostgreSQL, and behind the alias (or the one name of a list, as in DuckDB and Arroyo) the
 * whole element.
 */
#include "batch/nested.h"
#include "sql/bind.h"

struct unnest {
    struct wr_binder *binder;
    const struct wr_ast_from *from;
    struct wr_draft *draft;
    struct wr_scope *scope;
    struct wr_slice relation;
};

/* One more column of the elements: in the draft and in the scope. */
static void add_column(struct unnest *u, const char *name, uint32_t code, struct wr_type type,
                       bool hidden)
{
    struct wr_arena *arena = u->binder->arena;
    const uint32_t n = u->draft->schema.count++;
    u->draft->unnest.columns[n] = code;
    u->draft->schema.fields[n] = (struct wr_field){
        .name = code == WR_UNNEST_ELEMENT
                    ? name
                    : wr_arena_printf(arena, "%.*s.%s", WR_SLICE_ARG(u->relation), name),
        .type = type,
        .declared = n,
        .field_id = n + 1,
    };
    u->scope->columns[u->scope->count++] =
        (struct wr_scope_column){.name = name,
                                 .relation = u->relation,
                                 .expr = wr_expr_column(arena, n, type, true, u->from->at, u->from->end),
                                 .hidden = hidden};
}

static const char *listed(struct unnest *u, uint32_t i, const char *otherwise)
{
    return i < u->from->name_count ? wr_bind_column_name(u->binder->arena, &u->from->names[i])
                                   : otherwise;
}

static bool fail_names(struct unnest *u, uint32_t columns)
{
    wr_bind_fail(u->binder, u->from->names[0].at, "this UNNEST gives %u column%s, not %u", columns,
                 columns == 1 ? "" : "s", u->from->name_count);
    wr_bind_hint(u->binder, "name all of them, or none: UNNEST(items) AS item");
    return false;
}

/* The elements' columns, named by the list where there is one. */
static bool add_columns(struct unnest *u, struct wr_type type)
{
    const struct wr_nested *nested = wr_nested_of(type);
    const struct wr_type element = nested->fields[0].type;
    const bool is_struct = type.id == WR_TYPE_ARRAY && element.id == WR_TYPE_STRUCT;
    const struct wr_nested *fields = is_struct                ? wr_nested_of(element)
                                     : type.id == WR_TYPE_MAP ? nested
                                                              : NULL;
    const char *alias = wr_arena_strndup(u->binder->arena, u->relation.data, u->relation.bytes);
    const uint32_t names = u->from->name_count;
    const uint32_t more = u->from->ordinality && names > 1;
    const uint32_t columns = fields != NULL ? fields->field_count : 1;
    uint32_t used = columns;
    if (is_struct && names == 1 + more && columns > 1) {
        add_column(u, listed(u, 0, alias), WR_UNNEST_ELEMENT, element, false);
        used = 1;
    } else if (names > 0 && names != columns && !(more && names == columns + 1)) {
        return fail_names(u, columns + u->from->ordinality);
    } else {
        if (type.id == WR_TYPE_ARRAY) {
            add_column(u, is_struct ? alias : listed(u, 0, alias), WR_UNNEST_ELEMENT, element,
                       is_struct);
        }
        for (uint32_t f = 0; fields != NULL && f < columns; f++) {
            add_column(u, listed(u, f, fields->fields[f].name), WR_UNNEST_FIELD + f,
                       fields->fields[f].type, false);
        }
    }
    if (u->from->ordinality) {
        add_column(u, listed(u, used, "ordinality"), WR_UNNEST_ORDINALITY,
                   wr_type_of(WR_TYPE_INT64), false);
    }
    return true;
}

static struct wr_expr *bind_value(struct wr_binder *binder, const struct wr_ast_from *from,
                                  const struct wr_scope *left)
{
    struct wr_bind bind = {.binder = binder, .scope = left, .where = "UNNEST"};
    struct wr_expr *value = wr_bind_expr(&bind, from->value);
    if (value == NULL || value->type.id == WR_TYPE_ARRAY || value->type.id == WR_TYPE_MAP) {
        return value;
    }
    wr_bind_fail(binder, from->value->at, "UNNEST takes an ARRAY or a MAP, not %s",
                 wr_bind_type_name(binder, value->type));
    if (value->type.id == WR_TYPE_JSON) {
        wr_bind_hint(binder, "cast the JSON first: UNNEST(CAST(x AS TEXT[])), for example");
    } else if (value->type.id == WR_TYPE_STRUCT) {
        wr_bind_hint(binder, "a STRUCT's fields are taken by name: a.b");
    } else {
        wr_bind_hint(binder, "declare the column as an array: TEXT[], or STRUCT<…>[]");
    }
    return NULL;
}

/* Room for the left columns, the element, its fields and its number. */
static void begin(struct unnest *u, struct wr_scope *left, struct wr_expr *value)
{
    struct wr_binder *binder = u->binder;
    const uint32_t below = left->node->schema.count;
    const struct wr_nested *nested = wr_nested_of(value->type);
    const uint32_t fields = nested->fields[0].type.id == WR_TYPE_STRUCT
                                ? wr_nested_of(nested->fields[0].type)->field_count
                                : 2;
    const uint32_t room = fields + 2;
    u->draft = wr_bind_draft(binder, WR_NODE_UNNEST, left->node, below + room);
    u->draft->unnest.value = value;
    u->draft->unnest.outer = u->from->outer;
    u->draft->unnest.columns = WR_ARENA_ARRAY(binder->arena, uint32_t, below + room);
    u->draft->schema.count = below;
    for (uint32_t c = 0; c < below; c++) {
        u->draft->schema.fields[c] = left->node->schema.fields[c];
        u->draft->unnest.columns[c] = c;
    }
    u->scope = WR_ARENA_NEW(binder->arena, struct wr_scope);
    u->scope->node = u->draft;
    u->scope->window = left->window;
    u->scope->count = left->count;
    u->scope->columns = WR_ARENA_ARRAY(binder->arena, struct wr_scope_column, left->count + room);
    for (uint32_t i = 0; i < left->count; i++) {
        u->scope->columns[i] = left->columns[i];
        u->scope->columns[i].relation = wr_bind_relation(left, &left->columns[i]);
    }
}

struct wr_scope *wr_bind_unnest(struct wr_binder *binder, const struct wr_ast_from *from)
{
    struct wr_scope *left = wr_bind_from(binder, from->input);
    if (left == NULL || !wr_bind_check_size(binder, from->at)) {
        return NULL;
    }
    struct wr_expr *value = bind_value(binder, from, left);
    if (value == NULL) {
        return NULL;
    }
    struct unnest u = {.binder = binder,
                       .from = from,
                       .relation = from->alias.text.bytes > 0
                                       ? from->alias.text
                                       : WR_SLICE_LITERAL("unnest")};
    begin(&u, left, value);
    return add_columns(&u, value->type) ? u.scope : NULL;
}
