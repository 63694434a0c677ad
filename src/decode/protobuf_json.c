/* protobuf_json.c: messages, lists and maps as JSON text; see protobuf_value.h. */
#include "decode/protobuf_parts.h"

static bool json_field(struct wr_protobuf_work *work, const struct wr_protobuf_field *field,
                       const struct wr_protobuf_list *list, uint32_t depth, struct wr_buf *into);

static bool json_scalar(struct wr_protobuf_work *work, const struct wr_protobuf_field *field,
                        uint64_t number, struct wr_slice bytes, struct wr_buf *into)
{
    union wr_scalar value;
    if (!wr_protobuf_natural_of(work, field, number, bytes, &value)) {
        return false;
    }
    wr_text_format_json(into, wr_protobuf_natural(field), &value);
    return wr_protobuf_may_grow(work, into->bytes);
}

static bool json_moment(struct wr_protobuf_work *work, const struct wr_protobuf_field *field,
                        const struct wr_protobuf_list *list, struct wr_buf *into)
{
    const struct wr_type natural = wr_protobuf_natural(field);
    const struct wr_protobuf_shape shape = {
        .kind = natural.id == WR_TYPE_INTERVAL ? SHAPE_DURATION : SHAPE_TIMESTAMP,
        .type = natural,
        .natural = natural,
    };
    union wr_scalar value;
    if (!wr_protobuf_moment(work, &shape, list, &value)) {
        return false;
    }
    wr_text_format_json(into, natural, &value);
    return true;
}

/* google.protobuf.Value: the member of its oneof that is set, else null. */
static bool json_value(struct wr_protobuf_work *work, const struct wr_protobuf_message *message,
                       const struct wr_protobuf_list *lists, uint32_t depth, struct wr_buf *into)
{
    for (uint32_t i = 0; i < message->field_count; i++) {
        if (lists[i].first != NULL && message->by_number[i]->type != WR_PROTOBUF_ENUM) {
            return json_field(work, message->by_number[i], &lists[i], depth, into);
        }
    }
    wr_buf_text(into, "null");
    return true;
}

static bool json_object(struct wr_protobuf_work *work, const struct wr_protobuf_message *message,
                        const struct wr_protobuf_list *lists, uint32_t depth, struct wr_buf *into)
{
    wr_buf_byte(into, '{');
    for (uint32_t i = 0; i < message->field_count; i++) {
        const struct wr_protobuf_field *field = &message->fields[i];
        const struct wr_protobuf_list *list = &lists[wr_protobuf_index_of(message, field->number)];
        if (i > 0) {
            wr_buf_byte(into, ',');
        }
        wr_text_json_string(into, field->name, strlen(field->name));
        wr_buf_byte(into, ':');
        if (list->first == NULL && field->presence) {
            wr_buf_text(into, "null");
        } else if (!json_field(work, field, list, depth, into)) {
            return wr_protobuf_below(work, field->name, 0);
        }
        if (!wr_protobuf_may_grow(work, into->bytes)) {
            return false;
        }
    }
    wr_buf_byte(into, '}');
    return true;
}

/* One message in as many pieces as the list has. */
static bool json_message(struct wr_protobuf_work *work, const struct wr_protobuf_field *field,
                         const struct wr_protobuf_list *list, uint32_t depth, struct wr_buf *into)
{
    const struct wr_protobuf_message *message = field->message;
    const struct wr_protobuf_field *first = wr_protobuf_field_numbered(message, 1);
    if (depth > WR_PROTOBUF_JSON_DEPTH_MAX) {
        return wr_protobuf_wrong(work, "messages nest deeper than 64");
    }
    if (message->known == WR_PROTOBUF_TIMESTAMP || message->known == WR_PROTOBUF_DURATION) {
        return json_moment(work, field, list, into);
    }
    const struct wr_protobuf_list *lists = wr_protobuf_gather(work, message, NULL, list);
    if (lists == NULL) {
        return false;
    }
    switch (message->known) {
    case WR_PROTOBUF_WRAPPER:
    case WR_PROTOBUF_JSON_STRUCT:
    case WR_PROTOBUF_JSON_LIST:
        if (first != NULL) {
            return json_field(work, first, &lists[0], depth + 1, into);
        }
        break;
    case WR_PROTOBUF_JSON_VALUE:
        return json_value(work, message, lists, depth + 1, into);
    default:
        break;
    }
    return json_object(work, message, lists, depth + 1, into);
}

