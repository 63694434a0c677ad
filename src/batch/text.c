/* text.c: see text.h. What is per type; numbers and times have files of their own. */
#include "batch/text.h"

#include "base/assert.h"
#include "batch/json_scan.h"
#include "batch/nested.h"
#include <math.h>

/* The largest text of a value that is not a view: an INTERVAL's. */
#define TEXT_BYTES_MAX 96u

/* ---- to text ---- */

static char *put_word(char *into, const char *word)
{
    const size_t bytes = strlen(word);
    memcpy(into, word, bytes);
    return into + bytes;
}

static char *put_float(char *into, double value, bool single)
{
    if (isnan(value)) {
        return put_word(into, "NaN");
    }
    if (isinf(value)) {
        return put_word(into, value < 0 ? "-Infinity" : "Infinity");
    }
    return single ? wr_text_float(into, (float)value) : wr_text_double(into, value);
}

#define LOAD(type, from)                                                                           \
    ({                                                                                             \
        type loaded_;                                                                              \
        memcpy(&loaded_, (from), sizeof(loaded_));                                                 \
        loaded_;                                                                                   \
    })

/* All types but views. into has room for TEXT_BYTES_MAX. */
static char *put_value(char *into, struct wr_type type, const void *value)
{
    switch (type.id) {
    case WR_TYPE_BOOL:
        return put_word(into, LOAD(uint8_t, value) != 0 ? "true" : "false");
    case WR_TYPE_INT16:
        return wr_text_int64(into, LOAD(int16_t, value));
    case WR_TYPE_INT32:
        return wr_text_int64(into, LOAD(int32_t, value));
    case WR_TYPE_INT64:
        return wr_text_int64(into, LOAD(int64_t, value));
    case WR_TYPE_UINT16:
        return wr_text_uint64(into, LOAD(uint16_t, value));
    case WR_TYPE_UINT32:
        return wr_text_uint64(into, LOAD(uint32_t, value));
    case WR_TYPE_UINT64:
        return wr_text_uint64(into, LOAD(uint64_t, value));
    case WR_TYPE_FLOAT32:
        return put_float(into, (double)LOAD(float, value), true);
    case WR_TYPE_FLOAT64:
        return put_float(into, LOAD(double, value), false);
    case WR_TYPE_DECIMAL:
        return into + wr_text_decimal(into, LOAD(__int128, value), type.scale);
    case WR_TYPE_DATE:
        return wr_text_date(into, LOAD(int32_t, value));
    case WR_TYPE_TIMESTAMP:
    case WR_TYPE_TIMESTAMPTZ:
        return wr_text_timestamp(into, LOAD(int64_t, value));
    case WR_TYPE_INTERVAL:
        return wr_text_interval(into, LOAD(struct wr_interval, value));
    default:
        return into;
    }
}

static void put_hex(struct wr_buf *buf, const char *data, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *at = wr_buf_reserve(buf, 2 * bytes + 2);
    *at++ = '\\';
    *at++ = 'x';
    for (size_t i = 0; i < bytes; i++) {
        *at++ = digits[(uint8_t)data[i] >> 4];
        *at++ = digits[(uint8_t)data[i] & 15];
    }
    buf->bytes += 2 * bytes + 2;
}

void wr_text_format(struct wr_buf *buf, struct wr_type type, const void *value)
{
    if (wr_type_is_nested(type)) {
        const struct wr_view view = LOAD(struct wr_view, value);
        wr_nested_format_json(buf, type, wr_view_slice(&view));
        return;
    }
    if (wr_type_is_view(type)) {
        const struct wr_view view = LOAD(struct wr_view, value);
        if (type.id == WR_TYPE_TEXT || type.id == WR_TYPE_JSON) {
            wr_buf_append(buf, wr_view_data(&view), view.bytes);
        } else {
            put_hex(buf, wr_view_data(&view), view.bytes);
        }
        return;
    }
    char *at = wr_buf_reserve(buf, TEXT_BYTES_MAX);
    buf->bytes += (size_t)(put_value(at, type, value) - at);
}

static bool is_quoted_json(struct wr_type type, const void *value)
{
    switch (type.id) {
    case WR_TYPE_FLOAT32:
        return !isfinite(LOAD(float, value));
    case WR_TYPE_FLOAT64:
        return !isfinite(LOAD(double, value));
    case WR_TYPE_DATE:
    case WR_TYPE_TIMESTAMP:
    case WR_TYPE_TIMESTAMPTZ:
    case WR_TYPE_INTERVAL:
        return true;
    default:
        return false;
    }
}

