/* table_rows.h: the hash table of window state: packed rows of key and aggregate state, found by
 * key.
 *
 * A row is [prefix][key: views first, then the other columns][flag bits][aggregate states],
 * unaligned and without padding where padding would cost more than it gains, because memory per
 * open key is a promise (performance.md, P7). A key's image is the same bytes as in the row, padded
 * with zeros to whole words; the bits after the key's NULL bits belong to the aggregates and are
 * masked off in comparisons. The index holds 32 bits per slot: row number + 1 in the lower bits, a
 * tag of the hash in those that the number leaves free.
 *
 * Ownership: a shape is shared by the tables of one operator and keeps their empty chunks and
 * indexes for reuse; long key texts are copied: into the table's arena, or the pool where rows
 * leave one by one (shape.keys_in_pool).
 * Threads: one.
 * Invariants:
 *   (1) row pointers stay valid until the row is removed or the table is emptied
 *   (2) the index has empty slots (at least one of eight), and its row numbers are unique
 *   (3) a new row is zero after its key: zero is the empty state of every aggregate
 *   (4) in a tracked table each row that was made, got or marked since the bits were last cleared has
 *   its bit set
 */
#ifndef WR_EXEC_TABLE_ROWS_H
#define WR_EXEC_TABLE_ROWS_H

#include "base/arena.h"
#include "base/hash.h"
#include "batch/type.h"
#include "exec/table_state.h"

#define WR_INDEX_CLASSES 32u

struct wr_table_shape {
    uint32_t key_offset;  /* bytes before the key: links of HOP and SESSION */
    uint32_t view_count;  /* key columns that are 16-byte views; they come first */
    uint32_t key_words;   /* words of the padded image, 1 or more */
    uint64_t last_mask;   /* of the image's last word */
    uint32_t stride;      /* bytes of a row */
    uint32_t chunk_shift; /* rows of a chunk: 1 << chunk_shift */
    bool keys_in_pool;
    bool presize;         /* one table after another of about equal size: TUMBLE */
    uint32_t first_log2;  /* of a new table's index, from the one before */
    struct wr_state_pool *pool;
    uint64_t live;        /* rows in all tables of this shape: asked for at each turn */
    uint64_t bytes;       /* that they hold; not pool blocks, nor what is kept for reuse */
    void *free_chunks; /* list, through the first word */
    void *free_index[WR_INDEX_CLASSES];
};

struct wr_table {
    struct wr_table_shape *shape;
    uint8_t **chunks;
    uint32_t chunk_count;
    uint32_t chunk_capacity;
    uint32_t *index;      /* NULL until the first row */
    uint32_t index_log2;
    uint32_t rows;        /* row numbers given out, removed ones included */
    uint32_t live;
    bool tracked;         /* rows' changes are noted, for snapshots */
    uint32_t dirty_words; /* allocated */
    uint64_t *dirty;      /* a bit per row number; NULL: not tracked, or no row yet */
    uint32_t free_row;    /* head of the removed rows' list: row number + 1, 0 = none */
    struct wr_arena texts;
    size_t counted_bytes; /* of shape->bytes */
};

void wr_table_shape_deinit(struct wr_table_shape *shape);

void wr_table_init(struct wr_table *table, struct wr_table_shape *shape);
/* Gives chunks and index back to the shape; the table can be filled again. States must have been
 * released. */
void wr_table_empty(struct wr_table *table);
void wr_table_deinit(struct wr_table *table); /* accepts a zeroed one */

