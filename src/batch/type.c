/* type.c: see type.h. */
#include "batch/type.h"

#include "batch/nested.h"

#include <stdio.h>

int wr_view_compare(const struct wr_view *a, const struct wr_view *b)
{
    const uint32_t common = a->bytes < b->bytes ? a->bytes : b->bytes;
    const int order = memcmp(wr_view_data(a), wr_view_data(b), common);
    if (order != 0) {
        return order;
    }
    return (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

uint32_t wr_type_width(struct wr_type type)
{
    static const uint8_t widths[WR_TYPE_COUNT_] = {
        [WR_TYPE_NULL] = 0,      [WR_TYPE_BOOL] = 1,        [WR_TYPE_INT16] = 2,
        [WR_TYPE_INT32] = 4,     [WR_TYPE_INT64] = 8,       [WR_TYPE_UINT16] = 2,
        [WR_TYPE_UINT32] = 4,    [WR_TYPE_UINT64] = 8,      [WR_TYPE_FLOAT32] = 4,
        [WR_TYPE_FLOAT64] = 8,   [WR_TYPE_DECIMAL] = 16,    [WR_TYPE_TEXT] = 16,
        [WR_TYPE_BYTES] = 16,    [WR_TYPE_DATE] = 4,        [WR_TYPE_TIMESTAMP] = 8,
        [WR_TYPE_TIMESTAMPTZ] = 8, [WR_TYPE_INTERVAL] = 16, [WR_TYPE_JSON] = 16,
        [WR_TYPE_STATE] = 16,    [WR_TYPE_STRUCT] = 16,     [WR_TYPE_ARRAY] = 16,
        [WR_TYPE_MAP] = 16,
    };
    return type.id < WR_TYPE_COUNT_ ? widths[type.id] : 0;
}

const char *wr_type_name(struct wr_type type, char *into, size_t bytes)
{
    static const char *const names[WR_TYPE_COUNT_] = {
        [WR_TYPE_NULL] = "NULL",
        [WR_TYPE_BOOL] = "BOOLEAN",
        [WR_TYPE_INT16] = "SMALLINT",
        [WR_TYPE_INT32] = "INTEGER",
        [WR_TYPE_INT64] = "BIGINT",
        [WR_TYPE_UINT16] = "SMALLINT UNSIGNED",
        [WR_TYPE_UINT32] = "INTEGER UNSIGNED",
        [WR_TYPE_UINT64] = "BIGINT UNSIGNED",
        [WR_TYPE_FLOAT32] = "REAL",
        [WR_TYPE_FLOAT64] = "DOUBLE PRECISION",
        [WR_TYPE_DECIMAL] = "NUMERIC",
        [WR_TYPE_TEXT] = "TEXT",
        [WR_TYPE_BYTES] = "BYTEA",
        [WR_TYPE_DATE] = "DATE",
        [WR_TYPE_TIMESTAMP] = "TIMESTAMP",
        [WR_TYPE_TIMESTAMPTZ] = "TIMESTAMPTZ",
        [WR_TYPE_INTERVAL] = "INTERVAL",
        [WR_TYPE_JSON] = "JSON",
        [WR_TYPE_STATE] = "STATE",
    };
    if (wr_type_is_nested(type)) {
        const char *text = wr_nested_of(type)->text;
        const size_t whole = strlen(text);
        (void)snprintf(into, bytes, "%s", text);
        if (whole >= bytes && bytes > 4) {
            memcpy(into + bytes - 4, "...", 4);
        }
    } else if (type.id == WR_TYPE_DECIMAL) {
        snprintf(into, bytes, "NUMERIC(%u,%u)", (unsigned)type.precision, (unsigned)type.scale);
    } else {
        snprintf(into, bytes, "%s", type.id < WR_TYPE_COUNT_ ? names[type.id] : "?");
    }
    return into;
}
