/* delta_schema.c: a table's schema: made of ours, compared with ours, grown by ours, read as ours. */
#include "table/delta_log.h"

#include "base/clock.h"
#include "base/heap.h"
#include "batch/nested.h"
#include "batch/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where in a type one is: "a.b", for messages. Lists and maps have steps "element", "key", "value", as Delta's own messages do. */
#define PATH_BYTES 256u
struct path {
    const struct path *above; /* NULL: a column */
    const char *name;
};

static const char *path_text(const struct path *path, char into[PATH_BYTES])
{
    size_t used = 0;
    if (path->above != NULL) {
        path_text(path->above, into);
        used = strlen(into);
    }
    (void)snprintf(into + used, PATH_BYTES - used, "%s%s", used > 0 ? "." : "", path->name);
    return into;
}

json_t *wr_delta_fields(const struct wr_delta_state *state, struct wr_error *err)
{
    json_error_t json_error;
    const char *text = json_string_value(json_object_get(state->metadata, "schemaString"));
    json_t *schema = text == NULL ? NULL : json_loads(text, 0, &json_error);
    json_t *fields = json_incref(json_object_get(schema, "fields"));
    json_decref(schema);
    if (!json_is_array(fields)) {
        json_decref(fields);
        wr_fail(err, WR_CLASS_FATAL, "the table's log is damaged: its schema is no struct");
        return NULL;
    }
    return fields;
}

/* ---- types ---- */

/* Of scalars; NULL: Delta has none. */
static const char *type_name(struct wr_type type, char *into, size_t bytes)
{
    static const char *const names[WR_TYPE_COUNT_] = {
        [WR_TYPE_BOOL] = "boolean",       [WR_TYPE_INT16] = "short",
        [WR_TYPE_INT32] = "integer",      [WR_TYPE_INT64] = "long",
        [WR_TYPE_FLOAT32] = "float",      [WR_TYPE_FLOAT64] = "double",
        [WR_TYPE_TEXT] = "string",        [WR_TYPE_JSON] = "string",
        [WR_TYPE_INTERVAL] = "string",    [WR_TYPE_BYTES] = "binary",
        [WR_TYPE_DATE] = "date",          [WR_TYPE_TIMESTAMP] = "timestamp",
        [WR_TYPE_TIMESTAMPTZ] = "timestamp",
    };
    if (type.id == WR_TYPE_DECIMAL) {
        snprintf(into, bytes, "decimal(%u,%u)", type.precision, type.scale);
        return into;
    }
    return type.id < WR_TYPE_COUNT_ ? names[type.id] : NULL;
}

static const char *signed_alternative(struct wr_type type)
{
    return type.id == WR_TYPE_UINT16   ? "INTEGER"
           : type.id == WR_TYPE_UINT32 ? "BIGINT"
           : type.id == WR_TYPE_UINT64 ? "NUMERIC(20,0)"
                                       : "TEXT";
}

static bool is_partition(const struct wr_delta_spec *spec, uint32_t column)
{
    for (uint32_t i = 0; i < spec->partition_count; i++) {
        if (spec->partition[i] == column) {
            return true;
        }
    }
    return false;
}

static wr_status check_name(const struct path *path, struct wr_error *err)
{
    char text[PATH_BYTES];
    if (path->name[0] == '\0' || strpbrk(path->name, " ,;{}()\n\t=") != NULL) {
        wr_fail(err, WR_CLASS_USER, "column \"%s\": Delta tables allow no spaces and none of ,;{}()= in "
                "names of columns", path_text(path, text));
        wr_error_hint(err, path->above == NULL ? "give it another name with AS"
                                               : "give the field another name in the source");
        return WR_FAIL;
    }
    return WR_OK;
}

/* Names within a STRUCT that Delta cannot tell apart. */
static wr_status check_field_names(const struct wr_nested *nested, const struct path *path,
                                   struct wr_error *err)
{
    char text[PATH_BYTES];
    for (uint32_t i = 0; i < nested->field_count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            wr_ensure(!wr_slice_equal_nocase(wr_slice_of(nested->fields[i].name),
                                             wr_slice_of(nested->fields[k].name)),
                      err, WR_CLASS_USER, "column \"%s\": its fields \"%s\" and \"%s\" are the same name to Delta",
                      path_text(path, text), nested->fields[k].name, nested->fields[i].name);
        }
    }
    return WR_OK;
}

