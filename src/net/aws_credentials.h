/* aws_credentials.h: who we are to AWS and its likes: options, else the environment, else the
 * profile files, else a web identity's, container's or instance's role, as AWS's own tools find
 * them. Keys of roles expire: refresh gets fresh ones in time.
 *
 * Ownership: the struct owns its texts; deinit overwrites the secret ones. Threads: one.
 */
#ifndef WR_NET_AWS_CREDENTIALS_H
#define WR_NET_AWS_CREDENTIALS_H

#include "base/status.h"

struct wr_aws_credentials {
    char *access_key;
    char *secret_key;
    char *session_token; /* NULL: long-lived keys */
    int64_t expires_us;  /* wall clock; 0: never */
    int64_t refresh_us;  /* from then on fresh ones are wanted */
    char source[256]; /* where they were found, for messages: "the environment (AWS_ACCESS_KEY_ID)"
                       */
};

/* Given texts may be NULL: what is not given is searched for. */
struct wr_aws_given {
    const char *access_key;
    const char *secret_key;
    const char *session_token;
};

/* WR_FAIL (USER) when there are none, or half of them; the hint says where they could be put. */
WR_NODISCARD wr_status wr_aws_credentials_find(const struct wr_aws_given *given,
                                               struct wr_aws_credentials *credentials,
                                               struct wr_error *err);
/* Fetches fresh keys when the present ones expire within five minutes (or are through half of a
 * shorter life); cheap otherwise. A fetch that fails is no failure while the present ones are good.
 * Before each request: signatures made with the old keys stay good. */
WR_NODISCARD wr_status wr_aws_credentials_refresh(struct wr_aws_credentials *credentials,
                                                  struct wr_error *err);
void wr_aws_credentials_deinit(struct wr_aws_credentials *credentials); /* accepts a zeroed one */

/* The region from AWS_REGION, AWS_DEFAULT_REGION or the profile; heap text, NULL when none says. */
char *wr_aws_region_find(void);
/* The value of the first of these variables that is set and not empty, or NULL. */
const char *wr_aws_environment(const char *name, const char *or_name);

#endif
