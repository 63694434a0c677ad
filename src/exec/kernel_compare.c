/* kernel_compare.c: = <> < <= > >= over every physical order.
 *
 * As PostgreSQL: NaN equals NaN and is greater than every number, -0 equals 0; texts and bytes
 * compare bytewise (C collation); intervals compare as if a month had 30 days and a day 24 hours.
 */
#include "exec/eval_decimal.h"
#include "exec/eval_node.h"
#include "exec/eval_time.h"

/* ---- leaf loops ---- */

#define LEAF(NAME, T, EXPR)                                                                        \
    static void NAME(const T *a, const T *b, bool constant, uint32_t rows, uint8_t *restrict out)  \
    {                                                                                              \
        if (constant) {                                                                            \
            const T y = b[0];                                                                      \
            for (uint32_t i = 0; i < rows; i++) {                                                  \
                const T x = a[i];                                                                  \
                out[i] = (uint8_t)(EXPR);                                                          \
            }                                                                                      \
        } else {                                                                                   \
            for (uint32_t i = 0; i < rows; i++) {                                                  \
                const T x = a[i];                                                                  \
                const T y = b[i];                                                                  \
                out[i] = (uint8_t)(EXPR);                                                          \
            }                                                                                      \
        }                                                                                          \
    }

#define KERNEL(OP, SUFFIX, LEAF_NAME)                                                              \
    void wr_kernel_##OP##_##SUFFIX(struct wr_call *call)                                           \
    {                                                                                              \
        LEAF_NAME(wr_arg_values(call, 0), wr_arg_values(call, 1), wr_arg_constant(call, 1),        \
                  call->rows, wr_result_values(call));                                             \
    }

