/* drain.c: weir-bench-drain, the bare consumer that Weir's cost is compared with.
 *
 * Reads a topic with librdkafka from its beginning to the end that it had at the start, and throws
 * the messages away: what remains is what the client library needs to hand them over. One queue
 * for all partitions, read in batches, with nothing per message but its length and its offset. It
 * is linked with the librdkafka and the allocator that Weir is linked with.
 * Threads: the main thread, and librdkafka's own.
 */
#include "options.h"
#include "producer.h"

#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const char tool[] = "weir-bench-drain";

static const char help[] =
    "usage: weir-bench-drain --topic TOPIC [--brokers HOST:PORT] [option]...\n"
    "\n"
    "Consumes every message that a topic has at the start, throws it away, and prints as JSON:\n"
    "events, bytes, wall_s, cpu_s (user + system of this process), ns_per_event, peak_rss_bytes.\n"
    "\n"
    "  --brokers LIST         bootstrap servers (127.0.0.1:9092)\n"
    "  --queued-messages N    messages to prefetch for each partition (20000)\n"
    "  --queued-kb N          KiB to prefetch for all partitions together (8192)\n"
    "  --batch N              messages to take from the queue at once (1000)\n"
    "  --wait block|eventfd   sleep in librdkafka until a batch is full or 100 ms have passed, or\n"
    "                         until the queue's eventfd says that it has something (block)\n"
    "  --timeout S            give up when nothing has come for so long (30)\n"
    "  -X NAME=VALUE          any librdkafka property (fetch.message.max.bytes=524288)\n"
    "\n"
    "Example\n"
    "  weir-bench-drain --topic clicks --queued-messages 100000 --queued-kb 65536\n";

enum { EXTRA_MAX = 64, ERROR_BYTES = 512, ASK_TIMEOUT_MS = 30000, BLOCK_MS = 100 };

struct settings {
    const char *brokers;
    const char *topic;
    const char *queued_messages;
    const char *queued_kb;
    const char *extra[EXTRA_MAX];
    size_t extra_count;
    size_t batch;
    int use_eventfd;
    int timeout_s;
};

struct drain {
    rd_kafka_t *client;
    rd_kafka_queue_t *queue;
    int event_fd;
    int partitions;
    int open; /* partitions not yet read to their end */
    int64_t end[WR_BENCH_PARTITIONS_MAX]; /* offset after the last message; -1: done */
    uint64_t events;
    uint64_t bytes;
};

static const struct option long_options[] = {
    {"topic", required_argument, NULL, 't'},
    {"brokers", required_argument, NULL, 'b'},
    {"queued-messages", required_argument, NULL, 'm'},
    {"queued-kb", required_argument, NULL, 'k'},
    {"batch", required_argument, NULL, 'n'},
    {"wait", required_argument, NULL, 'w'},
    {"timeout", required_argument, NULL, 'T'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void take_option(int code, struct settings *settings)
{
    switch (code) {
    case 't': settings->topic = optarg; break;
    case 'b': settings->brokers = optarg; break;
    case 'm': settings->queued_messages = optarg; break;
    case 'k': settings->queued_kb = optarg; break;
    case 'n':
        settings->batch = wr_bench_parse_number(tool, "--batch", optarg, 1, 1000000);
        break;
    case 'w':
        settings->use_eventfd = strcmp(optarg, "eventfd") == 0;
        if (!settings->use_eventfd && strcmp(optarg, "block") != 0) {
            wr_bench_usage_error(tool, "--wait takes block or eventfd, not \"%s\"", optarg);
        }
        break;
    case 'T':
        settings->timeout_s = (int)wr_bench_parse_number(tool, "--timeout", optarg, 1, 86400);
        break;
    case 'X':
        if (settings->extra_count == EXTRA_MAX) {
            wr_bench_usage_error(tool, "at most %d times -X", EXTRA_MAX);
        }
        settings->extra[settings->extra_count++] = optarg;
        break;
    case 'h': fputs(help, stdout); exit(0);
    default: wr_bench_usage_error(tool, "cannot use these arguments");
    }
}

static rd_kafka_t *make_client(const struct settings *settings, char *error, size_t error_bytes)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char *const pairs[][2] = {
        {"bootstrap.servers", settings->brokers},
        {"group.id", "weir-bench-drain"}, /* asked for by assign; no group is ever joined */
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"enable.partition.eof", "true"},
        {"auto.offset.reset", "error"},
        {"queued.min.messages", settings->queued_messages},
        {"queued.max.messages.kbytes", settings->queued_kb},
        /* After a full queue look again soon: the default of 1 s would be idle time. */
        {"fetch.queue.backoff.ms", "2"},
        /* Measured: what 1 MiB (the default) unpacks to falls out of the cache before it is read;
         * half of it costs 10 % less with jemalloc and a third less with glibc's malloc. */
        {"fetch.message.max.bytes", "524288"},
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]) && !failed; i++) {
        failed = rd_kafka_conf_set(conf, pairs[i][0], pairs[i][1], error, error_bytes) !=
                 RD_KAFKA_CONF_OK;
    }
    for (size_t i = 0; i < settings->extra_count && !failed; i++) {
        failed = wr_bench_conf_set_pair(conf, settings->extra[i], error, error_bytes) != 0;
    }
    rd_kafka_t *client =
        failed ? NULL : rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, error_bytes);
    if (client == NULL) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_poll_set_consumer(client);
    return client;
}

