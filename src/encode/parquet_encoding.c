#include "encode/parquet_encoding.h"

#include "base/assert.h"
#include "encode/thrift.h"

void wr_hybrid_append_run(struct wr_buf *buf, uint32_t value, uint32_t count, uint32_t width)
{
    wr_varint_append(buf, (uint64_t)count << 1);
    wr_buf_append(buf, &value, (width + 7) / 8); /* little-endian */
}

static bool block_is_run(const uint32_t *v)
{
    if (v[0] != v[1] || v[0] != v[31]) {
        return false; /* nearly every block of mixed values ends here */
    }
    uint32_t differs = 0;
    for (uint32_t i = 0; i < 32; i++) {
        differs |= v[i] ^ v[0];
    }
    return differs == 0;
}

/* A bit-packed run of whole groups of eight; the last group is filled up with zeros. */
static void append_packed(struct wr_buf *buf, const struct wr_kernels *k, const uint32_t *values,
                          uint32_t count, uint32_t width)
{
    const uint32_t groups = (count + 7) / 8;
    const uint32_t blocks = count / 32;
    const uint32_t rest = count % 32;
    wr_varint_append(buf, (uint64_t)groups << 1 | 1);
    uint8_t *out = (uint8_t *)wr_buf_reserve(buf, (size_t)(blocks + 1) * 4 * width);
    k->pack32(values, blocks, width, out);
    if (rest > 0) {
        uint32_t last[32] = { 0 };
        memcpy(last, values + (size_t)blocks * 32, rest * sizeof *values);
        k->pack32(last, 1, width, out + (size_t)blocks * 4 * width);
    }
    buf->bytes += (size_t)groups * width;
}

void wr_hybrid_append(struct wr_buf *buf, const struct wr_kernels *k, const uint32_t *values,
                      uint32_t count, uint32_t width)
{
    wr_assert(width >= 1 && width <= 32);
    uint32_t packed_from = 0; /* values before are written; a multiple of 32 */
    uint32_t i = 0;
    while (i + 32 <= count) {
        if (!block_is_run(values + i)) {
            i += 32;
            continue;
        }
        uint32_t end = i + 32;
        while (end < count && values[end] == values[i]) {
            end++;
        }
        end = end == count ? end : end & ~31u; /* packed runs start at whole groups */
        if (i > packed_from) {
            append_packed(buf, k, values + packed_from, i - packed_from, width);
        }
        wr_hybrid_append_run(buf, values[i], end - i, width);
        i = packed_from = end;
    }
    if (count > packed_from) {
        append_packed(buf, k, values + packed_from, count - packed_from, width);
    }
}

void wr_hybrid_append_bits(struct wr_buf *buf, const uint8_t *bits, uint32_t count)
{
    const uint32_t whole = count / 8;
    uint32_t packed_from = 0;
    uint32_t i = 0;
    /* In bytes. A run costs three bytes and a new packed run after it one or two: worth it from eight bytes on. */
    while (i < whole) {
        if (bits[i] != 0x00 && bits[i] != 0xff) {
            i++;
            continue;
        }
        uint32_t end = i + 1;
        while (end < whole && bits[end] == bits[i]) {
            end++;
        }
        if (end - i >= 8) {
            if (i > packed_from) {
                wr_varint_append(buf, (uint64_t)(i - packed_from) << 1 | 1);
                wr_buf_append(buf, bits + packed_from, i - packed_from);
            }
            wr_hybrid_append_run(buf, bits[i] & 1, (end - i) * 8, 1);
            packed_from = end;
        }
        i = end;
    }
    const uint32_t bytes = (count + 7) / 8;
    if (bytes > packed_from) {
        wr_varint_append(buf, (uint64_t)(bytes - packed_from) << 1 | 1);
        wr_buf_append(buf, bits + packed_from, bytes - packed_from);
    }
}

static void delta_head(struct wr_buf *buf, uint32_t count, int64_t first)
{
    wr_varint_append(buf, WR_DELTA_BLOCK);
    wr_varint_append(buf, WR_DELTA_BLOCK / WR_DELTA_MINI);
    wr_varint_append(buf, count);
    wr_varint_append(buf, wr_zigzag(first));
}

void wr_delta_append_i32(struct wr_buf *buf, const struct wr_kernels *k, const int32_t *values,
                         uint32_t count)
{
    delta_head(buf, count, count > 0 ? values[0] : 0);
    for (uint32_t i = 1; i < count; i += WR_DELTA_BLOCK) {
        const uint32_t n = count - i < WR_DELTA_BLOCK ? count - i : WR_DELTA_BLOCK;
        uint8_t *out = (uint8_t *)wr_buf_reserve(buf, WR_DELTA_BLOCK_BYTES_MAX);
        buf->bytes += k->delta_block_i32(values + i, n, out);
    }
}

