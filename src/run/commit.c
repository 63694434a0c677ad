#include "run/commit.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/heap.h"
#include "exec/exec.h"
#include "run/recovery.h"
#include "run/sink_worker.h"
#include "state/seen_set.h"

struct building {
    const struct wr_pipeline *p;
    const struct wr_manifest *head;
    const struct wr_epoch_cut *cut;
    struct wr_manifest *next;
    /* Ledger lines of next by (sink, source, split): there is one for each, so looking through all of them would be quadratic. */
    uint32_t *line_slots; /* a power of two; number of the line + 1, 0: free */
    uint32_t line_mask;
    uint32_t split_hint;  /* where split_name found the last one: lines come in the order of splits */
};

static const char *copy(struct building *b, const char *text)
{
    return wr_arena_strndup(&b->next->arena, text, strlen(text));
}

static void *allot(struct building *b, size_t count, size_t bytes)
{
    void *items = wr_arena_alloc(&b->next->arena, (count + 1) * bytes);
    memset(items, 0, (count + 1) * bytes);
    return items;
}

/* ---- cuts ---- */

static const struct wr_manifest_cut *newest(const struct wr_manifest *m)
{
    return m->cut_count > 0 ? &m->cuts[m->cut_count - 1] : NULL;
}

/* (4): WR_TIME_MIN when there are no windows. */
static int64_t closed_through(const struct wr_epoch_cut *cut)
{
    int64_t closed = WR_TIME_MIN;
    for (uint32_t i = 0; i < cut->operators.count; i++) {
        const int64_t at = cut->operators.items[i].watermark_us;
        closed = at > closed && at != WR_TIME_MAX ? at : closed;
    }
    return closed;
}

static int64_t emitted_of(const struct wr_epoch_cut *cut, uint32_t source)
{
    for (uint32_t i = 0; i < cut->sources.count; i++) {
        if (cut->sources.items[i].source == source) {
            return cut->sources.items[i].emitted_us;
        }
    }
    return WR_TIME_MIN;
}

static void put_split(struct wr_manifest_source *into, const struct wr_manifest_split *split)
{
    for (uint32_t i = 0; i < into->split_count; i++) {
        struct wr_manifest_split *have = &into->splits[i];
        if (strcmp(have->name, split->name) == 0) {
            if (split->position >= have->position) { /* one that moved between workers: the newer */
                *have = *split;
            }
            return;
        }
    }
    into->splits[into->split_count++] = *split;
}

static void cut_source(struct building *b, uint32_t source, struct wr_manifest_source *into)
{
    const char *name = b->p->plan->sources[source].name;
    const struct wr_manifest_cut *before = newest(b->head);
    const struct wr_manifest_source *old =
        before != NULL ? wr_manifest_source_of(before, name) : NULL;
    int64_t emitted = emitted_of(b->cut, source);
    int64_t raise = WR_TIME_MIN;
    into->name = copy(b, name);
    into->splits = allot(b, b->cut->splits.count + (old != NULL ? old->split_count : 0),
                         sizeof *into->splits);
    for (uint32_t i = 0; i < b->cut->splits.count; i++) {
        const struct wr_split_cut *at = &b->cut->splits.items[i];
        if (at->source == source && at->watermark_us > raise) {
            raise = at->watermark_us;
        }
    }
    if (emitted == WR_TIME_MAX) { /* (4) */
        const int64_t closed = closed_through(b->cut);
        raise = closed > raise ? closed : raise;
        emitted = raise;
    } else {
        raise = WR_TIME_MIN;
    }
    into->emitted_us = old != NULL && old->emitted_us > emitted ? old->emitted_us : emitted;
    for (uint32_t i = 0; i < b->cut->splits.count; i++) {
        const struct wr_split_cut *at = &b->cut->splits.items[i];
        if (at->source == source) {
            const struct wr_manifest_split split = {
                .name = copy(b, at->name),
                .position = at->next_position,
                .watermark_us = at->watermark_us > raise ? at->watermark_us : raise,
                .max_event_us = at->max_event_us,
                .idle = at->idle,
                .note = at->note != NULL ? copy(b, at->note) : NULL,
            };
            put_split(into, &split);
        }
    }
    const uint32_t seen = into->split_count;
    for (uint32_t i = 0; old != NULL && i < old->split_count; i++) { /* (2) */
        bool have = false;
        for (uint32_t j = 0; j < seen && !have; j++) {
            have = strcmp(into->splits[j].name, old->splits[i].name) == 0;
        }
        if (!have) {
            struct wr_manifest_split split = old->splits[i];
            split.name = copy(b, split.name);
            split.note = split.note != NULL ? copy(b, split.note) : NULL;
            into->splits[into->split_count++] = split;
        }
    }
}

