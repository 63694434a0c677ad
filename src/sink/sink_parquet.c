/* sink_parquet.c: a directory (or bucket prefix) of Parquet files, whole epochs at a time.
 *
 * A writer has one open file per partition (or one in all). What the encoder makes gathers in the
 * file's buffer and goes to the store in pieces; a file is opened in the store only when the first
 * piece goes there, so that thousands of small partitions need neither descriptors nor connections.
 *
 *   OPEN      takes rows                          [take_rows]
 *   FINISHED  has its footer; bytes still to send  [finish]   when full, squeezed out, or prepare
 *   DURABLE   the store has it, readers do not     [send]     at the next write, or prepare
 *   (gone)    visible                              [parquet_publish]
 *
 * Names: part-OWNER-LANE-EPOCH-N.zstd.parquet, N unique in the process.
 * Invariants:
 *   (1) encoding never waits for the store: the store is asked before a batch is taken, so that a
 *       failure there takes nothing of the batch and may be tried again
 *   (2) held == sum of file->held of all open files
 *   (3) done is in order of finishing; files without an epoch are at its end
 */
#include "sink/hive_partitions.h"
#include "sink/row_lines.h"
#include "sink/sinks.h"
#include "store/store.h"
#include "store/store_options.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/log.h"
#include "encode/parquet.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <sys/resource.h>

/* What goes to the store at once: few system calls, and no more than this waits in each of many
 * open files. */
#define PIECE_BYTES (1u << 20)
/* Descriptors that the rest of the process may need beside those of open files. */
#define OTHER_DESCRIPTORS 512u

struct parquet_file {
    struct parquet_file *next; /* done */
    struct parquet_file *next_pending;
    struct wr_writer *writer;
    struct wr_hive_partition *partition; /* while open; NULL: the only one */
    struct wr_parquet_writer *parquet;   /* while open */
    struct wr_upload *upload;            /* once the first piece is sent */
    struct wr_buf out;                   /* encoded, not yet sent */
    char *key;
    uint64_t held;
    uint64_t bytes;
    uint64_t used_at; /* number of the write that used it last */
    uint64_t epoch;   /* prepared in; 0: not yet */
    uint32_t index;   /* in writer->open */
    bool pending;
    bool finished;
    bool durable;
};

struct wr_writer {
    struct wr_sink_env env;
    struct wr_store *store;
    struct wr_parquet_shared *shared;
    struct wr_parquet_options options;
    struct wr_parquet_pair pairs[2];
    struct wr_hive_partitions hive;
    struct wr_row_json *reject_json; /* made when first needed */
    uint8_t *skip;                   /* per column: not written to files */
    uint64_t target_bytes;
    uint32_t open_max;
    struct parquet_file **open;
    uint32_t open_count;
    uint32_t open_capacity;
    struct parquet_file *single; /* without partitions: the open file */
    struct parquet_file *pending; /* has something to send */
    struct parquet_file *done_first;
    struct parquet_file *done_last;
    uint64_t held;
    uint64_t writes;
    uint64_t epoch; /* last prepared */
    bool warned_partitions;
    struct wr_sink_stats stats;
};

static const struct wr_option parquet_options[] = {
    { "path", WR_OPTION_TEXT, NULL, "The directory, file:///directory or s3://bucket/prefix.",
      .flags = WR_OPTION_REQUIRED },
    { "compression", WR_OPTION_ENUM, "zstd", "The codec of the pages.", .enum_words = "zstd" },
    { "compression_level", WR_OPTION_INT, "1", "zstd's level: higher is smaller and slower.",
      .min = 1, .max = 22 },
    { "row_group_size", WR_OPTION_SIZE, "32MiB",
      "Bytes of values, before encoding, after which a row group ends.", .min = 64 << 10,
      .max = 2LL << 30 },
    { "target_file_size", WR_OPTION_SIZE, "128MB",
      "A file that reaches this size is closed and the next one begun.", .min = 64 << 10,
      .max = 1LL << 40 },
    { "max_open_partitions", WR_OPTION_INT, "2000",
      "Partitions that may be open at once per worker; above it the one unused longest is closed.",
      .min = 1, .max = 100000 },
    WR_STORE_OPTION_ROWS,
    { .name = NULL },
};

