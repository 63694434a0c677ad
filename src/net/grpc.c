/* grpc.c: see grpc.h.
 *
 * A call is an easy handle with a POST whose body is read from `out`. When there is nothing to send the read function pauses,
 * and wr_grpc_send asks for it to be continued. libcurl is not to be continued from inside its callbacks, so wishes are noted
 * and carried out at the start of a turn.
 * The trap of half-closed streams: when the server ends a stream while our side is paused, libcurl (7.88) never says that the
 * transfer is over. So the trailers' grpc-status ends our side too. A stream that the server ends before any message (its headers are
 * the trailers) is worse: libcurl reads them, tells nobody, and only stops to watch the socket. That is looked for every LOOK_NS.
 */
#include "net/grpc.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/heap.h"

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>

#define FRAME_HEAD 5u
#define HEADER_BYTES_MAX (64u << 10)
#define KEPT_CONNECTIONS 32L
#define LOOK_NS (250 * WR_NS_PER_MS)

struct grpc_state {
    struct wr_grpc_call *call;
    struct wr_grpc_channel *channel;
    struct grpc_state *next;
    CURL *easy;
    struct curl_slist *headers;
    struct wr_buf out; /* frames; [sent, bytes) has not left yet */
    size_t sent;
    bool half_closed;
    bool send_paused;
    bool held;        /* wished */
    bool recv_paused; /* so it is */
    bool go_on;       /* libcurl is to look again */
    bool over;        /* outcome is known, done() is due */
    int sockets[8];   /* of a stream: that it may have; see find_ended */
    uint32_t socket_count;
    /* What comes. */
    uint8_t head[FRAME_HEAD];
    uint32_t head_bytes;
    char *frame;
    size_t frame_bytes, frame_length;
    size_t header_bytes;
    long http_status;
    bool has_status;
    bool had_token;
    bool broken; /* the server's frames make no sense; text says why */
    char problem[CURL_ERROR_SIZE];
};

