#include "encode/parquet_dict.h"

#include "base/assert.h"
#include "base/heap.h"

#include <stdlib.h>

#define DICT_SLOTS_LOG2_MIN 10u
#define TEXT_SLACK          12u
#define NUMBER_BITS         18u
#define NUMBER_MASK         ((1u << NUMBER_BITS) - 1)
#define DICT_PROBES_MAX     64u /* at half load an honest probe is shorter than 20 */

_Static_assert(WR_DICT_ENTRIES_MAX <= NUMBER_MASK, "index + 1 fits");

void wr_dict_deinit(struct wr_dict *dict)
{
    free(dict->slots);
    wr_buf_deinit(&dict->keys);
    wr_buf_deinit(&dict->page);
    wr_buf_deinit(&dict->offsets);
    *dict = (struct wr_dict){ 0 };
}

static void slots_clear(struct wr_dict *dict, uint32_t log2)
{
    const uint32_t slots = 1u << log2;
    if (dict->slots_capacity < slots) {
        free(dict->slots);
        dict->slots = wr_malloc((size_t)slots * sizeof *dict->slots);
        dict->slots_capacity = slots;
    }
    memset(dict->slots, 0, (size_t)slots * sizeof *dict->slots);
    dict->slots_log2 = log2;
}

void wr_dict_reset(struct wr_dict *dict)
{
    slots_clear(dict, DICT_SLOTS_LOG2_MIN);
    dict->count = 0;
    dict->keys.bytes = 0;
    dict->page.bytes = 0;
    dict->offsets.bytes = 0;
}

uint64_t wr_dict_bytes(const struct wr_dict *dict)
{
    return (uint64_t)dict->slots_capacity * sizeof *dict->slots + dict->keys.capacity +
           dict->page.capacity + dict->offsets.capacity;
}

