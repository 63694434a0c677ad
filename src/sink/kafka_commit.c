/* kafka_commit.c: exactly once: an epoch's spool becomes visible in one transaction (design.md, section 4).
 *
 *   prepare   the epoch's messages are objects in the state's store; the receipt names them
 *   manifest  (run) names the receipt: the epoch is committed
 *   publish   one transaction: all messages, and the marker: offset E of the topic's partition 0 in a consumer group of our own,
 *             "<state uuid>/<sink>", stored with send_offsets_to_transaction
 * A prepared transaction cannot be resumed by another process, but the marker tells whether it was committed: recovery reads it,
 * and sends the spool when it is older than the manifest's epoch.
 *
 *   NONE -> OPEN        [begin]      rd_kafka_begin_transaction
 *   OPEN -> COMMITTING  [send]       everything was handed over, and the marker
 *   COMMITTING -> NONE  [finish]     rd_kafka_commit_transaction; it is repeated until it is answered
 *   OPEN, COMMITTING -> NONE [give_up] rd_kafka_abort_transaction, when librdkafka asks for it; then all of it is sent again
 *
 * transactional.id is the same "<state uuid>/<sink>": init_transactions ends what a predecessor left open and fences it off. A
 * process that was silent for long (a zombie) therefore cannot commit an epoch any more; it fails and says why. One exception:
 * a transaction that is open for longer than its time-out was ended by the brokers themselves, which looks the same. Then, and
 * after other errors that end librdkafka's client, a new one is made and the marker read again.
 * Invariants:
 *   (1) a transaction begins only when ready: init_transactions is done and the marker was read after it
 *   (2) epochs are sent in order, each at most once: never one that is not above `published`
 *   (3) `published` moves only after a commit was acknowledged, or when the marker says so
 */
#include "sink/kafka_writer.h"

#include "base/fault.h"
#include "base/heap.h"
#include "base/log.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* One call's patience; RETRY then, and run calls again. */
#define STEP_MS 5000
#define FULL_WAIT_NS (5 * WR_NS_PER_S)
/* Closing does not wait longer for the brokers to hear that a transaction is given up: they end it themselves. */
#define CLOSE_MS 1000
#define ATTEMPTS 3u
#define MARKER_PARTITION 0

/* ---- open, close ---- */

static wr_status open_spools(struct wr_writer *w, struct wr_error *err)
{
    if (w->spools.store != NULL) {
        return WR_OK;
    }
    struct wr_store *store;
    WR_TRY_IN(wr_store_open(&store, w->env.state_url, w->env.state_options, w->env.io, err), err,
              "the state, for spools");
    wr_kafka_spools_init(&w->spools, store, w->env.owner, w->env.plan->name, w->env.lane,
                         w->env.memory_bytes);
    return WR_OK;
}

wr_status wr_kafka_commit_open(struct wr_writer *w, struct wr_error *err)
{
    const bool state = w->env.state_url != NULL && w->env.state_uuid != NULL &&
                       w->env.state_uuid[0] != '\0';
    if (state) {
        struct wr_buf text = { 0 };
        wr_buf_printf(&text, "%s/%s", w->env.state_uuid, w->env.plan->name);
        w->identity = wr_strdup(wr_buf_cstr(&text));
        wr_buf_deinit(&text);
    }
    w->published = -1;
    if (!w->env.exactly_once) {
        return WR_OK;
    }
    if (!state) {
        (void)wr_fail(err, WR_CLASS_USER, "guarantee = 'exactly_once' needs a state");
        wr_error_hint(err, "leave state = 'none' out, or set guarantee = 'at_least_once'");
        return WR_FAIL;
    }
    return open_spools(w, err);
}

void wr_kafka_commit_close(struct wr_writer *w)
{
    if (w->kafka != NULL && w->tx == WR_KAFKA_TX_OPEN) {
        rd_kafka_error_t *error = rd_kafka_abort_transaction(w->kafka, CLOSE_MS);
        if (error != NULL) {
            rd_kafka_error_destroy(error); /* readers wait for the brokers' time-out instead */
        }
    }
    while (w->spools.store != NULL && wr_kafka_spools_sweep(&w->spools)) {
    }
}

