/* kinesis_fetch.c: threads that ask for records (see kinesis_source.h).
 *
 *   needs iterator -> asked iterator -> needs records -> asked records -+-> needs records (in time)
 *                                                                       +-> needs iterator (expired)
 *                                                                       +-> needs children (the shard's end) -> done
 *   enhanced fan-out: needs stream -> in stream -+-> needs stream (each five minutes) or needs children
 *
 * Amazon allows five GetRecords a second and shard, all consumers together: a shard is asked each 200 ms at most, and less often
 * where nothing waits. What is throttled or fails is asked again after a back-off with jitter.
 */
#include "source/kinesis_source.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/log.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define CALLS_MAX         24u /* under way per fetcher; http_client.c keeps as many handles */
#define GET_INTERVAL_NS   (200 * WR_NS_PER_MS)
#define GET_ANSWER_BYTES  ((size_t)32 << 20) /* 10 MiB in base64, and keys; a record alone may have 14 MiB */
#define GET_ROWS_MAX      10000u
#define FIRST_WAIT_MS     250u
#define LONGEST_WAIT_MS   8000u
#define TROUBLE_NS        (5 * WR_NS_PER_S) /* failing for so long is told */
#define SILENT_NS         (3 * WR_NS_PER_S) /* and for so long: its end is not known any more */
#define LOOK_AGAIN_NS     (50 * WR_NS_PER_MS) /* for memory */
#define ITERATOR_FAILURES 3u  /* servers answer a stale iterator in their own ways: then a new one is asked for */
#define CHILD_ASKS_MAX    10u
#define CHILD_WAIT_NS     WR_NS_PER_S
#define TURN_MS_MAX       1000

/* ---- what control and readers see ---- */

void wr_kinesis_set_failed(struct wr_source *s, const struct wr_error *err)
{
    pthread_mutex_lock(&s->lock);
    if (s->failure.cls == WR_CLASS_NONE) {
        s->failure = *err;
        s->failure.cls = WR_CLASS_FATAL;
    }
    pthread_mutex_unlock(&s->lock);
    for (uint32_t w = 0; w < s->env.workers; w++) {
        s->env.wake(s->env.wake_ctx, w);
    }
}

bool wr_kinesis_has_room(struct wr_source *s, struct wr_kinesis_shard *shard)
{
    pthread_mutex_lock(&s->lock);
    const uint64_t share = s->env.memory_bytes / (s->split_count > 0 ? s->split_count : 1);
    const bool room = s->held < s->env.memory_bytes && !shard->paused &&
                      (shard->first == NULL || shard->queued < share);
    s->starved = s->starved || !room;
    pthread_mutex_unlock(&s->lock);
    return room;
}

/* Puts a block into the queue; nothing may follow one that ends. */
static void push(struct wr_source *s, struct wr_kinesis_shard *shard,
                 struct wr_kinesis_block *block)
{
    pthread_mutex_lock(&s->lock);
    wr_assert(shard->last == NULL || !shard->last->ended);
    s->pending[shard->worker] += shard->first == NULL && !shard->to_open; /* (3) */
    if (shard->last != NULL) {
        shard->last->next = block;
    } else {
        shard->first = block;
    }
    shard->last = block;
    shard->queued += block->held;
    s->held += block->held;
    pthread_mutex_unlock(&s->lock);
    s->env.wake(s->env.wake_ctx, shard->worker);
}

/* Tells what comes with no rows: caught up, unreachable, ended. */
static void push_event(struct wr_source *s, struct wr_kinesis_shard *shard, bool caught_up,
                       bool ended, bool closed)
{
    struct wr_kinesis_block *block = wr_kinesis_block_create();
    block->caught_up = caught_up;
    block->unreachable = !caught_up && !ended;
    block->ended = ended;
    block->closed = closed;
    push(s, shard, block);
}

/* ---- failing, and working again ---- */

