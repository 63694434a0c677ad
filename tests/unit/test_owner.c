/* test_owner.c: one owner at a time, whatever dies, sleeps, or loses an answer.
 *
 * Time is simulated. A store "flaky://DIR" of this program's own table is the local one, with answers that get lost. */
#include "base/heap.h"
#include "base/log.h"
#include "base/rand.h"
#include "run/owner.h"
#include "run/owner_head.h"
#include "run/owner_self.h"
#include "store/store.h"
#include "store/store_ops.h"
#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct wr_error err;
static char directory[64];
static char flaky_url[80];
static struct wr_time now;

/* ---- the store that loses answers ---- */

enum lose { LOSE_NOTHING, LOSE_BEFORE, LOSE_AFTER, LOSE_AT_RANDOM };

static struct wr_store_ops flaky_ops;
static enum lose lose;
static struct wr_rand chance;

static wr_status flaky_open(struct wr_store **store, const char *url, const struct wr_options *options,
                            struct wr_io *io, struct wr_error *error)
{
    WR_TRY(wr_store_local_ops.open(store, url + strlen("flaky://"), options, io, error));
    (*store)->ops = &flaky_ops;
    return WR_OK;
}

static wr_status flaky_check(const char *url, const struct wr_options *options, struct wr_error *error)
{
    return WR_OK;
}

static wr_status flaky_put(struct wr_store *store, const char *key, const void *data, size_t bytes,
                           enum wr_put_condition condition, struct wr_error *error)
{
    enum lose how = lose;
    if (how == LOSE_AT_RANDOM) {
        const uint64_t dice = wr_rand_below(&chance, 10);
        how = dice == 0 ? LOSE_BEFORE : dice == 1 ? LOSE_AFTER : LOSE_NOTHING;
    }
    if (how == LOSE_BEFORE) {
        return wr_fail(error, WR_CLASS_RETRY, "no answer");
    }
    const wr_status status =
        wr_store_local_ops.put(store, key, data, bytes, condition, error);
    return how == LOSE_AFTER ? wr_fail(error, WR_CLASS_RETRY, "no answer") : status;
}

const struct wr_store_ops *const wr_stores[] = { &wr_store_local_ops, &flaky_ops, NULL };

/* ---- the world ---- */

static struct wr_time read_clock(void *ctx)
{
    return now;
}

static void pass_ms(int64_t ms)
{
    now.mono_ns += ms * WR_NS_PER_MS;
    now.wall_us += ms * 1000;
}

static bool others_live;

static bool lives(void *ctx, const struct wr_owner *owner)
{
    return others_live;
}

static const struct wr_owner here = { .host = "here", .boot = "boot-1", .pid = 11, .pid_start = 5,
                                      .pid_namespace = 1 };
static const struct wr_owner there = { .host = "there", .boot = "boot-2", .pid = 22, .pid_start = 6,
                                       .pid_namespace = 1 };

