/* sink_delta.c: a Delta Lake table: the data files of an epoch become one commit of its log.
 *
 * Data files are objects as soon as they are prepared: nobody looks at one that the log does not
 * name. The receipt of a lane lists its files as the log will:
 * {"adds":[{"path","values":{column:text|null},"bytes","modified_ms","stats"},...]}. Lane 0 commits
 * the receipts of all lanes at once, with the epoch as the version of txn "STATE_UUID/SINK":
 * whoever commits it first, nobody does so again (table/delta.h, invariant 2). Without a state the
 * owner's id takes the place of the UUID: a repetition within the run commits once, a later run
 * knows nothing of this one.
 *
 * What predecessors left: files of epochs that were never committed are deleted where listing finds
 * them by their name's beginning, that is in tables without partitions. In partitioned ones a whole
 * table would have to be listed at every start; there they stay, invisible, until `weir table
 * vacuum`, as they do after crashes of any other Delta writer.
 *
 * Invariants:
 *   (1) only lane 0 has a table handle and writes to the log
 *   (2) a file that a receipt may name is never deleted here
 */
#include "sink/delta_upkeep.h"
#include "sink/parquet_files.h"
#include "sink/receipt_json.h"
#include "sink/sinks.h"
#include "table/delta.h"
#include "table/delta_stats.h"

#include "base/fault.h"
#include "base/heap.h"
#include "base/log.h"
#include "batch/text.h"
#include <inttypes.h>

/* Of a long chain of predecessors: older ones were cleared up after by those between. */
#define OWNERS_MAX 16u

struct wr_writer {
    struct wr_sink_env env;
    struct wr_store *store;
    struct wr_parquet_files files;
    struct wr_delta *table; /* (1) */
    struct wr_delta_upkeep *upkeep;
    char *app_id;
    uint32_t checkpoint_every;
    struct wr_sink_stats stats;
    char *mark; /* of what upkeep makes; borrowed by it */
};

static const struct wr_option delta_options[] = {
    { "path", WR_OPTION_TEXT, NULL,
      "The table: a directory, s3://bucket/prefix, az://container/path or gs://bucket/path.",
      .flags = WR_OPTION_REQUIRED },
    { "create", WR_OPTION_BOOL, "true", "Makes the table when there is none." },
    { "target_file_size", WR_OPTION_SIZE, "128MB",
      "What small files are merged up to; a file that reaches it at once is closed.",
      .min = 64 << 10, .max = 1LL << 40 },
    { "compaction", WR_OPTION_BOOL, "on",
      "Merges small files while the pipeline runs. Dead letters (on_error) are left as they are unless it is given: weir dlq reads their files in "
      "order." },
    { "checkpoint_interval", WR_OPTION_INT, "50", "Commits after which the log gets a checkpoint.",
      .min = 1, .max = 100000 },
    WR_PARQUET_FILES_OPTION_ROWS,
    { .name = NULL },
};

static bool has_state(const struct wr_sink_env *env)
{
    return env->state_uuid != NULL && env->state_uuid[0] != '\0';
}

static struct wr_delta_spec spec_of(const struct wr_plan_sink *plan)
{
    return (struct wr_delta_spec){ .name = plan->name,
                                   .schema = &plan->schema,
                                   .partition = plan->partition,
                                   .partition_count = plan->partition_count,
                                   .create = wr_options_bool(plan->options, "create"),
                                   .evolve = true,
                                   .engine = "weir/" WR_VERSION };
}

static wr_status delta_check(const struct wr_plan_sink *plan, uint32_t *bad_at,
                             struct wr_error *err)
{
    const struct wr_delta_spec spec = spec_of(plan);
    WR_TRY(wr_parquet_files_check(plan, bad_at, err));
    *bad_at = plan->at;
    return wr_delta_check_types(&spec, err);
}

/* ---- open and close ---- */

static void delta_close(struct wr_writer *w)
{
    if (w == NULL) {
        return;
    }
    wr_delta_upkeep_stop(w->upkeep);
    free(w->mark);
    wr_parquet_files_deinit(&w->files);
    wr_delta_close(w->table);
    wr_store_close(w->store);
    free(w->app_id);
    free(w);
}

static void warn_other_writer(const struct wr_writer *w)
{
    const char *other =
        has_state(&w->env) ? wr_delta_other_writer(w->table, w->app_id, w->env.plan->name) : NULL;
    if (other != NULL) {
        wr_log_warn("delta", "sink \"%s\": the table was last written with another state (%s): "
                    "what that run committed after its last position is not known to this one, "
                    "rows may be there twice", w->env.plan->name, other);
    }
}

