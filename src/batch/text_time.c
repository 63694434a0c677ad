/* text_time.c: dates, instants and intervals to text and back, for text.h. */
#include "batch/text.h"

#define US_PER_SECOND 1000000ll
#define US_PER_DAY    (86400 * US_PER_SECOND)

/* ---- calendar ---- */

void wr_civil_from_days(int64_t days, int64_t *year, uint32_t *month, uint32_t *day)
{
    days += 719468; /* days from 0000-03-01 to 1970-01-01 */
    const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    const uint32_t doe = (uint32_t)(days - era * 146097);
    const uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    const uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    const uint32_t mp = (5 * doy + 2) / 153; /* months from March */
    *day = doy - (153 * mp + 2) / 5 + 1;
    *month = mp < 10 ? mp + 3 : mp - 9;
    *year = (int64_t)yoe + era * 400 + (*month <= 2);
}

int64_t wr_days_from_civil(int64_t year, uint32_t month, uint32_t day)
{
    year -= month <= 2;
    const int64_t era = (year >= 0 ? year : year - 399) / 400;
    const uint32_t yoe = (uint32_t)(year - era * 400);
    const uint32_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    const uint32_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + (int64_t)doe - 719468;
}

static uint32_t month_days(int64_t year, uint32_t month)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return (uint32_t)days[month - 1] + (month == 2 && leap);
}

/* ---- to text ---- */

static char *put2(char *into, uint32_t value)
{
    into[0] = (char)('0' + value / 10);
    into[1] = (char)('0' + value % 10);
    return into + 2;
}

static char *put_day(char *into, int64_t days)
{
    int64_t year;
    uint32_t month;
    uint32_t day;
    wr_civil_from_days(days, &year, &month, &day);
    if (year < 0 || year > 9999) { /* ISO 8601's expanded years carry a sign */
        *into++ = year < 0 ? '-' : '+';
        year = year < 0 ? -year : year;
    }
    for (int64_t power = 1000; power > year && power > 1; power /= 10) {
        *into++ = '0';
    }
    into = wr_text_int64(into, year);
    *into++ = '-';
    into = put2(into, month);
    *into++ = '-';
    return put2(into, day);
}

/* .ffffff of us in [0, 1 s): nothing when zero, three digits when they suffice. */
static char *put_fraction(char *into, uint32_t us)
{
    if (us == 0) {
        return into;
    }
    *into = '.';
    const uint32_t count = us % 1000 == 0 ? 3 : 6;
    us = count == 3 ? us / 1000 : us;
    for (uint32_t i = count; i > 0; i--) {
        into[i] = (char)('0' + us % 10);
        us /= 10;
    }
    return into + 1 + count;
}

char *wr_text_date(char *into, int32_t days)
{
    return put_day(into, days);
}

char *wr_text_timestamp(char *into, int64_t us)
{
    int64_t days = us / US_PER_DAY;
    int64_t rest = us % US_PER_DAY;
    if (rest < 0) {
        days--;
        rest += US_PER_DAY;
    }
    into = put_day(into, days);
    const uint32_t seconds = (uint32_t)(rest / US_PER_SECOND);
    *into++ = 'T';
    into = put2(into, seconds / 3600);
    *into++ = ':';
    into = put2(into, seconds / 60 % 60);
    *into++ = ':';
    into = put2(into, seconds % 60);
    into = put_fraction(into, (uint32_t)(rest % US_PER_SECOND));
    *into++ = 'Z';
    return into;
}

struct interval_text {
    char *at;
    bool begun;
    bool before; /* the unit before was negative: a positive one shows its sign */
};

static void put_unit(struct interval_text *t, int64_t value, const char *unit)
{
    if (value == 0) {
        return;
    }
    if (t->begun) {
        *t->at++ = ' ';
    }
    if (t->before && value > 0) {
        *t->at++ = '+';
    }
    t->at = wr_text_int64(t->at, value);
    *t->at++ = ' ';
    const size_t bytes = strlen(unit);
    memcpy(t->at, unit, bytes);
    t->at += bytes;
    if (value != 1) {
        *t->at++ = 's';
    }
    t->begun = true;
    t->before = value < 0;
}

