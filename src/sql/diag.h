/* diag.h: errors with a place in the SQL text: "file:line:col: message", the line, a caret.
 *
 * Columns count characters, not bytes. A long line is shown in part; the value of an option whose
 * name sounds like a secret is shown as ***, whatever the error is about.
 */
#ifndef WR_SQL_DIAG_H
#define WR_SQL_DIAG_H

#include "base/slice.h"
#include "base/status.h"

#define WR_SQL_NOWHERE UINT32_MAX

struct wr_sql_text {
    const char *file;
    struct wr_slice text;
};

/* Fills err with class USER. at: byte offset; WR_SQL_NOWHERE: only "file: message". */
wr_status wr_sql_fail(const struct wr_sql_text *sql, uint32_t at, struct wr_error *err,
                      const char *fmt, ...) WR_PRINTF(4, 5);
wr_status wr_sql_vfail(const struct wr_sql_text *sql, uint32_t at, struct wr_error *err,
                       const char *fmt, va_list args);

/* Gives an error that is already there its place: prefix and detail; message and hint stay. */
void wr_sql_place(const struct wr_sql_text *sql, uint32_t at, struct wr_error *err);

/* Line and column of a byte offset, both from 1. */
void wr_sql_locate(struct wr_slice text, uint32_t at, uint32_t *line, uint32_t *column);

#endif
