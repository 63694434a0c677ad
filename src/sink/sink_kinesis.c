/* sink_kinesis.c: a JSON record per row to an Amazon Kinesis stream, by PutRecords.
 *
 * At least once: rows are gathered into puts of up to 500 records; a few puts are under way at a time. A put whose answer names
 * failed records keeps those and sends them again after a back-off with jitter; what is refused for good goes to reject. Nothing
 * orders the records of several puts: readers order by event time.
 * Threads: sink worker, which drives its HTTP client in write, tick and prepare.
 * Invariants:
 *   (1) after prepare returned WR_OK every record is acknowledged, or was refused for good and went to reject
 *   (2) a batch that was taken in part is remembered by resume: the repeated write goes on there
 *   (3) waiting == sum of count over puts; waiting_bytes likewise of their entries
 */
#include "net/kinesis_api.h"
#include "net/retry.h"
#include "sink/guarantee.h"
#include "sink/row_lines.h"
#include "sink/sinks.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/log.h"
#include "batch/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* PutRecords' limits: records, and bytes of data and keys of all of them. */
#define PUT_ROWS_MAX  500u
#define PUT_BYTES_MAX ((size_t)5 << 20)
/* A stream's records have 1 MiB at most, unless it was set otherwise (up to 10 MiB). */
#define RECORD_KIB_USUAL 1024
#define KEY_CHARACTERS_MAX 256u
#define PUTS          4u /* under way at a time; one more is being filled */
#define WAIT_NS       (5 * WR_NS_PER_S) /* how long prepare or a full write waits before it says so; run repeats it */
#define LOOK_NS       (5 * WR_NS_PER_MS)
#define FIRST_WAIT_MS 100u
#define LONGEST_WAIT_MS 5000u
#define ANSWER_BYTES_MAX ((size_t)4 << 20)

struct entry {
    size_t at; /* in the put's entries: {"Data":"...","PartitionKey":"..."} */
    size_t bytes;
    size_t payload; /* data and key, as the service counts them */
    int64_t ingest_us;
};

struct put {
    struct wr_http_call call;
    struct wr_buf entries;
    struct wr_buf body;
    struct entry items[PUT_ROWS_MAX];
    uint32_t count;
    uint32_t asked;   /* the first so many are in the request under way */
    size_t payload;
    bool full;        /* no longer filled: to be sent */
    bool under_way;
    bool alone;       /* one of its records made the whole request fail: they go one by one */
    int64_t first_ns; /* when its first row came */
    int64_t not_before_ns;
    struct wr_retry retry;
};

struct wr_writer {
    struct wr_sink_env env;
    struct wr_kinesis_api api;
    struct wr_row_json *json;
    struct wr_buf row;
    struct wr_buf key;
    uint32_t key_column; /* WR_NO_COLUMN: none */
    size_t record_bytes_max;
    int64_t linger_ns;
    struct put *puts; /* PUTS + 1 */
    struct put *filling; /* NULL: none */
    uint32_t resume; /* (2) */
    uint64_t waiting; /* (3) */
    uint64_t waiting_bytes;
    bool failed;
    struct wr_error failure;
    struct wr_error trouble; /* the last that passed by itself, for messages */
    struct wr_rand rand;
    struct wr_sink_stats stats;
};

static const struct wr_option kinesis_options[] = {
    { "stream", WR_OPTION_TEXT, NULL, "The stream's name, or its ARN; it must exist.",
      .flags = WR_OPTION_REQUIRED },
    { "key", WR_OPTION_TEXT, NULL,
      "The column whose text is the partition key: equal keys go to one shard. Default, and where it is NULL: rows are spread." },
    WR_KINESIS_PLACE_OPTIONS,
    { "linger", WR_OPTION_DURATION, "20ms", "How long a row may wait for others to share a request.",
      .min = 0, .max = 60 * WR_US_PER_S },
    { .name = NULL },
};

