/* retry.c: see retry.h. */
#include "net/retry.h"

#include <curl/curl.h>

/* MinIO asks for a minute while it starts, which takes it a second or two: what a server asks for only lengthens the first waits,
 * those that follow double by themselves. */
#define AT_LEAST_MOST_MS 1000u

void wr_retry_init(struct wr_retry *retry, uint32_t attempts_max, uint32_t first_ms,
                   uint32_t longest_ms, uint64_t seed)
{
    *retry = (struct wr_retry){
        .attempts_max = attempts_max, .first_ms = first_ms, .longest_ms = longest_ms};
    wr_rand_seed(&retry->rand, seed);
}

void wr_retry_reset(struct wr_retry *retry)
{
    retry->attempt = 0;
}

bool wr_retry_next(struct wr_retry *retry, uint32_t at_least_ms, uint32_t *wait_ms)
{
    retry->attempt++;
    if (retry->attempt >= retry->attempts_max) {
        return false;
    }
    uint64_t wait = retry->first_ms;
    for (uint32_t i = 1; i < retry->attempt && wait < retry->longest_ms; i++) {
        wait *= 2;
    }
    if (wait > retry->longest_ms) {
        wait = retry->longest_ms;
    }
    wait = wait / 2 + wr_rand_below(&retry->rand, wait / 2 + 1);
    if (at_least_ms > AT_LEAST_MOST_MS) {
        at_least_ms = AT_LEAST_MOST_MS;
    }
    *wait_ms = (uint32_t)(wait > at_least_ms ? wait : at_least_ms);
    return true;
}

bool wr_retry_status(int status)
{
    return status == 408 || status == 425 || status == 429 || status == 500 || status == 502 ||
           status == 503 || status == 504;
}

bool wr_retry_curl(int code)
{
    switch ((CURLcode)code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_UPLOAD_FAILED:
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_AGAIN:
    case CURLE_NO_CONNECTION_AVAILABLE:
        return true;
    default:
        return false; /* a malformed URL, a certificate that nobody trusts, no memory */
    }
}
