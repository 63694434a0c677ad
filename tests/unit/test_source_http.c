#include "test_source_harness.h"

#include "net/http_server.h"
#include <criterion/criterion.h>

/* The server's place: the handler is called as one of its threads would. */
static wr_http_handler handler;
static void *handler_ctx;
static char route[64];

void wr_http_server_route(struct wr_http_server *server, const char *prefix, wr_http_handler given,
                          void *ctx)
{
    snprintf(route, sizeof route, "%s", prefix);
    handler = given;
    handler_ctx = ctx;
}

struct fake {
    struct wr_http_request request; /* first: requests and this are the same address */
    const char *body;
    size_t bytes;
    size_t at;
    size_t piece;
    const char *encoding;
};

static const char *fake_header(const struct wr_http_request *request, const char *name)
{
    return strcmp(name, "Content-Encoding") == 0 ? ((const struct fake *)request)->encoding : NULL;
}

static int64_t fake_read(const struct wr_http_request *request, void *into, size_t bytes)
{
    struct fake *f = (struct fake *)(uintptr_t)request;
    size_t give = f->bytes - f->at;
    give = give > f->piece ? f->piece : give;
    give = give > bytes ? bytes : give;
    memcpy(into, f->body + f->at, give);
    f->at += give;
    return (int64_t)give;
}

static int send_as(const char *method, const char *body, size_t bytes, int64_t length,
                   const char *encoding, int *retry_after)
{
    struct fake f = { .body = body, .bytes = bytes, .piece = 1000, .encoding = encoding };
    f.request = (struct wr_http_request){ .method = method, .path = "", .header = fake_header,
                                          .read = fake_read, .content_length = length };
    struct wr_http_response response = { .status = 200 };
    handler(handler_ctx, &f.request, &response);
    if (retry_after != NULL) {
        *retry_after = response.retry_after_s;
    }
    cr_assert(response.body.bytes > 0);
    wr_buf_deinit(&response.body);
    return response.status;
}

static int post(const char *body)
{
    return send_as("POST", body, strlen(body), (int64_t)strlen(body), NULL, NULL);
}

static void open_source(struct harness *h, uint32_t workers, uint64_t memory, bool bounded)
{
    const char *const pairs[] = { "max_body", "100KB", NULL };
    harness_init(h);
    h->env.workers = workers;
    h->env.memory_bytes = memory;
    h->env.bounded = bounded;
    h->env.http = (struct wr_http_server *)h; /* only handed on to the route above */
    cr_assert_eq(harness_options(h, &wr_source_http, "json", pairs), WR_OK, "%s", h->err.message);
    cr_assert_eq(harness_start(h), WR_OK, "%s", h->err.message);
}

/* Everything that the readers give now, as "split@position:text|" and events. */
static void drain(struct harness *h, struct wr_buf *into)
{
    into->bytes = 0;
    for (uint32_t w = 0; w < h->env.workers; w++) {
        for (;;) {
            struct wr_poll poll = { 0 };
            cr_assert_eq(h->ops->poll(h->readers[w], h->now, NULL, &poll, &h->err), WR_OK);
            if (poll.kind == WR_POLL_NOTHING || poll.kind == WR_POLL_FINISHED) {
                break;
            }
            if (poll.kind == WR_POLL_SPLIT_OPENED) {
                wr_buf_printf(into, "open%u ", poll.split);
            } else if (poll.kind == WR_POLL_SPLIT_ENDED) {
                wr_buf_printf(into, "end%u ", poll.split);
            } else if (poll.kind == WR_POLL_SPLIT_CAUGHT_UP) {
                wr_buf_printf(into, "idle%u ", poll.split);
            }
            for (uint32_t i = 0; poll.records != NULL && i < poll.records->count; i++) {
                const struct wr_record *r = &poll.records->items[i];
                cr_assert(r->timestamp_us > 1600000000000000);
                wr_buf_printf(into, "%u@%d:%.*s ", poll.split, (int)r->position, (int)r->bytes,
                              r->data);
            }
            wr_records_release(poll.records);
        }
    }
}

static void expect(struct harness *h, const char *text)
{
    struct wr_buf seen = { 0 };
    drain(h, &seen);
    cr_assert_str_eq(wr_buf_cstr(&seen), text);
    wr_buf_deinit(&seen);
}

