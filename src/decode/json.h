/* json.h: the decoder for format = 'json': one JSON object (RFC 8259) per record.
 *
 * What a value becomes:
 *   any column         null, or no such key: NULL. A key that occurs twice: the last value wins.
 *   numeric columns    a number, or a string that holds one; integers also as 5.0 or 1e3. NUMERIC
 * is exact.
 *   BOOLEAN            true, false
 *   TEXT               a string; a number, true, false, an object or an array as its JSON text
 *   JSON               the text of any value, as it stands
 *   TIMESTAMP          an RFC 3339 string, or a number (also as a string) in timestamp_unit,
 * fractions allowed
 *   DATE, INTERVAL     a string, in PostgreSQL's form
 *   BYTEA              a string of base64 or \x hex
 *   STRUCT             an object: fields by name (exactly), missing ones NULL, others ignored
 *   ARRAY              an array; MAP: an object, of equal keys the last one
 * Everything else is a fault that names the column, in nested values with the path (`items[3].price`, from 0). Keys
 * that no column asks for are checked to be JSON and skipped. A record must be one object with nothing but white space around it.
 * With a schema (json_checks.h) records that do not comply with it are faults too, and what stands before them in Confluent's framing is
 * taken off.
 */
#ifndef WR_DECODE_JSON_H
#define WR_DECODE_JSON_H

#include "config/option.h"
#include "decode/decoder.h"

extern const struct wr_option wr_json_options[];

wr_status wr_json_create(struct wr_decoder **decoder, const struct wr_schema *scan_fields,
                         const struct wr_options *options, struct wr_error *err);
void wr_json_decode(struct wr_decoder *decoder, const struct wr_records *records,
                    struct wr_batch *batch, struct wr_faults *faults);
wr_status wr_json_needs(struct wr_decoder *decoder, const struct wr_records *records);
void wr_json_destroy(struct wr_decoder *decoder);

#endif
