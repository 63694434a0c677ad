/* nexmark.c: the connector 'nexmark': the auction benchmark's persons, auctions and bids in one
 * wide stream.
 *
 * Proportions, ids, hot keys and prices follow the reference generator (Apache Beam, NEXMark): of
 * 50 events one is a person, three are auctions, 46 bids; half of the bids go to a hot auction,
 * three quarters come from a hot bidder and three quarters of the auctions from a hot seller. A row
 * has the columns of its kind; the others are NULL. Each value is a function of (seed, event
 * number, column): what a query selects changes nothing, and neither do splits, batches or time.
 * Event time is the intended time.
 */
#include "source/connectors.h"

#include "base/heap.h"
#include "source/generator.h"
#include <math.h>
#include <stdio.h>

enum { PERSONS = 1, AUCTIONS = 3, EVENTS = 50 };

/* The reference generator's constants. */
#define FIRST_ID 1000 /* of persons and of auctions */
#define FIRST_CATEGORY 10
#define CATEGORIES 5
#define HOT_AUCTION_RATIO 2
#define HOT_SELLER_RATIO 4
#define HOT_BIDDER_RATIO 4
#define HOT_STEP 100 /* the hot one is the last whose number divides by it */
#define ACTIVE_PERSONS 1000
#define PERSON_LEAD 10
#define AUCTIONS_IN_FLIGHT 100
#define AUCTION_LEAD 10

enum kind { PERSON, AUCTION, BID, ANY };

enum column {
    EVENT_TYPE, DATE_TIME,
    PERSON_ID, NAME, EMAIL, CREDIT_CARD, CITY, STATE,
    AUCTION_ID, ITEM_NAME, DESCRIPTION, INITIAL_BID, RESERVE, EXPIRES, SELLER, CATEGORY,
    BID_AUCTION, BIDDER, PRICE, CHANNEL, URL, EXTRA,
    COLUMNS
};

static const char *const column_paths[COLUMNS] = {
    "event_type", "date_time", "person_id", "name", "email_address", "credit_card", "city", "state",
    "auction_id", "item_name", "description", "initial_bid", "reserve", "expires", "seller",
    "category", "bid_auction", "bidder", "price", "channel", "url", "extra",
};

static const struct wr_field columns[COLUMNS] = {
#define COLUMN(at, text, type_id, required)                                                        \
    [at] = { .name = text, .path = &column_paths[at], .path_count = 1, .type = { .id = type_id },  \
             .not_null = required, .declared = at, .field_id = at + 1 }
    COLUMN(EVENT_TYPE, "event_type", WR_TYPE_TEXT, true),
    COLUMN(DATE_TIME, "date_time", WR_TYPE_TIMESTAMP, true),
    COLUMN(PERSON_ID, "person_id", WR_TYPE_INT64, false),
    COLUMN(NAME, "name", WR_TYPE_TEXT, false),
    COLUMN(EMAIL, "email_address", WR_TYPE_TEXT, false),
    COLUMN(CREDIT_CARD, "credit_card", WR_TYPE_TEXT, false),
    COLUMN(CITY, "city", WR_TYPE_TEXT, false),
    COLUMN(STATE, "state", WR_TYPE_TEXT, false),
    COLUMN(AUCTION_ID, "auction_id", WR_TYPE_INT64, false),
    COLUMN(ITEM_NAME, "item_name", WR_TYPE_TEXT, false),
    COLUMN(DESCRIPTION, "description", WR_TYPE_TEXT, false),
    COLUMN(INITIAL_BID, "initial_bid", WR_TYPE_INT64, false),
    COLUMN(RESERVE, "reserve", WR_TYPE_INT64, false),
    COLUMN(EXPIRES, "expires", WR_TYPE_TIMESTAMP, false),
    COLUMN(SELLER, "seller", WR_TYPE_INT64, false),
    COLUMN(CATEGORY, "category", WR_TYPE_INT64, false),
    COLUMN(BID_AUCTION, "bid_auction", WR_TYPE_INT64, false),
    COLUMN(BIDDER, "bidder", WR_TYPE_INT64, false),
    COLUMN(PRICE, "price", WR_TYPE_INT64, false),
    COLUMN(CHANNEL, "channel", WR_TYPE_TEXT, false),
    COLUMN(URL, "url", WR_TYPE_TEXT, false),
    COLUMN(EXTRA, "extra", WR_TYPE_TEXT, false),
#undef COLUMN
};

static const struct wr_schema nexmark_columns = { (struct wr_field *)(uintptr_t)columns, COLUMNS };

