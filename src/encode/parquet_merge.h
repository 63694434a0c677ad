/* parquet_merge.h: several Parquet files -> one, without decoding: column chunks are copied as they are, the footer and
 * the page indexes are written anew with the new offsets.
 *
 * Files must have the same schema to the byte: ours always, those of other writers among themselves. Bloom filters are left out.
 * What is read is checked like any bytes from outside: a file that lies about its offsets is refused, it cannot make
 * anything be read outside of it.
 * Threads: one at a time. Invariants: (1) after a WR_FAIL the output is broken: only destroy may follow
 */
#ifndef WR_ENCODE_PARQUET_MERGE_H
#define WR_ENCODE_PARQUET_MERGE_H

#include "base/buf.h"
#include "encode/parquet.h"

/* A null count in a summary that some file does not tell. */
#define WR_PARQUET_NULLS_UNKNOWN UINT64_MAX

struct wr_parquet_merge;

/* Appends exactly those bytes of the input, or fails. */
typedef wr_status (*wr_parquet_fetch_fn)(void *ctx, uint64_t offset, uint64_t bytes,
                                         struct wr_buf *into, struct wr_error *err);

/* schema: columns that the summary is to know, found by name; skip as in parquet.h; both borrowed. */
struct wr_parquet_merge *wr_parquet_merge_create(const struct wr_schema *schema,
                                                 const uint8_t *skip, wr_parquet_write_fn write,
                                                 void *ctx);
void wr_parquet_merge_destroy(struct wr_parquet_merge *merge); /* NULL is fine */

/* Appends a file's row groups. WR_END: it cannot go together with those before, or not be copied at all; nothing of it was
 * written, others may follow. */
WR_NODISCARD wr_status wr_parquet_merge_add(struct wr_parquet_merge *merge,
                                            wr_parquet_fetch_fn fetch, void *ctx, uint64_t bytes,
                                            struct wr_error *err);
/* At least one file must have been added. */
WR_NODISCARD wr_status wr_parquet_merge_finish(struct wr_parquet_merge *merge,
                                               struct wr_error *err);
uint64_t wr_parquet_merge_bytes(const struct wr_parquet_merge *merge); /* given to write so far */
uint64_t wr_parquet_merge_rows(const struct wr_parquet_merge *merge);  /* added so far */
/* What the file holds, as far as the inputs' footers tell; summary needs deinit. */
void wr_parquet_merge_summarize(const struct wr_parquet_merge *merge,
                                struct wr_parquet_summary *summary);

#endif
