/* slice.c: see slice.h. */
#include "base/slice.h"

#define DISTANCE_BYTES_MAX 64u

static uint8_t lower(char c)
{
    return (uint8_t)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool wr_slice_equal_nocase(struct wr_slice a, struct wr_slice b)
{
    if (a.bytes != b.bytes) {
        return false;
    }
    for (size_t i = 0; i < a.bytes; i++) {
        if (lower(a.data[i]) != lower(b.data[i])) {
            return false;
        }
    }
    return true;
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

uint32_t wr_slice_distance(struct wr_slice a, struct wr_slice b, uint32_t max)
{
    if (a.bytes > DISTANCE_BYTES_MAX || b.bytes > DISTANCE_BYTES_MAX) {
        return max + 1;
    }
    /* rows[i % 3][j]: the distance of a's first i bytes to b's first j; a swap looks two rows
     * back. */
    uint32_t rows[3][DISTANCE_BYTES_MAX + 1];
    for (uint32_t j = 0; j <= b.bytes; j++) {
        rows[0][j] = j;
    }
    for (uint32_t i = 1; i <= a.bytes; i++) {
        uint32_t *row = rows[i % 3];
        const uint32_t *above = rows[(i + 2) % 3];
        const uint32_t *above2 = rows[(i + 1) % 3];
        const uint8_t x = lower(a.data[i - 1]);
        row[0] = i;
        for (uint32_t j = 1; j <= b.bytes; j++) {
            const uint8_t y = lower(b.data[j - 1]);
            row[j] = min_u32(min_u32(above[j], row[j - 1]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == lower(b.data[j - 2]) && lower(a.data[i - 2]) == y) {
                row[j] = min_u32(row[j], above2[j - 2] + 1);
            }
        }
    }
    return min_u32(rows[a.bytes % 3][b.bytes], max + 1);
}

/* Bytes of the well-formed character at at[0..left), 0 when there is none (RFC 3629, section 4). */
static size_t utf8_character(const uint8_t *at, size_t left)
{
    const uint8_t lead = at[0];
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xc2 || lead > 0xf4) {
        return 0; /* a continuation byte, an overlong form, or above U+10FFFF */
    }
    const size_t bytes = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (left < bytes) {
        return 0;
    }
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    const bool overlong = (lead == 0xe0 && at[1] < 0xa0) || (lead == 0xf0 && at[1] < 0x90);
    const bool surrogate = lead == 0xed && at[1] > 0x9f;
    const bool too_large = lead == 0xf4 && at[1] > 0x8f;
    return overlong || surrogate || too_large ? 0 : bytes;
}

bool wr_utf8_valid(const char *data, size_t bytes)
{
    const uint8_t *at = (const uint8_t *)data;
    size_t i = 0;
    while (i < bytes) {
        uint64_t word;
        if (bytes - i >= sizeof(word)) {
            memcpy(&word, at + i, sizeof(word));
            if ((word & 0x8080808080808080ULL) == 0) {
                i += sizeof(word);
                continue;
            }
        }
        const size_t character = utf8_character(at + i, bytes - i);
        if (character == 0) {
            return false;
        }
        i += character;
    }
    return true;
}
