/* sink_file.c: rows as lines (NDJSON, CSV) at the end of one file.
 *
 * The rows of an epoch gather in a spool, `.NAME.weir-spool` beside the file; prepare makes the
 * spool durable, publish appends the epoch's part of it to the file in one go and makes that
 * durable. The spool's head says how long the file was before the epoch that is published next and
 * how long it will be after it:
 *
 *   bytes 0-7 magic, 8-15 inode of the file, 16-23 length before, 24-31 length after, 32-35 CRC32C
 *   of 0-31
 *
 * How a crash is settled, at the next open: a file that is longer than "before" and shorter than
 * "after" was cut short in the middle of an append, and goes back to "before"; otherwise it is
 * left alone. Either way the spool is dropped: positions of an unfinished epoch were not
 * committed, so that its rows are read again.
 *
 * guarantee = 'at_least_once' (and pipes and devices, which cannot be taken back) do without the
 * spool: rows are appended as they come, and prepare makes them durable.
 *
 * Invariants:
 *   (1) the file ends with a whole line whenever no append is under way; one that fails (full
 *       disk) is cut off again
 *   (2) one writer per file: a lock on it (flock) refuses a second, of this process or another
 *   (3) write takes a batch whole or not at all
 */
#include "sink/row_lines.h"
#include "sink/sinks.h"
#include "store/local_file.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/fault.h"
#include "base/heap.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Encoded rows that wait for one write: large enough that the system call does not matter. */
#define BUFFER_BYTES (1u << 20)
#define SPOOL_HEAD_BYTES 36u
#define SPOOL_MAGIC "weirspl1"

struct prepared {
    uint64_t epoch;
    uint64_t end; /* of its part of the spool, head not counted; it begins where the last ends */
};

struct wr_writer {
    struct wr_sink_env env;
    struct wr_row_lines lines;
    char *path;
    char *spool_path;
    int fd;
    int spool_fd; /* -1: rows go straight to the file */
    bool stream;  /* pipe or device: no positions, nothing to take back */
    bool dirty;   /* straight: written since the last sync */
    bool header_due;
    uint64_t inode;
    uint64_t length;        /* of the file, whole lines */
    struct wr_buf buf;      /* encoded, not yet written */
    uint64_t spool_bytes;   /* written to the spool, without the head */
    uint64_t spool_done;    /* of them: published */
    uint64_t head_before;   /* "before" of the spool's head; UINT64_MAX: no head */
    struct prepared *queue; /* prepared and unpublished, oldest first */
    uint32_t queue_count;
    uint32_t queue_capacity;
    struct wr_sink_stats stats;
};

static const struct wr_option file_options[] = {
    { "path", WR_OPTION_TEXT, NULL, "The file to append to; its directory is created if missing.",
      .flags = WR_OPTION_REQUIRED },
    { .name = NULL },
};

static const char *plain_path(const char *path)
{
    return strncmp(path, "file://", 7) == 0 ? path + 7 : path;
}

static wr_status file_check(const struct wr_plan_sink *plan, uint32_t *bad_at, struct wr_error *err)
{
    WR_TRY(wr_row_lines_check(plan, bad_at, err));
    *bad_at = wr_options_at(plan->options, "path");
    const char *path = plain_path(wr_options_text(plan->options, "path"));
    wr_ensure(path[0] != '\0', err, WR_CLASS_USER, "path is empty");
    if (strstr(path, "://") != NULL) {
        wr_fail(err, WR_CLASS_USER, "connector 'file' writes local files only, not %s", path);
        wr_error_hint(err, "object stores take Parquet: connector = 'parquet', path = '%s'", path);
        return WR_FAIL;
    }
    if (path[strlen(path) - 1] == '/') {
        wr_fail(err, WR_CLASS_USER, "path %s is a directory", path);
        wr_error_hint(err, "name a file in it: path = '%srows.ndjson'", path);
        return WR_FAIL;
    }
    return WR_OK;
}

/* ---- the spool's head ---- */

static void put_u64(uint8_t *into, uint64_t value)
{
    memcpy(into, &value, 8);
}

static uint64_t get_u64(const uint8_t *from)
{
    uint64_t value;
    memcpy(&value, from, 8);
    return value;
}

static wr_status write_head(struct wr_writer *w, uint64_t after, struct wr_error *err)
{
    uint8_t head[SPOOL_HEAD_BYTES];
    memcpy(head, SPOOL_MAGIC, 8);
    put_u64(head + 8, w->inode);
    put_u64(head + 16, w->length);
    put_u64(head + 24, after);
    const uint32_t crc = wr_crc32c(0, head, 32);
    memcpy(head + 32, &crc, 4);
    const int error = wr_file_write_all(w->env.io, w->spool_fd, head, sizeof head, 0);
    if (error != 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, error, "write", w->spool_path);
    }
    w->head_before = w->length;
    return WR_OK;
}

