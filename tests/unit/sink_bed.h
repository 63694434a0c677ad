/* sink_bed.h: one sink with a small schema in a directory of its own, for the sinks' tests.
 *
 * The schema: id BIGINT NOT NULL, country TEXT, amount DOUBLE PRECISION, note JSON. bed_write
 * makes a batch of rows from the list given. */
#ifndef WEIR_TESTS_SINK_BED_H
#define WEIR_TESTS_SINK_BED_H

#include "base/heap.h"
#include "config/common_options.h"
#include "sink/sinks.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BED_OPTIONS_MAX 16u
#define BED_RECEIPTS_MAX 4u

/* What a manifest would keep of the sink, in memory that outlives a process of the test. */
struct bed_manifest {
    uint64_t epoch;
    uint32_t receipt_count;
    size_t bytes[BED_RECEIPTS_MAX];
    char text[BED_RECEIPTS_MAX][16384];
};

struct bed_row {
    int64_t id;
    const char *country; /* NULL: NULL */
    double amount;
    const char *note; /* NULL: NULL */
};

struct bed {
    char directory[64];
    const struct wr_sink_ops *ops;
    struct wr_arena arena;
    struct wr_field fields[4];
    uint32_t partition[4];
    struct wr_plan_sink plan;
    struct wr_option_pair pairs[BED_OPTIONS_MAX];
    struct wr_batch_pool *pool;
    struct wr_io *io;
    struct wr_writer *writer;
    struct wr_error err;
    struct wr_buf receipt; /* what prepare left last */
    struct bed_manifest *manifest;
    const char *owner;
    const char *state_uuid; /* "": without state */
    uint32_t lane;
    uint32_t lanes;
    uint64_t memory_bytes;
    uint64_t visible_rows;
    int64_t visible_ingest_us;
    uint32_t rejects;
    char rejected[512]; /* the last one's JSON */
    char reason[256];
};

static void bed_visible(void *ctx, int64_t ingest_us, uint64_t rows)
{
    struct bed *bed = ctx;
    bed->visible_rows += rows;
    bed->visible_ingest_us = ingest_us;
}

static void bed_reject(void *ctx, const char *row_json, size_t bytes, const char *message)
{
    struct bed *bed = ctx;
    bed->rejects++;
    snprintf(bed->rejected, sizeof bed->rejected, "%.*s", (int)bytes, row_json);
    snprintf(bed->reason, sizeof bed->reason, "%s", message);
}

