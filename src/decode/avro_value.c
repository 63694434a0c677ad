/* avro_value.c: see avro_value.h. */
#include "decode/avro_value.h"

#include "base/limits.h"
#include "batch/text.h"
#include "decode/avro_nest.h"
#include "decode/decoder.h"
#include <stdio.h>

#define DAY_US 86400000000LL
#define DIGITS_MAX 38u

static bool wrong(struct wr_avro_cursor *c, const char *problem)
{
    c->problem = problem;
    return false;
}

static bool truncated(struct wr_avro_cursor *c)
{
    return wrong(c, "the record ends too early");
}

/* ---- plain reading ---- */

bool wr_avro_long_slow(struct wr_avro_cursor *c, int64_t *value)
{
    uint64_t raw = 0;
    for (uint32_t shift = 0; shift < 64; shift += 7) {
        if (c->at == c->end) {
            return truncated(c);
        }
        const uint64_t byte = *c->at++;
        if (shift == 63 && byte > 1) {
            break;
        }
        raw |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
            return true;
        }
    }
    return wrong(c, "a number is longer than 64 bits");
}

static bool take(struct wr_avro_cursor *c, size_t bytes, struct wr_slice *text)
{
    if ((size_t)(c->end - c->at) < bytes) {
        return truncated(c);
    }
    *text = (struct wr_slice){ (const char *)c->at, bytes };
    c->at += bytes;
    return true;
}

bool wr_avro_bytes(struct wr_avro_cursor *c, struct wr_slice *text)
{
    int64_t bytes;
    if (!wr_avro_long(c, &bytes)) {
        return false;
    }
    if (bytes < 0) {
        return wrong(c, "a length is negative");
    }
    return (uint64_t)bytes > (uint64_t)(c->end - c->at) ? truncated(c)
                                                        : take(c, (size_t)bytes, text);
}

bool wr_avro_block(struct wr_avro_cursor *c, uint64_t *items, int64_t *bytes)
{
    int64_t count;
    *bytes = -1;
    if (!wr_avro_spend(c) || !wr_avro_long(c, &count)) {
        return false;
    }
    if (count < 0) {
        if (count == INT64_MIN || !wr_avro_long(c, bytes) || *bytes < 0 ||
            *bytes > c->end - c->at) {
            return wrong(c, "a block is larger than the record");
        }
        count = -count;
    }
    *items = (uint64_t)count;
    return true;
}

static bool branch(struct wr_avro_cursor *c, const struct wr_avro_node *node,
                   const struct wr_avro_node **taken)
{
    int64_t index;
    if (!wr_avro_long(c, &index)) {
        return false;
    }
    if (index < 0 || index >= node->count) {
        return wrong(c, "a union's index is out of range");
    }
    *taken = node->types[index];
    return true;
}

/* ---- natural types ---- */

