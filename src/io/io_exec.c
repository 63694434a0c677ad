/* io_exec.c: an op as a plain system call, for the drivers that have no ring. */
#include "io/io_driver.h"

#include "base/assert.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

short wr_io_interest(const struct wr_io_op *op)
{
    return op->kind == WR_IO_WRITE ? POLLOUT : POLLIN;
}

short wr_io_ready(const struct wr_io_op *op)
{
    struct pollfd watch = { .fd = op->fd, .events = wr_io_interest(op) };
    int count;
    do {
        count = poll(&watch, 1, 0);
    } while (count < 0 && errno == EINTR);
    return count > 0 ? watch.revents : 0;
}

/* A pipe that is ready takes PIPE_BUF bytes without blocking, no more is promised: write in such
 * pieces while it stays ready. */
static int32_t write_stream(struct wr_io_op *op)
{
    uint32_t written = 0;
    do {
        const uint32_t left = op->bytes - written;
        const uint32_t piece = left < PIPE_BUF ? left : PIPE_BUF;
        const ssize_t n = write(op->fd, (const char *)op->buffer + written, piece);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return written > 0 ? (int32_t)written : -errno;
        }
        written += (uint32_t)n;
    } while (written < op->bytes && wr_io_ready(op) == POLLOUT);
    return (int32_t)written;
}

static ssize_t call(struct wr_io_op *op)
{
    switch (op->kind) {
    case WR_IO_READ:
        return op->offset < 0 ? read(op->fd, op->buffer, op->bytes)
                              : pread(op->fd, op->buffer, op->bytes, op->offset);
    case WR_IO_WRITE:
        return pwrite(op->fd, op->buffer, op->bytes, op->offset);
    case WR_IO_FSYNC:
        return fdatasync(op->fd);
    case WR_IO_FSYNC_ALL:
        return fsync(op->fd);
    case WR_IO_POLL:
        break;
    }
    const short ready = wr_io_ready(op);
    if (ready & POLLNVAL) {
        errno = EBADF;
        return -1;
    }
    return ready;
}

int32_t wr_io_execute(struct wr_io_op *op)
{
    wr_assert(op->bytes <= INT32_MAX);
    if (op->kind == WR_IO_WRITE && op->offset < 0) {
        return write_stream(op);
    }
    ssize_t n;
    do {
        n = call(op);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (int32_t)n;
}
