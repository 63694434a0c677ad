/* http.c: the connector 'http': POST of NDJSON (or CSV without a header) to /ingest/<source>.
 *
 * When a request is answered 202 is the option `ack`:
 *   accepted  once its whole body is in a worker's queue: a crash loses what was not yet committed
 *   spool     once it is in a spool file and synced: the next run reads it on from there
 *   commit    once commit() has covered its rows: the next run needs nothing of it
 * When the queues are full it is 429 with Retry-After; when ack takes longer than ack_timeout 503, and the
 * client sends again. Bodies that nobody had begun with are taken back then; others may be read twice
 * (and so may what was on its way in a crash: deduplicate_by helps).
 * Each worker's queue is a split; positions are bytes of its bodies (spool: of its spool) and count on
 * through restarts. Spools of workers that are no more, or of an `ack` that is no more spool, are splits
 * too, which end once they are read.
 * Ownership: a body is one block, made by the server's thread and handed over whole under the
 * lock; records borrow from it.
 * Threads: handlers on the server's threads, several at once; readers on their workers; shared
 * state under lock. Spools are written on the worker's loop. The server is stopped before the source is
 * closed, so no handler outlives it.
 * Memory: queues hold at most env->memory_bytes, and bodies being received are counted with them; a
 * spool's batch (BATCH_BYTES, or one larger body) comes on top, per worker.
 */
#include "source/connectors.h"
#include "source/http_source.h"

#include "base/heap.h"
#include "base/log.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* One write and one sync of the spool. */
#define BATCH_BYTES (1u << 20)
/* Spool files tell their split; more of them than any machine has workers are a mistake. */
#define SPLITS_MAX 4096u

struct wr_reader {
    struct wr_source *source;
    struct wr_io *io;
    uint32_t worker;
    uint32_t opened;     /* of its splits: worker, worker + workers, ... */
    uint32_t confirmed;  /* of opened: the gate knows */
    uint32_t split;      /* that is being read */
    bool recovered;      /* of split: what earlier runs left in its spool is read */
    bool closing;
    bool caught_up;
    bool finished;
    int64_t arrived_us;
    struct http_queue batch; /* on its way into the spool; only the worker's */
    bool told_failure;
    struct wr_cutter cutter;
    struct wr_line_records_pool records;
};

static const struct wr_option http_options[] = {
    { "max_body", WR_OPTION_SIZE, "16MiB", "A request with a larger body is refused (413).",
      .min = 1024, .max = 1 << 30 },
    { "ack", WR_OPTION_ENUM, "accepted",
      "When a request is answered 202: accepted (it is in memory), spool (it is in a synced file, which "
      "the next run goes on with), commit (its rows are committed).",
      .enum_words = "accepted spool commit" },
    { "ack_timeout", WR_OPTION_DURATION, "30s",
      "After so long a wait for spool or commit the answer is 503 with Retry-After.",
      .min = 100000, .max = 3600 * WR_US_PER_S },
    { NULL },
};

static wr_status http_check(const struct wr_plan_source *plan, uint32_t *bad_at,
                            struct wr_error *err)
{
    if (strcmp(plan->format, "csv") == 0 && wr_options_bool(plan->options, "header")) {
        *bad_at = wr_options_at(plan->options, "header");
        (void)wr_fail(err, WR_CLASS_USER, "requests have no header line");
        wr_error_hint(err, "add header = false: columns come in declared order");
        return WR_FAIL;
    }
    return WR_OK;
}

/* ---- source; @thread control ---- */

static void http_close(struct wr_source *s)
{
    if (s != NULL) {
        for (uint32_t i = 0; i < s->split_count; i++) {
            wr_spool_close(s->splits[i].spool);
        }
        wr_open_gate_deinit(&s->gate);
        pthread_cond_destroy(&s->changed);
        pthread_mutex_destroy(&s->lock);
        free(s->splits);
        free(s->spool_directory);
        free(s->route);
        free(s);
    }
}

