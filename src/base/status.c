/* status.c: see status.h. Everything is formatted into a local buffer first, so that an error's own
 * text may be among the arguments. */
#include "base/status.h"

#include <stdio.h>
#include <string.h>

/* The length to keep of text that was cut to bytes: without a character cut in half at its end. */
static size_t whole_characters(const char *text, size_t bytes)
{
    for (size_t back = 1; back <= 4 && back <= bytes; back++) {
        const uint8_t c = (uint8_t)text[bytes - back];
        if ((c & 0xc0) == 0x80) {
            continue;
        }
        const size_t character = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        return character > back ? bytes - back : bytes;
    }
    return bytes; /* not UTF-8 at all: nothing to keep whole */
}

/* vsnprintf into text[0..capacity) that cuts at a character's boundary. Returns the length kept. */
static size_t format(char *text, size_t capacity, const char *fmt, va_list args)
{
    const int wanted = vsnprintf(text, capacity, fmt, args);
    if (wanted < 0) {
        text[0] = '\0';
        return 0;
    }
    size_t bytes = (size_t)wanted;
    if (bytes >= capacity) {
        bytes = whole_characters(text, capacity - 1);
        text[bytes] = '\0';
    }
    return bytes;
}

wr_status wr_fail(struct wr_error *err, enum wr_error_class cls, const char *fmt, ...)
{
    if (err == NULL) {
        return WR_FAIL;
    }
    char text[sizeof(err->message)];
    va_list args;
    va_start(args, fmt);
    const size_t bytes = format(text, sizeof(text), fmt, args);
    va_end(args);
    err->cls = cls;
    memcpy(err->message, text, bytes + 1);
    err->detail[0] = '\0';
    err->hint[0] = '\0';
    return WR_FAIL;
}

void wr_error_detail(struct wr_error *err, const char *fmt, ...)
{
    if (err == NULL) {
        return;
    }
    char text[sizeof(err->detail)];
    va_list args;
    va_start(args, fmt);
    const size_t bytes = format(text, sizeof(text), fmt, args);
    va_end(args);
    memcpy(err->detail, text, bytes + 1);
}

void wr_error_hint(struct wr_error *err, const char *fmt, ...)
{
    if (err == NULL) {
        return;
    }
    char text[sizeof(err->hint)];
    va_list args;
    va_start(args, fmt);
    const size_t bytes = format(text, sizeof(text), fmt, args);
    va_end(args);
    memcpy(err->hint, text, bytes + 1);
}

void wr_error_prefix(struct wr_error *err, const char *fmt, ...)
{
    if (err == NULL) {
        return;
    }
    char text[sizeof(err->message)];
    va_list args;
    va_start(args, fmt);
    size_t bytes = format(text, sizeof(text) - 2, fmt, args); /* room for ": " */
    va_end(args);
    text[bytes++] = ':';
    text[bytes++] = ' ';

    size_t kept = strlen(err->message);
    if (kept > sizeof(text) - 1 - bytes) {
        kept = whole_characters(err->message, sizeof(text) - 1 - bytes);
    }
    memcpy(text + bytes, err->message, kept);
    text[bytes + kept] = '\0';
    memcpy(err->message, text, bytes + kept + 1);
}
