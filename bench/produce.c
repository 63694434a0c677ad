/* produce.c: weir-bench-produce, the producer of every benchmark.
 *
 * Sends generated click events to a Kafka topic, as fast as possible or in open loop, or writes
 * them to a file, and prints the oracle's sums over exactly what it made.
 */
#include "event.h"
#include "options.h"
#include "producer.h"
#include "sender.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char tool[] = "weir-bench-produce";

static const char help[] =
    "usage: weir-bench-produce --topic TOPIC [--brokers HOST:PORT] [option]...\n"
    "       weir-bench-produce --file PATH [option]...\n"
    "\n"
    "Makes click events (JSON, 8 fields, about 155 bytes, 100,000 users) from a seed, and prints\n"
    "what it made as JSON: count, bytes, sums, and count and cents by (type, country).\n"
    "\n"
    "Where to\n"
    "  --topic TOPIC         a Kafka topic; made when it does not exist\n"
    "  --brokers LIST        bootstrap servers (127.0.0.1:9092)\n"
    "  --partitions N        event i goes to partition i mod N (4)\n"
    "  --compression CODEC   none, gzip, snappy, lz4 or zstd (lz4)\n"
    "  --linger-ms N         how long librdkafka collects a batch (50; open loop: 2)\n"
    "  -X NAME=VALUE         any librdkafka property\n"
    "  --create              only make the topic\n"
    "  --file PATH           NDJSON to a file instead; - is standard output, the sums then go\n"
    "                        to standard error\n"
    "How many\n"
    "  --count N             events to make (1000000)\n"
    "  --rate R              open loop: R events a second of wall-clock time; ts is the intended\n"
    "                        send time and sent_us the same in microseconds, whatever the delay\n"
    "  --duration S          with --rate: seconds (10)\n"
    "What\n"
    "  --seed S              the same seed and options make the same events (1)\n"
    "  --event-rate R        without --rate: events a second of event time (100000)\n"
    "  --start-ms MS         event time of the first event (2025-01-01T00:00:00Z)\n"
    "  --pad N               also a column pad of N random hex digits, at most 64 (0: none)\n"
    "  --out-of-order PCT    this share moves back by up to --out-of-order-ms (500)\n"
    "  --late PCT            this share moves back by 1 to 2 times --late-ms (20000)\n"
    "\n"
    "Examples\n"
    "  weir-bench-produce --topic clicks --count 10000000\n"
    "  weir-bench-produce --topic clicks --rate 100000 --duration 60\n"
    "  weir-bench-produce --file clicks.ndjson --count 1000000 --out-of-order 5 --late 1\n";

enum { EXTRA_MAX = 64, ERROR_BYTES = 512, FLUSH_TIMEOUT_MS = 120000 };

struct settings {
    struct wr_bench_producer_options producer;
    struct wr_bench_shape shape;
    const char *file;
    int create_only;
    uint64_t count;
    uint64_t rate; /* 0: as fast as possible */
    uint64_t duration_s;
    int partitions;
    const char *extra[EXTRA_MAX];
};

enum option_code {
    OPT_TOPIC = 256, OPT_BROKERS, OPT_PARTITIONS, OPT_COMPRESSION, OPT_LINGER, OPT_FILE, OPT_COUNT,
    OPT_RATE, OPT_DURATION, OPT_SEED, OPT_EVENT_RATE, OPT_START, OPT_DISORDER, OPT_DISORDER_MS,
    OPT_LATE, OPT_LATE_MS, OPT_PAD, OPT_CREATE, OPT_HELP,
};

