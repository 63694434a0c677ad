/* epoch_cut.h: all that was true at the cut of one epoch: each worker fills one, the board merges them, control commits it.
 *
 * Ownership: whoever holds it; strings and snapshot buffers are its own. Threads: plain data.
 */
#ifndef WR_RUN_EPOCH_CUT_H
#define WR_RUN_EPOCH_CUT_H

#include "base/arena.h"
#include "obs/ledger.h"
#include <stdbool.h>
#include <stdint.h>

struct wr_snapshot_writer;

/* One split, as its worker saw it. */
struct wr_split_cut {
    uint32_t source;
    uint32_t split;
    int64_t next_position;
    int64_t watermark_us;
    int64_t max_event_us; /* newest event time read before the cut; WR_TIME_MIN: none */
    bool idle;
    const char *name;
    const char *note; /* the source's own; NULL: none */
};

/* One row of the ledger. */
struct wr_ledger_cut {
    uint32_t sink;
    uint32_t source;
    uint32_t split;
    struct wr_ledger_counts counts;
};

/* What a worker's operators were told last: WR_TIME_MAX once its own splits have ended, while others' may
 * go on. Of several workers the smallest: operators behind an exchange have seen no more, and the source
 * has ended only when all say WR_TIME_MAX. */
struct wr_source_cut {
    uint32_t source;
    int64_t emitted_us;
};

struct wr_operator_cut {
    uint32_t node;
    int64_t watermark_us; /* wr_exec_node_watermark */
};

/* A split became active with a floor since the last cut. */
struct wr_activation_cut {
    uint32_t source;
    const char *split;
    int64_t position;
    int64_t floor_us;
};

/* What changed in a worker's keyed state. */
struct wr_snapshot_cut {
    uint32_t worker;
    struct wr_snapshot_writer *writer; /* owned */
};

/* An older epoch whose snapshots a worker's operators still need. */
struct wr_needed_cut {
    uint64_t epoch;
};

#define WR_CUT_LIST(TYPE)                                                                          \
    struct {                                                                                       \
        struct TYPE *items;                                                                        \
        uint32_t count;                                                                            \
        uint32_t capacity;                                                                         \
    }

struct wr_epoch_cut {
    uint64_t epoch;
    bool final;
    struct wr_arena names;
    WR_CUT_LIST(wr_split_cut) splits;
    WR_CUT_LIST(wr_ledger_cut) ledger;
    WR_CUT_LIST(wr_source_cut) sources;
    WR_CUT_LIST(wr_operator_cut) operators;
    WR_CUT_LIST(wr_activation_cut) activations;
    WR_CUT_LIST(wr_snapshot_cut) snapshots;
    WR_CUT_LIST(wr_needed_cut) needed; /* an epoch may be there more than once */
    int64_t oldest_open_us; /* min over workers of wr_exec_oldest_open_us */
};

/* Empty, of this epoch. Accepts a zeroed or used one. */
void wr_epoch_cut_begin(struct wr_epoch_cut *cut, uint64_t epoch, bool final);
void wr_epoch_cut_deinit(struct wr_epoch_cut *cut); /* zeroed is fine */

/* Texts are copied; the snapshot writer is taken over. */
void wr_epoch_cut_split(struct wr_epoch_cut *cut, const struct wr_split_cut *split);
void wr_epoch_cut_ledger(struct wr_epoch_cut *cut, const struct wr_ledger_cut *line);
void wr_epoch_cut_source(struct wr_epoch_cut *cut, uint32_t source, int64_t emitted_us);
void wr_epoch_cut_operator(struct wr_epoch_cut *cut, uint32_t node, int64_t watermark_us);
void wr_epoch_cut_activation(struct wr_epoch_cut *cut, const struct wr_activation_cut *activation);
void wr_epoch_cut_snapshot(struct wr_epoch_cut *cut, uint32_t worker,
                           struct wr_snapshot_writer *writer);
void wr_epoch_cut_needed(struct wr_epoch_cut *cut, uint64_t epoch);

/* Adds part to cut: sources by their minimum, operators by their maximum. Snapshot writers move. */
void wr_epoch_cut_merge(struct wr_epoch_cut *cut, struct wr_epoch_cut *part);

#endif