struct wr_type wr_avro_natural(const struct wr_avro_node *node)
{
    switch (node->logical) {
    case WR_AVRO_DECIMAL:
        return (struct wr_type){ .id = WR_TYPE_DECIMAL,
                                 .precision = DIGITS_MAX,
                                 .scale = (uint8_t)(node->scale > DIGITS_MAX ? DIGITS_MAX
                                                                             : node->scale) };
    case WR_AVRO_UUID:
    case WR_AVRO_TIME_MILLIS:
    case WR_AVRO_TIME_MICROS:
        return wr_type_of(WR_TYPE_TEXT);
    case WR_AVRO_DATE:
        return wr_type_of(WR_TYPE_DATE);
    case WR_AVRO_TIMESTAMP_MILLIS:
    case WR_AVRO_TIMESTAMP_MICROS:
    case WR_AVRO_TIMESTAMP_NANOS:
        return wr_type_of(WR_TYPE_TIMESTAMPTZ);
    case WR_AVRO_LOCAL_MILLIS:
    case WR_AVRO_LOCAL_MICROS:
    case WR_AVRO_LOCAL_NANOS:
        return wr_type_of(WR_TYPE_TIMESTAMP);
    case WR_AVRO_DURATION:
        return wr_type_of(WR_TYPE_INTERVAL);
    case WR_AVRO_PLAIN:
        break;
    }
    static const uint8_t types[] = {
        [WR_AVRO_NULL] = WR_TYPE_NULL,     [WR_AVRO_BOOLEAN] = WR_TYPE_BOOL,
        [WR_AVRO_INT] = WR_TYPE_INT64,     [WR_AVRO_LONG] = WR_TYPE_INT64,
        [WR_AVRO_FLOAT] = WR_TYPE_FLOAT32, [WR_AVRO_DOUBLE] = WR_TYPE_FLOAT64,
        [WR_AVRO_BYTES] = WR_TYPE_BYTES,   [WR_AVRO_STRING] = WR_TYPE_TEXT,
        [WR_AVRO_FIXED] = WR_TYPE_BYTES,   [WR_AVRO_ENUM] = WR_TYPE_TEXT,
        [WR_AVRO_RECORD] = WR_TYPE_JSON,   [WR_AVRO_ARRAY] = WR_TYPE_JSON,
        [WR_AVRO_MAP] = WR_TYPE_JSON,      [WR_AVRO_UNION] = WR_TYPE_JSON,
    };
    return wr_type_of((enum wr_type_id)types[node->kind]);
}

static bool is_bytes(const struct wr_avro_node *node)
{
    return node->kind == WR_AVRO_BYTES || node->kind == WR_AVRO_FIXED;
}

static bool is_integer(const struct wr_avro_node *node)
{
    return node->kind == WR_AVRO_INT || node->kind == WR_AVRO_LONG;
}

/* Integer columns take the number behind a date or time, BYTEA the bytes behind a decimal: without its meaning. */
static struct wr_avro_node plain_for(const struct wr_avro_node *node, struct wr_type type)
{
    struct wr_avro_node plain = *node;
    if ((is_integer(node) && wr_type_is_integer(type)) ||
        (is_bytes(node) && type.id == WR_TYPE_BYTES)) {
        plain.logical = WR_AVRO_PLAIN;
    }
    return plain;
}

bool wr_avro_converts(const struct wr_avro_node *node, struct wr_type type)
{
    const struct wr_avro_node plain = plain_for(node, type);
    const struct wr_type natural = wr_avro_natural(&plain);
    if (type.id == WR_TYPE_JSON) {
        return true;
    }
    switch (natural.id) {
    case WR_TYPE_NULL:
        return true;
    case WR_TYPE_BOOL:
    case WR_TYPE_INTERVAL:
        return type.id == natural.id || type.id == WR_TYPE_TEXT;
    case WR_TYPE_INT64:
    case WR_TYPE_FLOAT32:
    case WR_TYPE_FLOAT64:
        return wr_type_is_numeric(type) || wr_type_is_timestamp(type) || type.id == WR_TYPE_TEXT;
    case WR_TYPE_DECIMAL:
        return wr_type_is_numeric(type) || type.id == WR_TYPE_TEXT;
    case WR_TYPE_DATE:
    case WR_TYPE_TIMESTAMP:
    case WR_TYPE_TIMESTAMPTZ:
        return wr_type_is_timestamp(type) || type.id == WR_TYPE_DATE || type.id == WR_TYPE_TEXT;
    case WR_TYPE_BYTES:
        return type.id == WR_TYPE_BYTES ||
               (type.id == WR_TYPE_TEXT && node->kind == WR_AVRO_BYTES);
    case WR_TYPE_TEXT:
        if (node->logical == WR_AVRO_TIME_MILLIS || node->logical == WR_AVRO_TIME_MICROS) {
            return type.id == WR_TYPE_TEXT || type.id == WR_TYPE_INTERVAL;
        }
        return node->kind == WR_AVRO_STRING || type.id == WR_TYPE_TEXT;
    default: /* JSON */
        return type.id == WR_TYPE_TEXT;
    }
}