static wr_status kinesis_check(const struct wr_plan_sink *plan, uint32_t *bad_at, struct wr_error *err)
{
    const struct wr_kinesis_place place = WR_KINESIS_PLACE_OF(plan->options);
    const char *key = wr_options_text(plan->options, "key");
    WR_TRY(wr_row_lines_check(plan, bad_at, err));
    if (plan->format != NULL && plan->format[0] != '\0' && strcmp(plan->format, "json") != 0) {
        *bad_at = wr_options_at(plan->options, "format");
        wr_fail(err, WR_CLASS_USER, "connector 'kinesis' does not write format '%s'", plan->format);
        wr_error_hint(err, "use format = 'json'");
        return WR_FAIL;
    }
    *bad_at = wr_options_at(plan->options, "key");
    if (key != NULL && wr_schema_find(&plan->schema, key) < 0) {
        wr_fail(err, WR_CLASS_USER, "key: the sink has no column \"%s\"", key);
        wr_error_hint(err, "name a column of the sink's SELECT");
        return WR_FAIL;
    }
    *bad_at = wr_options_at(plan->options, "stream");
    WR_TRY(wr_kinesis_check(&place, err));
    return wr_sink_check_at_least_once(plan, bad_at, err);
}

/* ---- open ---- */

static void kinesis_close(struct wr_writer *w)
{
    if (w == NULL) {
        return;
    }
    wr_http_client_destroy(w->api.http); /* cancels what is under way */
    w->api.http = NULL;
    for (uint32_t i = 0; w->puts != NULL && i < PUTS + 1; i++) {
        wr_http_call_deinit(&w->puts[i].call);
        wr_buf_deinit(&w->puts[i].entries);
        wr_buf_deinit(&w->puts[i].body);
    }
    wr_kinesis_api_close(&w->api);
    wr_row_json_destroy(w->json);
    wr_buf_deinit(&w->row);
    wr_buf_deinit(&w->key);
    free(w->puts);
    free(w);
}

/* The stream is there, and how large its records may be. */
static wr_status describe(struct wr_writer *w, struct wr_error *err)
{
    struct wr_buf body = { 0 };
    json_t *answer = NULL;
    wr_buf_byte(&body, '{');
    wr_kinesis_put_stream(&w->api, &body);
    wr_buf_byte(&body, '}');
    const wr_status status = wr_kinesis_ask(&w->api, "DescribeStreamSummary",
                                            (struct wr_slice){ body.data, body.bytes },
                                            "describe it", &answer, NULL, err);
    const json_int_t kib = json_integer_value(json_object_get(
        json_object_get(answer, "StreamDescriptionSummary"), "MaxRecordSizeInKiB"));
    w->record_bytes_max =
        (size_t)(kib >= 1 && kib <= 10240 ? kib : RECORD_KIB_USUAL) << 10;
    json_decref(answer);
    wr_buf_deinit(&body);
    return status;
}

static wr_status kinesis_open(struct wr_writer **writer, const struct wr_sink_env *env,
                              struct wr_error *err)
{
    struct wr_writer *w = wr_calloc(1, sizeof *w);
    const struct wr_options *options = env->plan->options;
    const struct wr_kinesis_place place = WR_KINESIS_PLACE_OF(options);
    const char *key = wr_options_text(options, "key");
    w->env = *env;
    w->json = wr_row_json_of_sink(env->plan);
    w->linger_ns = wr_options_int(options, "linger") * 1000;
    w->key_column = key == NULL ? WR_NO_COLUMN : (uint32_t)wr_schema_find(&env->plan->schema, key);
    w->puts = wr_calloc(PUTS + 1, sizeof *w->puts);
    wr_rand_seed(&w->rand, wr_rand_entropy());
    wr_status status = wr_kinesis_api_open(&w->api, &place, err);
    if (status == WR_OK) {
        status = describe(w, err);
    }
    if (status != WR_OK) {
        kinesis_close(w);
        return status;
    }
    *writer = w;
    return WR_OK;
}

