/* Compiled once for each row of kernels.h's table: WR_KERNELS names the table that this compilation makes. */
#include "encode/kernels.h"

#include <string.h>

#ifndef WR_KERNELS
#define WR_KERNELS wr_kernels_baseline
#endif

/* The key is computed in the value's own width, so that the loop fills whole vectors. */
#define BOUNDS(name, type, key_type, KEY, WIDEN)                                                   \
    static void name(const type *v, uint32_t count, int64_t *min, int64_t *max)                    \
    {                                                                                              \
        key_type low = KEY(v[0]);                                                                  \
        key_type high = low;                                                                       \
        for (uint32_t i = 0; i < count; i++) {                                                     \
            const key_type key = KEY(v[i]);                                                        \
            low = key < low ? key : low;                                                           \
            high = key > high ? key : high;                                                        \
        }                                                                                          \
        *min = WIDEN(low);                                                                         \
        *max = WIDEN(high);                                                                        \
    }

#define SAME(x) (x)
#define FLIP32(x) ((int32_t)((x) ^ 0x80000000u))
#define UNFLIP32(x) ((int64_t)((uint32_t)(x) ^ 0x80000000u))
#define ORDER32(x) ((int32_t)wr_order_f32(x))

BOUNDS(bounds_i32, int32_t, int32_t, SAME, SAME)
BOUNDS(bounds_u32, uint32_t, int32_t, FLIP32, UNFLIP32)
BOUNDS(bounds_i64, int64_t, int64_t, SAME, SAME)
BOUNDS(bounds_u64, uint64_t, int64_t, wr_order_u64, SAME)
BOUNDS(bounds_f32, uint32_t, int32_t, ORDER32, SAME)
BOUNDS(bounds_f64, uint64_t, int64_t, wr_order_f64, SAME)

static inline void store32(uint8_t *out, uint32_t value)
{
    memcpy(out, &value, 4); /* little-endian, as all of Weir's machines are */
}

/* With width a constant everything but shifts, ors and stores folds away. */
static inline __attribute__((always_inline)) void pack_block(const uint32_t *v, uint32_t width,
                                                             uint8_t *out)
{
    uint64_t bits = 0;
    uint32_t held = 0;
#pragma GCC unroll 32
    for (uint32_t i = 0; i < 32; i++) {
        bits |= (uint64_t)v[i] << held;
        held += width;
        if (held >= 32) {
            store32(out, (uint32_t)bits);
            out += 4;
            bits >>= 32;
            held -= 32;
        }
    }
}

#define PACK(width)                                                                                \
    static void pack_##width(const uint32_t *v, uint32_t blocks, uint8_t *out)                     \
    {                                                                                              \
        for (uint32_t b = 0; b < blocks; b++) {                                                    \
            pack_block(v + (size_t)b * 32, width, out + (size_t)b * 4 * width);                    \
        }                                                                                          \
    }

#define EACH_WIDTH(X)                                                                              \
    X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17)   \
    X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31) X(32)

EACH_WIDTH(PACK)

#define PACK_ENTRY(width) pack_##width,

static void pack32(const uint32_t *values, uint32_t blocks, uint32_t width, uint8_t *out)
{
    static void (*const packs[])(const uint32_t *, uint32_t, uint8_t *) = { EACH_WIDTH(PACK_ENTRY) };
    packs[width - 1](values, blocks, out);
}

/* Widths 33 to 64: rare (ids over the whole range), so one loop for all. */
static void pack_wide(const uint64_t *v, uint32_t width, uint8_t *out)
{
    unsigned __int128 bits = 0;
    uint32_t held = 0;
    for (uint32_t i = 0; i < WR_DELTA_MINI; i++) {
        bits |= (unsigned __int128)v[i] << held;
        held += width;
        while (held >= 32) {
            store32(out, (uint32_t)bits);
            out += 4;
            bits >>= 32;
            held -= 32;
        }
    }
}

static uint32_t pack_mini64(const uint64_t *v, uint32_t width, uint8_t *out)
{
    if (width > 32) {
        pack_wide(v, width, out);
    } else if (width > 0) {
        uint32_t narrow[WR_DELTA_MINI];
        for (uint32_t i = 0; i < WR_DELTA_MINI; i++) {
            narrow[i] = (uint32_t)v[i];
        }
        pack32(narrow, 1, width, out);
    }
    return width * 4;
}

static uint32_t pack_mini32(const uint32_t *v, uint32_t width, uint8_t *out)
{
    if (width > 0) {
        pack32(v, 1, width, out);
    }
    return width * 4;
}

