#include "store/local_file.h"

#include "base/heap.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes of one system call: large enough to be cheap, far from INT32_MAX. */
#define CHUNK_BYTES (8u << 20)

/* The caller waits either way, and neither a buffered write nor a sync waits for anybody else: io_uring would hand it to
 * a thread of the kernel's, which costs the wake-ups and finds the bytes in another core's cache. The simulated loop sees
 * all. */
static bool in_this_thread(const struct wr_io *io, const struct wr_io_op *op)
{
    const bool waits_alone =
        op->kind == WR_IO_FSYNC || (op->kind == WR_IO_WRITE && op->offset >= 0);
    return io == NULL || (waits_alone && wr_io_backend_of(io) != WR_IO_SIM);
}

static int32_t run(struct wr_io *io, struct wr_io_op *op)
{
    if (!in_this_thread(io, op)) {
        return wr_io_run(io, op);
    }
    ssize_t n;
    do {
        switch (op->kind) {
        case WR_IO_READ:
            n = pread(op->fd, op->buffer, op->bytes, op->offset);
            break;
        case WR_IO_WRITE:
            n = op->offset < 0 ? write(op->fd, op->buffer, op->bytes)
                               : pwrite(op->fd, op->buffer, op->bytes, op->offset);
            break;
        default:
            n = fdatasync(op->fd);
        }
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (int32_t)n;
}

int wr_file_write_all(struct wr_io *io, int fd, const void *data, size_t bytes, int64_t offset)
{
    const char *at = data;
    while (bytes > 0) {
        const uint32_t piece = bytes < CHUNK_BYTES ? (uint32_t)bytes : CHUNK_BYTES;
        struct wr_io_op op = { .kind = WR_IO_WRITE,
                               .fd = fd,
                               .buffer = (void *)(uintptr_t)at,
                               .bytes = piece,
                               .offset = offset };
        const int32_t n = run(io, &op);
        if (n < 0 && n != -EINTR && n != -EAGAIN) {
            return -n;
        }
        if (n == 0) {
            return EIO; /* a write that takes nothing and says nothing would loop for ever */
        }
        if (n > 0) {
            at += n;
            bytes -= (size_t)n;
            offset = offset < 0 ? offset : offset + n;
        }
    }
    return 0;
}

int wr_file_read_all(struct wr_io *io, int fd, void *data, size_t bytes, int64_t offset,
                     size_t *got)
{
    *got = 0;
    while (*got < bytes) {
        const size_t left = bytes - *got;
        struct wr_io_op op = { .kind = WR_IO_READ,
                               .fd = fd,
                               .buffer = (char *)data + *got,
                               .bytes = left < CHUNK_BYTES ? (uint32_t)left : CHUNK_BYTES,
                               .offset = offset + (int64_t)*got };
        const int32_t n = run(io, &op);
        if (n < 0 && n != -EINTR && n != -EAGAIN) {
            return -n;
        }
        if (n == 0) {
            break;
        }
        *got += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int wr_file_sync(struct wr_io *io, int fd)
{
    struct wr_io_op op = { .kind = WR_IO_FSYNC, .fd = fd };
    const int32_t n = run(io, &op);
    return n < 0 ? -n : 0;
}

/* The directory that holds path, as a new text. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return wr_strdup(".");
    }
    char *parent = wr_strdup(path);
    parent[slash == path ? 1 : slash - path] = '\0';
    return parent;
}

int wr_file_sync_directory(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    /* Some file systems (FUSE, some network ones) cannot sync a directory and say EINVAL: nothing
     * better is to be had. */
    const int error = fsync(fd) < 0 && errno != EINVAL ? errno : 0;
    close(fd);
    return error;
}

int wr_file_sync_parent(const char *path)
{
    char *parent = parent_of(path);
    const int error = wr_file_sync_directory(parent);
    free(parent);
    return error;
}

int wr_file_make_parents(const char *path, bool durable)
{
    char *parent = parent_of(path);
    struct stat info;
    int error = 0;
    if (stat(parent, &info) == 0) {
        error = S_ISDIR(info.st_mode) ? 0 : ENOTDIR;
    } else if (errno != ENOENT) {
        error = errno;
    } else {
        error = wr_file_make_parents(parent, durable);
        if (error == 0 && mkdir(parent, 0777) < 0 && errno != EEXIST) {
            error = errno;
        }
        error = error != 0 || !durable ? error : wr_file_sync_parent(parent);
    }
    free(parent);
    return error;
}

static void hint(struct wr_error *err, int error, const char *path)
{
    switch (error) {
    case ENOENT:
        wr_error_hint(err, "create the directory first: mkdir -p \"$(dirname '%s')\"", path);
        return;
    case EACCES:
    case EPERM:
        wr_error_hint(err, "give this user the right to write there: ls -ld \"$(dirname '%s')\"",
                      path);
        return;
    case EROFS:
        wr_error_hint(err, "the file system is mounted read-only; choose another path");
        return;
    case ENOSPC:
    case EDQUOT:
        wr_error_hint(err, "free space there (see: df -h \"$(dirname '%s')\"); nothing published "
                           "is lost, and writing goes on when there is room", path);
        return;
    case EMFILE:
    case ENFILE:
        wr_error_hint(err, "allow more open files: ulimit -n 65536, or fewer open partitions");
        return;
    case EISDIR:
        wr_error_hint(err, "this is a directory; name a file in it");
        return;
    case ENOTDIR:
        wr_error_hint(err, "a part of this path is a file, not a directory");
        return;
    default:
        return;
    }
}

wr_status wr_file_fail(struct wr_error *err, enum wr_error_class cls, int error, const char *verb,
                       const char *path)
{
    const bool may_recover =
        error == ENOSPC || error == EDQUOT || error == EMFILE || error == ENFILE || error == ENOMEM;
    wr_fail(err, may_recover ? WR_CLASS_RETRY : cls, "cannot %s %s: %s", verb, path,
            strerrordesc_np(error) != NULL ? strerrordesc_np(error) : "unknown error");
    hint(err, error, path);
    return WR_FAIL;
}