/* Whether Delta can hold the type, and all in it. */
static wr_status check_our_type(struct wr_type type, const struct path *path, struct wr_error *err)
{
    char text[PATH_BYTES];
    char sql[32];
    char delta[32];
    if (wr_type_is_nested(type)) {
        const struct wr_nested *nested = wr_nested_of(type);
        WR_TRY(check_field_names(nested, path, err));
        for (uint32_t i = 0; i < nested->field_count; i++) {
            const struct path inner = { path, nested->fields[i].name };
            WR_TRY(check_name(&inner, err));
            WR_TRY(check_our_type(nested->fields[i].type, &inner, err));
        }
        return WR_OK;
    }
    if (type_name(type, delta, sizeof delta) == NULL) {
        wr_fail(err, WR_CLASS_USER, "column \"%s\" is %s, and Delta tables have no such type",
                path_text(path, text), wr_type_name(type, sql, sizeof sql));
        wr_error_hint(err, path->above == NULL ? "write CAST(%s AS %s)" : "declare %s as %s in the source",
                      path_text(path, text), signed_alternative(type));
        return WR_FAIL;
    }
    return WR_OK;
}

static wr_status check_column(const struct wr_delta_spec *spec, uint32_t column,
                              struct wr_error *err)
{
    const struct wr_field *field = &spec->schema->fields[column];
    const struct path path = { NULL, field->name };
    char sql[32];
    WR_TRY(check_our_type(field->type, &path, err));
    WR_TRY(check_name(&path, err));
    if (is_partition(spec, column) &&
        (field->type.id == WR_TYPE_BYTES || wr_type_is_nested(field->type))) {
        return wr_fail(err, WR_CLASS_USER, "column \"%s\" is %s: it cannot name partitions",
                       field->name, wr_type_name(field->type, sql, sizeof sql));
    }
    for (uint32_t i = 0; i < column; i++) {
        wr_ensure(!wr_slice_equal_nocase(wr_slice_of(spec->schema->fields[i].name),
                                         wr_slice_of(field->name)),
                  err, WR_CLASS_USER, "columns \"%s\" and \"%s\" are the same name to Delta",
                  spec->schema->fields[i].name, field->name);
    }
    return WR_OK;
}

wr_status wr_delta_check_types(const struct wr_delta_spec *spec, struct wr_error *err)
{
    for (uint32_t i = 0; i < spec->schema->count; i++) {
        WR_TRY(check_column(spec, i, err));
    }
    wr_ensure(spec->partition_count < spec->schema->count, err, WR_CLASS_USER,
              "all columns are partition columns: a table needs one that is not");
    return WR_OK;
}

/* ---- the spec against an existing table ---- */

static json_t *find_field(const json_t *fields, const char *name, bool fold)
{
    for (size_t i = 0; i < json_array_size(fields); i++) {
        json_t *field = json_array_get(fields, i);
        const char *other = json_string_value(json_object_get(field, "name"));
        if (other != NULL && (fold ? wr_slice_equal_nocase(wr_slice_of(other), wr_slice_of(name))
                                   : strcmp(other, name) == 0)) {
            return field;
        }
    }
    return NULL;
}

/* What the comparison of all columns shares. */
struct fit {
    bool evolve;
    bool adds; /* the table lacks something that we bring */
    struct wr_error *err;
};

static wr_status fit_type(struct fit *fit, const json_t *theirs, struct wr_type ours,
                          const struct path *path);

static wr_status fit_nulls(struct fit *fit, bool theirs_may, bool ours_may, const struct path *path)
{
    char text[PATH_BYTES];
    if (!theirs_may && ours_may) {
        wr_fail(fit->err, WR_CLASS_USER, "column \"%s\" is NOT NULL in the table, but the query's may be NULL",
                path_text(path, text));
        wr_error_hint(fit->err, path->above == NULL ? "declare it NOT NULL in the source"
                                                    : "what lies in columns may always be NULL: take it out into "
                                                      "a column of its own, or let Weir make the table");
        return WR_FAIL;
    }
    return WR_OK;
}

