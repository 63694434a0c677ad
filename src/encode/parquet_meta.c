#include "encode/parquet_meta.h"

#include "encode/thrift.h"

#define FORMAT_VERSION    2 /* logical types and the encodings after 1.0 are in use */
#define CODEC_ZSTD        6

enum converted_type {
    CONVERTED_NONE = -1,
    CONVERTED_UTF8 = 0,
    CONVERTED_MAP = 1,
    CONVERTED_LIST = 3,
    CONVERTED_DECIMAL = 5,
    CONVERTED_DATE = 6,
    CONVERTED_TIMESTAMP_MICROS = 10,
    CONVERTED_UINT_16 = 12,
    CONVERTED_UINT_32 = 13,
    CONVERTED_UINT_64 = 14,
    CONVERTED_INT_16 = 16,
    CONVERTED_JSON = 19,
};

/* Field ids of the union LogicalType. */
enum logical_type {
    LOGICAL_STRING = 1,
    LOGICAL_MAP = 2,
    LOGICAL_LIST = 3,
    LOGICAL_DECIMAL = 5,
    LOGICAL_DATE = 6,
    LOGICAL_TIMESTAMP = 8,
    LOGICAL_INTEGER = 10,
    LOGICAL_JSON = 12,
};

/* ---- schema ---- */

static void logical_empty(struct wr_thrift *t, enum logical_type id)
{
    wr_thrift_begin_struct(t, (int16_t)id);
    wr_thrift_end_struct(t);
}

static void logical_integer(struct wr_thrift *t, int8_t bits, bool is_signed)
{
    wr_thrift_begin_struct(t, LOGICAL_INTEGER);
    wr_thrift_i8(t, 1, bits);
    wr_thrift_bool(t, 2, is_signed);
    wr_thrift_end_struct(t);
}

static void logical_decimal(struct wr_thrift *t, struct wr_type type)
{
    wr_thrift_begin_struct(t, LOGICAL_DECIMAL);
    wr_thrift_i32(t, 1, type.scale);
    wr_thrift_i32(t, 2, type.precision);
    wr_thrift_end_struct(t);
}

static void logical_timestamp(struct wr_thrift *t, bool utc)
{
    wr_thrift_begin_struct(t, LOGICAL_TIMESTAMP);
    wr_thrift_bool(t, 1, utc);
    wr_thrift_begin_struct(t, 2);
    wr_thrift_begin_struct(t, 2); /* MICROS */
    wr_thrift_end_struct(t);
    wr_thrift_end_struct(t);
    wr_thrift_end_struct(t);
}

static enum converted_type converted_of(struct wr_type type, bool utc)
{
    switch (type.id) {
    case WR_TYPE_INT16:
        return CONVERTED_INT_16;
    case WR_TYPE_UINT16:
        return CONVERTED_UINT_16;
    case WR_TYPE_UINT32:
        return CONVERTED_UINT_32;
    case WR_TYPE_UINT64:
        return CONVERTED_UINT_64;
    case WR_TYPE_DECIMAL:
        return CONVERTED_DECIMAL;
    case WR_TYPE_TEXT:
    case WR_TYPE_INTERVAL:
        return CONVERTED_UTF8;
    case WR_TYPE_DATE:
        return CONVERTED_DATE;
    case WR_TYPE_TIMESTAMP:
    case WR_TYPE_TIMESTAMPTZ: /* the old type means UTC: local times have none */
        return utc ? CONVERTED_TIMESTAMP_MICROS : CONVERTED_NONE;
    case WR_TYPE_JSON:
        return CONVERTED_JSON;
    default:
        return CONVERTED_NONE;
    }
}

static bool has_logical(struct wr_type type)
{
    return type.id != WR_TYPE_BOOL && type.id != WR_TYPE_INT32 && type.id != WR_TYPE_INT64 &&
           !wr_type_is_float(type) && type.id != WR_TYPE_BYTES;
}

