/* token_source.c: see token_source.h. */
#include "net/token_source.h"

#include "base/clock.h"
#include "base/log.h"
#include "net/retry.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

/* Refreshed that early, or when half of a short life is over. */
#define EARLY_US (5 * 60 * WR_US_PER_S)
/* Between attempts while the present token is good. */
#define PATIENCE_US (10 * WR_US_PER_S)
#define TOKEN_BYTES_MAX (64u << 10)

void wr_token_wipe(struct wr_buf *secret)
{
    if (secret->data != NULL) {
        OPENSSL_cleanse(secret->data, secret->capacity);
    }
    wr_buf_deinit(secret);
}

static wr_status renew(struct wr_token_source *source, int64_t now_us, struct wr_error *err)
{
    struct wr_buf token = {0};
    int64_t expires_us = 0;
    const wr_status fetched = source->fetch(source, &token, &expires_us, err);
    if (fetched != WR_OK) {
        wr_token_wipe(&token);
        return fetched;
    }
    wr_token_wipe(&source->token);
    source->token = token;
    source->expires_us = expires_us;
    source->fetched_us = now_us;
    const int64_t half = (expires_us - now_us) / 2;
    source->refresh_us = expires_us - (half < EARLY_US ? half : EARLY_US);
    return WR_OK;
}

wr_status wr_token_get(struct wr_token_source *source, const char **token, struct wr_error *err)
{
    const int64_t now_us = wr_clock_now().wall_us;
    const bool good = source->token.bytes > 0 && now_us < source->expires_us;
    *token = NULL;
    if (!good) {
        WR_TRY(renew(source, now_us, err));
    } else if (now_us >= source->refresh_us) {
        struct wr_error why = {0};
        if (renew(source, now_us, &why) != WR_OK) { /* (2) */
            wr_log_warn("auth", "no fresh token from %s (%s); the present one is good for %ld s",
                        source->what, why.message,
                        (long)((source->expires_us - now_us) / WR_US_PER_S));
            source->refresh_us = now_us + PATIENCE_US;
        }
    }
    *token = wr_buf_cstr(&source->token);
    return WR_OK;
}

bool wr_token_refused(struct wr_token_source *source)
{
    const int64_t age_us = wr_clock_now().wall_us - source->fetched_us;
    wr_token_wipe(&source->token);
    return age_us < 0 || age_us > PATIENCE_US;
}

void wr_token_source_destroy(struct wr_token_source *source)
{
    if (source != NULL) {
        wr_token_wipe(&source->token);
        source->destroy(source);
    }
}

bool wr_token_is_safe(const char *url)
{
    if (strncmp(url, "https://", 8) == 0) {
        return true;
    }
    if (strncmp(url, "http://", 7) != 0) {
        return false;
    }
    const char *host = url + 7;
    const size_t bytes = host[0] == '[' ? strcspn(host, "]/") + 1 : strcspn(host, ":/");
    const struct wr_slice name = {host, bytes};
    return wr_slice_is(name, "localhost") || wr_slice_is(name, "[::1]") ||
           (bytes > 4 && memcmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == bytes);
}

/* --- answers of token endpoints --------------------------------------------------------------- */

/* A number, or one as text: both are met. */
static int64_t number_of(const json_t *answer, const char *name)
{
    const json_t *value = json_object_get(answer, name);
    if (json_is_integer(value)) {
        return (int64_t)json_integer_value(value);
    }
    return json_is_string(value) ? strtoll(json_string_value(value), NULL, 10) : 0;
}

static bool is_plain(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return false;
        }
    }
    return bytes > 0 && bytes <= TOKEN_BYTES_MAX;
}

static wr_status read_answer(const struct wr_http_call *call, const char *where,
                             struct wr_buf *token, int64_t *expires_us, struct wr_error *err)
{
    json_t *answer = json_loadb(call->response.data, call->response.bytes, 0, NULL);
    const json_t *text = json_object_get(answer, "access_token");
    const int64_t now_us = wr_clock_now().wall_us;
    int64_t seconds = number_of(answer, "expires_in");
    wr_status status = WR_FAIL;
    if (seconds <= 0) {
        seconds = number_of(answer, "expires_on") - now_us / WR_US_PER_S;
    }
    if (!json_is_string(text) ||
        !is_plain(json_string_value(text), json_string_length(text))) {
        (void)wr_fail(err, WR_CLASS_FATAL, "the answer of %s holds no access_token", where);
    } else if (seconds <= 0 || seconds > 10LL * 365 * 86400) {
        (void)wr_fail(err, WR_CLASS_FATAL, "%s gave a token that has expired already", where);
        wr_error_hint(err, "check this machine's clock (timedatectl)");
    } else {
        wr_buf_append(token, json_string_value(text), json_string_length(text));
        *expires_us = now_us + seconds * WR_US_PER_S;
        status = WR_OK;
    }
    json_decref(answer);
    return status;
}

/* Printable, short. */
static void tell_refusal(const struct wr_http_call *call, struct wr_error *err)
{
    json_t *answer = json_loadb(call->response.data != NULL ? call->response.data : "",
                                call->response.bytes, 0, NULL);
    const char *code = json_string_value(json_object_get(answer, "error"));
    const char *words = json_string_value(json_object_get(answer, "error_description"));
    char line[300];
    snprintf(line, sizeof(line), "%.60s%s%.200s", code != NULL ? code : "",
             words != NULL ? ": " : "", words != NULL ? words : "");
    for (char *c = line; *c != '\0'; c++) {
        *c = (unsigned char)*c < ' ' ? ' ' : *c;
    }
    wr_error_detail(err, "it answered %d %s", call->status, line);
    json_decref(answer);
}

wr_status wr_token_ask(struct wr_http_client *client, struct wr_http_call *call, const char *where,
                       struct wr_buf *token, int64_t *expires_us, struct wr_error *err)
{
    struct wr_retry retry;
    uint32_t wait_ms = 0;
    wr_retry_init(&retry, 4, 200, 2000, wr_rand_entropy());
    for (;;) {
        wr_http_perform(client, call);
        const bool again =
            call->status == 0 ? call->may_retry : wr_retry_status(call->status);
        if (!again || !wr_retry_next(&retry, 0, &wait_ms)) {
            break;
        }
        wr_clock_sleep_ms(wait_ms);
    }
    if (call->status == 200) {
        return read_answer(call, where, token, expires_us, err);
    }
    if (call->status == 0) {
        (void)wr_fail(err, call->may_retry ? WR_CLASS_RETRY : WR_CLASS_FATAL,
                      "no token: no answer from %s", where);
        wr_error_detail(err, "%s", call->problem);
        return WR_FAIL;
    }
    (void)wr_fail(err, wr_retry_status(call->status) ? WR_CLASS_RETRY : WR_CLASS_FATAL,
                  "no token: %s refused", where);
    tell_refusal(call, err);
    return WR_FAIL;
}
