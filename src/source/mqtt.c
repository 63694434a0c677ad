/* mqtt.c: the connector 'mqtt': messages that devices publish to an MQTT broker, versions 3.1.1 and 5.
 *
 * mqtt_session.h keeps the connection, on a thread of its own; this file is the vtable: options, and chunks -> records.
 * The subscription is the one split, read by worker 0; its positions count messages as they came. A message of QoS 1 or 2 is
 * acknowledged when the manifest that covers it is committed and published (commit()), so a crash loses nothing that the
 * broker still has: it sends again what was not acknowledged. Nothing in such a message tells that it came before: rows that
 * were committed just before a crash come twice, unless deduplicate_by names a column that tells events apart.
 * The queue of a broker has no end that it would tell: the split counts as caught up when nothing has come for QUIET_NS.
 * Previews connect under a name of their own, take new messages only and leave the real session alone.
 *
 * Ownership: records borrow from a chunk, which goes back to the session when the last of its records is released.
 * Threads: control and worker 0, as the vtable says.
 */
#include "source/connectors.h"

#include "base/heap.h"
#include "base/log.h"
#include "base/rand.h"
#include "batch/text.h"
#include "source/mqtt_session.h"
#include <ctype.h>
#include <stdio.h>

#define QUIET_NS (200 * WR_NS_PER_MS)
/* With --bounded the split ends after so much silence; the longer one while messages wait for their acknowledgement, behind
 * which the broker may have more. */
#define END_NS (1 * WR_NS_PER_S)
#define END_UNSETTLED_NS (10 * WR_NS_PER_S)

struct mqtt_records {
    struct wr_records base; /* first: records and this are the same address */
    struct mqtt_records *next;
    struct wr_mqtt_chunk *chunk;
    struct wr_record items[];
};

struct wr_source {
    struct wr_source_env env;
    struct wr_mqtt_tls *tls;
    struct wr_mqtt_session *session;
    char client_id[128];
    const char *filters[WR_MQTT_FILTERS_MAX];
    int64_t start;
};

struct wr_reader {
    struct wr_source *source;
    uint32_t worker;
    bool opened;
    bool caught_up;   /* told */
    bool unreachable; /* told */
    bool ended;
    bool finished;
    int64_t look_ns;  /* when a quiet subscription is to be looked at */
    struct wr_mqtt_chunk *chunk; /* being given on; holds one reference */
    struct mqtt_records *free;
};

static const struct wr_option mqtt_options[] = {
    { "url", WR_OPTION_TEXT, NULL, "The broker: mqtt://host:1883, or mqtts://host:8883 for TLS.",
      .flags = WR_OPTION_REQUIRED },
    { "topic", WR_OPTION_LIST, NULL,
      "Topic filters, separated by commas: + stands for a level, # for all that follows; $share/group/filter shares the messages "
      "with the other clients of the group.",
      .flags = WR_OPTION_REQUIRED },
    { "qos", WR_OPTION_ENUM, "1",
      "The quality of service to ask for. 0 is not acknowledged: a crash, or a broken connection, loses messages.",
      .enum_words = "0 1 2" },
    { "version", WR_OPTION_ENUM, "5", "The version of MQTT.", .enum_words = "3.1.1 5" },
    { "client_id", WR_OPTION_TEXT, NULL,
      "The name of the session in which the broker keeps messages while nobody is connected: one client at a time. Default: made "
      "from the state's identity; without a state the session ends with the run." },
    { "session_expiry", WR_OPTION_DURATION, "7d",
      "How long the broker keeps the session and its messages while nobody is connected (version 5; 3.1.1 has no limit).",
      .min = WR_US_PER_S, .max = 0xfffffffeLL * WR_US_PER_S },
    { "username", WR_OPTION_TEXT, NULL, "The user to log in as." },
    { "password", WR_OPTION_TEXT, NULL, "The user's password.", .flags = WR_OPTION_SECRET },
    { "tls.ca", WR_OPTION_TEXT, NULL, "A file with the authorities' certificates (PEM); default: the system's." },
    { "tls.cert", WR_OPTION_TEXT, NULL, "A file with the client's certificate (PEM)." },
    { "tls.key", WR_OPTION_TEXT, NULL, "A file with the private key of tls.cert (PEM)." },
    { "keepalive", WR_OPTION_DURATION, "30s", "How often to ask whether a silent broker is still there.",
      .min = WR_US_PER_S, .max = 65535 * WR_US_PER_S },
    { "receive_maximum", WR_OPTION_INT, "65535",
      "How many messages the broker may send ahead of their acknowledgement, which comes with each commit (version 5; with 3.1.1 "
      "it is a setting of the broker).",
      .min = 1, .max = 65535 },
    { "retained", WR_OPTION_BOOL, "true",
      "Whether to read the messages that the broker retains for new subscriptions." },
    { NULL },
};

