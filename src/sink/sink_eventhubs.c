/* sink_eventhubs.c: a JSON event per row to Azure Event Hubs, over its Kafka endpoint: the sink 'kafka' (kafka_writer.h) at least
 * once. Transactions are no part of what all tiers offer, so exactly once is refused. */
#include "sink/guarantee.h"
#include "sink/kafka_writer.h"
#include "sink/sinks.h"

static const struct wr_option options[] = {
    WR_EVENT_HUBS_ACCESS_OPTIONS,
    { "key", WR_OPTION_TEXT, NULL,
      "The column whose text is the partition key: equal keys go to one partition, in order." },
    { "compression", WR_OPTION_ENUM, "none",
      "The codec of event batches: gzip is the one that the service knows.", .enum_words = "none gzip" },
    { "linger", WR_OPTION_DURATION, "1ms",
      "How long an event may wait for others to share a request.", .min = 0, .max = 900000000 },
    WR_KAFKA_PREFIX_OPTION,
    { .name = NULL },
};

static wr_status check(const struct wr_plan_sink *plan, uint32_t *bad_at, struct wr_error *err)
{
    WR_TRY(wr_sink_check_at_least_once(plan, bad_at, err));
    return wr_kafka_sink_check(plan, bad_at, err);
}

const struct wr_sink_ops wr_sink_eventhubs = {
    .name = "eventhubs",
    .help = "A JSON event per row to Azure Event Hubs, keyed by a column if asked.",
    .has_format = true,
    .options = options,
    .check = check,
    WR_KAFKA_SINK_CALLS,
};
