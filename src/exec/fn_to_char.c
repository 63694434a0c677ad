/* fn_to_char.c: to_char(timestamp, format) and to_timestamp(text, format): a subset of PostgreSQL's
 * template patterns.
 *
 *   YYYY YY  year           MM  month      MON Mon mon  MONTH Month month  its name (MONTH padded
 * to 9)
 *   DD  day  DDD  day of the year  D  day of the week, Sunday 1   DY Dy dy  DAY Day day  its name
 * (DAY padded to 9)
 *   HH24  HH12 HH  hour     MI SS  minute, second   MS US FF1..FF6  fraction   AM PM am pm  half of
 * the day
 *   IYYY IW ID  ISO year, week, day   Q  quarter   WW  week of the year   J  Julian day   SSSS 
 * second of the day
 *   TZ  the zone, always UTC          FM in front: no padding          "text"  as it stands
 *
 * Longer patterns win (HH24 before HH12 before HH). to_timestamp reads YYYY YY MM MON MONTH DD DDD
 * HH24 HH12 HH MI SS MS US FF1..FF6 AM PM; other characters of the format skip one character of the
 * text, white space any amount.
 */
#include "batch/text.h"
#include "exec/eval_node.h"
#include "exec/eval_time.h"
#include <stdio.h>

enum pattern {
    P_NONE,
    P_YYYY,
    P_YY,
    P_MONTH_NAME,
    P_MON_NAME,
    P_MM,
    P_DDD,
    P_DD,
    P_D,
    P_DAY_NAME,
    P_DY_NAME,
    P_HH24,
    P_HH12,
    P_MI,
    P_SSSS,
    P_SS,
    P_MS,
    P_US,
    P_FF,
    P_HALF,
    P_IYYY,
    P_IW,
    P_ID,
    P_Q,
    P_WW,
    P_J,
    P_TZ,
};

/* Longer names before their own beginnings. */
static const struct {
    const char *text;
    enum pattern pattern;
} patterns[] = {
    { "YYYY", P_YYYY },
    { "YY", P_YY },
    { "MONTH", P_MONTH_NAME },
    { "MON", P_MON_NAME },
    { "MM", P_MM },
    { "MI", P_MI },
    { "MS", P_MS },
    { "DDD", P_DDD },
    { "DD", P_DD },
    { "DAY", P_DAY_NAME },
    { "DY", P_DY_NAME },
    { "D", P_D },
    { "HH24", P_HH24 },
    { "HH12", P_HH12 },
    { "HH", P_HH12 },
    { "SSSS", P_SSSS },
    { "SS", P_SS },
    { "US", P_US },
    { "AM", P_HALF },
    { "PM", P_HALF },
    { "IYYY", P_IYYY },
    { "IW", P_IW },
    { "ID", P_ID },
    { "Q", P_Q },
    { "WW", P_WW },
    { "J", P_J },
    { "TZ", P_TZ },
};

static const char *const month_names[] = { "January", "February", "March",     "April",
                                           "May",     "June",     "July",      "August",
                                           "September", "October", "November", "December" };
static const char *const day_names[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                         "Thursday", "Friday", "Saturday" };

struct token {
    enum pattern pattern; /* P_NONE: literal text */
    struct wr_slice text; /* as it stands in the format */
    uint32_t digits;      /* P_FF */
    bool fill;            /* padded: no FM in front */
};

/* Takes the next token off the format. */
static struct token next_token(struct wr_slice *format)
{
    struct token token = { P_NONE, { format->data, 1 }, 0, true };
    size_t taken = 0;
    if (format->bytes > 2 && wr_slice_equal_nocase((struct wr_slice){ format->data, 2 },
                                                   WR_SLICE_LITERAL("FM"))) {
        token.fill = false;
        taken = 2;
    }
    const char *at = format->data + taken;
    const size_t left = format->bytes - taken;
    if (*at == '"') {
        const char *close = memchr(at + 1, '"', left - 1);
        const size_t inside = close == NULL ? left - 1 : (size_t)(close - at) - 1;
        token.text = (struct wr_slice){ at + 1, inside };
        taken += inside + (close == NULL ? 1 : 2);
    } else if (left >= 3 && (at[0] | 0x20) == 'f' && (at[1] | 0x20) == 'f' && at[2] >= '1' &&
               at[2] <= '6') {
        token.pattern = P_FF;
        token.digits = (uint32_t)(at[2] - '0');
        taken += 3;
    } else {
        token.text = (struct wr_slice){ at, 1 };
        for (uint32_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
            const size_t bytes = strlen(patterns[i].text);
            const struct wr_slice here = { at, bytes };
            if (bytes <= left && wr_slice_equal_nocase(here, wr_slice_of(patterns[i].text))) {
                token.pattern = patterns[i].pattern;
                token.text = here;
                break;
            }
        }
        taken += token.text.bytes;
    }
    format->data += taken;
    format->bytes -= taken;
    return token;
}

