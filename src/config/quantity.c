/* quantity.c: sizes ("128MB") and durations ("1h30m", "10 seconds") of options and the command
 * line. */
#include "base/slice.h"
#include "config/option.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* MB is 10^6 and MiB 2^20: the SI's and IEC's own reading. */
static const struct unit size_units[] = {
    {"", 1},
    {"b", 1},
    {"k", 1000},
    {"kb", 1000},
    {"m", 1000000},
    {"mb", 1000000},
    {"g", 1000000000},
    {"gb", 1000000000},
    {"t", 1000000000000},
    {"tb", 1000000000000},
    {"ki", 1024},
    {"kib", 1024},
    {"mi", 1048576},
    {"mib", 1048576},
    {"gi", 1073741824},
    {"gib", 1073741824},
    {"ti", 1099511627776},
    {"tib", 1099511627776},
    {NULL, 0},
};

static const struct unit duration_units[] = {
    {"", 1000}, /* a plain number is milliseconds, as in Kafka's and Flink's own options */
    {"us", 1},
    {"microsecond", 1},
    {"microseconds", 1},
    {"ms", 1000},
    {"msec", 1000},
    {"millis", 1000},
    {"millisecond", 1000},
    {"milliseconds", 1000},
    {"s", 1000000},
    {"sec", 1000000},
    {"secs", 1000000},
    {"second", 1000000},
    {"seconds", 1000000},
    {"m", 60000000},
    {"min", 60000000},
    {"mins", 60000000},
    {"minute", 60000000},
    {"minutes", 60000000},
    {"h", 3600000000},
    {"hour", 3600000000},
    {"hours", 3600000000},
    {"d", 86400000000},
    {"day", 86400000000},
    {"days", 86400000000},
    {NULL, 0},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t skip_blanks(struct wr_slice text, size_t at)
{
    while (at < text.bytes && (text.data[at] == ' ' || text.data[at] == '\t')) {
        at++;
    }
    return at;
}

/* Reads digits[.digits] as a count of 10^-6, so that "1.5GB" needs no floating point. */
static bool read_millionths(struct wr_slice text, size_t *at, __int128 *value)
{
    size_t i = *at;
    __int128 number = 0;
    uint32_t digits = 0;
    for (; i < text.bytes && is_digit(text.data[i]); i++, digits++) {
        if (digits >= 19) {
            return false;
        }
        number = number * 10 + (text.data[i] - '0');
    }
    number *= 1000000;
    if (i < text.bytes && text.data[i] == '.') {
        int64_t place = 100000;
        for (i++; i < text.bytes && is_digit(text.data[i]); i++, digits++, place /= 10) {
            number += (text.data[i] - '0') * place;
        }
    }
    *at = i;
    *value = number;
    return digits > 0;
}

static int64_t read_unit(struct wr_slice text, size_t *at, const struct unit *units)
{
    const size_t begin = *at;
    size_t end = begin;
    while (end < text.bytes && is_letter(text.data[end])) {
        end++;
    }
    *at = end;
    const struct wr_slice name = {text.data + begin, end - begin};
    for (const struct unit *u = units; u->name != NULL; u++) {
        if (wr_slice_equal_nocase(name, wr_slice_of(u->name))) {
            return u->factor;
        }
    }
    return 0;
}

static bool parse_quantity(struct wr_slice text, const struct unit *units, bool several,
                           int64_t *value)
{
    size_t at = skip_blanks(text, 0);
    __int128 total = 0;
    uint32_t parts = 0;
    while (at < text.bytes) {
        __int128 number;
        if ((parts > 0 && !several) || !read_millionths(text, &at, &number)) {
            return false;
        }
        at = skip_blanks(text, at);
        const int64_t factor = read_unit(text, &at, units);
        if (factor == 0) {
            return false;
        }
        total += number * factor / 1000000;
        if (total > INT64_MAX) {
            return false;
        }
        at = skip_blanks(text, at);
        parts++;
    }
    *value = (int64_t)total;
    return parts > 0;
}

bool wr_parse_size(struct wr_slice text, int64_t *bytes)
{
    return parse_quantity(text, size_units, false, bytes);
}

bool wr_parse_duration(struct wr_slice text, int64_t *us)
{
    return parse_quantity(text, duration_units, true, us);
}
