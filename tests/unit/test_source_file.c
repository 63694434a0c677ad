#include "test_source_harness.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

static char directory[64];

static const char *path_of(const char *name)
{
    static char paths[8][160];
    static uint32_t next;
    if (directory[0] == '\0') {
        strcpy(directory, "/tmp/weir-test-file-XXXXXX");
        cr_assert_not_null(mkdtemp(directory));
    }
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static void remove_directory(void)
{
    if (directory[0] != '\0') {
        char command[128];
        snprintf(command, sizeof command, "rm -r %s", directory);
        cr_assert_eq(system(command), 0);
        directory[0] = '\0';
    }
}

static void write_file(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(data, 1, bytes, file), bytes);
    cr_assert_eq(fclose(file), 0);
}

struct outcome {
    struct wr_buf text; /* all records, each with a newline */
    struct wr_buf events;
    uint64_t rows;
    int64_t last_position;
    bool rows_before_all_opened;
    uint32_t opened;
};

static void take_rows(struct harness *h, struct outcome *o, const struct wr_poll *poll)
{
    int64_t at = -1;
    for (uint32_t i = 0; i < poll->records->count; i++) {
        const struct wr_record *r = &poll->records->items[i];
        wr_buf_append(&o->text, r->data, r->bytes);
        wr_buf_byte(&o->text, '\n');
        cr_assert(r->position > at);
        at = r->position;
    }
    cr_assert(poll->next_position > at);
    o->last_position = poll->next_position;
    o->rows += poll->records->count;
    o->rows_before_all_opened |= o->opened < h->env.workers;
    wr_records_release(poll->records);
}

/* Polls all readers until each has finished. */
static wr_status read_all(struct harness *h, struct outcome *o)
{
    bool finished[4] = { 0 };
    uint32_t left = h->env.workers;
    memset(o, 0, sizeof *o);
    while (left > 0) {
        for (uint32_t w = 0; w < h->env.workers; w++) {
            struct wr_poll poll = { 0 };
            if (finished[w]) {
                continue;
            }
            if (h->ops->poll(h->readers[w], h->now, NULL, &poll, &h->err) != WR_OK) {
                return WR_FAIL;
            }
            switch (poll.kind) {
            case WR_POLL_NOTHING: wr_io_turn(h->io, 1000000); break;
            case WR_POLL_ROWS: take_rows(h, o, &poll); break;
            case WR_POLL_SPLIT_OPENED:
                o->opened++;
                cr_assert_not_null(poll.split_name);
                wr_buf_printf(&o->events, "open%u ", poll.split);
                break;
            case WR_POLL_SPLIT_HEADER:
                wr_buf_printf(&o->events, "header(%.*s) ", WR_SLICE_ARG(poll.header));
                break;
            case WR_POLL_SPLIT_ENDED: wr_buf_printf(&o->events, "end%u ", poll.split); break;
            case WR_POLL_FINISHED: finished[w] = true; left--; break;
            default: break;
            }
        }
    }
    return WR_OK;
}

static void outcome_deinit(struct outcome *o)
{
    wr_buf_deinit(&o->text);
    wr_buf_deinit(&o->events);
}

static void expect(const char *format, const char *path, const char *text, const char *events)
{
    struct harness h;
    struct outcome o;
    harness_init(&h);
    const char *pairs[] = { "path", path, NULL };
    cr_assert_eq(harness_options(&h, &wr_source_file, format, pairs), WR_OK, "%s", h.err.message);
    cr_assert_eq(harness_start(&h), WR_OK, "%s", h.err.message);
    cr_assert_eq(read_all(&h, &o), WR_OK, "%s", h.err.message);
    cr_assert_str_eq(wr_buf_cstr(&o.text), text);
    if (events != NULL) {
        cr_assert_str_eq(wr_buf_cstr(&o.events), events);
    }
    outcome_deinit(&o);
    harness_end(&h);
}

