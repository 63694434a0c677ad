/* sim_store.c: an object store of the simulated world, with the faults that real ones have.
 *
 * Each call is a crash point before and after its effect and takes simulated time. By the seed it fails without an effect, or
 * has its effect and answers with an error (ambiguous), or is applied a second time later (a request that a proxy repeats).
 * Appends to the world are atomic, as a real store's puts are.
 */
#include "sim_connectors.h"

#include "base/heap.h"
#include "sim_check.h"
#include "sim_world.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define KEY_BYTES 512

struct sim_store {
    struct wr_store base;
    char prefix[160]; /* "state/" */
};

struct sim_store_upload {
    struct wr_upload base;
    uint32_t at; /* in sim->uploads */
    struct wr_buf pending;
    bool keep;
};

static const char *full_key(const struct sim_store *store, const char *key, char into[KEY_BYTES])
{
    snprintf(into, KEY_BYTES, "%s%s", store->prefix, key);
    return into;
}

/* ---- faults ---- */

enum outcome { WORKS, FAILS_BEFORE, FAILS_AFTER };

static enum outcome begin(const char *op, const char *key)
{
    if (sim->calm) {
        return WORKS;
    }
    char name[KEY_BYTES + 32];
    snprintf(name, sizeof name, "before %s %s", op, key);
    sim->ops++;
    sim_point(SIM_POINT_OP, name);
    sim->now_ns += (int64_t)sim_below(sim->scenario.slow_ns + 1);
    const uint32_t per_mille = sim->scenario.fault_per_mille;
    if (!sim_chance(sim_starting ? per_mille / 8 : per_mille)) {
        return WORKS;
    }
    return sim_chance(500) ? FAILS_BEFORE : FAILS_AFTER;
}

static wr_status end(const char *op, const char *key, enum outcome outcome, wr_status status,
                     struct wr_error *err)
{
    if (sim->calm) {
        return status;
    }
    static const char *const words[] = { "", " (fails without effect)", " (answer is lost)" };
    sim_trace("store: %s %s%s%s", op, key, status == WR_END ? " -> no" : "", words[outcome]);
    char name[KEY_BYTES + 32];
    snprintf(name, sizeof name, "after %s %s", op, key);
    sim_point(SIM_POINT_OP, name);
    if (outcome != WORKS) {
        return wr_fail(err, WR_CLASS_RETRY, "%s %s: the simulated store does not answer", op, key);
    }
    return status;
}

/* ---- objects ---- */

static wr_status check(const char *url, const struct wr_options *options, struct wr_error *err)
{
    wr_ensure(strlen(url) < 150, err, WR_CLASS_USER, "%s is too long", url);
    return WR_OK;
}

static wr_status open_store(struct wr_store **out, const char *url, const struct wr_options *options,
                            struct wr_io *io, struct wr_error *err)
{
    const enum outcome outcome = begin("open", url);
    if (outcome != WORKS) {
        return end("open", url, outcome, WR_OK, err);
    }
    struct sim_store *store = wr_calloc(1, sizeof *store);
    store->base.ops = &sim_store_ops;
    snprintf(store->prefix, sizeof store->prefix, "%s/", url + strlen("sim://"));
    *out = &store->base;
    return WR_OK;
}

static void close_store(struct wr_store *store)
{
    free(store);
}

/* Bug EARLY_MANIFEST: what was put becomes durable with the next put only. */
static struct {
    char key[KEY_BYTES];
    struct wr_buf data;
} held;

static void hold_back(const char *key, const void *data, size_t bytes)
{
    if (held.key[0] != '\0') {
        sim_object_put(held.key, held.data.data, held.data.bytes);
    }
    snprintf(held.key, sizeof held.key, "%s", key);
    held.data.bytes = 0;
    wr_buf_append(&held.data, data, bytes);
}

static wr_status put(struct wr_store *base, const char *short_key, const void *data, size_t bytes,
                     enum wr_put_condition condition, struct wr_error *err)
{
    char key[KEY_BYTES];
    full_key((struct sim_store *)base, short_key, key);
    const char *op = condition == WR_PUT_IF_ABSENT ? "put-if-absent" : "put";
    const enum outcome outcome = begin(op, key);
    wr_status status = WR_OK;
    if (outcome != FAILS_BEFORE) {
        const bool fenced = condition == WR_PUT_IF_ABSENT && !sim_bug(SIM_BUG_NO_FENCE);
        if (fenced && sim_object_find(key) != NULL) {
            status = WR_END;
        } else {
            sim_check_put(key, data, bytes, condition == WR_PUT_IF_ABSENT);
            if (sim_bug(SIM_BUG_EARLY_MANIFEST) && strstr(key, "/snapshot/") != NULL) {
                hold_back(key, data, bytes);
            } else {
                sim_object_put(key, data, bytes);
            }
        }
    }
    return end(op, key, outcome, status, err);
}

