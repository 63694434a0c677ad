/* registry_glue.c: see registry_glue.h. */
#include "decode/registry_glue.h"

#include "base/clock.h"
#include "base/heap.h"
#include "batch/text.h"
#include "net/aws_sigv4.h"
#include <stdio.h>

struct wr_glue {
    char *origin; /* "https://host[:port]" */
    char *host;
    struct wr_aws_signer *signer;
    struct wr_aws_credentials credentials;
};

bool wr_glue_is_address(const char *address)
{
    return strcmp(address, "glue") == 0 || strncmp(address, "glue+", 5) == 0;
}

static wr_status set_origin(struct wr_glue *g, const char *address, const char *region,
                            struct wr_error *err)
{
    struct wr_buf origin = { 0 };
    const char *given = address[4] == '+' ? address + 5
                                          : wr_aws_environment("AWS_ENDPOINT_URL_GLUE", "AWS_ENDPOINT_URL");
    if (given != NULL) {
        wr_buf_text(&origin, given);
    } else {
        wr_buf_printf(&origin, "https://glue.%s.amazonaws.com%s", region,
                      strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
    }
    while (origin.bytes > 0 && origin.data[origin.bytes - 1] == '/') {
        origin.bytes--;
    }
    g->origin = wr_strdup(wr_buf_cstr(&origin));
    wr_buf_deinit(&origin);
    const char *host = strstr(g->origin, "://");
    const bool http = strncmp(g->origin, "http://", 7) == 0 || strncmp(g->origin, "https://", 8) == 0;
    if (!http || host[3] == '\0' || strpbrk(host + 3, "/?#@ \r\n\t") != NULL) {
        (void)wr_fail(err, WR_CLASS_USER, "registry = '%.200s' is not the address of AWS Glue", address);
        wr_error_hint(err, "write it as glue (the region's service) or glue+http://host:port");
        return WR_FAIL;
    }
    g->host = wr_strdup(host + 3);
    return WR_OK;
}

static wr_status open_all(struct wr_glue *g, const char *address, const char *region,
                          struct wr_error *err)
{
    const struct wr_aws_given keys = { 0 };
    if (region == NULL) {
        (void)wr_fail(err, WR_CLASS_USER, "AWS Glue's region is not known");
        wr_error_hint(err, "say registry_region = 'eu-central-1', or set AWS_REGION");
        return WR_FAIL;
    }
    wr_ensure(strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(region), err, WR_CLASS_USER,
              "registry_region = '%.60s' is no region of AWS", region);
    WR_TRY(set_origin(g, address, region, err));
    WR_TRY(wr_aws_credentials_find(&keys, &g->credentials, err));
    return wr_aws_signer_create(&g->signer, region, "glue", err);
}

wr_status wr_glue_open(struct wr_glue **glue, const char *address, const char *region,
                       struct wr_error *err)
{
    struct wr_glue *g = wr_calloc(1, sizeof *g);
    char *found = region == NULL ? wr_aws_region_find() : NULL;
    const wr_status status = open_all(g, address, region != NULL ? region : found, err);
    free(found);
    if (status != WR_OK) {
        wr_glue_close(g);
        return WR_FAIL;
    }
    *glue = g;
    return WR_OK;
}

void wr_glue_close(struct wr_glue *glue)
{
    if (glue != NULL) {
        wr_aws_signer_destroy(glue->signer);
        wr_aws_credentials_deinit(&glue->credentials);
        free(glue->origin);
        free(glue->host);
        free(glue);
    }
}

static void put_uuid(char into[37], const uint8_t g[16])
{
    (void)snprintf(into, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", g[0],
                   g[1], g[2], g[3], g[4], g[5], g[6], g[7], g[8], g[9], g[10], g[11], g[12], g[13],
                   g[14], g[15]);
}

static void put_body(struct wr_buf *body, const struct wr_registry_key *key)
{
    char uuid[37];
    if (key->kind == WR_REGISTRY_GUID) {
        put_uuid(uuid, key->guid);
        wr_buf_printf(body, "{\"SchemaVersionId\":\"%s\"}", uuid);
        return;
    }
    const char *slash = strchr(key->subject, '/');
    const char *name = slash != NULL ? slash + 1 : key->subject;
    wr_buf_text(body, "{\"SchemaId\":{\"RegistryName\":");
    if (slash != NULL) {
        wr_text_json_string(body, key->subject, (size_t)(slash - key->subject));
    } else {
        wr_buf_text(body, "\"default-registry\"");
    }
    wr_buf_text(body, ",\"SchemaName\":");
    wr_text_json_string(body, name, strlen(name));
    wr_buf_text(body, "},\"SchemaVersionNumber\":{\"LatestVersion\":true}}");
}

static void sign(struct wr_glue *g, struct wr_http_call *call, const struct wr_buf *body)
{
    char date[17];
    char hash[WR_SHA256_HEX_BYTES];
    struct wr_aws_pair headers[5];
    struct wr_buf authorization = { 0 };
    uint32_t count = 0;
    wr_aws_date(wr_clock_now().wall_us, date);
    wr_aws_sha256(g->signer, body->data, body->bytes, hash);
    headers[count++] = (struct wr_aws_pair){ "content-type", "application/x-amz-json-1.1" };
    headers[count++] = (struct wr_aws_pair){ "x-amz-date", date };
    headers[count++] = (struct wr_aws_pair){ "x-amz-target", "AWSGlue.GetSchemaVersion" };
    if (g->credentials.session_token != NULL) {
        headers[count++] = (struct wr_aws_pair){ "x-amz-security-token", g->credentials.session_token };
    }
    for (uint32_t i = 0; i < count; i++) {
        wr_http_call_header(call, headers[i].name, headers[i].value);
    }
    headers[count++] = (struct wr_aws_pair){ "host", g->host }; /* curl sends it from the URL */
    const struct wr_aws_request request = { .method = "POST",
                                            .path = "/",
                                            .headers = headers,
                                            .header_count = count,
                                            .payload_hash = hash };
    wr_aws_sign(g->signer, &g->credentials, &request, date, &authorization);
    wr_http_call_header(call, "Authorization", wr_buf_cstr(&authorization));
    wr_buf_deinit(&authorization);
}

wr_status wr_glue_ask(struct wr_glue *glue, const struct wr_registry_key *key,
                      struct wr_http_call *call, struct wr_buf *body, struct wr_error *err)
{
    wr_ensure(key->kind != WR_REGISTRY_ID, err, WR_CLASS_DATA, "AWS Glue knows no numbers of schemas");
    WR_TRY(wr_aws_credentials_refresh(&glue->credentials, err));
    wr_http_call_clear(call);
    call->method = "POST";
    wr_buf_printf(&call->url, "%s/", glue->origin);
    body->bytes = 0;
    put_body(body, key);
    call->body = body->data;
    call->body_bytes = body->bytes;
    sign(glue, call, body);
    return WR_OK;
}

void wr_glue_question(const struct wr_glue *glue, const struct wr_registry_key *key, char *into,
                      size_t bytes)
{
    char uuid[37] = "";
    if (key->kind == WR_REGISTRY_GUID) {
        put_uuid(uuid, key->guid);
    }
    (void)snprintf(into, bytes, "%.120s: GetSchemaVersion %s", glue->origin,
                   key->kind == WR_REGISTRY_GUID ? uuid : "LatestVersion");
}

bool wr_glue_is_refusal(const char *kind)
{
    /* Some servers write the whole shape's name, aws.glue#EntityNotFoundException. */
    const char *name = strrchr(kind, '#');
    name = name != NULL ? name + 1 : kind;
    return strcmp(name, "EntityNotFoundException") == 0 || strcmp(name, "InvalidInputException") == 0;
}