void wr_text_format_json(struct wr_buf *buf, struct wr_type type, const void *value)
{
    if (type.id == WR_TYPE_TEXT) {
        const struct wr_view view = LOAD(struct wr_view, value);
        wr_text_json_string(buf, wr_view_data(&view), view.bytes);
    } else if (type.id == WR_TYPE_BYTES || type.id == WR_TYPE_STATE) {
        const struct wr_view view = LOAD(struct wr_view, value);
        wr_buf_byte(buf, '"');
        wr_text_base64(buf, wr_view_data(&view), view.bytes);
        wr_buf_byte(buf, '"');
    } else if (type.id == WR_TYPE_JSON || wr_type_is_nested(type)) {
        wr_text_format(buf, type, value);
    } else {
        char *start = wr_buf_reserve(buf, TEXT_BYTES_MAX + 2);
        char *at = start;
        const bool quoted = is_quoted_json(type, value);
        if (quoted) {
            *at++ = '"';
        }
        at = put_value(at, type, value);
        if (quoted) {
            *at++ = '"';
        }
        buf->bytes += (size_t)(at - start);
    }
}

/* How many bytes from at on may stand in a JSON string as they are, looking at ASCII only. */
static size_t plain_bytes(const char *at, size_t bytes)
{
    const uint64_t ones = 0x0101010101010101u;
    size_t i = 0;
    for (; i + 8 <= bytes; i += 8) {
        uint64_t word;
        memcpy(&word, at + i, 8);
        const uint64_t quote = word ^ ones * '"';
        const uint64_t slash = word ^ ones * '\\';
        const uint64_t low = word & (ones * 0xe0);
        const uint64_t found = ((quote - ones) & ~quote) | ((slash - ones) & ~slash) |
                               ((low - ones) & ~low) | word;
        if ((found & ones * 0x80) != 0) {
            break;
        }
    }
    while (i < bytes && (uint8_t)at[i] >= 0x20 && (uint8_t)at[i] < 0x80 && at[i] != '"' &&
           at[i] != '\\') {
        i++;
    }
    return i;
}

/* Length of the well-formed character of two to four bytes at at, or 0. */
static size_t wide_character(const char *at, size_t left)
{
    for (size_t bytes = 2; bytes <= 4 && bytes <= left; bytes++) {
        if (wr_utf8_valid(at, bytes)) {
            return bytes;
        }
    }
    return 0;
}

static size_t escape_into(char *at, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    static const char short_forms[] = "\"\\\b\f\n\r\t";
    const char *found = c == 0 ? NULL : strchr(short_forms, c);
    at[0] = '\\';
    if (found != NULL) {
        at[1] = "\"\\bfnrt"[found - short_forms];
        return 2;
    }
    memcpy(at + 1, "u00", 3);
    at[4] = hex[c >> 4];
    at[5] = hex[c & 15];
    return 6;
}

void wr_text_json_string(struct wr_buf *buf, const char *data, size_t bytes)
{
    wr_buf_byte(buf, '"');
    size_t i = 0;
    for (;;) {
        const size_t plain = plain_bytes(data + i, bytes - i);
        wr_buf_append(buf, data + i, plain);
        i += plain;
        if (i == bytes) {
            break;
        }
        const uint8_t c = (uint8_t)data[i];
        if (c < 0x80) {
            buf->bytes += escape_into(wr_buf_reserve(buf, 6), c);
            i++;
            continue;
        }
        const size_t wide = wide_character(data + i, bytes - i);
        if (wide > 0) {
            wr_buf_append(buf, data + i, wide);
            i += wide;
        } else {
            wr_buf_append(buf, "\xef\xbf\xbd", 3);
            i++;
        }
    }
    wr_buf_byte(buf, '"');
}

void wr_text_base64(struct wr_buf *buf, const void *data, size_t bytes)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *from = data;
    char *at = wr_buf_reserve(buf, (bytes + 2) / 3 * 4);
    for (size_t i = 0; i < bytes; i += 3) {
        const size_t left = bytes - i;
        const uint32_t group = (uint32_t)from[i] << 16 |
                               (left > 1 ? (uint32_t)from[i + 1] << 8 : 0) |
                               (left > 2 ? from[i + 2] : 0);
        *at++ = alphabet[group >> 18];
        *at++ = alphabet[group >> 12 & 63];
        *at++ = left > 1 ? alphabet[group >> 6 & 63] : '=';
        *at++ = left > 2 ? alphabet[group & 63] : '=';
    }
    buf->bytes += (bytes + 2) / 3 * 4;
}

/* ---- from text ---- */

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

