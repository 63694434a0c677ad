/* test_seen_set.c: every key once, in any interleaving, over crashes at any epoch. */
#include "base/clock.h"
#include "base/heap.h"
#include "base/rand.h"
#include "state/seen_set.h"
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>

static struct wr_error err;

static struct wr_seen_key key_of(uint64_t number, int64_t event_us)
{
    struct wr_rand rand;
    wr_rand_seed(&rand, number);
    struct wr_seen_key key = { .high = wr_rand_next(&rand), .event_us = event_us };
    key.low = wr_rand_next(&rand);
    return key;
}

static bool check(struct wr_seen_set *set, uint32_t worker, uint64_t number, int64_t event_us)
{
    const struct wr_seen_key key = key_of(number, event_us);
    bool fresh;
    wr_seen_set_check(set, worker, &key, 1, &fresh);
    return fresh;
}

Test(seen_set, a_copy_is_told_within_the_span_and_only_there)
{
    struct wr_seen_set *set = wr_seen_set_create(100, 2);
    cr_assert(check(set, 0, 1, 1000));
    cr_assert_not(check(set, 1, 1, 1000), "another worker's copy");
    cr_assert_not(check(set, 0, 1, 1100), "at the end of the span");
    cr_assert_not(check(set, 0, 1, 900));
    cr_assert(check(set, 0, 1, 1101), "behind it");
    cr_assert_not(check(set, 0, 1, 1000), "the first one is still there");
    cr_assert(check(set, 0, 2, 1000), "another key");
    const struct wr_seen_key copies[3] = { key_of(7, 5), key_of(7, 5), key_of(8, 5) };
    bool fresh[3];
    wr_seen_set_check(set, 0, copies, 3, fresh);
    cr_assert(fresh[0] && !fresh[1] && fresh[2], "the first of a batch counts");
    cr_assert(check(set, 0, 9, INT64_MIN) && check(set, 0, 9, INT64_MAX), "times at the ends of the range");
    wr_seen_set_destroy(set);
}

Test(seen_set, keys_by_position_are_copies_at_any_distance_until_they_are_forgotten)
{
    enum { COUNT = 500000 };
    struct wr_seen_set *set = wr_seen_set_create_by_position(1);
    wr_seen_set_log_nothing(set);
    for (int64_t i = 0; i < COUNT; i++) {
        cr_assert(check(set, 0, (uint64_t)i, i));
    }
    cr_assert_not(check(set, 0, 0, INT64_MAX / 4), "however far away");
    for (int i = 0; i < 10000; i++) {
        wr_seen_set_expire_before(set, 0, 0);
    }
    cr_assert_eq(wr_seen_set_count(set), COUNT, "nothing is before the first");
    for (int i = 0; i < 10000; i++) {
        wr_seen_set_expire_before(set, 0, COUNT / 2);
    }
    cr_assert_eq(wr_seen_set_count(set), COUNT / 2);
    cr_assert_not(check(set, 0, COUNT / 2, COUNT), "the first that is kept");
    cr_assert(check(set, 0, COUNT / 2 - 1, COUNT), "the last that is forgotten");
    wr_seen_set_destroy(set);
}

Test(seen_set, memory_stays_below_32_bytes_a_key_and_follows_the_watermark)
{
    struct wr_seen_set *set = wr_seen_set_create(1000000, 1);
    wr_seen_set_log_nothing(set);
    static struct wr_seen_key keys[1024];
    static bool fresh[1024];
    for (uint64_t at = 0; at < 1 << 20; at += 1024) {
        for (uint64_t i = 0; i < 1024; i++) {
            keys[i] = key_of(at + i, (int64_t)(at + i));
        }
        wr_seen_set_check(set, 0, keys, 1024, fresh);
    }
    const double per_key = (double)wr_seen_set_bytes(set) / (double)wr_seen_set_count(set);
    cr_assert_eq(wr_seen_set_count(set), 1 << 20);
    cr_assert_lt(per_key, 33.5, "%f bytes a key (2 more for half-filled chunks)", per_key);
    wr_seen_set_expire(set, 0, WR_TIME_MAX);
    for (uint32_t i = 0; i < (1 << 20) / 256 * 2; i++) {
        wr_seen_set_expire(set, 0, WR_TIME_MAX);
    }
    cr_assert_eq(wr_seen_set_count(set), 0);
    cr_assert(check(set, 0, 5, 5), "what was forgotten is new again");
    wr_seen_set_destroy(set);
}

