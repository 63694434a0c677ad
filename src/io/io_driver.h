/* io_driver.h: what the loop's three drivers (io_uring, epoll, simulated) share. Inside src/io
 * only.
 *
 * An op is in exactly one of three lists: queued (submitted, not started), started (the driver has
 * it) or completed (its done() comes in this turn). While it is started, op->result holds enum
 * op_flags and op->next and op->loop_private link it both ways.
 */
#ifndef WR_IO_DRIVER_H
#define WR_IO_DRIVER_H

#include "io/loop.h"
#include <stdatomic.h>

enum op_flags {
    OP_POLLING = 1,       /* waits for readiness, to be tried again then */
    OP_CANCEL_ASKED = 2,  /* wr_io_cancel was called */
    OP_CANCEL_ISSUED = 4, /* and the driver has passed that on */
};

/* The wake-up: one word, changed only by read-modify-write, so that no store-load race can lose
 * one. */
enum wake_state {
    WAKE_AWAKE,    /* the owner runs; a wake-up needs no system call */
    WAKE_NOTIFIED, /* the next wait returns at once */
    WAKE_SLEEPING, /* the owner waits in the kernel: write the eventfd */
};

struct op_list {
    struct wr_io_op *first;
    struct wr_io_op *last;
};

struct io_driver {
    enum wr_io_backend backend;
    const char *name;
    /* Starts queued ops, waits at most timeout_ns (as wr_io_turn), moves what is done to
     * completed. */
    void (*turn)(struct wr_io *io, int64_t timeout_ns);
    /* A started op has been marked OP_CANCEL_ASKED: stop it now, or in the next turn. */
    void (*cancel)(struct wr_io *io, struct wr_io_op *op);
    /* Frees the driver's own parts. Nothing is under way, except after a wrong-thread destroy. */
    void (*close)(struct wr_io *io);
};

struct wr_io {
    const struct io_driver *driver;
    struct op_list queued;
    struct op_list completed;
    struct wr_io_op started; /* head of the two-way list; only its links are used */
    uint32_t started_count;
    uint32_t started_max;
    bool closing; /* wr_io_destroy runs: nothing starts any more */
    bool woken;   /* a wake-up was taken since wr_io_run last looked */
    int wake_fd;  /* eventfd */
    _Atomic int wake_state;
};

/* io_loop.c: for the drivers. */
void wr_io_base_init(struct wr_io *io, const struct io_driver *driver, uint32_t entries);
struct wr_io_op *wr_io_take_queued(struct wr_io *io); /* NULL: none, or started_max is reached */
void wr_io_put_back(struct wr_io *io, struct wr_io_op *op); /* the same, in front again */
void wr_io_mark_started(struct wr_io *io, struct wr_io_op *op);
void wr_io_complete_started(struct wr_io *io, struct wr_io_op *op, int32_t result);
/* Declares the owner asleep; false: a wake-up is there already, do not wait. */
bool wr_io_fall_asleep(struct wr_io *io);
void wr_io_stay_awake(struct wr_io *io); /* after the wait, and in turns that do not wait */

static inline struct wr_io_op *op_prev(const struct wr_io_op *op)
{
    return (struct wr_io_op *)(uintptr_t)op->loop_private;
}

/* io_exec.c: the system call that the op stands for, in this thread. -errno or its result. */
int32_t wr_io_execute(struct wr_io_op *op);
/* Poll mask that the op waits for, and what of it (or error, or hang-up) is there now. */
short wr_io_interest(const struct wr_io_op *op);
short wr_io_ready(const struct wr_io_op *op);

/* One constructor per driver; the eventfd is made by them. */
wr_status wr_io_open_uring(struct wr_io **io, uint32_t entries, struct wr_error *err);
wr_status wr_io_open_epoll(struct wr_io **io, uint32_t entries, struct wr_error *err);
wr_status wr_io_open_sim(struct wr_io **io, uint32_t entries, struct wr_error *err);

/* io_uring.c: tries to make a ring as the driver would; 0 or -errno. For the probe. */
int wr_io_try_uring(void);
/* io_probe.c: what to do about wr_io_uring_unavailable(). */
const char *wr_io_uring_hint(void);

#endif
