/* pubsub_client.c: the client's thread: keeps the streams open, acknowledges what is committed, extends the leases of what
 * waits, finds out whether the service answers while nothing comes, and gives back what is left at the end.
 *
 * A step: settle what commit told; begin streams whose time has come; hold them back while the queue is long; acknowledge; extend
 * leases; watch the silence; then one turn of the channel, in which all callbacks come.
 * Acknowledgements are unary calls: their outcome says for each id (exactly once) whether it counts. Of other subscriptions an
 * OK is all that is ever told.
 */
#include "source/pubsub_source.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/log.h"
#include <errno.h>
#include <stdio.h>

#define STEP_MS 100
#define CALL_TIMEOUT_MS 20000u
#define PROBE_TIMEOUT_MS 10000u
#define CALLS_MAX 4u                        /* of acknowledgements, and of extensions, at a time */
#define QUIET_NS (1 * WR_NS_PER_S)          /* nothing came for so long: is the service there? */
#define PROBE_NS (10 * WR_NS_PER_S)         /* asked again after */
#define LOOK_NS (500 * WR_NS_PER_MS)
#define LOOK_MESSAGES 100u
#define EMPTY_LOOKS 2u
#define KEEP_ALIVE_NS (30 * WR_NS_PER_S)
#define STABLE_NS (20 * WR_NS_PER_S)        /* a stream that lasted so long had no trouble */
#define OPEN_ATTEMPTS 4u
#define RETRY_FIRST_MS 100u
#define RETRY_LONGEST_MS 15000u
#define TROUBLE_ATTEMPTS 3u                 /* streams end now and then; this often in a row is said */
#define CLOSE_ACKS_NS (10 * WR_NS_PER_S)
#define CLOSE_NACKS_NS (5 * WR_NS_PER_S)

static int64_t now_ns(void)
{
    return wr_clock_now().mono_ns;
}

static bool must_wait_for_commit(const struct wr_source *s)
{
    return s->held.count >= s->messages_max;
}

/* ---- what comes ---- */

static void enqueue(struct wr_source *s, struct wr_pubsub_run *first, struct wr_pubsub_run *last)
{
    pthread_mutex_lock(&s->lock);
    *(s->queue_last != NULL ? &s->queue_last->next : &s->queue_first) = first;
    s->queue_last = last;
    for (const struct wr_pubsub_run *run = first; run != NULL; run = run->next) {
        s->queue_bytes += run->base.payload_bytes;
    }
    s->reach = WR_PUBSUB_QUIET_UNKNOWN;
    pthread_mutex_unlock(&s->lock);
    s->env.wake(s->env.wake_ctx, 0);
}

/* lease_ns: since when the messages' leases run. False: the bytes make no sense. */
static bool take(struct wr_source *s, char *data, size_t bytes, int64_t lease_ns, uint32_t *arrived)
{
    struct wr_pubsub_run *first = NULL;
    struct wr_pubsub_run *last = NULL;
    const bool good = wr_pubsub_take_response(s, data, bytes, lease_ns, &first, &last, arrived);
    if (*arrived > 0) {
        s->last_ns = now_ns();
        s->empty_looks = 0;
    }
    if (first != NULL) {
        enqueue(s, first, last);
    }
    return good;
}

static void set_reach(struct wr_source *s, enum wr_pubsub_reach reach)
{
    pthread_mutex_lock(&s->lock);
    const bool changed = s->reach != reach;
    s->reach = reach;
    pthread_mutex_unlock(&s->lock);
    if (changed) {
        s->env.wake(s->env.wake_ctx, 0);
    }
}

static void set_failure(struct wr_source *s, const struct wr_grpc_call *call)
{
    struct wr_error err;
    (void)wr_pubsub_fail(call, "subscription", s->subscription, &err);
    err.cls = WR_CLASS_FATAL;
    pthread_mutex_lock(&s->lock);
    if (s->failure.cls == WR_CLASS_NONE) {
        s->failure = err;
    }
    pthread_mutex_unlock(&s->lock);
    s->env.wake(s->env.wake_ctx, 0);
}

