/* store_gcs_call.c: requests of Google Cloud Storage's JSON API, and uploads.
 *
 * An upload goes to an object under _staging/, named by its key and id; publication is a rewrite
 * (a copy inside the service, of metadata only) to its own name, on condition that none is there;
 * then the staged one is deleted. An object of one piece is one multipart request, a larger one a
 * resumable session, whose pieces go one after another: when an answer is lost, the session is asked
 * how much it has. A direct upload goes to its own name at once.
 */
#include "store/store_gcs.h"

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* --- requests --------------------------------------------------------------------------------- */

static void append_name(const struct cloud_store *store, const char *key, struct wr_buf *url)
{
    wr_aws_encode(url, store->prefix, strlen(store->prefix), false);
    wr_aws_encode(url, key, strlen(key), false);
}

static void address(const struct cloud_store *store, const struct cloud_ask *ask,
                    struct wr_buf *url)
{
    wr_buf_printf(url, "%s%s", store->origin, store->path_root);
    switch ((enum gcs_where)ask->where) {
    case GCS_SESSION:
        url->bytes = strlen(store->origin); /* what the server named is a whole path */
        wr_buf_text(url, ask->extra);
        return;
    case GCS_UPLOAD:
        wr_buf_printf(url, "/upload/storage/v1/b/%s/o", store->bucket);
        return;
    case GCS_LIST:
        wr_buf_printf(url, "/storage/v1/b/%s/o", store->bucket);
        return;
    case GCS_REWRITE:
        wr_buf_printf(url, "/storage/v1/b/%s/o/", store->bucket);
        append_name(store, ask->extra, url);
        wr_buf_printf(url, "/rewriteTo/b/%s/o/", store->bucket);
        append_name(store, ask->key, url);
        return;
    case GCS_OBJECT:
        wr_buf_printf(url, "/storage/v1/b/%s/o/", store->bucket);
        append_name(store, ask->key, url);
        return;
    }
}

static wr_status sign(struct cloud_store *store, const struct cloud_ask *ask,
                      struct wr_http_call *call, struct wr_error *err)
{
    call->method = ask->method;
    call->body = ask->body;
    call->body_bytes = ask->body_bytes;
    call->response_bytes_max = ask->answer_bytes_max;
    address(store, ask, &call->url);
    if (ask->query_count > 0) {
        wr_buf_byte(&call->url, '?');
        wr_aws_query(&call->url, ask->query, ask->query_count);
    }
    for (uint32_t i = 0; i < ask->header_count; i++) {
        wr_http_call_header(call, ask->headers[i].name, ask->headers[i].value);
    }
    return store->tokens != NULL ? wr_cloud_bearer(store, call, err) : WR_OK;
}

static void error_text(const struct wr_http_call *call, char code[64], struct wr_buf *message)
{
    json_t *answer =
        call->response.bytes > 0 && call->response.bytes < (64u << 10)
            ? json_loadb(call->response.data, call->response.bytes, 0, NULL)
            : NULL;
    const json_t *error = json_object_get(answer, "error");
    const json_t *first = json_array_get(json_object_get(error, "errors"), 0);
    const char *reason = json_string_value(json_object_get(first, "reason"));
    const char *text = json_string_value(json_object_get(error, "message"));
    if (reason == NULL) {
        reason = call->status == 404 ? "notFound" : call->status == 401 ? "authError" : "";
    }
    snprintf(code, 64, "%s", reason);
    wr_buf_text(message, text != NULL ? text : "");
    json_decref(answer);
}

static const struct cloud_refusal refusals[] = {
    {"notFound", "there is no such bucket or object",
     "create the bucket, or correct its name in the URL"},
    {"authError", "the token is not accepted",
     "check GOOGLE_APPLICATION_CREDENTIALS and this machine's clock"},
    {"required", "the server wants credentials",
     "set GOOGLE_APPLICATION_CREDENTIALS to a service account's key file"},
    {"forbidden", "access denied",
     "the identity needs the role Storage Object User (roles/storage.objectUser) on the bucket"},
    {"accountDisabled", "the project's billing or account is disabled",
     "see the project's billing page"},
    {NULL, NULL, NULL},
};

