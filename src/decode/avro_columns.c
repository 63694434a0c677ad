/* avro_columns.c: what CREATE SOURCE learns from an Avro schema: its columns, or whether it can fill those declared. */
#include "base/heap.h"
#include "base/limits.h"
#include "decode/avro.h"
#include "decode/avro_container.h"
#include "decode/avro_internal.h"
#include "decode/avro_value.h"
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <sys/stat.h>

/* Records on the way to a type, from the outermost: one in itself becomes JSON. */
struct nesting {
    const struct wr_avro_node *open[WR_NESTED_DEPTH_MAX];
    uint32_t depth; /* of nested types, also arrays and maps */
};

/* ---- columns out of a schema ---- */

static struct wr_type scalar_type(const struct wr_avro_node *node)
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

static bool is_open(const struct nesting *n, const struct wr_avro_node *record)
{
    for (uint32_t i = 0; i < n->depth; i++) {
        if (n->open[i] == record) {
            return true;
        }
    }
    return false;
}

static wr_status type_of(struct nesting *n, const struct wr_avro_node *node, struct wr_type *type,
                         struct wr_error *err);

static wr_status record_type(struct nesting *n, const struct wr_avro_node *record,
                             struct wr_type *type, struct wr_error *err)
{
    struct wr_nested_field *fields = wr_calloc(record->count, sizeof *fields);
    wr_status status = WR_OK;
    for (uint32_t i = 0; i < record->count && status == WR_OK; i++) {
        fields[i].name = record->fields[i].name;
        status = type_of(n, record->fields[i].type, &fields[i].type, err);
    }
    if (status == WR_OK) {
        status = wr_nested_struct(fields, record->count, type, err);
    }
    free(fields);
    return status;
}

/* The type of a column, or of a part of one, that is declared by nobody: what no type can say is JSON. */
static wr_status type_of(struct nesting *n, const struct wr_avro_node *node, struct wr_type *type,
                         struct wr_error *err)
{
    uint32_t null_index;
    const struct wr_avro_node *inner = wr_avro_optional(node, &null_index);
    node = inner != NULL ? inner : node;
    *type = scalar_type(node);
    const bool record = node->kind == WR_AVRO_RECORD && node->count > 0 &&
                        node->count <= WR_NESTED_FIELDS_MAX && !is_open(n, node);
    if ((!record && node->kind != WR_AVRO_ARRAY && node->kind != WR_AVRO_MAP) ||
        n->depth == WR_NESTED_DEPTH_MAX) {
        return WR_OK;
    }
    n->open[n->depth++] = node;
    wr_status status = record ? record_type(n, node, type, err)
                              : type_of(n, node->types[0], type, err);
    if (status == WR_OK && node->kind == WR_AVRO_ARRAY) {
        status = wr_nested_array(*type, type, err);
    } else if (status == WR_OK && node->kind == WR_AVRO_MAP) {
        status = wr_nested_map(wr_type_of(WR_TYPE_TEXT), *type, type, err);
    }
    n->depth--;
    return status;
}

static wr_status set_column(struct wr_field *field, const struct wr_avro_field *from,
                            uint32_t index, struct wr_arena *arena, struct wr_error *err)
{
    struct nesting n = { 0 };
    *field = wr_schema_field(from->name, index, arena);
    WR_TRY_IN(type_of(&n, from->type, &field->type, err), err, "field \"%.60s\"", from->name);
    return WR_OK;
}

static wr_status derive(const struct wr_avro_schema *schema, struct wr_arena *arena,
                        struct wr_schema *columns, struct wr_error *err)
{
    const struct wr_avro_node *root = schema->root;
    wr_ensure(root->kind == WR_AVRO_RECORD, err, WR_CLASS_USER,
              "columns can be taken from a schema of one record only: declare them");
    wr_ensure(root->count > 0, err, WR_CLASS_USER, "the schema's record has no fields");
    wr_ensure(root->count <= WR_COLUMNS_MAX, err, WR_CLASS_USER,
              "the schema has more than %u fields: declare the columns that are used",
              WR_COLUMNS_MAX);
    struct wr_field *fields = WR_ARENA_ARRAY(arena, struct wr_field, root->count);
    for (uint32_t i = 0; i < root->count; i++) {
        WR_TRY(set_column(&fields[i], &root->fields[i], i, arena, err));
    }
    columns->fields = fields;
    columns->count = root->count;
    return WR_OK;
}

wr_status wr_avro_columns_for(struct wr_slice text, struct wr_arena *arena,
                              struct wr_schema *columns, struct wr_error *err)
{
    struct wr_avro_schema *schema = NULL;
    WR_TRY(wr_avro_schema_parse(&schema, &text, 1, err));
    const wr_status status = derive(schema, arena, columns, err);
    wr_avro_schema_destroy(schema);
    return status;
}

/* ---- container files ---- */

/* The first file that the option names; the caller's to free, NULL: none (the connector will say so). */
static char *first_file(const struct wr_options *options)
{
    uint32_t count = 0;
    const char *const *paths = wr_options_list(options, "path", &count);
    glob_t found = { 0 };
    char *first = NULL;
    struct stat info;
    struct wr_buf inside = { 0 };
    if (count == 0 || strcmp(paths[0], "-") == 0) {
        return NULL;
    }
    if (stat(paths[0], &info) == 0 && S_ISDIR(info.st_mode)) {
        wr_buf_printf(&inside, "%s/*", paths[0]);
    } else {
        wr_buf_text(&inside, paths[0]);
    }
    if (glob(wr_buf_cstr(&inside), 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc && first == NULL; i++) {
            const bool file = stat(found.gl_pathv[i], &info) == 0 && S_ISREG(info.st_mode);
            first = file ? wr_strdup(found.gl_pathv[i]) : NULL;
        }
    }
    globfree(&found);
    wr_buf_deinit(&inside);
    return first;
}

