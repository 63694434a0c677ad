/* recovery.h: what the claimed manifest means for this plan: where splits go on, what each sink and operator has had.
 *
 * Sinks may stand at different cuts (manifest.h). A split starts at the oldest one; rows that a sink has had are not for it: `skip`.
 * A sink that the manifest does not know begins at the newest cut. Side sinks take part in every epoch, so they stand at the newest.
 * While some split is behind what any sink has had of it (it *replays*), no epoch is taken: sinks would stand at different places of
 * it, and a cut knows only one.
 * Ownership: borrows the plan; has a copy of the manifest of its own. Threads: made by control before the others start, read-only
 * afterwards, but for `taken` and `replaying`.
 * Invariants:
 *   (1) a split that some sink's cut does not know has no start: it is new to that sink and is read from its beginning
 *   (2) a row is for sink k exactly when its position >= skip[k]
 *   (3) marks ascend by position, all of them > position; between two marks the same sinks take the rows and no floor comes
 */
#ifndef WR_RUN_RECOVERY_H
#define WR_RUN_RECOVERY_H

#include "obs/ledger.h"
#include "plan/plan.h"
#include "state/manifest.h"
#include "weir/sink.h"
#include "weir/source.h"
#include <stdatomic.h>

/* From this position on something is different. */
struct wr_resume_mark {
    int64_t position;
    int64_t floor_us; /* the split had become active here with this floor; WR_TIME_MIN: none */
};

struct wr_split_resume {
    const char *name;
    bool has_start; /* false: from its beginning (1) */
    struct wr_manifest_split at;
    int64_t *skip; /* per sink of the plan; INT64_MIN: all rows */
    struct wr_resume_mark *marks;
    uint32_t mark_count;
    struct wr_ledger_counts *ledger; /* per sink of the plan: as of the sink's cut */
    int64_t replay_until; /* the largest skip; INT64_MIN or <= at.position: nothing to replay */
    atomic_bool taken; /* the ledger goes on in one worker's counts, once */
};

struct wr_source_resume {
    int64_t emitted_us; /* at the newest cut */
    struct wr_split_resume *splits;
    uint32_t split_count;
    struct wr_split_start *starts; /* for the source */
    uint32_t start_count;
};

struct wr_recovery {
    const struct wr_plan *plan;
    struct wr_manifest *manifest;
    bool resumed; /* something had been committed */
    struct wr_source_resume *sources; /* per source of the plan */
    atomic_uint replaying; /* splits that are still behind their replay_until */
};

struct wr_recovery *wr_recovery_create(const struct wr_plan *plan, const struct wr_manifest *manifest);
void wr_recovery_destroy(struct wr_recovery *recovery); /* NULL is fine */

/* NULL: a run without state. "" then. */
const char *wr_recovery_uuid(const struct wr_recovery *recovery);
/* False: there is no state. */
bool wr_recovery_of_sink(const struct wr_recovery *recovery, const char *sink,
                         struct wr_sink_recovery *what);
/* NULL: a split that no cut knows. */
struct wr_split_resume *wr_recovery_split(const struct wr_recovery *recovery, uint32_t source,
                                          const char *name);

#endif
