/* store_s3.h: what the files of the S3 store share (internal to store/): one signed request with
 * its retries, the few XML elements that S3 answers with, and its errors in Weir's words.
 *
 * store_s3.c: open, put, get, delete, list.  store_s3_upload.c: multipart uploads. store_s3_call.c:
 * requests and errors. store_s3_abandon.c: what earlier runs left unpublished.
 */
#ifndef WR_STORE_STORE_S3_H
#define WR_STORE_STORE_S3_H

#include "net/aws_sigv4.h"
#include "net/http_client.h"
#include "net/retry.h"
#include "store/store_ops.h"

/* The user metadata by which a put whose answer was lost recognises its own object. */
#define WR_S3_PUT_ID       "x-amz-meta-weir-put"
#define WR_S3_PUT_ID_BYTES 33 /* 128 random bits in hex, with the NUL */
/* S3's limit for a whole key. */
#define WR_S3_KEY_BYTES_MAX 1024

struct s3_slot;

struct s3_store {
    struct wr_store base;
    char *url; /* as the user wrote it, for messages */
    char *bucket;
    char *prefix;    /* of all keys: "" or "a/b/" */
    char *origin;    /* "https://host:port" */
    char *host;      /* as in the Host header */
    char *path_root; /* before the key, decoded: "" or "/bucket", after the endpoint's own path */
    char *region;
    bool https;
    bool opening; /* a refusal is the user's mistake then, later a failure of the run */
    uint64_t part_bytes;
    struct wr_retry retry;
    struct wr_aws_credentials credentials;
    struct wr_aws_signer *signer;
    struct wr_http_client *client;
    struct wr_http_call call; /* for everything but uploads */
    /* Of all uploads: requests that are not answered for good, and the bytes they hold. */
    uint32_t under_way;
    uint64_t under_way_bytes;
    struct s3_slot *waiting; /* of them: those to be sent again, when their time has come */
};

/* One request, decoded. key: NULL speaks to the bucket, else without the store's prefix. */
struct s3_ask {
    const char *method;
    const char *key;
    struct wr_aws_pair query[6];
    uint32_t query_count;
    struct wr_aws_pair headers[4];
    uint32_t header_count;
    const void *body; /* the query and headers borrow their texts too */
    size_t body_bytes;
    size_t answer_bytes_max;
    bool conflict_retries; /* 409 means "ask again" */
};

/* Builds and signs ask into call (which is cleared first): anew for each attempt, since signatures
 * age. */
void wr_s3_sign(struct s3_store *store, const struct s3_ask *ask, struct wr_http_call *call);
/* Whether call's outcome is worth another attempt, and after how long. *open_outcome is set when the
 * server may have acted although its answer says otherwise or never came. */
bool wr_s3_again(struct s3_store *store, struct wr_retry *retry, const struct s3_ask *ask,
                 const struct wr_http_call *call, bool *open_outcome, uint32_t *wait_ms);
/* Signs, sends, tries again; the last outcome is in store->call, status 0 when nobody answered.
 * Returns whether an attempt before the last left its outcome open (or the last itself had no
 * answer). */
bool wr_s3_ask(struct s3_store *store, const struct s3_ask *ask);
/* The error for an outcome that is not what was hoped for. doing: "put", "list". */
wr_status wr_s3_fail(struct s3_store *store, const struct s3_ask *ask,
                     const struct wr_http_call *call, const char *doing, struct wr_error *err);

/* Appends the decoded text of the first <name> in xml; false when there is none. */
bool wr_s3_xml_text(struct wr_slice xml, const char *name, struct wr_buf *into);
/* The inside of the first <name> in *rest, which moves behind it. */
bool wr_s3_xml_next(struct wr_slice *rest, const char *name, struct wr_slice *inside);
/* Whether call's body is an <Error> with this code. */
bool wr_s3_is_error(const struct wr_http_call *call, const char *code);

void wr_s3_put_id(struct s3_store *store, char id[WR_S3_PUT_ID_BYTES]);
/* Reads back whose object is at key: WR_OK: the one put with id, WR_END: another, WR_AGAIN: none.
 */
wr_status wr_s3_whose(struct s3_store *store, const char *key, const char *id,
                      struct wr_error *err);

/* store_s3_upload.c */
wr_status wr_s3_upload_open(struct wr_upload **upload, struct wr_store *store, const char *key,
                            struct wr_error *err);
wr_status wr_s3_upload_write(struct wr_upload *upload, const void *data, size_t bytes,
                             struct wr_error *err);
wr_status wr_s3_upload_prepare(struct wr_upload *upload, struct wr_error *err);
wr_status wr_s3_upload_publish(struct wr_upload *upload, struct wr_error *err);
void wr_s3_upload_prepare_begin(struct wr_upload *upload);
void wr_s3_upload_publish_begin(struct wr_upload *upload);
void wr_s3_upload_close(struct wr_upload *upload);
void wr_s3_upload_ticket(const struct wr_upload *upload, struct wr_buf *into);
void wr_s3_upload_keep(struct wr_upload *upload);
wr_status wr_s3_publish_ticket(struct wr_store *store, const char *ticket, size_t bytes,
                               struct wr_error *err);
/* Ends an upload that nobody will publish; WR_OK too when it is gone already. */
wr_status wr_s3_abort(struct s3_store *store, const char *key, const char *upload_id,
                      struct wr_error *err);

/* store_s3_abandon.c */
wr_status wr_s3_abandon(struct wr_store *store, const char *prefix, const char *mark,
                        bool (*keep)(void *ctx, const char *key), void *ctx, struct wr_error *err);

/* store_s3.c */
wr_status wr_s3_check_key(const struct s3_store *store, const char *key, struct wr_error *err);

#endif
