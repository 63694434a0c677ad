/* Pages (parquet-format, README "Data Pages"): header in Thrift, then one zstd frame with definition levels and
 * values. Data pages are of version 1, which every reader knows; all that version 2 would add here, pages
 * that are not compressed, a frame of raw blocks gives as well (parquet_compress.h). */
#include "base/assert.h"
#include "encode/parquet_column.h"
#include "encode/thrift.h"

#include <zlib.h>

#define PAGE_TYPE_DATA       0
#define PAGE_TYPE_DICTIONARY 2

/* Pages for which an encoding that won a comparison is kept. */
#define ENCODING_TRUST_PAGES 63u
/* Pages smaller than this are not worth a comparison. */
#define COMPARE_BYTES_MIN 1024u
/* Texts that share less than this part of their bytes with their neighbour are not tried front-coded. */
#define FRONT_CODING_SHARE 0.25

static struct wr_parquet_learned *learned(const struct wr_parquet_column *c)
{
    return &c->shared->learned[c->element->leaf];
}

/* ---- bounds of texts ---- */

/* The first eight bytes as a number in bytewise order, zeros behind a shorter text. */
static inline uint64_t text_key(const char *text, uint32_t bytes)
{
    uint64_t key = 0;
    memcpy(&key, text, bytes < 8 ? bytes : 8);
    return __builtin_bswap64(key);
}

