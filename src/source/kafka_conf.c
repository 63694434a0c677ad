/* kafka_conf.c: options -> librdkafka's configuration. No error ever shows a property's value: it
 * may be a secret. */
#include "source/kafka_source.h"

#include "batch/text.h"
#include <stdio.h>
#include <string.h>

const struct wr_option wr_kafka_options[] = {
    { "brokers", WR_OPTION_TEXT, NULL, "Where the cluster is reached first: host:port, ...",
      .flags = WR_OPTION_REQUIRED },
    { "topic", WR_OPTION_LIST, NULL,
      "Topics, separated by commas; one that begins with ^ is a pattern (a regular expression).",
      .flags = WR_OPTION_REQUIRED },
    { "group_id", WR_OPTION_TEXT, NULL,
      "Shares the partitions with other processes of the same group and stores how far they came "
      "in Kafka; without it this process reads all partitions." },
    { "start", WR_OPTION_TEXT, NULL,
      "Where reading begins: earliest, latest, committed (the group's offsets, else earliest), a "
      "time (RFC 3339 or milliseconds since 1970). Default: committed with a group_id, else "
      "earliest. With a group, what a rebalance brings later continues at the group's offsets. Positions in the pipeline's "
      "state win over it." },
    { "on_gap", WR_OPTION_ENUM, "fail",
      "What a start does when messages that it had not read were deleted (retention): fail, or skip to the oldest that is left.",
      .enum_words = "fail skip" },
    WR_KAFKA_ACCESS_OPTIONS,
    WR_KAFKA_PREFIX_OPTION,
    { NULL },
};

/* What Weir's way of reading stands on; instead says which option to use. */
static const struct {
    const char *property;
    const char *instead;
} owned[] = {
    { "bootstrap.servers", "use brokers" },
    { "metadata.broker.list", "use brokers" },
    { "group.id", "use group_id" },
    { "auto.offset.reset", "use start" },
    { "enable.auto.commit", "offsets are committed after the sinks have finished an epoch" },
    { "enable.auto.offset.store", "offsets are committed after the sinks have finished an epoch" },
    { "enable.partition.eof", "it tells when a partition has no more messages" },
};

/* What the benchmarks found, and what exactness asks for; a kafka.<property> of the user comes
 * after. */
static const char *const defaults[][2] = {
    { "client.id", "weir" },
    { "enable.auto.commit", "false" },
    { "enable.auto.offset.store", "false" },
    { "enable.partition.eof", "true" },
    { "auto.offset.reset", "error" },
    { "isolation.level", "read_committed" },
    { "check.crcs", "true" },
    { "allow.auto.create.topics", "false" },
    { "partition.assignment.strategy", "cooperative-sticky" },
    { "max.poll.interval.ms", "600000" },
    { "fetch.wait.max.ms", "100" },
    { "queued.min.messages", "20000" },
    /* After a full queue look again soon: the default of 1 s would be idle time. */
    { "fetch.queue.backoff.ms", "2" },
    /* Half of the default: what it unpacks to is still in the cache when it is read. */
    { "fetch.message.max.bytes", "524288" },
    /* A broker that is back is found within two seconds instead of ten. */
    { "reconnect.backoff.max.ms", "2000" },
    /* A connection that swallows requests (half open, after a failover) is given up after 6 s instead of a minute. */
    { "socket.timeout.ms", "6000" },
    { "socket.keepalive.enable", "true" },
    { "socket.nagle.disable", "true" },
};

static wr_status bad_property(const char *name, rd_kafka_conf_res_t result, struct wr_error *err)
{
    if (result == RD_KAFKA_CONF_UNKNOWN) {
        (void)wr_fail(err, WR_CLASS_USER, "librdkafka has no property '%s'", name);
        wr_error_hint(err, "the names are those of CONFIGURATION.md of librdkafka %s; put kafka. "
                           "before them",
                      rd_kafka_version_str());
        return WR_FAIL;
    }
    (void)wr_fail(err, WR_CLASS_USER, "the value of option 'kafka.%s' is not valid", name);
    wr_error_hint(err, "its values are in CONFIGURATION.md of librdkafka %s",
                  rd_kafka_version_str());
    return WR_FAIL;
}

static wr_status set(rd_kafka_conf_t *conf, const char *name, const char *value,
                     struct wr_error *err)
{
    char reason[16]; /* not shown: it quotes the value */
    const rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, reason, sizeof reason);
    return result == RD_KAFKA_CONF_OK ? WR_OK : bad_property(name, result, err);
}

static wr_status set_given(rd_kafka_conf_t *conf, const struct wr_options *options,
                           uint32_t *bad_at, struct wr_error *err)
{
    uint32_t count;
    const struct wr_option_pair *pairs = wr_options_prefixed(options, "kafka.", &count);
    for (uint32_t i = 0; i < count; i++) {
        *bad_at = pairs[i].name_at;
        for (size_t k = 0; k < sizeof owned / sizeof owned[0]; k++) {
            if (strcmp(pairs[i].name, owned[k].property) == 0) {
                (void)wr_fail(err, WR_CLASS_USER, "property '%s' is set by Weir itself",
                              pairs[i].name);
                wr_error_hint(err, "%s", owned[k].instead);
                return WR_FAIL;
            }
        }
        WR_TRY(set(conf, pairs[i].name, pairs[i].value, err));
    }
    return WR_OK;
}

