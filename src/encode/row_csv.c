#include "encode/row_csv.h"

#include "base/assert.h"
#include "base/heap.h"
#include "batch/text.h"

#include <stdlib.h>

struct wr_row_csv {
    uint32_t count;
    uint32_t *columns;
    struct wr_buf header;
};

static bool needs_quotes(const char *data, size_t bytes)
{
    bool quotes = bytes == 0;
    for (size_t i = 0; i < bytes; i++) {
        const char c = data[i];
        quotes |= c == ',' || c == '"' || c == '\n' || c == '\r';
    }
    return quotes;
}

static void append_field(struct wr_buf *buf, const char *data, size_t bytes)
{
    if (!needs_quotes(data, bytes)) {
        wr_buf_append(buf, data, bytes);
        return;
    }
    char *out = wr_buf_reserve(buf, bytes * 2 + 2);
    *out++ = '"';
    for (size_t i = 0; i < bytes; i++) {
        if (data[i] == '"') {
            *out++ = '"';
        }
        *out++ = data[i];
    }
    *out++ = '"';
    buf->bytes = (size_t)(out - buf->data);
}

struct wr_row_csv *wr_row_csv_create(const struct wr_schema *schema, const uint32_t *columns,
                                     uint32_t columns_count)
{
    struct wr_row_csv *encoder = wr_calloc(1, sizeof *encoder);
    encoder->count = columns == NULL ? schema->count : columns_count;
    encoder->columns = wr_calloc(encoder->count + 1u, sizeof *encoder->columns);
    for (uint32_t i = 0; i < encoder->count; i++) {
        encoder->columns[i] = columns == NULL ? i : columns[i];
        wr_assert(encoder->columns[i] < schema->count);
        const char *name = schema->fields[encoder->columns[i]].name;
        if (i > 0) {
            wr_buf_byte(&encoder->header, ',');
        }
        append_field(&encoder->header, name, strlen(name));
    }
    wr_buf_byte(&encoder->header, '\n');
    return encoder;
}

void wr_row_csv_destroy(struct wr_row_csv *encoder)
{
    if (encoder != NULL) {
        free(encoder->columns);
        wr_buf_deinit(&encoder->header);
        free(encoder);
    }
}

void wr_row_csv_append_header(const struct wr_row_csv *encoder, struct wr_buf *buf)
{
    wr_buf_append(buf, encoder->header.data, encoder->header.bytes);
}

void wr_row_csv_append(const struct wr_row_csv *encoder, struct wr_buf *buf,
                       const struct wr_batch *batch, uint32_t row)
{
    for (uint32_t i = 0; i < encoder->count; i++) {
        const struct wr_column *column = &batch->columns[encoder->columns[i]];
        if (i > 0) {
            wr_buf_byte(buf, ',');
        }
        if (wr_column_is_null(column, row)) {
            continue;
        }
        const size_t width = wr_type_width(column->type);
        const char *value = (const char *)column->values + row * width;
        if (wr_type_is_nested(column->type)) {
            struct wr_buf text = { 0 };
            wr_text_format_json(&text, column->type, value);
            append_field(buf, text.data, text.bytes);
            wr_buf_deinit(&text);
        } else if (wr_type_is_view(column->type) && column->type.id != WR_TYPE_BYTES) {
            struct wr_view view;
            memcpy(&view, value, sizeof view);
            append_field(buf, wr_view_data(&view), view.bytes);
        } else {
            wr_text_format(buf, column->type, value); /* numbers, times and hex hold nothing to quote */
        }
    }
    /* A single NULL would be an empty line, which readers skip: a pair of quotes is RFC 4180's only other way. */
    if (encoder->count == 1 && wr_column_is_null(&batch->columns[encoder->columns[0]], row)) {
        wr_buf_append(buf, "\"\"", 2);
    }
    wr_buf_byte(buf, '\n');
}

void wr_row_csv_append_batch(const struct wr_row_csv *encoder, struct wr_buf *buf,
                             const struct wr_batch *batch)
{
    const uint32_t live = wr_batch_live(batch);
    for (uint32_t i = 0; i < live; i++) {
        wr_row_csv_append(encoder, buf, batch, wr_batch_row(batch, i));
    }
}
