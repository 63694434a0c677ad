/* sink_file.c: rows as lines (NDJSON, CSV) at the end of one file.
 *
 * The rows of an epoch gather in a spool beside the file; prepare makes the spool durable, publish
 * appends the epoch's part of it to the file in one go and makes that durable.
 *
 * With a state (exactly once) the spool is `.NAME.OWNER.weir-spool`, and the receipt says all that
 * another process needs to publish in this one's place: {"path","inode","before","after"} of the
 * file, and where there are rows {"spool","begin","crc"} (file_settle.h).
 *
 * Without one (at least once) it is `.NAME.weir-spool`, and its head says how long the file was
 * before the epoch that is published next and how long it will be after it:
 *
 *   bytes 0-7 magic, 8-15 inode of the file, 16-23 length before, 24-31 length after, 32-35 CRC32C
 *   of 0-31
 *
 * How a crash is settled then, at the next open: a file that is longer than "before" and shorter
 * than "after" was cut short in the middle of an append, and goes back to "before"; otherwise it is
 * left alone. Either way the spool is dropped: positions of an unfinished epoch were not committed,
 * so that its rows are read again.
 *
 * guarantee = 'at_least_once' (and pipes and devices, which cannot be taken back) do without the
 * spool: rows are appended as they come, and prepare makes them durable.
 *
 * Invariants:
 *   (1) the file ends with a whole line whenever no append is under way; one that fails (full
 *       disk) is cut off again
 *   (2) one writer per file: a lock on it (flock) refuses a second, of this process or another
 *   (3) write takes a batch whole or not at all
 *   (4) with a state, the spool of a prepared epoch outlives the writer until it is published
 */
#include "sink/file_settle.h"
#include "sink/receipt_json.h"
#include "sink/row_lines.h"
#include "sink/sinks.h"
#include "store/local_file.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/fault.h"
#include "base/heap.h"
#include "base/log.h"
#include "batch/text.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Encoded rows that wait for one write: large enough that the system call does not matter. */
#define BUFFER_BYTES WR_SPOOL_PIECE_BYTES
#define SPOOL_HEAD_BYTES WR_SPOOL_HEAD_BYTES
#define SPOOL_MAGIC "weirspl1"

struct prepared {
    uint64_t epoch;
    uint64_t end; /* of its part of the spool, head not counted; it begins where the last ends */
};

struct wr_writer {
    struct wr_sink_env env;
    struct wr_row_lines lines;
    char *path;
    char *full_path; /* for receipts: another process may stand elsewhere */
    char *spool_path;
    int fd;
    int spool_fd; /* -1: rows go straight to the file */
    bool stateful; /* receipts settle crashes, not the spool's head */
    bool stream;  /* pipe or device: no positions, nothing to take back */
    bool dirty;   /* straight: written since the last sync */
    bool header_due;
    uint64_t inode;
    uint64_t length;        /* of the file, whole lines */
    struct wr_buf buf;      /* encoded, not yet written */
    uint64_t spool_bytes;   /* written to the spool, without the head */
    uint64_t spool_done;    /* of them: published */
    uint64_t head_before;   /* "before" of the spool's head; UINT64_MAX: no head */
    uint32_t crc;           /* of what was spooled since the last prepare */
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

static bool cut_short(const struct wr_writer *w, const uint8_t *head)
{
    uint32_t crc;
    memcpy(&crc, head + 32, 4);
    return memcmp(head, SPOOL_MAGIC, 8) == 0 && crc == wr_crc32c(0, head, 32) &&
           get_u64(head + 8) == w->inode && w->length > get_u64(head + 16) &&
           w->length < get_u64(head + 24);
}

static wr_status shorten(struct wr_writer *w, uint64_t length, struct wr_error *err)
{
    if (ftruncate(w->fd, (off_t)length) < 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, errno, "shorten", w->path);
    }
    const int error = wr_file_sync(w->env.io, w->fd);
    if (error != 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, error, "sync", w->path);
    }
    w->length = length;
    return WR_OK;
}

