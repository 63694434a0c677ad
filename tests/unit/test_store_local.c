#include "base/heap.h"
#include "store/store.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];
static struct wr_store *store;
static struct wr_error err;

static void set_up(void)
{
    snprintf(directory, sizeof directory, "/tmp/weir-store-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(wr_store_open(&store, directory, NULL, NULL, &err), WR_OK, "%s", err.message);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *ftw)
{
    return remove(path);
}

static void tear_down(void)
{
    wr_store_close(store);
    nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(store_local, .init = set_up, .fini = tear_down);

static void collect(void *ctx, const char *key, uint64_t bytes)
{
    wr_buf_printf(ctx, "%s:%llu ", key, (unsigned long long)bytes);
}

static const char *listed(const char *prefix, const char *start_after)
{
    static struct wr_buf names;
    names.bytes = 0;
    cr_assert_eq(wr_store_list(store, prefix, start_after, collect, &names, &err), WR_OK);
    return wr_buf_cstr(&names);
}

static void put(const char *key, const char *text)
{
    cr_assert_eq(wr_store_put(store, key, text, strlen(text), WR_PUT_ALWAYS, &err), WR_OK, "%s",
                 err.message);
}

static void expect_text(const char *key, const char *text)
{
    struct wr_buf got = { 0 };
    cr_assert_eq(wr_store_get(store, key, &got, &err), WR_OK);
    cr_assert_str_eq(wr_buf_cstr(&got), text);
    wr_buf_deinit(&got);
}

Test(store_local, what_is_put_can_be_read_replaced_and_removed)
{
    put("a/b/c", "first");
    expect_text("a/b/c", "first");
    put("a/b/c", "second");
    expect_text("a/b/c", "second");
    cr_assert_eq(wr_store_delete(store, "a/b/c", &err), WR_OK);
    cr_assert_eq(wr_store_delete(store, "a/b/c", &err), WR_OK, "a second time is fine");
    struct wr_buf got = { 0 };
    cr_assert_eq(wr_store_get(store, "a/b/c", &got, &err), WR_END);
    cr_assert_eq(got.bytes, 0);
}

Test(store_local, put_if_absent_keeps_the_first)
{
    cr_assert_eq(wr_store_put(store, "m/1", "mine", 4, WR_PUT_IF_ABSENT, &err), WR_OK);
    cr_assert_eq(wr_store_put(store, "m/1", "yours", 5, WR_PUT_IF_ABSENT, &err), WR_END);
    expect_text("m/1", "mine");
    cr_assert_str_eq(listed("", NULL), "m/1:4 ");
}

#define RACERS 8
#define ROUNDS 50

static pthread_barrier_t barrier;
static atomic_int winners[ROUNDS];
static atomic_int failures;

static void *race(void *arg)
{
    struct wr_store *own;
    if (wr_store_open(&own, directory, NULL, NULL, NULL) != WR_OK) {
        atomic_fetch_add(&failures, 1);
        return NULL;
    }
    for (int round = 0; round < ROUNDS; round++) {
        char key[32];
        snprintf(key, sizeof key, "race/%03d", round);
        pthread_barrier_wait(&barrier);
        const wr_status status = wr_store_put(own, key, arg, 1, WR_PUT_IF_ABSENT, NULL);
        if (status == WR_OK) {
            atomic_fetch_add(&winners[round], 1);
        } else if (status != WR_END) {
            atomic_fetch_add(&failures, 1);
        }
    }
    wr_store_close(own);
    return NULL;
}

Test(store_local, of_many_racers_exactly_one_puts)
{
    static char names[RACERS] = "abcdefgh";
    pthread_t threads[RACERS];
    pthread_barrier_init(&barrier, NULL, RACERS);
    for (int i = 0; i < RACERS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, race, &names[i]), 0);
    }
    for (int i = 0; i < RACERS; i++) {
        pthread_join(threads[i], NULL);
    }
    cr_assert_eq(atomic_load(&failures), 0);
    for (int round = 0; round < ROUNDS; round++) {
        cr_assert_eq(atomic_load(&winners[round]), 1, "round %d", round);
    }
}

Test(store_local, listing_is_in_order_of_keys_and_by_prefix)
{
    put("b/2", "x");
    put("b-1", "xx"); /* '-' sorts before '/' */
    put("b/10", "xxx");
    put("a", "xxxx");
    put("c/d/e", "");
    cr_assert_str_eq(listed("", NULL), "a:4 b-1:2 b/10:3 b/2:1 c/d/e:0 ");
    cr_assert_str_eq(listed("b/", NULL), "b/10:3 b/2:1 ");
    cr_assert_str_eq(listed("b", "b/10"), "b/2:1 ");
    cr_assert_str_eq(listed("none/", NULL), "");
    cr_assert_str_eq(listed("none/of/it", NULL), "");
    cr_assert_str_eq(listed("c/d/e", NULL), "c/d/e:0 ");
    cr_assert_str_eq(listed("c/d", NULL), "c/d/e:0 ");
    cr_assert_str_eq(listed("a/b", NULL), "", "a is an object, no directory");
    cr_assert_str_eq(listed("../", NULL), "");
}

Test(store_local, what_a_crash_leaves_is_not_seen)
{
    put("data/1", "whole");
    char path[128];
    snprintf(path, sizeof path, "%s/data/.2.4711-0.tmp", directory);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    cr_assert_str_eq(listed("", NULL), "data/1:5 ");
    put("data/2", "later");
    cr_assert_str_eq(listed("", NULL), "data/1:5 data/2:5 ");
}

Test(store_local, an_upload_is_invisible_until_published)
{
    struct wr_upload *upload;
    cr_assert_eq(wr_upload_open(&upload, store, "x/file", &err), WR_OK);
    cr_assert_eq(wr_upload_write(upload, "ab", 2, &err), WR_OK);
    cr_assert_eq(wr_upload_write(upload, "cd", 2, &err), WR_OK);
    cr_assert_str_eq(listed("", NULL), "");
    cr_assert_eq(wr_upload_prepare(upload, &err), WR_OK);
    cr_assert_eq(wr_upload_prepare(upload, &err), WR_OK, "may be repeated");
    cr_assert_str_eq(listed("", NULL), "");
    cr_assert_eq(wr_upload_publish(upload, &err), WR_OK);
    cr_assert_eq(wr_upload_publish(upload, &err), WR_OK, "may be repeated");
    wr_upload_close(upload);
    expect_text("x/file", "abcd");
}

static int count_files(const char *path, const struct stat *info, int kind, struct FTW *ftw)
{
    cr_assert_neq(kind, FTW_F, "%s is left", path);
    return 0;
}

Test(store_local, a_closed_upload_leaves_nothing)
{
    struct wr_upload *upload;
    cr_assert_eq(wr_upload_open(&upload, store, "x/file", &err), WR_OK);
    cr_assert_eq(wr_upload_write(upload, "ab", 2, &err), WR_OK);
    cr_assert_eq(wr_upload_prepare(upload, &err), WR_OK);
    wr_upload_close(upload);
    nftw(directory, count_files, 16, FTW_PHYS);
}

Test(store_local, uploads_go_through_the_loop)
{
    struct wr_io *io;
    struct wr_store *looped;
    struct wr_upload *upload;
    cr_assert_eq(wr_io_create(&io, WR_IO_AUTO, 8, &err), WR_OK);
    cr_assert_eq(wr_store_open(&looped, directory, NULL, io, &err), WR_OK);
    const size_t bytes = 20u << 20; /* more than one system call */
    char *data = wr_malloc(bytes);
    for (size_t i = 0; i < bytes; i++) {
        data[i] = (char)(i * 31 + i / 4096);
    }
    cr_assert_eq(wr_upload_open(&upload, looped, "big", &err), WR_OK);
    cr_assert_eq(wr_upload_write(upload, data, bytes, &err), WR_OK, "%s", err.message);
    cr_assert_eq(wr_upload_prepare(upload, &err), WR_OK);
    cr_assert_eq(wr_upload_publish(upload, &err), WR_OK);
    wr_upload_close(upload);
    struct wr_buf got = { 0 };
    cr_assert_eq(wr_store_get(looped, "big", &got, &err), WR_OK);
    cr_assert_eq(got.bytes, bytes);
    cr_assert_eq(memcmp(got.data, data, bytes), 0);
    wr_buf_deinit(&got);
    free(data);
    wr_store_close(looped);
    wr_io_destroy(io);
}

Test(store_local, no_key_leads_out_of_the_directory)
{
    static const char *const bad[] = { "", "/etc/passwd", "../x", "a/../../x", "a//b", "a/.", ".." };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(wr_store_put(store, bad[i], "x", 1, WR_PUT_ALWAYS, &err), WR_FAIL, "%s",
                     bad[i]);
    }
    put("a/..b/...", "fine");
}

