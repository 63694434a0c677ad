/* The JSON decoder: what becomes of each kind of value, and jansson as the judge over mutated
 * events. */
#include "decode/json_shape.h"
#include "decode_bed.h"
#include <jansson.h>
#include <sys/mman.h>
#include <unistd.h>

typedef void run_function(struct wr_json_decoder *d, const struct wr_records *records);

static run_function *const walks[] = { wr_json_run_plain, wr_json_run_avx2, wr_json_run_avx512 };

/* Only what this machine has. */
static uint32_t walk_count(void)
{
    return wr_json_has_avx512() ? 3 : wr_json_has_avx2() ? 2 : 1;
}

static void use_walk(struct bed *bed, uint32_t walk)
{
    ((struct wr_json_decoder *)bed->decoder)->run = walks[walk];
}

/* One column "v" of the type; record {"v": value}; wanted: its text, or NULL for a fault. */
static void check_value(struct wr_type type, const char *value, const char *wanted)
{
    for (uint32_t walk = 0; walk < walk_count(); walk++) {
        struct bed bed = { 0 };
        char path[] = "v";
        bed_column(&bed, path, type, false);
        bed_open(&bed, "json");
        use_walk(&bed, walk);
        char record[1000];
        snprintf(record, sizeof(record), "{\"v\":%s}", value);
        for (int again = 0; again < 2; again++) { /* the second time with a learnt shape */
            const bool good = bed_decode(&bed, record, strlen(record));
            cr_assert_eq(good, wanted != NULL, "%s: %s", value, good ? "accepted" : bed.faults.items[0].message);
            if (good) {
                cr_assert_str_eq(bed_text(&bed, 0), wanted, "%s", value);
            } else {
                cr_assert(wr_utf8_valid(bed.faults.items[0].message, strlen(bed.faults.items[0].message)));
                cr_assert_str_eq(bed.faults.items[0].field, "v");
            }
        }
        bed_close(&bed);
    }
}

static void check_id(enum wr_type_id id, const char *value, const char *wanted)
{
    check_value(wr_type_of(id), value, wanted);
}

Test(decode_json, integers)
{
    check_id(WR_TYPE_INT64, "0", "0");
    check_id(WR_TYPE_INT64, "-1", "-1");
    check_id(WR_TYPE_INT64, "12345678", "12345678");
    check_id(WR_TYPE_INT64, "123456789012345", "123456789012345");
    check_id(WR_TYPE_INT64, "1234567890123456", "1234567890123456");
    check_id(WR_TYPE_INT64, "9223372036854775807", "9223372036854775807");
    check_id(WR_TYPE_INT64, "-9223372036854775808", "-9223372036854775808");
    check_id(WR_TYPE_INT64, "9223372036854775808", NULL);
    check_id(WR_TYPE_INT64, "5.0", "5");
    check_id(WR_TYPE_INT64, "1e3", "1000");
    check_id(WR_TYPE_INT64, "5.5", NULL);
    check_id(WR_TYPE_INT64, "\"42\"", "42");
    check_id(WR_TYPE_INT64, "\"4\\u0032\"", "42");
    check_id(WR_TYPE_INT64, "\"x\"", NULL);
    check_id(WR_TYPE_INT64, "true", NULL);
    check_id(WR_TYPE_INT64, "[1]", NULL);
    check_id(WR_TYPE_INT64, "null", "NULL");
    check_id(WR_TYPE_INT16, "32767", "32767");
    check_id(WR_TYPE_INT16, "32768", NULL);
    check_id(WR_TYPE_INT32, "-2147483648", "-2147483648");
    check_id(WR_TYPE_INT32, "2147483648", NULL);
    check_id(WR_TYPE_UINT16, "65535", "65535");
    check_id(WR_TYPE_UINT16, "-1", NULL);
    check_id(WR_TYPE_UINT32, "4294967296", NULL);
    check_id(WR_TYPE_UINT64, "18446744073709551615", "18446744073709551615");
    check_id(WR_TYPE_UINT64, "-1", NULL);
}

Test(decode_json, floats_and_decimals)
{
    check_id(WR_TYPE_FLOAT64, "12.34", "12.34");
    check_id(WR_TYPE_FLOAT64, "-0.5", "-0.5");
    check_id(WR_TYPE_FLOAT64, "-0", "-0");
    check_id(WR_TYPE_FLOAT64, "1e10", "10000000000");
    check_id(WR_TYPE_FLOAT64, "1.5E-3", "0.0015");
    check_id(WR_TYPE_FLOAT64, "0.30000000000000004", "0.30000000000000004");
    check_id(WR_TYPE_FLOAT64, "9007199254740993", "9.007199254740992e+15");
    check_id(WR_TYPE_FLOAT64, "1e999", NULL);
    check_id(WR_TYPE_FLOAT64, "\"NaN\"", "NaN");
    check_id(WR_TYPE_FLOAT64, "false", NULL);
    check_id(WR_TYPE_FLOAT32, "0.1", "0.1");
    check_id(WR_TYPE_FLOAT32, "1e39", NULL);
    const struct wr_type money = { .id = WR_TYPE_DECIMAL, .precision = 10, .scale = 2 };
    check_value(money, "12.34", "12.34");
    check_value(money, "-12.3", "-12.30");
    check_value(money, "12.345", "12.35");
    check_value(money, "99999999.99", "99999999.99");
    check_value(money, "100000000", NULL);
    check_value(money, "\"7.5\"", "7.50");
    const struct wr_type wide = { .id = WR_TYPE_DECIMAL, .precision = 38, .scale = 20 };
    check_value(wide, "123456789012345678.12345678901234567891",
                "123456789012345678.12345678901234567891");
    check_value(wide, "1", "1.00000000000000000000");
}

