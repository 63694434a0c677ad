#include "sink_bed.h"

#include <signal.h>
#include <sys/resource.h>

static const struct bed_row two[] = { { 1, "DE", 1.5, "{\"a\":1}" }, { 2, NULL, 2, NULL } };
static const struct bed_row third[] = { { 3, "FR", 3, NULL } };

#define LINE_1 "{\"id\":1,\"country\":\"DE\",\"amount\":1.5,\"note\":{\"a\":1}}\n"
#define LINE_2 "{\"id\":2,\"country\":null,\"amount\":2,\"note\":null}\n"
#define LINE_3 "{\"id\":3,\"country\":\"FR\",\"amount\":3,\"note\":null}\n"

static struct bed bed;

static void close_bed(void)
{
    bed_deinit(&bed);
}

static void open_bed(void)
{
    bed_init(&bed, &wr_sink_file);
}

TestSuite(sink_file, .init = open_bed, .fini = close_bed);

Test(sink_file, rows_appear_at_publish_and_not_before)
{
    bed_path_option(&bed, "out/deep/rows.ndjson");
    bed_open(&bed);
    bed_write(&bed, two, 2);
    cr_assert_str_eq(bed_text(&bed, "out/deep/rows.ndjson"), "");
    bed_prepare(&bed, 1);
    cr_assert_str_eq(bed_text(&bed, "out/deep/rows.ndjson"), "");
    bed_publish(&bed, 1);
    cr_assert_str_eq(bed_text(&bed, "out/deep/rows.ndjson"), LINE_1 LINE_2);
    struct wr_sink_stats stats;
    bed.ops->stats(bed.writer, &stats);
    cr_assert_eq(stats.rows, 2);
    cr_assert_eq(stats.files, 1);
    cr_assert_eq(stats.bytes, strlen(LINE_1 LINE_2));
}

Test(sink_file, several_prepared_epochs_are_published_in_order)
{
    bed_path_option(&bed, "rows");
    bed_open(&bed);
    bed_write(&bed, two, 1);
    bed_prepare(&bed, 1);
    bed_write(&bed, two + 1, 1);
    bed_prepare(&bed, 2);
    bed_write(&bed, third, 1);
    bed_publish(&bed, 1);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_1);
    bed_publish(&bed, 1); /* a repeated publish adds nothing */
    bed_publish(&bed, 2);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_1 LINE_2);
    bed_prepare(&bed, 3);
    bed_publish(&bed, 3);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_1 LINE_2 LINE_3);
}

Test(sink_file, a_second_run_appends_and_leaves_no_spool)
{
    bed_path_option(&bed, "rows");
    bed_open(&bed);
    bed_write(&bed, two, 2);
    bed_prepare(&bed, 1);
    bed_publish(&bed, 1);
    bed_close_writer(&bed);
    cr_assert_null(bed_text(&bed, ".rows.weir-spool"));
    cr_assert_eq(bed_reopen(&bed), WR_OK);
    bed_write(&bed, third, 1);
    bed_prepare(&bed, 1);
    bed_publish(&bed, 1);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_1 LINE_2 LINE_3);
}

Test(sink_file, csv_has_one_header_in_all)
{
    bed_path_option(&bed, "rows.csv");
    bed.plan.format = "csv";
    bed_open(&bed);
    bed_write(&bed, two, 1);
    bed_prepare(&bed, 1);
    bed_publish(&bed, 1);
    bed_close_writer(&bed);
    cr_assert_eq(bed_reopen(&bed), WR_OK);
    bed_write(&bed, third, 1);
    bed_prepare(&bed, 1);
    bed_publish(&bed, 1);
    cr_assert_str_eq(bed_text(&bed, "rows.csv"),
                     "id,country,amount,note\n1,DE,1.5,\"{\"\"a\"\":1}\"\n3,FR,3,\n");
}

Test(sink_file, unpublished_rows_are_dropped_by_close)
{
    bed_path_option(&bed, "rows");
    bed_open(&bed);
    bed_write(&bed, two, 2);
    bed_prepare(&bed, 1);
    bed_close_writer(&bed);
    cr_assert_str_eq(bed_text(&bed, "rows"), "");
}

