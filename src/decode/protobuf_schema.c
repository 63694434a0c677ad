/* protobuf_schema.c: see protobuf_schema.h. */
#include "decode/protobuf_schema.h"

#include "base/heap.h"
#include "decode/proto_text.h"
#include <stdio.h>
#include <strings.h>

struct wr_protobuf_symbol {
    const char *name;
    const struct wr_protobuf_message *message; /* else an enum */
    const struct wr_protobuf_enum *choices;
};

/* ---- making ---- */

struct wr_protobuf_schema *wr_protobuf_schema_create(void)
{
    struct wr_protobuf_schema *schema = wr_calloc(1, sizeof *schema);
    wr_arena_init(&schema->arena, 16384);
    return schema;
}

void wr_protobuf_schema_destroy(struct wr_protobuf_schema *schema)
{
    if (schema != NULL) {
        wr_arena_deinit(&schema->arena);
        free(schema);
    }
}

/* Room for one more item behind count of them: doubled whenever count is a power of two. */
static void *grow(struct wr_arena *arena, void *items, uint32_t count, size_t item_bytes)
{
    if ((count & (count - 1)) != 0) {
        return items;
    }
    char *more = wr_arena_zalloc(arena, item_bytes * (count == 0 ? 1 : (size_t)count * 2));
    if (count > 0) {
        memcpy(more, items, item_bytes * count);
    }
    return more;
}

struct wr_protobuf_file *wr_protobuf_file_add(struct wr_protobuf_schema *schema)
{
    struct wr_protobuf_file *file = WR_ARENA_NEW(&schema->arena, struct wr_protobuf_file);
    file->name = file->package = "";
    file->next = schema->files;
    schema->files = file;
    return file;
}

struct wr_protobuf_message *wr_protobuf_message_add(struct wr_protobuf_schema *schema,
                                                    struct wr_protobuf_file *file,
                                                    struct wr_protobuf_message *outer)
{
    struct wr_protobuf_message *message = WR_ARENA_NEW(&schema->arena, struct wr_protobuf_message);
    struct wr_protobuf_message ***list = outer != NULL ? &outer->messages : &file->messages;
    uint32_t *count = outer != NULL ? &outer->message_count : &file->message_count;
    *list = grow(&schema->arena, *list, *count, sizeof **list);
    (*list)[(*count)++] = message;
    message->name = "";
    message->next = schema->messages;
    schema->messages = message;
    return message;
}

struct wr_protobuf_field *wr_protobuf_field_add(struct wr_protobuf_schema *schema,
                                                struct wr_protobuf_message *message)
{
    message->fields =
        grow(&schema->arena, message->fields, message->field_count, sizeof *message->fields);
    struct wr_protobuf_field *field = &message->fields[message->field_count++];
    *field = (struct wr_protobuf_field){ .name = "" };
    return field;
}

struct wr_protobuf_enum *wr_protobuf_enum_add(struct wr_protobuf_schema *schema)
{
    struct wr_protobuf_enum *choices = WR_ARENA_NEW(&schema->arena, struct wr_protobuf_enum);
    choices->name = "";
    choices->next = schema->enums;
    schema->enums = choices;
    return choices;
}

struct wr_protobuf_value *wr_protobuf_value_add(struct wr_protobuf_schema *schema,
                                                struct wr_protobuf_enum *choices)
{
    choices->values =
        grow(&schema->arena, choices->values, choices->count, sizeof *choices->values);
    struct wr_protobuf_value *value = &choices->values[choices->count++];
    *value = (struct wr_protobuf_value){ .name = "", .order = choices->count };
    return value;
}

void wr_protobuf_import_add(struct wr_protobuf_schema *schema, struct wr_protobuf_file *file,
                            const char *name)
{
    file->imports = grow(&schema->arena, file->imports, file->import_count, sizeof *file->imports);
    file->imports[file->import_count++] = name;
}

const char *wr_protobuf_full_name(struct wr_protobuf_schema *schema, const char *scope,
                                  const char *name)
{
    if (strlen(scope) + strlen(name) > WR_PROTOBUF_NAME_BYTES_MAX) {
        return NULL;
    }
    return *scope == '\0' ? wr_arena_strdup(&schema->arena, name)
                          : wr_arena_printf(&schema->arena, "%s.%s", scope, name);
}

wr_status wr_protobuf_add_text(struct wr_protobuf_schema *schema, const char *name,
                               struct wr_slice text, struct wr_error *err)
{
    return wr_proto_text_parse(schema, name, text, err);
}

/* ---- what is built in ---- */

