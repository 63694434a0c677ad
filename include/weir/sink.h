/* sink.h: the sink connector vtable (interface): what run asks of Parquet directories, Kafka, files, the terminal.
 *
 * A sink has one writer, or (parallel) one per sink worker ("lane"). A sink worker thread owns its writers and
 * drives them: write*, tick*, then at an epoch's barrier prepare; control commits the epoch; then publish.
 *
 * Transactional connectors (delta, parquet, file; kafka with guarantee = 'exactly_once'): what write took is invisible to readers
 * until publish. prepare leaves a receipt: one JSON value that says what has to be published. It is part of the epoch's
 * manifest, so that a later process can publish in this one's place.
 * Immediate connectors (kafka, stdout, blackhole): write makes it visible as soon as it can; prepare waits until
 * all of it is acknowledged and leaves no receipt; publish does nothing.
 * Threads: all functions of a writer on its sink worker, which may wait (its loop is env->io; HTTP by store/).
 * Invariants:
 *   (1) after prepare(E) returned WR_OK everything written before it is durable
 *   (2) publish(E) comes after prepare(E) of all writers of all sinks in E and may be repeated after a crash
 *   (3) several epochs may be prepared and unpublished at once; publishes come in order
 *   (4) a batch given to write is read-only and stays valid only during the call
 *   (5) publishing from the receipt (recover) and publishing (publish) may both be tried, in any order and again: the epoch
 *       is visible once (design.md, section 4, invariant 3)
 *   (6) an object's name holds the owner's id; a writer removes only its own and its predecessors' unpublished ones
 */
#ifndef WEIR_SINK_H
#define WEIR_SINK_H

#include "base/buf.h"
#include "base/clock.h"
#include "batch/batch.h"
#include "config/option.h"
#include "io/loop.h"
#include "plan/plan.h"
#include <stdio.h>

struct wr_writer; /* the connector's own */

struct wr_sink_stats {
    uint64_t rows;  /* taken by write, without rejected ones */
    uint64_t files; /* published */
    uint64_t bytes; /* published or acknowledged */
};

/* What prepare left to publish: one JSON value. */
struct wr_receipt {
    const char *text;
    size_t bytes;
};

/* What the manifest that this process has just claimed says of a sink. */
struct wr_sink_recovery {
    uint64_t epoch; /* the sink's newest committed epoch; 0: it has none (then there are no receipts) */
    const struct wr_receipt *receipts; /* of that epoch: published perhaps, of all lanes */
    uint32_t receipt_count;
    const char *const *owners; /* ids of the predecessors: what they have not published and no receipt names is removed */
    uint32_t owner_count;
};

struct wr_sink_env {
    const struct wr_plan_sink *plan; /* name, options (typed bag), schema, partition columns */
    const char *pipeline;            /* the pipeline's name (file name without directory and .sql) */
    const char *owner;               /* 16 hex digits, unique per run: part of object names */
    /* Who the sink is to the outside: Delta appId, transactional ids are "<state_uuid>/<sink name>". "" without state. */
    const char *state_uuid;
    const char *state_url;                   /* for spool objects; NULL without state */
    const struct wr_options *state_options;  /* of that store */
    bool exactly_once;                       /* this sink's guarantee */
    uint64_t first_epoch;                    /* the earliest that what is written now can be part of; 0: not known */
    bool background;                         /* threads of its own are allowed (compaction); not in simulations */
    uint32_t lane;
    uint32_t lanes;
    struct wr_io *io;                /* the sink worker's loop */
    uint64_t memory_bytes;           /* soft limit of this writer: flush the fullest above it */
    FILE *terminal;                  /* where stdout sinks print */
    /* Rows became visible or acknowledged that arrived at ingest_us (immediate connectors; latency). */
    void (*visible)(void *ctx, int64_t ingest_us, uint64_t rows);
    /* A row the other side refuses for good (too large, schema): goes to dead letters with its JSON text. */
    void (*reject)(void *ctx, const char *row_json, size_t bytes, const char *message);
    void *ctx;
};

struct wr_sink_ops {
    const char *name;
    const char *help;
    const struct wr_option *options;
    bool has_format;      /* rows become text: option format (json, csv) */
    bool parallel;        /* a writer per sink worker */
    bool transactional;   /* always: exactly_once is its default guarantee */
    bool exactly_once;    /* can be so (transactional only then) when guarantee = 'exactly_once' asks for it */
    bool bulk;            /* big and slow (encode, upload): kept away from the threads of immediate sinks */
    int64_t commit_interval_us; /* default of its commit_interval; 0: the pipeline's */
    const char *unavailable;

    /* Without touching the network. May be NULL. @thread control */
    wr_status (*check)(const struct wr_plan_sink *plan, uint32_t *bad_at, struct wr_error *err);
    /* @thread sink worker (before the workers start) */
    wr_status (*open)(struct wr_writer **writer, const struct wr_sink_env *env, struct wr_error *err);
    /* Takes all live rows of the batch. WR_FAIL class RETRY: nothing was taken, run backs off and repeats. */
    wr_status (*write)(struct wr_writer *writer, const struct wr_batch *batch, struct wr_time now,
                       struct wr_error *err);
    /* Upkeep: serve delivery reports, flush what lingers. *next_ns: monotonic time of the next call (INT64_MAX: when something
     * happens). May be NULL. */
    wr_status (*tick)(struct wr_writer *writer, struct wr_time now, int64_t *next_ns,
                      struct wr_error *err);
    /* Once, after open and before anything else, on lane 0 when the pipeline has state: makes the committed epoch visible if it is
     * not, and removes what predecessors left unpublished. Class RETRY: run backs off and repeats. May be NULL. */
    wr_status (*recover)(struct wr_writer *writer, const struct wr_sink_recovery *recovery,
                         struct wr_error *err);
    /* Appends the receipt (nothing: there is nothing to publish). A repeated call (after RETRY) begins with the receipt empty again. */
    wr_status (*prepare)(struct wr_writer *writer, uint64_t epoch, struct wr_buf *receipt,
                         struct wr_error *err);
    /* receipts: on lane 0 those of all lanes, in the order of lanes; on the others none. Lane 0 may be called before, during or
     * after the others. */
    wr_status (*publish)(struct wr_writer *writer, uint64_t epoch, const struct wr_receipt *receipts,
                         uint32_t receipt_count, struct wr_error *err);
    void (*stats)(const struct wr_writer *writer, struct wr_sink_stats *stats);
    uint64_t (*held_bytes)(const struct wr_writer *writer); /* buffers; may be NULL */
    /* Frees; what is not published is dropped and removed where possible. NULL is fine. */
    void (*close)(struct wr_writer *writer);
};

/* All connectors of this build, NULL-terminated (src/sink/sink_registry.c). */
extern const struct wr_sink_ops *const wr_sinks[];

#endif
