/* sql.h: SQL text to plan (interface). lexer -> recursive-descent parser -> AST -> binder -> plan.
 *
 * The binder knows connectors only through wr_sql_catalog: run hands it the registration tables, so that sql includes
 * neither source nor sink.
 */
#ifndef WR_SQL_SQL_H
#define WR_SQL_SQL_H

#include "config/option.h"
#include "plan/plan.h"

/* What the binder must know of a connector. */
struct wr_sql_connector {
    const char *name;                /* NULL ends the array */
    const struct wr_option *options; /* its option rows */
    bool makes_columns;              /* datagen, nexmark: no format; nexmark brings its columns when none are declared */
    bool is_file;                    /* max_ahead is off by default */
    bool metadata[WR_META_COUNT_];   /* which metadata columns it has */
    const char *unavailable;         /* not built in: why */
    const struct wr_schema *own_columns; /* used when CREATE SOURCE declares none; NULL: columns are required */
};

struct wr_sql_format {
    const char *name; /* NULL ends the array */
    const struct wr_option *options;
    /* Of formats with a schema, else NULL: fills in the columns when there are none, else says whether it can fill them
     * (decoder.h, columns). */
    wr_status (*columns)(const struct wr_options *options, struct wr_arena *arena,
                         struct wr_schema *columns, struct wr_error *err);
    bool flat; /* its records are rows of texts (CSV): a field of a STRUCT column cannot be decoded alone */
};

struct wr_sql_catalog {
    const struct wr_sql_connector *sources;
    const struct wr_sql_connector *sinks;
    const struct wr_sql_format *decode_formats;
    const struct wr_sql_format *encode_formats;
    const struct wr_option *source_common; /* connector, format, idle_timeout, allowed_lateness, on_error, … */
    const struct wr_option *sink_common;   /* connector, format, partition_by, commit_interval, … */
    const struct wr_option *settings;      /* SET names */
    const char *(*getenv)(const char *name); /* for ${NAME}; NULL: getenv(3) */
};

/* Parses and binds text. On failure err->message is the whole "file:line:col: message", err->detail the line with the
 * caret beneath (two lines), err->hint what to do. overrides: --set pairs (they win over SET). */
WR_NODISCARD wr_status wr_sql_plan(const char *file, struct wr_slice text,
                                   const struct wr_sql_catalog *catalog,
                                   const struct wr_option_pair *overrides, uint32_t override_count,
                                   struct wr_plan **plan, struct wr_error *err);

/* The same form of error for a place in the text (used by run for options that fail when opened). at UINT32_MAX: no place. */
void wr_sql_error_at(const struct wr_plan *plan, uint32_t at, struct wr_error *err);

#endif
