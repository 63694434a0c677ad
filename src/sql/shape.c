/* shape.c: drafts to plan nodes: operators that only pass on are merged, columns that nobody reads
 * are pruned down to the sources, and what is left is numbered.
 *
 * Drafts of one sink are a tree (views were inlined); only SCANs are shared. So everything but a
 * SCAN may be changed in place; expressions may be shared and are copied.
 */
#include "base/assert.h"
#include "base/buf.h"
#include "sql/bind.h"

struct shape {
    struct wr_binder *binder;
    struct wr_arena *arena;
    uint32_t node_capacity;
    uint32_t *source_map; /* index of the statement's source to plan->sources */
    const char *naming;   /* the sink whose nodes are being numbered */
    uint32_t named[WR_NODE_UNNEST + 1];
};

static bool is_plain(const struct wr_expr *expr)
{
    return expr->kind == WR_EXPR_COLUMN || expr->kind == WR_EXPR_CONST;
}

static struct wr_expr *copy_expr(struct wr_arena *arena, const struct wr_expr *expr)
{
    struct wr_expr *copy = WR_ARENA_NEW(arena, struct wr_expr);
    *copy = *expr;
    if (expr->arg_count > 0) {
        copy->args = WR_ARENA_ARRAY(arena, struct wr_expr *, expr->arg_count);
    }
    return copy;
}

/* The expression with each column replaced by what the PROJECT below computes for it. */
static struct wr_expr *substitute(struct wr_arena *arena, const struct wr_expr *expr,
                                  struct wr_expr *const *below)
{
    if (expr->kind == WR_EXPR_COLUMN) {
        struct wr_expr *copy = copy_expr(arena, below[expr->column]);
        copy->args = below[expr->column]->args;
        return copy;
    }
    struct wr_expr *copy = copy_expr(arena, expr);
    for (uint32_t i = 0; i < expr->arg_count; i++) {
        copy->args[i] = substitute(arena, expr->args[i], below);
    }
    return copy;
}

/* The expression with columns renumbered. */
static struct wr_expr *remap(struct wr_arena *arena, const struct wr_expr *expr,
                             const uint32_t *map)
{
    struct wr_expr *copy = copy_expr(arena, expr);
    if (expr->kind == WR_EXPR_COLUMN) {
        wr_assert(map[expr->column] != WR_NO_COLUMN);
        copy->column = map[expr->column];
    }
    for (uint32_t i = 0; i < expr->arg_count; i++) {
        copy->args[i] = remap(arena, expr->args[i], map);
    }
    return copy;
}

static void count_use(void *ctx, uint32_t column)
{
    ((uint32_t *)ctx)[column]++;
}

/* Views in views would otherwise make expressions that are too deep to walk. */
#define MERGED_HEIGHT_MAX 1000u

static uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t height(const struct wr_expr *expr)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < expr->arg_count; i++) {
        most = max_u32(most, height(expr->args[i]));
    }
    return most + 1;
}

/* May the outer expressions take the inner ones in, without computing anything twice? */
static bool can_merge(struct wr_arena *arena, struct wr_expr *const *outer, uint32_t outer_count,
                      const struct wr_draft *inner)
{
    uint32_t *uses = WR_ARENA_ARRAY(arena, uint32_t, inner->schema.count + 1);
    uint32_t outer_height = 0;
    for (uint32_t i = 0; i < outer_count; i++) {
        wr_expr_columns(outer[i], count_use, uses);
        outer_height = max_u32(outer_height, height(outer[i]));
    }
    for (uint32_t c = 0; c < inner->schema.count; c++) {
        if (outer_height + height(inner->project[c]) > MERGED_HEIGHT_MAX) {
            return false;
        }
    }
    for (uint32_t c = 0; c < inner->schema.count; c++) {
        if (uses[c] > 1 && !is_plain(inner->project[c])) {
            return false;
        }
    }
    return true;
}