/* ---- to_char ---- */

struct moment {
    int64_t day;
    int64_t year;
    uint32_t month;
    uint32_t of_month;
    int64_t of_year; /* from 1 */
    uint32_t weekday; /* Sunday 0 */
    int64_t in_day;  /* microseconds */
};

static struct moment moment_of(int64_t us)
{
    struct moment m;
    m.day = wr_day_of_us(us);
    m.in_day = (int64_t)((uint64_t)us - (uint64_t)m.day * (uint64_t)WR_US_PER_DAY);
    wr_civil_from_days(m.day, &m.year, &m.month, &m.of_month);
    m.of_year = m.day - wr_days_from_civil(m.year, 1, 1) + 1;
    m.weekday = (uint32_t)(m.day + 4 - wr_floor_div(m.day + 4, 7) * 7);
    return m;
}

static int64_t iso_thursday(const struct moment *m)
{
    return wr_floor_div(m->day + 3, 7) * 7; /* the week's Monday is day 7k - 3 */
}

static int64_t iso_year(const struct moment *m)
{
    int64_t year;
    uint32_t month;
    uint32_t of_month;
    wr_civil_from_days(iso_thursday(m), &year, &month, &of_month);
    return year;
}

/* Number of a pattern and how many digits it has at least; false: the pattern is a word. */
static bool number_of(const struct token *token, const struct moment *m, int64_t *value, int *width)
{
    const int64_t shown_year = m->year > 0 ? m->year : 1 - m->year;
    const int64_t hour = m->in_day / WR_US_PER_HOUR;
    const int64_t fraction = m->in_day % 1000000;
    static const int64_t tens[] = { 1, 10, 100, 1000, 10000, 100000, 1000000 };
    const struct {
        int64_t value;
        int width;
    } numbers[] = {
        [P_YYYY] = { shown_year, 4 },
        [P_YY] = { shown_year % 100, 2 },
        [P_MM] = { m->month, 2 },
        [P_DDD] = { m->of_year, 3 },
        [P_DD] = { m->of_month, 2 },
        [P_D] = { m->weekday + 1, 1 },
        [P_HH24] = { hour, 2 },
        [P_HH12] = { (hour + 11) % 12 + 1, 2 },
        [P_MI] = { m->in_day / WR_US_PER_MINUTE % 60, 2 },
        [P_SSSS] = { m->in_day / 1000000, 1 },
        [P_SS] = { m->in_day / 1000000 % 60, 2 },
        [P_MS] = { fraction / 1000, 3 },
        [P_US] = { fraction, 6 },
        [P_FF] = { fraction / tens[token->digits == 0 ? 0 : 6 - token->digits],
                   (int)token->digits },
        [P_IYYY] = { iso_year(m), 4 },
        [P_IW] = { (iso_thursday(m) - wr_days_from_civil(iso_year(m), 1, 1)) / 7 + 1, 2 },
        [P_ID] = { (m->weekday + 6) % 7 + 1, 1 },
        [P_Q] = { (m->month - 1) / 3 + 1, 1 },
        [P_WW] = { (m->of_year - 1) / 7 + 1, 2 },
        [P_J] = { m->day + 2440588, 1 },
        [P_TZ] = { 0, 0 },
    };
    *value = numbers[token->pattern].value;
    *width = token->fill ? numbers[token->pattern].width : 1;
    return numbers[token->pattern].width > 0;
}

/* A name in the case of its pattern: MONTH, Month, month. */
static void put_name(struct wr_buf *out, const struct token *token, const char *name, size_t bytes,
                     size_t padded)
{
    const bool first_upper = token->text.data[0] >= 'A' && token->text.data[0] <= 'Z';
    const bool all_upper = first_upper && token->text.data[1] >= 'A' && token->text.data[1] <= 'Z';
    for (size_t i = 0; i < bytes; i++) {
        const char c = name[i];
        const bool upper = all_upper || (first_upper && i == 0);
        wr_buf_byte(out, (uint8_t)(upper ? c & ~0x20 : c | 0x20));
    }
    for (size_t i = bytes; token->fill && i < padded; i++) {
        wr_buf_byte(out, ' ');
    }
}

