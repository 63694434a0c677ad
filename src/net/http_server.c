/* http_server.c: see http_server.h. CivetWeb does sockets, parsing and threads; here are the
 * routes, what an answer looks like, and the limits that keep a hostile client from holding all
 * threads.
 *
 * Threads: `lock` guards routes and the counts of connections and waits; everything else is constant
 * after start. Invariants: (1) every request is answered here: CivetWeb's own file, CGI and
 * WebSocket handling is never reached (2) a connection is kept for another request only while half
 * of the threads are free, so that /healthz answers although many producers keep their connections
 */
#include "net/http_server.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"

#include <civetweb.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* Metrics, health and ingest producers at once, most of which may wait for a commit; a thread costs about
 * 120 KB once it has served. */
#define THREADS       32
#define WAITING_MAX   24 /* the others answer health and metrics meanwhile */
#define ROUTES_MAX    64
#define ADDRESS_BYTES 256

struct route {
    char *prefix;
    size_t prefix_bytes;
    wr_http_handler handler;
    void *ctx;
};

struct wr_http_server {
    struct mg_context *civetweb;
    char address[ADDRESS_BYTES + 8];
    pthread_mutex_t lock;
    struct route routes[ROUTES_MAX];
    uint32_t route_count;
    uint32_t connections; /* that a thread serves now */
    uint32_t waiting;     /* handlers between begin_wait and end_wait */
    int64_t last_log_ns;  /* CivetWeb's complaints are told once a second at most */
    uint32_t unlogged;
    bool started; /* until then the error that start returns says it all */
};

/* What CivetWeb keeps for us with a connection while a handler runs. */
struct exchange {
    struct mg_connection *connection;
    int64_t left; /* bytes of the body that are still to come; -1: chunked, unknown */
    bool broken;
};

/* --- addresses ---------------------------------------------------------------------------------
 */

struct address {
    char host[ADDRESS_BYTES]; /* without brackets; "" means all interfaces */
    bool bracketed;
    unsigned port;
};

static wr_status parse_address(const char *text, struct address *address, struct wr_error *err)
{
    const char *colon = strrchr(text, ':');
    const char *host = text;
    size_t host_bytes = colon != NULL ? (size_t)(colon - text) : 0;
    memset(address, 0, sizeof(*address));
    if (colon == NULL || host_bytes >= sizeof(address->host)) {
        goto bad;
    }
    if (host_bytes >= 2 && host[0] == '[' && host[host_bytes - 1] == ']') {
        address->bracketed = true;
        host++;
        host_bytes -= 2;
    } else if (memchr(host, ':', host_bytes) != NULL) {
        goto bad; /* ::1:8080 could be read in two ways */
    }
    /* A comma or a letter such as the `s` of 8443s would mean something to CivetWeb. */
    for (size_t i = 0; i < host_bytes; i++) {
        if (strchr(", +[]\"'/", host[i]) != NULL) {
            goto bad;
        }
    }
    const size_t digits = strspn(colon + 1, "0123456789");
    if (digits == 0 || digits > 5 || colon[1 + digits] != '\0') {
        goto bad;
    }
    address->port = (unsigned)strtoul(colon + 1, NULL, 10);
    if (address->port > 65535) {
        goto bad;
    }
    memcpy(address->host, host, host_bytes);
    return WR_OK;
bad:
    (void)wr_fail(err, WR_CLASS_USER, "cannot listen on '%s': not HOST:PORT", text);
    wr_error_hint(err, "write 127.0.0.1:8080, [::1]:8080, or :8080 for all interfaces");
    return WR_FAIL;
}

/* CivetWeb only says that it could not; binding once more ourselves tells why. */
static int bind_error(const struct address *address)
{
    char port[8];
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int result = 0;
    snprintf(port, sizeof(port), "%u", address->port);
    if (getaddrinfo(address->host[0] != '\0' ? address->host : NULL, port, &hints, &found) != 0) {
        return EADDRNOTAVAIL;
    }
    const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    if (fd < 0) {
        result = errno;
    } else {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 1) != 0) {
            result = errno;
        }
        close(fd);
    }
    freeaddrinfo(found);
    return result;
}