static bool all_plain(struct wr_arena *arena, const struct wr_expr *outer,
                      const struct wr_draft *inner)
{
    uint32_t *uses = WR_ARENA_ARRAY(arena, uint32_t, inner->schema.count + 1);
    wr_expr_columns(outer, count_use, uses);
    for (uint32_t c = 0; c < inner->schema.count; c++) {
        if (uses[c] > 0 && !is_plain(inner->project[c])) {
            return false;
        }
    }
    return true;
}

static void merge_projects(struct shape *shape, struct wr_draft *draft)
{
    while (draft->inputs[0]->kind == WR_NODE_PROJECT) {
        const struct wr_draft *inner = draft->inputs[0];
        if (!can_merge(shape->arena, draft->project, draft->schema.count, inner)) {
            return;
        }
        for (uint32_t c = 0; c < draft->schema.count; c++) {
            draft->project[c] = substitute(shape->arena, draft->project[c], inner->project);
        }
        draft->inputs = inner->inputs;
    }
}

/* inner AND outer: what the inner one refuses, the outer one never sees. */
static struct wr_expr *both(struct wr_arena *arena, struct wr_expr *inner, struct wr_expr *outer)
{
    struct wr_expr *expr = wr_expr_new(arena, WR_EXPR_AND, wr_type_of(WR_TYPE_BOOL), outer->at,
                                       outer->at + outer->at_bytes, 2);
    expr->args[0] = inner;
    expr->args[1] = outer;
    expr->nullable = inner->nullable || outer->nullable;
    return expr;
}

static void sink_filter(struct shape *shape, struct wr_draft *draft);

struct carried {
    const struct wr_draft *unnest;
    bool all;
};

static void need_carried(void *ctx, uint32_t column)
{
    struct carried *carried = ctx;
    carried->all = carried->all && carried->unnest->unnest.columns[column] < WR_UNNEST_FIELD;
}

/* May the condition fail for a row? Then it must not be asked before those that stand in front of it. */
static bool may_fail(const struct wr_expr *expr)
{
    bool may = expr->kind == WR_EXPR_CAST ||
               (expr->kind == WR_EXPR_CALL && (wr_functions[expr->function].flags & WR_FN_MAY_FAIL));
    for (uint32_t i = 0; i < expr->arg_count && !may; i++) {
        may = may_fail(expr->args[i]);
    }
    return may;
}

static bool is_carried(const struct wr_expr *expr, const struct wr_draft *unnest)
{
    struct carried carried = {unnest, true};
    wr_expr_columns(expr, need_carried, &carried);
    return carried.all;
}

/* Takes the conditions that read none of the elements out of a list that AND joins; NULL: there are none. */
static struct wr_expr *take_carried(struct shape *shape, const struct wr_draft *unnest,
                                    struct wr_expr **conditions, uint32_t *count)
{
    struct wr_expr *taken = NULL;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *count; i++) {
        struct wr_expr *condition = conditions[i];
        if (!is_carried(condition, unnest) || (kept > 0 && may_fail(condition))) {
            conditions[kept++] = condition;
        } else {
            taken = taken == NULL ? condition : both(shape->arena, taken, condition);
        }
    }
    *count = kept;
    return taken;
}

/* What FILTER over UNNEST asks of the row itself goes below it: fewer rows are taken apart. */
static void sink_below_unnest(struct shape *shape, struct wr_draft *draft)
{
    struct wr_draft *unnest = draft->inputs[0];
    const bool many = draft->filter->kind == WR_EXPR_AND;
    uint32_t count = many ? draft->filter->arg_count : 1;
    struct wr_expr **conditions = WR_ARENA_ARRAY(shape->arena, struct wr_expr *, count);
    memcpy(conditions, many ? draft->filter->args : &draft->filter, count * sizeof(*conditions));
    struct wr_expr *taken = take_carried(shape, unnest, conditions, &count);
    if (taken == NULL) {
        return;
    }
    struct wr_draft *below =
        wr_bind_filter(shape->binder, unnest->inputs[0],
                       remap(shape->arena, taken, unnest->unnest.columns));
    below->name = draft->name;
    unnest->inputs = WR_ARENA_ARRAY(shape->arena, struct wr_draft *, 1);
    unnest->inputs[0] = below;
    if (count == 0) {
        *draft = *unnest;
    } else {
        draft->filter = conditions[0];
        for (uint32_t i = 1; i < count; i++) {
            draft->filter = both(shape->arena, draft->filter, conditions[i]);
        }
    }
    sink_filter(shape, below);
}