#define ORDERED_LEAVES(NAME, T)                                                                    \
    LEAF(eq_##NAME, T, x == y)                                                                     \
    LEAF(ne_##NAME, T, x != y)                                                                     \
    LEAF(lt_##NAME, T, x < y)                                                                      \
    LEAF(le_##NAME, T, x <= y)                                                                     \
    LEAF(gt_##NAME, T, x > y)                                                                      \
    LEAF(ge_##NAME, T, x >= y)

#define FLOAT_EQ(x, y) ((x == y) | ((x != x) & (y != y)))
#define FLOAT_LT(x, y) ((x < y) | ((y != y) & (x == x)))
#define FLOAT_LEAVES(NAME, T)                                                                      \
    LEAF(eq_##NAME, T, FLOAT_EQ(x, y))                                                             \
    LEAF(ne_##NAME, T, !FLOAT_EQ(x, y))                                                            \
    LEAF(lt_##NAME, T, FLOAT_LT(x, y))                                                             \
    LEAF(le_##NAME, T, !FLOAT_LT(y, x))                                                            \
    LEAF(gt_##NAME, T, FLOAT_LT(y, x))                                                             \
    LEAF(ge_##NAME, T, !FLOAT_LT(x, y))

#define KERNELS(SUFFIX, NAME)                                                                      \
    KERNEL(EQ, SUFFIX, eq_##NAME)                                                                  \
    KERNEL(NE, SUFFIX, ne_##NAME)                                                                  \
    KERNEL(LT, SUFFIX, lt_##NAME)                                                                  \
    KERNEL(LE, SUFFIX, le_##NAME)                                                                  \
    KERNEL(GT, SUFFIX, gt_##NAME)                                                                  \
    KERNEL(GE, SUFFIX, ge_##NAME)

ORDERED_LEAVES(u8, uint8_t)
ORDERED_LEAVES(i16, int16_t)
ORDERED_LEAVES(i32, int32_t)
ORDERED_LEAVES(i64, int64_t)
ORDERED_LEAVES(u16, uint16_t)
ORDERED_LEAVES(u32, uint32_t)
ORDERED_LEAVES(u64, uint64_t)
ORDERED_LEAVES(i128, __int128)
FLOAT_LEAVES(f32, float)
FLOAT_LEAVES(f64, double)

KERNELS(BOOL, u8)
KERNELS(I16, i16)
KERNELS(I32, i32)
KERNELS(I64, i64)
KERNELS(U16, u16)
KERNELS(U32, u32)
KERNELS(U64, u64)
KERNELS(F32, f32)
KERNELS(F64, f64)
KERNELS(DATE, i32)
KERNELS(TIMESTAMP, i64)
KERNELS(TIMESTAMPTZ, i64)

/* ---- decimals ---- */

static int order_decimal(const struct wr_column *a, const struct wr_column *b, uint32_t row)
{
    return wr_decimal_compare(((const __int128 *)a->values)[row], a->type.scale,
                              ((const __int128 *)b->values)[row], b->type.scale);
}

#define DECIMAL_KERNEL(OP, SIGN, LEAF_NAME)                                                        \
    void wr_kernel_##OP##_DECIMAL(struct wr_call *call)                                            \
    {                                                                                              \
        const struct wr_column *a = wr_arg(call, 0);                                               \
        const struct wr_column *b = wr_arg(call, 1);                                               \
        uint8_t *out = wr_result_values(call);                                                     \
        if (a->type.scale == b->type.scale) {                                                      \
            LEAF_NAME(a->values, b->values, wr_arg_constant(call, 1), call->rows, out);            \
            return;                                                                                \
        }                                                                                          \
        WR_FOR_EACH_LIVE(call->live, call->words, row)                                             \
        {                                                                                          \
            out[row] = order_decimal(a, b, row) SIGN 0;                                            \
        }                                                                                          \
    }

DECIMAL_KERNEL(EQ, ==, eq_i128)
DECIMAL_KERNEL(NE, !=, ne_i128)
DECIMAL_KERNEL(LT, <, lt_i128)
DECIMAL_KERNEL(LE, <=, le_i128)
DECIMAL_KERNEL(GT, >, gt_i128)
DECIMAL_KERNEL(GE, >=, ge_i128)

/* ---- texts and bytes ---- */

static void equal_views(struct wr_call *call, uint8_t unequal)
{
    const struct wr_view *a = wr_arg_values(call, 0);
    const struct wr_view *b = wr_arg_values(call, 1);
    uint8_t *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        out[row] = (uint8_t)wr_view_equal(&a[row], &b[row]) ^ unequal;
    }
}

#define VIEW_ORDER_KERNEL(OP, SUFFIX, SIGN)                                                        \
    void wr_kernel_##OP##_##SUFFIX(struct wr_call *call)                                           \
    {                                                                                              \
        const struct wr_view *a = wr_arg_values(call, 0);                                          \
        const struct wr_view *b = wr_arg_values(call, 1);                                          \
        uint8_t *out = wr_result_values(call);                                                     \
        WR_FOR_EACH_LIVE(call->live, call->words, row)                                             \
        {                                                                                          \
            out[row] = wr_view_compare(&a[row], &b[row]) SIGN 0;                                   \
        }                                                                                          \
    }

#define VIEW_KERNELS(SUFFIX)                                                                       \
    void wr_kernel_EQ_##SUFFIX(struct wr_call *call)                                               \
    {                                                                                              \
        equal_views(call, 0);                                                                      \
    }                                                                                              \
    void wr_kernel_NE_##SUFFIX(struct wr_call *call)                                               \
    {                                                                                              \
        equal_views(call, 1);                                                                      \
    }                                                                                              \
    VIEW_ORDER_KERNEL(LT, SUFFIX, <)                                                               \
    VIEW_ORDER_KERNEL(LE, SUFFIX, <=)                                                              \
    VIEW_ORDER_KERNEL(GT, SUFFIX, >)                                                               \
    VIEW_ORDER_KERNEL(GE, SUFFIX, >=)

VIEW_KERNELS(TEXT)
VIEW_KERNELS(BYTES)

/* Of one nested type: equal when their bodies are. So -0 and 0 differ inside, and a NaN equals itself. */
void wr_kernel_EQ_NESTED(struct wr_call *call)
{
    equal_views(call, 0);
}

void wr_kernel_NE_NESTED(struct wr_call *call)
{
    equal_views(call, 1);
}

/* ---- intervals ---- */

#define INTERVAL_KERNEL(OP, SIGN)                                                                  \
    void wr_kernel_##OP##_INTERVAL(struct wr_call *call)                                           \
    {                                                                                              \
        const struct wr_interval *a = wr_arg_values(call, 0);                                      \
        const struct wr_interval *b = wr_arg_values(call, 1);                                      \
        uint8_t *out = wr_result_values(call);                                                     \
        for (uint32_t i = 0; i < call->rows; i++) {                                                \
            out[i] = wr_interval_span(a[i]) SIGN wr_interval_span(b[i]);                           \
        }                                                                                          \
    }

INTERVAL_KERNEL(EQ, ==)
INTERVAL_KERNEL(NE, !=)
INTERVAL_KERNEL(LT, <)
INTERVAL_KERNEL(LE, <=)
INTERVAL_KERNEL(GT, >)
INTERVAL_KERNEL(GE, >=)

/* ---- equality for IN, NULLIF, IS DISTINCT ---- */

static void equal_one_by_one(const struct wr_column *a, const struct wr_column *b,
                             const uint64_t *live, uint32_t words, uint64_t *equal)
{
    memset(equal, 0, (size_t)words * 8);
    WR_FOR_EACH_LIVE(live, words, row)
    {
        bool same;
        if (wr_type_is_view(a->type)) {
            same = wr_view_equal((const struct wr_view *)a->values + row,
                                 (const struct wr_view *)b->values + row);
        } else if (a->type.id == WR_TYPE_DECIMAL) {
            same = order_decimal(a, b, row) == 0;
        } else {
            same = wr_interval_span(((const struct wr_interval *)a->values)[row]) ==
                   wr_interval_span(((const struct wr_interval *)b->values)[row]);
        }
        equal[row / 64] |= (uint64_t)same << (row % 64);
    }
}

void wr_equal_words(const struct wr_column *a, const struct wr_column *b, const uint64_t *live,
                    uint32_t words, uint64_t *equal)
{
    uint8_t same[WR_BATCH_ROWS_MAX];
    /* Whole words: a column's storage reaches to WR_BATCH_ROWS_MAX or ends with its rows, so count
     * the last live row. */
    uint32_t rows = 0;
    for (uint32_t w = words; w-- > 0 && rows == 0;) {
        rows = live[w] == 0 ? 0 : w * 64 + 64 - (uint32_t)__builtin_clzll(live[w]);
    }
    if (rows == 0) {
        memset(equal, 0, (size_t)words * 8);
        return;
    }
    switch ((enum wr_type_id)a->type.id) {
    case WR_TYPE_BOOL:
        eq_u8(a->values, b->values, false, rows, same);
        break;
    case WR_TYPE_INT16:
    case WR_TYPE_UINT16:
        eq_u16(a->values, b->values, false, rows, same);
        break;
    case WR_TYPE_INT32:
    case WR_TYPE_UINT32:
    case WR_TYPE_DATE:
        eq_u32(a->values, b->values, false, rows, same);
        break;
    case WR_TYPE_INT64:
    case WR_TYPE_UINT64:
    case WR_TYPE_TIMESTAMP:
    case WR_TYPE_TIMESTAMPTZ:
        eq_u64(a->values, b->values, false, rows, same);
        break;
    case WR_TYPE_FLOAT32:
        eq_f32(a->values, b->values, false, rows, same);
        break;
    case WR_TYPE_FLOAT64:
        eq_f64(a->values, b->values, false, rows, same);
        break;
    default:
        equal_one_by_one(a, b, live, words, equal);
        return;
    }
    memset(equal, 0, (size_t)words * 8);
    wr_bools_pack(same, rows, equal);
    for (uint32_t w = 0; w < words; w++) {
        equal[w] &= live[w];
    }
}
