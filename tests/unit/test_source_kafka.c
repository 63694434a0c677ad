#include "test_source_harness.h"

#include <criterion/criterion.h>

/* Options alone: no broker is asked. The connector's work is tested against a real one in
 * tests/e2e. */
static wr_status check(const char *name, const char *value, struct harness *h, uint32_t *at)
{
    const char *const pairs[] = { "brokers", "127.0.0.1:1", "topic", "a, ^b.*", name, value, NULL };
    harness_init(h);
    cr_assert_eq(harness_options(h, &wr_source_kafka, "json", pairs), WR_OK, "%s", h->err.message);
    *at = UINT32_MAX;
    return h->ops->check(&h->plan, at, &h->err);
}

static void expect_refusal(const char *name, const char *value, const char *part)
{
    struct harness h;
    uint32_t at;
    cr_assert_eq(check(name, value, &h, &at), WR_FAIL, "%s", name);
    cr_assert_not_null(strstr(h.err.message, part), "%s", h.err.message);
    cr_assert(at == 40 || at == 45); /* the third pair */
    cr_assert_null(strstr(h.err.message, "hunter2"));
    cr_assert_null(strstr(h.err.detail, "hunter2"));
    cr_assert_null(strstr(h.err.hint, "hunter2"));
    harness_end(&h);
}

Test(source_kafka, wrong_properties_are_named_and_never_shown)
{
    expect_refusal("kafka.sasl.pasword", "hunter2", "no property 'sasl.pasword'");
    expect_refusal("kafka.session.timeout.ms", "hunter2", "kafka.session.timeout.ms");
    expect_refusal("kafka.group.id", "hunter2", "'group.id' is set by Weir itself");
    expect_refusal("kafka.enable.auto.commit", "true", "is set by Weir itself");
}

Test(source_kafka, starts_are_words_or_times)
{
    struct harness h;
    uint32_t at;
    const char *const good[] = { "earliest", "latest", "2024-01-31T10:00:00Z", "1706695200000" };
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(check("start", good[i], &h, &at), WR_OK, "%s", h.err.message);
        harness_end(&h);
    }
    expect_refusal("start", "yesterday", "is not earliest, latest, committed or a time");
    expect_refusal("start", "committed", "needs a group_id");
}

Test(source_kafka, properties_of_librdkafka_pass_through)
{
    struct harness h;
    uint32_t at;
    cr_assert_eq(check("kafka.sasl.password", "hunter2", &h, &at), WR_OK, "%s", h.err.message);
    harness_end(&h);
    cr_assert_eq(check("kafka.fetch.wait.max.ms", "5", &h, &at), WR_OK);
    harness_end(&h);
}

/* Options beside brokers and topic; where and what of the refusal, NULL: there is none. */
static void expect_access(const char *const *more, const char *part, const char *hint)
{
    const char *pairs[20] = { "brokers", "127.0.0.1:1", "topic", "a" };
    struct harness h;
    uint32_t at = UINT32_MAX;
    for (size_t i = 0; more[i] != NULL; i++) {
        pairs[4 + i] = more[i];
    }
    harness_init(&h);
    cr_assert_eq(harness_options(&h, &wr_source_kafka, "json", pairs), WR_OK, "%s", h.err.message);
    const wr_status status = h.ops->check(&h.plan, &at, &h.err);
    cr_assert_eq(status, part == NULL ? WR_OK : WR_FAIL, "%s", part != NULL ? part : h.err.message);
    if (part != NULL) {
        cr_assert_not_null(strstr(h.err.message, part), "%s", h.err.message);
        cr_assert_not_null(strstr(h.err.hint, hint), "%s", h.err.hint);
        cr_assert_null(strstr(h.err.message, "hunter2"));
        cr_assert_null(strstr(h.err.hint, "hunter2"));
    }
    harness_end(&h);
}

#define ACCESS(...) ((const char *const[]){ __VA_ARGS__, NULL })

