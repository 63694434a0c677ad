/* protobuf_schema.h: message types as decoders need them, out of .proto text (proto_text.h) or descriptors (descriptor.proto, read
 * by hand from the wire).
 *
 * What is kept: names, numbers, types, labels, oneofs, enums, whether an absent field is NULL. Defaults of proto2, options,
 * services and extensions are read over: an extension is an unknown field to us.
 *
 * Life: files are added (wr_protobuf_add_text, wr_protobuf_add_descriptor, ..._add_set), then linked: type names are
 * resolved, fields sorted by number. The types below google/protobuf that everybody imports are built in and come with
 * linking. The file added last is the main one: its messages are what a registry's message indexes count.
 *
 * Ownership: everything lies in the schema's arena. Threads: read-only after linking.
 * Invariants, after linking:
 *   (1) numbers are 1 to 2^29 - 1 and unique within a message, so are names
 *   (2) message is set for GROUP and MESSAGE, choices for ENUM; types may be recursive
 *   (3) a map's entry has exactly the fields 1 (no float, bytes, enum or message) and 2, in that order
 *   (4) whoever walks messages within messages bounds the depth himself, except for declarations, which nest
 *       WR_PROTOBUF_DEPTH_MAX deep
 */
#ifndef WR_DECODE_PROTOBUF_SCHEMA_H
#define WR_DECODE_PROTOBUF_SCHEMA_H

#include "base/arena.h"
#include "base/status.h"

#define WR_PROTOBUF_DEPTH_MAX 32u
#define WR_PROTOBUF_NUMBER_MAX ((1u << 29) - 1)
#define WR_PROTOBUF_SCHEMA_BYTES_MAX (4u << 20) /* of one file's text; a descriptor set may be four times that */
#define WR_PROTOBUF_IMPORTS_MAX 256u
#define WR_PROTOBUF_NAME_BYTES_MAX 512u /* names repeat their scope: a long package must not cost its square */

/* As FieldDescriptorProto.Type numbers them. */
enum wr_protobuf_type {
    WR_PROTOBUF_DOUBLE = 1,
    WR_PROTOBUF_FLOAT,
    WR_PROTOBUF_INT64,
    WR_PROTOBUF_UINT64,
    WR_PROTOBUF_INT32,
    WR_PROTOBUF_FIXED64,
    WR_PROTOBUF_FIXED32,
    WR_PROTOBUF_BOOL,
    WR_PROTOBUF_STRING,
    WR_PROTOBUF_GROUP,
    WR_PROTOBUF_MESSAGE,
    WR_PROTOBUF_BYTES,
    WR_PROTOBUF_UINT32,
    WR_PROTOBUF_ENUM,
    WR_PROTOBUF_SFIXED32,
    WR_PROTOBUF_SFIXED64,
    WR_PROTOBUF_SINT32,
    WR_PROTOBUF_SINT64,
    WR_PROTOBUF_NAMED,           /* MESSAGE or ENUM: text does not tell before linking */
    WR_PROTOBUF_NAMED_DELIMITED, /* GROUP or ENUM: the same in an edition's file */
};

/* Messages that mean more than their fields. */
enum wr_protobuf_known {
    WR_PROTOBUF_ORDINARY,
    WR_PROTOBUF_TIMESTAMP,
    WR_PROTOBUF_DURATION,
    WR_PROTOBUF_WRAPPER,
    WR_PROTOBUF_JSON_STRUCT,
    WR_PROTOBUF_JSON_VALUE,
    WR_PROTOBUF_JSON_LIST,
};

struct wr_protobuf_message;

struct wr_protobuf_value {
    const char *name;
    int32_t number;
    uint32_t order; /* of declaration */
};

struct wr_protobuf_enum {
    const char *name;
    struct wr_protobuf_value *values; /* sorted by number; of aliases the first declared comes first */
    uint32_t count;
    int32_t first; /* the number declared first: the default */
    struct wr_protobuf_enum *next;
};

struct wr_protobuf_field {
    const char *name;
    const char *type_name; /* as written; NULL for scalars */
    uint32_t number;
    enum wr_protobuf_type type;
    bool repeated;
    bool presence;  /* absent is NULL, not the type's zero */
    uint32_t oneof; /* from 1 within the message; 0: none */
    const struct wr_protobuf_message *message;
    const struct wr_protobuf_enum *choices;
};

struct wr_protobuf_message {
    const char *name; /* full, without a dot in front */
    struct wr_protobuf_field *fields; /* in order of declaration; sorted by number: see by_number */
    uint32_t field_count;
    uint32_t oneof_count;
    const struct wr_protobuf_field **by_number;
    struct wr_protobuf_message **messages; /* declared inside, in order, with maps' entries */
    uint32_t message_count;
    bool map_entry;
    enum wr_protobuf_known known;
    struct wr_protobuf_message *next;
};

