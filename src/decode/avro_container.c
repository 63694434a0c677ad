/* avro_container.c: see avro_container.h. */
#include "decode/avro_container.h"

#include "decode/avro_value.h"
/* One by one: a plain avro.h would be our own. */
#include <avro/errors.h>
#include <avro/generic.h>
#include <avro/io.h>
#include <avro/schema.h>
#include <avro/value.h>
#include <snappy-c.h>
#include <stdio.h>
#include <zlib.h>
#include <zstd.h>

#define CHUNK_BYTES (64u << 10)

/* ---- the header ---- */

static const char *const codec_names[] = { "null", "deflate", "snappy", "zstandard", "lzma" };

static wr_status take_codec(struct wr_avro_header *header, struct wr_slice name,
                            struct wr_error *err)
{
    for (uint32_t i = 0; i < sizeof codec_names / sizeof codec_names[0]; i++) {
        if (wr_slice_is(name, codec_names[i])) {
            header->codec = (enum wr_avro_codec)i;
            return WR_OK;
        }
    }
    return wr_fail(err, WR_CLASS_DATA, "the file's codec \"%.*s\" is none of null, deflate, snappy, zstandard, lzma",
                   name.bytes > 40 ? 40 : (int)name.bytes, name.data);
}

static wr_status take_entry(struct wr_avro_header *header, struct wr_avro_cursor *c,
                            struct wr_error *err)
{
    struct wr_slice key;
    struct wr_slice value;
    if (!wr_avro_bytes(c, &key) || !wr_avro_bytes(c, &value)) {
        return WR_AGAIN;
    }
    if (wr_slice_is(key, "avro.schema")) {
        header->schema = value;
    } else if (wr_slice_is(key, "avro.codec")) {
        return take_codec(header, value, err);
    }
    return WR_OK;
}

static wr_status take_metadata(struct wr_avro_header *header, struct wr_avro_cursor *c,
                               struct wr_error *err)
{
    for (;;) {
        uint64_t items;
        int64_t bytes;
        if (!wr_avro_block(c, &items, &bytes)) {
            return WR_AGAIN;
        }
        if (items == 0) {
            return WR_OK;
        }
        for (; items > 0; items--) {
            const wr_status status = take_entry(header, c, err);
            if (status != WR_OK) {
                return status;
            }
        }
    }
}

wr_status wr_avro_header_read(struct wr_avro_header *header, const char *data, size_t bytes,
                              struct wr_error *err)
{
    static const char magic[] = { 'O', 'b', 'j', 1 };
    struct wr_avro_cursor c = { .at = (const uint8_t *)data,
                                .end = (const uint8_t *)data + bytes,
                                .budget = wr_avro_budget(bytes) };
    *header = (struct wr_avro_header){ 0 };
    wr_ensure(memcmp(data, magic, bytes < sizeof magic ? bytes : sizeof magic) == 0, err,
              WR_CLASS_DATA, "this is no Avro container file: it does not begin with Obj and 01");
    if (bytes < sizeof magic) {
        return WR_AGAIN;
    }
    c.at += sizeof magic;
    const wr_status status = take_metadata(header, &c, err);
    if (status == WR_FAIL) {
        return WR_FAIL;
    }
    if (status == WR_AGAIN || (size_t)(c.end - c.at) < WR_AVRO_SYNC_BYTES) {
        wr_ensure(bytes < WR_AVRO_HEADER_BYTES_MAX, err, WR_CLASS_DATA,
                  "the container file's header is broken or larger than %u KiB",
                  WR_AVRO_HEADER_BYTES_MAX >> 10);
        return WR_AGAIN;
    }
    wr_ensure(header->schema.data != NULL, err, WR_CLASS_DATA,
              "the container file's header has no avro.schema");
    memcpy(header->sync, c.at, WR_AVRO_SYNC_BYTES);
    header->bytes = (size_t)(c.at - (const uint8_t *)data) + WR_AVRO_SYNC_BYTES;
    return WR_OK;
}

wr_status wr_avro_block_read(const char *data, size_t bytes, uint64_t *count, size_t *size,
                             size_t *head, struct wr_error *err)
{
    struct wr_avro_cursor c = { .at = (const uint8_t *)data, .end = (const uint8_t *)data + bytes };
    int64_t items;
    int64_t length;
    if (!wr_avro_long(&c, &items) || !wr_avro_long(&c, &length)) {
        wr_ensure(bytes < WR_AVRO_BLOCK_HEAD_BYTES_MAX, err, WR_CLASS_DATA,
                  "a block's count or size is no number");
        return WR_AGAIN;
    }
    wr_ensure(items >= 0 && length >= 0 && length <= (int64_t)WR_AVRO_BLOCK_BYTES_MAX, err,
              WR_CLASS_DATA, "a block says that it has %lld records in %lld bytes", (long long)items,
              (long long)length);
    *count = (uint64_t)items;
    *size = (size_t)length;
    *head = (size_t)(c.at - (const uint8_t *)data);
    return WR_OK;
}

