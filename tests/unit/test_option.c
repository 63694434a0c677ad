#include "base/buf.h"
#include "config/common_options.h"
#include "config/option.h"

#include <criterion/criterion.h>

static const struct wr_option rows[] = {
    {"name", WR_OPTION_TEXT, NULL, "A name.", .flags = WR_OPTION_REQUIRED},
    {"count", WR_OPTION_INT, "4", "How many.", .min = 1, .max = 10},
    {"size", WR_OPTION_SIZE, "128MB", "How large."},
    {"wait", WR_OPTION_DURATION, "30s", "How long.", .max = 3600000000, .enum_words = "off"},
    {"fast", WR_OPTION_BOOL, "false", "Quick."},
    {"ratio", WR_OPTION_DOUBLE, "0.5", "Part."},
    {"codec", WR_OPTION_ENUM, "lz4", "Codec.", .enum_words = "none lz4 zstd"},
    {"hosts", WR_OPTION_LIST, NULL, "Hosts."},
    {"secret", WR_OPTION_INT, NULL, "Pin.", .flags = WR_OPTION_SECRET},
    {"raw.", WR_OPTION_PREFIX, NULL, "Anything."},
    {"later", WR_OPTION_TEXT, NULL, "Some day.", .unavailable = "built without it"},
    {NULL},
};
static const struct wr_option *const tables[] = {rows, NULL};

struct given {
    struct wr_arena arena;
    struct wr_options *bag;
    struct wr_error err;
    uint32_t at;
};

static wr_status parse(struct given *g, const struct wr_option_pair *pairs, uint32_t count)
{
    wr_arena_init(&g->arena, 0);
    return wr_options_parse(tables, "connector 'x'", pairs, count, &g->arena, &g->bag, &g->at,
                            &g->err);
}

static void expect_error(const char *name, const char *value, const char *message, const char *hint)
{
    const struct wr_option_pair pairs[] = {{"name", "n", "n", 1, 2}, {name, value, value, 10, 20}};
    struct given g = {0};
    cr_assert_eq(parse(&g, pairs, 2), WR_FAIL, "%s = %s", name, value);
    cr_assert_eq(g.err.cls, WR_CLASS_USER);
    cr_assert(strstr(g.err.message, message) != NULL, "%s", g.err.message);
    cr_assert(strstr(g.err.hint, hint) != NULL, "%s", g.err.hint);
    cr_assert(g.at == 10 || g.at == 20);
    wr_arena_deinit(&g.arena);
}

Test(option, values_and_defaults_are_typed)
{
    const struct wr_option_pair pairs[] = {
        {"name", "n", "n", 0, 0},         {"hosts", " a:1, b:2,, c ", "", 0, 0},
        {"wait", "1h", "1h", 0, 0},       {"fast", "ON", "ON", 0, 0},
        {"raw.acks", "all", "all", 0, 0}, {"raw.linger.ms", "5", "5", 0, 7},
    };
    struct given g = {0};
    cr_assert_eq(parse(&g, pairs, 6), WR_OK, "%s", g.err.message);
    uint32_t count;
    const char *const *hosts = wr_options_list(g.bag, "hosts", &count);
    cr_assert_eq(count, 3);
    cr_assert_str_eq(hosts[0], "a:1");
    cr_assert_str_eq(hosts[2], "c");
    cr_assert_eq(wr_options_int(g.bag, "count"), 4);
    cr_assert_eq(wr_options_int(g.bag, "size"), 128000000);
    cr_assert_eq(wr_options_int(g.bag, "wait"), 3600000000);
    cr_assert(wr_options_bool(g.bag, "fast"));
    cr_assert_float_eq(wr_options_double(g.bag, "ratio"), 0.5, 1e-12);
    cr_assert_str_eq(wr_options_text(g.bag, "codec"), "lz4");
    cr_assert(wr_options_given(g.bag, "wait") && !wr_options_given(g.bag, "codec"));
    cr_assert(wr_options_has(g.bag, "codec") && !wr_options_has(g.bag, "secret"));
    const struct wr_option_pair *raw = wr_options_prefixed(g.bag, "raw.", &count);
    cr_assert_eq(count, 2);
    cr_assert_str_eq(raw[1].name, "linger.ms");
    cr_assert_eq(raw[1].value_at, 7);
    wr_arena_deinit(&g.arena);
}

Test(option, off_is_a_duration_where_the_row_says_so)
{
    const struct wr_option_pair pairs[] = {{"name", "n", "n", 0, 0}, {"wait", "off", "off", 0, 0}};
    struct given g = {0};
    cr_assert_eq(parse(&g, pairs, 2), WR_OK, "%s", g.err.message);
    cr_assert_eq(wr_options_int(g.bag, "wait"), -1);
    wr_arena_deinit(&g.arena);
}

Test(option, each_wrong_value_has_its_message_and_hint)
{
    expect_error("cuont", "1", "no option \"cuont\"", "did you mean \"count\"?");
    expect_error("zzzzzz", "1", "no option \"zzzzzz\"", "its options are name, count");
    expect_error("count", "many", "'many' is not an integer", "whole number");
    expect_error("count", "11", "11 is out of range", "1 to 10");
    expect_error("size", "12 parsecs", "is not a size", "128MB");
    expect_error("wait", "soon", "is not a duration", "or 'off'");
    expect_error("wait", "2h", "out of range", "0 to 1h");
    expect_error("fast", "maybe", "'maybe' is not true or false", "'true' or 'false'");
    expect_error("ratio", "half", "is not a number", "0.5");
    expect_error("codec", "ztsd", "one of its words", "did you mean 'zstd'?");
    expect_error("later", "x", "built without it", "leave it out");
    expect_error("name", "again", "given twice", "keep one");
    expect_error("raw.", "x", "no option", "name after it");
}

