/* HTTP client against our own server, and against sockets that misbehave. */
#include "net/http_client.h"
#include "net/http_server.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void echo(void *ctx, const struct wr_http_request *request,
                 struct wr_http_response *response)
{
    char piece[4096];
    int64_t got;
    (void)ctx;
    const char *token = request->header(request, "X-Token");
    const char *expect = request->header(request, "Expect");
    const char *type = request->header(request, "Content-Type");
    wr_buf_printf(&response->body, "%s %s %s %s %s:", request->method, request->path,
                  token != NULL ? token : "-", expect != NULL ? expect : "-",
                  type != NULL ? type : "-");
    while ((got = request->read(request, piece, sizeof(piece))) > 0) {
        wr_buf_append(&response->body, piece, (size_t)got);
    }
    response->status = got < 0 ? 400 : 201;
    response->retry_after_s = 3;
}

static struct wr_http_server *server;
static struct wr_http_client *client;

static void start(void)
{
    struct wr_error err = {0};
    const struct wr_http_settings settings = {.timeout_ms = 2000};
    unsetenv("http_proxy");
    cr_assert_eq(wr_http_server_start(&server, "127.0.0.1:0", &err), WR_OK, "%s", err.message);
    wr_http_server_route(server, "/echo", echo, NULL);
    cr_assert_eq(wr_http_client_create(&client, &settings, &err), WR_OK, "%s", err.message);
}

static void stop(void)
{
    wr_http_client_destroy(client);
    wr_http_server_stop(server);
}

TestSuite(http_client, .init = start, .fini = stop, .timeout = 60);

static void ask(struct wr_http_call *call, const char *method, const char *path, const void *body,
                size_t bytes)
{
    wr_http_call_clear(call);
    call->method = method;
    wr_buf_printf(&call->url, "http://%s%s", wr_http_server_address(server), path);
    call->body = body;
    call->body_bytes = bytes;
}

static void expect_answer(struct wr_http_call *call, int status, const char *text)
{
    cr_expect_eq(call->status, status, "%d, %s", call->status, call->problem);
    cr_expect_str_eq(wr_buf_cstr(&call->response), text);
}

Test(http_client, every_method_goes_out_as_asked)
{
    struct wr_http_call call = {0};
    ask(&call, "GET", "/echo/a%20b", NULL, 0);
    wr_http_call_header(&call, "X-Token", "t");
    wr_http_perform(client, &call);
    expect_answer(&call, 201, "GET /a b t - -:");
    ask(&call, "PUT", "/echo", "body", 4);
    wr_http_perform(client, &call);
    expect_answer(&call, 201, "PUT  - - -:body");
    ask(&call, "POST", "/echo", NULL, 0);
    wr_http_call_header(&call, "Content-Type", "text/csv");
    wr_http_perform(client, &call);
    expect_answer(&call, 201, "POST  - - text/csv:");
    ask(&call, "DELETE", "/echo", NULL, 0);
    wr_http_perform(client, &call);
    expect_answer(&call, 201, "DELETE  - - -:");
    ask(&call, "HEAD", "/echo", NULL, 0);
    wr_http_perform(client, &call);
    expect_answer(&call, 201, "");
    ask(&call, "GET", "/none", NULL, 0);
    wr_http_perform(client, &call);
    expect_answer(&call, 404, "not found\n");
    wr_http_call_deinit(&call);
}

Test(http_client, headers_of_the_answer_are_found_in_any_case)
{
    struct wr_http_call call = {0};
    ask(&call, "GET", "/echo", NULL, 0);
    wr_http_perform(client, &call);
    cr_expect(wr_slice_is(wr_http_call_answer(&call, "retry-AFTER"), "3"));
    cr_expect_eq(wr_http_call_answer(&call, "retry").bytes, 0);
    wr_http_call_deinit(&call);
}

