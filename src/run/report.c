#include "run/report.h"

#include "base/heap.h"
#include "base/log.h"
#include "batch/text.h"
#include "run/ledger_view.h"
#include "run/recovery.h"
#include "run/replay.h"
#include "run/sink_worker.h"
#include "run/worker.h"
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <sys/resource.h>
#include <zstd.h>

/* ---- sums ---- */

void wr_report_totals(const struct wr_pipeline *p, struct wr_totals *t)
{
    *t = (struct wr_totals){ .lag = -1, .lag_ms = -1, .watermark_us = WR_TIME_MAX };
    for (uint32_t w = 0; w < p->config.workers; w++) {
        const struct wr_worker *worker = &p->workers[w];
        t->open_windows += wr_counter_get(&worker->open_windows);
        t->state_bytes += wr_counter_get(&worker->state_bytes);
        const uint64_t peak = wr_counter_get(&worker->state_peak_bytes);
        t->state_peak_bytes = peak > t->state_peak_bytes ? peak : t->state_peak_bytes;
        t->held_turns += wr_counter_get(&worker->held);
        for (uint32_t s = 0; s < p->plan->source_count; s++) {
            const struct wr_source_counters *c = &worker->source_counters[s];
            t->events += wr_counter_get(&c->rows);
            t->bytes += wr_counter_get(&c->bytes);
            t->late += wr_counter_get(&c->late);
            t->dead += wr_counter_get(&c->dead);
            t->split_pauses += wr_counter_get(&c->pauses);
        }
    }
    for (uint32_t s = 0; s < p->plan->source_count; s++) {
        const int64_t emitted = wr_hub_emitted((struct wr_hub *)&p->hub, s);
        if (p->plan->sources[s].watermark != NULL && emitted < t->watermark_us) {
            t->watermark_us = emitted;
        }
        if (p->source_ops[s]->lag != NULL && p->sources[s] != NULL) {
            const int64_t lag = p->source_ops[s]->lag(p->sources[s]);
            t->lag = lag < 0 ? t->lag : (t->lag < 0 ? lag : t->lag + lag);
        }
        if (p->source_ops[s]->lag_ms != NULL && p->sources[s] != NULL) {
            const int64_t lag_ms = p->source_ops[s]->lag_ms(p->sources[s]);
            t->lag_ms = lag_ms > t->lag_ms ? lag_ms : t->lag_ms;
        }
    }
    if (t->watermark_us == WR_TIME_MAX) {
        t->watermark_us = WR_TIME_MIN;
    }
}

void wr_report_latency(const struct wr_pipeline *p, struct wr_histogram *result,
                       struct wr_histogram *durable)
{
    for (uint32_t t = 0; t < p->sink_worker_count; t++) {
        for (uint32_t i = 0; i < p->sink_workers[t].slot_count; i++) {
            const struct wr_sink_slot *slot = &p->sink_workers[t].slots[i];
            wr_histogram_merge(durable, &slot->durable_us);
            if (p->plan->sinks[slot->sink].windowed) {
                wr_histogram_merge(result, &slot->result_us);
            }
        }
    }
}

void wr_report_versions(void (*show)(void *ctx, const char *library, const char *version), void *ctx)
{
    show(ctx, "librdkafka", rd_kafka_version_str());
    show(ctx, "zstd", ZSTD_versionString());
    show(ctx, "libcurl", curl_version_info(CURLVERSION_NOW)->version);
    show(ctx, "jansson", JANSSON_VERSION);
}

/* ---- the stats file ---- */

static void add_line(void *ctx, const struct wr_ledger_line *line)
{
    struct {
        json_t *list;
        const struct wr_plan *plan;
    } *c = ctx;
    json_array_append_new(
        c->list,
        json_pack("{ss ss ss sI sI sI sI sI sI sI}", "source", c->plan->sources[line->source].name,
                  "split", line->split, "sink", c->plan->sinks[line->sink].name, "read",
                  (json_int_t)line->counts.read, "landed", (json_int_t)line->landed, "late",
                  (json_int_t)line->counts.late, "partly_late", (json_int_t)line->counts.partly_late,
                  "dead_lettered", (json_int_t)line->counts.dead_lettered, "filtered",
                  (json_int_t)line->counts.filtered, "in_flight", (json_int_t)line->in_flight));
}

static json_t *ledger_json(const struct wr_pipeline *p)
{
    struct {
        json_t *list;
        const struct wr_plan *plan;
    } ctx = { json_array(), p->plan };
    wr_ledger_view_each(p->ledger, add_line, &ctx);
    return ctx.list;
}

