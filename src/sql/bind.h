/* bind.h: the binder's insides: names, types and windows find their meaning; the outcome is a tree
 * of drafts of plan nodes, which shape.c prunes and numbers.
 *
 * A failing function returns NULL or false and has filled err once: callers just pass it on.
 * Ownership: everything lies in the plan's arena. Threads: one.
 */
#ifndef WR_SQL_BIND_H
#define WR_SQL_BIND_H

#include "sql/ast.h"
#include "sql/diag.h"
#include "sql/sql.h"

/* Columns that exist only while a SELECT over a window is being bound: resolved by bind_select.c.
 */
#define WR_BIND_WINDOW_START 0x40000000u
#define WR_BIND_WINDOW_END   0x40000001u
#define WR_BIND_AGGREGATE    0x50000000u /* + index in the SELECT's aggregates */

/* A column of a SCAN that is a field of another one (of a declared STRUCT): decoded by its path when nothing needs the whole, else
 * computed from it. */
struct wr_draft_path {
    uint32_t column;          /* whose field it is; smaller than the own number */
    uint32_t field;
    struct wr_expr *computed; /* shape.c; NULL: decoded */
};

/* A node under construction: as wr_plan_node, with pointers for indexes and all columns. */
struct wr_draft {
    enum wr_node_kind kind;
    const char *name;
    struct wr_draft **inputs;
    uint32_t input_count;
    struct wr_schema schema;
    uint32_t source;              /* SCAN */
    struct wr_expr *filter;       /* FILTER */
    struct wr_expr **project;     /* PROJECT */
    struct wr_plan_window window; /* WINDOW */
    struct wr_plan_unnest unnest; /* UNNEST */
    struct wr_draft_path *paths;  /* SCAN: what its last path_count columns are */
    uint32_t path_count;
    bool *needed;                 /* shape.c: per column */
    uint32_t *map;                /* shape.c: old column to new */
    uint32_t index;               /* shape.c: in plan->nodes; WR_NO_NODE: not yet */
    bool shaped;
};

/* What time a column is: only such columns can order windows. */
enum wr_time_role {
    WR_ROLE_NONE,
    WR_ROLE_EVENT_TIME,   /* WATERMARK FOR of a source */
    WR_ROLE_WINDOW_START, /* of the window that made the row */
    WR_ROLE_WINDOW_END,
    WR_ROLE_WINDOW_TIME, /* its end - 1 us */
};

struct wr_scope_column {
    const char *name;
    struct wr_slice relation; /* what qualifies it (t of t.a); bytes == 0: the scope's alias */
    const char *group;    /* "window" when it is its .start or .end (Arroyo), else NULL */
    struct wr_expr *expr; /* over the scope's node */
    enum wr_time_role role;
    int64_t
        reach_us; /* WINDOW roles: how far the start lies before the end; -1 unbounded (sessions) */
    bool hidden;  /* not in * (metadata) */
};

/* TUMBLE, HOP or SESSION over a scope's rows, not yet grouped. */
struct wr_scope_window {
    enum wr_window_kind kind;
    int64_t size_us;
    int64_t slide_us;
    int64_t offset_us;
    uint32_t time; /* column of the scope's node */
    enum wr_time_role time_role;
    int64_t time_reach_us;
    struct wr_type time_type;
    uint32_t at;
};

/* What FROM gives a SELECT. */
struct wr_scope {
    struct wr_draft *node;
    struct wr_slice alias; /* bytes == 0: none */
    struct wr_scope_column *columns;
    uint32_t count;
    struct wr_scope_window *window; /* NULL: none */
};

enum wr_object_kind { WR_OBJECT_SOURCE, WR_OBJECT_SINK, WR_OBJECT_VIEW, WR_OBJECT_TABLE };

/* A name of the pipeline. */
struct wr_object {
    enum wr_object_kind kind;
    const char *name;
    struct wr_ast_name written;
    const struct wr_ast_statement *statement;
    const struct wr_ast_statement **inserts;
    uint32_t insert_count;
    uint32_t index;         /* SOURCE: in plan->sources; SINK: in plan->sinks */
    struct wr_draft *draft; /* SOURCE: its one SCAN; SINK: what it reads */
    bool busy;              /* being bound: a view that uses itself */
};

struct wr_binder {
    struct wr_sql_text sql;
    const struct wr_sql_catalog *catalog;
    struct wr_plan *plan;
    struct wr_arena *arena;
    struct wr_ast ast;
    struct wr_object *objects;
    uint32_t object_count;
    const char *naming; /* the sink that is being bound: names of its nodes */
    uint32_t depth;     /* of views in views */
    uint32_t drafts;    /* made so far */
    struct wr_error *err;
};

