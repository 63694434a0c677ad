/* preview.c: the sink that `weir preview` puts in every sink's place: prints its first rows, writes nothing. */
#include "base/heap.h"
#include "batch/text.h"
#include "run/pipeline.h"

struct wr_writer {
    const struct wr_plan_sink *plan;
    uint64_t rows;
    bool full;
    struct wr_buf line;
};

/* One preview per process. */
static struct {
    uint32_t rows;
    uint32_t sinks;
    _Atomic uint32_t full_sinks;
    atomic_bool *full;
    pthread_mutex_t lock;
} preview = { .lock = PTHREAD_MUTEX_INITIALIZER };

static wr_status preview_open(struct wr_writer **out, const struct wr_sink_env *env,
                              struct wr_error *err)
{
    struct wr_writer *w = wr_calloc(1, sizeof *w);
    w->plan = env->plan;
    *out = w;
    return WR_OK;
}

static void print_row(struct wr_writer *w, const struct wr_batch *batch, uint32_t row)
{
    w->line.bytes = 0;
    wr_buf_printf(&w->line, "%s: {", w->plan->name);
    for (uint32_t c = 0; c < w->plan->visible; c++) {
        const struct wr_column *column = &batch->columns[c];
        wr_buf_printf(&w->line, "%s\"%s\": ", c > 0 ? ", " : "", w->plan->schema.fields[c].name);
        if (wr_column_is_null(column, row)) {
            wr_buf_text(&w->line, "null");
        } else {
            wr_text_format_json(&w->line, column->type,
                                (const char *)column->values +
                                    (size_t)row * wr_type_width(column->type));
        }
    }
    wr_buf_text(&w->line, "}\n");
    fwrite(w->line.data, 1, w->line.bytes, stdout);
}

static wr_status preview_write(struct wr_writer *w, const struct wr_batch *batch, struct wr_time now,
                               struct wr_error *err)
{
    pthread_mutex_lock(&preview.lock);
    for (uint32_t i = 0; i < wr_batch_live(batch) && w->rows < preview.rows; i++, w->rows++) {
        print_row(w, batch, wr_batch_row(batch, i));
    }
    fflush(stdout);
    pthread_mutex_unlock(&preview.lock);
    if (w->rows >= preview.rows && !w->full) {
        w->full = true;
        if (atomic_fetch_add(&preview.full_sinks, 1) + 1 == preview.sinks) {
            atomic_store(preview.full, true);
        }
    }
    return WR_OK;
}

static wr_status preview_prepare(struct wr_writer *w, uint64_t epoch, struct wr_buf *receipt,
                              struct wr_error *err)
{
    return WR_OK;
}

static wr_status preview_publish(struct wr_writer *w, uint64_t epoch,
                              const struct wr_receipt *receipts, uint32_t receipt_count,
                              struct wr_error *err)
{
    return WR_OK;
}

static void preview_stats(const struct wr_writer *w, struct wr_sink_stats *stats)
{
    stats->rows = w->rows;
}

static void preview_close(struct wr_writer *w)
{
    if (w != NULL) {
        wr_buf_deinit(&w->line);
        free(w);
    }
}

static const struct wr_option no_options[] = { { .name = NULL } };

static const struct wr_sink_ops preview_ops = { .name = "preview",
                                                .help = "prints rows",
                                                .options = no_options,
                                                .open = preview_open,
                                                .write = preview_write,
                                                .prepare = preview_prepare,
                                                .publish = preview_publish,
                                                .stats = preview_stats,
                                                .close = preview_close };

const struct wr_sink_ops *wr_preview_ops(uint32_t rows, atomic_bool *full, uint32_t sinks)
{
    preview.rows = rows;
    preview.full = full;
    preview.sinks = sinks;
    return &preview_ops;
}
