#include "encode/parquet_nested.h"

#include "base/assert.h"
#include "base/heap.h"
#include "encode/parquet_column.h"
#include "encode/parquet_encoding.h"
#include "encode/thrift.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_RAW_BYTES  (1u << 20)
#define PAGE_LEVELS     65536u
#define GROUP_RAW_BYTES (64u << 20) /* a checkpoint's reader holds a row group in memory */
#define CODEC_ZSTD      6
#define DEPTH_MAX       16u

struct leaf {
    const struct wr_nested_node *node;
    const char *path[DEPTH_MAX];
    uint32_t depth;
    uint8_t definition_max;
    uint8_t repeat_max;
    /* the open page */
    struct wr_buf definition; /* uint32_t each */
    struct wr_buf repeat;     /* uint32_t each */
    struct wr_buf values;     /* PLAIN; booleans a byte each until the page ends */
    uint32_t levels;
    /* the row group */
    struct wr_buf pages;
    uint64_t group_levels;
    uint64_t raw_bytes;
};

struct chunk {
    uint64_t offset;
    uint64_t bytes;
    uint64_t raw_bytes;
    uint64_t levels;
};

struct wr_nested_writer {
    const struct wr_nested_node *nodes;
    uint32_t node_count;
    uint32_t root_children;
    wr_parquet_write_fn write;
    void *ctx;
    struct leaf *leaves;
    uint32_t leaf_count;
    struct wr_compressor *compressor;
    const struct wr_kernels *kernels;
    struct wr_buf page;   /* raw */
    struct wr_buf frame;
    struct wr_buf chunks; /* struct chunk each, leaf_count per group */
    struct wr_buf groups; /* rows, uint64_t each */
    uint64_t offset;
    uint64_t rows;
    uint64_t group_rows;
    uint64_t group_raw;
};

/* ---- schema ---- */

struct place {
    const char *path[DEPTH_MAX];
    uint32_t depth;
    uint8_t definition;
    uint8_t repeat;
};

static uint32_t add_leaves(struct wr_nested_writer *w, uint32_t at, struct place place)
{
    const struct wr_nested_node *node = &w->nodes[at];
    wr_assert(place.depth < DEPTH_MAX && at < w->node_count);
    place.path[place.depth++] = node->name;
    place.definition = (uint8_t)(place.definition + (node->repetition != 0));
    place.repeat = (uint8_t)(place.repeat + (node->repetition == 2));
    if (node->children == 0) {
        struct leaf *leaf = &w->leaves[w->leaf_count++];
        leaf->node = node;
        memcpy(leaf->path, place.path, sizeof place.path);
        leaf->depth = place.depth;
        leaf->definition_max = place.definition;
        leaf->repeat_max = place.repeat;
        return at + 1;
    }
    uint32_t next = at + 1;
    for (uint32_t i = 0; i < node->children; i++) {
        next = add_leaves(w, next, place);
    }
    return next;
}

struct wr_nested_writer *wr_nested_create(const struct wr_nested_node *nodes, uint32_t count,
                                          uint32_t root_children, wr_parquet_write_fn write,
                                          void *ctx)
{
    struct wr_nested_writer *w = wr_calloc(1, sizeof *w);
    w->nodes = nodes;
    w->node_count = count;
    w->root_children = root_children;
    w->write = write;
    w->ctx = ctx;
    w->leaves = wr_calloc(count, sizeof *w->leaves);
    w->compressor = wr_compressor_create();
    w->kernels = wr_kernels_pick();
    for (uint32_t at = 0; at < count;) {
        at = add_leaves(w, at, (struct place){ .depth = 0 });
    }
    return w;
}

void wr_nested_destroy(struct wr_nested_writer *w)
{
    if (w == NULL) {
        return;
    }
    for (uint32_t i = 0; i < w->leaf_count; i++) {
        wr_buf_deinit(&w->leaves[i].definition);
        wr_buf_deinit(&w->leaves[i].repeat);
        wr_buf_deinit(&w->leaves[i].values);
        wr_buf_deinit(&w->leaves[i].pages);
    }
    free(w->leaves);
    wr_compressor_destroy(w->compressor);
    wr_buf_deinit(&w->page);
    wr_buf_deinit(&w->frame);
    wr_buf_deinit(&w->chunks);
    wr_buf_deinit(&w->groups);
    free(w);
}

