/* dead_letters_kafka.c: dead letters in a topic (or an event hub); a part is a partition, positions are offsets. Committed ones only. */
#include "run/dead_letters_parts.h"

#include "base/heap.h"
#include "base/log.h"
#include "kafka/kafka_access.h"

#define ANSWER_MS 10000

struct topic {
    struct wr_kafka_access *access;
    rd_kafka_t *rk; /* asks; readers have clients of their own */
    const char *name;
};

struct partition_reader {
    rd_kafka_t *rk;
    rd_kafka_message_t *message; /* the letter at hand */
    bool at_end;
};

static wr_status set(rd_kafka_conf_t *conf, const char *name, const char *value, struct wr_error *err)
{
    char reason[16]; /* not shown: it quotes the value */
    wr_ensure(rd_kafka_conf_set(conf, name, value, reason, sizeof reason) == RD_KAFKA_CONF_OK, err,
              WR_CLASS_USER, "librdkafka does not accept the option kafka.%s here", name);
    return WR_OK;
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    char line[1024];
    const char *from = strstr(text, "]: "); /* "[thrd:...]: broker/1: what" */
    if (level <= 4 || wr_kafka_access_refused(rd_kafka_opaque(rk), text)) { /* 4: syslog's LOG_WARNING */
        wr_kafka_access_note(rd_kafka_opaque(rk), from != NULL ? from + 3 : text);
    }
    if (wr_log_enabled(WR_LOG_DEBUG)) {
        wr_log_debug("kafka", "%s: %s", facility,
                     wr_kafka_access_log_line(rd_kafka_opaque(rk), text, line, sizeof line));
    }
}

/* @thread librdkafka's background */
static void refresh_token(rd_kafka_t *rk, const char *config, void *opaque)
{
    wr_kafka_access_refresh(opaque, rk);
}

static wr_status fill_conf(rd_kafka_conf_t *conf, struct wr_kafka_access *access,
                           const struct wr_options *options, struct wr_error *err)
{
    static const char *const own[][2] = { { "client.id", "weir" },
                                          { "group.id", "weir" }, /* asked for; never joined */
                                          { "enable.auto.commit", "false" },
                                          { "enable.auto.offset.store", "false" },
                                          { "enable.partition.eof", "true" },
                                          { "auto.offset.reset", "earliest" },
                                          { "isolation.level", "read_committed" } };
    uint32_t count;
    const struct wr_option_pair *pairs = wr_options_prefixed(options, "kafka.", &count);
    WR_TRY(wr_kafka_access_configure(access, conf, refresh_token, err));
    for (uint32_t i = 0; i < count; i++) {
        WR_TRY(set(conf, pairs[i].name, pairs[i].value, err));
    }
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        WR_TRY(set(conf, own[i][0], own[i][1], err));
    }
    return WR_OK;
}

static wr_status open_client(const struct topic *t, const struct wr_plan_sink *sink, rd_kafka_t **rk,
                             struct wr_error *err)
{
    char text[256] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const wr_status status = fill_conf(conf, t->access, sink->options, err);
    rd_kafka_conf_set_opaque(conf, t->access);
    rd_kafka_conf_set_log_cb(conf, on_log);
    *rk = status == WR_OK ? rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text) : NULL;
    if (*rk == NULL) {
        rd_kafka_conf_destroy(conf);
        return status != WR_OK ? status
                               : wr_fail(err, WR_CLASS_USER, "librdkafka makes no consumer: %s", text);
    }
    rd_kafka_poll_set_consumer(*rk);
    return wr_kafka_access_begin(t->access, *rk, err);
}

static wr_status no_answer(const struct wr_letters *letters, const char *what,
                           rd_kafka_resp_err_t code, struct wr_error *err)
{
    const struct topic *t = letters->own;
    (void)wr_fail(err, WR_CLASS_FATAL, "topic %s: %s: %s", t->name, what, rd_kafka_err2str(code));
    if (!wr_kafka_access_explain(t->access, NULL, err)) {
        wr_error_hint(err, "are the brokers %s there?", wr_kafka_access_brokers(t->access));
    }
    return WR_FAIL;
}

