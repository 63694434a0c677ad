/* Retry: what is asked again, and the growth, spread and limits of the waits. */
#include "net/retry.h"

#include <criterion/criterion.h>
#include <curl/curl.h>

Test(retry, waits_double_with_jitter_up_to_the_longest)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct wr_retry retry;
        uint32_t wait = 0, nominal = 100;
        wr_retry_init(&retry, 9, 100, 1000, seed);
        for (int i = 0; i < 8; i++) {
            cr_assert(wr_retry_next(&retry, 0, &wait));
            cr_assert(wait >= nominal / 2 && wait <= nominal, "attempt %d: %u of %u", i, wait,
                      nominal);
            nominal = nominal * 2 < 1000 ? nominal * 2 : 1000;
        }
        cr_assert_not(wr_retry_next(&retry, 0, &wait));
    }
}

Test(retry, clients_that_failed_together_come_back_apart)
{
    uint32_t first = 0, differing = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct wr_retry retry;
        uint32_t wait = 0;
        wr_retry_init(&retry, 3, 10000, 10000, seed);
        cr_assert(wr_retry_next(&retry, 0, &wait));
        differing += seed > 0 && wait != first;
        first = seed == 0 ? wait : first;
    }
    cr_expect_gt(differing, 40);
}

Test(retry, the_servers_wish_counts_up_to_a_second)
{
    struct wr_retry retry;
    uint32_t wait = 0;
    wr_retry_init(&retry, 5, 100, 1000, 1);
    cr_assert(wr_retry_next(&retry, 700, &wait));
    cr_expect_eq(wait, 700);
    cr_assert(wr_retry_next(&retry, 4000000, &wait));
    cr_expect_eq(wait, 1000);
    wr_retry_reset(&retry);
    cr_assert(wr_retry_next(&retry, 0, &wait));
    cr_expect_leq(wait, 100);
}

Test(retry, one_attempt_is_no_retry)
{
    struct wr_retry retry;
    uint32_t wait = 0;
    wr_retry_init(&retry, 1, 100, 1000, 1);
    cr_expect_not(wr_retry_next(&retry, 0, &wait));
}

Test(retry, servers_that_say_not_now_are_told_from_those_that_say_no)
{
    static const int now_not[] = {408, 429, 500, 502, 503, 504};
    static const int no[] = {0, 200, 301, 400, 401, 403, 404, 409, 412, 501};
    for (size_t i = 0; i < sizeof(now_not) / sizeof(int); i++) {
        cr_expect(wr_retry_status(now_not[i]), "%d", now_not[i]);
    }
    for (size_t i = 0; i < sizeof(no) / sizeof(int); i++) {
        cr_expect_not(wr_retry_status(no[i]), "%d", no[i]);
    }
    cr_expect(wr_retry_curl(CURLE_OPERATION_TIMEDOUT));
    cr_expect(wr_retry_curl(CURLE_RECV_ERROR));
    cr_expect_not(wr_retry_curl(CURLE_URL_MALFORMAT));
    cr_expect_not(wr_retry_curl(CURLE_PEER_FAILED_VERIFICATION));
}
