#include "run/scan.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/log.h"
#include "decode/metadata.h"
#include "decode/payload_unpack.h"
#include "run/replay.h"
#include "run/restore.h"
#include "run/worker.h"
#include "state/snapshot.h"
#include <xxhash.h>

/* Batches of one scan that may be out at once: those in the lanes to sink workers and back, one under
 * construction, one ready, and some that windows' late rows or partitions hold for a moment. */
static uint32_t pool_limit(const struct wr_pipeline *p)
{
    uint32_t limit = 4;
    limit += p->config.lane_batches * (p->plan->sink_count + 1); /* lanes to sinks, each direction shared */
    return limit;
}

static wr_status open_decoder(const struct wr_scan *scan, const struct wr_schema *schema,
                              struct wr_decoder **decoder, struct wr_error *err)
{
    const struct wr_decoder_ops *ops = wr_decoder_find(scan->plan->format);
    wr_ensure(ops != NULL, err, WR_CLASS_USER, "source \"%s\": there is no format '%s'",
              scan->plan->name, scan->plan->format);
    return wr_decoder_create(decoder, ops, schema, scan->plan->options, err);
}

static wr_status open_expressions(struct wr_scan *scan, struct wr_error *err)
{
    const struct wr_plan_source *plan = scan->plan;
    const struct wr_slice text = scan->pipeline->plan->text;
    if (plan->watermark != NULL && plan->watermark_delay_us < 0) {
        WR_TRY(wr_eval_create(&scan->watermark, plan->watermark, &plan->scan, text, err));
    }
    scan->computed = wr_calloc(plan->scan.count + 1, sizeof(struct wr_eval *));
    for (uint32_t c = 0; plan->computed != NULL && c < plan->scan.count; c++) {
        if (plan->computed[c] != NULL) {
            WR_TRY(wr_eval_create(&scan->computed[c], plan->computed[c], &plan->scan, text, err));
        }
    }
    return WR_OK;
}

static bool feeds(const struct wr_plan_sink *sink, uint32_t source)
{
    for (uint32_t i = 0; i < sink->source_count; i++) {
        if (sink->sources[i] == source) {
            return sink->feed == WR_FEED_QUERY;
        }
    }
    return false;
}

wr_status wr_scan_open(struct wr_scan *scan, struct wr_worker *worker, uint32_t source,
                       struct wr_error *err)
{
    struct wr_pipeline *p = worker->pipeline;
    *scan = (struct wr_scan){ .pipeline = p, .worker = worker, .source = source };
    scan->plan = &p->plan->sources[source];
    scan->counters = &worker->source_counters[source];
    scan->ops = p->source_ops[source];
    scan->passed_us = WR_TIME_MIN;
    scan->held_until_ns = INT64_MAX;
    scan->header_split = UINT32_MAX;
    for (uint32_t k = 0; k < p->plan->sink_count; k++) {
        scan->feeds_rows = scan->feeds_rows ||
                           (feeds(&p->plan->sinks[k], source) && !p->plan->sinks[k].windowed);
    }
    scan->seen = p->seen[source];
    scan->seen_keys = scan->seen != NULL ? wr_calloc(WR_BATCH_ROWS_MAX, sizeof *scan->seen_keys) : NULL;
    scan->muted = wr_calloc(p->plan->sink_count + 1, sizeof *scan->muted);
    scan->pool = wr_batch_pool_create(&scan->plan->scan, p->config.batch_rows, pool_limit(p));
    if (!scan->ops->makes_columns) {
        WR_TRY_IN(open_decoder(scan, &scan->plan->scan, &scan->decoder, err), err, "source \"%s\"",
                  scan->plan->name);
        scan->unpack = wr_payload_unpack_create(wr_options_text(scan->plan->options, "compression"), scan->plan->format);
    }
    WR_TRY_IN(open_expressions(scan, err), err, "source \"%s\"", scan->plan->name);
    WR_TRY_IN(scan->ops->reader_open(&scan->reader, p->sources[source], worker->index, worker->io,
                                     err),
              err, "source \"%s\" (%s)", scan->plan->name, scan->ops->name);
    return WR_OK;
}

void wr_scan_close(struct wr_scan *scan)
{
    if (scan->plan == NULL) {
        return;
    }
    wr_records_release(scan->rest.records);
    wr_records_release(scan->held.records); /* not read: they are there again after the next start */
    wr_batch_release(scan->ready);
    wr_batch_pool_destroy(scan->pool);
    wr_batch_pool_destroy(scan->late_pool);
    if (scan->reader != NULL) {
        scan->ops->reader_close(scan->reader);
    }
    wr_payload_unpack_destroy(scan->unpack);
    wr_decoder_destroy(scan->decoder);
    wr_decoder_destroy(scan->late_decoder);
    wr_faults_deinit(&scan->faults);
    wr_eval_faults_deinit(&scan->eval_faults);
    wr_eval_destroy(scan->watermark);
    for (uint32_t c = 0; scan->computed != NULL && c < scan->plan->scan.count; c++) {
        wr_eval_destroy(scan->computed[c]);
    }
    free(scan->computed);
    for (uint32_t s = 0; s < scan->split_capacity; s++) {
        if (scan->splits[s] != NULL) {
            free(scan->splits[s]->name);
            free(scan->splits[s]->header);
            free(scan->splits[s]->ledger);
            free(scan->splits[s]);
        }
    }
    free(scan->splits);
    free(scan->muted);
    free(scan->seen_keys);
    wr_buf_deinit(&scan->seen_log);
    *scan = (struct wr_scan){ 0 };
}

/* ---- splits ---- */

static struct wr_scan_split *split_at(struct wr_scan *scan, uint32_t index)
{
    wr_assert(index < scan->split_capacity && scan->splits[index] != NULL);
    return scan->splits[index];
}

/* A split that becomes active may not bring rows below what is out: see watermark_hub.h. */
static void activate(struct wr_scan *scan, struct wr_scan_split *split)
{
    int64_t floor = wr_hub_activate(&scan->pipeline->hub, scan->source, scan->worker->index);
    if (scan->passed_us > floor) {
        floor = scan->passed_us; /* other splits of this worker may be ahead of the world */
    }
    split->state = WR_SPLIT_ACTIVE;
    if (floor > split->watermark_us) {
        split->watermark_us = floor;
        const struct wr_activation_cut note = { scan->source, split->name, split->next_position,
                                                floor };
        wr_epoch_cut_activation(&scan->worker->activations, &note);
    }
}

