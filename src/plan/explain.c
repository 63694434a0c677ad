/* explain.c: the EXPLAIN text of a plan: for each sink its operators from the sink down to the
 * scans, and each source with what it decodes. */
#include "plan/plan.h"

#include "batch/text.h"

static void duration_text(struct wr_buf *into, int64_t us)
{
    static const struct {
        const char *name;
        int64_t us;
    } units[] = {{"d", 86400000000}, {"h", 3600000000}, {"min", 60000000},
                 {"s", 1000000},     {"ms", 1000},      {"us", 1}};
    if (us == 0) {
        wr_buf_text(into, "0");
        return;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (us % units[i].us == 0) {
            wr_buf_printf(into, "%lld %s", (long long)(us / units[i].us), units[i].name);
            return;
        }
    }
}

static void names_text(struct wr_buf *into, const struct wr_schema *schema, uint32_t from,
                       uint32_t to)
{
    for (uint32_t c = from; c < to; c++) {
        wr_buf_printf(into, "%s%s", c > from ? ", " : "", schema->fields[c].name);
    }
}

static bool is_metadata(const struct wr_plan_source *source, uint32_t column)
{
    for (uint32_t m = 0; m < WR_META_COUNT_; m++) {
        if (source->metadata_column[m] == column) {
            return true;
        }
    }
    return false;
}

static bool is_decoded(const struct wr_plan_source *source, uint32_t column)
{
    return !is_metadata(source, column) && source->computed[column] == NULL;
}

/* A column of the scan that is a field of a declared one. */
static bool is_field(const struct wr_plan_source *source, uint32_t column)
{
    return source->scan.fields[column].declared == UINT32_MAX;
}

/* "decodes 3 of 8 columns and 1 field" */
static void counts_text(const struct wr_plan_source *source, struct wr_buf *into)
{
    const bool makes = source->format[0] == '\0';
    uint32_t decoded = 0;
    uint32_t fields = 0;
    uint32_t of = 0;
    for (uint32_t c = 0; c < source->scan.count; c++) {
        decoded += is_decoded(source, c) && !is_field(source, c);
        fields += is_decoded(source, c) && is_field(source, c);
    }
    for (uint32_t c = 0; c < source->declared.count; c++) {
        of += source->declared.fields[c].path_count > 0;
    }
    wr_buf_printf(into, "  %s %u of %u columns", makes ? "makes" : "decodes", decoded,
                  makes ? source->declared.count : of);
    if (fields > 0) {
        wr_buf_printf(into, " and %u field%s", fields, fields > 1 ? "s" : "");
    }
}

static void computed_text(const struct wr_plan_source *source, struct wr_buf *into)
{
    const char *between = "  takes out of them ";
    bool taken = false;
    for (uint32_t c = 0; c < source->scan.count; c++) {
        if (source->computed[c] != NULL && is_field(source, c)) {
            wr_buf_printf(into, "%s%s", between, source->scan.fields[c].name);
            between = ", ";
            taken = true;
        }
    }
    wr_buf_text(into, taken ? "\n" : "");
    for (uint32_t c = 0; c < source->scan.count; c++) {
        if (source->computed[c] != NULL && !is_field(source, c)) {
            wr_buf_printf(into, "  computes %s = ", source->scan.fields[c].name);
            wr_expr_text(into, source->computed[c], &source->scan);
            wr_buf_byte(into, '\n');
        }
    }
}

static void columns_text(const struct wr_plan_source *source, struct wr_buf *into)
{
    uint32_t metadata = 0;
    const char *between = ": ";
    counts_text(source, into);
    for (uint32_t c = 0; c < source->scan.count; c++) {
        metadata += is_metadata(source, c);
        if (is_decoded(source, c)) {
            wr_buf_printf(into, "%s%s ", between, source->scan.fields[c].name);
            wr_type_text(into, source->scan.fields[c].type);
            between = ", ";
        }
    }
    wr_buf_byte(into, '\n');
    computed_text(source, into);
    between = "  metadata ";
    for (uint32_t c = 0; metadata > 0 && c < source->scan.count; c++) {
        if (is_metadata(source, c)) {
            wr_buf_printf(into, "%s%s", between, source->scan.fields[c].name);
            between = ", ";
        }
    }
    wr_buf_text(into, metadata > 0 ? "\n" : "");
}

static void time_text(const struct wr_plan_source *source, struct wr_buf *into)
{
    if (source->watermark == NULL) {
        wr_buf_text(into, "  no event time\n");
        return;
    }
    wr_buf_printf(into, "  event time %s, watermark ",
                  source->scan.fields[source->event_time].name);
    wr_expr_text(into, source->watermark, &source->scan);
    wr_buf_text(into, "\n  allowed lateness ");
    duration_text(into, source->lateness_us);
    wr_buf_text(into, ", idle after ");
    if (source->idle_timeout_us < 0) {
        wr_buf_text(into, "never");
    } else {
        duration_text(into, source->idle_timeout_us);
    }
    wr_buf_text(into, ", ahead at most ");
    if (source->max_ahead_us < 0) {
        wr_buf_text(into, "any");
    } else {
        duration_text(into, source->max_ahead_us);
    }
    wr_buf_byte(into, '\n');
}