static void tell_trouble(struct wr_source *s, const struct wr_error *why)
{
    pthread_mutex_lock(&s->lock);
    s->troubled++;
    if (s->trouble.cls == WR_CLASS_NONE) {
        s->trouble = *why;
        s->trouble.cls = WR_CLASS_RETRY;
        s->trouble_told = false;
    }
    pthread_mutex_unlock(&s->lock);
}

void wr_kinesis_fetch_failed(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard,
                             const struct wr_error *why)
{
    struct wr_kinesis_fetch *fetch = &shard->fetch;
    const int64_t now_ns = wr_clock_now().mono_ns;
    uint32_t wait_ms = LONGEST_WAIT_MS;
    if (why->cls != WR_CLASS_RETRY) {
        wr_kinesis_set_failed(f->source, why);
    }
    wr_log_debug("kinesis", "shard %s: %s: %s", shard->id, why->message, why->detail);
    const bool was_troubled =
        fetch->failing_since_ns != INT64_MAX && fetch->not_before_ns - fetch->failing_since_ns > TROUBLE_NS;
    fetch->failing_since_ns = fetch->failing_since_ns == INT64_MAX ? now_ns : fetch->failing_since_ns;
    fetch->failures++;
    (void)wr_retry_next(&fetch->retry, wr_http_call_retry_after_ms(&fetch->call), &wait_ms);
    fetch->not_before_ns = now_ns + (int64_t)wait_ms * WR_NS_PER_MS;
    if (!was_troubled && fetch->not_before_ns - fetch->failing_since_ns > TROUBLE_NS) {
        tell_trouble(f->source, why);
    }
    if (fetch->told_caught_up && !fetch->told_unreachable &&
        now_ns - fetch->failing_since_ns > SILENT_NS) {
        fetch->told_unreachable = true;
        push_event(f->source, shard, false, false, false);
    }
}

void wr_kinesis_fetch_works(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard)
{
    struct wr_kinesis_fetch *fetch = &shard->fetch;
    struct wr_source *s = f->source;
    if (fetch->failing_since_ns == INT64_MAX) {
        return;
    }
    if (fetch->not_before_ns - fetch->failing_since_ns > TROUBLE_NS) {
        pthread_mutex_lock(&s->lock);
        s->troubled -= s->troubled > 0;
        if (s->troubled == 0) {
            s->trouble = (struct wr_error){ 0 };
        }
        pthread_mutex_unlock(&s->lock);
    }
    fetch->failing_since_ns = INT64_MAX;
    fetch->failures = 0;
    wr_retry_reset(&fetch->retry);
}

/* ---- answers with records ---- */

/* Bounded: whether this answer reached the end that the shard had when the source was opened. */
static bool is_at_end(const struct wr_source *s, const struct wr_kinesis_answer *answer)
{
    return s->env.bounded &&
           ((answer->behind_ms == 0 && answer->came == 0) || answer->last_arrival_ms > s->opened_ms + WR_KINESIS_CLOCK_MS);
}

/* A shard that was closed when it was listed, and has no more: not all servers say so by themselves. */
static bool is_closed_end(const struct wr_kinesis_shard *shard, const struct wr_kinesis_answer *answer)
{
    return shard->closed && answer->behind_ms == 0 && answer->came == 0;
}

/* Where to go on when the iterator is lost. */
static void move_on(struct wr_kinesis_fetch *fetch, const struct wr_kinesis_answer *answer)
{
    const struct wr_slice at =
        answer->last_sequence.data != NULL ? answer->last_sequence : answer->continuation;
    if (at.data != NULL) {
        fetch->at = (struct wr_kinesis_from){ .kind = WR_KINESIS_AFTER };
        memcpy(fetch->at.cursor.sequence, at.data, at.bytes);
    } else if (fetch->at.kind == WR_KINESIS_LATEST) {
        fetch->at.kind = WR_KINESIS_TIME; /* what comes from now on is behind it */
    }
}

