/* table_rows.c: open addressing with linear probing over packed rows. */
#include "exec/table_rows.h"

#include "base/assert.h"
#include "base/heap.h"

#define INDEX_LOG2_FIRST 5u /* 32 slots: a window of few keys costs one cache line or two */
#define INDEX_LOG2_MAX 31u
#define SPARSE_LOG2 12u /* 16 KiB of slots */
#define DENSE_LOG2 16u  /* 256 KiB of slots */
/* A removed row has this in its first word (a pointer elsewhere, so never all ones); the next free
 * number follows. */
#define REMOVED UINT64_MAX

void wr_table_shape_deinit(struct wr_table_shape *shape)
{
    for (uint32_t i = 0; i < WR_INDEX_CLASSES + 1; i++) {
        void *at = i == WR_INDEX_CLASSES ? shape->free_chunks : shape->free_index[i];
        while (at != NULL) {
            void *next;
            memcpy(&next, at, sizeof next);
            free(at);
            at = next;
        }
    }
    shape->free_chunks = NULL;
    memset(shape->free_index, 0, sizeof shape->free_index);
}

static void *list_take(void **list)
{
    void *taken = *list;
    if (taken != NULL) {
        memcpy(list, taken, sizeof(void *));
    }
    return taken;
}

static void list_give(void **list, void *block)
{
    memcpy(block, list, sizeof(void *));
    *list = block;
}

static size_t chunk_bytes(const struct wr_table_shape *shape)
{
    /* Comparisons load whole words, so the last row may be read up to 7 bytes beyond its end. */
    return ((size_t)shape->stride << shape->chunk_shift) + 8;
}

/* A quarter full while the index fits the L1 cache and half while it fits L2, for short probes,
 * which branch predictors like; 7/8 beyond, where memory counts. */
static uint64_t fill_limit(uint32_t log2)
{
    if (log2 <= SPARSE_LOG2) {
        return UINT64_C(1) << (log2 - 2);
    }
    return log2 <= DENSE_LOG2 ? UINT64_C(1) << (log2 - 1) : (UINT64_C(7) << log2) / 8;
}

static uint32_t fitting_log2(uint32_t rows)
{
    uint32_t log2 = INDEX_LOG2_FIRST;
    while (fill_limit(log2) < rows) {
        log2++;
    }
    return log2;
}

static void count_bytes(struct wr_table *table)
{
    size_t bytes = table->chunk_count * chunk_bytes(table->shape) +
                   table->chunk_capacity * sizeof(uint8_t *) + table->texts.held_bytes +
                   table->dirty_words * sizeof(uint64_t);
    if (table->index != NULL) {
        bytes += (size_t)4 << table->index_log2;
    }
    table->shape->bytes += bytes - table->counted_bytes;
    table->counted_bytes = bytes;
}

void wr_table_init(struct wr_table *table, struct wr_table_shape *shape)
{
    memset(table, 0, sizeof *table);
    table->shape = shape;
    wr_arena_init(&table->texts, 0);
}

void wr_table_empty(struct wr_table *table)
{
    struct wr_table_shape *shape = table->shape;
    if (shape->keys_in_pool) {
        wr_assert(table->live == 0); /* their texts would leak */
    }
    for (uint32_t i = 0; i < table->chunk_count; i++) {
        list_give(&shape->free_chunks, table->chunks[i]);
    }
    if (table->index != NULL) {
        /* The next window will be about as large: it starts with an index of this size. */
        shape->first_log2 = shape->presize ? fitting_log2(table->rows) : INDEX_LOG2_FIRST;
        list_give(&shape->free_index[table->index_log2], table->index);
    }
    wr_table_unmark_all(table);
    table->chunk_count = 0;
    table->index = NULL;
    table->index_log2 = 0;
    table->rows = 0;
    shape->live -= table->live;
    table->live = 0;
    table->free_row = 0;
    wr_arena_reset(&table->texts);
    count_bytes(table);
}

