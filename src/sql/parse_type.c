/* parse_type.c: type names, of PostgreSQL and the ones that Flink, DuckDB and Arroyo users paste.
 *
 *   type   = scalar { "[" "]" } | nested { "[" "]" } ;
 *   nested = ( STRUCT | ROW ) ( "<" fields ">" | "(" fields ")" ) | ARRAY ( "<" type ">" | "(" type ")" )
 *          | MAP ( "<" type "," type ">" | "(" type "," type ")" ) ;
 *   fields = name [ ":" ] type [ NULL ] { "," name [ ":" ] type [ NULL ] } ;
 */
#include "batch/nested.h"
#include "config/suggest.h"
#include "sql/bind.h"
#include "sql/parse.h"

struct type_word {
    const char *word;
    uint8_t id;
};

static const struct type_word type_words[] = {
    {"BOOLEAN", WR_TYPE_BOOL},
    {"BOOL", WR_TYPE_BOOL},
    {"SMALLINT", WR_TYPE_INT16},
    {"INT2", WR_TYPE_INT16},
    {"TINYINT", WR_TYPE_INT16},
    {"INTEGER", WR_TYPE_INT32},
    {"INT", WR_TYPE_INT32},
    {"INT4", WR_TYPE_INT32},
    {"BIGINT", WR_TYPE_INT64},
    {"INT8", WR_TYPE_INT64},
    {"REAL", WR_TYPE_FLOAT32},
    {"FLOAT4", WR_TYPE_FLOAT32},
    {"FLOAT", WR_TYPE_FLOAT64},
    {"FLOAT8", WR_TYPE_FLOAT64},
    {"DOUBLE", WR_TYPE_FLOAT64},
    {"NUMERIC", WR_TYPE_DECIMAL},
    {"DECIMAL", WR_TYPE_DECIMAL},
    {"DEC", WR_TYPE_DECIMAL},
    {"TEXT", WR_TYPE_TEXT},
    {"STRING", WR_TYPE_TEXT},
    {"VARCHAR", WR_TYPE_TEXT},
    {"CHAR", WR_TYPE_TEXT},
    {"CHARACTER", WR_TYPE_TEXT},
    {"BYTEA", WR_TYPE_BYTES},
    {"BYTES", WR_TYPE_BYTES},
    {"VARBINARY", WR_TYPE_BYTES},
    {"BINARY", WR_TYPE_BYTES},
    {"DATE", WR_TYPE_DATE},
    {"TIMESTAMP", WR_TYPE_TIMESTAMP},
    {"TIMESTAMPTZ", WR_TYPE_TIMESTAMPTZ},
    {"TIMESTAMP_LTZ", WR_TYPE_TIMESTAMPTZ},
    {"INTERVAL", WR_TYPE_INTERVAL},
    {"JSON", WR_TYPE_JSON},
    {"JSONB", WR_TYPE_JSON},
};

#define TYPE_WORDS (sizeof(type_words) / sizeof(type_words[0]))

/* "(n)" as a small number; -1 when there is none. */
static int32_t parse_size(struct wr_parser *p)
{
    int32_t value = 0;
    const struct wr_slice text = p->token.text;
    if (p->token.kind != WR_TOKEN_NUMBER || text.bytes > 6 ||
        memchr(text.data, '.', text.bytes) != NULL) {
        wr_parser_expected(p, "a whole number");
        return -1;
    }
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            wr_parser_expected(p, "a whole number");
            return -1;
        }
        value = value * 10 + (text.data[i] - '0');
    }
    wr_parser_advance(p);
    return value;
}

static int32_t parse_optional_size(struct wr_parser *p)
{
    if (!wr_parser_take_sign(p, "(")) {
        return -1;
    }
    const int32_t size = parse_size(p);
    wr_parser_need_sign(p, ")", "after the type's size");
    return size;
}