Test(sink_file, an_append_that_a_crash_cut_short_is_taken_back)
{
    bed_path_option(&bed, "rows");
    bed_open(&bed);
    bed_write(&bed, two, 1);
    bed_prepare(&bed, 1);
    bed_publish(&bed, 1);
    bed_write(&bed, two + 1, 1);
    bed_prepare(&bed, 2);
    /* What the process leaves when it dies in the middle of publish(2): its spool, and half of the
     * lines. */
    char path[128];
    char spool[128];
    char kept[128];
    snprintf(path, sizeof path, "%s/rows", bed.directory);
    snprintf(spool, sizeof spool, "%s/.rows.weir-spool", bed.directory);
    snprintf(kept, sizeof kept, "%s/kept", bed.directory);
    cr_assert_eq(link(spool, kept), 0);
    bed_close_writer(&bed);
    cr_assert_eq(rename(kept, spool), 0);
    const int fd = open(path, O_WRONLY | O_APPEND);
    cr_assert_eq(write(fd, LINE_2, 10), 10);
    close(fd);

    cr_assert_eq(bed_reopen(&bed), WR_OK, "%s", bed.err.message);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_1);
}

Test(sink_file, a_file_that_is_whole_is_never_shortened)
{
    bed_path_option(&bed, "rows");
    char path[128];
    snprintf(path, sizeof path, "%s/rows", bed.directory);
    FILE *file = fopen(path, "w");
    fputs("the user's own line\n", file);
    fclose(file);
    snprintf(path, sizeof path, "%s/.rows.weir-spool", bed.directory);
    file = fopen(path, "w"); /* garbage in place of a spool */
    for (int i = 0; i < 100; i++) {
        fputs("weirspl1garbage", file);
    }
    fclose(file);
    bed_open(&bed);
    cr_assert_str_eq(bed_text(&bed, "rows"), "the user's own line\n");
}

Test(sink_file, a_second_writer_of_the_same_file_is_refused)
{
    bed_path_option(&bed, "rows");
    bed_open(&bed);
    struct wr_writer *first = bed.writer;
    cr_assert_eq(bed_reopen(&bed), WR_FAIL);
    cr_assert_not_null(strstr(bed.err.message, "is being written by another"));
    cr_assert_neq(bed.err.hint[0], '\0');
    bed.writer = first;
}

Test(sink_file, at_least_once_writes_at_once)
{
    bed_path_option(&bed, "rows");
    bed_option(&bed, "guarantee", "at_least_once");
    bed_open(&bed);
    bed_write(&bed, two, 2);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_1 LINE_2);
    cr_assert_eq(bed.visible_rows, 2);
    cr_assert_eq(bed.visible_ingest_us, 77);
    bed_prepare(&bed, 1);
    bed_publish(&bed, 1);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_1 LINE_2);
    cr_assert_null(bed_text(&bed, ".rows.weir-spool"));
}

Test(sink_file, a_full_disk_asks_for_patience_and_tears_nothing)
{
    bed_option(&bed, "path", "/dev/full");
    bed_open(&bed);
    cr_assert_eq(bed_try_write(&bed, two, 2), WR_FAIL);
    cr_assert_not_null(strstr(bed.err.message, "No space left on device"));
    cr_assert_not_null(strstr(bed.err.hint, "free space"));
}

Test(sink_file, a_target_that_cannot_grow_keeps_what_was_published)
{
    bed_path_option(&bed, "rows");
    bed_open(&bed);
    bed_write(&bed, two, 1);
    bed_prepare(&bed, 1);
    bed_publish(&bed, 1);
    bed_write(&bed, two + 1, 1);
    bed_prepare(&bed, 2);
    /* A limit on the file's size stands for a full disk: the append stops after a few bytes. */
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = { strlen(LINE_1) + 7, RLIM_INFINITY };
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_eq(bed.ops->publish(bed.writer, 2, NULL, 0, &bed.err), WR_FAIL);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_1);
    limit.rlim_cur = RLIM_INFINITY;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    bed_publish(&bed, 2);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_1 LINE_2);
}

