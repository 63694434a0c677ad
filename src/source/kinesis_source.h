/* kinesis_source.h: what the parts of the connector 'kinesis' share.
 *
 *   kinesis.c          options, open, upkeep, lag, close
 *   kinesis_shards.c   which shards there are, where each goes on, when a child may begin; notes in the manifest
 *   kinesis_fetch.c    the fetchers: threads that ask for records and put blocks of them into the shards' queues
 *   kinesis_fan_out.c  enhanced fan-out: registering a consumer, events of SubscribeToShard
 *   kinesis_block.c    an answer -> records, in place; kinesis_kpl.c: records within records
 *   kinesis_reader.c   a worker's shards' queues -> polls
 *
 * A split is a shard. Its position counts the records that it has given, those within packed records singly: 0, 1, 2, ... A
 * shard's records are ordered and never change, so that the count says exactly where to go on, with the note that the manifest
 * keeps beside it (kinesis_shards.c): the last record's sequence number, or that the shard has ended.
 *
 * A shard's way (under lock unless it says otherwise):
 *   found -> announced (a split with a number; its reader is to open it) -> fetched -> queue -> given -> ended, or: passed (it is
 *   not read: it was closed before `start = 'latest'`, or its children are known and it is not)
 * A child is announced just before its last parent's end is told, and that end waits until the child is open (gate): so the
 * watermark never jumps past the child's rows. Fetching it begins when all its parents have ended.
 *
 * Threads: control runs open, tick, lag, close; each fetcher asks for the shards whose number is its own modulo the fetchers;
 * readers on their workers. What they share is under `lock`; a shard's `fetch` is its fetcher's alone.
 * Invariants:
 *   (1) shards are never removed or moved; ids are unique
 *   (2) held == bytes of all blocks in queues and lent; a fetcher asks for more only while it is below env.memory_bytes
 *   (3) pending[w] == how many of worker w's splits have something to tell (to be opened, or a queue that is not empty)
 */
#ifndef WR_SOURCE_KINESIS_SOURCE_H
#define WR_SOURCE_KINESIS_SOURCE_H

#include "net/kinesis_api.h"
#include "net/retry.h"
#include "source/kinesis_block.h"
#include "source/source_gate.h"
#include "net/event_stream.h"

#define WR_KINESIS_FETCHERS_MAX 4u
#define WR_KINESIS_NO_TIME      INT64_MIN
#define WR_KINESIS_ID_BYTES_MAX 128u
#define WR_KINESIS_UNNUMBERED   UINT32_MAX

#define WR_KINESIS_CLOCK_MS 999

enum wr_kinesis_kind {
    WR_KINESIS_HORIZON, /* the oldest record that is left */
    WR_KINESIS_LATEST,
    WR_KINESIS_TIME,
    WR_KINESIS_AT,    /* cursor's record and on */
    WR_KINESIS_AFTER, /* what comes behind cursor's record */
};

/* Where in a shard reading begins. */
struct wr_kinesis_from {
    enum wr_kinesis_kind kind;
    int64_t time_ms;
    struct wr_kinesis_cursor cursor;
};

enum wr_kinesis_step {
    WR_KINESIS_NEEDS_ITERATOR,
    WR_KINESIS_ASKED_ITERATOR,
    WR_KINESIS_NEEDS_RECORDS,
    WR_KINESIS_ASKED_RECORDS,
    WR_KINESIS_NEEDS_STREAM, /* enhanced fan-out */
    WR_KINESIS_IN_STREAM,
    WR_KINESIS_NEEDS_CHILDREN,
    WR_KINESIS_DONE,
};

