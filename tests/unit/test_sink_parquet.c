#include "flaky_store.h"
#include "sink_bed.h"

#include "sink/hive_partitions.h"
#include <inttypes.h>
#include <signal.h>
#include <sys/resource.h>

static struct bed bed;

static void close_bed(void)
{
    bed_deinit(&bed);
}

static void open_bed(void)
{
    bed_init(&bed, &wr_sink_parquet);
}

TestSuite(sink_parquet, .init = open_bed, .fini = close_bed);

/* What the directory holds, found by walking it: visible files and hidden ones. */
static struct found {
    uint32_t visible;
    uint32_t hidden;
    uint64_t bytes;
    struct wr_buf names; /* of directories, one a line, in order of walking */
} found;

static void expect_parquet(const char *path)
{
    char magic[4];
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    cr_assert_eq(fread(magic, 1, 4, file), 4);
    cr_assert_eq(memcmp(magic, "PAR1", 4), 0, "%s: head", path);
    cr_assert_eq(fseek(file, -4, SEEK_END), 0);
    cr_assert_eq(fread(magic, 1, 4, file), 4);
    cr_assert_eq(memcmp(magic, "PAR1", 4), 0, "%s: foot", path);
    fclose(file);
}

static int look_at(const char *path, const struct stat *info, int kind, struct FTW *ftw)
{
    if (kind == FTW_D) {
        wr_buf_printf(&found.names, "%s\n", path + strlen(bed.directory));
    } else if (path[ftw->base] == '.') {
        found.hidden++;
    } else {
        expect_parquet(path);
        found.visible++;
        found.bytes += (uint64_t)info->st_size;
    }
    return 0;
}

static void look(void)
{
    wr_buf_deinit(&found.names);
    found = (struct found){ 0 };
    nftw(bed.directory, look_at, 16, FTW_PHYS);
}

static bool has_directory(const char *name)
{
    char line[512];
    snprintf(line, sizeof line, "%s\n", name);
    return strstr(wr_buf_cstr(&found.names), line) != NULL;
}

static struct wr_sink_stats stats_of(void)
{
    struct wr_sink_stats stats;
    bed.ops->stats(bed.writer, &stats);
    return stats;
}

static const struct bed_row three[] = { { 1, "DE", 1, NULL },
                                        { 2, NULL, 2, "{}" },
                                        { 3, "FR", 3, NULL } };

Test(sink_parquet, files_appear_at_publish)
{
    bed_path_option(&bed, "lake");
    bed_open(&bed);
    bed_write(&bed, three, 3);
    bed_write(&bed, three, 2);
    look();
    cr_assert_eq(found.visible, 0);
    bed_prepare(&bed, 1);
    look();
    cr_assert_eq(found.visible, 0);
    cr_assert_eq(found.hidden, 1);
    bed_publish(&bed, 1);
    look();
    cr_assert_eq(found.visible, 1);
    cr_assert_eq(found.hidden, 0);
    cr_assert_eq(stats_of().rows, 5);
    cr_assert_eq(stats_of().files, 1);
    cr_assert_eq(stats_of().bytes, found.bytes);
}

Test(sink_parquet, an_epoch_without_rows_writes_no_file)
{
    bed_path_option(&bed, "lake");
    bed_open(&bed);
    bed_prepare(&bed, 1);
    bed_publish(&bed, 1);
    look();
    cr_assert_eq(found.visible + found.hidden, 0);
}

Test(sink_parquet, epochs_prepared_together_are_published_one_by_one)
{
    bed_path_option(&bed, "lake");
    bed_open(&bed);
    bed_write(&bed, three, 3);
    bed_prepare(&bed, 1);
    bed_write(&bed, three, 3);
    bed_prepare(&bed, 2);
    bed_publish(&bed, 1);
    look();
    cr_assert_eq(found.visible, 1);
    cr_assert_eq(found.hidden, 1);
    bed_publish(&bed, 1);
    look();
    cr_assert_eq(found.visible, 1);
    bed_publish(&bed, 2);
    look();
    cr_assert_eq(found.visible, 2);
}

Test(sink_parquet, close_removes_what_was_not_published)
{
    bed_path_option(&bed, "lake");
    bed_open(&bed);
    bed_write(&bed, three, 3);
    bed_prepare(&bed, 1);
    bed_write(&bed, three, 3);
    bed_close_writer(&bed);
    look();
    cr_assert_eq(found.visible + found.hidden, 0);
}