/* Cuts off what the crash of a run without state left of an append, and removes its spool. */
static wr_status settle_leftover(struct wr_writer *w, const char *spool, struct wr_error *err)
{
    uint8_t head[SPOOL_HEAD_BYTES];
    size_t got;
    const int fd = open(spool, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) {
        return WR_OK;
    }
    if (fd < 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, errno, "open", spool);
    }
    const int error = wr_file_read_all(w->env.io, fd, head, sizeof head, 0, &got);
    close(fd);
    if (error != 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, error, "read", spool);
    }
    if (got == sizeof head && cut_short(w, head)) {
        const uint64_t before = get_u64(head + 16);
        wr_log_warn("file", "%s: an append was cut short; removing its %" PRIu64 " bytes (their "
                    "events are read again)", w->path, w->length - before);
        WR_TRY(shorten(w, before, err));
    }
    if (unlink(spool) < 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, errno, "remove", spool);
    }
    return WR_OK;
}

/* ---- open ---- */

/* owner "": the spool of runs without state. */
static char *spool_path_of(const char *path, const char *owner)
{
    const char *slash = strrchr(path, '/');
    const size_t directory = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    struct wr_buf name = { 0 };
    wr_buf_append(&name, path, directory);
    wr_buf_printf(&name, ".%s%s%s.weir-spool", path + directory, owner[0] != '\0' ? "." : "",
                  owner);
    char *text = wr_strdup(wr_buf_cstr(&name));
    wr_buf_deinit(&name);
    return text;
}

static wr_status open_target(struct wr_writer *w, struct wr_error *err)
{
    int error = wr_file_make_parents(w->path, true);
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
    w->spool_path = spool_path_of(w->path, w->stateful ? w->env.owner : "");
    w->spool_fd = open(w->spool_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (w->spool_fd < 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, errno, "create", w->spool_path);
    }
    const int error = wr_file_sync_parent(w->path);
    if (error != 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, error, "sync the directory of", w->path);
    }
    return WR_OK;
}

static const char *guarantee_of(const struct wr_plan_sink *plan)
{
    const char *guarantee = wr_options_text(plan->options, "guarantee");
    return guarantee != NULL ? guarantee : "";
}

/* The target is open: what earlier runs left, and the spool, where there is to be one. */
static wr_status open_rest(struct wr_writer *w, struct wr_error *err)
{
    const char *guarantee = guarantee_of(w->env.plan);
    if (w->stream && strcmp(guarantee, "exactly_once") == 0) {
        wr_fail(err, WR_CLASS_USER, "%s is a pipe or a device: what was written to it cannot be "
                "taken back, so that guarantee = 'exactly_once' cannot be kept", w->path);
        wr_error_hint(err, "write to a regular file, or use guarantee = 'at_least_once'");
        return WR_FAIL;
    }
    if (w->stream) {
        return WR_OK;
    }
    w->full_path = realpath(w->path, NULL);
    if (w->full_path == NULL) {
        return wr_file_fail(err, WR_CLASS_FATAL, errno, "look at", w->path);
    }
    char *leftover = spool_path_of(w->path, "");
    const wr_status status = settle_leftover(w, leftover, err);
    free(leftover);
    WR_TRY(status);
    return strcmp(guarantee, "at_least_once") == 0 ? WR_OK : open_spool(w, err);
}