/* FILTER over PROJECT goes below it where the condition reads plain columns, so that fewer rows are
 * computed. */
static void sink_filter(struct shape *shape, struct wr_draft *draft)
{
    struct wr_draft *input = draft->inputs[0];
    if (input->kind == WR_NODE_PROJECT && all_plain(shape->arena, draft->filter, input)) {
        struct wr_draft *below =
            wr_bind_filter(shape->binder, input->inputs[0],
                           substitute(shape->arena, draft->filter, input->project));
        below->name = draft->name;
        draft->kind = WR_NODE_PROJECT;
        draft->filter = NULL;
        draft->project = input->project;
        draft->schema = input->schema;
        draft->inputs = WR_ARENA_ARRAY(shape->arena, struct wr_draft *, 1);
        draft->inputs[0] = below;
        sink_filter(shape, below);
    } else if (input->kind == WR_NODE_UNNEST) {
        sink_below_unnest(shape, draft);
    } else if (input->kind == WR_NODE_FILTER) {
        draft->filter = both(shape->arena, input->filter, draft->filter);
        draft->inputs = input->inputs;
    }
}

/* WINDOW over a PROJECT of bare columns reads those itself. */
static void skip_project(struct shape *shape, struct wr_draft *draft)
{
    struct wr_draft *input = draft->inputs[0];
    struct wr_plan_window *w = &draft->window;
    if (input->kind != WR_NODE_PROJECT) {
        return;
    }
    for (uint32_t c = 0; c < input->schema.count; c++) {
        if (input->project[c]->kind != WR_EXPR_COLUMN) {
            return;
        }
    }
    w->time_column = input->project[w->time_column]->column;
    if (w->kind == WR_WINDOW_INHERIT) {
        w->end_column = input->project[w->end_column]->column;
    }
    for (uint32_t k = 0; k < w->key_count; k++) {
        w->keys[k] = substitute(shape->arena, w->keys[k], input->project);
    }
    for (uint32_t a = 0; a < w->aggregate_count; a++) {
        struct wr_plan_aggregate *agg = &w->aggregates[a];
        agg->arg = agg->arg == NULL ? NULL : substitute(shape->arena, agg->arg, input->project);
        agg->filter =
            agg->filter == NULL ? NULL : substitute(shape->arena, agg->filter, input->project);
    }
    draft->inputs = input->inputs;
}

/* UNNEST over a PROJECT of bare columns reads those itself. */
static void skip_project_below(struct shape *shape, struct wr_draft *draft)
{
    struct wr_draft *input = draft->inputs[0];
    if (input->kind != WR_NODE_PROJECT) {
        return;
    }
    for (uint32_t c = 0; c < input->schema.count; c++) {
        if (input->project[c]->kind != WR_EXPR_COLUMN) {
            return;
        }
    }
    uint32_t *columns = WR_ARENA_ARRAY(shape->arena, uint32_t, draft->schema.count + 1);
    for (uint32_t c = 0; c < draft->schema.count; c++) {
        const uint32_t code = draft->unnest.columns[c];
        columns[c] = code < WR_UNNEST_FIELD ? input->project[code]->column : code;
    }
    draft->unnest.columns = columns;
    draft->unnest.value = substitute(shape->arena, draft->unnest.value, input->project);
    draft->inputs = input->inputs;
}

