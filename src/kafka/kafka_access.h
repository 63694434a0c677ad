/* kafka_access.h: how the clients of a cluster get in: brokers, security protocol, SASL, TLS, tokens; the same for the source, the
 * sink and the reader of dead letters, and for the two services that speak Kafka's protocol here: 'kafka' and 'eventhubs'.
 *
 *   kafka_access.c  options -> what to show to brokers -> librdkafka's configuration; secrets out of texts; what a refusal means
 *   kafka_token.c   OAUTHBEARER: a token of an OIDC endpoint (client credentials) or of Microsoft Entra ID
 *   event_hubs.c    namespaces and connection strings of Azure Event Hubs
 *
 * Tokens are fetched on librdkafka's background thread, which may wait: for a new client, and again when four fifths of a token's
 * life are over. librdkafka then signs in anew on the connections that it has (KIP-368).
 *
 * Ownership: an access outlives the clients that were configured by it.
 * Threads: made and destroyed by one; configure, refresh, redact and explain by any.
 * Invariants:
 *   (1) no text that left through redact holds a password, key, client secret or connection string that options or environment gave
 *   (2) the certificates of brokers and token endpoints are verified unless the user says otherwise by a property of librdkafka's
 */
#ifndef WR_KAFKA_KAFKA_ACCESS_H
#define WR_KAFKA_KAFKA_ACCESS_H

#include "config/option.h"
#include <librdkafka/rdkafka.h>

/* Rows of the options by which one gets in. What is not here is passed by the prefix kafka. */
#define WR_KAFKA_ACCESS_OPTIONS                                                                    \
    { "security_protocol", WR_OPTION_TEXT, NULL,                                                   \
      "plaintext, ssl, sasl_plaintext or sasl_ssl. Default: sasl_ssl with a sasl_mechanism, ssl "  \
      "with an ssl_ option, else plaintext." },                                                    \
    { "sasl_mechanism", WR_OPTION_TEXT, NULL,                                                      \
      "How to sign in: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 (username and password) or "            \
      "OAUTHBEARER (a token)." },                                                                  \
    { "sasl_username", WR_OPTION_TEXT, NULL, "The user of PLAIN and SCRAM." },                     \
    { "sasl_password", WR_OPTION_TEXT, NULL, "The user's password.", .flags = WR_OPTION_SECRET },  \
    { "sasl_oauthbearer_token_endpoint_url", WR_OPTION_TEXT, NULL,                                 \
      "OAUTHBEARER: where tokens come from (OpenID Connect, client credentials)." },               \
    { "sasl_oauthbearer_client_id", WR_OPTION_TEXT, NULL, "OAUTHBEARER: who asks for tokens." },   \
    { "sasl_oauthbearer_client_secret", WR_OPTION_TEXT, NULL,                                      \
      "OAUTHBEARER: and proves it.", .flags = WR_OPTION_SECRET },                                  \
    { "sasl_oauthbearer_scope", WR_OPTION_TEXT, NULL,                                              \
      "OAUTHBEARER: the scope that is asked for, where the endpoint wants one." },                 \
    { "sasl_oauthbearer_extensions", WR_OPTION_LIST, NULL,                                         \
      "OAUTHBEARER: name=value pairs for the brokers, separated by commas." },                     \
    { "ssl_ca_location", WR_OPTION_TEXT, NULL,                                                     \
      "A file (PEM) of authorities whose certificates are trusted, instead of the system's." },    \
    { "ssl_certificate_location", WR_OPTION_TEXT, NULL,                                            \
      "Mutual TLS: the file (PEM) of our certificate." },                                          \
    { "ssl_key_location", WR_OPTION_TEXT, NULL, "Mutual TLS: the file (PEM) of its key." },        \
    { "ssl_key_password", WR_OPTION_TEXT, NULL, "Mutual TLS: what opens the key's file.",          \
      .flags = WR_OPTION_SECRET }

