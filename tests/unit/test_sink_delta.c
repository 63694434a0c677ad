#include "flaky_store.h"
#include "sink_bed.h"

#include "table/delta.h"
#include <jansson.h>

#define FIRST "aaaaaaaaaaaaaaaa"
#define SECOND "bbbbbbbbbbbbbbbb"
#define UUID "6b1c5a2e-0000-4000-8000-000000000001"

static struct bed bed;

static void close_bed(void)
{
    bed_deinit(&bed);
}

static void open_bed(void)
{
    bed_init(&bed, &wr_sink_delta);
    bed_path_option(&bed, "lake");
}

TestSuite(sink_delta, .init = open_bed, .fini = close_bed);

static const struct bed_row three[] = { { 1, "DE", 1, NULL },
                                        { 2, NULL, 2, "{}" },
                                        { 3, "FR", 3, NULL } };

static void partitioned(void)
{
    bed_option(&bed, "partition_by", "country");
    bed.partition[0] = 1;
    bed.plan.partition_count = 1;
}

static void start(const char *owner, uint32_t lane, uint32_t lanes)
{
    bed.owner = owner;
    bed.state_uuid = UUID;
    bed.lane = lane;
    bed.lanes = lanes;
    cr_assert_eq(bed_reopen(&bed), WR_OK, "%s", bed.err.message);
}

/* ---- the table, as its log says ---- */

static struct table {
    uint32_t commits; /* with files */
    uint32_t adds;
    uint64_t rows;
    uint32_t objects; /* data files in the directory, named or not */
    json_t *last;     /* the last add */
    json_int_t txn;
} table;

static void read_action(json_t *action)
{
    json_t *add = json_object_get(action, "add");
    const json_t *txn = json_object_get(action, "txn");
    if (txn != NULL) {
        table.txn = json_integer_value(json_object_get(txn, "version"));
    }
    if (add == NULL) {
        return;
    }
    json_t *stats = json_loads(json_string_value(json_object_get(add, "stats")), 0, NULL);
    cr_assert_not_null(stats);
    table.adds++;
    table.rows += (uint64_t)json_integer_value(json_object_get(stats, "numRecords"));
    json_decref(stats);
    json_decref(table.last);
    table.last = json_incref(add);
}

static void read_commit(FILE *file)
{
    char *line = NULL;
    size_t capacity = 0;
    const uint32_t before = table.adds;
    while (getline(&line, &capacity, file) > 0) {
        json_t *action = json_loads(line, 0, NULL);
        cr_assert_not_null(action, "%s", line);
        read_action(action);
        json_decref(action);
    }
    table.commits += table.adds > before;
    free(line);
}

static int count_object(const char *path, const struct stat *info, int kind, struct FTW *ftw)
{
    const char *name = path + ftw->base;
    table.objects += kind == FTW_F && strstr(path, "_delta_log") == NULL &&
                     strstr(name, ".parquet") != NULL;
    return 0;
}

static void look(void)
{
    json_decref(table.last);
    table = (struct table){ 0 };
    for (uint32_t version = 0;; version++) {
        char path[256];
        snprintf(path, sizeof path, "%s/lake/_delta_log/%020u.json", bed.directory, version);
        FILE *file = fopen(path, "r");
        if (file == NULL) {
            break;
        }
        read_commit(file);
        fclose(file);
    }
    nftw(bed.directory, count_object, 16, FTW_PHYS);
}

static void expect(uint32_t adds, uint64_t rows, uint32_t objects)
{
    look();
    cr_assert_eq(table.adds, adds, "%u adds", table.adds);
    cr_assert_eq(table.rows, rows, "%lu rows", (unsigned long)table.rows);
    cr_assert_eq(table.objects, objects, "%u objects", table.objects);
}

/* ---- without crashes ---- */

static void run_epoch(uint64_t epoch)
{
    bed_write(&bed, three, 3);
    bed_prepare(&bed, epoch);
    bed_commit_lane(&bed, epoch);
    cr_assert_eq(bed_try_publish_committed(&bed), WR_OK, "%s", bed.err.message);
}

