/* lexer.c: see lexer.h. The text is valid UTF-8 without NUL: wr_sql_plan has checked. */
#include "sql/lexer.h"

/* Messages with what to do about them. */
static const char string_open[] = "this string has no closing quote (')";
static const char name_open[] = "this quoted name has no closing quote";
static const char name_empty[] = "a quoted name cannot be empty";
static const char comment_open[] = "this comment has no end (*/)";
static const char bad_escape[] = "this E'string' has an unknown backslash escape";
static const char character[] = "this character has no meaning here";
static const char number_name[] =
    "letters follow this number directly; a name cannot begin with a digit";

const char *wr_lexer_hint(const char *message)
{
    static const char *const hints[][2] = {
        {string_open, "close it with '; a quote inside is written twice: 'it''s'"},
        {name_open, "close the name with the quote that begins it"},
        {name_empty, "write the name between the quotes"},
        {comment_open, "close it with */; each /* inside needs one of its own"},
        {bad_escape,
         "escapes are \\n, \\t, \\r, \\b, \\f, \\\\, \\', \\xHH (below 80) and \\uHHHH"},
        {character, "remove it, or put it into quotes if it belongs to a text or name"},
        {number_name, "put a blank between them, or write the name in double quotes"},
    };
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
        if (hints[i][0] == message) {
            return hints[i][1];
        }
    }
    return "";
}

static char peek(const struct wr_lexer *lexer, uint32_t ahead)
{
    const size_t at = (size_t)lexer->at + ahead;
    return at < lexer->sql.bytes ? lexer->sql.data[at] : '\0';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* As PostgreSQL: letters of any language may stand in a name. */
static bool begins_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (uint8_t)c >= 0x80;
}

static bool continues_name(char c)
{
    return begins_name(c) || is_digit(c) || c == '$';
}

static struct wr_token make(const struct wr_lexer *lexer, enum wr_token_kind kind, uint32_t begin)
{
    return (struct wr_token){.kind = kind,
                             .text = {lexer->sql.data + begin, lexer->at - begin},
                             .at = begin,
                             .end = lexer->at};
}

static struct wr_token bad(struct wr_lexer *lexer, uint32_t begin, const char *message)
{
    struct wr_token token = make(lexer, WR_TOKEN_BAD, begin);
    token.text = wr_slice_of(message);
    return token;
}

/* Skips blanks and comments; false: a block comment that has no end, begun at *begin. */
static bool skip_blanks(struct wr_lexer *lexer, uint32_t *begin)
{
    for (;;) {
        const char c = peek(lexer, 0);
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v') {
            lexer->at++;
        } else if (c == '-' && peek(lexer, 1) == '-') {
            while (lexer->at < lexer->sql.bytes && peek(lexer, 0) != '\n') {
                lexer->at++;
            }
        } else if (c == '/' && peek(lexer, 1) == '*') {
            uint32_t depth = 0; /* they nest, as in PostgreSQL */
            *begin = lexer->at;
            do {
                if (lexer->at >= lexer->sql.bytes) {
                    return false;
                }
                const char d = peek(lexer, 0);
                const bool opens = d == '/' && peek(lexer, 1) == '*';
                const bool closes = d == '*' && peek(lexer, 1) == '/';
                depth += opens;
                depth -= closes;
                lexer->at += opens || closes ? 2 : 1;
            } while (depth > 0);
        } else {
            return true;
        }
    }
}

/* Text up to the closing quote, doubled quotes undone; lexer->at is after the opening one. */
static struct wr_token quoted(struct wr_lexer *lexer, enum wr_token_kind kind, char quote,
                              uint32_t begin)
{
    const uint32_t first = lexer->at;
    uint32_t doubled = 0;
    for (;;) {
        if (lexer->at >= lexer->sql.bytes) {
            return bad(lexer, begin, quote == '\'' ? string_open : name_open);
        }
        if (peek(lexer, 0) == quote) {
            if (peek(lexer, 1) != quote) {
                break;
            }
            doubled++;
            lexer->at++;
        }
        lexer->at++;
    }
    struct wr_slice text = {lexer->sql.data + first, lexer->at - first};
    lexer->at++;
    if (doubled > 0) {
        char *plain = wr_arena_alloc(lexer->arena, text.bytes);
        size_t bytes = 0;
        for (size_t i = 0; i < text.bytes; i++) {
            plain[bytes++] = text.data[i];
            i += text.data[i] == quote;
        }
        text = (struct wr_slice){plain, bytes};
    }
    if (kind == WR_TOKEN_QUOTED && text.bytes == 0) {
        return bad(lexer, begin, name_empty);
    }
    struct wr_token token = make(lexer, kind, begin);
    token.text = text;
    return token;
}

