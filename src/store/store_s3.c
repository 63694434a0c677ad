/* store_s3.c: S3 and what speaks its protocol (MinIO, versitygw, R2, ...): URL and options, small
 * objects, listings.
 *
 * Put-if-absent is `If-None-Match: *`: 412 lost, 409 asks again. A 412 may speak of our own object,
 * when the answer to an earlier attempt was lost: each put carries a random id in its metadata, and
 * reading it back settles whose the object is (store.h, (4)).
 */
#include "store/store_s3.h"

#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Objects that are read whole: manifests, snapshots, files to be merged. */
#define OBJECT_BYTES_MAX    ((size_t)1 << 30)
#define LIST_PAGE_BYTES_MAX ((size_t)8 << 20)

/* --- URL and options
 * ------------------------------------------------------------------------------ */

/* "s3://bucket/pre/fix" -> bucket, "pre/fix/". Heap texts in store. */
static wr_status split_url(const char *url, char **bucket, char **prefix, struct wr_error *err)
{
    const char *name = url + strlen("s3://");
    const char *slash = strchrnul(name, '/');
    const size_t bytes = (size_t)(slash - name);
    bool bad = bytes < 3 || bytes > 63 || name[0] == '.' || name[0] == '-';
    for (size_t i = 0; i < bytes; i++) {
        bad = bad || !((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') ||
                       (name[i] >= '0' && name[i] <= '9') || name[i] == '.' || name[i] == '-' ||
                       name[i] == '_');
    }
    if (bad) {
        (void)wr_fail(err, WR_CLASS_USER, "%.200s names no bucket", url);
        wr_error_hint(err, "write s3://bucket/prefix; bucket names have 3 to 63 lower-case "
                           "letters, digits, - and .");
        return WR_FAIL;
    }
    wr_ensure(strlen(slash) < WR_S3_KEY_BYTES_MAX / 2 && wr_utf8_valid(slash, strlen(slash)), err,
              WR_CLASS_USER, "%.200s: the prefix is too long, or is not UTF-8", url);
    while (*slash == '/') {
        slash++;
    }
    size_t prefix_bytes = strlen(slash);
    while (prefix_bytes > 0 && slash[prefix_bytes - 1] == '/') {
        prefix_bytes--;
    }
    if (bucket != NULL) {
        *bucket = strndup(name, bytes);
        wr_assert(
            asprintf(prefix, "%.*s%s", (int)prefix_bytes, slash, prefix_bytes > 0 ? "/" : "") >= 0);
    }
    return WR_OK;
}

static const char *option_text(const struct wr_options *options, const char *name)
{
    const char *text = options != NULL ? wr_options_text(options, name) : NULL;
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static int64_t option_int(const struct wr_options *options, const char *name, int64_t otherwise)
{
    return options != NULL && wr_options_has(options, name) ? wr_options_int(options, name)
                                                            : otherwise;
}

static wr_status check_endpoint(const char *endpoint, struct wr_error *err)
{
    const char *authority = NULL;
    if (strncmp(endpoint, "http://", 7) == 0) {
        authority = endpoint + 7;
    } else if (strncmp(endpoint, "https://", 8) == 0) {
        authority = endpoint + 8;
    }
    bool bad = authority == NULL || authority[0] == '\0' || authority[0] == '/';
    for (const char *c = endpoint; *c != '\0'; c++) {
        bad = bad || *c <= ' ' || *c > '~' || strchr("@?#\\\"<>", *c) != NULL;
    }
    if (bad) {
        (void)wr_fail(err, WR_CLASS_USER,
                      "the S3 endpoint is not http://HOST:PORT or https://HOST:PORT");
        wr_error_hint(err, "write endpoint = 'https://s3.example.com:9000' (or set "
                           "AWS_ENDPOINT_URL_S3), without user names "
                           "and queries");
        return WR_FAIL;
    }
    return WR_OK;
}

static wr_status s3_check(const char *url, const struct wr_options *options, struct wr_error *err)
{
    const char *endpoint = option_text(options, "endpoint");
    WR_TRY(split_url(url, NULL, NULL, err));
    return endpoint != NULL ? check_endpoint(endpoint, err) : WR_OK;
}

/* Where the bucket is: origin, host and path_root from endpoint, region and style. */
static wr_status locate(struct s3_store *store, const struct wr_options *options,
                        struct wr_error *err)
{
    const char *endpoint = option_text(options, "endpoint");
    char *own = NULL;
    if (endpoint == NULL) {
        endpoint = wr_aws_environment("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL");
    }
    /* A dot in the name would not match the certificate of *.s3.REGION.amazonaws.com. */
    bool path_style = endpoint != NULL || strchr(store->bucket, '.') != NULL;
    if (options != NULL && wr_options_given(options, "path_style")) {
        path_style = wr_options_bool(options, "path_style");
    }
    if (endpoint == NULL) {
        wr_assert(asprintf(&own, "https://s3.%s.amazonaws.com%s", store->region,
                           strncmp(store->region, "cn-", 3) == 0 ? ".cn" : "") > 0);
        endpoint = own;
    }
    const wr_status checked = check_endpoint(endpoint, err);
    if (checked == WR_OK) {
        store->https = strncmp(endpoint, "https://", 8) == 0;
        const char *authority = endpoint + (store->https ? 8 : 7);
        const char *path = strchrnul(authority, '/');
        size_t bytes = (size_t)(path - authority), path_bytes = strlen(path);
        const char *usual_port = store->https ? ":443" : ":80"; /* which curl leaves out of Host */
        const size_t port_bytes = strlen(usual_port);
        if (bytes > port_bytes && memcmp(path - port_bytes, usual_port, port_bytes) == 0) {
            bytes -= port_bytes;
        }
        while (path_bytes > 0 && path[path_bytes - 1] == '/') {
            path_bytes--;
        }
        wr_assert(
            asprintf(&store->host, "%s%s%.*s", path_style ? "" : store->bucket,
                     path_style ? "" : ".", (int)bytes, authority) > 0 &&
            asprintf(&store->origin, "%s://%s", store->https ? "https" : "http", store->host) > 0 &&
            asprintf(&store->path_root, "%.*s%s%s", (int)path_bytes, path, path_style ? "/" : "",
                     path_style ? store->bucket : "") >= 0);
    }
    free(own);
    return checked;
}

static wr_status configure(struct s3_store *store, const char *url,
                           const struct wr_options *options, struct wr_error *err)
{
    const char *region = option_text(options, "region");
    const struct wr_aws_given given = {.access_key = option_text(options, "access_key_id"),
                                       .secret_key = option_text(options, "secret_access_key"),
                                       .session_token = option_text(options, "session_token")};
    const struct wr_http_settings settings = {
        .connect_timeout_ms = (uint32_t)(option_int(options, "connect_timeout", 5000000) / 1000),
        .timeout_ms = (uint32_t)(option_int(options, "request_timeout", 8000000) / 1000),
        .ca_file = wr_aws_environment("AWS_CA_BUNDLE", NULL),
    };
    store->url = strdup(url);
    WR_TRY(split_url(url, &store->bucket, &store->prefix, err));
    store->region = region != NULL ? strdup(region) : wr_aws_region_find();
    if (store->region == NULL) {
        store->region = strdup("us-east-1");
    }
    wr_ensure(strspn(store->region, "abcdefghijklmnopqrstuvwxyz0123456789-_") ==
                      strlen(store->region) &&
                  strlen(store->region) < 64,
              err, WR_CLASS_USER,
              "%s: the region is no region's name (they look like eu-central-1)", url);
    WR_TRY(locate(store, options, err));
    WR_TRY_IN(wr_aws_credentials_find(&given, &store->credentials, err), err, "%s", url);
    WR_TRY(wr_aws_signer_create(&store->signer, store->region, "s3", err));
    WR_TRY(wr_http_client_create(&store->client, &settings, err));
    store->part_bytes = (uint64_t)option_int(options, "part_size", 8 << 20);
    wr_retry_init(&store->retry, (uint32_t)option_int(options, "max_retries", 8) + 1, 100, 2000,
                  wr_rand_entropy());
    return WR_OK;
}

static void s3_close(struct wr_store *base)
{
    struct s3_store *store = (struct s3_store *)base;
    wr_http_client_destroy(store->client);
    wr_http_call_deinit(&store->call);
    wr_aws_signer_destroy(store->signer);
    wr_aws_credentials_deinit(&store->credentials);
    free(store->url);
    free(store->bucket);
    free(store->prefix);
    free(store->origin);
    free(store->host);
    free(store->path_root);
    free(store->region);
    free(store);
}

/* One cheap request that proves endpoint, bucket, region, keys and clock, and answers a refusal
 * with a body. */
static wr_status prove(struct s3_store *store, struct wr_error *err)
{
    const struct s3_ask ask = {
        .method = "GET",
        .query = {{"list-type", "2"}, {"max-keys", "1"}, {"prefix", store->prefix}},
        .query_count = 3};
    store->opening = true;
    (void)wr_s3_ask(store, &ask);
    const wr_status proved =
        store->call.status == 200 ? WR_OK : wr_s3_fail(store, &ask, &store->call, "open", err);
    store->opening = false;
    return proved;
}

static wr_status s3_open(struct wr_store **into, const char *url, const struct wr_options *options,
                         struct wr_io *io, struct wr_error *err)
{
    struct s3_store *store = calloc(1, sizeof(*store));
    (void)io; /* libcurl has its own descriptors, and this thread may wait */
    wr_ensure(store != NULL, err, WR_CLASS_FATAL, "out of memory for %s", url);
    store->base.ops = &wr_store_s3_ops;
    wr_status opened = configure(store, url, options, err);
    if (opened == WR_OK) {
        opened = prove(store, err);
    }
    if (opened != WR_OK) {
        s3_close(&store->base);
        return opened;
    }
    *into = &store->base;
    return WR_OK;
}

/* --- small objects
 * -------------------------------------------------------------------------------- */

wr_status wr_s3_check_key(const struct s3_store *store, const char *key, struct wr_error *err)
{
    const size_t bytes = strlen(key);
    wr_ensure(bytes > 0 && key[0] != '/', err, WR_CLASS_FATAL, "%s: an object has no name",
              store->url);
    wr_ensure(bytes + strlen(store->prefix) <= WR_S3_KEY_BYTES_MAX, err, WR_CLASS_DATA,
              "%s: the key %.60s... is longer than S3's %d bytes", store->url, key,
              WR_S3_KEY_BYTES_MAX);
    wr_ensure(wr_utf8_valid(key, bytes), err, WR_CLASS_DATA, "%s: a key is not UTF-8", store->url);
    return WR_OK;
}

static wr_status s3_put(struct wr_store *base, const char *key, const void *data, size_t bytes,
                        enum wr_put_condition condition, struct wr_error *err)
{
    struct s3_store *store = (struct s3_store *)base;
    char id[WR_S3_PUT_ID_BYTES];
    const bool if_absent = condition == WR_PUT_IF_ABSENT;
    WR_TRY(wr_s3_check_key(store, key, err));
    wr_s3_put_id(store, id);
    const struct s3_ask ask = {.method = "PUT",
                               .key = key,
                               .headers = {{WR_S3_PUT_ID, id}, {"If-None-Match", "*"}},
                               .header_count = if_absent ? 2 : 1,
                               .body = data,
                               .body_bytes = bytes,
                               .conflict_retries = if_absent};
    const bool open_outcome = wr_s3_ask(store, &ask);
    const int status = store->call.status;
    if (status == 200) {
        return WR_OK;
    }
    const bool lost = if_absent && status == 412;
    if (lost || (open_outcome && if_absent)) {
        /* Also without a failure that we saw: libcurl repeats a request by itself when a kept
         * connection breaks. The failure first, since reading back overwrites the answer that it
         * tells of. */
        const wr_status failed = wr_s3_fail(store, &ask, &store->call, "put", err);
        const wr_status whose = wr_s3_whose(store, key, id, lost ? err : NULL);
        return whose == WR_OK || whose == WR_END ? whose
               : whose == WR_AGAIN && lost       ? WR_END
                                                 : failed;
    }
    return wr_s3_fail(store, &ask, &store->call, "put", err);
}

static wr_status s3_get(struct wr_store *base, const char *key, struct wr_buf *into,
                        struct wr_error *err)
{
    struct s3_store *store = (struct s3_store *)base;
    const struct s3_ask ask = {.method = "GET", .key = key, .answer_bytes_max = OBJECT_BYTES_MAX};
    WR_TRY(wr_s3_check_key(store, key, err));
    (void)wr_s3_ask(store, &ask);
    if (store->call.status == 200) {
        wr_buf_append(into, store->call.response.data, store->call.response.bytes);
        return WR_OK;
    }
    if (store->call.status == 404 && !wr_s3_is_error(&store->call, "NoSuchBucket")) {
        return WR_END;
    }
    return wr_s3_fail(store, &ask, &store->call, "get", err);
}

static wr_status s3_get_range(struct wr_store *base, const char *key, uint64_t offset,
                              uint64_t bytes, struct wr_buf *into, struct wr_error *err)
{
    struct s3_store *store = (struct s3_store *)base;
    char range[64];
    const uint64_t asked = bytes < OBJECT_BYTES_MAX ? bytes : OBJECT_BYTES_MAX;
    WR_TRY(wr_s3_check_key(store, key, err));
    wr_ensure(offset <= INT64_MAX - OBJECT_BYTES_MAX, err, WR_CLASS_FATAL,
              "%s: no object has a byte %lu", store->url, offset);
    snprintf(range, sizeof range, "bytes=%lu-%lu", offset, offset + (asked > 0 ? asked - 1 : 0));
    const struct s3_ask ask = {.method = "GET",
                               .key = key,
                               .headers = {{"Range", range}},
                               .header_count = 1,
                               .answer_bytes_max = OBJECT_BYTES_MAX};
    (void)wr_s3_ask(store, &ask);
    const struct wr_buf *answer = &store->call.response;
    if (store->call.status == 206) {
        wr_buf_append(into, answer->data, answer->bytes < asked ? answer->bytes : (size_t)asked);
        return WR_OK;
    }
    if (store->call.status == 200) { /* a server that knows no ranges sends all of it */
        const size_t from = offset < answer->bytes ? (size_t)offset : answer->bytes;
        const size_t left = answer->bytes - from;
        wr_buf_append(into, answer->data + from, left < asked ? left : (size_t)asked);
        return WR_OK;
    }
    if (store->call.status == 416) {
        return WR_OK; /* the object ends before offset */
    }
    if (store->call.status == 404 && !wr_s3_is_error(&store->call, "NoSuchBucket")) {
        return WR_END;
    }
    return wr_s3_fail(store, &ask, &store->call, "get a part of an object", err);
}

static wr_status s3_erase(struct wr_store *base, const char *key, struct wr_error *err)
{
    struct s3_store *store = (struct s3_store *)base;
    const struct s3_ask ask = {.method = "DELETE", .key = key};
    WR_TRY(wr_s3_check_key(store, key, err));
    (void)wr_s3_ask(store, &ask);
    const int status = store->call.status;
    if (status == 200 || status == 204 ||
        (status == 404 && !wr_s3_is_error(&store->call, "NoSuchBucket"))) {
        return WR_OK;
    }
    return wr_s3_fail(store, &ask, &store->call, "delete", err);
}

static wr_status s3_modified(struct wr_store *base, const char *key, int64_t *ms,
                             struct wr_error *err)
{
    struct s3_store *store = (struct s3_store *)base;
    const struct s3_ask ask = {.method = "HEAD", .key = key};
    WR_TRY(wr_s3_check_key(store, key, err));
    (void)wr_s3_ask(store, &ask);
    if (store->call.status == 404) {
        return WR_END;
    }
    if (store->call.status != 200) {
        return wr_s3_fail(store, &ask, &store->call, "look at", err);
    }
    wr_ensure(wr_http_call_last_modified(&store->call, ms), err, WR_CLASS_FATAL,
              "%s: the server does not tell when %s was written", store->url, key);
    return WR_OK;
}

/* --- listings
 * ------------------------------------------------------------------------------------- */

struct page {
    struct wr_buf key;
    struct wr_buf number;
    struct wr_buf token; /* of the next page; empty: this was the last */
};

static void tell_keys(const struct s3_store *store, struct wr_slice xml, struct page *page,
                      void (*found)(void *ctx, const char *key, uint64_t bytes), void *ctx)
{
    const size_t prefix_bytes = strlen(store->prefix);
    struct wr_slice entry;
    while (wr_s3_xml_next(&xml, "Contents", &entry)) {
        page->key.bytes = page->number.bytes = 0;
        if (wr_s3_xml_text(entry, "Key", &page->key) && page->key.bytes > prefix_bytes &&
            memcmp(page->key.data, store->prefix, prefix_bytes) == 0) {
            (void)wr_s3_xml_text(entry, "Size", &page->number);
            found(ctx, wr_buf_cstr(&page->key) + prefix_bytes,
                  strtoull(wr_buf_cstr(&page->number), NULL, 10));
        }
    }
}

static wr_status list_page(struct s3_store *store, const char *prefix, const char *start_after,
                           struct page *page,
                           void (*found)(void *ctx, const char *key, uint64_t bytes), void *ctx,
                           struct wr_error *err)
{
    struct s3_ask ask = {.method = "GET",
                         .query = {{"list-type", "2"}, {"prefix", prefix}},
                         .query_count = 2,
                         .answer_bytes_max = LIST_PAGE_BYTES_MAX};
    if (page->token.bytes > 0) {
        ask.query[ask.query_count++] =
            (struct wr_aws_pair){"continuation-token", wr_buf_cstr(&page->token)};
    } else if (start_after != NULL) {
        ask.query[ask.query_count++] = (struct wr_aws_pair){"start-after", start_after};
    }
    (void)wr_s3_ask(store, &ask);
    if (store->call.status != 200) {
        return wr_s3_fail(store, &ask, &store->call, "list", err);
    }
    /* found may use the store: the answer moves out of the call first. */
    struct wr_buf answer = store->call.response;
    store->call.response = (struct wr_buf){0};
    const struct wr_slice xml = {answer.data, answer.bytes};
    wr_status listed = WR_OK;
    struct wr_slice rest = xml, truncated;
    page->token.bytes = 0;
    if (xml.bytes == 0 || memmem(xml.data, xml.bytes, "ListBucketResult", 16) == NULL) {
        listed =
            wr_fail(err, WR_CLASS_FATAL, "%s: cannot list: the answer is not S3's", store->url);
    } else {
        tell_keys(store, xml, page, found, ctx);
        if (wr_s3_xml_next(&rest, "IsTruncated", &truncated) && wr_slice_is(truncated, "true") &&
            !wr_s3_xml_text(xml, "NextContinuationToken", &page->token)) {
            listed = wr_fail(err, WR_CLASS_FATAL,
                             "%s: cannot list: a page lacks the token of the next", store->url);
        }
    }
    wr_buf_deinit(&answer);
    return listed;
}

static wr_status s3_list(struct wr_store *base, const char *prefix, const char *start_after,
                         void (*found)(void *ctx, const char *key, uint64_t bytes), void *ctx,
                         struct wr_error *err)
{
    struct s3_store *store = (struct s3_store *)base;
    struct wr_buf full = {0}, after = {0};
    struct page page = {0};
    wr_status listed;
    wr_buf_printf(&full, "%s%s", store->prefix, prefix);
    wr_buf_printf(&after, "%s%s", store->prefix, start_after != NULL ? start_after : "");
    do {
        listed =
            list_page(store, wr_buf_cstr(&full), start_after != NULL ? wr_buf_cstr(&after) : NULL,
                      &page, found, ctx, err);
    } while (listed == WR_OK && page.token.bytes > 0);
    wr_buf_deinit(&full);
    wr_buf_deinit(&after);
    wr_buf_deinit(&page.key);
    wr_buf_deinit(&page.number);
    wr_buf_deinit(&page.token);
    return listed;
}

const struct wr_store_ops wr_store_s3_ops = {
    .scheme = "s3://",
    .knows_direct = true,
    .check = s3_check,
    .open = s3_open,
    .close = s3_close,
    .put = s3_put,
    .get = s3_get,
    .get_range = s3_get_range,
    .erase = s3_erase,
    .modified = s3_modified,
    .list = s3_list,
    .upload_open = wr_s3_upload_open,
    .upload_write = wr_s3_upload_write,
    .upload_prepare = wr_s3_upload_prepare,
    .upload_publish = wr_s3_upload_publish,
    .upload_prepare_begin = wr_s3_upload_prepare_begin,
    .upload_publish_begin = wr_s3_upload_publish_begin,
    .upload_close = wr_s3_upload_close,
    .upload_ticket = wr_s3_upload_ticket,
    .upload_keep = wr_s3_upload_keep,
    .publish_ticket = wr_s3_publish_ticket,
    .abandon = wr_s3_abandon,
};
