/* agg.c: which family computes an aggregate, and rows of several aggregates. */
#include "exec/agg.h"

#include "base/assert.h"

/* Picks by the argument's type: integers, floats, decimals. */
static const struct wr_agg_ops *by_number(struct wr_type arg, const struct wr_agg_ops *integer,
                                          const struct wr_agg_ops *floating,
                                          const struct wr_agg_ops *decimal)
{
    if (arg.id == WR_TYPE_DECIMAL) {
        return decimal;
    }
    return wr_type_is_float(arg) ? floating : integer;
}

static const struct wr_agg_ops *ops_of(enum wr_aggregate kind, struct wr_type arg)
{
    switch (kind) {
    case WR_AGG_COUNT_STAR:
    case WR_AGG_COUNT:
        return &wr_agg_count_ops;
    case WR_AGG_COUNT_DISTINCT:
    case WR_AGG_SUM_DISTINCT:
        return &wr_agg_distinct_ops;
    case WR_AGG_SUM:
        return by_number(arg, &wr_agg_sum_integer_ops, &wr_agg_sum_float_ops,
                         &wr_agg_sum_decimal_ops);
    case WR_AGG_AVG:
        return by_number(arg, &wr_agg_avg_integer_ops, &wr_agg_avg_float_ops,
                         &wr_agg_avg_decimal_ops);
    case WR_AGG_MIN:
    case WR_AGG_MAX:
        return wr_type_is_view(arg) ? &wr_agg_extreme_view_ops : &wr_agg_extreme_ops;
    case WR_AGG_STDDEV_POP:
    case WR_AGG_STDDEV_SAMP:
    case WR_AGG_VAR_POP:
    case WR_AGG_VAR_SAMP:
        return &wr_agg_variance_ops;
    case WR_AGG_BOOL_AND:
    case WR_AGG_BOOL_OR:
        return &wr_agg_bool_ops;
    case WR_AGG_FIRST_VALUE:
    case WR_AGG_LAST_VALUE:
        return &wr_agg_edge_ops;
    case WR_AGG_APPROX_COUNT_DISTINCT:
        return &wr_agg_hll_ops;
    case WR_AGG_APPROX_PERCENTILE:
        return &wr_agg_percentile_ops;
    case WR_AGG_COUNT_:
        break;
    }
    wr_assert_failed("unknown aggregate", __FILE__, __LINE__);
}

static uint32_t state_bytes_of(const struct wr_agg *agg)
{
    const struct wr_agg_ops *ops = agg->ops;
    if (ops == &wr_agg_bool_ops) {
        return 0; /* two flags say it all */
    }
    if (ops == &wr_agg_avg_integer_ops || ops == &wr_agg_avg_float_ops) {
        return 16;
    }
    if (ops == &wr_agg_sum_decimal_ops || ops == &wr_agg_variance_ops) {
        return 24;
    }
    if (ops == &wr_agg_avg_decimal_ops) {
        return 32;
    }
    if (ops == &wr_agg_extreme_ops || ops == &wr_agg_extreme_view_ops) {
        return agg->width;
    }
    if (ops == &wr_agg_edge_ops) {
        return 24 + agg->width; /* time, source and split, position, value */
    }
    return 8; /* a number, or a pointer to a block */
}

/* Flags share bytes with each other and with the key's NULL bits: a bit less can be a byte less
 * per open key. */
static uint32_t flags_of(const struct wr_agg *agg)
{
    const struct wr_agg_ops *ops = agg->ops;
    if (ops == &wr_agg_sum_integer_ops || ops == &wr_agg_avg_integer_ops ||
        ops == &wr_agg_bool_ops || ops == &wr_agg_edge_ops) {
        return 2;
    }
    if (ops == &wr_agg_sum_float_ops || ops == &wr_agg_sum_decimal_ops ||
        ops == &wr_agg_avg_decimal_ops || ops == &wr_agg_extreme_ops ||
        ops == &wr_agg_extreme_view_ops) {
        return 1;
    }
    return 0; /* a count or a pointer says whether there was a value */
}

void wr_agg_init(struct wr_agg *agg, const struct wr_plan_aggregate *plan,
                 struct wr_state_pool *pool)
{
    memset(agg, 0, sizeof *agg);
    agg->kind = plan->kind;
    agg->arg = plan->arg != NULL ? plan->arg->type : wr_type_of(WR_TYPE_NULL);
    agg->type = plan->type;
    agg->width = wr_type_width(agg->arg);
    agg->parameter = plan->parameter;
    agg->pool = pool;
    agg->ops = ops_of(plan->kind, agg->arg);
    agg->bytes = state_bytes_of(agg);
    agg->bits = flags_of(agg);
}

void wr_agg_merge_row(const struct wr_agg_list *list, uint8_t *into, const uint8_t *row)
{
    for (uint32_t i = 0; i < list->count; i++) {
        list->items[i].ops->merge(&list->items[i], into, row);
    }
}

void wr_agg_release_row(const struct wr_agg_list *list, uint8_t *row)
{
    for (uint32_t i = 0; list->has_blocks && i < list->count; i++) {
        if (list->items[i].ops->release != NULL) {
            list->items[i].ops->release(&list->items[i], row);
        }
    }
}
