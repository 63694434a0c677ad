/* fn_time.c: calendar functions and interval arithmetic, as PostgreSQL's (timestamp.c), without
 * time zones: a TIMESTAMP and a TIMESTAMPTZ are both read as UTC, so both share the kernels. */
#include "base/heap.h"
#include "batch/text.h"
#include "exec/eval_node.h"
#include "exec/eval_time.h"
#include <math.h>

#define TIMESTAMP_RANGE "timestamp out of range"
#define INTERVAL_RANGE "interval out of range"
#define DATE_RANGE "date out of range"
#define DAYS_PER_MONTH 30 /* of an interval, where PostgreSQL must convert */
#define SECONDS_PER_DAY 86400
#define JULIAN_OF_1970 2440588

/* ---- fields ---- */

enum field {
    FIELD_UNKNOWN,
    FIELD_MICROSECONDS,
    FIELD_MILLISECONDS,
    FIELD_SECOND,
    FIELD_MINUTE,
    FIELD_HOUR,
    FIELD_DAY,
    FIELD_WEEK,
    FIELD_MONTH,
    FIELD_QUARTER,
    FIELD_YEAR,
    FIELD_DECADE,
    FIELD_CENTURY,
    FIELD_MILLENNIUM,
    FIELD_LAST_TRUNCATED_ = FIELD_MILLENNIUM,
    FIELD_DOW,
    FIELD_ISODOW,
    FIELD_DOY,
    FIELD_ISOYEAR,
    FIELD_EPOCH,
    FIELD_JULIAN,
    FIELD_TIMEZONE, /* also its hour and minute: all zero */
};

static enum field field_of(struct wr_slice name)
{
    static const struct {
        const char *name;
        enum field field;
    } names[] = {
        { "microsecond", FIELD_MICROSECONDS },
        { "microseconds", FIELD_MICROSECONDS },
        { "us", FIELD_MICROSECONDS },
        { "millisecond", FIELD_MILLISECONDS },
        { "milliseconds", FIELD_MILLISECONDS },
        { "ms", FIELD_MILLISECONDS },
        { "second", FIELD_SECOND },
        { "seconds", FIELD_SECOND },
        { "sec", FIELD_SECOND },
        { "minute", FIELD_MINUTE },
        { "minutes", FIELD_MINUTE },
        { "min", FIELD_MINUTE },
        { "hour", FIELD_HOUR },
        { "hours", FIELD_HOUR },
        { "day", FIELD_DAY },
        { "days", FIELD_DAY },
        { "week", FIELD_WEEK },
        { "weeks", FIELD_WEEK },
        { "month", FIELD_MONTH },
        { "months", FIELD_MONTH },
        { "mon", FIELD_MONTH },
        { "quarter", FIELD_QUARTER },
        { "year", FIELD_YEAR },
        { "years", FIELD_YEAR },
        { "decade", FIELD_DECADE },
        { "decades", FIELD_DECADE },
        { "century", FIELD_CENTURY },
        { "centuries", FIELD_CENTURY },
        { "millennium", FIELD_MILLENNIUM },
        { "millennia", FIELD_MILLENNIUM },
        { "dow", FIELD_DOW },
        { "isodow", FIELD_ISODOW },
        { "doy", FIELD_DOY },
        { "isoyear", FIELD_ISOYEAR },
        { "epoch", FIELD_EPOCH },
        { "julian", FIELD_JULIAN },
        { "timezone", FIELD_TIMEZONE },
        { "timezone_hour", FIELD_TIMEZONE },
        { "timezone_minute", FIELD_TIMEZONE },
    };
    for (uint32_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (wr_slice_equal_nocase(name, wr_slice_of(names[i].name))) {
            return names[i].field;
        }
    }
    return FIELD_UNKNOWN;
}

static bool truncates(enum field field)
{
    return field != FIELD_UNKNOWN && field <= FIELD_LAST_TRUNCATED_;
}

