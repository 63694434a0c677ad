/* kafka_producer.c: the client of the sink 'kafka'; see kafka_writer.h. */
#include "sink/kafka_writer.h"

#include "base/heap.h"
#include "base/log.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define OPEN_WAIT_NS (10 * WR_NS_PER_S)
#define OPEN_STEP_MS 1000
#define TOPIC_WAIT_NS (2 * WR_NS_PER_S)
#define SOCKET_WAIT_MS 6000
#define QUEUE_BYTES_MIN (4u << 20)
#define QUEUE_BYTES_MAX (64u << 20)

/* ---- configuration ---- */

/* Properties that are this sink's own business: the option to use, or why not. */
static const struct {
    const char *name;
    const char *hint;
} reserved[] = {
    { "bootstrap.servers", "use the option brokers" },
    { "metadata.broker.list", "use the option brokers" },
    { "transactional.id", "use guarantee = 'exactly_once': the id comes from the pipeline's state" },
    { "delivery.report.only.error", "the sink counts acknowledgements" },
    { "linger.ms", "use the option linger" },
    { "queue.buffering.max.ms", "use the option linger" },
    { "compression.codec", "use the option compression" },
    { "compression.type", "use the option compression" },
};

static wr_status conf_set(rd_kafka_conf_t *conf, const char *name, const char *value,
                          struct wr_error *err)
{
    char text[256] = "";
    const rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, text, sizeof text);
    if (result == RD_KAFKA_CONF_OK) {
        return WR_OK;
    }
    if (result == RD_KAFKA_CONF_UNKNOWN) {
        wr_fail(err, WR_CLASS_USER, "unknown option \"kafka.%s\"", name);
    } else {
        wr_fail(err, WR_CLASS_USER, "option \"kafka.%s\" does not take this value", name);
    }
    if (!wr_kafka_is_secret(name)) {
        wr_error_detail(err, "librdkafka: %s", text);
    }
    wr_error_hint(err, "the properties and their values are listed in librdkafka's "
                       "CONFIGURATION.md");
    return WR_FAIL;
}

/* What the user passes through, after (and so over) the sink's own settings. */
static wr_status conf_pass_through(rd_kafka_conf_t *conf, const struct wr_plan_sink *plan,
                                   uint32_t *bad_at, struct wr_error *err)
{
    uint32_t count;
    const struct wr_option_pair *pairs = wr_options_prefixed(plan->options, "kafka.", &count);
    for (uint32_t i = 0; i < count; i++) {
        *bad_at = pairs[i].name_at;
        for (size_t r = 0; r < sizeof reserved / sizeof *reserved; r++) {
            if (strcmp(pairs[i].name, reserved[r].name) == 0) {
                wr_fail(err, WR_CLASS_USER, "option \"kafka.%s\" cannot be set here",
                        pairs[i].name);
                wr_error_hint(err, "%s", reserved[r].hint);
                return WR_FAIL;
            }
        }
        WR_TRY(conf_set(conf, pairs[i].name, pairs[i].value, err));
    }
    return WR_OK;
}

wr_status wr_kafka_check_properties(const struct wr_plan_sink *plan, uint32_t *bad_at,
                                    struct wr_error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const wr_status status = conf_pass_through(conf, plan, bad_at, err);
    rd_kafka_conf_destroy(conf);
    return status;
}

/* @thread librdkafka's background */
static void refresh_token(rd_kafka_t *kafka, const char *config, void *opaque)
{
    wr_kafka_access_refresh(((struct wr_writer *)opaque)->access, kafka);
}

