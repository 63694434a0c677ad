/* io_loop.c: the part of the loop that does not depend on the driver: lists, dispatch, wake-ups. */
#include "io/io_driver.h"

#include "base/assert.h"
#include "base/log.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void list_append(struct op_list *list, struct wr_io_op *op)
{
    op->next = NULL;
    if (list->last == NULL) {
        list->first = op;
    } else {
        list->last->next = op;
    }
    list->last = op;
}

static struct wr_io_op *list_take(struct op_list *list)
{
    struct wr_io_op *op = list->first;
    if (op != NULL) {
        list->first = op->next;
        list->last = list->first == NULL ? NULL : list->last;
        op->next = NULL;
    }
    return op;
}

static bool list_remove(struct op_list *list, struct wr_io_op *op)
{
    struct wr_io_op *before = NULL;
    for (struct wr_io_op *at = list->first; at != NULL; before = at, at = at->next) {
        if (at != op) {
            continue;
        }
        if (before == NULL) {
            list->first = op->next;
        } else {
            before->next = op->next;
        }
        list->last = list->last == op ? before : list->last;
        op->next = NULL;
        return true;
    }
    return false;
}

void wr_io_base_init(struct wr_io *io, const struct io_driver *driver, uint32_t entries)
{
    io->driver = driver;
    io->started.next = &io->started;
    io->started.loop_private = (uintptr_t)&io->started;
    io->started_max = entries == 0 ? 1 : entries;
    io->wake_fd = -1;
    atomic_init(&io->wake_state, WAKE_AWAKE);
}

struct wr_io_op *wr_io_take_queued(struct wr_io *io)
{
    return io->started_count < io->started_max ? list_take(&io->queued) : NULL;
}

void wr_io_put_back(struct wr_io *io, struct wr_io_op *op)
{
    op->next = io->queued.first;
    io->queued.first = op;
    io->queued.last = io->queued.last == NULL ? op : io->queued.last;
}

void wr_io_mark_started(struct wr_io *io, struct wr_io_op *op)
{
    struct wr_io_op *last = op_prev(&io->started);
    op->result = 0;
    op->next = &io->started;
    op->loop_private = (uintptr_t)last;
    last->next = op;
    io->started.loop_private = (uintptr_t)op;
    io->started_count++;
}

void wr_io_complete_started(struct wr_io *io, struct wr_io_op *op, int32_t result)
{
    wr_assert(io->started_count > 0);
    op_prev(op)->next = op->next;
    op->next->loop_private = op->loop_private;
    io->started_count--;
    op->loop_private = 0;
    op->result = result;
    list_append(&io->completed, op);
}

bool wr_io_fall_asleep(struct wr_io *io)
{
    int awake = WAKE_AWAKE;
    return atomic_compare_exchange_strong(&io->wake_state, &awake, WAKE_SLEEPING);
}

void wr_io_stay_awake(struct wr_io *io)
{
    if (atomic_load_explicit(&io->wake_state, memory_order_relaxed) == WAKE_AWAKE) {
        return;
    }
    /* Acquire (as part of seq_cst) pairs with wr_io_wake's exchange: what the waker wrote is
     * visible. */
    if (atomic_exchange(&io->wake_state, WAKE_AWAKE) == WAKE_NOTIFIED) {
        io->woken = true;
    }
}

