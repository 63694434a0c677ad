/* sim_host.h: one incarnation of the process, in a child of its own. */
#ifndef WR_TESTS_SIM_HOST_H
#define WR_TESTS_SIM_HOST_H

#include "plan/plan.h"
#include "sim_world.h"

/* Runs the pipeline, step by step, to its fate. Never returns to the caller's history. */
enum sim_exit sim_host_run(const struct wr_plan *plan);

#endif