static void logical(struct wr_thrift *t, struct wr_type type, bool utc)
{
    switch (type.id) {
    case WR_TYPE_INT16:
        logical_integer(t, 16, true);
        break;
    case WR_TYPE_UINT16:
        logical_integer(t, 16, false);
        break;
    case WR_TYPE_UINT32:
        logical_integer(t, 32, false);
        break;
    case WR_TYPE_UINT64:
        logical_integer(t, 64, false);
        break;
    case WR_TYPE_DECIMAL:
        logical_decimal(t, type);
        break;
    case WR_TYPE_DATE:
        logical_empty(t, LOGICAL_DATE);
        break;
    case WR_TYPE_TIMESTAMP:
    case WR_TYPE_TIMESTAMPTZ:
        logical_timestamp(t, utc);
        break;
    case WR_TYPE_JSON:
        logical_empty(t, LOGICAL_JSON);
        break;
    default:
        logical_empty(t, LOGICAL_STRING);
        break;
    }
}

/* Of a list or map; structs and the groups inside lists and maps have no other type. */
static void group_type(struct wr_thrift *t, const struct wr_parquet_element *e)
{
    const bool map = e->kind == WR_PARQUET_MAP;
    if (map || e->kind == WR_PARQUET_LIST) {
        wr_thrift_i32(t, 6, map ? CONVERTED_MAP : CONVERTED_LIST);
    }
    if (e->field_id > 0) {
        wr_thrift_i32(t, 9, (int32_t)e->field_id);
    }
    if (map || e->kind == WR_PARQUET_LIST) {
        wr_thrift_begin_struct(t, 10);
        logical_empty(t, map ? LOGICAL_MAP : LOGICAL_LIST);
        wr_thrift_end_struct(t);
    }
}

static void schema_group(struct wr_thrift *t, const struct wr_parquet_element *e)
{
    wr_thrift_begin_element(t);
    wr_thrift_i32(t, 3, e->repetition);
    wr_thrift_text(t, 4, e->name);
    wr_thrift_i32(t, 5, (int32_t)e->children);
    group_type(t, e);
    wr_thrift_end_struct(t);
}

static void schema_leaf(struct wr_thrift *t, const struct wr_parquet_file *file,
                        const struct wr_parquet_column *c)
{
    const bool utc = c->type.id != WR_TYPE_TIMESTAMP || !file->timestamp_local;
    const bool as_text = c->type.id == WR_TYPE_JSON && file->json_as_text;
    const struct wr_type type = as_text ? wr_type_of(WR_TYPE_TEXT) : c->type;
    const enum converted_type converted = converted_of(type, utc);
    wr_thrift_begin_element(t);
    wr_thrift_i32(t, 1, c->layout.physical);
    if (c->layout.physical == WR_PARQUET_FIXED_LEN_BYTE_ARRAY) {
        wr_thrift_i32(t, 2, c->layout.width);
    }
    wr_thrift_i32(t, 3, c->element->repetition);
    wr_thrift_text(t, 4, c->element->name);
    if (converted != CONVERTED_NONE) {
        wr_thrift_i32(t, 6, converted);
    }
    if (c->type.id == WR_TYPE_DECIMAL) {
        wr_thrift_i32(t, 7, c->type.scale);
        wr_thrift_i32(t, 8, c->type.precision);
    }
    if (c->element->field_id > 0) {
        wr_thrift_i32(t, 9, (int32_t)c->element->field_id);
    }
    if (has_logical(type)) {
        wr_thrift_begin_struct(t, 10);
        logical(t, type, utc);
        wr_thrift_end_struct(t);
    }
    wr_thrift_end_struct(t);
}

/* The element of the whole column that a leaf belongs to. */
static const struct wr_parquet_element *root_of(const struct wr_parquet_file *file,
                                                const struct wr_parquet_column *c)
{
    return &file->tree->elements[file->tree->roots[c->index]];
}

static void schema(struct wr_thrift *t, const struct wr_parquet_file *file)
{
    const struct wr_parquet_tree *tree = file->tree;
    const struct wr_parquet_column *c = file->columns;
    const struct wr_parquet_column *end = c + file->columns_count;
    uint32_t roots = 0;
    uint32_t elements = 0;
    for (; c < end; c += root_of(file, c)->leaf_end - root_of(file, c)->leaf) {
        elements += root_of(file, c)->end - tree->roots[c->index];
        roots++;
    }
    wr_thrift_begin_list(t, 2, WR_THRIFT_STRUCT, elements + 1);
    wr_thrift_begin_element(t);
    wr_thrift_text(t, 4, "schema");
    wr_thrift_i32(t, 5, (int32_t)roots);
    wr_thrift_end_struct(t);
    for (c = file->columns; c < end;) {
        const uint32_t last = root_of(file, c)->end;
        for (uint32_t i = tree->roots[c->index]; i < last; i++) {
            if (tree->elements[i].kind == WR_PARQUET_LEAF) {
                schema_leaf(t, file, c++);
            } else {
                schema_group(t, &tree->elements[i]);
            }
        }
    }
}