Test(decode_json, texts)
{
    check_id(WR_TYPE_TEXT, "\"\"", "");
    check_id(WR_TYPE_TEXT, "\"twelve bytes\"", "twelve bytes");
    check_id(WR_TYPE_TEXT, "\"thirteen byte\"", "thirteen byte");
    check_id(WR_TYPE_TEXT, "\"a text that is longer than one vector register, by far\"",
             "a text that is longer than one vector register, by far");
    check_id(WR_TYPE_TEXT, "\"a\\\"b\\\\c\\/d\\n\"", "a\"b\\c/d\n");
    check_id(WR_TYPE_TEXT, "\"\\u00fc\\ud83d\\ude00\"", "\xc3\xbc\xf0\x9f\x98\x80");
    check_id(WR_TYPE_TEXT, "\"gr\xc3\xbc\xc3\x9f\"", "gr\xc3\xbc\xc3\x9f");
    check_id(WR_TYPE_TEXT, "1.50", "1.50");
    check_id(WR_TYPE_TEXT, "true", "true");
    check_id(WR_TYPE_TEXT, "{\"a\": [1]}", "{\"a\": [1]}");
    check_id(WR_TYPE_TEXT, "null", "NULL");
    check_id(WR_TYPE_JSON, "{\"a\": [1, \"\\u0041\"]}", "{\"a\": [1, \"\\u0041\"]}");
    check_id(WR_TYPE_JSON, "\"x\"", "\"x\"");
    check_id(WR_TYPE_JSON, "[[], {}, [{}]]", "[[], {}, [{}]]");
    check_id(WR_TYPE_JSON, "null", "NULL");
}

Test(decode_json, the_other_types)
{
    check_id(WR_TYPE_BOOL, "true", "true");
    check_id(WR_TYPE_BOOL, "false", "false");
    check_id(WR_TYPE_BOOL, "\"true\"", NULL);
    check_id(WR_TYPE_BOOL, "1", NULL);
    check_id(WR_TYPE_TIMESTAMP, "1700000000123", "2023-11-14T22:13:20.123Z");
    check_id(WR_TYPE_TIMESTAMP, "1700000000123.456", "2023-11-14T22:13:20.123456Z");
    check_id(WR_TYPE_TIMESTAMP, "\"1700000000123\"", "2023-11-14T22:13:20.123Z");
    check_id(WR_TYPE_TIMESTAMP, "\"2023-11-14T22:13:20.123Z\"", "2023-11-14T22:13:20.123Z");
    check_id(WR_TYPE_TIMESTAMPTZ, "\"2023-11-15 00:13:20+02\"", "2023-11-14T22:13:20Z");
    check_id(WR_TYPE_TIMESTAMP, "\"2023-11-14 22:13:20.5\"", "2023-11-14T22:13:20.500Z");
    check_id(WR_TYPE_TIMESTAMP, "\"2023-11-14T22:13:20.1234567Z\"", "2023-11-14T22:13:20.123457Z");
    check_id(WR_TYPE_TIMESTAMP, "-1", "1969-12-31T23:59:59.999Z");
    check_id(WR_TYPE_TIMESTAMP, "\"yesterday\"", NULL);
    check_id(WR_TYPE_TIMESTAMP, "99999999999999999999", NULL);
    check_id(WR_TYPE_TIMESTAMP, "true", NULL);
    check_id(WR_TYPE_DATE, "\"2024-02-29\"", "2024-02-29");
    check_id(WR_TYPE_DATE, "19000", NULL);
    check_id(WR_TYPE_INTERVAL, "\"1 day 02:00:00\"", "1 day 02:00:00");
    check_id(WR_TYPE_BYTES, "\"aGVsbG8=\"", "\\x68656c6c6f");
    check_id(WR_TYPE_BYTES, "\"\\\\x00ff\"", "\\x00ff");
    check_id(WR_TYPE_BYTES, "\"***\"", NULL);
    check_id(WR_TYPE_BYTES, "1", NULL);
}

/* The second text of a day goes the fast way: both must read what text.h reads. */
Test(decode_json, times_of_one_day_are_read_alike)
{
    static const char *const days[] = { "2024-02-29", "1969-12-31", "0001-01-01", "9999-12-31" };
    static const char *const forms[] = { "T%02d:%02d:%02dZ", " %02d:%02d:%02d.5", "T%02d:%02d:%02d.123456Z",
                                         "T%02d:%02d:%02d+01:00", "T%02d:%02d:%02d.1234567Z",
                                         "T%02d:%02d:%02d.Z", "T%02d-%02d:%02d", "T%02d:%02d:%02dZZ" };
    struct bed bed = { 0 };
    char path[] = "v";
    bed_column(&bed, path, wr_type_of(WR_TYPE_TIMESTAMP), false);
    bed_open(&bed, "json");
    srand(7);
    for (int i = 0; i < 20000; i++) {
        char text[80];
        char record[100];
        const size_t day = (size_t)snprintf(text, sizeof(text), "%s", days[rand() / 16 % 4]);
        snprintf(text + day, sizeof(text) - day, forms[rand() % 8], rand() % 26, rand() % 62, rand() % 62);
        snprintf(record, sizeof(record), "{\"v\":\"%s\"}", text);
        int64_t us = 0;
        const bool good = wr_text_parse_timestamp(wr_slice_of(text), &us);
        cr_assert_eq(bed_decode(&bed, record, strlen(record)), good, "%s", text);
        cr_assert_eq(((int64_t *)bed.batch->columns[0].values)[0], us, "%s", text);
    }
    bed_close(&bed);
}

