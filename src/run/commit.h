/* commit.h: the next manifest, from the head, an epoch's cut and what the sinks prepared.
 *
 * Ownership: the manifest made owns its strings. Threads: control.
 * Invariants:
 *   (1) sinks and operators that take part stand at the new cut; the others at theirs, which stays in the manifest
 *   (2) splits and ledger lines that this process does not read now are carried on
 *   (3) activations stay as long as some cut in use lies before them
 *   (4) after the end of the input (all workers told WR_TIME_MAX) a source and its splits stand at the close of the newest
 *       window that was emitted: a later start goes on behind it
 */
#ifndef WR_RUN_COMMIT_H
#define WR_RUN_COMMIT_H

#include "run/pipeline.h"
#include "state/manifest.h"

/* A snapshot object that has been put. */
struct wr_stored_snapshot {
    char key[96];
    uint64_t bytes;
};

/* Fills next (initialised by this), but for owner and epoch: the seat's. published: whether what head names is published (always, when
 * an epoch has been finished in between). */
void wr_commit_build(const struct wr_pipeline *pipeline, const struct wr_manifest *head,
                     const struct wr_epoch_cut *cut, const struct wr_stored_snapshot *stored,
                     uint32_t stored_count, struct wr_manifest *next);

#endif