/* A shard as its fetcher sees it. */
struct wr_kinesis_fetch {
    struct wr_kinesis_fetcher *fetcher;
    enum wr_kinesis_step step;
    struct wr_http_call call;
    struct wr_buf body;
    struct wr_buf iterator;
    struct wr_kinesis_from at;
    int64_t position;
    int64_t not_before_ns; /* no step earlier */
    int64_t asked_ns;      /* the last call for records, or subscription */
    struct wr_retry retry;
    int64_t failing_since_ns; /* INT64_MAX: it works */
    uint32_t failures;        /* in a row */
    uint32_t child_asks;
    bool told_caught_up;
    bool told_unreachable;
    bool ended;  /* bounded: the end that the shard had was reached */
    bool closed; /* the shard's own end was reached */
    bool stalled; /* the stream waits for memory */
    uint64_t record_bytes; /* mean, for Limit */
    struct wr_event_reader events;
    struct wr_error event_error;
    struct wr_buf children; /* JSON array; empty: not told */
};

struct wr_kinesis_shard {
    /* Constant once it is there. */
    char *id;
    char *name; /* "stream/id" */
    char *parent_ids[2];
    struct wr_kinesis_shard *parents[2]; /* NULL: none, or one that nothing is known of any more */
    struct wr_hash_range range;
    int32_t partition;
    bool closed;  /* when it was listed */
    bool at_open; /* it was there when the source was opened */
    /* Set before it is announced. */
    struct wr_kinesis_from start;
    int64_t start_position;
    int64_t since_ms;    /* records before are not wanted (start = a time), here and in children; WR_KINESIS_NO_TIME */
    char note[WR_SPLIT_NOTE_BYTES_MAX]; /* as it is opened */
    bool start_ended;    /* the manifest has it to its end */
    bool known;          /* the manifest has it */
    bool passed;
    /* Under lock. */
    uint32_t split; /* WR_KINESIS_UNNUMBERED: not announced */
    uint32_t worker;
    bool to_open;
    bool may_fetch;
    bool claimed; /* by its fetcher */
    bool paused;
    bool ended; /* told */
    bool children_announced;
    struct wr_kinesis_block *first;
    struct wr_kinesis_block *last;
    uint64_t queued;   /* bytes of the queue */
    int64_t behind_ms; /* -1: not known */
    struct wr_kinesis_fetch fetch;
};

struct wr_kinesis_fetcher {
    struct wr_source *source;
    uint32_t index;
    struct wr_kinesis_api api;
    struct wr_kpl *kpl;
    struct wr_kinesis_shard **shards;
    uint32_t shard_count;
    uint32_t under_way; /* calls, streams not counted */
    uint32_t seen;      /* of source->activations */
    pthread_t thread;
    bool running;
};

struct wr_source {
    struct wr_source_env env;
    struct wr_kinesis_place place;
    struct wr_kinesis_api api; /* control's */
    struct wr_kinesis_from start;
    const char *start_list; /* "shardId-...=SEQUENCE, ..."; NULL: none */
    bool skip_gaps;
    int64_t poll_interval_ns;
    const char *consumer; /* NULL: polling */
    char *consumer_arn;
    int64_t opened_ms; /* the service's clock, in whole seconds (HTTP's Date): up to WR_KINESIS_CLOCK_MS earlier than it was */
    struct wr_open_gate gate;

    pthread_mutex_t lock;
    struct wr_kinesis_shard **shards;
    uint32_t shard_count;
    struct wr_kinesis_shard **splits; /* announced, by number */
    uint32_t split_count;
    uint32_t ended_count;
    uint32_t *pending; /* per worker; (3) */
    uint32_t activations; /* grows with each shard that may be fetched */
    uint64_t held; /* (2) */
    bool starved;  /* a fetcher waits for held to fall */
    bool stopping;
    uint32_t readers_open;
    struct wr_error failure; /* ends the run; cls NONE: none */
    struct wr_error trouble; /* what holds reading up; cls NONE: nothing */
    bool trouble_told;
    uint32_t troubled;       /* shards that it holds up */

    struct wr_kinesis_fetcher fetchers[WR_KINESIS_FETCHERS_MAX];
    uint32_t fetcher_count;
};

/* ---- kinesis_shards.c ---- */

/* "earliest", "trim_horizon", "latest", a time, or a list of shard=sequence (then *list is text). */
WR_NODISCARD wr_status wr_kinesis_start_parse(const char *text, struct wr_kinesis_from *from,
                                              const char **list, struct wr_error *err);
