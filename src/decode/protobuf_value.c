/* protobuf_value.c: see protobuf_value.h. */
#include "decode/protobuf_value.h"

#include "base/hash.h"
#include "base/limits.h"
#include "batch/text.h"
#include "decode/decoder.h"
#include <math.h>
#include <stdio.h>

#define DAY_US 86400000000LL

static bool wrong(struct wr_protobuf_work *work, const char *problem)
{
    work->problem = problem;
    return false;
}

static const char malformed[] = "a field's bytes are cut off or not well formed";

/* On the way out of a failure: where it was. */
__attribute__((cold)) static bool below(struct wr_protobuf_work *work, const char *name,
                                        int64_t index)
{
    char whole[200];
    if (name != NULL) {
        snprintf(whole, sizeof whole, ".%.60s%s", name, work->path);
    } else {
        snprintf(whole, sizeof whole, "[%lld]%s", (long long)index, work->path);
    }
    whole[sizeof work->path - 1] = '\0';
    memcpy(work->path, whole, sizeof work->path);
    return false;
}

/* Memory that one huge record took is not kept for the small ones behind it. */
#define KEPT_BYTES_MAX (8u << 20)

void wr_protobuf_work_begin(struct wr_protobuf_work *work, size_t bytes)
{
    if (work->seen_count > 0) {
        if (work->scratch.held_bytes + work->writer.buf.capacity + work->json.capacity > KEPT_BYTES_MAX) {
            wr_protobuf_work_deinit(work);
        }
        wr_arena_reset(&work->scratch);
    }
    work->seen_count = 0;
    work->effort = 1000000 + 16 * (uint64_t)bytes;
}

void wr_protobuf_work_deinit(struct wr_protobuf_work *work)
{
    wr_arena_deinit(&work->scratch);
    wr_nested_writer_deinit(&work->writer);
    wr_buf_deinit(&work->json);
}

/* ---- types ---- */

enum wr_proto_kind wr_protobuf_kind_of(const struct wr_protobuf_field *field)
{
    switch (field->type) {
    case WR_PROTOBUF_DOUBLE:
    case WR_PROTOBUF_FIXED64:
    case WR_PROTOBUF_SFIXED64:
        return WR_PROTO_FIXED64;
    case WR_PROTOBUF_FLOAT:
    case WR_PROTOBUF_FIXED32:
    case WR_PROTOBUF_SFIXED32:
        return WR_PROTO_FIXED32;
    case WR_PROTOBUF_STRING:
    case WR_PROTOBUF_BYTES:
    case WR_PROTOBUF_MESSAGE:
        return WR_PROTO_BYTES;
    case WR_PROTOBUF_GROUP:
        return WR_PROTO_GROUP;
    default:
        return WR_PROTO_VARINT;
    }
}

struct wr_type wr_protobuf_natural(const struct wr_protobuf_field *field)
{
    static const uint8_t types[] = {
        [WR_PROTOBUF_DOUBLE] = WR_TYPE_FLOAT64,  [WR_PROTOBUF_FLOAT] = WR_TYPE_FLOAT32,
        [WR_PROTOBUF_INT64] = WR_TYPE_INT64,     [WR_PROTOBUF_UINT64] = WR_TYPE_UINT64,
        [WR_PROTOBUF_INT32] = WR_TYPE_INT32,     [WR_PROTOBUF_FIXED64] = WR_TYPE_UINT64,
        [WR_PROTOBUF_FIXED32] = WR_TYPE_UINT32,  [WR_PROTOBUF_BOOL] = WR_TYPE_BOOL,
        [WR_PROTOBUF_STRING] = WR_TYPE_TEXT,     [WR_PROTOBUF_GROUP] = WR_TYPE_JSON,
        [WR_PROTOBUF_MESSAGE] = WR_TYPE_JSON,    [WR_PROTOBUF_BYTES] = WR_TYPE_BYTES,
        [WR_PROTOBUF_UINT32] = WR_TYPE_UINT32,   [WR_PROTOBUF_ENUM] = WR_TYPE_TEXT,
        [WR_PROTOBUF_SFIXED32] = WR_TYPE_INT32,  [WR_PROTOBUF_SFIXED64] = WR_TYPE_INT64,
        [WR_PROTOBUF_SINT32] = WR_TYPE_INT32,    [WR_PROTOBUF_SINT64] = WR_TYPE_INT64,
    };
    if (field->message != NULL) {
        switch (field->message->known) {
        case WR_PROTOBUF_TIMESTAMP: return wr_type_of(WR_TYPE_TIMESTAMPTZ);
        case WR_PROTOBUF_DURATION: return wr_type_of(WR_TYPE_INTERVAL);
        case WR_PROTOBUF_WRAPPER:
            return wr_protobuf_natural(wr_protobuf_field_numbered(field->message, 1));
        default: break;
        }
    }
    return wr_type_of((enum wr_type_id)types[field->type]);
}

