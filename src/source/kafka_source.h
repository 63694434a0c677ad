/* kafka_source.h: what the parts of the connector 'kafka' share.
 *
 *   kafka.c         options, open, upkeep, commit, lag, close
 *   kafka_conf.c    options -> librdkafka's configuration (how to get in: kafka/kafka_access.h)
 *   eventhubs.c     the connector 'eventhubs': this one, with options of its own
 *   kafka_assign.c  topics and partitions -> splits with a start and an end; groups
 *   kafka_probe.c   are quiet splits still at their end, and do the brokers answer?
 *   kafka_hold.c    splits that are held back while memory is short
 *   kafka_reader.c  a worker's queue -> records
 *
 * One client per source. Each worker has a queue; a partition's queue is forwarded to its worker's
 * before the partition is assigned, so that no message is ever seen elsewhere. A queue's eventfd
 * wakes the worker's loop. A split is a partition: it keeps its number and its worker also when it
 * is revoked and comes back.
 *
 * Where a partition begins (kafka_assign.c): with a state, at the manifest's position; new partitions at their beginning. With a
 * group, too, but what other members of the group have committed since then is not read again: the greater of the two.
 * A group deals partitions to processes with a state each; what a member had read and not committed to the group when it
 * died is read again by whoever gets its partitions, so exactly once holds across processes only for partitions that stay.
 * Each process with a state is a static member of its group (kafka_conf.c): killed and started again it goes on at once.
 *
 * Whether a split is caught up is only known while brokers answer: quiet splits are asked about (kafka_probe.c).
 *
 * Threads: librdkafka's own threads stay behind its queues (only the log callback runs on them).
 * Control runs open, tick (callbacks: rebalance, errors), commit, lag, close. What control and
 * workers share is under `lock`; fields of a split marked "reader" are its reader's alone.
 */
#ifndef WR_SOURCE_KAFKA_SOURCE_H
#define WR_SOURCE_KAFKA_SOURCE_H

#include "kafka/kafka_access.h"
#include "source/source_gate.h"
#include <librdkafka/rdkafka.h>

/* How long the brokers may take to answer when the source is opened. */
#define WR_KAFKA_OPEN_MS 10000

enum wr_kafka_start { WR_KAFKA_EARLIEST, WR_KAFKA_LATEST, WR_KAFKA_COMMITTED, WR_KAFKA_TIME };

enum wr_kafka_mail {
    WR_KAFKA_MAIL_OPEN = 1,
    WR_KAFKA_MAIL_REVOKED = 2,
    WR_KAFKA_MAIL_UNREACHABLE = 4,
    WR_KAFKA_MAIL_REACHABLE = 8,
    WR_KAFKA_MAIL_GO_ON = 16, /* no longer held: what comes from now on begins at its position */
};

struct wr_kafka_split {
    uint32_t index;
    uint32_t worker;
    char *topic;
    int32_t partition;
    char *name; /* "topic/partition" */
    /* Under lock. */
    uint32_t mail;    /* what its reader has not yet told */
    bool assigned;
    bool ended;       /* bounded: read up to end */
    bool paused;      /* bounded: ended, and no longer fetched */
    int64_t start;    /* where the assignment begins */
    int64_t end;      /* bounded: offset after the last message at open; else INT64_MAX */
    int64_t position; /* next to be read: for lag */
    int64_t quiet_since_ns; /* told caught up, and nothing since; INT64_MAX: not so */
    int64_t heard_ns;       /* the brokers said so last: at most position messages, asked at this time */
    bool unreachable;       /* told so */
    bool held;              /* its reader wants it to wait; kafka_hold.c */
    bool adrift;            /* its reader drops what comes: before it goes on its position must be sought */
    bool stopped;           /* held, and no longer fetched */
    /* Reader. */
    bool open;
    bool caught_up; /* told since the last rows */
    bool dropping;  /* held: what comes is fetched again later */
    int64_t reads_to;
    int64_t next; /* what was given ends here: what comes again after a rebalance is dropped */
};

struct wr_source {
    struct wr_source_env env;
    struct wr_kafka_access *access;
    const char *brokers; /* for messages */
    const char *group;   /* NULL: partitions are assigned by ourselves */
    enum wr_kafka_start start;
    int64_t start_ms;
    bool start_given;
    bool skip_gaps;
    const char *hub;           /* eventhubs: the one topic */
    const char *const *topics; /* names, and patterns that begin with ^ */
    uint32_t topic_count;
    rd_kafka_t *rk;
    rd_kafka_queue_t **queues; /* per worker */
    struct wr_open_gate gate;

    pthread_mutex_t lock;
    struct wr_kafka_split **splits; /* stable pointers; the array grows under lock */
    uint32_t split_count;
    uint32_t *mail; /* per worker: how many of its splits have mail */
    uint32_t open_ends; /* bounded: splits assigned and not ended */
    bool assigned_once; /* and if it was nothing, it stayed so for EMPTY_NS */
    char trouble[256];  /* the last error that librdkafka logged */
    bool down;          /* no broker can be reached */

