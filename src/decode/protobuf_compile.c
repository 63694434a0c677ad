/* protobuf_compile.c: see protobuf_program.h. */
#include "base/heap.h"
#include "base/limits.h"
#include "decode/protobuf_step.h"
#include <stdio.h>

/* Names of enums numbered below this are looked up by number at once. */
#define NAMES_MAX 256u

/* A message on the way to columns. */
struct node {
    const struct wr_protobuf_message *writer;
    const struct wr_protobuf_message *reader; /* NULL: none */
    const struct wr_protobuf_field *field;    /* that leads here; NULL: the record */
    struct node *inner; /* the first one inside */
    struct node *next;  /* in the same outer one */
    struct wr_protobuf_step **steps; /* by the fields' index in by_number */
    uint32_t bit;
    const char *dotted;
    struct wr_protobuf_table *table;
};

struct compiler {
    struct wr_protobuf_program *program;
    const struct wr_schema_column *columns;
    struct node root;
    struct wr_error *err;
};

/* ---- steps of leaves ---- */

/* What suits a scalar that comes as that type; OP_VALUE: nothing faster. */
static enum wr_protobuf_op op_of_number(enum wr_protobuf_type from, enum wr_type_id to)
{
    switch (from) {
    case WR_PROTOBUF_INT64:
    case WR_PROTOBUF_SFIXED64:
        return to == WR_TYPE_INT64 ? OP_WORD64 : OP_VALUE;
    case WR_PROTOBUF_UINT64:
    case WR_PROTOBUF_FIXED64:
        return to == WR_TYPE_UINT64 ? OP_WORD64 : OP_VALUE;
    case WR_PROTOBUF_INT32:
    case WR_PROTOBUF_SFIXED32:
        return to == WR_TYPE_INT32 ? OP_WORD32 : to == WR_TYPE_INT64 ? OP_SIGNED64 : OP_VALUE;
    case WR_PROTOBUF_UINT32:
    case WR_PROTOBUF_FIXED32:
        return to == WR_TYPE_UINT32                           ? OP_WORD32
               : to == WR_TYPE_INT64 || to == WR_TYPE_UINT64 ? OP_UNSIGNED64
                                                              : OP_VALUE;
    case WR_PROTOBUF_SINT32:
        return to == WR_TYPE_INT32 ? OP_ZIGZAG32 : OP_VALUE;
    case WR_PROTOBUF_SINT64:
        return to == WR_TYPE_INT64 ? OP_ZIGZAG64 : OP_VALUE;
    case WR_PROTOBUF_DOUBLE:
        return to == WR_TYPE_FLOAT64 ? OP_WORD64 : OP_VALUE;
    case WR_PROTOBUF_FLOAT:
        return to == WR_TYPE_FLOAT32 ? OP_WORD32 : to == WR_TYPE_FLOAT64 ? OP_WIDEN : OP_VALUE;
    case WR_PROTOBUF_BOOL:
        return to == WR_TYPE_BOOL ? OP_BOOL : OP_VALUE;
    case WR_PROTOBUF_STRING:
        return to == WR_TYPE_TEXT ? OP_TEXT : OP_VALUE;
    case WR_PROTOBUF_BYTES:
        return to == WR_TYPE_BYTES ? OP_BYTES : OP_VALUE;
    case WR_PROTOBUF_ENUM:
        return to == WR_TYPE_TEXT ? OP_CHOICE : OP_VALUE;
    default:
        return OP_DEFER;
    }
}

static int64_t factor_of(uint32_t unit_digits)
{
    return unit_digits == 0 ? 1000000 : unit_digits == 3 ? 1000 : 1;
}

static void set_names(struct compiler *c, struct wr_protobuf_step *step)
{
    const struct wr_protobuf_enum *choices = step->field->choices;
    const int32_t highest = choices->values[choices->count - 1].number;
    step->name_count = highest < 0 ? 0 : (uint32_t)highest < NAMES_MAX ? (uint32_t)highest + 1 : NAMES_MAX;
    struct wr_view *names = WR_ARENA_ARRAY(&c->program->arena, struct wr_view, step->name_count + 1);
    for (uint32_t i = 0; i < step->name_count; i++) {
        const char *name = wr_protobuf_choice(choices, (int32_t)i);
        if (name != NULL) {
            names[i] = wr_view_of(name, strlen(name));
        }
    }
    step->names = names; /* an empty one: no such number */
}

