#include "sink/file_settle.h"

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "store/local_file.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

struct settling {
    const struct wr_file_receipt *receipt;
    struct wr_io *io;
    int fd;
    int spool_fd; /* -1: there is none */
    uint64_t length;
    bool replaced;
};

/* Reads the epoch's part of the spool, and writes it into the file at append_at if append says so.
 * *whole: all of it is there, and it is what was prepared. */
static wr_status read_spool(struct settling *s, uint64_t append_at, bool append, bool *whole,
                            struct wr_error *err)
{
    const struct wr_file_receipt *r = s->receipt;
    struct wr_buf piece = { 0 };
    uint32_t crc = 0;
    uint64_t at = 0;
    int error = 0;
    const char *verb = "read";
    const char *path = r->spool;
    while (at < r->after - r->before && error == 0) {
        const uint64_t left = r->after - r->before - at;
        const size_t bytes = left < WR_SPOOL_PIECE_BYTES ? (size_t)left : WR_SPOOL_PIECE_BYTES;
        size_t got = 0;
        piece.bytes = 0;
        char *into = wr_buf_reserve(&piece, bytes);
        error = wr_file_read_all(s->io, s->spool_fd, into, bytes,
                                 (int64_t)(WR_SPOOL_HEAD_BYTES + r->begin + at), &got);
        if (error == 0 && got < bytes) {
            break;
        }
        crc = wr_crc32c(crc, into, bytes);
        if (error == 0 && append) {
            verb = "write";
            path = r->path;
            error = wr_file_write_all(s->io, s->fd, into, bytes, (int64_t)(append_at + at));
        }
        at += bytes;
    }
    wr_buf_deinit(&piece);
    *whole = at == r->after - r->before && crc == r->crc;
    return error == 0 ? WR_OK : wr_file_fail(err, WR_CLASS_FATAL, error, verb, path);
}

static wr_status shorten(struct settling *s, uint64_t length, struct wr_error *err)
{
    if (ftruncate(s->fd, (off_t)length) < 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, errno, "shorten", s->receipt->path);
    }
    const int error = wr_file_sync(s->io, s->fd);
    return error == 0 ? WR_OK
                      : wr_file_fail(err, WR_CLASS_FATAL, error, "sync", s->receipt->path);
}

static wr_status append_rows(struct settling *s, uint64_t at, struct wr_error *err)
{
    bool whole;
    wr_status status = read_spool(s, at, true, &whole, err);
    const int error = status == WR_OK ? wr_file_sync(s->io, s->fd) : 0;
    if (error != 0) {
        status = wr_file_fail(err, WR_CLASS_FATAL, error, "sync", s->receipt->path);
    }
    if (status != WR_OK) {
        (void)!ftruncate(s->fd, (off_t)at); /* a repetition finds it as it was */
    }
    return status;
}

/* The file is shorter than it is to be. */
static wr_status complete(struct settling *s, struct wr_error *err)
{
    const struct wr_file_receipt *r = s->receipt;
    bool whole = false;
    if (s->spool_fd >= 0) {
        WR_TRY(read_spool(s, 0, false, &whole, err));
    }
    if (!whole && s->length > r->before && !s->replaced) {
        wr_fail(err, WR_CLASS_FATAL, "%s: rows that were committed are missing from its end, and "
                "their spool %s is not there any more", r->path, r->spool != NULL ? r->spool : "");
        wr_error_hint(err, "put the file back as it was, or begin anew: weir state reset");
        return WR_FAIL;
    }
    if (!whole || s->replaced) {
        wr_log_warn("file", "%s was replaced or shortened since the last run; %s", r->path,
                    whole ? "rows of the last epoch are appended to it"
                          : "rows that were in it are not written again");
    }
    if (!whole) {
        return WR_OK;
    }
    const uint64_t at = s->replaced ? s->length : r->before;
    if (s->length > at) {
        WR_TRY(shorten(s, at, err));
    }
    return append_rows(s, at, err);
}

static wr_status settle(struct settling *s, struct wr_error *err)
{
    const struct wr_file_receipt *r = s->receipt;
    struct stat info;
    if (fstat(s->fd, &info) < 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, errno, "look at", r->path);
    }
    s->length = (uint64_t)info.st_size;
    s->replaced = info.st_ino != r->inode || s->length < r->before;
    if (r->before == r->after && s->replaced) {
        return WR_OK; /* nothing is to be said of a new file */
    }
    if (!s->replaced && s->length > r->after) {
        wr_log_warn("file", "%s: its last %" PRIu64 " bytes were written by no committed epoch; "
                    "cutting them off", r->path, s->length - r->after);
        return shorten(s, r->after, err);
    }
    if (!s->replaced && s->length == r->after) {
        return WR_OK;
    }
    return complete(s, err);
}

wr_status wr_file_settle(const struct wr_file_receipt *receipt, struct wr_io *io,
                         struct wr_error *err)
{
    struct settling s = { .receipt = receipt, .io = io, .fd = -1, .spool_fd = -1 };
    s.fd = open(receipt->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (s.fd < 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, errno, "open", receipt->path);
    }
    if (receipt->spool != NULL) {
        s.spool_fd = open(receipt->spool, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    }
    const wr_status status = settle(&s, err);
    if (s.spool_fd >= 0) {
        close(s.spool_fd);
    }
    close(s.fd);
    return status;
}