/* ---- row groups ---- */

static void statistics(struct wr_thrift *t, const struct wr_parquet_column *c,
                       const struct wr_parquet_chunk *chunk)
{
    char min[WR_BOUND_BYTES + 8];
    char max[WR_BOUND_BYTES + 8];
    uint32_t min_bytes = 0;
    uint32_t max_bytes = 0;
    bool min_exact = false;
    bool max_exact = false;
    const enum wr_bounds_kind kind = c->layout.bounds;
    const bool has_min =
        wr_bounds_min(&chunk->bounds, kind, c->layout.width, min, &min_bytes, &min_exact);
    const bool has_max =
        wr_bounds_max(&chunk->bounds, kind, c->layout.width, max, &max_bytes, &max_exact);
    wr_thrift_begin_struct(t, 12);
    wr_thrift_i64(t, 3, (int64_t)chunk->nulls);
    if (has_max) {
        wr_thrift_binary(t, 5, max, max_bytes);
    }
    if (has_min) {
        wr_thrift_binary(t, 6, min, min_bytes);
    }
    if (has_max) {
        wr_thrift_bool(t, 7, max_exact);
    }
    if (has_min) {
        wr_thrift_bool(t, 8, min_exact);
    }
    wr_thrift_end_struct(t);
}

/* RLE stands for the definition levels, PLAIN for the dictionary page. */
static uint32_t encodings_mask(const struct wr_parquet_column *c,
                               const struct wr_parquet_chunk *chunk)
{
    uint32_t mask = c->element->definition == 0 ? 0 : 1u << WR_PARQUET_RLE;
    mask |= chunk->dict_bytes > 0 ? 1u << WR_PARQUET_PLAIN : 0;
    for (uint32_t e = 0; e < WR_PARQUET_ENCODINGS_; e++) {
        mask |= chunk->encoding_pages[e] > 0 ? 1u << e : 0;
    }
    return mask;
}

static void encoding_stat(struct wr_thrift *t, int32_t page_type, uint32_t encoding, uint32_t count)
{
    wr_thrift_begin_element(t);
    wr_thrift_i32(t, 1, page_type);
    wr_thrift_i32(t, 2, (int32_t)encoding);
    wr_thrift_i32(t, 3, (int32_t)count);
    wr_thrift_end_struct(t);
}

static void encoding_stats(struct wr_thrift *t, const struct wr_parquet_chunk *chunk)
{
    size_t count = chunk->dict_bytes > 0;
    for (uint32_t e = 0; e < WR_PARQUET_ENCODINGS_; e++) {
        count += chunk->encoding_pages[e] > 0;
    }
    wr_thrift_begin_list(t, 13, WR_THRIFT_STRUCT, count);
    if (chunk->dict_bytes > 0) {
        encoding_stat(t, 2, WR_PARQUET_PLAIN, 1);
    }
    for (uint32_t e = 0; e < WR_PARQUET_ENCODINGS_; e++) {
        if (chunk->encoding_pages[e] > 0) {
            encoding_stat(t, 0, e, chunk->encoding_pages[e]);
        }
    }
}