static wr_status get(struct wr_store *base, const char *short_key, struct wr_buf *into,
                     struct wr_error *err)
{
    char key[KEY_BYTES];
    full_key((struct sim_store *)base, short_key, key);
    const enum outcome outcome = begin("get", key);
    const struct sim_object *object = sim_object_find(key);
    if (outcome == WORKS && object != NULL) {
        wr_buf_append(into, object->data, object->bytes);
    }
    return end("get", key, outcome, object != NULL ? WR_OK : WR_END, err);
}

static wr_status get_range(struct wr_store *base, const char *short_key, uint64_t offset,
                           uint64_t bytes, struct wr_buf *into, struct wr_error *err)
{
    char key[KEY_BYTES];
    full_key((struct sim_store *)base, short_key, key);
    const enum outcome outcome = begin("get", key);
    const struct sim_object *object = sim_object_find(key);
    if (outcome == WORKS && object != NULL && offset < object->bytes) {
        const uint64_t rest = object->bytes - offset;
        wr_buf_append(into, object->data + offset, bytes < rest ? bytes : rest);
    }
    return end("get", key, outcome, object != NULL ? WR_OK : WR_END, err);
}

static wr_status erase(struct wr_store *base, const char *short_key, struct wr_error *err)
{
    char key[KEY_BYTES];
    full_key((struct sim_store *)base, short_key, key);
    const enum outcome outcome = begin("delete", key);
    if (outcome != FAILS_BEFORE) {
        sim_check_delete(key);
        sim_object_delete(key);
    }
    return end("delete", key, outcome, WR_OK, err);
}

static wr_status list(struct wr_store *base, const char *prefix, const char *start_after,
                      void (*found)(void *ctx, const char *key, uint64_t bytes), void *ctx,
                      struct wr_error *err)
{
    const struct sim_store *store = (struct sim_store *)base;
    char key[KEY_BYTES];
    char after[KEY_BYTES] = "";
    full_key(store, prefix, key);
    if (start_after != NULL) {
        full_key(store, start_after, after);
    }
    const enum outcome outcome = begin("list", key);
    if (outcome != WORKS) {
        return end("list", key, outcome, WR_OK, err);
    }
    const size_t bytes = strlen(key);
    for (uint32_t i = sim_object_lower(key); i < sim->object_count; i++) {
        const struct sim_object *object = &sim->objects[i];
        if (strncmp(object->key, key, bytes) != 0) {
            break;
        }
        if (strcmp(object->key, after) > 0) {
            found(ctx, object->key + strlen(store->prefix), object->bytes);
        }
    }
    return end("list", key, outcome, WR_OK, err);
}

/* ---- uploads ---- */

static wr_status upload_open(struct wr_upload **out, struct wr_store *base, const char *short_key,
                             struct wr_error *err)
{
    char key[KEY_BYTES];
    full_key((struct sim_store *)base, short_key, key);
    const enum outcome outcome = begin("upload", key);
    if (outcome == FAILS_BEFORE) {
        return end("upload", key, outcome, WR_OK, err);
    }
    const uint32_t at = sim->upload_count++;
    sim->uploads[at] = (struct sim_upload){ .id = at + 1, .key = sim_strndup(key, strlen(key)) };
    struct sim_store_upload *upload = wr_calloc(1, sizeof *upload);
    upload->base.ops = &sim_store_ops;
    upload->at = at;
    const wr_status status = end("upload", key, outcome, WR_OK, err);
    if (status == WR_OK) {
        *out = &upload->base;
    } else {
        free(upload);
    }
    return status;
}

static wr_status upload_write(struct wr_upload *base, const void *data, size_t bytes,
                              struct wr_error *err)
{
    struct sim_store_upload *upload = (struct sim_store_upload *)base;
    if (!sim->calm && sim_chance(sim->scenario.fault_per_mille / 4)) {
        return wr_fail(err, WR_CLASS_RETRY, "the simulated store does not take a part");
    }
    wr_buf_append(&upload->pending, data, bytes);
    return WR_OK;
}

