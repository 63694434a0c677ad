/* manifest.h: what an epoch's manifest holds, and its text (interface): the one commit point of design.md, section 4.
 *
 * A manifest is one JSON object under the key manifest/%020d.json of the state's store, put only if absent. It is complete: the
 * last one is all that recovery needs. Readable on purpose: `weir state show` prints it, and an operator at three in the morning may.
 *
 * Queries may commit at different epochs (a sink with a longer commit_interval takes part in every n-th): `cuts` holds the
 * positions of each epoch that some sink or operator still stands at, sinks and operators name theirs.
 *
 * Ownership: everything lies in the manifest's arena. Threads: plain data.
 * Invariants:
 *   (1) epoch counts up by one from 1; the manifest of epoch 1 makes the state's uuid
 *   (2) cuts are in ascending order of epoch, the last one is the newest that was cut (<= epoch: claims cut nothing)
 *   (3) sink->cut and operator->cut name an element of cuts, or are 0 (nothing committed yet)
 *   (4) text written by wr_manifest_write is read back by wr_manifest_read to equal contents; unknown fields are refused only
 *       when format is newer. A NULL text is written as "" (a note: not at all); receipts are kept byte by byte; texts that are
 *       not UTF-8 (names of files) are written as {"hex":…}
 */
#ifndef WR_STATE_MANIFEST_H
#define WR_STATE_MANIFEST_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/slice.h"
#include "base/status.h"
#include <stdbool.h>

#define WR_MANIFEST_FORMAT 1

/* Who may write the next manifest (design.md, "Who owns"). */
struct wr_owner {
    char id[17];            /* 16 hex digits, unique per run */
    const char *host;
    const char *boot;       /* /proc/sys/kernel/random/boot_id */
    int64_t pid;
    uint64_t pid_start;     /* /proc/PID/stat field 22: a reused pid is another process */
    uint64_t pid_namespace; /* inode of /proc/self/ns/pid: pids of another namespace say nothing here */
    int64_t at_ms;          /* wall clock of this manifest */
    bool released;          /* ended in order: anybody may claim at once */
};

struct wr_manifest_split {
    const char *name;
    int64_t position;     /* where it goes on */
    int64_t watermark_us; /* of the rows before position; WR_TIME_MIN: none */
    int64_t max_event_us;
    bool idle;            /* does not hold the watermark back */
    const char *note;     /* what the source wants to be told again, opaque; NULL: nothing */
};

struct wr_manifest_source {
    const char *name;
    int64_t emitted_us; /* the watermark that its operators have been told, on all workers */
    struct wr_manifest_split *splits;
    uint32_t split_count;
};

struct wr_manifest_cut {
    uint64_t epoch;
    struct wr_manifest_source *sources;
    uint32_t source_count;
};

/* A split that became active with a floor (design.md, "idle"): a replay from an older cut raises its watermark at the same row. */
struct wr_manifest_activation {
    const char *source;
    const char *split;
    int64_t position;
    int64_t floor_us;
};

struct wr_manifest_sink {
    const char *name;
    const char *connector;
    bool exactly_once;
    uint64_t cut;           /* epoch of its newest committed rows */
    struct wr_slice *receipts; /* of that epoch, JSON values as prepare left them, in order of lanes */
    uint32_t receipt_count;
    bool published;         /* known to be published: recovery need not look */
};

struct wr_manifest_operator {
    const char *name;        /* plan node's */
    const char *fingerprint; /* wr_exec_fingerprint */
    uint64_t cut;
    int64_t watermark_us;    /* wr_exec_node_watermark */
};

/* Keyed state outside of operators: deduplication of a source. */
struct wr_manifest_snapshot {
    const char *key;  /* of the object in the state's store */
    uint64_t epoch;
    uint64_t bytes;
};

struct wr_manifest_ledger {
    const char *sink, *source, *split;
    uint64_t read, landed, late, partly_late, dead_lettered, filtered, in_flight;
};

struct wr_manifest {
    struct wr_arena arena;
    uint32_t format;
    char uuid[37];
    uint64_t epoch;
    const char *pipeline;
    struct wr_owner owner;
    const char **predecessors; /* ids of owners whose unpublished objects may still be about */
    uint32_t predecessor_count;
    struct wr_manifest_cut *cuts;
    uint32_t cut_count;
    struct wr_manifest_activation *activations;
    uint32_t activation_count;
    struct wr_manifest_sink *sinks;
    uint32_t sink_count;
    struct wr_manifest_operator *operators;
    uint32_t operator_count;
    struct wr_manifest_snapshot *snapshots; /* ascending epochs */
    uint32_t snapshot_count;
    struct wr_manifest_ledger *ledger;
    uint32_t ledger_count;
};

/* An empty manifest (zeroed but for the arena and the format). */
void wr_manifest_init(struct wr_manifest *manifest);
void wr_manifest_deinit(struct wr_manifest *manifest); /* zeroed is fine */

void wr_manifest_write(const struct wr_manifest *manifest, struct wr_buf *into);
/* WR_FAIL, class FATAL: not a manifest, damaged, or of a newer format (the hint says which version is needed). */
WR_NODISCARD wr_status wr_manifest_read(struct wr_manifest *manifest, struct wr_slice text,
                                        struct wr_error *err);
/* manifest/%020d.json */
void wr_manifest_key(uint64_t epoch, char key[48]);
/* False when key is not a manifest's. */
bool wr_manifest_key_epoch(const char *key, uint64_t *epoch);

/* Checks the numbered invariants and that the ledger balances (design.md, section 4, invariant 5); WR_FAIL names the line. */
WR_NODISCARD wr_status wr_manifest_check(const struct wr_manifest *manifest, struct wr_error *err);

const struct wr_manifest_cut *wr_manifest_cut_of(const struct wr_manifest *manifest, uint64_t epoch);
const struct wr_manifest_sink *wr_manifest_sink_of(const struct wr_manifest *manifest, const char *name);
const struct wr_manifest_operator *wr_manifest_operator_of(const struct wr_manifest *manifest, const char *name);
const struct wr_manifest_source *wr_manifest_source_of(const struct wr_manifest_cut *cut, const char *name);
const struct wr_manifest_split *wr_manifest_split_of(const struct wr_manifest_source *source, const char *name);

#endif
