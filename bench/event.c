/* event.c: see event.h. Formatting is by hand: snprintf costs more than producing the event. */
#include "event.h"

#include <inttypes.h>
#include <string.h>

const char *const wr_bench_types[WR_BENCH_TYPES] = {"view", "click", "search", "cart", "purchase"};

const char *const wr_bench_countries[WR_BENCH_COUNTRIES] = {
    "US", "IN", "BR", "DE", "GB", "FR", "JP", "MX", "ID", "IT",
    "ES", "CA", "NL", "PL", "TR", "KR", "AU", "SE", "CH", "AT"};

/* Shares out of 256. A shop's traffic: most events only look, few of them buy. */
static const uint16_t type_shares[WR_BENCH_TYPES] = {144, 60, 28, 16, 8};
static const uint16_t country_shares[WR_BENCH_COUNTRIES] = {48, 36, 24, 20, 18, 16, 14, 12, 11, 9,
                                                            8,  7,  6,  6,  5,  5,  4,  3,  2,  2};

static const char *const categories[16] = {"shoes", "books", "music",  "garden", "toys",  "phones",
                                           "bikes", "lamps", "coffee", "tables", "hats",  "paint",
                                           "tea",   "games", "tools",  "watches"};
static const char *const devices[16] = {
    "ios-17",       "ios-18",      "ios-18",      "ios-26",      "android-13",  "android-14",
    "android-14",   "android-15",  "android-15",  "android-16",  "chrome-140",  "chrome-141",
    "chrome-141",   "firefox-144", "safari-18",   "edge-141"};

/* SplitMix64's finaliser: a bijection, so ids that come from different indexes differ. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint8_t pick(const uint16_t *shares, uint32_t draw256)
{
    uint32_t below = 0;
    uint8_t index = 0;
    for (;; index++) {
        below += shares[index];
        if (draw256 < below) {
            return index;
        }
    }
}

int64_t wr_bench_event_intended_us(const struct wr_bench_shape *shape, uint64_t index)
{
    /* Whole seconds apart from the rest, so that the product stays far from overflow. */
    const uint64_t seconds = index / shape->rate;
    const uint64_t rest = index % shape->rate;
    return shape->start_us + (int64_t)(seconds * 1000000 + rest * 1000000 / shape->rate);
}

/* Moves a share of the events back in event time; draws come from bits that nothing else uses. */
static int64_t disorder(const struct wr_bench_shape *shape, uint64_t random,
                        struct wr_bench_event *event)
{
    const uint32_t draw = (uint32_t)(random % 1000000);
    const uint64_t amount = random >> 24;
    event->late = draw < shape->late_ppm;
    event->disordered = !event->late && draw < shape->late_ppm + shape->disorder_ppm;
    if (event->late) {
        return (int64_t)(shape->late_ms + amount % shape->late_ms);
    }
    return event->disordered ? (int64_t)(1 + amount % shape->disorder_ms) : 0;
}

void wr_bench_event_make(const struct wr_bench_shape *shape, uint64_t index,
                         struct wr_bench_event *event)
{
    event->id = mix(shape->seed * UINT64_C(0xd1342543de82ef95) + index);
    const uint64_t bits = mix(event->id ^ UINT64_C(0x5851f42d4c957f2d));
    const uint64_t more = mix(bits);

    event->type = pick(type_shares, bits & 255);
    event->country = pick(country_shares, (bits >> 8) & 255);
    event->device = (bits >> 16) & 15;
    /* The smaller of two draws: low pages are popular. */
    const uint16_t page_a = (bits >> 20) & 4095;
    const uint16_t page_b = (bits >> 32) & 4095;
    event->page = page_a < page_b ? page_a : page_b;
    /* A product of two draws: 0.01 to 498.37 with many small amounts. */
    event->amount_cents = (uint32_t)(1 + ((bits >> 44) & 1023) * ((bits >> 54) & 1023) / 21);
    /* The cube of a uniform draw: 1 % of the users make 21 % of the events. */
    const uint64_t u = more >> 40;
    const uint64_t cubed = ((u * u) >> 24) * u >> 24;
    event->user_id = (uint32_t)(1 + (cubed * WR_BENCH_USERS >> 24));

    event->intended_us = wr_bench_event_intended_us(shape, index);
    event->ts_ms = event->intended_us / 1000;
    event->late = event->disordered = 0;
    if (shape->late_ppm + shape->disorder_ppm > 0) {
        event->ts_ms -= disorder(shape, mix(more), event);
    }
}

static char *put_text(char *out, const char *text)
{
    const size_t length = strlen(text);
    memcpy(out, text, length);
    return out + length;
}

/* A literal's length is known when compiling: the copy becomes a few moves. */
#define PUT(out, literal) (memcpy((out), (literal), sizeof(literal) - 1), (out) + sizeof(literal) - 1)

static char *put_number(char *out, uint64_t number)
{
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (count > 0) {
        *out++ = digits[--count];
    }
    return out;
}

static char *put_hex(char *out, uint64_t number)
{
    static const char digits[] = "0123456789abcdef";
    for (int shift = 60; shift >= 0; shift -= 4) {
        *out++ = digits[(number >> shift) & 15];
    }
    return out;
}

