/* sim_check.h: what must hold at every moment of a history, checked where it happens; and the seeded bugs, which prove that the
 * simulation finds what it is for.
 *
 * Invariants are those of design.md, section 4.
 */
#ifndef WR_TESTS_SIM_CHECK_H
#define WR_TESTS_SIM_CHECK_H

#include "sim_world.h"

/* Ways in which the code could be wrong. Each is built from outside (sim_wrap.c), or by the world lying to the code. */
#define SIM_BUGS(BUG)                                                                              \
    BUG(PUBLISH_EARLY, "sinks publish before the manifest")                                        \
    BUG(SEEK_AHEAD, "splits go on one row too far")                                                \
    BUG(SEEK_BEHIND, "splits go on one row too early")                                             \
    BUG(NO_FENCE, "the manifest is put without a condition")                                       \
    BUG(NO_RECOVERY, "what the manifest found committed is not published at the start")            \
    BUG(LATE_SNAPSHOT, "keyed state is snapshotted one epoch late")                                \
    BUG(FORGOTTEN_FLOOR, "the floors of activations are not in the manifest")                      \
    BUG(LOST_LEDGER, "the ledger starts anew after a crash")                                       \
    BUG(MUTED_TOO_LONG, "a replay hides one row too many from a sink")                             \
    BUG(REOPENED_WINDOWS, "restored windows that had closed are not dropped")                      \
    BUG(PRUNED_SNAPSHOT, "snapshots are deleted that are still needed")                            \
    BUG(PARTIAL_RESTORE, "the newest snapshot of an operator is not restored")                     \
    BUG(EARLY_MANIFEST, "the manifest is put before its snapshots are durable")                    \
    BUG(EARLY_END, "one worker's end counts as the end of the input")

enum sim_bug {
    SIM_BUG_NONE,
#define BUG(name, text) SIM_BUG_##name,
    SIM_BUGS(BUG)
#undef BUG
    SIM_BUG_COUNT_
};

static inline bool sim_bug(enum sim_bug bug)
{
    return sim->bug == (uint32_t)bug && !sim->calm;
}

/* An object is about to be put (1, 2, 3, 5). */
void sim_check_put(const char *key, const void *data, size_t bytes, bool if_absent);
/* The newest manifest does not need it. */
void sim_check_delete(const char *key);
/* A prepared upload becomes visible (3). */
void sim_check_publish(const struct sim_upload *upload);
/* A sink's commit of an epoch becomes visible (3). */
void sim_check_commit(const char *sink, const char *uuid, uint64_t epoch);
/* A position that the source is told to be safe. */
void sim_check_position(uint32_t split, int64_t next_position);
/* A worker's cut found a split active with a floor. */
void sim_note_activation(uint64_t epoch, const struct sim_activation *activation);

/* ---- the whole history, by the parent (sim_verify.c) ---- */

/* Fills the tables of sinks that write files with what a reader finds in them (sim_files.c). */
void sim_read_files(void);
/* Compares what all sinks show with the reference. */
void sim_verify(void);

#endif