struct wr_grpc_channel {
    CURLM *multi;
    char *url;
    char *ca_file;
    bool plain;
    bool safe; /* a token may be sent there */
    long connect_timeout_ms;
    struct wr_token_source *tokens;
    struct grpc_state *states;
    int64_t looked_ns; /* for streams that have ended */
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;

static void init_curl(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

wr_status wr_grpc_channel_create(struct wr_grpc_channel **into, const struct wr_grpc_settings *settings, struct wr_error *err)
{
    *into = NULL;
    pthread_once(&curl_once, init_curl);
    wr_ensure(curl_ready == CURLE_OK, err, WR_CLASS_FATAL, "libcurl does not start: %s", curl_easy_strerror(curl_ready));
    wr_ensure((curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_HTTP2) != 0, err, WR_CLASS_FATAL,
              "this libcurl was built without HTTP/2, which gRPC needs");
    struct wr_grpc_channel *channel = wr_calloc(1, sizeof *channel);
    channel->url = wr_strdup(settings->url);
    channel->plain = strncmp(settings->url, "http://", 7) == 0;
    channel->safe = wr_token_is_safe(settings->url);
    channel->ca_file = settings->ca_file != NULL ? wr_strdup(settings->ca_file) : NULL;
    channel->connect_timeout_ms = settings->connect_timeout_ms != 0 ? (long)settings->connect_timeout_ms : 10000;
    channel->tokens = settings->tokens;
    channel->multi = curl_multi_init();
    wr_assert(channel->multi != NULL);
    (void)curl_multi_setopt(channel->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    (void)curl_multi_setopt(channel->multi, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
    *into = channel;
    return WR_OK;
}

static void drop_state(struct grpc_state *state)
{
    struct wr_grpc_channel *channel = state->channel;
    struct grpc_state **at = &channel->states;
    while (*at != state) {
        at = &(*at)->next;
    }
    *at = state->next;
    if (state->easy != NULL) {
        (void)curl_multi_remove_handle(channel->multi, state->easy);
        curl_easy_cleanup(state->easy);
    }
    for (struct curl_slist *h = state->headers; h != NULL; h = h->next) {
        OPENSSL_cleanse(h->data, strlen(h->data)); /* one of them is a token */
    }
    curl_slist_free_all(state->headers);
    wr_buf_deinit(&state->out);
    free(state->frame);
    state->call->state = NULL;
    free(state);
}

void wr_grpc_channel_destroy(struct wr_grpc_channel *channel)
{
    if (channel == NULL) {
        return;
    }
    while (channel->states != NULL) {
        drop_state(channel->states);
    }
    curl_multi_cleanup(channel->multi);
    free(channel->ca_file);
    free(channel->url);
    free(channel);
}

/* ---- words of the protocol ---- */

const char *wr_grpc_code_name(int code)
{
    static const char *const names[] = { "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
                                         "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
                                         "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
                                         "UNAUTHENTICATED" };
    return code >= 0 && code < (int)(sizeof names / sizeof *names) ? names[code] : "an unknown code";
}

static bool is_retriable(int code)
{
    return code == WR_GRPC_DEADLINE_EXCEEDED || code == WR_GRPC_RESOURCE_EXHAUSTED || code == WR_GRPC_ABORTED ||
           code == WR_GRPC_INTERNAL || code == WR_GRPC_UNAVAILABLE || code == WR_GRPC_CANCELLED;
}

/* grpc/doc/http-grpc-status-mapping.md */
static int code_of_http(long status)
{
    switch (status) {
    case 400: return WR_GRPC_INTERNAL;
    case 401: return WR_GRPC_UNAUTHENTICATED;
    case 403: return WR_GRPC_PERMISSION_DENIED;
    case 404: return WR_GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504: return WR_GRPC_UNAVAILABLE;
    default: return WR_GRPC_UNKNOWN;
    }
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void wr_grpc_percent_decode(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; to++) {
        const int high = from[0] == '%' ? hex_digit(from[1]) : -1;
        const int low = high >= 0 ? hex_digit(from[2]) : -1;
        if (low >= 0) {
            *to = (char)(high << 4 | low);
            from += 3;
        } else {
            *to = *from++;
        }
        if (*to == '\0' || (unsigned char)*to < ' ') {
            *to = ' '; /* it goes into a message of ours */
        }
    }
    *to = '\0';
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

bool wr_grpc_base64_decode(struct wr_slice text, struct wr_buf *into)
{
    uint32_t bits = 0;
    uint32_t count = 0;
    while (text.bytes > 0 && text.data[text.bytes - 1] == '=') {
        text.bytes--;
    }
    for (size_t i = 0; i < text.bytes; i++) {
        const int digit = base64_digit(text.data[i]);
        if (digit < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)digit;
        if (++count % 4 != 1) {
            wr_buf_byte(into, (uint8_t)(bits >> (6 - 2 * ((count - 1) % 4))));
        }
    }
    return count % 4 != 1;
}

/* ---- libcurl's callbacks ---- */

static size_t fail_frame(struct grpc_state *state, int code, const char *text)
{
    state->broken = true;
    state->call->code = code;
    (void)snprintf(state->call->text, sizeof state->call->text, "%s", text);
    return CURL_WRITEFUNC_ERROR;
}

/* The head is complete: (3). */
static bool begin_frame(struct grpc_state *state)
{
    const size_t most = state->call->message_bytes_max != 0 ? state->call->message_bytes_max : WR_GRPC_MESSAGE_BYTES_MAX;
    state->frame_length = (size_t)state->head[1] << 24 | (size_t)state->head[2] << 16 | (size_t)state->head[3] << 8 |
                          (size_t)state->head[4];
    if (state->head[0] != 0) {
        (void)fail_frame(state, WR_GRPC_INTERNAL, "the server sent a compressed message, which was not asked for");
        return false;
    }
    if (state->frame_length > most) {
        char text[96];
        (void)snprintf(text, sizeof text, "the server's message has %zu bytes, more than %zu", state->frame_length, most);
        (void)fail_frame(state, WR_GRPC_RESOURCE_EXHAUSTED, text);
        return false;
    }
    state->frame = wr_malloc(state->frame_length + 1);
    state->frame_bytes = 0;
    return true;
}

static size_t take_body(char *data, size_t size, size_t count, void *ctx)
{
    struct grpc_state *state = ctx;
    const size_t bytes = size * count;
    if (state->held) {
        state->recv_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (state->http_status != 200) {
        return bytes; /* a page of somebody in between */
    }
    for (size_t at = 0; at < bytes || state->head_bytes == FRAME_HEAD;) {
        if (state->head_bytes < FRAME_HEAD) {
            state->head[state->head_bytes++] = (uint8_t)data[at++];
            if (state->head_bytes == FRAME_HEAD && !begin_frame(state)) {
                return CURL_WRITEFUNC_ERROR;
            }
            continue;
        }
        const size_t want = state->frame_length - state->frame_bytes;
        const size_t some = want < bytes - at ? want : bytes - at;
        memcpy(state->frame + state->frame_bytes, data + at, some);
        state->frame_bytes += some;
        at += some;
        if (state->frame_bytes < state->frame_length) {
            break;
        }
        char *frame = state->frame;
        state->frame = NULL;
        state->head_bytes = 0;
        state->call->message(state->call, frame, state->frame_length);
    }
    return bytes;
}

static bool header_is(struct wr_slice line, const char *name, struct wr_slice *value)
{
    const size_t bytes = strlen(name);
    if (line.bytes <= bytes || line.data[bytes] != ':' ||
        !wr_slice_equal_nocase((struct wr_slice){ line.data, bytes }, wr_slice_of(name))) {
        return false;
    }
    *value = (struct wr_slice){ line.data + bytes + 1, line.bytes - bytes - 1 };
    while (value->bytes > 0 && (value->data[0] == ' ' || value->data[0] == '\t')) {
        value->data++;
        value->bytes--;
    }
    while (value->bytes > 0 && (unsigned char)value->data[value->bytes - 1] <= ' ') {
        value->bytes--;
    }
    return true;
}

static void take_status(struct grpc_state *state, struct wr_slice value)
{
    int code = 0;
    for (size_t i = 0; i < value.bytes && i < 4; i++) {
        code = value.data[i] >= '0' && value.data[i] <= '9' ? code * 10 + value.data[i] - '0' : WR_GRPC_UNKNOWN;
    }
    state->call->code = value.bytes > 0 ? code : WR_GRPC_UNKNOWN;
    state->has_status = true;
    state->half_closed = true; /* the trap, see above */
    state->go_on = true;
}

static size_t take_header(char *data, size_t size, size_t count, void *ctx)
{
    struct grpc_state *state = ctx;
    const struct wr_slice line = { data, size * count };
    struct wr_slice value;
    state->header_bytes += line.bytes;
    if (state->header_bytes > HEADER_BYTES_MAX) {
        (void)fail_frame(state, WR_GRPC_INTERNAL, "the server's headers are too long");
        return 0;
    }
    if (line.bytes > 5 && memcmp(line.data, "HTTP/", 5) == 0) {
        (void)curl_easy_getinfo(state->easy, CURLINFO_RESPONSE_CODE, &state->http_status);
    } else if (header_is(line, "grpc-status", &value)) {
        take_status(state, value);
    } else if (header_is(line, "grpc-message", &value)) {
        (void)snprintf(state->call->text, sizeof state->call->text, "%.*s", WR_SLICE_ARG(value));
        wr_grpc_percent_decode(state->call->text);
    } else if (header_is(line, "grpc-status-details-bin", &value)) {
        state->call->details.bytes = 0;
        if (!wr_grpc_base64_decode(value, &state->call->details)) {
            state->call->details.bytes = 0;
        }
    }
    return line.bytes;
}

static size_t give_body(char *into, size_t size, size_t count, void *ctx)
{
    struct grpc_state *state = ctx;
    const size_t left = state->out.bytes - state->sent;
    const size_t some = left < size * count ? left : size * count;
    if (left == 0 && !state->half_closed) {
        state->send_paused = true;
        return CURL_READFUNC_PAUSE;
    }
    if (some > 0) {
        memcpy(into, state->out.data + state->sent, some);
    }
    state->sent += some;
    if (state->sent == state->out.bytes) {
        state->sent = state->out.bytes = 0;
    }
    return some;
}

/* libcurl tells a transfer's socket only when it is over. Several: addresses are tried side by side. */
static int note_socket(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
    struct grpc_state *state = ctx;
    if (fd >= 0 && state->socket_count < sizeof state->sockets / sizeof *state->sockets) {
        state->sockets[state->socket_count++] = fd;
    }
    return CURL_SOCKOPT_OK;
}

/* ---- calls ---- */

static void append_frame(struct wr_buf *out, const void *message, size_t bytes)
{
    wr_assert(bytes < UINT32_MAX);
    wr_buf_byte(out, 0);
    for (int shift = 24; shift >= 0; shift -= 8) {
        wr_buf_byte(out, (uint8_t)(bytes >> shift));
    }
    wr_buf_append(out, message, bytes);
}

static void add_header(struct grpc_state *state, const char *name, const char *value)
{
    struct wr_buf line = { 0 };
    wr_assert(strpbrk(value, "\r\n") == NULL);
    wr_buf_printf(&line, "%s:%s%s", name, value[0] != '\0' ? " " : "", value);
    struct curl_slist *longer = curl_slist_append(state->headers, wr_buf_cstr(&line));
    wr_assert(longer != NULL);
    state->headers = longer;
    wr_token_wipe(&line);
    wr_buf_deinit(&line);
}

static void set_headers(struct grpc_state *state, const char *token)
{
    const struct wr_grpc_call *call = state->call;
    char timeout[24];
    add_header(state, "content-type", "application/grpc");
    add_header(state, "te", "trailers");
    add_header(state, "grpc-accept-encoding", "identity");
    add_header(state, "Expect", "");
    add_header(state, "Accept", "");
    if (call->params != NULL) {
        add_header(state, "x-goog-request-params", call->params);
    }
    if (call->timeout_ms != 0) {
        (void)snprintf(timeout, sizeof timeout, "%um", call->timeout_ms);
        add_header(state, "grpc-timeout", timeout);
    }
    if (token != NULL) {
        struct wr_buf bearer = { 0 };
        wr_buf_printf(&bearer, "Bearer %s", token);
        add_header(state, "authorization", wr_buf_cstr(&bearer));
        wr_token_wipe(&bearer);
        wr_buf_deinit(&bearer);
    }
}

static void set_handle(struct grpc_state *state, bool stream)
{
    const struct wr_grpc_channel *channel = state->channel;
    CURL *easy = state->easy;
    struct wr_buf url = { 0 };
    wr_buf_printf(&url, "%s%s", channel->url, state->call->method);
    (void)curl_easy_setopt(easy, CURLOPT_URL, wr_buf_cstr(&url));
    wr_buf_deinit(&url);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                           (long)(channel->plain ? CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE : CURL_HTTP_VERSION_2TLS));
    /* libcurl 7.88 begins HTTP/2 anew on a kept connection without TLS, which ends it ("Error in the HTTP2 framing layer"). */
    (void)curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, channel->plain ? 1L : 0L);
    (void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 20L);
    (void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 10L);
    (void)curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 3600L);
    (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L << 10);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, channel->connect_timeout_ms);
    if (channel->ca_file != NULL) {
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, channel->ca_file);
    }
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, state->problem);
    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, state);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, state);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, state);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, state->headers);
    (void)curl_easy_setopt(easy, CURLOPT_POST, 1L);
    if (stream) {
        (void)curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, note_socket);
        (void)curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, state);
        (void)curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
        (void)curl_easy_setopt(easy, CURLOPT_READDATA, state);
    } else {
        /* From memory, which libcurl can send again by itself when a kept connection turns out to be dead. */
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)state->out.bytes);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, state->out.data);
    }
    if (state->call->timeout_ms != 0) {
        /* A second later than the server's own time-out, which says more. */
        (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)state->call->timeout_ms + 1000);
    }
}

