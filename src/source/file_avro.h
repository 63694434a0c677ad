/* file_avro.h: cuts an Avro object container file into its records (internal to the connector 'file').
 *
 * Positions are numbers of records, from 0 in each file; where the next one lies is told beside it (wr_avro_cutter_place): the file
 * offset of a block and how many records of it were given. The decoder finds a record's schema as its header `avro.schema`, and
 * dead letters keep it, so that they can be read again without the file.
 *
 * What is damaged becomes one record with the header `weir.damage`, which no decoder takes for a row: a block that cannot be
 * unpacked, the rest of one behind a record that cannot be stepped over, everything up to the next sync marker where a block is not
 * what it says. The blocks behind it are read. A file without a readable header is one such record.
 *
 * Ownership: a cutter belongs to one file; its schemas to the pool, which outlives all records. Threads: one worker.
 * Invariants:
 *   (1) pending[at] lies at file offset `offset`
 *   (2) from one place the same file gives the same records again, whatever the sizes of the reads
 */
#ifndef WR_SOURCE_FILE_AVRO_H
#define WR_SOURCE_FILE_AVRO_H

#include "batch/records.h"
#include "decode/avro_container.h"
#include "source/source_block.h"

struct wr_avro_records;
struct wr_avro_writer_schema;

struct wr_avro_pool {
    struct wr_avro_records *free;
    struct wr_avro_writer_schema *schemas; /* one of each text: files of a source have few */
    struct wr_avro_unpack unpack;
    uint32_t rows;
    uint32_t out;
};

void wr_avro_pool_init(struct wr_avro_pool *pool, uint32_t rows);
void wr_avro_pool_deinit(struct wr_avro_pool *pool); /* none is out; zeroed is fine */

/* Where a file's reading goes on. */
struct wr_avro_place {
    int64_t block; /* file offset of a block; 0: not known, or the first */
    uint64_t given; /* records of it (of the file, when block is 0) that were given */
};

struct wr_avro_cutter {
    struct wr_avro_pool *pool;
    struct wr_avro_writer_schema *schema; /* NULL: the header is still to come, or is none */
    enum wr_avro_codec codec;
    uint8_t sync[WR_AVRO_SYNC_BYTES];
    struct wr_buf pending;
    size_t at;
    int64_t offset;
    bool ended;   /* nothing is fed any more */
    bool no_file; /* the header cannot be read: all of it is one damage */
    /* The block at hand. */
    struct wr_block *block; /* its records; NULL: none */
    size_t next;            /* the next one's first byte */
    uint64_t left;
    int64_t block_offset;
    uint64_t given; /* of it */
    uint64_t skip;  /* of those to come: an earlier run had them */
    int64_t row;    /* the next record's number */
    int64_t jump;   /* once the header is read, go on at that offset; 0: behind it */
    /* What is being stepped over. */
    bool lost;
    struct wr_buf lost_bytes; /* its beginning */
    uint64_t lost_count;      /* of bytes */
    char damage[200];
};

/* row: number of the record at place. What is fed first is the file's beginning. */
void wr_avro_cutter_init(struct wr_avro_cutter *cutter, struct wr_avro_pool *pool, int64_t row,
                         struct wr_avro_place place);
void wr_avro_cutter_deinit(struct wr_avro_cutter *cutter); /* zeroed is fine */
/* Copies the block's bytes, which follow those fed before. */
void wr_avro_cutter_feed(struct wr_avro_cutter *cutter, const struct wr_block *block);
/* The header has been read, and the place is further on: *offset is where what is fed next comes from. Asked when take gave nothing. */
bool wr_avro_cutter_jumps(struct wr_avro_cutter *cutter, int64_t *offset);
static inline void wr_avro_cutter_end(struct wr_avro_cutter *cutter)
{
    cutter->ended = true;
}

/* Up to rows records; NULL: feed it (or, after wr_avro_cutter_end, it is over). */
struct wr_records *wr_avro_cutter_take(struct wr_avro_cutter *cutter, uint32_t rows);
/* Of the record behind those taken. */
struct wr_avro_place wr_avro_cutter_place(const struct wr_avro_cutter *cutter);

#endif
