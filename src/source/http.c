/* http.c: the connector 'http': POST of NDJSON (or CSV without a header) to /ingest/<source>.
 *
 * A request is answered 202 once its whole body is in a worker's queue; when the queues are full
 * 429 with Retry-After, and the client sends again: what was not accepted was not read. Each
 * worker's queue is a split; positions are bytes of it.
 * Ownership: a body is one block, made by the server's thread and handed over whole under the
 * lock; records borrow from it.
 * Threads: handlers on the server's threads, several at once; readers on their workers; shared
 * state under lock. The server is stopped before the source is closed, so no handler outlives it.
 * Memory: queues hold at most env->memory_bytes, and bodies being received are counted with them.
 */
#include "source/connectors.h"

#include "base/heap.h"
#include "base/log.h"
#include "net/http_server.h"
#include "source/source_gate.h"
#include "source/source_lines.h"
#include <stdio.h>
#include <stdlib.h>

/* A chunked body's length is not known before: it is received in pieces of this size. */
#define PIECE_BYTES (64u << 10)

struct body {
    struct body *next;
    struct wr_block *block;
    int64_t arrived_us;
};

struct queue {
    struct body *first;
    struct body *last;
    uint64_t bytes;
    int64_t position; /* of the next body in the split */
};

struct wr_source {
    struct wr_source_env env;
    struct wr_open_gate gate;
    bool csv;
    uint64_t body_max;
    char *route;
    char (*names)[24];
    pthread_mutex_t lock;
    struct queue *queues; /* per worker */
    uint64_t held;        /* bytes received or being received, not yet taken by a reader */
    uint32_t next;        /* worker that the next body goes to, when all are equal */
    bool closed;          /* readers are gone, or the run is bounded */
};

struct wr_reader {
    struct wr_source *source;
    uint32_t worker;
    bool opened;
    bool confirmed;
    bool ended;
    bool caught_up;
    int64_t arrived_us;
    struct wr_cutter cutter;
    struct wr_line_records_pool records;
};

static const struct wr_option http_options[] = {
    { "max_body", WR_OPTION_SIZE, "16MiB", "A request with a larger body is refused (413).",
      .min = 1024, .max = 1 << 30 },
    { NULL },
};

static wr_status http_check(const struct wr_plan_source *plan, uint32_t *bad_at,
                            struct wr_error *err)
{
    if (strcmp(plan->format, "csv") == 0 && wr_options_bool(plan->options, "header")) {
        *bad_at = wr_options_at(plan->options, "header");
        (void)wr_fail(err, WR_CLASS_USER, "requests have no header line");
        wr_error_hint(err, "add header = false: columns come in declared order");
        return WR_FAIL;
    }
    return WR_OK;
}

/* ---- requests; @thread server ---- */

static void answer(struct wr_http_response *response, int status, const char *text)
{
    response->status = status;
    response->retry_after_s = status == 429 || status == 503 ? 1 : 0;
    wr_buf_printf(&response->body, "%s\n", text);
}

/* Counts bytes as held; false when they do not fit. A queue that is empty takes any body that
 * max_body allows. */
static bool hold(struct wr_source *s, uint64_t bytes)
{
    pthread_mutex_lock(&s->lock);
    const uint64_t free_bytes =
        s->held < s->env.memory_bytes ? s->env.memory_bytes - s->held : 0;
    const bool fits = s->held == 0 || bytes <= free_bytes;
    s->held += fits ? bytes : 0;
    pthread_mutex_unlock(&s->lock);
    return fits;
}

static void let_go(struct wr_source *s, uint64_t bytes)
{
    pthread_mutex_lock(&s->lock);
    s->held -= bytes;
    pthread_mutex_unlock(&s->lock);
}

/* Receives the body into a block; its capacity says how much is held for it. NULL: response is
 * set, nothing is held. */
static struct wr_block *receive(struct wr_source *s, const struct wr_http_request *request,
                                struct wr_http_response *response)
{
    const bool known = request->content_length >= 0;
    uint64_t room = known ? (uint64_t)request->content_length : PIECE_BYTES;
    if (room > s->body_max && known) {
        answer(response, 413, "the body is larger than max_body");
        return NULL;
    }
    if (!hold(s, room)) {
        answer(response, 429, "the queue is full: send it again later");
        return NULL;
    }
    struct wr_block *block = wr_block_create((size_t)room + 1); /* + 1: sees whether more comes */
    for (;;) {
        const int64_t got =
            request->read(request, block->data + block->end, (size_t)(room + 1) - block->end);
        if (got <= 0) {
            if (got == 0 && (!known || block->end == room)) {
                block->capacity = (size_t)room; /* what is held for it */
                return block;
            }
            answer(response, 400, "the body ended early");
            break;
        }
        block->end += (size_t)got;
        if (block->end <= room) {
            continue;
        }
        if (known || room * 2 > s->body_max) {
            answer(response, known ? 400 : 413,
                   known ? "the body is longer than its Content-Length"
                         : "the body is larger than max_body");
            break;
        }
        if (!hold(s, room)) {
            answer(response, 429, "the queue is full: send it again later");
            break;
        }
        room *= 2;
        struct wr_block *bigger = wr_block_create((size_t)room + 1);
        memcpy(bigger->data, block->data, block->end);
        bigger->end = block->end;
        wr_block_release(block);
        block = bigger;
    }
    wr_block_release(block);
    let_go(s, room);
    return NULL;
}