void wr_kinesis_deliver(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard,
                        struct wr_kinesis_block *block, const struct wr_kinesis_answer *answer)
{
    struct wr_source *s = f->source;
    struct wr_kinesis_fetch *fetch = &shard->fetch;
    move_on(fetch, answer);
    fetch->closed = fetch->closed || answer->children.data != NULL || is_closed_end(shard, answer);
    fetch->ended = is_at_end(s, answer) && !fetch->closed;
    if (answer->children.data != NULL) {
        fetch->children.bytes = 0;
        wr_buf_append(&fetch->children, answer->children.data, answer->children.bytes);
    }
    pthread_mutex_lock(&s->lock);
    shard->behind_ms = answer->behind_ms;
    pthread_mutex_unlock(&s->lock);
    if (answer->came > 0) {
        fetch->record_bytes = block->body.bytes / answer->came + 1;
    }
    if (block->count > 0) {
        fetch->position += block->count;
        fetch->told_caught_up = fetch->told_unreachable = false;
        push(s, shard, block);
    } else {
        wr_kinesis_block_release(block);
    }
    if (answer->behind_ms == 0 && answer->came == 0 && !fetch->ended && !fetch->closed &&
        (!fetch->told_caught_up || fetch->told_unreachable)) {
        fetch->told_caught_up = true;
        fetch->told_unreachable = false;
        push_event(s, shard, true, false, false);
    }
}

/* The shard has given all that it will; closed: for good, and its children are known. */
static void finish(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard, bool closed)
{
    shard->fetch.step = WR_KINESIS_DONE;
    push_event(f->source, shard, false, true, closed);
}

static void find_children(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard,
                          int64_t now_ns)
{
    struct wr_kinesis_fetch *fetch = &shard->fetch;
    struct wr_source *s = f->source;
    struct wr_error err = { 0 };
    if (fetch->children.bytes > 0) {
        json_t *array = json_loadb(fetch->children.data, fetch->children.bytes, 0, NULL);
        pthread_mutex_lock(&s->lock);
        wr_kinesis_learn(s, array);
        pthread_mutex_unlock(&s->lock);
        json_decref(array);
        fetch->children.bytes = 0;
    }
    pthread_mutex_lock(&s->lock);
    bool found = wr_kinesis_has_children(s, shard);
    pthread_mutex_unlock(&s->lock);
    if (!found && !s->env.bounded) {
        if (wr_kinesis_list(s, &f->api, &err) != WR_OK) {
            wr_kinesis_fetch_failed(f, shard, &err);
            return;
        }
        wr_kinesis_fetch_works(f, shard);
        pthread_mutex_lock(&s->lock);
        found = wr_kinesis_has_children(s, shard);
        pthread_mutex_unlock(&s->lock);
    }
    if (!found && !s->env.bounded && ++fetch->child_asks < CHILD_ASKS_MAX) {
        fetch->not_before_ns = now_ns + CHILD_WAIT_NS; /* the list may lag behind */
        return;
    }
    finish(f, shard, true);
}

static void read_answer(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard)
{
    static const struct wr_kinesis_cursor nowhere = { 0 };
    struct wr_kinesis_fetch *fetch = &shard->fetch;
    struct wr_kinesis_block *block = wr_kinesis_block_create();
    struct wr_kinesis_answer answer;
    struct wr_error err = { 0 };
    const bool has_cursor = fetch->at.kind == WR_KINESIS_AFTER || fetch->at.cursor.within;
    block->body = fetch->call.response;
    fetch->call.response = (struct wr_buf){ 0 };
    if (wr_kinesis_block_read(block, f->kpl, &shard->range,
                              has_cursor ? &fetch->at.cursor : &nowhere, fetch->position, &answer,
                              &err) != WR_OK) {
        wr_kinesis_block_release(block);
        wr_kinesis_fetch_failed(f, shard, &err);
        return;
    }
    wr_kinesis_fetch_works(f, shard);
    fetch->closed = answer.next_iterator.data == NULL;
    const bool waits = answer.behind_ms > 0 || answer.came > 0;
    const int64_t interval_ns = f->source->poll_interval_ns;
    fetch->iterator.bytes = 0;
    wr_buf_append(&fetch->iterator, answer.next_iterator.data, answer.next_iterator.bytes);
    wr_kinesis_deliver(f, shard, block, &answer);
    fetch->not_before_ns = fetch->asked_ns + (waits ? GET_INTERVAL_NS : interval_ns);
    fetch->step = WR_KINESIS_NEEDS_RECORDS;
    if (fetch->closed || fetch->ended) {
        fetch->step = WR_KINESIS_NEEDS_CHILDREN;
        fetch->not_before_ns = 0;
    }
}

