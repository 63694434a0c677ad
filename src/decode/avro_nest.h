/* avro_nest.h: Avro records, arrays and maps into STRUCT, ARRAY and MAP values: a tree that says, for each value of the writer's, what
 * slot of the column's type it becomes; and what compiling it shares with avro_compile.c. Private to the decoder's files.
 *
 * Resolution as for columns: fields by name, by the reader's aliases, else by letter case; promotions; what the writer does not have gets
 * the reader's default or NULL.
 *
 * Ownership: trees lie in their program's arena and borrow nodes of the schemas. Threads: read-only while they run.
 * Invariants:
 *   (1) a tree is as deep as its type, unions apart: schemas that speak of themselves cost nothing
 */
#ifndef WR_DECODE_AVRO_NEST_H
#define WR_DECODE_AVRO_NEST_H

#include "decode/avro_step.h"
#include "decode/nested_build.h"

struct wr_avro_nest {
    uint8_t op; /* a leaf's, NESTED (see type), UNION, NULL, REFUSE */
    struct wr_type type;
    const struct wr_avro_node *node; /* the writer's, with the reader's meaning */
    union {
        int64_t factor;                /* SCALED */
        const struct wr_view *symbols; /* ENUM */
        const char *message;           /* REFUSE */
        const struct wr_avro_nest **inner; /* UNION: of each branch; ARRAY, MAP: the one of items; STRUCT: of each of the writer's fields,
                                            * NULL: skipped */
    };
    /* STRUCT */
    uint32_t *slots; /* per field of the writer: its slot, when it has one */
    const union wr_scalar **missing; /* per slot: what it is without the writer; NULL: NULL */
    bool *has;                           /* per slot: the writer has it */
    bool in_order; /* slots ascend */
};

struct wr_avro_nest_run {
    struct wr_avro_cursor *c;
    struct wr_nested_writer *writer;
    struct wr_arena *arena;
    uint32_t unit_digits;
    struct wr_nested_path path;
    /* After a failure: why this branch is not taken; or, when not empty, a value that does not fit, and what it was to be; else the
     * cursor has the problem. */
    const char *refused;
    char shown[64];
    struct wr_type wanted;
};

/* Reads one value into a view, in the arena where it is long. */
bool wr_avro_nest_run(const struct wr_avro_nest *nest, struct wr_avro_nest_run *run,
                      struct wr_view *out);

/* A default of a nested type. False: it does not fit. */
bool wr_avro_nest_default(const struct wr_avro_node *node, const json_t *json, struct wr_type type,
                          uint32_t unit_digits, struct wr_arena *arena,
                          union wr_scalar *value);
/* The branch of a union that a default is of. */
const struct wr_avro_node *wr_avro_default_branch(const struct wr_avro_node *node,
                                                  const json_t *json);

/* ---- compiling ---- */

struct wr_avro_compiler {
    struct wr_avro_program *program;
    const char **field;
    struct wr_error *err;
    uint32_t nests; /* made so far */
};

/* NULL: err says why not. */
const struct wr_avro_nest *wr_avro_nest_compile(struct wr_avro_compiler *c,
                                                const struct wr_avro_node *writer,
                                                const struct wr_avro_node *reader,
                                                struct wr_type type);

/* The writer's scalar with the reader's meaning, where the writer gave it none. */
const struct wr_avro_node *wr_avro_with_meaning(struct wr_avro_compiler *c,
                                                const struct wr_avro_node *writer,
                                                const struct wr_avro_node *reader);
/* An enum's symbols as texts. */
const struct wr_view *wr_avro_symbol_views(struct wr_avro_compiler *c,
                                           const struct wr_avro_node *writer,
                                           const struct wr_avro_node *reader);
/* How many microseconds an integer counts; 0: no whole number. */
int64_t wr_avro_scaled_by(const struct wr_avro_node *node, uint32_t unit_digits);
enum wr_avro_op wr_avro_leaf_op(const struct wr_avro_node *node, struct wr_type type,
                                uint32_t unit_digits);
/* What the reader has for a branch of the writer's union, or for a value that is no union there. */
const struct wr_avro_node *wr_avro_reader_branch(const struct wr_avro_node *reader,
                                                 const struct wr_avro_node *writer);
/* The record, also of an optional one; NULL: none. */
const struct wr_avro_node *wr_avro_record_of(const struct wr_avro_node *reader);

#endif