static bool accepts(struct bed *bed, const char *text)
{
    return bed_decode(bed, text, strlen(text));
}

static void click_bed(struct bed *bed, uint32_t walk)
{
    static char paths[8][16];
    static const char *const names[] = { "event_id", "user_id", "type", "amount",
                                         "country",  "page",    "ok",   "ts" };
    static const enum wr_type_id ids[] = { WR_TYPE_TEXT, WR_TYPE_INT64, WR_TYPE_TEXT, WR_TYPE_FLOAT64,
                                           WR_TYPE_TEXT, WR_TYPE_TEXT,  WR_TYPE_BOOL, WR_TYPE_TIMESTAMP };
    memset(bed, 0, sizeof(*bed));
    for (uint32_t i = 0; i < 8; i++) {
        strcpy(paths[i], names[i]);
        bed_column(bed, paths[i], wr_type_of(ids[i]), false);
    }
    bed_open(bed, "json");
    use_walk(bed, walk);
}

Test(decode_json, members_come_in_any_order_spacing_and_number)
{
    struct bed bed;
    click_bed(&bed, walk_count() - 1);
    static const char *const records[] = {
        "{\"user_id\":7,\"type\":\"a\"}",
        "{\"type\":\"a\",\"user_id\":7}",
        " {\n\"type\" : \"a\" ,\t\"user_id\" : 7 }\r\n",
        "{\"x\":{\"user_id\":1},\"user_id\":7,\"y\":[1,{\"z\":null}],\"type\":\"a\",\"u\":-1.5e3}",
        "{\"user_id\":1,\"user_id\":7,\"type\":\"b\",\"type\":\"a\"}",
        "{\"us\\u0065r_id\":7,\"type\":\"a\",\"a name that is much longer than sixty-four bytes, so no shape holds it\":1}",
        "{\"amount\":null,\"type\":\"a\",\"user_id\":7,\"country\":null}",
    };
    for (int round = 0; round < 100; round++) {
        const char *record = records[(round * 5 + round / 7) % 7];
        cr_assert(accepts(&bed, record), "%s", record);
        cr_assert_str_eq(bed_text(&bed, 1), "7", "%s", record);
        cr_assert_str_eq(bed_text(&bed, 2), "a", "%s", record);
        cr_assert_str_eq(bed_text(&bed, 3), "NULL", "%s", record);
        cr_assert_eq(((double *)bed.batch->columns[3].values)[0], 0);
    }
    cr_assert(accepts(&bed, "{\"type\":\"a\",\"type\":null}"));
    cr_assert_str_eq(bed_text(&bed, 2), "NULL");
    cr_assert(accepts(&bed, "{}"));
    cr_assert_str_eq(bed_text(&bed, 1), "NULL");
    bed_close(&bed);
}

Test(decode_json, malformed_records_are_faults)
{
    static const char *const bad[] = {
        "",        " ",         "null",     "[]",       "1",          "{",         "}",
        "{\"a\"}", "{\"a\":}",  "{\"a\":1", "{\"a\":1,}", "{,}",      "{\"a\":1}x", "{\"a\":1}{}",
        "{a:1}",   "{\"a\":01}", "{\"a\":-}", "{\"a\":1.}", "{\"a\":.5}", "{\"a\":1e}", "{\"a\":+1}",
        "{\"a\":tru}", "{\"a\":nul", "{\"a\":[1}", "{\"a\":{]}", "{\"a\":[1,]}", "{\"a\":\"\\x\"}",
        "{\"a\":\"\\ud800\"}", "{\"a\":\"\\udc00\\ud800\"}", "{\"a\":\"x}", "{\"a\":\"\n\"}",
        "{\"a\":\"\xff\"}", "{\"a\":\"\xc0\x80\"}", "{\"\xff\":1}", "{\"user_id\":1 \"b\":2}",
        "{\"user_id\":12", "{\"type\":\"abc", "{\"user_id\":", "{\"user_id\":1,", "{\"ok\":tru",
        "\xef\xbb\xbf{}", "{\"user_id\":1{\"user_id\":1}", "{\"a\":1{\"user_id\":1,\"type\":\"x\"}",
    };
    for (uint32_t walk = 0; walk < walk_count(); walk++) {
        struct bed bed;
        click_bed(&bed, walk);
        for (int round = 0; round < 2; round++) {
            for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                cr_assert(!accepts(&bed, bad[i]), "%s", bad[i]);
                cr_assert(bed.faults.items[0].message[0] != '\0');
                cr_assert_eq(((int64_t *)bed.batch->columns[1].values)[0], 0);
            }
            accepts(&bed, "{\"user_id\":1,\"type\":\"x\",\"ok\":true,\"a\":1}");
        }
        bed_close(&bed);
    }
}

/* data: a record, or the first bytes of one. */
static void check_in_place(struct bed *bed, char *data, const char *text, size_t bytes)
{
    struct wr_record record = { .data = data, .bytes = (uint32_t)bytes };
    memcpy(data, text, bytes);
    const struct wr_records records = { .items = &record, .count = 1, .refs = 1 };
    struct wr_batch *batch = wr_batch_take(bed->pool);
    wr_decoder_decode(bed->decoder, &records, batch, &bed->faults);
    cr_assert_eq(bed->faults.count, text[bytes] != '\0');
    if (bed->faults.count == 0) {
        const struct wr_view *view = batch->columns[2].values;
        cr_assert_eq(view->data, data + 9); /* also when a copy was read */
    }
    wr_batch_release(batch);
}

