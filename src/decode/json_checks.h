/* json_checks.h: what JSON's decoder does when a schema is asked for: which one a record is held against, and the columns that it
 * gives. Private to the decoder's files.
 *
 *   schema = 'x.json'       that file's
 *   registry with subject   the subject's latest version, asked for at the start
 *   registry                the one that the record's id names (framing)
 * A record that does not comply is a fault that names the JSON pointer and the rule. Nothing here costs anything unless asked for.
 *
 * Ownership: of one decoder. Threads: one at a time.
 */
#ifndef WR_DECODE_JSON_CHECKS_H
#define WR_DECODE_JSON_CHECKS_H

#include "config/option.h"
#include "decode/decoder.h"

struct wr_json_checks;

/* *checks: NULL when the options ask for none. */
WR_NODISCARD wr_status wr_json_checks_create(struct wr_json_checks **checks,
                                             const struct wr_options *options,
                                             struct wr_error *err);
void wr_json_checks_destroy(struct wr_json_checks *checks); /* NULL is fine */

/* See decoder.h. */
wr_status wr_json_checks_need(struct wr_json_checks *checks, const struct wr_records *records);
/* The records without what stands before them; borrows them until the next call. */
const struct wr_records *wr_json_checks_strip(struct wr_json_checks *checks,
                                              const struct wr_records *records);
/* After decoding the stripped ones: adds the faults of those that do not comply, in their places. */
void wr_json_checks_run(struct wr_json_checks *checks, const struct wr_records *stripped,
                        struct wr_faults *faults);

wr_status wr_json_columns(const struct wr_options *options, struct wr_arena *arena,
                          struct wr_schema *columns, struct wr_error *err);

#endif
