#include "run/restore.h"

#include "base/buf.h"
#include "run/recovery.h"
#include "state/seen_set.h"
#include "state/snapshot.h"
#include "store/store.h"

struct restoring {
    const struct wr_pipeline *pipeline;
    struct wr_exec *exec; /* NULL: what all workers share */
    uint64_t epoch;
};

const char *wr_seen_name(const struct wr_plan_source *source, char *into)
{
    snprintf(into, WR_SEEN_NAME_BYTES, "deduplicate_by of %s", source->name); /* no view is called so: it has spaces */
    return into;
}

static wr_status restore_seen(const struct restoring *r, const char *name, const void *records,
                              size_t bytes, struct wr_error *err)
{
    const struct wr_pipeline *p = r->pipeline;
    char own[WR_SEEN_NAME_BYTES];
    for (uint32_t s = 0; s < p->plan->source_count; s++) {
        if (p->seen[s] != NULL && strcmp(wr_seen_name(&p->plan->sources[s], own), name) == 0) {
            return wr_seen_set_restore(p->seen[s], r->epoch, records, bytes, err);
        }
    }
    return WR_OK;
}

static uint32_t node_named(const struct wr_plan *plan, const char *name)
{
    for (uint32_t n = 0; n < plan->node_count; n++) {
        if (plan->nodes[n].kind == WR_NODE_WINDOW && strcmp(plan->nodes[n].name, name) == 0) {
            return n;
        }
    }
    return WR_NO_NODE;
}

static wr_status restore_block(void *ctx, const char *name, const void *records, size_t bytes,
                               struct wr_error *err)
{
    const struct restoring *r = ctx;
    if (r->exec == NULL) {
        return restore_seen(r, name, records, bytes, err);
    }
    const uint32_t node = node_named(r->pipeline->plan, name);
    if (node == WR_NO_NODE || wr_manifest_operator_of(r->pipeline->recovery->manifest, name) == NULL) {
        return WR_OK; /* of an operator that this plan has no more: `weir plan` says so */
    }
    return wr_exec_restore(r->exec, node, r->epoch, records, bytes, err);
}

static wr_status restore_object(struct restoring *r, struct wr_store *store,
                                const struct wr_manifest_snapshot *snapshot, struct wr_buf *object,
                                struct wr_error *err)
{
    object->bytes = 0;
    const wr_status got = wr_store_get(store, snapshot->key, object, err);
    wr_ensure(got != WR_END, err, WR_CLASS_FATAL,
              "the manifest of epoch %llu names %s, which is not there",
              (unsigned long long)r->pipeline->recovery->manifest->epoch, snapshot->key);
    WR_TRY(got);
    r->epoch = snapshot->epoch;
    WR_TRY_IN(wr_snapshot_read((struct wr_slice){ object->data, object->bytes }, restore_block, r,
                               err),
              err, "%s", snapshot->key);
    return WR_OK;
}

static wr_status read_snapshots(struct restoring *r, struct wr_error *err)
{
    const struct wr_pipeline *p = r->pipeline;
    const struct wr_manifest *m = p->recovery->manifest;
    struct wr_store *store = NULL;
    struct wr_buf object = { 0 };
    if (m->snapshot_count == 0) {
        return WR_OK;
    }
    WR_TRY_IN(wr_store_open(&store, p->config.state_url, p->config.state_options, NULL, err), err,
              "state %s", p->config.state_url);
    wr_status status = WR_OK;
    for (uint32_t i = 0; i < m->snapshot_count && status == WR_OK; i++) {
        status = restore_object(r, store, &m->snapshots[i], &object, err);
    }
    wr_buf_deinit(&object);
    wr_store_close(store);
    WR_TRY_IN(status, err, "restoring state");
    return WR_OK;
}

static bool has_windows(const struct wr_plan *plan)
{
    for (uint32_t n = 0; n < plan->node_count; n++) {
        if (plan->nodes[n].kind == WR_NODE_WINDOW) {
            return true;
        }
    }
    return false;
}

wr_status wr_restore_operators(const struct wr_pipeline *p, struct wr_exec *exec, struct wr_error *err)
{
    const struct wr_manifest *m = p->recovery->manifest;
    struct restoring r = { .pipeline = p, .exec = exec };
    if (has_windows(p->plan)) {
        WR_TRY(read_snapshots(&r, err));
    }
    for (uint32_t i = 0; i < m->operator_count; i++) {
        const uint32_t node = node_named(p->plan, m->operators[i].name);
        if (node != WR_NO_NODE) {
            wr_exec_restored(exec, node, m->operators[i].watermark_us);
        }
    }
    return WR_OK;
}

wr_status wr_restore_shared(const struct wr_pipeline *p, struct wr_error *err)
{
    struct restoring r = { .pipeline = p };
    bool any = false;
    for (uint32_t s = 0; s < p->plan->source_count; s++) {
        any = any || p->seen[s] != NULL;
    }
    return any && p->recovery != NULL ? read_snapshots(&r, err) : WR_OK;
}
