#include "encode/parquet_merge.h"

#include "base/heap.h"
#include "encode/parquet_column.h"
#include "encode/thrift.h"
#include "encode/thrift_tree.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_BYTES     (8u << 20) /* read and written at once; small files come in one request */
#define FOOTER_BYTES_MAX (256u << 20)
#define GROUPS_MAX       32767u /* the ordinal of a row group is an i16 */

/* Deeper than any leaf of ours: what lies deeper in a file is of no interest here. */
#define NESTING_MAX WR_PARQUET_DEPTH_MAX

/* A leaf of the schema and what is known of it. */
struct known {
    struct wr_parquet_column_summary summary;
    struct wr_parquet_layout layout;
    struct wr_type type;
    uint32_t element; /* in the tree */
    bool in_file;
    bool no_bounds; /* some row group has values, but no bounds that could be understood */
    bool no_nulls;
};

struct wr_parquet_merge {
    wr_parquet_write_fn write;
    void *write_ctx;
    struct wr_parquet_tree tree; /* of the schema; empty: it has too many leaves to be looked at */
    struct known *known;         /* one per leaf */
    struct wr_arena arena; /* of the footer in hand */
    struct wr_buf head;    /* the first file's footer, without row groups */
    struct wr_buf schema_text; /* its schema, serialised */
    struct wr_buf groups;      /* row groups one after the other; index offsets relative to the buffers below */
    uint32_t group_count;
    struct wr_buf column_indexes;
    struct wr_buf offset_indexes;
    uint64_t offset;
    uint64_t rows;
    bool unknown; /* some group's columns could not be told apart: nothing is known of any */
    /* of the file being added */
    wr_parquet_fetch_fn fetch;
    void *fetch_ctx;
    uint64_t file_bytes;
    struct wr_buf window;
    uint64_t window_at;
};

struct wr_parquet_merge *wr_parquet_merge_create(const struct wr_schema *schema,
                                                 const uint8_t *skip, wr_parquet_write_fn write,
                                                 void *ctx)
{
    struct wr_parquet_merge *m = wr_calloc(1, sizeof *m);
    m->write = write;
    m->write_ctx = ctx;
    if (wr_parquet_tree_fits(schema, NULL) == WR_OK) {
        wr_parquet_tree_init(&m->tree, schema);
    }
    m->known = wr_calloc(m->tree.leaf_count + 1u, sizeof *m->known);
    for (uint32_t i = 0; i < m->tree.leaf_count; i++) {
        struct known *k = &m->known[i];
        k->element = m->tree.leaves[i];
        const struct wr_parquet_element *element = &m->tree.elements[k->element];
        k->type = element->type;
        k->summary.index = element->column;
        k->summary.leaf = i - m->tree.elements[m->tree.roots[element->column]].leaf;
        if ((skip == NULL || skip[element->column] == 0) &&
            wr_parquet_layout_of(k->type, &k->layout)) {
            k->summary.kind = (enum wr_bounds_kind)k->layout.bounds;
            k->summary.width = k->layout.width;
        }
    }
    wr_arena_init(&m->arena, 64 << 10);
    return m;
}

void wr_parquet_merge_destroy(struct wr_parquet_merge *m)
{
    if (m != NULL) {
        wr_arena_deinit(&m->arena);
        wr_buf_deinit(&m->head);
        wr_buf_deinit(&m->schema_text);
        wr_buf_deinit(&m->groups);
        wr_buf_deinit(&m->column_indexes);
        wr_buf_deinit(&m->offset_indexes);
        wr_buf_deinit(&m->window);
        wr_parquet_tree_deinit(&m->tree);
        free(m->known);
        free(m);
    }
}

/* ---- reading the input ---- */

static wr_status corrupt(struct wr_error *err, const char *what)
{
    return wr_fail(err, WR_CLASS_FATAL, "not a sound Parquet file: %s", what);
}

