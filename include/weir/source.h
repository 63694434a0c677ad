/* source.h: the source connector vtable (interface): what run asks of Kafka, files, generators, HTTP.
 *
 * A source is opened once per pipeline on control; each worker opens one reader of it. What a source can be divided into
 * are splits (a Kafka partition, a file): numbered densely from 0 by the source itself, each read by one reader.
 *
 * Ownership: records are lent (batch/records.h). Names in polls live as long as the source.
 * Threads: per function, below. A source guards what control and readers share by itself.
 * Invariants:
 *   (1) rows of one split come in position order, from one reader at a time
 *   (2) a split's first poll is SPLIT_OPENED, before any of its rows
 *   (3) nothing that was read is lost: records that a full pool could not take stay queued in the source
 *   (4) CAUGHT_UP is told each time the split's position has reached the source's end and something was read since the last
 *       CAUGHT_UP (also once after opening when it is empty); a backlog never looks idle, nor does a split whose other side does
 *       not answer (UNREACHABLE; when it answers again and nothing is new, CAUGHT_UP is told again)
 *   (5) splits that are found or assigned together are all opened (SPLIT_OPENED returned to their readers' workers, all of
 *       them) before any of them gives a row: else the first one read would move the watermark past the others'
 *       rows (struct wr_open_gate in source_gate.h counts them)
 */
#ifndef WEIR_SOURCE_H
#define WEIR_SOURCE_H

#include "base/clock.h"
#include "batch/batch.h"
#include "config/option.h"
#include "io/loop.h"
#include "plan/plan.h"

struct wr_source; /* the connector's own */
struct wr_reader; /* the connector's own, one per worker */
struct wr_http_server;

#define WR_SPLIT_NOTE_BYTES_MAX 200

/* Where a split goes on: the manifest's position, which wins over the option `start`. */
struct wr_split_start {
    const char *name; /* as SPLIT_OPENED told it */
    int64_t next_position;
    const char *note; /* as SPLIT_OPENED told it, kept by the manifest unread; NULL: none */
};

struct wr_source_env {
    const struct wr_plan_source *plan; /* name, options (typed bag), schemas */
    uint32_t workers;
    uint32_t batch_rows;    /* most rows of one poll (<= WR_BATCH_ROWS_MAX) */
    uint64_t memory_bytes;  /* this source's share: prefetch queues, read buffers */
    bool bounded;           /* stop each split at the end that it had at open */
    /* How long rows may wait for others before they are asked for, so that they come in larger pieces: a fraction of the commit interval
     * where nothing but tables and files waits for them; 0: results go out at once. */
    uint32_t patience_ms;
    /* A manifest exists: splits in starts go on there; others are new since then and are read from their beginning, so that
     * nothing is lost. Borrowed while the source lives. */
    bool resumed;
    const struct wr_split_start *starts;
    uint32_t start_count;
    const char *state_uuid;      /* whose state it is, for names that outlive the process; NULL or "" without state */
    const char *state_directory; /* local, for spools of accepted requests; NULL: none */
    bool preview;                /* rows are shown and nothing is committed: leave no traces at the other side */
    bool has_state;              /* commit will be called after manifests: positions in it are safe for good */
    struct wr_http_server *http; /* the admin server, for ingest; NULL without --listen */
    /* Wakes a worker's loop from any thread. */
    void (*wake)(void *ctx, uint32_t worker);
    void *wake_ctx;
};

enum wr_poll_kind {
    WR_POLL_NOTHING = 0,    /* nothing now; the reader will wake the worker or has a deadline */
    WR_POLL_ROWS,           /* records set, or (connectors that make columns) the given batch filled */
    WR_POLL_SPLIT_OPENED,   /* a split begins here; split_name set */
    WR_POLL_SPLIT_HEADER,   /* header set: the split's first line names its columns (CSV); before its rows */
    WR_POLL_SPLIT_CAUGHT_UP,
    WR_POLL_SPLIT_UNREACHABLE, /* whether it is still caught up is not known: not idle until CAUGHT_UP is told again, or rows */
    WR_POLL_SPLIT_ENDED,    /* bounded end, or a file's end: it never gives rows again */
    WR_POLL_SPLIT_REVOKED,  /* moved to another process: forget it after the epoch */
    WR_POLL_FINISHED,       /* this reader never gives anything again */
};