Test(sink_delta, rows_are_in_the_table_at_publish_and_not_before)
{
    bed_open(&bed);
    bed_write(&bed, three, 3);
    bed_prepare(&bed, 1);
    expect(0, 0, 1);
    bed_commit_lane(&bed, 1);
    cr_assert_eq(bed_try_publish_committed(&bed), WR_OK);
    expect(1, 3, 1);
    cr_assert_eq(bed_try_publish_committed(&bed), WR_OK); /* once more adds nothing */
    expect(1, 3, 1);
    struct wr_sink_stats stats;
    bed.ops->stats(bed.writer, &stats);
    cr_assert_eq(stats.rows, 3);
    cr_assert_eq(stats.files, 1);
    cr_assert_eq((json_int_t)stats.bytes,
                 json_integer_value(json_object_get(table.last, "size")));
}

Test(sink_delta, an_epoch_without_rows_commits_nothing)
{
    bed_open(&bed);
    bed_prepare(&bed, 1);
    cr_assert_eq(bed.receipt.bytes, 0);
    bed_commit_lane(&bed, 1);
    cr_assert_eq(bed_try_publish_committed(&bed), WR_OK);
    expect(0, 0, 0);
}

Test(sink_delta, partition_values_are_in_the_log_and_not_in_the_files)
{
    static const struct bed_row rows[] = { { 1, "a/b c", 1, NULL },
                                           { 2, NULL, 2, NULL },
                                           { 3, "", 3, NULL } };
    partitioned();
    bed_open(&bed);
    bed_write(&bed, rows, 1);
    bed_prepare(&bed, 1);
    bed_commit_lane(&bed, 1);
    cr_assert_eq(bed_try_publish_committed(&bed), WR_OK, "%s", bed.err.message);
    expect(1, 1, 1);
    const json_t *values = json_object_get(table.last, "partitionValues");
    cr_assert_str_eq(json_string_value(json_object_get(values, "country")), "a/b c");
    const char *path = json_string_value(json_object_get(table.last, "path"));
    cr_assert_eq(strncmp(path, "country=a%252Fb%20c/part-", 25), 0, "%s", path);
    const char *stats = json_string_value(json_object_get(table.last, "stats"));
    cr_assert_null(strstr(stats, "country"), "%s", stats);
    bed_write(&bed, rows + 1, 2); /* Delta takes an empty text for NULL */
    bed_prepare(&bed, 2);
    bed_commit_lane(&bed, 2);
    cr_assert_eq(bed_try_publish_committed(&bed), WR_OK);
    expect(3, 3, 3);
    values = json_object_get(table.last, "partitionValues");
    cr_assert(json_is_null(json_object_get(values, "country")));
    path = json_string_value(json_object_get(table.last, "path"));
    cr_assert_eq(strncmp(path, "country=__HIVE_DEFAULT_PARTITION__/", 35), 0, "%s", path);
}

Test(sink_delta, an_empty_text_in_a_not_null_partition_column_is_rejected)
{
    static const struct bed_row rows[] = { { 1, "", 1, NULL }, { 2, "x", 2, NULL } };
    bed.fields[1].not_null = true;
    partitioned();
    bed_open(&bed);
    bed_write(&bed, rows, 2);
    bed_prepare(&bed, 1);
    cr_assert_eq(bed.rejects, 1);
    cr_assert_not_null(strstr(bed.reason, "NULL"));
    expect(0, 0, 1);
}

Test(sink_delta, without_state_a_second_run_appends)
{
    bed_open(&bed);
    run_epoch(1);
    bed_close_writer(&bed);
    bed.owner = SECOND;
    cr_assert_eq(bed_reopen(&bed), WR_OK, "%s", bed.err.message);
    run_epoch(1); /* its epochs begin anew: another appId */
    expect(2, 6, 2);
}

Test(sink_delta, an_orderly_close_removes_what_was_not_prepared)
{
    static struct bed_row rows[1000];
    static char texts[1000][40];
    bed_option(&bed, "target_file_size", "64KiB");
    bed_open(&bed);
    uint32_t seed = 1;
    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < 1000; i++) {
            seed = seed * 1664525 + 1013904223;
            snprintf(texts[i], sizeof texts[i], "%08x%08x", seed, seed * 2654435761u);
            rows[i] = (struct bed_row){ seed, texts[i], seed / 3.0, NULL };
        }
        bed_write(&bed, rows, 1000);
    }
    look();
    cr_assert_gt(table.objects, 0);
    bed_close_writer(&bed);
    expect(0, 0, 0);
}

