/* store_cloud_upload.c: an object in pieces, for Azure (blocks, side by side) and Google (one after
 * another). Pieces go out while the caller still writes; all of them are at the server when prepare
 * returns; one more request is the publication.
 *
 * States: writing -> [prepare_begin] -> begun -> [prepare] -> prepared -> [publish] -> published;
 * any -> [close] -> gone. A direct upload is published when it is prepared.
 * Invariants:
 *   (1) a piece's body is not touched while its request is under way
 *   (2) close tidies up only what nobody tried to publish or asked to keep: a publication whose
 *       answer was lost may have happened, and what a manifest names must stay publishable
 *   (3) a write takes all or nothing, and what it took is not lost by a failure: pieces that did
 *       not get through are sent again by the next write or prepare
 * Several uploads of one store may be under way: whoever waits on the client handles the others'
 * requests too.
 */
#include "store/store_cloud.h"
#include "store/store_ticket.h"

#include "base/assert.h"
#include "base/heap.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* Azure's limit is 50,000 blocks; pieces grow, so that 4.75 TiB fit in fewer. */
#define PIECES_MAX 50000u

static void piece_done(struct cloud_flight *flight);

wr_status wr_cloud_upload_open(struct wr_upload **into, struct wr_store *base, const char *key,
                               struct wr_error *err)
{
    struct cloud_store *store = (struct cloud_store *)base;
    WR_TRY(wr_cloud_check_key(store, key, err));
    struct cloud_upload *upload = wr_calloc(1, sizeof(*upload));
    upload->base.ops = store->base.ops;
    upload->store = store;
    upload->key = wr_strdup(key);
    wr_cloud_id(upload->id);
    for (uint32_t i = 0; i < WR_CLOUD_SLOTS; i++) {
        upload->pieces[i].flight =
            (struct cloud_flight){.upload = upload, .done = piece_done};
    }
    upload->finish.upload = upload;
    *into = &upload->base;
    return WR_OK;
}

/* --- requests under way ----------------------------------------------------------------------- */

/* False: it could not be signed; *err says why. */
static bool take_off(struct cloud_flight *flight, const struct cloud_ask *ask,
                     struct wr_error *err)
{
    struct cloud_store *store = flight->upload->store;
    wr_http_call_clear(&flight->call);
    if (store->kind->sign(store, ask, &flight->call, err) != WR_OK) {
        return false;
    }
    flight->call.ctx = flight;
    flight->under_way = true;
    store->under_way++;
    wr_http_begin(store->client, &flight->call);
    return true;
}

static void wait_for_one(struct cloud_store *store)
{
    struct wr_http_call *call = wr_http_wait_any(store->client);
    if (call != NULL) {
        struct cloud_flight *flight = call->ctx;
        flight->under_way = false;
        store->under_way--;
        flight->done(flight);
    }
}

static void keep_few_under_way(struct cloud_store *store)
{
    while (store->under_way >= WR_CLOUD_CALLS_MAX) {
        wait_for_one(store);
    }
}

/* --- pieces ----------------------------------------------------------------------------------- */

static void fail_piece(struct cloud_piece *piece)
{
    struct cloud_upload *upload = piece->flight.upload;
    piece->lost = true;
    upload->under_way--;
    upload->failed = true;
}

static void send_piece(struct cloud_piece *piece)
{
    struct cloud_upload *upload = piece->flight.upload;
    struct cloud_ask ask = {0};
    struct wr_error why = {0};
    upload->store->kind->ask_piece(piece, &ask);
    if (!take_off(&piece->flight, &ask, &why)) {
        if (!upload->failed) {
            upload->failure = why;
        }
        fail_piece(piece);
    }
}