static void simplify(struct shape *shape, struct wr_draft *draft)
{
    for (uint32_t i = 0; i < draft->input_count; i++) {
        simplify(shape, draft->inputs[i]);
    }
    if (draft->kind == WR_NODE_FILTER) {
        sink_filter(shape, draft);
    }
    if (draft->kind == WR_NODE_PROJECT) {
        merge_projects(shape, draft);
    } else if (draft->kind == WR_NODE_WINDOW) {
        skip_project(shape, draft);
    } else if (draft->kind == WR_NODE_UNNEST) {
        skip_project_below(shape, draft);
    }
}

static void need(void *ctx, uint32_t column)
{
    ((bool *)ctx)[column] = true;
}

static bool *needed_of(struct shape *shape, struct wr_draft *draft)
{
    if (draft->needed == NULL) {
        draft->needed = WR_ARENA_ARRAY(shape->arena, bool, draft->schema.count + 1);
    }
    return draft->needed;
}

static void mark_window(const struct wr_plan_window *w, bool *below)
{
    need(below, w->time_column);
    if (w->kind == WR_WINDOW_INHERIT) {
        need(below, w->end_column);
    }
    for (uint32_t k = 0; k < w->key_count; k++) {
        wr_expr_columns(w->keys[k], need, below);
    }
    for (uint32_t a = 0; a < w->aggregate_count; a++) {
        if (w->aggregates[a].arg != NULL) {
            wr_expr_columns(w->aggregates[a].arg, need, below);
        }
        if (w->aggregates[a].filter != NULL) {
            wr_expr_columns(w->aggregates[a].filter, need, below);
        }
    }
}

/* draft->needed says what its readers need; passes that on to its inputs. */
static void mark(struct shape *shape, struct wr_draft *draft)
{
    for (uint32_t i = 0; i < draft->input_count; i++) {
        bool *below = needed_of(shape, draft->inputs[i]);
        switch (draft->kind) {
        case WR_NODE_FILTER:
            wr_expr_columns(draft->filter, need, below);
            __attribute__((fallthrough)); /* and all that pass through it */
        case WR_NODE_UNION:
        case WR_NODE_SCAN:
            for (uint32_t c = 0; c < draft->schema.count; c++) {
                below[c] = below[c] || draft->needed[c];
            }
            break;
        case WR_NODE_PROJECT:
            for (uint32_t c = 0; c < draft->schema.count; c++) {
                if (draft->needed[c]) {
                    wr_expr_columns(draft->project[c], need, below);
                }
            }
            break;
        case WR_NODE_WINDOW:
            mark_window(&draft->window, below);
            break;
        case WR_NODE_UNNEST:
            wr_expr_columns(draft->unnest.value, need, below);
            for (uint32_t c = 0; c < draft->schema.count; c++) {
                if (draft->needed[c] && draft->unnest.columns[c] < WR_UNNEST_FIELD) {
                    need(below, draft->unnest.columns[c]);
                }
            }
            break;
        }
        mark(shape, draft->inputs[i]);
    }
}

/* The field that a path names, computed from the column that holds the whole. */
static struct wr_expr *computed_path(struct shape *shape, const struct wr_draft *scan,
                                     uint32_t column, uint32_t whole)
{
    const uint32_t first = scan->schema.count - scan->path_count;
    if (column == whole) {
        return wr_expr_column(shape->arena, column, scan->schema.fields[column].type, true, 0, 0);
    }
    const struct wr_draft_path *path = &scan->paths[column - first];
    return wr_bind_field_of(shape->arena, computed_path(shape, scan, path->column, whole),
                            path->field, 0, 0);
}

/* Fields of which the whole, or a larger part, is needed too are taken from that: nothing is decoded twice. */
static void settle_paths(struct shape *shape, struct wr_draft *scan)
{
    const uint32_t first = scan->schema.count - scan->path_count;
    for (uint32_t i = 0; i < scan->path_count; i++) {
        uint32_t whole = scan->paths[i].column;
        while (scan->needed[first + i] && !scan->needed[whole] && whole >= first) {
            whole = scan->paths[whole - first].column;
        }
        if (scan->needed[first + i] && scan->needed[whole]) {
            scan->paths[i].computed = computed_path(shape, scan, first + i, whole);
            scan->schema.fields[first + i].path = NULL;
            scan->schema.fields[first + i].path_count = 0;
        }
    }
}

