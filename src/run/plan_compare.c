#include "run/plan_compare.h"

#include "base/buf.h"
#include "base/log.h"
#include "exec/exec.h"
#include "weir/sink.h"
#include <jansson.h>

const char *wr_change_subject_name(enum wr_change_subject subject)
{
    static const char *const names[] = { "source", "operator", "sink" };
    return names[subject];
}

const char *wr_change_verdict_name(enum wr_change_verdict verdict)
{
    static const char *const names[] = { "keep", "migrate", "rebuild", "drop", "refuse" };
    return names[verdict];
}

/* ---- describing a plan ---- */

static bool is_exactly_once(const struct wr_plan_sink *sink)
{
    const char *guarantee = wr_options_text(sink->options, "guarantee");
    for (uint32_t i = 0; wr_sinks[i] != NULL; i++) {
        if (strcmp(wr_sinks[i]->name, sink->connector) == 0) {
            return guarantee != NULL && wr_sinks[i]->exactly_once
                       ? strcmp(guarantee, "exactly_once") == 0
                       : wr_sinks[i]->transactional;
        }
    }
    return false;
}

static void describe_operators(const struct wr_plan *plan, struct wr_manifest *into)
{
    struct wr_buf text = { 0 };
    into->operators = WR_ARENA_ARRAY(&into->arena, struct wr_manifest_operator, plan->node_count + 1);
    for (uint32_t n = 0; n < plan->node_count; n++) {
        if (plan->nodes[n].kind != WR_NODE_WINDOW) {
            continue;
        }
        text.bytes = 0;
        wr_exec_fingerprint(plan, n, &text);
        into->operators[into->operator_count++] = (struct wr_manifest_operator){
            .name = wr_arena_strdup(&into->arena, plan->nodes[n].name),
            .fingerprint = wr_arena_strdup(&into->arena, wr_buf_cstr(&text)),
            .cut = 1,
        };
    }
    wr_buf_deinit(&text);
}

void wr_plan_describe(const struct wr_plan *plan, struct wr_manifest *into)
{
    wr_manifest_init(into);
    struct wr_arena *arena = &into->arena;
    into->epoch = 1;
    into->cut_count = 1;
    into->cuts = WR_ARENA_NEW(arena, struct wr_manifest_cut);
    into->cuts->epoch = 1;
    into->cuts->source_count = plan->source_count;
    into->cuts->sources = WR_ARENA_ARRAY(arena, struct wr_manifest_source, plan->source_count + 1);
    for (uint32_t s = 0; s < plan->source_count; s++) {
        into->cuts->sources[s].name = wr_arena_strdup(arena, plan->sources[s].name);
    }
    into->sink_count = plan->sink_count;
    into->sinks = WR_ARENA_ARRAY(arena, struct wr_manifest_sink, plan->sink_count + 1);
    for (uint32_t k = 0; k < plan->sink_count; k++) {
        into->sinks[k] = (struct wr_manifest_sink){
            .name = wr_arena_strdup(arena, plan->sinks[k].name),
            .connector = wr_arena_strdup(arena, plan->sinks[k].connector),
            .exactly_once = is_exactly_once(&plan->sinks[k]),
            .cut = 1,
            .published = true,
        };
    }
    describe_operators(plan, into);
}

/* ---- comparing ---- */

static void add(struct wr_changes *changes, enum wr_change_subject subject,
                enum wr_change_verdict verdict, const char *name, const char *reason)
{
    changes->items[changes->count++] =
        (struct wr_change){ subject, verdict, wr_arena_strdup(&changes->arena, name),
                            wr_arena_strdup(&changes->arena, reason) };
    changes->refused += verdict == WR_CHANGE_REFUSE;
}

static const struct wr_manifest_cut *newest_cut(const struct wr_manifest *m)
{
    return m->cut_count == 0 ? NULL : &m->cuts[m->cut_count - 1];
}

static void compare_sources(const struct wr_manifest *old, const struct wr_manifest *new,
                            struct wr_changes *changes)
{
    const struct wr_manifest_cut *before = newest_cut(old);
    const struct wr_manifest_cut *after = newest_cut(new);
    for (uint32_t s = 0; s < after->source_count; s++) {
        const char *name = after->sources[s].name;
        if (before != NULL && wr_manifest_source_of(before, name) != NULL) {
            add(changes, WR_CHANGE_SOURCE, WR_CHANGE_KEEP, name, "goes on at its positions");
        } else {
            add(changes, WR_CHANGE_SOURCE, WR_CHANGE_REBUILD, name,
                "is new: it is read from its beginning");
        }
    }
    for (uint32_t s = 0; before != NULL && s < before->source_count; s++) {
        const char *name = before->sources[s].name;
        if (wr_manifest_source_of(after, name) == NULL) {
            add(changes, WR_CHANGE_SOURCE, WR_CHANGE_DROP, name, "is gone: its positions are forgotten");
        }
    }
}