Test(sink_parquet, partitions_are_hive_directories)
{
    static const struct bed_row rows[] = { { 1, "DE", 1, NULL },
                                           { 2, NULL, 2, NULL },
                                           { 3, "a/b=c%", 3, NULL },
                                           { 4, "DE", 4, NULL },
                                           { 5, "", 5, NULL },
                                           { 6, "__HIVE_DEFAULT_PARTITION__", 6, NULL },
                                           { 7, "..", 7, NULL } };
    bed_path_option(&bed, "lake");
    bed_option(&bed, "partition_by", "country");
    bed.partition[0] = 1;
    bed.plan.partition_count = 1;
    bed_open(&bed);
    bed_write(&bed, rows, 7);
    bed_prepare(&bed, 1);
    bed_publish(&bed, 1);
    look();
    cr_assert_eq(found.visible, 6);
    cr_assert_eq(stats_of().rows, 7);
    cr_assert(has_directory("/lake/country=DE"));
    cr_assert(has_directory("/lake/country=__HIVE_DEFAULT_PARTITION__"));
    cr_assert(has_directory("/lake/country=a%2Fb%3Dc%25"));
    cr_assert(has_directory("/lake/country="));
    cr_assert(has_directory("/lake/country=%5F_HIVE_DEFAULT_PARTITION__"));
    cr_assert(has_directory("/lake/country=.."));
}

Test(sink_parquet, two_partition_columns_nest)
{
    bed_path_option(&bed, "lake");
    bed_option(&bed, "partition_by", "country, id");
    bed.partition[0] = 1;
    bed.partition[1] = 0;
    bed.plan.partition_count = 2;
    bed_open(&bed);
    bed_write(&bed, three, 3);
    bed_prepare(&bed, 1);
    bed_publish(&bed, 1);
    look();
    cr_assert_eq(found.visible, 3);
    cr_assert(has_directory("/lake/country=DE/id=1"));
    cr_assert(has_directory("/lake/country=__HIVE_DEFAULT_PARTITION__/id=2"));
}

Test(sink_parquet, a_directory_name_that_no_store_takes_is_rejected)
{
    static char name[301];
    memset(name, 'x', 300);
    const struct bed_row rows[] = { { 1, name, 1, NULL }, { 2, "DE", 2, NULL } };
    bed_path_option(&bed, "lake");
    bed_option(&bed, "partition_by", "country");
    bed.partition[0] = 1;
    bed.plan.partition_count = 1;
    bed_open(&bed);
    bed_write(&bed, rows, 2);
    bed_prepare(&bed, 1);
    bed_publish(&bed, 1);
    look();
    cr_assert_eq(found.visible, 1);
    cr_assert_eq(stats_of().rows, 1);
    cr_assert_eq(bed.rejects, 1);
    cr_assert_not_null(strstr(bed.rejected, "\"id\":1,"));
}

Test(sink_parquet, a_full_file_gives_way_to_the_next)
{
    static struct bed_row rows[1000];
    static char texts[1000][40];
    bed_path_option(&bed, "lake");
    bed_option(&bed, "target_file_size", "64KiB");
    bed_open(&bed);
    uint32_t seed = 1;
    for (uint32_t round = 0; round < 60; round++) {
        for (uint32_t i = 0; i < 1000; i++) {
            seed = seed * 1664525 + 1013904223;
            snprintf(texts[i], sizeof texts[i], "%08x%08x", seed, seed * 2654435761u);
            rows[i] = (struct bed_row){ seed, texts[i], seed / 3.0, NULL };
        }
        bed_write(&bed, rows, 1000);
    }
    bed_prepare(&bed, 1);
    bed_publish(&bed, 1);
    look();
    cr_assert_gt(found.visible, 3);
    cr_assert_lt(found.visible, 60);
    cr_assert_eq(stats_of().rows, 60000);
}

/* Partition texts p0..p1999, as short views need no memory of their own. */
static void write_many_partitions(uint32_t rounds)
{
    static struct bed_row rows[1000];
    static char texts[2000][8];
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t half = 0; half < 2; half++) {
            for (uint32_t i = 0; i < 1000; i++) {
                const uint32_t p = half * 1000 + i;
                snprintf(texts[p], sizeof texts[p], "p%u", p);
                rows[i] = (struct bed_row){ round, texts[p], p, NULL };
            }
            bed_write(&bed, rows, 1000);
        }
    }
}

