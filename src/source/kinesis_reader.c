/* kinesis_reader.c: a worker's shards' queues -> polls. Records are lent where their answer lies (kinesis_block.h); steady state
 * allocates nothing here: records objects are pooled. */
#include "source/kinesis_source.h"

#include "base/assert.h"
#include "base/heap.h"
#include <stdlib.h>

struct kinesis_records {
    struct wr_records base; /* first: records and this are the same address */
    struct kinesis_records *next;
    struct wr_kinesis_block *block;
};

struct wr_reader {
    struct wr_source *source;
    uint32_t worker;
    uint32_t unconfirmed; /* told open with the last poll */
    uint32_t next;        /* split to look at first: all get their turn */
    bool told_failure;
    struct kinesis_records *free;
    uint32_t records_out;
    char note[WR_SPLIT_NOTE_BYTES_MAX]; /* of the last poll */
};

static void wake_workers(struct wr_source *s)
{
    for (uint32_t w = 0; w < s->env.workers; w++) {
        s->env.wake(s->env.wake_ctx, w);
    }
}

wr_status wr_kinesis_reader_open(struct wr_reader **out, struct wr_source *s, uint32_t worker,
                                 struct wr_io *io, struct wr_error *err)
{
    struct wr_reader *r = wr_calloc(1, sizeof *r);
    r->source = s;
    r->worker = worker;
    *out = r;
    pthread_mutex_lock(&s->lock);
    const bool all = ++s->readers_open == s->env.workers;
    pthread_mutex_unlock(&s->lock);
    if (all) {
        wake_workers(s);
    }
    return all ? wr_kinesis_fetchers_start(s, err) : WR_OK;
}

void wr_kinesis_reader_close(struct wr_reader *r)
{
    wr_assert(r->records_out == 0);
    while (r->free != NULL) {
        struct kinesis_records *records = r->free;
        r->free = records->next;
        free(records);
    }
    free(r);
}

/* ---- records ---- */

/* A block is done with: its memory may be used again. */
static void let_go(struct wr_source *s, struct wr_kinesis_block *block)
{
    const uint64_t held = block->refs == 1 ? block->held : 0;
    wr_kinesis_block_release(block);
    if (held > 0) {
        pthread_mutex_lock(&s->lock);
        s->held -= held; /* (2) */
        const bool wake = s->starved;
        s->starved = false;
        pthread_mutex_unlock(&s->lock);
        if (wake) {
            wr_kinesis_fetchers_wake(s);
        }
    }
}

static void release_records(struct wr_records *base)
{
    struct kinesis_records *records = (struct kinesis_records *)base;
    struct wr_reader *r = base->owner;
    let_go(r->source, records->block);
    records->next = r->free;
    r->free = records;
    r->records_out--;
}

/* Lends up to rows of the block's items. */
static struct wr_records *lend(struct wr_reader *r, struct wr_kinesis_block *block, uint32_t split)
{
    const uint32_t left = block->count - block->given;
    const uint32_t count = left < r->source->env.batch_rows ? left : r->source->env.batch_rows;
    struct kinesis_records *records = r->free;
    if (records == NULL) {
        records = wr_malloc(sizeof *records);
    } else {
        r->free = records->next;
    }
    records->next = NULL;
    records->block = block;
    records->base = (struct wr_records){ .items = block->items + block->given,
                                         .count = count,
                                         .refs = 1,
                                         .split = split,
                                         .release = release_records,
                                         .owner = r };
    for (uint32_t i = 0; i < count; i++) {
        records->base.payload_bytes += records->base.items[i].bytes;
    }
    r->records_out++;
    block->refs++;
    block->given += count;
    return &records->base;
}

/* ---- polls ---- */

static void open_split(struct wr_reader *r, struct wr_kinesis_shard *shard, struct wr_poll *out)
{
    shard->to_open = false;
    r->source->pending[r->worker] -= shard->first == NULL; /* (3) */
    r->unconfirmed = 1;
    *out = (struct wr_poll){ .kind = WR_POLL_SPLIT_OPENED,
                             .split = shard->split,
                             .split_name = shard->name,
                             .split_note = shard->note,
                             .topic = r->source->api.stream,
                             .partition = shard->partition,
                             .next_position = shard->start_position };
}

/* The first block is given whole: takes it off the queue. */
static struct wr_kinesis_block *take_first(struct wr_reader *r, struct wr_kinesis_shard *shard)
{
    struct wr_kinesis_block *block = shard->first;
    shard->first = block->next;
    shard->last = shard->first == NULL ? NULL : shard->last;
    shard->queued -= block->held;
    r->source->pending[r->worker] -= shard->first == NULL; /* (3) */
    return block;
}

/* The note behind the last item given. */
static void note_rows(struct wr_reader *r, const struct wr_kinesis_shard *shard,
                      const struct wr_kinesis_block *block)
{
    const struct wr_kinesis_mark *mark = &block->marks[block->given - 1];
    struct wr_kinesis_from from = { .kind = WR_KINESIS_AFTER };
    memcpy(from.cursor.sequence, mark->sequence, mark->sequence_bytes);
    if (mark->packed && !mark->last) {
        from.kind = WR_KINESIS_AT;
        from.cursor.within = true;
        from.cursor.sub = mark->sub;
    }
    wr_kinesis_note_write(&from, shard->since_ms, false, r->note);
}