/* Hex digits of a stream that only the event's id determines. */
static char *put_pad(char *out, uint64_t id, uint32_t bytes)
{
    uint64_t random = id;
    char digits[16];
    for (uint32_t done = 0; done < bytes;) {
        const uint32_t now = bytes - done < sizeof(digits) ? bytes - done : (uint32_t)sizeof(digits);
        random = mix(random ^ UINT64_C(0x2545f4914f6cdd1d));
        put_hex(digits, random);
        memcpy(out + done, digits, now);
        done += now;
    }
    return out + bytes;
}

static char *put_cents(char *out, uint32_t cents)
{
    out = put_number(out, cents / 100);
    *out++ = '.';
    *out++ = (char)('0' + cents / 10 % 10);
    *out++ = (char)('0' + cents % 10);
    return out;
}

size_t wr_bench_event_format(const struct wr_bench_shape *shape,
                             const struct wr_bench_event *event, char *out)
{
    char *end = PUT(out, "{\"event_id\":\"");
    end = put_hex(end, event->id);
    end = PUT(end, "\",\"user_id\":");
    end = put_number(end, event->user_id);
    end = PUT(end, ",\"type\":\"");
    end = put_text(end, wr_bench_types[event->type]);
    end = PUT(end, "\",\"amount\":");
    end = put_cents(end, event->amount_cents);
    end = PUT(end, ",\"country\":\"");
    end = put_text(end, wr_bench_countries[event->country]);
    end = PUT(end, "\",\"page\":\"/shop/");
    end = put_text(end, categories[event->page & 15]);
    *end++ = '/';
    end = put_number(end, event->page);
    end = PUT(end, "\",\"device\":\"");
    end = put_text(end, devices[event->device]);
    end = PUT(end, "\",\"ts\":");
    end = put_number(end, (uint64_t)event->ts_ms);
    if (shape->pad_bytes > 0) {
        end = PUT(end, ",\"pad\":\"");
        end = put_pad(end, event->id, shape->pad_bytes);
        *end++ = '"';
    }
    if (shape->stamp_sent) {
        end = PUT(end, ",\"sent_us\":");
        end = put_number(end, (uint64_t)event->intended_us);
    }
    *end++ = '}';
    return (size_t)(end - out);
}

void wr_bench_totals_add(struct wr_bench_totals *totals, const struct wr_bench_event *event,
                         size_t bytes)
{
    if (totals->events == 0 || event->ts_ms < totals->ts_ms_min) {
        totals->ts_ms_min = event->ts_ms;
    }
    if (totals->events == 0 || event->ts_ms > totals->ts_ms_max) {
        totals->ts_ms_max = event->ts_ms;
    }
    totals->events++;
    totals->bytes += bytes;
    totals->amount_cents += event->amount_cents;
    totals->user_id_sum += event->user_id;
    totals->page_sum += event->page;
    totals->device_bytes += strlen(devices[event->device]);
    totals->ts_offset_sum += event->ts_ms - WR_BENCH_START_MS;
    totals->event_id_xor ^= event->id;
    totals->disordered += event->disordered;
    totals->late += event->late;
    struct wr_bench_group *group = &totals->groups[event->type][event->country];
    group->events++;
    group->amount_cents += event->amount_cents;
}

static void print_types(const struct wr_bench_totals *totals, FILE *out)
{
    fputs("  \"types\": {", out);
    for (int type = 0; type < WR_BENCH_TYPES; type++) {
        uint64_t events = 0;
        for (int country = 0; country < WR_BENCH_COUNTRIES; country++) {
            events += totals->groups[type][country].events;
        }
        fprintf(out, "%s\"%s\": %" PRIu64, type == 0 ? "" : ", ", wr_bench_types[type], events);
    }
    fputs("},\n", out);
}

void wr_bench_totals_print(const struct wr_bench_totals *totals, FILE *out)
{
    fprintf(out,
            "  \"events\": %" PRIu64 ",\n  \"bytes\": %" PRIu64 ",\n  \"amount_cents\": %" PRIu64
            ",\n  \"user_id_sum\": %" PRIu64 ",\n  \"page_sum\": %" PRIu64
            ",\n  \"device_bytes\": %" PRIu64 ",\n  \"ts_offset_sum\": %" PRId64
            ",\n  \"event_id_xor\": \"%016" PRIx64
            "\",\n  \"out_of_order\": %" PRIu64 ",\n  \"late\": %" PRIu64
            ",\n  \"ts_ms_min\": %" PRId64 ",\n  \"ts_ms_max\": %" PRId64 ",\n",
            totals->events, totals->bytes, totals->amount_cents, totals->user_id_sum,
            totals->page_sum, totals->device_bytes, totals->ts_offset_sum, totals->event_id_xor,
            totals->disordered, totals->late, totals->ts_ms_min,
            totals->ts_ms_max);
    print_types(totals, out);
    fputs("  \"groups\": [", out);
    const char *separator = "";
    for (int type = 0; type < WR_BENCH_TYPES; type++) {
        for (int country = 0; country < WR_BENCH_COUNTRIES; country++) {
            const struct wr_bench_group *group = &totals->groups[type][country];
            if (group->events == 0) {
                continue;
            }
            fprintf(out, "%s\n    [\"%s\", \"%s\", %" PRIu64 ", %" PRIu64 "]", separator,
                    wr_bench_types[type], wr_bench_countries[country], group->events,
                    group->amount_cents);
            separator = ",";
        }
    }
    fputs("\n  ]", out);
}
