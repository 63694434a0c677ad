/* kafka_reader.c: a worker's queue -> records. Messages are lent as librdkafka gave them and
 * destroyed on release.
 *
 * The queue mixes partitions; records do not. So up to a batch of messages is taken at once (never
 * waiting for more), and each poll picks one partition's out of it, in order.
 * Steady state allocates nothing here: records objects are pooled.
 */
#include "source/kafka_source.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/log.h"
#include "batch/header_json.h"
#include "batch/text.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct kafka_records {
    struct wr_records base; /* first: records and this are the same address */
    struct kafka_records *next;
    rd_kafka_message_t **messages; /* base.count of them */
    struct wr_record items[];
};

struct wr_reader {
    struct wr_source *source;
    uint32_t worker;
    struct wr_io *io;
    rd_kafka_queue_t *queue;
    rd_kafka_message_t **chunk; /* taken from the queue, not yet given; count of them */
    uint32_t count;
    uint32_t rows; /* capacity of chunk and of records */
    struct kafka_records *free;
    uint32_t records_out;
    struct wr_kafka_split **splits; /* told open at least once */
    uint32_t split_count;
    struct wr_kafka_split *last;   /* found last */
    struct wr_kafka_split *ending; /* bounded: SPLIT_ENDED is due */
    uint32_t unconfirmed;
    int event_fd;
    bool armed;
    struct wr_io_op op;
    rd_kafka_resp_err_t warned; /* said once in a row */
};

/* ---- wake-ups ---- */

static void event_done(struct wr_io_op *op)
{
    struct wr_reader *r = op->ctx;
    uint64_t count;
    r->armed = false;
    if (read(r->event_fd, &count, sizeof count) < 0) {
        return; /* nothing to take back: the next poll looks into the queue anyway */
    }
}

/* Only after the queue was found empty: librdkafka fires once for each time that it was. */
static void arm(struct wr_reader *r)
{
    if (!r->armed) {
        r->armed = true;
        r->op = (struct wr_io_op){
            .kind = WR_IO_POLL, .fd = r->event_fd, .done = event_done, .ctx = r
        };
        wr_io_submit(r->io, &r->op);
    }
}

wr_status wr_kafka_reader_open(struct wr_reader **out, struct wr_source *s, uint32_t worker,
                               struct wr_io *io, struct wr_error *err)
{
    const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    wr_ensure(fd >= 0, err, WR_CLASS_FATAL, "cannot make an eventfd: %s", strerror(errno));
    struct wr_reader *r = wr_calloc(1, sizeof *r);
    r->source = s;
    r->worker = worker;
    r->io = io;
    r->queue = s->queues[worker];
    r->rows = s->env.batch_rows;
    r->chunk = wr_calloc(r->rows, sizeof(rd_kafka_message_t *));
    r->event_fd = fd;
    const uint64_t one = 1;
    rd_kafka_queue_io_event_enable(r->queue, fd, &one, sizeof one);
    *out = r;
    return WR_OK;
}

void wr_kafka_reader_close(struct wr_reader *r)
{
    wr_assert(r->records_out == 0);
    rd_kafka_queue_io_event_enable(r->queue, -1, NULL, 0);
    if (r->armed) {
        wr_io_cancel(r->io, &r->op);
    }
    while (r->armed) {
        wr_io_turn(r->io, -1);
    }
    for (uint32_t i = 0; i < r->count; i++) {
        rd_kafka_message_destroy(r->chunk[i]);
    }
    while (r->free != NULL) {
        struct kafka_records *records = r->free;
        r->free = records->next;
        free(records->messages);
        free(records);
    }
    close(r->event_fd);
    free(r->splits);
    free(r->chunk);
    free(r);
}

/* ---- records ---- */

static void release_records(struct wr_records *base)
{
    struct kafka_records *records = (struct kafka_records *)base;
    struct wr_reader *r = base->owner;
    for (uint32_t i = 0; i < base->count; i++) {
        rd_kafka_message_destroy(records->messages[i]);
    }
    records->next = r->free;
    r->free = records;
    r->records_out--;
}