static wr_status check_ack(const struct wr_source_env *env, enum http_ack ack,
                           struct wr_error *err)
{
    if (ack == HTTP_ACK_COMMIT && !env->has_state) {
        (void)wr_fail(err, WR_CLASS_USER, "ack = 'commit' needs a state: without one nothing is "
                                          "ever committed");
        wr_error_hint(err, "leave state = 'none' out, or use ack = 'accepted'");
        return WR_FAIL;
    }
    if (ack == HTTP_ACK_SPOOL && (!env->has_state || env->state_directory == NULL)) {
        (void)wr_fail(err, WR_CLASS_USER,
                      "ack = 'spool' needs a state with a local directory: requests are kept there");
        wr_error_hint(err, "SET state to a local directory, or use ack = 'commit', which needs none");
        return WR_FAIL;
    }
    return WR_OK;
}

/* "<state>/http-<name>", where nothing in the name leads elsewhere. */
static char *directory_of(const struct wr_source_env *env)
{
    struct wr_buf path = { 0 };
    wr_buf_printf(&path, "%s/http-", env->state_directory);
    for (const char *c = env->plan->name; *c != '\0'; c++) {
        if (isalnum((unsigned char)*c) || *c == '_' || *c == '-') {
            wr_buf_byte(&path, (uint8_t)*c);
        } else {
            wr_buf_printf(&path, "%%%02x", (unsigned char)*c);
        }
    }
    char *text = wr_strdup(wr_buf_cstr(&path));
    wr_buf_deinit(&path);
    return text;
}

static void count_spool(void *ctx, uint32_t split)
{
    uint32_t *count = ctx;
    if (split < SPLITS_MAX && split >= *count) {
        *count = split + 1;
    }
}

static const struct wr_split_start *start_of(const struct wr_source_env *env, const char *name)
{
    for (uint32_t i = 0; env->resumed && i < env->start_count; i++) {
        if (strcmp(env->starts[i].name, name) == 0) {
            return &env->starts[i];
        }
    }
    return NULL;
}

static wr_status open_split(struct wr_source *s, uint32_t i, uint32_t spool, struct wr_error *err)
{
    struct http_split *split = &s->splits[i];
    const bool spools = spool != UINT32_MAX;
    split->live = i < s->env.workers;
    (void)snprintf(split->name, sizeof split->name, spools ? "spool-%u" : "worker-%u",
                   spools ? spool : i);
    const struct wr_split_start *start = start_of(&s->env, split->name);
    wr_ensure(start == NULL || start->next_position >= 0, err, WR_CLASS_FATAL,
              "the state has position %lld for %s", (long long)start->next_position, split->name);
    split->start = start != NULL ? start->next_position : 0;
    split->position = split->start;
    if (spools) {
        WR_TRY(wr_spool_open(&split->spool, s->spool_directory, spool,
                             start != NULL ? start->next_position : -1, err));
        split->start = wr_spool_start(split->spool);
    }
    return WR_OK;
}

static wr_status open_splits(struct wr_source *s, struct wr_error *err)
{
    uint32_t spools = s->ack == HTTP_ACK_SPOOL ? s->env.workers : 0;
    const uint32_t plain = s->ack == HTTP_ACK_SPOOL ? 0 : s->env.workers;
    if (s->spool_directory != NULL) {
        const int error = wr_spool_find(s->spool_directory, count_spool, &spools);
        wr_ensure(error == 0, err, WR_CLASS_FATAL, "cannot list %s: %s", s->spool_directory,
                  strerror(error));
    }
    s->split_count = plain + spools;
    s->splits = wr_calloc(s->split_count, sizeof *s->splits);
    for (uint32_t i = 0; i < s->split_count; i++) {
        WR_TRY(open_split(s, i, i < plain ? UINT32_MAX : i - plain, err));
    }
    return WR_OK;
}

static void init_locks(struct wr_source *s)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static enum http_ack ack_of(const char *text)
{
    return strcmp(text, "spool") == 0 ? HTTP_ACK_SPOOL
                                      : (strcmp(text, "commit") == 0 ? HTTP_ACK_COMMIT
                                                                     : HTTP_ACK_ACCEPTED);
}

