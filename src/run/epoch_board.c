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

void wr_epoch_cut_deinit(struct wr_epoch_cut *cut)
{
    free(cut->splits);
    free(cut->ledger);
    *cut = (struct wr_epoch_cut){ 0 };
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
    wr_epoch_cut_deinit(&board->cut);
    board->cut.epoch = epoch;
    board->cut.final = final;
    board->cut.oldest_open_us = WR_TIME_MAX;
    board->workers_reported = 0;
    board->sinks_prepared = 0;
    board->sinks_published = 0;
    board->phase = WR_EPOCH_CUT;
    pthread_mutex_unlock(&board->lock);
    atomic_store_explicit(&board->requested_final, final, memory_order_relaxed);
    /* Release pairs with the workers' acquire: they see requested_final of this epoch. */
    atomic_store_explicit(&board->requested, epoch, memory_order_release);
}

static void reserve(void **items, uint32_t *capacity, uint32_t need, size_t item_bytes)
{
    if (need > *capacity) {
        *capacity = need + need / 2 + 8;
        *items = wr_realloc(*items, *capacity * item_bytes);
    }
}

void wr_epoch_report(struct wr_epoch_board *board, const struct wr_epoch_cut *part)
{
    pthread_mutex_lock(&board->lock);
    struct wr_epoch_cut *cut = &board->cut;
    wr_assert(board->phase == WR_EPOCH_CUT && part->epoch == cut->epoch);
    reserve((void **)&cut->splits, &cut->split_capacity, cut->split_count + part->split_count,
            sizeof *cut->splits);
    reserve((void **)&cut->ledger, &cut->ledger_capacity, cut->ledger_count + part->ledger_count,
            sizeof *cut->ledger);
    if (part->split_count > 0) {
        memcpy(cut->splits + cut->split_count, part->splits,
               part->split_count * sizeof *cut->splits);
    }
    if (part->ledger_count > 0) {
        memcpy(cut->ledger + cut->ledger_count, part->ledger,
               part->ledger_count * sizeof *cut->ledger);
    }
    cut->split_count += part->split_count;
    cut->ledger_count += part->ledger_count;
    if (part->oldest_open_us < cut->oldest_open_us) {
        cut->oldest_open_us = part->oldest_open_us;
    }
    board->workers_reported++;
    pthread_mutex_unlock(&board->lock);
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
