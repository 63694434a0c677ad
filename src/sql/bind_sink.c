/* bind_sink.c: sinks: what they read (AS, INSERT INTO, or late rows and dead letters), what they
 * are split by. */
#include "base/buf.h"
#include "base/limits.h"
#include "config/suggest.h"
#include "sql/bind.h"
#include "sql/parse.h"

#define PARTITIONS_MAX 16u

struct sink {
    struct wr_binder *binder;
    struct wr_object *object;
    const struct wr_ast_statement *s;
    struct wr_plan_sink *plan;
    struct wr_scope *scope; /* what its query gives; NULL: a side sink */
};

/* One query for the sink's declared columns: by position or by name, cast to their types. */
static struct wr_scope *cast_to_columns(struct sink *k, struct wr_scope *rows,
                                        const struct wr_ast_statement *insert)
{
    struct wr_binder *binder = k->binder;
    const struct wr_ast_statement *s = k->s;
    const uint32_t given = insert->insert_column_count;
    const uint32_t at = insert->query->at;
    const uint32_t wanted = given > 0 ? given : s->column_count;
    if (s->column_count == 0 && given == 0) {
        return rows;
    }
    if (s->column_count == 0) {
        wr_bind_fail(binder, insert->insert_columns[0].at,
                     "sink \"%s\" declares no columns to name", k->object->name);
        wr_bind_hint(binder, "leave the list out: the query's own names are used");
        return NULL;
    }
    if (rows->count != wanted) {
        wr_bind_fail(binder, at, "%s takes %u columns, but the query gives %u", k->object->name,
                     wanted, rows->count);
        wr_bind_hint(binder, "columns are inserted by position");
        return NULL;
    }
    struct wr_expr **exprs = WR_ARENA_ARRAY(binder->arena, struct wr_expr *, s->column_count);
    const char **names = WR_ARENA_ARRAY(binder->arena, const char *, s->column_count);
    for (uint32_t i = 0; i < s->column_count; i++) {
        const struct wr_ast_column *column = &s->columns[i];
        names[i] = wr_bind_column_name(binder->arena, &column->parts[column->part_count - 1]);
        for (uint32_t g = 0; g < wanted; g++) {
            const bool mine =
                given > 0 ? wr_bind_name_matches(&insert->insert_columns[g], names[i], false)
                          : g == i;
            exprs[i] = mine ? rows->columns[g].expr : exprs[i];
        }
        if (exprs[i] == NULL) { /* not in the list: NULL */
            exprs[i] = wr_expr_new(binder->arena, WR_EXPR_CONST, column->type, at, at, 0);
            exprs[i]->is_null = true;
            exprs[i]->nullable = true;
        }
        exprs[i] = wr_bind_cast(binder, exprs[i], column->type, true, false);
        if (exprs[i] == NULL) {
            return NULL;
        }
    }
    struct wr_scope *scope = WR_ARENA_NEW(binder->arena, struct wr_scope);
    scope->node = wr_bind_project(binder, rows->node, exprs, names, s->column_count);
    scope->count = s->column_count;
    scope->columns = WR_ARENA_ARRAY(binder->arena, struct wr_scope_column, s->column_count);
    for (uint32_t i = 0; i < s->column_count; i++) {
        scope->columns[i] = (struct wr_scope_column){
            .name = names[i],
            .expr = wr_expr_column(binder->arena, i, exprs[i]->type, exprs[i]->nullable, at, at),
        };
    }
    return scope;
}

static bool check_insert_columns(struct sink *k, const struct wr_ast_statement *insert)
{
    for (uint32_t g = 0; g < insert->insert_column_count; g++) {
        const struct wr_ast_name *name = &insert->insert_columns[g];
        struct wr_suggest suggest;
        bool found = k->s->column_count == 0;
        wr_suggest_init(&suggest, name->text);
        for (uint32_t i = 0; i < k->s->column_count && !found; i++) {
            const struct wr_ast_column *column = &k->s->columns[i];
            const char *text =
                wr_bind_column_name(k->binder->arena, &column->parts[column->part_count - 1]);
            found = wr_bind_name_matches(name, text, false);
            wr_suggest_offer(&suggest, wr_slice_of(text));
        }
        if (!found) {
            wr_bind_fail(k->binder, name->at, "%s has no column \"%.*s\"", k->object->name,
                         WR_SLICE_ARG(name->text));
            wr_bind_hint(k->binder,
                         suggest.best.bytes > 0 ? "did you mean \"%.*s\"?"
                                                : "name columns that the sink declares%.*s",
                         WR_SLICE_ARG(suggest.best));
            return false;
        }
    }
    return true;
}

