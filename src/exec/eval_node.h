/* eval_node.h: what an expression is compiled to, and what its kernels see (private to the eval_,
 * kernel_ and fn_ files).
 *
 * A tree of nodes mirrors the tree of expressions. Running a node fills its own result column for
 * the rows of an activity bitmap ("live words": one bit per row, 64 rows a word). Cheap kernels
 * compute all rows 0..rows-1 without looking and mend the few that need it; dear ones (text,
 * regular expressions, hashes) visit live rows only.
 *
 * Ownership: nodes, result columns and constants lie in the evaluator's memory; what a kernel keeps
 * beside them hangs on node->state with its own free function.
 * Threads: one.
 * Invariants:
 *   (1) result values of all rows are defined bytes after a run; views of rows that are not live
 * are empty
 *   (2) a row that failed is NULL in the node that failed and has its bit in ctx->faulted
 *   (3) bits at and above rows are zero in live words; in validity bitmaps they may be anything
 *   (4) column.validity == NULL means that no live row is NULL
 */
#ifndef WR_EXEC_EVAL_NODE_H
#define WR_EXEC_EVAL_NODE_H

#include "base/assert.h"
#include "base/buf.h"
#include "exec/eval.h"

#define WR_LIVE_WORDS (WR_BATCH_ROWS_MAX / 64)

struct wr_node;
struct wr_call;

/* One run of an evaluator. */
struct wr_run {
    const struct wr_batch *batch;
    uint32_t rows;
    uint32_t words; /* of rows, rounded up */
    int64_t wall_us;
    struct wr_arena *arena; /* for texts of the results */
    struct wr_eval_faults *faults;
    uint64_t faulted[WR_LIVE_WORDS];
    bool any_fault;
};

typedef void (*wr_node_run_fn)(struct wr_node *node, struct wr_run *run, const uint64_t *live);
typedef void (*wr_kernel_fn)(struct wr_call *call);

struct wr_node {
    wr_node_run_fn run;
    wr_kernel_fn kernel; /* CALL and CAST: strict part */
    const struct wr_expr *expr;
    struct wr_node **args;
    uint32_t arg_count;
    struct wr_column column; /* the result of the last run */
    void *values;            /* own storage, WR_BATCH_ROWS_MAX entries; NULL for bare columns */
    uint8_t *validity;       /* own storage */
    uint32_t width;          /* bytes of a value */
    bool constant;           /* column holds the one value in every row, from creation on */
    bool null_constant;
    bool sees_nulls;         /* kernel is not strict */
    struct wr_slice text;    /* of the SQL text, for messages */
    void *state;
    void (*state_free)(void *state);
};

/* What a kernel gets. */
struct wr_call {
    struct wr_node *node;
    struct wr_run *run;
    uint32_t rows;
    uint32_t words;
    /* Rows that must be computed: active and (for strict kernels) no argument NULL. */
    const uint64_t *live;
};

/* ---- visiting rows ---- */

