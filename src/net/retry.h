/* retry.h: what is worth asking again, and how long to wait before: exponential back-off with
 * jitter, so that clients that failed together do not come back together. Threads: one per struct.
 */
#ifndef WR_NET_RETRY_H
#define WR_NET_RETRY_H

#include "base/rand.h"
#include <stdbool.h>
#include <stdint.h>

struct wr_retry {
    uint32_t attempts_max; /* in all, the first included */
    uint32_t first_ms;     /* mean of the first wait is 3/4 of it; it doubles up to longest_ms */
    uint32_t longest_ms;
    uint32_t attempt; /* made so far */
    struct wr_rand rand;
};

void wr_retry_init(struct wr_retry *retry, uint32_t attempts_max, uint32_t first_ms,
                   uint32_t longest_ms, uint64_t seed);
/* For a new operation. */
void wr_retry_reset(struct wr_retry *retry);
/* After an attempt failed: false when that was the last one; else how long to wait. at_least_ms:
 * what the server asked for (Retry-After), 1 s of it at most. */
bool wr_retry_next(struct wr_retry *retry, uint32_t at_least_ms, uint32_t *wait_ms);

/* Statuses by which a server says "not now". */
bool wr_retry_status(int status);
/* CURLcodes: a network that may heal, against a mistake that stays. */
bool wr_retry_curl(int code);

#endif
