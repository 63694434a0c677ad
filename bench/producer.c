/* producer.c: see producer.h. */
#include "producer.h"

#include <stdio.h>
#include <string.h>

/* Well below queue.buffering.max.messages, so that no message is ever refused in the middle of a
 * batch while a later one is taken, which would reorder a partition. */
enum { IN_FLIGHT_EVENTS_MAX = 400000 };

enum { PAIR_NAME_BYTES = 128, TOPIC_TIMEOUT_MS = 30000 };

int wr_bench_conf_set_pair(rd_kafka_conf_t *conf, const char *pair, char *error,
                           size_t error_bytes)
{
    char name[PAIR_NAME_BYTES];
    const char *equals = strchr(pair, '=');
    if (equals == NULL || equals == pair || (size_t)(equals - pair) >= sizeof(name)) {
        snprintf(error, error_bytes, "\"%s\" is not NAME=VALUE", pair);
        return -1;
    }
    memcpy(name, pair, (size_t)(equals - pair));
    name[equals - pair] = '\0';
    return rd_kafka_conf_set(conf, name, equals + 1, error, error_bytes) == RD_KAFKA_CONF_OK ? 0
                                                                                            : -1;
}

/* Called for failures only (delivery.report.only.error). */
static void note_failure(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct wr_bench_producer *producer = opaque;
    (void)client;
    if (producer->failed++ == 0) {
        snprintf(producer->failure, sizeof(producer->failure), "%s", rd_kafka_err2str(message->err));
    }
}

static int set_all(rd_kafka_conf_t *conf, const struct wr_bench_producer_options *options,
                   char *error, size_t error_bytes)
{
    const char *const pairs[][2] = {
        {"bootstrap.servers", options->brokers},
        {"compression.type", options->compression},
        {"linger.ms", options->linger_ms},
        {"enable.idempotence", "true"},
        {"delivery.report.only.error", "true"},
        {"queue.buffering.max.messages", "1000000"},
        {"queue.buffering.max.kbytes", "1000000"},
        {"socket.nagle.disable", "true"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (rd_kafka_conf_set(conf, pairs[i][0], pairs[i][1], error, error_bytes) !=
            RD_KAFKA_CONF_OK) {
            return -1;
        }
    }
    for (size_t i = 0; i < options->extra_count; i++) {
        if (wr_bench_conf_set_pair(conf, options->extra[i], error, error_bytes) != 0) {
            return -1;
        }
    }
    return 0;
}

int wr_bench_producer_init(struct wr_bench_producer *producer,
                           const struct wr_bench_producer_options *options, char *error,
                           size_t error_bytes)
{
    memset(producer, 0, sizeof(*producer));
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (set_all(conf, options, error, error_bytes) != 0) {
        rd_kafka_conf_destroy(conf);
        return -1;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, note_failure);
    rd_kafka_conf_set_opaque(conf, producer);
    producer->client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, error_bytes);
    if (producer->client == NULL) {
        rd_kafka_conf_destroy(conf); /* only a successful rd_kafka_new takes it */
        return -1;
    }
    producer->topic = rd_kafka_topic_new(producer->client, options->topic, NULL);
    if (producer->topic == NULL) {
        snprintf(error, error_bytes, "topic %s: %s", options->topic,
                 rd_kafka_err2str(rd_kafka_last_error()));
        return -1;
    }
    return 0;
}

/* Partitions of the topic by the cluster's metadata: 0 when it does not exist, -1 on error. */
static int count_partitions(struct wr_bench_producer *producer, const char *name, char *error,
                            size_t error_bytes)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(producer->client, name, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__INVALID_ARG;
    if (topic != NULL) {
        err = rd_kafka_metadata(producer->client, 0, topic, &metadata, TOPIC_TIMEOUT_MS);
        rd_kafka_topic_destroy(topic);
    }
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        snprintf(error, error_bytes, "cannot ask for topic %s: %s", name, rd_kafka_err2str(err));
        return -1;
    }
    int count = 0;
    if (metadata->topic_cnt == 1 && metadata->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        count = metadata->topics[0].partition_cnt;
    }
    rd_kafka_metadata_destroy(metadata);
    return count;
}

