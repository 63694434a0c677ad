#include "encode/parquet_read.h"

#include "base/heap.h"
#include "encode/parquet_decode.h"
#include "encode/thrift_tree.h"

#include <stdlib.h>
#include <string.h>

#define NODES_MAX      4096u
#define LEVELS_MAX     (32u << 20) /* of one chunk: a page of a few bytes can claim any number of NULLs */
#define PAGE_BYTES_MAX (1 << 30)
#define NESTING_MAX    64u /* two for each level of a nested type of ours, and more */

struct wr_parquet_reader {
    const char *data;
    size_t bytes;
    struct wr_arena arena;
    struct wr_thrift_node footer;
    struct wr_parquet_node *nodes;
    uint32_t node_count;
    struct wr_thrift_node *groups;
    uint32_t group_count;
};

static wr_status corrupt(struct wr_error *err, const char *what)
{
    return wr_fail(err, WR_CLASS_FATAL, "not a sound Parquet file: %s", what);
}

/* ---- schema ---- */

struct walk {
    struct wr_parquet_reader *reader;
    const struct wr_thrift_node *elements;
    uint32_t count;
    uint32_t at;
    uint32_t leaves;
};

/* Takes the element at w->at with all below it. */
static bool walk_schema(struct walk *w, uint32_t definition, uint32_t repeat, uint32_t depth)
{
    if (w->at == w->count || depth > NESTING_MAX) {
        return false;
    }
    const uint32_t index = w->at++;
    const struct wr_thrift_node *element = &w->elements[index];
    struct wr_parquet_node *node = &w->reader->nodes[index];
    const int64_t repetition = depth == 0 ? 0 : wr_thrift_number(element, 3, -1);
    const int64_t children = wr_thrift_number(element, 5, 0);
    const int64_t physical = wr_thrift_number(element, 1, -1);
    if (repetition < 0 || repetition > 2 || children < 0 || children > w->count ||
        physical < -1 || physical > 7) {
        return false;
    }
    definition += repetition != 0;
    repeat += repetition == 2;
    *node = (struct wr_parquet_node){
        .name = wr_thrift_bytes(element, 4),
        .physical = children > 0 || depth == 0 ? -1 : (int32_t)physical,
        .repetition = (uint8_t)repetition,
        .definition = (uint8_t)definition,
        .repeat = (uint8_t)repeat,
        .child_count = (uint32_t)children,
    };
    if (node->physical >= 0) {
        node->leaf = w->leaves++;
    }
    for (int64_t i = 0; i < children; i++) {
        if (!walk_schema(w, definition, repeat, depth + 1)) {
            return false;
        }
    }
    node->end = w->at;
    return true;
}

static wr_status read_schema(struct wr_parquet_reader *r, struct wr_error *err)
{
    struct walk w = { .reader = r };
    w.elements = wr_thrift_list(&r->footer, 2, &w.count);
    wr_ensure(w.count >= 1 && w.count <= NODES_MAX, err, WR_CLASS_FATAL,
              "not a sound Parquet file: a schema of %u elements", w.count);
    r->nodes = WR_ARENA_ARRAY(&r->arena, struct wr_parquet_node, w.count);
    r->node_count = w.count;
    return walk_schema(&w, 0, 0, 0) && w.at == w.count ? WR_OK : corrupt(err, "its schema");
}

static wr_status read_footer(struct wr_parquet_reader *r, struct wr_error *err)
{
    uint32_t footer_bytes;
    if (r->bytes < 12 || memcmp(r->data, "PAR1", 4) != 0 ||
        memcmp(r->data + r->bytes - 4, "PAR1", 4) != 0) {
        return corrupt(err, "no PAR1 at its ends");
    }
    memcpy(&footer_bytes, r->data + r->bytes - 8, 4);
    if (footer_bytes > r->bytes - 12) {
        return corrupt(err, "its footer is longer than the file");
    }
    const char *end = r->data + r->bytes - 8;
    if (wr_thrift_tree_read(end - footer_bytes, end, &r->arena, &r->footer) == NULL) {
        return corrupt(err, "its footer");
    }
    WR_TRY(read_schema(r, err));
    r->groups = wr_thrift_list(&r->footer, 4, &r->group_count);
    return WR_OK;
}