static wr_status add_partitions(struct wr_letters *letters, struct topic *t, struct wr_error *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(t->rk, t->name, NULL);
    wr_ensure(topic != NULL, err, WR_CLASS_USER, "\"%s\" cannot be a topic's name", t->name);
    const rd_kafka_resp_err_t code = rd_kafka_metadata(t->rk, 0, topic, &metadata, ANSWER_MS);
    rd_kafka_topic_destroy(topic);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return no_answer(letters, "asking for its partitions", code, err);
    }
    for (int i = 0; metadata->topic_cnt > 0 && i < metadata->topics[0].partition_cnt; i++) {
        struct wr_buf name = { 0 };
        wr_buf_printf(&name, "%s/%d", t->name, i);
        wr_letters_add_part(letters, wr_buf_cstr(&name));
        wr_buf_deinit(&name);
    }
    rd_kafka_metadata_destroy(metadata);
    return WR_OK; /* a topic that is not there yet has no partitions */
}

static wr_status topic_open(struct wr_letters *letters, struct wr_error *err)
{
    struct topic *t = wr_calloc(1, sizeof *t);
    letters->own = t;
    const struct wr_plan_sink *sink = letters->sink;
    uint32_t bad_at;
    WR_TRY(wr_kafka_access_create(&t->access, sink->connector, sink->options, &bad_at, err));
    t->name = wr_kafka_access_is_event_hubs(t->access) ? wr_kafka_access_hub(t->access)
                                                       : wr_options_text(sink->options, "topic");
    WR_TRY(open_client(t, sink, &t->rk, err));
    return add_partitions(letters, t, err);
}

static void topic_close(struct wr_letters *letters)
{
    struct topic *t = letters->own;
    if (t != NULL && t->rk != NULL) {
        rd_kafka_destroy(t->rk);
    }
    if (t != NULL) {
        wr_kafka_access_destroy(t->access);
    }
    free(t);
}

static wr_status topic_span(struct wr_letters *letters, uint32_t part, int64_t *begin, int64_t *end,
                            struct wr_error *err)
{
    const struct topic *t = letters->own;
    const rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(
        t->rk, t->name, (int32_t)part, begin, end, ANSWER_MS);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? WR_OK
                                              : no_answer(letters, "asking for its end", code, err);
}

static wr_status partition_reader_open(struct wr_letter_reader *reader, struct wr_error *err)
{
    const struct topic *t = reader->letters->own;
    struct partition_reader *r = wr_calloc(1, sizeof *r);
    reader->own = r;
    WR_TRY(open_client(t, reader->letters->sink, &r->rk, err));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, t->name, (int32_t)reader->part)->offset = reader->from;
    const rd_kafka_resp_err_t code = rd_kafka_assign(r->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? WR_OK
               : no_answer(reader->letters, "beginning to read it", code, err);
}

static void drop_message(struct partition_reader *r)
{
    if (r->message != NULL) {
        rd_kafka_message_destroy(r->message);
        r->message = NULL;
    }
}

/* The end comes as an event of its own: markers of transactions lie between messages. */
static wr_status partition_next(struct wr_letter_reader *reader, struct wr_letter *letter,
                                struct wr_error *err)
{
    struct partition_reader *r = reader->own;
    drop_message(r);
    if (r->at_end || reader->from >= reader->to) {
        return WR_END;
    }
    r->message = rd_kafka_consumer_poll(r->rk, 0);
    if (r->message == NULL) {
        return WR_AGAIN;
    }
    if (r->message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF || (r->message->err == 0 && r->message->offset >= reader->to)) {
        r->at_end = true;
        return WR_END;
    }
    if (r->message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        const rd_kafka_resp_err_t code = r->message->err;
        const bool passes = code == RD_KAFKA_RESP_ERR__TRANSPORT ||
                            code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
                            code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__RESOLVE;
        return passes ? WR_AGAIN : no_answer(reader->letters, "reading it", code, err);
    }
    letter->position = r->message->offset;
    letter->next_position = r->message->offset + 1;
    wr_letter_parse(reader->scratch, (struct wr_slice){ r->message->payload, r->message->len }, letter);
    return WR_OK;
}

static void partition_reader_close(struct wr_letter_reader *reader)
{
    struct partition_reader *r = reader->own;
    if (r != NULL) {
        drop_message(r);
        if (r->rk != NULL) {
            (void)rd_kafka_consumer_close(r->rk);
            rd_kafka_destroy(r->rk);
        }
        free(r);
    }
}

#define TOPIC_CALLS                                                                                \
    .open = topic_open, .close = topic_close, .span = topic_span,                                  \
    .reader_open = partition_reader_open, .next = partition_next,                                  \
    .reader_close = partition_reader_close

const struct wr_letters_ops wr_letters_kafka = { .connector = "kafka", TOPIC_CALLS };
const struct wr_letters_ops wr_letters_eventhubs = { .connector = "eventhubs", TOPIC_CALLS };