/* ---- what librdkafka's errors mean ---- */

static bool is_fencing(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
           code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH ||
           code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING ||
           code == RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID;
}

static bool timed_out(const struct wr_writer *w)
{
    return w->tx != WR_KAFKA_TX_NONE &&
           wr_clock_now().mono_ns - w->tx_begin_ns >= w->tx_timeout_ns;
}

static wr_status fail_for_good(struct wr_writer *w, rd_kafka_resp_err_t code, const char *text,
                               const char *what, struct wr_error *err)
{
    if (is_fencing(code)) {
        (void)wr_fail(err, WR_CLASS_FATAL,
                      "topic %s: another process has taken over this sink, this one was fenced "
                      "off", w->topic_name);
        wr_error_hint(err, "nothing is lost: the other process goes on from the last manifest; "
                           "weir state show names it");
    } else {
        (void)wr_fail(err, WR_CLASS_FATAL, "topic %s: %s: %s", w->topic_name, what,
                      rd_kafka_err2str(code));
        const bool acl = code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED ||
                         code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
        wr_error_hint(err, acl ? "exactly once needs WRITE and DESCRIBE on the transactional id "
                                 "\"%s\" and READ on the group of the same name"
                               : "a new start sends what is committed and not yet in the topic "
                                 "(transactional id \"%s\")", w->identity);
    }
    wr_error_detail(err, "librdkafka: %s: %s; brokers %s", what, text, w->brokers);
    w->failed = true;
    w->failure = *err;
    return WR_FAIL;
}

static wr_status try_later(struct wr_writer *w, const char *what, const char *text,
                           struct wr_error *err)
{
    (void)wr_fail(err, WR_CLASS_RETRY, "topic %s: the brokers %s do not answer: %s",
                  w->topic_name, w->brokers, what);
    wr_error_detail(err, "librdkafka: %s%s%s", text, w->trouble[0] != '\0' ? "; " : "",
                    w->trouble);
    wr_error_hint(err, "nothing is lost; check that the brokers run: kcat -b %s -L", w->brokers);
    return WR_FAIL;
}

/* No new client would fare better. */
static bool is_final(const struct wr_writer *w, rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        return true;
    default:
        return is_fencing(code) && !timed_out(w);
    }
}

/* A new client, for one that is of no use any more though nobody took over: the brokers ended its transaction in an outage, or
 * do not know of it. The marker says how it ended. */
static wr_status renew(struct wr_writer *w, const char *what, const char *text,
                       struct wr_error *err)
{
    wr_log_info("kafka", "topic %s: %s: %s: a new producer takes over", w->topic_name, what, text);
    wr_kafka_producer_close(w);
    WR_TRY(wr_kafka_producer_open(w, true, err));
    return try_later(w, what, text, err);
}

/* Takes error. WR_AGAIN: the transaction has to be given up and repeated. */
static wr_status judge(struct wr_writer *w, rd_kafka_error_t *error, const char *what,
                       struct wr_error *err)
{
    char text[256];
    (void)snprintf(text, sizeof text, "%s", rd_kafka_error_string(error));
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    const bool fatal = rd_kafka_error_is_fatal(error) != 0;
    const bool abort = rd_kafka_error_txn_requires_abort(error) != 0;
    const bool retriable = rd_kafka_error_is_retriable(error) != 0;
    rd_kafka_error_destroy(error);
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        char cause[256];
        code = rd_kafka_fatal_error(w->kafka, cause, sizeof cause);
        (void)snprintf(text, sizeof text, "%s", cause);
    }
    if ((fatal || is_fencing(code)) && !abort) {
        return is_final(w, code) ? fail_for_good(w, code, text, what, err)
                                 : renew(w, what, text, err);
    }
    if (abort) {
        wr_log_debug("kafka", "%s: %s: the transaction is given up and repeated", what, text);
        (void)try_later(w, what, text, err);
        w->tx = WR_KAFKA_TX_OPEN;
        return WR_AGAIN;
    }
    return retriable || code == RD_KAFKA_RESP_ERR__TIMED_OUT ||
                   code == RD_KAFKA_RESP_ERR__TRANSPORT
               ? try_later(w, what, text, err)
               : fail_for_good(w, code, text, what, err);
}

