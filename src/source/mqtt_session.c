/* mqtt_session.c: see mqtt_session.h.
 *
 * A connection's phases, and what leads on:
 *   CONNECTING -> WELCOME     connect_once(): TCP, TLS, CONNECT sent
 *   WELCOME    -> SUBSCRIBING on_connack(): accepted; the session is new, or we are
 *   WELCOME    -> UP          on_connack(): the broker kept the session and its subscriptions from our last connection
 *   SUBSCRIBING -> UP         on_suback(): every filter granted
 * (open() returns with the first UP, or once the broker says that it has a session for us: what it has kept comes before SUBACK)
 *   any        -> CONNECTING  disconnected(): after a pause; the very first time it is open()'s failure
 * Messages may come in SUBSCRIBING as well as in UP: the broker does not wait for us.
 */
#include "source/mqtt_session.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/limits.h"
#include "base/log.h"
#include "net/retry.h"
#include "source/mqtt_inflight.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* To connect, shake hands and subscribe; also for the broker's answer to a ping. */
#define PATIENCE_MS 10000
/* How long the last acknowledgements may take when the session ends. */
#define FAREWELL_MS 2000
/* A connection that lived that long was a good one: the next pause is short again. */
#define GOOD_NS (5 * WR_NS_PER_S)
#define RECEIVE_BYTES (256u << 10)
/* A chunk is full: as many messages as a batch has rows, or bytes that still fit a core's cache. */
#define CHUNK_MESSAGES WR_BATCH_ROWS_MAX
#define CHUNK_BYTES (256u << 10)
/* Topic and properties come before a payload; longer packets are cut behind so much, as their payload is too large then. */
#define PACKET_BYTES_MAX ((size_t)WR_RECORD_BYTES_MAX + (256u << 10))

enum phase { CONNECTING, WELCOME, SUBSCRIBING, UP };

struct wr_mqtt_session {
    struct wr_mqtt_config config;
    pthread_t thread;
    bool has_thread;
    int wake_fd;

    pthread_mutex_t lock;
    pthread_cond_t opened;  /* started or failed */
    /* Under lock. */
    struct wr_mqtt_chunk *first;
    struct wr_mqtt_chunk *last;
    uint64_t held_bytes;    /* of chunks not given back */
    int64_t committed;
    bool stop;
    bool started;           /* the first subscription stands */
    bool watched;           /* the reader has looked once: from then on its worker can be woken */
    struct wr_mqtt_view view;
    struct wr_error error;

    /* The thread's own. */
    struct wr_mqtt_link link;
    enum phase phase;
    bool subscribed;        /* by this process, in a session that the broker still has */
    struct wr_mqtt_inflight inflight;
    struct wr_buf in;
    size_t in_used;         /* parsed */
    size_t skip;            /* bytes to come that belong to a packet that was too large */
    struct wr_buf out;
    size_t out_sent;
    struct wr_mqtt_chunk *filling;
    int64_t position;
    bool full;              /* held_bytes are too many */
    bool granted_less;      /* told */
    uint32_t keepalive_s;
    int64_t heard_ns;       /* last bytes */
    int64_t up_since_ns;
    int64_t sent_ns;        /* last packet */
    int64_t ping_ns;        /* of a ping without an answer; 0: none */
    struct wr_retry retry;
    uint32_t failures;      /* in a row */
};

static const char *name_of(const struct wr_mqtt_session *s)
{
    return s->config.source_name;
}

static void poke(const struct wr_mqtt_session *s)
{
    const uint64_t one = 1;
    if (write(s->wake_fd, &one, sizeof one) < 0) {
        return; /* the counter is full: the thread is woken already */
    }
}

/* What was changed under lock is for the reader to see. */
static void unlock_and_wake(struct wr_mqtt_session *s)
{
    const bool watched = s->watched;
    pthread_mutex_unlock(&s->lock);
    if (watched) {
        s->config.wake(s->config.wake_ctx, 0);
    }
}

static bool asked_to_stop(struct wr_mqtt_session *s)
{
    pthread_mutex_lock(&s->lock);
    const bool stop = s->stop;
    pthread_mutex_unlock(&s->lock);
    return stop;
}

