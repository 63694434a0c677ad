/* The JSON decoder over any bytes. Input: records, separated by 0xFE bytes. Each must become a row
 * or a fault, rows and faults that name no column must agree with the checker of
 * batch/json_scan.h, and the walks with each other (not in a fault's words: they depend on what
 * the decoder expected). */
#include "batch/json_scan.h"
#include "batch/nested.h"
#include "decode/json_shape.h"
#include "fuzz_bed.h"

#define SEPARATOR '\xfe'

static const struct fuzz_column columns[] = {
    { { "event_id" }, 1, { .id = WR_TYPE_TEXT } },
    { { "user_id" }, 1, { .id = WR_TYPE_INT64 } },
    { { "amount" }, 1, { .id = WR_TYPE_FLOAT64 } },
    { { "price" }, 1, { .id = WR_TYPE_DECIMAL, .precision = 20, .scale = 4 } },
    { { "ts" }, 1, { .id = WR_TYPE_TIMESTAMP } },
    { { "ok" }, 1, { .id = WR_TYPE_BOOL } },
    { { "p" }, 1, { .id = WR_TYPE_JSON } },
    { { "p", "user", "id" }, 3, { .id = WR_TYPE_INT32 } },
    { { "p", "raw" }, 2, { .id = WR_TYPE_BYTES } },
    { { "day" }, 1, { .id = WR_TYPE_DATE } },
    { { "every" }, 1, { .id = WR_TYPE_INTERVAL } },
    { { "small" }, 1, { .id = WR_TYPE_UINT16 } },
    { { "real" }, 1, { .id = WR_TYPE_FLOAT32 } },
};

/* The same key as a column of its own, so that both ways see it; filled in at the start, types being made at run time. */
static struct fuzz_column all_columns[sizeof(columns) / sizeof(columns[0]) + 2];

static void make_columns(void)
{
    const uint32_t count = sizeof(columns) / sizeof(columns[0]);
    struct wr_type user, tags, p, every;
    wr_assert(wr_nested_array(wr_type_of(WR_TYPE_TEXT), &tags, NULL) == WR_OK);
    const struct wr_nested_field inner[] = { { "id", wr_type_of(WR_TYPE_INT64) }, { "tags", tags } };
    wr_assert(wr_nested_struct(inner, 2, &user, NULL) == WR_OK);
    const struct wr_nested_field outer[] = { { "raw", wr_type_of(WR_TYPE_JSON) }, { "user", user } };
    wr_assert(wr_nested_struct(outer, 2, &p, NULL) == WR_OK);
    wr_assert(wr_nested_map(wr_type_of(WR_TYPE_TEXT), wr_type_of(WR_TYPE_FLOAT64), &every, NULL) == WR_OK);
    memcpy(all_columns, columns, sizeof columns);
    all_columns[count] = (struct fuzz_column){ { "p" }, 1, p };
    all_columns[count + 1] = (struct fuzz_column){ { "m" }, 1, every };
}

static void check_bodies(const struct fuzz_bed *bed)
{
    for (uint32_t c = sizeof(columns) / sizeof(columns[0]); c < bed->schema.count; c++) {
        const struct wr_view *views = bed->batch->columns[c].values;
        for (uint32_t i = 0; i < wr_batch_live(bed->batch); i++) {
            const uint32_t row = wr_batch_row(bed->batch, i);
            wr_assert(wr_column_is_null(&bed->batch->columns[c], row) ||
                      wr_nested_check(bed->schema.fields[c].type, wr_view_slice(&views[row])));
        }
    }
}

static bool is_object(const struct wr_record *record)
{
    const char *end = record->data + record->bytes;
    const char *at = wr_json_skip_space(record->data, end);
    return at < end && *at == '{' && wr_json_valid((struct wr_slice){ record->data, record->bytes });
}

static void check_against_scan(const struct fuzz_bed *bed)
{
    for (uint32_t i = 0; i < wr_batch_live(bed->batch); i++) {
        wr_assert(is_object(&bed->items[wr_batch_row(bed->batch, i)]));
    }
    for (uint32_t i = 0; i < bed->faults.count; i++) {
        const struct wr_row_fault *fault = &bed->faults.items[i];
        wr_assert(fault->field[0] != '\0' || !is_object(&bed->items[fault->row]));
    }
}

/* One per instruction set; the last has templates before the walk. */
enum { PLAIN, AVX2, AVX512, BEDS };

static void open_beds(struct fuzz_bed *beds)
{
    make_columns();
    for (uint32_t i = 0; i < BEDS; i++) {
        fuzz_open(&beds[i], "json", all_columns, sizeof(all_columns) / sizeof(all_columns[0]));
        struct wr_json_decoder *d = (struct wr_json_decoder *)beds[i].decoder;
        d->run = wr_json_run_plain;
        if (i == AVX2 && wr_json_has_avx2()) {
            d->run = wr_json_run_avx2;
        } else if (i == AVX512 && wr_json_has_avx512()) {
            d->run = wr_json_run_avx512;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct fuzz_bed beds[BEDS];
    if (beds[0].decoder == NULL) {
        open_beds(beds);
    }
    fuzz_cut(&beds[0], data, bytes, SEPARATOR);
    fuzz_decode(&beds[0]);
    check_against_scan(&beds[0]);
    check_bodies(&beds[0]);
    for (uint32_t i = 1; i < BEDS; i++) {
        beds[i].records = beds[0].records;
        fuzz_decode(&beds[i]);
        fuzz_same(&beds[0], &beds[i]);
        for (uint32_t f = 0; f < beds[i].faults.count; f++) {
            const struct wr_row_fault *fault = &beds[i].faults.items[f];
            wr_assert(fault->row == beds[0].faults.items[f].row);
            wr_assert(strcmp(fault->field, beds[0].faults.items[f].field) == 0);
        }
    }
    fuzz_done(&beds[0]);
    for (uint32_t i = 1; i < BEDS; i++) {
        wr_batch_release(beds[i].batch);
        beds[i].batch = NULL;
    }
    return 0;
}
