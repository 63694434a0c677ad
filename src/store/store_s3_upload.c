/* store_s3_upload.c: an object in parts. Parts go out while the caller still writes, a few at a
 * time; all of them are at the server when prepare returns; the request that completes the upload
 * is its publication.
 *
 * States: writing -> [prepare] -> prepared -> [publish] -> published; any -> [close] -> gone. A
 * direct upload that is no larger than a part is one put, and published by it.
 *
 * Invariants:
 *   (1) a slot's body is not touched while its call is under way
 *   (2) every part that was sent has its ETag in etags once the upload is prepared, in order of
 *       part numbers
 *   (3) close aborts only what nobody tried to publish or asked to keep: a completion whose answer
 *       was lost may have happened, and an upload that a manifest names must stay completable
 *   (4) a write takes all or nothing, and what it took is not lost by a failure: parts that did not
 *       get through are sent again by the next call of write or prepare
 *   (5) a request that is to be repeated later keeps its place: only its own upload waits for it
 * Many uploads of one store may be under way: whoever waits on the client handles the others'
 * requests too, and begins none while too much is under way. A ticket holds what completes an upload:
 * its id, the parts' ETags, and the id in its metadata by which the object is recognised afterwards.
 */
#include "store/store_s3.h"
#include "store/store_ticket.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One being filled, three on their way: enough to keep a link busy, at 32 MiB with parts of the
 * usual size. */
#define SLOTS      4
#define PARTS_MAX  10000 /* S3's limit */
#define ETAG_BYTES 80    /* quotes and 32 hex digits as a rule */
/* Of all uploads together: beyond it begin waits. */
#define UNDER_WAY_MAX       24u
#define UNDER_WAY_BYTES_MAX (32u << 20)

struct s3_upload;

enum s3_step {
    STEP_PART,
    STEP_WHOLE,    /* all of a direct upload */
    STEP_BEGIN,    /* the server gives an upload id; the first part follows */
    STEP_COMPLETE, /* publication */
};

struct s3_slot {
    struct s3_upload *upload;
    struct s3_slot *next_waiting;
    int64_t due_ns; /* when it is sent again */
    enum s3_step step;
    struct wr_http_call call;
    struct wr_buf body;
    char number[8]; /* 1.., as text */
    uint32_t part;  /* number - 1 */
    struct wr_retry retry;
    bool sent; /* as a part; not filling any more */
    bool under_way;
    bool lost; /* did not get through; body is still here */
    bool open_outcome; /* it may have happened all the same */
};

struct s3_upload {
    struct wr_upload base;
    struct s3_store *store;
    char *key;
    char *upload_id; /* NULL: not begun at the server */
    char put_id[WR_S3_PUT_ID_BYTES];
    struct s3_slot slots[SLOTS];
    struct s3_slot control; /* beginning and completion */
    uint32_t filling;   /* the slot that write appends to, unless it is sent */
    struct wr_buf rest; /* of a write that a failure met half-way: goes before all others */
    uint32_t part_count;
    uint32_t under_way;
    struct wr_buf etags; /* ETAG_BYTES for each part, NUL-terminated */
    uint64_t part_bytes; /* grows with the object, so that PARTS_MAX are enough for 5 TiB */
    uint64_t bytes;      /* written */
    bool prepared, publishing, published, kept;
    bool ended; /* the completion has an outcome, in control, that nobody has looked at */
    bool failed; /* failure says why */
    struct wr_error failure;
};

wr_status wr_s3_upload_open(struct wr_upload **into, struct wr_store *base, const char *key,
                            struct wr_error *err)
{
    struct s3_store *store = (struct s3_store *)base;
    WR_TRY(wr_s3_check_key(store, key, err));
    struct s3_upload *upload = wr_calloc(1, sizeof(*upload));
    upload->base.ops = &wr_store_s3_ops;
    upload->store = store;
    upload->key = wr_strdup(key);
    upload->part_bytes = store->part_bytes;
    wr_s3_put_id(store, upload->put_id);
    for (uint32_t i = 0; i < SLOTS; i++) {
        upload->slots[i].upload = upload;
        upload->slots[i].call.ctx = &upload->slots[i];
    }
    upload->control.upload = upload;
    upload->control.call.ctx = &upload->control;
    *into = &upload->base;
    return WR_OK;
}

