/* avro_compile.c: schemas and columns to a program's steps; see avro_program.h. */
#include "base/heap.h"
#include "decode/avro_nest.h"
#include <stdio.h>

/* A program longer than this comes from a schema made to hurt: unions of records, each with all columns. */
#define STEPS_MAX (1u << 20)

/* Some columns, all of whose paths lead through the node at hand. */
struct wants {
    const struct wr_schema_column **items;
    uint32_t count;
    uint32_t depth; /* segments that lie behind */
};

static wr_status compile_node(struct wr_avro_compiler *c, const struct wr_avro_node *writer,
                              const struct wr_avro_node *reader, const struct wants *wants);

static struct wr_avro_step *emit(struct wr_avro_compiler *c, enum wr_avro_op op, const struct wr_schema_column *column)
{
    struct wr_avro_program *p = c->program;
    if (p->step_count == p->step_capacity) {
        p->step_capacity = p->step_capacity == 0 ? 32 : p->step_capacity * 2;
        p->steps = wr_realloc(p->steps, p->step_capacity * sizeof(struct wr_avro_step));
    }
    struct wr_avro_step *step = &p->steps[p->step_count++];
    *step = (struct wr_avro_step){ .op = (uint8_t)op, .null_index = NOT_OPTIONAL };
    if (column != NULL) {
        step->type = column->type;
        step->column = column->index;
        step->width = wr_type_width(column->type);
        step->not_null = column->not_null;
        step->dotted = column->dotted;
    }
    return step;
}

static wr_status refuse(struct wr_avro_compiler *c, const struct wr_schema_column *column,
                        const struct wr_avro_node *node, const char *why)
{
    char name[32];
    char type[96];
    *c->field = column->dotted;
    if (why != NULL) {
        return wr_fail(c->err, WR_CLASS_DATA, "%s", why);
    }
    return wr_fail(c->err, WR_CLASS_DATA, "the schema has %s here, which cannot become %s",
                   wr_avro_type_text(node, type, sizeof type),
                   wr_type_name(column->type, name, sizeof name));
}

static bool is_whole(const struct wr_avro_node *node)
{
    return node->kind == WR_AVRO_INT || node->kind == WR_AVRO_LONG;
}

/* The writer's scalar with the reader's meaning, where the writer gave it none. */
const struct wr_avro_node *wr_avro_with_meaning(struct wr_avro_compiler *c,
                                                const struct wr_avro_node *writer,
                                                const struct wr_avro_node *reader)
{
    if (reader == NULL || writer->logical != WR_AVRO_PLAIN || reader->logical == WR_AVRO_PLAIN ||
        (writer->kind != reader->kind && !(is_whole(writer) && reader->kind == WR_AVRO_LONG)) ||
        (writer->kind == WR_AVRO_FIXED && writer->size != reader->size)) {
        return writer;
    }
    struct wr_avro_node *node = WR_ARENA_NEW(&c->program->arena, struct wr_avro_node);
    *node = *writer;
    node->logical = reader->logical;
    node->precision = reader->precision;
    node->scale = reader->scale;
    return node;
}

/* The symbols as texts; one that the reader does not know becomes the reader's default, where it has one. */
const struct wr_view *wr_avro_symbol_views(struct wr_avro_compiler *c,
                                           const struct wr_avro_node *writer,
                                           const struct wr_avro_node *reader)
{
    struct wr_view *views = WR_ARENA_ARRAY(&c->program->arena, struct wr_view, writer->count);
    for (uint32_t i = 0; i < writer->count; i++) {
        struct wr_slice symbol = writer->symbols[i];
        bool known = reader == NULL || reader->kind != WR_AVRO_ENUM || reader->symbol_default < 0;
        for (uint32_t k = 0; !known && k < reader->count; k++) {
            known = wr_slice_equal(symbol, reader->symbols[k]);
        }
        if (!known) {
            symbol = reader->symbols[reader->symbol_default];
        }
        views[i] = wr_view_of(symbol.data, symbol.bytes);
    }
    return views;
}

