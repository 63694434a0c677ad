/* stepped.h: a pipeline whose roles take their turns one at a time in the caller's thread: what the crash simulation stands on.
 *
 * The parts are control, the workers and the sink workers: part 0 is control, 1.. the workers, then the sink workers. Which part
 * turns next, and what time it is (base/clock.h), is the caller's choice; the loops are simulated (io_sim.h). The code of the roles
 * is that of a real run; only threads, signals and the status block are missing.
 * Ownership: plan outlives it. Threads: one.
 */
#ifndef WR_RUN_STEPPED_H
#define WR_RUN_STEPPED_H

#include "run/pipeline.h"

struct wr_stepped;

/* config->stepped is taken for set. */
WR_NODISCARD wr_status wr_stepped_create(struct wr_stepped **stepped, const struct wr_plan *plan,
                                         const struct wr_run_config *config, struct wr_error *err);
/* WR_END: another owner may live; again at *next_ns. */
WR_NODISCARD wr_status wr_stepped_claim(struct wr_stepped *stepped, int64_t *next_ns,
                                        struct wr_error *err);
/* Opens everything; the owner may turn from here on. */
WR_NODISCARD wr_status wr_stepped_start(struct wr_stepped *stepped, struct wr_error *err);

uint32_t wr_stepped_parts(const struct wr_stepped *stepped);
/* One turn of a part; *next_ns: when it wants the next one (not later than now: at once). WR_FAIL: the run failed. */
WR_NODISCARD wr_status wr_stepped_turn(struct wr_stepped *stepped, uint32_t part, int64_t *next_ns,
                                       struct wr_error *err);
bool wr_stepped_done(const struct wr_stepped *stepped); /* the final epoch is published */
void wr_stepped_stop(struct wr_stepped *stepped);       /* as SIGTERM does */
struct wr_pipeline *wr_stepped_pipeline(struct wr_stepped *stepped);

/* As at the end of a process that ends in order, wherever it stands. NULL is fine. */
void wr_stepped_destroy(struct wr_stepped *stepped);

#endif