static wr_status open_table(struct wr_writer *w, struct wr_error *err)
{
    const struct wr_plan_sink *plan = w->env.plan;
    const struct wr_delta_spec spec = spec_of(plan);
    WR_TRY(wr_delta_open(&w->table, w->store, &spec, err));
    warn_other_writer(w);
    if (w->env.background) {
        struct wr_buf mark = { 0 };
        wr_parquet_files_mark(plan, w->env.owner, &mark);
        w->mark = wr_strdup(wr_buf_cstr(&mark));
        wr_buf_deinit(&mark);
        w->upkeep = wr_delta_upkeep_start(
            plan, &(struct wr_delta_upkeep_options){
                      .compact = wr_options_bool(plan->options, "compaction") &&
                                 (plan->feed != WR_FEED_ERRORS ||
                                  wr_options_given(plan->options, "compaction")),
                      .target_bytes = (uint64_t)wr_options_int(plan->options, "target_file_size"),
                      .checkpoint_every = w->checkpoint_every,
                      .mark = w->mark });
    }
    return WR_OK;
}

static wr_status delta_open(struct wr_writer **writer, const struct wr_sink_env *env,
                            struct wr_error *err)
{
    static const struct wr_parquet_files_way way = { .at_once = true,
                                                     .json_as_text = true,
                                                     .partition_text = wr_delta_partition_text,
                                                     .stats = wr_delta_stats };
    struct wr_writer *w = wr_calloc(1, sizeof *w);
    struct wr_buf id = { 0 };
    w->env = *env;
    w->checkpoint_every = (uint32_t)wr_options_int(env->plan->options, "checkpoint_interval");
    wr_buf_printf(&id, "%s/%s", has_state(env) ? env->state_uuid : env->owner, env->plan->name);
    w->app_id = wr_strdup(wr_buf_cstr(&id));
    wr_buf_deinit(&id);
    wr_status status = wr_store_open(&w->store, wr_options_text(env->plan->options, "path"),
                                     env->plan->options, env->io, err);
    if (status == WR_OK) {
        wr_parquet_files_init(&w->files, &w->env, &way, w->store);
        status = env->lane == 0 ? open_table(w, err) : WR_OK;
    }
    if (status != WR_OK) {
        delta_close(w);
        return status;
    }
    *writer = w;
    return WR_OK;
}

/* ---- receipts ---- */

static void append_add(const struct wr_parquet_file *f, struct wr_buf *receipt)
{
    wr_buf_text(receipt, "{\"path\":");
    wr_text_json_string(receipt, f->key, strlen(f->key));
    wr_buf_printf(receipt, ",\"values\":%s,\"bytes\":%" PRIu64 ",\"modified_ms\":%" PRId64
                  ",\"stats\":", f->values, f->bytes, f->modified_ms);
    wr_text_json_string(receipt, f->stats, strlen(f->stats));
    wr_buf_byte(receipt, '}');
}

/* What the receipts of an epoch say, and where that lies. */
struct adds {
    struct wr_arena arena;
    json_t **receipts;
    uint32_t receipt_count;
    struct wr_delta_add *list;
    uint32_t count;
};

static void adds_deinit(struct adds *adds)
{
    for (uint32_t i = 0; i < adds->receipt_count; i++) {
        json_decref(adds->receipts[i]);
    }
    wr_arena_deinit(&adds->arena);
}

static wr_status read_values(struct wr_writer *w, struct adds *adds, json_t *values,
                             struct wr_delta_add *add, struct wr_error *err)
{
    const char *column;
    json_t *value;
    if (!json_is_object(values)) {
        return wr_receipt_bad(&w->env, "values", err);
    }
    struct wr_delta_partition_value *list =
        wr_arena_alloc(&adds->arena, (json_object_size(values) + 1) * sizeof *list);
    add->partition = list;
    json_object_foreach(values, column, value)
    {
        if (!json_is_string(value) && !json_is_null(value)) {
            return wr_receipt_bad(&w->env, "values", err);
        }
        list[add->partition_count++] =
            (struct wr_delta_partition_value){ column, json_string_value(value) };
    }
    return WR_OK;
}

