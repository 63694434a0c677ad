/* store_azure_call.c: requests of Azure's Blob API: signed by SharedKey, by a SAS or with a bearer
 * token; uploads as blocks.
 *
 * A block is uncommitted until Put Block List names it: nobody sees it, and the service drops it
 * after a week, so an upload that is given up needs no request. Block ids follow from the upload's id
 * and the piece's number: a ticket holds these two. Put Block and Put Blob may be repeated.
 */
#include "store/store_azure.h"

#include "base/assert.h"
#include "base/clock.h"
#include "store/store_s3.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define API_VERSION   "2021-12-02"
#define HEADERS_MAX   12u
#define BLOCK_ID_TEXT 40 /* "<32 hex digits>-00000", in base64 52 characters */

/* --- signatures ------------------------------------------------------------------------------- */

static void address(const struct cloud_store *store, const struct cloud_ask *ask,
                    struct wr_buf *path)
{
    struct wr_buf plain = {0};
    wr_buf_printf(&plain, "%s/%s", store->path_root, store->bucket);
    if (ask->key != NULL) {
        wr_buf_printf(&plain, "/%s%s", store->prefix, ask->key);
    }
    wr_aws_encode(path, plain.data, plain.bytes, true);
    wr_buf_deinit(&plain);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct wr_aws_pair *)a)->name, ((const struct wr_aws_pair *)b)->name);
}

static const char *header_value(const struct wr_aws_pair *headers, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcasecmp(headers[i].name, name) == 0) {
            return headers[i].value;
        }
    }
    return "";
}

/* The text that SharedKey signs. headers and query come sorted. */
static void string_to_sign(const struct cloud_store *store, const struct cloud_ask *ask,
                           const struct wr_aws_pair *headers, uint32_t header_count,
                           const struct wr_aws_pair *query, const char *path, struct wr_buf *into)
{
    static const char *const plain[] = {"Content-MD5",   "Content-Type",        "Date",
                                        "If-Modified-Since", "If-Match", "If-None-Match",
                                        "If-Unmodified-Since", "Range"};
    wr_buf_printf(into, "%s\n\n\n", ask->method);
    if (ask->body_bytes > 0) {
        wr_buf_printf(into, "%zu", ask->body_bytes);
    }
    wr_buf_byte(into, '\n');
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        wr_buf_printf(into, "%s\n", header_value(headers, header_count, plain[i]));
    }
    for (uint32_t i = 0; i < header_count; i++) {
        if (strncmp(headers[i].name, "x-ms-", 5) == 0) {
            wr_buf_printf(into, "%s:%s\n", headers[i].name, headers[i].value);
        }
    }
    wr_buf_printf(into, "/%s%s", store->account, path);
    for (uint32_t i = 0; i < ask->query_count; i++) {
        wr_buf_printf(into, "\n%s:%s", query[i].name, query[i].value);
    }
}

static void base64(const void *data, size_t bytes, struct wr_buf *into)
{
    char *to = wr_buf_reserve(into, (bytes + 2) / 3 * 4 + 1);
    into->bytes += (size_t)EVP_EncodeBlock((unsigned char *)to, data, (int)bytes);
}

static void shared_key(const struct cloud_store *store, const struct wr_buf *text,
                       struct wr_http_call *call)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int mac_bytes = 0;
    struct wr_buf value = {0};
    wr_assert(HMAC(EVP_sha256(), store->account_key.data, (int)store->account_key.bytes,
                   (const unsigned char *)text->data, text->bytes, mac, &mac_bytes) != NULL);
    wr_buf_printf(&value, "SharedKey %s:", store->account);
    base64(mac, mac_bytes, &value);
    wr_http_call_header(call, "Authorization", wr_buf_cstr(&value));
    wr_buf_deinit(&value);
}

