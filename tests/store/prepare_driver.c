/* prepare_driver: what an epoch of a sink with many partitions costs, for measurements.
 *
 *   prepare_driver CONNECTOR URL PARTITIONS EPOCHS ROWS [OPTION=VALUE...]
 *
 * Each epoch writes ROWS rows into each of PARTITIONS partitions (0: one file without any). One
 * line for each: epoch, milliseconds of write, prepare and publish; then "files N".
 */
#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "config/common_options.h"
#include "sink/sinks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 24u
#define NAME_BYTES  24u

static struct wr_field fields[] = { { .name = "id" }, { .name = "part" }, { .name = "amount" } };
static uint32_t by_part[] = { 1 };
static struct wr_option_pair pairs[OPTIONS_MAX];
static struct wr_plan_sink plan = { .name = "driver",
                                    .format = "",
                                    .pairs = pairs,
                                    .schema = { fields, 3 },
                                    .visible = 3,
                                    .partition = by_part };
static struct wr_batch_pool *pool;
static char (*names)[NAME_BYTES];
static uint32_t name_count;

static void die(const struct wr_error *err)
{
    fprintf(stderr, "prepare_driver: %s\n%s\n%s\n", err->message, err->detail, err->hint);
    exit(1);
}

static void visible(void *ctx, int64_t ingest_us, uint64_t rows)
{
}

static void reject(void *ctx, const char *row_json, size_t bytes, const char *message)
{
    fprintf(stderr, "prepare_driver: %.*s: %s\n", (int)bytes, row_json, message);
    exit(1);
}

static void option(const char *name, const char *value)
{
    if (plan.pair_count == OPTIONS_MAX) {
        fprintf(stderr, "prepare_driver: too many options\n");
        exit(2);
    }
    pairs[plan.pair_count++] = (struct wr_option_pair){
        .name = name, .value = value, .raw = value, .name_at = UINT32_MAX, .value_at = UINT32_MAX
    };
}

static void make_plan(const struct wr_sink_ops *ops, char **argv, int argc, struct wr_arena *arena)
{
    static const enum wr_type_id types[] = { WR_TYPE_INT64, WR_TYPE_TEXT, WR_TYPE_INT64 };
    const struct wr_option *const tables[] = { ops->options, wr_sink_common_options, NULL };
    struct wr_error err = { 0 };
    uint32_t bad_at = UINT32_MAX;
    plan.connector = ops->name;
    option("connector", ops->name);
    option("path", argv[2]);
    for (int i = 6; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (equals == NULL) {
            fprintf(stderr, "prepare_driver: %s is not OPTION=VALUE\n", argv[i]);
            exit(2);
        }
        *equals = '\0';
        option(argv[i], equals + 1);
    }
    for (uint32_t c = 0; c < 3; c++) {
        fields[c].type = wr_type_of(types[c]);
        fields[c].declared = c;
        fields[c].field_id = c + 1;
    }
    name_count = (uint32_t)strtoul(argv[3], NULL, 10);
    plan.partition_count = name_count > 0;
    names = wr_calloc(name_count + 1, sizeof *names);
    for (uint32_t i = 0; i <= name_count; i++) {
        snprintf(names[i], sizeof names[i], "partition %05u", i);
    }
    if (wr_options_parse(tables, "the sink", pairs, plan.pair_count, arena, &plan.options, &bad_at,
                         &err) != WR_OK ||
        ops->check(&plan, &bad_at, &err) != WR_OK) {
        die(&err);
    }
}