/* ---- streams ---- */

static void begin_later(struct wr_pubsub_stream *stream, int64_t now)
{
    uint32_t wait_ms = RETRY_LONGEST_MS;
    (void)wr_retry_next(&stream->retry, 0, &wait_ms);
    stream->start_ns = now + wait_ms * WR_NS_PER_MS;
}

static void stream_message(struct wr_grpc_call *call, char *data, size_t bytes)
{
    struct wr_pubsub_stream *stream = call->ctx;
    struct wr_source *s = stream->source;
    uint32_t arrived;
    if (!take(s, data, bytes, now_ns(), &arrived)) {
        wr_log_warn("pubsub", "subscription %s: the service sent a response that cannot be read; its readable part is kept",
                    s->subscription);
    }
    if (arrived > 0) {
        stream->got_any = true;
        wr_retry_reset(&stream->retry);
    }
}

static bool stays(const struct wr_grpc_call *call)
{
    return !call->may_retry && call->code != WR_GRPC_OK && call->code != WR_GRPC_UNKNOWN && call->code != WR_GRPC_CANCELLED;
}

static void stream_done(struct wr_grpc_call *call)
{
    struct wr_pubsub_stream *stream = call->ctx;
    struct wr_source *s = stream->source;
    const int64_t now = now_ns();
    if (stays(call)) {
        set_failure(s, call);
        stream->start_ns = INT64_MAX;
        return;
    }
    if (stream->got_any || now - stream->begun_ns > STABLE_NS) {
        wr_retry_reset(&stream->retry); /* streams are ended by the service sooner or later */
    }
    begin_later(stream, now);
    /* What is wrong does not always reach us through a stream (grpc.c); a unary call tells. */
    s->doubtful = s->doubtful || stream->retry.attempt >= TROUBLE_ATTEMPTS;
    if (stream->retry.attempt == TROUBLE_ATTEMPTS && !s->told_trouble) {
        s->told_trouble = true;
        wr_log_warn("pubsub", "subscription %s: %s: %s (%s); trying again until it works", s->subscription, s->service.url,
                    wr_grpc_code_name(call->code), call->text);
    }
}

static void begin_stream(struct wr_source *s, struct wr_pubsub_stream *stream, int64_t now)
{
    const struct wr_pubsub_stream_start start = { .subscription = s->subscription,
                                                  .client_id = stream->client_id,
                                                  .ack_deadline_s = s->ack_deadline_s,
                                                  .messages_max = (s->messages_max + s->stream_count - 1) / s->stream_count,
                                                  .bytes_max = s->bytes_max / s->stream_count };
    s->scratch.bytes = 0;
    wr_pubsub_put_stream_start(&s->scratch, &start);
    stream->call.method = WR_PUBSUB_STREAMING_PULL;
    stream->call.params = s->params;
    stream->call.message = stream_message;
    stream->call.done = stream_done;
    stream->call.ctx = stream;
    stream->begun_ns = stream->kept_ns = now;
    stream->got_any = stream->held = false;
    wr_grpc_begin(s->service.channel, &stream->call, s->scratch.data, s->scratch.bytes, true);
}

static void run_streams(struct wr_source *s, int64_t now, uint64_t queue_bytes)
{
    const bool full = queue_bytes > s->env.memory_bytes / 2 || s->held.count > s->messages_max + s->messages_max / 2;
    const bool room = queue_bytes <= s->env.memory_bytes / 4 && s->held.count <= s->messages_max;
    for (uint32_t i = 0; i < s->stream_count; i++) {
        struct wr_pubsub_stream *stream = &s->streams[i];
        if (!wr_grpc_is_under_way(&stream->call)) {
            if (now >= stream->start_ns && !full) {
                begin_stream(s, stream, now);
            }
            continue;
        }
        if (stream->held ? room : full) {
            stream->held = !stream->held;
            wr_grpc_hold(&stream->call, stream->held);
            wr_log_debug("pubsub", "subscription %s: stream %u %s: %llu bytes wait", s->subscription, i,
                         stream->held ? "is held back" : "goes on", (unsigned long long)queue_bytes);
        }
        if (now - stream->kept_ns >= KEEP_ALIVE_NS) {
            stream->kept_ns = now;
            wr_grpc_send(&stream->call, NULL, 0);
        }
    }
}

