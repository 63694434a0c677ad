/* kafka_access.c: see kafka_access.h. */
#include "kafka/kafka_access.h"

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/slice.h"
#include "kafka/event_hubs.h"
#include "kafka/kafka_token.h"
#include "net/aws_credentials.h"
#include "net/azure_auth.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SECRETS_MAX 16u
#define SECRET_BYTES_MIN 4u /* shorter ones would blacken innocent words */
#define EXTENSIONS_MAX 16u

struct wr_kafka_access {
    const struct wr_options *options;
    const char *brokers; /* borrowed from options, or own_brokers */
    char *own_brokers;
    const char *protocol; /* NULL: librdkafka's default */
    const char *mechanism;
    const char *username;
    const char *password;
    bool has_tokens;
    /* kafka */
    struct wr_oidc_client oidc;
    /* eventhubs */
    bool event_hubs;
    struct wr_event_hubs hubs;
    const char *hub;
    char *resource; /* what Entra's token is for */
    const char *secrets[SECRETS_MAX];
    uint32_t secret_count;
    pthread_mutex_t lock;
    struct wr_error no_token; /* under lock: why the last one could not be had; cls NONE: it could */
    char noted[400];          /* under lock */
};

/* ---- options ---- */

static const char *text_of(const struct wr_kafka_access *a, const char *name)
{
    return wr_options_text(a->options, name);
}

const char *wr_kafka_access_given(const struct wr_kafka_access *a, const char *property)
{
    uint32_t count;
    const struct wr_option_pair *pairs = wr_options_prefixed(a->options, "kafka.", &count);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(pairs[i].name, property) == 0) {
            return pairs[i].value;
        }
    }
    return NULL;
}

bool wr_kafka_is_secret(const char *property)
{
    static const char *const words[] = { "password", "secret", "key.pem", "oauthbearer.config",
                                         "sasl.jaas" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strstr(property, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static void keep_secret(struct wr_kafka_access *a, const char *secret)
{
    if (secret != NULL && strlen(secret) >= SECRET_BYTES_MIN && a->secret_count < SECRETS_MAX) {
        a->secrets[a->secret_count++] = secret;
    }
}

/* Where a word stands in its list; UINT32_MAX: nowhere. */
static uint32_t find_word(const char *const *words, uint32_t count, const char *text)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcasecmp(words[i], text) == 0) {
            return i;
        }
    }
    return UINT32_MAX;
}

static wr_status pick_protocol(struct wr_kafka_access *a, uint32_t *bad_at, struct wr_error *err)
{
    static const char *const words[] = { "plaintext", "ssl", "sasl_plaintext", "sasl_ssl" };
    const char *given = text_of(a, "security_protocol");
    const bool tls = text_of(a, "ssl_ca_location") != NULL ||
                     text_of(a, "ssl_certificate_location") != NULL;
    if (given == NULL) {
        a->protocol = a->mechanism != NULL ? "sasl_ssl" : (tls ? "ssl" : NULL);
        return WR_OK;
    }
    *bad_at = wr_options_at(a->options, "security_protocol");
    const uint32_t at = find_word(words, 4, given);
    if (at == UINT32_MAX) {
        (void)wr_fail(err, WR_CLASS_USER, "security_protocol = '%.50s' is not one of them", given);
        wr_error_hint(err, "plaintext, ssl, sasl_plaintext or sasl_ssl");
        return WR_FAIL;
    }
    a->protocol = words[at];
    if (at < 2 && a->mechanism != NULL) {
        (void)wr_fail(err, WR_CLASS_USER, "security_protocol = '%s' signs nobody in, and "
                                          "sasl_mechanism is given", words[at]);
        wr_error_hint(err, "use sasl_ssl (or sasl_plaintext, where nobody listens on the way)");
        return WR_FAIL;
    }
    if (at % 2 == 0 && tls) {
        (void)wr_fail(err, WR_CLASS_USER, "security_protocol = '%s' does without TLS, and an "
                                          "option ssl_ is given", words[at]);
        wr_error_hint(err, "use %s", at == 0 ? "ssl" : "sasl_ssl");
        return WR_FAIL;
    }
    return WR_OK;
}

