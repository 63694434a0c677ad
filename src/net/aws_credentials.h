/* aws_credentials.h: who we are to AWS and its likes: options, else the environment, else the
 * profile files, as AWS's own tools find them. Web identity, container and instance roles are
 * further rows of the same search (expires_us is for them).
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
void wr_aws_credentials_deinit(struct wr_aws_credentials *credentials); /* accepts a zeroed one */

/* The region from AWS_REGION, AWS_DEFAULT_REGION or the profile; heap text, NULL when none says. */
char *wr_aws_region_find(void);
/* The value of the first of these variables that is set and not empty, or NULL. */
const char *wr_aws_environment(const char *name, const char *or_name);

#endif