Test(seen_set, a_row_far_ahead_does_not_keep_the_others)
{
    struct wr_seen_set *set = wr_seen_set_create(1000, 1);
    struct wr_buf log = { 0 };
    for (uint64_t i = 0; i < 400; i++) {
        cr_assert(check(set, 0, 1000000 + i, 10000000), "far ahead, in every shard");
    }
    for (uint64_t i = 0; i < 200000; i++) {
        cr_assert(check(set, 0, i, (int64_t)i));
        if (i % 100 == 0) {
            wr_seen_set_expire(set, 0, (int64_t)i);
        }
        if (i % 500 == 499) {
            log.bytes = 0;
            wr_seen_set_snapshot(set, 0, 1 + i / 500, &log);
        }
    }
    cr_assert_lt(wr_seen_set_count(set), 6000, "%llu", (unsigned long long)wr_seen_set_count(set));
    cr_assert_gt(wr_seen_set_base(set), 400 - 320 - 2);
    for (uint64_t i = 0; i < 400; i++) {
        cr_assert_not(check(set, 0, 1000000 + i, 10000000), "and is not forgotten itself");
    }
    wr_buf_deinit(&log);
    wr_seen_set_destroy(set);
}

Test(seen_set, damaged_records_are_an_error)
{
    struct wr_seen_set *set = wr_seen_set_create(100, 1);
    char bytes[48] = { 1 };
    cr_assert_eq(wr_seen_set_restore(set, 2, bytes, 47, &err), WR_FAIL);
    cr_assert_eq(err.cls, WR_CLASS_FATAL);
    cr_assert_eq(wr_seen_set_restore(set, 2, bytes, 48, &err), WR_OK);
    cr_assert_eq(wr_seen_set_restore(set, 1, bytes, 48, &err), WR_FAIL, "an older epoch");
    cr_assert_eq(wr_seen_set_count(set), 2);
    wr_seen_set_destroy(set);
}

/* ---- four threads ---- */

#define THREADS 4
#define THREAD_KEYS 60000

struct reader {
    struct wr_seen_set *set;
    uint32_t worker;
    uint8_t *landed; /* this thread's */
};

static void *read_all(void *arg)
{
    struct reader *reader = arg;
    struct wr_rand rand;
    wr_rand_seed(&rand, reader->worker);
    for (uint64_t at = 0; at < THREAD_KEYS;) {
        struct wr_seen_key keys[300];
        bool fresh[300];
        uint32_t count = 1 + (uint32_t)wr_rand_below(&rand, 300);
        count = at + count > THREAD_KEYS ? (uint32_t)(THREAD_KEYS - at) : count;
        for (uint32_t i = 0; i < count; i++) {
            keys[i] = key_of(at + i, (int64_t)(at + i));
        }
        wr_seen_set_check(reader->set, reader->worker, keys, count, fresh);
        for (uint32_t i = 0; i < count; i++) {
            reader->landed[at + i] = (uint8_t)(reader->landed[at + i] + fresh[i]);
        }
        wr_seen_set_expire(reader->set, reader->worker, 0);
        at += count;
    }
    return NULL;
}

Test(seen_set, four_threads_land_each_key_once)
{
    struct wr_seen_set *set = wr_seen_set_create(THREAD_KEYS * 2, THREADS);
    struct reader readers[THREADS];
    pthread_t threads[THREADS];
    for (uint32_t t = 0; t < THREADS; t++) {
        readers[t] = (struct reader){ set, t, wr_calloc(THREAD_KEYS, 1) };
        cr_assert_eq(pthread_create(&threads[t], NULL, read_all, &readers[t]), 0);
    }
    for (uint32_t t = 0; t < THREADS; t++) {
        pthread_join(threads[t], NULL);
    }
    for (uint64_t i = 0; i < THREAD_KEYS; i++) {
        uint32_t sum = 0;
        for (uint32_t t = 0; t < THREADS; t++) {
            sum += readers[t].landed[i];
        }
        cr_assert_eq(sum, 1, "key %llu landed %u times", (unsigned long long)i, sum);
    }
    for (uint32_t t = 0; t < THREADS; t++) {
        free(readers[t].landed);
    }
    wr_seen_set_destroy(set);
}

