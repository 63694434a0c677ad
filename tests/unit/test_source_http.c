#include "test_source_harness.h"

#include "net/http_server.h"
#include "source/spool.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

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

bool wr_http_server_begin_wait(struct wr_http_server *server)
{
    return true;
}

void wr_http_server_end_wait(struct wr_http_server *server)
{
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

static char directory[64]; /* of the state */

static void make_directory(void)
{
    snprintf(directory, sizeof directory, "/tmp/weir-test-http-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
}

static void remove_directory(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", directory);
    cr_assert_eq(system(command), 0);
}

/* starts: of an earlier run, or NULL. */
static void open_acking(struct harness *h, uint32_t workers, const char *ack,
                        const struct wr_split_start *starts, uint32_t start_count)
{
    const char *const pairs[] = { "max_body", "10MiB", "ack", ack, "ack_timeout", "10s", NULL };
    harness_init(h);
    h->env.workers = workers;
    h->env.http = (struct wr_http_server *)h;
    h->env.has_state = true;
    h->env.state_directory = directory;
    h->env.resumed = starts != NULL;
    h->env.starts = starts;
    h->env.start_count = start_count;
    cr_assert_eq(harness_options(h, &wr_source_http, "json", pairs), WR_OK, "%s", h->err.message);
    cr_assert_eq(harness_start(h), WR_OK, "%s", h->err.message);
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

/* ---- ack ---- */

/* A client that waits for its answer. */
struct client {
    pthread_t thread;
    const char *body;
    size_t bytes;
    atomic_int status; /* 0: not yet */
};

static void *client_main(void *arg)
{
    struct client *c = arg;
    atomic_store(&c->status,
                 send_as("POST", c->body, c->bytes, (int64_t)c->bytes, NULL, NULL));
    return NULL;
}

static void client_start(struct client *c, const char *body, size_t bytes)
{
    *c = (struct client){ .body = body, .bytes = bytes };
    cr_assert_eq(pthread_create(&c->thread, NULL, client_main, c), 0);
}

static void run_loop(struct harness *h)
{
    wr_io_turn(h->io, 1000000);
}

static void drain_more(struct harness *h, struct wr_buf *into)
{
    struct wr_buf now = { 0 };
    drain(h, &now);
    wr_buf_append(into, now.data, now.bytes);
    wr_buf_deinit(&now);
}

/* Polls until the client has its answer. */
static int answer_of(struct harness *h, struct client *c, struct wr_buf *seen)
{
    while (atomic_load(&c->status) == 0) {
        drain_more(h, seen);
        run_loop(h);
    }
    drain_more(h, seen);
    pthread_join(c->thread, NULL);
    return atomic_load(&c->status);
}

static void expect_seen(struct wr_buf *seen, const char *text)
{
    cr_assert_str_eq(wr_buf_cstr(seen), text);
    seen->bytes = 0;
}

/* Polls until nothing comes any more from what earlier runs left. */
static void drain_recovery(struct harness *h, struct wr_buf *seen)
{
    for (int i = 0; i < 30; i++) {
        drain_more(h, seen);
        run_loop(h);
    }
}

TestSuite(http_ack, .init = make_directory, .fini = remove_directory);

Test(http_ack, what_needs_a_state_says_so)
{
    for (int i = 0; i < 3; i++) {
        const char *const pairs[] = { "ack", i == 0 ? "commit" : "spool", NULL };
        struct harness h;
        harness_init(&h);
        h.env.http = (struct wr_http_server *)&h;
        h.env.has_state = i == 2;
        cr_assert_eq(harness_options(&h, &wr_source_http, "json", pairs), WR_OK);
        cr_assert_eq(harness_start(&h), WR_FAIL);
        cr_assert_not_null(strstr(h.err.message, pairs[1]));
        cr_assert_not_null(strstr(h.err.hint, i == 0 ? "accepted" : "commit"));
        harness_end(&h);
    }
}

Test(http_ack, a_spooled_body_is_answered_once_it_is_on_disk_and_read_after_a_crash)
{
    struct harness h;
    struct client c;
    struct wr_buf seen = { 0 };
    open_acking(&h, 1, "spool", NULL, 0);
    client_start(&c, "x\ny\r\n\nzz\n\n", 10);
    cr_assert_eq(answer_of(&h, &c, &seen), 202);
    expect_seen(&seen, "open0 idle0 0@24:x 0@26:y 0@30:zz idle0 ");
    client_start(&c, "w", 1);
    cr_assert_eq(answer_of(&h, &c, &seen), 202);
    expect_seen(&seen, "0@56:w idle0 ");
    harness_end(&h);

    static const struct {
        int64_t position;
        const char *rest;
    } cases[] = {
        { 0, "open0 0@24:x 0@26:y 0@30:zz 0@56:w idle0 " },
        { 26, "open0 0@26:y 0@30:zz 0@56:w idle0 " },
        { 30, "open0 0@30:zz 0@56:w idle0 " },
        { 32, "open0 0@56:w idle0 " },
        { 57, "open0 idle0 " },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct wr_split_start start = { "spool-0", cases[i].position, NULL };
        open_acking(&h, 1, "spool", &start, 1);
        drain_recovery(&h, &seen);
        expect_seen(&seen, cases[i].rest);
        harness_end(&h);
    }
    open_acking(&h, 1, "spool", NULL, 0); /* before the first manifest */
    drain_recovery(&h, &seen);
    expect_seen(&seen, cases[0].rest);
    client_start(&c, "v", 1);
    cr_assert_eq(answer_of(&h, &c, &seen), 202);
    expect_seen(&seen, "0@81:v idle0 ");
    harness_end(&h);
    const struct wr_split_start start = { "spool-0", 56, NULL };
    open_acking(&h, 1, "spool", &start, 1); /* two segments now */
    drain_recovery(&h, &seen);
    expect_seen(&seen, "open0 0@56:w 0@81:v idle0 ");
    harness_end(&h);
    wr_buf_deinit(&seen);
}

static void append_to(const char *name, const char *data, size_t bytes)
{
    char path[160];
    snprintf(path, sizeof path, "%s/http-s/%s", directory, name);
    const int fd = open(path, O_WRONLY | O_APPEND);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, data, bytes), (ssize_t)bytes);
    close(fd);
}

Test(http_ack, a_torn_end_is_cut_and_damage_before_it_is_an_error)
{
    struct harness h;
    struct client c;
    struct wr_buf seen = { 0 };
    const char *first = "0-00000000000000000000.spool";
    open_acking(&h, 1, "spool", NULL, 0);
    client_start(&c, "aaaa", 4);
    cr_assert_eq(answer_of(&h, &c, &seen), 202);
    harness_end(&h);
    append_to(first, "WSP1 half a frame that was never answered", 41);
    seen.bytes = 0;
    open_acking(&h, 1, "spool", NULL, 0);
    client_start(&c, "bb", 2);
    cr_assert_eq(answer_of(&h, &c, &seen), 202);
    harness_end(&h);
    seen.bytes = 0;
    open_acking(&h, 1, "spool", NULL, 0);
    drain_recovery(&h, &seen);
    expect_seen(&seen, "open0 0@24:aaaa 0@52:bb idle0 ");
    harness_end(&h);

    char path[160];
    snprintf(path, sizeof path, "%s/http-s/%s", directory, first);
    cr_assert_eq(truncate(path, 27), 0); /* not the last segment: its bytes are missed */
    open_acking(&h, 1, "spool", NULL, 0);
    wr_status status = WR_OK;
    for (int i = 0; i < 50 && status == WR_OK; i++) {
        struct wr_poll poll = { 0 };
        status = h.ops->poll(h.readers[0], h.now, NULL, &poll, &h.err);
        run_loop(&h);
    }
    cr_assert_eq(status, WR_FAIL);
    cr_assert_not_null(strstr(h.err.message, "is damaged at byte 0"), "%s", h.err.message);
    harness_end(&h);
    wr_buf_deinit(&seen);
}

static void count_segment(void *ctx, uint32_t split)
{
    ++*(uint32_t *)ctx;
}

static uint32_t segments(void)
{
    char path[160];
    uint32_t count = 0;
    snprintf(path, sizeof path, "%s/http-s", directory);
    cr_assert_eq(wr_spool_find(path, count_segment, &count), 0);
    return count;
}

/* Polls until the client has its answer; returns the position behind the last row. */
static int64_t send_big(struct harness *h, const char *body, size_t bytes)
{
    struct client c;
    int64_t next = -1;
    client_start(&c, body, bytes);
    while (atomic_load(&c.status) == 0 || next < 0) {
        struct wr_poll poll = { 0 };
        cr_assert_eq(h->ops->poll(h->readers[0], h->now, NULL, &poll, &h->err), WR_OK);
        if (poll.kind == WR_POLL_ROWS) {
            next = poll.next_position;
            wr_records_release(poll.records);
        } else if (poll.kind == WR_POLL_NOTHING) {
            run_loop(h);
        }
    }
    pthread_join(c.thread, NULL);
    cr_assert_eq(atomic_load(&c.status), 202);
    return next;
}

Test(http_ack, finished_segments_go_once_they_are_committed)
{
    struct harness h;
    const size_t bytes = 9 << 20;
    char *body = malloc(bytes);
    memset(body, 'x', bytes);
    struct wr_split_position at = { 0, 0 };
    int64_t middle = 0;
    open_acking(&h, 1, "spool", NULL, 0);
    for (int i = 0; i < 17; i++) {
        at.next_position = send_big(&h, body, bytes);
        middle = i == 2 ? at.next_position : middle;
    }
    cr_assert_eq(segments(), 3u);
    const struct wr_split_position early = { 0, middle };
    cr_assert_eq(h.ops->commit(h.source, &early, 1, &h.err), WR_OK);
    cr_assert_eq(segments(), 3u);
    cr_assert_eq(h.ops->commit(h.source, &at, 1, &h.err), WR_OK);
    cr_assert_eq(segments(), 1u);
    harness_end(&h);
    const struct wr_split_start start = { "spool-0", at.next_position, NULL };
    struct wr_buf seen = { 0 };
    open_acking(&h, 1, "spool", &start, 1);
    drain_recovery(&h, &seen);
    expect_seen(&seen, "open0 idle0 ");
    harness_end(&h);
    const struct wr_split_start lost = { "spool-0", 5, NULL }; /* an older state */
    harness_init(&h);
    wr_buf_deinit(&seen);
    const char *const pairs[] = { "ack", "spool", NULL };
    h.env.http = (struct wr_http_server *)&h;
    h.env.has_state = h.env.resumed = true;
    h.env.state_directory = directory;
    h.env.starts = &lost;
    h.env.start_count = 1;
    cr_assert_eq(harness_options(&h, &wr_source_http, "json", pairs), WR_OK);
    cr_assert_eq(harness_start(&h), WR_FAIL);
    cr_assert_not_null(strstr(h.err.hint, "older than the spool"));
    harness_end(&h);
    free(body);
}

Test(http_ack, spools_of_workers_that_are_no_more_are_read_to_their_end)
{
    struct harness h;
    struct client c[2];
    struct wr_buf seen = { 0 };
    open_acking(&h, 2, "spool", NULL, 0);
    client_start(&c[0], "a", 1);
    client_start(&c[1], "b", 1);
    answer_of(&h, &c[0], &seen);
    answer_of(&h, &c[1], &seen);
    harness_end(&h);
    seen.bytes = 0;
    open_acking(&h, 1, "spool", NULL, 0);
    drain_recovery(&h, &seen);
    cr_assert_not_null(strstr(wr_buf_cstr(&seen), "open0 open1 1@24:"));
    cr_assert_not_null(strstr(wr_buf_cstr(&seen), "end1 0@24:"));
    harness_end(&h);
    seen.bytes = 0;
    open_acking(&h, 1, "accepted", NULL, 0); /* spools are read after another choice too */
    drain_recovery(&h, &seen);
    cr_assert_not_null(strstr(wr_buf_cstr(&seen), "open0 open1 open2 1@24:"));
    cr_assert_not_null(strstr(wr_buf_cstr(&seen), "end1 2@24:"));
    harness_end(&h);
    wr_buf_deinit(&seen);
}

Test(http_ack, a_spool_that_cannot_be_written_answers_503)
{
    struct harness h;
    struct client c;
    struct wr_buf seen = { 0 };
    open_acking(&h, 1, "spool", NULL, 0);
    remove_directory();
    client_start(&c, "a", 1);
    cr_assert_eq(answer_of(&h, &c, &seen), 503);
    expect_seen(&seen, "open0 idle0 ");
    harness_end(&h);
    make_directory();
    wr_buf_deinit(&seen);
}

Test(http_ack, commit_answers_when_the_rows_are_committed)
{
    struct harness h;
    struct client c[2];
    struct wr_buf seen = { 0 };
    const struct wr_split_start start = { "worker-0", 100, NULL };
    open_acking(&h, 1, "commit", &start, 1);
    drain_more(&h, &seen);
    client_start(&c[0], "a\nb\n\n", 5);
    while (strstr(wr_buf_cstr(&seen), "b") == NULL) {
        drain_more(&h, &seen);
    }
    expect_seen(&seen, "open0 idle0 0@100:a 0@102:b idle0 ");
    struct wr_split_position at = { 0, 102 };
    cr_assert_eq(h.ops->commit(h.source, &at, 1, &h.err), WR_OK);
    usleep(20000);
    cr_assert_eq(atomic_load(&c[0].status), 0, "the second row is not committed");
    client_start(&c[1], "c", 1);
    while (seen.bytes == 0) {
        drain_more(&h, &seen);
    }
    at.next_position = 103;
    cr_assert_eq(h.ops->commit(h.source, &at, 1, &h.err), WR_OK);
    cr_assert_eq(answer_of(&h, &c[0], &seen), 202);
    cr_assert_eq(atomic_load(&c[1].status), 0);
    at.next_position = 104;
    cr_assert_eq(h.ops->commit(h.source, &at, 1, &h.err), WR_OK);
    cr_assert_eq(answer_of(&h, &c[1], &seen), 202);
    cr_assert_eq(post("\n\n"), 202, "no rows: nothing to wait for");
    harness_end(&h);
    wr_buf_deinit(&seen);
}

Test(http_ack, what_nobody_touched_is_taken_back_when_it_takes_too_long)
{
    for (int i = 0; i < 2; i++) {
        const char *const pairs[] = { "ack", i == 0 ? "commit" : "spool", "ack_timeout", "100ms",
                                      NULL };
        struct harness h;
        int retry_after = 0;
        harness_init(&h);
        h.env.http = (struct wr_http_server *)&h;
        h.env.has_state = true;
        h.env.state_directory = directory;
        cr_assert_eq(harness_options(&h, &wr_source_http, "json", pairs), WR_OK);
        cr_assert_eq(harness_start(&h), WR_OK);
        cr_assert_eq(send_as("POST", "a", 1, 1, NULL, &retry_after), 503);
        cr_assert(retry_after > 0);
        expect(&h, "open0 idle0 ");
        harness_end(&h);
    }
}

Test(http_ack, who_waits_when_the_readers_end_is_told)
{
    for (int i = 0; i < 2; i++) {
        struct harness h;
        struct client c;
        open_acking(&h, 1, i == 0 ? "commit" : "spool", NULL, 0);
        h.wakes = 0;
        client_start(&c, "a", 1);
        while (h.wakes == 0) {
            usleep(1000);
        }
        h.ops->reader_close(h.readers[0]);
        h.readers[0] = NULL;
        pthread_join(c.thread, NULL);
        cr_assert_eq(atomic_load(&c.status), 503);
        harness_end(&h);
    }
}

/* ---- kills ---- */

#define KILLED_CLIENTS 6

struct poster {
    int answers; /* a pipe: numbers that were answered 202 */
    uint32_t first;
};

static void *post_on(void *arg)
{
    const struct poster *p = arg;
    for (uint32_t n = p->first;; n += KILLED_CLIENTS) {
        char body[64];
        snprintf(body, sizeof body, "%u:a\n%u:b", n, n);
        if (post(body) != 202 || write(p->answers, &n, sizeof n) != sizeof n) {
            return NULL;
        }
    }
}

static void serve_until_killed(int answers, uint32_t base)
{
    static struct poster posters[KILLED_CLIENTS];
    struct harness h;
    struct wr_buf seen = { 0 };
    pthread_t thread;
    open_acking(&h, 2, "spool", NULL, 0);
    for (uint32_t i = 0; i < KILLED_CLIENTS; i++) {
        posters[i] = (struct poster){ answers, base + i };
        (void)pthread_create(&thread, NULL, post_on, &posters[i]);
    }
    for (;;) {
        drain(&h, &seen);
        run_loop(&h);
    }
}

Test(http_ack, every_answered_request_is_read_once_after_kills, .timeout = 60)
{
    static uint8_t answered[1 << 20];
    int answers[2];
    uint32_t total = 0;
    cr_assert_eq(pipe2(answers, O_NONBLOCK), 0);
    for (uint32_t round = 0; round < 6; round++) {
        const pid_t child = fork();
        if (child == 0) {
            serve_until_killed(answers[1], round * 100000);
        }
        usleep(30000 + round * 7000);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        for (uint32_t n; read(answers[0], &n, sizeof n) == sizeof n; total++) {
            answered[n] = 1;
        }
    }
    cr_assert(total > 50);
    struct harness h;
    struct wr_buf seen = { 0 };
    open_acking(&h, 2, "spool", NULL, 0);
    drain_recovery(&h, &seen);
    harness_end(&h);
    const char *text = wr_buf_cstr(&seen);
    for (uint32_t n = 0; n < 600000; n++) {
        char row[32];
        snprintf(row, sizeof row, ":%u:a ", n);
        const char *found = answered[n] ? strstr(text, row) : NULL;
        cr_assert(!answered[n] || found != NULL, "%u was answered for and is lost", n);
        cr_assert(found == NULL || strstr(found + 1, row) == NULL, "%u is read twice", n);
    }
    wr_buf_deinit(&seen);
}