static enum kind kind_of_column(enum column c)
{
    return c <= DATE_TIME ? ANY : (c <= STATE ? PERSON : (c <= CATEGORY ? AUCTION : BID));
}

static enum kind kind_of_event(uint64_t n)
{
    const uint64_t offset = n % EVENTS;
    return offset < PERSONS ? PERSON : (offset < PERSONS + AUCTIONS ? AUCTION : BID);
}

/* ---- values ---- */

/* splitmix64's finaliser over the event, the column and which draw of it. */
static uint64_t draw(uint64_t seed, uint64_t n, uint32_t what)
{
    uint64_t x = seed + n * 0x9e3779b97f4a7c15ULL + what * 0xd1342543de82ef95ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

static uint64_t below(uint64_t random, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)random * bound) >> 64);
}

/* Number (from 0) of the last person made up to event n. */
static uint64_t last_person(uint64_t n)
{
    return n / EVENTS; /* the first event of each fifty is a person */
}

static uint64_t last_auction(uint64_t n)
{
    const uint64_t offset = n % EVENTS;
    const uint64_t epoch = n / EVENTS;
    if (offset < PERSONS) {
        return epoch == 0 ? 0 : epoch * AUCTIONS - 1;
    }
    const uint64_t made = offset - PERSONS;
    return epoch * AUCTIONS + (made < AUCTIONS ? made : AUCTIONS - 1);
}

/* A person that is active, or will be soon. */
static uint64_t some_person(uint64_t n, uint64_t random)
{
    const uint64_t persons = last_person(n) + 1;
    const uint64_t active = persons < ACTIVE_PERSONS ? persons : ACTIVE_PERSONS;
    return persons - active + below(random, active + PERSON_LEAD);
}

static uint64_t some_auction(uint64_t n, uint64_t random)
{
    const uint64_t last = last_auction(n);
    const uint64_t first = last > AUCTIONS_IN_FLIGHT ? last - AUCTIONS_IN_FLIGHT : 0;
    return first + below(random, last - first + 1 + AUCTION_LEAD);
}

/* Cents, evenly spread over six powers of ten. */
static int64_t some_price(uint64_t random)
{
    return llround(pow(10, (double)(random >> 11) * 0x1.0p-53 * 6) * 100);
}

static int64_t number_of(enum column c, uint64_t seed, uint64_t n)
{
    const uint64_t a = draw(seed, n, c * 4);
    const uint64_t b = draw(seed, n, c * 4 + 1);
    switch (c) {
    case PERSON_ID: return (int64_t)(FIRST_ID + last_person(n));
    case AUCTION_ID: return (int64_t)(FIRST_ID + last_auction(n));
    case INITIAL_BID: return some_price(a);
    case RESERVE: return number_of(INITIAL_BID, seed, n) + some_price(a);
    case CATEGORY: return (int64_t)(FIRST_CATEGORY + below(a, CATEGORIES));
    case SELLER:
        return (int64_t)(FIRST_ID + (below(a, HOT_SELLER_RATIO) > 0
                                         ? last_person(n) / HOT_STEP * HOT_STEP
                                         : some_person(n, b)));
    case BID_AUCTION:
        return (int64_t)(FIRST_ID + (below(a, HOT_AUCTION_RATIO) > 0
                                         ? last_auction(n) / HOT_STEP * HOT_STEP
                                         : some_auction(n, b)));
    case BIDDER:
        return (int64_t)(FIRST_ID + (below(a, HOT_BIDDER_RATIO) > 0
                                         ? last_person(n) / HOT_STEP * HOT_STEP + 1
                                         : some_person(n, b)));
    default: return some_price(a); /* PRICE */
    }
}

static const char *pick(const char *const *words, uint32_t count, uint64_t random)
{
    return words[below(random, count)];
}

#define PICK(words, random) pick(words, sizeof(words) / sizeof((words)[0]), random)

/* Random letters with a blank now and then, as the reference's strings are. */
static size_t letters(char *into, size_t bytes, uint64_t random)
{
    for (size_t i = 0; i < bytes; i++) {
        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
        into[i] = (random >> 59) == 0 ? ' ' : (char)('a' + ((random >> 40) % 26));
    }
    return bytes;
}

/* Writes the text of a column; into has room for TEXT_MAX bytes. */
#define TEXT_MAX 160

