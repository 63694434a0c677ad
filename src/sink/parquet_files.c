#include "sink/parquet_files.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/log.h"
#include "encode/parquet_tree.h"
#include "sink/row_lines.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <sys/resource.h>

/* What goes to the store at once: few system calls, and no more than this waits in each of many
 * open files. */
#define PIECE_BYTES (1u << 20)
/* A single file may wait longer: below this it is one put, above it an upload of several
 * requests. */
#define SINGLE_PIECE_BYTES (8u << 20)
/* Descriptors that the rest of the process may need beside those of open files. */
#define OTHER_DESCRIPTORS 512u

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

static wr_status check_partitions(const struct wr_plan_sink *plan, uint32_t *bad_at,
                                  struct wr_error *err)
{
    char type[32];
    *bad_at = wr_options_at(plan->options, "partition_by");
    for (uint32_t i = 0; i < plan->partition_count; i++) {
        const struct wr_field *field = &plan->schema.fields[plan->partition[i]];
        if (wr_type_is_nested(field->type)) {
            wr_fail(err, WR_CLASS_USER, "column \"%s\" is %s: it cannot name partitions",
                    field->name, wr_type_name(field->type, type, sizeof type));
            wr_error_hint(err, "partition by a scalar: select a field or an element as a column of "
                               "its own");
            return WR_FAIL;
        }
    }
    return WR_OK;
}

wr_status wr_parquet_files_check(const struct wr_plan_sink *plan, uint32_t *bad_at,
                                 struct wr_error *err)
{
    if (wr_options_given(plan->options, "format") && strcmp(plan->format, "parquet") != 0) {
        *bad_at = wr_options_at(plan->options, "format");
        wr_fail(err, WR_CLASS_USER, "connector '%s' does not write format '%s'", plan->connector,
                plan->format);
        wr_error_hint(err, "remove format, or write lines with connector = 'file'");
        return WR_FAIL;
    }
    WR_TRY(check_partitions(plan, bad_at, err));
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
    WR_TRY(wr_parquet_tree_fits(&plan->schema, err));
    return wr_store_check(wr_options_text(plan->options, "path"), plan->options, err);
}

/* ---- init ---- */

/* Shells start processes with 1,024 descriptors; the hard limit is what an operator really set. */
static void raise_descriptor_limit(uint32_t count)
{
    struct rlimit limit;
    const rlim_t wanted = (rlim_t)count + OTHER_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* if not: opening says so, with its hint */
    }
}

void wr_parquet_files_mark(const struct wr_plan_sink *plan, const char *owner, struct wr_buf *into)
{
    wr_buf_printf(into, "%s-%08" PRIx32, owner,
                  (uint32_t)wr_hash_bytes_raw(plan->name, strlen(plan->name)));
}

void wr_parquet_files_init(struct wr_parquet_files *files, const struct wr_sink_env *env,
                           const struct wr_parquet_files_way *way, struct wr_store *store)
{
    const struct wr_plan_sink *plan = env->plan;
    struct wr_buf mark = { 0 };
    wr_parquet_files_mark(plan, env->owner, &mark);
    *files = (struct wr_parquet_files){
        .env = env,
        .way = *way,
        .store = store,
        .shared = wr_parquet_shared_create(&plan->schema),
        .skip = wr_calloc(plan->schema.count + 1, 1),
        .mark = wr_strdup(wr_buf_cstr(&mark)),
        .target_bytes = (uint64_t)wr_options_int(plan->options, "target_file_size"),
        .piece_bytes = plan->partition_count == 0 && way->at_once ? SINGLE_PIECE_BYTES
                                                                  : PIECE_BYTES,
        .open_max = (uint32_t)wr_options_int(plan->options, "max_open_partitions"),
        .pairs = { { "weir.pipeline", env->pipeline }, { "weir.sink", plan->name } },
        .next_epoch = env->state_uuid == NULL || env->state_uuid[0] == '\0' ? 1 : env->first_epoch,
    };
    wr_buf_deinit(&mark);
    for (uint32_t i = 0; i < plan->partition_count; i++) {
        files->skip[plan->partition[i]] = 1;
    }
    files->options = (struct wr_parquet_options){
        .zstd_level = (int)wr_options_int(plan->options, "compression_level"),
        .row_group_bytes = (uint64_t)wr_options_int(plan->options, "row_group_size"),
        .json_as_text = way->json_as_text,
        .pairs = files->pairs,
        .pairs_count = 2,
        .shared = files->shared,
    };
    if (plan->partition_count > 0) {
        wr_hive_init(&files->hive, plan, way->partition_text);
        raise_descriptor_limit(files->open_max * (env->lanes == 0 ? 1 : env->lanes));
    }
}

/* ---- one file ---- */