static bool json_one(struct wr_protobuf_work *work, const struct wr_protobuf_field *field,
                     const struct wr_protobuf_seen *seen, uint32_t depth, struct wr_buf *into)
{
    struct wr_protobuf_seen copy;
    if (field->message == NULL) {
        const bool text = seen->kind == WR_PROTO_BYTES;
        return json_scalar(work, field, text ? 0 : seen->value,
                           text ? wr_protobuf_bytes_of(seen) : (struct wr_slice){ "", 0 }, into);
    }
    const struct wr_protobuf_list list = wr_protobuf_alone(seen, &copy);
    const struct wr_arena_mark mark = wr_arena_mark(&work->scratch);
    const bool made = json_message(work, field, &list, depth, into);
    wr_arena_rewind(&work->scratch, mark);
    return made;
}

static bool json_element(struct wr_protobuf_each *e, const struct wr_protobuf_seen *seen)
{
    if (e->index > 0) {
        wr_buf_byte(e->into, ',');
    }
    return json_one(e->work, e->field, seen, e->depth, e->into) && wr_protobuf_may_grow(e->work, e->into->bytes);
}

static bool json_map(struct wr_protobuf_work *work, const struct wr_protobuf_field *field,
                     const struct wr_protobuf_list *list, uint32_t depth, struct wr_buf *into)
{
    const struct wr_protobuf_message *message = field->message;
    const struct wr_protobuf_field *key = message->by_number[0];
    const struct wr_type type = wr_protobuf_natural(key);
    const struct wr_protobuf_shape shape = { .kind = SHAPE_SCALAR, .type = type, .natural = type, .field = key };
    struct wr_protobuf_entry *entries;
    uint32_t count;
    bool first = true;
    if (!wr_protobuf_entries(work, message, &shape, list, &entries, &count)) {
        return false;
    }
    wr_buf_byte(into, '{');
    for (uint32_t i = 0; i < count; i++) {
        struct wr_buf text = { 0 };
        if (entries[i].dropped) {
            continue;
        }
        wr_text_format(&text, type, &entries[i].key);
        wr_buf_text(into, first ? "" : ",");
        wr_text_json_string(into, text.data != NULL ? text.data : "", text.bytes);
        wr_buf_byte(into, ':');
        wr_buf_deinit(&text);
        first = false;
        const struct wr_arena_mark mark = wr_arena_mark(&work->scratch);
        if (!json_field(work, message->by_number[1], &entries[i].value, depth, into) ||
            !wr_protobuf_may_grow(work, into->bytes)) {
            return wr_protobuf_below(work, NULL, i);
        }
        wr_arena_rewind(&work->scratch, mark);
    }
    wr_buf_byte(into, '}');
    return true;
}

/* A list's value; an empty list is the type's zero. */
static bool json_field(struct wr_protobuf_work *work, const struct wr_protobuf_field *field,
                       const struct wr_protobuf_list *list, uint32_t depth, struct wr_buf *into)
{
    if (field->repeated && field->message != NULL && field->message->map_entry) {
        return json_map(work, field, list, depth, into);
    }
    if (field->repeated) {
        struct wr_protobuf_each each = { .one = json_element, .work = work, .field = field, .into = into, .depth = depth };
        wr_buf_byte(into, '[');
        const bool fine = wr_protobuf_each(&each, list);
        wr_buf_byte(into, ']');
        return fine;
    }
    if (field->message != NULL) {
        return json_message(work, field, list, depth, into);
    }
    const struct wr_protobuf_seen zero = { .value = wr_protobuf_zero_of(field), .kind = WR_PROTO_VARINT };
    const struct wr_protobuf_seen *seen = list->first != NULL ? list->first : &zero;
    const bool text = seen->kind == WR_PROTO_BYTES;
    return json_scalar(work, field, text ? 0 : seen->value,
                       text ? wr_protobuf_bytes_of(seen) : (struct wr_slice){ "", 0 }, into);
}

/* A repeated field's element is one message, not the field. */
bool wr_protobuf_json(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                      const struct wr_protobuf_list *list, struct wr_buf *into)
{
    into->bytes = 0;
    return shape->one ? json_message(work, shape->field, list, 0, into)
                      : json_field(work, shape->field, list, 0, into);
}
