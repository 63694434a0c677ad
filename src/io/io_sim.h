/* io_sim.h: the loop's stand-in for tests: the same calls on real descriptors, but completed late,
 * out of order, short or with errors, as a seed says. The same seed and the same submissions give
 * the same run.
 *
 * A turn of it does not sleep while ops are merely delayed: it lets simulated turns pass. It sleeps
 * (poll) only when all ops wait for descriptors that are not ready, and not even then with
 * no_sleep.
 */
#ifndef WR_IO_SIM_H
#define WR_IO_SIM_H

#include "io/loop.h"

struct wr_io_sim_knobs {
    uint64_t seed;
    uint32_t delay_turns_max;  /* an op completes 0 to so many turns after it was submitted */
    uint32_t short_per_mille;  /* reads and writes of more than a byte that stop early */
    uint32_t error_per_mille;  /* ops that fail without having had an effect */
    int error;                 /* with this errno; 0 means EIO */
    uint64_t fail_nth;         /* the n-th completion from here fails (1 is the next); 0: none */
    bool no_sleep;             /* turns return at once when nothing can complete */
};

/* What wr_io_create(WR_IO_SIM) uses: seed 1, delays up to 3 turns, a fifth of transfers short, no
 * errors. */
extern const struct wr_io_sim_knobs wr_io_sim_defaults;

/* Changes the knobs from the next completion on; io must be WR_IO_SIM. The seed starts anew. */
void wr_io_sim_set(struct wr_io *io, const struct wr_io_sim_knobs *knobs);

/* Completions so far: how far fail_nth has to reach. */
uint64_t wr_io_sim_completions(const struct wr_io *io);

#endif