/* PostgreSQL's intervalstyle "postgres". into has room for 96 bytes. */
char *wr_text_interval(char *into, struct wr_interval value)
{
    struct interval_text t = { into, false, false };
    put_unit(&t, value.months / 12, "year");
    put_unit(&t, value.months % 12, "mon");
    put_unit(&t, value.days, "day");
    if (t.begun && value.us == 0) {
        return t.at;
    }
    if (t.begun) {
        *t.at++ = ' ';
    }
    const bool minus = value.us < 0;
    if (minus || t.before) {
        *t.at++ = minus ? '-' : '+';
    }
    const uint64_t us = minus ? 0 - (uint64_t)value.us : (uint64_t)value.us;
    const uint64_t seconds = us / US_PER_SECOND;
    if (seconds / 3600 < 10) {
        *t.at++ = '0';
    }
    t.at = wr_text_uint64(t.at, seconds / 3600);
    *t.at++ = ':';
    t.at = put2(t.at, (uint32_t)(seconds / 60 % 60));
    *t.at++ = ':';
    t.at = put2(t.at, (uint32_t)(seconds % 60));
    uint32_t fraction = (uint32_t)(us % US_PER_SECOND);
    if (fraction != 0) { /* PostgreSQL cuts all trailing zeros here */
        *t.at++ = '.';
        for (uint32_t power = 100000; fraction != 0; power /= 10) {
            *t.at++ = (char)('0' + fraction / power);
            fraction %= power;
        }
    }
    return t.at;
}

/* ---- from text ---- */

struct cursor {
    const char *at;
    const char *end;
};

static bool is_digit(char c)
{
    return (uint8_t)(c - '0') < 10;
}

static bool take(struct cursor *c, char wanted)
{
    if (c->at < c->end && *c->at == wanted) {
        c->at++;
        return true;
    }
    return false;
}

static bool take2(struct cursor *c, uint32_t max, uint32_t *value)
{
    if (c->end - c->at < 2 || !is_digit(c->at[0]) || !is_digit(c->at[1])) {
        return false;
    }
    *value = (uint32_t)(c->at[0] - '0') * 10 + (uint32_t)(c->at[1] - '0');
    c->at += 2;
    return *value <= max;
}

static void skip_spaces(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t')) {
        c->at++;
    }
}

/* [+-]YYYY[...]-MM-DD */
static bool take_day(struct cursor *c, int64_t *days)
{
    const bool negative = take(c, '-');
    if (!negative) {
        take(c, '+');
    }
    const char *start = c->at;
    int64_t year = 0;
    while (c->at < c->end && is_digit(*c->at) && c->at - start < 8) {
        year = year * 10 + (*c->at++ - '0');
    }
    uint32_t month;
    uint32_t day;
    if (c->at - start < 4 || !take(c, '-') || !take2(c, 12, &month) || !take(c, '-') ||
        !take2(c, 31, &day) || month == 0 || day == 0) {
        return false;
    }
    year = negative ? -year : year;
    if (day > month_days(year, month)) {
        return false;
    }
    *days = wr_days_from_civil(year, month, day);
    return true;
}

/* .digits as microseconds; further digits round half up, as PostgreSQL does. */
static bool take_fraction(struct cursor *c, int64_t *us)
{
    *us = 0;
    if (!take(c, '.') && !take(c, ',')) {
        return true;
    }
    const char *start = c->at;
    int64_t scale = 100000;
    for (; c->at < c->end && is_digit(*c->at); c->at++) {
        const ptrdiff_t nth = c->at - start;
        *us += nth < 6 ? (*c->at - '0') * scale : nth == 6 ? *c->at >= '5' : 0;
        scale /= 10;
    }
    return c->at > start;
}

/* Z, +hh, +hhmm, +hh:mm, or nothing (UTC). */
static bool take_zone(struct cursor *c, int64_t *seconds)
{
    *seconds = 0;
    if (c->at == c->end || take(c, 'Z') || take(c, 'z')) {
        return true;
    }
    const bool negative = *c->at == '-';
    if (!negative && *c->at != '+') {
        return false;
    }
    c->at++;
    uint32_t hours;
    uint32_t minutes = 0;
    if (!take2(c, 15, &hours)) {
        return false;
    }
    const bool colon = take(c, ':');
    if ((colon || c->at < c->end) && !take2(c, 59, &minutes)) {
        return false;
    }
    *seconds = (int64_t)(hours * 3600 + minutes * 60);
    *seconds = negative ? -*seconds : *seconds;
    return true;
}