static int hex_value(char c)
{
    return is_digit(c)            ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Code point to UTF-8; returns the bytes, 0 when it is none. */
static size_t put_utf8(char *into, uint32_t code)
{
    if (code < 0x80) {
        into[0] = (char)code;
        return code == 0 ? 0 : 1;
    }
    if (code < 0x800) {
        into[0] = (char)(0xc0 | (code >> 6));
        into[1] = (char)(0x80 | (code & 63));
        return 2;
    }
    if (code >= 0xd800 && code < 0xe000) {
        return 0;
    }
    into[0] = (char)(0xe0 | (code >> 12));
    into[1] = (char)(0x80 | ((code >> 6) & 63));
    into[2] = (char)(0x80 | (code & 63));
    return 3;
}

/* One escape after its backslash; false when it is none that PostgreSQL knows and that gives valid
 * text. */
static bool escape(struct wr_lexer *lexer, char *into, size_t *bytes)
{
    static const char from[] = "btnrf\\'\"";
    static const char to[] = "\b\t\n\r\f\\'\"";
    const char c = peek(lexer, 0);
    const char *found = c != '\0' ? strchr(from, c) : NULL;
    lexer->at++;
    if (found != NULL) {
        into[(*bytes)++] = to[found - from];
        return true;
    }
    const uint32_t digits = c == 'x' ? 2 : c == 'u' ? 4 : 0;
    uint32_t code = 0;
    for (uint32_t i = 0; i < digits; i++, lexer->at++) {
        const int digit = hex_value(peek(lexer, 0));
        if (digit < 0) {
            return false;
        }
        code = code * 16 + (uint32_t)digit;
    }
    if (digits == 0 || (digits == 2 && code >= 0x80)) {
        return false;
    }
    const size_t put = put_utf8(into + *bytes, code);
    *bytes += put;
    return put > 0;
}

static struct wr_token escaped_string(struct wr_lexer *lexer, uint32_t begin)
{
    lexer->at = begin + 2;
    size_t end = lexer->at; /* what comes out is never longer than what is read */
    for (; end < lexer->sql.bytes; end++) {
        const bool pair = end + 1 < lexer->sql.bytes && memcmp(lexer->sql.data + end, "''", 2) == 0;
        if (lexer->sql.data[end] == '\'' && !pair) {
            break;
        }
        end += pair || lexer->sql.data[end] == '\\';
    }
    char *text = wr_arena_alloc(lexer->arena, end - begin + 4);
    size_t bytes = 0;
    for (;;) {
        if (lexer->at >= lexer->sql.bytes) {
            return bad(lexer, begin, string_open);
        }
        const char c = peek(lexer, 0);
        lexer->at++;
        if (c == '\\') {
            if (!escape(lexer, text, &bytes)) {
                return bad(lexer, begin, bad_escape);
            }
        } else if (c == '\'' && peek(lexer, 0) != '\'') {
            break;
        } else {
            text[bytes++] = c;
            lexer->at += c == '\'';
        }
    }
    struct wr_token token = make(lexer, WR_TOKEN_STRING, begin);
    token.text = (struct wr_slice){text, bytes};
    return token;
}

static struct wr_token number(struct wr_lexer *lexer, uint32_t begin)
{
    while (is_digit(peek(lexer, 0))) {
        lexer->at++;
    }
    if (peek(lexer, 0) == '.' && peek(lexer, 1) != '.') {
        lexer->at++; /* "5." and "5.e1" are numbers too */
        while (is_digit(peek(lexer, 0))) {
            lexer->at++;
        }
    }
    const char e = peek(lexer, 0);
    const uint32_t sign = peek(lexer, 1) == '+' || peek(lexer, 1) == '-';
    if ((e == 'e' || e == 'E') && is_digit(peek(lexer, 1 + sign))) {
        lexer->at += 1 + sign;
        while (is_digit(peek(lexer, 0))) {
            lexer->at++;
        }
    }
    if (begins_name(peek(lexer, 0))) {
        while (continues_name(peek(lexer, 0))) {
            lexer->at++;
        }
        return bad(lexer, begin, number_name);
    }
    return make(lexer, WR_TOKEN_NUMBER, begin);
}

static struct wr_token sign(struct wr_lexer *lexer, uint32_t begin)
{
    static const char *const signs[] = {
        "->>", "!~*", "::", "<=", ">=", "<>", "!=", "==", "=>", "||", "->", "<<", ">>", "~*", "!~"};
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        const size_t bytes = strlen(signs[i]);
        if (lexer->sql.bytes - begin >= bytes &&
            memcmp(lexer->sql.data + begin, signs[i], bytes) == 0) {
            lexer->at += (uint32_t)bytes;
            return make(lexer, WR_TOKEN_SIGN, begin);
        }
    }
    lexer->at++;
    if (strchr("()[],;.+-*/%<>=^&|#~:", lexer->sql.data[begin]) == NULL) {
        return bad(lexer, begin, character);
    }
    return make(lexer, WR_TOKEN_SIGN, begin);
}

struct wr_token wr_lexer_next(struct wr_lexer *lexer)
{
    uint32_t begin = 0;
    if (!skip_blanks(lexer, &begin)) {
        return bad(lexer, begin, comment_open);
    }
    begin = lexer->at;
    if (begin >= lexer->sql.bytes) {
        return make(lexer, WR_TOKEN_END, begin);
    }
    const char c = peek(lexer, 0);
    if ((c == 'e' || c == 'E') && peek(lexer, 1) == '\'') {
        return escaped_string(lexer, begin);
    }
    if (begins_name(c)) {
        while (continues_name(peek(lexer, 0))) {
            lexer->at++;
        }
        return make(lexer, WR_TOKEN_NAME, begin);
    }
    if (c == '"' || c == '`') {
        lexer->at++;
        return quoted(lexer, WR_TOKEN_QUOTED, c, begin);
    }
    if (c == '\'') {
        lexer->at++;
        return quoted(lexer, WR_TOKEN_STRING, c, begin);
    }
    if (is_digit(c) || (c == '.' && is_digit(peek(lexer, 1)))) {
        return number(lexer, begin);
    }
    return sign(lexer, begin);
}
