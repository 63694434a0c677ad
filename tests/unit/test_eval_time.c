/* Calendar functions: PostgreSQL's values. */
#include "eval_testing.h"

Test(eval_time, intervals_move_times_by_the_calendar)
{
    static const struct eval_case cases[] = {
        { "ADD_TIMESTAMP_INTERVAL(s:2024-01-31, v:'1 mon')", "2024-02-29T00:00:00Z" },
        { "ADD_TIMESTAMP_INTERVAL(s:2023-01-31, v:'1 mon')", "2023-02-28T00:00:00Z" },
        { "SUB_TIMESTAMP_INTERVAL(s:2024-03-31, v:'1 mon')", "2024-02-29T00:00:00Z" },
        { "ADD_TIMESTAMP_INTERVAL(s:2024-02-29, v:'1 year')", "2025-02-28T00:00:00Z" },
        { "SUB_TIMESTAMP_INTERVAL(s:'2024-01-01 00:00:05', v:'10 seconds')", "2023-12-31T23:59:55Z" },
        { "ADD_TIMESTAMP_INTERVAL(s:'1969-12-31 12:00:00', v:'1 mon 1 day 12:00:00')",
          "1970-02-02T00:00:00Z" },
        { "ADD_INTERVAL_TIMESTAMPTZ(v:'-1 mon', z:2024-03-30)", "2024-02-29T00:00:00Z" },
        { "ADD_INTERVAL_TIMESTAMP(v:'1 day', s:2024-03-30)", "2024-03-31T00:00:00Z" },
        { "ADD_TIMESTAMP_INTERVAL(s:'294240-01-01', v:'100000 years')", "!timestamp out of range" },
        { "ADD_TIMESTAMP_INTERVAL(s:'294240-01-01', v:'1000000 days')", "!timestamp out of range" },
        { "SUB_TIMESTAMP(s:'2024-01-03 01:00:00', s:2024-01-01)", "2 days 01:00:00" },
        { "SUB_TIMESTAMPTZ(z:2024-01-01, z:'2024-01-03 01:00:00')", "-2 days -01:00:00" },
        { "ADD_INTERVAL(v:'1 mon', v:'1 day 01:00:00')", "1 mon 1 day 01:00:00" },
        { "SUB_INTERVAL(v:'1 day', v:'01:00:00')", "1 day -01:00:00" },
        { "NEG_INTERVAL(v:'1 mon -1 day')", "-1 mons +1 day" },
        { "MUL_INTERVAL(v:'1 mon', d:0.5)", "15 days" },
        { "MUL_INTERVAL(v:'1 day', d:1.5)", "1 day 12:00:00" },
        { "MUL_INTERVAL(v:'10 days', d:0.1)", "1 day" },
        { "MUL_INTERVAL(v:'01:00:00', d:-2)", "-02:00:00" },
        { "MUL_INTERVAL(v:'1 day', d:1e10)", "!interval out of range" },
        { "MUL_INTERVAL(v:'1 day', d:NaN)", "!interval out of range" },
        { "ADD_DATE_DAYS(D:2024-02-28, i:2)", "2024-03-01" },
        { "SUB_DATE_DAYS(D:2024-03-01, i:1)", "2024-02-29" },
        { "SUB_DATE(D:2024-03-01, D:2024-02-01)", "29" },
        { "ADD_DATE_DAYS(D:2024-02-28, i:2147483647)", "!date out of range" },
    };
    CHECK_CASES(cases);
}

Test(eval_time, date_trunc)
{
    static const struct eval_case cases[] = {
        { "DATE_TRUNC(t:hour, s:'2001-02-16 20:38:40.123456')", "2001-02-16T20:00:00Z" },
        { "DATE_TRUNC(t:MINUTE, s:'2001-02-16 20:38:40')", "2001-02-16T20:38:00Z" },
        { "DATE_TRUNC(t:second, s:'1969-12-31 23:59:59.5')", "1969-12-31T23:59:59Z" },
        { "DATE_TRUNC(t:milliseconds, s:'2001-02-16 20:38:40.123456')", "2001-02-16T20:38:40.123Z" },
        { "DATE_TRUNC(t:microseconds, s:'2001-02-16 20:38:40.123456')",
          "2001-02-16T20:38:40.123456Z" },
        { "DATE_TRUNC(t:day, s:'1969-12-31 20:38:40')", "1969-12-31T00:00:00Z" },
        { "DATE_TRUNC(t:week, s:'2024-03-03 12:00:00')", "2024-02-26T00:00:00Z" },
        { "DATE_TRUNC(t:week, s:'1970-01-01')", "1969-12-29T00:00:00Z" },
        { "DATE_TRUNC(t:month, s:'2024-03-31 12:00:00')", "2024-03-01T00:00:00Z" },
        { "DATE_TRUNC(t:quarter, s:'2024-06-30')", "2024-04-01T00:00:00Z" },
        { "DATE_TRUNC_TZ(t:year, z:'2024-06-30')", "2024-01-01T00:00:00Z" },
        { "DATE_TRUNC(t:decade, s:'2024-06-30')", "2020-01-01T00:00:00Z" },
        { "DATE_TRUNC(t:century, s:'2000-06-30')", "1901-01-01T00:00:00Z" },
        { "DATE_TRUNC(t:century, s:'2001-06-30')", "2001-01-01T00:00:00Z" },
        { "DATE_TRUNC(t:millennium, s:'2000-06-30')", "1001-01-01T00:00:00Z" },
        { "DATE_TRUNC(t:dow, s:'2000-06-30')", "!" },
        { "DATE_TRUNC(t:fortnight, s:'2000-06-30')", "!" },
    };
    CHECK_CASES(cases);
}

