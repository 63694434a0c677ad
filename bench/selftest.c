/* selftest.c: the measuring tools' own arithmetic. A benchmark that checks its answers with wrong
 * expectations would reject right answers, or accept wrong ones. */
#include "event.h"
#include "row.h"
#include "windows.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int failed;

static void check(int truth, const char *what, int line)
{
    if (!truth) {
        fprintf(stderr, "selftest.c:%d: not so: %s\n", line, what);
        failed++;
    }
}

#define CHECK(truth) check((truth), #truth, __LINE__)

static const struct wr_bench_shape plain = {
    .seed = 1, .start_us = WR_BENCH_START_MS * 1000, .rate = 100000};

static int compare_u64(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a;
    const uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void events_are_unique_and_repeatable(void)
{
    enum { COUNT = 100000 };
    uint64_t *ids = malloc(COUNT * sizeof(*ids));
    for (uint64_t i = 0; ids != NULL && i < COUNT; i++) {
        struct wr_bench_event event;
        struct wr_bench_event again;
        memset(&event, 0, sizeof(event));
        memset(&again, 0, sizeof(again));
        wr_bench_event_make(&plain, i, &event);
        wr_bench_event_make(&plain, i, &again);
        CHECK(memcmp(&event, &again, sizeof(event)) == 0);
        CHECK(event.user_id >= 1 && event.user_id <= WR_BENCH_USERS);
        ids[i] = event.id;
    }
    CHECK(ids != NULL);
    qsort(ids, COUNT, sizeof(*ids), compare_u64);
    for (size_t i = 1; i < COUNT; i++) {
        CHECK(ids[i - 1] != ids[i]);
    }
    free(ids);
}

static void text_says_what_the_event_is(void)
{
    struct wr_bench_shape stamped = plain;
    stamped.stamp_sent = 1;
    for (uint64_t i = 0; i < 1000; i++) {
        struct wr_bench_event event;
        char text[WR_BENCH_EVENT_BYTES_MAX + 1];
        double number = 0;
        int64_t us = 0;
        wr_bench_event_make(&stamped, i, &event);
        const size_t bytes = wr_bench_event_format(&stamped, &event, text);
        CHECK(bytes < 230);
        CHECK(wr_bench_row_number(text, bytes, "user_id", &number) == 0);
        CHECK((uint32_t)number == event.user_id);
        CHECK(wr_bench_row_number(text, bytes, "amount", &number) == 0);
        CHECK(llround(number * 100) == event.amount_cents);
        CHECK(wr_bench_row_time_us(text, bytes, "ts", &us) == 0 && us == event.ts_ms * 1000);
        CHECK(wr_bench_row_time_us(text, bytes, "sent_us", &us) == 0 && us == event.intended_us);
    }
}

static void disorder_keeps_to_its_shares(void)
{
    enum { COUNT = 200000 };
    struct wr_bench_shape shape = plain;
    struct wr_bench_totals totals = {0};
    shape.disorder_ppm = 50000;
    shape.disorder_ms = 500;
    shape.late_ppm = 10000;
    shape.late_ms = 20000;
    for (uint64_t i = 0; i < COUNT; i++) {
        struct wr_bench_event event;
        wr_bench_event_make(&shape, i, &event);
        const int64_t back_ms = event.intended_us / 1000 - event.ts_ms;
        CHECK(event.late ? back_ms >= 20000 && back_ms < 40000
                         : event.disordered ? back_ms >= 1 && back_ms <= 500 : back_ms == 0);
        wr_bench_totals_add(&totals, &event, 100);
    }
    CHECK(totals.events == COUNT && totals.bytes == COUNT * UINT64_C(100));
    CHECK(totals.disordered > COUNT / 20 * 9 / 10 && totals.disordered < COUNT / 20 * 11 / 10);
    CHECK(totals.late > COUNT / 100 * 9 / 10 && totals.late < COUNT / 100 * 11 / 10);
}

static void rows_are_read_in_every_spelling(void)
{
    static const char *const same[] = {
        "{\"window_end\":\"2025-01-01T00:00:10Z\",\"events\":3}",
        "{\"window_end\": \"2025-01-01T00:00:10.000000Z\"}",
        "{\"a\":1, \"window_end\": \"2025-01-01 00:00:10\"}",
        "{\"window_end\":1735689610000}",
        "{\"window_end\":1735689610000000}",
    };
    int64_t us = 0;
    double number = 0;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        CHECK(wr_bench_row_time_us(same[i], strlen(same[i]), "window_end", &us) == 0);
        CHECK(us == (WR_BENCH_START_MS + 10000) * 1000);
    }
    const char *fraction = "{\"window_end\":\"2025-01-01T00:00:10.25Z\",\"revenue\":\"12.50\"}";
    CHECK(wr_bench_row_time_us(fraction, strlen(fraction), "window_end", &us) == 0);
    CHECK(us == (WR_BENCH_START_MS + 10250) * 1000);
    CHECK(wr_bench_row_number(fraction, strlen(fraction), "revenue", &number) == 0);
    CHECK(fabs(number - 12.5) < 1e-12);
    CHECK(wr_bench_row_number(fraction, strlen(fraction), "events", &number) != 0);
    CHECK(wr_bench_row_number("{\"events\":null}", 15, "events", &number) != 0);
}

/* Feeds the windows what a right pipeline would send; wrong is added to the first count. */
static void feed(struct wr_bench_windows *windows, int wrong)
{
    for (size_t w = 0; w < windows->count; w++) {
        char row[256];
        const int64_t end_ms = windows->first_end_ms + (int64_t)w * windows->slide_ms;
        const int bytes = snprintf(
            row, sizeof(row), "{\"window_end\":%" PRId64 ",\"events\":%" PRIu64 ",\"revenue\":%.2f}",
            end_ms, windows->windows[w].events_expected + (w == 0 ? (uint64_t)wrong : 0),
            (double)windows->windows[w].cents_expected / 100);
        wr_bench_windows_take(windows, row, (size_t)bytes, 0,
                              wr_bench_windows_closing_us(windows, end_ms) + 1500);
    }
}

