/* file_stream.c: see file_stream.h. */
#include "source/file_stream.h"

#include "base/assert.h"
#include "base/heap.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void detect(struct wr_file_stream *s, const void *data, size_t bytes)
{
    s->codec = wr_file_codec_of(data, bytes);
    s->detected = true;
    if (s->codec != WR_FILE_PLAIN) {
        s->unpack = wr_unpack_create(s->codec);
    }
}

static wr_status shorter(const struct wr_file_stream *s, int64_t start, struct wr_error *err)
{
    (void)wr_fail(err, WR_CLASS_FATAL, "%s ends before byte %lld, up to which it was read before",
                  s->path, (long long)start);
    wr_error_hint(err, "it was truncated or replaced: put the file back, or give new data under a "
                       "new name");
    return WR_FAIL;
}

/* Makes the stream begin at start, which lies behind origin. */
static wr_status go_to(struct wr_file_stream *s, int64_t origin, int64_t start,
                       struct wr_error *err)
{
    char head[4];
    ssize_t got;
    wr_ensure(s->regular, err, WR_CLASS_FATAL, "%s is not a regular file: it cannot be read from "
              "byte %lld on", s->path, (long long)start);
    do {
        got = pread(s->fd, head, sizeof head, s->base);
    } while (got < 0 && errno == EINTR);
    wr_ensure(got >= 0, err, WR_CLASS_FATAL, "cannot read %s: %s", s->path, strerror(errno));
    detect(s, head, (size_t)got);
    if (s->codec != WR_FILE_PLAIN) {
        s->skip_until = start;
        return WR_OK;
    }
    if (start - origin > s->limit - s->base) {
        return shorter(s, start, err);
    }
    s->asked = s->base + (start - origin);
    s->at_end = s->asked >= s->limit;
    s->text_bytes = start;
    return WR_OK;
}