static int count_partitions(rd_kafka_t *client, const char *name, char *error, size_t error_bytes)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t err = rd_kafka_metadata(client, 0, topic, &metadata, ASK_TIMEOUT_MS);
    int count = 0;
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        err = metadata->topics[0].err;
        count = metadata->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(topic);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR || count < 1 || count > WR_BENCH_PARTITIONS_MAX) {
        snprintf(error, error_bytes, "topic %s: %s", name,
                 err != RD_KAFKA_RESP_ERR_NO_ERROR ? rd_kafka_err2str(err) : "too many partitions");
        return -1;
    }
    return count;
}

/* Notes every partition's end and assigns those that have anything. */
static int assign(struct drain *drain, const char *topic, char *error, size_t error_bytes)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(drain->partitions);
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int i = 0; i < drain->partitions && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        int64_t low = 0;
        int64_t high = 0;
        err = rd_kafka_query_watermark_offsets(drain->client, topic, i, &low, &high,
                                               ASK_TIMEOUT_MS);
        drain->end[i] = high > low ? high : -1;
        if (high > low) {
            rd_kafka_topic_partition_list_add(list, topic, i)->offset = low;
            drain->open++;
        }
    }
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        err = rd_kafka_assign(drain->client, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        snprintf(error, error_bytes, "topic %s: %s", topic, rd_kafka_err2str(err));
        return -1;
    }
    return 0;
}

static void close_partition(struct drain *drain, int32_t partition)
{
    if (drain->end[partition] >= 0) {
        drain->end[partition] = -1;
        drain->open--;
    }
}

/* Counts a batch and gives it back. Messages behind the end of the start are not counted. */
static int throw_away(struct drain *drain, rd_kafka_message_t **messages, size_t count,
                      char *error, size_t error_bytes)
{
    int status = 0;
    for (size_t i = 0; i < count; i++) {
        rd_kafka_message_t *message = messages[i];
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            if (message->offset < drain->end[message->partition]) {
                drain->events++;
                drain->bytes += message->len;
            }
            if (message->offset + 1 >= drain->end[message->partition]) {
                close_partition(drain, message->partition);
            }
        } else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            /* Markers and compaction leave gaps: the last offset may never come. */
            close_partition(drain, message->partition);
        } else {
            snprintf(error, error_bytes, "%s", rd_kafka_message_errstr(message));
            status = -1;
        }
        rd_kafka_message_destroy(message);
    }
    return status;
}

