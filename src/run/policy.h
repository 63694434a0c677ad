/* policy.h: the one place where the class of an error decides what happens (design.md, section 6).
 *
 *   USER   refuse to start: exit 2          DATA   dead-letter the record, go on (scan.c, rejects.c)
 *   RETRY  back off with jitter, say so     FATAL  stop, exit 1
 * Threads: a wr_backoff belongs to one thread.
 */
#ifndef WR_RUN_POLICY_H
#define WR_RUN_POLICY_H

#include "base/rand.h"
#include "base/status.h"

#define WR_EXIT_OK 0
#define WR_EXIT_FAILED 1
#define WR_EXIT_USAGE 2

struct wr_backoff {
    struct wr_rand rand;
    uint32_t attempt; /* failures in a row */
};

void wr_backoff_init(struct wr_backoff *backoff);

/* After a failure: in how many nanoseconds to try again (50 ms doubling to 5 s, jitter as in Brooker, "Exponential Backoff And
 * Jitter", 2015); -1: give up, the class says so. ending: shorter patience while the run is ending (10 attempts). */
int64_t wr_policy_delay_ns(struct wr_backoff *backoff, const struct wr_error *err,
                           const char *component, bool ending);
/* After a success. */
void wr_backoff_reset(struct wr_backoff *backoff, const char *component);

int wr_policy_exit_code(const struct wr_error *err);

#endif
