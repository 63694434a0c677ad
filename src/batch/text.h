/* text.h: values to text and back: the one place that knows SQL's text forms (interface).
 *
 * Used by casts, JSON and CSV encoders, partition directories, preview, error messages. Locale-free.
 * Formats: integers plain; floats shortest round-trip ("NaN", "Infinity", "-Infinity" as PostgreSQL);
 * decimals with all scale digits; booleans true/false; DATE 2024-01-31; TIMESTAMP
 * "2024-01-31T10:00:00.123456Z" (RFC 3339, fraction left out when zero, else 3 or 6 digits); INTERVAL as PostgreSQL
 * ("1 day 02:03:04"); BYTEA \x hex; STRUCT, ARRAY and MAP as JSON.
 */
#ifndef WR_BATCH_TEXT_H
#define WR_BATCH_TEXT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "batch/type.h"

/* Appends the text of one non-NULL value (pointer into a values array). */
void wr_text_format(struct wr_buf *buf, struct wr_type type, const void *value);
/* The same as a JSON value: text quoted and escaped, numbers bare (NaN and infinities as strings, UINT64 and DECIMAL
 * bare digits), JSON columns verbatim, BYTEA base64, times as RFC 3339 strings. */
void wr_text_format_json(struct wr_buf *buf, struct wr_type type, const void *value);
/* Appends bytes as a JSON string with quotes; ill-formed UTF-8 becomes U+FFFD. */
void wr_text_json_string(struct wr_buf *buf, const char *data, size_t bytes);
void wr_text_base64(struct wr_buf *buf, const void *data, size_t bytes);

/* Fast formatters for encoders; return the end pointer. into has room for 32 bytes. */
char *wr_text_int64(char *into, int64_t value);
char *wr_text_uint64(char *into, uint64_t value);
char *wr_text_double(char *into, double value);          /* finite only; shortest that reads back */
char *wr_text_float(char *into, float value);
char *wr_text_timestamp(char *into, int64_t us);          /* RFC 3339 with Z; any int64 value, +/- years ok */
char *wr_text_date(char *into, int32_t days);
/* into has room for 96 bytes. */
char *wr_text_interval(char *into, struct wr_interval value);
uint32_t wr_text_decimal(char *into, __int128 value, uint32_t scale); /* up to 48 bytes; returns count */

/* Text -> value; false when the whole text is not a value of the type (overflow included). */
bool wr_text_parse_int64(struct wr_slice text, int64_t *value);
bool wr_text_parse_uint64(struct wr_slice text, uint64_t *value);
bool wr_text_parse_double(struct wr_slice text, double *value); /* correctly rounded; accepts NaN, Infinity */
bool wr_text_parse_float(struct wr_slice text, float *value); /* the same; false beyond REAL's range */
bool wr_text_parse_decimal(struct wr_slice text, uint32_t precision, uint32_t scale,
                           __int128 *value); /* rounds half away from zero to scale */
/* RFC 3339 and PostgreSQL forms: "2024-01-31", "2024-01-31 10:00:00[.ffffff][Z|+hh[:mm]]", T or space;
 * no zone means UTC. */
bool wr_text_parse_timestamp(struct wr_slice text, int64_t *us);
bool wr_text_parse_date(struct wr_slice text, int32_t *days);
bool wr_text_parse_bool(struct wr_slice text, bool *value); /* true/false/t/f/yes/no/on/off/1/0 */
/* PostgreSQL interval text: "10 seconds", "1 day 02:03:04", "1 mon -2 days". */
bool wr_text_parse_interval(struct wr_slice text, struct wr_interval *value);
/* BYTEA: \x hex, else the text's own bytes, which the view borrows. Decoded hex goes into arena (into the view itself
 * when it fits; arena may be NULL, then longer hex is refused). */
bool wr_text_parse_bytes(struct wr_slice text, struct wr_arena *arena, struct wr_view *value);
/* Standard or URL alphabet, padding optional; into has room for bytes / 4 * 3 + 3. */
bool wr_text_parse_base64(struct wr_slice text, char *into, size_t *bytes);
/* Any type: parses into out (room for 16 bytes; views borrow text; BYTEA as above without arena; JSON text is
 * checked; STATE is refused). */
bool wr_text_parse(struct wr_type type, struct wr_slice text, void *out);

/* Proleptic Gregorian calendar (Hinnant, "chrono-compatible low-level date algorithms"). */
void wr_civil_from_days(int64_t days, int64_t *year, uint32_t *month, uint32_t *day);
int64_t wr_days_from_civil(int64_t year, uint32_t month, uint32_t day);

#endif
