/* delta_protocol.c: whether this program may write a table: its protocol, the rules of its fields, its configuration. */
#include "table/delta_log.h"

#include <stdio.h>
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

static wr_status check_field_rules(const json_t *fields, struct wr_error *err);

/* Fields at any depth have rules. */
static wr_status check_type_rules(const json_t *type, struct wr_error *err)
{
    static const char *const inner[] = { "elementType", "keyType", "valueType" };
    WR_TRY(check_field_rules(json_object_get(type, "fields"), err));
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++) {
        const json_t *child = json_object_get(type, inner[i]);
        if (json_is_object(child)) {
            WR_TRY(check_type_rules(child, err));
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
        if (json_is_object(json_object_get(field, "type"))) {
            WR_TRY(check_type_rules(json_object_get(field, "type"), err));
        }
    }
    return WR_OK;
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
    json_t *fields = wr_delta_fields(state, err);
    if (fields == NULL) {
        return WR_FAIL;
    }
    const wr_status status = check_field_rules(fields, err);
    json_decref(fields);
    return status;
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