static void column_meta(struct wr_thrift *t, const struct wr_parquet_file *file,
                        const struct wr_parquet_column *c, const struct wr_parquet_chunk *chunk)
{
    const char *path[WR_PARQUET_DEPTH_MAX];
    const uint32_t depth = wr_parquet_path(file->tree, file->tree->leaves[c->element->leaf], path);
    const uint32_t mask = encodings_mask(c, chunk);
    wr_thrift_begin_struct(t, 3);
    wr_thrift_i32(t, 1, c->layout.physical);
    wr_thrift_begin_list(t, 2, WR_THRIFT_I32, (size_t)__builtin_popcount(mask));
    for (int32_t e = 0; e < WR_PARQUET_ENCODINGS_; e++) {
        if (mask >> e & 1) {
            wr_thrift_element_i32(t, e);
        }
    }
    wr_thrift_begin_list(t, 3, WR_THRIFT_BINARY, depth);
    for (uint32_t i = 0; i < depth; i++) {
        wr_thrift_element_binary(t, path[i], strlen(path[i]));
    }
    wr_thrift_i32(t, 4, CODEC_ZSTD);
    wr_thrift_i64(t, 5, (int64_t)chunk->levels);
    wr_thrift_i64(t, 6, (int64_t)chunk->uncompressed_bytes);
    wr_thrift_i64(t, 7, (int64_t)chunk->bytes);
    wr_thrift_i64(t, 9, (int64_t)(chunk->offset + chunk->dict_bytes));
    if (chunk->dict_bytes > 0) {
        wr_thrift_i64(t, 11, (int64_t)chunk->offset);
    }
    statistics(t, c, chunk);
    encoding_stats(t, chunk);
    wr_thrift_end_struct(t);
}

static void column_chunk(struct wr_thrift *t, const struct wr_parquet_file *file,
                         const struct wr_parquet_column *c, const struct wr_parquet_chunk *chunk)
{
    wr_thrift_begin_element(t);
    wr_thrift_i64(t, 2, 0); /* file_offset: deprecated, zero since 2.10 */
    column_meta(t, file, c, chunk);
    wr_thrift_i64(t, 4, (int64_t)(file->offset_indexes_offset + chunk->offset_index_at));
    wr_thrift_i32(t, 5, (int32_t)chunk->offset_index_bytes);
    if (chunk->column_index_bytes > 0) {
        wr_thrift_i64(t, 6, (int64_t)(file->column_indexes_offset + chunk->column_index_at));
        wr_thrift_i32(t, 7, (int32_t)chunk->column_index_bytes);
    }
    wr_thrift_end_struct(t);
}

static void row_group(struct wr_thrift *t, const struct wr_parquet_file *file, uint32_t index)
{
    const struct wr_parquet_group *group = &file->groups[index];
    const struct wr_parquet_chunk *chunks = file->chunks + (size_t)index * file->columns_count;
    wr_thrift_begin_element(t);
    wr_thrift_begin_list(t, 1, WR_THRIFT_STRUCT, file->columns_count);
    for (uint32_t i = 0; i < file->columns_count; i++) {
        column_chunk(t, file, &file->columns[i], &chunks[i]);
    }
    wr_thrift_i64(t, 2, (int64_t)group->uncompressed_bytes);
    wr_thrift_i64(t, 3, (int64_t)group->rows);
    wr_thrift_i64(t, 5, (int64_t)group->offset);
    wr_thrift_i64(t, 6, (int64_t)group->bytes);
    if (index <= INT16_MAX) {
        wr_thrift_i16(t, 7, (int16_t)index);
    }
    wr_thrift_end_struct(t);
}

static void pairs(struct wr_thrift *t, const struct wr_parquet_file *file)
{
    if (file->pairs_count == 0) {
        return;
    }
    wr_thrift_begin_list(t, 5, WR_THRIFT_STRUCT, file->pairs_count);
    for (uint32_t i = 0; i < file->pairs_count; i++) {
        wr_thrift_begin_element(t);
        wr_thrift_text(t, 1, file->pairs[i].key);
        if (file->pairs[i].value != NULL) {
            wr_thrift_text(t, 2, file->pairs[i].value);
        }
        wr_thrift_end_struct(t);
    }
}

void wr_parquet_append_footer(struct wr_buf *out, const struct wr_parquet_file *file)
{
    struct wr_thrift t;
    wr_thrift_init(&t, out);
    wr_thrift_i32(&t, 1, FORMAT_VERSION);
    schema(&t, file);
    wr_thrift_i64(&t, 3, (int64_t)file->rows);
    wr_thrift_begin_list(&t, 4, WR_THRIFT_STRUCT, file->groups_count);
    for (uint32_t i = 0; i < file->groups_count; i++) {
        row_group(&t, file, i);
    }
    pairs(&t, file);
    wr_thrift_text(&t, 6, file->created_by);
    wr_thrift_begin_list(&t, 7, WR_THRIFT_STRUCT, file->columns_count);
    for (uint32_t i = 0; i < file->columns_count; i++) {
        wr_thrift_begin_element(&t);
        wr_thrift_begin_struct(&t, 1); /* TypeDefinedOrder */
        wr_thrift_end_struct(&t);
        wr_thrift_end_struct(&t);
    }
    wr_thrift_end(&t);
}