static void bed_init(struct bed *bed, const struct wr_sink_ops *ops)
{
    static const struct {
        const char *name;
        enum wr_type_id type;
    } columns[4] = { { "id", WR_TYPE_INT64 },
                     { "country", WR_TYPE_TEXT },
                     { "amount", WR_TYPE_FLOAT64 },
                     { "note", WR_TYPE_JSON } };
    memset(bed, 0, sizeof *bed);
    bed->ops = ops;
    bed->memory_bytes = 64u << 20;
    bed->owner = "0123456789abcdef";
    bed->state_uuid = "";
    bed->lanes = 1;
    bed->manifest = mmap(NULL, sizeof *bed->manifest, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(bed->manifest, MAP_FAILED);
    wr_arena_init(&bed->arena, 4096);
    snprintf(bed->directory, sizeof bed->directory, "/tmp/weir-sink-XXXXXX");
    cr_assert_not_null(mkdtemp(bed->directory));
    for (uint32_t c = 0; c < 4; c++) {
        bed->fields[c] = (struct wr_field){ .name = columns[c].name,
                                            .type = wr_type_of(columns[c].type),
                                            .not_null = c == 0,
                                            .declared = c,
                                            .field_id = c + 1 };
    }
    bed->plan = (struct wr_plan_sink){ .name = "bed",
                                       .connector = ops->name,
                                       .format = "",
                                       .pairs = bed->pairs,
                                       .schema = { bed->fields, 4 },
                                       .visible = 4,
                                       .partition = bed->partition };
    bed->pool = wr_batch_pool_create(&bed->plan.schema, WR_BATCH_ROWS_MAX, 4);
    cr_assert_eq(wr_io_create(&bed->io, WR_IO_EPOLL, 8, &bed->err), WR_OK);
}

static void bed_option(struct bed *bed, const char *name, const char *value)
{
    bed->pairs[bed->plan.pair_count++] = (struct wr_option_pair){
        .name = name, .value = value, .raw = value, .name_at = 1, .value_at = 2
    };
}

/* path: under the bed's directory. The text lives as long as the bed's arena. */
static inline void bed_path_option(struct bed *bed, const char *path)
{
    char *full = wr_arena_alloc(&bed->arena, 256);
    snprintf(full, 256, "%s/%s", bed->directory, path);
    bed_option(bed, "path", full);
}

static wr_status bed_check(struct bed *bed)
{
    const struct wr_option *const tables[] = { bed->ops->options, wr_sink_common_options, NULL };
    uint32_t bad_at = UINT32_MAX;
    bed_option(bed, "connector", bed->ops->name);
    WR_TRY(wr_options_parse(tables, "the sink", bed->pairs, bed->plan.pair_count, &bed->arena,
                            &bed->plan.options, &bad_at, &bed->err));
    return bed->ops->check == NULL ? WR_OK : bed->ops->check(&bed->plan, &bad_at, &bed->err);
}

/* After bed_check. */
static wr_status bed_reopen(struct bed *bed)
{
    const struct wr_sink_env env = { .plan = &bed->plan,
                                     .pipeline = "test",
                                     .owner = bed->owner,
                                     .state_uuid = bed->state_uuid,
                                     .exactly_once = bed->state_uuid[0] != '\0',
                                     .lane = bed->lane,
                                     .lanes = bed->lanes,
                                     .io = bed->io,
                                     .memory_bytes = bed->memory_bytes,
                                     .terminal = stdout,
                                     .visible = bed_visible,
                                     .reject = bed_reject,
                                     .ctx = bed };
    return bed->ops->open(&bed->writer, &env, &bed->err);
}

static void bed_open(struct bed *bed)
{
    cr_assert_eq(bed_check(bed), WR_OK, "%s", bed->err.message);
    cr_assert_eq(bed_reopen(bed), WR_OK, "%s", bed->err.message);
}

static void put_text(struct wr_batch *batch, uint32_t column, uint32_t row, const char *text)
{
    struct wr_view *view = (struct wr_view *)batch->columns[column].values + row;
    if (text == NULL) {
        wr_bit_clear(wr_batch_nullable(batch, column), row);
        *view = (struct wr_view){ 0 };
    } else {
        *view = wr_view_of(text, strlen(text));
    }
}

static wr_status bed_try_write(struct bed *bed, const struct bed_row *rows, uint32_t count)
{
    struct wr_batch *batch = wr_batch_take(bed->pool);
    batch->ingest_us = 77;
    batch->rows = count;
    for (uint32_t i = 0; i < count; i++) {
        ((int64_t *)batch->columns[0].values)[i] = rows[i].id;
        ((double *)batch->columns[2].values)[i] = rows[i].amount;
    }
    for (uint32_t i = 0; i < count; i++) {
        put_text(batch, 1, i, rows[i].country);
        put_text(batch, 3, i, rows[i].note);
    }
    const wr_status status = bed->ops->write(bed->writer, batch, wr_clock_now(), &bed->err);
    wr_batch_release(batch);
    return status;
}

static inline void bed_write(struct bed *bed, const struct bed_row *rows, uint32_t count)
{
    cr_assert_eq(bed_try_write(bed, rows, count), WR_OK, "%s", bed->err.message);
}

static inline void bed_prepare(struct bed *bed, uint64_t epoch)
{
    bed->receipt.bytes = 0;
    cr_assert_eq(bed->ops->prepare(bed->writer, epoch, &bed->receipt, &bed->err), WR_OK, "%s",
                 bed->err.message);
}

static inline void bed_publish(struct bed *bed, uint64_t epoch)
{
    cr_assert_eq(bed->ops->publish(bed->writer, epoch, NULL, 0, &bed->err), WR_OK, "%s",
                 bed->err.message);
}

/* The receipt becomes part of the manifest of epoch, which begins anew with lane 0. */
static inline void bed_commit_lane(struct bed *bed, uint64_t epoch)
{
    struct bed_manifest *m = bed->manifest;
    m->epoch = epoch;
    m->receipt_count = bed->lane == 0 ? 0 : m->receipt_count;
    if (bed->receipt.bytes > 0) {
        cr_assert_lt(bed->receipt.bytes, sizeof m->text[0]);
        cr_assert_lt(m->receipt_count, BED_RECEIPTS_MAX);
        memcpy(m->text[m->receipt_count], bed->receipt.data, bed->receipt.bytes);
        m->bytes[m->receipt_count++] = bed->receipt.bytes;
    }
}

static inline uint32_t bed_receipts(const struct bed *bed, struct wr_receipt *receipts)
{
    for (uint32_t i = 0; i < bed->manifest->receipt_count; i++) {
        receipts[i] = (struct wr_receipt){ bed->manifest->text[i], bed->manifest->bytes[i] };
    }
    return bed->manifest->receipt_count;
}

/* Lane 0 gets all receipts, as from run. */
static inline wr_status bed_try_publish_committed(struct bed *bed)
{
    struct wr_receipt receipts[BED_RECEIPTS_MAX];
    const uint32_t count = bed->lane == 0 ? bed_receipts(bed, receipts) : 0;
    return bed->ops->publish(bed->writer, bed->manifest->epoch, receipts, count, &bed->err);
}

static inline wr_status bed_try_recover(struct bed *bed, const char *const *owners, uint32_t count)
{
    struct wr_receipt receipts[BED_RECEIPTS_MAX];
    const struct wr_sink_recovery recovery = { .epoch = bed->manifest->epoch,
                                               .receipts = receipts,
                                               .receipt_count = bed_receipts(bed, receipts),
                                               .owners = owners,
                                               .owner_count = count };
    return bed->ops->recover(bed->writer, &recovery, &bed->err);
}

/* From the one predecessor. */
static inline void bed_recover(struct bed *bed, const char *owner)
{
    cr_assert_eq(bed_try_recover(bed, &owner, 1), WR_OK, "%s", bed->err.message);
}

/* Another process lives and ends without a word, as if killed: its writers are never closed. */
static inline void bed_killed(struct bed *bed, void (*life)(struct bed *bed))
{
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        life(bed);
        _exit(77);
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 77, "the first process did not get to "
              "its end (%d)", status);
}

static inline void bed_close_writer(struct bed *bed)
{
    bed->ops->close(bed->writer);
    bed->writer = NULL;
}

static int bed_remove(const char *path, const struct stat *info, int kind, struct FTW *ftw)
{
    return remove(path);
}

static void bed_deinit(struct bed *bed)
{
    bed_close_writer(bed);
    wr_buf_deinit(&bed->receipt);
    munmap(bed->manifest, sizeof *bed->manifest);
    wr_io_destroy(bed->io);
    wr_batch_pool_destroy(bed->pool);
    wr_arena_deinit(&bed->arena);
    nftw(bed->directory, bed_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* The file's text in a static buffer; NULL when there is none. */
static inline const char *bed_text(const struct bed *bed, const char *name)
{
    static char text[1 << 16];
    char path[256];
    snprintf(path, sizeof path, "%s/%s", bed->directory, name);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return NULL;
    }
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

#endif