/* What a source itself needs: its watermark, what computed columns read, all columns for late rows.
 */
static void mark_source(struct shape *shape, const struct wr_object *object)
{
    const struct wr_plan_source *source = &shape->binder->plan->sources[object->index];
    struct wr_draft *scan = object->draft;
    bool *needed = needed_of(shape, scan);
    if (source->event_time != WR_NO_COLUMN) {
        need(needed, source->event_time);
        wr_expr_columns(source->watermark, need, needed);
    }
    if (source->dedup_column != WR_NO_COLUMN) {
        need(needed, source->dedup_column);
    }
    for (uint32_t c = 0; source->late_sink != UINT32_MAX && c < source->declared.count; c++) {
        needed[c] = true;
    }
    for (uint32_t c = 0; c < scan->schema.count - scan->path_count; c++) {
        if (needed[c] && source->computed[c] != NULL) {
            wr_expr_columns(source->computed[c], need, needed);
        }
    }
    settle_paths(shape, scan);
}

static uint32_t *new_map(struct shape *shape, uint32_t count)
{
    uint32_t *map = WR_ARENA_ARRAY(shape->arena, uint32_t, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        map[i] = WR_NO_COLUMN;
    }
    return map;
}

/* Keeps the needed columns of draft->schema; fills draft->map. */
static void prune_schema(struct shape *shape, struct wr_draft *draft)
{
    draft->map = new_map(shape, draft->schema.count);
    struct wr_field *kept = WR_ARENA_ARRAY(shape->arena, struct wr_field, draft->schema.count + 1);
    uint32_t n = 0;
    for (uint32_t c = 0; c < draft->schema.count; c++) {
        if (draft->needed[c]) {
            draft->map[c] = n;
            kept[n++] = draft->schema.fields[c];
        }
    }
    draft->schema = (struct wr_schema){kept, n};
}

static struct wr_plan_node *new_node(struct shape *shape, struct wr_draft *draft)
{
    struct wr_plan *plan = shape->binder->plan;
    if (plan->node_count == shape->node_capacity) {
        const uint32_t capacity = shape->node_capacity == 0 ? 16 : shape->node_capacity * 2;
        struct wr_plan_node *grown = WR_ARENA_ARRAY(shape->arena, struct wr_plan_node, capacity);
        if (plan->node_count > 0) {
            memcpy(grown, plan->nodes, plan->node_count * sizeof(*grown));
        }
        plan->nodes = grown;
        shape->node_capacity = capacity;
    }
    struct wr_plan_node *node = &plan->nodes[plan->node_count];
    node->kind = draft->kind;
    node->index = plan->node_count;
    draft->index = plan->node_count++;
    node->inputs = WR_ARENA_ARRAY(shape->arena, uint32_t, draft->input_count + 1);
    node->input_count = draft->input_count;
    for (uint32_t i = 0; i < draft->input_count; i++) {
        node->inputs[i] = draft->inputs[i]->index;
    }
    return node;
}

/* Names are the sink's with the operator's kind and its number among these: the same text gives the
 * same names. */
static const char *node_name(struct shape *shape, const struct wr_draft *draft)
{
    static const char *const kinds[] = {"scan",   "filter", "project",
                                        "window", "union",  "unnest"};
    if (draft->kind == WR_NODE_SCAN) {
        return draft->name;
    }
    const uint32_t n = ++shape->named[draft->kind];
    if (n == 1) {
        return wr_arena_printf(shape->arena, "%s/%s", shape->naming, kinds[draft->kind]);
    }
    return wr_arena_printf(shape->arena, "%s/%s_%u", shape->naming, kinds[draft->kind], n);
}

