/* protobuf_step.h: what protobuf_compile.c makes and protobuf_run.c carries out; see protobuf_program.h. */
#ifndef WR_DECODE_PROTOBUF_STEP_H
#define WR_DECODE_PROTOBUF_STEP_H

#include "decode/protobuf_program.h"

#define NO_BIT UINT32_MAX

enum wr_protobuf_op {
    OP_NOTHING,
    /* varints */
    OP_WORD64,     /* as it is: int64, uint64 */
    OP_WORD32,     /* its lower half: int32, uint32, and sfixed32, fixed32, float */
    OP_SIGNED64,   /* the lower half with its sign: int32 to BIGINT */
    OP_UNSIGNED64, /* the lower half without: uint32 to BIGINT */
    OP_ZIGZAG32,
    OP_ZIGZAG64,
    OP_BOOL,
    OP_CHOICE, /* an enum's name */
    OP_SCALED, /* int64 times factor: a time */
    OP_WIDEN,  /* float to double precision */
    OP_TEXT,
    OP_BYTES,
    OP_TIMESTAMP,
    OP_VALUE, /* any other scalar, by protobuf_scalar.c */
    OP_DEFER,
    OP_DESCEND,
};

/* Bits of one word of seen. */
struct wr_protobuf_clear {
    uint32_t word;
    uint64_t mask;
};

struct wr_protobuf_step {
    uint8_t op;   /* enum wr_protobuf_op */
    uint8_t kind; /* enum wr_proto_kind of the field */
    bool packs;   /* may also come packed */
    bool all;     /* DEFER: all occurrences count, else the last */
    uint32_t column; /* index in the batch */
    uint32_t width;
    uint32_t bit;    /* in seen: the leaf's or the message's; NOTHING: NO_BIT */
    uint32_t number;
    uint32_t clear_count;
    const struct wr_protobuf_clear *clears; /* the oneof's other members and what is in them */
    union {
        int64_t factor;
        const struct wr_view *names;              /* CHOICE: name_count of them, from number 0 */
        const struct wr_protobuf_table *table;    /* DESCEND */
    };
    uint32_t name_count;
    const struct wr_protobuf_field *field;
    const struct wr_protobuf_shape *shape; /* VALUE, DEFER */
    const char *dotted;
    const struct wr_protobuf_step *also; /* the next one for the same field */
};

#define DENSE_MAX 512u

/* The steps of one message. */
struct wr_protobuf_table {
    /* By tag (number and wire type) of one byte: the only step for it. What is not here goes the long way. */
    const struct wr_protobuf_step *fast[128];
    const struct wr_protobuf_step **dense; /* by number, below dense_count */
    uint32_t dense_count;
    const struct wr_protobuf_step **sparse; /* the others, sorted by number */
    uint32_t sparse_count;
    const char *dotted; /* the message's path; NULL: the record */
};

/* What becomes of a column that the record did not fill. */
struct wr_protobuf_leaf {
    uint32_t column;
    uint32_t width;
    uint32_t message; /* bit of the message around it; NO_BIT: the record, or nothing that ever is there */
    bool never;       /* its path leads nowhere: NULL */
    bool presence;    /* absent is NULL; else zero */
    bool not_null;
    bool deferred;
    const struct wr_protobuf_shape *shape;
    union wr_scalar zero;
    const char *zero_problem; /* zero does not fit the column */
    const char *dotted;
};

struct wr_protobuf_program {
    struct wr_arena arena;
    const struct wr_protobuf_table *table;
    struct wr_protobuf_leaf *leaves; /* bits 0 to leaf_count - 1 are theirs */
    uint32_t leaf_count;
    uint32_t bit_count;
    bool defers;
    uint32_t unit_digits;
};

#endif
