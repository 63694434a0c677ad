/* sender.h: runs of generated events to a producer: event i goes to partition i % partitions.
 *
 * As fast as possible (wr_bench_sender_send) or in open loop (wr_bench_sender_open_loop), where
 * every event has an intended time that no delay ever moves: what is sent late counts as late.
 * Threads: one.
 */
#ifndef WR_BENCH_SENDER_H
#define WR_BENCH_SENDER_H

#include "event.h"
#include "producer.h"

struct wr_bench_sender {
    struct wr_bench_producer *producer; /* borrowed */
    int partitions;
    char *payloads;               /* WR_BENCH_CHUNK_EVENTS x WR_BENCH_EVENT_BYTES_MAX */
    rd_kafka_message_t *messages; /* partitions x messages_per_partition */
    size_t messages_per_partition;
    int64_t lag_us_max;           /* open loop: the latest that an event was handed over */
};

/* Unix time in microseconds: the one clock of intended times, stamps and measurements. */
int64_t wr_bench_now_us(void);

/* Each returns 0, or -1 with a message in error. partitions: 1..WR_BENCH_PARTITIONS_MAX. */
int wr_bench_sender_init(struct wr_bench_sender *sender, struct wr_bench_producer *producer,
                         int partitions, char *error, size_t error_bytes);

/* Sends events first .. first + count - 1 and adds them to totals. */
int wr_bench_sender_send(struct wr_bench_sender *sender, const struct wr_bench_shape *shape,
                         uint64_t first, uint64_t count, struct wr_bench_totals *totals,
                         char *error, size_t error_bytes);

/* Sends events 0 .. count - 1, none before its intended time. shape->start_us is the wall-clock
 * time of event 0. */
int wr_bench_sender_open_loop(struct wr_bench_sender *sender, const struct wr_bench_shape *shape,
                              uint64_t count, struct wr_bench_totals *totals, char *error,
                              size_t error_bytes);

void wr_bench_sender_deinit(struct wr_bench_sender *sender);

#endif
