/* sim_scenario.c: see sim_scenario.h. */
#include "sim_scenario.h"

#include <stdio.h>
#include <string.h>

/* Times in the log lie around the moment of production: mostly a little before, some far behind, few far ahead. */
static int64_t event_time(int64_t produced_ns, int64_t lag_us)
{
    const int64_t wall = SIM_EPOCH_WALL_US + produced_ns / 1000 - lag_us;
    const uint64_t dice = sim_below(1000);
    if (dice < 60) {
        return wall - sim_between(300000, 4000000); /* late, perhaps */
    }
    if (dice < 80) {
        return wall + sim_between(0, 1000000);
    }
    return wall - sim_between(0, 150000);
}

static void draw_split(uint32_t index, uint32_t rows)
{
    struct sim_split *split = &sim->splits[index];
    snprintf(split->name, sizeof split->name, "sim/%u", index);
    split->count = rows;
    split->events = sim_alloc(rows * sizeof *split->events);
    const int64_t gap_us = sim_between(1000, 20000);
    const uint32_t pauses = (uint32_t)sim_below(25); /* per mille of rows */
    /* A split behind the others: when it wakes, its rows lie before its floor. */
    const int64_t lag_us = sim_chance(300) ? sim_between(100, 2000) * 1000 : 0;
    int64_t at_ns = split->born_ns + sim_between(0, 20) * WR_NS_PER_MS;
    for (uint32_t i = 0; i < rows; i++) {
        struct sim_event *event = &split->events[i];
        at_ns += sim_between(0, 2 * gap_us) * 1000;
        if (sim_chance(pauses)) {
            at_ns += sim_between(200, 2500) * WR_NS_PER_MS; /* long enough to be idle, often */
        }
        event->produced_ns = at_ns;
        event->id = (int64_t)(index + 1) * 100000 + i;
        event->ts_us = event_time(at_ns, lag_us);
        event->value = sim_between(-1000, 1000);
        event->key = (int32_t)sim_below(sim->scenario.key_count);
        const uint64_t dice = sim_below(1000);
        if (dice < 15) {
            event->kind = SIM_MALFORMED;
        } else if (dice < 25) {
            event->kind = SIM_NO_TIME;
        } else if (dice < 32) {
            event->kind = SIM_AHEAD;
            event->ts_us += INT64_C(3) * 86400 * WR_US_PER_S;
        }
    }
}

/* Makes event a copy of an earlier one: of its own split, or of another one that may be read later or earlier. */
static void copy_event(struct sim_event *event, const struct sim_event *original)
{
    if (original->kind == SIM_ROW && event->kind == SIM_ROW && !original->copy) {
        const int64_t produced_ns = event->produced_ns;
        *event = *original;
        event->produced_ns = produced_ns;
        event->copy = true;
    }
}

static void draw_copies(bool across)
{
    for (uint32_t s = 0; s < sim->scenario.split_count; s++) {
        struct sim_split *split = &sim->splits[s];
        for (uint32_t i = 1; i < split->count; i++) {
            if (!sim_chance(150)) {
                continue;
            }
            if (across && s > 0) {
                const struct sim_split *other = &sim->splits[sim_below(s)];
                copy_event(&split->events[i], &other->events[sim_below(other->count)]);
            } else {
                const uint32_t back = (uint32_t)sim_below(i < 30 ? i : 30) + 1;
                copy_event(&split->events[i], &split->events[i - back]);
            }
        }
    }
}

static void add_sink(const char *name, const char *connector, enum sim_feed feed)
{
    struct sim_sink *sink = &sim->scenario.sinks[sim->scenario.sink_count++];
    snprintf(sink->name, sizeof sink->name, "%s", name);
    snprintf(sink->connector, sizeof sink->connector, "%s", connector);
    sink->feed = feed;
    sink->once = strcmp(connector, "simlog") != 0;
}

static void draw_window(struct sim_sink *sink)
{
    static const int64_t sizes_us[] = { 100000, 200000, 400000, 1000000, 3000000 };
    sink->window = (enum sim_window)sim_below(3);
    sink->size_us = sizes_us[sim_below(5)];
    sink->slide_us = sink->size_us;
    if (sink->window == SIM_HOP) {
        static const int64_t parts[] = { 1, 2, 4, 5 };
        sink->slide_us = sink->size_us / parts[sim_below(4)];
    } else if (sink->window == SIM_SESSION) {
        sink->size_us = sim_between(20, 400) * 1000;
    }
    sink->nested = sink->window != SIM_SESSION && sim_chance(300);
}

