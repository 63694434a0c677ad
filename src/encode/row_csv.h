/* row_csv.h: rows of a batch -> CSV (RFC 4180, but lines end in LF as PostgreSQL's COPY writes them).
 *
 * A field is quoted when it holds a comma, a quote, CR or LF, or is the empty text: NULL is the empty field
 * without quotes, which is how PostgreSQL and DuckDB tell the two apart.
 * Threads: appending changes nothing in the encoder, so that threads may share one.
 */
#ifndef WR_ENCODE_ROW_CSV_H
#define WR_ENCODE_ROW_CSV_H

#include "base/buf.h"
#include "batch/batch.h"

struct wr_row_csv;

/* columns: columns_count indexes into the schema, in the order of output; NULL: all of them. */
struct wr_row_csv *wr_row_csv_create(const struct wr_schema *schema, const uint32_t *columns,
                                     uint32_t columns_count);
void wr_row_csv_destroy(struct wr_row_csv *encoder); /* NULL is fine */

void wr_row_csv_append_header(const struct wr_row_csv *encoder, struct wr_buf *buf);
/* Appends one row number of the batch with its line end. */
void wr_row_csv_append(const struct wr_row_csv *encoder, struct wr_buf *buf,
                       const struct wr_batch *batch, uint32_t row);
void wr_row_csv_append_batch(const struct wr_row_csv *encoder, struct wr_buf *buf,
                             const struct wr_batch *batch);

#endif