static void set_connected(struct wr_mqtt_session *s, bool connected, int64_t now_ns)
{
    pthread_mutex_lock(&s->lock);
    s->view.connected = connected;
    s->view.quiet_since_ns = now_ns;
    s->started = s->started || connected;
    pthread_cond_broadcast(&s->opened);
    unlock_and_wake(s);
}

static void set_started(struct wr_mqtt_session *s)
{
    pthread_mutex_lock(&s->lock);
    s->started = true;
    pthread_cond_broadcast(&s->opened);
    pthread_mutex_unlock(&s->lock);
}

/* ---- chunks ---- */

static void chunk_free(struct wr_mqtt_chunk *chunk)
{
    if (chunk != NULL) {
        wr_buf_deinit(&chunk->bytes);
        free(chunk->messages);
        free(chunk);
    }
}

static uint64_t chunk_cost(const struct wr_mqtt_chunk *chunk)
{
    return sizeof *chunk + chunk->bytes.capacity + chunk->capacity * sizeof *chunk->messages;
}

static void add_message(struct wr_mqtt_session *s, const struct wr_mqtt_publish *publish)
{
    struct wr_mqtt_chunk *chunk = s->filling;
    if (chunk == NULL) {
        chunk = s->filling = wr_calloc(1, sizeof *chunk);
    }
    if (chunk->count == chunk->capacity) {
        chunk->capacity = chunk->capacity == 0 ? 16 : 2 * chunk->capacity;
        chunk->messages = wr_realloc(chunk->messages, chunk->capacity * sizeof *chunk->messages);
    }
    /* One byte more than a record may have tells the decoder that it is too large. */
    const size_t payload = publish->payload.bytes <= WR_RECORD_BYTES_MAX ? publish->payload.bytes
                                                                         : WR_RECORD_BYTES_MAX + 1;
    chunk->messages[chunk->count++] = (struct wr_mqtt_message){
        .at = chunk->bytes.bytes,
        .topic_bytes = (uint32_t)publish->topic.bytes,
        .properties_bytes = (uint32_t)publish->properties.bytes, /* a packet is smaller than 2^28 */
        .payload_bytes = (uint32_t)payload,
        .retain = publish->retain,
        .position = s->position++,
    };
    wr_buf_append(&chunk->bytes, publish->topic.data, publish->topic.bytes);
    wr_buf_append(&chunk->bytes, publish->properties.data, publish->properties.bytes);
    wr_buf_append(&chunk->bytes, publish->payload.data, payload);
}

static bool chunk_is_full(const struct wr_mqtt_chunk *chunk)
{
    return chunk != NULL && (chunk->count >= CHUNK_MESSAGES || chunk->bytes.bytes >= CHUNK_BYTES);
}

static void hand_over(struct wr_mqtt_session *s, struct wr_time now)
{
    struct wr_mqtt_chunk *chunk = s->filling;
    if (chunk == NULL) {
        return;
    }
    s->filling = NULL;
    chunk->arrived_us = now.wall_us;
    for (uint32_t i = 0; i < chunk->count; i++) {
        chunk->messages[i].data = chunk->bytes.data + chunk->messages[i].at;
    }
    pthread_mutex_lock(&s->lock);
    if (s->last != NULL) {
        s->last->next = chunk;
    } else {
        s->first = chunk;
    }
    s->last = chunk;
    s->held_bytes += chunk_cost(chunk);
    s->full = s->held_bytes >= s->config.memory_bytes;
    s->view.quiet_since_ns = now.mono_ns;
    unlock_and_wake(s);
}

/* ---- packets that came ---- */

static void explain(struct wr_error *err, struct wr_slice text)
{
    if (text.bytes > 0 && wr_utf8_valid(text.data, text.bytes)) {
        wr_error_detail(err, "the broker says: %.*s", WR_SLICE_ARG(text));
    }
}

