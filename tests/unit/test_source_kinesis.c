#include "source/kinesis_source.h"

#include <criterion/criterion.h>

static struct wr_kinesis_block *block_of(const char *json)
{
    struct wr_kinesis_block *block = wr_kinesis_block_create();
    wr_buf_text(&block->body, json);
    return block;
}

static wr_status read_block(struct wr_kinesis_block *block, const char *after,
                            struct wr_kinesis_answer *answer)
{
    struct wr_kpl *kpl;
    struct wr_kinesis_cursor cursor = { 0 };
    struct wr_error err;
    strcpy(cursor.sequence, after);
    cr_assert_eq(wr_kpl_create(&kpl, NULL), WR_OK);
    const wr_status status =
        wr_kinesis_block_read(block, kpl, &WR_HASH_RANGE_ALL, &cursor, 100, answer, &err);
    wr_kpl_destroy(kpl);
    return status;
}

static const char *const answer_text =
    "{\"ChildShards\":null, \"MillisBehindLatest\" : 12 ,\"NextShardIterator\":\"AA\\u002b\\/=\",\"Records\":["
    "{\"ApproximateArrivalTimestamp\":1795281769.977,\"Data\":\"eyJpZCI6IDZ9\",\"EncryptionType\":\"NONE\","
    "\"PartitionKey\":\"\\u00e9\\\"\",\"SequenceNumber\":\"4968\"},"
    "{\"PartitionKey\":\"9\",\"SequenceNumber\":\"14968\",\"Data\":\"\",\"Extra\":[{\"a\":[1,2]}],"
    "\"ApproximateArrivalTimestamp\":1.795281769E9}]}";

Test(source_kinesis, records_are_read_in_place)
{
    struct wr_kinesis_answer answer;
    struct wr_kinesis_block *block = block_of(answer_text);
    cr_assert_eq(read_block(block, "", &answer), WR_OK);
    cr_assert_eq(block->count, 2);
    cr_assert_eq(block->items[0].position, 100);
    cr_assert_eq(block->items[1].position, 101);
    cr_assert(wr_slice_is((struct wr_slice){ block->items[0].data, block->items[0].bytes }, "{\"id\": 6}"));
    cr_assert(wr_slice_is((struct wr_slice){ block->items[0].key, block->items[0].key_bytes }, "\xc3\xa9\""));
    cr_assert_eq(block->items[0].timestamp_us, 1795281769977000);
    cr_assert_eq(block->items[1].timestamp_us, 1795281769000000);
    cr_assert_eq(block->items[1].bytes, 0);
    cr_assert(wr_slice_is(answer.next_iterator, "AA+/="));
    cr_assert_eq(answer.behind_ms, 12);
    cr_assert_eq(answer.came, 2);
    cr_assert_eq(answer.last_arrival_ms, 1795281769000);
    cr_assert_null(answer.children.data);
    cr_assert(wr_slice_is(answer.last_sequence, "14968"));
    wr_kinesis_block_release(block);
}

Test(source_kinesis, an_event_of_a_subscription_tells_where_it_goes_on_and_the_shards_end)
{
    struct wr_kinesis_answer answer;
    struct wr_kinesis_block *block =
        block_of("{\"Records\":[],\"ContinuationSequenceNumber\":\"4968\",\"MillisBehindLatest\":0,\"ChildShards\":["
                 "{\"ShardId\":\"shardId-000000000003\",\"ParentShards\":[\"a\",\"b\"]}]}");
    cr_assert_eq(read_block(block, "", &answer), WR_OK);
    cr_assert_eq(answer.came, 0);
    cr_assert_eq(answer.behind_ms, 0);
    cr_assert(wr_slice_is(answer.continuation, "4968"));
    cr_assert(wr_slice_is(answer.children, "[{\"ShardId\":\"shardId-000000000003\",\"ParentShards\":[\"a\",\"b\"]}]"));
    wr_kinesis_block_release(block);
}

Test(source_kinesis, records_up_to_the_cursor_are_left_out)
{
    struct wr_kinesis_answer answer;
    struct wr_kinesis_block *block = block_of(answer_text);
    cr_assert_eq(read_block(block, "4968", &answer), WR_OK);
    cr_assert_eq(block->count, 1);
    cr_assert_eq(block->items[0].position, 100);
    cr_assert_eq(answer.came, 2);
    wr_kinesis_block_release(block);
}

/* Every prefix of an answer, and every answer with a byte changed, is read without harm. */
Test(source_kinesis, hostile_answers_are_refused_whole)
{
    const size_t bytes = strlen(answer_text);
    for (size_t i = 0; i < bytes; i++) {
        struct wr_kinesis_answer answer;
        struct wr_kinesis_block *block = wr_kinesis_block_create();
        wr_buf_append(&block->body, answer_text, i);
        cr_assert_eq(read_block(block, "", &answer), WR_FAIL, "prefix of %zu", i);
        cr_assert_eq(block->count, 0);
        wr_kinesis_block_release(block);
        for (int bit = 0; bit < 8; bit++) {
            block = block_of(answer_text);
            block->body.data[i] = (char)(block->body.data[i] ^ (1 << bit));
            if (read_block(block, "", &answer) != WR_OK) {
                cr_assert_eq(block->count, 0);
            }
            wr_kinesis_block_release(block);
        }
    }
    const char *const bad[] = {
        "", "[]", "{\"Records\":[{}]}", "{\"Records\":[{\"Data\":\"!!!!\",\"PartitionKey\":\"\",\"SequenceNumber\":\"1\"}]}",
        "{\"Records\":[{\"Data\":\"\",\"PartitionKey\":\"\",\"SequenceNumber\":\"1'\"}]}",
        "{\"Records\":[{\"Data\":\"\",\"PartitionKey\":\"\",\"SequenceNumber\":\"01\"}]}",
        "{\"Records\":[{\"Data\":\"abc\",\"PartitionKey\":\"\",\"SequenceNumber\":\"1\"}]}",
        "{\"ContinuationSequenceNumber\":\"x\"}", "{} {}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct wr_kinesis_answer answer;
        struct wr_kinesis_block *block = block_of(bad[i]);
        cr_assert_eq(read_block(block, "", &answer), WR_FAIL, "%s", bad[i]);
        wr_kinesis_block_release(block);
    }
}

