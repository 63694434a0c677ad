/* store_cloud.h: what the stores of Azure and Google share (internal to store/): requests with their
 * retries, refusals in Weir's words, and uploads in pieces. What differs is a struct cloud_kind.
 *
 * store_cloud.c: requests, errors, small objects. store_cloud_upload.c: uploads. store_azure.c,
 * store_azure_call.c, store_gcs.c, store_gcs_call.c: the kinds.
 *
 * Each object that is put or published carries a random id in its metadata: when an answer is lost,
 * or a condition fails that our own lost attempt may have broken, reading the object back tells
 * whose it is (store.h, (4)).
 */
#ifndef WR_STORE_STORE_CLOUD_H
#define WR_STORE_STORE_CLOUD_H

#include "net/aws_sigv4.h"
#include "net/http_client.h"
#include "net/retry.h"
#include "net/token_source.h"
#include "store/store_ops.h"

#include <jansson.h>

#define WR_CLOUD_ID_BYTES      33 /* 128 random bits in hex, with the NUL */
/* 1,024 is what both take; Google's name for what is not yet published is longer than the key. */
#define WR_CLOUD_KEY_BYTES_MAX 960
/* Objects that are read whole: manifests, snapshots, files to be merged. */
#define WR_CLOUD_OBJECT_BYTES_MAX ((size_t)1 << 30)
#define WR_CLOUD_PAGE_BYTES_MAX   ((size_t)16 << 20)
/* Requests of all uploads of one store that are under way. */
#define WR_CLOUD_CALLS_MAX 16u
#define WR_CLOUD_SLOTS     3u

struct cloud_kind;
struct cloud_upload;

struct cloud_store {
    struct wr_store base;
    const struct cloud_kind *kind;
    char *url;       /* as the user wrote it, for messages */
    char *bucket;    /* Azure: the container */
    char *prefix;    /* of all keys: "" or "a/b/" */
    char *origin;    /* "https://host:port" */
    char *path_root; /* of the endpoint: "" or "/account" */
    bool opening;    /* a refusal is the user's mistake then, later a failure of the run */
    uint64_t piece_bytes;
    struct wr_retry retry;
    struct wr_http_client *client;
    struct wr_http_call call; /* for everything but pieces */
    struct wr_error unsigned_why; /* a request could not be signed: no token */
    bool is_unsigned;
    uint32_t under_way; /* calls of uploads */
    struct wr_token_source *tokens; /* NULL: another way, or none */
    char credentials_from[256];     /* for messages */
    char *account;                  /* Azure's */
    struct wr_buf account_key;      /* Azure's, decoded */
    char *sas;                      /* Azure's: a query without its ? */
};

/* One request, decoded. It borrows all its texts. */
struct cloud_ask {
    const char *method;
    int where;       /* the kind's: which of its addresses */
    const char *key;   /* without the store's prefix; NULL: the bucket itself */
    const char *extra; /* the kind's: GCS: a session's path, the key that a rewrite reads */
    struct wr_aws_pair query[6];
    uint32_t query_count;
    struct wr_aws_pair headers[6];
    uint32_t header_count;
    const void *body;
    size_t body_bytes;
    size_t answer_bytes_max;
};

/* A request of an upload that is under way beside others. */
struct cloud_flight {
    struct wr_http_call call;
    struct cloud_upload *upload;
    void (*done)(struct cloud_flight *flight);
    bool under_way;
};

struct cloud_piece {
    struct cloud_flight flight;
    struct wr_buf body;
    uint32_t number;
    uint64_t offset; /* in the object */
    bool last;       /* no piece follows */
    bool sent;       /* body is on its way or lost */
    bool lost;       /* did not get through; body is still here */
    bool asking;     /* the request under way asks how much of the body is there */
    char text[96];   /* a header's or query's value */
    struct wr_retry retry;
};

struct cloud_upload {
    struct wr_upload base;
    struct cloud_store *store;
    char *key;
    char *session; /* GCS: where pieces go, path and query; NULL: not begun */
    char id[WR_CLOUD_ID_BYTES];
    struct wr_buf filling; /* what the next piece will hold */
    struct cloud_piece pieces[WR_CLOUD_SLOTS];
    struct cloud_flight finish; /* publishes, then tidies up */
    struct wr_buf finish_body;
    uint32_t piece_count; /* sent */
    uint32_t under_way;   /* pieces */
    uint64_t offset;      /* bytes in pieces */
    uint64_t bytes;       /* written */
    bool begun;           /* all pieces are on their way */
    bool in_one;          /* its only piece was sent as the last: a direct one is published by it */
    bool prepared, publishing, finish_well, published, kept;
    bool failed; /* failure says why */
    struct wr_error failure;
};

struct cloud_refusal {
    const char *code; /* the service's */
    const char *what;
    const char *hint;
};

struct cloud_kind {
    const char *name; /* for the log */
    /* Builds and signs ask into call, which is empty; store->unsigned_why where that fails. */
    wr_status (*sign)(struct cloud_store *store, const struct cloud_ask *ask,
                      struct wr_http_call *call, struct wr_error *err);
    /* The service's code and words for an error; "" when the answer has none. */
    void (*error_text)(const struct wr_http_call *call, char code[64], struct wr_buf *message);
    const struct cloud_refusal *refusals; /* ends with a NULL code */
    const char *denied; /* the code among refusals that a 403 without one of them means */

    /* Whose object is at key: WR_OK: the one with id, WR_END: another, WR_AGAIN: none. */
    wr_status (*whose)(struct cloud_store *store, const char *key, const char *id,
                       struct wr_error *err);