/* Which fields an interval has. */
static bool interval_has(enum field field)
{
    return (truncates(field) && field != FIELD_WEEK) || field == FIELD_EPOCH;
}

static bool function_takes(enum wr_function function, enum field field)
{
    switch (function) {
    case WR_FN_DATE_TRUNC:
    case WR_FN_DATE_TRUNC_TZ:
        return truncates(field);
    case WR_FN_EXTRACT_INTERVAL:
        return interval_has(field);
    default:
        return field != FIELD_UNKNOWN;
    }
}

wr_status wr_prepare_time(struct wr_node *node, struct wr_error *err)
{
    struct wr_slice name;
    if (!wr_node_constant_text(node->args[0], &name)) {
        return WR_OK;
    }
    const enum field field = field_of(name);
    const bool interval = node->expr->function == WR_FN_EXTRACT_INTERVAL;
    const bool truncating =
        node->expr->function == WR_FN_DATE_TRUNC || node->expr->function == WR_FN_DATE_TRUNC_TZ;
    if (!function_takes(node->expr->function, field)) {
        const wr_status status = wr_fail(err, WR_CLASS_USER, "%s does not know the field '%.*s'",
                                         wr_functions[node->expr->function].name,
                                         WR_SLICE_ARG(name));
        wr_error_hint(err, "use microseconds, milliseconds, second, minute, hour, day, %smonth, "
                           "quarter, year, decade, century or millennium%s",
                      interval ? "" : "week, ", truncating ? "" : ", or epoch");
        return status;
    }
    enum field *state = wr_malloc(sizeof *state);
    *state = field;
    node->state = state;
    node->state_free = free;
    return WR_OK;
}

/* The field of row; FIELD_UNKNOWN after a failure. */
static enum field row_field(struct wr_call *call, uint32_t row)
{
    if (call->node->state != NULL) {
        return *(const enum field *)call->node->state;
    }
    const struct wr_slice name = wr_arg_text(call, 0, row);
    const enum field field = field_of(name);
    if (function_takes(call->node->expr->function, field)) {
        return field;
    }
    wr_result_fail(call, row, "unknown field '%.*s'", (int)(name.bytes < 32 ? name.bytes : 32),
                   name.data);
    return FIELD_UNKNOWN;
}

/* ---- timestamps and intervals ---- */

static uint32_t days_of_month(int64_t year, uint32_t month)
{
    const bool december = month == 12;
    return (uint32_t)(wr_days_from_civil(december ? year + 1 : year, december ? 1 : month + 1, 1) -
                      wr_days_from_civil(year, month, 1));
}

/* The same day of another month, or that month's last. */
static int64_t add_months(int64_t day, int32_t months)
{
    int64_t year;
    uint32_t month;
    uint32_t of_month;
    wr_civil_from_days(day, &year, &month, &of_month);
    const int64_t total = year * 12 + (int64_t)month - 1 + months;
    year = wr_floor_div(total, 12);
    month = (uint32_t)(total - year * 12) + 1;
    const uint32_t last = days_of_month(year, month);
    return wr_days_from_civil(year, month, of_month < last ? of_month : last);
}

bool wr_time_add_interval(int64_t us, struct wr_interval interval, int64_t *out)
{
    __int128 sum = us;
    if (interval.months != 0) {
        const int64_t day = wr_day_of_us(us);
        const int64_t in_day = us - (int64_t)((uint64_t)day * (uint64_t)WR_US_PER_DAY);
        sum = (__int128)add_months(day, interval.months) * WR_US_PER_DAY + in_day;
    }
    sum += (__int128)interval.days * WR_US_PER_DAY + interval.us;
    if (sum > INT64_MAX || sum < INT64_MIN) {
        return false;
    }
    *out = (int64_t)sum;
    return true;
}

static bool negate(struct wr_interval from, struct wr_interval *to)
{
    return !__builtin_sub_overflow(0, from.months, &to->months) &&
           !__builtin_sub_overflow(0, from.days, &to->days) &&
           !__builtin_sub_overflow(0, from.us, &to->us);
}

