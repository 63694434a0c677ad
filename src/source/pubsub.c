/* pubsub.c: the connector 'pubsub': a subscription of Google Pub/Sub by StreamingPull. See pubsub_source.h.
 *
 * The subscription is one split, read by worker 0; positions count the messages that came. Their order is the service's: only
 * messages with one ordering key keep theirs.
 * At its end: a subscription has none that it would tell. It counts as caught up when nothing has come for QUIET_NS (pubsub_client.c)
 * and the service answers; with --bounded it ends when nothing has come for `empty_after` and two pulls in a row were empty.
 * What another subscriber holds at that moment (a killed predecessor, too, until its leases run out) is left for the next run.
 * Threads: control, worker 0, and the client's.
 */
#include "source/connectors.h"
#include "source/pubsub_source.h"

#include "base/heap.h"
#include "base/log.h"
#include <stdio.h>

/* What a held message costs here, with room for an ack id of 200 bytes: bounds max_outstanding_messages by memory. */
#define HELD_BYTES 400u

struct wr_reader {
    struct wr_source *source;
    bool mine; /* worker 0's */
    bool opened;
    bool confirmed;
    bool paused;
    bool finished;
    enum wr_pubsub_reach told;
};

static const struct wr_option pubsub_options[] = {
    { "subscription", WR_OPTION_TEXT, NULL, "Its id, or in full projects/PROJECT/subscriptions/ID.", .flags = WR_OPTION_REQUIRED },
    WR_PUBSUB_PLACE_OPTIONS,
    { "streams", WR_OPTION_INT, "2", "StreamingPull streams; each brings some 10 MB/s at most.", .min = 1, .max = WR_PUBSUB_STREAMS_MAX },
    { "ack_deadline", WR_OPTION_DURATION, "60s",
      "After so long without a sign from us the service delivers again; it is extended while messages wait for their commit.",
      .min = 10 * WR_US_PER_S, .max = 600 * WR_US_PER_S },
    { "max_outstanding_messages", WR_OPTION_INT, "1000000",
      "Messages delivered and not acknowledged; no more than this per commit_interval get through. Memory may allow less.",
      .min = 1, .max = 100000000 },
    { "max_outstanding_bytes", WR_OPTION_SIZE, NULL, "The same in bytes of payload; default: no limit.", .min = 1 << 20,
      .max = INT64_MAX },
    { "empty_after", WR_OPTION_DURATION, "5s",
      "With --bounded: after so long without a message, and two empty pulls, the subscription counts as empty.",
      .min = WR_US_PER_S, .max = 3600 * WR_US_PER_S },
    { NULL },
};

static wr_status pubsub_check(const struct wr_plan_source *plan, uint32_t *bad_at, struct wr_error *err)
{
    const struct wr_pubsub_place place = WR_PUBSUB_PLACE_OF(plan->options);
    struct wr_buf name = { 0 };
    *bad_at = wr_options_at(plan->options, "subscription");
    const wr_status status = wr_pubsub_resource(&name, &place, "subscriptions", wr_options_text(plan->options, "subscription"), err);
    wr_buf_deinit(&name);
    WR_TRY(status);
    *bad_at = wr_options_at(plan->options, "deduplicate_within");
    if (plan->dedup_message_id && plan->dedup_within_us < wr_options_int(plan->options, "ack_deadline")) {
        (void)wr_fail(err, WR_CLASS_USER, "deduplicate_within is shorter than ack_deadline: a message comes again later than that");
        wr_error_hint(err, "leave one of them out, or make deduplicate_within a few times ack_deadline");
        return WR_FAIL;
    }
    return WR_OK;
}

/* ---- source; @thread control ---- */

static void pubsub_close(struct wr_source *s)
{
    if (s == NULL) {
        return;
    }
    wr_pubsub_client_stop(s);
    for (struct wr_pubsub_run *run = s->queue_first, *next; run != NULL; run = next) {
        next = run->next;
        wr_pubsub_run_free(run);
    }
    wr_pubsub_held_deinit(&s->held);
    wr_pubsub_close(&s->service);
    wr_open_gate_deinit(&s->gate);
    pthread_mutex_destroy(&s->lock);
    wr_buf_deinit(&s->scratch);
    free(s->params);
    free(s->name);
    free(s->subscription);
    free(s);
}

