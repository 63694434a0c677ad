/* kinesis_api.c: see kinesis_api.h. */
#include "net/kinesis_api.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "net/retry.h"
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#define ATTEMPTS       6u
#define FIRST_WAIT_MS  200u
#define LONGEST_WAIT_MS 3000u
/* A page of ListShards holds 1,000 shards of about 400 bytes. */
#define ANSWER_BYTES_MAX ((size_t)8 << 20)

/* ---- where ---- */

/* "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks" -> region and name. False: no ARN of a stream. */
static bool split_arn(const char *arn, struct wr_slice *region, const char **name)
{
    const char *at = arn;
    const char *parts[6];
    for (uint32_t i = 0; i < 6; i++) {
        parts[i] = at;
        at = i < 5 ? strchr(at, ':') : at;
        if (at == NULL) {
            return false;
        }
        at += i < 5 ? 1 : 0;
    }
    *region = (struct wr_slice){ parts[3], (size_t)(parts[4] - parts[3]) - 1 };
    *name = parts[5] + strlen("stream/");
    return strncmp(parts[0], "arn:", 4) == 0 && strncmp(parts[2], "kinesis:", 8) == 0 &&
           region->bytes > 0 && strncmp(parts[5], "stream/", 7) == 0;
}

static bool is_word(const char *text, const char *also, size_t bytes_max)
{
    const size_t bytes = strlen(text);
    for (size_t i = 0; i < bytes; i++) {
        const char c = text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              strchr(also, c) != NULL)) {
            return false;
        }
    }
    return bytes > 0 && bytes <= bytes_max;
}

static bool is_endpoint(const char *text)
{
    const char *authority = strncmp(text, "https://", 8) == 0  ? text + 8
                            : strncmp(text, "http://", 7) == 0 ? text + 7
                                                               : "";
    bool good = authority[0] != '\0' && authority[0] != '/';
    for (const char *c = text; *c != '\0'; c++) {
        good = good && *c > ' ' && *c <= '~' && strchr("@?#\\\"<>", *c) == NULL;
    }
    return good;
}

static wr_status check_endpoint(const char *endpoint, struct wr_error *err)
{
    if (!is_endpoint(endpoint)) {
        (void)wr_fail(err, WR_CLASS_USER,
                      "the Kinesis endpoint is not http://HOST:PORT or https://HOST:PORT");
        wr_error_hint(err, "write endpoint = 'https://kinesis.example.com' (or set "
                           "AWS_ENDPOINT_URL_KINESIS), without user names and queries");
        return WR_FAIL;
    }
    return WR_OK;
}

wr_status wr_kinesis_check(const struct wr_kinesis_place *place, struct wr_error *err)
{
    const char *name = place->stream;
    struct wr_slice region;
    if (strncmp(name, "arn:", 4) == 0 && !split_arn(place->stream, &region, &name)) {
        (void)wr_fail(err, WR_CLASS_USER, "'%.200s' is not the ARN of a stream", place->stream);
        wr_error_hint(err, "it looks like arn:aws:kinesis:eu-west-1:123456789012:stream/clicks");
        return WR_FAIL;
    }
    if (!is_word(name, "._-", 128)) {
        (void)wr_fail(err, WR_CLASS_USER, "'%.200s' cannot be a stream's name", place->stream);
        wr_error_hint(err, "names have up to 128 letters, digits, '.', '_' and '-'");
        return WR_FAIL;
    }
    wr_ensure(place->region == NULL || is_word(place->region, "-", 40), err, WR_CLASS_USER,
              "'%.200s' is not a region", place->region);
    return place->endpoint != NULL ? check_endpoint(place->endpoint, err) : WR_OK;
}

/* Splits the endpoint as curl does: a usual port is not in the Host header. */
static void take_endpoint(struct wr_kinesis_api *api, const char *endpoint)
{
    const bool https = strncmp(endpoint, "https://", 8) == 0;
    const char *authority = endpoint + (https ? 8 : 7);
    const char *path = strchrnul(authority, '/');
    const char *usual = https ? ":443" : ":80";
    size_t bytes = (size_t)(path - authority);
    const size_t port_bytes = strlen(usual);
    if (bytes > port_bytes && memcmp(path - port_bytes, usual, port_bytes) == 0) {
        bytes -= port_bytes;
    }
    wr_assert(asprintf(&api->host, "%.*s", (int)bytes, authority) > 0 &&
              asprintf(&api->origin, "%s://%s", https ? "https" : "http", api->host) > 0 &&
              asprintf(&api->path, "%s", *path != '\0' ? path : "/") > 0);
}

