/* watermark_hub.h: which watermark of each source is out in the world, over all workers.
 *
 * Each worker reports the minimum over its active splits of a source; the hub's emitted watermark is the minimum over workers
 * that have active splits. A worker without one follows it. A split that wakes (or is new) asks the hub for its
 * floor: from that call on the emitted watermark cannot pass it, and nothing at or beyond the floor was emitted
 * before. This is "control alone publishes the emitted watermark and activates splits" (design.md, section 2), carried
 * out under one lock by whichever thread needs it, so that no event waits for a hop through the control thread.
 * Threads: any; one mutex, held for a few dozen instructions, at most once per worker turn and source.
 * Invariants:
 *   (1) emitted never falls
 *   (2) emitted <= local of every active worker
 */
#ifndef WR_RUN_WATERMARK_HUB_H
#define WR_RUN_WATERMARK_HUB_H

#include "base/limits.h"
#include "io/loop.h"
#include <pthread.h>

struct wr_hub_source {
    int64_t emitted_us;
    int64_t local_us[WR_WORKERS_MAX];
    bool active[WR_WORKERS_MAX];
    bool finished[WR_WORKERS_MAX]; /* no split will ever come */
};

struct wr_hub {
    pthread_mutex_t lock;
    struct wr_hub_source *sources;
    uint32_t source_count;
    uint32_t workers;
    struct wr_io **loops; /* of the workers, to wake followers; borrowed */
};

void wr_hub_init(struct wr_hub *hub, uint32_t sources, uint32_t workers, struct wr_io **loops);
void wr_hub_deinit(struct wr_hub *hub);

/* This worker's minimum over active splits (active false: it has none and follows). Returns the emitted watermark.
 * When it moved, followers are woken. finished: none will come here any more. @thread worker */
int64_t wr_hub_report(struct wr_hub *hub, uint32_t source, uint32_t worker, bool active,
                      bool finished, int64_t local_us);
/* A split of this worker becomes active; returns its floor. @thread worker */
int64_t wr_hub_activate(struct wr_hub *hub, uint32_t source, uint32_t worker);
/* @thread any */
int64_t wr_hub_emitted(struct wr_hub *hub, uint32_t source);

#endif