void wr_table_deinit(struct wr_table *table)
{
    if (table->shape == NULL) {
        return;
    }
    wr_table_empty(table);
    table->shape->bytes -= table->counted_bytes;
    free(table->chunks);
    free(table->dirty);
    wr_arena_deinit(&table->texts);
    memset(table, 0, sizeof *table);
}

uint64_t wr_table_hash_slow(uint32_t views, uint32_t words, const uint64_t *image)
{
    uint64_t h = 0x9e3779b97f4a7c15ULL;
    for (uint32_t v = 0; v < views; v++) {
        struct wr_view view;
        memcpy(&view, image + 2 * (size_t)v, sizeof view);
        const uint64_t second = view.bytes > WR_VIEW_INLINE_BYTES
                                    ? wr_hash_bytes_raw(view.data, view.bytes)
                                    : image[2 * v + 1];
        h = wr_table_hash_view(h, image[2 * v], second);
    }
    return wr_table_hash_close(views, words, image, h);
}

bool wr_table_key_equal_slow(const struct wr_table_shape *shape, const uint8_t *row,
                             const uint64_t *image)
{
    const uint8_t *key = row + shape->key_offset;
    const uint32_t last = shape->key_words - 1;
    uint32_t word = 0;
    for (uint32_t v = 0; v < shape->view_count; v++, word += 2) {
        struct wr_view a;
        struct wr_view b;
        memcpy(&a, key + 8 * (size_t)word, sizeof a);
        memcpy(&b, image + word, sizeof b);
        if (!wr_view_equal(&a, &b)) {
            return false;
        }
    }
    for (; word <= last; word++) {
        const uint64_t mask = word == last ? shape->last_mask : UINT64_MAX;
        if (((wr_load_u64(key + 8 * (size_t)word) ^ image[word]) & mask) != 0) {
            return false;
        }
    }
    return true;
}

void wr_table_image(const struct wr_table_shape *shape, const uint8_t *row, uint64_t *image)
{
    memcpy(image, row + shape->key_offset, 8 * (size_t)shape->key_words);
    image[shape->key_words - 1] &= shape->last_mask;
}

uint8_t *wr_table_find(const struct wr_table *table, const uint64_t *image, uint64_t hash,
                       uint32_t *number)
{
    if (table->index == NULL) {
        return NULL;
    }
    const uint32_t mask = (1u << table->index_log2) - 1;
    const uint32_t top = (uint32_t)(hash >> 32);
    const uint32_t tag = top << table->index_log2;
    for (uint32_t slot = top >> (32 - table->index_log2);; slot = (slot + 1) & mask) {
        const uint32_t entry = table->index[slot];
        if (entry == 0) {
            return NULL;
        }
        if ((entry & ~mask) == tag) {
            uint8_t *row = wr_table_row(table, (entry & mask) - 1);
            if (wr_table_key_equal(table->shape, row, image)) {
                if (number != NULL) {
                    *number = (entry & mask) - 1;
                }
                return row;
            }
        }
    }
}

static void index_put(struct wr_table *table, uint64_t hash, uint32_t number)
{
    const uint32_t log2 = table->index_log2;
    const uint32_t mask = (1u << log2) - 1;
    const uint32_t top = (uint32_t)(hash >> 32);
    uint32_t slot = top >> (32 - log2);
    while (table->index[slot] != 0) {
        slot = (slot + 1) & mask;
    }
    table->index[slot] = (top << log2) | (number + 1);
}

static uint32_t *index_take(struct wr_table_shape *shape, uint32_t log2)
{
    const size_t bytes = (size_t)4 << log2;
    uint32_t *index = list_take(&shape->free_index[log2]);
    if (index == NULL) {
        return wr_calloc(1, bytes);
    }
    memset(index, 0, bytes);
    return index;
}

static uint64_t row_hash(const struct wr_table *table, uint32_t number, uint64_t *image)
{
    wr_table_image(table->shape, wr_table_row(table, number), image);
    return wr_table_hash(table->shape, image);
}

/* In the order of the rows, which is that of their texts too: by slots each would be a miss or two,
 * a quarter of a second for a million. Slots are asked for some rows ahead. */