Test(http_client, several_calls_are_under_way_and_each_comes_back_once)
{
    enum { CALLS = 12 };
    static struct wr_http_call calls[CALLS];
    const size_t bytes = 300000;
    char *body = malloc(bytes);
    unsigned seen = 0;
    memset(body, 'x', bytes);
    for (size_t i = 0; i < CALLS; i++) {
        ask(&calls[i], "PUT", "/echo", body, bytes);
        wr_http_begin(client, &calls[i]);
        wr_http_turn(client);
    }
    /* One in between does not lose the others. */
    struct wr_http_call other = {0};
    ask(&other, "GET", "/echo/other", NULL, 0);
    wr_http_perform(client, &other);
    cr_expect_eq(other.status, 201);
    struct wr_http_call *call;
    while ((call = wr_http_wait_any(client)) != NULL) {
        cr_expect_eq(call->status, 201);
        cr_expect_eq(call->response.bytes, bytes + strlen("PUT  - - -:"));
        cr_expect_eq(seen & (1u << (call - calls)), 0);
        seen |= 1u << (call - calls);
    }
    cr_expect_eq(seen, (1u << CALLS) - 1);
    for (size_t i = 0; i < CALLS; i++) {
        wr_http_call_deinit(&calls[i]);
    }
    wr_http_call_deinit(&other);
    free(body);
}

Test(http_client, an_answer_larger_than_allowed_is_refused)
{
    struct wr_http_call call = {0};
    ask(&call, "PUT", "/echo", "0123456789", 10);
    call.response_bytes_max = 8;
    wr_http_perform(client, &call);
    cr_expect_eq(call.status, 0);
    cr_expect_not(call.may_retry);
    cr_expect(strstr(call.problem, "larger") != NULL, "%s", call.problem);
    wr_http_call_deinit(&call);
}

Test(http_client, a_cancelled_call_is_not_handed_out)
{
    struct wr_http_call call = {0};
    ask(&call, "PUT", "/echo", "0123456789", 10);
    wr_http_begin(client, &call);
    wr_http_turn(client);
    wr_http_cancel(client, &call);
    cr_expect_null(wr_http_wait_any(client));
    ask(&call, "GET", "/echo", NULL, 0);
    wr_http_perform(client, &call);
    cr_expect_eq(call.status, 201);
    wr_http_call_deinit(&call);
}

Test(http_client, nobody_there_can_be_retried_and_a_bad_url_cannot)
{
    struct wr_http_call call = {0};
    call.method = "GET";
    wr_buf_printf(&call.url, "http://127.0.0.1:1/");
    wr_http_perform(client, &call);
    cr_expect_eq(call.status, 0);
    cr_expect(call.may_retry);
    cr_expect_neq(call.problem[0], '\0');
    call.url.bytes = 0;
    wr_buf_printf(&call.url, "file:///etc/passwd");
    wr_http_perform(client, &call);
    cr_expect_eq(call.status, 0);
    cr_expect_not(call.may_retry);
    cr_expect_eq(call.response.bytes, 0);
    wr_http_call_deinit(&call);
}

/* Accepts connections and answers each with the bytes given, or with silence. */
static pid_t misbehave(const char *answer, uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(at);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 8) == 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &bytes), 0);
    *port = ntohs(at.sin_port);
    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            char ignored[65536];
            const int peer = accept(fd, NULL, NULL);
            (void)!read(peer, ignored, sizeof(ignored));
            if (answer == NULL) {
                sleep(30);
            }
            (void)!write(peer, answer, strlen(answer));
            close(peer);
        }
    }
    close(fd);
    return child;
}

static void expect_no_answer(const char *answer, bool may_retry)
{
    struct wr_http_call call = {0};
    uint16_t port = 0;
    const pid_t child = misbehave(answer, &port);
    call.method = "GET";
    wr_buf_printf(&call.url, "http://127.0.0.1:%u/", port);
    call.timeout_ms = 500;
    wr_http_perform(client, &call);
    cr_expect_eq(call.status, 0);
    cr_expect_eq(call.may_retry, may_retry, "%s", call.problem);
    wr_http_call_deinit(&call);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

Test(http_client, servers_that_misbehave_are_a_problem_never_an_answer)
{
    expect_no_answer(NULL, true); /* silence */
    expect_no_answer("", true);
    expect_no_answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", true);
    expect_no_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", true);
    char *long_header = malloc(200000);
    strcpy(long_header, "HTTP/1.1 200 OK\r\nX: ");
    memset(long_header + 20, 'x', 99000);
    strcpy(long_header + 99020, "\r\n\r\n");
    expect_no_answer(long_header, false);
    free(long_header);
}
