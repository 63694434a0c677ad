/* parse_token.c: the parser's view of tokens, and its way to fail. */
#include "base/limits.h"
#include "sql/parse.h"

#include <stdio.h>

void *wr_parse_grow(struct wr_arena *arena, void *array, uint32_t count, size_t item_bytes)
{
    /* Full at 0, 4, 8, 16, …: the powers of two from 4. */
    if (count != 0 && (count < 4 || (count & (count - 1)) != 0)) {
        return array;
    }
    const size_t capacity = count == 0 ? 4 : (size_t)count * 2;
    void *grown = wr_arena_zalloc(arena, capacity * item_bytes);
    if (count > 0) {
        memcpy(grown, array, count * item_bytes);
    }
    return grown;
}

void wr_parser_init(struct wr_parser *p, const struct wr_sql_text *sql, struct wr_arena *arena,
                    struct wr_error *err)
{
    *p = (struct wr_parser){.sql = *sql, .arena = arena, .err = err};
    p->lexer = (struct wr_lexer){.sql = sql->text, .arena = arena};
    p->token = wr_lexer_next(&p->lexer);
}

void wr_parser_advance(struct wr_parser *p)
{
    if (p->failed || p->token.kind == WR_TOKEN_BAD) {
        return; /* a bad token stays, so that whoever expects another one reports it */
    }
    p->previous_end = p->token.end;
    if (p->ahead_count > 0) {
        p->token = p->ahead[0];
        p->ahead[0] = p->ahead[1];
        p->ahead_count--;
    } else {
        p->token = wr_lexer_next(&p->lexer);
    }
}

const struct wr_token *wr_parser_ahead(struct wr_parser *p, uint32_t n)
{
    while (p->ahead_count < n) {
        p->ahead[p->ahead_count++] = wr_lexer_next(&p->lexer);
    }
    return &p->ahead[n - 1];
}

void wr_parser_fail(struct wr_parser *p, uint32_t at, const char *fmt, ...)
{
    p->fresh = !p->failed;
    if (p->failed) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    (void)wr_sql_vfail(&p->sql, at, p->err, fmt, args);
    va_end(args);
    p->failed = true;
    p->token = (struct wr_token){.kind = WR_TOKEN_BAD, .at = at, .end = at};
    p->ahead_count = 0;
    p->lexer.at = (uint32_t)p->lexer.sql.bytes;
}

/* Only right after the fail that it belongs to. */
void wr_parser_hint(struct wr_parser *p, const char *fmt, ...)
{
    if (p->err == NULL || !p->fresh) {
        return;
    }
    char hint[sizeof(p->err->hint)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(hint, sizeof(hint), fmt, args);
    va_end(args);
    wr_error_hint(p->err, "%s", hint);
}

void wr_parser_expected(struct wr_parser *p, const char *what)
{
    const struct wr_token *t = &p->token;
    int shown = t->text.bytes > 40 ? 40 : (int)t->text.bytes;
    while (t->text.bytes > 40 && shown > 0 && ((uint8_t)t->text.data[shown] & 0xc0) == 0x80) {
        shown--; /* not in the middle of a character */
    }
    if (p->failed) {
        p->fresh = false;
        return;
    }
    if (t->kind == WR_TOKEN_BAD) {
        const char *text = t->text.data; /* a literal of the lexer: message, then hint */
        const uint32_t at = t->at;
        wr_parser_fail(p, at, "%s", text);
        wr_parser_hint(p, "%s", wr_lexer_hint(text));
    } else if (t->kind == WR_TOKEN_END) {
        /* Right after what was read last: the end of the file may be some empty lines away. */
        wr_parser_fail(p, p->previous_end, "expected %s, but the text ends here", what);
        wr_parser_hint(p, "finish the statement, or remove its beginning");
    } else if (t->kind == WR_TOKEN_STRING) {
        wr_parser_fail(p, t->at, "expected %s, found a string", what);
    } else {
        wr_parser_fail(p, t->at, "expected %s, found \"%.*s%s\"", what, shown, t->text.data,
                       t->text.bytes > 40 ? "…" : "");
    }
}

bool wr_token_is(const struct wr_token *token, const char *keyword)
{
    return token->kind == WR_TOKEN_NAME && wr_slice_equal_nocase(token->text, wr_slice_of(keyword));
}

bool wr_token_is_sign(const struct wr_token *token, const char *sign)
{
    return token->kind == WR_TOKEN_SIGN && wr_slice_is(token->text, sign);
}

bool wr_parser_is(const struct wr_parser *p, const char *keyword)
{
    return wr_token_is(&p->token, keyword);
}

bool wr_parser_is_sign(const struct wr_parser *p, const char *sign)
{
    return wr_token_is_sign(&p->token, sign);
}

bool wr_parser_is2(struct wr_parser *p, const char *first, const char *second)
{
    return wr_parser_is(p, first) && wr_token_is(wr_parser_ahead(p, 1), second);
}

bool wr_parser_take(struct wr_parser *p, const char *keyword)
{
    if (!wr_parser_is(p, keyword)) {
        return false;
    }
    wr_parser_advance(p);
    return true;
}

bool wr_parser_take_sign(struct wr_parser *p, const char *sign)
{
    if (!wr_parser_is_sign(p, sign)) {
        return false;
    }
    wr_parser_advance(p);
    return true;
}

void wr_parser_need(struct wr_parser *p, const char *keyword)
{
    if (!wr_parser_take(p, keyword)) {
        wr_parser_expected(p, keyword);
    }
}

void wr_parser_need_sign(struct wr_parser *p, const char *sign, const char *after)
{
    if (!wr_parser_take_sign(p, sign)) {
        char what[96];
        snprintf(what, sizeof(what), "\"%s\"%s%s", sign, after[0] != '\0' ? " " : "", after);
        wr_parser_expected(p, what);
    }
}

bool wr_parser_is_name(const struct wr_parser *p)
{
    return p->token.kind == WR_TOKEN_NAME || p->token.kind == WR_TOKEN_QUOTED;
}

struct wr_ast_name wr_parser_name(struct wr_parser *p, const char *what)
{
    if (!wr_parser_is_name(p)) {
        wr_parser_expected(p, what);
        return (struct wr_ast_name){.text = WR_SLICE_LITERAL("?"), .at = p->token.at};
    }
    const struct wr_ast_name name = {.text = p->token.text,
                                     .quoted = p->token.kind == WR_TOKEN_QUOTED,
                                     .at = p->token.at,
                                     .end = p->token.end};
    wr_parser_advance(p);
    return name;
}

bool wr_parser_enter(struct wr_parser *p)
{
    if (p->depth >= WR_SQL_DEPTH_MAX) {
        wr_parser_fail(p, p->token.at, "this is nested more than %u levels deep", WR_SQL_DEPTH_MAX);
        wr_parser_hint(p, "split it with CREATE VIEW, or write fewer parentheses");
        return false;
    }
    p->depth++;
    return true;
}

void wr_parser_leave(struct wr_parser *p)
{
    p->depth--;
}
