/* store_azure.c: Azure Blob Storage: URL and credentials, small objects, listings.
 *
 * az://container/path names the account by option or environment; abfss://container@account.dfs.
 * core.windows.net/path holds it, and means the account's Blob endpoint: accounts with hierarchical
 * names take the Blob API too. Put-if-absent is `If-None-Match: *`, and losing is 409
 * BlobAlreadyExists.
 */
#include "store/store_azure.h"

#include "base/assert.h"
#include "base/heap.h"
#include "net/azure_auth.h"
#include "store/store_s3.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Azurite's account, which everybody knows: UseDevelopmentStorage=true means it. */
#define EMULATOR_ACCOUNT "devstoreaccount1"
#define EMULATOR_KEY                                                                               \
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
#define ENDPOINT_HINT                                                                              \
    "write endpoint = 'https://ACCOUNT.blob.core.windows.net' or, for an emulator, "               \
    "'http://127.0.0.1:10000/devstoreaccount1'"

/* --- URL and credentials ---------------------------------------------------------------------- */

static bool is_container(const char *name, size_t bytes)
{
    bool good = bytes >= 3 && bytes <= 63 && name[0] != '-' && name[bytes - 1] != '-';
    for (size_t i = 0; i < bytes; i++) {
        good = good && ((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') ||
                        name[i] == '-');
    }
    return good || (bytes == 5 && memcmp(name, "$root", 5) == 0);
}

static bool is_host(const char *host, size_t bytes)
{
    bool good = bytes > 0 && bytes < 200;
    for (size_t i = 0; i < bytes; i++) {
        good = good && ((host[i] >= 'a' && host[i] <= 'z') || (host[i] >= '0' && host[i] <= '9') ||
                        host[i] == '.' || host[i] == '-');
    }
    return good;
}

/* The parts of a URL, borrowed from it. account: "" in az://. */
struct parts {
    struct wr_slice container, account, host; /* host: with the account */
    const char *path;
};

static wr_status split(const char *url, struct parts *parts, struct wr_error *err)
{
    const char *name = strstr(url, "://") + 3;
    const bool with_account = strncmp(url, "az", 2) != 0;
    const char *slash = strchrnul(name, '/');
    const char *at = memchr(name, '@', (size_t)(slash - name));
    const char *end = at != NULL ? at : slash;
    *parts = (struct parts){.container = {name, (size_t)(end - name)}, .path = slash};
    if (at != NULL) {
        parts->host = (struct wr_slice){at + 1, (size_t)(slash - at) - 1};
        parts->account = (struct wr_slice){at + 1, strcspn(at + 1, "./")};
    }
    if (with_account != (at != NULL) || !is_container(name, parts->container.bytes) ||
        (at != NULL && !is_host(parts->host.data, parts->host.bytes))) {
        (void)wr_fail(err, WR_CLASS_USER, "%.200s names no container", url);
        wr_error_hint(err, "write az://container/path, or "
                           "abfss://container@account.dfs.core.windows.net/path; container names "
                           "have 3 to 63 lower-case letters, digits and -");
        return WR_FAIL;
    }
    return wr_cloud_prefix(url, parts->path, NULL, err);
}

static wr_status azure_check(const char *url, const struct wr_options *options,
                             struct wr_error *err)
{
    struct parts parts;
    const char *endpoint = wr_cloud_option(options, "endpoint");
    WR_TRY(split(url, &parts, err));
    return endpoint != NULL
               ? wr_cloud_endpoint(NULL, endpoint, "the Azure endpoint", ENDPOINT_HINT, err)
               : WR_OK;
}

/* What options, connection string and environment say; texts are borrowed or in own. */
struct given {
    const char *account, *key, *sas, *endpoint, *suffix, *protocol;
    const char *from;
    char *own; /* a copy of the connection string, cut into its parts */
};

/* "AccountName=x;AccountKey=y;..." Keys end in =, so only the first = parts. */
static void read_connection_string(const char *text, struct given *given)
{
    given->own = wr_strdup(text);
    char *rest = given->own, *part;
    while ((part = strsep(&rest, ";")) != NULL) {
        char *value = strchr(part, '=');
        if (value == NULL) {
            continue;
        }
        *value++ = '\0';
        if (strcasecmp(part, "AccountName") == 0) {
            given->account = value;
        } else if (strcasecmp(part, "AccountKey") == 0) {
            given->key = value;
        } else if (strcasecmp(part, "SharedAccessSignature") == 0) {
            given->sas = value;
        } else if (strcasecmp(part, "BlobEndpoint") == 0) {
            given->endpoint = value;
        } else if (strcasecmp(part, "EndpointSuffix") == 0) {
            given->suffix = value;
        } else if (strcasecmp(part, "DefaultEndpointsProtocol") == 0) {
            given->protocol = value;
        } else if (strcasecmp(part, "UseDevelopmentStorage") == 0 &&
                   strcasecmp(value, "true") == 0) {
            given->account = EMULATOR_ACCOUNT;
            given->key = EMULATOR_KEY;
            given->endpoint = "http://127.0.0.1:10000/" EMULATOR_ACCOUNT;
        }
    }
}

/* Options first, then the environment, each with what belongs together. */
static void gather(const struct wr_options *options, struct given *given)
{
    const char *connection = wr_cloud_option(options, "connection_string");
    const char *key = wr_cloud_option(options, "account_key");
    const char *sas = wr_cloud_option(options, "sas_token");
    *given = (struct given){.from = "the options"};
    if (connection == NULL && key == NULL && sas == NULL) {
        key = wr_aws_environment("AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY");
        sas = wr_aws_environment("AZURE_STORAGE_SAS_TOKEN", NULL);
        connection = wr_aws_environment("AZURE_STORAGE_CONNECTION_STRING", NULL);
        given->from = key != NULL          ? "the environment (AZURE_STORAGE_KEY)"
                      : sas != NULL        ? "the environment (AZURE_STORAGE_SAS_TOKEN)"
                      : connection != NULL ? "the environment (AZURE_STORAGE_CONNECTION_STRING)"
                                           : NULL;
    }
    if (connection != NULL && key == NULL && sas == NULL) {
        read_connection_string(connection, given);
    } else {
        given->key = key;
        given->sas = sas;
    }
    const char *account = wr_cloud_option(options, "account");
    if (account != NULL || given->account == NULL) {
        given->account = account != NULL ? account
                                         : wr_aws_environment("AZURE_STORAGE_ACCOUNT",
                                                              "AZURE_STORAGE_ACCOUNT_NAME");
    }
    const char *endpoint = wr_cloud_option(options, "endpoint");
    if (endpoint == NULL && given->endpoint == NULL) {
        endpoint =
            wr_aws_environment("AZURE_STORAGE_BLOB_ENDPOINT", "AZURE_STORAGE_SERVICE_ENDPOINT");
    }
    given->endpoint = endpoint != NULL ? endpoint : given->endpoint;
}

static wr_status decode_key(struct cloud_store *store, const char *key, struct wr_error *err)
{
    const size_t bytes = strlen(key);
    char *to = wr_buf_reserve(&store->account_key, bytes + 3);
    const int got = bytes < 4096 && bytes % 4 == 0 && bytes > 0
                        ? EVP_DecodeBlock((unsigned char *)to, (const unsigned char *)key,
                                          (int)bytes)
                        : -1;
    if (got <= 0) {
        (void)wr_fail(err, WR_CLASS_USER, "%s: the account key from %s is not base64", store->url,
                      store->credentials_from);
        wr_error_hint(err, "copy the whole key, as the portal's Access keys shows it");
        return WR_FAIL;
    }
    const size_t padding = (size_t)(key[bytes - 1] == '=') + (size_t)(key[bytes - 2] == '=');
    store->account_key.bytes = (size_t)got - padding;
    return WR_OK;
}

static wr_status take_credentials(struct cloud_store *store, const struct given *given,
                                  struct wr_error *err)
{
    snprintf(store->credentials_from, sizeof(store->credentials_from), "%s",
             given->from != NULL ? given->from : "");
    if (given->key != NULL) {
        return decode_key(store, given->key, err);
    }
    if (given->sas != NULL) {
        const char *sas = given->sas + (given->sas[0] == '?');
        bool good = strstr(sas, "sig=") != NULL;
        for (const char *c = sas; *c != '\0'; c++) {
            good = good && *c > ' ' && *c <= '~' && *c != '#';
        }
        if (!good) {
            (void)wr_fail(err, WR_CLASS_USER,
                          "%s: the SAS from %s is none: it is a query with sig=",
                          store->url, store->credentials_from);
            wr_error_hint(err, "copy the whole token: sv=...&sig=...");
            return WR_FAIL;
        }
        store->sas = wr_strdup(sas);
        return WR_OK;
    }
    WR_TRY_IN(wr_azure_token_source(&store->tokens, "https://storage.azure.com", err), err, "%s",
              store->url);
    snprintf(store->credentials_from, sizeof(store->credentials_from), "%s", store->tokens->what);
    wr_ensure(wr_token_is_safe(store->origin), err, WR_CLASS_USER,
              "%s: a token is not sent over plain http:// to another machine", store->url);
    return WR_OK;
}

static wr_status locate(struct cloud_store *store, const struct parts *parts,
                        const struct given *given, struct wr_error *err)
{
    const char *account = parts->account.bytes > 0 ? NULL : given->account;
    char *made = NULL;
    if (parts->account.bytes > 0) {
        store->account = strndup(parts->account.data, parts->account.bytes);
    } else if (account != NULL) {
        store->account = wr_strdup(account);
    }
    if (store->account == NULL || !is_host(store->account, strlen(store->account))) {
        (void)wr_fail(err, WR_CLASS_USER, "%s: which storage account?", store->url);
        wr_error_hint(err, "set AZURE_STORAGE_ACCOUNT (or option account), or write "
                           "abfss://container@account.dfs.core.windows.net/path");
        return WR_FAIL;
    }
    const char *endpoint = given->endpoint;
    if (endpoint == NULL && parts->host.bytes > 0) {
        /* account.dfs.core.windows.net -> account.blob.core.windows.net */
        const char *rest = parts->host.data + parts->account.bytes;
        const size_t bytes = parts->host.bytes - parts->account.bytes;
        const bool dfs = bytes > 5 && memcmp(rest, ".dfs.", 5) == 0;
        wr_assert(asprintf(&made, "https://%s%s%.*s", store->account, dfs ? ".blob." : "",
                           (int)(bytes - (dfs ? 5 : 0)), rest + (dfs ? 5 : 0)) > 0);
    } else if (endpoint == NULL) {
        wr_assert(asprintf(&made, "%s://%s.blob.%s",
                           given->protocol != NULL ? given->protocol : "https", store->account,
                           given->suffix != NULL ? given->suffix : "core.windows.net") > 0);
    }
    const wr_status located = wr_cloud_endpoint(store, made != NULL ? made : endpoint,
                                                "the Azure endpoint", ENDPOINT_HINT, err);
    free(made);
    return located;
}

static wr_status configure(struct cloud_store *store, const struct wr_options *options,
                           struct wr_error *err)
{
    struct parts parts;
    struct given given;
    WR_TRY(split(store->url, &parts, err));
    store->bucket = strndup(parts.container.data, parts.container.bytes);
    WR_TRY(wr_cloud_prefix(store->url, parts.path, &store->prefix, err));
    gather(options, &given);
    wr_status status = locate(store, &parts, &given, err);
    if (status == WR_OK) {
        status = take_credentials(store, &given, err);
    }
    struct wr_buf own = {.data = given.own,
                         .capacity = given.own != NULL ? strlen(given.own) : 0};
    wr_token_wipe(&own);
    WR_TRY(status);
    return wr_cloud_configure(store, options, err);
}

/* One cheap request that proves endpoint, container and credentials. */
static wr_status prove(struct cloud_store *store, struct wr_error *err)
{
    const struct cloud_ask ask = {.method = "GET",
                                  .query = {{"restype", "container"},
                                            {"comp", "list"},
                                            {"maxresults", "1"},
                                            {"prefix", store->prefix}},
                                  .query_count = store->prefix[0] != '\0' ? 4 : 3};
    store->opening = true;
    (void)wr_cloud_ask(store, &ask);
    const wr_status proved =
        store->call.status == 200 ? WR_OK : wr_cloud_fail(store, &ask, &store->call, "open", err);
    store->opening = false;
    return proved;
}

static wr_status open_as(const struct wr_store_ops *ops, struct wr_store **into, const char *url,
                         const struct wr_options *options, struct wr_error *err)
{
    struct cloud_store *store = wr_calloc(1, sizeof(*store));
    store->base.ops = ops;
    store->kind = &wr_azure_kind;
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

static wr_status azure_put(struct wr_store *base, const char *key, const void *data, size_t bytes,
                           enum wr_put_condition condition, struct wr_error *err)
{
    struct cloud_store *store = (struct cloud_store *)base;
    char id[WR_CLOUD_ID_BYTES];
    const bool if_absent = condition == WR_PUT_IF_ABSENT;
    WR_TRY(wr_cloud_check_key(store, key, err));
    wr_cloud_id(id);
    const struct cloud_ask ask = {
        .method = "PUT",
        .key = key,
        .headers = {{"x-ms-blob-type", "BlockBlob"}, {WR_AZURE_ID, id}, {"If-None-Match", "*"}},
        .header_count = if_absent ? 3 : 2,
        .body = data,
        .body_bytes = bytes};
    const bool open_outcome = wr_cloud_ask(store, &ask);
    const int status = store->call.status;
    if (status == 201) {
        return WR_OK;
    }
    const bool lost = if_absent && (status == 412 || status == 409) &&
                      (status == 412 ||
                       wr_cloud_is_error(store, &store->call, "BlobAlreadyExists"));
    return lost || (open_outcome && if_absent)
               ? wr_cloud_settle(store, &ask, key, id, lost, err)
               : wr_cloud_fail(store, &ask, &store->call, "put", err);
}

static bool is_no_blob(const struct cloud_store *store)
{
    return store->call.status == 404 &&
           !wr_cloud_is_error(store, &store->call, "ContainerNotFound");
}

static wr_status azure_get(struct wr_store *base, const char *key, struct wr_buf *into,
                           struct wr_error *err)
{
    struct cloud_store *store = (struct cloud_store *)base;
    const struct cloud_ask ask = {
        .method = "GET", .key = key, .answer_bytes_max = WR_CLOUD_OBJECT_BYTES_MAX};
    WR_TRY(wr_cloud_check_key(store, key, err));
    (void)wr_cloud_ask(store, &ask);
    if (store->call.status == 200) {
        wr_buf_append(into, store->call.response.data, store->call.response.bytes);
        return WR_OK;
    }
    return is_no_blob(store) ? WR_END : wr_cloud_fail(store, &ask, &store->call, "get", err);
}

static wr_status azure_get_range(struct wr_store *base, const char *key, uint64_t offset,
                                 uint64_t bytes, struct wr_buf *into, struct wr_error *err)
{
    struct cloud_store *store = (struct cloud_store *)base;
    char range[64];
    const uint64_t asked = bytes < WR_CLOUD_OBJECT_BYTES_MAX ? bytes : WR_CLOUD_OBJECT_BYTES_MAX;
    WR_TRY(wr_cloud_check_key(store, key, err));
    wr_ensure(offset <= INT64_MAX - WR_CLOUD_OBJECT_BYTES_MAX, err, WR_CLASS_FATAL,
              "%s: no object has a byte %lu", store->url, offset);
    snprintf(range, sizeof range, "bytes=%lu-%lu", offset, offset + (asked > 0 ? asked - 1 : 0));
    const struct cloud_ask ask = {.method = "GET",
                                  .key = key,
                                  .headers = {{"x-ms-range", range}},
                                  .header_count = 1,
                                  .answer_bytes_max = WR_CLOUD_OBJECT_BYTES_MAX};
    (void)wr_cloud_ask(store, &ask);
    return is_no_blob(store) ? WR_END
                             : wr_cloud_take_range(store, &ask, offset, asked, into, err);
}

static wr_status azure_erase(struct wr_store *base, const char *key, struct wr_error *err)
{
    struct cloud_store *store = (struct cloud_store *)base;
    const struct cloud_ask ask = {.method = "DELETE", .key = key};
    WR_TRY(wr_cloud_check_key(store, key, err));
    (void)wr_cloud_ask(store, &ask);
    return store->call.status == 202 || is_no_blob(store)
               ? WR_OK
               : wr_cloud_fail(store, &ask, &store->call, "delete", err);
}

static wr_status azure_modified(struct wr_store *base, const char *key, int64_t *ms,
                                struct wr_error *err)
{
    struct cloud_store *store = (struct cloud_store *)base;
    const struct cloud_ask ask = {.method = "HEAD", .key = key};
    WR_TRY(wr_cloud_check_key(store, key, err));
    (void)wr_cloud_ask(store, &ask);
    if (is_no_blob(store)) {
        return WR_END;
    }
    if (store->call.status != 200) {
        return wr_cloud_fail(store, &ask, &store->call, "look at", err);
    }
    wr_ensure(wr_http_call_last_modified(&store->call, ms), err, WR_CLASS_FATAL,
              "%s: the server does not tell when %s was written", store->url, key);
    return WR_OK;
}

/* --- listings --------------------------------------------------------------------------------- */

struct page {
    struct wr_buf key;
    struct wr_buf number;
    struct wr_buf marker; /* of the next page; empty: this was the last */
};

static void tell_keys(const struct cloud_store *store, struct wr_slice xml, const char *start_after,
                      struct page *page,
                      void (*found)(void *ctx, const char *key, uint64_t bytes), void *ctx)
{
    const size_t prefix_bytes = strlen(store->prefix);
    struct wr_slice entry;
    while (wr_s3_xml_next(&xml, "Blob", &entry)) {
        page->key.bytes = page->number.bytes = 0;
        if (!wr_s3_xml_text(entry, "Name", &page->key) || page->key.bytes <= prefix_bytes ||
            memcmp(page->key.data, store->prefix, prefix_bytes) != 0 ||
            memmem(entry.data, entry.bytes, "<ResourceType>directory<", 24) != NULL) {
            continue; /* hierarchical names have directories that are blobs too */
        }
        const char *key = wr_buf_cstr(&page->key) + prefix_bytes;
        if (start_after == NULL || strcmp(key, start_after) > 0) {
            (void)wr_s3_xml_text(entry, "Content-Length", &page->number);
            found(ctx, key, strtoull(wr_buf_cstr(&page->number), NULL, 10));
        }
    }
}

static wr_status list_page(struct cloud_store *store, const char *prefix, const char *start_after,
                           struct page *page,
                           void (*found)(void *ctx, const char *key, uint64_t bytes), void *ctx,
                           struct wr_error *err)
{
    struct cloud_ask ask = {.method = "GET",
                            .query = {{"restype", "container"}, {"comp", "list"}},
                            .query_count = 2,
                            .answer_bytes_max = WR_CLOUD_PAGE_BYTES_MAX};
    if (prefix[0] != '\0') {
        ask.query[ask.query_count++] = (struct wr_aws_pair){"prefix", prefix};
    }
    if (page->marker.bytes > 0) {
        ask.query[ask.query_count++] =
            (struct wr_aws_pair){"marker", wr_buf_cstr(&page->marker)};
    }
    (void)wr_cloud_ask(store, &ask);
    if (store->call.status != 200) {
        return wr_cloud_fail(store, &ask, &store->call, "list", err);
    }
    /* found may use the store: the answer moves out of the call first. */
    struct wr_buf answer = store->call.response;
    store->call.response = (struct wr_buf){0};
    const struct wr_slice xml = {answer.data, answer.bytes};
    struct wr_buf next = {0};
    wr_status listed = WR_OK;
    if (xml.bytes == 0 || memmem(xml.data, xml.bytes, "EnumerationResults", 18) == NULL) {
        listed =
            wr_fail(err, WR_CLASS_FATAL, "%s: cannot list: the answer is not Azure's", store->url);
    } else {
        tell_keys(store, xml, start_after, page, found, ctx);
        (void)wr_s3_xml_text(xml, "NextMarker", &next);
        if (next.bytes > 0 && next.bytes == page->marker.bytes &&
            memcmp(next.data, page->marker.data, next.bytes) == 0) {
            listed = wr_fail(err, WR_CLASS_FATAL, "%s: the list does not end", store->url);
        }
    }
    wr_buf_deinit(&page->marker);
    page->marker = next;
    wr_buf_deinit(&answer);
    return listed;
}

/* The service lists in order but cannot begin in the middle: what comes before start_after is
 * passed over here, 5,000 names a request. */
static wr_status azure_list(struct wr_store *base, const char *prefix, const char *start_after,
                            void (*found)(void *ctx, const char *key, uint64_t bytes), void *ctx,
                            struct wr_error *err)
{
    struct cloud_store *store = (struct cloud_store *)base;
    struct wr_buf full = {0};
    struct page page = {0};
    wr_status listed;
    wr_buf_printf(&full, "%s%s", store->prefix, prefix);
    do {
        listed = list_page(store, wr_buf_cstr(&full), start_after, &page, found, ctx, err);
    } while (listed == WR_OK && page.marker.bytes > 0);
    wr_buf_deinit(&full);
    wr_buf_deinit(&page.key);
    wr_buf_deinit(&page.number);
    wr_buf_deinit(&page.marker);
    return listed;
}

/* Blocks that nobody names vanish after a week, and no request removes them earlier without showing
 * an object for a moment. */
static wr_status azure_abandon(struct wr_store *base, const char *prefix, const char *mark,
                               bool (*keep)(void *ctx, const char *key), void *ctx,
                               struct wr_error *err)
{
    (void)base;
    (void)prefix;
    (void)mark;
    (void)keep;
    (void)ctx;
    (void)err;
    return WR_OK;
}

static wr_status open_az(struct wr_store **store, const char *url, const struct wr_options *options,
                         struct wr_io *io, struct wr_error *err)
{
    (void)io; /* libcurl has its own descriptors, and this thread may wait */
    return open_as(&wr_store_azure_ops, store, url, options, err);
}

static wr_status open_abfss(struct wr_store **store, const char *url,
                            const struct wr_options *options, struct wr_io *io,
                            struct wr_error *err)
{
    (void)io;
    return open_as(&wr_store_abfss_ops, store, url, options, err);
}

#define AZURE_OPS                                                                                  \
    .knows_direct = true, .check = azure_check, .close = wr_cloud_close, .put = azure_put,         \
    .get = azure_get, .get_range = azure_get_range, .erase = azure_erase,                          \
    .modified = azure_modified, .list = azure_list, .upload_open = wr_cloud_upload_open,           \
    .upload_write = wr_cloud_upload_write, .upload_prepare = wr_cloud_upload_prepare,              \
    .upload_publish = wr_cloud_upload_publish,                                                     \
    .upload_prepare_begin = wr_cloud_upload_prepare_begin,                                         \
    .upload_publish_begin = wr_cloud_upload_publish_begin,                                         \
    .upload_close = wr_cloud_upload_close, .upload_ticket = wr_cloud_upload_ticket,                \
    .upload_keep = wr_cloud_upload_keep, .publish_ticket = wr_cloud_publish_ticket,                \
    .abandon = azure_abandon

const struct wr_store_ops wr_store_azure_ops = {.scheme = "az://", .open = open_az, AZURE_OPS};
const struct wr_store_ops wr_store_abfss_ops = {
    .scheme = "abfss://", .open = open_abfss, AZURE_OPS};
