#include "encode/parquet_column.h"

#include "base/assert.h"
#include "base/heap.h"
#include "batch/text.h"

#include <math.h>
#include <stdlib.h>

/* A dictionary is judged first after this many values: enough to tell ids from categories. */
#define DICT_FIRST_LOOK 4096u
/* Chunks for which a dictionary that was given up is not tried again. */
#define DICT_REST_CHUNKS 15u
/* In DICTIONARY a page may stand for this many times page_bytes: giving up unfolds all of it. */
#define DICT_PAGE_UNFOLD 64u
/* Values go through all steps (limits, bounds, dictionary or staging) in segments of so many rows: what the first step
 * brought in from the core that made the batch is still in the first-level cache for the last one. */
#define SEGMENT_ROWS 256u
/* PostgreSQL's longest interval text is 67 bytes. */
#define INTERVAL_TEXT_MAX 96u

bool wr_parquet_layout_of(struct wr_type type, struct wr_parquet_layout *layout)
{
    static const struct wr_parquet_layout layouts[WR_TYPE_COUNT_] = {
        [WR_TYPE_BOOL] = { WR_PARQUET_BOOLEAN, WR_BOUNDS_BOOL, 1, 1 },
        [WR_TYPE_INT16] = { WR_PARQUET_INT32, WR_BOUNDS_32, 4, 4 },
        [WR_TYPE_INT32] = { WR_PARQUET_INT32, WR_BOUNDS_32, 4, 4 },
        [WR_TYPE_INT64] = { WR_PARQUET_INT64, WR_BOUNDS_64, 8, 8 },
        [WR_TYPE_UINT16] = { WR_PARQUET_INT32, WR_BOUNDS_32, 4, 4 },
        [WR_TYPE_UINT32] = { WR_PARQUET_INT32, WR_BOUNDS_32, 4, 4 },
        [WR_TYPE_UINT64] = { WR_PARQUET_INT64, WR_BOUNDS_U64, 8, 8 },
        [WR_TYPE_FLOAT32] = { WR_PARQUET_FLOAT, WR_BOUNDS_F32, 4, 4 },
        [WR_TYPE_FLOAT64] = { WR_PARQUET_DOUBLE, WR_BOUNDS_F64, 8, 8 },
        [WR_TYPE_TEXT] = { WR_PARQUET_BYTE_ARRAY, WR_BOUNDS_TEXT, 0, 0 },
        [WR_TYPE_BYTES] = { WR_PARQUET_BYTE_ARRAY, WR_BOUNDS_BYTES, 0, 0 },
        [WR_TYPE_DATE] = { WR_PARQUET_INT32, WR_BOUNDS_32, 4, 4 },
        [WR_TYPE_TIMESTAMP] = { WR_PARQUET_INT64, WR_BOUNDS_64, 8, 8 },
        [WR_TYPE_TIMESTAMPTZ] = { WR_PARQUET_INT64, WR_BOUNDS_64, 8, 8 },
        [WR_TYPE_INTERVAL] = { WR_PARQUET_BYTE_ARRAY, WR_BOUNDS_TEXT, 0, 0 },
        [WR_TYPE_JSON] = { WR_PARQUET_BYTE_ARRAY, WR_BOUNDS_TEXT, 0, 0 },
    };
    if (type.id == WR_TYPE_DECIMAL) {
        if (type.precision <= 9) {
            *layout = layouts[WR_TYPE_INT32];
        } else if (type.precision <= 18) {
            *layout = layouts[WR_TYPE_INT64];
        } else {
            /* Bytes for 10^p - 1 and a sign: log2(10) = 3.3219281. */
            const uint32_t bits = (uint32_t)ceil(type.precision * 3.3219281) + 1;
            *layout = (struct wr_parquet_layout){ WR_PARQUET_FIXED_LEN_BYTE_ARRAY, WR_BOUNDS_WIDE,
                                                  (uint8_t)((bits + 7) / 8), 16 };
        }
        return type.precision >= 1 && type.precision <= 38;
    }
    if (type.id >= WR_TYPE_COUNT_ || layouts[type.id].bounds == WR_BOUNDS_NONE) {
        return false;
    }
    *layout = layouts[type.id];
    return true;
}

