/* row.c: see row.h. */
#include "row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VALUE_BYTES_MAX = 64 };

/* Copies the member's value, quotes and all, as text that ends in NUL. */
static int find_value(const char *row, size_t bytes, const char *name, char *value)
{
    char key[VALUE_BYTES_MAX];
    const int key_bytes = snprintf(key, sizeof(key), "\"%s\"", name);
    const char *end = row + bytes;
    const char *at = memmem(row, bytes, key, (size_t)key_bytes);
    if (at == NULL) {
        return -1;
    }
    for (at += key_bytes; at < end && (*at == ' ' || *at == ':'); at++) {
    }
    size_t length = 0;
    while (at + length < end && at[length] != ',' && at[length] != '}') {
        length++;
    }
    if (length == 0 || length >= VALUE_BYTES_MAX) {
        return -1;
    }
    memcpy(value, at, length);
    value[length] = '\0';
    return 0;
}

int wr_bench_row_number(const char *row, size_t bytes, const char *name, double *number)
{
    char value[VALUE_BYTES_MAX];
    if (find_value(row, bytes, name, value) != 0) {
        return -1;
    }
    /* NUMERIC columns may come as text: both spellings are numbers here. */
    const char *digits = value[0] == '"' ? value + 1 : value;
    char *end = NULL;
    *number = strtod(digits, &end);
    return end == digits ? -1 : 0;
}

int wr_bench_row_text(const char *row, size_t bytes, const char *name, char *out, size_t out_bytes)
{
    char value[VALUE_BYTES_MAX];
    if (find_value(row, bytes, name, value) != 0 || value[0] != '"') {
        return -1;
    }
    const char *end = strchr(value + 1, '"');
    const size_t length = end == NULL ? out_bytes : (size_t)(end - value - 1);
    if (length >= out_bytes) {
        return -1;
    }
    memcpy(out, value + 1, length);
    out[length] = '\0';
    return 0;
}

static int parse_rfc3339_us(const char *text, int64_t *us)
{
    struct tm tm = {0};
    char separator = 0;
    int read = 0;
    if (sscanf(text, "%4d-%2d-%2d%c%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &separator, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &read) != 7 ||
        (separator != 'T' && separator != ' ')) {
        return -1;
    }
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int64_t fraction_us = 0;
    if (text[read] == '.') {
        int64_t unit = 100000;
        for (const char *digit = text + read + 1; *digit >= '0' && *digit <= '9'; digit++) {
            fraction_us += (*digit - '0') * unit;
            unit /= 10;
        }
    }
    *us = (int64_t)timegm(&tm) * 1000000 + fraction_us;
    return 0;
}

int wr_bench_row_time_us(const char *row, size_t bytes, const char *name, int64_t *us)
{
    /* Milliseconds reach this in the year 5138, microseconds passed it in March 1973. */
    const int64_t smallest_us = INT64_C(100000000000000);
    char value[VALUE_BYTES_MAX];
    if (find_value(row, bytes, name, value) != 0) {
        return -1;
    }
    if (value[0] == '"') {
        return parse_rfc3339_us(value + 1, us);
    }
    char *end = NULL;
    const long long number = strtoll(value, &end, 10);
    if (end == value) {
        return -1;
    }
    *us = number >= smallest_us ? number : number * 1000;
    return 0;
}