Test(decode_json, nothing_is_read_on_the_pages_around_a_record)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(pages != MAP_FAILED && mprotect(pages, page, PROT_NONE) == 0 &&
              mprotect(pages + 2 * page, page, PROT_NONE) == 0);
    static const char text[] = "{\"type\":\"a text that is borrowed\",\"user_id\":7,\"a\":-1.5}";
    const size_t bytes = sizeof(text) - 1;
    for (uint32_t walk = 0; walk < walk_count(); walk++) {
        struct bed bed;
        click_bed(&bed, walk);
        for (size_t gap = 0; gap < 100; gap++) {
            for (size_t cut = 0; cut < bytes; cut++) {
                check_in_place(&bed, pages + page + gap, text, bytes - cut);
                check_in_place(&bed, pages + 2 * page - gap - (bytes - cut), text, bytes - cut);
            }
        }
        bed_close(&bed);
    }
    munmap(pages, 3 * page);
}

Test(decode_json, nesting_is_limited)
{
    struct bed bed;
    click_bed(&bed, 0);
    char text[3000];
    for (uint32_t depth = 200; depth < 400; depth++) {
        size_t n = (size_t)sprintf(text, "{\"x\":");
        memset(text + n, '[', depth);
        memset(text + n + depth, ']', depth);
        strcpy(text + n + 2 * depth, "}");
        cr_assert_eq(accepts(&bed, text), depth + 1 <= WR_JSON_DEPTH_MAX, "%u", depth);
    }
    bed_close(&bed);
}

Test(decode_json, nested_columns_are_found_by_path)
{
    struct bed bed = { 0 };
    char a[] = "p.user.id";
    char b[] = "p.user";
    char c[] = "p.kind";
    char d[] = "id";
    char e[] = "p.user.id";
    bed_column(&bed, a, wr_type_of(WR_TYPE_INT64), false);
    bed_column(&bed, b, wr_type_of(WR_TYPE_JSON), false);
    bed_column(&bed, c, wr_type_of(WR_TYPE_TEXT), false);
    bed_column(&bed, d, wr_type_of(WR_TYPE_INT32), false);
    bed_column(&bed, e, wr_type_of(WR_TYPE_TEXT), false);
    bed_open(&bed, "json");
    for (int round = 0; round < 3; round++) {
        cr_assert(accepts(&bed, "{\"id\":1,\"p\":{\"kind\":\"k\",\"user\":{\"id\":5,\"n\":2}}}"));
        cr_assert_str_eq(bed_text(&bed, 0), "5");
        cr_assert_str_eq(bed_text(&bed, 1), "{\"id\":5,\"n\":2}");
        cr_assert_str_eq(bed_text(&bed, 2), "k");
        cr_assert_str_eq(bed_text(&bed, 3), "1");
        cr_assert_str_eq(bed_text(&bed, 4), "5");
        cr_assert(accepts(&bed, "{\"p\":{\"user\":17}}"));
        cr_assert_str_eq(bed_text(&bed, 0), "NULL");
        cr_assert_str_eq(bed_text(&bed, 1), "17");
        cr_assert(accepts(&bed, "{\"p\":{\"user\":{\"id\":5}},\"p\":{\"kind\":\"z\"}}"));
        cr_assert_str_eq(bed_text(&bed, 0), "NULL"); /* the last p has no user */
        cr_assert_str_eq(bed_text(&bed, 2), "z");
        cr_assert(accepts(&bed, "{\"p\":{\"user\":{\"id\":5}},\"p\":null}"));
        cr_assert_str_eq(bed_text(&bed, 0), "NULL");
    }
    cr_assert(!accepts(&bed, "{\"p\":{\"user\":{\"id\":\"five\"}}}"));
    cr_assert_str_eq(bed.faults.items[0].field, "p.user.id");
    bed_close(&bed);
}

Test(decode_json, not_null_names_the_column)
{
    struct bed bed = { 0 };
    char a[] = "a";
    char b[] = "b";
    bed_column(&bed, a, wr_type_of(WR_TYPE_INT64), false);
    bed_column(&bed, b, wr_type_of(WR_TYPE_INT64), true);
    bed_open(&bed, "json");
    cr_assert(accepts(&bed, "{\"b\":1}"));
    cr_assert(!accepts(&bed, "{\"a\":1}"));
    cr_assert_str_eq(bed.faults.items[0].field, "b");
    cr_assert(!accepts(&bed, "{\"a\":1,\"b\":null}"));
    cr_assert_str_eq(bed.faults.items[0].field, "b");
    bed_close(&bed);
}

Test(decode_json, many_columns_in_many_shapes)
{
    struct bed bed = { 0 };
    static char paths[70][8];
    for (uint32_t i = 0; i < 70; i++) { /* more than one word of seen bits */
        sprintf(paths[i], "c%u", i);
        bed_column(&bed, paths[i], wr_type_of(WR_TYPE_INT32), false);
    }
    bed_open(&bed, "json");
    srand(1);
    for (int round = 0; round < 500; round++) {
        char text[4000] = "{";
        char wanted[70][12];
        bool any = false;
        for (uint32_t i = 0; i < 70; i++) {
            strcpy(wanted[i], "NULL");
            if (rand() % 3 != 0) {
                sprintf(wanted[i], "%d", rand() % 100000);
                sprintf(text + strlen(text), "%s\"c%u\":%s", any ? "," : "", i, wanted[i]);
                any = true;
            }
            if (rand() % 20 == 0) {
                sprintf(text + strlen(text), "%s\"other%d\":\"x\"", any ? ", " : "", rand() % 1000);
                any = true;
            }
        }
        strcat(text, "}");
        cr_assert(accepts(&bed, text), "%s", text);
        for (uint32_t i = 0; i < 70; i++) {
            cr_assert_str_eq(bed_text(&bed, i), wanted[i]);
        }
    }
    bed_close(&bed);
}