static void read_limits(struct wr_source *s)
{
    const struct wr_options *o = s->env.plan->options;
    const uint64_t affordable = s->env.memory_bytes / 2 / HELD_BYTES;
    s->stream_count = (uint32_t)wr_options_int(o, "streams");
    s->ack_deadline_s = (uint32_t)(wr_options_int(o, "ack_deadline") / WR_US_PER_S);
    s->messages_max = (uint64_t)wr_options_int(o, "max_outstanding_messages");
    s->messages_max = s->messages_max < affordable ? s->messages_max : affordable;
    s->messages_max = s->messages_max < s->stream_count ? s->stream_count : s->messages_max;
    s->bytes_max = wr_options_has(o, "max_outstanding_bytes") ? (uint64_t)wr_options_int(o, "max_outstanding_bytes") : 0;
    s->empty_after_ns = wr_options_int(o, "empty_after") * 1000;
    /* Also without deduplication: LOST messages are remembered for so long. */
    s->remember_ns = wr_options_int(o, "deduplicate_within") * 1000;
}

static wr_status find_start(struct wr_source *s, struct wr_error *err)
{
    for (uint32_t i = 0; s->env.resumed && i < s->env.start_count; i++) {
        if (strcmp(s->env.starts[i].name, s->name) == 0) {
            s->start = s->env.starts[i].next_position;
        }
    }
    wr_ensure(s->start >= 0 && s->start < INT64_MAX / 4, err, WR_CLASS_FATAL, "the state has position %lld for %s",
              (long long)s->start, s->name);
    s->settle_to = s->start;
    return WR_OK;
}

static wr_status connect(struct wr_source *s, struct wr_error *err)
{
    const struct wr_options *o = s->env.plan->options;
    const struct wr_pubsub_place place = WR_PUBSUB_PLACE_OF(o);
    struct wr_buf text = { 0 };
    const wr_status named = wr_pubsub_resource(&text, &place, "subscriptions", wr_options_text(o, "subscription"), err);
    s->subscription = wr_strdup(wr_buf_cstr(&text));
    text.bytes = 0;
    wr_pubsub_params(&text, "subscription", s->subscription);
    s->params = wr_strdup(wr_buf_cstr(&text));
    wr_buf_deinit(&text);
    WR_TRY(named);
    s->name = wr_strdup(strrchr(s->subscription, '/') + 1);
    WR_TRY(find_start(s, err));
    wr_pubsub_held_init(&s->held, s->start);
    WR_TRY(wr_pubsub_open(&s->service, &place, err));
    WR_TRY(wr_pubsub_client_look(s, err));
    return wr_pubsub_client_start(s, err);
}

static wr_status pubsub_open(struct wr_source **out, const struct wr_source_env *env, struct wr_error *err)
{
    struct wr_source *s = wr_calloc(1, sizeof *s);
    s->env = *env;
    pthread_mutex_init(&s->lock, NULL);
    wr_open_gate_init(&s->gate, env);
    read_limits(s);
    if (connect(s, err) != WR_OK) {
        pubsub_close(s);
        return WR_FAIL;
    }
    wr_open_gate_announce(&s->gate, 1);
    *out = s;
    return WR_OK;
}

static wr_status pubsub_commit(struct wr_source *s, const struct wr_split_position *positions, uint32_t count, struct wr_error *err)
{
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < count; i++) {
        s->settle_to = positions[i].next_position > s->settle_to ? positions[i].next_position : s->settle_to;
    }
    pthread_mutex_unlock(&s->lock);
    wr_grpc_wake(s->service.channel);
    return WR_OK;
}

static int64_t pubsub_redelivers_from(struct wr_source *s)
{
    pthread_mutex_lock(&s->lock);
    const int64_t from = s->forgotten;
    pthread_mutex_unlock(&s->lock);
    return from;
}

/* ---- reader; @thread worker ---- */

static wr_status pubsub_reader_open(struct wr_reader **out, struct wr_source *s, uint32_t worker, struct wr_io *io,
                                    struct wr_error *err)
{
    struct wr_reader *r = wr_calloc(1, sizeof *r);
    r->source = s;
    r->mine = worker == 0;
    *out = r;
    return WR_OK;
}