static wr_status conf_own(rd_kafka_conf_t *conf, const struct wr_writer *w, struct wr_error *err)
{
    const struct wr_options *options = w->env.plan->options;
    uint64_t queue = w->env.memory_bytes / 4;
    queue = queue < QUEUE_BYTES_MIN ? QUEUE_BYTES_MIN : queue;
    queue = queue > QUEUE_BYTES_MAX ? QUEUE_BYTES_MAX : queue;
    char queue_kbytes[24];
    char linger_ms[32];
    snprintf(queue_kbytes, sizeof queue_kbytes, "%" PRIu64, queue / 1024);
    snprintf(linger_ms, sizeof linger_ms, "%g", (double)wr_options_int(options, "linger") / 1000);
    const bool hubs = wr_kafka_access_is_event_hubs(w->access);
    const char *const settings[][2] = {
        { "client.id", "weir" },
        { "acks", "all" },
        /* Not all tiers of Event Hubs have idempotence: there a request at a time keeps rows of a key in order. */
        { "enable.idempotence", hubs ? "false" : "true" },
        { "max.in.flight.requests.per.connection", hubs ? "1" : "5" },
        { "linger.ms", linger_ms },
        { "compression.codec", wr_options_text(options, "compression") },
        { "queue.buffering.max.kbytes", queue_kbytes },
        { "queue.buffering.max.messages", "500000" },
        /* Brokers that are back are found within two seconds instead of ten. */
        { "reconnect.backoff.max.ms", "2000" },
        /* A half-open connection is given up, not waited on for a minute (exactly once: shorten_waits). */
        { "socket.timeout.ms", "6000" },
        { "socket.nagle.disable", "true" },
        { "socket.keepalive.enable", "true" },
        /* As the Java producer's: rows of a key lie where other producers put theirs. */
        { "partitioner", "murmur2_random" },
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        WR_TRY(conf_set(conf, settings[i][0], settings[i][1], err));
    }
    WR_TRY(wr_kafka_access_configure(w->access, conf, refresh_token, err));
    if (!w->transactional) { /* rows wait for absent brokers; only prepare decides that it lasts too long */
        return conf_set(conf, "message.timeout.ms", "0", err);
    }
    return conf_set(conf, "transactional.id", w->identity, err);
}

/* ---- delivery reports ---- */

void wr_kafka_tell_visible(struct wr_writer *w)
{
    if (w->acked_rows > 0) {
        w->env.visible(w->env.ctx, w->acked_ingest_us, w->acked_rows);
        w->acked_rows = 0;
    }
}

void wr_kafka_set_failed(struct wr_writer *w, const char *what, const char *text)
{
    if (w->failed) {
        return;
    }
    w->failed = true;
    wr_fail(&w->failure, WR_CLASS_FATAL, "topic %s: %s", w->topic_name, what);
    wr_error_detail(&w->failure, "librdkafka: %s; brokers %s", text, w->brokers);
    wr_error_hint(&w->failure, "look at the brokers' logs; a new start goes on after the last "
                               "committed epoch");
}

bool wr_kafka_refused_for_good(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
           error == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE ||
           error == RD_KAFKA_RESP_ERR_INVALID_RECORD || error == RD_KAFKA_RESP_ERR_INVALID_MSG ||
           error == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP;
}

static void on_report(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
    struct wr_writer *w = opaque;
    w->outstanding--;
    w->outstanding_bytes -= message->len + message->key_len;
    if (w->transactional) {
        wr_kafka_commit_report(w, message);
        return;
    }
    const int64_t ingest_us = (int64_t)(intptr_t)message->_private;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (ingest_us != w->acked_ingest_us) {
            wr_kafka_tell_visible(w);
            w->acked_ingest_us = ingest_us;
        }
        w->acked_rows++;
        w->stats.bytes += message->len + message->key_len;
    } else if (wr_kafka_refused_for_good(message->err)) {
        w->stats.rows--;
        w->env.reject(w->env.ctx, message->payload, message->len,
                      rd_kafka_err2str(message->err));
    } else if (!w->closing) {
        wr_kafka_set_failed(w, "a row was not acknowledged", rd_kafka_err2str(message->err));
    }
}

