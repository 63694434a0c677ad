/* The CSV decoder over any bytes: the text is cut into logical lines as the file source does it,
 * the first is the header when the text begins with '#'. Each line must become a row or a fault. */
#include "decode/csv.h"
#include "fuzz_bed.h"

static const struct fuzz_column columns[] = {
    { { "a" }, 1, { .id = WR_TYPE_INT64 } },
    { { "b" }, 1, { .id = WR_TYPE_TEXT } },
    { { "c" }, 1, { .id = WR_TYPE_FLOAT64 } },
    { { "d" }, 1, { .id = WR_TYPE_TIMESTAMP } },
    { { "e" }, 1, { .id = WR_TYPE_BYTES } },
};

/* Cutting in pieces must find the same line end as cutting at once. */
static size_t line_end(const char *text, size_t bytes)
{
    uint32_t state = 0;
    const size_t end = wr_csv_line_end(text, bytes, ',', '"', &state);
    uint32_t piecewise = 0;
    size_t at = 0;
    while (at < bytes) {
        const size_t piece = bytes - at < 3 ? bytes - at : 3;
        const size_t found = wr_csv_line_end(text + at, piece, ',', '"', &piecewise);
        at += found;
        if (found < piece) {
            break;
        }
    }
    wr_assert(at == end);
    return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_bed bed = { 0 };
    fuzz_open(&bed, "csv", columns, sizeof(columns) / sizeof(columns[0]));
    const char *text = (const char *)data;
    size_t at = bytes > 0 && text[0] == '#';
    bool header = at > 0;
    while (at < bytes && bed.records.count < FUZZ_ROWS) {
        const size_t end = line_end(text + at, bytes - at);
        if (header) {
            header = false;
            if (wr_decoder_header(bed.decoder, (struct wr_slice){ text + at, end }, NULL) != WR_OK) {
                break;
            }
        } else {
            fuzz_add(&bed, text + at, end);
        }
        at += end + 1;
    }
    fuzz_decode(&bed);
    fuzz_done(&bed);
    fuzz_close(&bed);
    return 0;
}