void wr_parquet_column_init(struct wr_parquet_column *c, const char *name, uint32_t leaf,
                            const struct wr_parquet_settings *settings,
                            struct wr_parquet_shared *shared)
{
    const struct wr_parquet_tree *tree = &shared->tree;
    const struct wr_parquet_element *element = &tree->elements[tree->leaves[leaf]];
    *c = (struct wr_parquet_column){
        .name = name,
        .element = element,
        .type = element->type,
        .required = element->definition == 0,
        .leveled = element->parent != tree->leaves[leaf],
        .index = element->column,
        .settings = settings,
        .shared = shared,
    };
    wr_assert(wr_parquet_layout_of(element->type, &c->layout));
    if (!c->leveled) {
        c->validity = wr_calloc(1, WR_BITMAP_BYTES(settings->page_rows));
    }
}

void wr_parquet_column_release(struct wr_parquet_column *c)
{
    wr_dict_deinit(&c->dict);
    wr_buf_deinit(&c->dict_page);
    wr_buf_deinit(&c->pages);
    wr_buf_deinit(&c->infos);
    wr_buf_deinit(&c->indexes);
    wr_buf_deinit(&c->stage);
    wr_buf_deinit(&c->lengths);
    wr_buf_deinit(&c->definition.raw);
    wr_buf_deinit(&c->definition.encoded);
    wr_buf_deinit(&c->repeat.raw);
    wr_buf_deinit(&c->repeat.encoded);
}

void wr_parquet_column_deinit(struct wr_parquet_column *c)
{
    wr_parquet_column_release(c);
    free(c->validity);
    c->validity = NULL;
}

static struct wr_parquet_learned *learned(const struct wr_parquet_column *c)
{
    return &c->shared->learned[c->element->leaf];
}

void wr_parquet_column_begin(struct wr_parquet_column *c)
{
    c->dictionary = c->settings->dictionary && c->layout.physical != WR_PARQUET_BOOLEAN;
    if (c->dictionary && learned(c)->dict_rest > 0) {
        learned(c)->dict_rest--;
        c->dictionary = false;
    }
    if (c->dictionary) {
        wr_dict_reset(&c->dict);
    }
    c->dict_checked = false;
    c->dict_pages = 0;
    memset(c->encoding_pages, 0, sizeof c->encoding_pages);
    c->chunk_rows = c->chunk_levels = c->chunk_values = c->chunk_raw_bytes = 0;
    c->uncompressed_bytes = c->nulls = 0;
    c->bounds.any = false;
    c->dict_page.bytes = c->pages.bytes = c->infos.bytes = 0;
}

uint64_t wr_parquet_column_buffered(const struct wr_parquet_column *c)
{
    return wr_dict_bytes(&c->dict) + c->dict_page.capacity + c->pages.capacity + c->infos.capacity +
           c->indexes.capacity + c->stage.capacity + c->lengths.capacity +
           c->definition.raw.capacity + c->definition.encoded.capacity + c->repeat.raw.capacity +
           c->repeat.encoded.capacity +
           (c->leveled ? 0 : WR_BITMAP_BYTES(c->settings->page_rows));
}

/* ---- staging ---- */

/* Room behind every text, so that short ones are copied as whole words. */
#define TEXT_SLACK 32u

static inline void copy_text(char *to, const struct wr_view *view)
{
    if (view->bytes <= WR_VIEW_INLINE_BYTES) {
        memcpy(to, (const char *)view + 4, 12);
    } else if (view->bytes <= 16) { /* two loads that overlap stay within the text */
        memcpy(to, view->data, 8);
        memcpy(to + view->bytes - 8, view->data + view->bytes - 8, 8);
    } else if (view->bytes <= 32) {
        memcpy(to, view->data, 16);
        memcpy(to + view->bytes - 16, view->data + view->bytes - 16, 16);
    } else {
        memcpy(to, view->data, view->bytes);
    }
}