/* --- requests
 * ------------------------------------------------------------------------------------- */

static struct s3_ask ask_of(const struct s3_slot *slot)
{
    const struct s3_upload *upload = slot->upload;
    const enum s3_step step = slot->step;
    struct s3_ask ask = {.method = step == STEP_PART || step == STEP_WHOLE ? "PUT" : "POST",
                         .key = upload->key,
                         .body = slot->body.data,
                         .body_bytes = slot->body.bytes};
    if (step == STEP_PART) {
        ask.query[ask.query_count++] = (struct wr_aws_pair){"partNumber", slot->number};
    }
    if (step == STEP_PART || step == STEP_COMPLETE) {
        ask.query[ask.query_count++] = (struct wr_aws_pair){"uploadId", upload->upload_id};
    }
    if (step == STEP_BEGIN) {
        ask.query[ask.query_count++] = (struct wr_aws_pair){"uploads", ""};
    }
    if (step == STEP_BEGIN || step == STEP_WHOLE) {
        ask.headers[ask.header_count++] = (struct wr_aws_pair){WR_S3_PUT_ID, upload->put_id};
    }
    if (step == STEP_COMPLETE) {
        ask.headers[ask.header_count++] = (struct wr_aws_pair){"Content-Type", "application/xml"};
    }
    return ask;
}

static void send_slot(struct s3_slot *slot)
{
    const struct s3_ask ask = ask_of(slot);
    wr_s3_sign(slot->upload->store, &ask, &slot->call);
    wr_http_begin(slot->upload->store->client, &slot->call);
}

static void begin_slot(struct s3_slot *slot, enum s3_step step)
{
    struct s3_store *store = slot->upload->store;
    slot->step = step;
    slot->retry = store->retry;
    wr_rand_seed(&slot->retry.rand, wr_rand_entropy());
    slot->under_way = true;
    slot->lost = false;
    slot->open_outcome = false;
    slot->upload->under_way++;
    store->under_way++;
    store->under_way_bytes += slot->body.bytes;
    send_slot(slot);
}

static void end_slot(struct s3_slot *slot)
{
    struct s3_store *store = slot->upload->store;
    slot->under_way = false;
    slot->upload->under_way--;
    store->under_way--;
    store->under_way_bytes -= slot->body.bytes;
}

static void send_part(struct s3_upload *upload);

static void begun_at_server(struct s3_slot *slot)
{
    struct s3_upload *upload = slot->upload;
    const struct wr_slice xml = {slot->call.response.data, slot->call.response.bytes};
    struct wr_buf id = {0};
    if (wr_s3_xml_text(xml, "UploadId", &id) && id.bytes > 0 && id.bytes <= 2000) {
        upload->upload_id = wr_strdup(wr_buf_cstr(&id));
        send_part(upload);
    } else if (!upload->failed) {
        upload->failed = true;
        (void)wr_fail(&upload->failure, WR_CLASS_FATAL,
                      "%s: cannot begin an upload: the answer names no UploadId",
                      upload->store->url);
    }
    wr_buf_deinit(&id);
}

static void part_arrived(struct s3_slot *slot)
{
    struct s3_upload *upload = slot->upload;
    const struct wr_slice etag = wr_http_call_answer(&slot->call, "ETag");
    if (etag.bytes == 0 || etag.bytes >= ETAG_BYTES || memchr(etag.data, '<', etag.bytes) != NULL ||
        memchr(etag.data, '&', etag.bytes) != NULL) {
        upload->failed = true;
        (void)wr_fail(&upload->failure, WR_CLASS_FATAL,
                      "%s: a part was taken without a usable ETag", upload->store->url);
        return;
    }
    char *into = upload->etags.data + (size_t)slot->part * ETAG_BYTES;
    memcpy(into, etag.data, etag.bytes);
    into[etag.bytes] = '\0';
    slot->body.bytes = 0; /* (1) over */
}