Test(eval_time, date_part)
{
    static const struct eval_case cases[] = {
        { "EXTRACT(t:century, s:'2000-12-16 12:21:13')", "20" },
        { "EXTRACT(t:century, s:'2001-02-16 20:38:40')", "21" },
        { "EXTRACT(t:day, s:'2001-02-16 20:38:40')", "16" },
        { "EXTRACT(t:decade, s:'2001-02-16 20:38:40')", "200" },
        { "EXTRACT(t:dow, s:'2001-02-16 20:38:40')", "5" },
        { "EXTRACT(t:dow, s:'2001-02-18')", "0" },
        { "EXTRACT(t:isodow, s:'2001-02-18 20:38:40')", "7" },
        { "EXTRACT(t:doy, s:'2001-02-16 20:38:40')", "47" },
        { "EXTRACT_TZ(t:epoch, z:'2001-02-16 20:38:40.12+00')", "982355920.12" },
        { "EXTRACT(t:epoch, s:'1969-12-31 23:59:59.5')", "-0.5" },
        { "EXTRACT(t:hour, s:'2001-02-16 20:38:40')", "20" },
        { "EXTRACT(t:isoyear, s:'2006-01-01')", "2005" },
        { "EXTRACT(t:isoyear, s:'2006-01-02')", "2006" },
        { "EXTRACT(t:julian, s:'2006-01-01')", "2453737" },
        { "EXTRACT(t:julian, s:'2006-01-01 12:00')", "2453737.5" },
        { "EXTRACT(t:microseconds, s:'2001-02-16 17:12:28.5')", "28500000" },
        { "EXTRACT(t:milliseconds, s:'2001-02-16 17:12:28.5')", "28500" },
        { "EXTRACT(t:second, s:'2001-02-16 17:12:28.5')", "28.5" },
        { "EXTRACT(t:millennium, s:'2001-02-16 20:38:40')", "3" },
        { "EXTRACT(t:minute, s:'2001-02-16 20:38:40')", "38" },
        { "EXTRACT(t:month, s:'2001-02-16 20:38:40')", "2" },
        { "EXTRACT(t:quarter, s:'2001-02-16 20:38:40')", "1" },
        { "EXTRACT(t:week, s:'2001-02-16 20:38:40')", "7" },
        { "EXTRACT(t:week, s:'2005-01-01')", "53" },
        { "EXTRACT(t:week, s:'2012-12-31')", "1" },
        { "EXTRACT(t:year, s:'2001-02-16 20:38:40')", "2001" },
        { "EXTRACT(t:timezone_hour, s:'2001-02-16')", "0" },
        { "EXTRACT_DATE(t:dow, D:2024-02-29)", "4" },
        { "EXTRACT_DATE(t:epoch, D:1970-01-02)", "86400" },
        { "EXTRACT_INTERVAL(t:month, v:'2 years 13 months')", "1" },
        { "EXTRACT_INTERVAL(t:year, v:'2 years 13 months')", "3" },
        { "EXTRACT_INTERVAL(t:day, v:'40 days 1 minute')", "40" },
        { "EXTRACT_INTERVAL(t:epoch, v:'5 days 3 hours')", "442800" },
        { "EXTRACT_INTERVAL(t:epoch, v:'1 year')", "31557600" },
        { "EXTRACT_INTERVAL(t:hour, v:'30:00:00')", "30" },
        { "EXTRACT_INTERVAL(t:dow, v:'1 day')", "!" },
        { "EXTRACT(t:nonsense, s:2024-01-01)", "!" },
        { "YEAR_OF(s:2024-05-06)", "2024" },
        { "MONTH_OF(s:2024-05-06)", "5" },
        { "DAY_OF(s:2024-05-06)", "6" },
        { "HOUR_OF(s:'1969-12-31 23:59:00')", "23" },
        { "MINUTE_OF(s:'1969-12-31 23:59:00')", "59" },
    };
    CHECK_CASES(cases);
}