static wr_status find_region(struct wr_kinesis_api *api, const struct wr_kinesis_place *place,
                             struct wr_slice of_arn, struct wr_error *err)
{
    if (place->region != NULL) {
        api->region = wr_strdup(place->region);
    } else if (of_arn.bytes > 0) {
        wr_assert(asprintf(&api->region, "%.*s", WR_SLICE_ARG(of_arn)) > 0);
    } else {
        api->region = wr_aws_region_find();
    }
    if (api->region == NULL || !is_word(api->region, "-", 40)) {
        (void)wr_fail(err, WR_CLASS_USER, "no region is known for stream %s", api->stream);
        wr_error_hint(err, "add region = 'eu-west-1', or set AWS_REGION");
        return WR_FAIL;
    }
    return WR_OK;
}

wr_status wr_kinesis_api_open(struct wr_kinesis_api *api, const struct wr_kinesis_place *place,
                              struct wr_error *err)
{
    struct wr_slice region = { 0 };
    const char *name = place->stream;
    const char *endpoint = place->endpoint;
    char *own = NULL;
    *api = (struct wr_kinesis_api){ 0 };
    WR_TRY(wr_kinesis_check(place, err));
    if (split_arn(place->stream, &region, &name)) {
        api->arn = wr_strdup(place->stream);
    } else {
        name = place->stream;
        region = (struct wr_slice){ 0 };
    }
    api->stream = wr_strdup(name);
    WR_TRY(find_region(api, place, region, err));
    if (endpoint == NULL) {
        endpoint = wr_aws_environment("AWS_ENDPOINT_URL_KINESIS", "AWS_ENDPOINT_URL");
    }
    if (endpoint == NULL) {
        wr_assert(asprintf(&own, "https://kinesis.%s.amazonaws.com%s", api->region,
                           strncmp(api->region, "cn-", 3) == 0 ? ".cn" : "") > 0);
        endpoint = own;
    }
    const wr_status good = check_endpoint(endpoint, err);
    if (good == WR_OK) {
        take_endpoint(api, endpoint);
    }
    free(own);
    WR_TRY(good);
    WR_TRY(wr_aws_credentials_find(&place->keys, &api->credentials, err));
    WR_TRY(wr_aws_signer_create(&api->signer, api->region, "kinesis", err));
    const struct wr_http_settings settings = { 0 };
    return wr_http_client_create(&api->http, &settings, err);
}

void wr_kinesis_api_close(struct wr_kinesis_api *api)
{
    wr_http_client_destroy(api->http);
    wr_aws_signer_destroy(api->signer);
    wr_aws_credentials_deinit(&api->credentials);
    free(api->region);
    free(api->host);
    free(api->origin);
    free(api->path);
    free(api->stream);
    free(api->arn);
    *api = (struct wr_kinesis_api){ 0 };
}

/* ---- asking ---- */

void wr_kinesis_put_text(struct wr_buf *json, const char *text, size_t bytes)
{
    wr_buf_byte(json, '"');
    for (size_t i = 0; i < bytes; i++) {
        const uint8_t c = (uint8_t)text[i];
        if (c < 0x20) {
            wr_buf_printf(json, "\\u%04x", c);
            continue;
        }
        if (c == '"' || c == '\\') {
            wr_buf_byte(json, '\\');
        }
        wr_buf_byte(json, c);
    }
    wr_buf_byte(json, '"');
}

void wr_kinesis_put_stream(const struct wr_kinesis_api *api, struct wr_buf *json)
{
    wr_buf_text(json, api->arn != NULL ? "\"StreamARN\":" : "\"StreamName\":");
    const char *text = api->arn != NULL ? api->arn : api->stream;
    wr_kinesis_put_text(json, text, strlen(text));
}

void wr_kinesis_sign(struct wr_kinesis_api *api, struct wr_http_call *call, const char *operation,
                     struct wr_slice body)
{
    char date[17], hash[WR_SHA256_HEX_BYTES], target[64];
    struct wr_aws_pair headers[6];
    struct wr_buf authorization = { 0 };
    struct wr_error why = { 0 };
    uint32_t count = 0;
    /* A role's keys that could not be renewed are refused by the server, which says so best. */
    if (wr_aws_credentials_refresh(&api->credentials, &why) != WR_OK) {
        wr_log_warn("kinesis", "stream %s: %s", api->stream, why.message);
    }
    wr_http_call_clear(call);
    call->method = "POST";
    call->body = body.data;
    call->body_bytes = body.bytes;
    call->response_bytes_max = ANSWER_BYTES_MAX;
    wr_buf_text(&call->url, api->origin);
    wr_aws_encode(&call->url, api->path, strlen(api->path), true);
    wr_aws_date(wr_clock_now().wall_us, date);
    wr_aws_sha256(api->signer, body.data, body.bytes, hash);
    (void)snprintf(target, sizeof target, "Kinesis_20131202.%s", operation);
    headers[count++] = (struct wr_aws_pair){ "content-type", "application/x-amz-json-1.1" };
    headers[count++] = (struct wr_aws_pair){ "x-amz-date", date };
    headers[count++] = (struct wr_aws_pair){ "x-amz-target", target };
    if (api->credentials.session_token != NULL) {
        headers[count++] =
            (struct wr_aws_pair){ "x-amz-security-token", api->credentials.session_token };
    }
    for (uint32_t i = 0; i < count; i++) {
        wr_http_call_header(call, headers[i].name, headers[i].value);
    }
    headers[count++] = (struct wr_aws_pair){ "host", api->host }; /* curl sends it from the URL */
    const struct wr_aws_request request = { .method = "POST",
                                            .path = api->path,
                                            .headers = headers,
                                            .header_count = count,
                                            .payload_hash = hash };
    wr_aws_sign(api->signer, &api->credentials, &request, date, &authorization);
    wr_http_call_header(call, "Authorization", wr_buf_cstr(&authorization));
    wr_buf_deinit(&authorization);
}