static struct wr_bench_windows make_windows(int64_t slide_ms)
{
    struct wr_bench_windows windows = {.shape = plain, .count_events = 350, .partitions = 4,
                                       .size_ms = 1000, .slide_ms = slide_ms};
    windows.shape.rate = 100; /* an event each 10 ms */
    CHECK(wr_bench_windows_init(&windows) == 0);
    return windows;
}

static void windows_expect_what_was_sent(void)
{
    struct wr_bench_windows tumbling = make_windows(1000);
    CHECK(tumbling.count == 3); /* 3.5 s of events */
    CHECK(tumbling.windows[0].events_expected == 100);
    CHECK(tumbling.windows[2].events_expected == 100);
    /* Events 100 to 103 are the first of each partition at or after the first window's end. */
    CHECK(wr_bench_windows_closing_us(&tumbling, tumbling.first_end_ms) ==
          (WR_BENCH_START_MS + 1030) * 1000);
    CHECK(wr_bench_windows_missing(&tumbling) == 300);
    feed(&tumbling, 0);
    CHECK(wr_bench_windows_missing(&tumbling) == 0);
    CHECK(wr_bench_windows_wrong(&tumbling) == 0);
    CHECK(tumbling.latency_count == 3 && tumbling.latencies_us[2] == 1500);
    wr_bench_windows_deinit(&tumbling);

    struct wr_bench_windows hopping = make_windows(100);
    CHECK(hopping.windows[0].events_expected == 10); /* it began 900 ms before the first event */
    CHECK(hopping.windows[9].events_expected == 100);
    feed(&hopping, 1);
    CHECK(wr_bench_windows_wrong(&hopping) == 1);
    CHECK(hopping.rows_unread == 0);
    wr_bench_windows_take(&hopping, "{\"window_end\":1735689600050}", 28, 0, 0);
    CHECK(hopping.rows_unread == 1);
    wr_bench_windows_deinit(&hopping);
}

/* A result that comes again counts once, and must not have changed. */
static void repeated_rows_count_once(void)
{
    static const char first[] =
        "{\"window_end\":1735689601000,\"type\":\"view\",\"country\":\"DE\",\"events\":7,\"revenue\":1.25}";
    static const char changed[] =
        "{\"window_end\":1735689601000,\"type\":\"view\",\"country\":\"DE\",\"events\":8,\"revenue\":1.25}";
    static const char other[] =
        "{\"window_end\":1735689601000,\"type\":\"cart\",\"country\":\"AT\",\"events\":1,\"revenue\":1.25}";
    static const char nobody[] =
        "{\"window_end\":1735689601000,\"type\":\"view\",\"country\":\"XX\",\"events\":1,\"revenue\":1.25}";
    struct wr_bench_windows windows = {.shape = plain, .count_events = 350, .partitions = 4,
                                       .size_ms = 1000, .slide_ms = 1000, .repeats = 1};
    windows.shape.rate = 100;
    CHECK(wr_bench_windows_init(&windows) == 0);
    const int64_t at_us = (WR_BENCH_START_MS + 2000) * 1000;
    wr_bench_windows_take(&windows, first, sizeof(first) - 1, 0, at_us);
    wr_bench_windows_take(&windows, first, sizeof(first) - 1, 0, at_us);
    CHECK(windows.windows[0].events == 7 && windows.windows[0].cents == 125);
    CHECK(windows.rows_repeated == 1 && windows.rows_changed == 0);
    wr_bench_windows_take(&windows, changed, sizeof(changed) - 1, 0, at_us + 5);
    CHECK(windows.rows_repeated == 2 && windows.rows_changed == 1);
    wr_bench_windows_take(&windows, other, sizeof(other) - 1, 0, at_us + 5);
    CHECK(windows.windows[0].events == 8 && windows.rows_repeated == 2);
    CHECK(windows.arrival_count == 2 && windows.arrivals[0].rows == 2);
    wr_bench_windows_take(&windows, nobody, sizeof(nobody) - 1, 0, at_us + 6);
    CHECK(windows.rows_unread == 1);
    wr_bench_windows_deinit(&windows);
}

static void pads_make_events_longer(void)
{
    struct wr_bench_shape padded = plain;
    char text[WR_BENCH_EVENT_BYTES_MAX + 1];
    char before[WR_BENCH_EVENT_BYTES_MAX + 1];
    char pad[2][32];
    padded.pad_bytes = 21;
    for (uint64_t i = 0; i < 100; i++) {
        struct wr_bench_event event;
        wr_bench_event_make(&padded, i, &event);
        const size_t plain_bytes = wr_bench_event_format(&plain, &event, before);
        const size_t bytes = wr_bench_event_format(&padded, &event, text);
        CHECK(bytes == plain_bytes + 21 + strlen(",\"pad\":\"\""));
        CHECK(memcmp(text, before, plain_bytes - 1) == 0);
        CHECK(wr_bench_row_text(text, bytes, "pad", pad[i % 2], sizeof(pad[0])) == 0);
        CHECK(strlen(pad[i % 2]) == 21 && (i == 0 || strcmp(pad[0], pad[1]) != 0));
    }
}

int main(void)
{
    events_are_unique_and_repeatable();
    text_says_what_the_event_is();
    disorder_keeps_to_its_shares();
    rows_are_read_in_every_spelling();
    windows_expect_what_was_sent();
    repeated_rows_count_once();
    pads_make_events_longer();
    return failed > 0;
}
