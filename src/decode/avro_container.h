/* avro_container.h: the parts of an Avro object container file (specification 1.12): the header, and blocks of records, packed.
 *
 *   file   := "Obj" 01, metadata (a map of bytes: avro.schema, avro.codec), sync (16 bytes), block*
 *   block  := count:long, size:long, size bytes, sync
 *
 * Codecs: null, deflate, snappy (with its CRC), zstandard; Avro C's own lzma by Avro C itself.
 *
 * Ownership: the caller's. Threads: one at a time. Nothing outside the given bytes is read.
 */
#ifndef WR_DECODE_AVRO_CONTAINER_H
#define WR_DECODE_AVRO_CONTAINER_H

#include "base/buf.h"
#include "base/limits.h"
#include "base/status.h"
#include "decode/avro_schema.h"

#define WR_AVRO_SYNC_BYTES 16u
/* A header longer than this is none: the schema is most of it. */
#define WR_AVRO_HEADER_BYTES_MAX (WR_AVRO_SCHEMA_BYTES_MAX + (64u << 10))
/* Two longs before a block's bytes. */
#define WR_AVRO_BLOCK_HEAD_BYTES_MAX 20u
/* A block larger than this, packed or unpacked, is dead-lettered: as long as the longest record. */
#define WR_AVRO_BLOCK_BYTES_MAX WR_RECORD_BYTES_MAX

enum wr_avro_codec {
    WR_AVRO_CODEC_NULL,
    WR_AVRO_CODEC_DEFLATE,
    WR_AVRO_CODEC_SNAPPY,
    WR_AVRO_CODEC_ZSTANDARD,
    WR_AVRO_CODEC_LZMA,
};

struct wr_avro_header {
    enum wr_avro_codec codec;
    struct wr_slice schema; /* its text, borrowed */
    uint8_t sync[WR_AVRO_SYNC_BYTES];
    size_t bytes; /* of the header */
};

/* WR_AGAIN: more bytes are needed. WR_FAIL, class DATA: it is no container file, or one of another codec. */
WR_NODISCARD wr_status wr_avro_header_read(struct wr_avro_header *header, const char *data,
                                           size_t bytes, struct wr_error *err);

/* The two numbers before a block's bytes; head: how long they are. */
WR_NODISCARD wr_status wr_avro_block_read(const char *data, size_t bytes, uint64_t *count,
                                          size_t *size, size_t *head, struct wr_error *err);

/* Unpacks what a codec packed; keeps what the next block needs again. */
struct wr_avro_unpack {
    struct ZSTD_DCtx_s *zstd;
    struct wr_buf out; /* the last block's bytes */
};

void wr_avro_unpack_deinit(struct wr_avro_unpack *unpack); /* zeroed is fine */
/* The block's records, one behind the other; valid until the next call. schema: its text. */
WR_NODISCARD wr_status wr_avro_unpack_block(struct wr_avro_unpack *unpack, enum wr_avro_codec codec,
                                            struct wr_slice schema, uint64_t count,
                                            struct wr_slice packed, struct wr_slice *records,
                                            struct wr_error *err);

#endif