/* One piece's request has ended, in whatever way. */
static void piece_done(struct cloud_flight *flight)
{
    struct cloud_piece *piece = (struct cloud_piece *)(void *)flight;
    struct cloud_upload *upload = flight->upload;
    struct cloud_store *store = upload->store;
    struct wr_error why = {0};
    struct cloud_ask ask = {0};
    const int status = flight->call.status;
    bool open_outcome = false;
    if ((status >= 200 && status < 300) || status == 308) {
        const wr_status answered = store->kind->piece_answered(piece, &why);
        if (answered == WR_OK) {
            piece->sent = piece->asking = false;
            piece->body.bytes = 0; /* (1) over */
            upload->under_way--;
        } else if (answered == WR_AGAIN) {
            piece->asking = false;
            send_piece(piece);
        } else {
            if (!upload->failed) {
                upload->failure = why;
            }
            fail_piece(piece);
        }
        return;
    }
    if (!upload->failed && wr_cloud_again(store, &piece->retry, &flight->call, &open_outcome)) {
        piece->asking = piece->asking || (open_outcome && store->kind->asks_back);
        send_piece(piece);
        return;
    }
    if (!upload->failed) {
        store->kind->ask_piece(piece, &ask);
        (void)wr_cloud_fail(store, &ask, &flight->call, "upload a piece", &upload->failure);
    }
    piece->asking = piece->asking || (store->kind->asks_back && (status == 0 || status >= 500));
    fail_piece(piece);
}

static wr_status check(const struct cloud_upload *upload, struct wr_error *err)
{
    if (upload->failed && err != NULL) {
        *err = upload->failure;
    }
    return upload->failed ? WR_FAIL : WR_OK;
}

static void begin_piece(struct cloud_piece *piece)
{
    struct cloud_upload *upload = piece->flight.upload;
    piece->retry = upload->store->retry;
    wr_rand_seed(&piece->retry.rand, wr_rand_entropy());
    piece->sent = true;
    piece->lost = false;
    upload->under_way++;
    send_piece(piece);
}

/* Sends again what did not get through, if that may help (3). */
static wr_status revive(struct cloud_upload *upload, struct wr_error *err)
{
    if (upload->failed && upload->failure.cls != WR_CLASS_RETRY) {
        return check(upload, err);
    }
    upload->failed = false;
    for (uint32_t i = 0; i < WR_CLOUD_SLOTS; i++) {
        if (upload->pieces[i].lost) {
            begin_piece(&upload->pieces[i]);
        }
    }
    return WR_OK;
}

/* A piece whose request is not under way, waiting for one. NULL: the upload has failed. */
static struct cloud_piece *free_piece(struct cloud_upload *upload)
{
    while (!upload->failed) {
        for (uint32_t i = 0; i < upload->store->kind->slots; i++) {
            if (!upload->pieces[i].sent) {
                return &upload->pieces[i];
            }
        }
        wait_for_one(upload->store);
    }
    return NULL;
}

/* Sends what filling holds (all of it when it is the last; else whole units) as the next piece. */
static wr_status send_filling(struct cloud_upload *upload, bool last, struct wr_error *err)
{
    const struct cloud_kind *kind = upload->store->kind;
    wr_ensure(upload->piece_count < PIECES_MAX, err, WR_CLASS_FATAL,
              "%s: an object of more than %u pieces: raise part_size", upload->store->url,
              PIECES_MAX);
    if (kind->begin != NULL && upload->session == NULL &&
        !(last && upload->piece_count == 0 && kind->one_is_special)) {
        WR_TRY(kind->begin(upload, err));
    }
    keep_few_under_way(upload->store);
    struct cloud_piece *piece = free_piece(upload);
    if (piece == NULL) {
        return check(upload, err);
    }
    const size_t cut = last ? upload->filling.bytes
                            : upload->filling.bytes / kind->piece_unit * kind->piece_unit;
    const struct wr_buf empty = piece->body;
    wr_assert(empty.bytes == 0 && (last || cut > 0));
    piece->body = upload->filling;
    upload->filling = empty;
    wr_buf_append(&upload->filling, piece->body.data + cut, piece->body.bytes - cut);
    piece->body.bytes = cut;
    upload->in_one = last && upload->piece_count == 0;
    piece->number = upload->piece_count++;
    piece->offset = upload->offset;
    piece->last = last;
    piece->asking = false;
    upload->offset += cut;
    begin_piece(piece);
    return WR_OK;
}

static uint64_t full_bytes(const struct cloud_upload *upload)
{
    /* 1,000 pieces of 8 MiB, then of 16, ...: 50,000 are never needed. */
    const uint32_t doublings = upload->piece_count / 1000 < 6 ? upload->piece_count / 1000 : 6;
    return upload->store->piece_bytes << doublings;
}