static void put_token(struct wr_buf *out, const struct token *token, const struct moment *m)
{
    int64_t value;
    int width;
    const char *name;
    switch (token->pattern) {
    case P_NONE:
        wr_buf_append(out, token->text.data, token->text.bytes);
        return;
    case P_MONTH_NAME:
        name = month_names[m->month - 1];
        put_name(out, token, name, strlen(name), 9);
        return;
    case P_MON_NAME:
        put_name(out, token, month_names[m->month - 1], 3, 3);
        return;
    case P_DAY_NAME:
        name = day_names[m->weekday];
        put_name(out, token, name, strlen(name), 9);
        return;
    case P_DY_NAME:
        put_name(out, token, day_names[m->weekday], 3, 3);
        return;
    case P_HALF: {
        const bool upper = (token->text.data[0] & 0x20) == 0;
        const bool after_noon = m->in_day >= 12 * WR_US_PER_HOUR;
        wr_buf_text(out, after_noon ? (upper ? "PM" : "pm") : (upper ? "AM" : "am"));
        return;
    }
    case P_TZ:
        wr_buf_text(out, (token->text.data[0] & 0x20) == 0 ? "UTC" : "utc");
        return;
    default:
        if (number_of(token, m, &value, &width)) {
            wr_buf_printf(out, "%0*lld", width, (long long)value);
        }
        return;
    }
}

void wr_kernel_TO_CHAR(struct wr_call *call)
{
    const int64_t *from = wr_arg_values(call, 0);
    struct wr_buf *out = wr_node_buf(call->node);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        struct wr_slice format = wr_arg_text(call, 1, row);
        const struct moment m = moment_of(from[row]);
        out->bytes = 0;
        while (format.bytes > 0) {
            const struct token token = next_token(&format);
            put_token(out, &token, &m);
        }
        wr_result_text(call, row, wr_buf_cstr(out), out->bytes);
    }
}

/* ---- to_timestamp ---- */

struct parsed {
    int64_t year;
    int64_t month;
    int64_t day;
    int64_t of_year; /* 0: not given */
    int64_t hour;
    int64_t minute;
    int64_t second;
    int64_t us;
    bool half_given;
    bool after_noon;
};

/* Up to max digits; returns how many, 0: none. */
static uint32_t take_digits(struct wr_slice *text, uint32_t max, int64_t *value)
{
    uint32_t taken = 0;
    *value = 0;
    while (taken < max && taken < text->bytes && text->data[taken] >= '0' &&
           text->data[taken] <= '9') {
        *value = *value * 10 + (text->data[taken] - '0');
        taken++;
    }
    text->data += taken;
    text->bytes -= taken;
    return taken;
}

/* A fraction: digits behind the point count from the left: "5" of MS is 500. */
static bool take_fraction(struct wr_slice *text, uint32_t digits, int64_t *us)
{
    const uint32_t taken = take_digits(text, digits, us);
    for (uint32_t i = taken; i < 6; i++) {
        *us *= 10;
    }
    return taken > 0;
}

static bool take_month_name(struct wr_slice *text, bool full, int64_t *month)
{
    for (uint32_t i = 0; i < 12; i++) {
        const size_t bytes = full ? strlen(month_names[i]) : 3;
        if (text->bytes >= bytes &&
            wr_slice_equal_nocase((struct wr_slice){ text->data, bytes },
                                  (struct wr_slice){ month_names[i], bytes })) {
            text->data += bytes;
            text->bytes -= bytes;
            *month = i + 1;
            return true;
        }
    }
    return false;
}

