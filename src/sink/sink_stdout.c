/* sink_stdout.c: rows to the terminal (or wherever standard output leads), a line each, at once.
 *
 * A batch is one fwrite and one flush, so that lines of several sinks do not mix. A reader that
 * goes away (`| head`) ends the run in order: what was read is committed or will be read again.
 */
#include "sink/guarantee.h"
#include "sink/row_lines.h"
#include "sink/sinks.h"

#include "base/heap.h"
#include <errno.h>

struct wr_writer {
    struct wr_sink_env env;
    struct wr_row_lines lines;
    struct wr_buf buf;
    bool header_written;
    uint64_t rows;
    uint64_t bytes;
};

static const struct wr_option stdout_options[] = { { .name = NULL } };

static wr_status stdout_check(const struct wr_plan_sink *plan, uint32_t *bad_at,
                              struct wr_error *err)
{
    WR_TRY(wr_sink_check_at_least_once(plan, bad_at, err));
    return wr_row_lines_check(plan, bad_at, err);
}

static wr_status stdout_open(struct wr_writer **writer, const struct wr_sink_env *env,
                             struct wr_error *err)
{
    struct wr_writer *w = wr_calloc(1, sizeof *w);
    w->env = *env;
    wr_row_lines_init(&w->lines, env->plan);
    *writer = w;
    return WR_OK;
}

static wr_status print_failed(struct wr_error *err, int error)
{
    if (error == EPIPE) {
        wr_fail(err, WR_CLASS_FATAL, "nobody reads standard output any more");
        wr_error_hint(err, "the program behind the pipe has ended; to keep all rows write them to "
                           "a file: connector = 'file'");
        return WR_FAIL;
    }
    wr_fail(err, WR_CLASS_FATAL, "cannot write to standard output: %s",
            strerrordesc_np(error) != NULL ? strerrordesc_np(error) : "unknown error");
    if (error == ENOSPC) {
        wr_error_hint(err, "the disk that standard output leads to is full: free space there");
    }
    return WR_FAIL;
}

static wr_status stdout_write(struct wr_writer *w, const struct wr_batch *batch, struct wr_time now,
                              struct wr_error *err)
{
    const uint32_t rows = wr_batch_live(batch);
    w->buf.bytes = 0;
    if (!w->header_written) {
        wr_row_lines_header(&w->lines, &w->buf);
        w->header_written = true;
    }
    wr_row_lines_append(&w->lines, &w->buf, batch);
    errno = 0;
    if (fwrite(w->buf.data, 1, w->buf.bytes, w->env.terminal) < w->buf.bytes ||
        fflush(w->env.terminal) != 0) {
        return print_failed(err, errno != 0 ? errno : EIO);
    }
    w->rows += rows;
    w->bytes += w->buf.bytes;
    w->env.visible(w->env.ctx, batch->ingest_us, rows);
    return WR_OK;
}

static wr_status stdout_prepare(struct wr_writer *w, uint64_t epoch, struct wr_buf *receipt,
                              struct wr_error *err)
{
    return WR_OK;
}

static wr_status stdout_publish(struct wr_writer *w, uint64_t epoch,
                              const struct wr_receipt *receipts, uint32_t receipt_count,
                              struct wr_error *err)
{
    return WR_OK;
}

static void stdout_stats(const struct wr_writer *w, struct wr_sink_stats *stats)
{
    *stats = (struct wr_sink_stats){ .rows = w->rows, .bytes = w->bytes };
}

static void stdout_close(struct wr_writer *w)
{
    if (w == NULL) {
        return;
    }
    wr_row_lines_deinit(&w->lines);
    wr_buf_deinit(&w->buf);
    free(w);
}

const struct wr_sink_ops wr_sink_stdout = {
    .name = "stdout",
    .help = "Prints rows on standard output as NDJSON (or CSV: format = 'csv').",
    .has_format = true,
    .options = stdout_options,
    .check = stdout_check,
    .open = stdout_open,
    .write = stdout_write,
    .prepare = stdout_prepare,
    .publish = stdout_publish,
    .stats = stdout_stats,
    .close = stdout_close,
};