Test(sink_file, a_long_epoch_goes_through_the_spool)
{
    bed_path_option(&bed, "rows");
    bed_open(&bed);
    static struct bed_row rows[1000];
    for (uint32_t i = 0; i < 1000; i++) {
        rows[i] = (struct bed_row){ i, "a country with a rather long name", i, NULL };
    }
    char path[128];
    snprintf(path, sizeof path, "%s/rows", bed.directory);
    for (uint64_t epoch = 1; epoch <= 3; epoch++) {
        for (int i = 0; i < 40; i++) { /* 3 MB */
            bed_write(&bed, rows, 1000);
        }
        bed_prepare(&bed, epoch);
        for (int i = 0; i < 40; i++) { /* spilled before the publish: the spool never is empty */
            bed_write(&bed, rows, 1000);
        }
        bed_publish(&bed, epoch);
    }
    bed_prepare(&bed, 4);
    bed_publish(&bed, 4);
    FILE *file = fopen(path, "r");
    char line[256];
    uint64_t lines = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        char wanted[256];
        snprintf(wanted, sizeof wanted,
                 "{\"id\":%d,\"country\":\"a country with a rather long name\",\"amount\":%d,"
                 "\"note\":null}\n", (int)(lines % 1000), (int)(lines % 1000));
        cr_assert_str_eq(line, wanted);
        lines++;
    }
    fclose(file);
    cr_assert_eq(lines, 240000);
}

Test(sink_file, wrong_options_are_refused_with_a_hint)
{
    bed_option(&bed, "path", "s3://bucket/rows.ndjson");
    cr_assert_eq(bed_check(&bed), WR_FAIL);
    cr_assert_not_null(strstr(bed.err.hint, "parquet"));
    bed.plan.pair_count = 0;
    bed_option(&bed, "path", "/tmp/");
    cr_assert_eq(bed_check(&bed), WR_FAIL);
    cr_assert_not_null(strstr(bed.err.message, "is a directory"));
    bed.plan.pair_count = 0;
    bed_option(&bed, "path", "/tmp/x");
    bed_option(&bed, "partition_by", "country");
    bed.plan.partition_count = 1;
    cr_assert_eq(bed_check(&bed), WR_FAIL);
    cr_assert_not_null(strstr(bed.err.message, "cannot partition"));
}

Test(sink_file, a_directory_in_its_place_is_named)
{
    bed_path_option(&bed, "");
    bed.pairs[0].value = bed.directory;
    cr_assert_eq(bed_check(&bed), WR_OK, "%s", bed.err.message);
    cr_assert_eq(bed_reopen(&bed), WR_FAIL);
    cr_assert_not_null(strstr(bed.err.message, "Is a directory"));
}

/* ---- crashes and recovery ---- */

#define FIRST "aaaaaaaaaaaaaaaa"
#define SECOND "bbbbbbbbbbbbbbbb"

static void start(const char *owner)
{
    bed.owner = owner;
    bed.state_uuid = "6b1c5a2e-0000-4000-8000-000000000001";
    cr_assert_eq(bed_reopen(&bed), WR_OK, "%s", bed.err.message);
}

static uint32_t entries(void)
{
    uint32_t count = 0;
    char command[160];
    snprintf(command, sizeof command, "ls -A %s", bed.directory);
    FILE *list = popen(command, "r");
    for (int c = fgetc(list); c != EOF; c = fgetc(list)) {
        count += c == '\n';
    }
    pclose(list);
    return count;
}

static void append_by_hand(const char *text, size_t bytes)
{
    char path[128];
    snprintf(path, sizeof path, "%s/rows", bed.directory);
    FILE *file = fopen(path, "a");
    cr_assert_eq(fwrite(text, 1, bytes, file), bytes);
    fclose(file);
}

/* Epoch 1 is published, 2 committed, 3 prepared, rows of 4 are written. */
static void four_epochs(struct bed *b)
{
    start(FIRST);
    bed_write(b, two, 1);
    bed_prepare(b, 1);
    bed_commit_lane(b, 1);
    cr_assert_eq(bed_try_publish_committed(b), WR_OK);
    bed_write(b, two + 1, 1);
    bed_prepare(b, 2);
    bed_commit_lane(b, 2);
    bed_write(b, third, 1);
    bed_prepare(b, 3);
    bed_write(b, third, 1);
}

Test(sink_file, a_committed_epoch_is_appended_by_the_next_process_once)
{
    bed_path_option(&bed, "rows");
    cr_assert_eq(bed_check(&bed), WR_OK);
    bed_killed(&bed, four_epochs);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_1);
    start(SECOND);
    bed_recover(&bed, FIRST);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_1 LINE_2);
    bed_recover(&bed, FIRST);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_1 LINE_2);
    bed_write(&bed, third, 1);
    bed_prepare(&bed, 4);
    bed_commit_lane(&bed, 4);
    cr_assert_eq(bed_try_publish_committed(&bed), WR_OK);
    bed_close_writer(&bed);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_1 LINE_2 LINE_3);
    cr_assert_eq(entries(), 1, "spools are left");
}