/* (4): with a state, whoever starts next settles what was prepared. Without one a table's log may
 * name the file already: lane 0 commits for all. */
static bool may_be_committed(const struct wr_parquet_file *f)
{
    const struct wr_sink_env *env = f->files->env;
    return f->epoch != 0 &&
           (f->files->way.at_once || (env->state_uuid != NULL && env->state_uuid[0] != '\0'));
}

static void free_file(struct wr_parquet_file *f)
{
    wr_parquet_destroy(f->parquet);
    wr_upload_close(f->upload);
    wr_buf_deinit(&f->out);
    free(f->key);
    free(f->values);
    free(f->stats);
    free(f);
}

static void abandon_file(struct wr_parquet_file *f)
{
    struct wr_error ignored; /* a leftover: recovery or vacuum removes it */
    if (may_be_committed(f)) {
        if (f->upload != NULL) {
            wr_upload_keep(f->upload);
        }
    } else if (f->files->way.at_once && f->begun) {
        wr_upload_close(f->upload); /* nothing of it comes after the deletion */
        f->upload = NULL;
        (void)!wr_store_delete(f->files->store, f->key, &ignored);
    }
    free_file(f);
}

void wr_parquet_files_deinit(struct wr_parquet_files *files)
{
    for (uint32_t i = 0; i < files->open_count; i++) {
        abandon_file(files->open[i]);
    }
    for (struct wr_parquet_file *f = files->done_first; f != NULL;) {
        struct wr_parquet_file *next = f->next;
        abandon_file(f);
        f = next;
    }
    wr_hive_deinit(&files->hive);
    wr_row_json_destroy(files->reject_json);
    wr_parquet_shared_destroy(files->shared);
    free(files->open);
    free(files->skip);
    free(files->mark);
    *files = (struct wr_parquet_files){ 0 };
}

static void mark_pending(struct wr_parquet_file *f)
{
    if (!f->pending) {
        f->pending = true;
        f->next_pending = f->files->pending;
        f->files->pending = f;
    }
}

static wr_status take_bytes(void *ctx, const void *bytes, size_t n, struct wr_error *err)
{
    struct wr_parquet_file *f = ctx;
    wr_buf_append(&f->out, bytes, n);
    f->bytes += n;
    if (f->out.bytes >= f->files->piece_bytes) {
        mark_pending(f);
    }
    return WR_OK; /* (1) */
}

static char *name_file(const struct wr_parquet_files *files, const char *directory)
{
    static atomic_uint_fast64_t counter;
    struct wr_buf name = { 0 };
    wr_buf_printf(&name, "%spart-%s-%u-%" PRIu64 "-%" PRIuFAST64 ".zstd.parquet", directory,
                  files->mark, files->env->lane, files->next_epoch,
                  atomic_fetch_add(&counter, 1));
    char *text = wr_strdup(wr_buf_cstr(&name));
    wr_buf_deinit(&name);
    return text;
}

static wr_status create_file(struct wr_parquet_files *files, struct wr_hive_partition *partition,
                             struct wr_parquet_file **file, struct wr_error *err)
{
    struct wr_parquet_file *f = wr_calloc(1, sizeof *f);
    f->files = files;
    f->partition = partition;
    f->key = name_file(files, partition != NULL ? partition->directory : "");
    f->values = wr_strdup(partition != NULL && partition->values != NULL ? partition->values
                                                                         : "{}");
    const wr_status status = wr_parquet_create(&files->env->plan->schema, files->skip,
                                               &files->options, take_bytes, f, &f->parquet, err);
    if (status != WR_OK) {
        free_file(f);
        return status;
    }
    if (files->open_count == files->open_capacity) {
        files->open_capacity = files->open_capacity * 2 + 16;
        files->open = wr_realloc(files->open, files->open_capacity * sizeof *files->open);
    }
    f->index = files->open_count;
    files->open[files->open_count++] = f;
    if (partition != NULL) {
        partition->file = f;
    } else {
        files->single = f;
    }
    *file = f;
    return WR_OK;
}

static void count_held(struct wr_parquet_file *f)
{
    const uint64_t held = f->parquet == NULL ? 0 : wr_parquet_buffered_bytes(f->parquet);
    f->files->held += held - f->held; /* modulo 2^64, so that it may shrink (2) */
    f->held = held;
}

static void note_stats(struct wr_parquet_file *f)
{
    struct wr_parquet_summary summary;
    struct wr_buf text = { 0 };
    wr_parquet_summarize(f->parquet, &summary);
    f->files->way.stats(&summary, &f->files->env->plan->schema, &text);
    f->stats = wr_strdup(wr_buf_cstr(&text));
    wr_buf_deinit(&text);
    wr_parquet_summary_deinit(&summary);
}