/* ---- crashes ----
 * Events happen one a tick; each is sent 1 to 3 times, each copy to some worker at about its time. Workers read at speeds of their
 * own; epochs are cut worker by worker; a crash puts all back to the newest whole epoch. */

#define EVENTS 6000
#define SPREAD 40 /* ticks by which copies may be apart in a worker's input; more where the span allows it */
#define WITHIN(seed) ((seed) % 2 == 0 ? 200 : 10 * EVENTS) /* odd: nothing is forgotten, so old rows are logged again */
#define EPOCHS_MOST 4000
#define WORKERS_MOST 4

struct row {
    uint32_t event;
    int64_t event_us;
    int64_t arrival;
};

struct history {
    struct wr_rand rand;
    uint32_t workers;
    int64_t within;
    struct wr_seen_set *set;
    struct row *rows[WORKERS_MOST];
    uint32_t counts[WORKERS_MOST];
    uint32_t at[WORKERS_MOST];        /* rows read */
    uint32_t cut_at[WORKERS_MOST];    /* of the epoch at hand, once cut */
    uint32_t saved_at[WORKERS_MOST];  /* of the newest whole epoch */
    bool cut[WORKERS_MOST];
    bool *landed[WORKERS_MOST];       /* per row */
    struct wr_buf epochs[EPOCHS_MOST]; /* what was logged, all workers */
    uint64_t epoch, saved_epoch, base;
};

static int by_arrival(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return (x->arrival > y->arrival) - (x->arrival < y->arrival);
}

static void make_rows(struct history *h)
{
    for (uint32_t w = 0; w < h->workers; w++) {
        h->rows[w] = wr_calloc(EVENTS * 3, sizeof(struct row));
    }
    for (uint32_t e = 0; e < EVENTS; e++) {
        const bool ahead = wr_rand_below(&h->rand, 100) == 0;
        const uint64_t spread = h->within > EVENTS ? EVENTS : ahead ? 2000 : SPREAD;
        for (uint64_t copies = 1 + wr_rand_below(&h->rand, 3); copies > 0; copies--) {
            const uint32_t w = (uint32_t)wr_rand_below(&h->rand, h->workers);
            h->rows[w][h->counts[w]++] = (struct row){
                e, ahead ? (int64_t)e + 3000 : (int64_t)e, (int64_t)(e + wr_rand_below(&h->rand, spread))
            };
        }
    }
    for (uint32_t w = 0; w < h->workers; w++) {
        qsort(h->rows[w], h->counts[w], sizeof(struct row), by_arrival);
        h->landed[w] = wr_calloc(h->counts[w] + 1, sizeof(bool));
    }
}

/* By arrival, so that rows ahead do not move it. */
static int64_t watermark_of(const struct history *h)
{
    int64_t least = INT64_MAX;
    for (uint32_t w = 0; w < h->workers; w++) {
        const int64_t mine = h->at[w] == h->counts[w] ? EVENTS * 2
                             : h->at[w] == 0          ? WR_TIME_MIN
                                                      : h->rows[w][h->at[w] - 1].arrival - SPREAD;
        least = mine < least ? mine : least;
    }
    return least;
}

static void read_some(struct history *h, uint32_t w)
{
    struct wr_seen_key keys[64];
    bool fresh[64];
    uint32_t count = 1 + (uint32_t)wr_rand_below(&h->rand, 64);
    count = count > h->counts[w] - h->at[w] ? h->counts[w] - h->at[w] : count;
    for (uint32_t i = 0; i < count; i++) {
        const struct row *row = &h->rows[w][h->at[w] + i];
        keys[i] = key_of(row->event, row->event_us);
    }
    wr_seen_set_check(h->set, w, keys, count, fresh);
    memcpy(&h->landed[w][h->at[w]], fresh, count * sizeof(bool));
    h->at[w] += count;
    wr_seen_set_expire(h->set, w, watermark_of(h));
}

