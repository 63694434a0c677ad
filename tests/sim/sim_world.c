/* sim_world.c: see sim_world.h. */
#include "sim_world.h"

#include "batch/text.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define OBJECTS_MAX 16384u
#define UPLOADS_MAX 16384u
#define ACTIVATIONS_MAX 16384u

struct sim_world *sim;
bool sim_starting;

void sim_world_create(size_t bytes)
{
    char *memory = mmap(NULL, bytes + sizeof *sim, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    sim = (struct sim_world *)memory;
    sim->arena = memory + sizeof *sim;
    sim->arena_bytes = bytes;
}

void sim_world_reset(uint64_t seed)
{
    char *arena = sim->arena;
    const size_t bytes = sim->arena_bytes;
    const bool trace = sim->trace;
    const uint32_t bug = sim->bug;
    memset(sim, 0, sizeof *sim);
    sim->arena = arena;
    sim->arena_bytes = bytes;
    sim->trace = trace;
    sim->bug = bug;
    sim->seed = seed;
    sim->now_ns = WR_NS_PER_S;
    wr_rand_seed(&sim->rand, seed);
    sim->objects = sim_alloc(OBJECTS_MAX * sizeof *sim->objects);
    sim->uploads = sim_alloc(UPLOADS_MAX * sizeof *sim->uploads);
    sim->activations = sim_alloc(ACTIVATIONS_MAX * sizeof *sim->activations);
}

void *sim_alloc(size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    if (sim->arena_used + bytes > sim->arena_bytes) {
        fprintf(stderr, "weir-sim: seed %llu: the world is full\n", (unsigned long long)sim->seed);
        _exit(2);
    }
    void *memory = sim->arena + sim->arena_used;
    sim->arena_used += bytes;
    return memset(memory, 0, bytes);
}

char *sim_strndup(const char *text, size_t bytes)
{
    char *copy = sim_alloc(bytes + 1);
    memcpy(copy, text, bytes);
    return copy;
}

uint32_t sim_log_uniform(uint32_t low, uint32_t high)
{
    uint32_t span = 1;
    while (low << span < high && span < 20) {
        span++;
    }
    const uint64_t top = (uint64_t)low << (1 + sim_below(span));
    return low + (uint32_t)sim_below(top < high ? top : high);
}

struct wr_time sim_now(void *unused)
{
    return (struct wr_time){ .wall_us = SIM_EPOCH_WALL_US + sim->now_ns / 1000,
                             .mono_ns = sim->now_ns };
}

void sim_trace(const char *fmt, ...)
{
    if (!sim->trace) {
        return;
    }
    char line[1024];
    int used = snprintf(line, sizeof line, "%10.3f ms  run %u  ",
                        (double)sim->now_ns / 1e6, sim->run_now);
    va_list args;
    va_start(args, fmt);
    const int more = vsnprintf(line + used, sizeof line - (size_t)used - 1, fmt, args);
    va_end(args);
    used += more;
    used = used > (int)sizeof line - 2 ? (int)sizeof line - 2 : used;
    line[used++] = '\n';
    (void)!write(STDOUT_FILENO, line, (size_t)used); /* one write: nothing is lost by a crash */
}

void sim_violation(const char *fmt, ...)
{
    if (sim->violation[0] == '\0') {
        va_list args;
        va_start(args, fmt);
        vsnprintf(sim->violation, sizeof sim->violation, fmt, args);
        va_end(args);
        sim_trace("VIOLATION: %s", sim->violation);
    }
    if (!sim->calm) {
        _exit(SIM_EXIT_VIOLATION);
    }
}

void sim_point(enum sim_point kind, const char *name)
{
    if (sim->calm) {
        return;
    }
    const uint32_t me = sim->run_now;
    struct sim_run *run = &sim->runs[me];
    const uint32_t seen = ++run->seen[kind];
    if (run->crash_after != 0 && run->crash_kind == kind && seen == run->crash_after) {
        sim_trace("CRASH at %s", name);
        _exit(SIM_EXIT_CRASH);
    }
    if (run->freeze_after != 0 && run->freeze_kind == kind && seen == run->freeze_after) {
        sim_trace("FREEZES at %s", name);
        run->frozen = true;
        sim->asleep++;
        raise(SIGSTOP); /* the parent runs others, then wakes this one */
        sim->asleep--;
        sim->run_now = me;
        sim_trace("WAKES at %s", name);
    }
}

void sim_point_now(const char *name)
{
    sim_trace("CRASH at %s", name);
    _exit(SIM_EXIT_CRASH);
}

int64_t sim_hash_text(const char *data, size_t bytes)
{
    uint64_t hash = 1469598103934665603ULL; /* FNV-1a */
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ (uint8_t)data[i]) * 1099511628211ULL;
    }
    return (int64_t)(hash >> 1);
}

