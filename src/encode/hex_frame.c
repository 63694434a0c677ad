#include "encode/hex_frame.h"

#include "base/assert.h"

#define FRAME_BLOCK_BYTES (128u << 10) /* Block_Maximum_Size, RFC 8878 section 3.1.1.2.4 */
#define BLOCK_RAW         0u
#define BLOCK_COMPRESSED  2u
#define SCAN_BYTES        1024u
/* Four streams need something to hold. */
#define HEX_BLOCK_MIN     1024u

size_t wr_hex_frame_tail(const struct wr_kernels *k, const char *raw, size_t bytes, char *last)
{
    const uint8_t *in = (const uint8_t *)raw;
    if (bytes < HEX_BLOCK_MIN) {
        return bytes;
    }
    const uint8_t *end = in + bytes;
    *last = k->is_hex(end - SCAN_BYTES, SCAN_BYTES, 'a') ? 'f' : 'F';
    size_t tail = bytes;
    while (tail >= SCAN_BYTES && k->is_hex(in + tail - SCAN_BYTES, SCAN_BYTES, (uint8_t)(*last - 5))) {
        tail -= SCAN_BYTES;
    }
    return tail;
}

size_t wr_hex_frame_estimate(size_t bytes, size_t tail)
{
    return tail + (bytes - tail) / 2 + (bytes / FRAME_BLOCK_BYTES + 1) * 80;
}

/* Magic, descriptor (single segment, 4-byte content size), size. */
static void append_frame_head(struct wr_buf *out, size_t bytes)
{
    static const uint8_t head[5] = { 0x28, 0xb5, 0x2f, 0xfd, 2u << 6 | 1u << 5 };
    const uint32_t size = (uint32_t)bytes;
    wr_assert(bytes <= UINT32_MAX);
    wr_buf_append(out, head, sizeof head);
    wr_buf_append(out, &size, 4);
}

static void append_block_head(struct wr_buf *out, uint32_t type, size_t bytes, bool last)
{
    const uint32_t head = (uint32_t)bytes << 3 | type << 1 | last;
    wr_buf_append(out, &head, 3); /* little-endian: the low three bytes */
}

/* last: the frame ends with these. */
static void append_raw_blocks(struct wr_buf *out, const char *raw, size_t bytes, bool last)
{
    size_t at = 0;
    do {
        const size_t n = bytes - at < FRAME_BLOCK_BYTES ? bytes - at : FRAME_BLOCK_BYTES;
        append_block_head(out, BLOCK_RAW, n, last && at + n == bytes);
        wr_buf_append(out, raw + at, n);
        at += n;
    } while (at < bytes);
}

void wr_raw_frame_append(struct wr_buf *out, const char *raw, size_t bytes)
{
    append_frame_head(out, bytes);
    append_raw_blocks(out, raw, bytes, true);
}

/* Huffman_Tree_Description, direct: a head byte of 127 + number of weights, then weights of four bits for the symbols
 * from 0 on; the last symbol's is implied. Weight 1 for each digit: all codes are four bits and, in order of the
 * symbols, the digits' values. */
static void append_tree(struct wr_buf *out, char last)
{
    uint8_t tree[1 + 64] = { (uint8_t)(127 + last) };
    for (char c = '0'; c < last; c++) {
        if (c <= '9' || c >= last - 5) {
            tree[1 + c / 2] = (uint8_t)(tree[1 + c / 2] | (c % 2 == 0 ? 0x10 : 0x01));
        }
    }
    wr_buf_append(out, tree, 1 + ((size_t)last + 1) / 2);
}

/* A compressed block: literals in four streams, no sequences. */
static void append_hex_block(struct wr_buf *out, const struct wr_kernels *k, const uint8_t *digits,
                             size_t count, char last, bool last_block)
{
    const size_t block_at = out->bytes;
    append_block_head(out, BLOCK_COMPRESSED, 0, last_block);
    wr_buf_append(out, "\0\0\0\0", 5); /* the literals' head, below */
    const size_t tree_at = out->bytes;
    append_tree(out, last);
    const size_t jumps_at = out->bytes;
    wr_buf_append(out, "\0\0\0\0\0", 6);
    const size_t part = (count + 3) / 4;
    uint16_t sizes[4];
    for (uint32_t s = 0; s < 4; s++) {
        const size_t n = s < 3 ? part : count - 3 * part;
        uint8_t *into = (uint8_t *)wr_buf_reserve(out, n / 2 + 16);
        sizes[s] = (uint16_t)k->pack_hex(digits + s * part, (uint32_t)n, into);
        out->bytes += sizes[s];
    }
    memcpy(out->data + jumps_at, sizes, 6); /* the fourth's is what remains */
    /* Type 2 (compressed), size format 3 (four streams, 18 bits each), regenerated and compressed size. */
    const uint64_t head = 2u | 3u << 2 | (uint64_t)count << 4 | (uint64_t)(out->bytes - tree_at) << 22;
    memcpy(out->data + tree_at - 5, &head, 5);
    wr_buf_byte(out, 0); /* number of sequences */
    const uint32_t block = (uint32_t)(out->bytes - block_at - 3) << 3 | BLOCK_COMPRESSED << 1 | last_block;
    memcpy(out->data + block_at, &block, 3);
}

void wr_hex_frame_append(struct wr_buf *out, const struct wr_kernels *k, const char *raw,
                         size_t bytes, size_t tail, char last)
{
    wr_assert(tail + HEX_BLOCK_MIN <= bytes);
    append_frame_head(out, bytes);
    if (tail > 0) {
        append_raw_blocks(out, raw, tail, false);
    }
    for (size_t at = tail; at < bytes;) {
        size_t n = bytes - at < FRAME_BLOCK_BYTES ? bytes - at : FRAME_BLOCK_BYTES;
        /* The tail is whole KiB, and so is what is left for the last block. */
        append_hex_block(out, k, (const uint8_t *)raw + at, n, last, at + n == bytes);
        at += n;
    }
}
