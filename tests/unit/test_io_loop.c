/* The same cases over all three drivers: what a worker may rely on must not depend on the
 * machine. */
#include "base/clock.h"
#include "io/loop.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#define ENTRIES 4u

static void run_with(enum wr_io_backend backend, void (*body)(struct wr_io *io))
{
    if (backend == WR_IO_URING && wr_io_uring_unavailable()[0] != '\0') {
        cr_skip_test("no io_uring here");
    }
    struct wr_error err;
    struct wr_io *io;
    cr_assert_eq(wr_io_create(&io, backend, ENTRIES, &err), WR_OK, "%s", err.message);
    cr_assert_eq(wr_io_backend_of(io), backend);
    body(io);
    wr_io_destroy(io);
}

#define LOOP_TEST(name)                                                                            \
    static void name(struct wr_io *io);                                                            \
    Test(io_loop_uring, name, .timeout = 60)                                                       \
    {                                                                                              \
        run_with(WR_IO_URING, name);                                                               \
    }                                                                                              \
    Test(io_loop_epoll, name, .timeout = 60)                                                       \
    {                                                                                              \
        run_with(WR_IO_EPOLL, name);                                                               \
    }                                                                                              \
    Test(io_loop_sim, name, .timeout = 60)                                                         \
    {                                                                                              \
        run_with(WR_IO_SIM, name);                                                                 \
    }                                                                                              \
    static void name(struct wr_io *io)

/* What done() saw of an op: kept in a static, since destroy comes after the body. */
struct seen {
    int count;
    int32_t result;
};

static void note(struct wr_io_op *op)
{
    struct seen *seen = op->ctx;
    seen->count++;
    seen->result = op->result;
}

static struct wr_io_op op_of(enum wr_io_kind kind, int fd, void *buffer, uint32_t bytes,
                             int64_t offset, struct seen *seen)
{
    return (struct wr_io_op){ .kind = kind, .fd = fd, .buffer = buffer, .bytes = bytes,
                              .offset = offset, .done = note, .ctx = seen };
}

static void turn_until(struct wr_io *io, const int *count, int wanted)
{
    while (*count < wanted) {
        wr_io_turn(io, WR_NS_PER_S);
    }
    cr_assert_eq(*count, wanted);
}

/* Turns that give the loop every chance to complete what it must not. */
static void idle_turns(struct wr_io *io)
{
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(wr_io_turn(io, WR_NS_PER_MS), 0);
    }
}

static int file_of(const char *text)
{
    const int fd = memfd_create("test", MFD_CLOEXEC);
    cr_assert_geq(fd, 0);
    cr_assert_eq(pwrite(fd, text, strlen(text), 0), (ssize_t)strlen(text));
    return fd;
}

/* All of it, over short transfers. */
static void transfer(struct wr_io *io, enum wr_io_kind kind, int fd, char *data, uint32_t bytes)
{
    uint32_t at = 0;
    while (at < bytes) {
        struct seen seen = { 0 };
        struct wr_io_op op = op_of(kind, fd, data + at, bytes - at, at, &seen);
        const int32_t n = wr_io_run(io, &op);
        cr_assert(n > 0 && (uint32_t)n <= bytes - at, "result %d", n);
        cr_assert_eq(seen.count, 1);
        cr_assert_eq(seen.result, n);
        at += (uint32_t)n;
    }
}

LOOP_TEST(a_file_reads_back_as_written)
{
    const uint32_t bytes = 300000;
    char *out = malloc(bytes);
    char *in = calloc(1, bytes);
    for (uint32_t i = 0; i < bytes; i++) {
        out[i] = (char)(i * 7 + i / 251);
    }
    const int fd = file_of("");
    transfer(io, WR_IO_WRITE, fd, out, bytes);
    struct seen seen = { 0 };
    struct wr_io_op sync = op_of(WR_IO_FSYNC, fd, NULL, 0, 0, &seen);
    cr_assert_eq(wr_io_run(io, &sync), 0);
    transfer(io, WR_IO_READ, fd, in, bytes);
    cr_assert_eq(memcmp(in, out, bytes), 0);
    struct wr_io_op end = op_of(WR_IO_READ, fd, in, 10, bytes, &seen);
    cr_assert_eq(wr_io_run(io, &end), 0);
    close(fd);
    free(in);
    free(out);
}