static bool check_columns(struct sink *k, const struct wr_ast_statement *s)
{
    if (s->column_count <= WR_COLUMNS_MAX && s->insert_column_count <= WR_COLUMNS_MAX) {
        return true;
    }
    wr_bind_fail(k->binder, s->name.at, "more than %u columns", WR_COLUMNS_MAX);
    wr_bind_hint(k->binder, "keep rarely used parts in one JSON column");
    return false;
}

static struct wr_scope *bind_rows(struct sink *k)
{
    struct wr_binder *binder = k->binder;
    const uint32_t count = k->object->insert_count + (k->s->query != NULL);
    struct wr_scope **rows = WR_ARENA_ARRAY(binder->arena, struct wr_scope *, count);
    uint32_t *ats = WR_ARENA_ARRAY(binder->arena, uint32_t, count);
    for (uint32_t i = 0; i < count; i++) {
        const bool own = k->s->query != NULL && i == 0;
        const struct wr_ast_statement *from =
            own ? k->s : k->object->inserts[i - (k->s->query != NULL)];
        if (!check_columns(k, k->s) || !check_columns(k, from) || !check_insert_columns(k, from)) {
            return NULL;
        }
        rows[i] = wr_bind_query(binder, from->query);
        ats[i] = from->query->at;
        rows[i] = rows[i] == NULL ? NULL : cast_to_columns(k, rows[i], from);
        if (rows[i] == NULL) {
            return NULL;
        }
    }
    return count == 1 ? rows[0] : wr_bind_union(binder, rows, count, ats);
}

static bool check_names(struct sink *k)
{
    for (uint32_t i = 0; i < k->scope->count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(k->scope->columns[i].name, k->scope->columns[j].name) == 0) {
                const struct wr_expr *expr = k->scope->columns[i].expr;
                wr_bind_fail(k->binder, expr->at_bytes > 0 ? expr->at : k->s->name.at,
                             "two columns of sink \"%s\" are called \"%s\"", k->object->name,
                             k->scope->columns[i].name);
                wr_bind_hint(k->binder, "give one of them a name: … AS other_name");
                return false;
            }
        }
    }
    return true;
}

static void add_field(struct wr_schema *schema, const char *name, struct wr_type type,
                      bool not_null)
{
    const uint32_t n = schema->count++;
    schema->fields[n] = (struct wr_field){
        .name = name, .type = type, .not_null = not_null, .declared = n, .field_id = n + 1};
}

/* What on_late gives: the source's columns, then whence and how late. */
static void late_schema(struct wr_binder *binder, const struct wr_plan_source *source,
                        struct wr_schema *schema)
{
    schema->count = 0;
    schema->fields = WR_ARENA_ARRAY(binder->arena, struct wr_field, source->declared.count + 5);
    for (uint32_t i = 0; i < source->declared.count; i++) {
        add_field(schema, source->declared.fields[i].name, source->declared.fields[i].type, false);
    }
    add_field(schema, "_source", wr_type_of(WR_TYPE_TEXT), true);
    add_field(schema, "_split", wr_type_of(WR_TYPE_TEXT), true);
    add_field(schema, "_position", wr_type_of(WR_TYPE_INT64), true);
    add_field(schema, "_sink", wr_type_of(WR_TYPE_TEXT), true);
    add_field(schema, "_lateness_us", wr_type_of(WR_TYPE_INT64), true);
}

static void error_schema(struct wr_binder *binder, struct wr_schema *schema)
{
    static const struct {
        const char *name;
        enum wr_type_id type;
    } fields[] = {
        {"_source", WR_TYPE_TEXT},    {"_split", WR_TYPE_TEXT},
        {"_position", WR_TYPE_INT64}, {"_timestamp", WR_TYPE_TIMESTAMP},
        {"_key", WR_TYPE_TEXT},       {"_headers", WR_TYPE_JSON},
        {"_value", WR_TYPE_TEXT},     {"_encoding", WR_TYPE_TEXT},
        {"_error", WR_TYPE_TEXT},     {"_field", WR_TYPE_TEXT},
        {"_sinks", WR_TYPE_JSON},
    };
    const size_t count = sizeof fields / sizeof fields[0];
    schema->count = 0;
    schema->fields = WR_ARENA_ARRAY(binder->arena, struct wr_field, count);
    for (size_t i = 0; i < count; i++) {
        add_field(schema, fields[i].name, wr_type_of(fields[i].type), false);
    }
}

