/* cadence.h: which sinks and operators take part in which epochs.
 *
 * A sink with a commit_interval takes part in every n-th epoch (of the pipeline's smallest interval). Operators with state are
 * snapshotted when the sinks that they feed commit, so sinks that share one share the smallest interval, as do all sinks of a
 * deduplicated source and of one that counts arrivals (source.h). Side sinks take part in every epoch: a replay must be able to tell which of their rows are there.
 * Threads: control, before the start.
 */
#ifndef WR_RUN_CADENCE_H
#define WR_RUN_CADENCE_H

#include "run/pipeline.h"

/* Fills epoch_interval_us, sink_every, node_every and exactly_once; sink_ops are found. */
void wr_cadence_settle(struct wr_pipeline *pipeline);

#endif
