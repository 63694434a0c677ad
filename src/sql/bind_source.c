/* bind_source.c: CREATE SOURCE: its columns, event time and watermark, and its one SCAN. */
#include "base/buf.h"
#include "base/limits.h"
#include "config/suggest.h"
#include "sql/bind.h"

#define DAY_US 86400000000LL

static const struct {
    const char *name;
    enum wr_type_id type;
    const char *key; /* of METADATA FROM */
} metadata_columns[WR_META_COUNT_] = {
    [WR_META_TOPIC] = {"_topic", WR_TYPE_TEXT, "topic"},
    [WR_META_PARTITION] = {"_partition", WR_TYPE_INT32, "partition"},
    [WR_META_OFFSET] = {"_offset", WR_TYPE_INT64, "offset"},
    [WR_META_TIMESTAMP] = {"_timestamp", WR_TYPE_TIMESTAMP, "timestamp"},
    [WR_META_KEY] = {"_key", WR_TYPE_TEXT, "key"},
    [WR_META_HEADERS] = {"_headers", WR_TYPE_JSON, "headers"},
    [WR_META_MESSAGE_ID] = {"_message_id", WR_TYPE_TEXT, "message_id"},
};

struct source {
    struct wr_binder *binder;
    struct wr_object *object;
    const struct wr_ast_statement *s;
    struct wr_plan_source *plan;
    const struct wr_sql_connector *connector;
    struct wr_scope scope; /* of computed columns and the watermark */
    struct wr_expr **computed;
};

static bool declare_column(struct source *src, uint32_t i)
{
    struct wr_binder *binder = src->binder;
    const struct wr_ast_column *column = &src->s->columns[i];
    struct wr_field *field = &src->plan->declared.fields[i];
    const char **path = WR_ARENA_ARRAY(binder->arena, const char *, column->part_count);
    struct wr_buf name = {0};
    for (uint32_t k = 0; k < column->part_count; k++) {
        path[k] = wr_bind_column_name(binder->arena, &column->parts[k]);
        wr_buf_printf(&name, "%s%s", k > 0 ? "." : "", path[k]);
    }
    *field = (struct wr_field){.name = wr_arena_strdup(binder->arena, wr_buf_cstr(&name)),
                               .path = path,
                               .path_count = column->part_count,
                               .type = column->type,
                               .not_null = column->not_null,
                               .declared = i,
                               .field_id = i + 1};
    wr_buf_deinit(&name);
    if (column->computed != NULL || column->metadata.text.bytes > 0) {
        field->path = NULL;
        field->path_count = 0;
    } else if (src->connector->makes_columns && wr_type_is_nested(column->type)) {
        wr_bind_fail(binder, column->at, "connector '%s' makes no values of type %s",
                     src->connector->name, wr_bind_type_name(binder, column->type));
        wr_bind_hint(binder, "compute the column: %s %s GENERATED ALWAYS AS (…)", field->name,
                     wr_bind_type_name(binder, column->type));
        return false;
    }
    for (uint32_t k = 0; k < i; k++) {
        if (strcmp(src->plan->declared.fields[k].name, field->name) == 0) {
            wr_bind_fail(binder, column->at, "column \"%s\" is there twice", field->name);
            wr_bind_hint(binder, "give one of them another name");
            return false;
        }
    }
    return true;
}

/* The format's schema gives the columns that are left out, or is held against those that are there. */
static bool ask_format(struct source *src)
{
    struct wr_binder *binder = src->binder;
    struct wr_schema *declared = &src->plan->declared;
    const struct wr_sql_format *format = wr_bind_format(binder, src->plan->format);
    if (format == NULL || format->columns == NULL) {
        return true;
    }
    if (format->columns(src->plan->options, binder->arena, declared, binder->err) == WR_OK) {
        return true;
    }
    const char *culprits[] = { "schema", "registry" };
    uint32_t at = src->s->name.at;
    for (uint32_t i = 2; i-- > 0;) {
        at = wr_options_has(src->plan->options, culprits[i]) ? wr_options_at(src->plan->options, culprits[i]) : at;
    }
    wr_sql_place(&binder->sql, at, binder->err);
    return false;
}

