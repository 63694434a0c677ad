#include "encode/parquet.h"

#include "base/assert.h"
#include "base/heap.h"
#include "batch/nested.h"
#include "encode/parquet_meta.h"
#include "encode/parquet_shred.h"

#include <stdlib.h>

/* 32 MiB of raw values are some 400,000 web events: enough for readers that work on row groups in parallel, and
 * compressed a few MiB of memory while the group is open. */
#define ROW_GROUP_BYTES (32u << 20)
#define ROW_GROUP_ROWS  (1u << 20)
/* zstd's block is 128 KiB, so that pages of twice that lose little by starting anew; 16,384 rows keep an open page of
 * numbers at that size too, and page indexes fine enough to skip by. */
#define PAGE_BYTES (256u << 10)
#define PAGE_ROWS  16384u
#define ZSTD_LEVEL 1

#ifndef WR_VERSION
#define WR_VERSION "0.0.0"
#endif
#ifndef WR_BUILD
#define WR_BUILD "unknown"
#endif

static const char magic[4] = { 'P', 'A', 'R', '1' };

struct wr_parquet_writer {
    const struct wr_schema *schema;
    struct wr_parquet_settings settings;
    uint64_t row_group_bytes;
    uint32_t row_group_rows;
    bool timestamp_local;
    bool json_as_text;
    char *created_by;
    struct wr_parquet_pair *pairs;
    uint32_t pairs_count;
    wr_parquet_write_fn write;
    void *write_ctx;
    struct wr_parquet_shared *shared;
    bool owns_shared;
    struct wr_parquet_column *columns;
    uint32_t columns_count;

    bool failed; /* (1) of parquet.h */
    bool finished;
    uint64_t offset; /* bytes written */
    uint64_t rows;   /* in finished row groups */
    uint64_t group_rows;
    uint64_t group_raw_bytes;
    struct wr_buf groups; /* struct wr_parquet_group each */
    struct wr_buf chunks; /* struct wr_parquet_chunk each */
    struct wr_buf column_indexes;
    struct wr_buf offset_indexes;
};

/* ---- shared ---- */

struct wr_parquet_shared *wr_parquet_shared_create(const struct wr_schema *schema)
{
    struct wr_parquet_shared *shared = wr_calloc(1, sizeof *shared);
    shared->compressor = wr_compressor_create();
    shared->kernels = wr_kernels_pick();
    shared->columns_count = schema->count;
    if (wr_parquet_tree_fits(schema, NULL) == WR_OK) { /* else no writer will be made */
        wr_parquet_tree_init(&shared->tree, schema);
    }
    shared->learned = wr_calloc(shared->tree.leaf_count + 1u, sizeof *shared->learned);
    if (shared->tree.widest > 0) {
        shared->runs = wr_calloc(shared->tree.widest, sizeof *shared->runs);
    }
    return shared;
}

void wr_parquet_shared_destroy(struct wr_parquet_shared *shared)
{
    if (shared == NULL) {
        return;
    }
    wr_compressor_destroy(shared->compressor);
    wr_buf_deinit(&shared->raw);
    wr_buf_deinit(&shared->other);
    wr_buf_deinit(&shared->frame);
    wr_buf_deinit(&shared->words);
    wr_parquet_tree_deinit(&shared->tree);
    free(shared->learned);
    free(shared->runs);
    free(shared);
}

uint64_t wr_parquet_shared_bytes(const struct wr_parquet_shared *shared)
{
    return sizeof *shared + wr_compressor_bytes(shared->compressor) + shared->raw.capacity +
           shared->other.capacity + shared->frame.capacity + shared->words.capacity +
           shared->tree.widest * sizeof *shared->runs;
}

/* ---- create, destroy ---- */

