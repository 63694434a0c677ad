/* file_unpack.h: gzip and zstd, recognised by their first bytes, also of several members or frames.
 * Ownership: one per file being read. Threads: one. */
#ifndef WR_SOURCE_FILE_UNPACK_H
#define WR_SOURCE_FILE_UNPACK_H

#include "base/status.h"

enum wr_file_codec { WR_FILE_PLAIN, WR_FILE_GZIP, WR_FILE_ZSTD };

/* From a file's first bytes. */
enum wr_file_codec wr_file_codec_of(const void *data, size_t bytes);
const char *wr_file_codec_name(enum wr_file_codec codec);

struct wr_unpack;

struct wr_unpack *wr_unpack_create(enum wr_file_codec codec);
void wr_unpack_destroy(struct wr_unpack *unpack); /* NULL is fine */

/* Reads from in (advancing *in_at up to in_bytes) and writes to out (advancing *out_at up to
 * out_bytes) until one of them is used up. Broken data: WR_FAIL, class DATA. */
WR_NODISCARD wr_status wr_unpack_run(struct wr_unpack *unpack, const char *in, size_t *in_at,
                                     size_t in_bytes, char *out, size_t *out_at, size_t out_bytes,
                                     struct wr_error *err);
/* The input is over: was it whole? */
WR_NODISCARD wr_status wr_unpack_finish(struct wr_unpack *unpack, struct wr_error *err);

#endif