/* Of queues that deliver again what was not acknowledged. */
static void again_text(const struct wr_plan_source *source, struct wr_buf *into)
{
    if (source->counts_arrivals && source->dedup_column == WR_NO_COLUMN) {
        wr_buf_text(into, "  after a crash: rows committed just before it may come twice, without deduplicate_by\n");
    } else if (source->counts_arrivals) {
        wr_buf_printf(into, "  after a crash: what comes twice is removed by %s\n", source->scan.fields[source->dedup_column].name);
    }
}

static void source_text(const struct wr_plan *plan, const struct wr_plan_source *source,
                        struct wr_buf *into)
{
    wr_buf_printf(into, "source %s: %s%s%s\n", source->name, source->connector,
                  source->format[0] != '\0' ? ", " : "", source->format);
    if (source->shown != NULL && source->shown[0] != '\0') {
        wr_buf_printf(into, "  with %s\n", source->shown);
    }
    columns_text(source, into);
    time_text(source, into);
    again_text(source, into);
    wr_buf_text(into, "  bad records: ");
    if (source->on_error == WR_ON_ERROR_SINK) {
        wr_buf_printf(into, "to sink %s", plan->sinks[source->error_sink].name);
    } else {
        wr_buf_text(into, source->on_error == WR_ON_ERROR_FAIL ? "stop" : "skipped and counted");
    }
    wr_buf_text(into, "; late rows: ");
    if (source->late_sink != UINT32_MAX) {
        wr_buf_printf(into, "to sink %s\n", plan->sinks[source->late_sink].name);
    } else {
        wr_buf_text(into, "counted\n");
    }
}

static void aggregate_text(const struct wr_plan_aggregate *agg, const struct wr_schema *schema,
                           struct wr_buf *into)
{
    wr_buf_printf(into, "%s(", wr_aggregate_name(agg->kind));
    if (agg->kind == WR_AGG_COUNT_DISTINCT || agg->kind == WR_AGG_SUM_DISTINCT) {
        wr_buf_text(into, "DISTINCT ");
    }
    if (agg->arg == NULL) {
        wr_buf_byte(into, '*');
    } else {
        wr_expr_text(into, agg->arg, schema);
    }
    if (agg->kind == WR_AGG_APPROX_PERCENTILE) {
        wr_buf_printf(into, ", %g", agg->parameter);
    }
    wr_buf_byte(into, ')');
    if (agg->filter != NULL) {
        wr_buf_text(into, " FILTER (WHERE ");
        wr_expr_text(into, agg->filter, schema);
        wr_buf_byte(into, ')');
    }
}

static void window_spec_text(const struct wr_plan_window *w, const struct wr_schema *in,
                             struct wr_buf *into)
{
    switch (w->kind) {
    case WR_WINDOW_TUMBLE:
        wr_buf_text(into, "TUMBLE ");
        break;
    case WR_WINDOW_HOP:
        wr_buf_text(into, "HOP ");
        duration_text(into, w->slide_us);
        wr_buf_text(into, " of ");
        break;
    case WR_WINDOW_SESSION:
        wr_buf_text(into, "SESSION gap ");
        break;
    case WR_WINDOW_INHERIT:
        wr_buf_printf(into, "the inner window (%s, %s)", in->fields[w->time_column].name,
                      in->fields[w->end_column].name);
        return;
    }
    duration_text(into, w->size_us);
    if (w->offset_us != 0) {
        wr_buf_text(into, " offset ");
        duration_text(into, w->offset_us);
    }
    wr_buf_printf(into, " on %s", in->fields[w->time_column].name);
}

static void window_text(const struct wr_plan *plan, const struct wr_plan_node *node, int indent,
                        struct wr_buf *into)
{
    const struct wr_plan_window *w = &node->window;
    const struct wr_schema *in = &plan->nodes[node->inputs[0]].schema;
    wr_buf_text(into, "window ");
    window_spec_text(w, in, into);
    wr_buf_text(into, w->outer ? ", over results" : "");
    if (w->lateness_us > 0) {
        wr_buf_text(into, ", emits after ");
        duration_text(into, w->lateness_us);
    }
    wr_buf_printf(into, "\n%*sby ", indent + 2, "");
    wr_buf_text(into, w->key_count == 0 ? "the window alone" : "");
    for (uint32_t k = 0; k < w->key_count; k++) {
        wr_buf_text(into, k > 0 ? ", " : "");
        wr_expr_text(into, w->keys[k], in);
    }
    for (uint32_t a = 0; a < w->aggregate_count; a++) {
        if (a == 0) {
            wr_buf_printf(into, "\n%*scomputes ", indent + 2, "");
        }
        wr_buf_text(into, a > 0 ? ", " : "");
        aggregate_text(&w->aggregates[a], in, into);
    }
    wr_buf_printf(into, "\n%*sexchange %u by key\n", indent + 2, "", w->exchange);
}