/* Runs the statement for each set bit; row is declared by it. Do not break out. */
#define WR_FOR_EACH_LIVE(words_ptr, words_count, row)                                              \
    for (uint32_t w_##row = 0; w_##row < (words_count); w_##row++)                                 \
        for (uint64_t m_##row = (words_ptr)[w_##row]; m_##row != 0; m_##row &= m_##row - 1)        \
            for (uint32_t row = w_##row * 64 + (uint32_t)__builtin_ctzll(m_##row),                 \
                          once_##row = 1;                                                          \
                 once_##row != 0; once_##row = 0)

static inline uint64_t wr_word_get(const uint8_t *bits, uint32_t word)
{
    uint64_t value;
    memcpy(&value, bits + (size_t)word * 8, 8);
    return value;
}

static inline void wr_word_put(uint8_t *bits, uint32_t word, uint64_t value)
{
    memcpy(bits + (size_t)word * 8, &value, 8);
}

static inline bool wr_words_empty(const uint64_t *words, uint32_t count)
{
    uint64_t any = 0;
    for (uint32_t w = 0; w < count; w++) {
        any |= words[w];
    }
    return any == 0;
}

/* The validity word of a column; all ones without a bitmap. */
static inline uint64_t wr_valid_word(const struct wr_column *column, uint32_t word)
{
    return column->validity == NULL ? ~(uint64_t)0 : wr_word_get(column->validity, word);
}

/* ---- arguments and results of a call ---- */

static inline const struct wr_column *wr_arg(const struct wr_call *call, uint32_t index)
{
    wr_dassert(index < call->node->arg_count);
    return &call->node->args[index]->column;
}

static inline const void *wr_arg_values(const struct wr_call *call, uint32_t index)
{
    return wr_arg(call, index)->values;
}

static inline bool wr_arg_constant(const struct wr_call *call, uint32_t index)
{
    return call->node->args[index]->constant;
}

static inline struct wr_type wr_arg_type(const struct wr_call *call, uint32_t index)
{
    return call->node->args[index]->expr->type;
}

static inline struct wr_slice wr_arg_text(const struct wr_call *call, uint32_t index, uint32_t row)
{
    return wr_view_slice((const struct wr_view *)wr_arg_values(call, index) + row);
}

static inline void *wr_result_values(const struct wr_call *call)
{
    return call->node->values;
}

/* The result of row is NULL; its value becomes zero. */
void wr_result_null(struct wr_call *call, uint32_t row);

/* Copies the bytes into the run's arena when they are too long to lie inside. */
void wr_result_text(struct wr_call *call, uint32_t row, const char *data, size_t bytes);

/* The result is text that lives as long as the arguments do (part of one of them). */
static inline void wr_result_borrow(struct wr_call *call, uint32_t row, const char *data,
                                    size_t bytes)
{
    ((struct wr_view *)call->node->values)[row] = wr_view_of(data, bytes);
}

/* Room for bytes of text in the run's arena: for kernels that write in place and then borrow. */
char *wr_result_room(struct wr_call *call, size_t bytes);

/* The row failed: its message becomes `what in "source text"`; the result is NULL. The first
 * failure of a row counts. */
void wr_result_fail(struct wr_call *call, uint32_t row, const char *fmt, ...) WR_PRINTF(3, 4);

/* ---- nodes (eval.c) ---- */

void wr_node_run(struct wr_node *node, struct wr_run *run, const uint64_t *live);
/* Gives the node a bitmap of its own, all rows valid, when it has none. */
uint8_t *wr_node_nullable(struct wr_node *node, uint32_t words);
/* Message of a failure outside a call. */
void wr_node_fail(struct wr_node *node, struct wr_run *run, uint32_t row, const char *what);

/* The node's own byte buffer (its state), emptied; kept from run to run. */
struct wr_buf *wr_node_buf(struct wr_node *node);

/* ---- lazily evaluated nodes (eval_logic.c) ---- */

wr_node_run_fn wr_logic_run_fn(enum wr_expr_kind kind); /* NULL: not one of them */
WR_NODISCARD wr_status wr_logic_prepare(struct wr_node *node, struct wr_error *err);

/* One bit per byte of 0 or 1, for rows 0..rows-1 (bits above are zero), and back. */
void wr_bools_pack(const uint8_t *bools, uint32_t rows, uint64_t *words);
void wr_bools_unpack(const uint64_t *words, uint32_t rows, uint8_t *bools);

/* Bit set where the two values are equal (NULLs not looked at), among live rows. (kernel_compare.c)
 * */
void wr_equal_words(const struct wr_column *a, const struct wr_column *b, const uint64_t *live,
                    uint32_t words, uint64_t *equal);

/* ---- kernels: one per row of the function table; a missing one does not link ---- */

#define WR_X(id, name, signature, flags) void wr_kernel_##id(struct wr_call *call);
WR_FUNCTION_TABLE(WR_X)
#undef WR_X

/* Work that needs constant arguments once (patterns, field names); called after the arguments were
 * compiled. */
typedef wr_status (*wr_prepare_fn)(struct wr_node *node, struct wr_error *err);
wr_prepare_fn wr_function_prepare(enum wr_function function); /* NULL: none */

/* In fn_like.c, fn_regexp.c, fn_time.c. */
WR_NODISCARD wr_status wr_prepare_pattern(struct wr_node *node, struct wr_error *err);
WR_NODISCARD wr_status wr_prepare_regexp(struct wr_node *node, struct wr_error *err);
WR_NODISCARD wr_status wr_prepare_time(struct wr_node *node, struct wr_error *err);

/* The kernel that casts from to to; NULL when there is none. (eval_cast.c) */
wr_kernel_fn wr_cast_kernel(struct wr_type from, struct wr_type to);

/* TEXT and JSON to STRUCT, ARRAY and MAP; one of them to another. (fn_nested.c) */
void wr_cast_json_nested(struct wr_call *call);
void wr_cast_nested_nested(struct wr_call *call);

/* True when the argument is a constant that is not NULL; its text then. */
bool wr_node_constant_text(const struct wr_node *node, struct wr_slice *text);

#endif