/* ---- values ---- */

static void put_levels(struct leaf *leaf, uint32_t definition, uint32_t repeat)
{
    wr_buf_append(&leaf->definition, &definition, sizeof definition);
    wr_buf_append(&leaf->repeat, &repeat, sizeof repeat);
    leaf->levels++;
}

void wr_nested_null(struct wr_nested_writer *w, uint32_t leaf, uint32_t definition, uint32_t repeat)
{
    wr_assert(leaf < w->leaf_count && definition < w->leaves[leaf].definition_max);
    put_levels(&w->leaves[leaf], definition, repeat);
}

void wr_nested_number(struct wr_nested_writer *w, uint32_t leaf, uint32_t repeat, int64_t value)
{
    struct leaf *l = &w->leaves[leaf];
    put_levels(l, l->definition_max, repeat);
    const size_t bytes = l->node->kind == WR_NESTED_INT64   ? 8
                         : l->node->kind == WR_NESTED_INT32 ? 4
                                                            : 1;
    wr_buf_append(&l->values, &value, bytes); /* little-endian: the low bytes come first */
    w->group_raw += bytes;
}

void wr_nested_text(struct wr_nested_writer *w, uint32_t leaf, uint32_t repeat,
                    struct wr_slice text)
{
    struct leaf *l = &w->leaves[leaf];
    const uint32_t bytes = (uint32_t)text.bytes;
    wr_assert(l->node->kind == WR_NESTED_TEXT && text.bytes < UINT32_MAX);
    put_levels(l, l->definition_max, repeat);
    wr_buf_append(&l->values, &bytes, sizeof bytes);
    wr_buf_append(&l->values, text.data, text.bytes);
    w->group_raw += text.bytes + 4;
}

/* ---- pages ---- */

static uint32_t bits_of(uint32_t level)
{
    return 32 - (uint32_t)__builtin_clz(level);
}

static void append_levels(struct wr_nested_writer *w, const struct wr_buf *levels, uint32_t count,
                          uint32_t max)
{
    if (max == 0) {
        return;
    }
    const size_t at = w->page.bytes;
    wr_buf_append(&w->page, "\0\0\0\0", 4);
    wr_hybrid_append(&w->page, w->kernels, (const uint32_t *)(const void *)levels->data, count,
                     bits_of(max));
    const uint32_t bytes = (uint32_t)(w->page.bytes - at - 4);
    memcpy(w->page.data + at, &bytes, sizeof bytes);
}

static void page_header(struct leaf *l, uint64_t raw, uint64_t compressed)
{
    struct wr_thrift t;
    const size_t before = l->pages.bytes;
    wr_thrift_init(&t, &l->pages);
    wr_thrift_i32(&t, 1, 0); /* a data page, v1 */
    wr_thrift_i32(&t, 2, (int32_t)raw);
    wr_thrift_i32(&t, 3, (int32_t)compressed);
    wr_thrift_begin_struct(&t, 5);
    wr_thrift_i32(&t, 1, (int32_t)l->levels);
    wr_thrift_i32(&t, 2, WR_PARQUET_PLAIN);
    wr_thrift_i32(&t, 3, WR_PARQUET_RLE);
    wr_thrift_i32(&t, 4, WR_PARQUET_RLE);
    wr_thrift_end_struct(&t);
    wr_thrift_end(&t);
    l->raw_bytes += raw + (l->pages.bytes - before);
}