bool wr_text_parse_base64(struct wr_slice text, char *into, size_t *bytes)
{
    size_t left = text.bytes;
    if (left % 4 == 0 && left > 0 && text.data[left - 1] == '=') {
        left -= text.data[left - 2] == '=' ? 2 : 1;
    }
    if (left % 4 == 1) {
        return false;
    }
    uint32_t group = 0;
    size_t made = 0;
    for (size_t i = 0; i < left; i++) {
        const int digit = base64_digit(text.data[i]);
        if (digit < 0) {
            return false;
        }
        group = group << 6 | (uint32_t)digit;
        if (i % 4 != 0) {
            into[made++] = (char)(group >> (6 - i % 4 * 2));
        }
    }
    *bytes = made;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

bool wr_text_parse_bytes(struct wr_slice text, struct wr_arena *arena, struct wr_view *value)
{
    if (text.bytes > UINT32_MAX) {
        return false;
    }
    if (text.bytes < 2 || text.data[0] != '\\' || text.data[1] != 'x') {
        *value = wr_view_of(text.data, text.bytes);
        return true;
    }
    const size_t bytes = (text.bytes - 2) / 2;
    char room[WR_VIEW_INLINE_BYTES];
    if (text.bytes % 2 != 0 || (bytes > sizeof(room) && arena == NULL)) {
        return false;
    }
    char *into = bytes <= sizeof(room) ? room : wr_arena_alloc(arena, bytes);
    for (size_t i = 0; i < bytes; i++) {
        const int high = hex_digit(text.data[2 + 2 * i]);
        const int low = hex_digit(text.data[3 + 2 * i]);
        if (high < 0 || low < 0) {
            return false;
        }
        into[i] = (char)(high << 4 | low);
    }
    *value = wr_view_of(into, bytes);
    return true;
}

bool wr_text_parse_bool(struct wr_slice text, bool *value)
{
    static const char *const words[2][6] = { { "false", "f", "no", "n", "off", "0" },
                                             { "true", "t", "yes", "y", "on", "1" } };
    for (uint32_t i = 0; i < 12; i++) {
        if (wr_slice_equal_nocase(text, wr_slice_of(words[i % 2][i / 2]))) {
            *value = i % 2 != 0;
            return true;
        }
    }
    return false;
}

static bool parse_signed(struct wr_slice text, uint32_t bytes, void *out)
{
    int64_t value;
    if (!wr_text_parse_int64(text, &value)) {
        return false;
    }
    const int64_t limit = (int64_t)((1ull << (bytes * 8 - 1)) - 1);
    if (value > limit || value < -limit - 1) {
        return false;
    }
    memcpy(out, &value, bytes); /* little endian: the low bytes come first */
    return true;
}

static bool parse_unsigned(struct wr_slice text, uint32_t bytes, void *out)
{
    uint64_t value;
    if (!wr_text_parse_uint64(text, &value) || value > UINT64_MAX >> (64 - bytes * 8)) {
        return false;
    }
    memcpy(out, &value, bytes);
    return true;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values are stored by their low bytes");

static struct wr_slice trimmed(struct wr_slice text)
{
    while (text.bytes > 0 && strchr(" \t\r\n", text.data[0]) != NULL && text.data[0] != '\0') {
        text.data++;
        text.bytes--;
    }
    while (text.bytes > 0 && strchr(" \t\r\n", text.data[text.bytes - 1]) != NULL &&
           text.data[text.bytes - 1] != '\0') {
        text.bytes--;
    }
    return text;
}

#define PARSE_INTO(type, parse)                                                                    \
    ({                                                                                             \
        type parsed_;                                                                              \
        const bool good_ = parse;                                                                  \
        if (good_) {                                                                               \
            memcpy(out, &parsed_, sizeof(parsed_));                                                \
        }                                                                                          \
        good_;                                                                                     \
    })

bool wr_text_parse(struct wr_type type, struct wr_slice text, void *out)
{
    const struct wr_slice word = wr_type_is_view(type) ? text : trimmed(text);
    switch (type.id) {
    case WR_TYPE_BOOL:
        return PARSE_INTO(bool, wr_text_parse_bool(word, &parsed_));
    case WR_TYPE_INT16:
    case WR_TYPE_INT32:
    case WR_TYPE_INT64:
        return parse_signed(word, wr_type_width(type), out);
    case WR_TYPE_UINT16:
    case WR_TYPE_UINT32:
    case WR_TYPE_UINT64:
        return parse_unsigned(word, wr_type_width(type), out);
    case WR_TYPE_FLOAT32:
        return PARSE_INTO(float, wr_text_parse_float(word, &parsed_));
    case WR_TYPE_FLOAT64:
        return PARSE_INTO(double, wr_text_parse_double(word, &parsed_));
    case WR_TYPE_DECIMAL:
        return PARSE_INTO(__int128,
                          wr_text_parse_decimal(word, type.precision, type.scale, &parsed_));
    case WR_TYPE_DATE:
        return PARSE_INTO(int32_t, wr_text_parse_date(word, &parsed_));
    case WR_TYPE_TIMESTAMP:
    case WR_TYPE_TIMESTAMPTZ:
        return PARSE_INTO(int64_t, wr_text_parse_timestamp(word, &parsed_));
    case WR_TYPE_INTERVAL:
        return PARSE_INTO(struct wr_interval, wr_text_parse_interval(word, &parsed_));
    case WR_TYPE_BYTES:
        return PARSE_INTO(struct wr_view, wr_text_parse_bytes(word, NULL, &parsed_));
    case WR_TYPE_JSON:
        if (!wr_json_valid(word)) {
            return false;
        }
        /* fall through */
    case WR_TYPE_TEXT:
        if (word.bytes > UINT32_MAX) {
            return false;
        }
        return PARSE_INTO(struct wr_view, (parsed_ = wr_view_of(word.data, word.bytes), true));
    default:
        return false;
    }
}
