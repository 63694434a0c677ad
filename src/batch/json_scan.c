/* json_scan.c: see json_scan.h. One loop with a bit per open nesting level instead of recursion. */
#include "batch/json_scan.h"

#include "base/limits.h"

static const char *failed(const char **why, const char *text)
{
    if (why != NULL) {
        *why = text;
    }
    return NULL;
}

static bool hex4(const char *at, uint32_t *value)
{
    *value = 0;
    for (uint32_t i = 0; i < 4; i++) {
        const char c = at[i];
        uint32_t digit;
        if (c >= '0' && c <= '9') {
            digit = (uint32_t)(c - '0');
        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            digit = (uint32_t)((c | 0x20) - 'a') + 10;
        } else {
            return false;
        }
        *value = *value << 4 | digit;
    }
    return true;
}

/* at: after the backslash. Returns the byte after the escape or NULL. */
static const char *scan_escape(const char *at, const char *end)
{
    if (at == end) {
        return NULL;
    }
    if (*at != 'u') {
        return memchr("\"\\/bfnrt", *at, 8) != NULL ? at + 1 : NULL;
    }
    uint32_t unit;
    if (end - at < 5 || !hex4(at + 1, &unit)) {
        return NULL;
    }
    at += 5;
    if (unit < 0xd800 || unit > 0xdfff) {
        return at;
    }
    uint32_t low;
    const bool paired = unit < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u' &&
                        hex4(at + 2, &low) && low >= 0xdc00 && low <= 0xdfff;
    return paired ? at + 6 : NULL;
}

