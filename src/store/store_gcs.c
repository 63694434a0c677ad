/* store_gcs.c: Google Cloud Storage by its JSON API: URL and credentials, small objects, listings,
 * what earlier runs left unpublished.
 *
 * Put-if-absent is ifGenerationMatch=0, and losing is 412. Names under _staging/ belong to uploads
 * that are not published yet: no key may have such a part, and listings leave them out.
 */
#include "store/store_gcs.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/log.h"
#include "net/gcp_auth.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ENDPOINT_HINT                                                                              \
    "write endpoint = 'http://127.0.0.1:4443' (or set STORAGE_EMULATOR_HOST) for an emulator; "    \
    "Google's own needs none"

/* --- URL and credentials ---------------------------------------------------------------------- */

static wr_status split(const char *url, struct wr_slice *bucket, const char **path,
                       struct wr_error *err)
{
    const char *name = url + strlen("gs://");
    const char *slash = strchrnul(name, '/');
    const size_t bytes = (size_t)(slash - name);
    bool good = bytes >= 3 && bytes <= 222;
    for (size_t i = 0; i < bytes; i++) {
        good = good && ((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') ||
                        (i > 0 && strchr("-_.", name[i]) != NULL));
    }
    if (!good) {
        (void)wr_fail(err, WR_CLASS_USER, "%.200s names no bucket", url);
        wr_error_hint(err, "write gs://bucket/prefix; bucket names have 3 to 63 lower-case "
                           "letters, digits, -, _ and .");
        return WR_FAIL;
    }
    *bucket = (struct wr_slice){name, bytes};
    *path = slash;
    return wr_cloud_prefix(url, slash, NULL, err);
}

static wr_status gcs_check(const char *url, const struct wr_options *options, struct wr_error *err)
{
    struct wr_slice bucket;
    const char *path, *endpoint = wr_cloud_option(options, "endpoint");
    WR_TRY(split(url, &bucket, &path, err));
    return endpoint != NULL
               ? wr_cloud_endpoint(NULL, endpoint, "the GCS endpoint", ENDPOINT_HINT, err)
               : WR_OK;
}

/* Emulators take no credentials: none are looked for unless some are named. */
static wr_status take_credentials(struct cloud_store *store, const char *file, bool emulator,
                                  struct wr_error *err)
{
    const bool named =
        file != NULL ||
        wr_aws_environment("GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST") != NULL;
    snprintf(store->credentials_from, sizeof(store->credentials_from), "nowhere: an emulator");
    if (emulator || (!named && strncmp(store->origin, "http://", 7) == 0)) {
        return WR_OK;
    }
    WR_TRY_IN(wr_gcp_token_source(&store->tokens, file, WR_GCP_SCOPE_STORAGE, err), err, "%s",
              store->url);
    snprintf(store->credentials_from, sizeof(store->credentials_from), "%s", store->tokens->what);
    wr_ensure(wr_token_is_safe(store->origin), err, WR_CLASS_USER,
              "%s: a token is not sent over plain http:// to another machine", store->url);
    return WR_OK;
}

static wr_status configure(struct cloud_store *store, const struct wr_options *options,
                           struct wr_error *err)
{
    struct wr_slice bucket;
    const char *path, *endpoint = wr_cloud_option(options, "endpoint");
    const char *emulator = wr_aws_environment("STORAGE_EMULATOR_HOST", NULL);
    struct wr_buf whole = {0};
    WR_TRY(split(store->url, &bucket, &path, err));
    store->bucket = strndup(bucket.data, bucket.bytes);
    WR_TRY(wr_cloud_prefix(store->url, path, &store->prefix, err));
    if (endpoint == NULL && emulator != NULL) {
        wr_buf_printf(&whole, "%s%s", strstr(emulator, "://") != NULL ? "" : "http://", emulator);
    } else {
        wr_buf_text(&whole, endpoint != NULL ? endpoint : "https://storage.googleapis.com");
    }
    const wr_status located = wr_cloud_endpoint(store, wr_buf_cstr(&whole), "the GCS endpoint",
                                                ENDPOINT_HINT, err);
    wr_buf_deinit(&whole);
    WR_TRY(located);
    WR_TRY(take_credentials(store, wr_cloud_option(options, "credentials_file"),
                            endpoint == NULL && emulator != NULL, err));
    return wr_cloud_configure(store, options, err);
}

static wr_status prove(struct cloud_store *store, struct wr_error *err)
{
    const struct cloud_ask ask = {.method = "GET",
                                  .where = GCS_LIST,
                                  .query = {{"maxResults", "1"}, {"prefix", store->prefix}},
                                  .query_count = 2};
    store->opening = true;
    (void)wr_cloud_ask(store, &ask);
    const wr_status proved =
        store->call.status == 200 ? WR_OK : wr_cloud_fail(store, &ask, &store->call, "open", err);
    store->opening = false;
    return proved;
}

static wr_status gcs_open(struct wr_store **into, const char *url, const struct wr_options *options,
                          struct wr_io *io, struct wr_error *err)
{
    struct cloud_store *store = wr_calloc(1, sizeof(*store));
    (void)io; /* libcurl has its own descriptors, and this thread may wait */
    store->base.ops = &wr_store_gcs_ops;
    store->kind = &wr_gcs_kind;
    store->url = wr_strdup(url);
    wr_status opened = configure(store, options, err);
    if (opened == WR_OK) {
        opened = prove(store, err);
    }
    if (opened != WR_OK) {
        wr_cloud_close(&store->base);
        return opened;
    }
    *into = &store->base;
    return WR_OK;
}

/* --- small objects ---------------------------------------------------------------------------- */

/* A key's part _staging: "_staging/..." or ".../_staging/...". */
static bool is_staged(const char *key)
{
    return strncmp(key, WR_GCS_STAGING, strlen(WR_GCS_STAGING)) == 0 ||
           strstr(key, "/" WR_GCS_STAGING) != NULL;
}

static wr_status check_key(const struct cloud_store *store, const char *key, struct wr_error *err)
{
    WR_TRY(wr_cloud_check_key(store, key, err));
    wr_ensure(!is_staged(key), err, WR_CLASS_DATA,
              "%s: %.200s: names under " WR_GCS_STAGING " are kept for uploads", store->url, key);
    return WR_OK;
}

static wr_status gcs_put(struct wr_store *base, const char *key, const void *data, size_t bytes,
                         enum wr_put_condition condition, struct wr_error *err)
{
    struct cloud_store *store = (struct cloud_store *)base;
    char id[WR_CLOUD_ID_BYTES], type[80];
    struct wr_buf body = {0};
    const bool if_absent = condition == WR_PUT_IF_ABSENT;
    WR_TRY(check_key(store, key, err));
    wr_cloud_id(id);
    wr_gcs_multipart(store, key, id, data, bytes, &body);
    wr_gcs_multipart_type(id, type);
    const struct cloud_ask ask = {
        .method = "POST",
        .where = GCS_UPLOAD,
        .key = key,
        .query = {{"uploadType", "multipart"}, {"ifGenerationMatch", "0"}},
        .query_count = if_absent ? 2 : 1,
        .headers = {{"Content-Type", type}},
        .header_count = 1,
        .body = body.data,
        .body_bytes = body.bytes};
    const bool open_outcome = wr_cloud_ask(store, &ask);
    const int status = store->call.status;
    wr_buf_deinit(&body);
    if (status == 200 || status == 201) {
        return WR_OK;
    }
    const bool lost = if_absent && status == 412;
    return lost || (open_outcome && if_absent)
               ? wr_cloud_settle(store, &ask, key, id, lost, err)
               : wr_cloud_fail(store, &ask, &store->call, "put", err);
}

/* A bucket that is not there is a failure, an object that is not there an answer. */
static bool is_no_object(const struct cloud_store *store)
{
    const struct wr_buf *answer = &store->call.response;
    return store->call.status == 404 &&
           (answer->bytes == 0 ||
            memmem(answer->data, answer->bytes, "bucket does not exist", 21) == NULL);
}

static wr_status gcs_get(struct wr_store *base, const char *key, struct wr_buf *into,
                         struct wr_error *err)
{
    struct cloud_store *store = (struct cloud_store *)base;
    const struct cloud_ask ask = {.method = "GET",
                                  .where = GCS_OBJECT,
                                  .key = key,
                                  .query = {{"alt", "media"}},
                                  .query_count = 1,
                                  .answer_bytes_max = WR_CLOUD_OBJECT_BYTES_MAX};
    WR_TRY(check_key(store, key, err));
    (void)wr_cloud_ask(store, &ask);
    if (store->call.status == 200) {
        wr_buf_append(into, store->call.response.data, store->call.response.bytes);
        return WR_OK;
    }
    return is_no_object(store) ? WR_END : wr_cloud_fail(store, &ask, &store->call, "get", err);
}

static wr_status gcs_get_range(struct wr_store *base, const char *key, uint64_t offset,
                               uint64_t bytes, struct wr_buf *into, struct wr_error *err)
{
    struct cloud_store *store = (struct cloud_store *)base;
    char range[64];
    const uint64_t asked = bytes < WR_CLOUD_OBJECT_BYTES_MAX ? bytes : WR_CLOUD_OBJECT_BYTES_MAX;
    WR_TRY(check_key(store, key, err));
    wr_ensure(offset <= INT64_MAX - WR_CLOUD_OBJECT_BYTES_MAX, err, WR_CLASS_FATAL,
              "%s: no object has a byte %lu", store->url, offset);
    snprintf(range, sizeof range, "bytes=%lu-%lu", offset, offset + (asked > 0 ? asked - 1 : 0));
    const struct cloud_ask ask = {.method = "GET",
                                  .where = GCS_OBJECT,
                                  .key = key,
                                  .query = {{"alt", "media"}},
                                  .query_count = 1,
                                  .headers = {{"Range", range}},
                                  .header_count = 1,
                                  .answer_bytes_max = WR_CLOUD_OBJECT_BYTES_MAX};
    (void)wr_cloud_ask(store, &ask);
    return is_no_object(store) ? WR_END
                               : wr_cloud_take_range(store, &ask, offset, asked, into, err);
}

static wr_status gcs_erase(struct wr_store *base, const char *key, struct wr_error *err)
{
    struct cloud_store *store = (struct cloud_store *)base;
    const struct cloud_ask ask = {.method = "DELETE", .where = GCS_OBJECT, .key = key};
    WR_TRY(check_key(store, key, err));
    (void)wr_cloud_ask(store, &ask);
    const int status = store->call.status;
    return status == 204 || status == 200 || is_no_object(store)
               ? WR_OK
               : wr_cloud_fail(store, &ask, &store->call, "delete", err);
}

/* "2024-05-06T07:08:09.123Z" */
static bool read_time(const char *text, int64_t *ms)
{
    struct tm tm = {0};
    const char *rest = text != NULL ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    if (rest == NULL) {
        return false;
    }
    *ms = (int64_t)timegm(&tm) * 1000;
    return true;
}

static wr_status gcs_modified(struct wr_store *base, const char *key, int64_t *ms,
                              struct wr_error *err)
{
    struct cloud_store *store = (struct cloud_store *)base;
    const struct cloud_ask ask = {.method = "GET", .where = GCS_OBJECT, .key = key};
    WR_TRY(check_key(store, key, err));
    (void)wr_cloud_ask(store, &ask);
    if (is_no_object(store)) {
        return WR_END;
    }
    if (store->call.status != 200) {
        return wr_cloud_fail(store, &ask, &store->call, "look at", err);
    }
    json_t *object = json_loadb(store->call.response.data, store->call.response.bytes, 0, NULL);
    const bool told = read_time(json_string_value(json_object_get(object, "timeCreated")), ms);
    json_decref(object);
    wr_ensure(told, err, WR_CLASS_FATAL, "%s: the server does not tell when %s was written",
              store->url, key);
    return WR_OK;
}

/* --- listings --------------------------------------------------------------------------------- */

struct listing {
    struct cloud_store *store;
    const char *prefix; /* whole, with the store's */
    const char *start;  /* whole; NULL: from the beginning */
    bool staged;        /* tells what is under _staging/ instead of the rest */
    void (*found)(void *ctx, const char *key, uint64_t bytes);
    void *ctx;
};

static void tell_keys(const struct listing *l, const json_t *items)
{
    const size_t prefix_bytes = strlen(l->store->prefix);
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        const char *name = json_string_value(json_object_get(item, "name"));
        const char *size = json_string_value(json_object_get(item, "size"));
        if (name != NULL && strlen(name) > prefix_bytes &&
            strncmp(name, l->store->prefix, prefix_bytes) == 0 &&
            is_staged(name + prefix_bytes) == l->staged &&
            (l->start == NULL || strcmp(name, l->start) > 0)) {
            l->found(l->ctx, name + prefix_bytes, size != NULL ? strtoull(size, NULL, 10) : 0);
        }
    }
}

