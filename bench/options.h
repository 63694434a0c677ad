/* options.h: what the command lines of the benchmark tools share. */
#ifndef WR_BENCH_OPTIONS_H
#define WR_BENCH_OPTIONS_H

#include <stdint.h>

/* Prints "tool: message" and a pointer to --help on standard error, and exits with 2. */
_Noreturn void wr_bench_usage_error(const char *tool, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints "tool: message" on standard error and exits with 1. */
_Noreturn void wr_bench_fail(const char *tool, const char *message);

/* The whole text as a number in [min, max], or a usage error that names the option. */
uint64_t wr_bench_parse_number(const char *tool, const char *option, const char *text,
                               uint64_t min, uint64_t max);

/* A percentage such as "5" or "0.5" as parts per million. */
uint32_t wr_bench_parse_percent(const char *tool, const char *option, const char *text);

#endif
