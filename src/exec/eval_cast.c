/* eval_cast.c: CAST between all pairs of types that have a meaning, with PostgreSQL's semantics.
 *
 * Float to integer rounds half to even, NUMERIC to integer half away from zero; text is trimmed and
 * parsed as a whole; float to NUMERIC goes over the shortest 15 (REAL: 6) significant digits, as
 * PostgreSQL's does; TIMESTAMP to DATE takes the day that holds it. JSON gives up its scalar: a
 * string its text (which then is parsed as any text is), a number or boolean its value, null is
 * NULL. Beyond PostgreSQL: any type casts to JSON, BOOLEAN to and from every number; STRUCT, ARRAY and MAP are JSON as text.
 */
#include "batch/json_scan.h"
#include "batch/text.h"
#include "exec/eval_decimal.h"
#include "exec/eval_node.h"
#include "exec/eval_time.h"
#include <float.h>
#include <math.h>
#include <stdio.h>

/* ---- failures ---- */

/* Bytes of a bad value that a message shows. */
#define SHOWN_BYTES_MAX 48u

static const char *target_name(const struct wr_call *call, char *into, size_t bytes)
{
    return wr_type_name(call->node->expr->type, into, bytes);
}

static void fail_range(struct wr_call *call, uint32_t row)
{
    char name[32];
    struct wr_buf text = { 0 };
    const struct wr_column *from = wr_arg(call, 0);
    wr_text_format(&text, from->type,
                   (const char *)from->values + (size_t)row * wr_type_width(from->type));
    wr_result_fail(call, row, "%.*s is out of range for %s",
                   (int)(text.bytes < SHOWN_BYTES_MAX ? text.bytes : SHOWN_BYTES_MAX), text.data,
                   target_name(call, name, sizeof name));
    wr_buf_deinit(&text);
}

static void fail_text(struct wr_call *call, uint32_t row, struct wr_slice text)
{
    char name[32];
    char shown[SHOWN_BYTES_MAX + 1];
    size_t bytes = 0;
    for (; bytes < text.bytes && bytes < SHOWN_BYTES_MAX; bytes++) {
        const unsigned char c = (unsigned char)text.data[bytes];
        shown[bytes] = c < 0x20 || c >= 0x7F ? '?' : (char)c;
    }
    shown[bytes] = '\0';
    wr_result_fail(call, row, "invalid %s: '%s%s'", target_name(call, name, sizeof name), shown,
                   bytes < text.bytes ? "…" : "");
}

/* ---- integers to integers ---- */

#define INTEGER_CAST(FROM, FROM_T, TO, TO_T)                                                       \
    static void cast_##FROM##_##TO(struct wr_call *call)                                           \
    {                                                                                              \
        const FROM_T *from = wr_arg_values(call, 0);                                               \
        TO_T *restrict to = wr_result_values(call);                                                \
        bool bad = false;                                                                          \
        for (uint32_t i = 0; i < call->rows; i++) {                                                \
            bad |= __builtin_add_overflow(from[i], (FROM_T)0, &to[i]);                             \
        }                                                                                          \
        if (!bad) {                                                                                \
            return;                                                                                \
        }                                                                                          \
        WR_FOR_EACH_LIVE(call->live, call->words, row)                                             \
        {                                                                                          \
            TO_T value;                                                                            \
            if (__builtin_add_overflow(from[row], (FROM_T)0, &value)) {                            \
                fail_range(call, row);                                                             \
            }                                                                                      \
        }                                                                                          \
    }

/* ---- integers to floats, decimals, booleans and back ---- */

#define FLOAT_OF_INTEGER(FROM, FROM_T, TO, TO_T)                                                   \
    static void cast_##FROM##_##TO(struct wr_call *call)                                           \
    {                                                                                              \
        const FROM_T *from = wr_arg_values(call, 0);                                               \
        TO_T *restrict to = wr_result_values(call);                                                \
        for (uint32_t i = 0; i < call->rows; i++) {                                                \
            to[i] = (TO_T)from[i];                                                                 \
        }                                                                                          \
    }

static void put_decimal(struct wr_call *call, uint32_t row, __int128 value, uint32_t scale)
{
    const struct wr_type type = call->node->expr->type;
    if (wr_decimal_rescale(value, scale, type.scale, &value) &&
        wr_decimal_fits(value, type.precision)) {
        ((__int128 *)wr_result_values(call))[row] = value;
    } else {
        fail_range(call, row);
    }
}