void wr_delta_append_i64(struct wr_buf *buf, const struct wr_kernels *k, const int64_t *values,
                         uint32_t count)
{
    delta_head(buf, count, count > 0 ? values[0] : 0);
    for (uint32_t i = 1; i < count; i += WR_DELTA_BLOCK) {
        const uint32_t n = count - i < WR_DELTA_BLOCK ? count - i : WR_DELTA_BLOCK;
        uint8_t *out = (uint8_t *)wr_buf_reserve(buf, WR_DELTA_BLOCK_BYTES_MAX);
        buf->bytes += k->delta_block_i64(values + i, n, out);
    }
}

static size_t sum_u32(const uint32_t *values, uint32_t count)
{
    size_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += values[i];
    }
    return sum;
}

void wr_delta_length_append(struct wr_buf *buf, const struct wr_kernels *k, const uint32_t *lengths,
                            const char *texts, uint32_t count)
{
    wr_delta_append_i32(buf, k, (const int32_t *)lengths, count);
    wr_buf_append(buf, texts, sum_u32(lengths, count));
}

static uint32_t shared_prefix(const char *a, uint32_t a_bytes, const char *b, uint32_t b_bytes)
{
    const uint32_t most = a_bytes < b_bytes ? a_bytes : b_bytes;
    uint32_t i = 0;
    for (; i + 8 <= most; i += 8) {
        uint64_t x;
        uint64_t y;
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        if (x != y) {
            return i + (uint32_t)__builtin_ctzll(x ^ y) / 8;
        }
    }
    while (i < most && a[i] == b[i]) {
        i++;
    }
    return i;
}

uint64_t wr_shared_prefix_bytes(const uint32_t *lengths, const char *texts, uint32_t count)
{
    uint64_t shared = 0;
    for (uint32_t i = 1; i < count; i++) {
        shared += shared_prefix(texts, lengths[i - 1], texts + lengths[i - 1], lengths[i]);
        texts += lengths[i - 1];
    }
    return shared;
}

void wr_delta_text_append(struct wr_buf *buf, const struct wr_kernels *k, const uint32_t *lengths,
                          const char *texts, uint32_t count, uint32_t *prefixes)
{
    uint32_t *suffixes = prefixes + count;
    const char *text = texts;
    for (uint32_t i = 0; i < count; i++) {
        prefixes[i] = i == 0 ? 0 : shared_prefix(text - lengths[i - 1], lengths[i - 1], text, lengths[i]);
        suffixes[i] = lengths[i] - prefixes[i];
        text += lengths[i];
    }
    wr_delta_append_i32(buf, k, (const int32_t *)prefixes, count);
    wr_delta_append_i32(buf, k, (const int32_t *)suffixes, count);
    char *out = wr_buf_reserve(buf, sum_u32(suffixes, count));
    for (uint32_t i = 0; i < count; i++) {
        memcpy(out, texts + prefixes[i], suffixes[i]);
        out += suffixes[i];
        texts += lengths[i];
    }
    buf->bytes = (size_t)(out - buf->data);
}

void wr_plain_text_append(struct wr_buf *buf, const uint32_t *lengths, const char *texts,
                          uint32_t count)
{
    char *out = wr_buf_reserve(buf, sum_u32(lengths, count) + (size_t)count * 4);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(out, &lengths[i], 4);
        memcpy(out + 4, texts, lengths[i]);
        out += 4 + (size_t)lengths[i];
        texts += lengths[i];
    }
    buf->bytes = (size_t)(out - buf->data);
}

void wr_plain_bool_append(struct wr_buf *buf, const uint8_t *values, uint32_t count)
{
    uint8_t *out = (uint8_t *)wr_buf_reserve(buf, (size_t)count / 8 + 1);
    uint32_t i = 0;
    for (; i + 8 <= count; i += 8) {
        uint64_t eight;
        memcpy(&eight, values + i, 8);
        /* Gathers the lowest bit of each byte: bit 8j times 2^(7 * (8 - j)) lands in the top byte at j. */
        *out++ = (uint8_t)(((eight & 0x0101010101010101ULL) * 0x0102040810204080ULL) >> 56);
    }
    if (i < count) {
        uint8_t last = 0;
        for (uint32_t j = 0; i + j < count; j++) {
            last = (uint8_t)(last | (values[i + j] & 1) << j);
        }
        *out = last;
    }
    buf->bytes += ((size_t)count + 7) / 8;
}

void wr_plain_decimal_append(struct wr_buf *buf, const __int128 *values, uint32_t count,
                             uint32_t width)
{
    char *out = wr_buf_reserve(buf, (size_t)count * width + 16);
    for (uint32_t i = 0; i < count; i++) {
        const unsigned __int128 v = (unsigned __int128)values[i] << ((16 - width) * 8);
        const uint64_t high = __builtin_bswap64((uint64_t)(v >> 64));
        const uint64_t low = __builtin_bswap64((uint64_t)v);
        memcpy(out, &high, 8);
        memcpy(out + 8, &low, 8);
        out += width;
    }
    buf->bytes += (size_t)count * width;
}
