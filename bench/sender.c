/* sender.c: see sender.h. */
#include "sender.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t wr_bench_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void sleep_until_us(int64_t wall_us)
{
    const struct timespec until = {.tv_sec = wall_us / 1000000,
                                   .tv_nsec = wall_us % 1000000 * 1000};
    clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, NULL);
}

int wr_bench_sender_init(struct wr_bench_sender *sender, struct wr_bench_producer *producer,
                         int partitions, char *error, size_t error_bytes)
{
    memset(sender, 0, sizeof(*sender));
    sender->producer = producer;
    sender->partitions = partitions;
    sender->messages_per_partition = WR_BENCH_CHUNK_EVENTS / (size_t)partitions + 1;
    sender->payloads = malloc((size_t)WR_BENCH_CHUNK_EVENTS * WR_BENCH_EVENT_BYTES_MAX);
    sender->messages = calloc((size_t)partitions * sender->messages_per_partition,
                              sizeof(*sender->messages));
    if (sender->payloads == NULL || sender->messages == NULL) {
        snprintf(error, error_bytes, "out of memory");
        return -1;
    }
    return 0;
}

static int send_chunk(struct wr_bench_sender *sender, const struct wr_bench_shape *shape,
                      uint64_t first, size_t count, struct wr_bench_totals *totals, char *error,
                      size_t error_bytes)
{
    const uint64_t partitions = (uint64_t)sender->partitions;
    int counts[WR_BENCH_PARTITIONS_MAX] = {0};
    for (size_t i = 0; i < count; i++) {
        struct wr_bench_event event;
        wr_bench_event_make(shape, first + i, &event);
        char *payload = sender->payloads + i * WR_BENCH_EVENT_BYTES_MAX;
        const size_t bytes = wr_bench_event_format(shape, &event, payload);
        wr_bench_totals_add(totals, &event, bytes);
        const size_t partition = (first + i) % partitions;
        rd_kafka_message_t *message =
            &sender->messages[partition * sender->messages_per_partition +
                              (size_t)counts[partition]++];
        message->payload = payload;
        message->len = bytes;
        message->err = RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    for (int partition = 0; partition < sender->partitions; partition++) {
        rd_kafka_message_t *messages =
            &sender->messages[(size_t)partition * sender->messages_per_partition];
        if (counts[partition] > 0 &&
            wr_bench_producer_send(sender->producer, partition, messages, counts[partition],
                                   error, error_bytes) != 0) {
            return -1;
        }
    }
    wr_bench_producer_poll(sender->producer);
    return 0;
}

int wr_bench_sender_send(struct wr_bench_sender *sender, const struct wr_bench_shape *shape,
                         uint64_t first, uint64_t count, struct wr_bench_totals *totals,
                         char *error, size_t error_bytes)
{
    while (count > 0) {
        const size_t now = count < WR_BENCH_CHUNK_EVENTS ? (size_t)count : WR_BENCH_CHUNK_EVENTS;
        if (send_chunk(sender, shape, first, now, totals, error, error_bytes) != 0) {
            return -1;
        }
        first += now;
        count -= now;
    }
    return 0;
}

/* The number of events whose intended time is not after now. */
static uint64_t due(const struct wr_bench_shape *shape, int64_t now_us, uint64_t count)
{
    if (now_us < shape->start_us) {
        return 0;
    }
    const uint64_t elapsed_us = (uint64_t)(now_us - shape->start_us);
    const uint64_t whole = elapsed_us / 1000000 * shape->rate;
    const uint64_t rest = elapsed_us % 1000000 * shape->rate / 1000000;
    const uint64_t events = whole + rest + 1;
    return events < count ? events : count;
}

int wr_bench_sender_open_loop(struct wr_bench_sender *sender, const struct wr_bench_shape *shape,
                              uint64_t count, struct wr_bench_totals *totals, char *error,
                              size_t error_bytes)
{
    /* Half a millisecond a turn: below the smallest linger, so pacing adds nothing of its own. */
    enum { TURN_US = 500 };
    uint64_t sent = 0;
    while (sent < count) {
        const int64_t now_us = wr_bench_now_us();
        const uint64_t until = due(shape, now_us, count);
        if (until > sent) {
            const int64_t lag_us = now_us - wr_bench_event_intended_us(shape, sent);
            if (lag_us > sender->lag_us_max) {
                sender->lag_us_max = lag_us;
            }
            if (wr_bench_sender_send(sender, shape, sent, until - sent, totals, error,
                                     error_bytes) != 0) {
                return -1;
            }
            sent = until;
        } else {
            wr_bench_producer_poll(sender->producer);
        }
        if (sent < count) {
            const int64_t next_us = wr_bench_event_intended_us(shape, sent);
            sleep_until_us(next_us > now_us + TURN_US ? next_us : now_us + TURN_US);
        }
    }
    return 0;
}

void wr_bench_sender_deinit(struct wr_bench_sender *sender)
{
    free(sender->payloads);
    free(sender->messages);
    memset(sender, 0, sizeof(*sender));
}
