/* local_file.h: what the local store and the file sink share: whole writes, durable directories,
 * errors that say what to do.
 *
 * Functions return 0 or an errno. io may be NULL: plain system calls then. Threads: those that may
 * wait.
 */
#ifndef WR_STORE_LOCAL_FILE_H
#define WR_STORE_LOCAL_FILE_H

#include "base/status.h"
#include "io/loop.h"

/* Writes all of it. offset < 0: at the file's own position (pipes, terminals). */
int wr_file_write_all(struct wr_io *io, int fd, const void *data, size_t bytes, int64_t offset);
/* Reads up to bytes; *got is less only at the end of the file. */
int wr_file_read_all(struct wr_io *io, int fd, void *data, size_t bytes, int64_t offset,
                     size_t *got);
int wr_file_sync(struct wr_io *io, int fd);

/* Makes the names in a directory durable, or in the one that holds path. */
int wr_file_sync_directory(const char *directory);
int wr_file_sync_parent(const char *path);
/* Creates path's missing parent directories; durable: each is synced into the one above. */
int wr_file_make_parents(const char *path, bool durable);

/* Fills err for a failed system call: "cannot <verb> <path>: <reason>" and a hint that fits errno.
 * The class is RETRY where somebody may free space or descriptors meanwhile, else cls. Returns
 * WR_FAIL. */
wr_status wr_file_fail(struct wr_error *err, enum wr_error_class cls, int error, const char *verb,
                       const char *path);

#endif