struct wr_protobuf_file {
    const char *name; /* as imports say it; may be empty */
    const char *package;
    struct wr_protobuf_message **messages; /* at the top, in order */
    uint32_t message_count;
    const char **imports;
    uint32_t import_count;
    struct wr_protobuf_file *next;
};

struct wr_protobuf_schema {
    struct wr_arena arena;
    struct wr_protobuf_file *files; /* the last one first */
    struct wr_protobuf_message *messages; /* all, also those inside others */
    struct wr_protobuf_enum *enums;
    struct wr_protobuf_symbol *symbols; /* all by name, sorted */
    uint32_t symbol_count;
};

struct wr_protobuf_schema *wr_protobuf_schema_create(void);
void wr_protobuf_schema_destroy(struct wr_protobuf_schema *schema); /* NULL is fine */

/* A file's .proto text. name: as imports say it, or "". */
WR_NODISCARD wr_status wr_protobuf_add_text(struct wr_protobuf_schema *schema, const char *name,
                                            struct wr_slice text, struct wr_error *err);
/* A FileDescriptorProto. */
WR_NODISCARD wr_status wr_protobuf_add_descriptor(struct wr_protobuf_schema *schema,
                                                  struct wr_slice bytes, struct wr_error *err);
/* A FileDescriptorSet, as protoc -o and buf build write it. */
WR_NODISCARD wr_status wr_protobuf_add_set(struct wr_protobuf_schema *schema, struct wr_slice bytes,
                                           struct wr_error *err);
WR_NODISCARD wr_status wr_protobuf_link(struct wr_protobuf_schema *schema, struct wr_error *err);

/* Whether an import is built in, or means nothing to a decoder. */
bool wr_protobuf_is_built_in(const char *import);

/* The message of that full name, or the only one whose last parts are the name; NULL. */
const struct wr_protobuf_message *wr_protobuf_find(const struct wr_protobuf_schema *schema,
                                                   const char *name);
/* The message that a registry's indexes lead to in the main file; NULL. */
const struct wr_protobuf_message *wr_protobuf_at(const struct wr_protobuf_schema *schema,
                                                 const uint32_t *indexes, uint32_t count);

/* The field of that name, else the only one whose name differs in letter case alone; NULL. */
const struct wr_protobuf_field *
wr_protobuf_field_named(const struct wr_protobuf_message *message, const char *name);
const struct wr_protobuf_field *
wr_protobuf_field_numbered(const struct wr_protobuf_message *message, uint32_t number);

#define WR_PROTOBUF_NO_FIELD UINT32_MAX
uint32_t wr_protobuf_search(const struct wr_protobuf_message *message, uint32_t number);

/* The field's index in by_number. Most messages number their fields from 1 without a gap. */
static inline uint32_t wr_protobuf_index_of(const struct wr_protobuf_message *message,
                                            uint32_t number)
{
    const uint32_t guess = number - 1;
    return guess < message->field_count && message->by_number[guess]->number == number
               ? guess
               : wr_protobuf_search(message, number);
}

/* NULL: no such number. */
const char *wr_protobuf_choice(const struct wr_protobuf_enum *choices, int32_t number);

/* "repeated string", "message pkg.Geo": for messages. */
const char *wr_protobuf_type_text(const struct wr_protobuf_field *field, char *into, size_t bytes);

/* ---- for the two readers ---- */

struct wr_protobuf_file *wr_protobuf_file_add(struct wr_protobuf_schema *schema);
/* into: the file's or message's list that it is declared in. */
struct wr_protobuf_message *wr_protobuf_message_add(struct wr_protobuf_schema *schema,
                                                    struct wr_protobuf_file *file,
                                                    struct wr_protobuf_message *outer);
struct wr_protobuf_field *wr_protobuf_field_add(struct wr_protobuf_schema *schema,
                                                struct wr_protobuf_message *message);
struct wr_protobuf_enum *wr_protobuf_enum_add(struct wr_protobuf_schema *schema);
struct wr_protobuf_value *wr_protobuf_value_add(struct wr_protobuf_schema *schema,
                                                struct wr_protobuf_enum *choices);
void wr_protobuf_import_add(struct wr_protobuf_schema *schema, struct wr_protobuf_file *file,
                            const char *name);
/* "scope.name", or name when the scope is empty; NULL: longer than WR_PROTOBUF_NAME_BYTES_MAX. */
const char *wr_protobuf_full_name(struct wr_protobuf_schema *schema, const char *scope,
                                  const char *name);

#endif
