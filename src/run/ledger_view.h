/* ledger_view.h: control's picture of the ledger: what had been read at the newest cut, what of it has landed at the newest
 * publication of each sink, and which source positions may be told to the outside.
 *
 * Threads: control.
 * Invariants:
 *   (1) every row balances: read = landed + late + dead_lettered + filtered + in_flight
 *   (2) positions are released only when every sink has published the epoch and, without state, no open window holds a row from
 *       before it: a crash repeats rows but never loses one
 */
#ifndef WR_RUN_LEDGER_VIEW_H
#define WR_RUN_LEDGER_VIEW_H

#include "run/pipeline.h"

struct wr_ledger_line {
    uint32_t sink;
    uint32_t source;
    const char *split; /* name */
    struct wr_ledger_counts counts;
    uint64_t landed;
    uint64_t in_flight;
};

/* recovery: what had landed before this run counts as landed (NULL: nothing had, and positions wait for windows: (2)). */
struct wr_ledger_view *wr_ledger_view_create(const struct wr_plan *plan,
                                             const struct wr_recovery *recovery);
void wr_ledger_view_destroy(struct wr_ledger_view *view); /* NULL is fine */

/* Takes the cut of an epoch that is published; published[k]: newest epoch that sink k has published. */
void wr_ledger_view_take(struct wr_ledger_view *view, struct wr_epoch_cut *cut,
                         const uint64_t *published);

/* Calls release for each source with positions that became safe since the last call (2). */
void wr_ledger_view_release(struct wr_ledger_view *view,
                            void (*release)(void *ctx, uint32_t source,
                                            const struct wr_split_position *positions,
                                            uint32_t count),
                            void *ctx);

/* Calls show for each (sink, source, split). */
void wr_ledger_view_each(const struct wr_ledger_view *view,
                         void (*show)(void *ctx, const struct wr_ledger_line *line), void *ctx);

/* Sums over one sink. */
void wr_ledger_view_sum(const struct wr_ledger_view *view, uint32_t sink, struct wr_ledger_line *sum);

#endif
