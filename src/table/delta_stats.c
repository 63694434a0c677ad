#include "table/delta_stats.h"

#include "batch/nested.h"
#include "batch/text.h"
#include "encode/kernels.h"
#include "encode/parquet_merge.h"
#include "encode/parquet_tree.h"

#include <math.h>
#include <stdio.h>

#define TEXT_CHARACTERS_MAX 32u /* what Spark cuts texts at */

/* Years that every reader can parse: 0001-01-01 to 9999-12-31. */
#define TIMESTAMP_MIN_US (-62135596800000000LL)
#define TIMESTAMP_MAX_US 253402300799999999LL
#define DATE_MIN_DAYS    (-719162)
#define DATE_MAX_DAYS    2932896

/* Bytes of the first 32 characters. */
static uint32_t cut_at(const char *text, uint32_t bytes)
{
    uint32_t characters = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        const bool starts = ((uint8_t)text[i] & 0xc0) != 0x80;
        if (starts && ++characters > TEXT_CHARACTERS_MAX) {
            return i;
        }
    }
    return bytes;
}

static bool text_bound(const struct wr_bounds *bounds, bool max, struct wr_buf *into)
{
    char text[WR_BOUND_BYTES + 8];
    uint32_t bytes = 0;
    bool exact;
    struct wr_bounds b = *bounds;
    struct wr_text_bound *bound = max ? &b.text_max : &b.text_min;
    const uint32_t kept = cut_at(bound->data, bound->bytes);
    bound->cut = bound->cut || kept < bound->bytes; /* (1): then a maximum is raised */
    bound->bytes = (uint8_t)kept;
    const bool found = max ? wr_bounds_max(&b, WR_BOUNDS_TEXT, 0, text, &bytes, &exact)
                           : wr_bounds_min(&b, WR_BOUNDS_TEXT, 0, text, &bytes, &exact);
    if (!found || !wr_utf8_valid(text, bytes)) {
        return false;
    }
    wr_text_json_string(into, text, bytes);
    return true;
}

static bool timestamp_bound(int64_t us, bool max, struct wr_buf *into)
{
    if (us < TIMESTAMP_MIN_US || us > TIMESTAMP_MAX_US) {
        return false;
    }
    int64_t ms = us / 1000;
    if (us % 1000 != 0) { /* (1) */
        ms += max ? us > 0 : -(us < 0);
    }
    if (ms * 1000 > TIMESTAMP_MAX_US) {
        return false;
    }
    int64_t days = ms / 86400000;
    days -= ms % 86400000 < 0;
    const int64_t of_day = ms - days * 86400000;
    int64_t year;
    uint32_t month;
    uint32_t day;
    wr_civil_from_days(days, &year, &month, &day);
    wr_buf_printf(into, "\"%04lld-%02u-%02uT%02d:%02d:%02d.%03dZ\"", (long long)year, month, day,
                  (int)(of_day / 3600000), (int)(of_day / 60000 % 60), (int)(of_day / 1000 % 60),
                  (int)(of_day % 1000));
    return true;
}

static bool date_bound(int64_t days, struct wr_buf *into)
{
    char text[32];
    if (days < DATE_MIN_DAYS || days > DATE_MAX_DAYS) {
        return false;
    }
    const size_t bytes = (size_t)(wr_text_date(text, (int32_t)days) - text);
    wr_text_json_string(into, text, bytes);
    return true;
}

static bool float_value(struct wr_type type, const struct wr_bounds *b, bool max, double *value)
{
    const bool wide = type.id == WR_TYPE_FLOAT64;
    const enum wr_bounds_kind kind = wide ? WR_BOUNDS_F64 : WR_BOUNDS_F32;
    char raw[WR_BOUND_BYTES + 8] = { 0 };
    uint32_t bytes = 0;
    bool exact;
    float narrow;
    if (!(max ? wr_bounds_max : wr_bounds_min)(b, kind, 0, raw, &bytes, &exact)) {
        return false;
    }
    memcpy(&narrow, raw, sizeof narrow);
    *value = (double)narrow;
    if (wide) {
        memcpy(value, raw, sizeof *value);
    }
    return isfinite(*value);
}

static bool float_bound(struct wr_type type, const struct wr_bounds *b, bool max,
                        struct wr_buf *into)
{
    char text[48];
    double value;
    double other;
    if (!float_value(type, b, !max, &other) || !float_value(type, b, max, &value)) { /* (2) */
        return false;
    }
    /* As a double even when it is a REAL: readers parse it as one, and the shortest text of the float may lie
     * on the wrong side of it. */
    wr_buf_append(into, text, (size_t)(wr_text_double(text, value) - text));
    return true;
}

static bool integer_bound(struct wr_type type, int64_t key, struct wr_buf *into)
{
    char text[32];
    char *end;
    if (type.id == WR_TYPE_UINT64) {
        end = wr_text_uint64(text, (uint64_t)key ^ ((uint64_t)1 << 63));
    } else if (type.id == WR_TYPE_UINT16 || type.id == WR_TYPE_UINT32) {
        end = wr_text_uint64(text, (uint64_t)(uint32_t)key);
    } else {
        end = wr_text_int64(text, key);
    }
    wr_buf_append(into, text, (size_t)(end - text));
    return true;
}

