/* HTTP server: routes, limits, and what hostile requests get. */
#include "net/http_server.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static void hello(void *ctx, const struct wr_http_request *request,
                  struct wr_http_response *response)
{
    wr_buf_printf(&response->body, "%s %s path=%s query=%s", (const char *)ctx, request->method,
                  request->path, request->query != NULL ? request->query : "-");
}

/* Answers with the body's size and sum, or 400 when it broke off. */
static void count_body(void *ctx, const struct wr_http_request *request,
                       struct wr_http_response *response)
{
    char piece[777];
    uint64_t bytes = 0, sum = 0;
    int64_t got;
    while ((got = request->read(request, piece, sizeof(piece))) > 0) {
        for (int64_t i = 0; i < got; i++) {
            sum += (unsigned char)piece[i];
        }
        bytes += (uint64_t)got;
    }
    *(volatile int64_t *)ctx = got;
    if (got < 0) {
        response->status = 400;
        return;
    }
    const char *token = request->header(request, "x-token");
    response->status = 202;
    response->content_type = "application/json";
    wr_buf_printf(&response->body, "%lu %lu %s %ld", bytes, sum, token != NULL ? token : "-",
                  (long)request->content_length);
}

static void busy(void *ctx, const struct wr_http_request *request,
                 struct wr_http_response *response)
{
    (void)ctx;
    (void)request;
    response->status = 429;
    response->retry_after_s = 7;
}

static volatile int64_t last_read;

static struct wr_http_server *start(void)
{
    struct wr_http_server *server = NULL;
    struct wr_error err = {0};
    cr_assert_eq(wr_http_server_start(&server, "127.0.0.1:0", &err), WR_OK, "%s %s", err.message,
                 err.detail);
    wr_http_server_route(server, "/a", hello, "short");
    wr_http_server_route(server, "/a/b", hello, "long");
    wr_http_server_route(server, "/count", count_body, (void *)&last_read);
    wr_http_server_route(server, "/busy", busy, NULL);
    return server;
}

static int dial(const struct wr_http_server *server)
{
    const char *address = wr_http_server_address(server);
    const struct timeval patience = {.tv_sec = 15};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0, "connect to %s", address);
    return fd;
}

/* Sends text on a connection of its own and returns all that comes back until the server closes. */
static const char *ask_bytes(const struct wr_http_server *server, const char *text, size_t bytes)
{
    static char answer[65536];
    size_t filled = 0;
    const int fd = dial(server);
    while (bytes > 0) {
        const ssize_t sent = send(fd, text, bytes, MSG_NOSIGNAL);
        if (sent <= 0) {
            break; /* refused before all was sent: the answer is there to read */
        }
        text += sent;
        bytes -= (size_t)sent;
    }
    shutdown(fd, SHUT_WR);
    ssize_t got;
    while (filled + 1 < sizeof(answer) &&
           (got = recv(fd, answer + filled, sizeof(answer) - 1 - filled, 0)) > 0) {
        filled += (size_t)got;
    }
    answer[filled] = '\0';
    close(fd);
    return answer;
}

static const char *ask(const struct wr_http_server *server, const char *text)
{
    return ask_bytes(server, text, strlen(text));
}

#define expect_in(answer, part)                                                       \
    do {                                                                              \
        const char *answer_ = (answer);                                               \
        cr_expect(strstr(answer_, part) != NULL, "no \"%s\" in:\n%s", part, answer_); \
    } while (0)

