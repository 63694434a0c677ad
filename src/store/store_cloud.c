/* store_cloud.c: see store_cloud.h. */
#include "store/store_cloud.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* --- URL and options -------------------------------------------------------------------------- */

const char *wr_cloud_option(const struct wr_options *options, const char *name)
{
    const char *text = options != NULL ? wr_options_text(options, name) : NULL;
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static int64_t option_int(const struct wr_options *options, const char *name, int64_t otherwise)
{
    return options != NULL && wr_options_has(options, name) ? wr_options_int(options, name)
                                                            : otherwise;
}

wr_status wr_cloud_prefix(const char *url, const char *path, char **prefix, struct wr_error *err)
{
    wr_ensure(strlen(path) < WR_CLOUD_KEY_BYTES_MAX / 2 && wr_utf8_valid(path, strlen(path)), err,
              WR_CLASS_USER, "%.200s: the prefix is too long, or is not UTF-8", url);
    while (*path == '/') {
        path++;
    }
    size_t bytes = strlen(path);
    while (bytes > 0 && path[bytes - 1] == '/') {
        bytes--;
    }
    if (prefix != NULL) {
        struct wr_buf text = {0};
        wr_buf_append(&text, path, bytes);
        wr_buf_text(&text, bytes > 0 ? "/" : "");
        *prefix = wr_strdup(wr_buf_cstr(&text));
        wr_buf_deinit(&text);
    }
    return WR_OK;
}

wr_status wr_cloud_endpoint(struct cloud_store *store, const char *endpoint, const char *what,
                            const char *hint, struct wr_error *err)
{
    const size_t scheme = strncmp(endpoint, "http://", 7) == 0    ? 7
                          : strncmp(endpoint, "https://", 8) == 0 ? 8
                                                                  : 0;
    bool bad = scheme == 0 || endpoint[scheme] == '\0' || endpoint[scheme] == '/';
    for (const char *c = endpoint; *c != '\0'; c++) {
        bad = bad || *c <= ' ' || *c > '~' || strchr("@?#\\\"<>", *c) != NULL;
    }
    if (bad) {
        (void)wr_fail(err, WR_CLASS_USER, "%s is not http://HOST:PORT or https://HOST:PORT", what);
        wr_error_hint(err, "%s", hint);
        return WR_FAIL;
    }
    if (store == NULL) {
        return WR_OK;
    }
    const char *path = strchrnul(endpoint + scheme, '/');
    size_t path_bytes = strlen(path);
    while (path_bytes > 0 && path[path_bytes - 1] == '/') {
        path_bytes--;
    }
    wr_assert(asprintf(&store->origin, "%.*s", (int)(path - endpoint), endpoint) > 0 &&
              asprintf(&store->path_root, "%.*s", (int)path_bytes, path) >= 0);
    return WR_OK;
}

wr_status wr_cloud_configure(struct cloud_store *store, const struct wr_options *options,
                             struct wr_error *err)
{
    const struct wr_http_settings settings = {
        .connect_timeout_ms = (uint32_t)(option_int(options, "connect_timeout", 5000000) / 1000),
        .timeout_ms = (uint32_t)(option_int(options, "request_timeout", 8000000) / 1000),
        .ca_file = wr_aws_environment("SSL_CERT_FILE", NULL),
    };
    store->piece_bytes = (uint64_t)option_int(options, "part_size", 8 << 20);
    wr_retry_init(&store->retry, (uint32_t)option_int(options, "max_retries", 8) + 1, 100, 2000,
                  wr_rand_entropy());
    return wr_http_client_create(&store->client, &settings, err);
}

void wr_cloud_close(struct wr_store *base)
{
    struct cloud_store *store = (struct cloud_store *)base;
    wr_http_client_destroy(store->client);
    wr_http_call_deinit(&store->call);
    wr_token_source_destroy(store->tokens);
    wr_token_wipe(&store->account_key);
    struct wr_buf sas = {.data = store->sas,
                         .capacity = store->sas != NULL ? strlen(store->sas) : 0};
    wr_token_wipe(&sas);
    free(store->url);
    free(store->bucket);
    free(store->prefix);
    free(store->origin);
    free(store->path_root);
    free(store->account);
    free(store);
}

wr_status wr_cloud_check_key(const struct cloud_store *store, const char *key, struct wr_error *err)
{
    const size_t bytes = strlen(key);
    wr_ensure(bytes > 0 && key[0] != '/' && key[bytes - 1] != '/', err, WR_CLASS_FATAL,
              "%s: an object has no name", store->url);
    wr_ensure(bytes + strlen(store->prefix) <= WR_CLOUD_KEY_BYTES_MAX, err, WR_CLASS_DATA,
              "%s: the key %.60s... is longer than the store's %d bytes", store->url, key,
              WR_CLOUD_KEY_BYTES_MAX);
    bool good = wr_utf8_valid(key, bytes);
    for (size_t i = 0; i < bytes && good; i++) {
        good = key[i] != '\r' && key[i] != '\n'; /* Google takes all but these */
    }
    wr_ensure(good, err, WR_CLASS_DATA, "%s: a key holds a line break or is not UTF-8",
              store->url);
    return WR_OK;
}

void wr_cloud_id(char id[WR_CLOUD_ID_BYTES])
{
    snprintf(id, WR_CLOUD_ID_BYTES, "%016lx%016lx", wr_rand_entropy(), wr_rand_entropy());
}

/* --- requests --------------------------------------------------------------------------------- */

wr_status wr_cloud_bearer(struct cloud_store *store, struct wr_http_call *call,
                          struct wr_error *err)
{
    const char *token;
    struct wr_buf value = {0};
    WR_TRY_IN(wr_token_get(store->tokens, &token, err), err, "%s", store->url);
    wr_buf_printf(&value, "Bearer %s", token);
    wr_http_call_header(call, "Authorization", wr_buf_cstr(&value));
    wr_token_wipe(&value);
    return WR_OK;
}

static bool worth_retrying(const struct wr_http_call *call)
{
    return call->status == 0 ? call->may_retry : wr_retry_status(call->status);
}

bool wr_cloud_again(struct cloud_store *store, struct wr_retry *retry,
                    const struct wr_http_call *call, bool *open_outcome)
{
    uint32_t wait_ms = 0;
    if (call->status == 401 && store->tokens != NULL && wr_token_refused(store->tokens)) {
        return true; /* it expired earlier than it said, or was revoked */
    }
    if (!worth_retrying(call)) {
        return false;
    }
    *open_outcome = *open_outcome || call->status == 0 || call->status >= 500;
    if (!wr_retry_next(retry, wr_http_call_retry_after_ms(call), &wait_ms)) {
        return false;
    }
    wr_log_debug(store->kind->name, "%s: %s %d %s; again in %u ms", store->url,
                 call->method != NULL ? call->method : "", call->status, call->problem, wait_ms);
    wr_clock_sleep_ms(wait_ms);
    return true;
}

bool wr_cloud_ask(struct cloud_store *store, const struct cloud_ask *ask)
{
    struct wr_retry retry = store->retry;
    bool open_outcome = false;
    store->retry.rand.s[0] = wr_rand_next(&retry.rand); /* the next operation's jitter differs */
    if (store->opening && retry.attempts_max > 3) {
        retry.attempts_max = 3; /* the user waits for an answer */
    }
    for (;;) {
        wr_http_call_clear(&store->call);
        store->is_unsigned =
            store->kind->sign(store, ask, &store->call, &store->unsigned_why) != WR_OK;
        if (store->is_unsigned) {
            store->call.may_retry = store->unsigned_why.cls == WR_CLASS_RETRY;
        } else {
            wr_http_perform(store->client, &store->call);
        }
        if (!wr_cloud_again(store, &retry, &store->call, &open_outcome)) {
            return open_outcome;
        }
    }
}

/* --- errors ----------------------------------------------------------------------------------- */

bool wr_cloud_is_error(const struct cloud_store *store, const struct wr_http_call *call,
                       const char *code)
{
    char found[64];
    struct wr_buf message = {0};
    store->kind->error_text(call, found, &message);
    wr_buf_deinit(&message);
    return strcmp(found, code) == 0;
}

static const struct cloud_refusal *find_refusal(const struct cloud_store *store, const char *code,
                                                int status)
{
    for (const struct cloud_refusal *row = store->kind->refusals; row->code != NULL; row++) {
        if (strcmp(row->code, code) == 0) {
            return row;
        }
    }
    return status == 403 || status == 401 ? find_refusal(store, store->kind->denied, 0) : NULL;
}

static wr_status nobody_answers(const struct cloud_store *store, const struct wr_http_call *call,
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

/* What the server said: printable, short. Azure's refusals of a signature echo what was signed,
 * in lines after the first: neither is the key, but neither is it for a user's eyes. */
static void tell_detail(const struct cloud_store *store, const struct cloud_ask *ask, int status,
                        const char *code, struct wr_buf *message, struct wr_error *err)
{
    for (size_t i = 0; i < message->bytes; i++) {
        if ((unsigned char)message->data[i] < ' ') {
            message->bytes = i;
        }
    }
    const char *text = wr_buf_cstr(message);
    if (store->sas != NULL && strstr(text, store->sas) != NULL) {
        text = "";
    }
    wr_error_detail(err, "%s %s%s/%s/%s%s answered %d %.60s%s%.200s", ask->method, store->origin,
                    store->path_root, store->bucket, ask->key != NULL ? store->prefix : "",
                    ask->key != NULL ? ask->key : "", status, code, text[0] != '\0' ? ": " : "",
                    text);
}

wr_status wr_cloud_fail(struct cloud_store *store, const struct cloud_ask *ask,
                        const struct wr_http_call *call, const char *doing, struct wr_error *err)
{
    char code[64];
    struct wr_buf message = {0};
    if (call == &store->call && call->status == 0 && store->is_unsigned) {
        if (err != NULL) {
            *err = store->unsigned_why;
            err->cls = store->opening && err->cls == WR_CLASS_FATAL ? WR_CLASS_USER : err->cls;
        }
        return WR_FAIL;
    }
    if (call->status == 0) {
        return nobody_answers(store, call, doing, err);
    }
    store->kind->error_text(call, code, &message);
    const struct cloud_refusal *row = find_refusal(store, code, call->status);
    const enum wr_error_class cls = worth_retrying(call) ? WR_CLASS_RETRY
                                    : store->opening     ? WR_CLASS_USER
                                                         : WR_CLASS_FATAL;
    if (row != NULL) {
        (void)wr_fail(err, cls, "%s: cannot %s: %s", store->url, doing, row->what);
        wr_error_hint(err, "%s (credentials come from %s)", row->hint, store->credentials_from);
    } else {
        (void)wr_fail(err, cls, "%s: cannot %s: the server answered %d %.60s", store->url, doing,
                      call->status, code);
        wr_error_hint(err, cls == WR_CLASS_RETRY
                               ? "the server is overloaded or failing; max_retries says how often "
                                 "weir asks again"
                               : "look the code up in the service's documentation");
    }
    tell_detail(store, ask, call->status, code, &message, err);
    wr_buf_deinit(&message);
    return WR_FAIL;
}

/* --- small objects ---------------------------------------------------------------------------- */

wr_status wr_cloud_settle(struct cloud_store *store, const struct cloud_ask *ask, const char *key,
                          const char *id, bool lost, struct wr_error *err)
{
    /* The failure first, since reading back overwrites the answer that it tells of. Also without a
     * failure that we saw: libcurl repeats a request by itself when a kept connection breaks. */
    const wr_status failed = wr_cloud_fail(store, ask, &store->call, "put", err);
    const wr_status whose = store->kind->whose(store, key, id, lost ? err : NULL);
    return whose == WR_OK || whose == WR_END ? whose
           : whose == WR_AGAIN && lost       ? WR_END
                                             : failed;
}

wr_status wr_cloud_take_range(struct cloud_store *store, const struct cloud_ask *ask,
                              uint64_t offset, uint64_t asked, struct wr_buf *into,
                              struct wr_error *err)
{
    const struct wr_buf *answer = &store->call.response;
    switch (store->call.status) {
    case 206:
        wr_buf_append(into, answer->data, answer->bytes < asked ? answer->bytes : (size_t)asked);
        return WR_OK;
    case 200: { /* a server that knows no ranges sends all of it */
        const size_t from = offset < answer->bytes ? (size_t)offset : answer->bytes;
        const size_t left = answer->bytes - from;
        wr_buf_append(into, answer->data + from, left < asked ? left : (size_t)asked);
        return WR_OK;
    }
    case 416:
        return WR_OK; /* the object ends before offset */
    default:
        return wr_cloud_fail(store, ask, &store->call, "get a part of an object", err);
    }
}