int sim_key_text(int32_t key, char into[40])
{
    /* Short ones lie inside a view, long ones do not. */
    return key % 2 == 0 ? snprintf(into, 40, "k%d", key)
                        : snprintf(into, 40, "a key that is long, number %d", key);
}

uint32_t sim_payload(const struct sim_event *event, char into[192])
{
    const long long id = (long long)event->id;
    char key[48];
    char text[40];
    char time[40];
    if (event->kind == SIM_MALFORMED) {
        return (uint32_t)snprintf(into, 192, "{\"id\": %lld, \"v\": oops", id);
    }
    if (sim->scenario.text_keys) {
        sim_key_text(event->key, text);
        snprintf(key, sizeof key, "\"%s\"", text);
    } else {
        snprintf(key, sizeof key, "%d", event->key);
    }
    if (event->kind == SIM_NO_TIME) {
        return (uint32_t)snprintf(into, 192, "{\"id\":%lld,\"k\":%s,\"v\":%lld,\"ts\":null}", id,
                                  key, (long long)event->value);
    }
    *wr_text_timestamp(time, event->ts_us) = '\0';
    return (uint32_t)snprintf(into, 192, "{\"id\":%lld,\"k\":%s,\"v\":%lld,\"ts\":\"%s\"}", id, key,
                              (long long)event->value, time);
}

uint32_t sim_produced(const struct sim_split *split, int64_t now_ns)
{
    uint32_t low = 0;
    uint32_t high = split->count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (split->events[middle].produced_ns <= now_ns) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* ---- objects ---- */

uint32_t sim_object_lower(const char *key)
{
    uint32_t low = 0;
    uint32_t high = sim->object_count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (strcmp(sim->objects[middle].key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct sim_object *sim_object_find(const char *key)
{
    const uint32_t at = sim_object_lower(key);
    return at < sim->object_count && strcmp(sim->objects[at].key, key) == 0 ? &sim->objects[at]
                                                                            : NULL;
}

void sim_object_put(const char *key, const void *data, size_t bytes)
{
    const uint32_t at = sim_object_lower(key);
    if (at == sim->object_count || strcmp(sim->objects[at].key, key) != 0) {
        if (sim->object_count == OBJECTS_MAX) {
            fprintf(stderr, "weir-sim: too many objects\n");
            _exit(2);
        }
        memmove(&sim->objects[at + 1], &sim->objects[at],
                (sim->object_count - at) * sizeof *sim->objects);
        sim->object_count++;
        sim->objects[at].key = sim_strndup(key, strlen(key));
    }
    sim->objects[at].data = sim_strndup(data, bytes);
    sim->objects[at].bytes = bytes;
}

void sim_object_delete(const char *key)
{
    struct sim_object *object = sim_object_find(key);
    if (object != NULL) {
        const size_t at = (size_t)(object - sim->objects);
        memmove(object, object + 1, (sim->object_count - at - 1) * sizeof *object);
        sim->object_count--;
    }
}

/* ---- tables ---- */

uint32_t sim_sink_index(const char *name)
{
    for (uint32_t k = 0; k < sim->scenario.sink_count; k++) {
        if (strcmp(sim->scenario.sinks[k].name, name) == 0) {
            return k;
        }
    }
    return UINT32_MAX;
}

void sim_table_add(struct sim_table *table, const struct sim_row *row)
{
    if (table->count == table->capacity) {
        const uint32_t capacity = table->capacity * 2 + 256;
        struct sim_row *rows = sim_alloc(capacity * sizeof *rows);
        if (table->count > 0) {
            memcpy(rows, table->rows, table->count * sizeof *rows);
        }
        table->rows = rows;
        table->capacity = capacity;
    }
    table->rows[table->count++] = *row;
}