static bool converts(struct wr_type from, const struct wr_protobuf_field *field, struct wr_type type)
{
    if (type.id == WR_TYPE_JSON || type.id == WR_TYPE_TEXT) {
        return true;
    }
    switch (from.id) {
    case WR_TYPE_BOOL:
    case WR_TYPE_INTERVAL:
    case WR_TYPE_BYTES:
        return type.id == from.id;
    case WR_TYPE_TIMESTAMPTZ:
        return wr_type_is_timestamp(type) || type.id == WR_TYPE_DATE;
    case WR_TYPE_TEXT: /* a string is what its text says */
        return field->type == WR_PROTOBUF_STRING && !wr_type_is_nested(type);
    default:
        return wr_type_is_numeric(type) || wr_type_is_timestamp(type);
    }
}

/* ---- scalars ---- */

static struct wr_view choice_view(const struct wr_protobuf_enum *choices, int32_t number)
{
    const char *name = wr_protobuf_choice(choices, number);
    char room[32];
    if (name != NULL) {
        return wr_view_of(name, strlen(name));
    }
    /* Of a newer schema: 11 bytes at most, which lie in the view. */
    return wr_view_of(room, (size_t)(wr_text_int64(room, number) - room));
}

static bool natural_of(struct wr_protobuf_work *work, const struct wr_protobuf_field *field,
                       uint64_t number, struct wr_slice bytes, union wr_protobuf_datum *value)
{
    value->decimal = 0;
    switch (field->type) {
    case WR_PROTOBUF_SINT32:
        value->int32 = (int32_t)wr_proto_zigzag((uint32_t)number);
        return true;
    case WR_PROTOBUF_SINT64:
        value->int64 = wr_proto_zigzag(number);
        return true;
    case WR_PROTOBUF_BOOL:
        value->boolean = number != 0;
        return true;
    case WR_PROTOBUF_ENUM:
        value->view = choice_view(field->choices, (int32_t)number);
        return true;
    case WR_PROTOBUF_STRING:
        if (!wr_utf8_valid(bytes.data, bytes.bytes)) {
            return wrong(work, "a string is not UTF-8");
        }
        value->view = wr_view_of(bytes.data, bytes.bytes);
        return true;
    case WR_PROTOBUF_BYTES:
        value->view = wr_view_of(bytes.data, bytes.bytes);
        return true;
    case WR_PROTOBUF_INT32:
    case WR_PROTOBUF_UINT32:
    case WR_PROTOBUF_FIXED32:
    case WR_PROTOBUF_SFIXED32:
    case WR_PROTOBUF_FLOAT:
        value->uint32 = (uint32_t)number; /* the lower half counts, as everywhere */
        return true;
    default:
        value->uint64 = number;
        return true;
    }
}

static struct wr_view keep(struct wr_buf *buf, struct wr_arena *arena)
{
    const struct wr_view view =
        buf->bytes <= WR_VIEW_INLINE_BYTES
            ? wr_view_of(buf->data != NULL ? buf->data : "", buf->bytes)
            : wr_view_of(wr_arena_strndup(arena, buf->data, buf->bytes), buf->bytes);
    wr_buf_deinit(buf);
    return view;
}

static bool to_text(struct wr_type from, struct wr_type type, struct wr_arena *arena,
                    union wr_protobuf_datum *value)
{
    struct wr_buf buf = { 0 };
    if (type.id == WR_TYPE_JSON) {
        wr_text_format_json(&buf, from, value);
    } else if (from.id == WR_TYPE_TEXT) {
        return true;
    } else if (from.id == WR_TYPE_BYTES) {
        const struct wr_slice text = wr_view_slice(&value->view);
        return wr_utf8_valid(text.data, text.bytes);
    } else {
        wr_text_format(&buf, from, value);
    }
    value->view = keep(&buf, arena);
    return true;
}

