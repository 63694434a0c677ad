/* sim_reference.c: what the design says the sinks hold, computed from the log in the plainest way: split by split, row by row.
 *
 * The only thing taken from the history are the floors with which splits became active: they depend on timing, and the
 * manifests tell them. */
#include "sim_scenario.h"

#include "base/heap.h"
#include <string.h>

#define MAX_AHEAD_US (INT64_C(86400) * WR_US_PER_S)

/* A row in a group, before groups are formed. */
struct member {
    int64_t start_us; /* of its window; SESSION: its own time */
    int64_t key;
    int64_t value;
    int64_t id;
};

struct members {
    struct member *items;
    uint32_t count;
    uint32_t capacity;
};

static void expect(struct sim_expected *expected, const struct sim_row *row)
{
    if (expected->count == expected->capacity) {
        expected->capacity = expected->capacity * 2 + 64;
        expected->rows = wr_realloc(expected->rows, expected->capacity * sizeof *expected->rows);
    }
    expected->rows[expected->count++] = *row;
}

static void join(struct members *members, const struct member *member)
{
    if (members->count == members->capacity) {
        members->capacity = members->capacity * 2 + 64;
        members->items = wr_realloc(members->items, members->capacity * sizeof *members->items);
    }
    members->items[members->count++] = *member;
}

static int64_t floor_to(int64_t time, int64_t step)
{
    const int64_t rest = time % step;
    return time - (rest < 0 ? rest + step : rest);
}

enum fate { LATE, PARTLY, COUNTED };

/* Puts a row into the windows that are open to it. */
static enum fate place(const struct sim_sink *sink, struct members *members, struct member member,
                       int64_t ts, int64_t watermark)
{
    const int64_t lateness = sim->scenario.lateness_us;
    if (sink->window == SIM_SESSION) {
        if (watermark != INT64_MIN && ts + lateness < watermark) {
            return LATE;
        }
        member.start_us = ts;
        join(members, &member);
        return COUNTED;
    }
    uint32_t in = 0;
    uint32_t out = 0;
    for (int64_t start = floor_to(ts, sink->slide_us); start > ts - sink->size_us;
         start -= sink->slide_us) {
        if (watermark != INT64_MIN && start + sink->size_us + lateness <= watermark) {
            out++;
            continue;
        }
        member.start_us = start;
        join(members, &member);
        in++;
    }
    return in == 0 ? LATE : out > 0 ? PARTLY : COUNTED;
}

static int64_t key_of(const struct sim_event *event)
{
    char text[40];
    if (!sim->scenario.text_keys) {
        return event->key;
    }
    return sim_hash_text(text, (size_t)sim_key_text(event->key, text));
}

static void dead_letter(struct sim_expected *bad, uint32_t split, uint32_t position)
{
    const char *name = sim->splits[split].name;
    const struct sim_row row = { { sim_hash_text(name, strlen(name)), position } };
    expect(bad, &row);
}

struct reference {
    struct sim_expected *expected;
    struct sim_expected *late;
    struct sim_expected *bad;
    struct members members[SIM_SINKS_MAX];
};

static void take_window(struct reference *r, uint32_t k, uint32_t split, uint32_t position,
                        int64_t watermark)
{
    const struct sim_event *event = &sim->splits[split].events[position];
    const struct sim_sink *sink = &sim->scenario.sinks[k];
    struct sim_expected *expected = &r->expected[k];
    const int64_t id = event->id;
    if (event->kind == SIM_NO_TIME) {
        dead_letter(r->bad, split, position);
        expected->dead++;
        return;
    }
    const struct member member = { 0, key_of(event), event->value, id };
    switch (place(sink, &r->members[k], member, event->ts_us, watermark)) {
    case LATE: {
        const struct sim_row row = { { id, sim_hash_text(sink->name, strlen(sink->name)) } };
        expect(r->late, &row);
        expected->late++;
        return;
    }
    case PARTLY: expected->partly_late++; break;
    case COUNTED: break;
    }
    expected->passed++;
}

static void take_plain(struct reference *r, uint32_t k, uint32_t split, uint32_t position)
{
    const struct sim_event *event = &sim->splits[split].events[position];
    struct sim_expected *expected = &r->expected[k];
    if (sim->scenario.sinks[k].filtered && event->value % 5 == 0) {
        expected->filtered++;
        return;
    }
    const struct sim_row row = { { event->id, key_of(event), event->value,
                                   event->kind == SIM_NO_TIME ? SIM_NULL : event->ts_us } };
    expect(expected, &row);
    expected->passed++;
}

