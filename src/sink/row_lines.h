/* row_lines.h: rows as lines of JSON or CSV, for the sinks that write text (file, stdout).
 *
 * Columns that only partition the output (beyond plan->visible) are left out.
 */
#ifndef WR_SINK_ROW_LINES_H
#define WR_SINK_ROW_LINES_H

#include "base/status.h"
#include "encode/row_csv.h"
#include "encode/row_json.h"
#include "plan/plan.h"

struct wr_row_lines {
    struct wr_row_json *json; /* one of the two */
    struct wr_row_csv *csv;
};

/* The format is one that lines can have, and nothing is asked that only directories can do. */
WR_NODISCARD wr_status wr_row_lines_check(const struct wr_plan_sink *plan, uint32_t *bad_at,
                                          struct wr_error *err);

void wr_row_lines_init(struct wr_row_lines *lines, const struct wr_plan_sink *plan);
void wr_row_lines_deinit(struct wr_row_lines *lines); /* zeroed is fine */

/* The line that comes before all others (CSV), if any. */
void wr_row_lines_header(const struct wr_row_lines *lines, struct wr_buf *buf);
void wr_row_lines_append(const struct wr_row_lines *lines, struct wr_buf *buf,
                         const struct wr_batch *batch);

/* An encoder of the visible columns as JSON: rejected rows and Kafka messages. */
struct wr_row_json *wr_row_json_of_sink(const struct wr_plan_sink *plan);

#endif
