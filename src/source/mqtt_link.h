/* mqtt_link.h: one connection to an MQTT broker: TCP, or TLS on it (internal to the connector 'mqtt').
 *
 * Ownership: the caller's struct; open and close may be called again and again. Threads: one at a time.
 * Nothing waits but open, which a readable `wake` descriptor cuts short.
 */
#ifndef WR_SOURCE_MQTT_LINK_H
#define WR_SOURCE_MQTT_LINK_H

#include "base/status.h"
#include <sys/types.h>

struct wr_mqtt_tls; /* what all connections of a source share: authorities, our certificate */

struct wr_mqtt_endpoint {
    char host[256];
    char port[8];
    bool tls;
};

/* mqtt://host[:1883] (or tcp://), mqtts://host[:8883] (or ssl://, tls://); IPv6 addresses in brackets. */
WR_NODISCARD wr_status wr_mqtt_endpoint_parse(const char *url, struct wr_mqtt_endpoint *out,
                                              struct wr_error *err);

/* Files in PEM form; ca NULL: the system's authorities; cert and key NULL: none. */
WR_NODISCARD wr_status wr_mqtt_tls_create(struct wr_mqtt_tls **tls, const char *ca, const char *cert,
                                          const char *key, struct wr_error *err);
void wr_mqtt_tls_destroy(struct wr_mqtt_tls *tls); /* NULL is fine */

struct wr_mqtt_link {
    int fd; /* -1: closed */
    void *ssl;
    bool wants_write; /* TLS: to go on reading it has to write first */
};

void wr_mqtt_link_init(struct wr_mqtt_link *link);
/* Connects within timeout_ms, with the handshake, which verifies the broker's certificate and name. WR_AGAIN: wake_fd was
 * readable. Class RETRY. */
WR_NODISCARD wr_status wr_mqtt_link_open(struct wr_mqtt_link *link, const struct wr_mqtt_endpoint *to,
                                         struct wr_mqtt_tls *tls, int wake_fd, int timeout_ms,
                                         struct wr_error *err);
void wr_mqtt_link_close(struct wr_mqtt_link *link);

/* Never wait. WR_OK: *done bytes (some); WR_AGAIN: none now; WR_END: closed by the broker; WR_FAIL, class RETRY. */
WR_NODISCARD wr_status wr_mqtt_link_read(struct wr_mqtt_link *link, void *into, size_t bytes, size_t *done,
                                         struct wr_error *err);
WR_NODISCARD wr_status wr_mqtt_link_write(struct wr_mqtt_link *link, const void *from, size_t bytes,
                                          size_t *done, struct wr_error *err);

#endif
