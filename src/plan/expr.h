/* expr.h: bound expressions as plain data (interface): sql makes them, exec compiles them. Plan arena,
 * read-only after binding.
 *
 * Every node has its type; the binder has put in all casts, so that a CALL's arguments have exactly the types
 * that its signature row names. AND, OR, CASE, COALESCE, NULLIF, IN are nodes of their own because they
 * evaluate lazily: an error in a branch that is not taken does not exist (three-valued logic as PostgreSQL).
 */
#ifndef WR_PLAN_EXPR_H
#define WR_PLAN_EXPR_H

#include "batch/schema.h"
#include "plan/function.h"

enum wr_expr_kind {
    WR_EXPR_COLUMN,   /* column */
    WR_EXPR_CONST,    /* value, or NULL when is_null */
    WR_EXPR_CALL,     /* function, args; strict unless the function row says otherwise */
    WR_EXPR_CAST,     /* args[0] to type; failures are errors of the row, TRY_CAST gives NULL (try_cast) */
    WR_EXPR_AND,      /* args, two or more */
    WR_EXPR_OR,
    WR_EXPR_NOT,      /* args[0] */
    WR_EXPR_IS_NULL,  /* args[0]; never NULL itself */
    WR_EXPR_IS_NOT_NULL,
    WR_EXPR_IS_TRUE,  /* IS TRUE; IS NOT TRUE = NOT(IS TRUE) */
    WR_EXPR_IS_FALSE,
    WR_EXPR_IS_DISTINCT, /* args[0] IS DISTINCT FROM args[1] */
    WR_EXPR_CASE,     /* args: when1, then1, when2, then2, …, [else] (odd count = has else) */
    WR_EXPR_COALESCE, /* args */
    WR_EXPR_NULLIF,   /* args[0], args[1] of equal type */
    WR_EXPR_IN,       /* args[0] IN (args[1..]); all of one type */
};

union wr_value {
    uint8_t b;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    float f32;
    double f64;
    __int128 decimal;
    struct wr_view view; /* long texts in the plan's arena */
    struct wr_interval interval;
};

struct wr_expr {
    enum wr_expr_kind kind;
    struct wr_type type;
    bool nullable; /* may be NULL, as far as the binder knows */
    bool is_null;  /* CONST */
    bool try_cast; /* CAST */
    uint32_t column;
    enum wr_function function; /* CALL */
    union wr_value value;
    struct wr_expr **args;
    uint32_t arg_count;
    uint32_t at;       /* byte offset in the SQL text, for errors of rows ("division by zero in …") */
    uint32_t at_bytes; /* length of its text */
};

/* Same computation? (structure, columns, constants, types; positions ignored) */
bool wr_expr_equal(const struct wr_expr *a, const struct wr_expr *b);
/* Appends SQL-like text: column names from schema (may be NULL: $n). For EXPLAIN. */
struct wr_buf;
void wr_expr_text(struct wr_buf *buf, const struct wr_expr *expr, const struct wr_schema *schema);
/* Appends the type's whole name: a nested one is not cut. */
void wr_type_text(struct wr_buf *buf, struct wr_type type);
/* Calls visit for each column used. */
void wr_expr_columns(const struct wr_expr *expr, void (*visit)(void *ctx, uint32_t column), void *ctx);

#endif