Test(eval_time, epochs_bins_and_templates)
{
    static const struct eval_case cases[] = {
        { "TO_TIMESTAMP(d:1284352323.5)", "2010-09-13T04:32:03.500Z" },
        { "TO_TIMESTAMP(d:NaN)", "!timestamp out of range" },
        { "EPOCH_MS(s:'1969-12-31 23:59:59.9999')", "-1" },
        { "FROM_EPOCH_MS(l:1700000000123)", "2023-11-14T22:13:20.123Z" },
        { "FROM_EPOCH_MS(l:9223372036854775807)", "!timestamp out of range" },
        { "DATE_BIN(v:'15 minutes', s:'2020-02-11 15:44:17', s:2001-01-01)", "2020-02-11T15:30:00Z" },
        { "DATE_BIN(v:'15 minutes', s:'2020-02-11 15:44:17', s:'2001-01-01 00:02:30')",
          "2020-02-11T15:32:30Z" },
        { "DATE_BIN(v:'1 day', s:'2000-12-31 15:44:17', s:2001-01-01)", "2000-12-31T00:00:00Z" },
        { "DATE_BIN(v:'1 mon', s:2020-02-11, s:2001-01-01)", "!a stride must not have months" },
        { "DATE_BIN(v:'0 s', s:2020-02-11, s:2001-01-01)", "!a stride must be greater than zero" },
        { "NOW()", "2023-11-14T22:13:20Z" },
        { "DATE_OF_TIMESTAMP(s:'1969-12-31 23:00:00')", "1969-12-31" },
        { "DATE_OF_TEXT(t:'2024-02-29')", "2024-02-29" },
        { "DATE_OF_TEXT(t:'2023-02-29')", "!invalid DATE: '2023-02-29'" },
        { "WINDOW_START_OF(s:'2024-01-01 00:00:17', l:10000000, l:0)", "2024-01-01T00:00:10Z" },
        { "WINDOW_END_OF(s:'2024-01-01 00:00:17', l:10000000, l:0)", "2024-01-01T00:00:20Z" },
        { "WINDOW_START_OF(s:'1969-12-31 23:59:59', l:10000000, l:3000000)", "1969-12-31T23:59:53Z" },
        { "TO_CHAR(s:'2002-04-20 17:31:12.66', t:'HH12:MI:SS')", "05:31:12" },
        { "TO_CHAR(s:'2002-04-20 17:31:12.66', t:'YYYY-MM-DD\"T\"HH24:MI:SS.MS US')",
          "2002-04-20T17:31:12.660 660000" },
        { "TO_CHAR(s:'2002-04-05 00:31:12', t:'FMDay, FMDD  HH12:MI:SS AM Mon')",
          "Friday, 5  12:31:12 AM Apr" },
        { "TO_CHAR(s:'2002-04-05', t:'Month|MONTH|DDD|D|Q|IYYY-IW-ID|J|YY')",
          "April    |APRIL    |095|6|2|2002-14-5|2452370|02" },
        { "TO_CHAR(s:'2002-04-05 23:00:01.5', t:'SSSS FF3 FF1 pm TZ')", "82801 500 5 pm UTC" },
        { "TO_TIMESTAMP_TEXT(t:'05 Dec 2000', t:'DD Mon YYYY')", "2000-12-05T00:00:00Z" },
        { "TO_TIMESTAMP_TEXT(t:'2024-02-29 13:14:15.5', t:'YYYY-MM-DD HH24:MI:SS.MS')",
          "2024-02-29T13:14:15.500Z" },
        { "TO_TIMESTAMP_TEXT(t:'20240229131415', t:'YYYYMMDDHH24MISS')", "2024-02-29T13:14:15Z" },
        { "TO_TIMESTAMP_TEXT(t:'12:30 am', t:'HH12:MI am')", "0001-01-01T00:30:00Z" },
        { "TO_TIMESTAMP_TEXT(t:'99-060', t:'YY-DDD')", "1999-03-01T00:00:00Z" },
        { "TO_TIMESTAMP_TEXT(t:'2023-02-29', t:'YYYY-MM-DD')", "!'2023-02-29' is not of this format" },
        { "TO_TIMESTAMP_TEXT(t:'2023-02-28 tail', t:'YYYY-MM-DD')", "!" },
        { "TO_TIMESTAMP_TEXT(t:'', t:'YYYY')", "!" },
    };
    CHECK_CASES(cases);
}
