/* io_uring.c: the loop on io_uring: one system call a turn, which submits, waits and reaps.
 *
 * Threads: the ring is made disabled and enabled by the first turn, so that the thread that turns,
 * not the one that creates, becomes the ring's single issuer.
 * Invariants:
 *   (1) a read of the eventfd is under way whenever the thread waits: any wake-up ends the wait
 *   (2) no more than started_max ops are in the kernel at once
 */
#include "io/io_driver.h"

#include "base/assert.h"
#include "base/heap.h"
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Larger rings only cost locked memory: what does not fit waits in the loop's own list. */
#define SQ_ENTRIES_MAX 1024u

struct uring {
    struct wr_io io;
    struct io_uring ring;
    uint64_t wake_count;    /* where the eventfd's read goes */
    uint32_t cancels_owed;  /* started ops marked OP_CANCEL_ASKED and not yet OP_CANCEL_ISSUED */
    bool enabled;
    bool wake_armed;
};

static struct uring *uring_of(struct wr_io *io)
{
    return (struct uring *)io; /* io is the first member */
}

/* Newest kernel first: 6.1 has all of it, 5.19 has no deferral, older ones need none of it. */
static int ring_open(struct io_uring *ring, unsigned entries)
{
    static const unsigned flags[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN |
            IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED,
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED,
        IORING_SETUP_R_DISABLED,
    };
    /* Timed waits (5.11), no lost completions, waiting on pipes without a kernel thread. */
    const unsigned needed =
        IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_FAST_POLL | IORING_FEAT_RW_CUR_POS;
    int result = -EINVAL;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && result == -EINVAL; i++) {
        struct io_uring_params params = { .flags = flags[i] };
        result = io_uring_queue_init_params(entries, ring, &params);
        if (result == 0 && (params.features & needed) != needed) {
            io_uring_queue_exit(ring);
            return -ENOSYS;
        }
    }
    return result;
}

/* io_uring_enable_rings by hand: liburing 2.3 declares it, but its shared library does not export
 * it. */
static void ring_enable(struct io_uring *ring)
{
    const long result = syscall(__NR_io_uring_register, ring->ring_fd,
                                IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    wr_assert(result == 0);
}

int wr_io_try_uring(void)
{
    struct io_uring ring;
    const int result = ring_open(&ring, 2);
    if (result == 0) {
        io_uring_queue_exit(&ring);
    }
    return result;
}

static struct io_uring_sqe *get_sqe(struct uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    if (sqe == NULL) {
        io_uring_submit(&u->ring); /* whatever it returns: the queue has room now, or it has not */
        sqe = io_uring_get_sqe(&u->ring);
    }
    return sqe;
}

static void prepare(struct io_uring_sqe *sqe, struct wr_io_op *op)
{
    if (op->result & OP_POLLING) {
        io_uring_prep_poll_add(sqe, op->fd, (unsigned)wr_io_interest(op));
    } else if (op->kind == WR_IO_READ) {
        io_uring_prep_read(sqe, op->fd, op->buffer, op->bytes, (__u64)op->offset);
    } else if (op->kind == WR_IO_WRITE) {
        io_uring_prep_write(sqe, op->fd, op->buffer, op->bytes, (__u64)op->offset);
    } else if (op->kind == WR_IO_FSYNC) {
        io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC);
    } else if (op->kind == WR_IO_FSYNC_ALL) {
        io_uring_prep_fsync(sqe, op->fd, 0);
    } else {
        io_uring_prep_poll_add(sqe, op->fd, POLLIN);
    }
    io_uring_sqe_set_data(sqe, op);
}

static void start_queued(struct uring *u)
{
    struct wr_io_op *op;
    while ((op = wr_io_take_queued(&u->io)) != NULL) {
        struct io_uring_sqe *sqe = get_sqe(u);
        if (sqe == NULL) {
            wr_io_put_back(&u->io, op);
            return;
        }
        wr_assert(op->bytes <= INT32_MAX);
        wr_io_mark_started(&u->io, op);
        prepare(sqe, op);
    }
}

static void issue_cancels(struct uring *u)
{
    struct wr_io_op *op = u->io.started.next;
    for (; u->cancels_owed > 0 && op != &u->io.started; op = op->next) {
        if ((op->result & (OP_CANCEL_ASKED | OP_CANCEL_ISSUED)) != OP_CANCEL_ASKED) {
            continue;
        }
        struct io_uring_sqe *sqe = get_sqe(u);
        if (sqe == NULL) {
            return; /* still owed: the next turn tries again */
        }
        io_uring_prep_cancel(sqe, op, 0);
        io_uring_sqe_set_data(sqe, NULL);
        op->result |= OP_CANCEL_ISSUED;
        u->cancels_owed--;
    }
}

static void arm_wake(struct uring *u)
{
    if (u->wake_armed) {
        return;
    }
    struct io_uring_sqe *sqe = get_sqe(u);
    if (sqe != NULL) {
        io_uring_prep_read(sqe, u->io.wake_fd, &u->wake_count, sizeof(u->wake_count), 0);
        io_uring_sqe_set_data(sqe, u);
        u->wake_armed = true;
    }
}

/* A descriptor in non-blocking mode answers -EAGAIN instead of waiting: wait by a poll, then try
 * again. */
static bool try_again(struct uring *u, struct wr_io_op *op, int32_t result)
{
    const bool polled = (op->result & OP_POLLING) != 0;
    const bool again = polled ? result >= 0
                              : result == -EAGAIN && op->kind != WR_IO_FSYNC &&
                                    op->kind != WR_IO_FSYNC_ALL;
    if (!again || (op->result & OP_CANCEL_ASKED)) {
        return false;
    }
    struct io_uring_sqe *sqe = get_sqe(u);
    if (sqe == NULL) {
        return false; /* the caller gets -EAGAIN (or the poll mask below) and may submit again */
    }
    op->result = polled ? 0 : OP_POLLING;
    prepare(sqe, op);
    return true;
}