/* ---- check ---- */

static bool is_partition(const struct wr_plan_sink *plan, uint32_t column)
{
    for (uint32_t i = 0; i < plan->partition_count; i++) {
        if (plan->partition[i] == column) {
            return true;
        }
    }
    return false;
}

static wr_status parquet_check(const struct wr_plan_sink *plan, uint32_t *bad_at,
                               struct wr_error *err)
{
    if (wr_options_given(plan->options, "format") && strcmp(plan->format, "parquet") != 0) {
        *bad_at = wr_options_at(plan->options, "format");
        wr_fail(err, WR_CLASS_USER, "connector 'parquet' does not write format '%s'", plan->format);
        wr_error_hint(err, "remove format, or write lines with connector = 'file'");
        return WR_FAIL;
    }
    uint32_t written = 0;
    for (uint32_t c = 0; c < plan->schema.count; c++) {
        written += !is_partition(plan, c);
    }
    if (plan->partition_count > 0 && written == 0) {
        *bad_at = wr_options_at(plan->options, "partition_by");
        wr_fail(err, WR_CLASS_USER, "partition_by names every column, so that none is left for "
                                    "the files");
        wr_error_hint(err, "partition by fewer columns, or select one more");
        return WR_FAIL;
    }
    *bad_at = wr_options_at(plan->options, "path");
    return wr_store_check(wr_options_text(plan->options, "path"), plan->options, err);
}

/* ---- open and close ---- */

static void destroy_file(struct parquet_file *f)
{
    wr_parquet_destroy(f->parquet);
    wr_upload_close(f->upload);
    wr_buf_deinit(&f->out);
    free(f->key);
    free(f);
}

static void parquet_close(struct wr_writer *w)
{
    if (w == NULL) {
        return;
    }
    for (uint32_t i = 0; i < w->open_count; i++) {
        destroy_file(w->open[i]);
    }
    for (struct parquet_file *f = w->done_first; f != NULL;) {
        struct parquet_file *next = f->next;
        destroy_file(f);
        f = next;
    }
    wr_hive_deinit(&w->hive);
    wr_row_json_destroy(w->reject_json);
    wr_parquet_shared_destroy(w->shared);
    wr_store_close(w->store);
    free(w->open);
    free(w->skip);
    free(w);
}

/* Shells start processes with 1,024 descriptors; the hard limit is what an operator really set. */
static void raise_descriptor_limit(uint32_t files)
{
    struct rlimit limit;
    const rlim_t wanted = (rlim_t)files + OTHER_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* if not: opening says so, with its hint */
    }
}

static void set_up(struct wr_writer *w)
{
    const struct wr_plan_sink *plan = w->env.plan;
    w->target_bytes = (uint64_t)wr_options_int(plan->options, "target_file_size");
    w->open_max = (uint32_t)wr_options_int(plan->options, "max_open_partitions");
    w->shared = wr_parquet_shared_create(&plan->schema);
    w->skip = wr_calloc(plan->schema.count + 1, 1);
    for (uint32_t i = 0; i < plan->partition_count; i++) {
        w->skip[plan->partition[i]] = 1;
    }
    w->pairs[0] = (struct wr_parquet_pair){ "weir.pipeline", w->env.pipeline };
    w->pairs[1] = (struct wr_parquet_pair){ "weir.sink", plan->name };
    w->options = (struct wr_parquet_options){
        .zstd_level = (int)wr_options_int(plan->options, "compression_level"),
        .row_group_bytes = (uint64_t)wr_options_int(plan->options, "row_group_size"),
        .pairs = w->pairs,
        .pairs_count = 2,
        .shared = w->shared,
    };
    if (plan->partition_count > 0) {
        wr_hive_init(&w->hive, plan);
        raise_descriptor_limit(w->open_max * (w->env.lanes == 0 ? 1 : w->env.lanes));
    }
}