static wr_status upload_prepare(struct wr_upload *base, struct wr_error *err)
{
    struct sim_store_upload *upload = (struct sim_store_upload *)base;
    struct sim_upload *in_world = &sim->uploads[upload->at];
    const enum outcome outcome = begin("upload-prepare", in_world->key);
    if (outcome != FAILS_BEFORE && in_world->state == SIM_UPLOAD_OPEN) {
        in_world->data = sim_strndup(upload->pending.data != NULL ? upload->pending.data : "",
                                     upload->pending.bytes);
        in_world->bytes = upload->pending.bytes;
        in_world->state = SIM_UPLOAD_PREPARED;
    }
    return end("upload-prepare", in_world->key, outcome, WR_OK, err);
}

static wr_status publish(struct sim_upload *upload, struct wr_error *err)
{
    const enum outcome outcome = begin("upload-publish", upload->key);
    wr_status status = WR_OK;
    if (outcome != FAILS_BEFORE) {
        if (upload->state == SIM_UPLOAD_PREPARED) {
            sim_check_publish(upload);
            sim_object_put(upload->key, upload->data, upload->bytes);
            upload->state = SIM_UPLOAD_PUBLISHED;
        } else if (upload->state != SIM_UPLOAD_PUBLISHED && sim_object_find(upload->key) == NULL) {
            status = wr_fail(err, WR_CLASS_FATAL, "%s: neither upload nor object", upload->key);
        }
    }
    return end("upload-publish", upload->key, outcome, status, err);
}

static wr_status upload_publish(struct wr_upload *base, struct wr_error *err)
{
    return publish(&sim->uploads[((struct sim_store_upload *)base)->at], err);
}

static void upload_close(struct wr_upload *base)
{
    struct sim_store_upload *upload = (struct sim_store_upload *)base;
    struct sim_upload *in_world = &sim->uploads[upload->at];
    if (!upload->keep && in_world->state < SIM_UPLOAD_PUBLISHED) {
        in_world->state = SIM_UPLOAD_GONE;
        sim_trace("store: upload of %s is dropped", in_world->key);
    }
    wr_buf_deinit(&upload->pending);
    free(upload);
}

static void upload_ticket(const struct wr_upload *base, struct wr_buf *into)
{
    const struct sim_upload *upload = &sim->uploads[((const struct sim_store_upload *)base)->at];
    wr_buf_printf(into, "{\"sim_upload\":%llu}", (unsigned long long)upload->id);
}

static void upload_keep(struct wr_upload *base)
{
    ((struct sim_store_upload *)base)->keep = true;
}

static wr_status publish_ticket(struct wr_store *base, const char *ticket, size_t bytes,
                                struct wr_error *err)
{
    json_t *json = json_loadb(ticket, bytes, 0, NULL);
    const json_int_t id = json_integer_value(json_object_get(json, "sim_upload"));
    json_decref(json);
    wr_ensure(id > 0 && id <= (json_int_t)sim->upload_count, err, WR_CLASS_FATAL,
              "not a ticket: %.*s", (int)bytes, ticket);
    return publish(&sim->uploads[id - 1], err);
}

static wr_status abandon(struct wr_store *base, const char *prefix, const char *mark,
                         bool (*keep)(void *ctx, const char *key), void *ctx, struct wr_error *err)
{
    const struct sim_store *store = (struct sim_store *)base;
    char key[KEY_BYTES];
    full_key(store, prefix, key);
    const enum outcome outcome = begin("abandon", key);
    for (uint32_t i = 0; outcome != FAILS_BEFORE && i < sim->upload_count; i++) {
        struct sim_upload *upload = &sim->uploads[i];
        if (upload->state < SIM_UPLOAD_PUBLISHED && strncmp(upload->key, key, strlen(key)) == 0 &&
            strstr(upload->key, mark) != NULL &&
            (keep == NULL || !keep(ctx, upload->key + strlen(store->prefix)))) {
            upload->state = SIM_UPLOAD_GONE;
        }
    }
    return end("abandon", key, outcome, WR_OK, err);
}

const struct wr_store_ops sim_store_ops = {
    .scheme = "sim://",
    .check = check,
    .open = open_store,
    .close = close_store,
    .put = put,
    .get = get,
    .get_range = get_range,
    .erase = erase,
    .list = list,
    .upload_open = upload_open,
    .upload_write = upload_write,
    .upload_prepare = upload_prepare,
    .upload_publish = upload_publish,
    .upload_close = upload_close,
    .upload_ticket = upload_ticket,
    .upload_keep = upload_keep,
    .publish_ticket = publish_ticket,
    .abandon = abandon,
};
