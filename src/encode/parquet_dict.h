/* parquet_dict.h: the dictionary of one column chunk: value -> index, in order of first appearance.
 *
 * Keys are 8 bytes (numbers, as their bits) or 16 (decimals; texts as their view). A text of more than
 * WR_VIEW_INLINE_BYTES has (length and prefix, hash of all bytes) for its key and is compared in full.
 *
 * Lookup goes over a block of values in passes (hash, ask for the slots, ask for the entries that they name,
 * compare), because a dictionary of 50,000 prices lies outside of the first-level cache; a block's working memory
 * and what it asked for lie within.
 * Hostile keys that collide cannot make a lookup long: after DICT_PROBES_MAX steps the dictionary says "full",
 * as it does at its limits, and the column goes on without it.
 */
#ifndef WR_ENCODE_PARQUET_DICT_H
#define WR_ENCODE_PARQUET_DICT_H

#include "base/buf.h"
#include "batch/batch.h"

/* Entries: 17 bits an index, and a table of 1 MiB. */
#define WR_DICT_ENTRIES_MAX (128u << 10)
/* What parquet-mr allows a dictionary page by default; readers hold it in memory for each column. */
#define WR_DICT_BYTES_MAX (1u << 20)
#define WR_DICT_NONE UINT32_MAX

struct wr_dict_key {
    uint64_t a;
    uint64_t b;
};

struct wr_dict {
    uint32_t count;
    uint32_t slots_log2;
    uint32_t slots_capacity; /* allocated */
    uint32_t *slots;         /* 14 bits of the hash, then index + 1; 0: free. Half the table is twice the cache */
    struct wr_buf keys;      /* uint64_t or struct wr_dict_key each */
    /* Texts only: the dictionary page's bytes as they will be written, and where each text's length begins. */
    struct wr_buf page;
    struct wr_buf offsets;
};

#define WR_DICT_BLOCK 128u

/* Working memory for one block of values; shared by all dictionaries of a thread. */
struct wr_dict_scratch {
    uint64_t hash[WR_DICT_BLOCK];
    struct wr_dict_key key[WR_DICT_BLOCK];
};

void wr_dict_deinit(struct wr_dict *dict); /* accepts a zeroed one */
void wr_dict_reset(struct wr_dict *dict);  /* empty, memory kept; also the start of a zeroed one */
uint64_t wr_dict_bytes(const struct wr_dict *dict);

/* Indexes of values[0..count) into indexes; new values are added. Returns how many it could do: less than count
 * when the dictionary is full. */
uint32_t wr_dict_index_u64(struct wr_dict *dict, struct wr_dict_scratch *scratch,
                           const uint64_t *values, uint32_t count, uint32_t *indexes);
uint32_t wr_dict_index_u32(struct wr_dict *dict, struct wr_dict_scratch *scratch,
                           const uint32_t *values, uint32_t count, uint32_t *indexes);
uint32_t wr_dict_index_i128(struct wr_dict *dict, struct wr_dict_scratch *scratch,
                            const __int128 *values, uint32_t count, uint32_t *indexes);
uint32_t wr_dict_index_views(struct wr_dict *dict, struct wr_dict_scratch *scratch,
                             const struct wr_view *values, uint32_t count, uint32_t *indexes);

/* Long texts lie in messages, a line or two of memory for each row: asked for this many rows ahead they are there in
 * time. */
#define WR_DICT_PREFETCH 16u

static inline void wr_view_prefetch(const struct wr_view *view)
{
    if (view->bytes > WR_VIEW_INLINE_BYTES) {
        __builtin_prefetch(view->data);
    }
}

static inline uint64_t wr_dict_u64(const struct wr_dict *dict, uint32_t index)
{
    return ((const uint64_t *)(const void *)dict->keys.data)[index];
}

static inline struct wr_dict_key wr_dict_key(const struct wr_dict *dict, uint32_t index)
{
    return ((const struct wr_dict_key *)(const void *)dict->keys.data)[index];
}

static inline struct wr_slice wr_dict_text(const struct wr_dict *dict, uint32_t index)
{
    const char *at = dict->page.data + ((const uint32_t *)(const void *)dict->offsets.data)[index];
    uint32_t bytes;
    memcpy(&bytes, at, 4);
    return (struct wr_slice){ at + 4, bytes };
}

#endif