void wr_kinesis_note_write(const struct wr_kinesis_from *from, int64_t since_ms, bool ended,
                           char note[WR_SPLIT_NOTE_BYTES_MAX]);
/* False: no note of ours. */
bool wr_kinesis_note_read(const char *note, struct wr_kinesis_from *from, int64_t *since_ms,
                          bool *ended);
/* Lists the stream's shards and keeps those that are new. @thread control, or a fetcher with its api */
WR_NODISCARD wr_status wr_kinesis_list(struct wr_source *s, struct wr_kinesis_api *api,
                                       struct wr_error *err);
/* Keeps shards that are new from a JSON array (of ListShards or ChildShards). Under lock. */
void wr_kinesis_learn(struct wr_source *s, const json_t *array);
/* After the first listing: says where each shard goes on, and announces those that begin now. @thread control */
WR_NODISCARD wr_status wr_kinesis_begin(struct wr_source *s, struct wr_error *err);
/* Its reader is about to tell that shard has ended: announces children whose last parent it is. Under lock. */
bool wr_kinesis_announce_children(struct wr_source *s, struct wr_kinesis_shard *shard); /* true: there were any */
/* The end was told: lets children begin whose last parent it was. True: there were any. Under lock. */
bool wr_kinesis_release_children(struct wr_source *s, struct wr_kinesis_shard *shard);
bool wr_kinesis_has_children(const struct wr_source *s, const struct wr_kinesis_shard *shard); /* under lock */

/* ---- kinesis_fetch.c ---- */

WR_NODISCARD wr_status wr_kinesis_fetchers_open(struct wr_source *s, struct wr_error *err); /* @thread control */
/* Once all readers are open: before, workers cannot be woken. @thread worker */
WR_NODISCARD wr_status wr_kinesis_fetchers_start(struct wr_source *s, struct wr_error *err);
void wr_kinesis_fetchers_stop(struct wr_source *s);
void wr_kinesis_fetchers_wake(struct wr_source *s); /* @thread any */
/* Whether the shard's queue and the memory have room. */
bool wr_kinesis_has_room(struct wr_source *s, struct wr_kinesis_shard *shard);
/* Puts an answer's block into the shard's queue and notes what it says. @thread fetcher */
void wr_kinesis_deliver(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard,
                        struct wr_kinesis_block *block, const struct wr_kinesis_answer *answer);
/* The shard's fetch failed: notes it, backs off; fails the run when that is no use. */
void wr_kinesis_fetch_failed(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard,
                             const struct wr_error *why);
/* The record to go on behind is gone: fails, or with on_gap = 'skip' goes on with what is left. */
void wr_kinesis_skip_gap(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard,
                         struct wr_error *err);
void wr_kinesis_fetch_works(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard);
/* Ends the run. */
void wr_kinesis_set_failed(struct wr_source *s, const struct wr_error *err);
/* Appends "Type":"..." and what belongs to it. */
void wr_kinesis_put_from(struct wr_buf *json, const struct wr_kinesis_from *from, const char *type_name,
                         const char *sequence_name);

/* ---- kinesis_fan_out.c ---- */

/* Finds or registers the consumer and waits until it may read. @thread control */
WR_NODISCARD wr_status wr_kinesis_register(struct wr_source *s, struct wr_error *err);
void wr_kinesis_subscribe(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard, int64_t now_ns);
/* The subscription is over, well or not. */
void wr_kinesis_stream_done(struct wr_kinesis_fetcher *f, struct wr_kinesis_shard *shard);

/* ---- kinesis_reader.c; @thread worker ---- */

wr_status wr_kinesis_reader_open(struct wr_reader **out, struct wr_source *s, uint32_t worker,
                                 struct wr_io *io, struct wr_error *err);
wr_status wr_kinesis_reader_poll(struct wr_reader *r, struct wr_time now, struct wr_batch *batch,
                                 struct wr_poll *out, struct wr_error *err);
void wr_kinesis_reader_pause(struct wr_reader *r, uint32_t split, bool paused);
void wr_kinesis_reader_close(struct wr_reader *r);

#endif
