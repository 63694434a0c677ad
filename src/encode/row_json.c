#include "encode/row_json.h"

#include "base/assert.h"
#include "base/heap.h"
#include "batch/text.h"

#include <math.h>
#include <stdlib.h>

struct key {
    uint32_t column;
    uint32_t bytes;
    const char *text; /* `{"name":` or `,"name":`, into texts */
};

struct wr_row_json {
    uint32_t keys_count;
    struct key *keys;
    struct wr_buf texts;
};

struct wr_row_json *wr_row_json_create(const struct wr_schema *schema, const uint32_t *columns,
                                       uint32_t columns_count)
{
    struct wr_row_json *encoder = wr_calloc(1, sizeof *encoder);
    const uint32_t count = columns == NULL ? schema->count : columns_count;
    encoder->keys = wr_calloc(count + 1u, sizeof *encoder->keys);
    encoder->keys_count = count;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t column = columns == NULL ? i : columns[i];
        const size_t before = encoder->texts.bytes;
        wr_assert(column < schema->count);
        wr_buf_byte(&encoder->texts, i == 0 ? '{' : ',');
        wr_text_json_string(&encoder->texts, schema->fields[column].name,
                            strlen(schema->fields[column].name));
        wr_buf_byte(&encoder->texts, ':');
        encoder->keys[i].column = column;
        encoder->keys[i].bytes = (uint32_t)(encoder->texts.bytes - before);
    }
    const char *text = encoder->texts.data; /* moves no more */
    for (uint32_t i = 0; i < count; i++) {
        encoder->keys[i].text = text;
        text += encoder->keys[i].bytes;
    }
    return encoder;
}

void wr_row_json_destroy(struct wr_row_json *encoder)
{
    if (encoder != NULL) {
        free(encoder->keys);
        wr_buf_deinit(&encoder->texts);
        free(encoder);
    }
}

/* Types whose text needs no more than 32 bytes are formatted in place. */
static void append_value(struct wr_buf *buf, struct wr_type type, const char *value)
{
    int64_t number;
    double real;
    struct wr_view view;
    char *at;
    switch (type.id) {
    case WR_TYPE_INT64:
        memcpy(&number, value, sizeof number);
        at = wr_buf_reserve(buf, 32);
        buf->bytes += (size_t)(wr_text_int64(at, number) - at);
        break;
    case WR_TYPE_FLOAT64:
        memcpy(&real, value, sizeof real);
        if (!isfinite(real)) {
            wr_text_format_json(buf, type, value);
            break;
        }
        at = wr_buf_reserve(buf, 32);
        buf->bytes += (size_t)(wr_text_double(at, real) - at);
        break;
    case WR_TYPE_TEXT:
        memcpy(&view, value, sizeof view);
        wr_text_json_string(buf, wr_view_data(&view), view.bytes);
        break;
    default:
        wr_text_format_json(buf, type, value);
        break;
    }
}

void wr_row_json_append(const struct wr_row_json *encoder, struct wr_buf *buf,
                        const struct wr_batch *batch, uint32_t row)
{
    for (uint32_t i = 0; i < encoder->keys_count; i++) {
        const struct key *key = &encoder->keys[i];
        const struct wr_column *column = &batch->columns[key->column];
        wr_buf_append(buf, key->text, key->bytes);
        if (wr_column_is_null(column, row)) {
            wr_buf_append(buf, "null", 4);
        } else {
            const size_t width = wr_type_width(column->type);
            append_value(buf, column->type, (const char *)column->values + row * width);
        }
    }
    if (encoder->keys_count == 0) {
        wr_buf_byte(buf, '{');
    }
    wr_buf_byte(buf, '}');
}

void wr_row_json_append_batch(const struct wr_row_json *encoder, struct wr_buf *buf,
                              const struct wr_batch *batch)
{
    const uint32_t live = wr_batch_live(batch);
    for (uint32_t i = 0; i < live; i++) {
        wr_row_json_append(encoder, buf, batch, wr_batch_row(batch, i));
        wr_buf_byte(buf, '\n');
    }
}