static struct wr_object *find_side_sink(struct wr_binder *binder, const char *name)
{
    const struct wr_ast_name wanted = {.text = wr_slice_of(name)};
    struct wr_object *object = wr_bind_find_object(binder, &wanted);
    return object != NULL && object->kind == WR_OBJECT_SINK ? object : NULL;
}

static bool fail_side_sink(struct wr_binder *binder, const char *option, const char *name,
                           uint32_t at)
{
    struct wr_suggest suggest;
    wr_suggest_init(&suggest, wr_slice_of(name));
    const bool errors = strcmp(option, "on_error") == 0;
    for (uint32_t i = 0; i < binder->object_count; i++) {
        if (binder->objects[i].kind == WR_OBJECT_SINK) {
            wr_suggest_offer(&suggest, wr_slice_of(binder->objects[i].name));
        }
    }
    if (errors) {
        wr_suggest_offer(&suggest, WR_SLICE_LITERAL("skip"));
        wr_suggest_offer(&suggest, WR_SLICE_LITERAL("fail"));
    }
    wr_bind_fail(binder, at, "%s: there is no sink \"%s\"", option, name);
    if (suggest.best.bytes > 0) {
        wr_bind_hint(binder, "did you mean '%.*s'?", WR_SLICE_ARG(suggest.best));
    } else {
        wr_bind_hint(binder, "add CREATE SINK %s WITH (connector = '…');%s", name,
                     errors ? " or write 'skip' or 'fail'" : "");
    }
    return false;
}

static bool same_columns(const struct wr_schema *a, const struct wr_schema *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (uint32_t i = 0; i < a->count; i++) {
        if (strcmp(a->fields[i].name, b->fields[i].name) != 0 ||
            !wr_type_equal(a->fields[i].type, b->fields[i].type)) {
            return false;
        }
    }
    return true;
}

/* Makes the named sink the side sink of a source. */
static bool feed_side_sink(struct wr_binder *binder, const struct wr_plan_source *source,
                           const char *option, enum wr_sink_feed feed, uint32_t *index)
{
    const char *name = wr_options_text(source->options, option);
    const uint32_t at = wr_options_at(source->options, option);
    struct wr_object *object = find_side_sink(binder, name);
    if (object == NULL) {
        return fail_side_sink(binder, option, name, at);
    }
    struct wr_plan_sink *sink = &binder->plan->sinks[object->index];
    if (object->statement->query != NULL || object->insert_count > 0 ||
        object->statement->column_count > 0) {
        wr_bind_fail(binder, at, "%s: sink \"%s\" has %s of its own", option, object->name,
                     object->statement->column_count > 0 ? "columns" : "a query");
        wr_bind_hint(binder,
                     "make another one for this: CREATE SINK %s_side WITH (connector = '…');",
                     object->name);
        return false;
    }
    struct wr_schema schema;
    if (feed == WR_FEED_LATE) {
        late_schema(binder, source, &schema);
    } else {
        error_schema(binder, &schema);
    }
    if (sink->feed != WR_FEED_UNUSED &&
        (sink->feed != feed || !same_columns(&sink->schema, &schema))) {
        wr_bind_fail(binder, at, "%s: sink \"%s\" already gets rows with other columns", option,
                     object->name);
        wr_bind_hint(binder, "make one side sink for each kind of rows");
        return false;
    }
    sink->feed = feed;
    sink->schema = schema;
    sink->visible = schema.count;
    *index = object->index;
    return true;
}

static bool bind_side_sinks(struct wr_binder *binder)
{
    for (uint32_t i = 0; i < binder->plan->source_count; i++) {
        struct wr_plan_source *source = &binder->plan->sources[i];
        const char *on_error = wr_options_text(source->options, "on_error");
        source->on_error = WR_ON_ERROR_SKIP;
        if (on_error != NULL && strcmp(on_error, "fail") == 0) {
            source->on_error = WR_ON_ERROR_FAIL;
        } else if (on_error != NULL && strcmp(on_error, "skip") != 0) {
            source->on_error = WR_ON_ERROR_SINK;
            if (!feed_side_sink(binder, source, "on_error", WR_FEED_ERRORS, &source->error_sink)) {
                return false;
            }
        }
        if (wr_options_text(source->options, "on_late") != NULL &&
            !feed_side_sink(binder, source, "on_late", WR_FEED_LATE, &source->late_sink)) {
            return false;
        }
    }
    return true;
}

