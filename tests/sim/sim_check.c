/* sim_check.c: see sim_check.h. */
#include "sim_check.h"

#include "base/heap.h"
#include "state/manifest.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define MANIFESTS "state/manifest/"
#define SNAPSHOTS "state/snapshot/"

static bool begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* ---- manifests ---- */

static uint32_t split_index(const char *name)
{
    for (uint32_t i = 0; i < sim->scenario.split_count; i++) {
        if (strcmp(sim->splits[i].name, name) == 0) {
            return i;
        }
    }
    return UINT32_MAX;
}

/* design.md, section 4, invariant 2: one owner at a time, epochs in order. */
static void check_order(const struct wr_manifest *m, bool if_absent)
{
    const struct sim_head *head = &sim->head;
    if (!if_absent) {
        sim_violation("(2) manifest %llu is put without a condition", (unsigned long long)m->epoch);
    }
    if (head->epoch == 0) {
        if (m->epoch != 1) {
            sim_violation("(2) the first manifest is %llu", (unsigned long long)m->epoch);
        }
        return;
    }
    if (m->epoch != head->epoch + 1 || strcmp(m->uuid, head->uuid) != 0) {
        sim_violation("(2) manifest %llu of %s comes after %llu of %s", (unsigned long long)m->epoch,
                      m->uuid, (unsigned long long)head->epoch, head->uuid);
    }
    if (strcmp(m->owner.id, head->owner) == 0) {
        return;
    }
    bool claim = false;
    for (uint32_t i = 0; i < m->predecessor_count; i++) {
        claim = claim || strcmp(m->predecessors[i], head->owner) == 0;
    }
    if (!claim) {
        sim_violation("(2) manifest %llu of owner %s, who does not own the state: %s does",
                      (unsigned long long)m->epoch, m->owner.id, head->owner);
    }
    const uint64_t cut = m->cut_count > 0 ? m->cuts[m->cut_count - 1].epoch : 0;
    if (cut != head->cut) {
        sim_violation("(4) the claim %llu stands at cut %llu, not at %llu",
                      (unsigned long long)m->epoch, (unsigned long long)cut,
                      (unsigned long long)head->cut);
    }
}

static void check_receipt(const struct wr_manifest *m, const struct wr_manifest_sink *sink,
                          struct wr_slice receipt)
{
    json_t *json = json_loadb(receipt.data, receipt.bytes, JSON_DECODE_ANY, NULL);
    const char *key = json_string_value(json_object_get(json, "key"));
    if (strcmp(sink->connector, "simtable") == 0) {
        char full[256];
        snprintf(full, sizeof full, "stage/%s", key != NULL ? key : "?");
        if (sim_object_find(full) == NULL) {
            sim_violation("(1) manifest %llu names %s, which is not durable",
                          (unsigned long long)m->epoch, full);
        }
    }
    json_decref(json);
}

/* Invariant 1: all that it names is durable. */
static void check_durable(const struct wr_manifest *m)
{
    for (uint32_t i = 0; i < m->snapshot_count; i++) {
        char key[192];
        snprintf(key, sizeof key, "state/%s", m->snapshots[i].key);
        if (sim_object_find(key) == NULL) {
            sim_violation("(1) manifest %llu names %s, which is not durable",
                          (unsigned long long)m->epoch, key);
        }
    }
    for (uint32_t k = 0; k < m->sink_count; k++) {
        for (uint32_t i = 0; i < m->sinks[k].receipt_count && !m->sinks[k].published; i++) {
            check_receipt(m, &m->sinks[k], m->sinks[k].receipts[i]);
        }
    }
}

static void note_positions(const struct wr_manifest *m)
{
    if (m->cut_count == 0) {
        return;
    }
    const struct wr_manifest_cut *cut = &m->cuts[m->cut_count - 1];
    for (uint32_t s = 0; s < cut->source_count; s++) {
        for (uint32_t i = 0; i < cut->sources[s].split_count; i++) {
            const struct wr_manifest_split *at = &cut->sources[s].splits[i];
            const uint32_t split = split_index(at->name);
            if (split == UINT32_MAX) {
                sim_violation("manifest %llu has a split %s", (unsigned long long)m->epoch, at->name);
            } else if (at->position < sim->head.position[split]) {
                sim_violation("(5) manifest %llu: %s goes back from %lld to %lld",
                              (unsigned long long)m->epoch, at->name,
                              (long long)sim->head.position[split], (long long)at->position);
            } else {
                sim->head.position[split] = at->position;
            }
        }
    }
    sim->head.cut = cut->epoch;
}

static void commit_activations(uint64_t epoch)
{
    for (uint32_t i = 0; i < sim->activation_count; i++) {
        struct sim_activation *a = &sim->activations[i];
        if (a->run == sim->run_now && a->epoch <= epoch) {
            a->committed = true;
        }
    }
}

