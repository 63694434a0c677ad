/* spool.c: see spool.h. */
#include "source/spool.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/heap.h"
#include "base/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A new segment after so many bytes: what is committed can be removed piece by piece. */
#define SEGMENT_BYTES ((int64_t)64 << 20)
#define READ_BYTES    (1u << 20)
#define MAGIC         "WSP1"

enum step { STEP_IDLE, STEP_WRITE, STEP_SYNC, STEP_SYNC_DIRECTORY };

struct wr_spool {
    char *directory;
    int directory_fd;
    uint32_t split;
    pthread_mutex_t lock; /* guards starts and count */
    int64_t *starts;      /* positions of the segments, oldest first */
    uint32_t count;
    int64_t start; /* of reading */
    int64_t end;   /* (1) */
    /* Writing; the worker's. */
    int fd;               /* -1: the next batch begins a segment */
    int64_t fd_start;     /* position of its first byte */
    bool directory_due;   /* the segment's name is not yet durable */
    enum step step;
    struct wr_buf batch;
    size_t written;
    struct wr_io_op write_op;
    void (*done)(void *ctx, int error);
    void *done_ctx;
    /* Reading; the worker's. */
    int64_t read_at;      /* position of the next frame */
    int64_t read_end;     /* end as it was when opened */
    int read_fd;
    int64_t read_start;   /* position of the first byte of read_fd */
    int64_t read_limit;   /* position where its segment ends */
    struct wr_buf raw;    /* from raw_used on: bytes of the file from read_at on */
    size_t raw_used;
    bool read_under_way;
    int read_errno;
    bool read_short;      /* the file ended before read_limit */
    struct wr_io_op read_op;
};

struct frame {
    uint64_t bytes;
    int64_t arrived_us;
    uint32_t crc;
};

/* ---- frames ---- */

static void put_frame(char *into, const void *body, size_t bytes, int64_t arrived_us)
{
    const uint64_t length = bytes;
    memcpy(into, MAGIC, 4);
    memcpy(into + 8, &length, 8);
    memcpy(into + 16, &arrived_us, 8);
    const uint32_t crc = wr_crc32c(wr_crc32c(0, into + 8, 16), body, bytes);
    memcpy(into + 4, &crc, 4);
}

/* Is there a frame's head whose body could fit the bytes that are left in the segment? */
static bool get_frame(const char *data, int64_t left, struct frame *frame)
{
    memcpy(&frame->crc, data + 4, 4);
    memcpy(&frame->bytes, data + 8, 8);
    memcpy(&frame->arrived_us, data + 16, 8);
    return memcmp(data, MAGIC, 4) == 0 && left >= WR_SPOOL_FRAME_BYTES &&
           frame->bytes <= (uint64_t)(left - WR_SPOOL_FRAME_BYTES);
}

static bool frame_is_whole(const char *data, const struct frame *frame)
{
    return wr_crc32c(0, data + 8, 16 + frame->bytes) == frame->crc;
}

/* ---- segments ---- */

static void segment_name(const struct wr_spool *s, int64_t start, char name[64])
{
    (void)snprintf(name, 64, "%" PRIu32 "-%020" PRId64 ".spool", s->split, start);
}

static bool parse_name(const char *name, uint32_t *split, int64_t *start)
{
    int used = 0;
    return strlen(name) < 64 &&
           sscanf(name, "%" SCNu32 "-%20" SCNd64 ".spool%n", split, start, &used) == 2 &&
           used > 0 && name[used] == '\0' && *start >= 0;
}

int wr_spool_find(const char *directory, void (*found)(void *ctx, uint32_t split), void *ctx)
{
    DIR *stream = opendir(directory);
    if (stream == NULL) {
        return errno == ENOENT ? 0 : errno;
    }
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL) {
        uint32_t split;
        int64_t start;
        if (parse_name(entry->d_name, &split, &start)) {
            found(ctx, split);
        }
    }
    closedir(stream);
    return 0;
}