/* ---- page indexes ---- */

/* 0 unordered, 1 ascending, 2 descending, over the pages that have values. */
static int32_t boundary_order(const struct wr_parquet_column *c)
{
    const enum wr_bounds_kind kind = c->layout.bounds;
    const struct wr_parquet_page *last = NULL;
    bool ascending = true;
    bool descending = true;
    for (uint32_t i = 0; i < wr_parquet_column_pages(c); i++) {
        const struct wr_parquet_page *page = wr_parquet_column_page(c, i);
        if (!page->bounds.any) {
            continue;
        }
        /* How cut texts order among others depends on where they were cut. */
        if (page->bounds.text_min.cut || page->bounds.text_max.cut) {
            return 0;
        }
        if (last != NULL) {
            const int min = wr_bounds_compare_min(&last->bounds, &page->bounds, kind);
            const int max = wr_bounds_compare_max(&last->bounds, &page->bounds, kind);
            ascending = ascending && min <= 0 && max <= 0;
            descending = descending && min >= 0 && max >= 0;
        }
        last = page;
    }
    return ascending ? 1 : descending ? 2 : 0;
}

typedef bool (*bound_fn)(const struct wr_bounds *, enum wr_bounds_kind, uint32_t, char *,
                         uint32_t *, bool *);

static bool page_bounds(struct wr_thrift *t, const struct wr_parquet_column *c, int16_t id,
                        bound_fn bound)
{
    const uint32_t pages = wr_parquet_column_pages(c);
    wr_thrift_begin_list(t, id, WR_THRIFT_BINARY, pages);
    for (uint32_t i = 0; i < pages; i++) {
        const struct wr_parquet_page *page = wr_parquet_column_page(c, i);
        char value[WR_BOUND_BYTES + 8];
        uint32_t bytes = 0;
        bool exact;
        if (page->bounds.any &&
            !bound(&page->bounds, c->layout.bounds, c->layout.width, value, &bytes, &exact)) {
            return false; /* an index without this page's bounds would be a lie */
        }
        wr_thrift_element_binary(t, value, bytes);
    }
    return true;
}

void wr_parquet_append_column_index(struct wr_buf *out, const struct wr_parquet_column *c)
{
    const size_t before = out->bytes;
    const uint32_t pages = wr_parquet_column_pages(c);
    struct wr_thrift t;
    wr_thrift_init(&t, out);
    wr_thrift_begin_list(&t, 1, WR_THRIFT_TRUE, pages);
    for (uint32_t i = 0; i < pages; i++) {
        wr_thrift_element_bool(&t, !wr_parquet_column_page(c, i)->bounds.any);
    }
    if (!page_bounds(&t, c, 2, wr_bounds_min) || !page_bounds(&t, c, 3, wr_bounds_max)) {
        out->bytes = before;
        return;
    }
    wr_thrift_i32(&t, 4, boundary_order(c));
    wr_thrift_begin_list(&t, 5, WR_THRIFT_I64, pages);
    for (uint32_t i = 0; i < pages; i++) {
        wr_thrift_element_i64(&t, wr_parquet_column_page(c, i)->nulls);
    }
    wr_thrift_end(&t);
}

void wr_parquet_append_offset_index(struct wr_buf *out, const struct wr_parquet_column *c,
                                    uint64_t offset)
{
    const uint32_t pages = wr_parquet_column_pages(c);
    int64_t first_row = 0;
    struct wr_thrift t;
    wr_thrift_init(&t, out);
    wr_thrift_begin_list(&t, 1, WR_THRIFT_STRUCT, pages);
    for (uint32_t i = 0; i < pages; i++) {
        const struct wr_parquet_page *page = wr_parquet_column_page(c, i);
        wr_thrift_begin_element(&t);
        wr_thrift_i64(&t, 1, (int64_t)(offset + page->offset));
        wr_thrift_i32(&t, 2, (int32_t)page->bytes);
        wr_thrift_i64(&t, 3, first_row);
        wr_thrift_end_struct(&t);
        first_row += page->rows;
    }
    wr_thrift_end(&t);
}