/* token: of the page, then of the next; empty: this was the last. */
static wr_status list_page(const struct listing *l, struct wr_buf *token, struct wr_error *err)
{
    struct cloud_ask ask = {
        .method = "GET",
        .where = GCS_LIST,
        .query = {{"prefix", l->prefix}, {"fields", "items(name,size),nextPageToken"}},
        .query_count = 2,
        .answer_bytes_max = WR_CLOUD_PAGE_BYTES_MAX};
    if (token->bytes > 0) {
        ask.query[ask.query_count++] = (struct wr_aws_pair){"pageToken", wr_buf_cstr(token)};
    }
    if (l->start != NULL) {
        ask.query[ask.query_count++] = (struct wr_aws_pair){"startOffset", l->start};
    }
    (void)wr_cloud_ask(l->store, &ask);
    if (l->store->call.status != 200) {
        return wr_cloud_fail(l->store, &ask, &l->store->call, "list", err);
    }
    json_t *page =
        json_loadb(l->store->call.response.data, l->store->call.response.bytes, 0, NULL);
    wr_ensure(json_is_object(page), err, WR_CLASS_FATAL,
              "%s: cannot list: the answer is not Google's", l->store->url);
    tell_keys(l, json_object_get(page, "items")); /* found may use the store: page is a copy */
    const char *next = json_string_value(json_object_get(page, "nextPageToken"));
    next = next != NULL ? next : "";
    const bool again = next[0] != '\0' && strcmp(next, wr_buf_cstr(token)) == 0;
    token->bytes = 0;
    wr_buf_text(token, next);
    json_decref(page);
    wr_ensure(!again, err, WR_CLASS_FATAL, "%s: the list does not end", l->store->url);
    return WR_OK;
}

