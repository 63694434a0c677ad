/* json_schema_columns.h: the columns that a JSON Schema gives where none are declared. Threads: pure functions. */
#ifndef WR_DECODE_JSON_SCHEMA_COLUMNS_H
#define WR_DECODE_JSON_SCHEMA_COLUMNS_H

#include "batch/schema.h"
#include "decode/json_schema.h"

/* One of each of the root's properties:
 *   integer BIGINT, number DOUBLE PRECISION, boolean BOOLEAN, string TEXT (by format: date-time TIMESTAMPTZ, date DATE),
 *   array ARRAY of its items, object STRUCT of its properties or, where it has none of its own, MAP of the others'.
 * A type beside null, also through anyOf or oneOf, is that type; $ref is followed. What no type can say is JSON. */
WR_NODISCARD wr_status wr_json_schema_columns(const struct wr_json_schema *schema,
                                              struct wr_arena *arena, struct wr_schema *columns,
                                              struct wr_error *err);

#endif
