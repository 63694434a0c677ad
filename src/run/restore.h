/* restore.h: keyed state from the snapshots that the manifest names, on each worker.
 *
 * Threads: the worker that opens; control for what all share. Each worker reads all snapshot objects and takes the keys of its shards, so that their number
 * may be another one than in the run that wrote them.
 */
#ifndef WR_RUN_RESTORE_H
#define WR_RUN_RESTORE_H

#include "exec/exec.h"
#include "run/pipeline.h"

/* WR_FAIL, class RETRY or FATAL: an object is missing or damaged, or does not fit an operator. */
WR_NODISCARD wr_status wr_restore_operators(const struct wr_pipeline *pipeline, struct wr_exec *exec,
                                            struct wr_error *err);

/* What deduplicated sources remember; after wr_pipeline_allocate. @thread control */
WR_NODISCARD wr_status wr_restore_shared(const struct wr_pipeline *pipeline, struct wr_error *err);

/* The name under which a source's remembered keys stand in snapshots; into is WR_SEEN_NAME_BYTES long. */
#define WR_SEEN_NAME_BYTES 300u
const char *wr_seen_name(const struct wr_plan_source *source, char *into);

#endif
