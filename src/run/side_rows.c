#include "run/side_rows.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/heap.h"
#include "batch/text.h"

struct side {
    struct wr_batch_pool *pool;
    struct wr_batch *open; /* NULL or with room for a row */
    uint64_t text_bytes;   /* copied into open: big payloads end a batch early */
};

struct wr_side_rows {
    const struct wr_plan *plan;
    struct side *sides; /* one per sink; unused ones stay zero */
    uint32_t batch_rows;
    struct wr_buf scratch;
    void (*give)(void *ctx, uint32_t sink, struct wr_batch *batch);
    void *ctx;
};

/* A batch of dead letters ends at this many bytes of payload, so that one of 10 MB records stays bounded. */
#define SIDE_TEXT_BYTES (4u << 20)

/* The fixed columns of dead letters, in the order that the binder declares them. */
enum { DL_SOURCE, DL_SPLIT, DL_POSITION, DL_TIMESTAMP, DL_KEY, DL_HEADERS, DL_VALUE, DL_ENCODING, DL_ERROR, DL_FIELD, DL_SINKS, DL_COUNT_ };

struct wr_side_rows *wr_side_rows_create(const struct wr_plan *plan, uint32_t batch_rows,
                                         void (*give)(void *ctx, uint32_t sink,
                                                      struct wr_batch *batch),
                                         void *ctx)
{
    struct wr_side_rows *side = wr_calloc(1, sizeof *side);
    side->plan = plan;
    side->batch_rows = batch_rows;
    side->give = give;
    side->ctx = ctx;
    side->sides = wr_calloc(plan->sink_count + 1, sizeof *side->sides);
    return side;
}

void wr_side_rows_destroy(struct wr_side_rows *side)
{
    if (side == NULL) {
        return;
    }
    for (uint32_t s = 0; s < side->plan->sink_count; s++) {
        wr_batch_release(side->sides[s].open);
        wr_batch_pool_destroy(side->sides[s].pool);
    }
    wr_buf_deinit(&side->scratch);
    free(side->sides);
    free(side);
}

static void finish(struct wr_side_rows *side, uint32_t sink)
{
    struct side *s = &side->sides[sink];
    struct wr_batch *batch = s->open;
    s->open = NULL;
    s->text_bytes = 0;
    if (batch != NULL) {
        side->give(side->ctx, sink, batch);
    }
}

void wr_side_rows_flush(struct wr_side_rows *side)
{
    for (uint32_t s = 0; s < side->plan->sink_count; s++) {
        finish(side, s);
    }
}

static struct wr_batch *open_batch(struct wr_side_rows *side, uint32_t sink)
{
    struct side *s = &side->sides[sink];
    if (s->open != NULL && (s->open->rows == side->batch_rows || s->text_bytes > SIDE_TEXT_BYTES)) {
        finish(side, sink);
    }
    if (s->open == NULL) {
        if (s->pool == NULL) {
            s->pool = wr_batch_pool_create(&side->plan->sinks[sink].schema, side->batch_rows, 8);
        }
        s->open = wr_batch_take(s->pool);
        s->open->origin.source = UINT32_MAX;
    }
    return s->open;
}

static void put_null(struct wr_batch *batch, uint32_t column, uint32_t row)
{
    wr_bit_clear(wr_batch_nullable(batch, column), row);
    const uint32_t width = wr_type_width(batch->columns[column].type);
    memset((char *)batch->columns[column].values + (size_t)row * width, 0, width);
}

static void put_text(struct wr_side_rows *side, uint32_t sink, struct wr_batch *batch,
                     uint32_t column, uint32_t row, struct wr_slice text)
{
    if (text.data == NULL) {
        put_null(batch, column, row);
        return;
    }
    const char *copy = text.data;
    if (text.bytes > WR_VIEW_INLINE_BYTES) {
        copy = wr_arena_strndup(&batch->arena, text.data, text.bytes);
        side->sides[sink].text_bytes += text.bytes;
    }
    ((struct wr_view *)batch->columns[column].values)[row] = wr_view_of(copy, text.bytes);
}

static void put_int64(struct wr_batch *batch, uint32_t column, uint32_t row, int64_t value)
{
    ((int64_t *)batch->columns[column].values)[row] = value;
}

/* Bytes as text: as they are when they are UTF-8 without NUL, else base64. Returns the name of the form. */
static const char *readable(struct wr_side_rows *side, struct wr_slice *value)
{
    if (wr_utf8_valid(value->data, value->bytes) &&
        (value->bytes == 0 || memchr(value->data, 0, value->bytes) == NULL)) {
        return "utf-8";
    }
    side->scratch.bytes = 0;
    wr_text_base64(&side->scratch, value->data, value->bytes);
    *value = (struct wr_slice){ side->scratch.data, side->scratch.bytes };
    return "base64";
}

static void put_value(struct wr_side_rows *side, uint32_t sink, struct wr_batch *batch,
                      uint32_t row, struct wr_slice value)
{
    if (value.data == NULL) {
        put_null(batch, DL_VALUE, row);
        put_null(batch, DL_ENCODING, row);
        return;
    }
    const char *encoding = readable(side, &value);
    put_text(side, sink, batch, DL_VALUE, row, value);
    put_text(side, sink, batch, DL_ENCODING, row, wr_slice_of(encoding));
}