Test(option, a_missing_required_option_is_named)
{
    struct given g = {0};
    cr_assert_eq(parse(&g, NULL, 0), WR_FAIL);
    cr_assert(strstr(g.err.message, "needs the option \"name\"") != NULL, "%s", g.err.message);
    cr_assert_eq(g.at, UINT32_MAX);
    wr_arena_deinit(&g.arena);
}

Test(option, secrets_and_the_environment_stay_out_of_errors)
{
    const struct wr_option_pair secret[] = {{"name", "n", "n", 0, 0},
                                            {"secret", "hunter2", "hunter2", 0, 0}};
    const struct wr_option_pair environment[] = {{"name", "n", "n", 0, 0},
                                                 {"count", "hunter2", "${PIN}", 0, 0}};
    struct given g = {0};
    cr_assert_eq(parse(&g, secret, 2), WR_FAIL);
    cr_assert_null(strstr(g.err.message, "hunter2"));
    wr_arena_deinit(&g.arena);
    cr_assert_eq(parse(&g, environment, 2), WR_FAIL);
    cr_assert_null(strstr(g.err.message, "hunter2"));
    cr_assert_not_null(strstr(g.err.message, "${PIN}"));
    wr_arena_deinit(&g.arena);
}

static void gather(void *ctx, const char *name, const char *value, bool given)
{
    wr_buf_printf(ctx, "%s%s=%s;", given ? "" : "~", name, value);
}

Test(option, each_shows_what_was_written_and_hides_secrets)
{
    const struct wr_option_pair pairs[] = {{"name", "resolved", "${NAME}", 0, 0},
                                           {"secret", "42", "42", 0, 0},
                                           {"raw.a", "1", "1", 0, 0}};
    struct given g = {0};
    struct wr_buf buf = {0};
    cr_assert_eq(parse(&g, pairs, 3), WR_OK, "%s", g.err.message);
    wr_options_each(g.bag, gather, &buf);
    cr_assert_str_eq(wr_buf_cstr(&buf), "name=${NAME};~count=4;~size=128MB;~wait=30s;~fast=false;"
                                        "~ratio=0.5;~codec=lz4;secret=***;raw.a=1;");
    wr_buf_deinit(&buf);
    wr_arena_deinit(&g.arena);
}

Test(option, sizes_and_durations_read_their_units)
{
    static const struct {
        const char *text;
        int64_t value; /* -1: refused */
    } sizes[] = {{"512", 512},
                 {"64KB", 64000},
                 {"1.5GB", 1500000000},
                 {"128MiB", 134217728},
                 {" 2 mb ", 2000000},
                 {"", -1},
                 {"MB", -1},
                 {"1 2", -1},
                 {"-1", -1},
                 {"99999999999999999999", -1},
                 {"9999999TB", -1},
                 {"1MBx", -1}},
      durations[] = {{"50ms", 50000},       {"30s", 30000000}, {"10 minutes", 600000000},
                     {"1h30m", 5400000000}, {"1.5s", 1500000}, {"250", 250000},
                     {"1d", 86400000000},   {"s", -1},         {"5 fortnights", -1}};
    int64_t value;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const bool good = wr_parse_size(wr_slice_of(sizes[i].text), &value);
        cr_assert_eq(good, sizes[i].value >= 0, "%s", sizes[i].text);
        cr_assert(!good || value == sizes[i].value, "%s: %lld", sizes[i].text, (long long)value);
    }
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        const bool good = wr_parse_duration(wr_slice_of(durations[i].text), &value);
        cr_assert_eq(good, durations[i].value >= 0, "%s", durations[i].text);
        cr_assert(!good || value == durations[i].value, "%s: %lld", durations[i].text,
                  (long long)value);
    }
}

Test(option, the_reference_names_every_row_with_its_type)
{
    struct wr_buf buf = {0};
    wr_options_reference(rows, &buf);
    const char *text = wr_buf_cstr(&buf);
    cr_assert_not_null(strstr(text, "  name  (text, required)\n      A name.\n"));
    cr_assert_not_null(strstr(text, "  count  (integer, 1 to 10, default 4)\n"));
    cr_assert_not_null(strstr(text, "  codec  (none, lz4 or zstd, default lz4)\n"));
    cr_assert_not_null(strstr(text, "  raw.*  (any)\n"));
    cr_assert_not_null(strstr(text, "Not in this build: built without it"));
    wr_buf_deinit(&buf);
}

/* Defaults that do not parse would fail every pipeline. */
Test(option, the_common_tables_accept_their_own_defaults)
{
    const struct wr_option_pair connector = {"connector", "kafka", "kafka", 0, 0};
    const struct wr_option *all[][2] = {{wr_source_common_options, NULL},
                                        {wr_sink_common_options, NULL},
                                        {wr_setting_options, NULL}};
    for (size_t i = 0; i < 3; i++) {
        struct given g = {0};
        wr_arena_init(&g.arena, 0);
        cr_assert_eq(
            wr_options_parse(all[i], "it", &connector, i < 2, &g.arena, &g.bag, NULL, &g.err),
            WR_OK, "%s", g.err.message);
        wr_arena_deinit(&g.arena);
    }
}
