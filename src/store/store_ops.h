/* store_ops.h: what one kind of object store implements: store.c only finds the row and forwards.
 * Internal to store/, and to test programs that link a table of stores of their own in place of
 * store_registry.c.
 *
 * A store's own struct begins with struct wr_store, its upload with struct wr_upload; open fills
 * ops. The contract of each function is that of its namesake in store.h.
 * upload_write that fails has taken nothing and may be repeated, as may prepare and publish.
 * A store that knows nothing of begin leaves it NULL; one that knows nothing of direct uploads has
 * them published by store.c.
 */
#ifndef WR_STORE_STORE_OPS_H
#define WR_STORE_STORE_OPS_H

#include "store/store.h"

struct wr_store_ops {
    const char *scheme; /* what urls begin with: "s3://" */
    const char *unavailable; /* not built in: the reason */
    bool takes_paths;        /* also what has no scheme; the first such row gets it */
    bool knows_direct;       /* its upload_prepare looks at upload->direct */
    wr_status (*check)(const char *url, const struct wr_options *options, struct wr_error *err);
    wr_status (*open)(struct wr_store **store, const char *url, const struct wr_options *options,
                      struct wr_io *io, struct wr_error *err);
    void (*close)(struct wr_store *store);
    wr_status (*put)(struct wr_store *store, const char *key, const void *data, size_t bytes,
                     enum wr_put_condition condition, struct wr_error *err);
    wr_status (*get)(struct wr_store *store, const char *key, struct wr_buf *into,
                     struct wr_error *err);
    wr_status (*get_range)(struct wr_store *store, const char *key, uint64_t offset, uint64_t bytes,
                           struct wr_buf *into, struct wr_error *err);
    wr_status (*erase)(struct wr_store *store, const char *key, struct wr_error *err);
    /* NULL: it does not know (stores of tests) */
    wr_status (*modified)(struct wr_store *store, const char *key, int64_t *ms,
                          struct wr_error *err);
    wr_status (*list)(struct wr_store *store, const char *prefix, const char *start_after,
                      void (*found)(void *ctx, const char *key, uint64_t bytes), void *ctx,
                      struct wr_error *err);
    wr_status (*upload_open)(struct wr_upload **upload, struct wr_store *store, const char *key,
                             struct wr_error *err);
    wr_status (*upload_write)(struct wr_upload *upload, const void *data, size_t bytes,
                              struct wr_error *err);
    wr_status (*upload_prepare)(struct wr_upload *upload, struct wr_error *err);
    wr_status (*upload_publish)(struct wr_upload *upload, struct wr_error *err);
    void (*upload_prepare_begin)(struct wr_upload *upload);
    void (*upload_publish_begin)(struct wr_upload *upload);
    void (*upload_close)(struct wr_upload *upload);
    void (*upload_ticket)(const struct wr_upload *upload, struct wr_buf *into);
    void (*upload_keep)(struct wr_upload *upload);
    wr_status (*publish_ticket)(struct wr_store *store, const char *ticket, size_t bytes,
                                struct wr_error *err);
    wr_status (*abandon)(struct wr_store *store, const char *prefix, const char *mark,
                         bool (*keep)(void *ctx, const char *key), void *ctx,
                         struct wr_error *err);
};

struct wr_store {
    const struct wr_store_ops *ops;
};

struct wr_upload {
    const struct wr_store_ops *ops;
    bool direct;
};

/* All stores of this program, NULL-terminated (store_registry.c). */
extern const struct wr_store_ops *const wr_stores[];

extern const struct wr_store_ops wr_store_s3_ops;    /* store_s3.c: s3:// */
extern const struct wr_store_ops wr_store_local_ops; /* store_local.c: file:// and plain paths */

#endif
