/* protobuf_descriptor.c: schemas out of descriptors (google/protobuf/descriptor.proto), read from the wire; see protobuf_schema.h.
 * Field numbers are cited by their names there. */
#include "base/proto_wire.h"
#include "decode/protobuf_schema.h"

/* What files, messages and fields say of the fields in them. */
struct features {
    bool implicit;
    bool delimited;
};

struct loader {
    struct wr_protobuf_schema *schema;
    struct wr_error *err;
};

static wr_status broken(struct loader *l, const char *what)
{
    return wr_fail(l->err, WR_CLASS_DATA, "the descriptor is broken: %s", what);
}

static bool is_bytes(const struct wr_proto_field *f, uint32_t number)
{
    return f->number == number && f->kind == WR_PROTO_BYTES;
}

static bool is_number(const struct wr_proto_field *f, uint32_t number)
{
    return f->number == number && f->kind == WR_PROTO_VARINT;
}

/* NULL: too long, or with a NUL inside. */
static const char *name_of(struct loader *l, struct wr_slice bytes)
{
    if (bytes.bytes > WR_PROTOBUF_NAME_BYTES_MAX || memchr(bytes.data, 0, bytes.bytes) != NULL ||
        !wr_utf8_valid(bytes.data, bytes.bytes)) {
        return NULL;
    }
    return wr_arena_strndup(&l->schema->arena, bytes.data, bytes.bytes);
}

static wr_status take_name(struct loader *l, struct wr_slice bytes, const char **name)
{
    *name = name_of(l, bytes);
    return *name != NULL && **name != '\0' ? WR_OK : broken(l, "a name is empty, no text, or longer than 512 bytes");
}

/* The first field of that number; empty when there is none. */
static struct wr_slice part_of(struct wr_slice message, uint32_t number)
{
    struct wr_proto_reader r = wr_proto_read(message);
    struct wr_proto_field f;
    while (wr_proto_next(&r, &f)) {
        if (is_bytes(&f, number)) {
            return f.bytes;
        }
    }
    return (struct wr_slice){ "", 0 };
}

/* FeatureSet: field_presence = 1 (2: IMPLICIT), message_encoding = 5 (2: DELIMITED). */
static struct features with(struct features features, struct wr_slice set)
{
    struct wr_proto_reader r = wr_proto_read(set);
    struct wr_proto_field f;
    while (wr_proto_next(&r, &f)) {
        if (is_number(&f, 1)) {
            features.implicit = f.value == 2;
        } else if (is_number(&f, 5)) {
            features.delimited = f.value == 2;
        }
    }
    return features;
}

/* ---- enums ---- */

/* EnumValueDescriptorProto: name = 1, number = 2. */
static wr_status load_value(struct loader *l, struct wr_slice bytes, struct wr_protobuf_enum *choices)
{
    struct wr_proto_reader r = wr_proto_read(bytes);
    struct wr_proto_field f;
    struct wr_protobuf_value *value = wr_protobuf_value_add(l->schema, choices);
    while (wr_proto_next(&r, &f)) {
        if (is_bytes(&f, 1)) {
            WR_TRY(take_name(l, f.bytes, &value->name));
        } else if (is_number(&f, 2)) {
            value->number = (int32_t)f.value;
        }
    }
    return r.bad ? broken(l, "an enum's value") : WR_OK;
}

/* EnumDescriptorProto: name = 1, value = 2. */
static wr_status load_enum(struct loader *l, struct wr_slice bytes, const char *scope)
{
    struct wr_proto_reader r = wr_proto_read(bytes);
    struct wr_proto_field f;
    const char *own = "";
    struct wr_protobuf_enum *choices = wr_protobuf_enum_add(l->schema);
    while (wr_proto_next(&r, &f)) {
        if (is_bytes(&f, 1)) {
            WR_TRY(take_name(l, f.bytes, &own));
        } else if (is_bytes(&f, 2)) {
            WR_TRY(load_value(l, f.bytes, choices));
        }
    }
    choices->name = wr_protobuf_full_name(l->schema, scope, own);
    return r.bad || *own == '\0' || choices->name == NULL ? broken(l, "an enum") : WR_OK;
}

/* ---- messages ---- */

/* FieldDescriptorProto: name = 1, number = 3, label = 4 (3: repeated), type = 5, type_name = 6, options = 8 (features = 21),
 * oneof_index = 9, proto3_optional = 17. */
static wr_status load_field(struct loader *l, struct wr_slice bytes, struct features features,
                            struct wr_protobuf_message *message)
{
    struct wr_proto_reader r = wr_proto_read(bytes);
    struct wr_proto_field f;
    struct wr_protobuf_field field = { .name = "" };
    uint64_t type = 0;
    uint64_t oneof = 0;
    bool optional = false;
    features = with(features, part_of(part_of(bytes, 8), 21));
    while (wr_proto_next(&r, &f)) {
        if (is_bytes(&f, 1)) {
            WR_TRY(take_name(l, f.bytes, &field.name));
        } else if (is_number(&f, 3)) {
            field.number = f.value > WR_PROTOBUF_NUMBER_MAX ? 0 : (uint32_t)f.value;
        } else if (is_number(&f, 4)) {
            field.repeated = f.value == 3;
        } else if (is_number(&f, 5)) {
            type = f.value;
        } else if (is_bytes(&f, 6)) {
            WR_TRY(take_name(l, f.bytes, &field.type_name));
        } else if (is_number(&f, 9)) {
            oneof = f.value < UINT32_MAX ? f.value + 1 : 0;
        } else if (is_number(&f, 17)) {
            optional = f.value != 0;
        }
    }
    if (r.bad || type < WR_PROTOBUF_DOUBLE || type > WR_PROTOBUF_SINT64 || *field.name == '\0') {
        return broken(l, "a field");
    }
    field.type = (enum wr_protobuf_type)type;
    const bool nested = type == WR_PROTOBUF_MESSAGE || type == WR_PROTOBUF_GROUP;
    if (!nested && type != WR_PROTOBUF_ENUM) {
        field.type_name = NULL;
    } else if (field.type_name == NULL) {
        return broken(l, "a field has no type");
    }
    if (type == WR_PROTOBUF_MESSAGE && features.delimited) {
        field.type = WR_PROTOBUF_NAMED_DELIMITED; /* linking leaves maps' entries alone */
    }
    field.oneof = optional ? 0 : (uint32_t)oneof;
    field.presence = optional || !features.implicit;
    message->oneof_count = field.oneof > message->oneof_count ? field.oneof : message->oneof_count;
    *wr_protobuf_field_add(l->schema, message) = field;
    return WR_OK;
}

