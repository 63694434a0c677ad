/* json_walk_avx512.c: json_walk.h and json_match.h for x86-64 with AVX-512 BW, VL and VBMI2
 * (compiled with those flags; chosen at run time). Masked loads touch no byte behind the mask. */
#include "base/slice.h"

#if defined(__AVX512VBMI2__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#include "decode/json_simd_avx2.h"
#include "decode/json_values.h"

/* Longer ones take the slow way. */
#define NUMBER_BYTES_MAX 24u

typedef __m256i simd_word;

static inline simd_word simd_zero(void)
{
    return _mm256_setzero_si256();
}

static inline bool simd_is_zero(simd_word w)
{
    return _mm256_testz_si256(w, w) != 0;
}

static inline bool simd_marks(const char *at, uint32_t bytes, struct wr_json_marks *marks)
{
    static const uint8_t iota[64] = {
        0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
        22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43,
        44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63,
    };
    const __m512i places = _mm512_loadu_si512(iota);
    const __m512i spaces = _mm512_set1_epi8(' ');
    const __m512i quotes = _mm512_set1_epi8('"');
    const __m512i slashes = _mm512_set1_epi8('\\');
    const __m512i step = _mm512_set1_epi16(64);
    __m512i base = _mm512_setzero_si512();
    __m512i least = spaces;
    __mmask64 slash = 0;
    uint16_t *into = marks->at + 1;
    const char *const end = at + bytes;
    for (; at < end; at += 64) {
        const size_t left = (size_t)(end - at);
        const __mmask64 mask = _bzhi_u64(~0ull, (uint32_t)left); /* used below 64 only */
        const __m512i c = LIKELY(left >= 64) ? _mm512_loadu_si512(at)
                                             : _mm512_mask_loadu_epi8(spaces, mask, at);
        const __mmask64 quote = _mm512_cmpeq_epi8_mask(c, quotes);
        slash |= _mm512_cmpeq_epi8_mask(c, slashes);
        least = _mm512_min_epi8(least, c);
        const __m512i found = _mm512_maskz_compress_epi8(quote, places);
        const uint32_t count = (uint32_t)__builtin_popcountll(quote);
        const __m256i low = _mm512_castsi512_si256(found);
        _mm512_storeu_si512(into, _mm512_add_epi16(base, _mm512_cvtepu8_epi16(low)));
        if (UNLIKELY(count > 32)) {
            const __m256i high = _mm512_extracti64x4_epi64(found, 1);
            _mm512_storeu_si512(into + 32, _mm512_add_epi16(base, _mm512_cvtepu8_epi16(high)));
        }
        base = _mm512_add_epi16(base, step);
        into += count;
    }
    marks->at[0] = 0;
    *into = (uint16_t)bytes;
    marks->quotes = (uint32_t)(into - marks->at - 1);
    /* Signed: bytes above 0x7f are below a space too. */
    marks->doubtful = _mm512_cmpneq_epi8_mask(least, spaces) != 0;
    return LIKELY(slash == 0);
}

static inline simd_word simd_differs(simd_word w, const char *at,
                                     const struct wr_json_piece *piece)
{
    const __m256i other = _mm256_xor_si256(load256(at), load256(piece->text));
    return _mm256_ternarylogic_epi64(w, other, load256(piece->mask), 0xf8); /* w | (other & mask) */
}

/* The text of at most 16 bytes less '0' each, moved to the register's end, zeros before it. */
static inline __m128i right_values(const char *at, uint32_t bytes)
{
    const __mmask16 mask = (__mmask16)(0xffff0000u >> (bytes & 31));
    const __m128i text = _mm_maskz_loadu_epi8(mask, at + bytes - 16);
    return _mm_maskz_sub_epi8(mask, text, _mm_set1_epi8('0'));
}

static inline uint64_t sixteen_values(__m128i digits)
{
    const __m128i twos = _mm_maddubs_epi16(digits, _mm_set1_epi16(0x010a));
    const __m128i fours = _mm_madd_epi16(twos, _mm_set1_epi32(0x00010064));
    const __m128i packed = _mm_packus_epi32(fours, fours);
    const __m128i eights = _mm_madd_epi16(packed, _mm_set1_epi32(0x00012710));
    const uint64_t halves = (uint64_t)_mm_cvtsi128_si64(eights);
    return (halves & 0xffffffffu) * 100000000 + (halves >> 32);
}