/* ---- options ---- */

static wr_status fail_at(const struct wr_plan_source *plan, const char *option, uint32_t *bad_at, struct wr_error *err,
                         const char *what)
{
    *bad_at = wr_options_at(plan->options, option);
    return wr_fail(err, WR_CLASS_USER, "option '%s': %s", option, what);
}

static wr_status check_topics(const struct wr_plan_source *plan, uint32_t *bad_at, struct wr_error *err)
{
    uint32_t count;
    const char *const *topics = wr_options_list(plan->options, "topic", &count);
    if (count > WR_MQTT_FILTERS_MAX) {
        return fail_at(plan, "topic", bad_at, err, "more than 256 filters");
    }
    for (uint32_t i = 0; i < count; i++) {
        const char *fault = wr_mqtt_filter_fault(topics[i]);
        if (fault != NULL) {
            *bad_at = wr_options_at(plan->options, "topic");
            return wr_fail(err, WR_CLASS_USER, "'%s' is not a topic filter: %s", topics[i], fault);
        }
    }
    return WR_OK;
}

static wr_status check_texts(const struct wr_plan_source *plan, uint32_t *bad_at, struct wr_error *err)
{
    static const struct {
        const char *name;
        size_t bytes_max;
    } texts[] = { { "client_id", 100 }, { "username", UINT16_MAX }, { "password", UINT16_MAX } };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *text = wr_options_text(plan->options, texts[i].name);
        if (text != NULL && (strlen(text) > texts[i].bytes_max || !wr_utf8_valid(text, strlen(text)))) {
            return fail_at(plan, texts[i].name, bad_at, err, "it is too long, or not UTF-8");
        }
        if (text != NULL && text[0] == '\0') {
            return fail_at(plan, texts[i].name, bad_at, err, "it is empty");
        }
    }
    return WR_OK;
}

static wr_status mqtt_check(const struct wr_plan_source *plan, uint32_t *bad_at, struct wr_error *err)
{
    const struct wr_options *options = plan->options;
    struct wr_mqtt_endpoint to;
    *bad_at = wr_options_at(options, "url");
    WR_TRY(wr_mqtt_endpoint_parse(wr_options_text(options, "url"), &to, err));
    WR_TRY(check_topics(plan, bad_at, err));
    WR_TRY(check_texts(plan, bad_at, err));
    if (wr_options_given(options, "password") && !wr_options_given(options, "username")) {
        return fail_at(plan, "password", bad_at, err, "it goes with a username");
    }
    static const char *const tls[] = { "tls.ca", "tls.cert", "tls.key" };
    for (size_t i = 0; i < 3; i++) {
        if (wr_options_given(options, tls[i]) && !to.tls) {
            return fail_at(plan, tls[i], bad_at, err, "it goes with a url that begins with mqtts://");
        }
    }
    if (wr_options_given(options, "tls.cert") != wr_options_given(options, "tls.key")) {
        return fail_at(plan, wr_options_given(options, "tls.cert") ? "tls.cert" : "tls.key", bad_at, err,
                       "tls.cert and tls.key go together");
    }
    if (strcmp(plan->format, "csv") == 0 && wr_options_bool(options, "header")) {
        *bad_at = wr_options_at(options, "header");
        (void)wr_fail(err, WR_CLASS_USER, "messages have no header line");
        wr_error_hint(err, "add header = false: columns come in declared order");
        return WR_FAIL;
    }
    return WR_OK;
}

/* ---- source; @thread control ---- */

static void mqtt_close(struct wr_source *s)
{
    if (s != NULL) {
        wr_mqtt_session_destroy(s->session);
        wr_mqtt_tls_destroy(s->tls);
        free(s);
    }
}

/* Whether the session outlives the run. */
static bool keeps_session(const struct wr_source_env *env)
{
    return !env->preview && (env->state_uuid != NULL || wr_options_given(env->plan->options, "client_id"));
}