static bool decimal_bound(struct wr_type type, const struct wr_bounds *b,
                          enum wr_bounds_kind kind, bool max, struct wr_buf *into)
{
    char text[64];
    const __int128 value = kind == WR_BOUNDS_WIDE ? (max ? b->wide_max : b->wide_min)
                                                  : (__int128)(max ? b->max : b->min);
    wr_buf_append(into, text, wr_text_decimal(text, value, type.scale));
    return true;
}

/* false: nothing was appended, there is no bound. */
static bool append_bound(struct wr_type type, const struct wr_parquet_column_summary *c, bool max,
                         struct wr_buf *into)
{
    const struct wr_bounds *b = &c->bounds;
    if (c->kind == WR_BOUNDS_NONE || !wr_bounds_usable(b, c->kind)) {
        return false;
    }
    switch (type.id) {
    case WR_TYPE_TEXT:
        return text_bound(b, max, into);
    case WR_TYPE_TIMESTAMP:
    case WR_TYPE_TIMESTAMPTZ:
        return timestamp_bound(max ? b->max : b->min, max, into);
    case WR_TYPE_DATE:
        return date_bound(max ? b->max : b->min, into);
    case WR_TYPE_FLOAT32:
    case WR_TYPE_FLOAT64:
        return float_bound(type, b, max, into);
    case WR_TYPE_DECIMAL:
        return decimal_bound(type, b, c->kind, max, into);
    default:
        return wr_type_is_integer(type) && integer_bound(type, max ? b->max : b->min, into);
    }
}

static void name(struct wr_buf *into, const char *text, bool *first)
{
    wr_buf_text(into, *first ? "" : ",");
    *first = false;
    wr_text_json_string(into, text, strlen(text));
    wr_buf_byte(into, ':');
}

enum what { MINIMUM, MAXIMUM, NULLS };

/* One pass over the schema: the summary's leaves come in the same order, some may be missing. */
struct pass {
    const struct wr_parquet_summary *summary;
    struct wr_buf *into;
    enum what what;
    uint32_t at;     /* of the summary's columns */
    uint32_t column; /* of the schema */
    uint32_t leaf;   /* the column's next one */
};

static const struct wr_parquet_column_summary *next_leaf(struct pass *p)
{
    const struct wr_parquet_column_summary *all = p->summary->columns;
    const uint32_t leaf = p->leaf++;
    while (p->at < p->summary->columns_count &&
           (all[p->at].index < p->column ||
            (all[p->at].index == p->column && all[p->at].leaf < leaf))) {
        p->at++;
    }
    return p->at < p->summary->columns_count && all[p->at].index == p->column &&
                   all[p->at].leaf == leaf
               ? &all[p->at]
               : NULL;
}

static bool append_number(struct pass *p, struct wr_type type)
{
    const struct wr_parquet_column_summary *c = next_leaf(p);
    if (c == NULL || (p->what == NULLS && c->nulls == WR_PARQUET_NULLS_UNKNOWN)) {
        return false;
    }
    if (p->what != NULLS) {
        return append_bound(type, c, p->what == MAXIMUM, p->into);
    }
    wr_buf_printf(p->into, "%llu", (unsigned long long)c->nulls);
    return true;
}

/* What is to be told of a column or field, with its name; nothing when there is nothing. */
static void append_field(struct pass *p, const char *field, struct wr_type type, bool *first)
{
    const size_t before = p->into->bytes;
    bool empty = true;
    if (type.id == WR_TYPE_ARRAY || type.id == WR_TYPE_MAP) {
        p->leaf += wr_parquet_leaves_of(type);
        return;
    }
    const bool was_first = *first;
    name(p->into, field, first);
    if (type.id == WR_TYPE_STRUCT) {
        const struct wr_nested *nested = wr_nested_of(type);
        wr_buf_byte(p->into, '{');
        for (uint32_t i = 0; i < nested->field_count; i++) {
            append_field(p, nested->fields[i].name, nested->fields[i].type, &empty);
        }
        wr_buf_byte(p->into, '}');
    } else {
        empty = !append_number(p, type);
    }
    if (empty) {
        p->into->bytes = before;
        *first = was_first;
    }
}

static void append_columns(const struct wr_parquet_summary *summary, const struct wr_schema *schema,
                           enum what what, struct wr_buf *into)
{
    struct pass p = { .summary = summary, .into = into, .what = what };
    bool first = true;
    for (; p.column < schema->count; p.column++) {
        p.leaf = 0;
        append_field(&p, schema->fields[p.column].name, schema->fields[p.column].type, &first);
    }
}

void wr_delta_stats(const struct wr_parquet_summary *summary, const struct wr_schema *schema,
                    struct wr_buf *into)
{
    wr_buf_printf(into, "{\"numRecords\":%llu,\"minValues\":{", (unsigned long long)summary->rows);
    append_columns(summary, schema, MINIMUM, into);
    wr_buf_text(into, "},\"maxValues\":{");
    append_columns(summary, schema, MAXIMUM, into);
    wr_buf_text(into, "},\"nullCount\":{");
    append_columns(summary, schema, NULLS, into);
    wr_buf_text(into, "}}");
}

bool wr_delta_partition_text(struct wr_type type, const void *value, struct wr_buf *into)
{
    const size_t before = into->bytes;
    wr_text_format(into, type, value);
    return into->bytes > before;
}