static struct wr_kinesis_block *give_rows(struct wr_reader *r, struct wr_kinesis_shard *shard,
                                          struct wr_poll *out)
{
    struct wr_kinesis_block *block = shard->first;
    out->kind = WR_POLL_ROWS;
    out->split = shard->split;
    out->records = lend(r, block, shard->split);
    out->next_position = block->items[block->given - 1].position + 1;
    note_rows(r, shard, block);
    out->split_note = r->note;
    const bool more = block->given < block->count || block->caught_up || block->ended;
    return more ? NULL : take_first(r, shard);
}

/* True: told; else its children are to be opened first. */
static bool give_end(struct wr_reader *r, struct wr_kinesis_shard *shard, struct wr_poll *out, bool *wake)
{
    struct wr_source *s = r->source;
    const bool closed = shard->first->closed;
    if (closed && !shard->children_announced) {
        *wake = wr_kinesis_announce_children(s, shard);
    }
    if (!wr_open_gate_is_open(&s->gate)) {
        return false;
    }
    shard->ended = true;
    s->ended_count++;
    out->kind = WR_POLL_SPLIT_ENDED;
    out->split = shard->split;
    if (closed) {
        wr_kinesis_note_write(&shard->start, shard->since_ms, true, r->note);
        out->split_note = r->note;
    }
    return true;
}

/* What the shard has to tell, if it may. *done: a block to be let go of. */
static bool tell(struct wr_reader *r, struct wr_kinesis_shard *shard, struct wr_poll *out,
                 struct wr_kinesis_block **done, bool *wake)
{
    struct wr_kinesis_block *block = shard->first;
    if (block == NULL || shard->to_open || (shard->paused && !block->ended)) {
        return false;
    }
    if (block->given < block->count) {
        *done = give_rows(r, shard, out);
        return true;
    }
    if (block->ended && !give_end(r, shard, out, wake)) {
        return false;
    }
    if (!block->ended) {
        out->kind = block->caught_up ? WR_POLL_SPLIT_CAUGHT_UP : WR_POLL_SPLIT_UNREACHABLE;
        out->split = shard->split;
    }
    *done = take_first(r, shard);
    return true;
}

static bool find_open(struct wr_reader *r, struct wr_poll *out)
{
    struct wr_source *s = r->source;
    for (uint32_t i = 0; i < s->split_count; i++) {
        if (s->splits[i]->worker == r->worker && s->splits[i]->to_open) {
            open_split(r, s->splits[i], out);
            return true;
        }
    }
    return false;
}

static void find_rows(struct wr_reader *r, struct wr_poll *out, struct wr_kinesis_block **done, bool *wake)
{
    struct wr_source *s = r->source;
    for (uint32_t i = 0; i < s->split_count; i++) {
        const uint32_t at = (r->next + i) % s->split_count;
        if (s->splits[at]->worker == r->worker && tell(r, s->splits[at], out, done, wake)) {
            r->next = at + 1;
            return;
        }
    }
}

/* Under lock. *wake: others have to look again. */
static void look(struct wr_reader *r, struct wr_poll *out, struct wr_kinesis_block **done, bool *wake)
{
    struct wr_source *s = r->source;
    if (s->pending[r->worker] > 0 && !find_open(r, out) && wr_open_gate_is_open(&s->gate)) {
        find_rows(r, out, done, wake);
    }
    if (out->kind == WR_POLL_SPLIT_ENDED) {
        *wake = wr_kinesis_release_children(s, s->splits[out->split]) || *wake ||
                s->ended_count == s->split_count;
    } else if (out->kind == WR_POLL_NOTHING && s->env.bounded && s->ended_count == s->split_count) {
        out->kind = WR_POLL_FINISHED;
    }
    *wake = *wake && s->readers_open == s->env.workers; /* the last one to open wakes all */
}

wr_status wr_kinesis_reader_poll(struct wr_reader *r, struct wr_time now, struct wr_batch *batch,
                                 struct wr_poll *out, struct wr_error *err)
{
    struct wr_source *s = r->source;
    struct wr_kinesis_block *done = NULL;
    bool wake = false;
    wr_open_gate_confirm(&s->gate, r->unconfirmed);
    r->unconfirmed = 0;
    pthread_mutex_lock(&s->lock);
    const bool failed = s->failure.cls != WR_CLASS_NONE;
    if (!failed) {
        look(r, out, &done, &wake);
    } else if (!r->told_failure && err != NULL) {
        *err = s->failure;
    }
    pthread_mutex_unlock(&s->lock);
    if (done != NULL) {
        let_go(s, done);
    }
    if (wake) {
        wr_kinesis_fetchers_wake(s);
        wake_workers(s);
    }
    if (failed && !r->told_failure) {
        r->told_failure = true;
        return WR_FAIL;
    }
    return WR_OK;
}

void wr_kinesis_reader_pause(struct wr_reader *r, uint32_t split, bool paused)
{
    struct wr_source *s = r->source;
    pthread_mutex_lock(&s->lock);
    if (split < s->split_count) {
        s->splits[split]->paused = paused;
    }
    pthread_mutex_unlock(&s->lock);
    if (!paused) {
        wr_kinesis_fetchers_wake(s);
        s->env.wake(s->env.wake_ctx, r->worker);
    }
}