/* Letters and digits go through every broker; two pipelines never have the same. */
static void make_client_id(struct wr_source *s)
{
    const struct wr_source_env *env = &s->env;
    const char *given = wr_options_text(env->plan->options, "client_id");
    if (given != NULL && !env->preview) {
        (void)snprintf(s->client_id, sizeof s->client_id, "%s", given);
        return;
    }
    char name[40];
    size_t bytes = 0;
    for (const char *c = env->plan->name; *c != '\0' && bytes < sizeof name - 1; c++) {
        name[bytes++] = isalnum((unsigned char)*c) ? *c : '-';
    }
    name[bytes] = '\0';
    if (keeps_session(env)) {
        (void)snprintf(s->client_id, sizeof s->client_id, "weir-%s-%s", name, env->state_uuid);
    } else {
        (void)snprintf(s->client_id, sizeof s->client_id, "weir-%s-%016llx", name,
                       (unsigned long long)wr_rand_entropy());
    }
}

static void fill_config(struct wr_source *s, struct wr_mqtt_config *config)
{
    const struct wr_options *options = s->env.plan->options;
    uint32_t count;
    const char *const *topics = wr_options_list(options, "topic", &count);
    const bool keeps = keeps_session(&s->env);
    const int64_t expiry_s = wr_options_int(options, "session_expiry") / WR_US_PER_S;
    const enum wr_mqtt_version version =
        strcmp(wr_options_text(options, "version"), "5") == 0 ? WR_MQTT_5 : WR_MQTT_3_1_1;
    for (uint32_t i = 0; i < count; i++) { /* a preview must not take messages away from the group */
        s->filters[i] = s->env.preview ? wr_mqtt_filter_unshared(topics[i]) : topics[i];
    }
    config->connect = (struct wr_mqtt_connect){
        .version = version,
        .client_id = s->client_id,
        .username = wr_options_text(options, "username"),
        .password = wr_options_text(options, "password"),
        .clean = !keeps,
        .keepalive_s = (uint16_t)(wr_options_int(options, "keepalive") / WR_US_PER_S),
        .session_expiry_s = keeps ? (uint32_t)expiry_s : 0,
        .receive_maximum = (uint16_t)wr_options_int(options, "receive_maximum"),
    };
    config->takes_retained = wr_options_bool(options, "retained");
    config->subscribe = (struct wr_mqtt_subscribe){
        .version = version,
        .filters = s->filters,
        .count = count,
        .qos = s->env.preview ? 0 : (uint8_t)(wr_options_text(options, "qos")[0] - '0'),
        .retain_handling = config->takes_retained ? 1 : 2,
    };
}

static wr_status mqtt_open(struct wr_source **out, const struct wr_source_env *env, struct wr_error *err)
{
    const struct wr_options *options = env->plan->options;
    struct wr_mqtt_config config = { .source_name = env->plan->name,
                                     .resumed = env->resumed && env->start_count > 0,
                                     .memory_bytes = env->memory_bytes,
                                     .wake = env->wake,
                                     .wake_ctx = env->wake_ctx };
    WR_TRY(wr_mqtt_endpoint_parse(wr_options_text(options, "url"), &config.to, err));
    struct wr_source *s = wr_calloc(1, sizeof *s);
    s->env = *env;
    make_client_id(s);
    fill_config(s, &config);
    wr_status status = WR_OK;
    if (config.resumed && env->starts[0].next_position < 0) {
        status = wr_fail(err, WR_CLASS_FATAL, "the state has position %lld for the subscription",
                         (long long)env->starts[0].next_position);
    } else if (config.resumed) {
        s->start = env->starts[0].next_position;
    }
    if (status == WR_OK && config.to.tls) {
        status = wr_mqtt_tls_create(&s->tls, wr_options_text(options, "tls.ca"), wr_options_text(options, "tls.cert"),
                                    wr_options_text(options, "tls.key"), err);
    }
    config.tls = s->tls;
    config.position = s->start;
    if (status == WR_OK) {
        status = wr_mqtt_session_create(&s->session, &config, err);
    }
    if (status != WR_OK) {
        mqtt_close(s);
        return WR_FAIL;
    }
    if (!keeps_session(env) && !env->preview && config.subscribe.qos > 0) {
        wr_log_warn("mqtt", "source %s: without a state or a client_id the session ends with this run: what comes while it "
                            "is not connected is lost", env->plan->name);
    }
    *out = s;
    return WR_OK;
}

static wr_status mqtt_commit(struct wr_source *s, const struct wr_split_position *positions, uint32_t count,
                             struct wr_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        wr_mqtt_session_commit(s->session, positions[i].next_position);
    }
    return WR_OK;
}

/* ---- reader; @thread worker ---- */