/* Numbers go through their text: exact, and the one place that knows what fits where. */
static bool from_text(struct wr_protobuf_work *work, struct wr_type from, struct wr_type type,
                      union wr_protobuf_datum *value)
{
    char room[64];
    struct wr_slice text = { room, 0 };
    const union wr_protobuf_datum before = *value; /* value is written while the text is read */
    switch (from.id) {
    case WR_TYPE_TEXT:
        return wr_decoder_convert(type, wr_view_slice(&before.view), false, work->unit_digits,
                                  work->texts, value);
    case WR_TYPE_INT32:
        text.bytes = (size_t)(wr_text_int64(room, before.int32) - room);
        break;
    case WR_TYPE_UINT32:
        text.bytes = (size_t)(wr_text_int64(room, before.uint32) - room);
        break;
    case WR_TYPE_INT64:
        text.bytes = (size_t)(wr_text_int64(room, before.int64) - room);
        break;
    case WR_TYPE_UINT64:
        text.bytes = (size_t)(wr_text_uint64(room, before.uint64) - room);
        break;
    default: {
        const double number = from.id == WR_TYPE_FLOAT32 ? (double)before.f32 : before.f64;
        if (!isfinite(number)) {
            return false;
        }
        text.bytes = (size_t)(wr_text_double(room, number) - room);
    }
    }
    return wr_decoder_convert(type, text, true, work->unit_digits, work->texts, value);
}

static bool convert(struct wr_protobuf_work *work, struct wr_type from, struct wr_type type,
                    union wr_protobuf_datum *value)
{
    if (type.id == from.id || (wr_type_is_timestamp(from) && wr_type_is_timestamp(type))) {
        return true;
    }
    if (type.id == WR_TYPE_TEXT || type.id == WR_TYPE_JSON) {
        return to_text(from, type, work->texts, value);
    }
    if (wr_type_is_timestamp(from) && type.id == WR_TYPE_DATE) {
        const int64_t us = value->int64;
        value->int32 = (int32_t)(us / DAY_US - (us % DAY_US < 0));
        return true;
    }
    if (from.id == WR_TYPE_FLOAT32 && type.id == WR_TYPE_FLOAT64) {
        value->f64 = (double)value->f32;
        return true;
    }
    if (from.id == WR_TYPE_FLOAT64 && type.id == WR_TYPE_FLOAT32) {
        const double wide = value->f64;
        value->f32 = (float)wide;
        return isfinite(value->f32) || !isfinite(wide);
    }
    return from_text(work, from, type, value);
}

/* What stands for a scalar that is not there. */
static uint64_t zero_of(const struct wr_protobuf_field *field)
{
    return field->type == WR_PROTOBUF_ENUM ? (uint64_t)(int64_t)field->choices->first : 0;
}

/* Natural value -> the shape's type; says what does not fit. */
static bool fit(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                union wr_protobuf_datum *value)
{
    const union wr_protobuf_datum before = *value;
    if (convert(work, shape->natural, shape->type, value)) {
        return true;
    }
    struct wr_buf buf = { 0 };
    wr_text_format_json(&buf, shape->natural, &before);
    snprintf(work->shown, sizeof work->shown, "%.*s", buf.bytes > 60 ? 60 : (int)buf.bytes, buf.data);
    wr_buf_deinit(&buf);
    work->wanted = shape->type;
    return wrong(work, "a value does not fit its column");
}

bool wr_protobuf_scalar(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                        uint64_t number, struct wr_slice bytes, union wr_protobuf_datum *value)
{
    if (shape->kind == SHAPE_CHOICE) {
        value->decimal = 0;
        value->int32 = (int32_t)number;
        return fit(work, shape, value);
    }
    return natural_of(work, shape->field, number, bytes, value) && fit(work, shape, value);
}

/* ---- gathering ---- */