LOOP_TEST(offset_minus_one_means_the_files_own_position)
{
    const int fd = file_of("abcdef");
    char in[8] = { 0 };
    size_t got = 0;
    lseek(fd, 2, SEEK_SET);
    while (got < 4) {
        struct seen seen = { 0 };
        struct wr_io_op op = op_of(WR_IO_READ, fd, in + got, 6, -1, &seen);
        const int32_t n = wr_io_run(io, &op);
        cr_assert_gt(n, 0);
        got += (size_t)n;
    }
    cr_assert_str_eq(in, "cdef");
    close(fd);
}

LOOP_TEST(a_bad_descriptor_is_a_result_not_a_crash)
{
    char byte;
    static const enum wr_io_kind kinds[] = { WR_IO_READ, WR_IO_WRITE, WR_IO_FSYNC, WR_IO_POLL };
    for (size_t i = 0; i < 4; i++) {
        for (int64_t offset = -1; offset < 1; offset++) {
            struct seen seen = { 0 };
            struct wr_io_op op = op_of(kinds[i], 9999, &byte, 1, offset, &seen);
            cr_assert_eq(wr_io_run(io, &op), -EBADF, "kind %zu", i);
        }
    }
}

static void read_waits(struct wr_io *io, int flags)
{
    int ends[2];
    cr_assert_eq(pipe2(ends, flags), 0);
    char in[4] = { 0 };
    struct seen seen = { 0 };
    struct wr_io_op op = op_of(WR_IO_READ, ends[0], in, 1, -1, &seen);
    wr_io_submit(io, &op);
    idle_turns(io);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    turn_until(io, &seen.count, 1);
    cr_assert_eq(seen.result, 1);
    cr_assert_eq(in[0], 'x');
    close(ends[1]);
    cr_assert_eq(wr_io_run(io, &op), 0); /* end of file */
    close(ends[0]);
}

LOOP_TEST(a_read_of_a_pipe_waits_for_bytes_and_sees_its_end)
{
    read_waits(io, O_CLOEXEC);
}

LOOP_TEST(a_descriptor_in_non_blocking_mode_waits_just_the_same)
{
    read_waits(io, O_CLOEXEC | O_NONBLOCK);
}

LOOP_TEST(two_reads_of_one_pipe_share_its_bytes)
{
    int ends[2];
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    char in[2] = { 0 };
    struct seen seen = { 0 };
    struct wr_io_op a = op_of(WR_IO_READ, ends[0], &in[0], 1, -1, &seen);
    struct wr_io_op b = op_of(WR_IO_READ, ends[0], &in[1], 1, -1, &seen);
    wr_io_submit(io, &a);
    wr_io_submit(io, &b);
    idle_turns(io);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    turn_until(io, &seen.count, 1);
    idle_turns(io); /* the second one goes on waiting and blocks nobody */
    cr_assert_eq(write(ends[1], "y", 1), 1);
    turn_until(io, &seen.count, 2);
    cr_assert_eq(in[0] + in[1], 'x' + 'y');
    close(ends[0]);
    close(ends[1]);
}

LOOP_TEST(a_full_pipe_never_blocks_the_loop)
{
    int ends[2];
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    static char out[1 << 20];
    struct seen seen = { 0 };
    uint64_t written = 0;
    for (;;) { /* until the pipe is full */
        struct wr_io_op op = op_of(WR_IO_WRITE, ends[1], out, sizeof(out), -1, &seen);
        const int before = seen.count;
        wr_io_submit(io, &op);
        for (int i = 0; i < 20 && seen.count == before; i++) {
            wr_io_turn(io, WR_NS_PER_MS);
        }
        if (seen.count == before) {
            cr_assert_gt(written, 0);
            wr_io_cancel(io, &op);
            turn_until(io, &seen.count, before + 1);
            cr_assert_eq(seen.result, -ECANCELED);
            break;
        }
        cr_assert_gt(seen.result, 0);
        written += (uint64_t)seen.result;
        cr_assert_leq(written, 1 << 20);
    }
    close(ends[0]);
    close(ends[1]);
}

LOOP_TEST(polls_fire_once_per_submission)
{
    const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct seen seen = { 0 };
    struct wr_io_op op = op_of(WR_IO_POLL, fd, NULL, 0, 0, &seen);
    for (int i = 1; i <= 10; i++) {
        wr_io_submit(io, &op);
        idle_turns(io);
        const uint64_t one = 1;
        cr_assert_eq(write(fd, &one, sizeof(one)), (ssize_t)sizeof(one));
        turn_until(io, &seen.count, i);
        cr_assert(seen.result > 0 && (seen.result & POLLIN));
        idle_turns(io); /* still readable, but nobody asked again */
        uint64_t count;
        cr_assert_eq(read(fd, &count, sizeof(count)), (ssize_t)sizeof(count));
    }
    close(fd);
}