static void sink_sums(const struct wr_pipeline *p, uint32_t sink, struct wr_sink_stats *sum)
{
    *sum = (struct wr_sink_stats){ 0 };
    for (uint32_t t = 0; t < p->sink_worker_count; t++) {
        for (uint32_t i = 0; i < p->sink_workers[t].slot_count; i++) {
            const struct wr_sink_slot *slot = &p->sink_workers[t].slots[i];
            if (slot->sink == sink) {
                sum->rows += wr_counter_get(&slot->rows);
                sum->files += wr_counter_get(&slot->files);
                sum->bytes += wr_counter_get(&slot->bytes);
            }
        }
    }
}

static json_t *sinks_json(const struct wr_pipeline *p)
{
    json_t *list = json_array();
    for (uint32_t k = 0; k < p->plan->sink_count; k++) {
        struct wr_sink_stats sum;
        sink_sums(p, k, &sum);
        json_array_append_new(list, json_pack("{ss ss sI sI sI}", "sink", p->plan->sinks[k].name,
                                              "connector", p->plan->sinks[k].connector, "rows",
                                              (json_int_t)sum.rows, "files", (json_int_t)sum.files,
                                              "bytes", (json_int_t)sum.bytes));
    }
    return list;
}

static double ms(const struct wr_histogram *h, double q)
{
    return (double)wr_histogram_quantile_us(h, q) / 1000.0;
}

static json_t *quantiles_json(const struct wr_histogram *h)
{
    return json_pack("{sI sf sf sf sf}", "count", (json_int_t)wr_counter_get(&h->count), "p50",
                     ms(h, 0.5), "p99", ms(h, 0.99), "p999", ms(h, 0.999), "max", ms(h, 1.0));
}

static json_t *latency_json(const struct wr_pipeline *p)
{
    struct wr_histogram *h = wr_calloc(2, sizeof *h);
    wr_report_latency(p, &h[0], &h[1]);
    json_t *latency = json_pack("{so so}", "event_to_result", quantiles_json(&h[0]),
                                "event_to_durable", quantiles_json(&h[1]));
    free(h);
    return latency;
}

static void add_version(void *ctx, const char *library, const char *version)
{
    json_object_set_new(ctx, library, json_string(version));
}

/* Not getrusage alone: its peak is kept over exec, so that a big parent's would be told as ours. */
uint64_t wr_report_peak_rss_bytes(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    unsigned long long kib = 0;
    while (file != NULL && kib == 0 && fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "VmHWM: %llu kB", &kib);
    }
    if (file != NULL) {
        fclose(file);
    }
    if (kib > 0) {
        return kib * 1024;
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_maxrss * 1024;
}

static json_t *stats_json(const struct wr_pipeline *p, bool final)
{
    struct wr_totals t;
    wr_report_totals(p, &t);
    const double wall_s =
        (double)(wr_clock_now().mono_ns - p->started_ns) / (double)WR_NS_PER_S;
    const double cpu_s = (double)(wr_clock_cpu_ns() - p->started_cpu_ns) / (double)WR_NS_PER_S;
    json_t *versions = json_object();
    wr_report_versions(add_version, versions);
    return json_pack(
        "{ss sb sf sf sI sI sf sI sI sI sI sI sI so so so so}", "pipeline", p->config.name, "final", final,
        "wall_s", wall_s, "cpu_s", cpu_s, "peak_rss_bytes", (json_int_t)wr_report_peak_rss_bytes(),
        "events_read", (json_int_t)t.events, "events_per_second",
        wall_s > 0 ? (double)t.events / wall_s : 0.0, "bytes_read", (json_int_t)t.bytes, "workers",
        (json_int_t)p->config.workers, "result_faults",
        (json_int_t)atomic_load_explicit(&p->result_faults, memory_order_relaxed), "state_bytes",
        (json_int_t)t.state_bytes, "state_peak_bytes", (json_int_t)t.state_peak_bytes,
        "split_pauses", (json_int_t)t.split_pauses, "ledger", ledger_json(p), "sinks", sinks_json(p), "latency_ms",
        latency_json(p), "library_versions", versions);
}

void wr_report_stats(const struct wr_pipeline *p, bool final)
{
    if (p->config.stats_file == NULL) {
        return;
    }
    json_t *stats = stats_json(p, final);
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.tmp", p->config.stats_file) < 0 ||
        json_dump_file(stats, temporary, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) != 0 ||
        rename(temporary, p->config.stats_file) != 0) {
        wr_log_warn("run", "cannot write --stats %s: %s", p->config.stats_file, strerror(errno));
    }
    free(temporary);
    json_decref(stats);
}

/* ---- the summary ---- */

const char *wr_human_count(uint64_t n, char *into)
{
    char digits[24];
    const int count = snprintf(digits, sizeof digits, "%" PRIu64, n);
    char *out = into;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0) {
            *out++ = ',';
        }
        *out++ = digits[i];
    }
    *out = '\0';
    return into;
}

const char *wr_human_bytes(uint64_t n, char *into)
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
    double value = (double)n;
    uint32_t unit = 0;
    while (value >= 1000.0 && unit < 4) {
        value /= 1000.0;
        unit++;
    }
    snprintf(into, 32, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return into;
}

