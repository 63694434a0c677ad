/* run_config.h: settings (SET, --set, command line) to a checked struct wr_run_config. Threads: control. */
#ifndef WR_RUN_RUN_CONFIG_H
#define WR_RUN_RUN_CONFIG_H

#include "run/pipeline.h"

/* Fills what settings say: workers (default: the cores this process may use), memory (default: half of the container's or
 * machine's memory, at most 2 GiB), batch_rows, ring_batches, commit interval, test_hash. name is made in arena. */
WR_NODISCARD wr_status wr_run_config_settle(struct wr_run_config *config, const struct wr_plan *plan,
                                            struct wr_arena *arena, struct wr_error *err);

/* Memory that this process may use: the smallest of cgroup limit (v2, v1), RLIMIT_AS and the machine's. */
uint64_t wr_memory_available(void);

#endif