static wr_status sync_spool(struct wr_writer *w, struct wr_error *err)
{
    const int error = wr_file_sync(w->env.io, w->spool_fd);
    return error == 0 ? WR_OK
                      : wr_file_fail(err, WR_CLASS_FATAL, error, "sync", w->spool_path);
}

/* Cuts off what a crash left of an append. */
static wr_status settle_crash(struct wr_writer *w, struct wr_error *err)
{
    uint8_t head[SPOOL_HEAD_BYTES];
    size_t got;
    int error = wr_file_read_all(w->env.io, w->spool_fd, head, sizeof head, 0, &got);
    if (error != 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, error, "read", w->spool_path);
    }
    uint32_t crc;
    memcpy(&crc, head + 32, 4);
    const bool whole = got == sizeof head && memcmp(head, SPOOL_MAGIC, 8) == 0 &&
                       crc == wr_crc32c(0, head, 32);
    if (whole && get_u64(head + 8) == w->inode && w->length > get_u64(head + 16) &&
        w->length < get_u64(head + 24)) {
        const uint64_t before = get_u64(head + 16);
        wr_log_warn("file", "%s: an append was cut short; removing its %" PRIu64 " bytes (their "
                    "events are read again)", w->path, w->length - before);
        if (ftruncate(w->fd, (off_t)before) < 0) {
            return wr_file_fail(err, WR_CLASS_FATAL, errno, "shorten", w->path);
        }
        error = wr_file_sync(w->env.io, w->fd);
        if (error != 0) {
            return wr_file_fail(err, WR_CLASS_FATAL, error, "sync", w->path);
        }
        w->length = before;
    }
    if (ftruncate(w->spool_fd, 0) < 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, errno, "empty", w->spool_path);
    }
    return WR_OK;
}

/* ---- open ---- */

static char *spool_path_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    const size_t directory = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    struct wr_buf name = { 0 };
    wr_buf_append(&name, path, directory);
    wr_buf_printf(&name, ".%s.weir-spool", path + directory);
    char *text = wr_strdup(wr_buf_cstr(&name));
    wr_buf_deinit(&name);
    return text;
}

static wr_status open_target(struct wr_writer *w, struct wr_error *err)
{
    int error = wr_file_make_parents(w->path);
    if (error != 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, error, "create the directory of", w->path);
    }
    w->fd = open(w->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (w->fd < 0) {
        w->fd = open(w->path, O_WRONLY | O_CLOEXEC); /* pipes and some devices */
    }
    if (w->fd < 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, errno, "open", w->path);
    }
    struct stat info;
    if (fstat(w->fd, &info) < 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, errno, "look at", w->path);
    }
    w->stream = !S_ISREG(info.st_mode);
    w->inode = info.st_ino;
    w->length = w->stream ? 0 : (uint64_t)info.st_size;
    if (!w->stream && flock(w->fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        wr_fail(err, WR_CLASS_FATAL, "%s is being written by another sink or another weir",
                w->path);
        wr_error_hint(err, "stop the other one (see: fuser '%s'), or choose another path",
                      w->path);
        return WR_FAIL;
    }
    return WR_OK;
}

static wr_status open_spool(struct wr_writer *w, struct wr_error *err)
{
    w->spool_path = spool_path_of(w->path);
    w->spool_fd = open(w->spool_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (w->spool_fd < 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, errno, "create", w->spool_path);
    }
    WR_TRY(settle_crash(w, err));
    const int error = wr_file_sync_parent(w->path);
    if (error != 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, error, "sync the directory of", w->path);
    }
    return WR_OK;
}

static void file_close(struct wr_writer *w)
{
    if (w == NULL) {
        return;
    }
    if (w->spool_fd >= 0) {
        close(w->spool_fd);
        (void)unlink(w->spool_path); /* a leftover is settled by the next open */
    }
    if (w->fd >= 0) {
        close(w->fd); /* last: it holds the lock */
    }
    wr_row_lines_deinit(&w->lines);
    wr_buf_deinit(&w->buf);
    free(w->queue);
    free(w->spool_path);
    free(w->path);
    free(w);
}

static bool at_least_once(const struct wr_plan_sink *plan)
{
    const char *guarantee = wr_options_text(plan->options, "guarantee");
    return guarantee != NULL && strcmp(guarantee, "at_least_once") == 0;
}