/* ---- puts ---- */

static void set_failed(struct wr_writer *w, const struct wr_error *err)
{
    if (!w->failed) {
        w->failed = true;
        w->failure = *err;
    }
}

/* Sends what is in the put: all of it, or (alone) its first record. */
static void send_put(struct wr_writer *w, struct put *put)
{
    put->asked = put->alone ? 1 : put->count;
    put->body.bytes = 0;
    wr_buf_byte(&put->body, '{');
    wr_kinesis_put_stream(&w->api, &put->body);
    wr_buf_text(&put->body, ",\"Records\":[");
    for (uint32_t i = 0; i < put->asked; i++) {
        if (i > 0) {
            wr_buf_byte(&put->body, ',');
        }
        wr_buf_append(&put->body, put->entries.data + put->items[i].at, put->items[i].bytes);
    }
    wr_buf_text(&put->body, "]}");
    wr_kinesis_sign(&w->api, &put->call, "PutRecords",
                    (struct wr_slice){ put->body.data, put->body.bytes });
    put->call.response_bytes_max = ANSWER_BYTES_MAX;
    put->call.ctx = put;
    put->under_way = true;
    wr_http_begin(w->api.http, &put->call);
}

/* Tells rows that were acknowledged, arrival time by arrival time. */
static void tell_visible(struct wr_writer *w, const struct put *put, const bool *acked)
{
    uint64_t rows = 0;
    int64_t ingest_us = 0;
    for (uint32_t i = 0; i <= put->asked; i++) {
        const bool is = i < put->asked && acked[i];
        if (rows > 0 && (i == put->asked || (is && put->items[i].ingest_us != ingest_us))) {
            w->env.visible(w->env.ctx, ingest_us, rows);
            rows = 0;
        }
        if (is) {
            ingest_us = put->items[i].ingest_us;
            rows++;
            w->stats.bytes += put->items[i].payload;
        }
    }
}

/* Takes the first asked records out that are done (acknowledged or refused). */
static void drop_done(struct wr_writer *w, struct put *put, const bool *done)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < put->count; i++) {
        if (i < put->asked && done[i]) {
            w->waiting--;
            w->waiting_bytes -= put->items[i].bytes;
        } else {
            put->items[kept++] = put->items[i];
        }
    }
    put->count = kept;
    put->asked = 0;
    if (kept == 0) {
        put->entries.bytes = 0;
        put->payload = 0;
        put->full = put->alone = false;
        put->not_before_ns = 0;
        wr_retry_reset(&put->retry);
    }
}

static void wait_more(struct put *put, int64_t now_ns)
{
    uint32_t wait_ms = LONGEST_WAIT_MS;
    (void)wr_retry_next(&put->retry, wr_http_call_retry_after_ms(&put->call), &wait_ms);
    put->not_before_ns = now_ns + (int64_t)wait_ms * WR_NS_PER_MS;
}

/* A record's data as it was before base64: the row. */
static void reject(struct wr_writer *w, const struct put *put, uint32_t index, const char *why)
{
    const struct entry *entry = &put->items[index];
    const char *from = put->entries.data + entry->at + strlen("{\"Data\":\"");
    const char *end = memchr(from, '"', entry->bytes);
    size_t bytes = 0;
    wr_assert(end != NULL);
    w->row.bytes = 0;
    char *into = wr_buf_reserve(&w->row, (size_t)(end - from));
    wr_assert(wr_text_parse_base64((struct wr_slice){ from, (size_t)(end - from) }, into, &bytes));
    w->env.reject(w->env.ctx, into, bytes, why);
    w->stats.rows -= w->stats.rows > 0;
}

static void note_trouble(struct wr_writer *w, const char *kind, const char *text)
{
    (void)wr_fail(&w->trouble, WR_CLASS_RETRY, "stream %s: %.100s", w->api.stream, kind);
    wr_error_detail(&w->trouble, "%.300s", text != NULL ? text : "");
}

