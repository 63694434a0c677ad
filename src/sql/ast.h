/* ast.h: what the parser read, before any name means anything. Lives in the parser's arena;
 * read-only for the binder. Every node knows its bytes [at, end) of the SQL text. */
#ifndef WR_SQL_AST_H
#define WR_SQL_AST_H

#include "base/slice.h"
#include "batch/type.h"

struct wr_ast_query;

/* One identifier. Unquoted ones match without regard to case (see bind_scope.c). */
struct wr_ast_name {
    struct wr_slice text; /* bytes == 0: absent */
    bool quoted;
    uint32_t at;
    uint32_t end;
};

enum wr_ast_expr_kind {
    WR_AST_NAME,   /* parts: a.b.c */
    WR_AST_STAR,   /* * or parts.* */
    WR_AST_NUMBER, /* text */
    WR_AST_STRING, /* text */
    WR_AST_NULL,
    WR_AST_TRUE,
    WR_AST_FALSE,
    WR_AST_INTERVAL, /* text, unit ("" when in the text) */
    WR_AST_CALL,     /* parts[0], args, distinct, star, filter */
    WR_AST_UNARY,    /* op, args[0] */
    WR_AST_BINARY,   /* op, args[0], args[1] */
    WR_AST_AND,      /* args, two or more */
    WR_AST_OR,
    WR_AST_NOT,
    WR_AST_IS,            /* args[0] IS [NOT] op: NULL, TRUE, FALSE, UNKNOWN */
    WR_AST_DISTINCT_FROM, /* args[0] IS [NOT] DISTINCT FROM args[1] */
    WR_AST_BETWEEN,       /* args[0] [NOT] BETWEEN args[1] AND args[2] */
    WR_AST_IN,            /* args[0] [NOT] IN (args[1..]) */
    WR_AST_LIKE,          /* op "like"/"ilike"; args: text, pattern, [escape] */
    WR_AST_CASE,          /* operand: args[0] when has_operand; then when, then, …, [else] */
    WR_AST_CAST,          /* args[0] to type */
    WR_AST_FIELD,         /* (args[0]).parts[0] */
    WR_AST_INDEX,         /* args[0][args[1]] */
    WR_AST_ARRAY,         /* ARRAY[args] */
    WR_AST_MAP,           /* MAP[key, value, …] */
    WR_AST_ROW,           /* ROW(args); parts: their names (bytes == 0: none) */
};

struct wr_ast_expr {
    enum wr_ast_expr_kind kind;
    uint32_t at;
    uint32_t end;
    uint32_t height; /* of the tree: bounds every recursion over it */
    struct wr_slice text;
    struct wr_slice unit;
    const char *op;
    struct wr_ast_name *parts;
    uint32_t part_count;
    struct wr_ast_expr **args;
    uint32_t arg_count;
    struct wr_ast_expr *filter; /* FILTER (WHERE …) */
    struct wr_type type;        /* CAST */
    bool negated;
    bool distinct;
    bool star; /* count(*) */
    bool try_cast;
    bool has_operand;
    bool has_else;
};

enum wr_ast_from_kind {
    WR_AST_FROM_NAME,
    WR_AST_FROM_QUERY,
    WR_AST_FROM_WINDOW,
    WR_AST_FROM_UNNEST, /* input CROSS JOIN UNNEST(value) */
};

struct wr_ast_from {
    enum wr_ast_from_kind kind;
    uint32_t at;
    uint32_t end;
    struct wr_ast_name name;    /* NAME; WINDOW: the function's */
    struct wr_ast_query *query; /* QUERY */
    struct wr_ast_from *input;  /* WINDOW: over what; UNNEST: what stands before it */
    struct wr_ast_expr *value;  /* UNNEST */
    bool outer;                 /* UNNEST: LEFT JOIN */
    bool ordinality;            /* UNNEST: WITH ORDINALITY */
    struct wr_ast_name *names;  /* UNNEST: AS alias(names) */
    uint32_t name_count;
    struct wr_ast_expr *time;   /* WINDOW: NULL when not given */
    struct wr_ast_expr *size;   /* WINDOW: size or gap */
    struct wr_ast_expr *slide;  /* WINDOW: HOP */
    struct wr_ast_expr *offset; /* WINDOW: NULL: 0 */
    struct wr_ast_name alias;
};

struct wr_ast_item {
    struct wr_ast_expr *expr;
    struct wr_ast_name alias;
};

struct wr_ast_select {
    uint32_t at;
    struct wr_ast_item *items;
    uint32_t item_count;
    struct wr_ast_from *from; /* NULL: none */
    struct wr_ast_expr *where;
    struct wr_ast_expr **group;
    uint32_t group_count;
    bool grouped; /* GROUP BY stands there */
    struct wr_ast_expr *having;
    struct wr_ast_query *nested; /* "(SELECT …)" as a branch of UNION ALL */
};

/* One or more branches of UNION ALL. */
struct wr_ast_query {
    uint32_t at;
    struct wr_ast_select *branches;
    uint32_t branch_count;
};

struct wr_ast_column {
    struct wr_ast_name *parts; /* dotted: a nested field */
    uint32_t part_count;
    struct wr_type type;
    bool has_type;
    bool not_null;
    struct wr_ast_expr *computed; /* name AS expr */
    struct wr_ast_name metadata;  /* METADATA FROM 'timestamp' */
    uint32_t at;
};

struct wr_ast_option {
    struct wr_slice name;  /* dotted keys joined */
    struct wr_slice value; /* as written, without quotes */
    uint32_t name_at;
    uint32_t value_at;
    bool literal; /* the value is one plain string: byte i of it stands at value_at + 1 + i */
};

enum wr_ast_statement_kind {
    WR_AST_CREATE_SOURCE,
    WR_AST_CREATE_SINK,
    WR_AST_CREATE_TABLE,
    WR_AST_CREATE_VIEW,
    WR_AST_INSERT,
    WR_AST_SET,
};

struct wr_ast_statement {
    enum wr_ast_statement_kind kind;
    uint32_t at;
    struct wr_ast_name name;
    struct wr_ast_column *columns;
    uint32_t column_count;
    struct wr_ast_name watermark_column; /* WATERMARK FOR */
    struct wr_ast_expr *watermark;       /* NULL: zero delay */
    struct wr_ast_option *options;
    uint32_t option_count;
    bool has_options;
    struct wr_ast_item *partition; /* PARTITIONED BY */
    uint32_t partition_count;
    struct wr_ast_query *query; /* AS, INSERT */
    struct wr_ast_name *insert_columns;
    uint32_t insert_column_count;
    struct wr_ast_option setting; /* SET */
};

struct wr_ast {
    struct wr_ast_statement *statements;
    uint32_t count;
};

#endif