Test(http_server, longest_prefix_wins_and_ends_at_a_slash)
{
    struct wr_http_server *server = start();
    expect_in(ask(server, "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              "short GET path= query=-");
    expect_in(ask(server, "GET /a/x?q=1&r HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              "short GET path=/x query=q=1&r");
    expect_in(ask(server, "GET /a/b/c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              "long GET path=/c");
    expect_in(ask(server, "GET /abc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              "HTTP/1.1 404 ");
    wr_http_server_stop(server);
}

Test(http_server, unknown_paths_and_methods_are_refused)
{
    struct wr_http_server *server = start();
    expect_in(ask(server, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              "HTTP/1.1 404 ");
    expect_in(ask(server, "GET /etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              "HTTP/1.1 404 ");
    expect_in(
        ask(server, "GET /a/../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        "HTTP/1.1 404 ");
    const char *patch = ask(
        server, "PATCH /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    expect_in(patch, "HTTP/1.1 405 ");
    expect_in(patch, "Allow: GET, HEAD, POST");
    wr_http_server_stop(server);
}

Test(http_server, head_gets_the_headers_of_get_alone)
{
    struct wr_http_server *server = start();
    const char *answer = ask(server, "HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect_in(answer, "HTTP/1.1 200 ");
    expect_in(answer, "Content-Length: 23\r\n");
    cr_expect(strstr(answer, "short") == NULL, "a body after HEAD:\n%s", answer);
    wr_http_server_stop(server);
}

Test(http_server, bodies_arrive_with_a_length_or_in_chunks)
{
    struct wr_http_server *server = start();
    expect_in(ask(server, "POST /count HTTP/1.1\r\nHost: x\r\nX-Token: t\r\nContent-Length: "
                          "3\r\nConnection: close\r\n\r\nabc"),
              "3 294 t 3");
    const char *chunked = ask(
        server,
        "POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
    expect_in(chunked, "HTTP/1.1 202 ");
    expect_in(chunked, "Content-Type: application/json\r\n");
    expect_in(chunked, "3 294 - -1");
    wr_http_server_stop(server);
}

Test(http_server, a_body_of_megabytes_streams_through)
{
    struct wr_http_server *server = start();
    const size_t bytes = 5000000;
    char *text = malloc(bytes + 200);
    const int head = sprintf(
        text, "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
        bytes);
    memset(text + head, 1, bytes);
    expect_in(ask_bytes(server, text, (size_t)head + bytes), "5000000 5000000 ");
    free(text);
    wr_http_server_stop(server);
}

Test(http_server, a_body_that_breaks_off_is_told_to_the_handler)
{
    struct wr_http_server *server = start();
    last_read = 1;
    (void)ask(server, "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc");
    wr_http_server_stop(server);
    cr_expect_eq(last_read, -1, "a short body read as %ld", (long)last_read);
}

Test(http_server, chunks_that_break_off_are_told_to_the_handler)
{
    struct wr_http_server *server = start();
    last_read = 1;
    (void)ask(server,
              "POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
    wr_http_server_stop(server);
    cr_expect_eq(last_read, -1, "short chunks read as %ld", (long)last_read);
}

Test(http_server, backpressure_says_when_to_come_back)
{
    struct wr_http_server *server = start();
    const char *answer =
        ask(server,
            "POST /busy HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
    expect_in(answer, "HTTP/1.1 429 ");
    expect_in(answer, "Retry-After: 7\r\n");
    wr_http_server_stop(server);
}

Test(http_server, one_connection_serves_several_requests)
{
    struct wr_http_server *server = start();
    const char *answer =
        ask(server, "GET /a/1 HTTP/1.1\r\nHost: x\r\n\r\nGET /a/2 HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_in(answer, "path=/1");
    expect_in(answer, "path=/2");
    wr_http_server_stop(server);
}

Test(http_server, hostile_requests_do_not_bring_it_down, .timeout = 60)
{
    struct wr_http_server *server = start();
    char *huge = malloc(1 << 20);
    memset(huge, 'A', 1 << 20);
    memcpy(huge, "GET /", 5);
    (void)ask_bytes(server, huge, 1 << 20);
    static const char *const bad[] = {
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET /a\r\n\r\n",
        "GET /a HTTP/9.9\r\n\r\n",
        "\x16\x03\x01\x02",
        "G",
        "GET /a HTTP/1.1\r\nHost\r\n\r\n",
        "GET /%00%ff%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST /count HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        "POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc",
        "GET /a HTTP/1.1\r\nHost: x\r\nX: \x01\x02\x7f\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)ask(server, bad[i]);
    }
    /* As many headers as fit, and more than CivetWeb keeps. */
    size_t at = (size_t)sprintf(huge, "GET /a HTTP/1.1\r\n");
    for (int i = 0; i < 500; i++) {
        at += (size_t)sprintf(huge + at, "H%d: v\r\n", i);
    }
    at += (size_t)sprintf(huge + at, "\r\n");
    (void)ask_bytes(server, huge, at);
    free(huge);
    expect_in(ask(server, "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              "HTTP/1.1 200 ");
    wr_http_server_stop(server);
}

Test(http_server, idle_connections_leave_room_for_others, .timeout = 60)
{
    struct wr_http_server *server = start();
    int idle[7];
    for (size_t i = 0; i < 7; i++) {
        idle[i] = dial(server);
    }
    expect_in(ask(server, "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              "HTTP/1.1 200 ");
    for (size_t i = 0; i < 7; i++) {
        close(idle[i]);
    }
    wr_http_server_stop(server);
}

static void expect_refused(const char *address, const char *message, const char *hint)
{
    struct wr_http_server *server = NULL;
    struct wr_error err = {0};
    cr_expect_eq(wr_http_server_start(&server, address, &err), WR_FAIL, "'%s' is taken", address);
    cr_expect_null(server);
    expect_in(err.message, message);
    expect_in(err.hint, hint);
}

Test(http_server, bad_addresses_are_refused_with_the_right_form)
{
    expect_refused("8080", "not HOST:PORT", "127.0.0.1:8080");
    expect_refused("127.0.0.1:", "not HOST:PORT", "127.0.0.1:8080");
    expect_refused("127.0.0.1:99999", "not HOST:PORT", "127.0.0.1:8080");
    expect_refused("127.0.0.1:80s", "not HOST:PORT", "127.0.0.1:8080");
    expect_refused("::1:8080", "not HOST:PORT", "[::1]:8080");
    expect_refused("1,2:80", "not HOST:PORT", "127.0.0.1:8080");
    expect_refused("192.0.2.1:0", "annot assign requested address", "address of this machine");
}

Test(http_server, an_address_in_use_names_the_remedy)
{
    struct wr_http_server *server = start();
    expect_refused(wr_http_server_address(server), "Address already in use", "--listen HOST:PORT");
    wr_http_server_stop(server);
    wr_http_server_stop(NULL);
}

Test(http_server, all_interfaces_is_an_empty_host)
{
    struct wr_http_server *server = NULL;
    struct wr_error err = {0};
    cr_assert_eq(wr_http_server_start(&server, ":0", &err), WR_OK, "%s", err.message);
    cr_expect_eq(wr_http_server_address(server)[0], ':');
    cr_expect_gt(atoi(wr_http_server_address(server) + 1), 0);
    wr_http_server_stop(server);
}