wr_status wr_parquet_open(struct wr_parquet_reader **out, const void *data, size_t bytes,
                          struct wr_error *err)
{
    struct wr_parquet_reader *r = wr_calloc(1, sizeof *r);
    r->data = data;
    r->bytes = bytes;
    wr_arena_init(&r->arena, 64 << 10);
    const wr_status status = read_footer(r, err);
    if (status != WR_OK) {
        wr_parquet_close(r);
        r = NULL;
    }
    *out = r;
    return status;
}

void wr_parquet_close(struct wr_parquet_reader *r)
{
    if (r != NULL) {
        wr_arena_deinit(&r->arena);
        free(r);
    }
}

uint32_t wr_parquet_groups(const struct wr_parquet_reader *r)
{
    return r->group_count;
}

uint64_t wr_parquet_group_rows(const struct wr_parquet_reader *r, uint32_t group)
{
    const int64_t rows = wr_thrift_number(&r->groups[group], 3, 0);
    return rows < 0 ? 0 : (uint64_t)rows;
}

const struct wr_parquet_node *wr_parquet_nodes(const struct wr_parquet_reader *r, uint32_t *count)
{
    *count = r->node_count;
    return r->nodes;
}

uint32_t wr_parquet_child(const struct wr_parquet_reader *r, uint32_t parent, const char *name,
                          uint32_t at)
{
    const uint32_t end = r->nodes[parent].end;
    for (uint32_t i = parent + 1, number = 0; i < end; i = r->nodes[i].end, number++) {
        if (name != NULL ? wr_slice_is(r->nodes[i].name, name) : number == at) {
            return i;
        }
    }
    return 0;
}

/* ---- a chunk ---- */

struct dictionary {
    uint32_t count;
    int64_t *numbers;
    struct wr_slice *texts;
};

struct chunk {
    const struct wr_parquet_node *node;
    struct wr_parquet_leaf *leaf;
    struct wr_slice rest; /* pages not yet read */
    int32_t codec;
    uint32_t levels;      /* of all pages, as the footer says */
    uint32_t capacity;
    struct dictionary dictionary;
    struct wr_arena scratch; /* page headers */
    uint32_t *words;         /* as many as the largest page has levels */
    uint32_t words_room;
};

static bool is_text(const struct chunk *c)
{
    return c->node->physical == WR_PARQUET_BYTE_ARRAY;
}

static uint32_t *words_for(struct chunk *c, uint32_t count)
{
    if (count > c->words_room || c->words == NULL) {
        c->words = wr_realloc(c->words, (size_t)count * sizeof *c->words + 4);
        c->words_room = count;
    }
    return c->words;
}

static bool plain_numbers(const struct chunk *c, struct wr_slice *in, uint32_t count, int64_t *out)
{
    const uint32_t width = c->node->physical == WR_PARQUET_INT64   ? 8
                           : c->node->physical == WR_PARQUET_INT32 ? 4
                                                                   : 0;
    const uint64_t need = width == 0 ? ((uint64_t)count + 7) / 8 : (uint64_t)count * width;
    if (need > in->bytes) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        int32_t narrow;
        if (width == 8) {
            memcpy(&out[i], in->data + (size_t)i * 8, 8);
        } else if (width == 4) {
            memcpy(&narrow, in->data + (size_t)i * 4, 4);
            out[i] = narrow;
        } else {
            out[i] = ((uint8_t)in->data[i / 8] >> (i % 8)) & 1;
        }
    }
    return true;
}

static bool dictionary_values(struct chunk *c, struct wr_slice *in, uint32_t count,
                              int64_t *numbers, struct wr_slice *texts)
{
    if (in->bytes < 1) {
        return count == 0;
    }
    const uint32_t width = (uint8_t)in->data[0];
    uint32_t *indexes = words_for(c, count);
    in->data++;
    in->bytes--;
    if (!wr_hybrid_take(in, width, count, indexes)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (indexes[i] >= c->dictionary.count) {
            return false;
        }
        if (texts != NULL) {
            texts[i] = c->dictionary.texts[indexes[i]];
        } else {
            numbers[i] = c->dictionary.numbers[indexes[i]];
        }
    }
    return true;
}

/* RLE of booleans: a length, then the hybrid. */
static bool rle_booleans(struct chunk *c, struct wr_slice *in, uint32_t count, int64_t *out)
{
    uint32_t *bits = words_for(c, count);
    if (in->bytes < 4 || c->node->physical != WR_PARQUET_BOOLEAN) {
        return false;
    }
    in->data += 4;
    in->bytes -= 4;
    if (!wr_hybrid_take(in, 1, count, bits)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        out[i] = bits[i];
    }
    return true;
}