static void draw_sinks(void)
{
    struct sim_scenario *s = &sim->scenario;
    const int64_t interval_ms = sim_between(1, 6) * 40;
    static const char *const connectors[] = { "simtable", "simtable", "simtable", "delta",
                                              "delta",    "parquet",  "simlog" };
    add_sink("late", connectors[sim_below(6)], SIM_FEED_LATE);
    add_sink("bad", connectors[sim_below(6)], SIM_FEED_BAD);
    add_sink("plain", connectors[sim_below(7)], SIM_FEED_ROWS);
    s->sinks[2].filtered = sim_chance(500);
    s->sinks[2].partitioned = !s->text_keys && sim_chance(300) &&
                              (strcmp(s->sinks[2].connector, "delta") == 0 ||
                               strcmp(s->sinks[2].connector, "parquet") == 0);
    const uint32_t windows = (uint32_t)sim_between(1, 2);
    for (uint32_t i = 0; i < windows; i++) {
        add_sink(i == 0 ? "win0" : "win1", connectors[sim_below(7)], SIM_FEED_WINDOW);
        draw_window(&s->sinks[s->sink_count - 1]);
    }
    const bool together = sim_chance(500);
    for (uint32_t k = 0; k < s->sink_count; k++) {
        const bool side = s->sinks[k].feed == SIM_FEED_LATE || s->sinks[k].feed == SIM_FEED_BAD;
        s->sinks[k].interval_ms = side || together || sim_chance(300)
                                      ? interval_ms
                                      : interval_ms * sim_between(2, 4);
    }
}

/* The last incarnation reads to the end; those before it crash, freeze or are stopped somewhere. */
static void draw_run(struct sim_run *run, bool last)
{
    const uint64_t dice = sim_below(100);
    run->host = (uint32_t)sim_below(2);
    run->standby = sim_chance(300);
    run->lose_state = sim_chance(15);
    if (last) {
        run->bounded = true;
        return;
    }
    if (dice < 10) {
        run->stop_after = sim_log_uniform(20, 3000);
    } else if (dice < 25) { /* a zombie */
        run->freeze_kind = (enum sim_point)sim_below(SIM_POINT_COUNT_);
        run->freeze_after = sim_log_uniform(1, 300);
        run->wakes_after = sim_log_uniform(1, 200);
    }
    run->crash_kind = (enum sim_point)sim_below(SIM_POINT_COUNT_);
    static const uint32_t most[] = { [SIM_POINT_FAULT] = 120, [SIM_POINT_OP] = 400,
                                     [SIM_POINT_STEP] = 3000 };
    run->crash_after = sim_log_uniform(1, most[run->crash_kind]);
}

void sim_scenario_draw(void)
{
    struct sim_scenario *s = &sim->scenario;
    static const uint32_t batch_rows[] = { 1, 2, 3, 5, 8, 16, 64 };
    static const uint32_t lanes[] = { 2, 4, 16 };
    s->batch_rows = batch_rows[sim_below(7)];
    s->lane_batches = lanes[sim_below(3)];
    s->split_count = (uint32_t)sim_between(1, 4);
    s->text_keys = sim_chance(500);
    s->key_count = (uint32_t)sim_between(1, 12);
    s->delay_us = sim_between(0, 4) * 50000;
    s->lateness_us = sim_chance(500) ? 0 : sim_between(1, 10) * 50000;
    s->idle_us = sim_between(2, 20) * 50000;
    s->fault_per_mille = sim_chance(400) ? 0 : (uint32_t)sim_between(5, 80);
    s->slow_ns = (uint32_t)(sim_chance(150) ? 60 * WR_NS_PER_MS : 3 * WR_NS_PER_MS);
    s->zero_hash = sim_chance(100);
    s->deduplicates = sim_chance(200);
    s->crashes = (uint32_t)sim_between(1, 5);
    draw_sinks();
    /* All incarnations read to the end of a log that is whole; some splits, so some workers, come to theirs long before others. */
    const bool bounded = sim_chance(250);
    int64_t born_ns = 0;
    for (uint32_t i = 0; i < s->split_count; i++) {
        if (i > 0 && sim_chance(400)) {
            born_ns += sim_between(100, 1500) * WR_NS_PER_MS;
        }
        sim->splits[i].born_ns = born_ns;
        const int64_t rows = !bounded         ? sim_between(10, 150)
                             : sim_chance(500) ? sim_between(1, 20)
                                               : sim_between(100, 300);
        draw_split(i, (uint32_t)rows);
    }
    if (s->deduplicates) {
        /* Which of two copies counts is a matter of timing when their splits differ: then nothing is late. */
        const bool across = sim_chance(500);
        s->lateness_us = across ? 3600 * WR_US_PER_S : s->lateness_us;
        draw_copies(across);
    }
    for (uint32_t r = 0; r <= s->crashes; r++) {
        s->workers[r] = (uint32_t)sim_between(1, 3);
        draw_run(&sim->runs[r], r == s->crashes);
        sim->runs[r].bounded = bounded || sim->runs[r].bounded;
    }
}

