/* delta_compact.c: many small files of one partition -> one, as a commit that changes no data.
 *
 * Which files: those below half of the target, by partition and age (neighbours in time stay neighbours, so that bounds of times
 * go on pruning). A partition's files are merged
 *   - when they fill a target: the oldest of them, each byte once;
 *   - when there are MANY_FILES of them, or nothing was added for settle_ms: by tiers, that is without a file that is
 *     larger than all smaller ones together, so that a byte is copied a logarithmic number of times;
 *   - when nothing was added for QUIET times settle_ms, or by command: all of them.
 */
#include "table/delta_log.h"

#include "base/clock.h"
#include "base/heap.h"
#include "encode/parquet_merge.h"
#include "table/delta_stats.h"

#include <stdlib.h>
#include <string.h>

#define MANY_FILES      64u
#define QUIET           4
#define GROUP_FILES_MAX 2000u /* so that one call stays a matter of seconds */

/* ---- choosing ---- */

static int by_partition_and_age(const void *a, const void *b)
{
    const struct wr_delta_file *x = *(struct wr_delta_file *const *)a;
    const struct wr_delta_file *y = *(struct wr_delta_file *const *)b;
    const int order = strcmp(x->partition, y->partition);
    if (order != 0) {
        return order;
    }
    if (x->modified_ms != y->modified_ms) {
        return x->modified_ms < y->modified_ms ? -1 : 1;
    }
    return strcmp(x->path, y->path);
}

