/* kinesis_fan_out.c: enhanced fan-out: a registered consumer is sent each shard's records as they come, 2 MB/s for itself.
 *
 * A subscription is an answer without end, of event-stream frames; Amazon ends it after five minutes, and it is taken up again
 * behind its last record. While the queue is full, the connection is not read.
 */
#include "source/kinesis_source.h"

#include "base/heap.h"
#include "base/log.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Amazon refuses a second subscription within five seconds of one that was granted. */
#define AGAIN_NS        (5 * WR_NS_PER_S)
#define STREAM_MS       (6 * 60 * 1000u)
#define REGISTER_WAIT_MS 60000u
#define REGISTER_LOOK_MS 200u

/* ---- the consumer ---- */

static wr_status find_arn(struct wr_source *s, struct wr_error *err)
{
    struct wr_buf body = { 0 };
    json_t *answer = NULL;
    if (s->api.arn != NULL) {
        return WR_OK;
    }
    wr_buf_byte(&body, '{');
    wr_kinesis_put_stream(&s->api, &body);
    wr_buf_byte(&body, '}');
    wr_status status = wr_kinesis_ask(&s->api, "DescribeStreamSummary", (struct wr_slice){ body.data, body.bytes },
                                      "describe it", &answer, NULL, err);
    const char *arn = json_string_value(
        json_object_get(json_object_get(answer, "StreamDescriptionSummary"), "StreamARN"));
    if (status == WR_OK && arn == NULL) {
        status = wr_fail(err, WR_CLASS_FATAL, "stream %s: its description has no ARN", s->api.stream);
    }
    s->api.arn = arn != NULL ? wr_strdup(arn) : NULL;
    json_decref(answer);
    wr_buf_deinit(&body);
    return status;
}

/* Asks about the consumer, or for it; *active: it may read. */
static wr_status ask_consumer(struct wr_source *s, const char *operation, const char *object, bool *active,
                              enum wr_kinesis_outcome *outcome, struct wr_error *err)
{
    struct wr_buf body = { 0 };
    json_t *answer = NULL;
    wr_buf_text(&body, "{\"StreamARN\":");
    wr_kinesis_put_text(&body, s->api.arn, strlen(s->api.arn));
    wr_buf_text(&body, ",\"ConsumerName\":");
    wr_kinesis_put_text(&body, s->consumer, strlen(s->consumer));
    wr_buf_byte(&body, '}');
    const wr_status status = wr_kinesis_ask(&s->api, operation, (struct wr_slice){ body.data, body.bytes },
                                            "register a consumer", &answer, outcome, err);
    const json_t *consumer = json_object_get(answer, object);
    const char *arn = json_string_value(json_object_get(consumer, "ConsumerARN"));
    const char *state = json_string_value(json_object_get(consumer, "ConsumerStatus"));
    *active = state != NULL && strcmp(state, "ACTIVE") == 0;
    if (arn != NULL) {
        free(s->consumer_arn);
        s->consumer_arn = wr_strdup(arn);
    }
    json_decref(answer);
    wr_buf_deinit(&body);
    return status;
}

wr_status wr_kinesis_register(struct wr_source *s, struct wr_error *err)
{
    enum wr_kinesis_outcome outcome;
    bool active = false;
    if (strncmp(s->consumer, "arn:", 4) == 0) {
        s->consumer_arn = wr_strdup(s->consumer);
        return WR_OK;
    }
    WR_TRY(find_arn(s, err));
    wr_status status =
        ask_consumer(s, "DescribeStreamConsumer", "ConsumerDescription", &active, &outcome, err);
    if (status != WR_OK && outcome == WR_KINESIS_NOT_FOUND) {
        status = ask_consumer(s, "RegisterStreamConsumer", "Consumer", &active, &outcome, err);
        if (status == WR_OK) {
            wr_log_info("kinesis", "stream %s: registered consumer %s; it stays, and is charged for, until it is "
                        "deregistered", s->api.stream, s->consumer);
        }
    }
    for (uint32_t waited_ms = 0; status == WR_OK && !active; waited_ms += REGISTER_LOOK_MS) {
        if (waited_ms > REGISTER_WAIT_MS) {
            return wr_fail(err, WR_CLASS_FATAL, "stream %s: consumer %s does not become active",
                           s->api.stream, s->consumer);
        }
        wr_clock_sleep_ms(REGISTER_LOOK_MS);
        status = ask_consumer(s, "DescribeStreamConsumer", "ConsumerDescription", &active, &outcome, err);
    }
    if (status == WR_OK && s->consumer_arn == NULL) {
        status = wr_fail(err, WR_CLASS_FATAL, "stream %s: consumer %s has no ARN", s->api.stream, s->consumer);
    }
    return status;
}

/* ---- subscriptions ---- */

