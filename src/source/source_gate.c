/* source_gate.c: see source_gate.h. */
#include "source/source_gate.h"

#include "base/assert.h"

void wr_open_gate_init(struct wr_open_gate *gate, const struct wr_source_env *env)
{
    *gate = (struct wr_open_gate){ .workers = env->workers,
                                   .wake = env->wake,
                                   .wake_ctx = env->wake_ctx };
    pthread_mutex_init(&gate->lock, NULL);
}

void wr_open_gate_deinit(struct wr_open_gate *gate)
{
    pthread_mutex_destroy(&gate->lock);
}

void wr_open_gate_announce(struct wr_open_gate *gate, uint32_t splits)
{
    pthread_mutex_lock(&gate->lock);
    gate->missing += splits;
    pthread_mutex_unlock(&gate->lock);
}

void wr_open_gate_confirm(struct wr_open_gate *gate, uint32_t splits)
{
    if (splits == 0) {
        return;
    }
    pthread_mutex_lock(&gate->lock);
    wr_assert(gate->missing >= splits); /* (1) */
    gate->missing -= splits;
    const bool opened = gate->missing == 0;
    pthread_mutex_unlock(&gate->lock);
    for (uint32_t w = 0; opened && w < gate->workers; w++) {
        gate->wake(gate->wake_ctx, w); /* (2) */
    }
}

bool wr_open_gate_is_open(struct wr_open_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    const bool open = gate->missing == 0;
    pthread_mutex_unlock(&gate->lock);
    return open;
}
