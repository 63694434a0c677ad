/* sink_pubsub.c: a JSON message per row to a topic of Google Pub/Sub, at least once.
 *
 * Rows gather in a batch (a Publish request) until it is full or `linger` has passed. Several requests are under way at a time. With
 * `key` a batch holds messages of one ordering key (the service asks for that), and a key has one request under way: what comes
 * later waits behind it in the key's lane, so that the order of a key is kept over retries.
 * A request that the service refuses as such (INVALID_ARGUMENT) is sent again message by message; the one that is refused alone is
 * a rejected row. Everything else is tried again, or ends the run (no such topic, no permission).
 * Threads: sink worker; it turns the channel in write, tick and prepare, and waits in write (too much outstanding) and prepare.
 * Invariants:
 *   (1) after prepare returned WR_OK every message is acknowledged or was rejected
 *   (2) a batch that was taken in part is remembered by resume: the repeated write goes on there
 *   (3) a lane of an ordering key has at most one request under way, its oldest
 */
#include "sink/guarantee.h"
#include "sink/row_lines.h"
#include "sink/sinks.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/log.h"
#include "batch/text.h"
#include "net/pubsub_api.h"
#include "net/retry.h"
#include <stdio.h>

#define LANES 4096u                /* buckets */
#define REQUESTS_MAX 16u
#define REQUEST_BYTES (1u << 20)   /* libcurl 7.88 spins while a larger HTTP/2 upload waits for the peer's window */
#define OUTSTANDING_MAX (64u << 20)
#define MESSAGE_OVERHEAD 64u       /* framing of a message, generously */
#define CALL_TIMEOUT_MS 60000u
#define WAIT_NS (5 * WR_NS_PER_S)  /* how long write and prepare wait before they say so; run repeats them */
#define TURN_NS (2 * WR_NS_PER_MS) /* between looks while something is under way */
#define OPEN_ATTEMPTS 4u
#define RETRY_FIRST_MS 100u
#define RETRY_LONGEST_MS 10000u

struct lane;

struct batch {
    struct batch *next; /* in its lane */
    struct lane *lane;
    struct wr_writer *writer;
    struct wr_buf request;
    uint32_t count;
    int64_t ingest_us; /* of the oldest */
    int64_t opened_ns;
    int64_t again_ns; /* not sent before */
    struct wr_retry retry;
    struct wr_grpc_call call;
    bool closed; /* takes no more rows */
};

struct lane {
    struct lane *same;  /* of the bucket */
    struct lane *next, *previous; /* of those with batches */
    struct batch *first, *last;
    uint32_t under_way;
    uint32_t key_bytes;
    char key[];
};

struct wr_writer {
    struct wr_sink_env env;
    struct wr_pubsub_service service;
    struct wr_row_json *json;
    struct wr_buf row, key, value;
    char *topic; /* full name */
    char *params;
    uint32_t key_column; /* or WR_NO_COLUMN */
    uint32_t *attributes;
    uint32_t attribute_count;
    int64_t linger_ns;
    struct lane *lanes[LANES];
    struct lane *busy; /* lanes with batches */
    uint32_t under_way;
    uint64_t outstanding;
    uint64_t outstanding_bytes;
    uint32_t resume;
    bool failed;
    struct wr_error failure;
    char trouble[400];
    struct wr_sink_stats stats;
};

static const struct wr_option pubsub_options[] = {
    { "topic", WR_OPTION_TEXT, NULL, "Its id, or in full projects/PROJECT/topics/ID; it must exist.", .flags = WR_OPTION_REQUIRED },
    WR_PUBSUB_PLACE_OPTIONS,
    { "key", WR_OPTION_TEXT, NULL, "The column whose text is the message's ordering key: equal keys arrive in order." },
    { "attributes", WR_OPTION_LIST, NULL, "Columns that also become attributes of the message; NULL: none." },
    { "linger", WR_OPTION_DURATION, "10ms", "How long a message may wait for others to share a request.", .min = 0, .max = 900000000 },
    { .name = NULL },
};

/* ---- checks ---- */

