/* agg.h: aggregate functions over packed rows (private to exec).
 *
 * Each aggregate has a few bytes at `offset` of a row and up to two flag bits at `bit`; all zero is
 * the empty state. What does not fit lies in blocks of the operator's pool that the state points
 * to.
 * Threads: one; a wr_agg is read-only after wr_agg_layout.
 * Invariants:
 *   (1) merge(a, b) then emit equals emit over the union of both inputs, in any order (floats to
 *   rounding)
 *   (2) states own their blocks: merge copies, release frees, load makes a state that owns new ones
 *   (3) update is only given rows whose argument is not NULL, except first_value and last_value
 *   (RESPECT NULLS, the
 *       standard's default) and count(*)
 */
#ifndef WR_EXEC_AGG_H
#define WR_EXEC_AGG_H

#include "base/buf.h"
#include "batch/batch.h"
#include "exec/table_state.h"
#include "plan/plan.h"

struct wr_agg;

/* A vector of input rows, already grouped: value at column[sel[i]] belongs to the state row
 * rows[i]. */
struct wr_agg_input {
    uint8_t *const *rows;
    const uint32_t *sel;
    uint32_t count;
    const struct wr_column *column; /* NULL for count(*) */
    const struct wr_batch *batch;   /* for positions */
    const int64_t *time;            /* event time, indexed by sel[i] */
};

struct wr_agg_ops {
    void (*update)(const struct wr_agg *agg, const struct wr_agg_input *in);
    void (*merge)(const struct wr_agg *agg, uint8_t *into, const uint8_t *row);
    /* Writes the result into values[at]; false: NULL. *error is set when the row has none. Long
     * texts go to arena. */
    bool (*emit)(const struct wr_agg *agg, const uint8_t *row, void *value, struct wr_arena *arena,
                 const char **error);
    /* For states with blocks, else NULL. save appends what the row's bytes do not hold; load takes
     * a row whose bytes were copied and makes its blocks from what save wrote, returning the end of
     * it; NULL: those bytes are not what save writes (they may come from a disk), and the row's
     * state owns nothing. */
    void (*release)(const struct wr_agg *agg, uint8_t *row);
    void (*save)(const struct wr_agg *agg, const uint8_t *row, struct wr_buf *into);
    const char *(*load)(const struct wr_agg *agg, uint8_t *row, const char *from,
                        const char *end);
};

struct wr_agg {
    const struct wr_agg_ops *ops;
    enum wr_aggregate kind;
    struct wr_type arg;  /* id WR_TYPE_NULL for count(*) */
    struct wr_type type; /* of the result */
    uint32_t width;      /* bytes of an argument */
    uint32_t offset;     /* of the state in a row */
    uint32_t bytes;
    uint32_t bit;        /* first flag, counted from the row's first bit */
    uint32_t bits;
    double parameter;
    struct wr_state_pool *pool;
};

/* Fills everything but offset and bit. */
void wr_agg_init(struct wr_agg *agg, const struct wr_plan_aggregate *plan,
                 struct wr_state_pool *pool);

static inline bool wr_agg_flag(const uint8_t *row, uint32_t bit)
{
    return (row[bit >> 3] >> (bit & 7)) & 1;
}

static inline void wr_agg_flag_set(uint8_t *row, uint32_t bit)
{
    row[bit >> 3] = (uint8_t)(row[bit >> 3] | (1u << (bit & 7)));
}

static inline void wr_agg_flag_clear(uint8_t *row, uint32_t bit)
{
    row[bit >> 3] = (uint8_t)(row[bit >> 3] & ~(1u << (bit & 7)));
}

/* ---- whole rows ---- */

struct wr_agg_list {
    struct wr_agg *items;
    uint32_t count;
    bool has_blocks; /* some aggregate has release */
};

void wr_agg_merge_row(const struct wr_agg_list *list, uint8_t *into, const uint8_t *row);
void wr_agg_release_row(const struct wr_agg_list *list, uint8_t *row);

/* The families (agg_number.c, agg_value.c, agg_set.c, agg_sketch.c). */
extern const struct wr_agg_ops wr_agg_count_ops;
extern const struct wr_agg_ops wr_agg_sum_integer_ops;
extern const struct wr_agg_ops wr_agg_sum_float_ops;
extern const struct wr_agg_ops wr_agg_sum_decimal_ops;
extern const struct wr_agg_ops wr_agg_avg_integer_ops;
extern const struct wr_agg_ops wr_agg_avg_float_ops;
extern const struct wr_agg_ops wr_agg_avg_decimal_ops;
extern const struct wr_agg_ops wr_agg_variance_ops;
extern const struct wr_agg_ops wr_agg_bool_ops;
extern const struct wr_agg_ops wr_agg_extreme_ops;
extern const struct wr_agg_ops wr_agg_extreme_view_ops;
extern const struct wr_agg_ops wr_agg_edge_ops;
extern const struct wr_agg_ops wr_agg_distinct_ops;
extern const struct wr_agg_ops wr_agg_hll_ops;
extern const struct wr_agg_ops wr_agg_percentile_ops;

/* A sum with more than 128 bits: 192, two's complement, least word first. */
struct wr_wide {
    uint64_t words[3];
};
void wr_wide_add(struct wr_wide *wide, __int128 value);
void wr_wide_add_wide(struct wr_wide *wide, const struct wr_wide *other);
bool wr_wide_to_int128(const struct wr_wide *wide, __int128 *value);
bool wr_decimal_fits(__int128 value, uint32_t precision);

/* Order of two values of a type, as ORDER BY: NaN greatest, texts bytewise. Pointers need no
 * alignment. */
int wr_agg_compare(struct wr_type type, const void *a, const void *b);

/* The number that a numeric value stands for (DECIMAL: scaled). */
double wr_agg_to_double(struct wr_type type, const void *value);
/* Integers, as 128 bits. */
__int128 wr_agg_to_int128(struct wr_type type, const void *value);

#endif