static wr_status mqtt_reader_open(struct wr_reader **out, struct wr_source *s, uint32_t worker, struct wr_io *io,
                                  struct wr_error *err)
{
    struct wr_reader *r = wr_calloc(1, sizeof *r);
    r->source = s;
    r->worker = worker;
    r->look_ns = INT64_MAX;
    *out = r;
    return WR_OK;
}

static void chunk_release(struct wr_reader *r, struct wr_mqtt_chunk *chunk)
{
    if (chunk != NULL && --chunk->refs == 0) {
        wr_mqtt_session_give_back(r->source->session, chunk);
    }
}

static void mqtt_reader_close(struct wr_reader *r)
{
    chunk_release(r, r->chunk);
    while (r->free != NULL) {
        struct mqtt_records *records = r->free;
        r->free = records->next;
        free(records);
    }
    free(r);
}

static void release_records(struct wr_records *base)
{
    struct mqtt_records *records = (struct mqtt_records *)base;
    struct wr_reader *r = base->owner;
    chunk_release(r, records->chunk);
    records->next = r->free;
    r->free = records;
}

static struct wr_slice properties_of(const struct wr_mqtt_message *message)
{
    return (struct wr_slice){ message->data + message->topic_bytes, message->properties_bytes };
}

/* Of base nothing but the items: it may be a copy, and may begin elsewhere in them. */
static struct wr_slice header(const struct wr_records *base, uint32_t index, const char *name)
{
    struct wr_slice rest = properties_of(base->items[index].handle);
    struct wr_slice found = { 0 };
    struct wr_mqtt_property property;
    while (wr_mqtt_read_property(&rest, &property, NULL) == WR_OK) {
        if (property.id == WR_MQTT_USER_PROPERTY && wr_slice_is(property.name, name)) {
            found = property.value; /* the last one wins, as in Kafka */
        }
    }
    return found;
}

/* The name under which a property stands in _headers; MQTT's own get a prefix that users' are unlikely to have. */
static struct wr_slice header_name(const struct wr_mqtt_property *property)
{
    switch (property->id) {
    case WR_MQTT_USER_PROPERTY: return property->name;
    case WR_MQTT_CONTENT_TYPE: return wr_slice_of("mqtt.content_type");
    case WR_MQTT_RESPONSE_TOPIC: return wr_slice_of("mqtt.response_topic");
    case WR_MQTT_CORRELATION_DATA: return wr_slice_of("mqtt.correlation_data");
    default: return (struct wr_slice){ 0 };
    }
}

static bool comes_again(struct wr_slice rest, struct wr_slice name)
{
    struct wr_mqtt_property later;
    while (wr_mqtt_read_property(&rest, &later, NULL) == WR_OK) {
        const struct wr_slice other = header_name(&later);
        if (other.data != NULL && wr_slice_equal(other, name)) {
            return true;
        }
    }
    return false;
}

static struct wr_slice headers_json(const struct wr_records *base, uint32_t index, void *into)
{
    struct wr_buf *buf = into;
    const struct wr_mqtt_message *message = base->items[index].handle;
    struct wr_slice rest = properties_of(message);
    struct wr_mqtt_property property;
    const size_t begin = buf->bytes;
    const char *between = "{";
    if (message->retain) {
        wr_buf_text(buf, "{\"mqtt.retain\":\"true\"");
        between = ",";
    }
    while (wr_mqtt_read_property(&rest, &property, NULL) == WR_OK) {
        const struct wr_slice name = header_name(&property);
        if (name.data == NULL || comes_again(rest, name)) {
            continue;
        }
        wr_buf_text(buf, between);
        wr_text_json_string(buf, name.data, name.bytes);
        wr_buf_byte(buf, ':');
        wr_text_json_string(buf, property.value.data, property.value.bytes);
        between = ",";
    }
    if (buf->bytes == begin) {
        return (struct wr_slice){ 0 };
    }
    wr_buf_byte(buf, '}');
    return (struct wr_slice){ buf->data + begin, buf->bytes - begin };
}

static struct mqtt_records *take_records(struct wr_reader *r)
{
    struct mqtt_records *records = r->free;
    if (records == NULL) {
        records = wr_malloc(sizeof *records + r->source->env.batch_rows * sizeof records->items[0]);
    } else {
        r->free = records->next;
    }
    records->next = NULL;
    records->chunk = r->chunk;
    r->chunk->refs++;
    records->base = (struct wr_records){ .items = records->items,
                                         .refs = 1,
                                         .split = 0,
                                         .release = release_records,
                                         .headers_json = headers_json,
                                         .header = header,
                                         .key_is_topic = true,
                                         .owner = r };
    return records;
}