static wr_status read_add(struct wr_writer *w, struct adds *adds, const json_t *from,
                          struct wr_error *err)
{
    struct wr_delta_add *add = &adds->list[adds->count];
    uint64_t modified_ms;
    *add = (struct wr_delta_add){ 0 };
    WR_TRY(wr_receipt_text(&w->env, from, "path", &add->path, err));
    WR_TRY(wr_receipt_text(&w->env, from, "stats", &add->stats, err));
    WR_TRY(wr_receipt_u64(&w->env, from, "bytes", &add->bytes, err));
    WR_TRY(wr_receipt_u64(&w->env, from, "modified_ms", &modified_ms, err));
    add->modified_ms = (int64_t)modified_ms;
    WR_TRY(read_values(w, adds, json_object_get(from, "values"), add, err));
    adds->count++;
    return WR_OK;
}

static wr_status read_receipts(struct wr_writer *w, struct adds *adds,
                               const struct wr_receipt *receipts, uint32_t count,
                               struct wr_error *err)
{
    size_t total = 0;
    wr_arena_init(&adds->arena, 16384);
    adds->receipts = wr_arena_alloc(&adds->arena, (count + 1) * sizeof(json_t *));
    for (uint32_t i = 0; i < count; i++) {
        WR_TRY(wr_receipt_parse(&w->env, &receipts[i], &adds->receipts[i], err));
        adds->receipt_count++;
        total += json_array_size(json_object_get(adds->receipts[i], "adds"));
    }
    adds->list = wr_arena_alloc(&adds->arena, (total + 1) * sizeof *adds->list);
    for (uint32_t i = 0; i < count; i++) {
        const json_t *array = json_object_get(adds->receipts[i], "adds");
        if (!json_is_array(array)) {
            return wr_receipt_bad(&w->env, "adds", err);
        }
        for (size_t k = 0; k < json_array_size(array); k++) {
            WR_TRY(read_add(w, adds, json_array_get(array, k), err));
        }
    }
    return WR_OK;
}

/* Makes the epoch's files part of the table, unless they are already. */
static wr_status commit(struct wr_writer *w, uint64_t epoch, const struct wr_receipt *receipts,
                        uint32_t count, struct wr_error *err)
{
    struct adds adds = { 0 };
    int64_t version = -1;
    wr_status status = read_receipts(w, &adds, receipts, count, err);
    if (status == WR_OK && adds.count > 0) {
        status = wr_delta_append(w->table,
                                 &(struct wr_delta_commit){ .app_id = w->app_id,
                                                            .version = (int64_t)epoch,
                                                            .operation = "STREAMING UPDATE",
                                                            .adds = adds.list,
                                                            .add_count = adds.count },
                                 &version, err);
    }
    adds_deinit(&adds);
    return status;
}

/* ---- recovery ---- */

struct leftovers {
    uint64_t committed; /* the newest epoch that is */
    struct wr_buf keys; /* NUL-terminated, one after the other */
    size_t mark_bytes;  /* of "part-OWNER-SINK" */
};

/* part-OWNER-SINK-LANE-EPOCH-N: an epoch above the committed one never will be (its owner is
 * fenced); 0 is not known. */
static void note_leftover(void *ctx, const char *key, uint64_t bytes)
{
    struct leftovers *l = ctx;
    uint32_t lane;
    uint64_t epoch;
    if (sscanf(key + l->mark_bytes, "-%" SCNu32 "-%" SCNu64 "-", &lane, &epoch) == 2 &&
        epoch > l->committed) {
        wr_buf_append(&l->keys, key, strlen(key) + 1);
    }
}

static wr_status remove_leftovers(struct wr_writer *w, const char *owner, uint64_t committed,
                                  struct wr_error *err)
{
    struct leftovers l = { .committed = committed };
    struct wr_buf prefix = { 0 };
    wr_buf_text(&prefix, "part-");
    wr_parquet_files_mark(w->env.plan, owner, &prefix);
    l.mark_bytes = prefix.bytes;
    wr_status status =
        wr_store_list(w->store, wr_buf_cstr(&prefix), NULL, note_leftover, &l, err);
    for (size_t at = 0; status == WR_OK && at < l.keys.bytes; at += strlen(l.keys.data + at) + 1) {
        status = wr_store_delete(w->store, l.keys.data + at, err);
    }
    wr_buf_deinit(&prefix);
    wr_buf_deinit(&l.keys);
    return status;
}

