/* file_unpack.c: see file_unpack.h. */
#include "source/file_unpack.h"

#include "base/heap.h"
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* Frames that ask for a bigger window than this are refused: it is memory that the file chooses.
 * zstd --ultra -22 uses 128 MiB, and so does `zstd --long` (27). */
#define WINDOW_LOG_MAX 27

struct wr_unpack {
    enum wr_file_codec codec;
    bool inside; /* a member or frame has begun and not ended */
    z_stream zlib;
    ZSTD_DStream *zstd;
};

enum wr_file_codec wr_file_codec_of(const void *data, size_t bytes)
{
    uint8_t b[4] = { 0 };
    memcpy(b, data, bytes < 4 ? bytes : 4);
    if (bytes >= 2 && b[0] == 0x1f && b[1] == 0x8b) {
        return WR_FILE_GZIP; /* RFC 1952, 2.3.1 */
    }
    const bool frame = b[0] == 0x28 && b[1] == 0xb5 && b[2] == 0x2f && b[3] == 0xfd;
    const bool skippable = (b[0] & 0xf0) == 0x50 && b[1] == 0x2a && b[2] == 0x4d && b[3] == 0x18;
    return frame || skippable ? WR_FILE_ZSTD : WR_FILE_PLAIN; /* RFC 8878, 3.1 */
}

const char *wr_file_codec_name(enum wr_file_codec codec)
{
    return codec == WR_FILE_GZIP ? "gzip" : (codec == WR_FILE_ZSTD ? "zstd" : "plain");
}

struct wr_unpack *wr_unpack_create(enum wr_file_codec codec)
{
    struct wr_unpack *u = wr_calloc(1, sizeof *u);
    u->codec = codec;
    if (codec == WR_FILE_ZSTD) {
        u->zstd = ZSTD_createDStream();
        if (u->zstd != NULL) {
            (void)ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
        }
    } else if (inflateInit2(&u->zlib, 15 + 16) != Z_OK) { /* +16: gzip's frame */
        memset(&u->zlib, 0, sizeof u->zlib);
    }
    return u;
}

void wr_unpack_destroy(struct wr_unpack *u)
{
    if (u != NULL) {
        ZSTD_freeDStream(u->zstd);
        if (u->codec == WR_FILE_GZIP) {
            inflateEnd(&u->zlib);
        }
        free(u);
    }
}

static wr_status run_zstd(struct wr_unpack *u, const char *in, size_t *in_at, size_t in_bytes,
                          char *out, size_t *out_at, size_t out_bytes, struct wr_error *err)
{
    wr_ensure(u->zstd != NULL, err, WR_CLASS_FATAL, "zstd: out of memory");
    ZSTD_inBuffer from = { in, in_bytes, *in_at };
    ZSTD_outBuffer to = { out, out_bytes, *out_at };
    while (to.pos < to.size) {
        const size_t was_in = from.pos;
        const size_t was_out = to.pos;
        const size_t result = ZSTD_decompressStream(u->zstd, &to, &from);
        wr_ensure(!ZSTD_isError(result), err, WR_CLASS_DATA, "broken zstd data: %s",
                  ZSTD_getErrorName(result));
        if (from.pos > was_in || to.pos > was_out) {
            u->inside = result != 0;
        } else {
            break; /* nothing moves any more: it has given what it had */
        }
    }
    *in_at = from.pos;
    *out_at = to.pos;
    return WR_OK;
}

static wr_status run_gzip(struct wr_unpack *u, const char *in, size_t *in_at, size_t in_bytes,
                          char *out, size_t *out_at, size_t out_bytes, struct wr_error *err)
{
    z_stream *z = &u->zlib;
    while (*out_at < out_bytes) {
        if (!u->inside) {
            while (*in_at < in_bytes && in[*in_at] == '\0') {
                (*in_at)++; /* padding after a member (tapes, block devices) */
            }
            if (*in_at == in_bytes) {
                break;
            }
            wr_ensure(inflateReset(z) == Z_OK, err, WR_CLASS_FATAL, "gzip: out of memory");
            u->inside = true;
        }
        const size_t give = in_bytes - *in_at < UINT32_MAX ? in_bytes - *in_at : UINT32_MAX;
        const size_t room = out_bytes - *out_at < UINT32_MAX ? out_bytes - *out_at : UINT32_MAX;
        z->next_in = (Bytef *)(uintptr_t)(in + *in_at); /* zlib's signature lacks the const */
        z->avail_in = (uInt)give;
        z->next_out = (Bytef *)(out + *out_at);
        z->avail_out = (uInt)room;
        const int result = inflate(z, Z_NO_FLUSH);
        *in_at += give - z->avail_in;
        *out_at += room - z->avail_out;
        if (result == Z_STREAM_END) {
            u->inside = false;
        } else if (result == Z_BUF_ERROR ||
                   (result == Z_OK && z->avail_out > 0 && z->avail_in == 0)) {
            break; /* it wants more input */
        } else {
            wr_ensure(result == Z_OK, err, WR_CLASS_DATA, "broken gzip data: %s",
                      z->msg != NULL ? z->msg : "cannot inflate");
        }
    }
    return WR_OK;
}

wr_status wr_unpack_run(struct wr_unpack *u, const char *in, size_t *in_at, size_t in_bytes,
                        char *out, size_t *out_at, size_t out_bytes, struct wr_error *err)
{
    if (u->codec == WR_FILE_ZSTD) {
        return run_zstd(u, in, in_at, in_bytes, out, out_at, out_bytes, err);
    }
    return run_gzip(u, in, in_at, in_bytes, out, out_at, out_bytes, err);
}

wr_status wr_unpack_finish(struct wr_unpack *u, struct wr_error *err)
{
    wr_ensure(!u->inside, err, WR_CLASS_DATA,
              "the %s data end in the middle: the file is not complete",
              wr_file_codec_name(u->codec));
    return WR_OK;
}
