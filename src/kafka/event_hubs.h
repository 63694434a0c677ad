/* event_hubs.h: names and connection strings of Azure Event Hubs.
 *
 *   Endpoint=sb://NAMESPACE.servicebus.windows.net/;SharedAccessKeyName=POLICY;SharedAccessKey=KEY[;EntityPath=HUB]
 *
 * Over Kafka's protocol the whole of it is the password of the user "$ConnectionString" (SASL PLAIN); with an Entra ID token it is
 * OAUTHBEARER. The emulator's strings end in UseDevelopmentEmulator=true: it listens on port 9092 without TLS.
 */
#ifndef WR_KAFKA_EVENT_HUBS_H
#define WR_KAFKA_EVENT_HUBS_H

#include "base/buf.h"
#include "base/status.h"

struct wr_event_hubs {
    char *host;     /* "clicks.servicebus.windows.net" */
    char *key;      /* the shared access key or signature alone; NULL with a namespace */
    char *entity;   /* EntityPath; NULL: none */
    char *password; /* the whole, without an EntityPath that is not the hub; NULL with a namespace */
    bool emulator;
};

/* hub: NULL: the EntityPath's. No error shows any part of the text. */
WR_NODISCARD wr_status wr_event_hubs_parse(struct wr_event_hubs *into, const char *text,
                                           const char *hub, struct wr_error *err);
WR_NODISCARD wr_status wr_event_hubs_of_namespace(struct wr_event_hubs *into, const char *name,
                                                  struct wr_error *err);
void wr_event_hubs_deinit(struct wr_event_hubs *hubs); /* zeroed is fine */

#endif