/* Some bytes of the input, at most WINDOW_BYTES or what must be whole (must). *got points into the window. */
static wr_status bytes_at(struct wr_parquet_merge *m, uint64_t offset, uint64_t must,
                          const char **got, struct wr_error *err)
{
    if (offset > m->file_bytes || must > m->file_bytes - offset) {
        return corrupt(err, "an offset beyond its end");
    }
    const bool inside = offset >= m->window_at &&
                        offset - m->window_at <= m->window.bytes &&
                        must <= m->window.bytes - (offset - m->window_at);
    if (!inside) {
        const uint64_t rest = m->file_bytes - offset;
        const uint64_t wanted = must > WINDOW_BYTES ? must : WINDOW_BYTES;
        m->window.bytes = 0;
        m->window_at = offset;
        WR_TRY(m->fetch(m->fetch_ctx, offset, rest < wanted ? rest : wanted, &m->window, err));
        if (m->window.bytes < must) {
            return corrupt(err, "it is shorter than the log says");
        }
    }
    *got = m->window.data + (offset - m->window_at);
    return WR_OK;
}

/* Reads the footer into m->arena. */
static wr_status read_footer(struct wr_parquet_merge *m, struct wr_thrift_node *footer,
                             struct wr_error *err)
{
    const char *at;
    uint32_t bytes;
    if (m->file_bytes < 12) {
        return corrupt(err, "it is too short");
    }
    /* The window is made to begin so that it holds the whole of a small file. */
    const uint64_t first = m->file_bytes > WINDOW_BYTES ? m->file_bytes - WINDOW_BYTES : 0;
    WR_TRY(bytes_at(m, first, m->file_bytes - first, &at, err));
    WR_TRY(bytes_at(m, m->file_bytes - 8, 8, &at, err));
    if (memcmp(at + 4, "PAR1", 4) != 0) {
        return corrupt(err, "no PAR1 at its end");
    }
    memcpy(&bytes, at, sizeof bytes);
    if (bytes > m->file_bytes - 12 || bytes > FOOTER_BYTES_MAX) {
        return corrupt(err, "the size of its footer");
    }
    WR_TRY(bytes_at(m, m->file_bytes - 8 - bytes, bytes, &at, err));
    const char *copy = wr_arena_strndup(&m->arena, at, bytes); /* the window moves on */
    if (wr_thrift_tree_read(copy, copy + bytes, &m->arena, footer) == NULL) {
        return corrupt(err, "its footer");
    }
    return WR_OK;
}

static wr_status put(struct wr_parquet_merge *m, const void *data, size_t bytes,
                     struct wr_error *err)
{
    if (bytes > 0) {
        WR_TRY(m->write(m->write_ctx, data, bytes, err));
        m->offset += bytes;
    }
    return WR_OK;
}

/* ---- may it be merged? ---- */

static struct wr_thrift_node *field_of(const struct wr_thrift_node *node, int16_t id,
                                       enum wr_thrift_type type)
{
    struct wr_thrift_node *field = wr_thrift_field(node, id);
    return field != NULL && field->type == type ? field : NULL;
}

/* Where a chunk begins and how long it is; false: it makes no sense. */
static bool chunk_span(const struct wr_parquet_merge *m, const struct wr_thrift_node *chunk,
                       uint64_t *start, uint64_t *bytes)
{
    const struct wr_thrift_node *meta = field_of(chunk, 3, WR_THRIFT_STRUCT);
    const int64_t data = wr_thrift_number(meta, 9, -1);
    const int64_t dictionary = wr_thrift_number(meta, 11, 0);
    const int64_t length = wr_thrift_number(meta, 7, -1);
    const int64_t from = dictionary > 0 && dictionary < data ? dictionary : data;
    if (meta == NULL || from < 4 || length < 0 || (uint64_t)from > m->file_bytes ||
        (uint64_t)length > m->file_bytes - (uint64_t)from ||
        wr_thrift_bytes(chunk, 1).bytes > 0 || wr_thrift_field(chunk, 8) != NULL) {
        return false; /* also: parts in other files, encrypted columns */
    }
    *start = (uint64_t)from;
    *bytes = (uint64_t)length;
    return true;
}

