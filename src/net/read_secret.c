/* read_secret.c: see read_secret.h. */
#include "net/read_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SECRET_BYTES_MAX (1u << 20)

wr_status wr_read_secret(const char *path, struct wr_buf *into, struct wr_error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us */
    ssize_t got = -1;
    wr_ensure(fd >= 0, err, WR_CLASS_USER, "cannot read %s: %s", path, strerror(errno));
    /* Room for all of it at once: growing would leave copies in freed memory. */
    char *to = wr_buf_reserve(into, SECRET_BYTES_MAX + 1);
    size_t bytes = 0;
    while (bytes <= SECRET_BYTES_MAX &&
           (got = read(fd, to + bytes, SECRET_BYTES_MAX + 1 - bytes)) > 0) {
        bytes += (size_t)got;
    }
    const int why = errno;
    close(fd);
    wr_ensure(got >= 0, err, WR_CLASS_USER, "cannot read %s: %s", path, strerror(why));
    while (bytes > 0 && (unsigned char)to[bytes - 1] <= ' ') {
        bytes--;
    }
    into->bytes += bytes;
    wr_ensure(bytes > 0 && bytes < SECRET_BYTES_MAX, err, WR_CLASS_USER,
              "%s is empty, or too large for a token or key", path);
    return WR_OK;
}