/* A column, or a field of a struct (path->above), against those that the table has at that place. */
static wr_status fit_field(struct fit *fit, const json_t *fields, const char *name,
                           struct wr_type type, bool may_be_null, const struct path *above)
{
    const struct path path = { above, name };
    char text[PATH_BYTES];
    const json_t *field = find_field(fields, name, false);
    if (field != NULL) {
        WR_TRY(fit_type(fit, json_object_get(field, "type"), type, &path));
        return fit_nulls(fit, !json_is_false(json_object_get(field, "nullable")), may_be_null,
                         &path);
    }
    field = find_field(fields, name, true);
    wr_ensure(field == NULL, fit->err, WR_CLASS_USER,
              "the table spells the column \"%s\", the query \"%s\"",
              json_string_value(json_object_get(field, "name")), path_text(&path, text));
    wr_ensure(fit->evolve, fit->err, WR_CLASS_USER, "the table has no column \"%s\"",
              path_text(&path, text));
    fit->adds = true;
    return WR_OK;
}

/* A field of the table's that we do not bring must be one that may be missing. */
static wr_status fit_missing(struct fit *fit, const json_t *field, bool ours_has_it,
                             const struct path *above)
{
    const char *name = json_string_value(json_object_get(field, "name"));
    const struct path path = { above, name };
    char text[PATH_BYTES];
    wr_ensure(ours_has_it || name == NULL || !json_is_false(json_object_get(field, "nullable")),
              fit->err, WR_CLASS_USER, "column \"%s\" of the table is NOT NULL, and the query has none of "
              "that name", path_text(&path, text));
    return WR_OK;
}

