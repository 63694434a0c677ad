/* decode_bed.h: one record at a time through a decoder, for the decoders' tests. */
#ifndef WEIR_TESTS_DECODE_BED_H
#define WEIR_TESTS_DECODE_BED_H

#include "base/heap.h"
#include "batch/text.h"
#include "decode/decoder.h"
#include <criterion/criterion.h>

#define BED_COLUMNS_MAX 80u

struct bed {
    struct wr_field fields[BED_COLUMNS_MAX];
    const char *paths[BED_COLUMNS_MAX][8];
    struct wr_schema schema;
    struct wr_decoder *decoder;
    struct wr_batch_pool *pool;
    struct wr_batch *batch; /* of the last decode */
    struct wr_faults faults;
    char *bytes; /* an exact copy of the last record, so that ASan sees any step over its end */
};

/* path: segments separated by dots. */
static void bed_column(struct bed *bed, char *path, struct wr_type type, bool not_null)
{
    const uint32_t c = bed->schema.count++;
    struct wr_field *field = &bed->fields[c];
    bed->schema.fields = bed->fields;
    field->name = path;
    field->path = bed->paths[c];
    field->declared = c;
    field->type = type;
    field->not_null = not_null;
    for (char *part = strtok(path, "."); part != NULL; part = strtok(NULL, ".")) {
        bed->paths[c][field->path_count++] = part;
    }
}

static inline void bed_open(struct bed *bed, const char *format)
{
    cr_assert_eq(wr_decoder_create(&bed->decoder, wr_decoder_find(format), &bed->schema, NULL, NULL),
                 WR_OK);
    bed->pool = wr_batch_pool_create(&bed->schema, 4, 4);
}

static void bed_close(struct bed *bed)
{
    wr_batch_release(bed->batch);
    wr_decoder_destroy(bed->decoder);
    wr_batch_pool_destroy(bed->pool);
    wr_faults_deinit(&bed->faults);
    free(bed->bytes);
    memset(bed, 0, sizeof(*bed));
}

/* True when the record became a row. */
static bool bed_decode(struct bed *bed, const char *data, size_t bytes)
{
    wr_batch_release(bed->batch);
    free(bed->bytes);
    bed->bytes = wr_malloc(bytes);
    memcpy(bed->bytes, data, bytes);
    struct wr_record record = { .data = bed->bytes, .bytes = (uint32_t)bytes };
    const struct wr_records records = { .items = &record, .count = 1, .refs = 1 };
    bed->batch = wr_batch_take(bed->pool);
    wr_decoder_decode(bed->decoder, &records, bed->batch, &bed->faults);
    cr_assert_eq(bed->batch->rows, 1);
    cr_assert_eq(wr_batch_live(bed->batch) + bed->faults.count, 1);
    return bed->faults.count == 0;
}

/* The value of a column of the last row as text; "NULL" when it is. */
static const char *bed_text(struct bed *bed, uint32_t column)
{
    static struct wr_buf buf;
    buf.bytes = 0;
    if (wr_column_is_null(&bed->batch->columns[column], 0)) {
        return "NULL";
    }
    wr_text_format(&buf, bed->fields[column].type, bed->batch->columns[column].values);
    return wr_buf_cstr(&buf);
}

/* bytes: of a record; wanted: the columns' texts, joined by '|'. */
static inline void bed_check(struct bed *bed, const char *data, size_t bytes, const char *wanted)
{
    struct wr_buf got = { 0 };
    cr_assert(bed_decode(bed, data, bytes), "%s: %s", wanted, bed->faults.items[0].message);
    for (uint32_t c = 0; c < bed->schema.count; c++) {
        wr_buf_printf(&got, "%s%s", c > 0 ? "|" : "", bed_text(bed, c));
    }
    cr_assert_str_eq(wr_buf_cstr(&got), wanted);
    wr_buf_deinit(&got);
}

static inline void bed_check_fault(struct bed *bed, const char *data, size_t bytes, const char *field,
                                   const char *message)
{
    cr_assert(!bed_decode(bed, data, bytes), "%s", message);
    cr_assert_str_eq(bed->faults.items[0].field, field, "%s", bed->faults.items[0].message);
    cr_assert(strstr(bed->faults.items[0].message, message) != NULL, "%s",
              bed->faults.items[0].message);
}

#endif
