#include "base/proto_wire.h"

static bool fixed(struct wr_proto_reader *r, uint32_t bytes, uint64_t *value)
{
    if ((size_t)(r->end - r->at) < bytes) {
        r->bad = true;
        return false;
    }
    *value = 0;
    memcpy(value, r->at, bytes); /* the wire is little endian, and so are the machines that we build for */
    r->at += bytes;
    return true;
}

static bool length(struct wr_proto_reader *r, struct wr_slice *bytes)
{
    uint64_t n;
    if (!wr_proto_varint(r, &n)) {
        return false;
    }
    if (n > (uint64_t)(r->end - r->at)) {
        r->bad = true;
        return false;
    }
    *bytes = (struct wr_slice){ (const char *)r->at, (size_t)n };
    r->at += n;
    return true;
}

static bool tag(struct wr_proto_reader *r, struct wr_proto_field *field)
{
    uint64_t key;
    if (!wr_proto_varint(r, &key)) {
        return false;
    }
    field->number = (uint32_t)(key >> 3);
    field->kind = (enum wr_proto_kind)(key & 7);
    /* 29 bits of number; 6 and 7 are no wire types */
    r->bad = key >> 32 != 0 || field->number == 0 || (key & 7) > WR_PROTO_FIXED32;
    return !r->bad;
}

static bool value(struct wr_proto_reader *r, struct wr_proto_field *field)
{
    switch (field->kind) {
    case WR_PROTO_VARINT: return wr_proto_varint(r, &field->value);
    case WR_PROTO_FIXED64: return fixed(r, 8, &field->value);
    case WR_PROTO_FIXED32: return fixed(r, 4, &field->value);
    case WR_PROTO_BYTES: return length(r, &field->bytes);
    case WR_PROTO_GROUP:
    case WR_PROTO_GROUP_END: break;
    }
    return true;
}

/* Behind a group's end tag, whose number must be the group's; inside: what lies between. */
static bool group(struct wr_proto_reader *r, uint32_t number, struct wr_slice *inside)
{
    uint32_t open[WR_PROTO_GROUPS_MAX] = { number };
    uint32_t depth = 1;
    struct wr_proto_field field;
    const uint8_t *begin = r->at;
    const uint8_t *end = r->at;
    while (depth > 0) {
        end = r->at;
        if (!tag(r, &field) || !value(r, &field)) {
            return false;
        }
        if (field.kind == WR_PROTO_GROUP) {
            if (depth == WR_PROTO_GROUPS_MAX) {
                r->bad = true;
                return false;
            }
            open[depth++] = field.number;
        } else if (field.kind == WR_PROTO_GROUP_END && open[--depth] != field.number) {
            r->bad = true;
            return false;
        }
    }
    *inside = (struct wr_slice){ (const char *)begin, (size_t)(end - begin) };
    return true;
}

bool wr_proto_next(struct wr_proto_reader *r, struct wr_proto_field *field)
{
    if (r->bad || r->at == r->end) {
        return false;
    }
    *field = (struct wr_proto_field){ 0 };
    if (!tag(r, field)) {
        return false;
    }
    if (field->kind == WR_PROTO_GROUP_END) {
        r->bad = true;
        return false;
    }
    return field->kind == WR_PROTO_GROUP ? group(r, field->number, &field->bytes) : value(r, field);
}

/* ---- writing ---- */

static uint32_t encode_varint(uint8_t *into, uint64_t value)
{
    uint32_t n = 0;
    for (; value >= 0x80; value >>= 7) {
        into[n++] = (uint8_t)(value | 0x80);
    }
    into[n++] = (uint8_t)value;
    return n;
}

void wr_proto_put_raw_varint(struct wr_buf *buf, uint64_t value)
{
    buf->bytes += encode_varint((uint8_t *)wr_buf_reserve(buf, 10), value);
}

void wr_proto_put_varint(struct wr_buf *buf, uint32_t number, uint64_t value)
{
    wr_proto_put_raw_varint(buf, (uint64_t)number << 3 | WR_PROTO_VARINT);
    wr_proto_put_raw_varint(buf, value);
}

void wr_proto_put_bytes(struct wr_buf *buf, uint32_t number, const void *data, size_t bytes)
{
    wr_proto_put_raw_varint(buf, (uint64_t)number << 3 | WR_PROTO_BYTES);
    wr_proto_put_raw_varint(buf, bytes);
    wr_buf_append(buf, data, bytes);
}

size_t wr_proto_begin(struct wr_buf *buf, uint32_t number)
{
    wr_proto_put_raw_varint(buf, (uint64_t)number << 3 | WR_PROTO_BYTES);
    return buf->bytes;
}

void wr_proto_end(struct wr_buf *buf, size_t begun)
{
    uint8_t n[10];
    const size_t inside = buf->bytes - begun;
    const uint32_t bytes = encode_varint(n, inside);
    (void)wr_buf_reserve(buf, bytes);
    memmove(buf->data + begun + bytes, buf->data + begun, inside);
    memcpy(buf->data + begun, n, bytes);
    buf->bytes += bytes;
}
