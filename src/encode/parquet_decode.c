#include "encode/parquet_decode.h"

#include "base/heap.h"

#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

enum codec { CODEC_NONE = 0, CODEC_SNAPPY = 1, CODEC_GZIP = 2, CODEC_ZSTD = 6 };

static void skip(struct wr_slice *in, size_t bytes)
{
    in->data += bytes;
    in->bytes -= bytes;
}

bool wr_varint_take(struct wr_slice *in, uint64_t *value)
{
    uint64_t result = 0;
    for (uint32_t i = 0; i < 10 && i < in->bytes; i++) {
        const uint8_t byte = (uint8_t)in->data[i];
        result |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *value = result;
            skip(in, i + 1);
            return true;
        }
    }
    return false;
}

static int64_t unzigzag(uint64_t raw)
{
    return (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
}

/* count values of width bits (0 to 64), least significant first; the bytes have been checked. */
static void unpack(const char *from, uint32_t width, uint32_t count, uint64_t *values)
{
    uint64_t bit = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t value = 0;
        for (uint32_t got = 0; got < width;) {
            const uint32_t offset = (uint32_t)(bit & 7);
            const uint32_t take = 8 - offset < width - got ? 8 - offset : width - got;
            const uint64_t part = ((uint64_t)(uint8_t)from[bit >> 3] >> offset) & ((1u << take) - 1);
            value |= part << got;
            got += take;
            bit += take;
        }
        values[i] = value;
    }
}

static bool take_packed(struct wr_slice *in, uint32_t width, uint64_t groups, uint32_t wanted,
                        uint32_t *values, uint32_t *taken)
{
    const uint64_t available = groups > UINT32_MAX / 8 ? UINT32_MAX : groups * 8;
    const uint32_t count = available < wanted ? (uint32_t)available : wanted;
    const uint64_t need = ((uint64_t)count * width + 7) / 8;
    /* Some writers leave out the padding of the last group. */
    const uint64_t bytes = groups > UINT32_MAX ? UINT64_MAX : groups * width;
    if (need > in->bytes) {
        return false;
    }
    for (uint32_t i = 0; i < count; i += 8) {
        uint64_t eight[8];
        const uint32_t some = count - i < 8 ? count - i : 8;
        unpack(in->data + (size_t)i / 8 * width, width, some, eight);
        for (uint32_t k = 0; k < some; k++) {
            values[i + k] = (uint32_t)eight[k];
        }
    }
    skip(in, bytes < in->bytes ? (size_t)bytes : in->bytes);
    *taken = count;
    return true;
}

static bool take_run(struct wr_slice *in, uint32_t width, uint64_t length, uint32_t wanted,
                     uint32_t *values, uint32_t *taken)
{
    const uint32_t bytes = (width + 7) / 8;
    uint32_t value = 0;
    if (bytes > in->bytes) {
        return false;
    }
    memcpy(&value, in->data, bytes);
    skip(in, bytes);
    *taken = length < wanted ? (uint32_t)length : wanted;
    for (uint32_t i = 0; i < *taken; i++) {
        values[i] = value;
    }
    return true;
}

bool wr_hybrid_take(struct wr_slice *in, uint32_t width, uint32_t count, uint32_t *values)
{
    uint32_t done = 0;
    if (width > 32) {
        return false;
    }
    while (done < count) {
        uint64_t head;
        uint32_t taken = 0;
        if (!wr_varint_take(in, &head) || head >> 1 == 0) {
            return false; /* empty runs would let a few bytes keep us busy for ever */
        }
        const bool good = head & 1
                              ? take_packed(in, width, head >> 1, count - done, values + done, &taken)
                              : take_run(in, width, head >> 1, count - done, values + done, &taken);
        if (!good) {
            return false;
        }
        done += taken;
    }
    return true;
}

struct delta_block {
    uint32_t minis;
    uint32_t mini_values;
};

static bool delta_head(struct wr_slice *in, struct delta_block *block, uint64_t *total,
                       int64_t *first)
{
    uint64_t size;
    uint64_t minis;
    uint64_t raw;
    if (!wr_varint_take(in, &size) || !wr_varint_take(in, &minis) || !wr_varint_take(in, total) ||
        !wr_varint_take(in, &raw) || minis == 0 || minis > 256 || size % 128 != 0 ||
        size > 65536 || size % minis != 0 || size / minis % 32 != 0 || size == 0) {
        return false;
    }
    *block = (struct delta_block){ (uint32_t)minis, (uint32_t)(size / minis) };
    *first = unzigzag(raw);
    return true;
}

/* One miniblock: adds up to count values behind last. */
static bool delta_mini(struct wr_slice *in, uint32_t width, uint32_t mini_values, uint64_t min,
                       uint32_t count, uint64_t *last, int64_t *values)
{
    const size_t bytes = (size_t)mini_values / 8 * width;
    if (width > 64 || bytes > in->bytes) {
        return false;
    }
    for (uint32_t i = 0; i < count; i += 8) {
        uint64_t eight[8];
        const uint32_t some = count - i < 8 ? count - i : 8;
        unpack(in->data + (size_t)i / 8 * width, width, some, eight);
        for (uint32_t k = 0; k < some; k++) {
            *last += min + eight[k];
            values[i + k] = (int64_t)*last;
        }
    }
    skip(in, bytes);
    return true;
}