static wr_status whose(struct cloud_store *store, const char *key, const char *id,
                       struct wr_error *err)
{
    const struct cloud_ask ask = {.method = "GET", .where = GCS_OBJECT, .key = key};
    (void)wr_cloud_ask(store, &ask);
    if (store->call.status == 404) {
        return WR_AGAIN;
    }
    if (store->call.status != 200) {
        return wr_cloud_fail(store, &ask, &store->call, "read back", err);
    }
    json_t *object = json_loadb(store->call.response.data, store->call.response.bytes, 0, NULL);
    const char *found =
        json_string_value(json_object_get(json_object_get(object, "metadata"), WR_GCS_ID));
    const bool ours = found != NULL && strcmp(found, id) == 0;
    json_decref(object);
    return ours ? WR_OK : WR_END;
}

/* --- one request for a whole object ----------------------------------------------------------- */

static void append_resource(const struct cloud_store *store, const char *key, const char *id,
                            struct wr_buf *into)
{
    struct wr_buf name = {0};
    wr_buf_printf(&name, "%s%s", store->prefix, key);
    json_t *resource =
        json_pack("{s:s#, s:{s:s}}", "name", name.data, (int)name.bytes, "metadata", WR_GCS_ID, id);
    char *text = json_dumps(resource, JSON_COMPACT);
    wr_buf_text(into, text != NULL ? text : "");
    free(text);
    json_decref(resource);
    wr_buf_deinit(&name);
}

/* The id is random: no data holds the boundary but by chance of 2^-128. */
void wr_gcs_multipart(const struct cloud_store *store, const char *key, const char *id,
                      const void *data, size_t bytes, struct wr_buf *into)
{
    (void)wr_buf_reserve(into, bytes + 4096);
    wr_buf_printf(into, "--weir-%s\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n", id);
    append_resource(store, key, id, into);
    wr_buf_printf(into, "\r\n--weir-%s\r\nContent-Type: application/octet-stream\r\n\r\n", id);
    wr_buf_append(into, data, bytes);
    wr_buf_printf(into, "\r\n--weir-%s--\r\n", id);
}

void wr_gcs_multipart_type(const char *id, char type[80])
{
    snprintf(type, 80, "multipart/related; boundary=weir-%s", id);
}

/* --- pieces ----------------------------------------------------------------------------------- */

static void append_staged(const char *key, const char *id, struct wr_buf *into)
{
    wr_buf_printf(into, WR_GCS_STAGING "%s.%s", key, id);
}

/* Where an upload's bytes go. */
static void append_target(const struct cloud_upload *upload, struct wr_buf *into)
{
    if (upload->base.direct) {
        wr_buf_text(into, upload->key);
    } else {
        append_staged(upload->key, upload->id, into);
    }
}

/* The path of the Location, to be asked for at the origin that we know: our token goes nowhere else,
 * and a proxy in between stays in between. */
static wr_status take_location(struct cloud_upload *upload, struct wr_error *err)
{
    const struct wr_slice url = wr_http_call_answer(&upload->store->call, "Location");
    const char *colon = url.bytes > 0 ? memmem(url.data, url.bytes, "://", 3) : NULL;
    const char *end = url.data + url.bytes;
    const char *slash = colon != NULL ? memchr(colon + 3, '/', (size_t)(end - colon) - 3) : NULL;
    bool good = slash != NULL && url.bytes < 8192;
    for (const char *c = slash; good && c < end; c++) {
        good = *c > ' ' && *c <= '~' && *c != '#';
    }
    wr_ensure(good, err, WR_CLASS_FATAL, "%s: an upload was begun without a usable Location",
              upload->store->url);
    upload->session = strndup(slash, (size_t)(end - slash));
    return WR_OK;
}

static wr_status begin(struct cloud_upload *upload, struct wr_error *err)
{
    struct cloud_store *store = upload->store;
    struct wr_buf target = {0}, resource = {0};
    append_target(upload, &target);
    append_resource(store, wr_buf_cstr(&target), upload->id, &resource);
    const struct cloud_ask ask = {
        .method = "POST",
        .where = GCS_UPLOAD,
        .key = upload->key,
        .query = {{"uploadType", "resumable"}},
        .query_count = 1,
        .headers = {{"Content-Type", "application/json; charset=UTF-8"},
                    {"X-Upload-Content-Type", "application/octet-stream"}},
        .header_count = 2,
        .body = resource.data,
        .body_bytes = resource.bytes};
    (void)wr_cloud_ask(store, &ask);
    const wr_status begun = store->call.status == 200 || store->call.status == 201
                                ? take_location(upload, err)
                                : wr_cloud_fail(store, &ask, &store->call, "begin an upload", err);
    wr_buf_deinit(&target);
    wr_buf_deinit(&resource);
    return begun;
}