/* Opening or reading fails with a message that holds part. */
static void expect_failure(const char *path, const char *part)
{
    struct harness h;
    struct outcome o = { 0 };
    harness_init(&h);
    const char *pairs[] = { "path", path, NULL };
    cr_assert_eq(harness_options(&h, &wr_source_file, "json", pairs), WR_OK);
    if (harness_start(&h) == WR_OK) {
        cr_assert_eq(read_all(&h, &o), WR_FAIL);
    }
    cr_assert(strstr(h.err.message, part) != NULL, "%s", h.err.message);
    outcome_deinit(&o);
    harness_end(&h);
}

Test(source_file, reads_lines_with_any_line_end, .fini = remove_directory)
{
    const char text[] = "\xef\xbb\xbf{\"a\":1}\r\n\n{\"a\":2}\n{\"a\":3}";
    write_file(path_of("a.ndjson"), text, sizeof text - 1);
    expect("json", path_of("a.ndjson"), "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n", "open0 end0 ");
}

Test(source_file, an_empty_file_is_opened_and_ends, .fini = remove_directory)
{
    write_file(path_of("empty"), "", 0);
    expect("json", path_of("empty"), "", "open0 end0 ");
    expect("csv", path_of("empty"), "", "open0 end0 ");
}

Test(source_file, the_first_csv_line_is_the_header_of_each_file, .fini = remove_directory)
{
    write_file(path_of("b.csv"), "x,y\n1,\"a\nb\"\n", 13);
    write_file(path_of("a.csv"), "y,x\n", 4);
    expect("csv", directory, "1,\"a\nb\"\n", "open0 open1 header(y,x) header(x,y) end0 end1 ");
}

Test(source_file, lists_globs_and_directories_name_files_in_order, .fini = remove_directory)
{
    write_file(path_of("2.json"), "2\n", 2);
    write_file(path_of("1.json"), "1\n", 2);
    write_file(path_of("3.txt"), "3\n", 2);
    cr_assert_eq(mkdir(path_of("sub"), 0700), 0);
    char both[400];
    snprintf(both, sizeof both, "%s, %s", path_of("3.txt"), path_of("*.json"));
    expect("json", both, "3\n1\n2\n", "open0 open1 open2 end0 end1 end2 ");
    expect("json", directory, "1\n2\n3\n", NULL);
}

Test(source_file, says_what_cannot_be_read, .fini = remove_directory)
{
    expect_failure(path_of("none.json"), "none.json: No such file or directory");
    expect_failure(path_of("*.none"), "no file matches");
    expect_failure(directory, "there is no file in directory");
    expect_failure("-,-", "once only");
}

/* ---- bigger inputs ---- */

struct big {
    struct wr_buf text;
    uint32_t lines;
};

static void make_big(struct big *b, size_t bytes)
{
    memset(b, 0, sizeof *b);
    uint32_t random = 1;
    while (b->text.bytes < bytes) {
        random = random * 1664525 + 1013904223;
        uint32_t width = (random >> 8) % 300 + 1;
        if ((random >> 20) % 500 == 0) {
            width = 700000; /* longer than a block */
        }
        for (uint32_t i = 0; i < width; i++) {
            wr_buf_byte(&b->text, (uint8_t)('a' + (b->lines + i) % 26));
        }
        wr_buf_byte(&b->text, '\n');
        b->lines++;
    }
}

static void expect_big(const char *path, const struct big *b, uint64_t memory)
{
    struct harness h;
    struct outcome o;
    harness_init(&h);
    h.env.memory_bytes = memory;
    const char *pairs[] = { "path", path, NULL };
    cr_assert_eq(harness_options(&h, &wr_source_file, "json", pairs), WR_OK);
    cr_assert_eq(harness_start(&h), WR_OK, "%s", h.err.message);
    cr_assert_eq(read_all(&h, &o), WR_OK, "%s", h.err.message);
    cr_assert_eq(o.rows, b->lines);
    cr_assert_eq(o.text.bytes, b->text.bytes);
    cr_assert_eq(memcmp(o.text.data, b->text.data, b->text.bytes), 0);
    cr_assert_eq(o.last_position, (int64_t)b->text.bytes);
    outcome_deinit(&o);
    harness_end(&h);
}

