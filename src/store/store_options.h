/* store_options.h: the option rows that every sink with a store takes, as a macro, because a connector's options are
 * one constant array. store.h's wr_store_options holds the same rows. */
#ifndef WR_STORE_STORE_OPTIONS_H
#define WR_STORE_STORE_OPTIONS_H

#include "config/option.h"

/* clang-format off */
#define WR_STORE_OPTION_ROWS                                                                       \
    { "endpoint", WR_OPTION_TEXT, NULL,                                                            \
      "The server's URL; default: S3: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, else Amazon's; "       \
      "Azure: AZURE_STORAGE_BLOB_ENDPOINT, else Microsoft's; GCS: STORAGE_EMULATOR_HOST, else "     \
      "Google's." },                                                                               \
    { "region", WR_OPTION_TEXT, NULL,                                                              \
      "S3: the region; default: AWS_REGION, AWS_DEFAULT_REGION, else us-east-1." },                 \
    { "path_style", WR_OPTION_BOOL, NULL,                                                          \
      "S3: the bucket in the path, not in the host name; default: on when there is an endpoint." }, \
    { "access_key_id", WR_OPTION_TEXT, NULL, "S3: default: AWS_ACCESS_KEY_ID." },                   \
    { "secret_access_key", WR_OPTION_TEXT, NULL, "S3: default: AWS_SECRET_ACCESS_KEY.",             \
      .flags = WR_OPTION_SECRET },                                                                 \
    { "session_token", WR_OPTION_TEXT, NULL, "S3: default: AWS_SESSION_TOKEN.",                     \
      .flags = WR_OPTION_SECRET },                                                                 \
    { "account", WR_OPTION_TEXT, NULL,                                                             \
      "Azure: the storage account, for az://; default: AZURE_STORAGE_ACCOUNT." },                  \
    { "account_key", WR_OPTION_TEXT, NULL, "Azure: default: AZURE_STORAGE_KEY.",                   \
      .flags = WR_OPTION_SECRET },                                                                 \
    { "sas_token", WR_OPTION_TEXT, NULL, "Azure: default: AZURE_STORAGE_SAS_TOKEN.",               \
      .flags = WR_OPTION_SECRET },                                                                 \
    { "connection_string", WR_OPTION_TEXT, NULL,                                                   \
      "Azure: default: AZURE_STORAGE_CONNECTION_STRING; without any of these an identity is used: " \
      "AZURE_CLIENT_ID with a secret or federated token, or the machine's.",                       \
      .flags = WR_OPTION_SECRET },                                                                 \
    { "credentials_file", WR_OPTION_TEXT, NULL,                                                    \
      "GCS: a service account's key file; default: GOOGLE_APPLICATION_CREDENTIALS, else gcloud's "  \
      "or the machine's identity." },                                                              \
    { "part_size", WR_OPTION_SIZE, "8MiB", "Bytes of one part of a large upload.",         \
      .min = 5 << 20, .max = 5LL << 30 },                                                          \
    { "connect_timeout", WR_OPTION_DURATION, "5s", "How long a connection may take to open.",  \
      .min = 1000, .max = 600000000LL },                                                           \
    { "request_timeout", WR_OPTION_DURATION, "8s",                                                 \
      "How long a request may stand still before it is tried again; by its size it may take "  \
      "longer in all.", .min = 1000, .max = 3600000000LL },                                                                       \
    { "max_retries", WR_OPTION_INT, "8", "How often a request is tried again.", .min = 0,      \
      .max = 100 }
/* clang-format on */

#endif