static struct wr_type decimal_type(struct wr_parser *p)
{
    /* Bare NUMERIC: PostgreSQL's has no bounds; here 38 digits, nine of them after the point. */
    struct wr_type type = {.id = WR_TYPE_DECIMAL, .precision = 38, .scale = 9};
    const uint32_t at = p->token.at;
    if (!wr_parser_take_sign(p, "(")) {
        return type;
    }
    const int32_t precision = parse_size(p);
    const int32_t scale = wr_parser_take_sign(p, ",") ? parse_size(p) : 0;
    wr_parser_need_sign(p, ")", "after the type's precision and scale");
    if (precision < 1 || precision > 38 || scale < 0 || scale > precision) {
        wr_parser_fail(p, at, "NUMERIC(p,s) needs a precision of 1 to 38 and a scale of 0 to it");
        wr_parser_hint(p, "write NUMERIC(38,9), for example");
        return type;
    }
    type.precision = (uint8_t)precision;
    type.scale = (uint8_t)scale;
    return type;
}

static struct wr_type timestamp_type(struct wr_parser *p, uint8_t id)
{
    const uint32_t at = p->token.at;
    const int32_t digits = parse_optional_size(p);
    if (digits > 6) {
        wr_parser_fail(p, at, "timestamps have microseconds: at most 6 digits, not %d", digits);
        wr_parser_hint(p, "write TIMESTAMP(6), or just TIMESTAMP");
    }
    if (wr_parser_is(p, "with") && !wr_token_is_sign(wr_parser_ahead(p, 1), "(")) {
        wr_parser_advance(p);
        (void)wr_parser_take(p, "local");
        wr_parser_need(p, "TIME");
        wr_parser_need(p, "ZONE");
        id = WR_TYPE_TIMESTAMPTZ;
    } else if (wr_parser_is2(p, "without", "time")) {
        wr_parser_advance(p);
        wr_parser_advance(p);
        wr_parser_need(p, "ZONE");
    }
    return wr_type_of((enum wr_type_id)id);
}

static void fail_type(struct wr_parser *p, const struct wr_token *token)
{
    static const char *const nested[] = {"ARRAY", "MAP", "ROW", "STRUCT"};
    struct wr_suggest suggest;
    wr_suggest_init(&suggest, token->text);
    for (size_t i = 0; i < TYPE_WORDS; i++) {
        wr_suggest_offer(&suggest, wr_slice_of(type_words[i].word));
    }
    for (size_t i = 0; i < sizeof(nested) / sizeof(nested[0]); i++) {
        wr_suggest_offer(&suggest, wr_slice_of(nested[i]));
    }
    wr_parser_fail(p, token->at, "unknown type \"%.*s\"", WR_SLICE_ARG(token->text));
    if (wr_token_is(token, "list")) {
        wr_parser_hint(p, "write the element's type and []: TEXT[]");
    } else if (wr_token_is(token, "time")) {
        wr_parser_hint(p, "there is no time of day; use TEXT, INTERVAL or TIMESTAMP");
    } else if (suggest.best.bytes > 0) {
        wr_parser_hint(p, "did you mean %.*s?", WR_SLICE_ARG(suggest.best));
    } else {
        wr_parser_hint(p, "types are BOOLEAN, SMALLINT, INTEGER, BIGINT (also UNSIGNED), REAL, "
                          "DOUBLE PRECISION, NUMERIC(p,s), TEXT, BYTEA, DATE, TIMESTAMP, "
                          "TIMESTAMPTZ, INTERVAL, JSON, T[], STRUCT<name T, …>, MAP<K, V>");
    }
}

