/* start_gate.h: keeps the threads of a pipeline in step while they open and close what only they may touch.
 *
 * Opening: each thread and control pass the stages in order; nobody passes a stage before all have come. The first failure
 * is kept with its stage: that stage and later ones say false to everybody, earlier ones keep saying true to whoever is
 * slow to leave them (else he would not come to the next, where the others wait for him).
 * Threads: all; one mutex and condition each.
 */
#ifndef WR_RUN_START_GATE_H
#define WR_RUN_START_GATE_H

#include "base/status.h"
#include <pthread.h>

enum wr_gate_stage {
    WR_STAGE_LOOPS, /* every thread has its io loop */
    WR_STAGE_LANES, /* every lane has its two ends */
    WR_STAGE_OPEN,  /* readers, writers and operators are open: go */
    WR_STAGE_COUNT_
};

struct wr_start_gate {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    uint32_t parties;
    uint32_t arrived[WR_STAGE_COUNT_];
    enum wr_gate_stage failed_at; /* WR_STAGE_COUNT_: nobody has failed */
    struct wr_error failure;
};

void wr_gate_init(struct wr_start_gate *gate, uint32_t parties);
void wr_gate_deinit(struct wr_start_gate *gate);

/* status: how this thread's part went (err says why not). True when all parties came and none has failed. */
bool wr_gate_pass(struct wr_start_gate *gate, enum wr_gate_stage stage, wr_status status,
                  const struct wr_error *err);

/* Closing: a barrier that can be passed again and again. */
struct wr_end_gate {
    pthread_barrier_t barrier;
};
void wr_end_gate_init(struct wr_end_gate *gate, uint32_t parties);
void wr_end_gate_deinit(struct wr_end_gate *gate);
void wr_gate_wait(struct wr_end_gate *gate);

#endif