#define PLAIN_DICTIONARY 2 /* the old name of RLE_DICTIONARY */

static bool decode_values(struct chunk *c, struct wr_slice in, int64_t encoding, uint32_t count)
{
    struct wr_parquet_leaf *leaf = c->leaf;
    int64_t *numbers = is_text(c) ? NULL : leaf->numbers + leaf->value_count;
    struct wr_slice *texts = is_text(c) ? leaf->texts + leaf->value_count : NULL;
    leaf->value_count += count;
    switch (encoding) {
    case WR_PARQUET_PLAIN:
        return texts != NULL ? wr_plain_text_take(&in, count, texts)
                             : plain_numbers(c, &in, count, numbers);
    case PLAIN_DICTIONARY:
    case WR_PARQUET_RLE_DICTIONARY:
        return dictionary_values(c, &in, count, numbers, texts);
    case WR_PARQUET_RLE:
        return texts == NULL && rle_booleans(c, &in, count, numbers);
    case WR_PARQUET_DELTA_BINARY_PACKED:
        return texts == NULL && wr_delta_take(&in, count, numbers);
    case WR_PARQUET_DELTA_LENGTH_BYTE_ARRAY:
        return texts != NULL && wr_delta_length_take(&in, count, texts);
    case WR_PARQUET_DELTA_BYTE_ARRAY:
        return texts != NULL && wr_delta_text_take(&in, count, &leaf->arena, texts);
    default:
        return false;
    }
}

/* ---- levels ---- */

static uint32_t bits_of(uint32_t level)
{
    return level == 0 ? 0 : 32 - (uint32_t)__builtin_clz(level);
}

static bool take_levels(struct chunk *c, struct wr_slice *in, uint32_t max, uint32_t count,
                        uint8_t *out)
{
    if (max == 0) {
        memset(out, 0, count);
        return true;
    }
    uint32_t *words = words_for(c, count);
    if (!wr_hybrid_take(in, bits_of(max), count, words)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (words[i] > max) {
            return false;
        }
        out[i] = (uint8_t)words[i];
    }
    return true;
}

/* v1: four bytes of length before each kind of level. */
static bool levels_v1(struct chunk *c, struct wr_slice *in, uint32_t max, uint32_t count,
                      uint8_t *out)
{
    uint32_t bytes = 0;
    if (max > 0) {
        if (in->bytes < 4) {
            return false;
        }
        memcpy(&bytes, in->data, 4);
        in->data += 4;
        in->bytes -= 4;
    }
    if (bytes > in->bytes) {
        return false;
    }
    struct wr_slice levels = { in->data, bytes };
    in->data += bytes;
    in->bytes -= bytes;
    return take_levels(c, &levels, max, count, out);
}

static bool reserve_levels(struct chunk *c, int64_t count)
{
    struct wr_parquet_leaf *leaf = c->leaf;
    if (count < 0 || count > (int64_t)(c->levels - leaf->count)) {
        return false;
    }
    const uint32_t need = leaf->count + (uint32_t)count;
    if (need > c->capacity || leaf->definition == NULL) {
        c->capacity = need > c->capacity * 2 ? need + 1 : c->capacity * 2;
        leaf->definition = wr_realloc(leaf->definition, c->capacity);
        leaf->repeat = wr_realloc(leaf->repeat, c->capacity);
        if (is_text(c)) {
            leaf->texts = wr_realloc(leaf->texts, (size_t)c->capacity * sizeof *leaf->texts);
        } else {
            leaf->numbers = wr_realloc(leaf->numbers, (size_t)c->capacity * sizeof *leaf->numbers);
        }
    }
    return true;
}

static uint32_t defined(const struct wr_parquet_leaf *leaf, uint32_t from, uint32_t count)
{
    uint32_t values = 0;
    for (uint32_t i = from; i < from + count; i++) {
        values += leaf->definition[i] == leaf->definition_max;
    }
    return values;
}

/* ---- pages ---- */

static const char *unpack_page(struct chunk *c, struct wr_slice page, int64_t raw_bytes,
                               const char **why)
{
    *why = "a page of a strange size";
    if (raw_bytes < 0 || raw_bytes > PAGE_BYTES_MAX) {
        return NULL;
    }
    if (raw_bytes == 0) {
        return "";
    }
    return wr_parquet_decompress(c->codec, page, (size_t)raw_bytes, &c->leaf->arena, why);
}