static void take_options(struct wr_parquet_writer *w, const struct wr_parquet_options *o)
{
    w->settings = (struct wr_parquet_settings){
        .zstd_level = o->zstd_level != 0 ? o->zstd_level : ZSTD_LEVEL,
        .page_bytes = o->page_bytes != 0 ? o->page_bytes : PAGE_BYTES,
        .page_rows = o->page_rows != 0 ? o->page_rows : PAGE_ROWS,
        .dictionary = !o->no_dictionary,
        .plain_only = o->plain_only,
        .page_crc = o->page_crc,
    };
    w->row_group_bytes = o->row_group_bytes != 0 ? o->row_group_bytes : ROW_GROUP_BYTES;
    w->row_group_rows = o->row_group_rows != 0 ? o->row_group_rows : ROW_GROUP_ROWS;
    w->timestamp_local = o->timestamp_local;
    w->json_as_text = o->json_as_text;
    w->created_by = wr_strdup(o->created_by != NULL
                                  ? o->created_by
                                  : "weir version " WR_VERSION " (build " WR_BUILD ")");
    w->pairs = wr_calloc(o->pairs_count + 1u, sizeof *w->pairs);
    w->pairs_count = o->pairs_count;
    for (uint32_t i = 0; i < o->pairs_count; i++) {
        const char *value = o->pairs[i].value;
        w->pairs[i].key = wr_strdup(o->pairs[i].key);
        w->pairs[i].value = value == NULL ? NULL : wr_strdup(value);
    }
    w->owns_shared = o->shared == NULL;
    w->shared = w->owns_shared ? wr_parquet_shared_create(w->schema) : o->shared;
    wr_assert(w->shared->columns_count == w->schema->count);
}

/* Whether Parquet can hold it and, nested, all that lies in it. *leaves: grows by its leaves. */
static wr_status check_type(const char *column, struct wr_type type, uint32_t *leaves,
                            struct wr_error *err)
{
    struct wr_parquet_layout layout;
    char name[32];
    if (!wr_type_is_nested(type)) {
        ++*leaves;
        wr_ensure(wr_parquet_layout_of(type, &layout), err, WR_CLASS_USER,
                  "column \"%s\": Parquet cannot hold the type %s", column,
                  wr_type_name(type, name, sizeof name));
        return WR_OK;
    }
    const struct wr_nested *nested = wr_nested_of(type);
    for (uint32_t i = 0; i < nested->field_count; i++) {
        WR_TRY(check_type(column, nested->fields[i].type, leaves, err));
    }
    return WR_OK;
}

static wr_status check_columns(const struct wr_schema *schema, const uint8_t *skip,
                               uint32_t *written, struct wr_error *err)
{
    *written = 0;
    WR_TRY(wr_parquet_tree_fits(schema, err));
    for (uint32_t i = 0; i < schema->count; i++) {
        if (skip != NULL && skip[i]) {
            continue;
        }
        WR_TRY(check_type(schema->fields[i].name, schema->fields[i].type, written, err));
    }
    wr_ensure(*written > 0, err, WR_CLASS_USER,
              "no column is left for the Parquet file: every column is a partition column");
    return WR_OK;
}

wr_status wr_parquet_create(const struct wr_schema *schema, const uint8_t *skip,
                            const struct wr_parquet_options *options, wr_parquet_write_fn write,
                            void *ctx, struct wr_parquet_writer **writer, struct wr_error *err)
{
    static const struct wr_parquet_options defaults = { 0 };
    const struct wr_parquet_options *o = options != NULL ? options : &defaults;
    uint32_t written;
    WR_TRY(check_columns(schema, skip, &written, err));
    wr_ensure(o->zstd_level >= 0 && o->zstd_level <= 22, err, WR_CLASS_USER,
              "zstd level %d is not one of 1 to 22", o->zstd_level);
    struct wr_parquet_writer *w = wr_calloc(1, sizeof *w);
    w->schema = schema;
    w->write = write;
    w->write_ctx = ctx;
    take_options(w, o);
    w->columns = wr_calloc(written, sizeof *w->columns);
    for (uint32_t leaf = 0; leaf < w->shared->tree.leaf_count; leaf++) {
        const uint32_t column = w->shared->tree.elements[w->shared->tree.leaves[leaf]].column;
        if (skip == NULL || !skip[column]) {
            wr_parquet_column_init(&w->columns[w->columns_count++], schema->fields[column].name,
                                   leaf, &w->settings, w->shared);
        }
    }
    *writer = w;
    return WR_OK;
}

