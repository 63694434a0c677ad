#include "run/admin_http.h"

#include "base/heap.h"
#include "base/log.h"
#include "net/http_server.h"
#include "run/report.h"
#include "run/sink_worker.h"
#include "run/worker.h"
#include <inttypes.h>

static bool ready(const struct wr_pipeline *p)
{
    return atomic_load_explicit(&p->ready, memory_order_acquire);
}

static void healthz(void *ctx, const struct wr_http_request *request,
                    struct wr_http_response *response)
{
    struct wr_pipeline *p = ctx;
    const bool failed = ready(p) && wr_epoch_failed(&p->board, NULL);
    response->status = failed ? 503 : 200;
    wr_buf_text(&response->body, failed ? "failed\n" : "ok\n");
}

static void readyz(void *ctx, const struct wr_http_request *request,
                   struct wr_http_response *response)
{
    const bool up = ready(ctx);
    response->status = up ? 200 : 503;
    wr_buf_text(&response->body, up ? "ready\n" : "starting\n");
}

static void header(struct wr_buf *out, const char *name, const char *type, const char *help)
{
    wr_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* name{label="value"} number, the value escaped: quoted identifiers may hold anything. */
static void labelled(struct wr_buf *out, const char *name, const char *label, const char *value,
                     uint64_t number)
{
    wr_buf_printf(out, "%s{%s=\"", name, label);
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '\n') {
            wr_buf_text(out, "\\n");
            continue;
        }
        if (*c == '"' || *c == '\\') {
            wr_buf_text(out, "\\");
        }
        wr_buf_append(out, c, 1);
    }
    wr_buf_printf(out, "\"} %" PRIu64 "\n", number);
}

/* A counter per source, added up over workers. */
static void per_source(struct wr_buf *out, const struct wr_pipeline *p, const char *name,
                       const char *help, size_t offset)
{
    header(out, name, "counter", help);
    for (uint32_t s = 0; s < p->plan->source_count; s++) {
        uint64_t sum = 0;
        for (uint32_t w = 0; w < p->config.workers; w++) {
            const char *counters = (const char *)&p->workers[w].source_counters[s];
            sum += wr_counter_get((const struct wr_counter *)(const void *)(counters + offset));
        }
        labelled(out, name, "source", p->plan->sources[s].name, sum);
    }
}

static void per_sink(struct wr_buf *out, const struct wr_pipeline *p, const char *name,
                     const char *type, const char *help, size_t offset)
{
    header(out, name, type, help);
    for (uint32_t k = 0; k < p->plan->sink_count; k++) {
        uint64_t sum = 0;
        for (uint32_t t = 0; t < p->sink_worker_count; t++) {
            for (uint32_t i = 0; i < p->sink_workers[t].slot_count; i++) {
                const struct wr_sink_slot *slot = &p->sink_workers[t].slots[i];
                if (slot->sink == k) {
                    sum += wr_counter_get(
                        (const struct wr_counter *)(const void *)((const char *)slot + offset));
                }
            }
        }
        labelled(out, name, "sink", p->plan->sinks[k].name, sum);
    }
}

static void gauges(struct wr_buf *out, const struct wr_pipeline *p)
{
    struct wr_totals t;
    wr_report_totals(p, &t);
    header(out, "weir_open_windows", "gauge", "Open entries of window state.");
    wr_buf_printf(out, "weir_open_windows %" PRIu64 "\n", t.open_windows);
    header(out, "weir_state_bytes", "gauge", "Memory of window state.");
    wr_buf_printf(out, "weir_state_bytes %" PRIu64 "\n", t.state_bytes);
    if (t.lag >= 0) {
        header(out, "weir_source_lag_records", "gauge", "Records behind the sources' ends.");
        wr_buf_printf(out, "weir_source_lag_records %" PRId64 "\n", t.lag);
    }
    if (t.lag_ms >= 0) {
        header(out, "weir_source_lag_seconds", "gauge", "How far behind the sources' ends, of sources that tell it as a time.");
        wr_buf_printf(out, "weir_source_lag_seconds %.3f\n", (double)t.lag_ms / 1e3);
    }
    if (t.watermark_us != WR_TIME_MIN) {
        header(out, "weir_watermark_seconds", "gauge", "Emitted watermark, seconds since 1970.");
        wr_buf_printf(out, "weir_watermark_seconds %.6f\n", (double)t.watermark_us / 1e6);
    }
    header(out, "weir_backpressure_turns_total", "counter",
           "Worker turns in which a full lane kept sources from being polled.");
    wr_buf_printf(out, "weir_backpressure_turns_total %" PRIu64 "\n", t.held_turns);
    header(out, "weir_split_pauses_total", "counter",
           "Times that a split far ahead was held back for lack of memory.");
    wr_buf_printf(out, "weir_split_pauses_total %" PRIu64 "\n", t.split_pauses);
    header(out, "weir_epochs_total", "counter", "Epochs committed, as the state counts them.");
    wr_buf_printf(out, "weir_epochs_total %" PRIu64 "\n",
                  (uint64_t)atomic_load_explicit(&p->board.publish_through, memory_order_relaxed));
    header(out, "weir_result_faults_total", "counter", "Result rows that failed.");
    wr_buf_printf(out, "weir_result_faults_total %" PRIu64 "\n",
                  (uint64_t)atomic_load_explicit(&p->result_faults, memory_order_relaxed));
    header(out, "process_cpu_seconds_total", "counter", "User and system CPU time.");
    wr_buf_printf(out, "process_cpu_seconds_total %.3f\n", (double)wr_clock_cpu_ns() / 1e9);
    header(out, "process_max_resident_memory_bytes", "gauge", "Peak resident memory.");
    wr_buf_printf(out, "process_max_resident_memory_bytes %" PRIu64 "\n", wr_report_peak_rss_bytes());
}