static struct wr_type finish_type(struct wr_parser *p, const struct wr_token *word, uint8_t id)
{
    static const uint8_t unsigned_of[] = {[WR_TYPE_INT16] = WR_TYPE_UINT16,
                                          [WR_TYPE_INT32] = WR_TYPE_UINT32,
                                          [WR_TYPE_INT64] = WR_TYPE_UINT64};
    switch (id) {
    case WR_TYPE_DECIMAL:
        return decimal_type(p);
    case WR_TYPE_TIMESTAMP:
    case WR_TYPE_TIMESTAMPTZ:
        return timestamp_type(p, id);
    case WR_TYPE_INT16:
    case WR_TYPE_INT32:
    case WR_TYPE_INT64:
        if (wr_parser_take(p, "unsigned")) {
            id = unsigned_of[id];
        }
        break;
    case WR_TYPE_FLOAT64:
        if (wr_token_is(word, "double")) {
            (void)wr_parser_take(p, "precision");
        } else if (wr_token_is(word, "float") && wr_parser_is_sign(p, "(")) {
            const uint32_t at = p->token.at;
            const int32_t bits = parse_optional_size(p);
            if (bits < 1 || bits > 53) {
                wr_parser_fail(p, at, "FLOAT(n) needs 1 to 53 bits");
                wr_parser_hint(p, "write REAL or DOUBLE PRECISION");
            }
            id = bits >= 1 && bits <= 24 ? WR_TYPE_FLOAT32 : WR_TYPE_FLOAT64;
        }
        break;
    case WR_TYPE_TEXT:
        if (wr_token_is(word, "character") || wr_token_is(word, "char")) {
            (void)wr_parser_take(p, "varying");
        }
        (void)parse_optional_size(
            p); /* a length is no check here, as in Flink: no row is refused for it */
        break;
    case WR_TYPE_BYTES:
        (void)parse_optional_size(p);
        break;
    default:
        break;
    }
    return wr_type_of((enum wr_type_id)id);
}

bool wr_parse_is_type(struct wr_slice word)
{
    for (size_t i = 0; i < TYPE_WORDS; i++) {
        if (wr_slice_equal_nocase(word, wr_slice_of(type_words[i].word))) {
            return true;
        }
    }
    return false;
}

/* ---- STRUCT, ARRAY, MAP ---- */

/* The bracket that ends what `angle` began. ">" may be the first half of ">>" (or of ">="): the rest stays. */
static void close_bracket(struct wr_parser *p, bool angle, const char *after)
{
    struct wr_token *token = &p->token;
    if (!angle || token->kind != WR_TOKEN_SIGN || token->text.bytes < 2 ||
        token->text.data[0] != '>') {
        wr_parser_need_sign(p, angle ? ">" : ")", after);
        return;
    }
    token->text = (struct wr_slice){token->text.data + 1, token->text.bytes - 1};
    p->previous_end = ++token->at;
}

/* "<" or "(": true for the first. */
static bool open_bracket(struct wr_parser *p, const char *form)
{
    if (wr_parser_take_sign(p, "(")) {
        return false;
    }
    if (!wr_parser_take_sign(p, "<")) {
        wr_parser_expected(p, "\"<\" and what the type consists of");
        wr_parser_hint(p, "write %s", form);
    }
    return true;
}

/* Inside a value there are no constraints; NOT NULL of a MAP's key says what is so anyway. */
static void parse_nullness(struct wr_parser *p, bool is_key)
{
    if (wr_parser_is2(p, "not", "null")) {
        if (!is_key) {
            wr_parser_fail(p, p->token.at, "NOT NULL stands behind a whole column only");
            wr_parser_hint(p, "leave it out here, and test the field: WHERE a.b IS NOT NULL");
        }
        wr_parser_advance(p);
        wr_parser_advance(p);
    } else {
        (void)wr_parser_take(p, "null");
    }
}

/* What nested.h refuses is an error at the type's first word. */
static struct wr_type made_type(struct wr_parser *p, uint32_t at, wr_status status,
                                struct wr_type type, const struct wr_error *err)
{
    if (status == WR_OK) {
        return type;
    }
    wr_parser_fail(p, at, "%s", err->message);
    wr_parser_hint(p, strstr(err->message, "key") != NULL
                          ? "keys are TEXT, integers, NUMERIC, BOOLEAN, DATE or timestamps"
                      : strstr(err->message, "named") != NULL
                          ? "give one of them another name"
                          : "declare rarely used parts as JSON");
    return wr_type_of(WR_TYPE_TEXT);
}