Test(sink_parquet, two_thousand_partitions_stay_within_the_memory, .timeout = 110)
{
    bed_path_option(&bed, "lake");
    bed_option(&bed, "partition_by", "country");
    bed.partition[0] = 1;
    bed.plan.partition_count = 1;
    bed.memory_bytes = 4u << 20;
    bed_open(&bed);
    for (uint32_t round = 0; round < 3; round++) {
        write_many_partitions(1);
        /* One batch more than the limit may be held, and what the writers share. */
        cr_assert_lt(bed.ops->held_bytes(bed.writer), (4u << 20) + (12u << 20), "%" PRIu64,
                     bed.ops->held_bytes(bed.writer));
    }
    bed_prepare(&bed, 1);
    bed_publish(&bed, 1);
    look();
    cr_assert_geq(found.visible, 2000);
    cr_assert_eq(found.hidden, 0);
    cr_assert_eq(stats_of().rows, 6000);
}

Test(sink_parquet, the_partition_unused_longest_is_closed_first)
{
    bed_path_option(&bed, "lake");
    bed_option(&bed, "partition_by", "country");
    bed_option(&bed, "max_open_partitions", "2");
    bed.partition[0] = 1;
    bed.plan.partition_count = 1;
    bed_open(&bed);
    static const struct bed_row rows[] = {
        { 1, "A", 0, NULL }, { 2, "B", 0, NULL }, { 3, "A", 0, NULL }, { 4, "C", 0, NULL }
    };
    for (uint32_t i = 0; i < 4; i++) {
        bed_write(&bed, rows + i, 1);
    }
    bed_write(&bed, rows, 1); /* A is still open: no second file */
    bed_write(&bed, rows + 1, 1); /* B is not */
    bed_prepare(&bed, 1);
    bed_publish(&bed, 1);
    look();
    cr_assert_eq(found.visible, 4);
    cr_assert_eq(stats_of().rows, 6);
}

Test(sink_parquet, a_full_disk_takes_nothing_and_goes_on_later)
{
    bed_path_option(&bed, "lake");
    bed_open(&bed);
    bed_write(&bed, three, 3);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = { 100, RLIM_INFINITY };
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_eq(bed.ops->prepare(bed.writer, 1, &bed.receipt, &bed.err), WR_FAIL);
    cr_assert_neq(bed.err.message[0], '\0');
    limit.rlim_cur = RLIM_INFINITY;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    bed_prepare(&bed, 1);
    bed_publish(&bed, 1);
    look();
    cr_assert_eq(found.visible, 1);
}

Test(sink_parquet, wrong_options_are_refused)
{
    bed_option(&bed, "path", "gopher://lake");
    cr_assert_eq(bed_check(&bed), WR_FAIL);
    bed.plan.pair_count = 0;
    bed_path_option(&bed, "lake");
    bed.plan.format = "csv";
    bed_option(&bed, "format", "csv");
    cr_assert_eq(bed_check(&bed), WR_FAIL);
    cr_assert_not_null(strstr(bed.err.hint, "connector = 'file'"));
    bed.plan.format = "";
    bed.plan.pair_count = 0;
    bed_path_option(&bed, "lake");
    bed_option(&bed, "partition_by", "id, country, amount, note");
    bed.plan.partition_count = 4;
    for (uint32_t i = 0; i < 4; i++) {
        bed.partition[i] = i;
    }
    cr_assert_eq(bed_check(&bed), WR_FAIL);
    cr_assert_not_null(strstr(bed.err.message, "every column"));
}

/* ---- crashes and recovery ---- */

#define FIRST "aaaaaaaaaaaaaaaa"
#define SECOND "bbbbbbbbbbbbbbbb"

static void with_state(const char *owner, uint32_t lane, uint32_t lanes)
{
    bed.owner = owner;
    bed.state_uuid = "6b1c5a2e-0000-4000-8000-000000000001";
    bed.lane = lane;
    bed.lanes = lanes;
}

static void start(const char *owner, uint32_t lane, uint32_t lanes)
{
    with_state(owner, lane, lanes);
    cr_assert_eq(bed_reopen(&bed), WR_OK, "%s", bed.err.message);
}