/* A split that the manifest knows goes on as it was, without a floor: the manifest has those that it got. Once: when it comes to
 * this process again later it is like any other. */
static bool resume(struct wr_scan *scan, struct wr_scan_split *split)
{
    struct wr_split_resume *from =
        wr_recovery_split(scan->pipeline->recovery, scan->source, split->name);
    if (from == NULL || atomic_exchange_explicit(&from->taken, true, memory_order_relaxed)) {
        return false;
    }
    split->watermark_us = from->at.watermark_us;
    split->max_event_us = from->at.max_event_us;
    split->resume = from->mark_count > 0 ? from : NULL;
    split->next_mark = 0;
    split->replaying = from->replay_until > from->at.position;
    /* A replay gets its floors from the manifest alone, and windows must wait for its rows: it is active from the start. */
    split->state = from->at.idle && !split->replaying ? WR_SPLIT_IDLE : WR_SPLIT_ACTIVE;
    for (uint32_t k = 0; k < scan->pipeline->plan->sink_count; k++) {
        if (split->ledger[k] != NULL) {
            wr_ledger_add(split->ledger[k], &from->ledger[k]);
        }
    }
    return true;
}

static void take_note(struct wr_scan_split *split, const char *note)
{
    if (note != NULL) {
        wr_assert(strlen(note) < sizeof split->note); /* cut, it would lead elsewhere */
        (void)snprintf(split->note, sizeof split->note, "%s", note);
    }
}

static void split_opened(struct wr_scan *scan, const struct wr_poll *poll)
{
    if (poll->split >= scan->split_capacity) {
        const uint32_t capacity = poll->split + 1 + poll->split / 2 + 8;
        scan->splits = wr_realloc(scan->splits, capacity * sizeof(struct wr_scan_split *));
        memset(scan->splits + scan->split_capacity, 0,
               (capacity - scan->split_capacity) * sizeof(struct wr_scan_split *));
        scan->split_capacity = capacity;
    }
    struct wr_scan_split *split = scan->splits[poll->split];
    if (split == NULL) {
        split = wr_calloc(1, sizeof *split);
        split->index = poll->split;
        split->watermark_us = WR_TIME_MIN;
        split->max_event_us = WR_TIME_MIN;
        split->ledger = wr_calloc(scan->pipeline->plan->sink_count + 1, sizeof *split->ledger);
        for (uint32_t k = 0; k < scan->pipeline->plan->sink_count; k++) {
            if (feeds(&scan->pipeline->plan->sinks[k], scan->source)) {
                split->ledger[k] = wr_worker_ledger(scan->worker, k, scan->source, poll->split);
            }
        }
        scan->splits[poll->split] = split;
    }
    free(split->name);
    split->name = wr_strdup(poll->split_name != NULL ? poll->split_name : "");
    split->topic = poll->topic;
    split->note[0] = '\0';
    take_note(split, poll->split_note);
    split->partition = poll->partition;
    split->next_position = poll->next_position;
    split->caught_up_since_ns = INT64_MAX;
    split->paused = false; /* whoever had it before it came back */
    if (!resume(scan, split)) {
        activate(scan, split);
    }
    wr_counter_add(&scan->worker->splits_opened, 1);
}

/* ---- dead letters ---- */

static void origin_of(const struct wr_scan *scan, const struct wr_batch *batch, uint32_t row,
                      struct wr_side_origin *origin)
{
    const struct wr_scan_split *split = scan->splits[batch->origin.split];
    *origin = (struct wr_side_origin){ .source_name = scan->plan->name,
                                       .split_name = split->name,
                                       .position = batch->origin.position_first + row,
                                       .timestamp_us = batch->ingest_us,
                                       .ingest_us = batch->ingest_us };
    if (batch->records != NULL) {
        origin->records = batch->records;
        origin->record = row;
        origin->position = batch->records->items[row].position;
        origin->timestamp_us = batch->records->items[row].timestamp_us;
    }
    if (batch->records != NULL && scan->pipeline->config.replay != NULL) { /* where it was read first */
        struct wr_replay_origin first;
        wr_replay_origin_of(batch->records, row, &first);
        origin->split_name = first.split;
        origin->position = first.position;
    }
}

/* A side sink that has had its row of the first time. */
static bool side_has(const struct wr_scan *scan, const struct wr_batch *batch, uint32_t sink,
                     int64_t position)
{
    const struct wr_scan_split *split = scan->splits[batch->origin.split];
    return split->resume != NULL && position < split->resume->skip[sink];
}

void wr_scan_dead_letter(struct wr_scan *scan, const struct wr_batch *batch, uint32_t row,
                         const uint32_t *sinks, uint32_t sink_count, const char *message,
                         const char *field)
{
    struct wr_side_origin origin;
    origin_of(scan, batch, row, &origin);
    origin.failing = sinks;
    origin.failing_count = sink_count;
    if (scan->plan->on_error == WR_ON_ERROR_SINK &&
        side_has(scan, batch, scan->plan->error_sink, origin.position)) {
        return;
    }
    wr_counter_add(&scan->counters->dead, 1);
    if (scan->plan->on_error == WR_ON_ERROR_SINK) {
        wr_side_rows_dead_letter(scan->worker->side, scan->plan->error_sink, &origin,
                                 (struct wr_slice){ 0 }, message, field);
    } else if (scan->plan->on_error == WR_ON_ERROR_FAIL) {
        struct wr_error err;
        (void)wr_fail(&err, WR_CLASS_FATAL, "source \"%s\" (%s): %s, position %lld: %s",
                      scan->plan->name, scan->ops->name, origin.split_name,
                      (long long)origin.position, message);
        if (field != NULL && field[0] != '\0') {
            wr_error_detail(&err, "field %s", field);
        }
        wr_error_hint(&err, "on_error = 'fail' stops here; name a side sink (on_error = '%s_bad') to "
                            "keep such records and go on",
                      scan->plan->name);
        wr_epoch_fail(&scan->pipeline->board, &err);
    }
}

