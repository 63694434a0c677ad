#include "base/rand.h"
#include "decode/payload_unpack.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

struct bed {
    struct wr_arena arena;
    struct wr_record items[8];
    const char *owned[8];
    struct wr_records records;
};

static struct bed *make_bed(void)
{
    struct bed *bed = calloc(1, sizeof *bed);
    wr_arena_init(&bed->arena, 0);
    bed->records.items = bed->items;
    return bed;
}

static void end_bed(struct bed *bed)
{
    for (uint32_t i = 0; i < 8; i++) {
        free((void *)(uintptr_t)bed->owned[i]);
    }
    wr_arena_deinit(&bed->arena);
    free(bed);
}

static void add(struct bed *bed, const void *data, size_t bytes)
{
    const uint32_t at = bed->records.count++;
    char *copy = malloc(bytes + 1);
    memcpy(copy, data, bytes);
    bed->owned[at] = copy;
    bed->items[at] = (struct wr_record){ .data = copy, .bytes = (uint32_t)bytes, .position = 7 };
}

static size_t gzip(const void *data, size_t bytes, uint8_t *into, size_t room)
{
    z_stream z = { 0 };
    cr_assert_eq(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)bytes;
    z.next_out = into;
    z.avail_out = (uInt)room;
    cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

static uint32_t run(struct bed *bed, const char *compression, const char *format, size_t at_once)
{
    struct wr_payload_unpack *u = wr_payload_unpack_create(compression, format);
    const uint32_t ready = wr_payload_unpack_run(u, &bed->records, &bed->arena, at_once);
    wr_payload_unpack_destroy(u);
    return ready;
}

static bool is(const struct wr_record *record, const char *text)
{
    return record->bytes == strlen(text) && memcmp(record->data, text, record->bytes) == 0;
}

Test(payload_unpack, plain_records_are_left_alone)
{
    struct bed *bed = make_bed();
    add(bed, "{}", 2);
    add(bed, "", 0);
    add(bed, "\x1f\x8b", 2);
    add(bed, "(1,2)", 5);
    add(bed, "PART", 4);
    bed->items[1].data = NULL;
    cr_assert_eq(run(bed, "auto", "json", SIZE_MAX), 5);
    cr_assert(bed->records.raw == NULL && bed->records.unfit == NULL);
    cr_assert(is(&bed->items[0], "{}") && is(&bed->items[3], "(1,2)"));
    cr_assert_null(wr_payload_unpack_create("none", "json"));
    cr_assert_null(wr_payload_unpack_create("auto", ""), "connectors that make columns");
    end_bed(bed);
}

Test(payload_unpack, both_codecs_and_the_raw_bytes)
{
    struct bed *bed = make_bed();
    uint8_t packed[200];
    add(bed, packed, gzip("hello", 5, packed, sizeof packed));
    add(bed, "plain", 5);
    add(bed, packed, ZSTD_compress(packed, sizeof packed, "world", 5, 3));
    const struct wr_record before = bed->items[0];
    cr_assert_eq(run(bed, "auto", "json", SIZE_MAX), 3);
    cr_assert(is(&bed->items[0], "hello") && is(&bed->items[1], "plain") && is(&bed->items[2], "world"));
    cr_assert(bed->records.raw[0].data == before.data && bed->records.raw[0].bytes == before.bytes);
    cr_assert(bed->records.unfit == NULL && bed->items[0].position == 7);
    end_bed(bed);
}

Test(payload_unpack, an_empty_payload_unpacks_to_nothing)
{
    struct bed *bed = make_bed();
    uint8_t packed[200];
    add(bed, packed, gzip("", 0, packed, sizeof packed));
    add(bed, packed, ZSTD_compress(packed, sizeof packed, "", 0, 3));
    cr_assert_eq(run(bed, "auto", "csv", SIZE_MAX), 2);
    cr_assert(bed->items[0].data != NULL && bed->items[0].bytes == 0 && bed->items[1].bytes == 0);
    cr_assert_null(bed->records.unfit);
    end_bed(bed);
}

static bool refuses(const void *data, size_t bytes, const char *compression, const char *format)
{
    struct bed *bed = make_bed();
    add(bed, data, bytes);
    cr_assert_eq(run(bed, compression, format, SIZE_MAX), 1);
    const bool refused = bed->records.unfit != NULL && bed->records.unfit[0] != NULL;
    cr_assert_eq(refused, bed->items[0].data == NULL);
    cr_assert(refused || bed->items[0].bytes == bytes);
    end_bed(bed);
    return refused;
}

Test(payload_unpack, every_cut_is_refused_in_text_and_handed_on_in_binary)
{
    uint8_t packed[2][300];
    char text[150];
    struct wr_rand rand;
    wr_rand_seed(&rand, 1);
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)wr_rand_below(&rand, 256);
    }
    const size_t bytes[2] = { gzip(text, sizeof text, packed[0], sizeof packed[0]),
                              ZSTD_compress(packed[1], sizeof packed[1], text, sizeof text, 3) };
    for (uint32_t codec = 0; codec < 2; codec++) {
        for (size_t cut = 4; cut < bytes[codec]; cut++) {
            cr_assert(refuses(packed[codec], cut, "auto", "json"));
            cr_assert(!refuses(packed[codec], cut, "auto", "avro"), "an Avro record may begin so by chance");
            cr_assert(refuses(packed[codec], cut, codec == 0 ? "gzip" : "zstd", "protobuf"), "it was declared");
        }
    }
}