static bool take_half(struct wr_slice *text, struct parsed *p)
{
    if (text->bytes < 2 || (text->data[1] | 0x20) != 'm' ||
        ((text->data[0] | 0x20) != 'a' && (text->data[0] | 0x20) != 'p')) {
        return false;
    }
    p->half_given = true;
    p->after_noon = (text->data[0] | 0x20) == 'p';
    text->data += 2;
    text->bytes -= 2;
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_spaces(struct wr_slice *text)
{
    while (text->bytes > 0 && is_space(*text->data)) {
        text->data++;
        text->bytes--;
    }
}

/* Letters and digits of the format must stand in the text; separators skip any one separator, if
 * there is one. */
static bool take_literal(struct wr_slice *text, struct wr_slice literal)
{
    for (size_t i = 0; i < literal.bytes; i++) {
        const char c = literal.data[i];
        if (is_space(c)) {
            skip_spaces(text);
            continue;
        }
        const bool word = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (text->bytes == 0) {
            return !word;
        }
        const char here = *text->data;
        const bool here_word =
            (here >= '0' && here <= '9') || ((here | 0x20) >= 'a' && (here | 0x20) <= 'z');
        if (word ? here != c : here_word) {
            if (word) {
                return false;
            }
            continue;
        }
        text->data++;
        text->bytes--;
    }
    return true;
}

/* Two digits: 70 to 99 are of the 20th century, 00 to 69 of the 21st, as PostgreSQL's. */
static int64_t full_year(int64_t two)
{
    return two + (two < 70 ? 2000 : 1900);
}

static bool take_token(struct wr_slice *text, const struct token *token, struct parsed *p)
{
    switch (token->pattern) {
    case P_NONE:
        return take_literal(text, token->text);
    case P_YYYY:
        return take_digits(text, 4, &p->year) > 0;
    case P_YY:
        if (take_digits(text, 2, &p->year) == 0) {
            return false;
        }
        p->year = full_year(p->year);
        return true;
    case P_MM:
        return take_digits(text, 2, &p->month) > 0;
    case P_MON_NAME:
        return take_month_name(text, false, &p->month);
    case P_MONTH_NAME:
        return take_month_name(text, true, &p->month);
    case P_DD:
        return take_digits(text, 2, &p->day) > 0;
    case P_DDD:
        return take_digits(text, 3, &p->of_year) > 0;
    case P_HH24:
    case P_HH12:
        return take_digits(text, 2, &p->hour) > 0;
    case P_MI:
        return take_digits(text, 2, &p->minute) > 0;
    case P_SS:
        return take_digits(text, 2, &p->second) > 0;
    case P_MS:
        return take_fraction(text, 3, &p->us);
    case P_US:
        return take_fraction(text, 6, &p->us);
    case P_FF:
        return take_fraction(text, token->digits, &p->us);
    case P_HALF:
        return take_half(text, p);
    default:
        return false;
    }
}

/* The day of a month must exist; an hour with AM or PM is one of twelve. */
static bool assemble(const struct parsed *p, int64_t *us)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    const bool leap = (p->year % 4 == 0 && p->year % 100 != 0) || p->year % 400 == 0;
    if (p->month < 1 || p->month > 12 || p->day < 1 || p->minute > 59 || p->second > 59 ||
        p->day > days[p->month - 1] + (p->month == 2 && leap) || p->hour > 23 ||
        p->of_year > 365 + leap || (p->half_given && (p->hour < 1 || p->hour > 12))) {
        return false;
    }
    int64_t hour = p->hour;
    if (p->half_given) {
        hour = hour % 12 + (p->after_noon ? 12 : 0);
    }
    const int64_t day = p->of_year > 0
                            ? wr_days_from_civil(p->year, 1, 1) + p->of_year - 1
                            : wr_days_from_civil(p->year, (uint32_t)p->month, (uint32_t)p->day);
    *us = ((day * 24 + hour) * 60 + p->minute) * WR_US_PER_MINUTE + p->second * 1000000 + p->us;
    return true;
}

void wr_kernel_TO_TIMESTAMP_TEXT(struct wr_call *call)
{
    int64_t *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        struct wr_slice text = wr_arg_text(call, 0, row);
        struct wr_slice format = wr_arg_text(call, 1, row);
        struct parsed p = { .year = 1, .month = 1, .day = 1 };
        bool good = true;
        skip_spaces(&text);
        while (format.bytes > 0 && good) {
            const struct token token = next_token(&format);
            if (token.pattern != P_NONE) {
                skip_spaces(&text);
            }
            good = take_token(&text, &token, &p);
        }
        skip_spaces(&text);
        if (!good || text.bytes > 0 || !assemble(&p, &out[row])) {
            const struct wr_slice whole = wr_arg_text(call, 0, row);
            wr_result_fail(call, row, "'%.*s' is not of this format",
                           (int)(whole.bytes < 32 ? whole.bytes : 32), whole.data);
        }
    }
}