static wr_status list_all(const struct listing *l, struct wr_error *err)
{
    struct wr_buf token = {0};
    wr_status listed;
    do {
        listed = list_page(l, &token, err);
    } while (listed == WR_OK && token.bytes > 0);
    wr_buf_deinit(&token);
    return listed;
}

static wr_status gcs_list(struct wr_store *base, const char *prefix, const char *start_after,
                          void (*found)(void *ctx, const char *key, uint64_t bytes), void *ctx,
                          struct wr_error *err)
{
    struct cloud_store *store = (struct cloud_store *)base;
    struct wr_buf whole = {0}, start = {0};
    wr_buf_printf(&whole, "%s%s", store->prefix, prefix);
    wr_buf_printf(&start, "%s%s", store->prefix, start_after != NULL ? start_after : "");
    const struct listing l = {.store = store,
                              .prefix = wr_buf_cstr(&whole),
                              .start = start_after != NULL ? wr_buf_cstr(&start) : NULL,
                              .found = found,
                              .ctx = ctx};
    const wr_status listed = list_all(&l, err);
    wr_buf_deinit(&whole);
    wr_buf_deinit(&start);
    return listed;
}

/* --- what earlier runs left ------------------------------------------------------------------- */

struct leavings {
    const char *mark;
    bool (*keep)(void *ctx, const char *key);
    void *ctx;
    struct wr_buf names; /* of what goes, NUL-terminated */
};