bool wr_protobuf_note(struct wr_protobuf_work *work, struct wr_protobuf_list *list, bool all,
                      const struct wr_proto_field *from)
{
    struct wr_protobuf_seen *seen = all ? NULL : list->first;
    if (seen == NULL) {
        if (work->seen_count == WR_PROTOBUF_SEEN_MAX) { /* (1) */
            return wrong(work, "more than 4194304 values in one record");
        }
        work->seen_count++;
        seen = wr_arena_alloc(&work->scratch, sizeof *seen);
        seen->next = NULL;
        if (list->first == NULL) {
            list->first = seen;
        } else {
            list->last->next = seen;
        }
        list->last = seen;
    }
    seen->kind = from->kind;
    if (from->kind == WR_PROTO_BYTES || from->kind == WR_PROTO_GROUP) {
        seen->data = from->bytes.data;
        seen->bytes = (uint32_t)from->bytes.bytes;
    } else {
        seen->value = from->value;
        seen->bytes = 0;
    }
    return true;
}

static struct wr_slice bytes_of(const struct wr_protobuf_seen *seen)
{
    return (struct wr_slice){ seen->data, seen->bytes };
}

static bool is_message(const struct wr_protobuf_field *field)
{
    return field->message != NULL;
}

/* The lists of one message's fields, by index in by_number. */
struct gathered {
    struct wr_protobuf_list *lists;
    uint32_t *active; /* per oneof: index of the member that is set, plus 1 */
};

/* Another member of a oneof was set: the one before is gone. */
static void choose(const struct wr_protobuf_field *field, uint32_t index, struct gathered *g)
{
    uint32_t *active = &g->active[field->oneof - 1];
    if (*active != 0 && *active != index + 1) {
        g->lists[*active - 1] = (struct wr_protobuf_list){ 0 };
    }
    *active = index + 1;
}

static bool gather_piece(struct wr_protobuf_work *work, const struct wr_protobuf_message *message,
                         const bool *wanted, struct wr_slice piece, struct gathered *g)
{
    struct wr_proto_reader r = wr_proto_read(piece);
    struct wr_proto_field f;
    while (wr_proto_next(&r, &f)) {
        const uint32_t index = wr_protobuf_index_of(message, f.number);
        if (index == WR_PROTOBUF_NO_FIELD) {
            continue;
        }
        const struct wr_protobuf_field *field = message->by_number[index];
        const bool right = f.kind == wr_protobuf_kind_of(field) ||
                           (f.kind == WR_PROTO_BYTES && wr_protobuf_packs(field));
        if (!right) {
            continue; /* a wire type that the field cannot have: an unknown field */
        }
        if (field->oneof != 0) {
            choose(field, index, g);
        }
        if ((wanted == NULL || wanted[index]) &&
            !wr_protobuf_note(work, &g->lists[index], field->repeated || is_message(field), &f)) {
            return below(work, field->name, 0);
        }
    }
    return !r.bad || wrong(work, malformed);
}

/* A message in as many pieces as there are. NULL: not well formed, or too much work. */
static struct wr_protobuf_list *gather(struct wr_protobuf_work *work,
                                       const struct wr_protobuf_message *message,
                                       const bool *wanted, const struct wr_protobuf_list *pieces)
{
    const uint32_t cost = 1 + message->field_count / 8; /* (1) */
    if (work->effort < cost) {
        (void)wrong(work, "too many messages for the record's size");
        return NULL;
    }
    work->effort -= cost;
    struct gathered g = {
        .lists = WR_ARENA_ARRAY(&work->scratch, struct wr_protobuf_list, message->field_count + 1),
        .active = message->oneof_count == 0 ? NULL
                                            : WR_ARENA_ARRAY(&work->scratch, uint32_t, message->oneof_count),
    };
    for (const struct wr_protobuf_seen *s = pieces->first; s != NULL; s = s->next) {
        if (!gather_piece(work, message, wanted, bytes_of(s), &g)) {
            return NULL;
        }
    }
    return g.lists;
}

/* One occurrence as a list of its own. */
static struct wr_protobuf_list alone(const struct wr_protobuf_seen *seen, struct wr_protobuf_seen *copy)
{
    *copy = *seen;
    copy->next = NULL;
    return (struct wr_protobuf_list){ copy, copy };
}

/* ---- messages that are scalars ---- */

