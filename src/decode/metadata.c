/* metadata.c: see metadata.h. */
#include "decode/metadata.h"

#include "base/heap.h"
#include "batch/text.h"

enum kind { TOPIC, PARTITION, OFFSET, TIMESTAMP, KEY, HEADERS, MESSAGE_ID };

static void set_null(struct wr_batch *batch, uint32_t column, uint32_t row)
{
    const uint32_t width = wr_type_width(batch->columns[column].type);
    memset((char *)batch->columns[column].values + (size_t)row * width, 0, width);
    wr_bit_clear(wr_batch_nullable(batch, column), row);
}

/* Text that may be ill-formed: replaced where it is, in the batch's arena. */
static struct wr_view clean_text(struct wr_batch *batch, const char *data, size_t bytes)
{
    if (wr_utf8_valid(data, bytes)) {
        return wr_view_of(data, bytes);
    }
    char *into = wr_arena_alloc(&batch->arena, bytes * 3);
    size_t made = 0;
    for (size_t i = 0; i < bytes;) {
        size_t character = 1;
        while (character <= 4 && character <= bytes - i && !wr_utf8_valid(data + i, character)) {
            character++;
        }
        if (character <= 4 && character <= bytes - i) {
            memcpy(into + made, data + i, character);
            made += character;
            i += character;
        } else {
            memcpy(into + made, "\xef\xbf\xbd", 3);
            made += 3;
            i++;
        }
    }
    return wr_view_of(into, made);
}

static void fill_row(struct wr_batch *batch, enum kind kind, uint32_t column,
                     const struct wr_records *records, uint32_t row)
{
    void *values = batch->columns[column].values;
    const struct wr_record *record = &records->items[row];
    if (kind == OFFSET) {
        ((int64_t *)values)[row] = record->position;
    } else if (kind == TIMESTAMP && record->timestamp_us != WR_RECORD_NO_TIME) {
        ((int64_t *)values)[row] = record->timestamp_us;
    } else if (kind == KEY && record->key != NULL && record->key_bytes <= WR_RECORD_BYTES_MAX) {
        ((struct wr_view *)values)[row] = clean_text(batch, record->key, record->key_bytes);
    } else {
        set_null(batch, column, row);
    }
}

static void fill_headers(struct wr_batch *batch, uint32_t column, const struct wr_records *records)
{
    struct wr_buf buf = { 0 };
    for (uint32_t row = 0; row < records->count; row++) {
        struct wr_slice json = { NULL, 0 };
        if (records->headers_json != NULL) {
            buf.bytes = 0;
            json = records->headers_json(records, row, &buf);
        }
        if (json.bytes == 0 || json.bytes > WR_RECORD_BYTES_MAX) {
            set_null(batch, column, row);
            continue;
        }
        const char *copy = wr_arena_strndup(&batch->arena, json.data, json.bytes);
        ((struct wr_view *)batch->columns[column].values)[row] = wr_view_of(copy, json.bytes);
    }
    wr_buf_deinit(&buf);
}

static void fill_message_ids(struct wr_batch *batch, uint32_t column, const struct wr_records *records)
{
    for (uint32_t row = 0; row < records->count; row++) {
        const struct wr_slice id = records->message_id != NULL ? records->message_id(records, row) : (struct wr_slice){ 0 };
        if (id.bytes == 0 || id.bytes > WR_RECORD_BYTES_MAX) {
            set_null(batch, column, row);
        } else {
            ((struct wr_view *)batch->columns[column].values)[row] = clean_text(batch, id.data, id.bytes);
        }
    }
}

void wr_metadata_fill(struct wr_batch *batch, const uint32_t columns[WR_METADATA_COLUMNS],
                      const struct wr_records *records, const char *topic, int32_t partition)
{
    for (uint32_t kind = 0; kind < WR_METADATA_COLUMNS; kind++) {
        const uint32_t column = columns[kind];
        if (column == UINT32_MAX) {
            continue;
        }
        if (kind == HEADERS) {
            fill_headers(batch, column, records);
            continue;
        }
        if (kind == MESSAGE_ID) {
            fill_message_ids(batch, column, records);
            continue;
        }
        for (uint32_t row = 0; row < records->count; row++) {
            void *values = batch->columns[column].values;
            if (kind == TOPIC && records->key_is_topic) {
                fill_row(batch, KEY, column, records, row);
            } else if (kind == TOPIC && topic != NULL) {
                ((struct wr_view *)values)[row] = wr_view_of(topic, strlen(topic));
            } else if (kind == PARTITION && partition >= 0) {
                ((int32_t *)values)[row] = partition;
            } else {
                fill_row(batch, (enum kind)kind, column, records, row);
            }
        }
    }
}