Test(payload_unpack, what_is_declared_must_be)
{
    struct bed *bed = make_bed();
    uint8_t packed[200];
    add(bed, packed, ZSTD_compress(packed, sizeof packed, "world", 5, 3));
    add(bed, "{}", 2);
    cr_assert_eq(run(bed, "gzip", "json", SIZE_MAX), 2);
    cr_assert_str_eq(bed->records.unfit[0], "the payload is not gzip");
    cr_assert_str_eq(bed->records.unfit[1], "the payload is not gzip");
    end_bed(bed);
}

Test(payload_unpack, a_bomb_is_refused_also_in_binary_formats)
{
    const size_t bytes = (64u << 20) + 1;
    char *zeros = calloc(1, bytes);
    uint8_t *packed = malloc(1 << 20);
    struct bed *bed = make_bed();
    add(bed, packed, gzip(zeros, bytes, packed, 1 << 20));
    add(bed, packed, ZSTD_compress(packed, 1 << 20, zeros, bytes, 1));
    add(bed, packed, gzip(zeros, bytes - 1, packed, 1 << 20)); /* as large as a record may be */
    cr_assert_eq(run(bed, "auto", "avro", SIZE_MAX), 3);
    cr_assert_str_eq(bed->records.unfit[0], "the payload unpacks to more than 64 MiB");
    cr_assert_str_eq(bed->records.unfit[1], "the payload unpacks to more than 64 MiB");
    cr_assert(bed->records.unfit[2] == NULL && bed->items[2].bytes == bytes - 1);
    end_bed(bed);
    free(packed);
    free(zeros);
}

Test(payload_unpack, what_is_unpacked_at_a_time_has_a_limit)
{
    struct bed *bed = make_bed();
    uint8_t packed[200];
    char text[1000] = { 0 };
    const size_t bytes = gzip(text, sizeof text, packed, sizeof packed);
    for (uint32_t i = 0; i < 5; i++) {
        add(bed, packed, bytes);
    }
    add(bed, "{}", 2);
    cr_assert_eq(run(bed, "auto", "json", 1), 1);
    cr_assert_eq(bed->items[1].bytes, bytes, "not touched yet");
    bed->records.items++; /* what waits, as run does it */
    bed->records.count--;
    bed->records.raw = NULL;
    cr_assert_eq(run(bed, "auto", "json", 2000), 2);
    cr_assert(bed->items[1].bytes == 1000 && bed->items[2].bytes == 1000 && bed->items[3].bytes == bytes);
    cr_assert_eq(bed->records.raw[0].bytes, bytes);
    end_bed(bed);
}

Test(payload_unpack, changed_bytes_never_lead_out_of_bounds)
{
    uint8_t packed[2][400];
    char text[300];
    struct wr_rand rand;
    wr_rand_seed(&rand, 3);
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)('a' + wr_rand_below(&rand, 6));
    }
    const size_t bytes[2] = { gzip(text, sizeof text, packed[0], sizeof packed[0]),
                              ZSTD_compress(packed[1], sizeof packed[1], text, sizeof text, 3) };
    uint32_t refused = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        const uint32_t codec = i % 2;
        uint8_t changed[400];
        memcpy(changed, packed[codec], bytes[codec]);
        for (uint64_t n = 1 + wr_rand_below(&rand, 3); n > 0; n--) {
            changed[4 + wr_rand_below(&rand, bytes[codec] - 4)] = (uint8_t)wr_rand_below(&rand, 256);
        }
        struct bed *bed = make_bed();
        add(bed, changed, bytes[codec]);
        cr_assert_eq(run(bed, "auto", "json", SIZE_MAX), 1);
        refused += bed->records.unfit != NULL;
        end_bed(bed);
    }
    cr_assert_gt(refused, 5000);
}
