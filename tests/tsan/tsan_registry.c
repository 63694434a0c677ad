/* tsan_registry.c: several workers ask one registry for schemas at once, opening and closing their handles as they come
 * and go: everyone gets what belongs to the id, what does not exist is refused, nothing is touched without its lock. */
#include "base/clock.h"
#include "decode/avro.h"
#include "decode/registry.h"
#include "net/http_server.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS 4
#define ROUNDS  5
#define IDS     20u /* the odd ones do not exist */

static char address[64];

static void answer(void *ctx, const struct wr_http_request *request, struct wr_http_response *response)
{
    (void)ctx;
    const uint32_t id = (uint32_t)strtoul(request->path + 1, NULL, 10);
    if (id % 2 == 1) {
        response->status = 404;
        wr_buf_text(&response->body, "{\"error_code\":40403,\"message\":\"no such schema\"}");
        return;
    }
    wr_buf_printf(&response->body, "{\"schema\":\"\\\"s%u\\\"\"}", id);
}

static struct wr_options *options_of(struct wr_arena *arena)
{
    const struct wr_option *const tables[] = { wr_avro_options, NULL };
    const struct wr_option_pair pairs[] = { { "registry", address, address, 0, 0 } };
    struct wr_options *options = NULL;
    struct wr_error err;
    return wr_options_parse(tables, "test", pairs, 1, arena, &options, NULL, &err) == WR_OK ? options : NULL;
}

static bool check(struct wr_registry *registry, uint32_t id)
{
    const struct wr_registry_key key = { .kind = WR_REGISTRY_ID, .id = id };
    const struct wr_registry_schema *schema = NULL;
    struct wr_error err = { 0 };
    char wanted[16];
    wr_status status;
    while ((status = wr_registry_find(registry, &key, &schema, &err)) == WR_AGAIN) {
        wr_clock_sleep_ms(1);
    }
    if (id % 2 == 1) {
        return status == WR_FAIL && strstr(err.message, "no such schema") != NULL;
    }
    snprintf(wanted, sizeof wanted, "\"s%u\"", id);
    return status == WR_OK && schema->text_count == 1 && wr_slice_is(schema->texts[0], wanted);
}

static void *work(void *ctx)
{
    struct wr_arena arena = { 0 };
    struct wr_error err;
    bool *fine = ctx;
    *fine = true;
    for (uint32_t round = 0; round < ROUNDS && *fine; round++) {
        struct wr_registry *registry = NULL;
        const struct wr_options *options = options_of(&arena);
        *fine = options != NULL && wr_registry_open(&registry, options, &err) == WR_OK;
        for (uint32_t id = 0; id < IDS && *fine; id++) {
            *fine = check(registry, id);
        }
        wr_registry_close(registry);
    }
    wr_arena_deinit(&arena);
    return NULL;
}

int main(void)
{
    struct wr_http_server *server = NULL;
    struct wr_error err;
    pthread_t threads[WORKERS];
    bool fine[WORKERS];
    bool all = true;
    if (wr_http_server_start(&server, "127.0.0.1:0", &err) != WR_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    wr_http_server_route(server, "/schemas/ids", answer, NULL);
    snprintf(address, sizeof address, "http://%s", wr_http_server_address(server));
    for (uint32_t i = 0; i < WORKERS; i++) {
        pthread_create(&threads[i], NULL, work, &fine[i]);
    }
    for (uint32_t i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
        all = all && fine[i];
    }
    wr_http_server_stop(server);
    if (!all) {
        fprintf(stderr, "a schema was not what its id says\n");
    }
    return all ? 0 : 1;
}