static bool groups_usable(const struct wr_parquet_merge *m, const struct wr_thrift_node *footer)
{
    uint32_t groups;
    uint32_t columns;
    uint32_t first = 0;
    const struct wr_thrift_node *group = wr_thrift_list(footer, 4, &groups);
    if (groups > GROUPS_MAX - m->group_count) {
        return false;
    }
    for (uint32_t g = 0; g < groups; g++) {
        const struct wr_thrift_node *chunk = wr_thrift_list(&group[g], 1, &columns);
        first = g == 0 ? columns : first;
        if (columns != first || wr_thrift_number(&group[g], 3, -1) < 0) {
            return false;
        }
        for (uint32_t c = 0; c < columns; c++) {
            uint64_t start;
            uint64_t bytes;
            if (!chunk_span(m, &chunk[c], &start, &bytes)) {
                return false;
            }
        }
    }
    return true;
}

/* Remembers the schema of the first file; compares that of the others. */
static bool same_schema(struct wr_parquet_merge *m, const struct wr_thrift_node *footer)
{
    const struct wr_thrift_node *schema = field_of(footer, 2, WR_THRIFT_LIST);
    struct wr_thrift_node field;
    struct wr_buf text = { 0 };
    if (schema == NULL || wr_thrift_field(footer, 8) != NULL) { /* 8: encrypted */
        return false;
    }
    field = *schema;
    const struct wr_thrift_node all = { .type = WR_THRIFT_STRUCT, .count = 1, .children = &field };
    wr_thrift_tree_append(&all, &text);
    const bool first = m->schema_text.bytes == 0;
    const bool same = first || (text.bytes == m->schema_text.bytes &&
                                memcmp(text.data, m->schema_text.data, text.bytes) == 0);
    if (first) {
        wr_buf_append(&m->schema_text, text.data, text.bytes);
    }
    wr_buf_deinit(&text);
    return same;
}

/* ---- statistics ---- */

/* Weir and Delta count microseconds: other units are not understood. */
static bool unit_fits(const struct wr_thrift_node *element, struct wr_type type)
{
    if (!wr_type_is_timestamp(type)) {
        return true;
    }
    const struct wr_thrift_node *unit =
        wr_thrift_field(wr_thrift_field(wr_thrift_field(element, 10), 8), 2);
    return unit != NULL ? wr_thrift_field(unit, 2) != NULL : wr_thrift_number(element, 6, -1) == 10;
}

static __int128 big_endian(struct wr_slice raw)
{
    unsigned __int128 value = (uint8_t)raw.data[0] & 0x80 ? ~(unsigned __int128)0 : 0;
    for (size_t i = 0; i < raw.bytes; i++) {
        value = value << 8 | (uint8_t)raw.data[i];
    }
    return (__int128)value;
}

static bool number_key(enum wr_bounds_kind kind, struct wr_type type, struct wr_slice raw,
                       int64_t *key)
{
    uint64_t bits = 0;
    const size_t bytes = kind == WR_BOUNDS_32 || kind == WR_BOUNDS_F32 ? 4 : 8;
    if (raw.bytes != bytes) {
        return false;
    }
    memcpy(&bits, raw.data, bytes);
    switch (kind) {
    case WR_BOUNDS_32:
        *key = type.id == WR_TYPE_UINT16 || type.id == WR_TYPE_UINT32 ? (int64_t)bits
                                                                      : (int32_t)(uint32_t)bits;
        return true;
    case WR_BOUNDS_64:
        *key = (int64_t)bits;
        return true;
    case WR_BOUNDS_U64:
        *key = wr_order_u64(bits);
        return true;
    case WR_BOUNDS_F32:
        *key = wr_order_f32((uint32_t)bits);
        return true;
    case WR_BOUNDS_F64:
        *key = wr_order_f64(bits);
        return true;
    default:
        return false;
    }
}

static bool bounds_of(const struct known *k, struct wr_type type, struct wr_slice min,
                      struct wr_slice max, struct wr_bounds *bounds)
{
    const enum wr_bounds_kind kind = (enum wr_bounds_kind)k->layout.bounds;
    int64_t low;
    int64_t high;
    if (kind == WR_BOUNDS_TEXT || kind == WR_BOUNDS_BYTES) {
        wr_bounds_add_text(bounds, min, max);
        return true;
    }
    if (kind == WR_BOUNDS_WIDE) {
        if (min.bytes == 0 || min.bytes > 16 || max.bytes == 0 || max.bytes > 16) {
            return false;
        }
        const __int128 both[2] = { big_endian(min), big_endian(max) };
        wr_bounds_add_wide(bounds, both, 2);
        return true;
    }
    if (!number_key(kind, type, min, &low) || !number_key(kind, type, max, &high)) {
        return false;
    }
    wr_bounds_add_keys(bounds, low, high);
    return true;
}

