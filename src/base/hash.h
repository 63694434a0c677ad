/* hash.h: XXH3 (libxxhash, inlined) for keys; one place so that tests can replace it by a constant. */
#ifndef WR_BASE_HASH_H
#define WR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Test switch (`SET test_hash = 'zero'`): all keys collide; results must not change. Set before threads start. */
extern uint64_t wr_hash_mask;

uint64_t wr_hash_bytes_raw(const void *data, size_t bytes);

/* Murmur3's 64-bit finaliser: enough to spread integer keys over a power-of-two table. */
static inline uint64_t wr_hash_u64(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ULL;
    x ^= x >> 33;
    return x & wr_hash_mask;
}

static inline uint64_t wr_hash_bytes(const void *data, size_t bytes)
{
    return wr_hash_bytes_raw(data, bytes) & wr_hash_mask;
}

static inline uint64_t wr_hash_combine(uint64_t a, uint64_t b)
{
    return wr_hash_u64(a * 0x9e3779b97f4a7c15ULL + b);
}

#endif
