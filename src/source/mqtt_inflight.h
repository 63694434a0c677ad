/* mqtt_inflight.h: the messages of a session that are not acknowledged yet: what may be acknowledged when, and what comes again
 * (internal to the connector 'mqtt').
 *
 * A message of QoS 1 or 2 is acknowledged once its position is committed, in the order of arrival (MQTT 5, 4.6). When the
 * connection breaks the broker sends all that it has no acknowledgement of again, with the same packet identifiers: until we
 * acknowledge an identifier it stands for one message only, so within one process what comes again is recognised and not read
 * twice. Another process cannot know: after a crash messages come again whose rows may be committed.
 *
 * Invariants:
 *   (1) an acknowledgement is sent only on a connection on which its message has come; one that is due meanwhile waits until it
 *       comes again (sent too early it would cross with the message, which then looked new)
 *   (2) an identifier counts as known only with the same content and the broker's word (DUP) that it comes again: else it is a
 *       new message of a broker that lost its memory
 * Threads: one at a time.
 */
#ifndef WR_SOURCE_MQTT_INFLIGHT_H
#define WR_SOURCE_MQTT_INFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

enum wr_mqtt_arrival {
    WR_MQTT_ARRIVED_NEW,     /* to be read, at the position given */
    WR_MQTT_ARRIVED_AGAIN,   /* has been read: to be dropped; its acknowledgement comes in time */
    WR_MQTT_ARRIVED_SETTLED, /* has been read and is committed: to be dropped and acknowledged now */
};

struct wr_mqtt_entry {
    uint64_t hash;       /* of topic and content */
    int64_t position;
    uint32_t connection; /* on which it came last */
    uint8_t qos;
    bool open;           /* not acknowledged */
    bool committed;      /* its acknowledgement is due once it comes again */
};

struct wr_mqtt_inflight {
    struct wr_mqtt_entry *entries; /* by packet identifier */
    uint16_t *order;               /* identifiers as they came, a ring of 2^16 */
    int64_t *positions;            /* of them: tells an entry that was replaced since */
    uint64_t first;                /* of the ring, counted through */
    uint64_t end;
    uint32_t open;                 /* entries */
    uint32_t connection;
};

void wr_mqtt_inflight_init(struct wr_mqtt_inflight *inflight);
void wr_mqtt_inflight_deinit(struct wr_mqtt_inflight *inflight); /* a zeroed one is fine */

/* A new connection; without the old session the broker sends nothing again. */
void wr_mqtt_inflight_connected(struct wr_mqtt_inflight *inflight, bool session_present);
/* A message of QoS 1 or 2. position: what it gets when it is new. */
enum wr_mqtt_arrival wr_mqtt_inflight_arrived(struct wr_mqtt_inflight *inflight, uint16_t id, uint64_t hash,
                                              uint8_t qos, bool dup, int64_t position);
/* The next identifier to acknowledge when positions below committed are. False: none. */
bool wr_mqtt_inflight_next(struct wr_mqtt_inflight *inflight, int64_t committed, uint16_t *id);

#endif
