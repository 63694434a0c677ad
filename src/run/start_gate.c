#include "run/start_gate.h"

void wr_gate_init(struct wr_start_gate *gate, uint32_t parties)
{
    *gate = (struct wr_start_gate){ .parties = parties, .failed_at = WR_STAGE_COUNT_ };
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->moved, NULL);
}

void wr_gate_deinit(struct wr_start_gate *gate)
{
    pthread_cond_destroy(&gate->moved);
    pthread_mutex_destroy(&gate->lock);
}

bool wr_gate_pass(struct wr_start_gate *gate, enum wr_gate_stage stage, wr_status status,
                  const struct wr_error *err)
{
    pthread_mutex_lock(&gate->lock);
    if (status != WR_OK && gate->failed_at == WR_STAGE_COUNT_) {
        gate->failed_at = stage;
        gate->failure = *err;
    }
    if (++gate->arrived[stage] == gate->parties) {
        pthread_cond_broadcast(&gate->moved);
    }
    while (gate->arrived[stage] < gate->parties) {
        pthread_cond_wait(&gate->moved, &gate->lock);
    }
    const bool go = gate->failed_at > stage;
    pthread_mutex_unlock(&gate->lock);
    return go;
}

void wr_end_gate_init(struct wr_end_gate *gate, uint32_t parties)
{
    pthread_barrier_init(&gate->barrier, NULL, parties);
}

void wr_end_gate_deinit(struct wr_end_gate *gate)
{
    pthread_barrier_destroy(&gate->barrier);
}

void wr_gate_wait(struct wr_end_gate *gate)
{
    pthread_barrier_wait(&gate->barrier);
}
