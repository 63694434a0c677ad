/* seen_set.c: see seen_set.h.
 *
 * A shard is a queue of rows in the order in which they came, and an index over it.
 *
 *   rows    numbers count up for ever; [front, back) are kept, in chunks of CHUNK_ROWS; 24 bytes each
 *   index   open addressing; a slot holds a row's number (24 bits) and 8 more bits of its key, so that a probe of another
 *           key rarely touches the row. Nothing is ever taken out: a slot whose row is outside [front, back) is free to be
 *           reused, and a full index is built anew from the rows. Capacity is any number, a home is key * capacity >> 64.
 *
 * That is 24 bytes plus 4 / (0.55 to 0.75): 29 to 32 bytes a key.
 *
 * Forgetting is taking from the front. What would hold the front up (a row far ahead of the others) is moved to the back, and
 * logged again by whoever moves it. Which epochs' records are needed follows from the front: at an epoch's first cut each shard
 * notes (epoch, back): rows from there on are logged in this epoch or later, so once the front has come there all
 * older ones are unneeded. Rows are also moved at cuts when the front has stayed in one epoch for LAG_EPOCHS, so that few
 * objects are ever needed.
 *
 * Invariants of a shard:
 *   (1) front <= settled <= back; rows before settled have been put in before any worker's newest cut: only they
 *       may be logged again by somebody else, because each is in that epoch or in one before it
 *   (2) every row of [front, back) is in the index
 *   (3) marks ascend in epoch and row, and all but the first are behind the front
 */
#include "state/seen_set.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/limits.h"
#include <pthread.h>
#include <stdlib.h>

#define CHUNK_ROWS 1024u
#define ROW_BITS 24u
#define ROW_MASK ((1u << ROW_BITS) - 1)
#define EMPTY 0u            /* tags are never 0 */
#define INDEX_LEAST 64u
#define LOAD_MOST(capacity) ((capacity) / 4 * 3)
#define CAPACITY_FOR(rows) ((rows) + (rows) / 5 * 4 + INDEX_LEAST) /* load 0.55 */
#define KEEP_UP_EVERY 8u    /* inserts between looks at the front */
#define KEEP_UP_ROWS 32u    /* rows taken from the front at a time: four times as many as come */
#define MOVE_ROWS 16u
#define EXPIRE_ROWS 256u    /* per call of expire */
#define LAG_EPOCHS 192u     /* most spans end before: every row that is moved waits once more behind all others */
#define REWRITE_LEAST 1024u
#define REWRITE_PART 128u   /* of the rows per epoch: no record older than 192 + 128 epochs stays needed */
#define RECORD_BYTES 24u
#define BY_POSITION (INT64_MAX / 2) /* "within" of positions: all of them */
#define TOLD_EVERY_ROWS 65536u

struct mark {
    uint64_t epoch;
    uint64_t row;
};

struct shard {
    pthread_mutex_t lock;
    struct wr_seen_key **chunks; /* ring of pointers, by row / CHUNK_ROWS */
    uint64_t chunk_mask;
    uint64_t front, settled, back;
    uint32_t *slots;
    uint64_t capacity;
    uint64_t used; /* slots that are not EMPTY */
    int64_t watermark_us;
    uint64_t held_bytes;
    uint64_t base; /* oldest epoch that the front may be logged in */
    struct mark *marks; /* a queue: [mark_first, mark_count) */
    uint32_t mark_first, mark_count, mark_capacity;
    uint32_t sample; /* changes with each look at the queue's inside */
};

struct log {
    struct wr_buf records;
    uint32_t next_shard; /* whose front expire looks at next */
    int64_t told_us;     /* watermark that its shards know */
} __attribute__((aligned(WR_CACHE_LINE)));

struct wr_seen_set {
    struct shard shards[WR_SHARDS];
    struct log *logs;
    uint32_t workers;
    int64_t within_us;
    uint64_t told_every; /* by how much the watermark moves at least until shards are told */
    bool logging;
    pthread_mutex_t cut_lock;
    uint64_t cut_epoch;    /* newest epoch whose first cut has come */
    uint64_t base;         /* of that cut */
    uint64_t log_bytes;    /* largest sum told at a cut: for memory accounting */
};

