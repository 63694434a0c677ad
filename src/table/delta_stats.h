/* delta_stats.h: what a table's log says of a data file: statistics, and the text of partition values
 * (Delta PROTOCOL.md, "Per-file Statistics" and "Partition Value Serialization").
 *
 * Readers skip files by these numbers, so they must never claim too much:
 *   (1) minValues <= every value <= maxValues, also where a text was cut (32 characters, a maximum rounded up) or a time
 *       was rounded to milliseconds (minimum down, maximum up)
 *   (2) a column of floats with a NaN or an infinity has no bounds, because JSON cannot hold them
 *   (3) integers and decimals are written with all their digits
 * Of a STRUCT's fields it is told in objects of the STRUCT's name, as Spark does; of what lies in arrays and maps nothing.
 * BOOLEAN, BYTEA, JSON and INTERVAL have no bounds, only null counts: nobody compares by them.
 */
#ifndef WR_TABLE_DELTA_STATS_H
#define WR_TABLE_DELTA_STATS_H

#include "base/buf.h"
#include "batch/schema.h"
#include "encode/parquet.h"

/* A null count that nobody knows (WR_PARQUET_NULLS_UNKNOWN: files of other engines) is left out.
 * Appends the statistics of one file as JSON text: what wr_delta_add.stats wants. The summary's columns are leaves
 * that the file has (none of partition columns); schema is the one that their indexes mean. */
void wr_delta_stats(const struct wr_parquet_summary *summary, const struct wr_schema *schema,
                    struct wr_buf *into);

/* Appends a partition value as the log writes it (not URI-encoded, not escaped). false: it is written as null, nothing
 * was appended: Delta takes an empty text for null. value: into a values array, not NULL. */
bool wr_delta_partition_text(struct wr_type type, const void *value, struct wr_buf *into);

#endif
