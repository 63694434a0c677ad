/* kafka_token.h: tokens for OAUTHBEARER that an OpenID Connect endpoint gives for a client's id and secret (RFC 6749, 4.4). Those of
 * Microsoft Entra ID come from net/azure_auth.h. */
#ifndef WR_KAFKA_KAFKA_TOKEN_H
#define WR_KAFKA_KAFKA_TOKEN_H

#include "net/token_source.h"

struct wr_oidc_client {
    const char *url;
    const char *id;
    const char *secret;
    const char *scope; /* NULL: none */
};

/* client: borrowed while the source lives. Fetches nothing yet; belongs to the thread that makes it. */
WR_NODISCARD wr_status wr_oidc_token_source(struct wr_token_source **source,
                                            const struct wr_oidc_client *client,
                                            struct wr_error *err);

#endif
