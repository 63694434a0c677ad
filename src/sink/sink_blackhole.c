/* sink_blackhole.c: counts rows and forgets them: for measuring what comes before a sink. */
#include "sink/guarantee.h"
#include "sink/sinks.h"

#include "base/heap.h"

struct wr_writer {
    struct wr_sink_env env;
    uint64_t rows;
};

static const struct wr_option blackhole_options[] = { { .name = NULL } };

static wr_status blackhole_open(struct wr_writer **writer, const struct wr_sink_env *env,
                                struct wr_error *err)
{
    struct wr_writer *w = wr_calloc(1, sizeof *w);
    w->env = *env;
    *writer = w;
    return WR_OK;
}

static wr_status blackhole_write(struct wr_writer *w, const struct wr_batch *batch,
                                 struct wr_time now, struct wr_error *err)
{
    const uint32_t rows = wr_batch_live(batch);
    w->rows += rows;
    w->env.visible(w->env.ctx, batch->ingest_us, rows);
    return WR_OK;
}

static wr_status blackhole_prepare(struct wr_writer *w, uint64_t epoch, struct wr_buf *receipt,
                              struct wr_error *err)
{
    return WR_OK;
}

static wr_status blackhole_publish(struct wr_writer *w, uint64_t epoch,
                              const struct wr_receipt *receipts, uint32_t receipt_count,
                              struct wr_error *err)
{
    return WR_OK;
}

static void blackhole_stats(const struct wr_writer *w, struct wr_sink_stats *stats)
{
    *stats = (struct wr_sink_stats){ .rows = w->rows };
}

static void blackhole_close(struct wr_writer *w)
{
    free(w);
}

const struct wr_sink_ops wr_sink_blackhole = {
    .name = "blackhole",
    .help = "Counts rows and forgets them.",
    .options = blackhole_options,
    .check = wr_sink_check_at_least_once,
    .open = blackhole_open,
    .write = blackhole_write,
    .prepare = blackhole_prepare,
    .publish = blackhole_publish,
    .stats = blackhole_stats,
    .close = blackhole_close,
};