static void choose_op(struct compiler *c, struct wr_protobuf_step *step,
                      const struct wr_schema_column *column)
{
    const struct wr_protobuf_field *field = step->field;
    const bool time = wr_type_is_timestamp(column->type);
    step->op = OP_DEFER;
    step->all = field->repeated || field->message != NULL;
    if (field->repeated) {
        return;
    }
    if (field->message != NULL) {
        if (field->message->known == WR_PROTOBUF_TIMESTAMP && time && step->kind == WR_PROTO_BYTES) {
            step->op = OP_TIMESTAMP;
        }
        return;
    }
    step->op = (uint8_t)op_of_number(field->type, (enum wr_type_id)column->type.id);
    if (field->type == WR_PROTOBUF_INT64 && time && c->program->unit_digits < 9) {
        step->op = OP_SCALED;
        step->factor = factor_of(c->program->unit_digits);
    } else if (step->op == OP_CHOICE) {
        set_names(c, step);
    }
}

static struct wr_protobuf_step *add_step(struct compiler *c, struct node *node,
                                         const struct wr_protobuf_field *field)
{
    struct wr_protobuf_step *step = WR_ARENA_NEW(&c->program->arena, struct wr_protobuf_step);
    struct wr_protobuf_step **at = &node->steps[wr_protobuf_index_of(node->writer, field->number)];
    step->field = field;
    step->number = field->number;
    step->kind = (uint8_t)wr_protobuf_kind_of(field);
    step->packs = wr_protobuf_packs(field);
    step->bit = NO_BIT;
    step->also = *at;
    *at = step;
    return step;
}

/* ---- paths ---- */

static const char *path_text(struct compiler *c, const struct wr_schema_column *column,
                             uint32_t count)
{
    char *text = wr_arena_strdup(&c->program->arena, column->path[0]);
    for (uint32_t i = 1; i < count; i++) {
        text = wr_arena_printf(&c->program->arena, "%s.%s", text, column->path[i]);
    }
    return text;
}

static void init_node(struct compiler *c, struct node *node)
{
    node->steps = WR_ARENA_ARRAY(&c->program->arena, struct wr_protobuf_step *, node->writer->field_count + 1);
    node->table = WR_ARENA_NEW(&c->program->arena, struct wr_protobuf_table);
    node->table->dotted = node->dotted;
}

static struct node *descend(struct compiler *c, struct node *outer,
                            const struct wr_protobuf_field *field,
                            const struct wr_protobuf_field *reader, const char *dotted)
{
    for (struct node *n = outer->inner; n != NULL; n = n->next) {
        if (n->field == field) {
            return n;
        }
    }
    struct node *node = WR_ARENA_NEW(&c->program->arena, struct node);
    *node = (struct node){ .writer = field->message,
                           .reader = reader != NULL ? reader->message : NULL,
                           .field = field,
                           .next = outer->inner,
                           .bit = c->program->bit_count++,
                           .dotted = dotted };
    outer->inner = node;
    init_node(c, node);
    struct wr_protobuf_step *step = add_step(c, outer, field);
    step->op = OP_DESCEND;
    step->bit = node->bit;
    step->table = node->table;
    step->dotted = dotted;
    return node;
}

/* Where a column's path leads: *node and *field, or NULL when the writer does not have it. known: as the reader has it. */
static wr_status follow(struct compiler *c, const struct wr_schema_column *column,
                        struct node **node, const struct wr_protobuf_field **field,
                        const struct wr_protobuf_field **known)
{
    char text[160];
    *node = &c->root;
    for (uint32_t i = 0;; i++) {
        wr_protobuf_look_up((*node)->writer, (*node)->reader, column->path[i], field, known);
        if (i + 1 == column->path_count) {
            return WR_OK;
        }
        if (*field == NULL) {
            *known = NULL;
            *node = NULL;
            return WR_OK;
        }
        wr_ensure(!(*field)->repeated && (*field)->message != NULL, c->err, WR_CLASS_DATA,
                  "the schema has %s here, which has no field \"%.60s\"",
                  wr_protobuf_type_text(*field, text, sizeof text), column->path[i + 1]);
        *node = descend(c, *node, *field, *known, path_text(c, column, i + 1));
    }
}

/* The value that stands for absence, made once. */
static void set_zero(struct compiler *c, struct wr_protobuf_leaf *leaf)
{
    static const struct wr_protobuf_list none;
    struct wr_protobuf_work work = { .unit_digits = c->program->unit_digits };
    wr_protobuf_work_begin(&work, 0);
    memset(&leaf->zero, 0, sizeof leaf->zero);
    if (!wr_protobuf_make(&work, leaf->shape, &none, &c->program->arena, &leaf->zero)) {
        leaf->zero_problem = work.shown[0] != '\0'
                                 ? wr_arena_printf(&c->program->arena, "%s does not fit the column", work.shown)
                                 : work.problem;
    }
    wr_protobuf_work_deinit(&work);
}