static wr_status http_open(struct wr_source **out, const struct wr_source_env *env,
                           struct wr_error *err)
{
    const struct wr_options *options = env->plan->options;
    const enum http_ack ack = ack_of(wr_options_text(options, "ack"));
    if (env->http == NULL) {
        (void)wr_fail(err, WR_CLASS_USER, "requests can only come in when the HTTP server runs");
        wr_error_hint(err, "start with --listen 127.0.0.1:8080 and POST to /ingest/%s",
                      env->plan->name);
        return WR_FAIL;
    }
    WR_TRY(check_ack(env, ack, err));
    struct wr_source *s = wr_calloc(1, sizeof *s);
    s->env = *env;
    s->ack = ack;
    s->ack_timeout_us = wr_options_int(options, "ack_timeout");
    s->csv = strcmp(env->plan->format, "csv") == 0;
    s->body_max = (uint64_t)wr_options_int(options, "max_body");
    s->closed = env->bounded; /* what the queue had at the start: nothing, or spools */
    s->spool_directory = env->state_directory != NULL ? directory_of(env) : NULL;
    init_locks(s);
    wr_open_gate_init(&s->gate, env);
    if (open_splits(s, err) != WR_OK) {
        http_close(s);
        return WR_FAIL;
    }
    wr_open_gate_announce(&s->gate, s->split_count);
    const size_t bytes = strlen(env->plan->name) + 16;
    s->route = wr_malloc(bytes);
    (void)snprintf(s->route, bytes, "/ingest/%s", env->plan->name);
    wr_http_server_route(env->http, s->route, wr_http_source_handle, s);
    *out = s;
    return WR_OK;
}

/* Answers the requests whose rows are committed, removes spool files that nobody needs any more. */
static wr_status http_commit(struct wr_source *s, const struct wr_split_position *positions,
                             uint32_t count, struct wr_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct wr_split_position *at = &positions[i];
        if (at->split < s->split_count && s->splits[at->split].spool != NULL) {
            wr_spool_forget(s->splits[at->split].spool, at->next_position);
        }
    }
    pthread_mutex_lock(&s->lock);
    for (struct http_wait *wait = s->waits; wait != NULL; wait = wait->next) {
        for (uint32_t i = 0; i < count; i++) {
            if (positions[i].split == wait->split && positions[i].next_position >= wait->end) {
                wait->outcome = HTTP_TAKEN;
            }
        }
    }
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return WR_OK;
}

/* ---- reader; @thread worker ---- */

static wr_status http_reader_open(struct wr_reader **out, struct wr_source *s, uint32_t worker,
                                  struct wr_io *io, struct wr_error *err)
{
    struct wr_reader *r = wr_calloc(1, sizeof *r);
    r->source = s;
    r->io = io;
    r->worker = worker;
    r->opened = r->confirmed = worker;
    /* What earlier runs left comes first; the worker's own split, which may be live, stays. */
    r->split = worker + s->env.workers < s->split_count ? worker + s->env.workers : worker;
    wr_line_records_pool_init(&r->records, s->env.batch_rows);
    *out = r;
    return WR_OK;
}

/* ---- spooling ---- */

static void batch_done(void *ctx, int error);

/* Sends what has come into the spool, when nothing is on its way. */
static void spool_fresh(struct wr_reader *r)
{
    struct wr_source *s = r->source;
    struct http_split *split = &s->splits[r->worker];
    if (s->ack != HTTP_ACK_SPOOL || r->closing || !wr_spool_is_idle(split->spool)) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    while (split->fresh.first != NULL && wr_spool_added(split->spool) < BATCH_BYTES) {
        struct http_body *body = http_queue_pop(&split->fresh);
        if (body->wait != NULL) {
            body->wait->body = NULL; /* cannot be taken back any more */
        }
        http_queue_push(&r->batch, body);
        struct wr_block *block = body->block;
        block->position = wr_spool_add(split->spool, block->data + block->begin,
                                       block->end - block->begin, body->arrived_us);
    }
    pthread_mutex_unlock(&s->lock);
    if (wr_spool_added(split->spool) > 0) {
        wr_spool_commit(split->spool, r->io, batch_done, r);
    }
}

static void drop(struct wr_source *s, struct http_split *split, struct http_body *body)
{
    split->bytes -= body->block->capacity;
    s->held -= body->block->capacity;
    wr_block_release(body->block);
    free(body);
}

