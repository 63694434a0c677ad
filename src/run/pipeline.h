/* pipeline.h: a running pipeline: what control, workers and sink workers share.
 *
 * Ownership: control creates everything before the threads start and frees it after they have ended.
 * Threads: three roles (design.md, section 3). Fields say who writes them. Control and the others meet in
 * struct wr_epoch_board under one lock, touched a few times per epoch, and in atomic flags.
 */
#ifndef WR_RUN_PIPELINE_H
#define WR_RUN_PIPELINE_H

#include "obs/histogram.h"
#include "obs/ledger.h"
#include "plan/plan.h"
#include "run/epoch_board.h"
#include "run/rejects.h"
#include "run/start_gate.h"
#include "run/watermark_hub.h"
#include "weir/sink.h"
#include "weir/source.h"
#include <stdatomic.h>
#include <stdbool.h>

struct wr_worker;
struct wr_sink_worker;
struct wr_http_server;
struct wr_ledger_view;
struct wr_recovery;
struct wr_seen_set;
struct wr_replay;

/* From the command line and SET, checked. */
struct wr_run_config {
    const char *file;
    const char *name; /* of the pipeline: the file's name without folder and .sql */
    bool bounded;
    uint32_t workers;
    uint64_t memory_bytes;
    uint32_t batch_rows;
    uint32_t lane_batches;      /* capacity of rings */
    int64_t commit_interval_us; /* default of sinks that set none */
    const char *listen;         /* NULL: no admin server */
    const char *stats_file;     /* NULL: none */
    bool quiet;
    const char *state_url;      /* NULL: no manifests, no snapshots; at least once */
    const struct wr_options *state_options; /* of its store */
    const struct wr_options *control_options; /* the same for control, whose requests must not last */
    const char *state_directory;   /* state_url when that is a local directory, else NULL */
    int64_t owner_timeout_us;
    bool standby; /* wait for another owner to end instead of refusing to start */
    bool stepped; /* by one thread, on a simulated loop (stepped.h) */
    struct wr_replay *replay; /* NULL: a run; else sources give their dead letters again (replay.h) */
    uint32_t preview_rows; /* 0: a real run; else print each sink's first rows and write nothing */
};

struct wr_pipeline {
    const struct wr_plan *plan;
    struct wr_run_config config;
    char owner[17]; /* unique per run */
    struct wr_io *control_io;
    struct wr_http_server *http;

    const struct wr_source_ops **source_ops; /* per source */
    struct wr_source **sources;
    const struct wr_sink_ops **sink_ops; /* per sink */

    struct wr_worker *workers; /* config.workers of them */
    struct wr_io **worker_ios;
    struct wr_hub hub;

    struct wr_seen_set **seen; /* per source: what deduplicate_by remembers; NULL: it does not */

    struct wr_sink_worker *sink_workers;
    uint32_t sink_worker_count;
    uint32_t bulk_lanes;     /* sink workers 0..bulk_lanes-1 take bulk sinks, one per worker; */
    uint32_t express_worker; /* this one takes all others (UINT32_MAX: none) */

    struct wr_start_gate gate; /* workers, sink workers and control start in step */
    struct wr_end_gate gate_end; /* workers close in step */
    struct wr_rejects rejects; /* rows that a sink's other side refused, on their way to dead letters */
    struct wr_epoch_board board;
    atomic_bool stopping;   /* sources are not polled any more (signal, failure) */
    atomic_bool workers_end; /* leave the loop */
    atomic_bool sinks_end;

    int64_t epoch_interval_us; /* smallest commit interval of all sinks */
    uint64_t full_epoch;       /* the newest in which all take part: the first one after splits were opened, so that every sink stands
                                  somewhere in each of them */
    uint64_t *sink_every;      /* per sink: takes part in every n-th epoch */
    uint32_t *node_every;      /* per node: so does its state */
    bool *exactly_once;        /* per sink: its guarantee */
    struct wr_recovery *recovery; /* what the claimed manifest means; NULL: a run without state */
    struct wr_ledger_view *ledger; /* control's: what is read and what has landed (ledger_view.h) */
    atomic_bool preview_full;      /* every previewed sink has its rows */
    atomic_bool pressed;           /* state takes more than it should: splits that are ahead wait (scan.h) */
    atomic_bool ready;             /* /readyz: all connectors are open */
    _Atomic uint64_t result_faults; /* result rows that failed */

    pthread_mutex_t stop_lock;
    struct wr_error stop_error;
    atomic_bool stop_asked; /* stop_error is set: read it under stop_lock */

    int64_t started_ns;
    int64_t started_wall_us;
    int64_t started_cpu_ns;
};

/* Which sink worker takes sink's rows from worker w. */
uint32_t wr_pipeline_sink_worker(const struct wr_pipeline *p, uint32_t sink, uint32_t worker);

/* Whether sink takes part in an epoch. */
bool wr_pipeline_joins(const struct wr_pipeline *p, uint32_t sink, uint64_t epoch, bool final);
/* Whether the state of a node (a window, or a scan that deduplicates) does. */
bool wr_pipeline_node_joins(const struct wr_pipeline *p, uint32_t node, uint64_t epoch, bool final);

/* Memory that one sink writer may hold before it flushes. */
uint64_t wr_pipeline_writer_bytes(const struct wr_pipeline *p);

struct wr_side_rows;
/* A result row that failed (no position): to the error sink of the first source below the sink, else logged and counted.
 * value: its JSON text, may be empty. @thread worker */
void wr_pipeline_result_fault(struct wr_pipeline *p, struct wr_side_rows *side, uint32_t sink,
                              const char *message, const char *field, struct wr_slice value);
/* Turns what sinks rejected into dead letters. @thread worker 0 */
void wr_pipeline_take_rejects(struct wr_pipeline *p, struct wr_side_rows *side);

/* Asks control to end the run as after SIGTERM, everything committed, but with this error and exit 1. The first one
 * counts. @thread any */
void wr_pipeline_stop_with(struct wr_pipeline *p, const struct wr_error *err);

/* The sink that prints instead of writing (preview.c). */
const struct wr_sink_ops *wr_preview_ops(uint32_t rows, atomic_bool *full, uint32_t sinks);

/* Parts of a run, for pipeline.c's threads and stepped.c: create (connectors found, layout settled), claim the state, allocate,
 * open_sources, open workers and sink workers, …, close them, release, destroy. After a failed create destroy is called
 * too. @thread control */
WR_NODISCARD wr_status wr_pipeline_create(struct wr_pipeline **pipeline, const struct wr_plan *plan,
                                          const struct wr_run_config *config, struct wr_error *err);
void wr_pipeline_allocate(struct wr_pipeline *pipeline);
WR_NODISCARD wr_status wr_pipeline_open_sources(struct wr_pipeline *pipeline, struct wr_error *err);
void wr_pipeline_release(struct wr_pipeline *pipeline);
void wr_pipeline_destroy(struct wr_pipeline *pipeline);

/* Runs plan to its end; returns the exit code of design.md, section 6. @thread control */
int wr_pipeline_run(const struct wr_plan *plan, const struct wr_run_config *config);

#endif