static void ask_whole(struct cloud_piece *piece, struct cloud_ask *ask)
{
    struct cloud_upload *upload = piece->flight.upload;
    struct wr_buf target = {0};
    append_target(upload, &target);
    upload->finish_body.bytes = 0;
    wr_gcs_multipart(upload->store, wr_buf_cstr(&target), upload->id, piece->body.data,
                     piece->body.bytes, &upload->finish_body);
    wr_buf_deinit(&target);
    wr_gcs_multipart_type(upload->id, piece->text);
    *ask = (struct cloud_ask){.method = "POST",
                              .where = GCS_UPLOAD,
                              .key = upload->key,
                              .query = {{"uploadType", "multipart"}},
                              .query_count = 1,
                              .headers = {{"Content-Type", piece->text}},
                              .header_count = 1,
                              .body = upload->finish_body.data,
                              .body_bytes = upload->finish_body.bytes};
}

static void ask_piece(struct cloud_piece *piece, struct cloud_ask *ask)
{
    const struct cloud_upload *upload = piece->flight.upload;
    char total[24] = "*";
    if (upload->session == NULL) {
        ask_whole(piece, ask);
        return;
    }
    if (piece->last) {
        snprintf(total, sizeof(total), "%lu", piece->offset + piece->body.bytes);
    }
    const bool asks = piece->asking || piece->body.bytes == 0;
    if (asks) {
        snprintf(piece->text, sizeof(piece->text), "bytes */%s", total);
    } else {
        snprintf(piece->text, sizeof(piece->text), "bytes %lu-%lu/%s", piece->offset,
                 piece->offset + piece->body.bytes - 1, total);
    }
    *ask = (struct cloud_ask){.method = "PUT",
                              .where = GCS_SESSION,
                              .key = upload->key,
                              .extra = upload->session,
                              .headers = {{"Content-Range", piece->text}},
                              .header_count = 1,
                              .body = asks ? NULL : piece->body.data,
                              .body_bytes = asks ? 0 : piece->body.bytes};
}

/* "bytes=0-12345" -> 12346; without one nothing is there. */
static uint64_t persisted(const struct wr_http_call *call)
{
    const struct wr_slice range = wr_http_call_answer(call, "Range");
    char text[64];
    unsigned long last = 0;
    snprintf(text, sizeof(text), "%.*s", WR_SLICE_ARG(range));
    return sscanf(text, "bytes=0-%lu", &last) == 1 && last < INT64_MAX ? last + 1 : 0;
}

static wr_status piece_answered(struct cloud_piece *piece, struct wr_error *err)
{
    struct cloud_upload *upload = piece->flight.upload;
    const struct wr_http_call *call = &piece->flight.call;
    uint32_t wait_ms = 0;
    if (call->status != 308) {
        wr_buf_deinit(&upload->finish_body);
        wr_ensure(piece->last, err, WR_CLASS_FATAL,
                  "%s: the server ended an upload before its last piece", upload->store->url);
        return WR_OK;
    }
    const uint64_t there = persisted(call), end = piece->offset + piece->body.bytes;
    wr_ensure(upload->session != NULL && there >= piece->offset && there <= end, err,
              WR_CLASS_FATAL, "%s: the server has %lu bytes of an upload where %lu to %lu belong",
              upload->store->url, there, piece->offset, end);
    if (there == end && !piece->last) {
        return WR_OK;
    }
    const size_t taken = (size_t)(there - piece->offset);
    if (taken == 0 && !wr_retry_next(&piece->retry, 0, &wait_ms)) {
        return wr_fail(err, WR_CLASS_RETRY, "%s: the server does not take a piece of an upload",
                       upload->store->url);
    }
    wr_clock_sleep_ms(wait_ms);
    memmove(piece->body.data, piece->body.data + taken, piece->body.bytes - taken);
    piece->body.bytes -= taken;
    piece->offset = there;
    return WR_AGAIN;
}

/* --- publication ------------------------------------------------------------------------------ */

static void fill_publish(struct cloud_ask *ask, const char *key, const char *staged, bool if_absent)
{
    *ask = (struct cloud_ask){.method = "POST",
                              .where = GCS_REWRITE,
                              .key = key,
                              .extra = staged,
                              .query = {{"ifGenerationMatch", "0"}},
                              .query_count = if_absent ? 1 : 0};
}

static void ask_publish(const struct cloud_upload *upload, struct wr_buf *body,
                        struct cloud_ask *ask, struct wr_buf *scratch)
{
    (void)body;
    append_staged(upload->key, upload->id, scratch);
    fill_publish(ask, upload->key, wr_buf_cstr(scratch), true);
}

