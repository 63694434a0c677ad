/* avro_schema.c: see avro_schema.h. */
#include "decode/avro_schema.h"

#include "base/heap.h"
#include <stdio.h>

/* Named types of one schema: nobody has more. */
#define NAMES_MAX 65536u

struct parser {
    struct wr_avro_schema *schema;
    struct wr_arena *arena;
    struct wr_avro_node **names;
    uint32_t name_count;
    uint32_t name_capacity;
    uint32_t depth;
    struct wr_error *err;
};

static const char *const kind_names[] = {
    [WR_AVRO_NULL] = "null",     [WR_AVRO_BOOLEAN] = "boolean", [WR_AVRO_INT] = "int",
    [WR_AVRO_LONG] = "long",     [WR_AVRO_FLOAT] = "float",     [WR_AVRO_DOUBLE] = "double",
    [WR_AVRO_BYTES] = "bytes",   [WR_AVRO_STRING] = "string",   [WR_AVRO_FIXED] = "fixed",
    [WR_AVRO_ENUM] = "enum",     [WR_AVRO_RECORD] = "record",   [WR_AVRO_ARRAY] = "array",
    [WR_AVRO_MAP] = "map",       [WR_AVRO_UNION] = "union",
};

static const struct wr_avro_node *parse_type(struct parser *p, const json_t *json,
                                             const char *space);

__attribute__((format(printf, 2, 3))) static const struct wr_avro_node *
bad(struct parser *p, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)wr_fail(p->err, WR_CLASS_DATA, "Avro schema: %s", text);
    return NULL;
}

static struct wr_avro_node *make_node(struct parser *p, enum wr_avro_kind kind)
{
    struct wr_avro_node *node = WR_ARENA_NEW(p->arena, struct wr_avro_node);
    node->kind = kind;
    node->symbol_default = -1;
    return node;
}

/* ---- names ---- */

static bool plain_name(const char *name)
{
    if (name == NULL || *name == '\0') {
        return false;
    }
    for (const char *at = name; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == '"') {
            return false; /* they end up in messages and JSON; the rest is the producer's own taste */
        }
    }
    return true;
}

static const char *full_name(struct parser *p, const char *name, const char *space)
{
    if (strchr(name, '.') != NULL || space == NULL || *space == '\0') {
        return wr_arena_strdup(p->arena, name);
    }
    return wr_arena_printf(p->arena, "%s.%s", space, name);
}

static struct wr_avro_node *find_name(struct parser *p, const char *full)
{
    for (uint32_t i = 0; i < p->name_count; i++) {
        if (strcmp(p->names[i]->name, full) == 0) {
            return p->names[i];
        }
    }
    return NULL;
}

/* Gives the node its name and makes it known, so that its own fields may speak of it. */
static bool name_node(struct parser *p, struct wr_avro_node *node, const json_t *json,
                      const char *space)
{
    const char *name = json_string_value(json_object_get(json, "name"));
    const char *given = json_string_value(json_object_get(json, "namespace"));
    if (!plain_name(name)) {
        bad(p, "a type of kind %s has no name", kind_names[node->kind]);
        return false;
    }
    node->name = full_name(p, name, given != NULL ? given : space);
    const char *dot = strrchr(node->name, '.');
    node->namespace_ =
        dot == NULL ? "" : wr_arena_strndup(p->arena, node->name, (size_t)(dot - node->name));
    if (find_name(p, node->name) != NULL || p->name_count == NAMES_MAX) {
        bad(p, "the type %s is defined twice", node->name);
        return false;
    }
    if (p->name_count == p->name_capacity) {
        p->name_capacity = p->name_capacity == 0 ? 16 : p->name_capacity * 2;
        p->names = wr_realloc(p->names, p->name_capacity * sizeof(struct wr_avro_node *));
    }
    p->names[p->name_count++] = node;
    return true;
}

static const struct wr_avro_node *parse_name(struct parser *p, const char *name, const char *space)
{
    for (uint32_t kind = WR_AVRO_NULL; kind <= WR_AVRO_STRING; kind++) {
        if (strcmp(name, kind_names[kind]) == 0) {
            return make_node(p, (enum wr_avro_kind)kind);
        }
    }
    const struct wr_avro_node *found = find_name(p, full_name(p, name, space));
    found = found != NULL ? found : find_name(p, name);
    return found != NULL ? found : bad(p, "there is no type \"%.100s\"", name);
}

/* ---- types ---- */