static wr_status refused(struct wr_mqtt_session *s, const struct wr_mqtt_connack *connack, struct wr_error *err)
{
    const enum wr_mqtt_version version = s->config.connect.version;
    (void)wr_fail(err, WR_CLASS_RETRY, "the broker refuses the connection: %s",
                  wr_mqtt_reason(version, WR_MQTT_CONNACK, connack->reason));
    explain(err, connack->explained);
    if (connack->reason == 4 || connack->reason == 5 || connack->reason == 0x86 || connack->reason == 0x87) {
        wr_error_hint(err, "check username and password, and what the broker allows the client id %s",
                      s->config.connect.client_id);
    } else if (connack->reason == 1 || connack->reason == 0x84) {
        wr_error_hint(err, "set version = '%s'", version == WR_MQTT_5 ? "3.1.1" : "5");
    } else if (connack->reason == 2 || connack->reason == 0x85) {
        wr_error_hint(err, "set client_id: some brokers take letters and digits only, 23 at most");
    }
    return WR_FAIL;
}

static void note_lost_session(const struct wr_mqtt_session *s)
{
    wr_log_warn("mqtt", "source %s: the broker has no session for the client id %s any more: what came while "
                        "nobody was connected may be lost (session_expiry, and the broker's own persistence)",
                name_of(s), s->config.connect.client_id);
}

static void now_up(struct wr_mqtt_session *s, int64_t now_ns)
{
    s->phase = UP;
    s->up_since_ns = now_ns;
    if (s->failures > 0) {
        wr_log_info("mqtt", "source %s: connected again after %u failed attempts", name_of(s), s->failures);
    }
    set_connected(s, true, now_ns);
}

static wr_status on_connack(struct wr_mqtt_session *s, struct wr_slice body, int64_t now_ns, struct wr_error *err)
{
    struct wr_mqtt_connack connack;
    wr_ensure(s->phase == WELCOME, err, WR_CLASS_RETRY, "the broker sent a second CONNACK");
    WR_TRY(wr_mqtt_read_connack(s->config.connect.version, body, &connack, err));
    if (connack.reason != 0) {
        return refused(s, &connack, err);
    }
    s->keepalive_s = connack.keepalive_s >= 0 ? (uint32_t)connack.keepalive_s : s->config.connect.keepalive_s;
    const bool expected = s->subscribed || s->config.resumed;
    if (!connack.session_present && expected && !s->config.connect.clean) {
        note_lost_session(s);
    }
    s->config.resumed = false; /* told once */
    wr_mqtt_inflight_connected(&s->inflight, connack.session_present);
    if (connack.session_present && s->subscribed) {
        now_up(s, now_ns);
        return WR_OK;
    }
    if (connack.session_present) {
        /* All that the broker has kept comes before its SUBACK, and somebody must take it. */
        set_started(s);
    }
    s->subscribed = false;
    s->phase = SUBSCRIBING;
    wr_mqtt_put_subscribe(&s->out, 1, &s->config.subscribe);
    return WR_OK;
}

static wr_status on_suback(struct wr_mqtt_session *s, struct wr_slice body, int64_t now_ns, struct wr_error *err)
{
    const struct wr_mqtt_subscribe *asked = &s->config.subscribe;
    struct wr_mqtt_suback suback;
    WR_TRY(wr_mqtt_read_suback(asked->version, body, &suback, err));
    wr_ensure(s->phase == SUBSCRIBING && suback.id == 1 && suback.codes.bytes == asked->count, err, WR_CLASS_RETRY,
              "the broker's SUBACK does not fit the subscription");
    for (uint32_t i = 0; i < asked->count; i++) {
        const uint8_t code = (uint8_t)suback.codes.data[i];
        if (code >= 0x80) {
            (void)wr_fail(err, WR_CLASS_FATAL, "the broker refuses the subscription to %s: %s", asked->filters[i],
                          wr_mqtt_reason(asked->version, WR_MQTT_SUBACK, code));
            explain(err, suback.explained);
            wr_error_hint(err, "check the topic, and what the broker's access rules allow this user");
            return WR_FAIL;
        }
        if (code < asked->qos && !s->granted_less) {
            s->granted_less = true;
            wr_log_warn("mqtt", "source %s: the broker grants QoS %u for %s instead of %u%s", name_of(s), code,
                        asked->filters[i], asked->qos,
                        code == 0 ? ": what comes while nobody is connected, or before a crash, is lost" : "");
        }
    }
    s->subscribed = true;
    now_up(s, now_ns);
    return WR_OK;
}

static uint64_t content_hash(const struct wr_mqtt_publish *publish)
{
    const uint64_t topic = wr_hash_bytes_raw(publish->topic.data, publish->topic.bytes);
    const uint64_t payload = wr_hash_bytes_raw(publish->payload.data, publish->payload.bytes);
    return topic * 0x9e3779b97f4a7c15ULL ^ payload;
}

