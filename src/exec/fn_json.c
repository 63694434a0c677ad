/* fn_json.c: -> and ->> over JSON text, json_typeof, json_array_length.
 *
 * JSON values are well-formed text (they were checked when they became JSON); walking skips values
 * with the scanner of batch/json_scan.h and parses nothing else. What is found is part of the
 * argument's text and borrows it; ->> gives a string's text and NULL for null. Of duplicate keys
 * the last counts, as in PostgreSQL's jsonb.
 */
#include "batch/json_scan.h"
#include "exec/eval_node.h"

/* The text without white space around it. */
static struct wr_slice trimmed(struct wr_slice json)
{
    const char *end = json.data + json.bytes;
    const char *at = wr_json_skip_space(json.data, end);
    while (end > at && (end[-1] == ' ' || end[-1] == '\n' || end[-1] == '\r' || end[-1] == '\t')) {
        end--;
    }
    return (struct wr_slice){ at, (size_t)(end - at) };
}

/* Does the inside of a JSON string (escapes and all) spell key? scratch: for strings with escapes.
 * */
static bool key_is(const char *name, size_t bytes, bool escaped, struct wr_slice key,
                   struct wr_arena *scratch)
{
    if (!escaped) {
        return bytes == key.bytes && memcmp(name, key.data, bytes) == 0;
    }
    if (bytes < key.bytes) {
        return false; /* an escape is never shorter than what it stands for */
    }
    char *room = wr_arena_alloc(scratch, bytes);
    const size_t length = wr_json_unescape(name, bytes, room);
    return length == key.bytes && memcmp(room, key.data, length) == 0;
}

/* After the value at at and the comma behind it; *more: whether there was a comma. NULL: not JSON.
 * */
static const char *after_value(const char *value_end, const char *end, bool *more)
{
    const char *at = wr_json_skip_space(value_end, end);
    *more = at < end && *at == ',';
    return *more ? wr_json_skip_space(at + 1, end) : at;
}

static bool get_key(struct wr_slice json, struct wr_slice key, struct wr_arena *scratch,
                    struct wr_slice *value)
{
    const char *end = json.data + json.bytes;
    if (json.bytes == 0 || *json.data != '{') {
        return false;
    }
    const char *at = wr_json_skip_space(json.data + 1, end);
    bool found = false;
    bool more = at < end && *at == '"';
    while (more) {
        bool escaped = false;
        const char *name = at + 1;
        const char *after = at < end && *at == '"' ? wr_json_scan_string(name, end, &escaped, NULL)
                                                   : NULL;
        if (after == NULL) {
            return found;
        }
        at = wr_json_skip_space(after, end);
        if (at == end || *at != ':') {
            return found;
        }
        const char *begin = wr_json_skip_space(at + 1, end);
        const char *value_end = wr_json_scan_value(begin, end, 1, NULL);
        if (value_end == NULL) {
            return found;
        }
        if (key_is(name, (size_t)(after - 1 - name), escaped, key, scratch)) {
            *value = (struct wr_slice){ begin, (size_t)(value_end - begin) };
            found = true;
        }
        at = after_value(value_end, end, &more);
    }
    return found;
}

/* Counts the elements and, when wanted < count, gives that one. -1: not an array. */
static int64_t walk_array(struct wr_slice json, int64_t wanted, struct wr_slice *value)
{
    const char *end = json.data + json.bytes;
    if (json.bytes == 0 || *json.data != '[') {
        return -1;
    }
    const char *at = wr_json_skip_space(json.data + 1, end);
    int64_t count = 0;
    bool more = at < end && *at != ']';
    while (more) {
        const char *value_end = wr_json_scan_value(at, end, 1, NULL);
        if (value_end == NULL) {
            return count;
        }
        if (count == wanted) {
            *value = (struct wr_slice){ at, (size_t)(value_end - at) };
        }
        count++;
        at = after_value(value_end, end, &more);
    }
    return count;
}

/* Negative indexes count from the end. */
static bool get_index(struct wr_slice json, int32_t index, struct wr_slice *value)
{
    int64_t wanted = index;
    if (index < 0) {
        wanted += walk_array(json, -1, value);
        if (wanted < 0) {
            return false;
        }
    }
    return walk_array(json, wanted, value) > wanted;
}

static void put_json(struct wr_call *call, uint32_t row, struct wr_slice value, bool as_text)
{
    if (!as_text) {
        wr_result_borrow(call, row, value.data, value.bytes);
    } else if (wr_slice_is(value, "null")) {
        wr_result_null(call, row);
    } else if (value.bytes < 2 || *value.data != '"') {
        wr_result_borrow(call, row, value.data, value.bytes);
    } else if (memchr(value.data, '\\', value.bytes) == NULL) {
        wr_result_borrow(call, row, value.data + 1, value.bytes - 2);
    } else {
        char *room = wr_result_room(call, value.bytes);
        const size_t bytes = wr_json_unescape(value.data + 1, value.bytes - 2, room);
        wr_result_borrow(call, row, room, bytes);
    }
}

static void get_keys(struct wr_call *call, bool as_text)
{
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        struct wr_slice value;
        const struct wr_slice json = trimmed(wr_arg_text(call, 0, row));
        if (get_key(json, wr_arg_text(call, 1, row), call->run->arena, &value)) {
            put_json(call, row, value, as_text);
        } else {
            wr_result_null(call, row);
        }
    }
}

static void get_indexes(struct wr_call *call, bool as_text)
{
    const int32_t *indexes = wr_arg_values(call, 1);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        struct wr_slice value;
        if (get_index(trimmed(wr_arg_text(call, 0, row)), indexes[row], &value)) {
            put_json(call, row, value, as_text);
        } else {
            wr_result_null(call, row);
        }
    }
}

void wr_kernel_JSON_GET(struct wr_call *call)
{
    get_keys(call, false);
}

void wr_kernel_JSON_GET_TEXT(struct wr_call *call)
{
    get_keys(call, true);
}

void wr_kernel_JSON_GET_INDEX(struct wr_call *call)
{
    get_indexes(call, false);
}

void wr_kernel_JSON_GET_INDEX_TEXT(struct wr_call *call)
{
    get_indexes(call, true);
}

void wr_kernel_JSON_TYPEOF(struct wr_call *call)
{
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        const struct wr_slice json = trimmed(wr_arg_text(call, 0, row));
        const char first = json.bytes == 0 ? 'n' : *json.data;
        const char *name = first == '{'                   ? "object"
                           : first == '['                 ? "array"
                           : first == '"'                 ? "string"
                           : first == 't' || first == 'f' ? "boolean"
                           : first == 'n'                 ? "null"
                                                          : "number";
        wr_result_text(call, row, name, strlen(name));
    }
}

void wr_kernel_JSON_ARRAY_LENGTH(struct wr_call *call)
{
    int32_t *out = wr_result_values(call);
    WR_FOR_EACH_LIVE(call->live, call->words, row)
    {
        struct wr_slice value;
        const int64_t count = walk_array(trimmed(wr_arg_text(call, 0, row)), -1, &value);
        if (count < 0) {
            wr_result_fail(call, row, "the JSON value is not an array");
        } else {
            out[row] = (int32_t)count;
        }
    }
}
