/* kinesis_block.c: see kinesis_block.h. */
#include "source/kinesis_block.h"

#include "base/heap.h"
#include "base/limits.h"
#include "batch/json_scan.h"
#include "batch/text.h"
#include <math.h>

struct wr_kinesis_block *wr_kinesis_block_create(void)
{
    struct wr_kinesis_block *block = wr_calloc(1, sizeof *block);
    block->refs = 1;
    return block;
}

void wr_kinesis_block_release(struct wr_kinesis_block *block)
{
    if (block != NULL && --block->refs == 0) {
        wr_buf_deinit(&block->body);
        free(block->items);
        free(block->marks);
        free(block);
    }
}

int wr_kinesis_compare(struct wr_slice a, struct wr_slice b)
{
    if (a.bytes != b.bytes) {
        return a.bytes < b.bytes ? -1 : 1;
    }
    return a.bytes > 0 ? memcmp(a.data, b.data, a.bytes) : 0;
}

bool wr_kinesis_is_sequence(struct wr_slice text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
    }
    return text.bytes > 0 && text.bytes <= WR_KINESIS_SEQUENCE_BYTES_MAX &&
           (text.bytes == 1 || text.data[0] != '0');
}

/* ---- base64 ---- */

/* 64: no digit. */
static uint32_t digit_of(uint8_t c)
{
    static const uint8_t digits[128] = {
        64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64,
        64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 62, 64, 64, 64, 63, 52, 53, 54, 55,
        56, 57, 58, 59, 60, 61, 64, 64, 64, 64, 64, 64, 64, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
        13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 64, 64, 64, 64, 64, 64, 26, 27, 28, 29, 30, 31, 32,
        33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 64, 64, 64, 64, 64,
    };
    return c < 128 ? digits[c] : 64;
}

bool wr_kinesis_base64(char *text, size_t bytes, size_t *made)
{
    const uint8_t *from = (const uint8_t *)text;
    uint8_t *to = (uint8_t *)text;
    uint32_t wrong = 0;
    size_t left = bytes;
    if (bytes % 4 != 0) {
        return false;
    }
    if (left > 0 && text[left - 1] == '=') {
        left -= text[left - 2] == '=' ? 2 : 1;
    }
    for (; left >= 4; left -= 4, from += 4, to += 3) {
        const uint32_t a = digit_of(from[0]), b = digit_of(from[1]);
        const uint32_t c = digit_of(from[2]), d = digit_of(from[3]);
        const uint32_t group = a << 18 | b << 12 | c << 6 | d;
        wrong |= a | b | c | d;
        to[0] = (uint8_t)(group >> 16);
        to[1] = (uint8_t)(group >> 8);
        to[2] = (uint8_t)group;
    }
    if (left > 0) {
        const uint32_t a = digit_of(from[0]), b = digit_of(from[1]);
        const uint32_t c = left > 2 ? digit_of(from[2]) : 0;
        wrong |= a | b | c;
        *to++ = (uint8_t)(a << 2 | b >> 4);
        if (left > 2) {
            *to++ = (uint8_t)(b << 4 | c >> 2);
        }
    }
    *made = (size_t)(to - (uint8_t *)text);
    return (wrong & 64) == 0;
}

/* ---- JSON, in place ---- */

struct walk {
    char *at;
    char *end;
    bool bad;
};

static bool wrong(struct walk *w)
{
    w->bad = true;
    return false;
}

static void skip_space(struct walk *w)
{
    w->at += wr_json_skip_space(w->at, w->end) - w->at;
}

static bool take_byte(struct walk *w, char byte)
{
    skip_space(w);
    if (w->at < w->end && *w->at == byte) {
        w->at++;
        return true;
    }
    return false;
}

/* A string, decoded where it stands. */
static bool take_text(struct walk *w, struct wr_slice *text)
{
    bool escaped;
    if (!take_byte(w, '"')) {
        return wrong(w);
    }
    const char *behind = wr_json_scan_string(w->at, w->end, &escaped, NULL);
    if (behind == NULL) {
        return wrong(w);
    }
    *text = (struct wr_slice){ w->at, (size_t)(behind - w->at) - 1 };
    if (escaped) {
        char *decoded = wr_malloc(text->bytes);
        const size_t bytes = wr_json_unescape(text->data, text->bytes, decoded);
        memcpy(w->at, decoded, bytes);
        free(decoded);
        text->bytes = bytes;
    }
    w->at += behind - w->at;
    return true;
}

