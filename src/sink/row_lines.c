#include "sink/row_lines.h"

#include "base/heap.h"
#include "config/option.h"

static uint32_t visible_columns(const struct wr_plan_sink *plan)
{
    return plan->visible > 0 ? plan->visible : plan->schema.count;
}

static uint32_t *first_columns(uint32_t count)
{
    uint32_t *columns = wr_calloc(count + 1, sizeof *columns);
    for (uint32_t c = 0; c < count; c++) {
        columns[c] = c;
    }
    return columns;
}

wr_status wr_row_lines_check(const struct wr_plan_sink *plan, uint32_t *bad_at,
                             struct wr_error *err)
{
    if (plan->partition_count > 0) {
        *bad_at = wr_options_at(plan->options, "partition_by");
        wr_fail(err, WR_CLASS_USER, "connector '%s' cannot partition its output", plan->connector);
        wr_error_hint(err, "remove partition_by, or write directories with connector = 'parquet'");
        return WR_FAIL;
    }
    const char *format = plan->format != NULL ? plan->format : "";
    if (format[0] != '\0' && strcmp(format, "json") != 0 && strcmp(format, "csv") != 0) {
        *bad_at = wr_options_at(plan->options, "format");
        wr_fail(err, WR_CLASS_USER, "connector '%s' does not write format '%s'", plan->connector,
                format);
        wr_error_hint(err, "use format = 'json' or format = 'csv'");
        return WR_FAIL;
    }
    return WR_OK;
}

struct wr_row_json *wr_row_json_of_sink(const struct wr_plan_sink *plan)
{
    const uint32_t count = visible_columns(plan);
    uint32_t *columns = first_columns(count);
    struct wr_row_json *json = wr_row_json_create(&plan->schema, columns, count);
    free(columns);
    return json;
}

void wr_row_lines_init(struct wr_row_lines *lines, const struct wr_plan_sink *plan)
{
    *lines = (struct wr_row_lines){ 0 };
    if (plan->format == NULL || strcmp(plan->format, "csv") != 0) {
        lines->json = wr_row_json_of_sink(plan);
        return;
    }
    const uint32_t count = visible_columns(plan);
    uint32_t *columns = first_columns(count);
    lines->csv = wr_row_csv_create(&plan->schema, columns, count);
    free(columns);
}

void wr_row_lines_deinit(struct wr_row_lines *lines)
{
    wr_row_json_destroy(lines->json);
    wr_row_csv_destroy(lines->csv);
    *lines = (struct wr_row_lines){ 0 };
}

void wr_row_lines_header(const struct wr_row_lines *lines, struct wr_buf *buf)
{
    if (lines->csv != NULL) {
        wr_row_csv_append_header(lines->csv, buf);
    }
}

void wr_row_lines_append(const struct wr_row_lines *lines, struct wr_buf *buf,
                         const struct wr_batch *batch)
{
    if (lines->csv != NULL) {
        wr_row_csv_append_batch(lines->csv, buf, batch);
    } else {
        wr_row_json_append_batch(lines->json, buf, batch);
    }
}
