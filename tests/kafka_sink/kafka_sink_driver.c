/* kafka_sink_driver: the sink 'kafka' with guarantee = 'exactly_once' behind a line protocol, for the Python tests.
 *
 *   kafka_sink_driver OWNER UUID STATE_URL MEMORY_BYTES OPTION=VALUE...
 * then commands on standard input, one per line:
 *   write FIRST COUNT [PAD]      rows {"id": FIRST.., "name": "n<id>" and PAD times 'x'}
 *   prepare EPOCH                OK and the receipt
 *   publish EPOCH
 *   recover EPOCH OWNER,OWNER|- [RECEIPT]
 *   tick                         until nothing is left to be removed
 *   stats                        rows, visible rows, rejects, held bytes
 * Each answers one line: OK[\t...] or FAIL\tclass\tmessage\tdetail\thint.
 */
#include "base/heap.h"
#include "base/log.h"
#include "config/common_options.h"
#include "sink/sinks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES (1 << 20)
#define PAIRS_MAX  32u
#define BATCH_ROWS 1000u

static struct wr_writer *writer;
static struct wr_batch_pool *pool;
static struct wr_arena arena;
static uint64_t visible_rows;
static uint64_t rejects;

static void on_visible(void *ctx, int64_t ingest_us, uint64_t rows)
{
    visible_rows += rows;
}

static void on_reject(void *ctx, const char *row_json, size_t bytes, const char *message)
{
    rejects++;
}

static void answer(wr_status status, const struct wr_error *err, const char *more, size_t bytes)
{
    if (status == WR_FAIL) {
        printf("FAIL\t%d\t%s\t%s\t%s\n", (int)err->cls, err->message, err->detail, err->hint);
    } else {
        printf("OK\t%.*s\n", (int)bytes, more);
    }
    fflush(stdout);
}

static wr_status write_batch(int64_t first, uint32_t count, uint32_t pad, struct wr_error *err)
{
    static char text[BATCH_ROWS][64];
    static char *padded;
    padded = wr_realloc(padded, pad + 64);
    struct wr_batch *batch = wr_batch_take(pool);
    batch->ingest_us = first + 1;
    batch->rows = count;
    for (uint32_t i = 0; i < count; i++) {
        ((int64_t *)batch->columns[0].values)[i] = first + i;
        const int bytes = snprintf(text[i], sizeof text[i], "n%" PRId64, first + i);
        ((struct wr_view *)batch->columns[1].values)[i] = wr_view_of(text[i], (uint32_t)bytes);
    }
    if (pad > 0) { /* all rows of the batch share it */
        memset(padded, 'x', pad);
        for (uint32_t i = 0; i < count; i++) {
            ((struct wr_view *)batch->columns[1].values)[i] = wr_view_of(padded, pad);
        }
    }
    wr_status status = wr_sink_kafka.write(writer, batch, wr_clock_now(), err);
    wr_batch_release(batch);
    return status;
}

static wr_status write_rows(int64_t first, int64_t count, uint32_t pad, struct wr_error *err)
{
    for (int64_t at = 0; at < count; at += BATCH_ROWS) {
        const int64_t left = count - at;
        WR_TRY(write_batch(first + at, left < BATCH_ROWS ? (uint32_t)left : BATCH_ROWS, pad, err));
    }
    return WR_OK;
}

/* "a,b" or "-"; text is taken apart. */
static uint32_t split_owners(char *text, const char **owners, uint32_t most)
{
    uint32_t count = 0;
    for (char *at = strcmp(text, "-") == 0 ? NULL : strtok(text, ","); at != NULL && count < most;
         at = strtok(NULL, ",")) {
        owners[count++] = at;
    }
    return count;
}

static wr_status recover(char *words, struct wr_error *err)
{
    char *rest = NULL;
    const uint64_t epoch = strtoull(strtok_r(words, " ", &rest), NULL, 10);
    char *names = strtok_r(NULL, " ", &rest);
    char *receipt = strtok_r(NULL, "", &rest);
    const char *owners[16];
    const uint32_t owner_count = split_owners(names, owners, 16);
    const struct wr_receipt given = { receipt, receipt != NULL ? strlen(receipt) : 0 };
    const struct wr_sink_recovery recovery = { .epoch = epoch,
                                               .receipts = &given,
                                               .receipt_count = receipt != NULL,
                                               .owners = owners,
                                               .owner_count = owner_count };
    return wr_sink_kafka.recover(writer, &recovery, err);
}