static size_t text_of(enum column c, uint64_t seed, uint64_t n, char *into)
{
    static const char *const first_names[] = { "Peter", "Paul", "Luke", "John", "Saul", "Vicky",
                                               "Kate",  "Julie", "Sarah", "Deiter", "Walter" };
    static const char *const last_names[] = { "Shultz", "Abrams", "Spencer", "White", "Bartels",
                                              "Walton", "Smith", "Jones", "Noris" };
    static const char *const cities[] = { "Phoenix", "Los Angeles", "San Francisco", "Boise",
                                          "Portland", "Bend", "Redmond", "Seattle", "Kent",
                                          "Cheyenne" };
    static const char *const states[] = { "AZ", "CA", "ID", "OR", "WA", "WY" };
    static const char *const channels[] = { "Google", "Facebook", "Baidu", "Apple" };
    const uint64_t a = draw(seed, n, c * 4);
    const uint64_t b = draw(seed, n, c * 4 + 1);
    switch (c) {
    case NAME:
        return (size_t)snprintf(into, TEXT_MAX, "%s %s", PICK(first_names, a), PICK(last_names, b));
    case EMAIL: {
        size_t at = letters(into, 7, a);
        into[at++] = '@';
        at += letters(into + at, 5, b);
        memcpy(into + at, ".com", 4);
        return at + 4;
    }
    case CREDIT_CARD:
        return (size_t)snprintf(into, TEXT_MAX, "%04u %04u %04u %04u", (unsigned)below(a, 10000),
                                (unsigned)(a % 10000), (unsigned)below(b, 10000),
                                (unsigned)(b % 10000));
    case CITY: return (size_t)snprintf(into, TEXT_MAX, "%s", PICK(cities, a));
    case STATE: return (size_t)snprintf(into, TEXT_MAX, "%s", PICK(states, a));
    case ITEM_NAME: return letters(into, 10 + below(a, 10), b);
    case DESCRIPTION: return letters(into, 60 + below(a, 80), b);
    case CHANNEL:
        if (below(a, 2) > 0) {
            return (size_t)snprintf(into, TEXT_MAX, "%s", PICK(channels, b));
        }
        return (size_t)snprintf(into, TEXT_MAX, "channel-%u", (unsigned)below(b, 10000));
    case URL: {
        static const char head[] = "https://www.nexmark.com/";
        memcpy(into, head, sizeof head - 1);
        size_t at = sizeof head - 1;
        at += letters(into + at, 5, a);
        return at + (size_t)snprintf(into + at, TEXT_MAX - at, "/item.htm?query=1&channel_id=%u",
                                     (unsigned)below(b, 1 << 20));
    }
    default: return letters(into, 20 + below(a, 40), b); /* EXTRA */
    }
}

/* ---- rows ---- */

struct wr_source {
    struct wr_generator *generator;
    uint64_t seed;
    int64_t rate;
    uint32_t count;          /* columns of the scan */
    enum column *column_of;  /* COLUMNS: not ours to fill */
};

/* How long an auction is open: until about as many auctions later as are in flight. */
static int64_t expires_us(const struct wr_source *s, uint64_t n, int64_t time)
{
    const int64_t events = (int64_t)AUCTIONS_IN_FLIGHT * EVENTS / AUCTIONS;
    const int64_t horizon = s->rate > 0 ? events * WR_US_PER_S / s->rate : events;
    const uint64_t span = (uint64_t)(horizon > 0 ? horizon * 2 : 1);
    return time + 1000 + (int64_t)below(draw(s->seed, n, EXPIRES * 4), span);
}

static void set_text(struct wr_batch *batch, struct wr_view *view, enum column c, uint64_t seed,
                     uint64_t n)
{
    char text[TEXT_MAX];
    const size_t bytes = text_of(c, seed, n, text);
    const char *kept = text;
    if (bytes > WR_VIEW_INLINE_BYTES) {
        char *copy = wr_arena_alloc(&batch->arena, bytes);
        memcpy(copy, text, bytes);
        kept = copy;
    }
    *view = wr_view_of(kept, bytes);
}

static void fill_column(const struct wr_source *s, struct wr_batch *batch, uint32_t at,
                        enum column c, uint64_t n, uint32_t rows, uint32_t step,
                        const int64_t *times)
{
    static const char *const kinds[] = { "person", "auction", "bid" };
    void *values = batch->columns[at].values;
    const enum kind kind = kind_of_column(c);
    uint8_t *validity = kind == ANY ? NULL : wr_batch_nullable(batch, at);
    const uint32_t width = wr_type_width(columns[c].type);
    for (uint32_t i = 0; i < rows; i++, n += step) {
        if (kind != ANY && kind_of_event(n) != kind) {
            wr_bit_clear(validity, i);
            memset((char *)values + (size_t)i * width, 0, width);
        } else if (c == EVENT_TYPE) {
            const char *text = kinds[kind_of_event(n)];
            ((struct wr_view *)values)[i] = wr_view_of(text, strlen(text));
        } else if (c == DATE_TIME) {
            ((int64_t *)values)[i] = times[i];
        } else if (c == EXPIRES) {
            ((int64_t *)values)[i] = expires_us(s, n, times[i]);
        } else if (columns[c].type.id == WR_TYPE_INT64) {
            ((int64_t *)values)[i] = number_of(c, s->seed, n);
        } else {
            set_text(batch, &((struct wr_view *)values)[i], c, s->seed, n);
        }
    }
}

