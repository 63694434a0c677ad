/* sink_kafka.c: a JSON message per row to a Kafka topic, with librdkafka's idempotent producer.
 *
 * At least once (default): write hands rows to librdkafka, which copies them; its delivery reports come back through its
 * main queue, whose eventfd the sink worker's loop watches, so that an acknowledgement is seen at once. A message
 * waits in librdkafka for as long as the brokers are away (no message time-out); its queue is bounded, and a full one is waited for.
 * Exactly once (guarantee = 'exactly_once'): write gathers messages in the epoch's spool, and publish sends it in one
 * transaction: kafka_spool.h, kafka_commit.c.
 * Threads: sink worker; librdkafka's own stay behind its queue.
 * Invariants:
 *   (1) at least once: after prepare returned WR_OK every message is acknowledged by all in-sync replicas, or was refused for
 *       good and went to reject
 *   (2) a batch that was taken in part is remembered by resume: the repeated write goes on there
 */
#include "sink/kafka_writer.h"
#include "sink/row_lines.h"
#include "sink/sinks.h"

#include "base/heap.h"
#include "batch/text.h"
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

/* How long prepare, or write at a full queue, waits before it says so; run repeats it. */
#define ACK_WAIT_MS 5000
#define FULL_WAIT_NS (5 * WR_NS_PER_S)
/* Reports come through the eventfd; this is for librdkafka's errors, which may come without one. */
#define TICK_NS (100 * WR_NS_PER_MS)

static const struct wr_option kafka_options[] = {
    { "brokers", WR_OPTION_TEXT, NULL, "Where to ask first: host:port, comma-separated.",
      .flags = WR_OPTION_REQUIRED },
    { "topic", WR_OPTION_TEXT, NULL, "The topic; it must exist (or the brokers create topics).",
      .flags = WR_OPTION_REQUIRED },
    { "key", WR_OPTION_TEXT, NULL,
      "The column whose text is the message's key: equal keys go to one partition, in order." },
    { "compression", WR_OPTION_ENUM, "lz4", "The codec of message batches.",
      .enum_words = "none gzip snappy lz4 zstd" },
    { "linger", WR_OPTION_DURATION, "1ms",
      "How long a message may wait for others to share a request.", .min = 0, .max = 900000000 },
    { "on_unknown_commit", WR_OPTION_ENUM, "fail",
      "Exactly once: what a start does when Kafka has forgotten whether the last epoch arrived (the group's offsets expired, the "
      "topic was made anew): fail, repeat it, or skip it.", .enum_words = "fail repeat skip" },
    WR_KAFKA_ACCESS_OPTIONS,
    WR_KAFKA_PREFIX_OPTION,
    { .name = NULL },
};

/* ---- checks ---- */

static wr_status check_key(const struct wr_plan_sink *plan, struct wr_error *err)
{
    const char *key = wr_options_text(plan->options, "key");
    if (key == NULL || wr_schema_find(&plan->schema, key) >= 0) {
        return WR_OK;
    }
    wr_fail(err, WR_CLASS_USER, "key: the sink has no column \"%s\"", key);
    uint32_t nearest = 4; /* further away is another word */
    for (uint32_t c = 0; c < plan->schema.count; c++) {
        const char *name = plan->schema.fields[c].name;
        const uint32_t distance =
            wr_slice_distance(wr_slice_of(key), wr_slice_of(name), nearest - 1);
        if (distance < nearest) {
            nearest = distance;
            wr_error_hint(err, "did you mean \"%s\"?", name);
        }
    }
    if (err != NULL && err->hint[0] == '\0') {
        wr_error_hint(err, "name a column of the sink's SELECT");
    }
    return WR_FAIL;
}

wr_status wr_kafka_sink_check(const struct wr_plan_sink *plan, uint32_t *bad_at,
                             struct wr_error *err)
{
    WR_TRY(wr_row_lines_check(plan, bad_at, err));
    if (plan->format != NULL && plan->format[0] != '\0' && strcmp(plan->format, "json") != 0) {
        *bad_at = wr_options_at(plan->options, "format");
        wr_fail(err, WR_CLASS_USER, "connector '%s' does not write format '%s'", plan->connector,
                plan->format);
        wr_error_hint(err, "use format = 'json'");
        return WR_FAIL;
    }
    *bad_at = wr_options_at(plan->options, "key");
    WR_TRY(check_key(plan, err));
    struct wr_kafka_access *access = NULL;
    WR_TRY(wr_kafka_access_create(&access, plan->connector, plan->options, bad_at, err));
    wr_kafka_access_destroy(access);
    return wr_kafka_check_properties(plan, bad_at, err);
}

/* ---- open ---- */