Test(source_kafka, ways_in_are_checked_before_any_broker_is_asked)
{
    expect_access(ACCESS("sasl_mechanism", "plain", "sasl_username", "u", "sasl_password", "hunter2"), NULL, NULL);
    expect_access(ACCESS("sasl_mechanism", "PLAIN", "sasl_username", "u"), "needs sasl_password", "${NAME}");
    expect_access(ACCESS("sasl_mechanism", "PLAIN", "sasl_username", "u", "kafka.sasl.password", "hunter2"), NULL, NULL);
    expect_access(ACCESS("sasl_mechanism", "SCRAM-SHA-1"), "is not one of them", "SCRAM-SHA-512");
    expect_access(ACCESS("security_protocol", "tls"), "is not one of them", "sasl_ssl");
    expect_access(ACCESS("security_protocol", "SSL", "sasl_mechanism", "PLAIN", "sasl_username", "u", "sasl_password", "hunter2"),
                  "signs nobody in", "sasl_ssl");
    expect_access(ACCESS("security_protocol", "plaintext", "ssl_ca_location", "/ca.crt"), "does without TLS", "use ssl");
    expect_access(ACCESS("ssl_key_location", "/key"), "mutual TLS needs", "both");
    expect_access(ACCESS("sasl_mechanism", "OAUTHBEARER", "sasl_oauthbearer_client_id", "c"),
                  "needs sasl_oauthbearer_token_endpoint_url", "add");
    expect_access(ACCESS("sasl_mechanism", "OAUTHBEARER", "sasl_oauthbearer_client_id", "c", "sasl_oauthbearer_client_secret",
                         "hunter2", "sasl_oauthbearer_token_endpoint_url", "http://idp.example/token"),
                  "is no https:// URL", "in the clear");
    expect_access(ACCESS("sasl_mechanism", "OAUTHBEARER", "kafka.sasl.oauthbearer.method", "oidc"), NULL, NULL);
}

/* Refused with part in its message, or accepted (NULL). */
static void expect_hubs(const char *const *pairs, const char *part)
{
    struct harness h;
    uint32_t at = UINT32_MAX;
    harness_init(&h);
    cr_assert_eq(harness_options(&h, &wr_source_eventhubs, "json", pairs), WR_OK, "%s", h.err.message);
    const wr_status status = h.ops->check(&h.plan, &at, &h.err);
    cr_assert_eq(status, part == NULL ? WR_OK : WR_FAIL, "%s", part != NULL ? part : h.err.message);
    cr_assert(part == NULL || strstr(h.err.message, part) != NULL, "%s", h.err.message);
    cr_assert(part == NULL || h.err.hint[0] != '\0');
    cr_assert_null(strstr(h.err.message, "hunter2"));
    harness_end(&h);
}

Test(source_kafka, event_hubs_are_named_by_namespace_string_or_environment)
{
    static const char string[] = "Endpoint=sb://ns/;SharedAccessKeyName=w;SharedAccessKey=hunter2";
    unsetenv("EVENTHUBS_CONNECTION_STRING");
    unsetenv("AZURE_CLIENT_SECRET");
    unsetenv("AZURE_FEDERATED_TOKEN_FILE");
    expect_hubs(ACCESS("hub", "a"), "no Event Hubs namespace is named");
    expect_hubs(ACCESS("hub", "a", "namespace", "ns"), NULL);
    expect_hubs(ACCESS("namespace", "ns"), "no event hub is named");
    expect_hubs(ACCESS("hub", "a", "namespace", "n s"), "is not the name of a namespace");
    expect_hubs(ACCESS("hub", "a", "namespace", "ns", "connection_string", string), "two ways");
    expect_hubs(ACCESS("hub", "a", "connection_string", string), NULL);
    expect_hubs(ACCESS("hub", "a", "connection_string", "hunter2"), "the Event Hubs connection string");
    expect_hubs(ACCESS("hub", "a", "connection_string", string, "start", "committed"), "needs a consumer_group");
    setenv("EVENTHUBS_CONNECTION_STRING", "Endpoint=sb://ns/;SharedAccessKey=hunter2;EntityPath=a", 1);
    expect_hubs(ACCESS("kafka.debug", "security"), NULL);
    setenv("AZURE_CLIENT_SECRET", "hunter2", 1);
    unsetenv("AZURE_TENANT_ID");
    expect_hubs(ACCESS("hub", "a", "namespace", "ns"), "half set");
}
