/* store_gcs.h: what the files of the Google Cloud Storage store share (internal to store/).
 * store_gcs.c: URL, credentials, small objects, listings, what earlier runs left. store_gcs_call.c:
 * requests, uploads. */
#ifndef WR_STORE_STORE_GCS_H
#define WR_STORE_STORE_GCS_H

#include "store/store_cloud.h"

/* The metadata entry that holds an object's id. */
#define WR_GCS_ID "weir-put"
/* Under the store's prefix: what is prepared and not yet published. Listings leave it out. */
#define WR_GCS_STAGING "_staging/"

enum gcs_where {
    GCS_OBJECT,  /* /storage/v1/b/BUCKET/o/KEY */
    GCS_LIST,    /* /storage/v1/b/BUCKET/o */
    GCS_UPLOAD,  /* /upload/storage/v1/b/BUCKET/o */
    GCS_REWRITE, /* /storage/v1/b/BUCKET/o/EXTRA/rewriteTo/b/BUCKET/o/KEY */
    GCS_SESSION, /* EXTRA */
};

extern const struct wr_store_ops wr_store_gcs_ops; /* gs:// */
extern const struct cloud_kind wr_gcs_kind;

/* The body of a multipart upload: {"name": prefix + key, "metadata": {...}} and the data. */
void wr_gcs_multipart(const struct cloud_store *store, const char *key, const char *id,
                      const void *data, size_t bytes, struct wr_buf *into);
/* Its Content-Type. */
void wr_gcs_multipart_type(const char *id, char type[80]);

#endif
