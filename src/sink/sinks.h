/* sinks.h: the connectors of this folder, for sink_registry.c and their tests. */
#ifndef WR_SINK_SINKS_H
#define WR_SINK_SINKS_H

#include "weir/sink.h"

extern const struct wr_sink_ops wr_sink_blackhole;
extern const struct wr_sink_ops wr_sink_delta;
extern const struct wr_sink_ops wr_sink_eventhubs;
extern const struct wr_sink_ops wr_sink_file;
extern const struct wr_sink_ops wr_sink_kafka;
extern const struct wr_sink_ops wr_sink_kinesis;
extern const struct wr_sink_ops wr_sink_parquet;
extern const struct wr_sink_ops wr_sink_pubsub;
extern const struct wr_sink_ops wr_sink_stdout;

#endif