static wr_status need(const struct wr_kafka_access *a, const char *mechanism, const char *name,
                      struct wr_error *err)
{
    char property[64];
    (void)snprintf(property, sizeof property, "%s", name);
    for (char *c = property; *c != '\0'; c++) {
        *c = *c == '_' ? '.' : *c;
    }
    if (text_of(a, name) != NULL || wr_kafka_access_given(a, property) != NULL) {
        return WR_OK;
    }
    (void)wr_fail(err, WR_CLASS_USER, "sasl_mechanism = '%s' needs %s", mechanism, name);
    wr_error_hint(err, "add %s = '...'; a secret can come from the environment: '${NAME}'", name);
    return WR_FAIL;
}

/* Not when librdkafka's own ways to a token were chosen (kafka.sasl.oauthbearer.method, ...config). */
static wr_status check_oauth(struct wr_kafka_access *a, uint32_t *bad_at, struct wr_error *err)
{
    if (text_of(a, "sasl_oauthbearer_token_endpoint_url") == NULL &&
        (wr_kafka_access_given(a, "sasl.oauthbearer.method") != NULL ||
         wr_kafka_access_given(a, "sasl.oauthbearer.config") != NULL)) {
        return WR_OK;
    }
    static const char *const names[] = { "sasl_oauthbearer_token_endpoint_url",
                                         "sasl_oauthbearer_client_id",
                                         "sasl_oauthbearer_client_secret" };
    const char *values[3];
    for (uint32_t i = 0; i < 3; i++) {
        values[i] = text_of(a, names[i]);
        if (values[i] == NULL) {
            (void)wr_fail(err, WR_CLASS_USER, "sasl_mechanism = 'OAUTHBEARER' needs %s", names[i]);
            wr_error_hint(err, "add %s = '...'; a secret can come from the environment: '${NAME}'",
                          names[i]);
            return WR_FAIL;
        }
    }
    *bad_at = wr_options_at(a->options, names[0]);
    if (!wr_token_is_safe(values[0])) {
        (void)wr_fail(err, WR_CLASS_USER, "%s = '%.200s' is no https:// URL", names[0], values[0]);
        wr_error_hint(err, "a client's secret is not sent in the clear");
        return WR_FAIL;
    }
    a->oidc = (struct wr_oidc_client){ values[0], values[1], values[2],
                                       text_of(a, "sasl_oauthbearer_scope") };
    a->has_tokens = true;
    return WR_OK;
}

static wr_status read_kafka(struct wr_kafka_access *a, uint32_t *bad_at, struct wr_error *err)
{
    static const char *const mechanisms[] = { "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512",
                                              "OAUTHBEARER" };
    const char *given = text_of(a, "sasl_mechanism");
    *bad_at = wr_options_at(a->options, "sasl_mechanism");
    if (given != NULL) {
        const uint32_t at = find_word(mechanisms, 4, given);
        if (at == UINT32_MAX) {
            (void)wr_fail(err, WR_CLASS_USER, "sasl_mechanism = '%.50s' is not one of them", given);
            wr_error_hint(err, "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER; others that librdkafka knows: kafka.sasl.mechanism");
            return WR_FAIL;
        }
        a->mechanism = mechanisms[at];
        if (at == 3) {
            WR_TRY(check_oauth(a, bad_at, err));
        } else {
            WR_TRY(need(a, a->mechanism, "sasl_username", err));
            WR_TRY(need(a, a->mechanism, "sasl_password", err));
        }
    }
    if ((text_of(a, "ssl_certificate_location") == NULL) != (text_of(a, "ssl_key_location") == NULL)) {
        *bad_at = UINT32_MAX;
        (void)wr_fail(err, WR_CLASS_USER, "mutual TLS needs ssl_certificate_location and ssl_key_location");
        wr_error_hint(err, "name both files, in PEM");
        return WR_FAIL;
    }
    a->username = text_of(a, "sasl_username");
    a->password = text_of(a, "sasl_password");
    keep_secret(a, a->password);
    keep_secret(a, text_of(a, "sasl_oauthbearer_client_secret"));
    keep_secret(a, text_of(a, "ssl_key_password"));
    a->brokers = text_of(a, "brokers");
    return pick_protocol(a, bad_at, err);
}