static void cut(struct history *h, uint32_t w)
{
    wr_seen_set_snapshot(h->set, w, h->epoch, &h->epochs[h->epoch]);
    h->cut[w] = true;
    h->cut_at[w] = h->at[w];
}

static void save_if_whole(struct history *h)
{
    for (uint32_t w = 0; w < h->workers; w++) {
        if (!h->cut[w]) {
            return;
        }
    }
    memcpy(h->saved_at, h->cut_at, sizeof h->saved_at);
    memset(h->cut, 0, sizeof h->cut);
    h->saved_epoch = h->epoch++;
    h->base = wr_seen_set_base(h->set);
    cr_assert_leq(h->base, h->saved_epoch);
    cr_assert_lt(h->epoch, EPOCHS_MOST);
}

static void crash(struct history *h)
{
    wr_seen_set_destroy(h->set);
    h->set = wr_seen_set_create(h->within, h->workers);
    for (uint64_t e = h->base; e <= h->saved_epoch && h->saved_epoch > 0; e++) {
        cr_assert_eq(wr_seen_set_restore(h->set, e, h->epochs[e].data, h->epochs[e].bytes, &err),
                     WR_OK, "%s", err.message);
    }
    wr_buf_deinit(&h->epochs[h->saved_epoch + 1]);
    h->epoch = h->saved_epoch + 1;
    memcpy(h->at, h->saved_at, sizeof h->at);
    memset(h->cut, 0, sizeof h->cut);
}

static bool finished(const struct history *h)
{
    for (uint32_t w = 0; w < h->workers; w++) {
        if (h->at[w] < h->counts[w]) {
            return false;
        }
    }
    return true;
}

static void play(struct history *h)
{
    while (!finished(h)) {
        const uint32_t w = (uint32_t)wr_rand_below(&h->rand, h->workers);
        const uint64_t what = wr_rand_below(&h->rand, 100);
        if (what < 1 && wr_rand_below(&h->rand, 5) == 0) {
            crash(h);
        } else if (what < 40 && !h->cut[w]) {
            cut(h, w);
            save_if_whole(h);
        } else if (h->at[w] < h->counts[w]) {
            read_some(h, w);
        }
    }
}

static void judge(struct history *h, uint64_t seed)
{
    uint32_t *landed = wr_calloc(EVENTS, sizeof *landed);
    uint32_t *sent = wr_calloc(EVENTS, sizeof *sent);
    for (uint32_t w = 0; w < h->workers; w++) {
        for (uint32_t i = 0; i < h->counts[w]; i++) {
            landed[h->rows[w][i].event] += h->landed[w][i];
            sent[h->rows[w][i].event]++;
        }
    }
    for (uint32_t e = 0; e < EVENTS; e++) {
        cr_assert_eq(landed[e], 1, "seed %llu: event %u, sent %u times, landed %u times",
                     (unsigned long long)seed, e, sent[e], landed[e]);
    }
    cr_assert_gt(h->base + 192 + 128 + 3, h->saved_epoch, "seed %llu: epochs %llu to %llu are needed",
                 (unsigned long long)seed, (unsigned long long)h->base,
                 (unsigned long long)h->saved_epoch);
    free(landed);
    free(sent);
}

Test(seen_set, each_event_lands_once_over_crashes, .timeout = 100)
{
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct history *h = wr_calloc(1, sizeof *h);
        wr_rand_seed(&h->rand, seed);
        h->workers = 1 + (uint32_t)wr_rand_below(&h->rand, WORKERS_MOST);
        h->epoch = 1;
        h->within = WITHIN((int64_t)seed);
        h->set = wr_seen_set_create(h->within, h->workers);
        make_rows(h);
        play(h);
        judge(h, seed);
        for (uint32_t w = 0; w < h->workers; w++) {
            free(h->rows[w]);
            free(h->landed[w]);
        }
        for (uint32_t e = 0; e < EPOCHS_MOST; e++) {
            wr_buf_deinit(&h->epochs[e]);
        }
        wr_seen_set_destroy(h->set);
        free(h);
    }
}