/* ---- codecs ---- */

void wr_avro_unpack_deinit(struct wr_avro_unpack *unpack)
{
    (void)ZSTD_freeDCtx(unpack->zstd);
    wr_buf_deinit(&unpack->out);
    *unpack = (struct wr_avro_unpack){ 0 };
}

static wr_status broken(const char *codec, struct wr_error *err)
{
    return wr_fail(err, WR_CLASS_DATA, "the block's %s data is broken, or larger than %u MiB", codec,
                   WR_AVRO_BLOCK_BYTES_MAX >> 20);
}

static wr_status run_deflate(struct wr_buf *out, struct wr_slice packed, struct wr_error *err)
{
    z_stream stream = { .next_in = (Bytef *)packed.data, .avail_in = (uInt)packed.bytes };
    if (inflateInit2(&stream, -15) != Z_OK) {
        return wr_fail(err, WR_CLASS_DATA, "zlib cannot be started");
    }
    int code = Z_OK;
    while (code == Z_OK && out->bytes <= WR_AVRO_BLOCK_BYTES_MAX) {
        stream.next_out = (Bytef *)wr_buf_reserve(out, CHUNK_BYTES);
        stream.avail_out = CHUNK_BYTES;
        code = inflate(&stream, Z_NO_FLUSH);
        out->bytes += CHUNK_BYTES - stream.avail_out;
        if (stream.avail_in == 0 && stream.avail_out > 0 && code == Z_OK) {
            code = Z_DATA_ERROR; /* cut off */
        }
    }
    (void)inflateEnd(&stream);
    return code == Z_STREAM_END ? WR_OK : broken("deflate", err);
}

/* The data ends with a CRC-32 of what was packed, most significant byte first. */
static wr_status run_snappy(struct wr_buf *out, struct wr_slice packed, struct wr_error *err)
{
    size_t length = 0;
    if (packed.bytes < 4) {
        return broken("snappy", err);
    }
    const uint8_t *crc = (const uint8_t *)packed.data + packed.bytes - 4;
    const uint32_t wanted =
        (uint32_t)crc[0] << 24 | (uint32_t)crc[1] << 16 | (uint32_t)crc[2] << 8 | crc[3];
    packed.bytes -= 4;
    if (snappy_uncompressed_length(packed.data, packed.bytes, &length) != SNAPPY_OK ||
        length > WR_AVRO_BLOCK_BYTES_MAX ||
        snappy_uncompress(packed.data, packed.bytes, wr_buf_reserve(out, length + 1), &length) !=
            SNAPPY_OK) {
        return broken("snappy", err);
    }
    out->bytes = length;
    wr_ensure(crc32(0, (const Bytef *)out->data, (uInt)length) == wanted, err, WR_CLASS_DATA,
              "the block's checksum is not that of its data");
    return WR_OK;
}

static wr_status run_zstandard(struct wr_avro_unpack *unpack, struct wr_slice packed,
                               struct wr_error *err)
{
    ZSTD_inBuffer in = { packed.data, packed.bytes, 0 };
    size_t left = 1;
    if (unpack->zstd == NULL) {
        unpack->zstd = ZSTD_createDCtx();
    }
    wr_ensure(unpack->zstd != NULL, err, WR_CLASS_DATA, "zstd cannot be started");
    (void)ZSTD_DCtx_reset(unpack->zstd, ZSTD_reset_session_only);
    while ((left != 0 || in.pos < in.size) && unpack->out.bytes <= WR_AVRO_BLOCK_BYTES_MAX) {
        ZSTD_outBuffer to = { wr_buf_reserve(&unpack->out, CHUNK_BYTES), CHUNK_BYTES, 0 };
        const size_t before = in.pos;
        left = ZSTD_decompressStream(unpack->zstd, &to, &in);
        unpack->out.bytes += to.pos;
        if (ZSTD_isError(left) || (to.pos == 0 && in.pos == before)) {
            return broken("zstandard", err);
        }
    }
    return unpack->out.bytes <= WR_AVRO_BLOCK_BYTES_MAX ? WR_OK : broken("zstandard", err);
}

/* ---- Avro C's own codec: it alone writes it, and it reads it ---- */