static void acknowledge(struct wr_mqtt_session *s, uint16_t id, uint8_t qos)
{
    wr_mqtt_put_ack(&s->out, qos == 1 ? WR_MQTT_PUBACK : WR_MQTT_PUBREC, id);
}

static wr_status on_publish(struct wr_mqtt_session *s, uint8_t flags, struct wr_slice body, struct wr_error *err)
{
    struct wr_mqtt_publish publish;
    wr_ensure(s->phase != WELCOME, err, WR_CLASS_RETRY, "the broker sent a message before CONNACK");
    WR_TRY(wr_mqtt_read_publish(s->config.connect.version, flags, body, &publish, err));
    if (publish.retain && !s->config.takes_retained) {
        if (publish.qos > 0) {
            acknowledge(s, publish.id, publish.qos);
        }
        return WR_OK;
    }
    if (publish.qos > 0) {
        switch (wr_mqtt_inflight_arrived(&s->inflight, publish.id, content_hash(&publish), publish.qos,
                                         publish.dup, s->position)) {
        case WR_MQTT_ARRIVED_AGAIN: return WR_OK;
        case WR_MQTT_ARRIVED_SETTLED: acknowledge(s, publish.id, publish.qos); return WR_OK;
        case WR_MQTT_ARRIVED_NEW: break;
        }
    }
    add_message(s, &publish);
    return WR_OK;
}

static wr_status on_disconnect(struct wr_mqtt_session *s, struct wr_slice body, struct wr_error *err)
{
    struct wr_mqtt_disconnect disconnect;
    WR_TRY(wr_mqtt_read_disconnect(body, &disconnect, err));
    const bool taken_over = disconnect.reason == WR_MQTT_REASON_SESSION_TAKEN_OVER;
    (void)wr_fail(err, taken_over ? WR_CLASS_FATAL : WR_CLASS_RETRY, "the broker ends the connection: %s",
                  wr_mqtt_reason(WR_MQTT_5, WR_MQTT_DISCONNECT, disconnect.reason));
    explain(err, disconnect.explained);
    if (taken_over) {
        wr_error_hint(err, "is this pipeline running twice? To share topics between processes give each its own client_id "
                           "and the same $share/group/ before the topic; this one uses %s",
                      s->config.connect.client_id);
    }
    return WR_FAIL;
}

static wr_status on_packet(struct wr_mqtt_session *s, const struct wr_mqtt_frame *frame, struct wr_slice body,
                           int64_t now_ns, struct wr_error *err)
{
    uint16_t id;
    switch (frame->type) {
    case WR_MQTT_PUBLISH: return on_publish(s, frame->flags, body, err);
    case WR_MQTT_CONNACK: return on_connack(s, body, now_ns, err);
    case WR_MQTT_SUBACK: return on_suback(s, body, now_ns, err);
    case WR_MQTT_PUBREL:
        WR_TRY(wr_mqtt_read_id(body, &id, err));
        wr_mqtt_put_ack(&s->out, WR_MQTT_PUBCOMP, id);
        return WR_OK;
    case WR_MQTT_PINGRESP: s->ping_ns = 0; return WR_OK;
    case WR_MQTT_DISCONNECT: return on_disconnect(s, body, err);
    default:
        return wr_fail(err, WR_CLASS_RETRY, "the broker sent a packet of type %d, which no client expects",
                       (int)frame->type);
    }
}

/* ---- bytes ---- */

/* Drops what belongs to a packet that was too large. */
static void skip_bytes(struct wr_mqtt_session *s)
{
    const size_t there = s->in.bytes - s->in_used;
    const size_t now = there < s->skip ? there : s->skip;
    s->in_used += now;
    s->skip -= now;
}

