/* bench_parquet.c: CPU nanoseconds per row of writing web events as zstd Parquet, column by column.
 *
 *   bench_parquet [ROWS] [OUT|-] [COLUMN]      (default 2,000,000 rows, nothing kept, each column once)
 *
 * Rows are made beforehand, so that only encoding is timed. Long texts lie as in the batches that sinks get: copied out of
 * the messages, column by column.
 */
#include "base/assert.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/rand.h"
#include "encode/parquet.h"

#include <stdio.h>
#include <stdlib.h>

static struct wr_field fields[] = {
    { .name = "event_id", .type = { .id = WR_TYPE_TEXT }, .field_id = 1 },
    { .name = "user_id", .type = { .id = WR_TYPE_INT64 }, .field_id = 2 },
    { .name = "type", .type = { .id = WR_TYPE_TEXT }, .field_id = 3 },
    { .name = "amount", .type = { .id = WR_TYPE_FLOAT64 }, .field_id = 4 },
    { .name = "country", .type = { .id = WR_TYPE_TEXT }, .field_id = 5 },
    { .name = "page", .type = { .id = WR_TYPE_TEXT }, .field_id = 6 },
    { .name = "device", .type = { .id = WR_TYPE_TEXT }, .field_id = 7 },
    { .name = "ts", .type = { .id = WR_TYPE_TIMESTAMP }, .field_id = 8 },
};
static const struct wr_schema schema = { fields, 8 };
#define PAYLOAD_BYTES 160u /* at least the texts of one event */

static struct wr_view put_text(char **at, const char *fmt, unsigned long long a, const char *b)
{
    const int n = snprintf(*at, 64, fmt, a, b);
    const struct wr_view view = wr_view_of(*at, (size_t)n);
    *at += n + 8;
    return view;
}

static void make_row(struct wr_batch *batch, uint32_t r, uint64_t row, struct wr_rand *rand, char *at)
{
    static const char *const types[] = { "view", "click", "search", "cart", "purchase" };
    static const char *const words[] = { "shoes", "books", "music", "garden", "toys", "phones", "bikes", "lamps" };
    static const char *const devices[] = { "ios-17", "ios-18", "android-14", "android-15-tablet",
                                           "chrome-140", "firefox-144", "safari-18", "edge-141" };
    struct wr_view *views[8];
    for (uint32_t c = 0; c < 8; c++) {
        views[c] = batch->columns[c].values;
    }
    const uint64_t a = wr_rand_below(rand, 4000);
    const uint64_t b = wr_rand_below(rand, 4000);
    views[0][r] = put_text(&at, "%016llx%s", (unsigned long long)wr_rand_next(rand), "");
    ((int64_t *)batch->columns[1].values)[r] = (int64_t)wr_rand_below(rand, 100000);
    views[2][r] = put_text(&at, "%.0llu%s", 0, types[wr_rand_below(rand, 5)]);
    ((double *)batch->columns[3].values)[r] = (double)wr_rand_below(rand, 50000) / 100;
    const uint64_t country = wr_rand_below(rand, 20);
    const char name[3] = { (char)('A' + country), (char)('Z' - country), '\0' };
    views[4][r] = put_text(&at, "%.0llu%s", 0, name);
    char page[64];
    snprintf(page, sizeof page, "/shop/%s/%llu", words[wr_rand_below(rand, 8)], (unsigned long long)(a < b ? a : b) / 8);
    views[5][r] = put_text(&at, "%.0llu%s", 0, page);
    views[6][r] = put_text(&at, "%.0llu%s", 0, devices[wr_rand_below(rand, 8)]);
    ((int64_t *)batch->columns[7].values)[r] = 1735689600000000 + (int64_t)(row / 100) * 1000;
}

/* Long texts move to `at`, one column after the other; returns where the next batch's begin. */
static char *pack_texts(struct wr_batch *batch, char *at)
{
    for (uint32_t c = 0; c < batch->columns_count; c++) {
        struct wr_view *views = batch->columns[c].values;
        for (uint32_t r = 0; fields[c].type.id == WR_TYPE_TEXT && r < batch->rows; r++) {
            if (views[r].bytes > WR_VIEW_INLINE_BYTES) {
                memcpy(at, views[r].data, views[r].bytes);
                views[r].data = at;
                at += views[r].bytes;
            }
        }
    }
    return at;
}

