/* kinesis_block.h: one answer of GetRecords, or one event of SubscribeToShard, read in place: its strings are decoded where they
 * stand, and records point there.
 *
 * Ownership: a block owns the answer's bytes; records that are lent hold references. refs is a plain number of whoever has the
 * block: the thread that fetched it, then the worker that reads it.
 * Invariants:
 *   (1) positions of items are dense: the shard's count of records given before, then one more each
 *   (2) an answer is taken whole or, when it is not understood, not at all
 */
#ifndef WR_SOURCE_KINESIS_BLOCK_H
#define WR_SOURCE_KINESIS_BLOCK_H

#include "batch/records.h"
#include "source/kinesis_kpl.h"

/* AWS's own limit: 0 or up to 129 digits. */
#define WR_KINESIS_SEQUENCE_BYTES_MAX 129u

struct wr_kinesis_mark {
    const char *sequence;
    uint8_t sequence_bytes;
    bool packed; /* one of several in a record of the producer library */
    bool last;   /* nothing follows in that record */
    uint32_t sub;
};

struct wr_kinesis_block {
    struct wr_kinesis_block *next;
    uint32_t refs;
    uint32_t count;
    uint32_t given;
    uint64_t held; /* bytes of memory, all in all */
    struct wr_buf body;
    struct wr_record *items;
    struct wr_kinesis_mark *marks;
    /* What comes behind the items. */
    bool caught_up;
    bool unreachable;
    bool ended;  /* the shard is read to its end (bounded: to the end that it had) */
    bool closed; /* ended for good: it has no more records */
};

/* Where in a shard: behind a record, or within one that holds several. */
struct wr_kinesis_cursor {
    char sequence[WR_KINESIS_SEQUENCE_BYTES_MAX + 1]; /* "": before the first */
    bool within;  /* sub-records of this record are still to come */
    uint32_t sub; /* within: the last one given */
};

struct wr_kinesis_answer {
    struct wr_slice next_iterator; /* data NULL: none */
    struct wr_slice continuation;  /* likewise */
    struct wr_slice children;      /* JSON array; data NULL: none or empty */
    int64_t behind_ms;             /* -1: not told */
    int64_t last_arrival_ms;       /* of the last record; INT64_MIN: none came */
    uint32_t came;                 /* records of the answer, also those that gave nothing */
    struct wr_slice last_sequence; /* of the last record; data NULL: none came */
};

struct wr_kinesis_block *wr_kinesis_block_create(void);
void wr_kinesis_block_release(struct wr_kinesis_block *block); /* NULL is fine */

/* Reads block->body. cursor: records up to it were given before and are left out. position: of the next record. Slices of answer
 * are borrowed from the block. WR_FAIL (class RETRY): not understood. */
WR_NODISCARD wr_status wr_kinesis_block_read(struct wr_kinesis_block *block, struct wr_kpl *kpl,
                                             const struct wr_hash_range *range,
                                             const struct wr_kinesis_cursor *cursor,
                                             int64_t position, struct wr_kinesis_answer *answer,
                                             struct wr_error *err);

/* Sequence numbers are decimal numbers without leading zeros: <0, 0, >0. */
int wr_kinesis_compare(struct wr_slice a, struct wr_slice b);
bool wr_kinesis_is_sequence(struct wr_slice text);

/* Base64 (RFC 4648, padded) into the same bytes; false: it is none. */
bool wr_kinesis_base64(char *text, size_t bytes, size_t *made);

#endif
