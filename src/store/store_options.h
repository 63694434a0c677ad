/* store_options.h: the option rows that every sink with a store takes, as a macro, because a connector's options are
 * one constant array. store.h's wr_store_options holds the same rows. */
#ifndef WR_STORE_STORE_OPTIONS_H
#define WR_STORE_STORE_OPTIONS_H

#include "config/option.h"

/* clang-format off */
#define WR_STORE_OPTION_ROWS                                                                       \
    { "endpoint", WR_OPTION_TEXT, NULL,                                                            \
      "S3: the server's URL; default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, else Amazon's." },     \
    { "region", WR_OPTION_TEXT, NULL,                                                              \
      "S3: the region; default: AWS_REGION, AWS_DEFAULT_REGION, else us-east-1." },                 \
    { "path_style", WR_OPTION_BOOL, NULL,                                                          \
      "S3: the bucket in the path, not in the host name; default: on when there is an endpoint." }, \
    { "access_key_id", WR_OPTION_TEXT, NULL, "S3: default: AWS_ACCESS_KEY_ID." },                   \
    { "secret_access_key", WR_OPTION_TEXT, NULL, "S3: default: AWS_SECRET_ACCESS_KEY.",             \
      .flags = WR_OPTION_SECRET },                                                                 \
    { "session_token", WR_OPTION_TEXT, NULL, "S3: default: AWS_SESSION_TOKEN.",                     \
      .flags = WR_OPTION_SECRET },                                                                 \
    { "part_size", WR_OPTION_SIZE, "8MiB", "S3: bytes of one part of a multipart upload.",         \
      .min = 5 << 20, .max = 5LL << 30 },                                                          \
    { "connect_timeout", WR_OPTION_DURATION, "5s", "S3: how long a connection may take to open.",  \
      .min = 1000, .max = 600000000LL },                                                           \
    { "request_timeout", WR_OPTION_DURATION, "8s",                                                 \
      "S3: how long a request may stand still before it is tried again; by its size it may take "  \
      "longer in all.", .min = 1000, .max = 3600000000LL },                                                                       \
    { "max_retries", WR_OPTION_INT, "8", "S3: how often a request is tried again.", .min = 0,      \
      .max = 100 }
/* clang-format on */

#endif