static wr_status find_column(const struct wr_plan_sink *plan, const char *option, const char *name, uint32_t *column,
                             struct wr_error *err)
{
    const int32_t found = wr_schema_find(&plan->schema, name);
    if (found < 0) {
        (void)wr_fail(err, WR_CLASS_USER, "%s: the sink has no column \"%s\"", option, name);
        wr_error_hint(err, "name a column of the sink's SELECT");
        return WR_FAIL;
    }
    *column = (uint32_t)found;
    return WR_OK;
}

static wr_status check_columns(const struct wr_plan_sink *plan, uint32_t *bad_at, struct wr_error *err)
{
    const char *key = wr_options_text(plan->options, "key");
    uint32_t column;
    uint32_t count = 0;
    const char *const *names = NULL;
    if (key != NULL) {
        *bad_at = wr_options_at(plan->options, "key");
        WR_TRY(find_column(plan, "key", key, &column, err));
    }
    if (wr_options_has(plan->options, "attributes")) {
        names = wr_options_list(plan->options, "attributes", &count);
        *bad_at = wr_options_at(plan->options, "attributes");
    }
    for (uint32_t i = 0; i < count; i++) {
        WR_TRY(find_column(plan, "attributes", names[i], &column, err));
    }
    return WR_OK;
}

static wr_status pubsub_check(const struct wr_plan_sink *plan, uint32_t *bad_at, struct wr_error *err)
{
    const struct wr_pubsub_place place = WR_PUBSUB_PLACE_OF(plan->options);
    struct wr_buf name = { 0 };
    WR_TRY(wr_sink_check_at_least_once(plan, bad_at, err));
    WR_TRY(wr_row_lines_check(plan, bad_at, err));
    if (plan->format != NULL && plan->format[0] != '\0' && strcmp(plan->format, "json") != 0) {
        *bad_at = wr_options_at(plan->options, "format");
        (void)wr_fail(err, WR_CLASS_USER, "connector 'pubsub' does not write format '%s'", plan->format);
        wr_error_hint(err, "use format = 'json'");
        return WR_FAIL;
    }
    WR_TRY(check_columns(plan, bad_at, err));
    *bad_at = wr_options_at(plan->options, "topic");
    const wr_status status = wr_pubsub_resource(&name, &place, "topics", wr_options_text(plan->options, "topic"), err);
    wr_buf_deinit(&name);
    return status;
}

/* ---- lanes and batches ---- */

static struct lane *lane_of(struct wr_writer *w, struct wr_slice key)
{
    struct lane **bucket = &w->lanes[wr_hash_bytes(key.data, key.bytes) % LANES];
    for (struct lane *lane = *bucket; lane != NULL; lane = lane->same) {
        if (wr_slice_equal((struct wr_slice){ lane->key, lane->key_bytes }, key)) {
            return lane;
        }
    }
    struct lane *lane = wr_calloc(1, sizeof *lane + key.bytes);
    lane->key_bytes = (uint32_t)key.bytes;
    memcpy(lane->key, key.data != NULL ? key.data : "", key.bytes);
    lane->same = *bucket;
    *bucket = lane;
    lane->next = w->busy;
    if (w->busy != NULL) {
        w->busy->previous = lane;
    }
    w->busy = lane;
    return lane;
}

/* A lane without batches goes: keys are as many as there are. */
static void drop_lane(struct wr_writer *w, struct lane *lane)
{
    struct lane **at = &w->lanes[wr_hash_bytes(lane->key, lane->key_bytes) % LANES];
    while (*at != lane) {
        at = &(*at)->same;
    }
    *at = lane->same;
    *(lane->previous != NULL ? &lane->previous->next : &w->busy) = lane->next;
    if (lane->next != NULL) {
        lane->next->previous = lane->previous;
    }
    free(lane);
}

static struct batch *make_batch(struct wr_writer *w, struct lane *lane, int64_t ingest_us, int64_t now_ns)
{
    struct batch *batch = wr_calloc(1, sizeof *batch);
    batch->lane = lane;
    batch->writer = w;
    batch->ingest_us = ingest_us;
    batch->opened_ns = now_ns;
    wr_retry_init(&batch->retry, UINT32_MAX, RETRY_FIRST_MS, RETRY_LONGEST_MS, wr_rand_entropy());
    wr_proto_put_bytes(&batch->request, 1, w->topic, strlen(w->topic));
    return batch;
}