/* ---- asking ---- */

void wr_kinesis_put_from(struct wr_buf *json, const struct wr_kinesis_from *from, const char *type_name,
                         const char *sequence_name)
{
    static const char *const words[] = { "TRIM_HORIZON", "LATEST", "AT_TIMESTAMP",
                                         "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER" };
    wr_buf_printf(json, "\"%s\":\"%s\"", type_name, words[from->kind]);
    if (from->kind == WR_KINESIS_TIME) {
        wr_buf_printf(json, ",\"Timestamp\":%" PRId64 ".%03" PRId64, from->time_ms / 1000,
                      from->time_ms % 1000);
    } else if (from->kind == WR_KINESIS_AT || from->kind == WR_KINESIS_AFTER) {
        wr_buf_printf(json, ",\"%s\":\"%s\"", sequence_name, from->cursor.sequence);
    }
}

static void begin_call(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard,
                       const char *operation)
{
    struct wr_kinesis_fetch *fetch = &shard->fetch;
    wr_kinesis_sign(&f->api, &fetch->call, operation,
                    (struct wr_slice){ fetch->body.data, fetch->body.bytes });
    fetch->call.response_bytes_max = GET_ANSWER_BYTES;
    fetch->call.ctx = shard;
    wr_http_begin(f->api.http, &fetch->call);
    f->under_way++;
}

static void ask_iterator(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard)
{
    struct wr_kinesis_fetch *fetch = &shard->fetch;
    fetch->body.bytes = 0;
    wr_buf_byte(&fetch->body, '{');
    wr_kinesis_put_stream(&f->api, &fetch->body);
    wr_buf_text(&fetch->body, ",\"ShardId\":");
    wr_kinesis_put_text(&fetch->body, shard->id, strlen(shard->id));
    wr_buf_byte(&fetch->body, ',');
    wr_kinesis_put_from(&fetch->body, &fetch->at, "ShardIteratorType", "StartingSequenceNumber");
    wr_buf_byte(&fetch->body, '}');
    begin_call(f, shard, "GetShardIterator");
    fetch->step = WR_KINESIS_ASKED_ITERATOR;
}

/* So many records as there is memory for, by what they had on average. */
static uint32_t row_limit(struct wr_source *s, const struct wr_kinesis_fetch *fetch)
{
    pthread_mutex_lock(&s->lock);
    const uint64_t share = s->env.memory_bytes / 2 / (s->split_count > 0 ? s->split_count : 1);
    pthread_mutex_unlock(&s->lock);
    const uint64_t rows = share / (fetch->record_bytes > 0 ? fetch->record_bytes : 1);
    return rows < 100 ? 100 : rows > GET_ROWS_MAX ? GET_ROWS_MAX : (uint32_t)rows;
}

static void ask_records(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard,
                        int64_t now_ns)
{
    struct wr_kinesis_fetch *fetch = &shard->fetch;
    fetch->body.bytes = 0;
    wr_buf_text(&fetch->body, "{\"ShardIterator\":");
    wr_kinesis_put_text(&fetch->body, fetch->iterator.data, fetch->iterator.bytes);
    wr_buf_printf(&fetch->body, ",\"Limit\":%" PRIu32 "}", row_limit(f->source, fetch));
    fetch->asked_ns = now_ns;
    begin_call(f, shard, "GetRecords");
    fetch->step = WR_KINESIS_ASKED_RECORDS;
}

