/* tail.h: a consumer at the end of a topic, in a thread of its own, that learns of a message as
 * early as librdkafka can say: the queue's eventfd wakes it, and it takes what is there.
 *
 * Threads: start and stop on one thread; the callback runs on the tail's own thread.
 */
#ifndef WR_BENCH_TAIL_H
#define WR_BENCH_TAIL_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct wr_bench_tail {
    rd_kafka_t *client;
    rd_kafka_queue_t *queue;
    int event_fd;
    pthread_t thread;
    int running;
    atomic_int stop;   /* relaxed: only ends the loop; pthread_join orders everything else */
    /* received_us is one clock read for all messages that were there together. */
    void (*take)(void *context, const rd_kafka_message_t *message, int64_t received_us);
    void *context;     /* borrowed */
    char error[256];   /* set when the thread gave up; read it after stop */
};

/* Reads every partition of topic from its present end. Returns 0, or -1 with a message in error. */
int wr_bench_tail_start(struct wr_bench_tail *tail, const char *brokers, const char *topic,
                        int partitions,
                        void (*take)(void *, const rd_kafka_message_t *, int64_t), void *context,
                        char *error, size_t error_bytes);

/* Accepts a zeroed or half-started tail. */
void wr_bench_tail_stop(struct wr_bench_tail *tail);

#endif