static void free_batch(struct batch *batch)
{
    wr_grpc_call_deinit(&batch->call);
    wr_buf_deinit(&batch->request);
    free(batch);
}

static void take_out(struct lane *lane, struct batch *batch)
{
    struct batch *before = NULL;
    for (struct batch *b = lane->first; b != batch; b = b->next) {
        before = b;
    }
    *(before != NULL ? &before->next : &lane->first) = batch->next;
    lane->last = lane->last == batch ? before : lane->last;
}

/* ---- outcomes ---- */

static void set_failed(struct wr_writer *w, const struct wr_grpc_call *call)
{
    if (!w->failed) {
        w->failed = true;
        (void)wr_pubsub_fail(call, "topic", w->topic, &w->failure);
        w->failure.cls = WR_CLASS_FATAL;
    }
}

/* The JSON text of a request's message. */
static struct wr_slice row_of(struct wr_slice message)
{
    struct wr_proto_reader r = wr_proto_read(message);
    struct wr_proto_field f;
    struct wr_slice row = { "", 0 };
    while (wr_proto_next(&r, &f)) {
        row = f.number == 1 && f.kind == WR_PROTO_BYTES ? f.bytes : row;
    }
    return row;
}

/* In place of the batch stand its messages, each alone. */
static void split_batch(struct wr_writer *w, struct batch *batch)
{
    struct wr_proto_reader r = wr_proto_read((struct wr_slice){ batch->request.data, batch->request.bytes });
    struct wr_proto_field f;
    struct batch **at = &batch->next;
    struct batch *after = batch->next;
    struct batch *last = batch;
    while (wr_proto_next(&r, &f)) {
        if (f.number != 2) {
            continue;
        }
        struct batch *one = make_batch(w, batch->lane, batch->ingest_us, batch->opened_ns);
        wr_proto_put_bytes(&one->request, 2, f.bytes.data, f.bytes.bytes);
        one->count = 1;
        one->closed = true;
        w->outstanding_bytes += one->request.bytes;
        *at = one;
        at = &one->next;
        last = one;
    }
    *at = after;
    batch->lane->last = batch->lane->last == batch ? last : batch->lane->last;
}

static void settle(struct wr_writer *w, struct batch *batch)
{
    struct lane *lane = batch->lane;
    take_out(lane, batch);
    w->outstanding_bytes -= batch->request.bytes;
    free_batch(batch);
    if (lane->first == NULL) {
        drop_lane(w, lane);
    }
}

static void refuse(struct wr_writer *w, struct batch *batch, const char *why)
{
    struct wr_proto_reader r = wr_proto_read((struct wr_slice){ batch->request.data, batch->request.bytes });
    struct wr_proto_field f;
    while (wr_proto_next(&r, &f)) {
        if (f.number == 2) {
            const struct wr_slice row = row_of(f.bytes);
            w->env.reject(w->env.ctx, row.data, row.bytes, why);
        }
    }
    w->outstanding -= batch->count;
    w->stats.rows -= batch->count;
}

static void publish_answer(struct wr_grpc_call *call, char *data, size_t bytes)
{
    free(data); /* message ids: nobody asks */
}

static void publish_done(struct wr_grpc_call *call)
{
    struct batch *batch = call->ctx;
    struct wr_writer *w = batch->writer;
    w->under_way--;
    batch->lane->under_way--;
    if (call->code == WR_GRPC_OK) {
        w->outstanding -= batch->count;
        w->stats.bytes += batch->request.bytes;
        w->trouble[0] = '\0';
        w->env.visible(w->env.ctx, batch->ingest_us, batch->count);
        settle(w, batch);
    } else if (call->code == WR_GRPC_INVALID_ARGUMENT && batch->count > 1) {
        split_batch(w, batch);
        settle(w, batch);
    } else if (call->code == WR_GRPC_INVALID_ARGUMENT) {
        refuse(w, batch, call->text[0] != '\0' ? call->text : "the service refuses this message");
        settle(w, batch);
    } else {
        uint32_t wait_ms = RETRY_LONGEST_MS;
        (void)wr_retry_next(&batch->retry, 0, &wait_ms);
        batch->again_ns = wr_clock_now().mono_ns + wait_ms * WR_NS_PER_MS;
        (void)snprintf(w->trouble, sizeof w->trouble, "%s: %s", wr_grpc_code_name(call->code), call->text);
        if (!call->may_retry && call->code != WR_GRPC_UNKNOWN && call->code != WR_GRPC_CANCELLED) {
            set_failed(w, call);
        }
    }
}

