/* sim_registry.c: the tables of connectors and stores of the simulation, linked in place of the program's own. */
#include "sim_connectors.h"

#include "sink/sinks.h"

const struct wr_source_ops *const wr_sources[] = { &sim_source_ops, NULL };

const struct wr_sink_ops *const wr_sinks[] = { &sim_table_ops, &sim_log_ops,
                                             &wr_sink_delta,
                                             &wr_sink_parquet, NULL };

const struct wr_store_ops *const wr_stores[] = { &sim_store_ops, NULL };