static bool schema_gives_columns(struct source *src)
{
    const struct wr_sql_format *format = wr_bind_format(src->binder, src->plan->format);
    return format != NULL && format->columns != NULL;
}

static bool declare_columns(struct source *src)
{
    const struct wr_ast_statement *s = src->s;
    struct wr_binder *binder = src->binder;
    const struct wr_schema *own = src->connector->own_columns;
    if (s->column_count == 0 && own != NULL) {
        src->plan->declared.count = own->count;
        src->plan->declared.fields = WR_ARENA_ARRAY(binder->arena, struct wr_field, own->count);
        memcpy(src->plan->declared.fields, own->fields, own->count * sizeof(struct wr_field));
        for (uint32_t i = 0; i < own->count; i++) {
            src->plan->declared.fields[i].declared = i;
            src->plan->declared.fields[i].field_id = i + 1;
        }
        return true;
    }
    if (s->column_count == 0 && schema_gives_columns(src)) {
        return ask_format(src);
    }
    if (s->column_count == 0) {
        wr_bind_fail(binder, s->name.at, "source \"%.*s\" has no columns",
                     WR_SLICE_ARG(s->name.text));
        wr_bind_hint(binder,
                     "declare the fields to read: CREATE SOURCE %.*s (id BIGINT, …) WITH (…)",
                     WR_SLICE_ARG(s->name.text));
        return false;
    }
    if (s->column_count > WR_COLUMNS_MAX) {
        wr_bind_fail(binder, s->name.at, "more than %u columns", WR_COLUMNS_MAX);
        wr_bind_hint(binder, "declare rarely used parts as one JSON column");
        return false;
    }
    src->plan->declared.count = s->column_count;
    src->plan->declared.fields = WR_ARENA_ARRAY(binder->arena, struct wr_field, s->column_count);
    for (uint32_t i = 0; i < s->column_count; i++) {
        if (!declare_column(src, i)) {
            return false;
        }
    }
    return ask_format(src);
}

/* The SCAN with all columns: declared ones, then the metadata that the connector has. */
static void make_scan(struct source *src)
{
    struct wr_binder *binder = src->binder;
    const struct wr_schema *declared = &src->plan->declared;
    struct wr_draft *scan =
        wr_bind_draft(binder, WR_NODE_SCAN, NULL, declared->count + WR_META_COUNT_);
    uint32_t n = declared->count;
    if (n > 0) {
        memcpy(scan->schema.fields, declared->fields, n * sizeof(struct wr_field));
    }
    for (uint32_t m = 0; m < WR_META_COUNT_; m++) {
        if (src->connector->metadata[m] && wr_schema_find(declared, metadata_columns[m].name) < 0) {
            scan->schema.fields[n++] = (struct wr_field){
                .name = metadata_columns[m].name,
                .type = wr_type_of(metadata_columns[m].type),
                .declared = declared->count + m,
            };
        }
    }
    scan->schema.count = n;
    scan->name = src->plan->name;
    scan->source = src->object->index;
    src->object->draft = scan;
    src->computed = WR_ARENA_ARRAY(binder->arena, struct wr_expr *, n + 1);
    src->plan->computed = (const struct wr_expr *const *)src->computed;
}

static void make_scope(struct source *src)
{
    const struct wr_schema *schema = &src->object->draft->schema;
    src->scope.node = src->object->draft;
    src->scope.count = schema->count;
    src->scope.alias = wr_slice_of(src->plan->name);
    src->scope.columns =
        WR_ARENA_ARRAY(src->binder->arena, struct wr_scope_column, schema->count + 1);
    for (uint32_t i = 0; i < schema->count; i++) {
        const struct wr_field *field = &schema->fields[i];
        src->scope.columns[i] = (struct wr_scope_column){
            .name = field->name,
            .expr = wr_expr_column(src->binder->arena, i, field->type, !field->not_null, 0, 0),
            .hidden = i >= src->plan->declared.count,
        };
    }
}