/* ---- sending ---- */

static void send_batch(struct wr_writer *w, struct batch *batch)
{
    batch->closed = true;
    batch->call = (struct wr_grpc_call){ .method = WR_PUBSUB_PUBLISH,
                                         .params = w->params,
                                         .timeout_ms = CALL_TIMEOUT_MS,
                                         .message = publish_answer,
                                         .done = publish_done,
                                         .ctx = batch };
    w->under_way++;
    batch->lane->under_way++;
    wr_grpc_begin(w->service.channel, &batch->call, batch->request.data, batch->request.bytes, false);
}

/* all: also what could still grow. */
static void send_due(struct wr_writer *w, int64_t now_ns, bool all)
{
    for (struct lane *lane = w->busy; lane != NULL; lane = lane->next) {
        const uint32_t most = lane->key_bytes > 0 ? 1 : REQUESTS_MAX; /* (3) */
        for (struct batch *batch = lane->first; batch != NULL && lane->under_way < most && w->under_way < REQUESTS_MAX;
             batch = batch->next) {
            const bool due = all || batch->closed || now_ns - batch->opened_ns >= w->linger_ns;
            if (wr_grpc_is_under_way(&batch->call)) {
                continue;
            }
            if (due && now_ns >= batch->again_ns && !w->failed) {
                send_batch(w, batch);
            } else if (lane->key_bytes > 0) {
                break; /* its later ones wait for it */
            }
        }
    }
}

static void turn(struct wr_writer *w, bool all, int wait_ms)
{
    send_due(w, wr_clock_now().mono_ns, all);
    wr_grpc_turn(w->service.channel, w->under_way > 0 || wait_ms == 0 ? wait_ms : 10);
}

/* ---- writing ---- */

/* The column's text; false: NULL. */
static bool text_of(const struct wr_batch *batch, uint32_t column, uint32_t row, struct wr_buf *buf, struct wr_slice *text)
{
    const struct wr_column *c = &batch->columns[column];
    if (wr_column_is_null(c, row)) {
        return false;
    }
    const void *value = (const char *)c->values + (size_t)row * wr_type_width(c->type);
    if (c->type.id == WR_TYPE_TEXT || c->type.id == WR_TYPE_JSON) {
        *text = wr_view_slice(value);
        return true;
    }
    buf->bytes = 0;
    wr_text_format(buf, c->type, value);
    *text = (struct wr_slice){ buf->data, buf->bytes };
    return true;
}

static void put_message(struct wr_writer *w, struct batch *into, const struct wr_batch *batch, uint32_t row, struct wr_slice key)
{
    struct wr_slice value;
    const size_t message = wr_proto_begin(&into->request, 2);
    wr_proto_put_bytes(&into->request, 1, w->row.data, w->row.bytes);
    for (uint32_t i = 0; i < w->attribute_count; i++) {
        if (text_of(batch, w->attributes[i], row, &w->value, &value)) {
            const char *name = w->env.plan->schema.fields[w->attributes[i]].name;
            const size_t entry = wr_proto_begin(&into->request, 2);
            wr_proto_put_bytes(&into->request, 1, name, strlen(name));
            wr_proto_put_bytes(&into->request, 2, value.data, value.bytes);
            wr_proto_end(&into->request, entry);
        }
    }
    if (key.bytes > 0) {
        wr_proto_put_bytes(&into->request, 5, key.data, key.bytes);
    }
    wr_proto_end(&into->request, message);
}

