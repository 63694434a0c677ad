/* fuzz_bed.h: a decoder with records and a batch, for the decoders' fuzz targets. */
#ifndef WEIR_TESTS_FUZZ_BED_H
#define WEIR_TESTS_FUZZ_BED_H

#include "base/assert.h"
#include "base/heap.h"
#include "decode/decoder.h"

#define FUZZ_ROWS        16u
#define FUZZ_COLUMNS_MAX 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

struct fuzz_column {
    const char *path[4];
    uint32_t path_count;
    struct wr_type type;
};

struct fuzz_bed {
    struct wr_field fields[FUZZ_COLUMNS_MAX];
    struct wr_schema schema;
    struct wr_decoder *decoder;
    struct wr_batch_pool *pool;
    struct wr_batch *batch;
    struct wr_faults faults;
    struct wr_record items[FUZZ_ROWS];
    char *copies[FUZZ_ROWS]; /* each record in an allocation of its own size */
    struct wr_records records;
};

static inline void fuzz_open(struct fuzz_bed *bed, const char *format,
                             const struct fuzz_column *columns, uint32_t count)
{
    for (uint32_t c = 0; c < count; c++) {
        bed->fields[c] = (struct wr_field){ .name = columns[c].path[0],
                                            .path = columns[c].path,
                                            .path_count = columns[c].path_count,
                                            .declared = c,
                                            .type = columns[c].type };
    }
    bed->schema = (struct wr_schema){ bed->fields, count };
    const wr_status made =
        wr_decoder_create(&bed->decoder, wr_decoder_find(format), &bed->schema, NULL, NULL);
    wr_assert(made == WR_OK);
    bed->pool = wr_batch_pool_create(&bed->schema, FUZZ_ROWS, 2);
    bed->records.items = bed->items;
}

static inline void fuzz_add(struct fuzz_bed *bed, const char *data, size_t bytes)
{
    const uint32_t i = bed->records.count++;
    bed->copies[i] = wr_malloc(bytes);
    memcpy(bed->copies[i], data, bytes);
    bed->items[i] = (struct wr_record){ .data = bed->copies[i], .bytes = (uint32_t)bytes };
}

static inline void fuzz_cut(struct fuzz_bed *bed, const uint8_t *data, size_t bytes, char separator)
{
    const char *at = (const char *)data;
    const char *end = at + bytes;
    while (at < end && bed->records.count < FUZZ_ROWS) {
        const char *stop = memchr(at, separator, (size_t)(end - at));
        stop = stop == NULL ? end : stop;
        fuzz_add(bed, at, (size_t)(stop - at));
        at = stop + 1;
    }
}

static inline void fuzz_decode(struct fuzz_bed *bed)
{
    bed->batch = wr_batch_take(bed->pool);
    wr_decoder_decode(bed->decoder, &bed->records, bed->batch, &bed->faults);
    wr_assert(bed->batch->rows == bed->records.count);
    wr_assert(wr_batch_live(bed->batch) + bed->faults.count == bed->records.count);
    for (uint32_t i = 0; i < bed->faults.count; i++) {
        const struct wr_row_fault *fault = &bed->faults.items[i];
        wr_assert(fault->message[0] != '\0' && (i == 0 || fault->row > fault[-1].row));
        wr_assert(wr_utf8_valid(fault->field, strlen(fault->field)));
    }
}

/* Both batches hold the same live rows with the same values. */
static inline void fuzz_same(const struct fuzz_bed *a, const struct fuzz_bed *b)
{
    wr_assert(wr_batch_live(a->batch) == wr_batch_live(b->batch));
    for (uint32_t c = 0; c < a->schema.count; c++) {
        const struct wr_column *x = &a->batch->columns[c];
        const struct wr_column *y = &b->batch->columns[c];
        const uint32_t width = wr_type_width(x->type);
        for (uint32_t i = 0; i < wr_batch_live(a->batch); i++) {
            const uint32_t row = wr_batch_row(a->batch, i);
            wr_assert(row == wr_batch_row(b->batch, i));
            wr_assert(wr_column_is_null(x, row) == wr_column_is_null(y, row));
            const char *p = (const char *)x->values + (size_t)row * width;
            const char *q = (const char *)y->values + (size_t)row * width;
            wr_assert(wr_type_is_view(x->type)
                          ? wr_view_equal((const struct wr_view *)(const void *)p,
                                          (const struct wr_view *)(const void *)q)
                          : memcmp(p, q, width) == 0);
        }
    }
}

static inline void fuzz_done(struct fuzz_bed *bed)
{
    wr_batch_release(bed->batch);
    bed->batch = NULL;
    for (uint32_t i = 0; i < bed->records.count; i++) {
        free(bed->copies[i]);
        bed->copies[i] = NULL;
    }
    bed->records.count = 0;
}

static inline void fuzz_close(struct fuzz_bed *bed)
{
    wr_decoder_destroy(bed->decoder);
    wr_batch_pool_destroy(bed->pool);
    wr_faults_deinit(&bed->faults);
}

#endif
