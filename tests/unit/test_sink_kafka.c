/* Against librdkafka's own mock broker: what a real one does is tested end to end. */
#include "sink_bed.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

static struct bed bed;
static rd_kafka_t *host;
static rd_kafka_mock_cluster_t *cluster;

static void open_bed(void)
{
    bed_init(&bed, &wr_sink_kafka);
    host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), NULL, 0);
    cluster = rd_kafka_mock_cluster_new(host, 1);
    cr_assert_eq(rd_kafka_mock_topic_create(cluster, "out", 2, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void close_bed(void)
{
    bed_deinit(&bed);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(host);
}

TestSuite(sink_kafka, .init = open_bed, .fini = close_bed, .timeout = 60);

static void options(void)
{
    bed_option(&bed, "brokers", rd_kafka_mock_cluster_bootstraps(cluster));
    bed_option(&bed, "topic", "out");
}

static const struct bed_row two[] = { { 1, "DE", 1.5, "{\"a\":1}" }, { 2, NULL, 2, NULL } };

/* Reads count messages of the topic; returns key, value pairs in one text, ordered by value. */
static const char *consume(uint32_t count)
{
    static char text[4096];
    static char parts[8][512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster), NULL, 0);
    rd_kafka_conf_set(conf, "group.id", "test", NULL, 0);
    rd_kafka_t *consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(2);
    rd_kafka_topic_partition_list_add(list, "out", 0)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_topic_partition_list_add(list, "out", 1)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    for (uint32_t got = 0; got < count;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 20000);
        cr_assert_not_null(message);
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            snprintf(parts[got++], 512, "%.*s=%.*s\n", (int)message->key_len,
                     message->key != NULL ? (const char *)message->key : "", (int)message->len,
                     (const char *)message->payload);
        }
        rd_kafka_message_destroy(message);
    }
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    qsort(parts, count, sizeof parts[0], (int (*)(const void *, const void *))strcmp);
    text[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        strcat(text, parts[i]);
    }
    return text;
}

Test(sink_kafka, rows_become_keyed_messages_and_are_acknowledged)
{
    options();
    bed_option(&bed, "key", "country");
    bed_open(&bed);
    bed_write(&bed, two, 2);
    bed_prepare(&bed, 1);
    cr_assert_eq(bed.visible_rows, 2);
    cr_assert_eq(bed.visible_ingest_us, 77);
    bed_publish(&bed, 1);
    struct wr_sink_stats stats;
    bed.ops->stats(bed.writer, &stats);
    cr_assert_eq(stats.rows, 2);
    cr_assert_gt(stats.bytes, 60);
    cr_assert_eq(bed.ops->held_bytes(bed.writer) < 4096, true);
    cr_assert_str_eq(consume(2),
                     "={\"id\":2,\"country\":null,\"amount\":2,\"note\":null}\n"
                     "DE={\"id\":1,\"country\":\"DE\",\"amount\":1.5,\"note\":{\"a\":1}}\n");
}

Test(sink_kafka, acknowledgements_wake_the_loop)
{
    options();
    bed_open(&bed);
    bed_write(&bed, two, 2);
    const int64_t until_ns = wr_clock_now().mono_ns + 10 * WR_NS_PER_S;
    while (bed.visible_rows < 2 && wr_clock_now().mono_ns < until_ns) {
        wr_io_turn(bed.io, WR_NS_PER_S); /* no tick: only the eventfd */
    }
    cr_assert_eq(bed.visible_rows, 2);
}

Test(sink_kafka, a_number_can_be_the_key)
{
    options();
    bed_option(&bed, "key", "id");
    bed_open(&bed);
    bed_write(&bed, two, 1);
    bed_prepare(&bed, 1);
    cr_assert_str_eq(consume(1),
                     "1={\"id\":1,\"country\":\"DE\",\"amount\":1.5,\"note\":{\"a\":1}}\n");
}

Test(sink_kafka, a_row_that_is_too_large_is_rejected_alone)
{
    options();
    bed_option(&bed, "kafka.message.max.bytes", "2000");
    bed_open(&bed);
    static char large[4000];
    memset(large, 'x', sizeof large - 1);
    const struct bed_row rows[] = { { 1, "DE", 1, NULL }, { 2, large, 2, NULL } };
    bed_write(&bed, rows, 2);
    bed_prepare(&bed, 1);
    struct wr_sink_stats stats;
    bed.ops->stats(bed.writer, &stats);
    cr_assert_eq(stats.rows, 1);
    cr_assert_eq(bed.rejects, 1);
    cr_assert_not_null(strstr(bed.rejected, "\"id\":2"));
}

