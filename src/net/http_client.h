/* http_client.h: HTTP requests over libcurl for one thread: one at a time, or several under way.
 *
 * Ownership: the caller owns struct wr_http_call and the body it points to until the call is done;
 * the client owns connections and handles. Threads: one, which may wait; it may be made by another
 * that hands it over whole. Invariants: (1) a call that was begun is handed out by
 * wr_http_wait_any or finished by wr_http_perform exactly once, unless wr_http_cancel took it back
 *   (2) no redirect is followed and no header of ours reaches another host: signatures are made for
 * one host
 */
#ifndef WR_NET_HTTP_CLIENT_H
#define WR_NET_HTTP_CLIENT_H

#include "base/buf.h"
#include "base/status.h"

struct wr_http_client;

/* What a call's on_data did with a piece. */
enum wr_http_taken {
    WR_HTTP_TAKEN,
    WR_HTTP_NOT_NOW, /* nothing of it: it comes again after wr_http_resume */
    WR_HTTP_STOP,    /* the call fails without a retry; who stopped it knows why */
};

struct wr_http_call {
    /* The request. */
    const char *method; /* "GET", "PUT", ... */
    struct wr_buf url;  /* encoded as it goes over the wire; wr_http_call_clear empties it */
    const void *body;   /* borrowed until the call is done */
    size_t body_bytes;
    uint32_t
        timeout_ms; /* for the whole exchange; 0: the client's, plus what the body's size needs */
    size_t response_bytes_max; /* 0: 1 MiB */
    /* An answer without end: a successful one's body comes here piece by piece instead of into response. NULL: no. May not
     * begin or cancel calls. */
    enum wr_http_taken (*on_data)(struct wr_http_call *call, const char *data, size_t bytes);
    bool http2; /* where the server offers it over TLS */
    /* The response. status 0: there was none, and problem says why. */
    int status;
    struct wr_buf response;
    char problem[256];
    bool may_retry; /* without a response: whether asking again can help */
    void *ctx;      /* the caller's */
    /* The client's. */
    struct curl_slist *request_headers;
    struct wr_buf response_headers; /* the final answer's lines */
    void *handle;
    struct wr_http_call *next;
    bool done;
    bool too_large;
    bool stopped; /* by on_data */
};

struct wr_http_settings {
    uint32_t connect_timeout_ms; /* 0: 5 s */
    uint32_t timeout_ms;         /* 0: 30 s; a transfer that stands still for that long fails too */
    const char *ca_file;         /* NULL: the system's */
};

WR_NODISCARD wr_status wr_http_client_create(struct wr_http_client **client,
                                             const struct wr_http_settings *settings,
                                             struct wr_error *err);
/* Calls under way are cancelled. NULL is fine. */
void wr_http_client_destroy(struct wr_http_client *client);

/* Names and values must not hold line breaks (asserted: callers encode what comes from outside). */
void wr_http_call_header(struct wr_http_call *call, const char *name, const char *value);
/* A response header's value, "" when there is none; borrowed from the call. */
struct wr_slice wr_http_call_answer(const struct wr_http_call *call, const char *name);
/* Retry-After in whole seconds (RFC 9110, 10.2.3), as milliseconds; 0: none, or a date. */
uint32_t wr_http_call_retry_after_ms(const struct wr_http_call *call);
/* Last-Modified (RFC 9110, 8.8.2) in milliseconds since 1970; false: none that can be read. */
bool wr_http_call_last_modified(const struct wr_http_call *call, int64_t *ms);
/* Empties request and response, keeping the buffers' memory. */
void wr_http_call_clear(struct wr_http_call *call);
void wr_http_call_deinit(struct wr_http_call *call); /* accepts a zeroed one; not one under way */

/* Starts a call; it makes progress whenever the client is turned. */
void wr_http_begin(struct wr_http_client *client, struct wr_http_call *call);
/* Moves what can be moved without waiting. */
void wr_http_turn(struct wr_http_client *client);
/* Waits until a begun call is done and returns it; NULL when none is under way. */
struct wr_http_call *wr_http_wait_any(struct wr_http_client *client);
/* The same, but waits for ms at most, and no longer than until wr_http_wake: NULL also then. */
struct wr_http_call *wr_http_wait_for(struct wr_http_client *client, uint32_t ms);
/* Ends the present or next wr_http_wait_for. @thread any */
void wr_http_wake(struct wr_http_client *client);
/* After on_data has said WR_HTTP_NOT_NOW. */
void wr_http_resume(struct wr_http_client *client, struct wr_http_call *call);
/* Takes back a call that was begun; its outcome stays open. */
void wr_http_cancel(struct wr_http_client *client, struct wr_http_call *call);
/* Begins call and waits for it alone. */
void wr_http_perform(struct wr_http_client *client, struct wr_http_call *call);

#endif