/* ---- Event Hubs ---- */

static wr_status of_namespace(struct wr_kafka_access *a, const char *name, struct wr_error *err)
{
    struct wr_token_source *tokens = NULL;
    struct wr_buf resource = { 0 };
    WR_TRY(wr_event_hubs_of_namespace(&a->hubs, name, err));
    wr_buf_printf(&resource, "https://%s", a->hubs.host);
    a->resource = wr_strdup(wr_buf_cstr(&resource));
    wr_buf_deinit(&resource);
    WR_TRY(wr_azure_token_source(&tokens, a->resource, err)); /* is the environment half set? */
    wr_token_source_destroy(tokens);
    keep_secret(a, wr_aws_environment("AZURE_CLIENT_SECRET", NULL));
    keep_secret(a, wr_aws_environment("IDENTITY_HEADER", NULL));
    a->mechanism = "OAUTHBEARER";
    a->has_tokens = true;
    return WR_OK;
}

static wr_status of_connection_string(struct wr_kafka_access *a, const char *text,
                                      struct wr_error *err)
{
    WR_TRY(wr_event_hubs_parse(&a->hubs, text, text_of(a, "hub"), err));
    a->mechanism = "PLAIN";
    a->username = "$ConnectionString";
    a->password = a->hubs.password;
    keep_secret(a, a->hubs.password);
    keep_secret(a, a->hubs.key);
    return WR_OK;
}

static wr_status read_event_hubs(struct wr_kafka_access *a, uint32_t *bad_at, struct wr_error *err)
{
    const char *name = text_of(a, "namespace");
    const char *text = text_of(a, "connection_string");
    if (name != NULL && text != NULL) {
        *bad_at = wr_options_at(a->options, "namespace");
        (void)wr_fail(err, WR_CLASS_USER, "namespace and connection_string are two ways to the same thing");
        wr_error_hint(err, "keep namespace to sign in with Microsoft Entra ID, or connection_string with its key");
        return WR_FAIL;
    }
    if (name == NULL && text == NULL) {
        text = wr_aws_environment("EVENTHUBS_CONNECTION_STRING", NULL);
    }
    if (name == NULL && text == NULL) {
        *bad_at = UINT32_MAX;
        (void)wr_fail(err, WR_CLASS_USER, "no Event Hubs namespace is named");
        wr_error_hint(err, "add namespace = '...' (Microsoft Entra ID) or connection_string = '${NAME}', or set EVENTHUBS_CONNECTION_STRING");
        return WR_FAIL;
    }
    *bad_at = wr_options_at(a->options, name != NULL ? "namespace" : "connection_string");
    WR_TRY(name != NULL ? of_namespace(a, name, err) : of_connection_string(a, text, err));
    a->hub = text_of(a, "hub") != NULL ? text_of(a, "hub") : a->hubs.entity;
    if (a->hub == NULL) {
        (void)wr_fail(err, WR_CLASS_USER, "no event hub is named");
        wr_error_hint(err, "add hub = '...'%s", name == NULL ? ", or ;EntityPath=... to the connection string" : "");
        return WR_FAIL;
    }
    a->protocol = a->hubs.emulator ? "sasl_plaintext" : "sasl_ssl";
    a->brokers = text_of(a, "brokers");
    if (a->brokers == NULL) {
        struct wr_buf brokers = { 0 };
        wr_buf_printf(&brokers, "%s:%d", a->hubs.host, a->hubs.emulator ? 9092 : 9093);
        a->own_brokers = wr_strdup(wr_buf_cstr(&brokers));
        a->brokers = a->own_brokers;
        wr_buf_deinit(&brokers);
    }
    return WR_OK;
}