int64_t wr_avro_scaled_by(const struct wr_avro_node *node, uint32_t unit_digits)
{
    static const int64_t units[] = { 1000000, 1000, 1, 0 };
    switch (node->logical) {
    case WR_AVRO_PLAIN:
        return units[unit_digits / 3];
    case WR_AVRO_TIMESTAMP_MILLIS:
    case WR_AVRO_LOCAL_MILLIS:
        return 1000;
    case WR_AVRO_TIMESTAMP_MICROS:
    case WR_AVRO_LOCAL_MICROS:
        return 1;
    default:
        return 0;
    }
}

enum wr_avro_op wr_avro_leaf_op(const struct wr_avro_node *node, struct wr_type type,
                                uint32_t unit_digits)
{
    if (wr_type_is_nested(type)) {
        return OP_NESTED;
    }
    switch (node->kind) {
    case WR_AVRO_INT:
    case WR_AVRO_LONG:
        if (type.id == WR_TYPE_INT64) {
            return OP_INT64;
        }
        if (type.id == WR_TYPE_INT32 || (type.id == WR_TYPE_DATE && node->logical == WR_AVRO_DATE)) {
            return OP_INT32;
        }
        return wr_type_is_timestamp(type) && wr_avro_scaled_by(node, unit_digits) != 0 ? OP_SCALED : OP_VALUE;
    case WR_AVRO_FLOAT:
        return type.id == WR_TYPE_FLOAT32   ? OP_FLOAT32
               : type.id == WR_TYPE_FLOAT64 ? OP_WIDEN
                                            : OP_VALUE;
    case WR_AVRO_DOUBLE:
        return type.id == WR_TYPE_FLOAT64 ? OP_FLOAT64 : OP_VALUE;
    case WR_AVRO_BOOLEAN:
        return type.id == WR_TYPE_BOOL ? OP_BOOL : OP_VALUE;
    case WR_AVRO_STRING:
        return type.id == WR_TYPE_TEXT ? OP_TEXT : OP_VALUE;
    case WR_AVRO_BYTES:
        return type.id == WR_TYPE_BYTES ? OP_BYTES : OP_VALUE;
    case WR_AVRO_ENUM:
        return type.id == WR_TYPE_TEXT ? OP_ENUM : OP_VALUE;
    case WR_AVRO_NULL:
        return OP_NULL;
    case WR_AVRO_RECORD:
    case WR_AVRO_ARRAY:
    case WR_AVRO_MAP:
    case WR_AVRO_UNION:
        return OP_JSON;
    default:
        return OP_VALUE;
    }
}

static wr_status emit_nested(struct wr_avro_compiler *c, const struct wr_avro_node *writer,
                             const struct wr_avro_node *reader,
                             const struct wr_schema_column *column)
{
    const struct wr_avro_nest *nest = wr_avro_nest_compile(c, writer, reader, column->type);
    if (nest == NULL) {
        *c->field = column->dotted;
        return WR_FAIL;
    }
    emit(c, OP_NESTED, column)->nest = nest;
    return WR_OK;
}

static wr_status emit_leaf(struct wr_avro_compiler *c, const struct wr_avro_node *writer,
                           const struct wr_avro_node *reader, const struct wr_schema_column *column)
{
    const uint32_t unit_digits = c->program->unit_digits;
    const struct wr_avro_node *node = wr_avro_with_meaning(c, writer, reader);
    if (wr_type_is_nested(column->type)) {
        return emit_nested(c, writer, reader, column);
    }
    if (!wr_avro_converts(node, column->type)) {
        return refuse(c, column, node, NULL);
    }
    const enum wr_avro_op op = wr_avro_leaf_op(node, column->type, unit_digits);
    struct wr_avro_step *step = emit(c, op, column);
    if (op == OP_VALUE || op == OP_JSON) {
        step->node = node;
    } else if (op == OP_SCALED) {
        step->factor = wr_avro_scaled_by(node, unit_digits);
    } else if (op == OP_ENUM) {
        step->symbols = wr_avro_symbol_views(c, node, reader);
        step->count = node->count;
    }
    return WR_OK;
}