Test(sink_file, an_append_that_was_cut_short_is_completed)
{
    bed_path_option(&bed, "rows");
    cr_assert_eq(bed_check(&bed), WR_OK);
    bed_killed(&bed, four_epochs);
    append_by_hand(LINE_2, 10);
    start(SECOND);
    bed_recover(&bed, FIRST);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_1 LINE_2);
}

Test(sink_file, what_was_published_before_the_crash_is_not_appended_again)
{
    bed_path_option(&bed, "rows");
    cr_assert_eq(bed_check(&bed), WR_OK);
    bed_killed(&bed, four_epochs);
    append_by_hand(LINE_2, strlen(LINE_2));
    start(SECOND);
    bed_recover(&bed, FIRST);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_1 LINE_2);
}

Test(sink_file, bytes_that_no_committed_epoch_wrote_are_cut_off)
{
    bed_path_option(&bed, "rows");
    cr_assert_eq(bed_check(&bed), WR_OK);
    bed_killed(&bed, four_epochs);
    append_by_hand(LINE_2 LINE_3 LINE_3, strlen(LINE_2 LINE_3 LINE_3));
    start(SECOND);
    bed_recover(&bed, FIRST);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_1 LINE_2);
}

static void an_empty_epoch(struct bed *b)
{
    start(FIRST);
    bed_write(b, two, 1);
    bed_prepare(b, 1);
    bed_commit_lane(b, 1);
    cr_assert_eq(bed_try_publish_committed(b), WR_OK);
    bed_prepare(b, 2);
    cr_assert_gt(b->receipt.bytes, 0);
    bed_commit_lane(b, 2);
}

Test(sink_file, an_epoch_without_rows_commits_the_length_too)
{
    bed_path_option(&bed, "rows");
    cr_assert_eq(bed_check(&bed), WR_OK);
    bed_killed(&bed, an_empty_epoch);
    append_by_hand(LINE_3, strlen(LINE_3));
    start(SECOND);
    bed_recover(&bed, FIRST);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_1);
}

static void nothing_committed(struct bed *b)
{
    start(FIRST);
    bed_write(b, two, 2);
    bed_prepare(b, 1);
}

Test(sink_file, what_was_prepared_only_is_gone_with_its_spool)
{
    bed_path_option(&bed, "rows");
    cr_assert_eq(bed_check(&bed), WR_OK);
    bed_killed(&bed, nothing_committed);
    cr_assert_eq(entries(), 2);
    start(SECOND);
    bed_recover(&bed, FIRST);
    cr_assert_str_eq(bed_text(&bed, "rows"), "");
    bed_close_writer(&bed);
    cr_assert_eq(entries(), 1);
}

Test(sink_file, an_orderly_close_keeps_the_spool_of_what_may_be_committed)
{
    bed_path_option(&bed, "rows");
    cr_assert_eq(bed_check(&bed), WR_OK);
    start(FIRST);
    bed_write(&bed, two, 2);
    bed_prepare(&bed, 1);
    bed_commit_lane(&bed, 1);
    bed_close_writer(&bed);
    cr_assert_str_eq(bed_text(&bed, "rows"), "");
    start(SECOND);
    bed_recover(&bed, FIRST);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_1 LINE_2);
}

Test(sink_file, a_file_that_the_user_took_away_is_begun_anew)
{
    bed_path_option(&bed, "rows");
    cr_assert_eq(bed_check(&bed), WR_OK);
    bed_killed(&bed, an_empty_epoch);
    char path[128];
    snprintf(path, sizeof path, "%s/rows", bed.directory);
    unlink(path);
    start(SECOND);
    bed_recover(&bed, FIRST);
    bed_write(&bed, third, 1);
    bed_prepare(&bed, 3);
    bed_commit_lane(&bed, 3);
    cr_assert_eq(bed_try_publish_committed(&bed), WR_OK);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_3);
}