/* A row that no query sees: counted for each sink of the source. A letter that is replayed for some sinks alone stays one for them. */
static void refuse(struct wr_scan *scan, struct wr_scan_split *split, const struct wr_batch *batch,
                   uint32_t row, const char *message, const char *field)
{
    uint32_t sinks[scan->pipeline->plan->sink_count + 1];
    uint32_t count = 0;
    for (uint32_t k = 0; k < scan->pipeline->plan->sink_count; k++) {
        if (split->ledger[k] != NULL && !scan->muted[k]) {
            split->ledger[k]->dead_lettered++;
            sinks[count++] = k;
        }
    }
    wr_scan_dead_letter(scan, batch, row, scan->letter_muted ? sinks : NULL, count, message, field);
}

/* ---- late rows ---- */

static struct wr_batch *decode_all_columns(struct wr_scan *scan, const struct wr_batch *batch,
                                           uint32_t row)
{
    if (scan->late_decoder == NULL) {
        struct wr_error err;
        if (open_decoder(scan, &scan->plan->declared, &scan->late_decoder, &err) != WR_OK) {
            return NULL; /* the same options made the scan's decoder; only its own columns remain */
        }
        scan->late_pool = wr_batch_pool_create(&scan->plan->declared, 1, 2);
    }
    struct wr_records one = *batch->records;
    one.items = &batch->records->items[row];
    one.count = 1;
    struct wr_batch *all = wr_batch_take(scan->late_pool);
    struct wr_faults faults = { 0 }; /* a late row was decodable once; what the scan left out may not be */
    wr_decoder_decode(scan->late_decoder, &one, all, &faults);
    wr_faults_deinit(&faults);
    return all;
}

static bool scan_has_all(const struct wr_plan_source *plan)
{
    uint32_t own = 0;
    for (uint32_t c = 0; c < plan->scan.count; c++) {
        own += plan->scan.fields[c].declared < plan->declared.count;
    }
    return own == plan->declared.count;
}

void wr_scan_late(struct wr_scan *scan, const struct wr_batch *batch, uint32_t row, uint32_t sink,
                  int64_t lateness_us)
{
    wr_counter_add(&scan->counters->late, 1);
    const struct wr_plan_source *plan = scan->plan;
    if (plan->late_sink == UINT32_MAX) {
        return;
    }
    const uint32_t count = plan->declared.count;
    const struct wr_column *columns[WR_COLUMNS_MAX] = { 0 };
    struct wr_batch *all = NULL;
    uint32_t at = row;
    const struct wr_batch *root = batch;
    while (root->parent != NULL) {
        root = root->parent; /* rows are never renumbered: the scan's own batch has the same row */
    }
    if (!scan_has_all(plan) && root->records != NULL) {
        all = decode_all_columns(scan, root, row);
        at = 0;
    }
    for (uint32_t c = 0; all != NULL && c < count; c++) {
        columns[c] = &all->columns[c];
    }
    for (uint32_t c = 0; all == NULL && c < plan->scan.count && c < root->columns_count; c++) {
        if (plan->scan.fields[c].declared < count) {
            columns[plan->scan.fields[c].declared] = &root->columns[c];
        }
    }
    struct wr_side_origin origin;
    origin_of(scan, root, row, &origin);
    if (side_has(scan, root, plan->late_sink, origin.position)) {
        wr_batch_release(all);
        return;
    }
    wr_side_rows_late(scan->worker->side, plan->late_sink, &origin, columns, count, at,
                      scan->pipeline->plan->sinks[sink].name, lateness_us);
    wr_batch_release(all);
}

/* ---- a batch's way into the operators ---- */

static void drop_row(struct wr_batch *batch, uint32_t row)
{
    if (batch->sel == NULL) {
        for (uint32_t i = 0; i < batch->rows; i++) {
            batch->sel_storage[i] = i;
        }
        batch->sel = batch->sel_storage;
        batch->sel_count = batch->rows;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < batch->sel_count; i++) {
        if (batch->sel[i] != row) {
            batch->sel[kept++] = batch->sel[i];
        }
    }
    batch->sel_count = kept;
}

static void compute_columns(struct wr_scan *scan, struct wr_scan_split *split,
                            struct wr_batch *batch, struct wr_time now)
{
    for (uint32_t c = 0; c < scan->plan->scan.count; c++) {
        if (scan->computed[c] == NULL) {
            continue;
        }
        struct wr_column result;
        scan->eval_faults.count = 0;
        wr_eval_run(scan->computed[c], batch, now.wall_us, &batch->arena, &scan->eval_faults,
                    &result);
        memcpy(batch->columns[c].values, result.values,
               (size_t)batch->rows * wr_type_width(result.type));
        if (result.validity != NULL) {
            memcpy(wr_batch_nullable(batch, c), result.validity, WR_BITMAP_BYTES(batch->rows));
        }
        for (uint32_t f = 0; f < scan->eval_faults.count; f++) {
            const struct wr_eval_fault *fault = &scan->eval_faults.items[f];
            refuse(scan, split, batch, fault->row, fault->message, scan->plan->scan.fields[c].name);
            drop_row(batch, fault->row);
        }
    }
}

/* Event times that lie too far ahead of the record's own time would make everything after them late. */
static void drop_rows_ahead(struct wr_scan *scan, struct wr_scan_split *split,
                            struct wr_batch *batch, struct wr_time now)
{
    const int64_t ahead = scan->plan->max_ahead_us;
    const struct wr_column *time = &batch->columns[scan->plan->event_time];
    const int64_t *ts = time->values;
    if (ahead < 0) {
        return;
    }
    int64_t newest = WR_TIME_MIN;
    for (uint32_t i = 0; i < batch->rows; i++) {
        newest = ts[i] > newest ? ts[i] : newest; /* dead and NULL rows hold zero */
    }
    /* Cheap bound: the first record's stamp is close to all others of the batch. */
    const int64_t first = batch->records != NULL ? batch->records->items[0].timestamp_us
                                                 : WR_RECORD_NO_TIME;
    const int64_t base = first != WR_RECORD_NO_TIME && first < now.wall_us ? first : now.wall_us;
    int64_t bound;
    if (!__builtin_add_overflow(base, ahead, &bound) && newest <= bound) {
        return;
    }
    for (uint32_t i = 0; i < batch->rows; i++) {
        int64_t stamp = batch->records != NULL ? batch->records->items[i].timestamp_us : now.wall_us;
        stamp = stamp == WR_RECORD_NO_TIME ? now.wall_us : stamp;
        if (ts[i] <= WR_TIME_MAX - ahead && ts[i] - ahead <= stamp) {
            continue;
        }
        bool live = !wr_column_is_null(time, i);
        if (live && batch->sel != NULL) {
            live = false;
            for (uint32_t k = 0; k < batch->sel_count && !live; k++) {
                live = batch->sel[k] == i;
            }
        }
        if (live) {
            refuse(scan, split, batch, i,
                   "event time is more than max_ahead ahead of the record's own time",
                   scan->plan->scan.fields[scan->plan->event_time].name);
            drop_row(batch, i);
        }
    }
}

