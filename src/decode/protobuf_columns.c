/* protobuf_columns.c: schemas that options name, and what CREATE SOURCE learns from them: the columns, or whether they can be
 * filled. */
#include "base/heap.h"
#include "base/limits.h"
#include "batch/text.h"
#include "decode/protobuf.h"
#include "decode/protobuf_internal.h"
#include <stdio.h>

/* Messages within messages become STRUCTs down to here, then JSON: an ARRAY at each level must still fit nested.h's depth. */
#define STRUCTS_MAX 7u
_Static_assert(2 * STRUCTS_MAX + 2 <= WR_NESTED_DEPTH_MAX, "a list of structs in each struct");

/* Descriptor sets are larger than the texts that they were made of. */
#define FILE_BYTES_MAX (4 * (size_t)WR_PROTOBUF_SCHEMA_BYTES_MAX)

/* How far above a .proto file its imports are looked for: they are named from the root of the sources. */
#define ABOVE_MAX 8u

/* ---- files ---- */

static bool has_file(const struct wr_protobuf_schema *schema, const char *name)
{
    for (const struct wr_protobuf_file *f = schema->files; f != NULL; f = f->next) {
        if (strcmp(f->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* From the directory of the main file upwards. */
static wr_status read_import(const char *main_path, const char *name, struct wr_buf *text,
                             struct wr_error *err)
{
    char path[4096];
    const char *slash = strrchr(main_path, '/');
    int keep = slash != NULL ? (int)(slash - main_path) + 1 : 0;
    char above[3 * ABOVE_MAX + 1] = "";
    for (uint32_t i = 0; i <= ABOVE_MAX; i++) {
        const int made = snprintf(path, sizeof path, "%.*s%s%s", keep, main_path, above, name);
        if (made > 0 && (size_t)made < sizeof path && wr_schema_read_file(path, FILE_BYTES_MAX, text)) {
            return WR_OK;
        }
        if (i < ABOVE_MAX) {
            memcpy(above + (size_t)3 * i, "../", 4);
        }
    }
    wr_fail(err, WR_CLASS_USER, "\"%.200s\" is imported, and neither in the directory of the schema nor in one above", name);
    wr_error_hint(err, "put it there, or name a descriptor set: protoc --include_imports -o schema.desc FILE");
    return WR_FAIL;
}

static wr_status load_imports(struct wr_protobuf_schema *schema, const struct wr_protobuf_file *file,
                              const char *main_path, uint32_t *loaded, struct wr_error *err)
{
    for (uint32_t i = 0; i < file->import_count; i++) {
        const char *name = file->imports[i];
        struct wr_buf text = { 0 };
        if (wr_protobuf_is_built_in(name) || has_file(schema, name)) {
            continue;
        }
        wr_ensure(++*loaded <= WR_PROTOBUF_IMPORTS_MAX, err, WR_CLASS_USER, "more than 256 files are imported");
        wr_status status = read_import(main_path, name, &text, err);
        if (status == WR_OK) {
            status = wr_protobuf_add_text(schema, name, (struct wr_slice){ text.data != NULL ? text.data : "", text.bytes }, err);
            if (status == WR_FAIL) {
                wr_error_prefix(err, "%.200s", name);
            }
        }
        wr_buf_deinit(&text);
        WR_TRY(status);
        WR_TRY(load_imports(schema, schema->files, main_path, loaded, err));
    }
    return WR_OK;
}

/* Puts the file first again: it is the main one. */
static void make_main(struct wr_protobuf_schema *schema, struct wr_protobuf_file *file)
{
    struct wr_protobuf_file **at = &schema->files;
    while (*at != file) {
        at = &(*at)->next;
    }
    *at = file->next;
    file->next = schema->files;
    schema->files = file;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t bytes = strlen(text);
    return bytes >= strlen(end) && strcmp(text + bytes - strlen(end), end) == 0;
}

static wr_status parse_file(struct wr_protobuf_schema *schema, const char *path, struct wr_slice text,
                            struct wr_error *err)
{
    uint32_t loaded = 0;
    if (!ends_with(path, ".proto")) {
        WR_TRY(wr_protobuf_add_set(schema, text, err));
        return wr_protobuf_link(schema, err);
    }
    const char *slash = strrchr(path, '/');
    WR_TRY(wr_protobuf_add_text(schema, slash != NULL ? slash + 1 : path, text, err));
    struct wr_protobuf_file *file = schema->files;
    WR_TRY(load_imports(schema, file, path, &loaded, err));
    make_main(schema, file);
    return wr_protobuf_link(schema, err);
}

/* What was begun: done, or given up. */
static wr_status made_schema(void **schema, struct wr_protobuf_schema *made, wr_status status)
{
    *schema = made;
    if (status == WR_FAIL) {
        wr_protobuf_schema_destroy(made);
        *schema = NULL;
    }
    return status;
}

static wr_status schema_of_file(void **schema, const char *path, struct wr_slice text, struct wr_error *err)
{
    struct wr_protobuf_schema *made = wr_protobuf_schema_create();
    const wr_status status = parse_file(made, path, text, err);
    if (status == WR_FAIL && err != NULL && err->hint[0] == '\0') {
        wr_error_hint(err, "%s", ends_with(path, ".proto")
                                     ? "see what protoc says of it"
                                     : "make it with: protoc --include_imports -o schema.desc FILE.proto (text ends in .proto)");
    }
    return made_schema(schema, made, status);
}

/* ---- other origins ---- */

/* Nothing but the alphabet in the beginning: a .proto text has blanks or signs. */
static bool is_base64(struct wr_slice text)
{
    size_t looked = 0;
    for (; looked < text.bytes && looked < 64; looked++) {
        const char c = text.data[looked];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && strchr("+/=-_", c) == NULL) {
            return false;
        }
    }
    return looked > 0;
}

static wr_status add_base64(struct wr_protobuf_schema *schema, struct wr_slice text, struct wr_error *err)
{
    char *bytes = wr_malloc(text.bytes / 4 * 3 + 3);
    struct wr_slice made = { bytes, 0 };
    wr_status status = WR_FAIL;
    if (text.bytes > 4 * (size_t)WR_PROTOBUF_SCHEMA_BYTES_MAX || !wr_text_parse_base64(text, bytes, &made.bytes)) {
        wr_fail(err, WR_CLASS_DATA, "the schema is neither .proto text nor a descriptor in base64");
    } else {
        status = wr_protobuf_add_descriptor(schema, made, err);
    }
    free(bytes);
    return status;
}

static wr_status add_texts(struct wr_protobuf_schema *schema, const struct wr_slice *texts,
                           uint32_t count, struct wr_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        WR_TRY(is_base64(texts[i]) ? add_base64(schema, texts[i], err)
                                   : wr_protobuf_add_text(schema, "", texts[i], err));
    }
    return wr_protobuf_link(schema, err);
}

static wr_status schema_of_texts(void **schema, const struct wr_slice *texts, uint32_t count,
                                 struct wr_error *err)
{
    struct wr_protobuf_schema *made = wr_protobuf_schema_create();
    const wr_status status = add_texts(made, texts, count, err);
    if (status == WR_FAIL) {
        wr_error_prefix(err, "the registry's schema");
    }
    return made_schema(schema, made, status);
}

/* A descriptor set's first byte is the tag of its first file, the next its length: a text's is not followed by a 0x0a again. */
wr_status wr_protobuf_schema_of_bytes(struct wr_protobuf_schema **schema, struct wr_slice bytes,
                                      struct wr_error *err)
{
    struct wr_proto_reader r = wr_proto_read(bytes);
    struct wr_proto_field f = { 0 };
    const bool set = bytes.bytes > 0 && bytes.data[0] == 0x0a && wr_proto_next(&r, &f) &&
                     f.bytes.bytes > 0 && f.bytes.data[0] == 0x0a;
    *schema = wr_protobuf_schema_create();
    wr_status status = set ? wr_protobuf_add_set(*schema, bytes, err)
                           : wr_protobuf_add_text(*schema, "", bytes, err);
    if (status == WR_OK) {
        status = wr_protobuf_link(*schema, err);
    }
    if (status == WR_FAIL) {
        wr_protobuf_schema_destroy(*schema);
        *schema = NULL;
    }
    return status;
}

/* ---- the message ---- */

wr_status wr_protobuf_choose(const struct wr_protobuf_schema *schema, const char *name, bool first,
                             const struct wr_protobuf_message **message, struct wr_error *err)
{
    const struct wr_protobuf_file *file = schema->files;
    struct wr_buf names = { 0 };
    for (uint32_t i = 0; i < file->message_count && names.bytes < 200; i++) {
        wr_buf_printf(&names, "%s%s", i > 0 ? ", " : "", file->messages[i]->name);
    }
    if (name != NULL) {
        *message = wr_protobuf_find(schema, name);
    } else {
        *message = file->message_count == 1 || (first && file->message_count > 0) ? file->messages[0] : NULL;
    }
    if (*message == NULL) {
        wr_fail(err, WR_CLASS_USER, name != NULL ? "the schema has no message \"%.100s\"" : "the schema has %s",
                name != NULL                ? name
                : file->message_count == 0 ? "no message"
                                            : "several messages, and nothing says which one the records are");
        wr_error_hint(err, "say message = '…', with one of: %.300s", names.bytes > 0 ? wr_buf_cstr(&names) : "(none)");
    }
    wr_buf_deinit(&names);
    return *message != NULL ? WR_OK : WR_FAIL;
}

/* ---- columns out of a schema ---- */

struct deriver {
    const struct wr_protobuf_message *open[STRUCTS_MAX]; /* on the way: a message in itself is JSON */
    uint32_t depth;
};

static struct wr_type type_of(struct deriver *d, const struct wr_protobuf_field *field, bool one);

static bool is_open(const struct deriver *d, const struct wr_protobuf_message *message)
{
    for (uint32_t i = 0; i < d->depth; i++) {
        if (d->open[i] == message) {
            return true;
        }
    }
    return false;
}

/* JSON where no STRUCT can be made: without fields, recursive, too deep, too many. */
static struct wr_type type_of_message(struct deriver *d, const struct wr_protobuf_message *message)
{
    struct wr_type type = wr_type_of(WR_TYPE_JSON);
    if (message->field_count == 0 || message->field_count > WR_NESTED_FIELDS_MAX ||
        d->depth == STRUCTS_MAX || is_open(d, message)) {
        return type;
    }
    struct wr_nested_field *fields = wr_calloc(message->field_count, sizeof *fields);
    d->open[d->depth++] = message;
    for (uint32_t i = 0; i < message->field_count; i++) {
        fields[i] = (struct wr_nested_field){ message->fields[i].name, type_of(d, &message->fields[i], false) };
    }
    d->depth--;
    struct wr_type made;
    if (wr_nested_struct(fields, message->field_count, &made, NULL) == WR_OK) {
        type = made;
    }
    free(fields);
    return type;
}

static struct wr_type type_of(struct deriver *d, const struct wr_protobuf_field *field, bool one)
{
    struct wr_type made;
    const struct wr_type natural = wr_protobuf_natural(field);
    if (field->repeated && !one && field->message != NULL && field->message->map_entry) {
        const struct wr_protobuf_message *entry = field->message;
        const struct wr_type value = type_of(d, entry->by_number[1], true);
        return wr_nested_map(wr_protobuf_natural(entry->by_number[0]), value, &made, NULL) == WR_OK
                   ? made
                   : wr_type_of(WR_TYPE_JSON);
    }
    if (field->repeated && !one) {
        return wr_nested_array(type_of(d, field, true), &made, NULL) == WR_OK ? made
                                                                              : wr_type_of(WR_TYPE_JSON);
    }
    if (field->message == NULL || field->message->known != WR_PROTOBUF_ORDINARY) {
        return natural;
    }
    return type_of_message(d, field->message);
}

struct wr_type wr_protobuf_column_type(const struct wr_protobuf_message *message,
                                       const struct wr_protobuf_field *field)
{
    struct deriver d = { .open = { message }, .depth = 1 };
    return type_of(&d, field, false);
}

static wr_status derive(const struct wr_protobuf_message *message, struct wr_arena *arena,
                        struct wr_schema *columns, struct wr_error *err)
{
    wr_ensure(message->field_count > 0, err, WR_CLASS_USER, "message %.200s has no fields", message->name);
    wr_ensure(message->field_count <= WR_COLUMNS_MAX, err, WR_CLASS_USER,
              "message %.200s has more than %u fields: declare the columns that are used", message->name, WR_COLUMNS_MAX);
    columns->fields = WR_ARENA_ARRAY(arena, struct wr_field, message->field_count);
    for (uint32_t i = 0; i < message->field_count; i++) {
        const struct wr_protobuf_field *field = &message->fields[i];
        columns->fields[i] = wr_schema_field(field->name, i, arena);
        columns->fields[i].type = wr_protobuf_column_type(message, field);
    }
    columns->count = message->field_count;
    return WR_OK;
}

/* ---- the format's table ---- */

static void destroy_schema(void *schema)
{
    wr_protobuf_schema_destroy(schema);
}

/* A subject's first message is what Confluent's serializers write when nothing is said. */
static wr_status choose(const struct wr_protobuf_schema *schema, const struct wr_options *options,
                        const struct wr_protobuf_message **message, struct wr_error *err)
{
    return wr_protobuf_choose(schema, wr_options_text(options, "message"), !wr_options_has(options, "schema"),
                              message, err);
}

static wr_status derive_columns(const void *schema, const struct wr_options *options, struct wr_arena *arena,
                                struct wr_schema *columns, struct wr_error *err)
{
    const struct wr_protobuf_message *message = NULL;
    WR_TRY(choose(schema, options, &message, err));
    return derive(message, arena, columns, err);
}

static wr_status check_columns(const void *schema, const struct wr_options *options,
                               const struct wr_schema_column *columns, uint32_t count, struct wr_error *err)
{
    const struct wr_protobuf_message *message = NULL;
    struct wr_protobuf_program *program = NULL;
    const char *field = NULL;
    WR_TRY(choose(schema, options, &message, err));
    const wr_status status = wr_protobuf_compile(&program, message, message, columns, count,
                                                 wr_decoder_unit_digits(options), &field, err);
    wr_protobuf_program_destroy(program);
    if (status == WR_FAIL) {
        wr_schema_compile_failed(field, wr_options_text(options, "schema"), err);
    }
    return status;
}

wr_status wr_protobuf_columns(const struct wr_options *options, struct wr_arena *arena,
                              struct wr_schema *columns, struct wr_error *err)
{
    return wr_schema_columns(&wr_protobuf_format, options, arena, columns, err);
}

const struct wr_schema_format wr_protobuf_format = {
    .name = "protobuf",
    .title = "Protobuf",
    .records = "messages",
    .registry_type = "PROTOBUF",
    .file = "file.proto",
    .file_options = " and message = '…'",
    .file_hint = "a .proto file or a descriptor set",
    .file_bytes_max = FILE_BYTES_MAX,
    .of_file = schema_of_file,
    .of_texts = schema_of_texts,
    .destroy = destroy_schema,
    .derive = derive_columns,
    .check = check_columns,
};