static void stage_views(struct wr_parquet_column *c, const struct wr_view *views, uint32_t count)
{
    size_t bytes = 0;
    uint32_t *lengths = (void *)wr_buf_reserve(&c->lengths, count * sizeof *lengths);
    for (uint32_t i = 0; i < count; i++) {
        lengths[i] = views[i].bytes;
        bytes += views[i].bytes;
    }
    c->lengths.bytes += count * sizeof *lengths;
    char *to = wr_buf_reserve(&c->stage, bytes + TEXT_SLACK);
    for (uint32_t i = 0; i < count; i++) {
        if (i + WR_DICT_PREFETCH < count) {
            wr_view_prefetch(&views[i + WR_DICT_PREFETCH]);
        }
        copy_text(to, &views[i]);
        to += views[i].bytes;
    }
    c->stage.bytes += bytes;
}

static void stage_values(struct wr_parquet_column *c, const void *values, uint32_t count)
{
    if (c->layout.stage_bytes == 0) {
        stage_views(c, values, count);
    } else {
        wr_buf_append(&c->stage, values, (size_t)count * c->layout.stage_bytes);
    }
}

/* ---- does the dictionary pay? ---- */

/* Of how many different values, drawn evenly, does a sample of n show seen? seen / n = (1 - e^-x) / x with
 * x = n / values. Skewed columns have more than this says, and are looked at again at each page. */
static double population(double seen, double n)
{
    double low = 1e-3;
    double high = n; /* one value only */
    for (int i = 0; i < 60; i++) {
        const double x = (low + high) / 2;
        if ((1 - exp(-x)) / x > seen / n) {
            low = x;
        } else {
            high = x;
        }
    }
    return n / low;
}

/* Entries that the dictionary will have after all rows of the row group. */
static double expected_entries(const struct wr_parquet_column *c, double expected)
{
    const double seen = c->dict.count;
    const double n = (double)c->chunk_values;
    if (wr_type_is_timestamp(c->type) || c->type.id == WR_TYPE_DATE || seen > 0.995 * n) {
        return seen / n * expected; /* time goes on; ids never come again */
    }
    const double values = population(seen, n);
    const double entries = values * (1 - exp(-expected / values));
    return entries > seen ? entries : seen;
}

/* The open page's first values, out of the dictionary, for a trial encoding. */
static double delta_bytes_per_value(struct wr_parquet_column *c)
{
    const uint32_t *indexes = (const void *)c->indexes.data;
    const uint32_t n = c->page_values < WR_BATCH_ROWS_MAX ? c->page_values : WR_BATCH_ROWS_MAX;
    struct wr_buf *out = &c->shared->other;
    out->bytes = 0;
    if (c->layout.physical == WR_PARQUET_INT64) {
        int64_t *values = (void *)c->shared->converted;
        for (uint32_t i = 0; i < n; i++) {
            values[i] = (int64_t)wr_dict_u64(&c->dict, indexes[i]);
        }
        wr_delta_append_i64(out, c->shared->kernels, values, n);
    } else {
        int32_t *values = (void *)c->shared->converted;
        for (uint32_t i = 0; i < n; i++) {
            values[i] = (int32_t)wr_dict_u64(&c->dict, indexes[i]);
        }
        wr_delta_append_i32(out, c->shared->kernels, values, n);
    }
    return (double)out->bytes / (n == 0 ? 1 : n);
}

/* Bytes of a value when it is not in a dictionary. Integers are tried; for the others the factors guess at what zstd will
 * save: they only need to tell columns that repeat themselves from those that hardly do. */
static double plain_bytes_per_value(struct wr_parquet_column *c, double raw)
{
    switch (c->layout.physical) {
    case WR_PARQUET_INT32:
    case WR_PARQUET_INT64:
        return c->settings->plain_only ? raw : delta_bytes_per_value(c);
    case WR_PARQUET_FLOAT:
    case WR_PARQUET_DOUBLE:
        return 0.85 * raw;
    default:
        return 0.6 * raw;
    }
}

