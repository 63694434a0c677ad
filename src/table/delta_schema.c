/* delta_schema.c: Delta's protocol, schema and configuration against what the writer brings. */
#include "table/delta_log.h"

#include "base/clock.h"
#include "batch/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READER_VERSION_PLAIN    1
#define WRITER_VERSION_PLAIN    2
#define READER_VERSION_FEATURES 3
#define WRITER_VERSION_FEATURES 7

/* ---- protocol ---- */

/* Features that ask nothing of appends and of compactions that change no data, as long as what the checks below
 * look for is not in use. */
static const char *const known_features[] = {
    "appendOnly", "invariants", "timestampNtz", "changeDataFeed", "checkConstraints",
    "generatedColumns", "vacuumProtocolCheck",
};

static bool known(const char *feature)
{
    for (size_t i = 0; i < sizeof known_features / sizeof *known_features; i++) {
        if (strcmp(known_features[i], feature) == 0) {
            return true;
        }
    }
    return false;
}

static wr_status refuse_feature(struct wr_error *err, const char *feature)
{
    wr_fail(err, WR_CLASS_USER, "the table uses the feature '%s', which Weir does not write",
            feature);
    wr_error_hint(err, "let Weir write a table of its own, or drop the feature from this one (Spark: "
                       "ALTER TABLE ... DROP FEATURE %s)", feature);
    return WR_FAIL;
}

static wr_status check_features(const json_t *features, struct wr_error *err)
{
    for (size_t i = 0; i < json_array_size(features); i++) {
        const char *feature = json_string_value(json_array_get(features, i));
        if (feature == NULL || !known(feature)) {
            return refuse_feature(err, feature == NULL ? "?" : feature);
        }
    }
    return WR_OK;
}

/* Older protocols count: what each number brought. */
static const char *feature_of_version(int64_t reader, int64_t writer)
{
    return reader > READER_VERSION_FEATURES    ? "reader version above 3"
           : writer > WRITER_VERSION_FEATURES  ? "writer version above 7"
           : reader == 2 || writer == 5        ? "columnMapping"
           : writer == 6                       ? "identityColumns"
                                               : NULL;
}

static const json_t *configuration(const struct wr_delta_state *state)
{
    return json_object_get(state->metadata, "configuration");
}

static wr_status check_configuration(const struct wr_delta_state *state, struct wr_error *err)
{
    static const char constraint[] = "delta.constraints.";
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)configuration(state), key, value) {
        if (strncmp(key, constraint, strlen(constraint)) == 0) {
            return wr_fail(err, WR_CLASS_USER, "the table has the constraint '%s', which Weir does not check",
                           key + strlen(constraint));
        }
        const char *text = json_string_value(value);
        if (strcmp(key, "delta.columnMapping.mode") == 0 && text != NULL &&
            strcmp(text, "none") != 0) {
            return refuse_feature(err, "columnMapping");
        }
    }
    return WR_OK;
}

/* Invariants, generated and identity columns live in the metadata of fields. */
static wr_status check_field_rules(const json_t *fields, struct wr_error *err)
{
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *field = json_array_get(fields, i);
        const char *key;
        json_t *value;
        json_object_foreach(json_object_get(field, "metadata"), key, value) {
            if (strncmp(key, "delta.", 6) == 0 || strcmp(key, "CURRENT_DEFAULT") == 0) {
                const char *name = json_string_value(json_object_get(field, "name"));
                return wr_fail(err, WR_CLASS_USER, "column \"%s\" of the table has '%s', which Weir does not keep to",
                               name == NULL ? "?" : name, key);
            }
        }
    }
    return WR_OK;
}

/* The caller owns the result. */
static json_t *parse_fields(const struct wr_delta_state *state, struct wr_error *err)
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

wr_status wr_delta_check_protocol(const struct wr_delta_state *state, struct wr_error *err)
{
    wr_ensure(state->protocol != NULL && state->metadata != NULL, err, WR_CLASS_FATAL,
              "the table's log is damaged: it has no protocol or no metaData");
    const int64_t reader = json_integer_value(json_object_get(state->protocol, "minReaderVersion"));
    const int64_t writer = json_integer_value(json_object_get(state->protocol, "minWriterVersion"));
    const char *feature = feature_of_version(reader, writer);
    if (feature != NULL) {
        return refuse_feature(err, feature);
    }
    if (reader == READER_VERSION_FEATURES) {
        WR_TRY(check_features(json_object_get(state->protocol, "readerFeatures"), err));
    }
    if (writer == WRITER_VERSION_FEATURES) {
        WR_TRY(check_features(json_object_get(state->protocol, "writerFeatures"), err));
    }
    WR_TRY(check_configuration(state, err));
    json_t *fields = parse_fields(state, err);
    if (fields == NULL) {
        return WR_FAIL;
    }
    const wr_status status = check_field_rules(fields, err);
    json_decref(fields);
    return status;
}

/* ---- types ---- */

/* NULL: Delta has none. */
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

