/* generator.c: see generator.h. */
#include "source/generator.h"

#include "base/heap.h"
#include "batch/text.h"
#include <stdio.h>
#include <stdlib.h>

/* A paced reader sleeps at least this long: waking for each row of 100,000 a second would cost
 * more than the rows. */
#define TICK_NS WR_NS_PER_MS

struct wr_generator {
    struct wr_source_env env;
    const struct wr_generator_kind *kind;
    struct wr_open_gate gate;
    uint32_t splits;
    void **states;      /* per split; each is its reader's own once opened */
    char (*names)[24];
    uint64_t *given;        /* rows per split that earlier runs gave */
    int64_t first_start_us; /* wall time, from the notes; INT64_MIN: this is the first start */
    char note[48];          /* once started */
    pthread_mutex_t lock;   /* guards started and the writes of pace and note */
    bool started;
    struct wr_pace pace;
};

static const char note_form[] = "started=%lld";

struct generator_split {
    uint32_t split;
    uint64_t given; /* rows */
    bool ended;
    bool paused;
};

struct wr_reader {
    struct wr_generator *generator;
    struct generator_split *splits;
    uint32_t split_count;
    uint32_t ended;
    uint32_t opened;
    uint32_t unconfirmed;
    uint32_t turn;
    bool started;
    struct wr_pace pace; /* a copy: read without the lock */
    int64_t polled_ns;
    int64_t deadline_ns;
    int64_t times[WR_BATCH_ROWS_MAX];
};

static wr_status parse_start(const struct wr_options *options, int64_t *start_us,
                             struct wr_error *err)
{
    const char *text = wr_options_text(options, "start_time");
    *start_us = 0;
    if (text != NULL && !wr_text_parse_timestamp(wr_slice_of(text), start_us)) {
        (void)wr_fail(err, WR_CLASS_USER, "start_time = '%s' is not a time", text);
        wr_error_hint(err, "write start_time = '2024-01-31T10:00:00Z'");
        return WR_FAIL;
    }
    return WR_OK;
}

wr_status wr_generator_check(const struct wr_plan_source *plan, uint32_t *bad_at,
                             struct wr_error *err)
{
    int64_t start_us;
    *bad_at = wr_options_at(plan->options, "start_time");
    return parse_start(plan->options, &start_us, err);
}

/* Takes up what earlier runs came to. */
static wr_status resume(struct wr_generator *g, struct wr_error *err)
{
    for (uint32_t i = 0; g->env.resumed && i < g->env.start_count; i++) {
        const struct wr_split_start *start = &g->env.starts[i];
        char *end;
        const unsigned long split = strtoul(start->name, &end, 10);
        long long at;
        if (end == start->name || *end != '\0' || split >= g->splits) {
            (void)wr_fail(err, WR_CLASS_USER,
                          "the state knows split %s of this source, which has %u splits now",
                          start->name, g->splits);
            wr_error_hint(err, "set splits as it was: rows are dealt out to splits by their number");
            return WR_FAIL;
        }
        wr_ensure(start->next_position >= 0, err, WR_CLASS_FATAL,
                  "the state has position %lld for split %s", (long long)start->next_position,
                  start->name);
        g->given[split] = (uint64_t)start->next_position;
        if (start->note != NULL && sscanf(start->note, note_form, &at) == 1) {
            g->first_start_us = at;
        }
    }
    return WR_OK;
}