static wr_status end_page(struct wr_nested_writer *w, struct leaf *l, struct wr_error *err)
{
    if (l->levels == 0) {
        return WR_OK;
    }
    w->page.bytes = w->frame.bytes = 0;
    append_levels(w, &l->repeat, l->levels, l->repeat_max);
    append_levels(w, &l->definition, l->levels, l->definition_max);
    if (l->node->kind == WR_NESTED_BOOL) {
        wr_plain_bool_append(&w->page, (const uint8_t *)l->values.data, (uint32_t)l->values.bytes);
    } else {
        wr_buf_append(&w->page, l->values.data, l->values.bytes);
    }
    wr_ensure(w->page.bytes < INT32_MAX / 2, err, WR_CLASS_FATAL, "a value larger than 1 GiB");
    WR_TRY(wr_compress_page(w->compressor, 1, NULL, &w->frame, w->page.data, w->page.bytes, err));
    page_header(l, w->page.bytes, w->frame.bytes);
    wr_buf_append(&l->pages, w->frame.data, w->frame.bytes);
    l->group_levels += l->levels;
    l->levels = 0;
    l->definition.bytes = l->repeat.bytes = l->values.bytes = 0;
    return WR_OK;
}

static wr_status put(struct wr_nested_writer *w, const void *data, size_t bytes,
                     struct wr_error *err)
{
    if (bytes > 0) {
        WR_TRY(w->write(w->ctx, data, bytes, err));
        w->offset += bytes;
    }
    return WR_OK;
}

static wr_status end_group(struct wr_nested_writer *w, struct wr_error *err)
{
    if (w->offset == 0) {
        WR_TRY(put(w, "PAR1", 4, err));
    }
    if (w->group_rows == 0) {
        return WR_OK;
    }
    for (uint32_t i = 0; i < w->leaf_count; i++) {
        struct leaf *l = &w->leaves[i];
        WR_TRY(end_page(w, l, err));
        const struct chunk chunk = { w->offset, l->pages.bytes, l->raw_bytes, l->group_levels };
        wr_buf_append(&w->chunks, &chunk, sizeof chunk);
        WR_TRY(put(w, l->pages.data, l->pages.bytes, err));
        l->pages.bytes = 0;
        l->raw_bytes = l->group_levels = 0;
    }
    wr_buf_append(&w->groups, &w->group_rows, sizeof w->group_rows);
    w->rows += w->group_rows;
    w->group_rows = w->group_raw = 0;
    return WR_OK;
}

wr_status wr_nested_row_end(struct wr_nested_writer *w, struct wr_error *err)
{
    w->group_rows++;
    for (uint32_t i = 0; i < w->leaf_count; i++) {
        struct leaf *l = &w->leaves[i];
        if (l->levels >= PAGE_LEVELS || l->values.bytes >= PAGE_RAW_BYTES) {
            WR_TRY(end_page(w, l, err));
        }
    }
    return w->group_raw >= GROUP_RAW_BYTES ? end_group(w, err) : WR_OK;
}

/* ---- footer ---- */

static void logical(struct wr_thrift *t, const struct wr_nested_node *node)
{
    static const int8_t converted[] = { [WR_NESTED_MAP] = 1, [WR_NESTED_LIST] = 3,
                                        [WR_NESTED_TEXT] = 0 };
    static const int8_t ids[] = { [WR_NESTED_MAP] = 2, [WR_NESTED_LIST] = 3,
                                  [WR_NESTED_TEXT] = 1 };
    if (node->kind != WR_NESTED_MAP && node->kind != WR_NESTED_LIST &&
        node->kind != WR_NESTED_TEXT) {
        return;
    }
    wr_thrift_i32(t, 6, converted[node->kind]);
    wr_thrift_begin_struct(t, 10);
    wr_thrift_begin_struct(t, ids[node->kind]);
    wr_thrift_end_struct(t);
    wr_thrift_end_struct(t);
}

static int32_t physical_of(const struct wr_nested_node *node)
{
    return node->kind == WR_NESTED_TEXT    ? WR_PARQUET_BYTE_ARRAY
           : node->kind == WR_NESTED_INT32 ? WR_PARQUET_INT32
           : node->kind == WR_NESTED_INT64 ? WR_PARQUET_INT64
                                           : WR_PARQUET_BOOLEAN;
}