static void learn_chunk(struct known *k, const struct wr_thrift_node *element,
                        const struct wr_thrift_node *meta)
{
    const struct wr_type type = k->type;
    const struct wr_thrift_node *statistics = wr_thrift_field(meta, 12);
    const int64_t values = wr_thrift_number(meta, 5, -1);
    const int64_t nulls = wr_thrift_number(statistics, 3, -1);
    const struct wr_thrift_node *min = field_of(statistics, 6, WR_THRIFT_BINARY);
    const struct wr_thrift_node *max = field_of(statistics, 5, WR_THRIFT_BINARY);
    struct wr_bounds bounds = { .any = false };
    k->in_file = true;
    k->no_nulls = k->no_nulls || nulls < 0;
    k->summary.nulls += nulls < 0 ? 0 : (uint64_t)nulls;
    if (nulls >= 0 && nulls == values) {
        return;
    }
    if (min == NULL || max == NULL || wr_thrift_number(meta, 1, -1) != k->layout.physical ||
        !unit_fits(element, type) || !bounds_of(k, type, min->binary, max->binary, &bounds)) {
        k->no_bounds = true;
        return;
    }
    wr_bounds_merge(&k->summary.bounds, &bounds, (enum wr_bounds_kind)k->layout.bounds);
}

/* Walks the schema of a footer beside the chunks of a row group. */
struct learner {
    struct wr_parquet_merge *merge;
    const struct wr_thrift_node *element; /* the next one */
    const struct wr_thrift_node *element_end;
    const struct wr_thrift_node *chunk;
    const struct wr_thrift_node *chunk_end;
    struct wr_slice path[NESTING_MAX];
    uint32_t next; /* leaf that is looked at first: files have them in the schema's order */
};

static bool has_path(const struct wr_parquet_merge *m, const struct known *k,
                     const struct wr_slice *path, uint32_t depth)
{
    uint32_t at = k->element;
    while (depth > 0) {
        const struct wr_parquet_element *element = &m->tree.elements[at];
        const bool root = element->parent == at;
        if (!wr_slice_is(path[--depth], element->name) || root != (depth == 0)) {
            return false;
        }
        at = element->parent;
    }
    return true;
}

static struct known *known_leaf(struct learner *l, uint32_t depth)
{
    struct wr_parquet_merge *m = l->merge;
    for (uint32_t i = 0; i < m->tree.leaf_count; i++) {
        const uint32_t at = (l->next + i) % m->tree.leaf_count;
        if (has_path(m, &m->known[at], l->path, depth)) {
            l->next = at + 1;
            return m->known[at].summary.kind != WR_BOUNDS_NONE ? &m->known[at] : NULL;
        }
    }
    return NULL;
}

/* The element and all in it; false: the schema makes no sense, what is left of it is not looked at. */
static bool learn_element(struct learner *l, uint32_t depth)
{
    if (l->element == l->element_end || depth == NESTING_MAX) {
        return false;
    }
    const struct wr_thrift_node *element = l->element++;
    const int64_t children = wr_thrift_number(element, 5, 0);
    l->path[depth] = wr_thrift_bytes(element, 4);
    if (children == 0) {
        struct known *known = known_leaf(l, depth + 1);
        if (l->chunk == l->chunk_end) {
            return false;
        }
        if (known != NULL) {
            learn_chunk(known, element, wr_thrift_field(l->chunk, 3));
        }
        l->chunk++;
        return true;
    }
    for (int64_t i = 0; i < children; i++) {
        if (!learn_element(l, depth + 1)) {
            return false;
        }
    }
    return true;
}

