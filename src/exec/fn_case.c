/* fn_case.c: UTF-8 code points and their case (eval_utf8.h), and the functions lower, upper,
 * initcap. */
#include "exec/eval_node.h"
#include "exec/eval_utf8.h"

/* ---- UTF-8 ---- */

uint32_t wr_utf8_decode(const char **at, const char *end)
{
    static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
    const char *p = *at;
    const unsigned char lead = (unsigned char)*p++;
    *at = p;
    if (lead < 0x80) {
        return lead;
    }
    const uint32_t more = lead < 0xC2 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : lead < 0xF5 ? 3 : 0;
    if (more == 0 || (size_t)(end - p) < more) {
        return WR_UTF8_RAW + lead;
    }
    uint32_t code = lead & (0x3Fu >> more);
    for (uint32_t i = 0; i < more; i++) {
        if (!wr_utf8_continues(p[i])) {
            return WR_UTF8_RAW + lead;
        }
        code = code << 6 | ((unsigned char)p[i] & 0x3Fu);
    }
    if (code < least[more] || code > 0x10FFFF) {
        return WR_UTF8_RAW + lead;
    }
    *at = p + more;
    return code;
}

char *wr_utf8_encode(char *into, uint32_t code)
{
    if (code >= WR_UTF8_RAW) {
        *into++ = (char)(code - WR_UTF8_RAW);
    } else if (code < 0x80) {
        *into++ = (char)code;
    } else if (code < 0x800) {
        *into++ = (char)(0xC0 | code >> 6);
        *into++ = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *into++ = (char)(0xE0 | code >> 12);
        *into++ = (char)(0x80 | (code >> 6 & 0x3F));
        *into++ = (char)(0x80 | (code & 0x3F));
    } else {
        *into++ = (char)(0xF0 | code >> 18);
        *into++ = (char)(0x80 | (code >> 12 & 0x3F));
        *into++ = (char)(0x80 | (code >> 6 & 0x3F));
        *into++ = (char)(0x80 | (code & 0x3F));
    }
    return into;
}

/* ---- case ---- */

/* Ranges of letters (Unicode's UnicodeData.txt, simple mappings). distance > 0: first..last are
 * upper case, their lower case lies distance further. distance 0: they alternate, the first is
 * upper case. */
struct case_range {
    uint16_t first;
    uint16_t last;
    uint16_t distance;
};

static const struct case_range ranges[] = {
    { 0x00C0, 0x00D6, 32 }, { 0x00D8, 0x00DE, 32 }, { 0x0100, 0x012F, 0 },  { 0x0132, 0x0137, 0 },
    { 0x0139, 0x0148, 0 },  { 0x014A, 0x0177, 0 },  { 0x0179, 0x017E, 0 },  { 0x01CD, 0x01DC, 0 },
    { 0x01DE, 0x01EF, 0 },  { 0x01F8, 0x021F, 0 },  { 0x0222, 0x0233, 0 },  { 0x0388, 0x038A, 37 },
    { 0x0391, 0x03A1, 32 }, { 0x03A3, 0x03AB, 32 }, { 0x0400, 0x040F, 80 }, { 0x0410, 0x042F, 32 },
    { 0x0460, 0x0481, 0 },  { 0x048A, 0x04BF, 0 },  { 0x04C1, 0x04CE, 0 },  { 0x04D0, 0x052F, 0 },
    { 0x0531, 0x0556, 48 }, { 0x1E00, 0x1E95, 0 },  { 0x1EA0, 0x1EFF, 0 },  { 0xFF21, 0xFF3A, 32 },
};

/* Pairs that no range holds. */
static const struct {
    uint16_t upper;
    uint16_t lower;
    bool only_lower; /* lower(upper) only, not back */
    bool only_upper;
} singles[] = {
    { 0x0178, 0x00FF, false, false },
    { 0x0130, 'i', true, false },
    { 'I', 0x0131, false, true },
    { 'S', 0x017F, false, true },
    { 0x0386, 0x03AC, false, false },
    { 0x038C, 0x03CC, false, false },
    { 0x038E, 0x03CD, false, false },
    { 0x038F, 0x03CE, false, false },
    { 0x03A3, 0x03C2, false, true },
    { 0x04C0, 0x04CF, false, false },
};

