/* fn_math.c: mathematical functions over DOUBLE PRECISION, and greatest/least.
 *
 * Domain and range errors are PostgreSQL's (float.c): sqrt of a negative number, ln of zero,
 * overflow of exp. round() of a double rounds half to even; round(double, n) goes over the shortest
 * decimal, half away from zero, because PostgreSQL has it for NUMERIC only and this is what a cast
 * there and back gives.
 */
#include "exec/eval_node.h"
#include "exec/eval_decimal.h"
#include "batch/text.h"
#include <float.h>
#include <math.h>

/* ---- one argument, cannot fail ---- */

/* glibc's is off by an ulp even for 27; one step of Newton's mends that. */
static double cube_root(double x)
{
    const double root = cbrt(x);
    if (!(fabs(x) > 1e-300 && fabs(x) < 1e300)) {
        return root; /* root^3 would leave the range */
    }
    return root - (root * root * root - x) / (3 * root * root);
}

#define PLAIN(ID, EXPR)                                                                            \
    void wr_kernel_##ID(struct wr_call *call)                                                      \
    {                                                                                              \
        const double *a = wr_arg_values(call, 0);                                                  \
        double *restrict out = wr_result_values(call);                                             \
        for (uint32_t i = 0; i < call->rows; i++) {                                                \
            const double x = a[i];                                                                 \
            out[i] = (EXPR);                                                                       \
        }                                                                                          \
    }

PLAIN(ABS_F64, fabs(x))
PLAIN(CEIL_F64, ceil(x))
PLAIN(CEILING_F64, ceil(x))
PLAIN(FLOOR_F64, floor(x))
PLAIN(ROUND_F64, rint(x))
PLAIN(TRUNC_F64, trunc(x))
PLAIN(SIGN_F64, x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0)
PLAIN(CBRT_F64, cube_root(x))
PLAIN(SIN_F64, sin(x))
PLAIN(COS_F64, cos(x))
PLAIN(TAN_F64, tan(x))
PLAIN(ATAN_F64, atan(x))
PLAIN(DEGREES_F64, x * (180.0 / M_PI))
PLAIN(RADIANS_F64, x * (M_PI / 180.0))

/* ---- one argument, may fail ---- */

#define CHECKED(ID, FUNCTION)                                                                      \
    void wr_kernel_##ID(struct wr_call *call)                                                      \
    {                                                                                              \
        const double *a = wr_arg_values(call, 0);                                                  \
        double *out = wr_result_values(call);                                                      \
        WR_FOR_EACH_LIVE(call->live, call->words, row)                                             \
        {                                                                                          \
            const char *what = FUNCTION(a[row], &out[row]);                                        \
            if (what != NULL) {                                                                    \
                wr_result_fail(call, row, "%s", what);                                             \
            }                                                                                      \
        }                                                                                          \
    }

static const char *checked_sqrt(double x, double *out)
{
    *out = sqrt(x);
    return x < 0 ? "square root of a negative number" : NULL;
}

static const char *checked_exp(double x, double *out)
{
    *out = exp(x);
    if (isinf(*out) && !isinf(x)) {
        return "value out of range: overflow";
    }
    return *out == 0 && !isinf(x) ? "value out of range: underflow" : NULL;
}

static const char *checked_log_domain(double x)
{
    if (x == 0) {
        return "logarithm of zero";
    }
    return x < 0 ? "logarithm of a negative number" : NULL;
}

static const char *checked_ln(double x, double *out)
{
    *out = log(x);
    return checked_log_domain(x);
}

static const char *checked_log10(double x, double *out)
{
    *out = log10(x);
    return checked_log_domain(x);
}

static const char *checked_log2(double x, double *out)
{
    *out = log2(x);
    return checked_log_domain(x);
}

static const char *checked_asin(double x, double *out)
{
    *out = asin(x);
    return x < -1 || x > 1 ? "input is out of range" : NULL;
}

static const char *checked_acos(double x, double *out)
{
    *out = acos(x);
    return x < -1 || x > 1 ? "input is out of range" : NULL;
}

CHECKED(SQRT_F64, checked_sqrt)
CHECKED(EXP_F64, checked_exp)
CHECKED(LN_F64, checked_ln)
CHECKED(LOG10_F64, checked_log10)
CHECKED(LOG_F64, checked_log10)
CHECKED(LOG2_F64, checked_log2)
CHECKED(ASIN_F64, checked_asin)
CHECKED(ACOS_F64, checked_acos)

/* ---- two arguments ---- */

