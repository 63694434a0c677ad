/* csv.h: the decoder for format = 'csv': RFC 4180 records, one per logical line (interface of the
 * file source too).
 *
 * Fields are separated by `delimiter`; one that begins with `quote` runs to the next single quote
 * character, two of which stand for one; it may hold delimiters and line ends. In other fields a
 * quote is a character like any other. Columns are taken by the names of the header line
 * (wr_decoder_header; a column that it lacks is NULL) or, without one, by their place in CREATE
 * SOURCE. A field that equals `null_text` and was not quoted is NULL. A line with fewer or more
 * fields than the header is a fault; without a header only one that ends before a column. Types as
 * text casts read them (PostgreSQL's forms); numbers for TIMESTAMP are in timestamp_unit; BYTEA is
 * \x hex or base64; TEXT must be UTF-8. `header` only tells the file source whether to hand over
 * the first line.
 */
#ifndef WR_DECODE_CSV_H
#define WR_DECODE_CSV_H

#include "config/option.h"
#include "decode/decoder.h"

/* delimiter, quote, null_text, header */
extern const struct wr_option wr_csv_options[];

wr_status wr_csv_create(struct wr_decoder **decoder, const struct wr_schema *scan_fields,
                        const struct wr_options *options, struct wr_error *err);
wr_status wr_csv_header(struct wr_decoder *decoder, struct wr_slice line, struct wr_error *err);
void wr_csv_decode(struct wr_decoder *decoder, const struct wr_records *records,
                   struct wr_batch *batch, struct wr_faults *faults);
void wr_csv_destroy(struct wr_decoder *decoder);

/* Where the logical line that begins at data ends: the offset of its '\n' that stands outside of
 * quotes, or bytes when there is none yet. *state carries what is open from one call to the next
 * when a line comes in pieces: zero before each line. */
size_t wr_csv_line_end(const char *data, size_t bytes, char delimiter, char quote, uint32_t *state);

#endif