static void on_error(rd_kafka_t *kafka, int error, const char *reason, void *opaque)
{
    struct wr_writer *w = opaque;
    (void)wr_kafka_access_log_line(w->access, reason, w->trouble, sizeof w->trouble);
    char text[256];
    if (error == RD_KAFKA_RESP_ERR__FATAL && w->transactional) {
        return; /* the next step of a transaction says it better: kafka_commit.c */
    }
    if (error == RD_KAFKA_RESP_ERR__FATAL) {
        (void)rd_kafka_fatal_error(kafka, text, sizeof text);
        wr_kafka_set_failed(w, "the producer cannot go on", text);
    } else if (error == RD_KAFKA_RESP_ERR__AUTHENTICATION && w->found &&
               wr_kafka_access_uses_tokens(w->access)) {
        wr_log_warn("kafka", "%s; rows wait meanwhile", w->trouble);
    } else if (error == RD_KAFKA_RESP_ERR__AUTHENTICATION) {
        wr_kafka_set_failed(w, "the brokers refuse to let weir in", w->trouble);
        (void)wr_kafka_access_explain(w->access, w->trouble, &w->failure);
    }
}

static void on_log(const rd_kafka_t *kafka, int level, const char *facility, const char *text)
{
    /* Syslog levels: 3 is an error. Connection trouble repeats for as long as it lasts; prepare
     * tells it in its words. */
    const enum wr_log_level as = level <= 2 ? WR_LOG_WARN : WR_LOG_DEBUG;
    const struct wr_writer *w = rd_kafka_opaque(kafka);
    char line[1024];
    if (w != NULL && wr_log_enabled(as)) {
        wr_log(as, "kafka", "%s: %s", facility,
               wr_kafka_access_log_line(w->access, text, line, sizeof line));
    }
}

void wr_kafka_serve(struct wr_writer *w)
{
    while (w->kafka != NULL && rd_kafka_poll(w->kafka, 0) > 0) {
    }
    wr_kafka_tell_visible(w);
}

static void on_event(struct wr_io_op *op)
{
    struct wr_writer *w = op->ctx;
    w->event_armed = false;
    if (w->closing || op->result < 0) {
        return; /* tick serves without it */
    }
    uint64_t count;
    while (read(w->event_fd, &count, sizeof count) < 0 && errno == EINTR) {
    }
    wr_kafka_serve(w);
    w->event_armed = true;
    wr_io_submit(w->env.io, op);
}

static wr_status watch_queue(struct wr_writer *w, struct wr_error *err)
{
    if (w->event_fd < 0) {
        w->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        wr_ensure(w->event_fd >= 0, err, WR_CLASS_FATAL, "cannot make an eventfd");
        w->event_op = (struct wr_io_op){
            .kind = WR_IO_POLL, .fd = w->event_fd, .done = on_event, .ctx = w
        };
        w->event_armed = true;
        wr_io_submit(w->env.io, &w->event_op);
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(w->kafka);
    const uint64_t one = 1;
    rd_kafka_queue_io_event_enable(queue, w->event_fd, &one, sizeof one);
    rd_kafka_queue_destroy(queue);
    return WR_OK;
}

/* ---- the topic ---- */

static wr_status unreachable(struct wr_writer *w, struct wr_error *err)
{
    wr_fail(err, WR_CLASS_FATAL, "topic %s: no broker answers at %s", w->topic_name, w->brokers);
    if (wr_kafka_access_explain(w->access, w->trouble, err)) {
        return WR_FAIL;
    }
    wr_error_hint(err, "check the option brokers, and that one listens there: kcat -b %s -L",
                  w->brokers);
    return WR_FAIL;
}

static wr_status no_topic(const struct wr_writer *w, rd_kafka_resp_err_t error,
                          struct wr_error *err)
{
    if (error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) {
        wr_fail(err, WR_CLASS_FATAL, "topic %s: weir may not use it on %s", w->topic_name,
                w->brokers);
        wr_error_hint(err, "grant its user WRITE and DESCRIBE on the topic");
        return WR_FAIL;
    }
    if (error == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION) {
        wr_fail(err, WR_CLASS_FATAL, "\"%s\" cannot be a topic's name", w->topic_name);
        wr_error_hint(err, "use letters, digits, '.', '_' and '-' only");
        return WR_FAIL;
    }
    const bool missing = error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    wr_fail(err, WR_CLASS_FATAL, "topic %s %s on %s", w->topic_name,
            missing ? "does not exist" : "cannot be used", w->brokers);
    if (!missing) {
        wr_error_detail(err, "librdkafka: %s", rd_kafka_err2str(error));
    }
    wr_error_hint(err, "create it: kafka-topics.sh --bootstrap-server %s --create --topic %s "
                       "--partitions 4", w->brokers, w->topic_name);
    return WR_FAIL;
}

/* One look: WR_AGAIN while it may still come right: a topic that brokers make on demand has no
 * leader for a moment, and one that was just made is not known to every broker at once. */
static wr_status look_for_topic(struct wr_writer *w, bool early, rd_kafka_resp_err_t *seen,
                                struct wr_error *err)
{
    const struct rd_kafka_metadata *metadata;
    const rd_kafka_resp_err_t error =
        rd_kafka_metadata(w->kafka, 0, w->topic, &metadata, OPEN_STEP_MS);
    wr_kafka_serve(w);
    if (w->failed) {
        *err = w->failure;
        return WR_FAIL;
    }
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return WR_AGAIN;
    }
    *seen = metadata->topic_cnt == 1 ? metadata->topics[0].err
                                     : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    const bool ready = *seen == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topics[0].partition_cnt > 0;
    rd_kafka_metadata_destroy(metadata);
    if (ready) {
        return WR_OK;
    }
    if (*seen == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE || *seen == RD_KAFKA_RESP_ERR_NO_ERROR ||
        (*seen == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && early)) {
        wr_clock_sleep_ms(100);
        return WR_AGAIN;
    }
    return no_topic(w, *seen, err);
}

