/* catalog.h: a small set of connectors for tests of the SQL front end: enough options of every
 * kind, no network. */
#ifndef WR_TESTS_SQL_CATALOG_H
#define WR_TESTS_SQL_CATALOG_H

#include "config/common_options.h"
#include "sql/sql.h"

static const struct wr_option catalog_kafka[] = {
    {"brokers", WR_OPTION_LIST, NULL, "Hosts to begin with: host:port, …",
     .flags = WR_OPTION_REQUIRED},
    {"topic", WR_OPTION_LIST, NULL, "Topics.", .flags = WR_OPTION_REQUIRED},
    {"group_id", WR_OPTION_TEXT, NULL, "Consumer group."},
    {"start", WR_OPTION_TEXT, "latest", "Where to begin."},
    {"password", WR_OPTION_TEXT, NULL, "SASL password.", .flags = WR_OPTION_SECRET},
    {"compression", WR_OPTION_ENUM, "lz4", "Codec.", .enum_words = "none gzip snappy lz4 zstd"},
    {"linger", WR_OPTION_DURATION, "5ms", "Wait for more.", .max = 60000000},
    {"key", WR_OPTION_TEXT, NULL, "Column that becomes the key."},
    {"kafka.", WR_OPTION_PREFIX, NULL, "Properties of librdkafka."},
    {"oauth", WR_OPTION_BOOL, NULL, "Tokens.", .unavailable = "built without OAuth"},
    {NULL},
};

static const struct wr_option catalog_file[] = {
    {"path", WR_OPTION_TEXT, NULL, "File or glob.", .flags = WR_OPTION_REQUIRED},
    {NULL},
};

static const struct wr_option catalog_datagen[] = {
    {"rate", WR_OPTION_INT, "1000", "Rows a second.", .min = 1, .max = 100000000},
    {"rows", WR_OPTION_INT, NULL, "Rows in all."},
    {"skew", WR_OPTION_DOUBLE, "0.5", "Zipf exponent."},
    {"ordered", WR_OPTION_BOOL, "true", "In order."},
    {NULL},
};

static const struct wr_option catalog_parquet[] = {
    {"path", WR_OPTION_TEXT, NULL, "Directory or s3://bucket/prefix.", .flags = WR_OPTION_REQUIRED},
    {"target_file_size", WR_OPTION_SIZE, "128MB", "Size of a file.", .min = 1000, .max = INT64_MAX},
    {"zstd_level", WR_OPTION_INT, "1", "Compression level.", .min = 1, .max = 19},
    {"commit_interval", WR_OPTION_DURATION, "60s", "How often files appear.", .min = 1000,
     .max = 86400000000},
    {"secret_access_key", WR_OPTION_TEXT, NULL, "S3 secret.", .flags = WR_OPTION_SECRET},
    {NULL},
};

static const struct wr_option catalog_none[] = {{NULL}};

static const char *const catalog_auction_path[] = {"auction"};
static const char *const catalog_price_path[] = {"price"};
static const char *const catalog_time_path[] = {"date_time"};
static struct wr_field catalog_bid_fields[] = {
    {.name = "auction", .path = catalog_auction_path, .path_count = 1, .type = {WR_TYPE_INT64}},
    {.name = "price", .path = catalog_price_path, .path_count = 1, .type = {WR_TYPE_INT64}},
    {.name = "date_time", .path = catalog_time_path, .path_count = 1, .type = {WR_TYPE_TIMESTAMP}},
};
static const struct wr_schema catalog_bid = {catalog_bid_fields, 3};

static const struct wr_sql_connector catalog_sources[] = {
    {.name = "kafka", .options = catalog_kafka, .metadata = {true, true, true, true, true, true}},
    {.name = "file", .options = catalog_file, .is_file = true},
    {.name = "datagen", .options = catalog_datagen, .makes_columns = true},
    {.name = "nexmark",
     .options = catalog_datagen,
     .makes_columns = true,
     .own_columns = &catalog_bid},
    {.name = "pulsar", .options = catalog_none, .unavailable = "built without Pulsar"},
    {NULL},
};

static const struct wr_sql_connector catalog_sinks[] = {
    {.name = "kafka", .options = catalog_kafka},
    {.name = "file", .options = catalog_file},
    {.name = "parquet", .options = catalog_parquet, .makes_columns = true},
    {.name = "stdout", .options = catalog_none},
    {.name = "blackhole", .options = catalog_none, .makes_columns = true},
    {NULL},
};

static const struct wr_option catalog_csv[] = {
    {"csv_delimiter", WR_OPTION_TEXT, ",", "Between values."},
    {NULL},
};

static const struct wr_sql_format catalog_formats[] = {
    {"json", NULL},
    {"csv", catalog_csv},
    {NULL},
};

static const char *catalog_getenv(const char *name)
{
    return strcmp(name, "KAFKA_PASSWORD") == 0 ? "hunter2"
           : strcmp(name, "TOPIC") == 0        ? "clicks"
           : strcmp(name, "SECRET_SIZE") == 0  ? "hunter2"
                                               : NULL;
}

static const struct wr_sql_catalog catalog = {
    .sources = catalog_sources,
    .sinks = catalog_sinks,
    .decode_formats = catalog_formats,
    .encode_formats = catalog_formats,
    .source_common = wr_source_common_options,
    .sink_common = wr_sink_common_options,
    .settings = wr_setting_options,
    .getenv = catalog_getenv,
};

#endif