static wr_status add_leaf(struct compiler *c, uint32_t bit)
{
    const struct wr_schema_column *column = &c->columns[bit];
    struct wr_protobuf_leaf *leaf = &c->program->leaves[bit];
    const struct wr_protobuf_field *field;
    const struct wr_protobuf_field *known;
    struct node *node;
    *leaf = (struct wr_protobuf_leaf){ .column = column->index,
                                       .width = wr_type_width(column->type),
                                       .not_null = column->not_null,
                                       .message = NO_BIT,
                                       .presence = true,
                                       .dotted = column->dotted };
    WR_TRY(follow(c, column, &node, &field, &known));
    const struct wr_protobuf_field *own = field != NULL ? field : known;
    if (own == NULL) {
        leaf->never = true;
        wr_ensure(!column->not_null, c->err, WR_CLASS_DATA,
                  "column is NOT NULL, and the record's schema does not have the field");
        return WR_OK;
    }
    WR_TRY(wr_protobuf_shape_make(&leaf->shape, &c->program->arena, own, known, false, column->type, c->err));
    leaf->presence = own->presence;
    leaf->message = node->bit;
    if (!leaf->presence) {
        set_zero(c, leaf);
    }
    if (field == NULL) {
        return WR_OK;
    }
    struct wr_protobuf_step *step = add_step(c, node, field);
    step->column = column->index;
    step->width = leaf->width;
    step->bit = bit;
    step->shape = leaf->shape;
    step->dotted = column->dotted;
    choose_op(c, step, column);
    leaf->deferred = step->op == OP_DEFER;
    c->program->defers = c->program->defers || leaf->deferred;
    return WR_OK;
}

/* ---- oneofs ---- */

/* Sets the bits of a member's columns, also of those inside it. */
static void gather_bits(const struct node *node, const struct wr_protobuf_field *field,
                        uint64_t *bits)
{
    for (const struct wr_protobuf_step *s = node->steps[wr_protobuf_index_of(node->writer, field->number)];
         s != NULL; s = s->also) {
        if (s->bit != NO_BIT) {
            bits[s->bit / 64] |= 1ULL << s->bit % 64;
        }
    }
    for (const struct node *n = node->inner; n != NULL; n = n->next) {
        for (uint32_t i = 0; n->field == field && i < n->writer->field_count; i++) {
            if (n->steps[i] != NULL) {
                gather_bits(n, n->writer->by_number[i], bits);
            }
        }
    }
}

/* all without own, as what a step clears. */
static void set_clears(struct compiler *c, struct wr_protobuf_step *step, const uint64_t *all,
                       const uint64_t *own, uint32_t words)
{
    struct wr_protobuf_clear *clears = WR_ARENA_ARRAY(&c->program->arena, struct wr_protobuf_clear, words);
    uint32_t count = 0;
    for (uint32_t w = 0; w < words; w++) {
        const uint64_t mask = all[w] & ~(own != NULL ? own[w] : 0);
        if (mask != 0) {
            clears[count++] = (struct wr_protobuf_clear){ w, mask };
        }
    }
    for (; step != NULL; step = (struct wr_protobuf_step *)step->also) {
        step->clears = clears;
        step->clear_count = count;
    }
}

/* Every member of a oneof that somebody asked for takes back the others; one that nobody did gets a step for that alone. */
static void link_oneof(struct compiler *c, struct node *node, uint32_t oneof)
{
    const struct wr_protobuf_message *m = node->writer;
    const uint32_t words = (c->program->bit_count + 63) / 64;
    uint64_t *all = WR_ARENA_ARRAY(&c->program->arena, uint64_t, words);
    struct wr_protobuf_step idle = { .op = OP_NOTHING };
    for (uint32_t i = 0; i < m->field_count; i++) {
        if (m->by_number[i]->oneof == oneof && node->steps[i] != NULL) {
            gather_bits(node, m->by_number[i], all);
        }
    }
    set_clears(c, &idle, all, NULL, words);
    for (uint32_t i = 0; i < m->field_count; i++) {
        if (m->by_number[i]->oneof != oneof) {
            continue;
        }
        if (node->steps[i] == NULL) {
            struct wr_protobuf_step *step = add_step(c, node, m->by_number[i]);
            step->clears = idle.clears;
            step->clear_count = idle.clear_count;
            continue;
        }
        uint64_t *own = WR_ARENA_ARRAY(&c->program->arena, uint64_t, words);
        gather_bits(node, m->by_number[i], own);
        set_clears(c, node->steps[i], all, own, words);
    }
}

