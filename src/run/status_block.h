/* status_block.h: the live status on a terminal: rate, lag, watermark, open windows, late, dead-lettered, latency.
 * Drawn on standard error, redrawn in place; log lines make it step aside. Threads: control. */
#ifndef WR_RUN_STATUS_BLOCK_H
#define WR_RUN_STATUS_BLOCK_H

#include "run/pipeline.h"

struct wr_status_block;

/* NULL (which is fine everywhere) when standard error is not a terminal, with --quiet or in previews. */
struct wr_status_block *wr_status_block_create(struct wr_pipeline *p);
void wr_status_block_tick(struct wr_status_block *block, struct wr_time now);
void wr_status_block_destroy(struct wr_status_block *block); /* erases it */

#endif
