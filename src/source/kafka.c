/* kafka.c: the connector 'kafka', on librdkafka's consumer; see kafka_source.h. */
#include "source/connectors.h"
#include "source/kafka_source.h"

#include "base/heap.h"
#include "base/log.h"
#include <stdio.h>
#include <stdlib.h>

/* Partitions that were added, topics that match a pattern now, and topics that were deleted (a
 * consumer at a topic's end is not told) are looked for this often. */
#define REFRESH_NS (30 * WR_NS_PER_S)
#define REFRESH_MS 2000
/* librdkafka before 2.10 gives up the whole assignment when a commit meets a cooperative
 * rebalance: so none is sent until the group has been calm for longer than a heartbeat (3 s).
 * Offsets in the group are for lag tools and the next start. */
#define COMMIT_CALM_NS (5 * WR_NS_PER_S)
/* A new member of a group gets nothing at first: the others give up partitions in a second round.
 * A bounded run that got nothing waits so long for that before it takes it for the answer. */
#define EMPTY_NS (10 * WR_NS_PER_S)

/* ---- callbacks ---- */

/* @thread librdkafka's: keeps the last complaint for errors, and passes it on to the log. */
static void log_cb(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    struct wr_source *s = rd_kafka_opaque(rk);
    char line[1024];
    if (s == NULL || (level > 6 && !wr_log_enabled(WR_LOG_DEBUG))) {
        return;
    }
    text = wr_kafka_access_log_line(s->access, text, line, sizeof line);
    wr_log_debug("kafka", "librdkafka: %s: %s", facility, text);
    if (level > 4 && !wr_kafka_access_refused(s->access, text)) { /* syslog's LOG_WARNING */
        return;
    }
    /* "[thrd:...]: broker/1: what": the user needs the last part. */
    const char *from = strstr(text, "]: ");
    pthread_mutex_lock(&s->lock);
    (void)snprintf(s->trouble, sizeof s->trouble, "%s", from != NULL ? from + 3 : text);
    pthread_mutex_unlock(&s->lock);
}

/* @thread control */
static void error_cb(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct wr_source *s = opaque;
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        char text[256];
        const rd_kafka_resp_err_t cause = rd_kafka_fatal_error(rk, text, sizeof text);
        (void)wr_fail(&s->failure, WR_CLASS_FATAL, "%s: %s", rd_kafka_err2str(cause), text);
        return;
    }
    pthread_mutex_lock(&s->lock);
    s->down = s->down || code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
    pthread_mutex_unlock(&s->lock);
    if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION) {
        char line[512];
        wr_log_warn("kafka", "%s", wr_kafka_access_log_line(s->access, reason, line, sizeof line));
    }
}

/* @thread librdkafka's background */
static void refresh_token(rd_kafka_t *rk, const char *config, void *opaque)
{
    wr_kafka_access_refresh(((struct wr_source *)opaque)->access, rk);
}

/* @thread control */
static void commit_cb(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                      rd_kafka_topic_partition_list_t *offsets, void *opaque)
{
    struct wr_source *s = opaque;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR__NO_OFFSET) {
        s->commit_from_ns = wr_clock_now().mono_ns + COMMIT_CALM_NS;
        s->commit_due = s->committed != NULL;
        wr_log_warn("kafka", "group %s: offsets could not be stored: %s; a later commit "
                             "stores them",
                    s->group, rd_kafka_err2str(code));
    }
}

/* ---- open, close ---- */

