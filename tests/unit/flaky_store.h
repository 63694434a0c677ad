/* flaky_store.h: local directories as the only store of a test program, of which one chosen call
 * fails (class RETRY), before it did anything or after. Linked in place of the table of stores. */
#ifndef WEIR_TESTS_FLAKY_STORE_H
#define WEIR_TESTS_FLAKY_STORE_H

#include "store/store_ops.h"

static struct {
    uint32_t calls;
    uint32_t fail_at; /* the number of the call that fails, from 1; 0: none */
    bool applied;     /* it fails after it was carried out: an answer that got lost */
    bool fired;
} flaky;

static const struct wr_store_ops flaky_ops;

static inline void flaky_arm(uint32_t fail_at, bool applied)
{
    flaky.calls = 0;
    flaky.fail_at = fail_at;
    flaky.applied = applied;
    flaky.fired = false;
}

static wr_status flaky_failure(struct wr_error *err)
{
    flaky.fired = true;
    return wr_fail(err, WR_CLASS_RETRY, "the store is away for a moment");
}

/* Calls that fail after the fact do so only where a repetition does no harm by the contract of
 * store_ops.h. */
#define FLAKY(call, repeatable)                                                                    \
    do {                                                                                           \
        const bool due = ++flaky.calls == flaky.fail_at;                                           \
        if (due && !(flaky.applied && (repeatable))) {                                             \
            return flaky_failure(err);                                                             \
        }                                                                                          \
        const wr_status status = (call);                                                           \
        return due && status == WR_OK ? flaky_failure(err) : status;                               \
    } while (0)

static wr_status flaky_check(const char *url, const struct wr_options *options,
                             struct wr_error *err)
{
    return wr_store_local_ops.check(url, options, err);
}

static wr_status flaky_open(struct wr_store **store, const char *url,
                            const struct wr_options *options, struct wr_io *io,
                            struct wr_error *err)
{
    WR_TRY(wr_store_local_ops.open(store, url, options, io, err));
    (*store)->ops = &flaky_ops;
    return WR_OK;
}

static void flaky_close(struct wr_store *store)
{
    wr_store_local_ops.close(store);
}

static wr_status flaky_put(struct wr_store *store, const char *key, const void *data, size_t bytes,
                           enum wr_put_condition condition, struct wr_error *err)
{
    FLAKY(wr_store_local_ops.put(store, key, data, bytes, condition, err), true);
}

static wr_status flaky_get(struct wr_store *store, const char *key, struct wr_buf *into,
                           struct wr_error *err)
{
    FLAKY(wr_store_local_ops.get(store, key, into, err), false);
}

static wr_status flaky_get_range(struct wr_store *store, const char *key, uint64_t offset,
                                 uint64_t bytes, struct wr_buf *into, struct wr_error *err)
{
    FLAKY(wr_store_local_ops.get_range(store, key, offset, bytes, into, err), false);
}

static wr_status flaky_erase(struct wr_store *store, const char *key, struct wr_error *err)
{
    FLAKY(wr_store_local_ops.erase(store, key, err), true);
}

static wr_status flaky_list(struct wr_store *store, const char *prefix, const char *start_after,
                            void (*found)(void *ctx, const char *key, uint64_t bytes), void *ctx,
                            struct wr_error *err)
{
    FLAKY(wr_store_local_ops.list(store, prefix, start_after, found, ctx, err), false);
}

static wr_status flaky_upload_open(struct wr_upload **upload, struct wr_store *store,
                                   const char *key, struct wr_error *err)
{
    if (++flaky.calls == flaky.fail_at) {
        return flaky_failure(err);
    }
    WR_TRY(wr_store_local_ops.upload_open(upload, store, key, err));
    (*upload)->ops = &flaky_ops;
    return WR_OK;
}

static wr_status flaky_upload_write(struct wr_upload *upload, const void *data, size_t bytes,
                                    struct wr_error *err)
{
    FLAKY(wr_store_local_ops.upload_write(upload, data, bytes, err), false);
}

static wr_status flaky_upload_prepare(struct wr_upload *upload, struct wr_error *err)
{
    FLAKY(wr_store_local_ops.upload_prepare(upload, err), true);
}

static wr_status flaky_upload_publish(struct wr_upload *upload, struct wr_error *err)
{
    FLAKY(wr_store_local_ops.upload_publish(upload, err), true);
}

static void flaky_upload_prepare_begin(struct wr_upload *upload)
{
    wr_store_local_ops.upload_prepare_begin(upload); /* its failures are told by prepare */
}

static void flaky_upload_publish_begin(struct wr_upload *upload)
{
    wr_store_local_ops.upload_publish_begin(upload);
}

static void flaky_upload_close(struct wr_upload *upload)
{
    wr_store_local_ops.upload_close(upload);
}

static void flaky_upload_ticket(const struct wr_upload *upload, struct wr_buf *into)
{
    wr_store_local_ops.upload_ticket(upload, into);
}

static void flaky_upload_keep(struct wr_upload *upload)
{
    wr_store_local_ops.upload_keep(upload);
}

static wr_status flaky_publish_ticket(struct wr_store *store, const char *ticket, size_t bytes,
                                      struct wr_error *err)
{
    FLAKY(wr_store_local_ops.publish_ticket(store, ticket, bytes, err), true);
}

static wr_status flaky_abandon(struct wr_store *store, const char *prefix, const char *mark,
                               bool (*keep)(void *ctx, const char *key), void *ctx,
                               struct wr_error *err)
{
    FLAKY(wr_store_local_ops.abandon(store, prefix, mark, keep, ctx, err), true);
}

static const struct wr_store_ops flaky_ops = {
    .scheme = "file://",
    .takes_paths = true,
    .knows_direct = true,
    .check = flaky_check,
    .open = flaky_open,
    .close = flaky_close,
    .put = flaky_put,
    .get = flaky_get,
    .get_range = flaky_get_range,
    .erase = flaky_erase,
    .list = flaky_list,
    .upload_open = flaky_upload_open,
    .upload_write = flaky_upload_write,
    .upload_prepare = flaky_upload_prepare,
    .upload_publish = flaky_upload_publish,
    .upload_prepare_begin = flaky_upload_prepare_begin,
    .upload_publish_begin = flaky_upload_publish_begin,
    .upload_close = flaky_upload_close,
    .upload_ticket = flaky_upload_ticket,
    .upload_keep = flaky_upload_keep,
    .publish_ticket = flaky_publish_ticket,
    .abandon = flaky_abandon,
};

const struct wr_store_ops *const wr_stores[] = { &flaky_ops, NULL };

#endif
