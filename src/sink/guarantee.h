/* guarantee.h: what a sink can promise, asked before anything is opened. */
#ifndef WR_SINK_GUARANTEE_H
#define WR_SINK_GUARANTEE_H

#include "config/option.h"
#include "plan/plan.h"

/* For connectors that show rows at once and cannot take them back: guarantee = 'exactly_once' is
 * refused, bad_at points at it. */
WR_NODISCARD wr_status wr_sink_check_at_least_once(const struct wr_plan_sink *plan,
                                                   uint32_t *bad_at, struct wr_error *err);

#endif
