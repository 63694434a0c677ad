/* avro_columns.c: what CREATE SOURCE learns from an Avro schema: its columns, or whether it can fill those declared. */
#include "base/limits.h"
#include "decode/avro.h"
#include "decode/avro_internal.h"
#include "decode/avro_value.h"
#include <errno.h>
#include <stdio.h>

/* Records within records become columns of their own (`a.b`) down to here, then one JSON column. */
#define FLATTEN_MAX 8u

struct deriver {
    struct wr_arena *arena;
    struct wr_field *fields;
    uint32_t count;
    const char *path[FLATTEN_MAX + 1];
    const struct wr_avro_node *open[FLATTEN_MAX + 1]; /* records on the way: one in itself stays JSON */
    uint32_t depth;
};

/* ---- schemas that options name ---- */

static wr_status read_file(const char *path, struct wr_buf *text, struct wr_error *err)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        wr_fail(err, WR_CLASS_USER, "schema = '%.300s': %s", path, strerror(errno));
        wr_error_hint(err, "name a file that holds an Avro schema, as seen from where weir is started");
        return WR_FAIL;
    }
    while (text->bytes <= WR_AVRO_SCHEMA_BYTES_MAX) {
        const size_t got = fread(wr_buf_reserve(text, 65536), 1, 65536, file);
        text->bytes += got;
        if (got == 0) {
            break;
        }
    }
    const bool broken = ferror(file) != 0;
    fclose(file);
    wr_ensure(!broken, err, WR_CLASS_USER, "schema = '%.300s' cannot be read", path);
    return WR_OK;
}

wr_status wr_avro_schema_of_file(struct wr_avro_schema **schema, const char *path,
                                 struct wr_error *err)
{
    struct wr_buf text = { 0 };
    wr_status status = read_file(path, &text, err);
    if (status == WR_OK) {
        const struct wr_slice slice = { text.data != NULL ? text.data : "", text.bytes };
        status = wr_avro_schema_parse(schema, &slice, 1, err);
        if (status == WR_FAIL) {
            wr_error_prefix(err, "%.300s", path);
            wr_error_hint(err, "an Avro schema is JSON: {\"type\": \"record\", \"name\": \"…\", \"fields\": […]}");
            if (err != NULL) {
                err->cls = WR_CLASS_USER;
            }
        }
    }
    wr_buf_deinit(&text);
    return status;
}

wr_status wr_avro_schema_of_answer(struct wr_avro_schema **schema,
                                   const struct wr_registry_schema *answer, struct wr_error *err)
{
    wr_ensure(strcmp(answer->type, "AVRO") == 0, err, WR_CLASS_DATA,
              "the registry's schema is of type %.40s, not AVRO", answer->type);
    return wr_avro_schema_parse(schema, answer->texts, answer->text_count, err);
}

wr_status wr_avro_schema_of_subject(struct wr_avro_schema **schema, struct wr_registry *registry,
                                    const char *subject, struct wr_error *err)
{
    const struct wr_registry_key key = { .kind = WR_REGISTRY_SUBJECT, .subject = subject };
    const struct wr_registry_schema *answer = NULL;
    wr_status status = wr_registry_wait(registry, &key, &answer, err);
    if (status == WR_OK) {
        status = wr_avro_schema_of_answer(schema, answer, err);
    }
    if (status == WR_FAIL && err != NULL) {
        err->cls = WR_CLASS_USER;
        wr_error_hint(err, "see that the registry runs and knows the subject: curl "
                           "REGISTRY/subjects");
    }
    return status;
}

uint32_t wr_avro_columns_of(const struct wr_schema *fields, struct wr_arena *arena,
                            struct wr_avro_column **columns)
{
    uint32_t count = 0;
    *columns = WR_ARENA_ARRAY(arena, struct wr_avro_column, fields->count + 1);
    for (uint32_t i = 0; i < fields->count; i++) {
        const struct wr_field *field = &fields->fields[i];
        if (field->path != NULL && field->path_count > 0) {
            (*columns)[count++] = (struct wr_avro_column){ .path = field->path,
                                                           .path_count = field->path_count,
                                                           .dotted = wr_decoder_dotted(field, arena),
                                                           .type = field->type,
                                                           .not_null = field->not_null,
                                                           .index = i };
        }
    }
    return count;
}

void wr_avro_compile_failed(const char *field, const char *where, struct wr_error *err)
{
    if (field != NULL) {
        wr_error_prefix(err, "column \"%.100s\"", field);
    }
    wr_error_prefix(err, "%.300s", where);
    wr_error_hint(err, "declare the column as the schema has it (TEXT and JSON take most), or leave the columns out: "
                       "the schema gives them");
    if (err != NULL) {
        err->cls = WR_CLASS_USER;
    }
}

/* ---- columns out of a schema ---- */

/* The type of a column that is declared by nobody. */
static struct wr_type column_type(const struct wr_avro_node *node)
{
    struct wr_type type = wr_avro_natural(node);
    if (node->kind == WR_AVRO_INT && node->logical == WR_AVRO_PLAIN) {
        type = wr_type_of(WR_TYPE_INT32);
    } else if (type.id == WR_TYPE_DECIMAL) {
        type.precision = (uint8_t)(node->precision < 38 ? node->precision : 38);
    } else if (type.id == WR_TYPE_NULL) {
        type = wr_type_of(WR_TYPE_TEXT);
    }
    return type;
}

static bool is_open(const struct deriver *d, const struct wr_avro_node *record)
{
    for (uint32_t i = 0; i < d->depth; i++) {
        if (d->open[i] == record) {
            return true;
        }
    }
    return false;
}

