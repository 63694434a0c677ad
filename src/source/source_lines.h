/* source_lines.h: cuts blocks of text into lines and lends them as records, without copying them.
 *
 * A line that begins in one block and ends in the next is moved once, into the headroom of the next
 * one; one that is longer than the headroom is gathered in a block of its own; one longer than
 * bytes_max is cut to its first WR_LINE_KEPT_BYTES and marked so that no decoder takes it for a
 * row: it becomes one dead letter. Lines end with \n or \r\n; the last one need not; empty lines
 * are no records. In CSV a quoted field may hold line ends (decode/csv.h).
 *
 * Ownership: the cutter holds a reference to the block that it is in; records hold one to theirs.
 * Records go back to the pool that they came from. Threads: one worker.
 * Invariants:
 *   (1) block->begin <= line <= seen <= block->end
 *   (2) bytes [line, seen) hold no line end
 *   (3) all records of one take lie in one block
 */
#ifndef WR_SOURCE_LINES_H
#define WR_SOURCE_LINES_H

#include "batch/records.h"
#include "source/source_block.h"

/* What is kept of a line that is too long: enough to see where it comes from. */
#define WR_LINE_KEPT_BYTES (64u << 10)

/* Records objects, reused. */
struct wr_line_records {
    struct wr_records base; /* first: records and this are the same address */
    struct wr_line_records *next;
    struct wr_block *block;
    struct wr_record items[];
};

struct wr_line_records_pool {
    struct wr_line_records *free;
    uint32_t rows; /* capacity of each */
    uint32_t out;
};

void wr_line_records_pool_init(struct wr_line_records_pool *pool, uint32_t rows);
void wr_line_records_pool_deinit(struct wr_line_records_pool *pool); /* none is out; zeroed is
                                                                      * fine */

struct wr_cutter {
    struct wr_line_records_pool *records;
    bool csv;
    char delimiter;
    char quote;
    size_t bytes_max;
    struct wr_block *block;
    size_t line;
    size_t seen;
    uint32_t state; /* CSV: what is open at seen */
    bool ended;     /* no block follows: what is left is a line */
    /* A line that does not fit a block. */
    struct wr_block *gathered; /* NULL: none */
    bool gathered_whole;       /* its end was found */
    bool gathered_cut;
    int64_t next_position; /* after the last record taken (or skipped empty line) */
};

void wr_cutter_deinit(struct wr_cutter *cutter); /* zeroed is fine */
/* Takes the block's reference. Only when wr_cutter_take gave nothing. */
void wr_cutter_feed(struct wr_cutter *cutter, struct wr_block *block);
static inline void wr_cutter_end(struct wr_cutter *cutter)
{
    cutter->ended = true;
}

/* Up to rows lines of the block, as records with one reference for the caller and refs to the
 * block; NULL: feed it (or, after wr_cutter_end, it is over). */
struct wr_records *wr_cutter_take(struct wr_cutter *cutter, uint32_t rows, int64_t timestamp_us);

#endif