/* whole: the chunk ends with the open page. */
static bool dictionary_pays(struct wr_parquet_column *c, bool whole)
{
    const double n = (double)c->chunk_values;
    if (n == 0) {
        return true;
    }
    const double share = n / (double)(c->chunk_rows + c->page_rows); /* not NULL */
    double expected = whole ? n : (double)c->rows_expected * share;
    expected = expected < n ? n : expected;
    const double raw = (double)c->chunk_raw_bytes / n;
    const double entries = expected_entries(c, expected);
    const double entry_bytes = c->layout.stage_bytes == 0 ? raw + 4 : c->layout.width;
    /* Pages that are written have paid for their entries: only what comes counts. */
    const double sunk = c->dict_pages > 0 ? c->dict.count : 0;
    const double ahead = c->dict_pages > 0 ? expected - n + c->page_values : expected;
    const double index_bytes = entries <= 2 ? 0.125 : ceil(log2(entries)) / 8;
    const double cost = (entries - sunk) * entry_bytes + ahead * index_bytes;
    return entries <= WR_DICT_ENTRIES_MAX && entries * entry_bytes <= WR_DICT_BYTES_MAX &&
           cost <= ahead * plain_bytes_per_value(c, raw);
}

static void unfold_texts(struct wr_parquet_column *c, const uint32_t *indexes, uint32_t count)
{
    wr_buf_reserve(&c->stage, TEXT_SLACK); /* not NULL, also when all texts are empty */
    for (uint32_t i = 0; i < count; i++) {
        const struct wr_slice text = wr_dict_text(&c->dict, indexes[i]);
        const uint32_t bytes = (uint32_t)text.bytes;
        wr_buf_append(&c->lengths, &bytes, sizeof bytes);
        wr_buf_append(&c->stage, text.data, text.bytes);
    }
}

/* DICTIONARY -> PLAIN. */
static void give_up(struct wr_parquet_column *c)
{
    const uint32_t *indexes = (const void *)c->indexes.data;
    const uint32_t count = (uint32_t)(c->indexes.bytes / sizeof *indexes);
    const uint32_t width = c->layout.stage_bytes;
    wr_assert(c->dictionary && c->stage.bytes == 0); /* (1) */
    if (width == 0) {
        unfold_texts(c, indexes, count);
    } else {
        char *to = wr_buf_reserve(&c->stage, (size_t)count * width);
        for (uint32_t i = 0; i < count; i++, to += width) {
            if (width == 16) {
                const struct wr_dict_key key = wr_dict_key(&c->dict, indexes[i]);
                memcpy(to, &key, 16);
            } else {
                const uint64_t value = wr_dict_u64(&c->dict, indexes[i]);
                memcpy(to, &value, width); /* little-endian: the low bytes */
            }
        }
        c->stage.bytes += (size_t)count * width;
    }
    c->indexes.bytes = 0;
    c->dictionary = false;
    learned(c)->dict_rest = DICT_REST_CHUNKS;
}

static void look_at_dictionary(struct wr_parquet_column *c, bool whole)
{
    if (c->dictionary && !dictionary_pays(c, whole)) {
        give_up(c);
    }
    c->dict_checked = true;
}

/* ---- append ---- */

static wr_status flush_page(struct wr_parquet_column *c, bool last, struct wr_error *err)
{
    look_at_dictionary(c, last && c->infos.bytes == 0);
    WR_TRY_IN(wr_parquet_page_finish(c, err), err, "column \"%s\"", c->name);
    c->chunk_rows += c->page_rows;
    c->chunk_levels += c->page_levels;
    c->page_rows = c->page_levels = c->page_values = 0;
    c->page_raw_bytes = 0;
    c->page_bounds.any = false;
    c->page_has_nulls = false;
    c->indexes.bytes = c->stage.bytes = c->lengths.bytes = 0;
    return WR_OK;
}