/* seconds = 1, nanos = 2 of a Timestamp or Duration, over what stands in *seconds and *nanos. */
static bool read_moment(struct wr_protobuf_work *work, struct wr_slice bytes, int64_t *seconds,
                        int64_t *nanos)
{
    struct wr_proto_reader r = wr_proto_read(bytes);
    struct wr_proto_field f;
    while (wr_proto_next(&r, &f)) {
        if (f.kind == WR_PROTO_VARINT && f.number == 1) {
            *seconds = (int64_t)f.value;
        } else if (f.kind == WR_PROTO_VARINT && f.number == 2) {
            *nanos = (int32_t)f.value;
        }
    }
    return !r.bad || wrong(work, malformed);
}

static bool moment_us(struct wr_protobuf_work *work, int64_t seconds, int64_t nanos, int64_t *us)
{
    const int64_t rest = nanos / 1000 - (nanos % 1000 < 0);
    if (nanos <= -1000000000 || nanos >= 1000000000 ||
        __builtin_mul_overflow(seconds, 1000000, us) || __builtin_add_overflow(*us, rest, us)) {
        return wrong(work, "a time is out of range");
    }
    return true;
}

bool wr_protobuf_timestamp(struct wr_protobuf_work *work, struct wr_slice bytes, int64_t *us)
{
    int64_t seconds = *us / 1000000 - (*us % 1000000 < 0);
    int64_t nanos = (*us - seconds * 1000000) * 1000;
    return read_moment(work, bytes, &seconds, &nanos) && moment_us(work, seconds, nanos, us);
}

static bool make_moment(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                        const struct wr_protobuf_list *list, union wr_protobuf_datum *value)
{
    int64_t seconds = 0;
    int64_t nanos = 0;
    int64_t us = 0;
    for (const struct wr_protobuf_seen *s = list->first; s != NULL; s = s->next) {
        if (!read_moment(work, bytes_of(s), &seconds, &nanos)) {
            return false;
        }
    }
    if (!moment_us(work, seconds, nanos, &us)) {
        return false;
    }
    value->decimal = 0;
    if (shape->kind == SHAPE_TIMESTAMP) {
        value->int64 = us;
    } else {
        value->interval = (struct wr_interval){ .us = us };
    }
    return fit(work, shape, value);
}

/* ---- JSON ---- */

static bool json_field(struct wr_protobuf_work *work, const struct wr_protobuf_field *field,
                       const struct wr_protobuf_list *list, uint32_t depth, struct wr_buf *into);

/* (1) */
static bool may_grow(struct wr_protobuf_work *work, size_t bytes)
{
    return bytes <= WR_RECORD_BYTES_MAX || wrong(work, "a nested value is larger than 64 MiB");
}

static bool json_scalar(struct wr_protobuf_work *work, const struct wr_protobuf_field *field,
                        uint64_t number, struct wr_slice bytes, struct wr_buf *into)
{
    union wr_protobuf_datum value;
    if (!natural_of(work, field, number, bytes, &value)) {
        return false;
    }
    wr_text_format_json(into, wr_protobuf_natural(field), &value);
    return may_grow(work, into->bytes);
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
    union wr_protobuf_datum value;
    if (!make_moment(work, &shape, list, &value)) {
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
            return below(work, field->name, 0);
        }
        if (!may_grow(work, into->bytes)) {
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
        return wrong(work, "messages nest deeper than 64");
    }
    if (message->known == WR_PROTOBUF_TIMESTAMP || message->known == WR_PROTOBUF_DURATION) {
        return json_moment(work, field, list, into);
    }
    const struct wr_protobuf_list *lists = gather(work, message, NULL, list);
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
    if (!is_message(field)) {
        const bool text = seen->kind == WR_PROTO_BYTES;
        return json_scalar(work, field, text ? 0 : seen->value,
                           text ? bytes_of(seen) : (struct wr_slice){ "", 0 }, into);
    }
    const struct wr_protobuf_list list = alone(seen, &copy);
    const struct wr_arena_mark mark = wr_arena_mark(&work->scratch);
    const bool made = json_message(work, field, &list, depth, into);
    wr_arena_rewind(&work->scratch, mark);
    return made;
}

