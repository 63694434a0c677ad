/* kinesis_kpl.h: records that the Kinesis Producer Library has packed into one (its aggregation format).
 *
 *   F3 89 9A C2 | AggregatedRecord (Protobuf) | MD5 of the message
 *   AggregatedRecord { repeated string partition_key_table = 1; repeated string explicit_hash_key_table = 2;
 *                      repeated Record records = 3; }
 *   Record { uint64 partition_key_index = 1; uint64 explicit_hash_key_index = 2; bytes data = 3; repeated Tag tags = 4; }
 *
 * Ownership: one unpacker per thread; what it gives is borrowed from the packed bytes. Threads: one.
 * Invariant: nothing is given of a pack that is not well formed from its first to its last byte: it is a record like any
 * other (that is what Amazon's own library does).
 */
#ifndef WR_SOURCE_KINESIS_KPL_H
#define WR_SOURCE_KINESIS_KPL_H

#include "base/buf.h"
#include "base/status.h"

/* The hash keys of a shard, both included. */
struct wr_hash_range {
    unsigned __int128 first;
    unsigned __int128 last;
};

#define WR_HASH_RANGE_ALL ((struct wr_hash_range){ 0, ~(unsigned __int128)0 })

struct wr_kpl_record {
    struct wr_slice key;
    struct wr_slice data;
    uint32_t sub;  /* its place in the pack, from 0 */
    bool last;     /* of the pack */
    bool elsewhere; /* its hash key is not the shard's: a pack made before a reshard; another shard has it too */
};

struct wr_kpl;

WR_NODISCARD wr_status wr_kpl_create(struct wr_kpl **kpl, struct wr_error *err);
void wr_kpl_destroy(struct wr_kpl *kpl); /* NULL is fine */

/* Opens a pack; false: data is none. */
bool wr_kpl_open(struct wr_kpl *kpl, struct wr_slice data, const struct wr_hash_range *range);
/* Of the pack that is open. */
uint32_t wr_kpl_count(const struct wr_kpl *kpl);
struct wr_kpl_record wr_kpl_at(const struct wr_kpl *kpl, uint32_t sub);

/* "170141183460469231731687303715884105727"; false: no such number. */
bool wr_hash_key_parse(struct wr_slice text, unsigned __int128 *key);

#endif
