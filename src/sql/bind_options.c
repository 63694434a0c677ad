/* bind_options.c: WITH clauses and SET: the environment, names pasted from other systems,
 * connectors, formats.
 *
 * What came out of ${NAME} is never shown: pair->raw keeps what was written, and errors and EXPLAIN
 * show that.
 */
#include "base/buf.h"
#include "config/suggest.h"
#include "sql/bind.h"

#include <stdlib.h>

static bool is_variable_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* ${NAME} and ${NAME:-default}; anything else with a $ is kept. */
static const char *expand(struct wr_binder *binder, const struct wr_ast_option *option)
{
    const char *(*read_env)(const char *) = binder->catalog->getenv;
    const struct wr_slice v = option->value;
    struct wr_buf out = {0};
    for (size_t i = 0; i < v.bytes; i++) {
        size_t end = i + 2;
        if (v.data[i] != '$' || i + 1 >= v.bytes || v.data[i + 1] != '{') {
            wr_buf_byte(&out, (uint8_t)v.data[i]);
            continue;
        }
        while (end < v.bytes && is_variable_byte(v.data[end])) {
            end++;
        }
        const char *name = wr_arena_strndup(binder->arena, v.data + i + 2, end - i - 2);
        const bool has_default = end + 1 < v.bytes && v.data[end] == ':' && v.data[end + 1] == '-';
        size_t close = end;
        while (close < v.bytes && v.data[close] != '}') {
            close++;
        }
        if (name[0] == '\0' || close == v.bytes || (close != end && !has_default)) {
            wr_bind_fail(binder, option->value_at,
                         "\"${\" begins the name of an environment variable");
            wr_bind_hint(binder, "write ${NAME} or ${NAME:-default}");
            wr_buf_deinit(&out);
            return NULL;
        }
        const char *value = read_env != NULL ? read_env(name) : getenv(name);
        if (value == NULL && !has_default) {
            wr_bind_fail(binder, option->value_at, "the environment variable %s is not set", name);
            wr_bind_hint(binder, "set it: export %s=…, or write ${%s:-default}", name, name);
            wr_buf_deinit(&out);
            return NULL;
        }
        if (value != NULL) {
            wr_buf_text(&out, value);
        } else {
            wr_buf_append(&out, v.data + end + 2, close - end - 2);
        }
        i = close;
    }
    const char *text = wr_arena_strdup(binder->arena, wr_buf_cstr(&out));
    wr_buf_deinit(&out);
    return text;
}

static bool make_pair(struct wr_binder *binder, const struct wr_ast_option *option,
                      struct wr_option_pair *pair)
{
    pair->name = wr_arena_strndup(binder->arena, option->name.data, option->name.bytes);
    pair->raw = wr_arena_strndup(binder->arena, option->value.data, option->value.bytes);
    pair->name_at = option->name_at;
    pair->value_at = option->value_at;
    pair->value = expand(binder, option);
    return pair->value != NULL;
}

bool wr_bind_pairs(struct wr_binder *binder, const struct wr_ast_statement *s,
                   struct wr_option_pair **pairs, uint32_t *count)
{
    *pairs = WR_ARENA_ARRAY(binder->arena, struct wr_option_pair, s->option_count + 1);
    *count = 0;
    for (uint32_t i = 0; i < s->option_count; i++) {
        struct wr_option_pair *pair = &(*pairs)[*count];
        if (!make_pair(binder, &s->options[i], pair)) {
            return false;
        }
        /* Arroyo's and ours: says what a TABLE is; nobody else reads it. */
        *count += !(s->kind == WR_AST_CREATE_TABLE && strcmp(pair->name, "type") == 0);
    }
    return true;
}

const struct wr_option_pair *wr_bind_find_pair(const struct wr_option_pair *pairs, uint32_t count,
                                               const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(pairs[i].name, name) == 0) {
            return &pairs[i];
        }
    }
    return NULL;
}

