/* text_number.c: numbers to text and back, for text.h.
 *
 * Doubles are written with Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles",
 * 2020): the shortest decimal that reads back, the closest one where several are that short. They
 * are read with the fast path of Clinger (PLDI 1990) and then Eisel and Lemire ("Number parsing at
 * a gigabyte per second", 2021); strtod in the C locale decides what those cannot.
 */
#include "batch/text.h"

#include "base/heap.h"
#include "pow10_table.h"
#include <locale.h>
#include <math.h>
#include <pthread.h>

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324"
                                  "25262728293031323334353637383940414243444546474849"
                                  "50515253545556575859606162636465666768697071727374"
                                  "75767778798081828384858687888990919293949596979899";

/* ---- integers ---- */

static uint32_t digits_u64(uint64_t value)
{
    static const uint64_t tens[] = { 0,
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
                                     1000000000000000000,
                                     10000000000000000000u };
    const uint32_t bits = 64 - (uint32_t)__builtin_clzll(value | 1);
    const uint32_t guess = bits * 1233 >> 12; /* log10(2) is about 1233/4096 */
    return guess + (value >= tens[guess] || guess == 0);
}

/* Exactly count digits, zeros in front. */
static void put_digits(char *into, uint64_t value, uint32_t count)
{
    while (count >= 2) {
        count -= 2;
        memcpy(into + count, digit_pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (count == 1) {
        into[0] = (char)('0' + value % 10);
    }
}

char *wr_text_uint64(char *into, uint64_t value)
{
    const uint32_t count = digits_u64(value);
    put_digits(into, value, count);
    return into + count;
}

char *wr_text_int64(char *into, int64_t value)
{
    uint64_t magnitude = (uint64_t)value;
    if (value < 0) {
        *into++ = '-';
        magnitude = 0 - magnitude;
    }
    return wr_text_uint64(into, magnitude);
}

bool wr_text_parse_uint64(struct wr_slice text, uint64_t *value)
{
    size_t i = text.bytes > 0 && text.data[0] == '+';
    if (i == text.bytes) {
        return false;
    }
    uint64_t sum = 0;
    for (; i < text.bytes; i++) {
        const uint32_t digit = (uint32_t)(uint8_t)text.data[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(sum, 10u, &sum) ||
            __builtin_add_overflow(sum, digit, &sum)) {
            return false;
        }
    }
    *value = sum;
    return true;
}

bool wr_text_parse_int64(struct wr_slice text, int64_t *value)
{
    const bool negative = text.bytes > 0 && text.data[0] == '-';
    if (negative) {
        text.data++;
        text.bytes--;
        if (text.bytes > 0 && text.data[0] == '+') {
            return false;
        }
    }
    uint64_t magnitude;
    if (!wr_text_parse_uint64(text, &magnitude) || magnitude > (uint64_t)INT64_MAX + negative) {
        return false;
    }
    *value = (int64_t)(negative ? 0 - magnitude : magnitude);
    return true;
}

/* ---- doubles to text ---- */

/* digits x 10^exponent */
struct decimal {
    uint64_t digits;
    int32_t exponent;
};

/* floor(g * cp / 2^128) with the lowest bit set when anything was cut off. */
static uint64_t round_to_odd(uint64_t high, uint64_t low, uint64_t cp)
{
    const uint64_t x1 = (uint64_t)((unsigned __int128)low * cp >> 64);
    const unsigned __int128 y = (unsigned __int128)high * cp + x1;
    return (uint64_t)(y >> 64) | ((uint64_t)y > 1);
}

/* The shortest decimal inside the rounding interval of c x 2^q; closer: the interval is half as
 * wide below (c is a power of two). Variables as in the paper, figure 4. */
static struct decimal shortest(uint64_t c, int32_t q, bool closer)
{
    const bool even = c % 2 == 0; /* interval bounds round to an even c */
    const int32_t k = (q * 1262611 - (closer ? 524031 : 0)) >> 22;
    const int32_t h = q + ((-k * 1741647) >> 19) + 1;
    const uint64_t *power = pow10_table[-k - POW10_FIRST];
    /* The paper rounds powers up, the table down; 10^0 to 10^55 are exact in 128 bits. */
    const bool exact = -k >= 0 && -k <= 55;
    const uint64_t low = power[1] + !exact;
    const uint64_t high = power[0] + (!exact && low == 0);

    const uint64_t lower = round_to_odd(high, low, (4 * c - 2 + closer) << h) + !even;
    const uint64_t vb = round_to_odd(high, low, (4 * c) << h);
    const uint64_t upper = round_to_odd(high, low, (4 * c + 2) << h) - !even;

    const uint64_t s = vb / 4;
    if (s >= 10) {
        const uint64_t sp = s / 10;
        const bool up_inside = lower <= 40 * sp;
        const bool wp_inside = 40 * sp + 40 <= upper;
        if (up_inside != wp_inside) {
            return (struct decimal){ sp + wp_inside, k + 1 };
        }
    }
    const bool u_inside = lower <= 4 * s;
    const bool w_inside = 4 * s + 4 <= upper;
    if (u_inside != w_inside) {
        return (struct decimal){ s + w_inside, k };
    }
    const uint64_t middle = 4 * s + 2;
    const bool round_up = vb > middle || (vb == middle && (s & 1) != 0);
    return (struct decimal){ s + round_up, k };
}

/* As PostgreSQL writes doubles: scientific below 1e-4 and from 1e15 (floats: 1e6) on. */
static char *put_decimal(char *into, struct decimal d, int32_t fixed_max)
{
    static const uint64_t zeros[] = { 100000000, 10000, 100, 10 };
    int32_t dropped = 8;
    for (uint32_t i = 0; i < 4; i++, dropped /= 2) {
        if (d.digits % zeros[i] == 0) {
            d.digits /= zeros[i];
            d.exponent += dropped;
        }
    }
    while (d.digits % 10 == 0) { /* 16 zeros and more */
        d.digits /= 10;
        d.exponent++;
    }
    const int32_t count = (int32_t)digits_u64(d.digits);
    const int32_t point = count + d.exponent; /* digits before the decimal point */
    char digits[20];
    put_digits(digits, d.digits, (uint32_t)count);
    if (point < -3 || point > fixed_max) {
        *into++ = digits[0];
        if (count > 1) {
            *into++ = '.';
            memcpy(into, digits + 1, (size_t)count - 1);
            into += count - 1;
        }
        const int32_t e = point - 1;
        const uint32_t magnitude = (uint32_t)(e < 0 ? -e : e);
        *into++ = 'e';
        *into++ = e < 0 ? '-' : '+';
        const uint32_t width = magnitude < 100 ? 2 : 3;
        put_digits(into, magnitude, width);
        return into + width;
    }
    if (point <= 0) {
        memcpy(into, "0.000", 5); /* at most three zeros after the point */
        into += 2 - point;
        memcpy(into, digits, (size_t)count);
        return into + count;
    }
    if (count <= point) {
        memcpy(into, digits, (size_t)count);
        memset(into + count, '0', (size_t)(point - count));
        return into + point;
    }
    memcpy(into, digits, (size_t)point);
    into[point] = '.';
    memcpy(into + point + 1, digits + point, (size_t)(count - point));
    return into + count + 1;
}

char *wr_text_double(char *into, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    if (bits >> 63 != 0) {
        *into++ = '-';
        bits &= ~(1ull << 63);
    }
    const uint64_t fraction = bits & ((1ull << 52) - 1);
    const int32_t exponent = (int32_t)(bits >> 52);
    if (bits == 0) {
        *into++ = '0';
        return into;
    }
    const uint64_t c = exponent != 0 ? fraction | 1ull << 52 : fraction;
    const int32_t q = (exponent != 0 ? exponent : 1) - 1075;
    if (q <= 0 && q > -53 && (c & ((1ull << -q) - 1)) == 0) {
        return put_decimal(into, (struct decimal){ c >> -q, 0 }, 15);
    }
    return put_decimal(into, shortest(c, q, fraction == 0 && exponent > 1), 15);
}

char *wr_text_float(char *into, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if (bits >> 31 != 0) {
        *into++ = '-';
        bits &= ~(1u << 31);
    }
    const uint32_t fraction = bits & ((1u << 23) - 1);
    const int32_t exponent = (int32_t)(bits >> 23);
    if (bits == 0) {
        *into++ = '0';
        return into;
    }
    const uint64_t c = exponent != 0 ? fraction | 1u << 23 : fraction;
    const int32_t q = (exponent != 0 ? exponent : 1) - 150;
    return put_decimal(into, shortest(c, q, fraction == 0 && exponent > 1), 6);
}

/* ---- text to doubles ---- */

/* A number's text taken apart: value = (negative) digits x 10^exponent, further digits behind when
 * cut. */
struct number {
    uint64_t digits;
    int64_t exponent;
    bool negative;
    bool cut; /* more than 19 significant digits: digits holds the first ones */
};

static bool is_digit(char c)
{
    return (uint8_t)(c - '0') < 10;
}

static const char *scan_digits(const char *at, const char *end, struct number *n, uint32_t *kept,
                               bool fraction)
{
    for (; at < end && is_digit(*at); at++) {
        if (*kept < 19) {
            n->digits = n->digits * 10 + (uint64_t)(*at - '0');
            *kept += n->digits != 0;
            n->exponent -= fraction;
        } else {
            n->cut |= *at != '0';
            n->exponent += !fraction;
        }
    }
    return at;
}

/* [+-]digits[.digits][e[+-]digits], at least one digit before or after the point; the whole
 * text. */
static bool scan_number(struct wr_slice text, struct number *n)
{
    const char *at = text.data;
    const char *end = text.data + text.bytes;
    memset(n, 0, sizeof(*n));
    if (at < end && (*at == '-' || *at == '+')) {
        n->negative = *at == '-';
        at++;
    }
    uint32_t kept = 0;
    const char *start = at;
    at = scan_digits(at, end, n, &kept, false);
    size_t count = (size_t)(at - start);
    if (at < end && *at == '.') {
        start = ++at;
        at = scan_digits(at, end, n, &kept, true);
        count += (size_t)(at - start);
    }
    if (count == 0) {
        return false;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        const bool minus = at < end && *at == '-';
        at += at < end && (*at == '-' || *at == '+');
        if (at == end) {
            return false;
        }
        int64_t e = 0;
        for (; at < end && is_digit(*at); at++) {
            e = e < 1000000000 ? e * 10 + (*at - '0') : e; /* beyond any type's range already */
        }
        n->exponent += minus ? -e : e;
    }
    return at == end;
}

/* Eisel-Lemire for digits != 0. False: undecided. */
static bool scale_to_double(uint64_t digits, int64_t exponent, uint64_t *bits)
{
    if (exponent < POW10_FIRST || exponent > 308) {
        *bits = exponent < 0 ? 0 : 0x7ffull << 52;
        return true;
    }
    const int32_t q = (int32_t)exponent;
    const uint64_t *power = pow10_table[q - POW10_FIRST];
    /* Exactly invertible powers are used rounded up (their paper, section 6). */
    const uint64_t low_word = power[1] + (q < 0 && q >= -27);
    const int lz = __builtin_clzll(digits);
    const uint64_t w = digits << lz;
    unsigned __int128 product = (unsigned __int128)w * power[0];
    if (((uint64_t)(product >> 64) & 0x1ff) == 0x1ff) {
        product += (uint64_t)((unsigned __int128)w * low_word >> 64);
        if ((uint64_t)product == UINT64_MAX && (q < -27 || q > 55)) {
            return false;
        }
    }
    const uint64_t high = (uint64_t)(product >> 64);
    const uint64_t low = (uint64_t)product;
    const int upper = (int)(high >> 63);
    const int shift = upper + 9;
    uint64_t mantissa = high >> shift;
    int32_t power2 = (((152170 + 65536) * q) >> 16) + 63 + upper - lz + 1023;
    if (power2 <= 0) { /* subnormal */
        if (1 - power2 >= 64) {
            *bits = 0;
            return true;
        }
        mantissa >>= 1 - power2;
        mantissa = (mantissa + (mantissa & 1)) >> 1;
        *bits = mantissa; /* a carry into bit 52 is the right exponent, 1 */
        return true;
    }
    if (low <= 1 && q >= -4 && q <= 23 && (mantissa & 3) == 1 && mantissa << shift == high) {
        mantissa &= ~1ull; /* exactly between two: to even */
    }
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    if (mantissa >= 1ull << 53) {
        mantissa = 1ull << 52;
        power2++;
    }
    *bits = power2 >= 0x7ff ? 0x7ffull << 52
                            : (mantissa & ~(1ull << 52)) | (uint64_t)power2 << 52;
    return true;
}

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* The last resort; text is a scanned number. */
static double parse_slowly(struct wr_slice text, bool single)
{
    char room[128];
    char *copy = text.bytes < sizeof(room) ? room : wr_malloc(text.bytes + 1);
    memcpy(copy, text.data, text.bytes);
    copy[text.bytes] = '\0';
    pthread_once(&c_locale_once, make_c_locale);
    const double value =
        single ? (double)strtof_l(copy, NULL, c_locale) : strtod_l(copy, NULL, c_locale);
    if (copy != room) {
        free(copy);
    }
    return value;
}

static bool parse_finite(struct wr_slice text, double *value)
{
    static const double tens[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    struct number n;
    if (!scan_number(text, &n)) {
        return false;
    }
    double result;
    if (n.digits == 0) {
        result = 0;
    } else if (!n.cut && n.digits <= 1ull << 53 && n.exponent >= -22 && n.exponent <= 22) {
        result = (double)n.digits;
        result = n.exponent < 0 ? result / tens[-n.exponent] : result * tens[n.exponent];
    } else {
        uint64_t bits;
        uint64_t above;
        if (!scale_to_double(n.digits, n.exponent, &bits) ||
            (n.cut && (!scale_to_double(n.digits + 1, n.exponent, &above) || above != bits))) {
            *value = parse_slowly(text, false);
            return isfinite(*value);
        }
        memcpy(&result, &bits, 8);
    }
    *value = n.negative ? -result : result;
    return isfinite(result);
}

bool wr_text_parse_double(struct wr_slice text, double *value)
{
    static const struct {
        const char *word;
        double value;
    } words[] = { { "nan", NAN },         { "infinity", INFINITY }, { "-infinity", -INFINITY },
                  { "inf", INFINITY },    { "-inf", -INFINITY },    { "+infinity", INFINITY },
                  { "+inf", INFINITY } };
    if (parse_finite(text, value)) {
        return true;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (wr_slice_equal_nocase(text, wr_slice_of(words[i].word))) {
            *value = words[i].value;
            return true;
        }
    }
    return false;
}

bool wr_text_parse_float(struct wr_slice text, float *value)
{
    double wide;
    if (!wr_text_parse_double(text, &wide)) {
        return false;
    }
    uint64_t bits;
    memcpy(&bits, &wide, 8);
    const double magnitude = fabs(wide);
    /* Rounding twice is wrong only where the first rounding landed exactly between two floats, or
     * where floats are subnormal and the same may happen at another bit. */
    if ((bits & 0x1fffffff) == 0x10000000 || (magnitude < 0x1p-126 && wide != 0)) {
        wide = parse_slowly(text, true);
    }
    *value = (float)wide;
    return isfinite(*value) || !isfinite(wide);
}

/* ---- decimals ---- */

static unsigned __int128 ten_to(uint32_t power)
{
    unsigned __int128 value = 1;
    for (uint32_t i = 0; i < power; i++) {
        value *= 10;
    }
    return value;
}

uint32_t wr_text_decimal(char *into, __int128 value, uint32_t scale)
{
    char digits[40];
    uint32_t count = 0;
    unsigned __int128 magnitude = (unsigned __int128)value;
    char *at = into;
    if (value < 0) {
        *at++ = '-';
        magnitude = 0 - magnitude;
    }
    /* Least significant first, at least one digit before the point. */
    while (magnitude != 0 || count <= scale) {
        digits[count++] = (char)('0' + (int)(magnitude % 10));
        magnitude /= 10;
    }
    while (count > 0) {
        *at++ = digits[--count];
        if (count == scale && scale > 0) {
            *at++ = '.';
        }
    }
    return (uint32_t)(at - into);
}

bool wr_text_parse_decimal(struct wr_slice text, uint32_t precision, uint32_t scale,
                           __int128 *value)
{
    struct number n;
    if (!scan_number(text, &n) || precision > 38 || scale > precision) {
        return false;
    }
    if (n.digits == 0) {
        *value = 0;
        return true;
    }
    /* The digits again, exactly. The number's first significant digit stands for 10^(first);
     * digits down to 10^-scale are taken, one more rounds. */
    const unsigned __int128 limit = ten_to(precision);
    unsigned __int128 sum = 0;
    int64_t weight = n.exponent + (int64_t)digits_u64(n.digits) - 1;
    bool begun = false;
    for (size_t i = 0; i < text.bytes && weight >= -(int64_t)scale - 1; i++) {
        const char c = text.data[i];
        if (c == 'e' || c == 'E') {
            break;
        }
        if (!is_digit(c) || (c == '0' && !begun)) {
            continue;
        }
        begun = true;
        if (weight == -(int64_t)scale - 1) {
            sum += c >= '5';
        } else if (sum > (limit - 1) / 10) {
            return false;
        } else {
            sum = sum * 10 + (unsigned)(c - '0');
        }
        weight--;
    }
    for (; weight >= -(int64_t)scale; weight--) {
        if (sum > (limit - 1) / 10) {
            return false;
        }
        sum *= 10;
    }
    if (sum >= limit) { /* rounded up */
        return false;
    }
    *value = n.negative ? -(__int128)sum : (__int128)sum;
    return true;
}