static struct wr_expr *metadata_value(struct source *src, const struct wr_ast_column *column)
{
    struct wr_binder *binder = src->binder;
    struct wr_suggest suggest;
    wr_suggest_init(&suggest, column->metadata.text);
    for (uint32_t m = 0; m < WR_META_COUNT_; m++) {
        const int32_t found = wr_schema_find(&src->object->draft->schema, metadata_columns[m].name);
        if (found < 0) {
            continue;
        }
        if (wr_slice_equal_nocase(column->metadata.text, wr_slice_of(metadata_columns[m].key))) {
            return src->scope.columns[found].expr;
        }
        wr_suggest_offer(&suggest, wr_slice_of(metadata_columns[m].key));
    }
    wr_bind_fail(binder, column->metadata.at, "connector '%s' has no metadata \"%.*s\"",
                 src->connector->name, WR_SLICE_ARG(column->metadata.text));
    wr_bind_hint(binder,
                 suggest.best.bytes > 0 ? "did you mean '%.*s'?" : "leave this column out%.*s",
                 WR_SLICE_ARG(suggest.best));
    return NULL;
}

static bool compute_columns(struct source *src)
{
    struct wr_binder *binder = src->binder;
    /* A computed column sees the plain ones and the computed ones before it. */
    for (uint32_t i = 0; i < src->s->column_count; i++) {
        const struct wr_ast_column *column = &src->s->columns[i];
        if (column->computed != NULL || column->metadata.text.bytes > 0) {
            src->scope.columns[i].name = "";
        }
    }
    for (uint32_t i = 0; i < src->s->column_count; i++) {
        const struct wr_ast_column *column = &src->s->columns[i];
        struct wr_expr *expr = NULL;
        if (column->computed != NULL) {
            struct wr_bind bind = {
                .binder = binder, .scope = &src->scope, .where = "a computed column"};
            expr = wr_bind_expr(&bind, column->computed);
        } else if (column->metadata.text.bytes > 0) {
            expr = metadata_value(src, column);
        } else {
            continue;
        }
        if (expr != NULL && column->has_type) {
            expr = wr_bind_cast(binder, expr, column->type, true, false);
        } else if (expr != NULL && expr->type.id == WR_TYPE_NULL) {
            expr = wr_bind_cast(binder, expr, wr_type_of(WR_TYPE_TEXT), true, false);
        }
        if (expr == NULL) {
            return false;
        }
        src->computed[i] = expr;
        src->plan->declared.fields[i].type = expr->type;
        src->object->draft->schema.fields[i].type = expr->type;
        src->scope.columns[i].expr = expr;
        src->scope.columns[i].name = src->plan->declared.fields[i].name;
    }
    return true;
}

/* The source's own column of that name; -1: there is none, said with a hint. */
static int32_t find_column(struct source *src, struct wr_ast_name name, const char *what)
{
    struct wr_binder *binder = src->binder;
    uint32_t used;
    const int32_t found = wr_bind_find_column(&src->scope, &name, 1, &used);
    if (found < 0) {
        struct wr_suggest suggest;
        wr_suggest_init(&suggest, name.text);
        for (uint32_t i = 0; i < src->scope.count; i++) {
            wr_suggest_offer(&suggest, wr_slice_of(src->scope.columns[i].name));
        }
        wr_bind_fail(binder, name.at, "unknown column \"%.*s\"", WR_SLICE_ARG(name.text));
        if (suggest.best.bytes > 0) {
            wr_bind_hint(binder, "did you mean \"%.*s\"?", WR_SLICE_ARG(suggest.best));
        } else {
            wr_bind_hint(binder, "%s is a column of this source", what);
        }
    }
    return found;
}

