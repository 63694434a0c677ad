/* Text forms of numbers: what is written reads back, what is read is what the C library reads. */
#include "batch/json_scan.h"
#include "batch/text.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

/* Criterion has a slice type of its own; tests need only this. */
static struct wr_slice sl(const char *text)
{
    return wr_slice_of(text);
}

static uint64_t seed = 0x853c49e6748fea9bu;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static const char *double_text(double value)
{
    static char text[40];
    *wr_text_double(text, value) = '\0';
    return text;
}

/* Fewest digits that read back, found the slow way: by rounding to nearest, so a shorter decimal
 * that is not the nearest of its length may exist. */
static int fewest_digits(double value)
{
    for (int digits = 1; digits < 17; digits++) {
        char text[40];
        snprintf(text, sizeof(text), "%.*e", digits - 1, value);
        if (strtod(text, NULL) == value) {
            return digits;
        }
    }
    return 17;
}

static int count_digits(const char *text)
{
    int count = 0;
    int zeros = 0;
    for (; *text != '\0' && *text != 'e'; text++) {
        if (*text >= '1' && *text <= '9') {
            count += zeros + 1;
            zeros = 0;
        } else if (*text == '0' && count > 0) {
            zeros++;
        }
    }
    return count;
}

static void check_double(double value)
{
    const char *text = double_text(value);
    double back;
    cr_assert_eq(strtod(text, NULL), value, "%.17g as %s", value, text);
    cr_assert(wr_text_parse_double(sl(text), &back) && back == value, "%.17g as %s", value, text);
    cr_assert_leq(count_digits(text), fewest_digits(value), "%.17g as %s", value, text);
}

Test(text, doubles_are_written_shortest_and_read_back)
{
    check_double(5e-324);
    check_double(1.7976931348623157e308);
    check_double(2.2250738585072014e-308);
    for (int i = 0; i < 200000; i++) {
        const uint64_t bits = next_random() & ~(1ull << 63);
        double value;
        memcpy(&value, &bits, 8);
        if (isfinite(value) && value != 0) {
            check_double(value);
        }
        check_double((double)(next_random() % 1000000) / 100 + 0.01);
    }
    for (int e = -1074; e < 1024; e++) {
        check_double(ldexp(1, e)); /* the interval below is half as wide */
    }
}

Test(text, doubles_look_as_in_postgresql)
{
    cr_assert_str_eq(double_text(0), "0");
    cr_assert_str_eq(double_text(-0.0), "-0");
    cr_assert_str_eq(double_text(12.34), "12.34");
    cr_assert_str_eq(double_text(-0.1), "-0.1");
    cr_assert_str_eq(double_text(100), "100");
    cr_assert_str_eq(double_text(0.0001), "0.0001");
    cr_assert_str_eq(double_text(0.00001), "1e-05");
    cr_assert_str_eq(double_text(123456789012345), "123456789012345");
    cr_assert_str_eq(double_text(1e15), "1e+15");
    cr_assert_str_eq(double_text(1.5e300), "1.5e+300");
    cr_assert_str_eq(double_text(0.1 + 0.2), "0.30000000000000004");
}

Test(text, floats_are_written_shortest)
{
    for (int i = 0; i < 300000; i++) {
        const uint32_t bits = (uint32_t)next_random();
        float value;
        float back;
        memcpy(&value, &bits, 4);
        if (!isfinite(value)) {
            continue;
        }
        char text[40];
        *wr_text_float(text, value) = '\0';
        cr_assert(wr_text_parse_float(sl(text), &back) && back == value, "%s", text);
        cr_assert_eq(strtof(text, NULL), value, "%s", text);
        cr_assert_leq(count_digits(text), 9);
    }
    char text[40];
    *wr_text_float(text, 0.1f) = '\0';
    cr_assert_str_eq(text, "0.1");
    *wr_text_float(text, 16777216.0f) = '\0';
    cr_assert_str_eq(text, "1.6777216e+07");
}

Test(text, doubles_are_read_as_the_c_library_reads_them)
{
    for (int i = 0; i < 300000; i++) {
        char text[80];
        const uint64_t r = next_random();
        const int shape = (int)(r % 4);
        if (shape == 0) {
            snprintf(text, sizeof(text), "%llue%d", (unsigned long long)next_random(),
                     (int)(next_random() % 700) - 360);
        } else if (shape == 1) {
            snprintf(text, sizeof(text), "%llu%llu.%llue-%d", (unsigned long long)next_random(),
                     (unsigned long long)next_random(), (unsigned long long)next_random(),
                     (int)(next_random() % 360));
        } else if (shape == 2) {
            double near;
            memcpy(&near, &r, 8);
            near = isfinite(near) ? near : 1;
            snprintf(text, sizeof(text), "%.*e", (int)(next_random() % 30), near);
        } else {
            snprintf(text, sizeof(text), "-0.000%llu", (unsigned long long)next_random() % 100000000);
        }
        const double wanted = strtod(text, NULL);
        double got = -1;
        const bool good = wr_text_parse_double(sl(text), &got);
        cr_assert_eq(good, isfinite(wanted), "%s", text);
        if (good) {
            cr_assert_eq(memcmp(&got, &wanted, 8), 0, "%s: %.17g %.17g", text, got, wanted);
        }
    }
}