static wr_status listen_failed(const char *text, const struct address *address, const char *said,
                               struct wr_error *err)
{
    const int why = bind_error(address);
    char reason[128];
    snprintf(reason, sizeof(reason), "%s",
             why != 0 ? strerror(why) : "the HTTP server did not start");
    (void)wr_fail(err, WR_CLASS_USER, "cannot listen on %s: %s", text, reason);
    if (said[0] != '\0') {
        wr_error_detail(err, "%s", said);
    }
    if (why == EADDRINUSE) {
        wr_error_hint(err,
                      "stop the process that has it (`ss -ltnp 'sport = :%u'` names it), or choose "
                      "another with "
                      "--listen HOST:PORT; port 0 takes a free one",
                      address->port);
    } else if (why == EACCES) {
        wr_error_hint(err, "ports under 1024 need CAP_NET_BIND_SERVICE; choose a higher one");
    } else if (why == EADDRNOTAVAIL) {
        wr_error_hint(err, "the host must be an address of this machine (`ip address` lists them)");
    }
    return WR_FAIL;
}

/* --- a request ----------------------------------------------------------------------------------
 */

static const char *request_header(const struct wr_http_request *request, const char *name)
{
    const struct exchange *exchange = request->connection;
    return mg_get_header(exchange->connection, name);
}

static int64_t request_read(const struct wr_http_request *request, void *into, size_t bytes)
{
    struct exchange *exchange = request->connection;
    if (exchange->broken) {
        return -1;
    }
    if (exchange->left == 0 || bytes == 0) {
        return 0;
    }
    if (exchange->left > 0 && (uint64_t)exchange->left < bytes) {
        bytes = (size_t)exchange->left;
    }
    if (bytes > 1 << 20) {
        bytes = 1 << 20; /* mg_read counts in int */
    }
    const int got = mg_read(exchange->connection, into, bytes);
    if (got > 0) {
        if (exchange->left > 0) {
            exchange->left -= got;
        }
        return got;
    }
    /* Ending before its announced length is a broken connection, not the end of the body. */
    if (got == 0 && exchange->left < 0) {
        exchange->left = 0;
        return 0;
    }
    exchange->broken = true;
    return -1;
}

/* The handler whose prefix is the longest one that matches; rest: the path after it. */
static bool find_route(struct wr_http_server *server, const char *path, struct route *found,
                       const char **rest)
{
    bool any = false;
    pthread_mutex_lock(&server->lock);
    for (uint32_t i = 0; i < server->route_count; i++) {
        const struct route *route = &server->routes[i];
        if (strncmp(path, route->prefix, route->prefix_bytes) == 0 &&
            (path[route->prefix_bytes] == '\0' || path[route->prefix_bytes] == '/') &&
            (!any || route->prefix_bytes > found->prefix_bytes)) {
            *found = *route;
            any = true;
        }
    }
    pthread_mutex_unlock(&server->lock);
    if (any) {
        *rest = path + found->prefix_bytes;
    }
    return any;
}

/* (2) Also when the client did not send all of its body: skipping gigabytes would hold a thread. */
static bool may_keep(struct wr_http_server *server, const struct exchange *exchange)
{
    pthread_mutex_lock(&server->lock);
    const bool free = server->connections <= THREADS / 2;
    pthread_mutex_unlock(&server->lock);
    return free && !exchange->broken && exchange->left == 0;
}

static void send_response(struct wr_http_server *server, struct exchange *exchange, bool head,
                          const char *allow, const struct wr_http_response *response)
{
    struct mg_connection *connection = exchange->connection;
    const int status = response->status != 0 ? response->status : 200;
    const char *type =
        response->content_type != NULL ? response->content_type : "text/plain; charset=utf-8";
    struct wr_buf out = {0};
    wr_buf_printf(
        &out,
        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\nConnection: %s\r\n",
        status, mg_get_response_code_text(connection, status), type, response->body.bytes,
        may_keep(server, exchange) ? "keep-alive" : "close");
    if (response->retry_after_s > 0) {
        wr_buf_printf(&out, "Retry-After: %d\r\n", response->retry_after_s);
    }
    if (allow != NULL) {
        wr_buf_printf(&out, "Allow: %s\r\n", allow);
    }
    wr_buf_text(&out, "\r\n");
    if (!head) {
        wr_buf_append(&out, response->body.data, response->body.bytes);
    }
    (void)mg_write(connection, out.data, out.bytes); /* a client that went away misses its answer */
    wr_buf_deinit(&out);
}

static void refuse(struct wr_http_response *response, int status, const char *text)
{
    response->status = status;
    wr_buf_text(&response->body, text);
}