/* The next of a packed run. */
static bool unpack(struct wr_proto_reader *r, enum wr_proto_kind kind, uint64_t *number)
{
    const uint32_t bytes = kind == WR_PROTO_FIXED64 ? 8 : 4;
    if (kind == WR_PROTO_VARINT) {
        return wr_proto_varint(r, number);
    }
    if ((size_t)(r->end - r->at) < bytes) {
        r->bad = true;
        return false;
    }
    *number = 0;
    memcpy(number, r->at, bytes);
    r->at += bytes;
    return true;
}

/* Calls one for each element of a repeated field, packed or not. Scalars come as number and bytes, messages as seen. */
struct each {
    bool (*one)(struct each *each, const struct wr_protobuf_seen *seen);
    struct wr_protobuf_work *work;
    const struct wr_protobuf_field *field;
    const struct wr_protobuf_shape *shape;
    struct wr_buf *into;
    uint32_t depth;
    uint32_t index;
};

static bool each_packed(struct each *e, const struct wr_protobuf_seen *seen)
{
    struct wr_proto_reader r = wr_proto_read(bytes_of(seen));
    const enum wr_proto_kind kind = wr_protobuf_kind_of(e->field);
    while (r.at < r.end) {
        struct wr_protobuf_seen one = { .kind = kind };
        if (!unpack(&r, kind, &one.value)) {
            return wrong(e->work, malformed);
        }
        if (!e->one(e, &one)) {
            return false;
        }
        e->index++;
    }
    return true;
}

static bool each_element(struct each *e, const struct wr_protobuf_list *list)
{
    const bool packs = wr_protobuf_packs(e->field);
    for (const struct wr_protobuf_seen *s = list->first; s != NULL; s = s->next) {
        if (packs && s->kind == WR_PROTO_BYTES) {
            if (!each_packed(e, s)) {
                return below(e->work, NULL, e->index);
            }
            continue;
        }
        if (!e->one(e, s)) {
            return below(e->work, NULL, e->index);
        }
        e->index++;
    }
    return true;
}

static bool json_element(struct each *e, const struct wr_protobuf_seen *seen)
{
    if (e->index > 0) {
        wr_buf_byte(e->into, ',');
    }
    return json_one(e->work, e->field, seen, e->depth, e->into) && may_grow(e->work, e->into->bytes);
}

/* ---- maps ---- */

struct entry {
    union wr_protobuf_datum key;
    struct wr_protobuf_list value;
    bool dropped; /* an entry with the same key follows */
};

static bool same_key(struct wr_type type, const union wr_protobuf_datum *a,
                     const union wr_protobuf_datum *b)
{
    return wr_type_is_view(type) ? wr_view_equal(&a->view, &b->view)
                                 : memcmp(a, b, wr_type_width(type)) == 0;
}

static uint64_t key_hash(struct wr_type type, const union wr_protobuf_datum *key)
{
    if (wr_type_is_view(type)) {
        const struct wr_slice text = wr_view_slice(&key->view);
        return wr_hash_bytes(text.data, text.bytes);
    }
    return wr_hash_bytes(key, wr_type_width(type));
}

/* Marks all but the last of equal keys: an open table of entries' numbers. */
static void drop_earlier(struct wr_protobuf_work *work, struct wr_type type, struct entry *entries,
                         uint32_t count)
{
    uint32_t slots = 4;
    while (slots < count * 2) {
        slots *= 2;
    }
    uint32_t *table = WR_ARENA_ARRAY(&work->scratch, uint32_t, slots); /* number + 1 */
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)key_hash(type, &entries[i].key) & (slots - 1);
        while (table[at] != 0 && !same_key(type, &entries[table[at] - 1].key, &entries[i].key)) {
            at = (at + 1) & (slots - 1);
        }
        if (table[at] != 0) {
            entries[table[at] - 1].dropped = true;
        }
        table[at] = i + 1;
    }
}