static struct wr_type parse_struct(struct wr_parser *p, uint32_t at)
{
    const bool angle = open_bracket(p, "STRUCT<id BIGINT, name TEXT>");
    struct wr_nested_field *fields = NULL;
    uint32_t count = 0;
    do {
        const struct wr_ast_name name = wr_parser_name(p, "a field's name");
        (void)wr_parser_take_sign(p, ":");
        const struct wr_nested_field field = {.name = wr_bind_column_name(p->arena, &name),
                                              .type = wr_parse_type(p)};
        parse_nullness(p, false);
        fields = WR_GROW(p->arena, fields, count);
        fields[count++] = field;
    } while (wr_parser_take_sign(p, ",") && count <= WR_NESTED_FIELDS_MAX);
    close_bracket(p, angle, "or \",\" after a field");
    struct wr_type type = wr_type_of(WR_TYPE_TEXT);
    struct wr_error err = {0};
    if (p->failed) {
        return type;
    }
    const wr_status status = wr_nested_struct(fields, count, &type, &err);
    return made_type(p, at, status, type, &err);
}

static struct wr_type parse_array(struct wr_parser *p, uint32_t at)
{
    const bool angle = open_bracket(p, "ARRAY<TEXT> or TEXT[]");
    const struct wr_type element = wr_parse_type(p);
    parse_nullness(p, false);
    close_bracket(p, angle, "after ARRAY<type");
    struct wr_type type = wr_type_of(WR_TYPE_TEXT);
    struct wr_error err = {0};
    return p->failed ? type : made_type(p, at, wr_nested_array(element, &type, &err), type, &err);
}

static struct wr_type parse_map(struct wr_parser *p, uint32_t at)
{
    const bool angle = open_bracket(p, "MAP<TEXT, BIGINT>");
    const struct wr_type key = wr_parse_type(p);
    parse_nullness(p, true);
    wr_parser_need_sign(p, ",", "and the values' type after the keys' type");
    const struct wr_type value = wr_parse_type(p);
    parse_nullness(p, false);
    close_bracket(p, angle, "after MAP<key type, value type");
    struct wr_type type = wr_type_of(WR_TYPE_TEXT);
    struct wr_error err = {0};
    if (p->failed) {
        return type;
    }
    const wr_status status = wr_nested_map(key, value, &type, &err);
    return made_type(p, at, status, type, &err);
}

/* One [] behind the type for each level. */
static struct wr_type parse_array_marks(struct wr_parser *p, struct wr_type type, uint32_t at)
{
    while (wr_parser_is_sign(p, "[")) {
        const uint32_t mark = p->token.at;
        wr_parser_advance(p);
        if (p->token.kind == WR_TOKEN_NUMBER) {
            wr_parser_fail(p, mark, "an array's type has no size");
            wr_parser_hint(p, "write [] for the type; an element of a cast is (CAST(x AS T[]))[1]");
        }
        wr_parser_need_sign(p, "]", "after \"[\" of an array's type");
        struct wr_type array = type;
        struct wr_error err = {0};
        if (p->failed) {
            return type;
        }
        type = made_type(p, at, wr_nested_array(type, &array, &err), array, &err);
    }
    return type;
}

static struct wr_type parse_scalar(struct wr_parser *p)
{
    const struct wr_token word = p->token;
    for (size_t i = 0; i < TYPE_WORDS; i++) {
        if (wr_token_is(&word, type_words[i].word)) {
            wr_parser_advance(p);
            return finish_type(p, &word, type_words[i].id);
        }
    }
    fail_type(p, &word);
    return wr_type_of(WR_TYPE_TEXT);
}

struct wr_type wr_parse_type(struct wr_parser *p)
{
    const struct wr_token word = p->token;
    struct wr_type type = wr_type_of(WR_TYPE_TEXT);
    if (word.kind != WR_TOKEN_NAME) {
        wr_parser_expected(p, "a type");
        return type;
    }
    if (!wr_parser_enter(p)) {
        return type;
    }
    if (wr_parser_take(p, "struct") || wr_parser_take(p, "row")) {
        type = parse_struct(p, word.at);
    } else if (wr_parser_take(p, "array")) {
        type = parse_array(p, word.at);
    } else if (wr_parser_take(p, "map")) {
        type = parse_map(p, word.at);
    } else {
        type = parse_scalar(p);
    }
    type = parse_array_marks(p, type, word.at);
    wr_parser_leave(p);
    return type;
}