static bool time_text(int64_t us, struct wr_arena *arena, struct wr_view *view)
{
    if (us < 0 || us >= DAY_US) {
        return false;
    }
    const uint32_t seconds = (uint32_t)(us / 1000000);
    const char *text = wr_arena_printf(arena, "%02u:%02u:%02u.%06u", seconds / 3600,
                                       seconds / 60 % 60, seconds % 60, (uint32_t)(us % 1000000));
    *view = wr_view_of(text, us % 1000000 == 0 ? 8 : us % 1000 == 0 ? 12 : 15);
    return true;
}

/* An integer as what its logical type makes of it; false: no such time. */
static bool natural_integer(const struct wr_avro_node *node, int64_t number,
                            struct wr_arena *arena, union wr_scalar *value)
{
    switch (node->logical) {
    case WR_AVRO_DATE:
        value->int32 = (int32_t)number;
        return number >= INT32_MIN && number <= INT32_MAX;
    case WR_AVRO_TIME_MILLIS:
        return !__builtin_mul_overflow(number, 1000, &number) &&
               time_text(number, arena, &value->view);
    case WR_AVRO_TIME_MICROS:
        return time_text(number, arena, &value->view);
    case WR_AVRO_TIMESTAMP_MILLIS:
    case WR_AVRO_LOCAL_MILLIS:
        return !__builtin_mul_overflow(number, 1000, &value->int64);
    case WR_AVRO_TIMESTAMP_NANOS:
    case WR_AVRO_LOCAL_NANOS:
        value->int64 = number / 1000 - (number % 1000 < 0);
        return true;
    default:
        value->int64 = number;
        return true;
    }
}

/* Two's complement, most significant byte first. */
static bool natural_decimal(struct wr_slice bytes, __int128 *value)
{
    const int8_t first = bytes.bytes > 0 ? (int8_t)bytes.data[0] : 0;
    const uint8_t sign = first < 0 ? 0xff : 0;
    while (bytes.bytes > 16 && (uint8_t)bytes.data[0] == sign) {
        bytes.data++;
        bytes.bytes--;
    }
    if (bytes.bytes > 16 || (bytes.bytes == 16 && ((int8_t)bytes.data[0] < 0) != (sign != 0))) {
        return false;
    }
    unsigned __int128 all = sign != 0 ? ~(unsigned __int128)0 : 0;
    for (size_t i = 0; i < bytes.bytes; i++) {
        all = all << 8 | (uint8_t)bytes.data[i];
    }
    *value = (__int128)all;
    return true;
}

static void natural_uuid(struct wr_slice bytes, struct wr_arena *arena, struct wr_view *view)
{
    static const char hex[] = "0123456789abcdef";
    char *text = wr_arena_alloc(arena, 36);
    uint32_t made = 0;
    for (uint32_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            text[made++] = '-';
        }
        text[made++] = hex[(uint8_t)bytes.data[i] >> 4];
        text[made++] = hex[bytes.data[i] & 15];
    }
    *view = wr_view_of(text, 36);
}

static bool natural_interval(struct wr_slice bytes, struct wr_interval *interval)
{
    uint32_t parts[3];
    memcpy(parts, bytes.data, sizeof parts); /* little-endian, as the machine */
    interval->months = (int32_t)parts[0];
    interval->days = (int32_t)parts[1];
    interval->us = (int64_t)parts[2] * 1000;
    return parts[0] <= INT32_MAX && parts[1] <= INT32_MAX;
}

static bool natural_bytes(struct wr_avro_cursor *c, const struct wr_avro_node *node,
                          struct wr_slice bytes, struct wr_arena *arena,
                          union wr_scalar *value)
{
    bool fits = true;
    if (node->logical == WR_AVRO_DECIMAL) {
        fits = node->scale <= DIGITS_MAX && natural_decimal(bytes, &value->decimal);
    } else if (node->logical == WR_AVRO_UUID && node->kind == WR_AVRO_FIXED) {
        natural_uuid(bytes, arena, &value->view);
    } else if (node->logical == WR_AVRO_DURATION) {
        fits = natural_interval(bytes, &value->interval);
    } else if (node->kind == WR_AVRO_STRING && !wr_utf8_valid(bytes.data, bytes.bytes)) {
        return wrong(c, "a string is not UTF-8");
    } else {
        value->view = wr_view_of(bytes.data, bytes.bytes);
    }
    return fits || wrong(c, "a decimal or duration is too large");
}