wr_status wr_cloud_upload_write(struct wr_upload *base, const void *data, size_t bytes,
                                struct wr_error *err)
{
    struct cloud_upload *upload = (struct cloud_upload *)base;
    wr_assert(!upload->begun);
    WR_TRY(revive(upload, err));
    if (bytes > 0 && upload->filling.bytes >= full_bytes(upload)) {
        WR_TRY(send_filling(upload, false, err));
    }
    wr_buf_append(&upload->filling, data, bytes); /* (3) */
    upload->bytes += bytes;
    if (upload->filling.bytes >= full_bytes(upload) && !upload->store->kind->keeps_last) {
        struct wr_error ignored; /* early; if it fails, the next call tries again and says so */
        (void)!send_filling(upload, false, &ignored);
    }
    if (upload->store->under_way > 0) {
        wr_http_turn(upload->store->client);
    }
    return WR_OK;
}

static wr_status begin_rest(struct cloud_upload *upload, struct wr_error *err)
{
    WR_TRY(revive(upload, err));
    if (upload->begun) {
        return WR_OK;
    }
    if (upload->filling.bytes > 0 ||
        (upload->piece_count == 0 && !upload->store->kind->empty_is_none)) {
        WR_TRY(send_filling(upload, true, err));
    }
    upload->begun = true;
    return WR_OK;
}

void wr_cloud_upload_prepare_begin(struct wr_upload *base)
{
    struct wr_error ignored; /* prepare tries again and says so */
    (void)!begin_rest((struct cloud_upload *)base, &ignored);
}

wr_status wr_cloud_upload_prepare(struct wr_upload *base, struct wr_error *err)
{
    struct cloud_upload *upload = (struct cloud_upload *)base;
    if (!upload->prepared) {
        WR_TRY(begin_rest(upload, err));
        while (upload->under_way > 0) {
            wait_for_one(upload->store);
        }
        WR_TRY(check(upload, err));
        for (uint32_t i = 0; i < WR_CLOUD_SLOTS; i++) {
            wr_buf_deinit(&upload->pieces[i].body);
            wr_http_call_deinit(&upload->pieces[i].flight.call);
        }
        wr_buf_deinit(&upload->filling);
        upload->prepared = true;
    }
    return upload->base.direct ? wr_cloud_upload_publish(base, err) : WR_OK;
}

/* --- publication ------------------------------------------------------------------------------ */

static void publish_done(struct cloud_flight *flight)
{
    struct cloud_upload *upload = flight->upload;
    upload->finish_well = upload->store->kind->publish_answered(&flight->call);
}

static void tidy_done(struct cloud_flight *flight)
{
    (void)flight; /* what stays is invisible, and the next run's abandon removes it */
}

void wr_cloud_upload_publish_begin(struct wr_upload *base)
{
    struct cloud_upload *upload = (struct cloud_upload *)base;
    struct cloud_ask ask = {0};
    struct wr_buf scratch = {0};
    struct wr_error ignored;
    wr_assert(upload->prepared);
    if (upload->published || upload->publishing || upload->store->kind->ask_publish == NULL) {
        return;
    }
    keep_few_under_way(upload->store);
    upload->publishing = true; /* (2) */
    upload->finish.done = publish_done;
    upload->store->kind->ask_publish(upload, &upload->finish_body, &ask, &scratch);
    ask.body = upload->finish_body.data;
    ask.body_bytes = upload->finish_body.bytes;
    (void)!take_off(&upload->finish, &ask, &ignored); /* publish tries again and says so */
    wr_buf_deinit(&scratch);
}

static void begin_tidying(struct cloud_upload *upload)
{
    struct cloud_ask ask = {0};
    struct wr_buf scratch = {0};
    struct wr_error ignored;
    if (upload->store->kind->ask_tidy != NULL &&
        upload->store->kind->ask_tidy(upload, &ask, &scratch)) {
        keep_few_under_way(upload->store);
        upload->finish.done = tidy_done;
        (void)!take_off(&upload->finish, &ask, &ignored);
    }
    wr_buf_deinit(&scratch);
}