wr_status wr_kafka_find_topic(struct wr_writer *w, struct wr_error *err)
{
    const int64_t begin_ns = wr_clock_now().mono_ns;
    rd_kafka_resp_err_t seen = RD_KAFKA_RESP_ERR__TRANSPORT;
    int64_t waited_ns = 0;
    wr_status status;
    do {
        status = look_for_topic(w, waited_ns < TOPIC_WAIT_NS, &seen, err);
        waited_ns = wr_clock_now().mono_ns - begin_ns;
    } while (status == WR_AGAIN && waited_ns < OPEN_WAIT_NS &&
             !(waited_ns >= TOPIC_WAIT_NS && wr_kafka_access_refused(w->access, w->trouble)));
    w->found = w->found || status == WR_OK;
    if (status != WR_AGAIN) {
        return status;
    }
    return seen == RD_KAFKA_RESP_ERR__TRANSPORT ? unreachable(w, err) : no_topic(w, seen, err);
}

/* ---- the client ---- */

/* What the user's properties left of limits that we have to know. */
static void read_limits(struct wr_writer *w, const rd_kafka_conf_t *conf)
{
    char text[32];
    size_t bytes = sizeof text;
    w->message_bytes_max = UINT64_MAX;
    if (rd_kafka_conf_get(conf, "message.max.bytes", text, &bytes) == RD_KAFKA_CONF_OK) {
        w->message_bytes_max = strtoull(text, NULL, 10);
    }
    bytes = sizeof text;
    w->tx_timeout_ns = 60 * WR_NS_PER_S;
    if (rd_kafka_conf_get(conf, "transaction.timeout.ms", text, &bytes) == RD_KAFKA_CONF_OK) {
        w->tx_timeout_ns = strtoll(text, NULL, 10) * WR_NS_PER_MS;
    }
}

/* A step of a transaction waits for a silent broker as long as this, and the sink worker with it: not for librdkafka's minute.
 * Never longer than the transaction's own time-out, which librdkafka refuses. */
static wr_status shorten_waits(const struct wr_writer *w, rd_kafka_conf_t *conf,
                               struct wr_error *err)
{
    uint32_t count;
    const struct wr_option_pair *pairs =
        wr_options_prefixed(w->env.plan->options, "kafka.", &count);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(pairs[i].name, "socket.timeout.ms") == 0) {
            return WR_OK;
        }
    }
    const int64_t ms = w->tx_timeout_ns / WR_NS_PER_MS;
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, ms < SOCKET_WAIT_MS ? ms : SOCKET_WAIT_MS);
    return conf_set(conf, "socket.timeout.ms", text, err);
}

