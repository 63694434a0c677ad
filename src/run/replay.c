#include "run/replay.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/heap.h"
#include "base/log.h"
#include "batch/text.h"
#include "run/dead_letters.h"
#include "run/ledger_view.h"
#include "run/recovery.h"
#include "run/report.h"
#include "run/sink_worker.h"
#include "source/source_gate.h"
#include <jansson.h>

/* Payloads of one poll: as much as a read buffer holds. */
#define POLL_BYTES (1u << 20)
/* How often to look again whether the error sinks are settled, or more letters have come over the network. */
#define LOOK_AGAIN_NS (2 * WR_NS_PER_MS)
#define NAME_BYTES_MAX 4096u

/* One part of the error sink, for one source. */
struct part {
    uint32_t index; /* in letters */
    char *name;     /* the split's */
    struct wr_replay_marks marks;
    int64_t position; /* where it begins */
    int64_t end;
    char note[WR_SPLIT_NOTE_BYTES_MAX];
    struct wr_letter_reader *reader;
    bool over;
};

struct wr_source {
    struct wr_source_env env;
    struct wr_replay *replay;
    uint32_t index; /* of the plan */
    struct wr_letters *letters; /* NULL: nothing to read */
    struct part *parts;
    uint32_t part_count;
    const struct wr_split_start **held;
    uint32_t held_count;
    struct wr_open_gate parts_gate;
    struct wr_open_gate held_gate;
    pthread_mutex_t lock; /* guards topics */
    char **topics;
    uint32_t topic_count;
};

/* Records of letters from one split of the source. */
struct letter_records {
    struct wr_records base; /* first: release gets it */
    struct wr_arena arena;
    struct wr_replay_origin origin;
    struct wr_slice sinks; /* as the letters have it */
    int64_t *positions; /* in the split that they came from */
    struct wr_record items[];
};

/* A record's handle: its headers as the letter has them; in the arena of the letters. */
struct letter_headers {
    struct wr_slice json;
    uint32_t count;
    struct {
        const char *name;
        struct wr_slice value; /* as it came; a NUL stands behind it */
    } items[];
};

struct wr_reader {
    struct wr_source *source;
    uint32_t worker;
    uint32_t next_part; /* to open */
    uint32_t parts_unconfirmed;
    uint32_t next_held;
    uint32_t held_unconfirmed;
    uint32_t turn; /* the part being read */
    struct wr_letter letter; /* read, and not given yet */
    bool have_letter;
    int64_t skipped_to; /* everything before it was given or skipped */
    char *header_of;    /* CSV: the split whose header was told last; NULL: none */
    struct wr_buf header;
    int64_t next_ns;
    bool told;
};

struct wr_replay {
    struct wr_replay_options options;
    struct wr_pipeline *pipeline;
    const struct wr_source_ops **originals; /* per source */
    struct wr_source **sources;             /* opened ones */
    pthread_mutex_t lock; /* guards settled */
    bool settled;
    atomic_uint unfinished; /* readers */
    atomic_bool done;
    _Atomic uint64_t given;
    _Atomic uint64_t unreadable;
    _Atomic uint64_t impossible; /* result rows, rows without payload, of sinks that are no more */
};

/* A source is opened without a word about the pipeline: one replay per process. */
static struct wr_replay *the_replay;

struct wr_replay *wr_replay_create(const struct wr_replay_options *options)
{
    struct wr_replay *replay = wr_calloc(1, sizeof *replay);
    replay->options = *options;
    pthread_mutex_init(&replay->lock, NULL);
    return replay;
}

void wr_replay_destroy(struct wr_replay *replay)
{
    if (replay != NULL) {
        pthread_mutex_destroy(&replay->lock);
        free(replay->originals);
        free(replay->sources);
        free(replay);
    }
}

bool wr_replay_done(const struct wr_replay *replay)
{
    /* Acquire pairs with finish's release. */
    return atomic_load_explicit(&replay->done, memory_order_acquire);
}

/* ---- where a part begins and ends ---- */

static bool is_replay_split(const char *name)
{
    return strncmp(name, WR_REPLAY_PREFIX, strlen(WR_REPLAY_PREFIX)) == 0;
}