/* A direct upload may be published by its last piece. */
static bool is_final(const struct cloud_upload *upload)
{
    return upload->base.direct && (upload->store->kind->direct_is_final || upload->in_one);
}

wr_status wr_cloud_upload_publish(struct wr_upload *base, struct wr_error *err)
{
    struct cloud_upload *upload = (struct cloud_upload *)base;
    const struct cloud_kind *kind = upload->store->kind;
    wr_assert(upload->prepared);
    if (upload->published) {
        return WR_OK;
    }
    while (upload->finish.under_way) {
        wait_for_one(upload->store);
    }
    upload->publishing = true; /* (2) */
    if (!upload->finish_well && !is_final(upload)) {
        WR_TRY(kind->publish(upload->store, upload->key, upload->id, upload->piece_count, err));
    }
    upload->published = true;
    if (!upload->base.direct) {
        begin_tidying(upload);
    }
    return WR_OK;
}

void wr_cloud_upload_close(struct wr_upload *base)
{
    struct cloud_upload *upload = (struct cloud_upload *)base;
    struct cloud_store *store = upload->store;
    for (uint32_t i = 0; i < WR_CLOUD_SLOTS; i++) {
        struct cloud_piece *piece = &upload->pieces[i];
        if (piece->flight.under_way) {
            wr_http_cancel(store->client, &piece->flight.call);
            store->under_way--;
        }
        wr_http_call_deinit(&piece->flight.call);
        wr_buf_deinit(&piece->body);
    }
    if (!upload->publishing && !upload->kept && upload->piece_count > 0) { /* (2) */
        begin_tidying(upload);
    }
    while (upload->finish.under_way) {
        wait_for_one(store);
    }
    wr_http_call_deinit(&upload->finish.call);
    wr_buf_deinit(&upload->finish_body);
    wr_buf_deinit(&upload->filling);
    free(upload->session);
    free(upload->key);
    free(upload);
}

/* --- tickets ---------------------------------------------------------------------------------- */

void wr_cloud_upload_ticket(const struct wr_upload *base, struct wr_buf *into)
{
    const struct cloud_upload *upload = (const struct cloud_upload *)base;
    wr_assert(upload->prepared);
    wr_ticket_write(json_pack("{s:s, s:s, s:i, s:I}", "key", upload->key, "id", upload->id,
                              "pieces", (int)upload->piece_count, "bytes",
                              (json_int_t)upload->bytes),
                    into);
}

void wr_cloud_upload_keep(struct wr_upload *base)
{
    ((struct cloud_upload *)base)->kept = true;
}

/* From outside: it goes into names and headers. */
static bool is_id(const char *id)
{
    return id != NULL && strlen(id) == WR_CLOUD_ID_BYTES - 1 &&
           strspn(id, "0123456789abcdef") == WR_CLOUD_ID_BYTES - 1;
}

wr_status wr_cloud_publish_ticket(struct wr_store *base, const char *text, size_t bytes,
                                  struct wr_error *err)
{
    struct cloud_store *store = (struct cloud_store *)base;
    json_t *ticket;
    WR_TRY(wr_ticket_read(text, bytes, &ticket, err));
    const char *key = wr_ticket_text(ticket, "key");
    const char *id = wr_ticket_text(ticket, "id");
    const json_int_t pieces = json_integer_value(json_object_get(ticket, "pieces"));
    wr_status status = wr_cloud_check_key(store, key, err);
    const bool counts = json_is_integer(json_object_get(ticket, "pieces")) &&
                        pieces >= (store->kind->empty_is_none ? 0 : 1) && pieces <= PIECES_MAX;
    if (status == WR_OK && (!is_id(id) || !counts)) {
        status = wr_fail(err, WR_CLASS_FATAL, "%s: the ticket of %.300s is not one of this store",
                         store->url, key);
    }
    if (status == WR_OK) {
        status = store->kind->publish(store, key, id, (uint32_t)pieces, err);
    }
    if (status == WR_OK && store->kind->tidy != NULL) {
        store->kind->tidy(store, key, id);
    }
    json_decref(ticket);
    return status;
}
