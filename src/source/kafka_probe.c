/* kafka_probe.c: a split is caught up when its position equals the partition's end *and* its broker says so now.
 *
 * librdkafka tells the end of a partition once; after that silence may mean that nothing is new, or that nobody is there. So while
 * splits are quiet, control asks for their ends (ListOffsets, without waiting), several times within idle_timeout:
 * no answer for half of it makes the split UNREACHABLE, which is not idle; an answer with the same end makes it CAUGHT_UP again.
 */
#include "source/kafka_source.h"

#include "base/log.h"

#define PROBE_MIN_NS (100 * WR_NS_PER_MS)
#define PROBE_MAX_NS (5 * WR_NS_PER_S)
/* Of requests that nobody answers; librdkafka ends each after its time-out. */
#define PROBES_OUT_MAX 4u

/* Under lock. */
static struct wr_kafka_split *split_of(struct wr_source *s, const rd_kafka_topic_partition_t *at)
{
    for (uint32_t i = 0; i < s->split_count; i++) {
        if (s->splits[i]->partition == at->partition &&
            strcmp(s->splits[i]->topic, at->topic) == 0) {
            return s->splits[i];
        }
    }
    return NULL;
}

static void hear(struct wr_source *s, rd_kafka_event_t *event)
{
    const int64_t asked_ns = (int64_t)(intptr_t)rd_kafka_event_opaque(event);
    const rd_kafka_ListOffsets_result_t *result = rd_kafka_event_ListOffsets_result(event);
    size_t count = 0;
    const rd_kafka_ListOffsetsResultInfo_t **infos =
        result != NULL && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR
            ? rd_kafka_ListOffsets_result_infos(result, &count)
            : NULL;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_topic_partition_t *at =
            rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]);
        struct wr_kafka_split *split = split_of(s, at);
        if (at->err != RD_KAFKA_RESP_ERR_NO_ERROR || split == NULL) {
            continue;
        }
        s->down = false;
        /* Quiet since before it was asked, and nothing is new: what is new comes as rows and ends in CAUGHT_UP by itself. */
        if (split->quiet_since_ns <= asked_ns && at->offset <= split->position) {
            split->heard_ns = asked_ns > split->heard_ns ? asked_ns : split->heard_ns;
            if (split->unreachable) {
                split->unreachable = false;
                wr_kafka_put_mail(s, split, WR_KAFKA_MAIL_REACHABLE);
                split->mail &= ~(uint32_t)WR_KAFKA_MAIL_UNREACHABLE;
            }
        }
    }
    pthread_mutex_unlock(&s->lock);
}

static void take_answers(struct wr_source *s)
{
    rd_kafka_event_t *event;
    while (s->probes != NULL && (event = rd_kafka_queue_poll(s->probes, 0)) != NULL) {
        s->probes_out -= s->probes_out > 0;
        hear(s, event);
        rd_kafka_event_destroy(event);
    }
}

/* Asks for the ends of what is quiet. */
static void ask(struct wr_source *s, int64_t now_ns, int64_t every_ns)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->split_count; i++) {
        const struct wr_kafka_split *split = s->splits[i];
        if (split->assigned && split->quiet_since_ns != INT64_MAX) {
            rd_kafka_topic_partition_list_add(list, split->topic, split->partition)->offset =
                RD_KAFKA_OFFSET_SPEC_LATEST;
        }
    }
    pthread_mutex_unlock(&s->lock);
    if (list->cnt > 0) {
        char text[128];
        const int64_t timeout_ms = every_ns * 2 / WR_NS_PER_MS;
        rd_kafka_AdminOptions_t *options =
            rd_kafka_AdminOptions_new(s->rk, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
        (void)rd_kafka_AdminOptions_set_request_timeout(options, (int)timeout_ms + 1000, text,
                                                        sizeof text);
        rd_kafka_error_t *refused = rd_kafka_AdminOptions_set_isolation_level(
            options, RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED);
        if (refused != NULL) {
            rd_kafka_error_destroy(refused); /* then open transactions look like news: not idle */
        }
        rd_kafka_AdminOptions_set_opaque(options, (void *)(intptr_t)now_ns);
        s->probes = s->probes != NULL ? s->probes : rd_kafka_queue_new(s->rk);
        s->probes_out++;
        rd_kafka_ListOffsets(s->rk, list, options, s->probes);
        rd_kafka_AdminOptions_destroy(options);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

/* Quiet splits of which nothing was heard for too long. */
static void doubt(struct wr_source *s, int64_t now_ns, int64_t longest_ns)
{
    bool any = false;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->split_count; i++) {
        struct wr_kafka_split *split = s->splits[i];
        if (!split->assigned || split->quiet_since_ns == INT64_MAX) {
            continue;
        }
        if (!split->unreachable && now_ns - split->heard_ns > longest_ns) {
            split->unreachable = true;
            split->mail &= ~(uint32_t)WR_KAFKA_MAIL_REACHABLE;
            wr_kafka_put_mail(s, split, WR_KAFKA_MAIL_UNREACHABLE);
        }
        any = any || (split->mail & (WR_KAFKA_MAIL_UNREACHABLE | WR_KAFKA_MAIL_REACHABLE)) != 0;
    }
    pthread_mutex_unlock(&s->lock);
    for (uint32_t w = 0; any && w < s->env.workers; w++) {
        s->env.wake(s->env.wake_ctx, w);
    }
}

void wr_kafka_probe(struct wr_source *s, struct wr_time now)
{
    const int64_t idle_ns = s->env.plan->idle_timeout_us * 1000;
    if (s->env.bounded || idle_ns < 0) {
        return; /* nothing becomes idle */
    }
    int64_t every_ns = idle_ns / 6;
    every_ns = every_ns < PROBE_MIN_NS ? PROBE_MIN_NS : every_ns;
    every_ns = every_ns > PROBE_MAX_NS ? PROBE_MAX_NS : every_ns;
    take_answers(s);
    if (now.mono_ns - s->probed_ns >= every_ns && s->probes_out < PROBES_OUT_MAX) {
        s->probed_ns = now.mono_ns;
        ask(s, now.mono_ns, every_ns);
    }
    doubt(s, now.mono_ns, every_ns * 3);
}