/* What the state says of a part: the furthest of "all letters" and of this --error. */
static int64_t position_before(const struct wr_replay *replay, const struct part *part,
                               const char **note)
{
    int64_t all = 0;
    for (uint32_t i = 0; i < part->marks.count; i++) {
        const char *error = part->marks.items[i].error;
        const bool own = replay->options.error == NULL
                             ? error == NULL
                             : error != NULL && strcmp(error, replay->options.error) == 0;
        if (own) {
            *note = part->marks.items[i].note;
            return part->marks.items[i].position;
        }
        if (error == NULL) {
            all = part->marks.items[i].position;
        }
    }
    *note = NULL;
    return all;
}

static wr_status check_identity(struct wr_source *s, struct part *part, struct wr_error *err)
{
    for (uint32_t i = 0; i < part->marks.count; i++) {
        if (part->marks.items[i].position == 0 ||
            wr_letters_fit(s->letters, part->index, part->marks.items[i].note)) {
            continue;
        }
        if (s->replay->options.from_start) {
            wr_log_info("dlq", "%s is another one than the one that was replayed before: from its beginning",
                        wr_letters_part(s->letters, part->index));
            for (uint32_t m = 0; m < part->marks.count; m++) {
                part->marks.items[m].position = 0;
                part->marks.items[m].note = NULL;
            }
            return WR_OK;
        }
        (void)wr_fail(err, WR_CLASS_USER, "%s is not the one whose dead letters were replayed before, up to position %lld",
                      wr_letters_part(s->letters, part->index),
                      (long long)part->marks.items[i].position);
        wr_error_hint(err, "put the old one back, or, when none of its letters was replayed before, say --from-start");
        return WR_FAIL;
    }
    return WR_OK;
}

/* A replay that was killed is finished first, up to the end that it had: what it dead-lettered again is not its own to read. */
static wr_status settle_part(struct wr_source *s, struct part *part, struct wr_error *err)
{
    const char *note = NULL;
    char mark[WR_LETTERS_MARK_BYTES];
    int64_t begin;
    long long until = 0;
    WR_TRY(check_identity(s, part, err));
    WR_TRY(wr_letters_span(s->letters, part->index, &begin, &part->end, err));
    WR_TRY(wr_letters_mark(s->letters, part->index, mark, err));
    part->position = position_before(s->replay, part, &note);
    if (part->position > part->end) {
        (void)wr_fail(err, WR_CLASS_USER, "%s ends at %lld; its dead letters were replayed up to position %lld before",
                      wr_letters_part(s->letters, part->index), (long long)part->end,
                      (long long)part->position);
        wr_error_hint(err, "it was cut short: put the old one back");
        return WR_FAIL;
    }
    part->position = part->position < begin ? begin : part->position;
    if (note != NULL && sscanf(note, "until=%lld", &until) == 1 && until > part->position &&
        until < part->end) {
        wr_log_info("dlq", "%s: going on with the replay that was interrupted; letters behind it are for the next one",
                    wr_letters_part(s->letters, part->index));
        part->end = until;
    }
    (void)snprintf(part->note, sizeof part->note, "until=%lld %s", (long long)part->end, mark);
    return WR_OK;
}

static bool sinks_are_recovered(const struct wr_pipeline *p)
{
    for (uint32_t t = 0; t < p->sink_worker_count; t++) {
        for (uint32_t i = 0; i < p->sink_workers[t].slot_count; i++) {
            const struct wr_sink_slot *slot = &p->sink_workers[t].slots[i];
            if (p->plan->sinks[slot->sink].feed == WR_FEED_ERRORS && !atomic_load(&slot->recovered)) {
                return false;
            }
        }
    }
    return true;
}

/* (1) WR_AGAIN: not yet. */
static wr_status settle(struct wr_replay *replay, struct wr_error *err)
{
    wr_status status = WR_OK;
    pthread_mutex_lock(&replay->lock);
    if (!replay->settled) {
        status = sinks_are_recovered(replay->pipeline) ? WR_OK : WR_AGAIN;
        for (uint32_t i = 0; status == WR_OK && i < replay->pipeline->plan->source_count; i++) {
            struct wr_source *s = replay->sources[i];
            for (uint32_t k = 0; status == WR_OK && k < s->part_count; k++) {
                status = settle_part(s, &s->parts[k], err);
            }
        }
        replay->settled = status == WR_OK;
    }
    pthread_mutex_unlock(&replay->lock);
    return status;
}

/* ---- the source ---- */