#define WR_EVENT_HUBS_ACCESS_OPTIONS                                                               \
    { "namespace", WR_OPTION_TEXT, NULL,                                                           \
      "The namespace, 'clicks' or 'clicks.servicebus.windows.net': signs in with Microsoft Entra " \
      "ID (AZURE_CLIENT_ID, AZURE_TENANT_ID and a secret or federated token, else the machine's "  \
      "managed identity)." },                                                                      \
    { "connection_string", WR_OPTION_TEXT, NULL,                                                   \
      "Instead: 'Endpoint=sb://...;SharedAccessKeyName=...;SharedAccessKey=...'. Default without " \
      "a namespace: the environment's EVENTHUBS_CONNECTION_STRING.",                               \
      .flags = WR_OPTION_SECRET },                                                                 \
    { "hub", WR_OPTION_TEXT, NULL,                                                                 \
      "The event hub. Default: the connection string's EntityPath." },                             \
    { "brokers", WR_OPTION_TEXT, NULL,                                                             \
      "Where the namespace is reached, host:port, when that is not its own name and port 9093." }

#define WR_KAFKA_PREFIX_OPTION                                                                     \
    { "kafka.", WR_OPTION_PREFIX, NULL,                                                            \
      "kafka.<property>: any property of librdkafka, after and over all others; see its "          \
      "CONFIGURATION.md.", .flags = WR_OPTION_SECRET }

struct wr_kafka_access;

/* connector: 'kafka' or 'eventhubs'; options: borrowed, with that service's rows and the prefix. bad_at: the culprit; touches no
 * network. */
WR_NODISCARD wr_status wr_kafka_access_create(struct wr_kafka_access **access,
                                              const char *connector,
                                              const struct wr_options *options, uint32_t *bad_at,
                                              struct wr_error *err);
void wr_kafka_access_destroy(struct wr_kafka_access *access); /* NULL is fine */

bool wr_kafka_access_is_event_hubs(const struct wr_kafka_access *access);
const char *wr_kafka_access_brokers(const struct wr_kafka_access *access);
/* The hub; NULL of 'kafka'. */
const char *wr_kafka_access_hub(const struct wr_kafka_access *access);
/* The user's kafka.<property> of that name; NULL: not given. */
const char *wr_kafka_access_given(const struct wr_kafka_access *access, const char *property);

/* Sets brokers, security and what the service asks of its clients, not yet the user's kafka.*. refresh: calls
 * wr_kafka_access_refresh (librdkafka gives it no other way to the access). */
WR_NODISCARD wr_status wr_kafka_access_configure(
    struct wr_kafka_access *access, rd_kafka_conf_t *conf,
    void (*refresh)(rd_kafka_t *rk, const char *config, void *opaque), struct wr_error *err);
/* After rd_kafka_new: tokens may be fetched. */
WR_NODISCARD wr_status wr_kafka_access_begin(struct wr_kafka_access *access, rd_kafka_t *rk,
                                             struct wr_error *err);
/* @thread librdkafka's background */
void wr_kafka_access_refresh(struct wr_kafka_access *access, rd_kafka_t *rk);

/* Refusals pass by themselves once it has been let in: the next token, or the next connection, is taken. */
bool wr_kafka_access_uses_tokens(const struct wr_kafka_access *access);

/* Overwrites secrets in the text. */
void wr_kafka_access_redact(const struct wr_kafka_access *access, char *text);
/* A line of librdkafka's log, copied into the buffer without secrets. Returns it. */
const char *wr_kafka_access_log_line(const struct wr_kafka_access *access, const char *text,
                                     char *into, size_t capacity);
/* Whether what librdkafka complained about will not pass by waiting: somebody has to change something. */
bool wr_kafka_access_refused(struct wr_kafka_access *access, const char *trouble);
/* Keeps a complaint, for explain. */
void wr_kafka_access_note(struct wr_kafka_access *access, const char *trouble);
/* Adds to err, that speaks of an absent or refusing cluster, the detail and, if it is known, what to do. False: it is not.
 * trouble: what librdkafka complained about, "" nothing, NULL: what was noted last. */
bool wr_kafka_access_explain(struct wr_kafka_access *access, const char *trouble,
                             struct wr_error *err);
/* An error's text may quote it. */
bool wr_kafka_is_secret(const char *property);

#endif