/* One SELECT's expressions. */
struct wr_bind {
    struct wr_binder *binder;
    const struct wr_scope *scope;
    bool aggregates_allowed;
    bool in_aggregate;
    const char *where; /* "WHERE", for "aggregates cannot stand in WHERE" */
    struct wr_plan_aggregate *aggregates;
    uint32_t aggregate_count;
    struct wr_scope_window *window; /* the scope's, or what tumble(interval …) made */
    bool window_calls;              /* tumble(interval …) may stand here */
};

/* Errors (bind_scope.c). Returns false, so that callers can return it. */
bool wr_bind_fail(struct wr_binder *binder, uint32_t at, const char *fmt, ...) WR_PRINTF(3, 4);
void wr_bind_hint(struct wr_binder *binder, const char *fmt, ...) WR_PRINTF(2, 3);

/* Names (bind_scope.c). */
const char *wr_bind_fold(struct wr_arena *arena, const struct wr_ast_name *name);
/* A declared column keeps its case when that is mixed: it names a field of data from outside. */
const char *wr_bind_column_name(struct wr_arena *arena, const struct wr_ast_name *name);
struct wr_object *wr_bind_find_object(struct wr_binder *binder, const struct wr_ast_name *name);
struct wr_expr *wr_bind_name(struct wr_bind *bind, const struct wr_ast_expr *ast);
/* The scope's column that the dotted name means, -1 none, -2 ambiguous; *used: how many parts it
 * took. */
int32_t wr_bind_find_column(const struct wr_scope *scope, const struct wr_ast_name *parts,
                            uint32_t part_count, uint32_t *used);
/* What qualifies the scope's column. */
struct wr_slice wr_bind_relation(const struct wr_scope *scope,
                                 const struct wr_scope_column *column);
void wr_bind_unknown_column(struct wr_binder *binder, const struct wr_scope *scope,
                            const struct wr_ast_expr *ast);
bool wr_bind_name_matches(const struct wr_ast_name *name, const char *column, bool exact);

/* Expressions (bind_expr.c, bind_call.c, bind_aggregate.c). */
struct wr_expr *wr_bind_expr(struct wr_bind *bind, const struct wr_ast_expr *ast);
struct wr_expr *wr_bind_call(struct wr_bind *bind, const struct wr_ast_expr *ast);
struct wr_expr *wr_bind_aggregate(struct wr_bind *bind, const struct wr_ast_expr *ast, bool *is);
struct wr_expr *wr_bind_resolve(struct wr_binder *binder, const char *name, bool is_operator,
                                struct wr_expr **args, uint32_t count, uint32_t at, uint32_t end);
struct wr_expr *wr_bind_boolean(struct wr_bind *bind, const struct wr_ast_expr *ast,
                                const char *what);
bool wr_bind_interval_us(struct wr_binder *binder, const struct wr_ast_expr *ast, const char *what,
                         bool zero_allowed, int64_t *us);
bool wr_bind_is_aggregate_name(const struct wr_ast_name *name);
void wr_bind_offer_aggregates(void *suggest);
/* tumble(interval …): is it such a call? */
bool wr_bind_is_window_call(const struct wr_ast_expr *ast);
bool wr_bind_window_call(struct wr_bind *bind, const struct wr_ast_expr *ast);

/* STRUCT, ARRAY and MAP (bind_nested.c). */
struct wr_expr *wr_bind_struct_field(struct wr_bind *bind, struct wr_expr *value,
                                     const struct wr_ast_name *name, uint32_t at);
/* A field of a STRUCT, computed. */
struct wr_expr *wr_bind_field_of(struct wr_arena *arena, struct wr_expr *whole, uint32_t field,
                                 uint32_t at, uint32_t end);
/* Of a column that is a field of another one of the draft: that one, and which field; else WR_NO_COLUMN. */
uint32_t wr_bind_whole_of(const struct wr_draft *draft, uint32_t column, uint32_t *field);
struct wr_expr *wr_bind_index(struct wr_bind *bind, const struct wr_ast_expr *ast);
struct wr_expr *wr_bind_constructor(struct wr_bind *bind, const struct wr_ast_expr *ast);
/* cardinality and others. NULL and *is false: another function. */
struct wr_expr *wr_bind_nested_call(struct wr_binder *binder, const char *name,
                                    struct wr_expr **args, uint32_t count,
                                    const struct wr_ast_expr *ast, bool *is);
/* a = b and a <> b of one nested type. */
struct wr_expr *wr_bind_nested_equal(struct wr_binder *binder, const char *op,
                                     struct wr_expr **args, uint32_t at, uint32_t end);
/* Can values be compared and grouped? Else an error: what ("GROUP BY") has no answer for maps. */
bool wr_bind_comparable(struct wr_binder *binder, const struct wr_expr *expr, const char *what);
/* May a value of one nested type become the other, field by field? */
bool wr_bind_can_cast(struct wr_type from, struct wr_type to);
bool wr_bind_can_cast_nested(struct wr_type from, struct wr_type to);
/* ARRAY[…] and ROW(…) take their parts to the wanted type; NULL without an error: expr is neither, or the types do not match. */
bool wr_bind_adapts_nested(const struct wr_expr *expr, struct wr_type to);
struct wr_expr *wr_bind_adapt_nested(struct wr_binder *binder, struct wr_expr *expr,
                                     struct wr_type to, bool explicit_cast, bool try_cast);