/* name: "_staging/KEY.ID" */
static void note(void *ctx, const char *name, uint64_t bytes)
{
    struct leavings *l = ctx;
    const char *key = name + strlen(WR_GCS_STAGING);
    const size_t key_bytes = strlen(key), tail = WR_CLOUD_ID_BYTES; /* "." and 32 digits */
    (void)bytes;
    if (strncmp(name, WR_GCS_STAGING, strlen(WR_GCS_STAGING)) != 0 || key_bytes <= tail ||
        key[key_bytes - tail] != '.') {
        return;
    }
    char *own = strndup(key, key_bytes - tail);
    if (strstr(own, l->mark) != NULL && (l->keep == NULL || !l->keep(l->ctx, own))) {
        wr_buf_append(&l->names, name, strlen(name) + 1);
    }
    free(own);
}

static wr_status gcs_abandon(struct wr_store *base, const char *prefix, const char *mark,
                             bool (*keep)(void *ctx, const char *key), void *ctx,
                             struct wr_error *err)
{
    struct cloud_store *store = (struct cloud_store *)base;
    struct leavings left = {.mark = mark, .keep = keep, .ctx = ctx};
    struct wr_buf whole = {0};
    wr_buf_printf(&whole, "%s" WR_GCS_STAGING "%s", store->prefix, prefix);
    const struct listing l = {.store = store,
                              .prefix = wr_buf_cstr(&whole),
                              .staged = true,
                              .found = note,
                              .ctx = &left};
    wr_status status = list_all(&l, err);
    for (size_t at = 0; at < left.names.bytes && status == WR_OK;
         at += strlen(left.names.data + at) + 1) {
        const struct cloud_ask ask = {
            .method = "DELETE", .where = GCS_OBJECT, .key = left.names.data + at};
        (void)wr_cloud_ask(store, &ask);
        const int answered = store->call.status;
        if (answered != 204 && answered != 200 && answered != 404) {
            status = wr_cloud_fail(store, &ask, &store->call, "clear away an upload", err);
        }
    }
    wr_buf_deinit(&left.names);
    wr_buf_deinit(&whole);
    return status;
}

