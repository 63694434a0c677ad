/* fn_text_make.c: functions that make new texts: concatenation, padding, replacement. A result is
 * never longer than a record may be (WR_RECORD_BYTES_MAX); asking for more is an error of the row.
 * */
#include "exec/eval_node.h"
#include "exec/eval_utf8.h"

#define TOO_LONG "the resulting text is too long"

/* Where a text of bytes is put together: small when it will lie inside the view. NULL after a
 * failure. */
static char *begin_text(struct wr_call *call, uint32_t row, uint64_t bytes, char *small)
{
    if (bytes > WR_RECORD_BYTES_MAX) {
        wr_result_fail(call, row, TOO_LONG);
        return NULL;
    }
    return bytes <= WR_VIEW_INLINE_BYTES ? small : wr_result_room(call, (size_t)bytes);
}

static char *put(char *at, struct wr_slice text)
{
    if (text.bytes > 0) {
        memcpy(at, text.data, text.bytes);
    }
    return at + text.bytes;
}

/* ---- concatenation ---- */

/* Joins arguments first.. that are not NULL. */
static void join(struct wr_call *call, uint32_t row, uint32_t first, struct wr_slice separator)
{
    char small[WR_VIEW_INLINE_BYTES];
    uint64_t bytes = 0;
    bool any = false;
    for (uint32_t i = first; i < call->node->arg_count; i++) {
        if (!wr_column_is_null(wr_arg(call, i), row)) {
            bytes += wr_arg_text(call, i, row).bytes + (any ? separator.bytes : 0);
            any = true;
        }
    }
    char *text = begin_text(call, row, bytes, small);
    if (text == NULL) {
        return;
    }
    char *at = text;
    any = false;
    for (uint32_t i = first; i < call->node->arg_count; i++) {
        if (!wr_column_is_null(wr_arg(call, i), row)) {
            at = any ? put(at, separator) : at;
            at = put(at, wr_arg_text(call, i, row));
            any = true;
        }
    }
    wr_result_borrow(call, row, text, (size_t)bytes);
}

static void join_rows(struct wr_call *call)
{
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        join(call, row, 0, (struct wr_slice){ NULL, 0 });
    }
}

void wr_kernel_CONCAT_OP(struct wr_call *call)
{
    join_rows(call);
}

void wr_kernel_CONCAT(struct wr_call *call)
{
    join_rows(call);
}

void wr_kernel_CONCAT_WS(struct wr_call *call)
{
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        if (wr_column_is_null(wr_arg(call, 0), row)) {
            wr_result_null(call, row);
        } else {
            join(call, row, 1, wr_arg_text(call, 0, row));
        }
    }
}

void wr_kernel_REPEAT(struct wr_call *call)
{
    const int32_t *counts = wr_arg_values(call, 1);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        char small[WR_VIEW_INLINE_BYTES];
        const struct wr_slice text = wr_arg_text(call, 0, row);
        const uint64_t count = counts[row] > 0 ? (uint64_t)counts[row] : 0;
        char *into = begin_text(call, row, count * text.bytes, small);
        if (into == NULL) {
            continue;
        }
        char *at = into;
        for (uint64_t i = 0; i < count && text.bytes > 0; i++) {
            at = put(at, text);
        }
        wr_result_borrow(call, row, into, (size_t)(at - into));
    }
}

/* ---- padding ---- */

/* Bytes of count characters of fill, repeated. */
static uint64_t fill_bytes(struct wr_slice fill, uint64_t count)
{
    const uint64_t characters = wr_utf8_count(fill.data, fill.bytes);
    if (characters == 0) {
        return 0;
    }
    const char *rest =
        wr_utf8_skip(fill.data, fill.data + fill.bytes, count % characters);
    return count / characters * fill.bytes + (uint64_t)(rest - fill.data);
}

static char *put_fill(char *at, struct wr_slice fill, uint64_t bytes)
{
    while (bytes > 0) {
        const size_t more = bytes < fill.bytes ? (size_t)bytes : fill.bytes;
        at = put(at, (struct wr_slice){ fill.data, more });
        bytes -= more;
    }
    return at;
}

static void pad(struct wr_call *call, uint32_t row, int64_t wanted, bool left)
{
    char small[WR_VIEW_INLINE_BYTES];
    struct wr_slice text = wr_arg_text(call, 0, row);
    const struct wr_slice fill =
        call->node->arg_count > 2 ? wr_arg_text(call, 2, row) : WR_SLICE_LITERAL(" ");
    const uint64_t length = wanted > 0 ? (uint64_t)wanted : 0;
    const uint64_t has = wr_utf8_count(text.data, text.bytes);
    if (has >= length) {
        const char *end = wr_utf8_skip(text.data, text.data + text.bytes, length);
        wr_result_borrow(call, row, text.data, (size_t)(end - text.data));
        return;
    }
    const uint64_t filled = fill_bytes(fill, length - has);
    char *into = begin_text(call, row, text.bytes + filled, small);
    if (into == NULL) {
        return;
    }
    char *at = left ? put_fill(into, fill, filled) : into;
    at = put(at, text);
    at = left ? at : put_fill(at, fill, filled);
    wr_result_borrow(call, row, into, (size_t)(at - into));
}