/* A constant interval without months is a number to add: the common `ts - INTERVAL '10 seconds'`.
 * */
static bool constant_shift(struct wr_call *call, uint32_t interval_arg, bool subtract,
                           int64_t *shift)
{
    if (!wr_arg_constant(call, interval_arg)) {
        return false;
    }
    const struct wr_interval interval =
        *(const struct wr_interval *)wr_arg_values(call, interval_arg);
    const __int128 span = subtract ? -wr_interval_span(interval) : wr_interval_span(interval);
    if (interval.months != 0 || span > INT64_MAX || span < INT64_MIN) {
        return false;
    }
    *shift = (int64_t)span;
    return true;
}

/* Returns whether any row may have overflowed. */
static bool shift_all(const int64_t *from, int64_t shift, uint32_t rows, int64_t *restrict out)
{
    int64_t bad = 0;
    for (uint32_t i = 0; i < rows; i++) {
        const int64_t sum = (int64_t)((uint64_t)from[i] + (uint64_t)shift);
        bad |= (from[i] ^ sum) & (shift ^ sum);
        out[i] = sum;
    }
    return bad < 0;
}

static void add_interval(struct wr_call *call, uint32_t time_arg, bool subtract)
{
    const int64_t *times = wr_arg_values(call, time_arg);
    const struct wr_interval *intervals = wr_arg_values(call, 1 - time_arg);
    int64_t *out = wr_result_values(call);
    int64_t shift;
    if (constant_shift(call, 1 - time_arg, subtract, &shift) &&
        !shift_all(times, shift, call->rows, out)) {
        return;
    }
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        struct wr_interval interval = intervals[row];
        if ((subtract && !negate(interval, &interval)) ||
            !wr_time_add_interval(times[row], interval, &out[row])) {
            wr_result_fail(call, row, TIMESTAMP_RANGE);
        }
    }
}

void wr_kernel_ADD_TIMESTAMP_INTERVAL(struct wr_call *call)
{
    add_interval(call, 0, false);
}

void wr_kernel_ADD_TIMESTAMPTZ_INTERVAL(struct wr_call *call)
{
    add_interval(call, 0, false);
}

void wr_kernel_ADD_INTERVAL_TIMESTAMP(struct wr_call *call)
{
    add_interval(call, 1, false);
}

void wr_kernel_ADD_INTERVAL_TIMESTAMPTZ(struct wr_call *call)
{
    add_interval(call, 1, false);
}

void wr_kernel_SUB_TIMESTAMP_INTERVAL(struct wr_call *call)
{
    add_interval(call, 0, true);
}

void wr_kernel_SUB_TIMESTAMPTZ_INTERVAL(struct wr_call *call)
{
    add_interval(call, 0, true);
}

/* Whole days and the rest, of one sign. */
static void subtract_times(struct wr_call *call)
{
    const int64_t *a = wr_arg_values(call, 0);
    const int64_t *b = wr_arg_values(call, 1);
    struct wr_interval *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        int64_t us;
        if (__builtin_sub_overflow(a[row], b[row], &us)) {
            wr_result_fail(call, row, INTERVAL_RANGE);
            continue;
        }
        out[row] = (struct wr_interval){ .days = (int32_t)(us / WR_US_PER_DAY),
                                         .us = us % WR_US_PER_DAY };
    }
}

void wr_kernel_SUB_TIMESTAMP(struct wr_call *call)
{
    subtract_times(call);
}

void wr_kernel_SUB_TIMESTAMPTZ(struct wr_call *call)
{
    subtract_times(call);
}

/* ---- intervals alone ---- */