void wr_kafka_close(struct wr_source *s)
{
    if (s == NULL) {
        return;
    }
    s->closing = true;
    if (s->rk != NULL) {
        if (s->committed != NULL) { /* the last asynchronous commit may be lost by leaving */
            (void)rd_kafka_commit(s->rk, s->committed, 0);
        }
        rd_kafka_consumer_close(s->rk);
        for (uint32_t w = 0; s->queues != NULL && w < s->env.workers; w++) {
            rd_kafka_queue_destroy(s->queues[w]);
        }
        if (s->probes != NULL) {
            rd_kafka_queue_destroy(s->probes);
        }
        rd_kafka_destroy(s->rk);
    }
    if (s->committed != NULL) {
        rd_kafka_topic_partition_list_destroy(s->committed);
    }
    for (uint32_t i = 0; i < s->split_count; i++) {
        free(s->splits[i]->topic);
        free(s->splits[i]->name);
        free(s->splits[i]);
    }
    free(s->splits);
    free(s->queues);
    free(s->mail);
    wr_kafka_access_destroy(s->access);
    wr_open_gate_deinit(&s->gate);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static wr_status create_client(struct wr_source *s, struct wr_error *err)
{
    rd_kafka_conf_t *conf = NULL;
    WR_TRY(wr_kafka_make_conf(s, refresh_token, &conf, err));
    rd_kafka_conf_set_opaque(conf, s);
    rd_kafka_conf_set_log_cb(conf, log_cb);
    rd_kafka_conf_set_error_cb(conf, error_cb);
    rd_kafka_conf_set_offset_commit_cb(conf, commit_cb);
    rd_kafka_conf_set_rebalance_cb(conf, wr_kafka_rebalance_cb);
    char reason[256];
    s->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof reason);
    if (s->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        wr_kafka_access_redact(s->access, reason);
        (void)wr_fail(err, WR_CLASS_USER, "librdkafka refuses this configuration");
        (void)wr_kafka_access_explain(s->access, reason, err);
        return WR_FAIL;
    }
    WR_TRY(wr_kafka_access_begin(s->access, s->rk, err));
    rd_kafka_poll_set_consumer(s->rk);
    s->queues = wr_calloc(s->env.workers, sizeof(rd_kafka_queue_t *));
    for (uint32_t w = 0; w < s->env.workers; w++) {
        s->queues[w] = rd_kafka_queue_new(s->rk);
    }
    return WR_OK;
}

