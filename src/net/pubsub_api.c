/* pubsub_api.c: see pubsub_api.h. Field numbers are those of google/pubsub/v1/pubsub.proto. */
#include "net/pubsub_api.h"

#include "base/heap.h"
#include "net/gcp_auth.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOOGLE "https://pubsub.googleapis.com"

/* ---- the service ---- */

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static wr_status read_endpoint(struct wr_pubsub_service *service, const struct wr_pubsub_place *place, struct wr_error *err)
{
    const char *emulator = place->endpoint == NULL ? from_environment("PUBSUB_EMULATOR_HOST") : NULL;
    const char *at = place->endpoint != NULL ? place->endpoint : emulator != NULL ? emulator : GOOGLE;
    const bool has_scheme = strncmp(at, "http://", 7) == 0 || strncmp(at, "https://", 8) == 0;
    const int bytes = snprintf(service->url, sizeof service->url, "%s%s", has_scheme ? "" : emulator != NULL ? "http://" : "https://", at);
    const char *host = strstr(service->url, "://");
    bool good = bytes > 0 && (size_t)bytes < sizeof service->url && host != NULL && host[3] != '\0';
    for (const char *c = good ? host + 3 : ""; *c != '\0'; c++) {
        good = good && (isalnum((unsigned char)*c) || strchr(".-:[]_", *c) != NULL || (*c == '/' && c[1] == '\0'));
    }
    if (!good) {
        (void)wr_fail(err, WR_CLASS_USER, "endpoint is not a host and port");
        wr_error_hint(err, "write endpoint = 'europe-west1-pubsub.googleapis.com:443', or http://127.0.0.1:8085 for an emulator");
        return WR_FAIL;
    }
    const size_t length = strlen(service->url);
    if (service->url[length - 1] == '/') {
        service->url[length - 1] = '\0';
    }
    return WR_OK;
}

wr_status wr_pubsub_open(struct wr_pubsub_service *service, const struct wr_pubsub_place *place, struct wr_error *err)
{
    *service = (struct wr_pubsub_service){ 0 };
    WR_TRY(read_endpoint(service, place, err));
    if (strncmp(service->url, "https://", 8) == 0) {
        WR_TRY(wr_gcp_token_source(&service->tokens, place->credentials, WR_GCP_SCOPE_PUBSUB, err));
    }
    const struct wr_grpc_settings settings = { .url = service->url, .ca_file = place->ca_file, .tokens = service->tokens };
    return wr_grpc_channel_create(&service->channel, &settings, err);
}

void wr_pubsub_close(struct wr_pubsub_service *service)
{
    wr_grpc_channel_destroy(service->channel);
    wr_token_source_destroy(service->tokens);
    *service = (struct wr_pubsub_service){ 0 };
}

/* ---- names ---- */

static bool is_name(struct wr_slice name)
{
    bool good = name.bytes > 0 && name.bytes < 256;
    for (size_t i = 0; i < name.bytes; i++) {
        good = good && (isalnum((unsigned char)name.data[i]) || strchr("-_.~+%:", name.data[i]) != NULL);
    }
    return good;
}

static struct wr_slice next_part(const char **at)
{
    const char *begin = *at;
    const char *end = begin + strcspn(begin, "/");
    *at = *end == '/' ? end + 1 : end;
    return (struct wr_slice){ begin, (size_t)(end - begin) };
}

static wr_status bad_name(const char *kind, const char *name, struct wr_error *err)
{
    (void)wr_fail(err, WR_CLASS_USER, "\"%s\" is not the name of one of %s", name, kind);
    wr_error_hint(err, "write its id, or in full projects/PROJECT/%s/ID", kind);
    return WR_FAIL;
}

wr_status wr_pubsub_resource(struct wr_buf *into, const struct wr_pubsub_place *place, const char *kind, const char *name,
                             struct wr_error *err)
{
    const char *at = name;
    if (strchr(name, '/') != NULL) {
        const bool good = wr_slice_is(next_part(&at), "projects") && is_name(next_part(&at)) && wr_slice_is(next_part(&at), kind) &&
                          is_name(next_part(&at)) && *at == '\0' && name[strlen(name) - 1] != '/';
        if (!good) {
            return bad_name(kind, name, err);
        }
        wr_buf_text(into, name);
        return WR_OK;
    }
    const char *project = place->project != NULL ? place->project : from_environment("GOOGLE_CLOUD_PROJECT");
    project = project != NULL ? project : from_environment("PUBSUB_PROJECT_ID");
    if (project == NULL) {
        (void)wr_fail(err, WR_CLASS_USER, "the project is not known");
        wr_error_hint(err, "add project = '...', write the full name (projects/PROJECT/%s/%s), or set GOOGLE_CLOUD_PROJECT", kind, name);
        return WR_FAIL;
    }
    if (!is_name(wr_slice_of(name)) || !is_name(wr_slice_of(project))) {
        return bad_name(is_name(wr_slice_of(name)) ? "projects" : kind, is_name(wr_slice_of(name)) ? project : name, err);
    }
    wr_buf_printf(into, "projects/%s/%s/%s", project, kind, name);
    return WR_OK;
}

