#include "encode/thrift.h"

#include "base/assert.h"

void wr_varint_append(struct wr_buf *buf, uint64_t value)
{
    char *at = wr_buf_reserve(buf, 10);
    uint32_t used = 0;
    while (value >= 0x80) {
        at[used++] = (char)(value | 0x80);
        value >>= 7;
    }
    at[used++] = (char)value;
    buf->bytes += used;
}

void wr_thrift_init(struct wr_thrift *out, struct wr_buf *buf)
{
    *out = (struct wr_thrift){ .buf = buf };
}

void wr_thrift_end(struct wr_thrift *out)
{
    wr_assert(out->depth == 0);
    wr_buf_byte(out->buf, 0);
}

/* Field head: (id difference, type) in one byte when the difference is 1 to 15. */
static void field(struct wr_thrift *out, int16_t id, enum wr_thrift_type type)
{
    const int32_t delta = id - out->last_id[out->depth];
    wr_assert(delta > 0);
    if (delta <= 15) {
        wr_buf_byte(out->buf, (uint8_t)((uint32_t)delta << 4 | type));
    } else {
        wr_buf_byte(out->buf, (uint8_t)type);
        wr_varint_append(out->buf, wr_zigzag(id));
    }
    out->last_id[out->depth] = id;
}

static void push(struct wr_thrift *out)
{
    out->depth++;
    wr_assert(out->depth < WR_THRIFT_DEPTH_MAX);
    out->last_id[out->depth] = 0;
}

void wr_thrift_bool(struct wr_thrift *out, int16_t id, bool value)
{
    field(out, id, value ? WR_THRIFT_TRUE : WR_THRIFT_FALSE);
}

void wr_thrift_i8(struct wr_thrift *out, int16_t id, int8_t value)
{
    field(out, id, WR_THRIFT_BYTE);
    wr_buf_byte(out->buf, (uint8_t)value);
}

void wr_thrift_i16(struct wr_thrift *out, int16_t id, int16_t value)
{
    field(out, id, WR_THRIFT_I16);
    wr_varint_append(out->buf, wr_zigzag(value));
}

void wr_thrift_i32(struct wr_thrift *out, int16_t id, int32_t value)
{
    field(out, id, WR_THRIFT_I32);
    wr_varint_append(out->buf, wr_zigzag(value));
}

void wr_thrift_i64(struct wr_thrift *out, int16_t id, int64_t value)
{
    field(out, id, WR_THRIFT_I64);
    wr_varint_append(out->buf, wr_zigzag(value));
}

void wr_thrift_binary(struct wr_thrift *out, int16_t id, const void *data, size_t bytes)
{
    field(out, id, WR_THRIFT_BINARY);
    wr_thrift_element_binary(out, data, bytes);
}

void wr_thrift_text(struct wr_thrift *out, int16_t id, const char *text)
{
    wr_thrift_binary(out, id, text, strlen(text));
}

void wr_thrift_begin_struct(struct wr_thrift *out, int16_t id)
{
    field(out, id, WR_THRIFT_STRUCT);
    push(out);
}

void wr_thrift_end_struct(struct wr_thrift *out)
{
    wr_assert(out->depth > 0);
    wr_buf_byte(out->buf, 0);
    out->depth--;
}

void wr_thrift_begin_list(struct wr_thrift *out, int16_t id, enum wr_thrift_type element,
                          size_t count)
{
    field(out, id, WR_THRIFT_LIST);
    if (count < 15) {
        wr_buf_byte(out->buf, (uint8_t)(count << 4 | element));
    } else {
        wr_buf_byte(out->buf, (uint8_t)(0xf0 | element));
        wr_varint_append(out->buf, count);
    }
}

void wr_thrift_element_bool(struct wr_thrift *out, bool value)
{
    wr_buf_byte(out->buf, value ? WR_THRIFT_TRUE : WR_THRIFT_FALSE);
}

void wr_thrift_element_i32(struct wr_thrift *out, int32_t value)
{
    wr_varint_append(out->buf, wr_zigzag(value));
}

void wr_thrift_element_i64(struct wr_thrift *out, int64_t value)
{
    wr_varint_append(out->buf, wr_zigzag(value));
}

void wr_thrift_element_binary(struct wr_thrift *out, const void *data, size_t bytes)
{
    wr_varint_append(out->buf, bytes);
    wr_buf_append(out->buf, data, bytes);
}

void wr_thrift_begin_element(struct wr_thrift *out)
{
    push(out);
}