/* A PROJECT that changes nothing is its input. */
static bool is_identity(const struct wr_draft *draft)
{
    const struct wr_draft *input = draft->inputs[0];
    if (draft->schema.count != input->schema.count) {
        return false;
    }
    for (uint32_t c = 0; c < draft->schema.count; c++) {
        if (draft->project[c]->kind != WR_EXPR_COLUMN || draft->project[c]->column != c ||
            strcmp(draft->schema.fields[c].name, input->schema.fields[c].name) != 0) {
            return false;
        }
    }
    return true;
}

static void shape_project(struct shape *shape, struct wr_draft *draft)
{
    const uint32_t *below = draft->inputs[0]->map;
    const uint32_t columns = draft->schema.count;
    struct wr_expr **project = WR_ARENA_ARRAY(shape->arena, struct wr_expr *, columns + 1);
    uint32_t n = 0;
    for (uint32_t c = 0; c < columns; c++) {
        if (draft->needed[c]) {
            project[n++] = remap(shape->arena, draft->project[c], below);
        }
    }
    draft->project = project;
    prune_schema(shape, draft);
}

static void shape_window(struct shape *shape, struct wr_draft *draft)
{
    const uint32_t *below = draft->inputs[0]->map;
    struct wr_plan_window *w = &draft->window;
    w->time_column = below[w->time_column];
    w->end_column = w->kind == WR_WINDOW_INHERIT ? below[w->end_column] : WR_NO_COLUMN;
    for (uint32_t k = 0; k < w->key_count; k++) {
        w->keys[k] = remap(shape->arena, w->keys[k], below);
    }
    for (uint32_t a = 0; a < w->aggregate_count; a++) {
        struct wr_plan_aggregate *agg = &w->aggregates[a];
        agg->arg = agg->arg == NULL ? NULL : remap(shape->arena, agg->arg, below);
        agg->filter = agg->filter == NULL ? NULL : remap(shape->arena, agg->filter, below);
    }
    w->exchange = shape->binder->plan->exchange_count++;
    draft->map = new_map(shape, draft->schema.count);
    for (uint32_t c = 0; c < draft->schema.count; c++) {
        draft->map[c] = c; /* its columns are its own: all stay */
    }
}

static uint32_t map_expr_column(const uint32_t *map, uint32_t column)
{
    return column == WR_NO_COLUMN ? WR_NO_COLUMN : map[column];
}

/* Where a column of a SCAN goes: fields that are computed first, since computed columns may read them; metadata last. */
static uint32_t scan_rank(const struct wr_plan_source *source, const struct wr_draft *scan,
                          uint32_t column)
{
    const uint32_t first = scan->schema.count - scan->path_count;
    if (column >= first) {
        return scan->paths[column - first].computed != NULL ? 0 : 2;
    }
    return column < source->declared.count ? 1 : 3;
}

/* The SCAN's columns in their order; scan->map tells each one's new number. */
static void prune_scan(struct shape *shape, const struct wr_plan_source *source,
                       struct wr_draft *scan)
{
    const uint32_t all = scan->schema.count;
    struct wr_field *kept = WR_ARENA_ARRAY(shape->arena, struct wr_field, all + 1);
    uint32_t n = 0;
    scan->map = new_map(shape, all);
    for (uint32_t rank = 0; rank < 4; rank++) {
        for (uint32_t c = 0; c < all; c++) {
            if (scan->needed[c] && scan_rank(source, scan, c) == rank) {
                scan->map[c] = n;
                kept[n++] = scan->schema.fields[c];
            }
        }
    }
    scan->schema = (struct wr_schema){kept, n};
}