wr_status wr_generator_open(struct wr_generator **out, const struct wr_source_env *env,
                            const struct wr_generator_kind *kind, void *ctx, struct wr_error *err)
{
    const struct wr_options *options = env->plan->options;
    if (env->bounded && !wr_options_has(options, "rows") && !wr_options_has(options, "duration")) {
        (void)wr_fail(err, WR_CLASS_USER, "a generator without rows or duration has no end");
        wr_error_hint(err, "add rows = 1000000 or duration = '20s', or run without --bounded");
        return WR_FAIL;
    }
    struct wr_generator *g = wr_calloc(1, sizeof *g);
    g->env = *env;
    g->kind = kind;
    g->splits = (uint32_t)wr_options_int(options, "splits");
    g->states = wr_calloc(g->splits, sizeof *g->states);
    g->names = wr_calloc(g->splits, sizeof *g->names);
    g->given = wr_calloc(g->splits, sizeof *g->given);
    g->first_start_us = INT64_MIN;
    for (uint32_t s = 0; s < g->splits; s++) {
        g->states[s] = kind->split_create(ctx, s);
        (void)snprintf(g->names[s], sizeof g->names[s], "%u", s);
    }
    pthread_mutex_init(&g->lock, NULL);
    wr_open_gate_init(&g->gate, env);
    wr_open_gate_announce(&g->gate, g->splits);
    if (resume(g, err) != WR_OK) {
        wr_generator_close(g);
        return WR_FAIL;
    }
    *out = g;
    return WR_OK;
}

void wr_generator_close(struct wr_generator *g)
{
    if (g == NULL) {
        return;
    }
    for (uint32_t s = 0; s < g->splits; s++) {
        g->kind->split_destroy(g->states[s]);
    }
    free(g->states);
    free(g->names);
    free(g->given);
    pthread_mutex_destroy(&g->lock);
    wr_open_gate_deinit(&g->gate);
    free(g);
}

wr_status wr_generator_reader_open(struct wr_reader **out, struct wr_generator *g, uint32_t worker)
{
    struct wr_reader *r = wr_calloc(1, sizeof *r);
    r->generator = g;
    r->deadline_ns = INT64_MAX;
    r->splits = wr_calloc(g->splits / g->env.workers + 1, sizeof *r->splits);
    for (uint32_t s = worker; s < g->splits; s += g->env.workers) {
        r->splits[r->split_count++] = (struct generator_split){ .split = s, .given = g->given[s] };
    }
    *out = r;
    return WR_OK;
}

void wr_generator_reader_close(struct wr_reader *r)
{
    free(r->splits);
    free(r);
}

void wr_generator_pause(struct wr_reader *r, uint32_t split, bool paused)
{
    for (uint32_t i = 0; i < r->split_count; i++) {
        if (r->splits[i].split == split) {
            r->splits[i].paused = paused;
            r->deadline_ns = 0; /* look again: it may have been the only one */
        }
    }
}

int64_t wr_generator_deadline_ns(const struct wr_reader *r)
{
    return r->deadline_ns;
}

/* The moment of the first start in this run's clocks. */
static struct wr_time first_start(const struct wr_generator *g, struct wr_time now)
{
    /* A clock that was set back must not make rows wait, nor one that jumped overflow. */
    const int64_t most_us = INT64_MAX / 2000;
    int64_t ago_us = 0;
    if (g->first_start_us != INT64_MIN &&
        __builtin_sub_overflow(now.wall_us, g->first_start_us, &ago_us)) {
        ago_us = most_us;
    }
    ago_us = ago_us < 0 ? 0 : (ago_us > most_us ? most_us : ago_us);
    return (struct wr_time){ .wall_us =
                                 g->first_start_us != INT64_MIN ? g->first_start_us : now.wall_us,
                             .mono_ns = now.mono_ns - ago_us * 1000 };
}

static void start(struct wr_reader *r, struct wr_time now)
{
    struct wr_generator *g = r->generator;
    const struct wr_options *options = g->env.plan->options;
    int64_t start_us = 0;
    (void)parse_start(options, &start_us, NULL); /* checked before */
    pthread_mutex_lock(&g->lock);
    if (!g->started) {
        g->started = true;
        const bool rows = wr_options_has(options, "rows");
        const bool duration = wr_options_has(options, "duration");
        const struct wr_time first = first_start(g, now);
        (void)snprintf(g->note, sizeof g->note, note_form, (long long)first.wall_us);
        wr_pace_start(&g->pace, first, wr_options_int(options, "rate"),
                      rows ? wr_options_int(options, "rows") : 0,
                      duration ? wr_options_int(options, "duration") : 0, g->splits, start_us);
    }
    r->pace = g->pace;
    pthread_mutex_unlock(&g->lock);
    r->started = true;
}