static bool has_field(const struct wr_nested *nested, const json_t *field)
{
    const char *name = json_string_value(json_object_get(field, "name"));
    for (uint32_t i = 0; name != NULL && i < nested->field_count; i++) {
        if (strcmp(nested->fields[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static wr_status fit_struct(struct fit *fit, const json_t *theirs, const struct wr_nested *ours,
                            const struct path *path)
{
    const json_t *fields = json_object_get(theirs, "fields");
    for (uint32_t i = 0; i < ours->field_count; i++) {
        WR_TRY(fit_field(fit, fields, ours->fields[i].name, ours->fields[i].type, true, path));
    }
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *field = json_array_get(fields, i);
        WR_TRY(fit_missing(fit, field, has_field(ours, field), path));
    }
    return WR_OK;
}

/* An array's elements, a map's keys or values. contains_null NULL: never NULL. */
static wr_status fit_inner(struct fit *fit, const json_t *theirs, const char *inner,
                           const char *contains_null, const struct wr_nested_field *ours,
                           const struct path *above)
{
    const struct path path = { above, ours->name };
    WR_TRY(fit_type(fit, json_object_get(theirs, inner), ours->type, &path));
    return contains_null == NULL
               ? WR_OK
               : fit_nulls(fit, !json_is_false(json_object_get(theirs, contains_null)), true, &path);
}

/* What a type of the table's is called: "long", "struct". */
static const char *their_name(const json_t *type)
{
    const char *name =
        json_string_value(json_is_object(type) ? json_object_get(type, "type") : type);
    return name == NULL ? "?" : name;
}

static const char *our_name(struct wr_type type, char *into, size_t bytes)
{
    return type.id == WR_TYPE_STRUCT  ? "struct"
           : type.id == WR_TYPE_ARRAY ? "array"
           : type.id == WR_TYPE_MAP   ? "map"
                                      : type_name(type, into, bytes);
}

static wr_status fit_type(struct fit *fit, const json_t *theirs, struct wr_type ours,
                          const struct path *path)
{
    char delta[32];
    char sql[32];
    char text[PATH_BYTES];
    const char *mine = our_name(ours, delta, sizeof delta);
    if (strcmp(their_name(theirs), mine) != 0 ||
        json_is_object(theirs) != wr_type_is_nested(ours)) {
        wr_fail(fit->err, WR_CLASS_USER, "column \"%s\" is %s in the table, but %s (%s) in the query",
                path_text(path, text), their_name(theirs), mine,
                wr_type_name(ours, sql, sizeof sql));
        wr_error_hint(fit->err, path->above == NULL ? "CAST it in the query to what the table has"
                                                    : "declare it in the source as what the table has");
        return WR_FAIL;
    }
    if (!wr_type_is_nested(ours)) {
        return WR_OK;
    }
    const struct wr_nested *nested = wr_nested_of(ours);
    switch (ours.id) {
    case WR_TYPE_STRUCT:
        return fit_struct(fit, theirs, nested, path);
    case WR_TYPE_ARRAY:
        return fit_inner(fit, theirs, "elementType", "containsNull", &nested->fields[0], path);
    default:
        WR_TRY(fit_inner(fit, theirs, "keyType", NULL, &nested->fields[0], path));
        return fit_inner(fit, theirs, "valueType", "valueContainsNull", &nested->fields[1], path);
    }
}

static wr_status check_columns(const json_t *fields, const struct wr_delta_spec *spec, bool *adds,
                               struct wr_error *err)
{
    struct fit fit = { .evolve = spec->evolve, .err = err };
    for (uint32_t i = 0; i < spec->schema->count; i++) {
        const struct wr_field *ours = &spec->schema->fields[i];
        WR_TRY(fit_field(&fit, fields, ours->name, ours->type, !ours->not_null, NULL));
    }
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *field = json_array_get(fields, i);
        const char *name = json_string_value(json_object_get(field, "name"));
        WR_TRY(fit_missing(&fit, field, name != NULL && wr_schema_find(spec->schema, name) >= 0,
                           NULL));
    }
    *adds = fit.adds;
    return WR_OK;
}

static wr_status check_partitioning(const struct wr_delta_state *state,
                                    const struct wr_delta_spec *spec, struct wr_error *err)
{
    const json_t *theirs = json_object_get(state->metadata, "partitionColumns");
    bool same = json_array_size(theirs) == spec->partition_count;
    struct wr_buf text = { 0 };
    for (size_t i = 0; i < json_array_size(theirs); i++) {
        const char *name = json_string_value(json_array_get(theirs, i));
        const bool ours = name != NULL && i < spec->partition_count &&
                          strcmp(name, spec->schema->fields[spec->partition[i]].name) == 0;
        same = same && ours;
        wr_buf_printf(&text, "%s%s", i == 0 ? "" : ", ", name == NULL ? "?" : name);
    }
    if (!same && text.bytes == 0) {
        wr_fail(err, WR_CLASS_USER, "the table has no partitions, but the query asks for them");
        wr_error_hint(err, "leave partition_by out");
    } else if (!same) {
        wr_fail(err, WR_CLASS_USER, "the table is partitioned by %.400s, the query by something else",
                wr_buf_cstr(&text));
        wr_error_hint(err, "write partition_by = '%.400s'", wr_buf_cstr(&text));
    }
    wr_buf_deinit(&text);
    return same ? WR_OK : WR_FAIL;
}

wr_status wr_delta_check_spec(const struct wr_delta_state *state, const struct wr_delta_spec *spec,
                              bool *adds, struct wr_error *err)
{
    *adds = false;
    json_t *fields = wr_delta_fields(state, err);
    if (fields == NULL) {
        return WR_FAIL;
    }
    wr_status status = check_columns(fields, spec, adds, err);
    if (status == WR_OK) {
        status = check_partitioning(state, spec, err);
    }
    json_decref(fields);
    return status;
}

/* ---- metaData ---- */

static json_t *make_type(struct wr_type type);

static void append_field(json_t *fields, const char *name, struct wr_type type, bool nullable)
{
    json_array_append_new(fields, json_pack("{s:s, s:o, s:b, s:{}}", "name", name, "type",
                                            make_type(type), "nullable", nullable, "metadata"));
}

/* A type as the schema has it: a name, or an object. */
static json_t *make_type(struct wr_type type)
{
    char name[32];
    if (!wr_type_is_nested(type)) {
        return json_string(type_name(type, name, sizeof name));
    }
    const struct wr_nested *nested = wr_nested_of(type);
    if (type.id == WR_TYPE_ARRAY) {
        return json_pack("{s:s, s:o, s:b}", "type", "array", "elementType",
                         make_type(nested->fields[0].type), "containsNull", 1);
    }
    if (type.id == WR_TYPE_MAP) {
        return json_pack("{s:s, s:o, s:o, s:b}", "type", "map", "keyType",
                         make_type(nested->fields[0].type), "valueType",
                         make_type(nested->fields[1].type), "valueContainsNull", 1);
    }
    json_t *fields = json_array();
    for (uint32_t i = 0; i < nested->field_count; i++) {
        append_field(fields, nested->fields[i].name, nested->fields[i].type, true);
    }
    return json_pack("{s:s, s:o}", "type", "struct", "fields", fields);
}

static void grow_type(json_t *theirs, struct wr_type ours);

/* Adds the field, or what it has more than the table's. */
static void grow_field(json_t *fields, const char *name, struct wr_type type)
{
    json_t *field = find_field(fields, name, false);
    if (field == NULL) {
        append_field(fields, name, type, true); /* older files do not have it */
    } else {
        grow_type(json_object_get(field, "type"), type);
    }
}

/* The table's type and ours fit (fit_type): fields that structs of ours have more are added. */
static void grow_type(json_t *theirs, struct wr_type ours)
{
    if (!wr_type_is_nested(ours)) {
        return;
    }
    const struct wr_nested *nested = wr_nested_of(ours);
    if (ours.id == WR_TYPE_STRUCT) {
        for (uint32_t i = 0; i < nested->field_count; i++) {
            grow_field(json_object_get(theirs, "fields"), nested->fields[i].name,
                       nested->fields[i].type);
        }
    } else if (ours.id == WR_TYPE_ARRAY) {
        grow_type(json_object_get(theirs, "elementType"), nested->fields[0].type);
    } else {
        grow_type(json_object_get(theirs, "valueType"), nested->fields[1].type);
    }
}

static void set_schema(json_t *metadata, json_t *fields)
{
    json_t *schema = json_pack("{s:s, s:o}", "type", "struct", "fields", fields);
    char *text = json_dumps(schema, JSON_COMPACT);
    json_object_set_new(metadata, "schemaString", json_string(text));
    free(text);
    json_decref(schema);
}

static json_t *new_metadata(const struct wr_delta_spec *spec)
{
    char id[37];
    wr_delta_uuid(id);
    json_t *fields = json_array();
    json_t *partition = json_array();
    for (uint32_t i = 0; i < spec->schema->count; i++) {
        const struct wr_field *field = &spec->schema->fields[i];
        append_field(fields, field->name, field->type, !field->not_null);
    }
    for (uint32_t i = 0; i < spec->partition_count; i++) {
        json_array_append_new(partition,
                              json_string(spec->schema->fields[spec->partition[i]].name));
    }
    json_t *metadata =
        json_pack("{s:s, s:{s:s, s:{}}, s:s, s:o, s:{}, s:I}", "id", id, "format", "provider",
                  "parquet", "options", "schemaString", "", "partitionColumns", partition,
                  "configuration", "createdTime", (json_int_t)(wr_clock_now().wall_us / 1000));
    set_schema(metadata, fields);
    return metadata;
}

json_t *wr_delta_make_metadata(const struct wr_delta_spec *spec, const json_t *base)
{
    if (base == NULL) {
        return new_metadata(spec);
    }
    json_t *metadata = json_deep_copy(base);
    const struct wr_delta_state state = { .metadata = metadata };
    json_t *fields = wr_delta_fields(&state, NULL);
    for (uint32_t i = 0; i < spec->schema->count; i++) {
        grow_field(fields, spec->schema->fields[i].name, spec->schema->fields[i].type);
    }
    set_schema(metadata, fields);
    return metadata;
}

/* ---- the table's schema in our types ---- */

static struct wr_type scalar_of(const json_t *type)
{
    static const struct {
        const char *name;
        enum wr_type_id id;
    } names[] = {
        { "boolean", WR_TYPE_BOOL },    { "short", WR_TYPE_INT16 },
        { "integer", WR_TYPE_INT32 },   { "long", WR_TYPE_INT64 },
        { "float", WR_TYPE_FLOAT32 },   { "double", WR_TYPE_FLOAT64 },
        { "string", WR_TYPE_TEXT },     { "binary", WR_TYPE_BYTES },
        { "date", WR_TYPE_DATE },       { "timestamp", WR_TYPE_TIMESTAMPTZ },
    };
    const char *text = json_string_value(type);
    unsigned precision;
    unsigned scale;
    char after;
    if (text != NULL && sscanf(text, "decimal(%3u,%3u%c", &precision, &scale, &after) == 3 &&
        after == ')' && precision >= 1 && precision <= 38 && scale <= precision) {
        return (struct wr_type){ WR_TYPE_DECIMAL, (uint8_t)precision, (uint8_t)scale, 0 };
    }
    for (size_t i = 0; text != NULL && i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i].name, text) == 0) {
            return wr_type_of(names[i].id);
        }
    }
    return wr_type_of(WR_TYPE_NULL);
}