/* Any value as it stands. */
static bool take_raw(struct walk *w, struct wr_slice *raw)
{
    skip_space(w);
    const char *behind = w->at < w->end ? wr_json_scan_value(w->at, w->end, 0, NULL) : NULL;
    if (behind == NULL) {
        return wrong(w);
    }
    *raw = (struct wr_slice){ w->at, (size_t)(behind - w->at) };
    w->at += raw->bytes;
    return true;
}

/* A string, or null: data NULL. */
static bool take_text_or_null(struct walk *w, struct wr_slice *text)
{
    skip_space(w);
    if (w->at < w->end && *w->at == '"') {
        return take_text(w, text);
    }
    struct wr_slice raw;
    *text = (struct wr_slice){ 0 };
    return take_raw(w, &raw) && (wr_slice_is(raw, "null") || wrong(w));
}

/* A number, or null: what it was before. */
static bool take_number(struct walk *w, double *number)
{
    struct wr_slice raw;
    if (!take_raw(w, &raw)) {
        return false;
    }
    return wr_slice_is(raw, "null") || wr_json_scan_number(raw.data, raw.data + raw.bytes) != NULL
               ? raw.data[0] == 'n' || wr_text_parse_double(raw, number) || wrong(w)
               : wrong(w);
}

/* The next member's name, behind '{' (first) or a member. False: the object is over, or bad. */
static bool next_member(struct walk *w, bool *first, struct wr_slice *name)
{
    if (take_byte(w, '}')) {
        return false;
    }
    if (!*first && !take_byte(w, ',')) {
        return wrong(w);
    }
    *first = false;
    return take_text(w, name) && (take_byte(w, ':') || wrong(w));
}

/* ---- records ---- */

struct reading {
    struct wr_kinesis_block *block;
    struct wr_kpl *kpl;
    const struct wr_hash_range *range;
    const struct wr_kinesis_cursor *cursor;
    int64_t position;
    uint32_t capacity;
    bool behind_cursor; /* a record after it has come: the following ones are too */
    struct wr_kinesis_answer *answer;
};

struct raw_record {
    struct wr_slice data;
    struct wr_slice key;
    struct wr_slice sequence;
    double arrived_s;
};

static bool take_record(struct walk *w, struct raw_record *record)
{
    bool first = true;
    struct wr_slice name, other;
    *record = (struct raw_record){ .arrived_s = NAN };
    if (!take_byte(w, '{')) {
        return wrong(w);
    }
    while (next_member(w, &first, &name)) {
        bool good;
        if (wr_slice_is(name, "Data")) {
            good = take_text(w, &record->data);
        } else if (wr_slice_is(name, "PartitionKey")) {
            good = take_text(w, &record->key);
        } else if (wr_slice_is(name, "SequenceNumber")) {
            good = take_text(w, &record->sequence);
        } else if (wr_slice_is(name, "ApproximateArrivalTimestamp")) {
            good = take_number(w, &record->arrived_s);
        } else {
            good = take_raw(w, &other);
        }
        if (!good) {
            return false;
        }
    }
    return !w->bad && record->data.data != NULL && record->key.data != NULL &&
           wr_kinesis_is_sequence(record->sequence);
}

static void add_item(struct reading *r, const struct raw_record *record, int64_t timestamp_us,
                     const struct wr_kpl_record *sub)
{
    struct wr_kinesis_block *block = r->block;
    if (block->count == r->capacity) {
        r->capacity = r->capacity * 2 + 64;
        block->items = wr_realloc(block->items, r->capacity * sizeof *block->items);
        block->marks = wr_realloc(block->marks, r->capacity * sizeof *block->marks);
    }
    const struct wr_slice data = sub != NULL ? sub->data : record->data;
    const struct wr_slice key = sub != NULL ? sub->key : record->key;
    block->items[block->count] = (struct wr_record){ .data = data.data,
                                                     .bytes = (uint32_t)data.bytes,
                                                     .key = key.data,
                                                     .key_bytes = (uint32_t)key.bytes,
                                                     .position = r->position++,
                                                     .timestamp_us = timestamp_us };
    block->marks[block->count++] =
        (struct wr_kinesis_mark){ .sequence = record->sequence.data,
                                  .sequence_bytes = (uint8_t)record->sequence.bytes,
                                  .packed = sub != NULL,
                                  .last = sub == NULL || sub->last,
                                  .sub = sub != NULL ? sub->sub : 0 };
}

/* The first sub-record to be given; false: the record was given whole. */
static bool is_new(struct reading *r, struct wr_slice sequence, uint32_t *first_sub)
{
    *first_sub = 0;
    if (r->behind_cursor || r->cursor->sequence[0] == '\0') {
        return true;
    }
    const int order = wr_kinesis_compare(sequence, wr_slice_of(r->cursor->sequence));
    r->behind_cursor = order > 0;
    if (order == 0 && r->cursor->within) {
        *first_sub = r->cursor->sub + 1;
        return true;
    }
    return order > 0;
}

