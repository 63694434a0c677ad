/* mqtt_session.h: a session with an MQTT broker on a thread of its own: connects, subscribes, receives, acknowledges what is
 * committed, and connects again when that breaks (internal to the connector 'mqtt').
 *
 * mqtt_wire: packets. mqtt_link: the connection. mqtt_inflight: what is to be acknowledged.
 *
 * Messages are handed over in chunks: the thread fills one from what the socket has, and gives it away when the socket is empty
 * or the chunk is full. Flow control: when chunks that were not given back hold memory_bytes the thread stops reading, TCP
 * holds the broker back; and the broker itself sends no more than receive_maximum messages (version 5) ahead of their
 * acknowledgements.
 * Ownership: a chunk is the reader's from take to give_back. Threads: the session's own, and what is named below; shared fields
 * under lock.
 */
#ifndef WR_SOURCE_MQTT_SESSION_H
#define WR_SOURCE_MQTT_SESSION_H

#include "source/mqtt_link.h"
#include "source/mqtt_wire.h"

struct wr_mqtt_session;

struct wr_mqtt_message {
    const char *data; /* topic, properties, payload, one after the other */
    size_t at;        /* of data in the chunk */
    uint32_t topic_bytes;
    uint32_t properties_bytes;
    uint32_t payload_bytes;
    bool retain;
    int64_t position;
};

struct wr_mqtt_chunk {
    struct wr_mqtt_chunk *next;
    struct wr_buf bytes;
    struct wr_mqtt_message *messages;
    uint32_t count;
    uint32_t capacity;
    int64_t arrived_us;
    uint32_t refs; /* the reader's */
    uint32_t read; /* the reader's: messages that it has given on */
};

struct wr_mqtt_config {
    struct wr_mqtt_endpoint to;
    struct wr_mqtt_tls *tls; /* NULL: none; borrowed */
    struct wr_mqtt_connect connect;
    struct wr_mqtt_subscribe subscribe;
    const char *source_name;
    bool resumed;          /* an earlier run had a session: it should be there */
    bool takes_retained;   /* else messages with the retain flag are acknowledged and dropped */
    uint64_t memory_bytes;
    int64_t position;      /* of the next message */
    void (*wake)(void *ctx, uint32_t worker); /* worker 0: something to take, or a change to look at */
    void *wake_ctx;
};

/* Connects and subscribes: returns when both are done, or the broker has a session for us. config is copied, its texts are borrowed. @thread control */
WR_NODISCARD wr_status wr_mqtt_session_create(struct wr_mqtt_session **session,
                                              const struct wr_mqtt_config *config, struct wr_error *err);
/* Sends the acknowledgements that are due, and says farewell. NULL is fine. @thread control */
void wr_mqtt_session_destroy(struct wr_mqtt_session *session);

/* Messages before position are committed and published. @thread any */
void wr_mqtt_session_commit(struct wr_mqtt_session *session, int64_t position);

struct wr_mqtt_view {
    bool connected;       /* and subscribed */
    bool full;            /* the broker may hold messages back until some are acknowledged */
    uint32_t unsettled;   /* messages not acknowledged */
    int64_t quiet_since_ns; /* nothing came and nothing was acknowledged since */
    bool failed;          /* for good: error says why */
};

/* The next chunk in order of arrival, or NULL; view (of the same moment) is filled in both cases. error: when view->failed.
 * @thread the reader's */
struct wr_mqtt_chunk *wr_mqtt_session_take(struct wr_mqtt_session *session, struct wr_mqtt_view *view,
                                           struct wr_error *error);
/* @thread the reader's */
void wr_mqtt_session_give_back(struct wr_mqtt_session *session, struct wr_mqtt_chunk *chunk);

#endif
