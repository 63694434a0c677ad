/* records.h: a run of raw payloads of one split, as slices of memory that the source owns (interface).
 *
 * Ownership: a source's reader lends records; whoever holds them retains and releases. refs is a plain
 * number: only the worker that polled them touches it. At zero the reader's release() is called, which gives
 * the memory back (Kafka messages, read buffers).
 * Threads: the worker that polled. Other threads may read the bytes while a batch that holds the records
 * lives (batches come home before they are released).
 */
#ifndef WR_BATCH_RECORDS_H
#define WR_BATCH_RECORDS_H

#include "base/slice.h"
#include <stdint.h>

#define WR_RECORD_NO_TIME INT64_MIN

struct wr_record {
    const char *data; /* NULL: a tombstone (Kafka message without a value) */
    uint32_t bytes;
    uint32_t key_bytes;
    const char *key;      /* NULL: no key */
    int64_t position;     /* offset, byte, sequence: unique and growing within the split */
    int64_t timestamp_us; /* when the producer or broker stamped it; WR_RECORD_NO_TIME where unknown */
    void *handle;         /* the reader's (rd_kafka_message_t for headers); else NULL */
};

struct wr_records {
    struct wr_record *items; /* count of them, at most WR_BATCH_ROWS_MAX */
    uint32_t count;
    uint32_t refs;
    uint32_t split; /* index of the split in its source (run gives it meaning) */
    size_t payload_bytes;
    void (*release)(struct wr_records *records); /* refs fell to zero */
    /* Headers of one record as JSON text into the caller's buffer, for dead letters and `_headers`;
     * NULL where the source has none. Returns the slice, empty when the record has no headers. */
    struct wr_slice (*headers_json)(const struct wr_records *records, uint32_t index, void *buf);
    /* The last header of that name as it came, borrowed from the record; data NULL: there is none. NULL where the source has
     * none. */
    struct wr_slice (*header)(const struct wr_records *records, uint32_t index, const char *name);
    /* What the service calls a message, the same in each delivery; borrowed from the record. NULL where the source has none. */
    struct wr_slice (*message_id)(const struct wr_records *records, uint32_t index);
    /* Of payloads that were compressed (decode/payload_unpack.h): the items as they came, for dead letters; and for each item why it
     * could not be unpacked, or NULL. NULL: nothing was. Neither is the source's: they belong to the batch that is made of the records. */
    const struct wr_record *raw;
    const char **unfit;
    bool key_is_topic; /* each record's key is its topic (MQTT): what _topic shows */
    void *owner; /* the reader */
};

static inline void wr_records_retain(struct wr_records *records)
{
    records->refs++;
}

static inline void wr_records_release(struct wr_records *records)
{
    if (records != NULL && --records->refs == 0) {
        records->release(records);
    }
}

#endif