void wr_pubsub_params(struct wr_buf *into, const char *field, const char *resource)
{
    wr_buf_printf(into, "%s=", field);
    for (const char *c = resource; *c != '\0'; c++) {
        if (isalnum((unsigned char)*c) || strchr("-_.~", *c) != NULL) {
            wr_buf_byte(into, (uint8_t)*c);
        } else {
            wr_buf_printf(into, "%%%02X", (unsigned char)*c);
        }
    }
}

static const char *hint_of(int code)
{
    switch (code) {
    case WR_GRPC_NOT_FOUND: return "check project and name: gcloud pubsub topics list, gcloud pubsub subscriptions list";
    case WR_GRPC_PERMISSION_DENIED:
        return "grant the account roles/pubsub.subscriber on the subscription (a sink: roles/pubsub.publisher on the topic)";
    case WR_GRPC_UNAUTHENTICATED:
        return "set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run where there is a metadata server";
    case WR_GRPC_FAILED_PRECONDITION: return "a push, export or detached subscription cannot be pulled: make a pull subscription";
    case WR_GRPC_UNIMPLEMENTED: return "the endpoint does not speak Pub/Sub's gRPC: check endpoint and PUBSUB_EMULATOR_HOST";
    default: return NULL;
    }
}

wr_status wr_pubsub_fail(const struct wr_grpc_call *call, const char *what, const char *resource, struct wr_error *err)
{
    char text[400];
    (void)snprintf(text, sizeof text, "%s %s", what, resource);
    (void)wr_grpc_fail(call, err, text);
    if (err != NULL && err->cls != WR_CLASS_RETRY) {
        err->cls = WR_CLASS_FATAL;
    }
    if (!call->untrusted && hint_of(call->code) != NULL) {
        wr_error_hint(err, "%s", hint_of(call->code));
    }
    return WR_FAIL;
}

/* ---- what is sent ---- */

static void put_text(struct wr_buf *into, uint32_t number, const char *text)
{
    wr_proto_put_bytes(into, number, text, strlen(text));
}

void wr_pubsub_put_stream_start(struct wr_buf *into, const struct wr_pubsub_stream_start *start)
{
    put_text(into, 1, start->subscription);
    wr_proto_put_varint(into, 5, start->ack_deadline_s);
    put_text(into, 6, start->client_id);
    if (start->messages_max > 0) {
        wr_proto_put_varint(into, 7, start->messages_max);
    }
    if (start->bytes_max > 0) {
        wr_proto_put_varint(into, 8, start->bytes_max);
    }
}

void wr_pubsub_put_pull(struct wr_buf *into, const char *subscription, uint32_t messages_max)
{
    put_text(into, 1, subscription);
    wr_proto_put_varint(into, 2, 1); /* return_immediately */
    wr_proto_put_varint(into, 3, messages_max);
}

void wr_pubsub_put_subscription(struct wr_buf *into, const char *subscription)
{
    put_text(into, 1, subscription);
}

void wr_pubsub_put_ack_id(struct wr_buf *into, bool modify, struct wr_slice ack_id)
{
    wr_proto_put_bytes(into, modify ? 4 : 2, ack_id.data, ack_id.bytes);
}

void wr_pubsub_put_deadline(struct wr_buf *into, uint32_t seconds)
{
    wr_proto_put_varint(into, 3, seconds);
}

/* ---- what comes ---- */

/* google.protobuf.Timestamp */
static int64_t read_time(struct wr_slice bytes, bool *bad)
{
    struct wr_proto_reader r = wr_proto_read(bytes);
    struct wr_proto_field f;
    int64_t seconds = 0;
    int64_t nanos = 0;
    int64_t us;
    while (wr_proto_next(&r, &f)) {
        seconds = f.number == 1 && f.kind == WR_PROTO_VARINT ? (int64_t)f.value : seconds;
        nanos = f.number == 2 && f.kind == WR_PROTO_VARINT ? (int64_t)f.value : nanos;
    }
    *bad = *bad || r.bad;
    if (nanos < 0 || nanos >= 1000000000 || __builtin_mul_overflow(seconds, (int64_t)1000000, &us) ||
        __builtin_add_overflow(us, nanos / 1000, &us)) {
        return INT64_MIN;
    }
    return us;
}

static void read_pubsub_message(struct wr_pubsub_message *message, struct wr_slice bytes, bool *bad)
{
    struct wr_proto_reader r = wr_proto_read(bytes);
    struct wr_proto_field f;
    message->whole = bytes;
    while (wr_proto_next(&r, &f)) {
        if (f.kind != WR_PROTO_BYTES) {
            continue;
        }
        switch (f.number) {
        case 1: message->data = f.bytes; break;
        case 3: message->message_id = f.bytes; break;
        case 4: message->publish_us = read_time(f.bytes, bad); break;
        case 5: message->ordering_key = f.bytes; break;
        default: break;
        }
    }
    *bad = *bad || r.bad;
}