static void fail_early(struct grpc_state *state, const struct wr_error *err)
{
    state->over = true;
    state->call->code = WR_GRPC_UNAUTHENTICATED;
    state->call->may_retry = err->cls == WR_CLASS_RETRY;
    (void)snprintf(state->call->text, sizeof state->call->text, "%.*s", (int)sizeof state->call->text - 1, err->message);
}

void wr_grpc_begin(struct wr_grpc_channel *channel, struct wr_grpc_call *call, const void *message, size_t bytes, bool stream)
{
    wr_assert(call->state == NULL);
    struct grpc_state *state = wr_calloc(1, sizeof *state);
    const char *token = NULL;
    struct wr_error err;
    call->state = state;
    call->code = WR_GRPC_UNKNOWN;
    call->text[0] = '\0';
    call->details.bytes = 0;
    call->may_retry = call->untrusted = false;
    state->call = call;
    state->channel = channel;
    state->next = channel->states;
    channel->states = state;
    append_frame(&state->out, message, bytes);
    if (channel->tokens != NULL && channel->safe) { /* (2) */
        if (wr_token_get(channel->tokens, &token, &err) != WR_OK) {
            fail_early(state, &err);
            return;
        }
    }
    state->had_token = token != NULL;
    state->easy = curl_easy_init();
    wr_assert(state->easy != NULL);
    set_headers(state, token);
    set_handle(state, stream);
    wr_assert(curl_multi_add_handle(channel->multi, state->easy) == CURLM_OK);
}

