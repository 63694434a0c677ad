/* kernel_decimal.c: NUMERIC arithmetic. The binder has chosen the result's precision and scale; a
 * result that does not fit them is an error of the row, one with more digits is rounded half away
 * from zero. */
#include "exec/eval_decimal.h"
#include "exec/eval_node.h"

#define OVERFLOW_MESSAGE "numeric overflow"
#define ZERO_MESSAGE "division by zero"

struct operands {
    const __int128 *a;
    const __int128 *b;
    uint32_t a_scale;
    uint32_t b_scale;
    uint32_t scale;
    uint32_t precision;
    __int128 *out;
};

static struct operands operands_of(struct wr_call *call)
{
    const bool two = call->node->arg_count > 1 && wr_arg_type(call, 1).id == WR_TYPE_DECIMAL;
    return (struct operands){
        .a = wr_arg_values(call, 0),
        .b = two ? wr_arg_values(call, 1) : NULL,
        .a_scale = wr_arg_type(call, 0).scale,
        .b_scale = two ? wr_arg_type(call, 1).scale : 0,
        .scale = call->node->expr->type.scale,
        .precision = call->node->expr->type.precision,
        .out = wr_result_values(call),
    };
}

static void put(struct wr_call *call, const struct operands *o, uint32_t row, bool fits,
                __int128 value)
{
    if (fits && wr_decimal_fits(value, o->precision)) {
        o->out[row] = value;
    } else {
        wr_result_fail(call, row, OVERFLOW_MESSAGE);
    }
}

static bool sum(const struct operands *o, uint32_t row, bool subtract, __int128 *out)
{
    __int128 a = o->a[row];
    __int128 b = o->b[row];
    if ((o->a_scale != o->scale && !wr_decimal_rescale(a, o->a_scale, o->scale, &a)) ||
        (o->b_scale != o->scale && !wr_decimal_rescale(b, o->b_scale, o->scale, &b))) {
        return false;
    }
    return subtract ? !__builtin_sub_overflow(a, b, out) : !__builtin_add_overflow(a, b, out);
}

static void add_or_subtract(struct wr_call *call, bool subtract)
{
    const struct operands o = operands_of(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        __int128 value = 0;
        const bool fits = sum(&o, row, subtract, &value);
        put(call, &o, row, fits, value);
    }
}

void wr_kernel_ADD_DECIMAL(struct wr_call *call)
{
    add_or_subtract(call, false);
}

void wr_kernel_SUB_DECIMAL(struct wr_call *call)
{
    add_or_subtract(call, true);
}

void wr_kernel_MUL_DECIMAL(struct wr_call *call)
{
    const struct operands o = operands_of(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        __int128 value = 0;
        const bool fits =
            wr_decimal_mul(o.a[row], o.a_scale, o.b[row], o.b_scale, o.scale, &value);
        put(call, &o, row, fits, value);
    }
}

void wr_kernel_DIV_DECIMAL(struct wr_call *call)
{
    const struct operands o = operands_of(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        if (o.b[row] == 0) {
            wr_result_fail(call, row, ZERO_MESSAGE);
            continue;
        }
        __int128 value = 0;
        const bool fits =
            wr_decimal_div(o.a[row], o.a_scale, o.b[row], o.b_scale, o.scale, &value);
        put(call, &o, row, fits, value);
    }
}

void wr_kernel_MOD_DECIMAL(struct wr_call *call)
{
    const struct operands o = operands_of(call);
    const uint32_t common = o.a_scale > o.b_scale ? o.a_scale : o.b_scale;
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        __int128 a = 0;
        __int128 b = 0;
        __int128 value = 0;
        if (o.b[row] == 0) {
            wr_result_fail(call, row, ZERO_MESSAGE);
            continue;
        }
        const bool fits = wr_decimal_rescale(o.a[row], o.a_scale, common, &a) &&
                          wr_decimal_rescale(o.b[row], o.b_scale, common, &b) &&
                          wr_decimal_rescale(a % b, common, o.scale, &value);
        put(call, &o, row, fits, value);
    }
}

void wr_kernel_NEG_DECIMAL(struct wr_call *call)
{
    const struct operands o = operands_of(call);
    for (uint32_t i = 0; i < call->rows; i++) {
        o.out[i] = (__int128)((unsigned __int128)0 - (unsigned __int128)o.a[i]);
    }
}

void wr_kernel_ABS_DECIMAL(struct wr_call *call)
{
    const struct operands o = operands_of(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        o.out[row] = wr_abs_i128(o.a[row]);
    }
}

/* ---- rounding ---- */

enum rounding { ROUND_CEIL, ROUND_FLOOR, ROUND_HALF_AWAY };

/* To digits after the point (negative: before it), then to the result's scale. */
static void round_row(struct wr_call *call, const struct operands *o, uint32_t row, int64_t digits,
                      enum rounding how)
{
    __int128 value = o->a[row];
    uint32_t scale = o->a_scale;
    if (digits < (int64_t)scale) {
        const int64_t dropped = (int64_t)scale - digits;
        if (dropped > (int64_t)WR_DECIMAL_DIGITS_MAX) {
            o->out[row] = 0;
            return;
        }
        const __int128 unit = wr_pow10_i128((uint32_t)dropped);
        __int128 quotient = value / unit;
        const __int128 rest = value % unit;
        if (how == ROUND_HALF_AWAY) {
            quotient = wr_decimal_round_div(value, unit);
        } else if (how == ROUND_CEIL && rest > 0) {
            quotient++;
        } else if (how == ROUND_FLOOR && rest < 0) {
            quotient--;
        }
        /* Back to the scale it came with: round(1234, -2) is 1200. */
        if (__builtin_mul_overflow(quotient, unit, &value)) {
            wr_result_fail(call, row, OVERFLOW_MESSAGE);
            return;
        }
    }
    const bool fits = wr_decimal_rescale(value, scale, o->scale, &value);
    put(call, o, row, fits, value);
}

static void round_all(struct wr_call *call, enum rounding how)
{
    const struct operands o = operands_of(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        round_row(call, &o, row, 0, how);
    }
}

void wr_kernel_CEIL_DECIMAL(struct wr_call *call)
{
    round_all(call, ROUND_CEIL);
}

void wr_kernel_FLOOR_DECIMAL(struct wr_call *call)
{
    round_all(call, ROUND_FLOOR);
}

void wr_kernel_ROUND_DECIMAL(struct wr_call *call)
{
    round_all(call, ROUND_HALF_AWAY);
}

void wr_kernel_ROUND_DECIMAL_N(struct wr_call *call)
{
    const struct operands o = operands_of(call);
    const int32_t *digits = wr_arg_values(call, 1);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        round_row(call, &o, row, digits[row], ROUND_HALF_AWAY);
    }
}