static bool parse_aliases(struct parser *p, struct wr_avro_field *field, const json_t *json)
{
    const json_t *aliases = json_object_get(json, "aliases");
    const size_t count = json_array_size(aliases);
    const char **texts = WR_ARENA_ARRAY(p->arena, const char *, count + 1);
    for (size_t i = 0; i < count; i++) {
        const char *alias = json_string_value(json_array_get(aliases, i));
        if (!plain_name(alias)) {
            bad(p, "field \"%s\": an alias is a name", field->name);
            return false;
        }
        texts[field->alias_count++] = wr_arena_strdup(p->arena, alias);
    }
    field->aliases = texts;
    return true;
}

static const struct wr_avro_node *parse_record(struct parser *p, const json_t *json,
                                               const char *space)
{
    struct wr_avro_node *node = make_node(p, WR_AVRO_RECORD);
    const json_t *fields = json_object_get(json, "fields");
    if (!name_node(p, node, json, space)) {
        return NULL;
    }
    if (!json_is_array(fields)) {
        return bad(p, "record %s has no fields", node->name);
    }
    const uint32_t count = (uint32_t)json_array_size(fields);
    node->fields = WR_ARENA_ARRAY(p->arena, struct wr_avro_field, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        const json_t *from = json_array_get(fields, i);
        const char *name = json_string_value(json_object_get(from, "name"));
        struct wr_avro_field *field = &node->fields[i];
        if (!plain_name(name)) {
            return bad(p, "record %s: field %u has no name", node->name, i + 1);
        }
        field->name = wr_arena_strdup(p->arena, name);
        field->type = parse_type(p, json_object_get(from, "type"), node->namespace_);
        if (field->type == NULL || !parse_aliases(p, field, from)) {
            wr_error_prefix(p->err, "field \"%.60s\"", name);
            return NULL;
        }
        field->otherwise = json_object_get(from, "default");
        node->count = i + 1; /* only whole fields are counted, also for a type that speaks of itself */
    }
    return node;
}

static const struct wr_avro_node *parse_enum(struct parser *p, const json_t *json,
                                             const char *space)
{
    struct wr_avro_node *node = make_node(p, WR_AVRO_ENUM);
    const json_t *symbols = json_object_get(json, "symbols");
    const char *otherwise = json_string_value(json_object_get(json, "default"));
    if (!name_node(p, node, json, space)) {
        return NULL;
    }
    if (json_array_size(symbols) == 0) {
        return bad(p, "enum %s has no symbols", node->name);
    }
    node->count = (uint32_t)json_array_size(symbols);
    node->symbols = WR_ARENA_ARRAY(p->arena, struct wr_slice, node->count);
    for (uint32_t i = 0; i < node->count; i++) {
        const char *symbol = json_string_value(json_array_get(symbols, i));
        if (!plain_name(symbol)) {
            return bad(p, "enum %s: a symbol is a name", node->name);
        }
        node->symbols[i] = wr_slice_of(wr_arena_strdup(p->arena, symbol));
        if (otherwise != NULL && strcmp(otherwise, symbol) == 0) {
            node->symbol_default = (int32_t)i;
        }
    }
    return node;
}

static const struct wr_avro_node *parse_union(struct parser *p, const json_t *json,
                                              const char *space)
{
    struct wr_avro_node *node = make_node(p, WR_AVRO_UNION);
    node->count = (uint32_t)json_array_size(json);
    node->types = WR_ARENA_ARRAY(p->arena, const struct wr_avro_node *, node->count + 1);
    if (node->count == 0) {
        return bad(p, "a union has no branches");
    }
    for (uint32_t i = 0; i < node->count; i++) {
        node->types[i] = parse_type(p, json_array_get(json, i), space);
        if (node->types[i] == NULL) {
            return NULL;
        }
        if (node->types[i]->kind == WR_AVRO_UNION) {
            return bad(p, "a union stands directly in a union"); /* (3) */
        }
    }
    return node;
}

static const struct wr_avro_node *parse_items(struct parser *p, enum wr_avro_kind kind,
                                              const json_t *items, const char *space)
{
    struct wr_avro_node *node = make_node(p, kind);
    node->types = WR_ARENA_ARRAY(p->arena, const struct wr_avro_node *, 1);
    node->count = 1;
    node->types[0] = parse_type(p, items, space);
    return node->types[0] != NULL ? node : NULL;
}

