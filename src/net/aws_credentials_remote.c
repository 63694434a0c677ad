/* aws_credentials_remote.c: see aws_credentials_remote.h. */
#include "net/aws_credentials_remote.h"

#include "base/clock.h"
#include "base/heap.h"
#include "net/aws_sigv4.h"
#include "net/http_client.h"
#include "net/read_secret.h"
#include "net/retry.h"
#include "net/token_source.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* What is near answers at once, or is not there. */
#define NEAR_CONNECT_MS 1000u
#define NEAR_ANSWER_MS  2000u
/* Amazon's own tools ask for six hours too. */
#define IMDS_TOKEN_S "21600"

static const char *env(const char *name)
{
    return wr_aws_environment(name, NULL);
}

/* Tries a few times; attempts: 1 where silence is the usual answer. */
static void ask(struct wr_http_client *client, struct wr_http_call *call, uint32_t attempts)
{
    struct wr_retry retry;
    uint32_t wait_ms = 0;
    wr_retry_init(&retry, attempts, 100, 1000, wr_rand_entropy());
    for (;;) {
        wr_http_perform(client, call);
        const bool again = call->status == 0 ? call->may_retry : wr_retry_status(call->status);
        if (!again || !wr_retry_next(&retry, 0, &wait_ms)) {
            return;
        }
        wr_clock_sleep_ms(wait_ms);
    }
}

/* "2024-05-06T07:08:09Z" */
static bool read_expiry(const char *text, int64_t *us)
{
    struct tm tm = {0};
    if (text == NULL || strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) == NULL) {
        return false;
    }
    *us = (int64_t)timegm(&tm) * WR_US_PER_S;
    return true;
}

static wr_status refused(const struct wr_aws_credentials *credentials,
                         const struct wr_http_call *call, struct wr_error *err)
{
    if (call->status == 0) {
        (void)wr_fail(err, call->may_retry ? WR_CLASS_RETRY : WR_CLASS_FATAL,
                      "no AWS credentials: no answer from %s", credentials->source);
        wr_error_detail(err, "%s", call->problem);
    } else {
        (void)wr_fail(err, wr_retry_status(call->status) ? WR_CLASS_RETRY : WR_CLASS_FATAL,
                      "no AWS credentials: %s answered %d", credentials->source, call->status);
    }
    return WR_FAIL;
}

static wr_status unreadable(const struct wr_aws_credentials *credentials, struct wr_error *err)
{
    return wr_fail(err, WR_CLASS_FATAL, "no AWS credentials: the answer of %s holds none",
                   credentials->source);
}

/* {"AccessKeyId": ..., "SecretAccessKey": ..., "Token": ..., "Expiration": ...} */
static wr_status read_json(const struct wr_http_call *call, struct wr_aws_credentials *credentials,
                           struct wr_error *err)
{
    json_t *answer = json_loadb(call->response.data != NULL ? call->response.data : "",
                                call->response.bytes, 0, NULL);
    const char *access = json_string_value(json_object_get(answer, "AccessKeyId"));
    const char *secret = json_string_value(json_object_get(answer, "SecretAccessKey"));
    const char *token = json_string_value(json_object_get(answer, "Token"));
    const char *expiry = json_string_value(json_object_get(answer, "Expiration"));
    const bool good =
        access != NULL && secret != NULL && read_expiry(expiry, &credentials->expires_us);
    if (good) {
        credentials->access_key = wr_strdup(access);
        credentials->secret_key = wr_strdup(secret);
        credentials->session_token = token != NULL ? wr_strdup(token) : NULL;
    }
    json_decref(answer);
    return good ? WR_OK : unreadable(credentials, err);
}

/* --- web identity (IRSA) ---------------------------------------------------------------------- */

/* The text of the first <name>, on the heap; NULL when there is none. Keys hold no entities. */
static char *element(const struct wr_buf *xml, const char *name)
{
    char open[64], close[64];
    snprintf(open, sizeof(open), "<%s>", name);
    snprintf(close, sizeof(close), "</%s>", name);
    const char *from = xml->bytes > 0 ? memmem(xml->data, xml->bytes, open, strlen(open)) : NULL;
    if (from == NULL) {
        return NULL;
    }
    from += strlen(open);
    const char *to =
        memmem(from, (size_t)(xml->data + xml->bytes - from), close, strlen(close));
    return to != NULL ? strndup(from, (size_t)(to - from)) : NULL;
}

static wr_status read_xml(const struct wr_http_call *call, struct wr_aws_credentials *credentials,
                          struct wr_error *err)
{
    char *expiry = element(&call->response, "Expiration");
    credentials->access_key = element(&call->response, "AccessKeyId");
    credentials->secret_key = element(&call->response, "SecretAccessKey");
    credentials->session_token = element(&call->response, "SessionToken");
    const bool good = credentials->access_key != NULL && credentials->secret_key != NULL &&
                      credentials->session_token != NULL &&
                      read_expiry(expiry, &credentials->expires_us);
    free(expiry);
    return good ? WR_OK : unreadable(credentials, err);
}

