/* Dead letters read back: lines of any kind, positions, and what has been replayed. */
#include "base/heap.h"
#include "batch/records.h"
#include "config/option.h"
#include "run/dead_letters.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static char path[64];
static struct wr_arena arena;
static struct wr_plan_sink sink = { .name = "bad", .connector = "file", .format = "json" };

static const struct wr_option own[] = { { "path", WR_OPTION_TEXT, NULL, "", .flags = WR_OPTION_REQUIRED },
                                        { .name = NULL } };

static void write_letters(const char *text)
{
    static const struct wr_option *const tables[] = { own, NULL };
    struct wr_error err;
    (void)snprintf(path, sizeof path, "/tmp/weir-letters-XXXXXX");
    const int fd = mkstemp(path);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    wr_arena_init(&arena, 0);
    const struct wr_option_pair pair = { .name = "path", .value = path, .raw = path };
    cr_assert_eq(wr_options_parse(tables, "sink", &pair, 1, &arena, &sink.options, NULL, &err), WR_OK, "%s",
                 err.message);
}

static void clean_up(void)
{
    (void)unlink(path);
    wr_arena_deinit(&arena);
}

static struct wr_letters *open_letters(void)
{
    struct wr_letters *letters = NULL;
    struct wr_error err;
    cr_assert_eq(wr_letters_open(&letters, &sink, &err), WR_OK, "%s", err.message);
    return letters;
}

static void parse(const char *line, struct wr_letter_scratch *scratch, struct wr_letter *letter)
{
    *letter = (struct wr_letter){ .position = 7, .next_position = 9 };
    wr_letter_parse(scratch, wr_slice_of(line), letter);
    cr_assert_eq(letter->position, 7);
    cr_assert_eq(letter->next_position, 9);
}

Test(dead_letters, a_letter_gives_its_record_back)
{
    struct wr_letter_scratch *scratch = wr_letter_scratch_create();
    struct wr_letter letter;
    parse("{\"_source\":\"s\",\"_split\":\"t/3\",\"_position\":9223372036854775807,\"_timestamp\":\"1970-01-01T00:00:01Z\","
          "\"_key\":\"k\\u0001\",\"_headers\":{\"a\": [1]},\"_value\":\"eCz//g==\",\"_encoding\":\"base64\",\"_error\":\"e\",\"_field\":null,"
          "\"_sinks\":[\"a\",\"b\"]}",
          scratch, &letter);
    cr_assert(letter.readable);
    cr_assert(wr_letter_replayable(&letter));
    cr_assert_eq(letter.origin_position, INT64_MAX);
    cr_assert_eq(letter.timestamp_us, 1000000);
    cr_assert(wr_slice_is(letter.split, "t/3"));
    cr_assert(wr_slice_is(letter.key, "k\x01"));
    cr_assert(wr_slice_is(letter.headers, "{\"a\":[1]}"));
    cr_assert(wr_slice_is(letter.value, "x,\xff\xfe"));
    cr_assert(wr_slice_is(letter.sinks, "[\"a\",\"b\"]"));
    cr_assert_null(letter.field.data);
    wr_letter_scratch_destroy(scratch);
}

Test(dead_letters, what_is_no_letter_is_told_as_such)
{
    static const char *const lines[] = { "",
                                         "{",
                                         "[]",
                                         "{\"_source\":\"s\"}",
                                         "{\"_error\":\"e\"}",
                                         "{\"_source\":1,\"_error\":\"e\"}",
                                         "{\"_source\":\"s\",\"_error\":\"e\",\"_timestamp\":\"soon\"}",
                                         "{\"_source\":\"s\",\"_error\":\"e\",\"_value\":\"!\",\"_encoding\":\"base64\"}",
                                         "{\"_source\":\"s\",\"_error\":\"\xff\"}" };
    struct wr_letter_scratch *scratch = wr_letter_scratch_create();
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct wr_letter letter;
        parse(lines[i], scratch, &letter);
        cr_assert_not(letter.readable, "%s", lines[i]);
        cr_assert_not(wr_letter_has_error(&letter, "e"));
    }
    struct wr_letter result; /* of a result row: a letter, but no record to read again */
    parse("{\"_source\":\"s\",\"_split\":null,\"_value\":\"{}\",\"_error\":\"e\"}", scratch, &result);
    cr_assert(result.readable);
    cr_assert_not(wr_letter_replayable(&result));
    wr_letter_scratch_destroy(scratch);
}