static bool read_natural(struct wr_avro_cursor *c, const struct wr_avro_node *node,
                         struct wr_arena *arena, union wr_scalar *value)
{
    struct wr_slice bytes = { "", 0 };
    int64_t number;
    switch (node->kind) {
    case WR_AVRO_BOOLEAN:
        if (!take(c, 1, &bytes)) {
            return false;
        }
        value->boolean = (uint8_t)bytes.data[0];
        return value->boolean <= 1 || wrong(c, "a boolean is neither 0 nor 1");
    case WR_AVRO_INT:
    case WR_AVRO_LONG:
        return wr_avro_long(c, &number) && (natural_integer(node, number, arena, value) ||
                                            wrong(c, "a date or time is out of range"));
    case WR_AVRO_FLOAT:
        if (!take(c, 4, &bytes)) {
            return false;
        }
        memcpy(&value->f32, bytes.data, 4);
        return true;
    case WR_AVRO_DOUBLE:
        if (!take(c, 8, &bytes)) {
            return false;
        }
        memcpy(&value->f64, bytes.data, 8);
        return true;
    case WR_AVRO_ENUM:
        if (!wr_avro_long(c, &number)) {
            return false;
        }
        if (number < 0 || number >= node->count) {
            return wrong(c, "an enum's index is out of range");
        }
        value->view = wr_view_of(node->symbols[number].data, node->symbols[number].bytes);
        return true;
    case WR_AVRO_FIXED:
        return take(c, node->size, &bytes) && natural_bytes(c, node, bytes, arena, value);
    default:
        return wr_avro_bytes(c, &bytes) && natural_bytes(c, node, bytes, arena, value);
    }
}

/* ---- conversion ---- */

static bool convert(struct wr_type from, struct wr_type type, uint32_t unit_digits,
                    struct wr_arena *arena, union wr_scalar *value)
{
    /* A promotion of the specification: the text's own bytes. */
    return (from.id == WR_TYPE_TEXT && type.id == WR_TYPE_BYTES) ||
           wr_scalar_convert(from, type, unit_digits, arena, value);
}

bool wr_avro_read(struct wr_avro_cursor *c, const struct wr_avro_node *node, struct wr_type type,
                  uint32_t unit_digits, struct wr_arena *arena, union wr_scalar *value,
                  char shown[64])
{
    const struct wr_avro_node plain = plain_for(node, type);
    const struct wr_type from = wr_avro_natural(&plain);
    shown[0] = '\0';
    if (!read_natural(c, &plain, arena, value)) {
        return false;
    }
    const union wr_scalar before = *value;
    if (!convert(from, type, unit_digits, arena, value)) {
        wr_scalar_show(from, &before, shown);
        return wrong(c, "a value does not fit its column");
    }
    return true;
}

/* ---- defaults ---- */

const struct wr_avro_node *wr_avro_default_branch(const struct wr_avro_node *node,
                                                  const json_t *json)
{
    for (uint32_t i = 0; node->kind == WR_AVRO_UNION && i < node->count; i++) {
        const bool null = node->types[i]->kind == WR_AVRO_NULL;
        if (null == json_is_null(json)) {
            return node->types[i];
        }
    }
    return node;
}

/* Bytes in schemas are strings whose characters stand for the bytes 0 to 255. */
static bool default_bytes(const json_t *json, struct wr_arena *arena, struct wr_slice *bytes)
{
    const char *text = json_string_value(json);
    const size_t length = json_string_length(json);
    uint8_t *into = wr_arena_alloc(arena, length + 1);
    size_t made = 0;
    for (size_t i = 0; i < length; i++) {
        const uint8_t byte = (uint8_t)text[i];
        if (byte < 0x80) {
            into[made++] = byte;
        } else if ((byte == 0xc2 || byte == 0xc3) && i + 1 < length) {
            into[made++] = (uint8_t)(byte << 6 | ((uint8_t)text[++i] & 0x3f));
        } else {
            return false;
        }
    }
    *bytes = (struct wr_slice){ (const char *)into, made };
    return true;
}