/* The chunk's next messages. */
static void give_rows(struct wr_reader *r, struct wr_poll *out)
{
    struct wr_mqtt_chunk *chunk = r->chunk;
    struct mqtt_records *records = take_records(r);
    while (chunk->read < chunk->count && records->base.count < r->source->env.batch_rows) {
        struct wr_mqtt_message *message = &chunk->messages[chunk->read++];
        records->items[records->base.count++] = (struct wr_record){
            .data = message->data + message->topic_bytes + message->properties_bytes,
            .bytes = message->payload_bytes,
            .key = message->data,
            .key_bytes = message->topic_bytes,
            .position = message->position,
            .timestamp_us = chunk->arrived_us,
            .handle = message,
        };
        records->base.payload_bytes += message->payload_bytes;
        out->next_position = message->position + 1;
    }
    if (chunk->read == chunk->count) {
        r->chunk = NULL;
        chunk_release(r, chunk); /* the records hold it */
    }
    r->caught_up = false;
    out->kind = WR_POLL_ROWS;
    out->records = &records->base;
}

/* Nothing is there: what that means. */
static void tell_quiet(struct wr_reader *r, const struct wr_mqtt_view *view, struct wr_time now, struct wr_poll *out)
{
    const bool bounded = r->source->env.bounded;
    const int64_t end_ns = view->unsettled > 0 ? END_UNSETTLED_NS : END_NS;
    const int64_t due_ns = view->quiet_since_ns + (bounded ? end_ns : QUIET_NS);
    r->look_ns = INT64_MAX;
    if (!view->connected) {
        if (r->caught_up && !r->unreachable) {
            r->unreachable = true;
            out->kind = WR_POLL_SPLIT_UNREACHABLE;
        }
    } else if (now.mono_ns < due_ns) {
        r->look_ns = bounded || !r->caught_up || r->unreachable ? due_ns : INT64_MAX;
    } else if (bounded) {
        r->ended = true;
        out->kind = WR_POLL_SPLIT_ENDED;
    } else if (!view->full && (!r->caught_up || r->unreachable)) {
        r->caught_up = true;
        r->unreachable = false;
        out->kind = WR_POLL_SPLIT_CAUGHT_UP;
    }
}

static wr_status mqtt_poll(struct wr_reader *r, struct wr_time now, struct wr_batch *batch, struct wr_poll *out,
                           struct wr_error *err)
{
    struct wr_mqtt_view view;
    if (r->finished || r->ended || r->worker != 0) {
        out->kind = r->ended || r->source->env.bounded ? WR_POLL_FINISHED : WR_POLL_NOTHING;
        r->finished = out->kind == WR_POLL_FINISHED;
        return WR_OK;
    }
    if (!r->opened) {
        r->opened = true;
        out->kind = WR_POLL_SPLIT_OPENED;
        out->split_name = "subscription";
        out->next_position = r->source->start;
        out->partition = -1;
        return WR_OK;
    }
    if (r->chunk == NULL) {
        r->chunk = wr_mqtt_session_take(r->source->session, &view, err);
        if (r->chunk != NULL) {
            r->chunk->refs = 1;
        }
    }
    if (r->chunk != NULL) {
        give_rows(r, out);
        return WR_OK;
    }
    if (view.failed) {
        return WR_FAIL;
    }
    tell_quiet(r, &view, now, out);
    return WR_OK;
}

static int64_t mqtt_deadline_ns(const struct wr_reader *r)
{
    return r->look_ns;
}

const struct wr_source_ops wr_source_mqtt = {
    .name = "mqtt",
    .help = "Messages of devices from an MQTT broker (3.1.1 and 5), acknowledged once they are committed. With --bounded it ends "
            "after a second of silence. A crash repeats none with deduplicate_by, few without.",
    .options = mqtt_options,
    .counts_arrivals = true,
    .key_is_topic = true,
    .metadata = { [WR_META_TOPIC] = true, [WR_META_OFFSET] = true, [WR_META_TIMESTAMP] = true, [WR_META_HEADERS] = true },
    .check = mqtt_check,
    .open = mqtt_open,
    .reader_open = mqtt_reader_open,
    .poll = mqtt_poll,
    .deadline_ns = mqtt_deadline_ns,
    .reader_close = mqtt_reader_close,
    .commit = mqtt_commit,
    .close = mqtt_close,
};
