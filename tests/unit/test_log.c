#include "base/clock.h"
#include "base/log.h"
#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

static int saved_stderr;
static int pipe_out;
static char captured[65536];

static void capture(void)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    pipe_out = ends[0];
}

static const char *release(void)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    size_t bytes = 0;
    ssize_t n;
    while ((n = read(pipe_out, captured + bytes, sizeof(captured) - 1 - bytes)) > 0) {
        bytes += (size_t)n;
    }
    close(pipe_out);
    captured[bytes] = '\0';
    return captured;
}

static struct wr_time fixed(void *ctx)
{
    (void)ctx;
    return (struct wr_time){ .wall_us = 1700000000123456LL };
}

Test(log, text_lines_name_component_and_level)
{
    wr_log_setup(WR_LOG_DEBUG, WR_LOG_TEXT);
    capture();
    wr_log_debug("kafka", "d %d", 1);
    wr_log_info("kafka", "i");
    wr_log_warn("io", "w");
    wr_log(WR_LOG_ERROR, "run", "e");
    wr_log(WR_LOG_ERROR, NULL, "bare");
    cr_assert_str_eq(release(), "weir: debug: kafka: d 1\nweir: info: kafka: i\n"
                                "weir: warning: io: w\nweir: run: e\nweir: bare\n");
}

Test(log, an_error_comes_with_detail_and_hint)
{
    struct wr_error err;
    (void)wr_fail(&err, WR_CLASS_DATA, "Avro schema id %d not found", 42);
    wr_error_detail(&err, "GET /schemas/ids/42 returned 404");
    wr_error_hint(&err, "check registry");
    wr_log_setup(WR_LOG_INFO, WR_LOG_TEXT);
    capture();
    wr_log_error(WR_LOG_ERROR, "source \"orders\" (kafka)", &err);
    cr_assert_str_eq(release(), "weir: source \"orders\" (kafka): Avro schema id 42 not found\n"
                                "  detail: GET /schemas/ids/42 returned 404\n"
                                "  hint: check registry\n");
}

Test(log, levels_below_the_chosen_one_are_silent)
{
    wr_log_setup(WR_LOG_WARN, WR_LOG_TEXT);
    cr_assert_not(wr_log_enabled(WR_LOG_INFO));
    cr_assert(wr_log_enabled(WR_LOG_WARN));
    cr_assert_not(wr_log_enabled(WR_LOG_OFF));
    capture();
    wr_log_info("a", "unseen");
    wr_log_warn("a", "seen");
    wr_log_setup(WR_LOG_OFF, WR_LOG_TEXT);
    wr_log(WR_LOG_ERROR, "a", "unseen");
    cr_assert_str_eq(release(), "weir: warning: a: seen\n");
}

Test(log, terminal_escapes_from_outside_do_not_get_through)
{
    wr_log_setup(WR_LOG_INFO, WR_LOG_TEXT);
    capture();
    wr_log(WR_LOG_ERROR, "a", "x\033[2Jy\rz\nline\ttab");
    cr_assert_str_eq(release(), "weir: a: x?[2Jy?z\nline\ttab\n");
}

Test(log, json_lines_are_json_whatever_the_text)
{
    char text[64] = "quote \" slash \\ newline \n bell \a euro \xe2\x82\xac bad \xff\xe2\x82";
    struct wr_error err;
    (void)wr_fail(&err, WR_CLASS_DATA, "%s", text);
    wr_error_hint(&err, "do this");
    wr_clock_simulate(fixed, NULL);
    wr_log_setup(WR_LOG_INFO, WR_LOG_JSON);
    capture();
    wr_log_error(WR_LOG_WARN, "sink \"lake\"", &err);
    const char *line = release();
    cr_assert_eq(strchr(line, '\n'), line + strlen(line) - 1);

    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    cr_assert_neq(object, NULL, "not JSON: %s", line);
    cr_assert_str_eq(json_string_value(json_object_get(object, "ts")),
                     "2023-11-14T22:13:20.123456Z");
    cr_assert_str_eq(json_string_value(json_object_get(object, "level")), "warn");
    cr_assert_str_eq(json_string_value(json_object_get(object, "component")), "sink \"lake\"");
    cr_assert_str_eq(json_string_value(json_object_get(object, "message")),
                     "quote \" slash \\ newline \n bell \a euro \xe2\x82\xac bad "
                     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    cr_assert_str_eq(json_string_value(json_object_get(object, "hint")), "do this");
    cr_assert_eq(json_object_get(object, "detail"), NULL);
    json_decref(object);
}

Test(log, the_longest_error_is_still_one_json_object)
{
    struct wr_error err = { 0 };
    memset(err.message, 1, sizeof(err.message) - 1);
    memset(err.detail, 2, sizeof(err.detail) - 1);
    memset(err.hint, 3, sizeof(err.hint) - 1);
    wr_log_setup(WR_LOG_INFO, WR_LOG_JSON);
    capture();
    wr_log_error(WR_LOG_ERROR, "x", &err);
    json_t *object = json_loads(release(), 0, NULL);
    cr_assert_neq(object, NULL);
    cr_assert_eq(json_string_length(json_object_get(object, "message")), sizeof(err.message) - 1);
    cr_assert_eq(json_string_length(json_object_get(object, "hint")), sizeof(err.hint) - 1);
    json_decref(object);
}

static int befores;
static int afters;

static void before(void)
{
    befores++;
}

static void after(void)
{
    afters += befores == afters + 1;
}

Test(log, hooks_surround_each_line)
{
    wr_log_setup(WR_LOG_INFO, WR_LOG_TEXT);
    wr_log_set_hooks(before, after);
    capture();
    wr_log_info("a", "1");
    wr_log_debug("a", "unseen");
    wr_log_info("a", "2");
    wr_log_set_hooks(NULL, NULL);
    wr_log_info("a", "3");
    release();
    cr_assert_eq(befores, 2);
    cr_assert_eq(afters, 2);
}
