/* http_request.c: POST /ingest/<source>: receives bodies, puts them into a split's queue, and waits as
 * `ack` says before it answers. @thread server */
#include "source/http_source.h"

#include "base/heap.h"
#include <errno.h>
#include <time.h>

/* A chunked body's length is not known before: it is received in pieces of this size. */
#define PIECE_BYTES (64u << 10)
/* After the readers are gone, the last commit is what a request may still wait for. */
#define LAST_COMMIT_NS (2 * WR_NS_PER_S)

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

/* Line ends at the end are no rows; without them the last row ends where the body does, so that its
 * position tells that the body is through. */
static void trim(struct wr_block *block)
{
    while (block->end > block->begin &&
           (block->data[block->end - 1] == '\n' || block->data[block->end - 1] == '\r')) {
        block->end--;
    }
}

/* Under lock. */
static uint32_t shortest_queue(struct wr_source *s)
{
    uint32_t best = s->next++ % s->env.workers;
    for (uint32_t w = 0; w < s->env.workers; w++) {
        best = s->splits[w].bytes < s->splits[best].bytes ? w : best;
    }
    return best;
}

/* Puts a body into a queue. False: the pipeline is stopping. wait: NULL when nobody waits. */
static bool put(struct wr_source *s, struct wr_block *block, struct http_wait *wait)
{
    struct http_body *body = wr_malloc(sizeof *body);
    *body = (struct http_body){ .block = block, .arrived_us = wr_clock_now().wall_us };
    pthread_mutex_lock(&s->lock);
    if (s->closed) {
        pthread_mutex_unlock(&s->lock);
        free(body);
        return false;
    }
    const uint32_t worker = shortest_queue(s);
    struct http_split *split = &s->splits[worker];
    split->bytes += block->capacity;
    if (s->ack == HTTP_ACK_SPOOL) {
        http_queue_push(&split->fresh, body); /* the spool gives it its position */
    } else {
        block->position = split->position;
        split->position += (int64_t)(block->end - block->begin);
        http_queue_push(&split->ready, body);
    }
    if (wait != NULL) {
        *wait = (struct http_wait){ .split = worker, .end = split->position, .body = body };
        body->wait = wait;
        if (s->ack == HTTP_ACK_COMMIT) {
            wait->next = s->waits;
            s->waits = wait;
        }
    }
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

static void unlink_from(struct http_queue *queue, const struct http_body *body)
{
    struct http_body *before = NULL;
    for (struct http_body *at = queue->first; at != NULL; before = at, at = at->next) {
        if (at == body) {
            *(before != NULL ? &before->next : &queue->first) = at->next;
            queue->last = queue->last == at ? before : queue->last;
            return;
        }
    }
}

/* Takes a body that nobody has touched yet out of its queue. Under lock. */
static void take_back(struct wr_source *s, struct http_wait *wait)
{
    struct http_split *split = &s->splits[wait->split];
    struct http_body *body = wait->body;
    unlink_from(s->ack == HTTP_ACK_SPOOL ? &split->fresh : &split->ready, body);
    split->bytes -= body->block->capacity;
    s->held -= body->block->capacity;
    wr_block_release(body->block);
    free(body);
    wait->body = NULL;
}

static void forget_wait(struct wr_source *s, const struct http_wait *wait)
{
    for (struct http_wait **at = &s->waits; *at != NULL; at = &(*at)->next) {
        if (*at == wait) {
            *at = wait->next;
            return;
        }
    }
}

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* what the condition waits by, also under a simulated clock */
    return now.tv_sec * WR_NS_PER_S + now.tv_nsec;
}

/* Waits until the body is safe as ack promises. *touched: it was not taken back, so its rows may be read
 * nevertheless. */
static enum http_outcome wait_for(struct wr_source *s, struct http_wait *wait, bool *touched)
{
    const int64_t deadline_ns = monotonic_ns() + s->ack_timeout_us * 1000;
    pthread_mutex_lock(&s->lock);
    while (wait->outcome == HTTP_WAITING) {
        int64_t until_ns = deadline_ns;
        if (s->closed && s->closed_ns + LAST_COMMIT_NS < until_ns) {
            until_ns = s->closed_ns + LAST_COMMIT_NS;
        }
        const struct timespec until = { .tv_sec = until_ns / WR_NS_PER_S,
                                        .tv_nsec = until_ns % WR_NS_PER_S };
        if (pthread_cond_timedwait(&s->changed, &s->lock, &until) == ETIMEDOUT &&
            wait->outcome == HTTP_WAITING) {
            break;
        }
    }
    const enum http_outcome outcome = wait->outcome;
    *touched = outcome == HTTP_WAITING && wait->body == NULL;
    if (outcome == HTTP_WAITING && wait->body != NULL) {
        take_back(s, wait);
    }
    forget_wait(s, wait);
    pthread_mutex_unlock(&s->lock);
    return outcome;
}

static void accepted(struct wr_http_response *response, size_t bytes)
{
    response->status = 202;
    response->content_type = "application/json";
    wr_buf_printf(&response->body, "{\"accepted_bytes\":%zu}\n", bytes);
}

/* Puts the body into a queue and answers when ack allows it. Takes the block. */
static void put_and_answer(struct wr_source *s, struct wr_block *block, size_t bytes,
                           struct wr_http_response *response)
{
    const uint64_t held = block->capacity;
    const bool waits = s->ack != HTTP_ACK_ACCEPTED;
    struct http_wait wait;
    bool touched = false;
    if (!put(s, block, waits ? &wait : NULL)) {
        wr_block_release(block);
        let_go(s, held);
        answer(response, 503, "this pipeline is stopping");
        return;
    }
    const enum http_outcome outcome = waits ? wait_for(s, &wait, &touched) : HTTP_TAKEN;
    if (outcome == HTTP_TAKEN) {
        accepted(response, bytes);
    } else if (outcome == HTTP_NOT_TAKEN) {
        answer(response, 503, "it could not be written, or this pipeline is stopping: send it again");
    } else {
        answer(response, 503,
               touched ? "not committed in time: sent again, it may be read twice"
                       : "not taken in time: send it again");
    }
}

void wr_http_source_handle(void *ctx, const struct wr_http_request *request,
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
    const bool waits = s->ack != HTTP_ACK_ACCEPTED;
    if (waits && !wr_http_server_begin_wait(s->env.http)) {
        answer(response, 429, "too many requests wait for their commit: send it again later");
        return;
    }
    struct wr_block *block = receive(s, request, response);
    if (block != NULL) {
        const size_t bytes = block->end;
        trim(block);
        if (block->end > 0) {
            put_and_answer(s, block, bytes, response);
        } else {
            let_go(s, block->capacity);
            wr_block_release(block);
            if (bytes > 0) {
                accepted(response, bytes); /* empty lines: nothing to keep */
            } else {
                answer(response, 400, "the body is empty: send one JSON object per line");
            }
        }
    }
    if (waits) {
        wr_http_server_end_wait(s->env.http);
    }
}