static bool find_event_time(struct source *src)
{
    struct wr_binder *binder = src->binder;
    struct wr_ast_name name = src->s->watermark_column;
    const char *field = wr_options_text(src->plan->options, "event_time_field");
    src->plan->event_time = WR_NO_COLUMN;
    if (name.text.bytes == 0 && field != NULL) {
        name = (struct wr_ast_name){.text = wr_slice_of(field),
                                    .at = wr_options_at(src->plan->options, "event_time_field")};
    }
    if (name.text.bytes == 0) {
        return true;
    }
    const int32_t found = find_column(src, name, "the event time");
    if (found < 0) {
        return false;
    }
    const struct wr_field *column = &src->object->draft->schema.fields[found];
    if (!wr_type_is_timestamp(column->type)) {
        wr_bind_fail(binder, name.at, "column \"%s\" is %s: event time is a TIMESTAMP", column->name,
                     wr_bind_type_name(binder, column->type));
        wr_bind_hint(binder, "declare it as TIMESTAMP; integers are read in the unit of "
                             "timestamp_unit (default ms)");
        return false;
    }
    src->plan->event_time = (uint32_t)found;
    return true;
}

/* event_time - constant: the delay in microseconds; -1: something else. */
static int64_t constant_delay(const struct wr_expr *expr, uint32_t event_time)
{
    if (expr->kind == WR_EXPR_COLUMN && expr->column == event_time) {
        return 0;
    }
    if (expr->kind != WR_EXPR_CALL ||
        (expr->function != WR_FN_SUB_TIMESTAMP_INTERVAL &&
         expr->function != WR_FN_SUB_TIMESTAMPTZ_INTERVAL) ||
        expr->args[0]->kind != WR_EXPR_COLUMN || expr->args[0]->column != event_time ||
        expr->args[1]->kind != WR_EXPR_CONST || expr->args[1]->is_null) {
        return -1;
    }
    const struct wr_interval v = expr->args[1]->value.interval;
    const __int128 us = (__int128)v.days * DAY_US + v.us;
    return v.months == 0 && us >= 0 && us < INT64_MAX / 4 ? (int64_t)us : -1;
}

static bool bind_watermark(struct source *src)
{
    struct wr_binder *binder = src->binder;
    struct wr_plan_source *plan = src->plan;
    if (!find_event_time(src)) {
        return false;
    }
    plan->watermark_delay_us = -1;
    if (plan->event_time == WR_NO_COLUMN) {
        return true;
    }
    /* Over the scan's own columns: a computed event time has been computed when the watermark is.
     */
    for (uint32_t i = 0; i < src->scope.count; i++) {
        const struct wr_field *field = &src->object->draft->schema.fields[i];
        src->scope.columns[i].expr =
            wr_expr_column(binder->arena, i, field->type, !field->not_null, 0, 0);
    }
    struct wr_expr *expr = src->scope.columns[plan->event_time].expr;
    if (src->s->watermark != NULL) {
        struct wr_bind bind = {.binder = binder, .scope = &src->scope, .where = "WATERMARK"};
        expr = wr_bind_expr(&bind, src->s->watermark);
        if (expr == NULL) {
            return false;
        }
        if (!wr_type_is_timestamp(expr->type)) {
            wr_bind_fail(binder, src->s->watermark->at, "a watermark is a TIMESTAMP, not %s",
                         wr_bind_type_name(binder, expr->type));
            wr_bind_hint(binder, "write WATERMARK FOR %s AS %s - INTERVAL '1 second'",
                         src->scope.columns[plan->event_time].name,
                         src->scope.columns[plan->event_time].name);
            return false;
        }
    }
    plan->watermark = expr;
    plan->watermark_delay_us = constant_delay(expr, plan->event_time);
    return true;
}