static inline uint64_t load64(const char *p)
{
    uint64_t value;
    memcpy(&value, p, 8);
    return value;
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

#define HASH_A 0x9e3779b97f4a7c15ULL
#define HASH_B 0xd6e8feb86659fd93ULL

static inline uint64_t hash_u64(uint64_t x)
{
    /* Prices in doubles differ in few middle bits: the fold brings the high half of the product down. */
    return fold(x ^ HASH_B, HASH_A);
}

static inline uint64_t hash_key(struct wr_dict_key key)
{
    return fold(key.a ^ HASH_A, key.b ^ HASH_B);
}

/* Where four words lie that cover a text of 13 to 32 bytes, without a branch on its length, which would often be
 * guessed wrong. A shorter text is taken for the 12 bytes that its view holds. */
struct words {
    uint32_t second;
    uint32_t third;
    uint32_t last;
};

static inline struct words words_of(uint32_t bytes)
{
    const bool held = bytes <= WR_VIEW_INLINE_BYTES;
    return (struct words){ held ? 4 : (bytes < 16 ? bytes - 8 : 8), bytes < 16 ? 0 : bytes - 16,
                           held ? 4 : bytes - 8 };
}

/* Not shorter than 12 bytes, so that all loads lie within. */
static inline uint64_t hash_text(const char *p, uint32_t bytes)
{
    uint64_t h = bytes * HASH_A;
    for (; __builtin_expect(bytes > 32, 0); bytes -= 16, p += 16) {
        h = fold(load64(p) ^ h, load64(p + 8) ^ HASH_A);
    }
    const struct words w = words_of(bytes);
    const uint64_t front = fold(load64(p) ^ HASH_B, load64(p + w.second) ^ h);
    return front ^ fold(load64(p + w.third) ^ HASH_A, load64(p + w.last) ^ HASH_B);
}

static inline struct wr_dict_key short_key(const struct wr_view *view)
{
    struct wr_dict_key key;
    memcpy(&key, view, sizeof key);
    return key;
}

static inline struct wr_dict_key view_key(const struct wr_view *view)
{
    struct wr_dict_key key = short_key(view);
    const uint64_t hash = hash_text(wr_view_data(view), view->bytes);
    key.b = view->bytes > WR_VIEW_INLINE_BYTES ? hash : key.b;
    return key;
}

static inline uint32_t slot_of(const struct wr_dict *dict, uint64_t hash)
{
    return (uint32_t)(hash >> (64 - dict->slots_log2));
}

/* The lowest bits of the hash are the tag (the upper ones pick the slot). */
static inline uint32_t slot_value(uint64_t hash, uint32_t index)
{
    return (uint32_t)hash << NUMBER_BITS | (index + 1);
}

static uint64_t entry_hash(const struct wr_dict *dict, bool wide, uint32_t index)
{
    return wide ? hash_key(wr_dict_key(dict, index)) : hash_u64(wr_dict_u64(dict, index));
}

static void grow(struct wr_dict *dict, bool wide)
{
    slots_clear(dict, dict->slots_log2 + 1);
    const uint32_t mask = (1u << dict->slots_log2) - 1;
    for (uint32_t i = 0; i < dict->count; i++) {
        const uint64_t hash = entry_hash(dict, wide, i);
        uint32_t slot = slot_of(dict, hash);
        while (dict->slots[slot] != 0) {
            slot = (slot + 1) & mask;
        }
        dict->slots[slot] = slot_value(hash, i);
    }
}

/* Makes entry count; the caller has put its key (and text) in place. */
static void add_entry(struct wr_dict *dict, bool wide, uint32_t slot, uint64_t hash)
{
    dict->slots[slot] = slot_value(hash, dict->count);
    dict->count++;
    if (dict->count > (1u << dict->slots_log2) / 2) {
        grow(dict, wide);
    }
}

/* The entry with this key, or the free slot for it (*index == WR_DICT_NONE), or WR_DICT_NONE as the slot: too many
 * probes. same: compares entry and value. */
#define PROBE(dict, hash, slot, found, SAME)                                                       \
    do {                                                                                           \
        const uint32_t mask_ = (1u << (dict)->slots_log2) - 1;                                     \
        const uint32_t tag_ = (uint32_t)(hash) & (UINT32_MAX >> NUMBER_BITS);                      \
        (slot) = slot_of((dict), (hash));                                                          \
        (found) = WR_DICT_NONE;                                                                    \
        for (uint32_t probes_ = 0;; probes_++) {                                                   \
            const uint32_t s_ = (dict)->slots[slot];                                               \
            if (s_ == 0) {                                                                         \
                break;                                                                             \
            }                                                                                      \
            const uint32_t i_ = (s_ & NUMBER_MASK) - 1;                                            \
            if (s_ >> NUMBER_BITS == tag_ && (SAME(i_))) {                                         \
                (found) = i_;                                                                      \
                break;                                                                             \
            }                                                                                      \
            if (probes_ == DICT_PROBES_MAX) {                                                      \
                (slot) = WR_DICT_NONE;                                                             \
                break;                                                                             \
            }                                                                                      \
            (slot) = ((slot) + 1) & mask_;                                                         \
        }                                                                                          \
    } while (0)

static inline bool no_room(const struct wr_dict *dict, uint32_t slot, size_t page_bytes)
{
    return slot == WR_DICT_NONE || dict->count == WR_DICT_ENTRIES_MAX ||
           page_bytes > WR_DICT_BYTES_MAX;
}

static inline bool add_u64(struct wr_dict *dict, uint32_t slot, uint64_t hash, uint64_t value)
{
    if (no_room(dict, slot, dict->keys.bytes + 8)) {
        return false;
    }
    wr_buf_append(&dict->keys, &value, sizeof value);
    add_entry(dict, false, slot, hash);
    return true;
}

#define SAME_U64(i) (wr_dict_u64(dict, (i)) == value)

static inline uint32_t index_u64(struct wr_dict *dict, uint64_t value, uint64_t hash)
{
    uint32_t slot;
    uint32_t found;
    PROBE(dict, hash, slot, found, SAME_U64);
    if (__builtin_expect(found == WR_DICT_NONE, 0)) {
        found = dict->count;
        return add_u64(dict, slot, hash, value) ? found : WR_DICT_NONE;
    }
    return found;
}

/* Tables up to this size stay in the first two cache levels: prefetching would cost more than it saves. */
#define PREFETCH_LOG2 13u

static void prefetch_slots(const struct wr_dict *dict, const uint64_t *hash, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        __builtin_prefetch(&dict->slots[slot_of(dict, hash[i])]);
    }
}

