/* kafka_hold.c: splits that are held back while memory is short (weir/source.h, pause).
 *
 * A held split's reader drops its messages at once, those that were queued for it too, and takes no end for an end. Control
 * stops the fetching with its next tick, so that what waits takes no memory. To go on, control first seeks the position that the
 * split's rows have come to: librdkafka would resume at its own, which counts what was dropped (and, in batches, an end of the
 * partition). From the seek on it gives nothing that was fetched before, and nothing new until it is resumed: in between the
 * reader is told by mail, drops what it had taken out of the queue, and stops dropping. So nothing is lost, and nothing comes twice.
 *
 *   goes --hold--> held, adrift --tick: pause--> + stopped --let go--> adrift, stopped --tick: seek, mail-->
 *   --reader takes the mail--> stopped --tick: resume--> goes
 *
 * Held again on the way it turns round; revoked, all of it is forgotten (whoever gets the partition begins anew).
 */
#include "source/kafka_source.h"

#include "base/log.h"

#define SEEK_MS 2000

void wr_kafka_hold(struct wr_source *s, struct wr_kafka_split *split, bool held)
{
    pthread_mutex_lock(&s->lock);
    if (!split->assigned || (split->mail & (WR_KAFKA_MAIL_OPEN | WR_KAFKA_MAIL_REVOKED)) != 0) {
        pthread_mutex_unlock(&s->lock); /* taken away since, perhaps given back: it will be told */
        return;
    }
    split->held = held;
    if (held) {
        split->adrift = true;
        split->dropping = true;
        split->caught_up = false;
        split->quiet_since_ns = INT64_MAX; /* not at its end as far as it is known */
        split->unreachable = false;
        wr_kafka_take_mail_back(s, split, WR_KAFKA_MAIL_GO_ON | WR_KAFKA_MAIL_REACHABLE |
                                              WR_KAFKA_MAIL_UNREACHABLE);
    }
    pthread_mutex_unlock(&s->lock);
}

bool wr_kafka_forget_hold(struct wr_source *s, struct wr_kafka_split *split)
{
    const bool stopped = split->stopped;
    split->held = false;
    split->adrift = false;
    split->stopped = false;
    wr_kafka_take_mail_back(s, split, WR_KAFKA_MAIL_GO_ON);
    return stopped;
}

/* Under lock; NULL: none of them. */
static rd_kafka_topic_partition_list_t *listed(const struct wr_source *s,
                                               bool (*wanted)(const struct wr_kafka_split *))
{
    rd_kafka_topic_partition_list_t *list = NULL;
    for (uint32_t i = 0; i < s->split_count; i++) {
        const struct wr_kafka_split *split = s->splits[i];
        if (split->assigned && !split->ended && wanted(split)) {
            list = list != NULL ? list : rd_kafka_topic_partition_list_new(8);
            rd_kafka_topic_partition_t *at =
                rd_kafka_topic_partition_list_add(list, split->topic, split->partition);
            at->offset = split->position;
            at->opaque = s->splits[i];
        }
    }
    return list;
}

static bool to_stop(const struct wr_kafka_split *split)
{
    return split->adrift && !split->stopped; /* also when it may go on already: the position is sought while nothing comes */
}

static bool to_seek(const struct wr_kafka_split *split)
{
    return split->adrift && split->stopped && !split->held &&
           (split->mail & WR_KAFKA_MAIL_GO_ON) == 0;
}

static bool to_resume(const struct wr_kafka_split *split)
{
    return split->stopped && !split->adrift;
}

/* Under lock: what was done to the list's splits. */
static void mark(rd_kafka_topic_partition_list_t *list, bool stopped)
{
    for (int i = 0; i < list->cnt; i++) {
        ((struct wr_kafka_split *)list->elems[i].opaque)->stopped = stopped;
    }
}

static void stop(struct wr_source *s, rd_kafka_topic_partition_list_t *list)
{
    (void)rd_kafka_pause_partitions(s->rk, list); /* fails for partitions that are not there: none of these */
    pthread_mutex_lock(&s->lock);
    mark(list, true);
    pthread_mutex_unlock(&s->lock);
}

/* Held again meanwhile: the next tick pauses it again, and its reader drops what comes until then. */
static void resume(struct wr_source *s, rd_kafka_topic_partition_list_t *list)
{
    pthread_mutex_lock(&s->lock);
    mark(list, false);
    pthread_mutex_unlock(&s->lock);
    (void)rd_kafka_resume_partitions(s->rk, list);
}

/* Those whose position could not be sought stay as they are until the next tick. */
static void seek(struct wr_source *s, rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_error_t *error = rd_kafka_seek_partitions(s->rk, list, SEEK_MS);
    if (error != NULL) {
        wr_log_debug("kafka", "splits that were held back wait on: %s", rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
        return;
    }
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < list->cnt; i++) {
        struct wr_kafka_split *split = list->elems[i].opaque;
        if (list->elems[i].err == RD_KAFKA_RESP_ERR_NO_ERROR && !split->held) {
            wr_kafka_put_mail(s, split, WR_KAFKA_MAIL_GO_ON);
        }
    }
    pthread_mutex_unlock(&s->lock);
    for (uint32_t w = 0; w < s->env.workers; w++) {
        s->env.wake(s->env.wake_ctx, w);
    }
}

void wr_kafka_serve_holds(struct wr_source *s)
{
    static const struct {
        bool (*wanted)(const struct wr_kafka_split *);
        void (*act)(struct wr_source *, rd_kafka_topic_partition_list_t *);
    } steps[] = { { to_resume, resume }, { to_stop, stop }, { to_seek, seek } };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        pthread_mutex_lock(&s->lock);
        rd_kafka_topic_partition_list_t *list = listed(s, steps[i].wanted);
        pthread_mutex_unlock(&s->lock);
        if (list != NULL) {
            steps[i].act(s, list);
            rd_kafka_topic_partition_list_destroy(list);
        }
    }
}