static int by_start(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void add_segment(struct wr_spool *s, int64_t start)
{
    pthread_mutex_lock(&s->lock);
    if (s->count == 0 || s->starts[s->count - 1] != start) {
        s->starts = wr_realloc(s->starts, (s->count + 1) * sizeof *s->starts);
        s->starts[s->count++] = start;
    }
    pthread_mutex_unlock(&s->lock);
}

static int list_segments(struct wr_spool *s)
{
    DIR *stream = opendir(s->directory);
    if (stream == NULL) {
        return errno;
    }
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL) {
        uint32_t split;
        int64_t start;
        if (parse_name(entry->d_name, &split, &start) && split == s->split) {
            add_segment(s, start);
        }
    }
    closedir(stream);
    if (s->count > 0) {
        qsort(s->starts, s->count, sizeof *s->starts, by_start);
    }
    return 0;
}

static wr_status io_failed(const struct wr_spool *s, const char *doing, int error,
                           struct wr_error *err)
{
    (void)wr_fail(err, WR_CLASS_FATAL, "cannot %s the spool of requests in %s: %s", doing,
                  s->directory, strerror(error));
    wr_error_hint(err, "check the disk and the rights on that directory");
    return WR_FAIL;
}

static int read_fully(int fd, char *into, size_t bytes, int64_t offset, size_t *got)
{
    *got = 0;
    while (*got < bytes) {
        const ssize_t n = pread(fd, into + *got, bytes - *got, offset + (int64_t)*got);
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        if (n == 0) {
            break;
        }
        *got += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* How many bytes of whole frames the file begins with. */
static int measure(int fd, int64_t *bytes)
{
    struct stat info;
    struct wr_buf body = { 0 };
    *bytes = 0;
    int error = fstat(fd, &info) != 0 ? errno : 0;
    while (error == 0 && info.st_size - *bytes >= WR_SPOOL_FRAME_BYTES) {
        char head[WR_SPOOL_FRAME_BYTES];
        struct frame frame;
        size_t got;
        error = read_fully(fd, head, sizeof head, *bytes, &got);
        if (error != 0 || got < sizeof head || !get_frame(head, info.st_size - *bytes, &frame)) {
            break;
        }
        body.bytes = 0;
        wr_buf_append(&body, head, sizeof head);
        error = read_fully(fd, wr_buf_reserve(&body, frame.bytes + 1), frame.bytes,
                           *bytes + WR_SPOOL_FRAME_BYTES, &got);
        if (error != 0 || got < frame.bytes || !frame_is_whole(body.data, &frame)) {
            break;
        }
        *bytes += WR_SPOOL_FRAME_BYTES + (int64_t)frame.bytes;
    }
    wr_buf_deinit(&body);
    return error;
}

/* Finds the end of the last segment. What an earlier process had written but not synced is synced
 * now: it is about to be read, and later segments follow it. */
static wr_status find_end(struct wr_spool *s, struct wr_error *err)
{
    char name[64];
    int64_t bytes = 0;
    segment_name(s, s->starts[s->count - 1], name);
    const int fd = openat(s->directory_fd, name, O_RDWR | O_CLOEXEC);
    int error = fd < 0 ? errno : measure(fd, &bytes);
    if (error == 0 && (ftruncate(fd, bytes) != 0 || fdatasync(fd) != 0)) {
        error = errno;
    }
    if (fd >= 0) {
        close(fd);
    }
    s->end = s->starts[s->count - 1] + bytes;
    return error == 0 ? WR_OK : io_failed(s, "read", error, err);
}

static wr_status find_start(struct wr_spool *s, int64_t start, struct wr_error *err)
{
    const int64_t first = s->count > 0 ? s->starts[0] : -1;
    s->start = start >= 0 ? start : (first >= 0 ? first : 0);
    if (first < 0 || s->start > s->end) {
        if (start > 0) {
            wr_log_warn("http",
                        "the spool %s ends before byte %" PRId64 " of split %" PRIu32 ", up to which "
                        "it is committed: if it lay on another disk, requests that were accepted "
                        "and not committed are lost",
                        s->directory, start, s->split);
        }
        s->end = s->start;
    } else if (s->start < first) {
        (void)wr_fail(err, WR_CLASS_FATAL,
                      "the spool %s begins with byte %" PRId64 " of split %" PRIu32
                      ", but only what lies before byte %" PRId64 " is committed",
                      s->directory, first, s->split, s->start);
        wr_error_hint(err, "the state is older than the spool: restore both together");
        return WR_FAIL;
    }
    s->read_at = s->start;
    s->read_end = s->end;
    return WR_OK;
}

static int make_directory(const char *path)
{
    if (mkdir(path, 0777) == 0 || errno == EEXIST) {
        return 0;
    }
    char *slash;
    if (errno != ENOENT || (slash = strrchr(path, '/')) == NULL || slash == path) {
        return errno;
    }
    char *parent = wr_strdup(path);
    parent[slash - path] = '\0';
    const int error = make_directory(parent);
    free(parent);
    return error != 0 ? error : (mkdir(path, 0777) == 0 || errno == EEXIST ? 0 : errno);
}

/* Makes the directory's own name durable; where that cannot be done nothing better is to be had. */
static void sync_name(const struct wr_spool *s)
{
    const int parent = openat(s->directory_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent >= 0) {
        (void)fsync(parent);
        close(parent);
    }
}

wr_status wr_spool_open(struct wr_spool **out, const char *directory, uint32_t split,
                        int64_t start, struct wr_error *err)
{
    struct wr_spool *s = wr_calloc(1, sizeof *s);
    s->directory = wr_strdup(directory);
    s->directory_fd = s->fd = s->read_fd = -1;
    s->split = split;
    pthread_mutex_init(&s->lock, NULL);
    int error = make_directory(directory);
    if (error == 0) {
        s->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        error = s->directory_fd < 0 ? errno : list_segments(s);
    }
    if (error == 0 && s->count == 0) {
        sync_name(s); /* it may be new */
    }
    wr_status status = error == 0 ? WR_OK : io_failed(s, "open", error, err);
    if (status == WR_OK && s->count > 0) {
        status = find_end(s, err);
    }
    if (status == WR_OK) {
        status = find_start(s, start, err);
    }
    if (status != WR_OK) {
        wr_spool_close(s);
        return WR_FAIL;
    }
    *out = s;
    return WR_OK;
}

void wr_spool_close(struct wr_spool *s)
{
    if (s == NULL) {
        return;
    }
    wr_assert(s->step == STEP_IDLE && !s->read_under_way);
    const int fds[] = { s->fd, s->read_fd, s->directory_fd };
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    wr_buf_deinit(&s->batch);
    wr_buf_deinit(&s->raw);
    pthread_mutex_destroy(&s->lock);
    free(s->starts);
    free(s->directory);
    free(s);
}

int64_t wr_spool_start(const struct wr_spool *s)
{
    return s->start;
}

/* ---- writing ---- */

bool wr_spool_is_idle(const struct wr_spool *s)
{
    return s->step == STEP_IDLE;
}

int64_t wr_spool_add(struct wr_spool *s, const void *body, size_t bytes, int64_t arrived_us)
{
    char head[WR_SPOOL_FRAME_BYTES];
    wr_assert(s->step == STEP_IDLE); /* (2) */
    put_frame(head, body, bytes, arrived_us);
    wr_buf_append(&s->batch, head, sizeof head);
    const int64_t position = s->end + (int64_t)s->batch.bytes;
    wr_buf_append(&s->batch, body, bytes);
    return position;
}

size_t wr_spool_added(const struct wr_spool *s)
{
    return s->batch.bytes;
}

static void finish(struct wr_spool *s, int error)
{
    if (error == 0) {
        s->end += (int64_t)s->batch.bytes; /* (1) */
    }
    if (s->fd >= 0 && (error != 0 || s->end - s->fd_start >= SEGMENT_BYTES)) {
        close(s->fd);
        s->fd = -1;
    }
    s->batch.bytes = 0;
    s->step = STEP_IDLE;
    s->done(s->done_ctx, error);
}

static void submit_write(struct wr_spool *s, struct wr_io *io)
{
    const size_t left = s->batch.bytes - s->written;
    s->write_op.kind = WR_IO_WRITE;
    s->write_op.fd = s->fd;
    s->write_op.buffer = s->batch.data + s->written;
    s->write_op.bytes = left < (1u << 30) ? (uint32_t)left : 1u << 30;
    s->write_op.offset = s->end - s->fd_start + (int64_t)s->written;
    wr_io_submit(io, &s->write_op);
}

static void submit_sync(struct wr_spool *s, struct wr_io *io, int fd)
{
    s->write_op.kind = WR_IO_FSYNC;
    s->write_op.fd = fd;
    wr_io_submit(io, &s->write_op);
}

static void write_done(struct wr_io_op *op)
{
    struct wr_spool *s = (struct wr_spool *)((char *)op - offsetof(struct wr_spool, write_op));
    struct wr_io *io = op->ctx;
    if (op->result == -EINTR || op->result == -EAGAIN) {
        wr_io_submit(io, op);
        return;
    }
    /* A file system that cannot sync directories says EINVAL: nothing better is to be had. */
    const bool excused = s->step == STEP_SYNC_DIRECTORY && op->result == -EINVAL;
    if (op->result < 0 && !excused) {
        finish(s, -op->result);
        return;
    }
    switch (s->step) {
    case STEP_WRITE:
        if (op->result == 0) {
            finish(s, EIO);
            return;
        }
        s->written += (size_t)op->result;
        if (s->written < s->batch.bytes) {
            submit_write(s, io);
            return;
        }
        s->step = STEP_SYNC;
        submit_sync(s, io, s->fd);
        return;
    case STEP_SYNC:
        if (s->directory_due) {
            s->step = STEP_SYNC_DIRECTORY;
            submit_sync(s, io, s->directory_fd);
            return;
        }
        finish(s, 0);
        return;
    default:
        s->directory_due = false;
        finish(s, 0);
    }
}

/* A new segment at end. One of that name holds nothing that counts: a batch failed before. */
static int begin_segment(struct wr_spool *s)
{
    char name[64];
    segment_name(s, s->end, name);
    s->fd = openat(s->directory_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (s->fd < 0) {
        return errno;
    }
    s->fd_start = s->end;
    s->directory_due = true;
    add_segment(s, s->end);
    return 0;
}

/* What could not even begin is told by the loop too, not from inside of the call. */
static void failed_early(struct wr_io_op *op)
{
    struct wr_spool *s = (struct wr_spool *)((char *)op - offsetof(struct wr_spool, write_op));
    finish(s, (int)s->written);
}

void wr_spool_commit(struct wr_spool *s, struct wr_io *io, void (*done)(void *ctx, int error),
                     void *ctx)
{
    wr_assert(s->step == STEP_IDLE && s->batch.bytes > 0);
    s->done = done;
    s->done_ctx = ctx;
    s->step = STEP_WRITE;
    s->written = 0;
    const int error = s->fd < 0 ? begin_segment(s) : 0;
    s->write_op = (struct wr_io_op){ .done = error == 0 ? write_done : failed_early, .ctx = io };
    if (error == 0) {
        submit_write(s, io);
    } else {
        s->written = (size_t)error;
        submit_sync(s, io, s->directory_fd); /* any short op: its end carries the news */
    }
}

/* ---- reading ---- */

static void read_done(struct wr_io_op *op)
{
    struct wr_spool *s = (struct wr_spool *)((char *)op - offsetof(struct wr_spool, read_op));
    s->read_under_way = false;
    if (op->result > 0) {
        s->raw.bytes += (size_t)op->result;
    } else if (op->result == 0) {
        s->read_short = true;
    } else if (op->result != -EINTR && op->result != -EAGAIN) {
        s->read_errno = -op->result;
    }
}

/* Opens the segment that read_at lies in; reading begins with its first frame. */
static wr_status open_segment(struct wr_spool *s, struct wr_error *err)
{
    char name[64];
    pthread_mutex_lock(&s->lock);
    uint32_t i = s->count;
    while (i > 0 && s->starts[i - 1] > s->read_at) {
        i--;
    }
    const int64_t start = i > 0 ? s->starts[i - 1] : 0;
    const int64_t next = i < s->count ? s->starts[i] : INT64_MAX;
    pthread_mutex_unlock(&s->lock);
    segment_name(s, start, name);
    s->read_fd = openat(s->directory_fd, name, O_RDONLY | O_CLOEXEC);
    if (s->read_fd < 0) {
        return io_failed(s, "read", errno, err);
    }
    s->read_start = start;
    s->read_limit = next < s->read_end ? next : s->read_end;
    s->read_at = start;
    s->raw.bytes = s->raw_used = 0;
    return WR_OK;
}

static void read_more(struct wr_spool *s, struct wr_io *io, uint64_t wanted)
{
    if (s->raw_used > 0) {
        s->raw.bytes -= s->raw_used;
        memmove(s->raw.data, s->raw.data + s->raw_used, s->raw.bytes);
        s->raw_used = 0;
    }
    const int64_t have = s->read_at + (int64_t)s->raw.bytes;
    const uint64_t left = (uint64_t)(s->read_limit - have);
    uint64_t bytes = wanted > s->raw.bytes + READ_BYTES ? wanted - s->raw.bytes : READ_BYTES;
    bytes = bytes < left ? bytes : left;
    bytes = bytes < (1u << 30) ? bytes : 1u << 30;
    s->read_op = (struct wr_io_op){ .kind = WR_IO_READ,
                                    .fd = s->read_fd,
                                    .buffer = wr_buf_reserve(&s->raw, (size_t)bytes),
                                    .bytes = (uint32_t)bytes,
                                    .offset = have - s->read_start,
                                    .done = read_done };
    s->read_under_way = true;
    wr_io_submit(io, &s->read_op);
}

static wr_status damaged(const struct wr_spool *s, struct wr_error *err)
{
    char name[64];
    segment_name(s, s->read_start, name);
    (void)wr_fail(err, WR_CLASS_FATAL, "the spool of requests %s/%s is damaged at byte %" PRId64,
                  s->directory, name, s->read_at - s->read_start);
    wr_error_hint(err, "restore the file; moving it away gives up the requests in it that were "
                       "accepted and not yet committed");
    return WR_FAIL;
}

static struct wr_block *take_body(struct wr_spool *s, const struct frame *frame)
{
    const int64_t body = s->read_at + WR_SPOOL_FRAME_BYTES;
    const int64_t given = s->start > body ? s->start - body : 0;
    struct wr_block *block = NULL;
    if (given < (int64_t)frame->bytes) {
        block = wr_block_create(frame->bytes);
        memcpy(block->data, s->raw.data + s->raw_used + WR_SPOOL_FRAME_BYTES, frame->bytes);
        block->begin = (size_t)given;
        block->end = frame->bytes;
        block->position = body + given;
    }
    s->raw_used += WR_SPOOL_FRAME_BYTES + frame->bytes;
    s->read_at = body + (int64_t)frame->bytes;
    return block;
}

wr_status wr_spool_next(struct wr_spool *s, struct wr_io *io, struct wr_block **out,
                        int64_t *arrived_us, struct wr_error *err)
{
    while (!s->read_under_way) {
        struct frame frame = { 0 };
        if (s->read_errno != 0) {
            return io_failed(s, "read", s->read_errno, err);
        }
        if (s->read_fd >= 0 && s->read_at >= s->read_limit) {
            close(s->read_fd);
            s->read_fd = -1;
        }
        if (s->read_at >= s->read_end) {
            return WR_END;
        }
        if (s->read_fd < 0) {
            WR_TRY(open_segment(s, err));
        }
        const size_t have = s->raw.bytes - s->raw_used;
        const char *data = s->raw.data + s->raw_used;
        const bool headed = have >= WR_SPOOL_FRAME_BYTES;
        if (headed && !get_frame(data, s->read_limit - s->read_at, &frame)) {
            return damaged(s, err);
        }
        const uint64_t wanted = WR_SPOOL_FRAME_BYTES + frame.bytes;
        if (!headed || have < wanted) {
            if (s->read_short) {
                return damaged(s, err);
            }
            read_more(s, io, wanted);
            return WR_AGAIN;
        }
        if (!frame_is_whole(data, &frame)) {
            return damaged(s, err);
        }
        *arrived_us = frame.arrived_us;
        *out = take_body(s, &frame);
        if (*out != NULL) {
            return WR_OK;
        }
    }
    return WR_AGAIN;
}

void wr_spool_stop(struct wr_spool *s, struct wr_io *io)
{
    if (s->read_under_way) {
        wr_io_cancel(io, &s->read_op);
    }
    while (s->step != STEP_IDLE || s->read_under_way) {
        wr_io_turn(io, -1); /* the loop still owns buffers */
    }
}

/* ---- forgetting ---- */

void wr_spool_forget(struct wr_spool *s, int64_t position)
{
    char name[64];
    for (;;) {
        pthread_mutex_lock(&s->lock);
        const bool over = s->count >= 2 && s->starts[1] <= position; /* (3) */
        const int64_t start = s->count > 0 ? s->starts[0] : 0;
        if (over) {
            memmove(s->starts, s->starts + 1, (s->count - 1) * sizeof *s->starts);
            s->count--;
        }
        pthread_mutex_unlock(&s->lock);
        if (!over) {
            return;
        }
        segment_name(s, start, name);
        (void)unlinkat(s->directory_fd, name, 0); /* what stays is removed next time it is found */
    }
}