void wr_kernel_ADD_INTERVAL(struct wr_call *call)
{
    const struct wr_interval *a = wr_arg_values(call, 0);
    const struct wr_interval *b = wr_arg_values(call, 1);
    struct wr_interval *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        if (__builtin_add_overflow(a[row].months, b[row].months, &out[row].months) ||
            __builtin_add_overflow(a[row].days, b[row].days, &out[row].days) ||
            __builtin_add_overflow(a[row].us, b[row].us, &out[row].us)) {
            wr_result_fail(call, row, INTERVAL_RANGE);
        }
    }
}

void wr_kernel_SUB_INTERVAL(struct wr_call *call)
{
    const struct wr_interval *a = wr_arg_values(call, 0);
    const struct wr_interval *b = wr_arg_values(call, 1);
    struct wr_interval *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        if (__builtin_sub_overflow(a[row].months, b[row].months, &out[row].months) ||
            __builtin_sub_overflow(a[row].days, b[row].days, &out[row].days) ||
            __builtin_sub_overflow(a[row].us, b[row].us, &out[row].us)) {
            wr_result_fail(call, row, INTERVAL_RANGE);
        }
    }
}

void wr_kernel_NEG_INTERVAL(struct wr_call *call)
{
    const struct wr_interval *a = wr_arg_values(call, 0);
    struct wr_interval *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        if (!negate(a[row], &out[row])) {
            wr_result_fail(call, row, INTERVAL_RANGE);
        }
    }
}

/* To the microsecond, so that 0.1 * 10 days is a day. */
static double round_us(double seconds)
{
    return rint(seconds * 1e6) / 1e6;
}

static bool in_int32(double value)
{
    return value >= -0x1p31 && value < 0x1p31;
}

/* Fractions of a month become days of 30 to the month, fractions of a day become time, as
 * PostgreSQL's. */
static bool multiply_interval(struct wr_interval from, double factor, struct wr_interval *to)
{
    const double months = from.months * factor;
    const double days = from.days * factor;
    if (!in_int32(months) || !in_int32(days)) {
        return false;
    }
    to->months = (int32_t)months;
    int64_t whole_days = (int32_t)days;
    const double month_days = round_us((months - to->months) * DAYS_PER_MONTH);
    double seconds = round_us((days - (double)whole_days + month_days - trunc(month_days)) *
                              SECONDS_PER_DAY);
    if (fabs(seconds) >= SECONDS_PER_DAY) {
        const double carried = trunc(seconds / SECONDS_PER_DAY);
        whole_days += (int64_t)carried;
        seconds -= carried * SECONDS_PER_DAY;
    }
    whole_days += (int64_t)trunc(month_days);
    const double us = rint((double)from.us * factor + seconds * 1e6);
    if (!in_int32((double)whole_days) || !(us >= -0x1p63 && us < 0x1p63)) {
        return false;
    }
    to->days = (int32_t)whole_days;
    to->us = (int64_t)us;
    return true;
}

void wr_kernel_MUL_INTERVAL(struct wr_call *call)
{
    const struct wr_interval *a = wr_arg_values(call, 0);
    const double *b = wr_arg_values(call, 1);
    struct wr_interval *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        if (!multiply_interval(a[row], b[row], &out[row])) {
            wr_result_fail(call, row, INTERVAL_RANGE);
        }
    }
}

/* ---- dates ---- */

#define DATE_KERNEL(ID, BUILTIN)                                                                   \
    void wr_kernel_##ID(struct wr_call *call)                                                      \
    {                                                                                              \
        const int32_t *a = wr_arg_values(call, 0);                                                 \
        const int32_t *b = wr_arg_values(call, 1);                                                 \
        int32_t *out = wr_result_values(call);                                                     \
        WR_FOR_EACH_LIVE(call->live, call->words, row)                                             \
        {                                                                                          \
            if (BUILTIN(a[row], b[row], &out[row])) {                                              \
                wr_result_fail(call, row, DATE_RANGE);                                             \
            }                                                                                      \
        }                                                                                          \
    }

DATE_KERNEL(ADD_DATE_DAYS, __builtin_add_overflow)
DATE_KERNEL(SUB_DATE_DAYS, __builtin_sub_overflow)
DATE_KERNEL(SUB_DATE, __builtin_sub_overflow)