/* ---- ready: the marker ---- */

/* A consumer of our own asks: librdkafka's producer (2.8) crashes on what a coordinator that is just loading answers to
 * ListConsumerGroupOffsets. It waits for offsets whose transaction is pending. */
static wr_status read_marker(struct wr_writer *w, int64_t *marker, struct wr_error *err)
{
    static const char what[] = "asking for the newest epoch in the topic";
    rd_kafka_t *reader;
    WR_TRY(wr_kafka_reader_of_group(w, &reader, err));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, w->topic_name, MARKER_PARTITION);
    rd_kafka_resp_err_t code = rd_kafka_committed(reader, list, STEP_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = list->elems[0].err;
        *marker = list->elems[0].offset >= 0 ? list->elems[0].offset : -1;
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy_flags(reader, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return WR_OK;
    }
    return is_final(w, code) ? fail_for_good(w, code, rd_kafka_err2str(code), what, err)
                             : try_later(w, what, rd_kafka_err2str(code), err);
}

static wr_status make_ready(struct wr_writer *w, struct wr_error *err)
{
    if (w->ready) {
        return WR_OK;
    }
    if (w->kafka == NULL) {
        WR_TRY(wr_kafka_producer_open(w, true, err));
    }
    rd_kafka_error_t *error =
        w->initialised ? NULL : rd_kafka_init_transactions(w->kafka, STEP_MS);
    if (error != NULL) {
        const wr_status status = judge(w, error, "beginning to write transactions", err);
        return status == WR_AGAIN ? WR_FAIL : status;
    }
    w->initialised = true;
    int64_t marker = -1;
    WR_TRY(read_marker(w, &marker, err)); /* after it, so that nothing of ours is on its way: (1) */
    w->published = marker > w->published ? marker : w->published;
    w->trouble[0] = '\0';
    w->ready = true;
    return WR_OK;
}

/* ---- one transaction ---- */

static bool is_refused(const struct wr_kafka_spool *spool, uint64_t row)
{
    return spool->refused != NULL && (spool->refused[row / 64] >> (row % 64) & 1) != 0;
}

static void refuse(struct wr_writer *w, uint64_t row, const void *value, size_t bytes,
                   rd_kafka_resp_err_t code)
{
    struct wr_kafka_spool *spool = w->sending;
    if (spool == NULL || row >= spool->rows || is_refused(spool, row)) {
        return;
    }
    if (spool->refused == NULL) {
        spool->refused = wr_calloc(spool->rows / 64 + 1, sizeof(uint64_t));
    }
    spool->refused[row / 64] |= 1ull << (row % 64);
    w->refusals = true;
    w->stats.rows -= w->stats.rows > 0;
    w->env.reject(w->env.ctx, value, bytes, rd_kafka_err2str(code));
}

void wr_kafka_commit_report(struct wr_writer *w, const rd_kafka_message_t *message)
{
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && wr_kafka_refused_for_good(message->err)) {
        refuse(w, (uint64_t)(uintptr_t)message->_private, message->payload, message->len,
               message->err);
    }
    /* Whatever else went wrong, commit is going to say. */
}

