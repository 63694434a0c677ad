/* connectors.h: the vtables of the connectors in this folder. */
#ifndef WR_SOURCE_CONNECTORS_H
#define WR_SOURCE_CONNECTORS_H

#include "weir/source.h"

extern const struct wr_source_ops wr_source_kafka;
extern const struct wr_source_ops wr_source_kinesis;
extern const struct wr_source_ops wr_source_eventhubs;
extern const struct wr_source_ops wr_source_file;
extern const struct wr_source_ops wr_source_datagen;
extern const struct wr_source_ops wr_source_nexmark;
extern const struct wr_source_ops wr_source_http;
extern const struct wr_source_ops wr_source_mqtt;
extern const struct wr_source_ops wr_source_pubsub;

#endif