wr_status wr_kafka_access_create(struct wr_kafka_access **out, const char *connector,
                                 const struct wr_options *options, uint32_t *bad_at,
                                 struct wr_error *err)
{
    struct wr_kafka_access *a = wr_calloc(1, sizeof *a);
    a->options = options;
    a->event_hubs = strcmp(connector, "eventhubs") == 0;
    (void)pthread_mutex_init(&a->lock, NULL);
    uint32_t count;
    const struct wr_option_pair *pairs = wr_options_prefixed(options, "kafka.", &count);
    for (uint32_t i = 0; i < count; i++) {
        keep_secret(a, wr_kafka_is_secret(pairs[i].name) ? pairs[i].value : NULL);
    }
    const wr_status status = a->event_hubs ? read_event_hubs(a, bad_at, err) : read_kafka(a, bad_at, err);
    if (status != WR_OK) {
        wr_kafka_access_destroy(a);
        return status;
    }
    *out = a;
    return WR_OK;
}

void wr_kafka_access_destroy(struct wr_kafka_access *a)
{
    if (a == NULL) {
        return;
    }
    wr_event_hubs_deinit(&a->hubs);
    free(a->own_brokers);
    free(a->resource);
    (void)pthread_mutex_destroy(&a->lock);
    free(a);
}

bool wr_kafka_access_is_event_hubs(const struct wr_kafka_access *a)
{
    return a->event_hubs;
}

const char *wr_kafka_access_brokers(const struct wr_kafka_access *a)
{
    return a->brokers;
}

const char *wr_kafka_access_hub(const struct wr_kafka_access *a)
{
    return a->hub;
}

/* ---- librdkafka's configuration ---- */

/* What the service's documentation asks of its clients: connections that are idle for four minutes are cut without a word, requests
 * of more than 1,046,528 bytes end theirs, throttled answers come late. Consumers ignore what is the producers'. */
static const char *const event_hubs_settings[][2] = {
    { "metadata.max.age.ms", "180000" },
    { "connections.max.idle.ms", "180000" },
    { "socket.keepalive.enable", "true" },
    { "socket.timeout.ms", "60000" },
    { "message.max.bytes", "1000000" },
};

static wr_status set(rd_kafka_conf_t *conf, const char *property, const char *value,
                     struct wr_error *err)
{
    char reason[16]; /* not shown: it quotes the value */
    wr_ensure(value == NULL || rd_kafka_conf_set(conf, property, value, reason, sizeof reason) ==
                                   RD_KAFKA_CONF_OK,
              err, WR_CLASS_USER, "librdkafka does not take the %s that is given", property);
    return WR_OK;
}

wr_status wr_kafka_access_configure(struct wr_kafka_access *a, rd_kafka_conf_t *conf,
                                    void (*refresh)(rd_kafka_t *, const char *, void *),
                                    struct wr_error *err)
{
    WR_TRY(set(conf, "bootstrap.servers", a->brokers, err));
    WR_TRY(set(conf, "security.protocol", a->protocol, err));
    WR_TRY(set(conf, "sasl.mechanism", a->mechanism, err));
    WR_TRY(set(conf, "sasl.username", a->username, err));
    WR_TRY(set(conf, "sasl.password", a->password, err));
    if (a->event_hubs) {
        for (size_t i = 0; i < sizeof event_hubs_settings / sizeof *event_hubs_settings; i++) {
            WR_TRY(set(conf, event_hubs_settings[i][0], event_hubs_settings[i][1], err));
        }
    } else {
        WR_TRY(set(conf, "ssl.ca.location", text_of(a, "ssl_ca_location"), err));
        WR_TRY(set(conf, "ssl.certificate.location", text_of(a, "ssl_certificate_location"), err));
        WR_TRY(set(conf, "ssl.key.location", text_of(a, "ssl_key_location"), err));
        WR_TRY(set(conf, "ssl.key.password", text_of(a, "ssl_key_password"), err));
    }
    if (a->has_tokens) {
        rd_kafka_conf_set_oauthbearer_token_refresh_cb(conf, refresh);
        rd_kafka_conf_enable_sasl_queue(conf, 1);
    }
    return WR_OK;
}

/* ---- tokens ---- */

