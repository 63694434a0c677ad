/* parquet_compress.h: pages -> zstd frames, with as little work as a column's bytes deserve.
 *
 * Four ways, all of them valid zstd frames, so that a chunk needs one codec only:
 *   FULL      the level that was asked for;
 *   ENTROPY   no search for matches, Huffman coding only: the search would find nothing;
 *   HEX       the same for random hex digits, without zstd (hex_frame.h);
 *   STORED    raw blocks: bit-packed random numbers do not shrink at all, and readers then only copy.
 * A column tries FULL, looks at what it gained, and stays with the choice for COMPRESS_TRUST_PAGES pages.
 */
#ifndef WR_ENCODE_PARQUET_COMPRESS_H
#define WR_ENCODE_PARQUET_COMPRESS_H

#include "base/buf.h"
#include "base/status.h"

enum wr_compress_way { WR_COMPRESS_FULL = 0, WR_COMPRESS_ENTROPY, WR_COMPRESS_HEX, WR_COMPRESS_STORED };

/* What was learned about one stream of pages; zeroed to begin with. */
struct wr_compress_choice {
    uint8_t way;    /* enum wr_compress_way */
    uint8_t trusts; /* pages until FULL is tried again */
};

struct wr_compressor;

struct wr_compressor *wr_compressor_create(void);
void wr_compressor_destroy(struct wr_compressor *compressor); /* NULL is fine */
uint64_t wr_compressor_bytes(const struct wr_compressor *compressor);

/* Appends one zstd frame with the raw bytes. choice: NULL always tries FULL. */
WR_NODISCARD wr_status wr_compress_page(struct wr_compressor *compressor, int level,
                                        struct wr_compress_choice *choice, struct wr_buf *out,
                                        const void *raw, size_t bytes, struct wr_error *err);

/* Size of the frame that FULL would make, to compare encodings; the frame itself is thrown away. */
WR_NODISCARD wr_status wr_compress_measure(struct wr_compressor *compressor, int level,
                                           const void *raw, size_t bytes, size_t *compressed,
                                           struct wr_error *err);

#endif
