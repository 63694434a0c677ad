/* sim_source.c: connector 'sim': the splits of the simulated broker, read in runs of random length.
 *
 * A split is found once its time has come (also while the pipeline runs), gives what has been produced by now, is quiet in the
 * log's pauses and wakes after them. Everything is single-threaded: the pipeline is stepped.
 */
#include "sim_connectors.h"

#include "base/heap.h"
#include "sim_check.h"
#include "sim_world.h"
#include "source/source_gate.h"
#include <stdlib.h>
#include <string.h>

struct reader_split {
    uint32_t split;
    uint32_t next;
    uint32_t told; /* next at the last CAUGHT_UP; UINT32_MAX: never */
    bool opened;
    bool ended;
};

struct wr_source {
    struct wr_source_env env;
    struct wr_open_gate gate;
    uint32_t found; /* splits 0..found-1 are known */
    int64_t end_ns; /* bounded: what had been produced then */
};

struct wr_reader {
    struct wr_source *source;
    uint32_t worker;
    struct reader_split splits[SIM_SPLITS_MAX];
    uint32_t count;
    uint32_t unconfirmed;
    int64_t deadline_ns;
};

static const struct wr_option sim_options[] = { { .name = NULL } };

/* Splits are found in the order of their numbers: the scenario lets them be born so. */
static void discover(struct wr_source *source, int64_t now_ns)
{
    uint32_t found = source->found;
    while (found < sim->scenario.split_count && sim->splits[found].born_ns <= now_ns) {
        found++;
    }
    if (found > source->found) {
        wr_open_gate_announce(&source->gate, found - source->found);
        source->found = found;
    }
}

static wr_status sim_open(struct wr_source **out, const struct wr_source_env *env, struct wr_error *err)
{
    struct wr_source *source = wr_calloc(1, sizeof *source);
    source->env = *env;
    source->end_ns = env->bounded ? sim->now_ns : INT64_MAX;
    wr_open_gate_init(&source->gate, env);
    discover(source, sim->now_ns);
    for (uint32_t i = 0; i < env->start_count; i++) {
        sim_trace("source: %s goes on at %lld", env->starts[i].name,
                  (long long)env->starts[i].next_position);
    }
    *out = source;
    return WR_OK;
}

static wr_status sim_reader_open(struct wr_reader **out, struct wr_source *source, uint32_t worker,
                                 struct wr_io *io, struct wr_error *err)
{
    struct wr_reader *reader = wr_calloc(1, sizeof *reader);
    reader->source = source;
    reader->worker = worker;
    *out = reader;
    return WR_OK;
}

static uint32_t start_of(const struct wr_source *source, uint32_t split)
{
    for (uint32_t i = 0; i < source->env.start_count; i++) {
        if (strcmp(source->env.starts[i].name, sim->splits[split].name) == 0) {
            int64_t position = source->env.starts[i].next_position;
            if (sim_bug(SIM_BUG_SEEK_AHEAD) && position > 0) {
                position++;
            } else if (sim_bug(SIM_BUG_SEEK_BEHIND) && position > 0) {
                position--;
            }
            return (uint32_t)position;
        }
    }
    return 0;
}

static void adopt(struct wr_reader *reader)
{
    for (uint32_t s = reader->worker; s < reader->source->found; s += reader->source->env.workers) {
        if (s / reader->source->env.workers >= reader->count) {
            reader->splits[reader->count++] =
                (struct reader_split){ .split = s, .told = UINT32_MAX };
        }
    }
}

static bool open_one(struct wr_reader *reader, struct wr_poll *out)
{
    wr_open_gate_confirm(&reader->source->gate, reader->unconfirmed);
    reader->unconfirmed = 0;
    adopt(reader);
    for (uint32_t i = 0; i < reader->count; i++) {
        struct reader_split *s = &reader->splits[i];
        if (!s->opened) {
            s->opened = true;
            s->next = start_of(reader->source, s->split);
            out->kind = WR_POLL_SPLIT_OPENED;
            out->split = s->split;
            out->split_name = sim->splits[s->split].name;
            out->partition = (int32_t)s->split;
            out->next_position = s->next;
            reader->unconfirmed = 1;
            return true;
        }
    }
    return false;
}

static void release(struct wr_records *records)
{
    free(records);
}