    uint32_t slots;      /* pieces of one upload under way at a time */
    size_t piece_unit;   /* pieces but the last are multiples of it */
    bool empty_is_none;  /* an empty object has no piece */
    bool keeps_last;     /* the last piece must not be empty: a full one waits for what follows */
    bool one_is_special; /* an object of one piece needs no begin */
    bool direct_is_final; /* pieces of a direct upload go to the object itself */
    /* Before the first piece; may be NULL. */
    wr_status (*begin)(struct cloud_upload *upload, struct wr_error *err);
    /* The request for a piece; texts that it needs beyond the piece's live in the upload. */
    void (*ask_piece)(struct cloud_piece *piece, struct cloud_ask *ask);
    /* A piece's answer that is not an error: WR_OK: it is there, WR_AGAIN: send it (what is left of
     * its body) again, WR_FAIL. */
    wr_status (*piece_answered)(struct cloud_piece *piece, struct wr_error *err);
    /* The answer left open whether the piece arrived: ask before it is sent again. */
    bool asks_back;
    /* Publishes what an upload or its ticket holds, waiting; done already is WR_OK. */
    wr_status (*publish)(struct cloud_store *store, const char *key, const char *id,
                         uint32_t piece_count, struct wr_error *err);
    /* The request by which publish begins, for those that run side by side; its body is appended to
     * body. */
    void (*ask_publish)(const struct cloud_upload *upload, struct wr_buf *body,
                        struct cloud_ask *ask, struct wr_buf *scratch);
    bool (*publish_answered)(const struct wr_http_call *call);
    /* After publication, or when an upload is given up; false: nothing to do. */
    bool (*ask_tidy)(const struct cloud_upload *upload, struct cloud_ask *ask,
                     struct wr_buf *scratch);
    void (*tidy)(struct cloud_store *store, const char *key, const char *id); /* NULL: none */
};

/* --- store_cloud.c */

const char *wr_cloud_option(const struct wr_options *options, const char *name); /* NULL: unset */
/* "scheme://bucket/pre/fix" -> "pre/fix/"; path begins at the slash, or is "". */
wr_status wr_cloud_prefix(const char *url, const char *path, char **prefix, struct wr_error *err);
/* http(s)://HOST[:PORT][/PATH] -> origin, path_root. what: "the Azure endpoint". */
wr_status wr_cloud_endpoint(struct cloud_store *store, const char *endpoint, const char *what,
                            const char *hint, struct wr_error *err);
/* Client, retries and piece size from the options. */
wr_status wr_cloud_configure(struct cloud_store *store, const struct wr_options *options,
                             struct wr_error *err);
void wr_cloud_close(struct wr_store *base);
wr_status wr_cloud_check_key(const struct cloud_store *store, const char *key,
                             struct wr_error *err);
void wr_cloud_id(char id[WR_CLOUD_ID_BYTES]);

/* Signs and sends, tries again; the last outcome is in store->call, status 0 when nobody answered.
 * Returns whether an attempt before the last left its outcome open (or the last had no answer). */
bool wr_cloud_ask(struct cloud_store *store, const struct cloud_ask *ask);
/* Whether call's outcome is worth another attempt; waits before it. */
bool wr_cloud_again(struct cloud_store *store, struct wr_retry *retry,
                    const struct wr_http_call *call, bool *open_outcome);
bool wr_cloud_is_error(const struct cloud_store *store, const struct wr_http_call *call,
                       const char *code);
/* The error for an outcome that is not what was hoped for. doing: "put", "list". */
wr_status wr_cloud_fail(struct cloud_store *store, const struct cloud_ask *ask,
                        const struct wr_http_call *call, const char *doing, struct wr_error *err);
/* After a put with a condition that did not end well: lost says that the condition failed. */
wr_status wr_cloud_settle(struct cloud_store *store, const struct cloud_ask *ask, const char *key,
                          const char *id, bool lost, struct wr_error *err);
/* The bytes that a GET with a range answered, of those asked from offset on. WR_END: no object. */
wr_status wr_cloud_take_range(struct cloud_store *store, const struct cloud_ask *ask,
                              uint64_t offset, uint64_t asked, struct wr_buf *into,
                              struct wr_error *err);
/* Adds "Authorization: Bearer ...". */
wr_status wr_cloud_bearer(struct cloud_store *store, struct wr_http_call *call,
                          struct wr_error *err);

/* --- store_cloud_upload.c: the operations of store_ops.h */

wr_status wr_cloud_upload_open(struct wr_upload **upload, struct wr_store *store, const char *key,
                               struct wr_error *err);
wr_status wr_cloud_upload_write(struct wr_upload *upload, const void *data, size_t bytes,
                                struct wr_error *err);
void wr_cloud_upload_prepare_begin(struct wr_upload *upload);
wr_status wr_cloud_upload_prepare(struct wr_upload *upload, struct wr_error *err);
void wr_cloud_upload_publish_begin(struct wr_upload *upload);
wr_status wr_cloud_upload_publish(struct wr_upload *upload, struct wr_error *err);
void wr_cloud_upload_close(struct wr_upload *upload);
void wr_cloud_upload_ticket(const struct wr_upload *upload, struct wr_buf *into);
void wr_cloud_upload_keep(struct wr_upload *upload);
wr_status wr_cloud_publish_ticket(struct wr_store *store, const char *ticket, size_t bytes,
                                  struct wr_error *err);

#endif