void wr_grpc_send(struct wr_grpc_call *call, const void *message, size_t bytes)
{
    struct grpc_state *state = call->state;
    if (state != NULL && !state->half_closed && !state->over) {
        append_frame(&state->out, message, bytes);
        state->go_on = true;
    }
}

size_t wr_grpc_unsent(const struct wr_grpc_call *call)
{
    const struct grpc_state *state = call->state;
    return state != NULL ? state->out.bytes - state->sent : 0;
}

void wr_grpc_half_close(struct wr_grpc_call *call)
{
    struct grpc_state *state = call->state;
    if (state != NULL) {
        state->half_closed = true;
        state->go_on = true;
    }
}

void wr_grpc_hold(struct wr_grpc_call *call, bool held)
{
    struct grpc_state *state = call->state;
    if (state != NULL && state->held != held) {
        state->held = held;
        state->go_on = state->go_on || !held;
    }
}

bool wr_grpc_is_under_way(const struct wr_grpc_call *call)
{
    return call->state != NULL;
}

void wr_grpc_cancel(struct wr_grpc_call *call)
{
    if (call->state != NULL) {
        drop_state(call->state);
    }
}

void wr_grpc_call_deinit(struct wr_grpc_call *call)
{
    wr_grpc_cancel(call);
    wr_buf_deinit(&call->details);
}