static void latency(struct wr_buf *out, const struct wr_pipeline *p)
{
    static const double quantiles[] = { 0.5, 0.99, 0.999 };
    const char *const name = "weir_latency_seconds";
    struct wr_histogram *h = wr_calloc(2, sizeof *h);
    wr_report_latency(p, &h[0], &h[1]);
    header(out, name, "summary", "Event to result and event to durable.");
    for (int kind = 0; kind < 2; kind++) {
        const char *stage = kind == 0 ? "result" : "durable";
        for (uint32_t q = 0; q < 3; q++) {
            wr_buf_printf(out, "%s{stage=\"%s\",quantile=\"%g\"} %.6f\n", name, stage, quantiles[q],
                          (double)wr_histogram_quantile_us(&h[kind], quantiles[q]) / 1e6);
        }
        wr_buf_printf(out, "%s_sum{stage=\"%s\"} %.6f\n%s_count{stage=\"%s\"} %" PRIu64 "\n", name,
                      stage, (double)wr_counter_get(&h[kind].sum_us) / 1e6, name, stage,
                      wr_counter_get(&h[kind].count));
    }
    free(h);
}

static void metrics(void *ctx, const struct wr_http_request *request,
                    struct wr_http_response *response)
{
    const struct wr_pipeline *p = ctx;
    struct wr_buf *out = &response->body;
    response->content_type = "text/plain; version=0.0.4; charset=utf-8";
    if (!ready(p)) {
        response->status = 503;
        return;
    }
    per_source(out, p, "weir_source_events_total", "Records read.",
               offsetof(struct wr_source_counters, rows));
    per_source(out, p, "weir_source_bytes_total", "Payload bytes read.",
               offsetof(struct wr_source_counters, bytes));
    per_source(out, p, "weir_late_events_total", "Rows late for all their windows.",
               offsetof(struct wr_source_counters, late));
    per_source(out, p, "weir_dead_lettered_events_total", "Records that could not be used.",
               offsetof(struct wr_source_counters, dead));
    per_sink(out, p, "weir_sink_rows_total", "counter", "Rows taken by the sink.",
             offsetof(struct wr_sink_slot, rows));
    per_sink(out, p, "weir_sink_files_total", "counter", "Files published.",
             offsetof(struct wr_sink_slot, files));
    per_sink(out, p, "weir_sink_bytes_total", "counter", "Bytes published or acknowledged.",
             offsetof(struct wr_sink_slot, bytes));
    per_sink(out, p, "weir_sink_held_bytes", "gauge", "Bytes in the sink's buffers.",
             offsetof(struct wr_sink_slot, held_bytes));
    gauges(out, p);
    latency(out, p);
}

wr_status wr_admin_start(struct wr_pipeline *p, struct wr_error *err)
{
    WR_TRY(wr_http_server_start(&p->http, p->config.listen, err));
    wr_http_server_route(p->http, "/healthz", healthz, p);
    wr_http_server_route(p->http, "/readyz", readyz, p);
    wr_http_server_route(p->http, "/metrics", metrics, p);
    wr_log_info("run", "listening on http://%s (/metrics, /healthz, /readyz)",
                wr_http_server_address(p->http));
    return WR_OK;
}
