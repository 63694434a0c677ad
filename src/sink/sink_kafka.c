/* sink_kafka.c: a JSON message per row to a Kafka topic, as soon as it can go (librdkafka's
 * idempotent producer).
 *
 * write hands rows to librdkafka, which copies them; its delivery reports come back through its
 * main queue, whose eventfd the sink worker's loop watches, so that an acknowledgement is seen at
 * once. A message waits in librdkafka for as long as the brokers are away (no message time-out);
 * its queue is bounded, and a full one is waited for.
 * Threads: sink worker; librdkafka's own stay behind its queue.
 * Invariants:
 *   (1) outstanding == messages produced and not yet reported
 *   (2) after prepare returned WR_OK every message is acknowledged by all in-sync replicas, or was
 *       refused for good and went to reject
 *   (3) a batch that was taken in part is remembered by resume: the repeated write goes on there
 */
#include "sink/row_lines.h"
#include "sink/sinks.h"

#include "base/heap.h"
#include "base/log.h"
#include "batch/text.h"
#include <errno.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define OPEN_WAIT_NS (10 * WR_NS_PER_S)
#define OPEN_STEP_MS 1000
#define TOPIC_WAIT_NS (2 * WR_NS_PER_S)
/* How long prepare, or write at a full queue, waits before it says so; run repeats it. */
#define ACK_WAIT_MS 5000
#define FULL_WAIT_NS (5 * WR_NS_PER_S)
/* Reports come through the eventfd; this is for librdkafka's errors, which may come without one. */
#define TICK_NS (100 * WR_NS_PER_MS)
#define QUEUE_BYTES_MIN (4u << 20)
#define QUEUE_BYTES_MAX (64u << 20)

struct wr_writer {
    struct wr_sink_env env;
    struct wr_row_json *json;
    struct wr_buf row;
    struct wr_buf key;
    uint32_t key_column; /* WR_NO_COLUMN: no key */
    char *brokers;       /* for messages */
    const char *topic_name;
    rd_kafka_t *kafka;
    rd_kafka_topic_t *topic;
    int event_fd;
    struct wr_io_op event_op;
    bool event_armed;
    bool closing;
    uint32_t resume;            /* live rows of the batch in hand that were taken */
    uint64_t outstanding;       /* (1) */
    uint64_t outstanding_bytes;
    int64_t acked_ingest_us;    /* acknowledged and not yet told to visible: one arrival time */
    uint64_t acked_rows;
    bool failed;                /* failure is the end of this writer */
    struct wr_error failure;
    char trouble[256];          /* what librdkafka last complained about */
    struct wr_sink_stats stats;
};

static const struct wr_option kafka_options[] = {
    { "brokers", WR_OPTION_LIST, NULL, "Where to ask first: host:port, comma-separated.",
      .flags = WR_OPTION_REQUIRED },
    { "topic", WR_OPTION_TEXT, NULL, "The topic; it must exist (or the brokers create topics).",
      .flags = WR_OPTION_REQUIRED },
    { "key", WR_OPTION_TEXT, NULL,
      "The column whose text is the message's key: equal keys go to one partition, in order." },
    { "compression", WR_OPTION_ENUM, "lz4", "The codec of message batches.",
      .enum_words = "none gzip snappy lz4 zstd" },
    { "linger", WR_OPTION_DURATION, "1ms",
      "How long a message may wait for others to share a request.", .min = 0, .max = 900000000 },
    { "kafka.", WR_OPTION_PREFIX, NULL,
      "Any property of librdkafka, such as kafka.security.protocol; see its CONFIGURATION.md." },
    { .name = NULL },
};

/* ---- configuration ---- */

/* Properties that are this sink's own business: the option to use, or why not. */
static const struct {
    const char *name;
    const char *hint;
} reserved[] = {
    { "bootstrap.servers", "use the option brokers" },
    { "metadata.broker.list", "use the option brokers" },
    { "transactional.id", "transactions come with exactly-once, which this sink does not do yet" },
    { "delivery.report.only.error", "the sink counts acknowledgements" },
    { "linger.ms", "use the option linger" },
    { "queue.buffering.max.ms", "use the option linger" },
    { "compression.codec", "use the option compression" },
    { "compression.type", "use the option compression" },
};