/* Appends indexes; what does not fit any more goes on in PLAIN. */
static void append_values(struct wr_parquet_column *c, const void *values, uint32_t count)
{
    if (!c->dictionary) {
        stage_values(c, values, count);
        return;
    }
    uint32_t *into = (void *)wr_buf_reserve(&c->indexes, count * sizeof *into);
    struct wr_dict_scratch *scratch = &c->shared->dict;
    uint32_t done;
    switch (c->layout.stage_bytes) {
    case 0:
        done = wr_dict_index_views(&c->dict, scratch, values, count, into);
        break;
    case 4:
        done = wr_dict_index_u32(&c->dict, scratch, values, count, into);
        break;
    case 8:
        done = wr_dict_index_u64(&c->dict, scratch, values, count, into);
        break;
    default:
        done = wr_dict_index_i128(&c->dict, scratch, values, count, into);
        break;
    }
    c->indexes.bytes += done * sizeof *into;
    if (done < count) {
        give_up(c);
        const size_t width = c->layout.stage_bytes == 0 ? sizeof(struct wr_view) : c->layout.stage_bytes;
        stage_values(c, (const char *)values + done * width, count - done);
    }
}

static void add_bounds(struct wr_parquet_column *c, const void *values, uint32_t count)
{
    const struct wr_kernels *k = c->shared->kernels;
    int64_t min;
    int64_t max;
    switch (c->type.id) {
    case WR_TYPE_BOOL: {
        const uint8_t *bytes = values;
        uint32_t set = 0;
        for (uint32_t i = 0; i < count; i++) {
            set += bytes[i];
        }
        min = set == count;
        max = set > 0;
        break;
    }
    case WR_TYPE_UINT16:
    case WR_TYPE_UINT32:
        k->bounds_u32(values, count, &min, &max);
        break;
    case WR_TYPE_UINT64:
        k->bounds_u64(values, count, &min, &max);
        break;
    case WR_TYPE_FLOAT32:
        k->bounds_f32(values, count, &min, &max);
        break;
    case WR_TYPE_FLOAT64:
        k->bounds_f64(values, count, &min, &max);
        break;
    default:
        if (c->layout.stage_bytes == 16) {
            wr_bounds_add_wide(&c->page_bounds, values, count);
            return;
        }
        if (c->layout.stage_bytes == 8) {
            k->bounds_i64(values, count, &min, &max);
        } else {
            k->bounds_i32(values, count, &min, &max);
        }
        break;
    }
    wr_bounds_add_keys(&c->page_bounds, min, max);
}

/* Values in memory -> values in the file's width, where they differ. */
static const void *convert(struct wr_parquet_column *c, const void *values, uint32_t count)
{
    void *out = c->shared->converted;
    switch (c->type.id) {
    case WR_TYPE_INT16:
        for (uint32_t i = 0; i < count; i++) {
            ((int32_t *)out)[i] = ((const int16_t *)values)[i];
        }
        return out;
    case WR_TYPE_UINT16:
        for (uint32_t i = 0; i < count; i++) {
            ((uint32_t *)out)[i] = ((const uint16_t *)values)[i];
        }
        return out;
    case WR_TYPE_DECIMAL:
        if (c->layout.stage_bytes == 16) {
            return values;
        }
        for (uint32_t i = 0; i < count; i++) {
            const __int128 value = ((const __int128 *)values)[i];
            if (c->layout.stage_bytes == 4) {
                ((int32_t *)out)[i] = (int32_t)value;
            } else {
                ((int64_t *)out)[i] = (int64_t)value;
            }
        }
        return out;
    default:
        return values;
    }
}

static const void *interval_texts(struct wr_parquet_column *c, const struct wr_interval *values,
                                  uint32_t count)
{
    struct wr_buf *texts = &c->shared->words;
    struct wr_view *views = (void *)c->shared->converted;
    texts->bytes = 0;
    wr_buf_reserve(texts, (size_t)count * INTERVAL_TEXT_MAX); /* so that the views stay good */
    for (uint32_t i = 0; i < count; i++) {
        const size_t before = texts->bytes;
        wr_text_format(texts, c->type, &values[i]);
        wr_assert(texts->bytes - before <= INTERVAL_TEXT_MAX);
        views[i] = wr_view_of(texts->data + before, texts->bytes - before);
    }
    return views;
}

#define GATHER(type)                                                                               \
    for (uint32_t i = 0; i < count; i++) {                                                         \
        ((type *)out)[i] = ((const type *)values)[rows[i]];                                        \
    }                                                                                              \
    break