static bool read_entries(struct wr_protobuf_work *work, const struct wr_protobuf_message *message,
                         const struct wr_protobuf_shape *key, const struct wr_protobuf_list *list,
                         struct entry **entries, uint32_t *count)
{
    *count = 0;
    for (const struct wr_protobuf_seen *s = list->first; s != NULL; s = s->next) {
        (*count)++;
    }
    *entries = WR_ARENA_ARRAY(&work->scratch, struct entry, *count + 1);
    uint32_t i = 0;
    for (const struct wr_protobuf_seen *s = list->first; s != NULL; s = s->next, i++) {
        struct wr_protobuf_list lists[2] = { { 0 } };
        struct gathered g = { .lists = lists };
        if (!gather_piece(work, message, NULL, bytes_of(s), &g)) {
            return false;
        }
        const struct wr_protobuf_seen *k = lists[0].first;
        const struct wr_slice none = { "", 0 };
        if (!wr_protobuf_scalar(work, key, k != NULL && k->kind != WR_PROTO_BYTES ? k->value : 0,
                                k != NULL && k->kind == WR_PROTO_BYTES ? bytes_of(k) : none,
                                &(*entries)[i].key)) {
            return below(work, "key", 0);
        }
        (*entries)[i].value = lists[1];
    }
    drop_earlier(work, key->type, *entries, *count);
    return true;
}

static bool json_map(struct wr_protobuf_work *work, const struct wr_protobuf_field *field,
                     const struct wr_protobuf_list *list, uint32_t depth, struct wr_buf *into)
{
    const struct wr_protobuf_message *message = field->message;
    const struct wr_protobuf_field *key = message->by_number[0];
    const struct wr_type type = wr_protobuf_natural(key);
    const struct wr_protobuf_shape shape = { .kind = SHAPE_SCALAR, .type = type, .natural = type, .field = key };
    struct entry *entries;
    uint32_t count;
    bool first = true;
    if (!read_entries(work, message, &shape, list, &entries, &count)) {
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
            !may_grow(work, into->bytes)) {
            return below(work, NULL, i);
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
        struct each each = { .one = json_element, .work = work, .field = field, .into = into, .depth = depth };
        wr_buf_byte(into, '[');
        const bool fine = each_element(&each, list);
        wr_buf_byte(into, ']');
        return fine;
    }
    if (is_message(field)) {
        return json_message(work, field, list, depth, into);
    }
    const struct wr_protobuf_seen zero = { .value = zero_of(field), .kind = WR_PROTO_VARINT };
    const struct wr_protobuf_seen *seen = list->first != NULL ? list->first : &zero;
    const bool text = seen->kind == WR_PROTO_BYTES;
    return json_scalar(work, field, text ? 0 : seen->value,
                       text ? bytes_of(seen) : (struct wr_slice){ "", 0 }, into);
}

/* ---- nested values ---- */

static bool emit(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                 const struct wr_protobuf_list *list);

static bool emit_element(struct each *e, const struct wr_protobuf_seen *seen)
{
    struct wr_protobuf_seen copy;
    const struct wr_protobuf_list list = alone(seen, &copy);
    const struct wr_arena_mark mark = wr_arena_mark(&e->work->scratch);
    const bool made = emit(e->work, e->shape, &list);
    wr_arena_rewind(&e->work->scratch, mark);
    return made;
}

static bool fill_array(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                       const struct wr_protobuf_list *list)
{
    struct each each = { .one = emit_element, .work = work, .field = shape->field, .shape = shape->inner[0] };
    return each_element(&each, list);
}

static bool fill_map(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                     const struct wr_protobuf_list *list)
{
    struct entry *entries;
    uint32_t count;
    if (!read_entries(work, shape->field->message, shape->inner[0], list, &entries, &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].dropped) {
            continue;
        }
        const struct wr_arena_mark mark = wr_arena_mark(&work->scratch);
        wr_nested_put(&work->writer, shape->inner[0]->type, &entries[i].key);
        if (!emit(work, shape->inner[1], &entries[i].value)) {
            return below(work, NULL, i);
        }
        wr_arena_rewind(&work->scratch, mark);
    }
    return true;
}

static bool fill_struct(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                        const struct wr_protobuf_list *list)
{
    static const struct wr_protobuf_list none;
    const struct wr_protobuf_list *lists = gather(work, shape->field->message, shape->wanted, list);
    if (lists == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < shape->slot_count; i++) {
        const struct wr_protobuf_slot *slot = &shape->slots[i];
        const struct wr_protobuf_list *own =
            slot->index != WR_PROTOBUF_NO_FIELD ? &lists[slot->index] : &none;
        if (slot->shape == NULL || (own->first == NULL && slot->presence)) {
            wr_nested_put_null(&work->writer);
        } else if (!emit(work, slot->shape, own)) {
            return below(work, slot->name, 0);
        }
    }
    return true;
}

