/* eval_utf8.h: walking over UTF-8 (private to exec's kernels). Ill-formed bytes count as characters
 * of their own; nothing outside [at, end) is read. */
#ifndef WR_EXEC_EVAL_UTF8_H
#define WR_EXEC_EVAL_UTF8_H

#include "base/slice.h"

static inline bool wr_utf8_continues(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* After the character at at (< end). */
static inline const char *wr_utf8_next(const char *at, const char *end)
{
    const unsigned char lead = (unsigned char)*at++;
    const int more = lead < 0xC0 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
    for (int i = 0; i < more && at < end && wr_utf8_continues(*at); i++) {
        at++;
    }
    return at;
}

/* count characters further, at most to end. */
static inline const char *wr_utf8_skip(const char *at, const char *end, uint64_t count)
{
    if (count >= (uint64_t)(end - at)) {
        return end; /* a character has at least one byte */
    }
    while (count > 0 && at < end) {
        at = wr_utf8_next(at, end);
        count--;
    }
    return at;
}

/* Characters of well-formed text: bytes that do not continue one. */
static inline uint32_t wr_utf8_count(const char *data, size_t bytes)
{
    uint32_t count = 0;
    for (size_t i = 0; i < bytes; i++) {
        count += !wr_utf8_continues(data[i]);
    }
    return count;
}

static inline bool wr_is_ascii(const char *data, size_t bytes)
{
    unsigned char all = 0;
    for (size_t i = 0; i < bytes; i++) {
        all |= (unsigned char)data[i];
    }
    return all < 0x80;
}

/* The code point at *at, which moves on; an ill-formed byte is itself plus WR_UTF8_RAW. */
#define WR_UTF8_RAW 0x110000u
uint32_t wr_utf8_decode(const char **at, const char *end);
/* Writes what decode gave; up to 4 bytes. Returns the end. */
char *wr_utf8_encode(char *into, uint32_t code);

/* Simple case mappings, independent of any locale: Latin (ASCII, Latin-1, Extended-A, most of B,
 * Additional), Greek, Cyrillic, Armenian, full-width; others stay as they are. The result's UTF-8
 * is never longer. */
uint32_t wr_case_lower(uint32_t code);
uint32_t wr_case_upper(uint32_t code);
/* Letter or digit, as initcap sees words. */
bool wr_case_in_word(uint32_t code);

/* The whole text; into has room for bytes. Returns the result's length. */
size_t wr_case_lower_text(const char *data, size_t bytes, char *into);
size_t wr_case_upper_text(const char *data, size_t bytes, char *into);

#endif