static void add_row(struct wr_writer *w, const struct wr_batch *batch, uint32_t row, int64_t now_ns)
{
    struct wr_slice key = { "", 0 };
    w->row.bytes = 0;
    wr_row_json_append(w->json, &w->row, batch, row);
    if (w->row.bytes + MESSAGE_OVERHEAD > WR_PUBSUB_PUBLISH_BYTES_MAX) {
        w->env.reject(w->env.ctx, w->row.data, w->row.bytes, "a message of Pub/Sub has 10 MB at most");
        return;
    }
    if (w->key_column != WR_NO_COLUMN) {
        (void)text_of(batch, w->key_column, row, &w->key, &key);
    }
    struct lane *lane = lane_of(w, key);
    struct batch *into = lane->last;
    if (into == NULL || into->closed || into->count >= WR_PUBSUB_PUBLISH_MESSAGES_MAX ||
        into->request.bytes + w->row.bytes + MESSAGE_OVERHEAD > REQUEST_BYTES) {
        if (into != NULL) {
            into->closed = true;
        }
        into = make_batch(w, lane, batch->ingest_us, now_ns);
        *(lane->last != NULL ? &lane->last->next : &lane->first) = into;
        lane->last = into;
        w->outstanding_bytes += into->request.bytes;
    }
    w->outstanding_bytes -= into->request.bytes;
    put_message(w, into, batch, row, key);
    w->outstanding_bytes += into->request.bytes;
    into->count++;
    w->outstanding++;
    w->stats.rows++;
}

static wr_status say_waiting(const struct wr_writer *w, struct wr_error *err)
{
    (void)wr_fail(err, WR_CLASS_RETRY, "topic %s: the service has not acknowledged %llu rows for %lld s", w->topic,
                  (unsigned long long)w->outstanding, WAIT_NS / WR_NS_PER_S);
    if (w->trouble[0] != '\0') {
        wr_error_detail(err, "%s", w->trouble);
    }
    wr_error_hint(err, "check the network and that %s answers", w->service.url);
    return WR_FAIL;
}

static wr_status pubsub_write(struct wr_writer *w, const struct wr_batch *batch, struct wr_time now, struct wr_error *err)
{
    const uint64_t most = w->env.memory_bytes > 0 && w->env.memory_bytes < OUTSTANDING_MAX ? w->env.memory_bytes : OUTSTANDING_MAX;
    const uint32_t live = wr_batch_live(batch);
    const int64_t until_ns = now.mono_ns + WAIT_NS;
    for (; w->resume < live; w->resume++) { /* (2) */
        while (w->outstanding_bytes > most && !w->failed) {
            turn(w, true, 100);
            if (w->outstanding_bytes > most && wr_clock_now().mono_ns > until_ns) {
                return say_waiting(w, err);
            }
        }
        if (w->failed) {
            *err = w->failure;
            return WR_FAIL;
        }
        add_row(w, batch, wr_batch_row(batch, w->resume), now.mono_ns);
    }
    w->resume = 0;
    turn(w, false, 0);
    return WR_OK;
}

static wr_status pubsub_tick(struct wr_writer *w, struct wr_time now, int64_t *next_ns, struct wr_error *err)
{
    turn(w, false, 0);
    *next_ns = w->busy != NULL ? now.mono_ns + TURN_NS : INT64_MAX;
    if (w->failed) {
        *err = w->failure;
        return WR_FAIL;
    }
    return WR_OK;
}

static wr_status pubsub_prepare(struct wr_writer *w, uint64_t epoch, struct wr_buf *receipt, struct wr_error *err)
{
    const int64_t until_ns = wr_clock_now().mono_ns + WAIT_NS;
    while (w->busy != NULL && !w->failed && wr_clock_now().mono_ns < until_ns) {
        turn(w, true, 100);
    }
    if (w->failed) {
        *err = w->failure;
        return WR_FAIL;
    }
    return w->busy == NULL ? WR_OK : say_waiting(w, err); /* (1) */
}

static wr_status pubsub_publish(struct wr_writer *w, uint64_t epoch, const struct wr_receipt *receipts, uint32_t receipt_count,
                                struct wr_error *err)
{
    return WR_OK;
}

/* ---- open, close ---- */

static void pubsub_close(struct wr_writer *w)
{
    if (w == NULL) {
        return;
    }
    while (w->busy != NULL) {
        settle(w, w->busy->first);
    }
    wr_pubsub_close(&w->service);
    wr_row_json_destroy(w->json);
    wr_buf_deinit(&w->row);
    wr_buf_deinit(&w->key);
    wr_buf_deinit(&w->value);
    free(w->attributes);
    free(w->topic);
    free(w->params);
    free(w);
}

