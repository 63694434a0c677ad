/* sim_scenario.h: what a history is: the log, the pipeline's SQL, the fates of its incarnations, all from the seed. */
#ifndef WR_TESTS_SIM_SCENARIO_H
#define WR_TESTS_SIM_SCENARIO_H

#include "sim_world.h"

/* Fills sim->scenario, splits and runs. @before anything runs */
void sim_scenario_draw(void);
/* The pipeline's SQL. */
void sim_scenario_sql(struct wr_buf *into);

/* What the sinks have to show, straight from the log, row by row (design.md, section 2). */
struct sim_expected {
    struct sim_row *rows; /* malloc */
    uint32_t count;
    uint32_t capacity;
    /* the ledger, summed over splits */
    uint64_t read, passed, late, partly_late, dead, filtered;
};
void sim_reference(struct sim_expected expected[SIM_SINKS_MAX]);

#endif