static wr_status sink(void *ctx, const void *bytes, size_t n, struct wr_error *err)
{
    FILE *file = ctx;
    return file == NULL || fwrite(bytes, 1, n, file) == n ? WR_OK
                                                          : wr_fail(err, WR_CLASS_FATAL, "cannot write");
}

struct result {
    double ns;
    uint64_t bytes;
    uint64_t buffered_max;
};

static struct result run(struct wr_batch **batches, uint32_t made, uint64_t rows, const uint8_t *skip,
                         const struct wr_parquet_options *options, FILE *file)
{
    struct wr_error err = { 0 };
    struct wr_parquet_writer *writer;
    struct result result = { 0 };
    wr_assert(wr_parquet_create(&schema, skip, options, sink, file, &writer, &err) == WR_OK);
    const int64_t start = wr_clock_cpu_ns();
    uint64_t written = 0;
    for (uint32_t i = 0; written < rows; i = (i + 1) % made) {
        wr_assert(wr_parquet_append(writer, batches[i], &err) == WR_OK);
        written += batches[i]->rows;
        if (i % 64 == 0 && wr_parquet_buffered_bytes(writer) > result.buffered_max) {
            result.buffered_max = wr_parquet_buffered_bytes(writer);
        }
    }
    wr_assert(wr_parquet_finish(writer, &err) == WR_OK);
    result.ns = (double)(wr_clock_cpu_ns() - start) / (double)written;
    result.bytes = wr_parquet_bytes(writer);
    wr_parquet_destroy(writer);
    return result;
}

int main(int argc, char **argv)
{
    const uint64_t rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;
    const uint32_t made = (uint32_t)(rows < 1000000 ? rows : 1000000) / WR_BATCH_ROWS_MAX + 1;
    struct wr_batch_pool *pool = wr_batch_pool_create(&schema, WR_BATCH_ROWS_MAX, made);
    struct wr_batch **batches = wr_calloc(made, sizeof *batches);
    char *texts = wr_malloc((size_t)made * WR_BATCH_ROWS_MAX * PAYLOAD_BYTES);
    char *message = wr_malloc((size_t)WR_BATCH_ROWS_MAX * PAYLOAD_BYTES);
    char *texts_end = texts;
    struct wr_rand rand;
    wr_rand_seed(&rand, 1);
    for (uint32_t i = 0; i < made; i++) {
        batches[i] = wr_batch_take(pool);
        batches[i]->rows = WR_BATCH_ROWS_MAX;
        for (uint32_t r = 0; r < WR_BATCH_ROWS_MAX; r++) {
            const uint64_t row = (uint64_t)i * WR_BATCH_ROWS_MAX + r;
            make_row(batches[i], r, row, &rand, message + (size_t)r * PAYLOAD_BYTES);
        }
        texts_end = pack_texts(batches[i], texts_end);
    }
    struct wr_parquet_options options = { .shared = wr_parquet_shared_create(&schema) };
    FILE *file = argc > 2 && strcmp(argv[2], "-") != 0 ? fopen(argv[2], "wb") : NULL;
    for (uint32_t repetition = 0; argc <= 3 && repetition < 3; repetition++) {
        const struct result all = run(batches, made, rows, NULL, &options, repetition == 0 ? file : NULL);
        printf("all columns: %.1f ns/row, %.2f bytes/row, %.1f MiB buffered\n", all.ns,
               (double)all.bytes / (double)rows, (double)all.buffered_max / (1 << 20));
    }
    for (uint32_t c = 0; c < schema.count; c++) {
        if (argc > 3 && strcmp(argv[3], fields[c].name) != 0) {
            continue;
        }
        uint8_t skip[8];
        memset(skip, 1, sizeof skip);
        skip[c] = 0;
        const struct result one = run(batches, made, rows, skip, &options, NULL);
        printf("%-10s %6.1f ns/row, %.2f bytes/row\n", fields[c].name, one.ns,
               (double)one.bytes / (double)rows);
    }
    if (file != NULL) {
        fclose(file);
    }
    wr_parquet_shared_destroy(options.shared);
    for (uint32_t i = 0; i < made; i++) {
        wr_batch_release(batches[i]);
    }
    wr_batch_pool_destroy(pool);
    free(batches);
    free(message);
    free(texts);
    return 0;
}