static bool is_chunked(const struct mg_connection *connection)
{
    const char *coding = mg_get_header(connection, "Transfer-Encoding");
    return coding != NULL && strcasecmp(coding, "identity") != 0;
}

static int begin_request(struct mg_connection *connection)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    struct wr_http_server *server = info->user_data;
    struct exchange exchange = {.connection = connection,
                                .left = is_chunked(connection)     ? -1
                                        : info->content_length > 0 ? info->content_length
                                                                   : 0};
    struct wr_http_response response = {0};
    const char *path = info->local_uri != NULL ? info->local_uri : "";
    const bool head = strcmp(info->request_method, "HEAD") == 0;
    const char *allow = NULL;
    struct route route = {0};
    struct wr_http_request request = {
        .method = head ? "GET" : info->request_method, /* an answer without its body */
        .query = info->query_string,
        .header = request_header,
        .read = request_read,
        .content_length = exchange.left,
        .connection = &exchange,
    };
    if (strcmp(request.method, "GET") != 0 && strcmp(request.method, "POST") != 0 &&
        strcmp(request.method, "PUT") != 0 && strcmp(request.method, "DELETE") != 0) {
        allow = "GET, HEAD, POST, PUT, DELETE";
        refuse(&response, 405, "method not allowed\n");
    } else if (!find_route(server, path, &route, &request.path)) {
        refuse(&response, 404, "not found\n");
    } else {
        route.handler(route.ctx, &request, &response);
    }
    send_response(server, &exchange, head, allow, &response);
    wr_buf_deinit(&response.body);
    return 200; /* (1) handled */
}

/* --- CivetWeb's callbacks ------------------------------------------------------------------------
 */

static int init_connection(const struct mg_connection *connection, void **data)
{
    struct wr_http_server *server = mg_get_user_data(mg_get_context(connection));
    (void)data;
    pthread_mutex_lock(&server->lock);
    server->connections++;
    pthread_mutex_unlock(&server->lock);
    return 0;
}

static void connection_closed(const struct mg_connection *connection)
{
    struct wr_http_server *server = mg_get_user_data(mg_get_context(connection));
    pthread_mutex_lock(&server->lock);
    wr_assert(server->connections > 0);
    server->connections--;
    pthread_mutex_unlock(&server->lock);
}

/* Text that may hold what a client sent: printable ASCII only, and not a line per request. */
static int log_message(const struct mg_connection *connection, const char *message)
{
    struct wr_http_server *server = mg_get_user_data(mg_get_context(connection));
    char text[256];
    uint32_t unlogged = 0;
    if (server == NULL) {
        return 1;
    }
    const int64_t now_ns = wr_clock_now().mono_ns;
    pthread_mutex_lock(&server->lock);
    const bool tell = server->started &&
                      (server->last_log_ns == 0 || now_ns - server->last_log_ns >= WR_NS_PER_S);
    if (tell) {
        server->last_log_ns = now_ns;
        unlogged = server->unlogged;
        server->unlogged = 0;
    } else if (server->started) {
        server->unlogged++;
    }
    pthread_mutex_unlock(&server->lock);
    if (!tell) {
        return 1;
    }
    size_t bytes = 0;
    for (; message[bytes] != '\0' && bytes + 1 < sizeof(text); bytes++) {
        text[bytes] = message[bytes] >= ' ' && message[bytes] <= '~' ? message[bytes] : '?';
    }
    text[bytes] = '\0';
    if (unlogged > 0) {
        wr_log_warn("http", "%s (and %u more not told)", text, unlogged);
    } else {
        wr_log_warn("http", "%s", text);
    }
    return 1;
}