static const struct option long_options[] = {
    {"topic", required_argument, NULL, OPT_TOPIC},
    {"brokers", required_argument, NULL, OPT_BROKERS},
    {"partitions", required_argument, NULL, OPT_PARTITIONS},
    {"compression", required_argument, NULL, OPT_COMPRESSION},
    {"linger-ms", required_argument, NULL, OPT_LINGER},
    {"file", required_argument, NULL, OPT_FILE},
    {"count", required_argument, NULL, OPT_COUNT},
    {"rate", required_argument, NULL, OPT_RATE},
    {"duration", required_argument, NULL, OPT_DURATION},
    {"seed", required_argument, NULL, OPT_SEED},
    {"event-rate", required_argument, NULL, OPT_EVENT_RATE},
    {"start-ms", required_argument, NULL, OPT_START},
    {"out-of-order", required_argument, NULL, OPT_DISORDER},
    {"out-of-order-ms", required_argument, NULL, OPT_DISORDER_MS},
    {"late", required_argument, NULL, OPT_LATE},
    {"late-ms", required_argument, NULL, OPT_LATE_MS},
    {"pad", required_argument, NULL, OPT_PAD},
    {"create", no_argument, NULL, OPT_CREATE},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static uint64_t number(const char *option, uint64_t min, uint64_t max)
{
    return wr_bench_parse_number(tool, option, optarg, min, max);
}

static void add_extra(struct settings *settings)
{
    if (settings->producer.extra_count == EXTRA_MAX) {
        wr_bench_usage_error(tool, "at most %d times -X", EXTRA_MAX);
    }
    settings->extra[settings->producer.extra_count++] = optarg;
}

/* Where the events go. Returns 0 when the option is not one of these. */
static int take_target_option(int code, struct settings *settings)
{
    switch (code) {
    case OPT_TOPIC: settings->producer.topic = optarg; return 1;
    case OPT_BROKERS: settings->producer.brokers = optarg; return 1;
    case OPT_PARTITIONS:
        settings->partitions = (int)number("--partitions", 1, WR_BENCH_PARTITIONS_MAX);
        return 1;
    case OPT_COMPRESSION: settings->producer.compression = optarg; return 1;
    case OPT_LINGER:
        number("--linger-ms", 0, 900000);
        settings->producer.linger_ms = optarg;
        return 1;
    case OPT_CREATE: settings->create_only = 1; return 1;
    case OPT_FILE: settings->file = optarg; return 1;
    case 'X': add_extra(settings); return 1;
    default: return 0;
    }
}

/* How many events and what they are like. */
static void take_shape_option(int code, struct settings *settings)
{
    struct wr_bench_shape *shape = &settings->shape;
    switch (code) {
    case OPT_COUNT: settings->count = number("--count", 1, 1000000000000); break;
    case OPT_RATE: settings->rate = number("--rate", 1, 100000000); break;
    case OPT_DURATION: settings->duration_s = number("--duration", 1, 10000000); break;
    case OPT_SEED: shape->seed = number("--seed", 0, UINT64_MAX); break;
    case OPT_EVENT_RATE: shape->rate = number("--event-rate", 1, 1000000000); break;
    case OPT_START: /* below the year 10000, above the largest move back */
        shape->start_us = (int64_t)number("--start-ms", 100000000, 253402300799999) * 1000;
        break;
    case OPT_DISORDER:
        shape->disorder_ppm = wr_bench_parse_percent(tool, "--out-of-order", optarg);
        break;
    case OPT_DISORDER_MS:
        shape->disorder_ms = (uint32_t)number("--out-of-order-ms", 1, 10000000);
        break;
    case OPT_LATE: shape->late_ppm = wr_bench_parse_percent(tool, "--late", optarg); break;
    case OPT_LATE_MS: shape->late_ms = (uint32_t)number("--late-ms", 1, 10000000); break;
    case OPT_PAD: shape->pad_bytes = (uint32_t)number("--pad", 0, WR_BENCH_PAD_BYTES_MAX); break;
    case OPT_HELP: fputs(help, stdout); exit(0);
    default: wr_bench_usage_error(tool, "cannot use these arguments");
    }
}

static void parse_arguments(int argc, char **argv, struct settings *settings)
{
    int code;
    while ((code = getopt_long(argc, argv, "X:", long_options, NULL)) != -1) {
        if (!take_target_option(code, settings)) {
            take_shape_option(code, settings);
        }
    }
    if (optind < argc) {
        wr_bench_usage_error(tool, "unexpected argument \"%s\"", argv[optind]);
    }
    if ((settings->file == NULL) == (settings->producer.topic == NULL)) {
        wr_bench_usage_error(tool, "give either --topic or --file");
    }
    if ((settings->rate > 0 || settings->create_only) && settings->file != NULL) {
        wr_bench_usage_error(tool, "--rate and --create need a --topic");
    }
    if (settings->shape.disorder_ppm + settings->shape.late_ppm > 1000000) {
        wr_bench_usage_error(tool, "--out-of-order and --late are more than 100 %% together");
    }
    if (settings->create_only) {
        settings->count = settings->rate = 0;
    }
    if (settings->rate > 0) {
        settings->shape.rate = settings->rate;
        settings->shape.stamp_sent = 1;
        settings->count = settings->rate * settings->duration_s;
    }
    if (settings->producer.linger_ms == NULL) {
        settings->producer.linger_ms = settings->rate > 0 ? "2" : "50";
    }
    settings->producer.extra = settings->extra;
}

static double elapsed_s(const struct timespec *since)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - since->tv_sec) + (double)(now.tv_nsec - since->tv_nsec) / 1e9;
}

