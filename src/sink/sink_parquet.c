/* sink_parquet.c: a directory (or bucket prefix) of Parquet files, whole epochs at a time.
 *
 * There is no log: a file that readers can see counts. So finished files stay uploads (hidden
 * files, multipart uploads) until their epoch is committed; the receipt holds their tickets, with
 * which a later process publishes in this one's place: {"files":[ticket,...]}.
 */
#include "sink/parquet_files.h"
#include "sink/receipt_json.h"
#include "sink/sinks.h"

#include "base/fault.h"
#include "base/heap.h"

struct wr_writer {
    struct wr_sink_env env;
    struct wr_store *store;
    struct wr_parquet_files files;
    struct wr_sink_stats stats;
};

static const struct wr_option parquet_options[] = {
    { "path", WR_OPTION_TEXT, NULL, "The directory, s3://bucket/prefix, az://container/path or gs://bucket/path.",
      .flags = WR_OPTION_REQUIRED },
    { "target_file_size", WR_OPTION_SIZE, "128MB",
      "A file that reaches this size is closed and the next one begun.", .min = 64 << 10,
      .max = 1LL << 40 },
    WR_PARQUET_FILES_OPTION_ROWS,
    { .name = NULL },
};

/* ---- open and close ---- */

static void parquet_close(struct wr_writer *w)
{
    if (w == NULL) {
        return;
    }
    wr_parquet_files_deinit(&w->files);
    wr_store_close(w->store);
    free(w);
}

static wr_status parquet_open(struct wr_writer **writer, const struct wr_sink_env *env,
                              struct wr_error *err)
{
    static const struct wr_parquet_files_way way = { 0 };
    struct wr_writer *w = wr_calloc(1, sizeof *w);
    w->env = *env;
    const wr_status status =
        wr_store_open(&w->store, wr_options_text(env->plan->options, "path"), env->plan->options,
                      env->io, err);
    if (status != WR_OK) {
        free(w);
        return status;
    }
    wr_parquet_files_init(&w->files, &w->env, &way, w->store);
    *writer = w;
    return WR_OK;
}

/* ---- recovery ---- */

static wr_status publish_tickets(struct wr_writer *w, const struct wr_receipt *receipt,
                                 struct wr_error *err)
{
    json_t *object;
    WR_TRY(wr_receipt_parse(&w->env, receipt, &object, err));
    const json_t *files = json_object_get(object, "files");
    wr_status status = json_is_array(files) ? WR_OK : wr_receipt_bad(&w->env, "files", err);
    for (size_t i = 0; status == WR_OK && i < json_array_size(files); i++) {
        char *ticket = json_dumps(json_array_get(files, i), JSON_COMPACT | JSON_ENCODE_ANY);
        status = ticket == NULL ? wr_receipt_bad(&w->env, "files", err)
                                : wr_store_publish_ticket(w->store, ticket, strlen(ticket), err);
        free(ticket);
    }
    json_decref(object);
    return status;
}

/* Publishes first: what is unpublished after that belongs to no committed epoch. */
static wr_status parquet_recover(struct wr_writer *w, const struct wr_sink_recovery *recovery,
                                 struct wr_error *err)
{
    for (uint32_t i = 0; i < recovery->receipt_count; i++) {
        WR_TRY(publish_tickets(w, &recovery->receipts[i], err));
    }
    wr_status status = WR_OK;
    for (uint32_t i = 0; status == WR_OK && i < recovery->owner_count; i++) {
        struct wr_buf mark = { 0 };
        wr_parquet_files_mark(w->env.plan, recovery->owners[i], &mark);
        status = wr_store_abandon(w->store, "", wr_buf_cstr(&mark), NULL, NULL, err);
        wr_buf_deinit(&mark);
    }
    return status;
}

/* ---- writing and epochs ---- */

static wr_status parquet_write(struct wr_writer *w, const struct wr_batch *batch,
                               struct wr_time now, struct wr_error *err)
{
    return wr_parquet_files_write(&w->files, batch, err);
}

static wr_status parquet_prepare(struct wr_writer *w, uint64_t epoch, struct wr_buf *receipt,
                                 struct wr_error *err)
{
    WR_TRY(wr_parquet_files_prepare(&w->files, epoch, err));
    const char *before = "{\"files\":[";
    for (struct wr_parquet_file *f = w->files.done_first; f != NULL; f = f->next) {
        if (f->epoch == epoch) {
            wr_buf_text(receipt, before);
            wr_upload_ticket(f->upload, receipt);
            before = ",";
        }
    }
    if (before[0] == ',') {
        wr_buf_text(receipt, "]}");
    }
    return WR_OK;
}

static wr_status parquet_publish(struct wr_writer *w, uint64_t epoch,
                                 const struct wr_receipt *receipts, uint32_t receipt_count,
                                 struct wr_error *err)
{
    struct wr_parquet_file *f = w->files.done_first;
    for (; f != NULL && f->epoch != 0 && f->epoch <= epoch; f = f->next) {
        wr_upload_publish_begin(f->upload);
    }
    while ((f = wr_parquet_files_committed(&w->files, epoch)) != NULL) {
        WR_TRY(wr_upload_publish(f->upload, err));
        WR_FAULT("sink_parquet.after_file");
        w->stats.files++;
        w->stats.bytes += f->bytes;
        wr_parquet_files_drop(&w->files);
    }
    return WR_OK;
}

static void parquet_stats(const struct wr_writer *w, struct wr_sink_stats *stats)
{
    *stats = w->stats;
    stats->rows = w->files.rows;
}

static uint64_t parquet_held_bytes(const struct wr_writer *w)
{
    return wr_parquet_files_held(&w->files);
}

const struct wr_sink_ops wr_sink_parquet = {
    .name = "parquet",
    .help = "Parquet files (zstd) in a local directory or on S3, in Hive partitions if asked.",
    .options = parquet_options,
    .parallel = true,
    .transactional = true,
    .exactly_once = true,
    .bulk = true,
    .commit_interval_us = 60 * WR_US_PER_S,
    .check = wr_parquet_files_check,
    .open = parquet_open,
    .recover = parquet_recover,
    .write = parquet_write,
    .prepare = parquet_prepare,
    .publish = parquet_publish,
    .stats = parquet_stats,
    .held_bytes = parquet_held_bytes,
    .close = parquet_close,
};