static void put_key_and_headers(struct wr_side_rows *side, uint32_t sink, struct wr_batch *batch,
                                uint32_t row, const struct wr_side_origin *origin)
{
    struct wr_slice key = { 0 };
    struct wr_slice headers = { 0 };
    struct wr_buf json = { 0 };
    if (origin->records != NULL) {
        const struct wr_record *record = &origin->records->items[origin->record];
        key = (struct wr_slice){ record->key, record->key_bytes };
        if (origin->records->headers_json != NULL) {
            headers = origin->records->headers_json(origin->records, origin->record, &json);
        }
    }
    if (key.data != NULL) {
        (void)readable(side, &key);
    }
    put_text(side, sink, batch, DL_KEY, row, key);
    put_text(side, sink, batch, DL_HEADERS, row, headers.bytes > 0 ? headers : (struct wr_slice){ 0 });
    wr_buf_deinit(&json);
}

/* What lies below an operator fails for all its sinks at once: one letter, as a replay of several would count the record several
 * times in what those sinks share. */
static void put_sinks(struct wr_side_rows *side, uint32_t sink, struct wr_batch *batch,
                      uint32_t row, const struct wr_side_origin *origin)
{
    if (origin->failing == NULL) {
        put_null(batch, DL_SINKS, row);
        return;
    }
    side->scratch.bytes = 0;
    for (uint32_t i = 0; i < origin->failing_count; i++) {
        const char *name = side->plan->sinks[origin->failing[i]].name;
        wr_buf_byte(&side->scratch, i == 0 ? '[' : ',');
        wr_text_json_string(&side->scratch, name, strlen(name));
    }
    wr_buf_byte(&side->scratch, ']');
    put_text(side, sink, batch, DL_SINKS, row,
             (struct wr_slice){ side->scratch.data, side->scratch.bytes });
}

void wr_side_rows_dead_letter(struct wr_side_rows *side, uint32_t sink,
                              const struct wr_side_origin *origin, struct wr_slice value,
                              const char *error, const char *field)
{
    struct wr_batch *batch = open_batch(side, sink);
    const uint32_t row = batch->rows;
    wr_assert(batch->columns_count == DL_COUNT_);
    if (value.data == NULL && origin->records != NULL) {
        const struct wr_records *records = origin->records;
        const struct wr_record *record = &(records->raw != NULL ? records->raw : records->items)[origin->record];
        value = (struct wr_slice){ record->data, record->bytes };
    }
    batch->rows = row + 1;
    batch->ingest_us = origin->ingest_us;
    put_text(side, sink, batch, DL_SOURCE, row, wr_slice_of(origin->source_name));
    put_text(side, sink, batch, DL_SPLIT, row, wr_slice_of(origin->split_name));
    if (origin->split_name != NULL) {
        put_int64(batch, DL_POSITION, row, origin->position);
    } else {
        put_null(batch, DL_POSITION, row);
    }
    if (origin->timestamp_us != WR_RECORD_NO_TIME) {
        put_int64(batch, DL_TIMESTAMP, row, origin->timestamp_us);
    } else {
        put_null(batch, DL_TIMESTAMP, row);
    }
    put_key_and_headers(side, sink, batch, row, origin);
    put_value(side, sink, batch, row, value);
    put_text(side, sink, batch, DL_ERROR, row, wr_slice_of(error));
    put_text(side, sink, batch, DL_FIELD, row,
             field != NULL && field[0] != '\0' ? wr_slice_of(field) : (struct wr_slice){ 0 });
    put_sinks(side, sink, batch, row, origin);
}

static void copy_value(struct wr_side_rows *side, uint32_t sink, struct wr_batch *batch,
                       uint32_t column, uint32_t row, const struct wr_column *from, uint32_t at)
{
    const struct wr_type type = batch->columns[column].type;
    if (from == NULL || wr_column_is_null(from, at) || !wr_type_equal(from->type, type)) {
        put_null(batch, column, row);
        return;
    }
    const uint32_t width = wr_type_width(type);
    const char *value = (const char *)from->values + (size_t)at * width;
    if (wr_type_is_view(type)) {
        put_text(side, sink, batch, column, row, wr_view_slice((const struct wr_view *)value));
    } else {
        memcpy((char *)batch->columns[column].values + (size_t)row * width, value, width);
    }
}

void wr_side_rows_late(struct wr_side_rows *side, uint32_t sink,
                       const struct wr_side_origin *origin, const struct wr_column *const *columns,
                       uint32_t column_count, uint32_t row, const char *sink_name,
                       int64_t lateness_us)
{
    struct wr_batch *batch = open_batch(side, sink);
    const uint32_t at = batch->rows;
    wr_assert(batch->columns_count == column_count + 5);
    batch->rows = at + 1;
    batch->ingest_us = origin->ingest_us;
    for (uint32_t c = 0; c < column_count; c++) {
        copy_value(side, sink, batch, c, at, columns[c], row);
    }
    put_text(side, sink, batch, column_count, at, wr_slice_of(origin->source_name));
    put_text(side, sink, batch, column_count + 1, at, wr_slice_of(origin->split_name));
    put_int64(batch, column_count + 2, at, origin->position);
    put_text(side, sink, batch, column_count + 3, at, wr_slice_of(sink_name));
    put_int64(batch, column_count + 4, at, lateness_us);
}