static bool open_splits(struct wr_reader *r, struct wr_time now, struct wr_poll *out)
{
    struct wr_generator *g = r->generator;
    wr_open_gate_confirm(&g->gate, r->unconfirmed);
    r->unconfirmed = 0;
    if (r->opened == r->split_count) {
        return false;
    }
    if (!r->started) {
        start(r, now);
    }
    const struct generator_split *split = &r->splits[r->opened++];
    out->kind = WR_POLL_SPLIT_OPENED;
    out->split = split->split;
    out->next_position = (int64_t)split->given;
    out->split_name = g->names[out->split];
    out->split_note = g->note;
    out->partition = (int32_t)out->split;
    r->unconfirmed = 1;
    return true;
}

static void make_rows(struct wr_reader *r, struct generator_split *s, uint32_t rows,
                      struct wr_time now, struct wr_batch *batch, struct wr_poll *out)
{
    struct wr_generator *g = r->generator;
    const struct wr_pace *p = &r->pace;
    const bool by_clock = p->rate == 0 && !p->given_times;
    for (uint32_t i = 0; i < rows; i++) {
        const uint64_t n = (s->given + i) * g->splits + s->split;
        r->times[i] = by_clock ? now.wall_us : p->start_us + wr_pace_offset_us(p, n);
    }
    batch->rows = rows;
    batch->origin.position_first = (int64_t)s->given;
    batch->ingest_us = r->times[rows - 1];
    if (p->given_times) { /* event time is not the clock's: latency counts from the intended
                           * moment */
        const uint64_t last = (s->given + rows - 1) * g->splits + s->split;
        batch->ingest_us = p->rate == 0 ? now.wall_us
                                        : now.wall_us - (now.mono_ns - wr_pace_at_ns(p, last)) / 1000;
    }
    g->kind->fill(g->states[s->split], batch, s->given, rows, s->split, g->splits, r->times);
    s->given += rows;
    out->kind = WR_POLL_ROWS;
    out->split = s->split;
    out->next_position = (int64_t)s->given;
}

/* When the earliest of the reader's next rows is due. */
static int64_t next_due_ns(const struct wr_reader *r, struct wr_time now)
{
    int64_t due = INT64_MAX;
    for (uint32_t i = 0; i < r->split_count; i++) {
        const struct generator_split *s = &r->splits[i];
        if (!s->ended && !s->paused) {
            const int64_t at =
                wr_pace_at_ns(&r->pace, s->given * r->generator->splits + s->split);
            due = at < due ? at : due;
        }
    }
    return due < now.mono_ns + TICK_NS ? now.mono_ns + TICK_NS : due;
}

wr_status wr_generator_poll(struct wr_reader *r, struct wr_time now, struct wr_batch *batch,
                            struct wr_poll *out, struct wr_error *err)
{
    if (open_splits(r, now, out) || !wr_open_gate_is_open(&r->generator->gate)) {
        return WR_OK;
    }
    if (r->ended == r->split_count) {
        r->deadline_ns = INT64_MAX;
        out->kind = WR_POLL_FINISHED;
        return WR_OK;
    }
    for (uint32_t tried = 0; tried < r->split_count; tried++) {
        struct generator_split *s = &r->splits[r->turn++ % r->split_count];
        if (s->ended || s->paused) {
            continue;
        }
        const uint64_t due = wr_pace_due(&r->pace, s->split, now);
        if (due > s->given) {
            const uint32_t block =
                WR_GENERATOR_BLOCK_ROWS - (uint32_t)(s->given % WR_GENERATOR_BLOCK_ROWS);
            const uint32_t most = r->generator->env.batch_rows < block
                                      ? r->generator->env.batch_rows
                                      : block;
            const uint64_t rows = due - s->given;
            make_rows(r, s, rows < most ? (uint32_t)rows : most, now, batch, out);
            r->deadline_ns = now.mono_ns;
            return WR_OK;
        }
        if (wr_pace_ended(&r->pace, s->split, s->given, now)) {
            s->ended = true;
            r->ended++;
            out->kind = WR_POLL_SPLIT_ENDED;
            out->split = s->split;
            return WR_OK;
        }
    }
    r->deadline_ns = next_due_ns(r, now);
    return WR_OK;
}