static void pubsub_reader_close(struct wr_reader *r)
{
    free(r);
}

static void open_split(struct wr_reader *r, struct wr_poll *out)
{
    const struct wr_source *s = r->source;
    r->opened = true;
    out->kind = WR_POLL_SPLIT_OPENED;
    out->split_name = s->name;
    out->topic = s->name;
    out->partition = -1;
    out->next_position = s->start;
}

/* Under lock. */
static void give_run(struct wr_reader *r, struct wr_poll *out)
{
    struct wr_source *s = r->source;
    struct wr_pubsub_run *run = s->queue_first;
    s->queue_first = run->next;
    s->queue_last = s->queue_first == NULL ? NULL : s->queue_last;
    s->queue_bytes -= run->base.payload_bytes;
    run->base.owner = r;
    r->told = WR_PUBSUB_QUIET_UNKNOWN;
    out->kind = WR_POLL_ROWS;
    out->records = &run->base;
    out->next_position = run->first + run->base.count; /* (2) */
}

/* Under lock: what the client has found out. */
static void tell_reach(struct wr_reader *r, struct wr_poll *out)
{
    const struct wr_source *s = r->source;
    if (s->reach == WR_PUBSUB_EMPTY) {
        out->kind = WR_POLL_SPLIT_ENDED;
        r->finished = true;
    } else if (s->reach == WR_PUBSUB_QUIET && r->told != WR_PUBSUB_QUIET) {
        out->kind = WR_POLL_SPLIT_CAUGHT_UP;
        r->told = WR_PUBSUB_QUIET;
    } else if (s->reach == WR_PUBSUB_UNREACHABLE && r->told == WR_PUBSUB_QUIET) {
        out->kind = WR_POLL_SPLIT_UNREACHABLE;
        r->told = WR_PUBSUB_UNREACHABLE;
    }
}

static wr_status pubsub_poll(struct wr_reader *r, struct wr_time now, struct wr_batch *batch, struct wr_poll *out,
                             struct wr_error *err)
{
    struct wr_source *s = r->source;
    wr_status status = WR_OK;
    bool drained = false;
    if (r->opened && !r->confirmed) {
        r->confirmed = true;
        wr_open_gate_confirm(&s->gate, 1);
    }
    if (!r->mine || r->finished) {
        out->kind = WR_POLL_FINISHED;
        return WR_OK;
    }
    if (!r->opened) {
        open_split(r, out);
        return WR_OK;
    }
    if (r->paused) {
        return WR_OK;
    }
    pthread_mutex_lock(&s->lock);
    if (s->failure.cls != WR_CLASS_NONE) {
        *err = s->failure;
        status = WR_FAIL;
    } else if (s->queue_first != NULL) {
        const uint64_t before = s->queue_bytes;
        give_run(r, out);
        drained = before > s->env.memory_bytes / 4 && s->queue_bytes <= s->env.memory_bytes / 4;
    } else {
        tell_reach(r, out);
    }
    pthread_mutex_unlock(&s->lock);
    if (drained) {
        wr_grpc_wake(s->service.channel); /* its streams may be held back */
    }
    return status;
}

static void pubsub_pause(struct wr_reader *r, uint32_t split, bool paused)
{
    r->paused = paused;
    r->told = WR_PUBSUB_QUIET_UNKNOWN;
}

const struct wr_source_ops wr_source_pubsub = {
    .name = "pubsub",
    .help = "A subscription of Google Pub/Sub (StreamingPull): messages are acknowledged once they are committed. With --bounded it "
            "ends when the subscription stays empty.",
    .options = pubsub_options,
    .counts_arrivals = true,
    .metadata = { [WR_META_TOPIC] = true,
                  [WR_META_OFFSET] = true,
                  [WR_META_TIMESTAMP] = true,
                  [WR_META_KEY] = true,
                  [WR_META_HEADERS] = true,
                  [WR_META_MESSAGE_ID] = true },
    .check = pubsub_check,
    .open = pubsub_open,
    .reader_open = pubsub_reader_open,
    .poll = pubsub_poll,
    .pause = pubsub_pause,
    .reader_close = pubsub_reader_close,
    .commit = pubsub_commit,
    .redelivers_from = pubsub_redelivers_from,
    .close = pubsub_close,
};