/* The answer is 200. */
static void slot_arrived(struct s3_slot *slot)
{
    end_slot(slot);
    switch (slot->step) {
    case STEP_PART:
        part_arrived(slot);
        return;
    case STEP_WHOLE:
        slot->body.bytes = 0;
        slot->upload->published = true;
        return;
    case STEP_BEGIN:
        begun_at_server(slot);
        return;
    case STEP_COMPLETE:
        slot->upload->ended = true;
        return;
    }
}

/* (5) */
static bool is_repeated(struct s3_slot *slot)
{
    struct s3_store *store = slot->upload->store;
    const struct s3_ask ask = ask_of(slot);
    uint32_t wait_ms;
    if (slot->upload->failed ||
        !wr_s3_again(store, &slot->retry, &ask, &slot->call, &slot->open_outcome, &wait_ms)) {
        return false;
    }
    slot->due_ns = wr_clock_now().mono_ns + (int64_t)wait_ms * 1000000;
    slot->next_waiting = store->waiting;
    store->waiting = slot;
    return true;
}

/* One call has ended, in whatever way. A completion may say 200 and fail all the same. */
static void slot_done(struct s3_slot *slot)
{
    static const char *const doing[] = {"upload a part", "put", "begin an upload"};
    struct s3_upload *upload = slot->upload;
    if (slot->call.status == 200 && slot->step != STEP_COMPLETE) {
        slot_arrived(slot);
    } else if (is_repeated(slot)) {
        return;
    } else if (slot->step == STEP_COMPLETE) {
        slot_arrived(slot); /* publish judges it */
    } else {
        const struct s3_ask ask = ask_of(slot);
        end_slot(slot);
        slot->lost = true;
        if (!upload->failed) {
            upload->failed = true;
            (void)wr_s3_fail(upload->store, &ask, &slot->call, doing[slot->step],
                             &upload->failure);
        }
    }
}

/* Sends again what is due; returns how long it is until the next is. */
static int64_t send_due(struct s3_store *store)
{
    const int64_t now = wr_clock_now().mono_ns;
    int64_t next_ns = INT64_MAX;
    for (struct s3_slot **at = &store->waiting; *at != NULL;) {
        struct s3_slot *slot = *at;
        if (slot->due_ns <= now) {
            *at = slot->next_waiting;
            send_slot(slot);
        } else {
            next_ns = slot->due_ns - now < next_ns ? slot->due_ns - now : next_ns;
            at = &slot->next_waiting;
        }
    }
    return next_ns;
}

/* Waits until a request of any upload has an outcome, or one is due again. */
static void wait_for_one(struct s3_store *store)
{
    const int64_t until_due_ns = send_due(store);
    struct wr_http_call *call = wr_http_wait_any(store->client);
    if (call != NULL) {
        slot_done(call->ctx);
    } else if (store->waiting != NULL) {
        wr_clock_sleep_ms((uint32_t)(until_due_ns / 1000000) + 1);
    }
}

static void wait_for_room(struct s3_store *store)
{
    while (store->under_way >= UNDER_WAY_MAX || store->under_way_bytes >= UNDER_WAY_BYTES_MAX) {
        wait_for_one(store);
    }
}

/* --- writing
 * -------------------------------------------------------------------------------------- */

static wr_status check(const struct s3_upload *upload, struct wr_error *err)
{
    if (upload->failed && err != NULL) {
        *err = upload->failure;
    }
    return upload->failed ? WR_FAIL : WR_OK;
}

/* Sends again what did not get through, if that may help (4). */
static wr_status revive(struct s3_upload *upload, struct wr_error *err)
{
    if (upload->failed && upload->failure.cls != WR_CLASS_RETRY) {
        return check(upload, err);
    }
    upload->failed = false;
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (upload->slots[i].lost) {
            begin_slot(&upload->slots[i], upload->slots[i].step);
        }
    }
    if (upload->control.lost) {
        begin_slot(&upload->control, STEP_BEGIN);
    }
    return WR_OK;
}