static void write_file(const struct settings *settings, struct wr_bench_totals *totals)
{
    const int to_stdout = strcmp(settings->file, "-") == 0;
    FILE *out = to_stdout ? stdout : fopen(settings->file, "w");
    char line[WR_BENCH_EVENT_BYTES_MAX];
    char message[ERROR_BYTES];
    if (out == NULL) {
        snprintf(message, sizeof(message), "cannot write %s: %s", settings->file, strerror(errno));
        wr_bench_fail(tool, message);
    }
    setvbuf(out, NULL, _IOFBF, 1 << 20);
    for (uint64_t i = 0; i < settings->count; i++) {
        struct wr_bench_event event;
        wr_bench_event_make(&settings->shape, i, &event);
        const size_t bytes = wr_bench_event_format(&settings->shape, &event, line);
        wr_bench_totals_add(totals, &event, bytes);
        line[bytes] = '\n';
        fwrite_unlocked(line, 1, bytes + 1, out);
    }
    const int failed = ferror(out);
    if ((to_stdout ? fflush(out) : fclose(out)) != 0 || failed) {
        snprintf(message, sizeof(message), "cannot write %s: %s", settings->file, strerror(errno));
        wr_bench_fail(tool, message);
    }
}

/* Returns the longest that an event was sent after its intended time, or 0 without --rate. */
static int64_t send_topic(struct settings *settings, struct wr_bench_totals *totals)
{
    struct wr_bench_producer producer = {0};
    struct wr_bench_sender sender = {0};
    char error[ERROR_BYTES] = "";
    int status = wr_bench_producer_init(&producer, &settings->producer, error, sizeof(error));
    if (status == 0) {
        status = wr_bench_producer_ensure_topic(&producer, settings->producer.topic,
                                                settings->partitions, error, sizeof(error));
    }
    if (status == 0) {
        status = wr_bench_sender_init(&sender, &producer, settings->partitions, error,
                                      sizeof(error));
    }
    if (status == 0 && settings->rate > 0) {
        settings->shape.start_us = wr_bench_now_us();
        status = wr_bench_sender_open_loop(&sender, &settings->shape, settings->count, totals,
                                           error, sizeof(error));
    } else if (status == 0) {
        status = wr_bench_sender_send(&sender, &settings->shape, 0, settings->count, totals,
                                      error, sizeof(error));
    }
    if (status == 0) {
        status = wr_bench_producer_flush(&producer, FLUSH_TIMEOUT_MS, error, sizeof(error));
    }
    const int64_t lag_us_max = sender.lag_us_max;
    wr_bench_sender_deinit(&sender);
    wr_bench_producer_deinit(&producer);
    if (status != 0) {
        wr_bench_fail(tool, error);
    }
    return lag_us_max;
}

int main(int argc, char **argv)
{
    struct settings settings = {
        .producer = {.brokers = "127.0.0.1:9092", .compression = "lz4"},
        .shape = {.seed = 1, .start_us = WR_BENCH_START_MS * 1000, .rate = 100000,
                  .disorder_ms = 500, .late_ms = 20000},
        .count = 1000000,
        .duration_s = 10,
        .partitions = 4,
    };
    parse_arguments(argc, argv, &settings);

    struct wr_bench_totals totals = {0};
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    int64_t lag_us_max = 0;
    if (settings.file != NULL) {
        write_file(&settings, &totals);
    } else {
        lag_us_max = send_topic(&settings, &totals);
    }
    FILE *out = settings.file != NULL && strcmp(settings.file, "-") == 0 ? stderr : stdout;
    fputs("{\n", out);
    wr_bench_totals_print(&totals, out);
    fprintf(out, ",\n  \"start_us\": %" PRId64 ",\n  \"send_lag_us_max\": %" PRId64
            ",\n  \"wall_s\": %.3f\n}\n",
            settings.shape.start_us, lag_us_max, elapsed_s(&start));
    return 0;
}
