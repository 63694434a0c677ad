#include "base/slice.h"
#include "base/status.h"
#include <criterion/criterion.h>
#include <string.h>

Test(status, fills_the_error_and_clears_what_was_there)
{
    struct wr_error err;
    memset(&err, 'x', sizeof(err));
    cr_assert_eq(wr_fail(&err, WR_CLASS_DATA, "field %s: %d", "ts", 7), WR_FAIL);
    cr_assert_eq(err.cls, WR_CLASS_DATA);
    cr_assert_str_eq(err.message, "field ts: 7");
    cr_assert_str_eq(err.detail, "");
    cr_assert_str_eq(err.hint, "");
    wr_error_detail(&err, "got %s", "'x'");
    wr_error_hint(&err, "write %s", "a number");
    cr_assert_str_eq(err.detail, "got 'x'");
    cr_assert_str_eq(err.hint, "write a number");
}

Test(status, nobody_has_to_ask_for_the_error)
{
    cr_assert_eq(wr_fail(NULL, WR_CLASS_USER, "unseen"), WR_FAIL);
    wr_error_detail(NULL, "unseen");
    wr_error_hint(NULL, "unseen");
    wr_error_prefix(NULL, "unseen");
}

Test(status, gathers_context_outward)
{
    struct wr_error err;
    (void)wr_fail(&err, WR_CLASS_RETRY, "refused");
    wr_error_prefix(&err, "partition %d", 7);
    wr_error_prefix(&err, "source \"%s\"", "orders");
    cr_assert_str_eq(err.message, "source \"orders\": partition 7: refused");
    cr_assert_eq(err.cls, WR_CLASS_RETRY);
}

Test(status, its_own_text_may_be_an_argument)
{
    struct wr_error err;
    (void)wr_fail(&err, WR_CLASS_USER, "inner");
    (void)wr_fail(&err, WR_CLASS_USER, "outer (%s)", err.message);
    cr_assert_str_eq(err.message, "outer (inner)");
    wr_error_prefix(&err, "%s", err.message);
    cr_assert_str_eq(err.message, "outer (inner): outer (inner)");
}

/* Texts of n bytes and then three-byte characters: the cut comes at each place within a
 * character. */
static void fill(char *text, size_t ascii, size_t total)
{
    memset(text, 'a', ascii);
    size_t at = ascii;
    while (at + 3 <= total) {
        memcpy(text + at, "\xe2\x82\xac", 3);
        at += 3;
    }
    text[at] = '\0';
}

Test(status, cuts_at_a_characters_boundary)
{
    char text[4096];
    for (size_t ascii = 0; ascii < 6; ascii++) {
        struct wr_error err;
        fill(text, ascii, sizeof(text) - 1);
        (void)wr_fail(&err, WR_CLASS_DATA, "%s", text);
        const size_t bytes = strlen(err.message);
        cr_assert(bytes >= sizeof(err.message) - 4 && bytes < sizeof(err.message));
        cr_assert(wr_utf8_valid(err.message, bytes));
        cr_assert_eq(memcmp(err.message, text, bytes), 0);
        wr_error_hint(&err, "%s", text);
        cr_assert(wr_utf8_valid(err.hint, strlen(err.hint)));
        cr_assert_geq(strlen(err.hint), sizeof(err.hint) - 4);
    }
}

Test(status, a_prefix_never_overflows_and_cuts_the_message_behind_it)
{
    char text[4096];
    for (size_t prefix = 0; prefix < 1100; prefix++) {
        struct wr_error err;
        fill(text, prefix % 3, 900);
        (void)wr_fail(&err, WR_CLASS_DATA, "%s", text);
        wr_error_prefix(&err, "%*s", (int)prefix, "");
        const size_t bytes = strlen(err.message);
        cr_assert_lt(bytes, sizeof(err.message));
        cr_assert(wr_utf8_valid(err.message, bytes));
        cr_assert_neq(strstr(err.message, ": "), NULL);
    }
}

Test(status, keeps_bytes_that_are_no_utf8)
{
    struct wr_error err;
    char text[2048];
    memset(text, 0x80, sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    (void)wr_fail(&err, WR_CLASS_DATA, "%s", text);
    cr_assert_eq(strlen(err.message), sizeof(err.message) - 1);
}

static wr_status inner(wr_status status, struct wr_error *err)
{
    return status == WR_FAIL ? wr_fail(err, WR_CLASS_USER, "inner") : status;
}

static wr_status outer(wr_status status, struct wr_error *err)
{
    WR_TRY_IN(inner(status, err), err, "outer %d", 1);
    return WR_OK;
}

Test(status, only_a_failure_gets_context)
{
    struct wr_error err = { 0 };
    cr_assert_eq(outer(WR_OK, &err), WR_OK);
    cr_assert_eq(outer(WR_AGAIN, &err), WR_AGAIN);
    cr_assert_str_eq(err.message, "");
    cr_assert_eq(outer(WR_FAIL, &err), WR_FAIL);
    cr_assert_str_eq(err.message, "outer 1: inner");
}