LOOP_TEST(two_polls_of_one_descriptor_both_fire)
{
    const int fd = eventfd(0, EFD_CLOEXEC);
    struct seen seen = { 0 };
    struct wr_io_op a = op_of(WR_IO_POLL, fd, NULL, 0, 0, &seen);
    struct wr_io_op b = op_of(WR_IO_POLL, fd, NULL, 0, 0, &seen);
    wr_io_submit(io, &a);
    wr_io_turn(io, 0);
    wr_io_submit(io, &b);
    idle_turns(io);
    const uint64_t one = 1;
    cr_assert_eq(write(fd, &one, sizeof(one)), (ssize_t)sizeof(one));
    turn_until(io, &seen.count, 2);
    close(fd);
}

LOOP_TEST(a_poll_of_a_regular_file_is_ready_at_once)
{
    char path[] = "/tmp/weir-test-XXXXXX";
    const int fd = mkstemp(path);
    unlink(path);
    struct seen seen = { 0 };
    struct wr_io_op op = op_of(WR_IO_POLL, fd, NULL, 0, 0, &seen);
    const int32_t mask = wr_io_run(io, &op);
    cr_assert(mask > 0 && (mask & POLLIN));
    close(fd);
}

LOOP_TEST(a_descriptor_number_may_be_used_again)
{
    for (int i = 0; i < 5; i++) {
        int ends[2];
        cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
        cr_assert_eq(write(ends[1], "abc", 3), 3);
        char in[3];
        struct seen seen = { 0 };
        struct wr_io_op op = op_of(WR_IO_READ, ends[0], in, 3, -1, &seen);
        cr_assert_gt(wr_io_run(io, &op), 0);
        close(ends[0]);
        close(ends[1]);
    }
}

static int64_t turn_ns(struct wr_io *io, int64_t timeout_ns)
{
    const int64_t start = wr_clock_now().mono_ns;
    wr_io_turn(io, timeout_ns);
    return wr_clock_now().mono_ns - start;
}

LOOP_TEST(a_turn_sleeps_for_its_timeout_and_not_less)
{
    cr_assert_lt(turn_ns(io, 0), WR_NS_PER_S);
    cr_assert_geq(turn_ns(io, 20 * WR_NS_PER_MS), 20 * WR_NS_PER_MS);
    cr_assert_geq(turn_ns(io, 1), 1);
    const int64_t took = turn_ns(io, 1500 * WR_NS_PER_MS);
    cr_assert(took >= 1500 * WR_NS_PER_MS && took < 30 * WR_NS_PER_S);
}

LOOP_TEST(a_wake_up_ends_the_next_turn_and_only_that)
{
    wr_io_turn(io, 0);
    wr_io_wake(io);
    wr_io_wake(io);
    cr_assert_lt(turn_ns(io, 30 * WR_NS_PER_S), 10 * WR_NS_PER_S);
    cr_assert_geq(turn_ns(io, 30 * WR_NS_PER_MS), 30 * WR_NS_PER_MS);
}

static void *wake_later(void *io)
{
    for (int i = 0; i < 3; i++) {
        usleep(30000);
        wr_io_wake(io);
    }
    return NULL;
}

LOOP_TEST(a_wake_up_from_another_thread_ends_the_sleep)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, wake_later, io), 0);
    wr_io_turn(io, -1); /* without a limit: a lost wake-up hangs here */
    wr_io_turn(io, -1);
    wr_io_turn(io, -1);
    pthread_join(thread, NULL);
}

LOOP_TEST(a_wake_up_during_run_is_kept_for_the_caller)
{
    wr_io_wake(io);
    const int fd = file_of("abc");
    char in[3];
    struct seen seen = { 0 };
    struct wr_io_op op = op_of(WR_IO_READ, fd, in, 3, 0, &seen);
    cr_assert_gt(wr_io_run(io, &op), 0);
    cr_assert_lt(turn_ns(io, 30 * WR_NS_PER_S), 10 * WR_NS_PER_S);
    close(fd);
}

LOOP_TEST(a_queued_op_can_be_cancelled_before_it_starts)
{
    const int fd = file_of("abc");
    struct seen seen = { 0 };
    struct seen other = { 0 };
    char in[3];
    struct wr_io_op a = op_of(WR_IO_READ, fd, in, 3, 0, &seen);
    struct wr_io_op b = op_of(WR_IO_READ, fd, in, 3, 0, &other);
    wr_io_submit(io, &a);
    wr_io_submit(io, &b);
    wr_io_cancel(io, &a);
    cr_assert_eq(seen.count, 0); /* never from inside a call */
    turn_until(io, &seen.count, 1);
    cr_assert_eq(seen.result, -ECANCELED);
    turn_until(io, &other.count, 1);
    cr_assert_gt(other.result, 0);
    close(fd);
}