/* WR_AGAIN: call it again with token, as large objects of other classes want. */
static wr_status read_rewrite(const struct wr_http_call *call, struct wr_buf *token)
{
    json_t *answer = json_loadb(call->response.data, call->response.bytes, 0, NULL);
    const char *more = json_string_value(json_object_get(answer, "rewriteToken"));
    const wr_status read = json_is_true(json_object_get(answer, "done")) ? WR_OK
                           : more != NULL                                ? WR_AGAIN
                                                                         : WR_FAIL;
    token->bytes = 0;
    wr_buf_text(token, read == WR_AGAIN ? more : "");
    json_decref(answer);
    return read;
}

static bool publish_answered(const struct wr_http_call *call)
{
    struct wr_buf token = {0};
    const bool done = call->status == 200 && read_rewrite(call, &token) == WR_OK;
    wr_buf_deinit(&token);
    return done;
}

/* One rewrite to its end. WR_END: the condition failed. */
static wr_status rewrite(struct cloud_store *store, const char *key, const char *staged,
                         const char *id, bool if_absent, struct wr_error *err)
{
    struct wr_buf token = {0};
    wr_status status = WR_AGAIN;
    while (status == WR_AGAIN) {
        struct cloud_ask ask;
        fill_publish(&ask, key, staged, if_absent);
        if (token.bytes > 0) {
            ask.query[ask.query_count++] =
                (struct wr_aws_pair){"rewriteToken", wr_buf_cstr(&token)};
        }
        const bool open_outcome = wr_cloud_ask(store, &ask);
        const int answered = store->call.status;
        if (answered == 200) {
            status = read_rewrite(&store->call, &token);
            if (status == WR_FAIL) {
                (void)wr_fail(err, WR_CLASS_FATAL, "%s: a rewrite's answer is not Google's",
                              store->url);
            }
            continue;
        }
        (void)wr_cloud_fail(store, &ask, &store->call, "publish an upload", err);
        const bool settles = answered == 412 || answered == 404 || open_outcome;
        if (settles && whose(store, key, id, NULL) == WR_OK) {
            status = WR_OK; /* an attempt whose answer was lost, or another process, did it */
        } else {
            status = answered == 412 ? WR_END : WR_FAIL;
            if (answered == 404) {
                wr_error_hint(err, "what was prepared for %.300s is gone from " WR_GCS_STAGING
                                   ": did somebody clear it away?", key);
            }
        }
    }
    wr_buf_deinit(&token);
    return status;
}

static wr_status publish(struct cloud_store *store, const char *key, const char *id,
                         uint32_t piece_count, struct wr_error *err)
{
    struct wr_buf staged = {0};
    (void)piece_count;
    append_staged(key, id, &staged);
    wr_status status = rewrite(store, key, wr_buf_cstr(&staged), id, true, err);
    if (status == WR_END) { /* another object has the name: it is replaced, as in other stores */
        status = rewrite(store, key, wr_buf_cstr(&staged), id, false, err);
    }
    wr_buf_deinit(&staged);
    return status;
}

static bool ask_tidy(const struct cloud_upload *upload, struct cloud_ask *ask,
                     struct wr_buf *scratch)
{
    append_staged(upload->key, upload->id, scratch);
    *ask = (struct cloud_ask){.method = "DELETE", .where = GCS_OBJECT, .key = wr_buf_cstr(scratch)};
    return !upload->base.direct;
}

static void tidy(struct cloud_store *store, const char *key, const char *id)
{
    struct wr_buf staged = {0};
    append_staged(key, id, &staged);
    const struct cloud_ask ask = {
        .method = "DELETE", .where = GCS_OBJECT, .key = wr_buf_cstr(&staged)};
    (void)wr_cloud_ask(store, &ask);
    wr_buf_deinit(&staged);
}

const struct cloud_kind wr_gcs_kind = {
    .name = "gcs",
    .sign = sign,
    .error_text = error_text,
    .refusals = refusals,
    .denied = "forbidden",
    .whose = whose,
    .slots = 1,
    .piece_unit = 256u << 10,
    .keeps_last = true,
    .one_is_special = true,
    .direct_is_final = true,
    .begin = begin,
    .ask_piece = ask_piece,
    .piece_answered = piece_answered,
    .asks_back = true,
    .publish = publish,
    .ask_publish = ask_publish,
    .publish_answered = publish_answered,
    .ask_tidy = ask_tidy,
    .tidy = tidy,
};
