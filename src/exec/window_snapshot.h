/* window_snapshot.h: what a WINDOW node's state changed since its last snapshot, as records, and
 * the way back (private to exec; exec.h tells the contract).
 *
 * Format, little endian. A record is u32 bytes (of what follows the kind), u8 kind, then:
 *   WR_RECORD_CELL      i64 order, i64 sub: the cell of the rows that follow, within the piece
 *   WR_RECORD_ROW       a row as one blob (window_blob.c): replaces what the cell had for its key
 *   WR_RECORD_SESSIONS  u32 count, then per session i64 start, i64 last, u32 bytes, blob: all
 *                       sessions of one key, which replace what the key had
 * A piece (one call of host->snapshot) begins with a CELL where it holds rows, so pieces can be
 * told one by one or several joined.
 *
 * Nothing says that a cell or a session has gone: all that is open at a cut closes after the node's
 * watermark, and all that was written and is not open any more closed at or before it, for a
 * record's session can only have grown since. A HOP's slices are written as they were before they
 * entered the running combination, which turns rows over in place: a cell that enters with changes
 * is written whole, before the first of its rows is turned.
 *
 * Old records become obsolete by a sweep: once there are many of them (wants_sweep), each epoch also
 * writes about as many clean rows as dirty ones, from a cursor on; when it has been through, epochs
 * before its begin are not needed. A cell whose old records pin much is swept faster (cutoff_of).
 *
 * Threads: the worker.
 * Invariants:
 *   (1) a row of a cell or of the sessions that is not marked has a record in an epoch from
 *   sweep.base on
 *   (2) a record never names a worker
 */
#ifndef WR_EXEC_WINDOW_SNAPSHOT_H
#define WR_EXEC_WINDOW_SNAPSHOT_H

#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

struct wr_exec;
struct wr_window;
struct wr_cell;

enum { WR_RECORD_CELL = 1, WR_RECORD_ROW = 2, WR_RECORD_SESSIONS = 3 };

/* Of one table. Epochs count from 1; 0: none. */
struct wr_sweep {
    uint64_t base;  /* epochs before it are not needed */
    uint64_t last;  /* the newest with a record; UINT64_MAX: the one to come (HOP) */
    uint64_t began; /* of the sweep that is under way */
    uint32_t row;   /* its cursor */
};

/* Epochs [from, to] hold records that are needed. */
struct wr_epoch_range {
    uint64_t from;
    uint64_t to;
};

struct wr_window_snapshot {
    struct wr_buf out; /* records of the piece being filled */
    bool in_cell;      /* out has told the cell (order, sub) */
    bool cutting;      /* pieces go to the host at once; else they wait for the next cut */
    int64_t order;
    int64_t sub;
    struct wr_buf *waiting; /* whole pieces */
    uint32_t waiting_count;
    uint32_t waiting_capacity;
    uint64_t rows;  /* recorded ever, for the mean size */
    uint64_t bytes;
    uint64_t cut_bytes;   /* in the cut at hand */
    uint32_t extra;       /* rows that it may sweep for cells whose base is before cutoff */
    bool sweeping;        /* clean rows go along with changed ones */
    uint64_t cutoff;
    /* As of the last cut that the node took part in: */
    int64_t watermark_us;
    struct wr_epoch_range *needs; /* epochs up to the cut */
    uint32_t need_count;
    uint32_t need_capacity;
};

/* How many bytes were recorded per epoch, on this worker, from the base on. */
struct wr_snapshot_log {
    struct {
        uint64_t epoch;
        uint64_t bytes;
    } *items;
    uint32_t count;
    uint32_t capacity;
};

/* The node's part of the barrier: finishes what is being emitted, then tells the host's snapshot. */
void wr_window_cut(struct wr_window *window, uint64_t epoch);
/* HOP: cells that have entered since the last call are written before their rows change. */
void wr_window_keep_entered(struct wr_window *window);
/* HOP: this one at once, if it has changes. */
void wr_window_keep_cell(struct wr_window *window, struct wr_cell *cell);
void wr_window_snapshot_deinit(struct wr_window *window);

/* The smallest epoch that is needed; UINT64_MAX: none. */
uint64_t wr_window_snapshot_base(const struct wr_window *window);
bool wr_window_snapshot_needed(const struct wr_window *window, uint64_t epoch);
void wr_window_note_needs(struct wr_window *window);

void wr_snapshot_log_add(struct wr_exec *exec, uint64_t epoch, uint64_t bytes);

#endif