/* ---- answers ---- */

/* What is left begins at the horizon. */
void wr_kinesis_skip_gap(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard,
                         struct wr_error *err)
{
    struct wr_kinesis_fetch *fetch = &shard->fetch;
    if (!f->source->skip_gaps) {
        wr_error_hint(err, "if its record %s was deleted (retention) before the next one was read: a "
                           "start with on_gap = 'skip' goes on with what is left", fetch->at.cursor.sequence);
        wr_kinesis_fetch_failed(f, shard, err);
        return;
    }
    wr_log_warn("kinesis", "shard %s: goes on with the oldest record that is left: %s", shard->id,
                err->message);
    fetch->at = (struct wr_kinesis_from){ .kind = WR_KINESIS_HORIZON };
    fetch->step =
        f->source->consumer != NULL ? WR_KINESIS_NEEDS_STREAM : WR_KINESIS_NEEDS_ITERATOR;
}

static void iterator_came(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard)
{
    struct wr_kinesis_fetch *fetch = &shard->fetch;
    const struct wr_buf *body = &fetch->call.response;
    json_t *answer = json_loadb(body->data != NULL ? body->data : "", body->bytes, 0, NULL);
    const char *iterator = json_string_value(json_object_get(answer, "ShardIterator"));
    struct wr_error err;
    if (iterator == NULL) {
        (void)wr_fail(&err, WR_CLASS_RETRY, "stream %s, shard %s: the answer has no iterator",
                      f->api.stream, shard->id);
        wr_kinesis_fetch_failed(f, shard, &err);
        fetch->step = WR_KINESIS_NEEDS_ITERATOR;
    } else {
        fetch->iterator.bytes = 0;
        wr_buf_text(&fetch->iterator, iterator);
        fetch->step = WR_KINESIS_NEEDS_RECORDS;
        const int64_t next_ns = fetch->asked_ns + GET_INTERVAL_NS;
        fetch->not_before_ns = fetch->asked_ns != 0 && next_ns > fetch->not_before_ns ? next_ns
                                                                                      : fetch->not_before_ns;
    }
    json_decref(answer);
}

static void call_failed(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard,
                        enum wr_kinesis_outcome outcome)
{
    struct wr_kinesis_fetch *fetch = &shard->fetch;
    const bool iterator = fetch->step == WR_KINESIS_ASKED_ITERATOR;
    struct wr_error err = { 0 };
    char what[64 + WR_KINESIS_ID_BYTES_MAX];
    (void)snprintf(what, sizeof what, "read shard %s", shard->id);
    (void)wr_kinesis_fail(&f->api, &fetch->call, what, &err);
    if (iterator && (outcome == WR_KINESIS_INVALID || outcome == WR_KINESIS_NOT_FOUND) &&
        fetch->at.cursor.sequence[0] != '\0') { /* where the stream is not there, the next call says so */
        wr_kinesis_skip_gap(f, shard, &err);
        return;
    }
    const bool stale = !iterator && (outcome == WR_KINESIS_EXPIRED || outcome == WR_KINESIS_INVALID ||
                                     (outcome == WR_KINESIS_BUSY && fetch->call.status == 500 &&
                                      (fetch->failures + 1) % ITERATOR_FAILURES == 0));
    if (stale && fetch->failures < 10 * ITERATOR_FAILURES) {
        err.cls = WR_CLASS_RETRY;
    }
    wr_kinesis_fetch_failed(f, shard, &err);
    fetch->step = stale || iterator ? WR_KINESIS_NEEDS_ITERATOR : WR_KINESIS_NEEDS_RECORDS;
    if (stale && outcome == WR_KINESIS_EXPIRED && fetch->failures == 1) {
        fetch->not_before_ns = 0; /* in the ordinary course of things */
    }
}