static wr_status file_open(struct wr_writer **writer, const struct wr_sink_env *env,
                           struct wr_error *err)
{
    struct wr_writer *w = wr_calloc(1, sizeof *w);
    w->env = *env;
    w->fd = -1;
    w->spool_fd = -1;
    w->head_before = UINT64_MAX;
    w->path = wr_strdup(plain_path(wr_options_text(env->plan->options, "path")));
    wr_row_lines_init(&w->lines, env->plan);
    wr_status status = open_target(w, err);
    if (status == WR_OK && !w->stream) {
        status = open_spool(w, err);
    }
    if (status != WR_OK) {
        file_close(w);
        return status;
    }
    if (w->spool_fd >= 0 && at_least_once(env->plan)) {
        close(w->spool_fd); /* was needed to settle a crash only */
        (void)unlink(w->spool_path);
        w->spool_fd = -1;
    }
    w->header_due = w->length == 0;
    *writer = w;
    return WR_OK;
}

/* ---- writing ---- */

/* Appends to the file; what a failure left is cut off again (1). */
static wr_status append(struct wr_writer *w, const void *data, size_t bytes, struct wr_error *err)
{
    const int error = wr_file_write_all(w->env.io, w->fd, data, bytes,
                                        w->stream ? -1 : (int64_t)w->length);
    if (error == 0) {
        w->length += bytes;
        w->dirty = true;
        return WR_OK;
    }
    if (!w->stream && ftruncate(w->fd, (off_t)w->length) < 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, errno, "shorten", w->path);
    }
    wr_file_fail(err, WR_CLASS_FATAL, error, "write", w->path);
    if (w->stream) {
        err->cls = WR_CLASS_FATAL; /* a part may have gone out: a repetition would tear a line */
    }
    return WR_FAIL;
}

/* Buffered rows to the spool. A failure leaves them in the buffer; a repetition writes over the
 * same place. */
static wr_status spill(struct wr_writer *w, struct wr_error *err)
{
    const int error = wr_file_write_all(w->env.io, w->spool_fd, w->buf.data, w->buf.bytes,
                                        (int64_t)(SPOOL_HEAD_BYTES + w->spool_bytes));
    if (error != 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, error, "write", w->spool_path);
    }
    w->spool_bytes += w->buf.bytes;
    w->buf.bytes = 0;
    return WR_OK;
}

static wr_status write_straight(struct wr_writer *w, const struct wr_batch *batch,
                                struct wr_error *err)
{
    w->buf.bytes = 0;
    if (w->header_due) {
        wr_row_lines_header(&w->lines, &w->buf);
    }
    wr_row_lines_append(&w->lines, &w->buf, batch);
    WR_TRY(append(w, w->buf.data, w->buf.bytes, err)); /* (3) */
    w->header_due = false;
    w->stats.bytes += w->buf.bytes;
    w->stats.rows += wr_batch_live(batch);
    w->stats.files = 1;
    w->buf.bytes = 0;
    w->env.visible(w->env.ctx, batch->ingest_us, wr_batch_live(batch));
    return WR_OK;
}

static wr_status file_write(struct wr_writer *w, const struct wr_batch *batch, struct wr_time now,
                            struct wr_error *err)
{
    if (wr_batch_live(batch) == 0) {
        return WR_OK;
    }
    if (w->spool_fd < 0) {
        return write_straight(w, batch, err);
    }
    if (w->buf.bytes >= BUFFER_BYTES) {
        WR_TRY(spill(w, err)); /* before the batch is taken (3) */
    }
    if (w->header_due) {
        wr_row_lines_header(&w->lines, &w->buf);
        w->header_due = false;
    }
    wr_row_lines_append(&w->lines, &w->buf, batch);
    w->stats.rows += wr_batch_live(batch);
    return WR_OK;
}

/* ---- epochs ---- */

static void enqueue(struct wr_writer *w, uint64_t epoch)
{
    if (w->queue_count == w->queue_capacity) {
        w->queue_capacity = w->queue_capacity * 2 + 4;
        w->queue = wr_realloc(w->queue, w->queue_capacity * sizeof *w->queue);
    }
    w->queue[w->queue_count++] = (struct prepared){ epoch, w->spool_bytes };
}

static wr_status prepare_straight(struct wr_writer *w, struct wr_error *err)
{
    if (!w->dirty) {
        return WR_OK;
    }
    const int error = wr_file_sync(w->env.io, w->fd);
    if (error != 0 && !(w->stream && (error == EINVAL || error == EROFS || error == ENOTSUP))) {
        return wr_file_fail(err, WR_CLASS_FATAL, error, "sync", w->path);
    }
    w->dirty = false;
    return WR_OK;
}