static int by_size(const void *a, const void *b)
{
    const struct wr_delta_file *x = *(struct wr_delta_file *const *)a;
    const struct wr_delta_file *y = *(struct wr_delta_file *const *)b;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* The caller frees. */
static struct wr_delta_file **small_files(const struct wr_delta *table, uint64_t target_bytes,
                                          uint32_t *count)
{
    const struct wr_delta_map *files = &table->state.files;
    struct wr_delta_file **small = wr_malloc((files->count + 1) * sizeof(struct wr_delta_file *));
    *count = 0;
    for (uint32_t i = 0; i < files->slot_count; i++) {
        struct wr_delta_file *file = wr_delta_map_at(files, i);
        if (file != NULL && file->bytes < target_bytes / 2 && !file->leave_alone) {
            small[(*count)++] = file;
        }
    }
    qsort(small, *count, sizeof *small, by_partition_and_age);
    return small;
}

/* Sorts by size and leaves out files larger than all smaller ones together; returns how many are left. */
static uint32_t lowest_tier(struct wr_delta_file **files, uint32_t count, uint64_t bytes)
{
    qsort(files, count, sizeof *files, by_size);
    while (count > 0 && files[count - 1]->bytes > bytes - files[count - 1]->bytes) {
        count--;
        bytes -= files[count]->bytes;
    }
    qsort(files, count, sizeof *files, by_partition_and_age);
    return count;
}

/* files: the small ones of one partition. Returns how many of them, from the first on, are worth merging now; they may
 * have been put in another order. */
static uint32_t group_of(struct wr_delta_file **files, uint32_t count,
                         const struct wr_delta_compact_options *options)
{
    uint64_t bytes = 0;
    uint32_t taken = 0;
    const int64_t age_ms = wr_clock_now().wall_us / 1000 - files[count - 1]->modified_ms;
    while (taken < count && taken < GROUP_FILES_MAX && bytes < options->target_bytes) {
        bytes += files[taken++]->bytes;
    }
    const bool full = bytes >= options->target_bytes || taken == GROUP_FILES_MAX;
    const bool quiet = options->settle_ms <= INT64_MAX / QUIET && age_ms >= options->settle_ms * QUIET;
    if (full || options->everything || quiet) {
        return taken >= 2 ? taken : 0;
    }
    if (count >= MANY_FILES || age_ms >= options->settle_ms) {
        taken = lowest_tier(files, count, bytes);
        return taken >= 2 ? taken : 0;
    }
    return 0;
}

/* Finds the first group; *more: there is another behind it. */
static struct wr_delta_file **choose(struct wr_delta_file **small, uint32_t count,
                                     const struct wr_delta_compact_options *options,
                                     uint32_t *group_count, bool *more)
{
    struct wr_delta_file **group = NULL;
    *group_count = 0;
    *more = false;
    for (uint32_t begin = 0, end; begin < count && !*more; begin = end) {
        for (end = begin + 1;
             end < count && strcmp(small[begin]->partition, small[end]->partition) == 0; end++) {
        }
        const uint32_t taken = group_of(small + begin, end - begin, options);
        if (taken > 0 && group == NULL) {
            group = small + begin;
            *group_count = taken;
            *more = end - begin - taken >= 2;
        } else if (taken > 0) {
            *more = true;
        }
    }
    return group;
}

/* ---- merging ---- */

struct input {
    struct wr_store *store;
    const char *key;
    bool missing;
};

static wr_status fetch(void *ctx, uint64_t offset, uint64_t bytes, struct wr_buf *into,
                       struct wr_error *err)
{
    struct input *input = ctx;
    const wr_status status =
        wr_store_get_range(input->store, input->key, offset, bytes, into, err);
    if (status == WR_END) {
        input->missing = true;
        return wr_fail(err, WR_CLASS_FATAL, "the file %s is in the table's log, but not there",
                       input->key);
    }
    return status;
}

static wr_status into_upload(void *ctx, const void *bytes, size_t n, struct wr_error *err)
{
    return wr_upload_write(ctx, bytes, n, err);
}

struct job {
    struct wr_delta *table;
    const char *mark;
    struct wr_delta_file **group;
    uint32_t group_count;
    const char **removes; /* of those that went in; room for all */
    uint32_t remove_count;
    uint64_t bytes_before;
    struct wr_buf key;
    struct wr_upload *upload;
    struct wr_parquet_merge *merge;
    struct wr_schema schema;
    uint8_t *partition_flags;
    struct wr_arena arena;
};

/* In the directory of the first file. */
static bool name_output(struct job *job, const char *mark)
{
    char id[37];
    job->key.bytes = 0;
    if (!wr_delta_path_decode(job->group[0]->path, &job->key)) {
        return false;
    }
    while (job->key.bytes > 0 && job->key.data[job->key.bytes - 1] != '/') {
        job->key.bytes--;
    }
    wr_delta_uuid(id);
    wr_buf_printf(&job->key, "merged-%s%s%s.zstd.parquet", mark != NULL ? mark : "",
                  mark != NULL ? "-" : "", id);
    return true;
}

/* Rows that the log counts in the file; -1: it does not tell. */
static int64_t rows_told(const struct wr_delta_file *file)
{
    json_t *stats = file->stats == NULL ? NULL : json_loads(file->stats, 0, NULL);
    const json_t *number = json_object_get(stats, "numRecords");
    const int64_t rows = json_is_integer(number) ? json_integer_value(number) : -1;
    json_decref(stats);
    return rows;
}

static wr_status merge_file(struct job *job, const struct wr_delta_file *file, struct input *input,
                            struct wr_error *err)
{
    const uint64_t before = wr_parquet_merge_rows(job->merge);
    WR_TRY(wr_parquet_merge_add(job->merge, fetch, input, file->bytes, err));
    const int64_t rows = (int64_t)(wr_parquet_merge_rows(job->merge) - before);
    const int64_t told = rows_told(file);
    /* A footer that tells of other rows than the log would make rows come or go. */
    wr_ensure(told < 0 || told == rows, err, WR_CLASS_FATAL,
              "it holds %lld rows, but the table's log counts %lld: it is not merged",
              (long long)rows, (long long)told);
    return WR_OK;
}

static wr_status add_input(struct job *job, struct wr_delta_file *file, struct wr_error *err)
{
    struct wr_buf key = { 0 };
    if (!wr_delta_path_decode(file->path, &key)) {
        file->leave_alone = true; /* elsewhere: a clone's */
        wr_buf_deinit(&key);
        return WR_OK;
    }
    struct input input = { .store = job->table->store, .key = wr_buf_cstr(&key) };
    const wr_status status = merge_file(job, file, &input, err);
    if (status == WR_OK) {
        /* A copy: replaying what others commit may free the file's own text while ours waits for its turn. */
        job->removes[job->remove_count++] = wr_arena_strdup(&job->arena, file->path);
        job->bytes_before += file->bytes;
    } else if (status == WR_FAIL && (err == NULL || err->cls != WR_CLASS_RETRY)) {
        file->leave_alone = true; /* the next call goes on with the others */
        wr_error_prefix(err, "%s", wr_buf_cstr(&key));
    }
    wr_buf_deinit(&key);
    return status == WR_END ? WR_OK : status;
}

static wr_status merge_inputs(struct job *job, struct wr_error *err)
{
    for (uint32_t i = 0; i < job->group_count; i++) {
        WR_TRY(add_input(job, job->group[i], err));
    }
    if (job->remove_count < 2) {
        /* The first one has a schema of its own (from before a column was added): without it the others may go together. */
        job->group[0]->leave_alone = true;
        return WR_END;
    }
    WR_TRY(wr_parquet_merge_finish(job->merge, err));
    WR_TRY(wr_upload_prepare(job->upload, err));
    return wr_upload_publish(job->upload, err);
}

static uint32_t partition_values(struct job *job, const char *partition,
                                 struct wr_delta_partition_value **values)
{
    json_t *object = json_loads(partition, 0, NULL);
    const char *key;
    json_t *value;
    uint32_t count = 0;
    *values = WR_ARENA_ARRAY(&job->arena, struct wr_delta_partition_value,
                             json_object_size(object) + 1);
    json_object_foreach(object, key, value) {
        (*values)[count].column = wr_arena_strdup(&job->arena, key);
        (*values)[count++].value =
            json_is_string(value) ? wr_arena_strdup(&job->arena, json_string_value(value)) : NULL;
    }
    json_decref(object);
    return count;
}

static wr_status commit_merged(struct job *job, struct wr_error *err)
{
    struct wr_parquet_summary summary;
    struct wr_buf stats = { 0 };
    struct wr_delta_partition_value *values;
    const uint32_t value_count = partition_values(job, job->group[0]->partition, &values);
    int64_t version;
    wr_parquet_merge_summarize(job->merge, &summary);
    wr_delta_stats(&summary, &job->schema, &stats);
    wr_parquet_summary_deinit(&summary);
    const struct wr_delta_add add = {
        .path = wr_buf_cstr(&job->key),
        .partition_count = value_count,
        .partition = values,
        .bytes = wr_parquet_merge_bytes(job->merge),
        .modified_ms = wr_clock_now().wall_us / 1000,
        .stats = wr_buf_cstr(&stats),
    };
    const struct wr_delta_commit commit = {
        .operation = "OPTIMIZE",
        .adds = &add,
        .add_count = 1,
        .removes = job->removes,
        .remove_count = job->remove_count,
    };
    const wr_status status = wr_delta_commit_files(job->table, &commit, &version, err);
    wr_buf_deinit(&stats);
    return status;
}

static wr_status run_job(struct job *job, struct wr_delta_compact_result *result,
                         struct wr_error *err)
{
    struct wr_delta *table = job->table;
    WR_TRY(wr_delta_table_schema(&table->state, &job->arena, &job->schema, &job->partition_flags,
                                 err));
    if (!name_output(job, job->mark)) {
        job->group[0]->leave_alone = true;
        return WR_END;
    }
    job->removes = WR_ARENA_ARRAY(&job->arena, const char *, job->group_count);
    WR_TRY(wr_upload_open(&job->upload, table->store, wr_buf_cstr(&job->key), err));
    job->merge =
        wr_parquet_merge_create(&job->schema, job->partition_flags, into_upload, job->upload);
    WR_TRY(merge_inputs(job, err));
    const wr_status status = commit_merged(job, err);
    if (status == WR_OK) {
        result->files_before = job->remove_count;
        result->files_after = 1;
        result->bytes = job->bytes_before;
    } else if (status == WR_END) {
        /* The race was lost. What cannot be removed now is vacuum's. */
        const wr_status removed = wr_store_delete(table->store, wr_buf_cstr(&job->key), NULL);
        (void)removed;
    }
    return status;
}

static void job_deinit(struct job *job)
{
    wr_parquet_merge_destroy(job->merge);
    wr_upload_close(job->upload);
    wr_buf_deinit(&job->key);
    wr_arena_deinit(&job->arena);
}

wr_status wr_delta_compact(struct wr_delta *table, const struct wr_delta_compact_options *options,
                           struct wr_delta_compact_result *result, struct wr_error *err)
{
    uint32_t count;
    struct job job = { .table = table, .mark = options->mark };
    *result = (struct wr_delta_compact_result){ 0 };
    WR_TRY(wr_delta_refresh(table, err));
    struct wr_delta_file **small = small_files(table, options->target_bytes, &count);
    job.group = choose(small, count, options, &job.group_count, &result->more);
    wr_status status = WR_OK;
    if (job.group != NULL) {
        wr_arena_init(&job.arena, 16 << 10);
        status = run_job(&job, result, err);
        job_deinit(&job);
        if (status == WR_END) {
            result->more = true; /* nothing was done this time, but the group is another now */
            status = WR_OK;
        }
    }
    free(small);
    return status;
}
