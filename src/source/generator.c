/* generator.c: see generator.h. */
#include "source/generator.h"

#include "base/heap.h"
#include "batch/text.h"
#include <stdio.h>

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
    pthread_mutex_t lock; /* guards started and the write of pace */
    bool started;
    struct wr_pace pace;
};

struct generator_split {
    uint32_t split;
    uint64_t given; /* rows */
    bool ended;
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
    for (uint32_t s = 0; s < g->splits; s++) {
        g->states[s] = kind->split_create(ctx, s);
        (void)snprintf(g->names[s], sizeof g->names[s], "%u", s);
    }
    pthread_mutex_init(&g->lock, NULL);
    wr_open_gate_init(&g->gate, env);
    wr_open_gate_announce(&g->gate, g->splits);
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
        r->splits[r->split_count++].split = s;
    }
    *out = r;
    return WR_OK;
}

void wr_generator_reader_close(struct wr_reader *r)
{
    free(r->splits);
    free(r);
}

int64_t wr_generator_deadline_ns(const struct wr_reader *r)
{
    return r->deadline_ns;
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
        wr_pace_start(&g->pace, now, wr_options_int(options, "rate"),
                      rows ? wr_options_int(options, "rows") : 0,
                      duration ? wr_options_int(options, "duration") : 0, g->splits, start_us);
    }
    r->pace = g->pace;
    pthread_mutex_unlock(&g->lock);
    r->started = true;
}

static bool open_splits(struct wr_reader *r, struct wr_poll *out)
{
    struct wr_generator *g = r->generator;
    wr_open_gate_confirm(&g->gate, r->unconfirmed);
    r->unconfirmed = 0;
    if (r->opened == r->split_count) {
        return false;
    }
    out->kind = WR_POLL_SPLIT_OPENED;
    out->split = r->splits[r->opened++].split;
    out->split_name = g->names[out->split];
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
        if (!s->ended) {
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
    if (open_splits(r, out) || !wr_open_gate_is_open(&r->generator->gate)) {
        return WR_OK;
    }
    if (!r->started) {
        start(r, now);
    }
    if (r->ended == r->split_count) {
        r->deadline_ns = INT64_MAX;
        out->kind = WR_POLL_FINISHED;
        return WR_OK;
    }
    for (uint32_t tried = 0; tried < r->split_count; tried++) {
        struct generator_split *s = &r->splits[r->turn++ % r->split_count];
        if (s->ended) {
            continue;
        }
        const uint64_t due = wr_pace_due(&r->pace, s->split, now);
        if (due > s->given) {
            const uint64_t rows = due - s->given;
            make_rows(r, s, rows < r->generator->env.batch_rows ? (uint32_t)rows
                                                                : r->generator->env.batch_rows,
                      now, batch, out);
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
