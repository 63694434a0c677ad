/* avro_step.h: the steps of a program, which avro_compile.c makes and avro_run.c carries out; see avro_program.h. */
#ifndef WR_DECODE_AVRO_STEP_H
#define WR_DECODE_AVRO_STEP_H

#include "decode/avro_program.h"
#include "decode/avro_value.h"

#define NOT_OPTIONAL UINT8_MAX

enum wr_avro_op {
    OP_END,
    /* leaves */
    OP_INT64,
    OP_INT32,
    OP_SCALED, /* an integer times factor */
    OP_FLOAT32,
    OP_FLOAT64,
    OP_WIDEN, /* float to double precision */
    OP_BOOL,
    OP_TEXT,
    OP_BYTES,
    OP_ENUM,
    OP_VALUE, /* any other scalar, by avro_value.c */
    OP_JSON,
    OP_NESTED, /* into a STRUCT, ARRAY or MAP, by avro_nest.c */
    /* skips */
    OP_SKIP_LONG,
    OP_SKIP_BYTES,
    OP_SKIP_COUNT, /* a known number of bytes */
    OP_SKIP_NODE,
    /* the rest */
    OP_UNION,
    OP_MAP,
    OP_RETURN,
    OP_JUMP,
    OP_MARK,
    OP_BACK,
    OP_NULL,
    OP_SET,
    OP_REFUSE,
};

struct wr_avro_step {
    uint8_t op;         /* enum wr_avro_op */
    uint8_t null_index; /* the optional's index of null, or NOT_OPTIONAL */
    bool not_null;
    struct wr_type type;
    uint32_t column; /* index in the batch */
    uint32_t width;
    union {
        int64_t factor;                 /* SCALED */
        uint64_t bytes;                 /* SKIP_COUNT */
        const struct wr_avro_node *node; /* VALUE, JSON, SKIP_NODE */
        const struct wr_view *symbols;  /* ENUM: count of them */
        const union wr_scalar *set; /* SET */
        const char *message;            /* REFUSE */
        uint32_t jump;                  /* UNION: first of count entries in jumps; JUMP: the step */
        const struct wr_avro_map_keys *map;     /* MAP */
        const struct wr_avro_nest *nest;        /* NESTED */
    };
    uint32_t count;
    const char *dotted;
};

/* The keys of a map that columns ask for. The steps of a value end with RETURN, so do those for a key that is not there. */
struct wr_avro_map_keys {
    const struct wr_avro_node *values;
    uint32_t count;
    struct wr_avro_map_key {
        struct wr_slice name;
        uint32_t found;   /* first step */
        uint32_t missing; /* first step */
    } keys[];
};

struct wr_avro_program {
    struct wr_arena arena;
    struct wr_avro_step *steps;
    uint32_t step_count;
    uint32_t step_capacity;
    uint32_t *jumps;
    uint32_t jump_count;
    uint32_t jump_capacity;
    uint32_t unit_digits;
};

#endif
