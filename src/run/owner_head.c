#include "run/owner_head.h"

#include "base/heap.h"
#include "base/log.h"
#include "state/snapshot.h"
#include <stdio.h>
#include <stdlib.h>

#define PREFIX "manifest/"
#define HINT "manifest/last"
#define DELETES_PER_CALL 4u
#define RUN 64u /* manifests whose age is judged by the last of them */

/* ---- finding ---- */

static void note_key(void *ctx, const char *key, uint64_t bytes)
{
    struct wr_manifest_span *span = ctx;
    uint64_t epoch;
    (void)bytes;
    if (wr_manifest_key_epoch(key, &epoch)) {
        span->oldest = span->oldest == 0 || epoch < span->oldest ? epoch : span->oldest;
        span->newest = epoch > span->newest ? epoch : span->newest;
    }
}

/* A hint that does not read, or cannot be read, is none. */
static void read_hint(struct wr_store *store, struct wr_manifest_span *hint)
{
    struct wr_error err;
    struct wr_buf text = { 0 };
    unsigned long long newest = 0;
    unsigned long long oldest = 0;
    *hint = (struct wr_manifest_span){ 0 };
    if (wr_store_get(store, HINT, &text, &err) == WR_OK && text.bytes < 200 &&
        sscanf(wr_buf_cstr(&text), "{\"epoch\":%20llu,\"oldest\":%20llu}", &newest, &oldest) == 2 &&
        oldest > 0 && oldest <= newest && newest <= INT64_MAX) {
        *hint = (struct wr_manifest_span){ .oldest = oldest, .newest = newest };
    }
    wr_buf_deinit(&text);
}

wr_status wr_head_find(struct wr_store *store, struct wr_manifest_span *span, struct wr_error *err)
{
    struct wr_manifest_span hint;
    char after[48];
    *span = (struct wr_manifest_span){ 0 };
    read_hint(store, &hint);
    if (hint.newest > 0) {
        wr_manifest_key(hint.newest - 1, after);
        WR_TRY(wr_store_list(store, PREFIX, after, note_key, span, err));
        if (span->newest > 0) {
            span->oldest = hint.oldest < span->oldest ? hint.oldest : span->oldest;
            return WR_OK;
        }
    }
    return wr_store_list(store, PREFIX, NULL, note_key, span, err);
}

void wr_head_hint(struct wr_store *store, const struct wr_manifest_span *span)
{
    struct wr_error err;
    char text[96];
    const int bytes = snprintf(text, sizeof text, "{\"epoch\":%llu,\"oldest\":%llu}\n",
                               (unsigned long long)span->newest, (unsigned long long)span->oldest);
    if (wr_store_put(store, HINT, text, (size_t)bytes, WR_PUT_ALWAYS, &err) == WR_FAIL) {
        wr_log_error(WR_LOG_DEBUG, "state", &err); /* the next start lists a little more */
    }
}

wr_status wr_head_read(struct wr_store *store, uint64_t epoch, struct wr_manifest *manifest,
                       struct wr_buf *text, struct wr_error *err)
{
    char key[48];
    struct wr_buf own = { 0 };
    struct wr_buf *into = text != NULL ? text : &own;
    wr_manifest_init(manifest);
    wr_manifest_key(epoch, key);
    into->bytes = 0;
    wr_status status = wr_store_get(store, key, into, err);
    if (status == WR_OK) {
        status = wr_manifest_read(manifest, (struct wr_slice){ into->data, into->bytes }, err);
        if (status == WR_OK && manifest->epoch != epoch) {
            status = wr_fail(err, WR_CLASS_FATAL, "it says that it is of epoch %llu",
                             (unsigned long long)manifest->epoch);
        }
        if (status == WR_OK) {
            status = wr_manifest_check(manifest, err);
        }
        if (status == WR_FAIL) {
            wr_error_prefix(err, "%s", key);
        }
    }
    wr_buf_deinit(&own);
    if (status != WR_OK) {
        wr_manifest_deinit(manifest);
    }
    return status;
}