static void put_long(struct wr_buf *buf, int64_t value)
{
    uint64_t raw = (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
    for (; raw >= 0x80; raw >>= 7) {
        wr_buf_byte(buf, (uint8_t)(raw | 0x80));
    }
    wr_buf_byte(buf, (uint8_t)raw);
}

static void put_text(struct wr_buf *buf, struct wr_slice text)
{
    put_long(buf, (int64_t)text.bytes);
    wr_buf_append(buf, text.data, text.bytes);
}

/* A container file of that block alone. */
static void make_file(struct wr_buf *file, struct wr_slice schema, uint64_t count,
                      struct wr_slice packed)
{
    static const char sync[WR_AVRO_SYNC_BYTES] = "weir reads a bit";
    wr_buf_append(file, "Obj\1", 4);
    put_long(file, 2);
    put_text(file, wr_slice_of("avro.codec"));
    put_text(file, wr_slice_of("lzma"));
    put_text(file, wr_slice_of("avro.schema"));
    put_text(file, schema);
    put_long(file, 0);
    wr_buf_append(file, sync, sizeof sync);
    put_long(file, (int64_t)count);
    put_text(file, packed);
    wr_buf_append(file, sync, sizeof sync);
}

/* The value's bytes behind out's. */
static bool append_value(struct wr_buf *out, avro_value_t *value)
{
    size_t bytes = 0;
    if (avro_value_sizeof(value, &bytes) != 0 || bytes > WR_AVRO_BLOCK_BYTES_MAX) {
        return false;
    }
    avro_writer_t writer = avro_writer_memory(wr_buf_reserve(out, bytes + 1), (int64_t)bytes + 1);
    const bool made = writer != NULL && avro_value_write(writer, value) == 0;
    if (made) {
        out->bytes += (size_t)avro_writer_tell(writer);
    }
    if (writer != NULL) {
        avro_writer_free(writer);
    }
    return made && out->bytes <= WR_AVRO_BLOCK_BYTES_MAX;
}

static bool copy_values(struct wr_buf *out, avro_file_reader_t reader, uint64_t count)
{
    avro_schema_t schema = avro_file_reader_get_writer_schema(reader);
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    avro_value_t value;
    bool fine = iface != NULL && avro_generic_value_new(iface, &value) == 0;
    if (fine) {
        for (uint64_t i = 0; i < count && fine; i++) {
            avro_value_reset(&value);
            fine = avro_file_reader_read_value(reader, &value) == 0 && append_value(out, &value);
        }
        avro_value_decref(&value);
    }
    if (iface != NULL) {
        avro_value_iface_decref(iface);
    }
    avro_schema_decref(schema);
    return fine;
}

static wr_status run_avro_c(struct wr_buf *out, struct wr_slice schema, uint64_t count,
                            struct wr_slice packed, struct wr_error *err)
{
    struct wr_buf file = { 0 };
    avro_file_reader_t reader;
    bool fine = false;
    make_file(&file, schema, count, packed);
    FILE *stream = fmemopen(file.data, file.bytes, "rb");
    if (stream != NULL && avro_file_reader_fp(stream, "block", 0, &reader) == 0) {
        fine = copy_values(out, reader, count);
        avro_file_reader_close(reader);
    }
    if (stream != NULL) {
        fclose(stream);
    }
    wr_buf_deinit(&file);
    return fine ? WR_OK : wr_fail(err, WR_CLASS_DATA, "the block's lzma data: Avro C says: %.100s", avro_strerror());
}

wr_status wr_avro_unpack_block(struct wr_avro_unpack *unpack, enum wr_avro_codec codec,
                               struct wr_slice schema, uint64_t count, struct wr_slice packed,
                               struct wr_slice *records, struct wr_error *err)
{
    wr_status status = WR_OK;
    unpack->out.bytes = 0;
    switch (codec) {
    case WR_AVRO_CODEC_NULL:
        *records = packed;
        return WR_OK;
    case WR_AVRO_CODEC_DEFLATE:
        status = run_deflate(&unpack->out, packed, err);
        break;
    case WR_AVRO_CODEC_SNAPPY:
        status = run_snappy(&unpack->out, packed, err);
        break;
    case WR_AVRO_CODEC_ZSTANDARD:
        status = run_zstandard(unpack, packed, err);
        break;
    case WR_AVRO_CODEC_LZMA:
        status = run_avro_c(&unpack->out, schema, count, packed, err);
        break;
    }
    *records = (struct wr_slice){ unpack->out.data != NULL ? unpack->out.data : "",
                                  unpack->out.bytes };
    return status;
}