/* Under lock. */
static uint32_t shortest_queue(struct wr_source *s)
{
    uint32_t best = s->next++ % s->env.workers;
    for (uint32_t w = 0; w < s->env.workers; w++) {
        best = s->queues[w].bytes < s->queues[best].bytes ? w : best;
    }
    return best;
}

static bool put(struct wr_source *s, struct wr_block *block)
{
    struct body *body = wr_malloc(sizeof *body);
    *body = (struct body){ .block = block, .arrived_us = wr_clock_now().wall_us };
    pthread_mutex_lock(&s->lock);
    if (s->closed) {
        pthread_mutex_unlock(&s->lock);
        free(body);
        return false;
    }
    const uint32_t worker = shortest_queue(s);
    struct queue *queue = &s->queues[worker];
    block->position = queue->position;
    queue->position += (int64_t)(block->end - block->begin);
    queue->bytes += block->capacity;
    if (queue->last != NULL) {
        queue->last->next = body;
    } else {
        queue->first = body;
    }
    queue->last = body;
    pthread_mutex_unlock(&s->lock);
    s->env.wake(s->env.wake_ctx, worker);
    return true;
}

static bool is_closed(struct wr_source *s)
{
    pthread_mutex_lock(&s->lock);
    const bool closed = s->closed;
    pthread_mutex_unlock(&s->lock);
    return closed;
}

static void handle(void *ctx, const struct wr_http_request *request,
                   struct wr_http_response *response)
{
    struct wr_source *s = ctx;
    const char *encoding = request->header(request, "Content-Encoding");
    if (strcmp(request->method, "POST") != 0) {
        answer(response, 405, "send events with POST, one JSON object per line");
        return;
    }
    if (request->path[0] != '\0' && strcmp(request->path, "/") != 0) {
        answer(response, 404, "there is nothing below this path");
        return;
    }
    if (encoding != NULL && strcmp(encoding, "identity") != 0) {
        answer(response, 415, "bodies cannot be compressed: leave Content-Encoding out");
        return;
    }
    if (is_closed(s)) {
        answer(response, 503, "this pipeline is stopping");
        return;
    }
    struct wr_block *block = receive(s, request, response);
    if (block == NULL) {
        return;
    }
    const uint64_t held = block->capacity;
    const size_t bytes = block->end;
    if (bytes == 0) {
        answer(response, 400, "the body is empty: send one JSON object per line");
    } else if (put(s, block)) {
        response->status = 202;
        response->content_type = "application/json";
        wr_buf_printf(&response->body, "{\"accepted_bytes\":%zu}\n", bytes);
        return;
    } else {
        answer(response, 503, "this pipeline is stopping");
    }
    wr_block_release(block);
    let_go(s, held);
}

/* ---- source; @thread control ---- */

static void http_close(struct wr_source *s)
{
    if (s != NULL) {
        wr_open_gate_deinit(&s->gate);
        pthread_mutex_destroy(&s->lock);
        free(s->queues);
        free(s->names);
        free(s->route);
        free(s);
    }
}

static wr_status http_open(struct wr_source **out, const struct wr_source_env *env,
                           struct wr_error *err)
{
    if (env->http == NULL) {
        (void)wr_fail(err, WR_CLASS_USER, "requests can only come in when the HTTP server runs");
        wr_error_hint(err, "start with --listen 127.0.0.1:8080 and POST to /ingest/%s",
                      env->plan->name);
        return WR_FAIL;
    }
    struct wr_source *s = wr_calloc(1, sizeof *s);
    s->env = *env;
    s->csv = strcmp(env->plan->format, "csv") == 0;
    s->body_max = (uint64_t)wr_options_int(env->plan->options, "max_body");
    s->closed = env->bounded; /* what the queue had at the start: nothing */
    s->queues = wr_calloc(env->workers, sizeof *s->queues);
    s->names = wr_calloc(env->workers, sizeof *s->names);
    for (uint32_t w = 0; w < env->workers; w++) {
        (void)snprintf(s->names[w], sizeof s->names[w], "worker-%u", w);
    }
    pthread_mutex_init(&s->lock, NULL);
    wr_open_gate_init(&s->gate, env);
    wr_open_gate_announce(&s->gate, env->workers);
    const size_t bytes = strlen(env->plan->name) + 16;
    s->route = wr_malloc(bytes);
    (void)snprintf(s->route, bytes, "/ingest/%s", env->plan->name);
    wr_http_server_route(env->http, s->route, handle, s);
    *out = s;
    return WR_OK;
}

/* ---- reader; @thread worker ---- */