/* Asks for the keys that the slots name (a free slot names one before the first: asking is harmless). */
static void prefetch_keys(const struct wr_dict *dict, const uint64_t *hash, uint32_t count,
                          uint32_t width)
{
    const char *keys = dict->keys.data;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t number = dict->slots[slot_of(dict, hash[i])] & NUMBER_MASK;
        __builtin_prefetch((const void *)((uintptr_t)keys + ((uintptr_t)number - 1) * width));
    }
}

static inline void prefetch_block(const struct wr_dict *dict, const uint64_t *hash, uint32_t count,
                                  uint32_t width)
{
    if (dict->slots_log2 >= PREFETCH_LOG2) {
        prefetch_slots(dict, hash, count);
        prefetch_keys(dict, hash, count, width);
    }
}

/* Calls index_block for one block after the other, until one is not done in full. */
#define EACH_BLOCK(index_block)                                                                    \
    for (uint32_t from = 0; from < count; from += WR_DICT_BLOCK) {                                 \
        const uint32_t n = count - from < WR_DICT_BLOCK ? count - from : WR_DICT_BLOCK;            \
        const uint32_t done = index_block(dict, scratch, values + from, n, indexes + from);        \
        if (__builtin_expect(done < n, 0)) {                                                       \
            return from + done;                                                                    \
        }                                                                                          \
    }                                                                                              \
    return count

#define NUMBER_BLOCK(name, type)                                                                   \
    static uint32_t name(struct wr_dict *dict, struct wr_dict_scratch *scratch,                    \
                         const type *values, uint32_t count, uint32_t *indexes)                    \
    {                                                                                              \
        uint64_t *hash = scratch->hash;                                                            \
        for (uint32_t i = 0; i < count; i++) {                                                     \
            hash[i] = hash_u64(values[i]);                                                         \
        }                                                                                          \
        prefetch_block(dict, hash, count, sizeof(uint64_t));                                       \
        for (uint32_t i = 0; i < count; i++) {                                                     \
            indexes[i] = index_u64(dict, values[i], hash[i]);                                      \
            if (__builtin_expect(indexes[i] == WR_DICT_NONE, 0)) {                                 \
                return i;                                                                          \
            }                                                                                      \
        }                                                                                          \
        return count;                                                                              \
    }

NUMBER_BLOCK(u64_block, uint64_t)
NUMBER_BLOCK(u32_block, uint32_t)

uint32_t wr_dict_index_u64(struct wr_dict *dict, struct wr_dict_scratch *scratch,
                           const uint64_t *values, uint32_t count, uint32_t *indexes)
{
    EACH_BLOCK(u64_block);
}

uint32_t wr_dict_index_u32(struct wr_dict *dict, struct wr_dict_scratch *scratch,
                           const uint32_t *values, uint32_t count, uint32_t *indexes)
{
    EACH_BLOCK(u32_block);
}

static inline bool same_key(struct wr_dict_key x, struct wr_dict_key y)
{
    return ((x.a ^ y.a) | (x.b ^ y.b)) == 0;
}

#define SAME_I128(i) (same_key(wr_dict_key(dict, (i)), key))

uint32_t wr_dict_index_i128(struct wr_dict *dict, struct wr_dict_scratch *scratch,
                            const __int128 *values, uint32_t count, uint32_t *indexes)
{
    for (uint32_t i = 0; i < count; i++) {
        struct wr_dict_key key;
        memcpy(&key, &values[i], sizeof key);
        const uint64_t hash = hash_key(key);
        uint32_t slot;
        PROBE(dict, hash, slot, indexes[i], SAME_I128);
        if (indexes[i] == WR_DICT_NONE) {
            if (no_room(dict, slot, dict->keys.bytes + sizeof key)) {
                return i;
            }
            indexes[i] = dict->count;
            wr_buf_append(&dict->keys, &key, sizeof key);
            add_entry(dict, true, slot, hash);
        }
    }
    return count;
}

/* Long texts with equal keys are nearly always equal; "nearly" is not good enough, so the bytes decide. Behind the last
 * text of the dictionary lies TEXT_SLACK, for short ones. */