static wr_status parquet_open(struct wr_writer **writer, const struct wr_sink_env *env,
                              struct wr_error *err)
{
    struct wr_writer *w = wr_calloc(1, sizeof *w);
    w->env = *env;
    set_up(w);
    const wr_status status =
        wr_store_open(&w->store, wr_options_text(env->plan->options, "path"), env->plan->options,
                      env->io, err);
    if (status != WR_OK) {
        parquet_close(w);
        return status;
    }
    *writer = w;
    return WR_OK;
}

/* ---- one file ---- */

static void mark_pending(struct parquet_file *f)
{
    if (!f->pending) {
        f->pending = true;
        f->next_pending = f->writer->pending;
        f->writer->pending = f;
    }
}

static wr_status take_bytes(void *ctx, const void *bytes, size_t n, struct wr_error *err)
{
    struct parquet_file *f = ctx;
    wr_buf_append(&f->out, bytes, n);
    f->bytes += n;
    if (f->out.bytes >= PIECE_BYTES) {
        mark_pending(f);
    }
    return WR_OK; /* (1) */
}

static char *name_file(const struct wr_writer *w, const char *directory)
{
    static atomic_uint_fast64_t counter;
    struct wr_buf name = { 0 };
    wr_buf_printf(&name, "%spart-%s-%u-%" PRIu64 "-%" PRIuFAST64 ".zstd.parquet", directory,
                  w->env.owner, w->env.lane, w->epoch + 1, atomic_fetch_add(&counter, 1));
    char *text = wr_strdup(wr_buf_cstr(&name));
    wr_buf_deinit(&name);
    return text;
}

static wr_status create_file(struct wr_writer *w, struct wr_hive_partition *partition,
                             struct parquet_file **file, struct wr_error *err)
{
    struct parquet_file *f = wr_calloc(1, sizeof *f);
    f->writer = w;
    f->partition = partition;
    f->key = name_file(w, partition != NULL ? partition->directory : "");
    const wr_status status = wr_parquet_create(&w->env.plan->schema, w->skip, &w->options,
                                               take_bytes, f, &f->parquet, err);
    if (status != WR_OK) {
        destroy_file(f);
        return status;
    }
    if (w->open_count == w->open_capacity) {
        w->open_capacity = w->open_capacity * 2 + 16;
        w->open = wr_realloc(w->open, w->open_capacity * sizeof *w->open);
    }
    f->index = w->open_count;
    w->open[w->open_count++] = f;
    if (partition != NULL) {
        partition->file = f;
    } else {
        w->single = f;
    }
    *file = f;
    return WR_OK;
}

static void count_held(struct parquet_file *f)
{
    const uint64_t held = f->parquet == NULL ? 0 : wr_parquet_buffered_bytes(f->parquet);
    f->writer->held += held - f->held; /* modulo 2^64, so that it may shrink (2) */
    f->held = held;
}

/* OPEN -> FINISHED. */
static wr_status finish(struct parquet_file *f, struct wr_error *err)
{
    struct wr_writer *w = f->writer;
    WR_TRY(wr_parquet_finish(f->parquet, err));
    wr_parquet_destroy(f->parquet);
    f->parquet = NULL;
    count_held(f);
    f->finished = true;
    mark_pending(f);
    w->open[f->index] = w->open[--w->open_count];
    w->open[f->index]->index = f->index;
    if (f->partition != NULL) {
        f->partition->file = NULL;
        f->partition = NULL;
    } else {
        w->single = NULL;
    }
    if (w->done_last != NULL) {
        w->done_last->next = f;
    } else {
        w->done_first = f;
    }
    w->done_last = f;
    return WR_OK;
}