static void call_done(struct wr_kinesis_fetcher *f, struct wr_http_call *call)
{
    struct wr_kinesis_shard *shard = call->ctx;
    if (shard->fetch.step == WR_KINESIS_IN_STREAM) {
        wr_kinesis_stream_done(f, shard);
        return;
    }
    f->under_way--;
    const enum wr_kinesis_outcome outcome = wr_kinesis_outcome(call);
    if (outcome != WR_KINESIS_OK) {
        call_failed(f, shard, outcome);
    } else if (shard->fetch.step == WR_KINESIS_ASKED_ITERATOR) {
        iterator_came(f, shard);
    } else {
        shard->fetch.step = WR_KINESIS_NEEDS_RECORDS;
        read_answer(f, shard);
    }
}

/* ---- the thread ---- */

/* Takes over shards that may be fetched since it looked last. False: stop. */
static bool adopt(struct wr_kinesis_fetcher *f)
{
    struct wr_source *s = f->source;
    pthread_mutex_lock(&s->lock);
    const bool go_on = !s->stopping && s->failure.cls == WR_CLASS_NONE;
    for (uint32_t i = 0; f->seen != s->activations && i < s->split_count; i++) {
        struct wr_kinesis_shard *shard = s->splits[i];
        if (!shard->may_fetch || shard->claimed || shard->split % s->fetcher_count != f->index) {
            continue;
        }
        shard->claimed = true;
        shard->fetch = (struct wr_kinesis_fetch){
            .fetcher = f,
            .step = s->consumer != NULL ? WR_KINESIS_NEEDS_STREAM : WR_KINESIS_NEEDS_ITERATOR,
            .at = shard->start,
            .position = shard->start_position,
            .failing_since_ns = INT64_MAX,
            .record_bytes = 1024
        };
        wr_retry_init(&shard->fetch.retry, UINT32_MAX, FIRST_WAIT_MS, LONGEST_WAIT_MS, wr_rand_entropy());
        f->shards = wr_realloc(f->shards, (f->shard_count + 1) * sizeof(struct wr_kinesis_shard *));
        f->shards[f->shard_count++] = shard;
    }
    f->seen = s->activations;
    pthread_mutex_unlock(&s->lock);
    return go_on;
}

/* Takes the step that is due; returns when the next one may be (INT64_MAX: something has to come first). */
static int64_t step(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard, int64_t now_ns)
{
    struct wr_kinesis_fetch *fetch = &shard->fetch;
    switch (fetch->step) {
    case WR_KINESIS_IN_STREAM:
        if (fetch->stalled && wr_kinesis_has_room(f->source, shard)) {
            fetch->stalled = false;
            wr_http_resume(f->api.http, &fetch->call);
        }
        return fetch->stalled ? now_ns + LOOK_AGAIN_NS : INT64_MAX;
    case WR_KINESIS_ASKED_ITERATOR:
    case WR_KINESIS_ASKED_RECORDS:
    case WR_KINESIS_DONE:
        return INT64_MAX;
    default:
        break;
    }
    if (fetch->not_before_ns > now_ns) {
        return fetch->not_before_ns;
    }
    if (fetch->step == WR_KINESIS_NEEDS_CHILDREN) {
        if (fetch->ended) {
            finish(f, shard, false);
        } else {
            find_children(f, shard, now_ns);
        }
        return fetch->step == WR_KINESIS_DONE ? INT64_MAX : fetch->not_before_ns;
    }
    if (!wr_kinesis_has_room(f->source, shard)) {
        return now_ns + LOOK_AGAIN_NS;
    }
    if (fetch->step == WR_KINESIS_NEEDS_STREAM) {
        wr_kinesis_subscribe(f, shard, now_ns);
        return INT64_MAX;
    }
    if (f->under_way >= CALLS_MAX) {
        return INT64_MAX; /* one of them is done first */
    }
    if (fetch->step == WR_KINESIS_NEEDS_ITERATOR) {
        ask_iterator(f, shard);
    } else {
        ask_records(f, shard, now_ns);
    }
    return INT64_MAX;
}