/* The answer to a request that succeeded: each record's own outcome. */
static void read_results(struct wr_writer *w, struct put *put, int64_t now_ns)
{
    bool acked[PUT_ROWS_MAX] = { false };
    uint32_t left = put->asked;
    const struct wr_buf *body = &put->call.response;
    json_t *answer = json_loadb(body->data != NULL ? body->data : "", body->bytes, 0, NULL);
    const json_t *results = json_object_get(answer, "Records");
    if (json_array_size(results) == put->asked) {
        for (uint32_t i = 0; i < put->asked; i++) {
            const json_t *result = json_array_get(results, i);
            const char *kind = json_string_value(json_object_get(result, "ErrorCode"));
            acked[i] = kind == NULL && json_is_string(json_object_get(result, "SequenceNumber"));
            left -= acked[i];
            if (!acked[i]) {
                note_trouble(w, kind != NULL ? kind : "a record has no outcome",
                             json_string_value(json_object_get(result, "ErrorMessage")));
            }
        }
    } else {
        note_trouble(w, "the answer to PutRecords is not understood", NULL);
    }
    json_decref(answer);
    const bool some = left < put->asked;
    tell_visible(w, put, acked);
    if (some) {
        wr_retry_reset(&put->retry);
    }
    if (left > 0) {
        wait_more(put, now_ns);
    }
    drop_done(w, put, acked);
}

/* The whole request failed. */
static void read_failure(struct wr_writer *w, struct put *put, enum wr_kinesis_outcome outcome,
                         int64_t now_ns)
{
    static const bool all[1] = { true };
    struct wr_error err = { 0 };
    (void)wr_kinesis_fail(&w->api, &put->call, "write", &err);
    if (wr_kinesis_may_pass(outcome)) {
        w->trouble = err;
        wait_more(put, now_ns);
    } else if (outcome == WR_KINESIS_INVALID && put->asked > 1) {
        put->alone = true; /* one of them is at fault: they go one by one */
    } else if (outcome == WR_KINESIS_INVALID) {
        reject(w, put, 0, err.detail[0] != '\0' ? err.detail : err.message);
        drop_done(w, put, all);
    } else {
        set_failed(w, &err);
    }
}

static void put_done(struct wr_writer *w, struct put *put)
{
    const int64_t now_ns = wr_clock_now().mono_ns;
    const enum wr_kinesis_outcome outcome = wr_kinesis_outcome(&put->call);
    put->under_way = false;
    if (outcome == WR_KINESIS_OK) {
        read_results(w, put, now_ns);
    } else {
        read_failure(w, put, outcome, now_ns);
    }
}

/* Begins what is due, takes what is done; wait_ms: for that. */
static void drive(struct wr_writer *w, int64_t now_ns, uint32_t wait_ms)
{
    if (w->filling != NULL && w->filling->count > 0 &&
        now_ns >= w->filling->first_ns + w->linger_ns) {
        w->filling->full = true;
        w->filling = NULL;
    }
    bool any = false;
    for (uint32_t i = 0; i < PUTS + 1 && !w->failed; i++) {
        struct put *put = &w->puts[i];
        if (put->full && put->count > 0 && !put->under_way && put->not_before_ns <= now_ns) {
            send_put(w, put);
        }
        any = any || put->under_way;
    }
    if (!any) {
        if (wait_ms > 0) {
            wr_clock_sleep_ms(wait_ms);
        }
        return;
    }
    for (uint32_t n = 0; n < PUTS + 1; n++) {
        struct wr_http_call *call = wr_http_wait_for(w->api.http, n == 0 ? wait_ms : 0);
        if (call == NULL) {
            break;
        }
        put_done(w, call->ctx);
    }
}

/* ---- rows ---- */