/* rows rows for each partition, in batches that touch many of them. */
static void write_epoch(const struct wr_sink_ops *ops, struct wr_writer *writer, uint64_t rows)
{
    struct wr_error err = { 0 };
    const uint64_t total = rows * (name_count == 0 ? 1 : name_count);
    for (uint64_t at = 0; at < total;) {
        struct wr_batch *batch = wr_batch_take(pool);
        const uint64_t left = total - at;
        batch->rows = left < WR_BATCH_ROWS_MAX ? (uint32_t)left : WR_BATCH_ROWS_MAX;
        for (uint32_t i = 0; i < batch->rows; i++, at++) {
            const char *name = names[name_count == 0 ? 0 : at % name_count];
            ((int64_t *)batch->columns[0].values)[i] = (int64_t)at;
            ((struct wr_view *)batch->columns[1].values)[i] = wr_view_of(name, strlen(name));
            ((int64_t *)batch->columns[2].values)[i] = (int64_t)(at * 7919 % 100003);
        }
        if (ops->write(writer, batch, wr_clock_now(), &err) != WR_OK) {
            die(&err);
        }
        wr_batch_release(batch);
    }
}

static void epoch(const struct wr_sink_ops *ops, struct wr_writer *writer, uint64_t number,
                  uint64_t rows)
{
    struct wr_error err = { 0 };
    struct wr_buf receipt = { 0 };
    const int64_t begun = wr_clock_now().mono_ns;
    write_epoch(ops, writer, rows);
    const int64_t written = wr_clock_now().mono_ns;
    if (ops->prepare(writer, number, &receipt, &err) != WR_OK) {
        die(&err);
    }
    const int64_t prepared = wr_clock_now().mono_ns;
    const struct wr_receipt receipts[] = { { receipt.data, receipt.bytes } };
    if (ops->publish(writer, number, receipts, receipt.bytes > 0, &err) != WR_OK) {
        die(&err);
    }
    const int64_t published = wr_clock_now().mono_ns;
    printf("epoch %lu write %.1f prepare %.1f publish %.1f ms\n", number,
           (double)(written - begun) / 1e6, (double)(prepared - written) / 1e6,
           (double)(published - prepared) / 1e6);
    wr_buf_deinit(&receipt);
}

int main(int argc, char **argv)
{
    struct wr_arena arena = { 0 };
    struct wr_error err = { 0 };
    struct wr_io *io;
    struct wr_writer *writer;
    struct wr_sink_stats stats;
    if (argc < 6) {
        fprintf(stderr, "usage: prepare_driver CONNECTOR URL PARTITIONS EPOCHS ROWS "
                        "[OPTION=VALUE...]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 1 << 12);
    wr_log_setup(WR_LOG_WARN, WR_LOG_TEXT);
    wr_arena_init(&arena, 0);
    const struct wr_sink_ops *ops =
        strcmp(argv[1], "delta") == 0 ? &wr_sink_delta : &wr_sink_parquet;
    make_plan(ops, argv, argc, &arena);
    if (wr_io_create(&io, WR_IO_AUTO, 64, &err) != WR_OK) {
        die(&err);
    }
    pool = wr_batch_pool_create(&plan.schema, WR_BATCH_ROWS_MAX, 4);
    const struct wr_sink_env env = { .plan = &plan,
                                     .pipeline = "driver",
                                     .owner = "0123456789abcdef",
                                     .state_uuid = "5d6c0a5e-6ab2-4d4c-9f86-64c55cf0b6a4",
                                     .exactly_once = true,
                                     .first_epoch = 1,
                                     .lanes = 1,
                                     .io = io,
                                     .memory_bytes = 256u << 20,
                                     .terminal = stdout,
                                     .visible = visible,
                                     .reject = reject };
    if (ops->open(&writer, &env, &err) != WR_OK) {
        die(&err);
    }
    for (uint64_t e = 1; e <= strtoull(argv[4], NULL, 10); e++) {
        epoch(ops, writer, e, strtoull(argv[5], NULL, 10));
    }
    ops->stats(writer, &stats);
    printf("files %lu\n", stats.files);
    ops->close(writer);
    wr_batch_pool_destroy(pool);
    wr_io_destroy(io);
    free(names);
    wr_arena_deinit(&arena);
    return 0;
}