/* (1): fills wm_storage with the running maximum, row by row, over live rows with an event time. */
static void track_watermark(struct wr_scan *scan, struct wr_scan_split *split,
                            struct wr_batch *batch, struct wr_time now)
{
    struct wr_column result = batch->columns[scan->plan->event_time];
    int64_t delay = scan->plan->watermark_delay_us;
    if (scan->watermark != NULL) {
        scan->eval_faults.count = 0;
        wr_eval_run(scan->watermark, batch, now.wall_us, &batch->arena, &scan->eval_faults, &result);
        for (uint32_t f = 0; f < scan->eval_faults.count; f++) {
            refuse(scan, split, batch, scan->eval_faults.items[f].row,
                   scan->eval_faults.items[f].message, "WATERMARK");
            drop_row(batch, scan->eval_faults.items[f].row);
        }
        delay = 0;
    }
    if (scan->pipeline->config.replay != NULL) { /* replay.h: it never moves */
        for (uint32_t i = 0; i < batch->rows; i++) {
            batch->wm_storage[i] = split->watermark_us;
        }
        batch->origin.wm_before = batch->wm_storage;
        return;
    }
    const int64_t *mark = result.values;
    int64_t high = split->watermark_us;
    int64_t newest = split->max_event_us;
    if (batch->sel == NULL && result.validity == NULL) {
        for (uint32_t i = 0; i < batch->rows; i++) {
            const int64_t m = mark[i] < INT64_MIN + delay ? INT64_MIN : mark[i] - delay;
            batch->wm_storage[i] = high;
            high = m > high ? m : high;
            newest = mark[i] > newest ? mark[i] : newest;
        }
    } else {
        uint32_t next = 0;
        for (uint32_t i = 0; i < batch->rows; i++) {
            batch->wm_storage[i] = high;
            bool live = true;
            if (batch->sel != NULL) {
                live = next < batch->sel_count && batch->sel[next] == i;
                next += live;
            }
            if (live && !wr_column_is_null(&result, i)) {
                const int64_t m = mark[i] < INT64_MIN + delay ? INT64_MIN : mark[i] - delay;
                high = m > high ? m : high;
                newest = mark[i] > newest ? mark[i] : newest;
            }
        }
    }
    batch->origin.wm_before = batch->wm_storage;
    batch->origin.wm_low = split->watermark_us;
    batch->origin.wm_high = batch->rows > 0 ? batch->wm_storage[batch->rows - 1] : high;
    if (high > split->watermark_us) {
        split->watermark_us = high;
        scan->newest_ingest_us = batch->ingest_us;
        scan->watermark_moved = true;
    }
    split->max_event_us = newest;
}

/* ---- some of a poll's records ---- */

struct part_records {
    struct wr_records records; /* first: release gets it */
    struct wr_records *whole;
};

static void release_part(struct wr_records *records)
{
    struct part_records *part = (struct part_records *)records;
    wr_records_release(part->whole);
    free(part);
}

/* Records [first, first + count) as records of their own, with one reference; they hold one of the whole. */
static struct wr_records *part_of(struct wr_records *whole, uint32_t first, uint32_t count)
{
    struct part_records *part = wr_malloc(sizeof *part);
    part->records = *whole;
    part->records.items += first;
    part->records.raw = whole->raw != NULL ? whole->raw + first : NULL;
    part->records.unfit = whole->unfit != NULL ? whole->unfit + first : NULL;
    part->records.count = count;
    part->records.refs = 1;
    part->records.payload_bytes = 0;
    part->records.release = release_part;
    part->whole = whole;
    wr_records_retain(whole);
    return &part->records;
}

/* ---- duplicates ---- */

static struct wr_seen_key key_of(const struct wr_scan *scan, const struct wr_scan_split *split,
                                 const struct wr_batch *batch, uint32_t row)
{
    const struct wr_column *column = &batch->columns[scan->plan->dedup_column];
    const void *value = (const char *)column->values + (size_t)row * wr_type_width(column->type);
    XXH128_hash_t hash;
    if (wr_type_is_view(column->type)) {
        const struct wr_slice text = wr_view_slice(value);
        hash = XXH3_128bits(text.data, text.bytes);
    } else {
        hash = XXH3_128bits(value, wr_type_width(column->type));
    }
    if (scan->plan->dedup_message_id) {
        return (struct wr_seen_key){ hash.high64, hash.low64, batch->records->items[row].position };
    }
    const struct wr_column *time = &batch->columns[scan->plan->event_time];
    return (struct wr_seen_key){ hash.high64, hash.low64,
                                 wr_column_is_null(time, row) ? split->watermark_us
                                                              : ((const int64_t *)time->values)[row] };
}

/* Rows whose value has been seen leave the selection, counted as filtered. */
static void drop_seen(struct wr_scan *scan, struct wr_scan_split *split, struct wr_batch *batch)
{
    uint32_t rows[WR_BATCH_ROWS_MAX];
    bool fresh[WR_BATCH_ROWS_MAX];
    uint32_t asked = 0;
    uint32_t kept = 0;
    const uint32_t live = wr_batch_live(batch);
    for (uint32_t i = 0; i < live; i++) {
        const uint32_t row = wr_batch_row(batch, i);
        if (!wr_column_is_null(&batch->columns[scan->plan->dedup_column], row)) {
            scan->seen_keys[asked++] = key_of(scan, split, batch, row);
        }
    }
    wr_seen_set_check(scan->seen, scan->worker->index, scan->seen_keys, asked, fresh);
    asked = 0;
    for (uint32_t i = 0; i < live; i++) {
        const uint32_t row = wr_batch_row(batch, i);
        if (wr_column_is_null(&batch->columns[scan->plan->dedup_column], row) || fresh[asked++]) {
            rows[kept++] = row;
        }
    }
    if (kept < live) {
        memcpy(batch->sel_storage, rows, kept * sizeof *rows);
        batch->sel = batch->sel_storage;
        batch->sel_count = kept;
    }
    for (uint32_t k = 0; k < scan->pipeline->plan->sink_count; k++) {
        if (split->ledger[k] != NULL && !scan->muted[k]) {
            split->ledger[k]->filtered += live - kept;
        }
    }
}