/* OPEN -> FINISHED. */
static wr_status finish(struct wr_parquet_file *f, struct wr_error *err)
{
    struct wr_parquet_files *files = f->files;
    WR_TRY(wr_parquet_finish(f->parquet, err));
    if (files->way.stats != NULL) {
        note_stats(f);
    }
    wr_parquet_destroy(f->parquet);
    f->parquet = NULL;
    count_held(f);
    f->finished = true;
    mark_pending(f);
    files->open[f->index] = files->open[--files->open_count];
    files->open[f->index]->index = f->index;
    if (f->partition != NULL) {
        f->partition->file = NULL;
        f->partition = NULL;
    } else {
        files->single = NULL;
    }
    if (files->done_last != NULL) {
        files->done_last->next = f;
    } else {
        files->done_first = f;
    }
    files->done_last = f;
    return WR_OK;
}

/* Gives what waits to the store, without waiting for what comes of it. May be repeated after a
 * failure. */
static wr_status begin(struct wr_parquet_file *f, struct wr_error *err)
{
    if (f->upload == NULL) {
        WR_TRY(wr_upload_open(&f->upload, f->files->store, f->key, err));
        if (f->files->way.at_once) {
            wr_upload_direct(f->upload); /* the name is ours alone */
        }
    }
    if (f->out.bytes > 0) {
        WR_TRY(wr_upload_write(f->upload, f->out.data, f->out.bytes, err));
        wr_buf_deinit(&f->out); /* thousands of files must not each keep a buffer */
    }
    if (f->finished) {
        f->begun = true;
        wr_upload_prepare_begin(f->upload);
    }
    return WR_OK;
}

/* FINISHED -> BEGUN, and pieces of files that are still open. */
static wr_status begin_pending(struct wr_parquet_files *files, struct wr_error *err)
{
    while (files->pending != NULL) {
        struct wr_parquet_file *f = files->pending;
        WR_TRY(begin(f, err));
        files->pending = f->next_pending;
        f->pending = false;
        if (f->begun) {
            f->next_pending = files->begun;
            files->begun = f;
        }
    }
    return WR_OK;
}

/* BEGUN -> DURABLE. May be repeated after a failure. */
static wr_status settle_begun(struct wr_parquet_files *files, struct wr_error *err)
{
    while (files->begun != NULL) {
        struct wr_parquet_file *f = files->begun;
        WR_TRY(wr_upload_prepare(f->upload, err));
        files->begun = f->next_pending;
        f->durable = true;
        f->modified_ms = wr_clock_now().wall_us / 1000;
        if (files->way.at_once) {
            wr_upload_close(f->upload);
            f->upload = NULL;
        }
    }
    return WR_OK;
}

/* ---- limits ---- */

static struct wr_parquet_file *fullest(const struct wr_parquet_files *files)
{
    struct wr_parquet_file *most = files->open[0];
    for (uint32_t i = 1; i < files->open_count; i++) {
        most = files->open[i]->held > most->held ? files->open[i] : most;
    }
    return most;
}

/* Ends row groups, and files that do not become smaller by it, until the writer is within its
 * memory. */
static wr_status squeeze(struct wr_parquet_files *files, struct wr_error *err)
{
    while (files->held > files->env->memory_bytes && files->open_count > 0) {
        struct wr_parquet_file *f = fullest(files);
        const uint64_t before = f->held;
        WR_TRY(wr_parquet_flush_row_group(f->parquet, err));
        count_held(f);
        if (f->held > before / 2) {
            WR_TRY(finish(f, err));
        } else if (f->out.bytes > 0) {
            mark_pending(f);
        }
        WR_TRY(begin_pending(files, err));
    }
    return settle_begun(files, err);
}

static void warn_partitions(struct wr_parquet_files *files)
{
    if (!files->warned_partitions) {
        files->warned_partitions = true;
        wr_log_warn("parquet", "sink \"%s\": more than %u partitions are written at once, which "
                    "makes many small files; partition by something coarser, or raise "
                    "max_open_partitions", files->env->plan->name, files->open_max);
    }
}

/* Room for one more open file: above the number allowed the one unused longest is finished, above
 * the memory the fullest (one batch may touch a thousand partitions of tens of kilobytes each). */
static wr_status make_room(struct wr_parquet_files *files, struct wr_error *err)
{
    while (files->held > files->env->memory_bytes && files->open_count > 0) {
        WR_TRY(finish(fullest(files), err));
    }
    if (files->open_count < files->open_max) {
        return WR_OK;
    }
    warn_partitions(files);
    struct wr_parquet_file *oldest = files->open[0];
    for (uint32_t i = 1; i < files->open_count; i++) {
        oldest = files->open[i]->used_at < oldest->used_at ? files->open[i] : oldest;
    }
    return finish(oldest, err);
}

