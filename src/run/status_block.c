#include "run/status_block.h"

#include "base/heap.h"
#include "base/log.h"
#include "batch/text.h"
#include "run/report.h"
#include <pthread.h>
#include <unistd.h>

#define REDRAW_NS (500 * WR_NS_PER_MS)
#define LINES 3

struct wr_status_block {
    struct wr_pipeline *p;
    int64_t next_ns;
    int64_t last_ns;
    uint64_t last_events;
    double rate;
    struct wr_histogram latency[2];
};

/* Log lines come from any thread: drawing and erasing share a lock. */
static pthread_mutex_t screen = PTHREAD_MUTEX_INITIALIZER;
static bool drawn;

static void erase(void)
{
    if (drawn) {
        fprintf(stderr, "\r\033[%dA\033[J", LINES);
        drawn = false;
    }
}

static void before_log(void)
{
    pthread_mutex_lock(&screen);
    erase();
    fflush(stderr);
}

static void after_log(void)
{
    pthread_mutex_unlock(&screen);
}

struct wr_status_block *wr_status_block_create(struct wr_pipeline *p)
{
    if (p->config.quiet || p->config.preview_rows > 0 || !isatty(STDERR_FILENO)) {
        return NULL;
    }
    struct wr_status_block *block = wr_calloc(1, sizeof *block);
    block->p = p;
    block->last_ns = wr_clock_now().mono_ns;
    wr_log_set_hooks(before_log, after_log);
    return block;
}

void wr_status_block_destroy(struct wr_status_block *block)
{
    if (block != NULL) {
        wr_log_set_hooks(NULL, NULL);
        pthread_mutex_lock(&screen);
        erase();
        pthread_mutex_unlock(&screen);
        free(block);
    }
}

static void draw(struct wr_status_block *block, const struct wr_totals *t, struct wr_time now)
{
    char a[32];
    char b[32];
    char watermark[48] = "none yet";
    char lag[32] = "unknown";
    char behind[48] = "";
    if (t->watermark_us != WR_TIME_MIN && t->watermark_us != WR_TIME_MAX) {
        *wr_text_timestamp(watermark, t->watermark_us) = '\0';
        snprintf(behind, sizeof behind, " (%.1f s behind the clock)",
                 (double)(now.wall_us - t->watermark_us) / 1e6);
    }
    if (t->lag >= 0) {
        wr_human_count((uint64_t)t->lag, lag);
    } else if (t->lag_ms >= 0) {
        snprintf(lag, sizeof lag, "%.1f s", (double)t->lag_ms / 1e3);
    }
    wr_histogram_reset(&block->latency[0]);
    wr_histogram_reset(&block->latency[1]);
    wr_report_latency(block->p, &block->latency[0], &block->latency[1]);
    erase();
    fprintf(stderr, "%s  %s events  %s/s  lag %s\n", block->p->config.name,
            wr_human_count(t->events, a), wr_human_count((uint64_t)block->rate, b), lag);
    fprintf(stderr, "  watermark %s%s\n", watermark, behind);
    fprintf(stderr, "  open windows %s  late %s  dead-lettered %s", wr_human_count(t->open_windows, a),
            wr_human_count(t->late, b), wr_human_count(t->dead, lag));
    if (wr_counter_get(&block->latency[0].count) > 0) {
        fprintf(stderr, "  result p50 %.1f ms p99 %.1f ms",
                (double)wr_histogram_quantile_us(&block->latency[0], 0.5) / 1e3,
                (double)wr_histogram_quantile_us(&block->latency[0], 0.99) / 1e3);
    }
    fputc('\n', stderr);
    fflush(stderr);
    drawn = true;
}

void wr_status_block_tick(struct wr_status_block *block, struct wr_time now)
{
    if (block == NULL || now.mono_ns < block->next_ns) {
        return;
    }
    struct wr_totals t;
    wr_report_totals(block->p, &t);
    const double seconds = (double)(now.mono_ns - block->last_ns) / (double)WR_NS_PER_S;
    if (seconds > 0) {
        block->rate = (double)(t.events - block->last_events) / seconds;
    }
    block->last_ns = now.mono_ns;
    block->last_events = t.events;
    block->next_ns = now.mono_ns + REDRAW_NS;
    pthread_mutex_lock(&screen);
    draw(block, &t, now);
    pthread_mutex_unlock(&screen);
}
