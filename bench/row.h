/* row.h: reads single members of a flat JSON object, as a result row is.
 *
 * Not a JSON parser: it looks for "name": at the outer level of an object without nested values
 * and without escaped quotes, which is what windows by (type, country) give.
 */
#ifndef WR_BENCH_ROW_H
#define WR_BENCH_ROW_H

#include <stddef.h>
#include <stdint.h>

/* Each returns 0, or -1 when the row has no such member or one of another kind. */
int wr_bench_row_number(const char *row, size_t bytes, const char *name, double *number);

/* The text between the quotes, into out, which holds out_bytes with the NUL. */
int wr_bench_row_text(const char *row, size_t bytes, const char *name, char *out,
                      size_t out_bytes);

/* "2025-01-01T00:00:00[.123456][Z|+00:00]" (a space for the T too), or an integer in ms or us. */
int wr_bench_row_time_us(const char *row, size_t bytes, const char *name, int64_t *us);

#endif
