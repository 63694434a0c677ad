#include "run/watermark_hub.h"

#include "base/clock.h"
#include "base/heap.h"

void wr_hub_init(struct wr_hub *hub, uint32_t sources, uint32_t workers, struct wr_io **loops)
{
    pthread_mutex_init(&hub->lock, NULL);
    hub->sources = wr_calloc(sources + 1, sizeof *hub->sources);
    hub->source_count = sources;
    hub->workers = workers;
    hub->loops = loops;
    for (uint32_t s = 0; s < sources; s++) {
        hub->sources[s].emitted_us = WR_TIME_MIN;
        for (uint32_t w = 0; w < workers; w++) {
            /* Until a worker has looked at its splits for the first time nobody may run ahead of it. */
            hub->sources[s].active[w] = true;
            hub->sources[s].local_us[w] = WR_TIME_MIN;
        }
    }
}

void wr_hub_deinit(struct wr_hub *hub)
{
    if (hub->sources != NULL) {
        pthread_mutex_destroy(&hub->lock);
    }
    free(hub->sources);
    hub->sources = NULL;
}

/* The minimum over active workers; with none, MAX once all have finished, else it stays. Lock held. */
static int64_t minimum(const struct wr_hub *hub, const struct wr_hub_source *source)
{
    int64_t low = WR_TIME_MAX;
    bool any = false;
    bool all_finished = true;
    for (uint32_t w = 0; w < hub->workers; w++) {
        if (source->active[w]) {
            any = true;
            low = source->local_us[w] < low ? source->local_us[w] : low;
        }
        all_finished = all_finished && source->finished[w];
    }
    if (any) {
        return low;
    }
    return all_finished ? WR_TIME_MAX : source->emitted_us;
}

int64_t wr_hub_report(struct wr_hub *hub, uint32_t s, uint32_t worker, bool active, bool finished,
                      int64_t local_us)
{
    struct wr_hub_source *source = &hub->sources[s];
    uint64_t wake = 0;
    pthread_mutex_lock(&hub->lock);
    source->active[worker] = active;
    source->finished[worker] = finished;
    source->local_us[worker] = local_us;
    const int64_t low = minimum(hub, source);
    if (low > source->emitted_us) { /* (1) */
        source->emitted_us = low;
        for (uint32_t w = 0; w < hub->workers; w++) {
            if (w != worker && !source->active[w]) {
                wake |= 1ULL << w;
            }
        }
    }
    const int64_t emitted = source->emitted_us;
    pthread_mutex_unlock(&hub->lock);
    for (uint32_t w = 0; wake != 0; w++, wake >>= 1) {
        if (wake & 1) {
            wr_io_wake(hub->loops[w]);
        }
    }
    return emitted;
}

int64_t wr_hub_activate(struct wr_hub *hub, uint32_t s, uint32_t worker)
{
    struct wr_hub_source *source = &hub->sources[s];
    pthread_mutex_lock(&hub->lock);
    const int64_t floor = source->emitted_us;
    if (!source->active[worker] || source->local_us[worker] > floor) {
        source->local_us[worker] = floor; /* (2) holds the world until this worker reports again */
    }
    source->active[worker] = true;
    pthread_mutex_unlock(&hub->lock);
    return floor;
}

int64_t wr_hub_emitted(struct wr_hub *hub, uint32_t s)
{
    pthread_mutex_lock(&hub->lock);
    const int64_t emitted = hub->sources[s].emitted_us;
    pthread_mutex_unlock(&hub->lock);
    return emitted;
}