static void take_event(struct reference *r, uint32_t split, uint32_t position, int64_t watermark)
{
    const struct sim_event *event = &sim->splits[split].events[position];
    const bool bad = event->kind == SIM_MALFORMED || event->kind == SIM_AHEAD;
    if (bad) {
        dead_letter(r->bad, split, position);
    }
    for (uint32_t k = 0; k < sim->scenario.sink_count; k++) {
        const struct sim_sink *sink = &sim->scenario.sinks[k];
        if (sink->feed != SIM_FEED_ROWS && sink->feed != SIM_FEED_WINDOW) {
            continue;
        }
        r->expected[k].read++;
        if (bad) {
            r->expected[k].dead++;
        } else if (event->copy) {
            r->expected[k].filtered++;
        } else if (sink->feed == SIM_FEED_ROWS) {
            take_plain(r, k, split, position);
        } else {
            take_window(r, k, split, position, watermark);
        }
    }
}

static int64_t floor_at(uint32_t split, uint32_t position, int64_t watermark)
{
    for (uint32_t i = 0; i < sim->activation_count; i++) {
        const struct sim_activation *a = &sim->activations[i];
        if (a->committed && a->split == split && a->position == position && a->floor_us > watermark) {
            watermark = a->floor_us;
        }
    }
    return watermark;
}

static void read_split(struct reference *r, uint32_t split)
{
    int64_t watermark = INT64_MIN;
    for (uint32_t i = 0; i < sim->splits[split].count; i++) {
        const struct sim_event *event = &sim->splits[split].events[i];
        watermark = floor_at(split, i, watermark);
        take_event(r, split, i, watermark);
        if (event->kind == SIM_ROW && event->ts_us - sim->scenario.delay_us > watermark) {
            watermark = event->ts_us - sim->scenario.delay_us;
        }
    }
}

static int by_group(const void *a, const void *b)
{
    const struct member *x = a;
    const struct member *y = b;
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    return x->start_us < y->start_us ? -1 : x->start_us > y->start_us;
}

static void form_groups(struct sim_expected *expected, const struct sim_sink *sink,
                        struct members *members)
{
    if (members->count > 0) {
        qsort(members->items, members->count, sizeof *members->items, by_group);
    }
    for (uint32_t i = 0; i < members->count;) {
        const struct member *first = &members->items[i];
        int64_t last_us = first->start_us;
        struct sim_row row = { { first->start_us, 0, first->key, 0, 0, first->id, first->id } };
        for (; i < members->count; i++) {
            const struct member *m = &members->items[i];
            const bool same = sink->window == SIM_SESSION ? m->start_us - last_us < sink->size_us
                                                          : m->start_us == last_us;
            if (m->key != first->key || (m != first && !same)) {
                break;
            }
            last_us = m->start_us;
            row.column[3]++;
            row.column[4] += m->value;
            row.column[5] = m->id < row.column[5] ? m->id : row.column[5];
            row.column[6] = m->id > row.column[6] ? m->id : row.column[6];
        }
        row.column[1] = last_us + sink->size_us;
        expect(expected, &row);
    }
    free(members->items);
}

static int by_window(const void *a, const void *b)
{
    const struct sim_row *x = a;
    const struct sim_row *y = b;
    return x->column[0] < y->column[0] ? -1 : x->column[0] > y->column[0];
}

/* The groups of one window become one row. */
static void fold_windows(struct sim_expected *expected)
{
    uint32_t kept = 0;
    if (expected->count > 0) {
        qsort(expected->rows, expected->count, sizeof *expected->rows, by_window);
    }
    for (uint32_t i = 0; i < expected->count; i++) {
        const struct sim_row *row = &expected->rows[i];
        struct sim_row *into = kept > 0 ? &expected->rows[kept - 1] : NULL;
        if (into == NULL || into->column[0] != row->column[0]) {
            into = &expected->rows[kept++];
            *into = *row;
            into->column[2] = 1;
            continue;
        }
        into->column[2]++;
        into->column[3] += row->column[3];
        into->column[4] += row->column[4];
        into->column[5] = row->column[5] < into->column[5] ? row->column[5] : into->column[5];
        into->column[6] = row->column[6] > into->column[6] ? row->column[6] : into->column[6];
    }
    expected->count = kept;
}

void sim_reference(struct sim_expected expected[SIM_SINKS_MAX])
{
    struct reference r = { .expected = expected };
    for (uint32_t k = 0; k < sim->scenario.sink_count; k++) {
        if (sim->scenario.sinks[k].feed == SIM_FEED_LATE) {
            r.late = &expected[k];
        } else if (sim->scenario.sinks[k].feed == SIM_FEED_BAD) {
            r.bad = &expected[k];
        }
    }
    for (uint32_t s = 0; s < sim->scenario.split_count; s++) {
        read_split(&r, s);
    }
    for (uint32_t k = 0; k < sim->scenario.sink_count; k++) {
        if (sim->scenario.sinks[k].feed == SIM_FEED_WINDOW) {
            form_groups(&expected[k], &sim->scenario.sinks[k], &r.members[k]);
            if (sim->scenario.sinks[k].nested) {
                fold_windows(&expected[k]);
            }
        }
    }
}