static void emit_skip(struct wr_avro_compiler *c, const struct wr_avro_node *node)
{
    static const uint8_t sizes[] = { [WR_AVRO_BOOLEAN] = 1, [WR_AVRO_FLOAT] = 4, [WR_AVRO_DOUBLE] = 8 };
    uint64_t bytes = 0;
    switch (node->kind) {
    case WR_AVRO_NULL:
        return;
    case WR_AVRO_INT:
    case WR_AVRO_LONG:
        emit(c, OP_SKIP_LONG, NULL);
        return;
    case WR_AVRO_STRING:
    case WR_AVRO_BYTES:
        emit(c, OP_SKIP_BYTES, NULL);
        return;
    case WR_AVRO_BOOLEAN:
    case WR_AVRO_FLOAT:
    case WR_AVRO_DOUBLE:
        bytes = sizes[node->kind];
        break;
    case WR_AVRO_FIXED:
        bytes = node->size;
        break;
    default:
        emit(c, OP_SKIP_NODE, NULL)->node = node; /* enums too: their index is checked by nobody */
        return;
    }
    emit(c, OP_SKIP_COUNT, NULL)->bytes = bytes;
}

static void emit_null(struct wr_avro_compiler *c, const struct wr_schema_column *column)
{
    emit(c, OP_NULL, column);
}

/* ---- unions ---- */

const struct wr_avro_node *wr_avro_reader_branch(const struct wr_avro_node *reader,
                                                 const struct wr_avro_node *writer)
{
    if (reader == NULL || reader->kind != WR_AVRO_UNION) {
        return reader;
    }
    for (uint32_t i = 0; i < reader->count; i++) {
        const struct wr_avro_node *branch = reader->types[i];
        if (branch->kind == writer->kind && writer->name != NULL &&
            strcmp(branch->name, writer->name) == 0) {
            return branch;
        }
    }
    for (uint32_t i = 0; i < reader->count; i++) {
        if (reader->types[i]->kind == writer->kind ||
            (is_whole(writer) && reader->types[i]->kind == WR_AVRO_LONG)) {
            return reader->types[i];
        }
    }
    return NULL;
}

static uint32_t reserve_jumps(struct wr_avro_program *p, uint32_t count)
{
    const uint32_t first = p->jump_count;
    while (p->jump_capacity < first + count) {
        p->jump_capacity = p->jump_capacity == 0 ? 16 : p->jump_capacity * 2;
        p->jumps = wr_realloc(p->jumps, p->jump_capacity * sizeof(uint32_t));
    }
    p->jump_count += count;
    return first;
}

static wr_status compile_branch(struct wr_avro_compiler *c, const struct wr_avro_node *branch,
                                const struct wr_avro_node *reader, const struct wants *wants,
                                bool *taken)
{
    const uint32_t begun = c->program->step_count;
    if (branch->kind == WR_AVRO_NULL) {
        for (uint32_t i = 0; i < wants->count; i++) {
            emit_null(c, wants->items[i]);
        }
        return WR_OK;
    }
    if (compile_node(c, branch, wr_avro_reader_branch(reader, branch), wants) == WR_OK) {
        *taken = true;
        return WR_OK;
    }
    if (c->program->step_count > STEPS_MAX) {
        return WR_FAIL;
    }
    /* Records that take this branch are refused; those of the others are not. */
    c->program->step_count = begun;
    struct wr_avro_step *step = emit(c, OP_REFUSE, NULL);
    step->dotted = *c->field;
    step->message = wr_arena_strdup(&c->program->arena, c->err->message);
    return WR_OK;
}

static wr_status compile_union(struct wr_avro_compiler *c, const struct wr_avro_node *writer,
                               const struct wr_avro_node *reader, const struct wants *wants)
{
    struct wr_avro_program *p = c->program;
    struct wr_avro_step *first = emit(c, OP_UNION, NULL);
    const uint32_t jumps = reserve_jumps(p, writer->count);
    bool taken = false;
    first->jump = jumps;
    first->count = writer->count;
    uint32_t *ends = wr_calloc(writer->count, sizeof(uint32_t));
    wr_status status = WR_OK;
    for (uint32_t i = 0; i < writer->count && status == WR_OK; i++) {
        p->jumps[jumps + i] = p->step_count;
        status = compile_branch(c, writer->types[i], reader, wants, &taken);
        ends[i] = p->step_count;
        emit(c, OP_JUMP, NULL);
    }
    for (uint32_t i = 0; i < writer->count && status == WR_OK; i++) {
        p->steps[ends[i]].jump = p->step_count;
    }
    free(ends);
    /* The last refusal is the union's own when nothing but null can be taken. */
    return status == WR_OK && !taken && writer->count > 1 ? WR_FAIL : status;
}

