/* nested_json.h: JSON text to STRUCT, ARRAY and MAP values: what CAST(json AS STRUCT<…>) means.
 *
 * An object gives a STRUCT (fields by exact name; missing ones are NULL, others are skipped; of equal names the last counts) or a MAP, an
 * array an ARRAY. A scalar is read as CAST reads its text: '12' and 12 are both a BIGINT; TEXT takes any value as its text, JSON as it
 * stands; BYTEA is base64, as wr_nested_format_json writes it. null is NULL.
 *
 * Ownership: the body lies in the writer. Threads: the writer's. The text may be any bytes.
 */
#ifndef WR_BATCH_NESTED_JSON_H
#define WR_BATCH_NESTED_JSON_H

#include "batch/nested.h"

/* False: json is not a value of the type, and why says so in a few words ("invalid BIGINT in qty"). A whole value of null is none
 * either: callers make it NULL. */
bool wr_nested_parse_json(struct wr_nested_writer *w, struct wr_type type, struct wr_slice json,
                          struct wr_slice *body, char *why, size_t why_bytes);

#endif