static void index_all(struct wr_table *table)
{
    enum { AHEAD = 16 };
    uint64_t image[table->shape->key_words];
    uint64_t hashes[AHEAD];
    uint32_t numbers[AHEAD];
    const bool removes = table->shape->key_offset > 0;
    uint32_t seen = 0;
    for (uint32_t number = 0; number < table->rows; number++) {
        if (removes && !wr_table_is_live(table, number)) {
            continue;
        }
        const uint32_t at = seen++ % AHEAD;
        if (seen > AHEAD) {
            index_put(table, hashes[at], numbers[at]);
        }
        hashes[at] = row_hash(table, number, image);
        numbers[at] = number;
        __builtin_prefetch(table->index + (hashes[at] >> (64 - table->index_log2)), 1);
    }
    for (uint32_t at = 0; at < (seen < AHEAD ? seen : AHEAD); at++) {
        index_put(table, hashes[at], numbers[at]);
    }
}

static void index_grow(struct wr_table *table)
{
    uint32_t *old = table->index;
    const uint32_t old_log2 = table->index_log2;
    const uint32_t first = table->shape->first_log2;
    table->index_log2 = old != NULL                ? old_log2 + 1
                        : first > INDEX_LOG2_FIRST ? first
                                                   : INDEX_LOG2_FIRST;
    wr_assert(table->index_log2 < INDEX_LOG2_MAX);
    table->index = index_take(table->shape, table->index_log2);
    if (old == NULL) {
        return;
    }
    index_all(table);
    if (old_log2 > DENSE_LOG2) {
        free(old); /* kept, those of all sizes would take as much as the one in use */
    } else {
        list_give(&table->shape->free_index[old_log2], old);
    }
}

/* An eighth more at a time, as the chunks' list: doubling would cost as much as the bits themselves. */
static void dirty_grow(struct wr_table *table)
{
    const uint32_t words = table->dirty_words + table->dirty_words / 8 + 2;
    table->dirty = wr_realloc(table->dirty, words * sizeof *table->dirty);
    memset(table->dirty + table->dirty_words, 0,
           (words - table->dirty_words) * sizeof *table->dirty);
    table->dirty_words = words;
}

uint32_t wr_table_next_marked(const struct wr_table *table, uint32_t number)
{
    const uint32_t words = (uint32_t)(((uint64_t)table->rows + 63) / 64);
    uint32_t word = number >> 6;
    if (table->dirty == NULL || word >= words) {
        return UINT32_MAX;
    }
    uint64_t bits = table->dirty[word] & (UINT64_MAX << (number & 63));
    while (bits == 0) {
        if (++word == words) {
            return UINT32_MAX;
        }
        bits = table->dirty[word];
    }
    return word * 64 + (uint32_t)__builtin_ctzll(bits);
}

void wr_table_unmark_all(struct wr_table *table)
{
    if (table->dirty != NULL) {
        memset(table->dirty, 0, ((size_t)table->rows + 63) / 64 * sizeof *table->dirty);
    }
}

static uint32_t row_take(struct wr_table *table)
{
    struct wr_table_shape *shape = table->shape;
    if (table->free_row != 0) {
        const uint32_t number = table->free_row - 1;
        memcpy(&table->free_row, wr_table_row(table, number) + 8, 4);
        return number;
    }
    const uint32_t number = table->rows++;
    if (number >> shape->chunk_shift == table->chunk_count) {
        if (table->chunk_count == table->chunk_capacity) {
            table->chunk_capacity += table->chunk_capacity / 8 + 4;
            table->chunks =
                wr_realloc(table->chunks, table->chunk_capacity * sizeof *table->chunks);
        }
        void *chunk = list_take(&shape->free_chunks);
        table->chunks[table->chunk_count++] =
            chunk != NULL ? chunk : wr_malloc(chunk_bytes(shape));
    }
    return number;
}