static wr_status read_header(const char *path, struct wr_buf *text, struct wr_avro_header *header,
                             struct wr_error *err)
{
    wr_status status = WR_AGAIN;
    FILE *file = fopen(path, "rbe");
    wr_ensure(file != NULL, err, WR_CLASS_USER, "%.300s: %s", path, strerror(errno));
    while (status == WR_AGAIN) {
        const size_t got = fread(wr_buf_reserve(text, 65536), 1, 65536, file);
        text->bytes += got;
        status = got == 0 ? wr_fail(err, WR_CLASS_USER, "the file ends within its header")
                          : wr_avro_header_read(header, text->data, text->bytes, err);
    }
    fclose(file);
    if (status == WR_FAIL) {
        wr_error_prefix(err, "%.300s", path);
        wr_error_hint(err, "connector 'file' with format 'avro' reads container files (.avro)");
        if (err != NULL) {
            err->cls = WR_CLASS_USER;
        }
    }
    return status;
}

/* The schema of the first file; *schema stays NULL when there is none to look at. */
static wr_status of_container(struct wr_avro_schema **schema, const struct wr_options *options,
                              struct wr_error *err)
{
    char *path = first_file(options);
    struct wr_buf text = { 0 };
    struct wr_avro_header header;
    if (path == NULL) {
        return WR_OK;
    }
    wr_status status = read_header(path, &text, &header, err);
    if (status == WR_OK) {
        status = wr_avro_schema_parse(schema, &header.schema, 1, err);
    }
    wr_buf_deinit(&text);
    free(path);
    return status;
}

/* As wr_avro_columns, without a schema or registry: the files' own schema. A packed file has to be declared. */
static wr_status columns_of_container(const struct wr_options *options, struct wr_arena *arena,
                                      struct wr_schema *columns, struct wr_error *err)
{
    struct wr_avro_schema *schema = NULL;
    if (columns->count > 0) {
        return WR_OK; /* what a file cannot fill is seen record by record: files differ */
    }
    WR_TRY(of_container(&schema, options, err));
    if (schema == NULL) {
        wr_fail(err, WR_CLASS_USER, "the source has no columns, and no file to take them from");
        wr_error_hint(err, "declare columns, or say schema = 'file.avsc'");
        return WR_FAIL;
    }
    const wr_status status = derive(schema, arena, columns, err);
    wr_avro_schema_destroy(schema);
    return status;
}

wr_status wr_avro_columns(const struct wr_options *options, struct wr_arena *arena,
                          struct wr_schema *columns, struct wr_error *err)
{
    const char *connector = wr_options_text(options, "connector");
    if (connector != NULL && strcmp(connector, "file") == 0 && !wr_options_has(options, "schema") &&
        !wr_options_has(options, "registry")) {
        return columns_of_container(options, arena, columns, err);
    }
    return wr_schema_columns(&wr_avro_format, options, arena, columns, err);
}

/* ---- the format's table ---- */

static wr_status schema_of_texts(void **schema, const struct wr_slice *texts, uint32_t count,
                                 struct wr_error *err)
{
    struct wr_avro_schema *made = NULL;
    const wr_status status = wr_avro_schema_parse(&made, texts, count, err);
    *schema = made;
    return status;
}

static wr_status schema_of_file(void **schema, const char *path, struct wr_slice text, struct wr_error *err)
{
    const wr_status status = schema_of_texts(schema, &text, 1, err);
    if (status == WR_FAIL) {
        wr_error_hint(err, "an Avro schema is JSON: {\"type\": \"record\", \"name\": \"…\", \"fields\": […]}");
    }
    return status;
}

static void destroy_schema(void *schema)
{
    wr_avro_schema_destroy(schema);
}

static wr_status derive_columns(const void *schema, const struct wr_options *options, struct wr_arena *arena,
                                struct wr_schema *columns, struct wr_error *err)
{
    return derive(schema, arena, columns, err);
}

static wr_status check_columns(const void *schema, const struct wr_options *options,
                               const struct wr_schema_column *columns, uint32_t count, struct wr_error *err)
{
    const struct wr_avro_schema *own = schema;
    struct wr_avro_program *program = NULL;
    const char *field = NULL;
    const wr_status status = wr_avro_compile(&program, own->root, own->root, columns, count,
                                             wr_decoder_unit_digits(options), &field, err);
    wr_avro_program_destroy(program);
    if (status == WR_FAIL) {
        wr_schema_compile_failed(field, wr_options_text(options, "schema"), err);
    }
    return status;
}

const struct wr_schema_format wr_avro_format = {
    .name = "avro",
    .title = "Avro",
    .records = "records",
    .registry_type = "AVRO",
    .file = "file.avsc",
    .file_options = "",
    .file_hint = "a file that holds an Avro schema",
    .file_bytes_max = WR_AVRO_SCHEMA_BYTES_MAX,
    .containers = true,
    .of_file = schema_of_file,
    .of_texts = schema_of_texts,
    .destroy = destroy_schema,
    .derive = derive_columns,
    .check = check_columns,
};