/* Sleeps until the queue's eventfd fires; a spurious wake-up only costs an empty look. */
static void wait_for_event(struct drain *drain)
{
    struct pollfd fd = {.fd = drain->event_fd, .events = POLLIN};
    uint64_t fired;
    if (poll(&fd, 1, BLOCK_MS) > 0 && read(drain->event_fd, &fired, sizeof(fired)) < 0) {
        fired = 0;
    }
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int run(struct drain *drain, const struct settings *settings, char *error,
               size_t error_bytes)
{
    rd_kafka_message_t **messages = calloc(settings->batch, sizeof(*messages));
    double heard_s = seconds_now();
    int status = messages == NULL ? -1 : 0;
    if (status != 0) {
        snprintf(error, error_bytes, "out of memory");
    }
    while (status == 0 && drain->open > 0) {
        const ssize_t count = rd_kafka_consume_batch_queue(
            drain->queue, settings->use_eventfd ? 0 : BLOCK_MS, messages, settings->batch);
        if (count > 0) {
            status = throw_away(drain, messages, (size_t)count, error, error_bytes);
            heard_s = seconds_now();
        } else if (seconds_now() - heard_s > settings->timeout_s) {
            snprintf(error, error_bytes, "nothing came for %d s; %d partitions are not at their end",
                     settings->timeout_s, drain->open);
            status = -1;
        } else if (settings->use_eventfd) {
            wait_for_event(drain);
        }
    }
    free(messages);
    return status;
}

static int start(struct drain *drain, const struct settings *settings, char *error,
                 size_t error_bytes)
{
    drain->client = make_client(settings, error, error_bytes);
    if (drain->client == NULL) {
        return -1;
    }
    drain->partitions = count_partitions(drain->client, settings->topic, error, error_bytes);
    if (drain->partitions < 0) {
        return -1;
    }
    drain->queue = rd_kafka_queue_get_consumer(drain->client);
    if (settings->use_eventfd) {
        const uint64_t one = 1;
        drain->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        rd_kafka_queue_io_event_enable(drain->queue, drain->event_fd, &one, sizeof(one));
    }
    return assign(drain, settings->topic, error, error_bytes);
}

/* Half of what librdkafka does for a message is to allocate and free it. */
extern int mallctl(const char *, void *, size_t *, void *, size_t) __attribute__((weak));

static void report(const struct drain *drain, double wall_s)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    const double cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    const double events = drain->events > 0 ? (double)drain->events : 1;
    printf("{\"events\": %" PRIu64 ", \"bytes\": %" PRIu64
           ", \"wall_s\": %.4f, \"cpu_s\": %.4f, \"ns_per_event\": %.1f, \"peak_rss_bytes\": %ld"
           ", \"librdkafka\": \"%s\", \"allocator\": \"%s\"}\n",
           drain->events, drain->bytes, wall_s, cpu_s, cpu_s * 1e9 / events,
           usage.ru_maxrss * 1024, rd_kafka_version_str(),
           mallctl != NULL ? "jemalloc" : "system");
}

int main(int argc, char **argv)
{
    struct settings settings = {.brokers = "127.0.0.1:9092", .queued_messages = "20000",
                                .queued_kb = "8192", .batch = 1000, .timeout_s = 30};
    struct drain drain = {.event_fd = -1};
    char error[ERROR_BYTES] = "";
    int code;
    while ((code = getopt_long(argc, argv, "X:", long_options, NULL)) != -1) {
        take_option(code, &settings);
    }
    if (settings.topic == NULL || optind < argc) {
        wr_bench_usage_error(tool, settings.topic == NULL ? "give a --topic"
                                                          : "too many arguments");
    }
    const double start_s = seconds_now();
    int status = start(&drain, &settings, error, sizeof(error));
    if (status == 0) {
        status = run(&drain, &settings, error, sizeof(error));
    }
    if (status == 0) {
        report(&drain, seconds_now() - start_s);
    }
    if (drain.queue != NULL) {
        rd_kafka_queue_destroy(drain.queue);
    }
    if (drain.client != NULL) {
        rd_kafka_destroy(drain.client);
    }
    if (drain.event_fd >= 0) {
        close(drain.event_fd);
    }
    if (status != 0) {
        wr_bench_fail(tool, error);
    }
    return 0;
}