static struct wr_type type_of(const json_t *type, uint32_t depth);

static bool struct_of(const json_t *fields, uint32_t depth, struct wr_type *type)
{
    const size_t count = json_array_size(fields);
    if (count == 0 || count > WR_NESTED_FIELDS_MAX) {
        return false;
    }
    struct wr_nested_field *ours = wr_calloc(count, sizeof *ours);
    bool good = true;
    for (size_t i = 0; good && i < count; i++) {
        const json_t *field = json_array_get(fields, i);
        ours[i].name = json_string_value(json_object_get(field, "name"));
        ours[i].type = type_of(json_object_get(field, "type"), depth + 1);
        good = ours[i].name != NULL && ours[i].type.id != WR_TYPE_NULL;
    }
    good = good && wr_nested_struct(ours, (uint32_t)count, type, NULL) == WR_OK;
    free(ours);
    return good;
}

/* WR_TYPE_NULL: we have no such type, or one in it. */
static struct wr_type type_of(const json_t *type, uint32_t depth)
{
    const struct wr_type none = wr_type_of(WR_TYPE_NULL);
    struct wr_type made = none;
    if (!json_is_object(type)) {
        return scalar_of(type);
    }
    if (depth > WR_NESTED_DEPTH_MAX) {
        return none;
    }
    const char *name = their_name(type);
    const bool map = strcmp(name, "map") == 0;
    if (strcmp(name, "struct") == 0) {
        return struct_of(json_object_get(type, "fields"), depth, &made) ? made : none;
    }
    if (!map && strcmp(name, "array") != 0) {
        return none;
    }
    const struct wr_type inner =
        type_of(json_object_get(type, map ? "valueType" : "elementType"), depth + 1);
    const struct wr_type key = map ? type_of(json_object_get(type, "keyType"), depth + 1) : inner;
    if (inner.id == WR_TYPE_NULL || key.id == WR_TYPE_NULL) {
        return none;
    }
    const wr_status status = map ? wr_nested_map(key, inner, &made, NULL)
                                 : wr_nested_array(inner, &made, NULL);
    return status == WR_OK ? made : none;
}