static void pad_rows(struct wr_call *call, bool left)
{
    const int32_t *lengths = wr_arg_values(call, 1);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        pad(call, row, lengths[row], left);
    }
}

void wr_kernel_LPAD(struct wr_call *call)
{
    pad_rows(call, true);
}

void wr_kernel_LPAD_FILL(struct wr_call *call)
{
    pad_rows(call, true);
}

void wr_kernel_RPAD(struct wr_call *call)
{
    pad_rows(call, false);
}

void wr_kernel_RPAD_FILL(struct wr_call *call)
{
    pad_rows(call, false);
}

/* ---- characters exchanged ---- */

void wr_kernel_REVERSE(struct wr_call *call)
{
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        char small[WR_VIEW_INLINE_BYTES];
        const struct wr_slice text = wr_arg_text(call, 0, row);
        char *into = begin_text(call, row, text.bytes, small);
        if (into == NULL) {
            continue;
        }
        char *to = into + text.bytes;
        for (const char *at = text.data, *end = text.data + text.bytes; at < end;) {
            const char *next = wr_utf8_next(at, end);
            to -= next - at;
            memcpy(to, at, (size_t)(next - at));
            at = next;
        }
        wr_result_borrow(call, row, into, text.bytes);
    }
}

/* How often from occurs in text, not overlapping. */
static uint64_t occurrences(struct wr_slice text, struct wr_slice from)
{
    uint64_t count = 0;
    const char *at = text.data;
    const char *end = text.data + text.bytes;
    while ((at = memmem(at, (size_t)(end - at), from.data, from.bytes)) != NULL) {
        at += from.bytes;
        count++;
    }
    return count;
}

static void replace(struct wr_call *call, uint32_t row, struct wr_slice from, struct wr_slice to)
{
    char small[WR_VIEW_INLINE_BYTES];
    const struct wr_slice text = wr_arg_text(call, 0, row);
    const uint64_t count = from.bytes == 0 ? 0 : occurrences(text, from);
    if (count == 0) {
        wr_result_borrow(call, row, text.data, text.bytes);
        return;
    }
    char *into =
        begin_text(call, row, text.bytes - count * from.bytes + count * to.bytes, small);
    if (into == NULL) {
        return;
    }
    const char *at = text.data;
    const char *end = text.data + text.bytes;
    char *out = into;
    for (uint64_t i = 0; i < count; i++) {
        const char *next = memmem(at, (size_t)(end - at), from.data, from.bytes);
        out = put(out, (struct wr_slice){ at, (size_t)(next - at) });
        out = put(out, to);
        at = next + from.bytes;
    }
    out = put(out, (struct wr_slice){ at, (size_t)(end - at) });
    wr_result_borrow(call, row, into, (size_t)(out - into));
}

void wr_kernel_REPLACE(struct wr_call *call)
{
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        replace(call, row, wr_arg_text(call, 1, row), wr_arg_text(call, 2, row));
    }
}

/* The character that replaces one at [at, next): itself, or the one at the same place of to, or
 * nothing. */
static struct wr_slice translated(const char *at, const char *next, struct wr_slice from,
                                  struct wr_slice to)
{
    const size_t bytes = (size_t)(next - at);
    const char *from_end = from.data + from.bytes;
    const char *to_at = to.data;
    const char *to_end = to.data + to.bytes;
    for (const char *f = from.data; f < from_end;) {
        const char *f_next = wr_utf8_next(f, from_end);
        const char *to_next = to_at < to_end ? wr_utf8_next(to_at, to_end) : to_end;
        if ((size_t)(f_next - f) == bytes && memcmp(f, at, bytes) == 0) {
            return (struct wr_slice){ to_at, (size_t)(to_next - to_at) };
        }
        f = f_next;
        to_at = to_next;
    }
    return (struct wr_slice){ at, bytes };
}

void wr_kernel_TRANSLATE(struct wr_call *call)
{
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const struct wr_slice text = wr_arg_text(call, 0, row);
        const struct wr_slice from = wr_arg_text(call, 1, row);
        const struct wr_slice to = wr_arg_text(call, 2, row);
        /* A character becomes at most four bytes; one of four bytes shrinks at worst. */
        char small[WR_VIEW_INLINE_BYTES];
        const uint64_t most = to.bytes == 0 ? text.bytes : (uint64_t)text.bytes * 4;
        char *into = begin_text(call, row, most, small);
        if (into == NULL) {
            continue;
        }
        char *out = into;
        for (const char *at = text.data, *end = text.data + text.bytes; at < end;) {
            const char *next = wr_utf8_next(at, end);
            out = put(out, translated(at, next, from, to));
            at = next;
        }
        wr_result_borrow(call, row, into, (size_t)(out - into));
    }
}

void wr_kernel_CHR(struct wr_call *call)
{
    const int32_t *codes = wr_arg_values(call, 0);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const int32_t code = codes[row];
        char text[4];
        if (code <= 0 || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
            wr_result_fail(call, row, "%d is not a character", code);
        } else {
            const char *end = wr_utf8_encode(text, (uint32_t)code);
            wr_result_borrow(call, row, text, (size_t)(end - text));
        }
    }
}