static bool give_record(struct reading *r, struct raw_record *record)
{
    size_t bytes;
    uint32_t first_sub;
    char *data = r->block->body.data + (record->data.data - r->block->body.data);
    if (!wr_kinesis_base64(data, record->data.bytes, &bytes) || bytes > WR_RECORD_BYTES_MAX) {
        return false;
    }
    record->data.bytes = bytes;
    const bool dated = record->arrived_s >= 0 && record->arrived_s < 1e11; /* up to the year 5138 */
    const int64_t arrival_ms = dated ? llround(record->arrived_s * 1000) : 0;
    const int64_t timestamp_us = dated ? arrival_ms * 1000 : WR_RECORD_NO_TIME;
    r->answer->last_sequence = record->sequence;
    r->answer->last_arrival_ms = dated ? arrival_ms : r->answer->last_arrival_ms;
    r->answer->came++;
    if (!is_new(r, record->sequence, &first_sub)) {
        return true;
    }
    if (!wr_kpl_open(r->kpl, record->data, r->range)) {
        if (first_sub == 0) {
            add_item(r, record, timestamp_us, NULL);
        }
        return true;
    }
    for (uint32_t i = first_sub; i < wr_kpl_count(r->kpl); i++) {
        const struct wr_kpl_record sub = wr_kpl_at(r->kpl, i);
        if (!sub.elsewhere) {
            add_item(r, record, timestamp_us, &sub);
        }
    }
    return true;
}

static bool take_records(struct walk *w, struct reading *r)
{
    struct raw_record record;
    bool first = true;
    if (!take_byte(w, '[')) {
        return wrong(w);
    }
    while (!take_byte(w, ']')) {
        if ((!first && !take_byte(w, ',')) || !take_record(w, &record) || !give_record(r, &record)) {
            return wrong(w);
        }
        first = false;
    }
    return true;
}

static bool take_member(struct walk *w, struct reading *r, struct wr_slice name)
{
    struct wr_kinesis_answer *answer = r->answer;
    struct wr_slice raw;
    if (wr_slice_is(name, "Records")) {
        return answer->came == 0 && take_records(w, r);
    }
    if (wr_slice_is(name, "NextShardIterator")) {
        return take_text_or_null(w, &answer->next_iterator);
    }
    if (wr_slice_is(name, "ContinuationSequenceNumber")) {
        return take_text_or_null(w, &answer->continuation);
    }
    if (wr_slice_is(name, "MillisBehindLatest")) {
        double behind = -1;
        if (!take_number(w, &behind)) {
            return false;
        }
        answer->behind_ms = behind >= 0 && behind < 1e15 ? (int64_t)behind : -1;
        return true;
    }
    if (!take_raw(w, &raw)) {
        return false;
    }
    if (wr_slice_is(name, "ChildShards") && raw.data[0] == '[' && raw.bytes > 2) {
        answer->children = raw;
    }
    return true;
}

wr_status wr_kinesis_block_read(struct wr_kinesis_block *block, struct wr_kpl *kpl,
                                const struct wr_hash_range *range,
                                const struct wr_kinesis_cursor *cursor, int64_t position,
                                struct wr_kinesis_answer *answer, struct wr_error *err)
{
    struct reading r = { .block = block,
                         .kpl = kpl,
                         .range = range,
                         .cursor = cursor,
                         .position = position,
                         .answer = answer };
    struct walk w = { block->body.data, block->body.data + block->body.bytes, false };
    bool first = true;
    struct wr_slice name;
    *answer = (struct wr_kinesis_answer){ .behind_ms = -1, .last_arrival_ms = INT64_MIN };
    if (block->body.bytes == 0 || !take_byte(&w, '{')) {
        return wr_fail(err, WR_CLASS_RETRY, "the answer is no JSON object");
    }
    while (next_member(&w, &first, &name)) {
        if (!take_member(&w, &r, name)) {
            w.bad = true;
            break;
        }
    }
    skip_space(&w);
    if (w.bad || w.at != w.end ||
        (answer->continuation.data != NULL && !wr_kinesis_is_sequence(answer->continuation))) {
        block->count = 0; /* (2) */
        return wr_fail(err, WR_CLASS_RETRY, "the answer is not understood at its byte %zu",
                       (size_t)(w.at - block->body.data));
    }
    block->held = sizeof *block + block->body.capacity +
                  (uint64_t)r.capacity * (sizeof *block->items + sizeof *block->marks);
    return WR_OK;
}
