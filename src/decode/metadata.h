/* metadata.h: the columns that say where a row came from: _topic, _partition, _offset, _timestamp,
 * _key, _headers, _message_id. */
#ifndef WR_DECODE_METADATA_H
#define WR_DECODE_METADATA_H

#include "batch/batch.h"
#include "batch/records.h"

/* In the order of the plan's enum wr_metadata. */
#define WR_METADATA_COLUMNS 7u

/* Fills the batch's metadata columns for rows [0, records->count). columns: per kind the batch's
 * column or UINT32_MAX. topic is borrowed by the batch's views: it must outlive the batch (records whose
 * key is their topic have it there); NULL
 * topic, partition below 0, a missing time, key or headers are NULL. A _key that is not UTF-8 has
 * its ill-formed bytes replaced by U+FFFD. */
void wr_metadata_fill(struct wr_batch *batch, const uint32_t columns[WR_METADATA_COLUMNS],
                      const struct wr_records *records, const char *topic, int32_t partition);

#endif