static bool default_natural(const struct wr_avro_node *node, const json_t *json,
                            struct wr_arena *arena, union wr_scalar *value)
{
    struct wr_avro_cursor c = { 0 };
    struct wr_slice bytes;
    switch (node->kind) {
    case WR_AVRO_BOOLEAN:
        value->boolean = json_is_true(json);
        return json_is_boolean(json);
    case WR_AVRO_INT:
    case WR_AVRO_LONG:
        return json_is_integer(json) &&
               natural_integer(node, json_integer_value(json), arena, value);
    case WR_AVRO_FLOAT:
        value->f32 = (float)json_number_value(json);
        return json_is_number(json);
    case WR_AVRO_DOUBLE:
        value->f64 = json_number_value(json);
        return json_is_number(json);
    case WR_AVRO_BYTES:
    case WR_AVRO_FIXED:
        return json_is_string(json) && default_bytes(json, arena, &bytes) &&
               (node->kind == WR_AVRO_BYTES || bytes.bytes == node->size) &&
               natural_bytes(&c, node, bytes, arena, value);
    case WR_AVRO_STRING:
    case WR_AVRO_ENUM:
        if (!json_is_string(json)) {
            return false;
        }
        value->view = wr_view_of(wr_arena_strdup(arena, json_string_value(json)),
                                 json_string_length(json));
        return true;
    default:
        return false;
    }
}

bool wr_avro_default(const struct wr_avro_node *node, const json_t *json, struct wr_type type,
                     uint32_t unit_digits, struct wr_arena *arena, union wr_scalar *value)
{
    if (wr_type_is_nested(type)) {
        return wr_avro_nest_default(node, json, type, unit_digits, arena, value);
    }
    const struct wr_avro_node plain = plain_for(wr_avro_default_branch(node, json), type);
    if (plain.kind >= WR_AVRO_RECORD) {
        char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
        const bool takes = text != NULL && (type.id == WR_TYPE_JSON || type.id == WR_TYPE_TEXT);
        if (takes) {
            value->view = wr_view_of(wr_arena_strdup(arena, text), strlen(text));
        }
        free(text);
        return takes;
    }
    return default_natural(&plain, json, arena, value) &&
           convert(wr_avro_natural(&plain), type, unit_digits, arena, value);
}

/* ---- whole trees ---- */

static bool json_items(struct wr_avro_cursor *c, const struct wr_avro_node *node, uint32_t depth,
                       struct wr_buf *into)
{
    const bool map = node->kind == WR_AVRO_MAP;
    uint64_t items;
    int64_t bytes;
    bool first = true;
    wr_buf_byte(into, map ? '{' : '[');
    for (;;) {
        if (!wr_avro_block(c, &items, &bytes)) {
            return false;
        }
        if (items == 0) {
            break;
        }
        for (; items > 0; items--, first = false) {
            struct wr_slice key;
            if (!first) {
                wr_buf_byte(into, ',');
            }
            if (map) {
                if (!wr_avro_bytes(c, &key)) {
                    return false;
                }
                wr_text_json_string(into, key.data, key.bytes);
                wr_buf_byte(into, ':');
            }
            if (!wr_avro_json(c, node->types[0], depth + 1, into)) {
                return false;
            }
        }
    }
    wr_buf_byte(into, map ? '}' : ']');
    return true;
}

static bool json_record(struct wr_avro_cursor *c, const struct wr_avro_node *node, uint32_t depth,
                        struct wr_buf *into)
{
    wr_buf_byte(into, '{');
    for (uint32_t i = 0; i < node->count; i++) {
        if (i > 0) {
            wr_buf_byte(into, ',');
        }
        wr_text_json_string(into, node->fields[i].name, strlen(node->fields[i].name));
        wr_buf_byte(into, ':');
        if (!wr_avro_json(c, node->fields[i].type, depth + 1, into)) {
            return false;
        }
    }
    wr_buf_byte(into, '}');
    return true;
}

