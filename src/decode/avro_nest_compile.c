/* avro_nest_compile.c: schemas and a nested type to a tree; see avro_nest.h. */
#include "base/heap.h"
#include "decode/avro_nest.h"
#include <stdio.h>

/* Unions in unions' records multiply: a tree larger than this comes from a schema made to hurt. */
#define NESTS_MAX (1u << 16)

static const struct wr_avro_nest *compile(struct wr_avro_compiler *c,
                                          const struct wr_avro_node *writer,
                                          const struct wr_avro_node *reader, struct wr_type type);

static struct wr_avro_nest *make(struct wr_avro_compiler *c, enum wr_avro_op op,
                                 const struct wr_avro_node *node, struct wr_type type)
{
    struct wr_avro_nest *nest = WR_ARENA_NEW(&c->program->arena, struct wr_avro_nest);
    nest->op = (uint8_t)op;
    nest->node = node;
    nest->type = type;
    c->nests++;
    return nest;
}

static const struct wr_avro_nest *refuse(struct wr_avro_compiler *c,
                                         const struct wr_avro_node *node, struct wr_type type)
{
    char name[64];
    char text[96];
    (void)wr_fail(c->err, WR_CLASS_DATA, "the schema has %s here, which cannot become %s",
                  wr_avro_type_text(node, text, sizeof text), wr_type_name(type, name, sizeof name));
    return NULL;
}

static const struct wr_avro_nest *leaf(struct wr_avro_compiler *c, const struct wr_avro_node *writer,
                                       const struct wr_avro_node *reader, struct wr_type type)
{
    const uint32_t unit_digits = c->program->unit_digits;
    const struct wr_avro_node *node = wr_avro_with_meaning(c, writer, reader);
    if (!wr_avro_converts(node, type)) {
        return refuse(c, node, type);
    }
    struct wr_avro_nest *nest = make(c, wr_avro_leaf_op(node, type, unit_digits), node, type);
    if (nest->op == OP_SCALED) {
        nest->factor = wr_avro_scaled_by(node, unit_digits);
    } else if (nest->op == OP_ENUM) {
        nest->symbols = wr_avro_symbol_views(c, node, reader);
    }
    return nest;
}

static const struct wr_avro_nest *compile_union(struct wr_avro_compiler *c,
                                                const struct wr_avro_node *writer,
                                                const struct wr_avro_node *reader,
                                                struct wr_type type)
{
    struct wr_avro_nest *nest = make(c, OP_UNION, writer, type);
    bool taken = false;
    nest->inner = WR_ARENA_ARRAY(&c->program->arena, const struct wr_avro_nest *, writer->count);
    for (uint32_t i = 0; i < writer->count; i++) {
        const struct wr_avro_node *branch = writer->types[i];
        if (branch->kind == WR_AVRO_NULL) {
            nest->inner[i] = make(c, OP_NULL, branch, type);
            continue;
        }
        nest->inner[i] = compile(c, branch, wr_avro_reader_branch(reader, branch), type);
        taken = taken || nest->inner[i] != NULL;
        if (nest->inner[i] == NULL) {
            if (c->nests > NESTS_MAX) {
                return NULL;
            }
            struct wr_avro_nest *refused = make(c, OP_REFUSE, branch, type);
            refused->message = wr_arena_strdup(&c->program->arena, c->err->message);
            nest->inner[i] = refused;
        }
    }
    return taken || writer->count == 1 ? nest : NULL;
}

/* What a slot is that the writer does not have. */
static bool take_default(struct wr_avro_compiler *c, const struct wr_avro_field *own,
                         struct wr_type type, const union wr_scalar **missing)
{
    *missing = NULL;
    if (own == NULL || own->otherwise == NULL || json_is_null(own->otherwise)) {
        return true;
    }
    union wr_scalar *value = WR_ARENA_NEW(&c->program->arena, union wr_scalar);
    if (!wr_avro_default(own->type, own->otherwise, type, c->program->unit_digits,
                         &c->program->arena, value)) {
        (void)wr_fail(c->err, WR_CLASS_DATA, "the schema's default does not fit");
        return false;
    }
    *missing = value;
    return true;
}

