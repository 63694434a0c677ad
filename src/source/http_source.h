/* http_source.h: what the files of the connector 'http' share: the source, its splits, and bodies on
 * their way from a request to a reader (internal to it).
 *
 * http.c: the vtable: open, readers, commit. http_request.c: requests, on the server's threads.
 *
 * A body's way: received -> [ack = spool: waiting -> in a batch ->] ready -> read. Who waits for it (ack
 * other than accepted) has a struct http_wait on its stack.
 * Everything below is guarded by the source's lock unless it says otherwise.
 */
#ifndef WR_SOURCE_HTTP_SOURCE_H
#define WR_SOURCE_HTTP_SOURCE_H

#include "net/http_server.h"
#include "source/source_gate.h"
#include "source/source_lines.h"
#include "source/spool.h"

enum http_ack { HTTP_ACK_ACCEPTED, HTTP_ACK_SPOOL, HTTP_ACK_COMMIT };

enum http_outcome { HTTP_WAITING, HTTP_TAKEN, HTTP_NOT_TAKEN };

struct http_body {
    struct http_body *next;
    struct wr_block *block;
    int64_t arrived_us;
    struct http_wait *wait; /* NULL: nobody waits any more */
};

/* A request that is not answered yet. */
struct http_wait {
    struct http_wait *next; /* in the source's list; ack = commit */
    uint32_t split;
    int64_t end;            /* position behind the body; ack = commit */
    struct http_body *body; /* while it can still be taken back */
    enum http_outcome outcome;
};

struct http_queue {
    struct http_body *first;
    struct http_body *last;
};

struct http_split {
    char name[24];
    bool live;               /* requests go to it */
    struct wr_spool *spool;  /* the worker's, see spool.h; NULL: none */
    struct http_queue fresh; /* to be spooled */
    struct http_queue ready; /* to be read */
    uint64_t bytes;          /* of both */
    int64_t start;           /* position that it was opened at; constant */
    int64_t position;        /* of the next body; without a spool */
};

struct wr_source {
    struct wr_source_env env;
    struct wr_open_gate gate;
    enum http_ack ack;
    int64_t ack_timeout_us;
    bool csv;
    uint64_t body_max;
    char *route;
    char *spool_directory; /* NULL: none */
    struct http_split *splits; /* first those of the workers, then what earlier runs left */
    uint32_t split_count;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a wait has an outcome, or closed */
    struct http_wait *waits;
    uint64_t held;  /* bytes received or being received, not yet taken by a reader */
    uint32_t next;  /* worker that the next body goes to, when all are equal */
    bool closed;    /* readers are gone, or the run is bounded */
    int64_t closed_ns;
};

static inline void http_queue_push(struct http_queue *queue, struct http_body *body)
{
    body->next = NULL;
    if (queue->last != NULL) {
        queue->last->next = body;
    } else {
        queue->first = body;
    }
    queue->last = body;
}

static inline struct http_body *http_queue_pop(struct http_queue *queue)
{
    struct http_body *body = queue->first;
    if (body != NULL) {
        queue->first = body->next;
        queue->last = queue->first == NULL ? NULL : queue->last;
    }
    return body;
}

/* Gives a body's wait an outcome (under lock; the caller signals `changed`). */
static inline void http_settle(struct http_body *body, enum http_outcome outcome)
{
    if (body->wait != NULL) {
        body->wait->outcome = outcome;
        body->wait->body = NULL;
        body->wait = NULL;
    }
}

/* The handler of the source's route; ctx is the source. @thread server */
void wr_http_source_handle(void *ctx, const struct wr_http_request *request,
                           struct wr_http_response *response);

#endif