static const struct {
    const char *name;
    const char *text;
} built_in[] = {
    { "google/protobuf/timestamp.proto",
      "syntax='proto3';package google.protobuf;message Timestamp{int64 seconds=1;int32 nanos=2;}" },
    { "google/protobuf/duration.proto",
      "syntax='proto3';package google.protobuf;message Duration{int64 seconds=1;int32 nanos=2;}" },
    { "google/protobuf/wrappers.proto",
      "syntax='proto3';package google.protobuf;message DoubleValue{double value=1;}"
      "message FloatValue{float value=1;}message Int64Value{int64 value=1;}"
      "message UInt64Value{uint64 value=1;}message Int32Value{int32 value=1;}"
      "message UInt32Value{uint32 value=1;}message BoolValue{bool value=1;}"
      "message StringValue{string value=1;}message BytesValue{bytes value=1;}" },
    { "google/protobuf/struct.proto",
      "syntax='proto3';package google.protobuf;message Struct{map<string,Value> fields=1;}"
      "message Value{oneof kind{NullValue null_value=1;double number_value=2;string string_value=3;"
      "bool bool_value=4;Struct struct_value=5;ListValue list_value=6;}}"
      "enum NullValue{NULL_VALUE=0;}message ListValue{repeated Value values=1;}" },
    { "google/protobuf/any.proto",
      "syntax='proto3';package google.protobuf;message Any{string type_url=1;bytes value=2;}" },
    { "google/protobuf/empty.proto", "syntax='proto3';package google.protobuf;message Empty{}" },
    { "google/protobuf/field_mask.proto",
      "syntax='proto3';package google.protobuf;message FieldMask{repeated string paths=1;}" },
    { "confluent/type/decimal.proto",
      "syntax='proto3';package confluent.type;message Decimal{bytes value=1;uint32 precision=2;"
      "int32 scale=3;}" },
    /* They declare options, which mean nothing to a decoder. */
    { "google/protobuf/descriptor.proto", NULL },
    { "confluent/meta.proto", NULL },
};

#define BUILT_IN (sizeof built_in / sizeof built_in[0])