/* Sends what the filling slot holds as the next part. */
static void send_part(struct s3_upload *upload)
{
    struct s3_slot *slot = &upload->slots[upload->filling];
    slot->part = upload->part_count++;
    snprintf(slot->number, sizeof(slot->number), "%u", slot->part + 1);
    memset(wr_buf_reserve(&upload->etags, ETAG_BYTES), 0, ETAG_BYTES);
    upload->etags.bytes += ETAG_BYTES;
    slot->sent = true;
    begin_slot(slot, STEP_PART);
    /* Doubled now and then, 10,000 parts of 8 MiB would hold 80 GB, of these 5 TiB. */
    if (upload->part_count % 1000 == 0 && upload->part_bytes <= UINT64_C(1) << 29) {
        upload->part_bytes *= 2;
    }
}

/* The filling slot leaves: at once, or, while the server does not know of the upload, when it has
 * given it an id. */
static wr_status let_go(struct s3_upload *upload, struct wr_error *err)
{
    wr_ensure(upload->part_count < PARTS_MAX, err, WR_CLASS_FATAL,
              "%s: an object of more than %d parts: raise part_size", upload->store->url,
              PARTS_MAX);
    if (upload->upload_id != NULL) {
        send_part(upload);
    } else if (!upload->control.under_way) {
        begin_slot(&upload->control, STEP_BEGIN);
    }
    return WR_OK;
}

/* Makes filling a slot that is free. */
static wr_status next_slot(struct s3_upload *upload, struct wr_error *err)
{
    while (!upload->failed) {
        for (uint32_t i = 0; i < SLOTS; i++) {
            if (!upload->slots[i].under_way) {
                upload->filling = i;
                upload->slots[i].sent = false;
                wr_assert(upload->slots[i].body.bytes == 0);
                return check(upload, err);
            }
        }
        wait_for_one(upload->store);
    }
    return check(upload, err);
}

static bool is_full(const struct s3_upload *upload)
{
    const struct s3_slot *slot = &upload->slots[upload->filling];
    return !slot->sent && slot->body.bytes >= upload->part_bytes;
}

/* Makes filling a slot that has room. */
static wr_status make_room(struct s3_upload *upload, struct wr_error *err)
{
    while (is_full(upload)) {
        WR_TRY(let_go(upload, err));
        if (is_full(upload)) {
            wait_for_one(upload->store); /* for the upload's id */
            WR_TRY(check(upload, err));
        }
    }
    return upload->slots[upload->filling].sent ? next_slot(upload, err) : WR_OK;
}

/* *taken: how much of it went into parts. */
static wr_status feed(struct s3_upload *upload, const char *from, size_t bytes, size_t *taken,
                      struct wr_error *err)
{
    *taken = 0;
    while (*taken < bytes) {
        WR_TRY(make_room(upload, err));
        struct wr_buf *body = &upload->slots[upload->filling].body;
        const uint64_t room = upload->part_bytes - body->bytes;
        const size_t more = bytes - *taken < room ? bytes - *taken : (size_t)room;
        wr_buf_append(body, from + *taken, more); /* (1): filling is not under way */
        *taken += more;
    }
    return WR_OK;
}

static wr_status feed_rest(struct s3_upload *upload, struct wr_error *err)
{
    struct wr_buf *rest = &upload->rest;
    size_t taken;
    const wr_status status = feed(upload, rest->data, rest->bytes, &taken, err);
    rest->bytes -= taken;
    if (rest->bytes > 0) {
        memmove(rest->data, rest->data + taken, rest->bytes);
    } else {
        wr_buf_deinit(rest);
    }
    return status;
}

