/* store.c: which store a URL means. */
#include "store/store.h"

#include "base/assert.h"
#include "store/store_options.h"
#include "store/store_ops.h"
#include <string.h>

const struct wr_option wr_store_options[] = { WR_STORE_OPTION_ROWS, { .name = NULL } };

/* The first row whose scheme begins the URL; a URL without a scheme is a path. */
static wr_status find(const char *url, const struct wr_store_ops **ops, struct wr_error *err)
{
    const char *colon = strstr(url, "://");
    for (const struct wr_store_ops *const *row = wr_stores; *row != NULL; row++) {
        if (colon == NULL ? (*row)->takes_paths
                          : strncmp(url, (*row)->scheme, strlen((*row)->scheme)) == 0) {
            wr_ensure((*row)->unavailable == NULL, err, WR_CLASS_USER, "%s: %s", url,
                      (*row)->unavailable);
            *ops = *row;
            return WR_OK;
        }
    }
    if (colon != NULL) {
        wr_fail(err, WR_CLASS_USER, "no store is known for %.*s", (int)(colon - url) + 3, url);
        wr_error_hint(err, "use a path, file:///dir, s3://bucket/prefix, az://container/path or gs://bucket/path");
        return WR_FAIL;
    }
    return wr_fail(err, WR_CLASS_USER, "no store of this program takes the path %s", url);
}

wr_status wr_store_check(const char *url, const struct wr_options *options, struct wr_error *err)
{
    const struct wr_store_ops *ops;
    WR_TRY(find(url, &ops, err));
    return ops->check(url, options, err);
}

wr_status wr_store_open(struct wr_store **store, const char *url, const struct wr_options *options,
                        struct wr_io *io, struct wr_error *err)
{
    const struct wr_store_ops *ops;
    *store = NULL;
    WR_TRY(find(url, &ops, err));
    return ops->open(store, url, options, io, err);
}

void wr_store_close(struct wr_store *store)
{
    if (store != NULL) {
        store->ops->close(store);
    }
}

wr_status wr_store_put(struct wr_store *store, const char *key, const void *data, size_t bytes,
                       enum wr_put_condition condition, struct wr_error *err)
{
    return store->ops->put(store, key, data, bytes, condition, err);
}

wr_status wr_store_get(struct wr_store *store, const char *key, struct wr_buf *into,
                       struct wr_error *err)
{
    return store->ops->get(store, key, into, err);
}

wr_status wr_store_get_range(struct wr_store *store, const char *key, uint64_t offset,
                             uint64_t bytes, struct wr_buf *into, struct wr_error *err)
{
    return store->ops->get_range(store, key, offset, bytes, into, err);
}

wr_status wr_store_delete(struct wr_store *store, const char *key, struct wr_error *err)
{
    return store->ops->erase(store, key, err);
}

wr_status wr_store_modified(struct wr_store *store, const char *key, int64_t *ms,
                            struct wr_error *err)
{
    wr_ensure(store->ops->modified != NULL, err, WR_CLASS_FATAL,
              "this store does not tell when an object was written");
    return store->ops->modified(store, key, ms, err);
}

wr_status wr_store_list(struct wr_store *store, const char *prefix, const char *start_after,
                        void (*found)(void *ctx, const char *key, uint64_t bytes), void *ctx,
                        struct wr_error *err)
{
    return store->ops->list(store, prefix, start_after, found, ctx, err);
}

wr_status wr_upload_open(struct wr_upload **upload, struct wr_store *store, const char *key,
                         struct wr_error *err)
{
    *upload = NULL;
    return store->ops->upload_open(upload, store, key, err);
}

wr_status wr_upload_write(struct wr_upload *upload, const void *data, size_t bytes,
                          struct wr_error *err)
{
    return upload->ops->upload_write(upload, data, bytes, err);
}

wr_status wr_upload_prepare(struct wr_upload *upload, struct wr_error *err)
{
    WR_TRY(upload->ops->upload_prepare(upload, err));
    return upload->direct && !upload->ops->knows_direct ? upload->ops->upload_publish(upload, err)
                                                        : WR_OK;
}

void wr_upload_direct(struct wr_upload *upload)
{
    upload->direct = true;
}

void wr_upload_prepare_begin(struct wr_upload *upload)
{
    if (upload->ops->upload_prepare_begin != NULL) {
        upload->ops->upload_prepare_begin(upload);
    }
}

void wr_upload_publish_begin(struct wr_upload *upload)
{
    if (upload->ops->upload_publish_begin != NULL) {
        upload->ops->upload_publish_begin(upload);
    }
}

wr_status wr_upload_publish(struct wr_upload *upload, struct wr_error *err)
{
    return upload->ops->upload_publish(upload, err);
}

void wr_upload_close(struct wr_upload *upload)
{
    if (upload != NULL) {
        upload->ops->upload_close(upload);
    }
}

void wr_upload_ticket(const struct wr_upload *upload, struct wr_buf *into)
{
    upload->ops->upload_ticket(upload, into);
}

void wr_upload_keep(struct wr_upload *upload)
{
    upload->ops->upload_keep(upload);
}

wr_status wr_store_publish_ticket(struct wr_store *store, const char *ticket, size_t bytes,
                                  struct wr_error *err)
{
    return store->ops->publish_ticket(store, ticket, bytes, err);
}

wr_status wr_store_abandon(struct wr_store *store, const char *prefix, const char *mark,
                           bool (*keep)(void *ctx, const char *key), void *ctx,
                           struct wr_error *err)
{
    /* Every key contains the empty text: it would take everybody's uploads away. */
    wr_assert(mark[0] != '\0');
    return store->ops->abandon(store, prefix, mark, keep, ctx, err);
}