static void expect_files(uint32_t visible, uint32_t hidden)
{
    look();
    cr_assert_eq(found.visible, visible, "%u visible", found.visible);
    cr_assert_eq(found.hidden, hidden, "%u hidden", found.hidden);
}

/* Epoch 1 is published by two lanes, 2 is committed and no more, 3 prepared, and rows of 4 are
 * written. */
static void two_lanes_until_killed(struct bed *b)
{
    struct wr_writer *writers[2];
    for (uint32_t lane = 0; lane < 2; lane++) {
        start(FIRST, lane, 2);
        writers[lane] = b->writer;
    }
    for (uint64_t epoch = 1; epoch <= 3; epoch++) {
        for (uint32_t lane = 0; lane < 2; lane++) {
            b->lane = lane;
            b->writer = writers[lane];
            bed_write(b, three, 3);
            bed_prepare(b, epoch);
            if (epoch <= 2) {
                bed_commit_lane(b, epoch);
            }
        }
        for (uint32_t lane = 0; epoch == 1 && lane < 2; lane++) {
            b->lane = lane;
            b->writer = writers[lane];
            cr_assert_eq(bed_try_publish_committed(b), WR_OK);
        }
    }
    bed_write(b, three, 3);
}

Test(sink_parquet, a_committed_epoch_of_two_lanes_is_published_by_the_next_process_once)
{
    bed_path_option(&bed, "lake");
    cr_assert_eq(bed_check(&bed), WR_OK);
    bed_killed(&bed, two_lanes_until_killed);
    expect_files(2, 4);
    start(SECOND, 0, 1); /* another number of lanes */
    bed_recover(&bed, FIRST);
    expect_files(4, 0);
    bed_recover(&bed, FIRST); /* and once more, as after a crash in the middle of it */
    expect_files(4, 0);
    bed_write(&bed, three, 3);
    bed_prepare(&bed, 5);
    bed_commit_lane(&bed, 5);
    cr_assert_eq(bed_try_publish_committed(&bed), WR_OK);
    expect_files(5, 0);
}

Test(sink_parquet, partitions_are_recovered_too)
{
    bed_path_option(&bed, "lake");
    bed_option(&bed, "partition_by", "country");
    bed.partition[0] = 1;
    bed.plan.partition_count = 1;
    cr_assert_eq(bed_check(&bed), WR_OK);
    bed_killed(&bed, two_lanes_until_killed);
    start(SECOND, 0, 3);
    bed_recover(&bed, FIRST);
    expect_files(12, 0);
}

static void published_then_killed(struct bed *b)
{
    start(FIRST, 0, 1);
    bed_write(b, three, 3);
    bed_prepare(b, 1);
    bed_commit_lane(b, 1);
    cr_assert_eq(bed_try_publish_committed(b), WR_OK);
}

Test(sink_parquet, what_was_published_before_the_crash_is_not_published_again)
{
    bed_path_option(&bed, "lake");
    cr_assert_eq(bed_check(&bed), WR_OK);
    bed_killed(&bed, published_then_killed);
    expect_files(1, 0);
    const uint64_t bytes = found.bytes;
    start(SECOND, 0, 1);
    bed_recover(&bed, FIRST);
    expect_files(1, 0);
    cr_assert_eq(found.bytes, bytes);
}

Test(sink_parquet, with_a_state_an_orderly_close_keeps_what_may_be_committed)
{
    bed_path_option(&bed, "lake");
    cr_assert_eq(bed_check(&bed), WR_OK);
    start(FIRST, 0, 1);
    bed_write(&bed, three, 3);
    bed_prepare(&bed, 1);
    bed_commit_lane(&bed, 1); /* the manifest is there, the publication was never begun */
    bed_write(&bed, three, 3);
    bed_close_writer(&bed);
    expect_files(0, 1);
    start(SECOND, 0, 1);
    bed_recover(&bed, FIRST);
    expect_files(1, 0);
}