/* false: not all columns could be told apart. */
static bool learn_group(struct wr_parquet_merge *m, const struct wr_thrift_node *footer,
                        const struct wr_thrift_node *group)
{
    uint32_t elements;
    uint32_t columns;
    const struct wr_thrift_node *element = wr_thrift_list(footer, 2, &elements);
    const struct wr_thrift_node *chunk = wr_thrift_list(group, 1, &columns);
    struct learner l = { .merge = m, .chunk = chunk, .chunk_end = chunk + columns };
    if (elements < 2) {
        return false;
    }
    l.element = element + 1; /* the root is not in paths */
    l.element_end = element + elements;
    while (l.element < l.element_end) {
        if (!learn_element(&l, 0)) {
            return false;
        }
    }
    return l.chunk == l.chunk_end;
}

/* ---- copying ---- */

static wr_status copy_bytes(struct wr_parquet_merge *m, uint64_t start, uint64_t bytes,
                            struct wr_error *err)
{
    while (bytes > 0) {
        const char *at = NULL; /* GCC 12 at -O3 does not see that it is set */
        WR_TRY(bytes_at(m, start, 1, &at, err));
        const uint64_t there = m->window.bytes - (start - m->window_at);
        const uint64_t some = there < bytes ? there : bytes;
        WR_TRY(put(m, at, (size_t)some, err));
        start += some;
        bytes -= some;
    }
    return WR_OK;
}

static void shift(struct wr_thrift_node *node, int16_t id, uint64_t from, uint64_t to)
{
    const int64_t old = wr_thrift_number(node, id, 0);
    if (old > 0) {
        wr_thrift_set(node, id, (int64_t)((uint64_t)old - from + to));
    }
}

/* Offset and length of an index; false: there is none, or it makes no sense. */
static bool index_span(const struct wr_parquet_merge *m, const struct wr_thrift_node *chunk,
                       int16_t offset_id, int16_t length_id, uint64_t *start, uint64_t *bytes)
{
    const int64_t from = wr_thrift_number(chunk, offset_id, -1);
    const int64_t length = wr_thrift_number(chunk, length_id, -1);
    if (from < 4 || length <= 0 || (uint64_t)from > m->file_bytes ||
        (uint64_t)length > m->file_bytes - (uint64_t)from || length > WINDOW_BYTES) {
        return false;
    }
    *start = (uint64_t)from;
    *bytes = (uint64_t)length;
    return true;
}

/* The pages' new places: (old offset - from + to). */
static wr_status copy_offset_index(struct wr_parquet_merge *m, struct wr_thrift_node *chunk,
                                   uint64_t from, uint64_t to, struct wr_error *err)
{
    uint64_t start;
    uint64_t bytes;
    const char *at;
    struct wr_thrift_node index;
    if (!index_span(m, chunk, 4, 5, &start, &bytes)) {
        wr_thrift_drop(chunk, 4);
        wr_thrift_drop(chunk, 5);
        return WR_OK;
    }
    WR_TRY(bytes_at(m, start, bytes, &at, err));
    if (wr_thrift_tree_read(at, at + bytes, &m->arena, &index) == NULL) {
        return corrupt(err, "an offset index");
    }
    uint32_t pages;
    struct wr_thrift_node *page = wr_thrift_list(&index, 1, &pages);
    for (uint32_t i = 0; i < pages; i++) {
        shift(&page[i], 1, from, to);
    }
    const size_t before = m->offset_indexes.bytes;
    wr_thrift_tree_append(&index, &m->offset_indexes);
    wr_thrift_set(chunk, 4, (int64_t)before);
    wr_thrift_set(chunk, 5, (int64_t)(m->offset_indexes.bytes - before));
    return WR_OK;
}

static wr_status copy_column_index(struct wr_parquet_merge *m, struct wr_thrift_node *chunk,
                                   struct wr_error *err)
{
    uint64_t start;
    uint64_t bytes;
    const char *at;
    if (!index_span(m, chunk, 6, 7, &start, &bytes)) {
        wr_thrift_drop(chunk, 6);
        wr_thrift_drop(chunk, 7);
        return WR_OK;
    }
    WR_TRY(bytes_at(m, start, bytes, &at, err));
    wr_thrift_set(chunk, 6, (int64_t)m->column_indexes.bytes);
    wr_buf_append(&m->column_indexes, at, (size_t)bytes);
    return WR_OK;
}