/* A record that cannot be decoded has no row to be dropped: the second delivery of one must not make a second dead letter. */
static bool is_copy(struct wr_scan *scan, struct wr_scan_split *split, const struct wr_batch *batch, uint32_t row)
{
    bool fresh = true;
    if (scan->seen == NULL || !scan->plan->dedup_message_id || wr_column_is_null(&batch->columns[scan->plan->dedup_column], row)) {
        return false;
    }
    const struct wr_seen_key key = key_of(scan, split, batch, row);
    wr_seen_set_check(scan->seen, scan->worker->index, &key, 1, &fresh);
    for (uint32_t k = 0; !fresh && k < scan->pipeline->plan->sink_count; k++) {
        if (split->ledger[k] != NULL && !scan->muted[k]) {
            split->ledger[k]->filtered++;
        }
    }
    return !fresh;
}

static void push(struct wr_scan *scan, struct wr_scan_split *split, struct wr_batch *batch,
                 struct wr_time now)
{
    const bool dedup = scan->seen != NULL && !scan->letter_muted; /* what failed in a sink's query had passed here, and is remembered */
    batch->origin.source = scan->source;
    batch->origin.split = split->index;
    batch->origin.lateness_us = scan->plan->lateness_us;
    batch->origin.wm_before = NULL;
    batch->origin.wm_low = split->watermark_us;
    batch->origin.wm_high = split->watermark_us;
    if (dedup && scan->plan->dedup_message_id) {
        drop_seen(scan, split, batch); /* before anything can be refused: see is_copy */
    }
    compute_columns(scan, split, batch, now);
    if (scan->plan->event_time != WR_NO_COLUMN) {
        drop_rows_ahead(scan, split, batch, now);
        if (scan->plan->watermark != NULL) {
            track_watermark(scan, split, batch, now);
        }
    }
    if (dedup && !scan->plan->dedup_message_id) {
        drop_seen(scan, split, batch);
    }
    wr_exec_push(scan->worker->exec, scan->source, batch, now);
}

static void count_read(struct wr_scan *scan, struct wr_scan_split *split, uint32_t rows)
{
    for (uint32_t k = 0; k < scan->pipeline->plan->sink_count; k++) {
        if (split->ledger[k] != NULL && !scan->muted[k]) {
            split->ledger[k]->read += rows;
        }
    }
    wr_counter_add(&scan->counters->rows, rows);
}

/* Files of one source may order their columns differently. */
static void use_header(struct wr_scan *scan, struct wr_scan_split *split)
{
    if (split->header == NULL || scan->header_split == split->index) {
        return;
    }
    struct wr_error err;
    if (wr_decoder_header(scan->decoder, wr_slice_of(split->header), &err) == WR_FAIL) {
        wr_error_prefix(&err, "source \"%s\" (%s): %s", scan->plan->name, scan->ops->name,
                        split->name);
        wr_epoch_fail(&scan->pipeline->board, &err);
    }
    scan->header_split = split->index;
}

static void set_header(struct wr_scan *scan, const struct wr_poll *poll)
{
    struct wr_scan_split *split = split_at(scan, poll->split);
    free(split->header);
    split->header = wr_malloc(poll->header.bytes + 1);
    memcpy(split->header, poll->header.data, poll->header.bytes);
    split->header[poll->header.bytes] = '\0';
    scan->header_split = UINT32_MAX;
}

/* A dead letter that is replayed tells the topic, partition and offset that its record had. */
static void fill_first_metadata(const struct wr_scan *scan, struct wr_batch *batch,
                                const struct wr_records *records)
{
    const uint32_t offset = scan->plan->metadata_column[WR_META_OFFSET];
    struct wr_replay_origin first;
    wr_replay_origin_of(records, 0, &first);
    wr_metadata_fill(batch, scan->plan->metadata_column, records, first.topic, first.partition);
    for (uint32_t row = 0; offset != WR_NO_COLUMN && row < records->count; row++) {
        wr_replay_origin_of(records, row, &first);
        ((int64_t *)batch->columns[offset].values)[row] = first.position;
    }
}

static void decode_records(struct wr_scan *scan, struct wr_scan_split *split,
                           struct wr_batch *batch, struct wr_records *records, struct wr_time now)
{
    batch->records = records; /* takes the poll's reference */
    const struct wr_record *last = &records->items[records->count - 1];
    batch->ingest_us = last->timestamp_us != WR_RECORD_NO_TIME ? last->timestamp_us : now.wall_us;
    batch->origin.split = split->index;
    use_header(scan, split);
    wr_faults_reset(&scan->faults);
    wr_decoder_decode(scan->decoder, records, batch, &scan->faults);
    if (scan->pipeline->config.replay != NULL) {
        fill_first_metadata(scan, batch, records);
    } else {
        wr_metadata_fill(batch, scan->plan->metadata_column, records, split->topic, split->partition);
    }
    for (uint32_t f = 0; f < scan->faults.count; f++) {
        if (is_copy(scan, split, batch, scan->faults.items[f].row)) {
            continue;
        }
        const struct wr_row_fault *fault = &scan->faults.items[f];
        const char *unfit = records->unfit != NULL ? records->unfit[fault->row] : NULL;
        refuse(scan, split, batch, fault->row, unfit != NULL ? unfit : fault->message, fault->field);
    }
    wr_counter_add(&scan->counters->bytes, records->payload_bytes);
}

/* (5). Text by text in column order: the payload is still in this core's cache, what a sink worker reads later lies close
 * together, and the source gets its messages back while they are warm (held until a sink had written them, librdkafka's
 * memory cycled through DRAM: a fifth of the whole job's CPU). */