Test(store_local, a_directory_that_cannot_be_made_is_named)
{
    struct wr_store *other;
    put("file", "x");
    char path[128];
    snprintf(path, sizeof path, "%s/file/below", directory);
    cr_assert_eq(wr_store_open(&other, path, NULL, NULL, &err), WR_FAIL);
    cr_assert_not_null(strstr(err.message, path));
    cr_assert_not_null(strstr(err.hint, "is a file"));
}

Test(store_local, urls_are_checked_by_their_form)
{
    cr_assert_eq(wr_store_check("./lake", NULL, &err), WR_OK);
    cr_assert_eq(wr_store_check("file:///lake", NULL, &err), WR_OK);
    cr_assert_eq(wr_store_check("file://lake", NULL, &err), WR_FAIL);
    cr_assert_not_null(strstr(err.hint, "file:///"));
    cr_assert_eq(wr_store_check("ftp://host/lake", NULL, &err), WR_FAIL);
    cr_assert_not_null(strstr(err.hint, "s3://"));
    cr_assert_eq(wr_store_check("", NULL, &err), WR_FAIL);
}

/* ---- many at once ---- */

#define MANY 300u

static struct wr_upload *many[MANY];

static void begin_many(struct wr_store *at, bool direct)
{
    for (uint32_t i = 0; i < MANY; i++) {
        char key[64];
        snprintf(key, sizeof key, "lake/day=%u/hour=%u/%03u", i % 7, i % 3, i);
        cr_assert_eq(wr_upload_open(&many[i], at, key, &err), WR_OK, "%s", err.message);
        if (direct) {
            wr_upload_direct(many[i]);
        }
        cr_assert_eq(wr_upload_write(many[i], key, strlen(key), &err), WR_OK);
        wr_upload_prepare_begin(many[i]);
        wr_upload_prepare_begin(many[i]); /* may be repeated */
    }
}

