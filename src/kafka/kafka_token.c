/* kafka_token.c: see kafka_token.h. */
#include "kafka/kafka_token.h"

#include "base/heap.h"
#include "batch/text.h"
#include "net/aws_credentials.h"
#include "net/aws_sigv4.h"

#include <stdio.h>

struct oidc_source {
    struct wr_token_source base;
    struct wr_oidc_client who;
    struct wr_http_client *client;
};

/* "Basic", id and secret form-encoded (RFC 6749, 2.3.1). */
static void authorize(const struct wr_oidc_client *who, struct wr_http_call *call)
{
    struct wr_buf pair = { 0 };
    struct wr_buf header = { 0 };
    wr_aws_encode(&pair, who->id, strlen(who->id), false);
    wr_buf_byte(&pair, ':');
    wr_aws_encode(&pair, who->secret, strlen(who->secret), false);
    wr_buf_text(&header, "Basic ");
    wr_text_base64(&header, pair.data, pair.bytes);
    wr_http_call_header(call, "Authorization", wr_buf_cstr(&header));
    wr_token_wipe(&pair);
    wr_token_wipe(&header);
}

static wr_status fetch(struct wr_token_source *base, struct wr_buf *token, int64_t *expires_us,
                       struct wr_error *err)
{
    struct oidc_source *source = (struct oidc_source *)base;
    struct wr_http_call call = { 0 };
    struct wr_buf body = { 0 };
    wr_buf_text(&body, "grant_type=client_credentials");
    if (source->who.scope != NULL) {
        wr_buf_text(&body, "&scope=");
        wr_aws_encode(&body, source->who.scope, strlen(source->who.scope), false);
    }
    wr_buf_text(&call.url, source->who.url);
    call.method = "POST";
    call.body = body.data;
    call.body_bytes = body.bytes;
    wr_http_call_header(&call, "Content-Type", "application/x-www-form-urlencoded");
    wr_http_call_header(&call, "Accept", "application/json");
    authorize(&source->who, &call);
    const wr_status fetched =
        wr_token_ask(source->client, &call, base->what, token, expires_us, err);
    if (fetched == WR_FAIL && (err == NULL || err->hint[0] == '\0')) {
        wr_error_hint(err, "check sasl_oauthbearer_token_endpoint_url, sasl_oauthbearer_client_id, "
                           "sasl_oauthbearer_client_secret and sasl_oauthbearer_scope");
    }
    wr_token_wipe(&call.response);
    wr_http_call_deinit(&call);
    wr_buf_deinit(&body);
    return fetched;
}

static void destroy(struct wr_token_source *base)
{
    struct oidc_source *source = (struct oidc_source *)base;
    wr_http_client_destroy(source->client);
    free(source);
}

wr_status wr_oidc_token_source(struct wr_token_source **into, const struct wr_oidc_client *who,
                               struct wr_error *err)
{
    struct oidc_source *source = wr_calloc(1, sizeof *source);
    const struct wr_http_settings settings = { .connect_timeout_ms = 2000,
                                               .timeout_ms = 5000,
                                               .ca_file =
                                                   wr_aws_environment("SSL_CERT_FILE", NULL) };
    source->base.fetch = fetch;
    source->base.destroy = destroy;
    source->who = *who;
    (void)snprintf(source->base.what, sizeof source->base.what, "the token endpoint %s", who->url);
    const wr_status made = wr_http_client_create(&source->client, &settings, err);
    if (made != WR_OK) {
        destroy(&source->base);
        return made;
    }
    *into = &source->base;
    return WR_OK;
}