/* A value or null, into one column or none: one step. */
static bool compile_optional(struct wr_avro_compiler *c, const struct wr_avro_node *writer,
                             const struct wr_avro_node *reader, const struct wants *wants,
                             wr_status *status)
{
    uint32_t null_index = 0;
    const struct wr_avro_node *inner = wr_avro_optional(writer, &null_index);
    if (inner == NULL || wants->count > 1 ||
        (wants->count == 1 && wants->items[0]->path_count > wants->depth)) {
        return false;
    }
    const uint32_t begun = c->program->step_count;
    *status = WR_OK;
    if (wants->count == 0) {
        emit_skip(c, inner);
    } else {
        *status = emit_leaf(c, inner, wr_avro_reader_branch(reader, inner), wants->items[0]);
    }
    if (*status == WR_OK) {
        c->program->steps[begun].null_index = (uint8_t)null_index;
    }
    return true;
}

/* ---- records ---- */

/* What a column gets that the writer does not have. reader: the node that the path has come to. */
static wr_status emit_missing(struct wr_avro_compiler *c, const struct wr_avro_node *reader,
                              const struct wr_schema_column *column, uint32_t depth)
{
    const json_t *json = NULL;
    for (; reader != NULL && depth < column->path_count; depth++) {
        uint32_t null_index;
        const struct wr_avro_node *inner = wr_avro_optional(reader, &null_index);
        reader = inner != NULL ? inner : reader;
        const struct wr_avro_field *field =
            reader->kind == WR_AVRO_RECORD ? wr_avro_find_field(reader, column->path[depth], NULL)
                                           : NULL;
        const json_t *own = json != NULL && field != NULL ? json_object_get(json, field->name) : NULL;
        json = own != NULL ? own : field != NULL ? field->otherwise : NULL;
        reader = field != NULL && json != NULL ? field->type : NULL;
    }
    if (reader != NULL && json != NULL && !json_is_null(json)) {
        union wr_scalar *value = WR_ARENA_NEW(&c->program->arena, union wr_scalar);
        if (!wr_avro_default(reader, json, column->type, c->program->unit_digits,
                             &c->program->arena, value)) {
            return refuse(c, column, NULL, "the schema's default does not fit the column");
        }
        emit(c, OP_SET, column)->set = value;
        return WR_OK;
    }
    if (column->not_null) {
        return refuse(c, column, NULL,
                      "column is NOT NULL, and the record's schema has neither the field nor a "
                      "default");
    }
    emit_null(c, column);
    return WR_OK;
}

/* The columns that end at this node: all but the last go back for the next. */
static wr_status compile_ends(struct wr_avro_compiler *c, const struct wr_avro_node *writer,
                              const struct wr_avro_node *reader, const struct wants *wants,
                              uint32_t ends, bool more)
{
    for (uint32_t i = 0; i < wants->count; i++) {
        if (wants->items[i]->path_count > wants->depth) {
            continue;
        }
        const bool again = --ends > 0 || more;
        if (again) {
            emit(c, OP_MARK, NULL);
        }
        WR_TRY(emit_leaf(c, writer, reader, wants->items[i]));
        if (again) {
            emit(c, OP_BACK, NULL);
        }
    }
    return WR_OK;
}

const struct wr_avro_node *wr_avro_record_of(const struct wr_avro_node *reader)
{
    uint32_t null_index;
    const struct wr_avro_node *inner = reader != NULL ? wr_avro_optional(reader, &null_index) : NULL;
    reader = inner != NULL ? inner : reader;
    return reader != NULL && reader->kind == WR_AVRO_RECORD ? reader : NULL;
}