static uint32_t map_single(uint32_t code, bool to_lower)
{
    for (uint32_t i = 0; i < sizeof singles / sizeof singles[0]; i++) {
        if (to_lower && !singles[i].only_upper && code == singles[i].upper) {
            return singles[i].lower;
        }
        if (!to_lower && !singles[i].only_lower && code == singles[i].lower) {
            return singles[i].upper;
        }
    }
    return code;
}

static uint32_t map_wide(uint32_t code, bool to_lower)
{
    const uint32_t single = map_single(code, to_lower);
    if (single != code) {
        return single;
    }
    for (uint32_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        const struct case_range *r = &ranges[i];
        if (r->distance == 0 && code >= r->first && code <= r->last) {
            const bool upper = (code - r->first) % 2 == 0;
            return upper == to_lower ? (to_lower ? code + 1 : code - 1) : code;
        }
        if (to_lower && r->distance > 0 && code >= r->first && code <= r->last) {
            return code + r->distance;
        }
        if (!to_lower && r->distance > 0 && code >= (uint32_t)r->first + r->distance &&
            code <= (uint32_t)r->last + r->distance) {
            return code - r->distance;
        }
    }
    return code;
}

uint32_t wr_case_lower(uint32_t code)
{
    if (code < 0x80) {
        return code >= 'A' && code <= 'Z' ? code + 32 : code;
    }
    return map_wide(code, true);
}

uint32_t wr_case_upper(uint32_t code)
{
    if (code < 0x80) {
        return code >= 'a' && code <= 'z' ? code - 32 : code;
    }
    return map_wide(code, false);
}

bool wr_case_in_word(uint32_t code)
{
    if (code < 0x80) {
        return (code >= '0' && code <= '9') || (code >= 'a' && code <= 'z') ||
               (code >= 'A' && code <= 'Z');
    }
    /* Punctuation and signs of Latin-1, General Punctuation, CJK punctuation; the rest counts as
     * letters. */
    return code >= 0xC0 && code != 0xD7 && code != 0xF7 && !(code >= 0x2000 && code <= 0x206F) &&
           !(code >= 0x3000 && code <= 0x303F) && code < WR_UTF8_RAW;
}

/* Returns whether all bytes were ASCII; others are copied. */
static bool map_ascii(const char *data, size_t bytes, char *restrict into, char first)
{
    unsigned char all = 0;
    for (size_t i = 0; i < bytes; i++) {
        const unsigned char c = (unsigned char)data[i];
        all |= c;
        into[i] = (char)(c ^ ((unsigned char)(c - (unsigned char)first) < 26 ? 0x20 : 0));
    }
    return all < 0x80;
}

static size_t map_text(const char *data, size_t bytes, char *into, uint32_t (*map)(uint32_t code))
{
    const char *end = data + bytes;
    char *at = into;
    while (data < end) {
        at = wr_utf8_encode(at, map(wr_utf8_decode(&data, end)));
    }
    return (size_t)(at - into);
}

size_t wr_case_lower_text(const char *data, size_t bytes, char *into)
{
    return map_ascii(data, bytes, into, 'A') ? bytes : map_text(data, bytes, into, wr_case_lower);
}

size_t wr_case_upper_text(const char *data, size_t bytes, char *into)
{
    return map_ascii(data, bytes, into, 'a') ? bytes : map_text(data, bytes, into, wr_case_upper);
}

/* ---- lower, upper, initcap ---- */

static size_t capitalise(const char *data, size_t bytes, char *into)
{
    const char *end = data + bytes;
    char *at = into;
    bool in_word = false;
    while (data < end) {
        const uint32_t code = wr_utf8_decode(&data, end);
        at = wr_utf8_encode(at, in_word ? wr_case_lower(code) : wr_case_upper(code));
        in_word = wr_case_in_word(code);
    }
    return (size_t)(at - into);
}

static void map_rows(struct wr_call *call,
                     size_t (*map)(const char *data, size_t bytes, char *into))
{
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        char small[WR_VIEW_INLINE_BYTES];
        const struct wr_slice text = wr_arg_text(call, 0, row);
        char *into = text.bytes <= sizeof small ? small : wr_result_room(call, text.bytes);
        wr_result_borrow(call, row, into, map(text.data, text.bytes, into));
    }
}

void wr_kernel_LOWER(struct wr_call *call)
{
    map_rows(call, wr_case_lower_text);
}

void wr_kernel_UPPER(struct wr_call *call)
{
    map_rows(call, wr_case_upper_text);
}

void wr_kernel_INITCAP(struct wr_call *call)
{
    map_rows(call, capitalise);
}
