/* parse.h: the parser's insides, shared by parse_statement.c, parse_select.c, parse_expr.c and
 * parse_type.c.
 *
 * A failure is sticky: the first one fills err and turns the current token into WR_TOKEN_BAD, which
 * matches nothing, so that every loop ends and every function returns something harmless; wr_parse
 * looks at `failed` once.
 */
#ifndef WR_SQL_PARSE_H
#define WR_SQL_PARSE_H

#include "base/arena.h"
#include "sql/ast.h"
#include "sql/diag.h"
#include "sql/lexer.h"

struct wr_parser {
    struct wr_sql_text sql;
    struct wr_arena *arena;
    struct wr_lexer lexer;
    struct wr_token token;    /* the current one */
    struct wr_token ahead[2]; /* the next two, when read */
    uint32_t ahead_count;
    uint32_t previous_end; /* where the token before ended */
    uint32_t depth;
    bool bound; /* in BETWEEN's lower bound or POSITION: IN, LIKE, AND, NOT … need parentheses */
    bool failed;
    bool fresh; /* the last fail was the first: a hint belongs to it */
    struct wr_error *err;
};

/* A growing array in the arena: doubles, so that what is left behind is at most as much again. */
#define WR_GROW(arena, array, count) wr_parse_grow((arena), (array), (count), sizeof(*(array)))
void *wr_parse_grow(struct wr_arena *arena, void *array, uint32_t count, size_t item_bytes);

/* Whole text to statements. */
WR_NODISCARD wr_status wr_parse(const struct wr_sql_text *sql, struct wr_arena *arena,
                                struct wr_ast *ast, struct wr_error *err);
/* A list of "expr [AS name]", as in partition_by: text lies at byte at of sql (WR_SQL_NOWHERE:
 * errors have no place). */
WR_NODISCARD wr_status wr_parse_items(const struct wr_sql_text *sql, struct wr_slice text,
                                      uint32_t at, struct wr_arena *arena,
                                      struct wr_ast_item **items, uint32_t *count,
                                      struct wr_error *err);

/* Tokens (parse_token.c). */
void wr_parser_init(struct wr_parser *p, const struct wr_sql_text *sql, struct wr_arena *arena,
                    struct wr_error *err);
void wr_parser_advance(struct wr_parser *p);
const struct wr_token *wr_parser_ahead(struct wr_parser *p, uint32_t n); /* 1 or 2 */
void wr_parser_fail(struct wr_parser *p, uint32_t at, const char *fmt, ...) WR_PRINTF(3, 4);
void wr_parser_hint(struct wr_parser *p, const char *fmt, ...) WR_PRINTF(2, 3);
void wr_parser_expected(struct wr_parser *p, const char *what); /* "expected …, found …" */
bool wr_token_is(const struct wr_token *token, const char *keyword);
bool wr_token_is_sign(const struct wr_token *token, const char *sign);
bool wr_parser_is(const struct wr_parser *p, const char *keyword);
bool wr_parser_is_sign(const struct wr_parser *p, const char *sign);
bool wr_parser_is2(struct wr_parser *p, const char *first, const char *second);
bool wr_parser_take(struct wr_parser *p, const char *keyword);
bool wr_parser_take_sign(struct wr_parser *p, const char *sign);
void wr_parser_need(struct wr_parser *p, const char *keyword);
void wr_parser_need_sign(struct wr_parser *p, const char *sign, const char *after);
bool wr_parser_is_name(const struct wr_parser *p); /* any identifier, quoted or not */
struct wr_ast_name wr_parser_name(struct wr_parser *p, const char *what);
bool wr_parser_enter(struct wr_parser *p); /* one level deeper; false and failed when too deep */
void wr_parser_leave(struct wr_parser *p);

/* Grammar. */
struct wr_ast_expr *wr_parse_expr(struct wr_parser *p);
void wr_parse_item_list(struct wr_parser *p, struct wr_ast_item **items, uint32_t *count);
struct wr_ast_query *wr_parse_query(struct wr_parser *p);
struct wr_type wr_parse_type(struct wr_parser *p);
bool wr_parse_is_type(struct wr_slice word); /* the first word of a type */
bool wr_parse_is_reserved(struct wr_slice word); /* cannot be an alias without AS */

#endif
