/* log.c: see log.h. A line is built on the stack and written at once; the lock covers the hooks,
 * which redraw a terminal, together with the line between them. */
#include "base/log.h"

#include "base/clock.h"
#include "base/slice.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* An error's three texts are 2 KB; JSON turns a control byte into six. */
#define LINE_BYTES_MAX 16384u

struct line {
    char text[LINE_BYTES_MAX];
    size_t bytes;
};

static enum wr_log_level level_min = WR_LOG_INFO;
static enum wr_log_format format = WR_LOG_TEXT;
static bool coloured;
static void (*hook_before)(void);
static void (*hook_after)(void);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void wr_log_setup(enum wr_log_level level, enum wr_log_format log_format)
{
    level_min = level;
    format = log_format;
    coloured = isatty(STDERR_FILENO) != 0 && getenv("NO_COLOR") == NULL;
}

bool wr_log_enabled(enum wr_log_level level)
{
    return level >= level_min && level < WR_LOG_OFF;
}

void wr_log_set_hooks(void (*before)(void), void (*after)(void))
{
    pthread_mutex_lock(&lock);
    hook_before = before;
    hook_after = after;
    pthread_mutex_unlock(&lock);
}

static void put(struct line *line, const char *data, size_t bytes)
{
    /* Two bytes stay free for the end of a line that is too long. */
    const size_t room = LINE_BYTES_MAX - 2 - line->bytes;
    const size_t taken = bytes < room ? bytes : room;
    memcpy(line->text + line->bytes, data, taken);
    line->bytes += taken;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

/* Texts may quote what came from outside: escape sequences must not reach a terminal. */
static void put_printable(struct line *line, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        const bool control = ((uint8_t)*c < 0x20 && *c != '\n' && *c != '\t') || *c == 0x7f;
        put(line, control ? "?" : c, 1);
    }
}

/* Bytes of the character at text, 1 for a byte that is not UTF-8 (then *valid is false). */
static size_t character_bytes(const char *text, bool *valid)
{
    const uint8_t lead = (uint8_t)*text;
    const size_t bytes = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    *valid = strnlen(text, bytes) == bytes && wr_utf8_valid(text, bytes);
    return *valid ? bytes : 1;
}

static void put_json_string(struct line *line, const char *text)
{
    put_text(line, "\"");
    while (*text != '\0') {
        const uint8_t c = (uint8_t)*text;
        bool valid;
        const size_t bytes = character_bytes(text, &valid);
        if (line->bytes > LINE_BYTES_MAX - 1024) {
            break; /* keep room to close the object: a cut text is still one JSON object */
        }
        if (!valid) {
            put_text(line, "\\ufffd");
        } else if (c == '"' || c == '\\') {
            put(line, "\\", 1);
            put(line, text, 1);
        } else if (c == '\n') {
            put_text(line, "\\n");
        } else if (c < 0x20 || c == 0x7f) {
            char escaped[8];
            snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned)c);
            put_text(line, escaped);
        } else {
            put(line, text, bytes);
        }
        text += bytes;
    }
    put_text(line, "\"");
}

static void put_json_member(struct line *line, const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        put_text(line, ", \"");
        put_text(line, name);
        put_text(line, "\": ");
        put_json_string(line, text);
    }
}

static void put_json(struct line *line, enum wr_log_level level, const char *component,
                     const struct wr_error *err)
{
    static const char *const names[] = { "debug", "info", "warn", "error" };
    const int64_t wall_us = wr_clock_now().wall_us;
    const time_t seconds = (time_t)(wall_us / WR_US_PER_S);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    char text[64];
    const size_t bytes = strftime(text, sizeof(text), "{\"ts\": \"%Y-%m-%dT%H:%M:%S", &utc);
    put(line, text, bytes);
    snprintf(text, sizeof(text), ".%06dZ\"", (int)(wall_us % WR_US_PER_S));
    put_text(line, text);
    put_json_member(line, "level", names[level]);
    put_json_member(line, "component", component);
    put_json_member(line, "message", err->message);
    put_json_member(line, "detail", err->detail);
    put_json_member(line, "hint", err->hint);
    put_text(line, "}");
}

/* A detail of several lines (SQL with a caret beneath) keeps its columns: all lines begin in the same one. */
static void put_detail(struct line *line, const char *detail)
{
    const char *before = "\n  detail: ";
    for (const char *at = detail; *at != '\0';) {
        char part[sizeof(((struct wr_error *)0)->detail)];
        const size_t bytes = strcspn(at, "\n");
        memcpy(part, at, bytes);
        part[bytes] = '\0';
        put_text(line, before);
        put_printable(line, part);
        before = "\n          ";
        at += bytes + (at[bytes] == '\n');
    }
}

static void put_plain(struct line *line, enum wr_log_level level, const char *component,
                      const struct wr_error *err)
{
    static const char *const words[] = { "debug: ", "info: ", "warning: ", "" };
    static const char *const colours[] = { "\033[2m", "", "\033[33m", "\033[31m" };
    const char *colour = coloured ? colours[level] : "";
    put_text(line, colour);
    put_text(line, "weir: ");
    put_text(line, words[level]);
    if (component != NULL && component[0] != '\0') {
        put_printable(line, component);
        put_text(line, ": ");
    }
    put_printable(line, err->message);
    put_text(line, colour[0] == '\0' ? "" : "\033[0m");
    if (err->detail[0] != '\0') {
        put_detail(line, err->detail);
    }
    if (err->hint[0] != '\0') {
        put_text(line, "\n  hint: ");
        put_printable(line, err->hint);
    }
}

static void write_line(struct line *line)
{
    line->text[line->bytes++] = '\n';
    pthread_mutex_lock(&lock);
    if (hook_before != NULL) {
        hook_before();
    }
    size_t written = 0;
    while (written < line->bytes) {
        const ssize_t n = write(STDERR_FILENO, line->text + written, line->bytes - written);
        if (n < 0 && errno != EINTR) {
            break; /* nobody reads the log any more: the work goes on */
        }
        written += n > 0 ? (size_t)n : 0;
    }
    if (hook_after != NULL) {
        hook_after();
    }
    pthread_mutex_unlock(&lock);
}

void wr_log_error(enum wr_log_level level, const char *component, const struct wr_error *err)
{
    if (!wr_log_enabled(level)) {
        return;
    }
    const int saved_errno = errno; /* callers log and then look at errno */
    struct line line;
    line.bytes = 0;
    if (format == WR_LOG_JSON) {
        put_json(&line, level, component, err);
    } else {
        put_plain(&line, level, component, err);
    }
    write_line(&line);
    errno = saved_errno;
}

void wr_log(enum wr_log_level level, const char *component, const char *fmt, ...)
{
    if (!wr_log_enabled(level)) {
        return;
    }
    struct wr_error err = { 0 };
    va_list args;
    va_start(args, fmt);
    const int bytes = vsnprintf(err.message, sizeof(err.message), fmt, args);
    va_end(args);
    if (bytes < 0) {
        err.message[0] = '\0';
    }
    wr_log_error(level, component, &err);
}