/* DescriptorProto: name = 1, field = 2, nested_type = 3, enum_type = 4, options = 7 (map_entry = 7, features = 12). */
static wr_status load_message(struct loader *l, struct wr_slice bytes, struct features features,
                              const char *scope, struct wr_protobuf_file *file,
                              struct wr_protobuf_message *outer, uint32_t depth)
{
    const struct wr_slice name = part_of(bytes, 1);
    const struct wr_slice options = part_of(bytes, 7);
    struct wr_proto_reader r = wr_proto_read(options);
    struct wr_proto_field f;
    const char *own;
    if (depth > WR_PROTOBUF_DEPTH_MAX) {
        return broken(l, "declarations nest deeper than 32");
    }
    struct wr_protobuf_message *message = wr_protobuf_message_add(l->schema, file, outer);
    WR_TRY(take_name(l, name, &own));
    message->name = wr_protobuf_full_name(l->schema, scope, own);
    if (message->name == NULL) {
        return broken(l, "a full name is longer than 512 bytes");
    }
    features = with(features, part_of(options, 12));
    while (wr_proto_next(&r, &f)) {
        message->map_entry = is_number(&f, 7) ? f.value != 0 : message->map_entry;
    }
    r = wr_proto_read(bytes);
    while (wr_proto_next(&r, &f)) {
        if (is_bytes(&f, 2)) {
            WR_TRY(load_field(l, f.bytes, features, message));
        } else if (is_bytes(&f, 3)) {
            WR_TRY(load_message(l, f.bytes, features, message->name, file, message, depth + 1));
        } else if (is_bytes(&f, 4)) {
            WR_TRY(load_enum(l, f.bytes, message->name));
        }
    }
    return r.bad ? broken(l, "a message") : WR_OK;
}

/* ---- files ---- */

/* FileDescriptorProto: name = 1, package = 2, dependency = 3, message_type = 4, enum_type = 5, options = 8 (features = 50),
 * syntax = 12. */
wr_status wr_protobuf_add_descriptor(struct wr_protobuf_schema *schema, struct wr_slice bytes,
                                     struct wr_error *err)
{
    struct loader l = { .schema = schema, .err = err };
    struct wr_proto_reader r = wr_proto_read(bytes);
    struct wr_proto_field f;
    struct wr_protobuf_file *file = wr_protobuf_file_add(schema);
    const struct features features =
        with((struct features){ .implicit = wr_slice_is(part_of(bytes, 12), "proto3") },
             part_of(part_of(bytes, 8), 50));
    const struct wr_slice package = part_of(bytes, 2);
    if (package.bytes > 0) {
        WR_TRY(take_name(&l, package, &file->package));
    }
    while (wr_proto_next(&r, &f)) {
        if (is_bytes(&f, 1)) {
            WR_TRY(take_name(&l, f.bytes, &file->name));
        } else if (is_bytes(&f, 3) && file->import_count < WR_PROTOBUF_IMPORTS_MAX) {
            const char *import;
            WR_TRY(take_name(&l, f.bytes, &import));
            wr_protobuf_import_add(schema, file, import);
        } else if (is_bytes(&f, 4)) {
            WR_TRY(load_message(&l, f.bytes, features, file->package, file, NULL, 1));
        } else if (is_bytes(&f, 5)) {
            WR_TRY(load_enum(&l, f.bytes, file->package));
        }
    }
    return r.bad ? broken(&l, "a file") : WR_OK;
}

/* FileDescriptorSet: file = 1. */
wr_status wr_protobuf_add_set(struct wr_protobuf_schema *schema, struct wr_slice bytes,
                              struct wr_error *err)
{
    struct wr_proto_reader r = wr_proto_read(bytes);
    struct wr_proto_field f;
    uint32_t files = 0;
    wr_ensure(bytes.bytes <= 4 * (size_t)WR_PROTOBUF_SCHEMA_BYTES_MAX, err, WR_CLASS_DATA,
              "the descriptor set is larger than 16 MiB");
    while (wr_proto_next(&r, &f)) {
        wr_ensure(is_bytes(&f, 1), err, WR_CLASS_DATA, "these bytes are no FileDescriptorSet");
        WR_TRY(wr_protobuf_add_descriptor(schema, f.bytes, err));
        files++;
    }
    wr_ensure(!r.bad && files > 0, err, WR_CLASS_DATA, "these bytes are no FileDescriptorSet");
    return WR_OK;
}