static wr_status copy_chunk(struct wr_parquet_merge *m, struct wr_thrift_node *chunk,
                            struct wr_error *err)
{
    uint64_t start;
    uint64_t bytes;
    struct wr_thrift_node *meta = wr_thrift_field(chunk, 3);
    if (!chunk_span(m, chunk, &start, &bytes)) {
        return corrupt(err, "the place of a column");
    }
    const uint64_t to = m->offset;
    WR_TRY(copy_bytes(m, start, bytes, err));
    wr_thrift_set(chunk, 2, 0);
    shift(meta, 9, start, to);
    shift(meta, 11, start, to);
    wr_thrift_drop(meta, 10); /* index pages: nobody writes them */
    wr_thrift_drop(meta, 14); /* bloom filters lie elsewhere in the file */
    wr_thrift_drop(meta, 15);
    return WR_OK;
}

/* Page locations are offsets in the file: those of the input have to be known when they are shifted. */
static wr_status copy_group(struct wr_parquet_merge *m, struct wr_thrift_node *group,
                            struct wr_error *err)
{
    uint32_t columns;
    struct wr_thrift_node *chunk = wr_thrift_list(group, 1, &columns);
    uint64_t *spans = WR_ARENA_ARRAY(&m->arena, uint64_t, (size_t)columns * 2 + 1);
    const uint64_t group_at = m->offset;
    for (uint32_t c = 0; c < columns; c++) {
        uint64_t bytes;
        if (!chunk_span(m, &chunk[c], &spans[2 * c], &bytes)) {
            return corrupt(err, "the place of a column");
        }
        spans[2 * c + 1] = m->offset;
        WR_TRY(copy_chunk(m, &chunk[c], err));
    }
    for (uint32_t c = 0; c < columns; c++) {
        WR_TRY(copy_offset_index(m, &chunk[c], spans[2 * c], spans[2 * c + 1], err));
        WR_TRY(copy_column_index(m, &chunk[c], err));
    }
    wr_thrift_set(group, 5, (int64_t)group_at);
    wr_thrift_set(group, 7, m->group_count++);
    m->rows += (uint64_t)wr_thrift_number(group, 3, 0);
    wr_thrift_tree_append(group, &m->groups);
    return WR_OK;
}

/* The first file's footer is that of the output, but for the row groups. */
static void keep_head(struct wr_parquet_merge *m, const struct wr_thrift_node *footer)
{
    struct wr_thrift_node *fields =
        WR_ARENA_ARRAY(&m->arena, struct wr_thrift_node, footer->count + 1);
    memcpy(fields, footer->children, footer->count * sizeof *fields);
    const struct wr_thrift_node head = { .type = WR_THRIFT_STRUCT,
                                         .count = footer->count,
                                         .children = fields };
    struct wr_thrift_node *groups = wr_thrift_field(&head, 4);
    groups->count = 0;
    groups->children = NULL;
    wr_thrift_tree_append(&head, &m->head);
}

static wr_status add(struct wr_parquet_merge *m, struct wr_error *err)
{
    struct wr_thrift_node footer;
    uint32_t groups;
    WR_TRY(read_footer(m, &footer, err));
    if (field_of(&footer, 4, WR_THRIFT_LIST) == NULL || !groups_usable(m, &footer) ||
        !same_schema(m, &footer)) {
        return WR_END;
    }
    struct wr_thrift_node *group = wr_thrift_list(&footer, 4, &groups);
    if (m->head.bytes == 0) {
        keep_head(m, &footer);
        WR_TRY(put(m, "PAR1", 4, err));
    }
    for (uint32_t g = 0; g < groups; g++) {
        m->unknown = !learn_group(m, &footer, &group[g]) || m->unknown;
        WR_TRY(copy_group(m, &group[g], err));
    }
    return WR_OK;
}