bool wr_delta_take(struct wr_slice *in, uint32_t count, int64_t *values)
{
    struct delta_block block;
    uint64_t total;
    int64_t first;
    if (!delta_head(in, &block, &total, &first) || total != count) {
        return false;
    }
    if (count == 0) {
        return true;
    }
    values[0] = first;
    uint64_t last = (uint64_t)first;
    uint32_t done = 1;
    while (done < count) {
        uint64_t raw;
        uint8_t widths[256];
        if (!wr_varint_take(in, &raw) || in->bytes < block.minis) {
            return false;
        }
        const uint64_t min = (uint64_t)unzigzag(raw);
        memcpy(widths, in->data, block.minis);
        skip(in, block.minis);
        for (uint32_t m = 0; m < block.minis && done < count; m++) {
            const uint32_t left = count - done;
            const uint32_t some = left < block.mini_values ? left : block.mini_values;
            if (!delta_mini(in, widths[m], block.mini_values, min, some, &last, values + done)) {
                return false;
            }
            done += some;
        }
    }
    return true;
}

bool wr_plain_text_take(struct wr_slice *in, uint32_t count, struct wr_slice *texts)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes;
        if (in->bytes < 4) {
            return false;
        }
        memcpy(&bytes, in->data, 4);
        skip(in, 4);
        if (bytes > in->bytes) {
            return false;
        }
        texts[i] = (struct wr_slice){ in->data, bytes };
        skip(in, bytes);
    }
    return true;
}

bool wr_delta_length_take(struct wr_slice *in, uint32_t count, struct wr_slice *texts)
{
    int64_t *lengths = wr_malloc((size_t)count * sizeof *lengths + 1);
    bool good = wr_delta_take(in, count, lengths);
    for (uint32_t i = 0; i < count && good; i++) {
        good = lengths[i] >= 0 && (uint64_t)lengths[i] <= in->bytes;
        if (good) {
            texts[i] = (struct wr_slice){ in->data, (size_t)lengths[i] };
            skip(in, (size_t)lengths[i]);
        }
    }
    free(lengths);
    return good;
}

bool wr_delta_text_take(struct wr_slice *in, uint32_t count, struct wr_arena *arena,
                        struct wr_slice *texts)
{
    /* Shared prefixes can make much out of little: at most this much in all. */
    uint64_t budget = 1ull << 30;
    int64_t *prefixes = wr_malloc((size_t)count * sizeof *prefixes + 1);
    bool good = wr_delta_take(in, count, prefixes) && wr_delta_length_take(in, count, texts);
    struct wr_slice last = { "", 0 };
    for (uint32_t i = 0; i < count && good; i++) {
        good = prefixes[i] >= 0 && (uint64_t)prefixes[i] <= last.bytes;
        const uint64_t bytes = good ? (uint64_t)prefixes[i] + texts[i].bytes : 0;
        good = good && bytes <= budget;
        if (good && prefixes[i] > 0) {
            budget -= bytes;
            char *text = wr_arena_alloc(arena, (size_t)bytes);
            memcpy(text, last.data, (size_t)prefixes[i]);
            memcpy(text + prefixes[i], texts[i].data, texts[i].bytes);
            texts[i] = (struct wr_slice){ text, (size_t)bytes };
        }
        last = texts[i];
    }
    free(prefixes);
    return good;
}

static bool gunzip(struct wr_slice page, char *raw, size_t raw_bytes)
{
    z_stream z = { .next_in = (Bytef *)(uintptr_t)page.data, .avail_in = (uInt)page.bytes,
                   .next_out = (Bytef *)raw, .avail_out = (uInt)raw_bytes };
    if (inflateInit2(&z, 15 + 32) != Z_OK) { /* + 32: gzip or zlib, by the header */
        return false;
    }
    const int code = inflate(&z, Z_FINISH);
    const bool good = code == Z_STREAM_END && z.total_out == raw_bytes;
    inflateEnd(&z);
    return good;
}

const char *wr_parquet_decompress(int32_t codec, struct wr_slice page, size_t raw_bytes,
                                  struct wr_arena *arena, const char **why)
{
    size_t made = raw_bytes;
    bool good = false;
    *why = "a page that does not decompress";
    if (codec == CODEC_NONE) {
        return page.bytes == raw_bytes ? page.data : NULL;
    }
    if (codec != CODEC_SNAPPY && codec != CODEC_ZSTD && codec != CODEC_GZIP) {
        *why = codec == 3   ? "compression LZO, which is not known"
               : codec == 4 ? "compression brotli, which is not known"
                            : "compression LZ4, which is not known";
        return NULL;
    }
    /* Highest ratio that a codec reaches: zstd's runs. Beyond it the size is a lie. */
    if (raw_bytes / 65536 > page.bytes + 16) {
        return NULL;
    }
    char *raw = wr_arena_alloc(arena, raw_bytes + 1);
    if (codec == CODEC_SNAPPY) {
        good = snappy_uncompressed_length(page.data, page.bytes, &made) == SNAPPY_OK &&
               made == raw_bytes &&
               snappy_uncompress(page.data, page.bytes, raw, &made) == SNAPPY_OK;
    } else if (codec == CODEC_ZSTD) {
        made = ZSTD_decompress(raw, raw_bytes, page.data, page.bytes);
        good = !ZSTD_isError(made) && made == raw_bytes;
    } else {
        good = gunzip(page, raw, raw_bytes);
    }
    return good ? raw : NULL;
}
