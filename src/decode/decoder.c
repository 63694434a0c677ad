/* decoder.c: see decoder.h. */
#include "decode/decoder.h"

#include "base/assert.h"
#include "base/heap.h"
#include "batch/text.h"
#include "config/option.h"
#include "decode/avro.h"
#include "decode/csv.h"
#include "decode/json.h"
#include "decode/json_checks.h"
#include "decode/protobuf.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

const struct wr_decoder_ops wr_decoders[] = {
    { "json", wr_json_options, wr_json_create, NULL, wr_json_decode, wr_json_destroy, wr_json_needs,
      wr_json_columns },
    { "csv", wr_csv_options, wr_csv_create, wr_csv_header, wr_csv_decode, wr_csv_destroy, NULL, NULL },
    { "avro", wr_avro_options, wr_avro_create, NULL, wr_avro_decode, wr_avro_destroy, wr_avro_needs,
      wr_avro_columns },
    { "protobuf", wr_protobuf_options, wr_protobuf_create, NULL, wr_protobuf_decode, wr_protobuf_destroy,
      wr_protobuf_needs, wr_protobuf_columns },
    { NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL },
};

const struct wr_decoder_ops *wr_decoder_find(const char *name)
{
    for (const struct wr_decoder_ops *ops = wr_decoders; ops->name != NULL; ops++) {
        if (strcmp(ops->name, name) == 0) {
            return ops;
        }
    }
    return NULL;
}

void wr_faults_deinit(struct wr_faults *faults)
{
    free(faults->items);
    memset(faults, 0, sizeof(*faults));
}

/* Takes back the part of a character that the cut left at the end, so that the text stays UTF-8. */
static void cut_whole(char *text)
{
    size_t bytes = strlen(text);
    for (uint32_t back = 0; back < 4 && bytes > 0 && !wr_utf8_valid(text, bytes); back++) {
        text[--bytes] = '\0';
    }
}

void wr_faults_add(struct wr_faults *faults, uint32_t row, const char *field, const char *fmt, ...)
{
    if (faults->count == faults->capacity) {
        faults->capacity = faults->capacity == 0 ? 16 : faults->capacity * 2;
        faults->items = wr_realloc(faults->items, faults->capacity * sizeof(*faults->items));
    }
    struct wr_row_fault *fault = &faults->items[faults->count++];
    fault->row = row;
    va_list args;
    va_start(args, fmt);
    vsnprintf(fault->message, sizeof(fault->message), fmt, args);
    va_end(args);
    snprintf(fault->field, sizeof(fault->field), "%s", field == NULL ? "" : field);
    cut_whole(fault->message);
    cut_whole(fault->field);
}

static void zero_row(struct wr_batch *batch, const struct wr_schema *schema, uint32_t row)
{
    for (uint32_t c = 0; c < schema->count; c++) {
        if (schema->fields[c].path != NULL) {
            const uint32_t width = wr_type_width(schema->fields[c].type);
            memset((char *)batch->columns[c].values + (size_t)row * width, 0, width);
        }
    }
}

void wr_decoder_finish(struct wr_batch *batch, const struct wr_schema *schema, uint32_t rows,
                       const struct wr_faults *faults)
{
    batch->rows = rows;
    if (faults->count == 0) {
        return;
    }
    uint32_t next = 0;
    batch->sel = batch->sel_storage;
    batch->sel_count = 0;
    for (uint32_t row = 0; row < rows; row++) {
        if (next < faults->count && faults->items[next].row == row) {
            zero_row(batch, schema, row);
            next++;
        } else {
            batch->sel[batch->sel_count++] = row;
        }
    }
    wr_assert(next == faults->count); /* (3) */
}

char *wr_decoder_dotted(const struct wr_field *field, struct wr_arena *arena)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < field->path_count; i++) {
        bytes += strlen(field->path[i]) + 1;
    }
    char *text = wr_arena_alloc(arena, bytes + 1);
    char *at = text;
    for (uint32_t i = 0; i < field->path_count; i++) {
        const size_t part = strlen(field->path[i]);
        memcpy(at, field->path[i], part);
        at += part;
        *at++ = '.';
    }
    at[bytes == 0 ? 0 : -1] = '\0';
    return text;
}

uint32_t wr_decoder_unit_digits(const struct wr_options *options)
{
    static const char *const units[] = { "s", "ms", "us", "ns" };
    const char *unit = options == NULL ? NULL : wr_options_text(options, "timestamp_unit");
    for (uint32_t i = 0; unit != NULL && i < 4; i++) {
        if (strcmp(unit, units[i]) == 0) {
            return i * 3;
        }
    }
    return 3;
}

/* Microseconds of a number in the unit: exactly, also with a fraction; nanoseconds are cut down to
 * their microsecond. */
static bool convert_unit(struct wr_slice text, uint32_t unit_digits, int64_t *us)
{
    __int128 value;
    const uint32_t scale = unit_digits < 6 ? 6 - unit_digits : 0;
    if (!wr_text_parse_decimal(text, 38, scale, &value)) {
        return false;
    }
    if (unit_digits == 9) {
        const __int128 rest = value % 1000;
        value = value / 1000 - (rest < 0);
    }
    *us = (int64_t)value;
    return value >= INT64_MIN && value <= INT64_MAX;
}

static bool convert_bytes(struct wr_slice text, struct wr_arena *arena, struct wr_view *out)
{
    if (text.bytes >= 2 && text.data[0] == '\\' && text.data[1] == 'x') {
        return wr_text_parse_bytes(text, arena, out);
    }
    char *into = wr_arena_alloc(arena, text.bytes / 4 * 3 + 3);
    size_t bytes;
    if (!wr_text_parse_base64(text, into, &bytes)) {
        return false;
    }
    *out = wr_view_of(into, bytes);
    return true;
}

/* 5.0 and 1e3 are integers too: producers that keep all numbers as doubles write them so. */
static bool convert_integral(struct wr_type type, struct wr_slice text, void *out)
{
    double value;
    if (!wr_text_parse_double(text, &value) || !(fabs(value) < 0x1p53) || value != trunc(value)) {
        return false;
    }
    char room[32];
    const char *end = wr_text_int64(room, (int64_t)value);
    return wr_text_parse(type, (struct wr_slice){ room, (size_t)(end - room) }, out);
}

bool wr_decoder_convert(struct wr_type type, struct wr_slice text, bool number,
                        uint32_t unit_digits, struct wr_arena *arena, void *out)
{
    if (text.bytes > WR_RECORD_BYTES_MAX) {
        return false;
    }
    switch (type.id) {
    case WR_TYPE_TIMESTAMP:
    case WR_TYPE_TIMESTAMPTZ:
        return (!number && wr_text_parse(type, text, out)) || convert_unit(text, unit_digits, out);
    case WR_TYPE_BYTES:
        return !number && convert_bytes(text, arena, out);
    case WR_TYPE_DATE:
    case WR_TYPE_INTERVAL:
    case WR_TYPE_BOOL:
        return !number && wr_text_parse(type, text, out);
    default:
        return wr_text_parse(type, text, out) ||
               (number && wr_type_is_integer(type) && convert_integral(type, text, out));
    }
}
