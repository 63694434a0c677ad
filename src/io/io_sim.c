/* io_sim.c: see io_sim.h.
 *
 * An op takes effect when it completes, so that ops under way at the same time take effect
 * in any order, as with a real kernel.
 */
#include "io/io_sim.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/rand.h"
#include "io/io_driver.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* An op under way. */
struct pending {
    struct wr_io_op *op;
    uint64_t due; /* turn */
};

struct sim {
    struct wr_io io;
    struct wr_io_sim_knobs knobs;
    struct wr_rand rand;
    uint64_t turn;
    uint64_t completions;
    uint64_t completions_at_set; /* fail_nth counts from here */
    struct pending *pending;     /* started_max of them, in random order */
    uint32_t pending_count;
};

const struct wr_io_sim_knobs wr_io_sim_defaults = {
    .seed = 1,
    .delay_turns_max = 3,
    .short_per_mille = 200,
};

static struct sim *sim_of(struct wr_io *io)
{
    return (struct sim *)io; /* io is the first member */
}

static bool chance(struct sim *s, uint32_t per_mille)
{
    return wr_rand_below(&s->rand, 1000) < per_mille;
}

static int32_t execute(struct sim *s, struct wr_io_op *op)
{
    s->completions++;
    const bool nth = s->knobs.fail_nth != 0 &&
                     s->completions - s->completions_at_set == s->knobs.fail_nth;
    if (chance(s, s->knobs.error_per_mille) || nth) {
        return s->knobs.error == 0 ? -EIO : -s->knobs.error;
    }
    const bool transfer = op->kind == WR_IO_READ || op->kind == WR_IO_WRITE;
    const uint32_t bytes = op->bytes;
    if (transfer && bytes > 1 && chance(s, s->knobs.short_per_mille)) {
        op->bytes = 1 + (uint32_t)wr_rand_below(&s->rand, bytes - 1);
    }
    const int32_t result = wr_io_execute(op);
    op->bytes = bytes;
    return result;
}

static void pending_remove(struct sim *s, uint32_t index)
{
    s->pending[index] = s->pending[--s->pending_count];
}

/* Takes the op at index as far as it gets; true when that completed it. */
static bool complete(struct sim *s, uint32_t index)
{
    struct wr_io_op *op = s->pending[index].op;
    /* A cancelled op may still win the race, as in the kernel, where it need not wait. */
    if ((op->result & OP_CANCEL_ASKED) && (s->io.closing || chance(s, 500))) {
        pending_remove(s, index);
        wr_io_complete_started(&s->io, op, -ECANCELED);
        return true;
    }
    if (op->kind != WR_IO_FSYNC && op->kind != WR_IO_FSYNC_ALL && wr_io_ready(op) == 0) {
        return false; /* asked again in each turn */
    }
    const int32_t result = execute(s, op);
    if (result == -EAGAIN && s->knobs.error != EAGAIN) {
        return false;
    }
    pending_remove(s, index);
    wr_io_complete_started(&s->io, op, result);
    return true;
}

/* One simulated turn: what is due, in random order. Returns the number of ops whose time is still
 * to come. */
static uint32_t step(struct sim *s)
{
    s->turn++;
    for (uint32_t i = s->pending_count; i > 1; i--) {
        const uint32_t other = (uint32_t)wr_rand_below(&s->rand, i);
        const struct pending swap = s->pending[i - 1];
        s->pending[i - 1] = s->pending[other];
        s->pending[other] = swap;
    }
    uint32_t later = 0;
    for (uint32_t i = s->pending_count; i > 0; i--) {
        /* From the end: what takes the place of a removed one has been looked at already. */
        if (s->pending[i - 1].due > s->turn) {
            later++;
        } else if (!complete(s, i - 1) && (s->pending[i - 1].op->result & OP_CANCEL_ASKED)) {
            later++; /* a cancel that lost this time: no reason to sleep */
        }
    }
    return later;
}

/* Waits in poll(2) until an op's descriptor is ready, a wake-up or the time is over. */
static void sleep_in_poll(struct sim *s, int64_t timeout_ns)
{
    if (!wr_io_fall_asleep(&s->io)) {
        return;
    }
    struct pollfd *watched = wr_calloc(s->pending_count + 1u, sizeof(*watched));
    watched[0] = (struct pollfd){ .fd = s->io.wake_fd, .events = POLLIN };
    for (uint32_t i = 0; i < s->pending_count; i++) {
        watched[i + 1] = (struct pollfd){ .fd = s->pending[i].op->fd,
                                          .events = wr_io_interest(s->pending[i].op) };
    }
    const int64_t ms = timeout_ns < 0 ? -1 : (timeout_ns + 999999) / 1000000;
    const int count = poll(watched, s->pending_count + 1u, ms > INT_MAX ? INT_MAX : (int)ms);
    uint64_t wakes;
    if (count > 0 && (watched[0].revents & POLLIN) &&
        read(s->io.wake_fd, &wakes, sizeof(wakes)) < 0) {
        wr_assert(errno == EAGAIN || errno == EINTR);
    }
    free(watched);
}

static void sim_turn(struct wr_io *io, int64_t timeout_ns)
{
    struct sim *s = sim_of(io);
    struct wr_io_op *op;
    while ((op = wr_io_take_queued(io)) != NULL) {
        wr_io_mark_started(io, op);
        s->pending[s->pending_count++] = (struct pending){
            .op = op,
            .due = s->turn + 1 + wr_rand_below(&s->rand, (uint64_t)s->knobs.delay_turns_max + 1),
        };
    }
    uint32_t later = step(s);
    while (timeout_ns != 0 && io->completed.first == NULL && later > 0) {
        later = step(s);
    }
    if (timeout_ns != 0 && io->completed.first == NULL && !s->knobs.no_sleep) {
        sleep_in_poll(s, timeout_ns);
        step(s);
    }
    wr_io_stay_awake(io);
}

static void sim_cancel(struct wr_io *io, struct wr_io_op *op)
{
    struct sim *s = sim_of(io);
    for (uint32_t i = 0; i < s->pending_count; i++) {
        if (s->pending[i].op == op) {
            s->pending[i].due = s->turn + 1;
        }
    }
}

static void sim_close(struct wr_io *io)
{
    free(sim_of(io)->pending);
}

static const struct io_driver sim_driver = {
    .backend = WR_IO_SIM,
    .name = "simulation",
    .turn = sim_turn,
    .cancel = sim_cancel,
    .close = sim_close,
};

void wr_io_sim_set(struct wr_io *io, const struct wr_io_sim_knobs *knobs)
{
    wr_assert(io->driver == &sim_driver);
    struct sim *s = sim_of(io);
    s->knobs = *knobs;
    s->completions_at_set = s->completions;
    wr_rand_seed(&s->rand, knobs->seed);
}

uint64_t wr_io_sim_completions(const struct wr_io *io)
{
    wr_assert(io->driver == &sim_driver);
    return ((const struct sim *)io)->completions;
}

wr_status wr_io_open_sim(struct wr_io **io, uint32_t entries, struct wr_error *err)
{
    struct sim *s = wr_calloc(1, sizeof(*s));
    wr_io_base_init(&s->io, &sim_driver, entries);
    s->io.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->io.wake_fd < 0) {
        const int error = errno;
        free(s);
        return wr_fail(err, WR_CLASS_FATAL, "cannot make an eventfd: %s", strerror(error));
    }
    s->pending = wr_calloc(s->io.started_max, sizeof(*s->pending));
    wr_io_sim_set(&s->io, &wr_io_sim_defaults);
    *io = &s->io;
    return WR_OK;
}