Test(sink_parquet, a_zombie_publishes_what_its_successor_has_published_already)
{
    bed_path_option(&bed, "lake");
    cr_assert_eq(bed_check(&bed), WR_OK);
    start(FIRST, 0, 1);
    bed_write(&bed, three, 3);
    bed_prepare(&bed, 1);
    bed_commit_lane(&bed, 1);
    struct wr_writer *zombie = bed.writer;
    start(SECOND, 0, 1);
    bed_recover(&bed, FIRST);
    expect_files(1, 0);
    struct wr_writer *second = bed.writer;
    bed.writer = zombie;
    cr_assert_eq(bed_try_publish_committed(&bed), WR_OK, "%s", bed.err.message);
    bed_close_writer(&bed);
    bed.writer = second;
    expect_files(1, 0);
}

Test(sink_parquet, another_sink_of_the_same_directory_keeps_its_uploads)
{
    bed_path_option(&bed, "lake");
    cr_assert_eq(bed_check(&bed), WR_OK);
    start(FIRST, 0, 1);
    bed_write(&bed, three, 3);
    bed_prepare(&bed, 1);
    struct wr_writer *mine = bed.writer;
    bed.plan.name = "neighbour";
    start(SECOND, 0, 1);
    bed_recover(&bed, FIRST);
    expect_files(0, 1);
    bed_close_writer(&bed);
    bed.plan.name = "bed";
    bed.writer = mine;
}

Test(sink_parquet, a_damaged_receipt_is_an_error)
{
    static const char *const texts[] = { "", "[]", "{}", "{\"files\":1}", "{\"files\":[1]}",
                                         "{\"files\":[{\"key\":\"../x\"}]}" };
    bed_path_option(&bed, "lake");
    cr_assert_eq(bed_check(&bed), WR_OK);
    start(SECOND, 0, 1);
    for (uint32_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const struct wr_receipt receipt = { texts[i], strlen(texts[i]) };
        const struct wr_sink_recovery recovery = { .epoch = 1,
                                                   .receipts = &receipt,
                                                   .receipt_count = 1 };
        cr_assert_eq(bed.ops->recover(bed.writer, &recovery, &bed.err), WR_FAIL, "%s", texts[i]);
        cr_assert_neq(bed.err.cls, WR_CLASS_RETRY);
    }
}

/* Each call to the store fails once, in turn; whoever drives the writer repeats what failed with
 * RETRY. */
#define REPEAT(call)                                                                               \
    do {                                                                                           \
        wr_status status_ = (call);                                                                \
        if (status_ == WR_FAIL) {                                                                  \
            cr_assert_eq(bed.err.cls, WR_CLASS_RETRY, "%s", bed.err.message);                      \
            status_ = (call);                                                                      \
        }                                                                                          \
        cr_assert_eq(status_, WR_OK, "%s", bed.err.message);                                       \
    } while (0)

static wr_status prepare_anew(uint64_t epoch)
{
    bed.receipt.bytes = 0;
    return bed.ops->prepare(bed.writer, epoch, &bed.receipt, &bed.err);
}

/* false: no call failed any more. */
static bool live_with_failure(uint32_t fail_at, bool applied)
{
    const char *const owner = FIRST;
    start(FIRST, 0, 1);
    flaky_arm(fail_at, applied);
    for (uint64_t epoch = 1; epoch <= 2; epoch++) {
        REPEAT(bed_try_write(&bed, three, 3));
        REPEAT(prepare_anew(epoch));
        bed_commit_lane(&bed, epoch);
        if (epoch == 1) {
            REPEAT(bed_try_publish_committed(&bed));
        }
    }
    bed_close_writer(&bed);
    start(SECOND, 0, 1);
    REPEAT(bed_try_recover(&bed, &owner, 1));
    bed_close_writer(&bed);
    const bool fired = flaky.fired;
    flaky_arm(0, false);
    return fired;
}

Test(sink_parquet, any_call_to_the_store_may_fail_once)
{
    bed_path_option(&bed, "lake");
    cr_assert_eq(bed_check(&bed), WR_OK);
    for (uint32_t applied = 0; applied < 2; applied++) {
        uint32_t fail_at = 1;
        uint32_t visible = 0;
        do {
            visible += 2;
        } while (live_with_failure(fail_at++, applied == 1) && fail_at < 100);
        cr_assert_gt(fail_at, 8);
        cr_assert_lt(fail_at, 100);
        expect_files(visible, 0);
        char lake[128];
        snprintf(lake, sizeof lake, "%s/lake", bed.directory);
        nftw(lake, bed_remove, 16, FTW_DEPTH | FTW_PHYS);
    }
}