/* ---- jansson ---- */

static const char *const seeds[] = {
    "{\"event_id\":\"9f86d081884c7d65\",\"user_id\":123456,\"type\":\"click\",\"amount\":12.34,"
    "\"country\":\"DE\",\"page\":\"/products/123\",\"ok\":true,\"ts\":1700000000123}",
    "{\"event_id\": \"x\\u00fc\\ud83d\\ude00\\n\", \"user_id\": -1, \"type\": \"gr\xc3\xbc\xc3\x9f\", \"amount\": 1e-7,"
    " \"country\": null, \"page\": {\"a\": [1, 2.5, {\"b\": []}]}, \"ok\": false, \"ts\": 0}",
    "{\"nest\":{\"user_id\":[1,2,[3,{\"k\":\"v\"}]]},\"type\":\"\",\"user_id\":123456789012345678,"
    "\"amount\":0.1000000000000000055511151231257827,\"extra\":\"skipped text over thirty-two bytes long\"}",
};

static size_t mutate(char *text, size_t bytes)
{
    static const char likely[] = "\"\"{}[]:,\\u0123456789-+.eE tfn\n\x01\x7f\xc3\xbc\xff";
    for (int count = rand() % 4; count > 0 && bytes > 4; count--) {
        const size_t at = (size_t)rand() % bytes;
        switch (rand() % 6) {
        case 0:
            text[at] = likely[(size_t)rand() % (sizeof(likely) - 1)];
            break;
        case 1:
            memmove(text + at, text + at + 1, bytes - at - 1);
            bytes--;
            break;
        case 2:
            memmove(text + at + 1, text + at, bytes - at);
            text[at] = likely[(size_t)rand() % (sizeof(likely) - 1)];
            bytes++;
            break;
        case 3: {
            const size_t length = (size_t)rand() % 20 % (bytes - at);
            memmove(text + at + length, text + at, bytes - at);
            bytes += length;
            break;
        }
        case 4:
            bytes = rand() % 8 == 0 ? at : bytes;
            break;
        default:
            text[at] = (char)rand();
            break;
        }
    }
    return bytes;
}

/* What jansson refuses beyond the grammar, and we need not. */
static bool beyond_grammar(const json_error_t *error)
{
    return strstr(error->text, "overflow") != NULL || strstr(error->text, "too big") != NULL ||
           strstr(error->text, "NUL byte in object key") != NULL;
}

static void compare_column(struct bed *bed, uint32_t c, const json_t *value, const char *record)
{
    const bool null = wr_column_is_null(&bed->batch->columns[c], 0);
    cr_assert_eq(null, value == NULL || json_is_null(value), "column %u of %s", c, record);
    const void *got = bed->batch->columns[c].values;
    if (null) {
        return;
    }
    if (bed->fields[c].type.id == WR_TYPE_TEXT && json_is_string(value)) {
        const struct wr_view *view = got;
        cr_assert(view->bytes == json_string_length(value) &&
                      memcmp(wr_view_data(view), json_string_value(value), view->bytes) == 0,
                  "column %u of %s", c, record);
    } else if (bed->fields[c].type.id == WR_TYPE_INT64 && json_is_integer(value)) {
        cr_assert_eq(*(const int64_t *)got, json_integer_value(value), "%s", record);
    } else if (bed->fields[c].type.id == WR_TYPE_FLOAT64 && json_is_number(value)) {
        cr_assert_eq(*(const double *)got, json_number_value(value), "%s", record);
    } else if (bed->fields[c].type.id == WR_TYPE_BOOL) {
        cr_assert_eq(*(const uint8_t *)got, json_is_true(value), "%s", record);
    } else if (bed->fields[c].type.id == WR_TYPE_TIMESTAMP && json_is_integer(value)) {
        cr_assert_eq(*(const int64_t *)got, json_integer_value(value) * 1000, "%s", record);
    }
}

static bool is_plain(enum wr_type_id id, const json_t *value)
{
    switch (id) {
    case WR_TYPE_INT64:
        return json_is_integer(value);
    case WR_TYPE_FLOAT64:
        return json_is_number(value);
    case WR_TYPE_BOOL:
        return json_is_boolean(value);
    case WR_TYPE_TIMESTAMP: /* milliseconds that fit as microseconds */
        return json_is_integer(value) && llabs(json_integer_value(value)) < INT64_MAX / 1000;
    default:
        return true; /* texts take anything */
    }
}

/* A record that jansson accepts: the fault must name a column whose value is not of the column's
 * plain form. (Of a key that came twice jansson shows only the last value; it may be the first
 * that was bad.) */
static void judge_fault(struct bed *bed, const json_t *object, const char *record)
{
    const struct wr_row_fault *fault = &bed->faults.items[0];
    const int32_t c = wr_schema_find(&bed->schema, fault->field);
    cr_assert(c >= 0, "%s refused: %s", record, fault->message);
    char key[sizeof(fault->field) + 3];
    snprintf(key, sizeof(key), "\"%s\"", fault->field);
    const char *found = strstr(record, key);
    if (found != NULL && strstr(found + 1, key) == NULL) {
        cr_assert(!is_plain((enum wr_type_id)bed->fields[c].type.id,
                            json_object_get(object, fault->field)),
                  "%s refused: %s", record, fault->message);
    }
}