static wr_status subscribe(struct wr_source *s, struct wr_error *err)
{
    rd_kafka_topic_partition_list_t *topics =
        rd_kafka_topic_partition_list_new((int)s->topic_count);
    for (uint32_t t = 0; t < s->topic_count; t++) {
        rd_kafka_topic_partition_list_add(topics, s->topics[t], RD_KAFKA_PARTITION_UA);
    }
    const rd_kafka_resp_err_t code = rd_kafka_subscribe(s->rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? WR_OK
                                              : wr_kafka_fail(s, err, code, "cannot subscribe");
}

static wr_status start(struct wr_source *s, struct wr_error *err)
{
    uint32_t bad_at;
    WR_TRY(wr_kafka_read_options(s, &bad_at, err));
    WR_TRY(create_client(s, err));
    rd_kafka_topic_partition_list_t *list = NULL;
    WR_TRY(wr_kafka_discover(s, WR_KAFKA_OPEN_MS, &list, err)); /* also with a group: says what is
                                                                 * missing */
    const wr_status status =
        s->group != NULL ? subscribe(s, err) : wr_kafka_assign(s, list, false, err);
    rd_kafka_topic_partition_list_destroy(list);
    pthread_mutex_lock(&s->lock);
    s->trouble[0] = '\0'; /* what was on the way here is over */
    pthread_mutex_unlock(&s->lock);
    return status;
}

wr_status wr_kafka_open(struct wr_source **out, const struct wr_source_env *env,
                        struct wr_error *err)
{
    struct wr_source *s = wr_calloc(1, sizeof *s);
    s->env = *env;
    s->mail = wr_calloc(env->workers, sizeof *s->mail);
    s->refreshed_ns = wr_clock_now().mono_ns;
    pthread_mutex_init(&s->lock, NULL);
    wr_open_gate_init(&s->gate, env);
    if (start(s, err) != WR_OK) {
        wr_kafka_close(s);
        return WR_FAIL;
    }
    *out = s;
    return WR_OK;
}

/* ---- upkeep ---- */

static bool has_split(const struct wr_source *s, const rd_kafka_topic_partition_t *at)
{
    for (uint32_t i = 0; i < s->split_count; i++) { /* only control adds */
        if (s->splits[i]->partition == at->partition &&
            strcmp(s->splits[i]->topic, at->topic) == 0) {
            return true;
        }
    }
    return false;
}

/* Partitions that are new since the start are read from their beginning. */
static wr_status refresh(struct wr_source *s, struct wr_time now, struct wr_error *err)
{
    pthread_mutex_lock(&s->lock);
    const bool down = s->down;
    pthread_mutex_unlock(&s->lock);
    if (down || now.mono_ns - s->refreshed_ns < REFRESH_NS) {
        return WR_OK; /* asking would hold up control, and brokers that are down are told
                       * elsewhere */
    }
    s->refreshed_ns = now.mono_ns;
    rd_kafka_topic_partition_list_t *all = NULL;
    if (wr_kafka_discover(s, REFRESH_MS, &all, err) != WR_OK) {
        return s->topic_missing ? WR_FAIL : WR_OK;
    }
    if (s->group != NULL || s->env.bounded) { /* the group deals them out; a bounded run has its
                                               * own */
        rd_kafka_topic_partition_list_destroy(all);
        return WR_OK;
    }
    rd_kafka_topic_partition_list_t *fresh = rd_kafka_topic_partition_list_new(all->cnt);
    for (int i = 0; i < all->cnt; i++) {
        if (!has_split(s, &all->elems[i])) {
            rd_kafka_topic_partition_list_add(fresh, all->elems[i].topic, all->elems[i].partition);
        }
    }
    wr_status status = WR_OK;
    if (fresh->cnt > 0) {
        wr_log_info("kafka", "%d new partitions, such as %s/%d", fresh->cnt, fresh->elems[0].topic,
                    fresh->elems[0].partition);
        status = wr_kafka_assign(s, fresh, true, err);
    }
    rd_kafka_topic_partition_list_destroy(fresh);
    rd_kafka_topic_partition_list_destroy(all);
    return status;
}

static wr_status tell_trouble(struct wr_source *s, struct wr_error *err)
{
    pthread_mutex_lock(&s->lock);
    const bool down = s->down;
    pthread_mutex_unlock(&s->lock);
    if (!down && s->down_told) {
        s->down_told = false;
        wr_log_info("kafka", "brokers %s answer again", s->brokers);
    }
    if (!down || s->down_told) {
        return WR_OK;
    }
    s->down_told = true;
    (void)wr_kafka_fail(s, err, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, "reading is held up");
    err->cls = WR_CLASS_RETRY;
    wr_error_hint(err, "nothing is lost: it goes on by itself when a broker answers");
    return WR_FAIL;
}

static void accept_nothing(struct wr_source *s, struct wr_time now)
{
    if (!s->env.bounded || !s->rebalanced || now.mono_ns - s->rebalanced_ns < EMPTY_NS) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    const bool news = !s->assigned_once;
    s->assigned_once = true;
    pthread_mutex_unlock(&s->lock);
    for (uint32_t w = 0; news && w < s->env.workers; w++) {
        s->env.wake(s->env.wake_ctx, w);
    }
}

/* Bounded: what has come to its end need not be fetched while others are read. */
static void pause_ended(struct wr_source *s)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; s->env.bounded && i < s->split_count; i++) {
        struct wr_kafka_split *split = s->splits[i];
        if (split->assigned && split->ended && !split->paused) {
            split->paused = true;
            list = list != NULL ? list : rd_kafka_topic_partition_list_new(4);
            rd_kafka_topic_partition_list_add(list, split->topic, split->partition);
        }
    }
    pthread_mutex_unlock(&s->lock);
    if (list != NULL) {
        (void)rd_kafka_pause_partitions(s->rk, list); /* only a saving */
        rd_kafka_topic_partition_list_destroy(list);
    }
}

/* The newest positions, of the partitions that are still ours: another member may have come
 * further by now. */
