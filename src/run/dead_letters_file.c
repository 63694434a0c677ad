/* dead_letters_file.c: dead letters in a file of lines; positions are bytes. */
#include "run/dead_letters_parts.h"

#include "base/heap.h"
#include "base/limits.h"
#include "batch/records.h"
#include "config/option.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES (256u << 10)
/* A record's bytes as JSON text: six for each at worst (\u0000), and its key and headers. Longer lines are no letters. */
#define LINE_BYTES_MAX ((size_t)WR_RECORD_BYTES_MAX * 8 + (1u << 20))

struct line_reader {
    int fd;
    int64_t at;        /* of the next piece */
    int64_t line;      /* position of buf's first unused byte */
    struct wr_buf buf;
    size_t used;
    size_t seen;       /* [used, seen) holds no line end */
    bool skipping;     /* a line that is too long */
};

static const char *path_of(const struct wr_letters *letters)
{
    const char *path = wr_options_text(letters->sink->options, "path");
    return strncmp(path, "file://", 7) == 0 ? path + 7 : path;
}

static wr_status open_file(const struct wr_letters *letters, int *fd, struct wr_error *err)
{
    const char *path = path_of(letters);
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    wr_ensure(*fd >= 0, err, WR_CLASS_USER, "cannot open %s: %s", path, strerror(errno));
    return WR_OK;
}

static wr_status file_open(struct wr_letters *letters, struct wr_error *err)
{
    const char *path = path_of(letters);
    const char *slash = strrchr(path, '/');
    struct stat info;
    if (stat(path, &info) != 0) {
        wr_ensure(errno == ENOENT, err, WR_CLASS_USER, "cannot look at %s: %s", path, strerror(errno));
        return WR_OK; /* no dead letters yet */
    }
    wr_ensure(S_ISREG(info.st_mode), err, WR_CLASS_USER, "%s is not a regular file: its dead letters are gone", path);
    wr_letters_add_part(letters, slash != NULL ? slash + 1 : path);
    return WR_OK;
}

static void file_close(struct wr_letters *letters)
{
}

static ssize_t read_at(int fd, void *into, size_t bytes, int64_t at)
{
    ssize_t got;
    do {
        got = pread(fd, into, bytes, (off_t)at);
    } while (got < 0 && errno == EINTR);
    return got;
}

/* Behind the last line end: an append that a crash cut short is no letter. */
static wr_status file_span(struct wr_letters *letters, uint32_t part, int64_t *begin, int64_t *end,
                           struct wr_error *err)
{
    char piece[4096];
    int fd;
    struct stat info;
    WR_TRY(open_file(letters, &fd, err));
    *begin = 0;
    *end = fstat(fd, &info) == 0 ? info.st_size : 0;
    while (*end > 0) {
        const size_t want = *end < (int64_t)sizeof piece ? (size_t)*end : sizeof piece;
        const ssize_t got = read_at(fd, piece, want, *end - (int64_t)want);
        if (got != (ssize_t)want) {
            close(fd);
            return wr_fail(err, WR_CLASS_FATAL, "cannot read %s: %s", path_of(letters),
                           got < 0 ? strerror(errno) : "it became shorter");
        }
        const char *last = memrchr(piece, '\n', want);
        if (last != NULL) {
            *end -= (int64_t)want - (last + 1 - piece);
            break;
        }
        *end -= (int64_t)want;
    }
    close(fd);
    return WR_OK;
}

static wr_status file_head(struct wr_letters *letters, uint32_t part, char *into, size_t *bytes,
                           struct wr_error *err)
{
    int fd;
    WR_TRY(open_file(letters, &fd, err));
    const ssize_t got = read_at(fd, into, *bytes, 0);
    close(fd);
    wr_ensure(got >= 0, err, WR_CLASS_FATAL, "cannot read %s", path_of(letters));
    *bytes = (size_t)got;
    return WR_OK;
}

static wr_status file_reader_open(struct wr_letter_reader *reader, struct wr_error *err)
{
    struct line_reader *r = wr_calloc(1, sizeof *r);
    r->fd = -1;
    r->at = reader->from;
    r->line = reader->from;
    reader->own = r;
    return open_file(reader->letters, &r->fd, err);
}

/* WR_END: nothing more before `to`. */
static wr_status fill(struct wr_letter_reader *reader, struct line_reader *r, struct wr_error *err)
{
    if (r->used > 0) {
        memmove(r->buf.data, r->buf.data + r->used, r->buf.bytes - r->used);
        r->buf.bytes -= r->used;
        r->seen -= r->used;
        r->used = 0;
    }
    const int64_t left = reader->to - r->at;
    const size_t want = left < (int64_t)PIECE_BYTES ? (size_t)(left > 0 ? left : 0) : PIECE_BYTES;
    if (want == 0) {
        return WR_END;
    }
    const ssize_t got = read_at(r->fd, wr_buf_reserve(&r->buf, want), want, r->at);
    wr_ensure(got > 0, err, WR_CLASS_FATAL, "cannot read %s: %s", path_of(reader->letters),
              got < 0 ? strerror(errno) : "it became shorter");
    r->buf.bytes += (size_t)got;
    r->at += got;
    return WR_OK;
}

static wr_status file_next(struct wr_letter_reader *reader, struct wr_letter *letter,
                           struct wr_error *err)
{
    struct line_reader *r = reader->own;
    const char *end = NULL;
    letter->position = r->line;
    while (end == NULL) {
        if (r->seen < r->buf.bytes) {
            end = memchr(r->buf.data + r->seen, '\n', r->buf.bytes - r->seen);
        }
        r->seen = end != NULL ? (size_t)(end + 1 - r->buf.data) : r->buf.bytes;
        if (end == NULL) {
            if (r->buf.bytes - r->used > LINE_BYTES_MAX || r->skipping) {
                r->line += (int64_t)(r->buf.bytes - r->used);
                r->used = r->seen;
                r->skipping = true;
            }
            WR_TRY(fill(reader, r, err));
        }
    }
    const struct wr_slice line = { r->buf.data + r->used, (size_t)(end - r->buf.data) - r->used };
    r->line += (int64_t)(line.bytes + 1);
    r->used = r->seen;
    letter->next_position = r->line;
    if (r->skipping) {
        r->skipping = false;
        *letter = (struct wr_letter){ .position = letter->position, .next_position = r->line };
        return WR_OK;
    }
    wr_letter_parse(reader->scratch, line, letter);
    return WR_OK;
}

static void file_reader_close(struct wr_letter_reader *reader)
{
    struct line_reader *r = reader->own;
    if (r != NULL) {
        if (r->fd >= 0) {
            close(r->fd);
        }
        wr_buf_deinit(&r->buf);
        free(r);
    }
}

const struct wr_letters_ops wr_letters_file = { .connector = "file",
                                                .open = file_open,
                                                .close = file_close,
                                                .span = file_span,
                                                .head = file_head,
                                                .reader_open = file_reader_open,
                                                .next = file_next,
                                                .reader_close = file_reader_close };