/* ---- SQL ---- */

static void window_sql(struct wr_buf *into, const struct sim_sink *sink)
{
    wr_buf_text(into, "SELECT window_start, window_end, k, count(*) AS n, sum(v) AS total, "
                      "min(id) AS low, max(id) AS high FROM ");
    const long long size_ms = sink->size_us / 1000;
    switch (sink->window) {
    case SIM_TUMBLE:
        wr_buf_printf(into, "TUMBLE(events, ts, INTERVAL '%lld milliseconds')", size_ms);
        break;
    case SIM_HOP:
        wr_buf_printf(into, "HOP(events, ts, INTERVAL '%lld milliseconds', INTERVAL '%lld milliseconds')",
                      (long long)sink->slide_us / 1000, size_ms);
        break;
    case SIM_SESSION:
        wr_buf_printf(into, "SESSION(events, ts, INTERVAL '%lld milliseconds')", size_ms);
        break;
    }
    wr_buf_text(into, " GROUP BY window_start, window_end, k");
}

static void sink_sql(struct wr_buf *into, const struct sim_sink *sink)
{
    wr_buf_printf(into, "CREATE SINK %s WITH (connector = '%s', commit_interval = '%lldms'",
                  sink->name, sink->connector, (long long)sink->interval_ms);
    if (strcmp(sink->connector, "delta") == 0) {
        wr_buf_printf(into, ", path = 'sim://lake-%s', checkpoint_interval = 5", sink->name);
    } else if (strcmp(sink->connector, "parquet") == 0) {
        wr_buf_printf(into, ", path = 'sim://dir-%s'", sink->name);
    }
    if (sink->partitioned) {
        wr_buf_text(into, ", partition_by = 'k'");
    }
    wr_buf_text(into, ")");
    if (sink->feed == SIM_FEED_ROWS) {
        wr_buf_printf(into, " AS SELECT id, k, v, ts FROM events%s",
                      sink->filtered ? " WHERE v % 5 <> 0" : "");
    } else if (sink->feed == SIM_FEED_WINDOW) {
        wr_buf_text(into, sink->nested ? " AS SELECT window_start, window_end, count(*) AS k, sum(n) AS n, "
                                         "sum(total) AS total, min(low) AS low, max(high) AS high FROM ("
                                       : " AS ");
        window_sql(into, sink);
        wr_buf_text(into, sink->nested ? ") GROUP BY window_start, window_end" : "");
    }
    wr_buf_text(into, ";\n");
}

void sim_scenario_sql(struct wr_buf *into)
{
    const struct sim_scenario *s = &sim->scenario;
    wr_buf_printf(into,
                  "CREATE SOURCE events (id BIGINT, k %s, v BIGINT, ts TIMESTAMP,\n"
                  "  WATERMARK FOR ts AS ts - INTERVAL '%lld milliseconds')\n"
                  "WITH (connector = 'sim', format = 'json', on_late = 'late', on_error = 'bad',\n"
                  "  idle_timeout = '%lldms', allowed_lateness = '%lldms'%s);\n",
                  s->text_keys ? "TEXT" : "BIGINT", (long long)s->delay_us / 1000,
                  (long long)s->idle_us / 1000, (long long)s->lateness_us / 1000,
                  s->deduplicates ? ", deduplicate_by = 'id', deduplicate_within = '2 hours'" : "");
    for (uint32_t k = 0; k < s->sink_count; k++) {
        sink_sql(into, &s->sinks[k]);
    }
}
