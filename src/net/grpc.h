/* grpc.h: gRPC over libcurl's HTTP/2, for one thread that may wait: unary calls and streams in both directions.
 *
 * A message on the wire is a flag byte, its length (4 bytes, big endian) and its bytes; the outcome comes in trailers (grpc-status,
 * grpc-message, grpc-status-details-bin). Messages are sent as they are and asked for so; a compressed one is an error.
 * Each call has a connection of its own while it lasts (kept ones are used again): a stream that is held back holds up nobody else.
 *
 * Ownership: the caller owns struct wr_grpc_call until done() was called or wr_grpc_cancel returned; the channel owns connections.
 * Threads: one per channel, which is never a worker; only wr_grpc_wake may come from others.
 * Invariants:
 *   (1) done() is called exactly once for each call that was begun, out of wr_grpc_turn, unless wr_grpc_cancel came first
 *   (2) no token leaves for a server that is neither this machine nor verified by TLS
 *   (3) a message that is longer than message_bytes_max ends the call, before its bytes are taken
 */
#ifndef WR_NET_GRPC_H
#define WR_NET_GRPC_H

#include "base/buf.h"
#include "base/status.h"
#include "net/token_source.h"

#define WR_GRPC_MESSAGE_BYTES_MAX (32u << 20)

enum wr_grpc_code {
    WR_GRPC_OK = 0,
    WR_GRPC_CANCELLED = 1,
    WR_GRPC_UNKNOWN = 2,
    WR_GRPC_INVALID_ARGUMENT = 3,
    WR_GRPC_DEADLINE_EXCEEDED = 4,
    WR_GRPC_NOT_FOUND = 5,
    WR_GRPC_PERMISSION_DENIED = 7,
    WR_GRPC_RESOURCE_EXHAUSTED = 8,
    WR_GRPC_FAILED_PRECONDITION = 9,
    WR_GRPC_ABORTED = 10,
    WR_GRPC_UNIMPLEMENTED = 12,
    WR_GRPC_INTERNAL = 13,
    WR_GRPC_UNAVAILABLE = 14,
    WR_GRPC_UNAUTHENTICATED = 16,
};

struct wr_grpc_channel;

struct wr_grpc_settings {
    const char *url;      /* "https://pubsub.googleapis.com", "http://127.0.0.1:8085" (no TLS, no token) */
    const char *ca_file;  /* NULL: the system's */
    struct wr_token_source *tokens; /* NULL: none; borrowed, asked on the channel's thread */
    uint32_t connect_timeout_ms;    /* 0: 10 s */
};

struct wr_grpc_call {
    /* The request. */
    const char *method;        /* "/google.pubsub.v1.Subscriber/Pull"; lives as long as the call */
    const char *params;        /* x-goog-request-params, encoded; NULL: none; used by begin alone */
    uint32_t timeout_ms;       /* 0: none */
    size_t message_bytes_max;  /* 0: WR_GRPC_MESSAGE_BYTES_MAX */
    /* A message: data is the callee's to free. */
    void (*message)(struct wr_grpc_call *call, char *data, size_t bytes);
    void (*done)(struct wr_grpc_call *call);
    void *ctx; /* the caller's */
    /* The outcome, in done(). */
    int code;            /* enum wr_grpc_code, or another number that the server said */
    char text[256];      /* what the server, or the network, said */
    struct wr_buf details; /* grpc-status-details-bin, decoded: a google.rpc.Status */
    bool may_retry;      /* asking again can help */
    bool untrusted;      /* the server's certificate was refused */
    /* The channel's. */
    void *state;
};

WR_NODISCARD wr_status wr_grpc_channel_create(struct wr_grpc_channel **channel, const struct wr_grpc_settings *settings,
                                              struct wr_error *err);
/* Calls under way are cancelled. NULL is fine. */
void wr_grpc_channel_destroy(struct wr_grpc_channel *channel);

/* Begins a call with one message to send. stream: more may follow (wr_grpc_send) until wr_grpc_half_close. */
void wr_grpc_begin(struct wr_grpc_channel *channel, struct wr_grpc_call *call, const void *message, size_t bytes, bool stream);
void wr_grpc_send(struct wr_grpc_call *call, const void *message, size_t bytes);
void wr_grpc_half_close(struct wr_grpc_call *call);
/* Bytes that were given to send and have not left yet. */
size_t wr_grpc_unsent(const struct wr_grpc_call *call);
/* Stops taking messages, or goes on: the server sees its window close. */
void wr_grpc_hold(struct wr_grpc_call *call, bool held);
bool wr_grpc_is_under_way(const struct wr_grpc_call *call);
/* Takes back a call; done() is not called. One that is not under way is left alone. */
void wr_grpc_cancel(struct wr_grpc_call *call);
void wr_grpc_call_deinit(struct wr_grpc_call *call); /* accepts a zeroed one; cancels */

/* Moves everything that can be moved; waits at most wait_ms for something to do. */
void wr_grpc_turn(struct wr_grpc_channel *channel, int wait_ms);
void wr_grpc_wake(struct wr_grpc_channel *channel); /* @thread any */

/* Unary and waited for; on WR_OK the answer is in reply. WR_FAIL: class RETRY when asking again can help, else USER; call keeps code, text and
 * details. call: zeroed but for method, params, timeout_ms. */
WR_NODISCARD wr_status wr_grpc_unary(struct wr_grpc_channel *channel, struct wr_grpc_call *call, const struct wr_buf *request,
                                     struct wr_buf *reply, struct wr_error *err);
/* "NOT_FOUND"; a number that is none of gRPC's: "code 99". */
const char *wr_grpc_code_name(int code);
/* Fills err from an outcome that is not OK: what: "subscription x". */
wr_status wr_grpc_fail(const struct wr_grpc_call *call, struct wr_error *err, const char *what);

/* For tests: percent-decoding as grpc-message has it, in place; base64 with or without padding. */
void wr_grpc_percent_decode(char *text);
bool wr_grpc_base64_decode(struct wr_slice text, struct wr_buf *into);

#endif