static void copy_cut(struct building *b, const struct wr_manifest_cut *from,
                     struct wr_manifest_cut *into)
{
    *into = (struct wr_manifest_cut){ .epoch = from->epoch, .source_count = from->source_count };
    into->sources = allot(b, from->source_count, sizeof *into->sources);
    for (uint32_t s = 0; s < from->source_count; s++) {
        const struct wr_manifest_source *source = &from->sources[s];
        into->sources[s] = *source;
        into->sources[s].name = copy(b, source->name);
        into->sources[s].splits = allot(b, source->split_count, sizeof *source->splits);
        for (uint32_t i = 0; i < source->split_count; i++) {
            into->sources[s].splits[i] = source->splits[i];
            struct wr_manifest_split *split = &into->sources[s].splits[i];
            split->name = copy(b, split->name);
            split->note = split->note != NULL ? copy(b, split->note) : NULL;
        }
    }
}

static bool in_use(const struct wr_manifest *next, uint64_t epoch)
{
    for (uint32_t k = 0; k < next->sink_count; k++) {
        if (next->sinks[k].cut == epoch) {
            return true;
        }
    }
    for (uint32_t i = 0; i < next->operator_count; i++) {
        if (next->operators[i].cut == epoch) {
            return true;
        }
    }
    return false;
}

static void build_cuts(struct building *b)
{
    struct wr_manifest *next = b->next;
    next->cuts = allot(b, b->head->cut_count + 1, sizeof *next->cuts);
    for (uint32_t i = 0; i < b->head->cut_count; i++) { /* (1) */
        if (in_use(next, b->head->cuts[i].epoch)) {
            copy_cut(b, &b->head->cuts[i], &next->cuts[next->cut_count++]);
        }
    }
    struct wr_manifest_cut *cut = &next->cuts[next->cut_count++];
    cut->epoch = b->cut->epoch;
    cut->sources = allot(b, b->p->plan->source_count, sizeof *cut->sources);
    cut->source_count = b->p->plan->source_count;
    for (uint32_t s = 0; s < cut->source_count; s++) {
        cut_source(b, s, &cut->sources[s]);
    }
}

/* ---- activations ---- */

/* The smallest position of a split over all cuts in use; INT64_MIN: some cut does not know it. */
static int64_t oldest_position(const struct wr_manifest *m, const char *source, const char *split)
{
    int64_t oldest = INT64_MAX;
    for (uint32_t i = 0; i < m->cut_count; i++) {
        const struct wr_manifest_source *s = wr_manifest_source_of(&m->cuts[i], source);
        const struct wr_manifest_split *at = s != NULL ? wr_manifest_split_of(s, split) : NULL;
        if (at == NULL) {
            return INT64_MIN;
        }
        oldest = at->position < oldest ? at->position : oldest;
    }
    return oldest;
}

static void keep_activation(struct building *b, const char *source, const char *split,
                            int64_t position, int64_t floor_us)
{
    if (oldest_position(b->next, source, split) > position) {
        return; /* every cut stands behind it: its effect is in their watermarks (3) */
    }
    struct wr_manifest_activation *a = &b->next->activations[b->next->activation_count++];
    *a = (struct wr_manifest_activation){ copy(b, source), copy(b, split), position, floor_us };
}

/* An activation at the very position of a cut is in that cut's watermark already: only strictly older cuts need it. A replay that meets it
 * again does no harm, the watermark is there. */
static void build_activations(struct building *b)
{
    const struct wr_manifest *head = b->head;
    b->next->activations = allot(b, head->activation_count + b->cut->activations.count,
                                 sizeof *b->next->activations);
    for (uint32_t i = 0; i < head->activation_count; i++) {
        const struct wr_manifest_activation *a = &head->activations[i];
        keep_activation(b, a->source, a->split, a->position, a->floor_us);
    }
    for (uint32_t i = 0; i < b->cut->activations.count; i++) {
        const struct wr_activation_cut *a = &b->cut->activations.items[i];
        keep_activation(b, b->p->plan->sources[a->source].name, a->split, a->position, a->floor_us);
    }
}

/* ---- sinks and operators ---- */