static int compare_slices(struct wr_slice a, struct wr_slice b)
{
    const int order = memcmp(a.data, b.data, a.bytes < b.bytes ? a.bytes : b.bytes);
    return order != 0 ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

struct text_range {
    struct wr_slice min;
    struct wr_slice max;
    uint64_t min_key;
    uint64_t max_key;
};

static inline void range_add(struct text_range *range, const char *data, uint32_t bytes,
                             uint64_t key)
{
    const struct wr_slice text = { data, bytes };
    if (key <= range->min_key && (key < range->min_key || compare_slices(text, range->min) < 0)) {
        range->min = text;
        range->min_key = key;
    }
    if (key >= range->max_key && (key > range->max_key || compare_slices(text, range->max) > 0)) {
        range->max = text;
        range->max_key = key;
    }
}

static void bounds_of_staged(struct wr_parquet_column *c)
{
    const uint32_t *lengths = (const void *)c->lengths.data;
    const char *text = c->stage.data;
    const char *end = text + c->stage.bytes;
    const uint64_t first = text_key(text, lengths[0]);
    struct text_range range = { { text, lengths[0] }, { text, lengths[0] }, first, first };
    for (uint32_t i = 0; i < c->page_values; i++) {
        uint64_t key;
        if (lengths[i] >= 8 && end - text >= 8) {
            memcpy(&key, text, 8);
            key = __builtin_bswap64(key);
        } else {
            key = text_key(text, lengths[i]);
        }
        range_add(&range, text, lengths[i], key);
        text += lengths[i];
    }
    wr_bounds_add_text(&c->page_bounds, range.min, range.max);
}

/* Only the entries that the page uses are compared, however often it uses them. */
static void bounds_of_indexes(struct wr_parquet_column *c)
{
    const uint32_t *indexes = (const void *)c->indexes.data;
    struct wr_buf *words = &c->shared->words;
    words->bytes = 0;
    uint8_t *used = (uint8_t *)wr_buf_reserve(words, c->dict.count);
    memset(used, 0, c->dict.count);
    c->shared->kernels->mark(indexes, c->page_values, used);
    const struct wr_slice one = wr_dict_text(&c->dict, indexes[0]);
    const uint64_t first = text_key(one.data, (uint32_t)one.bytes);
    struct text_range range = { one, one, first, first };
    for (uint32_t i = 0; i < c->dict.count; i++) {
        if (used[i]) {
            const struct wr_slice text = wr_dict_text(&c->dict, i);
            range_add(&range, text.data, (uint32_t)text.bytes,
                      text_key(text.data, (uint32_t)text.bytes));
        }
    }
    wr_bounds_add_text(&c->page_bounds, range.min, range.max);
}

/* ---- values ---- */

static uint32_t index_width(const struct wr_parquet_column *c)
{
    /* One entry would do with width 0, which some readers do not expect. */
    return c->dict.count <= 2 ? 1 : 32 - (uint32_t)__builtin_clz(c->dict.count - 1);
}

static enum wr_parquet_encoding encode_indexes(struct wr_parquet_column *c, struct wr_buf *raw)
{
    const uint32_t width = index_width(c);
    wr_buf_byte(raw, (uint8_t)width);
    wr_hybrid_append(raw, c->shared->kernels, (const void *)c->indexes.data, c->page_values, width);
    c->dict_pages++;
    return WR_PARQUET_RLE_DICTIONARY;
}

static void encode_plain(struct wr_parquet_column *c, struct wr_buf *raw)
{
    const void *values = c->stage.data;
    switch (c->layout.physical) {
    case WR_PARQUET_BOOLEAN:
        wr_plain_bool_append(raw, values, c->page_values);
        break;
    case WR_PARQUET_BYTE_ARRAY:
        wr_plain_text_append(raw, (const void *)c->lengths.data, values, c->page_values);
        break;
    case WR_PARQUET_FIXED_LEN_BYTE_ARRAY:
        wr_plain_decimal_append(raw, values, c->page_values, c->layout.width);
        break;
    default:
        wr_buf_append(raw, values, c->stage.bytes);
        break;
    }
}

/* BOOLEAN as RLE: four bytes of length, then the hybrid of single bits. */
static void encode_bool_rle(struct wr_parquet_column *c, struct wr_buf *raw)
{
    struct wr_buf *words = &c->shared->words;
    words->bytes = 0;
    wr_plain_bool_append(words, (const void *)c->stage.data, c->page_values);
    const size_t at = raw->bytes;
    wr_buf_append(raw, "\0\0\0", 4);
    wr_hybrid_append_bits(raw, (const void *)words->data, c->page_values);
    const uint32_t bytes = (uint32_t)(raw->bytes - at - 4);
    memcpy(raw->data + at, &bytes, 4);
}

static void encode_as(struct wr_parquet_column *c, enum wr_parquet_encoding encoding,
                      struct wr_buf *raw)
{
    const struct wr_kernels *k = c->shared->kernels;
    const void *values = c->stage.data;
    const uint32_t *lengths = (const void *)c->lengths.data;
    struct wr_buf *words = &c->shared->words;
    switch (encoding) {
    case WR_PARQUET_RLE:
        encode_bool_rle(c, raw);
        break;
    case WR_PARQUET_DELTA_BINARY_PACKED:
        if (c->layout.physical == WR_PARQUET_INT64) {
            wr_delta_append_i64(raw, k, values, c->page_values);
        } else {
            wr_delta_append_i32(raw, k, values, c->page_values);
        }
        break;
    case WR_PARQUET_DELTA_LENGTH_BYTE_ARRAY:
        wr_delta_length_append(raw, k, lengths, values, c->page_values);
        break;
    case WR_PARQUET_DELTA_BYTE_ARRAY:
        words->bytes = 0;
        wr_delta_text_append(raw, k, lengths, values, c->page_values,
                             (void *)wr_buf_reserve(words, (size_t)c->page_values * 8));
        break;
    case WR_PARQUET_BYTE_STREAM_SPLIT: {
        uint8_t *out = (uint8_t *)wr_buf_reserve(raw, c->stage.bytes);
        (c->layout.physical == WR_PARQUET_DOUBLE ? k->split8 : k->split4)(values, c->page_values,
                                                                          out);
        raw->bytes += c->stage.bytes;
        break;
    }
    default:
        encode_plain(c, raw);
        break;
    }
}

/* What a column's values are compared in: the usual encoding, and the one that sometimes beats it. */
static void contenders(struct wr_parquet_column *c, enum wr_parquet_encoding *usual,
                       enum wr_parquet_encoding *rival)
{
    *usual = *rival = WR_PARQUET_PLAIN;
    switch (c->layout.physical) {
    case WR_PARQUET_BOOLEAN:
        *rival = WR_PARQUET_RLE;
        break;
    case WR_PARQUET_INT32:
    case WR_PARQUET_INT64:
        *usual = WR_PARQUET_DELTA_BINARY_PACKED;
        break;
    case WR_PARQUET_FLOAT:
    case WR_PARQUET_DOUBLE:
        *rival = WR_PARQUET_BYTE_STREAM_SPLIT;
        break;
    case WR_PARQUET_BYTE_ARRAY: {
        const uint64_t shared = wr_shared_prefix_bytes((const void *)c->lengths.data, c->stage.data,
                                                       c->page_values);
        *usual = *rival = WR_PARQUET_DELTA_LENGTH_BYTE_ARRAY;
        if ((double)shared > FRONT_CODING_SHARE * (double)c->stage.bytes) {
            *rival = WR_PARQUET_DELTA_BYTE_ARRAY;
        }
        break;
    }
    default:
        break;
    }
}

/* The encoding whose page compresses best, looked for once in ENCODING_TRUST_PAGES. The rival must save 5 %: readers
 * decode the usual one faster. */
static wr_status choose_encoding(struct wr_parquet_column *c, enum wr_parquet_encoding *chosen,
                                 struct wr_error *err)
{
    struct wr_parquet_learned *known = learned(c);
    if (c->settings->plain_only) {
        *chosen = WR_PARQUET_PLAIN;
        return WR_OK;
    }
    if (known->encoding_trust > 0) {
        known->encoding_trust--;
        *chosen = known->encoding;
        return WR_OK;
    }
    enum wr_parquet_encoding rival;
    contenders(c, chosen, &rival);
    if (rival != *chosen && c->page_raw_bytes >= COMPARE_BYTES_MIN) {
        struct wr_buf *other = &c->shared->other;
        size_t bytes[2];
        for (int i = 0; i < 2; i++) {
            other->bytes = 0;
            encode_as(c, i == 0 ? *chosen : rival, other);
            WR_TRY(wr_compress_measure(c->shared->compressor, c->settings->zstd_level, other->data,
                                       other->bytes, &bytes[i], err));
        }
        if ((double)bytes[1] < 0.95 * (double)bytes[0]) {
            *chosen = rival;
        }
    }
    if (c->page_raw_bytes >= COMPARE_BYTES_MIN) {
        known->encoding = (uint8_t)*chosen;
        known->encoding_trust = ENCODING_TRUST_PAGES;
        known->value_pages = (struct wr_compress_choice){ 0 };
    }
    return WR_OK;
}

/* ---- the page ---- */

/* The hybrid's runs may end anywhere that is a multiple of 32 values from the start. */
#define FOLD_LEVELS 4096u

void wr_parquet_levels_fold(struct wr_parquet_levels *levels, const struct wr_kernels *k,
                            uint32_t max, bool all)
{
    const uint32_t width = 32 - (uint32_t)__builtin_clz(max);
    const uint8_t *raw = (const uint8_t *)levels->raw.data;
    uint32_t some[FOLD_LEVELS];
    size_t done = 0;
    while (levels->raw.bytes - done >= (all ? 1 : FOLD_LEVELS)) {
        const size_t left = levels->raw.bytes - done;
        const uint32_t n = left < FOLD_LEVELS ? (uint32_t)left : FOLD_LEVELS;
        for (uint32_t i = 0; i < n; i++) {
            some[i] = raw[done + i];
        }
        wr_hybrid_append(&levels->encoded, k, some, n, width);
        done += n;
    }
    memmove(levels->raw.data, levels->raw.data + done, levels->raw.bytes - done);
    levels->raw.bytes -= done;
}

static void append_folded(struct wr_parquet_column *c, struct wr_parquet_levels *levels,
                          uint32_t max, struct wr_buf *raw)
{
    if (max > 0) {
        wr_parquet_levels_fold(levels, c->shared->kernels, max, true);
        const uint32_t bytes = (uint32_t)levels->encoded.bytes;
        wr_buf_append(raw, &bytes, sizeof bytes);
        wr_buf_append(raw, levels->encoded.data, levels->encoded.bytes);
        levels->encoded.bytes = 0;
    }
}

static void append_levels(struct wr_parquet_column *c, struct wr_buf *raw)
{
    if (c->leveled) {
        append_folded(c, &c->repeat, c->element->repeat, raw);
        append_folded(c, &c->definition, c->element->definition, raw);
        return;
    }
    if (c->required) {
        return;
    }
    const size_t at = raw->bytes;
    wr_buf_append(raw, "\0\0\0", 4);
    if (c->page_has_nulls) {
        if (c->page_rows % 8 != 0) {
            uint8_t *last = &c->validity[c->page_rows / 8];
            *last = (uint8_t)(*last & ((1u << (c->page_rows % 8)) - 1));
        }
        wr_hybrid_append_bits(raw, c->validity, c->page_rows);
    } else {
        wr_hybrid_append_run(raw, 1, c->page_rows, 1);
    }
    const uint32_t bytes = (uint32_t)(raw->bytes - at - 4);
    memcpy(raw->data + at, &bytes, 4);
}

/* PageHeader of parquet.thrift. */
static void append_header(struct wr_parquet_column *c, struct wr_buf *out, int32_t type,
                          uint32_t values, enum wr_parquet_encoding encoding)
{
    const struct wr_buf *frame = &c->shared->frame;
    struct wr_thrift t;
    wr_thrift_init(&t, out);
    wr_thrift_i32(&t, 1, type);
    wr_thrift_i32(&t, 2, (int32_t)c->shared->raw.bytes);
    wr_thrift_i32(&t, 3, (int32_t)frame->bytes);
    if (c->settings->page_crc) {
        const uLong crc = crc32_z(0, (const Bytef *)frame->data, frame->bytes);
        wr_thrift_i32(&t, 4, (int32_t)(uint32_t)crc);
    }
    wr_thrift_begin_struct(&t, type == PAGE_TYPE_DATA ? 5 : 7);
    wr_thrift_i32(&t, 1, (int32_t)values);
    wr_thrift_i32(&t, 2, (int32_t)encoding);
    if (type == PAGE_TYPE_DATA) {
        wr_thrift_i32(&t, 3, WR_PARQUET_RLE);
        wr_thrift_i32(&t, 4, WR_PARQUET_RLE);
    }
    wr_thrift_end_struct(&t);
    wr_thrift_end(&t);
}

/* Compresses shared->raw and appends header and frame to out. */
static wr_status emit(struct wr_parquet_column *c, struct wr_buf *out, int32_t type,
                      uint32_t values, enum wr_parquet_encoding encoding,
                      struct wr_compress_choice *choice, struct wr_error *err)
{
    struct wr_parquet_shared *shared = c->shared;
    wr_ensure(shared->raw.bytes <= INT32_MAX / 2, err, WR_CLASS_FATAL,
              "a value is too large for a Parquet page (%zu bytes)", shared->raw.bytes);
    shared->frame.bytes = 0;
    WR_TRY(wr_compress_page(shared->compressor, c->settings->zstd_level, choice, &shared->frame,
                            shared->raw.data, shared->raw.bytes, err));
    const size_t before = out->bytes;
    append_header(c, out, type, values, encoding);
    c->uncompressed_bytes += out->bytes - before + shared->raw.bytes;
    wr_buf_append(out, shared->frame.data, shared->frame.bytes);
    return WR_OK;
}

static void note_page(struct wr_parquet_column *c, uint64_t offset)
{
    const struct wr_parquet_page page = {
        .offset = offset,
        .bytes = (uint32_t)(c->pages.bytes - offset),
        .rows = c->page_rows,
        .nulls = c->page_levels - c->page_values,
        .bounds = c->page_bounds,
    };
    wr_buf_append(&c->infos, &page, sizeof page);
    wr_bounds_merge(&c->bounds, &page.bounds, c->layout.bounds);
    c->nulls += page.nulls;
}

wr_status wr_parquet_page_finish(struct wr_parquet_column *c, struct wr_error *err)
{
    struct wr_parquet_learned *known = learned(c);
    struct wr_buf *raw = &c->shared->raw;
    enum wr_parquet_encoding encoding = WR_PARQUET_PLAIN;
    struct wr_compress_choice *choice = NULL;
    raw->bytes = 0;
    append_levels(c, raw);
    if (c->page_values > 0 && c->dictionary) {
        if (c->layout.stage_bytes == 0) {
            bounds_of_indexes(c);
        }
        encoding = encode_indexes(c, raw);
        choice = &known->index_pages;
    } else if (c->page_values > 0) {
        if (c->layout.stage_bytes == 0) {
            bounds_of_staged(c);
        }
        WR_TRY(choose_encoding(c, &encoding, err));
        encode_as(c, encoding, raw);
        choice = &known->value_pages;
    }
    const uint64_t offset = c->pages.bytes;
    WR_TRY(emit(c, &c->pages, PAGE_TYPE_DATA, c->page_levels, encoding, choice, err));
    c->encoding_pages[encoding]++;
    note_page(c, offset);
    return WR_OK;
}

/* The dictionary's values in PLAIN encoding. */
static void encode_dictionary(struct wr_parquet_column *c, struct wr_buf *raw)
{
    const uint32_t width = c->layout.width;
    if (c->layout.stage_bytes == 0) {
        wr_buf_append(raw, c->dict.page.data, c->dict.page.bytes);
    } else if (c->layout.stage_bytes == 16) {
        wr_plain_decimal_append(raw, (const void *)c->dict.keys.data, c->dict.count, width);
    } else {
        char *out = wr_buf_reserve(raw, (size_t)c->dict.count * width);
        for (uint32_t i = 0; i < c->dict.count; i++, out += width) {
            const uint64_t value = wr_dict_u64(&c->dict, i);
            memcpy(out, &value, width);
        }
        raw->bytes += (size_t)c->dict.count * width;
    }
}

wr_status wr_parquet_page_dictionary(struct wr_parquet_column *c, struct wr_error *err)
{
    c->shared->raw.bytes = 0;
    encode_dictionary(c, &c->shared->raw);
    return emit(c, &c->dict_page, PAGE_TYPE_DICTIONARY, c->dict.count, WR_PARQUET_PLAIN, NULL, err);
}
