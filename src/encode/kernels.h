/* kernels.h: the loops that run once per value of a column, compiled for the baseline and for AVX2 from the
 * same source (kernels.c); the processor picks at run time.
 *
 * Smallest and largest values come out as "order keys": int64 whose signed order is the order of the type's
 * values. Signed integers are their own key; unsigned 64-bit ones have the top bit flipped; floats have all
 * other bits flipped when negative, so that -0 < +0 and NaNs lie beyond the infinities.
 */
#ifndef WR_ENCODE_KERNELS_H
#define WR_ENCODE_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* DELTA_BINARY_PACKED: a block is 128 differences in 4 miniblocks of 32. */
#define WR_DELTA_BLOCK 128u
#define WR_DELTA_MINI 32u
#define WR_DELTA_BLOCK_BYTES_MAX (10u + 4u + WR_DELTA_BLOCK * 8u)

struct wr_kernels {
    /* count > 0. Order keys of the smallest and largest value. */
    void (*bounds_i32)(const int32_t *v, uint32_t count, int64_t *min, int64_t *max);
    void (*bounds_u32)(const uint32_t *v, uint32_t count, int64_t *min, int64_t *max);
    void (*bounds_i64)(const int64_t *v, uint32_t count, int64_t *min, int64_t *max);
    void (*bounds_u64)(const uint64_t *v, uint32_t count, int64_t *min, int64_t *max);
    void (*bounds_f32)(const uint32_t *bits, uint32_t count, int64_t *min, int64_t *max);
    void (*bounds_f64)(const uint64_t *bits, uint32_t count, int64_t *min, int64_t *max);
    /* Packs blocks x 32 values of width bits (1 to 32; higher bits must be zero), least significant
     * bit first, into blocks x width x 4 bytes. */
    void (*pack32)(const uint32_t *values, uint32_t blocks, uint32_t width, uint8_t *out);
    /* One block of DELTA_BINARY_PACKED: min delta, widths, miniblocks. v[-1] is the value before; count is 1 to 128.
     * Returns bytes written, at most WR_DELTA_BLOCK_BYTES_MAX. */
    uint32_t (*delta_block_i32)(const int32_t *v, uint32_t count, uint8_t *out);
    uint32_t (*delta_block_i64)(const int64_t *v, uint32_t count, uint8_t *out);
    /* BYTE_STREAM_SPLIT: byte k of value i goes to out[k * count + i]. */
    void (*split4)(const uint8_t *values, uint32_t count, uint8_t *out);
    void (*split8)(const uint8_t *values, uint32_t count, uint8_t *out);
    /* used[values[i]] = 1. */
    void (*mark)(const uint32_t *values, uint32_t count, uint8_t *used);
    /* All bytes are 0 to 9 or one of the six letters from first_letter on. */
    bool (*is_hex)(const uint8_t *bytes, uint32_t count, uint8_t first_letter);
    /* The digits' values as a Huffman stream of four bits each: last digit first, then the bit that marks the end.
     * Returns bytes written: count / 2 + 1. */
    uint32_t (*pack_hex)(const uint8_t *digits, uint32_t count, uint8_t *out);
};

extern const struct wr_kernels wr_kernels_baseline;
extern const struct wr_kernels wr_kernels_avx2;

/* The fastest that this processor runs. */
const struct wr_kernels *wr_kernels_pick(void);

static inline int64_t wr_order_f64(uint64_t bits)
{
    const int64_t s = (int64_t)bits;
    return s ^ (int64_t)((uint64_t)(s >> 63) >> 1);
}

static inline int64_t wr_order_f32(uint32_t bits)
{
    const int32_t s = (int32_t)bits;
    return s ^ (int32_t)((uint32_t)(s >> 31) >> 1);
}

static inline int64_t wr_order_u64(uint64_t value)
{
    return (int64_t)(value ^ ((uint64_t)1 << 63));
}

#endif