bool wr_protobuf_is_built_in(const char *import)
{
    for (size_t i = 0; i < BUILT_IN; i++) {
        if (strcmp(built_in[i].name, import) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_file(const struct wr_protobuf_schema *schema, const char *name)
{
    for (const struct wr_protobuf_file *f = schema->files; f != NULL; f = f->next) {
        if (strcmp(f->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_imported(const struct wr_protobuf_schema *schema, const char *name)
{
    for (const struct wr_protobuf_file *f = schema->files; f != NULL; f = f->next) {
        for (uint32_t i = 0; i < f->import_count; i++) {
            if (strcmp(f->imports[i], name) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Those that are imported and were not given; the main file stays first in the list. */
static wr_status add_built_in(struct wr_protobuf_schema *schema, struct wr_error *err)
{
    struct wr_protobuf_file *main_file = schema->files;
    for (size_t i = 0; i < BUILT_IN; i++) {
        if (built_in[i].text != NULL && is_imported(schema, built_in[i].name) &&
            !has_file(schema, built_in[i].name)) {
            schema->files = main_file->next;
            WR_TRY(wr_proto_text_parse(schema, built_in[i].name, wr_slice_of(built_in[i].text), err));
            main_file->next = schema->files;
            schema->files = main_file;
        }
    }
    return WR_OK;
}

static void mark_known(struct wr_protobuf_message *m)
{
    static const struct {
        const char *name;
        enum wr_protobuf_known known;
    } all[] = {
        { "Timestamp", WR_PROTOBUF_TIMESTAMP },  { "Duration", WR_PROTOBUF_DURATION },
        { "DoubleValue", WR_PROTOBUF_WRAPPER },  { "FloatValue", WR_PROTOBUF_WRAPPER },
        { "Int64Value", WR_PROTOBUF_WRAPPER },   { "UInt64Value", WR_PROTOBUF_WRAPPER },
        { "Int32Value", WR_PROTOBUF_WRAPPER },   { "UInt32Value", WR_PROTOBUF_WRAPPER },
        { "BoolValue", WR_PROTOBUF_WRAPPER },    { "StringValue", WR_PROTOBUF_WRAPPER },
        { "BytesValue", WR_PROTOBUF_WRAPPER },   { "Struct", WR_PROTOBUF_JSON_STRUCT },
        { "Value", WR_PROTOBUF_JSON_VALUE },     { "ListValue", WR_PROTOBUF_JSON_LIST },
    };
    static const char prefix[] = "google.protobuf.";
    if (strncmp(m->name, prefix, sizeof prefix - 1) != 0) {
        return;
    }
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(m->name + sizeof prefix - 1, all[i].name) == 0) {
            m->known = all[i].known;
        }
    }
}

/* A message of such a name may be anything: only what has the fields that it ought to have counts. */
static void check_known(struct wr_protobuf_message *m)
{
    const struct wr_protobuf_field *one = wr_protobuf_field_numbered(m, 1);
    const struct wr_protobuf_field *two = wr_protobuf_field_numbered(m, 2);
    bool right = true;
    switch (m->known) {
    case WR_PROTOBUF_TIMESTAMP:
    case WR_PROTOBUF_DURATION:
        right = one != NULL && two != NULL && one->type == WR_PROTOBUF_INT64 && !one->repeated &&
                two->type == WR_PROTOBUF_INT32 && !two->repeated;
        break;
    case WR_PROTOBUF_WRAPPER:
        right = one != NULL && !one->repeated && one->type != WR_PROTOBUF_MESSAGE &&
                one->type != WR_PROTOBUF_GROUP;
        break;
    default:
        break;
    }
    m->known = right ? m->known : WR_PROTOBUF_ORDINARY;
}

/* ---- linking ---- */

static int compare_symbols(const void *a, const void *b)
{
    return strcmp(((const struct wr_protobuf_symbol *)a)->name,
                  ((const struct wr_protobuf_symbol *)b)->name);
}

static wr_status gather_symbols(struct wr_protobuf_schema *schema, struct wr_error *err)
{
    uint32_t count = 0;
    for (const struct wr_protobuf_message *m = schema->messages; m != NULL; m = m->next) {
        count++;
    }
    for (const struct wr_protobuf_enum *e = schema->enums; e != NULL; e = e->next) {
        count++;
    }
    schema->symbols = WR_ARENA_ARRAY(&schema->arena, struct wr_protobuf_symbol, count + 1);
    struct wr_protobuf_symbol *at = schema->symbols;
    for (const struct wr_protobuf_message *m = schema->messages; m != NULL; m = m->next) {
        *at++ = (struct wr_protobuf_symbol){ .name = m->name, .message = m };
    }
    for (const struct wr_protobuf_enum *e = schema->enums; e != NULL; e = e->next) {
        *at++ = (struct wr_protobuf_symbol){ .name = e->name, .choices = e };
    }
    schema->symbol_count = count;
    qsort(schema->symbols, count, sizeof *schema->symbols, compare_symbols);
    for (uint32_t i = 1; i < count; i++) {
        wr_ensure(strcmp(schema->symbols[i - 1].name, schema->symbols[i].name) != 0, err,
                  WR_CLASS_DATA, "\"%.200s\" is declared twice", schema->symbols[i].name);
    }
    return WR_OK;
}

static const struct wr_protobuf_symbol *find_symbol(const struct wr_protobuf_schema *schema,
                                                    const char *name)
{
    const struct wr_protobuf_symbol wanted = { .name = name };
    return schema->symbol_count == 0 ? NULL
                                     : bsearch(&wanted, schema->symbols, schema->symbol_count,
                                               sizeof *schema->symbols, compare_symbols);
}

/* From the innermost scope outwards, as C++ does; ".a.b" is a full name. */
static const struct wr_protobuf_symbol *resolve(const struct wr_protobuf_schema *schema,
                                                const char *scope, const char *name)
{
    if (*name == '.') {
        return find_symbol(schema, name + 1);
    }
    const struct wr_protobuf_symbol *found = NULL;
    const size_t bytes = strlen(scope) + strlen(name) + 2;
    char *room = wr_malloc(bytes);
    size_t keep = strlen(scope);
    for (;;) {
        snprintf(room, bytes, "%.*s%s%s", (int)keep, scope, keep > 0 ? "." : "", name);
        found = find_symbol(schema, room);
        if (found != NULL || keep == 0) {
            break;
        }
        while (keep > 0 && scope[--keep] != '.') {
        }
    }
    free(room);
    return found;
}

static wr_status link_field(struct wr_protobuf_schema *schema,
                            const struct wr_protobuf_message *m, struct wr_protobuf_field *field,
                            struct wr_error *err)
{
    wr_ensure(field->number >= 1 && field->number <= WR_PROTOBUF_NUMBER_MAX, err, WR_CLASS_DATA,
              "field \"%.100s\" of %.200s has the number %u", field->name, m->name, field->number);
    if (field->type_name != NULL) {
        const struct wr_protobuf_symbol *symbol = resolve(schema, m->name, field->type_name);
        wr_ensure(symbol != NULL, err, WR_CLASS_DATA,
                  "field \"%.100s\" of %.200s: there is no type \"%.200s\"", field->name, m->name,
                  field->type_name);
        field->message = symbol->message;
        field->choices = symbol->choices;
        if (field->type >= WR_PROTOBUF_NAMED) {
            const bool delimited = field->type == WR_PROTOBUF_NAMED_DELIMITED;
            field->type = symbol->message == NULL                      ? WR_PROTOBUF_ENUM
                          : delimited && !symbol->message->map_entry ? WR_PROTOBUF_GROUP
                                                                      : WR_PROTOBUF_MESSAGE;
        }
    }
    const bool nested = field->type == WR_PROTOBUF_MESSAGE || field->type == WR_PROTOBUF_GROUP;
    wr_ensure(nested == (field->message != NULL) &&
                  (field->type == WR_PROTOBUF_ENUM) == (field->choices != NULL),
              err, WR_CLASS_DATA, "field \"%.100s\" of %.200s: \"%.200s\" is another kind of type",
              field->name, m->name, field->type_name != NULL ? field->type_name : "");
    wr_ensure(field->oneof <= m->field_count, err, WR_CLASS_DATA, "field \"%.100s\" of %.200s: a oneof without fields",
              field->name, m->name);
    field->oneof = field->repeated ? 0 : field->oneof;
    field->presence = !field->repeated && (field->presence || nested || field->oneof != 0);
    return WR_OK;
}

static int compare_numbers(const void *a, const void *b)
{
    const struct wr_protobuf_field *x = *(const struct wr_protobuf_field *const *)a;
    const struct wr_protobuf_field *y = *(const struct wr_protobuf_field *const *)b;
    return x->number < y->number ? -1 : x->number > y->number;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const struct wr_protobuf_field *const *)a)->name,
                  (*(const struct wr_protobuf_field *const *)b)->name);
}

static wr_status link_message(struct wr_protobuf_schema *schema, struct wr_protobuf_message *m,
                              struct wr_error *err)
{
    for (uint32_t i = 0; i < m->field_count; i++) {
        WR_TRY(link_field(schema, m, &m->fields[i], err));
    }
    m->by_number = WR_ARENA_ARRAY(&schema->arena, const struct wr_protobuf_field *, m->field_count + 1);
    for (uint32_t i = 0; i < m->field_count; i++) {
        m->by_number[i] = &m->fields[i];
    }
    qsort(m->by_number, m->field_count, sizeof(void *), compare_names); /* (1) */
    for (uint32_t i = 1; i < m->field_count; i++) {
        wr_ensure(strcmp(m->by_number[i]->name, m->by_number[i - 1]->name) != 0, err, WR_CLASS_DATA,
                  "%.200s has two fields \"%.100s\"", m->name, m->by_number[i]->name);
    }
    qsort(m->by_number, m->field_count, sizeof(void *), compare_numbers);
    for (uint32_t i = 1; i < m->field_count; i++) {
        wr_ensure(m->by_number[i]->number != m->by_number[i - 1]->number, err, WR_CLASS_DATA,
                  "%.200s has two fields with the number %u", m->name, m->by_number[i]->number);
    }
    m->oneof_count = m->oneof_count < m->field_count ? m->oneof_count : m->field_count;
    mark_known(m);
    check_known(m);
    return WR_OK;
}

/* (3) */
static wr_status check_map(const struct wr_protobuf_message *m, struct wr_error *err)
{
    static const uint32_t refused = 1u << WR_PROTOBUF_DOUBLE | 1u << WR_PROTOBUF_FLOAT |
                                    1u << WR_PROTOBUF_BYTES | 1u << WR_PROTOBUF_ENUM |
                                    1u << WR_PROTOBUF_MESSAGE | 1u << WR_PROTOBUF_GROUP;
    const bool two = m->field_count == 2 && m->fields[0].number == 1 && m->fields[1].number == 2;
    wr_ensure(two && !m->fields[0].repeated && !m->fields[1].repeated && m->oneof_count == 0 &&
                  (refused >> m->fields[0].type & 1) == 0,
              err, WR_CLASS_DATA, "%.200s is no entry of a map", m->name);
    return WR_OK;
}

static int compare_values(const void *a, const void *b)
{
    const struct wr_protobuf_value *x = a;
    const struct wr_protobuf_value *y = b;
    return x->number != y->number ? (x->number < y->number ? -1 : 1)
                                  : (x->order < y->order ? -1 : x->order > y->order);
}

wr_status wr_protobuf_link(struct wr_protobuf_schema *schema, struct wr_error *err)
{
    wr_ensure(schema->files != NULL, err, WR_CLASS_DATA, "the schema has no file");
    WR_TRY(add_built_in(schema, err));
    WR_TRY(gather_symbols(schema, err));
    for (struct wr_protobuf_enum *e = schema->enums; e != NULL; e = e->next) {
        wr_ensure(e->count > 0, err, WR_CLASS_DATA, "enum %.200s has no values", e->name);
        e->first = e->values[0].number;
        qsort(e->values, e->count, sizeof *e->values, compare_values);
    }
    for (struct wr_protobuf_message *m = schema->messages; m != NULL; m = m->next) {
        WR_TRY(link_message(schema, m, err));
    }
    for (struct wr_protobuf_message *m = schema->messages; m != NULL; m = m->next) {
        if (m->map_entry) {
            WR_TRY(check_map(m, err));
        }
    }
    return WR_OK;
}

/* ---- finding ---- */

const struct wr_protobuf_message *wr_protobuf_find(const struct wr_protobuf_schema *schema,
                                                   const char *name)
{
    const struct wr_protobuf_symbol *exact = find_symbol(schema, name);
    if (exact != NULL && exact->message != NULL) {
        return exact->message;
    }
    const struct wr_protobuf_message *found = NULL;
    const size_t bytes = strlen(name);
    for (const struct wr_protobuf_message *m = schema->messages; m != NULL; m = m->next) {
        const size_t whole = strlen(m->name);
        if (!m->map_entry && whole > bytes && m->name[whole - bytes - 1] == '.' &&
            strcmp(m->name + whole - bytes, name) == 0) {
            if (found != NULL) {
                return NULL;
            }
            found = m;
        }
    }
    return found;
}

const struct wr_protobuf_message *wr_protobuf_at(const struct wr_protobuf_schema *schema,
                                                 const uint32_t *indexes, uint32_t count)
{
    struct wr_protobuf_message **list = schema->files->messages;
    uint32_t list_count = schema->files->message_count;
    const struct wr_protobuf_message *message = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (indexes[i] >= list_count) {
            return NULL;
        }
        message = list[indexes[i]];
        list = message->messages;
        list_count = message->message_count;
    }
    return message;
}

const struct wr_protobuf_field *
wr_protobuf_field_named(const struct wr_protobuf_message *message, const char *name)
{
    const struct wr_protobuf_field *found = NULL;
    bool ambiguous = false;
    for (uint32_t i = 0; i < message->field_count; i++) {
        if (strcmp(message->fields[i].name, name) == 0) {
            return &message->fields[i];
        }
        if (strcasecmp(message->fields[i].name, name) == 0) {
            ambiguous = found != NULL;
            found = &message->fields[i];
        }
    }
    return ambiguous ? NULL : found;
}

const struct wr_protobuf_field *
wr_protobuf_field_numbered(const struct wr_protobuf_message *message, uint32_t number)
{
    const uint32_t index = wr_protobuf_index_of(message, number);
    return index != WR_PROTOBUF_NO_FIELD ? message->by_number[index] : NULL;
}

uint32_t wr_protobuf_search(const struct wr_protobuf_message *message, uint32_t number)
{
    uint32_t low = 0;
    uint32_t high = message->field_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (message->by_number[middle]->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < message->field_count && message->by_number[low]->number == number
               ? low
               : WR_PROTOBUF_NO_FIELD;
}

const char *wr_protobuf_choice(const struct wr_protobuf_enum *choices, int32_t number)
{
    uint32_t low = 0;
    uint32_t high = choices->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (choices->values[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < choices->count && choices->values[low].number == number
               ? choices->values[low].name
               : NULL;
}

const char *wr_protobuf_type_text(const struct wr_protobuf_field *field, char *into, size_t bytes)
{
    static const char *const names[] = { "",        "double",  "float",  "int64",    "uint64",
                                         "int32",   "fixed64", "fixed32", "bool",    "string",
                                         "group",   "message", "bytes",  "uint32",   "enum",
                                         "sfixed32", "sfixed64", "sint32", "sint64", "type", "type" };
    if (field->message != NULL && field->message->map_entry) {
        snprintf(into, bytes, "map");
        return into;
    }
    const char *named = field->message != NULL   ? field->message->name
                        : field->choices != NULL ? field->choices->name
                                                 : "";
    snprintf(into, bytes, "%s%s%s%s", field->repeated ? "repeated " : "", names[field->type],
             *named != '\0' ? " " : "", named);
    return into;
}