/* The SCAN's pruned columns, and what the source says of them. */
static void shape_scan(struct shape *shape, struct wr_draft *scan)
{
    struct wr_plan *plan = shape->binder->plan;
    struct wr_plan_source *source = &plan->sources[scan->source];
    const uint32_t first = scan->schema.count - scan->path_count;
    const uint32_t all = scan->schema.count;
    const struct wr_expr *const *computed = source->computed;
    for (uint32_t m = 0; m < WR_META_COUNT_; m++) {
        source->metadata_column[m] = WR_NO_COLUMN;
    }
    const struct wr_field *fields = scan->schema.fields;
    prune_scan(shape, source, scan);
    const struct wr_expr **kept =
        WR_ARENA_ARRAY(shape->arena, const struct wr_expr *, scan->schema.count + 1);
    for (uint32_t c = 0; c < all; c++) {
        const uint32_t to = scan->map[c];
        if (to == WR_NO_COLUMN) {
            continue;
        }
        if (c < first && fields[c].declared >= source->declared.count) {
            source->metadata_column[fields[c].declared - source->declared.count] = to;
        }
        const struct wr_expr *from = c < first ? computed[c] : scan->paths[c - first].computed;
        kept[to] = from == NULL ? NULL : remap(shape->arena, from, scan->map);
    }
    source->computed = kept;
    source->scan = scan->schema;
    source->event_time = map_expr_column(scan->map, source->event_time);
    source->dedup_column = map_expr_column(scan->map, source->dedup_column);
    source->watermark =
        source->watermark == NULL ? NULL : remap(shape->arena, source->watermark, scan->map);
}

static void shape_unnest(struct shape *shape, struct wr_draft *draft)
{
    const uint32_t *below = draft->inputs[0]->map;
    uint32_t *columns = WR_ARENA_ARRAY(shape->arena, uint32_t, draft->schema.count + 1);
    uint32_t n = 0;
    for (uint32_t c = 0; c < draft->schema.count; c++) {
        const uint32_t code = draft->unnest.columns[c];
        if (draft->needed[c]) {
            columns[n++] = code < WR_UNNEST_FIELD ? below[code] : code;
        }
    }
    draft->unnest.columns = columns;
    draft->unnest.value = remap(shape->arena, draft->unnest.value, below);
    prune_schema(shape, draft);
}

static void emit_node(struct shape *shape, struct wr_draft *draft)
{
    struct wr_plan_node *node = new_node(shape, draft);
    node->schema = draft->schema;
    switch (draft->kind) {
    case WR_NODE_SCAN:
        node->source = draft->source;
        shape->binder->plan->sources[draft->source].scan_node = node->index;
        break;
    case WR_NODE_FILTER:
        node->filter = draft->filter;
        break;
    case WR_NODE_PROJECT:
        node->project = draft->project;
        break;
    case WR_NODE_WINDOW:
        node->window = draft->window;
        break;
    case WR_NODE_UNNEST:
        node->unnest = draft->unnest;
        break;
    case WR_NODE_UNION:
        break;
    }
    node->name = node_name(shape, draft);
}

/* Inputs first, so that nodes come out in topological order. */
static void emit(struct shape *shape, struct wr_draft *draft)
{
    if (draft->shaped) {
        return;
    }
    draft->shaped = true;
    for (uint32_t i = 0; i < draft->input_count; i++) {
        emit(shape, draft->inputs[i]);
    }
    switch (draft->kind) {
    case WR_NODE_SCAN:
        shape_scan(shape, draft);
        break;
    case WR_NODE_FILTER:
        draft->filter = remap(shape->arena, draft->filter, draft->inputs[0]->map);
        draft->map = draft->inputs[0]->map;
        draft->schema = draft->inputs[0]->schema;
        break;
    case WR_NODE_PROJECT:
        shape_project(shape, draft);
        if (is_identity(draft)) {
            draft->index = draft->inputs[0]->index;
            return;
        }
        break;
    case WR_NODE_WINDOW:
        shape_window(shape, draft);
        break;
    case WR_NODE_UNNEST:
        shape_unnest(shape, draft);
        break;
    case WR_NODE_UNION:
        prune_schema(shape, draft);
        break;
    }
    emit_node(shape, draft);
}