    /* Control. */
    bool down_told;
    bool closing;
    bool rebalanced;       /* the group has dealt out partitions once, perhaps none to us */
    int64_t rebalanced_ns;
    int64_t commit_from_ns; /* no commit before: see kafka_commit */
    int64_t refreshed_ns;
    int64_t probed_ns;          /* when quiet splits were asked about last */
    rd_kafka_queue_t *probes;   /* answers; NULL: nothing was asked yet */
    uint32_t probes_out;
    bool topic_missing; /* why wr_kafka_discover failed */
    struct wr_error failure; /* from a callback; cls NONE: none */
    rd_kafka_topic_partition_list_t *committed; /* last positions given to commit */
    bool commit_due; /* they are not sent yet, or were refused */
};

/* kafka.c: what a row of the connectors consists of. */
wr_status wr_kafka_open(struct wr_source **source, const struct wr_source_env *env,
                        struct wr_error *err);
wr_status wr_kafka_tick(struct wr_source *s, struct wr_time now, struct wr_error *err);
wr_status wr_kafka_commit(struct wr_source *s, const struct wr_split_position *positions,
                          uint32_t count, struct wr_error *err);
int64_t wr_kafka_lag(struct wr_source *s);
void wr_kafka_close(struct wr_source *s);

/* kafka_conf.c */
extern const struct wr_option wr_kafka_options[];
/* Each kafka.<property> is known, well-formed and not Weir's own. bad_at: the culprit. */
WR_NODISCARD wr_status wr_kafka_check(const struct wr_plan_source *plan, uint32_t *bad_at,
                                      struct wr_error *err);
/* Fills access, brokers, group, start, topics. */
WR_NODISCARD wr_status wr_kafka_read_options(struct wr_source *s, uint32_t *bad_at,
                                             struct wr_error *err);
/* refresh: see wr_kafka_access_configure. */
WR_NODISCARD wr_status wr_kafka_make_conf(struct wr_source *s,
                                          void (*refresh)(rd_kafka_t *, const char *, void *),
                                          rd_kafka_conf_t **conf, struct wr_error *err);

/* kafka_assign.c; @thread control */
/* Finds the topics' partitions; all: also those that have splits already. */
WR_NODISCARD wr_status wr_kafka_discover(struct wr_source *s, int timeout_ms,
                                         rd_kafka_topic_partition_list_t **list,
                                         struct wr_error *err);
/* Gives the partitions splits, starts and ends, forwards their queues and assigns them. later:
 * found after the start. */
WR_NODISCARD wr_status wr_kafka_assign(struct wr_source *s,
                                       rd_kafka_topic_partition_list_t *list, bool later,
                                       struct wr_error *err);
/* Marks their splits revoked. */
void wr_kafka_revoke(struct wr_source *s, const rd_kafka_topic_partition_list_t *list);
void wr_kafka_rebalance_cb(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                           rd_kafka_topic_partition_list_t *list, void *opaque);
/* Fills err from an answer, with what librdkafka logged last as the detail. */
wr_status wr_kafka_fail(struct wr_source *s, struct wr_error *err, rd_kafka_resp_err_t code,
                        const char *what);

/* Under lock: its reader is told with its next poll. */
void wr_kafka_put_mail(struct wr_source *s, struct wr_kafka_split *split, uint32_t mail);
/* Under lock: takes back what its reader has not told yet. */
void wr_kafka_take_mail_back(struct wr_source *s, struct wr_kafka_split *split, uint32_t mail);

/* kafka_probe.c; @thread control */
void wr_kafka_probe(struct wr_source *s, struct wr_time now);

/* kafka_hold.c */
void wr_kafka_hold(struct wr_source *s, struct wr_kafka_split *split, bool held); /* @thread worker */
void wr_kafka_serve_holds(struct wr_source *s);                                   /* @thread control */
/* Under lock: the split is no longer ours. True: fetching it was stopped, which must be undone. */
bool wr_kafka_forget_hold(struct wr_source *s, struct wr_kafka_split *split);

/* kafka_reader.c; @thread worker */
wr_status wr_kafka_reader_open(struct wr_reader **out, struct wr_source *s, uint32_t worker,
                               struct wr_io *io, struct wr_error *err);
wr_status wr_kafka_reader_poll(struct wr_reader *r, struct wr_time now, struct wr_batch *batch,
                               struct wr_poll *out, struct wr_error *err);
void wr_kafka_reader_pause(struct wr_reader *r, uint32_t split, bool paused);
void wr_kafka_reader_close(struct wr_reader *r);

/* What the vtables of both connectors, kafka and eventhubs, have in common: all but names and options. */
#define WR_KAFKA_SOURCE_CALLS                                                                      \
    .metadata = { [WR_META_TOPIC] = true,                                                          \
                  [WR_META_PARTITION] = true,                                                      \
                  [WR_META_OFFSET] = true,                                                         \
                  [WR_META_TIMESTAMP] = true,                                                      \
                  [WR_META_KEY] = true,                                                            \
                  [WR_META_HEADERS] = true },                                                      \
    .check = wr_kafka_check,                                                                       \
    .open = wr_kafka_open,                                                                         \
    .reader_open = wr_kafka_reader_open,                                                           \
    .poll = wr_kafka_reader_poll,                                                                  \
    .pause = wr_kafka_reader_pause,                                                                \
    .reader_close = wr_kafka_reader_close,                                                         \
    .tick = wr_kafka_tick,                                                                         \
    .commit = wr_kafka_commit,                                                                     \
    .lag = wr_kafka_lag,                                                                           \
    .close = wr_kafka_close

#endif