static const struct wr_avro_node *parse_fixed(struct parser *p, const json_t *json,
                                              const char *space)
{
    struct wr_avro_node *node = make_node(p, WR_AVRO_FIXED);
    const json_t *size = json_object_get(json, "size");
    if (!name_node(p, node, json, space)) {
        return NULL;
    }
    if (!json_is_integer(size) || json_integer_value(size) < 0 ||
        json_integer_value(size) > INT32_MAX) {
        return bad(p, "fixed %s has no size", node->name);
    }
    node->size = (uint32_t)json_integer_value(size);
    return node;
}

/* ---- logical types ---- */

static const struct {
    const char *name;
    enum wr_avro_logical logical;
    enum wr_avro_kind base;
} logicals[] = {
    { "uuid", WR_AVRO_UUID, WR_AVRO_STRING },
    { "uuid", WR_AVRO_UUID, WR_AVRO_FIXED },
    { "date", WR_AVRO_DATE, WR_AVRO_INT },
    { "time-millis", WR_AVRO_TIME_MILLIS, WR_AVRO_INT },
    { "time-micros", WR_AVRO_TIME_MICROS, WR_AVRO_LONG },
    { "timestamp-millis", WR_AVRO_TIMESTAMP_MILLIS, WR_AVRO_LONG },
    { "timestamp-micros", WR_AVRO_TIMESTAMP_MICROS, WR_AVRO_LONG },
    { "timestamp-nanos", WR_AVRO_TIMESTAMP_NANOS, WR_AVRO_LONG },
    { "local-timestamp-millis", WR_AVRO_LOCAL_MILLIS, WR_AVRO_LONG },
    { "local-timestamp-micros", WR_AVRO_LOCAL_MICROS, WR_AVRO_LONG },
    { "local-timestamp-nanos", WR_AVRO_LOCAL_NANOS, WR_AVRO_LONG },
    { "decimal", WR_AVRO_DECIMAL, WR_AVRO_BYTES },
    { "decimal", WR_AVRO_DECIMAL, WR_AVRO_FIXED },
    { "duration", WR_AVRO_DURATION, WR_AVRO_FIXED },
};

/* (2) */
static void set_logical(struct wr_avro_node *node, const json_t *json)
{
    const char *name = json_string_value(json_object_get(json, "logicalType"));
    for (size_t i = 0; name != NULL && i < sizeof(logicals) / sizeof(logicals[0]); i++) {
        if (logicals[i].base == node->kind && strcmp(logicals[i].name, name) == 0) {
            node->logical = logicals[i].logical;
        }
    }
    if (node->logical == WR_AVRO_DECIMAL) {
        const json_int_t precision = json_integer_value(json_object_get(json, "precision"));
        const json_int_t scale = json_integer_value(json_object_get(json, "scale"));
        if (precision < 1 || scale < 0 || scale > precision || precision > 100000) {
            node->logical = WR_AVRO_PLAIN;
        } else {
            node->precision = (uint32_t)precision;
            node->scale = (uint32_t)scale;
        }
    }
    const uint32_t needed = node->logical == WR_AVRO_UUID ? 16 : 12;
    if (node->kind == WR_AVRO_FIXED && node->logical != WR_AVRO_DECIMAL && node->size != needed) {
        node->logical = WR_AVRO_PLAIN;
    }
}

static const struct wr_avro_node *parse_object(struct parser *p, const json_t *json,
                                               const char *space)
{
    const json_t *type = json_object_get(json, "type");
    const char *name = json_string_value(type);
    const struct wr_avro_node *node;
    if (name == NULL) {
        return parse_type(p, type, space); /* {"type": {"type": ...}} */
    }
    if (strcmp(name, "record") == 0 || strcmp(name, "error") == 0) {
        return parse_record(p, json, space);
    } else if (strcmp(name, "enum") == 0) {
        return parse_enum(p, json, space);
    } else if (strcmp(name, "array") == 0) {
        return parse_items(p, WR_AVRO_ARRAY, json_object_get(json, "items"), space);
    } else if (strcmp(name, "map") == 0) {
        return parse_items(p, WR_AVRO_MAP, json_object_get(json, "values"), space);
    } else if (strcmp(name, "fixed") == 0) {
        node = parse_fixed(p, json, space);
    } else {
        node = parse_name(p, name, space);
        if (node != NULL && node->name != NULL) {
            return node; /* an attribute beside a reference does not change the type itself */
        }
    }
    if (node != NULL) {
        set_logical((struct wr_avro_node *)node, json);
    }
    return node;
}

