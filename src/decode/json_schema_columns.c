/* json_schema_columns.c: see json_schema_columns.h. */
#include "decode/json_schema_columns.h"

#include "base/heap.h"
#include "base/limits.h"
#include "batch/nested.h"

/* References that lead from one to the next. */
#define FOLLOW_MAX 32u

struct nesting {
    const struct wr_json_schema_node *open[WR_NESTED_DEPTH_MAX]; /* one in itself becomes JSON */
    uint32_t depth;
    struct wr_arena *arena;
};

static bool is_null(const struct wr_json_schema_node *node)
{
    return node->types == WR_JSON_IS_NULL;
}

/* The one of two branches that is not null; NULL: there is more to it. */
static const struct wr_json_schema_node *beside_null(const struct wr_json_schema_nodes *nodes)
{
    if (nodes->count == 1) {
        return nodes->items[0];
    }
    if (nodes->count != 2 || is_null(nodes->items[0]) == is_null(nodes->items[1])) {
        return NULL;
    }
    return nodes->items[is_null(nodes->items[0]) ? 1 : 0];
}

/* The node that says the type: behind references and what stands beside null. */
static const struct wr_json_schema_node *telling(const struct wr_json_schema_node *node)
{
    for (uint32_t i = 0; i < FOLLOW_MAX && node != NULL && node->types == 0 && node->property_count == 0; i++) {
        if (node->reference != NULL) {
            node = node->reference;
        } else if (node->any.count > 0) {
            node = beside_null(&node->any);
        } else if (node->one.count > 0) {
            node = beside_null(&node->one);
        } else if (node->all.count == 1) {
            node = node->all.items[0];
        } else {
            break;
        }
    }
    return node;
}

static bool is_open(const struct nesting *n, const struct wr_json_schema_node *node)
{
    for (uint32_t i = 0; i < n->depth; i++) {
        if (n->open[i] == node) {
            return true;
        }
    }
    return false;
}

static wr_status type_of(struct nesting *n, const struct wr_json_schema_node *node,
                         struct wr_type *type, struct wr_error *err);

/* Its properties that have a schema. */
static wr_status struct_of(struct nesting *n, const struct wr_json_schema_node *node,
                           struct wr_type *type, struct wr_error *err)
{
    struct wr_nested_field *fields = wr_calloc(node->property_count, sizeof *fields);
    wr_status status = WR_OK;
    for (uint32_t i = 0; i < node->property_count && status == WR_OK; i++) {
        const struct wr_json_property *own = &node->properties[i];
        fields[i].name = wr_arena_strndup(n->arena, own->name.data, own->name.bytes);
        fields[i].type = wr_type_of(WR_TYPE_JSON);
        if (own->node != NULL) {
            status = type_of(n, own->node, &fields[i].type, err);
        }
    }
    if (status == WR_OK) {
        status = wr_nested_struct(fields, node->property_count, type, err);
    }
    free(fields);
    return status;
}

static wr_status nested_of(struct nesting *n, const struct wr_json_schema_node *node, uint8_t types,
                           struct wr_type *type, struct wr_error *err)
{
    if (types == WR_JSON_IS_OBJECT && node->property_count > 0) {
        return struct_of(n, node, type, err);
    }
    const struct wr_json_schema_node *inner =
        types == WR_JSON_IS_OBJECT ? node->other_properties : node->items;
    WR_TRY(type_of(n, inner, type, err));
    return types == WR_JSON_IS_OBJECT ? wr_nested_map(wr_type_of(WR_TYPE_TEXT), *type, type, err)
                                      : wr_nested_array(*type, type, err);
}

static struct wr_type text_type(const char *format)
{
    const bool time = format != NULL && strcmp(format, "date-time") == 0;
    const bool date = format != NULL && strcmp(format, "date") == 0;
    return wr_type_of(time ? WR_TYPE_TIMESTAMPTZ : date ? WR_TYPE_DATE : WR_TYPE_TEXT);
}

static wr_status type_of(struct nesting *n, const struct wr_json_schema_node *node,
                         struct wr_type *type, struct wr_error *err)
{
    *type = wr_type_of(WR_TYPE_JSON);
    node = telling(node);
    if (node == NULL) {
        return WR_OK;
    }
    uint8_t types = node->types & (uint8_t)~WR_JSON_IS_NULL;
    types = types == 0 && node->property_count > 0 ? WR_JSON_IS_OBJECT : types;
    switch (types) {
    case WR_JSON_IS_INTEGER:
        *type = wr_type_of(WR_TYPE_INT64);
        return WR_OK;
    case WR_JSON_IS_INTEGER | WR_JSON_IS_NUMBER:
        *type = wr_type_of(WR_TYPE_FLOAT64);
        return WR_OK;
    case WR_JSON_IS_BOOLEAN:
        *type = wr_type_of(WR_TYPE_BOOL);
        return WR_OK;
    case WR_JSON_IS_STRING:
        *type = text_type(node->format);
        return WR_OK;
    case WR_JSON_IS_OBJECT:
    case WR_JSON_IS_ARRAY:
        break;
    default:
        return WR_OK;
    }
    const bool has_parts = types == WR_JSON_IS_ARRAY
                               ? node->items != NULL
                               : node->property_count > 0 ||
                                     (node->other_properties != NULL && !node->other_properties->never);
    if (!has_parts || is_open(n, node) || n->depth == WR_NESTED_DEPTH_MAX) {
        return WR_OK;
    }
    n->open[n->depth++] = node;
    const wr_status status = nested_of(n, node, types, type, err);
    n->depth--;
    return status;
}

wr_status wr_json_schema_columns(const struct wr_json_schema *schema, struct wr_arena *arena,
                                 struct wr_schema *columns, struct wr_error *err)
{
    const struct wr_json_schema_node *root = telling(schema->root);
    wr_ensure(root != NULL && root->property_count > 0, err, WR_CLASS_USER,
              "columns can be taken from a JSON Schema of an object with properties only: declare them");
    wr_ensure(root->property_count <= WR_COLUMNS_MAX, err, WR_CLASS_USER,
              "the schema has more than %u properties: declare the columns that are used", WR_COLUMNS_MAX);
    struct wr_field *fields = WR_ARENA_ARRAY(arena, struct wr_field, root->property_count);
    struct nesting n = { .arena = arena };
    for (uint32_t i = 0; i < root->property_count; i++) {
        const struct wr_json_property *own = &root->properties[i];
        const char **path = WR_ARENA_ARRAY(arena, const char *, 1);
        path[0] = wr_arena_strndup(arena, own->name.data, own->name.bytes);
        fields[i] = (struct wr_field){ .name = path[0],
                                       .path = path,
                                       .path_count = 1,
                                       .type = wr_type_of(WR_TYPE_JSON),
                                       .declared = i,
                                       .field_id = i + 1 };
        if (own->node != NULL) {
            WR_TRY_IN(type_of(&n, own->node, &fields[i].type, err), err, "property \"%.60s\"", path[0]);
        }
    }
    columns->fields = fields;
    columns->count = root->property_count;
    return WR_OK;
}