/* A later header of the same name wins, as with Kafka's own lastHeader(). */
static bool comes_again(const rd_kafka_headers_t *headers, size_t at, const char *name)
{
    const char *other;
    const void *value;
    size_t bytes;
    for (size_t i = at + 1; rd_kafka_header_get_all(headers, i, &other, &value, &bytes) ==
                            RD_KAFKA_RESP_ERR_NO_ERROR;
         i++) {
        if (strcmp(name, other) == 0) {
            return true;
        }
    }
    return false;
}

static struct wr_slice headers_json(const struct wr_records *base, uint32_t index, void *into)
{
    struct wr_buf *buf = into;
    /* Of base nothing but the items: it may be a copy, and may begin elsewhere in them. */
    const rd_kafka_message_t *message = base->items[index].handle;
    rd_kafka_headers_t *headers = NULL;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_cnt(headers) == 0) {
        return (struct wr_slice){ 0 };
    }
    const size_t begin = buf->bytes;
    const char *name;
    const void *value;
    size_t bytes;
    wr_buf_byte(buf, '{');
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &bytes) ==
                       RD_KAFKA_RESP_ERR_NO_ERROR;
         i++) {
        if (comes_again(headers, i, name)) {
            continue;
        }
        if (buf->bytes > begin + 1) {
            wr_buf_byte(buf, ',');
        }
        wr_text_json_string(buf, name, strlen(name));
        wr_buf_byte(buf, ':');
        if (value == NULL) {
            wr_buf_text(buf, "null");
        } else {
            wr_header_json_put(buf, value, bytes);
        }
    }
    wr_buf_byte(buf, '}');
    return (struct wr_slice){ buf->data + begin, buf->bytes - begin };
}

