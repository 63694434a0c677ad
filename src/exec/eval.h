/* eval.h: bound expressions compiled to vectorised kernels (interface between exec's operators and
 * its kernels).
 *
 * Ownership: an evaluator belongs to one worker; results lie in it (or in the input batch, when the
 * expression is a bare column) and stay valid until its next eval or destroy, except long texts
 * made by it, which lie in the arena given to eval. Threads: one.
 * Texts of a result longer than a view lie in the arena, or are part of an argument's text and
 * borrow it: from the input batch (records, its arena), a constant of the plan, or one that was
 * folded, which lies in the evaluator. So who keeps a result keeps the batch (as parent), the plan
 * and the evaluator.
 * The plan's expressions must outlive the evaluator.
 * Invariants:
 *   (1) all rows 0..rows-1 of the result hold defined bytes; rows outside the selection or NULL
 * hold zero or garbage-free values
 *   (2) an error of a row is reported only for rows that are selected and whose branch is taken
 *   (3) no allocation in the steady state (scratch is kept)
 */
#ifndef WR_EXEC_EVAL_H
#define WR_EXEC_EVAL_H

#include "base/clock.h"
#include "base/status.h"
#include "batch/batch.h"
#include "plan/expr.h"

struct wr_eval;

/* Errors of rows of one evaluation: the first error of a row counts. */
struct wr_eval_fault {
    uint32_t row;
    char message[160]; /* "division by zero in amount / price" */
};

struct wr_eval_faults {
    struct wr_eval_fault *items;
    uint32_t count;
    uint32_t capacity;
};
void wr_eval_faults_deinit(struct wr_eval_faults *faults);

/* schema: of the input batches. sql_text: for the source text in messages (may be empty). */
WR_NODISCARD wr_status wr_eval_create(struct wr_eval **eval, const struct wr_expr *expr,
                                      const struct wr_schema *schema, struct wr_slice sql_text,
                                      struct wr_error *err);
void wr_eval_destroy(struct wr_eval *eval); /* NULL is fine */

/* Evaluates over the batch's live rows (batch->sel). wall_us: now(), fixed for the batch. arena:
 * for long texts of the result
 * (usually that of the batch under construction). Rows with errors are appended to faults (NULL
 * result there); the caller drops them from the selection. */
void wr_eval_run(struct wr_eval *eval, const struct wr_batch *batch, int64_t wall_us,
                 struct wr_arena *arena, struct wr_eval_faults *faults, struct wr_column *result);

/* A bare column reference? Then its number, else WR_NO_COLUMN-like UINT32_MAX. */
uint32_t wr_eval_bare_column(const struct wr_eval *eval);

/* Filters: narrows sel (count entries, in place) to the rows where the BOOLEAN expression is true;
 * returns the new count. Rows with errors leave too and are in faults. sel_in == NULL: all rows,
 * the result goes to sel_out. */
uint32_t wr_eval_filter(struct wr_eval *eval, const struct wr_batch *batch, int64_t wall_us,
                        struct wr_arena *arena, struct wr_eval_faults *faults,
                        const uint32_t *sel_in, uint32_t count, uint32_t *sel_out);

#endif