static void compare(struct bed *bed, char *record, size_t bytes)
{
    json_error_t error;
    json_t *object = json_loadb(record, bytes, JSON_ALLOW_NUL, &error);
    const bool good = bed_decode(bed, record, bytes);
    record[bytes] = '\0';
    if (strlen(record) < bytes) {
        /* No JSON holds a NUL byte, but jansson takes one behind a number. */
        cr_assert(!good);
        json_decref(object);
        return;
    }
    if (object == NULL) {
        if (!beyond_grammar(&error)) {
            cr_assert(!good, "accepted, jansson says %s: %s", error.text, record);
        }
        return;
    }
    if (!json_is_object(object)) {
        cr_assert(!good);
    } else if (good) {
        for (uint32_t c = 0; c < bed->schema.count; c++) {
            compare_column(bed, c, json_object_get(object, bed->fields[c].name), record);
        }
    } else {
        judge_fault(bed, object, record);
    }
    json_decref(object);
}

/* ---- templates ---- */

/* Values that differ in length, and such as no template takes. */
static const char *some_value(bool text)
{
    static const char *const texts[] = { "", "a", "view", "twelve bytes", "more than twelve bytes",
                                         "gr\xc3\xbc\xc3\x9f", "tab\\t", "\xff", "\x01" };
    static const char *const numbers[] = { "0",    "7",     "-3",   "42.5",  "-0.25", "123456789012",
                                           "null", "12e1",  "007",  "1.",    ".5",    "",
                                           "- 1",  "1 2",   "true", "0.0",   "-",     "99999999999999999",
                                           "{}",   "[1,2]", "1234567890.123456", "12345678901234567890" };
    const int odd = rand() % 100;
    if (text) {
        return texts[odd < 3 ? 5 + rand() % 4 : rand() % 5];
    }
    return numbers[odd < 5 ? 5 + rand() % 17 : rand() % 6];
}

static size_t make_event(char *into, int shape)
{
    static const char *const shapes[] = {
        "{\"event_id\":\"$\",\"user_id\":#,\"type\":\"$\",\"amount\":#}",
        (" { \"x\" : #, \"type\" : \"$\", \"a_key_that_is_longer_than_any_register_is\" : \"$\" , "
         "\"amount\" : # , \"ts\":#} "),
        "{\"n\":{\"a\":\"$\",\"b\":[{\"c\":#}]},\"page\":\"$\",\"e\":{},\"ok\":true,\"g\":[]}",
    };
    char *out = into;
    for (const char *c = shapes[shape]; *c != '\0'; c++) {
        if (*c == '$' || *c == '#') {
            out = stpcpy(out, some_value(*c == '$'));
        } else if (rand() % 2000 != 0) {
            *out++ = *c;
        }
    }
    *out = '\0';
    return (size_t)(out - into);
}

static struct wr_batch *decode_all(struct bed *bed, struct wr_batch_pool *pool,
                                   const struct wr_records *records)
{
    struct wr_batch *batch = wr_batch_take(pool);
    wr_decoder_decode(bed->decoder, records, batch, &bed->faults);
    return batch;
}

static void check_same(const struct bed *bed, const struct wr_batch *a, const struct wr_batch *b,
                       const struct wr_record *items)
{
    cr_assert_eq(wr_batch_live(a), wr_batch_live(b));
    for (uint32_t i = 0; i < wr_batch_live(a); i++) {
        const uint32_t row = wr_batch_row(a, i);
        cr_assert_eq(row, wr_batch_row(b, i));
        for (uint32_t c = 0; c < bed->schema.count; c++) {
            const uint32_t width = wr_type_width(bed->fields[c].type);
            cr_assert_eq(wr_column_is_null(&a->columns[c], row),
                         wr_column_is_null(&b->columns[c], row), "%s", items[row].data);
            cr_assert_arr_eq((const char *)a->columns[c].values + row * width,
                             (const char *)b->columns[c].values + row * width,
                             /* of escaped texts both have copies of their own */
                             strchr(items[row].data, '\\') == NULL ? width : 0, "%s",
                             items[row].data);
        }
    }
}

/* Whole batches of events of few shapes, among them bad ones: as the plain walk takes them. */
Test(decode_json, templates_agree_with_the_walk, .timeout = 100)
{
    static char texts[100][512];
    static struct wr_record items[100];
    for (uint32_t walk = 1; walk < walk_count(); walk++) {
        struct bed plain;
        struct bed fast;
        click_bed(&plain, 0);
        click_bed(&fast, walk);
        struct wr_batch_pool *pool = wr_batch_pool_create(&plain.schema, 100, 4);
        const struct wr_json_templates *templates =
            &((struct wr_json_decoder *)fast.decoder)->templates;
        uint32_t hits = 0;
        srand(7);
        for (int round = 0; round < 400; round++) {
            const uint32_t count = (uint32_t)(1 + rand() % 100);
            for (uint32_t i = 0; i < count; i++) {
                const int shape = round % 4 == 3 ? rand() % 3 : round / 4 % 3;
                items[i].data = texts[i];
                items[i].bytes = (uint32_t)make_event(texts[i], shape);
            }
            const struct wr_records records = { .items = items, .count = count, .refs = 1 };
            struct wr_batch *a = decode_all(&plain, pool, &records);
            struct wr_batch *b = decode_all(&fast, pool, &records);
            hits += templates->hits > count / 2;
            check_same(&plain, a, b, items);
            for (uint32_t f = 0; f < plain.faults.count; f++) {
                cr_assert_eq(plain.faults.items[f].row, fast.faults.items[f].row);
                cr_assert_str_eq(plain.faults.items[f].field, fast.faults.items[f].field);
            }
            wr_batch_release(a);
            wr_batch_release(b);
        }
        cr_assert(walks[walk] != wr_json_run_avx512 || hits > 300); /* templates were tried */
        wr_batch_pool_destroy(pool);
        bed_close(&plain);
        bed_close(&fast);
    }
}