void wr_kafka_sink_close(struct wr_writer *w)
{
    if (w == NULL) {
        return;
    }
    w->closing = true;
    if (w->event_armed) {
        wr_io_cancel(w->env.io, &w->event_op);
        while (w->event_armed) {
            wr_io_turn(w->env.io, WR_NS_PER_MS);
        }
    }
    wr_kafka_commit_close(w);
    wr_kafka_producer_close(w);
    wr_kafka_spools_deinit(&w->spools);
    wr_kafka_spool_destroy(w->sending);
    wr_kafka_spool_destroy(w->sent);
    if (w->event_fd >= 0) {
        close(w->event_fd);
    }
    wr_row_json_destroy(w->json);
    wr_buf_deinit(&w->row);
    wr_buf_deinit(&w->key);
    free(w->identity);
    wr_kafka_access_destroy(w->access);
    free(w);
}

wr_status wr_kafka_sink_open(struct wr_writer **writer, const struct wr_sink_env *env,
                            struct wr_error *err)
{
    struct wr_writer *w = wr_calloc(1, sizeof *w);
    w->env = *env;
    w->event_fd = -1;
    w->json = wr_row_json_of_sink(env->plan);
    const char *key = wr_options_text(env->plan->options, "key");
    w->key_column = key == NULL ? WR_NO_COLUMN
                                : (uint32_t)wr_schema_find(&env->plan->schema, key);
    uint32_t bad_at;
    wr_status status = wr_kafka_access_create(&w->access, env->plan->connector, env->plan->options,
                                              &bad_at, err);
    if (status == WR_OK) {
        w->brokers = wr_kafka_access_brokers(w->access);
        w->topic_name = wr_kafka_access_is_event_hubs(w->access)
                            ? wr_kafka_access_hub(w->access)
                            : wr_options_text(env->plan->options, "topic");
        status = wr_kafka_commit_open(w, err);
    }
    if (status == WR_OK) {
        status = wr_kafka_producer_open(w, env->exactly_once, err);
    }
    if (status == WR_OK) {
        status = wr_kafka_find_topic(w, err);
    }
    if (status != WR_OK) {
        wr_kafka_sink_close(w);
        return status;
    }
    *writer = w;
    return WR_OK;
}

/* ---- writing ---- */

/* NULL and 0 bytes for a row whose key column is NULL. */
static struct wr_slice key_of(struct wr_writer *w, const struct wr_batch *batch, uint32_t row)
{
    if (w->key_column == WR_NO_COLUMN) {
        return (struct wr_slice){ 0 };
    }
    const struct wr_column *column = &batch->columns[w->key_column];
    if (wr_column_is_null(column, row)) {
        return (struct wr_slice){ 0 };
    }
    const void *value =
        (const char *)column->values + (size_t)row * wr_type_width(column->type);
    if (column->type.id == WR_TYPE_TEXT || column->type.id == WR_TYPE_JSON) {
        return wr_view_slice(value);
    }
    w->key.bytes = 0;
    wr_text_format(&w->key, column->type, value);
    return (struct wr_slice){ w->key.data, w->key.bytes };
}

static wr_status queue_full(const struct wr_writer *w, struct wr_error *err)
{
    wr_fail(err, WR_CLASS_RETRY, "topic %s: %" PRIu64 " rows wait for the brokers %s, and there "
            "is no room for more", w->topic_name, w->outstanding, w->brokers);
    if (w->trouble[0] != '\0') {
        wr_error_detail(err, "librdkafka: %s", w->trouble);
    }
    wr_error_hint(err, "check that the brokers run: kcat -b %s -L", w->brokers);
    return WR_FAIL;
}

/* Hands one message over; waits while librdkafka's queue is full. */
static wr_status produce(struct wr_writer *w, struct wr_slice key, int64_t ingest_us,
                         struct wr_error *err)
{
    int64_t until_ns = 0;
    while (rd_kafka_produce(w->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, w->row.data,
                            w->row.bytes, key.data, key.bytes,
                            (void *)(intptr_t)ingest_us) != 0) {
        const rd_kafka_resp_err_t error = rd_kafka_last_error();
        if (wr_kafka_refused_for_good(error)) {
            w->env.reject(w->env.ctx, w->row.data, w->row.bytes, rd_kafka_err2str(error));
            return WR_OK;
        }
        if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            wr_kafka_set_failed(w, "a row cannot be sent", rd_kafka_err2str(error));
        }
        (void)rd_kafka_poll(w->kafka, 10);
        wr_kafka_tell_visible(w);
        if (w->failed) {
            *err = w->failure;
            return WR_FAIL;
        }
        const int64_t now_ns = wr_clock_now().mono_ns;
        until_ns = until_ns == 0 ? now_ns + FULL_WAIT_NS : until_ns;
        if (now_ns > until_ns) {
            return queue_full(w, err);
        }
    }
    w->outstanding++;
    w->outstanding_bytes += w->row.bytes + key.bytes;
    w->stats.rows++;
    return WR_OK;
}

