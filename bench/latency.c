/* latency.c: weir-bench-latency, from the event that closes a window to its result.
 *
 * One process with one clock: it sends events in open loop, tails the topic that it sends to (the
 * transport floor: received minus intended, no Weir in between) and tails the results' topic
 * (received minus the intended time of the event that closes the window). Intended times never
 * move, so what a stall delays counts in full. It also knows what each window must hold.
 * Threads: main sends; one tail each for floor and results; librdkafka's own.
 */
#include "options.h"
#include "sender.h"
#include "tail.h"
#include "windows.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char tool[] = "weir-bench-latency";

static const char help[] =
    "usage: weir-bench-latency --topic TOPIC [--results-topic TOPIC] [option]...\n"
    "\n"
    "Sends click events in open loop to a topic, and measures when they can be read from it (the\n"
    "transport floor) and when a running pipeline's window results can be read from the results'\n"
    "topic, each against intended send times. Prints JSON. Both topics have to exist\n"
    "(weir-bench-produce --create). Result rows are JSON with window_end, events and revenue.\n"
    "\n"
    "  --brokers LIST         bootstrap servers (127.0.0.1:9092)\n"
    "  --results-topic TOPIC  without it only the floor is measured\n"
    "  --partitions N         of --topic (4)\n"
    "  --results-partitions N (1)\n"
    "  --rate R               events a second (100000)\n"
    "  --duration S           seconds to measure, after the warm-up (60)\n"
    "  --warmup S             seconds to send before (5)\n"
    "  --window-ms MS         size of the pipeline's windows (1000)\n"
    "  --slide-ms MS          of its hops; the size for tumbling windows (--window-ms)\n"
    "  --delay-ms MS          of its watermark and allowed lateness together (0)\n"
    "  --compression CODEC    none, gzip, snappy, lz4 or zstd (lz4)\n"
    "  --linger-ms N          how long librdkafka collects a batch (2)\n"
    "  --grace S              seconds to wait for the last results (10)\n"
    "  --arrivals FILE        results may come again, as after a crash, but unchanged; writes one line\n"
    "                         for each moment and window:\n"
    "                         received_us window_end_ms latency_us sent_ms rows\n"
    "  --seed S               (1)\n"
    "  -X NAME=VALUE          any librdkafka property of the producer\n"
    "\n"
    "Example\n"
    "  weir-bench-latency --topic clicks --results-topic per-second --duration 10\n";

enum { EXTRA_MAX = 64, ERROR_BYTES = 512, FLUSH_TIMEOUT_MS = 60000 };

struct settings {
    struct wr_bench_producer_options producer;
    struct wr_bench_shape shape;
    const char *results_topic;
    const char *arrivals;
    int partitions;
    int results_partitions;
    uint64_t duration_s;
    uint64_t warmup_s;
    uint64_t grace_s;
    int64_t window_ms;
    int64_t slide_ms;
    int64_t delay_ms;
    const char *extra[EXTRA_MAX];
};

/* What the floor's tail gathers. */
struct floor {
    uint32_t *latencies_us;
    size_t count;
    size_t capacity;
    int64_t after_us;      /* events intended before are the warm-up */
    uint64_t before_sent;  /* received before their intended time: a wrong clock */
    atomic_ullong received;
};