bool wr_text_parse_timestamp(struct wr_slice text, int64_t *us)
{
    struct cursor c = { text.data, text.data + text.bytes };
    int64_t days;
    if (!take_day(&c, &days)) {
        return false;
    }
    uint32_t hour = 0;
    uint32_t minute = 0;
    uint32_t second = 0;
    int64_t fraction = 0;
    int64_t zone = 0;
    if (c.at < c.end) {
        if (!take(&c, 'T') && !take(&c, 't') && !take(&c, ' ')) {
            return false;
        }
        if (!take2(&c, 23, &hour) || !take(&c, ':') || !take2(&c, 59, &minute)) {
            return false;
        }
        /* 60: a leap second counts as the next second's first, as in PostgreSQL. */
        if (take(&c, ':') && (!take2(&c, 60, &second) || !take_fraction(&c, &fraction))) {
            return false;
        }
        if (c.end - c.at > 1 && *c.at == ' ') { /* "10:00:00 +02" */
            c.at++;
        }
        if (!take_zone(&c, &zone) || c.at != c.end) {
            return false;
        }
    }
    const int64_t seconds = (int64_t)(hour * 3600 + minute * 60 + second) - zone;
    int64_t total;
    /* Days below -106751991 do not fit by themselves, but with the time of day added may: seconds
     * first. */
    int64_t whole = days * 86400 + seconds;
    if (whole < 0 && fraction > 0) {
        whole++;
        fraction -= US_PER_SECOND;
    }
    if (__builtin_mul_overflow(whole, US_PER_SECOND, &total) ||
        __builtin_add_overflow(total, fraction, &total)) {
        return false;
    }
    *us = total;
    return true;
}

bool wr_text_parse_date(struct wr_slice text, int32_t *days)
{
    struct cursor c = { text.data, text.data + text.bytes };
    int64_t wide;
    if (!take_day(&c, &wide) || wide < INT32_MIN || wide > INT32_MAX) {
        return false;
    }
    if (c.at != c.end) { /* a timestamp's day, as in PostgreSQL's cast */
        int64_t us;
        if (!wr_text_parse_timestamp(text, &us)) {
            return false;
        }
    }
    *days = (int32_t)wide;
    return true;
}

/* ---- intervals ---- */

enum unit_kind { UNIT_MONTHS, UNIT_DAYS, UNIT_US };

static const struct unit {
    const char *names; /* all its spellings, each with a space in front and behind */
    enum unit_kind kind;
    int64_t factor;
} units[] = {
    { " us usec usecs microsecond microseconds ", UNIT_US, 1 },
    { " ms msec msecs millisecond milliseconds ", UNIT_US, 1000 },
    { " s sec secs second seconds ", UNIT_US, US_PER_SECOND },
    { " m min mins minute minutes ", UNIT_US, 60 * US_PER_SECOND },
    { " h hr hrs hour hours ", UNIT_US, 3600 * US_PER_SECOND },
    { " d day days ", UNIT_DAYS, 1 },
    { " w week weeks ", UNIT_DAYS, 7 },
    { " mon mons month months ", UNIT_MONTHS, 1 },
    { " y yr yrs year years ", UNIT_MONTHS, 12 },
    { " decade decades ", UNIT_MONTHS, 120 },
    { " c century centuries ", UNIT_MONTHS, 1200 },
};

static const struct unit *find_unit(const char *word, size_t bytes)
{
    char padded[20];
    if (bytes == 0 || bytes > sizeof(padded) - 3) {
        return NULL;
    }
    padded[0] = ' ';
    for (size_t i = 0; i < bytes; i++) {
        const char c = word[i];
        padded[i + 1] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    padded[bytes + 1] = ' ';
    padded[bytes + 2] = '\0';
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strstr(units[i].names, padded) != NULL) {
            return &units[i];
        }
    }
    return NULL;
}

/* The sums are 128 bits wide and each term is below 2^100, so only the end needs a check. */
struct interval_sum {
    __int128 months;
    __int128 days;
    __int128 us;
};