static void check_manifest(const char *key, const void *data, size_t bytes, bool if_absent)
{
    struct wr_manifest m;
    struct wr_error err = { 0 };
    wr_manifest_init(&m);
    const struct wr_slice text = { data, bytes };
    if (wr_manifest_read(&m, text, &err) != WR_OK || wr_manifest_check(&m, &err) != WR_OK) {
        sim_violation("(5) %s: %s", key, err.message);
    }
    check_order(&m, if_absent);
    check_durable(&m);
    const bool claim = strcmp(m.owner.id, sim->head.owner) != 0;
    note_positions(&m);
    if (!claim) {
        commit_activations(m.epoch);
    }
    sim_trace("%s %llu by %s, cut %llu%s", claim ? "CLAIM" : "MANIFEST", (unsigned long long)m.epoch,
              m.owner.id, (unsigned long long)sim->head.cut, m.owner.released ? ", released" : "");
    sim->runs[sim->run_now].claimed = true;
    sim->head.epoch = m.epoch;
    snprintf(sim->head.owner, sizeof sim->head.owner, "%s", m.owner.id);
    snprintf(sim->head.uuid, sizeof sim->head.uuid, "%s", m.uuid);
    snprintf(sim->head.key, sizeof sim->head.key, "%s", key);
    wr_manifest_deinit(&m);
}

/* ---- what sinks make visible ---- */

static bool in_manifest(uint64_t epoch, const char *sink)
{
    char key[80];
    snprintf(key, sizeof key, MANIFESTS "%020llu.json", (unsigned long long)epoch);
    const struct sim_object *object = sim_object_find(key);
    if (object == NULL) {
        return epoch <= sim->head.epoch; /* pruned */
    }
    struct wr_manifest m;
    wr_manifest_init(&m);
    const struct wr_slice text = { object->data, object->bytes };
    bool named = false;
    if (wr_manifest_read(&m, text, NULL) == WR_OK) {
        const struct wr_manifest_sink *at = wr_manifest_sink_of(&m, sink);
        named = at != NULL && at->cut == epoch;
    }
    wr_manifest_deinit(&m);
    return named;
}

void sim_check_commit(const char *sink, const char *uuid, uint64_t epoch)
{
    if (sim->calm) {
        return;
    }
    if (strcmp(uuid, sim->head.uuid) != 0 || !in_manifest(epoch, sink)) {
        sim_violation("(3) sink %s publishes epoch %llu of state %s without its manifest", sink,
                      (unsigned long long)epoch, uuid);
    }
}

/* A commit of a Delta table: its txn names the epoch. */
static void check_delta(const char *key, const void *data, size_t bytes)
{
    const char *at = data;
    const char *end = at + bytes;
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        line_end = line_end == NULL ? end : line_end;
        json_t *json = json_loadb(at, (size_t)(line_end - at), 0, NULL);
        json_t *txn = json_object_get(json, "txn");
        const char *app = json_string_value(json_object_get(txn, "appId"));
        const json_int_t epoch = json_integer_value(json_object_get(txn, "version"));
        const char *slash = app != NULL ? strchr(app, '/') : NULL;
        if (slash != NULL) {
            char uuid[40];
            snprintf(uuid, sizeof uuid, "%.*s", (int)(slash - app), app);
            sim_trace("%s commits epoch %lld of %s", key, (long long)epoch, app);
            sim_check_commit(slash + 1, uuid, (uint64_t)epoch);
        }
        json_decref(json);
        at = line_end + 1;
    }
}

void sim_check_put(const char *key, const void *data, size_t bytes, bool if_absent)
{
    if (sim->calm) {
        return;
    }
    if (begins(key, MANIFESTS) && strstr(key, ".json") != NULL) {
        check_manifest(key, data, bytes, if_absent);
    } else if (strstr(key, "/_delta_log/") != NULL && strstr(key, ".json") != NULL) {
        check_delta(key, data, bytes);
    }
}

void sim_check_publish(const struct sim_upload *upload)
{
    /* Delta publishes its data files with prepare: they are seen only through the log. */
    if (sim->calm || !begins(upload->key, "dir")) {
        return;
    }
    char ticket[48];
    const int bytes = snprintf(ticket, sizeof ticket, "\"sim_upload\":%llu}",
                               (unsigned long long)upload->id);
    const struct sim_object *head = sim_object_find(sim->head.key);
    if (head == NULL || memmem(head->data, head->bytes, ticket, (size_t)bytes) == NULL) {
        sim_violation("(3) %s becomes visible without a manifest", upload->key);
    }
}

void sim_check_delete(const char *key)
{
    if (sim->calm || sim->head.epoch == 0) {
        return;
    }
    const struct sim_object *head = sim_object_find(sim->head.key);
    const char *short_key = strchr(key, '/') + 1;
    if (strcmp(key, sim->head.key) == 0) {
        sim_violation("(4) the newest manifest is deleted: %s", key);
    } else if (begins(key, SNAPSHOTS) && head != NULL &&
               memmem(head->data, head->bytes, short_key, strlen(short_key)) != NULL) {
        sim_violation("(1) %s is deleted, but the newest manifest needs it", key);
    }
}

void sim_check_position(uint32_t split, int64_t next_position)
{
    if (split < sim->scenario.split_count && next_position > sim->head.position[split]) {
        sim_violation("%s: position %lld is told to be safe, committed is %lld",
                      sim->splits[split].name, (long long)next_position,
                      (long long)sim->head.position[split]);
    }
}

void sim_note_activation(uint64_t epoch, const struct sim_activation *activation)
{
    struct sim_activation *a = &sim->activations[sim->activation_count++];
    *a = *activation;
    a->run = sim->run_now;
    a->epoch = epoch;
    sim_trace("%s became active at %lld with floor %lld", sim->splits[a->split].name,
              (long long)a->position, (long long)a->floor_us);
}