static wr_status parse_start(struct wr_source *s, const char *text, struct wr_error *err)
{
    static const char *const words[] = { "earliest", "latest", "committed" };
    for (uint32_t i = 0; text != NULL && i < 3; i++) {
        if (strcmp(text, words[i]) == 0) {
            s->start = (enum wr_kafka_start)i;
            s->start_given = true;
            return WR_OK;
        }
    }
    if (text == NULL) {
        s->start = s->group != NULL ? WR_KAFKA_COMMITTED : WR_KAFKA_EARLIEST;
        return WR_OK;
    }
    int64_t us;
    s->start = WR_KAFKA_TIME;
    s->start_given = true;
    if (wr_text_parse_int64(wr_slice_of(text), &s->start_ms) && s->start_ms >= 0) {
        return WR_OK;
    }
    if (wr_text_parse_timestamp(wr_slice_of(text), &us) && us >= 0) {
        s->start_ms = us / 1000;
        return WR_OK;
    }
    (void)wr_fail(err, WR_CLASS_USER,
                  "start = '%s' is not earliest, latest, committed or a time", text);
    wr_error_hint(err, "a time is written '2024-01-31T10:00:00Z' or as milliseconds since 1970");
    return WR_FAIL;
}

wr_status wr_kafka_read_options(struct wr_source *s, uint32_t *bad_at, struct wr_error *err)
{
    const struct wr_plan_source *plan = s->env.plan;
    WR_TRY(wr_kafka_access_create(&s->access, plan->connector, plan->options, bad_at, err));
    const bool hubs = wr_kafka_access_is_event_hubs(s->access);
    const char *const group = hubs ? "consumer_group" : "group_id";
    s->brokers = wr_kafka_access_brokers(s->access);
    s->group = wr_options_text(plan->options, group);
    s->skip_gaps = strcmp(wr_options_text(plan->options, "on_gap"), "skip") == 0;
    if (hubs) {
        s->hub = wr_kafka_access_hub(s->access);
        s->topics = &s->hub;
        s->topic_count = 1;
    } else {
        s->topics = wr_options_list(plan->options, "topic", &s->topic_count);
    }
    wr_ensure(s->topic_count > 0, err, WR_CLASS_USER, "topic names no topic");
    *bad_at = wr_options_at(plan->options, "start");
    WR_TRY(parse_start(s, wr_options_text(plan->options, "start"), err));
    if (s->start == WR_KAFKA_COMMITTED && s->group == NULL) {
        (void)wr_fail(err, WR_CLASS_USER, "start = 'committed' needs a %s", group);
        wr_error_hint(err, "committed offsets belong to a group: add %s = '...'", group);
        return WR_FAIL;
    }
    return WR_OK;
}

wr_status wr_kafka_check(const struct wr_plan_source *plan, uint32_t *bad_at,
                         struct wr_error *err)
{
    struct wr_source s = { .env = { .plan = plan } };
    wr_status status = wr_kafka_read_options(&s, bad_at, err);
    if (status == WR_OK) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        status = set_given(conf, plan->options, bad_at, err);
        rd_kafka_conf_destroy(conf);
    }
    wr_kafka_access_destroy(s.access);
    return status;
}

/* What all partitions of a worker may hold in its queue: measured, 8 MB fit the cache; a share too
 * small for that gets half of itself (messages being read, and fetches under way, take the rest).
 * */
static wr_status set_memory(const struct wr_source *s, rd_kafka_conf_t *conf, struct wr_error *err)
{
    uint64_t kb = s->env.memory_bytes / s->env.workers / 2 / 1024;
    kb = kb > 8192 ? 8192 : (kb < 1024 ? 1024 : kb);
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)kb);
    return set(conf, "queued.max.messages.kbytes", text, err);
}

/* A fetch costs client and broker some hundred microseconds, however little it brings. */
#define PATIENT_FETCH_BYTES "65536"

static wr_status set_patience(const struct wr_source *s, rd_kafka_conf_t *conf, struct wr_error *err)
{
    char ms[24];
    if (s->env.patience_ms == 0) {
        return WR_OK;
    }
    (void)snprintf(ms, sizeof ms, "%u", s->env.patience_ms);
    WR_TRY(set(conf, "fetch.min.bytes", PATIENT_FETCH_BYTES, err));
    return set(conf, "fetch.wait.max.ms", ms, err);
}

/* A static member: started again within its session's time-out it has its partitions at once, instead of waiting
 * until the group takes the killed one for dead. Its name comes with the state, which only one process at a time owns. */
static wr_status set_member(const struct wr_source *s, rd_kafka_conf_t *conf, struct wr_error *err)
{
    if (s->group == NULL || s->env.state_uuid == NULL || s->env.state_uuid[0] == '\0') {
        return WR_OK;
    }
    struct wr_buf name = { 0 };
    wr_buf_printf(&name, "weir-%s-%s", s->env.state_uuid, s->env.plan->name);
    const wr_status status = set(conf, "group.instance.id", wr_buf_cstr(&name), err);
    wr_buf_deinit(&name);
    return status;
}

wr_status wr_kafka_make_conf(struct wr_source *s,
                             void (*refresh)(rd_kafka_t *, const char *, void *),
                             rd_kafka_conf_t **out, struct wr_error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    uint32_t at;
    wr_status status = WR_OK;
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0] && status == WR_OK; i++) {
        status = set(conf, defaults[i][0], defaults[i][1], err);
    }
    if (status == WR_OK) {
        status = wr_kafka_access_configure(s->access, conf, refresh, err);
    }
    if (status == WR_OK) { /* assign asks for a group's name too, though none is ever joined */
        status = set(conf, "group.id", s->group != NULL ? s->group : "weir", err);
    }
    if (status == WR_OK) {
        status = set_member(s, conf, err);
    }
    if (status == WR_OK) {
        status = set_memory(s, conf, err);
    }
    if (status == WR_OK) {
        status = set_patience(s, conf, err);
    }
    if (status == WR_OK) {
        status = set_given(conf, s->env.plan->options, &at, err);
    }
    if (status != WR_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    *out = conf;
    return WR_OK;
}
