/* mqtt_wire.h: MQTT's packets, versions 3.1.1 and 5 (OASIS): what a client that only receives has to write and to read
 * (internal to the connector 'mqtt').
 *
 * Why our own: a message may be acknowledged only when its rows are committed. libmosquitto 2.0 and Paho C 1.3 both send the
 * PUBACK themselves as soon as a message has come, before its callback is called, and neither can be told to wait.
 *
 * Ownership: parsed slices borrow from the bytes given. Threads: none; no state.
 * Every length comes from outside and is checked: what does not fit is WR_FAIL, class RETRY (the connection is of no more use,
 * the next one may be).
 */
#ifndef WR_SOURCE_MQTT_WIRE_H
#define WR_SOURCE_MQTT_WIRE_H

#include "base/buf.h"
#include "base/status.h"

enum wr_mqtt_version { WR_MQTT_3_1_1 = 4, WR_MQTT_5 = 5 };

/* The upper half of a packet's first byte. */
enum wr_mqtt_type {
    WR_MQTT_CONNECT = 1,
    WR_MQTT_CONNACK = 2,
    WR_MQTT_PUBLISH = 3,
    WR_MQTT_PUBACK = 4,
    WR_MQTT_PUBREC = 5,
    WR_MQTT_PUBREL = 6,
    WR_MQTT_PUBCOMP = 7,
    WR_MQTT_SUBSCRIBE = 8,
    WR_MQTT_SUBACK = 9,
    WR_MQTT_PINGREQ = 12,
    WR_MQTT_PINGRESP = 13,
    WR_MQTT_DISCONNECT = 14,
};

/* Topic filters of one subscription: one SUBSCRIBE packet stays far below its own limit. */
#define WR_MQTT_FILTERS_MAX 256u
#define WR_MQTT_REASON_SESSION_TAKEN_OVER 0x8e

/* ---- writing ---- */

struct wr_mqtt_connect {
    enum wr_mqtt_version version;
    const char *client_id;
    const char *username; /* NULL: none */
    const char *password; /* NULL: none */
    bool clean;           /* forget an earlier session */
    uint16_t keepalive_s;
    uint32_t session_expiry_s; /* 5: how long the broker keeps the session; 3.1.1 knows no limit */
    uint16_t receive_maximum;  /* 5: QoS 1 and 2 messages that may be on their way unacknowledged */
};

void wr_mqtt_put_connect(struct wr_buf *into, const struct wr_mqtt_connect *connect);

struct wr_mqtt_subscribe {
    enum wr_mqtt_version version;
    const char *const *filters;
    uint32_t count;
    uint8_t qos;
    uint8_t retain_handling; /* 5: 0 retained messages each time, 1 for new subscriptions, 2 never */
};

void wr_mqtt_put_subscribe(struct wr_buf *into, uint16_t id, const struct wr_mqtt_subscribe *subscribe);
/* PUBACK, PUBREC, PUBCOMP: success. */
void wr_mqtt_put_ack(struct wr_buf *into, enum wr_mqtt_type type, uint16_t id);
void wr_mqtt_put_pingreq(struct wr_buf *into);
void wr_mqtt_put_disconnect(struct wr_buf *into);

/* ---- reading ---- */

struct wr_mqtt_frame {
    enum wr_mqtt_type type;
    uint8_t flags;
    size_t header_bytes;
    size_t body_bytes;
};

/* The header of the packet that begins at data. WR_AGAIN: more bytes are needed to tell. */
WR_NODISCARD wr_status wr_mqtt_read_frame(const char *data, size_t bytes, struct wr_mqtt_frame *out,
                                          struct wr_error *err);

struct wr_mqtt_connack {
    bool session_present;
    uint8_t reason;          /* 0: accepted */
    int32_t keepalive_s;     /* 5: the broker's own wish; -1: none */
    struct wr_slice explained; /* 5: the broker's reason string */
};

WR_NODISCARD wr_status wr_mqtt_read_connack(enum wr_mqtt_version version, struct wr_slice body,
                                            struct wr_mqtt_connack *out, struct wr_error *err);

struct wr_mqtt_suback {
    uint16_t id;
    struct wr_slice codes; /* one byte a filter: the QoS granted, or from 0x80 on why not */
    struct wr_slice explained;
};

WR_NODISCARD wr_status wr_mqtt_read_suback(enum wr_mqtt_version version, struct wr_slice body,
                                           struct wr_mqtt_suback *out, struct wr_error *err);

struct wr_mqtt_publish {
    struct wr_slice topic;
    struct wr_slice properties; /* 5: for wr_mqtt_read_property; checked */
    struct wr_slice payload;
    uint16_t id; /* QoS 1 and 2 */
    uint8_t qos;
    bool dup;
    bool retain;
};

/* The body may be cut within the payload (records that are too large). */
WR_NODISCARD wr_status wr_mqtt_read_publish(enum wr_mqtt_version version, uint8_t flags, struct wr_slice body,
                                            struct wr_mqtt_publish *out, struct wr_error *err);

/* PUBREL's packet identifier. */
WR_NODISCARD wr_status wr_mqtt_read_id(struct wr_slice body, uint16_t *id, struct wr_error *err);

struct wr_mqtt_disconnect {
    uint8_t reason;
    struct wr_slice explained;
};

/* 5 only: a broker of 3.1.1 just closes. */
WR_NODISCARD wr_status wr_mqtt_read_disconnect(struct wr_slice body, struct wr_mqtt_disconnect *out,
                                               struct wr_error *err);

enum wr_mqtt_property_id {
    WR_MQTT_CONTENT_TYPE = 0x03,
    WR_MQTT_RESPONSE_TOPIC = 0x08,
    WR_MQTT_CORRELATION_DATA = 0x09,
    WR_MQTT_SESSION_EXPIRY = 0x11,
    WR_MQTT_SERVER_KEEP_ALIVE = 0x13,
    WR_MQTT_REASON_STRING = 0x1f,
    WR_MQTT_RECEIVE_MAXIMUM = 0x21,
    WR_MQTT_TOPIC_ALIAS = 0x23,
    WR_MQTT_USER_PROPERTY = 0x26,
};

struct wr_mqtt_property {
    uint32_t id;
    uint32_t number;       /* of numeric ones */
    struct wr_slice name;  /* of a user property */
    struct wr_slice value; /* text, binary, a user property's value */
};

/* The next of a packet's properties, which *rest loses. WR_END: there is none. */
WR_NODISCARD wr_status wr_mqtt_read_property(struct wr_slice *rest, struct wr_mqtt_property *out,
                                             struct wr_error *err);

/* What a reason code of CONNACK, SUBACK or DISCONNECT says. */
const char *wr_mqtt_reason(enum wr_mqtt_version version, enum wr_mqtt_type type, uint8_t code);

/* ---- topics ---- */

/* NULL when the text is a topic filter: levels between slashes, + for one level, # for the rest, $share/group/ before it;
 * else what is wrong. */
const char *wr_mqtt_filter_fault(const char *filter);
/* The filter without $share/group/. */
const char *wr_mqtt_filter_unshared(const char *filter);

#endif
