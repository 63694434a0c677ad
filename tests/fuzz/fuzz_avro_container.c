/* Avro container files out of any bytes: cut at once and piece by piece, which must give the same records, each of them a row that can
 * be stepped over or a damage with its reason; and from the place behind any of them the rest again. */
#include "source/file_avro.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/heap.h"

#define RECORDS_MAX 2000u
#define ROWS 7u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

struct seen {
    uint64_t hashes[RECORDS_MAX];
    struct wr_avro_place places[RECORDS_MAX]; /* behind each; block -1: not known */
    uint32_t count;
};

static void note(struct seen *seen, const struct wr_avro_cutter *cutter, struct wr_records *records)
{
    for (uint32_t i = 0; i < records->count && seen->count < RECORDS_MAX; i++) {
        const struct wr_record *item = &records->items[i];
        const struct wr_slice damage = records->header(records, i, "weir.damage");
        wr_assert(damage.data != NULL || records->header(records, i, "avro.schema").data != NULL);
        const bool last = i + 1 == records->count;
        seen->places[seen->count] =
            last ? wr_avro_cutter_place(cutter) : (struct wr_avro_place){ .block = -1 };
        seen->hashes[seen->count++] = wr_hash_bytes_raw(item->data, item->bytes) + (damage.data != NULL);
    }
    wr_records_release(records);
}

static void feed(struct wr_avro_cutter *cutter, const uint8_t *data, size_t bytes)
{
    struct wr_block *block = wr_block_create(bytes + 1);
    memcpy(block->data, data, bytes);
    block->begin = 0;
    block->end = bytes;
    wr_avro_cutter_feed(cutter, block);
    wr_block_release(block);
}

static void cut_all(struct wr_avro_pool *pool, const uint8_t *data, size_t bytes, size_t piece,
                    int64_t row, struct wr_avro_place place, struct seen *seen)
{
    struct wr_avro_cutter cutter;
    size_t at = 0;
    bool ended = false;
    wr_avro_cutter_init(&cutter, pool, row, place);
    seen->count = 0;
    while (seen->count < RECORDS_MAX) {
        int64_t offset;
        struct wr_records *records = wr_avro_cutter_take(&cutter, ROWS);
        if (records != NULL) {
            note(seen, &cutter, records);
        } else if (wr_avro_cutter_jumps(&cutter, &offset)) {
            at = (uint64_t)offset < bytes ? (size_t)offset : bytes;
        } else if (ended) {
            break;
        } else if (at == bytes) {
            wr_avro_cutter_end(&cutter);
            ended = true;
        } else {
            const size_t next = bytes - at < piece ? bytes - at : piece;
            feed(&cutter, data + at, next);
            at += next;
        }
    }
    wr_avro_cutter_deinit(&cutter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct seen whole, again;
    struct wr_avro_pool pool;
    wr_avro_pool_init(&pool, ROWS);
    const struct wr_avro_place begin = { 0 };
    cut_all(&pool, data, bytes, bytes + 1, 0, begin, &whole);
    cut_all(&pool, data, bytes, 13, 0, begin, &again);
    wr_assert(whole.count == again.count &&
              memcmp(whole.hashes, again.hashes, whole.count * sizeof whole.hashes[0]) == 0);
    for (uint32_t i = whole.count / 2; i < whole.count && whole.count < RECORDS_MAX; i++) {
        if (whole.places[i].block > 0) {
            cut_all(&pool, data, bytes, 100, (int64_t)i + 1, whole.places[i], &again);
            wr_assert(again.count == whole.count - i - 1 &&
                      memcmp(&whole.hashes[i + 1], again.hashes, again.count * sizeof again.hashes[0]) == 0);
            break;
        }
    }
    wr_avro_pool_deinit(&pool);
    return 0;
}
