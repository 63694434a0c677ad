/* limits.h: every fixed limit of Weir with its reason, and the relations between them. */
#ifndef WR_BASE_LIMITS_H
#define WR_BASE_LIMITS_H

#include <assert.h>
#include <stdint.h>

#define WR_CACHE_LINE 64

/* Rows of a batch: 1,024 rows of 8 columns are about 100 KB and so stay in a core's L2 from decode to
 * aggregation; fewer cost more calls per row, more spill into L3. */
#define WR_BATCH_ROWS_MAX 1024u

/* Keys hash to this many shards; workers own sets of shards (design.md, section 4). */
#define WR_SHARDS 64u

/* Workers: more shards than workers, so that each worker owns at least one. */
#define WR_WORKERS_MAX 64u

/* Columns of one schema: wide tables exist; each costs pool memory (rows x width). */
#define WR_COLUMNS_MAX 1024u

/* A record larger than this is dead-lettered unread: nobody's event is bigger, a length field may be. */
#define WR_RECORD_BYTES_MAX (64u << 20)

/* Depth of nested JSON that is walked: recursion must stay within a worker's stack. */
#define WR_JSON_DEPTH_MAX 256u

/* Depth of SQL expressions and sub-queries, for the same reason. */
#define WR_SQL_DEPTH_MAX 200u

/* SQL text longer than this is refused: it is a mistake (a data file given as the pipeline). */
#define WR_SQL_BYTES_MAX (4u << 20)

static_assert(WR_SHARDS >= WR_WORKERS_MAX, "each worker owns at least one shard");
static_assert((WR_BATCH_ROWS_MAX & (WR_BATCH_ROWS_MAX - 1)) == 0, "bitmaps cover whole words");

#endif