static bool dictionary_page(struct chunk *c, const struct wr_thrift_node *head,
                            struct wr_slice page, int64_t raw_bytes, const char **why)
{
    const struct wr_thrift_node *body = wr_thrift_field(head, 7);
    const int64_t count = wr_thrift_number(body, 1, -1);
    const char *raw = unpack_page(c, page, raw_bytes, why);
    if (raw == NULL) {
        return false;
    }
    *why = "its dictionary";
    /* Every value takes at least a bit. */
    if (count < 0 || count > raw_bytes * 8 || c->dictionary.count > 0) {
        return false;
    }
    struct wr_slice in = { raw, (size_t)raw_bytes };
    struct dictionary *d = &c->dictionary;
    d->count = (uint32_t)count;
    if (is_text(c)) {
        if (count > raw_bytes / 4) {
            return false;
        }
        d->texts = WR_ARENA_ARRAY(&c->leaf->arena, struct wr_slice, count + 1);
        return wr_plain_text_take(&in, d->count, d->texts);
    }
    d->numbers = WR_ARENA_ARRAY(&c->leaf->arena, int64_t, count + 1);
    return plain_numbers(c, &in, d->count, d->numbers);
}

static bool data_page_v1(struct chunk *c, const struct wr_thrift_node *head, struct wr_slice page,
                         int64_t raw_bytes, const char **why)
{
    const struct wr_thrift_node *body = wr_thrift_field(head, 5);
    struct wr_parquet_leaf *leaf = c->leaf;
    const int64_t count = wr_thrift_number(body, 1, -1);
    const char *raw = unpack_page(c, page, raw_bytes, why);
    if (raw == NULL) {
        return false;
    }
    *why = "a data page";
    struct wr_slice in = { raw, (size_t)raw_bytes };
    if (!reserve_levels(c, count) ||
        !levels_v1(c, &in, leaf->repeat_max, (uint32_t)count, leaf->repeat + leaf->count) ||
        !levels_v1(c, &in, leaf->definition_max, (uint32_t)count, leaf->definition + leaf->count)) {
        return false;
    }
    const uint32_t values = defined(leaf, leaf->count, (uint32_t)count);
    leaf->count += (uint32_t)count;
    return decode_values(c, in, wr_thrift_number(body, 2, -1), values);
}

/* v2: the levels lie before the values, never compressed. */
static bool data_page_v2(struct chunk *c, const struct wr_thrift_node *head, struct wr_slice page,
                         int64_t raw_bytes, const char **why)
{
    const struct wr_thrift_node *body = wr_thrift_field(head, 8);
    struct wr_parquet_leaf *leaf = c->leaf;
    const int64_t count = wr_thrift_number(body, 1, -1);
    const int64_t definition_bytes = wr_thrift_number(body, 5, 0);
    const int64_t repeat_bytes = wr_thrift_number(body, 6, 0);
    *why = "a data page";
    if (definition_bytes < 0 || repeat_bytes < 0 || definition_bytes > (int64_t)page.bytes ||
        repeat_bytes > (int64_t)page.bytes - definition_bytes || !reserve_levels(c, count)) {
        return false;
    }
    struct wr_slice repeats = { page.data, (size_t)repeat_bytes };
    struct wr_slice definitions = { page.data + repeat_bytes, (size_t)definition_bytes };
    const size_t levels = (size_t)(repeat_bytes + definition_bytes);
    struct wr_slice in = { page.data + levels, page.bytes - levels };
    if (!take_levels(c, &repeats, leaf->repeat_max, (uint32_t)count, leaf->repeat + leaf->count) ||
        !take_levels(c, &definitions, leaf->definition_max, (uint32_t)count,
                     leaf->definition + leaf->count)) {
        return false;
    }
    if (wr_thrift_number(body, 7, 1) != 0 && in.bytes > 0) {
        const int64_t values_bytes = raw_bytes - (int64_t)levels;
        in.data = unpack_page(c, in, values_bytes, why);
        if (in.data == NULL) {
            return false;
        }
        in.bytes = (size_t)values_bytes;
    }
    const uint32_t values = defined(leaf, leaf->count, (uint32_t)count);
    leaf->count += (uint32_t)count;
    return decode_values(c, in, wr_thrift_number(body, 4, -1), values);
}

enum page_type { PAGE_DATA = 0, PAGE_INDEX = 1, PAGE_DICTIONARY = 2, PAGE_DATA_V2 = 3 };

