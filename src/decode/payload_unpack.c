/* payload_unpack.c: see payload_unpack.h. */
#include "decode/payload_unpack.h"

#include "base/buf.h"
#include "base/heap.h"
#include "base/limits.h"
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* zstd's frames may ask for a window, which is memory that the sender chooses: no more than a record may have. */
#define WINDOW_LOG_MAX 26
/* A payload's room grows from here: most events are smaller, unpacked. */
#define FIRST_BYTES (16u << 10)
/* What one large payload needed is given back. */
#define KEPT_BYTES (1u << 20)

_Static_assert((1u << WINDOW_LOG_MAX) == WR_RECORD_BYTES_MAX, "a window that no record fills is refused");

enum mode { AUTO, GZIP, ZSTD };
enum codec { PLAIN, IS_GZIP, IS_ZSTD };

struct wr_payload_unpack {
    enum mode mode;
    bool binary; /* payloads may begin so by chance */
    bool has_zlib;
    z_stream zlib;
    ZSTD_DCtx *zstd;
    struct wr_buf out;
};

struct wr_payload_unpack *wr_payload_unpack_create(const char *compression, const char *format)
{
    if (strcmp(compression, "none") == 0 || format[0] == '\0') {
        return NULL;
    }
    struct wr_payload_unpack *u = wr_calloc(1, sizeof *u);
    u->mode = strcmp(compression, "gzip") == 0 ? GZIP : (strcmp(compression, "zstd") == 0 ? ZSTD : AUTO);
    u->binary = strcmp(format, "json") != 0 && strcmp(format, "csv") != 0;
    return u;
}

void wr_payload_unpack_destroy(struct wr_payload_unpack *u)
{
    if (u != NULL) {
        if (u->has_zlib) {
            inflateEnd(&u->zlib);
        }
        ZSTD_freeDCtx(u->zstd);
        wr_buf_deinit(&u->out);
        free(u);
    }
}

/* By the first bytes; the comparison with the first of them alone settles nearly every record. */
static inline enum codec codec_of(const struct wr_record *record)
{
    const uint8_t *b = (const uint8_t *)record->data;
    if (record->bytes < 4 || (b[0] != 0x1f && b[0] != 0x28 && (b[0] & 0xf0) != 0x50)) {
        return PLAIN;
    }
    if (b[0] == 0x1f) {
        return b[1] == 0x8b ? IS_GZIP : PLAIN; /* RFC 1952, 2.3.1 */
    }
    const bool frame = b[0] == 0x28 && b[1] == 0xb5 && b[2] == 0x2f && b[3] == 0xfd;
    const bool skippable = b[0] != 0x28 && b[1] == 0x2a && b[2] == 0x4d && b[3] == 0x18;
    return frame || skippable ? IS_ZSTD : PLAIN; /* RFC 8878, 3.1 */
}

/* Room for more output, or false: the payload is too large. */
static bool grow(struct wr_payload_unpack *u)
{
    if (u->out.bytes > WR_RECORD_BYTES_MAX) {
        return false;
    }
    if (u->out.bytes == u->out.capacity) {
        (void)wr_buf_reserve(&u->out, u->out.capacity == 0 ? FIRST_BYTES : u->out.capacity);
    }
    return true;
}

#define TOO_LARGE "the payload unpacks to more than 64 MiB"

/* Returns why it cannot be unpacked, or NULL. */
static const char *run_gzip(struct wr_payload_unpack *u, const struct wr_record *record)
{
    z_stream *z = &u->zlib;
    if (!u->has_zlib) {
        if (inflateInit2(z, 15 + 16) != Z_OK) { /* +16: gzip's frame */
            return "gzip: out of memory";
        }
        u->has_zlib = true;
    }
    z->next_in = (Bytef *)(uintptr_t)record->data; /* zlib's signature lacks the const */
    z->avail_in = record->bytes;
    while (z->avail_in > 0) { /* members, one after the other */
        int result = inflateReset(z);
        while (result == Z_OK) {
            if (!grow(u)) {
                return TOO_LARGE;
            }
            const size_t room = u->out.capacity - u->out.bytes;
            z->next_out = (Bytef *)u->out.data + u->out.bytes;
            z->avail_out = room < UINT32_MAX ? (uInt)room : UINT32_MAX;
            const uInt given = z->avail_out;
            result = inflate(z, Z_NO_FLUSH);
            u->out.bytes += given - z->avail_out;
            if (result == Z_BUF_ERROR && z->avail_in == 0) {
                return "the gzip payload ends in the middle";
            }
            if (result == Z_OK && z->avail_in == 0 && z->avail_out > 0) {
                return "the gzip payload ends in the middle";
            }
            result = result == Z_BUF_ERROR ? Z_OK : result;
        }
        if (result != Z_STREAM_END) {
            return "the gzip payload is broken";
        }
    }
    return u->out.bytes > WR_RECORD_BYTES_MAX ? TOO_LARGE : NULL;
}