static void find_parts(struct wr_source *s)
{
    const char *sink = s->replay->pipeline->plan->sinks[s->env.plan->error_sink].name;
    struct wr_replay_known *known = wr_calloc(s->env.start_count + 1, sizeof *known);
    for (uint32_t i = 0; i < s->env.start_count; i++) {
        known[i] = (struct wr_replay_known){ s->env.starts[i].name, s->env.starts[i].next_position,
                                             s->env.starts[i].note };
    }
    s->part_count = wr_letters_parts(s->letters);
    s->parts = wr_calloc(s->part_count + 1, sizeof *s->parts);
    for (uint32_t i = 0; i < s->part_count; i++) {
        s->parts[i].index = i;
        s->parts[i].name =
            wr_replay_split_name(sink, wr_letters_part(s->letters, i), s->replay->options.error);
        wr_replay_marks_find(&s->parts[i].marks, sink, wr_letters_part(s->letters, i), known,
                             s->env.start_count);
    }
    free(known);
}

static void replay_close(struct wr_source *s)
{
    if (s == NULL) {
        return;
    }
    for (uint32_t i = 0; i < s->part_count; i++) {
        wr_replay_marks_deinit(&s->parts[i].marks);
        free(s->parts[i].name);
    }
    for (uint32_t i = 0; i < s->topic_count; i++) {
        free(s->topics[i]);
    }
    free(s->topics);
    free(s->parts);
    free(s->held);
    wr_letters_close(s->letters);
    wr_open_gate_deinit(&s->parts_gate);
    wr_open_gate_deinit(&s->held_gate);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* Which of the source's letters this replay reads: NULL, none. */
static const struct wr_plan_sink *letters_of(const struct wr_replay *replay, uint32_t source)
{
    const struct wr_plan *plan = replay->pipeline->plan;
    const struct wr_plan_source *s = &plan->sources[source];
    const bool asked = replay->options.source == NULL || strcmp(replay->options.source, s->name) == 0;
    return asked && s->on_error == WR_ON_ERROR_SINK && !replay->originals[source]->makes_columns
               ? &plan->sinks[s->error_sink]
               : NULL;
}

static wr_status replay_open(struct wr_source **out, const struct wr_source_env *env,
                             struct wr_error *err)
{
    struct wr_source *s = wr_calloc(1, sizeof *s);
    s->env = *env;
    s->replay = the_replay;
    s->index = (uint32_t)(env->plan - the_replay->pipeline->plan->sources);
    pthread_mutex_init(&s->lock, NULL);
    wr_open_gate_init(&s->parts_gate, env);
    wr_open_gate_init(&s->held_gate, env);
    const struct wr_plan_sink *sink = letters_of(the_replay, s->index);
    if (sink != NULL) {
        if (wr_letters_open(&s->letters, sink, err) != WR_OK) {
            replay_close(s);
            return WR_FAIL;
        }
        find_parts(s);
    }
    s->held = wr_calloc(env->start_count + 1, sizeof *s->held);
    for (uint32_t i = 0; i < env->start_count; i++) {
        if (!is_replay_split(env->starts[i].name)) {
            s->held[s->held_count++] = &env->starts[i];
        }
    }
    wr_open_gate_announce(&s->parts_gate, s->part_count);
    wr_open_gate_announce(&s->held_gate, s->held_count);
    the_replay->sources[s->index] = s;
    *out = s;
    return WR_OK;
}

/* ---- the reader ---- */

static wr_status replay_reader_open(struct wr_reader **out, struct wr_source *s, uint32_t worker,
                                    struct wr_io *io, struct wr_error *err)
{
    struct wr_reader *r = wr_calloc(1, sizeof *r);
    r->source = s;
    r->worker = worker;
    r->next_part = worker;
    r->turn = worker;
    r->next_ns = INT64_MAX;
    *out = r;
    return WR_OK;
}

static void replay_reader_close(struct wr_reader *r)
{
    for (uint32_t i = r->worker; i < r->source->part_count; i += r->source->env.workers) {
        wr_letter_reader_close(r->source->parts[i].reader);
        r->source->parts[i].reader = NULL;
    }
    free(r->header_of);
    wr_buf_deinit(&r->header);
    free(r);
}

static bool open_part(struct wr_reader *r, struct wr_poll *out)
{
    struct wr_source *s = r->source;
    wr_open_gate_confirm(&s->parts_gate, r->parts_unconfirmed);
    r->parts_unconfirmed = 0;
    if (r->next_part >= s->part_count) {
        return false;
    }
    const struct part *part = &s->parts[r->next_part];
    *out = (struct wr_poll){ .kind = WR_POLL_SPLIT_OPENED,
                             .split = r->next_part,
                             .split_name = part->name,
                             .split_note = part->note,
                             .next_position = part->position,
                             .partition = -1 };
    r->next_part += s->env.workers;
    r->parts_unconfirmed = 1;
    return true;
}

/* All on worker 0: they only hold the watermark. */
static bool open_held(struct wr_reader *r, struct wr_poll *out)
{
    struct wr_source *s = r->source;
    wr_open_gate_confirm(&s->held_gate, r->held_unconfirmed);
    r->held_unconfirmed = 0;
    if (r->worker != 0 || r->next_held == s->held_count) {
        return false;
    }
    const struct wr_split_start *start = s->held[r->next_held];
    *out = (struct wr_poll){ .kind = WR_POLL_SPLIT_OPENED,
                             .split = s->part_count + r->next_held,
                             .split_name = start->name,
                             .split_note = start->note,
                             .next_position = start->next_position,
                             .partition = -1 };
    r->next_held++;
    r->held_unconfirmed = 1;
    return true;
}

/* ---- records ---- */

static void release_letters(struct wr_records *records)
{
    struct letter_records *letters = (struct letter_records *)records;
    wr_arena_deinit(&letters->arena);
    free(letters);
}

/* Of records nothing but the items, here and in header: it may be a copy. */
static struct wr_slice headers_json(const struct wr_records *records, uint32_t index, void *buf)
{
    const struct letter_headers *headers = records->items[index].handle;
    return headers != NULL ? headers->json : (struct wr_slice){ 0 };
}

static struct wr_slice header(const struct wr_records *records, uint32_t index, const char *name)
{
    const struct letter_headers *headers = records->items[index].handle;
    for (uint32_t i = 0; headers != NULL && i < headers->count; i++) {
        if (strcmp(headers->items[i].name, name) == 0) {
            return headers->items[i].value;
        }
    }
    return (struct wr_slice){ 0 };
}

void wr_replay_origin_of(const struct wr_records *records, uint32_t index,
                         struct wr_replay_origin *origin)
{
    const struct letter_records *letters = (const struct letter_records *)records;
    *origin = letters->origin;
    origin->position = letters->positions[index];
}

/* Names of topics outlive batches. */
static const char *topic_name(struct wr_source *s, struct wr_slice name)
{
    const char *found = NULL;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->topic_count && found == NULL; i++) {
        found = wr_slice_is(name, s->topics[i]) ? s->topics[i] : NULL;
    }
    if (found == NULL) {
        s->topics = wr_realloc(s->topics, (s->topic_count + 1) * sizeof(char *));
        s->topics[s->topic_count] = strndup(name.data, name.bytes);
        wr_assert(s->topics[s->topic_count] != NULL);
        found = s->topics[s->topic_count++];
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

/* "clicks/3" of a connector that has topics. */
static void take_topic(struct wr_source *s, const char *split, struct wr_replay_origin *origin)
{
    const char *slash = strrchr(split, '/');
    int32_t partition = -1;
    origin->topic = NULL;
    origin->partition = -1;
    if (s->replay->originals[s->index]->metadata[WR_META_TOPIC] && slash != NULL &&
        sscanf(slash + 1, "%d", &partition) == 1) {
        origin->topic = topic_name(s, (struct wr_slice){ split, (size_t)(slash - split) });
        origin->partition = partition;
    }
}

/* Which sinks of the plan a letter's list names; failing may be NULL. Returns how many. */
static uint32_t failing_sinks(const struct wr_replay *replay, struct wr_slice list, bool *failing)
{
    const struct wr_plan *plan = replay->pipeline->plan;
    json_t *names = json_loadb(list.data, list.bytes, 0, NULL);
    uint32_t count = 0;
    for (uint32_t k = 0; k < plan->sink_count; k++) {
        bool named = false;
        for (size_t i = 0; i < json_array_size(names); i++) {
            const char *name = json_string_value(json_array_get(names, i));
            named = named || (name != NULL && strcmp(name, plan->sinks[k].name) == 0);
        }
        count += named;
        if (failing != NULL) {
            failing[k] = named;
        }
    }
    json_decref(names);
    return count;
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* False: not for this replay. */
static bool is_wanted(struct wr_reader *r, const struct part *part)
{
    const struct wr_replay *replay = r->source->replay;
    const struct wr_letter *letter = &r->letter;
    if (!letter->readable) {
        count(&r->source->replay->unreadable);
        return false;
    }
    if (!wr_slice_is(letter->source, r->source->env.plan->name) ||
        !wr_letter_has_error(letter, replay->options.error) ||
        wr_replay_marks_done(&part->marks, letter)) {
        return false;
    }
    if (!wr_letter_replayable(letter) || letter->split.bytes > NAME_BYTES_MAX ||
        (letter->sinks.data != NULL && failing_sinks(replay, letter->sinks, NULL) == 0)) {
        count(&r->source->replay->impossible);
        return false;
    }
    return true;
}

/* Brings the next wanted letter before the part's end to hand. WR_END: there is none. */
static wr_status look_ahead(struct wr_reader *r, struct part *part, struct wr_error *err)
{
    while (!r->have_letter) {
        WR_TRY(wr_letter_reader_next(part->reader, &r->letter, err));
        r->have_letter = is_wanted(r, part);
        if (!r->have_letter) {
            r->skipped_to = r->letter.next_position;
        }
    }
    return WR_OK;
}

static const char *copy(struct wr_arena *arena, struct wr_slice text)
{
    return text.data != NULL ? wr_arena_strndup(arena, text.data, text.bytes) : NULL;
}

/* See batch/header_json.h. data NULL: it was null, or is nothing that a source writes. */
static struct wr_slice header_value(struct wr_arena *arena, const json_t *json)
{
    const json_t *packed = json_object_get(json, "base64");
    struct wr_slice value = { 0 };
    if (json_is_string(json)) {
        value = (struct wr_slice){ json_string_value(json), json_string_length(json) };
        value.data = copy(arena, value);
    } else if (json_is_string(packed)) {
        const struct wr_slice text = { json_string_value(packed), json_string_length(packed) };
        char *into = wr_arena_zalloc(arena, text.bytes / 4 * 3 + 4);
        value.data = wr_text_parse_base64(text, into, &value.bytes) ? into : NULL;
    }
    return value;
}

static struct letter_headers *take_headers(struct wr_arena *arena, struct wr_slice text)
{
    json_t *json = text.data != NULL ? json_loadb(text.data, text.bytes, JSON_ALLOW_NUL, NULL) : NULL;
    const char *name;
    json_t *value;
    if (text.data == NULL) {
        return NULL;
    }
    struct letter_headers *made =
        wr_arena_zalloc(arena, sizeof *made + json_object_size(json) * sizeof made->items[0]);
    made->json = (struct wr_slice){ copy(arena, text), text.bytes };
    json_object_foreach(json, name, value)
    {
        const struct wr_slice bytes = header_value(arena, value);
        if (bytes.data != NULL) {
            made->items[made->count].name = wr_arena_strdup(arena, name);
            made->items[made->count++].value = bytes;
        }
    }
    json_decref(json);
    return made;
}

static void take_record(struct wr_reader *r, struct letter_records *into)
{
    const struct wr_letter *letter = &r->letter;
    const uint32_t at = into->base.count++;
    into->items[at] = (struct wr_record){ .data = copy(&into->arena, letter->value),
                                          .bytes = (uint32_t)letter->value.bytes,
                                          .key = copy(&into->arena, letter->key),
                                          .key_bytes = (uint32_t)letter->key.bytes,
                                          .position = letter->position,
                                          .timestamp_us = letter->timestamp_us,
                                          .handle = take_headers(&into->arena, letter->headers) };
    into->positions[at] = letter->origin_position;
    into->base.payload_bytes += letter->value.bytes;
    r->skipped_to = letter->next_position;
    r->have_letter = false;
}

static struct letter_records *begin_records(struct wr_reader *r)
{
    struct wr_source *s = r->source;
    const uint32_t rows = s->env.batch_rows;
    struct letter_records *into =
        wr_calloc(1, sizeof *into + rows * sizeof(struct wr_record));
    wr_arena_init(&into->arena, 0);
    into->base.items = into->items;
    into->base.refs = 1;
    into->base.split = r->turn;
    into->base.release = release_letters;
    into->base.headers_json = headers_json;
    into->base.header = header;
    into->base.key_is_topic = s->replay->originals[s->index]->key_is_topic;
    into->positions = WR_ARENA_ARRAY(&into->arena, int64_t, rows);
    into->origin.split = copy(&into->arena, r->letter.split);
    into->sinks = (struct wr_slice){ copy(&into->arena, r->letter.sinks), r->letter.sinks.bytes };
    if (into->sinks.data != NULL) {
        bool *failing = WR_ARENA_ARRAY(&into->arena, bool, s->replay->pipeline->plan->sink_count + 1);
        (void)failing_sinks(s->replay, into->sinks, failing);
        into->origin.failing = failing;
    }
    take_topic(s, into->origin.split, &into->origin);
    return into;
}

static bool belongs(const struct wr_reader *r, const struct letter_records *into)
{
    return wr_slice_is(r->letter.split, into->origin.split) &&
           wr_slice_equal(r->letter.sinks, into->sinks);
}

/* ---- CSV: a file's first line names its columns ---- */

static bool needs_header(const struct wr_source *s)
{
    return strcmp(s->env.plan->format, "csv") == 0 && strcmp(s->env.plan->connector, "file") == 0 &&
           wr_options_bool(s->env.plan->options, "header");
}

static wr_status read_header(struct wr_reader *r, const char *path, struct wr_error *err)
{
    FILE *file = fopen(path, "re");
    r->header.bytes = 0;
    bool quoted = false;
    for (int c; file != NULL && (c = getc(file)) != EOF && (quoted || c != '\n') &&
                r->header.bytes < WR_RECORD_BYTES_MAX;) {
        quoted = c == '"' ? !quoted : quoted;
        wr_buf_byte(&r->header, (uint8_t)c);
    }
    if (file != NULL) {
        fclose(file);
    }
    const struct wr_slice line = { r->header.data, r->header.bytes };
    if (line.bytes == 0 || !wr_utf8_valid(line.data, line.bytes) || memchr(line.data, 0, line.bytes) != NULL) {
        (void)wr_fail(err, WR_CLASS_USER, "the first line of %s, which names the columns of its dead letters, cannot be read",
                      path);
        wr_error_hint(err, "put the file back as plain text; its first line is enough");
        return WR_FAIL;
    }
    if (r->header.data[r->header.bytes - 1] == '\r') {
        r->header.bytes--;
    }
    return WR_OK;
}

static wr_status tell_header(struct wr_reader *r, struct wr_poll *out, struct wr_error *err)
{
    free(r->header_of);
    r->header_of = strndup(r->letter.split.data, r->letter.split.bytes);
    wr_assert(r->header_of != NULL);
    WR_TRY(read_header(r, r->header_of, err));
    const size_t mark =
        r->header.bytes >= 3 && memcmp(r->header.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    *out = (struct wr_poll){ .kind = WR_POLL_SPLIT_HEADER,
                             .split = r->turn,
                             .header = { r->header.data + mark, r->header.bytes - mark } };
    return WR_OK;
}

/* ---- polling ---- */

static void end_part(struct wr_reader *r, struct part *part, struct wr_poll *out)
{
    wr_letter_reader_close(part->reader);
    part->reader = NULL;
    part->over = true;
    *out = (struct wr_poll){ .kind = WR_POLL_SPLIT_ENDED,
                             .split = r->turn,
                             .next_position = part->end };
    r->turn += r->source->env.workers;
    free(r->header_of);
    r->header_of = NULL;
}

static wr_status give_letters(struct wr_reader *r, struct part *part, struct wr_poll *out,
                              struct wr_error *err)
{
    struct letter_records *into = begin_records(r);
    wr_status status = WR_OK;
    while (status == WR_OK && into->base.count < r->source->env.batch_rows &&
           into->base.payload_bytes < POLL_BYTES && belongs(r, into)) {
        take_record(r, into);
        status = look_ahead(r, part, err);
    }
    atomic_fetch_add_explicit(&r->source->replay->given, into->base.count, memory_order_relaxed);
    *out = (struct wr_poll){ .kind = WR_POLL_ROWS,
                             .split = r->turn,
                             .records = &into->base,
                             .next_position = r->skipped_to };
    if (status == WR_FAIL) {
        release_letters(&into->base);
    }
    return status == WR_FAIL ? WR_FAIL : WR_OK;
}

/* One step of the part whose turn it is. */
static wr_status step(struct wr_reader *r, struct wr_poll *out, struct wr_time now,
                      struct wr_error *err)
{
    struct wr_source *s = r->source;
    struct part *part = &s->parts[r->turn];
    if (part->reader == NULL) {
        r->skipped_to = part->position;
        WR_TRY(wr_letter_reader_open(&part->reader, s->letters, part->index, part->position,
                                     part->end, err));
    }
    const wr_status status = look_ahead(r, part, err);
    if (status == WR_AGAIN) {
        r->next_ns = now.mono_ns + LOOK_AGAIN_NS;
        return WR_OK;
    }
    if (status == WR_END) {
        end_part(r, part, out);
        return WR_OK;
    }
    WR_TRY(status);
    if (needs_header(s) && (r->header_of == NULL || !wr_slice_is(r->letter.split, r->header_of))) {
        return tell_header(r, out, err);
    }
    return give_letters(r, part, out, err);
}

/* What this reader gave was taken by its worker before it polled again. */
static void finish(struct wr_reader *r)
{
    struct wr_replay *replay = r->source->replay;
    if (!r->told) {
        r->told = true;
        if (atomic_fetch_sub_explicit(&replay->unfinished, 1, memory_order_acq_rel) == 1) {
            atomic_store_explicit(&replay->done, true, memory_order_release);
            wr_io_wake(replay->pipeline->control_io);
        }
    }
}

static wr_status replay_poll(struct wr_reader *r, struct wr_time now, struct wr_batch *batch,
                             struct wr_poll *out, struct wr_error *err)
{
    struct wr_source *s = r->source;
    r->next_ns = INT64_MAX;
    const wr_status settled = settle(s->replay, err);
    if (settled != WR_OK) {
        r->next_ns = now.mono_ns + LOOK_AGAIN_NS;
        return settled == WR_AGAIN ? WR_OK : settled;
    }
    if (open_part(r, out) || !wr_open_gate_is_open(&s->parts_gate)) { /* (2) */
        return WR_OK;
    }
    if (open_held(r, out) || !wr_open_gate_is_open(&s->held_gate)) {
        return WR_OK;
    }
    if (r->turn < s->part_count) {
        return step(r, out, now, err);
    }
    finish(r);
    return WR_OK;
}

static int64_t replay_deadline_ns(const struct wr_reader *r)
{
    return r->next_ns;
}

static const struct wr_source_ops replay_ops = { .name = "dlq",
                                                 .help = "dead letters",
                                                 .open = replay_open,
                                                 .reader_open = replay_reader_open,
                                                 .poll = replay_poll,
                                                 .deadline_ns = replay_deadline_ns,
                                                 .reader_close = replay_reader_close,
                                                 .close = replay_close };
/* Of connectors that make rows themselves: there is nothing to decode, only splits to hold. */
static const struct wr_source_ops held_ops = { .name = "dlq",
                                               .help = "dead letters",
                                               .makes_columns = true,
                                               .open = replay_open,
                                               .reader_open = replay_reader_open,
                                               .poll = replay_poll,
                                               .deadline_ns = replay_deadline_ns,
                                               .reader_close = replay_reader_close,
                                               .close = replay_close };

/* ---- the pipeline's side ---- */

void wr_replay_attach(struct wr_replay *replay, struct wr_pipeline *p)
{
    const uint32_t sources = p->plan->source_count;
    the_replay = replay;
    replay->pipeline = p;
    replay->originals = wr_calloc(sources + 1, sizeof(struct wr_source_ops *));
    replay->sources = wr_calloc(sources + 1, sizeof(struct wr_source *));
    atomic_init(&replay->unfinished, sources * p->config.workers);
    for (uint32_t s = 0; s < sources; s++) {
        replay->originals[s] = p->source_ops[s];
        p->source_ops[s] = p->source_ops[s]->makes_columns ? &held_ops : &replay_ops;
    }
}

/* The largest interval of all, so that sinks that write a file per epoch do not write more of them than in a run. */
void wr_replay_settle_cadence(struct wr_pipeline *p)
{
    uint64_t most = 1;
    for (uint32_t k = 0; k < p->plan->sink_count; k++) {
        most = p->sink_every[k] > most ? p->sink_every[k] : most;
        p->sink_every[k] = 1;
    }
    for (uint32_t n = 0; n < p->plan->node_count; n++) {
        p->node_every[n] = 1;
    }
    p->epoch_interval_us *= (int64_t)most;
}

void wr_replay_set_aside(struct wr_recovery *r)
{
    for (uint32_t s = 0; s < r->plan->source_count; s++) {
        struct wr_source_resume *source = &r->sources[s];
        uint32_t kept = 0;
        for (uint32_t i = 0; i < source->start_count; i++) {
            if (!is_replay_split(source->starts[i].name)) {
                source->starts[kept++] = source->starts[i];
            }
        }
        source->start_count = kept;
        for (uint32_t i = 0; i < source->split_count; i++) {
            const struct wr_split_resume *split = &source->splits[i];
            if (is_replay_split(split->name) && split->replay_until > split->at.position) {
                atomic_fetch_sub_explicit(&r->replaying, 1, memory_order_relaxed); /* nobody will read it */
            }
        }
    }
}

wr_status wr_replay_accept(struct wr_replay *replay, struct wr_error *err)
{
    struct wr_recovery *r = replay->pipeline->recovery;
    const struct wr_run_config *config = &replay->pipeline->config;
    if (r == NULL || !r->resumed) {
        (void)wr_fail(err, WR_CLASS_USER, "%s has committed nothing yet: there is nothing to replay", config->file);
        wr_error_hint(err, "weir run %s first", config->file);
        return WR_FAIL;
    }
    for (uint32_t s = 0; s < r->plan->source_count; s++) {
        for (uint32_t i = 0; i < r->sources[s].split_count; i++) {
            struct wr_split_resume *split = &r->sources[s].splits[i];
            if (is_replay_split(split->name)) {
                /* Its rows get the floor of today, not of the last replay: windows have been emitted since. */
                split->at.idle = true;
                split->mark_count = 0;
            }
            if (split->replay_until > split->at.position) {
                (void)wr_fail(err, WR_CLASS_USER, "the last run of %s was killed when its sinks stood at different places of %s",
                              config->file, split->name);
                wr_error_hint(err, "start weir run %s and stop it (SIGTERM): that brings them together; then replay",
                              config->file);
                return WR_FAIL;
            }
        }
    }
    return WR_OK;
}

/* ---- the report ---- */

struct sums {
    const struct wr_pipeline *p;
    struct wr_ledger_line *lines; /* per sink */
};

static void add_line(void *ctx, const struct wr_ledger_line *line)
{
    const struct sums *sums = ctx;
    if (!is_replay_split(line->split)) {
        return;
    }
    struct wr_ledger_line *sum = &sums->lines[line->sink];
    const struct wr_split_resume *before =
        wr_recovery_split(sums->p->recovery, line->source, line->split);
    struct wr_ledger_counts old = { 0 };
    if (before != NULL) {
        old = before->ledger[line->sink];
    }
    sum->counts.read += line->counts.read - old.read;
    sum->counts.late += line->counts.late - old.late;
    sum->counts.dead_lettered += line->counts.dead_lettered - old.dead_lettered;
    sum->counts.filtered += line->counts.filtered - old.filtered;
    sum->landed += line->landed - old.passed;
}

static void tell_count(const _Atomic uint64_t *counter, const char *what)
{
    char text[32];
    const uint64_t n = atomic_load_explicit((_Atomic uint64_t *)counter, memory_order_relaxed);
    if (n > 0) {
        fprintf(stderr, "  %s %s\n", wr_human_count(n, text), what);
    }
}

void wr_replay_report(const struct wr_replay *replay, const struct wr_pipeline *p, bool ok)
{
    char t[5][32];
    struct sums sums = { p, wr_calloc(p->plan->sink_count + 1, sizeof *sums.lines) };
    const uint64_t given = atomic_load_explicit((_Atomic uint64_t *)&replay->given, memory_order_relaxed);
    wr_ledger_view_each(p->ledger, add_line, &sums);
    fprintf(stderr, "\n%s: %s dead letter%s replayed%s\n", p->config.name, wr_human_count(given, t[0]),
            given == 1 ? "" : "s", ok ? "" : " before it FAILED");
    for (uint32_t k = 0; k < p->plan->sink_count; k++) {
        const struct wr_ledger_line *sum = &sums.lines[k];
        if (p->plan->sinks[k].feed == WR_FEED_QUERY && sum->counts.read > 0) {
            fprintf(stderr, "  %-14s %s = landed %s + late %s + dead again %s + filtered %s\n", p->plan->sinks[k].name,
                    wr_human_count(sum->counts.read, t[0]), wr_human_count(sum->landed, t[1]),
                    wr_human_count(sum->counts.late, t[2]),
                    wr_human_count(sum->counts.dead_lettered, t[3]),
                    wr_human_count(sum->counts.filtered, t[4]));
        }
    }
    tell_count(&replay->impossible, "not replayed: no record is behind them (result rows, generated rows, sinks that are no more)");
    tell_count(&replay->unreadable, "not replayed: no dead letters");
    free(sums.lines);
}