/* Sends what waits; FINISHED -> DURABLE. May be repeated after a failure. */
static wr_status send(struct parquet_file *f, struct wr_error *err)
{
    if (f->upload == NULL) {
        WR_TRY(wr_upload_open(&f->upload, f->writer->store, f->key, err));
    }
    if (f->out.bytes > 0) {
        WR_TRY(wr_upload_write(f->upload, f->out.data, f->out.bytes, err));
        wr_buf_deinit(&f->out); /* thousands of files must not each keep a buffer */
    }
    if (f->finished && !f->durable) {
        WR_TRY(wr_upload_prepare(f->upload, err));
        f->durable = true;
    }
    return WR_OK;
}

static wr_status send_pending(struct wr_writer *w, struct wr_error *err)
{
    while (w->pending != NULL) {
        struct parquet_file *f = w->pending;
        WR_TRY(send(f, err));
        w->pending = f->next_pending;
        f->pending = false;
    }
    return WR_OK;
}

/* ---- limits ---- */

static struct parquet_file *fullest(const struct wr_writer *w)
{
    struct parquet_file *most = w->open[0];
    for (uint32_t i = 1; i < w->open_count; i++) {
        most = w->open[i]->held > most->held ? w->open[i] : most;
    }
    return most;
}

/* Ends row groups, and files that do not become smaller by it, until the writer is within its
 * memory. */
static wr_status squeeze(struct wr_writer *w, struct wr_error *err)
{
    while (w->held > w->env.memory_bytes && w->open_count > 0) {
        struct parquet_file *f = fullest(w);
        const uint64_t before = f->held;
        WR_TRY(wr_parquet_flush_row_group(f->parquet, err));
        count_held(f);
        if (f->held > before / 2) {
            WR_TRY(finish(f, err));
        } else if (f->out.bytes > 0) {
            mark_pending(f);
        }
        WR_TRY(send_pending(w, err));
    }
    return WR_OK;
}

static void warn_partitions(struct wr_writer *w)
{
    if (!w->warned_partitions) {
        w->warned_partitions = true;
        wr_log_warn("parquet", "sink \"%s\": more than %u partitions are written at once, which "
                    "makes many small files; partition by something coarser, or raise "
                    "max_open_partitions", w->env.plan->name, w->open_max);
    }
}

/* Room for one more open file: above the number allowed the one unused longest is finished, above
 * the memory the fullest (one batch may touch a thousand partitions of tens of kilobytes each). */
static wr_status make_room(struct wr_writer *w, struct wr_error *err)
{
    while (w->held > w->env.memory_bytes && w->open_count > 0) {
        WR_TRY(finish(fullest(w), err));
    }
    if (w->open_count < w->open_max) {
        return WR_OK;
    }
    warn_partitions(w);
    struct parquet_file *oldest = w->open[0];
    for (uint32_t i = 1; i < w->open_count; i++) {
        oldest = w->open[i]->used_at < oldest->used_at ? w->open[i] : oldest;
    }
    return finish(oldest, err);
}

/* ---- writing ---- */

static wr_status took(struct parquet_file *f, struct wr_error *err)
{
    f->used_at = f->writer->writes;
    count_held(f);
    if (wr_parquet_estimated_bytes(f->parquet) >= f->writer->target_bytes) {
        return finish(f, err);
    }
    return WR_OK;
}

static void refuse_rows(struct wr_writer *w, const struct wr_batch *batch, const uint32_t *rows,
                        uint32_t count)
{
    if (w->reject_json == NULL) {
        w->reject_json = wr_row_json_of_sink(w->env.plan);
    }
    struct wr_buf text = { 0 };
    for (uint32_t i = 0; i < count; i++) {
        text.bytes = 0;
        wr_row_json_append(w->reject_json, &text, batch, rows[i]);
        w->env.reject(w->env.ctx, text.data, text.bytes,
                      "the partition's directory name is longer than stores allow (255 bytes a "
                      "column, 768 in all)");
    }
    wr_buf_deinit(&text);
}

