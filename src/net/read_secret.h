/* read_secret.h: small files that hold tokens and keys. */
#ifndef WR_NET_READ_SECRET_H
#define WR_NET_READ_SECRET_H

#include "base/buf.h"
#include "base/status.h"

/* Appends the file's content without the white space at its end. USER when it cannot be read, is
 * empty or larger than 1 MiB; the error names the path. Wipe what was read with wr_token_wipe. */
WR_NODISCARD wr_status wr_read_secret(const char *path, struct wr_buf *into, struct wr_error *err);

#endif