static uint32_t visible_count;

static void count_visible(void *ctx, const char *key, uint64_t bytes)
{
    cr_assert_eq(bytes, strlen(key));
    visible_count++;
}

static uint32_t visible(void)
{
    visible_count = 0;
    cr_assert_eq(wr_store_list(store, "", NULL, count_visible, NULL, &err), WR_OK);
    return visible_count;
}

static void prepare_and_publish_many(enum wr_io_backend backend, bool direct)
{
    struct wr_io *io = NULL;
    struct wr_store *at;
    if (backend != WR_IO_AUTO) {
        cr_assert_eq(wr_io_create(&io, backend, 8, &err), WR_OK, "%s", err.message);
    }
    cr_assert_eq(wr_store_open(&at, directory, NULL, io, &err), WR_OK);
    begin_many(at, direct);
    for (uint32_t i = 0; i < MANY; i++) {
        cr_assert_eq(wr_upload_prepare(many[i], &err), WR_OK, "%s", err.message);
        cr_assert_eq(wr_upload_prepare(many[i], &err), WR_OK, "may be repeated");
    }
    cr_assert_eq(visible(), direct ? MANY : 0u);
    for (uint32_t i = 0; i < MANY && !direct; i++) {
        wr_upload_publish_begin(many[i]);
        wr_upload_publish_begin(many[i]);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        cr_assert_eq(wr_upload_publish(many[i], &err), WR_OK, "%s", err.message);
        wr_upload_close(many[i]);
    }
    cr_assert_eq(visible(), MANY);
    wr_store_close(at);
    wr_io_destroy(io);
}

