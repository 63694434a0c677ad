/* slice.h: borrowed text: a pointer and a length, not terminated, never owned. */
#ifndef WR_BASE_SLICE_H
#define WR_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wr_slice {
    const char *data;
    size_t bytes;
};

/* For printf("%.*s", WR_SLICE_ARG(s)). */
#define WR_SLICE_ARG(s) ((int)((s).bytes > 0x7fffffff ? 0x7fffffff : (s).bytes)), ((s).data)
#define WR_SLICE_LITERAL(text) ((struct wr_slice){ (text), sizeof(text) - 1 })

static inline struct wr_slice wr_slice_of(const char *text)
{
    return (struct wr_slice){ text, text == NULL ? 0 : strlen(text) };
}

static inline bool wr_slice_equal(struct wr_slice a, struct wr_slice b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

static inline bool wr_slice_is(struct wr_slice a, const char *text)
{
    return wr_slice_equal(a, wr_slice_of(text));
}

/* ASCII case folding only: identifiers and keywords. */
bool wr_slice_equal_nocase(struct wr_slice a, struct wr_slice b);

/* Edit distance (Damerau-Levenshtein, optimal string alignment, ASCII case folded), cut off above max:
 * returns max + 1 then. For "did you mean". Texts over 64 bytes count as max + 1. */
uint32_t wr_slice_distance(struct wr_slice a, struct wr_slice b, uint32_t max);

/* True when the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool wr_utf8_valid(const char *data, size_t bytes);

#endif