wr_status wr_kafka_access_begin(struct wr_kafka_access *a, rd_kafka_t *rk, struct wr_error *err)
{
    rd_kafka_error_t *error = a->has_tokens ? rd_kafka_sasl_background_callbacks_enable(rk) : NULL;
    if (error == NULL) {
        return WR_OK;
    }
    (void)wr_fail(err, WR_CLASS_FATAL, "librdkafka cannot sign in with tokens: %s",
                  rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return WR_FAIL;
}

/* "a=b" in pairs; the count of texts. They live in the buffer. */
static size_t read_extensions(const struct wr_kafka_access *a, struct wr_buf *texts,
                              const char **into)
{
    uint32_t count = 0;
    const char *const *given = a->event_hubs
                                   ? NULL
                                   : wr_options_list(a->options, "sasl_oauthbearer_extensions", &count);
    count = count > EXTENSIONS_MAX ? EXTENSIONS_MAX : count;
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += strlen(given[i]) + 2;
    }
    char *at = wr_buf_reserve(texts, bytes + 1);
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        const size_t length = strlen(given[i]);
        memcpy(at, given[i], length + 1);
        char *equals = strchr(at, '=');
        if (equals != NULL) {
            *equals = '\0';
            into[used++] = at;
            into[used++] = equals + 1;
        }
        at += length + 1;
    }
    return used;
}

static wr_status give_token(struct wr_kafka_access *a, rd_kafka_t *rk, struct wr_error *err)
{
    struct wr_token_source *tokens = NULL;
    const char *token = NULL;
    WR_TRY(a->event_hubs ? wr_azure_token_source(&tokens, a->resource, err)
                         : wr_oidc_token_source(&tokens, &a->oidc, err));
    wr_status status = wr_token_get(tokens, &token, err);
    if (status == WR_OK) {
        struct wr_buf texts = { 0 };
        const char *extensions[2 * EXTENSIONS_MAX];
        char reason[256] = "";
        const size_t count = read_extensions(a, &texts, extensions);
        if (rd_kafka_oauthbearer_set_token(rk, token, tokens->expires_us / 1000, "weir", extensions,
                                           count, reason, sizeof reason) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            status = wr_fail(err, WR_CLASS_FATAL, "librdkafka does not take the token: %s", reason);
        }
        wr_buf_deinit(&texts);
    }
    wr_token_source_destroy(tokens);
    return status;
}

/* One source of tokens for each: HTTP clients stay on the thread that made them, and a token is asked for once in an hour. */
void wr_kafka_access_refresh(struct wr_kafka_access *a, rd_kafka_t *rk)
{
    struct wr_error err = { 0 };
    const wr_status status = give_token(a, rk, &err);
    pthread_mutex_lock(&a->lock);
    a->no_token = err;
    pthread_mutex_unlock(&a->lock);
    if (status != WR_OK) {
        wr_log_warn("kafka", "%s%s%s", err.message, err.detail[0] != '\0' ? ": " : "", err.detail);
        (void)rd_kafka_oauthbearer_set_token_failure(rk, err.message);
    }
}

/* ---- texts ---- */

void wr_kafka_access_redact(const struct wr_kafka_access *a, char *text)
{
    for (uint32_t i = 0; a != NULL && i < a->secret_count; i++) {
        const size_t bytes = strlen(a->secrets[i]);
        for (char *at = text; (at = strstr(at, a->secrets[i])) != NULL;) {
            memcpy(at, "***", 3);
            memmove(at + 3, at + bytes, strlen(at + bytes) + 1);
            at += 3;
        }
    }
}

const char *wr_kafka_access_log_line(const struct wr_kafka_access *a, const char *text, char *into,
                                     size_t capacity)
{
    /* Copied whole, or the end of a secret that is cut in two would stay. */
    struct wr_buf whole = { 0 };
    wr_buf_append(&whole, text, strlen(text) + 1);
    wr_kafka_access_redact(a, whole.data);
    (void)snprintf(into, capacity, "%s", whole.data);
    wr_buf_deinit(&whole);
    return into;
}

static bool no_token(struct wr_kafka_access *a, struct wr_error *why)
{
    pthread_mutex_lock(&a->lock);
    *why = a->no_token;
    pthread_mutex_unlock(&a->lock);
    return why->cls != WR_CLASS_NONE;
}

