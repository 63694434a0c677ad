/* loop.h: the event loop of one thread: io_uring where the kernel permits it, epoll where it does
 * not, a seeded stand-in in simulations. Files, descriptors to watch, wake-ups from other threads,
 * one sleep.
 *
 * Ownership: the caller owns struct wr_io_op and its buffer until done() has been called; the loop
 * only links them. done() may submit the same op again or free it.
 * Threads: one; only wr_io_wake may be called from others.
 * Invariants:
 *   (1) done() is called exactly once per submitted op, never from inside a submit call:
 *       completions are queued while reaping and run after it, so that stack and order stay bounded
 *   (2) nothing sleeps except wr_io_turn
 *   (3) ops complete with result < 0 as -errno, or the byte count as read(2)/write(2) would give
 *       it; short reads and writes are handed to the caller
 */
#ifndef WR_IO_LOOP_H
#define WR_IO_LOOP_H

#include "base/status.h"
#include <sys/types.h>

struct wr_io;

enum wr_io_kind {
    WR_IO_READ,   /* pread(fd, buffer, bytes, offset); offset -1: the file's own position (pipes) */
    WR_IO_WRITE,  /* pwrite likewise */
    WR_IO_FSYNC,  /* fdatasync(fd) */
    WR_IO_FSYNC_ALL, /* fsync(fd): directories, whose names fdatasync need not keep */
    WR_IO_POLL,   /* fd readable, once; result = poll mask */
};

struct wr_io_op {
    enum wr_io_kind kind;
    int fd;
    void *buffer;
    uint32_t bytes;
    int64_t offset;
    int32_t result;
    void (*done)(struct wr_io_op *op);
    void *ctx;             /* the submitter's */
    struct wr_io_op *next; /* the loop's */
    uint64_t loop_private; /* the loop's */
};

enum wr_io_backend { WR_IO_AUTO, WR_IO_URING, WR_IO_EPOLL, WR_IO_SIM };

/* entries: how many ops may be under way at once (more wait in the loop's own list). WR_IO_AUTO
 * tries io_uring and falls back to epoll (regular files are then read by plain pread in
 * wr_io_turn), with one warning per process that names the reason and the fix. WEIR_IO=epoll|uring
 * in the environment forces one. */
WR_NODISCARD wr_status wr_io_create(struct wr_io **io, enum wr_io_backend backend, uint32_t entries,
                                    struct wr_error *err);
/* Simulated: completions are reordered, delayed and failed by seed; see io_sim.h for its knobs. */
/* NULL is fine; ops under way are cancelled and their done() called, which must not submit them
 * again.
 * @thread owner, or any once the owner has ended with nothing under way */
void wr_io_destroy(struct wr_io *io);

enum wr_io_backend wr_io_backend_of(const struct wr_io *io);
const char *wr_io_backend_name(const struct wr_io *io);

/* Queues op; it starts with the next wr_io_turn. @thread owner */
void wr_io_submit(struct wr_io *io, struct wr_io_op *op);
/* Asks to stop an op early (done() still comes, with -ECANCELED or its result). @thread owner */
void wr_io_cancel(struct wr_io *io, struct wr_io_op *op);

/* One turn: submits, waits until a completion, a wake-up, a signal or timeout_ns (0: only looks;
 * <0: no limit), then calls done() of all that completed. Returns how many. It may return early
 * with 0: callers look at their own state, not at why it returned. @thread owner: the first to
 * turn, not the creator */
uint32_t wr_io_turn(struct wr_io *io, int64_t timeout_ns);

/* Submits op and turns until it is done: for threads that may wait (sink workers). Returns its
 * result; done() is called too where there is one, and a wake-up that came meanwhile ends the next
 * wr_io_turn. */
int32_t wr_io_run(struct wr_io *io, struct wr_io_op *op);

/* Starts what is queued and turns until *under_way, which the done() of the caller's own ops counts
 * down, is at most that: for threads that may wait. Wake-ups as with wr_io_run. */
void wr_io_wait(struct wr_io *io, const uint32_t *under_way, uint32_t at_most);

/* Makes the owner's current or next wr_io_turn return. Cheap when it is not asleep (an atomic flag
 * guards the eventfd write). Async-signal-safe. @thread any */
void wr_io_wake(struct wr_io *io);

/* Why io_uring cannot be used here ("" when it can); the kernel probe for `weir version`. */
const char *wr_io_uring_unavailable(void);

#endif