static const void *gather(struct wr_parquet_shared *shared, const void *values, uint32_t width,
                          const uint32_t *rows, uint32_t count)
{
    void *out = shared->gathered;
    switch (width) {
    case 1:
        GATHER(uint8_t);
    case 2:
        GATHER(uint16_t);
    case 4:
        GATHER(uint32_t);
    case 8:
        GATHER(uint64_t);
    default:
        wr_assert(width == 16);
        GATHER(__int128);
    }
    return out;
}

/* Starts the open page's bitmap: the rows so far were all valid. */
static void begin_validity(struct wr_parquet_column *c)
{
    memset(c->validity, 0xff, (c->page_rows + 7) / 8);
    c->page_has_nulls = true;
}

static void append_valid(struct wr_parquet_column *c, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        wr_bit_set(c->validity, c->page_rows + i);
    }
}

/* Appends the rows' validity to the page's bitmap and the numbers of the valid ones to shared->rows; returns
 * how many those are. */
static uint32_t append_validity(struct wr_parquet_column *c, const uint8_t *bits,
                                const uint32_t *rows, uint32_t first, uint32_t count)
{
    uint32_t *valid = c->shared->rows;
    uint32_t n = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t row = rows == NULL ? first + i : rows[i];
        const bool bit = wr_bit_get(bits, row);
        wr_bit_put(c->validity, c->page_rows + i, bit);
        valid[n] = row;
        n += bit;
    }
    return n;
}

static uint64_t page_limit(const struct wr_parquet_column *c)
{
    return (uint64_t)c->settings->page_bytes * (c->dictionary ? DICT_PAGE_UNFOLD : 1);
}

static uint64_t sum_bytes(const struct wr_view *views, uint32_t count)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += views[i].bytes;
    }
    return bytes;
}

/* How many of the rows go into the open page; at least one when it is empty. */
static uint32_t segment_rows(const struct wr_parquet_column *c, const struct wr_column *in,
                             const uint32_t *rows, uint32_t first, uint32_t count)
{
    const uint32_t room = c->settings->page_rows - c->page_rows;
    uint32_t n = count < room ? count : room;
    n = n < SEGMENT_ROWS ? n : SEGMENT_ROWS;
    if (c->layout.stage_bytes != 0 || c->type.id == WR_TYPE_INTERVAL) {
        return n;
    }
    const uint64_t limit = page_limit(c);
    const struct wr_view *views = in->values;
    uint64_t bytes = c->page_raw_bytes;
    if (rows == NULL && bytes + sum_bytes(views + first, n) < limit) {
        return n;
    }
    for (uint32_t i = 0; i < n; i++) {
        bytes += views[rows == NULL ? first + i : rows[i]].bytes;
        if (bytes >= limit) {
            return i + 1;
        }
    }
    return n;
}

bool wr_parquet_column_is_full(const struct wr_parquet_column *c)
{
    return c->page_levels >= c->settings->page_rows || c->page_raw_bytes >= page_limit(c);
}

static uint64_t raw_bytes(const struct wr_parquet_column *c, const void *values, uint32_t count)
{
    if (c->layout.stage_bytes != 0) {
        return (uint64_t)count * c->layout.width;
    }
    return sum_bytes(values, count);
}

/* count > 0 values without NULLs, as they lie in a batch's column. */
static void append_dense(struct wr_parquet_column *c, const void *values, uint32_t count)
{
    values = c->type.id == WR_TYPE_INTERVAL ? interval_texts(c, values, count)
                                            : convert(c, values, count);
    const uint64_t raw = raw_bytes(c, values, count);
    if (c->layout.stage_bytes != 0) {
        add_bounds(c, values, count);
    }
    append_values(c, values, count);
    c->page_values += count;
    c->chunk_values += count;
    c->page_raw_bytes += raw;
    c->chunk_raw_bytes += raw;
}