static bool is_secret(const char *property)
{
    return strstr(property, "password") != NULL || strstr(property, "secret") != NULL ||
           strstr(property, "key.pem") != NULL || strstr(property, "oauthbearer.config") != NULL;
}

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
    if (!is_secret(name)) {
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

static wr_status kafka_check(const struct wr_plan_sink *plan, uint32_t *bad_at,
                             struct wr_error *err)
{
    WR_TRY(wr_row_lines_check(plan, bad_at, err));
    if (plan->format != NULL && plan->format[0] != '\0' && strcmp(plan->format, "json") != 0) {
        *bad_at = wr_options_at(plan->options, "format");
        wr_fail(err, WR_CLASS_USER, "connector 'kafka' does not write format '%s'", plan->format);
        wr_error_hint(err, "use format = 'json'");
        return WR_FAIL;
    }
    const char *guarantee = wr_options_text(plan->options, "guarantee");
    if (guarantee != NULL && strcmp(guarantee, "exactly_once") == 0) {
        *bad_at = wr_options_at(plan->options, "guarantee");
        wr_fail(err, WR_CLASS_USER, "connector 'kafka' does not write exactly once yet");
        wr_error_hint(err, "leave guarantee out: every row arrives; a crash may repeat those of "
                           "the last epoch");
        return WR_FAIL;
    }
    *bad_at = wr_options_at(plan->options, "key");
    WR_TRY(check_key(plan, err));
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const wr_status status = conf_pass_through(conf, plan, bad_at, err);
    rd_kafka_conf_destroy(conf);
    return status;
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
    const char *const settings[][2] = {
        { "bootstrap.servers", w->brokers },
        { "client.id", "weir" },
        { "acks", "all" },
        { "enable.idempotence", "true" },
        { "linger.ms", linger_ms },
        { "compression.codec", wr_options_text(options, "compression") },
        { "queue.buffering.max.kbytes", queue_kbytes },
        { "queue.buffering.max.messages", "500000" },
        /* Rows wait for absent brokers; only prepare decides that it lasts too long. */
        { "message.timeout.ms", "0" },
        { "socket.nagle.disable", "true" },
        { "socket.keepalive.enable", "true" },
        /* As the Java producer's: rows of a key lie where other producers put theirs. */
        { "partitioner", "murmur2_random" },
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        WR_TRY(conf_set(conf, settings[i][0], settings[i][1], err));
    }
    return WR_OK;
}

/* ---- delivery reports ---- */

static void tell_visible(struct wr_writer *w)
{
    if (w->acked_rows > 0) {
        w->env.visible(w->env.ctx, w->acked_ingest_us, w->acked_rows);
        w->acked_rows = 0;
    }
}

static void set_failed(struct wr_writer *w, const char *what, const char *text)
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

static bool refused_for_good(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
           error == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE ||
           error == RD_KAFKA_RESP_ERR_INVALID_RECORD || error == RD_KAFKA_RESP_ERR_INVALID_MSG ||
           error == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP;
}

static void on_report(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
    struct wr_writer *w = opaque;
    const int64_t ingest_us = (int64_t)(intptr_t)message->_private;
    w->outstanding--;
    w->outstanding_bytes -= message->len + message->key_len;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (ingest_us != w->acked_ingest_us) {
            tell_visible(w);
            w->acked_ingest_us = ingest_us;
        }
        w->acked_rows++;
        w->stats.bytes += message->len + message->key_len;
    } else if (refused_for_good(message->err)) {
        w->stats.rows--;
        w->env.reject(w->env.ctx, message->payload, message->len,
                      rd_kafka_err2str(message->err));
    } else if (!w->closing) {
        set_failed(w, "a row was not acknowledged", rd_kafka_err2str(message->err));
    }
}