Test(decode_json, mutated_events_are_judged_as_jansson_does, .timeout = 100)
{
    for (uint32_t walk = 0; walk < walk_count(); walk++) {
        struct bed bed;
        click_bed(&bed, walk);
        srand(42);
        for (int i = 0; i < 60000; i++) {
            char text[2000];
            const char *seed = seeds[rand() % 3];
            strcpy(text, seed);
            compare(&bed, text, mutate(text, strlen(seed)));
        }
        bed_close(&bed);
    }
}

/* ---- nested columns ---- */

static struct wr_type nested_field(struct wr_nested_field *fields, uint32_t count)
{
    struct wr_type type;
    cr_assert_eq(wr_nested_struct(fields, count, &type, NULL), WR_OK);
    return type;
}

static struct wr_type array_of(struct wr_type element)
{
    struct wr_type type;
    cr_assert_eq(wr_nested_array(element, &type, NULL), WR_OK);
    return type;
}

static struct wr_type map_of(struct wr_type key, struct wr_type value)
{
    struct wr_type type;
    cr_assert_eq(wr_nested_map(key, value, &type, NULL), WR_OK);
    return type;
}

static struct wr_type item_type(void)
{
    struct wr_nested_field fields[] = {
        { "price", { .id = WR_TYPE_DECIMAL, .precision = 10, .scale = 2 } },
        { "name", wr_type_of(WR_TYPE_TEXT) },
        { "tags", array_of(wr_type_of(WR_TYPE_TEXT)) },
        { "at", wr_type_of(WR_TYPE_TIMESTAMP) },
    };
    return nested_field(fields, 4);
}

/* wanted: the value as JSON, or NULL; then field and message are those of the fault. */
static void check_nested(struct wr_type type, const char *value, const char *wanted,
                         const char *where, const char *message)
{
    for (uint32_t walk = 0; walk < walk_count(); walk++) {
        struct bed bed = { 0 };
        char path[] = "v";
        bed_column(&bed, path, type, false);
        bed_open(&bed, "json");
        use_walk(&bed, walk);
        char record[2000];
        snprintf(record, sizeof(record), "{\"other\": [1, {}], \"v\" : %s}", value);
        for (int again = 0; again < 3; again++) {
            const bool good = bed_decode(&bed, record, strlen(record));
            cr_assert_eq(good, wanted != NULL, "%s: %s", value, good ? "accepted" : bed.faults.items[0].message);
            if (!good) {
                cr_assert_str_eq(bed.faults.items[0].field, where, "%s", value);
                cr_assert_not_null(strstr(bed.faults.items[0].message, message), "%s", bed.faults.items[0].message);
                continue;
            }
            const struct wr_view *view = bed.batch->columns[0].values;
            struct wr_buf text = { 0 };
            if (wr_column_is_null(&bed.batch->columns[0], 0)) {
                wr_buf_text(&text, "NULL");
            } else {
                cr_assert(wr_nested_check(type, wr_view_slice(view)));
                wr_nested_format_json(&text, type, wr_view_slice(view));
            }
            cr_assert_str_eq(wr_buf_cstr(&text), wanted, "%s: %s", value, wr_buf_cstr(&text));
            wr_buf_deinit(&text);
        }
        bed_close(&bed);
    }
}

Test(decode_json, objects_become_structs_in_the_types_order)
{
    const struct wr_type item = item_type();
    check_nested(item, "{\"name\":\"a\",\"price\":1.5,\"at\":1000,\"tags\":[\"x\",null,\"y\\u0041\"]}",
                 "{\"price\":1.50,\"name\":\"a\",\"tags\":[\"x\",null,\"yA\"],\"at\":\"1970-01-01T00:00:01Z\"}", NULL, NULL);
    check_nested(item, " { } ", "{\"price\":null,\"name\":null,\"tags\":null,\"at\":null}", NULL, NULL);
    check_nested(item, "{\"name\" : {\"deep\": [1,2]}, \"nobody\": {\"price\": 9}, \"n\\u0061me\":\"last\", \"price\" : \"7\"}",
                 "{\"price\":7.00,\"name\":\"last\",\"tags\":null,\"at\":null}", NULL, NULL);
    check_nested(item, "null", "NULL", NULL, NULL);
    check_nested(item, "[1]", NULL, "v", "[1] is not a valid STRUCT");
    check_nested(item, "\"{}\"", NULL, "v", "is not a valid STRUCT");
    check_nested(item, "{\"tags\":\"x\"}", NULL, "v.tags", "is not a valid TEXT[]");
}