/* A request without messages: refused as such by a topic that is there, otherwise the outcome says what is wrong. */
static wr_status find_topic(struct wr_writer *w, struct wr_error *err)
{
    struct wr_buf request = { 0 };
    struct wr_buf reply = { 0 };
    struct wr_retry retry;
    uint32_t wait_ms = 0;
    wr_status status;
    wr_proto_put_bytes(&request, 1, w->topic, strlen(w->topic));
    wr_retry_init(&retry, OPEN_ATTEMPTS, 250, 2000, wr_rand_entropy());
    do {
        struct wr_grpc_call call = { .method = WR_PUBSUB_PUBLISH, .params = w->params, .timeout_ms = 10000 };
        wr_clock_sleep_ms(wait_ms);
        status = wr_grpc_unary(w->service.channel, &call, &request, &reply, err);
        if (status != WR_OK) {
            status = call.code == WR_GRPC_INVALID_ARGUMENT ? WR_OK : wr_pubsub_fail(&call, "topic", w->topic, err);
        }
        wr_grpc_call_deinit(&call);
    } while (status != WR_OK && err->cls == WR_CLASS_RETRY && wr_retry_next(&retry, 0, &wait_ms));
    wr_buf_deinit(&request);
    wr_buf_deinit(&reply);
    return status;
}

static wr_status open_parts(struct wr_writer *w, struct wr_error *err)
{
    const struct wr_plan_sink *plan = w->env.plan;
    const struct wr_pubsub_place place = WR_PUBSUB_PLACE_OF(plan->options);
    const char *key = wr_options_text(plan->options, "key");
    struct wr_buf text = { 0 };
    w->key_column = WR_NO_COLUMN;
    if (key != NULL) {
        WR_TRY(find_column(plan, "key", key, &w->key_column, err));
    }
    if (wr_options_has(plan->options, "attributes")) {
        const char *const *names = wr_options_list(plan->options, "attributes", &w->attribute_count);
        w->attributes = wr_calloc(w->attribute_count + 1, sizeof *w->attributes);
        for (uint32_t i = 0; i < w->attribute_count; i++) {
            WR_TRY(find_column(plan, "attributes", names[i], &w->attributes[i], err));
        }
    }
    const wr_status named = wr_pubsub_resource(&text, &place, "topics", wr_options_text(plan->options, "topic"), err);
    w->topic = wr_strdup(wr_buf_cstr(&text));
    text.bytes = 0;
    wr_pubsub_params(&text, "topic", w->topic);
    w->params = wr_strdup(wr_buf_cstr(&text));
    wr_buf_deinit(&text);
    WR_TRY(named);
    WR_TRY(wr_pubsub_open(&w->service, &place, err));
    return find_topic(w, err);
}

static wr_status pubsub_open(struct wr_writer **writer, const struct wr_sink_env *env, struct wr_error *err)
{
    struct wr_writer *w = wr_calloc(1, sizeof *w);
    w->env = *env;
    w->json = wr_row_json_of_sink(env->plan);
    w->linger_ns = wr_options_int(env->plan->options, "linger") * 1000;
    if (open_parts(w, err) != WR_OK) {
        pubsub_close(w);
        return WR_FAIL;
    }
    *writer = w;
    return WR_OK;
}

static void pubsub_stats(const struct wr_writer *w, struct wr_sink_stats *stats)
{
    *stats = w->stats;
}

static uint64_t pubsub_held_bytes(const struct wr_writer *w)
{
    return w->outstanding_bytes + w->row.capacity;
}

const struct wr_sink_ops wr_sink_pubsub = {
    .name = "pubsub",
    .help = "A JSON message per row to a topic of Google Pub/Sub, with an ordering key and attributes if asked.",
    .has_format = true,
    .options = pubsub_options,
    .check = pubsub_check,
    .open = pubsub_open,
    .write = pubsub_write,
    .tick = pubsub_tick,
    .prepare = pubsub_prepare,
    .publish = pubsub_publish,
    .stats = pubsub_stats,
    .held_bytes = pubsub_held_bytes,
    .close = pubsub_close,
};