static const char *run_zstd(struct wr_payload_unpack *u, const struct wr_record *record)
{
    if (u->zstd == NULL) {
        u->zstd = ZSTD_createDCtx();
        if (u->zstd == NULL) {
            return "zstd: out of memory";
        }
        (void)ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    }
    (void)ZSTD_DCtx_reset(u->zstd, ZSTD_reset_session_only);
    ZSTD_inBuffer in = { record->data, record->bytes, 0 };
    size_t result;
    do { /* frames, one after the other */
        if (!grow(u)) {
            return TOO_LARGE;
        }
        ZSTD_outBuffer out = { u->out.data, u->out.capacity, u->out.bytes };
        const size_t was = in.pos;
        result = ZSTD_decompressStream(u->zstd, &out, &in);
        if (ZSTD_isError(result)) {
            return "the zstd payload is broken";
        }
        const bool moved = out.pos > u->out.bytes || in.pos > was;
        u->out.bytes = out.pos;
        if (in.pos == in.size && result != 0 && out.pos < out.size) {
            return "the zstd payload ends in the middle";
        }
        if (!moved && out.pos < out.size) {
            return "the zstd payload is broken";
        }
    } while (in.pos < in.size || result != 0);
    return u->out.bytes > WR_RECORD_BYTES_MAX ? TOO_LARGE : NULL;
}

/* The items as they came, once, before the first is changed. */
static void keep_raw(struct wr_records *records, struct wr_arena *arena)
{
    if (records->raw == NULL) {
        struct wr_record *raw = WR_ARENA_ARRAY(arena, struct wr_record, records->count);
        memcpy(raw, records->items, records->count * sizeof *raw);
        records->raw = raw;
    }
}

static void refuse(struct wr_records *records, uint32_t row, const char *why, struct wr_arena *arena)
{
    keep_raw(records, arena);
    if (records->unfit == NULL) {
        records->unfit = WR_ARENA_ARRAY(arena, const char *, records->count);
        memset(records->unfit, 0, records->count * sizeof *records->unfit);
    }
    records->unfit[row] = why;
    records->items[row].data = NULL; /* the decoder finds nothing, and says so: the reason replaces that */
    records->items[row].bytes = 0;
}

static void unpack_one(struct wr_payload_unpack *u, struct wr_records *records, uint32_t row, enum codec codec,
                       struct wr_arena *arena)
{
    struct wr_record *record = &records->items[row];
    u->out.bytes = 0;
    const char *why = codec == IS_GZIP ? run_gzip(u, record) : run_zstd(u, record);
    if (why != NULL && (strcmp(why, TOO_LARGE) == 0 || !u->binary || u->mode != AUTO)) {
        refuse(records, row, why, arena);
    } else if (why == NULL) {
        keep_raw(records, arena);
        char *copy = wr_arena_alloc(arena, u->out.bytes + 1);
        memcpy(copy, u->out.data, u->out.bytes);
        record->data = copy;
        record->bytes = (uint32_t)u->out.bytes; /* at most WR_RECORD_BYTES_MAX */
    }
    if (u->out.capacity > KEPT_BYTES) {
        wr_buf_deinit(&u->out);
    }
}

uint32_t wr_payload_unpack_run(struct wr_payload_unpack *u, struct wr_records *records, struct wr_arena *arena,
                               size_t bytes_at_once)
{
    size_t made = 0;
    for (uint32_t row = 0; row < records->count; row++) {
        const struct wr_record *record = &records->items[row];
        const enum codec codec = record->data != NULL ? codec_of(record) : PLAIN;
        if (__builtin_expect(codec == PLAIN && u->mode == AUTO, 1)) {
            continue;
        }
        if (made >= bytes_at_once) {
            return row;
        }
        if (record->data == NULL || record->bytes > WR_RECORD_BYTES_MAX) {
            continue; /* a tombstone; too large anyway: the decoder says so */
        }
        if (u->mode == AUTO || codec == (u->mode == GZIP ? IS_GZIP : IS_ZSTD)) {
            unpack_one(u, records, row, codec, arena);
            made += records->items[row].bytes;
        } else {
            refuse(records, row, u->mode == GZIP ? "the payload is not gzip" : "the payload is not zstd", arena);
        }
    }
    return records->count;
}
