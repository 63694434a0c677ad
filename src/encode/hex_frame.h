/* hex_frame.h: zstd frames for random hex digits (ids, trace ids, digests), made by hand.
 *
 * Random hex has no matches to find, and its best Huffman code is the one that gives each of the sixteen digits its
 * own four bits. So the literals of such a block are the digits' values, packed: no search, no histogram, no table,
 * and the same size (measured with tests/parquet/bench_parquet: a column of 16-digit ids went from 34 to 22 ns a row).
 * Any zstd decoder reads it.
 *
 * RFC 8878: frame 3.1.1, literals 3.1.1.3.1, Huffman 4.2. What comes before the digits (a page's levels and lengths) goes
 * into raw blocks.
 */
#ifndef WR_ENCODE_HEX_FRAME_H
#define WR_ENCODE_HEX_FRAME_H

#include "base/buf.h"
#include "encode/kernels.h"

/* Where the digits begin that the bytes end with: all lower case or all upper case; at most 1 KiB of them is
 * missed. bytes when there are none. *last: the alphabet's last letter. */
size_t wr_hex_frame_tail(const struct wr_kernels *k, const char *raw, size_t bytes, char *last);

/* Size of the frame, nearly. */
size_t wr_hex_frame_estimate(size_t bytes, size_t tail);

/* Appends the frame. tail, last: as wr_hex_frame_tail said. bytes < 2^32. */
void wr_hex_frame_append(struct wr_buf *out, const struct wr_kernels *k, const char *raw,
                         size_t bytes, size_t tail, char last);

/* Appends a frame of raw blocks. */
void wr_raw_frame_append(struct wr_buf *out, const char *raw, size_t bytes);

#endif