/* Values are forgotten by event time: without one they would pile up for ever. */
static bool bind_deduplication(struct source *src)
{
    const struct wr_options *o = src->plan->options;
    const char *field = wr_options_text(o, "deduplicate_by");
    const bool has_ids = src->connector->metadata[WR_META_MESSAGE_ID];
    if (field == NULL && has_ids) {
        field = metadata_columns[WR_META_MESSAGE_ID].name; /* the service delivers again what a crash left unacknowledged */
    }
    if (field == NULL || strcmp(field, "none") == 0) {
        return true;
    }
    const struct wr_ast_name name = { .text = wr_slice_of(field),
                                      .at = wr_options_at(o, "deduplicate_by") };
    const int32_t found = find_column(src, name, "what tells events apart");
    if (found < 0) {
        return false;
    }
    src->plan->dedup_message_id =
        has_ids && strcmp(src->object->draft->schema.fields[found].name, metadata_columns[WR_META_MESSAGE_ID].name) == 0 &&
        (uint32_t)found >= src->plan->declared.count;
    if (src->plan->watermark == NULL && !src->plan->dedup_message_id) {
        wr_bind_fail(src->binder, name.at, "deduplicate_by needs an event time");
        wr_bind_hint(src->binder, "add WATERMARK FOR column AS column - INTERVAL '1 second': values are "
                                  "forgotten when the watermark has passed them by deduplicate_within");
        return false;
    }
    src->plan->dedup_column = (uint32_t)found;
    src->plan->dedup_within_us = wr_options_int(o, "deduplicate_within");
    return true;
}

static void set_times(struct source *src)
{
    struct wr_plan_source *plan = src->plan;
    const struct wr_options *o = plan->options;
    plan->lateness_us = wr_options_int(o, "allowed_lateness");
    plan->idle_timeout_us = wr_options_int(o, "idle_timeout");
    if (wr_options_has(o, "max_ahead")) {
        plan->max_ahead_us = wr_options_int(o, "max_ahead");
    } else {
        plan->max_ahead_us = src->connector->is_file ? -1 : DAY_US;
    }
}

static bool bind_source(struct wr_binder *binder, struct wr_object *object)
{
    struct source src = {.binder = binder, .object = object, .s = object->statement};
    src.plan = &binder->plan->sources[object->index];
    src.plan->name = object->name;
    src.plan->at = src.s->at;
    src.plan->late_sink = UINT32_MAX;
    src.plan->error_sink = UINT32_MAX;
    src.plan->scan_node = WR_NO_NODE;
    src.plan->dedup_column = WR_NO_COLUMN;
    if (src.s->partition_count > 0) {
        wr_bind_fail(binder, src.s->partition[0].expr->at, "a source has no PARTITIONED BY");
        wr_bind_hint(binder, "its splits are those of the connector");
        return false;
    }
    if (!wr_bind_pairs(binder, src.s, &src.plan->pairs, &src.plan->pair_count)) {
        return false;
    }
    src.connector = wr_bind_connector(binder, binder->catalog->sources, src.s, src.plan->pairs,
                                      src.plan->pair_count, "source");
    if (src.connector == NULL ||
        !wr_bind_parse_options(binder, src.s, src.connector, binder->catalog->decode_formats,
                               binder->catalog->source_common, src.plan->pairs,
                               src.plan->pair_count, &src.plan->format, &src.plan->options,
                               &src.plan->shown)) {
        return false;
    }
    src.plan->connector = src.connector->name;
    if (!declare_columns(&src)) {
        return false;
    }
    make_scan(&src);
    make_scope(&src);
    set_times(&src);
    return compute_columns(&src) && bind_watermark(&src) && bind_deduplication(&src);
}

bool wr_bind_sources(struct wr_binder *binder)
{
    for (uint32_t i = 0; i < binder->object_count; i++) {
        if (binder->objects[i].kind == WR_OBJECT_SOURCE &&
            !bind_source(binder, &binder->objects[i])) {
            return false;
        }
    }
    return true;
}