static wr_status add_column(struct deriver *d, const struct wr_avro_node *node, struct wr_error *err)
{
    wr_ensure(d->count < WR_COLUMNS_MAX, err, WR_CLASS_USER,
              "the schema has more than %u fields: declare the columns that are used",
              WR_COLUMNS_MAX);
    struct wr_buf name = { 0 };
    const char **path = WR_ARENA_ARRAY(d->arena, const char *, d->depth);
    for (uint32_t i = 0; i < d->depth; i++) {
        path[i] = d->path[i];
        wr_buf_printf(&name, "%s%s", i > 0 ? "." : "", path[i]);
    }
    d->fields[d->count] = (struct wr_field){ .name = wr_arena_strdup(d->arena, wr_buf_cstr(&name)),
                                             .path = path,
                                             .path_count = d->depth,
                                             .type = column_type(node),
                                             .declared = d->count,
                                             .field_id = d->count + 1 };
    d->count++;
    wr_buf_deinit(&name);
    return WR_OK;
}

static wr_status add_fields(struct deriver *d, const struct wr_avro_node *record,
                            struct wr_error *err)
{
    d->open[d->depth++] = record;
    for (uint32_t i = 0; i < record->count; i++) {
        uint32_t null_index;
        const struct wr_avro_node *node = record->fields[i].type;
        const struct wr_avro_node *inner = wr_avro_optional(node, &null_index);
        node = inner != NULL ? inner : node;
        d->path[d->depth - 1] = wr_arena_strdup(d->arena, record->fields[i].name);
        if (node->kind == WR_AVRO_RECORD && d->depth < FLATTEN_MAX && !is_open(d, node) &&
            node->count > 0) {
            WR_TRY(add_fields(d, node, err));
        } else {
            WR_TRY(add_column(d, node, err));
        }
    }
    d->depth--;
    return WR_OK;
}

static wr_status derive(const struct wr_avro_schema *schema, struct wr_arena *arena,
                        struct wr_schema *columns, struct wr_error *err)
{
    struct deriver d = { .arena = arena };
    wr_ensure(schema->root->kind == WR_AVRO_RECORD, err, WR_CLASS_USER,
              "columns can be taken from a schema of one record only: declare them");
    d.fields = WR_ARENA_ARRAY(arena, struct wr_field, WR_COLUMNS_MAX);
    WR_TRY(add_fields(&d, schema->root, err));
    wr_ensure(d.count > 0, err, WR_CLASS_USER, "the schema's record has no fields");
    columns->fields = d.fields;
    columns->count = d.count;
    return WR_OK;
}

/* ---- for the binder ---- */

static wr_status check(const struct wr_avro_schema *schema, const struct wr_options *options,
                       const struct wr_schema *columns, struct wr_arena *arena,
                       struct wr_error *err)
{
    struct wr_avro_column *wanted;
    struct wr_avro_program *program = NULL;
    const char *field = NULL;
    const uint32_t count = wr_avro_columns_of(columns, arena, &wanted);
    const wr_status status = wr_avro_compile(&program, schema->root, schema->root, wanted, count,
                                             wr_decoder_unit_digits(options), &field, err);
    wr_avro_program_destroy(program);
    if (status == WR_FAIL) {
        wr_avro_compile_failed(field, wr_options_text(options, "schema"), err);
    }
    return status;
}

static wr_status of_registry(struct wr_avro_schema **schema, const struct wr_options *options,
                             struct wr_error *err)
{
    struct wr_registry *registry = NULL;
    const char *subject = wr_options_text(options, "subject");
    if (!wr_options_has(options, "registry") || subject == NULL) {
        wr_fail(err, WR_CLASS_USER, "the source has no columns, and no schema that gives them");
        wr_error_hint(err, "declare columns, or say schema = 'file.avsc', or registry = 'http://…' "
                           "with subject = '…'");
        return WR_FAIL;
    }
    WR_TRY(wr_registry_open(&registry, options, err));
    const wr_status status = wr_avro_schema_of_subject(schema, registry, subject, err);
    wr_registry_close(registry);
    return status;
}

/* Connectors that take their records out of text. */
static wr_status check_connector(const struct wr_options *options, struct wr_error *err)
{
    const char *connector = wr_options_text(options, "connector");
    if (connector != NULL && (strcmp(connector, "file") == 0 || strcmp(connector, "http") == 0)) {
        wr_fail(err, WR_CLASS_USER,
                "connector '%s' cuts its input at line ends, which Avro's binary records do not have",
                connector);
        wr_error_hint(err, "read them from a log such as Kafka, or write them as JSON");
        return WR_FAIL;
    }
    return WR_OK;
}

wr_status wr_avro_columns(const struct wr_options *options, struct wr_arena *arena,
                          struct wr_schema *columns, struct wr_error *err)
{
    WR_TRY(check_connector(options, err));
    const char *file = wr_options_text(options, "schema");
    struct wr_avro_schema *schema = NULL;
    if (columns->count > 0 && file == NULL) {
        if (!wr_options_has(options, "registry")) {
            wr_fail(err, WR_CLASS_USER, "format 'avro' needs the schema that records were written with");
            wr_error_hint(err, "add schema = 'file.avsc', or registry = 'http://…'");
            return WR_FAIL;
        }
        struct wr_registry *registry = NULL; /* its address; what it has is seen when the run begins */
        WR_TRY(wr_registry_open(&registry, options, err));
        wr_registry_close(registry);
        return WR_OK;
    }
    WR_TRY(file != NULL ? wr_avro_schema_of_file(&schema, file, err)
                        : of_registry(&schema, options, err));
    const wr_status status = columns->count == 0 ? derive(schema, arena, columns, err)
                                                 : check(schema, options, columns, arena, err);
    wr_avro_schema_destroy(schema);
    return status;
}