static wr_status produce(struct wr_writer *w, const struct wr_kafka_message *message, uint64_t row,
                         struct wr_error *err)
{
    int64_t until_ns = 0;
    while (rd_kafka_produce(w->topic, RD_KAFKA_PARTITION_UA, 0, (void *)(uintptr_t)message->value.data,
                            message->value.bytes, message->key.data, message->key.bytes,
                            (void *)(uintptr_t)row) != 0) {
        const rd_kafka_resp_err_t code = rd_kafka_last_error();
        if (wr_kafka_refused_for_good(code)) {
            refuse(w, row, message->value.data, message->value.bytes, code);
            return WR_OK;
        }
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            /* Not in a transaction any more, or fatal: commit says which. */
            return WR_AGAIN;
        }
        (void)rd_kafka_poll(w->kafka, 10);
        const int64_t now_ns = wr_clock_now().mono_ns;
        until_ns = until_ns == 0 ? now_ns + FULL_WAIT_NS : until_ns;
        if (now_ns > until_ns) {
            return try_later(w, "sending", "the queue is full", err);
        }
    }
    w->outstanding++;
    w->outstanding_bytes += message->value.bytes + message->key.bytes;
    return WR_OK;
}

/* A part that has to be read back is given back before the next one is read. */
static wr_status produce_part(struct wr_writer *w, struct wr_kafka_part *part, uint64_t row,
                              struct wr_error *err)
{
    const bool kept = part->data.bytes > 0;
    WR_TRY(wr_kafka_spools_load(&w->spools, part, err));
    size_t at = 0;
    struct wr_kafka_message message;
    wr_status status;
    while ((status = wr_kafka_part_next(part, &at, &message, err)) == WR_OK) {
        if (!is_refused(w->sending, row)) {
            WR_TRY(produce(w, &message, row, err));
        }
        row++;
    }
    if (status == WR_FAIL || kept) {
        return status == WR_END ? WR_OK : status;
    }
    (void)rd_kafka_flush(w->kafka, STEP_MS);
    if (w->outstanding > 0) {
        return try_later(w, "sending", "messages are not acknowledged", err);
    }
    wr_kafka_spools_unload(&w->spools, part, true);
    return WR_OK;
}

static wr_status send_marker(struct wr_writer *w, struct wr_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, w->topic_name, MARKER_PARTITION)->offset =
        (int64_t)w->sending->epoch;
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata_new(w->identity);
    rd_kafka_error_t *error =
        rd_kafka_send_offsets_to_transaction(w->kafka, list, group, STEP_MS);
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(list);
    return error == NULL ? WR_OK : judge(w, error, "storing the epoch's marker", err);
}

/* [begin], [send] */
static wr_status send_all(struct wr_writer *w, struct wr_error *err)
{
    w->refusals = false;
    rd_kafka_error_t *error = rd_kafka_begin_transaction(w->kafka);
    if (error != NULL) {
        return judge(w, error, "beginning a transaction", err);
    }
    w->tx = WR_KAFKA_TX_OPEN;
    w->tx_begin_ns = wr_clock_now().mono_ns;
    uint64_t row = 0;
    for (uint32_t i = 0; i < w->sending->part_count; i++) {
        WR_TRY(produce_part(w, &w->sending->parts[i], row, err));
        row += w->sending->parts[i].rows;
    }
    (void)rd_kafka_poll(w->kafka, 0);
    WR_FAULT("sink.kafka_in_transaction");
    WR_TRY(send_marker(w, err));
    w->tx = WR_KAFKA_TX_COMMITTING;
    return WR_OK;
}

/* [finish] */
static wr_status finish(struct wr_writer *w, struct wr_error *err)
{
    rd_kafka_error_t *error = rd_kafka_commit_transaction(w->kafka, STEP_MS);
    if (error != NULL) {
        return judge(w, error, "committing the epoch's transaction", err);
    }
    w->tx = WR_KAFKA_TX_NONE;
    WR_FAULT("sink.kafka_after_transaction");
    return WR_OK;
}

/* [give_up] */
static wr_status give_up(struct wr_writer *w, struct wr_error *err)
{
    rd_kafka_error_t *error = rd_kafka_abort_transaction(w->kafka, STEP_MS);
    if (error != NULL) {
        const wr_status status = judge(w, error, "giving a transaction up", err);
        return status == WR_AGAIN ? WR_FAIL : status; /* try_later has filled err */
    }
    w->tx = WR_KAFKA_TX_NONE;
    return WR_OK;
}