static void date_of_time(struct wr_call *call)
{
    const int64_t *from = wr_arg_values(call, 0);
    int32_t *restrict out = wr_result_values(call);
    for (uint32_t i = 0; i < call->rows; i++) {
        out[i] = (int32_t)wr_day_of_us(from[i]);
    }
}

void wr_kernel_DATE_OF_TIMESTAMP(struct wr_call *call)
{
    date_of_time(call);
}

void wr_kernel_DATE_OF_TIMESTAMPTZ(struct wr_call *call)
{
    date_of_time(call);
}

void wr_kernel_DATE_OF_TEXT(struct wr_call *call)
{
    int32_t *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const struct wr_slice text = wr_arg_text(call, 0, row);
        if (!wr_text_parse(wr_type_of(WR_TYPE_DATE), text, &out[row])) {
            wr_result_fail(call, row, "invalid DATE: '%.*s'",
                           (int)(text.bytes < 32 ? text.bytes : 32), text.data);
        }
    }
}

/* ---- date_trunc ---- */

/* Down to a multiple of unit; with a literal unit the division becomes a multiplication. */
static inline int64_t floor_to(int64_t us, int64_t unit)
{
    const int64_t rest = us % unit;
    return (int64_t)((uint64_t)us - (uint64_t)(rest < 0 ? rest + unit : rest));
}

/* Years count from 1 for centuries: 2001 begins one. */
static int64_t first_year(int64_t year, int64_t span)
{
    return wr_floor_div(year - 1, span) * span + 1;
}

/* Days since 1970 of the first day of what field names and the day belongs to. */
static int64_t truncate_day(int64_t day, enum field field)
{
    int64_t year;
    uint32_t month;
    uint32_t of_month;
    if (field == FIELD_WEEK) {
        return wr_floor_div(day + 3, 7) * 7 - 3; /* Monday; 1970-01-01 was a Thursday */
    }
    wr_civil_from_days(day, &year, &month, &of_month);
    switch (field) {
    case FIELD_MONTH:
        return wr_days_from_civil(year, month, 1);
    case FIELD_QUARTER:
        return wr_days_from_civil(year, (month - 1) / 3 * 3 + 1, 1);
    case FIELD_YEAR:
        return wr_days_from_civil(year, 1, 1);
    case FIELD_DECADE:
        return wr_days_from_civil(wr_floor_div(year, 10) * 10, 1, 1);
    case FIELD_CENTURY:
        return wr_days_from_civil(first_year(year, 100), 1, 1);
    case FIELD_MILLENNIUM:
        return wr_days_from_civil(first_year(year, 1000), 1, 1);
    default:
        return day;
    }
}

static bool truncate_time(int64_t us, enum field field, int64_t *out)
{
    int64_t result;
    switch (field) {
    case FIELD_MICROSECONDS:
        result = us;
        break;
    case FIELD_MILLISECONDS:
        result = floor_to(us, 1000);
        break;
    case FIELD_SECOND:
        result = floor_to(us, 1000000);
        break;
    case FIELD_MINUTE:
        result = floor_to(us, WR_US_PER_MINUTE);
        break;
    case FIELD_HOUR:
        result = floor_to(us, WR_US_PER_HOUR);
        break;
    case FIELD_DAY:
        result = floor_to(us, WR_US_PER_DAY);
        break;
    default:
        if (__builtin_mul_overflow(truncate_day(wr_day_of_us(us), field), WR_US_PER_DAY, out)) {
            return false;
        }
        return true;
    }
    *out = result;
    return result <= us; /* it wrapped at the very beginning of time otherwise */
}

#define TRUNCATE_ALL(UNIT)                                                                         \
    for (uint32_t i = 0; i < call->rows; i++) {                                                    \
        out[i] = floor_to(from[i], (UNIT));                                                        \
        bad |= out[i] > from[i];                                                                   \
    }

