/* epoch_board.h: where control and the other threads meet for an epoch.
 *
 * Control asks for epoch E (requested, workers woken). Each worker cuts its input, flushes, and when the barrier has
 * passed its last exchange sends it to the sink workers and posts its report: positions, ledger and changes of keyed state as of the
 * cut. Each sink worker, with the barrier of all workers, prepares its writers and posts that. Then control commits E (writes
 * the manifest) and asks for publication; sink workers publish and post.
 *
 * State of an epoch, and who moves it:
 *   IDLE -> CUT            wr_epoch_request      control
 *   CUT -> PREPARED        wr_epoch_prepared     the last sink worker (after all workers reported)
 *   PREPARED -> COMMITTED  wr_epoch_commit       control, once the manifest is put
 *   COMMITTED -> IDLE      wr_epoch_published    the last sink worker
 * Threads: one mutex; every function takes it. Invariants (design.md, section 4): 3 and 5 are kept here.
 */
#ifndef WR_RUN_EPOCH_BOARD_H
#define WR_RUN_EPOCH_BOARD_H

#include "base/status.h"
#include "io/loop.h"
#include "run/epoch_cut.h"
#include "weir/source.h"
#include <pthread.h>
#include <stdatomic.h>

enum wr_epoch_phase { WR_EPOCH_IDLE, WR_EPOCH_CUT, WR_EPOCH_PREPARED, WR_EPOCH_COMMITTED };

struct wr_epoch_board {
    pthread_mutex_t lock;
    struct wr_io *control;
    uint32_t workers;
    uint32_t sink_workers;
    _Atomic uint64_t requested;        /* newest epoch asked for; read by workers each turn */
    atomic_bool requested_final;
    _Atomic uint64_t publish_through;  /* newest committed epoch; read by sink workers */
    /* under lock */
    enum wr_epoch_phase phase;
    struct wr_epoch_cut cut;
    uint32_t workers_reported;
    uint32_t workers_finished; /* sources ended, windows closed, nothing pending */
    uint32_t sinks_prepared;
    uint32_t sinks_published;
    bool failed;
    struct wr_error failure;
};

void wr_epoch_board_init(struct wr_epoch_board *board, uint32_t workers, uint32_t sink_workers,
                         struct wr_io *control);
void wr_epoch_board_deinit(struct wr_epoch_board *board);

/* @thread control */
void wr_epoch_request(struct wr_epoch_board *board, uint64_t epoch, bool final);
/* Adds what this worker saw; its snapshots move. @thread worker */
void wr_epoch_report(struct wr_epoch_board *board, struct wr_epoch_cut *part);
/* All workers have reported the epoch that is being cut: their snapshots move to the caller (once: count 0 afterwards), who can store them
 * while sinks prepare. @thread control */
bool wr_epoch_take_snapshots(struct wr_epoch_board *board, struct wr_epoch_cut *into);
/* This worker's sources have ended and all it had has left it (told once). @thread worker */
void wr_epoch_worker_finished(struct wr_epoch_board *board);
/* @thread sink worker */
void wr_epoch_prepared(struct wr_epoch_board *board);
void wr_epoch_published(struct wr_epoch_board *board);
/* PREPARED -> COMMITTED: sink workers may publish. @thread control */
void wr_epoch_commit(struct wr_epoch_board *board);
/* The cut of the epoch, from PREPARED until it is taken. @thread control */
const struct wr_epoch_cut *wr_epoch_cut_of(struct wr_epoch_board *board);
/* Takes the cut of the epoch that has just been published (board forgets it). @thread control */
void wr_epoch_take_cut(struct wr_epoch_board *board, struct wr_epoch_cut *cut);

enum wr_epoch_phase wr_epoch_phase_now(struct wr_epoch_board *board);
bool wr_epoch_all_finished(struct wr_epoch_board *board);

/* The first failure of any thread ends the run; later ones are logged only. @thread any */
void wr_epoch_fail(struct wr_epoch_board *board, const struct wr_error *err);
bool wr_epoch_failed(struct wr_epoch_board *board, struct wr_error *err);

#endif