/* A finished shard's buffers are not needed any more. */
static void drop_done(struct wr_kinesis_fetcher *f)
{
    for (uint32_t i = 0; i < f->shard_count;) {
        struct wr_kinesis_fetch *fetch = &f->shards[i]->fetch;
        if (fetch->step == WR_KINESIS_DONE) {
            wr_http_call_deinit(&fetch->call);
            wr_buf_deinit(&fetch->body);
            wr_buf_deinit(&fetch->iterator);
            wr_buf_deinit(&fetch->children);
            wr_event_reader_deinit(&fetch->events);
            f->shards[i] = f->shards[--f->shard_count];
        } else {
            i++;
        }
    }
}

static void *run(void *ctx)
{
    struct wr_kinesis_fetcher *f = ctx;
    uint32_t turn = 0;
    while (adopt(f)) {
        const int64_t now_ns = wr_clock_now().mono_ns;
        int64_t next_ns = now_ns + TURN_MS_MAX * WR_NS_PER_MS;
        for (uint32_t i = 0; i < f->shard_count; i++) {
            const int64_t due_ns = step(f, f->shards[(i + turn) % f->shard_count], now_ns);
            next_ns = due_ns < next_ns ? due_ns : next_ns;
        }
        turn++;
        drop_done(f);
        const int64_t wait_ns = next_ns > now_ns ? next_ns - now_ns : 0;
        struct wr_http_call *call = wr_http_wait_for(
            f->api.http, (uint32_t)((wait_ns + WR_NS_PER_MS - 1) / WR_NS_PER_MS));
        for (uint32_t n = 0; call != NULL; n++) {
            call_done(f, call);
            call = n < CALLS_MAX ? wr_http_wait_for(f->api.http, 0) : NULL;
        }
    }
    return NULL;
}

wr_status wr_kinesis_fetchers_open(struct wr_source *s, struct wr_error *err)
{
    const uint32_t count = s->env.workers < s->split_count ? s->env.workers : s->split_count;
    s->fetcher_count = count < WR_KINESIS_FETCHERS_MAX ? count : WR_KINESIS_FETCHERS_MAX;
    for (uint32_t i = 0; i < s->fetcher_count; i++) {
        struct wr_kinesis_fetcher *f = &s->fetchers[i];
        f->index = i;
        f->source = s;
        WR_TRY(wr_kinesis_api_open(&f->api, &s->place, err));
        WR_TRY(wr_kpl_create(&f->kpl, err));
    }
    return WR_OK;
}

wr_status wr_kinesis_fetchers_start(struct wr_source *s, struct wr_error *err)
{
    for (uint32_t i = 0; i < s->fetcher_count; i++) {
        struct wr_kinesis_fetcher *f = &s->fetchers[i];
        const int error = pthread_create(&f->thread, NULL, run, f);
        wr_ensure(error == 0, err, WR_CLASS_FATAL, "cannot start a thread: %s", strerror(error));
        f->running = true;
    }
    return WR_OK;
}

void wr_kinesis_fetchers_wake(struct wr_source *s)
{
    for (uint32_t i = 0; i < s->fetcher_count; i++) {
        if (s->fetchers[i].api.http != NULL) {
            wr_http_wake(s->fetchers[i].api.http);
        }
    }
}

void wr_kinesis_fetchers_stop(struct wr_source *s)
{
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_mutex_unlock(&s->lock);
    wr_kinesis_fetchers_wake(s);
    for (uint32_t i = 0; i < WR_KINESIS_FETCHERS_MAX; i++) {
        struct wr_kinesis_fetcher *f = &s->fetchers[i];
        if (f->running) {
            (void)pthread_join(f->thread, NULL);
            f->running = false;
        }
        wr_http_client_destroy(f->api.http); /* cancels what is under way */
        f->api.http = NULL;
        for (uint32_t n = 0; n < f->shard_count; n++) {
            f->shards[n]->fetch.step = WR_KINESIS_DONE;
        }
        drop_done(f);
        wr_kpl_destroy(f->kpl);
        free(f->shards);
        wr_kinesis_api_close(&f->api);
    }
}