static wr_status compile_fields(struct wr_avro_compiler *c, const struct wr_avro_node *writer,
                                const struct wr_avro_node *reader, const struct wants *wants)
{
    const struct wr_avro_field **where = wr_calloc(wants->count + 1, sizeof(*where));
    const struct wr_schema_column **some = wr_calloc(wants->count + 1, sizeof(*some));
    const struct wr_avro_node *record = wr_avro_record_of(reader);
    wr_status status = WR_OK;
    for (uint32_t i = 0; i < wants->count; i++) {
        const char *name = wants->items[i]->path[wants->depth];
        const struct wr_avro_field *own = record != NULL ? wr_avro_find_field(record, name, NULL) : NULL;
        where[i] = wr_avro_find_field(writer, name, own);
    }
    for (uint32_t f = 0; f < writer->count && status == WR_OK; f++) {
        const struct wr_avro_field *own = NULL;
        struct wants below = { some, 0, wants->depth + 1 };
        for (uint32_t i = 0; i < wants->count; i++) {
            if (where[i] == &writer->fields[f]) {
                some[below.count++] = wants->items[i];
                own = record != NULL && own == NULL
                          ? wr_avro_find_field(record, wants->items[i]->path[wants->depth], NULL)
                          : own;
            }
        }
        /* Deeper levels sort the columns again: they need a list of their own. */
        below.items = wr_calloc(below.count + 1, sizeof(*some));
        memcpy(below.items, some, below.count * sizeof(*some));
        status = compile_node(c, writer->fields[f].type, own != NULL ? own->type : NULL, &below);
        free(below.items);
    }
    for (uint32_t i = 0; i < wants->count && status == WR_OK; i++) {
        if (where[i] == NULL) {
            status = emit_missing(c, record, wants->items[i], wants->depth);
        }
    }
    free(where);
    free(some);
    return status;
}

/* Columns by the key that they ask of a map; sorted out into groups of one key each. */
static uint32_t same_key(const struct wants *wants, uint32_t first, struct wants *group)
{
    const uint32_t depth = wants->depth;
    group->count = 0;
    for (uint32_t i = 0; i < first; i++) {
        if (strcmp(wants->items[i]->path[depth], wants->items[first]->path[depth]) == 0) {
            return 0; /* has had its group */
        }
    }
    for (uint32_t i = first; i < wants->count; i++) {
        if (strcmp(wants->items[i]->path[depth], wants->items[first]->path[depth]) == 0) {
            group->items[group->count++] = wants->items[i];
        }
    }
    return group->count;
}

static wr_status compile_key(struct wr_avro_compiler *c, const struct wr_avro_node *values,
                             const struct wants *group, struct wr_avro_map_key *key)
{
    key->name = wr_slice_of(group->items[0]->path[group->depth - 1]);
    key->found = c->program->step_count;
    WR_TRY(compile_node(c, values, NULL, group));
    emit(c, OP_RETURN, NULL);
    key->missing = c->program->step_count;
    for (uint32_t i = 0; i < group->count; i++) {
        emit_null(c, group->items[i]);
    }
    emit(c, OP_RETURN, NULL);
    return WR_OK;
}

/* A path through a map: its segment is a key. */
static wr_status compile_map(struct wr_avro_compiler *c, const struct wr_avro_node *writer,
                             const struct wants *wants)
{
    struct wr_avro_program *p = c->program;
    struct wr_avro_map_keys *map = wr_arena_zalloc(&p->arena, sizeof *map + wants->count * sizeof map->keys[0]);
    struct wants group = { wr_calloc(wants->count + 1, sizeof(*wants->items)), 0, wants->depth + 1 };
    wr_status status = WR_OK;
    map->values = writer->types[0];
    emit(c, OP_MAP, NULL)->map = map;
    const uint32_t over = p->step_count;
    emit(c, OP_JUMP, NULL);
    for (uint32_t i = 0; i < wants->count && status == WR_OK; i++) {
        if (same_key(wants, i, &group) > 0) {
            status = compile_key(c, map->values, &group, &map->keys[map->count++]);
        }
    }
    p->steps[over].jump = p->step_count;
    free(group.items);
    return status;
}

