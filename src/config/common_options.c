/* common_options.c: see common_options.h. */
#include "config/common_options.h"

#define DAY_US 86400000000LL

const struct wr_option wr_source_common_options[] = {
    {"connector", WR_OPTION_TEXT, NULL, "Which connector reads: see `weir connectors`.",
     .flags = WR_OPTION_REQUIRED},
    {"format", WR_OPTION_TEXT, NULL, "How a record's bytes are read: json, csv, avro or protobuf."},
    {"compression", WR_OPTION_ENUM, "auto",
     "Whether each record's payload is compressed: auto tells by its first bytes; none if what begins like gzip or zstd is to be taken "
     "as it is; gzip or zstd if every record must be.", .enum_words = "auto none gzip zstd"},
    {"idle_timeout", WR_OPTION_DURATION, "30s",
     "After this long at its end a split no longer holds the watermark back; 'off': never.",
     .min = 1000, .max = 365 * DAY_US, .enum_words = "off"},
    {"allowed_lateness", WR_OPTION_DURATION, "0",
     "Results wait this long after a window's end, and rows that late still count.", .min = 0,
     .max = 365 * DAY_US},
    {"max_ahead", WR_OPTION_DURATION, NULL,
     "A row whose event time is further than this ahead of its record's own timestamp (or of the "
     "wall clock) is dead-lettered and never moves the watermark; default 1d, 'off' for files.",
     .min = 1000, .max = 36500 * DAY_US, .enum_words = "off"},
    {"on_error", WR_OPTION_TEXT, "skip",
     "Records that cannot be used: 'skip' counts them, 'fail' stops, else the side sink's name."},
    {"on_late", WR_OPTION_TEXT, NULL,
     "The side sink that gets rows too late for their windows; without it they are counted."},
    {"event_time_field", WR_OPTION_TEXT, NULL,
     "The column that is the event time, as WATERMARK FOR column (zero delay)."},
    {"deduplicate_by", WR_OPTION_TEXT, NULL,
     "A column that tells events apart, such as event_id: of rows with the same value only the first counts, the "
     "others as filtered. Rows where it is NULL all count. Default: _message_id where the connector has it; 'none': off."},
    {"deduplicate_within", WR_OPTION_DURATION, "10m",
     "How long, in event time, a value is remembered behind the watermark.", .min = 1000,
     .max = 3650 * DAY_US},
    {"timestamp_unit", WR_OPTION_ENUM, "ms", "The unit of timestamps that come as integers.",
     .enum_words = "s ms us ns"},
    {NULL},
};

const struct wr_option wr_sink_common_options[] = {
    {"connector", WR_OPTION_TEXT, NULL, "Which connector writes: see `weir connectors`.",
     .flags = WR_OPTION_REQUIRED},
    {"format", WR_OPTION_TEXT, NULL, "How rows become bytes: json or csv."},
    {"partition_by", WR_OPTION_TEXT, NULL,
     "Columns and expressions that split the output, such as 'country, date(ts) AS day'."},
    {"commit_interval", WR_OPTION_DURATION, NULL,
     "How often rows become visible; default: the connector's, else the pipeline's.", .min = 1000,
     .max = DAY_US},
    {"guarantee", WR_OPTION_ENUM, NULL, "What a crash may do: nothing, or repeat rows.",
     .enum_words = "exactly_once at_least_once"},
    {NULL},
};

const struct wr_option wr_setting_options[] = {
    {"workers", WR_OPTION_INT, NULL, "Worker threads; default: one per core.", .min = 1, .max = 64},
    {"memory", WR_OPTION_SIZE, NULL,
     "What the process may use in all; default: half of the machine or container.", .min = 64 << 20,
     .max = INT64_MAX},
    {"batch_rows", WR_OPTION_INT, "1024", "Rows of a batch.", .min = 1, .max = 1024},
    {"ring_batches", WR_OPTION_INT, "16", "Batches that fit between two workers: a power of two.",
     .min = 2, .max = 4096},
    {"state", WR_OPTION_TEXT, NULL,
     "Where state and manifests are kept: a directory, s3://, az:// or gs://; default: .weir/NAME "
     "beside the file; 'none': nowhere, a crash may repeat rows."},
    {"state.", WR_OPTION_PREFIX, NULL, "Options of the state's store, as state.endpoint."},
    {"owner_timeout", WR_OPTION_DURATION, "10s",
     "How long another host's owner of the state may be silent before it is taken for dead.",
     .min = 100000, .max = DAY_US},
    {"default_commit_interval", WR_OPTION_DURATION, "1s", "How often an epoch is committed.",
     .min = 1000, .max = DAY_US},
    {"test_hash", WR_OPTION_ENUM, "xxh3", "For tests: 'zero' makes all keys collide.",
     .enum_words = "xxh3 zero"},
    {NULL},
};
