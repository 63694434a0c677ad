/* sink_registry.c: every sink connector of this build. A row more is a connector more. */
#include "sink/sinks.h"

const struct wr_sink_ops *const wr_sinks[] = {
    &wr_sink_kinesis,
    &wr_sink_delta, &wr_sink_parquet, &wr_sink_kafka,     &wr_sink_eventhubs,
    &wr_sink_pubsub, &wr_sink_file,  &wr_sink_stdout,  &wr_sink_blackhole, NULL,
};