static void own_texts(struct wr_batch *batch)
{
    for (uint32_t c = 0; c < batch->columns_count; c++) {
        if (!wr_type_is_view(batch->columns[c].type)) {
            continue;
        }
        struct wr_view *views = batch->columns[c].values;
        size_t bytes = 0;
        for (uint32_t i = 0; i < batch->rows; i++) {
            bytes += views[i].bytes > WR_VIEW_INLINE_BYTES ? views[i].bytes : 0;
        }
        char *into = bytes > 0 ? wr_arena_alloc(&batch->arena, bytes) : NULL;
        for (uint32_t i = 0; i < batch->rows; i++) {
            if (views[i].bytes > WR_VIEW_INLINE_BYTES) {
                memcpy(into, views[i].data, views[i].bytes);
                views[i].data = into;
                into += views[i].bytes;
            }
        }
    }
}

/* ---- replay: rows that some sinks have had ---- */

/* Before the row at position: passes the marks there, settles who takes the rows up to the next one. */
static void pass_marks(struct wr_scan *scan, struct wr_scan_split *split, int64_t position)
{
    const struct wr_split_resume *resume = split->resume;
    while (split->next_mark < resume->mark_count &&
           resume->marks[split->next_mark].position <= position) {
        const int64_t floor = resume->marks[split->next_mark++].floor_us;
        split->watermark_us = floor > split->watermark_us ? floor : split->watermark_us;
    }
    for (uint32_t k = 0; k < scan->pipeline->plan->sink_count; k++) {
        scan->muted[k] = position < resume->skip[k];
    }
}

static int64_t row_position(const struct wr_batch *batch, const struct wr_records *records,
                            uint32_t row)
{
    return records != NULL ? records->items[row].position : batch->origin.position_first + row;
}

/* How many rows from first on lie before the next mark. */
static uint32_t run_to_mark(const struct wr_scan_split *split, const struct wr_batch *batch,
                            const struct wr_records *records, uint32_t first, uint32_t rows)
{
    uint32_t end = first + 1;
    if (split->next_mark == split->resume->mark_count) {
        return rows - first;
    }
    const int64_t mark = split->resume->marks[split->next_mark].position;
    while (end < rows && row_position(batch, records, end) < mark) {
        end++;
    }
    return end - first;
}

/* Rows [first, first + count) of a batch that a connector filled, as a batch of their own. */
static struct wr_batch *cut_out(struct wr_scan *scan, struct wr_batch *batch, uint32_t first,
                                uint32_t count)
{
    struct wr_batch *part = wr_batch_take(scan->pool);
    part->rows = count;
    part->ingest_us = batch->ingest_us;
    part->origin.position_first = batch->origin.position_first + first;
    part->parent = batch; /* its arena holds the texts */
    wr_batch_retain(batch);
    for (uint32_t c = 0; c < batch->columns_count; c++) {
        const struct wr_column *from = &batch->columns[c];
        const size_t width = wr_type_width(from->type);
        memcpy(part->columns[c].values, (const char *)from->values + first * width, count * width);
        if (from->validity != NULL) {
            uint8_t *validity = wr_batch_nullable(part, c);
            for (uint32_t i = 0; i < count; i++) {
                wr_bit_put(validity, i, wr_bit_get(from->validity, first + i));
            }
        }
    }
    return part;
}

static void push_part(struct wr_scan *scan, struct wr_scan_split *split, struct wr_batch *batch,
                      struct wr_records *records, uint32_t first, uint32_t count,
                      struct wr_time now)
{
    if (records == NULL) {
        push(scan, split, cut_out(scan, batch, first, count), now);
        return;
    }
    struct wr_batch *part = wr_batch_take(scan->pool);
    decode_records(scan, split, part, part_of(records, first, count), now);
    own_texts(part);
    wr_batch_retain(part);
    push(scan, split, part, now);
    wr_records_release(part->records); /* as in take_rows; batches made of this one may hold on */
    part->records = NULL;
    wr_batch_release(part);
}

/* All sinks stand at the split's position now: epochs may be taken. */
static void replay_done(struct wr_scan *scan, struct wr_scan_split *split)
{
    if (split->replaying) {
        split->replaying = false;
        atomic_fetch_sub_explicit(&scan->pipeline->recovery->replaying, 1, memory_order_relaxed);
    }
}

/* The split has no rows left that would lead up to where its sinks stand. */
static void replay_broken(struct wr_scan *scan, struct wr_scan_split *split)
{
    if (split->replaying) {
        wr_log_warn(scan->plan->connector, "source \"%s\": %s ends at %lld, sinks had read it up to %lld before: what "
                    "lay between is gone from the source", scan->plan->name, split->name,
                    (long long)split->next_position, (long long)split->resume->replay_until);
        replay_done(scan, split);
    }
}

/* (6) */
static void replay_rows(struct wr_scan *scan, struct wr_scan_split *split, struct wr_batch *batch,
                        struct wr_records *records, uint32_t rows, struct wr_time now)
{
    for (uint32_t first = 0; first < rows;) {
        pass_marks(scan, split, row_position(batch, records, first));
        const uint32_t count = run_to_mark(split, batch, records, first, rows);
        count_read(scan, split, count);
        wr_exec_mute(scan->worker->exec, scan->muted);
        push_part(scan, split, batch, records, first, count, now);
        first += count;
    }
    wr_exec_mute(scan->worker->exec, NULL);
    if (split->next_position >= split->resume->replay_until) {
        replay_done(scan, split);
    }
    memset(scan->muted, 0, scan->pipeline->plan->sink_count * sizeof *scan->muted);
    if (split->next_mark == split->resume->mark_count) {
        split->resume = NULL; /* the last row was behind the last mark: all take all from here on */
    }
    wr_records_release(records);
    wr_batch_release(batch);
}

/* Records that failed for some sinks alone: the others have had them. */
static void mute_for_letters(struct wr_scan *scan, const struct wr_records *records)
{
    struct wr_replay_origin first;
    wr_replay_origin_of(records, 0, &first);
    if (first.failing != NULL) {
        for (uint32_t k = 0; k < scan->pipeline->plan->sink_count; k++) {
            scan->muted[k] = !first.failing[k];
        }
        wr_exec_mute(scan->worker->exec, scan->muted);
        scan->letter_muted = true;
    }
}

static void unmute(struct wr_scan *scan)
{
    if (scan->letter_muted) {
        wr_exec_mute(scan->worker->exec, NULL);
        memset(scan->muted, 0, scan->pipeline->plan->sink_count * sizeof *scan->muted);
        scan->letter_muted = false;
    }
}