static void fill(void *ctx, struct wr_batch *batch, uint64_t first, uint32_t rows, uint32_t split,
                 uint32_t splits, const int64_t *times)
{
    const struct wr_source *s = ctx;
    for (uint32_t c = 0; c < s->count; c++) {
        if (s->column_of[c] != COLUMNS) {
            fill_column(s, batch, c, s->column_of[c], first * splits + split, rows, splits, times);
        }
    }
}

static void *split_create(void *ctx, uint32_t split)
{
    return ctx; /* values need no state */
}

static void split_destroy(void *state)
{
}

static const struct wr_generator_kind nexmark_kind = {
    .split_create = split_create, .split_destroy = split_destroy, .fill = fill
};

/* ---- vtable ---- */

static const struct wr_option nexmark_options[] = { WR_GENERATOR_OPTIONS, { NULL } };

static wr_status nexmark_check(const struct wr_plan_source *plan, uint32_t *bad_at,
                               struct wr_error *err)
{
    WR_TRY(wr_generator_check(plan, bad_at, err));
    for (uint32_t f = 0; f < plan->declared.count; f++) {
        const struct wr_field *field = &plan->declared.fields[f];
        const int32_t own = field->path == NULL ? 0 : wr_schema_find(&nexmark_columns, field->name);
        *bad_at = plan->at;
        if (own < 0) {
            (void)wr_fail(err, WR_CLASS_USER, "nexmark has no column %s", field->name);
            wr_error_hint(err, "leave the column list out to get all of its columns");
            return WR_FAIL;
        }
        const struct wr_type type = columns[own].type;
        char name[32];
        wr_ensure(field->path == NULL || wr_type_equal(type, field->type) ||
                      (wr_type_is_timestamp(type) && wr_type_is_timestamp(field->type)),
                  err, WR_CLASS_USER, "column %s of nexmark is of type %s", field->name,
                  wr_type_name(type, name, sizeof name));
    }
    return WR_OK;
}

static void nexmark_close(struct wr_source *s)
{
    if (s != NULL) {
        wr_generator_close(s->generator);
        free(s->column_of);
        free(s);
    }
}

static wr_status nexmark_open(struct wr_source **out, const struct wr_source_env *env,
                              struct wr_error *err)
{
    const struct wr_schema *scan = &env->plan->scan;
    struct wr_source *s = wr_calloc(1, sizeof *s);
    s->seed = (uint64_t)wr_options_int(env->plan->options, "seed") * 0x2545f4914f6cdd1dULL;
    s->rate = wr_options_int(env->plan->options, "rate");
    s->count = scan->count;
    s->column_of = wr_calloc(scan->count + 1, sizeof *s->column_of);
    for (uint32_t c = 0; c < scan->count; c++) {
        const struct wr_field *field = &scan->fields[c];
        const int32_t own =
            field->path == NULL ? -1 : wr_schema_find(&nexmark_columns, field->name);
        s->column_of[c] = own < 0 ? COLUMNS : (enum column)own;
    }
    if (wr_generator_open(&s->generator, env, &nexmark_kind, s, err) != WR_OK) {
        nexmark_close(s);
        return WR_FAIL;
    }
    *out = s;
    return WR_OK;
}

static wr_status nexmark_reader_open(struct wr_reader **out, struct wr_source *s, uint32_t worker,
                                     struct wr_io *io, struct wr_error *err)
{
    return wr_generator_reader_open(out, s->generator, worker);
}

const struct wr_source_ops wr_source_nexmark = {
    .name = "nexmark",
    .help = "Persons, auctions and bids of the NEXMark benchmark (1 : 3 : 46) in one wide stream.",
    .options = nexmark_options,
    .makes_columns = true,
    .own_columns = &nexmark_columns,
    .check = nexmark_check,
    .open = nexmark_open,
    .reader_open = nexmark_reader_open,
    .poll = wr_generator_poll,
    .pause = wr_generator_pause,
    .deadline_ns = wr_generator_deadline_ns,
    .reader_close = wr_generator_reader_close,
    .close = nexmark_close,
};
