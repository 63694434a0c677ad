#include "encode/parquet_tree.h"

#include "base/assert.h"
#include "base/heap.h"
#include "batch/nested.h"

#include <stdlib.h>

_Static_assert(WR_PARQUET_DEPTH_MAX > 2 * WR_NESTED_DEPTH_MAX + 1, "a leaf's path");

/* ---- counting ---- */

uint32_t wr_parquet_leaves_of(struct wr_type type)
{
    if (!wr_type_is_nested(type)) {
        return 1;
    }
    const struct wr_nested *nested = wr_nested_of(type);
    uint32_t leaves = 0;
    for (uint32_t i = 0; i < nested->field_count && leaves <= WR_PARQUET_LEAVES_MAX; i++) {
        leaves += wr_parquet_leaves_of(nested->fields[i].type);
    }
    return leaves;
}

static uint32_t elements_of(struct wr_type type)
{
    if (!wr_type_is_nested(type)) {
        return 1;
    }
    const struct wr_nested *nested = wr_nested_of(type);
    uint32_t elements = type.id == WR_TYPE_STRUCT ? 1 : 2;
    for (uint32_t i = 0; i < nested->field_count; i++) {
        elements += elements_of(nested->fields[i].type);
    }
    return elements;
}

wr_status wr_parquet_tree_fits(const struct wr_schema *schema, struct wr_error *err)
{
    uint32_t leaves = 0;
    for (uint32_t i = 0; i < schema->count; i++) {
        leaves += wr_parquet_leaves_of(schema->fields[i].type);
        wr_ensure(leaves <= WR_PARQUET_LEAVES_MAX, err, WR_CLASS_USER,
                  "column \"%s\": with it the Parquet file would have more than %u columns of values",
                  schema->fields[i].name, WR_PARQUET_LEAVES_MAX);
    }
    return WR_OK;
}

/* ---- building ---- */

struct place {
    uint32_t column;
    uint32_t parent;
    uint8_t definition;
    uint8_t repeat;
};

static const uint8_t kinds[WR_TYPE_COUNT_] = {
    [WR_TYPE_STRUCT] = WR_PARQUET_STRUCT,
    [WR_TYPE_ARRAY] = WR_PARQUET_LIST,
    [WR_TYPE_MAP] = WR_PARQUET_MAP,
};

/* Adds one element; place becomes that of its children. */
static uint32_t open_element(struct wr_parquet_tree *t, const char *name, struct wr_type type,
                             uint8_t kind, uint8_t repetition, struct place *place)
{
    const uint32_t at = t->count++;
    place->definition = (uint8_t)(place->definition + (repetition != 0));
    place->repeat = (uint8_t)(place->repeat + (repetition == 2));
    t->elements[at] = (struct wr_parquet_element){
        .name = name,
        .type = type,
        .kind = kind,
        .repetition = repetition,
        .definition = place->definition,
        .repeat = place->repeat,
        .column = place->column,
        .parent = place->parent == UINT32_MAX ? at : place->parent,
        .leaf = t->leaf_count,
    };
    place->parent = at;
    return at;
}

static void close_element(struct wr_parquet_tree *t, uint32_t at, uint32_t children)
{
    t->elements[at].children = children;
    t->elements[at].end = t->count;
    t->elements[at].leaf_end = t->leaf_count;
}

static void add(struct wr_parquet_tree *t, const char *name, struct wr_type type,
                uint8_t repetition, struct place place)
{
    const uint32_t at = open_element(t, name, type, kinds[type.id], repetition, &place);
    if (!wr_type_is_nested(type)) {
        t->leaves[t->leaf_count++] = at;
        close_element(t, at, 0);
        return;
    }
    const struct wr_nested *nested = wr_nested_of(type);
    const bool map = type.id == WR_TYPE_MAP;
    uint32_t inner = at;
    if (type.id != WR_TYPE_STRUCT) {
        inner = open_element(t, map ? "key_value" : "list", type, WR_PARQUET_ENTRIES, 2, &place);
    }
    for (uint32_t i = 0; i < nested->field_count; i++) {
        add(t, nested->fields[i].name, nested->fields[i].type, map && i == 0 ? 0 : 1, place);
    }
    close_element(t, inner, nested->field_count);
    if (inner != at) {
        close_element(t, at, 1);
    }
}

/* Numbers what lies in the element. */
static void number(struct wr_parquet_tree *t, uint32_t at, uint32_t *next)
{
    const bool list = t->elements[at].kind == WR_PARQUET_LIST || t->elements[at].kind == WR_PARQUET_MAP;
    const uint32_t group = list ? at + 1 : at;
    const uint32_t end = t->elements[group].end;
    if (t->elements[at].kind == WR_PARQUET_LEAF) {
        return;
    }
    for (uint32_t i = group + 1; i < end; i = t->elements[i].end) {
        t->elements[i].field_id = (*next)++;
    }
    for (uint32_t i = group + 1; i < end; i = t->elements[i].end) {
        number(t, i, next);
    }
}

static void number_all(struct wr_parquet_tree *t, const struct wr_schema *schema)
{
    uint32_t next = 1;
    for (uint32_t i = 0; i < schema->count; i++) {
        const uint32_t id = schema->fields[i].field_id;
        t->elements[t->roots[i]].field_id = id;
        next = id >= next ? id + 1 : next;
    }
    for (uint32_t i = 0; i < schema->count; i++) {
        if (schema->fields[i].field_id > 0) {
            number(t, t->roots[i], &next);
        }
    }
}

void wr_parquet_tree_init(struct wr_parquet_tree *t, const struct wr_schema *schema)
{
    uint32_t elements = 0;
    uint32_t leaves = 0;
    for (uint32_t i = 0; i < schema->count; i++) {
        elements += elements_of(schema->fields[i].type);
        leaves += wr_parquet_leaves_of(schema->fields[i].type);
    }
    wr_assert(leaves <= WR_PARQUET_LEAVES_MAX);
    *t = (struct wr_parquet_tree){
        .elements = wr_calloc(elements + 1u, sizeof *t->elements),
        .roots = wr_calloc(schema->count + 1u, sizeof *t->roots),
        .leaves = wr_calloc(leaves + 1u, sizeof *t->leaves),
    };
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct wr_field *field = &schema->fields[i];
        const uint32_t before = t->leaf_count;
        t->roots[i] = t->count;
        add(t, field->name, field->type, field->not_null ? 0 : 1,
            (struct place){ .column = i, .parent = UINT32_MAX });
        if (wr_type_is_nested(field->type) && t->leaf_count - before > t->widest) {
            t->widest = t->leaf_count - before;
        }
    }
    wr_assert(t->count == elements && t->leaf_count == leaves);
    number_all(t, schema);
}

void wr_parquet_tree_deinit(struct wr_parquet_tree *t)
{
    free(t->elements);
    free(t->roots);
    free(t->leaves);
    *t = (struct wr_parquet_tree){ 0 };
}

uint32_t wr_parquet_path(const struct wr_parquet_tree *t, uint32_t element,
                         const char *names[WR_PARQUET_DEPTH_MAX])
{
    uint32_t depth = 1;
    for (uint32_t at = element; t->elements[at].parent != at; at = t->elements[at].parent) {
        depth++;
    }
    wr_assert(depth <= WR_PARQUET_DEPTH_MAX);
    for (uint32_t i = depth; i > 0; i--) {
        names[i - 1] = t->elements[element].name;
        element = t->elements[element].parent;
    }
    return depth;
}