/* A constant unit of fixed length needs no look at each row. Returns false where it is not one. */
static bool truncate_dense(struct wr_call *call)
{
    const int64_t *from = wr_arg_values(call, 1);
    int64_t *restrict out = wr_result_values(call);
    int bad = 0;
    if (call->node->state == NULL) {
        return false;
    }
    switch (*(const enum field *)call->node->state) {
    case FIELD_SECOND:
        TRUNCATE_ALL(1000000)
        return bad == 0;
    case FIELD_MINUTE:
        TRUNCATE_ALL(WR_US_PER_MINUTE)
        return bad == 0;
    case FIELD_HOUR:
        TRUNCATE_ALL(WR_US_PER_HOUR)
        return bad == 0;
    case FIELD_DAY:
        TRUNCATE_ALL(WR_US_PER_DAY)
        return bad == 0;
    default:
        return false;
    }
}

static void date_trunc(struct wr_call *call)
{
    const int64_t *from = wr_arg_values(call, 1);
    int64_t *out = wr_result_values(call);
    if (truncate_dense(call)) {
        return;
    }
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const enum field field = row_field(call, row);
        if (field != FIELD_UNKNOWN && !truncate_time(from[row], field, &out[row])) {
            wr_result_fail(call, row, TIMESTAMP_RANGE);
        }
    }
}

void wr_kernel_DATE_TRUNC(struct wr_call *call)
{
    date_trunc(call);
}

void wr_kernel_DATE_TRUNC_TZ(struct wr_call *call)
{
    date_trunc(call);
}

/* ---- date_part ---- */

static int64_t iso_week(int64_t day, int64_t *iso_year)
{
    /* The ISO year of a day is that of its week's Thursday. */
    const int64_t thursday = day - (day + 3 - wr_floor_div(day + 3, 7) * 7) + 3;
    uint32_t month;
    uint32_t of_month;
    wr_civil_from_days(thursday, iso_year, &month, &of_month);
    return (thursday - wr_days_from_civil(*iso_year, 1, 1)) / 7 + 1;
}

/* Years before Christ: the calendar's year 0 is 1 BC, shown as -1. */
static int64_t shown_year(int64_t year)
{
    return year > 0 ? year : year - 1;
}

/* The n-th span of years; before Christ counted downwards, without a zeroth. */
static int64_t span_number(int64_t year, int64_t span)
{
    return year > 0 ? (year + span - 1) / span : -((span - 1 - (year - 1)) / span);
}

static double day_field(int64_t day, enum field field)
{
    int64_t year;
    uint32_t month;
    uint32_t of_month;
    wr_civil_from_days(day, &year, &month, &of_month);
    switch (field) {
    case FIELD_DAY:
        return of_month;
    case FIELD_MONTH:
        return month;
    case FIELD_QUARTER:
        return (month - 1) / 3 + 1;
    case FIELD_YEAR:
        return (double)shown_year(year);
    case FIELD_DECADE:
        return (double)wr_floor_div(year, 10);
    case FIELD_CENTURY:
        return (double)span_number(year, 100);
    case FIELD_MILLENNIUM:
        return (double)span_number(year, 1000);
    case FIELD_DOW:
        return (double)(day + 4 - wr_floor_div(day + 4, 7) * 7);
    case FIELD_ISODOW:
        return (double)(day + 3 - wr_floor_div(day + 3, 7) * 7 + 1);
    case FIELD_DOY:
        return (double)(day - wr_days_from_civil(year, 1, 1) + 1);
    case FIELD_WEEK:
        return (double)iso_week(day, &year);
    case FIELD_ISOYEAR:
        iso_week(day, &year);
        return (double)shown_year(year);
    default:
        return 0;
    }
}