Test(source_file, lines_across_blocks_and_longer_than_blocks_come_whole, .fini = remove_directory)
{
    struct big b;
    make_big(&b, 20 << 20);
    write_file(path_of("big"), b.text.data, b.text.bytes);
    expect_big(path_of("big"), &b, 64 << 20);
    expect_big(path_of("big"), &b, 4 << 20);
    wr_buf_deinit(&b.text);
}

Test(source_file, gzip_of_several_members_is_unpacked, .fini = remove_directory)
{
    struct big b;
    make_big(&b, 9 << 20);
    const char *path = path_of("big.gz");
    const size_t part = b.text.bytes / 3 + 17;
    for (size_t at = 0; at < b.text.bytes; at += part) {
        gzFile file = gzopen(path, at == 0 ? "wb1" : "ab1");
        const size_t bytes = b.text.bytes - at < part ? b.text.bytes - at : part;
        cr_assert_eq(gzwrite(file, b.text.data + at, (unsigned)bytes), (int)bytes);
        cr_assert_eq(gzclose(file), Z_OK);
    }
    expect_big(path, &b, 64 << 20);
    struct stat info;
    cr_assert_eq(stat(path, &info), 0);
    cr_assert_eq(truncate(path, info.st_size - 5), 0);
    expect_failure(path, "gzip data end in the middle");
    wr_buf_deinit(&b.text);
}

Test(source_file, zstd_of_several_frames_is_unpacked, .fini = remove_directory)
{
    struct big b;
    make_big(&b, 9 << 20);
    struct wr_buf packed = { 0 };
    const size_t part = b.text.bytes / 4 + 3;
    for (size_t at = 0; at < b.text.bytes; at += part) {
        const size_t bytes = b.text.bytes - at < part ? b.text.bytes - at : part;
        char *into = wr_buf_reserve(&packed, ZSTD_compressBound(bytes));
        packed.bytes +=
            ZSTD_compress(into, ZSTD_compressBound(bytes), b.text.data + at, bytes, 1);
        wr_buf_append(&packed, "\x50\x2a\x4d\x18\x02\0\0\0zz", 10); /* a skippable frame */
    }
    const char *path = path_of("big.zst");
    write_file(path, packed.data, packed.bytes);
    expect_big(path, &b, 64 << 20);
    write_file(path, packed.data, packed.bytes / 2);
    expect_failure(path, "not complete");
    memset(packed.data + 1000, 0x5a, 4000);
    write_file(path, packed.data, packed.bytes);
    expect_failure(path, "broken zstd data");
    wr_buf_deinit(&packed);
    wr_buf_deinit(&b.text);
}

Test(source_file, a_pipe_gives_what_was_written_and_ends, .fini = remove_directory)
{
    const char *path = path_of("pipe");
    cr_assert_eq(mkfifo(path, 0600), 0);
    const int keep = open(path, O_RDWR);
    cr_assert(keep >= 0);
    struct harness h;
    harness_init(&h);
    const char *pairs[] = { "path", path, NULL };
    cr_assert_eq(harness_options(&h, &wr_source_file, "json", pairs), WR_OK);
    cr_assert_eq(harness_start(&h), WR_OK);
    cr_assert_eq(write(keep, "one\ntw", 6), 6);
    bool caught_up = false;
    uint32_t rows = 0;
    for (int i = 0; i < 1000 && !caught_up; i++) {
        struct wr_poll poll = { 0 };
        cr_assert_eq(h.ops->poll(h.readers[0], h.now, NULL, &poll, &h.err), WR_OK);
        if (poll.kind == WR_POLL_ROWS) {
            cr_assert_eq(poll.records->items[0].bytes, 3u);
            rows += poll.records->count;
            wr_records_release(poll.records);
        }
        caught_up = poll.kind == WR_POLL_SPLIT_CAUGHT_UP;
        if (poll.kind == WR_POLL_NOTHING) {
            wr_io_turn(h.io, 1000000);
        }
    }
    cr_assert(caught_up && rows == 1);
    cr_assert_eq(write(keep, "o\nthree", 7), 7);
    close(keep); /* the last writer */
    struct outcome o;
    cr_assert_eq(read_all(&h, &o), WR_OK);
    cr_assert_str_eq(wr_buf_cstr(&o.text), "two\nthree\n");
    outcome_deinit(&o);
    harness_end(&h);
}