static wr_status file_prepare(struct wr_writer *w, uint64_t epoch, struct wr_buf *receipt,
                              struct wr_error *err)
{
    if (w->spool_fd < 0) {
        return prepare_straight(w, err);
    }
    if (w->buf.bytes > 0) {
        WR_TRY(spill(w, err));
    }
    const uint64_t begin = w->queue_count > 0 ? w->queue[w->queue_count - 1].end : w->spool_done;
    if (begin == w->spool_bytes) {
        return WR_OK; /* an epoch without rows */
    }
    if (w->queue_count == 0) {
        WR_TRY(write_head(w, w->length + w->spool_bytes - begin, err));
    }
    WR_TRY(sync_spool(w, err));
    enqueue(w, epoch);
    return WR_OK;
}

/* Copies spool bytes [spool_done, end) to the end of the file. */
static wr_status copy_out(struct wr_writer *w, uint64_t end, struct wr_error *err)
{
    const uint64_t before = w->length;
    struct wr_buf piece = { 0 };
    wr_status status = WR_OK;
    for (uint64_t at = w->spool_done; at < end && status == WR_OK;) {
        const size_t bytes = end - at < BUFFER_BYTES ? (size_t)(end - at) : BUFFER_BYTES;
        piece.bytes = 0;
        char *into = wr_buf_reserve(&piece, bytes);
        size_t got;
        const int error = wr_file_read_all(w->env.io, w->spool_fd, into, bytes,
                                           (int64_t)(SPOOL_HEAD_BYTES + at), &got);
        if (error != 0 || got < bytes) {
            status = wr_file_fail(err, WR_CLASS_FATAL, error != 0 ? error : EIO, "read",
                                  w->spool_path);
            break;
        }
        status = append(w, into, bytes, err);
        at += bytes;
    }
    wr_buf_deinit(&piece);
    const int error = status == WR_OK ? wr_file_sync(w->env.io, w->fd) : 0;
    if (error != 0) {
        status = wr_file_fail(err, WR_CLASS_FATAL, error, "sync", w->path);
    }
    if (status != WR_OK) {
        w->length = before; /* (1) */
        if (ftruncate(w->fd, (off_t)before) < 0) {
            return wr_file_fail(err, WR_CLASS_FATAL, errno, "shorten", w->path);
        }
    }
    return status;
}

static wr_status publish_oldest(struct wr_writer *w, struct wr_error *err)
{
    const uint64_t bytes = w->queue[0].end - w->spool_done;
    if (w->head_before != w->length) { /* several were prepared: it speaks of the one before */
        WR_TRY(write_head(w, w->length + bytes, err));
        WR_TRY(sync_spool(w, err));
    }
    WR_TRY(copy_out(w, w->queue[0].end, err));
    WR_FAULT("sink_file.after_append");
    w->spool_done = w->queue[0].end;
    w->queue_count--;
    memmove(w->queue, w->queue + 1, w->queue_count * sizeof *w->queue);
    w->stats.bytes += bytes;
    w->stats.files = 1;
    return WR_OK;
}

/* Gives back the space of what is published; a stream of rows that never pauses must not grow the
 * spool for ever. */
static void shrink_spool(struct wr_writer *w)
{
    if (w->spool_done == w->spool_bytes && ftruncate(w->spool_fd, SPOOL_HEAD_BYTES) == 0) {
        w->spool_done = 0;
        w->spool_bytes = 0;
    } else {
        (void)fallocate(w->spool_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, SPOOL_HEAD_BYTES,
                        (off_t)w->spool_done);
    }
}

static wr_status file_publish(struct wr_writer *w, uint64_t epoch,
                              const struct wr_receipt *receipts, uint32_t receipt_count,
                              struct wr_error *err)
{
    bool any = false;
    for (; w->queue_count > 0 && w->queue[0].epoch <= epoch; any = true) {
        WR_TRY(publish_oldest(w, err));
    }
    if (any) {
        shrink_spool(w);
    }
    return WR_OK;
}

static void file_stats(const struct wr_writer *w, struct wr_sink_stats *stats)
{
    *stats = w->stats;
}

static uint64_t file_held_bytes(const struct wr_writer *w)
{
    return w->buf.capacity;
}

const struct wr_sink_ops wr_sink_file = {
    .name = "file",
    .help = "Appends rows to a local file, as NDJSON (or CSV: format = 'csv').",
    .has_format = true,
    .options = file_options,
    .transactional = true,
    .bulk = true, /* its syncs must not delay an immediate sink */
    .check = file_check,
    .open = file_open,
    .write = file_write,
    .prepare = file_prepare,
    .publish = file_publish,
    .stats = file_stats,
    .held_bytes = file_held_bytes,
    .close = file_close,
};