static void form(struct wr_buf *into, const char *name, const char *value, size_t bytes)
{
    wr_buf_printf(into, "&%s=", name);
    wr_aws_encode(into, value, bytes, false);
}

static void sts_url(struct wr_buf *url)
{
    const char *given = env("AWS_ENDPOINT_URL_STS");
    char *region = wr_aws_region_find();
    const char *in = region != NULL ? region : "us-east-1";
    if (given != NULL) {
        wr_buf_printf(url, "%s/", given);
    } else {
        wr_buf_printf(url, "https://sts.%s.amazonaws.com%s/", in,
                      strncmp(in, "cn-", 3) == 0 ? ".cn" : "");
    }
    free(region);
}

static wr_status from_web_identity(struct wr_aws_credentials *credentials, struct wr_error *err)
{
    const struct wr_http_settings settings = {.connect_timeout_ms = 3000,
                                              .timeout_ms = 8000,
                                              .ca_file = env("AWS_CA_BUNDLE")};
    const char *role = env("AWS_ROLE_ARN"), *name = env("AWS_ROLE_SESSION_NAME");
    struct wr_buf token = {0}, body = {0};
    struct wr_http_client *client = NULL;
    struct wr_http_call call = {.method = "POST"};
    wr_status status = wr_read_secret(env("AWS_WEB_IDENTITY_TOKEN_FILE"), &token, err);
    if (status == WR_OK) {
        status = wr_http_client_create(&client, &settings, err);
    }
    if (status == WR_OK) {
        wr_buf_text(&body, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15");
        name = name != NULL ? name : "weir";
        form(&body, "RoleArn", role, strlen(role));
        form(&body, "RoleSessionName", name, strlen(name));
        form(&body, "WebIdentityToken", token.data, token.bytes);
        call.body = body.data;
        call.body_bytes = body.bytes;
        sts_url(&call.url);
        wr_http_call_header(&call, "Content-Type", "application/x-www-form-urlencoded");
        ask(client, &call, 4);
        status = call.status == 200 ? read_xml(&call, credentials, err)
                                    : refused(credentials, &call, err);
    }
    if (status == WR_FAIL && call.status >= 400 && call.status < 500) {
        char *code = element(&call.response, "Code");
        wr_error_detail(err, "%.100s", code != NULL ? code : "");
        wr_error_hint(err,
                      "check AWS_ROLE_ARN and that the role trusts this pod's service account");
        free(code);
    }
    wr_token_wipe(&token);
    wr_token_wipe(&body);
    wr_token_wipe(&call.response);
    wr_http_call_deinit(&call);
    wr_http_client_destroy(client);
    return status;
}

/* --- containers (ECS, EKS Pod Identity) ------------------------------------------------------- */

/* The token goes to Amazon's link-local servers, this machine, or over TLS. */
static bool is_known_place(const char *uri)
{
    static const char *const places[] = {"https://",           "http://127.0.0.1",
                                         "http://localhost",   "http://[::1]",
                                         "http://169.254.170.2", "http://169.254.170.23",
                                         "http://[fd00:ec2::23]"};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        const size_t bytes = strlen(places[i]);
        if (strncmp(uri, places[i], bytes) == 0 &&
            (i == 0 || uri[bytes] == '/' || uri[bytes] == ':' || uri[bytes] == '\0')) {
            return true;
        }
    }
    return false;
}

static bool is_header(const struct wr_buf *text)
{
    for (size_t i = 0; i < text->bytes; i++) {
        if (text->data[i] < ' ' || text->data[i] > '~') {
            return false;
        }
    }
    return true;
}

static wr_status container_call(struct wr_http_call *call, struct wr_error *err)
{
    const char *relative = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    const char *file = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *inlined = env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    struct wr_buf token = {0};
    wr_status status = WR_OK;
    call->method = "GET";
    if (relative != NULL) {
        wr_buf_printf(&call->url, "http://169.254.170.2%s", relative);
    } else {
        wr_ensure(is_known_place(full), err, WR_CLASS_USER,
                  "AWS_CONTAINER_CREDENTIALS_FULL_URI leads neither to this machine nor to https");
        wr_buf_text(&call->url, full);
    }
    if (file != NULL) {
        status = wr_read_secret(file, &token, err);
    } else if (inlined != NULL) {
        wr_buf_text(&token, inlined);
    }
    if (status == WR_OK && !is_header(&token)) {
        status = wr_fail(err, WR_CLASS_USER,
                         "the container's authorization token holds a line break");
    }
    if (status == WR_OK && token.bytes > 0) {
        wr_http_call_header(call, "Authorization", wr_buf_cstr(&token));
    }
    wr_token_wipe(&token);
    return status;
}

