/* bitmap.h: bits in Arrow's order (bit i of byte i/8, least significant first). */
#ifndef WR_BASE_BITMAP_H
#define WR_BASE_BITMAP_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define WR_BITMAP_BYTES(bits) (((size_t)(bits) + 63) / 64 * 8)

static inline bool wr_bit_get(const uint8_t *bits, uint32_t i)
{
    return (bits[i >> 3] >> (i & 7)) & 1;
}

static inline void wr_bit_set(uint8_t *bits, uint32_t i)
{
    bits[i >> 3] = (uint8_t)(bits[i >> 3] | (1u << (i & 7)));
}

static inline void wr_bit_clear(uint8_t *bits, uint32_t i)
{
    bits[i >> 3] = (uint8_t)(bits[i >> 3] & ~(1u << (i & 7)));
}

static inline void wr_bit_put(uint8_t *bits, uint32_t i, bool value)
{
    const uint8_t mask = (uint8_t)(1u << (i & 7));
    bits[i >> 3] = (uint8_t)((bits[i >> 3] & ~mask) | (value ? mask : 0));
}

/* Number of set bits among the first count. */
static inline uint32_t wr_bit_count(const uint8_t *bits, uint32_t count)
{
    uint32_t set = 0;
    uint32_t i = 0;
    for (; i + 64 <= count; i += 64) {
        uint64_t word;
        memcpy(&word, bits + i / 8, 8);
        set += (uint32_t)__builtin_popcountll(word);
    }
    for (; i < count; i++) {
        set += wr_bit_get(bits, i);
    }
    return set;
}

#endif
