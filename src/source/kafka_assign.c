/* kafka_assign.c: topics and partitions -> splits with a start and an end; groups. */
#include "source/kafka_source.h"

#include "base/heap.h"
#include "base/log.h"
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ListOffsets: times that mean the ends of a partition's log (Kafka protocol, ListOffsets
 * request). */
#define TIME_LATEST (-1)
#define TIME_EARLIEST (-2)

/* Asking inside a rebalance holds up control: not for long. */
#define ASK_MS 5000
#define ASK_AGAIN_US 100000
#define FIRST_ASK_MS 2500

typedef rd_kafka_topic_partition_list_t partition_list;

wr_status wr_kafka_fail(struct wr_source *s, struct wr_error *err, rd_kafka_resp_err_t code,
                        const char *what)
{
    const bool reach = code == RD_KAFKA_RESP_ERR__TRANSPORT ||
                       code == RD_KAFKA_RESP_ERR__TIMED_OUT ||
                       code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
                       code == RD_KAFKA_RESP_ERR__RESOLVE;
    (void)wr_fail(err, WR_CLASS_FATAL, "%s: %s (brokers %s)", what,
                  reach ? "no broker could be reached" : rd_kafka_err2str(code), s->brokers);
    char trouble[sizeof s->trouble];
    pthread_mutex_lock(&s->lock);
    memcpy(trouble, s->trouble, sizeof trouble);
    pthread_mutex_unlock(&s->lock);
    if (wr_kafka_access_explain(s->access, trouble, err)) {
        return WR_FAIL;
    }
    if (reach) {
        wr_error_hint(err, "check that brokers names the cluster and that it runs: kcat -L -b %s",
                      s->brokers);
    } else if (code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
               code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED) {
        wr_error_hint(err, "the user needs the right to read the topic (and the group): ask the "
                           "cluster's administrator for ACLs");
    }
    return WR_FAIL;
}

/* ---- discovery ---- */

/* Asks twice: a cluster that has refused us by then would refuse us to the end of the patience as well. */
static rd_kafka_resp_err_t ask_metadata(struct wr_source *s, int all, rd_kafka_topic_t *topic,
                                        const struct rd_kafka_metadata **metadata, int timeout_ms)
{
    const int first_ms = timeout_ms < FIRST_ASK_MS ? timeout_ms : FIRST_ASK_MS;
    const rd_kafka_resp_err_t code = rd_kafka_metadata(s->rk, all, topic, metadata, first_ms);
    char trouble[sizeof s->trouble];
    pthread_mutex_lock(&s->lock);
    memcpy(trouble, s->trouble, sizeof trouble);
    pthread_mutex_unlock(&s->lock);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || first_ms == timeout_ms ||
        wr_kafka_access_refused(s->access, trouble)) {
        return code;
    }
    return rd_kafka_metadata(s->rk, all, topic, metadata, timeout_ms - first_ms);
}

static wr_status add_topic(struct wr_source *s, const struct rd_kafka_metadata_topic *topic,
                           partition_list *list, struct wr_error *err)
{
    if (topic->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        char what[300];
        (void)snprintf(what, sizeof what, "topic %s", topic->topic);
        const bool missing = topic->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        (void)wr_kafka_fail(s, err, topic->err, what);
        s->topic_missing = missing;
        if (missing) {
            (void)wr_fail(err, WR_CLASS_FATAL, "topic %s does not exist (brokers %s)",
                          topic->topic, s->brokers);
            wr_error_hint(err, "check the name: kcat -L -b %s; or create it: kafka-topics.sh "
                               "--bootstrap-server %s --create --topic %s",
                          s->brokers, s->brokers, topic->topic);
        }
        return WR_FAIL;
    }
    for (int p = 0; p < topic->partition_cnt; p++) {
        if (rd_kafka_topic_partition_list_find(list, topic->topic, topic->partitions[p].id) ==
            NULL) {
            rd_kafka_topic_partition_list_add(list, topic->topic, topic->partitions[p].id);
        }
    }
    return WR_OK;
}