/* One poll's rows. Takes the ready batch. */
static uint32_t take_rows(struct wr_scan *scan, const struct wr_poll *poll, struct wr_time now)
{
    struct wr_scan_split *split = split_at(scan, poll->split);
    struct wr_batch *batch = scan->ready;
    scan->ready = NULL;
    const uint32_t rows = poll->records != NULL ? poll->records->count : batch->rows;
    if (rows == 0) {
        wr_records_release(poll->records);
        wr_batch_release(batch);
        return 0;
    }
    if (split->state != WR_SPLIT_ACTIVE) {
        activate(scan, split);
    }
    split->caught_up_since_ns = INT64_MAX;
    split->next_position = poll->next_position;
    take_note(split, poll->split_note);
    if (split->resume != NULL) {
        replay_rows(scan, split, batch, poll->records, rows, now);
        return rows;
    }
    if (scan->pipeline->config.replay != NULL) {
        mute_for_letters(scan, poll->records);
    }
    count_read(scan, split, rows);
    if (poll->records == NULL) {
        push(scan, split, batch, now);
        return rows;
    }
    decode_records(scan, split, batch, poll->records, now);
    if (scan->feeds_rows) {
        own_texts(batch);
    }
    wr_batch_retain(batch);
    push(scan, split, batch, now);
    if (scan->feeds_rows) {
        wr_records_release(batch->records);
        batch->records = NULL;
    }
    wr_batch_release(batch);
    unmute(scan);
    return rows;
}

static void handle_event(struct wr_scan *scan, const struct wr_poll *poll, struct wr_time now)
{
    switch (poll->kind) {
    case WR_POLL_SPLIT_OPENED: split_opened(scan, poll); break;
    case WR_POLL_SPLIT_HEADER: set_header(scan, poll); break;
    case WR_POLL_SPLIT_CAUGHT_UP:
        split_at(scan, poll->split)->caught_up_since_ns = now.mono_ns;
        replay_broken(scan, split_at(scan, poll->split));
        break;
    case WR_POLL_SPLIT_UNREACHABLE:
        split_at(scan, poll->split)->caught_up_since_ns = INT64_MAX;
        break;
    case WR_POLL_SPLIT_ENDED:
    case WR_POLL_SPLIT_REVOKED:
        split_at(scan, poll->split)->state = WR_SPLIT_ENDED;
        if (poll->next_position > split_at(scan, poll->split)->next_position) {
            split_at(scan, poll->split)->next_position = poll->next_position;
        }
        take_note(split_at(scan, poll->split), poll->split_note);
        replay_broken(scan, split_at(scan, poll->split));
        break;
    case WR_POLL_FINISHED: scan->finished = true; break;
    case WR_POLL_NOTHING:
    case WR_POLL_ROWS: break;
    }
}

/* How long records wait before their decoder is asked again: a registry answers within some milliseconds. */
#define HELD_RETRY_NS (2 * WR_NS_PER_MS)

/* Whether the rows must wait: the poll is kept then. */
static bool hold(struct wr_scan *scan, const struct wr_poll *poll, struct wr_time now)
{
    if (poll->records == NULL || wr_decoder_needs(scan->decoder, poll->records) != WR_AGAIN) {
        scan->held = (struct wr_poll){ 0 };
        scan->held_until_ns = INT64_MAX;
        return false;
    }
    scan->held = *poll;
    split_at(scan, poll->split)->caught_up_since_ns = INT64_MAX; /* it has rows: it is not idle */
    scan->held_until_ns = now.mono_ns + HELD_RETRY_NS;
    return true;
}

/* Unpacks what is compressed, into the ready batch. Records behind the limit wait in rest, so that the pool can push back. Polls stay
 * whole where a note goes with their last record alone, and in a replay of dead letters, whose records are more than records. */
static void unpack(struct wr_scan *scan, struct wr_poll *poll)
{
    struct wr_records *records = poll->records;
    records->raw = NULL;
    records->unfit = NULL;
    const bool whole = poll->split_note != NULL || scan->pipeline->config.replay != NULL;
    const uint32_t ready = wr_payload_unpack_run(scan->unpack, records, &scan->ready->arena,
                                                 whole ? SIZE_MAX : WR_UNPACK_BYTES_AT_ONCE);
    if (ready == records->count) {
        return;
    }
    const size_t bytes = records->payload_bytes;
    scan->rest = *poll;
    scan->rest.records = part_of(records, ready, records->count - ready);
    poll->records = part_of(records, 0, ready);
    poll->records->payload_bytes = bytes; /* counted once */
    poll->next_position = scan->rest.records->items[0].position;
    wr_records_release(records); /* the two parts hold it */
}

/* The next thing to look at: what waits here already, else out of the source. */
static wr_status next_poll(struct wr_scan *scan, struct wr_time now, struct wr_poll *poll, struct wr_error *err)
{
    *poll = scan->held;
    if (poll->kind != WR_POLL_NOTHING) {
        return WR_OK; /* unpacked before */
    }
    *poll = scan->rest;
    scan->rest = (struct wr_poll){ 0 };
    if (poll->kind == WR_POLL_NOTHING) {
        WR_TRY(scan->ops->poll(scan->reader, now, scan->ops->makes_columns ? scan->ready : NULL, poll, err));
    }
    if (scan->unpack != NULL && poll->kind == WR_POLL_ROWS && poll->records != NULL) {
        unpack(scan, poll);
    }
    return WR_OK;
}

uint32_t wr_scan_poll(struct wr_scan *scan, struct wr_time now, uint32_t rows_budget,
                      wr_status *status, struct wr_error *err)
{
    uint32_t read = 0;
    *status = WR_OK;
    while (read < rows_budget && !scan->finished) {
        if (scan->ready == NULL) {
            if (!wr_batch_pool_has_room(scan->pool)) {
                break;
            }
            scan->ready = wr_batch_take(scan->pool);
        }
        struct wr_poll poll;
        *status = next_poll(scan, now, &poll, err);
        if (*status != WR_OK || poll.kind == WR_POLL_NOTHING ||
            (poll.kind == WR_POLL_ROWS && hold(scan, &poll, now))) {
            break;
        }
        if (poll.kind == WR_POLL_ROWS) {
            read += take_rows(scan, &poll, now);
        } else {
            handle_event(scan, &poll, now);
        }
    }
    return read;
}

/* ---- watermark of the scan ---- */

