/* source_registry.c: all connectors that events can come from. */
#include "source/connectors.h"

const struct wr_source_ops *const wr_sources[] = {
    &wr_source_kafka,
    &wr_source_kinesis,
    &wr_source_eventhubs,
    &wr_source_file,
    &wr_source_http,
    &wr_source_pubsub,
    &wr_source_mqtt,
    &wr_source_datagen,
    &wr_source_nexmark,
    NULL,
};