static void date_now(char date[40])
{
    const time_t now = (time_t)(wr_clock_now().wall_us / WR_US_PER_S);
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm;
    gmtime_r(&now, &tm);
    snprintf(date, 40, "%.3s, %02d %.3s %d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday, tm.tm_mday,
             months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static wr_status sign(struct cloud_store *store, const struct cloud_ask *ask,
                      struct wr_http_call *call, struct wr_error *err)
{
    char date[40];
    struct wr_aws_pair headers[HEADERS_MAX], query[6];
    struct wr_buf path = {0}, text = {0};
    uint32_t count = 0;
    wr_status signed_well = WR_OK;
    date_now(date);
    for (uint32_t i = 0; i < ask->header_count; i++) {
        headers[count++] = ask->headers[i];
    }
    headers[count++] = (struct wr_aws_pair){"x-ms-date", date};
    headers[count++] = (struct wr_aws_pair){"x-ms-version", API_VERSION};
    qsort(headers, count, sizeof(headers[0]), by_name);
    memcpy(query, ask->query, sizeof(query));
    qsort(query, ask->query_count, sizeof(query[0]), by_name);

    call->method = ask->method;
    call->body = ask->body;
    call->body_bytes = ask->body_bytes;
    call->response_bytes_max = ask->answer_bytes_max;
    address(store, ask, &path);
    wr_buf_printf(&call->url, "%s%s", store->origin, wr_buf_cstr(&path));
    if (ask->query_count > 0) {
        wr_buf_byte(&call->url, '?');
        wr_aws_query(&call->url, query, ask->query_count);
    }
    for (uint32_t i = 0; i < count; i++) {
        wr_http_call_header(call, headers[i].name, headers[i].value);
    }
    if (store->account_key.bytes > 0) {
        string_to_sign(store, ask, headers, count, query, wr_buf_cstr(&path), &text);
        shared_key(store, &text, call);
    } else if (store->sas != NULL) {
        wr_buf_printf(&call->url, "%c%s", ask->query_count > 0 ? '&' : '?', store->sas);
    } else {
        signed_well = wr_cloud_bearer(store, call, err);
    }
    wr_buf_deinit(&path);
    wr_buf_deinit(&text);
    return signed_well;
}

/* --- errors ----------------------------------------------------------------------------------- */

static void error_text(const struct wr_http_call *call, char code[64], struct wr_buf *message)
{
    const struct wr_slice name = wr_http_call_answer(call, "x-ms-error-code");
    const struct wr_slice body = {call->response.data, call->response.bytes};
    struct wr_slice rest = body, inside;
    snprintf(code, 64, "%.*s", WR_SLICE_ARG(name));
    if (name.bytes == 0 && wr_s3_xml_next(&rest, "Code", &inside)) {
        snprintf(code, 64, "%.*s", WR_SLICE_ARG(inside));
    }
    (void)wr_s3_xml_text(body, "Message", message);
}

static const struct cloud_refusal refusals[] = {
    {"ContainerNotFound", "there is no such container",
     "create the container, or correct its name in the URL"},
    {"InvalidResourceName", "Azure does not take this name",
     "container names have 3 to 63 lower-case letters, digits and -"},
    {"AuthenticationFailed", "the account's key, SAS or token is not accepted",
     "check that AZURE_STORAGE_KEY (or the SAS, or the identity) belongs to the account and has "
     "not expired, and that this machine's clock is right"},
    {"AuthorizationFailure", "access denied",
     "check the account's key or the SAS, and the account's network rules"},
    {"AuthorizationPermissionMismatch", "access denied",
     "the identity needs the role Storage Blob Data Contributor; a SAS the permissions rwdlac"},
    {"AuthorizationResourceTypeMismatch", "the SAS is not for this kind of request",
     "a SAS of the account needs the resource types s, c and o"},
    {"AuthorizationProtocolMismatch", "the SAS is for HTTPS only", "use an https:// endpoint"},
    {"InvalidAuthenticationInfo", "the credentials are not accepted",
     "check how the key, the SAS or the token was copied"},
    {"NoAuthenticationInformation", "the server wants credentials",
     "set AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or an identity"},
    {"KeyBasedAuthenticationNotPermitted", "the account does not take its key any more",
     "use an identity: unset AZURE_STORAGE_KEY and sign in by workload or managed identity"},
    {"ResourceNotFound", "there is no such account or container", "check the URL"},
    {"AccountIsDisabled", "the account is disabled", "enable the storage account"},
    {NULL, NULL, NULL},
};

static wr_status whose(struct cloud_store *store, const char *key, const char *id,
                       struct wr_error *err)
{
    const struct cloud_ask ask = {.method = "HEAD", .key = key};
    (void)wr_cloud_ask(store, &ask);
    if (store->call.status == 404) {
        return WR_AGAIN;
    }
    if (store->call.status != 200) {
        return wr_cloud_fail(store, &ask, &store->call, "read back", err);
    }
    return wr_slice_is(wr_http_call_answer(&store->call, WR_AZURE_ID), id) ? WR_OK : WR_END;
}

/* --- blocks ----------------------------------------------------------------------------------- */

/* Equal lengths for all blocks of a blob are the service's wish. */
static void block_id(const char *id, uint32_t number, struct wr_buf *into)
{
    char text[BLOCK_ID_TEXT];
    snprintf(text, sizeof(text), "%.32s-%05u", id, number % 100000);
    base64(text, strlen(text), into);
}

static bool is_whole(const struct cloud_piece *piece)
{
    return piece->flight.upload->base.direct && piece->last && piece->number == 0;
}

static void ask_piece(struct cloud_piece *piece, struct cloud_ask *ask)
{
    const struct cloud_upload *upload = piece->flight.upload;
    *ask = (struct cloud_ask){.method = "PUT",
                              .key = upload->key,
                              .body = piece->body.data,
                              .body_bytes = piece->body.bytes};
    if (is_whole(piece)) {
        ask->headers[ask->header_count++] = (struct wr_aws_pair){"x-ms-blob-type", "BlockBlob"};
        ask->headers[ask->header_count++] = (struct wr_aws_pair){WR_AZURE_ID, upload->id};
        return;
    }
    struct wr_buf id = {0};
    block_id(upload->id, piece->number, &id);
    snprintf(piece->text, sizeof(piece->text), "%s", wr_buf_cstr(&id));
    wr_buf_deinit(&id);
    ask->query[ask->query_count++] = (struct wr_aws_pair){"comp", "block"};
    ask->query[ask->query_count++] = (struct wr_aws_pair){"blockid", piece->text};
}

static wr_status piece_answered(struct cloud_piece *piece, struct wr_error *err)
{
    const struct cloud_upload *upload = piece->flight.upload;
    wr_ensure(piece->flight.call.status == 201, err, WR_CLASS_FATAL,
              "%s: a block was answered with %d", upload->store->url, piece->flight.call.status);
    return WR_OK;
}

/* An empty object has no block: none can be empty. */
static void append_list(const char *id, uint32_t count, struct wr_buf *xml)
{
    wr_buf_text(xml, "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
    for (uint32_t i = 0; i < count; i++) {
        wr_buf_text(xml, "<Uncommitted>");
        block_id(id, i, xml);
        wr_buf_text(xml, "</Uncommitted>");
    }
    wr_buf_text(xml, "</BlockList>");
}

/* Uncommitted blocks can be listed once. An empty list could be at any time: it must meet
 * nobody. */
static void fill_publish(struct cloud_ask *ask, const char *key, const char *id, uint32_t count)
{
    *ask = (struct cloud_ask){.method = "PUT",
                              .key = key,
                              .query = {{"comp", "blocklist"}},
                              .query_count = 1,
                              .headers = {{"Content-Type", "application/xml"}, {WR_AZURE_ID, id}},
                              .header_count = 2};
    if (count == 0) {
        ask->headers[ask->header_count++] = (struct wr_aws_pair){"If-None-Match", "*"};
    }
}

static void ask_publish(const struct cloud_upload *upload, struct wr_buf *body,
                        struct cloud_ask *ask, struct wr_buf *scratch)
{
    (void)scratch;
    fill_publish(ask, upload->key, upload->id, upload->piece_count);
    append_list(upload->id, upload->piece_count, body);
}

static bool publish_answered(const struct wr_http_call *call)
{
    return call->status == 201;
}

static wr_status publish(struct cloud_store *store, const char *key, const char *id,
                         uint32_t piece_count, struct wr_error *err)
{
    struct wr_buf xml = {0};
    struct cloud_ask ask;
    append_list(id, piece_count, &xml);
    fill_publish(&ask, key, id, piece_count);
    ask.body = xml.data;
    ask.body_bytes = xml.bytes;
    const bool open_outcome = wr_cloud_ask(store, &ask);
    wr_status published = WR_OK;
    if (store->call.status != 201) {
        const bool gone = wr_cloud_is_error(store, &store->call, "InvalidBlockList") ||
                          store->call.status == 409;
        published = wr_cloud_fail(store, &ask, &store->call, "publish an upload", err);
        if ((gone || open_outcome) && whose(store, key, id, NULL) == WR_OK) {
            published = WR_OK; /* an attempt whose answer was lost, or another process, did it */
        } else if (gone) {
            wr_error_hint(err,
                          "the blocks of %.300s are gone: they live for a week, and until somebody "
                          "else writes that blob", key);
        }
    }
    wr_buf_deinit(&xml);
    return published;
}

const struct cloud_kind wr_azure_kind = {
    .name = "azure",
    .sign = sign,
    .error_text = error_text,
    .refusals = refusals,
    .denied = "AuthorizationFailure",
    .whose = whose,
    .empty_is_none = true,
    .slots = WR_CLOUD_SLOTS,
    .piece_unit = 1,
    .ask_piece = ask_piece,
    .piece_answered = piece_answered,
    .publish = publish,
    .ask_publish = ask_publish,
    .publish_answered = publish_answered,
};