/* ---- outcomes ---- */

static void say(struct wr_grpc_call *call, int code, const char *text)
{
    call->code = code;
    (void)snprintf(call->text, sizeof call->text, "%s", text);
}

static void judge(struct grpc_state *state, CURLcode result)
{
    struct wr_grpc_call *call = state->call;
    const char *problem = state->problem[0] != '\0' ? state->problem : curl_easy_strerror(result);
    (void)curl_easy_getinfo(state->easy, CURLINFO_RESPONSE_CODE, &state->http_status);
    if (state->broken) {
        /* said */
    } else if (state->has_status && state->http_status == 200) {
        if (call->code == WR_GRPC_OK && (state->head_bytes != 0 || state->frame != NULL)) {
            say(call, WR_GRPC_INTERNAL, "the server ended in the middle of a message");
        }
    } else if (result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CACERT_BADFILE ||
               result == CURLE_SSL_ISSUER_ERROR) {
        call->untrusted = true;
        say(call, WR_GRPC_UNAVAILABLE, problem);
    } else if (result == CURLE_OPERATION_TIMEDOUT && call->timeout_ms != 0) {
        say(call, WR_GRPC_DEADLINE_EXCEEDED, problem);
    } else if (result != CURLE_OK) {
        say(call, WR_GRPC_UNAVAILABLE, problem);
    } else if (state->http_status != 200) {
        (void)snprintf(call->text, sizeof call->text, "the server answered HTTP status %ld, not gRPC", state->http_status);
        call->code = code_of_http(state->http_status);
    } else {
        say(call, WR_GRPC_UNAVAILABLE, "the server ended the call without saying how");
    }
    call->may_retry = is_retriable(call->code) && !call->untrusted && !state->broken;
    if (call->code == WR_GRPC_UNAUTHENTICATED && state->had_token) {
        call->may_retry = wr_token_refused(state->channel->tokens);
    }
    state->over = true;
}

static void carry_out_wishes(struct wr_grpc_channel *channel)
{
    for (struct grpc_state *state = channel->states; state != NULL; state = state->next) {
        const bool send = state->send_paused && (state->half_closed || state->out.bytes > state->sent);
        const bool receive = state->recv_paused && !state->held;
        if (!state->go_on || state->easy == NULL) {
            continue;
        }
        state->go_on = false;
        if (send || receive) {
            state->send_paused = state->send_paused && !send;
            state->recv_paused = state->recv_paused && !receive;
            (void)curl_easy_pause(state->easy, (state->recv_paused ? CURLPAUSE_RECV : 0) | (state->send_paused ? CURLPAUSE_SEND : 0));
        }
    }
}

/* A number beyond the set's is not known to be unwatched: what is sent next ends such a stream. */
static bool is_watched(const struct grpc_state *state, const fd_set *readable)
{
    for (uint32_t i = 0; i < state->socket_count; i++) {
        if (state->sockets[i] >= FD_SETSIZE || FD_ISSET(state->sockets[i], readable)) {
            return true;
        }
    }
    return state->socket_count == 0;
}