static wr_status gcs_upload_open(struct wr_upload **upload, struct wr_store *base, const char *key,
                                 struct wr_error *err)
{
    WR_TRY(check_key((struct cloud_store *)base, key, err));
    return wr_cloud_upload_open(upload, base, key, err);
}

const struct wr_store_ops wr_store_gcs_ops = {
    .scheme = "gs://",
    .knows_direct = true,
    .check = gcs_check,
    .open = gcs_open,
    .close = wr_cloud_close,
    .put = gcs_put,
    .get = gcs_get,
    .get_range = gcs_get_range,
    .erase = gcs_erase,
    .modified = gcs_modified,
    .list = gcs_list,
    .upload_open = gcs_upload_open,
    .upload_write = wr_cloud_upload_write,
    .upload_prepare = wr_cloud_upload_prepare,
    .upload_publish = wr_cloud_upload_publish,
    .upload_prepare_begin = wr_cloud_upload_prepare_begin,
    .upload_publish_begin = wr_cloud_upload_publish_begin,
    .upload_close = wr_cloud_upload_close,
    .upload_ticket = wr_cloud_upload_ticket,
    .upload_keep = wr_cloud_upload_keep,
    .publish_ticket = wr_cloud_publish_ticket,
    .abandon = gcs_abandon,
};