static void tick_all(void)
{
    struct wr_error err;
    for (int i = 0; i < 1000; i++) {
        int64_t next;
        const struct wr_time now = wr_clock_now();
        if (wr_sink_kafka.tick(writer, now, &next, &err) != WR_OK || next > now.mono_ns) {
            return;
        }
    }
}

static void obey(char *line)
{
    struct wr_error err = { 0 };
    char *rest = NULL;
    const char *verb = strtok_r(line, " \n", &rest);
    struct wr_buf more = { 0 };
    wr_status status = WR_OK;
    if (verb != NULL && strcmp(verb, "write") == 0) {
        const int64_t first = strtoll(strtok_r(NULL, " ", &rest), NULL, 10);
        const int64_t count = strtoll(strtok_r(NULL, " ", &rest), NULL, 10);
        const char *pad = strtok_r(NULL, " ", &rest);
        status = write_rows(first, count, pad != NULL ? (uint32_t)atoi(pad) : 0, &err);
    } else if (verb != NULL && strcmp(verb, "prepare") == 0) {
        status = wr_sink_kafka.prepare(writer, strtoull(rest, NULL, 10), &more, &err);
    } else if (verb != NULL && strcmp(verb, "publish") == 0) {
        status = wr_sink_kafka.publish(writer, strtoull(rest, NULL, 10), NULL, 0, &err);
    } else if (verb != NULL && strcmp(verb, "recover") == 0) {
        status = recover(rest, &err);
    } else if (verb != NULL && strcmp(verb, "tick") == 0) {
        tick_all();
    } else if (verb != NULL && strcmp(verb, "stats") == 0) {
        struct wr_sink_stats stats = { 0 };
        wr_sink_kafka.stats(writer, &stats);
        wr_buf_printf(&more, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, stats.rows,
                      visible_rows, rejects, wr_sink_kafka.held_bytes(writer));
    } else {
        abort();
    }
    answer(status, &err, more.bytes > 0 ? more.data : "", more.bytes);
    wr_buf_deinit(&more);
}

static wr_status open_sink(int argc, char **argv, struct wr_error *err)
{
    static struct wr_option_pair pairs[PAIRS_MAX];
    static struct wr_field fields[2];
    static struct wr_plan_sink plan;
    fields[0] = (struct wr_field){ .name = "id", .type = wr_type_of(WR_TYPE_INT64), .field_id = 1 };
    fields[1] = (struct wr_field){ .name = "name", .type = wr_type_of(WR_TYPE_TEXT), .field_id = 2 };
    plan = (struct wr_plan_sink){ .name = "out-1",
                                  .connector = "kafka",
                                  .format = "",
                                  .pairs = pairs,
                                  .schema = { fields, 2 },
                                  .visible = 2 };
    for (int i = 5; i < argc && plan.pair_count < PAIRS_MAX; i++) {
        char *value = strchr(argv[i], '=');
        *value++ = '\0';
        pairs[plan.pair_count++] = (struct wr_option_pair){
            .name = argv[i], .value = value, .raw = value, .name_at = 1, .value_at = 2
        };
    }
    const struct wr_option *const tables[] = { wr_sink_kafka.options, wr_sink_common_options, NULL };
    uint32_t at;
    wr_arena_init(&arena, 4096);
    WR_TRY(wr_options_parse(tables, "the sink", pairs, plan.pair_count, &arena, &plan.options, &at,
                            err));
    WR_TRY(wr_sink_kafka.check(&plan, &at, err));
    pool = wr_batch_pool_create(&plan.schema, WR_BATCH_ROWS_MAX, 4);
    struct wr_io *io;
    WR_TRY(wr_io_create(&io, WR_IO_EPOLL, 8, err));
    const struct wr_sink_env env = { .plan = &plan,
                                     .pipeline = "test",
                                     .owner = argv[1],
                                     .state_uuid = argv[2],
                                     .state_url = argv[3],
                                     .exactly_once = true,
                                     .background = true,
                                     .lanes = 1,
                                     .io = io,
                                     .memory_bytes = strtoull(argv[4], NULL, 10),
                                     .visible = on_visible,
                                     .reject = on_reject };
    return wr_sink_kafka.open(&writer, &env, err);
}

int main(int argc, char **argv)
{
    struct wr_error err;
    if (argc < 6) {
        return 2;
    }
    const wr_status status = open_sink(argc, argv, &err);
    answer(status, &err, "", 0);
    char *line = wr_malloc(LINE_BYTES);
    while (status == WR_OK && fgets(line, LINE_BYTES, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        obey(line);
    }
    wr_sink_kafka.close(writer);
    return status == WR_OK ? 0 : 1;
}