static wr_status take_event(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard,
                            struct wr_slice payload, struct wr_error *err)
{
    static const struct wr_kinesis_cursor nowhere = { 0 };
    struct wr_kinesis_fetch *fetch = &shard->fetch;
    struct wr_kinesis_block *block = wr_kinesis_block_create();
    struct wr_kinesis_answer answer;
    const bool has_cursor = fetch->at.kind == WR_KINESIS_AFTER || fetch->at.cursor.within;
    wr_buf_append(&block->body, payload.data, payload.bytes);
    if (wr_kinesis_block_read(block, f->kpl, &shard->range, has_cursor ? &fetch->at.cursor : &nowhere,
                              fetch->position, &answer, err) != WR_OK) {
        wr_kinesis_block_release(block);
        return WR_FAIL;
    }
    wr_kinesis_fetch_works(f, shard);
    wr_kinesis_deliver(f, shard, block, &answer);
    return fetch->closed || fetch->ended ? WR_END : WR_OK;
}

static wr_status on_frame(void *ctx, const struct wr_event_frame *frame, struct wr_error *err)
{
    struct wr_kinesis_shard *shard = ctx;
    struct wr_kinesis_fetcher *f = shard->fetch.fetcher;
    if (wr_slice_is(frame->message_type, "event")) {
        return wr_slice_is(frame->event_type, "SubscribeToShardEvent")
                   ? take_event(f, shard, frame->payload, err)
                   : WR_OK; /* initial-response, and what may come one day */
    }
    const enum wr_kinesis_outcome outcome = wr_kinesis_outcome_of(frame->exception_type, 500);
    (void)wr_fail(err, wr_kinesis_may_pass(outcome) ? WR_CLASS_RETRY : WR_CLASS_FATAL,
                  "stream %s, shard %s: the subscription ended with %.*s", f->api.stream, shard->id,
                  (int)(frame->exception_type.bytes < 100 ? frame->exception_type.bytes : 100),
                  frame->exception_type.data);
    const struct wr_slice text = frame->error_message.bytes > 0 ? frame->error_message : frame->payload;
    wr_error_detail(err, "%.*s", (int)(text.bytes < 400 ? text.bytes : 400), text.data);
    return WR_FAIL;
}

static enum wr_http_taken on_data(struct wr_http_call *call, const char *data, size_t bytes)
{
    struct wr_kinesis_shard *shard = call->ctx;
    struct wr_kinesis_fetch *fetch = &shard->fetch;
    if (!wr_kinesis_has_room(fetch->fetcher->source, shard)) {
        fetch->stalled = true;
        return WR_HTTP_NOT_NOW;
    }
    const wr_status status =
        wr_event_feed(&fetch->events, data, bytes, on_frame, shard, &fetch->event_error);
    return status == WR_OK ? WR_HTTP_TAKEN : WR_HTTP_STOP;
}

void wr_kinesis_subscribe(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard, int64_t now_ns)
{
    struct wr_kinesis_fetch *fetch = &shard->fetch;
    fetch->body.bytes = 0;
    wr_buf_text(&fetch->body, "{\"ConsumerARN\":");
    wr_kinesis_put_text(&fetch->body, f->source->consumer_arn, strlen(f->source->consumer_arn));
    wr_buf_text(&fetch->body, ",\"ShardId\":");
    wr_kinesis_put_text(&fetch->body, shard->id, strlen(shard->id));
    wr_buf_text(&fetch->body, ",\"StartingPosition\":{");
    wr_kinesis_put_from(&fetch->body, &fetch->at, "Type", "SequenceNumber");
    wr_buf_text(&fetch->body, "}}");
    wr_event_reader_reset(&fetch->events);
    fetch->event_error = (struct wr_error){ 0 };
    fetch->asked_ns = now_ns;
    wr_kinesis_sign(&f->api, &fetch->call, "SubscribeToShard",
                    (struct wr_slice){ fetch->body.data, fetch->body.bytes });
    fetch->call.on_data = on_data;
    fetch->call.http2 = true;
    fetch->call.timeout_ms = STREAM_MS;
    fetch->call.ctx = shard;
    wr_http_begin(f->api.http, &fetch->call);
    fetch->step = WR_KINESIS_IN_STREAM;
}

void wr_kinesis_stream_done(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard)
{
    struct wr_kinesis_fetch *fetch = &shard->fetch;
    struct wr_error err = { 0 };
    char what[64 + WR_KINESIS_ID_BYTES_MAX];
    (void)snprintf(what, sizeof what, "subscribe to shard %s", shard->id);
    fetch->step = WR_KINESIS_NEEDS_STREAM;
    fetch->stalled = false;
    if (fetch->closed || fetch->ended) {
        fetch->step = WR_KINESIS_NEEDS_CHILDREN;
        fetch->not_before_ns = 0;
        return;
    }
    const enum wr_kinesis_outcome outcome = wr_kinesis_outcome(&fetch->call);
    if (fetch->event_error.cls != WR_CLASS_NONE) {
        wr_kinesis_fetch_failed(f, shard, &fetch->event_error);
    } else if (outcome != WR_KINESIS_OK) {
        (void)wr_kinesis_fail(&f->api, &fetch->call, what, &err);
        if ((outcome == WR_KINESIS_INVALID || outcome == WR_KINESIS_NOT_FOUND) &&
            fetch->at.cursor.sequence[0] != '\0') {
            wr_kinesis_skip_gap(f, shard, &err);
        } else {
            wr_kinesis_fetch_failed(f, shard, &err);
        }
    }
    const int64_t next_ns = fetch->asked_ns + AGAIN_NS;
    fetch->not_before_ns = next_ns > fetch->not_before_ns ? next_ns : fetch->not_before_ns;
}