static double time_field(int64_t us, enum field field)
{
    const int64_t day = wr_day_of_us(us);
    const int64_t in_day = (int64_t)((uint64_t)us - (uint64_t)day * (uint64_t)WR_US_PER_DAY);
    const int64_t in_minute = in_day % WR_US_PER_MINUTE;
    switch (field) {
    case FIELD_MICROSECONDS:
        return (double)in_minute;
    case FIELD_MILLISECONDS:
        return (double)in_minute / 1e3;
    case FIELD_SECOND:
        return (double)in_minute / 1e6;
    case FIELD_MINUTE:
        return (double)(in_day / WR_US_PER_MINUTE % 60);
    case FIELD_HOUR:
        return (double)(in_day / WR_US_PER_HOUR);
    case FIELD_EPOCH:
        return (double)us / 1e6;
    case FIELD_JULIAN:
        return (double)(day + JULIAN_OF_1970) + (double)in_day / (double)WR_US_PER_DAY;
    default:
        return day_field(day, field);
    }
}

static double interval_field(struct wr_interval v, enum field field)
{
    const int64_t in_minute = v.us % WR_US_PER_MINUTE;
    const int32_t years = v.months / 12;
    switch (field) {
    case FIELD_MICROSECONDS:
        return (double)in_minute;
    case FIELD_MILLISECONDS:
        return (double)in_minute / 1e3;
    case FIELD_SECOND:
        return (double)in_minute / 1e6;
    case FIELD_MINUTE:
        return (double)(v.us / WR_US_PER_MINUTE % 60);
    case FIELD_HOUR:
        return (double)(v.us / WR_US_PER_HOUR);
    case FIELD_DAY:
        return v.days;
    case FIELD_MONTH:
        return v.months % 12;
    case FIELD_QUARTER:
        return v.months % 12 / 3 + 1;
    case FIELD_YEAR:
        return years;
    case FIELD_DECADE:
        return years / 10;
    case FIELD_CENTURY:
        return years / 100;
    case FIELD_MILLENNIUM:
        return years / 1000;
    default: /* EPOCH: a year counts 365.25 days here */
        return years * 365.25 * SECONDS_PER_DAY +
               (v.months % 12 * (double)DAYS_PER_MONTH + v.days) * SECONDS_PER_DAY +
               (double)v.us / 1e6;
    }
}

static void extract_time(struct wr_call *call)
{
    const int64_t *from = wr_arg_values(call, 1);
    double *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const enum field field = row_field(call, row);
        if (field != FIELD_UNKNOWN) {
            out[row] = time_field(from[row], field);
        }
    }
}

void wr_kernel_EXTRACT(struct wr_call *call)
{
    extract_time(call);
}

void wr_kernel_EXTRACT_TZ(struct wr_call *call)
{
    extract_time(call);
}

void wr_kernel_EXTRACT_DATE(struct wr_call *call)
{
    const int32_t *from = wr_arg_values(call, 1);
    double *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const enum field field = row_field(call, row);
        if (field == FIELD_EPOCH) {
            out[row] = (double)from[row] * SECONDS_PER_DAY;
        } else if (field == FIELD_JULIAN) {
            out[row] = (double)from[row] + JULIAN_OF_1970;
        } else if (field != FIELD_UNKNOWN) {
            out[row] = day_field(from[row], field);
        }
    }
}

void wr_kernel_EXTRACT_INTERVAL(struct wr_call *call)
{
    const struct wr_interval *from = wr_arg_values(call, 1);
    double *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const enum field field = row_field(call, row);
        if (field != FIELD_UNKNOWN) {
            out[row] = interval_field(from[row], field);
        }
    }
}

#define PART_KERNEL(ID, FIELD)                                                                     \
    void wr_kernel_##ID(struct wr_call *call)                                                      \
    {                                                                                              \
        const int64_t *from = wr_arg_values(call, 0);                                              \
        int64_t *out = wr_result_values(call);                                                     \
        for (uint32_t i = 0; i < call->rows; i++) {                                                \
            out[i] = (int64_t)time_field(from[i], FIELD);                                          \
        }                                                                                          \
    }