wr_status wr_head_newest(struct wr_store *store, struct wr_manifest_span *span,
                         struct wr_manifest *manifest, struct wr_error *err)
{
    memset(manifest, 0, sizeof *manifest);
    WR_TRY(wr_head_find(store, span, err));
    return span->newest == 0 ? WR_END : wr_head_read(store, span->newest, manifest, NULL, err);
}

/* ---- forgetting ---- */

static bool discard(struct wr_store *store, const char *key)
{
    struct wr_error err;
    if (wr_store_delete(store, key, &err) == WR_FAIL) {
        wr_log_error(WR_LOG_DEBUG, "state", &err);
        return false;
    }
    return true;
}

/* How far manifests may go, looking at the age of one in RUN. */
static uint64_t due_before(struct wr_pruner *pruner, struct wr_store *store,
                           const struct wr_manifest_span *span, int64_t now_ms)
{
    if (pruner->local) {
        return span->newest > WR_HEAD_KEPT_LOCAL ? span->newest - WR_HEAD_KEPT_LOCAL + 1 : 0;
    }
    const uint64_t last = span->oldest + RUN - 1;
    if (span->oldest < pruner->due_before || last >= span->newest) {
        return pruner->due_before;
    }
    if (span->newest % (RUN / 4) != 0) {
        return pruner->due_before; /* not in each epoch, but often enough to catch up */
    }
    struct wr_manifest manifest;
    struct wr_error err;
    const wr_status status = wr_head_read(store, last, &manifest, NULL, &err);
    if (status == WR_END || (status == WR_OK && now_ms - manifest.owner.at_ms > WR_HEAD_KEPT_MS)) {
        pruner->due_before = last + 1;
    }
    wr_manifest_deinit(&manifest);
    return pruner->due_before;
}

struct orphans {
    struct wr_pruner *pruner;
    uint64_t claimed;
    const struct wr_manifest *head;
};

static void note_orphan(void *ctx, const char *key, uint64_t bytes)
{
    const struct orphans *o = ctx;
    struct wr_pruner *pruner = o->pruner;
    uint64_t epoch;
    (void)bytes;
    if (!wr_snapshot_key_epoch(key, &epoch) || epoch > o->claimed) {
        return; /* of this owner's own epochs: control throws them away */
    }
    for (uint32_t s = 0; s < o->head->snapshot_count; s++) {
        if (strcmp(o->head->snapshots[s].key, key) == 0) {
            return;
        }
    }
    if (pruner->orphan_count == pruner->orphan_capacity) {
        pruner->orphan_capacity = pruner->orphan_capacity * 2 + 16;
        pruner->orphans =
            wr_realloc(pruner->orphans, pruner->orphan_capacity * sizeof *pruner->orphans);
    }
    pruner->orphans[pruner->orphan_count++] = wr_strdup(key);
}

void wr_head_prune(struct wr_pruner *pruner, struct wr_store *store, struct wr_manifest_span *span,
                   uint64_t claimed, const struct wr_manifest *head, int64_t now_ms)
{
    struct wr_error err;
    if (!pruner->searched) {
        struct orphans orphans = { pruner, claimed, head };
        pruner->searched = true;
        if (wr_store_list(store, "snapshot/", NULL, note_orphan, &orphans, &err) == WR_FAIL) {
            wr_log_error(WR_LOG_DEBUG, "state", &err);
        }
    }
    const uint64_t before = due_before(pruner, store, span, now_ms);
    bool works = true; /* a store that does not answer is not waited for several times */
    for (uint32_t n = 0; n < DELETES_PER_CALL && works; n++) {
        char key[48];
        if (span->oldest < before && span->oldest < head->epoch) {
            wr_manifest_key(span->oldest, key);
            works = discard(store, key);
            span->oldest += works ? 1 : 0;
        } else if (pruner->orphan_count > 0) {
            works = discard(store, pruner->orphans[--pruner->orphan_count]);
            free(pruner->orphans[pruner->orphan_count]);
        }
    }
}

void wr_pruner_deinit(struct wr_pruner *pruner)
{
    for (uint32_t i = 0; i < pruner->orphan_count; i++) {
        free(pruner->orphans[i]);
    }
    free(pruner->orphans);
    *pruner = (struct wr_pruner){ 0 };
}