static wr_status from_container(struct wr_aws_credentials *credentials, struct wr_error *err)
{
    const struct wr_http_settings settings = {.connect_timeout_ms = NEAR_CONNECT_MS,
                                              .timeout_ms = NEAR_ANSWER_MS,
                                              .ca_file = env("AWS_CA_BUNDLE")};
    struct wr_http_client *client = NULL;
    struct wr_http_call call = {0};
    wr_status status = container_call(&call, err);
    if (status == WR_OK) {
        status = wr_http_client_create(&client, &settings, err);
    }
    if (status == WR_OK) {
        ask(client, &call, 4);
        status = call.status == 200 ? read_json(&call, credentials, err)
                                    : refused(credentials, &call, err);
    }
    wr_token_wipe(&call.response);
    wr_http_call_deinit(&call);
    wr_http_client_destroy(client);
    return status;
}

/* --- instances (IMDSv2) ----------------------------------------------------------------------- */

static void imds_call(struct wr_http_call *call, const char *method, const char *path,
                      const struct wr_buf *token)
{
    const char *host = env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    struct wr_buf copy = {0};
    host = host != NULL ? host : "http://169.254.169.254";
    wr_http_call_clear(call);
    call->method = method;
    wr_buf_printf(&call->url, "%.*s%s", (int)(strlen(host) - (host[strlen(host) - 1] == '/')), host,
                  path);
    if (token == NULL) {
        wr_http_call_header(call, "X-aws-ec2-metadata-token-ttl-seconds", IMDS_TOKEN_S);
        return;
    }
    wr_buf_append(&copy, token->data, token->bytes);
    wr_http_call_header(call, "X-aws-ec2-metadata-token", wr_buf_cstr(&copy));
    wr_token_wipe(&copy);
}

/* The token, then the role's name, then the role's keys. */
static wr_status from_imds(struct wr_http_client *client, struct wr_http_call *call,
                           struct wr_aws_credentials *credentials, struct wr_error *err)
{
    static const char roles[] = "/latest/meta-data/iam/security-credentials/";
    struct wr_buf token = {0}, path = {0};
    imds_call(call, "PUT", "/latest/api/token", NULL);
    ask(client, call, 1);
    wr_status status = call->status == 200 ? WR_OK : WR_END; /* not an instance */
    if (status == WR_OK) {
        wr_buf_append(&token, call->response.data, call->response.bytes);
        status = is_header(&token) ? WR_OK : unreadable(credentials, err);
    }
    if (status == WR_OK) {
        imds_call(call, "GET", roles, &token);
        ask(client, call, 4);
        status = call->status == 200   ? WR_OK
                 : call->status == 404 ? WR_END /* an instance without a role */
                                       : refused(credentials, call, err);
    }
    if (status == WR_OK) {
        const struct wr_buf *names = &call->response;
        const char *line_end =
            names->bytes > 0 ? memchr(names->data, '\n', names->bytes) : NULL;
        const size_t bytes = line_end != NULL ? (size_t)(line_end - names->data) : names->bytes;
        wr_buf_text(&path, roles);
        wr_aws_encode(&path, names->data, bytes, false);
        imds_call(call, "GET", wr_buf_cstr(&path), &token);
        ask(client, call, 4);
        status = call->status == 200 ? read_json(call, credentials, err)
                                     : refused(credentials, call, err);
    }
    wr_token_wipe(&token);
    wr_buf_deinit(&path);
    return status;
}

static wr_status from_instance(struct wr_aws_credentials *credentials, struct wr_error *err)
{
    const struct wr_http_settings settings = {.connect_timeout_ms = NEAR_CONNECT_MS,
                                              .timeout_ms = NEAR_ANSWER_MS};
    const char *disabled = env("AWS_EC2_METADATA_DISABLED");
    struct wr_http_client *client = NULL;
    struct wr_http_call call = {0};
    if (disabled != NULL && strcasecmp(disabled, "true") == 0) {
        return WR_END;
    }
    wr_status status = wr_http_client_create(&client, &settings, err);
    if (status == WR_OK) {
        status = from_imds(client, &call, credentials, err);
    }
    wr_token_wipe(&call.response);
    wr_http_call_deinit(&call);
    wr_http_client_destroy(client);
    return status;
}

wr_status wr_aws_credentials_remote(struct wr_aws_credentials *credentials, struct wr_error *err)
{
    const char *from = "the instance's role (IMDSv2)";
    wr_status (*find)(struct wr_aws_credentials *, struct wr_error *) = from_instance;
    if (env("AWS_WEB_IDENTITY_TOKEN_FILE") != NULL && env("AWS_ROLE_ARN") != NULL) {
        from = "STS by web identity (AWS_WEB_IDENTITY_TOKEN_FILE)";
        find = from_web_identity;
    } else if (env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != NULL ||
               env("AWS_CONTAINER_CREDENTIALS_FULL_URI") != NULL) {
        from = "the container's role (AWS_CONTAINER_CREDENTIALS_...)";
        find = from_container;
    }
    snprintf(credentials->source, sizeof(credentials->source), "%s", from);
    return find(credentials, err);
}