Test(text, halfway_cases_round_to_even)
{
    double got;
    cr_assert(wr_text_parse_double(sl("9007199254740993"), &got) && got == 9007199254740992.0);
    cr_assert(wr_text_parse_double(sl("9007199254740993.0000000000000000000000001"), &got));
    cr_assert_eq(got, 9007199254740994.0);
    cr_assert(wr_text_parse_double(sl("2.4703282292062327208e-324"), &got) && got == 0);
    cr_assert(wr_text_parse_double(sl("2.4703282292062328e-324"), &got) && got == 5e-324);
    float single;
    cr_assert(wr_text_parse_float(sl("16777217.0000000001"), &single) && single == 16777218.0f);
    cr_assert(!wr_text_parse_float(sl("1e39"), &single));
}

Test(text, what_is_no_number_is_refused)
{
    static const char *const bad[] = { "",    "-",    "+",    ".",   "e5",   "1e",   "1e+",  "1x",  "0x10",
                                       "1 2", "--1",  "1..2", "1e5.", "1e999", "infinit", "nanx", " 1" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        double value;
        cr_assert(!wr_text_parse_double(sl(bad[i]), &value), "%s", bad[i]);
    }
    int64_t whole;
    cr_assert(wr_text_parse_int64(sl("-9223372036854775808"), &whole) && whole == INT64_MIN);
    cr_assert(wr_text_parse_int64(sl("9223372036854775807"), &whole) && whole == INT64_MAX);
    cr_assert(!wr_text_parse_int64(sl("9223372036854775808"), &whole));
    cr_assert(!wr_text_parse_int64(sl("-9223372036854775809"), &whole));
    cr_assert(!wr_text_parse_int64(sl("1.0"), &whole));
    cr_assert(!wr_text_parse_int64(sl("-+1"), &whole));
    uint64_t large;
    cr_assert(wr_text_parse_uint64(sl("18446744073709551615"), &large) && large == UINT64_MAX);
    cr_assert(!wr_text_parse_uint64(sl("18446744073709551616"), &large));
}

Test(text, integers_are_written_like_printf)
{
    for (int i = 0; i < 200000; i++) {
        const uint64_t value = next_random() >> (next_random() % 64);
        char got[40];
        char wanted[40];
        *wr_text_uint64(got, value) = '\0';
        snprintf(wanted, sizeof(wanted), "%llu", (unsigned long long)value);
        cr_assert_str_eq(got, wanted);
        *wr_text_int64(got, (int64_t)value) = '\0';
        snprintf(wanted, sizeof(wanted), "%lld", (long long)value);
        cr_assert_str_eq(got, wanted);
    }
}

static void check_decimal(const char *text, uint32_t precision, uint32_t scale, const char *wanted)
{
    __int128 value;
    const bool good = wr_text_parse_decimal(sl(text), precision, scale, &value);
    cr_assert_eq(good, wanted != NULL, "%s", text);
    if (good) {
        char got[60];
        got[wr_text_decimal(got, value, scale)] = '\0';
        cr_assert_str_eq(got, wanted, "%s", text);
    }
}

Test(text, decimals_are_exact_and_round_half_away_from_zero)
{
    check_decimal("12.34", 10, 2, "12.34");
    check_decimal("12.345", 10, 2, "12.35");
    check_decimal("-12.345", 10, 2, "-12.35");
    check_decimal("12.344999999999999999999999999999999999999", 10, 2, "12.34");
    check_decimal("0.005", 10, 2, "0.01");
    check_decimal("0.0049", 10, 2, "0.00");
    check_decimal("5e-3", 10, 2, "0.01");
    check_decimal("1.5e3", 10, 2, "1500.00");
    check_decimal("99999999.99", 10, 2, "99999999.99");
    check_decimal("99999999.995", 10, 2, NULL);
    check_decimal("100000000", 10, 2, NULL);
    check_decimal("99999999999999999999999999999999999999", 38, 0,
                  "99999999999999999999999999999999999999");
    check_decimal("100000000000000000000000000000000000000", 38, 0, NULL);
    check_decimal("340282366920938463463374607431768211466", 38, 0, NULL);
    check_decimal("0.99999999999999999999999999999999999999", 38, 38,
                  "0.99999999999999999999999999999999999999");
    check_decimal("00012", 4, 1, "12.0");
    check_decimal("1e999999999999", 38, 0, NULL);
    check_decimal("1e-999999999999", 38, 0, "0");
    check_decimal("0e999999999999", 38, 0, "0");
    check_decimal("x", 38, 0, NULL);
}