PART_KERNEL(YEAR_OF, FIELD_YEAR)
PART_KERNEL(MONTH_OF, FIELD_MONTH)
PART_KERNEL(DAY_OF, FIELD_DAY)
PART_KERNEL(HOUR_OF, FIELD_HOUR)
PART_KERNEL(MINUTE_OF, FIELD_MINUTE)

/* ---- epochs and bins ---- */

void wr_kernel_TO_TIMESTAMP(struct wr_call *call)
{
    const double *from = wr_arg_values(call, 0);
    int64_t *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const double us = rint(from[row] * 1e6);
        if (us >= -0x1p63 && us < 0x1p63) {
            out[row] = (int64_t)us;
        } else {
            wr_result_fail(call, row, TIMESTAMP_RANGE);
        }
    }
}

void wr_kernel_EPOCH_MS(struct wr_call *call)
{
    const int64_t *from = wr_arg_values(call, 0);
    int64_t *restrict out = wr_result_values(call);
    for (uint32_t i = 0; i < call->rows; i++) {
        out[i] = wr_floor_div(from[i], 1000);
    }
}

void wr_kernel_FROM_EPOCH_MS(struct wr_call *call)
{
    const int64_t *from = wr_arg_values(call, 0);
    int64_t *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        if (__builtin_mul_overflow(from[row], (int64_t)1000, &out[row])) {
            wr_result_fail(call, row, TIMESTAMP_RANGE);
        }
    }
}

void wr_kernel_DATE_BIN(struct wr_call *call)
{
    const struct wr_interval *strides = wr_arg_values(call, 0);
    const int64_t *from = wr_arg_values(call, 1);
    const int64_t *origins = wr_arg_values(call, 2);
    int64_t *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const __int128 stride = wr_interval_span(strides[row]);
        if (strides[row].months != 0) {
            wr_result_fail(call, row, "a stride must not have months or years");
            continue;
        }
        if (stride <= 0 || stride > INT64_MAX) {
            wr_result_fail(call, row, "a stride must be greater than zero");
            continue;
        }
        const __int128 distance = (__int128)from[row] - origins[row];
        __int128 rest = distance % stride;
        rest = rest < 0 ? rest + stride : rest;
        const __int128 bin = from[row] - rest;
        if (bin < INT64_MIN) {
            wr_result_fail(call, row, TIMESTAMP_RANGE);
        } else {
            out[row] = (int64_t)bin;
        }
    }
}

void wr_kernel_NOW(struct wr_call *call)
{
    int64_t *out = wr_result_values(call);
    for (uint32_t i = 0; i < call->rows; i++) {
        out[i] = call->run->wall_us;
    }
}

/* ---- windows without a GROUP BY ---- */

static inline int64_t floor_mod(int64_t value, int64_t size)
{
    const int64_t rest = value % size;
    return rest < 0 ? rest + size : rest;
}

/* Distance from the start of the row's window. size > 0. */
static inline uint64_t into_window(int64_t time, int64_t size, int64_t offset)
{
    const int64_t rest = floor_mod(time, size) - floor_mod(offset, size);
    return (uint64_t)(rest < 0 ? rest + size : rest);
}

static void window_edge(struct wr_call *call, bool end)
{
    const int64_t *times = wr_arg_values(call, 0);
    const int64_t *sizes = wr_arg_values(call, 1);
    const int64_t *offsets = wr_arg_values(call, 2);
    int64_t *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const int64_t size = sizes[row] > 0 ? sizes[row] : 1; /* the binder refuses others */
        const uint64_t start = (uint64_t)times[row] - into_window(times[row], size, offsets[row]);
        out[row] = (int64_t)(end ? start + (uint64_t)size : start);
    }
}

void wr_kernel_WINDOW_START_OF(struct wr_call *call)
{
    window_edge(call, false);
}

void wr_kernel_WINDOW_END_OF(struct wr_call *call)
{
    window_edge(call, true);
}