Test(source_file, closing_early_waits_for_reads_under_way, .fini = remove_directory)
{
    const char *path = path_of("pipe");
    cr_assert_eq(mkfifo(path, 0600), 0);
    const int keep = open(path, O_RDWR);
    struct harness h;
    harness_init(&h);
    const char *pairs[] = { "path", path, NULL };
    cr_assert_eq(harness_options(&h, &wr_source_file, "json", pairs), WR_OK);
    cr_assert_eq(harness_start(&h), WR_OK);
    for (int i = 0; i < 5; i++) {
        struct wr_poll poll = { 0 };
        cr_assert_eq(h.ops->poll(h.readers[0], h.now, NULL, &poll, &h.err), WR_OK);
        wr_io_turn(h.io, 1000000);
    }
    harness_end(&h);
    close(keep);
}

Test(source_file, no_row_before_all_files_of_all_workers_are_open, .fini = remove_directory)
{
    for (int i = 0; i < 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        write_file(path_of(name), "x\n", 2);
    }
    struct harness h;
    struct outcome o;
    harness_init(&h);
    h.env.workers = 3;
    const char *pairs[] = { "path", directory, NULL };
    cr_assert_eq(harness_options(&h, &wr_source_file, "json", pairs), WR_OK);
    cr_assert_eq(harness_start(&h), WR_OK);
    cr_assert_eq(read_all(&h, &o), WR_OK);
    cr_assert_eq(o.opened, 10u);
    cr_assert_eq(o.rows, 10u);
    /* All ten openings stand before the first end. */
    const char *first_end = strstr(wr_buf_cstr(&o.events), "end");
    cr_assert_null(strstr(first_end, "open"));
    cr_assert(h.wakes > 0);
    outcome_deinit(&o);
    harness_end(&h);
}

Test(source_file, blocks_held_downstream_stop_reading_and_lose_nothing, .fini = remove_directory)
{
    struct big b;
    make_big(&b, 8 << 20);
    write_file(path_of("big"), b.text.data, b.text.bytes);
    struct harness h;
    harness_init(&h);
    h.env.memory_bytes = 1 << 20;
    const char *pairs[] = { "path", path_of("big"), NULL };
    cr_assert_eq(harness_options(&h, &wr_source_file, "json", pairs), WR_OK);
    cr_assert_eq(harness_start(&h), WR_OK);
    struct wr_records *held[4096];
    uint32_t holding = 0;
    uint32_t nothing = 0;
    uint64_t rows = 0;
    while (nothing < 50) {
        struct wr_poll poll = { 0 };
        cr_assert_eq(h.ops->poll(h.readers[0], h.now, NULL, &poll, &h.err), WR_OK);
        if (poll.kind == WR_POLL_ROWS) {
            held[holding++] = poll.records;
            rows += poll.records->count;
        } else if (poll.kind == WR_POLL_NOTHING) {
            nothing++;
            wr_io_turn(h.io, 100000);
        }
    }
    cr_assert(rows > 0 && rows < b.lines);
    while (holding > 0) {
        wr_records_release(held[--holding]);
    }
    struct outcome o;
    cr_assert_eq(read_all(&h, &o), WR_OK);
    cr_assert_eq(o.rows + rows, b.lines);
    outcome_deinit(&o);
    harness_end(&h);
    wr_buf_deinit(&b.text);
}