static void restart_streams(struct wr_source *s, int64_t now)
{
    for (uint32_t i = 0; i < s->stream_count; i++) {
        struct wr_pubsub_stream *stream = &s->streams[i];
        if (wr_grpc_is_under_way(&stream->call)) {
            wr_grpc_cancel(&stream->call);
            begin_later(stream, now);
        }
    }
}

/* ---- unary calls ---- */

static void lose_or_retry(void *ctx, struct wr_slice ack_id, bool permanent)
{
    struct wr_pubsub_request *request = ctx;
    struct wr_source *s = request->source;
    for (uint32_t i = 0; i < request->count; i++) {
        struct wr_pubsub_entry *entry = request->entries[i];
        if (entry == NULL || !wr_slice_equal((struct wr_slice){ entry->ack_id, entry->ack_bytes }, ack_id)) {
            continue;
        }
        if (permanent) {
            wr_pubsub_held_lose(&s->held, entry, now_ns());
        } else {
            wr_pubsub_held_retry(&s->held, entry);
        }
        request->entries[i] = NULL;
        return;
    }
}

static void ack_later(struct wr_source *s, const struct wr_grpc_call *call)
{
    uint32_t wait_ms = RETRY_LONGEST_MS;
    (void)wr_retry_next(&s->ack_retry, 0, &wait_ms);
    s->ack_again_ns = now_ns() + wait_ms * WR_NS_PER_MS;
    wr_log(s->ack_retry.attempt == TROUBLE_ATTEMPTS ? WR_LOG_WARN : WR_LOG_DEBUG, "pubsub",
           "subscription %s: acknowledging: %s (%s); trying again", s->subscription, wr_grpc_code_name(call->code), call->text);
}

static void ack_done(struct wr_pubsub_request *request)
{
    struct wr_source *s = request->source;
    const struct wr_grpc_call *call = &request->call;
    const bool ok = call->code == WR_GRPC_OK;
    s->acks_out--;
    if (call->details.bytes > 0) {
        wr_pubsub_ack_failures((struct wr_slice){ call->details.data, call->details.bytes }, lose_or_retry, request);
    }
    for (uint32_t i = 0; i < request->count; i++) {
        struct wr_pubsub_entry *entry = request->entries[i];
        if (entry == NULL) {
            continue;
        }
        if (ok) {
            wr_pubsub_held_done(&s->held, entry);
        } else if (call->code == WR_GRPC_INVALID_ARGUMENT || call->code == WR_GRPC_FAILED_PRECONDITION) {
            wr_pubsub_held_lose(&s->held, entry, now_ns()); /* this will not be taken, whoever sends it */
        } else {
            wr_pubsub_held_retry(&s->held, entry);
        }
    }
    if (ok) {
        wr_retry_reset(&s->ack_retry);
        s->ack_again_ns = 0;
    } else {
        ack_later(s, call);
    }
}

static void look_message(struct wr_grpc_call *call, char *data, size_t bytes)
{
    struct wr_pubsub_request *request = call->ctx;
    uint32_t arrived = 0;
    if (request->kind == WR_PUBSUB_LOOK) {
        /* Their leases are the subscription's own, perhaps ten seconds: to be extended with the next scan. */
        (void)take(request->source, data, bytes, now_ns() - request->source->ack_deadline_s * WR_NS_PER_S, &arrived);
        request->source->scanned_ns = 0;
    } else {
        free(data);
    }
    request->found = arrived > 0;
}

