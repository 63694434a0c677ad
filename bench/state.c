/* state.c: weir-bench-state, what open windows cost: bytes a key, and what an epoch's snapshot of them takes.
 *
 * Drives one worker's operators (exec/exec.h) directly: no source, no sink, no other thread. A pipeline's TUMBLE of an hour by a
 * BIGINT key with count, sum, min and max is filled with as many keys as asked for; then each epoch changes some of
 * them, drawn at random, and ends in a snapshot, packed as a run packs it (state/snapshot.h).
 */
#include "options.h"

#include "base/heap.h"
#include "base/rand.h"
#include "exec/exec.h"
#include "run/catalog.h"
#include "state/snapshot.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char tool[] = "weir-bench-state";

static const char help[] =
    "usage: weir-bench-state [--keys N] [--change PERCENT] [--epochs N] [--no-snapshots]\n"
    "\n"
    "Fills a window with keys and prints as JSON what it takes: state_bytes, resident_bytes (what\n"
    "the process grew by), bytes_per_key, ns_per_row; and raw_bytes, packed_bytes, cpu_ms of the first\n"
    "snapshot (full: all keys), of the next one and of the mean of all others (the changed ones).\n"
    "\n"
    "  --keys N          open keys (10000000)\n"
    "  --change PERCENT  of the keys, changed before each further epoch (1)\n"
    "  --epochs N        after the first (20)\n"
    "  --no-snapshots    as without state: changes are not tracked\n"
    "\n"
    "Example\n"
    "  weir-bench-state --keys 1000000 --change 0.5\n";

static const char sql[] =
    "CREATE SOURCE events (k BIGINT NOT NULL, v BIGINT NOT NULL, ts TIMESTAMP NOT NULL, WATERMARK FOR ts AS ts)\n"
    "  WITH (connector = 'datagen');\n"
    "CREATE SINK out WITH (connector = 'blackhole') AS\n"
    "  SELECT window_start, k, count(*) AS n, sum(v) AS s, min(v) AS low, max(v) AS high\n"
    "  FROM TUMBLE(events, ts, INTERVAL '1 hour') GROUP BY window_start, window_end, k;\n";

enum { BATCH_ROWS = 1024 };

struct settings {
    uint64_t keys;
    uint32_t change; /* parts per million */
    uint64_t epochs;
    bool snapshots;
};

struct bench {
    struct wr_plan *plan;
    struct wr_exec *exec;
    struct wr_batch_pool *pool;
    struct wr_snapshot_writer *writer;
    struct wr_buf object;
    struct wr_ledger_counts counts;
    struct wr_rand rand;
    uint32_t key_column;
    uint32_t value_column;
    uint32_t time_column;
    uint64_t epoch;
};

struct cost {
    uint64_t raw_bytes;
    uint64_t packed_bytes;
    double cpu_ms;
};

static _Noreturn void fail(const struct wr_error *err)
{
    wr_bench_fail(tool, err->message);
}

static double cpu_ms(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*u %llu", &pages) != 1) {
        wr_bench_fail(tool, "cannot read /proc/self/statm");
    }
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ---- the operators' host ---- */

static void emit(void *ctx, uint32_t sink, struct wr_batch *batch)
{
    wr_batch_release(batch);
}

static void send_none(void *ctx, uint32_t to, const struct wr_exchange_message *message)
{
    wr_bench_fail(tool, "one worker sent to another");
}

static void late(void *ctx, uint32_t sink, const struct wr_batch *batch, uint32_t row,
                 int64_t lateness_us)
{
    wr_bench_fail(tool, "a row was late");
}

static void fault(void *ctx, const uint32_t *sinks, uint32_t sink_count,
                  const struct wr_batch *batch, uint32_t row,
                  const char *message, const char *field)
{
    wr_bench_fail(tool, message);
}

static struct wr_ledger_counts *ledger(void *ctx, uint32_t sink, uint32_t source, uint32_t split)
{
    return &((struct bench *)ctx)->counts;
}

static void snapshot(void *ctx, uint32_t node, const void *records, size_t bytes)
{
    struct bench *b = ctx;
    wr_snapshot_add(b->writer, b->plan->nodes[node].name, records, bytes);
}

/* ---- rows ---- */

/* Keys look random, as users' ids do, and are distinct: an odd factor permutes 64-bit numbers. */
static int64_t key_of(uint64_t number)
{
    return (int64_t)(number * 0x9e3779b97f4a7c15ULL);
}

static uint32_t column_of(const struct wr_plan_source *source, const char *name)
{
    for (uint32_t c = 0; c < source->scan.count; c++) {
        if (strcmp(source->scan.fields[c].name, name) == 0) {
            return c;
        }
    }
    wr_bench_fail(tool, "the plan lacks a column");
}

static void open_bench(struct bench *b, const struct settings *settings)
{
    struct wr_error err;
    if (wr_catalog_plan(tool, wr_slice_of(sql), NULL, 0, &b->plan, &err) != WR_OK) {
        fail(&err);
    }
    const struct wr_exec_config config = { .workers = 1,
                                           .batch_rows = BATCH_ROWS,
                                           .memory_bytes = UINT64_MAX / 4,
                                           .snapshots = settings->snapshots };
    const struct wr_exec_host host = { .ctx = b,
                                       .emit = emit,
                                       .send = send_none,
                                       .late = late,
                                       .fault = fault,
                                       .ledger = ledger,
                                       .snapshot = settings->snapshots ? snapshot : NULL };
    if (wr_exec_create(&b->exec, b->plan, &config, &host, &err) != WR_OK) {
        fail(&err);
    }
    const struct wr_plan_source *source = &b->plan->sources[0];
    b->pool = wr_batch_pool_create(&source->scan, BATCH_ROWS, 4);
    b->writer = wr_snapshot_writer_create();
    b->key_column = column_of(source, "k");
    b->value_column = column_of(source, "v");
    b->time_column = column_of(source, "ts");
    wr_rand_seed(&b->rand, 1);
}