/* The items of PARTITIONED BY and of partition_by. */
static bool partition_items(struct sink *k, struct wr_ast_item **items, uint32_t *count)
{
    const char *text = wr_options_text(k->plan->options, "partition_by");
    const uint32_t at = wr_options_at(k->plan->options, "partition_by");
    *items = k->s->partition;
    *count = k->s->partition_count;
    if (text == NULL || text[0] == '\0') {
        return true;
    }
    if (*count > 0) {
        wr_bind_fail(k->binder, at, "partition_by and PARTITIONED BY say the same thing twice");
        wr_bind_hint(k->binder, "keep one of them");
        return false;
    }
    uint32_t inside = WR_SQL_NOWHERE;
    for (uint32_t i = 0; i < k->s->option_count; i++) {
        const struct wr_ast_option *option = &k->s->options[i];
        if (option->value_at == at && option->literal && wr_slice_is(option->value, text)) {
            inside = at + 1;
        }
    }
    if (inside != WR_SQL_NOWHERE) {
        return wr_parse_items(&k->binder->sql, wr_slice_of(text), inside, k->binder->arena, items,
                              count, k->binder->err) == WR_OK;
    }
    /* Put together from the environment or with quotes in it: the place is the option as a whole.
     */
    if (wr_parse_items(&k->binder->sql, wr_slice_of(text), WR_SQL_NOWHERE, k->binder->arena, items,
                       count, NULL) != WR_OK) {
        wr_bind_fail(k->binder, at, "partition_by is not a list of columns and expressions");
        wr_bind_hint(k->binder, "write partition_by = 'country, date(ts) AS day'");
        return false;
    }
    return true;
}

static bool check_partition_type(struct sink *k, const struct wr_expr *expr, uint32_t at)
{
    const uint8_t id = expr->type.id;
    if (id != WR_TYPE_JSON && id != WR_TYPE_INTERVAL && id != WR_TYPE_BYTES &&
        !wr_type_is_float(expr->type)) {
        return true;
    }
    wr_bind_fail(k->binder, at, "a sink cannot be partitioned by %s",
                 wr_bind_type_name(k->binder, expr->type));
    wr_bind_hint(k->binder, "use text, integers, booleans or dates: date(ts), for example");
    return false;
}

static const char *partition_name(struct sink *k, const struct wr_ast_item *item,
                                  const struct wr_schema *schema)
{
    const struct wr_ast_expr *e = item->expr;
    while (e->kind == WR_AST_CAST) {
        e = e->args[0];
    }
    const char *name = item->alias.text.bytes > 0 ? wr_bind_fold(k->binder->arena, &item->alias)
                       : e->part_count > 0
                           ? wr_bind_fold(k->binder->arena, &e->parts[e->part_count - 1])
                           : "part";
    const char *unique = name;
    for (uint32_t n = 2; wr_schema_find(schema, unique) >= 0; n++) {
        unique = wr_arena_printf(k->binder->arena, "%s_%u", name, n);
    }
    return unique;
}

static bool add_partition(struct sink *k, const struct wr_ast_item *item, struct wr_expr **exprs)
{
    struct wr_schema *schema = &k->plan->schema;
    struct wr_bind bind = {.binder = k->binder, .scope = k->scope, .where = "partition_by"};
    const uint32_t at = item->expr->at;
    struct wr_expr *expr = wr_bind_expr(&bind, item->expr);
    if (expr == NULL || !check_partition_type(k, expr, at)) {
        return false;
    }
    /* A field of a STRUCT may have become a further column of what the query reads: it is none of its output. */
    uint32_t column = expr->kind == WR_EXPR_COLUMN && expr->column < k->scope->count
                          ? expr->column
                          : WR_NO_COLUMN;
    if (column == WR_NO_COLUMN && k->plan->feed != WR_FEED_QUERY) {
        wr_bind_fail(k->binder, at, "a side sink is partitioned by columns only");
        wr_bind_hint(k->binder, "name one of its columns");
        return false;
    }
    if (column == WR_NO_COLUMN) {
        column = schema->count;
        exprs[column] = expr;
        add_field(schema, partition_name(k, item, schema), expr->type, !expr->nullable);
    }
    for (uint32_t i = 0; i < k->plan->partition_count; i++) {
        if (k->plan->partition[i] == column) {
            wr_bind_fail(k->binder, at, "the sink is partitioned by this twice");
            wr_bind_hint(k->binder, "leave one out");
            return false;
        }
    }
    k->plan->partition[k->plan->partition_count++] = column;
    return true;
}

static void scope_of_schema(struct sink *k)
{
    const struct wr_schema *schema = &k->plan->schema;
    k->scope = WR_ARENA_NEW(k->binder->arena, struct wr_scope);
    k->scope->count = schema->count;
    k->scope->columns = WR_ARENA_ARRAY(k->binder->arena, struct wr_scope_column, schema->count + 1);
    for (uint32_t i = 0; i < schema->count; i++) {
        k->scope->columns[i] = (struct wr_scope_column){
            .name = schema->fields[i].name,
            .expr = wr_expr_column(k->binder->arena, i, schema->fields[i].type, true, 0, 0),
        };
    }
}

