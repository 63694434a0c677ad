/* row_json.h: rows of a batch -> NDJSON, one object a line (Kafka, file and stdout sinks, side sinks).
 *
 * Keys in the order of the columns, NULL as null, values as batch/text.h says. A key is escaped once, when
 * the encoder is made, so that a row is copies and number formatting only.
 * Threads: one at a time; appending changes nothing in the encoder, so that threads may share one.
 */
#ifndef WR_ENCODE_ROW_JSON_H
#define WR_ENCODE_ROW_JSON_H

#include "base/buf.h"
#include "batch/batch.h"

struct wr_row_json;

/* columns: columns_count indexes into the schema, in the order of output; NULL: all of them. Copies what it
 * needs. */
struct wr_row_json *wr_row_json_create(const struct wr_schema *schema, const uint32_t *columns,
                                       uint32_t columns_count);
void wr_row_json_destroy(struct wr_row_json *encoder); /* NULL is fine */

/* Appends {"a":1,"b":null} for one row number of the batch, without a line end. */
void wr_row_json_append(const struct wr_row_json *encoder, struct wr_buf *buf,
                        const struct wr_batch *batch, uint32_t row);
/* Appends all live rows, each with a line end. */
void wr_row_json_append_batch(const struct wr_row_json *encoder, struct wr_buf *buf,
                              const struct wr_batch *batch);

#endif