/* Takes the packets that are complete, until the chunk is full. WR_AGAIN: more bytes are needed. */
static wr_status parse(struct wr_mqtt_session *s, int64_t now_ns, struct wr_error *err)
{
    for (;;) {
        struct wr_mqtt_frame frame;
        skip_bytes(s);
        if (s->skip > 0 || chunk_is_full(s->filling)) {
            return s->skip > 0 ? WR_AGAIN : WR_OK;
        }
        const char *data = s->in.data + s->in_used;
        const size_t bytes = s->in.bytes - s->in_used;
        WR_TRY(wr_mqtt_read_frame(data, bytes, &frame, err));
        const size_t whole = frame.header_bytes + frame.body_bytes;
        const size_t wanted = whole < PACKET_BYTES_MAX ? whole : PACKET_BYTES_MAX;
        if (bytes < wanted) {
            /* It moves to the front first, so that room for it alone is enough. */
            memmove(s->in.data, data, bytes);
            s->in.bytes = bytes;
            s->in_used = 0;
            (void)wr_buf_reserve(&s->in, wanted - bytes);
            return WR_AGAIN;
        }
        WR_TRY(on_packet(s, &frame, (struct wr_slice){ data + frame.header_bytes, wanted - frame.header_bytes },
                         now_ns, err));
        s->in_used += wanted;
        s->skip = whole - wanted;
    }
}

static void make_room(struct wr_mqtt_session *s)
{
    if (s->in_used > 0 && s->in.bytes == s->in.capacity) {
        s->in.bytes -= s->in_used;
        memmove(s->in.data, s->in.data + s->in_used, s->in.bytes);
        s->in_used = 0;
    }
    if (s->in.bytes == s->in.capacity) {
        (void)wr_buf_reserve(&s->in, RECEIVE_BYTES);
    }
}

/* Reads and parses until the socket is empty, a chunk is full or memory is short. */
static wr_status receive(struct wr_mqtt_session *s, struct wr_error *err)
{
    while (!s->full) {
        const struct wr_time now = wr_clock_now();
        const wr_status parsed = parse(s, now.mono_ns, err);
        if (parsed == WR_FAIL) {
            return WR_FAIL;
        }
        if (parsed == WR_OK) {
            hand_over(s, now);
            continue;
        }
        if (s->in_used == s->in.bytes) {
            s->in.bytes = s->in_used = 0;
        }
        make_room(s);
        size_t done;
        const wr_status status =
            wr_mqtt_link_read(&s->link, s->in.data + s->in.bytes, s->in.capacity - s->in.bytes, &done, err);
        if (status == WR_OK) {
            s->in.bytes += done;
            s->heard_ns = now.mono_ns;
            continue;
        }
        hand_over(s, now);
        if (status == WR_AGAIN && s->in.bytes == 0 && s->in.capacity > 4 * RECEIVE_BYTES) {
            wr_buf_deinit(&s->in); /* a large packet's room is given back */
        }
        if (status == WR_END) {
            return wr_fail(err, WR_CLASS_RETRY, "the broker closed the connection");
        }
        return status == WR_AGAIN ? WR_OK : status;
    }
    return WR_OK;
}

static wr_status flush(struct wr_mqtt_session *s, int64_t now_ns, struct wr_error *err)
{
    while (s->out_sent < s->out.bytes) {
        size_t done;
        const wr_status status =
            wr_mqtt_link_write(&s->link, s->out.data + s->out_sent, s->out.bytes - s->out_sent, &done, err);
        if (status == WR_AGAIN) {
            return WR_OK;
        }
        if (status == WR_END) {
            return wr_fail(err, WR_CLASS_RETRY, "the broker closed the connection");
        }
        WR_TRY(status);
        s->out_sent += done;
        s->sent_ns = now_ns;
    }
    s->out.bytes = s->out_sent = 0;
    return WR_OK;
}

/* Queues the acknowledgements of what is committed; tells the reader where the session stands. */
static void settle(struct wr_mqtt_session *s, int64_t now_ns)
{
    uint16_t id;
    bool some = false;
    pthread_mutex_lock(&s->lock);
    const int64_t committed = s->committed;
    s->full = s->held_bytes >= s->config.memory_bytes;
    pthread_mutex_unlock(&s->lock);
    while (s->phase >= SUBSCRIBING && wr_mqtt_inflight_next(&s->inflight, committed, &id)) {
        acknowledge(s, id, s->inflight.entries[id].qos);
        some = true;
    }
    pthread_mutex_lock(&s->lock);
    s->view.unsettled = s->inflight.open;
    s->view.full = s->inflight.open >= s->config.connect.receive_maximum;
    s->view.quiet_since_ns = some ? now_ns : s->view.quiet_since_ns;
    pthread_mutex_unlock(&s->lock);
}