static void summarize_sink(const struct wr_pipeline *p, uint32_t sink)
{
    const struct wr_plan_sink *plan = &p->plan->sinks[sink];
    struct wr_sink_stats s;
    struct wr_ledger_line sum;
    char a[32];
    char b[32];
    sink_sums(p, sink, &s);
    fprintf(stderr, "  %-14s %-9s %14s rows", plan->name, plan->connector, wr_human_count(s.rows, a));
    if (s.files > 0) {
        fprintf(stderr, ", %s file%s, %s", wr_human_count(s.files, a), s.files == 1 ? "" : "s",
                wr_human_bytes(s.bytes, b));
    } else if (s.bytes > 0) {
        fprintf(stderr, ", %s", wr_human_bytes(s.bytes, b));
    }
    fputc('\n', stderr);
    if (plan->feed != WR_FEED_QUERY) {
        return;
    }
    char c[5][32];
    wr_ledger_view_sum(p->ledger, sink, &sum);
    fprintf(stderr, "  %14s read %s = landed %s + late %s + dead-lettered %s + filtered %s", "",
            wr_human_count(sum.counts.read, a), wr_human_count(sum.landed, c[0]),
            wr_human_count(sum.counts.late, c[1]), wr_human_count(sum.counts.dead_lettered, c[2]),
            wr_human_count(sum.counts.filtered, c[3]));
    if (sum.in_flight > 0) {
        fprintf(stderr, " + in flight %s", wr_human_count(sum.in_flight, c[4]));
    }
    if (sum.counts.partly_late > 0) {
        fprintf(stderr, " (partly late %s)", wr_human_count(sum.counts.partly_late, c[4]));
    }
    fputc('\n', stderr);
}

static void summarize_latency(const char *what, const struct wr_histogram *h)
{
    if (wr_counter_get(&h->count) > 0) {
        fprintf(stderr, "  %-16s p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, max %.2f ms\n", what,
                ms(h, 0.5), ms(h, 0.99), ms(h, 0.999), ms(h, 1.0));
    }
}

static void show_query_hint(const struct wr_pipeline *p)
{
    for (uint32_t k = 0; k < p->plan->sink_count; k++) {
        const struct wr_plan_sink *sink = &p->plan->sinks[k];
        if (strcmp(sink->connector, "parquet") == 0) {
            fprintf(stderr, "\n  duckdb -c \"SELECT count(*) FROM read_parquet('%s/**/*.parquet')\"\n",
                    wr_options_text(sink->options, "path"));
        }
    }
}

/* A second run of a file that was read to its end looks like a failure to whoever expects the rows again. */
static void show_nothing_new(const struct wr_pipeline *p, uint64_t events)
{
    if (events == 0 && p->recovery != NULL && p->recovery->resumed) {
        fprintf(stderr, "\n  nothing new since the last run, whose place is kept in %s\n"
                "  to read everything again: weir state reset %s --yes\n",
                p->config.state_url, p->config.state_url);
    }
}

static void summarize(const struct wr_pipeline *p, bool ok)
{
    struct wr_totals t;
    wr_report_totals(p, &t);
    char a[32];
    char b[32];
    const double wall_s = (double)(wr_clock_now().mono_ns - p->started_ns) / (double)WR_NS_PER_S;
    const double cpu_s = (double)(wr_clock_cpu_ns() - p->started_cpu_ns) / (double)WR_NS_PER_S;
    fprintf(stderr, "\n%s %s: %s events in %.1f s (%s/s), %.2f us CPU per event, peak memory %s\n",
            p->config.name, ok ? "done" : "FAILED", wr_human_count(t.events, a), wall_s,
            wr_human_count(wall_s > 0 ? (uint64_t)((double)t.events / wall_s) : 0, b),
            t.events > 0 ? cpu_s * 1e6 / (double)t.events : 0.0,
            wr_human_bytes(wr_report_peak_rss_bytes(), (char[32]){ 0 }));
    for (uint32_t k = 0; k < p->plan->sink_count; k++) {
        summarize_sink(p, k);
    }
    struct wr_histogram *h = wr_calloc(2, sizeof *h);
    wr_report_latency(p, &h[0], &h[1]);
    summarize_latency("event -> result", &h[0]);
    summarize_latency("event -> durable", &h[1]);
    free(h);
    if (ok) {
        show_query_hint(p);
        show_nothing_new(p, t.events);
    }
}

void wr_report_end(const struct wr_pipeline *p, bool ok)
{
    if (p->config.preview_rows > 0) {
        return;
    }
    wr_report_stats(p, true);
    if (!p->config.quiet && atomic_load_explicit(&p->ready, memory_order_relaxed)) {
        if (p->config.replay != NULL) {
            wr_replay_report(p->config.replay, p, ok);
            return;
        }
        summarize(p, ok);
    }
}