static void link_oneofs(struct compiler *c, struct node *node)
{
    bool *done = WR_ARENA_ARRAY(&c->program->arena, bool, node->writer->oneof_count + 1);
    for (uint32_t i = 0; i < node->writer->field_count; i++) {
        const uint32_t oneof = node->writer->by_number[i]->oneof;
        if (oneof != 0 && node->steps[i] != NULL && !done[oneof]) {
            done[oneof] = true;
            link_oneof(c, node, oneof);
        }
    }
    for (struct node *n = node->inner; n != NULL; n = n->next) {
        link_oneofs(c, n);
    }
}

/* ---- tables ---- */

/* What nobody asked for is stepped over on the short way too. */
static void fill_skips(struct compiler *c, const struct node *node)
{
    static const enum wr_proto_kind kinds[] = { WR_PROTO_VARINT, WR_PROTO_FIXED64, WR_PROTO_BYTES, WR_PROTO_FIXED32 };
    struct wr_protobuf_table *t = node->table;
    for (uint32_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        struct wr_protobuf_step *skip = WR_ARENA_NEW(&c->program->arena, struct wr_protobuf_step);
        skip->op = OP_NOTHING;
        skip->kind = (uint8_t)kinds[k];
        skip->bit = c->program->bit_count - 1; /* nobody's */
        skip->dotted = node->dotted;
        for (uint32_t number = 1; number < 16; number++) {
            if (number >= t->dense_count || t->dense[number] == NULL) {
                t->fast[number << 3 | kinds[k]] = skip;
            }
        }
    }
}

static void fill_table(struct compiler *c, struct node *node)
{
    struct wr_protobuf_table *t = node->table;
    const struct wr_protobuf_message *m = node->writer;
    const uint32_t highest = m->field_count > 0 ? m->by_number[m->field_count - 1]->number : 0;
    t->dense_count = highest < DENSE_MAX ? highest + 1 : DENSE_MAX;
    t->dense = WR_ARENA_ARRAY(&c->program->arena, const struct wr_protobuf_step *, t->dense_count);
    t->sparse = WR_ARENA_ARRAY(&c->program->arena, const struct wr_protobuf_step *, m->field_count + 1);
    for (uint32_t i = 0; i < m->field_count; i++) {
        const struct wr_protobuf_step *step = node->steps[i];
        if (step == NULL) {
            continue;
        }
        if (step->number < t->dense_count) {
            t->dense[step->number] = step;
        } else {
            t->sparse[t->sparse_count++] = step;
        }
        const uint32_t tag = step->number << 3 | step->kind;
        if (step->number < 16 && step->also == NULL && step->clear_count == 0 && step->kind != WR_PROTO_GROUP) {
            t->fast[tag] = step;
        }
    }
    fill_skips(c, node);
    for (struct node *n = node->inner; n != NULL; n = n->next) {
        fill_table(c, n);
    }
}

wr_status wr_protobuf_compile(struct wr_protobuf_program **program,
                              const struct wr_protobuf_message *writer,
                              const struct wr_protobuf_message *reader,
                              const struct wr_schema_column *columns, uint32_t count,
                              uint32_t unit_digits, const char **field, struct wr_error *err)
{
    struct wr_protobuf_program *made = wr_calloc(1, sizeof *made);
    struct compiler c = { .program = made, .columns = columns, .err = err };
    wr_arena_init(&made->arena, 8192);
    made->leaves = WR_ARENA_ARRAY(&made->arena, struct wr_protobuf_leaf, count + 1);
    made->leaf_count = made->bit_count = count;
    made->unit_digits = unit_digits;
    c.root = (struct node){ .writer = writer, .reader = reader, .bit = NO_BIT };
    init_node(&c, &c.root);
    *program = NULL;
    *field = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (add_leaf(&c, i) != WR_OK) {
            *field = columns[i].dotted;
            wr_protobuf_program_destroy(made);
            return WR_FAIL;
        }
    }
    link_oneofs(&c, &c.root);
    made->bit_count++;
    fill_table(&c, &c.root);
    made->table = c.root.table;
    *program = made;
    return WR_OK;
}

void wr_protobuf_program_destroy(struct wr_protobuf_program *program)
{
    if (program != NULL) {
        wr_arena_deinit(&program->arena);
        free(program);
    }
}