struct wr_seen_set *wr_seen_set_create(int64_t within_us, uint32_t workers)
{
    wr_assert(within_us > 0 && workers > 0);
    struct wr_seen_set *set = wr_calloc(1, sizeof *set);
    set->within_us = within_us;
    set->told_every = (uint64_t)within_us / 64;
    set->workers = workers;
    set->logging = true;
    set->base = UINT64_MAX;
    set->logs = wr_calloc_aligned(sizeof *set->logs * workers);
    for (uint32_t w = 0; w < workers; w++) {
        set->logs[w].next_shard = w;
        set->logs[w].told_us = WR_TIME_MIN;
    }
    pthread_mutex_init(&set->cut_lock, NULL);
    for (uint32_t s = 0; s < WR_SHARDS; s++) {
        pthread_mutex_init(&set->shards[s].lock, NULL);
        set->shards[s].watermark_us = WR_TIME_MIN;
    }
    return set;
}

struct wr_seen_set *wr_seen_set_create_by_position(uint32_t workers)
{
    struct wr_seen_set *set = wr_seen_set_create(BY_POSITION, workers);
    set->told_every = TOLD_EVERY_ROWS;
    return set;
}

void wr_seen_set_destroy(struct wr_seen_set *set)
{
    if (set == NULL) {
        return;
    }
    for (uint32_t s = 0; s < WR_SHARDS; s++) {
        struct shard *shard = &set->shards[s];
        for (uint64_t c = 0; shard->chunks != NULL && c <= shard->chunk_mask; c++) {
            free(shard->chunks[c]);
        }
        free(shard->chunks);
        free(shard->slots);
        free(shard->marks);
        pthread_mutex_destroy(&shard->lock);
    }
    for (uint32_t w = 0; w < set->workers; w++) {
        wr_buf_deinit(&set->logs[w].records);
    }
    free(set->logs);
    pthread_mutex_destroy(&set->cut_lock);
    free(set);
}

void wr_seen_set_log_nothing(struct wr_seen_set *set)
{
    set->logging = false;
}

/* ---- rows ---- */

static struct wr_seen_key *row_at(const struct shard *shard, uint64_t row)
{
    return &shard->chunks[row / CHUNK_ROWS & shard->chunk_mask][row % CHUNK_ROWS];
}

static void grow_ring(struct shard *shard)
{
    const uint64_t old = shard->chunks == NULL ? 0 : shard->chunk_mask + 1;
    const uint64_t size = old == 0 ? 2 : old * 2;
    struct wr_seen_key **chunks = wr_calloc(size, sizeof *chunks);
    for (uint64_t c = shard->front / CHUNK_ROWS; old > 0 && c * CHUNK_ROWS < shard->back; c++) {
        chunks[c & (size - 1)] = shard->chunks[c & shard->chunk_mask];
        shard->chunks[c & shard->chunk_mask] = NULL;
    }
    free(shard->chunks);
    shard->chunks = chunks;
    shard->chunk_mask = size - 1;
    shard->held_bytes += (size - old) * sizeof *chunks;
}

static uint64_t append_row(struct shard *shard, const struct wr_seen_key *key)
{
    const uint64_t row = shard->back;
    /* 16 M rows in each of 64 shards are 32 GB: a pipeline's memory limit ends the run long before. */
    wr_assert(row - shard->front < ROW_MASK);
    if (row % CHUNK_ROWS == 0 || shard->chunks == NULL) {
        const uint64_t first = shard->front / CHUNK_ROWS;
        if (shard->chunks == NULL || row / CHUNK_ROWS - first > shard->chunk_mask) {
            grow_ring(shard);
        }
        shard->chunks[row / CHUNK_ROWS & shard->chunk_mask] =
            wr_malloc(sizeof(struct wr_seen_key) * CHUNK_ROWS);
        shard->held_bytes += sizeof(struct wr_seen_key) * CHUNK_ROWS;
    }
    shard->back++;
    *row_at(shard, row) = *key;
    return row;
}

static void drop_front(struct shard *shard)
{
    const uint64_t chunk = shard->front / CHUNK_ROWS;
    shard->front++;
    if (shard->front > shard->settled) {
        shard->settled = shard->front;
    }
    if (shard->front % CHUNK_ROWS == 0) {
        free(shard->chunks[chunk & shard->chunk_mask]);
        shard->chunks[chunk & shard->chunk_mask] = NULL;
        shard->held_bytes -= sizeof(struct wr_seen_key) * CHUNK_ROWS;
    }
}

/* ---- the index ---- */

static uint32_t shard_of(const struct wr_seen_key *key)
{
    return (uint32_t)(key->high % WR_SHARDS);
}