static struct wr_slice header(const struct wr_records *base, uint32_t index, const char *name)
{
    rd_kafka_headers_t *headers = NULL;
    const void *value;
    size_t bytes;
    if (rd_kafka_message_headers(base->items[index].handle, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        rd_kafka_header_get_last(headers, name, &value, &bytes) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return (struct wr_slice){ 0 };
    }
    return (struct wr_slice){ value, bytes };
}

static struct kafka_records *take_records(struct wr_reader *r, uint32_t split)
{
    struct kafka_records *records = r->free;
    if (records == NULL) {
        records = wr_malloc(sizeof *records + r->rows * sizeof records->items[0]);
        records->messages = wr_calloc(r->rows, sizeof(rd_kafka_message_t *));
    } else {
        r->free = records->next;
    }
    r->records_out++;
    records->next = NULL;
    records->base = (struct wr_records){ .items = records->items,
                                         .refs = 1,
                                         .split = split,
                                         .release = release_records,
                                         .headers_json = headers_json,
                                         .header = header,
                                         .owner = r };
    return records;
}

static void add_record(struct kafka_records *records, rd_kafka_message_t *message)
{
    const int64_t ms = rd_kafka_message_timestamp(message, NULL);
    const bool large = message->len > WR_RECORD_BYTES_MAX;
    records->messages[records->base.count] = message;
    records->items[records->base.count++] = (struct wr_record){
        .data = message->payload,
        .bytes = large ? WR_RECORD_BYTES_MAX : (uint32_t)message->len,
        .key = message->key,
        .key_bytes = (uint32_t)message->key_len, /* a message is smaller than 2^31 */
        .position = message->offset,
        .timestamp_us = ms >= 0 ? ms * 1000 : WR_RECORD_NO_TIME,
        .handle = message
    };
    records->base.payload_bytes += message->len;
}

/* ---- splits ---- */

static struct wr_kafka_split *find_split(struct wr_reader *r, const rd_kafka_message_t *message)
{
    const char *topic = rd_kafka_topic_name(message->rkt);
    if (r->last != NULL && r->last->partition == message->partition &&
        strcmp(r->last->topic, topic) == 0) {
        return r->last;
    }
    for (uint32_t i = 0; i < r->split_count; i++) {
        struct wr_kafka_split *split = r->splits[i];
        if (split->partition == message->partition && strcmp(split->topic, topic) == 0) {
            r->last = split;
            return split;
        }
    }
    return NULL;
}

static void remember(struct wr_reader *r, struct wr_kafka_split *split)
{
    for (uint32_t i = 0; i < r->split_count; i++) {
        if (r->splits[i] == split) {
            return;
        }
    }
    r->splits = wr_realloc(r->splits, (r->split_count + 1) * sizeof(struct wr_kafka_split *));
    r->splits[r->split_count++] = split;
}

/* What was taken out of the queue while the split was held lies behind a gap. */
static void end_dropping(struct wr_reader *r, struct wr_kafka_split *split)
{
    uint32_t kept = 0;
    if (!split->dropping) {
        return;
    }
    split->dropping = false;
    for (uint32_t i = 0; i < r->count; i++) {
        rd_kafka_message_t *message = r->chunk[i];
        if (message->rkt != NULL && find_split(r, message) == split) {
            rd_kafka_message_destroy(message);
        } else {
            r->chunk[kept++] = message;
        }
    }
    r->count = kept;
}

void wr_kafka_reader_pause(struct wr_reader *r, uint32_t index, bool paused)
{
    for (uint32_t i = 0; i < r->split_count; i++) {
        if (r->splits[i]->index == index && r->splits[i]->open) {
            wr_kafka_hold(r->source, r->splits[i], paused);
        }
    }
}

/* Under lock: the brokers do not answer, or do so again. */
static void reach_mail(struct wr_kafka_split *split, struct wr_poll *out)
{
    const bool reachable = (split->mail & WR_KAFKA_MAIL_REACHABLE) != 0;
    split->mail &= ~(uint32_t)(WR_KAFKA_MAIL_REACHABLE | WR_KAFKA_MAIL_UNREACHABLE);
    if (split->open && split->caught_up) { /* else rows came meanwhile: their end tells it anew */
        out->kind = reachable ? WR_POLL_SPLIT_CAUGHT_UP : WR_POLL_SPLIT_UNREACHABLE;
    }
}

/* Under lock: tells one piece of mail. */
static void open_mail(struct wr_reader *r, struct wr_kafka_split *split, struct wr_poll *out)
{
    out->split = split->index;
    if ((split->mail & WR_KAFKA_MAIL_REVOKED) != 0) {
        split->mail &= ~(uint32_t)WR_KAFKA_MAIL_REVOKED;
        split->open = false;
        end_dropping(r, split);
        r->ending = r->ending == split ? NULL : r->ending;
        out->kind = WR_POLL_SPLIT_REVOKED;
    } else if ((split->mail & WR_KAFKA_MAIL_GO_ON) != 0) {
        split->mail &= ~(uint32_t)WR_KAFKA_MAIL_GO_ON;
        split->adrift = false; /* nothing comes before control has seen this */
        end_dropping(r, split);
    } else if ((split->mail & WR_KAFKA_MAIL_OPEN) == 0) {
        reach_mail(split, out);
    } else {
        split->mail &= ~(uint32_t)WR_KAFKA_MAIL_OPEN;
        split->open = true;
        end_dropping(r, split);
        split->caught_up = false;
        split->reads_to = split->end;
        split->next = split->start > split->next ? split->start : split->next;
        r->ending = split->next >= split->end ? split : r->ending;
        r->unconfirmed = 1;
        out->kind = WR_POLL_SPLIT_OPENED;
        out->split_name = split->name;
        out->topic = split->topic;
        out->partition = split->partition;
        out->next_position = split->next;
    }
    r->source->mail[r->worker] -= split->mail == 0;
}

/* Whether there was any that the caller is to be told. */
static bool take_mail(struct wr_reader *r, struct wr_poll *out)
{
    struct wr_source *s = r->source;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0;
         s->mail[r->worker] > 0 && i < s->split_count && out->kind == WR_POLL_NOTHING; i++) {
        if (s->splits[i]->worker == r->worker && s->splits[i]->mail != 0) {
            open_mail(r, s->splits[i], out);
            remember(r, s->splits[i]);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return out->kind != WR_POLL_NOTHING;
}

/* Bounded: everything up to the end that the split had at open was given. */
static void tell_end(struct wr_reader *r, struct wr_poll *out)
{
    struct wr_source *s = r->source;
    struct wr_kafka_split *split = r->ending;
    r->ending = NULL;
    split->open = false;
    out->kind = WR_POLL_SPLIT_ENDED;
    out->split = split->index;
    pthread_mutex_lock(&s->lock);
    s->open_ends -= !split->ended;
    split->ended = true;
    const bool all = s->open_ends == 0;
    pthread_mutex_unlock(&s->lock);
    for (uint32_t w = 0; all && w < s->env.workers; w++) {
        s->env.wake(s->env.wake_ctx, w);
    }
}

static bool all_ended(struct wr_source *s)
{
    pthread_mutex_lock(&s->lock);
    const bool ended = s->assigned_once && s->open_ends == 0;
    pthread_mutex_unlock(&s->lock);
    return ended;
}

/* quiet: its end. Whether it was told unreachable before, or is about to be. */
static bool note_position(struct wr_source *s, struct wr_kafka_split *split, int64_t position,
                          bool quiet)
{
    const int64_t now_ns = quiet ? wr_clock_now().mono_ns : 0;
    pthread_mutex_lock(&s->lock);
    split->position = position;
    split->quiet_since_ns = quiet ? now_ns : INT64_MAX;
    split->heard_ns = quiet ? now_ns : split->heard_ns;
    const bool doubted = split->unreachable;
    split->unreachable = false;
    s->down = false; /* somebody answers */
    pthread_mutex_unlock(&s->lock);
    return doubted;
}

/* ---- the queue's contents ---- */

static void drop_first(struct wr_reader *r)
{
    rd_kafka_message_destroy(r->chunk[0]);
    memmove(r->chunk, r->chunk + 1, (r->count - 1) * sizeof r->chunk[0]);
    r->count--;
}

static bool gone(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
           code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
           code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID;
}

/* An error in place of a message: WR_FAIL ends the run. */
static wr_status message_error(struct wr_reader *r, const rd_kafka_message_t *message,
                               struct wr_error *err)
{
    const char *topic = message->rkt != NULL ? rd_kafka_topic_name(message->rkt) : "?";
    if (gone(message->err)) {
        (void)wr_fail(err, WR_CLASS_FATAL, "topic %s, partition %d is not there any more", topic,
                      message->partition);
        wr_error_detail(err, "%s", rd_kafka_message_errstr(message));
        wr_error_hint(err, "start again once the topic exists: kcat -L -b %s", r->source->brokers);
        return WR_FAIL;
    }
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
        (void)wr_fail(err, WR_CLASS_FATAL,
                      "topic %s, partition %d: offset %lld is not there any more", topic,
                      message->partition, (long long)message->offset);
        wr_error_detail(err, "%s", rd_kafka_message_errstr(message));
        wr_error_hint(err, "messages were deleted (retention) before they were read: a start with "
                           "on_gap = 'skip' goes on with what is left");
        return WR_FAIL;
    }
    if (message->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
        message->err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
        message->err == RD_KAFKA_RESP_ERR__BAD_MSG || message->err == RD_KAFKA_RESP_ERR__FATAL ||
        message->err == RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED) {
        return wr_fail(err, WR_CLASS_FATAL, "topic %s, partition %d, offset %lld: %s", topic,
                       message->partition, (long long)message->offset,
                       rd_kafka_message_errstr(message));
    }
    if (r->warned != message->err) {
        r->warned = message->err;
        wr_log_warn("kafka", "topic %s, partition %d: %s; it goes on by itself", topic,
                    message->partition, rd_kafka_message_errstr(message));
    }
    return WR_OK;
}

static bool same_split(const rd_kafka_message_t *a, const rd_kafka_message_t *b)
{
    return a->partition == b->partition && a->rkt == b->rkt;
}

/* Takes the first message's partition out of the chunk, up to an event of it; the others stay in
 * order. */
static void gather(struct wr_reader *r, struct wr_kafka_split *split, struct wr_poll *out)
{
    struct kafka_records *records = take_records(r, split->index);
    const rd_kafka_message_t first = *r->chunk[0];
    uint32_t kept = 0;
    uint32_t i = 0;
    bool stop = false;
    int64_t next = split->reads_to;
    for (; i < r->count; i++) {
        rd_kafka_message_t *message = r->chunk[i];
        stop = stop || (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && same_split(message, &first));
        if (stop || !same_split(message, &first)) {
            r->chunk[kept++] = message;
        } else if (message->offset >= split->reads_to) {
            rd_kafka_message_destroy(message); /* bounded: came after the start */
            r->ending = split;
        } else if (message->offset < split->next) {
            rd_kafka_message_destroy(message); /* was given before the group took the split away and back */
        } else {
            next = message->offset + 1;
            add_record(records, message);
        }
    }
    r->count = kept;
    if (next >= split->reads_to) {
        r->ending = split;
    }
    if (records->base.count == 0) {
        wr_records_release(&records->base);
        return;
    }
    split->caught_up = false;
    r->warned = RD_KAFKA_RESP_ERR_NO_ERROR;
    split->next = next;
    (void)note_position(r->source, split, next, false);
    out->kind = WR_POLL_ROWS;
    out->split = split->index;
    out->records = &records->base;
    out->next_position = next;
}

static void reached_end(struct wr_reader *r, struct wr_kafka_split *split, int64_t offset,
                        struct wr_poll *out)
{
    const bool doubted = note_position(r->source, split, offset, true);
    if (r->source->env.bounded) {
        r->ending = split; /* also when markers and compaction left nothing to read before end */
    } else if (!split->caught_up || doubted) {
        split->caught_up = true;
        out->kind = WR_POLL_SPLIT_CAUGHT_UP;
        out->split = split->index;
    }
}

/* One step through the chunk; out may stay NOTHING. */
static wr_status step(struct wr_reader *r, struct wr_poll *out, struct wr_error *err)
{
    const rd_kafka_message_t *message = r->chunk[0];
    struct wr_kafka_split *split = message->rkt != NULL ? find_split(r, message) : NULL;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (split != NULL && split->open && !split->dropping) {
            gather(r, split, out);
        } else {
            drop_first(r); /* revoked (its next owner reads it), read to its end, or held back */
        }
        return WR_OK;
    }
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        if (split != NULL && split->open && !split->dropping) {
            reached_end(r, split, message->offset, out);
        }
        drop_first(r);
        return WR_OK;
    }
    const wr_status status = message_error(r, message, err);
    drop_first(r);
    return status;
}