/* ---- answers ---- */

static const struct {
    const char *kind;
    enum wr_kinesis_outcome outcome;
} kinds[] = {
    { "ProvisionedThroughputExceededException", WR_KINESIS_THROTTLED },
    { "LimitExceededException", WR_KINESIS_THROTTLED },
    { "KMSThrottlingException", WR_KINESIS_THROTTLED },
    { "ThrottlingException", WR_KINESIS_THROTTLED },
    { "RequestLimitExceeded", WR_KINESIS_THROTTLED },
    { "InternalFailure", WR_KINESIS_BUSY },
    { "InternalFailureException", WR_KINESIS_BUSY },
    { "ServiceUnavailable", WR_KINESIS_BUSY },
    { "ServiceUnavailableException", WR_KINESIS_BUSY },
    { "RequestTimeoutException", WR_KINESIS_BUSY },
    /* Keys of a role: the next request is signed with fresh ones. */
    { "ExpiredTokenException", WR_KINESIS_BUSY },
    { "ExpiredIteratorException", WR_KINESIS_EXPIRED },
    { "ExpiredNextTokenException", WR_KINESIS_EXPIRED },
    { "ResourceNotFoundException", WR_KINESIS_NOT_FOUND },
    { "ResourceInUseException", WR_KINESIS_IN_USE },
    { "InvalidArgumentException", WR_KINESIS_INVALID },
    { "ValidationException", WR_KINESIS_INVALID },
};

enum wr_kinesis_outcome wr_kinesis_outcome_of(struct wr_slice kind, int status)
{
    const char *hash = kind.bytes > 0 ? memrchr(kind.data, '#', kind.bytes) : NULL;
    if (hash != NULL) {
        kind = (struct wr_slice){ hash + 1, kind.bytes - (size_t)(hash + 1 - kind.data) };
    }
    const char *colon = kind.bytes > 0 ? memchr(kind.data, ':', kind.bytes) : NULL;
    if (colon != NULL) { /* x-amzn-ErrorType may go on with a URL */
        kind.bytes = (size_t)(colon - kind.data);
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (wr_slice_is(kind, kinds[i].kind)) {
            return kinds[i].outcome;
        }
    }
    return wr_retry_status(status) || status >= 500 ? WR_KINESIS_BUSY : WR_KINESIS_REFUSED;
}

/* "__type" and "message" of an error's body, into buffers; "" where there are none. */
static void read_error(const struct wr_http_call *call, char kind[128], char message[400])
{
    json_t *body = json_loadb(call->response.data != NULL ? call->response.data : "",
                              call->response.bytes, 0, NULL);
    const char *type = json_string_value(json_object_get(body, "__type"));
    const char *text = json_string_value(json_object_get(body, "message"));
    if (text == NULL) {
        text = json_string_value(json_object_get(body, "Message"));
    }
    const struct wr_slice header = wr_http_call_answer(call, "x-amzn-ErrorType");
    if (type != NULL) {
        (void)snprintf(kind, 128, "%s", type);
    } else {
        (void)snprintf(kind, 128, "%.*s", WR_SLICE_ARG(header));
    }
    (void)snprintf(message, 400, "%s", text != NULL ? text : "");
    json_decref(body);
}

enum wr_kinesis_outcome wr_kinesis_outcome(const struct wr_http_call *call)
{
    char kind[128], message[400];
    if (call->status == 200) {
        return WR_KINESIS_OK;
    }
    if (call->status == 0) {
        return call->may_retry ? WR_KINESIS_BUSY : WR_KINESIS_REFUSED;
    }
    read_error(call, kind, message);
    return wr_kinesis_outcome_of(wr_slice_of(kind), call->status);
}

