/* fn_text.c: functions that measure texts or give a part of one. Parts borrow from the argument;
 * nothing is copied. Lengths and positions count characters, from 1, as PostgreSQL's. */
#include "exec/eval_node.h"
#include "exec/eval_utf8.h"

/* ---- lengths and positions ---- */

static void count_characters(struct wr_call *call)
{
    int32_t *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const struct wr_slice text = wr_arg_text(call, 0, row);
        out[row] = (int32_t)wr_utf8_count(text.data, text.bytes);
    }
}

void wr_kernel_LENGTH(struct wr_call *call)
{
    count_characters(call);
}

void wr_kernel_CHAR_LENGTH(struct wr_call *call)
{
    count_characters(call);
}

static void count_bytes(struct wr_call *call)
{
    const struct wr_view *a = wr_arg_values(call, 0);
    int32_t *out = wr_result_values(call);
    for (uint32_t i = 0; i < call->rows; i++) {
        out[i] = (int32_t)a[i].bytes;
    }
}

void wr_kernel_OCTET_LENGTH(struct wr_call *call)
{
    count_bytes(call);
}

void wr_kernel_LENGTH_BYTES(struct wr_call *call)
{
    count_bytes(call);
}

/* Where needle begins in text, or NULL; an empty one at its start. */
static const char *find(struct wr_slice text, struct wr_slice needle)
{
    return needle.bytes == 0 ? text.data
                             : memmem(text.data, text.bytes, needle.data, needle.bytes);
}

static void find_position(struct wr_call *call, uint32_t haystack_arg)
{
    int32_t *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const struct wr_slice text = wr_arg_text(call, haystack_arg, row);
        const char *found = find(text, wr_arg_text(call, 1 - haystack_arg, row));
        out[row] = found == NULL
                       ? 0
                       : (int32_t)wr_utf8_count(text.data, (size_t)(found - text.data)) + 1;
    }
}

void wr_kernel_POSITION(struct wr_call *call)
{
    find_position(call, 1);
}

void wr_kernel_STRPOS(struct wr_call *call)
{
    find_position(call, 0);
}

void wr_kernel_STARTS_WITH(struct wr_call *call)
{
    uint8_t *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const struct wr_slice text = wr_arg_text(call, 0, row);
        const struct wr_slice with = wr_arg_text(call, 1, row);
        out[row] = text.bytes >= with.bytes && memcmp(text.data, with.data, with.bytes) == 0;
    }
}

void wr_kernel_ENDS_WITH(struct wr_call *call)
{
    uint8_t *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const struct wr_slice text = wr_arg_text(call, 0, row);
        const struct wr_slice with = wr_arg_text(call, 1, row);
        out[row] = text.bytes >= with.bytes &&
                   memcmp(text.data + text.bytes - with.bytes, with.data, with.bytes) == 0;
    }
}

void wr_kernel_CONTAINS(struct wr_call *call)
{
    uint8_t *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        out[row] = find(wr_arg_text(call, 0, row), wr_arg_text(call, 1, row)) != NULL;
    }
}

void wr_kernel_ASCII(struct wr_call *call)
{
    int32_t *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const struct wr_slice text = wr_arg_text(call, 0, row);
        const char *at = text.data;
        out[row] = text.bytes == 0 ? 0 : (int32_t)wr_utf8_decode(&at, text.data + text.bytes);
    }
}

/* ---- trimming ---- */

/* Which characters go: any of set (bytes of UTF-8). */
static bool in_set(struct wr_slice set, const char *character, size_t bytes)
{
    if (set.bytes == 1 && bytes == 1) {
        return *set.data == *character;
    }
    for (const char *at = set.data, *end = set.data + set.bytes; at < end;) {
        const char *next = wr_utf8_next(at, end);
        if ((size_t)(next - at) == bytes && memcmp(at, character, bytes) == 0) {
            return true;
        }
        at = next;
    }
    return false;
}

static const char *character_before(const char *begin, const char *end)
{
    const char *at = end - 1;
    for (int i = 0; i < 3 && at > begin && wr_utf8_continues(*at); i++) {
        at--;
    }
    return at;
}

static void trim_rows(struct wr_call *call, bool left, bool right)
{
    const bool has_set = call->node->arg_count > 1;
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const struct wr_slice text = wr_arg_text(call, 0, row);
        const struct wr_slice set =
            has_set ? wr_arg_text(call, 1, row) : WR_SLICE_LITERAL(" ");
        const char *begin = text.data;
        const char *end = text.data + text.bytes;
        while (left && begin < end) {
            const char *next = wr_utf8_next(begin, end);
            if (!in_set(set, begin, (size_t)(next - begin))) {
                break;
            }
            begin = next;
        }
        while (right && begin < end) {
            const char *last = character_before(begin, end);
            if (!in_set(set, last, (size_t)(end - last))) {
                break;
            }
            end = last;
        }
        wr_result_borrow(call, row, begin, (size_t)(end - begin));
    }
}