static void give_rows(struct wr_reader *reader, struct reader_split *s, uint32_t rows,
                      struct wr_poll *out)
{
    struct wr_records *records =
        wr_calloc(1, sizeof *records + rows * (sizeof(struct wr_record) + 192));
    records->items = (struct wr_record *)(records + 1);
    char *text = (char *)(records->items + rows);
    records->count = rows;
    records->refs = 1;
    records->split = s->split;
    records->release = release;
    records->owner = reader;
    for (uint32_t i = 0; i < rows; i++, text += 192) {
        const struct sim_event *event = &sim->splits[s->split].events[s->next + i];
        const uint32_t bytes = sim_payload(event, text);
        records->items[i] =
            (struct wr_record){ .data = text,
                                .bytes = bytes,
                                .position = s->next + i,
                                .timestamp_us = SIM_EPOCH_WALL_US + event->produced_ns / 1000 };
        records->payload_bytes += bytes;
    }
    s->next += rows;
    sim_trace("source: %s gives %u rows, next %u", sim->splits[s->split].name, rows, s->next);
    out->kind = WR_POLL_ROWS;
    out->split = s->split;
    out->records = records;
    out->next_position = s->next;
}

static bool poll_split(struct wr_reader *reader, struct reader_split *s, int64_t now_ns,
                       struct wr_poll *out)
{
    const struct wr_source *source = reader->source;
    const bool bounded = source->env.bounded;
    const struct sim_split *split = &sim->splits[s->split];
    const uint32_t produced = sim_produced(split, bounded ? source->end_ns : now_ns);
    if (s->ended) {
        return false;
    }
    if (s->next < produced) {
        const uint32_t most = produced - s->next < source->env.batch_rows ? produced - s->next
                                                                          : source->env.batch_rows;
        give_rows(reader, s, 1 + (uint32_t)sim_below(most), out);
        return true;
    }
    out->split = s->split;
    if (bounded) {
        s->ended = true;
        out->kind = WR_POLL_SPLIT_ENDED;
        return true;
    }
    if (s->told != s->next) {
        s->told = s->next;
        out->kind = WR_POLL_SPLIT_CAUGHT_UP;
        return true;
    }
    if (s->next < split->count && split->events[s->next].produced_ns < reader->deadline_ns) {
        reader->deadline_ns = split->events[s->next].produced_ns;
    }
    return false;
}

static wr_status sim_poll(struct wr_reader *reader, struct wr_time now, struct wr_batch *batch,
                          struct wr_poll *out, struct wr_error *err)
{
    reader->deadline_ns = INT64_MAX;
    if (open_one(reader, out)) {
        return WR_OK;
    }
    if (!wr_open_gate_is_open(&reader->source->gate)) {
        return WR_OK;
    }
    if (sim_chance(150)) { /* the broker has nothing just now */
        reader->deadline_ns = now.mono_ns + WR_NS_PER_MS;
        return WR_OK;
    }
    const uint32_t first = reader->count == 0 ? 0 : (uint32_t)sim_below(reader->count);
    bool all_ended = true;
    for (uint32_t i = 0; i < reader->count; i++) {
        struct reader_split *s = &reader->splits[(first + i) % reader->count];
        if (poll_split(reader, s, now.mono_ns, out)) {
            return WR_OK;
        }
        all_ended = all_ended && s->ended;
    }
    if (reader->source->env.bounded && all_ended) {
        out->kind = WR_POLL_FINISHED;
    }
    return WR_OK;
}

static int64_t sim_deadline_ns(const struct wr_reader *reader)
{
    return reader->deadline_ns;
}

static void sim_reader_close(struct wr_reader *reader)
{
    free(reader);
}

static wr_status sim_tick(struct wr_source *source, struct wr_time now, struct wr_error *err)
{
    if (!source->env.bounded) {
        discover(source, now.mono_ns);
    }
    return WR_OK;
}

/* What is told to the outside must be committed: group offsets are where a run without state would go on. */
static wr_status sim_commit(struct wr_source *source, const struct wr_split_position *positions,
                            uint32_t count, struct wr_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        sim_check_position(positions[i].split, positions[i].next_position);
    }
    return WR_OK;
}

static void sim_close(struct wr_source *source)
{
    if (source != NULL) {
        wr_open_gate_deinit(&source->gate);
        free(source);
    }
}

const struct wr_source_ops sim_source_ops = {
    .name = "sim",
    .help = "The simulated broker.",
    .options = sim_options,
    .open = sim_open,
    .reader_open = sim_reader_open,
    .poll = sim_poll,
    .deadline_ns = sim_deadline_ns,
    .reader_close = sim_reader_close,
    .tick = sim_tick,
    .commit = sim_commit,
    .close = sim_close,
};