static rd_kafka_topic_partition_list_t *still_ours(struct wr_source *s)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(s->committed->cnt);
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->split_count; i++) {
        const struct wr_kafka_split *split = s->splits[i];
        const rd_kafka_topic_partition_t *at = rd_kafka_topic_partition_list_find(
            s->committed, split->topic, split->partition);
        if (split->assigned && at != NULL) {
            rd_kafka_topic_partition_list_add(list, split->topic, split->partition)->offset =
                at->offset;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return list;
}

/* Sends what is due once the group is calm, also when no later positions come. */
static wr_status commit_due(struct wr_source *s, int64_t now_ns, struct wr_error *err)
{
    if (!s->commit_due || now_ns < s->commit_from_ns ||
        now_ns - s->rebalanced_ns < COMMIT_CALM_NS) {
        return WR_OK;
    }
    s->commit_due = false;
    rd_kafka_topic_partition_list_t *list = still_ours(s);
    const rd_kafka_resp_err_t code =
        list->cnt > 0 ? rd_kafka_commit(s->rk, list, 1) : RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)wr_kafka_fail(s, err, code, "the group's offsets could not be stored");
        err->cls = WR_CLASS_RETRY;
        return WR_FAIL;
    }
    return WR_OK;
}

wr_status wr_kafka_tick(struct wr_source *s, struct wr_time now, struct wr_error *err)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(s->rk, 0); /* runs the callbacks */
    wr_status status = WR_OK;
    if (message != NULL) {
        /* Partitions' messages go to the workers' queues; here come the consumer's own errors. */
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            status = wr_fail(err, WR_CLASS_FATAL, "a message came outside of its worker's queue");
        } else if (message->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
                   message->err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED) {
            status = wr_kafka_fail(s, err, message->err, "the group cannot be joined");
        } else {
            wr_log_warn("kafka", "%s; it goes on by itself", rd_kafka_message_errstr(message));
        }
        rd_kafka_message_destroy(message);
        WR_TRY(status);
    }
    if (s->failure.cls != WR_CLASS_NONE) {
        *err = s->failure;
        return WR_FAIL;
    }
    pause_ended(s);
    wr_kafka_serve_holds(s);
    accept_nothing(s, now);
    wr_kafka_probe(s, now);
    WR_TRY(commit_due(s, now.mono_ns, err));
    WR_TRY(refresh(s, now, err));
    return tell_trouble(s, err);
}

wr_status wr_kafka_commit(struct wr_source *s, const struct wr_split_position *positions,
                          uint32_t count, struct wr_error *err)
{
    if (s->group == NULL) {
        return WR_OK;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < count; i++) {
        const struct wr_kafka_split *split =
            positions[i].split < s->split_count ? s->splits[positions[i].split] : NULL;
        if (split != NULL && split->assigned && positions[i].next_position >= 0) {
            rd_kafka_topic_partition_list_add(list, split->topic, split->partition)->offset =
                positions[i].next_position;
        }
    }
    pthread_mutex_unlock(&s->lock);
    if (s->committed != NULL) {
        rd_kafka_topic_partition_list_destroy(s->committed);
    }
    s->committed = list;
    s->commit_due = list->cnt > 0;
    return commit_due(s, wr_clock_now().mono_ns, err);
}

int64_t wr_kafka_lag(struct wr_source *s)
{
    int64_t sum = 0;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->split_count; i++) {
        const struct wr_kafka_split *split = s->splits[i];
        int64_t low;
        int64_t high;
        if (!split->assigned || split->ended) {
            continue;
        }
        if (rd_kafka_get_watermark_offsets(s->rk, split->topic, split->partition, &low, &high) !=
                RD_KAFKA_RESP_ERR_NO_ERROR ||
            high < 0) {
            sum = -1; /* nothing was fetched yet */
            break;
        }
        sum += high > split->position ? high - split->position : 0;
    }
    pthread_mutex_unlock(&s->lock);
    return sum;
}

const struct wr_source_ops wr_source_kafka = {
    .name = "kafka",
    .help = "Topics of Apache Kafka and what speaks its protocol (Redpanda, Event Hubs).",
    .options = wr_kafka_options,
    WR_KAFKA_SOURCE_CALLS,
};