Test(sink_file, a_file_that_the_user_took_away_gets_rows_that_were_not_published)
{
    bed_path_option(&bed, "rows");
    cr_assert_eq(bed_check(&bed), WR_OK);
    bed_killed(&bed, four_epochs);
    char path[128];
    snprintf(path, sizeof path, "%s/rows", bed.directory);
    unlink(path);
    start(SECOND);
    bed_recover(&bed, FIRST);
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_2);
    bed_recover(&bed, FIRST); /* the spool is gone: no second time */
    cr_assert_str_eq(bed_text(&bed, "rows"), LINE_2);
}

Test(sink_file, committed_rows_whose_spool_is_damaged_are_an_error)
{
    bed_path_option(&bed, "rows");
    cr_assert_eq(bed_check(&bed), WR_OK);
    bed_killed(&bed, four_epochs);
    append_by_hand(LINE_2, 10);
    char path[128];
    snprintf(path, sizeof path, "%s/.rows." FIRST ".weir-spool", bed.directory);
    cr_assert_eq(truncate(path, 40), 0);
    start(SECOND);
    const char *const owner = FIRST;
    cr_assert_eq(bed_try_recover(&bed, &owner, 1), WR_FAIL);
    cr_assert_not_null(strstr(bed.err.message, "rows that were committed are missing"));
    cr_assert_neq(bed.err.hint[0], '\0');
}

Test(sink_file, a_damaged_receipt_is_an_error)
{
    static const char *const texts[] = {
        "", "[]", "{}", "{\"path\":1}",
        "{\"path\":\"/nowhere\",\"inode\":1,\"before\":-1,\"after\":2}",
        "{\"path\":\"/nowhere\",\"inode\":1,\"before\":5,\"after\":2}",
        "{\"path\":\"/nowhere\",\"inode\":1,\"before\":1,\"after\":2}"
    };
    bed_path_option(&bed, "rows");
    cr_assert_eq(bed_check(&bed), WR_OK);
    start(SECOND);
    for (uint32_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const struct wr_receipt receipt = { texts[i], strlen(texts[i]) };
        const struct wr_sink_recovery recovery = { .epoch = 1,
                                                   .receipts = &receipt,
                                                   .receipt_count = 1 };
        cr_assert_eq(bed.ops->recover(bed.writer, &recovery, &bed.err), WR_FAIL, "%s", texts[i]);
        cr_assert_eq(bed.err.cls, WR_CLASS_FATAL);
    }
}

Test(sink_file, a_csv_header_is_part_of_the_first_epoch_only)
{
    bed_path_option(&bed, "rows");
    bed.plan.format = "csv";
    cr_assert_eq(bed_check(&bed), WR_OK);
    bed_killed(&bed, four_epochs);
    start(SECOND);
    bed_recover(&bed, FIRST);
    bed_write(&bed, third, 1);
    bed_prepare(&bed, 4);
    bed_commit_lane(&bed, 4);
    cr_assert_eq(bed_try_publish_committed(&bed), WR_OK);
    cr_assert_str_eq(bed_text(&bed, "rows"), "id,country,amount,note\n"
                     "1,DE,1.5,\"{\"\"a\"\":1}\"\n2,,2,\n3,FR,3,\n");
}

Test(sink_file, a_device_cannot_promise_exactly_once)
{
    bed_option(&bed, "path", "/dev/null");
    bed_option(&bed, "guarantee", "exactly_once");
    cr_assert_eq(bed_check(&bed), WR_OK);
    cr_assert_eq(bed_reopen(&bed), WR_FAIL);
    cr_assert_eq(bed.err.cls, WR_CLASS_USER);
    cr_assert_not_null(strstr(bed.err.hint, "regular file"));
}

Test(sink_file, sinks_that_cannot_take_rows_back_refuse_exactly_once)
{
    static const struct wr_sink_ops *const immediate[] = { &wr_sink_stdout, &wr_sink_blackhole };
    for (uint32_t i = 0; i < 2; i++) {
        bed.ops = immediate[i];
        bed.plan.connector = immediate[i]->name;
        bed.plan.pair_count = 0;
        bed_option(&bed, "guarantee", "at_least_once");
        cr_assert_eq(bed_check(&bed), WR_OK);
        bed.plan.pair_count = 0;
        bed_option(&bed, "guarantee", "exactly_once");
        cr_assert_eq(bed_check(&bed), WR_FAIL);
        cr_assert_not_null(strstr(bed.err.message, immediate[i]->name));
    }
    bed.ops = &wr_sink_file;
}