#define DECIMAL_OF_INTEGER(FROM, FROM_T)                                                           \
    static void cast_##FROM##_decimal(struct wr_call *call)                                        \
    {                                                                                              \
        const FROM_T *from = wr_arg_values(call, 0);                                               \
        WR_FOR_EACH_LIVE(call->live, call->words, row)                                             \
        {                                                                                          \
            put_decimal(call, row, from[row], 0);                                                  \
        }                                                                                          \
    }

#define INTEGER_OF_DECIMAL(TO, TO_T)                                                               \
    static void cast_decimal_##TO(struct wr_call *call)                                            \
    {                                                                                              \
        const __int128 *from = wr_arg_values(call, 0);                                             \
        const __int128 unit = wr_pow10_i128(wr_arg_type(call, 0).scale);                           \
        TO_T *to = wr_result_values(call);                                                         \
        WR_FOR_EACH_LIVE(call->live, call->words, row)                                             \
        {                                                                                          \
            const __int128 rounded = wr_decimal_round_div(from[row], unit);                        \
            if (__builtin_add_overflow(rounded, (__int128)0, &to[row])) {                          \
                fail_range(call, row);                                                             \
            }                                                                                      \
        }                                                                                          \
    }

/* LOW and HIGH are powers of two (or 0), exact as doubles: LOW <= rounded < HIGH. */
#define INTEGER_OF_FLOAT(FROM, FROM_T, TO, TO_T, LOW, HIGH)                                        \
    static void cast_##FROM##_##TO(struct wr_call *call)                                           \
    {                                                                                              \
        const FROM_T *from = wr_arg_values(call, 0);                                               \
        TO_T *to = wr_result_values(call);                                                         \
        WR_FOR_EACH_LIVE(call->live, call->words, row)                                             \
        {                                                                                          \
            const double rounded = rint((double)from[row]);                                        \
            if (rounded >= (LOW) && rounded < (HIGH)) {                                            \
                to[row] = (TO_T)rounded;                                                           \
            } else {                                                                               \
                fail_range(call, row);                                                             \
            }                                                                                      \
        }                                                                                          \
    }

#define BOOL_CASTS(NAME, T)                                                                        \
    static void cast_bool_##NAME(struct wr_call *call)                                             \
    {                                                                                              \
        const uint8_t *from = wr_arg_values(call, 0);                                              \
        T *restrict to = wr_result_values(call);                                                   \
        for (uint32_t i = 0; i < call->rows; i++) {                                                \
            to[i] = (T)from[i];                                                                    \
        }                                                                                          \
    }                                                                                              \
    static void cast_##NAME##_bool(struct wr_call *call)                                           \
    {                                                                                              \
        const T *from = wr_arg_values(call, 0);                                                    \
        uint8_t *restrict to = wr_result_values(call);                                             \
        for (uint32_t i = 0; i < call->rows; i++) {                                                \
            to[i] = from[i] != 0;                                                                  \
        }                                                                                          \
    }

#define FROM_INTEGER(FROM, FROM_T)                                                                 \
    FLOAT_OF_INTEGER(FROM, FROM_T, f32, float)                                                     \
    FLOAT_OF_INTEGER(FROM, FROM_T, f64, double)                                                    \
    DECIMAL_OF_INTEGER(FROM, FROM_T)                                                               \
    INTEGER_OF_DECIMAL(FROM, FROM_T)                                                               \
    BOOL_CASTS(FROM, FROM_T)                                                                       \
    INTEGER_CAST(FROM, FROM_T, i16, int16_t)                                                       \
    INTEGER_CAST(FROM, FROM_T, i32, int32_t)                                                       \
    INTEGER_CAST(FROM, FROM_T, i64, int64_t)                                                       \
    INTEGER_CAST(FROM, FROM_T, u16, uint16_t)                                                      \
    INTEGER_CAST(FROM, FROM_T, u32, uint32_t)                                                      \
    INTEGER_CAST(FROM, FROM_T, u64, uint64_t)

#define FROM_FLOAT(FROM, FROM_T)                                                                   \
    BOOL_CASTS(FROM, FROM_T)                                                                       \
    INTEGER_OF_FLOAT(FROM, FROM_T, i16, int16_t, -0x1p15, 0x1p15)                                  \
    INTEGER_OF_FLOAT(FROM, FROM_T, i32, int32_t, -0x1p31, 0x1p31)                                  \
    INTEGER_OF_FLOAT(FROM, FROM_T, i64, int64_t, -0x1p63, 0x1p63)                                  \
    INTEGER_OF_FLOAT(FROM, FROM_T, u16, uint16_t, 0.0, 0x1p16)                                     \
    INTEGER_OF_FLOAT(FROM, FROM_T, u32, uint32_t, 0.0, 0x1p32)                                     \
    INTEGER_OF_FLOAT(FROM, FROM_T, u64, uint64_t, 0.0, 0x1p64)

