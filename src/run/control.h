/* control.h: the control role (design.md, section 3): starts epochs, commits them, tells sources how far, looks after signals' wishes.
 *
 * The turn is a function of (state, board, time): the thread's loop is in pipeline.c, a simulation's in stepped.c.
 * An epoch, and what control does in each phase of the board:
 *   IDLE       finishes the epoch before (ledger, source positions), requests the next one when it is due
 *   CUT        stores what changed in keyed state, once all workers have reported, while sinks still prepare
 *   PREPARED   puts the manifest: the commit (design.md, section 4, invariants 1 and 2); without state it only decides
 *   COMMITTED  waits for the sinks to publish
 * What fails with RETRY is tried again at retry_ns; nothing here sleeps.
 * Invariants:
 *   (1) manifest E is put after all that it names is durable: snapshots stored, sinks prepared
 *   (2) nothing is told to sinks or sources before it
 */
#ifndef WR_RUN_CONTROL_H
#define WR_RUN_CONTROL_H

#include "run/commit.h"
#include "run/pipeline.h"
#include "run/policy.h"

struct wr_seat;
struct wr_store;
struct wr_sink_worker;

struct wr_control {
    struct wr_pipeline *p;
    struct wr_seat *seat;   /* NULL: a run without state */
    struct wr_store *store; /* of the state, for snapshots */
    uint64_t epoch;         /* newest requested, or claimed */
    bool epoch_open;
    bool final_done;
    uint64_t rejects_at_final; /* how many rows sinks had refused before the final epoch was asked for */
    bool stop; /* a signal asked for it */
    int64_t next_epoch_ns;
    int64_t retry_ns;
    struct wr_backoff backoff;
    uint64_t changes_at_request; /* of all workers */
    uint64_t opened_at_request;  /* splits, likewise */
    uint64_t changes_in_replay;
    int64_t replay_moved_ns;
    bool replay_given_up;
    uint64_t unsettled;          /* epochs that must follow although nothing changes: some sink still stands before the last change */
    uint64_t *published;         /* scratch: per sink */
    /* the epoch at hand */
    struct wr_epoch_cut taken;          /* only its snapshots */
    bool snapshots_taken;
    struct wr_stored_snapshot *stored;
    uint32_t stored_count;
    uint32_t stored_capacity;
    struct wr_buf object; /* being put: the first of taken */
    /* snapshot objects that no manifest names any more, deleted a few per epoch */
    char **garbage;
    uint32_t garbage_count;
    uint32_t garbage_capacity;
};

void wr_control_init(struct wr_control *control, struct wr_pipeline *pipeline);
void wr_control_deinit(struct wr_control *control);

/* Becomes the owner of the state and fills p->recovery. WR_END: another one owns it still, call again at *next_ns (standby, or its
 * time-out). Without state: WR_OK at once. */
WR_NODISCARD wr_status wr_control_claim(struct wr_control *control, int64_t *next_ns,
                                        struct wr_error *err);
/* After all parts are open: the first epoch may begin. */
void wr_control_begin(struct wr_control *control);
/* One turn; returns the monotonic time of the next one (something earlier wakes the loop). WR_FAIL: the run fails. */
WR_NODISCARD wr_status wr_control_turn(struct wr_control *control, struct wr_time now,
                                       int64_t *next_ns, struct wr_error *err);
/* Gives the state free for whoever comes next. */
void wr_control_release(struct wr_control *control);

#endif
