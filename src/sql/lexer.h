/* lexer.h: SQL text to tokens, one at a time.
 *
 * PostgreSQL's rules: unquoted identifiers, "quoted" and `quoted` (Flink) ones, 'strings' with ''
 * inside, E'strings' with backslashes, numbers, operators, -- and nested block comments. Keywords
 * are identifiers that the parser recognises by place, so that `window`, `end` and `timestamp` stay
 * usable as names.
 *
 * Ownership: token texts borrow the SQL text, or lie in the arena where quotes were undone.
 */
#ifndef WR_SQL_LEXER_H
#define WR_SQL_LEXER_H

#include "base/arena.h"

enum wr_token_kind {
    WR_TOKEN_END,
    WR_TOKEN_NAME,   /* unquoted; text as written */
    WR_TOKEN_QUOTED, /* "…" or `…`; text without quotes */
    WR_TOKEN_STRING, /* text without quotes */
    WR_TOKEN_NUMBER,
    WR_TOKEN_SIGN, /* operator or punctuation */
    WR_TOKEN_BAD,  /* text is the message */
};

struct wr_token {
    enum wr_token_kind kind;
    struct wr_slice text;
    uint32_t at;  /* byte offset */
    uint32_t end; /* offset after it */
};

struct wr_lexer {
    struct wr_slice sql;
    struct wr_arena *arena;
    uint32_t at;
};

/* What to do about the message of a WR_TOKEN_BAD. */
const char *wr_lexer_hint(const char *message);

struct wr_token wr_lexer_next(struct wr_lexer *lexer);

#endif
