/* scalar_convert.c: see scalar_convert.h. */
#include "decode/scalar_convert.h"

#include "batch/text.h"
#include "decode/decoder.h"
#include <math.h>
#include <stdio.h>

#define DAY_US 86400000000LL

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
                    union wr_scalar *value)
{
    struct wr_buf buf = { 0 };
    if (type.id == WR_TYPE_JSON) {
        wr_text_format_json(&buf, from, value);
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
static bool from_text(struct wr_type from, struct wr_type type, uint32_t unit_digits,
                      struct wr_arena *arena, union wr_scalar *value)
{
    char room[64];
    struct wr_slice text = { room, 0 };
    const union wr_scalar before = *value; /* value is written while the text is read */
    switch (from.id) {
    case WR_TYPE_TEXT:
        return wr_decoder_convert(type, wr_view_slice(&before.view), false, unit_digits, arena, value);
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
    case WR_TYPE_DECIMAL:
        text.bytes = wr_text_decimal(room, before.decimal, from.scale);
        break;
    default: {
        const double number = from.id == WR_TYPE_FLOAT32 ? (double)before.f32 : before.f64;
        if (!isfinite(number)) {
            return false;
        }
        text.bytes = (size_t)(wr_text_double(room, number) - room);
    }
    }
    return wr_decoder_convert(type, text, true, unit_digits, arena, value);
}

bool wr_scalar_convert(struct wr_type from, struct wr_type type, uint32_t unit_digits,
                       struct wr_arena *arena, union wr_scalar *value)
{
    const bool time = wr_type_is_timestamp(from);
    if ((type.id == from.id && from.id != WR_TYPE_DECIMAL) || (time && wr_type_is_timestamp(type))) {
        return true;
    }
    if (type.id == WR_TYPE_TEXT || type.id == WR_TYPE_JSON) {
        return to_text(from, type, arena, value);
    }
    if (from.id == WR_TYPE_DATE && wr_type_is_timestamp(type)) {
        value->int64 = (int64_t)value->int32 * DAY_US;
        return true;
    }
    if (time && type.id == WR_TYPE_DATE) {
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
    return from_text(from, type, unit_digits, arena, value);
}

void wr_scalar_show(struct wr_type type, const union wr_scalar *value, char shown[64])
{
    struct wr_buf buf = { 0 };
    wr_text_format_json(&buf, type, value);
    snprintf(shown, 64, "%.*s", buf.bytes > 60 ? 60 : (int)buf.bytes, buf.data);
    wr_buf_deinit(&buf);
}