/* ---- going on ---- */

/* Where a run came to, as a manifest would keep it. */
struct kept {
    struct wr_split_start starts[8];
    char names[8][160];
    char notes[8][WR_SPLIT_NOTE_BYTES_MAX];
    uint32_t count;
};

static void keep_split(struct kept *kept, const struct wr_poll *poll)
{
    const uint32_t i = kept->count++;
    cr_assert_eq(i, poll->split);
    snprintf(kept->names[i], sizeof kept->names[i], "%s", poll->split_name);
    snprintf(kept->notes[i], sizeof kept->notes[i], "%s",
             poll->split_note != NULL ? poll->split_note : "");
    kept->starts[i] = (struct wr_split_start){
        kept->names[i], poll->next_position, poll->split_note != NULL ? kept->notes[i] : NULL
    };
}

static void resume_at(struct harness *h, const struct kept *kept)
{
    h->env.resumed = kept != NULL;
    h->env.starts = kept != NULL ? kept->starts : NULL;
    h->env.start_count = kept != NULL ? kept->count : 0;
}

/* One run of up to polls_max polls with rows (batches of batch_rows), then a crash. text: rows are
 * appended. Returns whether it came to its end. */
static bool run_some(const char *format, const char *path, const struct kept *from,
                     uint32_t batch_rows, uint32_t polls_max, struct wr_buf *text,
                     struct wr_buf *headers, struct kept *kept)
{
    struct harness h;
    bool finished = false;
    harness_init(&h);
    h.env.has_state = true;
    h.env.batch_rows = batch_rows;
    resume_at(&h, from);
    const char *pairs[] = { "path", path, NULL };
    cr_assert_eq(harness_options(&h, &wr_source_file, format, pairs), WR_OK);
    cr_assert_eq(harness_start(&h), WR_OK, "%s", h.err.message);
    kept->count = 0;
    for (uint32_t with_rows = 0; with_rows < polls_max && !finished;) {
        struct wr_poll poll = { 0 };
        cr_assert_eq(h.ops->poll(h.readers[0], h.now, NULL, &poll, &h.err), WR_OK, "%s",
                     h.err.message);
        if (poll.kind == WR_POLL_SPLIT_OPENED) {
            keep_split(kept, &poll);
        } else if (poll.kind == WR_POLL_SPLIT_HEADER) {
            wr_buf_printf(headers, "(%.*s)", WR_SLICE_ARG(poll.header));
        } else if (poll.kind == WR_POLL_NOTHING) {
            wr_io_turn(h.io, 1000000);
        } else if (poll.kind == WR_POLL_ROWS) {
            cr_assert(poll.records->items[0].position >=
                      kept->starts[poll.split].next_position);
            for (uint32_t i = 0; i < poll.records->count; i++) {
                wr_buf_append(text, poll.records->items[i].data, poll.records->items[i].bytes);
                wr_buf_byte(text, '\n');
            }
            kept->starts[poll.split].next_position = poll.next_position;
            wr_records_release(poll.records);
            with_rows++;
        }
        finished = poll.kind == WR_POLL_FINISHED;
    }
    harness_end(&h);
    return finished;
}

