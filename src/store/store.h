/* store.h: object stores (interface): local directory, S3; later Azure Blob and GCS; one vtable.
 *
 * Ownership: keys and data are borrowed for the call. Threads: a store is used by one thread (a sink worker or control),
 * which may wait; each thread opens its own.
 * Invariants:
 *   (1) a reader of the store never sees half an object
 *   (2) after upload_prepare returned WR_OK the object's bytes are durable, invisible until upload_publish
 *   (3) put with WR_PUT_IF_ABSENT: of any number of racers exactly one gets WR_OK, the others WR_END
 *   (4) an answer that leaves the outcome open (time-out, 5xx on a conditional put) is settled by reading back
 */
#ifndef WR_STORE_STORE_H
#define WR_STORE_STORE_H

#include "base/buf.h"
#include "base/status.h"
#include "config/option.h"
#include "io/loop.h"

struct wr_store;
struct wr_upload;

enum wr_put_condition { WR_PUT_ALWAYS, WR_PUT_IF_ABSENT };

/* Options that sinks with a store share: s3 endpoint, region, path style, keys (secret), retries, time-outs. */
extern const struct wr_option wr_store_options[];

/* url: "s3://bucket/prefix", "file:///dir", or a plain path. Checks the form only (no network). */
WR_NODISCARD wr_status wr_store_check(const char *url, const struct wr_options *options,
                                      struct wr_error *err);

/* Opens and proves that it can be written (bucket exists, credentials right, directory writable): the error says what is
 * wrong. io: the thread's loop for local files; may be NULL (plain system calls then). */
WR_NODISCARD wr_status wr_store_open(struct wr_store **store, const char *url,
                                     const struct wr_options *options, struct wr_io *io,
                                     struct wr_error *err);
void wr_store_close(struct wr_store *store); /* NULL is fine */

/* Small objects. WR_END: the condition failed (it exists). */
WR_NODISCARD wr_status wr_store_put(struct wr_store *store, const char *key, const void *data,
                                    size_t bytes, enum wr_put_condition condition,
                                    struct wr_error *err);
/* Appends to into. WR_END: no such object. */
WR_NODISCARD wr_status wr_store_get(struct wr_store *store, const char *key, struct wr_buf *into,
                                    struct wr_error *err);
/* A part of an object; fewer bytes when it ends before. WR_END: no such object. */
WR_NODISCARD wr_status wr_store_get_range(struct wr_store *store, const char *key, uint64_t offset,
                                          uint64_t bytes, struct wr_buf *into, struct wr_error *err);
WR_NODISCARD wr_status wr_store_delete(struct wr_store *store, const char *key, struct wr_error *err);
/* When the object was written, by the store's clock. WR_END: no such object. */
WR_NODISCARD wr_status wr_store_modified(struct wr_store *store, const char *key, int64_t *ms,
                                         struct wr_error *err);
/* Calls found for each key under prefix in lexicographic order, from after start_after (may be NULL). */
WR_NODISCARD wr_status wr_store_list(struct wr_store *store, const char *prefix, const char *start_after,
                                     void (*found)(void *ctx, const char *key, uint64_t bytes),
                                     void *ctx, struct wr_error *err);

/* A large object in pieces: local: a hidden temporary file beside the target, fsync, rename; S3: one put or a multipart upload with all
 * parts sent at prepare, completed at publish. write may wait (at most a few parts are under way). */
WR_NODISCARD wr_status wr_upload_open(struct wr_upload **upload, struct wr_store *store,
                                      const char *key, struct wr_error *err);
WR_NODISCARD wr_status wr_upload_write(struct wr_upload *upload, const void *data, size_t bytes,
                                       struct wr_error *err);
WR_NODISCARD wr_status wr_upload_prepare(struct wr_upload *upload, struct wr_error *err);
WR_NODISCARD wr_status wr_upload_publish(struct wr_upload *upload, struct wr_error *err);
/* Before the first write: prepare publishes too. For an object that nobody looks for until something else names it (a table's log): S3
 * needs one put where else it needs three requests, a directory one sync where else two. */
void wr_upload_direct(struct wr_upload *upload);
/* Many at once: begin starts what its namesake needs and returns, waiting only while too much is under way already; prepare and
 * publish then wait, and tell what went wrong. Begin all, then prepare (publish) each: the store works at them together, and a directory
 * is synced once for all files that were begun. Neither is needed, both may be repeated. */
void wr_upload_prepare_begin(struct wr_upload *upload);
void wr_upload_publish_begin(struct wr_upload *upload);
/* Frees; an upload that was not published is removed where possible. NULL is fine. */
void wr_upload_close(struct wr_upload *upload);

/* A prepared upload's ticket: one JSON object that is all another process needs to publish or abandon it (local: the temporary file's
 * name; S3: upload id and ETags; the key is in it). Appends to into. */
void wr_upload_ticket(const struct wr_upload *upload, struct wr_buf *into);
/* Keeps the upload's bytes when it is closed unpublished: a manifest names it, only its publication is not yet known. */
void wr_upload_keep(struct wr_upload *upload);
/* Publishes from a ticket; already published is WR_OK (no such upload and the object present). FATAL when neither is there. */
WR_NODISCARD wr_status wr_store_publish_ticket(struct wr_store *store, const char *ticket,
                                               size_t bytes, struct wr_error *err);
/* Removes unpublished uploads under prefix whose key contains `mark` (an owner's id), except those with keep(ctx, key) true; S3
 * ListMultipartUploads, local: hidden temporary files. keep may be NULL. */
WR_NODISCARD wr_status wr_store_abandon(struct wr_store *store, const char *prefix, const char *mark,
                                        bool (*keep)(void *ctx, const char *key), void *ctx,
                                        struct wr_error *err);

#endif