static inline uint64_t wr_table_mum(uint64_t a, uint64_t b)
{
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Hash of a key's image: the same on every worker, for it also names the shard. The views'
 * products do not wait for each other; the rotation keeps their places apart. Constants for views
 * and words make a straight line of it. */
uint64_t wr_table_hash_slow(uint32_t views, uint32_t words, const uint64_t *image);

static inline __attribute__((always_inline)) uint64_t
wr_table_hash_close(uint32_t views, uint32_t words, const uint64_t *image, uint64_t h)
{
    for (uint32_t word = 2 * views; word < words; word++) {
        h = wr_table_mum(image[word] ^ h, 0xa0761d6478bd642fULL);
    }
    if (views == 0 || words == 2 * views) {
        h = wr_table_mum(h, 0x8ebc6af09c88c6e3ULL);
    }
    return h & wr_hash_mask;
}

static inline uint64_t wr_table_hash_view(uint64_t h, uint64_t first, uint64_t second)
{
    return (h << 29 | h >> 35) ^
           wr_table_mum(first ^ 0x589965cc75374cc3ULL, second ^ 0xe7037ed1a0b428dbULL);
}

static inline __attribute__((always_inline)) uint64_t
wr_table_hash_of(uint32_t views, uint32_t words, const uint64_t *image)
{
    uint64_t h = 0x9e3779b97f4a7c15ULL;
    for (uint32_t v = 0; v < views; v++) {
        if ((uint32_t)image[2 * v] > WR_VIEW_INLINE_BYTES) {
            return wr_table_hash_slow(views, words, image);
        }
        h = wr_table_hash_view(h, image[2 * v], image[2 * v + 1]);
    }
    return wr_table_hash_close(views, words, image, h);
}

static inline uint64_t wr_table_hash(const struct wr_table_shape *shape, const uint64_t *image)
{
    return wr_table_hash_of(shape->view_count, shape->key_words, image);
}

static inline uint8_t *wr_table_row(const struct wr_table *table, uint32_t number)
{
    const uint32_t shift = table->shape->chunk_shift;
    return table->chunks[number >> shift] +
           (size_t)(number & ((1u << shift) - 1)) * table->shape->stride;
}

bool wr_table_key_equal_slow(const struct wr_table_shape *shape, const uint8_t *row,
                             const uint64_t *image);

static inline uint64_t wr_load_u64(const void *from)
{
    uint64_t word;
    memcpy(&word, from, 8);
    return word;
}

static inline void wr_store_u64(void *to, uint64_t word)
{
    memcpy(to, &word, 8);
}

/* Constants for views and words make a straight line of it. */
static inline __attribute__((always_inline)) bool
wr_table_key_equal_of(uint32_t views, uint32_t words, const struct wr_table_shape *shape,
                      const uint8_t *row, const uint64_t *image)
{
    const uint8_t *key = row + shape->key_offset;
    const uint32_t last = words - 1;
    uint64_t differs = (wr_load_u64(key + 8 * (size_t)last) ^ image[last]) & shape->last_mask;
    for (uint32_t w = 0; w < last; w++) {
        differs |= wr_load_u64(key + 8 * (size_t)w) ^ image[w];
    }
    if (__builtin_expect(differs == 0, 1)) {
        return true;
    }
    return views > 0 && wr_table_key_equal_slow(shape, row, image);
}

static inline bool wr_table_key_equal(const struct wr_table_shape *shape, const uint8_t *row,
                                      const uint64_t *image)
{
    return wr_table_key_equal_of(shape->view_count, shape->key_words, shape, row, image);
}

/* Notes that a row has changed: a no-op where nobody asks. */
static inline void wr_table_mark(const struct wr_table *table, uint32_t number)
{
    if (table->dirty != NULL) {
        table->dirty[number >> 6] |= UINT64_C(1) << (number & 63);
    }
}

static inline bool wr_table_is_marked(const struct wr_table *table, uint32_t number)
{
    return table->dirty != NULL && ((table->dirty[number >> 6] >> (number & 63)) & 1) != 0;
}

/* The first marked row at or after number; UINT32_MAX: none. */
uint32_t wr_table_next_marked(const struct wr_table *table, uint32_t number);
void wr_table_unmark_all(struct wr_table *table);

/* The row of a key, or NULL; not marked. number (may be NULL) gets its row number. */
uint8_t *wr_table_find(const struct wr_table *table, const uint64_t *image, uint64_t hash,
                       uint32_t *number);
uint8_t *wr_table_insert_new(struct wr_table *table, const uint64_t *image, uint64_t hash,
                             uint32_t *number);

/* The row of a key, made when there is none (*made; the state is zero then), and marked. */
static inline uint8_t *wr_table_get(struct wr_table *table, const uint64_t *image, uint64_t hash,
                                    bool *made)
{
    *made = false;
    if (__builtin_expect(table->index != NULL, 1)) {
        const uint32_t log2 = table->index_log2;
        const uint32_t mask = (1u << log2) - 1;
        const uint32_t top = (uint32_t)(hash >> 32);
        const uint32_t tag = top << log2;
        uint32_t slot = top >> (32 - log2);
        for (;; slot = (slot + 1) & mask) {
            const uint32_t entry = table->index[slot];
            if (entry == 0) {
                break;
            }
            if ((entry & ~mask) == tag) {
                uint8_t *row = wr_table_row(table, (entry & mask) - 1);
                if (wr_table_key_equal(table->shape, row, image)) {
                    wr_table_mark(table, (entry & mask) - 1);
                    return row;
                }
            }
        }
    }
    *made = true;
    return wr_table_insert_new(table, image, hash, NULL);
}

/* The key image of a row (key_words words). */
void wr_table_image(const struct wr_table_shape *shape, const uint8_t *row, uint64_t *image);

/* Frees a row; its aggregate state must have been released. */
void wr_table_remove(struct wr_table *table, uint32_t number);

/* For walks over all rows: false for a removed one. Only tables with a prefix remove rows. */
bool wr_table_is_live(const struct wr_table *table, uint32_t number);

#endif
