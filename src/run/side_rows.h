/* side_rows.h: rows for side sinks: late rows and dead letters, built on the worker that met them.
 *
 * Ownership: the builder owns its pools and unfinished batches; finished ones go through give(). Texts are copied, so that a
 * dead letter never pins a fetch buffer.
 * Threads: one worker.
 * Invariant (1): each call makes exactly one row, but that dead letters of one record and one error, which come one after the other for
 * several sinks, are one row that names them all; rows leave with the next flush, before any barrier.
 */
#ifndef WR_RUN_SIDE_ROWS_H
#define WR_RUN_SIDE_ROWS_H

#include "base/clock.h"
#include "batch/batch.h"
#include "plan/plan.h"

struct wr_side_rows;

/* give takes the batch's reference. */
struct wr_side_rows *wr_side_rows_create(const struct wr_plan *plan, uint32_t batch_rows,
                                         void (*give)(void *ctx, uint32_t sink,
                                                      struct wr_batch *batch),
                                         void *ctx);
void wr_side_rows_destroy(struct wr_side_rows *side); /* NULL is fine; batches must be home */

/* What is known of a bad or late row. */
struct wr_side_origin {
    const char *source_name;
    const char *split_name;  /* NULL: a result row */
    int64_t position;        /* ignored for result rows */
    int64_t timestamp_us;    /* WR_RECORD_NO_TIME: NULL */
    const struct wr_records *records; /* for key, value, headers; NULL where there are none */
    uint32_t record;
    int64_t ingest_us;
    const uint32_t *failing; /* dead letters: the sinks that it failed for, the others have had the record; NULL: none has had it */
    uint32_t failing_count;
};

/* value: the raw payload (records' own when records is set and value.data is NULL). */
void wr_side_rows_dead_letter(struct wr_side_rows *side, uint32_t sink,
                              const struct wr_side_origin *origin, struct wr_slice value,
                              const char *error, const char *field);

/* columns: one per declared column of the late sink's source, already decoded; row is the row in each. */
void wr_side_rows_late(struct wr_side_rows *side, uint32_t sink,
                       const struct wr_side_origin *origin, const struct wr_column *const *columns,
                       uint32_t column_count, uint32_t row, const char *sink_name,
                       int64_t lateness_us);

void wr_side_rows_flush(struct wr_side_rows *side);

#endif