static wr_status waiting_failed(const struct wr_writer *w, const char *what, struct wr_error *err)
{
    wr_fail(err, WR_CLASS_RETRY, "stream %s: %" PRIu64 " rows are not acknowledged %s", w->api.stream,
            w->waiting, what);
    if (w->trouble.cls != WR_CLASS_NONE) {
        wr_error_detail(err, "%.200s%s%.250s", w->trouble.message,
                        w->trouble.detail[0] != '\0' ? ": " : "", w->trouble.detail);
    }
    wr_error_hint(err, "nothing is lost: they are sent again; a shard takes 1,000 records and 1 MB a second");
    return WR_FAIL;
}

/* Appends the row's partition key to w->key; false: it cannot be one. */
static bool make_key(struct wr_writer *w, const struct wr_batch *batch, uint32_t row)
{
    w->key.bytes = 0;
    const struct wr_column *column =
        w->key_column != WR_NO_COLUMN ? &batch->columns[w->key_column] : NULL;
    if (column == NULL || wr_column_is_null(column, row)) {
        wr_buf_printf(&w->key, "%016" PRIx64, wr_rand_next(&w->rand));
        return true;
    }
    const void *value = (const char *)column->values + (size_t)row * wr_type_width(column->type);
    if (column->type.id == WR_TYPE_TEXT || column->type.id == WR_TYPE_JSON) {
        const struct wr_slice text = wr_view_slice(value);
        wr_buf_append(&w->key, text.data, text.bytes);
    } else {
        wr_text_format(&w->key, column->type, value);
    }
    uint32_t characters = 0;
    for (size_t i = 0; i < w->key.bytes; i++) {
        characters += ((uint8_t)w->key.data[i] & 0xc0) != 0x80;
    }
    if (w->key.bytes == 0) {
        wr_buf_byte(&w->key, '-'); /* a key has a character at least */
    }
    return characters <= KEY_CHARACTERS_MAX && wr_utf8_valid(w->key.data, w->key.bytes);
}

/* A put with room for the row; waits until one is done where all are full. */
static wr_status room_for(struct wr_writer *w, size_t payload, struct wr_error *err)
{
    const int64_t until_ns = wr_clock_now().mono_ns + WAIT_NS;
    if (w->filling != NULL &&
        (w->filling->count == PUT_ROWS_MAX || w->filling->payload + payload > PUT_BYTES_MAX) &&
        w->filling->count > 0) {
        w->filling->full = true;
        w->filling = NULL;
    }
    while (w->filling == NULL) {
        const int64_t now_ns = wr_clock_now().mono_ns;
        for (uint32_t i = 0; i < PUTS + 1 && w->filling == NULL; i++) {
            w->filling = w->puts[i].count == 0 && !w->puts[i].under_way ? &w->puts[i] : NULL;
        }
        if (w->filling != NULL) {
            w->filling->first_ns = now_ns;
            wr_retry_init(&w->filling->retry, UINT32_MAX, FIRST_WAIT_MS, LONGEST_WAIT_MS,
                          wr_rand_next(&w->rand));
            drive(w, now_ns, 0); /* the full one leaves at once */
            break;
        }
        drive(w, now_ns, 20);
        if (w->failed) {
            *err = w->failure;
            return WR_FAIL;
        }
        if (now_ns > until_ns) {
            return waiting_failed(w, "and there is no room for more", err);
        }
    }
    return WR_OK;
}

