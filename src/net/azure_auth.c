/* azure_auth.c: see azure_auth.h. */
#include "net/azure_auth.h"

#include "base/heap.h"
#include "net/aws_credentials.h"
#include "net/aws_sigv4.h"
#include "net/read_secret.h"

#include <stdio.h>
#include <string.h>

enum way { BY_SECRET, BY_FEDERATION, BY_APP_SERVICE, BY_MACHINE };

struct azure_source {
    struct wr_token_source base;
    struct wr_http_client *client;
    enum way way;
    char *resource;
};

static const char *env(const char *name)
{
    return wr_aws_environment(name, NULL);
}

static void form(struct wr_buf *into, const char *name, const char *value, size_t bytes)
{
    wr_buf_printf(into, "%s%s=", into->bytes > 0 ? "&" : "", name);
    wr_aws_encode(into, value, bytes, false);
}

/* POST to the tenant's token endpoint. */
static wr_status from_entra(const struct azure_source *source, struct wr_http_call *call,
                            struct wr_buf *body, struct wr_error *err)
{
    const char *host = env("AZURE_AUTHORITY_HOST");
    const char *tenant = env("AZURE_TENANT_ID"), *client = env("AZURE_CLIENT_ID");
    struct wr_buf scope = {0}, assertion = {0};
    wr_status read = WR_OK;
    host = host != NULL ? host : "https://login.microsoftonline.com";
    wr_buf_printf(&call->url, "%.*s/", (int)(strlen(host) - (host[strlen(host) - 1] == '/')), host);
    wr_aws_encode(&call->url, tenant, strlen(tenant), false);
    wr_buf_text(&call->url, "/oauth2/v2.0/token");
    wr_buf_printf(&scope, "%s/.default", source->resource);
    form(body, "client_id", client, strlen(client));
    form(body, "scope", scope.data, scope.bytes);
    form(body, "grant_type", "client_credentials", strlen("client_credentials"));
    if (source->way == BY_SECRET) {
        const char *secret = env("AZURE_CLIENT_SECRET");
        form(body, "client_secret", secret, strlen(secret));
    } else {
        static const char type[] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        /* Kubernetes renews the file's content. */
        read = wr_read_secret(env("AZURE_FEDERATED_TOKEN_FILE"), &assertion, err);
        form(body, "client_assertion_type", type, sizeof(type) - 1);
        form(body, "client_assertion", assertion.data, assertion.bytes);
    }
    call->method = "POST";
    call->body = body->data;
    call->body_bytes = body->bytes;
    wr_http_call_header(call, "Content-Type", "application/x-www-form-urlencoded");
    wr_token_wipe(&assertion);
    wr_buf_deinit(&scope);
    return read;
}

/* GET of this machine's identity. */
static void from_machine(const struct azure_source *source, struct wr_http_call *call)
{
    const char *client = env("AZURE_CLIENT_ID"); /* one of several that are assigned by a user */
    if (source->way == BY_APP_SERVICE) {
        wr_buf_printf(&call->url, "%s?api-version=2019-08-01&resource=", env("IDENTITY_ENDPOINT"));
        wr_http_call_header(call, "X-IDENTITY-HEADER", env("IDENTITY_HEADER"));
    } else {
        const char *host = env("AZURE_POD_IDENTITY_AUTHORITY_HOST");
        wr_buf_printf(&call->url,
                      "%s/metadata/identity/oauth2/token?api-version=2018-02-01&resource=",
                      host != NULL ? host : "http://169.254.169.254");
        wr_http_call_header(call, "Metadata", "true");
    }
    wr_aws_encode(&call->url, source->resource, strlen(source->resource), false);
    if (client != NULL) {
        wr_buf_text(&call->url, "&client_id=");
        wr_aws_encode(&call->url, client, strlen(client), false);
    }
    call->method = "GET";
}

