#include "io/io_sim.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

enum { COUNT = 64 };

/* Order and results of COUNT writes of 8 bytes each, as one run of the simulation gives them. */
struct trace {
    int order[COUNT];
    int32_t results[COUNT];
    int done;
};

struct step {
    struct trace *trace;
    int index;
};

static void note(struct wr_io_op *op)
{
    struct step *step = op->ctx;
    step->trace->order[step->trace->done] = step->index;
    step->trace->results[step->trace->done++] = op->result;
}

static struct trace run(const struct wr_io_sim_knobs *knobs)
{
    struct trace trace = { 0 };
    struct wr_io *io;
    cr_assert_eq(wr_io_create(&io, WR_IO_SIM, COUNT, NULL), WR_OK);
    wr_io_sim_set(io, knobs);
    const int fd = memfd_create("test", MFD_CLOEXEC);
    char data[8] = "01234567";
    struct wr_io_op ops[COUNT];
    struct step steps[COUNT];
    for (int i = 0; i < COUNT; i++) {
        steps[i] = (struct step){ &trace, i };
        ops[i] = (struct wr_io_op){ .kind = WR_IO_WRITE, .fd = fd, .buffer = data, .bytes = 8,
                                    .offset = i * 8, .done = note, .ctx = &steps[i] };
        wr_io_submit(io, &ops[i]);
    }
    while (trace.done < COUNT) {
        wr_io_turn(io, -1);
    }
    cr_assert_eq(wr_io_sim_completions(io), COUNT);
    close(fd);
    wr_io_destroy(io);
    return trace;
}

Test(io_sim, the_same_seed_gives_the_same_run)
{
    struct wr_io_sim_knobs knobs = wr_io_sim_defaults;
    knobs.error_per_mille = 100;
    for (knobs.seed = 1; knobs.seed < 20; knobs.seed++) {
        const struct trace a = run(&knobs);
        const struct trace b = run(&knobs);
        cr_assert_eq(memcmp(&a, &b, sizeof(a)), 0);
    }
}

Test(io_sim, different_seeds_give_different_orders)
{
    struct wr_io_sim_knobs knobs = wr_io_sim_defaults;
    const struct trace a = run(&knobs);
    knobs.seed = 2;
    const struct trace b = run(&knobs);
    cr_assert_neq(memcmp(a.order, b.order, sizeof(a.order)), 0);
    int moved = 0;
    for (int i = 0; i < COUNT; i++) {
        moved += a.order[i] != i;
    }
    cr_assert_gt(moved, COUNT / 2);
}

Test(io_sim, transfers_are_cut_short_as_often_as_asked)
{
    struct wr_io_sim_knobs knobs = { .seed = 3, .short_per_mille = 1000 };
    const struct trace all = run(&knobs);
    for (int i = 0; i < COUNT; i++) {
        cr_assert(all.results[i] >= 1 && all.results[i] < 8);
    }
    knobs.short_per_mille = 0;
    const struct trace none = run(&knobs);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(none.results[i], 8);
    }
}

Test(io_sim, errors_are_injected_with_the_chosen_number)
{
    const struct wr_io_sim_knobs all = { .error_per_mille = 1000, .error = ENOSPC };
    struct trace trace = run(&all);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(trace.results[i], -ENOSPC);
    }
    const struct wr_io_sim_knobs fifth = { .fail_nth = 5 };
    trace = run(&fifth);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(trace.results[i], i == 4 ? -EIO : 8);
    }
}

static void count(struct wr_io_op *op)
{
    ++*(int *)op->ctx;
}

Test(io_sim, a_turn_without_sleep_returns_when_nothing_can_complete, .timeout = 30)
{
    struct wr_io *io;
    cr_assert_eq(wr_io_create(&io, WR_IO_SIM, 4, NULL), WR_OK);
    const struct wr_io_sim_knobs knobs = { .no_sleep = true };
    wr_io_sim_set(io, &knobs);
    const int fd = eventfd(0, EFD_CLOEXEC);
    int done = 0;
    struct wr_io_op op = { .kind = WR_IO_POLL, .fd = fd, .done = count, .ctx = &done };
    wr_io_submit(io, &op);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(wr_io_turn(io, -1), 0); /* would hang if it slept */
    }
    const uint64_t one = 1;
    cr_assert_eq(write(fd, &one, sizeof(one)), (ssize_t)sizeof(one));
    cr_assert_eq(wr_io_turn(io, -1), 1);
    cr_assert_eq(done, 1);
    close(fd);
    wr_io_destroy(io);
}