static void on_error(rd_kafka_t *kafka, int error, const char *reason, void *opaque)
{
    struct wr_writer *w = opaque;
    snprintf(w->trouble, sizeof w->trouble, "%s", reason);
    char text[256];
    if (error == RD_KAFKA_RESP_ERR__FATAL) {
        (void)rd_kafka_fatal_error(kafka, text, sizeof text);
        set_failed(w, "the producer cannot go on", text);
    } else if (error == RD_KAFKA_RESP_ERR__AUTHENTICATION) {
        set_failed(w, "the brokers refuse to let weir in", reason);
        wr_error_hint(&w->failure, "check kafka.security.protocol, kafka.sasl.mechanism, "
                                   "kafka.sasl.username and kafka.sasl.password");
    }
}

static void on_log(const rd_kafka_t *kafka, int level, const char *facility, const char *text)
{
    /* Syslog levels: 3 is an error. Connection trouble repeats for as long as it lasts; prepare
     * tells it in its words. */
    wr_log(level <= 2 ? WR_LOG_WARN : WR_LOG_DEBUG, "kafka", "%s: %s", facility, text);
}

static void serve(struct wr_writer *w)
{
    while (rd_kafka_poll(w->kafka, 0) > 0) {
    }
    tell_visible(w);
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
    serve(w);
    w->event_armed = true;
    wr_io_submit(w->env.io, op);
}

static wr_status watch_queue(struct wr_writer *w, struct wr_error *err)
{
    w->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    wr_ensure(w->event_fd >= 0, err, WR_CLASS_FATAL, "cannot make an eventfd");
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(w->kafka);
    const uint64_t one = 1;
    rd_kafka_queue_io_event_enable(queue, w->event_fd, &one, sizeof one);
    rd_kafka_queue_destroy(queue);
    w->event_op = (struct wr_io_op){
        .kind = WR_IO_POLL, .fd = w->event_fd, .done = on_event, .ctx = w
    };
    w->event_armed = true;
    wr_io_submit(w->env.io, &w->event_op);
    return WR_OK;
}

/* ---- open ---- */