/* rows rows of keys from the first one on, or (keys > 0) of keys drawn from so many. */
static void push(struct bench *b, uint64_t first, uint64_t rows, uint64_t keys)
{
    for (uint64_t done = 0; done < rows; done += BATCH_ROWS) {
        struct wr_batch *batch = wr_batch_take(b->pool);
        batch->rows = (uint32_t)(rows - done < BATCH_ROWS ? rows - done : BATCH_ROWS);
        for (uint32_t i = 0; i < batch->rows; i++) {
            const uint64_t number = keys > 0 ? wr_rand_below(&b->rand, keys) : first + done + i;
            ((int64_t *)batch->columns[b->key_column].values)[i] = key_of(number);
            ((int64_t *)batch->columns[b->value_column].values)[i] = (int64_t)(number & 0xffff);
            ((int64_t *)batch->columns[b->time_column].values)[i] = WR_US_PER_S;
        }
        batch->origin.wm_low = WR_TIME_MIN;
        batch->origin.wm_high = WR_TIME_MIN;
        wr_exec_push(b->exec, 0, batch, (struct wr_time){ 0 });
    }
}

static struct cost take_snapshot(struct bench *b)
{
    struct wr_error err;
    struct cost cost = { 0 };
    const double began = cpu_ms();
    wr_exec_barrier(b->exec, ++b->epoch, false, (struct wr_time){ 0 });
    cost.raw_bytes = wr_snapshot_raw_bytes(b->writer);
    b->object.bytes = 0;
    if (wr_snapshot_finish(b->writer, &b->object, &err) != WR_OK) {
        fail(&err);
    }
    cost.packed_bytes = b->object.bytes;
    cost.cpu_ms = cpu_ms() - began;
    return cost;
}

static void print_cost(const char *name, const struct cost *cost)
{
    printf(", \"%s\": {\"raw_bytes\": %" PRIu64 ", \"packed_bytes\": %" PRIu64 ", \"cpu_ms\": %.3f}", name,
           cost->raw_bytes, cost->packed_bytes, cost->cpu_ms);
}

static void run(const struct settings *settings)
{
    struct bench b = { 0 };
    open_bench(&b, settings);
    const uint64_t before = resident_bytes();
    const double began = cpu_ms();
    push(&b, 0, settings->keys, 0);
    const double ns = (cpu_ms() - began) * 1e6 / (double)settings->keys;
    const uint64_t state = wr_exec_state_bytes(b.exec);
    if (wr_exec_open_windows(b.exec) != settings->keys) {
        wr_bench_fail(tool, "wrong number of open keys");
    }
    printf("{\"keys\": %" PRIu64 ", \"state_bytes\": %" PRIu64 ", \"resident_bytes\": %" PRIu64
           ", \"bytes_per_key\": %.3f, \"ns_per_row\": %.1f",
           settings->keys, state, resident_bytes() - before, (double)state / (double)settings->keys, ns);
    if (settings->snapshots) {
        const struct cost full = take_snapshot(&b);
        struct cost sum = { 0 };
        print_cost("full", &full);
        for (uint64_t e = 0; e < settings->epochs; e++) {
            push(&b, 0, settings->keys * settings->change / 1000000, settings->keys);
            const struct cost cost = take_snapshot(&b);
            if (e == 0) {
                print_cost("first_change", &cost);
            }
            sum.raw_bytes += cost.raw_bytes;
            sum.packed_bytes += cost.packed_bytes;
            sum.cpu_ms += cost.cpu_ms;
        }
        const uint64_t epochs = settings->epochs;
        print_cost("change", &(struct cost){ sum.raw_bytes / epochs, sum.packed_bytes / epochs,
                                             sum.cpu_ms / (double)epochs });
    }
    printf("}\n");
    wr_snapshot_writer_destroy(b.writer);
    wr_buf_deinit(&b.object);
    wr_exec_destroy(b.exec);
    wr_batch_pool_destroy(b.pool);
    wr_plan_destroy(b.plan);
}

static const struct option long_options[] = {
    { "keys", required_argument, NULL, 'k' },  { "change", required_argument, NULL, 'c' },
    { "epochs", required_argument, NULL, 'e' }, { "no-snapshots", no_argument, NULL, 'n' },
    { "help", no_argument, NULL, 'h' },        { NULL, 0, NULL, 0 },
};

int main(int argc, char **argv)
{
    struct settings settings = { .keys = 10000000, .change = 10000, .epochs = 20, .snapshots = true };
    int code;
    while ((code = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (code) {
        case 'k': settings.keys = wr_bench_parse_number(tool, "--keys", optarg, 1, 1000000000); break;
        case 'c': settings.change = wr_bench_parse_percent(tool, "--change", optarg); break;
        case 'e': settings.epochs = wr_bench_parse_number(tool, "--epochs", optarg, 1, 100000); break;
        case 'n': settings.snapshots = false; break;
        case 'h': fputs(help, stdout); return 0;
        default: wr_bench_usage_error(tool, "cannot use these arguments");
        }
    }
    if (optind < argc) {
        wr_bench_usage_error(tool, "cannot use \"%s\"", argv[optind]);
    }
    run(&settings);
    return 0;
}