static wr_status ask_topic(struct wr_source *s, const char *name, int timeout_ms,
                           partition_list *list, struct wr_error *err)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(s->rk, name, NULL);
    wr_ensure(topic != NULL, err, WR_CLASS_USER, "'%s' cannot be a topic's name", name);
    const struct rd_kafka_metadata *metadata = NULL;
    const rd_kafka_resp_err_t code = ask_metadata(s, 0, topic, &metadata, timeout_ms);
    rd_kafka_topic_destroy(topic);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        char what[300];
        (void)snprintf(what, sizeof what, "cannot read topic %s", name);
        return wr_kafka_fail(s, err, code, what);
    }
    const wr_status status = add_topic(s, &metadata->topics[0], list, err);
    rd_kafka_metadata_destroy(metadata);
    return status;
}

static wr_status ask_pattern(struct wr_source *s, const char *pattern, int timeout_ms,
                             partition_list *list, struct wr_error *err)
{
    regex_t regex;
    wr_ensure(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) == 0, err, WR_CLASS_USER,
              "topic = '%s' is not a regular expression", pattern);
    const struct rd_kafka_metadata *metadata = NULL;
    const rd_kafka_resp_err_t code = ask_metadata(s, 1, NULL, &metadata, timeout_ms);
    wr_status status = WR_OK;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        status = wr_kafka_fail(s, err, code, "cannot list topics");
    } else {
        for (int t = 0; t < metadata->topic_cnt && status == WR_OK; t++) {
            const struct rd_kafka_metadata_topic *topic = &metadata->topics[t];
            if (topic->err == RD_KAFKA_RESP_ERR_NO_ERROR &&
                regexec(&regex, topic->topic, 0, NULL, 0) == 0) {
                status = add_topic(s, topic, list, err);
            }
        }
        rd_kafka_metadata_destroy(metadata);
    }
    regfree(&regex);
    return status;
}

wr_status wr_kafka_discover(struct wr_source *s, int timeout_ms, partition_list **out,
                            struct wr_error *err)
{
    partition_list *list = rd_kafka_topic_partition_list_new(16);
    wr_status status = WR_OK;
    for (uint32_t t = 0; t < s->topic_count && status == WR_OK; t++) {
        const char *name = s->topics[t];
        status = name[0] == '^' ? ask_pattern(s, name, timeout_ms, list, err)
                                : ask_topic(s, name, timeout_ms, list, err);
    }
    if (status == WR_OK && list->cnt == 0 && s->split_count == 0) {
        status = wr_fail(err, WR_CLASS_FATAL, "no topic matches (brokers %s)", s->brokers);
        wr_error_hint(err, "the topics are listed by: kcat -L -b %s", s->brokers);
    }
    if (status != WR_OK) {
        rd_kafka_topic_partition_list_destroy(list);
        return status;
    }
    rd_kafka_topic_partition_list_sort(list, NULL, NULL);
    *out = list;
    return WR_OK;
}

/* ---- starts and ends ---- */

/* A partition that is just made, or whose leader just changed, is served a moment later. */
static bool passes_by_itself(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
           code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
           code == RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE ||
           code == RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH ||
           code == RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH;
}

