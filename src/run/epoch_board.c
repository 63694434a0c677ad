#include "run/epoch_board.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"

void wr_epoch_board_init(struct wr_epoch_board *board, uint32_t workers, uint32_t sink_workers,
                         struct wr_io *control)
{
    *board = (struct wr_epoch_board){ .control = control,
                                      .workers = workers,
                                      .sink_workers = sink_workers };
    pthread_mutex_init(&board->lock, NULL);
}

void wr_epoch_board_deinit(struct wr_epoch_board *board)
{
    wr_epoch_cut_deinit(&board->cut);
    if (board->workers > 0) {
        pthread_mutex_destroy(&board->lock);
    }
}

void wr_epoch_request(struct wr_epoch_board *board, uint64_t epoch, bool final)
{
    pthread_mutex_lock(&board->lock);
    wr_assert(board->phase == WR_EPOCH_IDLE);
    wr_epoch_cut_begin(&board->cut, epoch, final);
    board->workers_reported = 0;
    board->sinks_prepared = 0;
    board->sinks_published = 0;
    board->phase = WR_EPOCH_CUT;
    pthread_mutex_unlock(&board->lock);
    atomic_store_explicit(&board->requested_final, final, memory_order_relaxed);
    /* Release pairs with the workers' acquire: they see requested_final of this epoch. */
    atomic_store_explicit(&board->requested, epoch, memory_order_release);
}

void wr_epoch_report(struct wr_epoch_board *board, struct wr_epoch_cut *part)
{
    pthread_mutex_lock(&board->lock);
    wr_assert(board->phase == WR_EPOCH_CUT && part->epoch == board->cut.epoch);
    wr_epoch_cut_merge(&board->cut, part);
    const bool all = ++board->workers_reported == board->workers;
    pthread_mutex_unlock(&board->lock);
    if (all) {
        wr_io_wake(board->control);
    }
}

bool wr_epoch_take_snapshots(struct wr_epoch_board *board, struct wr_epoch_cut *into)
{
    pthread_mutex_lock(&board->lock);
    const bool all = board->phase != WR_EPOCH_IDLE && board->workers_reported == board->workers;
    for (uint32_t i = 0; all && i < board->cut.snapshots.count; i++) {
        wr_epoch_cut_snapshot(into, board->cut.snapshots.items[i].worker,
                              board->cut.snapshots.items[i].writer);
    }
    if (all) {
        board->cut.snapshots.count = 0;
    }
    pthread_mutex_unlock(&board->lock);
    return all;
}

const struct wr_epoch_cut *wr_epoch_cut_of(struct wr_epoch_board *board)
{
    return &board->cut; /* from PREPARED on nobody but control touches it */
}

void wr_epoch_worker_finished(struct wr_epoch_board *board)
{
    pthread_mutex_lock(&board->lock);
    board->workers_finished++;
    pthread_mutex_unlock(&board->lock);
    wr_io_wake(board->control);
}

void wr_epoch_prepared(struct wr_epoch_board *board)
{
    pthread_mutex_lock(&board->lock);
    wr_assert(board->phase == WR_EPOCH_CUT);
    if (++board->sinks_prepared == board->sink_workers) {
        wr_assert(board->workers_reported == board->workers);
        board->phase = WR_EPOCH_PREPARED;
    }
    pthread_mutex_unlock(&board->lock);
    wr_io_wake(board->control);
}

void wr_epoch_commit(struct wr_epoch_board *board)
{
    pthread_mutex_lock(&board->lock);
    wr_assert(board->phase == WR_EPOCH_PREPARED);
    board->phase = WR_EPOCH_COMMITTED;
    const uint64_t epoch = board->cut.epoch;
    pthread_mutex_unlock(&board->lock);
    /* Release pairs with the sink workers' acquire; publication may begin (design.md, section 4, invariant 3). */
    atomic_store_explicit(&board->publish_through, epoch, memory_order_release);
}

void wr_epoch_published(struct wr_epoch_board *board)
{
    pthread_mutex_lock(&board->lock);
    wr_assert(board->phase == WR_EPOCH_COMMITTED);
    if (++board->sinks_published == board->sink_workers) {
        board->phase = WR_EPOCH_IDLE;
    }
    pthread_mutex_unlock(&board->lock);
    wr_io_wake(board->control);
}

void wr_epoch_take_cut(struct wr_epoch_board *board, struct wr_epoch_cut *cut)
{
    pthread_mutex_lock(&board->lock);
    *cut = board->cut;
    board->cut = (struct wr_epoch_cut){ 0 };
    pthread_mutex_unlock(&board->lock);
}

enum wr_epoch_phase wr_epoch_phase_now(struct wr_epoch_board *board)
{
    pthread_mutex_lock(&board->lock);
    const enum wr_epoch_phase phase = board->phase;
    pthread_mutex_unlock(&board->lock);
    return phase;
}

bool wr_epoch_all_finished(struct wr_epoch_board *board)
{
    pthread_mutex_lock(&board->lock);
    const bool finished = board->workers_finished == board->workers;
    pthread_mutex_unlock(&board->lock);
    return finished;
}

void wr_epoch_fail(struct wr_epoch_board *board, const struct wr_error *err)
{
    pthread_mutex_lock(&board->lock);
    const bool first = !board->failed;
    if (first) {
        board->failed = true;
        board->failure = *err;
    }
    pthread_mutex_unlock(&board->lock);
    if (!first) {
        wr_log_error(WR_LOG_DEBUG, "run", err);
    }
    wr_io_wake(board->control);
}

bool wr_epoch_failed(struct wr_epoch_board *board, struct wr_error *err)
{
    pthread_mutex_lock(&board->lock);
    const bool failed = board->failed;
    if (failed && err != NULL) {
        *err = board->failure;
    }
    pthread_mutex_unlock(&board->lock);
    return failed;
}