/* ---- writing ---- */

static wr_status took(struct wr_parquet_file *f, struct wr_error *err)
{
    f->used_at = f->files->writes;
    count_held(f);
    if (wr_parquet_estimated_bytes(f->parquet) >= f->files->target_bytes) {
        return finish(f, err);
    }
    return WR_OK;
}

static void refuse_rows(struct wr_parquet_files *files, const struct wr_batch *batch,
                        const uint32_t *rows, uint32_t count, const char *why)
{
    if (files->reject_json == NULL) {
        files->reject_json = wr_row_json_of_sink(files->env->plan);
    }
    struct wr_buf text = { 0 };
    for (uint32_t i = 0; i < count; i++) {
        text.bytes = 0;
        wr_row_json_append(files->reject_json, &text, batch, rows[i]);
        files->env->reject(files->env->ctx, text.data, text.bytes, why);
    }
    wr_buf_deinit(&text);
}

static wr_status write_partitioned(struct wr_parquet_files *files, const struct wr_batch *batch,
                                   struct wr_error *err)
{
    if (files->hive.count / 4 > files->open_max) {
        wr_hive_forget_closed(&files->hive); /* a million values must not fill the memory */
    }
    wr_hive_group(&files->hive, batch);
    for (uint32_t t = 0; t < files->hive.touched_count; t++) {
        struct wr_hive_partition *p = files->hive.touched[t];
        const uint32_t *rows = files->hive.grouped + p->begin;
        const uint32_t count = p->rows;
        p->rows = 0;
        if (p->directory == NULL) {
            refuse_rows(files, batch, rows, count, p->refused);
            continue;
        }
        struct wr_parquet_file *f = p->file;
        if (f == NULL) {
            WR_TRY(make_room(files, err));
            WR_TRY(create_file(files, p, &f, err));
        }
        WR_TRY(wr_parquet_append_rows(f->parquet, batch, rows, count, err));
        WR_TRY(took(f, err));
        files->rows += count;
    }
    return WR_OK;
}

static wr_status take_rows(struct wr_parquet_files *files, const struct wr_batch *batch,
                           struct wr_error *err)
{
    files->writes++;
    if (files->env->plan->partition_count > 0) {
        return write_partitioned(files, batch, err);
    }
    struct wr_parquet_file *f = files->single;
    if (f == NULL) {
        WR_TRY(create_file(files, NULL, &f, err));
    }
    WR_TRY(wr_parquet_append(f->parquet, batch, err));
    files->rows += wr_batch_live(batch);
    return took(f, err);
}

wr_status wr_parquet_files_write(struct wr_parquet_files *files, const struct wr_batch *batch,
                                 struct wr_error *err)
{
    if (wr_batch_live(batch) == 0) {
        return WR_OK;
    }
    WR_TRY(begin_pending(files, err)); /* (1) */
    WR_TRY(squeeze(files, err));
    return take_rows(files, batch, err);
}

/* ---- epochs ---- */

wr_status wr_parquet_files_prepare(struct wr_parquet_files *files, uint64_t epoch,
                                   struct wr_error *err)
{
    while (files->open_count > 0) {
        WR_TRY(finish(files->open[files->open_count - 1], err));
        WR_TRY(begin_pending(files, err));
    }
    WR_TRY(begin_pending(files, err));
    WR_TRY(settle_begun(files, err));
    for (struct wr_parquet_file *f = files->done_first; f != NULL; f = f->next) {
        wr_assert(f->durable);
        f->epoch = f->epoch == 0 ? epoch : f->epoch;
    }
    files->next_epoch = epoch + 1;
    if (files->env->plan->partition_count > 0) {
        wr_hive_forget_closed(&files->hive);
    }
    return WR_OK;
}

struct wr_parquet_file *wr_parquet_files_committed(const struct wr_parquet_files *files,
                                                   uint64_t epoch)
{
    struct wr_parquet_file *f = files->done_first;
    return f != NULL && f->epoch != 0 && f->epoch <= epoch ? f : NULL;
}

void wr_parquet_files_drop(struct wr_parquet_files *files)
{
    struct wr_parquet_file *f = files->done_first;
    files->done_first = f->next;
    files->done_last = f->next == NULL ? NULL : files->done_last;
    free_file(f);
}

uint64_t wr_parquet_files_held(const struct wr_parquet_files *files)
{
    uint64_t held = files->held + wr_parquet_shared_bytes(files->shared);
    for (const struct wr_parquet_file *f = files->pending; f != NULL; f = f->next_pending) {
        held += f->out.bytes;
    }
    if (files->single != NULL && !files->single->pending) {
        held += files->single->out.bytes; /* pieces of it are large */
    }
    return held;
}
