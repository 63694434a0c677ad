/* protobuf_scalar.c: scalars, and messages that are scalars; see protobuf_value.h. */
#include "decode/protobuf_parts.h"

#include <stdio.h>

bool wr_protobuf_wrong(struct wr_protobuf_work *work, const char *problem)
{
    work->problem = problem;
    return false;
}

/* (1) */
bool wr_protobuf_may_grow(struct wr_protobuf_work *work, size_t bytes)
{
    return bytes <= WR_RECORD_BYTES_MAX || wr_protobuf_wrong(work, "a nested value is larger than 64 MiB");
}

/* On the way out of a failure: where it was. */
__attribute__((cold)) bool wr_protobuf_below(struct wr_protobuf_work *work, const char *name,
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

bool wr_protobuf_converts(struct wr_type from, const struct wr_protobuf_field *field, struct wr_type type)
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

bool wr_protobuf_natural_of(struct wr_protobuf_work *work, const struct wr_protobuf_field *field,
                       uint64_t number, struct wr_slice bytes, union wr_scalar *value)
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
            return wr_protobuf_wrong(work, "a string is not UTF-8");
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

/* What stands for a scalar that is not there. */
uint64_t wr_protobuf_zero_of(const struct wr_protobuf_field *field)
{
    return field->type == WR_PROTOBUF_ENUM ? (uint64_t)(int64_t)field->choices->first : 0;
}

/* Natural value -> the shape's type; says what does not fit. */
static bool fit(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                union wr_scalar *value)
{
    const union wr_scalar before = *value;
    if (wr_scalar_convert(shape->natural, shape->type, work->unit_digits, work->texts, value)) {
        return true;
    }
    wr_scalar_show(shape->natural, &before, work->shown);
    work->wanted = shape->type;
    return wr_protobuf_wrong(work, "a value does not fit its column");
}

bool wr_protobuf_scalar(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                        uint64_t number, struct wr_slice bytes, union wr_scalar *value)
{
    if (shape->kind == SHAPE_CHOICE) {
        value->decimal = 0;
        value->int32 = (int32_t)number;
        return fit(work, shape, value);
    }
    return wr_protobuf_natural_of(work, shape->field, number, bytes, value) && fit(work, shape, value);
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
    return !r.bad || wr_protobuf_wrong(work, WR_PROTOBUF_MALFORMED);
}

static bool moment_us(struct wr_protobuf_work *work, int64_t seconds, int64_t nanos, int64_t *us)
{
    const int64_t rest = nanos / 1000 - (nanos % 1000 < 0);
    if (nanos <= -1000000000 || nanos >= 1000000000 ||
        __builtin_mul_overflow(seconds, 1000000, us) || __builtin_add_overflow(*us, rest, us)) {
        return wr_protobuf_wrong(work, "a time is out of range");
    }
    return true;
}

bool wr_protobuf_timestamp(struct wr_protobuf_work *work, struct wr_slice bytes, int64_t *us)
{
    int64_t seconds = *us / 1000000 - (*us % 1000000 < 0);
    int64_t nanos = (*us - seconds * 1000000) * 1000;
    return read_moment(work, bytes, &seconds, &nanos) && moment_us(work, seconds, nanos, us);
}

bool wr_protobuf_moment(struct wr_protobuf_work *work, const struct wr_protobuf_shape *shape,
                        const struct wr_protobuf_list *list, union wr_scalar *value)
{
    int64_t seconds = 0;
    int64_t nanos = 0;
    int64_t us = 0;
    for (const struct wr_protobuf_seen *s = list->first; s != NULL; s = s->next) {
        if (!read_moment(work, wr_protobuf_bytes_of(s), &seconds, &nanos)) {
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
