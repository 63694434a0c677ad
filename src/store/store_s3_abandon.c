/* store_s3_abandon.c: aborts the multipart uploads that earlier runs began and nobody will publish.
 *
 * They are found by ListMultipartUploads. Amazon and versitygw list by any prefix; MinIO knows only
 * the whole name of an object or no prefix at all, and then lists those begun since it started. So
 * an empty answer of a MinIO is asked for once more without a prefix. What no list shows stays: no
 * reader sees it, MinIO removes it after a day, elsewhere a lifecycle rule does.
 */
#include "store/store_s3.h"

#include "base/heap.h"
#include "base/log.h"
#include <string.h>

#define LIST_PAGE_BYTES_MAX ((size_t)8 << 20)

struct left_upload {
    char *key; /* without the store's prefix */
    char *upload_id;
};

struct leavings {
    struct s3_store *store;
    const char *prefix; /* of keys, without the store's */
    const char *mark;
    bool (*keep)(void *ctx, const char *key);
    void *ctx;
    struct left_upload *uploads;
    size_t count, capacity;
    size_t listed; /* also others' */
    bool minio;
    struct wr_buf key_marker, id_marker; /* of the next page; empty: this was the last */
};

static void note_upload(struct leavings *l, struct wr_slice entry)
{
    const char *root = l->store->prefix;
    struct wr_buf key = {0}, id = {0};
    if (wr_s3_xml_text(entry, "Key", &key) && wr_s3_xml_text(entry, "UploadId", &id) &&
        id.bytes > 0 && strncmp(wr_buf_cstr(&key), root, strlen(root)) == 0) {
        const char *own = wr_buf_cstr(&key) + strlen(root);
        if (strncmp(own, l->prefix, strlen(l->prefix)) == 0 && strstr(own, l->mark) != NULL &&
            (l->keep == NULL || !l->keep(l->ctx, own))) {
            if (l->count == l->capacity) {
                l->capacity = l->capacity * 2 + 16;
                l->uploads = wr_realloc(l->uploads, l->capacity * sizeof *l->uploads);
            }
            l->uploads[l->count++] =
                (struct left_upload){wr_strdup(own), wr_strdup(wr_buf_cstr(&id))};
        }
    }
    wr_buf_deinit(&key);
    wr_buf_deinit(&id);
}

/* Reads a page and the markers of the next one. */
static wr_status read_page(struct leavings *l, struct wr_error *err)
{
    const struct wr_http_call *call = &l->store->call;
    const struct wr_slice xml = {call->response.data, call->response.bytes};
    struct wr_slice rest = xml, entry, truncated, head = xml;
    struct wr_buf key = {0}, id = {0};
    wr_ensure(xml.bytes > 0 && memmem(xml.data, xml.bytes, "ListMultipartUploadsResult", 26), err,
              WR_CLASS_FATAL, "%s: cannot list uploads: the answer is not S3's", l->store->url);
    while (wr_s3_xml_next(&rest, "Upload", &entry)) {
        l->listed++;
        note_upload(l, entry);
    }
    if (wr_s3_xml_next(&head, "IsTruncated", &truncated) && wr_slice_is(truncated, "true")) {
        (void)wr_s3_xml_text(xml, "NextKeyMarker", &key);
        (void)wr_s3_xml_text(xml, "NextUploadIdMarker", &id);
    }
    /* A page that leads back to itself would be read for ever. */
    const bool again = key.bytes > 0 && key.bytes == l->key_marker.bytes &&
                       memcmp(key.data, l->key_marker.data, key.bytes) == 0 &&
                       id.bytes == l->id_marker.bytes &&
                       (id.bytes == 0 || memcmp(id.data, l->id_marker.data, id.bytes) == 0);
    wr_buf_deinit(&l->key_marker);
    wr_buf_deinit(&l->id_marker);
    l->key_marker = key;
    l->id_marker = id;
    wr_ensure(!again, err, WR_CLASS_FATAL, "%s: the list of uploads does not end", l->store->url);
    return WR_OK;
}

/* WR_END: this server, or these keys, do not list uploads. */
static wr_status list_uploads(struct leavings *l, const char *prefix, struct wr_error *err)
{
    do {
        struct s3_ask ask = {.method = "GET",
                             .query = {{"uploads", ""}, {"prefix", prefix}},
                             .query_count = 2,
                             .answer_bytes_max = LIST_PAGE_BYTES_MAX};
        if (l->key_marker.bytes > 0) {
            ask.query[ask.query_count++] =
                (struct wr_aws_pair){"key-marker", wr_buf_cstr(&l->key_marker)};
        }
        if (l->key_marker.bytes > 0 && l->id_marker.bytes > 0) {
            ask.query[ask.query_count++] =
                (struct wr_aws_pair){"upload-id-marker", wr_buf_cstr(&l->id_marker)};
        }
        (void)wr_s3_ask(l->store, &ask);
        const struct wr_http_call *call = &l->store->call;
        if (call->status == 403 || call->status == 405 || call->status == 501) {
            (void)wr_s3_fail(l->store, &ask, call, "list uploads", err);
            return WR_END;
        }
        if (call->status != 200) {
            return wr_s3_fail(l->store, &ask, call, "list uploads", err);
        }
        const struct wr_slice server = wr_http_call_answer(call, "Server");
        l->minio = server.bytes >= 5 && strncasecmp(server.data, "MinIO", 5) == 0;
        WR_TRY(read_page(l, err));
    } while (l->key_marker.bytes > 0);
    return WR_OK;
}

static wr_status find(struct leavings *l, struct wr_error *err)
{
    struct wr_buf full = {0};
    wr_buf_printf(&full, "%s%s", l->store->prefix, l->prefix);
    wr_status status = list_uploads(l, wr_buf_cstr(&full), err);
    if (status == WR_OK && l->listed == 0 && l->minio && full.bytes > 0) {
        status = list_uploads(l, "", err);
    }
    wr_buf_deinit(&full);
    return status;
}

wr_status wr_s3_abandon(struct wr_store *base, const char *prefix, const char *mark,
                        bool (*keep)(void *ctx, const char *key), void *ctx, struct wr_error *err)
{
    struct leavings l = {.store = (struct s3_store *)base,
                         .prefix = prefix,
                         .mark = mark,
                         .keep = keep,
                         .ctx = ctx};
    struct wr_error why = {0};
    wr_status status = find(&l, &why);
    if (status == WR_END) {
        wr_log_warn("s3",
                    "%s: uploads that an earlier run left cannot be listed (%s); nobody sees them, "
                    "and a lifecycle rule AbortIncompleteMultipartUpload removes them",
                    l.store->url, why.message);
        status = WR_OK;
    } else if (status != WR_OK && err != NULL) {
        *err = why;
    }
    for (size_t i = 0; i < l.count; i++) {
        if (status == WR_OK) {
            status = wr_s3_abort(l.store, l.uploads[i].key, l.uploads[i].upload_id, err);
        }
        free(l.uploads[i].key);
        free(l.uploads[i].upload_id);
    }
    free(l.uploads);
    wr_buf_deinit(&l.key_marker);
    wr_buf_deinit(&l.id_marker);
    return status;
}
