/* file_settle.h: finishes what a file sink's receipt says, in place of the process that left it.
 *
 * A committed epoch's rows lie in a spool, [begin, begin + after - before) behind its head;
 * published, they are bytes [before, after) of the file. The spool shrinks only once they are. So,
 * by the file's length:
 *
 *   after           published
 *   above after     rows beyond what was ever committed (an older state came back): cut off, with a
 *                   warning
 *   between         an append was cut short: back to before, and once more
 *   before          not published: appended
 *   below before, or another file: somebody replaced it since; the rows are appended if the spool
 *                   still has them
 *
 * Repeating it changes nothing.
 */
#ifndef WR_SINK_FILE_SETTLE_H
#define WR_SINK_FILE_SETTLE_H

#include "base/status.h"
#include "io/loop.h"
#include <stdint.h>

/* Bytes of a spool before its rows. */
#define WR_SPOOL_HEAD_BYTES 36u
/* Copied at once. */
#define WR_SPOOL_PIECE_BYTES (1u << 20)

struct wr_file_receipt {
    const char *path;
    const char *spool; /* NULL: an epoch without rows, before == after */
    uint64_t inode;
    uint64_t before;
    uint64_t after;
    uint64_t begin;
    uint32_t crc; /* CRC32C of those bytes of the spool */
};

WR_NODISCARD wr_status wr_file_settle(const struct wr_file_receipt *receipt, struct wr_io *io,
                                      struct wr_error *err);

#endif