FROM_INTEGER(i16, int16_t)
FROM_INTEGER(i32, int32_t)
FROM_INTEGER(i64, int64_t)
FROM_INTEGER(u16, uint16_t)
FROM_INTEGER(u32, uint32_t)
FROM_INTEGER(u64, uint64_t)
FROM_FLOAT(f32, float)
FROM_FLOAT(f64, double)

/* ---- floats and decimals ---- */

static void cast_f32_f64(struct wr_call *call)
{
    const float *from = wr_arg_values(call, 0);
    double *restrict to = wr_result_values(call);
    for (uint32_t i = 0; i < call->rows; i++) {
        to[i] = (double)from[i];
    }
}

static void cast_f64_f32(struct wr_call *call)
{
    const double *from = wr_arg_values(call, 0);
    float *restrict to = wr_result_values(call);
    int bad = 0;
    for (uint32_t i = 0; i < call->rows; i++) {
        const float value = (float)from[i];
        to[i] = value;
        bad |= (!(fabsf(value) <= FLT_MAX)) | ((value == 0) & (from[i] != 0));
    }
    if (bad == 0) {
        return;
    }
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        if ((isinf(to[row]) && !isinf(from[row])) || (to[row] == 0 && from[row] != 0)) {
            fail_range(call, row);
        }
    }
}

static void decimal_of_float(struct wr_call *call, uint32_t row, double value, int digits)
{
    const struct wr_type type = call->node->expr->type;
    char text[64];
    __int128 parsed;
    /* Scientific form: at most digits + 8 bytes. The process keeps the C locale. */
    const int bytes = snprintf(text, sizeof text, "%.*e", digits - 1, value);
    if (isfinite(value) && wr_text_parse_decimal((struct wr_slice){ text, (size_t)bytes },
                                                 type.precision, type.scale, &parsed)) {
        ((__int128 *)wr_result_values(call))[row] = parsed;
    } else {
        fail_range(call, row);
    }
}

static void cast_f32_decimal(struct wr_call *call)
{
    const float *from = wr_arg_values(call, 0);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        decimal_of_float(call, row, (double)from[row], FLT_DIG);
    }
}

static void cast_f64_decimal(struct wr_call *call)
{
    const double *from = wr_arg_values(call, 0);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        decimal_of_float(call, row, from[row], DBL_DIG);
    }
}

static void cast_decimal_f32(struct wr_call *call)
{
    const __int128 *from = wr_arg_values(call, 0);
    float *to = wr_result_values(call);
    const uint32_t scale = wr_arg_type(call, 0).scale;
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        to[row] = (float)wr_decimal_to_double(from[row], scale);
    }
}

static void cast_decimal_f64(struct wr_call *call)
{
    const __int128 *from = wr_arg_values(call, 0);
    double *to = wr_result_values(call);
    const uint32_t scale = wr_arg_type(call, 0).scale;
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        to[row] = wr_decimal_to_double(from[row], scale);
    }
}

static void cast_decimal_decimal(struct wr_call *call)
{
    const __int128 *from = wr_arg_values(call, 0);
    const uint32_t scale = wr_arg_type(call, 0).scale;
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        put_decimal(call, row, from[row], scale);
    }
}

static void cast_bool_decimal(struct wr_call *call)
{
    const uint8_t *from = wr_arg_values(call, 0);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        put_decimal(call, row, from[row], 0);
    }
}

static void cast_decimal_bool(struct wr_call *call)
{
    const __int128 *from = wr_arg_values(call, 0);
    uint8_t *to = wr_result_values(call);
    for (uint32_t i = 0; i < call->rows; i++) {
        to[i] = from[i] != 0;
    }
}

/* ---- times ---- */

static void cast_date_timestamp(struct wr_call *call)
{
    const int32_t *from = wr_arg_values(call, 0);
    int64_t *to = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        if (__builtin_mul_overflow((int64_t)from[row], WR_US_PER_DAY, &to[row])) {
            fail_range(call, row);
        }
    }
}

static void cast_timestamp_date(struct wr_call *call)
{
    const int64_t *from = wr_arg_values(call, 0);
    int32_t *restrict to = wr_result_values(call);
    for (uint32_t i = 0; i < call->rows; i++) {
        to[i] = (int32_t)wr_day_of_us(from[i]); /* |days| < 2^27 */
    }
}

/* ---- text ---- */

static void format_small(struct wr_call *call, uint32_t row, const char *text, const char *end)
{
    wr_result_text(call, row, text, (size_t)(end - text));
}

