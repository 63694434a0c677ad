/* store.c: which store a URL means. */
#include "store/store.h"

#include "store/store_options.h"
#include "store/store_ops.h"
#include <string.h>

const struct wr_option wr_store_options[] = { WR_STORE_OPTION_ROWS, { .name = NULL } };

/* The first row whose scheme begins the URL; a URL without a scheme is a path. */
static const struct wr_store_ops *const rows[] = {
    &wr_store_local_ops,
    &wr_store_s3_ops,
};

static wr_status find(const char *url, const struct wr_store_ops **ops, struct wr_error *err)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strncmp(url, rows[i]->scheme, strlen(rows[i]->scheme)) == 0) {
            wr_ensure(rows[i]->unavailable == NULL, err, WR_CLASS_USER, "%s: %s", url,
                      rows[i]->unavailable);
            *ops = rows[i];
            return WR_OK;
        }
    }
    const char *colon = strstr(url, "://");
    if (colon != NULL) {
        wr_fail(err, WR_CLASS_USER, "no store is known for %.*s", (int)(colon - url) + 3, url);
        wr_error_hint(err, "use a path, file:///dir or s3://bucket/prefix");
        return WR_FAIL;
    }
    *ops = &wr_store_local_ops;
    return WR_OK;
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

wr_status wr_store_delete(struct wr_store *store, const char *key, struct wr_error *err)
{
    return store->ops->erase(store, key, err);
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
    return upload->ops->upload_prepare(upload, err);
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
