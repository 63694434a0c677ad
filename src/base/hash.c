/* hash.c: see hash.h. */
#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t wr_hash_mask = UINT64_MAX;

uint64_t wr_hash_bytes_raw(const void *data, size_t bytes)
{
    return XXH3_64bits(data, bytes);
}
