/* diag.c: see diag.h. */
#include "sql/diag.h"

#include "base/buf.h"

#include <stdio.h>

/* Characters of a line that are shown: a terminal's width less the indent; 2 x 100 characters of up
 * to four bytes would not fit wr_error.detail, but lines of such characters are rare and are cut.
 */
#define SHOWN_BEFORE 60u
#define SHOWN_MAX    100u

static bool is_continuation(char c)
{
    return ((uint8_t)c & 0xc0) == 0x80;
}

void wr_sql_locate(struct wr_slice text, uint32_t at, uint32_t *line, uint32_t *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < at && i < text.bytes; i++) {
        if (text.data[i] == '\n') {
            (*line)++;
            *column = 1;
        } else if (!is_continuation(text.data[i])) {
            (*column)++;
        }
    }
}

static struct wr_slice line_around(struct wr_slice text, size_t at)
{
    size_t begin = at < text.bytes ? at : text.bytes;
    size_t end = begin;
    while (begin > 0 && text.data[begin - 1] != '\n') {
        begin--;
    }
    while (end < text.bytes && text.data[end] != '\n') {
        end++;
    }
    return (struct wr_slice){text.data + begin, end - begin};
}

static bool is_key_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
}

static bool sounds_secret(struct wr_slice key)
{
    static const char *const words[] = {"password",   "secret",      "token",   "credential",
                                        "access_key", "account_key", "api_key", "connection_string",
                                        "sas",        "jaas",        "private"};
    for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
        const size_t bytes = strlen(words[w]);
        for (size_t i = 0; i + bytes <= key.bytes; i++) {
            if (wr_slice_equal_nocase((struct wr_slice){key.data + i, bytes},
                                      (struct wr_slice){words[w], bytes})) {
                return true;
            }
        }
    }
    return false;
}

/* The bytes of a string literal that begins at line[at] (its opening quote), without the quotes,
 * when a key that sounds secret stands before it; 0 when not. */
static size_t secret_bytes(struct wr_slice line, size_t at)
{
    size_t i = at;
    while (i > 0 &&
           (line.data[i - 1] == ' ' || line.data[i - 1] == '\t' || line.data[i - 1] == '=')) {
        i--;
    }
    if (i == at || memchr(line.data + i, '=', at - i) == NULL) {
        return 0;
    }
    while (i > 0 &&
           (line.data[i - 1] == '\'' || line.data[i - 1] == '"' || line.data[i - 1] == '`')) {
        i--;
    }
    size_t begin = i;
    while (begin > 0 && is_key_byte(line.data[begin - 1])) {
        begin--;
    }
    if (!sounds_secret((struct wr_slice){line.data + begin, i - begin})) {
        return 0;
    }
    size_t end = at + 1;
    while (end < line.bytes && line.data[end] != '\'') {
        end++;
    }
    return end - at - 1;
}

/* The line as it is shown, and where the caret goes in it (characters). */
static void show_line(struct wr_slice line, size_t caret_at, struct wr_buf *shown, uint32_t *caret)
{
    uint32_t column = 0;
    *caret = UINT32_MAX;
    for (size_t i = 0; i < line.bytes; i++) {
        if (i >= caret_at && *caret == UINT32_MAX) {
            *caret = column;
        }
        const char c = line.data[i];
        if (!is_continuation(c)) {
            column++;
        }
        const bool control = (uint8_t)c < ' ' || c == 0x7f;
        wr_buf_byte(shown,
                    control ? ' ' : (uint8_t)c); /* a tab is one column, so that carets fit */
        const size_t hidden = c == '\'' ? secret_bytes(line, i) : 0;
        if (hidden > 0) {
            if (caret_at > i && caret_at <= i + hidden) {
                *caret = column;
            }
            wr_buf_text(shown, "***");
            column += 3;
            i += hidden;
        }
    }
    if (*caret == UINT32_MAX) {
        *caret = column;
    }
}

/* Byte offset of character number count. */
static size_t character_offset(const struct wr_buf *buf, uint32_t count)
{
    size_t i = 0; /* an empty line has no buffer at all */
    for (; i < buf->bytes; i++) {
        if (!is_continuation(buf->data[i]) && count-- == 0) {
            break;
        }
    }
    return i;
}

static void snippet(struct wr_slice text, uint32_t at, struct wr_error *err)
{
    const struct wr_slice line = line_around(text, at);
    const size_t offset = at < text.bytes ? at : text.bytes;
    struct wr_buf shown = {0};
    uint32_t caret;
    show_line(line, offset - (size_t)(line.data - text.data), &shown, &caret);
    const uint32_t skip = caret > SHOWN_BEFORE ? caret - SHOWN_BEFORE : 0;
    const size_t from = character_offset(&shown, skip);
    const size_t to = character_offset(&shown, skip + SHOWN_MAX);
    struct wr_buf out = {0};
    if (wr_utf8_valid(line.data, line.bytes)) {
        wr_buf_text(&out, skip > 0 ? "…" : "");
        if (to > from) {
            wr_buf_append(&out, shown.data + from, to - from);
        }
        wr_buf_text(&out, to < shown.bytes ? "…" : "");
    } else {
        for (size_t i = from; i < to; i++) { /* never hostile bytes on a terminal */
            const uint8_t c = (uint8_t)shown.data[i];
            if (c < 0x80) {
                wr_buf_byte(&out, c);
            } else if (!is_continuation((char)c)) {
                wr_buf_byte(&out, '?');
            }
        }
    }
    wr_buf_byte(&out, '\n');
    for (uint32_t i = 0; i < caret - skip + (skip > 0); i++) {
        wr_buf_byte(&out, ' ');
    }
    wr_buf_byte(&out, '^');
    wr_error_detail(err, "%s", wr_buf_cstr(&out));
    wr_buf_deinit(&out);
    wr_buf_deinit(&shown);
}

void wr_sql_place(const struct wr_sql_text *sql, uint32_t at, struct wr_error *err)
{
    if (err == NULL) {
        return;
    }
    if (at == WR_SQL_NOWHERE) {
        wr_error_prefix(err, "%s", sql->file);
        return;
    }
    uint32_t line;
    uint32_t column;
    wr_sql_locate(sql->text, at, &line, &column);
    wr_error_prefix(err, "%s:%u:%u", sql->file, line, column);
    snippet(sql->text, at, err);
}

wr_status wr_sql_vfail(const struct wr_sql_text *sql, uint32_t at, struct wr_error *err,
                       const char *fmt, va_list args)
{
    char message[768];
    vsnprintf(message, sizeof(message), fmt, args);
    (void)wr_fail(err, WR_CLASS_USER, "%s", message);
    wr_sql_place(sql, at, err);
    return WR_FAIL;
}

wr_status wr_sql_fail(const struct wr_sql_text *sql, uint32_t at, struct wr_error *err,
                      const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)wr_sql_vfail(sql, at, err, fmt, args);
    va_end(args);
    return WR_FAIL;
}