/* Runs that crash after each polls_max polls give, together, each row once. */
static void expect_in_parts(const char *format, const char *path, uint32_t batch_rows,
                            uint32_t polls_max, const char *text, size_t bytes)
{
    struct wr_buf seen = { 0 };
    struct wr_buf headers = { 0 };
    struct kept kept[2];
    uint32_t runs = 0;
    while (!run_some(format, path, runs > 0 ? &kept[(runs + 1) % 2] : NULL, batch_rows, polls_max,
                     &seen, &headers, &kept[runs % 2])) {
        runs++;
        cr_assert(runs < 10000);
    }
    cr_assert(runs > 0);
    cr_assert_eq(seen.bytes, bytes);
    cr_assert_eq(memcmp(seen.data, text, bytes), 0);
    cr_assert(strcmp(format, "csv") != 0 || headers.bytes >= (runs + 1) * 3);
    wr_buf_deinit(&seen);
    wr_buf_deinit(&headers);
}

Test(source_file, goes_on_behind_each_line, .fini = remove_directory)
{
    const char text[] = "\xef\xbb\xbf""a1\r\n\n\na2\n\"a\n3\"\n\na4";
    write_file(path_of("f"), text, sizeof text - 1);
    for (uint32_t rows = 1; rows < 4; rows++) {
        expect_in_parts("json", path_of("f"), rows, 1, "a1\na2\n\"a\n3\"\na4\n", 15);
    }
}

Test(source_file, goes_on_in_csv_with_its_columns_told_again, .fini = remove_directory)
{
    const char text[] = "x,y\n1,\"a\nb\"\n\n2,c\n3,d";
    write_file(path_of("f"), text, sizeof text - 1);
    expect_in_parts("csv", path_of("f"), 1, 1, "1,\"a\nb\"\n2,c\n3,d\n", 16);
}

Test(source_file, goes_on_in_big_plain_and_packed_files, .fini = remove_directory)
{
    struct big b;
    make_big(&b, 5 << 20);
    write_file(path_of("big"), b.text.data, b.text.bytes);
    expect_in_parts("json", path_of("big"), WR_BATCH_ROWS_MAX, 3, b.text.data, b.text.bytes);
    gzFile file = gzopen(path_of("big.gz"), "wb1");
    cr_assert_eq(gzwrite(file, b.text.data, (unsigned)b.text.bytes), (int)b.text.bytes);
    cr_assert_eq(gzclose(file), Z_OK);
    expect_in_parts("json", path_of("big.gz"), WR_BATCH_ROWS_MAX, 3, b.text.data, b.text.bytes);
    struct wr_buf packed = { 0 };
    char *into = wr_buf_reserve(&packed, ZSTD_compressBound(b.text.bytes));
    packed.bytes = ZSTD_compress(into, ZSTD_compressBound(b.text.bytes), b.text.data,
                                 b.text.bytes, 1);
    write_file(path_of("big.zst"), packed.data, packed.bytes);
    expect_in_parts("json", path_of("big.zst"), WR_BATCH_ROWS_MAX, 7, b.text.data, b.text.bytes);
    wr_buf_deinit(&packed);
    wr_buf_deinit(&b.text);
}

Test(source_file, what_was_appended_and_new_files_are_read, .fini = remove_directory)
{
    struct wr_buf seen = { 0 };
    struct wr_buf headers = { 0 };
    struct kept kept, later;
    write_file(path_of("a"), "1\n2\n", 4);
    write_file(path_of("c"), "3\n", 2);
    cr_assert(run_some("json", directory, NULL, 10, 100, &seen, &headers, &kept));
    cr_assert_str_eq(wr_buf_cstr(&seen), "1\n2\n3\n");
    seen.bytes = 0;
    cr_assert(run_some("json", directory, &kept, 10, 100, &seen, &headers, &later));
    cr_assert_eq(seen.bytes, 0, "all was read before");
    write_file(path_of("a"), "1\n2\n4\n", 6);
    write_file(path_of("b"), "5\n", 2);
    cr_assert_eq(remove(path_of("c")), 0); /* a warning */
    cr_assert(run_some("json", directory, &kept, 10, 100, &seen, &headers, &later));
    cr_assert_str_eq(wr_buf_cstr(&seen), "4\n5\n");
    wr_buf_deinit(&seen);
    wr_buf_deinit(&headers);
}