/* Pings in time, gives up on a broker that does not answer. */
static wr_status keep_alive(struct wr_mqtt_session *s, int64_t now_ns, struct wr_error *err)
{
    s->heard_ns = s->full ? now_ns : s->heard_ns; /* while we do not read, no answer can come */
    if (s->phase != UP) {
        wr_ensure(now_ns - s->heard_ns < PATIENCE_MS * WR_NS_PER_MS, err, WR_CLASS_RETRY,
                  "the broker does not answer the %s",
                  s->phase == WELCOME ? "CONNECT" : "SUBSCRIBE");
        return WR_OK;
    }
    s->ping_ns = s->full && s->ping_ns != 0 ? now_ns : s->ping_ns;
    wr_ensure(s->ping_ns == 0 || now_ns - s->ping_ns < PATIENCE_MS * WR_NS_PER_MS, err, WR_CLASS_RETRY,
              "the broker has not answered for %d s", PATIENCE_MS / 1000);
    if (s->keepalive_s > 0 && s->ping_ns == 0 && now_ns - s->sent_ns >= s->keepalive_s * WR_NS_PER_S * 3 / 4) {
        wr_mqtt_put_pingreq(&s->out);
        s->ping_ns = now_ns;
    }
    return WR_OK;
}

static int wait_ms(const struct wr_mqtt_session *s, int64_t now_ns)
{
    int64_t until_ns = s->heard_ns + PATIENCE_MS * WR_NS_PER_MS;
    if (s->phase == UP) {
        until_ns = s->ping_ns != 0 ? s->ping_ns + PATIENCE_MS * WR_NS_PER_MS
                                   : s->sent_ns + s->keepalive_s * WR_NS_PER_S * 3 / 4;
        until_ns = s->keepalive_s == 0 ? now_ns + 3600 * WR_NS_PER_S : until_ns;
    }
    const int64_t left_ns = until_ns - now_ns;
    return left_ns <= 0 ? 0 : (int)(left_ns / WR_NS_PER_MS) + 1;
}

static void sleep_until_something(struct wr_mqtt_session *s)
{
    const bool writes = s->out_sent < s->out.bytes || s->link.wants_write;
    struct pollfd fds[2] = {
        { .fd = s->link.fd, .events = (short)((s->full ? 0 : POLLIN) | (writes ? POLLOUT : 0)) },
        { .fd = s->wake_fd, .events = POLLIN },
    };
    uint64_t count;
    if (s->full && !writes) {
        fds[0].fd = -1; /* a hang-up would be reported again and again; it is found when reading goes on */
    }
    (void)poll(fds, 2, wait_ms(s, wr_clock_now().mono_ns));
    if (fds[1].revents != 0 && read(s->wake_fd, &count, sizeof count) < 0) {
        return; /* nothing to take back */
    }
}

/* ---- a connection's life ---- */

static wr_status connect_once(struct wr_mqtt_session *s, struct wr_error *err)
{
    s->phase = CONNECTING;
    s->in.bytes = s->in_used = s->skip = 0;
    s->out.bytes = s->out_sent = 0;
    s->ping_ns = 0;
    s->keepalive_s = s->config.connect.keepalive_s;
    WR_TRY(wr_mqtt_link_open(&s->link, &s->config.to, s->config.tls, s->wake_fd, PATIENCE_MS, err));
    s->phase = WELCOME;
    s->sent_ns = wr_clock_now().mono_ns;
    s->heard_ns = s->sent_ns;
    wr_mqtt_put_connect(&s->out, &s->config.connect);
    return WR_OK;
}

/* The last acknowledgements, while the broker takes them. */
static void farewell(struct wr_mqtt_session *s)
{
    const int64_t deadline_ns = wr_clock_now().mono_ns + FAREWELL_MS * WR_NS_PER_MS;
    int64_t now_ns = wr_clock_now().mono_ns;
    settle(s, now_ns);
    wr_mqtt_put_disconnect(&s->out);
    while (now_ns < deadline_ns && flush(s, now_ns, NULL) == WR_OK && s->out_sent < s->out.bytes) {
        struct pollfd fd = { .fd = s->link.fd, .events = POLLOUT };
        (void)poll(&fd, 1, (int)((deadline_ns - now_ns) / WR_NS_PER_MS) + 1);
        now_ns = wr_clock_now().mono_ns;
    }
}