Test(decode_json, members_in_any_order_give_the_same)
{
    const struct wr_type items = array_of(item_type());
#define WANTED "{\"price\":1.00,\"name\":\"a\",\"tags\":[\"t\"],\"at\":null}"
    check_nested(items,
                 "[{\"price\":1,\"x\":[{}],\"name\":\"a\",\"tags\":[\"t\"]},{\"tags\":[\"t\"],\"name\":\"a\",\"price\":1},"
                 "{\"price\":1,\"tags\":[\"u\",\"v\"],\"name\":\"b\",\"tags\":[\"t\"],\"name\":\"a\"},{\"price\":1,\"name\":\"a\",\"tags\":[\"t\"]} ]",
                 "[" WANTED "," WANTED "," WANTED "," WANTED "]", NULL, NULL);
#undef WANTED
    struct wr_nested_field outer[] = { { "a", item_type() }, { "b", item_type() } };
    check_nested(nested_field(outer, 2), "{\"b\":{\"name\":\"x\",\"price\":2},\"a\":{\"name\":\"y\"}}",
                 "{\"a\":{\"price\":null,\"name\":\"y\",\"tags\":null,\"at\":null},"
                 "\"b\":{\"price\":2.00,\"name\":\"x\",\"tags\":null,\"at\":null}}", NULL, NULL);
    check_nested(nested_field(outer, 2), "{\"b\":{\"name\":\"x\"},\"a\":{\"tags\":[[1],2],\"price\":true}}", NULL, "v.a.price", "true is not");
}

Test(decode_json, faults_name_the_path)
{
    const struct wr_type items = array_of(item_type());
    check_nested(items, "[]", "[]", NULL, NULL);
    check_nested(items, "[null, {\"name\":\"exactly twelve bytes and more\"}]",
                 "[null,{\"price\":null,\"name\":\"exactly twelve bytes and more\",\"tags\":null,\"at\":null}]", NULL, NULL);
    check_nested(items, "[{}, {\"price\":1}, {}, {\"price\":\"dear\"}]", NULL, "v[3].price", "\"dear\" is not a valid NUMERIC(10,2)");
    check_nested(items, "[{\"at\":true}]", NULL, "v[0].at", "true is not a valid TIMESTAMP");
    check_nested(items, "[5]", NULL, "v[0]", "5 is not a valid STRUCT");
    check_nested(array_of(array_of(wr_type_of(WR_TYPE_INT16))), "[[1],[2,3],[],[4,70000]]", NULL, "v[3][1]", "70000 is not a valid SMALLINT");
    check_nested(array_of(array_of(wr_type_of(WR_TYPE_INT16))), "[[1],[2,3],[],null]", "[[1],[2,3],[],null]", NULL, NULL);
}

Test(decode_json, maps_keep_the_last_of_equal_keys)
{
    const struct wr_type counts = map_of(wr_type_of(WR_TYPE_TEXT), wr_type_of(WR_TYPE_INT64));
    check_nested(counts, "{}", "{}", NULL, NULL);
    check_nested(counts, "{\"a\":1,\"b\":null,\"\\u0061\":3}", "{\"b\":null,\"a\":3}", NULL, NULL);
    check_nested(counts, "{\"a\":1,\"b c\":\"x\"}", NULL, "v['b c']", "\"x\" is not a valid BIGINT");
    check_nested(map_of(wr_type_of(WR_TYPE_INT32), item_type()), "{\"07\":{},\"7\":{\"price\":2}}",
                 "{\"7\":{\"price\":2.00,\"name\":null,\"tags\":null,\"at\":null}}", NULL, NULL);
    check_nested(map_of(wr_type_of(WR_TYPE_INT32), item_type()), "{\"x\":{}}", NULL, "v", "\"x\" is not a valid INTEGER");
    check_nested(map_of(wr_type_of(WR_TYPE_BOOL), wr_type_of(WR_TYPE_JSON)), "{\"true\":[1, 2]}", "{\"true\":[1, 2]}", NULL, NULL);
    char many[1500] = "{";
    for (uint32_t i = 0; i < 90; i++) { /* by hash: 45 keys, twice each */
        snprintf(many + strlen(many), sizeof many - strlen(many), "%s\"k%u\":%u", i > 0 ? "," : "", i % 45, i);
    }
    char wanted[1500] = "{";
    for (uint32_t i = 45; i < 90; i++) {
        snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), "%s\"k%u\":%u", i > 45 ? "," : "", i - 45, i);
    }
    check_nested(counts, strcat(many, "}"), strcat(wanted, "}"), NULL, NULL);
}

Test(decode_json, a_nested_column_and_fields_of_it)
{
    struct bed bed = { 0 };
    char whole[] = "geo";
    char part[] = "geo.country";
    struct wr_nested_field fields[] = { { "country", wr_type_of(WR_TYPE_TEXT) }, { "lat", wr_type_of(WR_TYPE_FLOAT64) } };
    bed_column(&bed, whole, nested_field(fields, 2), false);
    bed_column(&bed, part, wr_type_of(WR_TYPE_TEXT), false);
    bed_open(&bed, "json");
    for (int again = 0; again < 3; again++) {
        const char *record = "{\"geo\":{\"lat\":1.5,\"country\":\"DE\",\"x\":1}}";
        cr_assert(bed_decode(&bed, record, strlen(record)));
        const struct wr_view *view = bed.batch->columns[0].values;
        struct wr_buf text = { 0 };
        wr_nested_format_json(&text, bed.fields[0].type, wr_view_slice(view));
        cr_assert_str_eq(wr_buf_cstr(&text), "{\"country\":\"DE\",\"lat\":1.5}");
        wr_buf_deinit(&text);
        cr_assert_str_eq(bed_text(&bed, 1), "DE");
    }
    bed_close(&bed);
}