Test(source_http, a_request_is_accepted_and_read_as_lines)
{
    struct harness h;
    open_source(&h, 1, 1 << 20, false);
    cr_assert_str_eq(route, "/ingest/s");
    expect(&h, "open0 idle0 ");
    cr_assert_eq(post("{\"a\":1}\r\n{\"a\":2}"), 202);
    cr_assert_eq(post("x\n\ny\n"), 202);
    cr_assert(h.wakes >= 2);
    expect(&h, "0@0:{\"a\":1} 0@9:{\"a\":2} 0@16:x 0@19:y idle0 ");
    expect(&h, "");
    harness_end(&h);
}

Test(source_http, what_cannot_be_taken_is_refused_by_name)
{
    struct harness h;
    char *big = calloc(1, 200001);
    memset(big, 'x', 200000);
    open_source(&h, 1, 1 << 20, false);
    cr_assert_eq(send_as("GET", "", 0, 0, NULL, NULL), 405);
    cr_assert_eq(post(""), 400);
    cr_assert_eq(send_as("POST", "x", 1, 1, "gzip", NULL), 415);
    cr_assert_eq(post(big), 413);
    cr_assert_eq(send_as("POST", big, 200000, -1, NULL, NULL), 413);
    cr_assert_eq(send_as("POST", "short", 5, 10, NULL, NULL), 400);
    cr_assert_eq(send_as("POST", "longer", 6, 3, NULL, NULL), 400);
    expect(&h, "open0 idle0 ");
    cr_assert_eq(send_as("POST", big, 90000, -1, NULL, NULL), 413); /* 128 KiB would be needed */
    cr_assert_eq(send_as("POST", big, 60000, -1, NULL, NULL), 202);
    free(big);
    harness_end(&h);
}

Test(source_http, a_full_queue_says_when_to_come_back)
{
    struct harness h;
    char body[40001];
    int retry_after = 0;
    memset(body, 'x', 40000);
    open_source(&h, 1, 100000, false);
    cr_assert_eq(send_as("POST", body, 40000, 40000, NULL, NULL), 202);
    cr_assert_eq(send_as("POST", body, 40000, 40000, NULL, NULL), 202);
    cr_assert_eq(send_as("POST", body, 40000, 40000, NULL, &retry_after), 429);
    cr_assert(retry_after > 0);
    struct wr_buf seen = { 0 };
    drain(&h, &seen);
    wr_buf_deinit(&seen);
    cr_assert_eq(send_as("POST", body, 40000, 40000, NULL, NULL), 202);
    harness_end(&h);
}

Test(source_http, requests_go_to_the_shortest_queue)
{
    struct harness h;
    open_source(&h, 2, 1 << 20, false);
    cr_assert_eq(post("aaaaaaaaaaaaaaaa"), 202);
    cr_assert_eq(post("b"), 202);
    cr_assert_eq(post("c"), 202);
    struct wr_buf seen = { 0 };
    drain(&h, &seen); /* opens; worker 0's split waits for worker 1's */
    drain(&h, &seen);
    wr_buf_deinit(&seen);
    cr_assert_eq(post("d"), 202);
    cr_assert_eq(post("e"), 202);
    struct wr_buf later = { 0 };
    drain(&h, &later);
    cr_assert_not_null(strstr(wr_buf_cstr(&later), "0@"));
    cr_assert_not_null(strstr(wr_buf_cstr(&later), "1@"));
    wr_buf_deinit(&later);
    harness_end(&h);
}

Test(source_http, a_bounded_run_ends_and_takes_nothing)
{
    struct harness h;
    open_source(&h, 1, 1 << 20, true);
    cr_assert_eq(post("x"), 503);
    expect(&h, "open0 end0 ");
    harness_end(&h);
}

Test(source_http, without_a_server_the_way_is_shown)
{
    const char *const pairs[] = { NULL };
    struct harness h;
    harness_init(&h);
    cr_assert_eq(harness_options(&h, &wr_source_http, "json", pairs), WR_OK);
    cr_assert_eq(harness_start(&h), WR_FAIL);
    cr_assert_not_null(strstr(h.err.hint, "--listen"));
    harness_end(&h);
}