wr_status wr_parquet_merge_add(struct wr_parquet_merge *m, wr_parquet_fetch_fn fetch, void *ctx,
                               uint64_t bytes, struct wr_error *err)
{
    m->fetch = fetch;
    m->fetch_ctx = ctx;
    m->file_bytes = bytes;
    m->window.bytes = 0;
    m->window_at = 0;
    wr_arena_reset(&m->arena);
    return add(m, err);
}

/* ---- the footer ---- */

/* Appends the group with its indexes at their places in the file; returns the byte after it. */
static const char *place_group(struct wr_parquet_merge *m, const char *at, uint64_t column_base,
                               uint64_t offset_base, struct wr_buf *out)
{
    struct wr_thrift_node group;
    uint32_t columns;
    wr_arena_reset(&m->arena);
    const char *next =
        wr_thrift_tree_read(at, m->groups.data + m->groups.bytes, &m->arena, &group);
    struct wr_thrift_node *chunk = wr_thrift_list(&group, 1, &columns);
    for (uint32_t c = 0; c < columns; c++) {
        wr_thrift_set(&chunk[c], 4, wr_thrift_number(&chunk[c], 4, 0) + (int64_t)offset_base);
        wr_thrift_set(&chunk[c], 6, wr_thrift_number(&chunk[c], 6, 0) + (int64_t)column_base);
    }
    wr_thrift_tree_append(&group, out);
    return next;
}

wr_status wr_parquet_merge_finish(struct wr_parquet_merge *m, struct wr_error *err)
{
    struct wr_buf groups = { 0 };
    struct wr_buf footer = { 0 };
    struct wr_thrift_node head;
    const uint64_t column_base = m->offset;
    WR_TRY(put(m, m->column_indexes.data, m->column_indexes.bytes, err));
    const uint64_t offset_base = m->offset;
    WR_TRY(put(m, m->offset_indexes.data, m->offset_indexes.bytes, err));
    const char *at = m->groups.data;
    for (uint32_t i = 0; i < m->group_count && at != NULL; i++) {
        at = place_group(m, at, column_base, offset_base, &groups);
    }
    wr_arena_reset(&m->arena);
    const bool read = wr_thrift_tree_read(m->head.data, m->head.data + m->head.bytes, &m->arena,
                                          &head) != NULL;
    wr_status status = read ? WR_OK : corrupt(err, "its footer");
    if (read) {
        struct wr_thrift_node *list = wr_thrift_field(&head, 4);
        list->element = WR_THRIFT_STRUCT;
        list->count = m->group_count;
        list->children = NULL;
        list->binary = (struct wr_slice){ groups.data, groups.bytes };
        wr_thrift_set(&head, 3, (int64_t)m->rows);
        wr_thrift_tree_append(&head, &footer);
        const uint32_t bytes = (uint32_t)footer.bytes;
        wr_buf_append(&footer, &bytes, sizeof bytes);
        wr_buf_append(&footer, "PAR1", 4);
        status = footer.bytes > INT32_MAX ? corrupt(err, "its footer would be larger than 2 GiB")
                                          : put(m, footer.data, footer.bytes, err);
    }
    wr_buf_deinit(&groups);
    wr_buf_deinit(&footer);
    return status;
}

uint64_t wr_parquet_merge_bytes(const struct wr_parquet_merge *m)
{
    return m->offset;
}

uint64_t wr_parquet_merge_rows(const struct wr_parquet_merge *m)
{
    return m->rows;
}

void wr_parquet_merge_summarize(const struct wr_parquet_merge *m,
                                struct wr_parquet_summary *summary)
{
    *summary = (struct wr_parquet_summary){ .rows = m->rows, .bytes = m->offset };
    summary->columns = wr_calloc(m->tree.leaf_count + 1u, sizeof *summary->columns);
    for (uint32_t i = 0; i < m->tree.leaf_count; i++) {
        const struct known *k = &m->known[i];
        if (k->in_file && !m->unknown) {
            struct wr_parquet_column_summary *c = &summary->columns[summary->columns_count++];
            *c = k->summary;
            c->kind = k->no_bounds ? WR_BOUNDS_NONE : c->kind;
            c->nulls = k->no_nulls ? WR_PARQUET_NULLS_UNKNOWN : c->nulls;
        }
    }
}