static uint32_t varint(uint8_t *out, uint64_t value)
{
    uint32_t used = 0;
    while (value >= 0x80) {
        out[used++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[used++] = (uint8_t)value;
    return used;
}

#define ZIGZAG(x) (((uint64_t)(x) << 1) ^ (uint64_t)((int64_t)(x) >> 63))
#define WIDTH32(x) ((x) == 0 ? 0 : 32 - (uint32_t)__builtin_clz(x))
#define WIDTH64(x) ((x) == 0 ? 0 : 64 - (uint32_t)__builtin_clzll(x))

/* Differences wrap around in the type's own width, which is what readers undo; so extremes need no care.
 * Differences past the end repeat the smallest one: they pack as zeros, and miniblocks without
 * any value have width 0 and no bytes. */
#define DELTA_BLOCK(name, type, utype, WIDTH, PACK_MINI)                                           \
    static uint32_t name(const type *v, uint32_t count, uint8_t *out)                              \
    {                                                                                              \
        utype delta[WR_DELTA_BLOCK];                                                               \
        type min = (type)((utype)v[0] - (utype)v[-1]);                                             \
        for (uint32_t i = 0; i < count; i++) {                                                     \
            const type d = (type)((utype)v[i] - (utype)v[(int64_t)i - 1]);                         \
            delta[i] = (utype)d;                                                                   \
            min = d < min ? d : min;                                                               \
        }                                                                                          \
        for (uint32_t i = count; i < WR_DELTA_BLOCK; i++) {                                        \
            delta[i] = (utype)min;                                                                 \
        }                                                                                          \
        uint32_t used = varint(out, ZIGZAG(min));                                                  \
        uint8_t *widths = out + used;                                                              \
        used += WR_DELTA_BLOCK / WR_DELTA_MINI;                                                    \
        for (uint32_t m = 0; m < WR_DELTA_BLOCK / WR_DELTA_MINI; m++) {                            \
            utype *mini = delta + m * WR_DELTA_MINI;                                               \
            utype any = 0;                                                                         \
            for (uint32_t i = 0; i < WR_DELTA_MINI; i++) {                                         \
                mini[i] -= (utype)min;                                                             \
                any |= mini[i];                                                                    \
            }                                                                                      \
            widths[m] = (uint8_t)WIDTH(any);                                                       \
            used += PACK_MINI(mini, widths[m], out + used);                                        \
        }                                                                                          \
        return used;                                                                               \
    }

DELTA_BLOCK(delta_block_i32, int32_t, uint32_t, WIDTH32, pack_mini32)
DELTA_BLOCK(delta_block_i64, int64_t, uint64_t, WIDTH64, pack_mini64)

static void split4(const uint8_t *values, uint32_t count, uint8_t *out)
{
    for (uint32_t k = 0; k < 4; k++) {
        for (uint32_t i = 0; i < count; i++) {
            out[(size_t)k * count + i] = values[(size_t)i * 4 + k];
        }
    }
}

static void split8(const uint8_t *values, uint32_t count, uint8_t *out)
{
    for (uint32_t k = 0; k < 8; k++) {
        for (uint32_t i = 0; i < count; i++) {
            out[(size_t)k * count + i] = values[(size_t)i * 8 + k];
        }
    }
}

static void mark(const uint32_t *values, uint32_t count, uint8_t *used)
{
    for (uint32_t i = 0; i < count; i++) {
        used[values[i]] = 1;
    }
}

static bool is_hex(const uint8_t *bytes, uint32_t count, uint8_t first_letter)
{
    uint8_t bad = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t digit = (uint8_t)(bytes[i] - '0') > 9;
        const uint8_t letter = (uint8_t)(bytes[i] - first_letter) > 5;
        bad |= digit & letter;
    }
    return bad == 0;
}

static inline uint8_t hex_value(uint8_t digit)
{
    return (uint8_t)((digit & 15) + (digit >> 6) * 9);
}

static uint32_t pack_hex(const uint8_t *digits, uint32_t count, uint8_t *out)
{
    const uint32_t bytes = count / 2 + 1;
    uint32_t left = count;
    for (; left >= 8; left -= 8, out += 4) {
        uint64_t v;
        memcpy(&v, digits + left - 8, 8);
        v = (v & 0x0f0f0f0f0f0f0f0fULL) + (v >> 6 & 0x0101010101010101ULL) * 9;
        /* Two digits to a byte, the earlier one above; four bytes together; the last one first. */
        v = (v << 4 | v >> 8) & 0x00ff00ff00ff00ffULL;
        v = (v | v >> 8) & 0x0000ffff0000ffffULL;
        v = v | v >> 16;
        store32(out, __builtin_bswap32((uint32_t)v));
    }
    for (; left >= 2; left -= 2) {
        *out++ = (uint8_t)(hex_value(digits[left - 1]) | hex_value(digits[left - 2]) << 4);
    }
    *out = left == 1 ? (uint8_t)(hex_value(digits[0]) | 0x10) : 0x01;
    return bytes;
}

const struct wr_kernels WR_KERNELS = {
    .bounds_i32 = bounds_i32,
    .bounds_u32 = bounds_u32,
    .bounds_i64 = bounds_i64,
    .bounds_u64 = bounds_u64,
    .bounds_f32 = bounds_f32,
    .bounds_f64 = bounds_f64,
    .pack32 = pack32,
    .delta_block_i32 = delta_block_i32,
    .delta_block_i64 = delta_block_i64,
    .split4 = split4,
    .split8 = split8,
    .mark = mark,
    .is_hex = is_hex,
    .pack_hex = pack_hex,
};