wr_status wr_s3_upload_write(struct wr_upload *base, const void *data, size_t bytes,
                             struct wr_error *err)
{
    struct s3_upload *upload = (struct s3_upload *)base;
    size_t taken;
    wr_assert(!upload->prepared);
    WR_TRY(revive(upload, err));
    WR_TRY(feed_rest(upload, err));
    const wr_status status = feed(upload, data, bytes, &taken, err);
    if (status != WR_OK && taken == 0) {
        return status;
    }
    wr_buf_append(&upload->rest, (const char *)data + taken, bytes - taken); /* (4) */
    upload->bytes += bytes;
    if (status == WR_OK && is_full(upload)) {
        struct wr_error ignored; /* early; if it fails, the next call tries again and says so */
        (void)!let_go(upload, &ignored);
    }
    if (upload->under_way > 0) {
        wr_http_turn(upload->store->client);
    }
    return WR_OK;
}

/* Sends what is left, unless that is under way. */
static wr_status begin_rest(struct s3_upload *upload, struct wr_error *err)
{
    WR_TRY(revive(upload, err));
    WR_TRY(feed_rest(upload, err));
    struct s3_slot *slot = &upload->slots[upload->filling];
    /* An empty object is one empty part. */
    if (slot->sent || upload->control.under_way ||
        (slot->body.bytes == 0 && upload->part_count > 0)) {
        return WR_OK;
    }
    if (upload->base.direct && upload->upload_id == NULL) {
        slot->sent = true;
        begin_slot(slot, STEP_WHOLE);
        return WR_OK;
    }
    return let_go(upload, err);
}

void wr_s3_upload_prepare_begin(struct wr_upload *base)
{
    struct s3_upload *upload = (struct s3_upload *)base;
    struct wr_error ignored; /* prepare tries again and says so */
    if (!upload->prepared && !upload->failed) {
        wait_for_room(upload->store);
        (void)!begin_rest(upload, &ignored);
        wr_http_turn(upload->store->client);
    }
}

wr_status wr_s3_upload_prepare(struct wr_upload *base, struct wr_error *err)
{
    struct s3_upload *upload = (struct s3_upload *)base;
    if (!upload->prepared) {
        WR_TRY(begin_rest(upload, err));
        while (upload->under_way > 0) {
            wait_for_one(upload->store);
        }
        WR_TRY(check(upload, err));
        for (uint32_t i = 0; i < SLOTS; i++) {
            wr_buf_deinit(&upload->slots[i].body);
            wr_http_call_deinit(&upload->slots[i].call);
        }
        wr_http_call_deinit(&upload->control.call);
        upload->prepared = true; /* (2) */
    }
    return base->direct ? wr_s3_upload_publish(base, err) : WR_OK;
}

/* --- publication
 * ---------------------------------------------------------------------------------- */

