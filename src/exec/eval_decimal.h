/* eval_decimal.h: exact arithmetic on NUMERIC values, which are __int128 counts of 10^-scale
 * (private to exec's kernels). All functions that return bool say false when the result does not
 * fit; *out is then untouched. */
#ifndef WR_EXEC_EVAL_DECIMAL_H
#define WR_EXEC_EVAL_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

#define WR_DECIMAL_DIGITS_MAX 38u

/* 10^n, n up to WR_DECIMAL_DIGITS_MAX. */
__int128 wr_pow10_i128(uint32_t n);

static inline __int128 wr_abs_i128(__int128 value)
{
    return value < 0 ? -value : value;
}

/* |value| < 10^precision */
static inline bool wr_decimal_fits(__int128 value, uint32_t precision)
{
    const __int128 limit = wr_pow10_i128(precision);
    return value < limit && value > -limit;
}

/* value / divisor (> 0), half away from zero. */
static inline __int128 wr_decimal_round_div(__int128 value, __int128 divisor)
{
    const __int128 quotient = value / divisor;
    const __int128 rest = wr_abs_i128(value % divisor);
    return rest >= divisor - rest ? quotient + (value < 0 ? -1 : 1) : quotient;
}

/* To another scale, rounding half away from zero. */
bool wr_decimal_rescale(__int128 value, uint32_t from_scale, uint32_t to_scale, __int128 *out);

/* <0, 0, >0; exact whatever the scales. */
int wr_decimal_compare(__int128 a, uint32_t a_scale, __int128 b, uint32_t b_scale);

bool wr_decimal_mul(__int128 a, uint32_t a_scale, __int128 b, uint32_t b_scale, uint32_t to_scale,
                    __int128 *out);
/* b is not zero. */
bool wr_decimal_div(__int128 a, uint32_t a_scale, __int128 b, uint32_t b_scale, uint32_t to_scale,
                    __int128 *out);

/* The nearest double. */
double wr_decimal_to_double(__int128 value, uint32_t scale);

#endif