static void batch_done(void *ctx, int error)
{
    struct wr_reader *r = ctx;
    struct wr_source *s = r->source;
    struct http_split *split = &s->splits[r->worker];
    pthread_mutex_lock(&s->lock);
    for (struct http_body *body; (body = http_queue_pop(&r->batch)) != NULL;) {
        http_settle(body, error == 0 ? HTTP_TAKEN : HTTP_NOT_TAKEN);
        if (error == 0) {
            http_queue_push(&split->ready, body);
        } else {
            drop(s, split, body);
        }
    }
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    if (error != 0 && !r->told_failure) {
        wr_log_warn("http", "source %s: cannot write the spool %s: %s; requests are answered 503 "
                            "until it can", s->env.plan->name, s->spool_directory,
                    strerror(error));
    } else if (error == 0 && r->told_failure) {
        wr_log_info("http", "source %s: the spool can be written again", s->env.plan->name);
    }
    r->told_failure = error != 0;
    spool_fresh(r); /* what came meanwhile */
}

/* ---- reading ---- */

static struct http_body *take_body(struct wr_reader *r)
{
    struct wr_source *s = r->source;
    struct http_split *split = &s->splits[r->worker];
    pthread_mutex_lock(&s->lock);
    struct http_body *body = http_queue_pop(&split->ready);
    if (body != NULL) {
        split->bytes -= body->block->capacity;
        s->held -= body->block->capacity;
        if (body->wait != NULL) {
            body->wait->body = NULL; /* ack = commit: goes on waiting, but cannot take it back */
        }
    }
    pthread_mutex_unlock(&s->lock);
    return body;
}

static void feed(struct wr_reader *r, struct wr_block *block, int64_t arrived_us)
{
    wr_cutter_deinit(&r->cutter);
    r->cutter = (struct wr_cutter){ .records = &r->records,
                                    .csv = r->source->csv,
                                    .delimiter = ',',
                                    .quote = '"',
                                    .bytes_max = WR_RECORD_BYTES_MAX };
    if (r->source->csv) {
        const struct wr_options *options = r->source->env.plan->options;
        const char *delimiter = wr_options_text(options, "delimiter");
        const bool tab = strcmp(delimiter, "\\t") == 0 || strcmp(delimiter, "tab") == 0;
        r->cutter.delimiter = tab ? '\t' : delimiter[0];
        r->cutter.quote = wr_options_text(options, "quote")[0];
    }
    r->arrived_us = arrived_us;
    wr_cutter_feed(&r->cutter, block); /* its reference moves */
    wr_cutter_end(&r->cutter);
}

/* The split that is being read is over. */
static void end_split(struct wr_reader *r, struct wr_poll *out)
{
    const struct wr_source *s = r->source;
    out->kind = WR_POLL_SPLIT_ENDED;
    out->split = r->split;
    if (r->split == r->worker) {
        r->finished = true;
        return;
    }
    r->split = r->split + s->env.workers < s->split_count ? r->split + s->env.workers : r->worker;
    r->recovered = false;
}

/* Takes the next body into the cutter. WR_AGAIN: not now; WR_END: the split is over (out is set); WR_FAIL. */
static wr_status next_body(struct wr_reader *r, struct wr_poll *out, struct wr_error *err)
{
    struct wr_source *s = r->source;
    struct http_split *split = &s->splits[r->split];
    if (!r->recovered && split->spool != NULL) {
        struct wr_block *block;
        int64_t arrived_us;
        const wr_status status = wr_spool_next(split->spool, r->io, &block, &arrived_us, err);
        if (status == WR_OK) {
            feed(r, block, arrived_us);
        }
        if (status != WR_END) {
            return status;
        }
    }
    r->recovered = true;
    if (!split->live || s->env.bounded) {
        end_split(r, out);
        return WR_END;
    }
    struct http_body *body = take_body(r);
    if (body == NULL) {
        return WR_AGAIN;
    }
    feed(r, body->block, body->arrived_us);
    free(body);
    return WR_OK;
}

static bool is_own(const struct wr_reader *r, uint32_t split)
{
    return split % r->source->env.workers == r->worker && split < r->source->split_count;
}