static const struct wr_avro_node *parse_type(struct parser *p, const json_t *json,
                                             const char *space)
{
    const struct wr_avro_node *node = NULL;
    if (p->depth == WR_AVRO_DEPTH_MAX) {
        return bad(p, "types nest deeper than %u levels", WR_AVRO_DEPTH_MAX);
    }
    p->depth++;
    if (json_is_string(json)) {
        node = parse_name(p, json_string_value(json), space);
    } else if (json_is_array(json)) {
        node = parse_union(p, json, space);
    } else if (json_is_object(json)) {
        node = parse_object(p, json, space);
    } else {
        node = bad(p, "a type is a name, an object or an array");
    }
    p->depth--;
    return node;
}

static wr_status parse_text(struct parser *p, struct wr_slice text)
{
    json_error_t where;
    wr_ensure(text.bytes <= WR_AVRO_SCHEMA_BYTES_MAX, p->err, WR_CLASS_DATA,
              "Avro schema: longer than %u MiB", WR_AVRO_SCHEMA_BYTES_MAX >> 20);
    json_t *json = json_loadb(text.data, text.bytes, JSON_DECODE_ANY, &where);
    wr_ensure(json != NULL, p->err, WR_CLASS_DATA, "Avro schema: line %d, column %d: %s",
              where.line, where.column, where.text);
    p->schema->texts[p->schema->text_count++] = json;
    p->schema->root = parse_type(p, json, NULL);
    return p->schema->root != NULL ? WR_OK : WR_FAIL;
}

wr_status wr_avro_schema_parse(struct wr_avro_schema **schema, const struct wr_slice *texts,
                               uint32_t text_count, struct wr_error *err)
{
    struct wr_error ignored;
    struct wr_avro_schema *s = wr_calloc(1, sizeof *s);
    wr_arena_init(&s->arena, 0);
    s->texts = WR_ARENA_ARRAY(&s->arena, json_t *, text_count + 1);
    struct parser p = { .schema = s, .arena = &s->arena, .err = err != NULL ? err : &ignored };
    wr_status status = WR_OK;
    for (uint32_t i = 0; i < text_count && status == WR_OK; i++) {
        status = parse_text(&p, texts[i]);
    }
    free(p.names);
    if (status != WR_OK) {
        wr_avro_schema_destroy(s);
        return WR_FAIL;
    }
    *schema = s;
    return WR_OK;
}

void wr_avro_schema_destroy(struct wr_avro_schema *schema)
{
    if (schema == NULL) {
        return;
    }
    for (uint32_t i = 0; i < schema->text_count; i++) {
        json_decref(schema->texts[i]);
    }
    wr_arena_deinit(&schema->arena);
    free(schema);
}

/* ---- questions ---- */

const char *wr_avro_type_text(const struct wr_avro_node *node, char *into, size_t bytes)
{
    if (node->name != NULL) {
        snprintf(into, bytes, "%s %s", kind_names[node->kind], node->name);
    } else {
        snprintf(into, bytes, "%s", kind_names[node->kind]);
    }
    return into;
}

const struct wr_avro_node *wr_avro_optional(const struct wr_avro_node *node, uint32_t *null_index)
{
    if (node->kind != WR_AVRO_UNION || node->count != 2) {
        return NULL;
    }
    *null_index = node->types[0]->kind == WR_AVRO_NULL ? 0 : 1;
    const struct wr_avro_node *other = node->types[1 - *null_index];
    return node->types[*null_index]->kind == WR_AVRO_NULL && other->kind != WR_AVRO_NULL ? other
                                                                                         : NULL;
}

static const struct wr_avro_field *exact(const struct wr_avro_node *record, const char *name)
{
    for (uint32_t i = 0; i < record->count; i++) {
        if (strcmp(record->fields[i].name, name) == 0) {
            return &record->fields[i];
        }
    }
    return NULL;
}

const struct wr_avro_field *wr_avro_find_field(const struct wr_avro_node *record, const char *name,
                                               const struct wr_avro_field *reader_field)
{
    const struct wr_avro_field *found = exact(record, name);
    if (found == NULL && reader_field != NULL) {
        found = exact(record, reader_field->name);
        for (uint32_t i = 0; found == NULL && i < reader_field->alias_count; i++) {
            found = exact(record, reader_field->aliases[i]);
        }
    }
    for (uint32_t i = 0, same = 0; found == NULL && i < record->count; i++) {
        if (wr_slice_equal_nocase(wr_slice_of(record->fields[i].name), wr_slice_of(name))) {
            for (uint32_t k = 0; k < record->count; k++) {
                same += wr_slice_equal_nocase(wr_slice_of(record->fields[k].name), wr_slice_of(name));
            }
            return same == 1 ? &record->fields[i] : NULL;
        }
    }
    return found;
}
