/* plan.c: see plan.h. */
#include "plan/plan.h"

#include <stdlib.h>

void wr_plan_destroy(struct wr_plan *plan)
{
    if (plan != NULL) {
        wr_arena_deinit(&plan->arena);
        free(plan);
    }
}

const char *wr_aggregate_name(enum wr_aggregate kind)
{
    switch (kind) {
    case WR_AGG_COUNT_STAR:
    case WR_AGG_COUNT:
    case WR_AGG_COUNT_DISTINCT:
        return "count";
    case WR_AGG_SUM:
    case WR_AGG_SUM_DISTINCT:
        return "sum";
    case WR_AGG_AVG:
        return "avg";
    case WR_AGG_MIN:
        return "min";
    case WR_AGG_MAX:
        return "max";
    case WR_AGG_STDDEV_POP:
        return "stddev_pop";
    case WR_AGG_STDDEV_SAMP:
        return "stddev_samp";
    case WR_AGG_VAR_POP:
        return "var_pop";
    case WR_AGG_VAR_SAMP:
        return "var_samp";
    case WR_AGG_BOOL_AND:
        return "bool_and";
    case WR_AGG_BOOL_OR:
        return "bool_or";
    case WR_AGG_FIRST_VALUE:
        return "first_value";
    case WR_AGG_LAST_VALUE:
        return "last_value";
    case WR_AGG_APPROX_COUNT_DISTINCT:
        return "approx_count_distinct";
    case WR_AGG_APPROX_PERCENTILE:
        return "approx_percentile";
    case WR_AGG_COUNT_:
        break;
    }
    return "?";
}
