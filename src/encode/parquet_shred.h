/* parquet_shred.h: rows of a nested column -> levels and values of its leaves (Dremel, Melnik et al., VLDB 2010).
 *
 * Values go to the leaves in runs of a fixed size, also within a row: what a row of millions of values needs is what its pages
 * need. Pages end between rows, when a leaf has enough levels or bytes.
 */
#ifndef WR_ENCODE_PARQUET_SHRED_H
#define WR_ENCODE_PARQUET_SHRED_H

#include "batch/batch.h"
#include "encode/parquet_column.h"

/* leaves: all of the column, in order. rows: row numbers, or NULL for 0..count - 1. */
WR_NODISCARD wr_status wr_parquet_shred(struct wr_parquet_column *leaves,
                                        const struct wr_column *in, const uint32_t *rows,
                                        uint32_t count, struct wr_error *err);

#endif