/* The service answered, if only that it does not like the question. */
static bool is_answer(const struct wr_grpc_call *call)
{
    return call->code == WR_GRPC_OK || (!call->may_retry && !call->untrusted && call->code != WR_GRPC_UNKNOWN);
}

static void probe_done(struct wr_pubsub_request *request)
{
    struct wr_source *s = request->source;
    const struct wr_grpc_call *call = &request->call;
    const int64_t now = now_ns();
    s->probing = false;
    if (is_answer(call)) {
        if (s->told_trouble) {
            wr_log_info("pubsub", "subscription %s: the service answers again", s->subscription);
        }
        s->told_trouble = false;
        s->answered_ns = now;
    } else {
        s->empty_looks = 0;
        set_reach(s, WR_PUBSUB_UNREACHABLE);
        restart_streams(s, now);
    }
    if (request->kind == WR_PUBSUB_LOOK) {
        if (stays(call)) {
            set_failure(s, call);
        } else if (call->code == WR_GRPC_OK && !request->found && ++s->empty_looks >= EMPTY_LOOKS) {
            set_reach(s, WR_PUBSUB_EMPTY);
        }
    }
}

static void unlink_request(struct wr_pubsub_request *request)
{
    struct wr_pubsub_request **at = &request->source->requests;
    while (*at != request) {
        at = &(*at)->next;
    }
    *at = request->next;
    wr_grpc_call_deinit(&request->call);
    free(request->entries);
    free(request);
}

static void request_done(struct wr_grpc_call *call)
{
    struct wr_pubsub_request *request = call->ctx;
    switch (request->kind) {
    case WR_PUBSUB_ACK: ack_done(request); break;
    case WR_PUBSUB_EXTEND:
        if (call->code != WR_GRPC_OK) {
            request->source->scanned_ns = 0;
            wr_log_debug("pubsub", "subscription %s: extending leases: %s (%s)", request->source->subscription,
                         wr_grpc_code_name(call->code), call->text);
        }
        break;
    case WR_PUBSUB_NACK: break;
    case WR_PUBSUB_PROBE:
    case WR_PUBSUB_LOOK: probe_done(request); break;
    }
    unlink_request(request);
}

/* The message is in s->scratch. */
static struct wr_pubsub_request *send_request(struct wr_source *s, enum wr_pubsub_call kind, const char *method, uint32_t timeout_ms)
{
    struct wr_pubsub_request *request = wr_calloc(1, sizeof *request);
    request->source = s;
    request->kind = kind;
    request->next = s->requests;
    s->requests = request;
    request->call = (struct wr_grpc_call){ .method = method,
                                           .params = s->params,
                                           .timeout_ms = timeout_ms,
                                           .message = look_message,
                                           .done = request_done,
                                           .ctx = request };
    wr_grpc_begin(s->service.channel, &request->call, s->scratch.data, s->scratch.bytes, false);
    return request;
}

static uint32_t requests_out(const struct wr_source *s, enum wr_pubsub_call kind)
{
    uint32_t count = 0;
    for (const struct wr_pubsub_request *r = s->requests; r != NULL; r = r->next) {
        count += r->kind == kind;
    }
    return count;
}

/* ---- acknowledgements and leases ---- */

static void send_acks(struct wr_source *s, int64_t now)
{
    while (s->held.ready > 0 && s->acks_out < CALLS_MAX && now >= s->ack_again_ns) { /* (1) */
        struct wr_pubsub_entry **entries = wr_malloc(WR_PUBSUB_ACK_IDS_MAX * sizeof *entries);
        const uint32_t count = wr_pubsub_held_take(&s->held, entries, WR_PUBSUB_ACK_IDS_MAX, WR_PUBSUB_ACK_BYTES_MAX);
        s->scratch.bytes = 0;
        wr_pubsub_put_subscription(&s->scratch, s->subscription);
        for (uint32_t i = 0; i < count; i++) {
            wr_pubsub_put_ack_id(&s->scratch, false, (struct wr_slice){ entries[i]->ack_id, entries[i]->ack_bytes });
        }
        struct wr_pubsub_request *request = send_request(s, WR_PUBSUB_ACK, WR_PUBSUB_ACKNOWLEDGE, CALL_TIMEOUT_MS);
        request->entries = entries;
        request->count = count;
        s->acks_out++;
    }
}