static void cast_i64_text(struct wr_call *call)
{
    const int64_t *from = wr_arg_values(call, 0);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        char text[32];
        format_small(call, row, text, wr_text_int64(text, from[row]));
    }
}

static void cast_i32_text(struct wr_call *call)
{
    const int32_t *from = wr_arg_values(call, 0);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        char text[32];
        format_small(call, row, text, wr_text_int64(text, from[row]));
    }
}

static void cast_timestamp_text(struct wr_call *call)
{
    const int64_t *from = wr_arg_values(call, 0);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        char text[48];
        format_small(call, row, text, wr_text_timestamp(text, from[row]));
    }
}

static void format_all(struct wr_call *call, void (*format)(struct wr_buf *buf, struct wr_type type,
                                                            const void *value))
{
    struct wr_buf *buf = wr_node_buf(call->node);
    const struct wr_column *from = wr_arg(call, 0);
    const size_t width = wr_type_width(from->type);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        buf->bytes = 0;
        format(buf, from->type, (const char *)from->values + row * width);
        wr_result_text(call, row, buf->data, buf->bytes);
    }
}

static void cast_any_text(struct wr_call *call)
{
    format_all(call, wr_text_format);
}

static void cast_any_json(struct wr_call *call)
{
    format_all(call, wr_text_format_json);
}

static void parse_text(struct wr_call *call, uint32_t row, struct wr_slice text)
{
    const struct wr_type type = call->node->expr->type;
    const size_t width = call->node->width;
    char value[16] __attribute__((aligned(16)));
    if (wr_text_parse(type, text, value)) {
        memcpy((char *)wr_result_values(call) + row * width, value, width);
    } else {
        fail_text(call, row, text);
    }
}

static void cast_text_any(struct wr_call *call)
{
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        parse_text(call, row, wr_arg_text(call, 0, row));
    }
}

static void cast_text_bytes(struct wr_call *call)
{
    struct wr_view *to = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const struct wr_slice text = wr_arg_text(call, 0, row);
        if (!wr_text_parse_bytes(text, call->run->arena, &to[row])) {
            fail_text(call, row, text);
        }
    }
}

static void cast_text_json(struct wr_call *call)
{
    const struct wr_view *from = wr_arg_values(call, 0);
    struct wr_view *to = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const struct wr_slice text = wr_view_slice(&from[row]);
        if (wr_json_valid(text)) {
            to[row] = from[row];
        } else {
            fail_text(call, row, text);
        }
    }
}

/* ---- JSON ---- */

/* The scalar of row as text: strings without quotes and escapes. False where it is null (the result
 * is NULL then). */
static bool json_scalar(struct wr_call *call, uint32_t row, struct wr_slice *text)
{
    struct wr_slice json = wr_arg_text(call, 0, row);
    const char *end = json.data + json.bytes;
    json.data = wr_json_skip_space(json.data, end);
    json.bytes = (size_t)(end - json.data);
    while (json.bytes > 0 && strchr(" \n\r\t", json.data[json.bytes - 1]) != NULL) {
        json.bytes--;
    }
    if (wr_slice_is(json, "null")) {
        wr_result_null(call, row);
        return false;
    }
    *text = json;
    if (json.bytes >= 2 && json.data[0] == '"') {
        *text = (struct wr_slice){ json.data + 1, json.bytes - 2 };
        if (memchr(text->data, '\\', text->bytes) != NULL) {
            char *room = wr_result_room(call, text->bytes);
            *text = (struct wr_slice){ room, wr_json_unescape(text->data, text->bytes, room) };
        }
    }
    return true;
}

static void cast_json_text(struct wr_call *call)
{
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        struct wr_slice text;
        if (json_scalar(call, row, &text)) {
            wr_result_borrow(call, row, text.data, text.bytes);
        }
    }
}

static void cast_json_any(struct wr_call *call)
{
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        struct wr_slice text;
        if (json_scalar(call, row, &text)) {
            parse_text(call, row, text);
        }
    }
}

/* NULL of no type to any type: every row is NULL already. */
static void cast_null(struct wr_call *call)
{
}

/* ---- which one ---- */

enum { INTEGERS = 6 };

