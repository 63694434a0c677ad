/* fingerprint.c: what of a WINDOW node its snapshots depend on, as one line of JSON. Expressions
 * stand in it as SQL with the columns' names: a column that moved in the source changes nothing. */
#include "exec/exec.h"

static void put_string(struct wr_buf *into, const char *text, size_t bytes)
{
    wr_buf_byte(into, '"');
    for (size_t i = 0; i < bytes; i++) {
        const uint8_t c = (uint8_t)text[i];
        if (c == '"' || c == '\\') {
            wr_buf_byte(into, '\\');
            wr_buf_byte(into, c);
        } else if (c < 0x20) {
            wr_buf_printf(into, "\\u%04x", (unsigned)c);
        } else {
            wr_buf_byte(into, c);
        }
    }
    wr_buf_byte(into, '"');
}

static void put_text(struct wr_buf *into, const char *text)
{
    put_string(into, text, strlen(text));
}

static void put_expr(struct wr_buf *into, const char *name, const struct wr_expr *expr,
                     const struct wr_schema *schema)
{
    struct wr_buf text = { 0 };
    wr_expr_text(&text, expr, schema);
    wr_buf_printf(into, "\"%s\":", name);
    put_string(into, text.data, text.bytes);
    wr_buf_deinit(&text);
}

static void put_type(struct wr_buf *into, const char *name, struct wr_type type)
{
    struct wr_buf text = { 0 };
    wr_type_text(&text, type); /* names only: a shape's number differs from process to process */
    wr_buf_printf(into, ",\"%s\":", name);
    put_string(into, text.data, text.bytes);
    wr_buf_deinit(&text);
}

static const char *kind_name(enum wr_window_kind kind)
{
    switch (kind) {
    case WR_WINDOW_TUMBLE: return "tumble";
    case WR_WINDOW_HOP: return "hop";
    case WR_WINDOW_SESSION: return "session";
    case WR_WINDOW_INHERIT: break;
    }
    return "inherit";
}

static void put_keys(struct wr_buf *into, const struct wr_plan_window *w,
                     const struct wr_schema *schema)
{
    wr_buf_text(into, ",\"keys\":[");
    for (uint32_t k = 0; k < w->key_count; k++) {
        wr_buf_text(into, k > 0 ? ",{" : "{");
        put_expr(into, "expr", w->keys[k], schema);
        put_type(into, "type", w->keys[k]->type);
        wr_buf_printf(into, ",\"nullable\":%s}", w->keys[k]->nullable ? "true" : "false");
    }
    wr_buf_text(into, "]");
}

static void put_aggregate(struct wr_buf *into, const struct wr_plan_aggregate *agg,
                          const struct wr_schema *schema)
{
    const bool distinct = agg->kind == WR_AGG_COUNT_DISTINCT || agg->kind == WR_AGG_SUM_DISTINCT;
    wr_buf_text(into, "{\"function\":");
    put_text(into, wr_aggregate_name(agg->kind));
    wr_buf_text(into, distinct ? ",\"distinct\":true" : "");
    if (agg->arg != NULL) {
        wr_buf_text(into, ",");
        put_expr(into, "arg", agg->arg, schema);
        put_type(into, "arg_type", agg->arg->type);
    }
    if (agg->filter != NULL) {
        wr_buf_text(into, ",");
        put_expr(into, "filter", agg->filter, schema);
    }
    if (agg->kind == WR_AGG_APPROX_PERCENTILE) {
        wr_buf_printf(into, ",\"fraction\":%.17g", agg->parameter);
    }
    put_type(into, "type", agg->type);
    wr_buf_text(into, "}");
}

/* The values that UNNESTs below the node take apart, up to the next WINDOW. */
static void put_unnests(struct wr_buf *into, const struct wr_plan *plan,
                        const struct wr_plan_node *node, bool *first)
{
    for (uint32_t i = 0; i < node->input_count; i++) {
        const struct wr_plan_node *input = &plan->nodes[node->inputs[i]];
        if (input->kind == WR_NODE_UNNEST) {
            struct wr_buf text = { 0 };
            wr_expr_text(&text, input->unnest.value, &plan->nodes[input->inputs[0]].schema);
            wr_buf_text(into, *first ? ",\"unnest\":[" : ",");
            put_string(into, text.data, text.bytes);
            wr_buf_deinit(&text);
            *first = false;
        }
        if (input->kind != WR_NODE_WINDOW) {
            put_unnests(into, plan, input, first);
        }
    }
}

void wr_exec_fingerprint(const struct wr_plan *plan, uint32_t node, struct wr_buf *into)
{
    const struct wr_plan_node *n = &plan->nodes[node];
    if (n->kind != WR_NODE_WINDOW) {
        wr_buf_text(into, "{}");
        return;
    }
    const struct wr_plan_window *w = &n->window;
    const struct wr_schema *schema = &plan->nodes[n->inputs[0]].schema;
    wr_buf_text(into, "{\"format\":1,\"kind\":");
    put_text(into, kind_name(w->kind));
    if (w->kind != WR_WINDOW_INHERIT) {
        wr_buf_printf(into, ",\"size_us\":%lld", (long long)w->size_us);
    }
    if (w->kind == WR_WINDOW_HOP) {
        wr_buf_printf(into, ",\"slide_us\":%lld", (long long)w->slide_us);
    }
    if (w->kind == WR_WINDOW_TUMBLE || w->kind == WR_WINDOW_HOP) {
        wr_buf_printf(into, ",\"offset_us\":%lld", (long long)w->offset_us);
    }
    wr_buf_text(into, ",\"time\":");
    put_text(into, schema->fields[w->time_column].name);
    put_keys(into, w, schema);
    wr_buf_text(into, ",\"aggregates\":[");
    for (uint32_t a = 0; a < w->aggregate_count; a++) {
        wr_buf_text(into, a > 0 ? "," : "");
        put_aggregate(into, &w->aggregates[a], schema);
    }
    wr_buf_text(into, "]");
    bool first = true;
    put_unnests(into, plan, n, &first);
    wr_buf_text(into, first ? "}" : "]}");
}
