#include "run/recovery.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/heap.h"

/* ---- which cut a sink stands at ---- */

static const struct wr_manifest_cut *newest_cut(const struct wr_manifest *manifest)
{
    return manifest->cut_count > 0 ? &manifest->cuts[manifest->cut_count - 1] : NULL;
}

/* NULL: it has had nothing. */
static const struct wr_manifest_cut *cut_of_sink(const struct wr_manifest *manifest, const char *name)
{
    const struct wr_manifest_sink *sink = wr_manifest_sink_of(manifest, name);
    if (sink == NULL) {
        return newest_cut(manifest);
    }
    return sink->cut != 0 ? wr_manifest_cut_of(manifest, sink->cut) : NULL;
}

static bool concerns(const struct wr_plan *plan, uint32_t sink, uint32_t source)
{
    const struct wr_plan_source *s = &plan->sources[source];
    if ((s->on_error == WR_ON_ERROR_SINK && s->error_sink == sink) || s->late_sink == sink) {
        return true;
    }
    for (uint32_t i = 0; i < plan->sinks[sink].source_count; i++) {
        if (plan->sinks[sink].sources[i] == source) {
            return true;
        }
    }
    return false;
}

/* ---- one split ---- */

static const struct wr_manifest_split *split_in(const struct wr_manifest_cut *cut,
                                                const char *source, const char *split)
{
    const struct wr_manifest_source *s = cut != NULL ? wr_manifest_source_of(cut, source) : NULL;
    return s != NULL ? wr_manifest_split_of(s, split) : NULL;
}

static void take_ledger(const struct wr_recovery *r, uint32_t source, struct wr_split_resume *split)
{
    const struct wr_manifest *m = r->manifest;
    for (uint32_t i = 0; i < m->ledger_count; i++) {
        const struct wr_manifest_ledger *line = &m->ledger[i];
        if (strcmp(line->source, r->plan->sources[source].name) != 0 ||
            strcmp(line->split, split->name) != 0) {
            continue;
        }
        for (uint32_t k = 0; k < r->plan->sink_count; k++) {
            if (strcmp(line->sink, r->plan->sinks[k].name) == 0) {
                split->ledger[k] = (struct wr_ledger_counts){ .read = line->read,
                                                              .passed = line->landed,
                                                              .late = line->late,
                                                              .partly_late = line->partly_late,
                                                              .dead_lettered = line->dead_lettered,
                                                              .filtered = line->filtered };
            }
        }
    }
}

static void add_mark(struct wr_split_resume *split, int64_t position, int64_t floor_us)
{
    if (split->has_start && position <= split->at.position && floor_us == WR_TIME_MIN) {
        return;
    }
    uint32_t at = split->mark_count;
    for (uint32_t i = 0; i < split->mark_count; i++) {
        if (split->marks[i].position == position) {
            if (floor_us > split->marks[i].floor_us) {
                split->marks[i].floor_us = floor_us;
            }
            return;
        }
        if (split->marks[i].position > position) {
            at = i;
            break;
        }
    }
    split->marks = wr_realloc(split->marks, (split->mark_count + 1) * sizeof *split->marks);
    memmove(split->marks + at + 1, split->marks + at,
            (split->mark_count - at) * sizeof *split->marks);
    split->marks[at] = (struct wr_resume_mark){ position, floor_us };
    split->mark_count++;
}

static void resume_split(const struct wr_recovery *r, uint32_t source, struct wr_split_resume *split)
{
    const struct wr_plan *plan = r->plan;
    const struct wr_manifest *m = r->manifest;
    const char *source_name = plan->sources[source].name;
    split->skip = wr_calloc(plan->sink_count + 1, sizeof *split->skip);
    split->ledger = wr_calloc(plan->sink_count + 1, sizeof *split->ledger);
    atomic_init(&split->taken, false);
    split->has_start = true;
    bool any = false;
    for (uint32_t k = 0; k < plan->sink_count; k++) {
        split->skip[k] = INT64_MIN;
        if (!concerns(plan, k, source)) {
            continue;
        }
        const struct wr_manifest_split *at =
            split_in(cut_of_sink(m, plan->sinks[k].name), source_name, split->name);
        if (at == NULL) {
            split->has_start = false; /* (1) */
            continue;
        }
        split->skip[k] = at->position;
        if (!any || at->position < split->at.position) {
            split->at = *at;
        }
        any = true;
    }
    split->has_start = split->has_start && any;
    if (!split->has_start) {
        split->at = (struct wr_manifest_split){ .name = split->name,
                                                .position = INT64_MIN,
                                                .watermark_us = WR_TIME_MIN,
                                                .max_event_us = WR_TIME_MIN };
    }
    split->replay_until = INT64_MIN;
    for (uint32_t k = 0; k < plan->sink_count; k++) {
        if (split->skip[k] > split->replay_until) {
            split->replay_until = split->skip[k];
        }
        if (split->skip[k] != INT64_MIN) {
            add_mark(split, split->skip[k], WR_TIME_MIN);
        }
    }
    for (uint32_t i = 0; i < m->activation_count; i++) {
        const struct wr_manifest_activation *a = &m->activations[i];
        if (strcmp(a->source, source_name) == 0 && strcmp(a->split, split->name) == 0 &&
            (!split->has_start || a->position >= split->at.position)) {
            add_mark(split, a->position, a->floor_us);
        }
    }
    take_ledger(r, source, split);
}

