/* eval_decimal.c: see eval_decimal.h. Products and scaled dividends that leave 128 bits are carried
 * in 256. */
#include "exec/eval_decimal.h"
#include "base/assert.h"
#include "batch/text.h"

typedef unsigned __int128 u128;

struct u256 {
    u128 high;
    u128 low;
};

#define E18 ((__int128)1000000000000000000)

__int128 wr_pow10_i128(uint32_t n)
{
    static const __int128 powers[WR_DECIMAL_DIGITS_MAX + 1] = {
        1,
        10,
        100,
        1000,
        10000,
        100000,
        1000000,
        10000000,
        100000000,
        1000000000,
        10000000000,
        100000000000,
        1000000000000,
        10000000000000,
        100000000000000,
        1000000000000000,
        10000000000000000,
        100000000000000000,
        E18,
        E18 * 10,
        E18 * 100,
        E18 * 1000,
        E18 * 10000,
        E18 * 100000,
        E18 * 1000000,
        E18 * 10000000,
        E18 * 100000000,
        E18 * 1000000000,
        E18 * 10000000000,
        E18 * 100000000000,
        E18 * 1000000000000,
        E18 * 10000000000000,
        E18 * 100000000000000,
        E18 * 1000000000000000,
        E18 * 10000000000000000,
        E18 * 100000000000000000,
        E18 *E18,
        E18 *E18 * 10,
        E18 *E18 * 100,
    };
    wr_dassert(n <= WR_DECIMAL_DIGITS_MAX);
    return powers[n];
}

static u128 magnitude(__int128 value)
{
    return value < 0 ? (u128)0 - (u128)value : (u128)value;
}

static struct u256 multiply(u128 a, u128 b)
{
    const u128 mask = UINT64_MAX;
    const u128 low = (a & mask) * (b & mask);
    const u128 mid1 = (a >> 64) * (b & mask);
    const u128 mid2 = (a & mask) * (b >> 64);
    const u128 mid = (low >> 64) + (mid1 & mask) + (mid2 & mask);
    return (struct u256){ (a >> 64) * (b >> 64) + (mid1 >> 64) + (mid2 >> 64) + (mid >> 64),
                          (mid << 64) | (low & mask) };
}

/* Quotient rounded half up (of magnitudes: half away from zero); false when it leaves 127 bits. */
static bool divide_round(struct u256 value, u128 divisor, u128 *out)
{
    if (value.high >= divisor) {
        return false; /* the quotient has more than 128 bits */
    }
    u128 quotient;
    u128 rest;
    if (value.high == 0) {
        quotient = value.low / divisor;
        rest = value.low % divisor;
    } else {
        /* Long division by bits: rare enough (more than 38 digits in between). */
        rest = value.high;
        quotient = 0;
        for (int bit = 127; bit >= 0; bit--) {
            const bool carry = (rest >> 127) != 0;
            rest = (rest << 1) | ((value.low >> bit) & 1);
            quotient <<= 1;
            if (carry || rest >= divisor) {
                rest -= divisor;
                quotient |= 1;
            }
        }
    }
    if (rest >= divisor - rest) {
        quotient++;
        if (quotient == 0) {
            return false;
        }
    }
    if (quotient >> 127 != 0) {
        return false;
    }
    *out = quotient;
    return true;
}

static __int128 with_sign(u128 value, bool negative)
{
    return negative ? -(__int128)value : (__int128)value;
}

bool wr_decimal_rescale(__int128 value, uint32_t from_scale, uint32_t to_scale, __int128 *out)
{
    if (to_scale >= from_scale) {
        __int128 scaled;
        if (__builtin_mul_overflow(value, wr_pow10_i128(to_scale - from_scale), &scaled)) {
            return false;
        }
        *out = scaled;
        return true;
    }
    *out = wr_decimal_round_div(value, wr_pow10_i128(from_scale - to_scale));
    return true;
}

int wr_decimal_compare(__int128 a, uint32_t a_scale, __int128 b, uint32_t b_scale)
{
    const __int128 a_unit = wr_pow10_i128(a_scale);
    const __int128 b_unit = wr_pow10_i128(b_scale);
    __int128 left = a / a_unit;
    __int128 right = b / b_unit;
    if (left == right) {
        /* The fractions, brought to the longer scale; both are below 10^38 there. */
        const uint32_t scale = a_scale > b_scale ? a_scale : b_scale;
        left = a % a_unit * wr_pow10_i128(scale - a_scale);
        right = b % b_unit * wr_pow10_i128(scale - b_scale);
    }
    return (left > right) - (left < right);
}

bool wr_decimal_mul(__int128 a, uint32_t a_scale, __int128 b, uint32_t b_scale, uint32_t to_scale,
                    __int128 *out)
{
    __int128 product;
    const uint32_t scale = a_scale + b_scale;
    if (scale == to_scale) {
        if (__builtin_mul_overflow(a, b, &product)) {
            return false;
        }
        *out = product;
        return true;
    }
    const struct u256 wide = multiply(magnitude(a), magnitude(b));
    const bool negative = (a < 0) != (b < 0);
    if (scale < to_scale) {
        if (wide.high != 0 || wide.low >> 127 != 0) {
            return false;
        }
        return wr_decimal_rescale(with_sign(wide.low, negative), scale, to_scale, out);
    }
    u128 rounded;
    if (scale - to_scale > WR_DECIMAL_DIGITS_MAX) {
        return false;
    }
    if (!divide_round(wide, (u128)wr_pow10_i128(scale - to_scale), &rounded)) {
        return false;
    }
    *out = with_sign(rounded, negative);
    return true;
}

bool wr_decimal_div(__int128 a, uint32_t a_scale, __int128 b, uint32_t b_scale, uint32_t to_scale,
                    __int128 *out)
{
    const int32_t shift = (int32_t)(to_scale + b_scale) - (int32_t)a_scale;
    const bool negative = (a < 0) != (b < 0);
    if (shift < 0) {
        /* a / b has more digits than are wanted; what the first division cuts off cannot reach a
         * half. */
        *out = wr_decimal_round_div(a / b, wr_pow10_i128((uint32_t)-shift));
        return true;
    }
    const uint32_t first = (uint32_t)shift > WR_DECIMAL_DIGITS_MAX ? WR_DECIMAL_DIGITS_MAX
                                                                    : (uint32_t)shift;
    u128 dividend = magnitude(a);
    struct u256 wide = multiply(dividend, (u128)wr_pow10_i128(first));
    if ((uint32_t)shift > first && a != 0) {
        /* More than 38 digits to add: only a small a can have a result that fits. */
        const u128 more = (u128)wr_pow10_i128((uint32_t)shift - first);
        if (wide.high != 0) {
            return false;
        }
        wide = multiply(wide.low, more);
    }
    u128 rounded;
    if (!divide_round(wide, magnitude(b), &rounded)) {
        return false;
    }
    *out = with_sign(rounded, negative);
    return true;
}

double wr_decimal_to_double(__int128 value, uint32_t scale)
{
    static const double tens[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    const __int128 exact = (__int128)1 << 53;
    if (value <= exact && value >= -exact && scale < sizeof tens / sizeof tens[0]) {
        /* Both are exact, so the quotient is the nearest. */
        return (double)(int64_t)value / tens[scale];
    }
    char text[64];
    const uint32_t bytes = wr_text_decimal(text, value, scale);
    double result = 0;
    const bool parsed = wr_text_parse_double((struct wr_slice){ text, bytes }, &result);
    wr_dassert(parsed);
    (void)parsed;
    return result;
}