/* In batches, which cost less than one by one, librdkafka (2.8 to 2.12) counts an end-of-partition event as a message: its own
 * position then lies one too far. It goes on there only after a pause: kafka_hold.c and kafka_assign.c seek before. */
static bool refill(struct wr_reader *r)
{
    const ssize_t taken = rd_kafka_consume_batch_queue(r->queue, 0, r->chunk, r->rows);
    r->count = taken > 0 ? (uint32_t)taken : 0;
    return r->count > 0;
}

wr_status wr_kafka_reader_poll(struct wr_reader *r, struct wr_time now, struct wr_batch *batch,
                               struct wr_poll *out, struct wr_error *err)
{
    wr_open_gate_confirm(&r->source->gate, r->unconfirmed);
    r->unconfirmed = 0;
    if (r->ending != NULL) {
        tell_end(r, out);
        return WR_OK;
    }
    if (take_mail(r, out) || !wr_open_gate_is_open(&r->source->gate)) {
        return WR_OK;
    }
    while (out->kind == WR_POLL_NOTHING) {
        if (r->ending != NULL) {
            tell_end(r, out);
            return WR_OK;
        }
        if (r->count == 0 && !refill(r)) {
            if (r->source->env.bounded && all_ended(r->source)) {
                out->kind = WR_POLL_FINISHED;
                return WR_OK;
            }
            arm(r);
            return WR_OK;
        }
        WR_TRY(step(r, out, err));
    }
    return WR_OK;
}
