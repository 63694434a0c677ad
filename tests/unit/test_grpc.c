#include "net/grpc.h"
#include "net/pubsub_api.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *decoded(const char *text)
{
    static char into[64];
    snprintf(into, sizeof into, "%s", text);
    wr_grpc_percent_decode(into);
    return into;
}

Test(grpc, a_message_is_percent_decoded_and_never_breaks_a_line)
{
    cr_assert_str_eq(decoded("plain"), "plain");
    cr_assert_str_eq(decoded("100%25 of it"), "100% of it");
    cr_assert_str_eq(decoded("gr%C3%BCn"), "grün");
    cr_assert_str_eq(decoded("a%0Ab%00c"), "a b c");
    cr_assert_str_eq(decoded("cut %4"), "cut %4");
    cr_assert_str_eq(decoded("%zz%"), "%zz%");
}

static bool base64(const char *text, const char *want, size_t bytes)
{
    struct wr_buf buf = { 0 };
    const bool good = wr_grpc_base64_decode(wr_slice_of(text), &buf) && buf.bytes == bytes && memcmp(buf.data, want, bytes) == 0;
    wr_buf_deinit(&buf);
    return good;
}

/* RFC 4648, section 10, with and without padding. */
Test(grpc, details_are_base64_with_or_without_padding)
{
    struct wr_buf buf = { 0 };
    cr_assert(base64("Zg==", "f", 1));
    cr_assert(base64("Zg", "f", 1));
    cr_assert(base64("Zm8=", "fo", 2));
    cr_assert(base64("Zm9v", "foo", 3));
    cr_assert(base64("Zm9vYmFy", "foobar", 6));
    cr_assert(base64("-_-_", "\xfb\xff\xbf", 3));
    cr_assert_not(wr_grpc_base64_decode(wr_slice_of("Z"), &buf));
    cr_assert_not(wr_grpc_base64_decode(wr_slice_of("Zm 9"), &buf));
    wr_buf_deinit(&buf);
}

static void count_done(struct wr_grpc_call *call)
{
    (*(int *)call->ctx)++;
}

static void drop_message(struct wr_grpc_call *call, char *data, size_t bytes)
{
    free(data);
}

/* A port that nobody listens at: it was free a moment ago. */
static int free_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t bytes = sizeof at;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &bytes), 0);
    close(fd);
    return ntohs(at.sin_port);
}

Test(grpc, a_server_that_is_not_there_is_unavailable_and_done_comes_once)
{
    char url[64];
    struct wr_error err;
    struct wr_grpc_channel *channel;
    int done = 0;
    snprintf(url, sizeof url, "http://127.0.0.1:%d", free_port());
    const struct wr_grpc_settings settings = { .url = url, .connect_timeout_ms = 2000 };
    cr_assert_eq(wr_grpc_channel_create(&channel, &settings, &err), WR_OK, "%s", err.message);
    struct wr_grpc_call stream = { .method = "/a.B/C", .done = count_done, .message = drop_message, .ctx = &done };
    struct wr_grpc_call other = stream;
    wr_grpc_begin(channel, &stream, "x", 1, true);
    wr_grpc_begin(channel, &other, "x", 1, false);
    wr_grpc_send(&stream, "more", 4);
    cr_assert_eq(wr_grpc_unsent(&stream), 5 + 1 + 5 + 4);
    for (int i = 0; done < 2 && i < 100; i++) {
        wr_grpc_turn(channel, 100);
    }
    cr_assert_eq(done, 2);
    cr_assert_eq(stream.code, WR_GRPC_UNAVAILABLE);
    cr_assert(stream.may_retry && !stream.untrusted && !wr_grpc_is_under_way(&stream));
    wr_grpc_begin(channel, &stream, "x", 1, true); /* taken back: not told */
    wr_grpc_call_deinit(&stream);
    wr_grpc_turn(channel, 0);
    cr_assert_eq(done, 2);
    wr_grpc_begin(channel, &other, "x", 1, false); /* under way when the channel goes */
    wr_grpc_channel_destroy(channel);
    cr_assert_not(wr_grpc_is_under_way(&other));
    wr_grpc_call_deinit(&other);
}

