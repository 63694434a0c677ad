/* header_json.h: a record's header as JSON: what is text as a string, other bytes as {"base64": "..."}, so that they can be had back.
 * Threads: pure functions. */
#ifndef WR_BATCH_HEADER_JSON_H
#define WR_BATCH_HEADER_JSON_H

#include "base/buf.h"

void wr_header_json_put(struct wr_buf *buf, const char *data, size_t bytes);

#endif