#define TRIM_KERNEL(ID, LEFT_SIDE, RIGHT_SIDE)                                                     \
    void wr_kernel_##ID(struct wr_call *call)                                                      \
    {                                                                                              \
        trim_rows(call, LEFT_SIDE, RIGHT_SIDE);                                                    \
    }

TRIM_KERNEL(TRIM, true, true)
TRIM_KERNEL(TRIM_CHARS, true, true)
TRIM_KERNEL(BTRIM, true, true)
TRIM_KERNEL(BTRIM_CHARS, true, true)
TRIM_KERNEL(LTRIM, true, false)
TRIM_KERNEL(LTRIM_CHARS, true, false)
TRIM_KERNEL(RTRIM, false, true)
TRIM_KERNEL(RTRIM_CHARS, false, true)

/* ---- parts ---- */

/* Characters first..last-1, counted from 0; both may lie outside. */
static void put_part(struct wr_call *call, uint32_t row, struct wr_slice text, int64_t first,
                     int64_t last)
{
    const char *end = text.data + text.bytes;
    first = first < 0 ? 0 : first;
    last = last < first ? first : last;
    const char *from = wr_utf8_skip(text.data, end, (uint64_t)first);
    const char *to = wr_utf8_skip(from, end, (uint64_t)(last - first));
    wr_result_borrow(call, row, from, (size_t)(to - from));
}

static void substring(struct wr_call *call)
{
    const bool bounded = call->node->arg_count > 2;
    const int32_t *starts = wr_arg_values(call, 1);
    const int32_t *lengths = bounded ? wr_arg_values(call, 2) : NULL;
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        /* A start before the text eats up the length: substring('abc', -1, 3) is 'a'. */
        const int64_t first = (int64_t)starts[row] - 1;
        if (bounded && lengths[row] < 0) {
            wr_result_fail(call, row, "negative substring length");
            continue;
        }
        put_part(call, row, wr_arg_text(call, 0, row), first,
                 bounded ? first + lengths[row] : INT64_MAX);
    }
}

void wr_kernel_SUBSTRING(struct wr_call *call)
{
    substring(call);
}

void wr_kernel_SUBSTRING_FOR(struct wr_call *call)
{
    substring(call);
}

void wr_kernel_SUBSTR(struct wr_call *call)
{
    substring(call);
}

void wr_kernel_SUBSTR_FOR(struct wr_call *call)
{
    substring(call);
}

/* A negative count means all but so many. */
void wr_kernel_LEFT(struct wr_call *call)
{
    const int32_t *counts = wr_arg_values(call, 1);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const struct wr_slice text = wr_arg_text(call, 0, row);
        int64_t last = counts[row];
        if (last < 0) {
            last += wr_utf8_count(text.data, text.bytes);
        }
        put_part(call, row, text, 0, last);
    }
}

void wr_kernel_RIGHT(struct wr_call *call)
{
    const int32_t *counts = wr_arg_values(call, 1);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const struct wr_slice text = wr_arg_text(call, 0, row);
        int64_t first = -(int64_t)counts[row];
        if (counts[row] >= 0) {
            first += wr_utf8_count(text.data, text.bytes);
        }
        put_part(call, row, text, first, INT64_MAX);
    }
}

/* The wanted-th (from 0) part between separators, from the left. False when there are fewer. */
static bool part_at(struct wr_slice text, struct wr_slice separator, int64_t wanted,
                    struct wr_slice *part)
{
    const char *at = text.data;
    const char *end = text.data + text.bytes;
    for (;; wanted--) {
        const char *next = memmem(at, (size_t)(end - at), separator.data, separator.bytes);
        if (wanted == 0) {
            *part = (struct wr_slice){ at, (size_t)((next == NULL ? end : next) - at) };
            return true;
        }
        if (next == NULL) {
            return false;
        }
        at = next + separator.bytes;
    }
}

static int64_t count_parts(struct wr_slice text, struct wr_slice separator)
{
    int64_t count = 1;
    const char *at = text.data;
    const char *end = text.data + text.bytes;
    while ((at = memmem(at, (size_t)(end - at), separator.data, separator.bytes)) != NULL) {
        at += separator.bytes;
        count++;
    }
    return count;
}

void wr_kernel_SPLIT_PART(struct wr_call *call)
{
    const int32_t *numbers = wr_arg_values(call, 2);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const struct wr_slice text = wr_arg_text(call, 0, row);
        const struct wr_slice separator = wr_arg_text(call, 1, row);
        struct wr_slice part = { text.data, 0 };
        int64_t number = numbers[row];
        if (number == 0) {
            wr_result_fail(call, row, "the field number must not be zero");
            continue;
        }
        if (separator.bytes == 0) {
            part.bytes = number == 1 || number == -1 ? text.bytes : 0;
        } else {
            number = number > 0 ? number - 1 : number + count_parts(text, separator);
            if (number < 0 || !part_at(text, separator, number, &part)) {
                part = (struct wr_slice){ text.data, 0 };
            }
        }
        wr_result_borrow(call, row, part.data, part.bytes);
    }
}