static wr_status add_row(struct wr_writer *w, const struct wr_batch *batch, uint32_t row,
                         struct wr_error *err)
{
    char why[120];
    w->row.bytes = 0;
    wr_row_json_append(w->json, &w->row, batch, row);
    if (!make_key(w, batch, row)) {
        w->env.reject(w->env.ctx, w->row.data, w->row.bytes,
                      "the partition key has more than 256 characters, or is not UTF-8");
        return WR_OK;
    }
    const size_t payload = w->row.bytes + w->key.bytes;
    if (payload > w->record_bytes_max) {
        (void)snprintf(why, sizeof why, "the record has %zu bytes, the stream takes %zu", payload,
                       w->record_bytes_max);
        w->env.reject(w->env.ctx, w->row.data, w->row.bytes, why);
        return WR_OK;
    }
    WR_TRY(room_for(w, payload, err));
    struct put *put = w->filling;
    const size_t at = put->entries.bytes;
    wr_buf_text(&put->entries, "{\"Data\":\"");
    wr_text_base64(&put->entries, w->row.data, w->row.bytes);
    wr_buf_text(&put->entries, "\",\"PartitionKey\":");
    wr_kinesis_put_text(&put->entries, w->key.data, w->key.bytes);
    wr_buf_byte(&put->entries, '}');
    put->items[put->count++] = (struct entry){ .at = at,
                                               .bytes = put->entries.bytes - at,
                                               .payload = payload,
                                               .ingest_us = batch->ingest_us };
    put->payload += payload;
    w->waiting++;
    w->waiting_bytes += put->entries.bytes - at; /* (3) */
    w->stats.rows++;
    return WR_OK;
}

static wr_status kinesis_write(struct wr_writer *w, const struct wr_batch *batch, struct wr_time now,
                               struct wr_error *err)
{
    if (w->failed) {
        *err = w->failure;
        return WR_FAIL;
    }
    const uint32_t live = wr_batch_live(batch);
    for (; w->resume < live; w->resume++) { /* (2) */
        WR_TRY(add_row(w, batch, wr_batch_row(batch, w->resume), err));
    }
    w->resume = 0;
    return WR_OK;
}

static wr_status kinesis_tick(struct wr_writer *w, struct wr_time now, int64_t *next_ns,
                              struct wr_error *err)
{
    drive(w, now.mono_ns, 0);
    *next_ns = w->waiting > 0 ? now.mono_ns + LOOK_NS : INT64_MAX;
    if (w->failed) {
        *err = w->failure;
        return WR_FAIL;
    }
    return WR_OK;
}

static wr_status kinesis_prepare(struct wr_writer *w, uint64_t epoch, struct wr_buf *receipt,
                                 struct wr_error *err)
{
    const int64_t until_ns = wr_clock_now().mono_ns + WAIT_NS;
    if (w->filling != NULL && w->filling->count > 0) {
        w->filling->full = true;
        w->filling = NULL;
    }
    while (w->waiting > 0 && !w->failed) { /* (1) */
        const int64_t now_ns = wr_clock_now().mono_ns;
        if (now_ns > until_ns) {
            return waiting_failed(w, "for 5 s", err);
        }
        drive(w, now_ns, 10);
    }
    if (w->failed) {
        *err = w->failure;
        return WR_FAIL;
    }
    w->trouble = (struct wr_error){ 0 }; /* over: a later error must not quote it */
    return WR_OK;
}

static wr_status kinesis_publish(struct wr_writer *w, uint64_t epoch, const struct wr_receipt *receipts,
                                 uint32_t receipt_count, struct wr_error *err)
{
    return WR_OK;
}

static void kinesis_stats(const struct wr_writer *w, struct wr_sink_stats *stats)
{
    *stats = w->stats;
}

static uint64_t kinesis_held_bytes(const struct wr_writer *w)
{
    return w->waiting_bytes + w->row.capacity;
}

const struct wr_sink_ops wr_sink_kinesis = {
    .name = "kinesis",
    .help = "A JSON record per row to a stream of Amazon Kinesis, at least once, its partition key a column if asked.",
    .has_format = true,
    .options = kinesis_options,
    .check = kinesis_check,
    .open = kinesis_open,
    .write = kinesis_write,
    .tick = kinesis_tick,
    .prepare = kinesis_prepare,
    .publish = kinesis_publish,
    .stats = kinesis_stats,
    .held_bytes = kinesis_held_bytes,
    .close = kinesis_close,
};
