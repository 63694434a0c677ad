/* mqtt_inflight.c: see mqtt_inflight.h. */
#include "source/mqtt_inflight.h"

#include "base/assert.h"
#include "base/heap.h"
#include <string.h>

#define IDS 65536u

void wr_mqtt_inflight_init(struct wr_mqtt_inflight *f)
{
    *f = (struct wr_mqtt_inflight){ 0 };
    f->entries = wr_calloc(IDS, sizeof *f->entries);
    f->order = wr_calloc(IDS, sizeof *f->order);
    f->positions = wr_calloc(IDS, sizeof *f->positions);
}

void wr_mqtt_inflight_deinit(struct wr_mqtt_inflight *f)
{
    free(f->entries);
    free(f->order);
    free(f->positions);
    *f = (struct wr_mqtt_inflight){ 0 };
}

void wr_mqtt_inflight_connected(struct wr_mqtt_inflight *f, bool session_present)
{
    f->connection++;
    if (!session_present) {
        memset(f->entries, 0, IDS * sizeof *f->entries);
        f->first = f->end;
        f->open = 0;
    }
}

static bool waits(const struct wr_mqtt_inflight *f, uint64_t at)
{
    const struct wr_mqtt_entry *entry = &f->entries[f->order[at % IDS]];
    return entry->open && !entry->committed && entry->position == f->positions[at % IDS];
}

enum wr_mqtt_arrival wr_mqtt_inflight_arrived(struct wr_mqtt_inflight *f, uint16_t id, uint64_t hash,
                                              uint8_t qos, bool dup, int64_t position)
{
    struct wr_mqtt_entry *entry = &f->entries[id];
    if (entry->open && dup && entry->hash == hash) { /* (2) */
        entry->connection = f->connection;
        if (entry->committed) {
            entry->open = false;
            f->open--;
            return WR_MQTT_ARRIVED_SETTLED;
        }
        return WR_MQTT_ARRIVED_AGAIN;
    }
    f->open += !entry->open;
    *entry = (struct wr_mqtt_entry){
        .hash = hash, .position = position, .connection = f->connection, .qos = qos, .open = true
    };
    while (f->first < f->end && !waits(f, f->first)) {
        f->first++; /* replaced entries of a broker that lost its memory: at most one a slot stays */
    }
    if (f->end - f->first == IDS) { /* replaced ones behind a waiting first */
        uint64_t kept = f->first;
        for (uint64_t i = f->first; i < f->end; i++) {
            if (waits(f, i)) {
                f->order[kept % IDS] = f->order[i % IDS];
                f->positions[kept % IDS] = f->positions[i % IDS];
                kept++;
            }
        }
        f->end = kept;
    }
    wr_assert(f->end - f->first < IDS); /* identifiers are 1 to 65535, each waits once */
    f->order[f->end % IDS] = id;
    f->positions[f->end % IDS] = position;
    f->end++;
    return WR_MQTT_ARRIVED_NEW;
}

bool wr_mqtt_inflight_next(struct wr_mqtt_inflight *f, int64_t committed, uint16_t *id)
{
    while (f->first < f->end) {
        struct wr_mqtt_entry *entry = &f->entries[f->order[f->first % IDS]];
        if (!waits(f, f->first)) {
            f->first++;
            continue;
        }
        if (entry->position >= committed) {
            return false;
        }
        *id = f->order[f->first++ % IDS];
        if (entry->connection == f->connection) {
            entry->open = false;
            f->open--;
            return true;
        }
        entry->committed = true; /* (1) */
    }
    return false;
}
