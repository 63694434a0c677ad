/* sim_connectors.h: the connectors and the store of the simulated world. The registries of sim_registry.c stand in place of the
 * program's own. */
#ifndef WR_TESTS_SIM_CONNECTORS_H
#define WR_TESTS_SIM_CONNECTORS_H

#include "store/store_ops.h"
#include "weir/sink.h"
#include "weir/source.h"

extern const struct wr_store_ops sim_store_ops;    /* sim://PREFIX: keys of the world's objects begin with PREFIX/ */
extern const struct wr_source_ops sim_source_ops;  /* 'sim': the broker's splits */
extern const struct wr_sink_ops sim_table_ops;     /* 'simtable': a table with one commit per epoch */
extern const struct wr_sink_ops sim_log_ops;       /* 'simlog': at least once, visible as soon as it is written */

#endif