static void project_text(const struct wr_plan *plan, const struct wr_plan_node *node,
                         struct wr_buf *into)
{
    const struct wr_schema *in = &plan->nodes[node->inputs[0]].schema;
    wr_buf_text(into, "project ");
    for (uint32_t c = 0; c < node->schema.count; c++) {
        const struct wr_expr *expr = node->project[c];
        const char *name = node->schema.fields[c].name;
        wr_buf_text(into, c > 0 ? ", " : "");
        wr_expr_text(into, expr, in);
        if (expr->kind != WR_EXPR_COLUMN || strcmp(in->fields[expr->column].name, name) != 0) {
            wr_buf_printf(into, " AS %s", name);
        }
    }
    wr_buf_byte(into, '\n');
}

static void unnest_text(const struct wr_plan *plan, const struct wr_plan_node *node,
                        struct wr_buf *into)
{
    const char *between = " AS ";
    wr_buf_text(into, node->unnest.outer ? "unnest (rows without elements too) " : "unnest ");
    wr_expr_text(into, node->unnest.value, &plan->nodes[node->inputs[0]].schema);
    for (uint32_t c = 0; c < node->schema.count; c++) {
        if (node->unnest.columns[c] >= WR_UNNEST_FIELD) {
            wr_buf_printf(into, "%s%s", between, node->schema.fields[c].name);
            between = ", ";
        }
    }
    wr_buf_byte(into, '\n');
}

static void node_text(const struct wr_plan *plan, uint32_t index, int indent, struct wr_buf *into)
{
    const struct wr_plan_node *node = &plan->nodes[index];
    wr_buf_printf(into, "%*s", indent, "");
    switch (node->kind) {
    case WR_NODE_SCAN:
        wr_buf_printf(into, "scan %s", plan->sources[node->source].name);
        if (node->consumer_count + node->sink_count > 1) {
            wr_buf_printf(into, " (shared by %u)", node->consumer_count + node->sink_count);
        }
        wr_buf_byte(into, '\n');
        break;
    case WR_NODE_FILTER:
        wr_buf_text(into, "filter ");
        wr_expr_text(into, node->filter, &plan->nodes[node->inputs[0]].schema);
        wr_buf_byte(into, '\n');
        break;
    case WR_NODE_PROJECT:
        project_text(plan, node, into);
        break;
    case WR_NODE_WINDOW:
        window_text(plan, node, indent, into);
        break;
    case WR_NODE_UNION:
        wr_buf_printf(into, "union of %u\n", node->input_count);
        break;
    case WR_NODE_UNNEST:
        unnest_text(plan, node, into);
        break;
    }
    for (uint32_t i = 0; i < node->input_count; i++) {
        node_text(plan, node->inputs[i], indent + 2, into);
    }
}

static void sink_text(const struct wr_plan *plan, const struct wr_plan_sink *sink,
                      struct wr_buf *into)
{
    wr_buf_printf(into, "sink %s: %s%s%s\n", sink->name, sink->connector,
                  sink->format[0] != '\0' ? ", " : "", sink->format);
    if (sink->shown != NULL && sink->shown[0] != '\0') {
        wr_buf_printf(into, "  with %s\n", sink->shown);
    }
    if (sink->feed == WR_FEED_UNUSED) {
        wr_buf_text(into, "  nothing is written to it\n");
        return;
    }
    wr_buf_text(into, "  columns ");
    names_text(into, &sink->schema, 0, sink->visible);
    wr_buf_byte(into, '\n');
    for (uint32_t p = 0; p < sink->partition_count; p++) {
        wr_buf_printf(into, "%s%s", p == 0 ? "  partitioned by " : ", ",
                      sink->schema.fields[sink->partition[p]].name);
    }
    wr_buf_text(into, sink->partition_count > 0 ? "\n" : "");
    if (sink->commit_interval_us > 0) {
        wr_buf_text(into, "  commits every ");
        duration_text(into, sink->commit_interval_us);
        wr_buf_byte(into, '\n');
    }
    if (sink->feed == WR_FEED_QUERY) {
        node_text(plan, sink->node, 2, into);
    } else {
        wr_buf_text(into,
                    sink->feed == WR_FEED_LATE ? "  gets late rows\n" : "  gets bad records\n");
    }
}

void wr_plan_explain(const struct wr_plan *plan, struct wr_buf *into)
{
    for (uint32_t s = 0; s < plan->sink_count; s++) {
        sink_text(plan, &plan->sinks[s], into);
        wr_buf_byte(into, '\n');
    }
    for (uint32_t s = 0; s < plan->source_count; s++) {
        source_text(plan, &plan->sources[s], into);
        wr_buf_text(into, s + 1 < plan->source_count ? "\n" : "");
    }
}
