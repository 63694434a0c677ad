#include "encode/thrift_tree.h"

#include "encode/thrift.h"

#define TYPE_SET       10
#define TYPE_MAP       11
#define FIELDS_MAX     64u /* of one struct; Parquet's largest has 17 */

struct reader {
    const char *at;
    const char *end;
    struct wr_arena *arena;
    uint32_t depth;
};

static bool read_varint(struct reader *r, uint64_t *value)
{
    uint64_t result = 0;
    for (uint32_t shift = 0; shift < 64; shift += 7) {
        if (r->at == r->end) {
            return false;
        }
        const uint8_t byte = (uint8_t)*r->at++;
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return true;
        }
    }
    return false;
}

static bool read_zigzag(struct reader *r, int64_t *value)
{
    uint64_t raw;
    if (!read_varint(r, &raw)) {
        return false;
    }
    *value = (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
    return true;
}

static bool read_value(struct reader *r, struct wr_thrift_node *node);
static bool read_struct(struct reader *r, struct wr_thrift_node *node);

static bool read_bytes(struct reader *r, uint64_t bytes, struct wr_slice *slice)
{
    if (bytes > (uint64_t)(r->end - r->at)) {
        return false;
    }
    *slice = (struct wr_slice){ r->at, (size_t)bytes };
    r->at += bytes;
    return true;
}

/* In lists a boolean is a byte; in structs the field's type is the value. */
static bool read_element(struct reader *r, struct wr_thrift_node *node)
{
    if (node->type == WR_THRIFT_TRUE || node->type == WR_THRIFT_FALSE) {
        struct wr_slice byte;
        if (!read_bytes(r, 1, &byte)) {
            return false;
        }
        node->type = WR_THRIFT_TRUE;
        node->number = byte.data[0] == 1;
        return true;
    }
    return read_value(r, node);
}

static bool read_elements(struct reader *r, struct wr_thrift_node *node, uint64_t count,
                          uint8_t type, uint8_t other_type)
{
    /* Each element takes at least a byte. */
    if (count > (uint64_t)(r->end - r->at)) {
        return false;
    }
    node->count = (uint32_t)count;
    node->children = WR_ARENA_ARRAY(r->arena, struct wr_thrift_node, count + 1);
    for (uint64_t i = 0; i < count; i++) {
        node->children[i].type = i % 2 == 0 ? type : other_type;
        if (!read_element(r, &node->children[i])) {
            return false;
        }
    }
    return true;
}

static bool read_list(struct reader *r, struct wr_thrift_node *node)
{
    if (r->at == r->end) {
        return false;
    }
    const uint8_t head = (uint8_t)*r->at++;
    uint64_t count = head >> 4;
    node->element = head & 15;
    if (count == 15 && !read_varint(r, &count)) {
        return false;
    }
    return count <= UINT32_MAX / 2 && read_elements(r, node, count, node->element, node->element);
}

static bool read_map(struct reader *r, struct wr_thrift_node *node)
{
    uint64_t count;
    if (!read_varint(r, &count) || count > UINT32_MAX / 4) {
        return false;
    }
    if (count == 0) {
        return true;
    }
    if (r->at == r->end) {
        return false;
    }
    node->map_types = (uint8_t)*r->at++;
    return read_elements(r, node, count * 2, (uint8_t)(node->map_types >> 4), node->map_types & 15);
}

static bool read_value(struct reader *r, struct wr_thrift_node *node)
{
    uint64_t bytes;
    switch (node->type) {
    case WR_THRIFT_BYTE: {
        struct wr_slice byte;
        if (!read_bytes(r, 1, &byte)) {
            return false;
        }
        node->number = (int8_t)byte.data[0];
        return true;
    }
    case WR_THRIFT_I16:
    case WR_THRIFT_I32:
    case WR_THRIFT_I64:
        return read_zigzag(r, &node->number);
    case WR_THRIFT_DOUBLE: {
        struct wr_slice raw;
        if (!read_bytes(r, 8, &raw)) {
            return false;
        }
        memcpy(&node->number, raw.data, 8);
        return true;
    }
    case WR_THRIFT_BINARY:
        return read_varint(r, &bytes) && read_bytes(r, bytes, &node->binary);
    case WR_THRIFT_LIST:
    case TYPE_SET:
    case TYPE_MAP:
    case WR_THRIFT_STRUCT: {
        if (++r->depth > WR_THRIFT_TREE_DEPTH_MAX) {
            return false;
        }
        const bool good = node->type == WR_THRIFT_STRUCT ? read_struct(r, node)
                          : node->type == TYPE_MAP       ? read_map(r, node)
                                                         : read_list(r, node);
        r->depth--;
        return good;
    }
    default:
        return false;
    }
}

static bool read_field(struct reader *r, uint8_t head, int16_t *last_id,
                       struct wr_thrift_node *field)
{
    int64_t id = *last_id + (head >> 4);
    if (head >> 4 == 0 && !read_zigzag(r, &id)) {
        return false;
    }
    /* Ascending, so that what is read can be written again by differences. */
    if (id <= *last_id || id > INT16_MAX) {
        return false;
    }
    *last_id = (int16_t)id;
    *field = (struct wr_thrift_node){ .id = (int16_t)id, .type = head & 15 };
    if (field->type == WR_THRIFT_TRUE || field->type == WR_THRIFT_FALSE) {
        field->number = field->type == WR_THRIFT_TRUE;
        field->type = WR_THRIFT_TRUE;
        return true;
    }
    return read_value(r, field);
}

static bool read_struct(struct reader *r, struct wr_thrift_node *node)
{
    struct wr_thrift_node fields[FIELDS_MAX];
    uint32_t count = 0;
    int16_t last_id = 0;
    for (;;) {
        if (r->at == r->end) {
            return false;
        }
        const uint8_t head = (uint8_t)*r->at++;
        if (head == 0) {
            break;
        }
        if (count == FIELDS_MAX || !read_field(r, head, &last_id, &fields[count])) {
            return false;
        }
        count++;
    }
    node->type = WR_THRIFT_STRUCT;
    node->count = count;
    node->children = WR_ARENA_ARRAY(r->arena, struct wr_thrift_node, count + 1);
    memcpy(node->children, fields, count * sizeof *fields);
    return true;
}

const char *wr_thrift_tree_read(const char *at, const char *end, struct wr_arena *arena,
                                struct wr_thrift_node *into)
{
    struct reader r = { .at = at, .end = end, .arena = arena };
    *into = (struct wr_thrift_node){ .type = WR_THRIFT_STRUCT };
    return read_struct(&r, into) ? r.at : NULL;
}

/* ---- writing ---- */

static void append_value(const struct wr_thrift_node *node, struct wr_buf *out);

static void append_elements(const struct wr_thrift_node *node, struct wr_buf *out)
{
    if (node->children == NULL) {
        wr_buf_append(out, node->binary.data, node->binary.bytes);
        return;
    }
    for (uint32_t i = 0; i < node->count; i++) {
        const struct wr_thrift_node *child = &node->children[i];
        if (child->type == WR_THRIFT_TRUE) {
            wr_buf_byte(out, child->number ? WR_THRIFT_TRUE : WR_THRIFT_FALSE);
        } else {
            append_value(child, out);
        }
    }
}

static void append_list(const struct wr_thrift_node *node, struct wr_buf *out)
{
    if (node->count < 15) {
        wr_buf_byte(out, (uint8_t)(node->count << 4 | node->element));
    } else {
        wr_buf_byte(out, (uint8_t)(0xf0 | node->element));
        wr_varint_append(out, node->count);
    }
    append_elements(node, out);
}

static void append_value(const struct wr_thrift_node *node, struct wr_buf *out)
{
    switch (node->type) {
    case WR_THRIFT_BYTE:
        wr_buf_byte(out, (uint8_t)node->number);
        break;
    case WR_THRIFT_DOUBLE:
        wr_buf_append(out, &node->number, 8);
        break;
    case WR_THRIFT_BINARY:
        wr_varint_append(out, node->binary.bytes);
        wr_buf_append(out, node->binary.data, node->binary.bytes);
        break;
    case WR_THRIFT_LIST:
    case TYPE_SET:
        append_list(node, out);
        break;
    case TYPE_MAP:
        wr_varint_append(out, node->count / 2);
        if (node->count > 0) {
            wr_buf_byte(out, (uint8_t)node->map_types);
            append_elements(node, out);
        }
        break;
    case WR_THRIFT_STRUCT:
        wr_thrift_tree_append(node, out);
        break;
    default:
        wr_varint_append(out, wr_zigzag(node->number));
        break;
    }
}

void wr_thrift_tree_append(const struct wr_thrift_node *node, struct wr_buf *out)
{
    int16_t last_id = 0;
    for (uint32_t i = 0; i < node->count; i++) {
        const struct wr_thrift_node *field = &node->children[i];
        const int32_t delta = field->id - last_id;
        const bool boolean = field->type == WR_THRIFT_TRUE;
        const uint8_t type = boolean && !field->number ? WR_THRIFT_FALSE : field->type;
        last_id = field->id;
        if (delta <= 15) {
            wr_buf_byte(out, (uint8_t)((uint32_t)delta << 4 | type));
        } else {
            wr_buf_byte(out, type);
            wr_varint_append(out, wr_zigzag(field->id));
        }
        if (!boolean) {
            append_value(field, out);
        }
    }
    wr_buf_byte(out, 0);
}

/* ---- access ---- */

struct wr_thrift_node *wr_thrift_field(const struct wr_thrift_node *node, int16_t id)
{
    for (uint32_t i = 0; node != NULL && node->type == WR_THRIFT_STRUCT && i < node->count; i++) {
        if (node->children[i].id == id) {
            return &node->children[i];
        }
    }
    return NULL;
}

static bool is_number(const struct wr_thrift_node *node)
{
    return node != NULL && node->type >= WR_THRIFT_TRUE && node->type <= WR_THRIFT_I64;
}

int64_t wr_thrift_number(const struct wr_thrift_node *node, int16_t id, int64_t fallback)
{
    const struct wr_thrift_node *field = wr_thrift_field(node, id);
    return is_number(field) ? field->number : fallback;
}

struct wr_slice wr_thrift_bytes(const struct wr_thrift_node *node, int16_t id)
{
    const struct wr_thrift_node *field = wr_thrift_field(node, id);
    return field != NULL && field->type == WR_THRIFT_BINARY ? field->binary : (struct wr_slice){ "", 0 };
}

struct wr_thrift_node *wr_thrift_list(const struct wr_thrift_node *node, int16_t id,
                                      uint32_t *count)
{
    struct wr_thrift_node *field = wr_thrift_field(node, id);
    *count = field != NULL && field->type == WR_THRIFT_LIST ? field->count : 0;
    return *count > 0 ? field->children : NULL;
}

void wr_thrift_drop(struct wr_thrift_node *node, int16_t id)
{
    struct wr_thrift_node *field = wr_thrift_field(node, id);
    if (field != NULL) {
        const uint32_t index = (uint32_t)(field - node->children);
        node->count--;
        memmove(field, field + 1, (node->count - index) * sizeof *field);
    }
}

void wr_thrift_set(struct wr_thrift_node *node, int16_t id, int64_t number)
{
    struct wr_thrift_node *field = wr_thrift_field(node, id);
    if (is_number(field)) {
        field->number = number;
    }
}