LOOP_TEST(a_waiting_op_can_be_cancelled)
{
    int ends[2];
    cr_assert_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    char in;
    struct seen poll_seen = { 0 };
    struct seen read_seen = { 0 };
    struct wr_io_op watch = op_of(WR_IO_POLL, ends[0], NULL, 0, 0, &poll_seen);
    struct wr_io_op read_op = op_of(WR_IO_READ, ends[0], &in, 1, -1, &read_seen);
    wr_io_submit(io, &watch);
    wr_io_submit(io, &read_op);
    idle_turns(io);
    wr_io_cancel(io, &read_op);
    wr_io_cancel(io, &read_op); /* asking twice is one cancel */
    turn_until(io, &read_seen.count, 1);
    cr_assert_eq(read_seen.result, -ECANCELED);
    cr_assert_eq(poll_seen.count, 0);
    wr_io_cancel(io, &watch);
    turn_until(io, &poll_seen.count, 1);
    cr_assert_eq(poll_seen.result, -ECANCELED);
    wr_io_cancel(io, &watch); /* done already: nothing happens */
    idle_turns(io);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    cr_assert_eq(wr_io_run(io, &read_op), 1); /* the same op serves again */
    close(ends[0]);
    close(ends[1]);
}

struct chain {
    struct wr_io *io;
    int left;
    int done;
    bool inside;
};

static void chain_done(struct wr_io_op *op)
{
    struct chain *chain = op->ctx;
    cr_assert_not(chain->inside, "done() was called from inside wr_io_submit");
    chain->done++;
    if (--chain->left > 0) {
        chain->inside = true;
        wr_io_submit(chain->io, op);
        chain->inside = false;
    }
}

LOOP_TEST(done_may_submit_the_same_op_again)
{
    const int fd = file_of("abc");
    char in[3];
    struct chain chain = { .io = io, .left = 500 };
    struct wr_io_op op = { .kind = WR_IO_READ, .fd = fd, .buffer = in, .bytes = 3,
                           .done = chain_done, .ctx = &chain };
    wr_io_submit(io, &op);
    turn_until(io, &chain.done, 500);
    close(fd);
}

LOOP_TEST(more_ops_than_entries_all_complete_once)
{
    enum { COUNT = 3000 };
    const int fd = file_of("0123456789");
    struct wr_io_op *ops = calloc(COUNT, sizeof(*ops));
    struct seen *seen = calloc(COUNT, sizeof(*seen));
    char *in = calloc(COUNT, 1);
    for (int i = 0; i < COUNT; i++) {
        ops[i] = op_of(WR_IO_READ, fd, &in[i], 1, i % 10, &seen[i]);
        wr_io_submit(io, &ops[i]);
    }
    uint32_t done = 0;
    while (done < COUNT) {
        done += wr_io_turn(io, -1);
    }
    cr_assert_eq(done, COUNT);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(seen[i].count, 1);
        cr_assert_eq(in[i], '0' + i % 10);
    }
    idle_turns(io);
    free(in);
    free(seen);
    free(ops);
    close(fd);
}

LOOP_TEST(a_bounded_number_of_waiting_ops_leaves_the_rest_queued)
{
    int ends[2];
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    struct seen seen = { 0 };
    char in[ENTRIES + 2];
    struct wr_io_op ops[ENTRIES + 2];
    for (uint32_t i = 0; i < ENTRIES + 2; i++) {
        ops[i] = op_of(WR_IO_READ, ends[0], &in[i], 1, -1, &seen);
        wr_io_submit(io, &ops[i]);
    }
    idle_turns(io);
    cr_assert_eq(write(ends[1], "abcdef", ENTRIES + 2), ENTRIES + 2);
    turn_until(io, &seen.count, ENTRIES + 2);
    close(ends[0]);
    close(ends[1]);
}

static void on_signal(int number)
{
    (void)number;
}

LOOP_TEST(signals_do_no_harm)
{
    int ends[2];
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGALRM, &action, NULL);
    const struct itimerval every = { .it_interval = { .tv_usec = 1000 },
                                     .it_value = { .tv_usec = 1000 } };
    setitimer(ITIMER_REAL, &every, NULL);
    char in[4];
    struct seen seen = { 0 };
    struct wr_io_op op = op_of(WR_IO_READ, ends[0], in, 1, -1, &seen);
    wr_io_submit(io, &op);
    for (int i = 0; i < 50; i++) {
        cr_assert_eq(wr_io_turn(io, 20 * WR_NS_PER_MS), 0);
    }
    cr_assert_eq(write(ends[1], "x", 1), 1);
    turn_until(io, &seen.count, 1);
    cr_assert_eq(seen.result, 1);
    const struct itimerval never = { 0 };
    setitimer(ITIMER_REAL, &never, NULL);
    close(ends[0]);
    close(ends[1]);
}