Test(dead_letters, a_file_is_read_from_any_line_to_any_other, .fini = clean_up)
{
    /* 37 bytes each, then garbage, then a line that a crash cut short */
    write_letters("{\"_source\":\"s\",\"_error\":\"first one\"}\n{\"_source\":\"s\",\"_error\":\"second o.\"}\ngarbage\n{\"_sour");
    struct wr_letters *letters = open_letters();
    struct wr_letter_reader *reader = NULL;
    struct wr_letter letter;
    struct wr_error err;
    int64_t begin;
    int64_t end;
    cr_assert_eq(wr_letters_parts(letters), 1);
    cr_assert_str_eq(wr_letters_part(letters, 0), path + 5);
    cr_assert_eq(wr_letters_span(letters, 0, &begin, &end, &err), WR_OK);
    cr_assert_eq(begin, 0);
    cr_assert_eq(end, 37 + 37 + 8);
    cr_assert_eq(wr_letter_reader_open(&reader, letters, 0, 37, end, &err), WR_OK);
    cr_assert_eq(wr_letter_reader_next(reader, &letter, &err), WR_OK);
    cr_assert(wr_slice_is(letter.error, "second o."));
    cr_assert_eq(letter.position, 37);
    cr_assert_eq(letter.next_position, 74);
    cr_assert_eq(wr_letter_reader_next(reader, &letter, &err), WR_OK);
    cr_assert_not(letter.readable);
    cr_assert_eq(letter.next_position, end);
    cr_assert_eq(wr_letter_reader_next(reader, &letter, &err), WR_END);
    wr_letter_reader_close(reader);
    cr_assert_eq(wr_letter_reader_open(&reader, letters, 0, 0, 37, &err), WR_OK);
    cr_assert_eq(wr_letter_reader_next(reader, &letter, &err), WR_OK);
    cr_assert(wr_slice_is(letter.error, "first one"));
    cr_assert_eq(wr_letter_reader_next(reader, &letter, &err), WR_END);
    wr_letter_reader_close(reader);
    wr_letters_close(letters);
}

Test(dead_letters, another_file_under_the_name_shows, .fini = clean_up)
{
    write_letters("{\"_source\":\"s\",\"_error\":\"a\"}\n");
    struct wr_letters *letters = open_letters();
    struct wr_error err;
    char mark[WR_LETTERS_MARK_BYTES];
    char note[WR_LETTERS_MARK_BYTES + 16];
    cr_assert_eq(wr_letters_mark(letters, 0, mark, &err), WR_OK);
    (void)snprintf(note, sizeof note, "until=29 %s", mark);
    FILE *file = fopen(path, "a");
    fputs("more\n", file);
    fclose(file);
    cr_assert(wr_letters_fit(letters, 0, note), "what was appended changes nothing");
    file = fopen(path, "r+");
    fputs("{\"_source\":\"z\"", file);
    fclose(file);
    cr_assert_not(wr_letters_fit(letters, 0, note));
    wr_letters_close(letters);
}

Test(dead_letters, a_part_that_is_not_there_yet_has_no_letters, .fini = clean_up)
{
    write_letters("");
    (void)unlink(path);
    struct wr_letters *letters = open_letters();
    cr_assert_eq(wr_letters_parts(letters), 0);
    wr_letters_close(letters);
    struct wr_plan_sink other = sink;
    struct wr_error err;
    other.connector = "stdout";
    cr_assert_eq(wr_letters_open(&letters, &other, &err), WR_FAIL);
    cr_assert_eq(err.cls, WR_CLASS_USER);
    cr_assert_not_null(strstr(err.hint, "'delta' and 'parquet'"));
}

Test(dead_letters, what_was_replayed_by_error_alone_counts_for_those_errors)
{
    char *all = wr_replay_split_name("bad", "b.ndjson", NULL);
    char *some = wr_replay_split_name("bad", "b.ndjson", "a \"b\" 100%");
    cr_assert_str_eq(all, "dlq/bad/b.ndjson");
    cr_assert_str_eq(some, "dlq/bad/b.ndjson?error=a %22b%22 100%25");
    const struct wr_replay_known known[] = { { "in.ndjson", 999, NULL },
                                             { all, 50, "until=50" },
                                             { some, 100, NULL },
                                             { "dlq/bad/b.ndjson2", 999, NULL },
                                             { "dlq/bad2/b.ndjson", 999, NULL } };
    struct wr_replay_marks marks;
    wr_replay_marks_find(&marks, "bad", "b.ndjson", known, 5);
    cr_assert_eq(marks.count, 2);
    struct wr_letter letter = { .readable = true, .position = 49, .error = WR_SLICE_LITERAL("other") };
    cr_assert(wr_replay_marks_done(&marks, &letter));
    letter.position = 50;
    cr_assert_not(wr_replay_marks_done(&marks, &letter));
    letter.error = WR_SLICE_LITERAL("it says: a \"b\" 100%!");
    cr_assert(wr_replay_marks_done(&marks, &letter));
    letter.position = 100;
    cr_assert_not(wr_replay_marks_done(&marks, &letter));
    wr_replay_marks_deinit(&marks);
    free(all);
    free(some);
}