/* Sends one ModifyAckDeadline for entries of [*from, ...) that want it; false: there were none. seconds 0: gives back. */
static bool send_deadlines(struct wr_source *s, int64_t *from, int64_t older_than_ns, uint32_t seconds, int64_t now)
{
    uint32_t count = 0;
    s->scratch.bytes = 0;
    wr_pubsub_put_subscription(&s->scratch, s->subscription);
    while (count < WR_PUBSUB_ACK_IDS_MAX && s->scratch.bytes < WR_PUBSUB_ACK_BYTES_MAX) {
        struct wr_pubsub_entry *entry = wr_pubsub_held_walk(&s->held, from);
        if (entry == NULL) {
            break;
        }
        if (entry->lease_ns > older_than_ns || (seconds == 0 && entry->state != WR_PUBSUB_HELD)) {
            continue;
        }
        entry->lease_ns = now;
        wr_pubsub_put_ack_id(&s->scratch, true, (struct wr_slice){ entry->ack_id, entry->ack_bytes });
        count++;
    }
    if (count == 0) {
        return false;
    }
    wr_pubsub_put_deadline(&s->scratch, seconds);
    (void)send_request(s, seconds == 0 ? WR_PUBSUB_NACK : WR_PUBSUB_EXTEND, WR_PUBSUB_MODIFY_DEADLINE, CALL_TIMEOUT_MS);
    return true;
}

/* Leases are looked at every eighth of the deadline, and extended from three eighths on: half of it is over at most. */
static void extend_leases(struct wr_source *s, int64_t now)
{
    const int64_t deadline_ns = s->ack_deadline_s * WR_NS_PER_S;
    if (s->scan_at < 0) {
        if (now - s->scanned_ns < deadline_ns / 8) {
            return;
        }
        s->scanned_ns = now;
        s->scan_at = s->held.first;
        wr_pubsub_held_forget(&s->held, now - s->remember_ns);
    }
    for (uint32_t out = requests_out(s, WR_PUBSUB_EXTEND); out < CALLS_MAX; out++) {
        if (!send_deadlines(s, &s->scan_at, now - deadline_ns * 3 / 8, s->ack_deadline_s, now)) {
            s->scan_at = -1;
            return;
        }
    }
}

/* ---- silence ---- */

static void look(struct wr_source *s, int64_t now)
{
    s->probing = true;
    s->probed_ns = now;
    s->scratch.bytes = 0;
    wr_pubsub_put_pull(&s->scratch, s->subscription, LOOK_MESSAGES);
    (void)send_request(s, WR_PUBSUB_LOOK, WR_PUBSUB_PULL, PROBE_TIMEOUT_MS);
}

/* An extension of nothing: it is refused, or not, but it is answered; and no message is taken out of its order, as a pull might. */
static void probe(struct wr_source *s, int64_t now)
{
    s->probing = true;
    s->probed_ns = now;
    s->scratch.bytes = 0;
    wr_pubsub_put_subscription(&s->scratch, s->subscription);
    wr_pubsub_put_deadline(&s->scratch, s->ack_deadline_s);
    (void)send_request(s, WR_PUBSUB_PROBE, WR_PUBSUB_MODIFY_DEADLINE, PROBE_TIMEOUT_MS);
}

