/* kinesis_api.h: calls to Amazon Kinesis Data Streams and its likes: one signed POST of JSON each; what their refusals
 * mean. Shared by the source and the sink.
 *
 * Ownership: an api owns its texts, keys, signer and HTTP client. Threads: one per api, which may wait.
 */
#ifndef WR_NET_KINESIS_API_H
#define WR_NET_KINESIS_API_H

#include "net/aws_sigv4.h"
#include "net/http_client.h"
#include <jansson.h>

/* Where a stream is and who asks; texts may be NULL: found as AWS's own tools do. */
struct wr_kinesis_place {
    const char *stream; /* its name, or arn:aws:kinesis:REGION:ACCOUNT:stream/NAME */
    const char *region;
    const char *endpoint;
    struct wr_aws_given keys;
};

/* Rows of the options by which source and sink say it, beside "stream", and what was given of them. This folder does not know options: who
 * writes these includes config/option.h. */
#define WR_KINESIS_PLACE_OPTIONS                                                                   \
    { "region", WR_OPTION_TEXT, NULL,                                                              \
      "Default: the ARN's, AWS_REGION, AWS_DEFAULT_REGION, or the profile's." },                   \
    { "endpoint", WR_OPTION_TEXT, NULL,                                                            \
      "The server's URL; default: AWS_ENDPOINT_URL_KINESIS, AWS_ENDPOINT_URL, else Amazon's." },   \
    { "access_key_id", WR_OPTION_TEXT, NULL,                                                       \
      "Default: AWS_ACCESS_KEY_ID, the profile, or the pod's, container's or instance's role." },  \
    { "secret_access_key", WR_OPTION_TEXT, NULL, "Default: as for access_key_id.",                 \
      .flags = WR_OPTION_SECRET },                                                                 \
    { "session_token", WR_OPTION_TEXT, NULL, "Default: as for access_key_id.",                     \
      .flags = WR_OPTION_SECRET }
#define WR_KINESIS_PLACE_OF(options)                                                               \
    ((struct wr_kinesis_place){ .stream = wr_options_text(options, "stream"),                      \
                                .region = wr_options_text(options, "region"),                      \
                                .endpoint = wr_options_text(options, "endpoint"),                  \
                                .keys = { wr_options_text(options, "access_key_id"),               \
                                          wr_options_text(options, "secret_access_key"),           \
                                          wr_options_text(options, "session_token") } })

struct wr_kinesis_api {
    struct wr_http_client *http;
    struct wr_aws_signer *signer;
    struct wr_aws_credentials credentials;
    char *region;
    char *host;   /* as curl writes the Host header */
    char *origin; /* "https://host" */
    char *path;   /* "/" */
    char *stream; /* the name alone */
    char *arn;    /* NULL: not known */
    int64_t answered_ms; /* the service's clock (Date) in the last answer to wr_kinesis_ask; else this machine's */
};

/* What an answer means for who asked. */
enum wr_kinesis_outcome {
    WR_KINESIS_OK,
    WR_KINESIS_THROTTLED, /* asked too often, or somebody else did: wait and ask again */
    WR_KINESIS_BUSY,      /* the service or the network cannot now: likewise */
    WR_KINESIS_EXPIRED,   /* an iterator or page token: get a new one */
    WR_KINESIS_NOT_FOUND, /* the stream, shard or consumer */
    WR_KINESIS_IN_USE,    /* another subscription or change is under way: wait and ask again */
    WR_KINESIS_INVALID,   /* an argument: for iterators, a sequence number that is no more */
    WR_KINESIS_REFUSED,   /* keys, rights, TLS: asking again is no use */
};

/* The endpoint's form and the ARN's, without the network. */
WR_NODISCARD wr_status wr_kinesis_check(const struct wr_kinesis_place *place, struct wr_error *err);

/* Finds region, endpoint (AWS_ENDPOINT_URL_KINESIS, AWS_ENDPOINT_URL, else the service) and keys; asks nothing yet. */
WR_NODISCARD wr_status wr_kinesis_api_open(struct wr_kinesis_api *api,
                                           const struct wr_kinesis_place *place,
                                           struct wr_error *err);
void wr_kinesis_api_close(struct wr_kinesis_api *api); /* accepts a zeroed one */

/* Makes call a signed POST of body (borrowed until it is done) to operation ("GetRecords"); clears it first. */
void wr_kinesis_sign(struct wr_kinesis_api *api, struct wr_http_call *call, const char *operation,
                     struct wr_slice body);

/* Appends "StreamARN":"..." or, where that is not known, "StreamName":"...". Servers that know no ARN get the name. */
void wr_kinesis_put_stream(const struct wr_kinesis_api *api, struct wr_buf *json);
/* Appends a JSON string with quotes. */
void wr_kinesis_put_text(struct wr_buf *json, const char *text, size_t bytes);

enum wr_kinesis_outcome wr_kinesis_outcome(const struct wr_http_call *call);
/* The same of an exception's name, such as "com.amazonaws.kinesis#ExpiredIteratorException"; status: the answer's. */
enum wr_kinesis_outcome wr_kinesis_outcome_of(struct wr_slice kind, int status);
bool wr_kinesis_may_pass(enum wr_kinesis_outcome outcome); /* THROTTLED, BUSY, IN_USE */

/* Fills err from an answer that is not WR_KINESIS_OK; what: "read shard shardId-000000000001". */
wr_status wr_kinesis_fail(const struct wr_kinesis_api *api, const struct wr_http_call *call,
                          const char *what, struct wr_error *err);

/* Asks and waits, a few times where waiting helps; *answer: an object for json_decref. For calls that nobody hurries. *outcome
 * (may be NULL) says why it failed. */
WR_NODISCARD wr_status wr_kinesis_ask(struct wr_kinesis_api *api, const char *operation,
                                      struct wr_slice body, const char *what, json_t **answer,
                                      enum wr_kinesis_outcome *outcome, struct wr_error *err);

#endif