Test(sink_delta, checkpoints_are_written_where_no_thread_may)
{
    bed_option(&bed, "checkpoint_interval", "3");
    bed_open(&bed);
    for (uint64_t epoch = 1; epoch <= 6; epoch++) {
        run_epoch(epoch);
    }
    const char *last = bed_text(&bed, "lake/_delta_log/_last_checkpoint");
    cr_assert_not_null(last);
    cr_assert_not_null(strstr(last, "\"version\":6"), "%s", last);
}

Test(sink_delta, types_and_options_that_no_table_has_are_refused)
{
    bed.fields[2].type = wr_type_of(WR_TYPE_UINT64);
    cr_assert_eq(bed_check(&bed), WR_FAIL);
    cr_assert_not_null(strstr(bed.err.message, "amount"), "%s", bed.err.message);
    bed.fields[2].type = wr_type_of(WR_TYPE_FLOAT64);
    bed.plan.pair_count = 0;
    bed_path_option(&bed, "lake");
    bed.plan.format = "csv";
    bed_option(&bed, "format", "csv");
    cr_assert_eq(bed_check(&bed), WR_FAIL);
    cr_assert_not_null(strstr(bed.err.message, "connector 'delta'"), "%s", bed.err.message);
    bed.plan.format = "";
    bed.plan.pair_count = 0;
    bed_path_option(&bed, "nowhere");
    bed_option(&bed, "create", "false");
    cr_assert_eq(bed_check(&bed), WR_OK);
    cr_assert_eq(bed_reopen(&bed), WR_FAIL);
    cr_assert_eq(bed.err.cls, WR_CLASS_USER);
}

/* ---- crashes and recovery ---- */

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

Test(sink_delta, a_committed_epoch_of_two_lanes_is_committed_to_the_table_once)
{
    cr_assert_eq(bed_check(&bed), WR_OK);
    bed_killed(&bed, two_lanes_until_killed);
    expect(2, 6, 6);
    start(SECOND, 0, 1);
    bed_recover(&bed, FIRST);
    look();
    cr_assert_eq(table.rows, 12);
    cr_assert_eq(table.commits, 2, "one commit for all lanes");
    cr_assert_eq(table.txn, 2);
    bed_recover(&bed, FIRST);
    look();
    cr_assert_eq(table.rows, 12);
    run_epoch(5);
    look();
    cr_assert_eq(table.rows, 15);
    cr_assert_eq(table.adds, 5);
    /* Lane 1's files of epoch 3 have the epoch in their names, as lane 0's have. */
    cr_assert_eq(table.objects, 5, "%u: leftovers", table.objects);
}

Test(sink_delta, partitioned_tables_recover_too_and_keep_leftovers_for_vacuum)
{
    partitioned();
    cr_assert_eq(bed_check(&bed), WR_OK);
    bed_killed(&bed, two_lanes_until_killed);
    start(SECOND, 0, 3);
    bed_recover(&bed, FIRST);
    expect(12, 12, 18);
}

static void published_then_killed(struct bed *b)
{
    start(FIRST, 0, 1);
    run_epoch(1);
    run_epoch(2);
}

Test(sink_delta, what_was_published_before_the_crash_is_not_committed_again)
{
    cr_assert_eq(bed_check(&bed), WR_OK);
    bed_killed(&bed, published_then_killed);
    start(SECOND, 0, 1);
    bed_recover(&bed, FIRST);
    expect(2, 6, 2);
}

Test(sink_delta, a_sink_that_was_out_of_the_pipeline_keeps_its_files)
{
    cr_assert_eq(bed_check(&bed), WR_OK);
    bed_killed(&bed, published_then_killed);
    bed.manifest->epoch = 0; /* the manifest does not know it any more, the table does */
    bed.manifest->receipt_count = 0;
    start(SECOND, 0, 1);
    bed_recover(&bed, FIRST);
    expect(2, 6, 2);
}

