#include "run/catalog.h"

#include "config/common_options.h"
#include "decode/decoder.h"
#include "weir/sink.h"
#include "weir/source.h"

/* Rows of the registries are few: fixed tables with room, checked. */
#define CATALOG_MAX 32

static struct wr_sql_connector sources[CATALOG_MAX];
static struct wr_sql_connector sinks[CATALOG_MAX];
static struct wr_sql_format decode_formats[CATALOG_MAX];
static const struct wr_option no_options[] = { { .name = NULL } };
static const struct wr_sql_format encode_formats[] = { { "json", no_options, NULL, false },
                                                       { "csv", no_options, NULL, true },
                                                       { .name = NULL } };
static struct wr_sql_catalog catalog;

static void build(void)
{
    for (uint32_t i = 0; wr_sources[i] != NULL && i + 1 < CATALOG_MAX; i++) {
        const struct wr_source_ops *ops = wr_sources[i];
        sources[i] = (struct wr_sql_connector){ .name = ops->name,
                                                .options = ops->options,
                                                .makes_columns = ops->makes_columns,
                                                .is_file = ops->is_file,
                                                .unavailable = ops->unavailable,
                                                .own_columns = ops->own_columns };
        memcpy(sources[i].metadata, ops->metadata, sizeof ops->metadata);
    }
    for (uint32_t i = 0; wr_sinks[i] != NULL && i + 1 < CATALOG_MAX; i++) {
        sinks[i] = (struct wr_sql_connector){ .name = wr_sinks[i]->name,
                                              .options = wr_sinks[i]->options,
                                              .makes_columns = !wr_sinks[i]->has_format,
                                              .unavailable = wr_sinks[i]->unavailable };
    }
    for (uint32_t i = 0; wr_decoders[i].name != NULL && i + 1 < CATALOG_MAX; i++) {
        decode_formats[i] = (struct wr_sql_format){ wr_decoders[i].name, wr_decoders[i].options,
                                                    wr_decoders[i].columns,
                                                    wr_decoders[i].header != NULL };
    }
    catalog = (struct wr_sql_catalog){ .sources = sources,
                                       .sinks = sinks,
                                       .decode_formats = decode_formats,
                                       .encode_formats = encode_formats,
                                       .source_common = wr_source_common_options,
                                       .sink_common = wr_sink_common_options,
                                       .settings = wr_setting_options };
}

const struct wr_sql_catalog *wr_catalog(void)
{
    if (catalog.sources == NULL) {
        build();
    }
    return &catalog;
}

static wr_status check_sources(const struct wr_plan *plan, struct wr_error *err)
{
    for (uint32_t s = 0; s < plan->source_count; s++) {
        for (uint32_t i = 0; wr_sources[i] != NULL; i++) {
            uint32_t at = plan->sources[s].at;
            if (strcmp(wr_sources[i]->name, plan->sources[s].connector) != 0) {
                continue;
            }
            plan->sources[s].counts_arrivals = wr_sources[i]->counts_arrivals;
            if (wr_sources[i]->check != NULL &&
                wr_sources[i]->check(&plan->sources[s], &at, err) == WR_FAIL) {
                wr_sql_error_at(plan, at, err);
                return WR_FAIL;
            }
        }
    }
    return WR_OK;
}

static wr_status check_sinks(const struct wr_plan *plan, struct wr_error *err)
{
    for (uint32_t k = 0; k < plan->sink_count; k++) {
        for (uint32_t i = 0; wr_sinks[i] != NULL; i++) {
            uint32_t at = plan->sinks[k].at;
            if (strcmp(wr_sinks[i]->name, plan->sinks[k].connector) == 0 &&
                wr_sinks[i]->check != NULL &&
                wr_sinks[i]->check(&plan->sinks[k], &at, err) == WR_FAIL) {
                wr_sql_error_at(plan, at, err);
                return WR_FAIL;
            }
        }
    }
    return WR_OK;
}

wr_status wr_catalog_plan(const char *file, struct wr_slice text,
                          const struct wr_option_pair *overrides, uint32_t count,
                          struct wr_plan **plan, struct wr_error *err)
{
    WR_TRY(wr_sql_plan(file, text, wr_catalog(), overrides, count, plan, err));
    wr_status status = check_sources(*plan, err);
    if (status == WR_OK) {
        status = check_sinks(*plan, err);
    }
    if (status != WR_OK) {
        wr_plan_destroy(*plan);
        *plan = NULL;
    }
    return status;
}