static inline bool same_text(const struct wr_dict *dict, uint32_t index, const struct wr_view *view)
{
    const char *a = wr_dict_text(dict, index).data;
    const char *b = wr_view_data(view);
    const uint32_t bytes = view->bytes;
    if (__builtin_expect(bytes > 32, 0)) {
        return memcmp(a, b, bytes) == 0;
    }
    const struct words w = words_of(bytes);
    const uint64_t differ =
        (load64(a) ^ load64(b)) | (load64(a + w.second) ^ load64(b + w.second)) |
        (load64(a + w.third) ^ load64(b + w.third)) | (load64(a + w.last) ^ load64(b + w.last));
    return ((differ != 0) & (bytes > WR_VIEW_INLINE_BYTES)) == 0;
}

static bool add_view(struct wr_dict *dict, uint32_t slot, uint64_t hash, struct wr_dict_key key,
                     const struct wr_view *view)
{
    if (no_room(dict, slot, dict->page.bytes + 4 + (size_t)view->bytes)) {
        return false;
    }
    const uint32_t offset = (uint32_t)dict->page.bytes;
    wr_buf_append(&dict->offsets, &offset, sizeof offset);
    wr_buf_append(&dict->page, &view->bytes, 4);
    wr_buf_append(&dict->page, wr_view_data(view), view->bytes);
    wr_buf_reserve(&dict->page, TEXT_SLACK);
    wr_buf_append(&dict->keys, &key, sizeof key);
    add_entry(dict, true, slot, hash);
    return true;
}

#define SAME_SHORT(i) (same_key(wr_dict_key(dict, (i)), key))
#define SAME_VIEW(i) (same_key(wr_dict_key(dict, (i)), key) && same_text(dict, (i), &values[i_of]))

#define VIEWS_BLOCK(name, KEY, SAME)                                                               \
    static uint32_t name(struct wr_dict *dict, struct wr_dict_scratch *scratch,                    \
                         const struct wr_view *values, uint32_t count, uint32_t *indexes)          \
    {                                                                                              \
        uint64_t *hashes = scratch->hash;                                                          \
        for (uint32_t i = 0; i < count; i++) {                                                     \
            scratch->key[i] = KEY(&values[i]);                                                     \
            hashes[i] = hash_key(scratch->key[i]);                                                 \
        }                                                                                          \
        prefetch_block(dict, hashes, count, sizeof(struct wr_dict_key));                           \
        for (uint32_t i_of = 0; i_of < count; i_of++) {                                            \
            const struct wr_dict_key key = scratch->key[i_of];                                     \
            const uint64_t hash = hashes[i_of];                                                    \
            uint32_t slot;                                                                         \
            uint32_t found;                                                                        \
            PROBE(dict, hash, slot, found, SAME);                                                  \
            if (__builtin_expect(found == WR_DICT_NONE, 0)) {                                      \
                found = dict->count;                                                               \
                if (!add_view(dict, slot, hash, key, &values[i_of])) {                             \
                    return i_of;                                                                   \
                }                                                                                  \
            }                                                                                      \
            indexes[i_of] = found;                                                                 \
        }                                                                                          \
        return count;                                                                              \
    }

VIEWS_BLOCK(short_block, short_key, SAME_SHORT)
VIEWS_BLOCK(any_block, view_key, SAME_VIEW)

/* One branch for the block instead of one for each text: columns that mix lengths around the limit would mislead it. */
static uint32_t views_block(struct wr_dict *dict, struct wr_dict_scratch *scratch,
                            const struct wr_view *values, uint32_t count, uint32_t *indexes)
{
    uint32_t longer = 0;
    for (uint32_t i = 0; i < count; i++) {
        longer |= values[i].bytes > WR_VIEW_INLINE_BYTES;
    }
    return longer ? any_block(dict, scratch, values, count, indexes)
                  : short_block(dict, scratch, values, count, indexes);
}

uint32_t wr_dict_index_views(struct wr_dict *dict, struct wr_dict_scratch *scratch,
                             const struct wr_view *values, uint32_t count, uint32_t *indexes)
{
    EACH_BLOCK(views_block);
}