static const struct {
    const char *part; /* of librdkafka's words */
    const char *kafka;
    const char *event_hubs; /* NULL: the same */
} meanings[] = {
    { "certificate verify failed",
      "the certificate that the broker shows is not from an authority that is trusted here: name the authority's file with "
      "ssl_ca_location (and reach the broker by the name that its certificate has)",
      "the certificate that the broker shows is not from an authority that is trusted here: install ca-certificates, or name the "
      "authority's file with kafka.ssl.ca.location" },
    { "ssl.ca.location", "check ssl_ca_location: a readable file in PEM", "check kafka.ssl.ca.location" },
    { "certificate required",
      "the broker wants a certificate of ours: give ssl_certificate_location and ssl_key_location", NULL },
    { "bad certificate",
      "the broker does not accept our certificate: give one of an authority that it trusts with ssl_certificate_location and "
      "ssl_key_location", NULL },
    { "SASL", "check sasl_mechanism, sasl_username and sasl_password (a user of SCRAM is made per mechanism)",
      "check that the key is still one of the namespace, or the identity's role: receiving needs Azure Event Hubs Data Receiver (or "
      "Listen), sending Azure Event Hubs Data Sender (or Send)" },
    { "uthentication", "check sasl_mechanism, sasl_username and sasl_password",
      "check the connection string's key, or the identity's role in the namespace" },
    { "SSL", "check security_protocol and ssl_ca_location; a broker that asks for a certificate needs ssl_certificate_location and "
             "ssl_key_location",
      "check brokers, and that nothing on the way takes TLS apart" },
    { "security.protocol", "check security_protocol: the broker's port may be one with TLS or SASL", NULL },
};

static size_t meaning_of(const char *trouble)
{
    size_t at = 0;
    while (at < sizeof meanings / sizeof *meanings && strstr(trouble, meanings[at].part) == NULL) {
        at++;
    }
    return at;
}

bool wr_kafka_access_uses_tokens(const struct wr_kafka_access *a)
{
    return a->has_tokens;
}

bool wr_kafka_access_refused(struct wr_kafka_access *a, const char *trouble)
{
    struct wr_error why;
    if (no_token(a, &why)) {
        return why.cls != WR_CLASS_RETRY;
    }
    return strstr(trouble, "certificate verify failed") != NULL ||
           strstr(trouble, "uthentication f") != NULL || strstr(trouble, "bad certificate") != NULL ||
           strstr(trouble, "certificate required") != NULL ||
           strstr(trouble, "SASL authentication error") != NULL ||
           strstr(trouble, "incorrect security.protocol") != NULL;
}

void wr_kafka_access_note(struct wr_kafka_access *a, const char *trouble)
{
    char line[sizeof a->noted];
    (void)wr_kafka_access_log_line(a, trouble, line, sizeof line);
    pthread_mutex_lock(&a->lock);
    memcpy(a->noted, line, sizeof line);
    pthread_mutex_unlock(&a->lock);
}

bool wr_kafka_access_explain(struct wr_kafka_access *a, const char *trouble, struct wr_error *err)
{
    struct wr_error why;
    if (no_token(a, &why)) {
        wr_error_detail(err, "%s%s%s", why.message, why.detail[0] != '\0' ? ": " : "", why.detail);
        wr_error_hint(err, "%s", why.hint);
        return why.hint[0] != '\0';
    }
    char line[400];
    if (trouble == NULL) {
        pthread_mutex_lock(&a->lock);
        (void)snprintf(line, sizeof line, "%s", a->noted);
        pthread_mutex_unlock(&a->lock);
    } else {
        (void)wr_kafka_access_log_line(a, trouble, line, sizeof line);
    }
    if (line[0] == '\0') {
        return false;
    }
    wr_error_detail(err, "%s", line);
    const size_t at = meaning_of(line);
    if (at == sizeof meanings / sizeof *meanings) {
        return false;
    }
    const bool hubs = a->event_hubs && meanings[at].event_hubs != NULL;
    wr_error_hint(err, "%s", hubs ? meanings[at].event_hubs : meanings[at].kafka);
    return true;
}