static bool compile_slot(struct wr_avro_compiler *c, struct wr_avro_nest *nest,
                         const struct wr_avro_node *record, uint32_t slot)
{
    const struct wr_nested_field *field = &wr_nested_of(nest->type)->fields[slot];
    const struct wr_avro_field *own =
        record != NULL ? wr_avro_find_field(record, field->name, NULL) : NULL;
    const struct wr_avro_field *from = wr_avro_find_field(nest->node, field->name, own);
    bool fine = true;
    if (from == NULL) {
        fine = take_default(c, own, field->type, &nest->missing[slot]);
    } else if (nest->inner[from - nest->node->fields] != NULL) {
        (void)wr_fail(c->err, WR_CLASS_DATA, "two fields of the type mean one of the schema");
        fine = false;
    } else {
        const uint32_t at = (uint32_t)(from - nest->node->fields);
        nest->inner[at] = compile(c, from->type, own != NULL ? own->type : NULL, field->type);
        nest->slots[at] = slot;
        nest->has[slot] = true;
        fine = nest->inner[at] != NULL;
    }
    if (!fine) {
        wr_error_prefix(c->err, "field \"%.60s\"", field->name);
    }
    return fine;
}

static const struct wr_avro_nest *compile_record(struct wr_avro_compiler *c,
                                                 const struct wr_avro_node *writer,
                                                 const struct wr_avro_node *reader,
                                                 struct wr_type type)
{
    struct wr_arena *arena = &c->program->arena;
    struct wr_avro_nest *nest = make(c, OP_NESTED, writer, type);
    const uint32_t slots = wr_nested_of(type)->field_count;
    nest->inner = WR_ARENA_ARRAY(arena, const struct wr_avro_nest *, writer->count + 1);
    nest->slots = WR_ARENA_ARRAY(arena, uint32_t, writer->count + 1);
    nest->missing = WR_ARENA_ARRAY(arena, const union wr_scalar *, slots);
    nest->has = WR_ARENA_ARRAY(arena, bool, slots);
    for (uint32_t i = 0; i < slots; i++) {
        if (!compile_slot(c, nest, wr_avro_record_of(reader), i)) {
            return NULL;
        }
    }
    nest->in_order = true;
    uint32_t next = 0;
    for (uint32_t i = 0; i < writer->count; i++) {
        if (nest->inner[i] != NULL) {
            nest->in_order = nest->in_order && nest->slots[i] >= next;
            next = nest->slots[i] + 1;
        }
    }
    return nest;
}

static const struct wr_avro_nest *compile_items(struct wr_avro_compiler *c,
                                                const struct wr_avro_node *writer,
                                                const struct wr_avro_node *reader,
                                                struct wr_type type)
{
    const struct wr_nested *nested = wr_nested_of(type);
    uint32_t null_index;
    const struct wr_avro_node *inner = reader != NULL ? wr_avro_optional(reader, &null_index) : NULL;
    reader = inner != NULL ? inner : reader;
    struct wr_avro_nest *nest = make(c, OP_NESTED, writer, type);
    nest->inner = WR_ARENA_ARRAY(&c->program->arena, const struct wr_avro_nest *, 1);
    nest->inner[0] = compile(c, writer->types[0],
                             reader != NULL && reader->kind == writer->kind ? reader->types[0] : NULL,
                             nested->fields[nested->field_count - 1].type);
    return nest->inner[0] != NULL ? nest : NULL;
}

static const struct wr_avro_nest *compile(struct wr_avro_compiler *c,
                                          const struct wr_avro_node *writer,
                                          const struct wr_avro_node *reader, struct wr_type type)
{
    if (c->nests > NESTS_MAX) {
        (void)wr_fail(c->err, WR_CLASS_DATA, "the schema is too large");
        return NULL;
    }
    if (writer->kind == WR_AVRO_UNION) {
        return compile_union(c, writer, reader, type);
    }
    if (writer->kind == WR_AVRO_NULL) {
        return make(c, OP_NULL, writer, type);
    }
    reader = wr_avro_reader_branch(reader, writer);
    if (!wr_type_is_nested(type)) {
        return leaf(c, writer, reader, type);
    }
    if (type.id == WR_TYPE_STRUCT && writer->kind == WR_AVRO_RECORD) {
        return compile_record(c, writer, reader, type);
    }
    if ((type.id == WR_TYPE_ARRAY && writer->kind == WR_AVRO_ARRAY) ||
        (type.id == WR_TYPE_MAP && writer->kind == WR_AVRO_MAP)) {
        return compile_items(c, writer, reader, type);
    }
    return refuse(c, writer, type);
}

const struct wr_avro_nest *wr_avro_nest_compile(struct wr_avro_compiler *c,
                                                const struct wr_avro_node *writer,
                                                const struct wr_avro_node *reader,
                                                struct wr_type type)
{
    return compile(c, writer, reader, type);
}
