/* tail.c: see tail.h. */
#include "tail.h"

#include "sender.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { BATCH = 1000, IDLE_MS = 100, ASK_TIMEOUT_MS = 30000 };

static void wait_for_event(struct wr_bench_tail *tail)
{
    struct pollfd fd = {.fd = tail->event_fd, .events = POLLIN};
    uint64_t fired;
    if (poll(&fd, 1, IDLE_MS) > 0 && read(tail->event_fd, &fired, sizeof(fired)) < 0) {
        fired = 0; /* a spurious wake-up: the next look finds an empty queue */
    }
}

static void *run(void *argument)
{
    struct wr_bench_tail *tail = argument;
    rd_kafka_message_t *messages[BATCH];
    while (!atomic_load_explicit(&tail->stop, memory_order_relaxed)) {
        /* Timeout 0: any other would wait for a full batch. */
        const ssize_t count = rd_kafka_consume_batch_queue(tail->queue, 0, messages, BATCH);
        if (count <= 0) {
            wait_for_event(tail);
            continue;
        }
        const int64_t received_us = wr_bench_now_us();
        for (ssize_t i = 0; i < count; i++) {
            if (messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                tail->take(tail->context, messages[i], received_us);
            } else if (tail->error[0] == '\0') {
                snprintf(tail->error, sizeof(tail->error), "%s",
                         rd_kafka_message_errstr(messages[i]));
            }
            rd_kafka_message_destroy(messages[i]);
        }
    }
    return NULL;
}

static rd_kafka_t *make_client(const char *brokers, char *error, size_t error_bytes)
{
    const char *const pairs[][2] = {
        {"bootstrap.servers", brokers},
        {"group.id", "weir-bench-tail"}, /* asked for by assign; no group is ever joined */
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},
        {"fetch.queue.backoff.ms", "1"},
        {"socket.nagle.disable", "true"},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (rd_kafka_conf_set(conf, pairs[i][0], pairs[i][1], error, error_bytes) !=
            RD_KAFKA_CONF_OK) {
            rd_kafka_conf_destroy(conf);
            return NULL;
        }
    }
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, error_bytes);
    if (client == NULL) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_poll_set_consumer(client);
    return client;
}

/* Offsets are asked for now: "the end" resolved later would skip what is sent in between. */
static int assign_ends(struct wr_bench_tail *tail, const char *topic, int partitions, char *error,
                       size_t error_bytes)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int i = 0; i < partitions && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        int64_t low = 0;
        int64_t high = 0;
        err = rd_kafka_query_watermark_offsets(tail->client, topic, i, &low, &high, ASK_TIMEOUT_MS);
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = high;
    }
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        err = rd_kafka_assign(tail->client, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        snprintf(error, error_bytes, "topic %s: %s", topic, rd_kafka_err2str(err));
        return -1;
    }
    return 0;
}

int wr_bench_tail_start(struct wr_bench_tail *tail, const char *brokers, const char *topic,
                        int partitions,
                        void (*take)(void *, const rd_kafka_message_t *, int64_t), void *context,
                        char *error, size_t error_bytes)
{
    const uint64_t one = 1;
    memset(tail, 0, sizeof(*tail));
    tail->take = take;
    tail->context = context;
    tail->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    tail->client = make_client(brokers, error, error_bytes);
    if (tail->client == NULL) {
        return -1;
    }
    tail->queue = rd_kafka_queue_get_consumer(tail->client);
    rd_kafka_queue_io_event_enable(tail->queue, tail->event_fd, &one, sizeof(one));
    if (assign_ends(tail, topic, partitions, error, error_bytes) != 0) {
        return -1;
    }
    if (pthread_create(&tail->thread, NULL, run, tail) != 0) {
        snprintf(error, error_bytes, "cannot start a thread");
        return -1;
    }
    tail->running = 1;
    return 0;
}

void wr_bench_tail_stop(struct wr_bench_tail *tail)
{
    if (tail->running) {
        atomic_store_explicit(&tail->stop, 1, memory_order_relaxed);
        pthread_join(tail->thread, NULL);
        tail->running = 0;
    }
    if (tail->queue != NULL) {
        rd_kafka_queue_destroy(tail->queue);
        tail->queue = NULL;
    }
    if (tail->client != NULL) {
        rd_kafka_destroy(tail->client);
        tail->client = NULL;
        close(tail->event_fd);
    }
}