struct wr_scope *wr_bind_unnest(struct wr_binder *binder, const struct wr_ast_from *from);

/* Nodes and types (bind_cast.c). */
struct wr_expr *wr_expr_new(struct wr_arena *arena, enum wr_expr_kind kind, struct wr_type type,
                            uint32_t at, uint32_t end, uint32_t arg_count);
struct wr_expr *wr_expr_column(struct wr_arena *arena, uint32_t column, struct wr_type type,
                               bool nullable, uint32_t at, uint32_t end);
struct wr_expr *wr_expr_text_const(struct wr_arena *arena, struct wr_slice text, uint32_t at,
                                   uint32_t end);
struct wr_expr *wr_expr_int64(struct wr_arena *arena, int64_t value);
struct wr_expr *wr_expr_interval(struct wr_arena *arena, int64_t us);
struct wr_expr *wr_expr_call(struct wr_arena *arena, enum wr_function function, struct wr_type type,
                             struct wr_expr *a, struct wr_expr *b);
#define WR_COST_NONE UINT32_MAX
/* What it costs to take expr as type `to` without being asked; WR_COST_NONE: it cannot be. */
uint32_t wr_bind_cost(const struct wr_expr *expr, struct wr_type to);
/* The cast, folded where it can be; NULL with an error when it cannot be. */
struct wr_expr *wr_bind_cast(struct wr_binder *binder, struct wr_expr *expr, struct wr_type to,
                             bool explicit_cast, bool try_cast);
bool wr_bind_common(struct wr_binder *binder, struct wr_expr **exprs, uint32_t count,
                    const char *what);
const char *wr_bind_type_name(struct wr_binder *binder, struct wr_type type);

/* Queries (bind_from.c, bind_select.c). */
struct wr_scope *wr_bind_from(struct wr_binder *binder, const struct wr_ast_from *from);
struct wr_scope *wr_bind_query(struct wr_binder *binder, const struct wr_ast_query *query);
struct wr_draft *wr_bind_draft(struct wr_binder *binder, enum wr_node_kind kind,
                               struct wr_draft *input, uint32_t columns);
/* Makes a PROJECT of count expressions over node; names as given. */
struct wr_draft *wr_bind_project(struct wr_binder *binder, struct wr_draft *node,
                                 struct wr_expr **exprs, const char *const *names, uint32_t count);
struct wr_draft *wr_bind_filter(struct wr_binder *binder, struct wr_draft *node,
                                struct wr_expr *condition);
/* Too many operators already? Then an error. */
bool wr_bind_check_size(struct wr_binder *binder, uint32_t at);
struct wr_scope *wr_bind_union(struct wr_binder *binder, struct wr_scope **branches, uint32_t count,
                               const uint32_t *ats);
struct wr_expr *wr_bind_window_time(struct wr_binder *binder, struct wr_expr *end);
bool wr_bind_same_window(const struct wr_scope_window *a, const struct wr_scope_window *b);
bool wr_bind_is_windowed(const struct wr_draft *node);

/* Statements (bind_source.c, bind_sink.c, bind_options.c). */
bool wr_bind_sources(struct wr_binder *binder);
bool wr_bind_sinks(struct wr_binder *binder);
bool wr_bind_settings(struct wr_binder *binder, const struct wr_option_pair *overrides,
                      uint32_t override_count);
/* The pairs of a WITH clause, ${NAME} replaced, pasted names of other systems translated; "type"
 * left out. */
bool wr_bind_pairs(struct wr_binder *binder, const struct wr_ast_statement *s,
                   struct wr_option_pair **pairs, uint32_t *count);
const struct wr_option_pair *wr_bind_find_pair(const struct wr_option_pair *pairs, uint32_t count,
                                               const char *name);
const struct wr_sql_connector *wr_bind_connector(struct wr_binder *binder,
                                                 const struct wr_sql_connector *connectors,
                                                 const struct wr_ast_statement *s,
                                                 const struct wr_option_pair *pairs, uint32_t count,
                                                 const char *what);
bool wr_bind_parse_options(struct wr_binder *binder, const struct wr_ast_statement *s,
                           const struct wr_sql_connector *connector,
                           const struct wr_sql_format *formats, const struct wr_option *common,
                           struct wr_option_pair *pairs, uint32_t count, const char **format,
                           struct wr_options **options, const char **shown);

/* The decode format of that name, or NULL. */
const struct wr_sql_format *wr_bind_format(const struct wr_binder *binder, const char *name);

/* Drafts of all sinks to plan->nodes (shape.c). */
bool wr_shape_plan(struct wr_binder *binder, struct wr_draft **tops);

#endif