static void check_time(const char *text, const char *wanted)
{
    int64_t us;
    const bool good = wr_text_parse_timestamp(sl(text), &us);
    cr_assert_eq(good, wanted != NULL, "%s", text);
    if (good) {
        char got[40];
        *wr_text_timestamp(got, us) = '\0';
        cr_assert_str_eq(got, wanted);
    }
}

Test(text, timestamps_are_rfc_3339)
{
    check_time("2024-01-31T10:00:00Z", "2024-01-31T10:00:00Z");
    check_time("2024-01-31 10:00:00.5", "2024-01-31T10:00:00.500Z");
    check_time("2024-01-31T10:00:00.123456+02:00", "2024-01-31T08:00:00.123456Z");
    check_time("2024-01-31T10:00:00.1234567Z", "2024-01-31T10:00:00.123457Z");
    check_time("2024-01-31T10:00:00.9999999Z", "2024-01-31T10:00:01Z");
    check_time("2024-01-31 10:00:00-0530", "2024-01-31T15:30:00Z");
    check_time("2024-01-31 10:00", "2024-01-31T10:00:00Z");
    check_time("2024-02-29", "2024-02-29T00:00:00Z");
    check_time("2023-02-29", NULL);
    check_time("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z");
    check_time("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z");
    check_time("+12345-01-01T00:00:00Z", "+12345-01-01T00:00:00Z");
    check_time("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z");
    check_time("2024-01-31T24:00:00Z", NULL);
    check_time("2024-13-01", NULL);
    check_time("2024-01-31T10:00:00Zx", NULL);
    check_time("99999999-01-01", NULL);
    check_time("", NULL);
    char text[40];
    int64_t back;
    const int64_t extremes[] = { INT64_MIN, INT64_MAX, -1, 0, 253402300799999999 };
    for (size_t i = 0; i < 5; i++) {
        *wr_text_timestamp(text, extremes[i]) = '\0';
        cr_assert(wr_text_parse_timestamp(sl(text), &back), "%s", text);
        cr_assert_eq(back, extremes[i], "%s", text);
    }
}

Test(text, days_and_civil_dates_are_inverse)
{
    int64_t year;
    uint32_t month;
    uint32_t day;
    for (int64_t days = -800000; days < 800000; days += 13) {
        wr_civil_from_days(days, &year, &month, &day);
        cr_assert_eq(wr_days_from_civil(year, month, day), days);
    }
    int32_t date;
    cr_assert(wr_text_parse_date(sl("1970-01-01"), &date) && date == 0);
    cr_assert(wr_text_parse_date(sl("2000-03-01"), &date) && date == 11017);
    cr_assert(!wr_text_parse_date(sl("2000-3-1"), &date));
}

static void check_interval(const char *text, const char *wanted)
{
    struct wr_interval value;
    const bool good = wr_text_parse_interval(sl(text), &value);
    cr_assert_eq(good, wanted != NULL, "%s", text);
    if (good) {
        char got[100];
        *wr_text_interval(got, value) = '\0';
        cr_assert_str_eq(got, wanted, "%s: %s", text, got);
    }
}

Test(text, intervals_are_as_in_postgresql)
{
    check_interval("10 seconds", "00:00:10");
    check_interval("10", "00:00:10");
    check_interval("1 day 02:03:04", "1 day 02:03:04");
    check_interval("1 mon -2 days", "1 mon -2 days");
    check_interval("-1 year -2 mons +3 days -04:05:06.5", "-1 years -2 mons +3 days -04:05:06.5");
    check_interval("1.5 days", "1 day 12:00:00");
    check_interval("1.5 months", "1 mon 15 days");
    check_interval("1.5 years", "1 year 6 mons");
    check_interval("90 minutes ago", "-01:30:00");
    check_interval("100ms", "00:00:00.1");
    check_interval("2 weeks", "14 days");
    check_interval("0 days", "00:00:00");
    check_interval("1 fortnight", NULL);
    check_interval("", NULL);
    check_interval("99999999999999999 years", NULL);
    check_interval("300:00:00", "300:00:00");
}