static bool read_page(struct chunk *c, const char **why)
{
    struct wr_thrift_node head;
    const char *end = c->rest.data + c->rest.bytes;
    wr_arena_reset(&c->scratch);
    *why = "a page's header";
    const char *body = wr_thrift_tree_read(c->rest.data, end, &c->scratch, &head);
    const int64_t bytes = wr_thrift_number(&head, 3, -1);
    const int64_t raw_bytes = wr_thrift_number(&head, 2, -1);
    if (body == NULL || bytes < 0 || bytes > end - body) {
        return false;
    }
    const struct wr_slice page = { body, (size_t)bytes };
    c->rest = (struct wr_slice){ body + bytes, (size_t)(end - body - bytes) };
    switch (wr_thrift_number(&head, 1, -1)) {
    case PAGE_DATA:
        return data_page_v1(c, &head, page, raw_bytes, why);
    case PAGE_DATA_V2:
        return data_page_v2(c, &head, page, raw_bytes, why);
    case PAGE_DICTIONARY:
        return dictionary_page(c, &head, page, raw_bytes, why);
    default:
        return true; /* index pages and what may come: skipped, as the format asks */
    }
}

static wr_status find_chunk(const struct wr_parquet_reader *r, uint32_t group,
                            const struct wr_parquet_node *node, struct chunk *c,
                            struct wr_error *err)
{
    uint32_t count;
    const struct wr_thrift_node *chunks = wr_thrift_list(&r->groups[group], 1, &count);
    if (node->leaf >= count) {
        return corrupt(err, "a row group without a column");
    }
    const struct wr_thrift_node *meta = wr_thrift_field(&chunks[node->leaf], 3);
    const int64_t dictionary = wr_thrift_number(meta, 11, 0);
    const int64_t data = wr_thrift_number(meta, 9, -1);
    const int64_t bytes = wr_thrift_number(meta, 7, -1);
    const int64_t levels = wr_thrift_number(meta, 5, -1);
    const int64_t start = dictionary > 0 && dictionary < data ? dictionary : data;
    if (start < 0 || bytes < 0 || start > (int64_t)r->bytes || bytes > (int64_t)r->bytes - start ||
        levels < 0 || wr_thrift_number(meta, 1, -1) != node->physical ||
        wr_thrift_bytes(&chunks[node->leaf], 1).bytes > 0) {
        return corrupt(err, "the place of a column");
    }
    wr_ensure(levels <= LEVELS_MAX, err, WR_CLASS_FATAL,
              "a Parquet row group with more than %u values of one column is not read", LEVELS_MAX);
    c->rest = (struct wr_slice){ r->data + start, (size_t)bytes };
    c->codec = (int32_t)wr_thrift_number(meta, 4, -1);
    c->levels = (uint32_t)levels;
    return WR_OK;
}

static wr_status read_pages(struct chunk *c, struct wr_error *err)
{
    const char *why = "";
    while (c->leaf->count < c->levels) {
        if (c->rest.bytes == 0) {
            return corrupt(err, "a column ends too soon");
        }
        if (!read_page(c, &why)) {
            return corrupt(err, why);
        }
    }
    return WR_OK;
}

wr_status wr_parquet_read_leaf(const struct wr_parquet_reader *r, uint32_t group, uint32_t node,
                               struct wr_parquet_leaf *leaf, struct wr_error *err)
{
    struct chunk c = { .node = &r->nodes[node], .leaf = leaf };
    *leaf = (struct wr_parquet_leaf){ .definition_max = c.node->definition,
                                      .repeat_max = c.node->repeat };
    if (c.node->physical != WR_PARQUET_BOOLEAN && c.node->physical != WR_PARQUET_INT32 &&
        c.node->physical != WR_PARQUET_INT64 && !is_text(&c)) {
        return corrupt(err, "a column of a type that is not expected");
    }
    wr_arena_init(&leaf->arena, 64 << 10);
    wr_arena_init(&c.scratch, 4 << 10);
    wr_status status = find_chunk(r, group, c.node, &c, err);
    if (status == WR_OK) {
        status = read_pages(&c, err);
    }
    wr_arena_deinit(&c.scratch);
    free(c.words);
    if (status != WR_OK) {
        wr_parquet_leaf_deinit(leaf);
    }
    return status;
}

void wr_parquet_leaf_deinit(struct wr_parquet_leaf *leaf)
{
    free(leaf->definition);
    free(leaf->repeat);
    free(leaf->numbers);
    free(leaf->texts);
    wr_arena_deinit(&leaf->arena);
    *leaf = (struct wr_parquet_leaf){ 0 };
}
