/* store_s3_call.c: one signed request to S3 with its retries, and S3's refusals in words that say
 * what to do. */
#include "store/store_s3.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- XML
 * ------------------------------------------------------------------------------------------ */

/* S3's answers are flat: elements without attributes, text with entities. */
bool wr_s3_xml_next(struct wr_slice *rest, const char *name, struct wr_slice *inside)
{
    char open[64], close[64];
    const size_t open_bytes = (size_t)snprintf(open, sizeof(open), "<%s>", name);
    const size_t close_bytes = (size_t)snprintf(close, sizeof(close), "</%s>", name);
    if (rest->data == NULL) {
        return false;
    }
    const char *end = rest->data + rest->bytes;
    const char *from = memmem(rest->data, rest->bytes, open, open_bytes);
    if (from == NULL) {
        return false;
    }
    from += open_bytes;
    const char *to = memmem(from, (size_t)(end - from), close, close_bytes);
    if (to == NULL) {
        return false;
    }
    *inside = (struct wr_slice){from, (size_t)(to - from)};
    *rest = (struct wr_slice){to + close_bytes, (size_t)(end - to) - close_bytes};
    return true;
}

static void append_code_point(struct wr_buf *into, unsigned long c)
{
    if (c < 0x80) {
        wr_buf_byte(into, (uint8_t)c);
    } else if (c < 0x800) {
        wr_buf_byte(into, (uint8_t)(0xc0 | (c >> 6)));
        wr_buf_byte(into, (uint8_t)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        wr_buf_byte(into, (uint8_t)(0xe0 | (c >> 12)));
        wr_buf_byte(into, (uint8_t)(0x80 | ((c >> 6) & 0x3f)));
        wr_buf_byte(into, (uint8_t)(0x80 | (c & 0x3f)));
    } else {
        wr_buf_byte(into, (uint8_t)(0xf0 | ((c >> 18) & 7)));
        wr_buf_byte(into, (uint8_t)(0x80 | ((c >> 12) & 0x3f)));
        wr_buf_byte(into, (uint8_t)(0x80 | ((c >> 6) & 0x3f)));
        wr_buf_byte(into, (uint8_t)(0x80 | (c & 0x3f)));
    }
}

/* Decodes the entity at text (after '&'); returns how many bytes it takes, 0 when it is none. */
static size_t append_entity(struct wr_buf *into, struct wr_slice text)
{
    static const struct {
        const char *name;
        char c;
    } known[] = {{"amp;", '&'}, {"lt;", '<'}, {"gt;", '>'}, {"quot;", '"'}, {"apos;", '\''}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const size_t bytes = strlen(known[i].name);
        if (text.bytes >= bytes && memcmp(text.data, known[i].name, bytes) == 0) {
            wr_buf_byte(into, (uint8_t)known[i].c);
            return bytes;
        }
    }
    const char *semicolon = memchr(text.data, ';', text.bytes < 10 ? text.bytes : 10);
    if (text.bytes < 3 || text.data[0] != '#' || semicolon == NULL) {
        return 0;
    }
    char digits[12] = "";
    const bool hex = text.data[1] == 'x' || text.data[1] == 'X';
    const char *start = text.data + (hex ? 2 : 1);
    memcpy(digits, start, semicolon > start ? (size_t)(semicolon - start) : 0);
    char *end = digits;
    const unsigned long c = strtoul(digits, &end, hex ? 16 : 10);
    if (digits[0] == '\0' || *end != '\0' || c == 0 || c > 0x10ffff) {
        return 0;
    }
    append_code_point(into, c);
    return (size_t)(semicolon - text.data) + 1;
}

bool wr_s3_xml_text(struct wr_slice xml, const char *name, struct wr_buf *into)
{
    struct wr_slice text;
    if (!wr_s3_xml_next(&xml, name, &text)) {
        return false;
    }
    for (size_t i = 0; i < text.bytes; i++) {
        size_t taken = 0;
        if (text.data[i] == '&') {
            taken = append_entity(into, (struct wr_slice){text.data + i + 1, text.bytes - i - 1});
        }
        if (taken == 0) {
            wr_buf_byte(into, (uint8_t)text.data[i]);
        }
        i += taken;
    }
    return true;
}

static struct wr_slice body_of(const struct wr_http_call *call)
{
    return (struct wr_slice){call->response.data, call->response.bytes};
}

/* The <Code> of an error answer; "" when it is none. Also inside a 200, as CompleteMultipartUpload
 * may answer. */
static void error_code(const struct wr_http_call *call, char code[64])
{
    struct wr_buf text = {0};
    struct wr_slice rest = body_of(call), inside;
    code[0] = '\0';
    if (wr_s3_xml_next(&rest, "Error", &inside) && wr_s3_xml_text(inside, "Code", &text)) {
        snprintf(code, 64, "%s", wr_buf_cstr(&text));
    }
    wr_buf_deinit(&text);
}

bool wr_s3_is_error(const struct wr_http_call *call, const char *code)
{
    char found[64];
    error_code(call, found);
    return strcmp(found, code) == 0;
}

/* --- requests
 * ------------------------------------------------------------------------------------- */

static void append_path(const struct s3_store *store, const char *key, struct wr_buf *path)
{
    wr_buf_text(path, store->path_root);
    if (key != NULL) {
        wr_buf_printf(path, "/%s%s", store->prefix, key);
    } else if (path->bytes == 0) {
        wr_buf_byte(path, '/');
    }
}

void wr_s3_sign(struct s3_store *store, const struct s3_ask *ask, struct wr_http_call *call)
{
    char date[17], hash[WR_SHA256_HEX_BYTES] = WR_AWS_UNSIGNED_PAYLOAD;
    struct wr_aws_pair headers[WR_AWS_PAIRS_MAX];
    struct wr_buf path = {0}, authorization = {0};
    uint32_t count = 0;
    struct wr_error why = {0};
    /* A role's keys that could not be renewed are refused by the server, which says so best. */
    if (wr_aws_credentials_refresh(&store->credentials, &why) != WR_OK) {
        wr_log_warn("s3", "%s: %s", store->url, why.message);
    }
    wr_http_call_clear(call);
    call->method = ask->method;
    call->body = ask->body;
    call->body_bytes = ask->body_bytes;
    call->response_bytes_max = ask->answer_bytes_max;

    append_path(store, ask->key, &path);
    wr_buf_text(&call->url, store->origin);
    wr_aws_encode(&call->url, path.data, path.bytes, true);
    if (ask->query_count > 0) {
        wr_buf_byte(&call->url, '?');
        wr_aws_query(&call->url, ask->query, ask->query_count);
    }
    if (!store->https || ask->body_bytes == 0) {
        wr_aws_sha256(store->signer, ask->body != NULL ? ask->body : "", ask->body_bytes, hash);
    }
    wr_aws_date(wr_clock_now().wall_us, date);
    for (uint32_t i = 0; i < ask->header_count; i++) {
        headers[count++] = ask->headers[i];
    }
    headers[count++] = (struct wr_aws_pair){"x-amz-content-sha256", hash};
    headers[count++] = (struct wr_aws_pair){"x-amz-date", date};
    if (store->credentials.session_token != NULL) {
        headers[count++] =
            (struct wr_aws_pair){"x-amz-security-token", store->credentials.session_token};
    }
    for (uint32_t i = 0; i < count; i++) {
        wr_http_call_header(call, headers[i].name, headers[i].value);
    }
    headers[count++] = (struct wr_aws_pair){"host", store->host}; /* curl sends it from the URL */
    const struct wr_aws_request request = {.method = ask->method,
                                           .path = wr_buf_cstr(&path),
                                           .query = ask->query,
                                           .query_count = ask->query_count,
                                           .headers = headers,
                                           .header_count = count,
                                           .payload_hash = hash};
    wr_aws_sign(store->signer, &store->credentials, &request, date, &authorization);
    wr_http_call_header(call, "Authorization", wr_buf_cstr(&authorization));
    wr_buf_deinit(&path);
    wr_buf_deinit(&authorization);
}

static bool worth_retrying(const struct s3_ask *ask, const struct wr_http_call *call)
{
    static const char *const codes[] = {"SlowDown",           "InternalError",    "RequestTimeout",
                                        "ServiceUnavailable", "OperationAborted", "IncompleteBody",
                                        "ThrottlingException"};
    char code[64];
    if (call->status == 0) {
        return call->may_retry;
    }
    if (wr_retry_status(call->status) || (call->status == 409 && ask->conflict_retries)) {
        return true;
    }
    error_code(call, code);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (strcmp(code, codes[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool wr_s3_again(struct s3_store *store, struct wr_retry *retry, const struct s3_ask *ask,
                 const struct wr_http_call *call, bool *open_outcome, uint32_t *wait_ms)
{
    char code[64];
    *wait_ms = 0;
    if (!worth_retrying(ask, call)) {
        return false;
    }
    /* A server that refuses to begin (409, 429, SlowDown) has not acted; one that breaks in between
     * may have. */
    *open_outcome =
        *open_outcome || call->status == 0 || call->status == 200 || call->status >= 500;
    if (!wr_retry_next(retry, wr_http_call_retry_after_ms(call), wait_ms)) {
        return false;
    }
    error_code(call, code);
    if (call->status != 0) {
        wr_log_debug("s3", "%s %s%s: %d %.40s; again in %u ms", ask->method, store->url,
                     ask->key != NULL ? " (object)" : "", call->status, code, *wait_ms);
    } else {
        wr_log_debug("s3", "%s %s: %s; again in %u ms", ask->method, store->url, call->problem,
                     *wait_ms);
    }
    return true;
}

bool wr_s3_ask(struct s3_store *store, const struct s3_ask *ask)
{
    struct wr_retry retry = store->retry;
    bool open_outcome = false;
    store->retry.rand.s[0] = wr_rand_next(&retry.rand); /* the next operation's jitter differs */
    if (store->opening && retry.attempts_max > 3) {
        retry.attempts_max = 3; /* the user waits for an answer */
    }
    for (;;) {
        wr_s3_sign(store, ask, &store->call);
        wr_http_perform(store->client, &store->call);
        uint32_t wait_ms;
        if (!wr_s3_again(store, &retry, ask, &store->call, &open_outcome, &wait_ms)) {
            return open_outcome;
        }
        wr_clock_sleep_ms(wait_ms);
    }
}

void wr_s3_put_id(struct s3_store *store, char id[WR_S3_PUT_ID_BYTES])
{
    (void)store;
    snprintf(id, WR_S3_PUT_ID_BYTES, "%016lx%016lx", wr_rand_entropy(), wr_rand_entropy());
}

wr_status wr_s3_whose(struct s3_store *store, const char *key, const char *id, struct wr_error *err)
{
    const struct s3_ask ask = {.method = "HEAD", .key = key};
    (void)wr_s3_ask(store, &ask);
    if (store->call.status == 404) {
        return WR_AGAIN;
    }
    if (store->call.status != 200) {
        return wr_s3_fail(store, &ask, &store->call, "read back", err);
    }
    return wr_slice_is(wr_http_call_answer(&store->call, WR_S3_PUT_ID), id) ? WR_OK : WR_END;
}

/* --- errors
 * --------------------------------------------------------------------------------------- */

struct refusal {
    const char *code; /* S3's */
    const char *what;
    const char *hint;
};

static const struct refusal refusals[] = {
    {"NoSuchBucket", "there is no such bucket",
     "create the bucket, or correct its name in the URL"},
    {"InvalidBucketName", "S3 does not take this bucket name",
     "bucket names have 3 to 63 lower-case letters, digits, - and ."},
    {"InvalidAccessKeyId", "the server does not know the access key",
     "check the access key and that it belongs to this endpoint"},
    {"SignatureDoesNotMatch", "the secret key is wrong",
     "check AWS_SECRET_ACCESS_KEY (or option secret_access_key): it does not belong to the access "
     "key"},
    {"AccessDenied", "access denied",
     "the key needs s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject, s3:DeleteObject "
     "and s3:AbortMultipartUpload on its objects"},
    {"RequestTimeTooSkewed", "this machine's clock differs too much from the server's",
     "set the clock (timedatectl set-ntp true): signatures are good for 15 minutes"},
    {"ExpiredToken", "the session token has expired", "fetch fresh credentials"},
    {"InvalidToken", "the session token is not accepted",
     "check AWS_SESSION_TOKEN, or unset it when the keys are long-lived ones"},
    {"PermanentRedirect", "the bucket is in another region",
     "set option region (or AWS_REGION) to the bucket's region"},
    {"TemporaryRedirect", "the bucket is in another region",
     "set option region (or AWS_REGION) to the bucket's region"},
    {"AuthorizationHeaderMalformed", "the server is in another region, or wants other signatures",
     "set option region (or AWS_REGION) to the bucket's region"},
    {"EntityTooSmall", "a part of the upload is too small for this server",
     "raise option part_size"},
    {"EntityTooLarge", "a part of the upload is too large for this server",
     "lower option part_size"},
    {NULL, NULL, NULL},
};

static const struct refusal *find_refusal(const struct wr_http_call *call, const char *code)
{
    for (const struct refusal *row = refusals; row->code != NULL; row++) {
        if (strcmp(row->code, code) == 0) {
            return row;
        }
    }
    if (call->status == 301 || call->status == 307) {
        return find_refusal(&(struct wr_http_call){.status = 0}, "PermanentRedirect");
    }
    if (call->status == 403) {
        return find_refusal(&(struct wr_http_call){.status = 0}, "AccessDenied");
    }
    return NULL;
}

/* What the server said goes into err->detail: printable, short, and never a token of ours that it
 * echoes. */
static void tell_detail(struct s3_store *store, const struct s3_ask *ask,
                        const struct wr_http_call *call, const char *code, struct wr_error *err)
{
    struct wr_buf text = {0};
    (void)wr_s3_xml_text(body_of(call), "Message", &text);
    const char *message = wr_buf_cstr(&text);
    if ((store->credentials.session_token != NULL &&
         strstr(message, store->credentials.session_token) != NULL) ||
        strstr(message, store->credentials.secret_key) != NULL) {
        text.bytes = 0;
        message = wr_buf_cstr(&text);
    }
    for (size_t i = 0; i < text.bytes; i++) {
        if ((unsigned char)text.data[i] < ' ') {
            text.data[i] = ' ';
        }
    }
    wr_error_detail(err, "%s %s%s/%s%s answered %d %.60s%s%.200s", ask->method, store->origin,
                    store->path_root, ask->key != NULL ? store->prefix : "",
                    ask->key != NULL ? ask->key : "", call->status, code,
                    message[0] != '\0' ? ": " : "", message);
    wr_buf_deinit(&text);
}

static wr_status nobody_answers(struct s3_store *store, const struct wr_http_call *call,
                                const char *doing, struct wr_error *err)
{
    (void)wr_fail(err,
                  call->may_retry  ? WR_CLASS_RETRY
                  : store->opening ? WR_CLASS_USER
                                   : WR_CLASS_FATAL,
                  "%s: cannot %s: no answer from %s", store->url, doing, store->origin);
    wr_error_detail(err, "%s", call->problem);
    wr_error_hint(err, "check that the endpoint is right and reachable from here: curl -v %s",
                  store->origin);
    return WR_FAIL;
}

/* A server that knows the right region says so, in a header or in its <Error>. */
static void tell_hint(const struct s3_store *store, const struct wr_http_call *call,
                      const char *hint, struct wr_error *err)
{
    struct wr_slice region = wr_http_call_answer(call, "x-amz-bucket-region");
    struct wr_slice rest = body_of(call);
    if (region.bytes == 0 && !wr_s3_xml_next(&rest, "Region", &region)) {
        region.bytes = 0;
    }
    bool plain = region.bytes > 0 && region.bytes < 40;
    for (size_t i = 0; plain && i < region.bytes; i++) {
        plain = region.data[i] > ' ' && region.data[i] <= 'z' && region.data[i] != '<';
    }
    if (strstr(hint, "AWS_REGION") != NULL && plain) {
        wr_error_hint(err, "set option region = '%.*s' (or AWS_REGION); it is '%s' now",
                      WR_SLICE_ARG(region), store->region);
    } else {
        wr_error_hint(err, "%s (keys come from %s)", hint, store->credentials.source);
    }
}

wr_status wr_s3_fail(struct s3_store *store, const struct s3_ask *ask,
                     const struct wr_http_call *call, const char *doing, struct wr_error *err)
{
    char code[64];
    if (call->status == 0) {
        return nobody_answers(store, call, doing, err);
    }
    error_code(call, code);
    const struct refusal *row = find_refusal(call, code);
    const enum wr_error_class cls = worth_retrying(ask, call) ? WR_CLASS_RETRY
                                    : store->opening          ? WR_CLASS_USER
                                                              : WR_CLASS_FATAL;
    if (row != NULL) {
        (void)wr_fail(err, cls, "%s: cannot %s: %s", store->url, doing, row->what);
        tell_detail(store, ask, call, code, err);
        tell_hint(store, call, row->hint, err);
        return WR_FAIL;
    }
    (void)wr_fail(err, cls, "%s: cannot %s: the server answered %d %.60s", store->url, doing,
                  call->status, code);
    tell_detail(store, ask, call, code, err);
    wr_error_hint(
        err, cls == WR_CLASS_RETRY
                 ? "the server is overloaded or failing; max_retries says how often weir asks again"
                 : "look the code up in the server's documentation or log");
    return WR_FAIL;
}