static void build_sinks(struct building *b)
{
    const struct wr_plan *plan = b->p->plan;
    const struct wr_manifest_cut *before = newest(b->head);
    b->next->sinks = allot(b, plan->sink_count, sizeof *b->next->sinks);
    b->next->sink_count = plan->sink_count;
    for (uint32_t k = 0; k < plan->sink_count; k++) {
        struct wr_manifest_sink *sink = &b->next->sinks[k];
        const struct wr_manifest_sink *old = wr_manifest_sink_of(b->head, plan->sinks[k].name);
        sink->name = copy(b, plan->sinks[k].name);
        sink->connector = copy(b, plan->sinks[k].connector);
        sink->exactly_once = b->p->exactly_once[k];
        if (!wr_pipeline_joins(b->p, k, b->cut->epoch, b->cut->final)) {
            sink->cut = old != NULL ? old->cut : (before != NULL ? before->epoch : 0);
            sink->published = true; /* the epoch before this one was finished */
            continue;
        }
        sink->cut = b->cut->epoch;
        struct wr_receipt *receipts =
            wr_sink_receipts(b->p, k, b->cut->epoch, &sink->receipt_count);
        sink->receipts = allot(b, sink->receipt_count, sizeof *sink->receipts);
        for (uint32_t i = 0; i < sink->receipt_count; i++) {
            const char *text =
                wr_arena_strndup(&b->next->arena, receipts[i].text, receipts[i].bytes);
            sink->receipts[i] = (struct wr_slice){ text, receipts[i].bytes };
        }
        sink->published = sink->receipt_count == 0;
        free(receipts);
    }
}

static int64_t node_watermark(const struct wr_epoch_cut *cut, uint32_t node)
{
    for (uint32_t i = 0; i < cut->operators.count; i++) {
        if (cut->operators.items[i].node == node) {
            return cut->operators.items[i].watermark_us;
        }
    }
    return WR_TIME_MIN;
}

static void build_operators(struct building *b)
{
    const struct wr_plan *plan = b->p->plan;
    struct wr_buf text = { 0 };
    b->next->operators = allot(b, plan->node_count, sizeof *b->next->operators);
    for (uint32_t n = 0; n < plan->node_count; n++) {
        if (plan->nodes[n].kind != WR_NODE_WINDOW) {
            continue;
        }
        struct wr_manifest_operator *op = &b->next->operators[b->next->operator_count++];
        const struct wr_manifest_operator *old = wr_manifest_operator_of(b->head, plan->nodes[n].name);
        op->name = copy(b, plan->nodes[n].name);
        text.bytes = 0;
        wr_exec_fingerprint(plan, n, &text);
        op->fingerprint = copy(b, wr_buf_cstr(&text));
        const bool joins = wr_pipeline_node_joins(b->p, n, b->cut->epoch, b->cut->final);
        op->cut = joins ? b->cut->epoch : (old != NULL ? old->cut : 0);
        op->watermark_us = joins       ? node_watermark(b->cut, n)
                           : old != NULL ? old->watermark_us
                                         : WR_TIME_MIN;
    }
    wr_buf_deinit(&text);
}

/* What deduplication remembers is needed from here on. */
static uint64_t seen_base(const struct building *b)
{
    uint64_t base = UINT64_MAX;
    for (uint32_t s = 0; b->p->seen != NULL && s < b->p->plan->source_count; s++) {
        if (b->p->seen[s] != NULL) {
            const uint64_t own = wr_seen_set_base(b->p->seen[s]);
            base = own < base ? own : base;
        }
    }
    return base;
}

