/* source_gate.h: holds a source's rows back until all splits that were found together have been
 * opened.
 *
 * A split that is opened late would find the watermark already past its first rows (invariant (5)
 * of weir/source.h). A reader has opened a split only when its worker polls again after it was
 * given SPLIT_OPENED: until then the worker may not have acted on it. So a reader confirms at the
 * start of each poll what the polls before it returned.
 *
 * Ownership: part of a source. Threads: any; one mutex, taken once per poll.
 * Invariants:
 *   (1) confirmed + forgotten <= announced
 *   (2) the gate is open exactly when both are equal; whoever makes them equal wakes all workers
 */
#ifndef WR_SOURCE_GATE_H
#define WR_SOURCE_GATE_H

#include "weir/source.h"
#include <pthread.h>

struct wr_open_gate {
    pthread_mutex_t lock;
    uint64_t missing; /* announced - confirmed - forgotten */
    uint32_t workers;
    void (*wake)(void *ctx, uint32_t worker);
    void *wake_ctx;
};

void wr_open_gate_init(struct wr_open_gate *gate, const struct wr_source_env *env);
void wr_open_gate_deinit(struct wr_open_gate *gate); /* of an initialised one */

/* Splits were found or assigned: the gate is closed until each is confirmed or forgotten. @thread
 * any */
void wr_open_gate_announce(struct wr_open_gate *gate, uint32_t splits);
/* SPLIT_OPENED of so many splits has been acted on, or they were taken away before (revoked).
 * @thread any */
void wr_open_gate_confirm(struct wr_open_gate *gate, uint32_t splits);
/* May rows be given? @thread any */
bool wr_open_gate_is_open(struct wr_open_gate *gate);

#endif