static bool fill(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                 const struct wr_protobuf_list *list)
{
    return shape->kind == SHAPE_ARRAY ? fill_array(work, shape, list)
           : shape->kind == SHAPE_MAP ? fill_map(work, shape, list)
                                      : fill_struct(work, shape, list);
}

static bool make_wrapper(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                         const struct wr_protobuf_list *list, union wr_protobuf_datum *value);

/* All that is no nested type. */
static bool make_flat(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                      const struct wr_protobuf_list *list, union wr_protobuf_datum *value)
{
    const struct wr_protobuf_seen *seen = list->first;
    const struct wr_slice none = { "", 0 };
    switch (shape->kind) {
    case SHAPE_TIMESTAMP:
    case SHAPE_DURATION:
        return make_moment(work, shape, list, value);
    case SHAPE_WRAPPER:
        return make_wrapper(work, shape, list, value);
    default:
        return seen == NULL ? wr_protobuf_scalar(work, shape, zero_of(shape->field), none, value)
               : seen->kind == WR_PROTO_BYTES
                   ? wr_protobuf_scalar(work, shape, 0, bytes_of(seen), value)
                   : wr_protobuf_scalar(work, shape, seen->value, none, value);
    }
}

static bool make_wrapper(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                         const struct wr_protobuf_list *list, union wr_protobuf_datum *value)
{
    const struct wr_protobuf_list *lists = gather(work, shape->field->message, NULL, list);
    return lists != NULL && make_flat(work, shape->inner[0], &lists[0], value);
}

/* A repeated field's element is one message, not the field. */
static bool make_json(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                      const struct wr_protobuf_list *list, struct wr_buf *into)
{
    into->bytes = 0;
    return shape->one ? json_message(work, shape->field, list, 0, into)
                      : json_field(work, shape->field, list, 0, into);
}

/* One slot of the writer's open body. */
static bool emit(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                 const struct wr_protobuf_list *list)
{
    union wr_protobuf_datum value;
    if (!may_grow(work, work->writer.buf.bytes)) {
        return false;
    }
    if (shape->kind >= SHAPE_ARRAY) {
        wr_nested_open(&work->writer, shape->type);
        if (!fill(work, shape, list)) {
            return false;
        }
        (void)wr_nested_close(&work->writer);
        return true;
    }
    if (shape->kind == SHAPE_JSON) {
        if (!make_json(work, shape, list, &work->json)) {
            return false;
        }
        wr_nested_put_bytes(&work->writer, work->json.data, work->json.bytes);
        return true;
    }
    if (!make_flat(work, shape, list, &value)) {
        return false;
    }
    wr_nested_put(&work->writer, shape->type, &value);
    return true;
}

bool wr_protobuf_make(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                      const struct wr_protobuf_list *list, struct wr_arena *arena,
                      union wr_protobuf_datum *value)
{
    struct wr_slice made;
    if (shape->kind < SHAPE_JSON) {
        work->texts = arena;
        return make_flat(work, shape, list, value);
    }
    work->texts = &work->scratch;
    if (shape->kind == SHAPE_JSON) {
        if (!make_json(work, shape, list, &work->json)) {
            return false;
        }
        made = (struct wr_slice){ work->json.data, work->json.bytes };
    } else {
        work->writer.depth = 0; /* a value that failed left its bodies open */
        wr_nested_open(&work->writer, shape->type);
        if (!fill(work, shape, list)) {
            return false;
        }
        made = wr_nested_close(&work->writer);
    }
    if (!may_grow(work, made.bytes)) {
        return false;
    }
    value->view = wr_view_of(made.bytes > WR_VIEW_INLINE_BYTES
                                 ? wr_arena_strndup(arena, made.data, made.bytes)
                                 : made.data,
                             made.bytes);
    return true;
}

/* ---- shapes ---- */

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
        return converts(natural, shape->field, shape->type) ? WR_OK
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
    return converts(made->natural, field, type) ? WR_OK : misfit(field, type, err);
}
