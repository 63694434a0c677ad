/* options.c: see options.h. */
#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void wr_bench_usage_error(const char *tool, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", tool);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n  hint: %s --help\n", tool);
    va_end(arguments);
    exit(2);
}

_Noreturn void wr_bench_fail(const char *tool, const char *message)
{
    fprintf(stderr, "%s: %s\n", tool, message);
    exit(1);
}

uint64_t wr_bench_parse_number(const char *tool, const char *option, const char *text,
                               uint64_t min, uint64_t max)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < min ||
        number > max) {
        wr_bench_usage_error(tool, "%s takes a number from %" PRIu64 " to %" PRIu64 ", not \"%s\"",
                             option, min, max, text);
    }
    return number;
}

uint32_t wr_bench_parse_percent(const char *tool, const char *option, const char *text)
{
    char *end = NULL;
    const double percent = strtod(text, &end);
    if (end == text || *end != '\0' || !(percent >= 0) || percent > 100) {
        wr_bench_usage_error(tool, "%s takes a percentage from 0 to 100, not \"%s\"", option, text);
    }
    return (uint32_t)(percent * 10000 + 0.5);
}