static void file_close(struct wr_writer *w)
{
    if (w == NULL) {
        return;
    }
    if (w->spool_fd >= 0) {
        close(w->spool_fd);
        if (!w->stateful || w->queue_count == 0) { /* (4) */
            (void)unlink(w->spool_path); /* a leftover is settled by the next run */
        }
    }
    if (w->fd >= 0) {
        close(w->fd); /* last: it holds the lock */
    }
    wr_row_lines_deinit(&w->lines);
    wr_buf_deinit(&w->buf);
    free(w->queue);
    free(w->spool_path);
    free(w->full_path);
    free(w->path);
    free(w);
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
    w->stateful = env->state_uuid != NULL && env->state_uuid[0] != '\0';
    wr_status status = open_target(w, err);
    if (status == WR_OK) {
        status = open_rest(w, err);
    }
    if (status != WR_OK) {
        file_close(w);
        return status;
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
    w->crc = wr_crc32c(w->crc, w->buf.data, w->buf.bytes);
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

/* bytes: of the epoch; they begin in the spool at begin. */
static void append_receipt(const struct wr_writer *w, uint64_t begin, uint64_t bytes,
                           struct wr_buf *receipt)
{
    const uint64_t before = w->length + begin - w->spool_done; /* others may be published first */
    char *spool = spool_path_of(w->full_path, w->env.owner);
    wr_buf_text(receipt, "{\"path\":");
    wr_text_json_string(receipt, w->full_path, strlen(w->full_path));
    wr_buf_printf(receipt, ",\"inode\":%" PRIu64 ",\"before\":%" PRIu64 ",\"after\":%" PRIu64,
                  w->inode, before, before + bytes);
    if (bytes > 0) {
        wr_buf_text(receipt, ",\"spool\":");
        wr_text_json_string(receipt, spool, strlen(spool));
        wr_buf_printf(receipt, ",\"begin\":%" PRIu64 ",\"crc\":%" PRIu32, begin, w->crc);
    }
    wr_buf_byte(receipt, '}');
    free(spool);
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
    const uint64_t bytes = w->spool_bytes - begin;
    if (bytes > 0) {
        if (!w->stateful && w->queue_count == 0) {
            WR_TRY(write_head(w, w->length + bytes, err));
        }
        WR_TRY(sync_spool(w, err));
        enqueue(w, epoch);
    }
    if (w->stateful) {
        append_receipt(w, begin, bytes, receipt); /* without rows too: the length is committed */
    }
    w->crc = 0;
    return WR_OK;
}

/* ---- recovery ---- */

static wr_status settle_receipt(struct wr_writer *w, const struct wr_receipt *receipt,
                                struct wr_error *err)
{
    struct wr_file_receipt r = { 0 };
    json_t *object;
    uint64_t crc = 0;
    WR_TRY(wr_receipt_parse(&w->env, receipt, &object, err));
    wr_status status = wr_receipt_text(&w->env, object, "path", &r.path, err);
    if (status == WR_OK) {
        status = wr_receipt_u64(&w->env, object, "inode", &r.inode, err);
    }
    if (status == WR_OK) {
        status = wr_receipt_u64(&w->env, object, "before", &r.before, err);
    }
    if (status == WR_OK) {
        status = wr_receipt_u64(&w->env, object, "after", &r.after, err);
    }
    if (status == WR_OK && (r.after < r.before || r.after > INT64_MAX)) {
        status = wr_receipt_bad(&w->env, "after", err);
    }
    if (status == WR_OK && r.after > r.before) {
        status = wr_receipt_text(&w->env, object, "spool", &r.spool, err);
        if (status == WR_OK) {
            status = wr_receipt_u64(&w->env, object, "begin", &r.begin, err);
        }
        if (status == WR_OK) {
            status = wr_receipt_u64(&w->env, object, "crc", &crc, err);
        }
    }
    r.crc = (uint32_t)crc;
    if (status == WR_OK) {
        status = wr_file_settle(&r, w->env.io, err);
    }
    if (status == WR_OK && r.spool != NULL) {
        (void)unlink(r.spool);
    }
    json_decref(object);
    return status;
}

static wr_status file_recover(struct wr_writer *w, const struct wr_sink_recovery *recovery,
                              struct wr_error *err)
{
    for (uint32_t i = 0; i < recovery->receipt_count; i++) {
        WR_TRY(settle_receipt(w, &recovery->receipts[i], err));
    }
    for (uint32_t i = 0; i < recovery->owner_count; i++) {
        char *spool = spool_path_of(w->path, recovery->owners[i]);
        (void)unlink(spool); /* no receipt names it, or it is settled */
        free(spool);
    }
    struct stat info;
    if (fstat(w->fd, &info) < 0) {
        return wr_file_fail(err, WR_CLASS_FATAL, errno, "look at", w->path);
    }
    if (!w->stream) {
        w->length = (uint64_t)info.st_size;
        w->header_due = w->length == 0;
    }
    return WR_OK;
}

/* ---- publishing ---- */

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
    /* When several were prepared, the head speaks of the one before. */
    if (!w->stateful && w->head_before != w->length) {
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
    .exactly_once = true,
    .bulk = true, /* its syncs must not delay an immediate sink */
    .check = file_check,
    .open = file_open,
    .recover = file_recover,
    .write = file_write,
    .prepare = file_prepare,
    .publish = file_publish,
    .stats = file_stats,
    .held_bytes = file_held_bytes,
    .close = file_close,
};