static bool has_connector(const struct wr_sql_connector *connectors, const char *name)
{
    for (; connectors != NULL && connectors->name != NULL; connectors++) {
        if (strcmp(connectors->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void fail_connector(struct wr_binder *binder, const struct wr_sql_connector *connectors,
                           const struct wr_option_pair *pair, const char *what)
{
    struct wr_suggest suggest;
    struct wr_buf all = {0};
    wr_suggest_init(&suggest, wr_slice_of(pair->value));
    for (const struct wr_sql_connector *c = connectors; c != NULL && c->name != NULL; c++) {
        wr_suggest_offer(&suggest, wr_slice_of(c->name));
        wr_buf_printf(&all, "%s%s", all.bytes > 0 ? ", " : "", c->name);
    }
    const bool source = strcmp(what, "source") == 0;
    const bool other =
        has_connector(source ? binder->catalog->sinks : binder->catalog->sources, pair->value);
    wr_bind_fail(binder, pair->value_at, "there is no %s connector '%s'", what,
                 strstr(pair->raw, "${") != NULL ? pair->raw : pair->value);
    if (other) {
        wr_bind_hint(binder, "'%s' is for %s only; connectors of a %s are %s", pair->value,
                     source ? "sinks" : "sources", what, wr_buf_cstr(&all));
    } else if (suggest.best.bytes > 0) {
        wr_bind_hint(binder, "did you mean '%.*s'?", WR_SLICE_ARG(suggest.best));
    } else {
        wr_bind_hint(binder, "connectors of a %s are %s", what, wr_buf_cstr(&all));
    }
    wr_buf_deinit(&all);
}

const struct wr_sql_connector *wr_bind_connector(struct wr_binder *binder,
                                                 const struct wr_sql_connector *connectors,
                                                 const struct wr_ast_statement *s,
                                                 const struct wr_option_pair *pairs, uint32_t count,
                                                 const char *what)
{
    const struct wr_option_pair *pair = wr_bind_find_pair(pairs, count, "connector");
    if (pair == NULL) {
        wr_bind_fail(binder, s->name.at, "%s \"%.*s\" has no connector", what,
                     WR_SLICE_ARG(s->name.text));
        wr_bind_hint(binder, "add WITH (connector = '…'); `weir connectors` lists them");
        return NULL;
    }
    for (const struct wr_sql_connector *c = connectors; c != NULL && c->name != NULL; c++) {
        if (strcmp(c->name, pair->value) != 0) {
            continue;
        }
        if (c->unavailable != NULL) {
            wr_bind_fail(binder, pair->value_at, "connector '%s' is not in this build: %s", c->name,
                         c->unavailable);
            wr_bind_hint(binder, "`weir connectors` lists what is");
            return NULL;
        }
        return c;
    }
    fail_connector(binder, connectors, pair, what);
    return NULL;
}

static bool has_row(const struct wr_option *table, const char *name)
{
    for (; table != NULL && table->name != NULL; table++) {
        if (strcmp(table->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Names of Flink and Arroyo for what has another name here. They are translated only where the
 * connector has the option that is meant and none of the written name. */
static void translate_names(struct wr_binder *binder, const struct wr_sql_connector *connector,
                            struct wr_option_pair *pairs, uint32_t count)
{
    static const char *const names[][2] = {
        {"bootstrap_servers", "brokers"},
        {"bootstrap.servers", "brokers"},
        {"properties.bootstrap.servers", "brokers"},
        {"properties.group.id", "group_id"},
        {"source.group_id", "group_id"},
        {"scan.startup.mode", "start"},
        {"source.offset", "start"},
        {"value.format", "format"},
    };
    static const char *const values[][2] = {
        {"earliest-offset", "earliest"},
        {"latest-offset", "latest"},
        {"group-offsets", "committed"},
        {"group", "committed"},
    };
    for (uint32_t i = 0; i < count; i++) {
        struct wr_option_pair *pair = &pairs[i];
        for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
            const bool known = has_row(connector->options, names[n][1]) || n == 7;
            if (known && strcmp(pair->name, names[n][0]) == 0 &&
                !has_row(connector->options, pair->name)) {
                pair->name = names[n][1];
                break;
            }
        }
        for (size_t v = 0; strcmp(pair->name, "start") == 0 && v < 4; v++) {
            if (strcmp(pair->value, values[v][0]) == 0) {
                pair->value = values[v][1];
            }
        }
        if (strncmp(pair->name, "properties.", 11) == 0 && has_row(connector->options, "kafka.")) {
            pair->name = wr_arena_printf(binder->arena, "kafka.%s", pair->name + 11);
        }
    }
}

/* json unless the file says otherwise. */
static const char *default_format(const struct wr_option_pair *pairs, uint32_t count)
{
    const struct wr_option_pair *path = wr_bind_find_pair(pairs, count, "path");
    if (path != NULL &&
        (strstr(path->value, ".csv") != NULL || strstr(path->value, ".CSV") != NULL)) {
        return "csv";
    }
    return "json";
}

static const struct wr_sql_format *find_format(struct wr_binder *binder,
                                               const struct wr_sql_format *formats,
                                               const struct wr_option_pair *given, const char *name)
{
    struct wr_suggest suggest;
    struct wr_buf all = {0};
    wr_suggest_init(&suggest, wr_slice_of(name));
    for (const struct wr_sql_format *f = formats; f != NULL && f->name != NULL; f++) {
        if (strcmp(f->name, name) == 0) {
            wr_buf_deinit(&all);
            return f;
        }
        wr_suggest_offer(&suggest, wr_slice_of(f->name));
        wr_buf_printf(&all, "%s%s", all.bytes > 0 ? ", " : "", f->name);
    }
    wr_bind_fail(binder, given != NULL ? given->value_at : WR_SQL_NOWHERE,
                 "there is no format '%s'",
                 given != NULL && strstr(given->raw, "${") != NULL ? given->raw : name);
    if (suggest.best.bytes > 0) {
        wr_bind_hint(binder, "did you mean '%.*s'?", WR_SLICE_ARG(suggest.best));
    } else {
        wr_bind_hint(binder, "formats are %s", wr_buf_cstr(&all));
    }
    wr_buf_deinit(&all);
    return NULL;
}

const struct wr_sql_format *wr_bind_format(const struct wr_binder *binder, const char *name)
{
    const struct wr_sql_format *f = binder->catalog->decode_formats;
    while (f != NULL && f->name != NULL && strcmp(f->name, name) != 0) {
        f++;
    }
    return f != NULL && f->name != NULL ? f : NULL;
}

static void show_option(void *ctx, const char *name, const char *value, bool given)
{
    struct wr_buf *buf = ctx;
    if (given && strcmp(name, "connector") != 0 && strcmp(name, "format") != 0) {
        wr_buf_printf(buf, "%s%s = '%s'", buf->bytes > 0 ? ", " : "", name, value);
    }
}

bool wr_bind_parse_options(struct wr_binder *binder, const struct wr_ast_statement *s,
                           const struct wr_sql_connector *connector,
                           const struct wr_sql_format *formats, const struct wr_option *common,
                           struct wr_option_pair *pairs, uint32_t count, const char **format,
                           struct wr_options **options, const char **shown)
{
    const struct wr_option *tables[4] = {connector->options, common};
    uint32_t table_count = connector->options != NULL ? 2 : 1;
    if (connector->options == NULL) {
        tables[0] = common;
    }
    translate_names(binder, connector, pairs, count);
    *format = "";
    if (!connector->makes_columns) {
        const struct wr_option_pair *given = wr_bind_find_pair(pairs, count, "format");
        const char *name = given != NULL ? given->value : default_format(pairs, count);
        const struct wr_sql_format *found = find_format(binder, formats, given, name);
        if (found == NULL) {
            return false;
        }
        *format = found->name;
        if (found->options != NULL) {
            tables[table_count++] = found->options;
        }
    }
    tables[table_count] = NULL;
    uint32_t at = WR_SQL_NOWHERE;
    const char *what = wr_arena_printf(binder->arena, "connector '%s'", connector->name);
    if (wr_options_parse(tables, what, pairs, count, binder->arena, options, &at, binder->err) !=
        WR_OK) {
        wr_sql_place(&binder->sql, at != WR_SQL_NOWHERE ? at : s->name.at, binder->err);
        return false;
    }
    struct wr_buf text = {0};
    wr_options_each(*options, show_option, &text);
    *shown = wr_arena_strdup(binder->arena, wr_buf_cstr(&text));
    wr_buf_deinit(&text);
    return true;
}

static void put_setting(struct wr_option_pair *settings, uint32_t *count,
                        const struct wr_option_pair *pair)
{
    for (uint32_t i = 0; i < *count; i++) {
        if (strcmp(settings[i].name, pair->name) == 0) {
            settings[i] = *pair; /* the last one wins; --set comes last of all */
            return;
        }
    }
    settings[(*count)++] = *pair;
}

bool wr_bind_settings(struct wr_binder *binder, const struct wr_option_pair *overrides,
                      uint32_t override_count)
{
    struct wr_plan *plan = binder->plan;
    const struct wr_option *tables[2] = {binder->catalog->settings, NULL};
    plan->settings = WR_ARENA_ARRAY(binder->arena, struct wr_option_pair,
                                    binder->ast.count + override_count + 1);
    for (uint32_t i = 0; i < binder->ast.count; i++) {
        struct wr_option_pair pair;
        if (binder->ast.statements[i].kind == WR_AST_SET) {
            if (!make_pair(binder, &binder->ast.statements[i].setting, &pair)) {
                return false;
            }
            put_setting(plan->settings, &plan->setting_count, &pair);
        }
    }
    for (uint32_t i = 0; i < override_count; i++) {
        struct wr_option_pair pair = {wr_arena_strdup(binder->arena, overrides[i].name),
                                      wr_arena_strdup(binder->arena, overrides[i].value),
                                      wr_arena_strdup(binder->arena, overrides[i].value),
                                      WR_SQL_NOWHERE, WR_SQL_NOWHERE};
        put_setting(plan->settings, &plan->setting_count, &pair);
    }
    if (tables[0] == NULL) {
        return true;
    }
    struct wr_options *checked;
    uint32_t at = WR_SQL_NOWHERE;
    if (wr_options_parse(tables, "SET", plan->settings, plan->setting_count, binder->arena,
                         &checked, &at, binder->err) != WR_OK) {
        wr_sql_place(&binder->sql, at, binder->err);
        return false;
    }
    return true;
}
