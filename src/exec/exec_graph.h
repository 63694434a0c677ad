/* exec_graph.h: the operators of one worker and how rows and watermarks pass between them (private
 * to exec). */
#ifndef WR_EXEC_GRAPH_H
#define WR_EXEC_GRAPH_H

#include "exec/eval.h"
#include "exec/exec.h"
#include "exec/window_snapshot.h"

struct wr_window;

/* One use of a node's output: as input `slot` of a node. */
struct wr_edge {
    uint32_t op;
    uint32_t slot;
};

struct wr_op {
    const struct wr_plan_node *node;
    struct wr_edge *edges;
    uint32_t edge_count;
    uint32_t *sinks_below; /* all sinks that rows of this node can reach */
    uint32_t sink_below_count;
    bool muted;            /* all of them are, for the rows being pushed */
    int64_t *watermarks;   /* per input; SCAN: one */
    int64_t watermark_us;  /* forwarded */
    struct wr_batch_pool *pool; /* derived or result batches; NULL for SCAN and UNION */
    struct wr_eval **evals;     /* FILTER, UNNEST: 1; PROJECT: one per column */
    uint32_t eval_count;
    struct wr_window *window;
};

/* What became of a row on its way to a sink that it can reach on several paths: the highest
 * counts. */
enum wr_outcome { WR_ROW_FILTERED = 1, WR_ROW_DEAD, WR_ROW_LATE, WR_ROW_PASSED, WR_ROW_KINDS_ };
#define WR_ROW_PARTLY 0x80u /* partly late, beside the outcome */
/* A row that UNNEST made several of is shown to the side sinks once, whatever becomes of each of them. */
#define WR_ROW_SHOWN_LATE 0x40u
#define WR_ROW_SHOWN_DEAD 0x20u
#define WR_ROW_OUTCOME 0x0fu

struct wr_exec_sink {
    struct wr_ledger_counts *counts; /* of the batch being pushed; NULL: not asked for yet */
    uint8_t *marks;                  /* per row, when several paths lead from a source; else NULL */
    bool marked;
};

struct wr_exec {
    const struct wr_plan *plan;
    struct wr_exec_config config;
    struct wr_exec_host host;
    struct wr_op *ops;
    struct wr_exec_sink *sinks;
    uint32_t *exchange_ops;        /* exchange id -> op */
    struct wr_batch *source_batch; /* being pushed; late rows and dead letters are shown in it */
    struct wr_eval_faults faults;  /* scratch */
    uint32_t *dead_rows;           /* scratch: WR_BATCH_ROWS_MAX */
    const bool *muted;             /* sinks that have had the rows being pushed; NULL: none */
    bool final;                    /* of the barrier at hand */
    struct wr_snapshot_log log;
    struct wr_time now;
    int64_t trigger_ingest_us;     /* arrival of the event that moved the watermark last */
};

/* Hands a batch (and its reference) to the consumers and sinks of op. */
void wr_exec_deliver(struct wr_exec *exec, struct wr_op *op, struct wr_batch *batch);
/* Hands op's new watermark on. */
void wr_exec_forward(struct wr_exec *exec, struct wr_op *op, int64_t watermark_us);

/* Counts rows of a source batch for all sinks below op; a no-op for results. rows == NULL:
 * 0..count-1. */
void wr_exec_count(struct wr_exec *exec, const struct wr_op *op, const struct wr_batch *batch,
                   const uint32_t *rows, uint32_t count, enum wr_outcome outcome);
void wr_exec_count_partly_late(struct wr_exec *exec, const struct wr_op *op,
                               const struct wr_batch *batch, uint32_t row);
/* One row is late: counted and shown to the host. */
void wr_exec_late(struct wr_exec *exec, const struct wr_op *op, const struct wr_batch *batch,
                  uint32_t row, int64_t lateness_us);
/* One row failed: counted (source rows) and shown to the host. */
void wr_exec_fault(struct wr_exec *exec, const struct wr_op *op, const struct wr_batch *batch,
                   uint32_t row, const char *message, const char *field);
/* Reports exec->faults and takes their rows out of rows[0..count); returns the new count. */
uint32_t wr_exec_drop_faults(struct wr_exec *exec, const struct wr_op *op,
                             const struct wr_batch *batch, uint32_t *rows, uint32_t count);

/* op_rows.c */
WR_NODISCARD wr_status wr_op_rows_create(struct wr_exec *exec, struct wr_op *op,
                                         struct wr_error *err);
void wr_op_filter_push(struct wr_exec *exec, struct wr_op *op, struct wr_batch *batch);
void wr_op_project_push(struct wr_exec *exec, struct wr_op *op, struct wr_batch *batch);

/* op_unnest.c */
WR_NODISCARD wr_status wr_op_unnest_create(struct wr_exec *exec, struct wr_op *op,
                                           struct wr_error *err);
void wr_op_unnest_push(struct wr_exec *exec, struct wr_op *op, struct wr_batch *batch);

#endif