/* The second half of the trap: a paused stream whose socket is not watched for reading has been ended by the server. */
static void find_ended(struct wr_grpc_channel *channel)
{
    const int64_t now_ns = wr_clock_now().mono_ns;
    fd_set readable, writable, failed;
    int most = -1;
    if (now_ns - channel->looked_ns < LOOK_NS) {
        return;
    }
    channel->looked_ns = now_ns;
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    FD_ZERO(&failed);
    if (curl_multi_fdset(channel->multi, &readable, &writable, &failed, &most) != CURLM_OK) {
        return;
    }
    for (struct grpc_state *state = channel->states; state != NULL; state = state->next) {
        if (state->send_paused && !state->recv_paused && !state->half_closed && !is_watched(state, &readable)) {
            state->half_closed = true;
            state->go_on = true;
        }
    }
}

static void gather_outcomes(struct wr_grpc_channel *channel)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(channel->multi, &left)) != NULL;) {
        struct grpc_state *state;
        char *private;
        const CURLcode result = m->data.result;
        if (m->msg == CURLMSG_DONE && curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private) == CURLE_OK) {
            state = (struct grpc_state *)(void *)private;
            judge(state, result);
        }
    }
}

/* done() may begin and cancel calls: the list is walked anew after each. */
static void tell_outcomes(struct wr_grpc_channel *channel)
{
    for (struct grpc_state *state = channel->states; state != NULL;) {
        if (!state->over) {
            state = state->next;
            continue;
        }
        struct wr_grpc_call *call = state->call;
        drop_state(state);
        call->done(call); /* (1) */
        state = channel->states;
    }
}

static bool is_work(const struct wr_grpc_channel *channel)
{
    for (const struct grpc_state *state = channel->states; state != NULL; state = state->next) {
        if (state->over || state->go_on) {
            return true;
        }
    }
    return false;
}

void wr_grpc_turn(struct wr_grpc_channel *channel, int wait_ms)
{
    int running;
    if (wait_ms > 0 && !is_work(channel)) {
        (void)curl_multi_poll(channel->multi, NULL, 0, wait_ms, NULL);
    }
    find_ended(channel);
    carry_out_wishes(channel);
    (void)curl_multi_perform(channel->multi, &running);
    carry_out_wishes(channel); /* trailers have come: (the trap) */
    gather_outcomes(channel);
    tell_outcomes(channel);
}

void wr_grpc_wake(struct wr_grpc_channel *channel)
{
    (void)curl_multi_wakeup(channel->multi);
}

/* ---- waited for ---- */

struct waited {
    struct wr_buf *reply;
    bool done;
    bool answered;
};

static void waited_message(struct wr_grpc_call *call, char *data, size_t bytes)
{
    struct waited *waited = call->ctx;
    waited->reply->bytes = 0;
    wr_buf_append(waited->reply, data, bytes);
    waited->answered = true;
    free(data);
}

static void waited_done(struct wr_grpc_call *call)
{
    struct waited *waited = call->ctx;
    waited->done = true;
}

wr_status wr_grpc_fail(const struct wr_grpc_call *call, struct wr_error *err, const char *what)
{
    (void)wr_fail(err, call->may_retry ? WR_CLASS_RETRY : WR_CLASS_USER, "%s: %s", what, wr_grpc_code_name(call->code));
    if (call->text[0] != '\0') {
        wr_error_detail(err, "%s", call->text);
    }
    if (call->untrusted) {
        wr_error_hint(err, "the server's certificate is not signed by an authority that is trusted here: name the right one with "
                           "the option ca_file");
    }
    return WR_FAIL;
}

wr_status wr_grpc_unary(struct wr_grpc_channel *channel, struct wr_grpc_call *call, const struct wr_buf *request,
                        struct wr_buf *reply, struct wr_error *err)
{
    struct waited waited = { .reply = reply };
    call->message = waited_message;
    call->done = waited_done;
    call->ctx = &waited;
    wr_grpc_begin(channel, call, request->data, request->bytes, false);
    while (!waited.done) {
        wr_grpc_turn(channel, 1000);
    }
    if (call->code == WR_GRPC_OK && !waited.answered) {
        say(call, WR_GRPC_INTERNAL, "the server answered without a message");
    }
    return call->code == WR_GRPC_OK ? WR_OK : wr_grpc_fail(call, err, call->method);
}