void wr_io_wake(struct wr_io *io)
{
    /* Always an exchange: a plain look at the flag could pass the waker's own earlier stores. */
    if (atomic_exchange(&io->wake_state, WAKE_NOTIFIED) != WAKE_SLEEPING) {
        return;
    }
    const int saved_errno = errno; /* a signal handler may be the caller */
    const uint64_t one = 1;
    while (write(io->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
    errno = saved_errno;
}

void wr_io_submit(struct wr_io *io, struct wr_io_op *op)
{
    wr_dassert(op->done != NULL);
    if (io->closing) {
        op->result = -ECANCELED;
        list_append(&io->completed, op);
    } else {
        list_append(&io->queued, op);
    }
}

void wr_io_cancel(struct wr_io *io, struct wr_io_op *op)
{
    if (list_remove(&io->queued, op)) {
        op->result = -ECANCELED;
        list_append(&io->completed, op);
        return;
    }
    for (struct wr_io_op *at = io->started.next; at != &io->started; at = at->next) {
        if (at == op) {
            op->result |= OP_CANCEL_ASKED;
            io->driver->cancel(io, op);
            return;
        }
    }
    /* Completed already: its done() has come or comes in this turn. */
}

static uint32_t dispatch(struct wr_io *io)
{
    uint32_t count = 0;
    struct wr_io_op *op;
    while ((op = list_take(&io->completed)) != NULL) {
        op->done(op);
        count++;
    }
    return count;
}

uint32_t wr_io_turn(struct wr_io *io, int64_t timeout_ns)
{
    /* Ops that were cancelled before they started are results already: look, but do not wait. */
    io->driver->turn(io, io->completed.first == NULL ? timeout_ns : 0);
    return dispatch(io);
}

void wr_io_wait(struct wr_io *io, const uint32_t *under_way, uint32_t at_most)
{
    io->woken = false;
    do {
        wr_io_turn(io, *under_way > at_most ? -1 : 0);
    } while (*under_way > at_most);
    /* A wake-up that came meanwhile was meant for the caller's own wait: hand it on. */
    if (io->woken) {
        atomic_store(&io->wake_state, WAKE_NOTIFIED);
    }
}

struct run_wait {
    void (*done)(struct wr_io_op *op);
    void *ctx;
    uint32_t under_way;
};

static void run_done(struct wr_io_op *op)
{
    struct run_wait *wait = op->ctx;
    wait->under_way = 0;
    op->done = wait->done;
    op->ctx = wait->ctx;
}

int32_t wr_io_run(struct wr_io *io, struct wr_io_op *op)
{
    struct run_wait wait = { .done = op->done, .ctx = op->ctx, .under_way = 1 };
    op->done = run_done;
    op->ctx = &wait;
    wr_io_submit(io, op);
    wr_io_wait(io, &wait.under_way, 0);
    const int32_t result = op->result;
    if (op->done != NULL) {
        op->done(op);
    }
    return result;
}

static void warn_once(void)
{
    static atomic_flag warned = ATOMIC_FLAG_INIT;
    if (atomic_flag_test_and_set(&warned)) {
        return;
    }
    struct wr_error warning = { 0 };
    wr_fail(&warning, WR_CLASS_NONE, "io_uring is not available, so epoll is used: %s",
            wr_io_uring_unavailable());
    wr_error_hint(&warning, "%s; WEIR_IO=epoll chooses epoll without this warning",
                  wr_io_uring_hint());
    wr_log_error(WR_LOG_WARN, "io", &warning);
}

static wr_status open_auto(struct wr_io **io, uint32_t entries, struct wr_error *err)
{
    const char *forced = getenv("WEIR_IO");
    if (forced != NULL && strcmp(forced, "epoll") == 0) {
        return wr_io_open_epoll(io, entries, err);
    }
    if (forced != NULL && strcmp(forced, "uring") == 0) {
        return wr_io_open_uring(io, entries, err);
    }
    if (forced != NULL && forced[0] != '\0') {
        wr_fail(err, WR_CLASS_USER, "WEIR_IO=%s: unknown kind of event loop", forced);
        wr_error_hint(err, "set it to uring or epoll, or unset it");
        return WR_FAIL;
    }
    if (wr_io_uring_unavailable()[0] == '\0' && wr_io_open_uring(io, entries, NULL) == WR_OK) {
        return WR_OK;
    }
    warn_once();
    return wr_io_open_epoll(io, entries, err);
}

wr_status wr_io_create(struct wr_io **io, enum wr_io_backend backend, uint32_t entries,
                       struct wr_error *err)
{
    *io = NULL;
    switch (backend) {
    case WR_IO_AUTO:
        return open_auto(io, entries, err);
    case WR_IO_URING:
        return wr_io_open_uring(io, entries, err);
    case WR_IO_EPOLL:
        return wr_io_open_epoll(io, entries, err);
    case WR_IO_SIM:
        return wr_io_open_sim(io, entries, err);
    }
    return wr_fail(err, WR_CLASS_FATAL, "unknown kind of event loop: %d", (int)backend);
}

void wr_io_destroy(struct wr_io *io)
{
    if (io == NULL) {
        return;
    }
    io->closing = true;
    struct wr_io_op *op;
    while ((op = list_take(&io->queued)) != NULL) {
        op->result = -ECANCELED;
        list_append(&io->completed, op);
    }
    struct wr_io_op *next;
    for (op = io->started.next; op != &io->started; op = next) {
        next = op->next;
        op->result |= OP_CANCEL_ASKED;
        io->driver->cancel(io, op);
    }
    dispatch(io);
    while (io->started_count > 0) {
        wr_io_turn(io, -1);
    }
    io->driver->close(io);
    if (io->wake_fd >= 0) {
        close(io->wake_fd);
    }
    free(io);
}

enum wr_io_backend wr_io_backend_of(const struct wr_io *io)
{
    return io->driver->backend;
}

const char *wr_io_backend_name(const struct wr_io *io)
{
    return io->driver->name;
}