/* Rows that go into the open page as they are: no limit is passed. */
static wr_status append_segment(struct wr_parquet_column *c, const struct wr_column *in,
                                const uint32_t *rows, uint32_t first, uint32_t count,
                                struct wr_error *err)
{
    const uint32_t width = wr_type_width(c->type);
    const void *values = (const char *)in->values + (size_t)first * width;
    uint32_t valid = count;
    if (in->validity != NULL) {
        if (!c->page_has_nulls) {
            begin_validity(c);
        }
        valid = append_validity(c, in->validity, rows, first, count);
        values = gather(c->shared, in->values, width, c->shared->rows, valid);
    } else {
        if (c->page_has_nulls) {
            append_valid(c, count);
        }
        if (rows != NULL) {
            values = gather(c->shared, in->values, width, rows, count);
        }
    }
    wr_ensure(valid == count || !c->required, err, WR_CLASS_FATAL,
              "column \"%s\" is NOT NULL but a row holds NULL", c->name);
    c->page_rows += count;
    c->page_levels += count;
    if (valid > 0) {
        append_dense(c, values, valid);
    }
    return WR_OK;
}

/* Ends the page when it is full. */
static wr_status settle_page(struct wr_parquet_column *c, struct wr_error *err)
{
    if (wr_parquet_column_is_full(c)) {
        return flush_page(c, false, err);
    }
    if (!c->dict_checked && c->chunk_values >= DICT_FIRST_LOOK) {
        look_at_dictionary(c, false);
    }
    return WR_OK;
}

void wr_parquet_column_prefetch(const struct wr_column *in, uint32_t first, uint32_t count)
{
    const uint32_t width = wr_type_width(in->type);
    const uint32_t n = count < SEGMENT_ROWS ? count : SEGMENT_ROWS;
    const char *values = (const char *)in->values + (size_t)first * width;
    for (size_t at = 0; at < (size_t)n * width; at += 64) {
        __builtin_prefetch(values + at);
    }
}

wr_status wr_parquet_column_append(struct wr_parquet_column *c, const struct wr_column *in,
                                   const uint32_t *rows, uint32_t first, uint32_t count,
                                   struct wr_error *err)
{
    while (count > 0) {
        const uint32_t n = segment_rows(c, in, rows, first, count);
        if (rows == NULL) {
            wr_parquet_column_prefetch(in, first + n, count - n);
        }
        WR_TRY(append_segment(c, in, rows, rows == NULL ? first : 0, n, err));
        WR_TRY(settle_page(c, err));
        if (rows != NULL) {
            rows += n;
        } else {
            first += n;
        }
        count -= n;
    }
    return WR_OK;
}

/* ---- leaves of nested columns ---- */

/* Above this many levels most of them are encoded before the page ends. */
#define LEVELS_RAW_MAX 65536u

static void append_levels(struct wr_parquet_column *c, struct wr_parquet_levels *levels,
                          const uint8_t *some, uint32_t count, uint32_t max)
{
    if (max > 0) {
        wr_buf_append(&levels->raw, some, count);
        if (levels->raw.bytes >= LEVELS_RAW_MAX) {
            wr_parquet_levels_fold(levels, c->shared->kernels, max, false);
        }
    }
}

void wr_parquet_column_append_run(struct wr_parquet_column *c, struct wr_parquet_run *run)
{
    append_levels(c, &c->repeat, run->repeat, run->count, c->element->repeat);
    append_levels(c, &c->definition, run->definition, run->count, c->element->definition);
    c->page_levels += run->count;
    if (run->value_count > 0) {
        append_dense(c, run->values, run->value_count);
    }
    run->count = run->value_count = 0;
}

wr_status wr_parquet_column_end_rows(struct wr_parquet_column *c, uint32_t rows,
                                     struct wr_error *err)
{
    c->page_rows += rows;
    return settle_page(c, err);
}

wr_status wr_parquet_column_end(struct wr_parquet_column *c, struct wr_error *err)
{
    if (c->page_rows > 0) {
        WR_TRY(flush_page(c, true, err));
    }
    if (c->dict_pages > 0) {
        WR_TRY_IN(wr_parquet_page_dictionary(c, err), err, "column \"%s\"", c->name);
    }
    return WR_OK;
}
