/* receipt_json.h: what sinks read of receipts: JSON that an earlier process left in a manifest, and
 * so bytes from outside. */
#ifndef WR_SINK_RECEIPT_JSON_H
#define WR_SINK_RECEIPT_JSON_H

#include "weir/sink.h"
#include <jansson.h>

/* The receipt as a JSON object; free with json_decref. FATAL with the sink's name when it is
 * none. */
WR_NODISCARD wr_status wr_receipt_parse(const struct wr_sink_env *env,
                                        const struct wr_receipt *receipt, json_t **object,
                                        struct wr_error *err);
/* A receipt whose members are not what they should be: FATAL, names the sink and the member. */
wr_status wr_receipt_bad(const struct wr_sink_env *env, const char *member, struct wr_error *err);

/* A non-negative integer member. */
WR_NODISCARD wr_status wr_receipt_u64(const struct wr_sink_env *env, const json_t *object,
                                      const char *member, uint64_t *value, struct wr_error *err);
/* A text member, borrowed from object. */
WR_NODISCARD wr_status wr_receipt_text(const struct wr_sink_env *env, const json_t *object,
                                       const char *member, const char **value,
                                       struct wr_error *err);

#endif
