/* sim_wrap.c: what the program's own functions do in the simulation instead of what they do in life, and the seeded bugs.
 *
 * The linker sends calls of f to __wrap_f, whose __real_f is the original (-Wl,--wrap=f, see meson.build): the code under test is
 * the very code that ships, not a single line of it knows about the simulation.
 */
#include "sim_check.h"
#include "sim_world.h"

#include "exec/exec.h"
#include "io/io_sim.h"
#include "run/epoch_board.h"
#include "run/recovery.h"
#include "state/snapshot.h"
#include <string.h>

/* ---- time, chance, the kernel ---- */

uint64_t __wrap_wr_rand_entropy(void);
uint64_t __wrap_wr_rand_entropy(void)
{
    return wr_rand_next(&sim->rand);
}

void __wrap_wr_clock_sleep_ms(uint32_t ms);
void __wrap_wr_clock_sleep_ms(uint32_t ms)
{
    sim->now_ns += ms * WR_NS_PER_MS;
}

void __wrap_wr_fault_hit(const char *name);
void __wrap_wr_fault_hit(const char *name)
{
    sim_point(SIM_POINT_FAULT, name);
}

wr_status __real_wr_io_create(struct wr_io **io, enum wr_io_backend backend, uint32_t entries,
                              struct wr_error *err);
wr_status __wrap_wr_io_create(struct wr_io **io, enum wr_io_backend backend, uint32_t entries,
                              struct wr_error *err);
wr_status __wrap_wr_io_create(struct wr_io **io, enum wr_io_backend backend, uint32_t entries,
                              struct wr_error *err)
{
    const wr_status status = __real_wr_io_create(io, WR_IO_SIM, entries, err);
    if (status == WR_OK) {
        struct wr_io_sim_knobs knobs = wr_io_sim_defaults;
        knobs.seed = wr_rand_next(&sim->rand);
        knobs.no_sleep = true;
        wr_io_sim_set(*io, &knobs);
    }
    return status;
}

/* ---- what the checks want to know ---- */

static uint32_t split_of(const char *name)
{
    for (uint32_t i = 0; i < sim->scenario.split_count; i++) {
        if (strcmp(sim->splits[i].name, name) == 0) {
            return i;
        }
    }
    sim_violation("there is no split %s", name);
    return 0;
}

/* Once a worker has ended all that report after it seem to have. */
static void end_early(struct wr_epoch_cut *part)
{
    static bool ended;
    for (uint32_t i = 0; i < part->sources.count; i++) {
        ended = ended || part->sources.items[i].emitted_us == WR_TIME_MAX;
        part->sources.items[i].emitted_us = ended ? WR_TIME_MAX : part->sources.items[i].emitted_us;
    }
}

void __real_wr_epoch_report(struct wr_epoch_board *board, struct wr_epoch_cut *part);
void __wrap_wr_epoch_report(struct wr_epoch_board *board, struct wr_epoch_cut *part);
void __wrap_wr_epoch_report(struct wr_epoch_board *board, struct wr_epoch_cut *part)
{
    for (uint32_t i = 0; i < part->activations.count; i++) {
        const struct wr_activation_cut *a = &part->activations.items[i];
        const struct sim_activation note = { .split = split_of(a->split),
                                             .position = a->position,
                                             .floor_us = a->floor_us };
        sim_note_activation(part->epoch, &note);
    }
    for (uint32_t i = 0; i < part->splits.count; i++) {
        const struct wr_split_cut *at = &part->splits.items[i];
        sim_trace("epoch %llu is cut at %s position %lld%s", (unsigned long long)part->epoch, at->name,
                  (long long)at->next_position, at->idle ? ", idle" : "");
    }
    if (sim_bug(SIM_BUG_FORGOTTEN_FLOOR)) {
        part->activations.count = 0;
    }
    if (sim_bug(SIM_BUG_EARLY_END)) {
        end_early(part);
    }
    __real_wr_epoch_report(board, part);
}

/* ---- bugs ---- */