/* The schema that the connector gets, and the PROJECT that makes it. */
static bool bind_output(struct sink *k)
{
    struct wr_binder *binder = k->binder;
    struct wr_ast_item *items;
    uint32_t count;
    if (!partition_items(k, &items, &count)) {
        return false;
    }
    if (count > PARTITIONS_MAX) {
        wr_bind_fail(binder, items[PARTITIONS_MAX].expr->at, "more than %u parts in partition_by",
                     PARTITIONS_MAX);
        wr_bind_hint(binder, "each part multiplies the files: one to three are usual");
        return false;
    }
    const uint32_t visible = k->scope != NULL ? k->scope->count : k->plan->schema.count;
    struct wr_expr **exprs = WR_ARENA_ARRAY(binder->arena, struct wr_expr *, visible + count + 1);
    const char **names = WR_ARENA_ARRAY(binder->arena, const char *, visible + count + 1);
    k->plan->partition = WR_ARENA_ARRAY(binder->arena, uint32_t, count + 1);
    k->plan->visible = visible;
    if (k->scope == NULL) {
        scope_of_schema(k);
    } else {
        k->plan->schema.fields =
            WR_ARENA_ARRAY(binder->arena, struct wr_field, visible + count + 1);
        for (uint32_t i = 0; i < visible; i++) {
            exprs[i] = k->scope->columns[i].expr;
            add_field(&k->plan->schema, k->scope->columns[i].name, exprs[i]->type,
                      !exprs[i]->nullable);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!add_partition(k, &items[i], exprs)) {
            return false;
        }
    }
    if (k->plan->feed == WR_FEED_QUERY) {
        for (uint32_t i = 0; i < k->plan->schema.count; i++) {
            names[i] = k->plan->schema.fields[i].name;
        }
        k->object->draft =
            wr_bind_project(binder, k->scope->node, exprs, names, k->plan->schema.count);
    }
    return true;
}

static bool bind_options(struct wr_binder *binder, struct wr_object *object)
{
    struct wr_plan_sink *plan = &binder->plan->sinks[object->index];
    const struct wr_ast_statement *s = object->statement;
    plan->name = object->name;
    plan->at = s->at;
    plan->node = WR_NO_NODE;
    plan->feed = s->query != NULL || object->insert_count > 0 ? WR_FEED_QUERY : WR_FEED_UNUSED;
    if (s->watermark_column.text.bytes > 0) {
        wr_bind_fail(binder, s->watermark_column.at, "a sink has no WATERMARK");
        wr_bind_hint(binder, "put it into the source");
        return false;
    }
    if (!wr_bind_pairs(binder, s, &plan->pairs, &plan->pair_count)) {
        return false;
    }
    const struct wr_sql_connector *connector =
        wr_bind_connector(binder, binder->catalog->sinks, s, plan->pairs, plan->pair_count, "sink");
    if (connector == NULL ||
        !wr_bind_parse_options(binder, s, connector, binder->catalog->encode_formats,
                               binder->catalog->sink_common, plan->pairs, plan->pair_count,
                               &plan->format, &plan->options, &plan->shown)) {
        return false;
    }
    plan->connector = connector->name;
    if (wr_options_has(plan->options, "commit_interval")) {
        plan->commit_interval_us = wr_options_int(plan->options, "commit_interval");
    }
    return true;
}

static bool bind_sink(struct wr_binder *binder, struct wr_object *object)
{
    struct sink k = {.binder = binder,
                     .object = object,
                     .s = object->statement,
                     .plan = &binder->plan->sinks[object->index]};
    binder->naming = object->name;
    if (k.plan->feed == WR_FEED_QUERY) {
        k.scope = bind_rows(&k);
        if (k.scope == NULL || !check_names(&k)) {
            return false;
        }
    }
    return bind_output(&k);
}

static bool for_each_sink(struct wr_binder *binder,
                          bool (*bind)(struct wr_binder *, struct wr_object *))
{
    for (uint32_t i = 0; i < binder->object_count; i++) {
        if (binder->objects[i].kind == WR_OBJECT_SINK && !bind(binder, &binder->objects[i])) {
            return false;
        }
    }
    return true;
}

bool wr_bind_sinks(struct wr_binder *binder)
{
    return for_each_sink(binder, bind_options) && bind_side_sinks(binder) &&
           for_each_sink(binder, bind_sink);
}