#define INTEGER_ROW(FROM)                                                                          \
    { cast_##FROM##_i16, cast_##FROM##_i32, cast_##FROM##_i64, cast_##FROM##_u16,                  \
      cast_##FROM##_u32, cast_##FROM##_u64 }

/* Numbers by id from WR_TYPE_INT16 on: six integers, two floats, DECIMAL. */
static wr_kernel_fn number_cast(uint32_t from, uint32_t to)
{
    static const wr_kernel_fn to_integer[][INTEGERS] = {
        INTEGER_ROW(i16), INTEGER_ROW(i32), INTEGER_ROW(i64), INTEGER_ROW(u16),    INTEGER_ROW(u32),
        INTEGER_ROW(u64), INTEGER_ROW(f32), INTEGER_ROW(f64), INTEGER_ROW(decimal)
    };
    static const wr_kernel_fn to_other[][3] = {
        { cast_i16_f32, cast_i16_f64, cast_i16_decimal },
        { cast_i32_f32, cast_i32_f64, cast_i32_decimal },
        { cast_i64_f32, cast_i64_f64, cast_i64_decimal },
        { cast_u16_f32, cast_u16_f64, cast_u16_decimal },
        { cast_u32_f32, cast_u32_f64, cast_u32_decimal },
        { cast_u64_f32, cast_u64_f64, cast_u64_decimal },
        { NULL, cast_f32_f64, cast_f32_decimal },
        { cast_f64_f32, NULL, cast_f64_decimal },
        { cast_decimal_f32, cast_decimal_f64, cast_decimal_decimal },
    };
    return to < INTEGERS ? to_integer[from][to] : to_other[from][to - INTEGERS];
}

static wr_kernel_fn bool_cast(uint32_t number, bool to_bool)
{
    static const wr_kernel_fn casts[][2] = {
        { cast_bool_i16, cast_i16_bool },         { cast_bool_i32, cast_i32_bool },
        { cast_bool_i64, cast_i64_bool },         { cast_bool_u16, cast_u16_bool },
        { cast_bool_u32, cast_u32_bool },         { cast_bool_u64, cast_u64_bool },
        { cast_bool_f32, cast_f32_bool },         { cast_bool_f64, cast_f64_bool },
        { cast_bool_decimal, cast_decimal_bool },
    };
    return casts[number][to_bool];
}

static wr_kernel_fn text_cast_from(uint8_t from)
{
    switch (from) {
    case WR_TYPE_INT32:
        return cast_i32_text;
    case WR_TYPE_INT64:
        return cast_i64_text;
    case WR_TYPE_TIMESTAMP:
    case WR_TYPE_TIMESTAMPTZ:
        return cast_timestamp_text;
    case WR_TYPE_JSON:
        return cast_json_text;
    case WR_TYPE_STATE:
        return NULL;
    default:
        return cast_any_text;
    }
}

static wr_kernel_fn text_cast_to(uint8_t to)
{
    switch (to) {
    case WR_TYPE_BYTES:
        return cast_text_bytes;
    case WR_TYPE_JSON:
        return cast_text_json;
    case WR_TYPE_NULL:
    case WR_TYPE_STATE:
        return NULL;
    default:
        return cast_text_any;
    }
}

wr_kernel_fn wr_cast_kernel(struct wr_type from, struct wr_type to)
{
    if (from.id == WR_TYPE_NULL) {
        return cast_null;
    }
    if (from.id == WR_TYPE_STATE || to.id == WR_TYPE_STATE) {
        return NULL;
    }
    if (wr_type_is_nested(to)) {
        return wr_type_is_nested(from)                                      ? wr_cast_nested_nested
               : from.id == WR_TYPE_TEXT || from.id == WR_TYPE_JSON ? wr_cast_json_nested
                                                                    : NULL;
    }
    if (to.id == WR_TYPE_TEXT) {
        return text_cast_from(from.id);
    }
    if (from.id == WR_TYPE_TEXT) {
        return text_cast_to(to.id);
    }
    if (to.id == WR_TYPE_JSON) {
        return cast_any_json;
    }
    if (from.id == WR_TYPE_JSON) {
        return to.id == WR_TYPE_BYTES ? NULL : cast_json_any; /* as the scalar's text would be */
    }
    if (wr_type_is_numeric(from) && wr_type_is_numeric(to)) {
        return number_cast(from.id - WR_TYPE_INT16, to.id - WR_TYPE_INT16);
    }
    if (from.id == WR_TYPE_BOOL && wr_type_is_numeric(to)) {
        return bool_cast(to.id - WR_TYPE_INT16, false);
    }
    if (wr_type_is_numeric(from) && to.id == WR_TYPE_BOOL) {
        return bool_cast(from.id - WR_TYPE_INT16, true);
    }
    if (from.id == WR_TYPE_DATE && wr_type_is_timestamp(to)) {
        return cast_date_timestamp;
    }
    if (wr_type_is_timestamp(from) && to.id == WR_TYPE_DATE) {
        return cast_timestamp_date;
    }
    return NULL;
}