static void schema(struct wr_thrift *t, const struct wr_nested_writer *w)
{
    wr_thrift_begin_list(t, 2, WR_THRIFT_STRUCT, w->node_count + 1);
    wr_thrift_begin_element(t);
    wr_thrift_text(t, 4, "schema");
    wr_thrift_i32(t, 5, (int32_t)w->root_children);
    wr_thrift_end_struct(t);
    for (uint32_t i = 0; i < w->node_count; i++) {
        const struct wr_nested_node *node = &w->nodes[i];
        wr_thrift_begin_element(t);
        if (node->children == 0) {
            wr_thrift_i32(t, 1, physical_of(node));
        }
        wr_thrift_i32(t, 3, node->repetition);
        wr_thrift_text(t, 4, node->name);
        if (node->children > 0) {
            wr_thrift_i32(t, 5, node->children);
        }
        logical(t, node);
        wr_thrift_end_struct(t);
    }
}

static void column(struct wr_thrift *t, const struct leaf *l, const struct chunk *chunk)
{
    wr_thrift_begin_element(t);
    wr_thrift_i64(t, 2, 0);
    wr_thrift_begin_struct(t, 3);
    wr_thrift_i32(t, 1, physical_of(l->node));
    wr_thrift_begin_list(t, 2, WR_THRIFT_I32, 2);
    wr_thrift_element_i32(t, WR_PARQUET_PLAIN);
    wr_thrift_element_i32(t, WR_PARQUET_RLE);
    wr_thrift_begin_list(t, 3, WR_THRIFT_BINARY, l->depth);
    for (uint32_t i = 0; i < l->depth; i++) {
        wr_thrift_element_binary(t, l->path[i], strlen(l->path[i]));
    }
    wr_thrift_i32(t, 4, CODEC_ZSTD);
    wr_thrift_i64(t, 5, (int64_t)chunk->levels);
    wr_thrift_i64(t, 6, (int64_t)chunk->raw_bytes);
    wr_thrift_i64(t, 7, (int64_t)chunk->bytes);
    wr_thrift_i64(t, 9, (int64_t)chunk->offset);
    wr_thrift_end_struct(t);
    wr_thrift_end_struct(t);
}

static void row_group(struct wr_thrift *t, const struct wr_nested_writer *w, size_t index)
{
    const struct chunk *chunks = (const struct chunk *)(const void *)w->chunks.data +
                                 index * w->leaf_count;
    const uint64_t *rows = (const uint64_t *)(const void *)w->groups.data + index;
    uint64_t raw = 0;
    uint64_t bytes = 0;
    wr_thrift_begin_element(t);
    wr_thrift_begin_list(t, 1, WR_THRIFT_STRUCT, w->leaf_count);
    for (uint32_t i = 0; i < w->leaf_count; i++) {
        column(t, &w->leaves[i], &chunks[i]);
        raw += chunks[i].raw_bytes;
        bytes += chunks[i].bytes;
    }
    wr_thrift_i64(t, 2, (int64_t)raw);
    wr_thrift_i64(t, 3, (int64_t)*rows);
    wr_thrift_i64(t, 5, (int64_t)chunks[0].offset);
    wr_thrift_i64(t, 6, (int64_t)bytes);
    wr_thrift_end_struct(t);
}

wr_status wr_nested_finish(struct wr_nested_writer *w, struct wr_error *err)
{
    struct wr_thrift t;
    WR_TRY(end_group(w, err));
    const size_t groups = w->groups.bytes / sizeof(uint64_t);
    w->page.bytes = 0;
    wr_thrift_init(&t, &w->page);
    wr_thrift_i32(&t, 1, 1);
    schema(&t, w);
    wr_thrift_i64(&t, 3, (int64_t)w->rows);
    wr_thrift_begin_list(&t, 4, WR_THRIFT_STRUCT, groups);
    for (size_t i = 0; i < groups; i++) {
        row_group(&t, w, i);
    }
    wr_thrift_text(&t, 6, "weir");
    wr_thrift_end(&t);
    const uint32_t footer_bytes = (uint32_t)w->page.bytes;
    wr_buf_append(&w->page, &footer_bytes, 4);
    wr_buf_append(&w->page, "PAR1", 4);
    return put(w, w->page.data, w->page.bytes, err);
}

uint64_t wr_nested_bytes(const struct wr_nested_writer *w)
{
    return w->offset;
}

uint64_t wr_nested_rows(const struct wr_nested_writer *w)
{
    return w->rows + w->group_rows;
}
