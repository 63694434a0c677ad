/* token_source.h: bearer tokens that are fetched when needed, kept, and fetched anew before they
 * expire. Who makes one embeds the struct as its first member (azure_auth.h, gcp_auth.h).
 *
 * Ownership: the source owns the token, which lives until the next call. Threads: one; fetching
 * waits for the network.
 * Invariants: (1) a token that is handed out is good for some time yet, by this machine's clock
 *   (2) a fetch that fails is no failure while the present token is good: it is tried again later
 */
#ifndef WR_NET_TOKEN_SOURCE_H
#define WR_NET_TOKEN_SOURCE_H

#include "base/buf.h"
#include "base/status.h"
#include "net/http_client.h"

struct wr_token_source {
    /* Appends a token and says when it expires (wall clock). */
    wr_status (*fetch)(struct wr_token_source *source, struct wr_buf *token, int64_t *expires_us,
                       struct wr_error *err);
    void (*destroy)(struct wr_token_source *source); /* the embedding struct's */
    struct wr_buf token;
    int64_t expires_us;
    int64_t fetched_us;
    int64_t refresh_us; /* from then on a new one is wanted */
    char what[256];     /* where tokens come from, for messages */
};

/* *token: without "Bearer ". */
WR_NODISCARD wr_status wr_token_get(struct wr_token_source *source, const char **token,
                                    struct wr_error *err);
/* The server refused the token: the next get fetches. False when it was fetched within the last
 * seconds, so that another would be refused as well. */
bool wr_token_refused(struct wr_token_source *source);
void wr_token_source_destroy(struct wr_token_source *source); /* NULL is fine */
/* Overwrites and empties. */
void wr_token_wipe(struct wr_buf *secret);

/* Whether a secret may be sent to this URL: over https, or to this very machine. */
bool wr_token_is_safe(const char *url);

/* For fetchers: performs call (tried a few times), and reads "access_token" and "expires_in" (or
 * "expires_on") of its JSON answer. where: "the metadata server". Errors tell the answer's "error"
 * and "error_description", never what was sent. */
WR_NODISCARD wr_status wr_token_ask(struct wr_http_client *client, struct wr_http_call *call,
                                    const char *where, struct wr_buf *token, int64_t *expires_us,
                                    struct wr_error *err);

#endif