static void check_json_string(const char *data, size_t bytes, const char *wanted)
{
    struct wr_buf buf = { 0 };
    wr_text_json_string(&buf, data, bytes);
    cr_assert_str_eq(wr_buf_cstr(&buf), wanted);
    wr_buf_deinit(&buf);
}

Test(text, json_strings_are_escaped_and_always_utf8)
{
    check_json_string("abc", 3, "\"abc\"");
    check_json_string("", 0, "\"\"");
    check_json_string("a\"b\\c\n\x01\x7f", 8, "\"a\\\"b\\\\c\\n\\u0001\x7f\"");
    check_json_string("a\0b", 3, "\"a\\u0000b\"");
    check_json_string("gr\xc3\xbc\xc3\x9f\xf0\x9f\x98\x80", 10, "\"gr\xc3\xbc\xc3\x9f\xf0\x9f\x98\x80\"");
    check_json_string("\xff\xc3", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    check_json_string("long enough for words \b\f\r\t", 26, "\"long enough for words \\b\\f\\r\\t\"");
}

Test(text, base64_reads_back)
{
    for (size_t bytes = 0; bytes < 50; bytes++) {
        char data[50];
        char back[60];
        size_t made;
        for (size_t i = 0; i < bytes; i++) {
            data[i] = (char)next_random();
        }
        struct wr_buf buf = { 0 };
        wr_text_base64(&buf, data, bytes);
        cr_assert(wr_text_parse_base64((struct wr_slice){ buf.data, buf.bytes }, back, &made));
        cr_assert(made == bytes && memcmp(data, back, bytes) == 0);
        wr_buf_deinit(&buf);
    }
    char room[16];
    size_t made;
    cr_assert(wr_text_parse_base64(sl("_-8"), room, &made) && made == 2);
    cr_assert(!wr_text_parse_base64(sl("abcde"), room, &made));
    cr_assert(!wr_text_parse_base64(sl("ab*d"), room, &made));
}

static bool parses(enum wr_type_id id, const char *text, void *out)
{
    return wr_text_parse(wr_type_of(id), sl(text), out);
}

Test(text, any_type_parses_within_its_range)
{
    _Alignas(16) char out[16];
    cr_assert(parses(WR_TYPE_INT16, "-32768", out) && *(int16_t *)out == INT16_MIN);
    cr_assert(!parses(WR_TYPE_INT16, "32768", out));
    cr_assert(parses(WR_TYPE_INT32, " 2147483647 ", out) && *(int32_t *)out == INT32_MAX);
    cr_assert(!parses(WR_TYPE_INT32, "2147483648", out));
    cr_assert(parses(WR_TYPE_UINT16, "65535", out) && *(uint16_t *)out == 65535);
    cr_assert(!parses(WR_TYPE_UINT16, "65536", out));
    cr_assert(!parses(WR_TYPE_UINT64, "-1", out));
    cr_assert(parses(WR_TYPE_BOOL, "Off", out) && *(uint8_t *)out == 0);
    cr_assert(!parses(WR_TYPE_BOOL, "maybe", out));
    cr_assert(parses(WR_TYPE_FLOAT64, "-Infinity", out) && isinf(*(double *)out));
    cr_assert(parses(WR_TYPE_JSON, " {\"a\": [1, null]} ", out));
    cr_assert(!parses(WR_TYPE_JSON, "{a: 1}", out));
    cr_assert(parses(WR_TYPE_BYTES, "\\x00fF", out) && ((struct wr_view *)out)->bytes == 2);
    cr_assert(!parses(WR_TYPE_BYTES, "\\x0", out));
    cr_assert(!parses(WR_TYPE_STATE, "x", out));
}

Test(text, json_form_of_values_is_json)
{
    struct wr_buf buf = { 0 };
    const double nan = NAN;
    const int64_t us = 1706695200123456;
    const struct wr_view bytes = wr_view_of("\x01\x02", 2);
    wr_text_format_json(&buf, wr_type_of(WR_TYPE_FLOAT64), &nan);
    wr_buf_byte(&buf, ' ');
    wr_text_format_json(&buf, wr_type_of(WR_TYPE_TIMESTAMP), &us);
    wr_buf_byte(&buf, ' ');
    wr_text_format_json(&buf, wr_type_of(WR_TYPE_BYTES), &bytes);
    wr_buf_byte(&buf, ' ');
    wr_text_format(&buf, wr_type_of(WR_TYPE_BYTES), &bytes);
    cr_assert_str_eq(wr_buf_cstr(&buf), "\"NaN\" \"2024-01-31T10:00:00.123456Z\" \"AQI=\" \\x0102");
    wr_buf_deinit(&buf);
}