static void keep_texts(struct wr_table *table, uint8_t *key)
{
    for (uint32_t v = 0; v < table->shape->view_count; v++) {
        struct wr_view view;
        memcpy(&view, key + 16 * (size_t)v, sizeof view);
        if (view.bytes > WR_VIEW_INLINE_BYTES) {
            char *copy = table->shape->keys_in_pool
                             ? wr_state_alloc(table->shape->pool, view.bytes)
                             : wr_arena_alloc(&table->texts, view.bytes);
            memcpy(copy, view.data, view.bytes);
            view.data = copy;
            memcpy(key + 16 * (size_t)v, &view, sizeof view);
        }
    }
}

uint8_t *wr_table_insert_new(struct wr_table *table, const uint64_t *image, uint64_t hash,
                             uint32_t *number)
{
    struct wr_table_shape *shape = table->shape;
    if (table->index == NULL || table->live >= fill_limit(table->index_log2)) {
        index_grow(table);
    }
    const uint32_t taken = row_take(table);
    if (table->tracked && taken >> 6 >= table->dirty_words) {
        dirty_grow(table);
    }
    wr_table_mark(table, taken);
    index_put(table, hash, taken);
    table->live++;
    shape->live++;
    uint8_t *row = wr_table_row(table, taken);
    const uint32_t key_end = shape->key_offset + 8 * shape->key_words;
    memset(row, 0, shape->stride);
    /* The image's padding may reach into the state, or beyond the row's end: both are zero or not
     * ours. */
    memcpy(row + shape->key_offset, image,
           key_end <= shape->stride ? 8 * (size_t)shape->key_words
                                    : shape->stride - shape->key_offset);
    keep_texts(table, row + shape->key_offset);
    count_bytes(table);
    if (number != NULL) {
        *number = taken;
    }
    return row;
}

/* Knuth 6.4, algorithm R: entries after the hole move up unless that would put them before their
 * home slot. */
static void index_close_gap(struct wr_table *table, uint32_t hole)
{
    const uint32_t mask = (1u << table->index_log2) - 1;
    uint64_t image[table->shape->key_words];
    for (uint32_t slot = (hole + 1) & mask; table->index[slot] != 0; slot = (slot + 1) & mask) {
        const uint64_t hash = row_hash(table, (table->index[slot] & mask) - 1, image);
        const uint32_t home = (uint32_t)(hash >> 32) >> (32 - table->index_log2);
        if (((slot - home) & mask) >= ((slot - hole) & mask)) {
            table->index[hole] = table->index[slot];
            hole = slot;
        }
    }
    table->index[hole] = 0;
}

void wr_table_remove(struct wr_table *table, uint32_t number)
{
    struct wr_table_shape *shape = table->shape;
    wr_dassert(shape->key_offset >= 16);
    const uint32_t mask = (1u << table->index_log2) - 1;
    uint64_t image[shape->key_words];
    const uint64_t hash = row_hash(table, number, image);
    uint32_t slot = (uint32_t)(hash >> 32) >> (32 - table->index_log2);
    while ((table->index[slot] & mask) != number + 1) {
        slot = (slot + 1) & mask;
    }
    index_close_gap(table, slot);
    uint8_t *row = wr_table_row(table, number);
    if (shape->keys_in_pool) {
        for (uint32_t v = 0; v < shape->view_count; v++) {
            struct wr_view view;
            memcpy(&view, row + shape->key_offset + 16 * (size_t)v, sizeof view);
            if (view.bytes > WR_VIEW_INLINE_BYTES) {
                wr_state_free(shape->pool, (void *)(uintptr_t)view.data, view.bytes);
            }
        }
    }
    if (table->dirty != NULL) {
        table->dirty[number >> 6] &= ~(UINT64_C(1) << (number & 63));
    }
    wr_store_u64(row, REMOVED);
    memcpy(row + 8, &table->free_row, 4);
    table->free_row = number + 1;
    table->live--;
    shape->live--;
}

bool wr_table_is_live(const struct wr_table *table, uint32_t number)
{
    return wr_load_u64(wr_table_row(table, number)) != REMOVED;
}
