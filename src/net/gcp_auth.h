/* gcp_auth.h: OAuth access tokens of Google Cloud: a service account's key (a JWT that it signs is
 * exchanged for a token), else the machine's metadata server, as Google's own tools find them:
 * GOOGLE_APPLICATION_CREDENTIALS, gcloud's application_default_credentials.json, GCE_METADATA_HOST.
 */
#ifndef WR_NET_GCP_AUTH_H
#define WR_NET_GCP_AUTH_H

#include "net/token_source.h"

#define WR_GCP_SCOPE_STORAGE "https://www.googleapis.com/auth/devstorage.read_write"
#define WR_GCP_SCOPE_PUBSUB  "https://www.googleapis.com/auth/pubsub"

/* credentials_file: NULL: found by the environment. Fetches nothing yet; USER when a key file cannot
 * be used. Free with wr_token_source_destroy. */
WR_NODISCARD wr_status wr_gcp_token_source(struct wr_token_source **source,
                                           const char *credentials_file, const char *scope,
                                           struct wr_error *err);

#endif
