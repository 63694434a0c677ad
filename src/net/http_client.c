/* http_client.c: see http_client.h. One curl_multi handle per client; finished calls wait in a list
 * until they are asked for, so that a blocking call in between does not lose the others' outcomes.
 */
#include "net/http_client.h"

#include "base/assert.h"
#include "net/retry.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define IDLE_HANDLES_MAX 24 /* as many as a store has under way */
/* A server's headers; more is nobody's honest answer. */
#define HEADER_BYTES_MAX       (64u << 10)
#define RESPONSE_BYTES_DEFAULT (1u << 20)
/* The slowest upload worth waiting for: a part of 8 MiB gets 128 s beyond the usual time. */
#define SLOWEST_BYTES_PER_MS 64

struct wr_http_client {
    CURLM *multi;
    uint32_t connect_timeout_ms;
    uint32_t timeout_ms;
    char *ca_file;
    CURL *idle[IDLE_HANDLES_MAX];
    uint32_t idle_count;
    uint32_t under_way;
    bool distrust; /* a request got no answer in time: kept connections may be as dead as its own */
    struct wr_http_call *calls; /* begun and not yet handed out, oldest first */
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;

static void init_curl(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

wr_status wr_http_client_create(struct wr_http_client **into,
                                const struct wr_http_settings *settings, struct wr_error *err)
{
    *into = NULL;
    pthread_once(&curl_once, init_curl);
    wr_ensure(curl_ready == CURLE_OK, err, WR_CLASS_FATAL, "libcurl does not start: %s",
              curl_easy_strerror(curl_ready));
    struct wr_http_client *client = calloc(1, sizeof(*client));
    wr_ensure(client != NULL, err, WR_CLASS_FATAL, "out of memory for an HTTP client");
    client->connect_timeout_ms =
        settings->connect_timeout_ms != 0 ? settings->connect_timeout_ms : 5000;
    client->timeout_ms = settings->timeout_ms != 0 ? settings->timeout_ms : 30000;
    client->ca_file = settings->ca_file != NULL ? strdup(settings->ca_file) : NULL;
    client->multi = curl_multi_init();
    if (client->multi == NULL) {
        wr_http_client_destroy(client);
        return wr_fail(err, WR_CLASS_FATAL, "out of memory for an HTTP client");
    }
    (void)curl_multi_setopt(client->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    (void)curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_HANDLES_MAX);
    *into = client;
    return WR_OK;
}

void wr_http_client_destroy(struct wr_http_client *client)
{
    if (client == NULL) {
        return;
    }
    while (client->calls != NULL) {
        wr_http_cancel(client, client->calls);
    }
    for (uint32_t i = 0; i < client->idle_count; i++) {
        curl_easy_cleanup(client->idle[i]);
    }
    curl_multi_cleanup(client->multi);
    free(client->ca_file);
    free(client);
}

/* --- a call --------------------------------------------------------------------------------------
 */

void wr_http_call_header(struct wr_http_call *call, const char *name, const char *value)
{
    struct wr_buf line = {0};
    wr_assert(strpbrk(name, "\r\n:") == NULL && strpbrk(value, "\r\n") == NULL);
    /* curl drops a header "Name:" and sends "Name;" as an empty one. */
    wr_buf_printf(&line, value[0] != '\0' ? "%s: %s" : "%s;", name, value);
    struct curl_slist *longer = curl_slist_append(call->request_headers, wr_buf_cstr(&line));
    wr_assert(longer != NULL);
    call->request_headers = longer;
    wr_buf_deinit(&line);
}

struct wr_slice wr_http_call_answer(const struct wr_http_call *call, const char *name)
{
    const struct wr_slice wanted = wr_slice_of(name);
    const char *at = call->response_headers.data;
    const char *end = at != NULL ? at + call->response_headers.bytes : NULL;
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        line_end = line_end != NULL ? line_end : end;
        const char *colon = memchr(at, ':', (size_t)(line_end - at));
        if (colon != NULL &&
            wr_slice_equal_nocase((struct wr_slice){at, (size_t)(colon - at)}, wanted)) {
            const char *value = colon + 1, *value_end = line_end;
            while (value < value_end && (*value == ' ' || *value == '\t')) {
                value++;
            }
            while (value_end > value &&
                   (value_end[-1] == ' ' || value_end[-1] == '\r' || value_end[-1] == '\t')) {
                value_end--;
            }
            return (struct wr_slice){value, (size_t)(value_end - value)};
        }
        at = line_end < end ? line_end + 1 : end;
    }
    return (struct wr_slice){"", 0};
}

uint32_t wr_http_call_retry_after_ms(const struct wr_http_call *call)
{
    const struct wr_slice value = wr_http_call_answer(call, "Retry-After");
    uint32_t seconds = 0;
    for (size_t i = 0; i < value.bytes && i < 4 && value.data[i] >= '0' && value.data[i] <= '9';
         i++) {
        seconds = seconds * 10 + (uint32_t)(value.data[i] - '0');
    }
    return seconds * 1000;
}

bool wr_http_call_last_modified(const struct wr_http_call *call, int64_t *ms)
{
    const struct wr_slice date = wr_http_call_answer(call, "Last-Modified");
    char text[40];
    struct tm tm = {0};
    snprintf(text, sizeof(text), "%.*s", WR_SLICE_ARG(date));
    if (strptime(text, "%a, %d %b %Y %H:%M:%S", &tm) == NULL) {
        return false;
    }
    *ms = (int64_t)timegm(&tm) * 1000;
    return true;
}

static void clear_answer(struct wr_http_call *call)
{
    call->status = 0;
    call->response.bytes = 0;
    call->response_headers.bytes = 0;
    call->problem[0] = '\0';
    call->may_retry = call->done = call->too_large = call->stopped = false;
}

void wr_http_call_clear(struct wr_http_call *call)
{
    wr_assert(call->handle == NULL);
    curl_slist_free_all(call->request_headers);
    call->request_headers = NULL;
    call->method = NULL;
    call->url.bytes = 0;
    call->body = NULL;
    call->body_bytes = 0;
    call->timeout_ms = 0;
    call->response_bytes_max = 0;
    call->on_data = NULL;
    call->http2 = false;
    clear_answer(call);
}

void wr_http_call_deinit(struct wr_http_call *call)
{
    wr_http_call_clear(call);
    wr_buf_deinit(&call->url);
    wr_buf_deinit(&call->response);
    wr_buf_deinit(&call->response_headers);
}

static size_t stream(struct wr_http_call *call, const char *data, size_t bytes)
{
    switch (call->on_data(call, data, bytes)) {
    case WR_HTTP_TAKEN: return bytes;
    case WR_HTTP_NOT_NOW: return CURL_WRITEFUNC_PAUSE;
    case WR_HTTP_STOP: break;
    }
    call->stopped = true;
    return CURL_WRITEFUNC_ERROR;
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct wr_http_call *call = ctx;
    long status = 0;
    if (call->on_data != NULL &&
        curl_easy_getinfo(call->handle, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK &&
        status >= 200 && status < 300) {
        return stream(call, data, size * count);
    }
    const size_t max =
        call->response_bytes_max != 0 ? call->response_bytes_max : RESPONSE_BYTES_DEFAULT;
    const size_t bytes = size * count;
    if (bytes > max - call->response.bytes) {
        call->too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    wr_buf_append(&call->response, data, bytes);
    return bytes;
}

static size_t on_header(char *data, size_t size, size_t count, void *ctx)
{
    struct wr_http_call *call = ctx;
    const size_t bytes = size * count;
    if (bytes >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        call->response_headers.bytes = 0; /* what came before belonged to an interim answer */
    }
    if (bytes > HEADER_BYTES_MAX - call->response_headers.bytes) {
        call->too_large = true;
        return 0;
    }
    wr_buf_append(&call->response_headers, data, bytes);
    return bytes;
}

/* --- under way -----------------------------------------------------------------------------------
 */

static void set_request(CURL *handle, const struct wr_http_client *client,
                        struct wr_http_call *call)
{
    const bool has_body = strcmp(call->method, "PUT") == 0 || strcmp(call->method, "POST") == 0;
    const uint64_t timeout_ms = call->timeout_ms != 0
                                    ? call->timeout_ms
                                    : client->timeout_ms + call->body_bytes / SLOWEST_BYTES_PER_MS +
                                          call->response_bytes_max / SLOWEST_BYTES_PER_MS;
    const long stall_s = (long)(client->timeout_ms + 999) / 1000;
    (void)curl_easy_setopt(handle, CURLOPT_URL, wr_buf_cstr(&call->url));
    (void)curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L); /* a key may hold /../ */
    if (strcmp(call->method, "HEAD") == 0) {
        (void)curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
    } else if (has_body) {
        /* From memory, which curl can send again by itself on a kept connection that turns out to
         * be dead. */
        (void)curl_easy_setopt(handle, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_bytes);
        (void)curl_easy_setopt(handle, CURLOPT_POSTFIELDS, call->body_bytes > 0 ? call->body : "");
    }
    if (strcmp(call->method, "GET") != 0 && strcmp(call->method, "HEAD") != 0) {
        (void)curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, call->method);
    }
    (void)curl_easy_setopt(handle, CURLOPT_HTTPHEADER, call->request_headers);
    (void)curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS,
                           (long)(timeout_ms < 3600000 ? timeout_ms : 3600000));
    (void)curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, stall_s);
}

