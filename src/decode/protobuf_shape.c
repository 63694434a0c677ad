/* protobuf_shape.c: what a field becomes; see protobuf_value.h. */
#include "decode/protobuf_parts.h"

void wr_protobuf_look_up(const struct wr_protobuf_message *writer,
                         const struct wr_protobuf_message *reader, const char *name,
                         const struct wr_protobuf_field **field,
                         const struct wr_protobuf_field **reader_field)
{
    const struct wr_protobuf_field *known =
        reader != NULL ? wr_protobuf_field_named(reader, name) : NULL;
    *reader_field = known;
    *field = known != NULL ? wr_protobuf_field_numbered(writer, known->number)
                           : wr_protobuf_field_named(writer, name);
}

static wr_status misfit(const struct wr_protobuf_field *field, struct wr_type type,
                        struct wr_error *err)
{
    char text[160];
    char name[64];
    return wr_fail(err, WR_CLASS_DATA, "the schema has %s here, which cannot become %s",
                   wr_protobuf_type_text(field, text, sizeof text),
                   wr_type_is_nested(type) ? wr_nested_of(type)->text
                                           : wr_type_name(type, name, sizeof name));
}

static wr_status make_inner(struct wr_protobuf_shape *shape, uint32_t which, struct wr_arena *arena,
                            const struct wr_protobuf_field *field,
                            const struct wr_protobuf_field *reader, struct wr_type type,
                            struct wr_error *err)
{
    return wr_protobuf_shape_make(&shape->inner[which], arena, field, reader, true, type, err);
}

static wr_status make_struct(struct wr_protobuf_shape *shape, struct wr_arena *arena,
                             const struct wr_protobuf_field *reader, struct wr_error *err)
{
    const struct wr_nested *nested = wr_nested_of(shape->type);
    const struct wr_protobuf_message *message = shape->field->message;
    struct wr_protobuf_slot *slots =
        WR_ARENA_ARRAY(arena, struct wr_protobuf_slot, nested->field_count);
    bool *wanted = WR_ARENA_ARRAY(arena, bool, message->field_count + 1);
    for (uint32_t i = 0; i < nested->field_count; i++) {
        const struct wr_protobuf_field *field;
        const struct wr_protobuf_field *known;
        wr_protobuf_look_up(message, reader != NULL ? reader->message : NULL, nested->fields[i].name,
                            &field, &known);
        slots[i].name = nested->fields[i].name;
        slots[i].index = field != NULL ? wr_protobuf_index_of(message, field->number) : WR_PROTOBUF_NO_FIELD;
        if (field == NULL && (known == NULL || known->presence)) {
            continue;
        }
        const struct wr_protobuf_field *own = field != NULL ? field : known;
        slots[i].presence = own->presence;
        if (field != NULL) {
            wanted[slots[i].index] = true;
        }
        WR_TRY_IN(wr_protobuf_shape_make(&slots[i].shape, arena, own, known, false,
                                         nested->fields[i].type, err),
                  err, "field \"%.60s\"", slots[i].name);
    }
    shape->slots = slots;
    shape->slot_count = nested->field_count;
    shape->wanted = wanted;
    return WR_OK;
}

static bool is_text(struct wr_type type)
{
    return type.id == WR_TYPE_JSON || type.id == WR_TYPE_TEXT;
}

static wr_status make_repeated(struct wr_protobuf_shape *shape, struct wr_arena *arena,
                               const struct wr_protobuf_field *reader, struct wr_error *err)
{
    const struct wr_protobuf_field *field = shape->field;
    const bool map = field->message != NULL && field->message->map_entry;
    if (is_text(shape->type)) {
        shape->kind = SHAPE_JSON;
        return WR_OK;
    }
    if (shape->type.id != (map ? WR_TYPE_MAP : WR_TYPE_ARRAY)) {
        return misfit(field, shape->type, err);
    }
    const struct wr_nested *nested = wr_nested_of(shape->type);
    shape->kind = map ? SHAPE_MAP : SHAPE_ARRAY;
    if (!map) {
        return make_inner(shape, 0, arena, field, reader, nested->fields[0].type, err);
    }
    const bool both = reader != NULL && reader->message != NULL && reader->message->map_entry;
    WR_TRY_IN(make_inner(shape, 0, arena, field->message->by_number[0], NULL, nested->fields[0].type, err),
              err, "the key");
    return make_inner(shape, 1, arena, field->message->by_number[1],
                      both ? reader->message->by_number[1] : NULL, nested->fields[1].type, err);
}

static wr_status make_message(struct wr_protobuf_shape *shape, struct wr_arena *arena,
                              const struct wr_protobuf_field *reader, struct wr_error *err)
{
    const struct wr_protobuf_message *message = shape->field->message;
    const struct wr_type natural = wr_protobuf_natural(shape->field);
    if (shape->type.id == WR_TYPE_STRUCT) {
        shape->kind = SHAPE_STRUCT;
        return make_struct(shape, arena, reader, err);
    }
    switch (message->known) {
    case WR_PROTOBUF_TIMESTAMP:
    case WR_PROTOBUF_DURATION:
        shape->kind = message->known == WR_PROTOBUF_TIMESTAMP ? SHAPE_TIMESTAMP : SHAPE_DURATION;
        shape->natural = natural;
        return wr_protobuf_converts(natural, shape->field, shape->type) ? WR_OK
                                                             : misfit(shape->field, shape->type, err);
    case WR_PROTOBUF_WRAPPER:
        shape->kind = SHAPE_WRAPPER;
        return make_inner(shape, 0, arena, wr_protobuf_field_numbered(message, 1), NULL, shape->type, err);
    default:
        shape->kind = SHAPE_JSON;
        shape->one = true;
        return is_text(shape->type) ? WR_OK : misfit(shape->field, shape->type, err);
    }
}

wr_status wr_protobuf_shape_make(const struct wr_protobuf_shape **shape, struct wr_arena *arena,
                                 const struct wr_protobuf_field *field,
                                 const struct wr_protobuf_field *reader, bool one,
                                 struct wr_type type, struct wr_error *err)
{
    struct wr_protobuf_shape *made = WR_ARENA_NEW(arena, struct wr_protobuf_shape);
    *shape = made;
    made->type = type;
    made->field = field;
    if (field->repeated && !one) {
        return make_repeated(made, arena, reader, err);
    }
    if (field->message != NULL) {
        return make_message(made, arena, reader, err);
    }
    made->kind = SHAPE_SCALAR;
    made->natural = wr_protobuf_natural(field);
    if (field->type == WR_PROTOBUF_ENUM && wr_type_is_numeric(type)) {
        made->kind = SHAPE_CHOICE;
        made->natural = wr_type_of(WR_TYPE_INT32);
    }
    return wr_protobuf_converts(made->natural, field, type) ? WR_OK : misfit(field, type, err);
}