Test(source_kinesis, base64_of_every_length_comes_back)
{
    const char *const texts[][2] = { { "", "" },         { "Zg==", "f" },        { "Zm8=", "fo" },
                                     { "Zm9v", "foo" },  { "Zm9vYg==", "foob" }, { "Zm9vYmE=", "fooba" },
                                     { "Zm9vYmFy", "foobar" } };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char text[16];
        size_t bytes;
        strcpy(text, texts[i][0]);
        cr_assert(wr_kinesis_base64(text, strlen(texts[i][0]), &bytes));
        cr_assert(wr_slice_is((struct wr_slice){ text, bytes }, texts[i][1]));
    }
    const char *const bad[] = { "Zg", "Zg=", "Z===", "====", "Zm9v=", "Zm\377v", "Zm9\n", "Z=9v" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[16];
        size_t bytes;
        strcpy(text, bad[i]);
        cr_assert_not(wr_kinesis_base64(text, strlen(bad[i]), &bytes), "%s", bad[i]);
    }
}

Test(source_kinesis, notes_are_read_back_as_they_were_written)
{
    const char *const notes[] = { "horizon", "time=1795281769000", "seq=49680435248349024480494442175645",
                                  "seq=4968/17", "at=4968", "ended", "ended since=5", "seq=1 since=1795281769000" };
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
        struct wr_kinesis_from from;
        int64_t since_ms;
        bool ended;
        char note[WR_SPLIT_NOTE_BYTES_MAX];
        cr_assert(wr_kinesis_note_read(notes[i], &from, &since_ms, &ended), "%s", notes[i]);
        wr_kinesis_note_write(&from, since_ms, ended, note);
        cr_assert_str_eq(note, notes[i]);
    }
    const char *const bad[] = { "", "seq=", "seq=x", "seq=1/", "seq=1/-1", "seq=1/99999999999", "time=", "time=-1",
                                "ended since=", "ended sinc=1", "at=1/2", "horizons" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct wr_kinesis_from from;
        int64_t since_ms;
        bool ended;
        cr_assert_not(wr_kinesis_note_read(bad[i], &from, &since_ms, &ended), "%s", bad[i]);
    }
}

/* The longest of everything still fits the manifest's note. */
Test(source_kinesis, the_longest_note_fits)
{
    struct wr_kinesis_from from = { .kind = WR_KINESIS_AT };
    char note[WR_SPLIT_NOTE_BYTES_MAX];
    memset(from.cursor.sequence, '9', WR_KINESIS_SEQUENCE_BYTES_MAX);
    from.cursor.within = true;
    from.cursor.sub = UINT32_MAX - 1;
    wr_kinesis_note_write(&from, INT64_MAX, false, note);
    cr_assert_lt(strlen(note), WR_SPLIT_NOTE_BYTES_MAX);
}

Test(source_kinesis, starts_are_words_times_and_lists)
{
    struct wr_kinesis_from from;
    const char *list;
    cr_assert_eq(wr_kinesis_start_parse("latest", &from, &list, NULL), WR_OK);
    cr_assert_eq(from.kind, WR_KINESIS_LATEST);
    cr_assert_eq(wr_kinesis_start_parse("2023-11-14T22:13:20Z", &from, &list, NULL), WR_OK);
    cr_assert_eq(from.kind, WR_KINESIS_TIME);
    cr_assert_eq(from.time_ms, 1700000000000);
    cr_assert_eq(wr_kinesis_start_parse("1700000000000", &from, &list, NULL), WR_OK);
    cr_assert_eq(from.time_ms, 1700000000000);
    cr_assert_eq(wr_kinesis_start_parse("shardId-000000000000=1", &from, &list, NULL), WR_OK);
    cr_assert_not_null(list);
    cr_assert_eq(wr_kinesis_start_parse("now", &from, &list, NULL), WR_FAIL);
}

Test(source_kinesis, what_refusals_mean)
{
    const struct {
        const char *kind;
        int status;
        enum wr_kinesis_outcome outcome;
    } cases[] = {
        { "ProvisionedThroughputExceededException", 400, WR_KINESIS_THROTTLED },
        { "com.amazonaws.kinesis#ExpiredIteratorException", 400, WR_KINESIS_EXPIRED },
        { "ResourceNotFoundException:http://internal.amazon.com/coral/", 400, WR_KINESIS_NOT_FOUND },
        { "AccessDeniedException", 400, WR_KINESIS_REFUSED },
        { "", 503, WR_KINESIS_BUSY },
        { "", 400, WR_KINESIS_REFUSED },
        { "ResourceInUseException", 400, WR_KINESIS_IN_USE },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_eq(wr_kinesis_outcome_of(wr_slice_of(cases[i].kind), cases[i].status), cases[i].outcome, "%s",
                     cases[i].kind);
    }
}
