/* kafka_writer.h: what the parts of the sinks 'kafka' and 'eventhubs' share.
 *
 *   sink_eventhubs.c  the sink 'eventhubs': this one at least once, with options of its own
 *   sink_kafka.c      options, checks, rows -> messages; at least once: sent at once, prepare waits for acknowledgements
 *   kafka_producer.c  options -> librdkafka's configuration, the client, its callbacks
 *   kafka_spool.c     exactly once: an epoch's messages as objects in the state's store, until they are sent
 *   kafka_commit.c    exactly once: the spool -> one transaction; what recovery does
 *
 * Threads: all on the sink worker; librdkafka's own stay behind its main queue.
 * Invariants:
 *   (1) outstanding == messages produced and not yet reported
 *   (2) memory lent to librdkafka (messages of a spool are not copied) outlives outstanding == 0 or the client
 */
#ifndef WR_SINK_KAFKA_WRITER_H
#define WR_SINK_KAFKA_WRITER_H

#include "kafka/kafka_access.h"
#include "sink/kafka_spool.h"
#include "weir/sink.h"
#include <librdkafka/rdkafka.h>

/* A message of a batch, besides its key and value: librdkafka's own sum is a little less. */
#define WR_KAFKA_MESSAGE_OVERHEAD 36u

/* Of a transaction, after librdkafka's steps of it. */
enum wr_kafka_tx {
    WR_KAFKA_TX_NONE,
    WR_KAFKA_TX_OPEN,       /* begun: has to be aborted before the next one */
    WR_KAFKA_TX_COMMITTING, /* commit was asked for: the answer is waited for */
};

struct wr_writer {
    struct wr_sink_env env;
    struct wr_row_json *json;
    struct wr_buf row;
    struct wr_buf key;
    uint32_t key_column; /* WR_NO_COLUMN: no key */
    struct wr_kafka_access *access;
    const char *brokers; /* for messages */
    const char *topic_name;
    rd_kafka_t *kafka;
    rd_kafka_topic_t *topic;
    int event_fd;
    struct wr_io_op event_op;
    bool event_armed;
    bool closing;
    bool found;                 /* the topic, once: the brokers let us in */
    uint32_t resume;            /* live rows of the batch in hand that were taken */
    uint64_t outstanding;       /* (1) */
    uint64_t outstanding_bytes;
    int64_t acked_ingest_us;    /* acknowledged and not yet told to visible: one arrival time */
    uint64_t acked_rows;
    bool failed;                /* failure is the end of this writer */
    struct wr_error failure;
    char trouble[256];          /* what librdkafka last complained about */
    struct wr_sink_stats stats;

    /* Exactly once; see kafka_commit.c. */
    bool transactional;      /* the client has a transactional.id */
    char *identity;          /* "<state uuid>/<sink>": transactional.id, and the marker's group */
    bool initialised;        /* init_transactions is done */
    bool ready;              /* and published known */
    int64_t published;       /* newest epoch that is in the topic; -1: no marker */
    enum wr_kafka_tx tx;
    int64_t tx_begin_ns;
    int64_t tx_timeout_ns;
    uint64_t message_bytes_max;
    struct wr_kafka_spools spools;
    struct wr_kafka_spool *sending; /* in the transaction */
    bool refusals;                  /* the brokers refused a row of it for good */
    struct wr_kafka_spool *sent;    /* the last one sent: its objects stay until the next one is */
};

/* ---- sink_kafka.c: what a row of the connectors consists of ---- */

wr_status wr_kafka_sink_check(const struct wr_plan_sink *plan, uint32_t *bad_at,
                              struct wr_error *err);
wr_status wr_kafka_sink_open(struct wr_writer **writer, const struct wr_sink_env *env,
                             struct wr_error *err);
wr_status wr_kafka_sink_write(struct wr_writer *w, const struct wr_batch *batch,
                              struct wr_time now, struct wr_error *err);
wr_status wr_kafka_sink_tick(struct wr_writer *w, struct wr_time now, int64_t *next_ns,
                             struct wr_error *err);
wr_status wr_kafka_sink_prepare(struct wr_writer *w, uint64_t epoch, struct wr_buf *receipt,
                                struct wr_error *err);
wr_status wr_kafka_sink_publish(struct wr_writer *w, uint64_t epoch,
                                const struct wr_receipt *receipts, uint32_t receipt_count,
                                struct wr_error *err);
void wr_kafka_sink_stats(const struct wr_writer *w, struct wr_sink_stats *stats);
uint64_t wr_kafka_sink_held_bytes(const struct wr_writer *w);
void wr_kafka_sink_close(struct wr_writer *w);

/* What the vtables of both connectors, kafka and eventhubs, have in common. */
#define WR_KAFKA_SINK_CALLS                                                                        \
    .open = wr_kafka_sink_open,                                                                    \
    .write = wr_kafka_sink_write,                                                                  \
    .tick = wr_kafka_sink_tick,                                                                    \
    .recover = wr_kafka_commit_recover,                                                            \
    .prepare = wr_kafka_sink_prepare,                                                              \
    .publish = wr_kafka_sink_publish,                                                              \
    .stats = wr_kafka_sink_stats,                                                                  \
    .held_bytes = wr_kafka_sink_held_bytes,                                                        \
    .close = wr_kafka_sink_close

/* ---- kafka_producer.c ---- */

/* What the user passes through is known, well-formed and not the sink's own. */
WR_NODISCARD wr_status wr_kafka_check_properties(const struct wr_plan_sink *plan,
                                                 uint32_t *bad_at, struct wr_error *err);
/* The client; writer->identity set and `transactional`: one with transactions. Watches its queue. */
WR_NODISCARD wr_status wr_kafka_producer_open(struct wr_writer *w, bool transactional,
                                              struct wr_error *err);
void wr_kafka_producer_close(struct wr_writer *w); /* waits for nothing; may be closed already */
/* A consumer that may ask for the offsets of group writer->identity; never joins it. */
WR_NODISCARD wr_status wr_kafka_reader_of_group(struct wr_writer *w, rd_kafka_t **reader,
                                                struct wr_error *err);
/* The topic is there; waits a little for one that was just made. */
WR_NODISCARD wr_status wr_kafka_find_topic(struct wr_writer *w, struct wr_error *err);
/* Runs the callbacks. */
void wr_kafka_serve(struct wr_writer *w);
void wr_kafka_tell_visible(struct wr_writer *w);
bool wr_kafka_refused_for_good(rd_kafka_resp_err_t error);
void wr_kafka_set_failed(struct wr_writer *w, const char *what, const char *text);

/* ---- kafka_commit.c ---- */

wr_status wr_kafka_commit_open(struct wr_writer *w, struct wr_error *err);
void wr_kafka_commit_close(struct wr_writer *w);
/* A delivery report of a message that a transaction sent. */
void wr_kafka_commit_report(struct wr_writer *w, const rd_kafka_message_t *message);
wr_status wr_kafka_commit_recover(struct wr_writer *w, const struct wr_sink_recovery *recovery,
                                  struct wr_error *err);
wr_status wr_kafka_commit_prepare(struct wr_writer *w, uint64_t epoch, struct wr_buf *receipt,
                                  struct wr_error *err);
wr_status wr_kafka_commit_publish(struct wr_writer *w, uint64_t epoch,
                                  const struct wr_receipt *receipts, uint32_t receipt_count,
                                  struct wr_error *err);

#endif
