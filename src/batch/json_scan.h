/* json_scan.h: is this text JSON, and where does its value end (RFC 8259)?
 *
 * For casts to JSON and for what decoders hand through or skip. Strings must be UTF-8 without
 * control characters, surrogates in escapes must pair, nesting is limited to WR_JSON_DEPTH_MAX.
 * Threads: pure functions. Nothing outside [at, end) is read.
 */
#ifndef WR_BATCH_JSON_SCAN_H
#define WR_BATCH_JSON_SCAN_H

#include "base/slice.h"

/* at: at the first byte of a value (no space before it). Returns the byte after the value, or NULL
 * when there is no well-formed value; then *why (when not NULL) says what is wrong, as static
 * text. depth: how many objects and arrays are open already. */
const char *wr_json_scan_value(const char *at, const char *end, uint32_t depth, const char **why);

/* at: after the opening quote. Returns the byte after the closing quote or NULL. *escaped: whether
 * a backslash occurs. */
const char *wr_json_scan_string(const char *at, const char *end, bool *escaped, const char **why);

/* Returns the byte after the longest number that begins at at, or NULL. */
const char *wr_json_scan_number(const char *at, const char *end);

static inline const char *wr_json_skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) {
        at++;
    }
    return at;
}

/* True when the whole text is one JSON value, white space around it allowed. */
bool wr_json_valid(struct wr_slice text);

/* Decodes the inside of a scanned string (escapes resolved) into into, which has room for bytes;
 * returns the length. */
size_t wr_json_unescape(const char *text, size_t bytes, char *into);

#endif