static inline uint32_t not_values(__m128i values)
{
    return _mm_cmpgt_epu8_mask(values, _mm_set1_epi8(9));
}

/* Negative, or longer than a register. */
static __attribute__((noinline)) bool slow_number(const char *at, uint32_t bytes,
                                                  struct plain_number *n)
{
    return bytes - 1 < NUMBER_BYTES_MAX && read_plain(at, false, n) == at + bytes;
}

static inline bool simd_integer(const char *at, uint32_t bytes, struct plain_number *n)
{
    /* The least value of so many digits. */
    static const uint64_t least[17] = {
        0,   0,   10,  100, 1e3,  1e4,  1e5,  1e6,  1e7,
        1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
    };
    if (UNLIKELY(bytes - 1 >= 16)) {
        return slow_number(at, bytes, n) && n->fraction == 0;
    }
    const __m128i values = right_values(at, bytes);
    n->digits = sixteen_values(values);
    n->fraction = 0;
    n->negative = false;
    if (LIKELY(not_values(values) == 0 && n->digits >= least[bytes])) {
        return true;
    }
    return *at == '-' && slow_number(at, bytes, n) && n->fraction == 0;
}

/* others: the bytes that are no digits. Whether they are one point with digits around it and no
 * zero first. */
static inline bool one_point(const char *at, uint32_t bytes, __m128i values, uint32_t others)
{
    const uint32_t points = _mm_cmpeq_epi8_mask(values, _mm_set1_epi8('.' - '0'));
    const uint32_t ends = 0x8000u | 0x10000u >> (bytes & 31);
    return ((others ^ points) | (others & (others - 1)) | (others & ends)) == 0 &&
           LIKELY(*at != '0' || at[1] == '.');
}

static inline bool simd_number(const char *at, uint32_t bytes, struct plain_number *n)
{
    if (UNLIKELY(bytes - 1 >= 16)) {
        return slow_number(at, bytes, n);
    }
    __m128i values = right_values(at, bytes);
    const uint32_t others = not_values(values);
    n->negative = false;
    if (others == 0) {
        return simd_integer(at, bytes, n);
    }
    if (UNLIKELY(!one_point(at, bytes, values, others))) {
        return *at == '-' && slow_number(at, bytes, n);
    }
    /* What stands before the point moves over it. */
    const __mmask16 before = (__mmask16)(others ^ (others - 1));
    values = _mm_mask_blend_epi8(before, values, _mm_bslli_si128(values, 1));
    n->digits = sixteen_values(values);
    n->fraction = 15 - (uint32_t)__builtin_ctz(others);
    return true;
}

static inline bool simd_is_number(const char *at, uint32_t bytes)
{
    struct plain_number n;
    if (UNLIKELY(bytes - 1 >= 16)) {
        return slow_number(at, bytes, &n);
    }
    const __m128i values = right_values(at, bytes);
    const uint32_t others = not_values(values);
    if (others == 0) {
        return LIKELY(*at != '0' || bytes == 1);
    }
    return one_point(at, bytes, values, others) || (*at == '-' && slow_number(at, bytes, &n));
}

static inline void simd_put_view(struct wr_view *into, const char *at, uint32_t bytes,
                                 ptrdiff_t origin)
{
    /* at - 4 lies in the record: a key and its quotes come before any string. Both forms without a
     * branch: text lengths are not predictable. */
    const uint64_t lies_outside = 0 - (uint64_t)(bytes > WR_VIEW_INLINE_BYTES);
    const uint64_t data = (uint64_t)((uintptr_t)at + (uintptr_t)origin) & lies_outside;
    const uint64_t mask = _bzhi_u64(0xfff0, bytes + 4) & ~(lies_outside & 0xff00);
    const __m128i text = _mm_maskz_loadu_epi8((__mmask16)mask, at - 4);
    const __m128i rest = _mm_set_epi64x((int64_t)data, bytes);
    _mm_storeu_si128((__m128i *)(void *)into, _mm_or_si128(text, rest));
}

#define MATCH_TEMPLATES 1
#include "decode/json_match.h"
#include "decode/json_walk.h"

void wr_json_run_avx512(struct wr_json_decoder *d, const struct wr_records *records)
{
    run_records(d, records);
}
#else
#include "decode/json_shape.h"

/* Never chosen here; keeps the program linkable. */
void wr_json_run_avx512(struct wr_json_decoder *d, const struct wr_records *records)
{
    wr_json_run_plain(d, records);
}
#endif