static rd_kafka_resp_err_t ask_offsets(struct wr_source *s, partition_list *list, int64_t time,
                                       int timeout_ms)
{
    for (int i = 0; i < list->cnt; i++) {
        list->elems[i].offset = time;
        list->elems[i].err = RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(s->rk, list, timeout_ms);
    for (int i = 0; i < list->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        code = list->elems[i].err;
    }
    return code;
}

/* Sets each partition's offset to that of a time (or TIME_...). */
static wr_status offsets_at(struct wr_source *s, partition_list *list, int64_t time,
                            struct wr_error *err)
{
    if (list->cnt == 0) {
        return WR_OK;
    }
    const int64_t until_ns = wr_clock_now().mono_ns + WR_KAFKA_OPEN_MS * WR_NS_PER_MS;
    rd_kafka_resp_err_t code = ask_offsets(s, list, time, WR_KAFKA_OPEN_MS);
    while (passes_by_itself(code)) {
        const int64_t left_ns = until_ns - wr_clock_now().mono_ns;
        if (left_ns < WR_NS_PER_S) {
            break;
        }
        (void)usleep(ASK_AGAIN_US);
        code = ask_offsets(s, list, time, (int)(left_ns / WR_NS_PER_MS));
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? WR_OK
               : wr_kafka_fail(s, err, code, "cannot ask for the partitions' offsets");
}

/* Where the group has come to: partitions with an offset get it, the others keep a negative one. */
static wr_status committed_offsets(struct wr_source *s, partition_list *list, struct wr_error *err)
{
    const rd_kafka_resp_err_t code = rd_kafka_committed(s->rk, list, ASK_MS);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? WR_OK
               : wr_kafka_fail(s, err, code, "cannot ask for the group's offsets");
}

/* The manifest's position, or -1. */
static int64_t manifest_position(const struct wr_source *s, const char *topic, int32_t partition)
{
    char name[300]; /* a topic's name has at most 249 characters */
    (void)snprintf(name, sizeof name, "%s/%d", topic, partition);
    for (uint32_t i = 0; s->env.resumed && i < s->env.start_count; i++) {
        if (strcmp(s->env.starts[i].name, name) == 0) {
            return s->env.starts[i].next_position;
        }
    }
    return -1;
}

/* Positions that somebody had come to: the group, and over it the manifest. */
static wr_status known_positions(struct wr_source *s, partition_list *list, bool by_group,
                                 struct wr_error *err)
{
    for (int i = 0; i < list->cnt; i++) {
        list->elems[i].offset = RD_KAFKA_OFFSET_INVALID;
    }
    if (by_group) {
        WR_TRY(committed_offsets(s, list, err));
    }
    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_topic_partition_t *at = &list->elems[i];
        const int64_t ours = manifest_position(s, at->topic, at->partition);
        at->offset = ours > at->offset ? ours : at->offset;
    }
    return WR_OK;
}

/* Messages between the position and low, the oldest that is left, are gone; or the log ends before the position. */
static wr_status check_position(const struct wr_source *s, rd_kafka_topic_partition_t *at,
                                int64_t low, int64_t high, struct wr_error *err)
{
    const long long position = at->offset;
    if (position > high) {
        (void)wr_fail(err, WR_CLASS_FATAL,
                      "topic %s, partition %d ends at offset %lld, before the position %lld that is to be read next", at->topic,
                      at->partition, (long long)high, position);
        wr_error_hint(err, "the topic was made anew, or the brokers lost messages: begin anew with weir state reset%s",
                      s->group != NULL ? " and another group_id" : "");
        return WR_FAIL;
    }
    if (position >= low) {
        return WR_OK;
    }
    if (s->skip_gaps) {
        wr_log_warn("kafka", "topic %s, partition %d: offsets %lld to %lld were deleted before they were read: up to %lld messages "
                             "are skipped", at->topic, at->partition, position, (long long)low - 1, (long long)low - position);
        at->offset = low;
        return WR_OK;
    }
    (void)wr_fail(err, WR_CLASS_FATAL, "topic %s, partition %d: up to %lld messages are lost: offset %lld is to be read next, the "
                                       "oldest that is left is %lld",
                  at->topic, at->partition, (long long)low - position, position, (long long)low);
    wr_error_hint(err, "retention deleted them before they were read; on_gap = 'skip' goes on with what is left");
    return WR_FAIL;
}

static wr_status check_positions(struct wr_source *s, partition_list *list, struct wr_error *err)
{
    partition_list *low = rd_kafka_topic_partition_list_new(list->cnt);
    for (int i = 0; i < list->cnt; i++) {
        if (list->elems[i].offset >= 0) {
            rd_kafka_topic_partition_list_add(low, list->elems[i].topic, list->elems[i].partition);
        }
    }
    partition_list *high = rd_kafka_topic_partition_list_copy(low);
    wr_status status = offsets_at(s, low, TIME_EARLIEST, err);
    if (status == WR_OK) {
        status = offsets_at(s, high, TIME_LATEST, err);
    }
    for (int i = 0; i < low->cnt && status == WR_OK; i++) {
        rd_kafka_topic_partition_t *at = rd_kafka_topic_partition_list_find(
            list, low->elems[i].topic, low->elems[i].partition);
        status = check_position(s, at, low->elems[i].offset, high->elems[i].offset, err);
    }
    rd_kafka_topic_partition_list_destroy(low);
    rd_kafka_topic_partition_list_destroy(high);
    return status;
}

/* Sets where partitions begin that nobody has come to: at `start`, when they are there from the start on. */
static wr_status fresh_starts(struct wr_source *s, partition_list *list, bool later,
                              struct wr_error *err)
{
    int64_t time = TIME_EARLIEST;
    if (!s->env.resumed && (!later || s->group != NULL)) {
        time = s->start == WR_KAFKA_LATEST ? TIME_LATEST
                                           : (s->start == WR_KAFKA_TIME ? s->start_ms : time);
    }
    WR_TRY(offsets_at(s, list, time, err));
    wr_status status = WR_OK;
    for (int i = 0; i < list->cnt && status == WR_OK; i++) {
        if (list->elems[i].offset < 0) { /* no message since that time */
            partition_list *one = rd_kafka_topic_partition_list_new(1);
            rd_kafka_topic_partition_list_add(one, list->elems[i].topic, list->elems[i].partition);
            status = offsets_at(s, one, TIME_LATEST, err);
            list->elems[i].offset = one->elems[0].offset;
            rd_kafka_topic_partition_list_destroy(one);
        }
    }
    return status;
}

/* Fills list's offsets with where each partition begins. */
static wr_status find_starts(struct wr_source *s, partition_list *list, bool later,
                             struct wr_error *err)
{
    const bool by_group =
        s->group != NULL && (later || s->env.resumed || s->start == WR_KAFKA_COMMITTED);
    WR_TRY(known_positions(s, list, by_group, err));
    WR_TRY(check_positions(s, list, err));
    partition_list *fresh = rd_kafka_topic_partition_list_new(list->cnt);
    for (int i = 0; i < list->cnt; i++) {
        if (list->elems[i].offset < 0) {
            rd_kafka_topic_partition_list_add(fresh, list->elems[i].topic,
                                              list->elems[i].partition);
        }
    }
    const wr_status status = fresh_starts(s, fresh, later, err);
    for (int i = 0; i < fresh->cnt && status == WR_OK; i++) {
        rd_kafka_topic_partition_list_find(list, fresh->elems[i].topic, fresh->elems[i].partition)
            ->offset = fresh->elems[i].offset;
    }
    rd_kafka_topic_partition_list_destroy(fresh);
    return status;
}

/* ---- splits ---- */

/* Under lock. */
static struct wr_kafka_split *find_split(struct wr_source *s, const char *topic, int32_t partition)
{
    for (uint32_t i = 0; i < s->split_count; i++) {
        if (s->splits[i]->partition == partition && strcmp(s->splits[i]->topic, topic) == 0) {
            return s->splits[i];
        }
    }
    return NULL;
}

/* Under lock. */
static struct wr_kafka_split *make_split(struct wr_source *s, const char *topic, int32_t partition)
{
    struct wr_kafka_split *split = wr_calloc(1, sizeof *split);
    split->index = s->split_count;
    split->worker = split->index % s->env.workers;
    split->topic = wr_strdup(topic);
    split->partition = partition;
    split->name = wr_malloc(strlen(topic) + 16);
    (void)snprintf(split->name, strlen(topic) + 16, "%s/%d", topic, partition);
    s->splits = wr_realloc(s->splits, (s->split_count + 1) * sizeof(struct wr_kafka_split *));
    s->splits[s->split_count++] = split;
    return split;
}

/* Under lock: the reader is told with its next poll. */
void wr_kafka_put_mail(struct wr_source *s, struct wr_kafka_split *split, uint32_t mail)
{
    s->mail[split->worker] += split->mail == 0;
    split->mail |= mail;
}

/* Under lock. */
void wr_kafka_take_mail_back(struct wr_source *s, struct wr_kafka_split *split, uint32_t mail)
{
    const bool had = split->mail != 0;
    split->mail &= ~mail;
    s->mail[split->worker] -= had && split->mail == 0;
}

/* Under lock. */
static void open_split(struct wr_source *s, const rd_kafka_topic_partition_t *at, int64_t end)
{
    struct wr_kafka_split *split = find_split(s, at->topic, at->partition);
    if (split == NULL) {
        split = make_split(s, at->topic, at->partition);
    }
    split->assigned = true;
    split->start = at->offset;
    split->position = at->offset;
    split->end = end;
    split->ended = false;
    split->paused = false;
    (void)wr_kafka_forget_hold(s, split);
    split->quiet_since_ns = INT64_MAX;
    split->unreachable = false;
    s->open_ends++;
    wr_kafka_put_mail(s, split, WR_KAFKA_MAIL_OPEN);
}

/* Before the assignment: no message may come into the client's common queue. */
static void forward(struct wr_source *s, const rd_kafka_topic_partition_t *at)
{
    pthread_mutex_lock(&s->lock);
    const uint32_t worker = find_split(s, at->topic, at->partition)->worker;
    pthread_mutex_unlock(&s->lock);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_partition(s->rk, at->topic, at->partition);
    rd_kafka_queue_forward(queue, s->queues[worker]);
    rd_kafka_queue_destroy(queue);
}

static wr_status assign_now(struct wr_source *s, partition_list *list, struct wr_error *err)
{
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (s->group != NULL && strcmp(rd_kafka_rebalance_protocol(s->rk), "COOPERATIVE") != 0) {
        code = rd_kafka_assign(s->rk, list);
    } else {
        rd_kafka_error_t *error = rd_kafka_incremental_assign(s->rk, list);
        if (error != NULL) {
            code = rd_kafka_error_code(error);
            rd_kafka_error_destroy(error);
        }
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? WR_OK
               : wr_kafka_fail(s, err, code, "cannot assign partitions");
}

wr_status wr_kafka_assign(struct wr_source *s, partition_list *list, bool later,
                          struct wr_error *err)
{
    partition_list *ends = rd_kafka_topic_partition_list_copy(list);
    wr_status status = s->env.bounded ? offsets_at(s, ends, TIME_LATEST, err) : WR_OK;
    if (status == WR_OK) {
        status = find_starts(s, list, later, err);
    }
    if (status == WR_OK) {
        /* Announced before any reader can see the first of them. */
        wr_open_gate_announce(&s->gate, (uint32_t)list->cnt);
        pthread_mutex_lock(&s->lock);
        for (int i = 0; i < list->cnt; i++) {
            open_split(s, &list->elems[i], s->env.bounded ? ends->elems[i].offset : INT64_MAX);
        }
        s->assigned_once = s->assigned_once || list->cnt > 0;
        pthread_mutex_unlock(&s->lock);
        for (int i = 0; i < list->cnt; i++) {
            forward(s, &list->elems[i]);
        }
        status = assign_now(s, list, err);
        for (uint32_t w = 0; w < s->env.workers; w++) {
            s->env.wake(s->env.wake_ctx, w);
        }
    }
    rd_kafka_topic_partition_list_destroy(ends);
    return status;
}

void wr_kafka_revoke(struct wr_source *s, const partition_list *list)
{
    uint32_t never_opened = 0;
    rd_kafka_topic_partition_list_t *stopped = rd_kafka_topic_partition_list_new(4);
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < list->cnt; i++) {
        struct wr_kafka_split *split =
            find_split(s, list->elems[i].topic, list->elems[i].partition);
        if (split == NULL || !split->assigned) {
            continue;
        }
        split->assigned = false;
        if (wr_kafka_forget_hold(s, split) || split->paused) {
            rd_kafka_topic_partition_list_add(stopped, split->topic, split->partition);
        }
        split->quiet_since_ns = INT64_MAX;
        s->open_ends -= !split->ended;
        split->ended = true;
        wr_kafka_take_mail_back(s, split, WR_KAFKA_MAIL_UNREACHABLE | WR_KAFKA_MAIL_REACHABLE);
        if ((split->mail & WR_KAFKA_MAIL_OPEN) != 0) {
            wr_kafka_take_mail_back(s, split, WR_KAFKA_MAIL_OPEN); /* came and went between two polls */
            never_opened++;
        } else {
            wr_kafka_put_mail(s, split, WR_KAFKA_MAIL_REVOKED);
        }
    }
    pthread_mutex_unlock(&s->lock);
    (void)rd_kafka_resume_partitions(s->rk, stopped); /* or they would stay so when they come back */
    rd_kafka_topic_partition_list_destroy(stopped);
    wr_open_gate_confirm(&s->gate, never_opened);
    for (uint32_t w = 0; w < s->env.workers; w++) {
        s->env.wake(s->env.wake_ctx, w);
    }
}

/* A cooperative rebalance pauses all partitions that stay, at librdkafka's own position, which may lie behind a message that was
 * never given (kafka_reader.c, refill), and assigning or unassigning resumes them. In between they are sent back to where their
 * rows have come to: what was taken out of the queue meanwhile comes again, and is dropped (split->next). */
static void seek_those_that_stay(struct wr_source *s, const partition_list *moving)
{
    partition_list *list = rd_kafka_topic_partition_list_new(8);
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->split_count; i++) {
        const struct wr_kafka_split *split = s->splits[i];
        if (split->assigned && rd_kafka_topic_partition_list_find((partition_list *)moving, split->topic,
                                                                  split->partition) == NULL) {
            rd_kafka_topic_partition_list_add(list, split->topic, split->partition)->offset =
                split->position;
        }
    }
    pthread_mutex_unlock(&s->lock);
    /* Without waiting: librdkafka takes it up before the resumption, which comes after it by the same way. */
    rd_kafka_error_t *error = list->cnt > 0 ? rd_kafka_seek_partitions(s->rk, list, 0) : NULL;
    if (error != NULL) {
        wr_log_debug("kafka", "after a rebalance: %s", rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

void wr_kafka_rebalance_cb(rd_kafka_t *rk, rd_kafka_resp_err_t code, partition_list *list,
                           void *opaque)
{
    struct wr_source *s = opaque;
    const bool cooperative = strcmp(rd_kafka_rebalance_protocol(rk), "COOPERATIVE") == 0;
    if (cooperative && !s->closing) {
        seek_those_that_stay(s, list);
    }
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && !s->closing) {
        const bool later = s->rebalanced;
        s->rebalanced = true;
        s->rebalanced_ns = wr_clock_now().mono_ns;
        wr_log_info("kafka", "group %s: %d partitions assigned", s->group, list->cnt);
        if (wr_kafka_assign(s, list, later, &s->failure) != WR_OK) {
            rd_kafka_assign(rk, NULL); /* the failure ends the run with the next tick */
        }
        return;
    }
    s->rebalanced_ns = wr_clock_now().mono_ns;
    wr_log_info("kafka", "group %s: %d partitions revoked%s", s->group, list->cnt,
                rd_kafka_assignment_lost(rk) ? " (the assignment was lost)" : "");
    wr_kafka_revoke(s, list);
    if (cooperative) {
        rd_kafka_error_t *error = rd_kafka_incremental_unassign(rk, list);
        if (error != NULL) {
            rd_kafka_error_destroy(error); /* they are gone already */
        }
    } else {
        rd_kafka_assign(rk, NULL);
    }
}
