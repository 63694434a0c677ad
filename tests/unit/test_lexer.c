#include "sql/lexer.h"

#include <criterion/criterion.h>

static struct wr_arena arena;

static struct wr_lexer lexer_of(const char *text)
{
    wr_arena_init(&arena, 0);
    return (struct wr_lexer){.sql = wr_slice_of(text), .arena = &arena};
}

static void expect(struct wr_lexer *lexer, enum wr_token_kind kind, const char *text)
{
    const struct wr_token token = wr_lexer_next(lexer);
    cr_assert_eq(token.kind, kind, "kind %d at %u, wanted %d (%s)", token.kind, token.at, kind,
                 text);
    cr_assert(wr_slice_is(token.text, text), "'%.*s', wanted '%s'", WR_SLICE_ARG(token.text), text);
}

Test(lexer, names_keep_their_case_and_quotes_are_taken_off)
{
    struct wr_lexer lexer = lexer_of("SELECT \"user\"\"Id\" `b c` größe _x1$");
    expect(&lexer, WR_TOKEN_NAME, "SELECT");
    expect(&lexer, WR_TOKEN_QUOTED, "user\"Id");
    expect(&lexer, WR_TOKEN_QUOTED, "b c");
    expect(&lexer, WR_TOKEN_NAME, "größe");
    expect(&lexer, WR_TOKEN_NAME, "_x1$");
    expect(&lexer, WR_TOKEN_END, "");
    wr_arena_deinit(&arena);
}

Test(lexer, strings_undo_doubled_quotes_and_escapes_only_after_e)
{
    struct wr_lexer lexer = lexer_of("'it''s' 'a\\n' E'a\\n\\x41\\u00fc''z' ''");
    expect(&lexer, WR_TOKEN_STRING, "it's");
    expect(&lexer, WR_TOKEN_STRING, "a\\n");
    expect(&lexer, WR_TOKEN_STRING, "a\nAü'z");
    expect(&lexer, WR_TOKEN_STRING, "");
    expect(&lexer, WR_TOKEN_END, "");
    wr_arena_deinit(&arena);
}

Test(lexer, numbers_stop_where_sql_says)
{
    struct wr_lexer lexer = lexer_of("1 1.5 .5 5. 1e3 1.5E-7 1..2");
    expect(&lexer, WR_TOKEN_NUMBER, "1");
    expect(&lexer, WR_TOKEN_NUMBER, "1.5");
    expect(&lexer, WR_TOKEN_NUMBER, ".5");
    expect(&lexer, WR_TOKEN_NUMBER, "5.");
    expect(&lexer, WR_TOKEN_NUMBER, "1e3");
    expect(&lexer, WR_TOKEN_NUMBER, "1.5E-7");
    expect(&lexer, WR_TOKEN_NUMBER, "1");
    expect(&lexer, WR_TOKEN_SIGN, ".");
    expect(&lexer, WR_TOKEN_NUMBER, ".2");
    expect(&lexer, WR_TOKEN_END, "");
    wr_arena_deinit(&arena);
}

Test(lexer, the_longest_operator_wins)
{
    struct wr_lexer lexer = lexer_of("a->>b->c::d!=e<>f!~*g=>h");
    static const char *const wanted[] = {
        "a", "->>", "b", "->", "c", "::", "d", "!=", "e", "<>", "f", "!~*", "g", "=>", "h"};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        expect(&lexer, i % 2 == 0 ? WR_TOKEN_NAME : WR_TOKEN_SIGN, wanted[i]);
    }
    wr_arena_deinit(&arena);
}

Test(lexer, comments_nest_and_end_at_the_line)
{
    struct wr_lexer lexer = lexer_of("a -- b\n/* c /* d */ e */ f");
    expect(&lexer, WR_TOKEN_NAME, "a");
    expect(&lexer, WR_TOKEN_NAME, "f");
    expect(&lexer, WR_TOKEN_END, "");
    wr_arena_deinit(&arena);
}

Test(lexer, what_has_no_end_is_bad_and_has_a_hint)
{
    static const char *const texts[] = {"'abc", "\"abc", "/* abc", "E'a\\q'", "E'\\u0000'",
                                        "12ab", "\"\"",  "?",      "E'abc\\", "E'\\ud800'"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct wr_lexer lexer = lexer_of(texts[i]);
        const struct wr_token token = wr_lexer_next(&lexer);
        cr_assert_eq(token.kind, WR_TOKEN_BAD, "%s", texts[i]);
        cr_assert_eq(token.at, 0);
        cr_assert_neq(wr_lexer_hint(token.text.data)[0], '\0', "%s", texts[i]);
        wr_arena_deinit(&arena);
    }
}