void wr_parquet_destroy(struct wr_parquet_writer *w)
{
    if (w == NULL) {
        return;
    }
    for (uint32_t i = 0; i < w->columns_count; i++) {
        wr_parquet_column_deinit(&w->columns[i]);
    }
    free(w->columns);
    for (uint32_t i = 0; i < w->pairs_count; i++) {
        free((char *)w->pairs[i].key);
        free((char *)w->pairs[i].value);
    }
    free(w->pairs);
    free(w->created_by);
    if (w->owns_shared) {
        wr_parquet_shared_destroy(w->shared);
    }
    wr_buf_deinit(&w->groups);
    wr_buf_deinit(&w->chunks);
    wr_buf_deinit(&w->column_indexes);
    wr_buf_deinit(&w->offset_indexes);
    free(w);
}

/* ---- row groups ---- */

static wr_status put(struct wr_parquet_writer *w, const void *bytes, size_t n, struct wr_error *err)
{
    if (n > 0) {
        WR_TRY(w->write(w->write_ctx, bytes, n, err));
        w->offset += n;
    }
    return WR_OK;
}

/* The magic goes out with the first bytes, so that creating a writer writes nothing. */
static wr_status put_magic(struct wr_parquet_writer *w, struct wr_error *err)
{
    return w->offset == 0 ? put(w, magic, sizeof magic, err) : WR_OK;
}

/* Writes one finished column and remembers it. */
static wr_status put_chunk(struct wr_parquet_writer *w, struct wr_parquet_column *c,
                           struct wr_parquet_chunk *chunk, struct wr_error *err)
{
    *chunk = (struct wr_parquet_chunk){
        .offset = w->offset,
        .dict_bytes = c->dict_page.bytes,
        .bytes = c->dict_page.bytes + c->pages.bytes,
        .uncompressed_bytes = c->uncompressed_bytes,
        .levels = c->chunk_levels,
        .nulls = c->nulls,
        .bounds = c->bounds,
        .column_index_at = w->column_indexes.bytes,
        .offset_index_at = w->offset_indexes.bytes,
    };
    memcpy(chunk->encoding_pages, c->encoding_pages, sizeof chunk->encoding_pages);
    WR_TRY(put(w, c->dict_page.data, c->dict_page.bytes, err));
    wr_parquet_append_column_index(&w->column_indexes, c);
    wr_parquet_append_offset_index(&w->offset_indexes, c, w->offset);
    chunk->column_index_bytes = (uint32_t)(w->column_indexes.bytes - chunk->column_index_at);
    chunk->offset_index_bytes = (uint32_t)(w->offset_indexes.bytes - chunk->offset_index_at);
    return put(w, c->pages.data, c->pages.bytes, err);
}

static wr_status end_group(struct wr_parquet_writer *w, struct wr_error *err)
{
    WR_TRY(put_magic(w, err));
    struct wr_parquet_group group = { .rows = w->group_rows, .offset = w->offset };
    for (uint32_t i = 0; i < w->columns_count; i++) {
        struct wr_parquet_chunk chunk;
        WR_TRY(wr_parquet_column_end(&w->columns[i], err));
        wr_assert(w->columns[i].chunk_rows == w->group_rows);
        WR_TRY(put_chunk(w, &w->columns[i], &chunk, err));
        group.bytes += chunk.bytes;
        group.uncompressed_bytes += chunk.uncompressed_bytes;
        wr_buf_append(&w->chunks, &chunk, sizeof chunk);
    }
    wr_buf_append(&w->groups, &group, sizeof group);
    w->shared->group_rows = (uint32_t)group.rows;
    w->rows += group.rows;
    w->group_rows = 0;
    w->group_raw_bytes = 0;
    return WR_OK;
}

/* Rows that the open group will have: as the last one had, else as its limits say for rows like those so far. */
static uint64_t expected_rows(const struct wr_parquet_writer *w)
{
    uint64_t rows = w->shared->group_rows;
    if (rows == 0 && w->group_raw_bytes > 0) {
        rows = w->row_group_bytes * w->group_rows / w->group_raw_bytes;
    }
    rows = rows < w->row_group_rows ? rows : w->row_group_rows;
    return rows > w->group_rows ? rows : w->group_rows;
}