/* ---- a source ---- */

static void resume_source(struct wr_recovery *r, uint32_t source)
{
    struct wr_source_resume *into = &r->sources[source];
    const struct wr_manifest_cut *cut = newest_cut(r->manifest);
    const struct wr_manifest_source *from =
        cut != NULL ? wr_manifest_source_of(cut, r->plan->sources[source].name) : NULL;
    into->emitted_us = WR_TIME_MIN;
    if (from == NULL) {
        return;
    }
    into->emitted_us = from->emitted_us;
    into->splits = wr_calloc(from->split_count + 1, sizeof *into->splits);
    into->starts = wr_calloc(from->split_count + 1, sizeof *into->starts);
    into->split_count = from->split_count; /* older cuts know no more: splits are carried on */
    for (uint32_t i = 0; i < from->split_count; i++) {
        struct wr_split_resume *split = &into->splits[i];
        split->name = from->splits[i].name;
        resume_split(r, source, split);
        if (split->replay_until > split->at.position) {
            atomic_fetch_add_explicit(&r->replaying, 1, memory_order_relaxed);
        }
        if (split->has_start) {
            into->starts[into->start_count++] =
                (struct wr_split_start){ split->name, split->at.position, split->at.note };
        }
    }
}

/* The head is gone with the next commit, recovery is asked as long as the run lasts. */
static struct wr_manifest *copy_of(const struct wr_manifest *manifest)
{
    struct wr_manifest *copy = wr_calloc(1, sizeof *copy);
    struct wr_buf text = { 0 };
    struct wr_error err;
    wr_manifest_write(manifest, &text);
    const wr_status status =
        wr_manifest_read(copy, (struct wr_slice){ text.data, text.bytes }, &err);
    wr_assert(status == WR_OK); /* manifest.h, invariant 4 */
    wr_buf_deinit(&text);
    return copy;
}

struct wr_recovery *wr_recovery_create(const struct wr_plan *plan, const struct wr_manifest *manifest)
{
    struct wr_recovery *r = wr_calloc(1, sizeof *r);
    r->plan = plan;
    r->manifest = copy_of(manifest);
    r->resumed = manifest->cut_count > 0;
    atomic_init(&r->replaying, 0);
    r->sources = wr_calloc(plan->source_count + 1, sizeof *r->sources);
    for (uint32_t s = 0; s < plan->source_count; s++) {
        resume_source(r, s);
    }
    return r;
}

void wr_recovery_destroy(struct wr_recovery *r)
{
    if (r == NULL) {
        return;
    }
    for (uint32_t s = 0; s < r->plan->source_count; s++) {
        struct wr_source_resume *source = &r->sources[s];
        for (uint32_t i = 0; i < source->split_count; i++) {
            free(source->splits[i].skip);
            free(source->splits[i].marks);
            free(source->splits[i].ledger);
        }
        free(source->splits);
        free(source->starts);
    }
    free(r->sources);
    wr_manifest_deinit(r->manifest);
    free(r->manifest);
    free(r);
}

const char *wr_recovery_uuid(const struct wr_recovery *r)
{
    return r != NULL ? r->manifest->uuid : "";
}

bool wr_recovery_of_sink(const struct wr_recovery *r, const char *name, struct wr_sink_recovery *what)
{
    if (r == NULL) {
        return false;
    }
    const struct wr_manifest_sink *sink = wr_manifest_sink_of(r->manifest, name);
    *what = (struct wr_sink_recovery){ .owners = (const char *const *)r->manifest->predecessors,
                                       .owner_count = r->manifest->predecessor_count };
    if (sink != NULL) {
        what->epoch = sink->cut;
        what->receipts = (const struct wr_receipt *)sink->receipts; /* both: pointer, bytes */
        what->receipt_count = sink->receipt_count;
    }
    return true;
}

_Static_assert(sizeof(struct wr_slice) == sizeof(struct wr_receipt) &&
                   offsetof(struct wr_slice, bytes) == offsetof(struct wr_receipt, bytes),
               "receipts of a manifest are handed to sinks as they are");

struct wr_split_resume *wr_recovery_split(const struct wr_recovery *r, uint32_t source,
                                          const char *name)
{
    if (r == NULL) {
        return NULL;
    }
    const struct wr_source_resume *from = &r->sources[source];
    for (uint32_t i = 0; i < from->split_count; i++) {
        if (strcmp(from->splits[i].name, name) == 0) {
            return &from->splits[i];
        }
    }
    return NULL;
}
