/* file_stream.h: one file read ahead through the loop and unpacked: a queue of blocks of its text.
 *
 * Regular files are read at offsets, several blocks at once, up to the size that they had when
 * opened; pipes and terminals one block after the other.
 * Positions are bytes of the text, unpacked, from the file's beginning (standard input: see file.c). To
 * go on at one, a plain file is read from there; a packed one is unpacked from its beginning again.
 * Ownership: of its reader; blocks come from the reader's pools and are given away. Threads: the
 * reader's worker.
 * Invariants:
 *   (1) queue holds blocks in the order of the file; only the first ready ones are taken
 *   (2) under_way == number of queued blocks that are not ready: the loop still writes into them
 */
#ifndef WR_SOURCE_FILE_STREAM_H
#define WR_SOURCE_FILE_STREAM_H

#include "source/file_unpack.h"
#include "source/source_block.h"

/* Blocks of one file under way or waiting: one being cut into lines, one that has come, one that
 * is being read. */
#define WR_FILE_READ_AHEAD 3u

struct wr_file_stream {
    struct wr_io *io;
    struct wr_block_pool *pool;
    const char *path;
    int fd;
    bool regular;
    bool at_end;    /* nothing more to ask for */
    bool closing;
    bool broken;    /* a read failed: failed_errno */
    int failed_errno;
    bool detected;  /* codec is known */
    enum wr_file_codec codec;
    struct wr_unpack *unpack;
    int64_t base;       /* regular: offset that the file was at (standard input may be moved) */
    int64_t limit;      /* regular: where it ends; INT64_MAX: when a read gives nothing */
    int64_t asked;      /* regular: offset of the next read */
    int64_t text_bytes; /* given away: position of the next block */
    int64_t skip_until; /* packed: text before this position was given in an earlier run */
    struct wr_block *first; /* queue */
    struct wr_block *last;
    uint32_t queued;
    uint32_t under_way;
    size_t first_used; /* packed: bytes of the first block that are unpacked */
    struct wr_block *text; /* packed: being filled */
};

/* path (borrowed) "-": standard input. origin: position of the first byte of text; start: of the
 * first one to be given (start > origin only of regular files). */
WR_NODISCARD wr_status wr_file_stream_open(struct wr_file_stream *stream, const char *path,
                                           int64_t origin, int64_t start, struct wr_io *io,
                                           struct wr_block_pool *pool, struct wr_error *err);
/* Waits until the loop has let go of its blocks. A zeroed one is fine. */
void wr_file_stream_close(struct wr_file_stream *stream);

/* Starts reads as far as blocks and read-ahead allow. */
void wr_file_stream_pump(struct wr_file_stream *stream);
/* WR_OK: *block is the next block of text (its reference is the caller's); WR_AGAIN: not yet;
 * WR_END: there is no more. */
WR_NODISCARD wr_status wr_file_stream_next(struct wr_file_stream *stream, struct wr_block **block,
                                           struct wr_error *err);

#endif