static void power_all(struct wr_call *call)
{
    const double *a = wr_arg_values(call, 0);
    const double *b = wr_arg_values(call, 1);
    double *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const double x = a[row];
        const double y = b[row];
        if (x == 0 && y < 0) {
            wr_result_fail(call, row, "zero raised to a negative power");
            continue;
        }
        if (x < 0 && !isnan(y) && floor(y) != y) {
            wr_result_fail(call, row, "a negative number raised to a power that is not whole");
            continue;
        }
        const double result = pow(x, y);
        out[row] = result;
        if (isinf(result) && isfinite(x) && isfinite(y)) {
            wr_result_fail(call, row, "value out of range: overflow");
        } else if (result == 0 && x != 0 && isfinite(x) && isfinite(y)) {
            wr_result_fail(call, row, "value out of range: underflow");
        }
    }
}

void wr_kernel_POWER_F64(struct wr_call *call)
{
    power_all(call);
}

void wr_kernel_POW_F64(struct wr_call *call)
{
    power_all(call);
}

void wr_kernel_POWER_OP_F64(struct wr_call *call)
{
    power_all(call);
}

void wr_kernel_ATAN2_F64(struct wr_call *call)
{
    const double *a = wr_arg_values(call, 0);
    const double *b = wr_arg_values(call, 1);
    double *out = wr_result_values(call);
    for (uint32_t i = 0; i < call->rows; i++) {
        out[i] = atan2(a[i], b[i]);
    }
}

void wr_kernel_PI_F64(struct wr_call *call)
{
    double *out = wr_result_values(call);
    for (uint32_t i = 0; i < call->rows; i++) {
        out[i] = M_PI;
    }
}

/* The shortest decimal of value, rounded half away from zero to digits after the point. */
static double round_decimal(double value, int32_t digits)
{
    /* From here on a double has no digits left to round, or nothing but digits to drop. */
    if (!isfinite(value) || value == 0 || digits > DBL_DIG + 308 || fabs(value) >= 0x1p53) {
        if (digits >= 0 || !isfinite(value) || value == 0) {
            return value;
        }
    }
    char text[40];
    const size_t bytes = (size_t)(wr_text_double(text, value) - text);
    __int128 exact;
    /* Up to 18 digits after the point and 20 before it: what fits 38. */
    if (digits <= 17 && wr_text_parse_decimal((struct wr_slice){ text, bytes }, 38, 18, &exact)) {
        const int32_t dropped = 18 - digits;
        if (dropped > 38) {
            return 0;
        }
        const __int128 rounded = wr_decimal_round_div(exact, wr_pow10_i128((uint32_t)dropped));
        if (digits >= 0) {
            return wr_decimal_to_double(rounded, (uint32_t)digits);
        }
        return wr_decimal_to_double(rounded * wr_pow10_i128((uint32_t)-digits), 0);
    }
    if (digits >= 0) {
        return value; /* too large to have digits there, or too many wanted */
    }
    const double unit = pow(10, -(double)digits);
    return isinf(unit) ? 0 : round(value / unit) * unit;
}

void wr_kernel_ROUND_F64_N(struct wr_call *call)
{
    const double *a = wr_arg_values(call, 0);
    const int32_t *digits = wr_arg_values(call, 1);
    double *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        out[row] = round_decimal(a[row], digits[row]);
    }
}

/* ---- greatest, least: NULL only when all are ---- */

/* BETTER: the new value y replaces the best so far, x. */
#define EXTREME(ID, T, BETTER)                                                                     \
    void wr_kernel_##ID(struct wr_call *call)                                                      \
    {                                                                                              \
        T *out = wr_result_values(call);                                                           \
        WR_FOR_EACH_LIVE(call->live, call->words, row)                                             \
        {                                                                                          \
            bool found = false;                                                                    \
            T x;                                                                                   \
            memset(&x, 0, sizeof x);                                                               \
            for (uint32_t i = 0; i < call->node->arg_count; i++) {                                 \
                if (!wr_column_is_null(wr_arg(call, i), row)) {                                    \
                    const T y = ((const T *)wr_arg_values(call, i))[row];                          \
                    x = !found || (BETTER) ? y : x;                                                \
                    found = true;                                                                  \
                }                                                                                  \
            }                                                                                      \
            out[row] = x;                                                                          \
            if (!found) {                                                                          \
                wr_result_null(call, row);                                                         \
            }                                                                                      \
        }                                                                                          \
    }

/* NaN is greater than every number. */
static bool float_less(double x, double y)
{
    return x < y || (isnan(y) && !isnan(x));
}

EXTREME(GREATEST_I64, int64_t, y > x)
EXTREME(GREATEST_F64, double, float_less(x, y))
EXTREME(GREATEST_TEXT, struct wr_view, wr_view_compare(&y, &x) > 0)
EXTREME(GREATEST_TIMESTAMP, int64_t, y > x)
EXTREME(LEAST_I64, int64_t, y < x)
EXTREME(LEAST_F64, double, float_less(y, x))
EXTREME(LEAST_TEXT, struct wr_view, wr_view_compare(&y, &x) < 0)
EXTREME(LEAST_TIMESTAMP, int64_t, y < x)