static void destroy_cancels(enum wr_io_backend backend)
{
    if (backend == WR_IO_URING && wr_io_uring_unavailable()[0] != '\0') {
        cr_skip_test("no io_uring here");
    }
    int ends[2];
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    struct wr_io *io;
    cr_assert_eq(wr_io_create(&io, backend, 2, NULL), WR_OK);
    struct seen seen[5] = { 0 };
    struct wr_io_op ops[5];
    char in[5];
    for (int i = 0; i < 4; i++) { /* two start, two stay queued */
        ops[i] = op_of(i & 1 ? WR_IO_POLL : WR_IO_READ, ends[0], &in[i], 1, -1, &seen[i]);
        wr_io_submit(io, &ops[i]);
    }
    idle_turns(io);
    ops[4] = op_of(WR_IO_READ, ends[0], &in[4], 1, -1, &seen[4]); /* no turn has seen this one */
    wr_io_submit(io, &ops[4]);
    wr_io_wake(io);
    wr_io_destroy(io);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(seen[i].count, 1);
        cr_assert_eq(seen[i].result, -ECANCELED);
    }
    close(ends[0]);
    close(ends[1]);
}

Test(io_loop_uring, destroy_cancels_what_is_under_way, .timeout = 60)
{
    destroy_cancels(WR_IO_URING);
}

Test(io_loop_epoll, destroy_cancels_what_is_under_way, .timeout = 60)
{
    destroy_cancels(WR_IO_EPOLL);
}

Test(io_loop_sim, destroy_cancels_what_is_under_way, .timeout = 60)
{
    destroy_cancels(WR_IO_SIM);
}

Test(io_loop, destroying_nothing_is_fine)
{
    wr_io_destroy(NULL);
    struct wr_io *io;
    cr_assert_eq(wr_io_create(&io, WR_IO_EPOLL, 0, NULL), WR_OK); /* 0 entries count as 1 */
    wr_io_destroy(io);
}

Test(io_loop, the_environment_chooses_the_driver)
{
    struct wr_io *io;
    struct wr_error err;
    setenv("WEIR_IO", "epoll", 1);
    cr_assert_eq(wr_io_create(&io, WR_IO_AUTO, 4, &err), WR_OK);
    cr_assert_eq(wr_io_backend_of(io), WR_IO_EPOLL);
    cr_assert_str_eq(wr_io_backend_name(io), "epoll");
    wr_io_destroy(io);
    setenv("WEIR_IO", "kqueue", 1);
    cr_assert_eq(wr_io_create(&io, WR_IO_AUTO, 4, &err), WR_FAIL);
    cr_assert_eq(err.cls, WR_CLASS_USER);
    cr_assert_neq(strstr(err.message, "kqueue"), NULL);
    cr_assert_neq(strstr(err.hint, "epoll"), NULL);
    cr_assert_eq(io, NULL);
    unsetenv("WEIR_IO");
    cr_assert_eq(wr_io_create(&io, WR_IO_AUTO, 4, &err), WR_OK);
    cr_assert_eq(wr_io_backend_of(io),
                 wr_io_uring_unavailable()[0] == '\0' ? WR_IO_URING : WR_IO_EPOLL);
    wr_io_destroy(io);
}

static void *turn_elsewhere(void *io)
{
    const int fd = eventfd(1, EFD_CLOEXEC);
    struct seen seen = { 0 };
    struct wr_io_op op = op_of(WR_IO_POLL, fd, NULL, 0, 0, &seen);
    const bool polled = wr_io_run(io, &op) > 0;
    close(fd);
    wr_io_destroy(io);
    return polled ? io : NULL;
}

Test(io_loop, a_loop_may_be_made_by_one_thread_for_another, .timeout = 60)
{
    static const enum wr_io_backend all[] = { WR_IO_AUTO, WR_IO_EPOLL, WR_IO_SIM };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct wr_io *io;
        cr_assert_eq(wr_io_create(&io, all[i], 4, NULL), WR_OK);
        pthread_t owner;
        void *answer;
        cr_assert_eq(pthread_create(&owner, NULL, turn_elsewhere, io), 0);
        pthread_join(owner, &answer);
        cr_assert_eq(answer, io);
    }
}
