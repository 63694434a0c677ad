/* first.c: weir-bench-first, what a bare consumer needs until it has its first message.
 *
 * The base of recovery: the same librdkafka as Weir's, told the same about fetching and groups, does
 * nothing but read. It ends like a process that was killed: without leaving its group.
 */
#include "options.h"
#include "sender.h"

#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

static const char tool[] = "weir-bench-first";

static const char help[] =
    "usage: weir-bench-first --topic TOPIC [--group GROUP --member NAME] [option]...\n"
    "\n"
    "Starts a consumer at the end of a topic that somebody writes to, and prints as JSON how many\n"
    "milliseconds after its start (of main) every partition was assigned and the first message was\n"
    "there. Without a group it assigns all partitions itself. Ends without leaving the group.\n"
    "\n"
    "  --brokers LIST   bootstrap servers (127.0.0.1:9092)\n"
    "  --partitions N   of the topic (4)\n"
    "  --timeout S      give up after so long (60)\n";

enum { ERROR_BYTES = 512, ASK_TIMEOUT_MS = 30000 };

struct settings {
    const char *brokers;
    const char *topic;
    const char *group;
    const char *member;
    int partitions;
    int64_t timeout_us;
};

static const struct option long_options[] = {
    {"topic", required_argument, NULL, 't'},   {"brokers", required_argument, NULL, 'b'},
    {"group", required_argument, NULL, 'g'},   {"member", required_argument, NULL, 'm'},
    {"partitions", required_argument, NULL, 'p'}, {"timeout", required_argument, NULL, 'T'},
    {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
};

static void parse_arguments(int argc, char **argv, struct settings *settings)
{
    int code;
    while ((code = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (code) {
        case 't': settings->topic = optarg; break;
        case 'b': settings->brokers = optarg; break;
        case 'g': settings->group = optarg; break;
        case 'm': settings->member = optarg; break;
        case 'p':
            settings->partitions = (int)wr_bench_parse_number(tool, "--partitions", optarg, 1,
                                                              WR_BENCH_PARTITIONS_MAX);
            break;
        case 'T':
            settings->timeout_us =
                (int64_t)wr_bench_parse_number(tool, "--timeout", optarg, 1, 3600) * 1000000;
            break;
        case 'h': fputs(help, stdout); exit(0);
        default: wr_bench_usage_error(tool, "cannot use these arguments");
        }
    }
    if (settings->topic == NULL || optind < argc) {
        wr_bench_usage_error(tool, optind < argc ? "too many arguments" : "give a --topic");
    }
    if ((settings->group == NULL) != (settings->member == NULL)) {
        wr_bench_usage_error(tool, "--group and --member go together");
    }
}

static rd_kafka_t *make_client(const struct settings *settings, char *error, size_t error_bytes)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char *const pairs[][2] = {
        {"bootstrap.servers", settings->brokers},
        {"group.id", settings->group != NULL ? settings->group : "weir-bench-first"},
        {"group.instance.id", settings->member},
        {"partition.assignment.strategy", "cooperative-sticky"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "latest"},
        {"isolation.level", "read_committed"},
        {"fetch.wait.max.ms", "100"},
        {"socket.nagle.disable", "true"},
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]) && !failed; i++) {
        failed = pairs[i][1] != NULL &&
                 rd_kafka_conf_set(conf, pairs[i][0], pairs[i][1], error, error_bytes) !=
                     RD_KAFKA_CONF_OK;
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

/* Behind what is there now, as positions of a state would name it. */
static rd_kafka_resp_err_t assign_ends(rd_kafka_t *client, const struct settings *settings,
                                       rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (int i = 0; i < settings->partitions && err == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        int64_t low = 0;
        int64_t high = 0;
        err = rd_kafka_query_watermark_offsets(client, settings->topic, i, &low, &high,
                                               ASK_TIMEOUT_MS);
        rd_kafka_topic_partition_list_add(list, settings->topic, i)->offset = high;
    }
    return err == RD_KAFKA_RESP_ERR_NO_ERROR ? rd_kafka_assign(client, list) : err;
}

static int begin(rd_kafka_t *client, const struct settings *settings, char *error,
                 size_t error_bytes)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_resp_err_t err;
    if (settings->group == NULL) {
        err = assign_ends(client, settings, list);
    } else {
        rd_kafka_topic_partition_list_add(list, settings->topic, RD_KAFKA_PARTITION_UA);
        err = rd_kafka_subscribe(client, list);
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        snprintf(error, error_bytes, "topic %s: %s", settings->topic, rd_kafka_err2str(err));
        return -1;
    }
    return 0;
}

static int has_all(rd_kafka_t *client, const struct settings *settings)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    const int all = rd_kafka_assignment(client, &list) == RD_KAFKA_RESP_ERR_NO_ERROR &&
                    list->cnt == settings->partitions;
    if (list != NULL) {
        rd_kafka_topic_partition_list_destroy(list);
    }
    return all;
}

int main(int argc, char **argv)
{
    const int64_t began_us = wr_bench_now_us();
    struct settings settings = {
        .brokers = "127.0.0.1:9092", .partitions = 4, .timeout_us = 60000000};
    char error[ERROR_BYTES] = "";
    parse_arguments(argc, argv, &settings);
    rd_kafka_t *client = make_client(&settings, error, sizeof(error));
    if (client == NULL || begin(client, &settings, error, sizeof(error)) != 0) {
        wr_bench_fail(tool, error);
    }
    int64_t assigned_us = 0;
    int64_t message_us = 0;
    while (message_us == 0 || assigned_us == 0) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, 2);
        const int64_t now_us = wr_bench_now_us();
        if (assigned_us == 0 && has_all(client, &settings)) {
            assigned_us = now_us;
        }
        if (message != NULL) {
            if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message_us == 0) {
                message_us = now_us;
            }
            rd_kafka_message_destroy(message);
        }
        if (now_us - began_us > settings.timeout_us) {
            wr_bench_fail(tool, "no message came in time");
        }
    }
    printf("{\"assigned_ms\": %.3f, \"first_message_ms\": %.3f}\n",
           (double)(assigned_us - began_us) / 1000, (double)(message_us - began_us) / 1000);
    fflush(stdout);
    _exit(0); /* as if killed: nobody tells the group */
}