bool wr_kinesis_may_pass(enum wr_kinesis_outcome outcome)
{
    return outcome == WR_KINESIS_THROTTLED || outcome == WR_KINESIS_BUSY ||
           outcome == WR_KINESIS_IN_USE;
}

static void add_hint(const struct wr_kinesis_api *api, const char *kind,
                     enum wr_kinesis_outcome outcome, struct wr_error *err)
{
    if (outcome == WR_KINESIS_NOT_FOUND) {
        wr_error_hint(err, "check stream and region: aws kinesis list-streams --region %s",
                      api->region);
    } else if (strstr(kind, "AccessDenied") != NULL) {
        wr_error_hint(err, "the identity needs rights on the stream, such as kinesis:ListShards, "
                           "kinesis:GetShardIterator, kinesis:GetRecords (to write: "
                           "kinesis:PutRecords)");
    } else if (strstr(kind, "Signature") != NULL || strstr(kind, "UnrecognizedClient") != NULL ||
               strstr(kind, "Token") != NULL) {
        wr_error_hint(err, "check the keys, which come from %s, the region and this machine's clock",
                      api->credentials.source);
    } else if (outcome == WR_KINESIS_THROTTLED) {
        wr_error_hint(err, "other consumers or producers use up the shards' limits: add shards, or "
                           "read with enhanced fan-out (consumer = 'NAME')");
    }
}

wr_status wr_kinesis_fail(const struct wr_kinesis_api *api, const struct wr_http_call *call,
                          const char *what, struct wr_error *err)
{
    char kind[128], message[400];
    const enum wr_kinesis_outcome outcome = wr_kinesis_outcome(call);
    const enum wr_error_class cls =
        wr_kinesis_may_pass(outcome) ? WR_CLASS_RETRY : WR_CLASS_FATAL;
    if (call->status == 0) {
        (void)wr_fail(err, cls, "stream %s: cannot %s: no answer from %s", api->stream, what,
                      api->host);
        wr_error_detail(err, "%s", call->problem);
        wr_error_hint(err, "check that %s can be reached; endpoint and region say where", api->host);
        return WR_FAIL;
    }
    read_error(call, kind, message);
    const char *hash = strrchr(kind, '#');
    const char *name = hash != NULL ? hash + 1 : kind;
    (void)wr_fail(err, cls, "stream %s: cannot %s: %s", api->stream, what,
                  name[0] != '\0' ? name : "the answer is no success");
    wr_error_detail(err, "%s answered %d%s%s", api->host, call->status,
                    message[0] != '\0' ? ": " : "", message);
    add_hint(api, kind, outcome, err);
    return WR_FAIL;
}

static int64_t date_ms(const struct wr_http_call *call)
{
    const struct wr_slice date = wr_http_call_answer(call, "Date");
    char text[40];
    struct tm tm = { 0 };
    (void)snprintf(text, sizeof text, "%.*s", WR_SLICE_ARG(date));
    return strptime(text, "%a, %d %b %Y %H:%M:%S", &tm) != NULL ? (int64_t)timegm(&tm) * 1000
                                                                : wr_clock_now().wall_us / 1000;
}

wr_status wr_kinesis_ask(struct wr_kinesis_api *api, const char *operation, struct wr_slice body,
                         const char *what, json_t **answer, enum wr_kinesis_outcome *outcome,
                         struct wr_error *err)
{
    struct wr_http_call call = { 0 };
    struct wr_retry retry;
    enum wr_kinesis_outcome is;
    uint32_t wait_ms;
    wr_status status = WR_OK;
    wr_retry_init(&retry, ATTEMPTS, FIRST_WAIT_MS, LONGEST_WAIT_MS, wr_rand_entropy());
    for (;;) {
        wr_kinesis_sign(api, &call, operation, body);
        wr_http_perform(api->http, &call);
        is = wr_kinesis_outcome(&call);
        if (!wr_kinesis_may_pass(is) ||
            !wr_retry_next(&retry, wr_http_call_retry_after_ms(&call), &wait_ms)) {
            break;
        }
        wr_clock_sleep_ms(wait_ms);
    }
    *answer = NULL;
    api->answered_ms = date_ms(&call);
    if (is != WR_KINESIS_OK) {
        status = wr_kinesis_fail(api, &call, what, err);
    } else {
        *answer = json_loadb(call.response.data != NULL ? call.response.data : "{}",
                             call.response.bytes > 0 ? call.response.bytes : 2, 0, NULL);
        if (!json_is_object(*answer)) {
            json_decref(*answer);
            *answer = NULL;
            status = wr_fail(err, WR_CLASS_FATAL, "stream %s: %s answered %s with something that is no JSON",
                             api->stream, api->host, operation);
        }
    }
    if (outcome != NULL) {
        *outcome = is;
    }
    wr_http_call_deinit(&call);
    return status;
}