static wr_status http_reader_open(struct wr_reader **out, struct wr_source *s, uint32_t worker,
                                  struct wr_io *io, struct wr_error *err)
{
    struct wr_reader *r = wr_calloc(1, sizeof *r);
    r->source = s;
    r->worker = worker;
    wr_line_records_pool_init(&r->records, s->env.batch_rows);
    *out = r;
    return WR_OK;
}

static struct body *take_body(struct wr_reader *r)
{
    struct wr_source *s = r->source;
    pthread_mutex_lock(&s->lock);
    struct queue *queue = &s->queues[r->worker];
    struct body *body = queue->first;
    if (body != NULL) {
        queue->first = body->next;
        queue->last = queue->first == NULL ? NULL : queue->last;
        queue->bytes -= body->block->capacity;
        s->held -= body->block->capacity;
    }
    pthread_mutex_unlock(&s->lock);
    return body;
}

/* Takes the next body into the cutter; false when there is none. */
static bool next_body(struct wr_reader *r)
{
    struct body *body = take_body(r);
    if (body == NULL) {
        return false;
    }
    wr_cutter_deinit(&r->cutter);
    r->cutter = (struct wr_cutter){ .records = &r->records,
                                    .csv = r->source->csv,
                                    .delimiter = ',',
                                    .quote = '"',
                                    .bytes_max = WR_RECORD_BYTES_MAX };
    if (r->source->csv) {
        const struct wr_options *options = r->source->env.plan->options;
        const char *delimiter = wr_options_text(options, "delimiter");
        const bool tab = strcmp(delimiter, "\\t") == 0 || strcmp(delimiter, "tab") == 0;
        r->cutter.delimiter = tab ? '\t' : delimiter[0];
        r->cutter.quote = wr_options_text(options, "quote")[0];
    }
    r->arrived_us = body->arrived_us;
    wr_cutter_feed(&r->cutter, body->block); /* its reference moves */
    wr_cutter_end(&r->cutter);
    free(body);
    return true;
}

static void http_reader_close(struct wr_reader *r)
{
    struct wr_source *s = r->source;
    pthread_mutex_lock(&s->lock);
    s->closed = true;
    pthread_mutex_unlock(&s->lock);
    wr_cutter_deinit(&r->cutter);
    uint32_t lost = 0;
    for (struct body *body = take_body(r); body != NULL; body = take_body(r)) {
        wr_block_release(body->block);
        free(body);
        lost++;
    }
    if (lost > 0) {
        wr_log_warn("http", "source %s: %u accepted requests were not read before the end",
                    s->env.plan->name, lost);
    }
    wr_line_records_pool_deinit(&r->records);
    free(r);
}

/* Opens the split, ends it in a bounded run. True: out is set, or nothing may be given yet. */
static bool split_events(struct wr_reader *r, struct wr_poll *out)
{
    struct wr_source *s = r->source;
    out->split = r->worker;
    if (!r->opened) {
        r->opened = true;
        out->kind = WR_POLL_SPLIT_OPENED;
        out->split_name = s->names[r->worker];
        out->partition = (int32_t)r->worker;
        return true;
    }
    if (!r->confirmed) {
        r->confirmed = true;
        wr_open_gate_confirm(&s->gate, 1);
    }
    if (s->env.bounded) {
        out->kind = r->ended ? WR_POLL_FINISHED : WR_POLL_SPLIT_ENDED;
        r->ended = true;
        return true;
    }
    return !wr_open_gate_is_open(&s->gate);
}

static wr_status http_poll(struct wr_reader *r, struct wr_time now, struct wr_batch *batch,
                           struct wr_poll *out, struct wr_error *err)
{
    if (split_events(r, out)) {
        return WR_OK;
    }
    for (;;) {
        struct wr_records *records = NULL;
        if (r->cutter.records != NULL) {
            records = wr_cutter_take(&r->cutter, r->source->env.batch_rows, r->arrived_us);
        }
        if (records != NULL) {
            records->split = r->worker;
            r->caught_up = false;
            out->kind = WR_POLL_ROWS;
            out->records = records;
            out->next_position = r->cutter.next_position;
            return WR_OK;
        }
        if (!next_body(r)) {
            break;
        }
    }
    wr_cutter_deinit(&r->cutter); /* gives the last body back */
    if (!r->caught_up) {
        r->caught_up = true;
        out->kind = WR_POLL_SPLIT_CAUGHT_UP;
    }
    return WR_OK;
}

static int64_t http_deadline_ns(const struct wr_reader *r)
{
    return INT64_MAX;
}

const struct wr_source_ops wr_source_http = {
    .name = "http",
    .help = "Events that clients POST to /ingest/<source> of --listen, one per line. With "
            "--bounded it ends at once.",
    .options = http_options,
    .metadata = { [WR_META_OFFSET] = true, [WR_META_TIMESTAMP] = true },
    .check = http_check,
    .open = http_open,
    .reader_open = http_reader_open,
    .poll = http_poll,
    .deadline_ns = http_deadline_ns,
    .reader_close = http_reader_close,
    .close = http_close,
};
