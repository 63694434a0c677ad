/* json_simd_avx2.h: what json_walk.h asks for, with 32-byte vectors. */
#ifndef WR_DECODE_JSON_SIMD_AVX2_H
#define WR_DECODE_JSON_SIMD_AVX2_H

#include <immintrin.h>

static inline __m256i load256(const char *at)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

static inline uint32_t simd_special(const char *at)
{
    const __m256i c = load256(at);
    /* Signed: bytes above 0x7f are below 0x20 too. */
    const __m256i low = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), c);
    const __m256i quote = _mm256_cmpeq_epi8(c, _mm256_set1_epi8('"'));
    const __m256i slash = _mm256_cmpeq_epi8(c, _mm256_set1_epi8('\\'));
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(low, _mm256_or_si256(quote, slash)));
}

static inline bool simd_equal(const char *at, const char *glue, uint64_t mask)
{
    const __m256i same = _mm256_cmpeq_epi8(load256(at), load256(glue));
    return (~(uint64_t)(uint32_t)_mm256_movemask_epi8(same) & mask) == 0;
}

#endif