static int create_topic(struct wr_bench_producer *producer, const char *name, int partitions,
                        char *error, size_t error_bytes)
{
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, -1, error, error_bytes);
    if (topic == NULL) {
        return -1;
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_new(producer->client);
    rd_kafka_CreateTopics(producer->client, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TOPIC_TIMEOUT_MS);
    const char *why = event == NULL ? "no answer from the broker" : NULL;
    if (event != NULL && rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        why = rd_kafka_event_error_string(event);
    } else if (event != NULL) {
        size_t count = 0;
        const rd_kafka_topic_result_t *const *results =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
        if (count == 1 && rd_kafka_topic_result_error(results[0]) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            why = rd_kafka_err2str(rd_kafka_topic_result_error(results[0]));
        }
    }
    if (why != NULL) {
        snprintf(error, error_bytes, "cannot create topic %s: %s", name, why);
    }
    if (event != NULL) {
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
    return why == NULL ? 0 : -1;
}

int wr_bench_producer_ensure_topic(struct wr_bench_producer *producer, const char *topic,
                                   int partitions, char *error, size_t error_bytes)
{
    int count = count_partitions(producer, topic, error, error_bytes);
    if (count == 0) {
        if (create_topic(producer, topic, partitions, error, error_bytes) != 0) {
            return -1;
        }
        /* The answer comes before every broker knows the topic: ask until the metadata has it. */
        for (int tries = 0; tries < 100 && count == 0; tries++) {
            rd_kafka_poll(producer->client, 50);
            count = count_partitions(producer, topic, error, error_bytes);
        }
    }
    if (count < 0) {
        return -1;
    }
    if (count != partitions) {
        snprintf(error, error_bytes, "topic %s has %d partitions, not %d", topic, count, partitions);
        return -1;
    }
    return 0;
}

int wr_bench_producer_send(struct wr_bench_producer *producer, int partition,
                           rd_kafka_message_t *messages, int count, char *error,
                           size_t error_bytes)
{
    while (rd_kafka_outq_len(producer->client) > IN_FLIGHT_EVENTS_MAX) {
        rd_kafka_poll(producer->client, 5);
    }
    const int taken = rd_kafka_produce_batch(producer->topic, partition, RD_KAFKA_MSG_F_COPY,
                                             messages, count);
    if (taken == count) {
        return 0;
    }
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int i = 0; i < count && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        err = messages[i].err;
    }
    snprintf(error, error_bytes, "partition %d took %d of %d events: %s", partition, taken, count,
             rd_kafka_err2str(err));
    return -1;
}

void wr_bench_producer_poll(struct wr_bench_producer *producer)
{
    rd_kafka_poll(producer->client, 0);
}

int wr_bench_producer_flush(struct wr_bench_producer *producer, int timeout_ms, char *error,
                            size_t error_bytes)
{
    const rd_kafka_resp_err_t err = rd_kafka_flush(producer->client, timeout_ms);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        snprintf(error, error_bytes, "%d events still not taken by the broker: %s",
                 rd_kafka_outq_len(producer->client), rd_kafka_err2str(err));
        return -1;
    }
    if (producer->failed > 0) {
        snprintf(error, error_bytes, "%llu events failed, first: %s",
                 (unsigned long long)producer->failed, producer->failure);
        return -1;
    }
    return 0;
}

void wr_bench_producer_deinit(struct wr_bench_producer *producer)
{
    if (producer->topic != NULL) {
        rd_kafka_topic_destroy(producer->topic);
    }
    if (producer->client != NULL) {
        rd_kafka_destroy(producer->client);
    }
    memset(producer, 0, sizeof(*producer));
}
