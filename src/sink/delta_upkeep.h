/* delta_upkeep.h: what keeps a table readable while rows stream in: small files are merged,
 * checkpoints written.
 *
 * One thread of the lowest priority per table sink, with a store and a table handle of its own: it
 * never delays a commit or a window. What it does is a Delta commit like anybody's; a conflict with
 * the sink's own appends costs one more try. Whatever fails is tried again later, with growing
 * pauses: upkeep never ends a run.
 */
#ifndef WR_SINK_DELTA_UPKEEP_H
#define WR_SINK_DELTA_UPKEEP_H

#include "config/option.h"
#include "plan/plan.h"

struct wr_delta_upkeep;

struct wr_delta_upkeep_options {
    bool compact;
    uint64_t target_bytes;
    uint32_t checkpoint_every;
    const char *mark; /* of names: whose unfinished uploads a successor removes */
};

/* plan and options->mark are borrowed until stop. NULL (and a warning): no thread could be had; the sink works
 * without. */
struct wr_delta_upkeep *wr_delta_upkeep_start(const struct wr_plan_sink *plan,
                                              const struct wr_delta_upkeep_options *options);
/* Waits for the step under way, at most one group of files. NULL is fine. */
void wr_delta_upkeep_stop(struct wr_delta_upkeep *upkeep);

#endif