static wr_status write_partitioned(struct wr_writer *w, const struct wr_batch *batch,
                                   struct wr_error *err)
{
    if (w->hive.count / 4 > w->open_max) {
        wr_hive_forget_closed(&w->hive); /* a column of a million values must not fill the memory */
    }
    wr_hive_group(&w->hive, batch);
    for (uint32_t t = 0; t < w->hive.touched_count; t++) {
        struct wr_hive_partition *p = w->hive.touched[t];
        const uint32_t *rows = w->hive.grouped + p->begin;
        const uint32_t count = p->rows;
        p->rows = 0;
        if (p->directory == NULL) {
            refuse_rows(w, batch, rows, count);
            continue;
        }
        struct parquet_file *f = p->file;
        if (f == NULL) {
            WR_TRY(make_room(w, err));
            WR_TRY(create_file(w, p, &f, err));
        }
        WR_TRY(wr_parquet_append_rows(f->parquet, batch, rows, count, err));
        WR_TRY(took(f, err));
        w->stats.rows += count;
    }
    return WR_OK;
}

static wr_status take_rows(struct wr_writer *w, const struct wr_batch *batch, struct wr_error *err)
{
    w->writes++;
    if (w->env.plan->partition_count > 0) {
        return write_partitioned(w, batch, err);
    }
    struct parquet_file *f = w->single;
    if (f == NULL) {
        WR_TRY(create_file(w, NULL, &f, err));
    }
    WR_TRY(wr_parquet_append(f->parquet, batch, err));
    w->stats.rows += wr_batch_live(batch);
    return took(f, err);
}

static wr_status parquet_write(struct wr_writer *w, const struct wr_batch *batch,
                               struct wr_time now, struct wr_error *err)
{
    if (wr_batch_live(batch) == 0) {
        return WR_OK;
    }
    WR_TRY(send_pending(w, err)); /* (1) */
    WR_TRY(squeeze(w, err));
    return take_rows(w, batch, err);
}

/* ---- epochs ---- */

static wr_status parquet_prepare(struct wr_writer *w, uint64_t epoch, struct wr_buf *receipt,
                              struct wr_error *err)
{
    while (w->open_count > 0) {
        WR_TRY(finish(w->open[w->open_count - 1], err));
        WR_TRY(send_pending(w, err));
    }
    WR_TRY(send_pending(w, err));
    for (struct parquet_file *f = w->done_first; f != NULL; f = f->next) {
        wr_assert(f->durable);
        f->epoch = f->epoch == 0 ? epoch : f->epoch;
    }
    w->epoch = epoch;
    if (w->env.plan->partition_count > 0) {
        wr_hive_forget_closed(&w->hive);
    }
    return WR_OK;
}

static wr_status parquet_publish(struct wr_writer *w, uint64_t epoch,
                              const struct wr_receipt *receipts, uint32_t receipt_count,
                              struct wr_error *err)
{
    while (w->done_first != NULL && w->done_first->epoch != 0 && w->done_first->epoch <= epoch) {
        struct parquet_file *f = w->done_first;
        WR_TRY(wr_upload_publish(f->upload, err));
        w->stats.files++;
        w->stats.bytes += f->bytes;
        w->done_first = f->next;
        w->done_last = f->next == NULL ? NULL : w->done_last;
        destroy_file(f);
    }
    return WR_OK;
}

static void parquet_stats(const struct wr_writer *w, struct wr_sink_stats *stats)
{
    *stats = w->stats;
}

static uint64_t parquet_held_bytes(const struct wr_writer *w)
{
    uint64_t held = w->held + wr_parquet_shared_bytes(w->shared);
    for (const struct parquet_file *f = w->pending; f != NULL; f = f->next_pending) {
        held += f->out.bytes;
    }
    return held;
}

const struct wr_sink_ops wr_sink_parquet = {
    .name = "parquet",
    .help = "Parquet files (zstd) in a local directory or on S3, in Hive partitions if asked.",
    .options = parquet_options,
    .parallel = true,
    .transactional = true,
    .bulk = true,
    .commit_interval_us = 60 * WR_US_PER_S,
    .check = parquet_check,
    .open = parquet_open,
    .write = parquet_write,
    .prepare = parquet_prepare,
    .publish = parquet_publish,
    .stats = parquet_stats,
    .held_bytes = parquet_held_bytes,
    .close = parquet_close,
};