/* Gives one column of the batch to its leaves, *leaves of them from leaf on. */
static wr_status append_column(struct wr_parquet_writer *w, uint32_t leaf,
                               const struct wr_batch *batch, const uint32_t *rows, uint32_t count,
                               uint32_t *leaves, struct wr_error *err)
{
    struct wr_parquet_column *c = &w->columns[leaf];
    *leaves = 1;
    if (!c->leveled) {
        wr_dassert(wr_type_equal(batch->columns[c->index].type, c->type));
        return wr_parquet_column_append(c, &batch->columns[c->index], rows, 0, count, err);
    }
    const struct wr_parquet_tree *tree = &w->shared->tree;
    const struct wr_parquet_element *root = &tree->elements[tree->roots[c->index]];
    wr_dassert(wr_type_equal(batch->columns[c->index].type, root->type));
    *leaves = root->leaf_end - root->leaf;
    return wr_parquet_shred(c, &batch->columns[c->index], rows, count, err);
}

static void begin_group(struct wr_parquet_writer *w)
{
    for (uint32_t i = 0; i < w->columns_count; i++) {
        wr_parquet_column_begin(&w->columns[i]);
    }
}

/* Counts what the open group holds. *levels: of the leaf with the most. */
static void measure_group(struct wr_parquet_writer *w, uint64_t *levels)
{
    *levels = 0;
    w->group_raw_bytes = 0;
    for (uint32_t i = 0; i < w->columns_count; i++) {
        const struct wr_parquet_column *c = &w->columns[i];
        const uint64_t own = c->chunk_levels + c->page_levels;
        w->group_raw_bytes += c->chunk_raw_bytes;
        *levels = own > *levels ? own : *levels;
    }
}

static wr_status append(struct wr_parquet_writer *w, const struct wr_batch *batch,
                        const uint32_t *rows, uint32_t count, struct wr_error *err)
{
    wr_assert(batch->columns_count == w->schema->count);
    const uint64_t expected = expected_rows(w);
    uint64_t levels;
    uint32_t leaves;
    if (w->group_rows == 0) {
        begin_group(w);
    }
    for (uint32_t i = 0; i < w->columns_count; i++) {
        w->columns[i].rows_expected = expected;
    }
    for (uint32_t i = 0; i < w->columns_count; i += leaves) {
        if (rows == NULL && i + 1 < w->columns_count) {
            wr_parquet_column_prefetch(&batch->columns[w->columns[i + 1].index], 0, count);
        }
        WR_TRY(append_column(w, i, batch, rows, count, &leaves, err));
    }
    w->group_rows += count;
    measure_group(w, &levels);
    if (levels >= w->row_group_rows || w->group_raw_bytes >= w->row_group_bytes) {
        return end_group(w, err);
    }
    return WR_OK;
}

/* ---- the interface ---- */

static wr_status usable(const struct wr_parquet_writer *w)
{
    wr_assert(!w->failed && !w->finished); /* (1) */
    return WR_OK;
}

static wr_status note(struct wr_parquet_writer *w, wr_status status)
{
    w->failed = w->failed || status != WR_OK;
    return status;
}

wr_status wr_parquet_append_rows(struct wr_parquet_writer *w, const struct wr_batch *batch,
                                 const uint32_t *rows, uint32_t count, struct wr_error *err)
{
    WR_TRY(usable(w));
    return count == 0 ? WR_OK : note(w, append(w, batch, rows, count, err));
}

wr_status wr_parquet_append(struct wr_parquet_writer *w, const struct wr_batch *batch,
                            struct wr_error *err)
{
    return wr_parquet_append_rows(w, batch, batch->sel, wr_batch_live(batch), err);
}

wr_status wr_parquet_flush_row_group(struct wr_parquet_writer *w, struct wr_error *err)
{
    WR_TRY(usable(w));
    if (w->group_rows > 0) {
        WR_TRY(note(w, end_group(w, err)));
    }
    for (uint32_t i = 0; i < w->columns_count; i++) {
        wr_parquet_column_release(&w->columns[i]);
    }
    return WR_OK;
}

