/* schema_columns.c: see schema_columns.h. */
#include "decode/schema_columns.h"

#include <errno.h>
#include <stdio.h>

/* ---- schemas that options name ---- */

bool wr_schema_read_file(const char *path, size_t bytes_max, struct wr_buf *text)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        return false;
    }
    text->bytes = 0;
    while (text->bytes <= bytes_max) {
        const size_t got = fread(wr_buf_reserve(text, 65536), 1, 65536, file);
        text->bytes += got;
        if (got == 0) {
            break;
        }
    }
    const int problem = ferror(file) != 0 ? errno : 0;
    fclose(file);
    errno = problem;
    return problem == 0;
}

static void blame_user(struct wr_error *err)
{
    if (err != NULL) {
        err->cls = WR_CLASS_USER;
    }
}

wr_status wr_schema_of_file(const struct wr_schema_format *format, void **schema, const char *path,
                            struct wr_error *err)
{
    struct wr_buf text = { 0 };
    if (!wr_schema_read_file(path, format->file_bytes_max, &text)) {
        wr_fail(err, WR_CLASS_USER, "schema = '%.300s': %s", path, strerror(errno));
        wr_error_hint(err, "name %s, as seen from where weir is started", format->file_hint);
        wr_buf_deinit(&text);
        return WR_FAIL;
    }
    const struct wr_slice slice = { text.data != NULL ? text.data : "", text.bytes };
    const wr_status status = format->of_file(schema, path, slice, err);
    if (status == WR_FAIL) {
        wr_error_prefix(err, "%.300s", path);
        blame_user(err);
    }
    wr_buf_deinit(&text);
    return status;
}

wr_status wr_schema_of_answer(const struct wr_schema_format *format, void **schema,
                              const struct wr_registry_schema *answer, struct wr_error *err)
{
    wr_ensure(strcmp(answer->type, format->registry_type) == 0, err, WR_CLASS_DATA,
              "the registry's schema is of type %.40s, not %s", answer->type, format->registry_type);
    return format->of_texts(schema, answer->texts, answer->text_count, err);
}

wr_status wr_schema_of_subject(const struct wr_schema_format *format, void **schema,
                               struct wr_registry *registry, const char *subject, struct wr_error *err)
{
    const struct wr_registry_key key = { .kind = WR_REGISTRY_SUBJECT, .subject = subject };
    const struct wr_registry_schema *answer = NULL;
    wr_status status = wr_registry_wait(registry, &key, &answer, err);
    if (status == WR_OK) {
        status = wr_schema_of_answer(format, schema, answer, err);
    }
    if (status == WR_FAIL) {
        blame_user(err);
        wr_error_hint(err, "see that the registry runs and knows the subject: curl "
                           "REGISTRY/subjects");
    }
    return status;
}

/* ---- columns ---- */

uint32_t wr_schema_columns_of(const struct wr_schema *fields, struct wr_arena *arena,
                              struct wr_schema_column **columns)
{
    uint32_t count = 0;
    *columns = WR_ARENA_ARRAY(arena, struct wr_schema_column, fields->count + 1);
    for (uint32_t i = 0; i < fields->count; i++) {
        const struct wr_field *field = &fields->fields[i];
        if (field->path != NULL && field->path_count > 0) {
            (*columns)[count++] = (struct wr_schema_column){ .path = field->path,
                                                             .path_count = field->path_count,
                                                             .dotted = wr_decoder_dotted(field, arena),
                                                             .type = field->type,
                                                             .not_null = field->not_null,
                                                             .index = i };
        }
    }
    return count;
}

struct wr_field wr_schema_field(const char *name, uint32_t index, struct wr_arena *arena)
{
    const char **path = WR_ARENA_ARRAY(arena, const char *, 1);
    path[0] = wr_arena_strdup(arena, name);
    return (struct wr_field){ .name = path[0],
                              .path = path,
                              .path_count = 1,
                              .declared = index,
                              .field_id = index + 1 };
}

void wr_schema_compile_failed(const char *field, const char *where, struct wr_error *err)
{
    if (field != NULL) {
        wr_error_prefix(err, "column \"%.100s\"", field);
    }
    wr_error_prefix(err, "%.300s", where);
    wr_error_hint(err, "declare the column as the schema has it (TEXT and JSON take most), or leave the columns out: "
                       "the schema gives them");
    blame_user(err);
}

/* ---- for the binder ---- */

/* Connectors that take their records out of text. */
static wr_status check_connector(const struct wr_schema_format *format, const struct wr_options *options,
                                 struct wr_error *err)
{
    const char *connector = wr_options_text(options, "connector");
    if (connector != NULL &&
        (strcmp(connector, "http") == 0 || (strcmp(connector, "file") == 0 && !format->containers))) {
        wr_fail(err, WR_CLASS_USER, "connector '%s' cuts its input at line ends, which %s's binary %s do not have",
                connector, format->title, format->records);
        wr_error_hint(err, "read them from a log such as Kafka, or write them as JSON");
        return WR_FAIL;
    }
    return WR_OK;
}

static wr_status of_registry(const struct wr_schema_format *format, void **schema,
                             const struct wr_options *options, struct wr_error *err)
{
    struct wr_registry *registry = NULL;
    const char *subject = wr_options_text(options, "subject");
    if (!wr_options_has(options, "registry") || subject == NULL) {
        wr_fail(err, WR_CLASS_USER, "the source has no columns, and no schema that gives them");
        wr_error_hint(err, "declare columns, or say schema = '%s', or registry = 'http://…' with subject = '…'",
                      format->file);
        return WR_FAIL;
    }
    WR_TRY(wr_registry_open(&registry, options, err));
    const wr_status status = wr_schema_of_subject(format, schema, registry, subject, err);
    wr_registry_close(registry);
    return status;
}

/* Columns are declared, and the schemas are a registry's: what it has is seen when the run begins. */
static wr_status check_registry(const struct wr_schema_format *format, const struct wr_options *options,
                                struct wr_error *err)
{
    struct wr_registry *registry = NULL;
    if (!wr_options_has(options, "registry")) {
        wr_fail(err, WR_CLASS_USER, "format '%s' needs the schema that records were written with", format->name);
        wr_error_hint(err, "add schema = '%s'%s, or registry = 'http://…'", format->file, format->file_options);
        return WR_FAIL;
    }
    WR_TRY(wr_registry_open(&registry, options, err)); /* its address */
    wr_registry_close(registry);
    return WR_OK;
}

wr_status wr_schema_columns(const struct wr_schema_format *format, const struct wr_options *options,
                            struct wr_arena *arena, struct wr_schema *columns, struct wr_error *err)
{
    const char *file = wr_options_text(options, "schema");
    struct wr_schema_column *wanted;
    void *schema = NULL;
    WR_TRY(check_connector(format, options, err));
    if (columns->count > 0 && file == NULL) {
        return check_registry(format, options, err);
    }
    WR_TRY(file != NULL ? wr_schema_of_file(format, &schema, file, err)
                        : of_registry(format, &schema, options, err));
    const uint32_t count = wr_schema_columns_of(columns, arena, &wanted);
    const wr_status status = columns->count == 0 ? format->derive(schema, options, arena, columns, err)
                                                 : format->check(schema, options, wanted, count, err);
    format->destroy(schema);
    return status;
}