Test(grpc, an_outcome_becomes_an_error_with_its_code_by_name)
{
    struct wr_error err;
    struct wr_grpc_call call = { .code = WR_GRPC_NOT_FOUND, .text = "no such thing" };
    cr_assert_eq(wr_grpc_fail(&call, &err, "subscription a"), WR_FAIL);
    cr_assert_str_eq(err.message, "subscription a: NOT_FOUND");
    cr_assert_str_eq(err.detail, "no such thing");
    cr_assert_eq(err.cls, WR_CLASS_USER);
    call.may_retry = true;
    (void)wr_grpc_fail(&call, &err, "x");
    cr_assert_eq(err.cls, WR_CLASS_RETRY);
    cr_assert_str_eq(wr_grpc_code_name(16), "UNAUTHENTICATED");
    cr_assert_str_eq(wr_grpc_code_name(-1), "an unknown code");
    cr_assert_str_eq(wr_grpc_code_name(99), "an unknown code");
}

static const char *resource(const char *project, const char *name)
{
    static char into[128];
    const struct wr_pubsub_place place = { .project = project };
    struct wr_buf buf = { 0 };
    struct wr_error err;
    const wr_status status = wr_pubsub_resource(&buf, &place, "subscriptions", name, &err);
    snprintf(into, sizeof into, "%s", status == WR_OK ? wr_buf_cstr(&buf) : "refused");
    cr_assert(status == WR_OK || (err.cls == WR_CLASS_USER && err.hint[0] != '\0'));
    wr_buf_deinit(&buf);
    return into;
}

Test(grpc, pubsub_names_are_short_or_full_and_nothing_else)
{
    unsetenv("GOOGLE_CLOUD_PROJECT");
    unsetenv("PUBSUB_PROJECT_ID");
    cr_assert_str_eq(resource("p", "s"), "projects/p/subscriptions/s");
    cr_assert_str_eq(resource("example.com:p", "s-1.x~y+z%25"), "projects/example.com:p/subscriptions/s-1.x~y+z%25");
    cr_assert_str_eq(resource(NULL, "projects/p/subscriptions/s"), "projects/p/subscriptions/s");
    const char *const wrong[] = { "", "a b", "a\nb", "projects/p/topics/s", "projects/p/subscriptions/", "projects//subscriptions/s",
                                  "projects/p/subscriptions/s/t", "/s", "projects/p/subscriptions/s/" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_assert_str_eq(resource("p", wrong[i]), "refused", "%s", wrong[i]);
    }
    cr_assert_str_eq(resource(NULL, "s"), "refused");
    setenv("GOOGLE_CLOUD_PROJECT", "from-environment", 1);
    cr_assert_str_eq(resource(NULL, "s"), "projects/from-environment/subscriptions/s");
    struct wr_buf buf = { 0 };
    wr_pubsub_params(&buf, "subscription", "projects/p/subscriptions/s+1");
    cr_assert_str_eq(wr_buf_cstr(&buf), "subscription=projects%2Fp%2Fsubscriptions%2Fs%2B1");
    wr_buf_deinit(&buf);
}

Test(grpc, pubsub_endpoints)
{
    struct wr_pubsub_service service;
    struct wr_error err;
    struct wr_pubsub_place place = { .endpoint = "http://127.0.0.1:8085/" };
    cr_assert_eq(wr_pubsub_open(&service, &place, &err), WR_OK, "%s", err.message);
    cr_assert_str_eq(service.url, "http://127.0.0.1:8085");
    cr_assert_null(service.tokens);
    wr_pubsub_close(&service);
    setenv("PUBSUB_EMULATOR_HOST", "localhost:9", 1);
    place.endpoint = NULL;
    cr_assert_eq(wr_pubsub_open(&service, &place, &err), WR_OK, "%s", err.message);
    cr_assert_str_eq(service.url, "http://localhost:9");
    wr_pubsub_close(&service);
    const char *const wrong[] = { "http://", "a b", "host/path", "ftp://host", "host\r\nx: y", "https://user@host" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        place.endpoint = wrong[i];
        cr_assert_eq(wr_pubsub_open(&service, &place, &err), WR_FAIL, "%s", wrong[i]);
        cr_assert_eq(err.cls, WR_CLASS_USER);
        wr_pubsub_close(&service);
    }
}