/* A row becomes a message of the epoch's spool. */
static wr_status keep(struct wr_writer *w, const struct wr_batch *batch, uint32_t row,
                      uint64_t *kept, struct wr_error *err)
{
    WR_TRY(wr_kafka_spools_ready(&w->spools, err));
    const struct wr_slice key = key_of(w, batch, row);
    const size_t mark = wr_kafka_spools_begin(&w->spools, key);
    const size_t from = w->spools.data.bytes;
    wr_row_json_append(w->json, &w->spools.data, batch, row);
    const size_t bytes = w->spools.data.bytes - from;
    if (key.bytes + bytes + WR_KAFKA_MESSAGE_OVERHEAD > w->message_bytes_max) {
        w->env.reject(w->env.ctx, w->spools.data.data + from, bytes,
                      rd_kafka_err2str(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE));
        wr_kafka_spools_undo(&w->spools, mark);
        return WR_OK;
    }
    wr_kafka_spools_end(&w->spools, mark);
    w->stats.rows++;
    (*kept)++;
    return WR_OK;
}

static wr_status keep_batch(struct wr_writer *w, const struct wr_batch *batch, struct wr_error *err)
{
    const uint32_t live = wr_batch_live(batch);
    uint64_t kept = 0;
    wr_status status = WR_OK;
    for (; w->resume < live && status == WR_OK; w->resume += status == WR_OK) { /* (2) */
        status = keep(w, batch, wr_batch_row(batch, w->resume), &kept, err);
    }
    if (kept > 0) {
        wr_kafka_spools_arrived(&w->spools, batch->ingest_us, kept);
    }
    if (status == WR_OK) {
        w->resume = 0;
    }
    return status;
}

wr_status wr_kafka_sink_write(struct wr_writer *w, const struct wr_batch *batch, struct wr_time now,
                             struct wr_error *err)
{
    if (w->failed) {
        *err = w->failure;
        return WR_FAIL;
    }
    if (w->env.exactly_once) {
        return keep_batch(w, batch, err);
    }
    const uint32_t live = wr_batch_live(batch);
    for (; w->resume < live; w->resume++) { /* (2) */
        const uint32_t row = wr_batch_row(batch, w->resume);
        w->row.bytes = 0;
        wr_row_json_append(w->json, &w->row, batch, row);
        WR_TRY(produce(w, key_of(w, batch, row), batch->ingest_us, err));
    }
    w->resume = 0;
    wr_kafka_serve(w);
    return WR_OK;
}

wr_status wr_kafka_sink_tick(struct wr_writer *w, struct wr_time now, int64_t *next_ns,
                            struct wr_error *err)
{
    wr_kafka_serve(w);
    /* One object at a time: rows may wait behind this. */
    *next_ns = wr_kafka_spools_sweep(&w->spools) ? now.mono_ns : now.mono_ns + TICK_NS;
    if (w->failed) {
        *err = w->failure;
        return WR_FAIL;
    }
    return WR_OK;
}

/* ---- epochs ---- */

wr_status wr_kafka_sink_prepare(struct wr_writer *w, uint64_t epoch, struct wr_buf *receipt,
                              struct wr_error *err)
{
    if (w->env.exactly_once) {
        return wr_kafka_commit_prepare(w, epoch, receipt, err);
    }
    if (w->outstanding > 0 && !w->failed) {
        (void)rd_kafka_flush(w->kafka, ACK_WAIT_MS);
    }
    wr_kafka_serve(w);
    if (w->failed) {
        *err = w->failure;
        return WR_FAIL;
    }
    if (w->outstanding == 0) {
        w->trouble[0] = '\0'; /* over: a later error must not quote it */
        return WR_OK;
    }
    wr_fail(err, WR_CLASS_RETRY, "topic %s: the brokers %s have not acknowledged %" PRIu64
            " rows for %d s", w->topic_name, w->brokers, w->outstanding, ACK_WAIT_MS / 1000);
    if (w->trouble[0] != '\0') {
        wr_error_detail(err, "librdkafka: %s", w->trouble);
    }
    wr_error_hint(err, "check that they run and that enough replicas are in sync: kcat -b %s -L",
                  w->brokers);
    return WR_FAIL;
}

wr_status wr_kafka_sink_publish(struct wr_writer *w, uint64_t epoch,
                              const struct wr_receipt *receipts, uint32_t receipt_count,
                              struct wr_error *err)
{
    return w->env.exactly_once
               ? wr_kafka_commit_publish(w, epoch, receipts, receipt_count, err)
               : WR_OK;
}

void wr_kafka_sink_stats(const struct wr_writer *w, struct wr_sink_stats *stats)
{
    *stats = w->stats;
}

uint64_t wr_kafka_sink_held_bytes(const struct wr_writer *w)
{
    return w->outstanding_bytes + w->row.capacity + wr_kafka_spools_held(&w->spools);
}

const struct wr_sink_ops wr_sink_kafka = {
    .name = "kafka",
    .help = "A JSON message per row to a Kafka topic, keyed by a column if asked.",
    .has_format = true,
    .exactly_once = true,
    .options = kafka_options,
    .check = wr_kafka_sink_check,
    WR_KAFKA_SINK_CALLS,
};
