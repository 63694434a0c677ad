#include "sink/guarantee.h"

#include <string.h>

wr_status wr_sink_check_at_least_once(const struct wr_plan_sink *plan, uint32_t *bad_at,
                                      struct wr_error *err)
{
    const char *guarantee = wr_options_text(plan->options, "guarantee");
    if (guarantee == NULL || strcmp(guarantee, "exactly_once") != 0) {
        return WR_OK;
    }
    *bad_at = wr_options_at(plan->options, "guarantee");
    wr_fail(err, WR_CLASS_USER, "connector '%s' cannot take back what it has shown: "
            "guarantee = 'exactly_once' is not possible", plan->connector);
    wr_error_hint(err, "remove guarantee, or write to connector = 'file', 'parquet' or 'delta'");
    return WR_FAIL;
}
