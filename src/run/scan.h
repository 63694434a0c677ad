/* scan.h: the head of a source on one worker: polls its reader, decodes, adds computed and metadata columns, keeps each
 * split's watermark and idleness, dead-letters what is bad, and pushes batches into the operators.
 *
 * Ownership: owned by its worker. Threads: that worker.
 * Invariants:
 *   (1) a row's wm_before is the watermark of its split as the rows before it left it, never below the floor that the hub
 *       answered when the split became active
 *   (2) rows that are bad (undecodable, too far ahead) never move a watermark
 *   (3) read == what the source gave; every bad row is counted as dead-lettered for each sink of the source
 *   (4) passed_us never falls; it is what exec was told last
 *   (5) records are given back when the push returns: texts of batches that live on have been copied out of them
 *   (6) while a split replays rows that some sinks have had (recovery.h), each batch lies between two of its marks, and those
 *       sinks neither get nor count its rows
 */
#ifndef WR_RUN_SCAN_H
#define WR_RUN_SCAN_H

#include "decode/decoder.h"
#include "exec/eval.h"
#include "exec/exec.h"
#include "run/epoch_board.h"
#include "run/pipeline.h"
#include "run/recovery.h"
#include "run/side_rows.h"
#include "state/seen_set.h"

struct wr_source_counters;

enum wr_split_state { WR_SPLIT_ACTIVE, WR_SPLIT_IDLE, WR_SPLIT_ENDED };

struct wr_scan_split {
    uint32_t index;
    char *name;
    char note[WR_SPLIT_NOTE_BYTES_MAX]; /* the source's at next_position, for the manifest; "": none */
    const char *topic;
    int32_t partition;
    char *header; /* CSV: the line that names this split's columns; NULL: none */
    enum wr_split_state state;
    int64_t watermark_us;
    int64_t max_event_us;
    int64_t next_position;
    int64_t caught_up_since_ns; /* INT64_MAX: behind */
    struct wr_ledger_counts **ledger; /* one per sink of the plan; NULL where the source does not feed it */
    const struct wr_split_resume *resume; /* while it replays; NULL: all sinks take all rows */
    uint32_t next_mark;
    bool paused;    /* told to the reader */
    bool replaying; /* counted in the recovery's */
};

struct wr_scan {
    struct wr_pipeline *pipeline;
    struct wr_worker *worker;
    uint32_t source;
    const struct wr_plan_source *plan;
    const struct wr_source_ops *ops;
    struct wr_reader *reader;
    struct wr_payload_unpack *unpack; /* NULL: payloads are never compressed */
    struct wr_decoder *decoder;      /* of the scan's columns */
    struct wr_decoder *late_decoder; /* of all declared columns, made at the first late row */
    struct wr_batch_pool *pool;
    struct wr_batch_pool *late_pool;
    uint32_t header_split;  /* whose header the decoder has; UINT32_MAX: nobody's */
    struct wr_batch *ready; /* an empty batch, taken ahead of a poll */
    struct wr_eval *watermark;
    struct wr_eval **computed; /* per scan column or NULL */
    struct wr_faults faults;
    struct wr_eval_faults eval_faults;
    struct wr_scan_split **splits; /* by split index; NULL: not here */
    uint32_t split_capacity;
    /* ROWS whose decoder waits for something they need (a schema): not counted as read; nothing is polled before they are
     * decoded. */
    struct wr_poll held;
    struct wr_poll rest; /* ROWS behind what was unpacked: not counted as read either; taken before the next poll */
    int64_t held_until_ns; /* when to ask the decoder again; INT64_MAX: nothing is held */
    uint32_t paused;       /* splits */
    int64_t spread_us; /* how far ahead the first split was at most, while memory has been short; 0: it is not */
    int64_t passed_us;
    int64_t newest_ingest_us; /* of the rows that moved the watermark last */
    bool watermark_moved;
    struct wr_seen_set *seen; /* deduplicate_by; NULL: off; all workers share it */
    struct wr_seen_key *seen_keys; /* scratch */
    struct wr_buf seen_log;
    bool *muted;     /* per sink of the plan: of the batch at hand, while a split replays */
    bool letter_muted; /* so, because dead letters are replayed for the other sinks alone */
    bool feeds_rows; /* some sink takes rows as they are: batches outlive the push */
    bool finished;
    struct wr_source_counters *counters; /* the worker's */
};

WR_NODISCARD wr_status wr_scan_open(struct wr_scan *scan, struct wr_worker *worker, uint32_t source,
                                    struct wr_error *err);
void wr_scan_close(struct wr_scan *scan); /* zeroed or half-open is fine */

/* Polls until nothing is there, the pool is short, or about rows_budget rows were read. Returns rows read; err set and WR_FAIL
 * in *status when the source failed. */
uint32_t wr_scan_poll(struct wr_scan *scan, struct wr_time now, uint32_t rows_budget,
                      wr_status *status, struct wr_error *err);
/* Idle splits, local minimum, hub, exec: once a turn after polling. */
void wr_scan_watermark(struct wr_scan *scan, struct wr_time now);
/* While memory is short: splits far ahead of the emitted watermark wait, the slowest never does (or windows would not close and their
 * state never leave; design.md, section 4). Once a turn. */
void wr_scan_hold_back(struct wr_scan *scan);
/* Next monotonic moment at which the scan has something to do by itself. */
int64_t wr_scan_deadline_ns(const struct wr_scan *scan);
/* Adds the splits' positions and watermarks to the cut of an epoch, and what deduplication has newly seen to the worker's snapshot. */
void wr_scan_cut(struct wr_scan *scan, struct wr_epoch_cut *cut);

/* A row of one of this source's batches that an operator refused or found late. sinks: those that it failed for; NULL: all. */
void wr_scan_dead_letter(struct wr_scan *scan, const struct wr_batch *batch, uint32_t row,
                         const uint32_t *sinks, uint32_t sink_count, const char *message,
                         const char *field);
void wr_scan_late(struct wr_scan *scan, const struct wr_batch *batch, uint32_t row, uint32_t sink,
                  int64_t lateness_us);

#endif
