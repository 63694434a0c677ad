/* azure_auth.h: bearer tokens of Microsoft Entra ID for programs: a client secret, a workload's
 * federated token (Kubernetes), or a managed identity, as Azure's own tools find them in the
 * environment: AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET, AZURE_FEDERATED_TOKEN_FILE,
 * AZURE_AUTHORITY_HOST; IDENTITY_ENDPOINT and IDENTITY_HEADER (App Service, Container Apps), else the
 * machine's metadata server (AZURE_POD_IDENTITY_AUTHORITY_HOST puts it elsewhere).
 */
#ifndef WR_NET_AZURE_AUTH_H
#define WR_NET_AZURE_AUTH_H

#include "net/token_source.h"

/* resource: what the token is for, without "/.default": "https://storage.azure.com",
 * "https://NAMESPACE.servicebus.windows.net". Fetches nothing yet; USER when the environment is half
 * set. Free with wr_token_source_destroy. */
WR_NODISCARD wr_status wr_azure_token_source(struct wr_token_source **source, const char *resource,
                                             struct wr_error *err);

#endif