Test(sink_delta, a_zombie_commits_nothing_twice)
{
    cr_assert_eq(bed_check(&bed), WR_OK);
    start(FIRST, 0, 1);
    bed_write(&bed, three, 3);
    bed_prepare(&bed, 1);
    bed_commit_lane(&bed, 1);
    struct wr_writer *zombie = bed.writer;
    start(SECOND, 0, 1);
    bed_recover(&bed, FIRST);
    run_epoch(3);
    struct wr_writer *second = bed.writer;
    bed.writer = zombie;
    struct wr_receipt receipts[BED_RECEIPTS_MAX];
    const uint32_t count = bed_receipts(&bed, receipts);
    cr_assert_eq(bed.ops->publish(bed.writer, 1, receipts, count, &bed.err), WR_OK);
    bed_close_writer(&bed);
    bed.writer = second;
    expect(2, 6, 2);
}

Test(sink_delta, an_orderly_close_keeps_what_may_be_committed)
{
    cr_assert_eq(bed_check(&bed), WR_OK);
    start(FIRST, 0, 1);
    bed_write(&bed, three, 3);
    bed_prepare(&bed, 1);
    bed_commit_lane(&bed, 1);
    bed_close_writer(&bed);
    expect(0, 0, 1);
    start(SECOND, 0, 1);
    bed_recover(&bed, FIRST);
    expect(1, 3, 1);
}

Test(sink_delta, a_damaged_receipt_is_an_error_and_commits_nothing)
{
    static const char *const texts[] = {
        "", "[]", "{}", "{\"adds\":1}", "{\"adds\":[1]}", "{\"adds\":[{\"path\":\"x\"}]}",
        "{\"adds\":[{\"path\":\"x\",\"stats\":\"{}\",\"bytes\":1,\"modified_ms\":1}]}",
        "{\"adds\":[{\"path\":\"x\",\"stats\":\"{}\",\"bytes\":-1,\"modified_ms\":1,"
        "\"values\":{}}]}",
        "{\"adds\":[{\"path\":\"x\",\"stats\":\"{}\",\"bytes\":1,\"modified_ms\":1,"
        "\"values\":{\"a\":1}}]}"
    };
    cr_assert_eq(bed_check(&bed), WR_OK);
    start(SECOND, 0, 1);
    for (uint32_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const struct wr_receipt receipt = { texts[i], strlen(texts[i]) };
        const struct wr_sink_recovery recovery = { .epoch = 1,
                                                   .receipts = &receipt,
                                                   .receipt_count = 1 };
        cr_assert_eq(bed.ops->recover(bed.writer, &recovery, &bed.err), WR_FAIL, "%s", texts[i]);
        cr_assert_eq(bed.err.cls, WR_CLASS_FATAL);
    }
    expect(0, 0, 0);
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

static wr_status open_anew(const char *owner)
{
    bed.owner = owner;
    bed.state_uuid = UUID;
    return bed_reopen(&bed);
}

/* false: no call failed any more. */
static bool live_with_failure(uint32_t fail_at, bool applied)
{
    const char *const owner = FIRST;
    flaky_arm(fail_at, applied);
    REPEAT(open_anew(FIRST));
    for (uint64_t epoch = 1; epoch <= 2; epoch++) {
        REPEAT(bed_try_write(&bed, three, 3));
        REPEAT(prepare_anew(epoch));
        bed_commit_lane(&bed, epoch);
        if (epoch == 1) {
            REPEAT(bed_try_publish_committed(&bed));
        }
    }
    bed_close_writer(&bed);
    REPEAT(open_anew(SECOND));
    REPEAT(bed_try_recover(&bed, &owner, 1));
    bed_close_writer(&bed);
    const bool fired = flaky.fired;
    flaky_arm(0, false);
    return fired;
}

Test(sink_delta, any_call_to_the_store_may_fail_once)
{
    cr_assert_eq(bed_check(&bed), WR_OK);
    for (uint32_t applied = 0; applied < 2; applied++) {
        uint32_t fail_at = 1;
        bool fired = true;
        for (; fired && fail_at < 200; fail_at++) {
            fired = live_with_failure(fail_at, applied == 1);
            look();
            cr_assert_eq(table.rows, 6, "call %u, %s it was carried out: %lu rows", fail_at,
                         applied == 1 ? "after" : "before", (unsigned long)table.rows);
            char lake[128];
            snprintf(lake, sizeof lake, "%s/lake", bed.directory);
            nftw(lake, bed_remove, 16, FTW_DEPTH | FTW_PHYS);
        }
        cr_assert_gt(fail_at, 10);
        cr_assert_lt(fail_at, 200);
    }
}