static void set_handle(CURL *handle, const struct wr_http_client *client, struct wr_http_call *call)
{
    curl_easy_reset(
        handle); /* keeps nothing of the last request; connections live in the multi handle */
    (void)curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    /* libcurl 7.88 spins on large HTTP/2 uploads (curl #10618), and object stores speak 1.1 best
     * anyway. */
    (void)curl_easy_setopt(handle, CURLOPT_HTTP_VERSION,
                           (long)(call->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
    (void)curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L); /* (2) */
    (void)curl_easy_setopt(handle, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)curl_easy_setopt(handle, CURLOPT_CA_CACHE_TIMEOUT, 3600L);
    (void)curl_easy_setopt(handle, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
    (void)curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, 256L << 10);
    (void)curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, (long)client->connect_timeout_ms);
    (void)curl_easy_setopt(handle, CURLOPT_FRESH_CONNECT, client->distrust ? 1L : 0L);
    (void)curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, call->problem);
    (void)curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(handle, CURLOPT_WRITEDATA, call);
    (void)curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(handle, CURLOPT_HEADERDATA, call);
    (void)curl_easy_setopt(handle, CURLOPT_PRIVATE, call);
    if (client->ca_file != NULL) {
        (void)curl_easy_setopt(handle, CURLOPT_CAINFO, client->ca_file);
    }
    set_request(handle, client, call);
}