void __real_wr_epoch_cut_snapshot(struct wr_epoch_cut *cut, uint32_t worker,
                                  struct wr_snapshot_writer *writer);
void __wrap_wr_epoch_cut_snapshot(struct wr_epoch_cut *cut, uint32_t worker,
                                  struct wr_snapshot_writer *writer);
void __wrap_wr_epoch_cut_snapshot(struct wr_epoch_cut *cut, uint32_t worker,
                                  struct wr_snapshot_writer *writer)
{
    static struct wr_snapshot_writer *held[64];
    if (sim_bug(SIM_BUG_LATE_SNAPSHOT)) {
        struct wr_snapshot_writer *before = held[worker];
        held[worker] = writer;
        if (before == NULL) {
            return;
        }
        writer = before;
    }
    __real_wr_epoch_cut_snapshot(cut, worker, writer);
}

/* The plan's sinks; the resume's arrays have one element each. */
static void spoil(struct wr_split_resume *resume, uint32_t sinks)
{
    static struct wr_split_resume *spoilt[SIM_SPLITS_MAX * 4];
    for (uint32_t i = 0; i < SIM_SPLITS_MAX * 4; i++) {
        if (spoilt[i] == resume) {
            return;
        }
        if (spoilt[i] == NULL) {
            spoilt[i] = resume;
            break;
        }
    }
    for (uint32_t k = 0; k < sinks; k++) {
        if (sim_bug(SIM_BUG_LOST_LEDGER)) {
            memset(&resume->ledger[k], 0, sizeof resume->ledger[k]);
        }
        if (sim_bug(SIM_BUG_MUTED_TOO_LONG) && resume->skip[k] != INT64_MIN &&
            resume->skip[k] > resume->at.position) {
            resume->skip[k]++;
        }
    }
}

struct wr_split_resume *__real_wr_recovery_split(const struct wr_recovery *recovery, uint32_t source,
                                                 const char *name);
struct wr_split_resume *__wrap_wr_recovery_split(const struct wr_recovery *recovery, uint32_t source,
                                                 const char *name);
struct wr_split_resume *__wrap_wr_recovery_split(const struct wr_recovery *recovery, uint32_t source,
                                                 const char *name)
{
    struct wr_split_resume *resume = __real_wr_recovery_split(recovery, source, name);
    if (resume != NULL && resume->has_start) {
        spoil(resume, sim->scenario.sink_count);
    }
    return resume;
}

void __real_wr_exec_restored(struct wr_exec *exec, uint32_t node, int64_t watermark_us);
void __wrap_wr_exec_restored(struct wr_exec *exec, uint32_t node, int64_t watermark_us);
void __wrap_wr_exec_restored(struct wr_exec *exec, uint32_t node, int64_t watermark_us)
{
    __real_wr_exec_restored(exec, node,
                            sim_bug(SIM_BUG_REOPENED_WINDOWS) ? WR_TIME_MIN : watermark_us);
}

uint64_t __real_wr_exec_snapshot_base(const struct wr_exec *exec);
uint64_t __wrap_wr_exec_snapshot_base(const struct wr_exec *exec);
uint64_t __wrap_wr_exec_snapshot_base(const struct wr_exec *exec)
{
    return sim_bug(SIM_BUG_PRUNED_SNAPSHOT) ? UINT64_MAX : __real_wr_exec_snapshot_base(exec);
}

wr_status __real_wr_exec_restore(struct wr_exec *exec, uint32_t node, uint64_t epoch,
                                 const void *records, size_t bytes, struct wr_error *err);
wr_status __wrap_wr_exec_restore(struct wr_exec *exec, uint32_t node, uint64_t epoch,
                                 const void *records, size_t bytes, struct wr_error *err);
wr_status __wrap_wr_exec_restore(struct wr_exec *exec, uint32_t node, uint64_t epoch,
                                 const void *records, size_t bytes, struct wr_error *err)
{
    if (sim_bug(SIM_BUG_PARTIAL_RESTORE) && epoch == sim->head.cut) {
        return WR_OK;
    }
    return __real_wr_exec_restore(exec, node, epoch, records, bytes, err);
}