/* What of a fingerprint the records in the state are made of; anything else may change. */
static const struct {
    const char *field, *what;
} shaping[] = {
    { "format", "the format of its state" }, { "kind", "the kind of its window" },
    { "size_us", "the window's size" },      { "slide_us", "the window's slide" },
    { "offset_us", "the window's offset" },  { "time", "the column of its event time" },
    { "keys", "its GROUP BY keys" },         { "aggregates", "its aggregates" },
};

/* The names of shaping fields that differ, "" when none does. */
static void differences(const json_t *old, const json_t *new, struct wr_buf *into)
{
    for (size_t i = 0; i < sizeof shaping / sizeof *shaping; i++) {
        const json_t *a = json_object_get(old, shaping[i].field);
        const json_t *b = json_object_get(new, shaping[i].field);
        if ((a != NULL || b != NULL) && !json_equal(a, b)) {
            wr_buf_printf(into, "%s%s", into->bytes > 0 ? ", " : "", shaping[i].what);
        }
    }
}

static json_t *parse(const char *fingerprint, const char *name, struct wr_error *err)
{
    json_error_t why;
    json_t *json = json_loads(fingerprint, 0, &why);
    if (!json_is_object(json)) {
        json_decref(json);
        (void)wr_fail(err, WR_CLASS_FATAL, "the state's fingerprint of operator %.200s is damaged", name);
        wr_error_detail(err, "%.300s", fingerprint);
        return NULL;
    }
    return json;
}

static wr_status compare_operator(const struct wr_manifest_operator *old,
                                  const struct wr_manifest_operator *new, struct wr_changes *changes,
                                  struct wr_error *err)
{
    struct wr_buf text = { 0 };
    if (strcmp(old->fingerprint, new->fingerprint) == 0) {
        add(changes, WR_CHANGE_OPERATOR, WR_CHANGE_KEEP, new->name, "its open windows go on");
        return WR_OK;
    }
    json_t *before = parse(old->fingerprint, old->name, err);
    json_t *after = before != NULL ? parse(new->fingerprint, new->name, err) : NULL;
    if (after != NULL) {
        differences(before, after, &text);
        const bool refused = text.bytes > 0;
        if (refused) {
            wr_buf_text(&text, " changed: what its open windows hold does not fit any more");
        } else {
            wr_buf_text(&text, "its open windows go on with other settings");
        }
        add(changes, WR_CHANGE_OPERATOR, refused ? WR_CHANGE_REFUSE : WR_CHANGE_MIGRATE, new->name,
            wr_buf_cstr(&text));
    }
    const wr_status status = after != NULL ? WR_OK : WR_FAIL;
    json_decref(before);
    json_decref(after);
    wr_buf_deinit(&text);
    return status;
}

static wr_status compare_operators(const struct wr_manifest *old, const struct wr_manifest *new,
                                   struct wr_changes *changes, struct wr_error *err)
{
    for (uint32_t o = 0; o < new->operator_count; o++) {
        const struct wr_manifest_operator *before =
            wr_manifest_operator_of(old, new->operators[o].name);
        if (before != NULL && before->cut != 0) {
            WR_TRY(compare_operator(before, &new->operators[o], changes, err));
        } else {
            add(changes, WR_CHANGE_OPERATOR, WR_CHANGE_REBUILD, new->operators[o].name,
                "is new: it starts empty at the newest cut");
        }
    }
    for (uint32_t o = 0; o < old->operator_count; o++) {
        if (wr_manifest_operator_of(new, old->operators[o].name) == NULL) {
            add(changes, WR_CHANGE_OPERATOR, WR_CHANGE_DROP, old->operators[o].name,
                "is gone: its open windows are dropped without a result");
        }
    }
    return WR_OK;
}

static void compare_sink(const struct wr_manifest_sink *old, const struct wr_manifest_sink *new,
                         struct wr_changes *changes)
{
    const bool unpublished = old->receipt_count > 0 && !old->published;
    struct wr_buf text = { 0 };
    enum wr_change_verdict verdict = WR_CHANGE_KEEP;
    if (strcmp(old->connector, new->connector) != 0) {
        verdict = unpublished ? WR_CHANGE_REFUSE : WR_CHANGE_REBUILD;
        wr_buf_printf(&text, "was %s, is %s: ", old->connector, new->connector);
        wr_buf_text(&text, unpublished ? "rows that are committed but perhaps not yet visible would be lost"
                                       : "it goes on behind the last committed rows, elsewhere");
    } else if (old->exactly_once != new->exactly_once) {
        verdict = unpublished && !new->exactly_once ? WR_CHANGE_REFUSE : WR_CHANGE_MIGRATE;
        wr_buf_printf(&text, "its guarantee is %s now",
                      new->exactly_once ? "exactly_once" : "at_least_once");
        wr_buf_text(&text, verdict == WR_CHANGE_REFUSE
                               ? ": rows that are committed but perhaps not yet visible would be lost"
                               : "");
    } else {
        wr_buf_text(&text, "goes on behind its last committed rows");
    }
    add(changes, WR_CHANGE_SINK, verdict, new->name, wr_buf_cstr(&text));
    wr_buf_deinit(&text);
}