static void set_up(void)
{
    wr_log_setup(WR_LOG_OFF, WR_LOG_TEXT);
    flaky_ops = wr_store_local_ops;
    flaky_ops.scheme = "flaky://";
    flaky_ops.open = flaky_open;
    flaky_ops.check = flaky_check;
    flaky_ops.put = flaky_put;
    snprintf(directory, sizeof directory, "/tmp/weir-owner-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    snprintf(flaky_url, sizeof flaky_url, "flaky://%s", directory);
    now = (struct wr_time){ .wall_us = 1700000000000000, .mono_ns = 1000000000000 };
    wr_clock_simulate(read_clock, NULL);
    wr_owner_simulate(&here, lives, NULL);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *ftw)
{
    return remove(path);
}

static void tear_down(void)
{
    nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(owner, .init = set_up, .fini = tear_down, .timeout = 60);

static struct wr_seat *seat_on(const char *url, const char *id, bool standby)
{
    struct wr_seat *seat;
    const struct wr_seat_config config = { .url = url, .pipeline = "clicks", .owner_id = id,
                                           .owner_timeout_us = 10 * WR_US_PER_S,
                                           .standby = standby };
    cr_assert_eq(wr_seat_open(&seat, &config, &err), WR_OK, "%s", err.message);
    return seat;
}

#define ID_A "aaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbb"

static wr_status claim(struct wr_seat *seat)
{
    int64_t next_ns = 0;
    const wr_status status = wr_seat_claim(seat, now, &next_ns, &err);
    cr_assert(status != WR_END || next_ns >= now.mono_ns);
    return status;
}

static struct wr_seat *owner_on(const char *url, const char *id)
{
    struct wr_seat *seat = seat_on(url, id, false);
    cr_assert_eq(claim(seat), WR_OK, "%s", err.message);
    return seat;
}

/* A manifest with a sink that has receipts, cut at its own epoch. */
static void make_next(const struct wr_seat *seat, struct wr_manifest *next, const char *receipt)
{
    const uint64_t epoch = wr_seat_head(seat)->epoch + 1;
    wr_manifest_init(next);
    next->cuts = WR_ARENA_NEW(&next->arena, struct wr_manifest_cut);
    next->cuts[0].epoch = epoch;
    next->cut_count = 1;
    next->sinks = WR_ARENA_NEW(&next->arena, struct wr_manifest_sink);
    next->sinks[0] = (struct wr_manifest_sink){ .name = "lake", .connector = "delta", .cut = epoch };
    next->sinks[0].receipts = WR_ARENA_NEW(&next->arena, struct wr_slice);
    next->sinks[0].receipts[0] = wr_slice_of(wr_arena_strdup(&next->arena, receipt));
    next->sinks[0].receipt_count = 1;
    next->sink_count = 1;
}

static wr_status commit(struct wr_seat *seat, const char *receipt)
{
    struct wr_manifest next;
    make_next(seat, &next, receipt);
    const wr_status status = wr_seat_commit(seat, &next, &err);
    wr_manifest_deinit(&next);
    return status;
}

static void forget_lock(void)
{
    char path[96];
    snprintf(path, sizeof path, "%s/.lock", directory);
    cr_assert_eq(unlink(path), 0);
}

static bool has(const char *key)
{
    char path[192];
    snprintf(path, sizeof path, "%s/%s", directory, key);
    return access(path, F_OK) == 0;
}

static bool has_manifest(uint64_t epoch)
{
    char key[48];
    wr_manifest_key(epoch, key);
    return has(key);
}

/* ---- cases ---- */

Test(owner, the_first_start_makes_a_state_and_the_next_goes_on_in_it)
{
    struct wr_seat *a = owner_on(directory, ID_A);
    const struct wr_manifest *head = wr_seat_head(a);
    char uuid[37];
    cr_assert_eq(head->epoch, 1);
    cr_assert_eq(head->predecessor_count, 0);
    cr_assert_eq(head->uuid[14], '4');
    cr_assert_str_eq(head->pipeline, "clicks");
    strcpy(uuid, head->uuid);
    cr_assert_eq(commit(a, "{\"n\":1}"), WR_OK, "%s", err.message);
    cr_assert_eq(wr_seat_head(a)->epoch, 2);
    cr_assert_eq(wr_seat_release(a, &err), WR_OK, "%s", err.message);
    wr_seat_close(a);

    struct wr_seat *b = owner_on(directory, ID_B);
    head = wr_seat_head(b);
    cr_assert_eq(head->epoch, 4);
    cr_assert_str_eq(head->uuid, uuid);
    cr_assert_str_eq(head->owner.id, ID_B);
    cr_assert_not(head->owner.released);
    cr_assert_eq(head->predecessor_count, 1);
    cr_assert_str_eq(head->predecessors[0], ID_A);
    cr_assert_eq(head->sinks[0].cut, 2, "the same contents");
    cr_assert_not(head->sinks[0].published, "nobody had said so");
    cr_assert(wr_slice_is(head->sinks[0].receipts[0], "{\"n\":1}"));
    cr_assert_eq(commit(b, "2"), WR_OK);
    cr_assert_eq(wr_seat_head(b)->predecessor_count, 1, "their leftovers may still be about");
    wr_seat_published(b);
    cr_assert_eq(commit(b, "3"), WR_OK);
    cr_assert_eq(wr_seat_head(b)->predecessor_count, 0);
    wr_seat_published(b);
    cr_assert_eq(wr_seat_release(b, &err), WR_OK);
    cr_assert(wr_seat_head(b)->sinks[0].published);
    wr_seat_close(b);
}

Test(owner, a_second_copy_is_refused_by_name_and_a_standby_waits)
{
    struct wr_seat *a = owner_on(directory, ID_A);
    struct wr_seat *b = seat_on(directory, ID_B, false);
    struct wr_seat *c = seat_on(directory, "cccccccccccccccc", true);
    cr_assert_eq(claim(b), WR_FAIL);
    cr_assert_eq(err.cls, WR_CLASS_USER);
    cr_assert_not_null(strstr(err.message, "in use by pid 11 on host here"), "%s", err.message);
    cr_assert_not_null(strstr(err.hint, "--standby"));
    cr_assert_eq(claim(c), WR_END);
    cr_assert_eq(commit(a, "1"), WR_OK, "the owner does not notice");
    pass_ms(3600000);
    cr_assert_eq(claim(c), WR_END, "however long it takes");
    cr_assert_eq(wr_seat_release(a, &err), WR_OK);
    cr_assert_eq(claim(c), WR_OK, "at once, though its seat is still open");
    wr_seat_close(a);
    wr_seat_close(b);
    wr_seat_close(c);
}

Test(owner, a_living_process_is_found_without_the_lock_too)
{
    struct wr_seat *a = owner_on(directory, ID_A);
    forget_lock();
    others_live = true;
    struct wr_seat *b = seat_on(directory, ID_B, false);
    cr_assert_eq(claim(b), WR_FAIL);
    cr_assert_eq(err.cls, WR_CLASS_USER);
    others_live = false;
    cr_assert_eq(claim(b), WR_OK, "it died: at once");
    cr_assert_str_eq(wr_seat_head(b)->predecessors[0], ID_A);
    wr_seat_close(a);
    wr_seat_close(b);
}

Test(owner, a_zombie_is_fenced_and_told_by_whom)
{
    struct wr_seat *a = owner_on(directory, ID_A);
    forget_lock();
    wr_owner_simulate(&(struct wr_owner){ .host = "here", .boot = "boot-1", .pid = 99, .pid_namespace = 1 },
                      lives, NULL);
    struct wr_seat *b = owner_on(directory, ID_B);
    cr_assert_eq(commit(b, "1"), WR_OK);
    cr_assert_eq(commit(a, "2"), WR_FAIL);
    cr_assert_eq(err.cls, WR_CLASS_FATAL);
    cr_assert_not_null(strstr(err.message, "pid 99 on host here"), "%s", err.message);
    cr_assert_not_null(strstr(err.message, "fenced"));
    cr_assert_eq(commit(a, "2"), WR_FAIL, "and stays so");
    cr_assert_eq(err.cls, WR_CLASS_FATAL);
    cr_assert_eq(wr_seat_release(a, &err), WR_OK, "nothing of it to release");
    cr_assert_eq(commit(b, "3"), WR_OK);
    cr_assert_eq(wr_seat_head(b)->epoch, 4);
    wr_seat_close(a);
    wr_seat_close(b);
}

Test(owner, another_machines_owner_is_given_its_time)
{
    struct wr_seat *a = owner_on(flaky_url, ID_A);
    wr_owner_simulate(&there, lives, NULL);
    others_live = true; /* what lives there says nothing about here */
    struct wr_seat *b = seat_on(flaky_url, ID_B, false);
    cr_assert_eq(claim(b), WR_END);
    pass_ms(9999);
    cr_assert_eq(claim(b), WR_END);
    pass_ms(1);
    cr_assert_eq(claim(b), WR_OK);
    wr_seat_close(b);
    wr_seat_close(a);
}

Test(owner, another_machines_owner_that_writes_is_alive)
{
    struct wr_seat *a = owner_on(flaky_url, ID_A);
    wr_owner_simulate(&there, lives, NULL);
    struct wr_seat *b = seat_on(flaky_url, ID_B, false);
    struct wr_seat *c = seat_on(flaky_url, "cccccccccccccccc", true);
    cr_assert_eq(claim(b), WR_END);
    cr_assert_eq(claim(c), WR_END);
    cr_assert_not(wr_seat_must_write(a, now));
    pass_ms(4000);
    cr_assert(wr_seat_must_write(a, now), "every third of the time-out");
    cr_assert_eq(commit(a, "1"), WR_OK);
    cr_assert_not(wr_seat_must_write(a, now));
    cr_assert_eq(claim(b), WR_FAIL);
    cr_assert_eq(err.cls, WR_CLASS_USER);
    cr_assert_not_null(strstr(err.message, "pid 11 on host here"));
    cr_assert_eq(claim(c), WR_END);
    pass_ms(9000);
    cr_assert_eq(claim(c), WR_END, "its time began again");
    pass_ms(1000);
    cr_assert_eq(claim(c), WR_OK);
    wr_seat_close(a);
    wr_seat_close(b);
    wr_seat_close(c);
}

Test(owner, a_lost_answer_is_settled_by_reading)
{
    struct wr_manifest next;
    lose = LOSE_AFTER;
    struct wr_seat *a = seat_on(flaky_url, ID_A, false);
    cr_assert_eq(claim(a), WR_FAIL);
    cr_assert_eq(err.cls, WR_CLASS_RETRY);
    lose = LOSE_NOTHING;
    cr_assert_eq(claim(a), WR_OK, "it had been put");
    cr_assert_eq(wr_seat_head(a)->epoch, 1);

    make_next(a, &next, "1");
    lose = LOSE_AFTER;
    cr_assert_eq(wr_seat_commit(a, &next, &err), WR_FAIL);
    cr_assert_eq(err.cls, WR_CLASS_RETRY);
    pass_ms(500);
    lose = LOSE_BEFORE;
    cr_assert_eq(wr_seat_commit(a, &next, &err), WR_FAIL);
    lose = LOSE_NOTHING;
    cr_assert_eq(wr_seat_commit(a, &next, &err), WR_OK, "%s", err.message);
    cr_assert_eq(wr_seat_head(a)->epoch, 2);
    wr_manifest_deinit(&next);
    cr_assert_eq(commit(a, "2"), WR_OK);

    lose = LOSE_AFTER;
    cr_assert_eq(commit(a, "3"), WR_FAIL);
    lose = LOSE_NOTHING;
    cr_assert_eq(commit(a, "\"other contents\""), WR_FAIL);
    cr_assert_eq(err.cls, WR_CLASS_FATAL, "only the first one can have been committed");
    wr_seat_close(a);
}

Test(owner, whoever_was_silent_for_long_looks_around_before_writing)
{
    char key[48];
    char path[192];
    struct wr_seat *a = owner_on(flaky_url, ID_A);
    wr_owner_simulate(&there, lives, NULL);
    struct wr_seat *b = seat_on(flaky_url, ID_B, false);
    cr_assert_eq(claim(b), WR_END);
    pass_ms(10000);
    cr_assert_eq(claim(b), WR_OK);
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_eq(commit(b, "1"), WR_OK);
    }
    wr_manifest_key(2, key); /* pruned: the zombie's put of epoch 2 would succeed */
    snprintf(path, sizeof path, "%s/%s", directory, key);
    cr_assert_eq(unlink(path), 0);
    pass_ms(25 * 3600 * 1000);
    cr_assert_eq(commit(a, "9"), WR_FAIL);
    cr_assert_eq(err.cls, WR_CLASS_FATAL);
    cr_assert_not_null(strstr(err.message, "host there"), "%s", err.message);
    cr_assert_not(has(key));
    wr_seat_close(a);
    wr_seat_close(b);
}

Test(owner, a_broken_manifest_is_not_written_and_a_damaged_one_not_claimed)
{
    struct wr_manifest next;
    struct wr_seat *a = owner_on(directory, ID_A);
    make_next(a, &next, "1");
    next.ledger = WR_ARENA_NEW(&next.arena, struct wr_manifest_ledger);
    next.ledger[0] = (struct wr_manifest_ledger){ "lake", "s", "s/0", .read = 2, .landed = 1 };
    next.ledger_count = 1;
    cr_assert_eq(wr_seat_commit(a, &next, &err), WR_FAIL);
    cr_assert_not_null(strstr(err.message, "does not balance"));
    cr_assert_not(has_manifest(2));
    next.ledger[0].read = 1;
    cr_assert_eq(wr_seat_commit(a, &next, &err), WR_OK, "%s", err.message);
    wr_manifest_deinit(&next);
    wr_seat_close(a);

    char path[192];
    char key[48];
    wr_manifest_key(2, key);
    snprintf(path, sizeof path, "%s/%s", directory, key);
    cr_assert_eq(truncate(path, 100), 0);
    struct wr_seat *b = seat_on(directory, ID_B, false);
    cr_assert_eq(claim(b), WR_FAIL);
    cr_assert_eq(err.cls, WR_CLASS_FATAL);
    cr_assert_not_null(strstr(err.message, "0000002.json"), "%s", err.message);
    wr_seat_close(b);
}

static wr_status no_way(void *ctx, const struct wr_manifest *head, struct wr_error *error)
{
    *(uint64_t *)ctx = head->epoch;
    return wr_fail(error, WR_CLASS_USER, "no way");
}

Test(owner, a_state_that_does_not_fit_is_left_as_it_is)
{
    struct wr_seat *b;
    uint64_t seen = 0;
    wr_seat_close(owner_on(directory, ID_A));
    const struct wr_seat_config config = { .url = directory, .pipeline = "other", .owner_id = ID_B,
                                           .accept = no_way, .accept_ctx = &seen };
    cr_assert_eq(wr_seat_open(&b, &config, &err), WR_OK);
    cr_assert_eq(claim(b), WR_FAIL);
    cr_assert_str_eq(err.message, "no way");
    cr_assert_eq(seen, 1);
    cr_assert_not(has_manifest(2));
    wr_seat_close(b);
}

static void put_text(const char *key, const char *text)
{
    struct wr_store *store;
    cr_assert_eq(wr_store_open(&store, directory, NULL, NULL, &err), WR_OK);
    cr_assert_eq(wr_store_put(store, key, text, strlen(text), WR_PUT_ALWAYS, &err), WR_OK);
    wr_store_close(store);
}

Test(owner, a_hint_is_never_believed)
{
    static const char *const lies[] = { "{\"epoch\":2,\"oldest\":1}", "{\"epoch\":5000,\"oldest\":7}",
                                        "nonsense", "", "{\"epoch\":0,\"oldest\":0}" };
    struct wr_seat *a = owner_on(flaky_url, ID_A);
    for (uint32_t i = 0; i < 6; i++) {
        cr_assert_eq(commit(a, "1"), WR_OK);
    }
    cr_assert_eq(wr_seat_release(a, &err), WR_OK);
    wr_seat_close(a);
    for (uint32_t i = 0; i < 5; i++) {
        struct wr_store *store;
        struct wr_manifest_span span;
        put_text("manifest/last", lies[i]);
        cr_assert_eq(wr_store_open(&store, directory, NULL, NULL, &err), WR_OK);
        cr_assert_eq(wr_head_find(store, &span, &err), WR_OK);
        cr_assert_eq(span.newest, 8, "%s", lies[i]);
        cr_assert_eq(span.oldest, 1);
        wr_store_close(store);
    }
}

Test(owner, a_local_state_keeps_sixteen_manifests_and_no_orphans)
{
    struct wr_seat *a = owner_on(directory, ID_A);
    put_text("snapshot/00000000000000000001-eeeeeeeeeeeeeeee-0.wrsn", "of a crashed epoch");
    put_text("snapshot/00000000000000000999-eeeeeeeeeeeeeeee-0.wrsn", "of the future");
    for (uint32_t i = 0; i < 50; i++) {
        cr_assert_eq(commit(a, "1"), WR_OK);
        wr_seat_prune(a);
    }
    cr_assert(has_manifest(51));
    cr_assert(has_manifest(36));
    cr_assert_not(has_manifest(35));
    cr_assert_not(has_manifest(1));
    cr_assert_not(has("snapshot/00000000000000000001-eeeeeeeeeeeeeeee-0.wrsn"));
    cr_assert(has("snapshot/00000000000000000999-eeeeeeeeeeeeeeee-0.wrsn"));
    cr_assert_not(has("manifest/last"));
    wr_seat_close(a);
}

Test(owner, other_stores_keep_a_days_manifests)
{
    struct wr_seat *a = owner_on(flaky_url, ID_A);
    for (uint32_t i = 0; i < 300; i++) {
        pass_ms(3600 * 1000 / 4);
        cr_assert_eq(commit(a, "1"), WR_OK);
        wr_seat_prune(a);
    }
    uint32_t kept = 0;
    uint64_t oldest = 0;
    for (uint64_t e = 301; e > 0; e--) {
        kept += has_manifest(e);
        oldest = has_manifest(e) ? e : oldest;
    }
    cr_assert_geq(kept, 96);
    cr_assert_leq(kept, 96 + 64 + 16);
    cr_assert_eq(oldest, 301 - kept + 1, "no holes");
    cr_assert(has("manifest/last"));
    wr_seat_close(a);
}

/* ---- the machine's own ---- */

Test(owner, this_process_lives_and_ended_ones_do_not)
{
    struct wr_arena arena = { 0 };
    struct wr_owner self;
    char uuid[37];
    wr_owner_simulate(NULL, NULL, NULL);
    wr_owner_self(&self, &arena);
    cr_assert_eq(self.pid, getpid());
    cr_assert_gt(self.pid_start, 0);
    cr_assert_gt(self.pid_namespace, 0);
    cr_assert_eq(strlen(self.boot), 36);
    cr_assert_eq(wr_owner_life(&self, &self), WR_OWNER_ALIVE);
    struct wr_owner other = self;
    other.pid_start++;
    cr_assert_eq(wr_owner_life(&self, &other), WR_OWNER_DEAD, "its pid was given again");
    other = self;
    other.boot = "another";
    cr_assert_eq(wr_owner_life(&self, &other), WR_OWNER_UNKNOWN);
    other = self;
    other.pid_namespace++;
    cr_assert_eq(wr_owner_life(&self, &other), WR_OWNER_UNKNOWN);
    other.released = true;
    cr_assert_eq(wr_owner_life(&self, &other), WR_OWNER_DEAD);
    wr_uuid_make(uuid);
    cr_assert_eq(strlen(uuid), 36);
    cr_assert(uuid[14] == '4' && strchr("89ab", uuid[19]) != NULL);
    wr_arena_deinit(&arena);
}

/* ---- many at once ---- */

#define SEATS 4

struct racer {
    struct wr_seat *seat;
    char id[17];
    struct wr_owner self;
    bool owner;
    struct wr_manifest next; /* being committed again */
    bool pending;
};

static void enter(struct racer *racer, uint32_t life)
{
    snprintf(racer->id, sizeof racer->id, "%016x", life);
    racer->self = (struct wr_owner){ .host = "h", .boot = wr_strdup(racer->id), .pid = life };
    wr_owner_simulate(&racer->self, NULL, NULL);
    racer->seat = seat_on(flaky_url, racer->id, wr_rand_below(&chance, 2) == 0);
}

static void leave(struct racer *racer)
{
    wr_seat_close(racer->seat);
    free((void *)(uintptr_t)racer->self.boot);
    if (racer->pending) {
        wr_manifest_deinit(&racer->next);
    }
    *racer = (struct racer){ 0 };
}

/* One step of one of them; winners[E]: whose commit of E was answered with WR_OK. */
static void act(struct racer *racer, char winners[][17])
{
    wr_status status;
    if (!racer->owner) {
        status = claim(racer->seat);
        racer->owner = status == WR_OK;
    } else {
        if (!racer->pending) {
            make_next(racer->seat, &racer->next, "{}");
            racer->pending = true;
        }
        status = wr_seat_commit(racer->seat, &racer->next, &err);
        if (status == WR_OK) {
            wr_manifest_deinit(&racer->next);
            racer->pending = false;
        }
    }
    if (status == WR_OK) {
        const uint64_t epoch = wr_seat_head(racer->seat)->epoch;
        cr_assert(winners[epoch][0] == '\0', "epoch %llu twice", (unsigned long long)epoch);
        strcpy(winners[epoch], racer->id);
    } else if (status == WR_FAIL && err.cls != WR_CLASS_RETRY) {
        leave(racer); /* refused or fenced */
    }
}

Test(owner, racing_seats_never_both_have_an_epoch)
{
    static char winners[4000][17];
    struct wr_store *store;
    struct racer racers[SEATS] = { 0 };
    uint32_t life = 0;
    uint32_t owners = 0;
    wr_rand_seed(&chance, 77);
    for (uint32_t step = 0; step < 3000; step++) {
        struct racer *racer = &racers[wr_rand_below(&chance, SEATS)];
        pass_ms((int64_t)wr_rand_below(&chance, 3000));
        lose = LOSE_AT_RANDOM;
        if (racer->seat == NULL) {
            enter(racer, ++life);
        } else if (wr_rand_below(&chance, 60) == 0) {
            leave(racer); /* killed */
        } else {
            act(racer, winners);
        }
    }
    lose = LOSE_NOTHING;
    cr_assert_eq(wr_store_open(&store, directory, NULL, NULL, &err), WR_OK);
    for (uint64_t e = 1; has_manifest(e); e++) {
        struct wr_manifest m;
        cr_assert_eq(wr_head_read(store, e, &m, NULL, &err), WR_OK, "%s", err.message);
        cr_assert(winners[e][0] == '\0' || strcmp(winners[e], m.owner.id) == 0,
                  "epoch %llu was acknowledged to another", (unsigned long long)e);
        owners += m.epoch == 1 || m.sink_count == 0 || m.sinks[0].cut != m.epoch;
        wr_manifest_deinit(&m);
    }
    cr_assert_gt(owners, 5, "it did change hands");
    wr_store_close(store);
    for (uint32_t i = 0; i < SEATS; i++) {
        if (racers[i].seat != NULL) {
            leave(&racers[i]);
        }
    }
}