static wr_status compile_record(struct wr_avro_compiler *c, const struct wr_avro_node *writer,
                                const struct wr_avro_node *reader, const struct wants *wants,
                                uint32_t ends)
{
    struct wants deeper = { wr_calloc(wants->count + 1, sizeof(*wants->items)), 0, wants->depth };
    for (uint32_t i = 0; i < wants->count; i++) {
        if (wants->items[i]->path_count > wants->depth) {
            deeper.items[deeper.count++] = wants->items[i];
        }
    }
    wr_status status = compile_ends(c, writer, reader, wants, ends, deeper.count > 0);
    if (status == WR_OK && deeper.count > 0) {
        status = writer->kind == WR_AVRO_MAP ? compile_map(c, writer, &deeper)
                                             : compile_fields(c, writer, reader, &deeper);
    }
    free(deeper.items);
    return status;
}

static wr_status compile_node(struct wr_avro_compiler *c, const struct wr_avro_node *writer,
                              const struct wr_avro_node *reader, const struct wants *wants)
{
    wr_status status;
    uint32_t ends = 0;
    if (c->program->step_count > STEPS_MAX) {
        return wr_fail(c->err, WR_CLASS_DATA, "the schema is too large");
    }
    if (writer->kind == WR_AVRO_UNION && compile_optional(c, writer, reader, wants, &status)) {
        return status;
    }
    if (wants->count == 0) {
        emit_skip(c, writer);
        return WR_OK;
    }
    if (writer->kind == WR_AVRO_UNION) {
        return compile_union(c, writer, reader, wants);
    }
    const struct wr_schema_column *deep = NULL;
    for (uint32_t i = 0; i < wants->count; i++) {
        const bool end = wants->items[i]->path_count == wants->depth;
        ends += end;
        deep = end ? deep : wants->items[i];
    }
    if (writer->kind == WR_AVRO_RECORD || (writer->kind == WR_AVRO_MAP && deep != NULL)) {
        return compile_record(c, writer, reader, wants, ends);
    }
    if (deep != NULL) {
        char why[200];
        char type[96];
        snprintf(why, sizeof why, "the schema has %s here, which has no field \"%.60s\"",
                 wr_avro_type_text(writer, type, sizeof type), deep->path[wants->depth]);
        return refuse(c, deep, writer, why);
    }
    return compile_ends(c, writer, reader, wants, ends, false);
}

wr_status wr_avro_compile(struct wr_avro_program **program, const struct wr_avro_node *writer,
                          const struct wr_avro_node *reader, const struct wr_schema_column *columns,
                          uint32_t count, uint32_t unit_digits, const char **field,
                          struct wr_error *err)
{
    struct wr_error own;
    struct wr_avro_program *p = wr_calloc(1, sizeof *p);
    wr_arena_init(&p->arena, 0);
    p->unit_digits = unit_digits;
    *field = NULL;
    struct wr_avro_compiler c = { .program = p, .field = field, .err = err != NULL ? err : &own };
    struct wants wants = { wr_calloc(count + 1, sizeof(*wants.items)), count, 0 };
    for (uint32_t i = 0; i < count; i++) {
        wants.items[i] = &columns[i];
    }
    wr_status status = WR_OK;
    if (writer->kind != WR_AVRO_RECORD && writer->kind != WR_AVRO_UNION) {
        char type[96];
        status = wr_fail(c.err, WR_CLASS_DATA, "the schema is no record but %s",
                         wr_avro_type_text(writer, type, sizeof type));
    } else {
        status = compile_node(&c, writer, reader, &wants);
    }
    emit(&c, OP_END, NULL);
    free(wants.items);
    if (status != WR_OK) {
        wr_avro_program_destroy(p);
        return WR_FAIL;
    }
    *program = p;
    return WR_OK;
}

void wr_avro_program_destroy(struct wr_avro_program *program)
{
    if (program != NULL) {
        wr_arena_deinit(&program->arena);
        free(program->steps);
        free(program->jumps);
        free(program);
    }
}