static wr_status check_column(const struct wr_delta_spec *spec, uint32_t column,
                              struct wr_error *err)
{
    const struct wr_field *field = &spec->schema->fields[column];
    char sql[32];
    char delta[32];
    if (type_name(field->type, delta, sizeof delta) == NULL) {
        wr_fail(err, WR_CLASS_USER, "column \"%s\" is %s, and Delta tables have no such type",
                field->name, wr_type_name(field->type, sql, sizeof sql));
        wr_error_hint(err, "write CAST(%s AS %s)", field->name, signed_alternative(field->type));
        return WR_FAIL;
    }
    if (field->name[0] == '\0' || strpbrk(field->name, " ,;{}()\n\t=") != NULL) {
        wr_fail(err, WR_CLASS_USER, "column \"%s\": Delta tables allow no spaces and none of ,;{}()= in "
                "names of columns", field->name);
        wr_error_hint(err, "give it another name with AS");
        return WR_FAIL;
    }
    if (is_partition(spec, column) && field->type.id == WR_TYPE_BYTES) {
        return wr_fail(err, WR_CLASS_USER, "column \"%s\" is BYTEA: it cannot name partitions",
                       field->name);
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

static wr_status check_type(const json_t *field, const struct wr_field *ours, struct wr_error *err)
{
    char delta[32];
    char sql[32];
    const json_t *type = json_object_get(field, "type");
    const char *theirs = json_is_string(type) ? json_string_value(type) : "a nested type";
    const char *mine = type_name(ours->type, delta, sizeof delta);
    if (strcmp(theirs, mine) != 0) {
        wr_fail(err, WR_CLASS_USER, "column \"%s\" is %s in the table, but %s (%s) in the query",
                ours->name, theirs, mine, wr_type_name(ours->type, sql, sizeof sql));
        wr_error_hint(err, "CAST it in the query to what the table has");
        return WR_FAIL;
    }
    if (json_is_false(json_object_get(field, "nullable")) && !ours->not_null) {
        wr_fail(err, WR_CLASS_USER, "column \"%s\" is NOT NULL in the table, but the query's may be NULL",
                ours->name);
        wr_error_hint(err, "declare it NOT NULL in the source");
        return WR_FAIL;
    }
    return WR_OK;
}

static wr_status check_our_columns(const json_t *fields, const struct wr_delta_spec *spec,
                                   bool *adds, struct wr_error *err)
{
    for (uint32_t i = 0; i < spec->schema->count; i++) {
        const struct wr_field *ours = &spec->schema->fields[i];
        const json_t *field = find_field(fields, ours->name, false);
        if (field != NULL) {
            WR_TRY(check_type(field, ours, err));
            continue;
        }
        field = find_field(fields, ours->name, true);
        wr_ensure(field == NULL, err, WR_CLASS_USER, "the table spells the column \"%s\", the query \"%s\"",
                  json_string_value(json_object_get(field, "name")), ours->name);
        if (!spec->evolve) {
            return wr_fail(err, WR_CLASS_USER, "the table has no column \"%s\"", ours->name);
        }
        *adds = true;
    }
    return WR_OK;
}

static wr_status check_their_columns(const json_t *fields, const struct wr_delta_spec *spec,
                                     struct wr_error *err)
{
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *field = json_array_get(fields, i);
        const char *name = json_string_value(json_object_get(field, "name"));
        if (name != NULL && json_is_false(json_object_get(field, "nullable")) &&
            wr_schema_find(spec->schema, name) < 0) {
            return wr_fail(err, WR_CLASS_USER, "column \"%s\" of the table is NOT NULL, and the query has none of "
                           "that name", name);
        }
    }
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
    json_t *fields = parse_fields(state, err);
    if (fields == NULL) {
        return WR_FAIL;
    }
    wr_status status = check_our_columns(fields, spec, adds, err);
    if (status == WR_OK) {
        status = check_their_columns(fields, spec, err);
    }
    if (status == WR_OK) {
        status = check_partitioning(state, spec, err);
    }
    json_decref(fields);
    return status;
}

/* ---- metaData ---- */

static void append_field(json_t *fields, const struct wr_field *field, bool nullable)
{
    char type[32];
    json_array_append_new(fields,
                          json_pack("{s:s, s:s, s:b, s:{}}", "name", field->name, "type",
                                    type_name(field->type, type, sizeof type), "nullable",
                                    nullable, "metadata"));
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
        append_field(fields, &spec->schema->fields[i], !spec->schema->fields[i].not_null);
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
    json_t *fields = parse_fields(&state, NULL);
    for (uint32_t i = 0; i < spec->schema->count; i++) {
        if (find_field(fields, spec->schema->fields[i].name, false) == NULL) {
            append_field(fields, &spec->schema->fields[i], true); /* older files do not have it */
        }
    }
    set_schema(metadata, fields);
    return metadata;
}

/* ---- the table's schema in our types ---- */

static struct wr_type type_of(const json_t *type)
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
    json_t *fields = parse_fields(state, err);
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
            .type = type_of(json_object_get(field, "type")),
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

/* ---- configuration ---- */

static int64_t unit_ms(const char *unit)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {
        { "millisecond", 1 },    { "second", 1000 },      { "minute", 60000 },
        { "hour", 3600000 },     { "day", 86400000 },     { "week", 604800000 },
    };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        const size_t bytes = strlen(units[i].name);
        if (strncmp(unit, units[i].name, bytes) == 0 &&
            (unit[bytes] == '\0' || strcmp(unit + bytes, "s") == 0)) {
            return units[i].ms;
        }
    }
    return 0;
}

int64_t wr_delta_config_interval_ms(const struct wr_delta_state *state, const char *key,
                                    int64_t fallback_ms)
{
    const char *text = json_string_value(json_object_get(configuration(state), key));
    char unit[16];
    long long number;
    int64_t ms;
    if (text == NULL || sscanf(text, "interval %lld %15s", &number, unit) != 2 || number < 0 ||
        unit_ms(unit) == 0 || __builtin_mul_overflow((int64_t)number, unit_ms(unit), &ms)) {
        return fallback_ms;
    }
    return ms;
}

bool wr_delta_append_only(const struct wr_delta_state *state)
{
    const char *text =
        json_string_value(json_object_get(configuration(state), "delta.appendOnly"));
    return text != NULL && strcmp(text, "true") == 0;
}