/* Only what a transaction's answer asked to repeat is repeated here; the rest is run's. */
static wr_status send_spool(struct wr_writer *w, struct wr_error *err)
{
    wr_status status = WR_AGAIN;
    for (uint32_t i = 0; i < ATTEMPTS && status == WR_AGAIN; i++) {
        WR_TRY(make_ready(w, err));
        if ((int64_t)w->sending->epoch <= w->published) {
            return WR_OK; /* (2): the marker says that it had arrived */
        }
        if (w->tx == WR_KAFKA_TX_OPEN) {
            WR_TRY(give_up(w, err));
        }
        status = w->tx == WR_KAFKA_TX_COMMITTING ? WR_OK : send_all(w, err);
        if (status == WR_AGAIN && w->tx == WR_KAFKA_TX_OPEN && !w->refusals) {
            (void)try_later(w, "sending", "the transaction was refused", err);
        }
        if (status == WR_OK) {
            status = finish(w, err);
        }
    }
    return status == WR_AGAIN ? WR_FAIL : status;
}

/* The oldest prepared epoch (w->sending) is in the topic. */
static void note_sent(struct wr_writer *w)
{
    struct wr_kafka_spool *spool = w->sending;
    w->sending = NULL;
    if ((int64_t)spool->epoch > w->published) {
        w->published = (int64_t)spool->epoch; /* (3) */
    }
    for (uint32_t i = 0; i < spool->arrival_count; i++) {
        w->env.visible(w->env.ctx, spool->arrivals[i].ingest_us, spool->arrivals[i].rows);
    }
    for (uint32_t i = 0; i < spool->part_count; i++) {
        w->stats.bytes += spool->parts[i].bytes;
        wr_kafka_spools_unload(&w->spools, &spool->parts[i], true);
    }
    wr_kafka_spools_forget(&w->spools, w->sent);
    w->sent = spool;
}

/* ---- epochs ---- */

wr_status wr_kafka_commit_prepare(struct wr_writer *w, uint64_t epoch, struct wr_buf *receipt,
                                  struct wr_error *err)
{
    if (w->failed) {
        *err = w->failure;
        return WR_FAIL;
    }
    const struct wr_kafka_spool *spool;
    WR_TRY(wr_kafka_spools_cut(&w->spools, epoch, &spool, err));
    if (spool != NULL) {
        wr_kafka_spool_receipt(spool, receipt);
    }
    return WR_OK;
}

/* Sends the epochs that this process prepared, up to `epoch`. */
static wr_status send_prepared(struct wr_writer *w, uint64_t epoch, struct wr_error *err)
{
    while (w->sending != NULL ||
           (w->spools.prepared != NULL && w->spools.prepared->epoch <= epoch)) {
        if (w->sending == NULL) {
            w->sending = w->spools.prepared;
            w->spools.prepared = w->sending->next;
            w->sending->next = NULL;
        }
        WR_TRY(send_spool(w, err));
        note_sent(w);
    }
    return WR_OK;
}

wr_status wr_kafka_commit_publish(struct wr_writer *w, uint64_t epoch,
                                  const struct wr_receipt *receipts, uint32_t receipt_count,
                                  struct wr_error *err)
{
    if (w->failed) {
        *err = w->failure;
        return WR_FAIL;
    }
    return send_prepared(w, epoch, err);
}

/* ---- recovery ---- */