static void http_reader_close(struct wr_reader *r)
{
    struct wr_source *s = r->source;
    struct http_split *split = &s->splits[r->worker];
    uint32_t lost = 0;
    r->closing = true;
    for (uint32_t i = r->worker; is_own(r, i); i += s->env.workers) {
        if (s->splits[i].spool != NULL) {
            wr_spool_stop(s->splits[i].spool, r->io);
        }
    }
    wr_cutter_deinit(&r->cutter);
    pthread_mutex_lock(&s->lock);
    s->closed = true;
    s->closed_ns = wr_clock_now().mono_ns;
    for (struct http_body *body; (body = http_queue_pop(&split->fresh)) != NULL;) {
        http_settle(body, HTTP_NOT_TAKEN);
        drop(s, split, body);
    }
    for (struct http_body *body; (body = http_queue_pop(&split->ready)) != NULL;) {
        lost += s->ack == HTTP_ACK_ACCEPTED; /* spooled ones are read by the next run */
        http_settle(body, HTTP_NOT_TAKEN);
        drop(s, split, body);
    }
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    if (lost > 0) {
        wr_log_warn("http",
                    "source %s: %u accepted requests were not read before the end (ack = 'spool' or "
                    "'commit' would not have answered for them, or kept them)",
                    s->env.plan->name, lost);
    }
    wr_line_records_pool_deinit(&r->records);
    free(r);
}

/* Opens the reader's splits. True: out is set, or nothing may be given yet. */
static bool open_events(struct wr_reader *r, struct wr_poll *out)
{
    struct wr_source *s = r->source;
    if (r->confirmed < r->opened) {
        r->confirmed = r->opened;
        wr_open_gate_confirm(&s->gate, 1);
    }
    if (!is_own(r, r->opened)) {
        return !wr_open_gate_is_open(&s->gate);
    }
    const struct http_split *split = &s->splits[r->opened];
    out->kind = WR_POLL_SPLIT_OPENED;
    out->split = r->opened;
    out->split_name = split->name;
    out->next_position = split->start;
    out->partition = (int32_t)r->opened;
    r->opened += s->env.workers;
    return true;
}

static void give_rows(struct wr_reader *r, struct wr_records *records, struct wr_poll *out)
{
    records->split = r->split;
    r->caught_up = false;
    out->kind = WR_POLL_ROWS;
    out->split = r->split;
    out->records = records;
    out->next_position = r->cutter.next_position;
}

static wr_status http_poll(struct wr_reader *r, struct wr_time now, struct wr_batch *batch,
                           struct wr_poll *out, struct wr_error *err)
{
    if (open_events(r, out)) {
        return WR_OK;
    }
    if (r->finished) {
        out->kind = WR_POLL_FINISHED;
        return WR_OK;
    }
    spool_fresh(r);
    for (;;) {
        struct wr_records *records = NULL;
        if (r->cutter.records != NULL) {
            records = wr_cutter_take(&r->cutter, r->source->env.batch_rows, r->arrived_us);
        }
        if (records != NULL) {
            give_rows(r, records, out);
            return WR_OK;
        }
        const wr_status status = next_body(r, out, err);
        if (status == WR_AGAIN) {
            break;
        }
        if (status != WR_OK) {
            return status == WR_END ? WR_OK : status;
        }
    }
    wr_cutter_deinit(&r->cutter); /* gives the last body back */
    if (!r->caught_up && r->recovered) {
        r->caught_up = true;
        out->kind = WR_POLL_SPLIT_CAUGHT_UP;
        out->split = r->split;
    }
    return WR_OK;
}

const struct wr_source_ops wr_source_http = {
    .name = "http",
    .help = "Events that clients POST to /ingest/<source> of --listen, one per line. With "
            "--bounded it ends at once.",
    .options = http_options,
    .metadata = { [WR_META_OFFSET] = true, [WR_META_TIMESTAMP] = true },
    .check = http_check,
    .open = http_open,
    .reader_open = http_reader_open,
    .poll = http_poll,
    .reader_close = http_reader_close,
    .commit = http_commit,
    .close = http_close,
};