static void compare_sinks(const struct wr_manifest *old, const struct wr_manifest *new,
                          struct wr_changes *changes)
{
    for (uint32_t k = 0; k < new->sink_count; k++) {
        const struct wr_manifest_sink *before = wr_manifest_sink_of(old, new->sinks[k].name);
        if (before != NULL) {
            compare_sink(before, &new->sinks[k], changes);
        } else {
            add(changes, WR_CHANGE_SINK, WR_CHANGE_REBUILD, new->sinks[k].name,
                "is new: it begins with the rows behind the newest cut");
        }
    }
    for (uint32_t k = 0; k < old->sink_count; k++) {
        const struct wr_manifest_sink *gone = &old->sinks[k];
        if (wr_manifest_sink_of(new, gone->name) != NULL) {
            continue;
        }
        if (gone->receipt_count > 0 && !gone->published) {
            add(changes, WR_CHANGE_SINK, WR_CHANGE_REFUSE, gone->name,
                "is gone: rows that are committed but perhaps not yet visible would be lost");
        } else {
            add(changes, WR_CHANGE_SINK, WR_CHANGE_DROP, gone->name,
                "is gone: what it has written stays where it is");
        }
    }
}

wr_status wr_plan_compare(const struct wr_manifest *old, const struct wr_plan *plan,
                          struct wr_changes *changes, struct wr_error *err)
{
    struct wr_manifest new;
    const struct wr_manifest_cut *before = newest_cut(old);
    memset(changes, 0, sizeof *changes);
    wr_arena_init(&changes->arena, 0);
    wr_plan_describe(plan, &new);
    const uint32_t most = new.cuts->source_count + new.operator_count + new.sink_count +
                          (before != NULL ? before->source_count : 0) + old->operator_count +
                          old->sink_count;
    changes->items = WR_ARENA_ARRAY(&changes->arena, struct wr_change, most + 1);
    compare_sources(old, &new, changes);
    const wr_status status = compare_operators(old, &new, changes, err);
    compare_sinks(old, &new, changes);
    wr_manifest_deinit(&new);
    return status;
}

void wr_changes_deinit(struct wr_changes *changes)
{
    wr_arena_deinit(&changes->arena);
    memset(changes, 0, sizeof *changes);
}

/* ---- a start ---- */

static wr_status refuse(const struct wr_changes *changes, struct wr_error *err)
{
    struct wr_buf all = { 0 };
    const struct wr_change *first = NULL;
    for (uint32_t i = 0; i < changes->count; i++) {
        const struct wr_change *change = &changes->items[i];
        if (change->verdict != WR_CHANGE_REFUSE) {
            continue;
        }
        if (first == NULL) {
            first = change;
        } else {
            wr_buf_printf(&all, "%s%s \"%s\": %s", all.bytes > 0 ? "; " : "",
                          wr_change_subject_name(change->subject), change->name, change->reason);
        }
    }
    (void)wr_fail(err, WR_CLASS_USER, "this pipeline cannot go on from its state: %s \"%s\": %s",
                  wr_change_subject_name(first->subject), first->name, first->reason);
    if (all.bytes > 0) {
        wr_error_detail(err, "%s", wr_buf_cstr(&all));
    }
    wr_error_hint(err, "%s; nothing was changed",
                  first->subject == WR_CHANGE_OPERATOR
                      ? "give the changed view or sink another name (it starts empty then), or begin anew "
                        "with another --state"
                      : "run the old pipeline once more and end it with SIGTERM, then start this one");
    wr_buf_deinit(&all);
    return WR_FAIL;
}

wr_status wr_plan_accept(const struct wr_manifest *head, const struct wr_plan *plan,
                         struct wr_error *err)
{
    struct wr_changes changes;
    if (head->cut_count == 0) {
        return WR_OK;
    }
    wr_status status = wr_plan_compare(head, plan, &changes, err);
    if (status == WR_OK && changes.refused > 0) {
        status = refuse(&changes, err);
    }
    for (uint32_t i = 0; status == WR_OK && i < changes.count; i++) {
        const struct wr_change *change = &changes.items[i];
        if (change->verdict != WR_CHANGE_KEEP) {
            wr_log_info("state", "%s %s \"%s\": %s", wr_change_verdict_name(change->verdict),
                        wr_change_subject_name(change->subject), change->name, change->reason);
        }
    }
    wr_changes_deinit(&changes);
    return status;
}