static wr_status fetch(struct wr_token_source *base, struct wr_buf *token, int64_t *expires_us,
                       struct wr_error *err)
{
    struct azure_source *source = (struct azure_source *)base;
    struct wr_http_call call = {0};
    struct wr_buf body = {0};
    wr_status fetched = WR_OK;
    if (source->way == BY_SECRET || source->way == BY_FEDERATION) {
        fetched = from_entra(source, &call, &body, err);
    } else {
        from_machine(source, &call);
    }
    if (fetched == WR_OK) {
        fetched = wr_token_ask(source->client, &call, base->what, token, expires_us, err);
        if (fetched == WR_FAIL && (err == NULL || err->hint[0] == '\0')) {
            wr_error_hint(err, source->way == BY_MACHINE
                                   ? "give the machine a managed identity, or set "
                                     "AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or "
                                     "AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET"
                                   : "check AZURE_TENANT_ID, AZURE_CLIENT_ID and the secret or "
                                     "federated token that goes with them");
        }
    }
    wr_token_wipe(&call.response);
    wr_http_call_deinit(&call);
    wr_token_wipe(&body);
    return fetched;
}

static void destroy(struct wr_token_source *base)
{
    struct azure_source *source = (struct azure_source *)base;
    wr_http_client_destroy(source->client);
    free(source->resource);
    free(source);
}

static bool is_plain(const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        if (*text <= ' ' || *text > '~') {
            return false;
        }
    }
    return true;
}

static wr_status pick(struct azure_source *source, struct wr_error *err)
{
    const char *what = "the machine's managed identity";
    source->way = BY_MACHINE;
    if (env("AZURE_CLIENT_SECRET") != NULL) {
        source->way = BY_SECRET;
        what = "Entra ID with AZURE_CLIENT_SECRET";
    } else if (env("AZURE_FEDERATED_TOKEN_FILE") != NULL) {
        source->way = BY_FEDERATION;
        what = "Entra ID with AZURE_FEDERATED_TOKEN_FILE";
    } else if (env("IDENTITY_ENDPOINT") != NULL && env("IDENTITY_HEADER") != NULL) {
        source->way = BY_APP_SERVICE;
        what = "the managed identity at IDENTITY_ENDPOINT";
    }
    snprintf(source->base.what, sizeof(source->base.what), "%s", what);
    if (source->way <= BY_FEDERATION &&
        (env("AZURE_TENANT_ID") == NULL || env("AZURE_CLIENT_ID") == NULL)) {
        (void)wr_fail(err, WR_CLASS_USER, "Azure credentials are half set: %s wants %s too", what,
                      env("AZURE_TENANT_ID") == NULL ? "AZURE_TENANT_ID" : "AZURE_CLIENT_ID");
        wr_error_hint(err, "set AZURE_TENANT_ID and AZURE_CLIENT_ID beside it");
        return WR_FAIL;
    }
    wr_ensure(env("AZURE_AUTHORITY_HOST") == NULL || wr_token_is_safe(env("AZURE_AUTHORITY_HOST")),
              err, WR_CLASS_USER, "AZURE_AUTHORITY_HOST is no https:// URL");
    wr_ensure(is_plain(env("IDENTITY_HEADER")) && is_plain(env("IDENTITY_ENDPOINT")) &&
                  is_plain(env("AZURE_AUTHORITY_HOST")) &&
                  is_plain(env("AZURE_POD_IDENTITY_AUTHORITY_HOST")),
              err, WR_CLASS_USER,
              "a variable that leads to Azure's tokens holds a space or line break");
    return WR_OK;
}

wr_status wr_azure_token_source(struct wr_token_source **into, const char *resource,
                                struct wr_error *err)
{
    struct azure_source *source = wr_calloc(1, sizeof(*source));
    const struct wr_http_settings settings = {.connect_timeout_ms = 2000,
                                              .timeout_ms = 5000,
                                              .ca_file = env("SSL_CERT_FILE")};
    source->base.fetch = fetch;
    source->base.destroy = destroy;
    source->resource = wr_strdup(resource);
    wr_status made = pick(source, err);
    if (made == WR_OK) {
        made = wr_http_client_create(&source->client, &settings, err);
    }
    if (made != WR_OK) {
        destroy(&source->base);
        return made;
    }
    *into = &source->base;
    return WR_OK;
}