static wr_status create_producer(struct wr_writer *w, struct wr_error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    uint32_t bad_at;
    wr_status status = conf_own(conf, w, err);
    if (status == WR_OK) {
        status = conf_pass_through(conf, w->env.plan, &bad_at, err);
    }
    read_limits(w, conf);
    if (status == WR_OK && w->transactional) {
        status = shorten_waits(w, conf, err);
    }
    if (status != WR_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    rd_kafka_conf_set_opaque(conf, w);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    char text[256] = "";
    w->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    if (w->kafka == NULL) {
        rd_kafka_conf_destroy(conf);
        wr_fail(err, WR_CLASS_USER, "librdkafka does not accept these settings together");
        wr_kafka_access_redact(w->access, text);
        wr_error_detail(err, "librdkafka: %s", text);
        wr_error_hint(err, "look at the options that begin with ssl_, sasl_ and kafka.");
        (void)wr_kafka_access_explain(w->access, text, err);
        return WR_FAIL;
    }
    WR_TRY(wr_kafka_access_begin(w->access, w->kafka, err));
    w->topic = rd_kafka_topic_new(w->kafka, w->topic_name, NULL);
    wr_ensure(w->topic != NULL, err, WR_CLASS_USER, "\"%s\" cannot be a topic's name: %s",
              w->topic_name, rd_kafka_err2str(rd_kafka_last_error()));
    return WR_OK;
}

wr_status wr_kafka_reader_of_group(struct wr_writer *w, rd_kafka_t **reader, struct wr_error *err)
{
    const char *const settings[][2] = { { "client.id", "weir" },
                                        { "group.id", w->identity },
                                        { "isolation.level", "read_committed" },
                                        { "socket.timeout.ms", "6000" },
                                        { "enable.auto.commit", "false" } };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    wr_status status = WR_OK;
    for (size_t i = 0; i < sizeof settings / sizeof *settings && status == WR_OK; i++) {
        status = conf_set(conf, settings[i][0], settings[i][1], err);
    }
    if (status == WR_OK) {
        status = wr_kafka_access_configure(w->access, conf, refresh_token, err);
    }
    if (status == WR_OK) {
        uint32_t bad_at;
        status = conf_pass_through(conf, w->env.plan, &bad_at, err);
    }
    char text[256] = "";
    rd_kafka_conf_set_opaque(conf, w);
    rd_kafka_conf_set_log_cb(conf, on_log);
    *reader = status == WR_OK ? rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text) : NULL;
    if (*reader == NULL) {
        rd_kafka_conf_destroy(conf);
        return status != WR_OK ? status
                               : wr_fail(err, WR_CLASS_FATAL,
                                         "librdkafka makes no consumer to look at group \"%s\": %s",
                                         w->identity, text);
    }
    return wr_kafka_access_begin(w->access, *reader, err);
}

wr_status wr_kafka_producer_open(struct wr_writer *w, bool transactional, struct wr_error *err)
{
    w->transactional = transactional;
    WR_TRY(create_producer(w, err));
    return watch_queue(w, err);
}

void wr_kafka_producer_close(struct wr_writer *w)
{
    if (w->kafka == NULL) {
        return;
    }
    const bool closing = w->closing;
    w->closing = true; /* what is purged is not a failure: it belongs to an epoch that will be read, or sent, again */
    (void)rd_kafka_purge(w->kafka, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    wr_kafka_serve(w);
    if (w->topic != NULL) {
        rd_kafka_topic_destroy(w->topic);
    }
    rd_kafka_destroy(w->kafka);
    w->topic = NULL;
    w->kafka = NULL;
    w->outstanding = 0;
    w->outstanding_bytes = 0;
    w->ready = false;
    w->initialised = false;
    w->tx = WR_KAFKA_TX_NONE;
    w->closing = closing;
}