static void give_back(struct wr_http_client *client, CURL *handle)
{
    (void)curl_multi_remove_handle(client->multi, handle);
    if (client->idle_count < IDLE_HANDLES_MAX) {
        client->idle[client->idle_count++] = handle;
    } else {
        curl_easy_cleanup(handle);
    }
}

void wr_http_begin(struct wr_http_client *client, struct wr_http_call *call)
{
    wr_assert(call->handle == NULL && call->method != NULL);
    static const char *const ours[] = {"Expect:", "Accept:", "Content-Type:", "User-Agent: weir"};
    clear_answer(call);
    /* curl would send these by itself; one that the caller has set stays. */
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        const size_t name_bytes = (size_t)(strchr(ours[i], ':') - ours[i]) + 1;
        bool given = false;
        for (const struct curl_slist *at = call->request_headers; at != NULL; at = at->next) {
            given = given || strncasecmp(at->data, ours[i], name_bytes) == 0;
        }
        struct curl_slist *longer =
            given ? call->request_headers : curl_slist_append(call->request_headers, ours[i]);
        wr_assert(longer != NULL);
        call->request_headers = longer;
    }
    CURL *handle = client->idle_count > 0 ? client->idle[--client->idle_count] : curl_easy_init();
    wr_assert(handle != NULL);
    set_handle(handle, client, call);
    call->handle = handle;
    call->next = NULL;
    struct wr_http_call **last = &client->calls;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = call;
    client->under_way++;
    wr_assert(curl_multi_add_handle(client->multi, handle) == CURLM_OK);
}

