/* kernel_arith.c: + - * / % and bits over integers and floats.
 *
 * Leaf loops run over all rows without branches, so that the compiler vectorises them, and gather
 * one word that says whether any row may have gone wrong. Only then the live rows are looked at one
 * by one.
 */
#include "exec/eval_node.h"
#include <float.h>
#include <math.h>

#define OVERFLOW_MESSAGE "integer overflow"
#define ZERO_MESSAGE "division by zero"

/* ---- integers: + and - ---- */

/* STEP sets r and may set bits of bad; x and y are the operands. TEST: bad means trouble. */
#define DENSE_LOOP(T, BAD, STEP)                                                                   \
    if (constant) {                                                                                \
        const T y = b[0];                                                                          \
        for (uint32_t i = 0; i < rows; i++) {                                                      \
            const T x = a[i];                                                                      \
            T r;                                                                                   \
            STEP;                                                                                  \
            out[i] = r;                                                                            \
        }                                                                                          \
    } else {                                                                                       \
        for (uint32_t i = 0; i < rows; i++) {                                                      \
            const T x = a[i];                                                                      \
            const T y = b[i];                                                                      \
            T r;                                                                                   \
            STEP;                                                                                  \
            out[i] = r;                                                                            \
        }                                                                                          \
    }

#define INTEGER_KERNEL(ID, T, BAD, STEP, TROUBLE, BUILTIN)                                         \
    static BAD dense_##ID(const T *a, const T *b, bool constant, uint32_t rows, T *restrict out)   \
    {                                                                                              \
        BAD bad = 0;                                                                               \
        DENSE_LOOP(T, BAD, STEP)                                                                   \
        return bad;                                                                                \
    }                                                                                              \
    static void mend_##ID(struct wr_call *call, const T *a, const T *b)                            \
    {                                                                                              \
        WR_FOR_EACH_LIVE(call->live, call->words, row)                                             \
        {                                                                                          \
            T r;                                                                                   \
            if (BUILTIN(a[row], b[row], &r)) {                                                     \
                wr_result_fail(call, row, OVERFLOW_MESSAGE);                                       \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
    void wr_kernel_##ID(struct wr_call *call)                                                      \
    {                                                                                              \
        const T *a = wr_arg_values(call, 0);                                                       \
        const T *b = wr_arg_values(call, 1);                                                       \
        const BAD bad =                                                                            \
            dense_##ID(a, b, wr_arg_constant(call, 1), call->rows, wr_result_values(call));        \
        if (__builtin_expect(TROUBLE, 0)) {                                                        \
            mend_##ID(call, a, b);                                                                 \
        }                                                                                          \
    }

/* Signed sums overflow when the result's sign differs from both operands'; differences when it
 * differs from the first operand's and the operands' signs differ. */
#define SIGNED_SUM(SUFFIX, T, UT)                                                                  \
    INTEGER_KERNEL(ADD_##SUFFIX, T, T, r = (T)((UT)x + (UT)y);                                     \
                   bad = (T)(bad | ((x ^ r) & (y ^ r))), bad < 0, __builtin_add_overflow)          \
    INTEGER_KERNEL(SUB_##SUFFIX, T, T, r = (T)((UT)x - (UT)y);                                     \
                   bad = (T)(bad | ((x ^ y) & (x ^ r))), bad < 0, __builtin_sub_overflow)

#define UNSIGNED_SUM(SUFFIX, T)                                                                    \
    INTEGER_KERNEL(ADD_##SUFFIX, T, T, r = (T)(x + y); bad = (T)(bad | (r < x)), bad != 0,         \
                   __builtin_add_overflow)                                                         \
    INTEGER_KERNEL(SUB_##SUFFIX, T, T, r = (T)(x - y); bad = (T)(bad | (x < y)), bad != 0,         \
                   __builtin_sub_overflow)

SIGNED_SUM(I16, int16_t, uint16_t)
SIGNED_SUM(I32, int32_t, uint32_t)
SIGNED_SUM(I64, int64_t, uint64_t)
UNSIGNED_SUM(U16, uint16_t)
UNSIGNED_SUM(U32, uint32_t)
UNSIGNED_SUM(U64, uint64_t)

/* ---- integers: * ---- */

/* Narrow products are exact in the next wider type. */
#define NARROW_PRODUCT(SUFFIX, T, WIDE)                                                            \
    INTEGER_KERNEL(MUL_##SUFFIX, T, WIDE, const WIDE wide = (WIDE)((WIDE)x * (WIDE)y);             \
                   r = (T)wide; bad = (WIDE)(bad | (wide ^ (WIDE)r)), bad != 0,                    \
                   __builtin_mul_overflow)
#define WIDE_PRODUCT(SUFFIX, T)                                                                    \
    INTEGER_KERNEL(MUL_##SUFFIX, T, int, bad |= __builtin_mul_overflow(x, y, &r), bad != 0,        \
                   __builtin_mul_overflow)

NARROW_PRODUCT(I16, int16_t, int32_t)
NARROW_PRODUCT(I32, int32_t, int64_t)
WIDE_PRODUCT(I64, int64_t)
NARROW_PRODUCT(U16, uint16_t, uint32_t)
NARROW_PRODUCT(U32, uint32_t, uint64_t)
WIDE_PRODUCT(U64, uint64_t)

/* ---- integers: / and % ---- */

/* MIN / -1 is the one quotient that does not fit; MIN % -1 is 0, but the processor traps on it. */
#define IS_MINUS_ONE(y) ((y) == -1)
#define NEVER(y) false

#define DIVIDE_KERNELS(SUFFIX, T, MIN, MINUS_ONE)                                                  \
    void wr_kernel_DIV_##SUFFIX(struct wr_call *call)                                              \
    {                                                                                              \
        const T *a = wr_arg_values(call, 0);                                                       \
        const T *b = wr_arg_values(call, 1);                                                       \
        T *out = wr_result_values(call);                                                           \
        if (wr_arg_constant(call, 1) && b[0] != 0 && !MINUS_ONE(b[0])) {                           \
            const T divisor = b[0];                                                                \
            for (uint32_t i = 0; i < call->rows; i++) {                                            \
                out[i] = (T)(a[i] / divisor);                                                      \
            }                                                                                      \
            return;                                                                                \
        }                                                                                          \
        WR_FOR_EACH_LIVE(call->live, call->words, row)                                             \
        {                                                                                          \
            if (b[row] == 0) {                                                                     \
                wr_result_fail(call, row, ZERO_MESSAGE);                                           \
            } else if (MINUS_ONE(b[row]) && a[row] == MIN) {                                       \
                wr_result_fail(call, row, OVERFLOW_MESSAGE);                                       \
            } else {                                                                               \
                out[row] = (T)(a[row] / b[row]);                                                   \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
    static void remainder_##SUFFIX(struct wr_call *call)                                           \
    {                                                                                              \
        const T *a = wr_arg_values(call, 0);                                                       \
        const T *b = wr_arg_values(call, 1);                                                       \
        T *out = wr_result_values(call);                                                           \
        if (wr_arg_constant(call, 1) && b[0] != 0 && !MINUS_ONE(b[0])) {                           \
            const T divisor = b[0];                                                                \
            for (uint32_t i = 0; i < call->rows; i++) {                                            \
                out[i] = (T)(a[i] % divisor);                                                      \
            }                                                                                      \
            return;                                                                                \
        }                                                                                          \
        WR_FOR_EACH_LIVE(call->live, call->words, row)                                             \
        {                                                                                          \
            if (b[row] == 0) {                                                                     \
                wr_result_fail(call, row, ZERO_MESSAGE);                                           \
            } else {                                                                               \
                out[row] = (T)(MINUS_ONE(b[row]) ? 0 : a[row] % b[row]);                           \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
    void wr_kernel_MOD_##SUFFIX(struct wr_call *call)                                              \
    {                                                                                              \
        remainder_##SUFFIX(call);                                                                  \
    }

DIVIDE_KERNELS(I16, int16_t, INT16_MIN, IS_MINUS_ONE)
DIVIDE_KERNELS(I32, int32_t, INT32_MIN, IS_MINUS_ONE)
DIVIDE_KERNELS(I64, int64_t, INT64_MIN, IS_MINUS_ONE)
DIVIDE_KERNELS(U16, uint16_t, 0, NEVER)
DIVIDE_KERNELS(U32, uint32_t, 0, NEVER)
DIVIDE_KERNELS(U64, uint64_t, 0, NEVER)

void wr_kernel_MOD_FN_I64(struct wr_call *call)
{
    remainder_I64(call);
}

/* ---- integers: sign ---- */

#define SIGN_KERNELS(SUFFIX, T, UT, MIN)                                                           \
    void wr_kernel_NEG_##SUFFIX(struct wr_call *call)                                              \
    {                                                                                              \
        const T *a = wr_arg_values(call, 0);                                                       \
        T *out = wr_result_values(call);                                                           \
        int bad = 0;                                                                               \
        for (uint32_t i = 0; i < call->rows; i++) {                                                \
            out[i] = (T)((UT)0 - (UT)a[i]);                                                        \
            bad |= a[i] == MIN;                                                                    \
        }                                                                                          \
        fail_minimum_##SUFFIX(call, a, bad);                                                       \
    }                                                                                              \
    void wr_kernel_ABS_##SUFFIX(struct wr_call *call)                                              \
    {                                                                                              \
        const T *a = wr_arg_values(call, 0);                                                       \
        T *out = wr_result_values(call);                                                           \
        int bad = 0;                                                                               \
        for (uint32_t i = 0; i < call->rows; i++) {                                                \
            out[i] = a[i] < 0 ? (T)((UT)0 - (UT)a[i]) : a[i];                                      \
            bad |= a[i] == MIN;                                                                    \
        }                                                                                          \
        fail_minimum_##SUFFIX(call, a, bad);                                                       \
    }

#define FAIL_MINIMUM(SUFFIX, T, MIN)                                                               \
    static void fail_minimum_##SUFFIX(struct wr_call *call, const T *a, int bad)                   \
    {                                                                                              \
        if (bad == 0) {                                                                            \
            return;                                                                                \
        }                                                                                          \
        WR_FOR_EACH_LIVE(call->live, call->words, row)                                             \
        {                                                                                          \
            if (a[row] == MIN) {                                                                   \
                wr_result_fail(call, row, OVERFLOW_MESSAGE);                                       \
            }                                                                                      \
        }                                                                                          \
    }

FAIL_MINIMUM(I16, int16_t, INT16_MIN)
FAIL_MINIMUM(I32, int32_t, INT32_MIN)
FAIL_MINIMUM(I64, int64_t, INT64_MIN)
SIGN_KERNELS(I16, int16_t, uint16_t, INT16_MIN)
SIGN_KERNELS(I32, int32_t, uint32_t, INT32_MIN)
SIGN_KERNELS(I64, int64_t, uint64_t, INT64_MIN)

/* ---- integers: bits ---- */

#define BIT_KERNEL(ID, EXPR)                                                                       \
    void wr_kernel_##ID(struct wr_call *call)                                                      \
    {                                                                                              \
        const int64_t *a = wr_arg_values(call, 0);                                                 \
        const int64_t *b = wr_arg_values(call, 1);                                                 \
        int64_t *out = wr_result_values(call);                                                     \
        for (uint32_t i = 0; i < call->rows; i++) {                                                \
            out[i] = (EXPR);                                                                       \
        }                                                                                          \
    }

BIT_KERNEL(BIT_AND_I64, a[i] & b[i])
BIT_KERNEL(BIT_OR_I64, a[i] | b[i])
BIT_KERNEL(BIT_XOR_I64, a[i] ^ b[i])
/* The count is taken modulo 64, as the processors do for which PostgreSQL leaves it undefined. */
BIT_KERNEL(SHIFT_LEFT_I64, (int64_t)((uint64_t)a[i] << ((uint64_t)b[i] & 63)))
BIT_KERNEL(SHIFT_RIGHT_I64, a[i] >> ((uint64_t)b[i] & 63))

void wr_kernel_BIT_NOT_I64(struct wr_call *call)
{
    const int64_t *a = wr_arg_values(call, 0);
    int64_t *out = wr_result_values(call);
    for (uint32_t i = 0; i < call->rows; i++) {
        out[i] = ~a[i];
    }
}

/* ---- floats ---- */

/* As PostgreSQL (float.h, float8_pl and its neighbours): an infinite result of finite operands is
 * an overflow, a zero product or quotient of operands that are not zero an underflow, x / 0 an
 * error unless x is NaN. */
#define FLOAT_KERNEL(ID, T, OP, SUSPECT, MEND)                                                     \
    static int dense_##ID(const T *a, const T *b, bool constant, uint32_t rows, T *restrict out)   \
    {                                                                                              \
        int bad = 0;                                                                               \
        DENSE_LOOP(T, int, r = x OP y; bad |= (SUSPECT))                                           \
        return bad;                                                                                \
    }                                                                                              \
    void wr_kernel_##ID(struct wr_call *call)                                                      \
    {                                                                                              \
        const T *a = wr_arg_values(call, 0);                                                       \
        const T *b = wr_arg_values(call, 1);                                                       \
        T *out = wr_result_values(call);                                                           \
        if (__builtin_expect(                                                                      \
                dense_##ID(a, b, wr_arg_constant(call, 1), call->rows, out) != 0, 0)) {            \
            WR_FOR_EACH_LIVE(call->live, call->words, row)                                         \
            {                                                                                      \
                const char *what = MEND((double)a[row], (double)b[row], (double)out[row]);         \
                if (what != NULL) {                                                                \
                    wr_result_fail(call, row, "%s", what);                                         \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

static const char *mend_sum(double x, double y, double r)
{
    return isinf(r) && !isinf(x) && !isinf(y) ? "value out of range: overflow" : NULL;
}

static const char *mend_product(double x, double y, double r)
{
    if (isinf(r) && !isinf(x) && !isinf(y)) {
        return "value out of range: overflow";
    }
    return r == 0 && x != 0 && y != 0 ? "value out of range: underflow" : NULL;
}

static const char *mend_quotient(double x, double y, double r)
{
    if (y == 0) {
        return isnan(x) ? NULL : ZERO_MESSAGE;
    }
    if (isinf(r) && !isinf(x)) {
        return "value out of range: overflow";
    }
    return r == 0 && x != 0 && !isinf(y) ? "value out of range: underflow" : NULL;
}

#define FLOAT_KERNELS(SUFFIX, T, ABS, MAX)                                                         \
    FLOAT_KERNEL(ADD_##SUFFIX, T, +, !(ABS(r) <= MAX), mend_sum)                                   \
    FLOAT_KERNEL(SUB_##SUFFIX, T, -, !(ABS(r) <= MAX), mend_sum)                                   \
    FLOAT_KERNEL(MUL_##SUFFIX, T, *, (!(ABS(r) <= MAX)) | ((r == 0) & (x != 0) & (y != 0)),        \
                 mend_product)                                                                     \
    FLOAT_KERNEL(DIV_##SUFFIX, T, /, (!(ABS(r) <= MAX)) | ((r == 0) & (x != 0)), mend_quotient)    \
    void wr_kernel_NEG_##SUFFIX(struct wr_call *call)                                              \
    {                                                                                              \
        const T *a = wr_arg_values(call, 0);                                                       \
        T *out = wr_result_values(call);                                                           \
        for (uint32_t i = 0; i < call->rows; i++) {                                                \
            out[i] = -a[i];                                                                        \
        }                                                                                          \
    }

FLOAT_KERNELS(F32, float, fabsf, FLT_MAX)
FLOAT_KERNELS(F64, double, fabs, DBL_MAX)