/* Errors that CivetWeb finds itself (a malformed request): our plain answer instead of its page. */
static int http_error(struct mg_connection *connection, int status, const char *text)
{
    (void)text;
    (void)mg_printf(connection, "HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                    status, mg_get_response_code_text(connection, status));
    return 0;
}

/* --- start and stop ------------------------------------------------------------------------------
 */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void init_library(void)
{
    (void)mg_init_library(0); /* no TLS: a proxy in front does that */
}

static struct mg_context *start_civetweb(struct wr_http_server *server, const char *ports,
                                         char *said, size_t said_bytes)
{
    char threads[16];
    snprintf(threads, sizeof(threads), "%d", THREADS);
    const char *settings[] = {
        "listening_ports",
        ports,
        "num_threads",
        threads,
        "enable_keep_alive",
        "yes",
        "keep_alive_timeout_ms",
        "500",
        "request_timeout_ms",
        "10000",
        "max_request_size",
        "16384",
        "tcp_nodelay",
        "1",
        "access_control_allow_origin",
        "",
        "access_control_allow_methods",
        "",
        "enable_directory_listing",
        "no",
        "enable_auth_domain_check",
        "no",
        NULL,
    };
    const struct mg_callbacks callbacks = {.begin_request = begin_request,
                                           .init_connection = init_connection,
                                           .connection_closed = connection_closed,
                                           .log_message = log_message,
                                           .http_error = http_error};
    struct mg_init_data init = {
        .callbacks = &callbacks, .user_data = server, .configuration_options = settings};
    unsigned code = 0;
    struct mg_error_data error = {.code = &code, .text = said, .text_buffer_size = said_bytes};
    sigset_t all, before;
    /* Signals belong to control: threads inherit the mask that stands while they are made. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    struct mg_context *started = mg_start2(&init, &error);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

wr_status wr_http_server_start(struct wr_http_server **into, const char *text, struct wr_error *err)
{
    struct address address;
    char ports[ADDRESS_BYTES + 16], said[256] = "";
    *into = NULL;
    WR_TRY(parse_address(text, &address, err));
    pthread_once(&library_once, init_library);
    if (address.bracketed && mg_check_feature(MG_FEATURES_IPV6) == 0) {
        (void)wr_fail(err, WR_CLASS_USER, "cannot listen on %s: this build's CivetWeb has no IPv6",
                      text);
        wr_error_hint(err, "listen on 127.0.0.1:%u, or on :%u for all IPv4 interfaces",
                      address.port, address.port);
        return WR_FAIL;
    }
    struct wr_http_server *server = calloc(1, sizeof(*server));
    wr_ensure(server != NULL, err, WR_CLASS_FATAL, "out of memory for the HTTP server");
    pthread_mutex_init(&server->lock, NULL);
    snprintf(ports, sizeof(ports),
             address.bracketed         ? "[%s]:%u"
             : address.host[0] != '\0' ? "%s:%u"
                                       : "%s%u",
             address.host, address.port);
    server->civetweb = start_civetweb(server, ports, said, sizeof(said));
    struct mg_server_port bound;
    if (server->civetweb == NULL || mg_get_server_ports(server->civetweb, 1, &bound) != 1) {
        wr_http_server_stop(server);
        return listen_failed(text, &address, said, err);
    }
    pthread_mutex_lock(&server->lock);
    server->started = true;
    pthread_mutex_unlock(&server->lock);
    snprintf(server->address, sizeof(server->address), address.bracketed ? "[%s]:%d" : "%s:%d",
             address.host, bound.port);
    *into = server;
    return WR_OK;
}

void wr_http_server_route(struct wr_http_server *server, const char *prefix,
                          wr_http_handler handler, void *ctx)
{
    pthread_mutex_lock(&server->lock);
    wr_assert(server->route_count < ROUTES_MAX);
    char *copy = strdup(prefix);
    wr_assert(copy != NULL);
    server->routes[server->route_count++] = (struct route){
        .prefix = copy, .prefix_bytes = strlen(copy), .handler = handler, .ctx = ctx};
    pthread_mutex_unlock(&server->lock);
}

bool wr_http_server_begin_wait(struct wr_http_server *server)
{
    pthread_mutex_lock(&server->lock);
    const bool may = server->waiting < WAITING_MAX;
    server->waiting += may;
    pthread_mutex_unlock(&server->lock);
    return may;
}

void wr_http_server_end_wait(struct wr_http_server *server)
{
    pthread_mutex_lock(&server->lock);
    wr_assert(server->waiting > 0);
    server->waiting--;
    pthread_mutex_unlock(&server->lock);
}

const char *wr_http_server_address(const struct wr_http_server *server)
{
    return server->address;
}

void wr_http_server_stop(struct wr_http_server *server)
{
    if (server == NULL) {
        return;
    }
    if (server->civetweb != NULL) {
        mg_stop(server->civetweb);
    }
    for (uint32_t i = 0; i < server->route_count; i++) {
        free(server->routes[i].prefix);
    }
    pthread_mutex_destroy(&server->lock);
    free(server);
}
