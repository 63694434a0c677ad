/* pubsub_source.h: what the parts of the connector 'pubsub' share (internal to it).
 *
 *   pubsub.c          the vtable: options, open, the reader, commit, close
 *   pubsub_client.c   the client's thread: streams, acknowledgements, leases, whether the service answers
 *   pubsub_records.c  a response -> runs of records
 *   pubsub_held.c     messages that are not acknowledged yet
 *
 * A message's way: a stream brings a response; each of its messages that is not known yet gets the next position and an entry in
 * `held`; the response becomes a run of records in `queue`; worker 0's reader gives it. When commit says that a position is
 * committed and published, what came before it is acknowledged. Until then its lease is extended.
 * What the service delivers again: while it is held, it is known here and its newer ack id counts; afterwards (a crash between the
 * manifest and the acknowledgement) it comes as a new row, which deduplication by _message_id removes.
 *
 * Ownership: a run owns its share of the response's memory (refs: all runs of one response), counted by whoever has the runs:
 * the client until they are queued, then the worker, after the reader is closed the source.
 * Threads: the channel and `held` are the client's alone once it runs. Everything below "under lock" is shared.
 * Invariants:
 *   (1) a message is acknowledged only after commit was told a position behind it
 *   (2) positions in the queue ascend without gaps; the run at its head begins where the last given one ended
 */
#ifndef WR_SOURCE_PUBSUB_SOURCE_H
#define WR_SOURCE_PUBSUB_SOURCE_H

#include "base/clock.h"
#include "base/rand.h"
#include "net/pubsub_api.h"
#include "net/retry.h"
#include "source/pubsub_held.h"
#include "source/source_gate.h"

#define WR_PUBSUB_STREAMS_MAX 32u

/* A response's bytes, which records borrow. */
struct wr_pubsub_frame {
    char *data;
    uint32_t refs;
};

struct wr_pubsub_run {
    struct wr_records base; /* first: records and this are the same address */
    struct wr_pubsub_run *next;
    struct wr_pubsub_frame *frame;
    int64_t first; /* position */
    struct wr_pubsub_message *messages; /* of items; records' handles point at them */
    struct wr_record items[];
};

enum wr_pubsub_reach { WR_PUBSUB_QUIET_UNKNOWN, WR_PUBSUB_QUIET, WR_PUBSUB_UNREACHABLE, WR_PUBSUB_EMPTY };

struct wr_pubsub_stream {
    struct wr_source *source;
    struct wr_grpc_call call;
    struct wr_retry retry;
    char client_id[40];
    int64_t begun_ns;
    int64_t start_ns; /* when it is to be begun (again) */
    int64_t kept_ns;  /* last sign of life of ours */
    bool held;
    bool got_any;
};

enum wr_pubsub_call { WR_PUBSUB_ACK, WR_PUBSUB_EXTEND, WR_PUBSUB_NACK, WR_PUBSUB_PROBE, WR_PUBSUB_LOOK };

/* A unary call of the client. */
struct wr_pubsub_request {
    struct wr_pubsub_request *next;
    struct wr_source *source;
    struct wr_grpc_call call;
    enum wr_pubsub_call kind;
    struct wr_pubsub_entry **entries; /* ACK: what it acknowledges */
    uint32_t count;
    bool found; /* LOOK: there were messages */
};

struct wr_source {
    struct wr_source_env env;
    struct wr_open_gate gate;
    struct wr_pubsub_service service;
    char *subscription; /* full name */
    char *name;         /* last part of it: _topic and the split's name */
    char *params;
    uint32_t stream_count;
    uint32_t ack_deadline_s;
    uint64_t messages_max, bytes_max; /* all streams together; 0: none */
    int64_t empty_after_ns;
    int64_t remember_ns; /* deduplicate_within */
    int64_t start;       /* position */
    pthread_t thread;
    bool running;

    /* The client's. */
    struct wr_pubsub_held held;
    struct wr_pubsub_stream streams[WR_PUBSUB_STREAMS_MAX];
    struct wr_pubsub_request *requests; /* under way */
    struct wr_retry ack_retry;
    int64_t ack_again_ns; /* no Acknowledge before */
    int64_t scanned_ns;   /* leases: when the last scan began */
    int64_t scan_at;      /* where it goes on; below 0: none is under way */
    int64_t last_ns;      /* the last message came, or the streams were begun */
    int64_t answered_ns;  /* the service answered a probe last */
    int64_t probed_ns;
    uint32_t empty_looks; /* bounded: pulls in a row that brought nothing */
    uint32_t acks_out;
    bool probing;
    bool doubtful; /* streams fail again and again: ask by a pull */
    bool ordering;
    bool told_trouble;
    struct { int64_t at_ns, first; } floors[8]; /* where `held` began, every eighth of remember_ns */
    uint32_t floor_at;
    struct wr_buf scratch;

    pthread_mutex_t lock;
    struct wr_pubsub_run *queue_first, *queue_last;
    uint64_t queue_bytes;
    int64_t settle_to; /* commit's */
    int64_t forgotten; /* redelivers_from */
    enum wr_pubsub_reach reach;
    bool closing;
    struct wr_error failure; /* cls NONE: none */
};

/* pubsub_records.c: data's ownership moves. Appends runs for what is new to the list; false: the bytes are not a response.
 * `arrived`: how many messages there were, known ones included. */
bool wr_pubsub_take_response(struct wr_source *s, char *data, size_t bytes, int64_t now_ns, struct wr_pubsub_run **first,
                             struct wr_pubsub_run **last, uint32_t *arrived);
void wr_pubsub_run_free(struct wr_pubsub_run *run);

/* pubsub_client.c; @thread control but for the thread itself */
/* Asks for a message, so that a wrong name or a missing permission is told at the start. What it brings is held and queued. */
WR_NODISCARD wr_status wr_pubsub_client_look(struct wr_source *s, struct wr_error *err);
WR_NODISCARD wr_status wr_pubsub_client_start(struct wr_source *s, struct wr_error *err);
/* Acknowledges what is committed, gives the rest back, and joins the thread. */
void wr_pubsub_client_stop(struct wr_source *s);

#endif
