/* The CSV decoder: RFC 4180 and what becomes of cells. */
#include "decode/csv.h"
#include "decode_bed.h"

static char paths[4][8];

static void open_bed(struct bed *bed, bool not_null)
{
    static const char *const names[] = { "a", "b", "c" };
    static const enum wr_type_id ids[] = { WR_TYPE_INT64, WR_TYPE_TEXT, WR_TYPE_FLOAT64 };
    memset(bed, 0, sizeof(*bed));
    for (uint32_t i = 0; i < 3; i++) {
        strcpy(paths[i], names[i]);
        bed_column(bed, paths[i], wr_type_of(ids[i]), not_null && i == 0);
    }
    bed_open(bed, "csv");
}

static void check_row(struct bed *bed, const char *line, const char *a, const char *b, const char *c)
{
    const char *wanted[] = { a, b, c };
    cr_assert(bed_decode(bed, line, strlen(line)), "%s: %s", line, bed->faults.items[0].message);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_str_eq(bed_text(bed, i), wanted[i], "%s", line);
    }
}

static void check_fault(struct bed *bed, const char *line, const char *field)
{
    cr_assert(!bed_decode(bed, line, strlen(line)), "%s", line);
    cr_assert_str_eq(bed->faults.items[0].field, field, "%s", line);
    cr_assert(bed->faults.items[0].message[0] != '\0');
}

Test(decode_csv, cells_in_declared_order)
{
    struct bed bed;
    open_bed(&bed, true);
    check_row(&bed, "1,x,2.5", "1", "x", "2.5");
    check_row(&bed, "1,x,2.5\r", "1", "x", "2.5");
    check_row(&bed, "1,\"x,\n\"\"y\"\"\",2.5", "1", "x,\n\"y\"", "2.5");
    check_row(&bed, "1,,", "1", "NULL", "NULL");
    check_row(&bed, "1,\"\",", "1", "", "NULL");
    check_row(&bed, "1,in\"side,3,more", "1", "in\"side", "3");
    check_row(&bed, "\"7\",a text over twelve bytes,-1e3", "7", "a text over twelve bytes", "-1000");
    check_fault(&bed, "1,x", "");
    check_fault(&bed, "", "");
    check_fault(&bed, "1,\"x,2", "");
    check_fault(&bed, "1,\"x\"y,2", "");
    check_fault(&bed, "x,y,1", "a");
    check_fault(&bed, ",y,1", "a");
    check_fault(&bed, "1,y,z", "c");
    check_fault(&bed, "1,\xff,2", "b");
    bed_close(&bed);
}

Test(decode_csv, a_header_names_the_cells)
{
    struct bed bed;
    open_bed(&bed, true);
    struct wr_error err;
    cr_assert_eq(wr_decoder_header(bed.decoder, wr_slice_of("\xef\xbb\xbf" "c,other,\"a\"\r"), &err), WR_OK);
    check_row(&bed, "2.5,x,1", "1", "NULL", "2.5");
    check_fault(&bed, "2.5,x", "");
    check_fault(&bed, "2.5,x,1,2", "");
    cr_assert_eq(wr_decoder_header(bed.decoder, wr_slice_of("b,c"), &err), WR_FAIL);
    cr_assert(strstr(err.message, "\"a\"") != NULL);
    cr_assert_eq(err.cls, WR_CLASS_DATA);
    bed_close(&bed);
}

Test(decode_csv, tombstones_are_faults)
{
    struct bed bed;
    open_bed(&bed, false);
    struct wr_record record = { .data = NULL };
    const struct wr_records records = { .items = &record, .count = 1, .refs = 1 };
    struct wr_batch *batch = wr_batch_take(bed.pool);
    wr_decoder_decode(bed.decoder, &records, batch, &bed.faults);
    cr_assert(bed.faults.count == 1 && wr_batch_live(batch) == 0);
    wr_batch_release(batch);
    bed_close(&bed);
}

static size_t line_end(const char *text)
{
    uint32_t state = 0;
    return wr_csv_line_end(text, strlen(text), ',', '"', &state);
}

Test(decode_csv, lines_end_outside_of_quotes)
{
    cr_assert_eq(line_end("a,b\nc"), 3);
    cr_assert_eq(line_end("a,\"b\n\"\nc"), 6);
    cr_assert_eq(line_end("a,\"b\"\"\n\"\nc"), 8);
    cr_assert_eq(line_end("a,b\"c\nd\"\n"), 5);
    cr_assert_eq(line_end("\n"), 0);
    cr_assert_eq(line_end("abc"), 3);
    /* In pieces of every size the answer is the same. */
    static const char text[] = "a,\"b\n,\"\"\n\",c\"d,\"\"\nrest\n";
    for (size_t piece = 1; piece < sizeof(text); piece++) {
        uint32_t state = 0;
        size_t at = 0;
        for (;;) {
            const size_t left = sizeof(text) - 1 - at;
            const size_t bytes = piece < left ? piece : left;
            const size_t end = wr_csv_line_end(text + at, bytes, ',', '"', &state);
            at += end;
            if (end < bytes) {
                break;
            }
            cr_assert_lt(at, sizeof(text) - 1);
        }
        cr_assert_eq(at, 17, "piece %zu: %zu", piece, at);
    }
}