void wr_scan_watermark(struct wr_scan *scan, struct wr_time now)
{
    int64_t low = WR_TIME_MAX;
    bool active = false;
    for (uint32_t s = 0; s < scan->split_capacity; s++) {
        struct wr_scan_split *split = scan->splits[s];
        if (split == NULL || split->state != WR_SPLIT_ACTIVE) {
            continue;
        }
        if (split->caught_up_since_ns != INT64_MAX && scan->plan->idle_timeout_us >= 0 &&
            now.mono_ns - split->caught_up_since_ns >= scan->plan->idle_timeout_us * 1000) {
            split->state = WR_SPLIT_IDLE;
            continue;
        }
        active = true;
        low = split->watermark_us < low ? split->watermark_us : low;
    }
    const int64_t emitted = wr_hub_report(&scan->pipeline->hub, scan->source, scan->worker->index,
                                          active, scan->finished, low);
    if (scan->seen != NULL && scan->plan->dedup_message_id) {
        if (scan->ops->redelivers_from != NULL) {
            wr_seen_set_expire_before(scan->seen, scan->worker->index,
                                      scan->ops->redelivers_from(scan->pipeline->sources[scan->source]));
        }
    } else if (scan->seen != NULL && emitted != WR_TIME_MIN && emitted != WR_TIME_MAX) {
        wr_seen_set_expire(scan->seen, scan->worker->index, emitted);
    }
    const int64_t mine = active ? low : (scan->finished ? WR_TIME_MAX : emitted);
    if (mine > scan->passed_us) {
        scan->passed_us = mine; /* (4) */
        wr_counter_add(&scan->worker->changes, 1);
        wr_exec_watermark(scan->worker->exec, scan->source, mine, scan->newest_ingest_us, now);
    }
}

static void pause_split(struct wr_scan *scan, struct wr_scan_split *split, bool paused)
{
    if (split->paused != paused) {
        split->paused = paused;
        split->caught_up_since_ns = INT64_MAX; /* held back is not idle; its end is told again when it goes on */
        wr_counter_add(&scan->counters->pauses, paused);
        scan->ops->pause(scan->reader, split->index, paused);
    }
}

void wr_scan_hold_back(struct wr_scan *scan)
{
    const bool pressed = atomic_load_explicit(&scan->pipeline->pressed, memory_order_relaxed);
    if (scan->ops->pause == NULL || (!pressed && scan->paused == 0)) {
        return;
    }
    const int64_t emitted = wr_hub_emitted(&scan->pipeline->hub, scan->source);
    int64_t newest = emitted;
    for (uint32_t s = 0; s < scan->split_capacity; s++) {
        const struct wr_scan_split *split = scan->splits[s];
        if (split != NULL && split->state == WR_SPLIT_ACTIVE && split->watermark_us > newest) {
            newest = split->watermark_us;
        }
    }
    /* The quarter: what the splits near the slowest hold open is not what made memory short. They go on together, instead of a few
     * batches of each in turn (each turn costs a fetch); so the distance does not shrink as the slowest comes near. */
    int64_t spread = 0;
    if (emitted != WR_TIME_MIN && __builtin_sub_overflow(newest, emitted, &spread)) {
        spread = INT64_MAX;
    }
    scan->spread_us = pressed && spread < scan->spread_us ? scan->spread_us : (pressed ? spread : 0);
    int64_t bound;
    if (__builtin_add_overflow(emitted, scan->spread_us / 4, &bound)) {
        bound = WR_TIME_MAX;
    }
    scan->paused = 0;
    for (uint32_t s = 0; s < scan->split_capacity; s++) {
        struct wr_scan_split *split = scan->splits[s];
        if (split != NULL) {
            pause_split(scan, split,
                        pressed && split->state == WR_SPLIT_ACTIVE && split->watermark_us > bound);
            scan->paused += split->paused;
        }
    }
}

int64_t wr_scan_deadline_ns(const struct wr_scan *scan)
{
    if (scan->finished) {
        return INT64_MAX;
    }
    int64_t deadline = scan->ops->deadline_ns != NULL ? scan->ops->deadline_ns(scan->reader)
                                                      : INT64_MAX;
    deadline = scan->held_until_ns < deadline ? scan->held_until_ns : deadline;
    for (uint32_t s = 0; s < scan->split_capacity; s++) {
        const struct wr_scan_split *split = scan->splits[s];
        if (split != NULL && split->state == WR_SPLIT_ACTIVE &&
            split->caught_up_since_ns != INT64_MAX && scan->plan->idle_timeout_us >= 0) {
            const int64_t at = split->caught_up_since_ns + scan->plan->idle_timeout_us * 1000;
            deadline = at < deadline ? at : deadline;
        }
    }
    return deadline;
}

static void cut_seen(struct wr_scan *scan, const struct wr_epoch_cut *cut)
{
    const struct wr_pipeline *p = scan->pipeline;
    char name[WR_SEEN_NAME_BYTES];
    if (scan->seen == NULL || p->recovery == NULL) {
        return;
    }
    if (!wr_pipeline_node_joins(p, scan->plan->scan_node, cut->epoch, cut->final)) {
        return;
    }
    scan->seen_log.bytes = 0;
    wr_seen_set_snapshot(scan->seen, scan->worker->index, cut->epoch, &scan->seen_log);
    if (scan->seen_log.bytes > 0) {
        wr_snapshot_add(scan->worker->snapshot, wr_seen_name(scan->plan, name), scan->seen_log.data,
                        scan->seen_log.bytes);
    }
}

void wr_scan_cut(struct wr_scan *scan, struct wr_epoch_cut *cut)
{
    cut_seen(scan, cut);
    for (uint32_t s = 0; s < scan->split_capacity; s++) {
        const struct wr_scan_split *split = scan->splits[s];
        if (split == NULL) {
            continue;
        }
        const struct wr_split_cut at = { .source = scan->source,
                                         .split = split->index,
                                         .next_position = split->next_position,
                                         .watermark_us = split->watermark_us,
                                         .max_event_us = split->max_event_us,
                                         .idle = split->state != WR_SPLIT_ACTIVE,
                                         .name = split->name,
                                         .note = split->note[0] != '\0' ? split->note : NULL };
        wr_epoch_cut_split(cut, &at);
    }
    wr_epoch_cut_source(cut, scan->source, scan->passed_us);
}
