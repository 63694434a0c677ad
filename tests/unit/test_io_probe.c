/* What happens where a system call is refused: a seccomp filter, as a container has it, stands in
 * each case's own process. */
#include "base/clock.h"
#include "base/log.h"
#include "io/loop.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The system call fails with error from now on; everything else is allowed. */
static void refuse(uint32_t number, uint32_t error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = { .len = 4, .filter = filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        cr_skip_test("no seccomp here");
    }
    unsetenv("WEIR_IO");
}

static char captured[8192];

/* Makes and destroys two loops of kind AUTO with standard error captured. */
static const char *auto_twice(void)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    const int saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    for (int i = 0; i < 2; i++) {
        struct wr_io *io = NULL;
        cr_assert_eq(wr_io_create(&io, WR_IO_AUTO, 4, NULL), WR_OK);
        cr_assert_eq(wr_io_backend_of(io), WR_IO_EPOLL);
        wr_io_destroy(io);
    }
    dup2(saved, STDERR_FILENO);
    close(saved);
    const ssize_t bytes = read(ends[0], captured, sizeof(captured) - 1);
    captured[bytes < 0 ? 0 : bytes] = '\0';
    close(ends[0]);
    return captured;
}

static int occurrences(const char *text, const char *part)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++) {
        count++;
    }
    return count;
}

Test(io_probe, a_seccomp_profile_is_named_once_with_the_fix)
{
    refuse(__NR_io_uring_setup, EPERM);
    wr_log_setup(WR_LOG_INFO, WR_LOG_TEXT);
    const char *text = auto_twice();
    cr_assert_eq(occurrences(text, "weir: warning: io: io_uring is not available"), 1, "%s", text);
    cr_assert_eq(occurrences(text, "\n  hint: "), 1);
    cr_assert(strstr(text, "seccomp") != NULL || strstr(text, "sysctl") != NULL, "%s", text);
    cr_assert_neq(wr_io_uring_unavailable()[0], '\0');
}

Test(io_probe, an_old_kernel_is_named)
{
    refuse(__NR_io_uring_setup, ENOSYS);
    cr_assert_eq(occurrences(auto_twice(), "from before Linux 5.11"), 1, "%s", captured);
}

Test(io_probe, an_unknown_errno_is_put_into_words)
{
    refuse(__NR_io_uring_setup, EFAULT);
    cr_assert_eq(occurrences(auto_twice(), strerror(EFAULT)), 1, "%s", captured);
}

Test(io_probe, the_warning_can_be_silenced_by_choosing_epoll)
{
    refuse(__NR_io_uring_setup, EPERM);
    setenv("WEIR_IO", "epoll", 1);
    cr_assert_str_eq(auto_twice(), "");
}

Test(io_probe, forcing_io_uring_where_it_is_refused_is_an_error_with_a_hint)
{
    refuse(__NR_io_uring_setup, EPERM);
    setenv("WEIR_IO", "uring", 1);
    struct wr_io *io;
    struct wr_error err;
    cr_assert_eq(wr_io_create(&io, WR_IO_AUTO, 4, &err), WR_FAIL);
    cr_assert_eq(io, NULL);
    cr_assert_eq(err.cls, WR_CLASS_FATAL);
    cr_assert_neq(strstr(err.message, "cannot make an io_uring"), NULL);
    cr_assert_neq(strstr(err.hint, "WEIR_IO=epoll"), NULL);
}

static void note(struct wr_io_op *op)
{
    *(int32_t *)op->ctx = op->result;
}

Test(io_probe, epoll_waits_in_milliseconds_where_the_finer_call_is_refused, .timeout = 60)
{
    refuse(__NR_epoll_pwait2, ENOSYS);
    struct wr_io *io;
    cr_assert_eq(wr_io_create(&io, WR_IO_EPOLL, 4, NULL), WR_OK);
    const int64_t start = wr_clock_now().mono_ns;
    wr_io_turn(io, 1500000); /* 1.5 ms: rounded up, never down */
    cr_assert_geq(wr_clock_now().mono_ns - start, 1500000);
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    char byte = 0;
    int32_t result = 0;
    struct wr_io_op op = { .kind = WR_IO_READ, .fd = ends[0], .buffer = &byte, .bytes = 1,
                           .offset = -1, .done = note, .ctx = &result };
    wr_io_submit(io, &op);
    cr_assert_eq(wr_io_turn(io, 1), 0);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    cr_assert_eq(wr_io_turn(io, -1), 1);
    cr_assert_eq(result, 1);
    cr_assert_eq(byte, 'x');
    wr_io_wake(io);
    wr_io_turn(io, -1); /* would hang if it did not see the wake-up */
    wr_io_destroy(io);
    close(ends[0]);
    close(ends[1]);
}