struct wr_poll {
    enum wr_poll_kind kind;
    uint32_t split;
    struct wr_records *records; /* ROWS of byte connectors: one reference for the caller */
    /* ROWS, SPLIT_OPENED: where the split continues (what is committed). SPLIT_ENDED: 0, or behind what came after the last rows and
     * was none. */
    int64_t next_position;
    const char *split_name;     /* SPLIT_OPENED: "clicks/3", "part-1.ndjson" */
    /* SPLIT_OPENED, ROWS, SPLIT_ENDED: what else the source must know to go on with this split at next_position (a generator's first
     * moment, a shard's sequence number): printable text without quotes, shorter than WR_SPLIT_NOTE_BYTES_MAX, for the manifest.
     * SPLIT_OPENED: NULL: nothing. Else NULL: as before. Valid until the next poll. */
    const char *split_note;
    struct wr_slice header;     /* SPLIT_HEADER: borrowed for the call */
    const char *topic;          /* SPLIT_OPENED: for _topic; may be NULL; lives as long as the source */
    int32_t partition;          /* SPLIT_OPENED: for _partition */
};

struct wr_split_position {
    uint32_t split;
    int64_t next_position;
};

struct wr_source_ops {
    const char *name;                /* "kafka" */
    const char *help;                /* one line for `weir connectors` */
    const struct wr_option *options; /* its own rows */
    bool makes_columns;              /* fills batches itself: no format, no decoder */
    bool always_bounded;             /* files, generators with a row count: the pipeline may end by itself */
    bool is_file;                    /* max_ahead is off by default */
    /* Positions count what came, in the order in which it came (queues that acknowledge each message): what was not committed is
     * delivered again in another order, so all sinks of such a source must commit together (run/cadence.h). */
    bool counts_arrivals;
    bool key_is_topic; /* as of its records (batch/records.h), for dead letters that are read again */
    bool metadata[WR_META_COUNT_];
    const char *unavailable;         /* not built in: the reason */
    const struct wr_schema *own_columns; /* columns when CREATE SOURCE lists none, else NULL */

    /* Checks options against each other and the schema without touching the network. bad_at: byte offset of the culprit.
     * May be NULL. @thread control */
    wr_status (*check)(const struct wr_plan_source *plan, uint32_t *bad_at, struct wr_error *err);
    /* Connects, finds the splits (a missing topic or file is an error here). @thread control */
    wr_status (*open)(struct wr_source **source, const struct wr_source_env *env, struct wr_error *err);
    /* @thread worker */
    wr_status (*reader_open)(struct wr_reader **reader, struct wr_source *source, uint32_t worker,
                             struct wr_io *io, struct wr_error *err);
    /* Never waits. batch: an empty batch of the scan's schema for connectors that make columns (they set rows, ingest_us and
     * origin.position_first), else NULL. WR_OK with out filled; WR_FAIL only for what ends the pipeline or, class
     * RETRY, what it recovers from by itself (told once). @thread worker */
    wr_status (*poll)(struct wr_reader *reader, struct wr_time now, struct wr_batch *batch,
                      struct wr_poll *out, struct wr_error *err);
    /* Holds a split back, or lets it go on: memory is short and this one is far ahead of the others. A paused split gives no rows (a few
     * that were on their way may still come), is never caught up, loses nothing. May be NULL: it cannot. @thread worker */
    void (*pause)(struct wr_reader *reader, uint32_t split, bool paused);
    /* Monotonic time at which poll will have something without a wake-up; INT64_MAX: none. May be NULL: never. @thread worker */
    int64_t (*deadline_ns)(const struct wr_reader *reader);
    void (*reader_close)(struct wr_reader *reader); /* all records are released; @thread worker */
    /* Regular upkeep (group membership, statistics); at least every 100 ms. May be NULL. @thread control */
    wr_status (*tick)(struct wr_source *source, struct wr_time now, struct wr_error *err);
    /* Tells the outside how far everything is committed and published (Kafka group offsets, for lag tools and `committed`; answers that
     * HTTP clients wait for). May be NULL.
     * @thread control */
    wr_status (*commit)(struct wr_source *source, const struct wr_split_position *positions,
                        uint32_t count, struct wr_error *err);
    /* Of sources with WR_META_MESSAGE_ID: no message whose first delivery got a smaller position comes again (it is acknowledged, and the
     * time that deduplicate_within allows for late copies is over). Never decreases. @thread worker */
    int64_t (*redelivers_from)(struct wr_source *source);
    /* Records behind the source's end, all splits; -1 unknown. May be NULL. @thread control */
    int64_t (*lag)(struct wr_source *source);
    /* Milliseconds behind the source's end, the worst split; -1 unknown. For services that tell times, not counts. May be NULL.
     * @thread control */
    int64_t (*lag_ms)(struct wr_source *source);
    void (*close)(struct wr_source *source); /* all readers are closed; NULL is fine; @thread control */
};

/* All connectors of this build, NULL-terminated (src/source/source_registry.c). */
extern const struct wr_source_ops *const wr_sources[];

#endif
