/* pubsub_api.h: Google Pub/Sub's gRPC service (google.pubsub.v1): where it is, what things are called, and its messages,
 * written and read by hand.
 *
 * Ownership: readers borrow the message's bytes. Threads: none of its own; a service belongs to the thread that uses its channel.
 */
#ifndef WR_NET_PUBSUB_API_H
#define WR_NET_PUBSUB_API_H

#include "base/proto_wire.h"
#include "net/grpc.h"

#define WR_PUBSUB_STREAMING_PULL "/google.pubsub.v1.Subscriber/StreamingPull"
#define WR_PUBSUB_PULL "/google.pubsub.v1.Subscriber/Pull"
#define WR_PUBSUB_ACKNOWLEDGE "/google.pubsub.v1.Subscriber/Acknowledge"
#define WR_PUBSUB_MODIFY_DEADLINE "/google.pubsub.v1.Subscriber/ModifyAckDeadline"
#define WR_PUBSUB_PUBLISH "/google.pubsub.v1.Publisher/Publish"

/* Of Acknowledge and ModifyAckDeadline: the service takes 512 KiB. */
#define WR_PUBSUB_ACK_BYTES_MAX (500u << 10)
#define WR_PUBSUB_ACK_IDS_MAX 2500u
/* Of a Publish request, and of a message with its attributes. */
#define WR_PUBSUB_PUBLISH_BYTES_MAX 10000000u
#define WR_PUBSUB_PUBLISH_MESSAGES_MAX 1000u

/* What both connectors' options say of the service; texts borrowed; NULL: the environment's, or the default. */
struct wr_pubsub_place {
    const char *endpoint;    /* "host:port", "https://host", "http://host:port" (no TLS, no token); NULL: PUBSUB_EMULATOR_HOST, Google's */
    const char *ca_file;
    const char *credentials; /* a key file */
    const char *project;     /* NULL: GOOGLE_CLOUD_PROJECT, PUBSUB_PROJECT_ID */
};

/* Rows of the options by which source and sink say it, and what was given of them. This folder does not know options: who writes these
 * includes config/option.h. */
#define WR_PUBSUB_PLACE_OPTIONS                                                                    \
    { "project", WR_OPTION_TEXT, NULL, "The project's id; default: GOOGLE_CLOUD_PROJECT." },       \
    { "endpoint", WR_OPTION_TEXT, NULL,                                                            \
      "host:port, for a region's; http://host:port without TLS and token. Default: "               \
      "PUBSUB_EMULATOR_HOST, else Google's." },                                                    \
    { "credentials", WR_OPTION_TEXT, NULL,                                                         \
      "A service account's key file; default: GOOGLE_APPLICATION_CREDENTIALS, gcloud's, else "     \
      "the metadata server." },                                                                    \
    { "ca_file", WR_OPTION_TEXT, NULL, "Authorities to trust, in PEM; default: the system's." }
#define WR_PUBSUB_PLACE_OF(options)                                                                \
    ((struct wr_pubsub_place){ .endpoint = wr_options_text(options, "endpoint"),                   \
                               .ca_file = wr_options_text(options, "ca_file"),                     \
                               .credentials = wr_options_text(options, "credentials"),             \
                               .project = wr_options_text(options, "project") })

struct wr_pubsub_service {
    struct wr_grpc_channel *channel;
    struct wr_token_source *tokens; /* NULL: an emulator */
    char url[256];
};

/* Makes the channel; asks nobody yet. */
WR_NODISCARD wr_status wr_pubsub_open(struct wr_pubsub_service *service, const struct wr_pubsub_place *place, struct wr_error *err);
void wr_pubsub_close(struct wr_pubsub_service *service); /* accepts a zeroed one */
/* "projects/P/subscriptions/S" (kind: "subscriptions", "topics") of a short name, or of a full one, checked. USER errors. */
WR_NODISCARD wr_status wr_pubsub_resource(struct wr_buf *into, const struct wr_pubsub_place *place, const char *kind,
                                          const char *name, struct wr_error *err);
/* "subscription=projects%2FP%2F...": for x-goog-request-params. */
void wr_pubsub_params(struct wr_buf *into, const char *field, const char *resource);
/* An outcome as an error with a hint. what: "subscription"; resource: its full name. cls FATAL where the outcome stays. */
wr_status wr_pubsub_fail(const struct wr_grpc_call *call, const char *what, const char *resource, struct wr_error *err);

/* ---- what is sent ---- */

struct wr_pubsub_stream_start {
    const char *subscription;
    const char *client_id;
    uint32_t ack_deadline_s;
    uint64_t messages_max; /* 0: no limit */
    uint64_t bytes_max;
};

void wr_pubsub_put_stream_start(struct wr_buf *into, const struct wr_pubsub_stream_start *start);
void wr_pubsub_put_pull(struct wr_buf *into, const char *subscription, uint32_t messages_max);
/* Acknowledge and ModifyAckDeadline begin so; wr_pubsub_put_ack_id follows for each, then for the latter the seconds. */
void wr_pubsub_put_subscription(struct wr_buf *into, const char *subscription);
void wr_pubsub_put_ack_id(struct wr_buf *into, bool modify, struct wr_slice ack_id);
void wr_pubsub_put_deadline(struct wr_buf *into, uint32_t seconds);

/* ---- what comes ---- */

/* A ReceivedMessage. */
struct wr_pubsub_message {
    struct wr_slice ack_id;
    struct wr_slice data;
    struct wr_slice message_id;
    struct wr_slice ordering_key;
    struct wr_slice whole;   /* the PubsubMessage: for its attributes */
    int64_t publish_us;      /* INT64_MIN: unknown */
};

/* A StreamingPullResponse, or a PullResponse. */
struct wr_pubsub_response {
    struct wr_proto_reader reader;
    bool has_properties;
    bool exactly_once;
    bool ordering;
};

void wr_pubsub_response_begin(struct wr_pubsub_response *response, struct wr_slice bytes);
/* The next received message; false at the end, or when the bytes are not well formed: *bad. */
bool wr_pubsub_response_next(struct wr_pubsub_response *response, struct wr_pubsub_message *message, bool *bad);

struct wr_pubsub_attributes {
    struct wr_proto_reader reader;
};

void wr_pubsub_attributes_begin(struct wr_pubsub_attributes *walk, struct wr_slice message);
bool wr_pubsub_attributes_next(struct wr_pubsub_attributes *walk, struct wr_slice *name, struct wr_slice *value);

/* What a refused Acknowledge says of single ids (exactly once): google.rpc.Status with ErrorInfo. permanent: the message comes
 * again; else the id is to be tried again. */
void wr_pubsub_ack_failures(struct wr_slice status, void (*tell)(void *ctx, struct wr_slice ack_id, bool permanent), void *ctx);

#endif