/* Bytes among the eight of word that are '"', '\\' or below 0x20: their high bits. */
static uint64_t special_bytes(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u;
    const uint64_t quote = word ^ ones * '"';
    const uint64_t slash = word ^ ones * '\\';
    const uint64_t control = word & (ones * 0xe0);
    /* x has a zero byte: (x - 1) & ~x & 0x80. A borrow may mark bytes above a true one: only the
     * first counts. */
    return (((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((control - ones) & ~control)) &
           ones * 0x80;
}

const char *wr_json_scan_string(const char *at, const char *end, bool *escaped, const char **why)
{
    const char *start = at;
    uint64_t high = 0;
    *escaped = false;
    for (;;) {
        uint64_t word;
        while (end - at >= 8) {
            memcpy(&word, at, 8);
            const uint64_t special = special_bytes(word);
            high |= word;
            if (special != 0) {
                at += __builtin_ctzll(special) / 8;
                break;
            }
            at += 8;
        }
        while (at < end && *at != '"' && *at != '\\' && (uint8_t)*at >= 0x20) {
            high |= (uint64_t)(uint8_t)*at++;
        }
        if (at == end) {
            return failed(why, "string without an end");
        }
        if (*at == '"') {
            break;
        }
        if (*at != '\\') {
            return failed(why, "control character in a string");
        }
        *escaped = true;
        at = scan_escape(at + 1, end);
        if (at == NULL) {
            return failed(why, "bad escape in a string");
        }
    }
    if ((high & 0x8080808080808080u) != 0 && !wr_utf8_valid(start, (size_t)(at - start))) {
        return failed(why, "string is not UTF-8");
    }
    return at + 1;
}

static const char *scan_digits(const char *at, const char *end)
{
    const char *start = at;
    while (at < end && (uint8_t)(*at - '0') < 10) {
        at++;
    }
    return at > start ? at : NULL;
}

const char *wr_json_scan_number(const char *at, const char *end)
{
    at += at < end && *at == '-';
    if (at < end && *at == '0') {
        at++;
    } else if ((at = scan_digits(at, end)) == NULL) {
        return NULL;
    }
    if (at < end && *at == '.' && (at = scan_digits(at + 1, end)) == NULL) {
        return NULL;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '-' || *at == '+');
        at = scan_digits(at, end);
    }
    return at;
}

static const char *scan_scalar(const char *at, const char *end, const char **why)
{
    const size_t left = (size_t)(end - at);
    const char *after = NULL;
    bool escaped;
    switch (*at) {
    case '"':
        return wr_json_scan_string(at + 1, end, &escaped, why);
    case 't':
        after = left >= 4 && memcmp(at, "true", 4) == 0 ? at + 4 : NULL;
        break;
    case 'f':
        after = left >= 5 && memcmp(at, "false", 5) == 0 ? at + 5 : NULL;
        break;
    case 'n':
        after = left >= 4 && memcmp(at, "null", 4) == 0 ? at + 4 : NULL;
        break;
    default:
        after = wr_json_scan_number(at, end);
        break;
    }
    return after != NULL ? after : failed(why, "not a JSON value");
}

/* `"key" :` and the space behind it. */
static const char *scan_key(const char *at, const char *end, const char **why)
{
    bool escaped;
    if (at == end || *at != '"') {
        return failed(why, "expected a key");
    }
    at = wr_json_scan_string(at + 1, end, &escaped, why);
    if (at == NULL) {
        return NULL;
    }
    at = wr_json_skip_space(at, end);
    if (at == end || *at != ':') {
        return failed(why, "expected ':' after a key");
    }
    return wr_json_skip_space(at + 1, end);
}

/* After a value inside something open: goes over closers up to the next value of the level that
 * stays open. open: one bit per level, set for objects. *level 0: everything is closed. */
static const char *scan_between(const char *at, const char *end, const uint64_t *open,
                                uint32_t *level, const char **why)
{
    while (*level > 0) {
        at = wr_json_skip_space(at, end);
        if (at == end) {
            return failed(why, "ends inside an object or array");
        }
        const uint32_t top = *level - 1;
        const bool object = (open[top / 64] >> (top % 64) & 1) != 0;
        if (*at == ',') {
            at = wr_json_skip_space(at + 1, end);
            return object ? scan_key(at, end, why) : at;
        }
        if (*at != (object ? '}' : ']')) {
            return failed(why, object ? "expected ',' or '}'" : "expected ',' or ']'");
        }
        at++;
        (*level)--;
    }
    return at;
}

const char *wr_json_scan_value(const char *at, const char *end, uint32_t depth, const char **why)
{
    uint64_t open[WR_JSON_DEPTH_MAX / 64 + 1] = { 0 };
    uint32_t level = 0;
    for (;;) {
        if (at == end) {
            return failed(why, "a value is missing");
        }
        if (*at == '{' || *at == '[') {
            const bool object = *at == '{';
            if (depth + level >= WR_JSON_DEPTH_MAX) {
                return failed(why, "nested too deeply");
            }
            const uint64_t bit = 1ull << (level % 64);
            open[level / 64] = object ? open[level / 64] | bit : open[level / 64] & ~bit;
            level++;
            at = wr_json_skip_space(at + 1, end);
            const bool empty = at < end && *at == (object ? '}' : ']');
            if (!empty) {
                at = object ? scan_key(at, end, why) : at;
                if (at == NULL) {
                    return NULL;
                }
                continue;
            }
            at++;
            level--;
        } else {
            at = scan_scalar(at, end, why);
            if (at == NULL) {
                return NULL;
            }
        }
        at = scan_between(at, end, open, &level, why);
        if (at == NULL || level == 0) {
            return at;
        }
    }
}

bool wr_json_valid(struct wr_slice text)
{
    const char *end = text.data + text.bytes;
    const char *at = wr_json_skip_space(text.data, end);
    at = wr_json_scan_value(at, end, 0, NULL);
    return at != NULL && wr_json_skip_space(at, end) == end;
}

static size_t put_utf8(uint32_t point, char *into)
{
    if (point < 0x80) {
        into[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        into[0] = (char)(0xc0 | point >> 6);
        into[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        into[0] = (char)(0xe0 | point >> 12);
        into[1] = (char)(0x80 | (point >> 6 & 0x3f));
        into[2] = (char)(0x80 | (point & 0x3f));
        return 3;
    }
    into[0] = (char)(0xf0 | point >> 18);
    into[1] = (char)(0x80 | (point >> 12 & 0x3f));
    into[2] = (char)(0x80 | (point >> 6 & 0x3f));
    into[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}

size_t wr_json_unescape(const char *text, size_t bytes, char *into)
{
    const char *end = text + bytes;
    size_t made = 0;
    while (text < end) {
        const char *slash = memchr(text, '\\', (size_t)(end - text));
        const size_t plain = (size_t)((slash != NULL ? slash : end) - text);
        memcpy(into + made, text, plain);
        made += plain;
        if (slash == NULL) {
            break;
        }
        text = slash + 2;
        const char *from = "\"\\/bfnrt";
        if (slash[1] != 'u') {
            into[made++] = "\"\\/\b\f\n\r\t"[(const char *)memchr(from, slash[1], 8) - from];
            continue;
        }
        uint32_t point = 0;
        uint32_t low = 0;
        hex4(slash + 2, &point);
        text += 4;
        if (point >= 0xd800 && point < 0xdc00) {
            hex4(slash + 8, &low);
            point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
            text += 6;
        }
        made += put_utf8(point, into + made);
    }
    return made;
}
