/* parquet_decode.h: Parquet's encodings, reading (parquet-format, Encodings.md): the inverse of parquet_encoding.h.
 *
 * All take hostile bytes: false, or NULL, when they end too soon or cannot be.
 */
#ifndef WR_ENCODE_PARQUET_DECODE_H
#define WR_ENCODE_PARQUET_DECODE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/slice.h"

/* Unsigned LEB128. */
bool wr_varint_take(struct wr_slice *in, uint64_t *value);

/* RLE / bit-packing hybrid of count values of width bits, 0 to 32. */
bool wr_hybrid_take(struct wr_slice *in, uint32_t width, uint32_t count, uint32_t *values);
/* DELTA_BINARY_PACKED: exactly count values. */
bool wr_delta_take(struct wr_slice *in, uint32_t count, int64_t *values);
/* PLAIN, DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY (whose texts are made in arena); the others borrow in. */
bool wr_plain_text_take(struct wr_slice *in, uint32_t count, struct wr_slice *texts);
bool wr_delta_length_take(struct wr_slice *in, uint32_t count, struct wr_slice *texts);
bool wr_delta_text_take(struct wr_slice *in, uint32_t count, struct wr_arena *arena,
                        struct wr_slice *texts);

/* Decompresses a page of exactly raw_bytes into arena memory. codec: Parquet's number. NULL: corrupt, or a codec that is
 * not known: *why tells. */
const char *wr_parquet_decompress(int32_t codec, struct wr_slice page, size_t raw_bytes,
                                  struct wr_arena *arena, const char **why);

#endif