/* Of the head's snapshots in ascending epochs: keep[i]. */
static bool *needed_snapshots(struct building *b)
{
    const struct wr_manifest *head = b->head;
    bool *keep = allot(b, head->snapshot_count, sizeof *keep);
    const uint64_t from = seen_base(b);
    for (uint32_t i = 0; i < head->snapshot_count; i++) {
        keep[i] = head->snapshots[i].epoch >= from;
    }
    for (uint32_t n = 0; n < b->cut->needed.count; n++) {
        const uint64_t epoch = b->cut->needed.items[n].epoch;
        uint32_t low = 0;
        for (uint32_t high = head->snapshot_count; low < high;) { /* the first one of that epoch */
            const uint32_t middle = low + (high - low) / 2;
            if (head->snapshots[middle].epoch < epoch) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        for (; low < head->snapshot_count && head->snapshots[low].epoch == epoch; low++) {
            keep[low] = true;
        }
    }
    return keep;
}

static void build_snapshots(struct building *b, const struct wr_stored_snapshot *stored,
                            uint32_t stored_count)
{
    const struct wr_manifest *head = b->head;
    const bool *keep = needed_snapshots(b);
    b->next->snapshots = allot(b, head->snapshot_count + stored_count, sizeof *b->next->snapshots);
    for (uint32_t i = 0; i < head->snapshot_count; i++) {
        if (keep[i]) {
            struct wr_manifest_snapshot *s = &b->next->snapshots[b->next->snapshot_count++];
            *s = head->snapshots[i];
            s->key = copy(b, s->key);
        }
    }
    for (uint32_t i = 0; i < stored_count; i++) {
        b->next->snapshots[b->next->snapshot_count++] = (struct wr_manifest_snapshot){
            copy(b, stored[i].key), b->cut->epoch, stored[i].bytes
        };
    }
}

/* ---- the ledger ---- */

static void index_lines(struct building *b, uint32_t most)
{
    uint32_t slots = 16;
    while (slots / 2 < most) {
        slots *= 2;
    }
    b->line_slots = wr_calloc(slots, sizeof *b->line_slots);
    b->line_mask = slots - 1;
}

/* The line's slot, or the free one that is its place. */
static uint32_t *slot_of(struct building *b, const char *sink, const char *source, const char *split)
{
    uint64_t hash = wr_hash_bytes(sink, strlen(sink));
    hash = wr_hash_combine(hash, wr_hash_bytes(source, strlen(source)));
    hash = wr_hash_combine(hash, wr_hash_bytes(split, strlen(split)));
    for (uint32_t at = (uint32_t)hash & b->line_mask;; at = (at + 1) & b->line_mask) {
        if (b->line_slots[at] == 0) {
            return &b->line_slots[at];
        }
        const struct wr_manifest_ledger *line = &b->next->ledger[b->line_slots[at] - 1];
        if (strcmp(line->split, split) == 0 && strcmp(line->sink, sink) == 0 &&
            strcmp(line->source, source) == 0) {
            return &b->line_slots[at];
        }
    }
}

/* A line more, at the free slot that slot_of found; its texts are copied. */
static struct wr_manifest_ledger *new_line(struct building *b, uint32_t *slot,
                                           const struct wr_manifest_ledger *like)
{
    struct wr_manifest_ledger *line = &b->next->ledger[b->next->ledger_count++];
    *slot = b->next->ledger_count;
    *line = *like;
    line->sink = copy(b, like->sink);
    line->source = copy(b, like->source);
    line->split = copy(b, like->split);
    return line;
}

static const char *split_name(struct building *b, uint32_t source, uint32_t split)
{
    const uint32_t count = b->cut->splits.count;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t n = (b->split_hint + i) % count;
        const struct wr_split_cut *at = &b->cut->splits.items[n];
        if (at->source == source && at->split == split) {
            b->split_hint = n;
            return at->name;
        }
    }
    return NULL;
}

static void add_line(struct building *b, const struct wr_ledger_cut *at)
{
    const struct wr_plan *plan = b->p->plan;
    const char *split = split_name(b, at->source, at->split);
    if (split == NULL || !wr_pipeline_joins(b->p, at->sink, b->cut->epoch, b->cut->final)) {
        return;
    }
    const struct wr_manifest_ledger named = { .sink = plan->sinks[at->sink].name,
                                              .source = plan->sources[at->source].name,
                                              .split = split };
    uint32_t *slot = slot_of(b, named.sink, named.source, split);
    struct wr_manifest_ledger *line =
        *slot == 0 ? new_line(b, slot, &named) : &b->next->ledger[*slot - 1];
    line->read += at->counts.read; /* workers between which a split moved add up */
    line->landed += at->counts.passed;
    line->late += at->counts.late;
    line->partly_late += at->counts.partly_late;
    line->dead_lettered += at->counts.dead_lettered;
    line->filtered += at->counts.filtered;
}

static bool is_sink_of_plan(const struct wr_plan *plan, const char *name)
{
    for (uint32_t k = 0; k < plan->sink_count; k++) {
        if (strcmp(plan->sinks[k].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void build_ledger(struct building *b)
{
    const struct wr_manifest *head = b->head;
    b->next->ledger =
        allot(b, head->ledger_count + b->cut->ledger.count, sizeof *b->next->ledger);
    index_lines(b, head->ledger_count + b->cut->ledger.count);
    for (uint32_t i = 0; i < b->cut->ledger.count; i++) {
        add_line(b, &b->cut->ledger.items[i]);
    }
    for (uint32_t i = 0; i < head->ledger_count; i++) { /* (1), (2) */
        const struct wr_manifest_ledger *old = &head->ledger[i];
        uint32_t *slot = slot_of(b, old->sink, old->source, old->split);
        if (*slot == 0 && is_sink_of_plan(b->p->plan, old->sink)) {
            (void)new_line(b, slot, old);
        }
    }
    free(b->line_slots);
}

void wr_commit_build(const struct wr_pipeline *p, const struct wr_manifest *head,
                     const struct wr_epoch_cut *cut, const struct wr_stored_snapshot *stored,
                     uint32_t stored_count, struct wr_manifest *next)
{
    struct building b = { .p = p, .head = head, .cut = cut, .next = next };
    wr_manifest_init(next);
    next->format = WR_MANIFEST_FORMAT;
    memcpy(next->uuid, head->uuid, sizeof next->uuid);
    next->pipeline = copy(&b, p->config.name);
    build_sinks(&b);
    build_operators(&b);
    build_cuts(&b);
    build_activations(&b);
    build_snapshots(&b, stored, stored_count);
    build_ledger(&b);
}