static void watch_silence(struct wr_source *s, int64_t now, bool queued)
{
    if (s->doubtful && !s->probing) {
        s->doubtful = false;
        look(s, now);
    }
    if (queued || s->probing || s->reach == WR_PUBSUB_EMPTY) {
        return;
    }
    if (s->env.bounded) {
        if (now - s->last_ns >= s->empty_after_ns && now - s->probed_ns >= LOOK_NS) {
            look(s, now);
        }
        return;
    }
    if (now - s->last_ns < QUIET_NS || must_wait_for_commit(s)) {
        return;
    }
    if (s->answered_ns > s->last_ns && s->probed_ns <= s->answered_ns) {
        set_reach(s, WR_PUBSUB_QUIET);
    }
    const int64_t every = s->answered_ns > s->last_ns && s->probed_ns <= s->answered_ns ? PROBE_NS : QUIET_NS;
    if (now - s->probed_ns >= every) {
        probe(s, now);
    }
}

/* What was acknowledged remember_ns ago does not come again. */
static void move_floor(struct wr_source *s, int64_t now)
{
    const uint32_t count = sizeof s->floors / sizeof *s->floors;
    const uint32_t newest = (s->floor_at + count - 1) % count;
    if (now - s->floors[newest].at_ns < s->remember_ns / (count - 1)) {
        return;
    }
    const int64_t oldest = s->floors[s->floor_at].first;
    s->floors[s->floor_at].at_ns = now;
    s->floors[s->floor_at].first = s->held.first;
    s->floor_at = (s->floor_at + 1) % count;
    pthread_mutex_lock(&s->lock);
    s->forgotten = oldest > s->forgotten ? oldest : s->forgotten;
    pthread_mutex_unlock(&s->lock);
}

/* ---- the thread ---- */

static bool step(struct wr_source *s)
{
    const int64_t now = now_ns();
    pthread_mutex_lock(&s->lock);
    const int64_t settle_to = s->settle_to;
    const uint64_t queue_bytes = s->queue_bytes;
    const bool queued = s->queue_first != NULL;
    const bool closing = s->closing;
    pthread_mutex_unlock(&s->lock);
    wr_pubsub_held_settle(&s->held, settle_to);
    if (closing) {
        return false;
    }
    run_streams(s, now, queue_bytes);
    send_acks(s, now);
    extend_leases(s, now);
    watch_silence(s, now, queued);
    move_floor(s, now);
    wr_grpc_turn(s->service.channel, STEP_MS);
    return true;
}

static void cancel_all_but_acks(struct wr_source *s)
{
    for (uint32_t i = 0; i < s->stream_count; i++) {
        wr_grpc_call_deinit(&s->streams[i].call);
    }
    for (struct wr_pubsub_request *r = s->requests, *next; r != NULL; r = next) {
        next = r->next;
        if (r->kind != WR_PUBSUB_ACK) {
            unlink_request(r);
        }
    }
}

/* What is committed is acknowledged, the rest is given back at once instead of at the end of its lease. */
static void finish(struct wr_source *s)
{
    const bool hopeless = s->failure.cls != WR_CLASS_NONE;
    int64_t until = now_ns() + (hopeless ? WR_NS_PER_S : CLOSE_ACKS_NS);
    int64_t from = 0;
    bool more = !hopeless;
    cancel_all_but_acks(s);
    while ((s->held.ready > 0 || s->acks_out > 0) && now_ns() < until) {
        send_acks(s, now_ns());
        wr_grpc_turn(s->service.channel, STEP_MS);
    }
    if (s->held.ready > 0 || s->acks_out > 0) {
        wr_log_warn("pubsub", "subscription %s: stopped before all of what is committed was acknowledged; it comes again and "
                              "is known then (deduplicate_by)", s->subscription);
    }
    until = now_ns() + CLOSE_NACKS_NS;
    while ((more || requests_out(s, WR_PUBSUB_NACK) > 0) && now_ns() < until) {
        while (more && requests_out(s, WR_PUBSUB_NACK) < CALLS_MAX) {
            more = send_deadlines(s, &from, INT64_MAX, 0, now_ns());
        }
        wr_grpc_turn(s->service.channel, STEP_MS);
    }
    while (s->requests != NULL) {
        unlink_request(s->requests);
    }
}

