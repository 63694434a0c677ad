#include "run/policy.h"

#include "base/clock.h"
#include "base/log.h"

#define BACKOFF_FIRST_MS 50u
#define BACKOFF_LAST_MS 2000u /* what is back is noticed soon */
#define ATTEMPTS_WHILE_ENDING 10u

void wr_backoff_init(struct wr_backoff *backoff)
{
    backoff->attempt = 0; /* the seed is drawn at the first failure: init stands on the path of every batch */
}

int64_t wr_policy_delay_ns(struct wr_backoff *backoff, const struct wr_error *err,
                           const char *component, bool ending)
{
    if (err->cls != WR_CLASS_RETRY || (ending && backoff->attempt >= ATTEMPTS_WHILE_ENDING)) {
        return -1;
    }
    if (backoff->attempt == 0) {
        wr_rand_seed(&backoff->rand, wr_rand_entropy());
    }
    const uint32_t doublings = backoff->attempt < 7 ? backoff->attempt : 7;
    uint32_t most = BACKOFF_FIRST_MS << doublings;
    most = most > BACKOFF_LAST_MS ? BACKOFF_LAST_MS : most;
    const uint32_t wait = most / 2 + (uint32_t)wr_rand_below(&backoff->rand, most / 2 + 1);
    backoff->attempt++;
    /* The first, then every doubling: a long outage must not fill the disk with its log. */
    if ((backoff->attempt & (backoff->attempt - 1)) == 0) {
        struct wr_error told = *err;
        wr_error_detail(&told, "attempt %u, again in %u ms", backoff->attempt, wait);
        wr_log_error(WR_LOG_WARN, component, &told);
    }
    return wait * WR_NS_PER_MS;
}

void wr_backoff_reset(struct wr_backoff *backoff, const char *component)
{
    if (backoff->attempt > 0) {
        wr_log_info(component, "works again after %u failed attempts", backoff->attempt);
        backoff->attempt = 0;
    }
}

int wr_policy_exit_code(const struct wr_error *err)
{
    return err->cls == WR_CLASS_USER ? WR_EXIT_USAGE : WR_EXIT_FAILED;
}