/* Until the connection breaks (WR_FAIL) or the session is to end (WR_END). */
static wr_status serve(struct wr_mqtt_session *s, struct wr_error *err)
{
    for (;;) {
        const int64_t now_ns = wr_clock_now().mono_ns;
        if (asked_to_stop(s)) {
            farewell(s);
            return WR_END;
        }
        settle(s, now_ns);
        WR_TRY(receive(s, err));
        WR_TRY(keep_alive(s, now_ns, err));
        WR_TRY(flush(s, now_ns, err));
        sleep_until_something(s);
    }
}

static void give_up(struct wr_mqtt_session *s, const struct wr_error *err)
{
    pthread_mutex_lock(&s->lock);
    s->error = *err;
    s->error.cls = err->cls == WR_CLASS_RETRY ? WR_CLASS_FATAL : err->cls; /* connections are tried again here, not above */
    s->view.failed = true;
    pthread_cond_broadcast(&s->opened);
    unlock_and_wake(s);
}

/* Tells, and waits before the next attempt. False: that was it. */
static bool disconnected(struct wr_mqtt_session *s, struct wr_error *err)
{
    const int64_t now_ns = wr_clock_now().mono_ns;
    const bool short_life = s->phase == UP && now_ns - s->up_since_ns < GOOD_NS;
    uint32_t wait = 0;
    wr_mqtt_link_close(&s->link);
    hand_over(s, wr_clock_now());
    pthread_mutex_lock(&s->lock);
    const bool started = s->started;
    pthread_mutex_unlock(&s->lock);
    if (!started || err->cls != WR_CLASS_RETRY) {
        give_up(s, err);
        return false;
    }
    set_connected(s, false, now_ns);
    if (s->phase == UP && !short_life) {
        wr_retry_reset(&s->retry);
        s->failures = 0;
    }
    (void)wr_retry_next(&s->retry, 0, &wait);
    s->failures++;
    /* The first, then every doubling: a long outage must not fill the disk with its log. */
    if ((s->failures & (s->failures - 1)) == 0) {
        struct wr_error told = *err;
        wr_error_prefix(&told, "source %s", name_of(s));
        if (short_life && s->failures > 1 && told.hint[0] == '\0') {
            wr_error_hint(&told, "if another client uses the client id %s, the broker gives each the other's place",
                          s->config.connect.client_id);
        }
        if (told.detail[0] == '\0') {
            wr_error_detail(&told, "attempt %u, again in %u ms", s->failures, wait);
        }
        wr_log_error(WR_LOG_WARN, "mqtt", &told);
    }
    struct pollfd fd = { .fd = s->wake_fd, .events = POLLIN };
    const int64_t until_ns = now_ns + wait * WR_NS_PER_MS;
    for (int64_t at_ns = now_ns; at_ns < until_ns && !asked_to_stop(s); at_ns = wr_clock_now().mono_ns) {
        uint64_t count;
        if (poll(&fd, 1, (int)((until_ns - at_ns) / WR_NS_PER_MS) + 1) > 0 &&
            read(s->wake_fd, &count, sizeof count) < 0) {
            break; /* nothing to take back: the next attempt comes early */
        }
    }
    return !asked_to_stop(s);
}

static void *run(void *ctx)
{
    struct wr_mqtt_session *s = ctx;
    struct wr_error err = { 0 };
    pthread_setname_np(pthread_self(), "weir-mqtt");
    while (!asked_to_stop(s)) {
        wr_status status = connect_once(s, &err);
        if (status == WR_OK) {
            status = serve(s, &err);
            if (status == WR_FAIL) {
                wr_error_prefix(&err, "%s:%s", s->config.to.host, s->config.to.port);
                if (s->phase == WELCOME && err.hint[0] == '\0') {
                    wr_error_hint(&err, "is it MQTT's port, and with or without TLS?");
                }
            }
        }
        if (status == WR_END || (status == WR_FAIL && !disconnected(s, &err))) {
            break;
        }
        if (status == WR_AGAIN) { /* woken while connecting: a commit, or the end */
            uint64_t count;
            if (read(s->wake_fd, &count, sizeof count) < 0) {
                continue;
            }
        }
    }
    wr_mqtt_link_close(&s->link);
    return NULL;
}

