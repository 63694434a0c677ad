/* catalog.h: what this build can do, gathered for the SQL binder, `weir connectors` and the checks before a run. */
#ifndef WR_RUN_CATALOG_H
#define WR_RUN_CATALOG_H

#include "sql/sql.h"

/* Built once from wr_sources[], wr_sinks[] and wr_decoders[]. @thread control */
const struct wr_sql_catalog *wr_catalog(void);

/* Plans text and lets every connector check its options; touches no network. */
WR_NODISCARD wr_status wr_catalog_plan(const char *file, struct wr_slice text,
                                       const struct wr_option_pair *overrides, uint32_t count,
                                       struct wr_plan **plan, struct wr_error *err);

#endif