wr_status wr_file_stream_open(struct wr_file_stream *s, const char *path, int64_t origin,
                              int64_t start, struct wr_io *io, struct wr_block_pool *pool,
                              struct wr_error *err)
{
    wr_assert(origin >= 0 && start >= origin);
    *s = (struct wr_file_stream){
        .io = io, .pool = pool, .path = path, .fd = -1, .text_bytes = origin
    };
    const bool input = strcmp(path, "-") == 0;
    /* A duplicate, so that closing the stream leaves standard input alone. */
    s->fd = input ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (s->fd < 0 || fstat(s->fd, &info) != 0) {
        const int cause = errno;
        (void)wr_fail(err, WR_CLASS_FATAL, "cannot open %s: %s", input ? "standard input" : path,
                      strerror(cause));
        if (cause == EMFILE || cause == ENFILE) {
            wr_error_hint(err, "allow more open files: ulimit -n 65536");
        }
        return WR_FAIL;
    }
    wr_ensure(!S_ISDIR(info.st_mode), err, WR_CLASS_FATAL, "%s is a directory", path);
    s->regular = S_ISREG(info.st_mode);
    if (s->regular) {
        const off_t at = input ? lseek(s->fd, 0, SEEK_CUR) : 0;
        s->base = at > 0 ? at : 0;
        s->asked = s->base;
        s->limit = info.st_size > 0 ? info.st_size : INT64_MAX; /* /proc has files of size 0 */
        if (start > origin && info.st_size == 0) {
            return shorter(s, start, err);
        }
        s->at_end = s->asked >= s->limit;
        (void)posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    return start > origin ? go_to(s, origin, start, err) : WR_OK;
}

/* ---- reading ---- */

static void fail(struct wr_file_stream *s, int cause)
{
    s->broken = true;
    s->failed_errno = cause;
    s->at_end = true;
}

static void ready(struct wr_file_stream *s, struct wr_block *block)
{
    block->ready = true;
    s->under_way--; /* (2) */
}

/* Asks for the bytes of the block that are still missing. */
static void ask(struct wr_file_stream *s, struct wr_block *block)
{
    block->op.buffer = block->data + block->end;
    block->op.bytes = (uint32_t)(block->wanted - block->end);
    block->op.offset = s->regular ? block->position + (int64_t)(block->end - block->begin) : -1;
    wr_io_submit(s->io, &block->op);
}

static void read_done(struct wr_io_op *op)
{
    struct wr_file_stream *s = op->ctx;
    struct wr_block *block = (struct wr_block *)((char *)op - offsetof(struct wr_block, op));
    if (s->closing) {
        ready(s, block);
        return;
    }
    if (op->result > 0) {
        block->end += (size_t)op->result;
        if (s->regular && block->end < block->wanted) {
            ask(s, block); /* a short read: the next block's offset is already fixed */
            return;
        }
    } else if (op->result == 0) {
        s->at_end = true;
        if (s->regular && s->limit != INT64_MAX) {
            fail(s, 0); /* it has become shorter */
        }
    } else if (op->result == -EINTR || op->result == -EAGAIN) {
        ask(s, block);
        return;
    } else {
        fail(s, -op->result);
    }
    ready(s, block);
}

void wr_file_stream_pump(struct wr_file_stream *s)
{
    const uint32_t most = s->regular && s->limit != INT64_MAX ? WR_FILE_READ_AHEAD : 1;
    while (!s->at_end && s->queued < WR_FILE_READ_AHEAD && s->under_way < most) {
        struct wr_block *block = wr_block_take(s->pool);
        if (block == NULL) {
            return;
        }
        block->wanted = block->capacity;
        if (s->regular) {
            const int64_t left = s->limit - s->asked;
            const int64_t room = (int64_t)(block->capacity - block->begin);
            block->wanted = block->begin + (size_t)(left < room ? left : room);
            block->position = s->asked; /* of the file, until it is given away */
            s->asked += (int64_t)(block->wanted - block->begin);
            s->at_end = s->asked >= s->limit;
        }
        block->op = (struct wr_io_op){
            .kind = WR_IO_READ, .fd = s->fd, .done = read_done, .ctx = s
        };
        if (s->last != NULL) {
            s->last->next = block;
        } else {
            s->first = block;
        }
        s->last = block;
        s->queued++;
        s->under_way++;
        ask(s, block);
    }
}

/* ---- giving ---- */

static struct wr_block *unqueue(struct wr_file_stream *s)
{
    struct wr_block *block = s->first;
    s->first = block->next;
    if (s->first == NULL) {
        s->last = NULL;
    }
    block->next = NULL;
    s->queued--;
    return block;
}

static wr_status read_failed(const struct wr_file_stream *s, struct wr_error *err)
{
    if (s->failed_errno == 0) {
        (void)wr_fail(err, WR_CLASS_FATAL, "%s became shorter while it was being read", s->path);
        wr_error_hint(err, "give a file under a new name once it is complete (mv is atomic)");
        return WR_FAIL;
    }
    return wr_fail(err, WR_CLASS_FATAL, "cannot read %s: %s", s->path, strerror(s->failed_errno));
}

static wr_status give(struct wr_file_stream *s, struct wr_block *block, struct wr_block **out)
{
    block->position = s->text_bytes;
    s->text_bytes += (int64_t)(block->end - block->begin);
    *out = block;
    return WR_OK;
}

static wr_status damaged(const struct wr_file_stream *s, struct wr_error *err)
{
    wr_error_prefix(err, "%s", s->path);
    err->cls = WR_CLASS_FATAL; /* no record is bad: what follows cannot be read at all */
    wr_error_hint(err,
                  "see what is wrong with it: %s -t '%s'; replace the file, or take it out of path",
                  wr_file_codec_name(s->codec), s->path);
    return WR_FAIL;
}

/* Unpacks what has come into the text block; gives it when it is full or the file over. */
static wr_status unpack_block(struct wr_file_stream *s, struct wr_block **out,
                               struct wr_error *err)
{
    if (s->text == NULL && (s->text = wr_block_take(s->pool)) == NULL) {
        return WR_AGAIN;
    }
    struct wr_block *text = s->text;
    for (;;) {
        struct wr_block *raw = s->first != NULL && s->first->ready ? s->first : NULL;
        const size_t before = text->end;
        size_t none = 0;
        if (wr_unpack_run(s->unpack, raw != NULL ? raw->data + raw->begin : "",
                          raw != NULL ? &s->first_used : &none,
                          raw != NULL ? raw->end - raw->begin : 0, text->data, &text->end,
                          text->capacity, err) != WR_OK) {
            return damaged(s, err);
        }
        if (text->end == text->capacity) {
            break;
        }
        if (raw != NULL && s->first_used == raw->end - raw->begin) {
            wr_block_release(unqueue(s));
            s->first_used = 0;
            wr_file_stream_pump(s);
        } else if (s->first != NULL) {
            if (!s->regular && text->end > text->begin) {
                break; /* a pipe: what is here is not held back for what may come */
            }
            return WR_AGAIN;
        } else if (!s->at_end) {
            return WR_AGAIN;
        } else if (text->end == before) {
            break; /* all is out */
        }
    }
    if (text->end == text->begin) {
        wr_block_release(text);
        s->text = NULL;
        return wr_unpack_finish(s->unpack, err) == WR_OK ? WR_END : damaged(s, err);
    }
    s->text = NULL;
    return give(s, text, out);
}

/* The next unpacked block behind what earlier runs gave. */
static wr_status next_unpacked(struct wr_file_stream *s, struct wr_block **out,
                               struct wr_error *err)
{
    for (;;) {
        const wr_status status = unpack_block(s, out, err);
        if (status == WR_END && s->text_bytes < s->skip_until) {
            return shorter(s, s->skip_until, err);
        }
        if (status != WR_OK) {
            return status;
        }
        if (s->text_bytes <= s->skip_until) {
            wr_block_release(*out);
            continue;
        }
        struct wr_block *block = *out;
        if (block->position < s->skip_until) {
            block->begin += (size_t)(s->skip_until - block->position);
            block->position = s->skip_until;
        }
        return WR_OK;
    }
}

wr_status wr_file_stream_next(struct wr_file_stream *s, struct wr_block **out,
                              struct wr_error *err)
{
    wr_file_stream_pump(s);
    if (s->broken && (s->first == NULL || s->first->ready)) {
        return read_failed(s, err);
    }
    if (!s->detected) {
        if (s->first == NULL) {
            return s->at_end ? WR_END : WR_AGAIN;
        }
        if (!s->first->ready) {
            return WR_AGAIN;
        }
        detect(s, s->first->data + s->first->begin, s->first->end - s->first->begin);
    }
    if (s->codec != WR_FILE_PLAIN) {
        return next_unpacked(s, out, err);
    }
    while (s->first != NULL && s->first->ready) {
        struct wr_block *block = unqueue(s);
        if (block->end > block->begin) {
            wr_file_stream_pump(s);
            return give(s, block, out);
        }
        wr_block_release(block);
        wr_file_stream_pump(s);
    }
    return s->first == NULL && s->at_end ? WR_END : WR_AGAIN;
}

void wr_file_stream_close(struct wr_file_stream *s)
{
    if (s->io == NULL) {
        return;
    }
    s->at_end = true;
    s->closing = true;
    for (struct wr_block *block = s->first; block != NULL; block = block->next) {
        if (!block->ready) {
            wr_io_cancel(s->io, &block->op);
        }
    }
    while (s->under_way > 0) {
        wr_io_turn(s->io, -1); /* (2): the loop still owns buffers */
    }
    while (s->first != NULL) {
        wr_block_release(unqueue(s));
    }
    wr_block_release(s->text);
    wr_unpack_destroy(s->unpack);
    if (s->fd >= 0) {
        close(s->fd);
    }
    *s = (struct wr_file_stream){ 0 };
}