/* ---- the outside ---- */

static wr_status start_thread(struct wr_mqtt_session *s, struct wr_error *err)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all); /* signals are control's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    s->has_thread = error == 0;
    wr_ensure(error == 0, err, WR_CLASS_FATAL, "cannot start a thread: %s", strerrordesc_np(error));
    return WR_OK;
}

wr_status wr_mqtt_session_create(struct wr_mqtt_session **out, const struct wr_mqtt_config *config,
                                 struct wr_error *err)
{
    struct wr_mqtt_session *s = wr_calloc(1, sizeof *s);
    s->config = *config;
    s->position = s->committed = config->position;
    wr_mqtt_link_init(&s->link);
    wr_mqtt_inflight_init(&s->inflight);
    wr_retry_init(&s->retry, UINT32_MAX, 100, 5000, wr_rand_entropy());
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->opened, NULL);
    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    wr_status status = WR_OK;
    if (s->wake_fd < 0) {
        status = wr_fail(err, WR_CLASS_FATAL, "cannot make an eventfd: %s", strerrordesc_np(errno));
    } else {
        status = start_thread(s, err);
    }
    if (status == WR_OK) {
        pthread_mutex_lock(&s->lock);
        while (!s->started && !s->view.failed) {
            pthread_cond_wait(&s->opened, &s->lock);
        }
        if (s->view.failed) {
            *err = s->error;
            status = WR_FAIL;
        }
        pthread_mutex_unlock(&s->lock);
    }
    if (status != WR_OK) {
        wr_mqtt_session_destroy(s);
        return WR_FAIL;
    }
    *out = s;
    return WR_OK;
}

void wr_mqtt_session_destroy(struct wr_mqtt_session *s)
{
    if (s == NULL) {
        return;
    }
    if (s->has_thread) {
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_mutex_unlock(&s->lock);
        poke(s);
        pthread_join(s->thread, NULL);
    }
    if (s->wake_fd >= 0) {
        close(s->wake_fd);
    }
    for (struct wr_mqtt_chunk *chunk; (chunk = s->first) != NULL;) {
        s->first = chunk->next;
        chunk_free(chunk); /* not read, so not acknowledged: the broker sends it again */
    }
    chunk_free(s->filling);
    wr_mqtt_inflight_deinit(&s->inflight);
    wr_buf_deinit(&s->in);
    if (s->out.data != NULL) {
        explicit_bzero(s->out.data, s->out.capacity); /* CONNECT has the password */
    }
    wr_buf_deinit(&s->out);
    pthread_cond_destroy(&s->opened);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void wr_mqtt_session_commit(struct wr_mqtt_session *s, int64_t position)
{
    pthread_mutex_lock(&s->lock);
    const bool further = position > s->committed;
    s->committed = further ? position : s->committed;
    pthread_mutex_unlock(&s->lock);
    if (further) {
        poke(s);
    }
}

struct wr_mqtt_chunk *wr_mqtt_session_take(struct wr_mqtt_session *s, struct wr_mqtt_view *view,
                                           struct wr_error *error)
{
    pthread_mutex_lock(&s->lock);
    s->watched = true;
    struct wr_mqtt_chunk *chunk = s->first;
    if (chunk != NULL) {
        s->first = chunk->next;
        s->last = s->first == NULL ? NULL : s->last;
        chunk->next = NULL;
    }
    *view = s->view;
    if (view->failed && error != NULL) {
        *error = s->error;
    }
    pthread_mutex_unlock(&s->lock);
    return chunk;
}

void wr_mqtt_session_give_back(struct wr_mqtt_session *s, struct wr_mqtt_chunk *chunk)
{
    const uint64_t cost = chunk_cost(chunk);
    pthread_mutex_lock(&s->lock);
    const bool was_full = s->held_bytes >= s->config.memory_bytes;
    s->held_bytes -= cost;
    const bool room = was_full && s->held_bytes < s->config.memory_bytes;
    pthread_mutex_unlock(&s->lock);
    chunk_free(chunk);
    if (room) {
        poke(s);
    }
}
