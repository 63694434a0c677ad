/* io_epoll.c: the loop on epoll, for kernels and containers that forbid io_uring.
 *
 * What can wait for ever (pipes, sockets, eventfds) waits for readiness; what cannot (regular
 * files) is done by a plain system call in the turn.
 * Invariants:
 *   (1) a started op waits for its descriptor, which is armed (ONESHOT) for all ops that wait for
 *   it
 *   (2) no call blocks except epoll_wait: before a stream is read or written, poll(2) is asked
 *       again, since another op may have taken what was there
 */
#include "io/io_driver.h"

#include "base/assert.h"
#include "base/heap.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* Events taken by one epoll_wait; more are taken by the next turn. */
#define EVENTS_MAX 64

_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT, "one mask serves both calls");

struct epoll {
    struct wr_io io;
    int fd;
    bool lacks_pwait2; /* kernel before 5.11: wait in milliseconds */
};

static struct epoll *epoll_of(struct wr_io *io)
{
    return (struct epoll *)io; /* io is the first member */
}

/* Arms fd for all ops that wait for it. 0 or -errno; nothing waits: 0, it stays as it is (disarmed,
 * or it fires once for nobody). */
static int arm(struct epoll *e, int fd)
{
    int interest = 0;
    for (const struct wr_io_op *op = e->io.started.next; op != &e->io.started; op = op->next) {
        interest |= op->fd == fd ? wr_io_interest(op) : 0;
    }
    if (interest == 0) {
        return 0;
    }
    struct epoll_event event = { .events = (uint32_t)interest | EPOLLONESHOT,
                                 .data = { .fd = fd } };
    /* Armed again and again is the usual case (a queue's eventfd), so change before adding. */
    if (epoll_ctl(e->fd, EPOLL_CTL_MOD, fd, &event) == 0) {
        return 0;
    }
    if (errno == ENOENT && epoll_ctl(e->fd, EPOLL_CTL_ADD, fd, &event) == 0) {
        return 0;
    }
    return -errno;
}

static void start(struct epoll *e, struct wr_io_op *op)
{
    wr_io_mark_started(&e->io, op);
    if (op->kind == WR_IO_FSYNC || (op->kind != WR_IO_POLL && op->offset >= 0)) {
        wr_io_complete_started(&e->io, op, wr_io_execute(op));
        return;
    }
    const int result = arm(e, op->fd);
    if (result == -EPERM) { /* what epoll refuses is always ready */
        wr_io_complete_started(&e->io, op, wr_io_execute(op));
    } else if (result < 0) {
        wr_io_complete_started(&e->io, op, result);
    }
}

/* Tries all ops that wait for fd, oldest first, and arms it again for those that go on waiting. */
static void fd_ready(struct epoll *e, int fd)
{
    struct wr_io_op *next;
    for (struct wr_io_op *op = e->io.started.next; op != &e->io.started; op = next) {
        next = op->next;
        if (op->fd != fd) {
            continue;
        }
        const short ready = wr_io_ready(op); /* (2) */
        if (ready == 0) {
            continue;
        }
        const int32_t result = op->kind == WR_IO_POLL ? ready : wr_io_execute(op);
        if (result != -EAGAIN) {
            wr_io_complete_started(&e->io, op, result);
        }
    }
    const int result = arm(e, fd); /* (1) */
    if (result == 0) {
        return;
    }
    for (struct wr_io_op *op = e->io.started.next; op != &e->io.started; op = next) {
        next = op->next;
        if (op->fd == fd) {
            wr_io_complete_started(&e->io, op, result);
        }
    }
}

static int wait_ms(int64_t timeout_ns)
{
    const int64_t ms = timeout_ns < 0 ? -1 : (timeout_ns + 999999) / 1000000;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

static int wait_events(struct epoll *e, struct epoll_event *events, int64_t timeout_ns)
{
    if (!e->lacks_pwait2) {
        const struct timespec limit = { .tv_sec = timeout_ns / 1000000000,
                                        .tv_nsec = timeout_ns % 1000000000 };
        const int count =
            epoll_pwait2(e->fd, events, EVENTS_MAX, timeout_ns < 0 ? NULL : &limit, NULL);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM)) {
            return count;
        }
        e->lacks_pwait2 = true; /* an old kernel, or a filter that does not know the call */
    }
    return epoll_wait(e->fd, events, EVENTS_MAX, wait_ms(timeout_ns));
}

static void drain_wake(struct epoll *e)
{
    uint64_t count;
    while (read(e->io.wake_fd, &count, sizeof(count)) < 0 && errno == EINTR) {
    }
}

static void epoll_turn(struct wr_io *io, int64_t timeout_ns)
{
    struct epoll *e = epoll_of(io);
    struct wr_io_op *op;
    while ((op = wr_io_take_queued(io)) != NULL) {
        start(e, op);
    }
    if (io->completed.first != NULL) {
        timeout_ns = 0;
    }
    if (timeout_ns == 0 && io->started_count == 0) {
        wr_io_stay_awake(io);
        return; /* nothing that could have happened */
    }
    const bool asleep = timeout_ns != 0 && wr_io_fall_asleep(io);
    struct epoll_event events[EVENTS_MAX];
    const int count = wait_events(e, events, asleep ? timeout_ns : 0);
    wr_assert(count >= 0 || errno == EINTR); /* a signal ends the wait as a wake-up does */
    wr_io_stay_awake(io);
    for (int i = 0; i < count; i++) {
        if (events[i].data.fd == io->wake_fd) {
            drain_wake(e);
        } else {
            fd_ready(e, events[i].data.fd);
        }
    }
}

static void epoll_cancel(struct wr_io *io, struct wr_io_op *op)
{
    wr_io_complete_started(io, op, -ECANCELED);
}

static void epoll_close(struct wr_io *io)
{
    close(epoll_of(io)->fd);
}

static const struct io_driver epoll_driver = {
    .backend = WR_IO_EPOLL,
    .name = "epoll",
    .turn = epoll_turn,
    .cancel = epoll_cancel,
    .close = epoll_close,
};

wr_status wr_io_open_epoll(struct wr_io **io, uint32_t entries, struct wr_error *err)
{
    struct epoll *e = wr_calloc(1, sizeof(*e));
    wr_io_base_init(&e->io, &epoll_driver, entries);
    e->fd = epoll_create1(EPOLL_CLOEXEC);
    e->io.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = { .events = EPOLLIN, .data = { .fd = e->io.wake_fd } };
    if (e->fd < 0 || e->io.wake_fd < 0 ||
        epoll_ctl(e->fd, EPOLL_CTL_ADD, e->io.wake_fd, &event) != 0) {
        wr_fail(err, WR_CLASS_FATAL, "cannot make an epoll loop: %s", strerror(errno));
        wr_error_hint(err, "raise the limit of open files (ulimit -n)");
        if (e->fd >= 0) {
            close(e->fd);
        }
        if (e->io.wake_fd >= 0) {
            close(e->io.wake_fd);
        }
        free(e);
        return WR_FAIL;
    }
    *io = &e->io;
    return WR_OK;
}