static bool read_received(struct wr_pubsub_message *message, struct wr_slice bytes)
{
    struct wr_proto_reader r = wr_proto_read(bytes);
    struct wr_proto_field f;
    bool bad = false;
    *message = (struct wr_pubsub_message){ .data = { "", 0 }, .publish_us = INT64_MIN };
    while (wr_proto_next(&r, &f)) {
        if (f.number == 1 && f.kind == WR_PROTO_BYTES) {
            message->ack_id = f.bytes;
        } else if (f.number == 2 && f.kind == WR_PROTO_BYTES) {
            read_pubsub_message(message, f.bytes, &bad);
        }
    }
    return !bad && !r.bad && message->ack_id.bytes > 0;
}

void wr_pubsub_response_begin(struct wr_pubsub_response *response, struct wr_slice bytes)
{
    *response = (struct wr_pubsub_response){ .reader = wr_proto_read(bytes) };
}

static void read_properties(struct wr_pubsub_response *response, struct wr_slice bytes)
{
    struct wr_proto_reader r = wr_proto_read(bytes);
    struct wr_proto_field f;
    response->has_properties = true;
    while (wr_proto_next(&r, &f)) {
        response->exactly_once = response->exactly_once || (f.number == 1 && f.kind == WR_PROTO_VARINT && f.value != 0);
        response->ordering = response->ordering || (f.number == 2 && f.kind == WR_PROTO_VARINT && f.value != 0);
    }
}

bool wr_pubsub_response_next(struct wr_pubsub_response *response, struct wr_pubsub_message *message, bool *bad)
{
    struct wr_proto_field f;
    *bad = false;
    while (wr_proto_next(&response->reader, &f)) {
        if (f.number == 4 && f.kind == WR_PROTO_BYTES) {
            read_properties(response, f.bytes);
        } else if (f.number == 1 && f.kind == WR_PROTO_BYTES) {
            *bad = !read_received(message, f.bytes);
            return !*bad;
        }
    }
    *bad = response->reader.bad;
    return false;
}

/* A map<string, string>'s entry. */
static bool read_entry(struct wr_slice bytes, struct wr_slice *name, struct wr_slice *value)
{
    struct wr_proto_reader r = wr_proto_read(bytes);
    struct wr_proto_field f;
    *name = *value = (struct wr_slice){ "", 0 };
    while (wr_proto_next(&r, &f)) {
        *name = f.number == 1 && f.kind == WR_PROTO_BYTES ? f.bytes : *name;
        *value = f.number == 2 && f.kind == WR_PROTO_BYTES ? f.bytes : *value;
    }
    return !r.bad;
}

void wr_pubsub_attributes_begin(struct wr_pubsub_attributes *walk, struct wr_slice message)
{
    walk->reader = wr_proto_read(message);
}

bool wr_pubsub_attributes_next(struct wr_pubsub_attributes *walk, struct wr_slice *name, struct wr_slice *value)
{
    struct wr_proto_field f;
    while (wr_proto_next(&walk->reader, &f)) {
        if (f.number == 2 && f.kind == WR_PROTO_BYTES && read_entry(f.bytes, name, value)) {
            return true;
        }
    }
    return false;
}

/* google.rpc.ErrorInfo: {1 reason, 2 domain, 3 metadata map}. */
static void read_error_info(struct wr_slice bytes, void (*tell)(void *, struct wr_slice, bool), void *ctx)
{
    struct wr_proto_reader r = wr_proto_read(bytes);
    struct wr_proto_field f;
    struct wr_slice id, why;
    while (wr_proto_next(&r, &f)) {
        if (f.number != 3 || f.kind != WR_PROTO_BYTES || !read_entry(f.bytes, &id, &why)) {
            continue;
        }
        if (why.bytes >= 9 && memcmp(why.data, "PERMANENT", 9) == 0) {
            tell(ctx, id, true);
        } else if (why.bytes >= 9 && memcmp(why.data, "TRANSIENT", 9) == 0) {
            tell(ctx, id, false);
        }
    }
}

/* google.rpc.Status {1 code, 2 message, 3 details*}, each a google.protobuf.Any {1 type_url, 2 value}. */
void wr_pubsub_ack_failures(struct wr_slice status, void (*tell)(void *, struct wr_slice, bool), void *ctx)
{
    struct wr_proto_reader r = wr_proto_read(status);
    struct wr_proto_field f;
    struct wr_slice type, value;
    static const char name[] = "google.rpc.ErrorInfo";
    while (wr_proto_next(&r, &f)) {
        if (f.number == 3 && f.kind == WR_PROTO_BYTES && read_entry(f.bytes, &type, &value) && type.bytes >= sizeof name - 1 &&
            memcmp(type.data + type.bytes - (sizeof name - 1), name, sizeof name - 1) == 0) {
            read_error_info(value, tell, ctx);
        }
    }
}
