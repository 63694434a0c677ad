/* json_walk_plain.c: the walk of json_walk.h for any machine: SSE2 where it is (all of x86-64),
 * else eight bytes at a time. */
#include "base/slice.h"

#if defined(__SSE2__)
#include <emmintrin.h>

static inline __m128i load128(const char *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

static inline uint32_t special16(const char *at)
{
    const __m128i c = load128(at);
    /* Signed: bytes above 0x7f are below 0x20 too. */
    const __m128i low = _mm_cmplt_epi8(c, _mm_set1_epi8(0x20));
    const __m128i quote = _mm_cmpeq_epi8(c, _mm_set1_epi8('"'));
    const __m128i slash = _mm_cmpeq_epi8(c, _mm_set1_epi8('\\'));
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(quote, slash)));
}

static inline uint32_t simd_special(const char *at)
{
    return special16(at) | special16(at + 16) << 16;
}

static inline uint32_t equal16(const char *a, const char *b)
{
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(load128(a), load128(b)));
}

static inline bool simd_equal(const char *at, const char *glue, uint64_t mask)
{
    return (~(uint64_t)(equal16(at, glue) | equal16(at + 16, glue + 16) << 16) & mask) == 0;
}
#else
static inline uint32_t simd_special(const char *at)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < 32; i++) {
        const uint8_t c = (uint8_t)at[i];
        bits |= (uint32_t)(c == '"' || c == '\\' || c < 0x20 || c > 0x7f) << i;
    }
    return bits;
}

static inline bool simd_equal(const char *at, const char *glue, uint64_t mask)
{
    return mask <= UINT32_MAX && memcmp(at, glue, (size_t)__builtin_popcountll(mask)) == 0;
}
#endif

#include "decode/json_walk.h"

void wr_json_run_plain(struct wr_json_decoder *d, const struct wr_records *records)
{
    run_records(d, records);
}