static void finish(struct wr_http_client *client, CURL *handle, CURLcode code)
{
    struct wr_http_call *call = NULL;
    long status = 0;
    (void)curl_easy_getinfo(handle, CURLINFO_PRIVATE, (char **)&call);
    (void)curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    wr_assert(call != NULL && call->handle == handle && !call->done);
    if (code == CURLE_OK) {
        call->status = (int)status;
        client->distrust = false;
    } else if (call->too_large) {
        snprintf(call->problem, sizeof(call->problem),
                 "the answer is larger than anything expected here");
    } else if (call->stopped) {
        snprintf(call->problem, sizeof(call->problem), "the answer was not understood");
    } else {
        call->may_retry = wr_retry_curl((int)code);
        client->distrust = client->distrust || code == CURLE_OPERATION_TIMEDOUT;
        if (call->problem[0] == '\0') {
            snprintf(call->problem, sizeof(call->problem), "%s", curl_easy_strerror(code));
        }
    }
    call->done = true;
    call->handle = NULL;
    client->under_way--;
    give_back(client, handle);
}

void wr_http_turn(struct wr_http_client *client)
{
    int running = 0, left = 0;
    CURLMsg *message;
    (void)curl_multi_perform(client->multi, &running);
    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            finish(client, message->easy_handle, message->data.result);
        }
    }
}

static void unlink_call(struct wr_http_client *client, struct wr_http_call *call)
{
    struct wr_http_call **at = &client->calls;
    while (*at != call) {
        wr_assert(*at != NULL);
        at = &(*at)->next;
    }
    *at = call->next;
    call->next = NULL;
}

static void turn_and_wait(struct wr_http_client *client)
{
    const uint32_t before = client->under_way;
    wr_http_turn(client);
    if (client->under_way == before) {
        (void)curl_multi_poll(client->multi, NULL, 0, 1000, NULL);
    }
}

/* Unlinks and returns a call that is done, or NULL. (1) */
static struct wr_http_call *take_done(struct wr_http_client *client)
{
    for (struct wr_http_call *call = client->calls; call != NULL; call = call->next) {
        if (call->done) {
            unlink_call(client, call);
            return call;
        }
    }
    return NULL;
}

struct wr_http_call *wr_http_wait_any(struct wr_http_client *client)
{
    while (client->calls != NULL) {
        struct wr_http_call *call = take_done(client);
        if (call != NULL) {
            return call;
        }
        turn_and_wait(client);
    }
    return NULL;
}

struct wr_http_call *wr_http_wait_for(struct wr_http_client *client, uint32_t ms)
{
    struct wr_http_call *call = take_done(client);
    if (call == NULL) {
        wr_http_turn(client);
        call = take_done(client);
    }
    if (call == NULL) {
        (void)curl_multi_poll(client->multi, NULL, 0, (int)(ms < 60000 ? ms : 60000), NULL);
        wr_http_turn(client);
        call = take_done(client);
    }
    return call;
}

void wr_http_wake(struct wr_http_client *client)
{
    (void)curl_multi_wakeup(client->multi);
}

void wr_http_resume(struct wr_http_client *client, struct wr_http_call *call)
{
    if (call->handle != NULL) {
        (void)curl_easy_pause(call->handle, CURLPAUSE_CONT);
    }
}

void wr_http_cancel(struct wr_http_client *client, struct wr_http_call *call)
{
    if (call->handle != NULL) {
        give_back(client, call->handle);
        call->handle = NULL;
        client->under_way--;
    }
    unlink_call(client, call);
    snprintf(call->problem, sizeof(call->problem), "cancelled");
}

void wr_http_perform(struct wr_http_client *client, struct wr_http_call *call)
{
    wr_http_begin(client, call);
    while (!call->done) {
        turn_and_wait(client);
    }
    unlink_call(client, call); /* (1) */
}