static uint64_t home_of(const struct shard *shard, const struct wr_seen_key *key)
{
    return (uint64_t)((unsigned __int128)key->low * shard->capacity >> 64);
}

static uint32_t tag_of(const struct wr_seen_key *key)
{
    return (uint32_t)(key->high >> 56 | 1) << ROW_BITS;
}

/* The row that a slot names, or UINT64_MAX when it is not kept any more. */
static uint64_t row_of(const struct shard *shard, uint32_t slot)
{
    const uint64_t row = shard->front + ((slot - (uint32_t)shard->front) & ROW_MASK);
    return row < shard->back ? row : UINT64_MAX;
}

static void put_slot(struct shard *shard, uint64_t at, const struct wr_seen_key *key, uint64_t row)
{
    shard->used += shard->slots[at] == EMPTY;
    shard->slots[at] = tag_of(key) | ((uint32_t)row & ROW_MASK);
}

static void build_index(struct shard *shard)
{
    const uint64_t capacity = CAPACITY_FOR(shard->back - shard->front);
    shard->held_bytes += capacity * sizeof *shard->slots - shard->capacity * sizeof *shard->slots;
    free(shard->slots);
    shard->slots = wr_calloc(capacity, sizeof *shard->slots);
    shard->capacity = capacity;
    shard->used = 0;
    for (uint64_t row = shard->front; row < shard->back; row++) {
        const struct wr_seen_key *key = row_at(shard, row);
        uint64_t at = home_of(shard, key);
        while (shard->slots[at] != EMPTY) {
            at = at + 1 == capacity ? 0 : at + 1;
        }
        put_slot(shard, at, key, row);
    }
}