/* Files that were being sent when their owner ended: no receipt names an upload that is not whole. */
static wr_status abandon_uploads(struct wr_writer *w, const char *owner, struct wr_error *err)
{
    struct wr_buf mark = { 0 };
    wr_parquet_files_mark(w->env.plan, owner, &mark);
    const wr_status status = wr_store_abandon(w->store, "", wr_buf_cstr(&mark), NULL, NULL, err);
    wr_buf_deinit(&mark);
    return status;
}

static wr_status delta_recover(struct wr_writer *w, const struct wr_sink_recovery *recovery,
                               struct wr_error *err)
{
    int64_t version;
    WR_TRY(wr_delta_txn(w->table, w->app_id, &version, err));
    if (version < 0 || (uint64_t)version < recovery->epoch) {
        WR_TRY(commit(w, recovery->epoch, recovery->receipts, recovery->receipt_count, err));
    }
    WR_FAULT("sink_delta.after_recovery_commit");
    uint64_t committed = recovery->epoch;
    if (version > 0 && (uint64_t)version > committed) {
        committed = (uint64_t)version; /* the sink was out of the pipeline for a while */
    }
    const uint32_t first =
        recovery->owner_count > OWNERS_MAX ? recovery->owner_count - OWNERS_MAX : 0;
    for (uint32_t i = first; i < recovery->owner_count; i++) {
        if (w->env.plan->partition_count == 0) {
            WR_TRY(remove_leftovers(w, recovery->owners[i], committed, err));
        }
        WR_TRY(abandon_uploads(w, recovery->owners[i], err));
    }
    return WR_OK;
}

/* ---- writing and epochs ---- */

static wr_status delta_write(struct wr_writer *w, const struct wr_batch *batch, struct wr_time now,
                             struct wr_error *err)
{
    return wr_parquet_files_write(&w->files, batch, err);
}

static wr_status delta_prepare(struct wr_writer *w, uint64_t epoch, struct wr_buf *receipt,
                               struct wr_error *err)
{
    WR_TRY(wr_parquet_files_prepare(&w->files, epoch, err));
    const char *before = "{\"adds\":[";
    for (const struct wr_parquet_file *f = w->files.done_first; f != NULL; f = f->next) {
        if (f->epoch == epoch) {
            wr_buf_text(receipt, before);
            append_add(f, receipt);
            before = ",";
        }
    }
    if (before[0] == ',') {
        wr_buf_text(receipt, "]}");
    }
    return WR_OK;
}

/* Without a thread for it (simulations): the log must not grow without a checkpoint. */
static void checkpoint_inline(struct wr_writer *w)
{
    struct wr_error err;
    if (w->upkeep == NULL && wr_delta_checkpoint(w->table, w->checkpoint_every, &err) != WR_OK) {
        wr_error_prefix(&err, "sink \"%s\": writing a checkpoint", w->env.plan->name);
        wr_log_error(WR_LOG_DEBUG, "delta", &err); /* the next commit tries again */
    }
}

static wr_status delta_publish(struct wr_writer *w, uint64_t epoch,
                               const struct wr_receipt *receipts, uint32_t receipt_count,
                               struct wr_error *err)
{
    if (w->table != NULL && receipt_count > 0) {
        WR_TRY(commit(w, epoch, receipts, receipt_count, err));
        WR_FAULT("sink_delta.after_commit");
        checkpoint_inline(w);
    }
    const struct wr_parquet_file *f;
    while ((f = wr_parquet_files_committed(&w->files, epoch)) != NULL) {
        w->stats.files++;
        w->stats.bytes += f->bytes;
        wr_parquet_files_drop(&w->files);
    }
    return WR_OK;
}

static void delta_stats(const struct wr_writer *w, struct wr_sink_stats *stats)
{
    *stats = w->stats;
    stats->rows = w->files.rows;
}

static uint64_t delta_held_bytes(const struct wr_writer *w)
{
    return wr_parquet_files_held(&w->files);
}

const struct wr_sink_ops wr_sink_delta = {
    .name = "delta",
    .help = "A Delta Lake table, local or on S3: one commit an epoch, each row once.",
    .options = delta_options,
    .parallel = true,
    .transactional = true,
    .exactly_once = true,
    .bulk = true,
    .check = delta_check,
    .open = delta_open,
    .recover = delta_recover,
    .write = delta_write,
    .prepare = delta_prepare,
    .publish = delta_publish,
    .stats = delta_stats,
    .held_bytes = delta_held_bytes,
    .close = delta_close,
};