static void collect(const struct wr_draft *draft, bool *sources, bool *windowed)
{
    if (draft->kind == WR_NODE_SCAN) {
        sources[draft->source] = true;
    }
    *windowed = *windowed || draft->kind == WR_NODE_WINDOW;
    for (uint32_t i = 0; i < draft->input_count; i++) {
        collect(draft->inputs[i], sources, windowed);
    }
}

/* Sources that no sink reads are not run. */
static void drop_unread(struct shape *shape)
{
    struct wr_plan *plan = shape->binder->plan;
    uint32_t kept = 0;
    shape->source_map = WR_ARENA_ARRAY(shape->arena, uint32_t, plan->source_count + 1);
    for (uint32_t i = 0; i < plan->source_count; i++) {
        shape->source_map[i] = kept;
        if (plan->sources[i].scan_node != WR_NO_NODE) {
            plan->sources[kept++] = plan->sources[i];
        }
    }
    plan->source_count = kept;
    for (uint32_t n = 0; n < plan->node_count; n++) {
        if (plan->nodes[n].kind == WR_NODE_SCAN) {
            plan->nodes[n].source = shape->source_map[plan->nodes[n].source];
        }
    }
}

static void set_sink(struct shape *shape, struct wr_plan_sink *sink, const struct wr_draft *top,
                     uint32_t source_count)
{
    bool *sources = WR_ARENA_ARRAY(shape->arena, bool, source_count + 1);
    sink->node = top->index;
    collect(top, sources, &sink->windowed);
    sink->sources = WR_ARENA_ARRAY(shape->arena, uint32_t, source_count + 1);
    for (uint32_t i = 0; i < source_count; i++) {
        if (sources[i]) {
            sink->sources[sink->source_count++] = shape->source_map[i];
        }
    }
}

/* Who reads whom. */
static void link_nodes(struct shape *shape)
{
    struct wr_plan *plan = shape->binder->plan;
    for (uint32_t n = 0; n < plan->node_count; n++) {
        struct wr_plan_node *node = &plan->nodes[n];
        node->consumers = WR_ARENA_ARRAY(shape->arena, uint32_t, plan->node_count);
        node->sinks = WR_ARENA_ARRAY(shape->arena, uint32_t, plan->sink_count + 1);
        for (uint32_t i = 0; i < node->input_count; i++) {
            struct wr_plan_node *input = &plan->nodes[node->inputs[i]];
            input->consumers[input->consumer_count++] = n;
        }
    }
    for (uint32_t s = 0; s < plan->sink_count; s++) {
        if (plan->sinks[s].feed == WR_FEED_QUERY) {
            struct wr_plan_node *node = &plan->nodes[plan->sinks[s].node];
            node->sinks[node->sink_count++] = s;
        }
    }
}

bool wr_shape_plan(struct wr_binder *binder, struct wr_draft **tops)
{
    struct wr_plan *plan = binder->plan;
    struct shape shape = {.binder = binder, .arena = binder->arena};
    const uint32_t source_count = plan->source_count;
    for (uint32_t s = 0; s < plan->sink_count; s++) {
        if (tops[s] != NULL) {
            simplify(&shape, tops[s]);
            bool *needed = needed_of(&shape, tops[s]);
            for (uint32_t c = 0; c < tops[s]->schema.count; c++) {
                needed[c] = true;
            }
            mark(&shape, tops[s]);
        }
    }
    for (uint32_t i = 0; i < binder->object_count; i++) {
        if (binder->objects[i].kind == WR_OBJECT_SOURCE) {
            mark_source(&shape, &binder->objects[i]);
        }
    }
    for (uint32_t s = 0; s < plan->sink_count; s++) {
        if (tops[s] != NULL) {
            shape.naming = plan->sinks[s].name;
            memset(shape.named, 0, sizeof(shape.named));
            emit(&shape, tops[s]);
        }
    }
    drop_unread(&shape);
    for (uint32_t s = 0; s < plan->sink_count; s++) {
        if (tops[s] != NULL) {
            set_sink(&shape, &plan->sinks[s], tops[s], source_count);
        }
    }
    link_nodes(&shape);
    return true;
}