/* |a - b|, which always fits. */
static uint64_t apart(int64_t a, int64_t b)
{
    return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

/* True when a row of this key lies no further than span from it; *free_at: where it would go. */
static bool find(const struct shard *shard, const struct wr_seen_key *key, uint64_t span,
                 uint64_t *free_at)
{
    uint64_t at = home_of(shard, key);
    const uint32_t tag = tag_of(key);
    *free_at = UINT64_MAX;
    for (; shard->slots[at] != EMPTY; at = at + 1 == shard->capacity ? 0 : at + 1) {
        const uint32_t slot = shard->slots[at];
        if ((slot & ~ROW_MASK) != tag && *free_at != UINT64_MAX) {
            continue;
        }
        const uint64_t row = row_of(shard, slot);
        if (row == UINT64_MAX) {
            *free_at = *free_at == UINT64_MAX ? at : *free_at;
        } else if ((slot & ~ROW_MASK) == tag) {
            const struct wr_seen_key *seen = row_at(shard, row);
            if (seen->low == key->low && seen->high == key->high &&
                apart(seen->event_us, key->event_us) <= span) {
                return true;
            }
        }
    }
    *free_at = *free_at == UINT64_MAX ? at : *free_at;
    return false;
}

/* free_at: what find has left. */
static void insert(struct shard *shard, const struct wr_seen_key *key, uint64_t free_at)
{
    const uint64_t row = append_row(shard, key);
    put_slot(shard, free_at, key, row);
    if (shard->used > LOAD_MOST(shard->capacity)) {
        build_index(shard);
    }
}

/* ---- forgetting ---- */

static bool expired(const struct wr_seen_set *set, const struct shard *shard,
                    const struct wr_seen_key *key)
{
    return key->event_us < shard->watermark_us &&
           apart(key->event_us, shard->watermark_us) > (uint64_t)set->within_us;
}

static void log_key(struct wr_buf *into, const struct wr_seen_key *key)
{
    uint8_t *at = (uint8_t *)wr_buf_reserve(into, RECORD_BYTES);
    const uint64_t words[3] = { key->high, key->low, (uint64_t)key->event_us };
    for (uint32_t w = 0; w < 3; w++) {
        for (uint32_t b = 0; b < 8; b++) {
            at[w * 8 + b] = (uint8_t)(words[w] >> 8 * b);
        }
    }
    into->bytes += RECORD_BYTES;
}

/* Moves the front to the back, told to log as if it were new. (1) allows it for settled rows only. */
static void move_front(struct shard *shard, struct wr_buf *log)
{
    const struct wr_seen_key key = *row_at(shard, shard->front);
    uint64_t at = home_of(shard, &key);
    const uint32_t mine = tag_of(&key) | ((uint32_t)shard->front & ROW_MASK);
    while (shard->slots[at] != mine) {
        wr_assert(shard->slots[at] != EMPTY); /* (2) */
        at = at + 1 == shard->capacity ? 0 : at + 1;
    }
    const uint64_t row = append_row(shard, &key);
    put_slot(shard, at, &key, row);
    drop_front(shard);
    if (log != NULL) {
        log_key(log, &key);
    }
}

static uint32_t drop_expired(const struct wr_seen_set *set, struct shard *shard, uint32_t most)
{
    uint32_t dropped = 0;
    while (dropped < most && shard->front < shard->back &&
           expired(set, shard, row_at(shard, shard->front))) {
        drop_front(shard);
        dropped++;
    }
    return dropped;
}

/* A bounded piece of upkeep. Something is stuck behind the front when a row in the midst has expired before it; one sample
 * each time finds a share of the dead rows in proportion to it. */
static void keep_up(const struct wr_seen_set *set, struct shard *shard, struct wr_buf *log,
                    uint32_t most)
{
    if (drop_expired(set, shard, most) > 0 || shard->front == shard->back) {
        return;
    }
    shard->sample = shard->sample * 1664525u + 1013904223u; /* Numerical Recipes' generator */
    const uint64_t kept = shard->back - shard->front;
    const uint64_t row = shard->front + (kept * (shard->sample >> 8) >> 24);
    if (!expired(set, shard, row_at(shard, row))) {
        return;
    }
    for (uint32_t i = 0; i < MOVE_ROWS && shard->front < shard->back; i++) {
        if (expired(set, shard, row_at(shard, shard->front))) {
            drop_front(shard);
        } else if (set->logging && shard->front >= shard->settled) {
            return; /* (1) */
        } else {
            move_front(shard, set->logging ? log : NULL);
        }
    }
}

void wr_seen_set_expire(struct wr_seen_set *set, uint32_t worker, int64_t watermark_us)
{
    struct log *log = &set->logs[worker];
    /* A watermark that has hardly moved is not worth a lock per shard. */
    const bool tell = watermark_us > log->told_us &&
                      (watermark_us == WR_TIME_MAX || log->told_us == WR_TIME_MIN ||
                       apart(watermark_us, log->told_us) > set->told_every);
    for (uint32_t s = worker; tell && s < WR_SHARDS; s += set->workers) {
        struct shard *shard = &set->shards[s];
        pthread_mutex_lock(&shard->lock);
        shard->watermark_us = watermark_us > shard->watermark_us ? watermark_us
                                                                 : shard->watermark_us;
        pthread_mutex_unlock(&shard->lock);
    }
    log->told_us = tell ? watermark_us : log->told_us;
    if (worker >= WR_SHARDS) {
        return;
    }
    struct shard *shard = &set->shards[log->next_shard];
    log->next_shard += set->workers;
    log->next_shard = log->next_shard >= WR_SHARDS ? worker : log->next_shard;
    pthread_mutex_lock(&shard->lock);
    keep_up(set, shard, &log->records, EXPIRE_ROWS);
    pthread_mutex_unlock(&shard->lock);
}

void wr_seen_set_expire_before(struct wr_seen_set *set, uint32_t worker, int64_t position)
{
    wr_assert(set->within_us == BY_POSITION && position >= 0 && position < BY_POSITION);
    wr_seen_set_expire(set, worker, position + BY_POSITION);
}

/* ---- checking ---- */

static bool check_one(struct wr_seen_set *set, struct shard *shard, struct wr_buf *log,
                      const struct wr_seen_key *key)
{
    uint64_t free_at;
    if (shard->slots == NULL) {
        build_index(shard);
    }
    if (find(shard, key, (uint64_t)set->within_us, &free_at)) {
        return false;
    }
    insert(shard, key, free_at);
    if (set->logging) {
        log_key(log, key);
    }
    if (shard->back % KEEP_UP_EVERY == 0) {
        keep_up(set, shard, log, KEEP_UP_ROWS);
    }
    return true;
}

/* At most WR_BATCH_ROWS_MAX keys: sorted by shard, in their order within each, so that a lock is taken once per shard. */
static void check_some(struct wr_seen_set *set, struct wr_buf *log, const struct wr_seen_key *keys,
                       uint32_t count, bool *fresh)
{
    uint32_t starts[WR_SHARDS + 1] = { 0 };
    uint16_t order[WR_BATCH_ROWS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        starts[shard_of(&keys[i]) + 1]++;
    }
    for (uint32_t s = 0; s < WR_SHARDS; s++) {
        starts[s + 1] += starts[s];
    }
    uint32_t next[WR_SHARDS];
    memcpy(next, starts, sizeof next);
    for (uint32_t i = 0; i < count; i++) {
        order[next[shard_of(&keys[i])]++] = (uint16_t)i;
    }
    for (uint32_t s = 0; s < WR_SHARDS; s++) {
        struct shard *shard = &set->shards[s];
        if (starts[s] == starts[s + 1]) {
            continue;
        }
        pthread_mutex_lock(&shard->lock);
        for (uint32_t i = starts[s]; shard->slots != NULL && i < starts[s + 1]; i++) {
            __builtin_prefetch(&shard->slots[home_of(shard, &keys[order[i]])]);
        }
        for (uint32_t i = starts[s]; i < starts[s + 1]; i++) {
            fresh[order[i]] = check_one(set, shard, log, &keys[order[i]]);
        }
        pthread_mutex_unlock(&shard->lock);
    }
}

void wr_seen_set_check(struct wr_seen_set *set, uint32_t worker, const struct wr_seen_key *keys,
                       uint32_t count, bool *fresh)
{
    for (uint32_t at = 0; at < count; at += WR_BATCH_ROWS_MAX) {
        const uint32_t left = count - at;
        check_some(set, &set->logs[worker].records, keys + at,
                   left < WR_BATCH_ROWS_MAX ? left : WR_BATCH_ROWS_MAX, fresh + at);
    }
}

/* ---- epochs ---- */

static void add_mark(struct shard *shard, uint64_t epoch)
{
    if (shard->mark_count > shard->mark_first &&
        shard->marks[shard->mark_count - 1].row == shard->back) {
        shard->marks[shard->mark_count - 1].epoch = epoch; /* nothing came since: what comes is logged now or later */
        return;
    }
    if (shard->mark_count == shard->mark_capacity && shard->mark_first >= shard->mark_capacity / 2 &&
        shard->mark_first > 0) {
        shard->mark_count -= shard->mark_first;
        memmove(shard->marks, shard->marks + shard->mark_first,
                sizeof *shard->marks * shard->mark_count);
        shard->mark_first = 0;
    } else if (shard->mark_count == shard->mark_capacity) {
        shard->mark_capacity = shard->mark_capacity * 2 + 8;
        shard->marks = wr_realloc(shard->marks, sizeof *shard->marks * shard->mark_capacity);
    }
    shard->marks[shard->mark_count++] = (struct mark){ epoch, shard->back };
}

/* (3): marks that the front has reached say what is needed from here on. */
static void pass_marks(struct shard *shard)
{
    while (shard->mark_first < shard->mark_count &&
           shard->marks[shard->mark_first].row <= shard->front) {
        shard->base = shard->marks[shard->mark_first++].epoch;
    }
}

/* The first worker at the cut of an epoch: nobody puts anything in for a later epoch before this has returned. */
static void begin_cut(struct wr_seen_set *set, uint64_t epoch)
{
    uint64_t base = epoch; /* what others put in before their own cuts of it is still to come */
    for (uint32_t s = 0; s < WR_SHARDS; s++) {
        struct shard *shard = &set->shards[s];
        pthread_mutex_lock(&shard->lock);
        if (set->cut_epoch == 0) {
            shard->base = epoch; /* nothing was logged before */
        }
        pass_marks(shard);
        if (shard->front < shard->back) {
            base = shard->base < base ? shard->base : base;
        }
        add_mark(shard, epoch);
        shard->settled = shard->back; /* (1) */
        pthread_mutex_unlock(&shard->lock);
    }
    set->cut_epoch = epoch;
    set->base = base;
}

static uint64_t rewrite_budget(const struct shard *shard, uint64_t epoch)
{
    if (shard->front == shard->back || epoch - shard->base <= LAG_EPOCHS) {
        return 0;
    }
    const uint64_t part = (shard->back - shard->front) / REWRITE_PART + 1;
    return part > REWRITE_LEAST / WR_SHARDS ? part : REWRITE_LEAST / WR_SHARDS;
}

static void rewrite(struct wr_seen_set *set, struct shard *shard, uint64_t epoch, struct wr_buf *log)
{
    pthread_mutex_lock(&shard->lock);
    pass_marks(shard);
    for (uint64_t left = rewrite_budget(shard, epoch); left > 0 && shard->front < shard->settled;
         left--) {
        if (expired(set, shard, row_at(shard, shard->front))) {
            drop_front(shard);
        } else {
            move_front(shard, log);
        }
    }
    pthread_mutex_unlock(&shard->lock);
}

void wr_seen_set_snapshot(struct wr_seen_set *set, uint32_t worker, uint64_t epoch,
                          struct wr_buf *into)
{
    struct log *log = &set->logs[worker];
    wr_assert(set->logging && worker < set->workers);
    pthread_mutex_lock(&set->cut_lock);
    if (epoch > set->cut_epoch) {
        begin_cut(set, epoch);
    }
    if (log->records.bytes > set->log_bytes) {
        set->log_bytes = log->records.bytes;
    }
    pthread_mutex_unlock(&set->cut_lock);
    for (uint32_t s = worker; s < WR_SHARDS; s += set->workers) {
        rewrite(set, &set->shards[s], epoch, &log->records);
    }
    wr_buf_append(into, log->records.data, log->records.bytes);
    log->records.bytes = 0;
}

uint64_t wr_seen_set_base(struct wr_seen_set *set)
{
    pthread_mutex_lock(&set->cut_lock);
    const uint64_t base = set->base;
    pthread_mutex_unlock(&set->cut_lock);
    return base;
}

static struct wr_seen_key read_record(const uint8_t *at)
{
    uint64_t words[3] = { 0 };
    for (uint32_t w = 0; w < 3; w++) {
        for (uint32_t b = 0; b < 8; b++) {
            words[w] |= (uint64_t)at[w * 8 + b] << 8 * b;
        }
    }
    return (struct wr_seen_key){ words[0], words[1], (int64_t)words[2] };
}

/* Marks what comes now as of this epoch. */
static void begin_restore(struct wr_seen_set *set, uint64_t epoch)
{
    for (uint32_t s = 0; s < WR_SHARDS; s++) {
        if (set->shards[s].front == set->shards[s].back) {
            set->shards[s].base = epoch;
        } else {
            add_mark(&set->shards[s], epoch);
        }
    }
    set->cut_epoch = epoch;
    set->base = set->base < epoch ? set->base : epoch;
}

wr_status wr_seen_set_restore(struct wr_seen_set *set, uint64_t epoch, const void *records,
                              size_t bytes, struct wr_error *err)
{
    wr_ensure(bytes % RECORD_BYTES == 0, err, WR_CLASS_FATAL,
              "the snapshot of seen keys is damaged: %zu bytes are not whole records", bytes);
    wr_ensure(epoch >= set->cut_epoch, err, WR_CLASS_FATAL,
              "the snapshots of seen keys are out of order: epoch %llu after %llu",
              (unsigned long long)epoch, (unsigned long long)set->cut_epoch);
    if (epoch > set->cut_epoch) {
        begin_restore(set, epoch);
    }
    for (size_t at = 0; at < bytes; at += RECORD_BYTES) {
        const struct wr_seen_key key = read_record((const uint8_t *)records + at);
        struct shard *shard = &set->shards[shard_of(&key)];
        uint64_t free_at;
        if (shard->slots == NULL) {
            build_index(shard);
        }
        if (!find(shard, &key, 0, &free_at)) { /* a rewritten one may be there already */
            wr_ensure(shard->back - shard->front < ROW_MASK, err, WR_CLASS_FATAL,
                      "the snapshots hold more keys than fit");
            insert(shard, &key, free_at);
        }
        shard->settled = shard->back;
    }
    return WR_OK;
}

uint64_t wr_seen_set_bytes(struct wr_seen_set *set)
{
    pthread_mutex_lock(&set->cut_lock);
    uint64_t bytes = sizeof *set + set->workers * (sizeof *set->logs + 2 * set->log_bytes);
    pthread_mutex_unlock(&set->cut_lock);
    for (uint32_t s = 0; s < WR_SHARDS; s++) {
        pthread_mutex_lock(&set->shards[s].lock);
        bytes += set->shards[s].held_bytes;
        pthread_mutex_unlock(&set->shards[s].lock);
    }
    return bytes;
}

uint64_t wr_seen_set_count(struct wr_seen_set *set)
{
    uint64_t count = 0;
    for (uint32_t s = 0; s < WR_SHARDS; s++) {
        pthread_mutex_lock(&set->shards[s].lock);
        count += set->shards[s].back - set->shards[s].front;
        pthread_mutex_unlock(&set->shards[s].lock);
    }
    return count;
}