/* Has the marker been lost? The epoch before this one had left it. */
static wr_status check_marker(struct wr_writer *w, struct wr_error *err)
{
    const struct wr_kafka_spool *spool = w->sending;
    if (spool->after == 0 || w->published >= (int64_t)spool->after) {
        return WR_OK;
    }
    const char *then = wr_options_text(w->env.plan->options, "on_unknown_commit");
    if (strcmp(then, "fail") == 0) {
        (void)wr_fail(err, WR_CLASS_FATAL,
                      "topic %s: Kafka does not know any more whether epoch %" PRIu64
                      " (%" PRIu64 " rows) arrived", w->topic_name, spool->epoch, spool->rows);
        wr_error_detail(err, "no offset of group \"%s\" is stored: it expired "
                             "(offsets.retention.minutes), or the topic was made anew",
                        w->identity);
        wr_error_hint(err, "look at the topic's last messages; then start once with "
                           "on_unknown_commit = 'repeat' or 'skip' in this sink");
        return WR_FAIL;
    }
    wr_log_warn("kafka", "topic %s: whether epoch %" PRIu64 " arrived is not known: %s its %" PRIu64
                         " rows", w->topic_name, spool->epoch,
                strcmp(then, "skip") == 0 ? "skipping" : "repeating", spool->rows);
    if (strcmp(then, "skip") == 0) {
        w->published = (int64_t)spool->epoch;
    }
    return WR_OK;
}

static wr_status recover_epoch(struct wr_writer *w, const struct wr_sink_recovery *recovery,
                               struct wr_error *err)
{
    if (w->sent != NULL) {
        return WR_OK; /* a call before this one came so far */
    }
    if (w->sending == NULL) {
        const struct wr_receipt *receipt = &recovery->receipts[0];
        WR_TRY(wr_kafka_spool_of_receipt(&w->sending, recovery->epoch, receipt->text,
                                         receipt->bytes, err));
    }
    WR_TRY(make_ready(w, err));
    WR_TRY(check_marker(w, err));
    WR_FAULT("sink.kafka_before_recovery");
    const bool there = w->published >= (int64_t)w->sending->epoch;
    WR_TRY(send_spool(w, err));
    if (!there) {
        wr_log_info("kafka", "topic %s: epoch %" PRIu64 " was committed and not yet there: its "
                             "%" PRIu64 " rows are now", w->topic_name, recovery->epoch,
                    w->sending->rows);
    }
    w->spools.last = w->sending->epoch;
    note_sent(w);
    return WR_OK;
}

static wr_status recover(struct wr_writer *w, const struct wr_sink_recovery *recovery,
                         struct wr_error *err)
{
    WR_TRY(open_spools(w, err));
    bool named = false;
    for (uint32_t i = 0; i < recovery->receipt_count; i++) {
        named = named || recovery->receipts[i].bytes > 0;
    }
    wr_ensure(recovery->receipt_count <= 1, err, WR_CLASS_FATAL,
              "topic %s: the manifest holds %u receipts of this sink, which has one writer",
              w->topic_name, recovery->receipt_count);
    if (named) {
        WR_TRY(recover_epoch(w, recovery, err));
    } else {
        WR_TRY(make_ready(w, err)); /* now, so that the first result need not wait for it */
    }
    for (uint32_t i = 0; i < recovery->owner_count; i++) {
        WR_TRY(wr_kafka_spools_abandon(&w->spools, recovery->owners[i], w->env.plan->name, w->sent,
                                       err));
    }
    return WR_OK;
}

/* Also at least once: the sink may have been exactly once when its predecessor stopped. */
wr_status wr_kafka_commit_recover(struct wr_writer *w, const struct wr_sink_recovery *recovery,
                                  struct wr_error *err)
{
    if (w->env.exactly_once) {
        return recover(w, recovery, err);
    }
    if (recovery->receipt_count == 0 || recovery->receipts[0].bytes == 0 || w->identity == NULL) {
        return WR_OK;
    }
    if (!w->transactional) {
        wr_kafka_producer_close(w);
        WR_TRY(wr_kafka_producer_open(w, true, err));
    }
    WR_TRY(recover(w, recovery, err));
    wr_kafka_spools_forget(&w->spools, w->sent);
    w->sent = NULL;
    wr_kafka_producer_close(w);
    return wr_kafka_producer_open(w, false, err);
}