static void *client_main(void *ctx)
{
    struct wr_source *s = ctx;
    while (step(s)) {
    }
    finish(s);
    return NULL;
}

wr_status wr_pubsub_client_look(struct wr_source *s, struct wr_error *err)
{
    struct wr_buf reply = { 0 };
    struct wr_retry retry;
    uint32_t wait_ms = 0;
    wr_status status;
    wr_retry_init(&retry, OPEN_ATTEMPTS, 250, 2000, wr_rand_entropy());
    do {
        struct wr_grpc_call call = { .method = WR_PUBSUB_PULL, .params = s->params, .timeout_ms = PROBE_TIMEOUT_MS };
        wr_clock_sleep_ms(wait_ms);
        s->scratch.bytes = 0;
        wr_pubsub_put_pull(&s->scratch, s->subscription, 1);
        status = wr_grpc_unary(s->service.channel, &call, &s->scratch, &reply, err);
        if (status != WR_OK) {
            (void)wr_pubsub_fail(&call, "subscription", s->subscription, err);
            if (call.may_retry) {
                wr_error_hint(err, "the service at %s does not answer: check the network, endpoint and PUBSUB_EMULATOR_HOST",
                              s->service.url);
            }
        }
        wr_grpc_call_deinit(&call);
    } while (status != WR_OK && err->cls == WR_CLASS_RETRY && wr_retry_next(&retry, 0, &wait_ms));
    if (status == WR_OK) {
        struct wr_pubsub_run *first = NULL;
        struct wr_pubsub_run *last = NULL;
        uint32_t arrived;
        char *data = wr_malloc(reply.bytes + 1);
        memcpy(data, reply.data != NULL ? reply.data : "", reply.bytes);
        (void)wr_pubsub_take_response(s, data, reply.bytes, now_ns() - s->ack_deadline_s * WR_NS_PER_S, &first, &last, &arrived);
        s->queue_first = first;
        s->queue_last = last;
        s->queue_bytes = first != NULL ? first->base.payload_bytes : 0;
    }
    wr_buf_deinit(&reply);
    return status;
}

wr_status wr_pubsub_client_start(struct wr_source *s, struct wr_error *err)
{
    const int64_t now = now_ns();
    const uint64_t entropy = wr_rand_entropy();
    s->last_ns = now;
    s->scan_at = -1;
    for (uint32_t i = 0; i < s->stream_count; i++) {
        struct wr_pubsub_stream *stream = &s->streams[i];
        stream->source = s;
        (void)snprintf(stream->client_id, sizeof stream->client_id, "weir-%016llx-%u", (unsigned long long)entropy, i);
        wr_retry_init(&stream->retry, UINT32_MAX, RETRY_FIRST_MS, RETRY_LONGEST_MS, entropy + i + 1);
    }
    wr_retry_init(&s->ack_retry, UINT32_MAX, RETRY_FIRST_MS, RETRY_LONGEST_MS, entropy);
    for (uint32_t i = 0; i < sizeof s->floors / sizeof *s->floors; i++) {
        s->floors[i].at_ns = now; /* first: 0: nothing is forgotten before remember_ns have passed */
    }
    const int error = pthread_create(&s->thread, NULL, client_main, s);
    wr_ensure(error == 0, err, WR_CLASS_FATAL, "cannot make a thread: %s", strerror(error));
    s->running = true;
    return WR_OK;
}

void wr_pubsub_client_stop(struct wr_source *s)
{
    if (s->running) {
        pthread_mutex_lock(&s->lock);
        s->closing = true;
        pthread_mutex_unlock(&s->lock);
        wr_grpc_wake(s->service.channel);
        pthread_join(s->thread, NULL);
        s->running = false;
    }
}