static bool json_scalar(struct wr_avro_cursor *c, const struct wr_avro_node *node,
                        struct wr_buf *into)
{
    union wr_scalar value;
    struct wr_arena scratch = { 0 };
    const bool read = read_natural(c, node, &scratch, &value);
    if (read) {
        wr_text_format_json(into, wr_avro_natural(node), &value);
    }
    wr_arena_deinit(&scratch);
    return read;
}

bool wr_avro_json(struct wr_avro_cursor *c, const struct wr_avro_node *node, uint32_t depth,
                  struct wr_buf *into)
{
    if (depth > WR_AVRO_DEPTH_MAX) {
        return wrong(c, "values nest too deep");
    }
    if (into->bytes > WR_RECORD_BYTES_MAX) { /* names are repeated: text can outgrow its record */
        return wrong(c, "a nested value is larger than 64 MiB as JSON");
    }
    if (!wr_avro_spend(c)) {
        return false;
    }
    switch (node->kind) {
    case WR_AVRO_NULL:
        wr_buf_text(into, "null");
        return true;
    case WR_AVRO_RECORD:
        return json_record(c, node, depth, into);
    case WR_AVRO_ARRAY:
    case WR_AVRO_MAP:
        return json_items(c, node, depth, into);
    case WR_AVRO_UNION:
        return branch(c, node, &node) && wr_avro_json(c, node, depth + 1, into);
    default:
        return json_scalar(c, node, into);
    }
}

static bool skip_items(struct wr_avro_cursor *c, const struct wr_avro_node *node, uint32_t depth)
{
    uint64_t items;
    int64_t bytes;
    struct wr_slice key;
    for (;;) {
        if (!wr_avro_block(c, &items, &bytes)) {
            return false;
        }
        if (items == 0) {
            return true;
        }
        if (bytes >= 0) {
            c->at += bytes; /* wr_avro_block has checked that they are there */
            continue;
        }
        for (; items > 0; items--) {
            if ((node->kind == WR_AVRO_MAP && !wr_avro_bytes(c, &key)) ||
                !wr_avro_skip(c, node->types[0], depth + 1)) {
                return false;
            }
        }
    }
}

static bool skip_record(struct wr_avro_cursor *c, const struct wr_avro_node *node, uint32_t depth)
{
    for (uint32_t i = 0; i < node->count; i++) {
        if (!wr_avro_skip(c, node->fields[i].type, depth + 1)) {
            return false;
        }
    }
    return true;
}

bool wr_avro_skip(struct wr_avro_cursor *c, const struct wr_avro_node *node, uint32_t depth)
{
    struct wr_slice bytes;
    int64_t number;
    if (depth > WR_AVRO_DEPTH_MAX) {
        return wrong(c, "values nest too deep");
    }
    if (!wr_avro_spend(c)) {
        return false;
    }
    switch (node->kind) {
    case WR_AVRO_NULL:
        return true;
    case WR_AVRO_BOOLEAN:
        return take(c, 1, &bytes);
    case WR_AVRO_INT:
    case WR_AVRO_LONG:
    case WR_AVRO_ENUM:
        return wr_avro_long(c, &number);
    case WR_AVRO_FLOAT:
        return take(c, 4, &bytes);
    case WR_AVRO_DOUBLE:
        return take(c, 8, &bytes);
    case WR_AVRO_FIXED:
        return take(c, node->size, &bytes);
    case WR_AVRO_BYTES:
    case WR_AVRO_STRING:
        return wr_avro_bytes(c, &bytes);
    case WR_AVRO_RECORD:
        return skip_record(c, node, depth);
    case WR_AVRO_ARRAY:
    case WR_AVRO_MAP:
        return skip_items(c, node, depth);
    case WR_AVRO_UNION:
        return branch(c, node, &node) && wr_avro_skip(c, node, depth + 1);
    }
    return wrong(c, "a type that nobody knows");
}
