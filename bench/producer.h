/* producer.h: events to explicit partitions of one topic, as fast as librdkafka takes them.
 *
 * Idempotent, so a retry neither repeats nor reorders an event: the oracle's numbers are exact.
 * Ownership: payloads are copied; the caller may reuse its memory when a call returns.
 * Threads: one thread calls; librdkafka's own threads stay behind it.
 */
#ifndef WR_BENCH_PRODUCER_H
#define WR_BENCH_PRODUCER_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>
#include <stdint.h>

enum { WR_BENCH_PARTITIONS_MAX = 256, WR_BENCH_CHUNK_EVENTS = 4096 };

struct wr_bench_producer {
    rd_kafka_t *client;
    rd_kafka_topic_t *topic;
    uint64_t failed;     /* events that the broker did not take */
    char failure[256];   /* the first reason */
};

struct wr_bench_producer_options {
    const char *brokers;
    const char *topic;
    const char *compression;   /* none, gzip, snappy, lz4, zstd */
    const char *linger_ms;     /* decimal text */
    const char *const *extra;  /* further librdkafka properties, each NAME=VALUE */
    size_t extra_count;
};

/* Sets one librdkafka property from NAME=VALUE. Returns 0, or -1 with a message in error. */
int wr_bench_conf_set_pair(rd_kafka_conf_t *conf, const char *pair, char *error,
                           size_t error_bytes);

/* Each returns 0, or -1 with a message in error. */
int wr_bench_producer_init(struct wr_bench_producer *producer,
                           const struct wr_bench_producer_options *options, char *error,
                           size_t error_bytes);

/* Makes the topic with that many partitions unless it exists; refuses one that exists with
 * another number, because events go to explicit partitions. */
int wr_bench_producer_ensure_topic(struct wr_bench_producer *producer, const char *topic,
                                   int partitions, char *error, size_t error_bytes);

/* Sends count payloads to one partition, in order; waits while too much is in flight. */
int wr_bench_producer_send(struct wr_bench_producer *producer, int partition,
                           rd_kafka_message_t *messages, int count, char *error,
                           size_t error_bytes);

/* Serves delivery reports without waiting. */
void wr_bench_producer_poll(struct wr_bench_producer *producer);

/* Waits until the broker has taken everything, at most timeout_ms. */
int wr_bench_producer_flush(struct wr_bench_producer *producer, int timeout_ms, char *error,
                            size_t error_bytes);

/* Accepts a zeroed or half-made producer. */
void wr_bench_producer_deinit(struct wr_bench_producer *producer);

#endif