static void finish(struct uring *u, struct wr_io_op *op, int32_t result)
{
    if (try_again(u, op, result)) {
        return;
    }
    if ((op->result & (OP_CANCEL_ASKED | OP_CANCEL_ISSUED)) == OP_CANCEL_ASKED) {
        u->cancels_owed--;
    }
    if ((op->result & OP_POLLING) && result >= 0) {
        result = op->result & OP_CANCEL_ASKED ? -ECANCELED : -EAGAIN; /* readiness is no result */
    }
    wr_io_complete_started(&u->io, op, result);
}

static void reap(struct uring *u)
{
    struct io_uring_cqe *cqe;
    while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
        void *data = io_uring_cqe_get_data(cqe);
        const int32_t result = cqe->res;
        io_uring_cqe_seen(&u->ring, cqe);
        if (data == u) {
            u->wake_armed = false;
        } else if (data != NULL && data != (void *)(uintptr_t)LIBURING_UDATA_TIMEOUT) {
            finish(u, data, result);
        }
    }
}

static bool has_work(const struct uring *u)
{
    const unsigned flags = IO_URING_READ_ONCE(*u->ring.sq.kflags);
    return io_uring_sq_ready(&u->ring) > 0 || (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW));
}

static void submit_and_wait(struct uring *u, int64_t timeout_ns)
{
    int result = 0;
    struct io_uring_cqe *cqe;
    if (timeout_ns == 0) {
        result = has_work(u) ? io_uring_submit_and_get_events(&u->ring) : 0;
    } else if (timeout_ns < 0) {
        result = io_uring_submit_and_wait(&u->ring, 1);
    } else {
        struct __kernel_timespec limit = { .tv_sec = timeout_ns / 1000000000,
                                           .tv_nsec = timeout_ns % 1000000000 };
        result = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &limit, NULL);
    }
    /* EINTR: a signal ends the wait as a wake-up does. EBUSY, EAGAIN: the kernel is short of room
     * until completions are reaped, which comes next. Anything else is a ring used from a second
     * thread. */
    wr_assert(result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY ||
              result == -EAGAIN);
}

static void uring_turn(struct wr_io *io, int64_t timeout_ns)
{
    struct uring *u = uring_of(io);
    if (!u->enabled) {
        ring_enable(&u->ring);
        u->enabled = true;
    }
    start_queued(u);
    issue_cancels(u);
    arm_wake(u);
    if (io_uring_cq_ready(&u->ring) > 0 || !u->wake_armed /* (1) */) {
        timeout_ns = 0;
    }
    const bool asleep = timeout_ns != 0 && wr_io_fall_asleep(io);
    submit_and_wait(u, asleep ? timeout_ns : 0);
    wr_io_stay_awake(io);
    reap(u);
}

static void uring_cancel(struct wr_io *io, struct wr_io_op *op)
{
    if (!(op->result & OP_CANCEL_ISSUED)) {
        uint32_t owed = 0;
        for (const struct wr_io_op *at = io->started.next; at != &io->started; at = at->next) {
            owed += (at->result & (OP_CANCEL_ASKED | OP_CANCEL_ISSUED)) == OP_CANCEL_ASKED;
        }
        uring_of(io)->cancels_owed = owed;
    }
}

static void uring_close(struct wr_io *io)
{
    struct uring *u = uring_of(io);
    /* The kernel must not write wake_count after it is freed: let the read end first. */
    const uint64_t one = 1;
    while (u->wake_armed && write(io->wake_fd, &one, sizeof(one)) == (ssize_t)sizeof(one)) {
        const int result = io_uring_submit_and_wait(&u->ring, 1);
        if (result < 0 && result != -EINTR) {
            break;
        }
        reap(u);
    }
    io_uring_queue_exit(&u->ring);
}

static const struct io_driver uring_driver = {
    .backend = WR_IO_URING,
    .name = "io_uring",
    .turn = uring_turn,
    .cancel = uring_cancel,
    .close = uring_close,
};

wr_status wr_io_open_uring(struct wr_io **io, uint32_t entries, struct wr_error *err)
{
    struct uring *u = wr_calloc(1, sizeof(*u));
    wr_io_base_init(&u->io, &uring_driver, entries);
    /* The completion queue is twice as large: room for ops (2), cancels and the eventfd's read;
     * beyond SQ_ENTRIES_MAX the kernel keeps what does not fit (FEAT_NODROP). */
    const uint32_t sq = u->io.started_max < SQ_ENTRIES_MAX ? u->io.started_max + 1 : SQ_ENTRIES_MAX;
    const int result = ring_open(&u->ring, sq);
    if (result < 0) {
        free(u);
        const char *why = wr_io_uring_unavailable();
        wr_fail(err, WR_CLASS_FATAL, "cannot make an io_uring: %s",
                why[0] != '\0' ? why : strerror(-result));
        wr_error_hint(err, "%s, or use WEIR_IO=epoll", wr_io_uring_hint());
        return WR_FAIL;
    }
    u->io.wake_fd = eventfd(0, EFD_CLOEXEC); /* blocking: the ring's read shall wait for a count */
    if (u->io.wake_fd < 0) {
        const int error = errno;
        io_uring_queue_exit(&u->ring);
        free(u);
        wr_fail(err, WR_CLASS_FATAL, "cannot make an eventfd: %s", strerror(error));
        wr_error_hint(err, "raise the limit of open files (ulimit -n)");
        return WR_FAIL;
    }
    *io = &u->io;
    return WR_OK;
}
