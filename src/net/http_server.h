/* http_server.h: the admin and ingest HTTP server, on CivetWeb's own threads (interface).
 *
 * Threads: handlers run on the server's threads, several at once: they only touch what is
 * thread-safe.
 */
#ifndef WR_NET_HTTP_SERVER_H
#define WR_NET_HTTP_SERVER_H

#include "base/buf.h"
#include "base/status.h"

struct wr_http_server;

struct wr_http_request {
    const char *method;
    const char *path;  /* the part after the route's prefix, "" or "/..." */
    const char *query; /* may be NULL */
    /* A request header's value or NULL. */
    const char *(*header)(const struct wr_http_request *request, const char *name);
    /* Reads up to bytes of the body; 0 at its end, <0 when the connection broke. Chunked bodies
     * too. */
    int64_t (*read)(const struct wr_http_request *request, void *into, size_t bytes);
    int64_t content_length; /* -1: chunked */
    void *connection;
};

struct wr_http_response {
    int status;               /* default 200 */
    const char *content_type; /* default text/plain; charset=utf-8 */
    int retry_after_s;        /* >0: the header is sent */
    struct wr_buf body;
};

typedef void (*wr_http_handler)(void *ctx, const struct wr_http_request *request,
                                struct wr_http_response *response);

/* address: "127.0.0.1:8080", "[::1]:8080", ":8080" (all interfaces). */
WR_NODISCARD wr_status wr_http_server_start(struct wr_http_server **server, const char *address,
                                            struct wr_error *err);
/* Requests whose path is prefix or begins with prefix + "/". The longest prefix wins. */
void wr_http_server_route(struct wr_http_server *server, const char *prefix,
                          wr_http_handler handler, void *ctx);
/* The address in use (port 0 is resolved). */
const char *wr_http_server_address(const struct wr_http_server *server);
/* For handlers that wait for more than their own client (a commit): false when so many do that
 * the others would find no thread; true: wr_http_server_end_wait ends it. @thread any */
bool wr_http_server_begin_wait(struct wr_http_server *server);
void wr_http_server_end_wait(struct wr_http_server *server);
/* Waits for handlers that are running; NULL is fine. */
void wr_http_server_stop(struct wr_http_server *server);

#endif