static void append_part(struct wr_buf *xml, uint32_t number, const char *etag)
{
    wr_buf_printf(xml, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", number, etag);
}

static void append_completion(struct wr_buf *xml, const struct wr_buf *parts)
{
    wr_buf_text(xml, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    wr_buf_append(xml, parts->data, parts->bytes);
    wr_buf_text(xml, "</CompleteMultipartUpload>");
}

/* While an attempt whose answer was lost is still at work, the server has taken the parts and not yet made the object: another attempt
 * finds parts missing (InvalidPart, seen of MinIO). */
#define SETTLE_ATTEMPTS 10u
#define SETTLE_PAUSE_MS 300u

/* Whether the object with put_id is there, or comes soon. */
static bool settles(struct s3_store *store, const char *key, const char *put_id, uint32_t attempts)
{
    for (uint32_t i = 0; i < attempts; i++) {
        if (i > 0) {
            wr_clock_sleep_ms(SETTLE_PAUSE_MS);
        }
        if (wr_s3_whose(store, key, put_id, NULL) == WR_OK) {
            return true;
        }
    }
    return false;
}

/* What became of the request that completes an upload. Done already is WR_OK: no such upload (or parts of it are gone), and
 * the object with put_id is there. */
static wr_status judge(struct s3_store *store, const struct s3_ask *ask,
                       const struct wr_http_call *call, const char *put_id, bool open_outcome,
                       struct wr_error *err)
{
    /* S3 sends 200 before it has finished, and then perhaps an <Error>. */
    struct wr_slice rest = {call->response.data, call->response.bytes}, inside;
    if (call->status == 200 && !wr_s3_xml_next(&rest, "Error", &inside)) {
        return WR_OK;
    }
    const bool gone = wr_s3_is_error(call, "NoSuchUpload");
    const bool taken = wr_s3_is_error(call, "InvalidPart");
    const wr_status failed = wr_s3_fail(store, ask, call, "publish an upload", err);
    if ((gone || taken || open_outcome) &&
        settles(store, ask->key, put_id, taken ? SETTLE_ATTEMPTS : 1)) {
        return WR_OK; /* an attempt whose answer was lost, or another process, did it */
    }
    if (gone) {
        wr_error_hint(err, "somebody aborted the upload of %.300s (a lifecycle rule?), or the "
                           "object was removed since", ask->key);
    }
    return failed;
}

void wr_s3_upload_publish_begin(struct wr_upload *base)
{
    struct s3_upload *upload = (struct s3_upload *)base;
    struct wr_buf parts = {0};
    wr_assert(upload->prepared);
    if (upload->published || upload->ended || upload->control.under_way) {
        return;
    }
    wait_for_room(upload->store);
    for (uint32_t i = 0; i < upload->part_count; i++) {
        append_part(&parts, i + 1, upload->etags.data + (size_t)i * ETAG_BYTES);
    }
    upload->control.body.bytes = 0;
    append_completion(&upload->control.body, &parts);
    wr_buf_deinit(&parts);
    upload->publishing = true; /* (3) */
    begin_slot(&upload->control, STEP_COMPLETE);
    wr_http_turn(upload->store->client);
}

wr_status wr_s3_upload_publish(struct wr_upload *base, struct wr_error *err)
{
    struct s3_upload *upload = (struct s3_upload *)base;
    wr_s3_upload_publish_begin(base);
    while (upload->control.under_way) {
        wait_for_one(upload->store);
    }
    if (upload->published) {
        return WR_OK;
    }
    upload->ended = false;
    const struct s3_ask ask = ask_of(&upload->control);
    const wr_status published = judge(upload->store, &ask, &upload->control.call, upload->put_id,
                                      upload->control.open_outcome, err);
    upload->published = published == WR_OK;
    return published;
}

/* Asks the server to complete an upload whose parts are listed in xml. */
static wr_status complete(struct s3_store *store, const char *key, const char *upload_id,
                          const char *put_id, const struct wr_buf *parts, struct wr_error *err)
{
    struct wr_buf xml = {0};
    append_completion(&xml, parts);
    const struct s3_ask ask = {.method = "POST",
                               .key = key,
                               .query = {{"uploadId", upload_id}},
                               .query_count = 1,
                               .headers = {{"Content-Type", "application/xml"}},
                               .header_count = 1,
                               .body = xml.data,
                               .body_bytes = xml.bytes};
    const bool open_outcome = wr_s3_ask(store, &ask);
    const wr_status published = judge(store, &ask, &store->call, put_id, open_outcome, err);
    wr_buf_deinit(&xml);
    return published;
}

void wr_s3_upload_ticket(const struct wr_upload *base, struct wr_buf *into)
{
    const struct s3_upload *upload = (const struct s3_upload *)base;
    json_t *etags = json_array();
    wr_assert(upload->prepared);
    for (uint32_t i = 0; i < upload->part_count; i++) {
        json_array_append_new(etags, json_string(upload->etags.data + (size_t)i * ETAG_BYTES));
    }
    wr_ticket_write(json_pack("{s:s, s:s, s:s, s:o, s:I}", "key", upload->key, "upload_id",
                              upload->upload_id, "put_id", upload->put_id, "etags", etags, "bytes",
                              (json_int_t)upload->bytes),
                    into);
}

void wr_s3_upload_keep(struct wr_upload *base)
{
    ((struct s3_upload *)base)->kept = true;
}

/* The parts of a ticket, from outside. */
static wr_status append_parts(const struct s3_store *store, const json_t *etags,
                              struct wr_buf *parts, struct wr_error *err)
{
    const size_t count = json_array_size(etags);
    wr_ensure(count > 0 && count <= PARTS_MAX, err, WR_CLASS_FATAL,
              "%s: the ticket of an upload lists %zu parts", store->url, count);
    for (size_t i = 0; i < count; i++) {
        const char *etag = json_string_value(json_array_get(etags, i));
        wr_ensure(etag != NULL && strlen(etag) < ETAG_BYTES && strpbrk(etag, "<&") == NULL, err,
                  WR_CLASS_FATAL, "%s: the ticket of an upload has a bad ETag", store->url);
        append_part(parts, (uint32_t)i + 1, etag);
    }
    return WR_OK;
}

wr_status wr_s3_publish_ticket(struct wr_store *base, const char *text, size_t bytes,
                               struct wr_error *err)
{
    struct s3_store *store = (struct s3_store *)base;
    struct wr_buf parts = {0};
    json_t *ticket;
    WR_TRY(wr_ticket_read(text, bytes, &ticket, err));
    const char *key = wr_ticket_text(ticket, "key");
    const char *upload_id = wr_ticket_text(ticket, "upload_id");
    const char *put_id = wr_ticket_text(ticket, "put_id");
    wr_status status = wr_s3_check_key(store, key, err);
    if (status == WR_OK && (upload_id == NULL || put_id == NULL)) {
        status = wr_fail(err, WR_CLASS_FATAL, "%s: the ticket of %.300s is not one of S3",
                         store->url, key);
    }
    if (status == WR_OK) {
        status = append_parts(store, json_object_get(ticket, "etags"), &parts, err);
    }
    if (status == WR_OK) {
        status = complete(store, key, upload_id, put_id, &parts, err);
    }
    wr_buf_deinit(&parts);
    json_decref(ticket);
    return status;
}

wr_status wr_s3_abort(struct s3_store *store, const char *key, const char *upload_id,
                      struct wr_error *err)
{
    const struct s3_ask ask = {.method = "DELETE",
                               .key = key,
                               .query = {{"uploadId", upload_id}},
                               .query_count = 1};
    const struct wr_retry usual = store->retry;
    store->retry.attempts_max =
        usual.attempts_max < 3 ? usual.attempts_max : 3; /* nobody waits for it gladly */
    (void)wr_s3_ask(store, &ask);
    store->retry = usual;
    const int status = store->call.status;
    return status == 204 || status == 200 || status == 404
               ? WR_OK
               : wr_s3_fail(store, &ask, &store->call, "abort an upload", err);
}

static void abort_at_server(struct s3_upload *upload)
{
    struct wr_error err = {0};
    if (wr_s3_abort(upload->store, upload->key, upload->upload_id, &err) != WR_OK) {
        wr_log_warn("s3",
                    "%s: the parts of an abandoned upload stay at the server (%s); a lifecycle "
                    "rule AbortIncompleteMultipartUpload removes them",
                    upload->store->url, err.message);
    }
}

static void close_slot(struct s3_slot *slot)
{
    struct s3_store *store = slot->upload->store;
    if (slot->under_way) {
        struct s3_slot **at = &store->waiting;
        while (*at != NULL && *at != slot) {
            at = &(*at)->next_waiting;
        }
        if (*at == slot) {
            *at = slot->next_waiting;
        } else {
            wr_http_cancel(store->client, &slot->call);
        }
        end_slot(slot);
    }
    wr_http_call_deinit(&slot->call);
    wr_buf_deinit(&slot->body);
}

void wr_s3_upload_close(struct wr_upload *base)
{
    struct s3_upload *upload = (struct s3_upload *)base;
    for (uint32_t i = 0; i < SLOTS; i++) {
        close_slot(&upload->slots[i]);
    }
    close_slot(&upload->control);
    if (upload->upload_id != NULL && !upload->publishing && !upload->kept) { /* (3) */
        abort_at_server(upload);
    }
    wr_buf_deinit(&upload->etags);
    wr_buf_deinit(&upload->rest);
    free(upload->upload_id);
    free(upload->key);
    free(upload);
}