static void expect_no_way_on(const char *format, const char *path, const struct kept *kept,
                             const char *part)
{
    struct harness h;
    struct outcome o = { 0 };
    harness_init(&h);
    h.env.has_state = true;
    resume_at(&h, kept);
    const char *pairs[] = { "path", path, NULL };
    cr_assert_eq(harness_options(&h, &wr_source_file, format, pairs), WR_OK);
    if (harness_start(&h) == WR_OK) {
        cr_assert_eq(read_all(&h, &o), WR_FAIL);
    }
    cr_assert(strstr(h.err.message, part) != NULL, "%s", h.err.message);
    cr_assert_not_null(strstr(h.err.hint, "new name"));
    outcome_deinit(&o);
    harness_end(&h);
}

Test(source_file, a_file_that_shrank_or_was_replaced_is_an_error, .fini = remove_directory)
{
    struct wr_buf seen = { 0 };
    struct wr_buf headers = { 0 };
    struct kept kept;
    struct big b;
    make_big(&b, 1 << 20);
    const char *path = path_of("f");
    write_file(path, b.text.data, b.text.bytes);
    cr_assert(run_some("csv", path, NULL, 10, 1000000, &seen, &headers, &kept));
    cr_assert_eq(kept.starts[0].next_position, (int64_t)b.text.bytes);
    write_file(path, b.text.data, b.text.bytes / 2);
    expect_no_way_on("csv", path, &kept, "ends before byte");
    write_file(path, b.text.data, 100);
    expect_no_way_on("csv", path, &kept, "is not the file that was read before");
    write_file(path, "", 0);
    expect_no_way_on("json", path, &kept, "is not the file that was read before");
    kept.starts[0].note = NULL;
    expect_no_way_on("json", path, &kept, "ends before byte");
    gzFile file = gzopen(path, "wb1");
    cr_assert_eq(gzwrite(file, b.text.data, 1000), 1000);
    cr_assert_eq(gzclose(file), Z_OK);
    expect_no_way_on("json", path, &kept, "ends before byte");
    wr_buf_deinit(&b.text);
    wr_buf_deinit(&seen);
    wr_buf_deinit(&headers);
}

static void use_as_input(const char *path, int flags)
{
    const int fd = open(path, flags);
    cr_assert(fd >= 0);
    cr_assert_eq(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    close(fd);
}

Test(source_file, redirected_input_goes_on_and_other_input_is_new_data, .fini = remove_directory)
{
    struct wr_buf seen = { 0 };
    struct wr_buf headers = { 0 };
    struct kept kept, later;
    write_file(path_of("a"), "1\n2\n3\n", 6);
    use_as_input(path_of("a"), O_RDONLY);
    cr_assert(!run_some("json", "-", NULL, 2, 1, &seen, &headers, &kept));
    cr_assert(run_some("json", "-", &kept, 2, 9, &seen, &headers, &later));
    cr_assert_str_eq(wr_buf_cstr(&seen), "1\n2\n3\n");
    write_file(path_of("b"), "4\n5\n", 4);
    use_as_input(path_of("b"), O_RDONLY);
    seen.bytes = 0;
    cr_assert(run_some("json", "-", &later, 2, 9, &seen, &headers, &kept));
    cr_assert_str_eq(wr_buf_cstr(&seen), "4\n5\n");
    cr_assert_eq(kept.starts[0].next_position, 10);
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(write(ends[1], "6\n", 2), 2);
    close(ends[1]);
    cr_assert_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    seen.bytes = 0;
    cr_assert(run_some("json", "-", &kept, 2, 9, &seen, &headers, &later));
    cr_assert_str_eq(wr_buf_cstr(&seen), "6\n");
    cr_assert_eq(later.starts[0].next_position, 12);
    wr_buf_deinit(&seen);
    wr_buf_deinit(&headers);
}
