/* replay.h: a run whose sources give their dead letters again (`weir dlq replay`).
 *
 * Every source's connector is replaced. A part of an error sink (dead_letters.h) is one more split of the source; the source's own splits
 * are opened where the state has them and held there: they give nothing, but hold the watermark as in any start. Each letter's record goes
 * through the same decoder, operators and sinks. The position in the part goes into the manifest with the epoch that makes the rows
 * visible, which is all that exactly once takes: a killed replay goes on, a second one begins behind the first.
 *
 * What stays as it is:
 *   - a replay never moves the watermark: a letter is late only for windows whose results are out, windows that it opens stay
 *     open for the next run
 *   - a record that fails again is a new letter behind the end that the parts had when the replay began, and is not read by it
 *   - sinks all take part in every epoch, so that they always stand at the same letter; where a killed run left them at different places
 *     of the source's own splits, the replay is refused: only a run can bring them together again
 *
 * Ownership: the command makes it and destroys it after the run. Threads: per function. One per process.
 * Invariants:
 *   (1) all parts' ends are known before any row is given, and after the error sinks have settled what a crash left
 *   (2) parts are opened before the held splits, those before any row: nothing is emitted that a letter could still have been in
 *   (3) when done, every letter before the ends was given, skipped by name (another source's, --error) or counted as impossible
 */
#ifndef WR_RUN_REPLAY_H
#define WR_RUN_REPLAY_H

#include "batch/records.h"
#include "run/pipeline.h"

struct wr_replay;

struct wr_replay_options {
    const char *source; /* NULL: all */
    const char *error;  /* text in the letter's error; NULL: all */
    bool from_start;    /* parts that are not those that were replayed before: from their beginning */
};

struct wr_replay *wr_replay_create(const struct wr_replay_options *options);
void wr_replay_destroy(struct wr_replay *replay);

/* Puts the replay in the place of the pipeline's connectors. @thread control */
void wr_replay_attach(struct wr_replay *replay, struct wr_pipeline *pipeline);
/* After wr_cadence_settle. @thread control */
void wr_replay_settle_cadence(struct wr_pipeline *pipeline);
/* The state is claimed: can a replay begin there? @thread control */
WR_NODISCARD wr_status wr_replay_accept(struct wr_replay *replay, struct wr_error *err);
/* A run: what was replayed stays in the state and is no source's to read. @thread control */
void wr_replay_set_aside(struct wr_recovery *recovery);
/* All letters have been given. @thread control */
bool wr_replay_done(const struct wr_replay *replay);
/* What became of them, to standard error. @thread control */
void wr_replay_report(const struct wr_replay *replay, const struct wr_pipeline *pipeline, bool ok);

/* Where a replayed record was read first. */
struct wr_replay_origin {
    const char *split;
    const char *topic; /* lives as long as the source; NULL: none */
    int32_t partition; /* -1: none */
    int64_t position;
    const bool *failing; /* per sink of the plan: those that have not had it; NULL: none has */
};
/* Of records that a replay's reader gave: split, topic, partition and failing are the same for all of them. @thread worker */
void wr_replay_origin_of(const struct wr_records *records, uint32_t index,
                         struct wr_replay_origin *origin);

#endif
