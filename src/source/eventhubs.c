/* eventhubs.c: the connector 'eventhubs': Azure Event Hubs over its Kafka endpoint. The reader is that of 'kafka' (kafka_source.h);
 * what is its own are the options by which one gets in, and what the service asks of its clients (kafka/kafka_access.c). */
#include "source/connectors.h"
#include "source/kafka_source.h"

static const struct wr_option options[] = {
    WR_EVENT_HUBS_ACCESS_OPTIONS,
    { "consumer_group", WR_OPTION_TEXT, NULL,
      "Shares the partitions with other processes of the same consumer group and stores how far they came in the namespace; without "
      "it this process reads all partitions. Groups are made by their first use." },
    { "start", WR_OPTION_TEXT, NULL,
      "Where reading begins: earliest, latest, committed (the group's offsets, else earliest), a time (RFC 3339 or milliseconds since "
      "1970). Default: committed with a consumer_group, else earliest. Positions in the pipeline's state win over it." },
    { "on_gap", WR_OPTION_ENUM, "fail",
      "What a start does when events that it had not read were deleted (retention): fail, or skip to the oldest that is left.",
      .enum_words = "fail skip" },
    WR_KAFKA_PREFIX_OPTION,
    { NULL },
};

const struct wr_source_ops wr_source_eventhubs = {
    .name = "eventhubs",
    .help = "Azure Event Hubs, by connection string or Microsoft Entra ID.",
    .options = options,
    WR_KAFKA_SOURCE_CALLS,
};