/* Digits and microfraction of "12.345": at most 17 digits before the point. */
static bool take_amount(struct cursor *c, int64_t *whole, int64_t *micro)
{
    const char *start = c->at;
    *whole = 0;
    while (c->at < c->end && is_digit(*c->at)) {
        if (c->at - start >= 17) {
            return false;
        }
        *whole = *whole * 10 + (*c->at++ - '0');
    }
    const bool digits = c->at > start;
    return take_fraction(c, micro) && (digits || c->at > start);
}

/* Fractions flow down as in PostgreSQL: years to months, months to days of 30, days to time. */
static void add_amount(struct interval_sum *sum, const struct unit *unit, int64_t whole,
                       int64_t micro, int sign)
{
    const __int128 scaled = ((__int128)whole * 1000000 + micro) * unit->factor * sign;
    if (unit->kind == UNIT_US) {
        sum->us += scaled / 1000000;
    } else if (unit->kind == UNIT_DAYS) {
        sum->days += scaled / 1000000;
        sum->us += scaled % 1000000 * (US_PER_DAY / 1000000);
    } else {
        sum->months += scaled / 1000000;
        if (unit->factor == 1) {
            const __int128 days = scaled % 1000000 * 30;
            sum->days += days / 1000000;
            sum->us += days % 1000000 * (US_PER_DAY / 1000000);
        }
    }
}

/* What follows "hh" in "hh:mm[:ss[.ffffff]]". */
static bool take_clock(struct cursor *c, int64_t hours, int sign, struct interval_sum *sum)
{
    uint32_t minutes;
    uint32_t seconds = 0;
    int64_t fraction = 0;
    if (!take(c, ':') || !take2(c, 59, &minutes)) {
        return false;
    }
    if (take(c, ':') && (!take2(c, 59, &seconds) || !take_fraction(c, &fraction))) {
        return false;
    }
    const __int128 whole = (__int128)hours * 3600 + minutes * 60 + seconds;
    const __int128 us = whole * US_PER_SECOND + fraction;
    sum->us += us * sign;
    return true;
}

static bool take_interval_part(struct cursor *c, struct interval_sum *sum)
{
    const int sign = take(c, '-') ? -1 : 1;
    if (sign > 0) {
        take(c, '+');
    }
    int64_t whole;
    int64_t micro;
    if (!take_amount(c, &whole, &micro)) {
        return false;
    }
    if (c->at < c->end && *c->at == ':') {
        return micro == 0 && take_clock(c, whole, sign, sum);
    }
    skip_spaces(c);
    const char *word = c->at;
    while (c->at < c->end && ((*c->at | 0x20) >= 'a' && (*c->at | 0x20) <= 'z')) {
        c->at++;
    }
    /* A bare number at the end means seconds. */
    const struct unit *unit = c->at == word && c->at == c->end
                                  ? &units[2]
                                  : find_unit(word, (size_t)(c->at - word));
    if (unit == NULL) {
        return false;
    }
    add_amount(sum, unit, whole, micro, sign);
    return true;
}

bool wr_text_parse_interval(struct wr_slice text, struct wr_interval *value)
{
    struct cursor c = { text.data, text.data + text.bytes };
    struct interval_sum sum = { 0, 0, 0 };
    uint32_t parts = 0;
    bool ago = false;
    skip_spaces(&c);
    take(&c, '@');
    for (skip_spaces(&c); c.at < c.end; skip_spaces(&c)) {
        if (parts > 0 && wr_slice_equal_nocase((struct wr_slice){ c.at, (size_t)(c.end - c.at) },
                                               WR_SLICE_LITERAL("ago"))) {
            ago = true;
            break;
        }
        /* More parts than anybody writes could overflow the sums. */
        if (++parts > 64 || !take_interval_part(&c, &sum)) {
            return false;
        }
    }
    if (parts == 0) {
        return false;
    }
    const int sign = ago ? -1 : 1;
    sum.months *= sign;
    sum.days *= sign;
    sum.us *= sign;
    if (sum.months < INT32_MIN || sum.months > INT32_MAX || sum.days < INT32_MIN ||
        sum.days > INT32_MAX || sum.us < INT64_MIN || sum.us > INT64_MAX) {
        return false;
    }
    value->months = (int32_t)sum.months;
    value->days = (int32_t)sum.days;
    value->us = (int64_t)sum.us;
    return true;
}