Test(sink_kafka, a_row_that_the_broker_refuses_is_rejected)
{
    options();
    bed_open(&bed);
    rd_kafka_mock_push_request_errors(cluster, 0 /* Produce */, 1,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    bed_write(&bed, two, 1);
    bed_prepare(&bed, 1);
    cr_assert_eq(bed.rejects, 1);
    cr_assert_not_null(strstr(bed.rejected, "\"id\":1"));
    bed_write(&bed, two + 1, 1);
    bed_prepare(&bed, 2);
    cr_assert_eq(bed.visible_rows, 1);
}

Test(sink_kafka, a_broker_that_is_away_is_waited_for)
{
    options();
    bed_open(&bed);
    rd_kafka_mock_broker_set_down(cluster, 1);
    bed_write(&bed, two, 2);
    cr_assert_eq(bed.ops->prepare(bed.writer, 1, &bed.receipt, &bed.err), WR_FAIL);
    cr_assert_eq(bed.err.cls, WR_CLASS_RETRY);
    cr_assert_not_null(strstr(bed.err.message, "have not acknowledged 2 rows"));
    rd_kafka_mock_broker_set_up(cluster, 1);
    wr_status status = WR_FAIL;
    for (int i = 0; i < 4 && status != WR_OK; i++) {
        status = bed.ops->prepare(bed.writer, 1, &bed.receipt, &bed.err);
    }
    cr_assert_eq(status, WR_OK, "%s", bed.err.message);
    cr_assert_eq(bed.visible_rows, 2);
}

Test(sink_kafka, close_does_not_wait_for_absent_brokers)
{
    options();
    bed_open(&bed);
    rd_kafka_mock_broker_set_down(cluster, 1);
    bed_write(&bed, two, 2);
    const int64_t begin_ns = wr_clock_now().mono_ns;
    bed_close_writer(&bed);
    cr_assert_lt(wr_clock_now().mono_ns - begin_ns, 5 * WR_NS_PER_S);
}

Test(sink_kafka, a_full_queue_is_waited_for)
{
    static struct bed_row rows[1000];
    options();
    bed_option(&bed, "kafka.queue.buffering.max.messages", "10");
    bed_open(&bed);
    for (uint32_t i = 0; i < 1000; i++) {
        rows[i] = (struct bed_row){ i, "DE", i, NULL };
    }
    bed_write(&bed, rows, 1000);
    bed_prepare(&bed, 1);
    cr_assert_eq(bed.visible_rows, 1000);
}

Test(sink_kafka, an_absent_broker_is_named_at_open, .timeout = 30)
{
    bed_option(&bed, "brokers", "127.0.0.1:1");
    bed_option(&bed, "topic", "out");
    cr_assert_eq(bed_check(&bed), WR_OK);
    cr_assert_eq(bed_reopen(&bed), WR_FAIL);
    cr_assert_not_null(strstr(bed.err.message, "no broker answers at 127.0.0.1:1"));
    cr_assert_not_null(strstr(bed.err.hint, "kcat -b 127.0.0.1:1"));
}

static void refuse(const char *name, const char *value, const char *message)
{
    bed.plan.pair_count = 0;
    options();
    bed_option(&bed, name, value);
    cr_assert_eq(bed_check(&bed), WR_FAIL, "%s", name);
    cr_assert_not_null(strstr(bed.err.message, message), "%s", bed.err.message);
    cr_assert_neq(bed.err.hint[0], '\0', "%s", name);
}

Test(sink_kafka, wrong_options_are_refused_without_the_network)
{
    refuse("key", "contry", "no column \"contry\"");
    cr_assert_not_null(strstr(bed.err.hint, "\"country\""));
    refuse("kafka.no.such.thing", "1", "unknown option \"kafka.no.such.thing\"");
    refuse("kafka.socket.timeout.ms", "many", "does not take this value");
    refuse("kafka.bootstrap.servers", "x", "cannot be set here");
    refuse("kafka.transactional.id", "x", "cannot be set here");
    refuse("on_unknown_commit", "perhaps", "on_unknown_commit");
}

Test(sink_kafka, exactly_once_needs_a_state)
{
    options();
    bed_option(&bed, "guarantee", "exactly_once");
    cr_assert_eq(bed_check(&bed), WR_OK, "%s", bed.err.message);
    const struct wr_sink_env env = { .plan = &bed.plan,
                                     .owner = "0123456789abcdef",
                                     .exactly_once = true,
                                     .lanes = 1,
                                     .io = bed.io };
    cr_assert_eq(bed.ops->open(&bed.writer, &env, &bed.err), WR_FAIL);
    cr_assert_eq(bed.err.cls, WR_CLASS_USER);
    cr_assert_not_null(strstr(bed.err.message, "needs a state"));
    cr_assert_not_null(strstr(bed.err.hint, "at_least_once"));
}

Test(sink_kafka, secrets_are_not_repeated_in_errors)
{
    refuse("kafka.ssl.key.password2", "hunter2", "unknown option");
    cr_assert_null(strstr(bed.err.message, "hunter2"));
    cr_assert_null(strstr(bed.err.detail, "hunter2"));
}