static wr_status unreachable(const struct wr_writer *w, struct wr_error *err)
{
    wr_fail(err, WR_CLASS_FATAL, "topic %s: no broker answers at %s", w->topic_name, w->brokers);
    if (w->trouble[0] != '\0') {
        wr_error_detail(err, "librdkafka: %s", w->trouble);
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
    serve(w);
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

static wr_status find_topic(struct wr_writer *w, struct wr_error *err)
{
    const int64_t begin_ns = wr_clock_now().mono_ns;
    rd_kafka_resp_err_t seen = RD_KAFKA_RESP_ERR__TRANSPORT;
    int64_t waited_ns = 0;
    wr_status status;
    do {
        status = look_for_topic(w, waited_ns < TOPIC_WAIT_NS, &seen, err);
        waited_ns = wr_clock_now().mono_ns - begin_ns;
    } while (status == WR_AGAIN && waited_ns < OPEN_WAIT_NS);
    if (status != WR_AGAIN) {
        return status;
    }
    return seen == RD_KAFKA_RESP_ERR__TRANSPORT ? unreachable(w, err) : no_topic(w, seen, err);
}

static wr_status create_producer(struct wr_writer *w, struct wr_error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    uint32_t bad_at;
    wr_status status = conf_own(conf, w, err);
    if (status == WR_OK) {
        status = conf_pass_through(conf, w->env.plan, &bad_at, err);
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
        wr_error_detail(err, "librdkafka: %s", text);
        wr_error_hint(err, "look at the options that begin with kafka.");
        return WR_FAIL;
    }
    w->topic = rd_kafka_topic_new(w->kafka, w->topic_name, NULL);
    wr_ensure(w->topic != NULL, err, WR_CLASS_USER, "\"%s\" cannot be a topic's name: %s",
              w->topic_name, rd_kafka_err2str(rd_kafka_last_error()));
    return WR_OK;
}

static char *join_brokers(const struct wr_options *options)
{
    uint32_t count;
    const char *const *brokers = wr_options_list(options, "brokers", &count);
    struct wr_buf text = { 0 };
    for (uint32_t i = 0; i < count; i++) {
        wr_buf_printf(&text, "%s%s", i > 0 ? "," : "", brokers[i]);
    }
    char *joined = wr_strdup(wr_buf_cstr(&text));
    wr_buf_deinit(&text);
    return joined;
}

static void kafka_close(struct wr_writer *w)
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
    if (w->kafka != NULL) {
        /* What is unacknowledged belongs to an epoch that will be read again. */
        (void)rd_kafka_purge(w->kafka, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        serve(w);
        if (w->topic != NULL) {
            rd_kafka_topic_destroy(w->topic);
        }
        rd_kafka_destroy(w->kafka);
    }
    if (w->event_fd >= 0) {
        close(w->event_fd);
    }
    wr_row_json_destroy(w->json);
    wr_buf_deinit(&w->row);
    wr_buf_deinit(&w->key);
    free(w->brokers);
    free(w);
}

static wr_status kafka_open(struct wr_writer **writer, const struct wr_sink_env *env,
                            struct wr_error *err)
{
    struct wr_writer *w = wr_calloc(1, sizeof *w);
    w->env = *env;
    w->event_fd = -1;
    w->json = wr_row_json_of_sink(env->plan);
    w->topic_name = wr_options_text(env->plan->options, "topic");
    w->brokers = join_brokers(env->plan->options);
    const char *key = wr_options_text(env->plan->options, "key");
    w->key_column = key == NULL ? WR_NO_COLUMN
                                : (uint32_t)wr_schema_find(&env->plan->schema, key);
    wr_status status = create_producer(w, err);
    if (status == WR_OK) {
        status = find_topic(w, err);
    }
    if (status == WR_OK) {
        status = watch_queue(w, err);
    }
    if (status != WR_OK) {
        kafka_close(w);
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
        if (refused_for_good(error)) {
            w->env.reject(w->env.ctx, w->row.data, w->row.bytes, rd_kafka_err2str(error));
            return WR_OK;
        }
        if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            set_failed(w, "a row cannot be sent", rd_kafka_err2str(error));
        }
        (void)rd_kafka_poll(w->kafka, 10);
        tell_visible(w);
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

static wr_status kafka_write(struct wr_writer *w, const struct wr_batch *batch, struct wr_time now,
                             struct wr_error *err)
{
    if (w->failed) {
        *err = w->failure;
        return WR_FAIL;
    }
    const uint32_t live = wr_batch_live(batch);
    for (; w->resume < live; w->resume++) { /* (3) */
        const uint32_t row = wr_batch_row(batch, w->resume);
        w->row.bytes = 0;
        wr_row_json_append(w->json, &w->row, batch, row);
        WR_TRY(produce(w, key_of(w, batch, row), batch->ingest_us, err));
    }
    w->resume = 0;
    serve(w);
    return WR_OK;
}

static wr_status kafka_tick(struct wr_writer *w, struct wr_time now, int64_t *next_ns,
                            struct wr_error *err)
{
    serve(w);
    *next_ns = now.mono_ns + TICK_NS;
    if (w->failed) {
        *err = w->failure;
        return WR_FAIL;
    }
    return WR_OK;
}

/* ---- epochs ---- */

static wr_status kafka_prepare(struct wr_writer *w, uint64_t epoch, struct wr_buf *receipt,
                              struct wr_error *err)
{
    if (w->outstanding > 0 && !w->failed) {
        (void)rd_kafka_flush(w->kafka, ACK_WAIT_MS);
    }
    serve(w);
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

static wr_status kafka_publish(struct wr_writer *w, uint64_t epoch,
                              const struct wr_receipt *receipts, uint32_t receipt_count,
                              struct wr_error *err)
{
    return WR_OK;
}

static void kafka_stats(const struct wr_writer *w, struct wr_sink_stats *stats)
{
    *stats = w->stats;
}

static uint64_t kafka_held_bytes(const struct wr_writer *w)
{
    return w->outstanding_bytes + w->row.capacity;
}

const struct wr_sink_ops wr_sink_kafka = {
    .name = "kafka",
    .help = "A JSON message per row to a Kafka topic, keyed by a column if asked.",
    .has_format = true,
    .options = kafka_options,
    .check = kafka_check,
    .open = kafka_open,
    .write = kafka_write,
    .tick = kafka_tick,
    .prepare = kafka_prepare,
    .publish = kafka_publish,
    .stats = kafka_stats,
    .held_bytes = kafka_held_bytes,
    .close = kafka_close,
};
