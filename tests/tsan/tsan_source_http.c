/* tsan_source_http.c: clients, two workers and control on the connector 'http' at once, with ack = 'spool' and
 * 'commit': every answered row is read once, and nothing is touched without its lock. */
#include "../unit/test_source_harness.h"

#include "net/http_server.h"
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define CLIENTS 6
#define WORKERS 2
#define POSTS 150

static wr_http_handler handler;
static void *handler_ctx;
static struct wr_io *loops[WORKERS];
static atomic_bool ending;
static atomic_int refused;
static atomic_uint rows[CLIENTS * POSTS];
static _Atomic int64_t read_to[WORKERS];

void wr_http_server_route(struct wr_http_server *server, const char *prefix, wr_http_handler given,
                          void *ctx)
{
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

static const char *no_header(const struct wr_http_request *request, const char *name)
{
    return NULL;
}

static int64_t read_body(const struct wr_http_request *request, void *into, size_t bytes)
{
    char *body = request->connection;
    const size_t left = strlen(body);
    memcpy(into, body, left);
    body[0] = '\0';
    return (int64_t)left;
}

static void *client(void *arg)
{
    for (uint32_t i = 0; i < POSTS; i++) {
        char body[32];
        struct wr_http_request request = {
            .method = "POST", .path = "", .header = no_header, .read = read_body,
            .content_length = snprintf(body, sizeof body, "%u", *(uint32_t *)arg + i * CLIENTS),
            .connection = body
        };
        struct wr_http_response response = { 0 };
        handler(handler_ctx, &request, &response);
        atomic_fetch_add(&refused, response.status != 202);
        wr_buf_deinit(&response.body);
    }
    return NULL;
}

static void wake(void *ctx, uint32_t worker)
{
    wr_io_wake(loops[worker]);
}

static void take(struct wr_records *records)
{
    for (uint32_t i = 0; i < records->count; i++) {
        char number[16] = "";
        memcpy(number, records->items[i].data, records->items[i].bytes);
        atomic_fetch_add(&rows[atoi(number)], 1);
    }
    wr_records_release(records);
}

struct work {
    struct wr_source *source;
    uint32_t worker;
};

static void *worker_main(void *arg)
{
    const struct work *work = arg;
    const struct wr_source_ops *ops = &wr_source_http;
    struct wr_reader *reader;
    struct wr_error err = { 0 };
    wr_assert(ops->reader_open(&reader, work->source, work->worker, loops[work->worker], &err) ==
              WR_OK);
    while (!atomic_load(&ending)) {
        struct wr_poll poll = { 0 };
        wr_assert(ops->poll(reader, wr_clock_now(), NULL, &poll, &err) == WR_OK);
        if (poll.kind == WR_POLL_ROWS) {
            take(poll.records);
            atomic_store(&read_to[work->worker], poll.next_position);
        }
        wr_io_turn(loops[work->worker], poll.kind == WR_POLL_NOTHING ? WR_NS_PER_MS : 0);
    }
    ops->reader_close(reader);
    return NULL;
}

static void commit(struct wr_source *source)
{
    struct wr_split_position at[WORKERS];
    for (uint32_t w = 0; w < WORKERS; w++) {
        at[w] = (struct wr_split_position){ w, atomic_load(&read_to[w]) };
    }
    wr_assert(wr_source_http.commit(source, at, WORKERS, NULL) == WR_OK);
}

static int run(const char *ack, const char *directory)
{
    const char *const pairs[] = { "ack", ack, NULL };
    pthread_t threads[WORKERS];
    pthread_t clients[CLIENTS];
    uint32_t numbers[CLIENTS];
    struct work work[WORKERS];
    struct harness h;
    int bad = 0;
    harness_init(&h);
    h.env.workers = WORKERS;
    h.env.http = (struct wr_http_server *)&h;
    h.env.has_state = true;
    h.env.state_directory = directory;
    h.env.wake = wake;
    wr_assert(harness_options(&h, &wr_source_http, "json", pairs) == WR_OK);
    wr_assert(wr_source_http.open(&h.source, &h.env, &h.err) == WR_OK);
    atomic_store(&ending, false);
    for (uint32_t w = 0; w < WORKERS; w++) {
        wr_assert(wr_io_create(&loops[w], WR_IO_AUTO, 16, &h.err) == WR_OK);
        atomic_store(&read_to[w], 0);
        work[w] = (struct work){ h.source, w };
    }
    for (uint32_t w = 0; w < WORKERS; w++) {
        wr_assert(pthread_create(&threads[w], NULL, worker_main, &work[w]) == 0);
    }
    for (uint32_t c = 0; c < CLIENTS; c++) {
        numbers[c] = c;
        wr_assert(pthread_create(&clients[c], NULL, client, &numbers[c]) == 0);
    }
    for (uint32_t c = 0; c < CLIENTS; c++) {
        while (pthread_tryjoin_np(clients[c], NULL) != 0) {
            commit(h.source);
            usleep(500);
        }
    }
    usleep(20000); /* spooled rows may still be on their way to a reader */
    atomic_store(&ending, true);
    for (uint32_t w = 0; w < WORKERS; w++) {
        wake(NULL, w);
        pthread_join(threads[w], NULL);
        wr_io_destroy(loops[w]);
    }
    for (uint32_t i = 0; i < CLIENTS * POSTS; i++) {
        bad += atomic_exchange(&rows[i], 0) != 1;
    }
    wr_source_http.close(h.source);
    h.source = NULL;
    harness_end(&h);
    if (bad > 0 || atomic_load(&refused) > 0) {
        fprintf(stderr, "ack = %s: %d rows not read once, %d requests refused\n", ack, bad,
                atomic_load(&refused));
    }
    return bad + atomic_load(&refused);
}

int main(void)
{
    char directory[] = "/tmp/weir-tsan-http-XXXXXX";
    char command[64];
    char other[64]; /* what the first run spooled would be read by the second one */
    wr_assert(mkdtemp(directory) != NULL);
    snprintf(other, sizeof other, "%s/other", directory);
    const int bad = run("spool", directory) + run("commit", other);
    snprintf(command, sizeof command, "rm -r %s", directory);
    return system(command) != 0 || bad != 0;
}