static bool listed(const json_t *names, const char *name)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *other = json_string_value(json_array_get(names, i));
        if (other != NULL && strcmp(other, name) == 0) {
            return true;
        }
    }
    return false;
}

wr_status wr_delta_table_schema(const struct wr_delta_state *state, struct wr_arena *arena,
                                struct wr_schema *schema, uint8_t **partition,
                                struct wr_error *err)
{
    json_t *fields = wr_delta_fields(state, err);
    if (fields == NULL) {
        return WR_FAIL;
    }
    const uint32_t count = (uint32_t)json_array_size(fields);
    const json_t *names = json_object_get(state->metadata, "partitionColumns");
    uint8_t *flags = WR_ARENA_ARRAY(arena, uint8_t, count + 1);
    *schema = (struct wr_schema){ WR_ARENA_ARRAY(arena, struct wr_field, count + 1), count };
    for (uint32_t i = 0; i < count; i++) {
        const json_t *field = json_array_get(fields, i);
        const char *name = json_string_value(json_object_get(field, "name"));
        schema->fields[i] = (struct wr_field){
            .name = wr_arena_strdup(arena, name == NULL ? "" : name),
            .type = type_of(json_object_get(field, "type"), 0),
            .not_null = json_is_false(json_object_get(field, "nullable")),
            .declared = i,
        };
        flags[i] = listed(names, schema->fields[i].name);
    }
    if (partition != NULL) {
        *partition = flags;
    }
    json_decref(fields);
    return WR_OK;
}