Test(store_local, many_uploads_are_prepared_together_without_a_loop)
{
    prepare_and_publish_many(WR_IO_AUTO, false);
}

Test(store_local, many_uploads_are_prepared_together_by_epoll)
{
    prepare_and_publish_many(WR_IO_EPOLL, true);
}

Test(store_local, many_uploads_are_prepared_together_by_the_simulated_loop)
{
    prepare_and_publish_many(WR_IO_SIM, false);
}

Test(store_local, many_uploads_are_prepared_together_by_io_uring)
{
    if (wr_io_uring_unavailable()[0] != '\0') {
        cr_skip_test("io_uring: %s", wr_io_uring_unavailable());
    }
    prepare_and_publish_many(WR_IO_URING, false);
    prepare_and_publish_many(WR_IO_URING, true);
}

static void close_begun(bool direct)
{
    struct wr_io *io;
    struct wr_store *at;
    cr_assert_eq(wr_io_create(&io, WR_IO_AUTO, 8, &err), WR_OK);
    cr_assert_eq(wr_store_open(&at, directory, NULL, io, &err), WR_OK);
    begin_many(at, direct);
    for (uint32_t i = 0; i < MANY; i++) {
        wr_upload_close(many[i]);
    }
    wr_store_close(at);
    wr_io_destroy(io);
    nftw(directory, count_files, 16, FTW_PHYS);
}

Test(store_local, what_was_begun_and_closed_leaves_nothing)
{
    close_begun(false);
    close_begun(true);
}

Test(store_local, a_file_that_cannot_be_moved_fails_alone_and_may_be_tried_again)
{
    char path[128];
    begin_many(store, true);
    snprintf(path, sizeof path, "%s/lake/day=5/hour=2/005", directory);
    cr_assert_eq(mkdir(path, 0777), 0); /* stands in the way of one */
    for (uint32_t i = 0; i < MANY; i++) {
        cr_assert_eq(wr_upload_prepare(many[i], &err), i == 5 ? WR_FAIL : WR_OK, "%u", i);
    }
    cr_assert_neq(strstr(err.message, path), NULL, "%s", err.message);
    cr_assert_eq(rmdir(path), 0);
    cr_assert_eq(wr_upload_prepare(many[5], &err), WR_OK, "%s", err.message);
    cr_assert_eq(visible(), MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        wr_upload_close(many[i]);
    }
    cr_assert_eq(visible(), MANY);
}

Test(store_local, a_directory_that_cannot_be_synced_holds_back_its_files)
{
    char from[128], to[128];
    struct wr_upload *upload;
    cr_assert_eq(wr_upload_open(&upload, store, "x/file", &err), WR_OK);
    cr_assert_eq(wr_upload_write(upload, "ab", 2, &err), WR_OK);
    snprintf(from, sizeof from, "%s/x", directory);
    snprintf(to, sizeof to, "%s/y", directory);
    cr_assert_eq(rename(from, to), 0);
    cr_assert_eq(wr_upload_prepare(upload, &err), WR_FAIL);
    cr_assert_eq(wr_upload_prepare(upload, &err), WR_FAIL, "as long as that lasts");
    cr_assert_neq(strstr(err.message, from), NULL, "%s", err.message);
    cr_assert_eq(rename(to, from), 0);
    cr_assert_eq(wr_upload_prepare(upload, &err), WR_OK, "%s", err.message);
    wr_upload_close(upload);
}

Test(store_local, few_descriptors_are_enough_for_many_files)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 100;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    prepare_and_publish_many(WR_IO_AUTO, false);
    if (wr_io_uring_unavailable()[0] == '\0') {
        prepare_and_publish_many(WR_IO_URING, true);
    }
}