static const struct option long_options[] = {
    {"topic", required_argument, NULL, 't'},
    {"brokers", required_argument, NULL, 'b'},
    {"results-topic", required_argument, NULL, 'r'},
    {"partitions", required_argument, NULL, 'p'},
    {"results-partitions", required_argument, NULL, 'P'},
    {"rate", required_argument, NULL, 'R'},
    {"duration", required_argument, NULL, 'd'},
    {"warmup", required_argument, NULL, 'u'},
    {"window-ms", required_argument, NULL, 'w'},
    {"slide-ms", required_argument, NULL, 's'},
    {"delay-ms", required_argument, NULL, 'D'},
    {"compression", required_argument, NULL, 'c'},
    {"linger-ms", required_argument, NULL, 'l'},
    {"grace", required_argument, NULL, 'g'},
    {"arrivals", required_argument, NULL, 'a'},
    {"seed", required_argument, NULL, 'S'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static uint64_t number(const char *option, uint64_t min, uint64_t max)
{
    return wr_bench_parse_number(tool, option, optarg, min, max);
}

/* Returns 0 when the option is not one of these. */
static int take_kafka_option(int code, struct settings *settings)
{
    switch (code) {
    case 't': settings->producer.topic = optarg; return 1;
    case 'b': settings->producer.brokers = optarg; return 1;
    case 'r': settings->results_topic = optarg; return 1;
    case 'a': settings->arrivals = optarg; return 1;
    case 'p':
        settings->partitions = (int)number("--partitions", 1, WR_BENCH_PARTITIONS_MAX);
        return 1;
    case 'P':
        settings->results_partitions =
            (int)number("--results-partitions", 1, WR_BENCH_PARTITIONS_MAX);
        return 1;
    case 'c': settings->producer.compression = optarg; return 1;
    case 'l':
        number("--linger-ms", 0, 900000);
        settings->producer.linger_ms = optarg;
        return 1;
    case 'X':
        if (settings->producer.extra_count == EXTRA_MAX) {
            wr_bench_usage_error(tool, "at most %d times -X", EXTRA_MAX);
        }
        settings->extra[settings->producer.extra_count++] = optarg;
        return 1;
    default: return 0;
    }
}

static void take_load_option(int code, struct settings *settings)
{
    switch (code) {
    case 'R': settings->shape.rate = number("--rate", 1, 10000000); break;
    case 'd': settings->duration_s = number("--duration", 1, 86400); break;
    case 'u': settings->warmup_s = number("--warmup", 0, 3600); break;
    case 'g': settings->grace_s = number("--grace", 1, 3600); break;
    case 'S': settings->shape.seed = number("--seed", 0, UINT64_MAX); break;
    case 'w': settings->window_ms = (int64_t)number("--window-ms", 1, 3600000); break;
    case 's': settings->slide_ms = (int64_t)number("--slide-ms", 1, 3600000); break;
    case 'D': settings->delay_ms = (int64_t)number("--delay-ms", 0, 3600000); break;
    case 'h': fputs(help, stdout); exit(0);
    default: wr_bench_usage_error(tool, "cannot use these arguments");
    }
}

static void parse_arguments(int argc, char **argv, struct settings *settings)
{
    int code;
    while ((code = getopt_long(argc, argv, "X:", long_options, NULL)) != -1) {
        if (!take_kafka_option(code, settings)) {
            take_load_option(code, settings);
        }
    }
    settings->producer.extra = settings->extra;
    if (settings->producer.topic == NULL || optind < argc) {
        wr_bench_usage_error(tool, optind < argc ? "too many arguments" : "give a --topic");
    }
    if (settings->slide_ms == 0) {
        settings->slide_ms = settings->window_ms;
    }
    if (settings->window_ms % settings->slide_ms != 0) {
        wr_bench_usage_error(tool, "--window-ms has to be a multiple of --slide-ms");
    }
}

/* The intended time that the producer wrote as the last member of an event, or -1. */
static int64_t sent_us(const char *payload, size_t bytes)
{
    static const char key[] = "\"sent_us\":";
    const size_t key_bytes = sizeof(key) - 1;
    size_t at = bytes > 0 ? bytes - 1 : 0; /* the closing brace */
    int64_t us = 0;
    int64_t unit = 1;
    for (; at > 0 && payload[at - 1] >= '0' && payload[at - 1] <= '9' && unit < INT64_MAX / 100;
         at--) {
        us += (payload[at - 1] - '0') * unit;
        unit *= 10;
    }
    return at >= key_bytes && memcmp(payload + at - key_bytes, key, key_bytes) == 0 ? us : -1;
}

static void take_event(void *context, const rd_kafka_message_t *message, int64_t received_us)
{
    struct floor *floor = context;
    const int64_t intended_us = sent_us(message->payload, message->len);
    if (intended_us < 0) {
        return; /* not ours: then events are missing at the end, and that is reported */
    }
    const int64_t latency_us = received_us - intended_us;
    if (latency_us < 0) {
        floor->before_sent++;
    }
    if (intended_us >= floor->after_us && floor->count < floor->capacity) {
        floor->latencies_us[floor->count++] =
            latency_us < 0 ? 0 : latency_us > UINT32_MAX ? UINT32_MAX : (uint32_t)latency_us;
    }
    atomic_fetch_add_explicit(&floor->received, 1, memory_order_relaxed);
}

static void take_result(void *context, const rd_kafka_message_t *message, int64_t received_us)
{
    const int64_t sent_ms = rd_kafka_message_timestamp(message, NULL);
    wr_bench_windows_take(context, message->payload, message->len, sent_ms, received_us);
}

static int compare_u32(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a;
    const uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* The smallest value that per_mille of the sorted values do not exceed. */
static double percentile_ms(const uint32_t *sorted, size_t count, size_t per_mille)
{
    size_t rank = (count * per_mille + 999) / 1000;
    rank = rank > 0 ? rank - 1 : 0;
    return (double)sorted[rank] / 1000;
}

static void print_latencies(const char *name, uint32_t *latencies_us, size_t count)
{
    printf("  \"%s\": {\"samples\": %zu", name, count);
    if (count > 0) {
        qsort(latencies_us, count, sizeof(*latencies_us), compare_u32);
        printf(", \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"p999_ms\": %.3f, \"max_ms\": %.3f",
               percentile_ms(latencies_us, count, 500), percentile_ms(latencies_us, count, 990),
               percentile_ms(latencies_us, count, 999), (double)latencies_us[count - 1] / 1000);
    }
    fputs("},\n", stdout);
}

/* Whole windows from the first event on, and time enough to compute what they must hold. */
static int64_t choose_start_us(const struct settings *settings, uint64_t count)
{
    const int64_t unit_us = settings->window_ms * 1000;
    const int64_t per_event_ns = 60 + 5 * (settings->window_ms / settings->slide_ms);
    const int64_t earliest_us =
        wr_bench_now_us() + 1500000 + (int64_t)count * per_event_ns / 1000;
    return (earliest_us / unit_us + 1) * unit_us;
}

/* Waits until the floor's tail has every event and the results hold every closed window. */
static void wait_for_rest(const struct settings *settings, struct floor *floor,
                          struct wr_bench_windows *windows, uint64_t count)
{
    const int64_t until_us = wr_bench_now_us() + (int64_t)settings->grace_s * 1000000;
    while (wr_bench_now_us() < until_us &&
           (atomic_load_explicit(&floor->received, memory_order_relaxed) < count ||
            (settings->results_topic != NULL && wr_bench_windows_missing(windows) > 0))) {
        usleep(10000);
    }
}

struct measurement {
    struct wr_bench_producer producer;
    struct wr_bench_sender sender;
    struct wr_bench_tail floor_tail;
    struct wr_bench_tail result_tail;
    struct floor floor;
    struct wr_bench_windows windows;
    struct wr_bench_totals totals;
    uint64_t count;
};

static int prepare(struct measurement *m, const struct settings *settings, char *error,
                   size_t error_bytes)
{
    const int64_t warmup_us = (int64_t)settings->warmup_s * 1000000;
    m->count = settings->shape.rate * (settings->warmup_s + settings->duration_s);
    m->windows.shape = settings->shape;
    m->windows.shape.start_us = choose_start_us(settings, m->count);
    m->windows.count_events = m->count;
    m->windows.partitions = settings->partitions;
    m->windows.size_ms = settings->window_ms;
    m->windows.slide_ms = settings->slide_ms;
    m->windows.delay_ms = settings->delay_ms;
    m->windows.repeats = settings->arrivals != NULL;
    m->windows.latencies_after_us = m->windows.shape.start_us + warmup_us;
    m->floor.after_us = m->windows.latencies_after_us;
    m->floor.capacity = m->count;
    m->floor.latencies_us = calloc(m->count, sizeof(*m->floor.latencies_us));
    if (m->floor.latencies_us == NULL || wr_bench_windows_init(&m->windows) != 0) {
        snprintf(error, error_bytes, "out of memory");
        return -1;
    }
    if (wr_bench_producer_init(&m->producer, &settings->producer, error, error_bytes) != 0 ||
        wr_bench_producer_ensure_topic(&m->producer, settings->producer.topic,
                                       settings->partitions, error, error_bytes) != 0 ||
        wr_bench_sender_init(&m->sender, &m->producer, settings->partitions, error,
                             error_bytes) != 0 ||
        wr_bench_tail_start(&m->floor_tail, settings->producer.brokers, settings->producer.topic,
                            settings->partitions, take_event, &m->floor, error,
                            error_bytes) != 0) {
        return -1;
    }
    return settings->results_topic == NULL
               ? 0
               : wr_bench_tail_start(&m->result_tail, settings->producer.brokers,
                                     settings->results_topic, settings->results_partitions,
                                     take_result, &m->windows, error, error_bytes);
}

static int measure(struct measurement *m, const struct settings *settings, char *error,
                   size_t error_bytes)
{
    if (wr_bench_now_us() >= m->windows.shape.start_us) {
        snprintf(error, error_bytes, "the machine is too busy: not ready when the run had to start");
        return -1;
    }
    if (wr_bench_sender_open_loop(&m->sender, &m->windows.shape, m->count, &m->totals, error,
                                  error_bytes) != 0 ||
        wr_bench_producer_flush(&m->producer, FLUSH_TIMEOUT_MS, error, error_bytes) != 0) {
        return -1;
    }
    wait_for_rest(settings, &m->floor, &m->windows, m->count);
    return 0;
}

/* Everything about arrivals that a look from outside needs. Returns 0, or -1 with a message. */
static int write_arrivals(const struct wr_bench_windows *windows, const char *path, char *error,
                          size_t error_bytes)
{
    FILE *out = fopen(path, "w");
    for (size_t i = 0; out != NULL && i < windows->arrival_count; i++) {
        const struct wr_bench_arrival *a = &windows->arrivals[i];
        fprintf(out, "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRIu32 "\n",
                a->received_us, a->end_ms,
                a->received_us - wr_bench_windows_closing_us(windows, a->end_ms), a->sent_ms,
                a->rows);
    }
    if (out == NULL || ferror(out) != 0 || fclose(out) != 0) {
        snprintf(error, error_bytes, "cannot write %s", path);
        return -1;
    }
    if (windows->arrival_count == windows->arrival_capacity) {
        snprintf(error, error_bytes, "more results came than there is room for");
        return -1;
    }
    return 0;
}

static void report(struct measurement *m, const struct settings *settings)
{
    const uint64_t received = atomic_load_explicit(&m->floor.received, memory_order_relaxed);
    printf("{\n  \"rate\": %" PRIu64 ", \"duration_s\": %" PRIu64 ", \"warmup_s\": %" PRIu64
           ", \"window_ms\": %" PRId64 ", \"slide_ms\": %" PRId64 ", \"linger_ms\": %s,\n",
           settings->shape.rate, settings->duration_s, settings->warmup_s, settings->window_ms,
           settings->slide_ms, settings->producer.linger_ms);
    printf("  \"events\": %" PRIu64 ", \"events_missing\": %" PRIu64
           ", \"send_lag_ms_max\": %.3f, \"before_cause\": %" PRIu64 ",\n",
           m->totals.events, m->count - (received < m->count ? received : m->count),
           (double)m->sender.lag_us_max / 1000, m->floor.before_sent + m->windows.before_cause);
    print_latencies("floor", m->floor.latencies_us, m->floor.count);
    if (settings->results_topic != NULL) {
        print_latencies("result", m->windows.latencies_us, m->windows.latency_count);
        printf("  \"windows\": %zu, \"windows_wrong\": %zu, \"rows_unread\": %" PRIu64 ",\n",
               m->windows.count, wr_bench_windows_wrong(&m->windows), m->windows.rows_unread);
        printf("  \"rows_repeated\": %" PRIu64 ", \"rows_changed\": %" PRIu64 ",\n",
               m->windows.rows_repeated, m->windows.rows_changed);
    }
    printf("  \"tail_errors\": [\"%s\", \"%s\"]\n}\n", m->floor_tail.error, m->result_tail.error);
}

int main(int argc, char **argv)
{
    static struct measurement m;
    struct settings settings = {
        .producer = {.brokers = "127.0.0.1:9092", .compression = "lz4", .linger_ms = "2"},
        .shape = {.seed = 1, .rate = 100000, .stamp_sent = 1},
        .partitions = 4,
        .results_partitions = 1,
        .duration_s = 60,
        .warmup_s = 5,
        .grace_s = 10,
        .window_ms = 1000,
    };
    char error[ERROR_BYTES] = "";
    parse_arguments(argc, argv, &settings);
    int status = prepare(&m, &settings, error, sizeof(error));
    if (status == 0) {
        status = measure(&m, &settings, error, sizeof(error));
    }
    wr_bench_tail_stop(&m.floor_tail);
    wr_bench_tail_stop(&m.result_tail);
    if (status == 0 && settings.arrivals != NULL) {
        status = write_arrivals(&m.windows, settings.arrivals, error, sizeof(error));
    }
    if (status == 0) {
        report(&m, &settings);
    }
    wr_bench_sender_deinit(&m.sender);
    wr_bench_producer_deinit(&m.producer);
    wr_bench_windows_deinit(&m.windows);
    free(m.floor.latencies_us);
    if (status != 0) {
        wr_bench_fail(tool, error);
    }
    return 0;
}
