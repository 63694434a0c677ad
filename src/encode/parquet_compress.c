/* ZSTD_c_literalCompressionMode is among zstd's experimental parameters, which its shared library takes too. */
#define ZSTD_STATIC_LINKING_ONLY
#include "encode/parquet_compress.h"

#include "base/heap.h"
#include "encode/hex_frame.h"

#include <math.h>
#include <stdlib.h>
#include <zstd.h>

#define COMPRESS_TRUST_PAGES 15u
#define SAMPLE_BYTES         (16u << 10)

struct wr_compressor {
    const struct wr_kernels *kernels;
    ZSTD_CCtx *full;
    ZSTD_CCtx *entropy;
    int full_level;
    struct wr_buf scratch;
};

struct wr_compressor *wr_compressor_create(void)
{
    struct wr_compressor *c = wr_calloc(1, sizeof *c);
    c->kernels = wr_kernels_pick();
    return c;
}

void wr_compressor_destroy(struct wr_compressor *c)
{
    if (c != NULL) {
        ZSTD_freeCCtx(c->full);
        ZSTD_freeCCtx(c->entropy);
        wr_buf_deinit(&c->scratch);
        free(c);
    }
}

uint64_t wr_compressor_bytes(const struct wr_compressor *c)
{
    return (c->full == NULL ? 0 : ZSTD_sizeof_CCtx(c->full)) +
           (c->entropy == NULL ? 0 : ZSTD_sizeof_CCtx(c->entropy)) + c->scratch.capacity;
}

static wr_status check(size_t code, struct wr_error *err)
{
    return ZSTD_isError(code)
               ? wr_fail(err, WR_CLASS_FATAL, "zstd: %s", ZSTD_getErrorName(code))
               : WR_OK;
}

static wr_status full_context(struct wr_compressor *c, int level, struct wr_error *err)
{
    if (c->full == NULL) {
        c->full = ZSTD_createCCtx();
        wr_ensure(c->full != NULL, err, WR_CLASS_FATAL, "zstd: no memory for a context");
    }
    if (c->full_level != level) {
        WR_TRY(check(ZSTD_CCtx_setParameter(c->full, ZSTD_c_compressionLevel, level), err));
        c->full_level = level;
    }
    return WR_OK;
}

/* The fast strategy steps by targetLength: with its maximum it looks for no match at all. The small tables
 * only save clearing them. */
static wr_status entropy_context(struct wr_compressor *c, struct wr_error *err)
{
    static const struct {
        ZSTD_cParameter name;
        int value;
    } settings[] = {
        { ZSTD_c_compressionLevel, 1 },
        { ZSTD_c_strategy, ZSTD_fast },
        { ZSTD_c_targetLength, ZSTD_TARGETLENGTH_MAX },
        { ZSTD_c_hashLog, ZSTD_HASHLOG_MIN },
        { ZSTD_c_chainLog, ZSTD_CHAINLOG_MIN },
        { ZSTD_c_literalCompressionMode, ZSTD_ps_enable },
    };
    if (c->entropy != NULL) {
        return WR_OK;
    }
    c->entropy = ZSTD_createCCtx();
    wr_ensure(c->entropy != NULL, err, WR_CLASS_FATAL, "zstd: no memory for a context");
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        WR_TRY(check(ZSTD_CCtx_setParameter(c->entropy, settings[i].name, settings[i].value), err));
    }
    return WR_OK;
}

static wr_status compress(ZSTD_CCtx *context, struct wr_buf *out, const void *raw, size_t bytes,
                          struct wr_error *err)
{
    const size_t room = ZSTD_compressBound(bytes);
    char *into = wr_buf_reserve(out, room);
    const size_t used = ZSTD_compress2(context, into, room, raw, bytes);
    WR_TRY(check(used, err));
    out->bytes += used;
    return WR_OK;
}

/* What Huffman coding alone would make of the bytes, from the entropy of a sample. */
static double entropy_bytes(const uint8_t *raw, size_t bytes)
{
    uint32_t counts[256] = { 0 };
    const size_t sample = bytes < SAMPLE_BYTES ? bytes : SAMPLE_BYTES;
    const uint8_t *from = raw + (bytes - sample) / 2;
    for (size_t i = 0; i < sample; i++) {
        counts[from[i]]++;
    }
    double bits = 0;
    for (uint32_t i = 0; i < 256; i++) {
        if (counts[i] > 0) {
            bits += counts[i] * log2((double)sample / counts[i]);
        }
    }
    return bits / 8 / (double)sample * (double)bytes;
}

static void learn(const struct wr_compressor *c, struct wr_compress_choice *choice, const void *raw,
                  size_t bytes, size_t used)
{
    char last;
    choice->trusts = COMPRESS_TRUST_PAGES;
    if ((double)used > 0.95 * (double)bytes) {
        choice->way = WR_COMPRESS_STORED;
    } else if (wr_hex_frame_estimate(bytes, wr_hex_frame_tail(c->kernels, raw, bytes, &last)) <
               used + used / 64) {
        choice->way = WR_COMPRESS_HEX;
    } else if ((double)used > 0.97 * entropy_bytes(raw, bytes)) {
        choice->way = WR_COMPRESS_ENTROPY;
    } else {
        choice->way = WR_COMPRESS_FULL;
    }
}

/* false: the page is not as the ones before, some of it is not hex. */
static bool append_hex(const struct wr_compressor *c, struct wr_buf *out, const void *raw, size_t bytes)
{
    char last;
    const size_t tail = wr_hex_frame_tail(c->kernels, raw, bytes, &last);
    if (tail > bytes / 8) {
        return false;
    }
    wr_hex_frame_append(out, c->kernels, raw, bytes, tail, last);
    return true;
}

/* Pages below this say little about the column; they are cheap, too. */
#define LEARN_BYTES_MIN 2048u

wr_status wr_compress_page(struct wr_compressor *c, int level, struct wr_compress_choice *choice,
                           struct wr_buf *out, const void *raw, size_t bytes, struct wr_error *err)
{
    const bool learns = choice != NULL && bytes >= LEARN_BYTES_MIN;
    if (learns && choice->trusts > 0) {
        choice->trusts--;
        if (choice->way == WR_COMPRESS_STORED) {
            wr_raw_frame_append(out, raw, bytes);
            return WR_OK;
        }
        if (choice->way == WR_COMPRESS_HEX && append_hex(c, out, raw, bytes)) {
            return WR_OK;
        }
        if (choice->way == WR_COMPRESS_ENTROPY || choice->way == WR_COMPRESS_HEX) {
            WR_TRY(entropy_context(c, err));
            return compress(c->entropy, out, raw, bytes, err);
        }
        WR_TRY(full_context(c, level, err));
        return compress(c->full, out, raw, bytes, err);
    }
    const size_t before = out->bytes;
    WR_TRY(full_context(c, level, err));
    WR_TRY(compress(c->full, out, raw, bytes, err));
    const size_t used = out->bytes - before;
    if (learns) {
        learn(c, choice, raw, bytes, used);
    }
    if ((double)used > 0.95 * (double)bytes) {
        out->bytes = before;
        wr_raw_frame_append(out, raw, bytes);
    }
    return WR_OK;
}

wr_status wr_compress_measure(struct wr_compressor *c, int level, const void *raw, size_t bytes,
                              size_t *compressed, struct wr_error *err)
{
    c->scratch.bytes = 0;
    WR_TRY(full_context(c, level, err));
    WR_TRY(compress(c->full, &c->scratch, raw, bytes, err));
    *compressed = c->scratch.bytes;
    return WR_OK;
}