static wr_status put_tail(struct wr_parquet_writer *w, struct wr_error *err)
{
    struct wr_parquet_file file = {
        .tree = &w->shared->tree,
        .columns = w->columns,
        .columns_count = w->columns_count,
        .groups = (const void *)w->groups.data,
        .groups_count = (uint32_t)(w->groups.bytes / sizeof(struct wr_parquet_group)),
        .chunks = (const void *)w->chunks.data,
        .rows = w->rows,
        .timestamp_local = w->timestamp_local,
        .json_as_text = w->json_as_text,
        .created_by = w->created_by,
        .pairs = w->pairs,
        .pairs_count = w->pairs_count,
    };
    WR_TRY(put_magic(w, err));
    file.column_indexes_offset = w->offset;
    WR_TRY(put(w, w->column_indexes.data, w->column_indexes.bytes, err));
    file.offset_indexes_offset = w->offset;
    WR_TRY(put(w, w->offset_indexes.data, w->offset_indexes.bytes, err));
    struct wr_buf *footer = &w->shared->raw;
    footer->bytes = 0;
    wr_parquet_append_footer(footer, &file);
    wr_ensure(footer->bytes <= INT32_MAX, err, WR_CLASS_FATAL,
              "the Parquet footer is larger than 2 GiB: write larger row groups");
    const uint32_t footer_bytes = (uint32_t)footer->bytes;
    wr_buf_append(footer, &footer_bytes, 4);
    wr_buf_append(footer, magic, sizeof magic);
    return put(w, footer->data, footer->bytes, err);
}

wr_status wr_parquet_finish(struct wr_parquet_writer *w, struct wr_error *err)
{
    WR_TRY(wr_parquet_flush_row_group(w, err));
    WR_TRY(note(w, put_tail(w, err)));
    w->finished = true;
    return WR_OK;
}

void wr_parquet_summarize(const struct wr_parquet_writer *w, struct wr_parquet_summary *summary)
{
    wr_assert(w->finished);
    const struct wr_parquet_chunk *chunk = (const void *)w->chunks.data;
    const uint64_t groups = w->groups.bytes / sizeof(struct wr_parquet_group);
    *summary = (struct wr_parquet_summary){ .rows = w->rows,
                                            .bytes = w->offset,
                                            .columns = wr_calloc(w->columns_count,
                                                                 sizeof *summary->columns),
                                            .columns_count = w->columns_count };
    for (uint32_t i = 0; i < w->columns_count; i++) {
        const struct wr_parquet_tree *tree = &w->shared->tree;
        const uint32_t index = w->columns[i].index;
        summary->columns[i].index = index;
        summary->columns[i].leaf =
            w->columns[i].element->leaf - tree->elements[tree->roots[index]].leaf;
        summary->columns[i].kind = w->columns[i].layout.bounds;
        summary->columns[i].width = w->columns[i].layout.width;
    }
    for (uint64_t g = 0; g < groups; g++) {
        for (uint32_t i = 0; i < w->columns_count; i++, chunk++) {
            summary->columns[i].nulls += chunk->nulls;
            wr_bounds_merge(&summary->columns[i].bounds, &chunk->bounds,
                            summary->columns[i].kind);
        }
    }
}

void wr_parquet_summary_deinit(struct wr_parquet_summary *summary)
{
    free(summary->columns);
    *summary = (struct wr_parquet_summary){ 0 };
}

uint64_t wr_parquet_rows(const struct wr_parquet_writer *w)
{
    return w->rows + w->group_rows;
}

uint64_t wr_parquet_bytes(const struct wr_parquet_writer *w)
{
    return w->offset;
}

uint64_t wr_parquet_buffered_bytes(const struct wr_parquet_writer *w)
{
    uint64_t bytes = sizeof *w + w->groups.capacity + w->chunks.capacity +
                     w->column_indexes.capacity + w->offset_indexes.capacity;
    for (uint32_t i = 0; i < w->columns_count; i++) {
        bytes += sizeof w->columns[i] + wr_parquet_column_buffered(&w->columns[i]);
    }
    return bytes;
}

uint64_t wr_parquet_estimated_bytes(const struct wr_parquet_writer *w)
{
    uint64_t bytes = w->offset + w->column_indexes.bytes + w->offset_indexes.bytes;
    bytes += w->chunks.bytes / sizeof(struct wr_parquet_chunk) * 128 + 256;
    for (uint32_t i = 0; w->group_rows > 0 && i < w->columns_count; i++) {
        const struct wr_parquet_column *c = &w->columns[i];
        bytes += c->pages.bytes + c->dict.page.bytes + c->page_raw_bytes / 4;
    }
    return bytes;
}
